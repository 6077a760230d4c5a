//! `nascent merge`: what becomes of the processed file.

use nascent::data::{Column, Frame};
use nascent::io::{self, InputConfig, NewFile, OutputConfig, Uns};
use nascent::sparse::Csr;
use ndarray::Array2;

use crate::merge_names::{GENES, barcode, count, counts, processed, text};
use crate::program::{Program, errors};
use crate::shared::{pythons, shared};

fn cells(of: std::ops::Range<usize>) -> Vec<String> {
    of.map(|at| format!("{}-1", barcode(0, at))).collect()
}

/// Twelve cells, of which the counts have ten.
fn incomplete(program: &Program) {
    counts(program, "counts.h5ad", 0, &(2..20).collect::<Vec<_>>(), |barcode| barcode);
    processed(program, &cells(0..12), &GENES, vec![("clusters", text(&["a"; 12]))]);
}

#[test]
fn cells_without_counts_go_or_stay_with_zeros_as_wanted() {
    let program = Program::new();
    incomplete(&program);
    let output = program.run("merge processed.h5ad counts.h5ad --output merged.h5ad");
    let (said, warned) = (String::from_utf8_lossy(&output.stdout).into_owned(), errors(&output));
    assert!(said.contains("wrote merged.h5ad: 10 cells, 3 genes") && said.contains("8 others of the counts"), "{said}");
    assert!(
        warned.contains("2 of the 12 processed cells have no counts (\"") && warned.contains("left out"),
        "{warned}"
    );
    let merged = io::read(&program.path("merged.h5ad"), &InputConfig::default()).unwrap();
    assert_eq!(merged.obs.index, cells(2..12));
    let said = program.succeed("merge processed.h5ad counts.h5ad --keep-unmatched --output kept.h5ad");
    assert!(said.contains("wrote kept.h5ad: 12 cells"), "{said}");
    let kept = io::read(&program.path("kept.h5ad"), &InputConfig::default()).unwrap();
    assert_eq!((kept.obs.index.clone(), kept.spliced.row_nnz(0), kept.spliced.row_nnz(2)), (cells(0..12), 0, 3));
    let Some(Column::Bool(has)) = kept.obs.get("has_counts") else { panic!("{:?}", kept.obs) };
    assert_eq!(has.iter().filter(|has| **has).count(), 10);
    assert_eq!(merged.spliced, kept.spliced.select_rows(&(2..12).collect::<Vec<_>>()));
}

#[test]
fn layers_that_are_there_are_replaced_when_asked_for() {
    let program = Program::new();
    incomplete(&program);
    program.succeed("merge processed.h5ad counts.h5ad --output merged.h5ad");
    let refused = program.fail("merge merged.h5ad counts.h5ad --output again.h5ad", 2);
    assert!(refused.contains("such layers already: spliced, unspliced") && refused.contains("--replace"), "{refused}");
    program.succeed("merge merged.h5ad counts.h5ad --replace --output again.h5ad");
    let [once, twice] =
        ["merged.h5ad", "again.h5ad"].map(|name| io::read(&program.path(name), &InputConfig::default()).unwrap());
    assert_eq!((once.spliced, once.unspliced), (twice.spliced, twice.unspliced));
    let size = |name: &str| std::fs::metadata(program.path(name)).unwrap().len();
    assert!(size("again.h5ad") < size("merged.h5ad") + 4096);
}

#[test]
fn settings_that_cannot_be_are_refused_before_anything_is_written() {
    let program = Program::new();
    incomplete(&program);
    for (words, said) in [
        ("--min-cells 1.5", "--min-cells = 1.5: must be a share, from 0 to 1"),
        ("--sample-column day", "--sample-column = day: must be a column of obs: clusters"),
        ("--min-cells 0.9", "10 of 12 cells were found in the counts (83.3 %, at least 90 % are wanted)"),
    ] {
        let refused = program.fail(&format!("merge processed.h5ad counts.h5ad --output x.h5ad {words}"), 2);
        assert!(refused.contains(said), "{refused}");
    }
    assert!(!program.path("x.h5ad").exists());
}

