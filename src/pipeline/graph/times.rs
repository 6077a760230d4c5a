//! Roots, end points and times of the cells.

use crate::data::{Column, Neighbors, Reporter, Velocities};
use crate::error::Result;
use crate::graph::{self, Kernel};
use crate::io::{self, keys};
use crate::sparse::Csr;
use crate::stats::spearman;
use crate::time::{self, LatentConfig, LatentMethod, Rerooting, Root, TimeConfig};

/// What is known of time, for the file and for people.
pub(super) struct Times {
    /// Columns of obs.
    pub(super) obs: Vec<(String, Column)>,
    /// What the root is, in words.
    pub(super) root: String,
    /// Parts of the data without transitions between them.
    pub(super) n_components: usize,
    /// Column with the shared time of the genes, if there is one, and how it was made.
    pub(super) latent: Option<(String, String)>,
    /// Spearman correlation of the two times, if there are two.
    pub(super) agreement: Option<f64>,
}

/// Roots and times; `root` is what the user named and the cells that this means.
pub(super) fn times(
    settings: &TimeConfig,
    data: &Velocities,
    found: &Csr<f32>,
    around: &Neighbors,
    root: Option<&(Vec<usize>, String)>,
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
            "the velocity graph falls into {} parts: times of cells in different parts cannot be compared",
            ends.n_components
        );
        reporter.warn(&text);
    }
    if roots.states.iter().chain(&ends.states).any(|state| !state.settled) {
        reporter.warn("root cells or end points did not settle: cells hardly move there, and their scores are rough");
    }
    let mut obs = vec![column(keys::ROOT_CELLS, &roots.scores), column(keys::END_POINTS, &ends.scores)];
    let (start, in_words) = match root {
        Some((cells, words)) => (Root::Cells(cells), format!("{words}, {} in all, as given", cells.len())),
        None => (Root::Inferred(&roots.scores), "inferred from the transitions run backward".to_owned()),
    };
    reporter.say(&format!("root: {in_words}"));
    let end = Some(Root::Inferred(ends.scores.as_slice()));
    let pseudotime = time::pseudotime(found, &around.connectivities, start, end, &settings.pseudotime)?;
    obs.push(column(keys::VELOCITY_PSEUDOTIME, &pseudotime.times));
    let mut latent = None;
    if io::has_layer(&data.path, keys::FIT_T)? {
        // Of all genes: those that are no velocity genes have times too, and a likelihood that says whether they count.
        let fit_t = io::read_layer(&data.path, keys::FIT_T)?;
        let likelihood = data.var.get(keys::FIT_LIKELIHOOD).and_then(Column::to_numbers);
        let times = time::latent_time(
            fit_t.view(),
            likelihood.as_deref(),
            &around.connectivities,
            start,
            None,
            &settings.latent,
        )?;
        let key = latent_key(&settings.latent, data)?;
        if !times.rooted {
            reporter.warn("no cell is a certain root: the earliest cells stand in, and latent time may run either way");
        }
        obs.push(column(&key, &times.times));
        latent = Some((key, method(&settings.latent)));
    }
    let shared = latent.as_ref().and_then(|(key, _)| obs.iter().find(|(name, _)| name == key));
    let own = || data.obs.get(keys::LATENT_TIME).and_then(Column::to_numbers);
    let other = shared.map_or_else(own, |(_, column)| column.to_numbers());
    let agreement = other.map(|other| spearman(&other, &pseudotime.times)).filter(|found| found.is_finite());
    Ok(Times { obs, root: in_words, n_components: ends.n_components, latent, agreement })
}

fn column(key: &str, values: &[f64]) -> (String, Column) {
    (key.to_owned(), Column::Float(values.to_vec()))
}

/// The column for a shared time: scVelo's name for scVelo's method, unless the model has put its own time there.
fn latent_key(settings: &LatentConfig, data: &Velocities) -> Result<String> {
    let plain = settings.method == LatentMethod::Scvelo
        && settings.rerooting == Rerooting::Shipped
        && !settings.renormalise_rows;
    if !plain {
        return Ok(keys::latent_time_by(&method(settings)));
    }
    let of_model = if let Some(own) = data.own_time {
        own
    } else {
        // Another program's file. scVelo's dynamical model has no time of its own, and what we wrote is on record.
        let ours = io::read_uns(&data.path, keys::LATENT_TIME)?.is_some();
        data.obs.get(keys::LATENT_TIME).is_some() && data.mode != keys::DYNAMICAL && !ours
    };
    Ok(if of_model { keys::LATENT_TIME_GENES.to_owned() } else { keys::LATENT_TIME.to_owned() })
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
