//! Counts that hold no direction of time: what the likelihood ratio of two directions is where there is none to find.
//!
//! The curves of two directions are not equally good at describing what no curve of splicing describes: bursts, cells of a cycle, unspliced
//! counts that follow nothing. So one direction can win clearly on data that have none. How much it wins by is measured on counts
//! that are as the data are, but for the unspliced ones, which are drawn anew around
//!
//! ```text
//! μ_u(z) = a_g + r_g μ_s(z),    a_g, r_g ≥ 0, by least squares over the nodes
//! ```
//!
//! so that they change as much with the cells' places as the data's do, and never before the spliced ones. That is the same seen forward and backward.

use super::em::Counts;
use super::expect::Posterior;
use super::gene::Sums;
use super::rival::draw_count;
use super::rounds::{Cells, Fitted};
use crate::data::Run;
use crate::sparse::Csr;

/// `cells`, which `fitted` was fitted to, with unspliced counts that do not precede the spliced ones.
pub(super) fn undelayed(cells: &Cells, fitted: &Fitted, run: &Run) -> Cells {
    let gathered = fitted.gathered(cells);
    let nodes: Vec<usize> = fitted.posteriors.iter().map(likeliest).collect();
    let of_gene = |gene: usize| {
        let mut rng = run.rng("without direction", gene as u64);
        let model = &fitted.model.genes[gene];
        let spliced = &model.means(&fitted.model.tree)[1];
        let (a, r) = proportion(gathered.of(gene), spliced);
        let draw = |(i, &node): (usize, &usize)| {
            let size = fitted.posteriors[i].size[0];
            (i as u32, draw_count(size, a + r * spliced[node], model.dispersion[0], &mut rng))
        };
        nodes.iter().enumerate().map(draw).filter(|&(_, x)| x > 0.0).collect::<Vec<_>>()
    };
    let rows: Vec<Vec<(u32, f32)>> = (0..cells.counts.n_vars()).map(of_gene).collect();
    let unspliced = Csr::from_rows(cells.counts.n_obs(), &rows).transpose();
    Cells {
        counts: Counts::new([unspliced, cells.counts.cells[1].clone()]),
        groups: cells.groups.clone(),
        n_groups: cells.n_groups,
        samples: cells.samples.clone(),
        capture: cells.capture.clone(),
        sizes: cells.sizes.clone(),
        team: cells.team.clone(),
    }
}

/// `a` and `r`, not below 0, of `M_u / N_u ≈ a + r μ_s` over the nodes, each weighted by `N_u`.
fn proportion(sums: Sums<'_>, spliced: &[f64]) -> (f64, f64) {
    let (n, m) = (sums.n[0], sums.m[0]);
    let weighted = |of: &dyn Fn(usize) -> f64| (0..spliced.len()).map(of).sum::<f64>();
    let total = weighted(&|z| n[z]).max(f64::MIN_POSITIVE);
    let (mean_u, mean_s) = (weighted(&|z| m[z]) / total, weighted(&|z| n[z] * spliced[z]) / total);
    let of_s = weighted(&|z| n[z] * (spliced[z] - mean_s).powi(2));
    let of_both = weighted(&|z| (m[z] - n[z] * mean_u) * (spliced[z] - mean_s));
    let r = if of_s > 0.0 { (of_both / of_s).clamp(0.0, mean_u / mean_s) } else { 0.0 };
    (mean_u - r * mean_s, r)
}

/// The node at which a cell most probably is.
fn likeliest(posterior: &Posterior) -> usize {
    posterior.nodes.iter().max_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |&(node, _)| node as usize)
}
