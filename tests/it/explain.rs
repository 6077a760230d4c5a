//! `nascent explain`: which filter took a gene, and lists of genes that no filter takes from.

use std::fs;

use nascent::config::Config;
use nascent::data::quantities::VELOCITY_GENES;
use nascent::data::{Column, Frame, Silent};
use nascent::io::{self, FittedFile, InputConfig, NewFile, OutputConfig};
use nascent::pipeline::{ExplainJob, Explained, Settings, explain};
use nascent::preprocess;
use nascent::sparse::Csr;
use ndarray::Array2;

use crate::io_samples::opened;
use crate::program::{Program, errors};

const STEADY_STATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/configs/steady_state.toml");
const N_OBS: usize = 80;
/// Genes that vary from cell to cell, before one for each filter.
const VARIED: usize = 8;
/// Settings under which each of the last four genes fails one filter.
const SETTINGS: [&str; 2] = ["preprocess.min_shared_cells=5", "preprocess.n_top_genes=8"];

/// Genes v0 to v7 switch between many molecules and few; `few` has 12 counts in cells with both forms, `one` all of its counts in one cell,
/// `mute` none that are unspliced, `flat` as many in every cell.
fn made(program: &Program) {
    let names: Vec<String> = (0..VARIED).map(|gene| format!("v{gene}")).collect();
    let names = [names, ["few", "one", "mute", "flat"].map(str::to_owned).to_vec()].concat();
    let level = |cell: usize, gene: usize| if (cell + 10 * gene) % N_OBS < 27 { 9.0 } else { 1.0 + (cell % 2) as f32 };
    let layer = |of_unspliced: bool| {
        Csr::from_dense(
            Array2::from_shape_fn((N_OBS, names.len()), |(cell, gene)| {
                let scale = if of_unspliced { 1.0 } else { 2.0 };
                match names[gene].as_str() {
                    "few" => f32::from(u8::from(cell < 6)),
                    "one" => 50.0 * f32::from(u8::from(cell == 3)),
                    "mute" => 5.0 * (scale - 1.0),
                    "flat" => 4.0 * scale,
                    // Far above the others: the rest then shares a bin of mean expression, in which `flat` is compared with them.
                    "v7" => 150.0 * scale + scale * level(cell, gene),
                    _ => scale * level(cell, gene),
                }
            })
            .view(),
        )
    };
    let mut var = Frame { index: names.clone(), columns: Vec::new() };
    let id = |gene: usize| format!("ENSG000000000{gene:02}.3");
    var.set("gene_ids", Column::Text((0..names.len()).map(id).collect()));
    var.set(
        "mine",
        Column::Bool(names.iter().map(|name| ["v0", "v3", "few", "mute"].contains(&name.as_str())).collect()),
    );
    let new = NewFile {
        counts: vec![("spliced".to_owned(), layer(false)), ("unspliced".to_owned(), layer(true))],
        obs: Frame { index: (0..N_OBS).map(|cell| format!("c{cell}")).collect(), columns: Vec::new() },
        var,
        ..NewFile::default()
    };
    io::write_new(&program.path("made.h5ad"), &OutputConfig::default(), &new).unwrap();
}

fn explained(program: &Program, file: &str, changes: &[&str]) -> Explained {
    let settings = Settings::OfFile(changes.iter().map(|change| (*change).to_owned()).collect());
    explain(&ExplainJob { input: program.path(file), genes: Vec::new(), settings }, &mut Silent).unwrap()
}

/// A field of a gene's row.
fn field(csv: &str, gene: &str, column: &str) -> String {
    // Only verdicts are quoted, and no other field has a comma.
    let plain = |row: &str| {
        let parts: Vec<&str> = row.split('"').collect();
        let kept = parts
            .iter()
            .enumerate()
            .map(|(at, part)| if at % 2 == 1 { part.replace(',', ";") } else { (*part).to_owned() });
        kept.collect::<String>().split(',').map(str::to_owned).collect::<Vec<_>>()
    };
    let rows: Vec<Vec<String>> = csv.lines().map(plain).collect();
    let at = rows[0].iter().position(|name| name == column).unwrap_or_else(|| panic!("{column}: {:?}", rows[0]));
    rows.iter().find(|row| row[0] == gene).unwrap_or_else(|| panic!("{gene}"))[at].clone()
}

