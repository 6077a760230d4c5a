//! Roots, end points and times of the cells.

use ndarray::ArrayView2;

use crate::data::quantities::{FIT_LIKELIHOOD, LATENT_TIME, LATENT_TIME_BY, LATENT_TIME_GENES};
use crate::data::{Column, LatentTimeRecord, Neighbors, Reporter, RootRecord, Velocities};
use crate::error::Result;
use crate::graph::{self, Kernel};
use crate::sparse::Csr;
use crate::stats::spearman;
use crate::time::{self, LatentConfig, LatentMethod, Rerooting, Root, TimeConfig};

/// What is known of time, for the file and for people.
pub(super) struct Times {
    /// How much each cell looks like one where lineages begin, and where they end.
    pub(super) roots: Vec<f64>,
    pub(super) ends: Vec<f64>,
    /// Pseudotime along the velocity graph.
    pub(super) pseudotime: Vec<f64>,
    /// Where time starts, and the number of cells that this means.
    pub(super) root: (RootRecord, usize),
    /// Parts of the data without transitions between them.
    pub(super) n_components: usize,
    /// The shared time of the genes, if there is one: its column, how it was made, its values.
    pub(super) latent: Option<(LatentTimeRecord, Vec<f64>)>,
    /// Spearman correlation of the two times, if there are two.
    pub(super) agreement: Option<f64>,
}

/// Roots and times; `root` is what the user named and the cells that this means. `fit_t` are the times of all genes, `[n_obs,
/// n_vars]`, if the fit has them: those that are no velocity genes have times too, and a likelihood that says whether they count.
pub(super) fn times(
    settings: &TimeConfig,
    data: &Velocities,
    fit_t: Option<ArrayView2<'_, f32>>,
    (found, around): (&Csr<f32>, &Neighbors),
    root: Option<&(Vec<usize>, RootRecord)>,
    reporter: &mut dyn Reporter,
) -> Result<Times> {
    let kernel = Kernel::default();
    let forward = graph::transition_matrix(found, None, kernel)?;
    let ends = time::terminal_states(&forward, &around.distances, &settings.terminal)?;
    drop(forward);
    let backward = graph::backward(&graph::weights(found, kernel));
    let roots = time::terminal_states(&backward, &around.distances, &settings.terminal)?;
    drop(backward);
    if ends.n_components > 1 {
        let text = format!(
            "the velocity graph has {} disconnected parts: times of cells in different parts cannot be compared",
            ends.n_components
        );
        reporter.warn(&text);
    }
    if roots.states.iter().chain(&ends.states).any(|state| !state.settled) {
        reporter.warn(
            "the stationary states of the Markov chain did not converge: scores of root cells or end points are rough",
        );
    }
    let (start, given) = match root {
        Some((cells, record)) => (Root::Cells(cells), (record.clone(), cells.len())),
        None => (Root::Inferred(&roots.scores), (RootRecord::Inferred, 0)),
    };
    reporter.say(&format!("root: {}", given.0.in_words(given.1)));
    let end = Some(Root::Inferred(ends.scores.as_slice()));
    let pseudotime = time::pseudotime(found, &around.connectivities, start, end, &settings.pseudotime)?.times;
    let mut latent = None;
    if let Some(fit_t) = fit_t {
        let likelihood = data.var.get(FIT_LIKELIHOOD.key()).and_then(Column::to_numbers);
        let times =
            time::latent_time(fit_t, likelihood.as_deref(), &around.connectivities, start, None, &settings.latent)?;
        if !times.rooted {
            reporter.warn("no cell is clearly a root: the earliest cells are used instead, and latent time may run in either direction");
        }
        let record = LatentTimeRecord { key: latent_key(&settings.latent, data), method: method(&settings.latent) };
        latent = Some((record, times.times));
    }
    let own = || data.obs.get(LATENT_TIME.key()).and_then(Column::to_numbers);
    let other = latent.as_ref().map(|(_, times)| times.clone()).or_else(own);
    let agreement = other.map(|other| spearman(&other, &pseudotime)).filter(|found| found.is_finite());
    let n_components = ends.n_components;
    Ok(Times { roots: roots.scores, ends: ends.scores, pseudotime, root: given, n_components, latent, agreement })
}

/// The column for a shared time: scVelo's name for scVelo's method, unless the model has put its own time there.
fn latent_key(settings: &LatentConfig, data: &Velocities) -> String {
    let plain = settings.method == LatentMethod::Scvelo
        && settings.rerooting == Rerooting::Shipped
        && !settings.renormalise_rows;
    match (plain, data.own_time) {
        (false, _) => LATENT_TIME_BY.named(&method(settings)),
        (true, true) => LATENT_TIME_GENES.key().to_owned(),
        (true, false) => LATENT_TIME.key().to_owned(),
    }
}

/// The method in one word.
fn method(settings: &LatentConfig) -> String {
    let mut word = match settings.method {
        LatentMethod::Scvelo => "scvelo",
        LatentMethod::LikelihoodMean => "likelihood_mean",
        LatentMethod::Median => "median",
    }
    .to_owned();
    if settings.rerooting == Rerooting::Fixed {
        word += "_fixed";
    }
    if settings.renormalise_rows {
        word += "_renormalised";
    }
    word
}
