//! What comes after a fit, as its users meet it: `nascent graph`, `compare` and `report`.

use std::fs;
use std::path::Path;

use nascent::data::Column;
use nascent::io;
use serde_json::Value;

use crate::io_samples::opened;
use crate::program::Program;

/// The dynamical model with times of genes, from which `nascent graph` makes one.
const TIMES_OF_GENES: &str = "dynamical --set model.time_scope=gene";

/// A simulated file with two lineages, and a fit by a model of classic statistics; `kind` can have more flags behind it.
fn fitted(program: &Program, kind: &str, name: &str) {
    if !program.path("counts.h5ad").exists() {
        program.simulate("counts.h5ad", 300, 60, 2);
    }
    fitted_from(program, "counts.h5ad", kind, name);
}

fn fitted_from(program: &Program, counts: &str, kind: &str, name: &str) {
    program.succeed(&format!(
        "train --input {counts} --output {name} --set model.kind={kind} --set preprocess.min_shared_counts=5"
    ));
}

fn column(path: &Path, name: &str) -> Vec<f64> {
    let found = opened(path).obs().get(name).and_then(Column::to_numbers);
    found.unwrap_or_else(|| panic!("no numbers in obs[{name:?}]"))
}

#[test]
fn a_fit_gets_a_graph_arrows_times_and_scores() {
    let program = Program::new();
    fitted(&program, TIMES_OF_GENES, "fit.h5ad");
    let said = program.succeed("graph fit.h5ad --output graph.h5ad");
    for word in
        ["velocity graph of 300 cells", "X_umap", "inferred", "latent_time", "reconstructability of the first 10"]
    {
        assert!(said.contains(word), "{word} is missing from:\n{said}");
    }
    let path = program.path("graph.h5ad");
    for name in ["velocity_confidence", "velocity_length", "velocity_self_transition", "root_cells", "end_points"] {
        assert!(column(&path, name).iter().all(|value| value.is_finite() && *value >= 0.0), "{name}");
    }
    for name in ["latent_time", "velocity_pseudotime"] {
        assert!(column(&path, name).iter().all(|value| (0.0..=1.0).contains(value)), "{name}");
    }
    for (uns, key) in
        [("nascent_graph", "root"), ("rank_velocity_genes", "names"), ("velocity_reconstructability", "null_r")]
    {
        let found = opened(&path).uns(uns).unwrap().unwrap_or_else(|| panic!("no uns[{uns:?}]"));
        assert!(found.get(key).is_some(), "{uns}: {found}");
    }
    // The same again, bit for bit.
    program.succeed("graph fit.h5ad --output again.h5ad --threads 1");
    assert!(fs::read(&path).unwrap() == fs::read(program.path("again.h5ad")).unwrap());
}

#[test]
fn a_named_root_is_where_time_starts_whatever_is_inferred() {
    let program = Program::new();
    fitted(&program, "dynamical", "fit.h5ad");
    let path = program.path("fit.h5ad");
    let truth = column(&path, "true_t");
    let last = (0..truth.len()).max_by(|&a, &b| truth[a].total_cmp(&truth[b])).expect("cells");
    let name = opened(&path).obs().index[last].clone();
    let said = program.succeed(&format!("graph fit.h5ad --root {name}"));
    assert!(said.contains(&format!("cell {name}")), "{said}");
    assert!(column(&path, "velocity_pseudotime")[last] == 0.0);

    let said = program.succeed("graph fit.h5ad --root true_t");
    assert!(said.contains("least obs[\"true_t\"]"), "{said}");
    let first = (0..truth.len()).min_by(|&a, &b| truth[a].total_cmp(&truth[b])).expect("cells");
    assert!(column(&path, "velocity_pseudotime")[first] == 0.0);

    let error = program.fail("graph fit.h5ad --root Nowhere", 2);
    assert!(error.contains("--root") && error.contains("Nowhere") && error.contains("labels of"), "{error}");
    assert!(error.contains("give another with --root"), "{error}");
    let error = program.fail("graph fit.h5ad --root clusters=Nowhere", 2);
    assert!(error.contains("it has:"), "{error}");
    let error = program.fail("graph fit.h5ad --basis nowhere", 2);
    assert!(error.contains("--basis") && error.contains("umap"), "{error}");
}

