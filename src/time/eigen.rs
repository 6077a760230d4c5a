//! Leading eigenpairs of sparse matrices, by Krylov spaces that are restarted thickly.
//!
//! With V the orthonormal basis, m its size and M the matrix,
//!
//! ```text
//! M V = V H + v bᵀ            H = Vᵀ M V, v ⟂ V
//! H y = θ y                   θ an approximate eigenvalue, V y its vector, |bᵀ y| its residual
//! ```
//!
//! At a restart the wanted y are made orthonormal, Q; as their span is invariant under H, V Q and QᵀHQ continue the same
//! relation (Stewart 2001, Krylov–Schur, with eigenvectors for Schur vectors; of a symmetric matrix, Wu & Simon 2000,
//! thick-restart Lanczos). Each new direction is made orthogonal to all others, twice. A space that M does not leave is continued
//! in a direction drawn anew, so matrices smaller than the basis need no code of their own: the basis becomes complete.
//!
//! Sums have a fixed order; the result is the same on any number of threads.

use faer::Par;
use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, evd_real, evd_scratch, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::{Mat, Spec};
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::sparse::Csr;

/// Residual of an eigenpair that has converged, in units of the largest eigenvalue.
const TOLERANCE: f64 = 1e-9;
/// Residual of a pair that is still taken when the restarts are used up.
const LOOSE: f64 = 1e-5;
const MAX_RESTARTS: usize = 300;
/// Length, relative to the vector, of what is left of it beside the basis if it lies in it.
const INSIDE: f64 = 1e-12;
/// Steps of a walk that is followed until its distribution no longer changes, and the change that is none.
const MAX_STEPS: usize = 1000;
const STILL: f64 = 1e-10;
/// Steps over which the decay of the changes is measured.
const LAG: usize = 10;
/// Positions per task of a parallel update.
const BLOCK: usize = 4096;

/// A matrix that can be multiplied with vectors: `D A D`, D the diagonal of `scale` (the identity without).
pub(super) struct Operator<'a> {
    pub(super) matrix: &'a Csr<f32>,
    pub(super) scale: Option<&'a [f64]>,
    pub(super) symmetric: bool,
}

/// Which pairs are sought.
pub(super) struct Wanted {
    /// How many, at most.
    pub(super) n: usize,
    /// Pairs whose eigenvalue has a real part below this part of the leading one's need not converge and are dropped.
    pub(super) floor: Option<f64>,
}

/// An eigenpair; of a complex one, the real parts.
pub(super) struct Pair {
    pub(super) value: f64,
    pub(super) vector: Vec<f64>,
}

impl Operator<'_> {
    fn apply(&self, x: &[f64]) -> Vec<f64> {
        let scaled: Vec<f64>;
        let x = match self.scale {
            Some(scale) => {
                scaled = x.iter().zip(scale).map(|(x, scale)| x * scale).collect();
                &scaled
            }
            None => x,
        };
        let of_row = |i: usize| {
            let (columns, values) = self.matrix.row(i);
            let sum: f64 = columns.iter().zip(values).map(|(&j, &value)| f64::from(value) * x[j as usize]).sum();
            self.scale.map_or(sum, |scale| sum * scale[i])
        };
        (0..self.matrix.n_rows).into_par_iter().with_min_len(64).map(of_row).collect()
    }
}

/// An approximate pair of the space: θ, its residual, and y (real part and, if complex, imaginary part).
struct Ritz {
    re: f64,
    im: f64,
    residual: f64,
    y: Vec<f64>,
    y_im: Option<Vec<f64>>,
}

