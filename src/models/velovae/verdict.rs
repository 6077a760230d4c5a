//! Whether what the soft grid says of the direction of time holds for the fit that is written.
//!
//! The evidence is that of the start. Training moves the times and finds velocities of its own, and nothing forces these to run along
//! those: the first stage, from `u₀ = s₀ = 0` at one transcription rate for all of a cell's past, cannot have a velocity below 0 at all
//! (`du/dt` falls to 0 and `d²s/dt² = β du/dt` wherever `ds/dt = 0`), so that arrows lead to the cells with the most molecules, in whichever direction
//! that is. So the direction counts as determined only if
//!
//! ```text
//! the start's is,   the written times have the order of the start's,   the written velocities flow along the written times
//! ```
//!
//! Order: the Spearman correlation, by the bound of [`verdict::times`]. Flow: [`VelocityField::along`] in the velocity genes, by
//! [`verdict::flow`].

use std::fmt;

use ndarray::{ArrayView2, Axis};
use serde_json::Value;

use super::start::Start;
use crate::data::Reporter;
use crate::graph::Candidates;
use crate::neighbors::Neighbors;
use crate::scores::{VelocityField, Verdict, verdict};
use crate::stats::{count, mean, spearman};

/// What is written of the cells that the start was made from, in their order.
pub(super) struct Written<'a> {
    /// Posterior means of the times, `[n_obs]`.
    pub(super) time: &'a [f64],
    /// Where the cells are and where they go, `[n_obs, n_vars]`.
    pub(super) ms: ArrayView2<'a, f32>,
    pub(super) velocity: ArrayView2<'a, f32>,
    /// The genes whose velocities count, `[n_vars]`.
    pub(super) velocity_genes: &'a [bool],
    pub(super) neighbors: &'a Neighbors,
}

/// How far a fit goes the way of its start.
#[derive(Clone, Copy, Debug)]
struct Kept {
    /// Spearman correlation of the written times with those of the start.
    order: f64,
    /// Mean over cells of the flow along the written times; NaN where no gene has a velocity.
    flow: f64,
    /// Share of the cells whose flow is above 0.
    share: f64,
}

impl Kept {
    fn of(written: &Written, start: &[f64]) -> Self {
        let flows: Vec<f64> = flows(written).into_iter().filter(|flow| flow.is_finite()).collect();
        Self {
            order: spearman(written.time, start),
            flow: mean(&flows),
            share: count(flows.iter().filter(|&&flow| flow > 0.0).count()) / count(flows.len()),
        }
    }

    /// Whether what is true of the start's direction is true of the fit's.
    fn holds(self) -> bool {
        let ordered = matches!(verdict::times(self.order), Verdict::Good | Verdict::Caution);
        ordered && verdict::flow(self.flow, self.share) == Verdict::Good
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { order, flow, share } = self;
        if flow.is_nan() {
            return write!(f, "no cell has a velocity in the velocity genes");
        }
        write!(
            f,
            "mean cosine of the velocities with where the fit's time grows {flow:.2}, above 0 in {:.0} % of the cells; Spearman correlation \
             of its times with those of the start {order:.2}",
            100.0 * share
        )
    }
}

/// Flow of each cell along its written time; none where there is no velocity, or a cell has no neighbour.
fn flows(written: &Written) -> Vec<f64> {
    let genes: Vec<usize> = (0..written.velocity_genes.len()).filter(|&gene| written.velocity_genes[gene]).collect();
    let Ok(candidates) = Candidates::nearest(&written.neighbors.distances, usize::MAX) else { return Vec::new() };
    if genes.is_empty() {
        return Vec::new();
    }
    let [states, velocities] = [written.ms, written.velocity].map(|of| of.select(Axis(1), &genes));
    let groups = vec![None; written.time.len()];
    let field = VelocityField {
        states: states.view(),
        velocities: velocities.view(),
        candidates: &candidates,
        groups: &groups,
    };
    field.along(written.time, None)
}

