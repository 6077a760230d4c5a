//! Whose results a file holds, and which elements are theirs.
//!
//! A file of this program says so itself: `uns["nascent_fit"]` lists what the fit wrote. The record counts as long as
//! `uns["velocity_params"]`, which every velocity tool writes anew, is still the one that came with it.
//!
//! A file of another program holds no such list. What its keys mean follows from who made the velocities:
//!
//! | who | how it is recognised | what is the fit's |
//! |---|---|---|
//! | scVelo, `dynamical` | `velocity_params["mode"]` | `velocity`, `fit_*`, `latent_time`; not `velocity_gamma`, which an earlier call left |
//! | scVelo, `deterministic`, `stochastic` | `velocity_params["mode"]` | `velocity`, `velocity_*`; not `fit_*` and `latent_time`, which `recover_dynamics` left |
//! | veloVI | `layers["latent_time_velovi"]` | `velocity`, `fit_t`, rates; not scVelo's `velocity_gamma`, R² and likelihood, which its preprocessing left |
//! | VeloVAE | `layers["<name>_velocity"]` beside `obs["<name>_time"]`, no `velocity` | these, `<name>_uhat`, `<name>_shat`, `<name>_alpha`, … |
//! | anybody else | none of these | every key that has a meaning here |

use hdf5::File;
use serde::de::DeserializeOwned;

use super::h5::{self, Node};
use super::place::Place;
use super::read::uns;
use crate::data::quantities::{
    About, FIT_ALPHA, FIT_BETA, FIT_GAMMA, FIT_S, FIT_SCALING, FIT_STD_S, FIT_STD_U, FIT_T, FIT_T_OFF, FIT_T_ON, FIT_U,
    LATENT_TIME, LATENT_TIME_STD, NASCENT_FIT, NASCENT_GRAPH, NASCENT_PERMUTATION, PROJECTED, RECOVER_DYNAMICS, Record,
    Slot, VARIANCE_VELOCITY, VELOCITY, VELOCITY_GAMMA, VELOCITY_GENES, VELOCITY_GRAPH, VELOCITY_OFFSET,
    VELOCITY_PARAMS, VELOCITY_QREG_RATIO, VELOCITY_R2, VELOCITY_U, Writer, about,
};
use crate::data::{FORMAT, FitRecord, GraphRecord, PermutationRecord, is_written};
use crate::error::Result;

/// `uns["velocity_params"]`: what made the velocities, scVelo's word where it has one.
pub(super) const MODE: &str = "mode";
/// `uns["velocity_params"]`: the program, if it was ours.
pub(super) const PROGRAM_KEY: &str = "program";
/// What [`MODE`] is where scVelo's dynamical model, or ours, made the velocities.
pub(super) const DYNAMICAL: &str = "dynamical";
/// What `mode` is where the stochastic model made the velocities.
pub const STOCHASTIC: &str = "stochastic";
/// What [`MODE`] is where the deterministic model made the velocities.
const DETERMINISTIC: &str = "deterministic";
/// The layer that marks what veloVI's tutorial writes.
const VELOVI_MARK: &str = "latent_time_velovi";

/// Who made the velocities of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This program; see the records.
    Nascent,
    /// scVelo's dynamical model.
    ScveloDynamical,
    /// scVelo's steady-state models.
    ScveloSteadyState,
    /// veloVI, of scvi-tools.
    Velovi,
    /// VeloVAE; its keys begin with this name.
    Velovae(String),
    /// Nobody who is recognised.
    Unknown,
}

/// What a file says of itself.
#[derive(Clone, Debug)]
pub(super) struct Records {
    pub(super) owner: Owner,
    /// scVelo's word for what made the velocities, or the model's name; empty if the file does not say.
    pub(super) mode: String,
    pub(super) fit: Option<FitRecord>,
    pub(super) graph: Option<GraphRecord>,
    pub(super) permutation: Option<PermutationRecord>,
}

impl Records {
    /// Reads the records of `file`. One that cannot be understood is another program's, or of another version, and counts as
    /// none.
    pub(super) fn read(file: &File, place: &Place) -> Result<Self> {
        let params = uns(file, VELOCITY_PARAMS.key(), place)?.unwrap_or_default();
        let word = |key: &str| params.get(key).and_then(Record::as_str).unwrap_or_default().to_owned();
        let (mode, program) = (word(MODE), word(PROGRAM_KEY));
        let fit: Option<FitRecord> = record(file, NASCENT_FIT.key(), place)?;
        let fit = fit.filter(|fit| fit.format == FORMAT && fit.program == program && fit.mode == mode);
        let owner = if fit.is_some() { Owner::Nascent } else { foreign(file, &mode) };
        let mode = match &owner {
            Owner::Velovi => "velovi".to_owned(),
            Owner::Velovae(_) => "velovae".to_owned(),
            _ => mode,
        };
        let mut records = Self { owner, mode, fit, graph: None, permutation: None };
        let of = records.stamp();
        let graph: Option<GraphRecord> = record(file, NASCENT_GRAPH.key(), place)?;
        records.graph = graph.filter(|graph| graph.format == FORMAT && graph.of == of);
        let permutation: Option<PermutationRecord> = record(file, NASCENT_PERMUTATION.key(), place)?;
        records.permutation = permutation.filter(|found| found.format == FORMAT && found.of == of);
        Ok(records)
    }

