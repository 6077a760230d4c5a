//! `nascent settings`: the settings files that come with the program.

use clap::Args;

use super::print;
use crate::config;
use crate::error::Result;

/// Each file names every setting with its default and what it does. `nascent settings soft_grid > mine.toml` is a file to begin from;
/// `nascent train soft_grid` takes it as it is.
#[derive(Args, Debug)]
pub(super) struct Settings {
    /// A model or variant, or graph: what comes after a fit [default: list the names]
    name: Option<String>,
}

impl Settings {
    pub(super) fn run(self) -> Result<()> {
        if let Some(name) = &self.name {
            return print(config::shipped(name)?.trim_end());
        }
        let mut listed = Vec::new();
        for name in config::shipped_names() {
            let about = config::shipped(name)?.lines().next().unwrap_or_default();
            listed.push(format!("{name:14}  {}", about.trim_start_matches("# ")));
        }
        print(&listed.join("\n"))
    }
}
