//! Which gene of the processed file is which gene of the counts: by ids or by symbols, as the programs in between have changed them.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use crate::data::gene_names::without_version;
use crate::data::{Column, Frame};
use crate::import::genes::{before_unique, unique, unique_with};
use crate::import::source::Genes;

const IDS: &str = "ids";

/// How the genes of a source were found.
pub(super) struct Matched {
    /// For each gene of the source the position in the processed file.
    pub(super) target: Vec<Option<u32>>,
    /// How, for people.
    pub(super) rule: String,
}

/// What programs do to names of genes, from the mildest.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    None,
    /// Ensembl's ids without their version.
    Versions,
    /// Names without that of the genome, which Cell Ranger puts before genes of several species: `GRCh38_`.
    Genomes,
    /// Seurat's names: it allows no underscores.
    Dashes,
    /// Seurat's names of genes that had that of the genome before them: `GRCh38-HLA-A` was `GRCh38_HLA_A`.
    GenomesAndDashes,
}

const CHANGES: [(Change, &str); 5] = [
    (Change::None, ""),
    (Change::Versions, ", without versions"),
    (Change::Genomes, ", without names of genomes"),
    (Change::Dashes, ", underscores being dashes as in Seurat"),
    (Change::GenomesAndDashes, ", without names of genomes, underscores being dashes as in Seurat"),
];

fn changed(name: &str, change: Change) -> String {
    match change {
        Change::None => name.to_owned(),
        Change::Versions => without_version(name).to_owned(),
        Change::Genomes => without_genome(name).to_owned(),
        Change::Dashes => name.replace('_', "-"),
        Change::GenomesAndDashes => without_genome(name).replace('_', "-"),
    }
}

fn without_genome(name: &str) -> &str {
    const GENOMES: [&str; 8] = ["GRCh38", "GRCm39", "GRCm38", "GRCz11", "hg38", "hg19", "mm39", "mm10"];
    let rest = GENOMES.iter().find_map(|genome| name.strip_prefix(genome)).filter(|rest| rest.starts_with(['_', '-']));
    rest.map_or(name, |rest| rest.trim_start_matches(['_', '-']))
}

/// Finds the genes of the counts in `var`: by the pair of names, of each side, that finds most; of equals, by ids. Of the genes that are
/// left, those that the other changes find.
pub(super) fn find(var: &Frame, genes: &Genes) -> Matched {
    let (ours, theirs) = (own_names(var), their_names(genes));
    let mut best = (0, &ours[0], &theirs[0], CHANGES[0]);
    for change in CHANGES {
        for our in &ours {
            for their in &theirs {
                let mut target = vec![None; their.1.len()];
                let found = fill(&mut target, &our.1, &their.1, change.0);
                if found > best.0 + best.0 / 50 {
                    best = (found, our, their, change);
                }
            }
        }
    }
    let (_, our, their, (change, said)) = best;
    let mut target = vec![None; their.1.len()];
    fill(&mut target, &our.1, &their.1, change);
    let mut rule = format!("{} = {} of the counts{said}", our.0, their.0);
    // Ids and symbols are not mixed: one gene's symbol may be what another is called.
    for same in theirs.iter().filter(|other| (other.0 == IDS) == (their.0 == IDS)) {
        for (other, said) in CHANGES {
            let more = fill(&mut target, &our.1, &same.1, other);
            let by = if same.0 == their.0 { String::new() } else { format!(" by {}", same.0) };
            if more > 0 {
                let _ = write!(rule, "; {more} more{by}{said}");
            }
        }
    }
    Matched { target, rule }
}

/// Finds genes of the counts that have no place yet among those of the processed file that no gene has; returns how many.
fn fill(target: &mut [Option<u32>], ours: &[String], theirs: &[String], change: Change) -> usize {
    let mut places = places(ours, change);
    let taken: HashSet<u32> = target.iter().flatten().copied().collect();
    places.retain(|_, at| !taken.contains(at));
    let mut found = 0;
    // Of equal names the first, as everywhere.
    for (slot, name) in target.iter_mut().zip(theirs).filter(|(slot, _)| slot.is_none()) {
        *slot = places.remove(&changed(name, change));
        found += usize::from(slot.is_some());
    }
    found
}

