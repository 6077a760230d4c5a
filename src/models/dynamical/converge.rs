//! The same objective to its minimum.
//!
//! For given phases, `L` is a sum of squares in which every cell's time is free: an orthogonal distance regression.
//! Gauss and Newton's step eliminates the times: along the curve each cell is free, so only the residual normal to the curve
//! says something about the parameters; cells at the ends of the curve (and steady ones) keep both components. Four
//! parameters remain ([`Shape`]), damped after Levenberg and Marquardt; then each time takes its own Newton step.
//!
//! Rounds alternate: times on both branches by projection, phases by the mean distances of neighbourhoods, parameters.

use super::assign::{Assignment, BranchTimes, Phase};
use super::curve::Params;
use super::gene::{Gene, Neighborhoods};
use super::settings::Dynamical;
use super::shape::{Frame, Point, Shape};

/// Result of the descent.
pub(super) struct Converged {
    pub params: Params,
    pub times: BranchTimes,
    pub assignment: Assignment,
    pub loss: f64,
    pub rounds: usize,
    pub has_settled: bool,
}

/// Gene in units of its spreads and one branch's cells.
struct Cells<'a> {
    gene: &'a Gene<'a>,
    per_u: f64,
    per_s: f64,
    /// Strength of the pull to the ratio at the start: Σ (s/σ_s)².
    pull: f64,
    ratio: f64,
    least_u: f64,
    scaling: f64,
    reach: f64,
}

/// A cell's place on the curve.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Free,
    Bound,
}

/// Minimises `L` from `start`, with ρ₀ = `ratio`.
pub(super) fn converge(
    gene: &Gene,
    near: &Neighborhoods,
    start: &Params,
    ratio: f64,
    settings: &Dynamical,
) -> Converged {
    let mut cells = Cells {
        gene,
        per_u: gene.std_u.recip(),
        per_s: gene.std_s.recip(),
        pull: opt("REGW", 1.0) * gene.counted.iter().map(|&cell| (gene.s[cell as usize] / gene.std_s).powi(2)).sum::<f64>(),
        ratio,
        scaling: start.scaling,
        reach: 4.0,
        least_u: gene.u.iter().zip(gene.s).filter(|(_, s)| **s > 0.0).map(|(u, _)| *u).fold(f64::INFINITY, f64::min),
    };
    let mut shape = Shape::of(start);
    let mut best: Option<(f64, Shape, Vec<f64>, Vec<f64>, Vec<Phase>)> = None;
    let mut damping = 1e-3;
    let (mut rounds, mut has_settled) = (0, false);
    while rounds < settings.max_rounds {
        rounds += 1;
        let frame = Frame::new(shape);
        let (on, off) = cells.project(&frame);
        let phases = cells.phases(&frame, &on, &off, near);
        let before = cells.loss(&frame, &on, &off, &phases);
        let rms = (before / gene.counted.len() as f64 / 2.0).sqrt();
        let amp = (frame.off(0.0).s * cells.per_s).min(frame.off(0.0).u * cells.per_u);
        let reach = (opt("REACH", 3.0) + (amp / rms).ln()).clamp(2.0, LATEST);
        if reach > cells.reach { cells.reach = reach; }
        let last = best.as_ref().map(|b| b.0);
        if last.is_none_or(|last| before < last) {
            best = Some((before, shape, on.clone(), off.clone(), phases.clone()));
        }
        if last.is_some_and(|last| before >= last * (1.0 - settings.tolerance)) {
            has_settled = true;
            break;
        }
        let (mut on, mut off) = (on, off);
        let mut loss = before;
        for _ in 0..8 {
            let frame = Frame::new(shape);
            let (hessian, gradient) = cells.normal_equations(&frame, &on, &off, &phases, &settings, loss);
            let mut lowered = false;
            let mut gain = 0.0;
            for _ in 0..6 {
                let trial = stepped(shape, &hessian, &gradient, damping, cells.reach);
                let frame = Frame::new(trial);
                let (mut trial_on, mut trial_off) = (on.clone(), off.clone());
                cells.refine(&frame, &mut trial_on, &mut trial_off, &phases);
                let trial_loss = cells.loss(&frame, &trial_on, &trial_off, &phases);
                if trial_loss < loss {
                    gain = (loss - trial_loss) / loss;
                    (shape, on, off, loss) = (trial, trial_on, trial_off, trial_loss);
                    damping = (damping * 0.2).max(1e-9);
                    lowered = true;
                    break;
                }
                damping *= 8.0;
            }
            if !lowered || gain < settings.tolerance {
                damping = damping.min(1.0);
                break;
            }
        }
    }
    let (loss, shape, on, off, phases) = best.expect("there was a round");
    let beta = start.beta;
    let params = shape.params(beta);
    let times = BranchTimes {
        on: on.iter().map(|tau| tau / beta).collect(),
        off: off.iter().map(|tau| tau / beta).collect(),
    };
    let t = (0..phases.len())
        .map(|cell| match phases[cell] {
            Phase::Repression => params.t_switch + times.off[cell],
            Phase::Induction => times.on[cell],
            Phase::SteadyOff => 0.0,
            Phase::SteadyOn => params.t_switch,
        })
        .collect();
    Converged { params, times, assignment: Assignment { t, phase: phases }, loss, rounds, has_settled }
}

