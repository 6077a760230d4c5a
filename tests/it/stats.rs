//! Statistics against values worked out by hand or by numpy 1.26.

#![allow(clippy::float_cmp, reason = "these values are exact")]

use nascent::stats::{mean, median, pearson, percentile, ranks, spearman, std_dev, variance};
use proptest::collection::vec;
use proptest::prelude::*;

/// Golden: `numpy.percentile([3, 1, 4, 1, 5, 9, 2, 6], q)`.
#[test]
fn percentiles_interpolate_as_numpy_does() {
    let values = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0];
    for (q, wanted) in [(0.0, 1.0), (5.0, 1.0), (25.0, 1.75), (50.0, 3.5), (95.0, 7.95), (99.0, 8.79), (100.0, 9.0)] {
        let found = percentile(&values, q);
        assert!((found - wanted).abs() < 1e-12, "{q}: {found}");
    }
}

#[test]
fn nothing_and_nan_have_no_percentile() {
    assert!(percentile(&[], 50.0).is_nan());
    assert!(percentile(&[1.0, f64::NAN], 50.0).is_nan());
    assert!(median(&[1.0],).is_finite());
}

#[test]
fn variances_divide_by_n_or_by_n_minus_one() {
    let values = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
    assert_eq!((mean(&values), variance(&values, 0), std_dev(&values, 0)), (5.0, 4.0, 2.0));
    assert_eq!(variance(&values, 1), 32.0 / 7.0);
    assert!(variance(&[1.0], 1).is_nan());
    assert!(mean(&[]).is_nan());
}

#[test]
fn equal_values_share_their_ranks() {
    assert_eq!(ranks(&[10.0, 20.0, 10.0, 5.0, 0.0, -0.0]), [4.5, 6.0, 4.5, 3.0, 1.5, 1.5]);
}

/// By hand: ranks (1, 2.5, 2.5, 4) and (1, 3, 2, 4) correlate by 4.5 / √(4.5 · 5).
#[test]
fn correlations_have_known_values() {
    let (x, y) = ([1.0, 2.0, 2.0, 8.0], [0.0, 5.0, 1.0, 6.0]);
    assert!((spearman(&x, &y) - 4.5 / 22.5_f64.sqrt()).abs() < 1e-15);
    assert!((pearson(&[1.0, 2.0, 3.0], &[6.0, 4.0, 2.0]) + 1.0).abs() < 1e-15);
    assert!(pearson(&[1.0, 1.0], &[1.0, 2.0]).is_nan());
    assert!(spearman(&[1.0, f64::NAN], &[1.0, 2.0]).is_nan());
}

proptest! {
    #[test]
    fn spearman_sees_only_the_order(x in vec(-1e3..1e3_f64, 3..30), scale in 0.1..10.0_f64) {
        let y: Vec<f64> = x.iter().rev().copied().collect();
        let bent: Vec<f64> = x.iter().map(|v| (scale * v / 1e3).exp()).collect();
        let (a, b) = (spearman(&x, &y), spearman(&bent, &y));
        prop_assert!((a - b).abs() < 1e-9 || (a.is_nan() && b.is_nan()));
    }

    #[test]
    fn percentiles_rise_and_stay_within_the_values(x in vec(-1e3..1e3_f64, 1..30), q in 0.0..99.0_f64) {
        let (low, high) = (percentile(&x, q), percentile(&x, q + 1.0));
        prop_assert!(percentile(&x, 0.0) <= low && low <= high && high <= percentile(&x, 100.0));
    }
}
