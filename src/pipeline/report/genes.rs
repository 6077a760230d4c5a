//! What the report says of genes.

use ndarray::Array2;

use crate::data::quantities::{
    FIT_ALPHA, FIT_BETA, FIT_DIRECTION, FIT_DYNAMICS, FIT_GAMMA, FIT_LIKELIHOOD, FIT_LL_HELD_OUT, FIT_PVAL_DYNAMICS,
    FIT_R2, FIT_S0, FIT_SCALING, FIT_STATUS, FIT_T_OFF, FIT_T_ON, FIT_U0, Numbers, PERMUTATION_NULL, PERMUTATION_SCORE,
    Quantity, VELOCITY_GAMMA, VELOCITY_R2, VELOCITY_SCORE,
};
use crate::data::{Column, GeneFilter};
use crate::io::FittedFile;
use crate::kinetics::{Rates, State, solve};
use crate::pipeline::explain::{velocity_gene_filters, wanted};
use crate::report::{Course, Gene};

/// Columns of var with statistics of a gene, and what they are called on the page.
const STATISTICS: [(Quantity<Numbers>, &str); 17] = [
    (FIT_LIKELIHOOD, "likelihood"),
    (FIT_ALPHA, "alpha"),
    (FIT_BETA, "beta"),
    (FIT_GAMMA, "gamma"),
    (FIT_T_ON, "switched on at"),
    (FIT_T_OFF, "switched off at"),
    (FIT_SCALING, "scaling"),
    (VELOCITY_GAMMA, "slope gamma/beta"),
    (VELOCITY_R2, "R² of the line, extreme cells"),
    (FIT_R2, "R² of the line, all cells"),
    (FIT_LL_HELD_OUT, "log-likelihood, held-out cells"),
    (FIT_DYNAMICS, "of it by dynamics"),
    (FIT_PVAL_DYNAMICS, "p-value of dynamics"),
    (FIT_DIRECTION, "evidence for the direction"),
    (PERMUTATION_SCORE, "permutation score"),
    (PERMUTATION_NULL, "the same of shuffled data"),
    (VELOCITY_SCORE, "velocity score"),
];
/// What `fit_status` is of genes that have a fit.
const HAS_FIT: [&str; 2] = ["fitted", "not converged"];
/// Least R² of a line through the extreme cells, of fits of other programs: scVelo's default.
const LEAST_R2: f64 = 0.01;
/// Points along a fitted curve.
const POINTS: usize = 120;
/// Genes that are kept, at most: beyond, a page could not hold them.
const MOST: usize = 4000;

/// Layers of the cells that genes are shown in, all genes of the file: `[cells, n_vars]`.
pub(super) struct OfCells {
    pub(super) ms: Option<Array2<f32>>,
    pub(super) mu: Option<Array2<f32>>,
    pub(super) velocity: Option<Array2<f32>>,
    pub(super) fit_s: Option<Array2<f32>>,
    pub(super) fit_u: Option<Array2<f32>>,
    pub(super) fit_t: Option<Array2<f32>>,
}

/// The genes with moments; those at `used` move the arrows.
pub(super) fn genes(file: &FittedFile, used: &[usize], layers: OfCells) -> Vec<Gene> {
    let OfCells { ms, mu, velocity, fit_s, fit_u, fit_t } = layers;
    let (Some(ms), Some(mu)) = (ms, mu) else { return Vec::new() };
    let facts = Facts::new(file, used);
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
            name: file.var().index[gene].clone(),
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
    kept.into_iter().map(of_gene).collect()
}

/// Columns of var.
struct Facts {
    numbers: Vec<(&'static str, &'static str, Vec<f64>)>,
    status: Option<Vec<String>>,
    used: Vec<bool>,
    /// What velocity genes had to fulfil, as far as the fit records it.
    filters: Vec<GeneFilter>,
    /// Whether a gene's times are those of its curve, rather than means over kinetic states, on none of the branches.
    own_clocks: bool,
    /// Where the curve begins, unspliced and spliced (dynamical).
    offsets: [Option<Vec<f64>>; 2],
}

impl Facts {
    fn new(file: &FittedFile, velocity_genes: &[usize]) -> Self {
        let numbers = STATISTICS
            .iter()
            .filter_map(|&(quantity, name)| Some((quantity.key(), name, file.numbers(quantity)?)))
            .collect();
        let mut used = vec![false; file.var().index.len()];
        for &gene in velocity_genes {
            used[gene] = true;
        }
        let offsets = [FIT_U0, FIT_S0].map(|quantity| file.numbers(quantity));
        let status = file.column(FIT_STATUS).map(Column::to_labels);
        let filters = velocity_gene_filters(file).unwrap_or_default();
        Self { filters, numbers, own_clocks: file.times_on_curve(), offsets, status, used }
    }

