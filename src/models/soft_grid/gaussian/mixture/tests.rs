//! Claims about the machinery, on mixtures of normal distributions on a line.

use rand_distr::{Distribution, StandardNormal};

use super::*;
use crate::data::stream;

/// Normal distributions on a line, their means and variances free.
struct Normals {
    x: Vec<f64>,
    mean: Vec<f64>,
    variance: Vec<f64>,
}

impl Mixture for Normals {
    /// `Σ q x` and `Σ q x²` of every state.
    type Sums = Vec<[f64; 2]>;

    fn dim(&self) -> (usize, usize) {
        (self.x.len(), self.mean.len())
    }

    fn no_sums(&self) -> Self::Sums {
        vec![[0.0; 2]; self.mean.len()]
    }

    fn log_densities(&self, rows: Range<usize>, out: &mut Array2<f64>) {
        for (&x, mut out) in self.x[rows].iter().zip(out.rows_mut()) {
            for ((out, mean), variance) in out.iter_mut().zip(&self.mean).zip(&self.variance) {
                *out = -0.5 * ((x - mean).powi(2) / variance + (std::f64::consts::TAU * variance).ln());
            }
        }
    }

    fn gather(&self, rows: Range<usize>, q: &Array2<f64>, sums: &mut Self::Sums) {
        for (x, q) in self.x[rows].iter().zip(q.rows()) {
            for (sum, q) in sums.iter_mut().zip(q) {
                *sum = [sum[0] + q * x, sum[1] + q * x * x];
            }
        }
    }

    fn add(&self, sums: &mut Self::Sums, more: Self::Sums) {
        for (sum, more) in sums.iter_mut().zip(more) {
            *sum = [sum[0] + more[0], sum[1] + more[1]];
        }
    }

    fn maximize(&mut self, shares: &[f64], sums: &Self::Sums) {
        for (j, (share, sum)) in shares.iter().zip(sums).enumerate() {
            self.mean[j] = sum[0] / share;
            self.variance[j] = (sum[1] / share - self.mean[j].powi(2)).max(1e-6);
        }
    }
}

/// A mixture of normal distributions: `(weight, mean, s.d.)` of each.
type Truth = [(f64, f64, f64)];

fn drawn(truth: &Truth, n: usize) -> Vec<f64> {
    let mut rng = stream(3, "normals", truth.len() as u64);
    let mut draw = |k: usize| {
        let mut share = (k as f64 + 0.5) / n as f64;
        let at = truth.iter().position(|part| {
            share -= part.0;
            share < 0.0
        });
        let (_, mean, sd) = truth[at.unwrap_or(truth.len() - 1)];
        let z: f64 = StandardNormal.sample(&mut rng);
        mean + sd * z
    };
    (0..n).map(&mut draw).collect()
}

fn fitted(truth: &Truth, smoothing: f64) -> (Normals, Spread, History) {
    let x = drawn(truth, 6000);
    let least = x.iter().copied().fold(f64::INFINITY, f64::min);
    let most = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let n = truth.len();
    let mean = (0..n).map(|k| least + (most - least) * (k as f64 + 0.5) / n as f64).collect();
    let mut normals = Normals { x, mean, variance: vec![4.0; n] };
    let mut spread = Spread::even(n, smoothing, true);
    let rounds = Rounds { most: 500, tolerance: 1e-10 };
    let mut history = History::default();
    run(&mut normals, &mut spread, rounds, &mut history, |_, _| Ok(())).expect("nobody interrupts");
    (normals, spread, history)
}

const TWO: &Truth = &[(0.3, -2.0, 0.7), (0.7, 1.5, 1.0)];
const THREE: &Truth = &[(0.2, -4.0, 0.5), (0.5, 0.0, 1.0), (0.3, 5.0, 0.8)];

