//! `nascent merge` and the names of cells and genes that users meet, each case with the thread that tells of it: the right counts, or a
//! refusal that names what would have matched.

use nascent::data::{Column, Frame};
use nascent::io::{self, InputConfig, NewFile, OutputConfig};
use nascent::sparse::Csr;

use crate::program::Program;

/// The barcode of cell `at` of `sample`: the bases are the digits of a number, most of them of a multiple of a prime.
pub(crate) fn barcode(sample: usize, at: usize) -> String {
    let mut number = (1 + at + 1000 * sample) * 2_654_435_761 % 4_294_967_291;
    let mut bases = String::new();
    for _ in 0..16 {
        bases.push(char::from(b"ACGT"[number % 4]));
        number /= 4;
    }
    bases
}

const SYMBOLS: [&str; 6] = ["Aldoa", "Aldoa", "HLA_A", "Sox17", "Gata1", "mt-Nd1"];

pub(crate) fn ids() -> Vec<String> {
    (1..=SYMBOLS.len()).map(|at| format!("ENSMUSG0000000{at:04}.{at}")).collect()
}

/// What a cell has of a gene: no two are alike.
pub(crate) fn count(sample: usize, at: usize, gene: usize) -> f32 {
    (1 + gene + 10 * at + 1000 * sample) as f32
}

pub(crate) fn text(words: &[&str]) -> Column {
    Column::Text(words.iter().map(|word| (*word).to_owned()).collect())
}

/// Counts of one sample, as a loom file of velocyto or `nascent import` has them: all genes, with ids and symbols.
pub(crate) fn counts(program: &Program, file: &str, sample: usize, cells: &[usize], name: impl Fn(String) -> String) {
    let rows = |factor: f32| {
        let row =
            |&at: &usize| (0..SYMBOLS.len()).map(|gene| (gene as u32, factor * count(sample, at, gene))).collect();
        Csr::from_rows(SYMBOLS.len(), &cells.iter().map(row).collect::<Vec<Vec<_>>>())
    };
    let new = NewFile {
        counts: vec![("spliced".to_owned(), rows(1.0)), ("unspliced".to_owned(), rows(2.0))],
        obs: Frame { index: cells.iter().map(|&at| name(barcode(sample, at))).collect(), columns: Vec::new() },
        var: Frame {
            index: ids(),
            columns: vec![("Gene".to_owned(), text(&SYMBOLS)), ("gene_ids".to_owned(), Column::Text(ids()))],
        },
        ..NewFile::default()
    };
    io::write_new(&program.path(file), &OutputConfig::default(), &new).unwrap();
}

/// A processed file: cells by name, genes by name, columns of obs.
pub(crate) fn processed(program: &Program, cells: &[String], genes: &[&str], columns: Vec<(&str, Column)>) {
    let x = Csr::from_rows(genes.len(), &cells.iter().map(|_| vec![(0, 0.5)]).collect::<Vec<Vec<_>>>());
    let frame = |names: Vec<String>| Frame { index: names, columns: Vec::new() };
    let mut obs = frame(cells.to_vec());
    for (name, column) in columns {
        obs.set(name, column);
    }
    let new = NewFile {
        x: Some(x),
        obs,
        var: frame(genes.iter().map(|gene| (*gene).to_owned()).collect()),
        ..NewFile::default()
    };
    io::write_new(&program.path("processed.h5ad"), &OutputConfig::default(), &new).unwrap();
}

pub(crate) const GENES: [&str; 3] = ["Sox17", "Aldoa", "Gata1"];
const PLACES: [usize; 3] = [3, 0, 4];

/// Merges, and checks that the cells of the result are these (sample, cell) and have their own counts.
fn right(program: &Program, words: &str, cells: &[(usize, usize)]) -> String {
    let said = program.succeed(&format!("merge processed.h5ad {words} --output merged.h5ad"));
    let merged = io::read(&program.path("merged.h5ad"), &InputConfig::default()).unwrap();
    assert_eq!(merged.n_obs(), cells.len(), "{said}");
    for (row, &(sample, at)) in cells.iter().enumerate() {
        let expected: Vec<f32> = PLACES.iter().map(|&gene| count(sample, at, gene)).collect();
        assert_eq!(merged.spliced.row(row).1, expected, "{sample} {at}: {said}");
        let twice: Vec<f32> = expected.iter().map(|value| 2.0 * value).collect();
        assert_eq!(merged.unspliced.row(row).1, twice);
    }
    said
}

