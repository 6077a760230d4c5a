//! What commands print for people.

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

/// What a file holds, and whether it is ready for velocity.
pub(super) fn description(file: &Description) -> String {
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
    lines.push(verdict(file));
    lines.join("\n")
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
        return "not ready for velocity: needs layers with spliced and unspliced counts (settings input.spliced and \
                input.unspliced name them; nascent import gets them out of what a pipeline wrote)"
            .to_owned();
    };
    let percent = 100.0 * share;
    let comment = match share {
        ..0.05 => "very few: velocity rests on little",
        0.05..0.1 => "few",
        0.1..0.5 => "as usual",
        _ => "many, as in nuclei: the model of splicing may not hold",
    };
    let taken = match &file.count_layers {
        Some([spliced, unspliced]) if spliced != "spliced" => {
            let lost = if file.layers.iter().any(|layer| layer.name == "ambiguous") {
                "; layer \"ambiguous\" is left out: nascent import counts it"
            } else {
                ""
            };
            format!("; taken are layers {spliced:?} and {unspliced:?}{lost}")
        }
        _ => String::new(),
    };
    format!("ready for velocity: {percent:.1} % of the molecules are unspliced ({comment}){taken}")
}
