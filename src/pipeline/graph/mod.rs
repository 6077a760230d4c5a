//! What comes after a fit: the velocity graph, and what follows from it.
//!
//! | file | what |
//! |---|---|
//! | `space.rs` | where velocities are compared, and with which cells; transitions |
//! | `root.rs` | what the user means by a root and by groups |
//! | `times.rs` | roots, end points, pseudotime, latent time |
//! | `trust.rs` | scores of the velocities |

mod root;
mod space;
mod times;
mod trust;

pub(super) use root::groups;
pub(super) use space::{candidates, neighbors, similarity};

use std::fmt;
use std::path::PathBuf;

use cpu_time::ProcessTime;
use ndarray::Array2;

use self::trust::GeneSets;
use super::train::by_slot;
use crate::config::Analysis;
use crate::data::quantities::{
    CONNECTIVITIES, DISTANCES, END_POINTS, FIT_T, LATENT_TIME, LATENT_TIME_BY, LATENT_TIME_GENES, NEIGHBORS, PROJECTED,
    RANK_VELOCITY_GENES, ROOT_CELLS, T_FWD, VELOCITY_BOUNDARIES, VELOCITY_COHERENCE, VELOCITY_CONFIDENCE,
    VELOCITY_CONFIDENCE_TRANSITION, VELOCITY_GRAPH, VELOCITY_GRAPH_NEG, VELOCITY_LENGTH, VELOCITY_PSEUDOTIME,
    VELOCITY_RECONSTRUCTABILITY, VELOCITY_SCORE, VELOCITY_SELF_TRANSITION, Values, X_UMAP,
};
use crate::data::{GenesUsed, GraphRecord, Groups, LatentTimeRecord, Neighbors, Reporter, Source, Velocities};
use crate::embedding;
use crate::error::{Error, Result};
use crate::graph::{self, Candidates, States};
use crate::io::{self, FittedFile};
use crate::scores::{self, Sweep, VelocityField};

/// Embeddings that arrows are drawn on if none is named, the first that is there.
const USUAL_EMBEDDINGS: [&str; 7] = ["umap", "tsne", "fitsne", "draw_graph_fa", "draw_graph_fr", "phate", "diffmap"];

/// What is computed of which file.
#[derive(Clone, Debug)]
pub struct GraphJob {
    /// A fitted `.h5ad` file, of this program or another.
    pub input: PathBuf,
    /// The file to write; may be the input.
    pub output: PathBuf,
    /// Genes whose velocity is used.
    pub genes: GenesUsed,
    /// Where time starts: a cell, label, or column, see `--root`; empty to infer it.
    pub root: String,
    /// Column of obs with groups of cells; empty for a usual one.
    pub groups: String,
    /// Embedding, without `X_`; empty for a usual one.
    pub basis: String,
}

/// What `nascent graph` has to say.
#[derive(Clone, Debug)]
pub struct GraphSummary {
    n_obs: usize,
    n_genes: usize,
    n_similarities: usize,
    /// CPU seconds of the graph alone.
    seconds: f64,
    basis: String,
    confidence: f64,
    root: String,
    latent: Option<LatentTimeRecord>,
    agreement: Option<f64>,
    first: Sweep,
    named: Option<Sweep>,
    output: PathBuf,
}

