//! The velocity graph against its definition.

use nascent::Error;
use nascent::graph::{
    Candidates, Kernel, Measure, Similarity, States, backward, confidence, rows, self_transitions, softmax, split,
    transition_matrix,
};
use nascent::neighbors::nearest;
use nascent::sparse::Csr;
use nascent::stats::pearson;
use ndarray::{Array2, ArrayView1, s};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Uniform numbers in [−1, 1), `[n, d]`.
fn random(n: usize, d: usize, seed: u64) -> Array2<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    Array2::from_shape_simple_fn((n, d), || rng.random_range(-1.0..1.0))
}

/// 40 cells with 19 genes, velocities, and the candidates among 4 neighbours and theirs.
fn cells() -> (Array2<f32>, Array2<f32>, Candidates) {
    let x = random(40, 19, 1);
    let candidates = Candidates::new(&nearest(x.view(), 5).unwrap()).unwrap();
    (x, random(40, 19, 2), candidates)
}

fn whole(x: &Array2<f32>, v: &Array2<f32>, candidates: &Candidates) -> Csr<f32> {
    rows(&States::new(x.view()), candidates, 0..x.nrows(), v.view()).unwrap()
}

/// Distances of each cell to those that follow it in a ring.
fn ring(n: usize, ahead: &[(usize, f32)], first: &[(usize, f32)]) -> Csr<f32> {
    let of_cell = |i: usize| {
        let steps = if i == 0 { first } else { ahead };
        let mut row: Vec<(u32, f32)> = steps.iter().map(|&(step, d)| (((i + step) % n) as u32, d)).collect();
        row.sort_by_key(|entry| entry.0);
        row
    };
    Csr::from_rows(n, &(0..n).map(of_cell).collect::<Vec<_>>())
}

fn doubles(values: ArrayView1<'_, f32>) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

#[test]
fn candidates_are_the_cell_its_neighbours_and_theirs() {
    let candidates = Candidates::new(&ring(6, &[(1, 1.0)], &[(1, 1.0)])).unwrap();
    assert_eq!(candidates.of(1), [1, 2, 3]);
    assert_eq!(candidates.of(5), [0, 1, 5]);
}

#[test]
fn a_cell_with_one_neighbour_takes_none_from_others() {
    let distances = ring(9, &[(1, 1.0)], &[(1, 3.0), (4, 0.0), (6, 2.0)]);
    let candidates = Candidates::nearest(&distances, usize::MAX).unwrap();
    let sizes: Vec<usize> = (0..9).map(|i| candidates.direct(i).len()).collect();
    assert_eq!(sizes, (0..9).map(|i| distances.row_nnz(i)).collect::<Vec<_>>());
    assert!(sizes.contains(&1) && sizes.contains(&3), "{sizes:?}");
    let most_two = Candidates::nearest(&distances, 2).unwrap();
    for (i, &size) in sizes.iter().enumerate() {
        assert_eq!(most_two.direct(i), &candidates.direct(i)[..size.min(2)], "the nearest first");
    }
}

#[test]
fn cells_without_neighbours_are_refused() {
    let mut distances = ring(4, &[(1, 1.0)], &[(1, 1.0)]);
    distances = Csr::from_rows(4, &[vec![], distances.row(1).0.iter().map(|&j| (j, 1.0)).collect(), vec![], vec![]]);
    assert!(matches!(Candidates::new(&distances), Err(Error::Data { .. })));
    assert!(matches!(Candidates::new(&Csr::empty(2, 3)), Err(Error::Shape { .. })));
}

#[test]
fn a_row_holds_the_correlations_of_the_ways_with_the_velocity() {
    let (x, v, candidates) = cells();
    let graph = whole(&x, &v, &candidates).to_dense();
    for i in 0..x.nrows() {
        let near = candidates.of(i);
        for j in 0..x.nrows() {
            let way = doubles((&x.row(j) - &x.row(i)).view());
            let wanted = if near.contains(&(j as u32)) && i != j { pearson(&way, &doubles(v.row(i))) } else { 0.0 };
            assert!((f64::from(graph[[i, j]]) - wanted).abs() < 1e-6, "{i} {j}: {} {wanted}", graph[[i, j]]);
        }
    }
}

#[test]
fn rows_made_some_at_a_time_are_the_rows_of_the_whole() {
    let (x, v, candidates) = cells();
    let (states, graph) = (States::new(x.view()), whole(&x, &v, &candidates));
    for cells in [0..7, 7..8, 8..40] {
        let part = rows(&states, &candidates, cells.clone(), v.slice(s![cells.clone(), ..])).unwrap();
        assert_eq!(part, graph.select_rows(&cells.collect::<Vec<_>>()));
    }
}

#[test]
fn the_graph_does_not_depend_on_the_number_of_threads() {
    let (x, v, candidates) = cells();
    let of = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| whole(&x, &v, &candidates))
    };
    assert_eq!(of(1), of(3));
}

