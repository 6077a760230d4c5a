//! What the report says of cells and of the run.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::ReportJob;
use crate::config::Analysis;
use crate::data::{Column, Groups, Velocities};
use crate::embedding::Flow;
use crate::error::Result;
use crate::io::{self, keys};
use crate::metrics;
use crate::report::{Colouring, Content, Curve, Embedding, Scale, Table, Values};

/// Columns of numbers that cells can be coloured by, in this order.
const NUMBERS: [&str; 14] = [
    keys::LATENT_TIME,
    keys::LATENT_TIME_GENES,
    keys::VELOCITY_PSEUDOTIME,
    keys::VELOCITY_CONFIDENCE,
    keys::VELOCITY_CONFIDENCE_TRANSITION,
    keys::VELOCITY_COHERENCE,
    keys::VELOCITY_LENGTH,
    keys::ROOT_CELLS,
    keys::END_POINTS,
    keys::LATENT_TIME_STD,
    keys::DIRECTIONAL_COSINE_SIM_MEAN,
    keys::CELL_SIZE,
    keys::TRUE_T,
    keys::FIT_CV,
];
/// A column with more labels names cells rather than groups.
const MOST_GROUPS: usize = 60;

/// All but genes and trust.
pub(super) fn cells(
    settings: &Analysis,
    job: &ReportJob,
    data: &Velocities,
    params: &Value,
    groups: Option<&(String, Groups)>,
) -> Result<Content> {
    let fit = io::read_params(&data.path)?.unwrap_or_default();
    let text = |values: &serde_json::Map<String, Value>, key: &str| {
        values.get(key).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    };
    let name = data.path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let version = text(&fit, "program").unwrap_or_else(|| format!("nascent {}", env!("CARGO_PKG_VERSION")));
    let own = text(&fit, "config").map_or_else(String::new, |config| format!("# the fit\n{config}\n"));
    let graph = params.get("config").and_then(Value::as_str).unwrap_or_default();
    let mut summary = vec![
        ("cells".to_owned(), data.n_obs().to_string()),
        ("genes".to_owned(), data.var.index.len().to_string()),
        ("velocity genes".to_owned(), data.genes.len().to_string()),
        ("model".to_owned(), data.mode.clone()),
    ];
    summary.extend(text(&fit, "seed").map(|seed| ("seed".to_owned(), seed)));
    let file = data.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    summary.push(("file".to_owned(), file));
    Ok(Content {
        title: name,
        version,
        summary,
        settings: format!("{own}# the velocity graph\n{graph}"),
        cells: data.obs.index.clone(),
        embedding: embedding(settings, data, params)?,
        colourings: colourings(data, groups)?,
        time: time(data),
        latent: data.obsm.iter().find(|(name, _)| name.starts_with("X_velo")).map(|(_, state)| state.clone()),
        losses: losses(&job.run),
        metrics: measurements(&data.path)?,
        ..Content::default()
    })
}

/// The time that cells are ordered by: the model's, else what the graph has added.
fn time(data: &Velocities) -> Option<Vec<f64>> {
    let columns = [keys::LATENT_TIME, keys::LATENT_TIME_GENES, keys::VELOCITY_PSEUDOTIME];
    columns.iter().find_map(|column| data.obs.get(column).and_then(Column::to_numbers))
}

fn embedding(settings: &Analysis, data: &Velocities, params: &Value) -> Result<Option<Embedding>> {
    let Some(basis) = params.get("basis").and_then(Value::as_str) else { return Ok(None) };
    let Some(points) = data.embedding(basis).filter(|points| points.ncols() >= 2) else { return Ok(None) };
    let plane = ndarray::s![.., ..2];
    let points = points.slice(plane).to_owned();
    let key = keys::projected(basis);
    let arrows = data.obsm.iter().find(|(name, _)| *name == key).map(|(_, arrows)| arrows.slice(plane).to_owned());
    let flow = arrows
        .as_ref()
        .map(|arrows| Flow::new(points.view(), arrows.mapv(f64::from).view(), &settings.embedding.field));
    let basis = match basis {
        "umap" => "UMAP",
        "tsne" => "t-SNE",
        "pca" => "PCA",
        other => other,
    };
    Ok(Some(Embedding { basis: basis.to_owned(), points, arrows, flow: flow.transpose()? }))
}

/// Groups first, then other columns of labels, then numbers.
fn colourings(data: &Velocities, groups: Option<&(String, Groups)>) -> Result<Vec<Colouring>> {
    let mut found = Vec::new();
    let labels = data.obs.columns.iter().filter_map(|(name, column)| match column {
        Column::Categorical { codes, categories, .. } => Some((name, codes, categories)),
        _ => None,
    });
    let first = groups.map(|(name, groups)| (name, &groups.of, &groups.names));
    let others = labels.filter(|(name, ..)| groups.is_none_or(|(first, _)| first != *name));
    for (name, codes, categories) in first.into_iter().chain(others) {
        if categories.len() > MOST_GROUPS || categories.len() < 2 {
            continue;
        }
        let colours = match io::read_uns(&data.path, &format!("{name}_colors"))? {
            Some(Value::Array(colours)) => colours.iter().filter_map(|c| c.as_str().map(str::to_owned)).collect(),
            _ => Vec::new(),
        };
        let codes = codes.iter().map(|code| code.map_or(-1, |code| i32::try_from(code).unwrap_or(-1))).collect();
        let values = Values::Categorical { codes, categories: categories.clone(), colours };
        found.push(Colouring { name: name.clone(), values });
    }
    for name in NUMBERS {
        if let Some(values) = data.obs.get(name).and_then(Column::to_numbers) {
            let scale = if name == keys::VELOCITY_CONFIDENCE_TRANSITION { Scale::Diverging } else { Scale::Sequential };
            found.push(Colouring { name: name.to_owned(), values: Values::Continuous { values, scale } });
        }
    }
    Ok(found)
}

/// Losses from the log of a training; none if there was no training or its folder is gone.
fn losses(run: &Path) -> Vec<Curve> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
    let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let mut curves: Vec<Curve> = Vec::new();
    for line in &lines {
        let stage = line.get("stage").and_then(Value::as_str).unwrap_or_default();
        let Some(step) = line.get("step").and_then(Value::as_f64) else { continue };
        for (key, name) in [("train/loss", "training"), ("validation/loss", "validation")] {
            let Some(loss) = line.get(key).and_then(Value::as_f64) else { continue };
            let name = if stage.is_empty() { name.to_owned() } else { format!("{name}, {stage}") };
            let at = curves.iter().position(|curve| curve.name == name).unwrap_or_else(|| {
                curves.push(Curve { name, ..Curve::default() });
                curves.len() - 1
            });
            let curve = &mut curves[at];
            curve.steps.push(step);
            curve.values.push(loss);
        }
    }
    curves
}

fn measurements(path: &Path) -> Result<Table> {
    let scores = metrics::evaluate(&io::read_fitted(path)?.evidence())?;
    let rows =
        scores.named().into_iter().filter_map(|(name, score)| Some(vec![name.to_owned(), format!("{:.4}", score?)]));
    Ok(Table { columns: vec!["measure".to_owned(), "value".to_owned()], rows: rows.collect() })
}