fn places(words: &[String], change: Change) -> HashMap<String, u32> {
    let mut places = HashMap::with_capacity(words.len());
    for (at, word) in (0_u32..).zip(words) {
        places.entry(changed(word, change)).or_insert(at);
    }
    places
}

/// Names of the processed genes: columns of ids first, then the index, then other columns of names.
fn own_names(var: &Frame) -> Vec<(String, Vec<String>)> {
    let mut names: Vec<(String, Vec<String>)> = Vec::new();
    for (name, column) in &var.columns {
        let words = match column {
            Column::Text(_) | Column::Categorical { .. } => column.to_labels(),
            Column::Float(_) | Column::Int(_) | Column::Bool(_) => continue,
        };
        let distinct: HashSet<&String> = words.iter().collect();
        if 2 * distinct.len() > words.len() {
            names.push((format!("var[{name:?}]"), words));
        }
    }
    names.push(("var_names".to_owned(), var.index.clone()));
    let is_id = |(_, words): &(String, Vec<String>)| words.first().is_some_and(|word| word.starts_with("ENS"));
    names.sort_by_key(|column| (!is_id(column), column.0 != "var_names"));
    names
}

/// Names of the genes of the counts: ids, symbols as anndata makes them unique (`-1`), and as R does (`.1`).
fn their_names(genes: &Genes) -> Vec<(&'static str, Vec<String>)> {
    let mut names = vec![(IDS, genes.ids.clone())];
    let symbols = genes.symbols.as_ref().unwrap_or(&genes.ids);
    let of_anndata = unique(symbols);
    // As R's `make.unique` tells equal names apart.
    let of_r = unique_with(&before_unique(symbols), ".");
    let differ = of_r != of_anndata;
    if genes.symbols.is_some() {
        names.push(("symbols", of_anndata));
    }
    if differ {
        names.push(("symbols with .1", of_r));
    }
    names
}

/// Why few genes were found, and what to do.
pub(super) fn why_not(var: &Frame, genes: &Genes) -> (String, String) {
    let share = |ours: &[String], theirs: &[String], change: &dyn Fn(&str) -> String| {
        let theirs: HashSet<String> = theirs.iter().map(|name| change(name)).collect();
        ours.iter().filter(|name| theirs.contains(&change(name))).count() as f64 / ours.len().max(1) as f64
    };
    let symbols = genes.symbols.as_ref().unwrap_or(&genes.ids);
    let lower = share(&var.index, symbols, &|name| name.to_lowercase());
    let ids = |names: &[String]| names.iter().filter(|name| name.starts_with("ENS")).count() * 2 > names.len();
    let species = |names: &[String]| -> Option<String> {
        let first = names.iter().find(|name| name.starts_with("ENS"))?;
        Some(first.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '.').to_owned())
    };
    let examples =
        |names: &[String]| names.iter().take(3).map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
    let shown = format!(
        "the processed genes are called {}, …, those of the counts {}, …",
        examples(&var.index),
        examples(symbols)
    );
    if var.index.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_digit())) {
        return (
            format!("{shown}: numbers, not names"),
            "name the genes of the processed file; SeuratDisk loses their names where a column is in their way"
                .to_owned(),
        );
    }
    if lower > 0.3 {
        return (
            format!("{shown}; without regard to capital letters {:.0} % would match", 100.0 * lower),
            "names that differ in their capitals are those of two species, as Gata1 of mouse and GATA1 of human: count with the \
             reference of the processed file"
                .to_owned(),
        );
    }
    match (species(&var.index), species(&genes.ids)) {
        (Some(ours), Some(theirs)) if ours != theirs => (
            format!("{shown}; their ids begin with {ours} and {theirs}: two species"),
            "count with the reference of the processed file".to_owned(),
        ),
        _ if ids(&var.index) != ids(&genes.ids) => (
            format!("{shown}: ids on one side, symbols on the other"),
            "give the table that has both: --gene-names FILE, an id and a symbol on each line (features.tsv, t2g)"
                .to_owned(),
        ),
        _ => (shown, "are both of one species and annotation?".to_owned()),
    }
}