#[test]
fn the_opposite_velocity_exchanges_the_two_parts() {
    let (x, v, candidates) = cells();
    let (towards, away) = split(&whole(&x, &v, &candidates));
    let (opposite_towards, opposite_away) = split(&whole(&x, &-&v, &candidates));
    assert_eq!(towards, opposite_away.map(|value| -value));
    assert_eq!(away, opposite_towards.map(|value| -value));
    assert!(towards.nnz() > 40 && away.nnz() > 40);
}

#[test]
fn velocities_without_direction_and_duplicates_of_a_cell_have_no_similarity() {
    let (mut x, mut v, candidates) = cells();
    v.row_mut(3).fill(0.0);
    v.row_mut(4).fill(0.1);
    let near = candidates.of(5)[1] as usize;
    let copy = x.row(5).to_owned();
    x.row_mut(near).assign(&copy);
    let graph = whole(&x, &v, &candidates);
    assert_eq!((graph.row_nnz(3), graph.row_nnz(4)), (0, 0));
    assert!(!graph.row(5).0.contains(&(near as u32)));
    assert!(graph.data.iter().all(|value| value.is_finite()));
}

#[test]
fn rows_of_transitions_have_size_one_and_a_cell_without_velocity_stays() {
    let (x, mut v, candidates) = cells();
    v.row_mut(3).fill(0.0);
    let graph = whole(&x, &v, &candidates);
    let confidences: Vec<f32> = (0..40).map(|i| confidence(graph.row(i).1)).collect();
    assert!(graph.row(3).0.is_empty() && confidences[3].abs() < f32::EPSILON);
    let own = self_transitions(&confidences);
    assert!(own.iter().all(|s| (0.0..=1.0).contains(s)));
    for negative in [false, true] {
        let kernel = Kernel { negative, ..Kernel::default() };
        let t = transition_matrix(&graph, Some(&own), kernel).unwrap();
        for i in 0..40 {
            let sizes: f32 = t.row(i).1.iter().map(|weight| weight.abs()).sum();
            assert!((sizes - 1.0).abs() < 1e-6, "{sizes}");
        }
        assert_eq!(t.data.iter().any(|&weight| weight < 0.0), negative);
        assert_eq!(t.row(3), (&[3][..], &[1.0][..]));
        let moving = transition_matrix(&graph, None, kernel).unwrap();
        assert_eq!(moving.row_nnz(3), 0);
    }
}

#[test]
fn the_weights_are_those_of_the_formula() {
    let graph = Csr::from_rows(3, &[vec![(1, 0.5), (2, -0.25)], vec![], vec![]]);
    let rows = |negative, own: Option<&[f32]>| {
        let t = transition_matrix(&graph, own, Kernel { scale: 10.0, negative }).unwrap();
        t.row(0).1.iter().map(|&weight| f64::from(weight)).collect::<Vec<f64>>()
    };
    let close = |found: Vec<f64>, weights: &[f64]| {
        let sum: f64 = weights.iter().map(|weight| weight.abs()).sum();
        assert_eq!(found.len(), weights.len());
        for (found, weight) in found.iter().zip(weights) {
            assert!((found - weight / sum).abs() < 1e-7, "{found} {weight}");
        }
    };
    let e = f64::exp;
    close(rows(false, None), &[e(5.0), e(-2.5)]);
    close(rows(true, None), &[e(5.0) - 1.0, 1.0 - e(2.5)]);
    close(rows(true, Some(&[0.125, 0.0, 0.0])), &[e(1.25) - 1.0, e(5.0) - 1.0, 1.0 - e(2.5)]);
    assert!(matches!(transition_matrix(&graph, Some(&[0.0]), Kernel::default()), Err(Error::Shape { .. })));
}

