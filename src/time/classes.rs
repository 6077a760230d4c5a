//! Which cells can reach which: connected components, communicating classes.

use crate::sparse::Csr;

/// A partition of cells.
pub(super) struct Partition {
    /// Part of each cell.
    pub(super) of: Vec<usize>,
    /// Number of parts.
    pub(super) n: usize,
}

impl Partition {
    /// Number of cells of each part.
    pub(super) fn sizes(&self) -> Vec<usize> {
        let mut sizes = vec![0; self.n];
        self.of.iter().for_each(|&part| sizes[part] += 1);
        sizes
    }

    /// The cells of `part`, rising.
    pub(super) fn cells(&self, part: usize) -> Vec<usize> {
        (0..self.of.len()).filter(|&i| self.of[i] == part).collect()
    }
}

/// Cells linked by entries that are not 0, whichever way they point; parts in the order of their first cells.
pub(super) fn components(graph: &Csr<f32>) -> Partition {
    let mut parent: Vec<usize> = (0..graph.n_rows).collect();
    for i in 0..graph.n_rows {
        let (cells, values) = graph.row(i);
        for (&j, _) in cells.iter().zip(values).filter(|entry| *entry.1 != 0.0) {
            let (a, b) = (top(&mut parent, i), top(&mut parent, j as usize));
            // The smaller number leads: the order of the parts follows.
            parent[a.max(b)] = a.min(b);
        }
    }
    let mut of = vec![0; graph.n_rows];
    let mut n = 0;
    for i in 0..graph.n_rows {
        let leader = top(&mut parent, i);
        if leader == i {
            of[i] = n;
            n += 1;
        } else {
            of[i] = of[leader];
        }
    }
    Partition { of, n }
}

fn top(parent: &mut [usize], mut i: usize) -> usize {
    while parent[i] != i {
        parent[i] = parent[parent[i]];
        i = parent[i];
    }
    i
}

/// Communicating classes: cells that can reach each other along entries that are not 0. A class comes after all classes that
/// can be reached from it.
///
/// Source: Tarjan 1972, with a stack of our own (a chain of cells would be as deep as it is long).
pub(super) fn classes(graph: &Csr<f32>) -> Partition {
    const NONE: usize = usize::MAX;
    let n = graph.n_rows;
    let mut of = vec![NONE; n];
    let (mut order, mut low) = (vec![NONE; n], vec![0; n]);
    let (mut path, mut open): (Vec<(usize, usize)>, Vec<usize>) = (Vec::new(), Vec::new());
    let (mut next, mut n_classes) = (0, 0);
    for start in 0..n {
        if order[start] != NONE {
            continue;
        }
        path.push((start, graph.indptr[start]));
        while let Some(&mut (cell, ref mut at)) = path.last_mut() {
            if order[cell] == NONE {
                (order[cell], low[cell]) = (next, next);
                next += 1;
                open.push(cell);
            }
            let unseen = (*at..graph.indptr[cell + 1]).find(|&entry| {
                let to = graph.indices[entry] as usize;
                if graph.data[entry] == 0.0 {
                    return false;
                }
                // A neighbour on the stack closes a circle.
                if order[to] != NONE && of[to] == NONE {
                    low[cell] = low[cell].min(order[to]);
                }
                order[to] == NONE
            });
            if let Some(entry) = unseen {
                *at = entry + 1;
                let to = graph.indices[entry] as usize;
                path.push((to, graph.indptr[to]));
                continue;
            }
            path.pop();
            if let Some(&(before, _)) = path.last() {
                low[before] = low[before].min(low[cell]);
            }
            if low[cell] == order[cell] {
                while let Some(member) = open.pop() {
                    of[member] = n_classes;
                    if member == cell {
                        break;
                    }
                }
                n_classes += 1;
            }
        }
    }
    Partition { of, n: n_classes }
}

#[cfg(test)]
mod tests {
    use super::{classes, components};
    use crate::sparse::Csr;

    #[test]
    fn circles_are_classes_and_come_after_what_they_lead_to() {
        let edges =
            [(0, 1, 1.0), (1, 2, 1.0), (2, 0, 1.0), (2, 3, 1.0), (3, 4, 1.0), (4, 3, 1.0), (5, 5, 1.0), (5, 0, 0.0)];
        let graph = Csr::from_triplets(6, 6, &edges).unwrap();
        let found = classes(&graph);
        assert_eq!(found.n, 3);
        assert_eq!(found.of[0], found.of[2]);
        assert_eq!(found.of[3], found.of[4]);
        assert!(found.of[3] < found.of[0]);
        assert_eq!(components(&graph).of, [0, 0, 0, 0, 0, 1]);
    }
}
