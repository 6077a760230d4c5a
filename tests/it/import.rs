//! `nascent import` on what the tools themselves wrote: `shared/data/pipelines`, one set of reads through each of them.

use std::fs;
use std::path::Path;

use nascent::data::{Column, Counts};
use nascent::io::{InputConfig, read, read_layer};
use nascent::sparse::Csr;

use crate::program::Program;
use crate::shared::shared;

/// Sum of the counts, number of those that are not zero, and Σ count (row + 1) (column + 1), cells being rows.
pub(crate) type Digest = (u64, usize, u64);

pub(crate) fn digest(counts: &Csr<f32>) -> Digest {
    let (mut sum, mut n, mut placed) = (0, 0, 0);
    for row in 0..counts.n_rows {
        let (columns, values) = counts.row(row);
        for (&column, &value) in columns.iter().zip(values).filter(|(_, value)| **value != 0.0) {
            assert!(value.fract() == 0.0, "{value} is no whole number");
            sum += value as u64;
            n += 1;
            placed += value as u64 * (row as u64 + 1) * u64::from(column + 1);
        }
    }
    (sum, n, placed)
}

/// Imports into `out.h5ad` and reads it back.
pub(crate) fn import(program: &Program, words: &str) -> (Counts, String) {
    let said = program.succeed(&format!("import {words} --output out.h5ad"));
    (read(&program.path("out.h5ad"), &InputConfig::default()).expect("counts"), said)
}

pub(crate) fn spliced_and_unspliced(counts: &Counts) -> [Digest; 2] {
    [digest(&counts.spliced), digest(&counts.unspliced)]
}

fn left_out(program: &Program) -> u64 {
    read_layer(&program.path("out.h5ad"), "ambiguous").expect("the layer").iter().map(|&value| value as u64).sum()
}

fn texts(column: Option<&Column>) -> Vec<String> {
    column.expect("the column").to_labels()
}

/// Golden: loompy 3.0.8 on a file of velocyto 0.17.17.
const VELOCYTO: [Digest; 2] = [(13_280, 2530, 13_156_448), (4693, 1616, 4_661_232)];

#[test]
fn a_loom_file_of_velocyto_keeps_its_counts_and_names() {
    let Some(loom) = shared("data/pipelines/velocyto_0.17.17/sample1.loom") else { return };
    let program = Program::new();
    let (counts, said) = import(&program, &loom.display().to_string());
    assert_eq!(spliced_and_unspliced(&counts), VELOCYTO);
    assert_eq!(counts.x.as_ref(), Some(&counts.spliced));
    assert_eq!(left_out(&program), 985);
    assert!(
        said.contains("70 cells, 48 genes") && said.contains("24.8 % unspliced, 5.2 % ambiguous (left out"),
        "{said}"
    );
    assert!(said.ends_with("next: nascent train --input out.h5ad --output velocity.h5ad\n"), "{said}");
    assert_eq!(counts.obs.index[0], "sample1:CAAAACGGAGCATCGTx");
    assert_eq!(texts(counts.obs.get("barcode"))[0], "CAAAACGGAGCATCGT");
    assert_eq!(texts(counts.obs.get("sample"))[0], "sample1");
    // Two genes are called DupName; ids tell them apart.
    let named: Vec<&String> = counts.var.index.iter().filter(|name| name.starts_with("DupName")).collect();
    assert_eq!(named, ["DupName", "DupName-1"]);
    assert!(texts(counts.var.get("gene_ids"))[0].starts_with("ENSG"));
    assert!(matches!(counts.var.get("Start"), Some(Column::Int(_))), "{:?}", counts.var.columns);
    let inspected = program.succeed("inspect out.h5ad");
    assert!(inspected.contains("uint16") && inspected.contains("nascent_import"), "{inspected}");
}

#[test]
fn ambiguous_molecules_go_where_they_are_told_to() {
    let Some(loom) = shared("data/pipelines/velocyto_0.17.17/sample1.loom") else { return };
    let program = Program::new();
    for (policy, sums) in [("drop", [13_280, 4693]), ("spliced", [14_265, 4693]), ("unspliced", [13_280, 5678])] {
        let (counts, _) = import(&program, &format!("{} --ambiguous {policy}", loom.display()));
        assert_eq!(spliced_and_unspliced(&counts).map(|digest| digest.0), sums, "{policy}");
        assert_eq!(read_layer(&program.path("out.h5ad"), "ambiguous").is_ok(), policy == "drop");
    }
}

