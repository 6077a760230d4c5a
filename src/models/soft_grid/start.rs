//! First posteriors: times and lineages from the skeleton, seen from one of its places.

use super::expect::Posterior;
use super::skeleton::Skeleton;
use super::tree::{Branching, Tree};
use crate::stats;

/// S.d. of a cell's first time, in units of `t_max`.
const SPREAD: f64 = 0.03;
/// How far off a path a cell of that path may be, in units of the longest path.
const WIDTH: f64 = 0.04;

/// Branch points are two if the way between them is at least this part of the longest path.
const STEM: f64 = 0.1;

/// Where a fit starts.
#[derive(Clone, Debug)]
pub(super) struct Start {
    /// Place at which time begins.
    pub(super) root: usize,
    /// Tips at which the lineages end.
    pub(super) ends: Vec<usize>,
    /// First time of each cell in [0, 1].
    pub(super) times: Vec<f64>,
    /// Where the lineages part.
    pub(super) branching: Branching,
    /// Whether time runs around a ring.
    pub(super) is_ring: bool,
}

impl Start {
    /// Time runs from `root` to `ends`, as ranks of the distance from the root; all lineages part at one point, where the first do.
    pub(super) fn new(skeleton: &Skeleton, root: usize, ends: Vec<usize>) -> Self {
        let all: Vec<usize> = (0..ends.len()).collect();
        let branching = if let [only] = all[..] {
            Branching::Lineage(only)
        } else {
            let lineages = all.iter().copied().map(Branching::Lineage).collect();
            Branching::At(parting(skeleton, root, &ends, [&all, &all]), lineages)
        };
        Self::from(skeleton, root, ends, &branching)
    }

    /// The same, but lineages that part later than others do have a branch point of their own; `None` if all part at one point.
    pub(super) fn nested(skeleton: &Skeleton, root: usize, ends: Vec<usize>) -> Option<Self> {
        let branching = nested(skeleton, root, &ends).without_short_stems(STEM);
        (branching.depth() > 1).then(|| Self::from(skeleton, root, ends, &branching))
    }

    /// From distances to times: shares of the cells that are nearer to the root.
    fn from(skeleton: &Skeleton, root: usize, ends: Vec<usize>, branching: &Branching) -> Self {
        let distances = &skeleton.distances[root];
        let share = |at: f64| distances.iter().filter(|&&d| d < at).count() as f64 / distances.len() as f64;
        Self { root, ends, times: stats::rank_shares(distances), branching: branching.map(&share), is_ring: false }
    }

    /// Time runs around a ring on which each cell is at the given share of a turn, or the other way around.
    pub(super) fn around(turns: &[f64], backward: bool) -> Self {
        let turns: Vec<f64> = turns.iter().map(|turn| if backward { 1.0 - turn } else { *turn }).collect();
        Self {
            root: 0,
            ends: vec![1],
            times: stats::rank_shares(&turns),
            branching: Branching::Lineage(0),
            is_ring: true,
        }
    }

    /// The shape: lineages, and branch points if there are several.
    pub(super) fn in_words(&self) -> String {
        match (self.ends.len(), self.branching.points()) {
            (1, _) => "a line".to_owned(),
            (k, 1) => format!("{k} lineages"),
            (k, points) => format!("{k} lineages, {points} branch points"),
        }
    }

    /// Posteriors of the cells, each of size 1.
    pub(super) fn posteriors(&self, skeleton: &Skeleton, tree: &Tree) -> Vec<Posterior> {
        let of_cell = |i: usize| {
            let lineages: Vec<f64> = self
                .ends
                .iter()
                .map(|&end| (-0.5 * (skeleton.off_path(self.root, end, i) / WIDTH).powi(2)).exp() + 1e-9)
                .collect();
            let total: f64 = lineages.iter().sum();
            let weight = |node: usize| {
                let z = (tree.time(node) / tree.t_max() - self.times[i]) / SPREAD;
                let here: f64 = tree.segment(node).lineages.iter().map(|&k| lineages[k]).sum();
                (-0.5 * z * z).exp() * here / total
            };
            let nodes: Vec<(u32, f32)> =
                (0..tree.len()).map(|node| (node as u32, weight(node) as f32)).filter(|&(_, q)| q > 1e-4).collect();
            let sum: f32 = nodes.iter().map(|node| node.1).sum();
            let nodes = nodes.into_iter().map(|(node, q)| (node, q / sum)).collect();
            Posterior { nodes, size: [1.0; 2], ..Posterior::default() }
        };
        (0..self.times.len()).map(of_cell).collect()
    }
}

/// Distance from `root` at which the first ends of one group part from those of another.
fn parting(skeleton: &Skeleton, root: usize, ends: &[usize], [a, b]: [&[usize]; 2]) -> f64 {
    let pairs = a.iter().flat_map(|&a| b.iter().map(move |&b| (a, b))).filter(|(a, b)| a != b);
    pairs.map(|(a, b)| skeleton.parting(root, ends[a], ends[b])).fold(f64::INFINITY, f64::min)
}

/// Lineages joined in twos, those that part last first; times are distances from the root.
fn nested(skeleton: &Skeleton, root: usize, ends: &[usize]) -> Branching {
    let mut groups: Vec<Branching> = (0..ends.len()).map(Branching::Lineage).collect();
    while groups.len() > 1 {
        let pairs = (0..groups.len()).flat_map(|b| (0..b).map(move |a| (a, b)));
        let timed = pairs.map(|(a, b)| {
            let both = [&groups[a].lineages()[..], &groups[b].lineages()[..]];
            (parting(skeleton, root, ends, both), a, b)
        });
        let (at, a, b) = timed.max_by(|x, y| x.0.total_cmp(&y.0)).expect("there are two groups");
        let later = groups.remove(b);
        let earlier = std::mem::replace(&mut groups[a], Branching::Lineage(0));
        groups[a] = Branching::At(at, vec![earlier, later]);
    }
    groups.swap_remove(0)
}