#[test]
fn the_filter_that_took_a_gene_is_named_with_value_and_bound() {
    let program = Program::new();
    made(&program);
    let set = SETTINGS.map(|setting| format!("--set {setting}")).join(" ");
    let said = program.succeed(&format!("explain made.h5ad --genes few,one,mute,flat,v2 {set}"));
    for wanted in [
        "few (ENSG00000000008.3): left out: shared counts 12 < 20, preprocess.min_shared_counts (6 spliced counts, 6 unspliced counts",
        "one (ENSG00000000009.3): left out: shared cells 1 < 5, preprocess.min_shared_cells",
        "mute (ENSG00000000010.3): left out: shared counts 0 < 20, preprocess.min_shared_counts (400 spliced counts, 0 unspliced",
        "flat (ENSG00000000011.3): left out: rank of variability 9 > 8, preprocess.n_top_genes",
        "v2 (ENSG00000000002.3): kept\n",
    ] {
        assert!(said.contains(wanted), "{wanted}:\n{said}");
    }
    let found = explained(&program, "made.h5ad", &SETTINGS);
    assert_eq!(found.taken(), [("shared_counts", 2), ("shared_cells", 1), ("variability_rank", 1)]);
    let csv = found.csv();
    let of = |gene: &str| {
        ["shared_counts", "shared_counts_wanted", "shared_counts_passes", "variability_rank_passes"]
            .map(|column| field(&csv, gene, column))
    };
    assert_eq!(of("few"), ["12", "at least 20", "false", ""]);
    assert_eq!(of("flat"), ["960", "at least 20", "true", "false"]);
    // Retained against a filter: kept, and the filter is told all the same.
    let said = program.succeed(&format!("explain made.h5ad --genes few {set} --set preprocess.retain_genes=[\"few\"]"));
    assert!(
        said.contains("kept by preprocessing as one of preprocess.retain_genes, against shared counts 12 < 20"),
        "{said}"
    );
}

#[test]
fn filters_take_as_many_genes_as_they_do_in_training() {
    let program = Program::new();
    let input = program.simulate("counts.h5ad", 200, 60, 1);
    let counts = io::read(&input, &InputConfig::default()).unwrap();
    for recipe in ["scvelo-0.3", "velovi"] {
        let changes = [
            format!("preprocess.recipe={recipe}"),
            "preprocess.min_shared_counts=60".to_owned(),
            "preprocess.min_shared_cells=20".to_owned(),
            "preprocess.n_top_genes=30".to_owned(),
        ];
        let config = Config::load(None, &changes).unwrap();
        let (data, report) = preprocess::run(&counts, &config.preprocess).unwrap();
        let found = explained(&program, "counts.h5ad", &changes.each_ref().map(String::as_str));
        let taken = |key: &str| found.taken().iter().filter(|(name, _)| *name == key).map(|(_, n)| n).sum::<usize>();
        assert_eq!(taken("shared_counts"), report.n_genes("shared_counts"));
        assert_eq!(taken("shared_cells"), report.n_genes("shared_cells"));
        assert_eq!(taken("variability_rank"), report.n_genes("not_variable"));
        let lines = ["line_r2", "line_slope", "expressed"].map(taken).iter().sum::<usize>();
        assert_eq!(lines, report.n_genes("no_line"));
        let all: usize = found.taken().iter().map(|(_, n)| n).sum();
        assert_eq!(60 - all, data.n_vars(), "{recipe}");
        assert!(["shared_counts", "variability_rank"].map(taken).iter().all(|&n| n > 0), "{:?}", found.taken());
        // What training says.
        let set = changes.map(|change| format!("--set {change}")).join(" ");
        let said =
            errors(&program.run(&format!("train {STEADY_STATE} --input counts.h5ad --output {recipe}.h5ad {set}")));
        let left = 60 - taken("shared_counts") - taken("shared_cells");
        assert!(said.contains(&format!("shared counts  {left:>6} genes")), "{said}");
    }
}

#[test]
fn of_a_fit_the_bounds_that_velocity_genes_passed_are_told() {
    let program = Program::new();
    program.simulate("counts.h5ad", 200, 40, 1);
    for model in ["steady_state", "dynamical", "soft_grid"] {
        let set = "--set preprocess.n_top_genes=30 --set model.kind=";
        let bound = if model == "soft_grid" { "" } else { " --set model.min_r2=0.5" };
        program.succeed(&format!("train --input counts.h5ad --output {model}.h5ad {set}{model}{bound}"));
        let file = FittedFile::open(&program.path(&format!("{model}.h5ad"))).unwrap();
        let chosen = file.var().get("velocity_genes").unwrap().truths().unwrap();
        let found = explained(&program, &format!("{model}.h5ad"), &[]);
        let csv = found.csv();
        let (mut used, mut failed) = (0, 0);
        for (gene, name) in file.var().index.iter().enumerate() {
            let verdict = found.verdict(gene);
            let kept = field(&csv, name, "kept") == "true";
            assert_eq!(field(&csv, name, "velocity_gene"), chosen[gene].to_string());
            assert_eq!(verdict == "kept: a velocity gene", chosen[gene], "{model}, {name}: {verdict}");
            assert_eq!(verdict.starts_with("left out: "), !kept, "{model}, {name}: {verdict}");
            // A gene that is fitted and not used names the bound that it failed.
            if kept && !chosen[gene] && verdict.starts_with("fitted") {
                assert!(["<=", ">="].iter().any(|sign| verdict.contains(sign)), "{model}, {name}: {verdict}");
                failed += 1;
            }
            used += usize::from(chosen[gene]);
        }
        assert!(used > 0 && failed > 0, "{model}: {used} velocity genes, {failed} failed");
        assert!(found.to_string().contains(&format!("{used} velocity genes")), "{found}");
    }
}