/// Cells of two samples of 30, of which the processed file has some: (sample, cell).
fn two_samples() -> Vec<(usize, usize)> {
    (0..20).map(|at| (0, at)).chain((5..25).map(|at| (1, at))).collect()
}

fn names(cells: &[(usize, usize)], name: impl Fn(usize, String) -> String) -> Vec<String> {
    cells.iter().map(|&(sample, at)| name(sample, barcode(sample, at))).collect()
}

const ALL: std::ops::Range<usize> = 0..30;

/// Two looms of velocyto, as most threads have them.
fn looms(program: &Program) {
    let all: Vec<usize> = ALL.collect();
    counts(program, "NAin.h5ad", 0, &all, |barcode| format!("NAin_possorted_genome_bam_T851Q:{barcode}x"));
    counts(program, "EU.h5ad", 1, &all, |barcode| format!("EU_possorted_genome_bam_OB274:{barcode}x"));
}

/// theislab/scvelo#36, #196: one sample of Cell Ranger (`-1`), a loom of velocyto (`SAMPLE:…x`).
#[test]
fn case_1_cell_rangers_names_and_velocytos() {
    let program = Program::new();
    looms(&program);
    let cells: Vec<_> = (3..20).map(|at| (0, at)).collect();
    processed(&program, &names(&cells, |_, barcode| format!("{barcode}-1")), &GENES, Vec::new());
    let said = right(&program, "NAin.h5ad", &cells);
    assert!(said.contains("17 of 17 have counts (100.0 %), by obs_names"), "{said}");
    assert!(said.contains("BARCODE-1 = NAin_possorted_genome_bam_T851Q:BARCODEx of NAin"), "{said}");
}

/// theislab/scvelo#523: aggregated samples are `-1`, `-2`, each with a loom of its own.
#[test]
fn case_2_numbers_of_aggregated_samples() {
    let program = Program::new();
    looms(&program);
    let cells = two_samples();
    processed(&program, &names(&cells, |sample, barcode| format!("{barcode}-{}", sample + 1)), &GENES, Vec::new());
    // The order of the files says nothing: barcodes do.
    right(&program, "NAin.h5ad EU.h5ad", &cells);
    let said = right(&program, "EU.h5ad NAin.h5ad", &cells);
    assert!(said.contains("  2: 20 of 20, BARCODE-2 = EU_possorted"), "{said}");
}

/// theislab/scvelo#1167: Seurat's `1_`, `2_` before the barcodes; satijalab/seurat#2894: `_1`, `_2` behind them; #1249: `_01`.
#[test]
fn case_3_numbers_that_seurat_adds() {
    for form in [
        |sample: usize, barcode: String| format!("{}_{barcode}-1", 2 - sample),
        |sample, barcode| format!("{barcode}_{}", sample + 1),
        |sample, barcode| format!("{barcode}-1_0{}", sample + 1),
    ] {
        let program = Program::new();
        looms(&program);
        let cells = two_samples();
        processed(&program, &names(&cells, form), &GENES, Vec::new());
        right(&program, "NAin.h5ad EU.h5ad", &cells);
    }
}

/// scanpy's `concatenate`: `-1-0`, `-1-1`; anndata's `concat(index_unique="_")`: `-1_NAin`.
#[test]
fn case_4_what_scanpy_and_anndata_add() {
    let program = Program::new();
    looms(&program);
    let cells = two_samples();
    processed(&program, &names(&cells, |sample, barcode| format!("{barcode}-1-{sample}")), &GENES, Vec::new());
    right(&program, "NAin.h5ad EU.h5ad", &cells);
    let named = |sample: usize, barcode: String| format!("{barcode}-1_{}", ["NAin", "EU"][sample]);
    processed(&program, &names(&cells, named), &GENES, Vec::new());
    right(&program, "EU.h5ad NAin.h5ad", &cells);
}

