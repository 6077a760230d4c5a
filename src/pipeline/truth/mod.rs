//! A fit against what is known of its data: their order, their velocities, or that they have none.
//!
//! The truth file ([`Known`]) names the columns and layers in which the truth stands. Of what it names are measured:
//!
//! ```text
//! time        Spearman correlation of the fit's time (latent time, else velocity pseudotime) with the true one
//! velocity    as in `metrics`: per gene, per cell, per cell with genes scaled, signs; also over the velocity genes alone
//! flow        mean over cells of the cosine between their arrow and where true time grows among their neighbours
//! edges       mean over known steps A → B of the cross-boundary direction correctness
//! direction   right or wrong, by the sign of the first of these that is there: time, flow, edges
//! ```
//!
//! Arrows and states of flow and edges are in the principal components of the cells (`X_pca` of the file): the velocity graph of the velocity
//! genes, projected there as on any embedding. So they do not depend on a picture, nor on the units of a model.
//!
//! Source: `scores` and `metrics`; the choice is ours.

mod known;

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::{ArrayBase, ArrayView2};
use serde::Serialize;

pub use self::known::Known;
use self::known::Steps;
use super::graph::{candidates, neighbors, similarity};
use crate::config::Analysis;
use crate::data::quantities::{
    LATENT_TIME, LINEAGE_PROBABILITIES, MS, MU, SOFT_GRID, VELOCITY_CONFIDENCE, VELOCITY_GENES, VELOCITY_PSEUDOTIME,
};
use crate::data::{Column, GenesUsed, Silent};
use crate::error::Result;
use crate::graph::{self, States};
use crate::io::FittedFile;
use crate::metrics::{self, Evaluation, Evidence, velocity_scores};
use crate::pca::pca_dense;
use crate::scores::{self, Boundary, VelocityField, verdict};
use crate::stats::mean;

/// Components in which arrows are measured, at most: scanpy's and scVelo's usual number.
const N_COMPONENTS: usize = 30;

/// A fit against the truth, as printed by `nascent evaluate --truth FILE --json`; `null` where a score does not apply.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TruthScores {
    /// What is measured of any fit. Time and velocities are compared with what the truth file names, and nothing else.
    #[serde(flatten)]
    pub scores: Evaluation,
    /// What kind of data the truth file says they are.
    pub kind: Option<String>,
    /// Column of obs with the fit's time.
    pub time_from: Option<&'static str>,
    /// Genes that have a velocity in every cell, of those that are compared.
    pub n_genes: usize,
    /// Those among them that the model calls velocity genes.
    pub n_velocity_genes: usize,
    /// Median over velocity genes of the correlation with the true velocity.
    pub velocity_gene_pearson_of_velocity_genes: Option<f64>,
    /// The same with the momentary velocity, where the truth file names a mean one as well.
    pub velocity_gene_pearson_momentary: Option<f64>,
    /// Mean cosine of the cells' arrows with where true time grows.
    pub flow_along_time: Option<f64>,
    /// Mean over the known steps between groups of the cross-boundary direction correctness.
    pub edges: Option<f64>,
    /// The same of each step, `A > B`.
    pub edge_scores: BTreeMap<String, Option<f64>>,
    /// Whether time runs as in truth: `right` or `wrong`.
    pub direction: Option<&'static str>,
    /// The model's own verdict on what it wrote: whether it calls its direction determined.
    pub direction_determined: Option<bool>,
    /// Where its times start from the soft grid: whether that calls its direction determined.
    pub direction_determined_at_start: Option<bool>,
    /// There: mean cosine of the cells' velocities with where the fit's own time grows.
    pub direction_flow: Option<f64>,
    /// Its evidence, in standard errors over genes.
    pub direction_standard_errors: Option<f64>,
    /// Verdict of the genes' votes on the fit's time, of any model (`good`, `caution`, `bad`).
    pub direction_vote: Option<scores::Verdict>,
    /// Share of the voting genes that are for it.
    pub direction_vote_share: Option<f64>,
    /// Lineages that the model has found.
    pub lineages: Option<usize>,
    /// Groups in which known steps end.
    pub known_lineages: Option<usize>,
    /// Mean over cells of the velocity confidence, where the file has it.
    pub confidence: Option<f64>,
}

/// Evaluates the fitted file at `path` against the entry `entry` of the truth file, or that of the fitted file's own name.
///
/// # Errors
/// If a file cannot be read, the fitted one holds no fit, or something that the truth file names is not in it.
pub fn against(path: &Path, truth: &Path, entry: Option<&str>) -> Result<TruthScores> {
    let own = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let known = Known::read(truth, entry.unwrap_or(&own), entry.is_some())?;
    score(&FittedFile::open(path)?, &known)
}

