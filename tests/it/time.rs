//! Laws of roots, end points, pseudotime and latent time.

use nascent::graph::{Candidates, Kernel, States, backward, rows, transition_matrix, weights};
use nascent::neighbors::{Neighbors, neighbors};
use nascent::sparse::Csr;
use nascent::stats::{pearson, spearman};
use nascent::time::{
    LatentConfig, LatentMethod, PseudotimeConfig, Rerooting, Root, Terminal, TerminalConfig, TimeConfig, latent_time,
    pseudotime, terminal_states,
};
use ndarray::{Array2, Axis, concatenate};
use rand::{Rng, SeedableRng};

/// Cells along a curve in six dimensions, evenly spaced, and velocities along it.
struct Curve {
    neighbors: Neighbors,
    graph: Csr<f32>,
}

fn points(n: usize) -> (Array2<f32>, Array2<f32>) {
    let place = |t: f64, g: usize| {
        let g = g as f64;
        ((0.4 * t + g).cos() + 0.3 * t * (1.7 * g).sin()) as f32
    };
    let time = |i: usize| 6.0 * i as f64 / n as f64;
    let x = Array2::from_shape_fn((n, 6), |(i, g)| place(time(i), g));
    let v = Array2::from_shape_fn((n, 6), |(i, g)| place(time(i) + 0.05, g) - place(time(i), g));
    (x, v)
}

fn curve(x: &Array2<f32>, v: &Array2<f32>) -> Curve {
    let neighbors = neighbors(x.view(), 8).unwrap();
    let candidates = Candidates::new(&neighbors.distances).unwrap();
    let graph = rows(&States::new(x.view()), &candidates, 0..x.nrows(), v.view()).unwrap();
    Curve { neighbors, graph }
}

fn roots_and_ends(curve: &Curve) -> (Terminal, Terminal) {
    let config = TerminalConfig::default();
    let forward = transition_matrix(&curve.graph, None, Kernel::default()).unwrap();
    let reversed = backward(&weights(&curve.graph, Kernel::default()));
    let find = |matrix: &Csr<f32>| terminal_states(matrix, &curve.neighbors.distances, &config).unwrap();
    (find(&reversed), find(&forward))
}

fn highest(scores: &[f64]) -> usize {
    (0..scores.len()).fold(0, |best, i| if scores[i] > scores[best] { i } else { best })
}

fn rising(n: usize) -> Vec<f64> {
    (0..n).map(|i| i as f64).collect()
}

/// What scVelo 0.3.4 does, as far as it is determined: states of any size, none that cells leave.
pub(crate) fn terminal_as_scvelo() -> TerminalConfig {
    TerminalConfig { min_share: 0.0, max_leak: 1e-3, ..TerminalConfig::default() }
}

#[test]
fn along_a_curve_roots_are_first_ends_are_last_and_pseudotime_rises() {
    let (x, v) = points(200);
    let curve = curve(&x, &v);
    let (roots, ends) = roots_and_ends(&curve);
    assert!(highest(&roots.scores) < 20 && highest(&ends.scores) >= 180);
    assert_eq!((roots.n_components, roots.n_apart), (1, 0));
    assert!(roots.scores.iter().chain(&ends.scores).all(|score| (0.0..=1.0).contains(score)));
    let (root, end) = (Root::Inferred(&roots.scores), Some(Root::Inferred(&ends.scores)));
    let config = PseudotimeConfig::default();
    for end in [None, end] {
        let found = pseudotime(&curve.graph, &curve.neighbors.connectivities, root, end, &config).unwrap();
        assert!(spearman(&found.times, &rising(200)) > 0.97);
        assert_eq!(found.end.is_some(), end.is_some());
        assert!((found.times.iter().copied().fold(0.0, f64::max) - 1.0).abs() < 1e-12);
    }
}