/// The leading eigenpair of a matrix without negative entries, followed step by step from a positive vector; `None` if it has
/// not settled after [`MAX_STEPS`], or if the changes shrink so slowly that there is another pair above the floor.
///
/// A walk with a drift is so far from symmetric that Krylov spaces find eigenvalues that it does not have, such as 1.0025 for a
/// stochastic matrix of 10⁵ cells: any within rounding error of one of a matrix next to it. Sums of positive numbers lose nothing.
pub(super) fn settle(operator: &Operator<'_>, floor: f64) -> Option<Pair> {
    let mut x = Space::new(operator.matrix.n_rows, 1).basis.swap_remove(0);
    let total: f64 = x.iter().sum();
    x.iter_mut().for_each(|x| *x /= total);
    let mut changes: Vec<f64> = Vec::new();
    for _ in 0..MAX_STEPS {
        let mut next = operator.apply(&x);
        let value: f64 = next.iter().sum();
        if value <= 0.0 {
            return None;
        }
        next.iter_mut().for_each(|x| *x /= value);
        let change: f64 = next.iter().zip(&x).map(|(a, b)| (a - b).abs()).sum();
        x = next;
        if change <= STILL {
            let before = changes.len().checked_sub(LAG).map_or(1.0, |at| changes[at]);
            let rate = (change / before).powf(1.0 / LAG as f64);
            return (rate < floor).then_some(Pair { value, vector: x });
        }
        changes.push(change);
    }
    None
}

/// The leading eigenpairs of a finite matrix: of largest real part, or, of a symmetric one, of largest size.
///
/// # Errors
/// [`Error::Data`] if not even the leading pair converges.
pub(super) fn leading(operator: &Operator<'_>, wanted: &Wanted) -> Result<Vec<Pair>> {
    let n = operator.matrix.n_rows;
    if n == 0 || wanted.n == 0 {
        return Ok(Vec::new());
    }
    let mut space = Space::new(n, (2 * wanted.n + 20).min(n));
    for _ in 0..MAX_RESTARTS {
        space.fill(operator);
        let ritz = space.ritz(operator.symmetric)?;
        if settled(&ritz, wanted, TOLERANCE).len() == wanted.n.min(ritz.len()) {
            return Ok(space.pairs(&ritz, wanted, TOLERANCE));
        }
        let keep = wanted.n + (space.size - wanted.n) / 2;
        space.restart(&ritz, keep);
    }
    space.fill(operator);
    let ritz = space.ritz(operator.symmetric)?;
    let pairs = space.pairs(&ritz, wanted, LOOSE);
    if pairs.is_empty() {
        return Err(Error::Data {
            problem: format!("the leading eigenvector of the transitions of {n} cells does not converge"),
            hint: "check the velocities for values that are extreme or not finite, or give the root".to_owned(),
        });
    }
    Ok(pairs)
}

/// Positions, among the first `wanted.n`, of pairs that have converged or are known to lie below the floor; up to the first
/// that is neither.
fn settled(ritz: &[Ritz], wanted: &Wanted, tolerance: f64) -> Vec<usize> {
    let Some(lead) = ritz.first() else { return Vec::new() };
    let size = lead.re.hypot(lead.im).max(f64::MIN_POSITIVE);
    let below = |pair: &Ritz| {
        wanted.floor.is_some_and(|floor| lead.residual <= LOOSE && pair.re + pair.residual < floor * lead.re)
    };
    let done = |at: &usize| ritz[*at].residual <= tolerance * size || below(&ritz[*at]);
    (0..wanted.n.min(ritz.len())).take_while(done).collect()
}

/// The relation `M V = V H + v bᵀ`.
struct Space {
    n: usize,
    size: usize,
    /// V, and v after it once there is one: vectors of length `n`.
    basis: Vec<Vec<f64>>,
    /// H by columns, `size` each.
    columns: Vec<Vec<f64>>,
    /// b
    tail: Vec<f64>,
    draws: u64,
}

impl Space {
    fn new(n: usize, size: usize) -> Self {
        let mut space = Self { n, size, basis: Vec::new(), columns: Vec::new(), tail: Vec::new(), draws: 0 };
        let mut start = space.drawn();
        normalise(&mut start);
        space.basis.push(start);
        space
    }

