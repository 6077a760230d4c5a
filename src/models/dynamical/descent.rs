//! The M-step: parameters that lower `L`, phases given and times free.
//!
//! With the phases given, `L` is a sum of squares over parameters and times, an orthogonal distance regression. Gauss and
//! Newton's equations eliminate the times cell by cell: along the curve a cell's residual can be had for nothing, so only the
//! part normal to the curve tells something of the parameters,
//!
//! ```text
//! H = Σ Jᵀ P J,   b = Σ Jᵀ P r,   P = 1 − v vᵀ/|v|²,   r = x̂ − x,  J = ∂x̂/∂θ,  v = ∂x̂/∂τ
//! ```
//!
//! and P = 1 for cells at the switch. The step is damped (Levenberg 1944, Marquardt 1963); every time then takes its own.
//!
//! # What is minimised
//!
//! ```text
//! F = L · exp(κ ln²(scaling/scaling₀))
//! ```
//!
//! κ weighs a prior on the scaling. L alone leaves it to the noise: a curve that is stretched along one axis hugs
//! a cloud of cells a little closer. To the minimum of L, gene-wise velocities were worse on simulations than scVelo's few steps
//! away from the start, and with the prior better (`models/dynamical/README.md`). As `ln F` is minus the log-likelihood of noise of
//! unknown size up to a factor, the prior weighs the same whatever the noise.

use super::gene::Gene;
use super::projection::{distance, step};
use super::shape::{Frame, Point, Shape};
use crate::simd::{Vectorized, vectorize};

/// Number of parameters: ln A_s and ln A_u together, ln scaling, ρ, t_s.
const N: usize = 4;

/// Cells on one branch that the objective counts, in units of the spreads: parallel vectors.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    pub u: Vec<f64>,
    pub s: Vec<f64>,
    /// Times since the branch began.
    pub tau: Vec<f64>,
    /// Which cells of the gene they are.
    pub cells: Vec<u32>,
}

impl Group {
    /// Adds a cell.
    pub(super) fn push(&mut self, cell: u32, u: f64, s: f64, tau: f64) {
        self.u.push(u);
        self.s.push(s);
        self.tau.push(tau);
        self.cells.push(cell);
    }
}

/// Cells that share one point: their number, and the sums over them that distances to a point need.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Crowd {
    n: f64,
    u: f64,
    s: f64,
    squares: f64,
}

impl Crowd {
    /// Adds a cell.
    pub(super) fn push(&mut self, u: f64, s: f64) {
        self.n += 1.0;
        self.u += u;
        self.s += s;
        self.squares += u * u + s * s;
    }
}

/// Counted cells by phase.
#[derive(Clone, Debug, Default)]
pub(super) struct Phased {
    pub on: Group,
    pub off: Group,
    pub steady_on: Crowd,
    pub steady_off: Crowd,
}

impl Phased {
    /// No cells yet, but room for `n` on either branch.
    pub(super) fn with_capacity(n: usize) -> Self {
        let group = || Group {
            u: Vec::with_capacity(n),
            s: Vec::with_capacity(n),
            tau: Vec::with_capacity(n),
            cells: Vec::with_capacity(n),
        };
        Self { on: group(), off: group(), ..Self::default() }
    }
}

/// What pulls at the parameters besides the cells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Priors {
    /// ρ₀.
    ratio: f64,
    /// Σ (s/σ_s)² over the counted cells: the weight of `(ρ − ρ₀)²`.
    pull: f64,
    scaling: f64,
    /// κ; none if the scaling is kept.
    weight: Option<f64>,
}

/// κ: a scaling e-fold away from the start must lower L e^κ-fold to be worth it.
const SCALING_WEIGHT: f64 = 8.0;

impl Priors {
    /// The priors of a fit that starts from `start`.
    pub(super) fn new(start: &Shape, gene: &Gene, fit_scaling: bool) -> Self {
        let squared = |&cell: &u32| (gene.s[cell as usize] / gene.std_s).powi(2);
        Self {
            ratio: start.ratio,
            pull: gene.counted.iter().map(squared).sum(),
            scaling: start.scaling,
            weight: fit_scaling.then_some(SCALING_WEIGHT),
        }
    }

