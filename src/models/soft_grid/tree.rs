//! The latent states: a grid of times along a trunk and the lineages that part from it, at one branch point or one after the other.
//!
//! ```text
//! 0 ── 1 ── … ── b ─┬─ b+1 ── … ─────────────────── J−1      lineage 0
//!                   └─ b+1 ── … ── c ─┬─ c+1 ── … ── J−1      lineage 1
//!                                     └─ c+1 ── … ── J−1      lineage 2
//! ```
//!
//! Every node has a time on `[0, t_max]` and, but for the root, a parent one step earlier. Cells before a branch
//! point are the same nodes for all lineages behind it, so the clocks of the lineages agree there by construction. The tree is made
//! of *segments*, which have no branch point within. Transcription is constant on the *pieces* into which segments are cut.

/// Where lineages part.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Branching {
    /// One lineage, to the end of time.
    Lineage(usize),
    /// A branch point at a time in [0, 1].
    At(f64, Vec<Branching>),
}

impl Branching {
    /// Lineages that it leads to, from left to right.
    pub(super) fn lineages(&self) -> Vec<usize> {
        match self {
            Self::Lineage(k) => vec![*k],
            Self::At(_, branches) => branches.iter().flat_map(Self::lineages).collect(),
        }
    }

    /// Branch points on the longest way to an end.
    pub(super) fn depth(&self) -> usize {
        match self {
            Self::Lineage(_) => 0,
            Self::At(_, branches) => 1 + branches.iter().map(Self::depth).max().unwrap_or(0),
        }
    }

    /// Number of branch points.
    pub(super) fn points(&self) -> usize {
        match self {
            Self::Lineage(_) => 0,
            Self::At(_, branches) => 1 + branches.iter().map(Self::points).sum::<usize>(),
        }
    }

    /// With `f` of every time.
    pub(super) fn map(&self, f: &dyn Fn(f64) -> f64) -> Self {
        match self {
            Self::Lineage(k) => Self::Lineage(*k),
            Self::At(time, branches) => Self::At(f(*time), branches.iter().map(|branch| branch.map(f)).collect()),
        }
    }

    /// With branch points that come less than `least` after the one before in the place of that one.
    pub(super) fn without_short_stems(&self, least: f64) -> Self {
        match self {
            Self::Lineage(k) => Self::Lineage(*k),
            Self::At(time, branches) => Self::At(*time, joined(*time, branches, least)),
        }
    }
}

/// What parts at `time`: `branches`, and in the place of those that part again less than `least` later, theirs.
fn joined(time: f64, branches: &[Branching], least: f64) -> Vec<Branching> {
    let whole = |branch: &Branching| match branch {
        Branching::At(later, inner) if later - time < least => joined(time, inner, least),
        branch => vec![branch.without_short_stems(least)],
    };
    branches.iter().flat_map(whole).collect()
}

/// A stretch of nodes without a branch point.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Segment {
    /// Its nodes.
    pub(super) nodes: std::ops::Range<usize>,
    /// Its pieces.
    pub(super) pieces: std::ops::Range<usize>,
    /// Position of its first node on the time axis, in grid steps.
    from: usize,
    /// Segments that begin at its end.
    pub(super) next: Vec<usize>,
    /// Lineages that it leads to.
    pub(super) lineages: Vec<usize>,
}

/// Nodes in an order in which parents come first.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tree {
    /// Lineages; 1 is a line.
    pub(super) lineages: usize,
    /// Time between a node and its parent.
    pub(super) step: f64,
    /// Nodes from the root to the end of any lineage.
    pub(super) length: usize,
    /// Segments, each before those that follow it; the first begins at the root.
    pub(super) segments: Vec<Segment>,
    /// The segment of each node.
    segment: Vec<usize>,
    /// Parent of each node; the root is its own.
    pub(super) parent: Vec<usize>,
    /// The piece over which transcription leads from the parent to each node; the root belongs to the first.
    pub(super) piece: Vec<usize>,
    /// Earlier piece and piece that follow each other.
    pub(super) follows: Vec<(usize, usize)>,
    /// Pieces of different lineages at the same time.
    pub(super) parallel: Vec<(usize, usize)>,
    /// Number of pieces.
    pub(super) pieces: usize,
}

