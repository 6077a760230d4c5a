//! Neighbours against a search of all pairs, and the laws of the weights.

#![allow(clippy::float_cmp, reason = "these values are exact")]

use nascent::Error;
use nascent::neighbors::{Neighbors, check, connectivities, nearest, neighbors};
use nascent::sparse::Csr;
use ndarray::{Array2, array};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn random(n: usize, d: usize, seed: u64) -> Array2<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    Array2::from_shape_simple_fn((n, d), || rng.random_range(-1.0..1.0))
}

/// Every row sorted by distance, then by cell.
fn by_hand(points: &Array2<f32>, k: usize) -> Vec<Vec<usize>> {
    let squared = |i: usize, j: usize| -> f64 {
        let pairs = points.row(i).into_iter().zip(points.row(j));
        pairs.map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum()
    };
    let row = |i| {
        let mut others: Vec<usize> = (0..points.nrows()).filter(|&j| j != i).collect();
        others.sort_by(|&a, &b| squared(i, a).total_cmp(&squared(i, b)).then(a.cmp(&b)));
        others.truncate(k - 1);
        others.sort_unstable();
        others
    };
    (0..points.nrows()).map(row).collect()
}

fn columns(matrix: &Csr<f32>, i: usize) -> Vec<usize> {
    matrix.row(i).0.iter().map(|&j| j as usize).collect()
}

/// 1,300 cells: several blocks and more than one tile.
#[test]
fn the_search_finds_what_comparing_all_pairs_finds() {
    for (n, d, k, offset) in [(1300, 5, 15, 0.0), (50, 3, 50, 0.0), (300, 4, 10, 1e4)] {
        let points = random(n, d, 7) + offset;
        let found = nearest(points.view(), k).unwrap();
        for (i, wanted) in by_hand(&points, k).into_iter().enumerate() {
            assert_eq!(columns(&found, i), wanted, "cell {i} of {n}");
        }
    }
}

#[test]
fn of_equally_distant_cells_the_first_are_taken() {
    let square = array![[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]];
    let found = nearest(square.view(), 3).unwrap();
    assert_eq!(columns(&found, 0), [1, 2]);
}

#[test]
fn copies_of_a_cell_are_neighbours_at_distance_zero() {
    let points = array![[0.3, 0.7], [5.0, 5.0], [0.3, 0.7], [0.3, 0.7], [4.0, 5.0]];
    let found = nearest(points.view(), 3).unwrap();
    for (i, copies) in [(0, [2, 3]), (2, [0, 3]), (3, [0, 2])] {
        assert_eq!(columns(&found, i), copies);
        assert_eq!(found.row(i).1, [0.0, 0.0]);
    }
}

#[test]
fn weights_are_symmetric_within_zero_and_one_and_the_nearest_has_one() {
    let points = random(400, 6, 8);
    let graph = neighbors(points.view(), 12).unwrap();
    let weights = &graph.connectivities;
    assert_eq!(*weights, weights.transpose());
    assert!(weights.data.iter().all(|&weight| weight > 0.0 && weight <= 1.0));
    for i in 0..400 {
        let (cells, distances) = graph.distances.row(i);
        let nearest = (0..cells.len()).min_by(|&a, &b| distances[a].total_cmp(&distances[b])).unwrap();
        let at = columns(weights, i).iter().position(|&j| j == cells[nearest] as usize).unwrap();
        assert!((weights.row(i).1[at] - 1.0).abs() < 1e-6, "cell {i}");
        assert!(!columns(weights, i).contains(&i));
    }
}

/// σ solves Σ exp(−max(0, d − ρ) / σ) = log2 k; with the distances 1, 2, 3 and k = 4 that is 1 + q + q² = 2 with q = e^(−1/σ),
/// the golden ratio less one. Cell 0 is nobody's neighbour, so the union leaves its weights alone.
#[test]
fn weights_solve_the_equation_of_umap() {
    let mut triplets = vec![(0, 1, 1.0), (0, 2, 2.0), (0, 3, 3.0)];
    for i in 1..4 {
        triplets.extend((1..4).filter(|&j| j != i).map(|j| (i, j, 0.5_f32)));
    }
    let found = connectivities(&Csr::from_triplets(4, 4, &triplets).unwrap(), 4);
    let q = (5.0_f32.sqrt() - 1.0) / 2.0;
    for (weight, wanted) in found.row(0).1.iter().zip([1.0, q, q * q]) {
        assert!((weight - wanted).abs() < 1e-5, "{weight} {wanted}");
    }
}

#[test]
fn cells_that_all_coincide_have_weights_of_one() {
    let points = Array2::<f32>::ones((6, 2));
    let graph = neighbors(points.view(), 4).unwrap();
    assert!(graph.connectivities.data.iter().all(|&weight| weight == 1.0));
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let points = random(700, 10, 9);
    let with = |n_threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| neighbors(points.view(), 20).unwrap())
    };
    assert_eq!(with(1), with(2));
}

#[test]
fn more_neighbours_than_cells_and_missing_coordinates_are_errors() {
    let points = random(5, 2, 10);
    assert!(matches!(nearest(points.view(), 6), Err(Error::Data { .. })));
    assert!(matches!(nearest(points.view(), 1), Err(Error::Data { .. })));
    let mut broken = points;
    broken[(3, 1)] = f32::NAN;
    let result = nearest(broken.view(), 3);
    assert!(matches!(&result, Err(Error::Data { problem, .. }) if problem.contains("cell 3")), "{result:?}");
}

#[test]
fn a_cell_without_neighbours_is_named() {
    let distances = Csr::from_triplets(3, 3, &[(0, 1, 1.0), (1, 0, 1.0), (2, 0, 1.0)]).unwrap();
    let connectivities = Csr::from_triplets(3, 3, &[(0, 1, 1.0_f32), (1, 0, 1.0), (2, 0, 0.0)]).unwrap();
    let graph = Neighbors { connectivities, distances, n_neighbors: 2 };
    let names = ["a", "b", "lonely"].map(str::to_owned);
    let result = check(&graph, &names);
    assert!(matches!(&result, Err(Error::Data { problem, .. }) if problem.contains("\"lonely\"")), "{result:?}");
}
