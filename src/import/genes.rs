//! Names of genes: ids are kept, symbols made unique.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::lists::list;
use super::source::Genes;
use crate::error::{Error, Result};

/// Names made unique as anndata's `var_names_make_unique` does it: the first of equal names stays, the others get `-1`, `-2`, …, of
/// which those that are taken are passed over.
pub(super) fn unique(names: &[String]) -> Vec<String> {
    unique_with(names, "-")
}

/// The same with another `sign` before the number.
pub(super) fn unique_with(names: &[String], sign: &str) -> Vec<String> {
    let mut taken: HashSet<String> = names.iter().cloned().collect();
    let mut seen: HashSet<&str> = HashSet::new();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let mut renamed = Vec::with_capacity(names.len());
    for name in names {
        if seen.insert(name) {
            renamed.push(name.clone());
            continue;
        }
        let count = counts.entry(name).or_default();
        let fresh = loop {
            *count += 1;
            let fresh = format!("{name}{sign}{count}");
            if !taken.contains(&fresh) {
                break fresh;
            }
        };
        taken.insert(fresh.clone());
        renamed.push(fresh);
    }
    renamed
}

/// Names as they were before [`unique`], where they were made so: `nascent import` and scanpy write such names into files. A number
/// counts where it is the next for a name that came before, which `NKX2-1` without `NKX2` has not, nor `IGHV3-30` behind `IGHV3`.
pub(super) fn before_unique(names: &[String]) -> Vec<String> {
    let all: HashSet<&str> = names.iter().map(String::as_str).collect();
    if all.len() < names.len() {
        return names.to_vec();
    }
    let (mut seen, mut counts): (HashSet<&str>, HashMap<&str, usize>) = (HashSet::new(), HashMap::new());
    let mut restored = Vec::with_capacity(names.len());
    for name in names {
        let parts = name.rsplit_once('-').and_then(|(stem, number)| Some((stem, number.parse::<usize>().ok()?)));
        let before = parts.filter(|&(stem, number)| {
            let next = counts.get(stem).copied().unwrap_or_default() + 1;
            // Numbers are passed over that a name has of its own, before or behind.
            let passed = || (next..number).all(|passed| all.contains(&format!("{stem}-{passed}")[..]));
            seen.contains(stem) && number >= next && passed()
        });
        if let Some((stem, number)) = before {
            counts.insert(stem, number);
        }
        seen.insert(name);
        restored.push(before.map_or_else(|| name.clone(), |(stem, _)| stem.to_owned()));
    }
    restored
}

/// Genes from a list of features: an id, a symbol, whatever else. Of a list with one field the field is the id.
///
/// # Errors
/// [`Error::File`].
pub(super) fn from_features(path: &Path) -> Result<Genes> {
    let (mut ids, mut symbols, mut has_symbols) = (Vec::new(), Vec::new(), false);
    list(path, |fields| {
        // kb and STAR write lists of genes with a space behind names, too.
        let id = fields[0].trim();
        let symbol = fields.get(1).map(|symbol| symbol.trim()).filter(|symbol| !symbol.is_empty());
        has_symbols |= symbol.is_some();
        symbols.push(symbol.unwrap_or(id).to_owned());
        ids.push(id.to_owned());
        Ok(())
    })?;
    Ok(Genes { ids, symbols: has_symbols.then_some(symbols), more: Vec::new() })
}

impl Genes {
    /// The same genes with symbols from a list of ids and symbols. Ids are compared as they are, then without their versions; a gene
    /// that the list lacks keeps its id.
    ///
    /// # Errors
    /// [`Error::Input`] if none of the genes is in the list.
    pub(super) fn named_by(mut self, path: &Path) -> Result<Self> {
        let listed = from_features(path)?;
        let symbols = listed.symbols.unwrap_or_default();
        let exact: HashMap<&str, &String> = listed.ids.iter().map(String::as_str).zip(&symbols).collect();
        let loose: HashMap<&str, &String> = listed.ids.iter().map(|id| stem(id)).zip(&symbols).collect();
        let mut found = 0;
        let named = self.ids.iter().map(|id| {
            let symbol = exact.get(id.as_str()).or_else(|| loose.get(stem(id)));
            found += usize::from(symbol.is_some());
            symbol.map_or_else(|| id.clone(), |symbol| (*symbol).clone())
        });
        self.symbols = Some(named.collect());
        if found == 0 {
            let first = self.ids.first().cloned().unwrap_or_default();
            let problem = format!("none of the genes ({first:?}, …) has a symbol in it");
            return Err(Error::input(
                path,
                "file",
                problem,
                "a gene id and its symbol are wanted on each line, a tab between",
            ));
        }
        Ok(self)
    }
}

/// An id without its version.
fn stem(id: &str) -> &str {
    id.split('.').next().unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    /// Golden: `anndata.utils.make_index_unique`, anndata 0.10.9.
    #[test]
    fn equal_names_are_told_apart_as_anndata_does_it() {
        assert_eq!(unique(&words(&["a", "a", "b", "a-1", "a", "b"])), ["a", "a-2", "b", "a-1", "a-3", "b-1"]);
        assert_eq!(unique(&words(&["x", "y"])), ["x", "y"]);
    }

    #[test]
    fn names_that_were_made_unique_are_known_again() {
        for before in [
            words(&["a", "a", "b", "c", "a", "b"]),
            words(&["Y_RNA", "AC1.1", "Y_RNA", "AC1.1", "Y_RNA"]),
            words(&["NKX2-1", "NKX2-5", "IGHV3", "IGHV3-30", "HLA-A"]),
        ] {
            assert_eq!(before_unique(&unique(&before)), before);
        }
        // Names that are not unique were not made so.
        assert_eq!(before_unique(&words(&["a", "a", "a-1"])), ["a", "a", "a-1"]);
    }

    /// R's documentation of `make.unique`: numbers are appended from 1 on, names that are there already are passed over.
    #[test]
    fn equal_names_are_told_apart_as_r_does_it() {
        assert_eq!(unique_with(&words(&["a", "a", "a.2", "a", "a"]), "."), ["a", "a.1", "a.2", "a.3", "a.4"]);
    }
}
