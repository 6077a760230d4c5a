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
    let config = load("seed = 2\n[model]\nkind = \"velovae\"\n[model.train]\nepochs = 7\n", &flags).expect("valid");
    assert_eq!(velovae(&config).train.epochs, 9);
    assert_eq!(velovae(&config).variant, Variant::Basic);
    assert_eq!(config.seed, 4);
}

#[test]
fn a_whole_number_serves_where_decimals_are_allowed_but_not_the_reverse() {
    assert!(load("[model]\nkind = \"velovae\"\nt_max = 10\n", &[]).is_ok());
    let error =
        load("[model]\nkind = \"velovae\"\n[model.train]\nepochs = 7.5\n", &[]).expect_err("epochs are counted");
    assert!(error.to_string().contains("model.train.epochs = 7.5"), "{error}");
}

#[test]
fn what_is_saved_reads_back_as_the_same_settings() {
    let config =
        load("", &["model.kind=velovae", "model.capture_time=day", "model.hidden=[8, 4]", "output.genes=fitted"])
            .expect("valid");
    assert_eq!(load(&config.to_toml(), &[]).expect("valid"), config);
}

#[test]
fn a_mistyped_key_is_answered_with_the_one_that_was_meant() {
    let error = load("[model]\nkind = \"velovae\"\n[model.train]\nlearnig_rate = 0.1\n", &[]).expect_err("unknown");
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
fn what_is_said_of_a_value_names_key_value_place_and_what_is_wanted() {
    for (flag, key, wanted) in [
        ("model.kind=soft_grid model.grid=-1", "model.grid = -1", "a whole number, 0 or more"),
        ("model.kind=velovae model.hidden=[1,2,3]", "model.hidden = [1, 2, 3]", "a list of 2"),
        ("model.kind=velovae model.hidden=[1,\"a\"]", "model.hidden", "a whole number, 0 or more"),
        ("preprocess.min_shared_counts=-5", "preprocess.min_shared_counts = -5", "from 0 to 4294967295"),
        ("preprocess.genes=[1]", "preprocess.genes = [1]", "text in quotes"),
        ("model.kind=velovae model.variant=fast", "model.variant = \"fast\"", "`basic`"),
        ("model.kind=dynamical model.velocity=curve", "model.velocity = \"curve\"", "`residuals`"),
    ] {
        let flags: Vec<&str> = flag.split(' ').collect();
        let error = load("[model]\nt_max = 10\n", &flags).expect_err(flag).to_string();
        let place = format!("--set {}", flags[flags.len() - 1]);
        assert!(error.starts_with(&place) && error.contains(key) && error.contains(wanted), "{flag}: {error}");
    }
    let error =
        load("[model]\nkind = \"velovae\"\nn_latent = -3\n", &["model.t_max=10"]).expect_err("negative").to_string();
    assert!(error.contains("config.toml: model.n_latent = -3: must be a whole number"), "{error}");
}

#[test]
fn numbers_far_from_all_use_are_refused_with_their_bounds_and_a_reason() {
    for (model, flag) in [
        ("soft_grid", "model.size_sd=1e-300"),
        ("soft_grid", "model.t_max=1e300"),
        ("soft_grid", "model.choice_rounds=1000000000"),
        ("velovae", "model.n_latent=1000000000"),
        ("velovae", "model.hidden=[1000000000, 1]"),
        ("velovae", "model.refine_rounds=1000000000"),
        ("velovae", "model.start_epochs=1000000000"),
        ("velovae", "model.n_samples=1000000000"),
        ("velovae", "model.train.checkpoint_seconds=1e300"),
        ("velovi", "model.hidden=1000000000"),
        ("velovi", "model.uncertainty.n_samples=1"),
        ("dynamical", "model.max_iter=1000000000"),
        ("steady_state", "model.min_ratio=inf"),
        ("steady_state", "preprocess.n_neighbors=1000000000"),
    ] {
        let error = load("", &[&format!("model.kind={model}"), flag]).expect_err(flag);
        let key = flag.split_once('=').expect("a flag").0;
        let text = error.to_string();
        assert!(
            text.starts_with(&format!("{key} = ")) && text.contains(" to ") && text.contains(": "),
            "{flag}: {text}"
        );
        assert!(text.len() < 300, "{text}");
    }
    for flag in [
        "scores.draws=1000000000",
        "scores.shuffles=1000000000",
        "embedding.umap.n_epochs=1000000000",
        "embedding.umap.negative_samples=1000000000",
        "graph.transitions.scale=200",
        "graph.transitions.kernel_sigma=0.01",
        "time.pseudotime.n_components=1000000000",
    ] {
        let error = Analysis::load(None, &[flag.to_owned()]).expect_err(flag).to_string();
        assert!(
            error.starts_with(flag.split_once('=').expect("a flag").0) && error.contains(" to "),
            "{flag}: {error}"
        );
    }
    assert!(
        Analysis::load(
            None,
            &["graph.transitions.scale=200".to_owned(), "graph.transitions.kernel=softmax".to_owned()]
        )
        .is_ok()
    );
}

/// `scripts/fuzz_settings` tries the same with runs.
#[test]
fn whatever_a_setting_is_given_it_is_taken_or_refused_by_its_name() {
    const SILLY: [&str; 24] = [
        "0",
        "1",
        "-1",
        "1000000000",
        "9223372036854775807",
        "18446744073709551615",
        "0.5",
        "-0.5",
        "1e-300",
        "1e300",
        "inf",
        "nan",
        "\"\"",
        "nonsense",
        "\"ä\"",
        "true",
        "[]",
        "[0]",
        "[1, 2]",
        "[nan, nan]",
        "[\"a\"]",
        "[[1]]",
        "[1, 2, 3, 4]",
        "{}",
    ];
    let names = |table: &str| keys("", &table.parse::<toml::Table>().expect("TOML"));
    let mut tried = 0;
    let mut all: Vec<(Option<&str>, Vec<String>)> = vec![(None, names(&Analysis::default().to_toml()))];
    for kind in ModelConfig::KINDS {
        all.push((Some(kind), names(&Config::default_for(kind).expect("known").to_toml())));
    }
    for (kind, keys) in all {
        for key in keys.iter().filter(|key| *key != "model.kind") {
            for value in SILLY {
                let flag = format!("{key}={value}");
                let found = match kind {
                    None => Analysis::load(None, std::slice::from_ref(&flag)).map(drop),
                    Some(kind) => Config::load(None, &[format!("model.kind={kind}"), flag.clone()]).map(drop),
                };
                tried += 1;
                let Err(error) = found else { continue };
                assert_eq!(error.exit_code(), 2, "{flag}: {error}");
                let text = error.to_string();
                assert!(text.contains(key), "{kind:?}, {flag}: {text}");
            }
        }
    }
    assert!(tried > 3000, "{tried}");
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
        // The program brings the file along: its name alone is the same.
        let name = Path::new(path.file_stem().expect("a name"));
        assert_eq!(Config::load(Some(name), &[]).expect("known by its name"), config);
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
fn without_a_word_the_model_is_the_soft_grid_and_velovae_is_its_full_variant() {
    assert_eq!(Config::load(None, &[]).expect("defaults"), Config::default_for("soft_grid").expect("known"));
    let full = Config::load(Some(Path::new("velovae")), &[]).expect("known by its name");
    assert_eq!(full, Config::default_for("velovae").expect("known"));
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
        ("graph.n_pcs=1", "graph.n_pcs = 1: must be 0"),
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
