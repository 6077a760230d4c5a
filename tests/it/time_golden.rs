//! Roots, end points, pseudotime and latent time against scVelo 0.3.4, from scVelo's own moments, velocities, fitted times and
//! neighbours.

use std::path::Path;

use nascent::data::{Column, Dataset};
use nascent::graph::{Candidates, Kernel, States, backward, rows, transition_matrix, weights};
use nascent::io;
use nascent::sparse::Csr;
use nascent::stats::pearson;
use nascent::time::{
    LatentConfig, PseudotimeConfig, Rerooting, Root, TerminalConfig, latent_time, pseudotime, terminal_states,
};
use ndarray::Array2;

use crate::golden::{CASES, golden, used};
use crate::time::terminal_as_scvelo;

/// scVelo solves for eigenvectors in f32.
const TOLERANCE: f64 = 1e-4;

fn column(data: &Dataset, name: &str) -> Vec<f64> {
    data.obs.get(name).and_then(Column::to_numbers).unwrap_or_else(|| panic!("{name} is not there"))
}

fn graph(path: &Path, data: &Dataset, key: &str) -> Csr<f32> {
    let candidates = Candidates::new(&data.neighbors.distances).unwrap();
    let genes = data.var.get(&format!("{key}_genes")).expect("scVelo's column");
    let (x, v) = used(&data.ms, &io::read_layer(path, key).unwrap(), genes);
    rows(&States::new(x.view()), &candidates, 0..data.n_obs(), v.view()).unwrap()
}

