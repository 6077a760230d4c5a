//! `nascent import` on files written here by the rules of their formats: Cell Ranger's, Parse's, two runs, plain matrices, old looms.

use std::fs;
use std::path::Path;

use hdf5::types::{FixedAscii, VarLenUnicode};
use nascent::data::{Column, Frame};
use nascent::io::{self, NewFile, OutputConfig, Uns};
use nascent::sparse::Csr;

use crate::import::import;
use crate::program::Program;

pub(crate) fn rows(rows: &[&[f32]]) -> Csr<f32> {
    let n_cols = rows[0].len();
    let entries = |row: &&[f32]| (0_u32..).zip(row.iter().copied()).filter(|entry| entry.1 != 0.0).collect();
    Csr::from_rows(n_cols, &rows.iter().map(entries).collect::<Vec<Vec<_>>>())
}

fn matrix<T: hdf5::H5Type, const N: usize>(group: &hdf5::Group, name: &str, rows: &[[T; N]]) {
    let dataset = group.new_dataset::<T>().shape([rows.len(), N]).create(name).unwrap();
    dataset.write_raw(rows.as_flattened()).unwrap();
}

/// Molecules of a run: barcode, feature, channel, library, type.
pub(crate) type Molecule = (u64, u32, u16, u16, u32);

