//! Streamlines: curves everywhere parallel to a field, spread evenly over it.
//!
//! Lines are integrated both ways from seeds, in arc length, by the pair of Bogacki and Shampine (1989) of orders 3 and 2
//! with a step that holds the error. A mask of square places keeps them apart: a line may enter a place that no line
//! is in, its own earlier part included, and ends before any other. Fast places are seeded first, so that the main currents
//! are drawn whole and the rest fills the gaps.

use crate::embedding::Flow;

/// A line along a field.
#[derive(Clone, Debug)]
pub struct Streamline {
    /// Its points in the coordinates of the field, downstream.
    pub points: Vec<[f64; 2]>,
    /// Speed of the field at each.
    pub speeds: Vec<f64>,
}

/// Where an arrowhead is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) at: [f64; 2],
    /// Unit vector downstream.
    pub(super) direction: [f64; 2],
    pub(super) speed: f64,
}

/// Places along the longer side of the field at density 1.
const PLACES: f64 = 32.0;
/// Shortest line that is kept, in places.
const SHORTEST: f64 = 2.4;
/// Longest half of a line, in places.
const LONGEST: f64 = 60.0;
/// Error of a step that is allowed, in places.
const TOLERANCE: f64 = 1e-3;
/// Longest step, in places: short enough for the mask to notice, and for corners to look round.
const STEP: f64 = 0.35;
/// Share of the largest speed below which nothing flows.
const STILL: f64 = 1e-3;

/// Evenly spread streamlines of a field; `density` 1 has about 32 places for lines along its longer side.
///
/// The result depends on the field alone. A field with fewer than two rows or columns, or without flow, has none.
#[must_use]
pub fn streamlines(flow: &Flow, density: f64) -> Vec<Streamline> {
    let Some(field) = Field::new(flow, density) else { return Vec::new() };
    let mut mask = Mask::new(&field);
    let mut lines = Vec::new();
    for seed in field.seeds(&mask) {
        if mask.is_free(seed)
            && let Some(line) = field.trace(seed, &mut mask)
        {
            lines.push(line);
        }
    }
    lines
}

impl Streamline {
    /// Arrowheads every `spacing` along the line, at least one, in its middle.
    pub(super) fn heads(&self, spacing: f64) -> Vec<Head> {
        let steps: Vec<f64> = self.points.windows(2).map(|pair| distance(pair[0], pair[1])).collect();
        let length: f64 = steps.iter().sum();
        let n = (length / spacing).round().max(1.0);
        let mut wanted = length / n / 2.0;
        let mut heads = Vec::new();
        let mut walked = 0.0;
        for (i, step) in steps.iter().enumerate() {
            walked += step;
            if walked >= wanted && *step > 0.0 {
                let [from, to] = [self.points[i], self.points[i + 1]];
                let direction = [(to[0] - from[0]) / step, (to[1] - from[1]) / step];
                heads.push(Head { at: to, direction, speed: self.speeds[i + 1] });
                wanted += length / n;
            }
        }
        heads
    }
}

/// A field that can be asked anywhere, with places as unit of length.
struct Field<'a> {
    flow: &'a Flow,
    /// Steps of the grid.
    step: [f64; 2],
    /// Side of a place, in the coordinates of the field.
    place: f64,
    /// Slower is still.
    still: f64,
}

impl<'a> Field<'a> {
    fn new(flow: &'a Flow, density: f64) -> Option<Self> {
        let side = |values: &[f64]| match values {
            [first, .., last] if last > first => Some((last - first, (last - first) / (values.len() - 1) as f64)),
            _ => None,
        };
        let [(width, dx), (height, dy)] = [side(&flow.x)?, side(&flow.y)?];
        let fastest =
            flow.u.iter().zip(&flow.v).map(|(u, v)| u.hypot(*v)).filter(|s| s.is_finite()).fold(0.0, f64::max);
        let usable = fastest > 0.0 && density > 0.0 && density.is_finite() && width.is_finite() && height.is_finite();
        usable.then(|| Self {
            flow,
            step: [dx, dy],
            place: width.max(height) / (PLACES * density),
            still: STILL * fastest,
        })
    }