/// The same reads through STAR: the cells of the loom file stand for a processed file.
#[test]
fn what_pipelines_wrote_is_merged_as_it_is() {
    let (Some(loom), Some(solo)) =
        (shared("data/pipelines/velocyto_0.17.17/sample1.loom"), shared("data/pipelines/starsolo_2.7.10b/Solo.out"))
    else {
        return;
    };
    let program = Program::new();
    program.succeed(&format!("import {} --output velocyto.h5ad", loom.display()));
    let words = format!("merge velocyto.h5ad {} --replace --output merged.h5ad", solo.display());
    let said = program.succeed(&words);
    assert!(said.contains("sample1:BARCODEx = BARCODE") && said.contains("70 of 70 have counts"), "{said}");
    assert!(said.contains("genes: 48 of 48 have counts (100.0 %), by var[\"gene_ids\"] = ids of the counts"), "{said}");
    // Golden: scipy 1.13.1 `mmread` of the files of STAR 2.7.10b.
    assert!(said.contains("molecules: 19202, 24.4 % unspliced, 5.1 % ambiguous"), "{said}");
    program.succeed(&format!("import {} --output solo.h5ad", solo.display()));
    let [merged, own] =
        ["merged.h5ad", "solo.h5ad"].map(|name| io::read(&program.path(name), &InputConfig::default()).unwrap());
    for (row, name) in merged.obs.get("barcode").unwrap().to_labels().iter().enumerate() {
        let at = own.obs.index.iter().position(|other| other == name).expect("a cell");
        let by_id = |counts: &nascent::data::Counts, layer: &Csr<f32>, row: usize| {
            let ids = counts.var.get("gene_ids").unwrap().to_labels();
            let (genes, values) = layer.row(row);
            let mut found: Vec<_> =
                genes.iter().zip(values).map(|(&gene, &value)| (ids[gene as usize].clone(), value as u32)).collect();
            found.sort();
            found
        };
        assert_eq!(by_id(&merged, &merged.spliced, row), by_id(&own, &own.spliced, at), "{name}");
        assert_eq!(by_id(&merged, &merged.unspliced, row), by_id(&own, &own.unspliced, at), "{name}");
    }
}

/// Python makes files as scanpy and the converters from R leave them, and finds everything in them afterwards.
#[test]
fn everything_in_the_processed_file_survives() {
    for python in pythons() {
        let program = Program::new();
        counts(&program, "counts.h5ad", 0, &(2..20).collect::<Vec<_>>(), |barcode| format!("s1:{barcode}x"));
        counts(&program, "all.h5ad", 0, &(0..20).collect::<Vec<_>>(), |barcode| format!("s1:{barcode}x"));
        std::fs::write(program.path("cells.txt"), cells(0..12).join("\n")).unwrap();
        let script = |what: &str| {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/check_merge.py");
            let output =
                std::process::Command::new(&python).arg(path).arg(what).arg(program.path("")).output().unwrap();
            let words = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            assert!(output.status.success(), "check_merge.py {what}:\n{}", words(&output.stderr));
            words(&output.stdout)
        };
        let made = script("make");
        for name in made.split_whitespace() {
            for (counts, out) in [("all.h5ad", "whole"), ("counts.h5ad", "cut")] {
                program.succeed(&format!("merge {name}.h5ad {counts} --output {name}.{out}.h5ad"));
                let merged = io::read(&program.path(&format!("{name}.{out}.h5ad")), &InputConfig::default()).unwrap();
                let row = merged.obs.index.iter().position(|cell| cell.contains(&barcode(0, 5))).expect("the cell");
                assert_eq!(merged.spliced.row(row).1, [3, 0, 4].map(|gene| count(0, 5, gene)), "{name} {out}");
            }
        }
        script("check");
    }
}

/// A merged file is trained on.
#[test]
fn a_merged_file_is_ready_to_train() {
    let program = Program::new();
    let simulated = program.simulate("simulated.h5ad", 120, 20, 1);
    let source = io::read(&simulated, &InputConfig::default()).unwrap();
    let names: Vec<String> = (0..120).map(|at| barcode(0, at)).collect();
    let frame = |names: &[String]| Frame { index: names.to_vec(), columns: Vec::new() };
    let var = frame(&source.var.index);
    let counts = NewFile {
        counts: vec![("spliced".to_owned(), source.spliced), ("unspliced".to_owned(), source.unspliced)],
        obs: frame(&names),
        var: var.clone(),
        ..NewFile::default()
    };
    let own = NewFile {
        x: source.x,
        obs: frame(&names.iter().map(|name| format!("{name}-1")).collect::<Vec<_>>()),
        var,
        obsm: vec![("X_umap".to_owned(), Array2::from_elem((120, 2), 0.5))],
        uns: vec![("title".to_owned(), Uns::Text("mine".to_owned()))],
        ..NewFile::default()
    };
    io::write_new(&program.path("counts.h5ad"), &OutputConfig::default(), &counts).unwrap();
    io::write_new(&program.path("own.h5ad"), &OutputConfig::default(), &own).unwrap();
    let said = program.succeed("merge own.h5ad counts.h5ad --output merged.h5ad");
    assert!(said.ends_with("next: nascent train --input merged.h5ad --output velocity.h5ad\n"), "{said}");
    let steady = concat!(env!("CARGO_MANIFEST_DIR"), "/configs/steady_state.toml");
    program.succeed(&format!("train {steady} --input merged.h5ad --output velocity.h5ad"));
    assert!(program.succeed("inspect velocity.h5ad").contains("title"));
}
