//! What commands print for people.

use crate::import::{AMBIGUOUS, FEW, Inspection, MANY, Shares, VERY_FEW};
use crate::io::{ColumnDescription, Description, MatrixDescription};
use crate::metrics::Evaluation;
use crate::pipeline::TruthScores;

/// The scores as people read them; those that do not apply are left out.
pub(super) fn scores(scores: &Evaluation) -> String {
    let known = scores.named().into_iter().filter_map(|(name, score)| Some(format!("{name:58} {:10.4}", score?)));
    known.collect::<Vec<String>>().join("\n")
}

/// The scores of a fit beside what is known of its data.
pub(super) fn truth(found: &TruthScores) -> String {
    let more = found.named().into_iter().map(|(name, value)| format!("{name:58} {value}"));
    std::iter::once(scores(&found.scores)).chain(more).collect::<Vec<String>>().join("\n").trim_start().to_owned()
}

/// What lies at a path, whether it is ready for velocity, and how to get on.
pub(super) fn inspection(found: &Inspection) -> String {
    let mut lines = vec![found.what.clone()];
    lines.extend(found.description.iter().flat_map(description));
    lines.extend(found.samples.iter().map(sample));
    lines.extend(found.warnings.iter().map(|warning| format!("warning: {warning}")));
    lines.extend(found.next.iter().map(|next| format!("next: {next}")));
    // Last, where `tail -1` finds it.
    lines.push(match (&found.refused, &found.description) {
        (Some(refused), _) => format!("not ready for velocity: {refused}"),
        (None, Some(file)) if found.ready => verdict(file),
        _ => format!("not ready for velocity: missing {}", found.missing.join("; ")),
    });
    lines.join("\n")
}

fn sample(shares: &Shares) -> String {
    let ambiguous = shares.ambiguous.map_or_else(String::new, |share| format!(", {:.1} % ambiguous", 100.0 * share));
    format!(
        "  sample {:12} {} cells, {} molecules, {:.1} % unspliced{ambiguous}",
        shares.sample,
        shares.n_cells,
        shares.molecules,
        100.0 * shares.unspliced
    )
}

/// What a file holds.
fn description(file: &Description) -> Vec<String> {
    let version = file.encoding_version.as_deref().unwrap_or("before 0.8");
    let mut lines = vec![format!("{} cells x {} genes, AnnData layout {version}", file.n_obs, file.n_vars)];
    let matrices: Vec<&MatrixDescription> = file.x.iter().chain(&file.layers).collect();
    lines.extend(matrices.iter().map(|matrix| matrix_line(matrix)));
    let columns = |columns: &[ColumnDescription]| columns.iter().map(column).collect::<Vec<_>>().join(", ");
    let names = |names: &[String]| names.join(", ");
    let lists = [
        ("obs", columns(&file.obs)),
        ("var", columns(&file.var)),
        ("obsm", names(&file.obsm)),
        ("obsp", names(&file.obsp)),
        ("varm", names(&file.varm)),
        ("uns", names(&file.uns)),
        ("raw", if file.raw { "yes".to_owned() } else { String::new() }),
        ("model", file.model.clone().unwrap_or_default()),
    ];
    let known = lists.iter().filter(|(_, content)| !content.is_empty());
    lines.extend(known.map(|(name, content)| format!("  {name:12} {content}")));
    lines
}

fn matrix_line(matrix: &MatrixDescription) -> String {
    let what = match (matrix.n_not_finite, matrix.raw_counts) {
        (0, true) => "whole numbers".to_owned(),
        (0, false) if matrix.fractional_counts => "fractional counts".to_owned(),
        (0, false) => "not whole numbers".to_owned(),
        (count, _) => format!("{count} entries are not finite"),
    };
    let share = 100.0 * matrix.nonzero_share;
    format!("  {:12} {} {}, {share:.1} % nonzero, {what}", matrix.name, matrix.kind, matrix.dtype)
}

fn column(column: &ColumnDescription) -> String {
    match column.n_categories {
        Some(count) => format!("{} ({count} categories)", column.name),
        None => format!("{} ({})", column.name, column.kind),
    }
}

fn verdict(file: &Description) -> String {
    let Some(share) = file.unspliced_share else {
        return "not ready for velocity: the layers of counts are empty".to_owned();
    };
    let percent = 100.0 * share;
    let comment = match share {
        ..VERY_FEW => "very few: velocity rests on little",
        VERY_FEW..FEW => "few",
        FEW..MANY => "as usual",
        _ => "many, as in nuclei: the model of splicing may not hold",
    };
    let ambiguous = file.layers.iter().any(|layer| layer.name == AMBIGUOUS);
    let (mut molecules, mut taken) = ("molecules", String::new());
    match &file.count_layers {
        Some([spliced, unspliced]) if spliced != "spliced" => {
            let lost = if ambiguous { "; layer \"ambiguous\" is left out: nascent import counts it" } else { "" };
            taken = format!("; taken are layers {spliced:?} and {unspliced:?}{lost}");
        }
        _ if ambiguous => molecules = "molecules, the ambiguous ones left out,",
        _ => {}
    }
    format!("ready for velocity: {percent:.1} % of the {molecules} are unspliced ({comment}){taken}")
}
