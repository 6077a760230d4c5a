//! The velocity graph against scVelo 0.3.4 `tl.velocity_graph`, `tl.transition_matrix`, from scVelo's own moments, velocities and
//! neighbours.

use nascent::data::Column;
use nascent::graph::{Candidates, Kernel, States, confidence, rows, self_transitions, split, transition_matrix};
use nascent::io;
use nascent::sparse::Csr;

use crate::golden::{CASES, csr, golden, used};

/// scVelo correlates in f32; e^{10 π} multiplies the error by up to 10.
const TOLERANCE: f64 = 1e-5;

/// Largest difference, over all pairs of cells.
fn difference(found: &Csr<f32>, wanted: &Csr<f32>) -> f64 {
    let worst = (&found.to_dense() - &wanted.to_dense()).into_iter().fold(0.0, |most: f32, next| most.max(next.abs()));
    assert!(worst.is_finite());
    f64::from(worst)
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
