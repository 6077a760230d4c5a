//! `nascent import` on matrices, lists and tables as R 4.2 writes them (Matrix 1.5: `writeMM`; `write.table`, `write.csv`, `write.csv2`).

use std::fs;

use nascent::data::Counts;

use crate::import::import;
use crate::import_made::rows;
use crate::program::Program;

const CELLS: [&str; 3] = ["AAAACCCC", "CCCCGGGG", "GGGGTTTT"];
const GENES: [&str; 2] = ["HLA-A", "Gata1"];

/// Spliced and unspliced counts, genes in rows.
const COUNTS: [[[&str; 3]; 2]; 2] = [[["1e+05", "0", "2"], ["0", "3", "0"]], [["0", "1", "0"], ["4", "0", "0"]]];

fn right(counts: &Counts, what: &str) {
    assert_eq!(counts.obs.index, CELLS, "{what}");
    assert_eq!(counts.var.index, GENES, "{what}");
    assert_eq!(counts.spliced, rows(&[&[100_000.0, 0.0], &[0.0, 3.0], &[2.0, 0.0]]), "{what}");
    assert_eq!(counts.unspliced, rows(&[&[0.0, 4.0], &[1.0, 0.0], &[0.0, 0.0]]), "{what}");
}

/// As `writeMM` writes them.
fn matrices(program: &Program) {
    for (name, counts) in ["spliced", "unspliced"].iter().zip(COUNTS) {
        let mut entries = Vec::new();
        for (gene, row) in counts.iter().enumerate() {
            for (cell, count) in row.iter().enumerate().filter(|(_, count)| **count != "0") {
                entries.push(format!("{} {} {count}", gene + 1, cell + 1));
            }
        }
        let head = format!("%%MatrixMarket matrix coordinate real general\n2 3 {}", entries.len());
        fs::write(program.path(&format!("r/{name}.mtx")), format!("{head}\n{}\n", entries.join("\n"))).unwrap();
    }
}

/// The same folder, made, with a plain list of cells.
fn matrices_with_barcodes(program: &Program) {
    fs::create_dir(program.path("r")).unwrap();
    matrices(program);
    fs::write(program.path("r/barcodes.tsv"), CELLS.join("\n")).unwrap();
}

/// A head, the end of the file's name, and a line.
type Way<'a> = (&'a str, &'a str, &'a dyn Fn(&str, usize) -> String);

#[test]
fn lists_of_names_may_have_quotes_heads_and_numbers_of_rows() {
    let plain = |name: &str, _: usize| name.to_owned();
    let quoted = |name: &str, _: usize| format!("\"{name}\"");
    let numbered = |name: &str, row: usize| format!("{row} {name}");
    let by_default = |name: &str, row: usize| format!("\"{row}\" \"{name}\"");
    let tabs = |name: &str, row: usize| format!("\"{row}\"\t\"{name}\"");
    let commas = |name: &str, row: usize| format!("\"{row}\",\"{name}\"");
    let ways: [Way; 9] = [
        ("", "tsv", &plain),
        ("x\n", "tsv", &plain),
        ("\"x\"\n", "tsv", &quoted),
        ("\"x\"\n", "csv", &quoted),
        ("", "tsv", &numbered),
        ("\"x\"\n", "txt", &by_default),
        ("\"x\"\n", "tsv", &tabs),
        ("\"\",\"x\"\n", "csv", &commas),
        ("\"\",\"x\"\r\n", "csv", &commas),
    ];
    for (head, end, line) in ways {
        let program = Program::new();
        fs::create_dir(program.path("r")).unwrap();
        matrices(&program);
        for (list, names) in [("barcodes", &CELLS[..]), ("genes", &GENES[..])] {
            let lines: Vec<String> = names.iter().zip(1..).map(|(name, row)| line(name, row)).collect();
            fs::write(program.path(&format!("r/{list}.{end}")), format!("{head}{}\n", lines.join("\n"))).unwrap();
        }
        right(&import(&program, "r").0, &format!("{head:?} {end} {:?}", line("A", 1)));
    }
}