    /// Numbers in (0, 1], the same in every run: positive, so that the first of them is not orthogonal to a leading vector
    /// without negative entries.
    fn drawn(&mut self) -> Vec<f64> {
        self.draws += 1;
        let mut state = self.draws.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut next = || {
            // SplitMix64 (Steele, Lea & Flood 2014).
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
        };
        (0..self.n).map(|_| 1.0 - next()).collect()
    }

    /// Extends the basis to its full size.
    fn fill(&mut self, operator: &Operator<'_>) {
        while self.columns.len() < self.size {
            let done = self.columns.len();
            let mut next = operator.apply(&self.basis[done]);
            let before = norm(&next);
            let mut column = vec![0.0; self.size];
            for _ in 0..2 {
                let parts = self.remove(&mut next);
                column.iter_mut().zip(parts).for_each(|(h, part)| *h += part);
            }
            // A restart leaves b in the row of v: H is then not of Hessenberg's shape.
            if done > 0 && done == self.tail.len() {
                for (from, &value) in self.columns.iter_mut().zip(&self.tail) {
                    from[done] = value;
                }
            }
            let mut length = norm(&next);
            if length <= INSIDE * before || length == 0.0 {
                length = 0.0;
                next = if done + 1 < self.n { self.drawn() } else { vec![0.0; self.n] };
                for _ in 0..2 {
                    self.remove(&mut next);
                }
            }
            normalise(&mut next);
            self.columns.push(column);
            self.tail = vec![0.0; done + 1];
            self.tail[done] = length;
            self.basis.push(next);
        }
    }

    /// Takes from `x` what lies in the basis, and returns how much of each direction that was.
    fn remove(&self, x: &mut [f64]) -> Vec<f64> {
        let view = &*x;
        let parts: Vec<f64> = self.basis.par_iter().map(|v| dot(v, view)).collect();
        x.par_chunks_mut(BLOCK).enumerate().for_each(|(block, x)| {
            let range = block * BLOCK..block * BLOCK + x.len();
            for (v, part) in self.basis.iter().zip(&parts) {
                x.iter_mut().zip(&v[range.clone()]).for_each(|(x, v)| *x -= part * v);
            }
        });
        parts
    }

    /// The approximate pairs, leading first.
    fn ritz(&self, symmetric: bool) -> Result<Vec<Ritz>> {
        let mut pairs = if symmetric { self.symmetric_ritz()? } else { self.general_ritz()? };
        for pair in &mut pairs {
            let real = dot(&self.tail, &pair.y);
            pair.residual = pair.y_im.as_ref().map_or(real.abs(), |y| real.hypot(dot(&self.tail, y)));
        }
        let rank = |pair: &Ritz| if symmetric { pair.re.abs() } else { pair.re };
        // Of a complex pair the two share their real part and a stable sort keeps them together.
        pairs.sort_by(|a, b| rank(b).total_cmp(&rank(a)));
        Ok(pairs)
    }

    fn symmetric_ritz(&self) -> Result<Vec<Ritz>> {
        let (m, par, params) = (self.size, Par::Seq, Spec::default());
        let h = Mat::from_fn(m, m, |i, j| f64::midpoint(self.columns[j][i], self.columns[i][j]));
        let mut values = Diag::<f64>::zeros(m);
        let mut vectors = Mat::<f64>::zeros(m, m);
        let scratch = self_adjoint_evd_scratch::<f64>(m, ComputeEigenvectors::Yes, par, params);
        let stack = &mut MemBuffer::new(scratch);
        self_adjoint_evd(h.as_ref(), values.as_mut(), Some(vectors.as_mut()), par, MemStack::new(stack), params)
            .map_err(|reason| not_finite(&format!("{reason:?}")))?;
        let pair = |c: usize| {
            let y = (0..m).map(|i| vectors[(i, c)]).collect();
            Ritz { re: values.column_vector()[c], im: 0.0, residual: 0.0, y, y_im: None }
        };
        Ok((0..m).map(pair).collect())
    }

