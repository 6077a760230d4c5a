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

use std::fmt;
use std::path::PathBuf;

use cpu_time::ProcessTime;
use ndarray::Array2;

use self::trust::{Asked, numbers};
use crate::config::Analysis;
use crate::data::{GenesUsed, Neighbors, Reporter, Velocities};
use crate::embedding;
use crate::error::{Error, Result};
use crate::graph::{self, Candidates, States};
use crate::io::{self, GenesWritten, OutputConfig, Results, Uns, keys};
use crate::scores::{self, Moving, Sweep};

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
    latent: Option<(String, String)>,
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
            "  confidence   {:.2}, median over cells; high where neighbours share their data, right or wrong",
            self.confidence
        )?;
        if let Some((key, method)) = &self.latent {
            writeln!(f, "  latent time  obs[{key:?}], by the method {method}")?;
        }
        if let Some(agreement) = self.agreement {
            writeln!(f, "  latent time and velocity pseudotime correlate by {agreement:.2} (Spearman)")?;
        }
        let sets = [("first", Some(&self.first)), ("named", self.named.as_ref())];
        for (which, sweep) in sets.into_iter().filter_map(|(which, sweep)| Some((which, sweep?))) {
            for (at, k) in sweep.k.iter().enumerate() {
                let (r, [low, high]) = (sweep.r[at].r, sweep.null_range[at]);
                writeln!(f, "  r of the {which} {k:<4} genes {r:.2}, of as many random ones {low:.2}–{high:.2}")?;
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
    let mut data = io::read_velocities(&job.input, &job.genes)?;
    if data.unusable > 0 {
        reporter.say(&format!("{} genes were left out: not every cell has a velocity there", data.unusable));
    }
    let groups = groups(&data.obs, &job.groups)?;
    let root = (!job.root.is_empty()).then(|| root::cells(&data.obs, &job.root, groups.as_ref())).transpose()?;
    let edges = trust::edges(&settings.scores, groups.as_ref())?;
    let asked = Asked::new(&settings.scores, &data)?;
    let (around, made) = space::neighbors(&mut data, reporter)?;
    let (basis, coordinates, drawn) = embedded(settings, job, &data, &around, reporter)?;

    let candidates = space::candidates(&settings.graph, &around, settings.seed)?;
    let similarity = space::similarity(&settings.graph, &data.mode);
    let [x, v] = space::coordinates(&settings.graph, &data)?;
    let begun = ProcessTime::now();
    let found = graph::velocity_graph(&States::compared_by(x.view(), similarity), &candidates, v.view(), reporter)?;
    let seconds = begun.elapsed().as_secs_f64();
    drop([x, v]);
    let confidences: Vec<f32> = (0..found.n_rows).map(|i| graph::confidence(found.row(i).1)).collect();
    let own = graph::self_transitions(&confidences);
    let arrows = embedding::project(&found, coordinates.view(), &settings.embedding.projection)?;
    let arrows = arrows.scaled().mapv(|value| value as f32);
    let times = times::times(&settings.time, &data, &found, &around, root.as_ref(), reporter)?;

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
        root: times.root.clone(),
        latent: times.latent.clone(),
        agreement: times.agreement,
        first: sets.first.clone(),
        named: sets.named.clone(),
        output: job.output.clone(),
    };
    // Last: times make large matrices of their own.
    let transitions = space::transitions(&settings.graph, &found, &own, &candidates, coordinates.view())?;
    let (towards, away) = graph::split(&found);
    drop(found);
    let following = scores::transition_confidence(data.ms.view(), velocity, &transitions)?;
    let mut results = Results {
        obs: vec![
            numbers(keys::VELOCITY_LENGTH, scores::length(velocity)),
            numbers(keys::VELOCITY_CONFIDENCE, confidence),
            numbers(keys::VELOCITY_CONFIDENCE_TRANSITION, following),
            numbers(keys::VELOCITY_SELF_TRANSITION, own.iter().map(|&s| f64::from(s)).collect()),
        ],
        obsm: vec![(keys::projected(&basis), arrows.view())],
        uns: vec![
            (keys::VELOCITY_GRAPH.to_owned(), Uns::Csr(towards)),
            (keys::VELOCITY_GRAPH_NEG.to_owned(), Uns::Csr(away)),
            trust::sets_for_uns(&sets),
            params(settings, job, &data, &times, &basis),
        ],
        ..Results::default()
    };
    results.obs.extend(times.obs);
    if let Some((key, method)) = &times.latent
        && key == keys::LATENT_TIME
    {
        let record = vec![("method".to_owned(), Uns::Text(method.clone())), ("root".to_owned(), Uns::Text(times.root))];
        results.uns.push((keys::LATENT_TIME.to_owned(), Uns::Dict(record)));
    }
    if let Some((column, groups)) = &groups {
        let moving =
            Moving { states: coordinates.view(), velocities: arrows.view(), candidates: &direct, groups: &groups.of };
        let boundaries = moving.boundaries(&edges, settings.scores.shuffles, settings.seed);
        results.uns.extend(trust::boundaries_for_uns(&boundaries, groups));
        let in_genes = Moving { states: data.ms.view(), velocities: velocity, ..moving };
        results.obs.push(numbers(keys::VELOCITY_COHERENCE, in_genes.coherence()));
        let names: Vec<&str> = data.genes.iter().map(|&gene| data.var.index[gene].as_str()).collect();
        let (ranked, largest) = trust::ranking(velocity, &names, (column, groups), settings.scores.top_genes);
        results.uns.push(ranked);
        results.var.push(numbers(keys::VELOCITY_SCORE, largest));
    }
    if drawn {
        results.obsm.push((format!("X_{basis}"), coordinates.view()));
    }
    if made {
        results.add_neighbors(&around);
    }
    if settings.graph.transitions.write {
        results.obsp.push((keys::T_FWD.to_owned(), &transitions));
    }
    let written = OutputConfig { genes: GenesWritten::All, ..OutputConfig::default() };
    io::write_results(&job.output, &job.input, &written, &data.genes, &results)?;
    Ok(summary)
}