    /// `Σ reg²`.
    pub(super) fn regularization(&self, shape: &Shape) -> f64 {
        self.pull * (shape.ratio - self.ratio).powi(2)
    }

    /// F of a curve with this L.
    pub(super) fn objective(&self, shape: &Shape, loss: f64) -> f64 {
        let away = (shape.scaling / self.scaling).ln();
        loss * (self.weight.unwrap_or(0.0) * away * away).exp()
    }

    /// Adds the priors to the sums over cells.
    fn add(&self, shape: &Shape, sums: &mut Sums) {
        let away = shape.ratio - self.ratio;
        sums.loss += self.pull * away * away;
        sums.gradient[2] += self.pull * away;
        sums.hessian[2][2] += self.pull;
        if let Some(weight) = self.weight {
            sums.gradient[1] += sums.loss * weight * (shape.scaling / self.scaling).ln();
            sums.hessian[1][1] += sums.loss * weight;
        } else {
            for k in 0..N {
                (sums.hessian[1][k], sums.hessian[k][1]) = (0.0, 0.0);
            }
            (sums.hessian[1][1], sums.gradient[1]) = (1.0, 0.0);
        }
    }
}

/// L and what the step needs.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    loss: f64,
    gradient: [f64; N],
    hessian: [[f64; N]; N],
}

/// A descent in progress.
pub(super) struct Descent<'a> {
    pub shape: Shape,
    pub cells: &'a mut Phased,
    priors: &'a Priors,
    /// Branches end where all but e^{−reach} of the way is covered.
    reach: f64,
}

/// Steps at most, and trials of each with growing damping.
const STEPS: usize = 5;
const TRIALS: usize = 6;

impl<'a> Descent<'a> {
    pub(super) fn new(shape: Shape, cells: &'a mut Phased, priors: &'a Priors, reach: f64) -> Self {
        Self { shape, cells, priors, reach }
    }

    /// Steps downhill until a step gains less than `tolerance` of F; `damping` is kept between descents.
    pub(super) fn run(&mut self, damping: &mut f64, tolerance: f64) {
        // The times are those of the nearest points already.
        let mut sums = self.sums::<false>(self.shape);
        for _ in 0..STEPS {
            let before = self.priors.objective(&self.shape, sums.loss);
            let kept = (self.cells.on.tau.clone(), self.cells.off.tau.clone());
            let mut lowered = None;
            for _ in 0..TRIALS {
                let trial = moved(self.shape, &sums, *damping, self.reach);
                let trial_sums = self.sums::<true>(trial);
                let now = self.priors.objective(&trial, trial_sums.loss);
                if now < before {
                    *damping = (*damping * 0.2).max(1e-9);
                    lowered = Some((trial, trial_sums, now));
                    break;
                }
                self.cells.on.tau.copy_from_slice(&kept.0);
                self.cells.off.tau.copy_from_slice(&kept.1);
                *damping *= 8.0;
            }
            let Some((shape, new_sums, now)) = lowered else {
                *damping = damping.min(1.0);
                return;
            };
            (self.shape, sums) = (shape, new_sums);
            if now > before * (1.0 - tolerance) {
                return;
            }
        }
    }

    /// Moves all times one step towards the curve of `shape`, if they are to `STEP`, and adds up.
    fn sums<const STEP: bool>(&mut self, shape: Shape) -> Sums {
        let frame = Frame::new(shape);
        let mut packed = [0.0; PACKED];
        vectorize(Cells::<true, STEP> {
            frame: &frame,
            group: &mut self.cells.on,
            end: shape.t_switch,
            sums: &mut packed,
        });
        let end = self.reach / shape.slower();
        vectorize(Cells::<false, STEP> { frame: &frame, group: &mut self.cells.off, end, sums: &mut packed });
        let mut sums = unpacked(&packed);
        self.add_crowds(&frame, &mut sums);
        self.priors.add(&shape, &mut sums);
        sums
    }

