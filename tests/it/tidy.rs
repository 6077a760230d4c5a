//! The house rules that a machine can check.

use std::fs;
use std::path::{Path, PathBuf};

/// Lines after which a file holds more than one idea.
const LONGEST: usize = 600;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Row of each module in `src/README.md`, and the modules of its own row that it may use.
const ROWS: &[(&str, u8, &[&str])] = &[
    ("main", 6, &[]),
    ("cli", 5, &["progress"]),
    ("progress", 5, &[]),
    ("pipeline", 4, &["config"]),
    ("config", 4, &[]),
    ("io", 3, &[]),
    ("report", 3, &[]),
    ("preprocess", 2, &[]),
    ("models", 2, &["preprocess", "train", "nn", "uncertainty", "graph"]),
    ("train", 2, &["nn"]),
    ("nn", 2, &[]),
    ("uncertainty", 2, &["graph"]),
    ("graph", 2, &[]),
    ("embedding", 2, &["graph"]),
    ("time", 2, &["graph"]),
    ("scores", 2, &["graph"]),
    ("permutation", 2, &[]),
    ("metrics", 2, &[]),
    ("simulate", 2, &[]),
    ("data", 1, &[]),
    ("hash", 0, &[]),
    ("kinetics", 0, &["error"]),
    ("neighbors", 0, &["error", "sparse", "stats"]),
    ("pca", 0, &["error", "sparse", "stats"]),
    ("sparse", 0, &["error", "stats"]),
    ("simd", 0, &[]),
    ("stats", 0, &["error"]),
    ("error", 0, &[]),
];

#[test]
fn a_module_uses_only_modules_of_rows_below_its_own() {
    let source = root().join("src");
    for path in rust_files(&source) {
        let relative = path.strip_prefix(&source).expect("below src");
        let first = relative.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
        let module = first.trim_end_matches(".rs");
        if module == "lib" {
            continue;
        }
        let &(_, row, beside) =
            ROWS.iter().find(|(name, _, _)| *name == module).unwrap_or_else(|| panic!("{module} has no row"));
        for used in uses(&fs::read_to_string(&path).expect("readable")) {
            let Some(&(_, below, _)) = ROWS.iter().find(|(name, _, _)| *name == used) else { continue };
            let allowed = used == module || below < row || beside.contains(&used.as_str());
            assert!(allowed, "{} uses crate::{used}", relative.display());
        }
    }
}

/// Modules named in `use crate::…;` statements, grouped ones included.
fn uses(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for statement in text.split("use crate::").skip(1) {
        let statement = statement.split(';').next().unwrap_or_default();
        let group = statement.strip_prefix('{').map_or(statement, |inner| inner.trim_end_matches('}'));
        let is_group = statement.starts_with('{');
        for part in group.split(',').take(if is_group { usize::MAX } else { 1 }) {
            found.push(part.trim().split("::").next().unwrap_or_default().to_owned());
        }
    }
    found
}

#[test]
fn no_file_is_longer_than_one_idea() {
    for folder in ["src", "tests", "benches"] {
        for path in rust_files(&root().join(folder)) {
            let lines = fs::read_to_string(&path).expect("readable").lines().count();
            assert!(lines <= LONGEST, "{} has {lines} lines", path.display());
        }
    }
}

#[test]
fn every_key_that_preprocessing_a_fit_and_the_graph_add_is_in_the_readme() {
    let readme = fs::read_to_string(root().join("README.md")).expect("readable");
    let keys = fs::read_to_string(root().join("src/io/keys.rs")).expect("readable");
    let section = |title: &str| {
        let text = keys.split(title).nth(1).expect("the section is there");
        text.split("// ---").next().expect("text")
    };
    let added =
        ["--- what preprocessing adds", "--- what a model adds", "--- what the velocity graph adds"].map(section);
    let names =
        added.into_iter().flat_map(str::lines).filter_map(|line| line.strip_prefix("pub const ")?.split('"').nth(1));
    let missing: Vec<&str> = names.filter(|name| !readme.contains(&format!("`{name}`"))).collect();
    // The categories of the split and the entries of velocity_params are values and members, not keys.
    let members = ["mode", "dynamical", "stochastic", "future_time", "capture_time", "moments_scaled", "train"];
    let missing: Vec<&str> = missing.into_iter().filter(|name| !members.contains(name)).collect();
    assert!(missing.is_empty(), "README.md does not name {missing:?}");
}

#[test]
fn every_model_has_a_card_and_an_example() {
    let models: [(&str, &[&str]); 4] = [
        ("velovae", &["velovae_basic", "velovae_full"]),
        ("steady_state", &["steady_state"]),
        ("dynamical", &["dynamical"]),
        ("soft_grid", &["soft_grid"]),
    ];
    for (model, examples) in models {
        assert!(root().join("models").join(model).join("README.md").exists(), "models/{model}/README.md");
        for example in examples {
            assert!(root().join("configs").join(format!("{example}.toml")).exists(), "configs/{example}.toml");
        }
    }
}
