//! The command line is a contract.

use serde_json::Value;

use crate::program::Program;

/// Settings under which a test trains for seconds.
const SHORT: &str = "--set model.kind=velovae --set model.train.epochs=12 --set model.refine_epochs=6 --set model.n_samples=4 \
                     --set model.start_epochs=4 --set model.hidden=[32,16]";

#[test]
fn help_names_every_command() {
    let help = Program::new().succeed("--help");
    for command in [
        "train", "simulate", "evaluate", "permute", "graph", "report", "compare", "import", "merge", "inspect",
        "explain", "devices", "bench",
    ] {
        assert!(help.contains(&format!("  {command} ")), "{command} is missing from:\n{help}");
    }
}

#[test]
fn shells_and_man_learn_of_every_command_from_the_program() {
    let program = Program::new();
    for shell in ["bash", "fish", "zsh"] {
        let script = program.succeed(&format!("completions {shell}"));
        assert!(script.contains("simulate") && script.contains("resume"), "{shell}: {script}");
    }
    assert!(program.succeed("man").contains(".SH SUBCOMMANDS"));
    std::fs::create_dir(program.path("pages")).expect("created");
    program.succeed("man pages");
    let page = std::fs::read_to_string(program.path("pages/nascent-train.1")).expect("the page of a command");
    assert!(page.contains("resume"), "{page}");
    let complaint = program.fail("man nowhere", 1);
    assert!(complaint.contains("nowhere") && complaint.contains("hint:"), "{complaint}");
    assert!(!program.succeed("--help").contains("completions"), "these are for who packages the program");
}

#[test]
fn the_settings_of_a_model_are_printed_as_the_file_that_its_name_stands_for() {
    let program = Program::new();
    let text = program.succeed("settings velovae_counts");
    assert_eq!(text, include_str!("../../configs/velovae_counts.toml"));
    let names = program.succeed("settings");
    assert!(names.lines().count() == 10 && names.contains("\nsteady_state    The steady-state model"), "{names}");
    let complaint = program.fail("settings nothing", 2);
    assert!(complaint.contains("nothing: no settings") && complaint.contains("velovi_joint"), "{complaint}");
    program.simulate("counts.h5ad", 60, 20, 1);
    program.succeed("train steady_state --input counts.h5ad --output fit.h5ad");
    // A file of that name is one that is asked for as a file.
    let complaint = program.fail("train ./steady_state --input counts.h5ad --output fit.h5ad", 2);
    assert!(complaint.contains("./steady_state: cannot read"), "{complaint}");
}

#[test]
fn from_simulated_counts_to_scores() {
    let program = Program::new();
    program.simulate("counts.h5ad", 300, 40, 2);
    let said = program.succeed(&format!("train --input counts.h5ad --output fit.h5ad {SHORT}"));
    assert!(said.contains("fit.h5ad"), "{said}");
    for file in ["config.toml", "metrics.jsonl", "checkpoints/last.ckpt"] {
        assert!(program.path("fit.run").join(file).exists(), "{file} is missing");
    }

    let scores: Value = serde_json::from_str(&program.succeed("evaluate fit.h5ad --json")).expect("JSON");
    let keys = [
        "mse_train",
        "mse_test",
        "mae_train",
        "mae_test",
        "ll_train",
        "ll_test",
        "elbo_train",
        "elbo_test",
        "time_spearman",
        "velocity_cell_cosine",
        "velocity_cell_cosine_scaled",
        "velocity_gene_pearson",
        "velocity_sign_agreement",
        "ratio_abs_log_err",
    ];
    for key in keys {
        assert!(scores[key].is_number(), "{key} = {}", scores[key]);
    }
    assert_eq!(scores.as_object().map(serde_json::Map::len), Some(keys.len()));

    let description: Value = serde_json::from_str(&program.succeed("inspect fit.h5ad --json")).expect("JSON");
    assert!(description.to_string().contains("velocity"), "{description}");
    assert!(program.succeed("inspect counts.h5ad").contains("unspliced"));
}