#[test]
fn genes_can_be_chosen_and_a_wrong_choice_is_explained() {
    let program = Program::new();
    fitted(&program, "steady_state", "fit.h5ad");
    let file = opened(&program.path("fit.h5ad"));
    let var = file.var();
    fs::write(program.path("genes.txt"), format!("{}\n{}\n{}\n", var.index[0], var.index[1], var.index[2])).unwrap();
    let named = format!("scores.genes=[\"{}\"]", var.index[0]);
    let said = program.succeed(&format!("graph fit.h5ad --output named.h5ad --genes all --set {named}"));
    assert!(said.contains("of the named 1 "), "{said}");
    let error = program.fail("graph fit.h5ad --set scores.genes=[\"Gnai3\"]", 2);
    assert!(error.contains("scores.genes") && error.contains("Gnai3"), "{error}");
    let said = program.succeed("graph fit.h5ad --output three.h5ad --genes genes.txt");
    assert!(said.contains(" in 3 genes") || said.contains(" in 2 genes"), "{said}");
    program.succeed("graph fit.h5ad --output all.h5ad --genes all");
    fs::write(program.path("genes.txt"), "Gnai3\n").unwrap();
    let error = program.fail("graph fit.h5ad --genes genes.txt", 2);
    assert!(error.contains("Gnai3"), "{error}");
    let error = program.fail("graph fit.h5ad --genes marker", 2);
    assert!(error.contains("velocity_genes"), "{error}");
    let error = program.fail("graph counts.h5ad", 2);
    assert!(error.contains("velocity") && error.contains("nascent train"), "{error}");
}

/// Genes that share a clock time the cells themselves; the time that genes with times of their own vote for is another.
#[test]
fn the_time_of_a_model_is_not_overwritten_and_that_of_an_earlier_graph_is() {
    let program = Program::new();
    fitted(&program, TIMES_OF_GENES, "a.h5ad");
    program.succeed("graph a.h5ad");
    program.succeed("train --input a.h5ad --output b.h5ad --set model.kind=dynamical");
    let own = column(&program.path("b.h5ad"), "latent_time");
    let said = program.succeed("graph b.h5ad");
    assert!(said.contains("latent_time_genes"), "{said}");
    assert!(column(&program.path("b.h5ad"), "latent_time") == own);
    // That of an earlier graph goes with it.
    program.succeed("graph a.h5ad --root true_t --set time.latent.method=median");
    assert!(opened(&program.path("a.h5ad")).obs().get("latent_time").is_none());
    assert!(column(&program.path("a.h5ad"), "latent_time_median").iter().all(|time| time.is_finite()));
}

#[test]
fn known_directions_are_checked_before_the_work_begins() {
    let program = Program::new();
    fitted(&program, "steady_state", "fit.h5ad");
    let labels = opened(&program.path("fit.h5ad")).obs().get("clusters").expect("clusters").to_labels();
    let error = program.fail("graph fit.h5ad --set scores.edges=[\"a>b\"]", 2);
    assert!(error.contains("scores.edges") && error.contains(&labels[0]), "{error}");
    assert!(!error.contains("velocity graph"), "{error}");
}

#[test]
fn a_fit_agrees_with_itself_and_in_part_with_another() {
    let program = Program::new();
    fitted(&program, "dynamical", "a.h5ad");
    fitted(&program, "steady_state", "b.h5ad");
    let text = program.succeed("compare a.h5ad a.h5ad b.h5ad --groups clusters --json");
    let found: Value = serde_json::from_str(&text).expect("JSON");
    let cosine = |pair: usize| found["pairs"][pair]["cell_cosine"][1].as_f64().expect("a number");
    assert!((cosine(0) - 1.0).abs() < 1e-6 && found["pairs"][0]["signs"] == 1.0, "{text}");
    assert!(cosine(1) > 0.0 && cosine(1) < 0.999, "{text}");
    assert!((cosine(1) - cosine(2)).abs() < 1e-12);
    assert_eq!(found["pairs"][1]["groups"].as_array().map(Vec::is_empty), Some(false));
    let table = program.succeed("compare a.h5ad b.h5ad");
    assert!(table.contains("a.h5ad") && table.contains("dynamical"), "{table}");
}