impl fmt::Display for GraphSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { n_obs, n_genes, n_similarities, seconds, .. } = self;
        writeln!(
            f,
            "velocity graph of {n_obs} cells in {n_genes} genes: {n_similarities} similarities in {seconds:.2} CPU seconds"
        )?;
        writeln!(f, "  arrows on    X_{}", self.basis)?;
        writeln!(f, "  root         {}", self.root)?;
        writeln!(
            f,
            "  confidence   {:.2}, median over cells; neighbours share their data, so it can be high for wrong velocities",
            self.confidence
        )?;
        if let Some(LatentTimeRecord { key, method }) = &self.latent {
            writeln!(f, "  latent time  obs[{key:?}], by the method {method}")?;
        }
        if let Some(agreement) = self.agreement {
            writeln!(f, "  Spearman correlation of latent time and velocity pseudotime {agreement:.2}")?;
        }
        let sets = [("first", Some(&self.first)), ("named", self.named.as_ref())];
        for (which, sweep) in sets.into_iter().filter_map(|(which, sweep)| Some((which, sweep?))) {
            for (at, k) in sweep.k.iter().enumerate() {
                let (r, [low, high]) = (sweep.r[at].r, sweep.null_range[at]);
                writeln!(
                    f,
                    "  reconstructability of the {which} {k:<4} genes {r:.2}, of as many random ones {low:.2}–{high:.2}"
                )?;
            }
        }
        write!(f, "  written to   {}", self.output.display())
    }
}

/// Computes the velocity graph of a fitted file and what follows from it, and adds it to the file.
///
/// # Errors
/// Whatever stopped it; the output is then as it was before.
pub fn graph(settings: &Analysis, job: &GraphJob, reporter: &mut dyn Reporter) -> Result<GraphSummary> {
    io::check_writable(&job.output)?;
    let read = io::Stamp::of(&job.input)?;
    let file = FittedFile::open(&job.input)?;
    let mut data = file.velocities(&job.genes)?;
    if data.unusable > 0 {
        reporter.say(&format!("{} genes were left out: some cells have no velocity in them", data.unusable));
    }
    let groups = groups(&data.obs, &job.groups)?;
    let root = (!job.root.is_empty()).then(|| root::cells(&data.obs, &job.root, groups.as_ref())).transpose()?;
    let edges = trust::edges(&settings.scores, groups.as_ref())?;
    let asked = GeneSets::new(&settings.scores, &data)?;
    let (around, neighbors) = space::neighbors(&mut data, reporter)?;
    let (basis, coordinates, drawn) = embedded(settings, job, &data, (&around, &file.obsm_keys()), reporter)?;

    let candidates = space::candidates(&settings.graph, &around, settings.seed)?;
    let similarity = space::similarity(&settings.graph, &data.mode);
    let [x, v] = space::coordinates(&settings.graph, &data)?;
    let begun = ProcessTime::now();
    let found = graph::velocity_graph(&States::compared_by(x.view(), similarity), &candidates, v.view(), reporter)?;
    let seconds = begun.elapsed().as_secs_f64();
    space::holds_information(&found, &data, reporter)?;
    drop([x, v]);
    let confidences: Vec<f32> = (0..found.n_rows).map(|i| graph::confidence(found.row(i).1)).collect();
    let own = graph::self_transitions(&confidences);
    let moving = [data.ms.view(), data.velocity.view()];
    let arrows = embedding::arrows(&found, coordinates.view(), moving, &settings.embedding.projection)?;
    let arrows = arrows.scaled().mapv(|value| value as f32);
    let fit_t = file.layer(FIT_T)?;
    file.release(FIT_T);
    let fit_t_view = fit_t.as_ref().map(ndarray::ArcArray2::view);
    let times = times::times(&settings.time, &data, fit_t_view, (&found, &around), root.as_ref(), reporter)?;
    drop(fit_t);

    let direct = Candidates::nearest(&around.distances, usize::MAX)?;
    let velocity = data.velocity.view();
    let confidence = scores::confidence(velocity, &direct)?;
    let compared = (&found, &candidates, similarity);
    let sets = trust::sets(&settings.scores, &asked, &data, compared, settings.seed)?;
    let summary = GraphSummary {
        n_obs: data.n_obs(),
        n_genes: data.genes.len(),
        n_similarities: found.nnz(),
        seconds,
        basis: basis.clone(),
        confidence: crate::stats::median(&confidence),
        root: times.root.0.in_words(times.root.1),
        latent: times.latent.as_ref().map(|(record, _)| record.clone()),
        agreement: times.agreement,
        first: sets.first.clone(),
        named: sets.named.clone(),
        output: job.output.clone(),
    };
    let record = GraphRecord {
        of: file.stamp(),
        groups: groups.as_ref().map_or_else(String::new, |(column, _)| column.clone()),
        neighbors,
        basis: basis.clone(),
        ..record(settings, job, &data, &times)
    };
    // Last: times make large matrices of their own.
    let transitions = space::transitions(&settings.graph, &found, &own, &candidates, coordinates.view())?;
    let (towards, away) = graph::split(&found);
    drop(found);
    let following = scores::transition_confidence(data.ms.view(), velocity, &transitions)?;
    let mut values = Values::default();
    values.set(VELOCITY_LENGTH, scores::length(velocity).into());
    values.set(VELOCITY_CONFIDENCE, confidence.into());
    values.set(VELOCITY_CONFIDENCE_TRANSITION, following.into());
    values.set(VELOCITY_SELF_TRANSITION, own.iter().map(|&s| f64::from(s)).collect());
    values.set(VELOCITY_GRAPH, towards);
    values.set(VELOCITY_GRAPH_NEG, away);
    values.set(VELOCITY_RECONSTRUCTABILITY, trust::sets_record(&sets));
    add_times(&mut values, times);
    if let Some((column, groups)) = &groups {
        let field = VelocityField {
            states: coordinates.view(),
            velocities: arrows.view(),
            candidates: &direct,
            groups: &groups.of,
        };
        add_groups(&mut values, settings, &data, (column, groups), (field, &edges));
    }
    values.set_named(PROJECTED, PROJECTED.named(&basis), arrows);
    if drawn {
        values.set(X_UMAP, coordinates);
    }
    if record.neighbors.source == Source::Computed {
        values.set(NEIGHBORS, io::neighbors_record(&record.neighbors));
        values.set(CONNECTIVITIES, around.connectivities);
        values.set(DISTANCES, around.distances);
    }
    if settings.graph.transitions.write {
        values.set(T_FWD, transitions);
    }
    values.check_finite()?.iter().for_each(|warning| reporter.warn(warning));
    let genes = std::mem::take(&mut data.genes);
    drop((file, data));
    let written = io::write_graph(&job.output, &read, &genes, values, record)?;
    if !written.removed.is_empty() {
        reporter.say(&format!("removed, as results of an earlier graph: {}", by_slot(&written.removed)));
    }
    Ok(summary)
}

