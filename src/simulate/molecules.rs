//! One cell's counts as the molecules of a birth-death process.
//!
//! ```text
//! bursts      at rate α(t)/b, each of n molecules, P(n) = (1/b) (1 − 1/b)ⁿ⁻¹, n = 1, 2, …     (mean b)
//! splicing    u → u − 1, s → s + 1   at rate β u
//! decay       s → s − 1              at rate γ s
//! ```
//!
//! The law of the counts at time t is that of Gillespie's event-by-event simulation (1977, the direct method), but no
//! events are stepped through, because molecules do not act on each other. One of age a is
//!
//! ```text
//! unspliced with probability e^{−βa},   spliced with β φ(a; β, γ) (crate::kinetics),   else gone
//! ```
//!
//! and is counted, in either form, with probability `p(a) = c (e^{−βa} + β φ)`, c the cell's share of molecules captured.
//! Of a burst of that age at least one molecule is counted with probability `w(a) = p / (q + p (1 − q))`, `q = 1/b`, and
//! after each one counted there is another with probability `(1 − q) w`: a geometric number thinned is geometric again,
//! but for the zero. So the bursts that leave a trace are a Poisson process over age with intensity `α q w(a)`. It falls
//! with age and is drawn by thinning from the youngest age up (Lewis and Shedler 1979; Ogata 1981): exact, and molecules
//! that are gone or missed cost next to nothing.
//!
//! At steady state counts have the means of the ODE and, where c = 1,
//!
//! ```text
//! Var u / E u = b      Var s / E s = 1 + (b − 1) β/(β + γ)      Cov(u, s) = α (b − 1)/(β + γ)
//! ```
//!
//! for molecules born in batches have `Cov(i, j) = δᵢⱼ E i + λ E[n(n − 1)] ∫ Pᵢ(a) Pⱼ(a) da`, here with `λ = α/b` and
//! `E[n(n − 1)] = 2b(b − 1)`. Capture multiplies each ratio's excess over 1 by c, and the covariance by c².

use rand::Rng;
use rand_chacha::ChaCha12Rng;
use rand_distr::{Distribution, Exp1};

use super::cells::Cell;
use super::genes::{Curve, Gene};
use super::settings::SimulateConfig;
use super::{Entries, stream};
use crate::kinetics::phi;

/// Draws the unspliced and the spliced counts of cell number `at`.
pub(super) fn observe(config: &SimulateConfig, at: usize, cell: &Cell, genes: &[Gene]) -> [Entries; 2] {
    let mut rng = stream(config.seed, "molecules", at);
    let bursts = Bursts { q: 1.0 / config.burst, capture: (config.capture * cell.size).min(1.0) };
    let mut counts = [Entries::new(), Entries::new()];
    for (g, gene) in (0..).zip(genes) {
        let drawn = bursts.draw(&mut rng, gene.curve(cell.lineage), cell.t);
        for (entries, count) in counts.iter_mut().zip(drawn) {
            if count > 0 {
                entries.push((g, count as f32));
            }
        }
    }
    counts
}

/// Bursts as one cell sees them.
struct Bursts {
    /// One over their mean size, in (0, 1].
    q: f64,
    /// Share of the molecules that is counted, in (0, 1].
    capture: f64,
}

/// What has become of a burst at some age.
struct Fate {
    /// Share of the molecules left that is unspliced.
    unspliced: f64,
    /// w: probability that at least one molecule of the burst is counted.
    seen: f64,
}

impl Bursts {
    /// Unspliced and spliced molecules counted at time `t`.
    fn draw(&self, rng: &mut ChaCha12Rng, curve: &Curve, t: f64) -> [u64; 2] {
        let mut counts = [0, 0];
        let mut youngest = 0.0;
        for (start, alpha) in curve.pieces().rev() {
            let oldest = t - start;
            if oldest > youngest {
                if alpha > 0.0 {
                    self.draw_piece(rng, curve, alpha, [youngest, oldest], &mut counts);
                }
                youngest = oldest;
            }
        }
        counts
    }

    /// Adds what is counted of the bursts of these ages, while transcription was at `alpha`.
    fn draw_piece(
        &self,
        rng: &mut ChaCha12Rng,
        curve: &Curve,
        alpha: f64,
        [youngest, oldest]: [f64; 2],
        counts: &mut [u64; 2],
    ) {
        let mut age = youngest;
        let mut bound = self.fate(curve, age).seen;
        loop {
            let gap: f64 = Exp1.sample(rng);
            age += gap / (alpha * self.q * bound);
            // Also where the bound is zero.
            if age >= oldest {
                return;
            }
            let fate = self.fate(curve, age);
            if rng.random::<f64>() * bound < fate.seen {
                self.draw_burst(rng, &fate, counts);
            }
            bound = fate.seen;
        }
    }

    /// Adds the molecules counted of one burst of which some are.
    fn draw_burst(&self, rng: &mut ChaCha12Rng, fate: &Fate, counts: &mut [u64; 2]) {
        loop {
            let is_spliced = rng.random::<f64>() >= fate.unspliced;
            counts[usize::from(is_spliced)] += 1;
            if rng.random::<f64>() >= (1.0 - self.q) * fate.seen {
                return;
            }
        }
    }

    fn fate(&self, curve: &Curve, age: f64) -> Fate {
        let (beta, gamma) = (curve.rates().beta, curve.rates().gamma);
        let unspliced = (-beta * age).exp();
        let left = unspliced + beta * phi(age, beta, gamma);
        let p = self.capture * left;
        Fate { unspliced: unspliced / left, seen: p / (self.q + p * (1.0 - self.q)) }
    }
}
