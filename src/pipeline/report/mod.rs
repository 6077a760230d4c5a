//! From a fitted file with a velocity graph to pictures and a page.
//!
//! | file | what |
//! |---|---|
//! | `content.rs` | cells: embedding, colours, time, state; losses |
//! | `layers.rs` | whole layers, each read once, and what is taken from them while they are in memory |
//! | `genes.rs` | genes: abundances, fitted curves, statistics |
//! | `sections.rs` | tables: samples beside each other, genes that fell out |
//! | `trust.rs` | questions to ask before believing an arrow, and their answers |

mod content;
mod genes;
mod layers;
mod sections;
mod trust;

use std::path::PathBuf;

use crate::config::Analysis;
use crate::data::Reporter;
use crate::error::{Error, Result};
use crate::io::FittedFile;
use crate::report::{self, Options, Written};

use self::trust::{Measured, Subject};
use super::samples::{self, Unnamed};

/// What is reported of which file.
#[derive(Clone, Debug)]
pub struct ReportJob {
    /// A fitted `.h5ad` file that `nascent graph` has been run on.
    pub input: PathBuf,
    /// The run's folder, for its losses; a folder that is not there is no harm.
    pub run: PathBuf,
    /// The folder to write to.
    pub folder: PathBuf,
    /// Column of obs with groups of cells; empty for a usual one.
    pub groups: String,
    /// Other fits of the same cells, to compare with.
    pub others: Vec<PathBuf>,
    /// Column of obs that tells samples apart; none for the one that the fit was told of, or a usual one.
    pub samples: Option<String>,
}

/// Writes `report.html` and the pictures.
///
/// # Errors
/// If the file cannot be read or has no velocity graph, or a file cannot be written.
pub fn report(settings: &Analysis, job: &ReportJob, reporter: &mut dyn Reporter) -> Result<Written> {
    let file = FittedFile::open(&job.input)?;
    let graph = file.graph().ok_or_else(|| {
        let hint = format!("run nascent graph {} first", job.input.display());
        Error::input(&job.input, "uns", "has no velocity graph that this program made of the fit in the file", hint)
    })?;
    let groups = super::graph::groups(file.obs(), &job.groups)?;
    let options = Options::default();
    let mut content = content::cells(settings, job, &file, graph, groups.as_ref())?;
    content.gene_cells = report::subsample(file.obs().index.len(), options.gene_cells);
    // Reads the counts, and lets go of them before layers are read.
    let fallen = sections::genes(&file, &settings.input);
    let found = layers::passed(&file, graph, &content)?;
    content.genes = found.genes;
    content.metrics = found.metrics;
    let asked = Subject { input: &settings.input, file: &file, graph, genes: &found.used, groups: groups.as_ref() };
    let samples = samples::column(&file, job.samples.as_deref(), Unnamed::Usual);
    let samples = samples.map(|column| samples::of_file(&file, &column, &graph.genes)).transpose();
    let samples = match samples {
        // Nobody asked for them.
        Err(error) if job.samples.is_none() => {
            reporter.warn(&format!("samples were not compared: {error}"));
            None
        }
        other => other?,
    };
    content.sections.extend(samples.as_ref().and_then(sections::samples));
    content.sections.push(fallen);
    trust::fill(&mut content, job, &asked, Measured { layers: found.answers, samples })?;
    drop(file);
    let written = report::write(&job.folder, &content, &options)?;
    reporter.say(&format!("{} pictures in {}", written.figures.len(), job.folder.join("figures").display()));
    Ok(written)
}