#[test]
fn reversed_velocities_exchange_roots_and_ends() {
    let (x, v) = points(200);
    let (roots, ends) = roots_and_ends(&curve(&x, &v));
    let (roots_reversed, ends_reversed) = roots_and_ends(&curve(&x, &v.mapv(|v| -v)));
    assert!(pearson(&roots.scores, &ends_reversed.scores) > 0.9);
    assert!(pearson(&ends.scores, &roots_reversed.scores) > 0.9);
    assert!(pearson(&roots.scores, &ends.scores) < 0.1);
}

#[test]
fn a_named_root_overrides_what_velocities_say_however_absurd() {
    let (x, v) = points(200);
    let curve = curve(&x, &v);
    let (roots, ends) = roots_and_ends(&curve);
    assert!(highest(&roots.scores) < 20);
    let connectivities = &curve.neighbors.connectivities;
    let config = PseudotimeConfig::default();
    let inferred = Some(Root::Inferred(&ends.scores));
    let found = pseudotime(&curve.graph, connectivities, Root::Cells(&[199]), inferred, &config).unwrap();
    assert_eq!((found.root, found.end, found.times[199]), (Some(199), None, 0.0));
    assert!(spearman(&found.times, &rising(200)) < -0.97);
    // Of several cells the middle one.
    let found = pseudotime(&curve.graph, connectivities, Root::Cells(&[170, 180, 199]), None, &config).unwrap();
    assert_eq!((found.root, found.times[180]), (Some(180), 0.0));
    // A named end counts.
    let end = Some(Root::Cells(&[0]));
    let found = pseudotime(&curve.graph, connectivities, Root::Cells(&[199]), end, &config).unwrap();
    assert_eq!(found.end, Some(0));
    assert_eq!((found.times[199], found.times[0]), (0.0, 1.0));
}

#[test]
fn parts_that_the_graph_does_not_link_have_no_time_and_small_ones_no_terminal_state() {
    let (x, v) = points(1000);
    let far = x.slice(ndarray::s![..9, ..]).mapv(|x| x + 100.0);
    let (x, v) = (
        concatenate(Axis(0), &[x.view(), far.view()]).unwrap(),
        concatenate(Axis(0), &[v.view(), v.slice(ndarray::s![..9, ..])]).unwrap(),
    );
    let curve = curve(&x, &v);
    let (roots, ends) = roots_and_ends(&curve);
    for found in [&roots, &ends] {
        assert_eq!((found.n_components, found.n_apart, found.states.len()), (2, 9, 1));
        assert!(found.n_closed >= 2);
        assert!(found.scores[1000..].iter().all(|score| *score == 0.0));
    }
    let config = PseudotimeConfig::default();
    let root = Root::Inferred(&roots.scores);
    let found = pseudotime(&curve.graph, &curve.neighbors.connectivities, root, None, &config).unwrap();
    assert!(found.times[1000..].iter().all(|time| time.is_nan()));
    assert!(found.times[..1000].iter().all(|time| time.is_finite()));
}

/// No two cells of it can reach each other: a thousand classes of one cell.
#[test]
fn the_end_of_a_chain_without_return_is_its_last_cell() {
    let n = 1000;
    let steps: Vec<(usize, usize, f32)> = (0..n - 1).map(|i| (i, i + 1, 1.0)).collect();
    let chain = Csr::from_triplets(n, n, &steps).unwrap();
    let before: Vec<(usize, usize, f32)> = (1..n).map(|i| (i, i - 1, 1.0)).chain([(0, 1, 1.0)]).collect();
    let distances = Csr::from_triplets(n, n, &before).unwrap();
    let found = terminal_states(&chain, &distances, &TerminalConfig::default()).unwrap();
    assert_eq!((highest(&found.scores), found.n_closed, found.states.len()), (n - 1, 1, 1));
    assert!(found.scores[..n - 1].iter().all(|score| *score == 0.0));
}

