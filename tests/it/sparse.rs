//! Sparse rows against the dense matrix that they stand for.

use nascent::Error;
use nascent::sparse::Csr;
use ndarray::{Array2, array};
use proptest::collection::vec;
use proptest::prelude::*;

fn example() -> Array2<f32> {
    array![[0.0, 2.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0], [3.0, 0.0, 4.0, 5.0]]
}

/// Up to 8 × 8 small whole numbers, most of them zero.
fn matrices() -> impl Strategy<Value = Array2<f32>> {
    (1_usize..8, 1_usize..8).prop_flat_map(|(n, m)| {
        let value = prop_oneof![3 => Just(0.0_f32), 1 => (-4_i8..5).prop_map(f32::from)];
        vec(value, n * m).prop_map(move |values| Array2::from_shape_vec((n, m), values).unwrap())
    })
}

proptest! {
    #[test]
    fn dense_to_sparse_and_back_is_the_identity(dense in matrices()) {
        prop_assert_eq!(Csr::from_dense(dense.view()).to_dense(), dense);
    }

    #[test]
    fn transposing_is_that_of_the_dense_matrix_and_undoes_itself(dense in matrices()) {
        let sparse = Csr::from_dense(dense.view());
        prop_assert_eq!(sparse.transpose().to_dense(), dense.t().to_owned());
        prop_assert_eq!(sparse.transpose().transpose(), sparse);
    }

    #[test]
    fn the_product_is_that_of_the_dense_matrix(dense in matrices(), k in 0_usize..4) {
        let right = Array2::from_shape_fn((dense.ncols(), k), |(i, j)| (i as f64 + 1.0) * (j as f64 - 1.0));
        let found = Csr::from_dense(dense.view()).dot(right.view()).unwrap();
        prop_assert_eq!(found, dense.mapv(f64::from).dot(&right));
    }

    #[test]
    fn the_elementwise_product_is_that_of_the_dense_matrix(dense in matrices()) {
        let reversed = dense.mapv(|v| if v > 1.0 { 0.0 } else { v + 1.0 });
        let found = Csr::from_dense(dense.view()).hadamard(&Csr::from_dense(reversed.view())).unwrap();
        prop_assert_eq!(found.to_dense(), &dense * &reversed);
    }

    #[test]
    fn rows_and_columns_are_selected_in_the_order_given(dense in matrices()) {
        let sparse = Csr::from_dense(dense.view());
        let backwards = |n: usize| (0..n).rev().collect::<Vec<_>>();
        let (rows, columns) = (backwards(dense.nrows()), backwards(dense.ncols()));
        let flipped = dense.select(ndarray::Axis(0), &rows).select(ndarray::Axis(1), &columns);
        let found = sparse.select_rows(&rows).select_columns(&columns);
        prop_assert_eq!(&found.to_dense(), &flipped);
        prop_assert_eq!(found, Csr::from_dense(flipped.view()));
    }
}

#[test]
fn triplets_of_the_same_place_are_added() {
    let triplets = [(2, 3, 4.0), (0, 1, 2.0), (2, 0, 3.0), (2, 3, 1.0), (0, 3, 1.0), (2, 2, 4.0)];
    let sparse = Csr::<f32>::from_triplets(3, 4, &triplets).unwrap();
    assert_eq!(sparse, Csr::from_dense(example().view()));
}

#[test]
fn a_triplet_outside_the_matrix_is_an_error() {
    let outside = Csr::<f32>::from_triplets(3, 4, &[(0, 4, 1.0)]);
    assert!(matches!(outside, Err(Error::Shape { .. })), "{outside:?}");
}

#[test]
fn sums_and_scaled_rows_have_known_values() {
    let sparse = Csr::from_dense(example().view());
    assert_eq!(sparse.row_sums(), [3.0, 0.0, 12.0]);
    let (sums, squares) = sparse.column_sums();
    assert_eq!((sums, squares), (vec![3.0, 2.0, 4.0, 6.0], vec![9.0, 4.0, 16.0, 26.0]));
    let scaled = sparse.scale_rows(&[2.0, 7.0, 0.5]).unwrap();
    assert_eq!(scaled.to_dense(), array![[0.0, 4.0, 0.0, 2.0], [0.0; 4], [1.5, 0.0, 2.0, 2.5]]);
    assert!(sparse.scale_rows(&[1.0]).is_err());
}

#[test]
fn the_part_within_some_positions_is_that_of_the_dense_matrix_and_rows_can_be_appended() {
    let dense = ndarray::Array2::from_shape_fn(
        (5, 5),
        |(i, j)| if (i + 2 * j) % 3 == 0 { 0.0_f32 } else { (i * 5 + j) as f32 },
    );
    let matrix = Csr::from_dense(dense.view());
    let part = matrix.within(&[1, 4]);
    assert_eq!(part.to_dense(), dense.select(ndarray::Axis(0), &[1, 4]).select(ndarray::Axis(1), &[1, 4]));
    assert!(matches!(matrix.within(&[0, 1, 2, 3, 4]), std::borrow::Cow::Borrowed(_)));
    let mut above = matrix.select_rows(&[0, 1]);
    above.append(matrix.select_rows(&[2, 3, 4]));
    assert_eq!(above, matrix);
}

#[test]
fn the_sum_of_a_row_without_entries_is_no_negative_zero() {
    let sums = Csr::<f32>::from_rows(2, &[vec![], vec![(0, 1.5)]]).row_sums();
    assert!(sums[0].is_sign_positive() && sums == [0.0, 1.5], "{sums:?}");
}
