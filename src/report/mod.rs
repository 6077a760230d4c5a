//! Pictures of a fit as SVG and PNG, and one page that holds them all and opens without a network.
//!
//! [`Content`] is what is said, in plain data. [`page`] makes the HTML, [`figures()`] makes the pictures, both in memory;
//! [`write()`] alone touches files:
//!
//! ```text
//! report.html            the page
//! figures/NAME.svg       each picture as vectors (more than 5,000 points: as one embedded raster)
//! figures/NAME.png       the same at 300 dots to the inch
//! ```
//!
//! Every picture depends on the content alone: letters come from an embedded face of type, orders and subsamples from
//! mixed positions, not from random numbers.

mod axes;
mod content;
mod figures;
mod html;
mod order;
mod palette;
mod payload;
mod png;
mod quantise;
mod streams;
mod svg;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

pub use crate::scores::Verdict;
pub use content::{Colouring, Content, Course, Curve, Embedding, Gene, Overall, Scale, Section, Table, Trust, Values};
pub use figures::{Arrows, expression_along_time, losses, on_embedding, over_time, phase_portrait, state_along_time};
pub use html::page;
pub use order::subsample;
pub use quantise::Quantised;
pub use streams::{Streamline, streamlines};
pub use svg::{Figure, escape};

use crate::data::Unfinished;
use crate::error::{Error, Result};

/// How much a report holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Bytes that the page may have. Genes are left out, the lowest rank first, until it fits.
    pub page_bytes: usize,
    /// Cells that the page draws; of more, a subsample.
    pub page_cells: usize,
    /// Cells with values of genes in the page; of more, a subsample.
    pub gene_cells: usize,
    /// Genes whose phase portraits are written as figures, the highest rank first.
    pub figure_genes: usize,
    /// Genes in the heat map.
    pub heatmap_genes: usize,
    /// Dots to the inch of the PNG.
    pub dpi: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            page_bytes: 20 << 20,
            page_cells: 60_000,
            gene_cells: 3_000,
            figure_genes: 6,
            heatmap_genes: 50,
            dpi: 300.0,
        }
    }
}

/// What [`write()`] has written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The page.
    pub page: PathBuf,
    /// Its size in bytes.
    pub page_bytes: usize,
    /// The pictures, SVG and PNG of each.
    pub figures: Vec<PathBuf>,
}

/// Writes the page and its figures into `folder`, which is made if it is not there. Files of the same names are replaced.
///
/// # Errors
/// Those of [`Content::check`]; [`Error::File`] where the system refuses; [`Error::Data`] if a raster cannot be made.
pub fn write(folder: &Path, content: &Content, options: &Options) -> Result<Written> {
    content.check()?;
    let pictures = folder.join("figures");
    fs::create_dir_all(&pictures).map_err(|reason| Error::file(&pictures, "create the folder", reason))?;
    let mut written = Written::default();
    for (name, figure) in figures(content, options)? {
        let files = [("svg", figure.to_svg().into_bytes()), ("png", figure.to_png(options.dpi)?)];
        for (kind, bytes) in files {
            let path = pictures.join(format!("{name}.{kind}"));
            put(&path, &bytes)?;
            written.figures.push(path);
        }
    }
    let text = page(content, options)?;
    written.page = folder.join("report.html");
    written.page_bytes = text.len();
    put(&written.page, text.as_bytes())?;
    Ok(written)
}

/// Writes `bytes` to a file beside `path` and renames it into its place, which a kill leaves as it was or whole.
///
/// # Errors
/// [`Error::File`] if the system refuses.
pub(crate) fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |reason: std::io::Error| Error::file(path, "write", reason);
    // A link is followed to the file that it names; what is no file, as a pipe, cannot be replaced.
    let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    if place.exists() && !place.is_file() {
        return fs::write(path, bytes).map_err(failed);
    }
    let folder = place.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".nascent-").suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As for any new file: what the umask leaves of this.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let (mut file, listed) = Unfinished::made(|| builder.tempfile_in(folder)).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    if let Ok(before) = fs::metadata(&place) {
        file.as_file().set_permissions(before.permissions()).map_err(failed)?;
    }
    file.as_file().sync_all().map_err(failed)?;
    file.persist(&place).map_err(|reason| failed(reason.error))?;
    drop(listed);
    Ok(())
}

/// All pictures that the content has data for, with the names of their files.
///
/// # Errors
/// Those of [`Content::check`]; [`Error::Data`] if the raster of many points cannot be made.
pub fn figures(content: &Content, options: &Options) -> Result<Vec<(String, Figure)>> {
    content.check()?;
    let mut figures = Vec::new();
    let plain = Colouring {
        name: String::new(),
        values: Values::Continuous { values: vec![f64::NAN; content.cells.len()], scale: Scale::Sequential },
    };
    let first = content.colourings.first().unwrap_or(&plain);
    if let Some(embedding) = &content.embedding {
        if embedding.flow.is_some() {
            figures.push(("stream".to_owned(), on_embedding(embedding, first, Arrows::Streams)?));
            figures.push(("grid".to_owned(), on_embedding(embedding, first, Arrows::Grid)?));
        }
        if embedding.arrows.is_some() {
            let over = content.colourings.iter().find(|c| c.name.contains("time")).unwrap_or(first);
            figures.push(("arrows".to_owned(), on_embedding(embedding, over, Arrows::Cells)?));
        }
        for colouring in &content.colourings {
            let name = format!("embedding_{}", file_name(&colouring.name));
            figures.push((name, on_embedding(embedding, colouring, Arrows::None)?));
        }
    }
    let groups = content.colourings.iter().find(|c| matches!(c.values, Values::Categorical { .. }));
    if let Some(figure) = expression_along_time(content, groups, options.heatmap_genes)? {
        figures.push(("heatmap".to_owned(), figure));
    }
    if let Some(figure) = state_along_time(content, first, 9)? {
        figures.push(("cell_state".to_owned(), figure));
    }
    if let Some(figure) = losses(&content.losses) {
        figures.push(("losses".to_owned(), figure));
    }
    for g in content.genes_by_rank().into_iter().take(options.figure_genes) {
        let gene = &content.genes[g];
        let name = file_name(&gene.name);
        figures.push((format!("phase_{name}"), phase_portrait(content, gene, first)?));
        if let Some(figure) = over_time(content, gene)? {
            figures.push((format!("time_{name}"), figure));
        }
    }
    distinct(&mut figures);
    Ok(figures)
}

/// A name as part of a file's name on any system.
fn file_name(name: &str) -> String {
    let part: String = name
        .chars()
        .take(60)
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' })
        .collect();
    if part.is_empty() { "unnamed".to_owned() } else { part }
}

/// Numbers names that stand twice, also where a system takes upper and lower case for the same.
fn distinct(figures: &mut [(String, Figure)]) {
    let mut seen = std::collections::BTreeSet::new();
    for (name, _) in figures {
        let base = name.clone();
        let mut n = 2;
        while !seen.insert(name.to_lowercase()) {
            *name = format!("{base}_{n}");
            n += 1;
        }
    }
}
