//! From a fit and the data that it was made from to what is written of them.

use super::{OutputConfig, neighbors_record};
use crate::data::quantities::{
    CONNECTIVITIES, DISTANCES, FIT_S, FIT_STD_S, FIT_STD_U, FIT_U, MS, MS_MIN, MS_RAW, MS_SPAN, MU, MU_MIN, MU_RAW,
    MU_SPAN, NEIGHBORS, VELOCITY_SPLIT, Values, X_PCA,
};
use crate::data::{
    Dataset, Fit, FitRecord, MomentScaling, MomentUnits, NeighborsRecord, ReconstructionRecord, Source, parts,
};
use crate::error::Result;
use crate::metrics::{self, Evidence};

/// What is written of a fit and of the data that it was made from: positions of the genes, quantities, and the record with what
/// was measured. Moments are the data's unless the model brings its own.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) if arrays of the fit do not run over the cells and genes of the data.
pub(super) fn values(
    data: Dataset,
    fit: Fit,
    mut record: FitRecord,
    output: &OutputConfig,
) -> Result<(Vec<usize>, Values, FitRecord)> {
    record.moments = fit.moments;
    record.neighbors = neighbors_of(&data, record.neighbors);
    let mut values = fit.into_values();
    if values.get(MS).is_none() {
        values.set(MS, data.ms);
        values.set(MU, data.mu);
    }
    record.reconstruction = reconstruction(&mut values, data.scaling.as_ref())?;
    if let Some(scaling) = data.scaling {
        record.moments = MomentUnits::Scaled;
        for (raw, scaled, of) in [(MS_RAW, MS, &scaling.ms), (MU_RAW, MU, &scaling.mu)] {
            if output.wants(raw.about()) {
                let mut restored = values.get(scaled).expect("set above").clone();
                of.restore(&mut restored);
                values.set(raw, restored);
            } else {
                record.left_out.push(raw.about().path(raw.key()));
            }
        }
        values.set(MS_MIN, scaling.ms.min);
        values.set(MS_SPAN, scaling.ms.span);
        values.set(MU_MIN, scaling.mu.min);
        values.set(MU_SPAN, scaling.mu.span);
    }
    if !data.neighbors_from_file {
        if !data.pca.is_empty() {
            values.set(X_PCA, data.pca);
        }
        values.set(NEIGHBORS, neighbors_record(&record.neighbors));
        values.set(CONNECTIVITIES, data.neighbors.connectivities);
        values.set(DISTANCES, data.neighbors.distances);
    }
    Ok((data.genes, values, record))
}

/// How well a fit reconstructs its moments, in counts.
fn reconstruction(values: &mut Values, scaling: Option<&MomentScaling>) -> Result<ReconstructionRecord> {
    let layers = [MU, MS, FIT_U, FIT_S];
    if layers.iter().any(|&layer| values.get(layer).is_none()) {
        return Ok(ReconstructionRecord::default());
    }
    // Lent, not copied: these are the largest arrays there are.
    let shared = layers.map(|layer| values.take(layer).expect("looked up above").into_shared());
    let [mu, ms, fit_u, fit_s] = &shared;
    let std = values.get(FIT_STD_U).cloned().zip(values.get(FIT_STD_S).cloned());
    let mut evidence = Evidence {
        moments: Some([mu.clone(), ms.clone()]),
        reconstruction: Some([fit_u.clone(), fit_s.clone()]),
        residual_std: std.map(|(u, s)| [u, s]),
        split: values.get(VELOCITY_SPLIT).map(|split| parts(&split.clone().into())),
        ..Evidence::default()
    };
    if let Some(scaling) = scaling {
        evidence.restore(scaling)?;
    }
    let found = metrics::reconstructed(&evidence);
    drop(evidence);
    for (layer, matrix) in layers.into_iter().zip(shared) {
        values.set(layer, matrix.into_owned());
    }
    found
}

/// Of `asked`, how they were sought.
fn neighbors_of(data: &Dataset, asked: NeighborsRecord) -> NeighborsRecord {
    NeighborsRecord {
        source: if data.neighbors_from_file { Source::File } else { Source::Computed },
        key: NEIGHBORS.key().to_owned(),
        n_neighbors: data.neighbors.n_neighbors,
        ..asked
    }
}
