//! Moments in the units of a model that infers the sizes of cells.

use ndarray::Array2;

use crate::data::Dataset;
use crate::error::Result;
use crate::preprocess;
use crate::sparse::Csr;

/// First moments in the units of a model of counts: counts over the sizes that it has inferred, smoothed as all moments are.
///
/// `Ms = W (S / n)`, with W the neighbours of `data` and n the sizes of the cells, of unspliced and of spliced counts. Divided by
/// totals instead, as other models have them, moments would not show that cells come to hold more molecules, and could not be
/// compared with abundances that do. Returns `[Mu, Ms]`.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) if the sizes are not those of the cells of `data`.
pub(super) fn sized_moments(data: &Dataset, sizes: [&[f64]; 2]) -> Result<[Array2<f32>; 2]> {
    let sized = |counts: &Csr<f32>, sizes: &[f64]| {
        counts.scale_rows(&sizes.iter().map(|size| size.recip()).collect::<Vec<f64>>())
    };
    let (mu, ms) = preprocess::moments::moments(
        &sized(&data.unspliced, sizes[0])?,
        &sized(&data.spliced, sizes[1])?,
        &data.neighbors,
    )?;
    Ok([mu, ms])
}
