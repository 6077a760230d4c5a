//! What tests need from outside of the repository: the folder `shared` beside it, and Pythons.
//!
//! Where `CI` or `NASCENT_TEST_ALL` is set, as `scripts/test` does, a test that lacks them fails; elsewhere it skips and says so.

use std::env;
use std::io::Write;
use std::path::PathBuf;

/// A file of the folder `shared` by its path in it, such as `data/pancreas.h5ad`; `None` where there is no such folder.
///
/// # Panics
/// If the folder is there and the file is not: a test that names no file would skip for ever.
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared"));
    if !folder.exists() {
        skip(&format!("{} is not there, which has {name}", folder.display()));
        return None;
    }
    let path = folder.join(name);
    assert!(path.exists(), "{} is not there", path.display());
    Some(path)
}

/// Pythons with anndata, from `NASCENT_PYTHON`, where colons stand between several.
#[cfg(feature = "h5ad")]
pub(crate) fn pythons() -> Vec<String> {
    let named = env::var("NASCENT_PYTHON").unwrap_or_default();
    let pythons: Vec<String> = named.split(':').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    if pythons.is_empty() {
        skip("NASCENT_PYTHON names no Python with anndata; scripts/anndata_pythons makes and names some");
    }
    pythons
}

fn skip(reason: &str) {
    let set = |name: &str| env::var(name).is_ok_and(|value| !["", "0", "false"].contains(&value.as_str()));
    assert!(!set("CI") && !set("NASCENT_TEST_ALL"), "{reason}, and no test may skip here");
    // Not `eprintln!`, of which nothing is seen when a test passes.
    let test = std::thread::current();
    let _ = writeln!(std::io::stderr(), "SKIPPED {}: {reason}", test.name().unwrap_or("a test"));
}
