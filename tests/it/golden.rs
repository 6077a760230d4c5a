//! scVelo's runs, as several tests compare with them.

use std::path::{Path, PathBuf};

use nascent::data::Dataset;
use nascent::io::{self, InputConfig};
use nascent::preprocess::{self, CountsKind, GraphSource, MomentsSource, PreprocessConfig};

/// The runs there are.
pub(crate) const CASES: [&str; 3] = ["sim_300x30", "pancreas_top300", "dentategyrus_100obs"];

/// The folder with them.
pub(crate) fn reference() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/reference")).to_path_buf()
}

/// A run of scVelo 0.3.4 with its own moments and neighbour graph; `None`, with a line that says so, if it is not there.
pub(crate) fn golden(name: &str) -> Option<(PathBuf, Dataset)> {
    let path = reference().join(format!("scvelo_{name}.h5ad"));
    if !path.exists() {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    }
    let counts = io::read(&path, &InputConfig::default()).unwrap();
    let config = PreprocessConfig {
        counts: CountsKind::Normalised,
        min_shared_counts: 0,
        n_top_genes: 0,
        neighbors: GraphSource::File,
        moments: MomentsSource::File,
        ..PreprocessConfig::default()
    };
    let (data, _) = preprocess::run(&counts, &config).unwrap();
    assert_eq!(data.n_vars(), counts.n_vars());
    Some((path, data))
}
