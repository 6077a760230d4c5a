//! `nascent inspect`: what lies at a path, what is missing, what is too little or too much, and how to get on.

use std::fs;

use hdf5::types::VarLenUnicode;
use nascent::data::{Column, Frame};
use nascent::io::{self, NewFile, OutputConfig};
use nascent::sparse::Csr;
use ndarray::Array2;
use serde_json::Value;

use crate::import_made::{MOLECULES, molecule_info};
use crate::program::Program;
use crate::shared::shared;

fn json(program: &Program, words: &str) -> Value {
    serde_json::from_str(&program.succeed(&format!("inspect {words} --json"))).expect("one JSON object")
}

fn says(found: &Value, key: &str, part: &str) {
    let text = match &found[key] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    assert!(text.contains(part), "{key}: {part}: {found}");
}

/// Ten cells of each sample with `spliced` and `unspliced` molecules of one gene each.
fn samples(program: &Program, file: &str, of: &[(&str, f32, f32)]) {
    let layer = |pick: fn(&(&str, f32, f32)) -> f32| {
        let rows: Vec<Vec<(u32, f32)>> = of.iter().flat_map(|sample| vec![vec![(0, pick(sample))]; 10]).collect();
        Csr::from_rows(2, &rows)
    };
    let labels = of.iter().flat_map(|sample| vec![sample.0.to_owned(); 10]).collect();
    let mut obs = Frame { index: (0..10 * of.len()).map(|at| format!("c{at}")).collect(), columns: Vec::new() };
    obs.set("sample", Column::Text(labels));
    let new = NewFile {
        counts: vec![
            ("spliced".to_owned(), layer(|sample| sample.1)),
            ("unspliced".to_owned(), layer(|sample| sample.2)),
        ],
        obs,
        var: Frame { index: vec!["A".to_owned(), "B".to_owned()], columns: Vec::new() },
        ..NewFile::default()
    };
    io::write_new(&program.path(file), &OutputConfig::default(), &new).unwrap();
}