/// Several samples under one `-1`, told apart by anndata's `obs_names_make_unique` alone where barcodes are shared: a column of obs says
/// whose each is. Without one, shared barcodes get no counts.
#[test]
fn case_5_shared_barcodes_need_a_column_of_samples() {
    let program = Program::new();
    let all: Vec<usize> = ALL.collect();
    looms(&program);
    // A third sample has three barcodes of the first.
    let shared = |barcode: String| {
        let known = (0..3).find(|&at| barcode == super::merge_names::barcode(2, at));
        known.map_or(barcode, |at| super::merge_names::barcode(0, at))
    };
    counts(&program, "WT.h5ad", 2, &all, |barcode| format!("WT:{}x", shared(barcode)));
    let cells: Vec<_> = (0..20).map(|at| (0, at)).chain((0..20).map(|at| (2, at))).collect();
    let mut seen = std::collections::HashSet::new();
    let mut own = names(&cells, |_, barcode| format!("{}-1", shared(barcode)));
    for name in &mut own {
        if !seen.insert(name.clone()) {
            name.push_str("-1");
        }
    }
    let column = |cells: &[(usize, usize)]| {
        let labels: Vec<&str> = cells.iter().map(|cell| if cell.0 == 0 { "treated" } else { "control" }).collect();
        text(&labels)
    };
    processed(&program, &own, &GENES, vec![("cluster", text(&vec!["a"; cells.len()])), ("condition", column(&cells))]);
    let said = right(&program, "NAin.h5ad WT.h5ad", &cells);
    assert!(said.contains("by obs_names and obs[\"condition\"]"), "{said}");
    processed(&program, &own, &GENES, Vec::new());
    let output = program.run("merge processed.h5ad NAin.h5ad WT.h5ad --output merged.h5ad");
    let warned = crate::program::errors(&output);
    assert!(output.status.success() && warned.contains("of 6 cells it is unclear whose the counts are"), "{warned}");
    assert!(
        warned.contains("3 of the 40 processed cells have no counts") || warned.contains("6 of the 40"),
        "{warned}"
    );
}

/// scverse objects concatenated with `ignore_index`, or SeuratDisk's: cells are numbers, barcodes and samples are columns of obs.
#[test]
fn case_6_barcodes_in_a_column() {
    let program = Program::new();
    looms(&program);
    let cells = two_samples();
    let numbers: Vec<String> = (0..cells.len()).map(|at| at.to_string()).collect();
    let barcodes = Column::Text(names(&cells, |_, barcode| format!("{barcode}-1")));
    let samples = Column::Int(cells.iter().map(|cell| i64::from(cell.0 == 1)).collect());
    processed(&program, &numbers, &GENES, vec![("orig.ident", samples), ("barcode", barcodes)]);
    let said = right(&program, "NAin.h5ad EU.h5ad", &cells);
    assert!(said.contains("by barcode"), "{said}");
    processed(&program, &numbers, &GENES, Vec::new());
    let refused = program.fail("merge processed.h5ad NAin.h5ad --output x.h5ad", 2);
    assert!(
        refused.contains("the names here hold no barcode") && refused.contains("a column of obs called barcode"),
        "{refused}"
    );
}

/// STARsolo, kb and alevin-fry give bare barcodes; R's tables make `-1` to `.1`; Parse's cells are wells with `__s1`.
#[test]
fn case_7_bare_barcodes_and_wells() {
    let program = Program::new();
    let all: Vec<usize> = ALL.collect();
    counts(&program, "solo.h5ad", 0, &all, |barcode| barcode);
    let cells: Vec<_> = (3..20).map(|at| (0, at)).collect();
    processed(&program, &names(&cells, |_, barcode| format!("pbmc_{barcode}.1")), &GENES, Vec::new());
    let said = right(&program, "solo.h5ad", &cells);
    assert!(said.contains("pbmc_BARCODE.1 = BARCODE of solo"), "{said}");
    let well = |at: usize| format!("{:02}_{:02}_07", 1 + at / 10, 1 + at % 10);
    let at = |name: &str| ALL.map(|at| barcode(0, at)).position(|own| own == name).unwrap();
    counts(&program, "parse.h5ad", 0, &all, |name| well(at(&name)));
    processed(&program, &names(&cells, |_, name| format!("{}__s1", well(at(&name)))), &GENES, Vec::new());
    let said = right(&program, "parse.h5ad", &cells);
    assert!(said.contains("BARCODE__s1 = BARCODE of parse"), "{said}");
}

