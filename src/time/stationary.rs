//! Where a walk along transitions is in the long run.
//!
//! ```text
//! x ← (1 − ε) x T / |x T|₁ + ε x        ε = 0.1, from an almost even x
//! ```
//!
//! Of cells that can all reach each other, the limit is the positive μ with μ T = λ μ (Perron and Frobenius), λ the chance to
//! stay among them for one more step. Resting with chance ε changes neither μ nor λ, and lets cells that run in circles of fixed
//! length settle too. Sums of positive numbers lose nothing, however strong the drift.
//!
//! Not every walk settles soon: between parts of the data that are hardly left, or where cells diffuse far, the changes
//! shrink slowly. Krylov spaces (`eigen.rs`) find such vectors, and several, fast. But with a drift T is so far from symmetric that
//! they also find eigenvalues that it does not have (1.0025 for a stochastic matrix of 10⁵ cells): any of a matrix that differs by
//! rounding errors. What they say is taken only if
//!
//! - λ lies between the least and the largest row sum of T, as that of a matrix without negative entries must;
//! - |μ T − λ μ|₁ is small beside |μ|₁;
//! - μ has one sign.
//!
//! If not, the walk goes on to [`MAX_STEPS`], and where cells are by then is the answer, marked as not settled. Of a large matrix
//! steps and restarts are fewer, so that the [`WORK`] is bounded.

use super::eigen::{Pair, Wanted, leading};
use super::operator::{Operator, drawn};
use crate::sparse::Csr;

/// Steps before Krylov spaces are asked, and steps at most.
const FIRST_STEPS: usize = 1000;
pub(super) const MAX_STEPS: usize = 10_000;
/// Entries multiplied in the first steps, and again in Krylov spaces, and again in the last steps.
const WORK: usize = 10_000_000_000;
/// Steps that are made in any case.
const LEAST_STEPS: usize = 100;
/// Chance to rest for a step.
const REST: f64 = 0.1;
/// How uneven the walk starts: an even start could be stationary and hide further vectors.
const UNEVEN: f64 = 0.1;
/// Change of a distribution, in its sum of absolute values, that is none.
const STILL: f64 = 1e-9;
/// Steps over which the decay of the changes is measured.
const LAG: usize = 10;
/// How far λ may lie beyond its bounds (transitions are in single precision).
const SLACK: f64 = 1e-6;
/// Largest residual of a vector from Krylov spaces, relative to its sum of absolute values.
const RESIDUAL: f64 = 1e-6;
/// Largest share of it that may have the wrong sign.
const WRONG_SIGN: f64 = 1e-3;
const MAX_RESTARTS: usize = 60;

/// Distributions over cells that can all reach each other.
pub(super) struct Stationary {
    /// λ of the first.
    pub(super) stays: f64,
    /// Whether they are stationary; if not, there is one, of a walk of [`MAX_STEPS`].
    pub(super) settled: bool,
    /// The first has no negative entries; of others only absolute values mean something.
    pub(super) vectors: Vec<Vec<f64>>,
}

/// The distributions of `transitions` between cells that can all reach each other, `[n, n]`, without negative or missing
/// entries: of those with the `n_vectors` largest λ, all with `λ ≥ floor · λ₁`.
///
/// If two parts are left with a chance below [`STILL`] per step, one vector may stand for both, with their shares of the walk.
pub(super) fn stationary(transitions: &Csr<f32>, n_vectors: usize, floor: f64) -> Stationary {
    let backward = transitions.transpose();
    let operator = Operator { matrix: &backward, scale: None, symmetric: false };
    let mut walk = Walk::new(transitions.n_rows);
    let affordable = WORK / transitions.nnz().max(1);
    if walk.follow(&operator, FIRST_STEPS.min(affordable.max(LEAST_STEPS))) && walk.alone(floor) {
        return walk.into();
    }
    let wanted = Wanted {
        n: n_vectors,
        floor: Some(floor),
        basis: 2 * n_vectors + 20,
        tolerance: STILL,
        max_restarts: MAX_RESTARTS.min(1 + affordable / (n_vectors + 20)),
    };
    // That they do not converge is no error: the walk knows an answer.
    let pairs = leading(&operator, &wanted).unwrap_or_default();
    if let Some(first) = pairs.first().filter(|first| plausible(&operator, &transitions.row_sums(), first)) {
        let stays = first.value;
        return Stationary { stays, settled: true, vectors: pairs.into_iter().map(|pair| pair.vector).collect() };
    }
    if !walk.settled {
        walk.follow(&operator, (MAX_STEPS - FIRST_STEPS).min(affordable.max(LEAST_STEPS)));
    }
    walk.into()
}

fn plausible(operator: &Operator<'_>, row_sums: &[f64], pair: &Pair) -> bool {
    let least = row_sums.iter().copied().fold(f64::INFINITY, f64::min);
    let most = row_sums.iter().copied().fold(0.0, f64::max);
    let (sum, size) = pair.vector.iter().fold((0.0, 0.0), |(sum, size), x| (sum + x, size + x.abs()));
    let image = operator.apply(&pair.vector);
    let residual: f64 = image.iter().zip(&pair.vector).map(|(image, x)| (image - pair.value * x).abs()).sum();
    (least - SLACK..=most + SLACK).contains(&pair.value)
        && residual <= RESIDUAL * size
        && 0.5 * (size - f64::abs(sum)) <= WRONG_SIGN * size
}

