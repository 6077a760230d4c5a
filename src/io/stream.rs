//! Cells of an `.h5ad` file, read some at a time.
//!
//! Only the annotation and the offsets of the rows (8 bytes per cell and layer) stay in memory. Layers may be dense or
//! CSR, of any number type and compressed or not, in files of anndata 0.6 to 0.12.

use std::ops::Range;
use std::path::{Path, PathBuf};

use hdf5::File;

use super::matrix::Matrix;
use super::place::Place;
use super::read::{annotation, counts_layer};
use super::{InputConfig, check, h5};
use crate::data::{CellSource, Frame};
use crate::error::Result;
use crate::sparse::Csr;

/// Memory for decompressed chunks of one dataset that is still worth a block of cells.
const LARGEST_CACHE: usize = 256 << 20;

/// The counts of an open `.h5ad` file, from which cells are read as they are needed.
#[derive(Debug)]
pub struct CellStream {
    path: PathBuf,
    obs: Frame,
    var: Frame,
    layers: [Layer; 2],
    /// Nobody writes into the file while cells are still to be read.
    _held: std::fs::File,
}

/// One layer, and where its rows start.
#[derive(Debug)]
struct Layer {
    matrix: Matrix<'static>,
    offsets: Vec<usize>,
}

impl CellStream {
    /// Opens the file, and checks all of it but the entries of the layers, which are checked when they are read.
    ///
    /// # Errors
    /// As [`read()`](super::read()), and [`Error::Input`](crate::Error::Input) if a layer is stored column by column (CSC) or compressed in
    /// chunks so large that no part of it can be read alone.
    pub fn open(path: &Path, config: &InputConfig) -> Result<Self> {
        let place = Place::root(path);
        let file = h5::open(path)?;
        let held = h5::hold(path)?;
        let (obs, var) = annotation(&file, &place)?;
        let shape = [obs.index.len(), var.index.len()];
        let layers = layers(&file, config, shape, &place)?;
        refuse_columns(&layers, config)?;
        let cache = layers.iter().map(Matrix::bytes_across).max().unwrap_or_default();
        if cache > LARGEST_CACHE {
            return Err(place.child("layers").error(
                format!("the chunks are so large that a single cell takes {} MiB to read", cache >> 20),
                "write the file again with anndata's write_h5ad, without an option for chunks",
            ));
        }
        drop((layers, file));
        // A block of cells ends inside a chunk: with room for it in the cache, the next block finds it decompressed.
        let file = h5::open_caching(path, 2 * cache)?;
        let [unspliced, spliced] = self::layers(&file, config, shape, &place)?;
        let layers = [Layer::new(unspliced)?, Layer::new(spliced)?];
        Ok(Self { path: path.to_path_buf(), obs, var, layers, _held: held })
    }
}

/// The unspliced and the spliced layer.
fn layers<'a>(file: &File, config: &InputConfig, shape: [usize; 2], place: &Place<'a>) -> Result<[Matrix<'a>; 2]> {
    Ok([
        counts_layer(file, "unspliced", &config.unspliced, shape, place)?,
        counts_layer(file, "spliced", &config.spliced, shape, place)?,
    ])
}

fn refuse_columns(layers: &[Matrix; 2], config: &InputConfig) -> Result<()> {
    let layers = layers.iter().zip([&config.unspliced, &config.spliced]);
    let by_column: Vec<_> = layers.filter(|(layer, _)| layer.is_by_column()).collect();
    let Some((first, _)) = by_column.first() else {
        return Ok(());
    };
    let keys: Vec<String> = by_column.iter().map(|(_, name)| format!("'{name}'")).collect();
    Err(first.place().error(
        "stored column by column (CSC), so that cells cannot be read some at a time",
        format!(
            "convert it: python -c \"import anndata; a = anndata.read_h5ad('IN.h5ad'); \
             a.layers.update({{k: a.layers[k].tocsr() for k in [{}]}}); a.write_h5ad('OUT.h5ad')\"",
            keys.join(", ")
        ),
    ))
}

impl CellSource for CellStream {
    fn obs(&self) -> &Frame {
        &self.obs
    }

    fn var(&self) -> &Frame {
        &self.var
    }

    fn path(&self) -> &Path {
        &self.path
    }

    fn cells(&self, rows: Range<usize>) -> Result<[Csr<f32>; 2]> {
        self.require_cells(&rows)?;
        let read = |layer: &Layer| {
            let counts = layer.matrix.rows(&layer.offsets, rows.clone())?;
            check::counts(&counts, &self.obs.index[rows.clone()], &self.var.index, layer.matrix.place())?;
            Ok(counts)
        };
        let [unspliced, spliced] = &self.layers;
        Ok([read(unspliced)?, read(spliced)?])
    }

    fn entries(&self, row: usize) -> usize {
        let of = |layer: &Layer| match layer.offsets.get(row..=row + 1) {
            Some(&[start, end]) => end - start,
            _ => self.var.index.len(),
        };
        self.layers.iter().map(of).sum()
    }
}

impl Layer {
    fn new(matrix: Matrix) -> Result<Self> {
        Ok(Self { offsets: matrix.row_offsets()?, matrix: matrix.into_owned() })
    }
}