#[test]
fn several_loom_files_become_samples_with_names_of_their_own() {
    let Some(loom) = shared("data/pipelines/velocyto_0.17.17/sample1.loom") else { return };
    let program = Program::new();
    let (counts, said) = import(&program, &format!("{0} {0} --sample a,b", loom.display()));
    assert!(said.contains("140 cells of 2 samples"), "{said}");
    assert_eq!(counts.obs.index[0], "a:sample1:CAAAACGGAGCATCGTx");
    assert_eq!(texts(counts.obs.get("sample"))[69..71], ["a", "b"]);
    assert_eq!(counts.spliced.row(3), counts.spliced.row(73));
    let wrong = program.fail(&format!("import {} --sample a,b --output x.h5ad", loom.display()), 2);
    assert!(wrong.contains("--sample = a,b: must be one name for each of the 1 samples: sample1"), "{wrong}");
}

/// Golden: scipy 1.13.1 `mmread` of the files of STAR 2.7.10b.
const STARSOLO: [Digest; 2] = [(13_524, 2577, 13_298_010), (4693, 1616, 4_343_503)];

#[test]
fn starsolo_gives_its_filtered_cells() {
    let Some(solo) = shared("data/pipelines/starsolo_2.7.10b/Solo.out") else { return };
    let program = Program::new();
    let (counts, said) = import(&program, &solo.display().to_string());
    assert_eq!(spliced_and_unspliced(&counts), STARSOLO);
    assert_eq!(left_out(&program), 985);
    assert!(said.contains("from a Velocyto folder of STARsolo"), "{said}");
    assert_eq!(counts.var.index[0], "Gene00");
    let folders = ["", "Velocyto", "Velocyto/filtered"];
    for folder in folders {
        let (other, _) = import(&program, &solo.join(folder).display().to_string());
        assert_eq!(other.spliced, counts.spliced, "{folder}");
    }
}

#[test]
fn of_raw_barcodes_the_called_ones_are_kept_or_those_that_are_large() {
    let Some(solo) = shared("data/pipelines/starsolo_2.7.10b/Solo.out") else { return };
    let program = Program::new();
    let (filtered, _) = import(&program, &solo.display().to_string());
    let (raw, _) = import(&program, &solo.join("Velocyto/raw").display().to_string());
    assert_eq!(raw.n_obs(), 70);
    for (row, name) in raw.obs.index.iter().enumerate() {
        let at = filtered.obs.index.iter().position(|other| other == name).expect("a cell");
        assert_eq!(raw.spliced.row(row), filtered.spliced.row(at), "{name}");
    }
    let (large, _) = import(&program, &format!("{} --min-molecules 200", solo.join("Velocyto/raw").display()));
    // Golden: molecules of each barcode in the three matrices, summed by awk.
    assert_eq!(large.n_obs(), 52);
    fs::write(program.path("cells.txt"), "barcode\ns_GCGGGGCGTCTCCTGA-1\n").unwrap();
    let (one, _) = import(&program, &format!("{} --barcodes cells.txt", solo.join("Velocyto/raw").display()));
    assert_eq!(one.obs.index, ["GCGGGGCGTCTCCTGA"]);
    fs::write(program.path("cells.txt"), "ACGTACGTACGTACGT\n").unwrap();
    let none = program.fail(&format!("import {} --barcodes cells.txt --output x.h5ad", solo.display()), 2);
    assert!(none.contains("none of the barcodes listed in cells.txt (\"ACGTACGTACGTACGT\", …) is here"), "{none}");
}