#[test]
fn two_closed_classes_are_two_states_and_both_have_their_highest_score() {
    let (n, mut edges) = (60, Vec::new());
    for half in [0, 30] {
        for i in 0..30 {
            edges.push((half + i, half + (i + 1) % 30, 0.5));
            edges.push((half + i, half + (i + 7) % 30, 0.5));
        }
    }
    let matrix = Csr::from_triplets(n, n, &edges).unwrap();
    for config in [TerminalConfig::default(), terminal_as_scvelo()] {
        let found = terminal_states(&matrix, &matrix, &config).unwrap();
        assert_eq!((found.n_closed, found.states.len(), found.n_components), (2, 2, 2));
        assert!(found.states.iter().all(|state| state.n_cells == 30 && (state.stays - 1.0).abs() < 1e-9));
    }
}

/// A walk that goes up with chance `up` and down otherwise, and waits at both ends.
fn drift(n: usize, up: f32) -> (Csr<f32>, Csr<f32>) {
    let edges = (0..n).flat_map(|i| [(i, i.saturating_sub(1), 1.0 - up), (i, (i + 1).min(n - 1), up)]);
    let nearest = (0..n).map(|i| (i, if i == 0 { 1 } else { i - 1 }, 1.0));
    let matrix = |edges: Vec<(usize, usize, f32)>| Csr::from_triplets(n, n, &edges).unwrap();
    (matrix(edges.collect()), matrix(nearest.collect()))
}

#[test]
fn a_strong_drift_over_thousands_of_cells_ends_at_the_last() {
    let (walk, distances) = drift(3000, 0.95);
    let found = terminal_states(&walk, &distances, &TerminalConfig::default()).unwrap();
    let [state] = found.states[..] else { panic!("{:?}", found.states) };
    assert!(state.settled && (state.n_cells, state.n_vectors) == (3000, 1));
    assert!((state.stays - 1.0).abs() < 1e-6);
    assert!(highest(&found.scores) >= 2930);
}

#[test]
fn a_walk_too_long_to_settle_says_so() {
    let (walk, distances) = drift(6000, 0.55);
    let found = terminal_states(&walk, &distances, &TerminalConfig::default()).unwrap();
    assert!(!found.states[0].settled && (found.states[0].stays - 1.0).abs() < 1e-6);
    assert!(found.scores.iter().all(|score| (0.0..=1.0).contains(score)));
}

#[test]
fn the_slowest_ways_through_the_data_keep_their_order_unless_flattened() {
    let (x, v) = points(3000);
    let curve = curve(&x, &v);
    let connectivities = &curve.neighbors.connectivities;
    let order = |flatten_slow: bool| {
        let config = PseudotimeConfig { flatten_slow, ..PseudotimeConfig::default() };
        let found = pseudotime(&curve.graph, connectivities, Root::Cells(&[0]), None, &config).unwrap();
        spearman(&found.times, &rising(3000))
    };
    let (kept, flattened) = (order(false), order(true));
    println!("rank correlation with the truth {kept:.4}, flattened {flattened:.4}");
    assert!(kept > 0.97 && flattened < 0.9);
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let (x, v) = points(700);
    let curve = curve(&x, &v);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (roots, ends) = roots_and_ends(&curve);
            let (root, end) = (Root::Inferred(&roots.scores), Some(Root::Inferred(&ends.scores)));
            let config = PseudotimeConfig::default();
            let found = pseudotime(&curve.graph, &curve.neighbors.connectivities, root, end, &config).unwrap();
            (roots.scores.clone(), ends.scores.clone(), found.times)
        })
    };
    assert_eq!(run(1), run(5));
}

/// Times of 40 genes that see the same clock through noise, each at its own pace, and the neighbour graph of the cells.
fn gene_times(n: usize) -> (Array2<f64>, Vec<f64>, Neighbors) {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
    let paces: Vec<f64> = (0..40).map(|_| rng.random_range(0.8..1.25)).collect();
    let times = Array2::from_shape_fn((n, 40), |(i, g)| {
        let t = 10.0 * i as f64 / n as f64;
        paces[g] * (t + if i == 0 { 0.0 } else { rng.random_range(0.0..1.5) })
    });
    let likelihood = (0..40).map(|g| 0.2 + 0.01 * f64::from(g)).collect();
    let (x, _) = points(n);
    (times, likelihood, neighbors(x.view(), 10).unwrap())
}

