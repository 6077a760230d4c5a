//! The latent states: a grid of times along a trunk and the lineages that part from it.
//!
//! ```text
//! 0 ── 1 ── 2 ── … ── b ─┬─ b+1 ── … ── J−1      lineage 0
//!                        └─ b+1 ── … ── J−1      lineage 1
//! ```
//!
//! Every node has a time on `[0, t_max]` and, but for the root, a parent one step earlier. Cells before the branch
//! point are the same nodes for all lineages, so the clocks of the lineages agree there by construction. Transcription is
//! constant on the *pieces* into which trunk and lineages are cut.

/// Nodes in an order in which parents come first.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tree {
    /// Lineages; 1 is a line without a trunk.
    pub(super) lineages: usize,
    /// Time between a node and its parent.
    pub(super) step: f64,
    /// Number of trunk nodes; all nodes if there is one lineage.
    pub(super) trunk: usize,
    /// Nodes from the root to the end of any lineage.
    pub(super) length: usize,
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
    /// A tree of `lineages` with `length` grid times over `[0, t_max]`, of which the first `trunk` are shared, and
    /// about `pieces` pieces from the root to the end of a lineage.
    pub(super) fn new(lineages: usize, length: usize, trunk: usize, t_max: f64, pieces: usize) -> Self {
        let trunk = if lineages == 1 { length } else { trunk.clamp(1, length - 1) };
        let branch = length - trunk;
        let mut tree = Self {
            lineages,
            step: t_max / (length - 1) as f64,
            trunk,
            length,
            parent: Vec::new(),
            piece: Vec::new(),
            follows: Vec::new(),
            parallel: Vec::new(),
            pieces: 0,
        };
        let share = |nodes: usize| ((pieces * nodes) as f64 / length as f64).round().max(1.0) as usize;
        let of_trunk = if lineages == 1 { pieces.min(length) } else { share(trunk) };
        tree.append(None, trunk, of_trunk);
        let end = trunk - 1;
        let of_branch = share(branch);
        for _ in 0..if lineages == 1 { 0 } else { lineages } {
            tree.append(Some(end), branch, of_branch);
        }
        for k in 0..if lineages == 1 { 0 } else { lineages } {
            let first = |k: usize| of_trunk + k * of_branch;
            for other in 0..k {
                tree.parallel.extend((0..of_branch).map(|at| (first(other) + at, first(k) + at)));
            }
        }
        tree
    }

    /// Appends `nodes` nodes in `pieces` pieces behind the node `from`.
    fn append(&mut self, from: Option<usize>, nodes: usize, pieces: usize) {
        let first = self.pieces;
        for at in 0..nodes {
            let node = self.parent.len();
            let parent = if at > 0 { node - 1 } else { from.unwrap_or(node) };
            self.parent.push(parent);
            self.piece.push(first + at * pieces / nodes);
        }
        let before = from.map(|node| (self.piece[node], first));
        self.follows.extend(before);
        self.follows.extend((first + 1..first + pieces).map(|piece| (piece - 1, piece)));
        self.pieces += pieces;
    }

    /// Number of nodes.
    pub(super) fn len(&self) -> usize {
        self.parent.len()
    }

    /// Position on the time axis of grid steps.
    pub(super) fn position(&self, node: usize) -> usize {
        if node < self.trunk { node } else { self.trunk + (node - self.trunk) % (self.length - self.trunk) }
    }

    /// Time of a node.
    pub(super) fn time(&self, node: usize) -> f64 {
        self.position(node) as f64 * self.step
    }

    /// Lineage of a node behind the branch point.
    pub(super) fn lineage(&self, node: usize) -> Option<usize> {
        (self.lineages > 1 && node >= self.trunk).then(|| (node - self.trunk) / (self.length - self.trunk))
    }

    /// The node of `lineage` at a position of the time axis.
    pub(super) fn node(&self, lineage: usize, position: usize) -> usize {
        if position < self.trunk { position } else { position + lineage * (self.length - self.trunk) }
    }
}