#[test]
fn training_steps_are_timed_beside_their_matrix_products() {
    let program = Program::new();
    let sizes = "--genes 20 --cells 6,8 --repeats 3 --seconds 0.02";
    let table = program.succeed(&format!("bench --device flex {sizes} --json bench.json --logdir logs"));
    assert_eq!(table.lines().filter(|line| line.starts_with("| flex | ")).count(), 6, "{table}");
    let text = std::fs::read_to_string(program.path("bench.json")).expect("it was written");
    let found: Value = serde_json::from_str(&text).expect("JSON");
    for row in found["rows"].as_array().expect("lines") {
        let (steps, over) = (&row["steps_per_second"], &row["over_products"]);
        assert!(steps["least"].as_f64() <= steps["median"].as_f64() && steps["median"].as_f64() > Some(0.0), "{row}");
        assert!(over["median"].as_f64() > Some(1.0), "a step has its products in it: {row}");
    }
    assert!(std::fs::read_dir(program.path("logs")).expect("a folder").count() > 0);
    for (options, key) in [("--model magic", "--model"), ("--cells 1", "--cells"), ("--repeats 0", "--repeats")] {
        let refused = program.fail(&format!("bench {options}"), 2);
        assert!(refused.contains(key), "{refused}");
    }
}

/// The simulation's `clusters` are its lineages.
#[test]
fn permutation_scores_are_added_to_the_genes_of_the_fitted_file() {
    let program = Program::new();
    program.simulate("counts.h5ad", 200, 30, 2);
    program.succeed(&format!("train --input counts.h5ad --output fit.h5ad {SHORT}"));
    let words = "permute --input counts.h5ad --output fit.h5ad --groups clusters";
    let said = program.succeed(&format!("{words} --table scores.tsv"));
    assert!(said.contains("permutation score, median over 29 genes"), "one gene has too few counts: {said}");
    let file = nascent::io::FittedFile::open(&program.path("fit.h5ad")).expect("the file is whole");
    let var = file.var();
    let scores = var.get("permutation_score").and_then(nascent::data::Column::to_numbers).expect("the scores");
    assert_eq!(scores.iter().filter(|score| score.is_finite()).count(), 29);
    let table = std::fs::read_to_string(program.path("scores.tsv")).expect("the table");
    assert!(table.starts_with("gene\tscore\tgroup\tnull\t") && table.lines().count() == 30, "{table}");
    assert!(program.succeed("inspect fit.h5ad").contains("velocity"), "what was in the file is still there");

    let complaint = program.fail("permute --input counts.h5ad --output fit.h5ad --groups nothing", 2);
    assert!(complaint.contains("--groups") && complaint.contains("clusters"), "{complaint}");
    std::fs::write(program.path("line.toml"), "[model]\nkind = \"steady_state\"\n").expect("written");
    program.succeed("train line.toml --input counts.h5ad --output line.h5ad");
    let complaint = program.fail("permute --input counts.h5ad --output line.h5ad --groups clusters", 2);
    assert!(complaint.contains("permutation score") && complaint.contains("velovi"), "{complaint}");
    let complaint = program.fail("permute --input counts.h5ad --output moved.h5ad --groups clusters", 2);
    assert!(complaint.contains("moved.run") && complaint.contains("--run DIR"), "{complaint}");
    std::fs::remove_file(program.path("fit.run/checkpoints/last.ckpt")).expect("removed");
    let complaint = program.fail(words, 2);
    assert!(complaint.contains("fit.run") && complaint.contains("--resume"), "{complaint}");
}

