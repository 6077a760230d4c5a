//! The house rules that a machine can check.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use nascent::models::ModelConfig;

/// Lines after which a file holds more than one idea.
const LONGEST: usize = 600;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn rust_files(folder: &Path) -> Vec<PathBuf> {
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
    ("import", 4, &[]),
    ("io", 3, &[]),
    ("report", 3, &[]),
    ("exchange", 3, &[]),
    ("preprocess", 2, &[]),
    ("models", 2, &["preprocess", "train", "nn", "uncertainty", "graph", "scores"]),
    ("train", 2, &["nn"]),
    ("nn", 2, &[]),
    ("uncertainty", 2, &["graph"]),
    ("graph", 2, &[]),
    ("embedding", 2, &["graph"]),
    ("time", 2, &["graph"]),
    ("scores", 2, &["graph", "preprocess"]),
    ("permutation", 2, &[]),
    ("metrics", 2, &[]),
    ("simulate", 2, &[]),
    ("data", 1, &[]),
    ("hash", 0, &[]),
    ("kinetics", 0, &["error"]),
    ("negative_binomial", 0, &["simd"]),
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
        let text = fs::read_to_string(&path).expect("readable");
        let names = relative.with_extension("");
        let depth = names.components().filter(|name| name.as_os_str() != "mod").count();
        for used in uses(&text, depth) {
            let Some(&(_, below, _)) = ROWS.iter().find(|(name, _, _)| *name == used) else { continue };
            let allowed = used == module || below < row || beside.contains(&used.as_str());
            assert!(allowed, "{} uses crate::{used}", relative.display());
        }
    }
}

/// Names after every `crate::`, and after as many `super::` as lead there from a module that lies `depth` modules down; those of
/// groups in braces too. Comments are left out.
fn uses(text: &str, depth: usize) -> Vec<String> {
    let code: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let code = code.join("\n");
    let name = |rest: &str| -> String {
        rest.trim_start().chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
    };
    let mut found = Vec::new();
    for root in ["crate::".to_owned(), "super::".repeat(depth)] {
        for rest in code.split(&root).skip(1) {
            let Some(group) = rest.strip_prefix('{') else {
                found.push(name(rest));
                continue;
            };
            found.push(name(group));
            let mut level = 0;
            for (at, letter) in group.char_indices() {
                match letter {
                    ',' if level == 0 => found.push(name(&group[at + 1..])),
                    '{' => level += 1,
                    '}' if level == 0 => break,
                    '}' => level -= 1,
                    _ => (),
                }
            }
        }
    }
    found
}

#[test]
fn a_path_in_the_middle_of_a_line_is_a_use_too() {
    let text =
        "use crate::{data::{Fit, Run}, io};\nfn f(x: crate::graph::States) { super::super::cli::run(x) } // crate::nn";
    assert_eq!(uses(text, 2), ["data", "io", "graph", "cli"]);
    assert_eq!(uses(text, 3), ["data", "io", "graph"]);
}

/// Files and folders that section 4 of `src/README.md` names, by their paths in `src`: a line belongs to the folder above it that
/// is indented less, a line of words alone to the line before.
fn tree() -> BTreeSet<String> {
    const WORDS: usize = 20;
    let readme = fs::read_to_string(root().join("src/README.md")).expect("readable");
    let section = readme.split("\n## 4. ").nth(1).and_then(|text| text.split("\n## ").next()).expect("section 4");
    let block = section.split("```").nth(1).expect("the tree");
    let lines = block.lines().skip_while(|line| !line.starts_with("src/")).skip(1);
    let mut folders: Vec<(usize, String)> = vec![(0, String::new())];
    let mut named = BTreeSet::new();
    for line in lines.take_while(|line| line.is_empty() || line.starts_with(' ')) {
        let indent = line.len() - line.trim_start().len();
        let mut text = line.trim_start();
        if indent < WORDS && !text.is_empty() {
            while folders.len() > 1 && folders.last().is_some_and(|(above, _)| *above >= indent) {
                folders.pop();
            }
            if let Some((name, rest)) =
                text.split_once(' ').or(Some((text, ""))).filter(|(name, _)| name.ends_with('/'))
            {
                let path = format!("{}{name}", folders.last().expect("src").1);
                named.insert(path.clone());
                folders.push((indent, path));
                text = rest;
            }
        }
        let folder = &folders.last().expect("src").1;
        let is_part = |letter: char| letter.is_alphanumeric() || "_-./".contains(letter);
        for word in text.split(|letter| !is_part(letter)).map(|word| word.trim_end_matches('.')) {
            let above = word.rfind('/').map(|at| &word[..=at]).filter(|above| above.len() > 1);
            named.extend(above.map(|above| format!("{folder}{above}")));
            if is_source(word) {
                named.insert(format!("{folder}{word}"));
            }
        }
    }
    named
}