impl Tree {
    /// A tree with `length` grid times over `[0, t_max]` and about `pieces` pieces from the root to the end of a lineage.
    pub(super) fn new(branching: &Branching, length: usize, t_max: f64, pieces: usize) -> Self {
        let mut tree = Self {
            lineages: branching.lineages().len(),
            step: t_max / (length - 1) as f64,
            length,
            segments: Vec::new(),
            segment: Vec::new(),
            parent: Vec::new(),
            piece: Vec::new(),
            follows: Vec::new(),
            parallel: Vec::new(),
            pieces: 0,
        };
        tree.append(branching, None, pieces);
        for later in 0..tree.segments.len() {
            for earlier in 0..later {
                let pairs = tree.side_by_side(earlier, later);
                tree.parallel.extend(pairs);
            }
        }
        tree
    }

    /// Appends a branch behind the segment `before`; the number of its first segment.
    fn append(&mut self, branching: &Branching, before: Option<usize>, per_lineage: usize) -> usize {
        let (parent, from) = before.map_or((None, 0), |before| {
            let segment = &self.segments[before];
            (Some(segment.nodes.end - 1), segment.from + segment.nodes.len())
        });
        let end = match branching {
            Branching::Lineage(_) => self.length,
            // Room is left for the segments that follow.
            Branching::At(time, _) => {
                ((time * self.length as f64) as usize).clamp(from + 1, self.length - branching.depth())
            }
        };
        let (nodes, this) = (end - from, self.segments.len());
        let pieces = ((per_lineage * nodes) as f64 / self.length as f64).round().clamp(1.0, nodes as f64) as usize;
        let (first, first_piece) = (self.parent.len(), self.pieces);
        for at in 0..nodes {
            self.parent.push(if at > 0 { first + at - 1 } else { parent.unwrap_or(first) });
            self.piece.push(first_piece + at * pieces / nodes);
            self.segment.push(this);
        }
        self.follows.extend(parent.map(|node| (self.piece[node], first_piece)));
        self.follows.extend((first_piece + 1..first_piece + pieces).map(|piece| (piece - 1, piece)));
        self.pieces += pieces;
        self.segments.push(Segment {
            nodes: first..first + nodes,
            pieces: first_piece..first_piece + pieces,
            from,
            next: Vec::new(),
            lineages: branching.lineages(),
        });
        if let Branching::At(_, branches) = branching {
            for branch in branches {
                let next = self.append(branch, Some(this), per_lineage);
                self.segments[this].next.push(next);
            }
        }
        this
    }

    /// Pieces of two segments at the same time, if they lead to different lineages.
    fn side_by_side(&self, earlier: usize, later: usize) -> Vec<(usize, usize)> {
        let [a, b] = [earlier, later].map(|at| &self.segments[at]);
        if a.lineages.iter().any(|k| b.lineages.contains(k)) {
            return Vec::new();
        }
        let middle = |piece: usize| {
            let nodes: Vec<usize> = b.nodes.clone().filter(|&node| self.piece[node] == piece).collect();
            self.position(nodes[nodes.len() / 2])
        };
        let beside = |position: usize| {
            let within = position >= a.from && position < a.from + a.nodes.len();
            within.then(|| self.piece[a.nodes.start + position - a.from])
        };
        b.pieces.clone().filter_map(|piece| beside(middle(piece)).map(|other| (other, piece))).collect()
    }

    /// Number of nodes.
    pub(super) fn len(&self) -> usize {
        self.parent.len()
    }

    /// The segment of a node.
    pub(super) fn segment(&self, node: usize) -> &Segment {
        &self.segments[self.segment[node]]
    }

    /// Number of the segment of a node.
    pub(super) fn segment_number(&self, node: usize) -> usize {
        self.segment[node]
    }

    /// Position on the time axis of grid steps.
    fn position(&self, node: usize) -> usize {
        let segment = self.segment(node);
        segment.from + node - segment.nodes.start
    }

    /// Time of a node.
    pub(super) fn time(&self, node: usize) -> f64 {
        self.position(node) as f64 * self.step
    }

    /// Time of the last node of every lineage.
    pub(super) fn t_max(&self) -> f64 {
        self.step * (self.length - 1) as f64
    }

    /// Lineage of a node behind all branch points.
    pub(super) fn lineage(&self, node: usize) -> Option<usize> {
        match self.segment(node).lineages[..] {
            [k] if self.lineages > 1 => Some(k),
            _ => None,
        }
    }

