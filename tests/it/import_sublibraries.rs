//! `nascent import` on Parse's sublibraries, one by one and combined, made by the rules of split-pipe.

use std::fs;

use nascent::data::Counts;

use crate::import::import;
use crate::import_made::rows;
use crate::program::Program;

const HEAD: &str = "bc_wells,gene,gene_name,exonic\n";

/// A run of split-pipe: its transcripts, and its list of called cells.
fn run(program: &Program, name: &str, transcripts: Option<&str>, cells: &str) {
    let folder = program.path(name);
    fs::create_dir_all(folder.join("all-sample/DGE_filtered")).unwrap();
    let list = format!("bc_wells,sample,bc1_well\n{cells}");
    fs::write(folder.join("all-sample/DGE_filtered/cell_metadata.csv"), list).unwrap();
    if let Some(transcripts) = transcripts {
        fs::create_dir_all(folder.join("process")).unwrap();
        fs::write(folder.join("process/tscp_assignment.csv"), format!("{HEAD}{transcripts}")).unwrap();
    }
}

/// Two sublibraries with the same wells, each with a gene that the other lacks, and what they were combined to.
fn sublibraries(program: &Program) {
    let one = "01_01_01,G1,A,True\n01_01_01,G2,B,False\n01_01_02,G1,A,False\n09_09_09,G1,A,True\n";
    let two = "01_01_01,G3,C,True\n01_01_01,G3,C,True\n01_01_03,G1,A,False\n01_01_03,G1,A,True\n01_01_03,G1,A,True\n";
    run(program, "sub_a", Some(one), "01_01_01,ctrl,A1\n01_01_02,drug,A2\n");
    run(program, "sub_b", Some(two), "01_01_01,ctrl,A1\n01_01_03,drug,A3\n");
    // The second cell of the first sublibrary is not called any more.
    run(program, "comb", None, "01_01_03__s2,drug,A3\n01_01_01__s1,ctrl,A1\n01_01_01__s2,ctrl,A1\n");
}

fn log(program: &Program, entries: [&str; 2]) {
    let line = |(number, place): (usize, &&str)| format!("# sublibraries              Item_{number}_of_2\t{place}\n");
    let lines: String = (1..).zip(&entries).map(line).collect();
    fs::write(program.path("comb/split-pipe_v1_8_2.log"), format!("# Starting split-pipe\n{lines}# All done\n"))
        .unwrap();
}

fn labels(counts: &Counts, column: &str) -> Vec<String> {
    counts.obs.get(column).unwrap().to_labels()
}

/// The called cells of the combined run, sublibrary by sublibrary; genes are A, B, C.
fn is_combined(counts: &Counts) {
    assert_eq!(counts.obs.index, ["01_01_01__s1", "01_01_03__s2", "01_01_01__s2"]);
    assert_eq!(labels(counts, "sample"), ["sub_a", "sub_b", "sub_b"]);
    assert_eq!(labels(counts, "parse_sample"), ["ctrl", "drug", "ctrl"]);
    assert_eq!(labels(counts, "bc1_well"), ["A1", "A3", "A1"]);
    let genes = ["A", "B", "C"].map(|name| counts.var.index.iter().position(|own| own == name).unwrap());
    let spliced = [[1.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 2.0]];
    let unspliced = [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]];
    for (layer, wanted) in [(&counts.spliced, spliced), (&counts.unspliced, unspliced)] {
        let dense = layer.to_dense();
        for (cell, wanted) in wanted.iter().enumerate() {
            assert_eq!(genes.map(|gene| dense[[cell, gene]]).as_slice(), wanted.as_slice(), "cell {cell}");
        }
    }
}

#[test]
fn sublibraries_of_parse_keep_their_cells_apart_and_the_genes_of_all() {
    let program = Program::new();
    sublibraries(&program);
    let (counts, said) = import(&program, "sub_a sub_b");
    assert_eq!(counts.obs.index, ["sub_a:01_01_01", "sub_a:01_01_02", "sub_b:01_01_01", "sub_b:01_01_03"]);
    assert_eq!(labels(&counts, "sample"), ["sub_a", "sub_a", "sub_b", "sub_b"]);
    assert_eq!(labels(&counts, "parse_sample"), ["ctrl", "drug", "ctrl", "drug"]);
    assert_eq!(counts.var.index, ["A", "B", "C"]);
    let spliced: [&[f32]; 4] = [&[1.0, 0.0, 0.0], &[0.0, 0.0, 0.0], &[0.0, 0.0, 2.0], &[2.0, 0.0, 0.0]];
    let unspliced: [&[f32]; 4] = [&[0.0, 1.0, 0.0], &[1.0, 0.0, 0.0], &[0.0, 0.0, 0.0], &[1.0, 0.0, 0.0]];
    assert_eq!(counts.spliced, rows(&spliced));
    assert_eq!(counts.unspliced, rows(&unspliced));
    assert!(said.contains("4 cells of 2 samples"), "{said}");
}

