//! Which cell of the processed file is which cell of the counts.
//!
//! Cells with the same surroundings of their barcodes, and the same label in a column of samples, are a group; so are those of a source
//! of counts. Two samples share barcodes by chance alone, few of them, so a group's own counts are those that have most of its
//! barcodes. Where several have (lists of all barcodes, plates), names of samples decide, and where these say nothing, nobody does.

use std::borrow::Cow;
use std::collections::HashMap;

use super::names::{Name, agree, split};
use super::offers::{MOST_GROUPS, Offer, distinct, grouped, label_of, word};
use crate::data::{Column, Frame, sample_columns};

/// Shares of a group's cells. Two samples of 10,000 cells from 737,000 barcodes share 1.4 % by chance.
const BY_CHANCE: f64 = 0.05;
/// A source that has this share of the barcodes that the best has is as likely.
const RIVALS: f64 = 0.5;
/// Of cells of several samples, at most this share has barcodes that are in more than one of them.
const SHARED: f64 = 0.2;

/// Cells of the processed file that belong together.
pub(super) struct Group<'a> {
    /// What the group is called.
    pub(super) label: String,
    /// Its label in the column of samples, if one is used.
    sample: Option<String>,
    /// Words that may name the sample.
    words: Vec<String>,
    pub(super) example: Name<'a>,
    /// Positions of its cells, and their barcodes.
    pub(super) cells: Vec<(usize, Cow<'a, str>)>,
    pub(super) fate: Fate,
    /// How many of its cells have counts.
    pub(super) matched: usize,
}

impl Group<'_> {
    /// Whether the user may mean it by `name`.
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.label == name || self.words.iter().any(|word| word == name)
    }
}

/// Where the counts of a group are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// In one group of the counts.
    In(usize),
    /// In several, which share next to no barcodes: each cell is where its barcode is.
    Among(Vec<usize>),
    /// These have most of its barcodes, and nothing says whose they are.
    Unclear(Vec<usize>),
    /// Nowhere.
    Nowhere,
}

/// How the cells of the processed file were found.
pub(super) struct Matched<'a> {
    /// What the names of the cells are: `obs_names`, or a column of obs.
    pub(super) key: String,
    /// The column of obs that tells samples apart, if one was needed.
    pub(super) column: Option<String>,
    pub(super) groups: Vec<Group<'a>>,
    /// Source and row there of each cell.
    pub(super) rows: Vec<Option<(usize, usize)>>,
    /// Cells whose barcode is in several samples, or is claimed by several cells.
    pub(super) unclear: usize,
}

impl Matched<'_> {
    /// Number of cells that have counts.
    pub(super) fn found(&self) -> usize {
        self.rows.iter().flatten().count()
    }
}

/// What the user said of the samples.
#[derive(Clone, Copy)]
pub(super) struct Told<'a> {
    /// The column of obs that tells samples apart.
    pub(super) column: Option<&'a str>,
    /// Samples of the processed file and those of the counts that they are.
    pub(super) pairs: &'a [(String, String)],
}

/// Finds the cells of `obs` in the counts: by their names, else by a column that holds barcodes; and where names do not tell samples
/// apart, with a column that does.
pub(super) fn find<'a>(
    obs: &'a Frame,
    words: &'a [(String, Vec<String>)],
    offers: &[Offer],
    told: Told,
) -> Matched<'a> {
    let mut best: Option<Matched> = None;
    let keys = std::iter::once(("obs_names", &obs.index)).chain(words.iter().map(|(name, words)| (&name[..], words)));
    for (key, cells) in keys {
        let found = by_key(obs, key, cells, offers, told);
        let whole = found.found() == cells.len();
        // Names are preferred to columns of barcodes, in which the sample is lost.
        let margin = cells.len() / 50;
        if best.as_ref().is_none_or(|best| found.found() > best.found() + margin) {
            best = Some(found);
        }
        if whole {
            break;
        }
    }
    best.expect("the names of the cells were tried")
}

