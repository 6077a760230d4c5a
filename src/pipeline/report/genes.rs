//! What the report says of genes.

use ndarray::{Array2, Axis};

use crate::data::{Column, Velocities};
use crate::error::Result;
use crate::io::{self, keys};
use crate::kinetics::{Rates, State, solve};
use crate::report::{Course, Gene};

/// Columns of var with statistics of a gene, and what they are called on the page.
const STATISTICS: [(&str, &str); 17] = [
    (keys::FIT_LIKELIHOOD, "likelihood"),
    (keys::FIT_ALPHA, "alpha"),
    (keys::FIT_BETA, "beta"),
    (keys::FIT_GAMMA, "gamma"),
    (keys::FIT_T_ON, "switched on at"),
    (keys::FIT_T_OFF, "switched off at"),
    (keys::FIT_SCALING, "scaling"),
    (keys::VELOCITY_GAMMA, "slope gamma/beta"),
    (keys::VELOCITY_R2, "R² of the line, extreme cells"),
    (keys::FIT_R2, "R² of the line, all cells"),
    (keys::FIT_LL_HELD_OUT, "log-likelihood, held-out cells"),
    (keys::FIT_DYNAMICS, "of it by dynamics"),
    (keys::FIT_PVAL_DYNAMICS, "p-value of dynamics"),
    (keys::FIT_DIRECTION, "evidence for the direction"),
    (keys::PERMUTATION_SCORE, "permutation score"),
    (keys::PERMUTATION_NULL, "the same of shuffled data"),
    (keys::VELOCITY_SCORE, "velocity score"),
];
/// Points along a fitted curve.
const POINTS: usize = 120;
/// Genes that are kept, at most: beyond, a page could not hold them.
const MOST: usize = 4000;

/// The genes with moments, their values in the cells at `cells`.
pub(super) fn genes(data: &Velocities, cells: &[usize]) -> Result<Vec<Gene>> {
    let layer = |name: &str| -> Result<Option<Array2<f32>>> {
        Ok(if io::has_layer(&data.path, name)? {
            Some(io::read_layer(&data.path, name)?.select(Axis(0), cells))
        } else {
            None
        })
    };
    let (Some(ms), Some(mu)) = (layer(keys::MS)?, layer(keys::MU)?) else { return Ok(Vec::new()) };
    let [velocity, fit_s, fit_u, fit_t] = [keys::VELOCITY, keys::FIT_S, keys::FIT_U, keys::FIT_T].map(layer);
    let (velocity, fit_s, fit_u, fit_t) = (velocity?, fit_s?, fit_u?, fit_t?);
    let facts = Facts::new(data);
    let present = |gene: &usize| ms.column(*gene).iter().chain(mu.column(*gene)).all(|value| value.is_finite());
    let mut kept: Vec<usize> = (0..ms.ncols()).filter(present).collect();
    if kept.len() > MOST {
        kept.sort_by(|&a, &b| facts.rank(b).total_cmp(&facts.rank(a)));
        kept.truncate(MOST);
        kept.sort_unstable();
    }
    let values = |matrix: &Option<Array2<f32>>, gene: usize| {
        let column = matrix.as_ref()?.column(gene).to_vec();
        column.iter().all(|value| value.is_finite()).then_some(column)
    };
    let of_gene = |gene: usize| {
        let velocity = values(&velocity, gene);
        let (chosen, why_not) = facts.chosen(gene, velocity.is_some());
        Gene {
            name: data.var.index[gene].clone(),
            ms: ms.column(gene).to_vec(),
            mu: mu.column(gene).to_vec(),
            velocity,
            fit_s: values(&fit_s, gene),
            fit_u: values(&fit_u, gene),
            time: values(&fit_t, gene).filter(|_| facts.own_clocks),
            course: facts.courses(gene, ms.column(gene).iter().copied().fold(0.0, f32::max)),
            statistics: facts.statistics(gene),
            rank: facts.rank(gene),
            velocity_gene: Some(chosen),
            why_not,
        }
    };
    Ok(kept.into_iter().map(of_gene).collect())
}

/// Columns of var.
struct Facts {
    numbers: Vec<(&'static str, &'static str, Vec<f64>)>,
    status: Option<Vec<String>>,
    used: Vec<bool>,
    /// Whether a gene's times are its curve's. veloVI's are means over kinetic states, on none of the branches.
    own_clocks: bool,
    /// Where the curve begins, unspliced and spliced (dynamical).
    offsets: [Option<Vec<f64>>; 2],
}

