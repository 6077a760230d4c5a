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
//! thick-restart Lanczos). Each new direction is made orthogonal to all others, again where rounding errors would show. A space that M does not leave is continued
//! in a direction drawn anew, so matrices smaller than the basis need no code of their own: the basis becomes complete.
//!
//! Sums have a fixed order; the result is the same on any number of threads.

use faer::Par;
use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, evd_real, evd_scratch, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::{Mat, Spec};
use rayon::prelude::*;

use super::operator::{Operator, drawn};
use crate::error::{Error, Result};

/// Residual of a pair that is still taken when the restarts are used up.
const LOOSE: f64 = 1e-5;
/// Length, relative to the vector, of what is left of it beside the basis if it lies in it.
const INSIDE: f64 = 1e-12;
/// What is left of a vector, relative to its length, below which it is made orthogonal once more.
const AGAIN: f64 = 0.1;
/// Positions per task of a parallel update.
const BLOCK: usize = 4096;
/// Positions of all basis vectors that are combined at once: they should fit a core's cache.
const PIECE: usize = 512;

/// Which pairs are sought.
pub(super) struct Wanted {
    /// How many, at most.
    pub(super) n: usize,
    /// Pairs whose eigenvalue has a real part below this part of the leading one's need not converge and are dropped.
    pub(super) floor: Option<f64>,
    /// Size of the basis, at most the matrix's.
    pub(super) basis: usize,
    /// Residual of a pair that has converged, in units of the largest eigenvalue.
    pub(super) tolerance: f64,
    pub(super) max_restarts: usize,
}

/// An eigenpair; of a complex one, the real parts.
pub(super) struct Pair {
    pub(super) value: f64,
    pub(super) vector: Vec<f64>,
}

/// An approximate pair of the space: θ, its residual, and y (real part and, if complex, imaginary part).
struct Ritz {
    re: f64,
    im: f64,
    residual: f64,
    y: Vec<f64>,
    y_im: Option<Vec<f64>>,
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
    let mut space = Space::new(n, wanted.basis.max(wanted.n + 2).min(n));
    for _ in 0..wanted.max_restarts {
        space.fill(operator);
        let ritz = space.ritz(operator.symmetric)?;
        if settled(&ritz, wanted, wanted.tolerance).len() == wanted.n.min(ritz.len()) {
            return Ok(space.pairs(&ritz, wanted, wanted.tolerance));
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

    fn drawn(&mut self) -> Vec<f64> {
        self.draws += 1;
        drawn(self.n, self.draws)
    }

    /// Extends the basis to its full size.
    fn fill(&mut self, operator: &Operator<'_>) {
        while self.columns.len() < self.size {
            let done = self.columns.len();
            let mut next = operator.apply(&self.basis[done]);
            let before = norm(&next);
            let mut column = vec![0.0; self.size];
            let mut length = before;
            for _ in 0..3 {
                let longer = length;
                let parts = self.remove(&mut next);
                column.iter_mut().zip(parts).for_each(|(h, part)| *h += part);
                length = norm(&next);
                // Rounding errors matter where little is left.
                if length > AGAIN * longer || length <= INSIDE * before {
                    break;
                }
            }
            // A restart leaves b in the row of v: H is then not of Hessenberg's shape.
            if done > 0 && done == self.tail.len() {
                for (from, &value) in self.columns.iter_mut().zip(&self.tail) {
                    from[done] = value;
                }
            }
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

    /// V y for every y, some positions at a time: a piece of the basis is read once for all.
    fn combined(&self, ys: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let of_piece = |piece: usize| {
            let range = piece * PIECE..((piece + 1) * PIECE).min(self.n);
            let of = |y: &Vec<f64>| {
                let mut sum = vec![0.0; range.len()];
                for (v, factor) in self.basis.iter().zip(y) {
                    sum.iter_mut().zip(&v[range.clone()]).for_each(|(sum, v)| *sum += factor * v);
                }
                sum
            };
            ys.iter().map(of).collect::<Vec<_>>()
        };
        let pieces: Vec<Vec<Vec<f64>>> = (0..self.n.div_ceil(PIECE)).into_par_iter().map(of_piece).collect();
        (0..ys.len())
            .into_par_iter()
            .map(|at| pieces.iter().flat_map(|piece| piece[at].iter().copied()).collect())
            .collect()
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
        for x in x.iter_mut() {
            *x /= length;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Operator, Wanted, leading};
    use crate::sparse::Csr;

    fn path(n: usize) -> Csr<f32> {
        let edges = (0..n - 1).flat_map(|i| [(i, i + 1, 1.0), (i + 1, i, 1.0)]);
        Csr::from_triplets(n, n, &edges.collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn eigenvalues_of_a_path_are_cosines() {
        for n in [2, 30, 300] {
            let operator = Operator { matrix: &path(n), scale: None, symmetric: true };
            let wanted = Wanted { n: 6.min(n - 1), floor: None, basis: 32, tolerance: 1e-9, max_restarts: 300 };
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
}