    /// Cells at the steady states stand at the switch, and at the origin.
    fn add_crowds(&self, frame: &Frame, sums: &mut Sums) {
        sums.loss += self.cells.steady_off.squares;
        let Crowd { n, u, s, squares } = self.cells.steady_on;
        let point = frame.switch();
        sums.loss += n * (point.u * point.u + point.s * point.s) - 2.0 * (point.u * u + point.s * s) + squares;
        let rows = rows(&point);
        for i in 0..N {
            sums.gradient[i] += rows.0[i] * (n * point.u - u) + rows.1[i] * (n * point.s - s);
            for j in 0..N {
                sums.hessian[i][j] += n * (rows.0[i] * rows.0[j] + rows.1[i] * rows.1[j]);
            }
        }
    }
}

/// Derivatives of u and of s by the parameters.
#[allow(clippy::inline_always, reason = "see simd::Vectorized")]
#[inline(always)]
fn rows(point: &Point) -> ([f64; N], [f64; N]) {
    ([point.u, point.u, 0.0, point.u_by_switch], [point.s, 0.0, point.s_by_ratio, point.s_by_switch])
}

/// L, b and the upper triangle of H.
const PACKED: usize = 1 + N + N * (N + 1) / 2;

fn unpacked(packed: &[f64; PACKED]) -> Sums {
    let mut sums = Sums { loss: packed[0], ..Sums::default() };
    sums.gradient.copy_from_slice(&packed[1..=N]);
    let mut at = 1 + N;
    for i in 0..N {
        for j in i..N {
            (sums.hessian[i][j], sums.hessian[j][i]) = (packed[at], packed[at]);
            at += 1;
        }
    }
    sums
}

/// The loop over the cells of one branch.
struct Cells<'a, const ON: bool, const STEP: bool> {
    frame: &'a Frame,
    group: &'a mut Group,
    end: f64,
    sums: &'a mut [f64; PACKED],
}

/// Cells that are worked on together.
const BLOCK: usize = 64;
/// Sums run in as many lanes, so that their order does not depend on the processor.
const LANES: usize = 4;

impl<const ON: bool, const STEP: bool> Vectorized for Cells<'_, ON, STEP> {
    #[allow(clippy::inline_always, reason = "see Vectorized")]
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Group { u, s, tau, .. } = self.group;
        let mut lanes = [[0.0; LANES]; PACKED];
        // Copies in arrays of their own, all of one length: only so does the compiler see that it may work on several cells
        // at once.
        let (mut cell_u, mut cell_s, mut cell_tau) = ([0.0; BLOCK], [0.0; BLOCK], [0.0; BLOCK]);
        let mut all_terms = [[0.0; BLOCK]; PACKED];
        for ((u, s), tau) in u.chunks(BLOCK).zip(s.chunks(BLOCK)).zip(tau.chunks_mut(BLOCK)) {
            let n = u.len();
            cell_u[..n].copy_from_slice(u);
            cell_s[..n].copy_from_slice(s);
            cell_tau[..n].copy_from_slice(tau);
            for cell in 0..BLOCK {
                let (moved, terms) =
                    terms::<FMA, ON, STEP>(self.frame, cell_u[cell], cell_s[cell], cell_tau[cell], self.end);
                cell_tau[cell] = moved;
                for k in 0..PACKED {
                    all_terms[k][cell] = terms[k];
                }
            }
            tau.copy_from_slice(&cell_tau[..n]);
            for (lanes, terms) in lanes.iter_mut().zip(&mut all_terms) {
                terms[n..].fill(0.0);
                for terms in terms.chunks_exact(LANES) {
                    for (lane, term) in lanes.iter_mut().zip(terms) {
                        *lane += term;
                    }
                }
            }
        }
        for (sum, lanes) in self.sums.iter_mut().zip(&lanes) {
            *sum += (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
        }
    }
}