    /// The fit in one word, by which what was computed from it knows it.
    pub(super) fn stamp(&self) -> String {
        self.fit.as_ref().map_or_else(|| self.mode.clone(), FitRecord::stamp)
    }

    /// The name of a quantity in the file: VeloVAE has names of its own.
    pub(super) fn stored_key(&self, about: &'static About) -> String {
        if let Owner::Velovae(name) = &self.owner
            && let Some((_, theirs)) = VELOVAE_NAMES.iter().find(|(ours, _)| **ours == *about)
        {
            return format!("{name}_{theirs}");
        }
        about.key.to_owned()
    }

    /// Whether what lies under `key`, a name of `about`, is of the fit that the file holds or of what was computed from it.
    pub(super) fn owns(&self, about: &'static About, key: &str) -> bool {
        match about.writer {
            // Neighbours and moments of another program are as good as ours; which were used, the records say.
            Writer::Input | Writer::Simulate | Writer::Preprocess => true,
            Writer::Graph | Writer::Permute | Writer::Fit => {
                let path = about.path(key);
                let by_us = self.written().any(|written| *written == path);
                by_us || (self.owner != Owner::Nascent && self.is_foreign_result(about))
            }
        }
    }

    /// All that this program has written, by its records.
    fn written(&self) -> impl Iterator<Item = &String> {
        let fit = self.fit.as_ref().map(|fit| &fit.written);
        let graph = self.graph.as_ref().map(|graph| &graph.written);
        let permutation = self.permutation.as_ref().map(|permutation| &permutation.written);
        [fit, graph, permutation].into_iter().flatten().flatten()
    }

