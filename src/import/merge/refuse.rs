//! Merges that are refused: too few cells or genes were found, with the likely reason and the rule that would have matched.

use super::cells::{Fate, Group, Matched, share_if};
use super::names::{reverse_complement, split};
use super::offers::{Offer, examples};
use super::told::{SHOWN, listed};
use super::{MergeJob, genes, rule};
use crate::data::Frame;
use crate::error::{Error, Result};
use crate::import::choice::first_file;
use crate::import::source::Source;

/// Fails unless enough cells were found, with what would help.
pub(super) fn check_cells(job: &MergeJob, found: &Matched, offers: &[Offer]) -> Result<()> {
    let (n, matched) = (found.rows.len(), found.found());
    if matched > 0 && matched as f64 >= job.min_cells * n as f64 {
        return Ok(());
    }
    let share = 100.0 * matched as f64 / n.max(1) as f64;
    let (why, hint) = why_not(found, offers);
    let bound = 100.0 * job.min_cells;
    let problem = format!(
        "{matched} of {n} cells were found in the counts ({share:.1} %, at least {bound:.0} % are wanted): {why}"
    );
    Err(Error::input(&job.processed, "obs", problem, hint))
}

/// The likely reason, and the rule that would have matched.
fn why_not(found: &Matched, offers: &[Offer]) -> (String, String) {
    let groups = &found.groups;
    let ours: Vec<String> = groups.iter().take(SHOWN).map(|group| whole(group)).collect();
    let theirs: Vec<String> = offers.iter().take(SHOWN).flat_map(|offer| examples(offer, 1)).collect();
    let shown = format!("cells are called {} here and {} there", listed(&ours, SHOWN), listed(&theirs, SHOWN));
    let unclear = groups.iter().find_map(|group| match &group.fate {
        Fate::Unclear(several) => Some((group, several)),
        _ => None,
    });
    if let Some((group, several)) = unclear {
        let names: Vec<&str> = several.iter().map(|&at| offers[at].name.as_str()).collect();
        let would = rule(&group.example, &offers[several[0]].example);
        return (
            format!(
                "the barcodes of sample {:?} are in several samples of the counts, {}, and no name says whose they are (the rule \
                 {would} would match each)",
                group.label,
                names.join(", ")
            ),
            format!(
                "say it: --pair {}={}, or name a column of obs that has the names of the samples: --sample-column COLUMN",
                group.label, names[0]
            ),
        );
    }
    if 2 * found.unclear > found.rows.len() - found.found() {
        return (
            format!(
                "{} cells have a barcode that several cells have, here or there, and no column of obs tells their samples apart",
                found.unclear
            ),
            "give the counts of each sample, and a column of obs that names the sample of each cell: --sample-column COLUMN"
                .to_owned(),
        );
    }
    let turned = share_if(groups, offers, reverse_complement);
    if turned > 0.3 {
        return (
            format!("{shown}; {:.0} % of the barcodes are there as their reverse complement", 100.0 * turned),
            "count with the barcode list of the same strand, or turn the barcodes of one side".to_owned(),
        );
    }
    let cells = || groups.iter().flat_map(|group| &group.cells);
    let bases = groups.iter().any(|group| group.example.has_bases());
    let length = cells().next().map_or(0, |(_, barcode)| barcode.len());
    let other = offers.first().and_then(|offer| examples(offer, 1).pop()).map_or(0, |name| split(&name).barcode.len());
    if bases && length != other {
        return (
            format!("{shown}; barcodes have {length} letters here and {other} there"),
            "are these counts of the same library and chemistry?".to_owned(),
        );
    }
    if !bases {
        let tail = |name: &str| name.rsplit(['_', '-', '#', '|']).next().unwrap_or(name).to_owned();
        let without = share_if(groups, offers, tail);
        if without > 0.3 {
            return (
                format!("{shown}; without what stands before the last sign {:.0} % would match", 100.0 * without),
                "rename the cells of the processed file as they are called in the counts".to_owned(),
            );
        }
        return (
            format!("{shown}; the names here hold no barcode"),
            "name the cells by their barcodes, or keep these in a column of obs called barcode".to_owned(),
        );
    }
    let missing: Vec<&str> =
        groups.iter().filter(|group| group.fate == Fate::Nowhere).map(|group| group.label.as_str()).collect();
    if found.found() > 0 {
        return (
            format!("{shown}; nothing is there of {}", missing.join(", ")),
            "give the counts of all samples; or take what is there: --min-cells 0".to_owned(),
        );
    }
    (
        format!("{shown}; barcodes are of one length and strand, and differ"),
        "these are the counts of another sample, or another list of barcodes (whitelist) was used".to_owned(),
    )
}

fn whole(group: &Group) -> String {
    let barcode = group.cells.first().map_or("", |(_, barcode)| barcode);
    format!("{}{barcode}{}", group.example.before, group.example.after)
}

/// Fails unless enough genes were found, with what would help.
pub(super) fn check_genes(job: &MergeJob, var: &Frame, sources: &[Source], by_source: &[genes::Matched]) -> Result<()> {
    for (source, matched) in sources.iter().zip(by_source) {
        let (n, found) = (var.index.len(), matched.target.iter().flatten().count());
        if found > 0 && found as f64 >= job.min_genes * n as f64 {
            continue;
        }
        let (why, hint) = genes::why_not(var, &source.genes);
        let problem = format!(
            "{found} of {n} genes were found in {} ({:.1} %, at least {:.0} % are wanted): {why}",
            first_file(source).display(),
            100.0 * found as f64 / n.max(1) as f64,
            100.0 * job.min_genes
        );
        return Err(Error::input(&job.processed, "var", problem, hint));
    }
    Ok(())
}
