//! Settings: defaults, file, flags, in this order.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use nascent::Error;
use nascent::config::{Analysis, Config};
use nascent::models::ModelConfig;
use nascent::models::velovae::{Likelihood, Variant, Velovae};
use nascent::models::velovi::Warmup;
use nascent::train::StopOn;

fn load(text: &str, overrides: &[&str]) -> Result<Config, Error> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("config.toml");
    fs::write(&path, text).expect("written");
    let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
    Config::load(Some(&path), &overrides)
}

fn velovae(config: &Config) -> &Velovae {
    let ModelConfig::Velovae(model) = &config.model else { panic!("not VeloVAE: {:?}", config.model) };
    model
}

#[test]
fn a_table_given_in_part_keeps_the_other_defaults() {
    let config = load("[model]\nkind = \"velovae\"\n[model.train]\nepochs = 7\n", &[]).expect("valid");
    let mut wanted = Config::default_for("velovae").expect("known");
    let ModelConfig::Velovae(model) = &mut wanted.model else { panic!("not VeloVAE: {:?}", wanted.model) };
    model.train.epochs = 7;
    assert_eq!(config, wanted);
}

#[test]
fn flags_win_over_the_file_and_later_flags_over_earlier_ones() {
    let flags = ["model.train.epochs=8", "model.variant=basic", "seed=4", "model.train.epochs=9"];
    let config = load("seed = 2\n[model.train]\nepochs = 7\n", &flags).expect("valid");
    assert_eq!(velovae(&config).train.epochs, 9);
    assert_eq!(velovae(&config).variant, Variant::Basic);
    assert_eq!(config.seed, 4);
}

#[test]
fn a_whole_number_serves_where_decimals_are_allowed_but_not_the_reverse() {
    assert!(load("[model]\nt_max = 10\n", &[]).is_ok());
    let error = load("[model.train]\nepochs = 7.5\n", &[]).expect_err("epochs are counted");
    assert!(error.to_string().contains("model.train.epochs = 7.5"), "{error}");
}

#[test]
fn what_is_saved_reads_back_as_the_same_settings() {
    let config = load("", &["model.capture_time=day", "model.hidden=[8, 4]", "output.genes=fitted"]).expect("valid");
    assert_eq!(load(&config.to_toml(), &[]).expect("valid"), config);
}

#[test]
fn a_mistyped_key_is_answered_with_the_one_that_was_meant() {
    let error = load("[model.train]\nlearnig_rate = 0.1\n", &[]).expect_err("unknown");
    assert!(error.to_string().contains("unknown key model.train.learnig_rate"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.starts_with("did you mean learning_rate?")), "{error:?}");
}

#[test]
fn a_word_that_a_setting_cannot_have_is_answered_with_its_key_and_the_words_it_can() {
    let error = load("[model]\nkind = \"dynamical\"\nschedule = \"fast\"\n", &[]).expect_err("no such schedule");
    for wanted in ["model.schedule", "`fast`", "`converged`", "`compat`"] {
        assert!(error.to_string().contains(wanted), "{error}");
    }
}

#[test]
fn the_examples_spell_out_every_default_and_differ_from_them_only_where_their_names_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let mut seen = BTreeSet::new();
    for entry in fs::read_dir(folder).expect("configs/ is there") {
        let path = entry.expect("readable").path();
        if path.ends_with("graph.toml") || path.is_dir() {
            continue;
        }
        let config = Config::load(Some(&path), &[]).expect("an example is valid");
        let text = fs::read_to_string(&path).expect("readable");
        let given = text.parse::<toml::Table>().expect("TOML");
        let kind = given["model"]["kind"].as_str().expect("an example names its model");
        let mut wanted = Config::default_for(kind).expect("known");
        if let ModelConfig::Velovae(model) = &mut wanted.model
            && path.ends_with("velovae_basic.toml")
        {
            model.variant = Variant::Basic;
        }
        if let ModelConfig::Velovae(model) = &mut wanted.model
            && path.ends_with("velovae_counts.toml")
        {
            (model.likelihood, model.dropout) = (Likelihood::NegativeBinomial, 0.0);
        }
        if let ModelConfig::Velovi(model) = &mut wanted.model
            && path.ends_with("velovi_joint.toml")
        {
            (model.joint_state, model.warmup) = (true, Warmup::All);
        }
        assert_eq!(config, wanted, "{}", path.display());

        let all = config.to_toml().parse::<toml::Table>().expect("TOML");
        assert_eq!(keys("", &given), keys("", &all), "{}", path.display());
        seen.insert(kind.to_owned());
    }
    assert!(ModelConfig::KINDS.iter().all(|kind| seen.contains(*kind)), "{seen:?}");
}