#[test]
fn mixtures_of_normal_distributions_are_recovered() {
    for truth in [TWO, THREE] {
        let (normals, spread, history) = fitted(truth, 0.0);
        assert!(history.converged);
        for (j, (weight, mean, sd)) in truth.iter().enumerate() {
            let found = (spread.log_of(0)[j].exp(), normals.mean[j], normals.variance[j].sqrt());
            assert!((found.0 - weight).abs() < 0.02, "weight {weight}: {found:?}");
            assert!((found.1 - mean).abs() < 0.08, "mean {mean}: {found:?}");
            assert!((found.2 - sd).abs() < 0.08, "s.d. {sd}: {found:?}");
        }
    }
}

#[test]
fn the_objective_never_falls() {
    for smoothing in [0.0, 0.01, 50.0] {
        for truth in [TWO, THREE] {
            let (_, _, history) = fitted(truth, smoothing);
            assert!(history.objective.len() > 5);
            for pair in history.objective.windows(2) {
                assert!(pair[1] - pair[0] > -1e-11 * pair[0].abs(), "{pair:?} with {smoothing} pseudo-observations");
            }
        }
    }
}

/// Bit by bit: the sums in the same order.
#[test]
fn without_smoothing_the_spread_is_the_mean_responsibility() {
    let (normals, mut spread, _) = fitted(THREE, 0.0);
    let found = collect(&normals, &spread, |rows| posterior(&normals, &spread, rows));
    let n = found.shares.sum();
    assert!((n - 6000.0).abs() < 1e-9);
    spread.maximize(&found.shares);
    for (log, share) in spread.log_of(0).iter().zip(&found.shares) {
        assert_eq!(log.to_bits(), (share / n).ln().to_bits());
    }
}

#[test]
fn a_run_in_two_parts_is_the_run_in_one() {
    let (mut normals, mut spread, whole) = fitted(TWO, 0.0);
    let n = normals.x.len();
    let start = || Normals { x: drawn(TWO, n), mean: vec![-3.0, 3.0], variance: vec![1.0; 2] };
    let mut histories = [vec![7], vec![3, 7]].map(|parts| {
        (normals, spread) = (start(), Spread::even(2, 0.0, true));
        let mut history = History::default();
        for most in parts {
            let rounds = Rounds { most, tolerance: 0.0 };
            run(&mut normals, &mut spread, rounds, &mut history, |_, _| Ok(())).expect("nobody interrupts");
        }
        history.objective
    });
    assert_eq!(histories[0].len(), 8);
    assert!(whole.last() > histories[0][7]);
    assert_eq!(std::mem::take(&mut histories[0]), histories[1]);
}

#[test]
fn pseudo_observations_count_as_observations() {
    let mut spread = Spread::even(4, 2.0, true);
    spread.maximize(&ndarray::array![[10.0, 0.0, 6.0, 4.0]]);
    let wanted = [12.0 / 28.0, 2.0 / 28.0, 8.0 / 28.0, 6.0 / 28.0_f64];
    for (log, wanted) in spread.log_of(0).iter().zip(wanted) {
        assert!((log.exp() - wanted).abs() < 1e-15);
    }
}

#[test]
fn every_group_has_a_spread_of_its_own() {
    let group = [0_u32, 1, 1, 0].to_vec();
    let mut spread = Spread::grouped(ndarray::array![[0.0, 0.0], [1.0, 1.0]], group, 0.0, true);
    assert!((spread.log_of(1)[0] - 0.5_f64.ln()).abs() < 1e-15);
    spread.maximize(&ndarray::array![[2.0, 0.0], [0.5, 1.5]]);
    assert_eq!(spread.log_of(3), [0.0, f64::NEG_INFINITY]);
    assert_eq!(spread.log_of(2), [0.25_f64.ln(), 0.75_f64.ln()]);
}

#[test]
fn weights_far_apart_are_normalized_without_loss() {
    let mut weights = [-1e4, -1e4 + 1.0, f64::NEG_INFINITY, -2e5];
    let total = normalize(&mut weights);
    let ratio = 1.0_f64.exp();
    assert!((weights[0] - 1.0 / (1.0 + ratio)).abs() < 1e-15);
    assert_eq!(&weights[2..], [0.0, 0.0]);
    assert!((total - (-1e4 + (1.0 + ratio).ln())).abs() < 1e-9);
}