/// Lists of all barcodes, as kb and STARsolo write them unfiltered, have every cell: names decide, or the user.
#[test]
fn case_8_raw_lists_of_two_samples() {
    let program = Program::new();
    let cells = two_samples();
    let raw = |file: &str, own: usize| {
        let all: Vec<usize> = ALL.collect();
        counts(&program, "a.h5ad", own, &all, |barcode| barcode);
        counts(&program, "b.h5ad", 1 - own, &all, |barcode| barcode);
        let words = "a.h5ad b.h5ad".split(' ').map(|name| LayeredCells::read(&program, name)).collect::<Vec<_>>();
        LayeredCells::write(&program, file, &words);
    };
    raw("day0.h5ad", 0);
    raw("day3.h5ad", 1);
    let named = |sample: usize, barcode: String| format!("{barcode}-1-{}", ["day0", "day3"][sample]);
    processed(&program, &names(&cells, named), &GENES, Vec::new());
    right(&program, "day3.h5ad day0.h5ad", &cells);
    processed(&program, &names(&cells, |sample, barcode| format!("{barcode}-1-{sample}")), &GENES, Vec::new());
    let refused = program.fail("merge processed.h5ad day0.h5ad day3.h5ad --output x.h5ad", 2);
    assert!(
        refused.contains("the barcodes of sample \"1-0\" are in several samples of the counts, day0, day3"),
        "{refused}"
    );
    assert!(refused.contains("the rule BARCODE-1-0 = BARCODE would match each"), "{refused}");
    assert!(refused.contains("--pair 1-0=day0"), "{refused}");
    right(&program, "day0.h5ad day3.h5ad --pair 1-0=day0 --pair 1-1=day3", &cells);
    let wrong = program.fail("merge processed.h5ad day0.h5ad day3.h5ad --pair 0=day9 --output x.h5ad", 2);
    assert!(
        wrong.contains(
            "--pair = 0=day9: must be a sample of the processed file (1-0, 1-1) and one of the counts (day0, day3)"
        ),
        "{wrong}"
    );
}

/// Cells of a file with layers, to be put below others.
struct LayeredCells {
    obs: Vec<String>,
    spliced: Csr<f32>,
    unspliced: Csr<f32>,
}

impl LayeredCells {
    fn read(program: &Program, name: &str) -> Self {
        let counts = io::read(&program.path(name), &InputConfig::default()).unwrap();
        Self { obs: counts.obs.index, spliced: counts.spliced, unspliced: counts.unspliced }
    }

    fn write(program: &Program, file: &str, parts: &[Self]) {
        let mut layers = [Csr::empty(0, SYMBOLS.len()), Csr::empty(0, SYMBOLS.len())];
        for part in parts {
            layers[0].append(part.spliced.clone());
            layers[1].append(part.unspliced.clone());
        }
        let [spliced, unspliced] = layers;
        let new = NewFile {
            counts: vec![("spliced".to_owned(), spliced), ("unspliced".to_owned(), unspliced)],
            obs: Frame { index: parts.iter().flat_map(|part| part.obs.clone()).collect(), columns: Vec::new() },
            var: Frame {
                index: ids(),
                columns: vec![("Gene".to_owned(), text(&SYMBOLS)), ("gene_ids".to_owned(), Column::Text(ids()))],
            },
            ..NewFile::default()
        };
        io::write_new(&program.path(file), &OutputConfig::default(), &new).unwrap();
    }
}

/// What cannot be right is refused with its likely reason: another sample, the other strand, some samples of many (theislab/scvelo#1054).
#[test]
fn case_9_counts_of_something_else() {
    let program = Program::new();
    looms(&program);
    let merge = |files: &str| program.fail(&format!("merge processed.h5ad {files} --output x.h5ad"), 2);
    processed(&program, &names(&two_samples()[..20], |_, barcode| format!("{barcode}-1")), &GENES, Vec::new());
    let other = merge("EU.h5ad");
    assert!(other.contains("0 of 20 cells were found in the counts (0.0 %, at least 50 % are wanted)"), "{other}");
    assert!(other.contains("these are the counts of another sample"), "{other}");
    let turn = |barcode: String| -> String {
        let other = |base| char::from(b"TGCA"["ACGT".find(base).unwrap()]);
        barcode.chars().rev().map(other).collect()
    };
    processed(&program, &names(&two_samples()[..20], |_, barcode| format!("{}-1", turn(barcode))), &GENES, Vec::new());
    let turned = merge("NAin.h5ad");
    assert!(turned.contains("100 % of the barcodes are there as their reverse complement"), "{turned}");
    let cells: Vec<_> = (0..5).map(|at| (0, at)).chain((0..20).map(|at| (1, at))).collect();
    processed(&program, &names(&cells, |sample, barcode| format!("{barcode}_{}", sample + 1)), &GENES, Vec::new());
    let part = merge("NAin.h5ad");
    assert!(part.contains("5 of 25 cells were found") && part.contains("nothing is there of 2"), "{part}");
    assert!(part.contains("give the counts of all samples; or take what is there: --min-cells 0"), "{part}");
    right(&program, "NAin.h5ad --min-cells 0.2", &cells[..5]);
    assert!(!program.path("x.h5ad").exists());
}