const ON_POINTS: usize = 64;
const OFF_POINTS: usize = 64;
const LATEST: f64 = 13.8;
fn opt(name: &str, default: f64) -> f64 { std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default) }

impl Cells<'_> {
    fn end(&self, frame: &Frame) -> f64 {
        let slow = frame.shape.ratio.min(1.0);
        if opt("END", 0.0) == 0.0 { return self.reach / slow; }
        let u0 = frame.off(0.0).u;
        (-(self.least_u / u0).clamp(1e-6, 1.0 - 1e-6).ln()).max(0.5).min(self.reach / slow)
    }

    fn residual(&self, point: &Point, cell: usize) -> (f64, f64) {
        ((point.u - self.gene.u[cell]) * self.per_u, (point.s - self.gene.s[cell]) * self.per_s)
    }

    fn squared(&self, point: &Point, cell: usize) -> f64 {
        let (du, ds) = self.residual(point, cell);
        du * du + ds * ds
    }

    /// Nearest times on both branches for all cells.
    fn project(&self, frame: &Frame) -> (Vec<f64>, Vec<f64>) {
        let t_switch = frame.shape.t_switch;
        let slow = frame.shape.ratio.min(1.0);
        // Even in e^{-slow τ}: dense where the curve is fast.
        let grid = |end: f64, n: usize| -> Vec<f64> {
            let last = (-slow * end).exp();
            (0..n).map(|k| -(1.0 - (1.0 - last) * k as f64 / (n - 1) as f64).max(1e-6).ln() / slow).collect()
        };
        let on_grid = grid(t_switch, ON_POINTS);
        let off_grid = grid(self.end(frame), OFF_POINTS);
        let on_points: Vec<Point> = on_grid.iter().map(|&tau| frame.on(tau)).collect();
        let off_points: Vec<Point> = off_grid.iter().map(|&tau| frame.off(tau)).collect();
        let nearest = |points: &[Point], grid: &[f64], cell: usize| {
            let mut best = (f64::INFINITY, 0);
            for (k, point) in points.iter().enumerate() {
                let d = self.squared(point, cell);
                if d < best.0 {
                    best = (d, k);
                }
            }
            grid[best.1]
        };
        let n = self.gene.n_obs();
        let mut on: Vec<f64> = (0..n).map(|cell| nearest(&on_points, &on_grid, cell)).collect();
        let mut off: Vec<f64> = (0..n).map(|cell| nearest(&off_points, &off_grid, cell)).collect();
        for cell in 0..n {
            for _ in 0..2 {
                on[cell] = self.newton(frame, Frame::on, on[cell], t_switch, slow, cell);
                off[cell] = self.newton(frame, Frame::off, off[cell], self.end(frame), slow, cell);
            }
        }
        (on, off)
    }

    /// A Gauss-Newton step of one time, in y = e^{−slow τ}; kept only if nearer.
    fn newton(&self, frame: &Frame, branch: fn(&Frame, f64) -> Point, tau: f64, end: f64, slow: f64, cell: usize) -> f64 {
        let point = branch(frame, tau);
        let (du, ds) = self.residual(&point, cell);
        let (vu, vs) = (point.du * self.per_u, point.ds * self.per_s);
        let speed = vu * vu + vs * vs;
        if speed <= 0.0 {
            return tau;
        }
        let step = -(vu * du + vs * ds) / speed;
        // dy = -slow y dτ
        let q = (-slow * step).clamp(-0.9, 9.0);
        let moved = (tau - (q).ln_1p() / slow).clamp(0.0, end);
        if self.squared(&branch(frame, moved), cell) < du * du + ds * ds { moved } else { tau }
    }

    fn phases(&self, frame: &Frame, on: &[f64], off: &[f64], near: &Neighborhoods) -> Vec<Phase> {
        let steady = Point { u: frame.shape.u, s: frame.shape.s / frame.shape.ratio, ..Point::default() };
        let distances: Vec<[f64; 4]> = (0..self.gene.n_obs())
            .map(|cell| {
                [
                    self.squared(&frame.off(off[cell]), cell),
                    self.squared(&frame.on(on[cell]), cell),
                    self.squared(&Point::default(), cell),
                    self.squared(&steady, cell),
                ]
            })
            .collect();
        const ALL: [Phase; 4] = [Phase::Repression, Phase::Induction, Phase::SteadyOff, Phase::SteadyOn];
        (0..self.gene.n_obs()).map(|cell| ALL[near.smallest(&distances, cell)]).collect()
    }

    fn regularization(&self, shape: &Shape) -> f64 {
        self.pull * (shape.ratio - self.ratio).powi(2)
    }

    fn loss(&self, frame: &Frame, on: &[f64], off: &[f64], phases: &[Phase]) -> f64 {
        let at_switch = frame.off(0.0);
        let sum: f64 = self
            .gene
            .counted
            .iter()
            .map(|&cell| {
                let cell = cell as usize;
                let point = match phases[cell] {
                    Phase::Repression => frame.off(off[cell]),
                    Phase::Induction => frame.on(on[cell]),
                    Phase::SteadyOff => Point::default(),
                    Phase::SteadyOn => at_switch,
                };
                self.squared(&point, cell)
            })
            .sum();
        let pin = opt("PIN", 0.0) * (frame.shape.u / frame.shape.s / self.scaling).ln().powi(2);
        (sum + self.regularization(&frame.shape)) * pin.exp()
    }

    fn refine(&self, frame: &Frame, on: &mut [f64], off: &mut [f64], phases: &[Phase]) {
        let slow = frame.shape.ratio.min(1.0);
        for &cell in &self.gene.counted {
            let cell = cell as usize;
            match phases[cell] {
                Phase::Repression => {
                    for _ in 0..2 {
                        off[cell] = self.newton(frame, Frame::off, off[cell], self.end(frame), slow, cell);
                    }
                }
                Phase::Induction => {
                    on[cell] = on[cell].min(frame.shape.t_switch);
                    for _ in 0..2 {
                        on[cell] = self.newton(frame, Frame::on, on[cell], frame.shape.t_switch, slow, cell);
                    }
                }
                _ => {}
            }
        }
    }

    /// JᵀJ and Jᵀr by (ln A_u, ln A_s, ρ, t_s), times eliminated.
    fn normal_equations(
        &self,
        frame: &Frame,
        on: &[f64],
        off: &[f64],
        phases: &[Phase],
        settings: &Dynamical,
        loss: f64,
    ) -> ([[f64; 4]; 4], [f64; 4]) {
        let mut hessian = [[0.0; 4]; 4];
        let mut gradient = [0.0; 4];
        let t_switch = frame.shape.t_switch;
        let mut add = |row: [f64; 4], residual: f64| {
            for i in 0..4 {
                gradient[i] += row[i] * residual;
                for j in 0..4 {
                    hessian[i][j] += row[i] * row[j];
                }
            }
        };
        for &cell in &self.gene.counted {
            let cell = cell as usize;
            let (point, end) = match phases[cell] {
                Phase::SteadyOff => continue,
                Phase::SteadyOn => (frame.off(0.0), End::Bound),
                Phase::Induction if on[cell] <= 0.0 => continue,
                Phase::Induction if on[cell] >= t_switch => (frame.off(0.0), End::Bound),
                Phase::Induction => (frame.on(on[cell]), End::Free),
                Phase::Repression if off[cell] <= 0.0 => (frame.off(0.0), End::Bound),
                Phase::Repression => (frame.off(off[cell]), End::Free),
            };
            let (du, ds) = self.residual(&point, cell);
            let row_u = [point.u * self.per_u, 0.0, 0.0, point.u_by_switch * self.per_u];
            let row_s = [0.0, point.s * self.per_s, point.s_by_ratio * self.per_s, point.s_by_switch * self.per_s];
            if end == End::Bound {
                add(row_u, du);
                add(row_s, ds);
            } else {
                let (vu, vs) = (point.du * self.per_u, point.ds * self.per_s);
                let speed = vu.hypot(vs);
                if speed <= 0.0 {
                    continue;
                }
                let (nu, ns) = (-vs / speed, vu / speed);
                let mut row = [0.0; 4];
                for i in 0..4 {
                    row[i] = nu * row_u[i] + ns * row_s[i];
                }
                add(row, nu * du + ns * ds);
            }
        }
        let shape = frame.shape;
        if opt("SLOPE", 0.0) == 0.0 {
            gradient[2] += self.pull * (shape.ratio - self.ratio);
            hessian[2][2] += self.pull;
        } else {
            let z = shape.u / shape.s / self.scaling;
            let row = [shape.ratio * z, -shape.ratio * z, z, 0.0];
            let r = shape.ratio * z - self.ratio;
            for i in 0..4 { gradient[i] += self.pull * row[i] * r; for j in 0..4 { hessian[i][j] += self.pull * row[i] * row[j]; } }
        }
        let pin = opt("PIN", 0.0);
        if pin > 0.0 {
            // ln(A_u / A_s) held by a stiff spring towards the start
            let k = pin * loss;
            let r = (shape.u / shape.s / self.scaling).ln();
            gradient[0] += k * r; gradient[1] -= k * r;
            hessian[0][0] += k; hessian[1][1] += k; hessian[0][1] -= k; hessian[1][0] -= k;
        }
        let _ = settings;
        (hessian, gradient)
    }
}

