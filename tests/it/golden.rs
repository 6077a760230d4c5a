//! scVelo's runs, as several tests compare with them.

use std::path::{Path, PathBuf};

use nascent::data::{Column, Dataset};
use nascent::io::{self, InputConfig};
use nascent::preprocess::{self, CountsKind, GraphSource, MomentsSource, PreprocessConfig};
use nascent::sparse::Csr;
use ndarray::{Array2, Axis};

use crate::shared::shared;

/// The runs there are.
pub(crate) const CASES: [&str; 3] = ["sim_300x30", "pancreas_top300", "dentategyrus_100obs"];

/// A run of scVelo 0.3.4 with its own moments and neighbour graph; `None` without the folder `shared`.
pub(crate) fn golden(name: &str) -> Option<(PathBuf, Dataset)> {
    let path = shared(&format!("reference/scvelo_{name}.h5ad"))?;
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

/// The CSR matrix `[n, n]` at `group` of the file, such as `uns/velocity_graph`.
pub(crate) fn csr(path: &Path, group: &str, n: usize) -> Csr<f32> {
    let file = io::h5_options().open(path).unwrap();
    let read = |name: &str| file.dataset(&format!("{group}/{name}")).unwrap();
    let indptr: Vec<usize> = read("indptr").read_raw::<i64>().unwrap().into_iter().map(|at| at as usize).collect();
    let indices: Vec<i32> = read("indices").read_raw().unwrap();
    let data: Vec<f32> = read("data").read_raw().unwrap();
    let entries = |i: usize| (indptr[i]..indptr[i + 1]).map(move |at| (i, at));
    let triplets: Vec<(usize, usize, f32)> =
        (0..n).flat_map(entries).map(|(i, at)| (i, indices[at] as usize, data[at])).collect();
    Csr::from_triplets(n, n, &triplets).unwrap()
}

/// The array at `name` of the file, such as `obsm/X_umap`.
pub(crate) fn array(path: &Path, name: &str) -> Array2<f32> {
    let file = io::h5_options().open(path).unwrap();
    let stored = file.dataset(name).unwrap();
    let shape = stored.shape();
    Array2::from_shape_vec((shape[0], shape[1]), stored.read_raw().unwrap()).unwrap()
}

/// The columns of velocity genes without missing velocities.
pub(crate) fn used(x: &Array2<f32>, v: &Array2<f32>, genes: &Column) -> (Array2<f32>, Array2<f32>) {
    let Column::Bool(genes) = genes else { panic!("not truth values: {genes:?}") };
    let kept: Vec<usize> =
        (0..x.ncols()).filter(|&g| genes[g] && v.column(g).iter().all(|value| !value.is_nan())).collect();
    (x.select(Axis(1), &kept), v.select(Axis(1), &kept))
}
