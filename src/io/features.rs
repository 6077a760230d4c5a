//! Cell Ranger's matrix in one file, `filtered_feature_bc_matrix.h5` or `raw_feature_bc_matrix.h5`: counts of features in barcodes.
//!
//! Layout, Cell Ranger 3 and later: a group `matrix` with `barcodes`, `features/{id,name,feature_type,genome}`, and a sparse matrix
//! `[features, barcodes]`, compressed by barcode: `data`, `indices`, `indptr`, `shape`.

use std::path::Path;

use hdf5::{Dataset, Group};

use super::frame::quoted;
use super::h5::{self, Node};
use super::molecules::{self, Feature};
use super::numbers;
use super::place::{At, Place};
use crate::data::Reporter;
use crate::error::Result;

/// Entries that are read at once.
const AT_ONCE: usize = 1 << 20;

/// An open matrix of Cell Ranger.
#[derive(Debug)]
pub struct FeatureMatrix {
    place: Place<'static>,
    barcodes: Vec<String>,
    features: Vec<Feature>,
    /// Where the entries of each barcode begin, and where the last ones end.
    offsets: Vec<usize>,
    indices: Dataset,
    data: Dataset,
}

impl FeatureMatrix {
    /// Opens a file; of its counts nothing is read yet.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if it lacks a part, or parts do not fit together.
    pub fn open(path: &Path) -> Result<Self> {
        let file = h5::open(path)?;
        let place = Place::root(path).child("matrix").into_owned();
        let Some(Node::Group(group)) = Node::open(&file, "matrix") else {
            return Err(
                place.error(format!("not found; at the top there are: {}", quoted(&h5::members(&file))), WRITTEN)
            );
        };
        let barcodes = words(&group, "barcodes", &place)?;
        let features = features(&group, &place)?;
        let [indices, data, offsets] = ["indices", "data", "indptr"].map(|name| dataset(&group, name, &place));
        let (indices, data, indptr) = (indices?, data?, place.child("indptr"));
        let offsets = h5::numbers::<u64>(&offsets?, &indptr)?;
        let shape = h5::numbers::<u64>(&dataset(&group, "shape", &place)?, &place.child("shape"))?;
        if shape != [features.len() as u64, barcodes.len() as u64] {
            let problem = format!("{shape:?}, with {} features and {} barcodes", features.len(), barcodes.len());
            return Err(place.child("shape").damaged(problem));
        }
        let fits = offsets.len() == barcodes.len() + 1
            && offsets[0] == 0
            && offsets.is_sorted()
            && offsets.last() == Some(&(data.size() as u64));
        if !fits || indices.size() != data.size() {
            let problem = format!(
                "{} offsets for {} barcodes, {} indices and {} counts do not fit together",
                offsets.len(),
                barcodes.len(),
                indices.size(),
                data.size()
            );
            return Err(indptr.damaged(problem));
        }
        let offsets = offsets.into_iter().map(|offset| offset as usize).collect();
        Ok(Self { place, barcodes, features, offsets, indices, data })
    }

    /// The barcodes, with their channels.
    #[must_use]
    pub fn barcodes(&self) -> &[String] {
        &self.barcodes
    }

    /// The features.
    #[must_use]
    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    /// Lets `visit` see every entry: position of the barcode and of the feature, count. Barcodes come one after the other.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if an entry is no count, or the file is damaged; and what `visit` gives.
    pub fn for_each(
        &self,
        reporter: &mut dyn Reporter,
        visit: &mut dyn FnMut(usize, u32, f32) -> Result<()>,
    ) -> Result<()> {
        let n = self.barcodes.len();
        let name = self.place.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let place = self.place.child("data");
        reporter.begin(&format!("reading {name}"), 0, n.max(1) as u64);
        let mut start = 0;
        while start < n {
            let end =
                self.offsets.partition_point(|&at| at <= self.offsets[start] + AT_ONCE).clamp(start + 2, n + 1) - 1;
            let range = self.offsets[start]..self.offsets[end];
            let features = numbers::indices(&self.indices, range.clone(), self.features.len(), &self.place)?;
            let counts = numbers::values(&self.data, range.clone(), &place)?;
            if let Some(wrong) = counts.iter().find(|count| !count.is_finite() || **count < 0.0) {
                return Err(
                    place.error(format!("a count was wanted, found {wrong}"), "give the raw counts of the pipeline")
                );
            }
            for barcode in start..end {
                for at in self.offsets[barcode] - range.start..self.offsets[barcode + 1] - range.start {
                    visit(barcode, features[at], counts[at])?;
                }
            }
            start = end;
            if start < n {
                reporter.advance(start as u64, "");
            }
        }
        reporter.end(&format!("read {name} ({} entries)", self.data.size()));
        Ok(())
    }
}

const WRITTEN: &str = "give filtered_feature_bc_matrix.h5 or raw_feature_bc_matrix.h5 as Cell Ranger 3 or later writes them, or the folder of \
                       the same name with matrix.mtx.gz";

fn dataset(group: &Group, name: &str, place: &Place) -> Result<Dataset> {
    match Node::open(group, name) {
        Some(Node::Dataset(dataset)) if dataset.ndim() == 1 => Ok(dataset),
        _ => Err(place.child(name).error(format!("not found; there are: {}", quoted(&h5::members(group))), WRITTEN)),
    }
}

fn words(group: &Group, name: &str, place: &Place) -> Result<Vec<String>> {
    let list = dataset(group, name, place)?;
    h5::texts(&list).at(&place.child(name))
}

fn features(matrix: &Group, place: &Place) -> Result<Vec<Feature>> {
    let place = place.child("features");
    let Some(Node::Group(group)) = Node::open(matrix, "features") else {
        return Err(place.error("not found", WRITTEN));
    };
    molecules::features(&place, |name| words(&group, name, &place))
}
