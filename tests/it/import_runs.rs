//! `nascent import` on pairs of matrices: two runs with introns and without, in Cell Ranger's `.h5`, and what dropEst's matrices become.

use std::fs;
use std::path::Path;

use hdf5::types::FixedAscii;
use nascent::io;

use crate::import::import;
use crate::import_made::{rows, ten_x};
use crate::program::Program;

/// A file as Cell Ranger 3 and later write it: counts of two genes and an antibody between them, one row for each barcode.
fn matrix_file(path: &Path, barcodes: &[&str], counts: &[[i32; 3]]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = io::h5_options().create(path).unwrap();
    let matrix = file.create_group("matrix").unwrap();
    let texts = |group: &hdf5::Group, name: &str, words: &[&str]| {
        let words: Vec<FixedAscii<20>> = words.iter().map(|word| FixedAscii::from_ascii(word).unwrap()).collect();
        group.new_dataset_builder().with_data(&words).create(name).unwrap();
    };
    texts(&matrix, "barcodes", barcodes);
    let features = matrix.create_group("features").unwrap();
    texts(&features, "id", &["G1", "AB", "G2"]);
    texts(&features, "name", &["A", "CD3", "B"]);
    texts(&features, "feature_type", &["Gene Expression", "Antibody Capture", "Gene Expression"]);
    texts(&features, "genome", &["GRCh38", "", "GRCh38"]);
    let (mut indptr, mut indices, mut data) = (vec![0_i64], Vec::new(), Vec::new());
    for row in counts {
        for (feature, &count) in (0_i64..).zip(row).filter(|(_, count)| **count > 0) {
            indices.push(feature);
            data.push(count);
        }
        indptr.push(i64::try_from(data.len()).unwrap());
    }
    matrix.new_dataset_builder().with_data(&indptr).create("indptr").unwrap();
    matrix.new_dataset_builder().with_data(&indices).create("indices").unwrap();
    matrix.new_dataset_builder().with_data(&data).create("data").unwrap();
    matrix.new_dataset_builder().with_data(&[3_u64, barcodes.len() as u64]).create("shape").unwrap();
}

const CELLS: [&str; 3] = ["AAAAAAAA-1", "CCCCCCCC-1", "GGGGGGGG-1"];

/// Without introns, and with them: barcodes stand in another order.
fn two_runs(program: &Program) {
    matrix_file(&program.path("without/outs/raw_feature_bc_matrix.h5"), &CELLS, &[[5, 7, 3], [0, 0, 1], [0, 1, 0]]);
    let turned = ["GGGGGGGG-1", "CCCCCCCC-1", "AAAAAAAA-1"];
    matrix_file(&program.path("with/outs/raw_feature_bc_matrix.h5"), &turned, &[[7, 1, 0], [4, 0, 1], [9, 7, 2]]);
}

#[test]
fn two_runs_may_be_files_of_cell_ranger() {
    let program = Program::new();
    two_runs(&program);
    let raw = "without/outs/raw_feature_bc_matrix.h5 with/outs/raw_feature_bc_matrix.h5";
    let refused = program.fail(&format!("import {raw} --output x.h5ad"), 2);
    assert!(refused.contains("all 3 barcodes"), "{refused}");
    // Called cells lie beside.
    matrix_file(
        &program.path("with/outs/filtered_feature_bc_matrix.h5"),
        &["CCCCCCCC-1", "AAAAAAAA-1"],
        &[[1, 0, 0]; 2],
    );
    for words in [raw, "without with"] {
        let (counts, said) = import(&program, words);
        assert_eq!(counts.obs.index, ["AAAAAAAA-1", "CCCCCCCC-1"]);
        assert_eq!(counts.var.index, ["A", "B"]);
        assert_eq!(counts.var.get("gene_ids").unwrap().to_labels(), ["G1", "G2"]);
        assert_eq!(counts.obs.get("sample").unwrap().to_labels()[0], "without");
        assert_eq!(counts.spliced, rows(&[&[5.0, 3.0], &[0.0, 1.0]]));
        assert_eq!(counts.unspliced, rows(&[&[4.0, 0.0], &[4.0, 0.0]]));
        assert!(said.contains("runs with introns and without"), "{said}");
    }
}

#[test]
fn of_two_runs_one_may_be_a_file_and_one_a_folder() {
    let program = Program::new();
    two_runs(&program);
    let folder = program.path("exons/filtered_feature_bc_matrix");
    ten_x(&folder, "AAAAAAAA-1\nCCCCCCCC-1\n", "1 1 5\n2 1 3\n2 2 1");
    let (counts, _) = import(&program, "exons/filtered_feature_bc_matrix with/outs/raw_feature_bc_matrix.h5");
    assert_eq!(counts.obs.index, ["AAAAAAAA-1", "CCCCCCCC-1"]);
    assert_eq!(counts.spliced, rows(&[&[5.0, 3.0], &[0.0, 1.0]]));
    assert_eq!(counts.unspliced, rows(&[&[4.0, 0.0], &[4.0, 0.0]]));
    // Antibodies in a folder are no genes either.
    let features = "G1\tA\tGene Expression\nG2\tB\tAntibody Capture\n";
    fs::write(folder.join("features.tsv"), features).unwrap();
    let (genes, _) = import(&program, "exons/filtered_feature_bc_matrix with/outs/raw_feature_bc_matrix.h5");
    assert_eq!(genes.var.index, ["A"]);
    assert_eq!(genes.spliced, rows(&[&[5.0], &[0.0]]));
}

