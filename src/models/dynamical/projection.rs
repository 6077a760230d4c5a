//! The nearest point of the curve to every cell, on either branch.

use super::shape::{Frame, Point};
use crate::simd::{Vectorized, vectorize};

/// Cells of one gene, in the units of the curve, with their times on one branch: parallel slices.
pub(super) struct OnBranch<'a> {
    pub u: &'a [f64],
    pub s: &'a [f64],
    /// Times since the branch began.
    pub tau: &'a mut [f64],
    /// Squared distances to the branch at these times.
    pub squared: &'a mut [f64],
}

/// Points of a branch among which the first nearest is sought. Newton's steps do the rest, so few will do.
const POINTS: usize = 24;

/// Sets the time of every cell to that of the nearest of some points of the branch, up to time `end`.
pub(super) fn scan<const ON: bool>(frame: &Frame, cells: OnBranch, end: f64) {
    let slower = frame.shape.slower();
    let reached = 1.0 - (-slower * end).exp();
    let mut points = [(0.0, 0.0, 0.0); POINTS];
    for (k, point) in points.iter_mut().enumerate() {
        // Evenly spread over the way to the steady state, not over time: most of it is covered early.
        let way = reached * k as f64 / (POINTS - 1) as f64;
        let tau = (-(1.0 - way).ln() / slower).min(end);
        let Point { u, s, .. } = frame.at::<false, ON>(tau);
        *point = (u, s, tau);
    }
    nearest(&points, cells);
}

/// Sets the time of every cell to that of the first nearest of `points`, each u, s and time.
pub(super) fn nearest(points: &[(f64, f64, f64)], cells: OnBranch) {
    vectorize(Scan { points, cells });
}

struct Scan<'a> {
    points: &'a [(f64, f64, f64)],
    cells: OnBranch<'a>,
}

/// Cells that are worked on together.
const LANES: usize = 8;

impl Vectorized for Scan<'_> {
    #[allow(clippy::inline_always, reason = "see Vectorized")]
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let OnBranch { u, s, tau, squared } = self.cells;
        let lanes = u.chunks(LANES).zip(s.chunks(LANES)).zip(tau.chunks_mut(LANES)).zip(squared.chunks_mut(LANES));
        for (((u, s), tau), squared) in lanes {
            let (mut cell_u, mut cell_s) = ([0.0; LANES], [0.0; LANES]);
            cell_u[..u.len()].copy_from_slice(u);
            cell_s[..s.len()].copy_from_slice(s);
            let (mut nearest, mut time) = ([f64::INFINITY; LANES], [0.0; LANES]);
            for &(point_u, point_s, point_tau) in self.points {
                for lane in 0..LANES {
                    let (du, ds) = (point_u - cell_u[lane], point_s - cell_s[lane]);
                    let distance = du * du + ds * ds;
                    let nearer = distance < nearest[lane];
                    nearest[lane] = if nearer { distance } else { nearest[lane] };
                    time[lane] = if nearer { point_tau } else { time[lane] };
                }
            }
            tau.copy_from_slice(&time[..tau.len()]);
            squared.copy_from_slice(&nearest[..squared.len()]);
        }
    }
}

/// Moves every cell's time nearer to its foot on the branch, within `[0, end]`, by one of Newton's steps or two; never
/// farther.
pub(super) fn refine<const ON: bool>(frame: &Frame, cells: OnBranch, end: f64, twice: bool) {
    if twice {
        vectorize(Refine::<ON, true> { frame, cells, end });
    } else {
        vectorize(Refine::<ON, false> { frame, cells, end });
    }
}

struct Refine<'a, const ON: bool, const TWICE: bool> {
    frame: &'a Frame,
    cells: OnBranch<'a>,
    end: f64,
}

impl<const ON: bool, const TWICE: bool> Vectorized for Refine<'_, ON, TWICE> {
    #[allow(clippy::inline_always, reason = "see Vectorized")]
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let OnBranch { u, s, tau, squared } = self.cells;
        for (((u, s), tau), squared) in u.iter().zip(s).zip(tau).zip(squared) {
            let start = tau.min(self.end);
            let first = self.frame.at::<FMA, ON>(start);
            let once = step(self.frame, &first, *u, *s, start, self.end);
            let second = self.frame.at::<FMA, ON>(once);
            let d = [distance(&first, *u, *s), distance(&second, *u, *s)];
            let (mut near, mut nearest) = if d[1] < d[0] { (once, d[1]) } else { (start, d[0]) };
            if TWICE {
                let twice = step(self.frame, &second, *u, *s, once, self.end);
                let d = distance(&self.frame.at::<FMA, ON>(twice), *u, *s);
                (near, nearest) = if d < nearest { (twice, d) } else { (near, nearest) };
            }
            *tau = near;
            *squared = nearest;
        }
    }
}

/// Squared distance of a cell from `point`.
#[allow(clippy::inline_always, reason = "see simd::Vectorized")]
#[inline(always)]
pub(super) fn distance(point: &Point, u: f64, s: f64) -> f64 {
    let (du, ds) = (point.u - u, point.s - s);
    du * du + ds * ds
}

/// The Gauss-Newton step of one time towards the foot of a cell on the branch, within `[0, end]`.
///
/// Taken in `y = e^{−kτ}` with k the slower rate, in which the curve is nearly straight: `y ← y (1 + q)`, so
/// `τ ← τ − ln(1 + q)/k`. The logarithm's series (in w = q/(2 + q)) may be short: a rough step is still one towards the foot.
#[allow(clippy::inline_always, reason = "see simd::Vectorized")]
#[inline(always)]
pub(super) fn step(frame: &Frame, point: &Point, u: f64, s: f64, tau: f64, end: f64) -> f64 {
    /// A time does not grow by more than ln(1/(1 − 0.9))/k at once.
    const LEAST: f64 = -0.9;
    const MOST: f64 = 9.0;
    let (vu, vs) = (point.u_by_tau, point.s_by_tau);
    let along = vu * (u - point.u) + vs * (s - point.s);
    let speed = vu * vu + vs * vs + f64::MIN_POSITIVE;
    let slower = frame.shape.slower();
    let q = (-slower * along / speed).clamp(LEAST, MOST);
    let w = q / (2.0 + q);
    let w2 = w * w;
    let log = 2.0 * w * (1.0 + w2 * (1.0 / 3.0 + w2 * (0.2 + w2 / 7.0)));
    (tau - log / slower).max(0.0).min(end)
}
