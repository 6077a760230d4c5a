//! Tables of the report.

use std::path::Path;

use crate::data::Silent;
use crate::io::{FittedFile, InputConfig};
use crate::pipeline::explain::{ExplainJob, Explained, Settings, Step, explain, is_streamed};
use crate::pipeline::samples::SamplesOfFit;
use crate::report::{Section, Table};

/// Genes that are listed at most: a line each, as long as a sentence.
const MOST_LISTED: usize = 400;

/// The samples beside each other.
pub(super) fn samples(found: &SamplesOfFit) -> Option<Section> {
    if found.rows.is_empty() {
        return None;
    }
    let heading = found.heading();
    let text = vec![format!("{heading}."), SamplesOfFit::LEGEND.to_owned(), found.corrected.clone()];
    Some(Section { title: "Samples beside each other".to_owned(), text, table: found.table(), folded: Vec::new() })
}

/// How many genes each filter took, and, where the list is short, what became of each.
pub(super) fn genes(file: &FittedFile, input: &InputConfig) -> Section {
    let mut section = Section { title: "Genes that fell out".to_owned(), ..Section::default() };
    // Counts that do not fit into memory are not read for a table.
    if is_streamed(file) {
        let why =
            "The fit was made of cells that were read block after block: what became of its genes is not counted here.";
        section.text = vec![format!("{why} {}", pointer(file.path(), &[]))];
        return section;
    }
    // What another program did is not in its file, wherever the counts are.
    let renamed = file.fit().is_some() && *input != InputConfig::default();
    let InputConfig { spliced, unspliced } = input;
    let changes = [("spliced", spliced), ("unspliced", unspliced)].map(|(key, name)| format!("input.{key}={name:?}"));
    let settings = Settings::OfFile(if renamed { changes.to_vec() } else { Vec::new() });
    let job = ExplainJob { input: file.path().to_path_buf(), genes: Vec::new(), settings };
    match explain(&job, &mut Silent) {
        Ok(found) => tell(&mut section, &found, file.path()),
        Err(error) => section.text = vec![format!("What became of the genes cannot be told: {error}.")],
    }
    section
}

fn tell(section: &mut Section, found: &Explained, path: &Path) {
    let listed = found.fallen(MOST_LISTED);
    let mut words =
        vec!["Genes that each filter takes, in this order; a gene counts for the first that takes it.".to_owned()];
    if !found.tells_preprocessing() {
        words.push(
            "What preprocessing took cannot be told: the file does not hold the genes or the settings that it began with.".to_owned(),
        );
    }
    words.push(pointer(path, &listed));
    section.text = vec![words.join(" ")];
    let row = |step: Step| {
        let stage = if step.by_fit { "fit" } else { "preprocessing" };
        vec![step.what, stage.to_owned(), step.taken.to_string(), step.left.to_string()]
    };
    section.table = Table {
        columns: ["wanted of a gene", "asked by", "left out", "left"].map(str::to_owned).into(),
        rows: found.steps().into_iter().map(row).collect(),
    };
    if !listed.is_empty() {
        let line = format!("{} of the genes that fell out, and why", listed.len());
        let rows = listed.into_iter().map(|(name, why)| vec![name.to_owned(), why]).collect();
        let columns = ["gene", "what became of it"].map(str::to_owned).into();
        section.folded = vec![(line, Table { columns, rows })];
    }
}

/// Where more is told. With an example of a gene, if one is at hand.
fn pointer(path: &Path, listed: &[(&str, String)]) -> String {
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let gene = listed.first().map_or("A,B", |(name, _)| *name);
    format!("nascent explain {name} --genes {gene} tells why of single genes, --csv FILE of all.")
}
