//! What the report says of cells and of the run.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use ndarray::Array2;
use serde_json::Value;

use super::ReportJob;
use super::trust::chosen_otherwise;
use crate::config::Analysis;
use crate::data::quantities::{
    CELL_CV, CELL_SIZE, DIRECTIONAL_COSINE_SIM_MEAN, END_POINTS, LATENT_TIME, LATENT_TIME_GENES, LATENT_TIME_STD,
    Numbers, PROJECTED, Quantity, ROOT_CELLS, TRUE_T, VELOCITY_COHERENCE, VELOCITY_CONFIDENCE,
    VELOCITY_CONFIDENCE_TRANSITION, VELOCITY_LENGTH, VELOCITY_PSEUDOTIME, X_VELOVAE, X_VELOVI,
};
use crate::data::{Column, GraphRecord, Groups, PROGRAM, embedding_of};
use crate::embedding::Flow;
use crate::error::Result;
use crate::io::FittedFile;
use crate::report::{Colouring, Content, Curve, Embedding, Scale, Values};

/// Columns of numbers that cells can be coloured by, in this order.
const NUMBERS: [Quantity<Numbers>; 14] = [
    LATENT_TIME,
    LATENT_TIME_GENES,
    VELOCITY_PSEUDOTIME,
    VELOCITY_CONFIDENCE,
    VELOCITY_CONFIDENCE_TRANSITION,
    VELOCITY_COHERENCE,
    VELOCITY_LENGTH,
    ROOT_CELLS,
    END_POINTS,
    LATENT_TIME_STD,
    DIRECTIONAL_COSINE_SIM_MEAN,
    CELL_SIZE,
    TRUE_T,
    CELL_CV,
];
/// A column with more labels names cells rather than groups.
const MOST_GROUPS: usize = 60;

/// All but what is taken from layers, and trust.
pub(super) fn cells(
    settings: &Analysis,
    job: &ReportJob,
    file: &FittedFile,
    graph: &GraphRecord,
    groups: Option<&(String, Groups)>,
) -> Result<Content> {
    let name = |name: Option<&OsStr>| name.map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let n_obs = file.obs().index.len();
    let mut summary = vec![
        ("cells".to_owned(), n_obs.to_string()),
        ("genes".to_owned(), file.var().index.len().to_string()),
        ("velocity genes".to_owned(), chosen_otherwise(file, graph).unwrap_or(graph.n_genes).to_string()),
        ("model".to_owned(), file.mode().to_owned()),
    ];
    summary.extend(file.fit().map(|fit| ("seed".to_owned(), fit.seed.to_string())));
    summary.push(("file".to_owned(), name(file.path().file_name())));
    let embeddings = file.embeddings()?;
    let latent = embeddings.iter().find(|(name, _)| [X_VELOVAE.key(), X_VELOVI.key()].contains(&name.as_str()));
    let fit = file.fit().map_or_else(String::new, |fit| format!("# the fit\n{}\n", as_toml(&fit.settings)));
    Ok(Content {
        title: name(file.path().file_stem()),
        version: file.fit().map_or_else(|| PROGRAM.to_owned(), |fit| fit.program.clone()),
        summary,
        settings: format!("{fit}# the velocity graph\n{}", as_toml(&graph.settings)),
        cells: file.obs().index.clone(),
        embedding: embedding(settings, &embeddings, &graph.basis)?,
        colourings: colourings(file, groups)?,
        time: time(file),
        latent: latent.map(|(_, state)| state.clone()),
        losses: losses(&job.run),
        ..Content::default()
    })
}

/// Settings as people write them.
fn as_toml(settings: &Value) -> String {
    toml::to_string(settings).unwrap_or_default()
}

/// The time that cells are ordered by: the model's, else what the graph has added.
fn time(file: &FittedFile) -> Option<Vec<f64>> {
    [LATENT_TIME, LATENT_TIME_GENES, VELOCITY_PSEUDOTIME].into_iter().find_map(|quantity| file.numbers(quantity))
}

fn embedding(settings: &Analysis, embeddings: &[(String, Array2<f32>)], basis: &str) -> Result<Option<Embedding>> {
    let named = |key: &str| embeddings.iter().find(|(name, _)| name == key).map(|(_, coordinates)| coordinates);
    let Some(points) = embedding_of(embeddings, basis).filter(|points| points.ncols() >= 2) else { return Ok(None) };
    let plane = ndarray::s![.., ..2];
    let points = points.slice(plane).to_owned();
    let arrows = named(&PROJECTED.named(basis)).map(|arrows| arrows.slice(plane).to_owned());
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
fn colourings(file: &FittedFile, groups: Option<&(String, Groups)>) -> Result<Vec<Colouring>> {
    let mut found = Vec::new();
    let labels = file.obs().columns.iter().filter_map(|(name, column)| match column {
        Column::Categorical { codes, categories, .. } => Some((name, codes, categories)),
        _ => None,
    });
    let first = groups.map(|(name, groups)| (name, &groups.of, &groups.names));
    let others = labels.filter(|(name, ..)| groups.is_none_or(|(first, _)| first != *name));
    for (name, codes, categories) in first.into_iter().chain(others) {
        if categories.len() > MOST_GROUPS || categories.len() < 2 {
            continue;
        }
        let colours = match file.uns(&format!("{name}_colors"))? {
            Some(Value::Array(colours)) => colours.iter().filter_map(|c| c.as_str().map(str::to_owned)).collect(),
            _ => Vec::new(),
        };
        let codes = codes.iter().map(|code| code.map_or(-1, |code| i32::try_from(code).unwrap_or(-1))).collect();
        let values = Values::Categorical { codes, categories: categories.clone(), colours };
        found.push(Colouring { name: name.clone(), values });
    }
    for quantity in NUMBERS {
        if let Some(values) = file.numbers(quantity) {
            let transition = quantity.key() == VELOCITY_CONFIDENCE_TRANSITION.key();
            let scale = if transition { Scale::Diverging } else { Scale::Sequential };
            found.push(Colouring { name: quantity.key().to_owned(), values: Values::Continuous { values, scale } });
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
        for (part, name) in [("train", "training"), ("validation", "validation")] {
            let value = |kind: &str| line.get(format!("{part}/{kind}")).and_then(Value::as_f64);
            // As `train` names what is minimised, which builds without networks do not have.
            let Some(loss) = ["loss", "error"].into_iter().find_map(value) else { continue };
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