/// Compares a fit with what is known of its data.
///
/// # Errors
/// As [`against`].
pub fn score(file: &FittedFile, known: &Known) -> Result<TruthScores> {
    let time = known.time(file)?;
    let [true_velocity, momentary] = known.velocities(file)?;
    let groups = known.groups(file)?;
    let chosen = known.genes(file)?;
    let mut evidence = file.evidence()?;
    let pseudotime = || Some((VELOCITY_PSEUDOTIME.key(), file.numbers(VELOCITY_PSEUDOTIME)?));
    let found = evidence.time.take().map(|time| (LATENT_TIME.key(), time)).or_else(pseudotime);
    let (time_from, found) = found.unzip();
    evidence.time = found;
    evidence.true_time = time.as_ref().filter(|(_, period)| period.is_none()).map(|(time, _)| time.clone());
    evidence.capture_time = None;
    evidence.true_velocity = true_velocity;

    let mut result = TruthScores {
        scores: scored(&evidence, chosen.as_deref())?,
        kind: known.kind.clone(),
        time_from,
        known_lineages: known.ends(),
        lineages: lineages(file)?,
        confidence: file.numbers(VELOCITY_CONFIDENCE).map(|values| mean(&finite(values))),
        ..TruthScores::default()
    };
    result.per_gene(file, &evidence, momentary.as_ref().map(ArrayBase::view), chosen.as_deref())?;
    result.verdicts(file, evidence.time.as_deref())?;
    drop(evidence);
    let edges = groups.filter(|(_, edges)| !edges.is_empty());
    // Where no gene has a velocity that counts, there are no arrows.
    let moves = known.genes_key.is_some() || result.n_velocity_genes > 0;
    if moves && (time.is_some() || edges.is_some()) {
        result.arrows(file, known, time.as_ref(), edges.as_ref())?;
    }
    let told = result.scores.time_spearman.or(result.flow_along_time).or(result.edges);
    result.direction = told.map(|told| if told > 0.0 { "right" } else { "wrong" });
    Ok(result)
}

/// The usual scores; those of velocities over the genes `chosen`.
fn scored(evidence: &Evidence, chosen: Option<&[usize]>) -> Result<Evaluation> {
    let mut scores = metrics::evaluate(evidence)?;
    if let (Some(genes), Some(velocity)) = (chosen, &evidence.velocity) {
        let cells: Vec<usize> = (0..velocity.nrows()).collect();
        let part = metrics::evaluate(&evidence.select(&cells, genes))?;
        scores = Evaluation {
            velocity_cell_cosine: part.velocity_cell_cosine,
            velocity_cell_cosine_scaled: part.velocity_cell_cosine_scaled,
            velocity_gene_pearson: part.velocity_gene_pearson,
            velocity_sign_agreement: part.velocity_sign_agreement,
            ..scores
        };
    }
    Ok(scores)
}

