//! The cells of the counts, in groups: those of one source with the same surroundings of their barcodes, and of one sample.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::names::{Name, bare, split};
use crate::import::source::{Called, Source};

/// More kinds of surroundings than this are no samples.
pub(super) const MOST_GROUPS: usize = 1000;

/// Cells of a source with one kind of surroundings.
pub(super) struct Offer<'a> {
    /// Position of the source.
    pub(super) source: usize,
    /// The sample's name.
    pub(super) name: String,
    /// Words that may name the sample.
    pub(super) words: Vec<String>,
    /// An example of how its cells are called.
    pub(super) example: Name<'a>,
    pub(super) rows: HashMap<Cow<'a, str>, Row>,
}

/// Where a barcode is in a source.
#[derive(Clone, Copy)]
pub(super) struct Row {
    /// Position among the cells of the source; `None` where several of them have the barcode.
    pub(super) at: Option<usize>,
    /// Whether the pipeline took it for a cell, or did not say.
    pub(super) called: bool,
}

impl Offer<'_> {
    /// Whether a cell of the pipeline has the barcode: others are in every list of all barcodes.
    pub(super) fn calls(&self, barcode: &str) -> bool {
        self.rows.get(barcode).is_some_and(|row| row.called)
    }

    pub(super) fn has(&self, barcode: &str) -> bool {
        self.rows.contains_key(barcode)
    }

    /// Number of barcodes that are cells.
    pub(super) fn n_called(&self) -> usize {
        self.rows.values().filter(|row| row.called).count()
    }

    /// Whether the user may mean it by `name`.
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.name == name || self.words.iter().any(|word| word == name)
    }
}

/// The groups of all sources.
pub(super) fn offers(sources: &[Source]) -> Vec<Offer<'_>> {
    let mut offers = Vec::new();
    for (at, source) in sources.iter().enumerate() {
        let sample = source.obs.iter().find(|(name, _)| name == "sample").map(|(_, column)| column.to_labels());
        let label = |cell: usize| sample.as_ref().map(|labels| labels[cell].clone());
        let called: Option<HashSet<&str>> = match &source.called {
            Called::Listed { names, .. } => Some(names.iter().map(String::as_str).collect()),
            Called::All | Called::Nobody { .. } => None,
        };
        let mut own: Vec<Offer> = Vec::new();
        for (_, members) in grouped(&source.cells, label) {
            let (_, first) = &members[0];
            let label = label(members[0].0);
            let mut rows = HashMap::with_capacity(members.len());
            for (cell, name) in &members {
                let called = called.as_ref().is_none_or(|called| called.contains(&source.cells[*cell][..]));
                let row = Row { at: Some(*cell), called };
                rows.entry(name.barcode.clone())
                    .and_modify(|row: &mut Row| *row = Row { at: None, called: row.called || called })
                    .or_insert(row);
            }
            let words = [Some(source.name.clone()), label.clone(), word(first.before), word(first.after)];
            let name = label.unwrap_or_else(|| source.name.clone());
            own.push(Offer { source: at, name, words: distinct(words), example: first.clone(), rows });
        }
        // Groups of one name are told apart by what surrounds their barcodes, as the runs that Cell Ranger's aggr numbers.
        let several = own.len() > 1 && own.iter().all(|offer| offer.name == own[0].name);
        for offer in own.iter_mut().filter(|_| several) {
            let surroundings = label_of(&offer.example, None);
            offer.name = format!("{} {surroundings:?}", offer.name);
        }
        offers.extend(own);
    }
    offers
}

pub(super) fn distinct(words: [Option<String>; 4]) -> Vec<String> {
    let mut all: Vec<String> = words.into_iter().flatten().collect();
    all.dedup();
    all
}

pub(super) fn word(piece: &str) -> Option<String> {
    // velocyto's x and Cell Ranger's -1 name nothing; neither do numbers that people and programs give to samples.
    Some(bare(piece).to_owned()).filter(|word| word.chars().any(char::is_alphabetic) && word != "x")
}

/// What the cells of a group have in common: what stands before and behind their barcodes, and a label.
pub(super) type Kind<'a> = (&'a str, &'a str, Option<String>);

/// Cells with the same surroundings and label, in the order in which they come; all in one group if there are too many kinds.
pub(super) fn grouped(
    cells: &[String],
    label: impl Fn(usize) -> Option<String>,
) -> Vec<(Kind<'_>, Vec<(usize, Name<'_>)>)> {
    let mut places: HashMap<Kind, usize> = HashMap::new();
    let mut groups: Vec<(Kind, Vec<(usize, Name)>)> = Vec::new();
    for (at, cell) in cells.iter().enumerate() {
        let name = split(cell);
        let kind = (name.before, name.after, label(at));
        let place = *places.entry(kind.clone()).or_insert(groups.len());
        if place == groups.len() {
            groups.push((kind, Vec::new()));
        }
        groups[place].1.push((at, name));
    }
    if groups.len() <= MOST_GROUPS {
        return groups;
    }
    let mut all: Vec<(usize, Name)> = groups.drain(..).flat_map(|(_, members)| members).collect();
    all.sort_by_key(|(at, _)| *at);
    vec![(("", "", None), all)]
}

pub(super) fn label_of(example: &Name, label: Option<&str>) -> String {
    let surroundings = [bare(example.before), bare(example.after)];
    let words: Vec<&str> = label.into_iter().chain(surroundings).filter(|word| !word.is_empty()).collect();
    if words.is_empty() { "all".to_owned() } else { words.join(" ") }
}

/// Barcodes of some of the cells of an offer.
pub(super) fn examples(offer: &Offer, n: usize) -> Vec<String> {
    let mut barcodes: Vec<&Cow<str>> = offer.rows.keys().collect();
    barcodes.sort_unstable();
    let whole = |barcode: &&Cow<str>| format!("{}{barcode}{}", offer.example.before, offer.example.after);
    barcodes.iter().take(n).map(whole).collect()
}