#[test]
fn listed_genes_are_trained_on_whatever_filters_say() {
    let program = Program::new();
    made(&program);
    let text = "few\r\nmute\r\nv1\r\nENSG00000000002\r\n";
    let wide: Vec<u8> = [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    fs::write(program.path("utf16.txt"), wide).unwrap();
    fs::write(program.path("marked.txt"), format!("\u{feff}{text}")).unwrap();
    let listed = ["v1", "v2", "few", "mute"].as_slice();
    let all = [&["v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7"], ["few", "one", "mute", "flat"].as_slice()].concat();
    let cases = [
        ("utf16.txt", listed),
        ("marked.txt", listed),
        ("mine", &["v0", "v3", "few", "mute"]),
        ("all", all.as_slice()),
    ];
    for (words, wanted) in cases {
        for recipe in ["scvelo-0.3", "velovi"] {
            let set = format!("--genes {words} --set preprocess.recipe={recipe} --set output.genes=fitted");
            program.succeed(&format!("train {STEADY_STATE} --input made.h5ad --output fit.h5ad {set}"));
            let file = FittedFile::open(&program.path("fit.h5ad")).unwrap();
            assert_eq!(file.var().index, wanted, "{words}, {recipe}");
        }
    }
    let refused = program.fail(&format!("train {STEADY_STATE} --input made.h5ad --output x.h5ad --genes none_such"), 2);
    assert!(
        refused.contains("preprocess.genes_from = \"none_such\": no such column; columns of truth values: \"mine\""),
        "{refused}"
    );
    let both = "--set preprocess.genes=[\"v0\",\"v1\"] --set preprocess.genes_from=all";
    let refused = program.fail(&format!("train {STEADY_STATE} --input made.h5ad --output x.h5ad {both}"), 2);
    assert!(refused.contains("preprocess.genes_from") && refused.contains("must be empty where"), "{refused}");
    // A file that was cut says what it cannot tell.
    let said = program.run("explain fit.h5ad --genes v0");
    assert!(errors(&said).contains("the file was cut to the fitted genes"), "{}", errors(&said));
}

/// A file and a column of one name: neither wins silently, and each can be named.
#[test]
fn a_list_of_genes_that_is_called_like_a_column_or_a_gene_is_asked_about() {
    let program = Program::new();
    made(&program);
    fs::write(program.path("mine"), "v1\nv2\nfew\n").unwrap();
    let train = |words: &str| {
        format!("train {STEADY_STATE} --input made.h5ad --output fit.h5ad --set output.genes=fitted --genes {words}")
    };
    let refused = program.fail(&train("mine"), 2);
    assert!(
        refused.contains("made.h5ad: var[\"mine\"]: --genes mine is this column of truth values, and a file"),
        "{refused}"
    );
    assert!(refused.contains("--genes ./mine for the file, --genes column:mine for the column"), "{refused}");
    assert!(!program.path("fit.h5ad").exists());
    let fitted = || FittedFile::open(&program.path("fit.h5ad")).unwrap().var().index.clone();
    program.succeed(&train("./mine"));
    assert_eq!(fitted(), ["v1", "v2", "few"]);
    program.succeed(&train("column:mine"));
    assert_eq!(fitted(), ["v0", "v3", "few", "mute"]);
    // A column without truth values cannot be meant.
    fs::write(program.path("gene_ids"), "v4\nv5\nfew\n").unwrap();
    program.succeed(&train("gene_ids"));
    assert_eq!(fitted(), ["v4", "v5", "few"]);
    program.succeed(&train("column:mine"));
    let graph = program.fail("graph fit.h5ad --genes mine", 2);
    assert!(graph.contains("--genes column:mine"), "{graph}");
    // The words for a gene and for a file that is called like it.
    fs::write(program.path("few"), "v1\n").unwrap();
    let explain = program.fail("explain made.h5ad --genes few", 2);
    assert!(
        explain.contains("--genes few is a gene, and a file") && explain.contains("--genes few, with"),
        "{explain}"
    );
    let (file, gene) =
        (program.succeed("explain made.h5ad --genes ./few"), program.succeed("explain made.h5ad --genes few,"));
    assert!(file.contains("v1") && !file.contains("few"), "{file}");
    assert!(gene.contains("few") && !gene.contains("v1"), "{gene}");
}

#[test]
fn genes_are_found_by_id_and_near_names_are_told() {
    let program = Program::new();
    made(&program);
    let output = program.run("explain made.h5ad --genes ENSG00000000009,FEW,flut");
    let (said, warned) = (String::from_utf8_lossy(&output.stdout).into_owned(), errors(&output));
    assert!(said.contains("one (ENSG00000000009.3)"), "{said}");
    assert!(warned.contains("\"FEW\" is not in the file; near are few"), "{warned}");
    let refused = program.fail("explain made.h5ad --genes flut", 2);
    assert!(refused.contains("made.h5ad: var: \"flut\" is not in the file; near are flat"), "{refused}");
    assert!(refused.contains("hint: the file's names look like \"v0\""), "{refused}");
}

/// The numbers are those of `nascent explain`; a gene that fell out is named with what it failed.
#[test]
fn the_report_tells_which_filter_took_which_gene() {
    let program = Program::new();
    made(&program);
    let settings = SETTINGS.map(|change| format!("--set {change}")).join(" ");
    program.succeed(&format!("train {STEADY_STATE} --input made.h5ad --output fit.h5ad {settings}"));
    program.succeed("graph fit.h5ad --set scores.draws=2 --genes all");
    program.succeed("report fit.h5ad");
    let page = fs::read_to_string(program.path("fit.report/report.html")).unwrap();
    // The graph was told to use all genes; how far the arrows can be trusted depends on those that the model chose.
    let chosen = opened(&program.path("fit.h5ad")).column(VELOCITY_GENES).and_then(Column::truths).unwrap();
    let chosen = chosen.into_iter().filter(|&chosen| chosen).count();
    assert!(page.contains(&format!("the model itself chose {chosen} as velocity genes")), "{chosen}");
    let section = page.split("<h2>Genes that fell out</h2>").nth(1).expect("the section");
    let section = section.split("</section>").next().unwrap();
    for (filter, taken) in explained(&program, "fit.h5ad", &[]).taken() {
        if filter == "shared_counts" || filter == "shared_cells" {
            let row = format!("<td>preprocessing</td><td>{taken}</td>");
            assert!(taken > 0 && section.contains(&row), "{filter}: {section}");
        }
    }
    assert!(section.contains("<td>few</td><td>left out: "), "{section}");
    assert!(!section.contains("<td>v0</td><td>kept"), "{section}");
    assert!(section.contains("nascent explain fit.h5ad --genes few"), "{section}");
}

#[test]
fn inspect_and_report_take_layers_by_the_names_that_are_set() {
    let program = Program::new();
    program.simulate("counts.h5ad", 150, 30, 1);
    program.succeed(&format!("train {STEADY_STATE} --input counts.h5ad --output fit.h5ad"));
    program.succeed("graph fit.h5ad");
    for name in ["counts.h5ad", "fit.h5ad"] {
        let file = io::h5_options().open_rw(program.path(name)).unwrap();
        file.relink("layers/spliced", "layers/ripe").unwrap();
        file.relink("layers/unspliced", "layers/raw").unwrap();
        file.close().unwrap();
    }
    let set = "--set input.spliced=ripe --set input.unspliced=raw";
    assert!(program.succeed("inspect counts.h5ad").contains("not ready for velocity"));
    let said = program.succeed(&format!("inspect counts.h5ad {set}"));
    for wanted in [
        "ready for velocity: ",
        "taken are layers \"ripe\" and \"raw\"",
        "  sample ",
        &format!("--output velocity.h5ad {set}"),
    ] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    let wrong = program.fail("inspect counts.h5ad --set input.spliced=rip --set input.unspliced=raw", 2);
    assert!(wrong.contains("layers[\"rip\"]: not found; layers present: ") && wrong.contains("\"ripe\""), "{wrong}");

    let page = |set: &str| {
        program.succeed(&format!("report fit.h5ad {set}"));
        fs::read_to_string(program.path("fit.report/report.html")).unwrap()
    };
    assert!(page("").contains("The file does not have both layers of counts"));
    assert!(page(set).contains("% of the molecules"));
    let wrong = program.fail("report fit.h5ad --set input.spliced=rip", 2);
    assert!(wrong.contains("layers[\"rip\"]: not found"), "{wrong}");
    assert!(program.succeed(&format!("explain counts.h5ad {set}")).contains("shared counts at least 20"));
}
