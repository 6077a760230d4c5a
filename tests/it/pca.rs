//! Principal components against their definition.

use nascent::Error;
use nascent::pca::{Pca, pca, pca_dense};
use nascent::sparse::Csr;
use ndarray::{Array2, Axis, array, concatenate};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Small whole numbers, `[n, g]`, about two thirds zero.
fn random(n: usize, g: usize, seed: u64) -> Array2<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    Array2::from_shape_simple_fn((n, g), || (rng.random_range(0.0..6.0_f32) - 4.0).max(0.0).ceil())
}

fn close(a: &Array2<f64>, b: &Array2<f64>, tolerance: f64) -> bool {
    a.shape() == b.shape() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance)
}

fn of(dense: &Array2<f32>, n_components: usize) -> Pca {
    pca(&Csr::from_dense(dense.view()), n_components).unwrap()
}

#[test]
fn points_on_a_line_have_one_component_along_it() {
    let points = array![[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]];
    let found = of(&points, 1);
    assert!((found.variance[0] - 5.0).abs() < 1e-12, "{:?}", found.variance);
    let length = 5.0_f64.sqrt();
    assert!(close(&found.components, &array![[1.0 / length], [2.0 / length]], 1e-12));
    assert_eq!(found.mean, [2.0, 4.0]);
    let wanted = array![[-length], [0.0], [length]];
    assert!(close(&found.scores.mapv(f64::from), &wanted, 1e-6));
}

#[test]
fn components_are_orthonormal_and_all_of_them_restore_the_data() {
    for (n, g) in [(40, 7), (7, 40)] {
        let x = random(n, g, 1);
        let most = g.min(n - 1);
        let found = of(&x, most);
        let gram = found.components.t().dot(&found.components);
        assert!(close(&gram, &Array2::eye(most), 1e-9), "{n} x {g}");
        let restored = found.scores.mapv(f64::from).dot(&found.components.t()) + &ndarray::Array1::from(found.mean);
        assert!(close(&restored, &x.mapv(f64::from), 1e-5), "{n} x {g}");
    }
}

#[test]
fn more_genes_than_cells_give_the_same_as_fewer() {
    let x = random(30, 12, 2);
    let silent = Array2::<f32>::zeros((30, 40));
    let wide = concatenate![Axis(1), x, silent];
    let (narrow, wide) = (of(&x, 8), of(&wide, 8));
    assert!(close(&narrow.scores.mapv(f64::from), &wide.scores.mapv(f64::from), 1e-5));
    assert!(close(&narrow.components, &wide.components.slice(ndarray::s![..12, ..]).to_owned(), 1e-8));
}

#[test]
fn a_dense_matrix_has_the_components_of_the_same_sparse_one() {
    for (n, g, k) in [(700, 12, 8), (12, 70, 11), (40, 7, 7)] {
        let x = random(n, g, 6);
        let (sparse, dense) = (of(&x, k), pca_dense(x.view(), k).unwrap());
        assert!(close(&dense.components, &sparse.components, 1e-9), "{n} x {g}");
        assert!(close(&dense.scores.mapv(f64::from), &sparse.scores.mapv(f64::from), 1e-5), "{n} x {g}");
        assert!(dense.mean.iter().zip(&sparse.mean).all(|(a, b)| (a - b).abs() < 1e-12));
        assert!(dense.variance.iter().zip(&sparse.variance).all(|(a, b)| (a - b).abs() < 1e-9));
    }
    assert!(matches!(pca_dense(random(4, 9, 5).view(), 4), Err(Error::Data { .. })));
}

#[test]
fn beyond_the_rank_scores_are_zero() {
    let column = random(20, 1, 3);
    let x = concatenate![Axis(1), column, column, column];
    let found = of(&x, 3);
    assert!(found.variance[0] > 0.1);
    assert!(found.scores.slice(ndarray::s![.., 1..]).iter().all(|&score| score == 0.0));
}

#[test]
fn the_order_of_cells_changes_only_the_order_of_scores() {
    let x = random(50, 10, 4);
    let order: Vec<usize> = (0..50).map(|i| (i * 17 + 3) % 50).collect();
    let (found, permuted) = (of(&x, 5), of(&x.select(Axis(0), &order), 5));
    let wanted = found.scores.select(Axis(0), &order);
    assert!(close(&permuted.scores.mapv(f64::from), &wanted.mapv(f64::from), 1e-5));
}

#[test]
fn too_many_components_are_an_error_that_says_how_many_there_can_be() {
    let result = pca(&Csr::from_dense(random(4, 9, 5).view()), 4);
    let Err(error @ Error::Data { .. }) = result else { panic!("{result:?}") };
    assert_eq!(error.to_string(), "4 principal components: must be between 1 and 3 for 4 cells and 9 genes");
}
