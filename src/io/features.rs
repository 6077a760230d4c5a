//! Cell Ranger's matrix in one file, `filtered_feature_bc_matrix.h5` or `raw_feature_bc_matrix.h5`: counts of features in barcodes.
//!
//! Layout, Cell Ranger 3 and later: a group `matrix` with `barcodes`, `features/{id,name,feature_type,genome}`, and a sparse matrix
//! `[features, barcodes]`, compressed by barcode: `data`, `indices`, `indptr`, `shape`. Before 3 (`filtered_gene_bc_matrices_h5.h5`),
//! each genome has a group of its own, called as it (`GRCh38`), with the same members, but `genes` (ids) and `gene_names` in place of
//! `features`. Of several genomes each lists the barcodes that it has: here they are one matrix, genes of one genome behind those of
//! the other.

use std::collections::HashMap;
use std::ops::Range;
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
/// The type of all features before Cell Ranger 3, in the words of later ones.
const GENES: &str = "Gene Expression";

/// An open matrix of Cell Ranger.
#[derive(Debug)]
pub struct FeatureMatrix {
    barcodes: Vec<String>,
    features: Vec<Feature>,
    parts: Vec<Part>,
}

/// A matrix of the file: the only one, or that of a genome.
#[derive(Debug)]
struct Part {
    place: Place<'static>,
    /// Position of each of its barcodes among all.
    barcodes: Vec<usize>,
    /// Positions of its features among all.
    features: Range<usize>,
    /// Where the entries of each barcode begin, and where the last ones end.
    offsets: Vec<usize>,
    indices: Dataset,
    data: Dataset,
}

/// The groups of genomes in a file of Cell Ranger before version 3; none in other files.
pub(super) fn genomes(root: &Group) -> Vec<String> {
    let is_genome = |name: &String| match Node::open(root, name) {
        Some(Node::Group(group)) => {
            ["barcodes", "genes", "gene_names", "data", "indices", "indptr"].iter().all(|part| group.link_exists(part))
        }
        _ => false,
    };
    h5::members(root).into_iter().filter(is_genome).collect()
}

impl FeatureMatrix {
    /// Opens a file; of its counts nothing is read yet.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if it lacks a part, parts do not fit together, or two genomes have genes of one id.
    pub fn open(path: &Path) -> Result<Self> {
        let file = h5::open(path)?;
        let mut all = Self { barcodes: Vec::new(), features: Vec::new(), parts: Vec::new() };
        if let Some(Node::Group(group)) = Node::open(&file, "matrix") {
            let place = Place::root(path).child("matrix").into_owned();
            let features = features(&group, &place)?;
            all.add(&group, place, features)?;
            return Ok(all);
        }
        let genomes = genomes(&file);
        if genomes.is_empty() {
            let found = format!("not found; at the top there are: {}", quoted(&h5::members(&file)));
            return Err(Place::root(path).child("matrix").error(found, WRITTEN));
        }
        for genome in genomes {
            let place = Place::root(path).child(&genome).into_owned();
            let Some(Node::Group(group)) = Node::open(&file, &genome) else {
                return Err(place.error("a group was wanted", WRITTEN));
            };
            let genes = genes(&group, &genome, &place)?;
            all.add(&group, place, genes)?;
        }
        all.one_gene_an_id(path)?;
        Ok(all)
    }

    /// Adds the matrix in `group`, whose features these are.
    fn add(&mut self, group: &Group, place: Place<'static>, features: Vec<Feature>) -> Result<()> {
        let barcodes = words(group, "barcodes", &place)?;
        let [indices, data, offsets] = ["indices", "data", "indptr"].map(|name| dataset(group, name, &place));
        let (indices, data, indptr) = (indices?, data?, place.child("indptr"));
        let offsets = h5::numbers::<u64>(&offsets?, &indptr)?;
        let shape = h5::numbers::<u64>(&dataset(group, "shape", &place)?, &place.child("shape"))?;
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
        let (first, barcodes) = (self.features.len(), self.positions(barcodes));
        self.features.extend(features);
        self.parts.push(Part {
            place,
            barcodes,
            features: first..self.features.len(),
            offsets: offsets.into_iter().map(|offset| offset as usize).collect(),
            indices,
            data,
        });
        Ok(())
    }

    /// Where the barcodes of another matrix are among all; those that are new are put behind them.
    fn positions(&mut self, barcodes: Vec<String>) -> Vec<usize> {
        if self.parts.is_empty() {
            self.barcodes = barcodes;
            return (0..self.barcodes.len()).collect();
        }
        let mut there: HashMap<String, usize> = self.barcodes.iter().cloned().zip(0..).collect();
        let mut place = |barcode: String| {
            *there.entry(barcode).or_insert_with_key(|barcode| {
                self.barcodes.push(barcode.clone());
                self.barcodes.len() - 1
            })
        };
        barcodes.into_iter().map(&mut place).collect()
    }

    /// Fails if genes of two genomes have one id, and so could not be told apart.
    fn one_gene_an_id(&self, path: &Path) -> Result<()> {
        let mut genomes: HashMap<&str, &str> = HashMap::new();
        for Feature { id, genome, .. } in &self.features {
            match genomes.insert(id, genome) {
                Some(before) if before != genome => {
                    return Err(Place::root(path).child(genome).child("genes").error(
                        format!("gene {id:?} is in {before:?}, too, and ids tell genes apart"),
                        "give the folder of one genome: filtered_gene_bc_matrices/GENOME",
                    ));
                }
                _ => {}
            }
        }
        Ok(())
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

    /// Lets `visit` see every entry: position of the barcode and of the feature, count. Barcodes come one after the other; of several
    /// genomes, all of the first come before those of the second.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if an entry is no count, or the file is damaged; and what `visit` gives.
    pub fn for_each(
        &self,
        reporter: &mut dyn Reporter,
        visit: &mut dyn FnMut(usize, u32, f32) -> Result<()>,
    ) -> Result<()> {
        self.parts.iter().try_for_each(|part| part.for_each(reporter, visit))
    }
}

impl Part {
    fn for_each(
        &self,
        reporter: &mut dyn Reporter,
        visit: &mut dyn FnMut(usize, u32, f32) -> Result<()>,
    ) -> Result<()> {
        let n = self.barcodes.len();
        let name = self.place.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let place = self.place.child("data");
        let first = self.features.start as u32;
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
                    visit(self.barcodes[barcode], first + features[at], counts[at])?;
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

const WRITTEN: &str = "give filtered_feature_bc_matrix.h5 or raw_feature_bc_matrix.h5 as Cell Ranger writes them (before version 3: \
                       filtered_gene_bc_matrices_h5.h5), or the folder of the same name with matrix.mtx";

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

/// The genes of a genome, in a file of Cell Ranger before version 3.
fn genes(group: &Group, genome: &str, place: &Place) -> Result<Vec<Feature>> {
    let (ids, names) = (words(group, "genes", place)?, words(group, "gene_names", place)?);
    if ids.len() != names.len() {
        return Err(place.child("gene_names").damaged(format!("{} names for {} genes", names.len(), ids.len())));
    }
    let gene = |(id, name)| Feature { id, name, kind: GENES.to_owned(), genome: genome.to_owned() };
    Ok(ids.into_iter().zip(names).map(gene).collect())
}