#[test]
fn the_example_for_the_graph_spells_out_every_default() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/graph.toml");
    let settings = Analysis::load(Some(&path), &[]).expect("an example is valid");
    assert_eq!(settings, Analysis::default());
    let table = |text: &str| keys("", &text.parse::<toml::Table>().expect("TOML"));
    assert_eq!(table(&fs::read_to_string(&path).expect("readable")), table(&settings.to_toml()));
}

#[test]
fn settings_of_the_graph_that_cannot_be_used_are_named() {
    for (setting, wanted) in [
        ("graph.transitions.scale=-1", "graph.transitions.scale"),
        ("graph.similarity=dot_product", "softmax"),
        ("graph.transitions.weight_diffusion=1", "weight_diffusion"),
        ("graph.neighbours=2", "did you mean neighbors?"),
        ("scores.edges=[\"Ductal\"]", "Ductal > Beta"),
        ("time.latent.method=mean", "time.latent.method"),
        ("embedding.umap.spread=0", "embedding.umap.spread"),
    ] {
        let error = Analysis::load(None, &[setting.to_owned()]).expect_err(setting);
        let text = format!("{error} {}", error.hint().unwrap_or_default());
        assert!(text.contains(wanted), "{setting}: {text}");
    }
}

/// What `scripts/reproduce` reads: settings by name, and what is published under that name.
#[test]
fn the_settings_for_published_data_train_on_seven_tenths_and_have_published_numbers_beside_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/reproduce");
    let table = fs::read_to_string(folder.join("published.tsv")).expect("readable");
    let mut rows = table.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    assert_eq!(rows.next().expect("a header"), ["name", "model", "quantity", "train", "test", "source"]);
    let mut published = BTreeSet::new();
    for row in rows {
        let [name, _, quantity, train, test, _] = row[..] else { panic!("six columns: {row:?}") };
        assert!(["bound", "ll", "mse", "mae"].contains(&quantity), "{row:?}");
        assert!([train, test].iter().all(|value| *value == "-" || value.parse::<f64>().is_ok()), "{row:?}");
        published.insert(name.to_owned());
    }
    let mut named = BTreeSet::new();
    for entry in fs::read_dir(&folder).expect("configs/reproduce is there") {
        let path = entry.expect("readable").path();
        if path.ends_with("published.tsv") {
            continue;
        }
        let config = Config::load(Some(&path), &[]).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let train = &velovae(&config).train;
        assert_eq!((train.validation_fraction, train.test_fraction, train.stop_on), (0.0, 0.3, StopOn::Test));
        named.insert(path.file_stem().expect("a name").to_string_lossy().into_owned());
    }
    assert_eq!(named, published);
}

/// Dotted keys of all values, sorted.
fn keys(prefix: &str, table: &toml::Table) -> Vec<String> {
    let mut found: Vec<String> = table
        .iter()
        .flat_map(|(name, value)| match value {
            toml::Value::Table(inner) => keys(&format!("{prefix}{name}."), inner),
            _ => vec![format!("{prefix}{name}")],
        })
        .collect();
    found.sort();
    found
}