    /// Whether a quantity is a result of the other program that made the velocities.
    fn is_foreign_result(&self, quantity: &'static About) -> bool {
        let any = |among: &[&'static About]| among.iter().any(|about| **about == *quantity);
        let common = any(&[VELOCITY.about(), VELOCITY_U.about(), VELOCITY_GENES.about(), VELOCITY_PARAMS.about()]);
        // What follows from the velocities, under scVelo's names; a graph of ours would have a record.
        let follows = quantity.writer == Writer::Graph && quantity.known;
        let line = any(&[
            VARIANCE_VELOCITY.about(),
            VELOCITY_GAMMA.about(),
            VELOCITY_OFFSET.about(),
            VELOCITY_QREG_RATIO.about(),
            VELOCITY_R2.about(),
        ]);
        match &self.owner {
            Owner::Nascent => false,
            Owner::ScveloDynamical => common || follows || (quantity.known && quantity.writer == Writer::Fit && !line),
            Owner::ScveloSteadyState => common || follows || line,
            Owner::Velovi => {
                let rates =
                    [FIT_ALPHA.about(), FIT_BETA.about(), FIT_GAMMA.about(), FIT_SCALING.about(), FIT_T_OFF.about()];
                common || follows || any(&rates) || any(&[FIT_T.about()])
            }
            Owner::Velovae(_) => common || follows || VELOVAE_NAMES.iter().any(|(ours, _)| **ours == *quantity),
            Owner::Unknown => true,
        }
    }
}

/// What VeloVAE calls its quantities, behind its name and `_`.
const VELOVAE_NAMES: &[(&About, &str)] = &[
    (VELOCITY.about(), "velocity"),
    (VELOCITY_U.about(), "velocity_u"),
    (FIT_U.about(), "uhat"),
    (FIT_S.about(), "shat"),
    (LATENT_TIME.about(), "time"),
    (LATENT_TIME_STD.about(), "std_t"),
    (FIT_ALPHA.about(), "alpha"),
    (FIT_BETA.about(), "beta"),
    (FIT_GAMMA.about(), "gamma"),
    (FIT_T_ON.about(), "ton"),
    (FIT_T_OFF.about(), "toff"),
    (FIT_SCALING.about(), "scaling"),
    (FIT_STD_U.about(), "sigma_u"),
    (FIT_STD_S.about(), "sigma_s"),
];

/// Who made the velocities of a file without a record of ours.
fn foreign(file: &File, mode: &str) -> Owner {
    let names = |slot: Slot| match Node::open(file, slot.name()) {
        Some(Node::Group(group)) => h5::members(&group),
        _ => Vec::new(),
    };
    let layers = names(Slot::Layers);
    let has = |name: &str| layers.iter().any(|layer| layer == name);
    if has(VELOVI_MARK) {
        return Owner::Velovi;
    }
    if !has(VELOCITY.key()) {
        let obs = names(Slot::Obs);
        let name = layers.iter().find_map(|layer| {
            let name = layer.strip_suffix("_velocity")?;
            obs.contains(&format!("{name}_time")).then(|| name.to_owned())
        });
        return name.map_or(Owner::Unknown, Owner::Velovae);
    }
    match mode {
        DYNAMICAL => Owner::ScveloDynamical,
        DETERMINISTIC | STOCHASTIC => Owner::ScveloSteadyState,
        _ => Owner::Unknown,
    }
}

fn record<T: DeserializeOwned>(file: &File, key: &str, place: &Place) -> Result<Option<T>> {
    Ok(uns(file, key, place)?.and_then(|value| serde_json::from_value(value).ok()))
}

/// What of `file` goes when a new fit comes: results of an earlier fit, of this program or another, and all that was computed
/// from them. Moments, neighbours and components go if they are ours.
pub(super) fn stale_before_fit(file: &File, records: &Records) -> Vec<(Slot, String)> {
    let present = present(file);
    let has = |about: &About| present.iter().any(|(slot, key)| *slot == about.slot && key == about.key);
    let marks = [
        VELOCITY.about(),
        VELOCITY_PARAMS.about(),
        RECOVER_DYNAMICS.about(),
        VELOCITY_GRAPH.about(),
        NASCENT_FIT.about(),
    ];
    if !marks.into_iter().any(has) {
        return Vec::new();
    }
    let goes = |slot: Slot, key: &str| {
        let Some(about) = about(slot, key) else { return false };
        let path = about.path(key);
        if records.written().any(|written| *written == path) {
            return true;
        }
        match about.writer {
            Writer::Fit | Writer::Permute => true,
            Writer::Graph => follows_from_velocities(about, key, &present),
            // Names that nobody else uses.
            Writer::Preprocess => !about.known,
            Writer::Input | Writer::Simulate => false,
        }
    };
    present.iter().filter(|(slot, key)| goes(*slot, key)).cloned().collect()
}

/// What of `file` goes when a new velocity graph comes: what an earlier one left, and what followed from it. Neighbours and an
/// embedding that it had to compute stay.
pub(super) fn stale_before_graph(file: &File, records: &Records) -> Vec<(Slot, String)> {
    let present = present(file);
    let by_graph =
        |slot: Slot, key: &str| records.graph.as_ref().is_some_and(|graph| is_written(&graph.written, slot, key));
    let goes = |slot: Slot, key: &str| {
        about(slot, key).is_some_and(|about| match about.writer {
            Writer::Graph => follows_from_velocities(about, key, &present),
            // scVelo's shared time of the genes, under the name that a model's own time has.
            Writer::Fit => by_graph(slot, key),
            _ => false,
        })
    };
    present.iter().filter(|(slot, key)| goes(*slot, key)).cloned().collect()
}

/// Whether an array of obsm is a result of this program or a twin of one, rather than the user's own: `velocity_…` are arrows only
/// if there is an embedding of that name.
pub(super) fn is_result(quantity: &'static About, key: &str, obsm: &[String]) -> bool {
    let basis = key.trim_start_matches(PROJECTED.key().trim_end_matches('*'));
    *quantity != *PROJECTED.about() || obsm.iter().any(|name| name.strip_prefix("X_") == Some(basis))
}

/// Whether what the graph's step writes under `key` is its own rather than the user's, see [`is_result`].
fn follows_from_velocities(quantity: &'static About, key: &str, present: &[(Slot, String)]) -> bool {
    let in_obsm = present.iter().filter(|(slot, _)| *slot == Slot::Obsm).map(|(_, name)| name.clone());
    is_result(quantity, key, &in_obsm.collect::<Vec<String>>())
}

/// Everything that lies in the places of `file`.
pub(super) fn present(file: &File) -> Vec<(Slot, String)> {
    let of = |slot: Slot| {
        let names = match Node::open(file, slot.name()) {
            Some(Node::Group(group)) => h5::members(&group),
            Some(Node::Dataset(table)) => super::record::field_names(&table),
            None => Vec::new(),
        };
        names.into_iter().map(move |name| (slot, name))
    };
    Slot::ALL.into_iter().flat_map(of).collect()
}
