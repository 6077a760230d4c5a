//! The settings files that come with the program: a complete example of each model, which a word alone stands for.

use std::path::Path;

use crate::error::{Error, Result};

/// Names, and what the files in `configs/` hold. `velovae` is the name of the model, and the variant that it is without more settings.
const FILES: [(&str, &str); 10] = [
    ("soft_grid", include_str!("../../configs/soft_grid.toml")),
    ("steady_state", include_str!("../../configs/steady_state.toml")),
    ("dynamical", include_str!("../../configs/dynamical.toml")),
    ("velovae", include_str!("../../configs/velovae_full.toml")),
    ("velovae_full", include_str!("../../configs/velovae_full.toml")),
    ("velovae_basic", include_str!("../../configs/velovae_basic.toml")),
    ("velovae_counts", include_str!("../../configs/velovae_counts.toml")),
    ("velovi", include_str!("../../configs/velovi.toml")),
    ("velovi_joint", include_str!("../../configs/velovi_joint.toml")),
    ("graph", include_str!("../../configs/graph.toml")),
];

/// The settings that `path` is the name of, if it is one: a word alone. `./NAME` is a file.
pub(super) fn named(path: &Path) -> Option<&'static str> {
    FILES.iter().find(|(name, _)| path.as_os_str() == *name).map(|(_, text)| *text)
}

/// What to do where settings are wanted and none are found.
pub(super) fn hint() -> String {
    format!("`nascent settings NAME` prints a complete example: {}", shipped_names().join(", "))
}

/// The names of the settings files that come with the program.
#[must_use]
pub fn shipped_names() -> [&'static str; FILES.len()] {
    FILES.map(|(name, _)| name)
}

/// The text of the settings file `name` that comes with the program: every setting, and what it does.
///
/// # Errors
/// [`Error::Config`] if there is none of that name.
pub fn shipped(name: &str) -> Result<&'static str> {
    named(Path::new(name)).ok_or_else(|| Error::Config {
        place: name.to_owned(),
        problem: "no settings of this name come with the program".to_owned(),
        hint: hint(),
    })
}