    /// Nodes `steps` later than `node`, and the part of its cells that gets there, if `mass` is what goes into each segment and those
    /// behind it; what would go beyond the end stays there.
    pub(super) fn later(&self, node: usize, steps: usize, mass: &[f64]) -> Vec<(usize, f64)> {
        let segment = self.segment(node);
        let last = segment.nodes.end - 1;
        if node + steps <= last || segment.next.is_empty() {
            return vec![((node + steps).min(last), 1.0)];
        }
        let rest = node + steps - last - 1;
        let total: f64 = segment.next.iter().map(|&next| mass[next]).sum();
        let share = |next: usize| if total > 0.0 { mass[next] / total } else { 1.0 / segment.next.len() as f64 };
        let into = |&next: &usize| {
            let later = self.later(self.segments[next].nodes.start, rest, mass);
            later.into_iter().map(move |(node, part)| (node, part * share(next)))
        };
        segment.next.iter().flat_map(into).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Branching::{At, Lineage};
    use super::*;

    #[test]
    fn a_branch_point_right_behind_another_is_the_same() {
        let twice = At(0.3, vec![Lineage(0), At(0.35, vec![Lineage(1), At(0.38, vec![Lineage(2), Lineage(3)])])]);
        assert_eq!(twice.without_short_stems(0.1), At(0.3, (0..4).map(Lineage).collect()));
        assert_eq!(twice.without_short_stems(0.01), twice);
        let one = At(0.3, vec![Lineage(0), At(0.35, vec![Lineage(1), Lineage(2), Lineage(3)])]);
        assert_eq!(twice.without_short_stems(0.04), one);
    }

    fn nested() -> Tree {
        Tree::new(&At(0.3, vec![Lineage(0), At(0.6, vec![Lineage(1), Lineage(2)])]), 10, 9.0, 10)
    }

    #[test]
    fn a_lineage_runs_from_the_root_to_the_end_of_time() {
        let tree = nested();
        assert_eq!(tree.len(), 3 + 7 + 3 + 4 + 4);
        for end in (0..tree.len()).filter(|node| !tree.parent.iter().enumerate().any(|(z, p)| p == node && z != *node))
        {
            assert!((tree.time(end) - 9.0).abs() < 1e-12);
            let (mut node, mut steps) = (end, 0);
            while tree.parent[node] != node {
                assert!((tree.time(node) - tree.time(tree.parent[node]) - 1.0).abs() < 1e-12);
                (node, steps) = (tree.parent[node], steps + 1);
            }
            assert_eq!((node, steps), (0, 9));
        }
        let of = |k: Option<usize>| (0..tree.len()).filter(|&node| tree.lineage(node) == k).count();
        assert_eq!([of(None), of(Some(0)), of(Some(1)), of(Some(2))], [6, 7, 4, 4]);
    }

    #[test]
    fn pieces_beside_each_other_are_of_different_lineages_at_one_time() {
        let tree = nested();
        let nodes = |piece: usize| (0..tree.len()).filter(|&node| tree.piece[node] == piece).collect::<Vec<usize>>();
        assert!(!tree.parallel.is_empty());
        for &(a, b) in &tree.parallel {
            let common = |x: usize| nodes(b).into_iter().any(|y| (tree.time(x) - tree.time(y)).abs() < 1e-12);
            assert!(nodes(a).into_iter().any(common), "{a} {b}");
            let [a, b] = [a, b].map(|piece| &tree.segment(nodes(piece)[0]).lineages);
            assert!(!a.iter().any(|k| b.contains(k)), "{a:?} {b:?}");
        }
    }

    #[test]
    fn cells_before_a_branch_point_go_to_each_lineage_in_its_share() {
        let tree = nested();
        // Segments: trunk, lineage 0, stem of 1 and 2, lineage 1, lineage 2.
        let later = tree.later(2, 5, &[10.0, 4.0, 6.0, 2.0, 1.0]);
        let found: Vec<(f64, Option<usize>, f64)> =
            later.into_iter().map(|(node, part)| (tree.time(node), tree.lineage(node), part)).collect();
        assert_eq!(found, [(7.0, Some(0), 0.4), (7.0, Some(1), 0.6 * (2.0 / 3.0)), (7.0, Some(2), 0.6 * (1.0 / 3.0))]);
        assert_eq!(tree.later(tree.len() - 1, 3, &[1.0; 5]), [(tree.len() - 1, 1.0)]);
    }

    #[test]
    fn branch_points_at_the_end_of_time_leave_room_for_the_lineages() {
        let late = At(1.0, vec![Lineage(0), At(1.0, vec![Lineage(1), Lineage(2)])]);
        let tree = Tree::new(&late, 10, 9.0, 3);
        assert_eq!(tree.segments.iter().map(|segment| segment.nodes.len()).collect::<Vec<_>>(), [8, 2, 1, 1, 1]);
    }
}