    fn general_ritz(&self) -> Result<Vec<Ritz>> {
        let (m, par, params) = (self.size, Par::Seq, Spec::default());
        let h = Mat::from_fn(m, m, |i, j| self.columns[j][i]);
        let (mut re, mut im) = (Diag::<f64>::zeros(m), Diag::<f64>::zeros(m));
        let mut vectors = Mat::<f64>::zeros(m, m);
        let scratch = evd_scratch::<f64>(m, ComputeEigenvectors::No, ComputeEigenvectors::Yes, par, params);
        let stack = &mut MemBuffer::new(scratch);
        let right = Some(vectors.as_mut());
        evd_real(h.as_ref(), re.as_mut(), im.as_mut(), None, right, par, MemStack::new(stack), params)
            .map_err(|reason| not_finite(&format!("{reason:?}")))?;
        let (re, im) = (re.column_vector(), im.column_vector());
        let column = |c: usize| (0..m).map(|i| vectors[(i, c)]).collect::<Vec<f64>>();
        let mut pairs = Vec::new();
        let mut c = 0;
        while c < m {
            // A complex pair is two columns: the real and the imaginary part.
            let complex = im[c] != 0.0 && c + 1 < m;
            let (mut y, mut y_im) = (column(c), complex.then(|| column(c + 1)));
            let length = norm(&y).hypot(y_im.as_ref().map_or(0.0, |y| norm(y))).max(f64::MIN_POSITIVE);
            y.iter_mut().chain(y_im.iter_mut().flatten()).for_each(|y| *y /= length);
            pairs.push(Ritz { re: re[c], im: im[c], residual: 0.0, y, y_im });
            c += 1 + usize::from(complex);
        }
        Ok(pairs)
    }

    /// Keeps the first directions, `keep` or one more.
    fn restart(&mut self, ritz: &[Ritz], keep: usize) {
        let mut q: Vec<Vec<f64>> = Vec::new();
        for y in ritz.iter().flat_map(|pair| std::iter::once(&pair.y).chain(&pair.y_im)) {
            // Not the whole basis: there must be room to grow.
            if q.len() >= keep || q.len() + 2 > self.size {
                break;
            }
            let mut direction = y.clone();
            for _ in 0..2 {
                for kept in &q {
                    let part = dot(kept, &direction);
                    direction.iter_mut().zip(kept).for_each(|(x, kept)| *x -= part * kept);
                }
            }
            if norm(&direction) > INSIDE.sqrt() {
                normalise(&mut direction);
                q.push(direction);
            }
        }
        let last = self.basis.pop().expect("a full space has v after its basis");
        let columns: Vec<Vec<f64>> = q
            .iter()
            .map(|to| {
                let mut image = vec![0.0; self.size];
                for (column, factor) in self.columns.iter().zip(to) {
                    image.iter_mut().zip(column).for_each(|(x, h)| *x += factor * h);
                }
                let mut column: Vec<f64> = q.iter().map(|from| dot(from, &image)).collect();
                column.resize(self.size, 0.0);
                column
            })
            .collect();
        self.tail = q.iter().map(|y| dot(y, &self.tail)).collect();
        self.basis = self.combined(&q);
        self.basis.push(last);
        self.columns = columns;
    }

    /// V y for every y.
    fn combined(&self, ys: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let of = |y: &Vec<f64>| {
            let mut sum = vec![0.0; self.n];
            for (v, factor) in self.basis.iter().zip(y) {
                sum.iter_mut().zip(v).for_each(|(sum, v)| *sum += factor * v);
            }
            sum
        };
        ys.par_iter().map(of).collect()
    }

    fn pairs(&self, ritz: &[Ritz], wanted: &Wanted, tolerance: f64) -> Vec<Pair> {
        let Some(lead) = ritz.first() else { return Vec::new() };
        let above = |pair: &&Ritz| wanted.floor.is_none_or(|floor| pair.re >= floor * lead.re);
        let kept: Vec<&Ritz> = settled(ritz, wanted, tolerance).into_iter().map(|at| &ritz[at]).filter(above).collect();
        let ys: Vec<Vec<f64>> = kept.iter().map(|pair| pair.y.clone()).collect();
        let vectors = self.combined(&ys);
        kept.iter().zip(vectors).map(|(pair, vector)| Pair { value: pair.re, vector }).collect()
    }
}