    /// The field between its grid points, weighted by nearness; `None` outside, or where most of that weight has no flow.
    fn at(&self, point: [f64; 2]) -> Option<[f64; 2]> {
        let place = [(point[0] - self.flow.x[0]) / self.step[0], (point[1] - self.flow.y[0]) / self.step[1]];
        let (n_x, n_y) = (self.flow.x.len(), self.flow.y.len());
        let inside = place[0] >= 0.0 && place[1] >= 0.0 && place[0] <= (n_x - 1) as f64 && place[1] <= (n_y - 1) as f64;
        if !inside {
            return None;
        }
        let (i, j) = ((place[0] as usize).min(n_x - 2), (place[1] as usize).min(n_y - 2));
        let (a, b) = (place[0] - i as f64, place[1] - j as f64);
        let corners = [(0, 0, (1.0 - a) * (1.0 - b)), (1, 0, a * (1.0 - b)), (0, 1, (1.0 - a) * b), (1, 1, a * b)];
        let (mut sum, mut known) = ([0.0, 0.0], 0.0);
        for (right, up, weight) in corners {
            let (u, v) = (self.flow.u[[j + up, i + right]], self.flow.v[[j + up, i + right]]);
            if u.is_finite() && v.is_finite() {
                sum = [sum[0] + weight * u, sum[1] + weight * v];
                known += weight;
            }
        }
        (known > 0.5).then(|| [sum[0] / known, sum[1] / known])
    }

    /// Unit vector of the field; `None` where there is none.
    fn direction(&self, point: [f64; 2]) -> Option<[f64; 2]> {
        let [u, v] = self.at(point)?;
        let speed = u.hypot(v);
        (speed > self.still).then(|| [u / speed, v / speed])
    }

    /// Middles of the mask's places where something flows, the fastest first.
    fn seeds(&self, mask: &Mask) -> Vec<[f64; 2]> {
        let mut seeds: Vec<([f64; 2], f64)> = (0..mask.taken.len())
            .filter_map(|place| {
                let middle = mask.middle(place);
                let [u, v] = self.at(middle)?;
                let speed = u.hypot(v);
                (speed > self.still).then_some((middle, speed))
            })
            .collect();
        seeds.sort_by(|a, b| b.1.total_cmp(&a.1));
        seeds.into_iter().map(|(seed, _)| seed).collect()
    }

    /// The line through a seed, whose places it takes; `None`, taking nothing, if it would be short.
    fn trace(&self, seed: [f64; 2], mask: &mut Mask) -> Option<Streamline> {
        let mut taken = Vec::new();
        mask.take(seed, &mut taken);
        let (back, length_back) = self.follow(seed, -1.0, mask, &mut taken);
        let (ahead, length_ahead) = self.follow(seed, 1.0, mask, &mut taken);
        if length_back + length_ahead < SHORTEST {
            mask.release(&taken);
            return None;
        }
        let points: Vec<[f64; 2]> = back.into_iter().rev().chain([seed]).chain(ahead).collect();
        let speeds = points.iter().map(|&point| self.at(point).map_or(0.0, |[u, v]| u.hypot(v))).collect();
        Some(Streamline { points, speeds })
    }