#[test]
fn a_combined_run_of_parse_finds_its_sublibraries_by_its_log_in_whichever_order_they_are_given() {
    let program = Program::new();
    sublibraries(&program);
    // They were elsewhere when they were combined.
    log(&program, ["/gone/sub_a", "/gone/sub_b"]);
    is_combined(&import(&program, "comb").0);
    is_combined(&import(&program, "comb sub_a sub_b").0);
    let (turned, _) = import(&program, "sub_b comb sub_a");
    assert_eq!(turned.obs.index, ["01_01_03__s2", "01_01_01__s2", "01_01_01__s1"]);
    assert_eq!(turned.spliced.row_sums(), [2.0, 2.0, 1.0]);
    let (all, _) = import(&program, "comb --min-molecules 1");
    let cells = ["01_01_01__s1", "01_01_02__s1", "09_09_09__s1", "01_01_01__s2", "01_01_03__s2"];
    assert_eq!(all.obs.index, cells);
    let said = program.succeed("inspect comb");
    assert!(said.contains("3 barcodes of 2 samples, 3 genes"), "{said}");
}

#[test]
fn sublibraries_of_parse_that_cannot_be_those_that_were_combined_are_refused() {
    let program = Program::new();
    sublibraries(&program);
    let unknown = program.fail("import comb --output x.h5ad", 2);
    assert!(
        unknown.contains("no log (split-pipe_v*.log) says where") && unknown.contains("COMBINED SUB1 SUB2"),
        "{unknown}"
    );
    // Without a log they are taken in the order in which they are given, and cells tell if that is wrong.
    is_combined(&import(&program, "comb sub_a sub_b").0);
    let turned = program.fail("import comb sub_b sub_a --output x.h5ad", 2);
    assert!(turned.contains("1 of the 2 cells …__s2") && turned.contains("have no transcript here"), "{turned}");
    assert!(turned.contains("in the order in which they were combined"), "{turned}");
    let one = program.fail("import comb sub_a --output x.h5ad", 2);
    assert!(one.contains("2 sublibraries are in this combined run, 1 were given"), "{one}");
    log(&program, ["/gone/sub_a", "/gone/sub_c"]);
    let lacking = program.fail("import comb --output x.h5ad", 2);
    assert!(lacking.contains("sublibrary 2 was not found") && lacking.contains("/gone/sub_c"), "{lacking}");
    let other = program.fail("import comb sub_a sub_b --output x.h5ad", 2);
    assert!(
        other.contains("does not say which sublibrary \"sub_b\" is") && other.contains("1 sub_a, 2 sub_c"),
        "{other}"
    );
    let half = program.fail("import comb sub_a --output x.h5ad", 2);
    assert!(half.contains("there are cells of sublibrary 2, which was not given"), "{half}");
    let twice = program.fail("import comb sub_a sub_a/process --output x.h5ad", 2);
    assert!(twice.contains("sublibrary 1 was given twice"), "{twice}");
    assert!(!program.path("x.h5ad").exists());
}

#[test]
fn a_combined_run_of_parse_with_transcripts_of_its_own_is_read_as_it_is() {
    let program = Program::new();
    let transcripts = "01_01_01__s1,G1,A,True\n01_01_01__s2,G1,A,False\n01_01_01__s2,G1,A,False\n";
    run(&program, "comb", Some(transcripts), "01_01_01__s2,drug,A1\n01_01_01__s1,ctrl,A1\n");
    let (counts, _) = import(&program, "comb");
    assert_eq!(counts.obs.index, ["01_01_01__s2", "01_01_01__s1"]);
    assert_eq!(labels(&counts, "parse_sample"), ["drug", "ctrl"]);
    assert_eq!(counts.spliced, rows(&[&[0.0], &[1.0]]));
    assert_eq!(counts.unspliced, rows(&[&[2.0], &[0.0]]));
}
