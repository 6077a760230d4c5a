//! What a run that holds all cells will need of memory, told before it starts, and refused where it cannot be there.
//!
//! Counted is what every model holds at once, so that the true need is larger, by a factor of 1.5 to 4 in most runs: the counts of both
//! species and X (a value and its column for each entry), moments of both species and the velocity (one number for each cell and kept gene).

use std::fs;

use crate::config::Config;
use crate::data::Reporter;
use crate::error::{Error, Result};
use crate::io::{Sizes, told_by_system};
use crate::preprocess::PreprocessConfig;

/// Tells what the run of `config` on counts of these sizes needs at least.
///
/// # Errors
/// [`Error::Data`] if that is more than there is, with the settings that would help.
pub(super) fn tell(config: &Config, sizes: &Sizes, reporter: &mut dyn Reporter) -> Result<()> {
    let needed = least(config, sizes);
    let Some(there) = available() else {
        reporter.say(&format!("at least {} of memory are needed", words(needed)));
        return Ok(());
    };
    if needed > there {
        let Sizes { n_obs, n_vars, .. } = sizes;
        return Err(Error::Data {
            problem: format!(
                "{n_obs} cells x {n_vars} genes need at least {} of memory, and {} are free",
                words(needed),
                words(there)
            ),
            hint: "take cells some at a time: the soft grid, or VeloVAE with model.likelihood = \"counts\", and model.stream = true; or keep \
                   fewer genes: preprocess.n_top_genes; or use a machine, or a job of the cluster, with more memory"
                .to_owned(),
        });
    }
    reporter.say(&format!("at least {} of memory are needed; {} are free", words(needed), words(there)));
    Ok(())
}

/// Bytes that are held at once, whatever the model.
fn least(config: &Config, sizes: &Sizes) -> usize {
    /// A value and its column.
    const ENTRY: usize = 8;
    /// Of cells and kept genes: Mu, Ms, velocity.
    const MATRICES: usize = 3;
    let PreprocessConfig { n_top_genes, genes, genes_from, .. } = &config.preprocess;
    // What filters leave is not known yet.
    let kept = match (genes.len(), genes_from.as_str()) {
        (0, "") => (*n_top_genes).min(sizes.n_vars),
        (0, "all") => sizes.n_vars,
        (0, _) => 0,
        (listed, _) => listed,
    };
    let moments = sizes.n_obs.saturating_mul(kept).saturating_mul(MATRICES * size_of::<f32>());
    sizes.entries.saturating_mul(ENTRY).saturating_add(moments)
}

/// Bytes that this process may still take: of the machine, of its group (a job of a cluster, a container), of its own limit. `None` where the
/// system does not say.
fn available() -> Option<usize> {
    let first = |path: &str, key: &str| told_by_system(path, key)?.split_whitespace().next()?.parse::<usize>().ok();
    let kib = |path: &str, key: &str| Some(first(path, key)? << 10);
    let machine = kib("/proc/meminfo", "MemAvailable:");
    let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<usize>().ok();
    let group = number("/sys/fs/cgroup/memory.max")
        .and_then(|most| Some(most.saturating_sub(number("/sys/fs/cgroup/memory.current")?)));
    let own = || {
        let most = first("/proc/self/limits", "Max address space")?;
        Some(most.saturating_sub(kib("/proc/self/status", "VmSize:")?))
    };
    [machine, group, own()].into_iter().flatten().min()
}

/// As `1.2 GB`.
fn words(bytes: usize) -> String {
    match bytes as f64 {
        few if few < 1e9 => format!("{:.0} MB", few / 1e6),
        many => format!("{:.1} GB", many / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Silent;

    #[test]
    fn what_cannot_be_held_is_refused_with_what_would_help_and_what_can_is_told() {
        let config = Config::load(None, &["preprocess.n_top_genes=2000".to_owned()]).expect("a setting");
        let sizes = Sizes { n_obs: 1_000, n_vars: 30_000, entries: 1_000_000 };
        assert_eq!(least(&config, &sizes), 8_000_000 + 1_000 * 2_000 * 12);
        tell(&config, &sizes, &mut Silent).expect("32 MB are there");
        let error = tell(&config, &Sizes { n_obs: 1 << 50, ..sizes }, &mut Silent).expect_err("not on this machine");
        let hint = error.hint().expect("a hint");
        assert!(error.to_string().contains("need at least") && hint.contains("model.stream = true"), "{error}: {hint}");
    }
}