struct Walk {
    /// Where it is: the sum is 1.
    x: Vec<f64>,
    stays: f64,
    changes: Vec<f64>,
    settled: bool,
}

impl Walk {
    fn new(n: usize) -> Self {
        let mut x: Vec<f64> = drawn(n, 1).into_iter().map(|drawn| 1.0 + UNEVEN * drawn).collect();
        let total: f64 = x.iter().sum();
        for x in &mut x {
            *x /= total;
        }
        Self { x, stays: 0.0, changes: Vec::new(), settled: false }
    }

    /// Goes on for `steps`, or until the distribution no longer changes; returns whether it does not.
    fn follow(&mut self, operator: &Operator<'_>, steps: usize) -> bool {
        for _ in 0..steps {
            let mut next = operator.apply(&self.x);
            self.stays = next.iter().sum();
            if self.stays <= 0.0 {
                return false;
            }
            let factor = (1.0 - REST) / self.stays;
            let mut change = 0.0;
            for (next, x) in next.iter_mut().zip(&self.x) {
                *next = factor * *next + REST * x;
                change += (*next - x).abs();
            }
            self.x = next;
            self.changes.push(change);
            if change <= STILL {
                self.settled = true;
                break;
            }
        }
        self.settled
    }

    /// Whether the changes shrank so fast that there is no other vector above the floor.
    fn alone(&self, floor: f64) -> bool {
        let [.., last] = self.changes[..] else { return false };
        let before = self.changes.len().checked_sub(LAG + 1).map_or(1.0, |at| self.changes[at]);
        let rate = (last / before).powf(1.0 / LAG as f64);
        rate < REST + (1.0 - REST) * floor
    }
}

impl From<Walk> for Stationary {
    fn from(walk: Walk) -> Self {
        Self { stays: walk.stays, settled: walk.settled, vectors: vec![walk.x] }
    }
}

#[cfg(test)]
mod tests {
    use super::{Stationary, stationary};
    use crate::sparse::Csr;

    /// A walk up with chance `up` and down otherwise, between two ends at which it waits.
    fn drift(n: usize, up: f32) -> Csr<f32> {
        let edges = (0..n).flat_map(|i| [(i, i.saturating_sub(1), 1.0 - up), (i, (i + 1).min(n - 1), up)]);
        Csr::from_triplets(n, n, &edges.collect::<Vec<_>>()).unwrap()
    }

    fn solved(matrix: &Csr<f32>) -> Stationary {
        stationary(matrix, 10, 1.0 - 1e-3)
    }

    fn mean_position(mu: &[f64]) -> f64 {
        mu.iter().enumerate().map(|(i, mu)| i as f64 * mu.abs()).sum::<f64>()
            / mu.iter().map(|mu| mu.abs()).sum::<f64>()
    }

    /// The walk stands at i with a probability proportional to (up/down)^i.
    #[test]
    fn a_walk_with_a_drift_has_the_distribution_of_detailed_balance() {
        for (n, up) in [(3, 0.55_f32), (100, 0.55), (400, 0.55), (400, 0.95), (1000, 0.9)] {
            let found = solved(&drift(n, up));
            assert!(found.settled && (found.stays - 1.0).abs() < 1e-6, "{n} {up} {}", found.stays);
            let (mu, ratio) = (&found.vectors[0], f64::from(up) / f64::from(1.0 - up));
            for i in n.saturating_sub(5).max(1)..n {
                assert!((mu[i] / mu[i - 1] / ratio - 1.0).abs() < 1e-3, "{n} {up} {i} {}", mu[i] / mu[i - 1]);
            }
        }
    }

    #[test]
    fn a_walk_that_does_not_arrive_in_time_is_where_it_got_to_and_says_so() {
        let found = solved(&drift(6000, 0.55));
        // From the middle, with a tenth of a cell per step, and at rest for one step in ten.
        let reached = mean_position(&found.vectors[0]);
        assert!(!found.settled && found.vectors.len() == 1, "{} {reached}", found.stays);
        assert!((found.stays - 1.0).abs() < 1e-6 && (3700.0..3950.0).contains(&reached), "{} {reached}", found.stays);
    }

    #[test]
    fn cells_in_a_circle_settle_although_they_never_stand_still() {
        let edges: Vec<(usize, usize, f32)> = (0..7).map(|i| (i, (i + 1) % 7, 1.0)).collect();
        let found = solved(&Csr::from_triplets(7, 7, &edges).unwrap());
        assert!(found.settled && (found.stays - 1.0).abs() < 1e-9);
        assert!(found.vectors[0].iter().all(|mu| (mu - 1.0 / 7.0).abs() < 1e-6));
    }

    #[test]
    fn parts_that_are_hardly_left_have_a_vector_each() {
        let mut edges = Vec::new();
        for half in [0, 20] {
            for i in 0..20 {
                edges.extend([(half + i, half + (i + 1) % 20, 0.5), (half + i, half + (i + 3) % 20, 0.4999)]);
                edges.push((half + i, (half + 20 + i) % 40, 0.0001));
            }
        }
        let found = solved(&Csr::from_triplets(40, 40, &edges).unwrap());
        assert_eq!((found.settled, found.vectors.len()), (true, 2));
    }
}