const METHODS: [LatentMethod; 3] = [LatentMethod::Scvelo, LatentMethod::LikelihoodMean, LatentMethod::Median];

#[test]
fn latent_time_recovers_the_order_of_cells_by_every_method() {
    let (times, likelihood, neighbors) = gene_times(300);
    for method in METHODS {
        for (rerooting, renormalise_rows) in [(Rerooting::Shipped, false), (Rerooting::Fixed, true)] {
            let config = LatentConfig { method, rerooting, renormalise_rows, ..LatentConfig::default() };
            let graph = &neighbors.connectivities;
            let found = latent_time(times.view(), Some(&likelihood), graph, Root::Cells(&[0]), None, &config).unwrap();
            let similar = spearman(&found.times, &rising(300));
            println!("{method:?} {rerooting:?}: rank correlation {similar:.4}, {} doubtful", found.n_doubtful);
            assert!(similar > 0.98);
            assert_eq!((found.roots.as_slice(), found.n_genes, found.rooted), (&[0][..], 40, true));
            assert!(found.times.iter().all(|time| (0.0..=1.0).contains(time)));
        }
    }
}

#[test]
fn latent_time_does_not_depend_on_the_unit_of_time() {
    let (times, likelihood, neighbors) = gene_times(150);
    let graph = &neighbors.connectivities;
    for method in METHODS {
        let config = LatentConfig { method, ..LatentConfig::default() };
        let run = |times: &Array2<f64>| {
            latent_time(times.view(), Some(&likelihood), graph, Root::Cells(&[0, 1, 2]), None, &config).unwrap().times
        };
        let wanted = run(&times);
        // A power of two changes no digit.
        assert_eq!(run(&times.mapv(|t| 4.0 * t)), wanted);
        // Of each gene, for the methods that take each gene in its own unit.
        if method != LatentMethod::Scvelo {
            let mut paced = times.clone();
            for (g, mut column) in paced.columns_mut().into_iter().enumerate() {
                column.mapv_inplace(|t| t * f64::from(1 << (g % 5)));
            }
            let config = LatentConfig { method, ..LatentConfig::default() };
            let run = |times: &Array2<f64>| {
                latent_time(times.view(), Some(&likelihood), graph, Root::Cells(&[0]), None, &config).unwrap().times
            };
            assert_eq!(run(&paced), run(&times));
        }
    }
}

#[test]
fn roots_start_from_the_fitted_times_or_from_each_other_which_differs_only_for_several() {
    let (mut times, likelihood, neighbors) = gene_times(200);
    // The second cell is as the first: rooting there once more changes nothing.
    let first = times.row(0).to_owned();
    times.row_mut(1).assign(&first);
    for method in METHODS {
        let run = |roots: &[usize], rerooting: Rerooting| {
            let config = LatentConfig { method, rerooting, ..LatentConfig::default() };
            let root = Root::Cells(roots);
            latent_time(times.view(), Some(&likelihood), &neighbors.connectivities, root, None, &config).unwrap().times
        };
        let one = run(&[0], Rerooting::Fixed);
        assert_eq!(one, run(&[0], Rerooting::Shipped));
        assert_eq!(one, run(&[0, 1], Rerooting::Fixed));
        assert_eq!(one, run(&[0, 1], Rerooting::Shipped));
        assert_ne!(run(&[0, 40, 90], Rerooting::Fixed), run(&[0, 40, 90], Rerooting::Shipped));
    }
}

#[test]
fn rows_are_renormalised_only_where_neighbours_are_doubtful() {
    let (times, likelihood, neighbors) = gene_times(200);
    let run = |min_confidence: f64, renormalise_rows: bool| {
        let config = LatentConfig { min_confidence, renormalise_rows, ..LatentConfig::default() };
        let root = Root::Cells(&[0]);
        latent_time(times.view(), Some(&likelihood), &neighbors.connectivities, root, None, &config).unwrap()
    };
    assert_eq!(run(0.0, true).n_doubtful, 0);
    assert_eq!(run(0.0, true).times, run(0.0, false).times);
    let (renormalised, shipped) = (run(0.97, true), run(0.97, false));
    assert!(renormalised.n_doubtful > 0 && renormalised.n_doubtful < 150, "{}", renormalised.n_doubtful);
    assert!(spearman(&renormalised.times, &rising(200)) > spearman(&shipped.times, &rising(200)));
}

