//! Names under which layers of counts go in the field's files.

use std::path::Path;

use hdf5::File;

use super::h5::{self, Node};
use super::{InputConfig, SPLICED, UNSPLICED};

/// Pairs of layers that hold spliced and unspliced counts, the usual one first: velocyto, STARsolo, alevin-fry; kb-python since
/// 0.28.1; exons and introns.
const COUNT_LAYERS: [[&str; 2]; 5] =
    [["spliced", "unspliced"], ["mature", "nascent"], ["exon", "intron"], ["exonic", "intronic"], ["exons", "introns"]];

/// Names of the layers with spliced and unspliced counts: the first pair that the field uses of which a file `has` both.
pub fn known_pair(has: impl Fn(&str) -> bool) -> Option<[&'static str; 2]> {
    COUNT_LAYERS.into_iter().find(|pair| pair.iter().all(|name| has(name)))
}

impl InputConfig {
    /// The same; or, where these are the usual names and the file lacks the layers, those of another known pair that it has. A file
    /// that cannot be read changes nothing here.
    #[must_use]
    pub fn or_known(&self, path: &Path) -> Self {
        h5::open(path).map_or_else(|_| self.clone(), |file| self.known_in(&file))
    }

    pub(super) fn known_in(&self, file: &File) -> Self {
        let Some(Node::Group(layers)) = Node::open(file, "layers") else { return self.clone() };
        if *self != Self::default() {
            return self.clone();
        }
        let there = known_pair(|name| layers.link_exists(name));
        let [spliced, unspliced] = there.unwrap_or([SPLICED.key(), UNSPLICED.key()]).map(str::to_owned);
        Self { spliced, unspliced }
    }
}