impl Facts {
    fn new(data: &Velocities) -> Self {
        let column = |key: &str| data.var.get(key).and_then(Column::to_numbers);
        let numbers = STATISTICS.iter().filter_map(|&(key, name)| Some((key, name, column(key)?))).collect();
        let mut used = vec![false; data.var.index.len()];
        data.genes.iter().for_each(|&gene| used[gene] = true);
        let offsets = [keys::FIT_U0, keys::FIT_S0].map(column);
        let own_clocks = data.mode != "velovi";
        Self { numbers, own_clocks, offsets, status: data.var.get(keys::FIT_STATUS).map(Column::to_labels), used }
    }

    fn value(&self, key: &str, gene: usize) -> Option<f64> {
        let found = self.numbers.iter().find(|(known, ..)| *known == key).map(|(.., values)| values[gene]);
        found.filter(|value| value.is_finite())
    }

    fn statistics(&self, gene: usize) -> Vec<(String, f64)> {
        self.numbers.iter().map(|(_, name, values)| ((*name).to_owned(), values[gene])).collect()
    }

    /// What genes are ordered by: velocity genes first, then the likelihood, or what stands in for it.
    fn rank(&self, gene: usize) -> f64 {
        let by = [keys::FIT_LIKELIHOOD, keys::FIT_DYNAMICS, keys::VELOCITY_R2, keys::VELOCITY_SCORE];
        let score = by.iter().find_map(|key| self.value(key, gene)).unwrap_or(f64::NAN);
        // Scores are of very different sizes: squeezed into (−1, 1), they cannot outweigh the choice.
        let squeezed = score / (1.0 + score.abs());
        if self.used[gene] { 2.0 + if squeezed.is_nan() { -1.0 } else { squeezed } } else { squeezed }
    }

    /// Whether arrows were drawn from a gene, and if not, why not.
    fn chosen(&self, gene: usize, has_velocity: bool) -> (bool, String) {
        if self.used[gene] {
            return (true, String::new());
        }
        let status = self.status.as_ref().map(|status| status[gene].as_str());
        let low = |key: &str, bound: f64| self.value(key, gene).is_some_and(|value| value < bound);
        let why = if let Some(status) = status.filter(|status| !matches!(*status, "fitted" | "not converged")) {
            format!("because the fit ended so: {status}")
        } else if !has_velocity {
            "without a velocity from the model".to_owned()
        } else if low(keys::VELOCITY_R2, 0.01) {
            "where a line through the extreme cells explains too little (R² below 0.01)".to_owned()
        } else if low(keys::FIT_R2, 0.0) {
            "where a line through the cells explains less than a constant".to_owned()
        } else {
            "that the model did not choose as velocity genes".to_owned()
        };
        (false, why)
    }

    /// The curves of models that have curves: two branches with a switch, or a line.
    fn courses(&self, gene: usize, most: f32) -> Vec<Course> {
        let value = |key: &str| self.value(key, gene);
        if let Some(slope) = value(keys::VELOCITY_GAMMA) {
            let s = vec![0.0, f64::from(most)];
            let u = s.iter().map(|s| slope * s).collect();
            return vec![Course { name: "steady state".to_owned(), s, u, t: Vec::new() }];
        }
        let (Some(alpha), Some(beta), Some(gamma), Some(off)) =
            (value(keys::FIT_ALPHA), value(keys::FIT_BETA), value(keys::FIT_GAMMA), value(keys::FIT_T_OFF))
        else {
            return Vec::new();
        };
        let on = value(keys::FIT_T_ON).unwrap_or(0.0);
        let scaling = value(keys::FIT_SCALING).unwrap_or(1.0);
        let offset = self.offsets.each_ref().map(|column| column.as_ref().map_or(0.0, |values| values[gene]));
        let rates = |alpha| Rates { alpha, beta, gamma };
        let branch = |name: &str, from: State, start: f64, length: f64, alpha: f64| {
            let at = |point: usize| length * point as f64 / (POINTS - 1) as f64;
            let states: Vec<State> = (0..POINTS).map(|point| solve(at(point), from, rates(alpha))).collect();
            Course {
                name: name.to_owned(),
                s: states.iter().map(|state| state.s + offset[1]).collect(),
                u: states.iter().map(|state| state.u * scaling + offset[0]).collect(),
                t: if self.own_clocks { (0..POINTS).map(|point| start + at(point)).collect() } else { Vec::new() },
            }
        };
        let length = (off - on).max(0.0);
        let top = solve(length, State::default(), rates(alpha));
        let decay = 4.0 / gamma.min(beta).max(1e-6);
        vec![
            branch("induction", State::default(), on, length, alpha),
            branch("repression", top, on + length, decay, 0.0),
        ]
    }
}
