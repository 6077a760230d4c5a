//! First posteriors: times and lineages from the skeleton, seen from one of its tips.

use super::expect::Posterior;
use super::skeleton::Skeleton;
use super::tree::Tree;
use crate::stats;

/// S.d. of a cell's first time, in units of `t_max`.
const SPREAD: f64 = 0.03;
/// How far off a path a cell of that path may be, in units of the longest path.
const WIDTH: f64 = 0.04;

/// Where a fit starts.
#[derive(Clone, Debug)]
pub(super) struct Start {
    /// Tip at which time begins.
    pub(super) root: usize,
    /// Tips at which the lineages end.
    pub(super) ends: Vec<usize>,
    /// First time of each cell in [0, 1].
    pub(super) times: Vec<f64>,
    /// Where the lineages part, in [0, 1].
    pub(super) parting: f64,
    /// Whether time runs around a ring.
    pub(super) is_ring: bool,
}

impl Start {
    /// Time runs from `root` to `ends`, as ranks of the distance from the root.
    pub(super) fn new(skeleton: &Skeleton, root: usize, ends: Vec<usize>) -> Self {
        let distances = &skeleton.distances[root];
        let n = distances.len() as f64;
        let parting = skeleton.parting(root, &ends);
        let before = distances.iter().filter(|&&d| d < parting).count() as f64;
        Self { root, ends, times: stats::rank_shares(distances), parting: before / n, is_ring: false }
    }

    /// Time runs around a ring on which each cell is at the given share of a turn, or the other way around.
    pub(super) fn around(turns: &[f64], backward: bool) -> Self {
        let turns: Vec<f64> = turns.iter().map(|turn| if backward { 1.0 - turn } else { *turn }).collect();
        Self { root: 0, ends: vec![1], times: stats::rank_shares(&turns), parting: 1.0, is_ring: true }
    }

    /// Posteriors of the cells, each of size 1.
    pub(super) fn posteriors(&self, skeleton: &Skeleton, tree: &Tree) -> Vec<Posterior> {
        let t_max = tree.step * (tree.length - 1) as f64;
        let of_cell = |i: usize| {
            let lineages: Vec<f64> = self
                .ends
                .iter()
                .map(|&end| (-0.5 * (skeleton.off_path(self.root, end, i) / WIDTH).powi(2)).exp() + 1e-9)
                .collect();
            let total: f64 = lineages.iter().sum();
            let weight = |node: usize| {
                let z = (tree.time(node) / t_max - self.times[i]) / SPREAD;
                (-0.5 * z * z).exp() * tree.lineage(node).map_or(1.0, |k| lineages[k] / total)
            };
            let nodes: Vec<(u32, f32)> =
                (0..tree.len()).map(|node| (node as u32, weight(node) as f32)).filter(|&(_, q)| q > 1e-4).collect();
            let sum: f32 = nodes.iter().map(|node| node.1).sum();
            let nodes = nodes.into_iter().map(|(node, q)| (node, q / sum)).collect();
            Posterior { nodes, size: [1.0; 2], evidence: 0.0 }
        };
        (0..self.times.len()).map(of_cell).collect()
    }
}