#[test]
fn files_of_cell_ranger_that_are_no_pair_are_refused() {
    let program = Program::new();
    two_runs(&program);
    let one = program.fail("import with/outs/raw_feature_bc_matrix.h5 --output x.h5ad", 2);
    assert!(one.contains("reads of exons and introns are summed") && one.contains("matrices of two runs"), "{one}");
    matrix_file(&program.path("else.h5"), &["TTTTTTTT-1"], &[[1, 0, 0]]);
    let strange = program.fail("import with/outs/raw_feature_bc_matrix.h5 else.h5 --output x.h5ad", 2);
    assert!(strange.contains("0 barcodes and 2 genes are in both runs"), "{strange}");
    matrix_file(&program.path("else.h5"), &["AAAAAAAA-1"], &[[1, 0, 0]; 2]);
    let damaged = program.fail("import with/outs/raw_feature_bc_matrix.h5 else.h5 --output x.h5ad", 2);
    assert!(damaged.contains("else.h5: matrix[\"indptr\"]") && damaged.contains("do not fit together"), "{damaged}");
    // What is cut short is no unknown file.
    let whole = fs::read(program.path("else.h5")).unwrap();
    fs::write(program.path("cut.h5"), &whole[..whole.len() / 2]).unwrap();
    let cut = program.fail("import with/outs/raw_feature_bc_matrix.h5 cut.h5 --output x.h5ad", 2);
    assert!(cut.contains("cut.h5") && !cut.contains("nothing that a pipeline"), "{cut}");
}

#[test]
fn objects_that_dropest_wrote_for_r_are_told_with_the_way_to_text() {
    let program = Program::new();
    fs::create_dir(program.path("est")).unwrap();
    fs::write(program.path("est/cell.counts.rds"), b"\x1f\x8b\x08rest").unwrap();
    for path in ["est", "est/cell.counts.rds"] {
        let summed = program.fail(&format!("import {path} --output x.h5ad"), 2);
        assert!(summed.contains("exons and introns are one number") && summed.contains("again with -V"), "{summed}");
    }
    fs::write(program.path("est/cell.counts.matrices.rds"), b"\x1f\x8b\x08rest").unwrap();
    for path in ["est", "est/cell.counts.rds", "est/cell.counts.matrices.rds"] {
        let told = program.fail(&format!("import {path} --output x.h5ad"), 2);
        assert!(
            told.contains("dropEst's matrices") && told.contains("readRDS(\"cell.counts.matrices.rds\")"),
            "{told}"
        );
        assert!(told.contains("then nascent import est --output"), "{told}");
        let inspected = program.succeed(&format!("inspect {path}"));
        assert!(inspected.contains("dropEst") && inspected.contains("writeMM"), "{inspected}");
    }
}

/// As the commands in R leave them: each matrix has cells and genes of its own.
#[test]
fn matrices_of_dropest_count_spanning_reads_as_unspliced() {
    let program = Program::new();
    fs::create_dir(program.path("est")).unwrap();
    fs::write(program.path("est/cell.counts.matrices.rds"), b"\x1f\x8b\x08rest").unwrap();
    let put = |name: &str, cells: &str, genes: &str, size: &str, entries: &str| {
        let matrix =
            format!("%%MatrixMarket matrix coordinate real general\n{size} {}\n{entries}\n", entries.lines().count());
        fs::write(program.path(&format!("est/{name}.mtx")), matrix).unwrap();
        fs::write(program.path(&format!("est/{name}.barcodes.tsv")), cells).unwrap();
        fs::write(program.path(&format!("est/{name}.genes.tsv")), genes).unwrap();
    };
    put("exon", "AAAAAAAA\nCCCCCCCC\n", "A\nB\n", "2 2", "1 1 5\n2 2 3");
    put("intron", "CCCCCCCC\nAAAAAAAA\nGGGGGGGG\n", "B\nC\n", "2 3", "1 1 2\n2 2 4\n1 3 1");
    put("spanning", "AAAAAAAA\n", "A\n", "1 1", "1 1 7");
    let (counts, said) = import(&program, "est");
    assert_eq!(counts.obs.index, ["AAAAAAAA", "CCCCCCCC", "GGGGGGGG"]);
    assert_eq!(counts.var.index, ["A", "B", "C"]);
    assert_eq!(counts.spliced, rows(&[&[5.0, 0.0, 0.0], &[0.0, 3.0, 0.0], &[0.0, 0.0, 0.0]]));
    assert_eq!(counts.unspliced, rows(&[&[7.0, 0.0, 4.0], &[0.0, 2.0, 0.0], &[0.0, 1.0, 0.0]]));
    assert!(said.contains("exonic/intronic"), "{said}");
    // Those of velocyto's classes leave them out, as from its loom files; and matrices of other runs are no pair.
    for (old, new) in [("exon", "spliced"), ("intron", "unspliced")] {
        for end in ["mtx", "barcodes.tsv", "genes.tsv"] {
            fs::rename(program.path(&format!("est/{old}.{end}")), program.path(&format!("est/{new}.{end}"))).unwrap();
        }
    }
    let (without, _) = import(&program, "est");
    assert_eq!(without.unspliced.row_sums(), [4.0, 2.0, 1.0]);
    fs::write(program.path("est/unspliced.barcodes.tsv"), "TTTTTTTT\nTTTTTTTA\nTTTTTTTC\n").unwrap();
    let other = program.fail("import est --output x.h5ad", 2);
    assert!(other.contains("0 of its 3 cells are in the first matrix, which has 2"), "{other}");
}