/// What the soft grid says of the direction of time and of the shape, if the times start from it, with a verdict on what is `written`.
pub(super) fn evidence(start: &Start, written: &Written, reporter: &mut dyn Reporter) -> Option<Value> {
    let mut record = start.evidence.as_object()?.clone();
    let kept = Kept::of(written, &start.cell_time);
    let of_start = record.get("direction_determined").and_then(Value::as_bool) == Some(true);
    let determined = of_start && kept.holds();
    record.insert("direction_determined".to_owned(), determined.into());
    record.insert("direction_determined_at_start".to_owned(), of_start.into());
    let measured =
        [("direction_order", kept.order), ("direction_flow", kept.flow), ("direction_flow_share", kept.share)];
    // What could not be measured is left out.
    for (key, value) in measured.into_iter().filter(|(_, value)| value.is_finite()) {
        record.insert(key.to_owned(), value.into());
    }
    if of_start && !determined {
        reporter.warn(&format!(
            "direction of time: NOT DETERMINED for these velocities, though it is for the times that they start from: {kept}"
        ));
    }
    Some(record.into())
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array2};
    use serde_json::json;

    use super::*;
    use crate::data::Heard;
    use crate::models::velovae::Velovae;
    use crate::sparse::Csr;

    const CELLS: usize = 40;
    const GENES: usize = 4;

    /// Cells on a line, genes that rise along it and one that falls.
    struct Line {
        start: Start,
        ms: Array2<f32>,
        slopes: Array2<f32>,
        neighbors: Neighbors,
    }

    fn line() -> Line {
        let slope = |gene: usize| if gene == 0 { -1.0 } else { gene as f32 };
        let ms = Array2::from_shape_fn((CELLS, GENES), |(cell, gene)| 50.0 + slope(gene) * cell as f32);
        let slopes = Array2::from_shape_fn((CELLS, GENES), |(_, gene)| slope(gene));
        let apart = |i: usize, j: usize| if i != j && i.abs_diff(j) <= 2 { i.abs_diff(j) as f32 } else { 0.0 };
        let distances = Csr::from_dense(Array2::from_shape_fn((CELLS, CELLS), |(i, j)| apart(i, j)).view());
        let mut start = Start::flat(&Velovae::default(), CELLS, GENES);
        start.cell_time = times(1.0);
        start.evidence = json!({"direction_determined": true, "direction_nats": 100.0, "shape": "tree"});
        Line {
            start,
            ms,
            slopes,
            neighbors: Neighbors { connectivities: distances.clone(), distances, n_neighbors: 3 },
        }
    }

    fn times(sign: f64) -> Vec<f64> {
        (0..CELLS).map(|cell| 10.0 + sign * cell as f64 / 4.0).collect()
    }

    /// What is said of velocities `sign` times the line's slopes at `time`, in the first `genes` genes, and the warnings.
    fn told(line: &Line, sign: f32, time: &[f64], genes: usize) -> (Value, Vec<String>) {
        let velocity = &line.slopes * sign;
        let flags: Array1<bool> = (0..GENES).map(|gene| gene < genes).collect();
        let written = Written {
            time,
            ms: line.ms.view(),
            velocity: velocity.view(),
            velocity_genes: flags.as_slice().expect("in order"),
            neighbors: &line.neighbors,
        };
        let mut heard = Heard::default();
        let record = evidence(&line.start, &written, &mut heard).expect("the start has evidence");
        (record, heard.warned())
    }

    #[test]
    fn a_direction_stays_determined_where_the_velocities_run_along_the_times() {
        let (record, warnings) = told(&line(), 1.0, &times(1.0), GENES);
        assert_eq!(record["direction_determined"], true);
        assert!(record["direction_flow"].as_f64() > Some(0.999) && record["direction_flow_share"] == 1.0, "{record}");
        assert!(record["direction_nats"] == 100.0 && record["shape"] == "tree" && warnings.is_empty(), "{record}");
    }

    #[test]
    fn velocities_that_run_against_the_times_are_not_called_determined() {
        let line = line();
        let (record, warnings) = told(&line, -1.0, &times(1.0), GENES);
        assert!(record["direction_determined"] == false && record["direction_determined_at_start"] == true, "{record}");
        assert!(record["direction_flow"].as_f64() < Some(-0.999), "{record}");
        assert!(warnings.len() == 1 && warnings[0].contains("NOT DETERMINED"), "{warnings:?}");
        // Along times that have turned over themselves they do not count either.
        let (record, _) = told(&line, -1.0, &times(-1.0), GENES);
        assert!(record["direction_determined"] == false && record["direction_order"] == -1.0, "{record}");
        assert!(record["direction_flow"].as_f64() > Some(0.999), "{record}");
    }

    #[test]
    fn a_fit_without_velocities_is_not_called_determined_and_one_that_never_was_stays_so() {
        let mut line = line();
        let (record, warnings) = told(&line, 1.0, &times(1.0), 0);
        assert!(record["direction_determined"] == false && record.get("direction_flow").is_none(), "{record}");
        assert_eq!(warnings.len(), 1);
        line.start.evidence["direction_determined"] = false.into();
        let (record, warnings) = told(&line, 1.0, &times(1.0), GENES);
        assert!(
            record["direction_determined"] == false && record["direction_determined_at_start"] == false,
            "{record}"
        );
        assert!(warnings.is_empty());
    }
}
