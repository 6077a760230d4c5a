//! Neighbours against a search of all pairs, and the laws of the weights.

#![allow(clippy::float_cmp, reason = "these values are exact")]

use nascent::Error;
use nascent::neighbors::{Neighbors, balanced, check, connectivities, nearest, nearest_among, neighbors};
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

/// Tiles that are too far away in one coordinate are not looked at: also where cells are spread along a line, and many equally distant.
#[test]
fn the_search_finds_the_same_along_a_line_and_on_a_lattice() {
    let line = random(2500, 2, 5) * array![[50.0, 1.0]];
    let lattice = (random(2500, 3, 6) * array![[20.0, 3.0, 2.0]]).mapv(f32::round);
    for points in [line, lattice] {
        let found = nearest(points.view(), 20).unwrap();
        for (i, wanted) in by_hand(&points, 20).into_iter().enumerate() {
            assert_eq!(columns(&found, i), wanted, "cell {i}");
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

#[test]
fn the_search_among_some_cells_finds_the_nearest_of_them() {
    let points = random(400, 3, 9);
    let (cells, among): (Vec<usize>, Vec<usize>) =
        ((0..400).step_by(7).collect(), (0..400).filter(|i| i % 3 == 1).collect());
    let found = nearest_among(points.view(), &cells, &among, 6).unwrap();
    for (&i, row) in cells.iter().zip(&found) {
        let squared = |&j: &usize| -> f64 {
            points.row(i).iter().zip(points.row(j)).map(|(a, b)| f64::from(a - b).powi(2)).sum()
        };
        let mut wanted: Vec<usize> = among.iter().copied().filter(|&j| j != i).collect();
        wanted.sort_by(|a, b| squared(a).total_cmp(&squared(b)));
        wanted.truncate(6);
        wanted.sort_unstable();
        assert_eq!(row.iter().map(|entry| entry.0 as usize).collect::<Vec<_>>(), wanted, "cell {i}");
    }
    // Fewer where there are fewer.
    assert_eq!(nearest_among(points.view(), &[3], &[3, 5], 6).unwrap()[0].len(), 1);
    assert!(nearest_among(points.view(), &[3], &[], 6).unwrap()[0].is_empty());
}

/// The second batch lies far from the first, which has twice as many cells.
#[test]
fn balanced_neighbours_are_as_many_in_each_batch_and_the_nearest_there() {
    let mut points = random(300, 3, 4);
    let batches: Vec<Vec<usize>> = vec![(0..300).filter(|i| i % 3 > 0).collect(), (0..300).step_by(3).collect()];
    for &i in &batches[1] {
        points[[i, 0]] += 50.0;
    }
    let graph = balanced(points.view(), &batches, 11).unwrap();
    assert_eq!(graph.n_neighbors, 10);
    check(&graph, &vec![String::new(); 300]).unwrap();
    for (at, cells) in batches.iter().enumerate() {
        for (there, among) in batches.iter().enumerate() {
            let k = if at == there { 4 } else { 5 };
            for (&i, wanted) in cells.iter().zip(nearest_among(points.view(), cells, among, k).unwrap()) {
                let (others, distances) = graph.distances.row(i);
                let found = others.iter().zip(distances).filter(|(j, _)| among.binary_search(&(**j as usize)).is_ok());
                assert_eq!(found.map(|(&j, &d)| (j, d)).collect::<Vec<_>>(), wanted, "cell {i} in batch {there}");
                assert_eq!(wanted.len(), k);
            }
        }
    }
    // In one batch they are the nearest.
    let all = vec![(0..300).collect()];
    assert_eq!(balanced(points.view(), &all, 10).unwrap(), neighbors(points.view(), 10).unwrap());
    assert!(matches!(balanced(points.view(), &[vec![0, 1], (2..300).collect()], 10), Err(Error::Data { .. })));
}