#[test]
fn shares_of_each_sample_are_told_with_too_little_and_too_much() {
    let program = Program::new();
    let of = [
        ("ctrl", 80.0, 20.0),
        ("low", 970.0, 30.0),
        ("none", 9990.0, 10.0),
        ("nuclei", 40.0, 60.0),
        ("odd", 5.0, 95.0),
    ];
    samples(&program, "many.h5ad", &of);
    let found = json(&program, "many.h5ad");
    let shares = found["samples"].as_array().unwrap();
    let names: Vec<&str> = shares.iter().map(|sample| sample["sample"].as_str().unwrap()).collect();
    assert_eq!(names, ["ctrl", "low", "none", "nuclei", "odd"]);
    let unspliced: Vec<f64> = shares.iter().map(|sample| sample["unspliced"].as_f64().unwrap()).collect();
    for (share, sample) in unspliced.iter().zip(of) {
        assert!((share - f64::from(sample.2 / (sample.1 + sample.2))).abs() < 1e-6, "{share} {sample:?}");
    }
    let warnings: Vec<&str> = found["warnings"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    let of_sample = |name: &str| warnings.iter().find(|text| text.starts_with(&format!("sample {name}:"))).copied();
    assert_eq!(of_sample("ctrl"), None);
    assert!(of_sample("low").unwrap().contains("only 3.0 %"), "{warnings:?}");
    assert!(of_sample("none").unwrap().contains("0.10 % of the molecules are unspliced, which is next to none"));
    assert!(of_sample("nuclei").unwrap().contains("60.0 % of the molecules are unspliced: nuclei have so many"));
    assert!(of_sample("odd").unwrap().contains("are the layers each other's?"));
    assert!(warnings.iter().any(|text| text.contains("from 0.1 to 95.0 %")), "{warnings:?}");
    assert_eq!((&found["ready"], &found["n_obs"]), (&true.into(), &50.into()));
    says(&found, "next", "nascent train --input many.h5ad --output velocity.h5ad");
    let said = program.succeed("inspect many.h5ad");
    assert!(said.contains("  sample ctrl         10 cells, 1000 molecules, 20.0 % unspliced"), "{said}");
    assert!(said.contains("warning: sample low: only 3.0 %"), "{said}");
}

#[test]
fn a_file_of_normalised_values_is_sent_to_a_model_that_takes_them() {
    let program = Program::new();
    let path = program.simulate("scaled.h5ad", 120, 30, 1);
    assert_eq!(json(&program, "scaled.h5ad")["next"], "nascent train --input scaled.h5ad --output velocity.h5ad");
    let file = io::h5_options().open_rw(&path).unwrap();
    for layer in ["spliced", "unspliced"] {
        let data = file.dataset(&format!("layers/{layer}/data")).unwrap();
        let values: Vec<f32> = data.read_raw().unwrap();
        data.write_raw(&values.iter().map(|value| value * 0.3737).collect::<Vec<f32>>()).unwrap();
    }
    file.close().unwrap();
    let found = json(&program, "scaled.h5ad");
    let next = found["next"].as_str().unwrap();
    assert_eq!(next, "nascent train --input scaled.h5ad --output velocity.h5ad --set model.likelihood=gaussian");
    program.succeed(&format!("{} --set preprocess.min_shared_counts=0", next.trim_start_matches("nascent ")));
}

#[test]
fn repeated_names_and_empty_cells_are_found() {
    let program = Program::new();
    let new = NewFile {
        counts: vec![
            ("spliced".to_owned(), Csr::from_rows(2, &[vec![(0, 8.0)], vec![], vec![(1, 8.0)]])),
            ("unspliced".to_owned(), Csr::from_rows(2, &[vec![(0, 4.0)], vec![], vec![]])),
        ],
        obs: Frame { index: ["a", "b", "a"].map(str::to_owned).to_vec(), columns: Vec::new() },
        var: Frame { index: ["A", "A"].map(str::to_owned).to_vec(), columns: Vec::new() },
        ..NewFile::default()
    };
    io::write_new(&program.path("odd.h5ad"), &OutputConfig::default(), &new).unwrap();
    let found = json(&program, "odd.h5ad");
    says(&found, "warnings", "1 cell names occur more than once");
    says(&found, "warnings", "adata.var_names_make_unique()");
    says(&found, "warnings", "1 of 3 cells have no molecule");
    says(&found, "warnings", "1 of 3 cells have no unspliced molecule");
}

#[test]
fn a_processed_file_without_counts_is_to_be_merged() {
    let program = Program::new();
    let mut obs = Frame { index: vec!["a".to_owned()], columns: Vec::new() };
    obs.set("orig.ident", Column::Text(vec!["s".to_owned()]));
    obs.set("nCount_RNA", Column::Float(vec![3.0]));
    let mut new = NewFile {
        x: Some(Csr::from_rows(1, &[vec![(0, 0.6)]])),
        obs,
        var: Frame { index: vec!["A".to_owned()], columns: Vec::new() },
        obsm: vec![("X_umap".to_owned(), Array2::zeros((1, 2)))],
        ..NewFile::default()
    };
    let write = |new: &NewFile| io::write_new(&program.path("p.h5ad"), &OutputConfig::default(), new).unwrap();
    write(&new);
    let found = json(&program, "p.h5ad");
    says(&found, "what", "an object of Seurat");
    says(&found, "missing", "layers with spliced and unspliced counts");
    says(&found, "next", "nascent merge p.h5ad COUNTS --output merged.h5ad");
    assert_eq!(found["ready"], false);
    // Probes bind to what is spliced: there is nothing to merge.
    let flex = Column::Categorical {
        codes: vec![Some(0)],
        categories: vec!["10x gene expression flex".to_owned()],
        ordered: false,
    };
    new.obs.set("assay", flex);
    write(&new);
    let found = json(&program, "p.h5ad");
    says(&found, "what", "chemistry: 10x gene expression flex");
    says(&found, "warnings", "this assay counts probes");
    assert_eq!(found["next"], Value::Null);
}

#[test]
fn cell_rangers_files_lead_to_its_molecules_or_nowhere() {
    let program = Program::new();
    fs::create_dir_all(program.path("outs")).unwrap();
    molecule_info(&program.path("outs/molecule_info.h5"), 6, true, &MOLECULES);
    let matrix = |chemistry: &str| {
        let file = io::h5_options().create(program.path("outs/filtered_feature_bc_matrix.h5")).unwrap();
        let word = |word: &str| -> VarLenUnicode { word.parse().unwrap() };
        for (name, value) in [("chemistry_description", chemistry), ("software_version", "cellranger-10.0.0")] {
            file.new_attr::<VarLenUnicode>().create(name).unwrap().write_scalar(&word(value)).unwrap();
        }
        let features = file.create_group("matrix/features").unwrap();
        let list = |group: &hdf5::Group, name: &str, words: &[&str]| {
            group
                .new_dataset_builder()
                .with_data(&words.iter().map(|text| word(text)).collect::<Vec<_>>())
                .create(name)
                .unwrap();
        };
        list(&features, "id", &["g1", "g2"]);
        list(&features, "feature_type", &["Gene Expression", "Gene Expression"]);
        list(&file.group("matrix").unwrap(), "barcodes", &["AAAA-1", "CCCC-1", "GGGG-1"]);
    };
    matrix("Single Cell 3' v3");
    let found = json(&program, "outs/filtered_feature_bc_matrix.h5");
    says(
        &found,
        "what",
        "a matrix of cellranger-10.0.0: 3 barcodes x 2 features (Gene Expression); chemistry: Single Cell 3' v3",
    );
    says(&found, "next", "nascent import outs/molecule_info.h5 --output counts.h5ad");
    // The command works as it is.
    program.succeed("import outs/molecule_info.h5 --output counts.h5ad");
    let imported = json(&program, "counts.h5ad");
    says(&imported, "what", "counts that nascent import read from molecule_info.h5 of Cell Ranger");
    let molecules = json(&program, "outs/molecule_info.h5");
    says(&molecules, "what", "molecule_info.h5 of Cell Ranger: 3 barcodes, 2 genes");
    assert_eq!(molecules["samples"][0]["unspliced"], 0.5);
    for chemistry in ["Flex Gene Expression", "Visium V4 Slide - FFPE v2"] {
        matrix(chemistry);
        let found = json(&program, "outs/filtered_feature_bc_matrix.h5");
        says(&found, "warnings", "this assay counts probes");
        assert_eq!(found["next"], Value::Null);
    }
    molecule_info(&program.path("off.h5"), 6, false, &MOLECULES);
    let off = json(&program, "off.h5");
    says(&off, "missing", "did not count introns");
    says(&off, "next", "--include-introns=true");
}

#[test]
fn what_is_no_counts_is_told_apart() {
    let program = Program::new();
    for (name, what, next) in [
        ("possorted_genome_bam.bam", "aligned reads", "molecule_info.h5"),
        ("a.fastq.gz", "reads", "kb count"),
        ("seurat.rds", "an R object", "zellkonverter"),
    ] {
        fs::write(program.path(name), "x").unwrap();
        let found = json(&program, name);
        says(&found, "what", what);
        says(&found, "next", next);
    }
    fs::create_dir_all(program.path("Gene/raw")).unwrap();
    says(&json(&program, "."), "next", "--soloFeatures Gene Velocyto");
    let nothing = program.fail("inspect nowhere.h5ad", 2);
    assert!(nothing.contains("no such file"), "{nothing}");
}

#[test]
fn what_pipelines_wrote_is_named_with_the_command_that_reads_it() {
    let program = Program::new();
    for (path, what) in [
        ("velocyto_0.17.17/sample1.loom", "a loom file of velocyto: 70 barcodes, 48 genes"),
        ("starsolo_2.7.10b/Solo.out", "a Velocyto folder of STARsolo: 70 barcodes, 48 genes"),
        ("kb_0.30.2_nac", "a folder of kb-python: 110 barcodes, 48 genes"),
        ("alevin-fry_0.19.0_usa", "a folder of alevin-fry: 91 barcodes, 48 genes"),
    ] {
        let Some(path) = shared(&format!("data/pipelines/{path}")) else { return };
        let found = json(&program, &path.display().to_string());
        says(&found, "what", what);
        let command = found["next"].as_str().unwrap().strip_prefix("nascent ").unwrap().to_owned();
        assert!(command.starts_with("import "), "{command}");
        program.succeed(&command.replace(" --min-molecules 500", " --min-molecules 50"));
        let share = found["samples"][0]["unspliced"].as_f64().unwrap();
        assert!((0.2..0.7).contains(&share), "{found}");
    }
    let Some(kb) = shared("data/pipelines/kb_0.30.2_nac/counts_unfiltered/adata.h5ad") else { return };
    let found = json(&program, &kb.display().to_string());
    says(&found, "what", "counts of kb-python (layers mature, nascent)");
    says(&found, "next", "nascent import");
    says(&found, "warnings", "count them as spliced");
}