fn by_key<'a>(obs: &Frame, key: &str, cells: &'a [String], offers: &[Offer], told: Told) -> Matched<'a> {
    let with =
        |column: Option<&str>| pair(key, cells, column.and_then(|name| Some((name, obs.get(name)?))), offers, told);
    let plain = with(told.column);
    let among = plain.groups.iter().any(|group| matches!(group.fate, Fate::Among(_)));
    if told.column.is_some() || offers.len() < 2 || (plain.unclear == 0 && !among && plain.found() == cells.len()) {
        return plain;
    }
    // A column helps if it leaves no group with cells in several samples.
    let mut best = plain;
    for name in sample_columns(&obs.columns, 2..=MOST_GROUPS) {
        let found = with(Some(name));
        let pure = found.groups.iter().all(|group| matches!(group.fate, Fate::In(_) | Fate::Nowhere));
        let better = found.found() > best.found() || (among && best.column.is_none() && found.found() == best.found());
        if pure && better {
            best = found;
        }
    }
    best
}

/// Groups the cells, and finds each group in the counts.
fn pair<'a>(
    key: &str,
    cells: &'a [String],
    column: Option<(&str, &Column)>,
    offers: &[Offer],
    told: Told,
) -> Matched<'a> {
    let labels = column.map(|(_, column)| column.to_labels());
    let label = |cell: usize| labels.as_ref().map(|labels| labels[cell].clone());
    let mut groups: Vec<Group> = grouped(cells, label).into_iter().map(|(_, members)| group(members, label)).collect();
    let mut rows = vec![None; cells.len()];
    let mut unclear = 0;
    for group in &mut groups {
        group.fate = fate(group, offers, told.pairs);
    }
    follow_siblings(&mut groups);
    for group in &groups {
        match group.fate.clone() {
            Fate::Nowhere => {}
            Fate::Unclear(_) => unclear += group.cells.len(),
            Fate::In(at) => {
                for (cell, barcode) in &group.cells {
                    let found = offers[at].rows.get(barcode);
                    rows[*cell] = found.and_then(|row| Some((offers[at].source, row.at?)));
                    unclear += usize::from(found.is_some_and(|row| row.at.is_none()));
                }
            }
            Fate::Among(several) => {
                for (cell, barcode) in &group.cells {
                    let mut found: Vec<usize> =
                        several.iter().copied().filter(|&at| offers[at].calls(barcode)).collect();
                    if found.is_empty() {
                        found = several.iter().copied().filter(|&at| offers[at].has(barcode)).collect();
                    }
                    if let [at] = found[..] {
                        rows[*cell] = offers[at].rows[barcode].at.map(|row| (offers[at].source, row));
                    }
                    unclear += usize::from(found.len() > 1);
                }
            }
        }
    }
    unclear += drop_repeated(&mut rows);
    if let ([only], None) = (&mut groups[..], column) {
        "all cells".clone_into(&mut only.label);
    }
    for group in &mut groups {
        group.matched = group.cells.iter().filter(|(cell, _)| rows[*cell].is_some()).count();
    }
    Matched { key: key.to_owned(), column: column.map(|(name, _)| name.to_owned()), groups, rows, unclear }
}

/// Names that were made unique are in groups of their own, with shared barcodes alone: they go where the others of their sample are.
fn follow_siblings(groups: &mut [Group]) {
    let mut settled: HashMap<String, (usize, usize)> = HashMap::new();
    for group in groups.iter() {
        if let (Some(sample), Fate::In(at)) = (&group.sample, &group.fate) {
            let most = settled.entry(sample.clone()).or_insert((*at, 0));
            if group.cells.len() > most.1 {
                *most = (*at, group.cells.len());
            }
        }
    }
    for group in groups {
        let sibling = group.sample.as_ref().and_then(|sample| settled.get(sample));
        if let (Fate::Unclear(rivals), Some((at, _))) = (&group.fate, sibling)
            && rivals.contains(at)
        {
            group.fate = Fate::In(*at);
        }
    }
}