#[test]
fn features_of_a_frame_keep_ids_and_symbols() {
    let program = Program::new();
    matrices_with_barcodes(&program);
    let features = "\"id\"\t\"symbol\"\n\"1\"\t\"G1\"\t\"HLA-A\"\n\"2\"\t\"G2\"\t\"Gata1\"\n";
    fs::write(program.path("r/features.tsv"), features).unwrap();
    let (counts, _) = import(&program, "r");
    right(&counts, "features");
    assert_eq!(counts.var.get("gene_ids").unwrap().to_labels(), ["G1", "G2"]);
    // A list of cells to be kept is such a list, too.
    fs::write(program.path("kept.txt"), "\"x\"\n\"1\" \"GGGGTTTT\"\n\"2\" \"AAAACCCC\"\n").unwrap();
    let (kept, said) = import(&program, "r --barcodes kept.txt");
    assert_eq!(kept.obs.index, ["AAAACCCC", "GGGGTTTT"]);
    assert!(!said.contains("barcodes in"), "{said}");
}

#[test]
fn tables_may_have_spaces_or_semicolons_between_their_fields() {
    for (between, end, corner) in [
        (" ", "txt", None),
        (" ", "tsv", None),
        (";", "csv", Some("\"\"")),
        ("\t", "csv", Some("")),
        (",", "tsv", None),
    ] {
        let program = Program::new();
        for (name, counts) in ["spliced", "unspliced"].iter().zip(COUNTS) {
            let quoted = |names: &[&str]| names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>();
            let heads: Vec<String> = corner.map(str::to_owned).into_iter().chain(quoted(&CELLS)).collect();
            let mut lines = vec![heads.join(between)];
            for (gene, row) in quoted(&GENES).iter().zip(counts) {
                lines.push(format!("{gene}{between}{}", row.join(between)));
            }
            fs::write(program.path(&format!("{name}.{end}")), lines.join("\n")).unwrap();
        }
        right(&import(&program, &format!("spliced.{end} unspliced.{end}")).0, &format!("{between:?} {end}"));
    }
    // Semicolons go with commas as signs of decimals.
    let program = Program::new();
    let table = |counts: &str| format!("\"\";\"AAAACCCC\";\"CCCCGGGG\"\n\"A\";{counts}\n");
    fs::write(program.path("spliced.csv"), table("1,5;2")).unwrap();
    fs::write(program.path("unspliced.csv"), table("0;0,25")).unwrap();
    let (counts, _) = import(&program, "spliced.csv unspliced.csv");
    assert_eq!([counts.spliced, counts.unspliced], [rows(&[&[1.5], &[2.0]]), rows(&[&[0.0], &[0.25]])]);
}

#[test]
fn what_is_not_there_in_r_is_no_count() {
    let program = Program::new();
    matrices_with_barcodes(&program);
    fs::write(program.path("r/genes.tsv"), GENES.join("\n")).unwrap();
    // As writeMM writes NA.
    let whole = fs::read_to_string(program.path("r/spliced.mtx")).unwrap();
    fs::write(program.path("r/spliced.mtx"), whole.replace("1e+05", "1e308")).unwrap();
    let missing = program.fail("import r --output x.h5ad", 2);
    assert!(missing.contains("line 3: a count was wanted, found 1e308") && missing.contains("NA"), "{missing}");
    let table = |count: &str| format!("\"\",\"AAAACCCC\"\n\"A\",{count}\n\"B\",1\n");
    fs::write(program.path("spliced.csv"), table("NA")).unwrap();
    fs::write(program.path("unspliced.csv"), table("1")).unwrap();
    let missing = program.fail("import spliced.csv unspliced.csv --output x.h5ad", 2);
    assert!(missing.contains("line 2: a count was wanted, found \"NA\""), "{missing}");
    // Nothing that separates fields: an error, not an end of the program.
    fs::write(program.path("spliced.csv"), "AAAACCCC\nA\nB\n").unwrap();
    let single = program.fail("import spliced.csv unspliced.csv --output x.h5ad", 2);
    assert!(single.contains("names of rows and columns were wanted around the counts"), "{single}");
}