#[test]
fn velocities_of_another_shape_are_refused() {
    let (x, v, candidates) = cells();
    let states = States::new(x.view());
    let few = rows(&states, &candidates, 0..3, v.slice(s![..2, ..]));
    let outside = rows(&states, &candidates, 39..41, v.slice(s![..2, ..]));
    let narrow = rows(&states, &candidates, 0..2, v.slice(s![..2, ..3]));
    for result in [few, outside, narrow] {
        assert!(matches!(result, Err(Error::Shape { .. })), "{result:?}");
    }
}

/// From the definitions: cosines and products, of the ways or of their square roots with signs.
#[test]
fn every_similarity_is_that_of_its_formula() {
    let (x, v, candidates) = cells();
    let root = |value: f64| value.abs().sqrt().copysign(value);
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    for (measure, square_root) in [
        (Measure::Cosine, false),
        (Measure::Cosine, true),
        (Measure::DotProduct, false),
        (Measure::DotProduct, true),
        (Measure::Correlation, true),
    ] {
        let states = States::compared_by(x.view(), Similarity { measure, square_root });
        let graph = rows(&states, &candidates, 0..40, v.view()).unwrap();
        for i in 0..40 {
            for (&j, &found) in graph.row(i).0.iter().zip(graph.row(i).1) {
                let shown = |values: Vec<f64>| -> Vec<f64> {
                    if square_root { values.into_iter().map(root).collect() } else { values }
                };
                let way = shown(doubles((&x.row(j as usize) - &x.row(i)).view()));
                let velocity = shown(doubles(v.row(i)));
                let wanted = match measure {
                    Measure::Correlation => pearson(&way, &velocity),
                    Measure::DotProduct => dot(&way, &velocity),
                    Measure::Cosine => dot(&way, &velocity) / (dot(&way, &way) * dot(&velocity, &velocity)).sqrt(),
                };
                assert!(
                    (f64::from(found) - wanted).abs() < 1e-5,
                    "{measure:?} {square_root} {i} {j}: {found} {wanted}"
                );
            }
        }
    }
}

#[test]
fn limits_on_candidates_hold_are_repeated_and_draw_from_the_same_cells() {
    let (x, _, all) = cells();
    let distances = nearest(x.view(), 5).unwrap();
    let limited = |seed: u64| Candidates::new(&distances).unwrap().limited(6, seed);
    let (first, again, other) = (limited(1), limited(1), limited(2));
    let mut differ = false;
    for i in 0..40 {
        let drawn = first.of(i);
        assert!(drawn.len() == all.of(i).len().min(6) && drawn.is_sorted() && drawn == again.of(i));
        assert!(drawn.iter().all(|cell| all.of(i).contains(cell)));
        differ |= drawn != other.of(i);
    }
    assert!(differ);
    let two = Candidates::nearest(&distances, 2).unwrap();
    assert!((0..40).all(|i| two.direct(i).len() == 2 && two.of(i).len() == 3));
    assert!(Candidates::connected(&Csr::empty(2, 3)).is_err());
}

#[test]
fn softmax_sums_to_one_ignores_the_cell_itself_and_is_uniform_without_velocity() {
    let (x, mut v, _) = cells();
    v.row_mut(3).fill(0.0);
    let candidates = Candidates::connected(&nearest(x.view(), 5).unwrap()).unwrap();
    let graph = whole(&x, &v, &candidates);
    let t = softmax(&graph, &candidates, None).unwrap();
    let sizes: Vec<f64> = graph.data.iter().map(|value| f64::from(value.abs())).collect();
    let scale = 1.0 / nascent::stats::median(&sizes);
    for i in 0..40 {
        let sum: f32 = t.row(i).1.iter().sum();
        assert!((sum - 1.0).abs() < 1e-6 && !t.row(i).0.contains(&(i as u32)));
    }
    assert!(t.row(3).1.iter().all(|&p| (p - 0.25).abs() < 1e-6));
    let (cells, p) = t.row(0);
    let pi = |at: usize| f64::from(graph.to_dense()[[0, cells[at] as usize]]);
    let ratio = (scale * (pi(0) - pi(1))).exp();
    assert!((f64::from(p[0]) / f64::from(p[1]) / ratio - 1.0).abs() < 1e-4);
}

#[test]
fn time_run_backward_sums_to_one_where_anybody_comes_from() {
    let (x, v, candidates) = cells();
    let back = backward(&whole(&x, &v, &candidates).map(f32::abs));
    for i in 0..40 {
        let sum: f32 = back.row(i).1.iter().sum();
        assert!(back.row_nnz(i) == 0 || (sum - 1.0).abs() < 1e-6);
    }
}