/// velocyto-team/velocyto.py#357: one of two genes of a name is `Aldoa-1` here and `Aldoa.1` in Seurat, which also turns underscores into
/// dashes; ids come with versions and without; mojaveazure/seurat-disk#123: numbers.
#[test]
fn case_10_names_of_genes() {
    let program = Program::new();
    looms(&program);
    let cells: Vec<_> = (3..20).map(|at| (0, at)).collect();
    let with =
        |genes: &[&str]| processed(&program, &names(&cells, |_, barcode| format!("{barcode}-1")), genes, Vec::new());
    let found = |rule: &str, places: &[usize]| {
        let said = program.succeed("merge processed.h5ad NAin.h5ad --output merged.h5ad");
        assert!(said.contains(rule), "{said}");
        let merged = io::read(&program.path("merged.h5ad"), &InputConfig::default()).unwrap();
        let expected: Vec<f32> = places.iter().map(|&gene| count(0, 3, gene)).collect();
        assert_eq!(merged.spliced.row(0).1, expected, "{said}");
    };
    with(&["Aldoa-1", "Aldoa", "Sox17"]);
    found("genes: 3 of 3 have counts (100.0 %), by var_names = symbols of the counts; 3 others", &[1, 0, 3]);
    with(&["Aldoa.1", "Aldoa", "HLA-A", "Sox17", "mt-Nd1"]);
    found("var_names = symbols with .1 of the counts, underscores being dashes as in Seurat", &[1, 0, 2, 3, 5]);
    with(&["ENSMUSG00000000004", "ENSMUSG00000000002"]);
    found("var_names = ids of the counts, without versions", &[3, 1]);
    with(&["Sox17", "Aldoa", "Rp1"]);
    found("genes: 2 of 3 have counts (66.7 %), by var_names = symbols of the counts; without: \"Rp1\"", &[3, 0]);
    let refused = |genes: &[&str], parts: &[&str]| {
        with(genes);
        let refused = program.fail("merge processed.h5ad NAin.h5ad --output x.h5ad", 2);
        for part in parts {
            assert!(refused.contains(part), "{part}: {refused}");
        }
    };
    refused(&["SOX17", "GATA1", "ALDOA"], &["without regard to capital letters 100 % would match", "two species"]);
    refused(&["ENSG00000000003", "ENSG00000000005"], &["their ids begin with ENSG and ENSMUSG: two species"]);
    refused(&["0", "1", "2"], &["numbers, not names"]);
}

/// What `nascent import` wrote has names that were made unique as anndata does it; Seurat took its genes from the pipeline itself, and puts a
/// dash where Cell Ranger has an underscore between genome and gene.
#[test]
fn genes_of_seurat_are_found_in_what_import_wrote() {
    let program = Program::new();
    looms(&program);
    program.succeed("import NAin.h5ad --output counts.h5ad");
    let cells: Vec<_> = (3..20).map(|at| (0, at)).collect();
    for (genes, rule, places) in [
        (
            vec!["Aldoa.1", "Aldoa", "HLA-A", "Sox17", "mt-Nd1"],
            "symbols with .1 of the counts, underscores being dashes as in Seurat",
            vec![1, 0, 2, 3, 5],
        ),
        (
            vec!["mm10-Sox17", "mm10---Aldoa", "mm10-HLA-A", "mm10-Gata1", "mm10-Aldoa.1"],
            "without names of genomes, underscores being dashes as in Seurat",
            vec![3, 0, 2, 4, 1],
        ),
    ] {
        processed(&program, &names(&cells, |_, barcode| format!("s1_{barcode}-1")), &genes, Vec::new());
        let said = program.succeed("merge processed.h5ad counts.h5ad --output merged.h5ad");
        assert!(said.contains("genes: 5 of 5 have counts") && said.contains(rule), "{said}");
        let merged = io::read(&program.path("merged.h5ad"), &InputConfig::default()).unwrap();
        let expected: Vec<f32> = places.iter().map(|&gene| count(0, 3, gene)).collect();
        assert_eq!(merged.spliced.row(0).1, expected, "{said}");
    }
}