#[test]
fn cells_before_a_named_root_come_after_all_others_in_latent_time() {
    let (times, likelihood, neighbors) = gene_times(300);
    let config = LatentConfig::default();
    let graph = &neighbors.connectivities;
    let ends = vec![1.0; 300];
    let inferred = Some(Root::Inferred(&ends));
    let found = latent_time(times.view(), Some(&likelihood), graph, Root::Cells(&[150]), inferred, &config).unwrap();
    assert!(found.ends.is_empty());
    let wrapped: Vec<f64> = (0..300).map(|i| f64::from((i + 150) % 300)).collect();
    // Genes do not agree on the cells near the root.
    let clear = |i: &usize| !(110..190).contains(i);
    let pick = |values: &[f64]| (0..300).filter(clear).map(|i| values[i]).collect::<Vec<_>>();
    assert!(spearman(&pick(&found.times), &pick(&wrapped)) > 0.9);
    let named_end = Some(Root::Cells(&[299]));
    let found = latent_time(times.view(), Some(&likelihood), graph, Root::Cells(&[0]), named_end, &config).unwrap();
    assert_eq!(found.ends, [299]);
    assert!(spearman(&found.times, &rising(300)) > 0.95);
}

#[test]
fn without_a_certain_root_the_earliest_cells_vote_and_it_is_said() {
    let (times, likelihood, neighbors) = gene_times(100);
    let scores = vec![0.5; 100];
    let root = Root::Inferred(&scores);
    let config = LatentConfig::default();
    let found = latent_time(times.view(), Some(&likelihood), &neighbors.connectivities, root, None, &config).unwrap();
    assert!(!found.rooted && found.roots.len() == 4 && found.roots.contains(&0));
}

#[test]
fn errors_name_what_was_given() {
    assert!(Root::Cells(&[7]).check(7).unwrap_err().to_string().contains("cell number 7"));
    assert!(Root::Cells(&[]).check(7).is_err() && Root::Inferred(&[1.0]).check(7).is_err());
    let (x, v) = points(30);
    let curve = curve(&x, &v);
    let graph = &curve.neighbors.connectivities;
    let config = PseudotimeConfig::default();
    let nothing = vec![0.0; 30];
    assert!(pseudotime(&curve.graph, graph, Root::Inferred(&nothing), None, &config).is_err());
    let negative = transition_matrix(&curve.graph, None, Kernel { negative: true, ..Kernel::default() }).unwrap();
    assert!(terminal_states(&negative, &curve.neighbors.distances, &TerminalConfig::default()).is_err());
    let times = Array2::<f32>::zeros((30, 2));
    let likelihood = [0.01, f64::NAN];
    let config = LatentConfig::default();
    let message = latent_time(times.view(), Some(&likelihood), graph, Root::Cells(&[0]), None, &config).unwrap_err();
    assert!(message.to_string().contains("0.1"));
}

#[test]
fn settings_out_of_range_are_refused_and_unknown_ones_too() {
    let mut config = TimeConfig::default();
    assert!(config.validate().is_ok());
    config.terminal.min_share = 1.0;
    assert!(config.validate().unwrap_err().to_string().contains("time.terminal.min_share"));
    let read = toml::from_str::<TimeConfig>("[latent]\nmethod = \"median\"\nrerooting = \"fixed\"\n").unwrap();
    assert_eq!((read.latent.method, read.latent.rerooting), (LatentMethod::Median, Rerooting::Fixed));
    assert!((read.latent.min_confidence - 0.75).abs() < 1e-12);
    assert!(toml::from_str::<TimeConfig>("[latent]\nrenormalize_rows = true\n").is_err());
}
