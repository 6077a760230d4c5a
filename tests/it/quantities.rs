//! The list of quantities, and what follows from it.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use nascent::data::quantities::{self, About, FIT_BETA, FIT_S, Slot, VELOCITY, Values, Writer, about};
use nascent::models::ModelConfig;
use nascent::pipeline;
use nascent::simulate::{SimulateConfig, simulate};
use ndarray::{Array1, Array2};

use crate::tidy::rust_files;

/// `docs/keys.md` is made by `nascent keys > docs/keys.md`.
#[test]
fn the_page_of_keys_is_the_one_that_the_program_makes() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/keys.md");
    let page = fs::read_to_string(path).expect("docs/keys.md is there");
    assert!(page == pipeline::keys(), "docs/keys.md is stale: nascent keys > docs/keys.md");
}

#[test]
fn every_quantity_has_a_name_and_place_of_its_own_and_says_what_it_is() {
    let mut seen = BTreeSet::new();
    for quantity in quantities::ALL {
        assert!(seen.insert((quantity.slot, quantity.key)), "{} stands twice", quantity.path(quantity.key));
        assert!(quantity.doc.trim().ends_with('.'), "{}: {:?}", quantity.key, quantity.doc);
        assert!(!quantity.needed || quantity.slot == Slot::Layers, "{}: only layers can be left out", quantity.key);
        assert!(pipeline::keys().contains(&format!("`{}`", quantity.key.replace('*', "…"))), "{}", quantity.key);
    }
    assert!(seen.len() > 100);
}

#[test]
fn a_name_in_full_is_found_before_one_with_an_open_end() {
    let found = |slot, key: &str| about(slot, key).map(|about| about.key);
    assert_eq!(found(Slot::Obs, "latent_time_std"), Some("latent_time_std"));
    assert_eq!(found(Slot::Obs, "latent_time_median"), Some("latent_time_*"));
    assert_eq!(found(Slot::Obsm, "velocity_umap"), Some("velocity_*"));
    assert_eq!(found(Slot::Var, "true_t_on"), Some("true_t_on"));
    assert_eq!(found(Slot::Layers, "velocity_umap"), None);
}

#[test]
fn a_quantity_is_set_once_and_given_back_as_what_it_is() {
    let mut values = Values::default();
    values.set(FIT_BETA, Array1::zeros(2));
    values.set(FIT_BETA, Array1::ones(3));
    values.set(VELOCITY, Array2::zeros((1, 1)));
    assert_eq!(values.iter().count(), 2);
    assert_eq!(values.get(FIT_BETA).map(Array1::len), Some(3));
    assert_eq!(values.retain(|about, _| about.slot != Slot::Layers), [(Slot::Layers, "velocity".to_owned())]);
    assert!(values.get(VELOCITY).is_none() && values.get(FIT_S).is_none());
    assert_eq!(values.take(FIT_BETA), Some(Array1::ones(3)));
    assert_eq!(values, Values::default());
}

#[test]
fn a_model_writes_results_of_a_fit() {
    for entry in ModelConfig::ENTRIES {
        let odd: Vec<&&About> = entry.writes.iter().filter(|about| about.writer != Writer::Fit).collect();
        assert!(odd.is_empty(), "{}: {odd:?}", entry.kind);
        assert!(entry.writes.contains(&VELOCITY.about()), "{}", entry.kind);
        assert_eq!(ModelConfig::named(entry.kind).map(|model| model.kind()), Some(entry.kind));
        let tagged = serde_json::to_value(ModelConfig::named(entry.kind)).expect("settings are plain");
        assert_eq!(tagged["kind"], entry.kind);
    }
}

#[test]
fn what_a_simulation_writes_is_on_the_list() {
    let config = SimulateConfig { cells: 20, genes: 12, branches: 2, ..SimulateConfig::default() };
    let counts = simulate(&config).expect("valid settings").counts;
    for (slot, frame) in [(Slot::Obs, &counts.obs), (Slot::Var, &counts.var)] {
        for (name, _) in &frame.columns {
            assert_eq!(about(slot, name).map(|about| about.writer), Some(Writer::Simulate), "{name}");
        }
    }
    assert!(counts.obsm.iter().all(|(name, _)| about(Slot::Obsm, name).is_some()));
}

/// Keys are spelled where they are listed. What else stands in quotes there is a word of its own: a setting, a column that users name.
#[test]
fn no_other_file_spells_a_key() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src");
    // A model may have a record under its own name.
    let is_model = |key: &str| ModelConfig::KINDS.contains(&key);
    let long = |about: &&&About| about.key.contains('_') && !about.key.ends_with('*') && !is_model(about.key);
    let keys: Vec<String> = quantities::ALL.iter().filter(long).map(|about| format!("\"{}\"", about.key)).collect();
    let mut found = Vec::new();
    for path in rust_files(&root).into_iter().filter(|path| !path.starts_with(root.join("data/quantities"))) {
        let text = fs::read_to_string(&path).expect("readable");
        let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        for key in keys.iter().filter(|key| code.iter().any(|line| line.contains(key.as_str()))) {
            found.push(format!("{}: {key}", path.strip_prefix(&root).expect("inside").display()));
        }
    }
    // A model's name is that of its settings; VeloVAE's own files have names of their own.
    found.retain(|place| !place.starts_with("models/mod.rs") && !place.starts_with("io/records.rs"));
    assert!(found.is_empty(), "keys are spelled outside of data/quantities:\n{}", found.join("\n"));
}