/// One cell's time after a step towards the curve, and its terms of [`PACKED`] sums there.
#[allow(clippy::inline_always, reason = "see simd::Vectorized")]
#[inline(always)]
fn terms<const FMA: bool, const ON: bool, const STEP: bool>(
    frame: &Frame,
    u: f64,
    s: f64,
    tau: f64,
    end: f64,
) -> (f64, [f64; PACKED]) {
    let start = tau.min(end);
    let first = frame.at::<FMA, ON>(start);
    let (mut tau, mut point) = (start, first);
    if STEP {
        let moved = step(frame, &first, u, s, start, end);
        let second = frame.at::<FMA, ON>(moved);
        let nearer = distance(&second, u, s) < distance(&first, u, s);
        let choose = |a: f64, b: f64| if nearer { b } else { a };
        tau = choose(start, moved);
        point = Point {
            u: choose(first.u, second.u),
            s: choose(first.s, second.s),
            u_by_tau: choose(first.u_by_tau, second.u_by_tau),
            s_by_tau: choose(first.s_by_tau, second.s_by_tau),
            s_by_ratio: choose(first.s_by_ratio, second.s_by_ratio),
            u_by_switch: choose(first.u_by_switch, second.u_by_switch),
            s_by_switch: choose(first.s_by_switch, second.s_by_switch),
        };
    }
    // A cell at the switch moves with it, and both its residuals count.
    let at_switch = if ON { tau >= end } else { tau <= 0.0 };
    if ON {
        point.u_by_switch = if at_switch { point.u_by_tau } else { 0.0 };
        point.s_by_switch = if at_switch { point.s_by_tau } else { 0.0 };
    }
    let (vu, vs) = (point.u_by_tau, point.s_by_tau);
    let along = if at_switch { 0.0 } else { 1.0 / (vu * vu + vs * vs + f64::MIN_POSITIVE) };
    let (uu, us, ss) = (1.0 - vu * vu * along, -vu * vs * along, 1.0 - vs * vs * along);
    let (du, ds) = (point.u - u, point.s - s);
    let (row_u, row_s) = rows(&point);
    let mut out = [0.0; PACKED];
    out[0] = du * du + ds * ds;
    let mut at = 1 + N;
    for i in 0..N {
        let (left_u, left_s) = (row_u[i] * uu + row_s[i] * us, row_u[i] * us + row_s[i] * ss);
        out[1 + i] = left_u * du + left_s * ds;
        for j in i..N {
            out[at] = left_u * row_u[j] + left_s * row_s[j];
            at += 1;
        }
    }
    (tau, out)
}

/// No parameter changes by more than this factor's logarithm in one step.
const LONGEST_STEP: f64 = 1.0;
/// Shortest time to the switch, in units of 1/β.
const EARLIEST_SWITCH: f64 = 1e-3;

/// The shape after a damped step.
fn moved(shape: Shape, sums: &Sums, damping: f64, reach: f64) -> Shape {
    let mut a = sums.hessian;
    for (i, row) in a.iter_mut().enumerate() {
        row[i] = row[i] * (1.0 + damping) + 1e-12;
    }
    let step = solved(&a, sums.gradient);
    let factor = |log: f64| (-log.clamp(-LONGEST_STEP, LONGEST_STEP)).exp();
    let ratio = shape.ratio * factor(step[2] / shape.ratio);
    Shape {
        size: shape.size * factor(step[0]),
        scaling: shape.scaling * factor(step[1]),
        ratio,
        t_switch: (shape.t_switch * factor(step[3] / shape.t_switch)).clamp(EARLIEST_SWITCH, reach / ratio.min(1.0)),
        ..shape
    }
}

/// Solves a symmetric positive definite system by Cholesky's factorisation.
pub(in crate::models) fn solved<const N: usize>(a: &[[f64; N]; N], b: [f64; N]) -> [f64; N] {
    let mut l = [[0.0; N]; N];
    for i in 0..N {
        for j in 0..=i {
            let sum = (0..j).fold(a[i][j], |sum, k| sum - l[i][k] * l[j][k]);
            l[i][j] = if i == j { sum.max(f64::MIN_POSITIVE).sqrt() } else { sum / l[j][j] };
        }
    }
    let mut x = b;
    for i in 0..N {
        x[i] = (0..i).fold(x[i], |sum, k| sum - l[i][k] * x[k]) / l[i][i];
    }
    for i in (0..N).rev() {
        x[i] = (i + 1..N).fold(x[i], |sum, k| sum - l[k][i] * x[k]) / l[i][i];
    }
    x
}
