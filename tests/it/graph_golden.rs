//! The velocity graph against scVelo 0.3.4 `tl.velocity_graph`, `tl.transition_matrix`, from scVelo's own moments, velocities and
//! neighbours.

use std::path::Path;

use nascent::data::Column;
use nascent::graph::{Candidates, Kernel, States, confidence, rows, self_transitions, split, transition_matrix};
use nascent::io;
use nascent::sparse::Csr;
use ndarray::{Array2, Axis};

use crate::golden::{CASES, golden};

/// scVelo correlates in f32; e^{10 π} multiplies the error by up to 10.
const TOLERANCE: f64 = 1e-5;

fn csr(path: &Path, group: &str, n: usize) -> Csr<f32> {
    let file = hdf5::File::with_options().with_fapl(|p| p.file_locking(false)).open(path).unwrap();
    let read = |name: &str| file.dataset(&format!("{group}/{name}")).unwrap();
    let indptr: Vec<usize> = read("indptr").read_raw::<i64>().unwrap().into_iter().map(|at| at as usize).collect();
    let indices: Vec<i32> = read("indices").read_raw().unwrap();
    let data: Vec<f32> = read("data").read_raw().unwrap();
    let entries = |i: usize| (indptr[i]..indptr[i + 1]).map(move |at| (i, at));
    let triplets: Vec<(usize, usize, f32)> =
        (0..n).flat_map(entries).map(|(i, at)| (i, indices[at] as usize, data[at])).collect();
    Csr::from_triplets(n, n, &triplets).unwrap()
}

/// Largest difference, over all pairs of cells.
fn difference(found: &Csr<f32>, wanted: &Csr<f32>) -> f64 {
    let worst = (&found.to_dense() - &wanted.to_dense()).into_iter().fold(0.0, |most: f32, next| most.max(next.abs()));
    assert!(worst.is_finite());
    f64::from(worst)
}

/// The columns of velocity genes without missing velocities.
fn used(x: &Array2<f32>, v: &Array2<f32>, genes: &Column) -> (Array2<f32>, Array2<f32>) {
    let Column::Bool(genes) = genes else { panic!("not truth values: {genes:?}") };
    let kept: Vec<usize> =
        (0..x.ncols()).filter(|&g| genes[g] && v.column(g).iter().all(|value| !value.is_nan())).collect();
    (x.select(Axis(1), &kept), v.select(Axis(1), &kept))
}

/// All of them have self-transitions, scVelo's default.
#[test]
fn graphs_self_transitions_and_transition_matrices_agree_with_scvelo() {
    for name in CASES {
        let Some((path, data)) = golden(name) else { continue };
        let n = data.n_obs();
        let candidates = Candidates::new(&data.neighbors.distances).unwrap();
        for (key, matrices) in [
            ("velocity", &[("transition_matrix", false), ("transition_matrix_self_neg", true)][..]),
            ("velocity_deterministic", &[("transition_matrix_deterministic", false)]),
        ] {
            let genes = data.var.get(&format!("{key}_genes")).expect("scVelo's column");
            let (x, v) = used(&data.ms, &io::read_layer(&path, key).unwrap(), genes);
            let graph = rows(&States::new(x.view()), &candidates, 0..n, v.view()).unwrap();
            let (towards, away) = split(&graph);
            let confidences: Vec<f32> = (0..n).map(|i| confidence(graph.row(i).1)).collect();
            let own = self_transitions(&confidences);
            let wanted = data.obs.get(&format!("{key}_self_transition")).and_then(Column::to_numbers).expect("numbers");
            let own_worst = own.iter().zip(&wanted).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
            let mut worst = vec![
                difference(&towards, &csr(&path, &format!("uns/{key}_graph"), n)),
                difference(&away, &csr(&path, &format!("uns/{key}_graph_neg"), n)),
                own_worst,
            ];
            for &(matrix, negative) in matrices {
                let kernel = Kernel { negative, ..Kernel::default() };
                let found = transition_matrix(&graph, Some(&own), kernel).unwrap();
                worst.push(difference(&found, &csr(&path, &format!("obsp/{matrix}"), n)));
            }
            println!("{name} {key}: graph, negative, self, transitions {worst:?}");
            assert!(worst.iter().all(|worst| *worst < TOLERANCE));
        }
    }
}