/// The embedding to draw on: its name, coordinates, and whether they were computed here.
fn embedded(
    settings: &Analysis,
    job: &GraphJob,
    data: &Velocities,
    around: &Neighbors,
    reporter: &mut dyn Reporter,
) -> Result<(String, Array2<f32>, bool)> {
    let known = || data.obsm.iter().filter_map(|(name, _)| name.strip_prefix("X_")).collect::<Vec<_>>().join(", ");
    if !job.basis.is_empty() {
        let basis = job.basis.trim_start_matches("X_");
        let found = data.embedding(basis).ok_or_else(|| Error::Setting {
            key: "--basis".to_owned(),
            value: format!("{:?}", job.basis),
            wanted: format!("must be an embedding of the file: {}", known()),
        })?;
        return Ok((basis.to_owned(), found.clone(), false));
    }
    let usual = USUAL_EMBEDDINGS.into_iter().find_map(|basis| Some((basis, data.embedding(basis)?)));
    if let Some((basis, found)) = usual {
        return Ok((basis.to_owned(), found.clone(), false));
    }
    let start = match data.embedding("pca") {
        Some(pca) if pca.ncols() > 1 => pca.slice(ndarray::s![.., ..2]).to_owned(),
        _ => crate::pca::pca_dense(data.ms.view(), 2.min(data.genes.len()))?.scores,
    };
    reporter.say("no embedding in the file: UMAP computed");
    let found = embedding::umap(&around.connectivities, start.view(), &settings.embedding.umap, settings.seed)?;
    Ok(("umap".to_owned(), found, true))
}

/// What the graph, times and scores were made with, for uns.
fn params(settings: &Analysis, job: &GraphJob, data: &Velocities, times: &times::Times, basis: &str) -> (String, Uns) {
    let text = |key: &str, word: &str| (key.to_owned(), Uns::Text(word.to_owned()));
    let genes = match &job.genes {
        GenesUsed::VelocityGenes => keys::VELOCITY_GENES.to_owned(),
        GenesUsed::All => "all".to_owned(),
        GenesUsed::Column(column) => column.clone(),
        GenesUsed::Named(names) => format!("{} named", names.len()),
    };
    let count = |key: &str, n: usize| (key.to_owned(), Uns::Float(n as f64));
    let mut members = vec![
        text("program", concat!("nascent ", env!("CARGO_PKG_VERSION"))),
        text("config", &settings.to_toml()),
        text("genes", &genes),
        count("n_genes", data.genes.len()),
        count("n_genes_unusable", data.unusable),
        text("basis", basis),
        text("root", &times.root),
        count("n_components", times.n_components),
    ];
    if let Some((key, method)) = &times.latent {
        members.extend([text("latent_time", key), text("latent_time_method", method)]);
    }
    members.extend(times.agreement.map(|r| ("time_spearman".to_owned(), Uns::Float(r))));
    (keys::VELOCITY_GRAPH_PARAMS.to_owned(), Uns::Dict(members))
}