fn not_finite(reason: &str) -> Error {
    Error::Data {
        problem: format!("transitions between cells: the eigenvectors cannot be found ({reason})"),
        hint: "check the velocities for values that are extreme or not finite".to_owned(),
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (rest_a, rest_b) = (a.chunks_exact(8).remainder(), b.chunks_exact(8).remainder());
    for (a, b) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f64>() + rest_a.iter().zip(rest_b).map(|(a, b)| a * b).sum::<f64>()
}

fn norm(x: &[f64]) -> f64 {
    dot(x, x).sqrt()
}

/// Divides by the length; a vector of none stays.
fn normalise(x: &mut [f64]) {
    let length = norm(x);
    if length > 0.0 {
        x.iter_mut().for_each(|x| *x /= length);
    }
}

#[cfg(test)]
mod tests {
    use super::{Operator, Wanted, leading};
    use crate::sparse::Csr;

    fn path(n: usize, up: f32, down: f32) -> Csr<f32> {
        let edges = (0..n - 1).flat_map(|i| [(i, i + 1, up), (i + 1, i, down)]);
        Csr::from_triplets(n, n, &edges.collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn eigenvalues_of_a_path_are_cosines() {
        for n in [2, 30, 300] {
            let operator = Operator { matrix: &path(n, 1.0, 1.0), scale: None, symmetric: true };
            let wanted = Wanted { n: 6.min(n - 1), floor: None };
            let pairs = leading(&operator, &wanted).unwrap();
            assert_eq!(pairs.len(), wanted.n);
            for (at, pair) in pairs.iter().enumerate() {
                // They come in pairs of both signs.
                let k = (at / 2 + 1) as f64;
                let exact = 2.0 * (k * std::f64::consts::PI / (n as f64 + 1.0)).cos();
                assert!((pair.value.abs() - exact).abs() < 1e-8, "{n} {at} {} {exact}", pair.value);
                let image = operator.apply(&pair.vector);
                let residual = image.iter().zip(&pair.vector).map(|(a, x)| (a - pair.value * x).powi(2)).sum::<f64>();
                assert!(residual.sqrt() < 1e-6);
            }
        }
    }

    /// A walk that goes up with probability p and down with q stands at i with a probability proportional to (p/q)^i.
    #[test]
    fn a_walk_between_two_ends_has_the_distribution_of_detailed_balance() {
        for n in [3, 100, 400] {
            let (up, down) = (0.55_f32, 0.45_f32);
            let mut walk = path(n, up, down);
            let ends = Csr::from_triplets(n, n, &[(0, 0, down), (n - 1, n - 1, up)]).unwrap();
            let both: Vec<(usize, usize, f32)> = [&walk, &ends]
                .into_iter()
                .flat_map(|m| {
                    (0..n).flat_map(move |i| m.row(i).0.iter().zip(m.row(i).1).map(move |(&j, &v)| (i, j as usize, v)))
                })
                .collect();
            walk = Csr::from_triplets(n, n, &both).unwrap();
            let operator = Operator { matrix: &walk.transpose(), scale: None, symmetric: false };
            let pairs = leading(&operator, &Wanted { n: 10.min(n), floor: Some(0.999_99) }).unwrap();
            assert!((pairs[0].value - 1.0).abs() < 1e-6);
            let mu = &pairs[0].vector;
            let ratio = f64::from(up) / f64::from(down);
            for i in n.saturating_sub(30).max(1)..n {
                assert!((mu[i] / mu[i - 1] / ratio - 1.0).abs() < 1e-4, "{n} {i} {}", mu[i] / mu[i - 1]);
            }
        }
    }
}
