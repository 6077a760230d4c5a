//! From a fitted file with a velocity graph to pictures and a page.
//!
//! | file | what |
//! |---|---|
//! | `content.rs` | cells: embedding, colours, time, state; losses and measurements |
//! | `genes.rs` | genes: abundances, fitted curves, statistics |
//! | `trust.rs` | questions to ask before believing an arrow, and their answers |

mod content;
mod genes;
mod trust;

use std::path::PathBuf;

use crate::config::Analysis;
use crate::data::{GenesUsed, Reporter};
use crate::error::{Error, Result};
use crate::io::{self, keys};
use crate::report::{self, Options, Written};

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
}

/// Writes `report.html` and the pictures.
///
/// # Errors
/// If the file cannot be read or has no velocity graph, or a file cannot be written.
pub fn report(settings: &Analysis, job: &ReportJob, reporter: &mut dyn Reporter) -> Result<Written> {
    let params = io::read_uns(&job.input, keys::VELOCITY_GRAPH_PARAMS)?.ok_or_else(|| {
        let hint = format!("run nascent graph {} first", job.input.display());
        Error::input(&job.input, "uns", "has no velocity graph made by this program", hint)
    })?;
    let data = io::read_velocities(&job.input, &genes_used(&params))?;
    let groups = super::graph::groups(&data.obs, &job.groups)?;
    let options = Options::default();
    let mut content = content::cells(settings, job, &data, &params, groups.as_ref())?;
    content.gene_cells = report::subsample(data.n_obs(), options.gene_cells);
    content.genes = genes::genes(&data, &content.gene_cells)?;
    trust::fill(&mut content, job, &data, &params, groups.as_ref())?;
    let written = report::write(&job.folder, &content, &options)?;
    reporter.say(&format!("{} pictures in {}", written.figures.len(), job.folder.join("figures").display()));
    Ok(written)
}

/// The genes that the graph was made with; of a list of names, which is not recorded, the velocity genes stand in.
fn genes_used(params: &serde_json::Value) -> GenesUsed {
    match params.get("genes").and_then(serde_json::Value::as_str) {
        Some("all") => GenesUsed::All,
        Some(column) if column != keys::VELOCITY_GENES && !column.ends_with(" named") => {
            GenesUsed::Column(column.to_owned())
        }
        _ => GenesUsed::VelocityGenes,
    }
}
