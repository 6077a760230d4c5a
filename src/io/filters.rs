//! Ways of compression that are not in this program.

use std::collections::BTreeSet;
use std::path::Path;

use hdf5::Group;
use hdf5::filters::Filter;

use super::h5::{self, Node};

/// What to do about them.
pub(super) const REWRITE: &str = "write the file anew in an environment that has it: python -c \"import hdf5plugin, anndata; \
                                  anndata.read_h5ad('IN.h5ad').write_h5ad('OUT.h5ad', compression='gzip')\"; or name the folder of HDF5's \
                                  plugins in HDF5_PLUGIN_PATH";

/// Names of the filters in the file at `path` that cannot be undone here; `None` if there are none.
pub(super) fn lacking(path: &Path) -> Option<String> {
    let file = h5::screened(path, 0).ok()?;
    let mut found = BTreeSet::new();
    collect(&file, &mut found);
    let names: Vec<String> = found.iter().map(|&id| format!("{} (filter {id})", name(id))).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// The file was screened: there is no circle.
fn collect(group: &Group, found: &mut BTreeSet<i32>) {
    for member in h5::members(group) {
        match Node::open(group, &member) {
            Some(Node::Group(inner)) => collect(&inner, found),
            Some(Node::Dataset(dataset)) => {
                found.extend(dataset.filters().iter().filter(|filter| !filter.is_available()).map(Filter::id));
            }
            None => {}
        }
    }
}

/// As The HDF Group registered them.
fn name(id: i32) -> &'static str {
    match id {
        4 => "szip",
        307 => "bzip2",
        32_001 => "blosc",
        32_004 => "lz4",
        32_008 => "bitshuffle",
        32_013 => "zfp",
        32_015 => "zstd",
        32_017 => "sz",
        32_026 => "blosc2",
        _ => "an unknown filter",
    }
}