#[test]
fn nf_cores_names_and_gzipped_files_are_starsolos() {
    let Some(solo) = shared("data/pipelines/starsolo_2.7.10b/Solo.out/Velocyto") else { return };
    let program = Program::new();
    for (from, to) in [("filtered", "velocyto_filtered"), ("raw", "velocyto_raw")] {
        let folder = program.path("s7.Solo.out/Velocyto").join(to);
        fs::create_dir_all(&folder).unwrap();
        for name in ["spliced.mtx", "unspliced.mtx", "ambiguous.mtx", "barcodes.tsv", "features.tsv"] {
            gzip(&solo.join(from).join(name), &folder.join(format!("{name}.gz")));
        }
    }
    let (counts, _) = import(&program, "s7.Solo.out");
    assert_eq!(spliced_and_unspliced(&counts), STARSOLO);
    assert_eq!(texts(counts.obs.get("sample"))[0], "s7");
    // Without the calls beside them, nothing says which of the raw barcodes are cells.
    fs::remove_dir_all(program.path("s7.Solo.out/Velocyto/velocyto_filtered")).unwrap();
    let refused = program.fail("import s7.Solo.out --output x.h5ad", 2);
    assert!(refused.contains("all 400 barcodes") && refused.contains("69 have at least 100"), "{refused}");
    assert!(refused.contains("hint: name the cells: --barcodes FILE"), "{refused}");
    assert!(!program.path("x.h5ad").exists());
}

fn gzip(from: &Path, to: &Path) {
    let mut packed = flate2::write::GzEncoder::new(fs::File::create(to).unwrap(), flate2::Compression::fast());
    std::io::copy(&mut fs::File::open(from).unwrap(), &mut packed).unwrap();
    packed.finish().unwrap();
}

#[test]
fn the_old_matrix_of_starsolo_has_three_counts_on_a_line() {
    let Some(archive) = shared("data/pipelines/starsolo_old_layout_dynast_fixture/Solo.out.tar.gz") else { return };
    let program = Program::new();
    let unpacked = std::process::Command::new("tar").arg("xzf").arg(&archive).current_dir(program.path("")).status();
    assert!(unpacked.expect("tar starts").success());
    let (counts, _) = import(&program, "Solo.out --min-molecules 0 --format starsolo");
    // Golden: columns of Velocyto/raw/matrix.mtx summed by awk.
    assert_eq!((counts.n_obs(), counts.n_vars()), (282, 60_671));
    assert_eq!(spliced_and_unspliced(&counts).map(|digest| digest.0), OLD_STAR);
}

const OLD_STAR: [u64; 2] = [189, 8];

/// Golden: anndata 0.10.9 on the `.h5ad` file that kb-python 0.30.2 wrote of the same run; spliced is mature + ambiguous.
const NAC: [Digest; 2] = [(14_658, 2739, 22_275_597), (4733, 1653, 6_692_298)];

#[test]
fn kb_nac_counts_ambiguous_molecules_as_spliced_in_all_its_formats() {
    let Some(folder) = shared("data/pipelines/kb_0.30.2_nac") else { return };
    let program = Program::new();
    let refused = program.fail(&format!("import {} --output x.h5ad", folder.display()), 2);
    assert!(refused.contains("all 110 barcodes") && refused.contains("kb count --filter"), "{refused}");
    for (source, more) in
        [("", ""), ("", "--format h5ad"), ("counts_unfiltered/adata.loom", ""), ("counts_unfiltered", "")]
    {
        let (counts, said) = import(&program, &format!("{} --min-molecules 0 {more}", folder.join(source).display()));
        assert_eq!(spliced_and_unspliced(&counts), NAC, "{source}");
        assert!(said.contains("59.4 % ambiguous (counted as spliced"), "{said}");
    }
    let (counts, _) = import(&program, &format!("{} --min-molecules 0 --ambiguous drop", folder.display()));
    assert_eq!(digest(&counts.spliced), (3132, 1444, 4_916_710));
    assert_eq!(
        (counts.var.index[0].as_str(), texts(counts.var.get("gene_ids"))[0].as_str()),
        ("Gene00", "ENSG000001.3.1")
    );
}