    /// Points after `seed` in one sense (1 downstream, -1 upstream), and the length in places.
    fn follow(&self, seed: [f64; 2], sense: f64, mask: &mut Mask, taken: &mut Vec<usize>) -> (Vec<[f64; 2]>, f64) {
        let (mut point, mut points, mut length, mut step) = (seed, Vec::new(), 0.0, STEP / 4.0);
        while length < LONGEST {
            let Some((next, error)) = self.advance(point, sense * step * self.place) else {
                // The edge of the field: approach it, then stop.
                step /= 2.0;
                if step < 0.02 {
                    break;
                }
                continue;
            };
            let error = error / self.place;
            if error > TOLERANCE && step > 1e-3 {
                step *= (0.9 * (TOLERANCE / error).cbrt()).max(0.2);
                continue;
            }
            if !mask.enter(next, taken) {
                break;
            }
            length += step;
            points.push(next);
            point = next;
            step = (step * (0.9 * (TOLERANCE / error.max(1e-12)).cbrt()).min(2.0)).min(STEP);
        }
        (points, length)
    }

    /// One step of Bogacki and Shampine along the unit field, with an estimate of its error.
    fn advance(&self, p: [f64; 2], h: f64) -> Option<([f64; 2], f64)> {
        let along = |parts: &[([f64; 2], f64)]| {
            parts.iter().fold(p, |at, (k, weight)| [at[0] + h * weight * k[0], at[1] + h * weight * k[1]])
        };
        let k1 = self.direction(p)?;
        let k2 = self.direction(along(&[(k1, 0.5)]))?;
        let k3 = self.direction(along(&[(k2, 0.75)]))?;
        let next = along(&[(k1, 2.0 / 9.0), (k2, 1.0 / 3.0), (k3, 4.0 / 9.0)]);
        let k4 = self.direction(next)?;
        let rough = along(&[(k1, 7.0 / 24.0), (k2, 0.25), (k3, 1.0 / 3.0), (k4, 0.125)]);
        Some((next, distance(next, rough)))
    }
}

/// Which places have a line in them.
struct Mask {
    origin: [f64; 2],
    place: f64,
    columns: usize,
    taken: Vec<bool>,
}

impl Mask {
    fn new(field: &Field<'_>) -> Self {
        let span = |values: &[f64]| values[values.len() - 1] - values[0];
        let count = |span: f64| (span / field.place).ceil().max(1.0) as usize;
        let (columns, rows) = (count(span(&field.flow.x)), count(span(&field.flow.y)));
        Self {
            origin: [field.flow.x[0], field.flow.y[0]],
            place: field.place,
            columns,
            taken: vec![false; columns * rows],
        }
    }

    /// The place of a point inside the field.
    fn index(&self, point: [f64; 2]) -> usize {
        let along = |axis: usize| ((point[axis] - self.origin[axis]) / self.place).max(0.0) as usize;
        let rows = self.taken.len() / self.columns;
        along(1).min(rows - 1) * self.columns + along(0).min(self.columns - 1)
    }

    fn middle(&self, place: usize) -> [f64; 2] {
        let (row, column) = (place / self.columns, place % self.columns);
        [self.origin[0] + (column as f64 + 0.5) * self.place, self.origin[1] + (row as f64 + 0.5) * self.place]
    }

    fn is_free(&self, point: [f64; 2]) -> bool {
        !self.taken[self.index(point)]
    }

    fn take(&mut self, point: [f64; 2], taken: &mut Vec<usize>) {
        let place = self.index(point);
        self.taken[place] = true;
        taken.push(place);
    }

    /// Whether the line may go on to `point`; if so its place is taken. Staying in its last places is going on.
    fn enter(&mut self, point: [f64; 2], taken: &mut Vec<usize>) -> bool {
        let place = self.index(point);
        // The seed's place is left twice, once in each sense.
        if taken.last() == Some(&place) || taken.first() == Some(&place) && taken.len() < 3 {
            return true;
        }
        if self.taken[place] {
            // Crossing back over a corner of the place before is not meeting a line.
            return taken.len() >= 2 && taken[taken.len() - 2] == place && {
                taken.push(place);
                true
            };
        }
        self.taken[place] = true;
        taken.push(place);
        true
    }

    fn release(&mut self, taken: &[usize]) {
        for &place in taken {
            self.taken[place] = false;
        }
    }
}

fn distance(a: [f64; 2], b: [f64; 2]) -> f64 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}