/// Two samples of one simulation, the second with 40 % of the unspliced molecules.
#[test]
fn samples_of_one_fit_are_compared_and_the_report_says_so() {
    let program = Program::new();
    program.succeed(
        "simulate --cells 300 --genes 60 --seed 3 --samples 1:1,0.4:0.8 --sample-overlap 1 --output counts.h5ad",
    );
    fitted(&program, "steady_state", "plain.h5ad");
    fitted(
        &program,
        "soft_grid --set model.batch=sample --set model.uncertainty=false --set model.grid=40 --set model.pieces=8 --set model.max_rounds=10",
        "told.h5ad",
    );
    let read = |words: &str| -> Value { serde_json::from_str(&program.succeed(words)).expect("JSON") };
    // A usual name is found; of several files, only samples that a fit was told of.
    let [plain, told] =
        ["plain", "told"].map(|name| read(&format!("compare {name}.h5ad --json"))["samples"][0].clone());
    assert_eq!((&plain["column"], &told["column"]), (&"sample".into(), &"sample".into()));
    for found in [&plain, &told] {
        let rows = found["rows"].as_array().expect("rows");
        let pairs: Vec<(&str, &str)> =
            rows.iter().map(|row| (row["sample"].as_str().unwrap(), row["other"].as_str().unwrap())).collect();
        assert_eq!(pairs, [("S1", "S2"), ("S2", "S1")]);
    }
    let both = read("compare plain.h5ad told.h5ad --json");
    let files: Vec<&str> = both["samples"].as_array().unwrap().iter().map(|of| of["file"].as_str().unwrap()).collect();
    assert_eq!(files, ["told.h5ad"]);
    let gap = |of: &Value| {
        let row = &of["rows"][0];
        row["within"]["cosine"].as_f64().unwrap() - row["between"]["cosine"].as_f64().unwrap()
    };
    // The cells are draws from the same course, and so are the velocities.
    for found in [&plain, &told] {
        assert!(gap(found).abs() < 0.1, "{found}");
    }
    assert!(plain["corrected"].as_str().unwrap().contains("totals of each cell"), "{plain}");
    assert!(told["corrected"].as_str().unwrap().contains("model.batch = \"sample\")"), "{told}");

    let table = program.succeed("compare told.h5ad --samples clusters");
    assert!(table.contains("obs[\"clusters\"]") && table.contains("beside"), "{table}");
    let error = program.fail("compare told.h5ad --samples donor", 2);
    assert!(error.contains("donor") && error.contains("--samples") && error.contains("clusters"), "{error}");

    program.succeed("graph plain.h5ad --set scores.draws=2");
    program.succeed("report plain.h5ad");
    let page = fs::read_to_string(program.path("plain.report/report.html")).unwrap();
    for word in ["Do the samples say the same?", "Samples beside each other", "Not corrected: ambient"] {
        assert!(page.contains(word), "{word}");
    }
}