fn worst(found: &[f64], wanted: &[f64]) -> f64 {
    assert_eq!(found.len(), wanted.len());
    assert!(found.iter().all(|value| value.is_finite()));
    found.iter().zip(wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// The velocities whose roots and ends are in the file: scVelo computes them once, for the first pseudotime that needs them
/// (`tl.velocity_pseudotime` of the deterministic velocities), and keeps them; in the third file no cell got a root score, so
/// every later call computed them anew, the dynamical one last.
const TERMINAL_FROM: [&str; 3] = ["velocity_deterministic", "velocity_deterministic", "velocity"];

#[test]
fn end_points_agree_with_scvelo() {
    for (name, key) in CASES.into_iter().zip(TERMINAL_FROM) {
        let Some((path, data)) = golden(name) else { continue };
        let forward = transition_matrix(&graph(&path, &data, key), None, Kernel::default()).unwrap();
        for config in [TerminalConfig::default(), terminal_as_scvelo()] {
            let found = terminal_states(&forward, &data.neighbors.distances, &config).unwrap();
            let worst = worst(&found.scores, &column(&data, "end_points"));
            println!("{name} {key}: end points {worst:.2e}, {} closed, {:?}", found.n_closed, found.states);
            assert!(worst < TOLERANCE);
        }
    }
}

/// Of the three, one is determined and agrees.
///
/// `dentategyrus_100obs`: five cells have no row in the backward matrix. The other 95 lose 0.6 % per step to them (λ₁ = 0.99396), scVelo asks for
/// 0.999, and its roots are all 0, as are ours with its settings. By default the 95 cells are a terminal state that leaks.
///
/// `pancreas_top300`: the one vector with λ = 1 lives on two of 739 cells, so its 98th percentile is 0 and scVelo clips it there. What is left
/// are the solver's rounding errors (the same call on the same file differs from the stored roots by 0.022 in f32, 0.050 in
/// f64, and 0.090 with a dense solver). They have the shape of the next vector, λ = 0.9947, on which they leave their mark
/// as the iteration goes; this is what we return by default, and it correlates by 0.9994 (largest difference 0.13).
#[test]
fn root_cells_agree_with_scvelo_where_they_are_determined() {
    for (name, key) in CASES.into_iter().zip(TERMINAL_FROM) {
        let Some((path, data)) = golden(name) else { continue };
        let reversed = backward(&weights(&graph(&path, &data, key), Kernel::default()));
        let find = |config: &TerminalConfig| terminal_states(&reversed, &data.neighbors.distances, config).unwrap();
        let (ours, shipped) = (find(&TerminalConfig::default()), find(&terminal_as_scvelo()));
        let wanted = column(&data, "root_cells");
        let (a, b) = (worst(&ours.scores, &wanted), worst(&shipped.scores, &wanted));
        let similar = pearson(&ours.scores, &wanted);
        println!("{name} {key}: roots {a:.2e}, shipped {b:.2e}, correlation {similar:.5}, {} closed", ours.n_closed);
        println!("    {:?} shipped {:?}", ours.states, shipped.states);
        match name {
            "sim_300x30" => assert!(a < TOLERANCE && b < TOLERANCE),
            "dentategyrus_100obs" => {
                assert!(b == 0.0 && shipped.states.is_empty());
                assert!((ours.states[0].stays - 0.993_958).abs() < 1e-5);
            }
            _ => {
                assert!(similar > 0.999 && a < 0.2);
                assert_eq!(shipped.states.iter().map(|state| state.n_cells).collect::<Vec<_>>(), [2]);
                assert!((ours.states[0].stays - 0.994_689).abs() < 1e-5);
            }
        }
    }
}

#[test]
fn velocity_pseudotimes_agree_with_scvelo() {
    for name in CASES {
        let Some((path, data)) = golden(name) else { continue };
        let (roots, ends) = (column(&data, "root_cells"), column(&data, "end_points"));
        let graph = graph(&path, &data, "velocity");
        let config = PseudotimeConfig::default();
        let connectivities = &data.neighbors.connectivities;
        let (root, end) = (Root::Inferred(&roots), Some(Root::Inferred(&ends)));
        let found = pseudotime(&graph, connectivities, root, end, &config).unwrap();
        let worst = worst(&found.times, &column(&data, "velocity_pseudotime"));
        println!("{name}: pseudotime {worst:.2e}, root {:?}, end {:?}", found.root, found.end);
        // One file has no root: its pseudotime comes from the end alone.
        assert_eq!(found.root.is_none(), name == "dentategyrus_100obs");
        assert!(worst < TOLERANCE);
    }
}

/// The fitted times in double precision, as scVelo had them: rounded to single, cells change sides of a root (up to 3e-3 in the
/// latent time).
fn times(path: &Path) -> Array2<f64> {
    let file = io::h5_options().open(path).unwrap();
    let stored = file.dataset("layers/fit_t").unwrap();
    let shape = stored.shape();
    Array2::from_shape_vec((shape[0], shape[1]), stored.read_raw().unwrap()).unwrap()
}

#[test]
fn latent_time_agrees_with_scvelo() {
    for name in CASES {
        let Some((path, data)) = golden(name) else { continue };
        let fit_t = times(&path);
        let likelihood = data.var.get("fit_likelihood").and_then(Column::to_numbers).expect("numbers");
        let (roots, wanted) = (column(&data, "root_cells"), column(&data, "latent_time"));
        let run = |config: &LatentConfig| {
            let connectivities = &data.neighbors.connectivities;
            latent_time(fit_t.view(), Some(&likelihood), connectivities, Root::Inferred(&roots), None, config).unwrap()
        };
        let found = run(&LatentConfig::default());
        let worst = worst(&found.times, &wanted);
        println!("{name}: latent time {worst:.2e}, {} genes, roots {:?}", found.n_genes, found.roots);
        assert!(worst < 1e-5);
        assert_eq!(found.rooted, name != "dentategyrus_100obs");
        let fixed = run(&LatentConfig { rerooting: Rerooting::Fixed, ..LatentConfig::default() });
        let whole = run(&LatentConfig { renormalise_rows: true, ..LatentConfig::default() });
        let (fixed, whole) = (pearson(&fixed.times, &wanted), pearson(&whole.times, &wanted));
        println!("    with fixed rerooting r = {fixed:.5}, with rows renormalised r = {whole:.5}");
        // How roots are found anew hardly matters here (r ≥ .9997); what is done with the weights of cells left out does where these
        // are many, 31 of 100 in the third file (r = .945).
        let wanted = if name == "dentategyrus_100obs" { 0.93..0.96 } else { 0.999..1.001 };
        assert!(fixed > 0.999 && wanted.contains(&whole), "{name}: {fixed} {whole}");
        println!("    {} of {} cells doubtful", found.n_doubtful, data.n_obs());
    }
}