    fn value(&self, quantity: Quantity<Numbers>, gene: usize) -> Option<f64> {
        let found = self.numbers.iter().find(|(known, ..)| *known == quantity.key()).map(|(.., values)| values[gene]);
        found.filter(|value| value.is_finite())
    }

    fn statistics(&self, gene: usize) -> Vec<(String, f64)> {
        self.numbers.iter().map(|(_, name, values)| ((*name).to_owned(), values[gene])).collect()
    }

    /// What genes are ordered by: velocity genes first, then the likelihood, or what stands in for it.
    fn rank(&self, gene: usize) -> f64 {
        let by = [FIT_LIKELIHOOD, FIT_DYNAMICS, VELOCITY_R2, VELOCITY_SCORE];
        let score = by.into_iter().find_map(|quantity| self.value(quantity, gene)).unwrap_or(f64::NAN);
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
        let low =
            |quantity: Quantity<Numbers>, bound: f64| self.value(quantity, gene).is_some_and(|value| value < bound);
        let why = if let Some(status) = status.filter(|status| !HAS_FIT.contains(status)) {
            format!("because the fit ended so: {status}")
        } else if !has_velocity {
            "without a velocity from the model".to_owned()
        } else if let Some(filter) = self.filters.iter().find(|filter| filter.takes(gene)) {
            format!("whose {} is not {}", filter.name, wanted(filter.bound))
        } else if low(VELOCITY_R2, LEAST_R2) {
            "where a line through the extreme cells explains too little (R² below 0.01)".to_owned()
        } else if low(FIT_R2, 0.0) {
            "where a line through the cells explains less than a constant".to_owned()
        } else {
            "that the model did not choose as velocity genes".to_owned()
        };
        (false, why)
    }

    /// The curves of models that have curves: two branches with a switch, or a line.
    fn courses(&self, gene: usize, most: f32) -> Vec<Course> {
        let value = |quantity: Quantity<Numbers>| self.value(quantity, gene);
        if let Some(slope) = value(VELOCITY_GAMMA) {
            let s = vec![0.0, f64::from(most)];
            let u = s.iter().map(|s| slope * s).collect();
            return vec![Course { name: "steady state".to_owned(), s, u, t: Vec::new() }];
        }
        let (Some(alpha), Some(beta), Some(gamma), Some(off)) =
            (value(FIT_ALPHA), value(FIT_BETA), value(FIT_GAMMA), value(FIT_T_OFF))
        else {
            return Vec::new();
        };
        let on = value(FIT_T_ON).unwrap_or(0.0);
        let scaling = value(FIT_SCALING).unwrap_or(1.0);
        let offset = self.offsets.each_ref().map(|column| column.as_ref().map_or(0.0, |values| values[gene]));
        // fit_beta belongs to unspliced counts as they are, the other rates to those over the scaling.
        let rates = |alpha| Rates { alpha, beta: beta * scaling, gamma };
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
        let decay = 4.0 / gamma.min(beta * scaling).max(1e-6);
        vec![
            branch("induction", State::default(), on, length, alpha),
            branch("repression", top, on + length, decay, 0.0),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A gene that is on for a long time comes to `u = α / β` in units of the counts, `fit_beta` being the β of unscaled counts, and
    /// `s = α / γ`.
    #[test]
    fn the_curve_of_a_scaled_gene_ends_at_its_steady_state() {
        let numbers = [(FIT_ALPHA, 5.0), (FIT_BETA, 0.1), (FIT_GAMMA, 0.4), (FIT_SCALING, 3.0), (FIT_T_OFF, 500.0)];
        let facts = Facts {
            numbers: numbers.map(|(quantity, value)| (quantity.key(), "", vec![value])).into(),
            status: None,
            filters: Vec::new(),
            used: vec![true],
            own_clocks: false,
            offsets: [None, None],
        };
        let on = &facts.courses(0, 10.0)[0];
        let (u, s) = (on.u.last().copied().unwrap_or(0.0), on.s.last().copied().unwrap_or(0.0));
        // α is that of scaled counts: α κ molecules are counted in a unit of time, and β u / κ become spliced.
        assert!((u - 5.0 / 0.1).abs() < 1e-9 && (s - 5.0 / 0.4).abs() < 1e-9, "{u} {s}");
    }
}