#[test]
fn kb_lamanno_joins_two_lists_of_barcodes() {
    let Some(folder) = shared("data/pipelines/kb_0.30.2_lamanno") else { return };
    let program = Program::new();
    let (counts, _) = import(&program, &format!("{} --min-molecules 0", folder.display()));
    // Golden: scipy 1.13.1 `mmread` of spliced.mtx, whose list of barcodes is the longer one.
    assert_eq!(counts.n_obs(), 110);
    assert_eq!(digest(&counts.spliced), (13_674, 2702, 20_563_854));
    assert_eq!(digest(&counts.unspliced).0, 4443);
    let (common, _) = import(&program, &format!("{} --min-molecules 0 --format h5ad", folder.display()));
    assert_eq!(common.n_obs(), 94);
    for (row, name) in common.obs.index.iter().enumerate() {
        let at = counts.obs.index.iter().position(|other| other == name).expect("a cell");
        assert_eq!(common.spliced.row(row), counts.spliced.row(at), "{name}");
        assert_eq!(common.unspliced.row(row), counts.unspliced.row(at), "{name}");
    }
    // The names of old versions, and a comment of blanks in the head of the matrix.
    let Some(old) = shared("data/pipelines/kb_fixture_lamanno_old") else { return };
    let (counts, _) = import(&program, &old.display().to_string());
    assert_eq!(digest(&counts.spliced), (90, 89, 97_255));
}

/// Golden: scipy 1.13.1 on the matrix of alevin-fry 0.19.0, spliced and ambiguous added as pyroe's format `velocity` does.
const ALEVIN: [Digest; 2] = [(14_610, 2691, 13_777_513), (4719, 1643, 4_408_940)];

#[test]
fn alevin_frys_blocks_are_spliced_unspliced_and_ambiguous() {
    let Some(folder) = shared("data/pipelines/alevin-fry_0.19.0_usa") else { return };
    let program = Program::new();
    let (counts, said) = import(&program, &folder.display().to_string());
    assert_eq!(spliced_and_unspliced(&counts), ALEVIN);
    assert!(said.contains("(counted as spliced"), "{said}");
    let (counts, _) = import(&program, &format!("{} --ambiguous drop", folder.join("alevin").display()));
    assert_eq!(digest(&counts.spliced), (13_559, 2658, 12_792_082));
    assert_eq!(left_out(&program), 1051);
    assert_eq!(counts.var.index[0], "ENSG000001.3");
    // Versions of ids may differ from those of the list.
    fs::write(program.path("names.tsv"), "ENSG000001\tFirst\nENSG000002.1\tSecond\n").unwrap();
    let (named, _) = import(&program, &format!("{} --gene-names names.tsv", folder.display()));
    assert_eq!(named.var.index[..3], ["First", "Second", "ENSG000003.2"]);
    // simpleaf has the same one folder lower, and a list of symbols beside it.
    fs::create_dir_all(program.path("s5/af_quant/alevin")).unwrap();
    for name in ["quant.json", "alevin/quants_mat.mtx", "alevin/quants_mat_rows.txt", "alevin/quants_mat_cols.txt"] {
        fs::copy(folder.join(name), program.path("s5/af_quant").join(name)).unwrap();
    }
    fs::copy(program.path("names.tsv"), program.path("s5/af_quant/gene_id_to_name.tsv")).unwrap();
    let (simpleaf, _) = import(&program, "s5");
    assert_eq!((&simpleaf.spliced, &simpleaf.var.index), (&named.spliced, &named.var.index));
    assert_eq!(texts(simpleaf.obs.get("sample"))[0], "s5");
}

#[test]
fn what_is_no_source_is_refused_with_a_way_on() {
    let program = Program::new();
    fs::create_dir(program.path("empty")).unwrap();
    let nothing = program.fail("import empty --output x.h5ad", 2);
    assert!(
        nothing.contains("nothing that a pipeline for velocity writes") && nothing.contains("--format"),
        "{nothing}"
    );
    let missing = program.fail("import nowhere --output x.h5ad", 2);
    assert!(missing.contains("nowhere: path: no such file or folder"), "{missing}");
    let Some(solo) = shared("data/pipelines/starsolo_2.7.10b/Solo.out") else { return };
    let single = program.fail(&format!("import {} --output x.h5ad", solo.join("Gene/raw").display()), 2);
    assert!(single.contains("two runs were wanted") && single.contains("molecule_info.h5"), "{single}");
    let Some(loom) = shared("data/pipelines/velocyto_0.17.17/sample1.loom") else { return };
    let mixed = program.fail(&format!("import {} {} --output x.h5ad", loom.display(), solo.display()), 2);
    assert!(mixed.contains("import them one by one"), "{mixed}");
}