/// What groups of cells say among what is written: known directions between them in the `field` on the embedding, coherence
/// within them, and the genes whose velocity is higher in one.
fn add_groups(
    values: &mut Values,
    settings: &Analysis,
    data: &Velocities,
    (column, groups): (&str, &Groups),
    (field, edges): (VelocityField<'_>, &[(u32, u32)]),
) {
    let boundaries = field.boundaries(edges, settings.scores.shuffles, settings.seed);
    if let Some(boundaries) = trust::boundaries_record(&boundaries, groups) {
        values.set(VELOCITY_BOUNDARIES, boundaries);
    }
    let in_genes = VelocityField { states: data.ms.view(), velocities: data.velocity.view(), ..field };
    values.set(VELOCITY_COHERENCE, in_genes.coherence().into());
    let names: Vec<&str> = data.genes.iter().map(|&gene| data.var.index[gene].as_str()).collect();
    let (ranked, largest) = trust::ranking(data.velocity.view(), &names, (column, groups), settings.scores.top_genes);
    values.set(RANK_VELOCITY_GENES, ranked);
    values.set(VELOCITY_SCORE, largest.into());
}

/// Roots, ends and times among what is written.
fn add_times(values: &mut Values, times: times::Times) {
    values.set(ROOT_CELLS, times.roots.into());
    values.set(END_POINTS, times.ends.into());
    values.set(VELOCITY_PSEUDOTIME, times.pseudotime.into());
    let Some((LatentTimeRecord { key, .. }, latent)) = times.latent else { return };
    // One of three names, and three entries in the list.
    if key == LATENT_TIME.key() {
        values.set(LATENT_TIME, latent.into());
    } else if key == LATENT_TIME_GENES.key() {
        values.set(LATENT_TIME_GENES, latent.into());
    } else {
        values.set_named(LATENT_TIME_BY, key, latent.into());
    }
}

/// The embedding to draw on: its name, coordinates, and whether they were computed here. `present` are all names in obsm.
fn embedded(
    settings: &Analysis,
    job: &GraphJob,
    data: &Velocities,
    (around, present): (&Neighbors, &[String]),
    reporter: &mut dyn Reporter,
) -> Result<(String, Array2<f32>, bool)> {
    if !job.basis.is_empty() {
        return named_basis(&job.basis, data, present);
    }
    let usual = USUAL_EMBEDDINGS.into_iter().find_map(|basis| {
        let of_r = basis.to_uppercase();
        let found = |name: &str| data.embedding(name).map(|found| (name.to_owned(), found.clone(), false));
        found(basis).or_else(|| found(&of_r))
    });
    if let Some(found) = usual {
        return Ok(found);
    }
    if present.iter().any(|key| key == X_UMAP.key()) && !data.obsm.iter().any(|(name, _)| name == X_UMAP.key()) {
        return Err(Error::Data {
            problem: format!("obsm[{:?}] of the file cannot be read as coordinates, and is not replaced", X_UMAP.key()),
            hint: "name another embedding with --basis, or remove it in Python: del adata.obsm['X_umap']".to_owned(),
        });
    }
    let start = match data.embedding("pca") {
        Some(pca) if pca.ncols() > 1 => pca.slice(ndarray::s![.., ..2]).to_owned(),
        _ => crate::pca::pca_dense(data.ms.view(), 2.min(data.genes.len()))?.scores,
    };
    reporter.say("no embedding in the file: UMAP computed");
    let found = embedding::umap(&around.connectivities, start.view(), &settings.embedding.umap, settings.seed)?;
    Ok(("umap".to_owned(), found, true))
}

/// The embedding that `--basis` names, with or without the `X_` of its key.
fn named_basis(asked: &str, data: &Velocities, present: &[String]) -> Result<(String, Array2<f32>, bool)> {
    let basis = asked.strip_prefix("X_").unwrap_or(asked);
    match data.embedding(basis) {
        Some(found) => Ok((basis.to_owned(), found.clone(), false)),
        None if present.iter().any(|key| key == asked || key.strip_prefix("X_") == Some(basis)) => {
            Err(Error::Setting {
                key: "--basis".to_owned(),
                value: format!("{asked:?}"),
                wanted: "must be a table of numbers, one row a cell; what the file has under this name is none"
                    .to_owned(),
            })
        }
        None => Err(Error::Setting {
            key: "--basis".to_owned(),
            value: format!("{asked:?}"),
            wanted: format!("must be a key of obsm, with or without X_; there are: {}", present.join(", ")),
        }),
    }
}

/// What the graph, times and scores were made with, but for the fit, neighbours and embedding.
fn record(settings: &Analysis, job: &GraphJob, data: &Velocities, times: &times::Times) -> GraphRecord {
    GraphRecord {
        settings: serde_json::to_value(settings).expect("settings are words, numbers, lists and tables"),
        genes: job.genes.clone(),
        n_genes: data.genes.len(),
        n_genes_unusable: data.unusable,
        root: times.root.0.clone(),
        n_root_cells: times.root.1,
        n_components: times.n_components,
        latent_time: times.latent.as_ref().map(|(record, _)| record.clone()),
        time_spearman: times.agreement,
        ..GraphRecord::default()
    }
}
