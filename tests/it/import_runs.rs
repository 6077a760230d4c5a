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

/// A file as Cell Ranger 2 writes it: for each genome a group of its name, with its genes, and the barcodes that it has.
type Genome<'a> = (&'a str, &'a [&'a str], &'a [&'a str], &'a [&'a [i32]]);

fn old_matrix_file(path: &Path, genomes: &[Genome]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = io::h5_options().create(path).unwrap();
    for (genome, ids, barcodes, counts) in genomes {
        let group = file.create_group(genome).unwrap();
        let texts = |name: &str, words: &[String]| {
            let words: Vec<FixedAscii<20>> = words.iter().map(|word| FixedAscii::from_ascii(word).unwrap()).collect();
            group.new_dataset_builder().with_data(&words).create(name).unwrap();
        };
        texts("barcodes", &barcodes.iter().map(|&word| word.to_owned()).collect::<Vec<_>>());
        texts("genes", &ids.iter().map(|&id| id.to_owned()).collect::<Vec<_>>());
        texts("gene_names", &ids.iter().map(|id| format!("name of {id}")).collect::<Vec<_>>());
        let (mut indptr, mut indices, mut data) = (vec![0_i64], Vec::new(), Vec::new());
        for row in *counts {
            for (gene, &count) in (0_i64..).zip(*row).filter(|(_, count)| **count > 0) {
                indices.push(gene);
                data.push(count);
            }
            indptr.push(i64::try_from(data.len()).unwrap());
        }
        let shape = [i32::try_from(ids.len()).unwrap(), i32::try_from(barcodes.len()).unwrap()];
        group.new_dataset_builder().with_data(&indptr).create("indptr").unwrap();
        group.new_dataset_builder().with_data(&indices).create("indices").unwrap();
        group.new_dataset_builder().with_data(&data).create("data").unwrap();
        group.new_dataset_builder().with_data(&shape).create("shape").unwrap();
    }
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
fn two_runs_may_be_files_of_cell_ranger_two() {
    let program = Program::new();
    let genes: &[&str] = &["G1", "G2"];
    let raw = |run: &str| program.path(&format!("{run}/outs/raw_gene_bc_matrices_h5.h5"));
    old_matrix_file(&raw("without"), &[("GRCh38", genes, &CELLS, &[&[5, 3], &[0, 1], &[0, 0]])]);
    let turned = ["GGGGGGGG-1", "CCCCCCCC-1", "AAAAAAAA-1"];
    old_matrix_file(&raw("with"), &[("GRCh38", genes, &turned, &[&[7, 0], &[4, 1], &[9, 2]])]);
    let called = program.path("with/outs/filtered_gene_bc_matrices_h5.h5");
    old_matrix_file(&called, &[("GRCh38", genes, &["CCCCCCCC-1", "AAAAAAAA-1"], &[&[1, 0], &[1, 0]])]);
    let files = "without/outs/raw_gene_bc_matrices_h5.h5 with/outs/raw_gene_bc_matrices_h5.h5";
    for words in [files, "without with"] {
        let (counts, _) = import(&program, words);
        assert_eq!(counts.obs.index, ["AAAAAAAA-1", "CCCCCCCC-1"]);
        assert_eq!(counts.var.index, ["name of G1", "name of G2"]);
        assert_eq!(counts.var.get("gene_ids").unwrap().to_labels(), genes);
        assert_eq!(counts.obs.get("sample").unwrap().to_labels()[0], "without");
        assert_eq!(counts.spliced, rows(&[&[5.0, 3.0], &[0.0, 1.0]]));
        assert_eq!(counts.unspliced, rows(&[&[4.0, 0.0], &[4.0, 0.0]]));
    }
    let one = program.fail("import with/outs/raw_gene_bc_matrices_h5.h5 --output x.h5ad", 2);
    assert!(one.contains("reads of exons and introns are summed"), "{one}");
    let told = program.succeed("inspect with/outs/raw_gene_bc_matrices_h5.h5");
    assert!(told.contains("3 barcodes x 2 features (genes of GRCh38)") && told.contains("Cell Ranger 7"), "{told}");
}

#[test]
fn genomes_of_cell_ranger_two_become_one_matrix() {
    let program = Program::new();
    let (human, mouse): ([&str; 2], [&str; 1]) = (["hg_1", "hg_2"], ["mm_1"]);
    let [a, c, g] = CELLS;
    // Each genome lists the barcodes that it has.
    old_matrix_file(
        &program.path("without.h5"),
        &[("hg19", &human, &[a, c], &[&[5, 0], &[0, 1]]), ("mm10", &mouse, &[g, a], &[&[8], &[2]])],
    );
    old_matrix_file(
        &program.path("with.h5"),
        &[("hg19", &human, &[a, c], &[&[6, 3], &[0, 1]]), ("mm10", &mouse, &[a, g], &[&[2], &[9]])],
    );
    let (counts, _) = import(&program, "with.h5 without.h5");
    assert_eq!(counts.obs.index, CELLS);
    assert_eq!(counts.var.get("gene_ids").unwrap().to_labels(), ["hg_1", "hg_2", "mm_1"]);
    assert_eq!(counts.spliced, rows(&[&[5.0, 0.0, 2.0], &[0.0, 1.0, 0.0], &[0.0, 0.0, 8.0]]));
    assert_eq!(counts.unspliced, rows(&[&[1.0, 3.0, 0.0], &[0.0, 0.0, 0.0], &[0.0, 0.0, 1.0]]));
    old_matrix_file(
        &program.path("same.h5"),
        &[("hg19", &human, &[a], &[&[1, 0]]), ("hg38", &human, &[a], &[&[1, 0]])],
    );
    let same = program.fail("import with.h5 same.h5 --output x.h5ad", 2);
    assert!(same.contains(r#"gene "hg_1" is in "hg19", too"#) && same.contains("one genome"), "{same}");
}

#[test]
fn folders_of_cell_ranger_two_have_a_folder_for_each_genome() {
    let program = Program::new();
    let cells = format!("{}\n", CELLS.join("\n"));
    let put = |run: &str, kind: &str, genome: &str, cells: &str, entries: &str| {
        let folder = program.path(&format!("{run}/outs/{kind}_gene_bc_matrices/{genome}"));
        ten_x(&folder, cells, entries);
        fs::remove_file(folder.join("features.tsv")).unwrap();
        fs::write(folder.join("genes.tsv"), "G1\tA\nG2\tB\n").unwrap();
    };
    put("without", "raw", "GRCh38", &cells, "1 1 5\n2 1 3\n2 2 1");
    put("with", "raw", "GRCh38", &cells, "1 1 9\n2 1 2\n1 2 4\n2 2 1\n1 3 7");
    put("with", "filtered", "GRCh38", "CCCCCCCC-1\nAAAAAAAA-1\n", "1 1 1");
    let genome = "without/outs/raw_gene_bc_matrices/GRCh38 with/outs/raw_gene_bc_matrices/GRCh38";
    for words in ["without with", genome] {
        let (counts, _) = import(&program, words);
        assert_eq!(counts.obs.index, ["AAAAAAAA-1", "CCCCCCCC-1"]);
        assert_eq!(counts.obs.get("sample").unwrap().to_labels()[0], "without");
        assert_eq!(counts.spliced, rows(&[&[5.0, 3.0], &[0.0, 1.0]]));
        assert_eq!(counts.unspliced, rows(&[&[4.0, 0.0], &[4.0, 0.0]]));
    }
    put("with", "raw", "mm10", &cells, "1 1 1");
    let several = program.fail("import without with --output x.h5ad", 2);
    assert!(several.contains("each genome has a matrix of its own here: GRCh38, mm10"), "{several}");
    assert!(several.contains("raw_gene_bc_matrices/GRCh38"), "{several}");
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

#[test]
fn tables_of_all_endings_may_hold_reads_that_span() {
    for end in ["csv", "tsv", "txt"] {
        let program = Program::new();
        fs::create_dir(program.path("est")).unwrap();
        let sign = if end == "csv" { "," } else { "\t" };
        let put = |name: &str, counts: [&str; 2]| {
            let lines = ["AAAAAAAA CCCCCCCC", "A", "B"].map(|line| line.replace(' ', sign));
            let [head, a, b] = lines;
            let [of_a, of_b] = counts.map(|line| line.replace(' ', sign));
            let table = format!("{sign}{head}\n{a}{sign}{of_a}\n{b}{sign}{of_b}\n");
            fs::write(program.path(&format!("est/{name}.{end}")), table).unwrap();
        };
        put("exon", ["5 0", "0 3"]);
        put("intron", ["1 0", "0 2"]);
        put("spanning", ["7 1", "0 0"]);
        let (counts, _) = import(&program, "est");
        assert_eq!(counts.obs.get("sample").unwrap().to_labels()[0], "est");
        assert_eq!(counts.spliced, rows(&[&[5.0, 0.0], &[0.0, 3.0]]), "{end}");
        assert_eq!(counts.unspliced, rows(&[&[8.0, 0.0], &[1.0, 2.0]]), "{end}");
    }
}