fn group(members: Vec<(usize, Name<'_>)>, label: impl Fn(usize) -> Option<String>) -> Group<'_> {
    let example = members[0].1.clone();
    let label = label(members[0].0);
    let words = distinct([label.clone(), word(example.before), word(example.after), None]);
    Group {
        label: label_of(&example, label.as_deref()),
        sample: label,
        words,
        example,
        cells: members.into_iter().map(|(at, name)| (at, name.barcode)).collect(),
        fate: Fate::Nowhere,
        matched: 0,
    }
}

/// Where the counts of a group are.
fn fate(group: &Group, offers: &[Offer], pairs: &[(String, String)]) -> Fate {
    if let Some((_, theirs)) = pairs.iter().find(|(ours, _)| group.is_called(ours)) {
        return offers.iter().position(|offer| offer.is_called(theirs)).map_or(Fate::Nowhere, Fate::In);
    }
    let total = group.cells.len() as f64;
    let hits: Vec<usize> = offers.iter().map(|offer| hits(group, offer)).collect();
    let most = hits.iter().copied().max().unwrap_or_default();
    let [mut once, mut often] = [0, 0];
    for (_, barcode) in &group.cells {
        match offers.iter().filter(|offer| offer.calls(barcode)).count() {
            0 => {}
            1 => once += 1,
            _ => often += 1,
        }
    }
    let is_chance = (most as f64) < BY_CHANCE * total && ((once + often) as f64) < RIVALS * total;
    if most == 0 || is_chance {
        return Fate::Nowhere;
    }
    // Of cells of one sample, the other samples have what chance gives them; of cells of several, each has its own.
    if (once + often - most) as f64 > BY_CHANCE * total && often as f64 <= SHARED * total {
        return Fate::Among((0..offers.len()).filter(|&at| hits[at] > 0).collect());
    }
    let rivals: Vec<usize> = (0..offers.len()).filter(|&at| hits[at] as f64 >= RIVALS * most as f64).collect();
    if let [only] = rivals[..] {
        return Fate::In(only);
    }
    let agreeing: Vec<usize> = rivals.iter().copied().filter(|&at| agreeing(&group.words, &offers[at].words)).collect();
    match agreeing[..] {
        [only] => Fate::In(only),
        _ => Fate::Unclear(rivals),
    }
}

fn hits(group: &Group, offer: &Offer) -> usize {
    group.cells.iter().filter(|(_, barcode)| offer.calls(barcode)).count()
}

fn agreeing(ours: &[String], theirs: &[String]) -> bool {
    ours.iter().any(|one| theirs.iter().any(|other| agree(one, other)))
}

/// Two cells cannot have the counts of one: neither gets them. Returns how many cells that are.
fn drop_repeated(rows: &mut [Option<(usize, usize)>]) -> usize {
    let mut claims: HashMap<(usize, usize), usize> = HashMap::new();
    for row in rows.iter().flatten() {
        *claims.entry(*row).or_default() += 1;
    }
    let mut dropped = 0;
    for row in rows.iter_mut().filter(|row| row.is_some_and(|row| claims[&row] > 1)) {
        *row = None;
        dropped += 1;
    }
    dropped
}

/// Columns of words that hold a barcode in most rows, the usual names first.
pub(super) fn barcode_columns(obs: &Frame) -> Vec<(String, Vec<String>)> {
    let texts = obs.columns.iter().filter(|(_, column)| matches!(column, Column::Text(_) | Column::Categorical { .. }));
    let mut found: Vec<(String, Vec<String>)> = texts
        .map(|(name, column)| (name.clone(), column.to_labels()))
        .filter(|(name, words)| {
            let usual = ["barcode", "cellid", "cell_id"].iter().any(|usual| name.to_lowercase().contains(usual));
            let with_bases = words.iter().filter(|word| split(word).has_bases()).count();
            usual || 2 * with_bases > words.len()
        })
        .collect();
    found.sort_by_key(|(name, _)| !name.to_lowercase().contains("barcode"));
    found
}

/// The share of the processed cells whose barcodes, changed by `change`, are in the counts.
pub(super) fn share_if(groups: &[Group], offers: &[Offer], change: impl Fn(&str) -> String) -> f64 {
    let cells = || groups.iter().flat_map(|group| &group.cells);
    let found = cells().filter(|(_, barcode)| {
        let changed = change(barcode);
        offers.iter().any(|offer| offer.has(&changed))
    });
    found.count() as f64 / cells().count().max(1) as f64
}