impl TruthScores {
    /// Counts genes, and compares the velocities of the velocity genes.
    fn per_gene(
        &mut self,
        file: &FittedFile,
        evidence: &Evidence,
        momentary: Option<ArrayView2<'_, f32>>,
        chosen: Option<&[usize]>,
    ) -> Result<()> {
        let Some(velocity) = &evidence.velocity else { return Ok(()) };
        let has_velocity = |gene: usize| velocity.column(gene).iter().all(|value| value.is_finite());
        let compared = |gene: &usize| chosen.is_none_or(|chosen| chosen.contains(gene)) && has_velocity(*gene);
        let all: Vec<usize> = (0..velocity.ncols()).filter(compared).collect();
        let marked = match file.column(VELOCITY_GENES).and_then(Column::truths) {
            Some(flags) => all.iter().copied().filter(|&gene| flags[gene]).collect(),
            None => all.clone(),
        };
        (self.n_genes, self.n_velocity_genes) = (all.len(), marked.len());
        let axis = ndarray::Axis(1);
        let velocity = velocity.select(axis, &marked);
        let pearson = |truth: ArrayView2<'_, f32>| -> Result<Option<f64>> {
            Ok(velocity_scores(velocity.view(), truth.select(axis, &marked).view())?.gene_pearson)
        };
        if let Some(truth) = &evidence.true_velocity {
            self.velocity_gene_pearson_of_velocity_genes = pearson(truth.view())?;
        }
        if let Some(truth) = momentary {
            self.velocity_gene_pearson_momentary = pearson(truth)?;
        }
        Ok(())
    }

    /// What the model and the genes say of the direction of the fit's time.
    fn verdicts(&mut self, file: &FittedFile, time: Option<&[f64]>) -> Result<()> {
        if let Some(record) = file.record(SOFT_GRID)? {
            let truth = |key: &str| record.get(key).and_then(serde_json::Value::as_bool);
            let number = |key: &str| record.get(key).and_then(serde_json::Value::as_f64);
            self.direction_determined = truth("direction_determined");
            self.direction_determined_at_start = truth("direction_determined_at_start");
            self.direction_flow = number("direction_flow");
            self.direction_standard_errors = number("direction_standard_errors");
        }
        if let (Some(time), Some(ms), Some(mu)) = (time, file.layer(MS)?, file.layer(MU)?) {
            let votes = scores::direction(ms.view(), mu.view(), time)?;
            self.direction_vote_share = Some(votes.share()).filter(|share| share.is_finite());
            self.direction_vote = Some(verdict::direction(&votes).0);
        }
        Ok(())
    }

    /// Flow and edges, of arrows in principal components.
    fn arrows(
        &mut self,
        file: &FittedFile,
        known: &Known,
        time: Option<&(Vec<f64>, Option<f64>)>,
        groups: Option<&Steps>,
    ) -> Result<()> {
        let settings = Analysis::default();
        let used = known.genes_key.clone().map_or(GenesUsed::VelocityGenes, GenesUsed::Column);
        let mut data = file.velocities(&used)?;
        let (around, _) = neighbors(&mut data, &mut Silent)?;
        let near = candidates(&settings.graph, &around, settings.seed)?;
        let states = if let Some(pca) = data.embedding("pca") {
            pca.clone()
        } else {
            let most = N_COMPONENTS.min(data.genes.len()).min(data.n_obs().saturating_sub(1));
            pca_dense(data.ms.view(), most.max(1))?.scores
        };
        let compared = States::compared_by(data.ms.view(), similarity(&settings.graph, &data.mode));
        let found = graph::velocity_graph(&compared, &near, data.velocity.view(), &mut Silent)?;
        let moving = [data.ms.view(), data.velocity.view()];
        let arrows = crate::embedding::arrows(&found, states.view(), moving, &settings.embedding.projection)?;
        let arrows = arrows.scaled().mapv(|value| value as f32);
        let none = vec![None; data.n_obs()];
        let field = VelocityField {
            states: states.view(),
            velocities: arrows.view(),
            candidates: &near,
            groups: groups.map_or(&none, |(groups, _)| &groups.of),
        };
        if let Some((time, period)) = time {
            self.flow_along_time = Some(mean(&finite(field.along(time, *period)))).filter(|flow| flow.is_finite());
        }
        if let Some((groups, edges)) = groups {
            let found = field.boundaries(edges, 0, settings.seed);
            let score = |edge: &Boundary| Some(edge.score).filter(|score| score.is_finite());
            let name = |group: u32| groups.names[group as usize].as_str();
            let words = |edge: &Boundary| format!("{} > {}", name(edge.from), name(edge.to));
            self.edge_scores = found.iter().map(|edge| (words(edge), score(edge))).collect();
            let scores: Vec<f64> = found.iter().filter_map(score).collect();
            self.edges = (!scores.is_empty()).then(|| mean(&scores));
        }
        Ok(())
    }

    /// The scores with names for people, in the order in which they are shown, but for those of any fit.
    #[must_use]
    pub fn named(&self) -> Vec<(String, String)> {
        let number = |value: Option<f64>| value.map(|value| format!("{value:10.4}"));
        let count = |value: Option<usize>| value.map(|value| format!("{value:10}"));
        let word = |value: Option<&str>| value.map(|value| format!("{value:>10}"));
        let [determined, of_start] = [self.direction_determined, self.direction_determined_at_start]
            .map(|verdict| verdict.map(|sure| if sure { "determined" } else { "open" }));
        let lines = [
            ("velocity per gene, the velocity genes alone", number(self.velocity_gene_pearson_of_velocity_genes)),
            ("the same with the momentary velocity", number(self.velocity_gene_pearson_momentary)),
            ("genes with velocities", count(Some(self.n_genes))),
            ("velocity genes", count(Some(self.n_velocity_genes))),
            ("flow along true time, mean cosine", number(self.flow_along_time)),
            ("known steps between groups, mean", number(self.edges)),
        ];
        let steps = self.edge_scores.iter().map(|(edge, score)| (format!("  {edge}"), number(*score)));
        let last = [
            ("direction of time", word(self.direction)),
            ("direction, the model's verdict", word(determined)),
            ("direction, verdict on the times it starts from", word(of_start)),
            ("direction, velocities along the fit's own time", number(self.direction_flow)),
            ("direction, standard errors of its evidence", number(self.direction_standard_errors)),
            ("direction, verdict of the genes' votes", word(self.direction_vote.map(scores::Verdict::word))),
            ("direction, share of the votes", number(self.direction_vote_share)),
            ("lineages found", count(self.lineages)),
            ("lineages known", count(self.known_lineages)),
            ("velocity confidence, mean", number(self.confidence)),
        ];
        let owned = |(name, value): (&str, Option<String>)| (name.to_owned(), value);
        let all = lines.into_iter().map(owned).chain(steps).chain(last.into_iter().map(owned));
        all.filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// Lineages that the fit has: as the soft grid says, else as its table of probabilities has columns.
fn lineages(file: &FittedFile) -> Result<Option<usize>> {
    let said = file.record(SOFT_GRID)?.and_then(|record| record.get("lineages")?.as_u64());
    if let Some(said) = said {
        return Ok(usize::try_from(said).ok());
    }
    let found = file.embeddings()?.into_iter().find(|(name, _)| name == LINEAGE_PROBABILITIES.key());
    Ok(found.map(|(_, probabilities)| probabilities.ncols()))
}

fn finite(mut values: Vec<f64>) -> Vec<f64> {
    values.retain(|value| value.is_finite());
    values
}