#[test]
fn a_file_without_velocities_cannot_be_evaluated() {
    let program = Program::new();
    program.simulate("counts.h5ad", 50, 10, 1);
    let complaint = program.fail("evaluate counts.h5ad", 2);
    assert!(complaint.contains("velocity") && complaint.contains("nascent train"), "{complaint}");
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_does_not() {
    let program = Program::new();
    program.simulate("counts.h5ad", 200, 30, 1);
    let bytes = |name: &str, seed: u32| {
        program.succeed(&format!("train --input counts.h5ad --output {name} --seed {seed} --threads 2 {SHORT}"));
        std::fs::read(program.path(name)).expect("the output is there")
    };
    let first = bytes("a.h5ad", 1);
    assert!(first == bytes("b.h5ad", 1));
    assert!(first != bytes("c.h5ad", 2));
}

/// With the default layers, whose products and updates are shared by threads, and every stage of the full model.
#[test]
fn networks_trained_on_one_two_or_three_threads_are_the_same_bytes() {
    let program = Program::new();
    program.simulate("counts.h5ad", 200, 30, 1);
    std::fs::write(program.path("velovi.toml"), "[model]\nkind = \"velovi\"\n").expect("written");
    let velovae = "velovae --set model.init=steady_state --set model.start_epochs=2 --set model.refine_epochs=2 --set model.n_samples=2";
    for words in [format!("train {velovae}"), "train velovi.toml".to_owned()] {
        let bytes = |threads: u32| {
            let name = format!("on_{threads}.h5ad");
            let common = format!("--input counts.h5ad --output {name} --threads {threads} --set model.train.epochs=4");
            program.succeed(&format!("{words} {common}"));
            std::fs::read(program.path(&name)).expect("the output is there")
        };
        let one = bytes(1);
        assert!(one == bytes(2), "{words}");
        assert!(one == bytes(3), "{words}");
    }
}

#[test]
fn what_the_user_gets_wrong_is_named_with_a_remedy_and_leaves_no_output() {
    let program = Program::new();
    program.simulate("counts.h5ad", 50, 10, 1);
    std::fs::write(program.path("words.h5ad"), "not HDF5").expect("written");
    std::fs::write(program.path("typo.toml"), "[model]\nkind = \"velovae\"\n[model.train]\nbatchsize = 64\n")
        .expect("written");
    std::fs::write(program.path("broken.toml"), "[model\n").expect("written");
    let cases = [
        ("--input missing.h5ad --output out.h5ad", ["missing.h5ad", "hint:"]),
        ("--input words.h5ad --output out.h5ad", ["words.h5ad", "hint:"]),
        ("--input counts.h5ad --output out.h5ad --set input.unspliced=nascent_rna", ["nascent_rna", "spliced"]),
        (
            "typo.toml --input counts.h5ad --output out.h5ad",
            ["typo.toml: unknown key model.train.batchsize", "batch_size"],
        ),
        ("broken.toml --input counts.h5ad --output out.h5ad", ["broken.toml, line 1", "TOML"]),
        ("velovae --input counts.h5ad --output out.h5ad --set model.kind=veloway", ["model.kind", "velovae"]),
        (
            "velovae --input counts.h5ad --output out.h5ad --set model.train.epochs=many",
            ["model.train.epochs", "a whole number"],
        ),
        (
            "velovae --input counts.h5ad --output out.h5ad --set model.train.epochs=0",
            ["model.train.epochs = 0", "from 1 to"],
        ),
        ("velovae --input counts.h5ad --output out.h5ad --set model.variant=huge", ["huge", "basic"]),
        (
            "--input counts.h5ad --output out.h5ad --device cpu",
            ["soft_grid has no setting model.train.device", "nascent train velovae"],
        ),
        (
            "--input counts.h5ad --output out.h5ad --set model.n_latent=3",
            ["model.n_latent", "a setting of velovae, velovi:"],
        ),
        ("velovea --input counts.h5ad --output out.h5ad", ["velovea: cannot read", "velovae_counts"]),
        ("--input counts.h5ad --output out.h5ad --set epochs", ["--set epochs", "dotted.key=value"]),
        ("--input counts.h5ad --output out.h5ad --set model.capture_time=day", ["\"day\"", "capture_time"]),
        ("velovae --input counts.h5ad --output out.h5ad --device abacus", ["abacus", "this build has"]),
        ("velovae --input counts.h5ad --output out.h5ad --device cuda", ["not in this build", "--features cuda"]),
    ];
    for (words, parts) in cases {
        let complaint = program.fail(&format!("train {words}"), 2);
        assert!(complaint.contains("error:") && complaint.contains("hint:"), "{words}:\n{complaint}");
        for part in parts {
            assert!(complaint.contains(part), "{words}: no {part:?} in\n{complaint}");
        }
        assert!(!program.path("out.h5ad").exists(), "{words} left an output");
    }
}

#[test]
fn an_output_that_cannot_be_written_is_found_before_training() {
    let program = Program::new();
    program.simulate("counts.h5ad", 50, 10, 1);
    let complaint = program.fail("train --input counts.h5ad --output nowhere/out.h5ad", 1);
    assert!(complaint.contains("nowhere/out.h5ad"), "{complaint}");
    assert!(!program.path("nowhere/out.run").exists());
}

#[test]
fn a_folder_of_something_else_is_not_used_for_a_run() {
    let program = Program::new();
    program.simulate("counts.h5ad", 50, 10, 1);
    std::fs::create_dir(program.path("thesis")).expect("created");
    std::fs::write(program.path("thesis/chapter.txt"), "words").expect("written");
    let complaint = program.fail("train --input counts.h5ad --output out.h5ad --run thesis", 2);
    assert!(complaint.contains("thesis") && complaint.contains("--run"), "{complaint}");
    assert!(program.path("thesis/chapter.txt").exists());
}