/// What neighbours were made of is in the file, in scanpy's words, and samples are compared there.
#[test]
fn a_file_says_where_the_neighbours_of_its_fit_were_sought() {
    let program = Program::new();
    program.succeed(
        "simulate --cells 300 --genes 60 --seed 3 --samples 1:1,0.4:0.8 --sample-overlap 1 --output plain.h5ad",
    );
    fitted_from(&program, "plain.h5ad", "steady_state", "first.h5ad");
    // The components of a fit, under a name that is nobody's result.
    let file = io::h5_options().open_rw(program.path("first.h5ad")).unwrap();
    file.relink("obsm/X_pca", "obsm/X_pca_harmony").unwrap();
    file.close().unwrap();
    fitted_from(
        &program,
        "first.h5ad",
        "steady_state --set preprocess.use_rep=X_pca_harmony --set preprocess.batch=sample",
        "fit.h5ad",
    );
    let file = opened(&program.path("fit.h5ad"));
    let record = &file.fit().expect("ours").neighbors;
    assert_eq!((&record.use_rep[..], &record.batch[..], record.n_neighbors), ("X_pca_harmony", "sample", 30));
    assert_eq!(file.neighbors_space().unwrap().as_deref(), Some("X_pca_harmony"));
    let described = file.uns("neighbors").unwrap().expect("scanpy's record");
    assert_eq!(described["params"]["batch_key"], "sample");
    let (_, neighbors) = file.neighbors().unwrap().expect("neighbours");
    let labels = file.obs().get("sample").expect("samples").to_labels();
    for i in 0..300 {
        let (cells, _) = neighbors.distances.row(i);
        assert_eq!(cells.iter().filter(|&&j| labels[j as usize] == labels[i]).count(), 14, "cell {i}");
        assert_eq!(cells.len(), 29);
    }
    let said = program.succeed("compare fit.h5ad");
    assert!(
        said.contains("neighbours in X_pca_harmony") && said.contains("as many neighbours in every sample"),
        "{said}"
    );
}

#[test]
fn one_fit_without_samples_is_not_compared() {
    let program = Program::new();
    fitted(&program, "steady_state", "fit.h5ad");
    let error = program.fail("compare fit.h5ad", 2);
    assert!(error.contains("no column of samples") && error.contains("--samples"), "{error}");
}

#[test]
fn a_report_asks_before_it_shows() {
    let program = Program::new();
    fitted(&program, "dynamical", "fit.h5ad");
    let error = program.fail("report fit.h5ad", 2);
    assert!(error.contains("nascent graph"), "{error}");
    program.succeed("graph fit.h5ad --set scores.draws=2");
    fitted(&program, "steady_state", "other.h5ad");
    program.succeed("report fit.h5ad --with other.h5ad");
    let page = fs::read_to_string(program.path("fit.report/report.html")).unwrap();
    for word in ["Are there enough unspliced molecules?", "Do other models say the same?", "latent_time"] {
        assert!(page.contains(word), "{word}");
    }
    // The name of SVG is an address that nobody asks for; any other is a way to the network.
    let page = page.replace("http://www.w3.org/2000/svg", "");
    for word in ["http:", "https:", "src=\"//", "fetch(", "XMLHttpRequest", "@import", "import("] {
        let around = page.find(word).map(|at| &page.as_bytes()[at.saturating_sub(60)..(at + 60).min(page.len())]);
        assert!(around.is_none(), "the page needs a network: {}", String::from_utf8_lossy(around.unwrap_or_default()));
    }
    let figures = program.path("fit.report/figures");
    for name in ["stream.svg", "stream.png", "grid.svg", "arrows.png"] {
        assert!(figures.join(name).metadata().is_ok_and(|file| file.len() > 1000), "{name}");
    }
}

#[test]
fn fewer_cells_than_neighbours_still_give_moments_and_a_graph() {
    let program = Program::new();
    program.simulate("few.h5ad", 20, 60, 1);
    let train =
        "train --input few.h5ad --output fit.h5ad --set model.kind=steady_state --set preprocess.min_shared_counts=0";
    let said = crate::program::errors(&program.run(train));
    assert!(said.contains("n_neighbors = 30") && said.contains("11 are used"), "{said}");
    let said = program.succeed("graph fit.h5ad");
    assert!(said.contains("velocity graph of 20 cells") && !said.contains(" 0 similarities"), "{said}");
}

#[test]
fn a_column_that_is_not_there_filters_no_genes_in_silence() {
    let program = Program::new();
    program.simulate("counts.h5ad", 60, 30, 1);
    let train = "train --input counts.h5ad --output fit.h5ad --set model.kind=steady_state --set model.highly_variable=nonsense";
    let error = program.fail(train, 2);
    assert!(error.contains("model.highly_variable = \"nonsense\"") && error.contains("true_beta"), "{error}");
}
