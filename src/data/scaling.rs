//! Moments on a scale from 0 to 1.

use ndarray::{Array1, Array2, Zip};

/// How the moments of a [`Dataset`](super::Dataset) were scaled.
#[derive(Clone, Debug, PartialEq)]
pub struct MomentScaling {
    /// That of `Mu`.
    pub mu: MinMax,
    /// That of `Ms`.
    pub ms: MinMax,
}

impl MomentScaling {
    /// That of the genes at `positions`.
    #[must_use]
    pub fn select(&self, positions: &[usize]) -> Self {
        Self { mu: self.mu.select(positions), ms: self.ms.select(positions) }
    }
}

/// `scaled = (value − min) / span` of each gene, `[n_vars]`.
///
/// Source: scikit-learn's `MinMaxScaler`, which also leaves the unit of a gene that does not vary as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct MinMax {
    /// The least value over cells.
    pub min: Array1<f64>,
    /// What the values are divided by: the largest less the least, or 1 if they are the same.
    pub span: Array1<f64>,
}

impl MinMax {
    /// The scaling that brings each gene of `values`, `[n_obs, n_vars]`, to \[0, 1\], and to 0 if it does not vary.
    #[must_use]
    pub fn of(values: &Array2<f32>) -> Self {
        let extreme = |start: f32, better: fn(f32, f32) -> f32| {
            let mut extremes = Array1::from_elem(values.ncols(), start);
            values
                .rows()
                .into_iter()
                .for_each(|row| extremes.zip_mut_with(&row, |most, &value| *most = better(*most, value)));
            extremes.mapv(f64::from)
        };
        let (min, max) = (extreme(f32::INFINITY, f32::min), extreme(f32::NEG_INFINITY, f32::max));
        let span = (&max - &min).mapv(|span| if span > 0.0 { span } else { 1.0 });
        Self { min, span }
    }

    /// The genes at `positions`.
    #[must_use]
    pub fn select(&self, positions: &[usize]) -> Self {
        let axis = ndarray::Axis(0);
        Self { min: self.min.select(axis, positions), span: self.span.select(axis, positions) }
    }

    /// Scales `values`, `[n_obs, n_vars]`.
    pub fn scale(&self, values: &mut Array2<f32>) {
        self.each(values, |value, min, span| (value - min) / span);
    }

    /// Brings scaled `values`, `[n_obs, n_vars]`, back to their own units: `min + span · scaled`.
    pub fn restore(&self, values: &mut Array2<f32>) {
        self.each(values, |value, min, span| min + span * value);
    }

    /// Brings differences or rates of change of scaled values, `[n_obs, n_vars]`, back to their own units: `span · scaled`.
    pub fn restore_differences(&self, values: &mut Array2<f32>) {
        self.each(values, |value, _, span| span * value);
    }

    /// One scaled value of `gene` in its own units.
    #[must_use]
    pub fn restored(&self, gene: usize, scaled: f64) -> f64 {
        self.min[gene] + self.span[gene] * scaled
    }

    /// Computed in f64, so that only the result is rounded.
    fn each(&self, values: &mut Array2<f32>, change: fn(f64, f64, f64) -> f64) {
        for row in values.rows_mut() {
            Zip::from(row).and(&self.min).and(&self.span).for_each(|value, &min, &span| {
                *value = change(f64::from(*value), min, span) as f32;
            });
        }
    }
}