fn stepped(shape: Shape, hessian: &[[f64; 4]; 4], gradient: &[f64; 4], damping: f64, reach: f64) -> Shape {
    let mut a = *hessian;
    for i in 0..4 {
        a[i][i] = a[i][i] * (1.0 + damping) + 1e-12;
    }
    let step = solve(a, *gradient);
    let limit = |x: f64| x.clamp(-1.0, 1.0);
    Shape {
        u: shape.u * (-limit(step[0])).exp(),
        s: shape.s * (-limit(step[1])).exp(),
        ratio: shape.ratio * (-limit(step[2] / shape.ratio)).exp(),
        t_switch: (shape.t_switch * (-limit(step[3] / shape.t_switch)).exp()).clamp(1e-3, reach / shape.ratio.min(1.0)),
    }
}

/// Solves a symmetric positive definite system by Cholesky's factorisation.
fn solve(a: [[f64; 4]; 4], b: [f64; 4]) -> [f64; 4] {
    let mut l = [[0.0; 4]; 4];
    for i in 0..4 {
        for j in 0..=i {
            let mut sum = a[i][j];
            for k in 0..j {
                sum -= l[i][k] * l[j][k];
            }
            if i == j {
                l[i][i] = sum.max(1e-300).sqrt();
            } else {
                l[i][j] = sum / l[j][j];
            }
        }
    }
    let mut x = b;
    for i in 0..4 {
        for k in 0..i {
            x[i] -= l[i][k] * x[k];
        }
        x[i] /= l[i][i];
    }
    for i in (0..4).rev() {
        for k in i + 1..4 {
            x[i] -= l[k][i] * x[k];
        }
        x[i] /= l[i][i];
    }
    x
}
