//! The cells nearest to a place in the plane, exactly.
//!
//! Cells are sorted into the squares of a regular lattice. A window of squares around a place that holds enough cells bounds
//! the distance of the last one sought; all cells of the window with that radius are then compared.

/// Cells per square, roughly: few squares to visit, few cells to compare in vain.
const PER_SQUARE: usize = 8;

/// Cells in the plane, by squares.
pub(super) struct Lattice {
    /// Where each axis begins, how wide its squares are, and how many.
    axes: [Axis; 2],
    /// Cells of square (x, y) are `cells[starts[at]..starts[at + 1]]`, at = y n_x + x; rising within a square.
    starts: Vec<usize>,
    cells: Vec<usize>,
    points: Vec<[f64; 2]>,
}

#[derive(Clone, Copy)]
struct Axis {
    start: f64,
    width: f64,
    n: usize,
}

impl Axis {
    fn new(values: impl Iterator<Item = f64>, n: usize) -> Self {
        let (least, most) = super::range(values);
        let width = (most - least) / n as f64;
        // All cells in one line: any width will do.
        Self { start: least, width: if width > 0.0 { width } else { 1.0 }, n }
    }

    /// The square that `value` lies in, or the first or last.
    fn square(self, value: f64) -> usize {
        (((value - self.start) / self.width).max(0.0) as usize).min(self.n - 1)
    }

    /// Squares up to `radius` from `square`.
    fn window(self, square: usize, radius: usize) -> std::ops::RangeInclusive<usize> {
        square.saturating_sub(radius)..=square.saturating_add(radius).min(self.n - 1)
    }
}

impl Lattice {
    /// The cells at `points`, finite and at least one.
    pub(super) fn new(points: Vec<[f64; 2]>) -> Self {
        let per_axis = ((points.len() / PER_SQUARE) as f64).sqrt().ceil().max(1.0) as usize;
        let axes = [0, 1].map(|axis| Axis::new(points.iter().map(|point| point[axis]), per_axis));
        let square = |point: &[f64; 2]| axes[1].square(point[1]) * per_axis + axes[0].square(point[0]);
        let squares: Vec<usize> = points.iter().map(square).collect();
        let mut starts = vec![0; per_axis * per_axis + 1];
        for &square in &squares {
            starts[square + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut cells: Vec<usize> = (0..points.len()).collect();
        cells.sort_by_key(|&cell| squares[cell]);
        Self { axes, starts, cells, points }
    }

    /// The `k` cells nearest to `place` with their squared distances, `1 <= k <= n_obs`, in no order that means anything but
    /// always the same; of equally distant cells the first.
    pub(super) fn nearest(&self, place: [f64; 2], k: usize) -> Vec<(f64, usize)> {
        let home = [0, 1].map(|axis| self.axes[axis].square(place[axis]));
        let mut radius = 0;
        while self.count(home, radius) < k {
            radius += 1;
        }
        let mut found = self.within(home, radius, place);
        let last = found.select_nth_unstable_by(k - 1, compare).1.0;
        // Squares outside a window are at least its radius away; one more makes up for rounding at their borders.
        let reach = last.sqrt() / self.axes[0].width.min(self.axes[1].width);
        let wider = (reach.ceil() as usize).saturating_add(1);
        if wider > radius {
            found = self.within(home, wider, place);
            found.select_nth_unstable_by(k - 1, compare);
        }
        found.truncate(k);
        found
    }

    /// Number of cells in a window.
    fn count(&self, home: [usize; 2], radius: usize) -> usize {
        self.spans(home, radius).map(|span| span.len()).sum()
    }

    /// Cells in a window and their squared distances from `place`.
    fn within(&self, home: [usize; 2], radius: usize, place: [f64; 2]) -> Vec<(f64, usize)> {
        let distance = |cell: usize| {
            let [x, y] = self.points[cell];
            ((x - place[0]).powi(2) + (y - place[1]).powi(2), cell)
        };
        self.spans(home, radius).flat_map(|span| self.cells[span].iter().map(|&cell| distance(cell))).collect()
    }

    /// Where the cells of a window stand: the squares of one row follow each other.
    fn spans(&self, home: [usize; 2], radius: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
        let columns = self.axes[0].window(home[0], radius);
        let n = self.axes[0].n;
        self.axes[1]
            .window(home[1], radius)
            .map(move |row| self.starts[row * n + columns.start()]..self.starts[row * n + columns.end() + 1])
    }
}

/// Nearer first, then the first.
fn compare(a: &(f64, usize), b: &(f64, usize)) -> std::cmp::Ordering {
    a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;

    #[test]
    fn squares_find_the_cells_that_comparing_all_finds() {
        let mut rng = crate::data::stream(0, "nearest", 0);
        // Two clouds of very different width and some cells in one place.
        let mut points: Vec<[f64; 2]> = (0..500).map(|_| [rng.random::<f64>(), 0.01 * rng.random::<f64>()]).collect();
        points.extend((0..100).map(|_| [40.0 + rng.random::<f64>(), 7.0]));
        points.extend(vec![[0.5, 0.005]; 40]);
        let lattice = Lattice::new(points.clone());
        for k in [1, 7, 60, points.len()] {
            for place in [[-1.0, -1.0], [0.5, 0.005], [20.0, 3.0], [41.0, 7.0], [60.0, -9.0]] {
                let mut found = lattice.nearest(place, k);
                found.sort_by(compare);
                let distance =
                    |(cell, p): (usize, &[f64; 2])| ((p[0] - place[0]).powi(2) + (p[1] - place[1]).powi(2), cell);
                let mut wanted: Vec<_> = points.iter().enumerate().map(distance).collect();
                wanted.sort_by(compare);
                wanted.truncate(k);
                assert_eq!(found, wanted);
            }
        }
    }
}