/// Sources but `mod.rs`, which every folder has.
fn is_source(path: &str) -> bool {
    let extension = Path::new(path).extension().and_then(|extension| extension.to_str());
    let is_mod = path == "mod.rs" || path.ends_with("/mod.rs");
    !is_mod && extension.is_some_and(|extension| ["rs", "js", "css", "html"].contains(&extension))
}

fn folders_and_sources(folder: &Path, above: &str, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("readable") {
        let entry = entry.expect("readable");
        let path = format!("{above}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            folders_and_sources(&entry.path(), &format!("{path}/"), found);
            found.insert(format!("{path}/"));
        } else if is_source(&path) {
            found.insert(path);
        }
    }
}

#[test]
fn the_tree_in_the_architecture_page_is_that_of_the_folder() {
    let (named, mut there) = (tree(), BTreeSet::new());
    folders_and_sources(&root().join("src"), "", &mut there);
    let (missing, gone): (Vec<_>, Vec<_>) = (there.difference(&named).collect(), named.difference(&there).collect());
    assert!(
        missing.is_empty() && gone.is_empty(),
        "src/README.md, section 4: under the line of its folder, add {missing:?}; remove {gone:?}"
    );
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
fn the_readme_leads_to_every_key() {
    let readme = fs::read_to_string(root().join("README.md")).expect("readable");
    assert!(readme.contains("(docs/keys.md)"), "README.md does not link to docs/keys.md");
}

#[test]
fn every_model_has_a_card_and_an_example() {
    let examples: Vec<String> = fs::read_dir(root().join("configs"))
        .expect("readable")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.is_file())
        .map(|path| fs::read_to_string(path).expect("readable"))
        .collect();
    for model in ModelConfig::KINDS {
        assert!(root().join("models").join(model).join("README.md").exists(), "models/{model}/README.md");
        let kind = format!("\nkind = \"{model}\"");
        assert!(examples.iter().any(|example| example.contains(&kind)), "no file of configs/ has{kind}");
    }
}

#[test]
fn whatever_the_page_of_faults_says_a_test_or_a_script_shows() {
    let text = fs::read_to_string(root().join("docs/faults.md")).expect("readable");
    let tests: String =
        rust_files(&root().join("tests/it")).iter().map(|path| fs::read_to_string(path).expect("readable")).collect();
    let rows = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| fault |"));
    let mut n_rows = 0;
    for row in rows {
        n_rows += 1;
        let shown = row.trim_end_matches(" |").rsplit(" | ").next().expect("a column");
        let names: Vec<&str> = shown.split(", ").map(|name| name.trim_matches('`')).collect();
        for name in names {
            let there = if name.starts_with("scripts/") {
                root().join(name).exists()
            } else {
                tests.contains(&format!("fn {name}()"))
            };
            assert!(there, "{name}: {row}");
        }
    }
    assert!(n_rows > 20, "{n_rows}");
}

/// Files that `include_str!` and `include_bytes!` put into the program, as `configs/soft_grid.toml`.
fn included() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in rust_files(&root().join("src")) {
        let text = fs::read_to_string(&file).expect("readable");
        for words in ["include_str!(\"", "include_bytes!(\""] {
            for rest in text.split(words).skip(1) {
                let name = rest.split('"').next().expect("a name");
                let path = file.parent().expect("a folder").join(name).canonicalize().expect("it is there");
                let within = path.strip_prefix(root().canonicalize().expect("it is there")).expect("one of ours");
                found.insert(within.to_str().expect("UTF-8").to_owned());
            }
        }
    }
    found
}

#[test]
fn the_container_gets_every_file_that_the_program_is_built_from() {
    let read = |name: &str| fs::read_to_string(root().join("packaging/docker").join(name)).expect("readable");
    let (build, heeded) = (read("Dockerfile"), read("Dockerfile.dockerignore"));
    // Of a line `COPY A B TO` in the first stage, A and B.
    let stage = build.split("\nFROM ").nth(1).expect("a stage");
    let copies = stage.lines().filter_map(|line| line.strip_prefix("COPY ")).flat_map(|words| {
        let words: Vec<&str> = words.split(' ').collect();
        words[..words.len() - 1].to_vec()
    });
    let copies: Vec<&str> = copies.collect();
    let heeded: Vec<&str> = heeded.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let files = included();
    assert!(files.contains("src/report/page/page.html"));
    for file in files.iter().map(String::as_str).chain(["Cargo.toml", "Cargo.lock", "src/main.rs"]) {
        let among = |paths: &[&str]| paths.iter().any(|path| Path::new(file).starts_with(path));
        assert!(among(&copies), "{file}: no COPY in Dockerfile");
        assert!(among(&heeded), "{file}: not in Dockerfile.dockerignore");
    }
}