/// A file as Cell Ranger 10 writes it: two channels of genes and one library of antibodies.
pub(crate) fn molecule_info(path: &Path, version: i64, introns: bool, molecules: &[Molecule]) {
    let file = io::h5_options().create(path).unwrap();
    file.new_attr::<i64>().create("file_version").unwrap().write_scalar(&version).unwrap();
    let texts = |group: &hdf5::Group, name: &str, words: &[&str]| {
        let words: Vec<FixedAscii<20>> =
            words.iter().map(|word| FixedAscii::from_ascii(word.as_bytes()).unwrap()).collect();
        group.new_dataset_builder().with_data(&words).create(name).unwrap();
    };
    let text = |name: &str, word: &str| {
        let word: VarLenUnicode = word.parse().unwrap();
        file.new_dataset::<VarLenUnicode>().create(name).unwrap().write_scalar(&word).unwrap();
    };
    texts(&file, "barcodes", &["AAAAAAAAAAAAAAAA", "CCCCCCCCCCCCCCCC", "GGGGGGGGGGGGGGGG"]);
    let features = file.create_group("features").unwrap();
    texts(&features, "id", &["ENSG1", "AB1", "ENSG2"]);
    texts(&features, "name", &["Same", "CD3", "Same"]);
    texts(&features, "feature_type", &["Gene Expression", "Antibody Capture", "Gene Expression"]);
    texts(&features, "genome", &["GRCh38", "", "GRCh38"]);
    text(
        "library_info",
        r#"[{"library_id": 0, "library_type": "Gene Expression", "gem_group": 1},
            {"library_id": 1, "library_type": "Antibody Capture", "gem_group": 1},
            {"library_id": 2, "library_type": "Gene Expression", "gem_group": 2}]"#,
    );
    text("metrics_json", &format!(r#"{{"analysis_parameters": {{"include_introns": {introns}}}}}"#));
    let info = file.create_group("barcode_info").unwrap();
    // The first barcode is a cell in both channels, the third in the first.
    matrix(&info, "pass_filter", &[[0_u64, 0, 0], [2, 0, 0], [0, 2, 0]]);
    macro_rules! column {
        ($name:literal, $of:expr) => {
            file.new_dataset_builder().with_data(&molecules.iter().map($of).collect::<Vec<_>>()).create($name).unwrap();
        };
    }
    column!("barcode_idx", |molecule| molecule.0);
    column!("feature_idx", |molecule| molecule.1);
    column!("gem_group", |molecule| molecule.2);
    column!("library_idx", |molecule| molecule.3);
    if version >= 5 {
        column!("umi_type", |molecule| molecule.4);
    }
}

pub(crate) const MOLECULES: [Molecule; 10] = [
    (0, 0, 1, 0, 1),
    (0, 0, 1, 0, 0),
    (0, 2, 1, 0, 1),
    (0, 0, 1, 0, 3),
    (0, 1, 1, 1, 1), // an antibody
    (1, 0, 1, 0, 1), // no cell
    (2, 2, 1, 0, 0),
    (2, 2, 1, 0, 2),
    (0, 2, 2, 2, 1),
    (0, 0, 2, 2, 0),
];

#[test]
fn molecules_of_cell_ranger_are_exonic_or_intronic() {
    let program = Program::new();
    fs::create_dir_all(program.path("run7/outs")).unwrap();
    molecule_info(&program.path("run7/outs/molecule_info.h5"), 6, true, &MOLECULES);
    let (counts, said) = import(&program, "run7");
    assert_eq!(counts.obs.index, ["AAAAAAAAAAAAAAAA-1", "GGGGGGGGGGGGGGGG-1", "AAAAAAAAAAAAAAAA-2"]);
    assert_eq!(counts.var.index, ["Same", "Same-1"]);
    assert_eq!(counts.var.get("gene_ids").unwrap().to_labels(), ["ENSG1", "ENSG2"]);
    assert_eq!(counts.obs.get("sample").unwrap().to_labels()[0], "run7");
    assert_eq!(counts.spliced, rows(&[&[2.0, 1.0], &[0.0, 0.0], &[0.0, 1.0]]));
    assert_eq!(counts.unspliced, rows(&[&[1.0, 0.0], &[0.0, 2.0], &[1.0, 0.0]]));
    assert!(said.contains("intronic (layer \"unspliced\")") && said.contains("the split is exonic/intronic"), "{said}");
    let (all, _) = import(&program, "run7/outs/molecule_info.h5 --min-molecules 1");
    assert_eq!(all.obs.index, ["AAAAAAAAAAAAAAAA-1", "CCCCCCCCCCCCCCCC-1", "GGGGGGGGGGGGGGGG-1", "AAAAAAAAAAAAAAAA-2"]);
    fs::write(program.path("cells.csv"), "barcode,group\nCCCCCCCCCCCCCCCC-1,1\nAAAAAAAAAAAAAAAA-2,1\n").unwrap();
    let (two, _) = import(&program, "run7/outs/molecule_info.h5 --barcodes cells.csv");
    assert_eq!(two.obs.index, ["CCCCCCCCCCCCCCCC-1", "AAAAAAAAAAAAAAAA-2"]);
}

#[test]
fn runs_of_cell_ranger_without_introns_are_refused() {
    let program = Program::new();
    molecule_info(&program.path("off.h5"), 6, false, &MOLECULES);
    let off = program.fail("import off.h5 --output x.h5ad", 2);
    assert!(off.contains("did not count introns") && off.contains("--include-introns=true"), "{off}");
    let exonic: Vec<Molecule> = MOLECULES.iter().map(|&(b, f, g, l, _)| (b, f, g, l, 1)).collect();
    molecule_info(&program.path("exonic.h5"), 6, true, &exonic);
    let exonic = program.fail("import exonic.h5 --output x.h5ad", 2);
    assert!(exonic.contains("every molecule is exonic") && exonic.contains("Flex"), "{exonic}");
    molecule_info(&program.path("old.h5"), 4, true, &MOLECULES);
    let old = program.fail("import old.h5 --output x.h5ad", 2);
    assert!(old.contains("umi_type: file_version is 4") && old.contains("Cell Ranger 5 or later"), "{old}");
    let matrix = io::h5_options().create(program.path("filtered_feature_bc_matrix.h5")).unwrap();
    matrix.create_group("matrix").unwrap();
    drop(matrix);
    let matrix = program.fail("import filtered_feature_bc_matrix.h5 --output x.h5ad", 2);
    assert!(
        matrix.contains("reads of exons and introns are summed") && matrix.contains("molecule_info.h5"),
        "{matrix}"
    );
    assert!(!program.path("x.h5ad").exists());
}

#[test]
fn samples_of_cell_ranger_multi_are_joined() {
    let program = Program::new();
    for sample in ["day0", "day3"] {
        let folder = program.path("multi/outs/per_sample_outs").join(sample).join("count");
        fs::create_dir_all(&folder).unwrap();
        molecule_info(&folder.join("sample_molecule_info.h5"), 6, true, &MOLECULES);
    }
    let (counts, said) = import(&program, "multi");
    assert!(said.contains("6 cells of 2 samples"), "{said}");
    assert_eq!(counts.obs.index[2..4], ["day0:AAAAAAAAAAAAAAAA-2", "day3:AAAAAAAAAAAAAAAA-1"]);
}

/// A folder as Cell Ranger writes it: genes × cells.
pub(crate) fn ten_x(folder: &Path, barcodes: &str, entries: &str) {
    fs::create_dir_all(folder).unwrap();
    let n = (barcodes.lines().count(), entries.lines().count());
    let head = "%%MatrixMarket matrix coordinate integer general\n%metadata_json: {}\n";
    fs::write(folder.join("matrix.mtx"), format!("{head}2 {} {}\n{entries}\n", n.0, n.1)).unwrap();
    fs::write(folder.join("barcodes.tsv"), barcodes).unwrap();
    fs::write(folder.join("features.tsv"), "G1\tA\tGene Expression\nG2\tB\tGene Expression\n").unwrap();
}

#[test]
fn of_two_runs_the_difference_is_unspliced_and_never_below_zero() {
    let program = Program::new();
    let cells = "AAAAAAAA-1\nCCCCCCCC-1\nGGGGGGGG-1\n";
    ten_x(&program.path("without/outs/raw_feature_bc_matrix"), cells, "1 1 5\n2 1 3\n2 2 1");
    // Barcodes stand in another order.
    let turned = "GGGGGGGG-1\nCCCCCCCC-1\nAAAAAAAA-1\n";
    ten_x(&program.path("with/outs/raw_feature_bc_matrix"), turned, "1 3 9\n2 3 2\n1 2 4\n2 2 1\n1 1 7");
    let refused = program.fail("import without with --output x.h5ad", 2);
    assert!(refused.contains("all 3 barcodes"), "{refused}");
    ten_x(&program.path("with/outs/filtered_feature_bc_matrix"), "CCCCCCCC-1\nAAAAAAAA-1\n", "1 1 1");
    let (counts, said) = import(&program, "without with");
    assert_eq!(counts.obs.index, ["AAAAAAAA-1", "CCCCCCCC-1"]);
    assert_eq!(counts.spliced, rows(&[&[5.0, 3.0], &[0.0, 1.0]]));
    assert_eq!(counts.unspliced, rows(&[&[4.0, 0.0], &[4.0, 0.0]]));
    assert!(said.contains("runs with introns and without"), "{said}");
}

#[test]
fn parses_transcripts_are_counted_by_cell_and_gene() {
    let program = Program::new();
    for folder in ["lib/process", "lib/all-sample/DGE_filtered"] {
        fs::create_dir_all(program.path(folder)).unwrap();
    }
    let lines = "bc_wells,polyN,gene,gene_name,genome,exonic,count\n\
                 01_01_02,AC,ENSG1,A,hg38,True,2\n\
                 01_01_03,AC,ENSG2,B,hg38,False,1\n\
                 01_01_02,GG,ENSG1,A,hg38,True,1\n\
                 09_09_09,GG,ENSG1,A,hg38,True,1\n\
                 01_01_02,TT,ENSG2,B,hg38,False,1\n";
    fs::write(program.path("lib/process/tscp_assignment.csv"), lines).unwrap();
    let cells = "bc_wells,sample,species\n01_01_03,ctrl,hg38\n01_01_02,drug,hg38\n";
    fs::write(program.path("lib/all-sample/DGE_filtered/cell_metadata.csv"), cells).unwrap();
    let (counts, said) = import(&program, "lib");
    assert_eq!(counts.obs.index, ["01_01_03", "01_01_02"]);
    assert_eq!(counts.obs.get("parse_sample").unwrap().to_labels(), ["ctrl", "drug"]);
    assert_eq!(counts.var.index, ["A", "B"]);
    assert_eq!(counts.spliced, rows(&[&[0.0, 0.0], &[2.0, 0.0]]));
    assert_eq!(counts.unspliced, rows(&[&[0.0, 1.0], &[0.0, 1.0]]));
    assert!(said.contains("exonic/intronic"), "{said}");
    let (all, _) = import(&program, "lib --min-molecules 1");
    assert_eq!(all.n_obs(), 3);
}

#[test]
fn plain_matrices_are_read_with_their_names_in_either_order() {
    let program = Program::new();
    let head = "%%MatrixMarket matrix coordinate real general\n";
    // Cells × genes, with fractional counts; the lists of names have heads.
    fs::write(program.path("spliced.mtx"), format!("{head}2 3 3\n1 1 1.5\n1 3 2\n2 2 4\n")).unwrap();
    fs::write(program.path("unspliced.mtx"), format!("{head}2 3 1\n2 1 0.25\n")).unwrap();
    fs::write(program.path("barcodes.tsv"), "c1\nc2\n").unwrap();
    fs::write(program.path("genes.tsv"), "gene_id\tsymbol\ng1\tA\ng2\tB\ng3\tC\n").unwrap();
    let (counts, _) = import(&program, "spliced.mtx unspliced.mtx");
    let expected = [rows(&[&[1.5, 0.0, 2.0], &[0.0, 4.0, 0.0]]), rows(&[&[0.0, 0.0, 0.0], &[0.25, 0.0, 0.0]])];
    assert_eq!([&counts.spliced, &counts.unspliced], [&expected[0], &expected[1]]);
    assert_eq!(counts.var.index, ["A", "B", "C"]);
    assert!(program.succeed("inspect out.h5ad").contains("fractional counts"));
    // The same as tables: genes in rows, as R writes them, and cells in rows, as pandas does.
    let names = ["AAAACCCC", "GGGGTTTT"];
    let of_r = |lines: &str| format!("\"{}\",\"{}\"\n{lines}", names[0], names[1]);
    fs::write(program.path("a_spliced.csv"), of_r("\"A\",1.5,0\n\"B\",0,4\n\"C\",2,0\n")).unwrap();
    fs::write(program.path("a_unspliced.csv"), of_r("\"A\",0,0.25\n\"B\",0,0\n\"C\",0,0\n")).unwrap();
    let of_pandas = |lines: [&str; 2]| format!("\tA\tB\tC\n{}\t{}\n{}\t{}\n", names[0], lines[0], names[1], lines[1]);
    fs::write(program.path("b_spliced.tsv"), of_pandas(["1.5\t0\t2", "0\t4\t0"])).unwrap();
    fs::write(program.path("b_unspliced.tsv"), of_pandas(["0\t0\t0", "0.25\t0\t0"])).unwrap();
    for words in ["a_spliced.csv a_unspliced.csv", "b_unspliced.tsv b_spliced.tsv", "a_spliced.csv b_unspliced.tsv"] {
        let (counts, _) = import(&program, words);
        assert_eq!([&counts.spliced, &counts.unspliced], [&expected[0], &expected[1]], "{words}");
        assert_eq!(counts.obs.index, names);
    }
    let single = program.fail("import a_spliced.csv --output x.h5ad", 2);
    assert!(single.contains("one file of spliced and one of unspliced counts were wanted"), "{single}");
}

#[test]
fn a_matrix_that_is_cut_short_is_noticed() {
    let program = Program::new();
    let head = "%%MatrixMarket matrix coordinate integer general\n";
    fs::write(program.path("spliced.mtx"), format!("{head}2 3 3\n1 1 1\n1 3 2\n")).unwrap();
    fs::write(program.path("unspliced.mtx"), format!("{head}2 3 1\n2 9 1\n")).unwrap();
    fs::write(program.path("barcodes.tsv"), "c1\nc2\n").unwrap();
    fs::write(program.path("genes.tsv"), "g1\ng2\ng3\n").unwrap();
    let short = program.fail("import spliced.mtx unspliced.mtx --output x.h5ad", 2);
    assert!(short.contains("spliced.mtx: end: 3 entries were announced, found 2"), "{short}");
    fs::write(program.path("spliced.mtx"), format!("{head}2 3 1\n1 1 1\n")).unwrap();
    let wrong = program.fail("import spliced.mtx unspliced.mtx --output x.h5ad", 2);
    assert!(wrong.contains("unspliced.mtx: line 3: entry 2, 9 in a matrix of 2 × 3"), "{wrong}");
    fs::write(program.path("genes.tsv"), "g1\ng2\n").unwrap();
    let names = program.fail("import spliced.mtx unspliced.mtx --output x.h5ad", 2);
    assert!(names.contains("2 × 3 values, but lists of 2 cells and 2 genes"), "{names}");
}

/// Specification 2: the version is an attribute of the root, words have a fixed length; layers of Smart-seq2 have `spanning`.
#[test]
fn a_loom_file_of_specification_two_is_read() {
    let program = Program::new();
    let file = io::h5_options().create(program.path("old.loom")).unwrap();
    let version: FixedAscii<8> = FixedAscii::from_ascii(b"2.0.1").unwrap();
    file.new_attr::<FixedAscii<8>>().create("LOOM_SPEC_VERSION").unwrap().write_scalar(&version).unwrap();
    let words = |at: &str, words: &[&str]| {
        let words: Vec<FixedAscii<24>> =
            words.iter().map(|word| FixedAscii::from_ascii(word.as_bytes()).unwrap()).collect();
        file.new_dataset_builder().with_data(&words).create(at).unwrap();
    };
    for group in ["row_attrs", "col_attrs", "layers", "row_graphs", "col_graphs"] {
        file.create_group(group).unwrap();
    }
    words("row_attrs/Gene", &["A", "B", "A"]);
    words("row_attrs/Accession", &["g1", "g2", "g3"]);
    words("col_attrs/CellID", &["s:AAAACCCC", "s:GGGGTTTT"]);
    file.new_dataset_builder().with_data(&[1.5_f64, -2.0]).create("col_attrs/_X").unwrap();
    matrix(&file, "matrix", &[[4_f32, 0.0], [0.0, 1.0], [70_000.0, 2.0]]);
    let layer = |name: &str, values: [[u32; 2]; 3]| matrix(&file, &format!("layers/{name}"), &values);
    layer("spliced", [[3, 0], [0, 1], [70_000, 0]]);
    layer("unspliced", [[1, 0], [0, 0], [0, 2]]);
    layer("spanning", [[1, 1], [1, 1], [1, 1]]);
    drop(file);
    let (counts, said) = import(&program, "old.loom");
    assert_eq!(counts.spliced, rows(&[&[3.0, 0.0, 70_000.0], &[0.0, 1.0, 0.0]]));
    assert_eq!(counts.unspliced, rows(&[&[1.0, 0.0, 0.0], &[0.0, 0.0, 2.0]]));
    assert_eq!(counts.var.index, ["A", "B", "A-1"]);
    assert_eq!(counts.obs.get("_X").unwrap().to_numbers(), Some(vec![1.5, -2.0]));
    assert!(!said.contains("ambiguous"), "{said}");
    assert!(program.succeed("inspect out.h5ad").contains("uint32"));
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Two cells, two genes, layers called `names`, with `more` in `uns`.
fn h5ad(path: &Path, names: [&str; 3], more: &[&str]) {
    let frame = |names: &[&str]| Frame { index: words(names), columns: Vec::new() };
    let mut var = frame(&["ENSG1", "ENSG2"]);
    var.set("gene_symbol", Column::Text(words(&["A", "A"])));
    let counts = [[[3.0, 0.0], [1.0, 2.0]], [[0.0, 1.0], [1.0, 0.0]], [[5.0, 0.0], [0.0, 0.0]]];
    let layers = names.iter().zip(&counts).map(|(name, counts)| ((*name).to_owned(), rows(&[&counts[0], &counts[1]])));
    let file = NewFile {
        counts: layers.collect(),
        obs: frame(&["AAAACCCC", "GGGGTTTT"]),
        var,
        uns: more.iter().map(|key| ((*key).to_owned(), Uns::Text("{}".to_owned()))).collect(),
        ..NewFile::default()
    };
    io::write_new(path, &OutputConfig::default(), &file).unwrap();
}

/// Of nf-core/scrnaseq 4.0.0 and simpleaf 0.24: names of layers, and what becomes of ambiguous molecules.
#[test]
fn files_of_nf_core_and_simpleaf_are_told_apart_by_what_is_in_them() {
    let program = Program::new();
    let usual = ["spliced", "unspliced", "ambiguous"];
    h5ad(&program.path("s1_filtered_matrix.h5ad"), usual, &[]);
    h5ad(&program.path("s1_raw_matrix.h5ad"), usual, &[]);
    h5ad(&program.path("s2_filtered_matrix.h5ad"), ["mature", "nascent", "ambiguous"], &[]);
    h5ad(&program.path("s3_filtered_matrix.h5ad"), usual, &["quant_info"]);
    let (dropped, added) = (rows(&[&[3.0, 0.0], &[1.0, 2.0]]), rows(&[&[8.0, 0.0], &[1.0, 2.0]]));
    for (sample, spliced) in [("s1", &dropped), ("s2", &added), ("s3", &added)] {
        let (counts, _) = import(&program, &format!("{sample}_filtered_matrix.h5ad"));
        assert_eq!(&counts.spliced, spliced, "{sample}");
        assert_eq!(counts.unspliced, rows(&[&[0.0, 1.0], &[1.0, 0.0]]));
        assert_eq!(counts.obs.get("sample").unwrap().to_labels()[0], sample);
        assert_eq!(counts.var.index, ["A", "A-1"]);
        assert_eq!(counts.var.get("gene_ids").unwrap().to_labels(), ["ENSG1", "ENSG2"]);
    }
    let raw = program.fail("import s1_raw_matrix.h5ad --output x.h5ad", 2);
    assert!(raw.contains("all 2 barcodes") && raw.contains("--barcodes FILE"), "{raw}");
    h5ad(&program.path("standard.h5ad"), ["a", "b", "c"], &[]);
    let standard = program.fail("import standard.h5ad --output x.h5ad", 2);
    assert!(standard.contains("present: a, b, c") && standard.contains("molecule_info.h5"), "{standard}");
}

#[test]
fn kbs_folders_in_the_style_of_cell_ranger_are_genes_by_cells() {
    let program = Program::new();
    for (folder, entries) in [("processed", "1 1 5\n2 2 1"), ("unprocessed", "2 1 2"), ("ambiguous", "1 2 7")] {
        let folder = program.path("counts").join(format!("cellranger_{folder}"));
        ten_x(&folder, "AAAACCCC-1\nGGGGTTTT-1\n", entries);
        fs::rename(folder.join("features.tsv"), folder.join("genes.tsv")).unwrap();
    }
    let (counts, said) = import(&program, "counts");
    assert!(said.contains("from a folder of kb-python"), "{said}");
    assert_eq!(counts.spliced, rows(&[&[5.0, 0.0], &[7.0, 1.0]]));
    assert_eq!(counts.unspliced, rows(&[&[0.0, 2.0], &[0.0, 0.0]]));
    // A run of the standard workflow says what to count instead.
    fs::create_dir_all(program.path("standard/counts_unfiltered")).unwrap();
    fs::write(program.path("standard/counts_unfiltered/cells_x_genes.mtx"), "").unwrap();
    let standard = program.fail("import standard --output x.h5ad", 2);
    assert!(standard.contains("workflow standard or nucleus") && standard.contains("--workflow nac"), "{standard}");
}
