//! The velocity graph against scVelo 0.3.4 `tl.velocity_graph`, `tl.transition_matrix`, from scVelo's own moments, velocities and
//! neighbours.

use nascent::data::{Column, Silent};
use nascent::graph::{
    Candidates, Kernel, Measure, Similarity, States, along_embedding, confidence, rows, self_transitions, split,
    transition_matrix, velocity_graph,
};
use nascent::sparse::Csr;
use nascent::{io, scores};

use crate::golden::{CASES, array, csr, golden, used};

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

/// Of velocities of the stochastic model, scVelo compares square roots.
#[test]
fn graphs_of_square_roots_agree_with_scvelo() {
    let similarity = Similarity { measure: Measure::Correlation, square_root: true };
    for name in CASES {
        let Some((path, data)) = golden(name) else { continue };
        let n = data.n_obs();
        let genes = data.var.get("velocity_stochastic_genes").expect("scVelo's column");
        let (x, v) = used(&data.ms, &io::read_layer(&path, "velocity_stochastic").unwrap(), genes);
        let candidates = Candidates::new(&data.neighbors.distances).unwrap();
        let states = States::compared_by(x.view(), similarity);
        let (towards, away) = split(&velocity_graph(&states, &candidates, v.view(), &mut Silent).unwrap());
        let worst = [
            difference(&towards, &csr(&path, "uns/velocity_stochastic_graph", n)),
            difference(&away, &csr(&path, "uns/velocity_stochastic_graph_neg", n)),
        ];
        println!("{name}: {worst:?}");
        assert!(worst.iter().all(|worst| *worst < TOLERANCE), "{worst:?}");
    }
}

/// scVelo rounds lengths to two digits. A cell that all but stays where it is moves by what single precision loses in
/// `T x − x`: scVelo's own value changes there from run to run, by 3e-4 on the simulation.
#[test]
fn lengths_and_confidences_agree_with_scvelo() {
    for name in CASES {
        let Some((path, data)) = golden(name) else { continue };
        let n = data.n_obs();
        let genes = data.var.get("velocity_genes").expect("scVelo's column");
        let (x, v) = used(&data.ms, &io::read_layer(&path, "velocity").unwrap(), genes);
        let candidates = Candidates::new(&data.neighbors.distances).unwrap();
        let graph = rows(&States::new(x.view()), &candidates, 0..n, v.view()).unwrap();
        let confidences: Vec<f32> = (0..n).map(|i| confidence(graph.row(i).1)).collect();
        let own = self_transitions(&confidences);
        let transitions = transition_matrix(&graph, Some(&own), Kernel::default()).unwrap();
        let found = [
            ("velocity_length", scores::length(v.view()), 5.1e-3),
            ("velocity_confidence", scores::confidence(v.view(), &candidates).unwrap(), 1e-5),
            (
                "velocity_confidence_transition",
                scores::transition_confidence(x.view(), v.view(), &transitions).unwrap(),
                1e-4,
            ),
        ];
        for (key, found, tolerance) in found {
            let wanted = data.obs.get(key).and_then(Column::to_numbers).expect("scVelo's column");
            let stays = |i: usize| transitions.row(i).0.binary_search(&(i as u32)).map(|at| transitions.row(i).1[at]);
            let moves = |i: &usize| key != "velocity_confidence_transition" || stays(*i).unwrap_or(0.0) < 0.9;
            let compared: Vec<usize> = (0..n).filter(moves).collect();
            let worst = compared.iter().map(|&i| (found[i] - wanted[i]).abs()).fold(0.0, f64::max);
            println!("{name} {key}: {worst:.1e} over {} of {n} cells", compared.len());
            assert!(worst < tolerance && compared.len() * 10 > n * 8, "{name} {key}: {worst}");
        }
    }
}

/// Golden: scVelo's matrices along its embedding, from its stored graphs (scripts/golden_transitions.py).
#[test]
fn transitions_along_an_embedding_agree_with_scvelo() {
    let text = include_str!("../golden/transitions.json");
    let golden_rows: serde_json::Value = serde_json::from_str(text).unwrap();
    for name in ["sim_300x30", "dentategyrus_100obs"] {
        let Some((path, data)) = golden(name) else { continue };
        let n = data.n_obs();
        let [towards, away] = ["uns/velocity_graph", "uns/velocity_graph_neg"].map(|key| csr(&path, key, n));
        let both = Csr::from_dense((&towards.to_dense() + &away.to_dense()).view());
        let confidences: Vec<f32> = (0..n).map(|i| confidence(both.row(i).1)).collect();
        let plain = transition_matrix(&both, Some(&self_transitions(&confidences)), Kernel::default()).unwrap();
        let umap = array(&path, "obsm/X_umap");
        for (scale, weight) in [(1.0, 0.0), (0.7, 0.3)] {
            let found = along_embedding(&plain, umap.view(), scale, weight).unwrap();
            let rows = golden_rows["runs"][name][format!("{scale:?} {weight:?}")].as_object().expect("rows");
            for (i, row) in rows {
                let (cells, values) = found.row(i.parse().unwrap());
                let wanted: Vec<u32> = serde_json::from_value(row["cells"].clone()).unwrap();
                assert_eq!(cells, wanted, "{name} {i}");
                for (found, wanted) in values.iter().zip(row["values"].as_array().expect("numbers")) {
                    let difference = (f64::from(*found) - wanted.as_f64().expect("a number")).abs();
                    assert!(difference < TOLERANCE, "{name} {i}: {difference}");
                }
            }
        }
    }
}
