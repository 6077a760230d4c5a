//! The folder of a run: whose it is, when it is made ready, and what must be the same when a run is resumed.

use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::Job;
use super::train::Prepared;
use crate::config::Config;
use crate::data::{Reporter, Run};
use crate::error::{Error, Result};
use crate::hash::fnv1a;

/// The settings of a run, in its folder.
const SETTINGS: &str = "config.toml";

/// Checks, before any work, that `job` may use its folder. Nothing is written.
///
/// # Errors
/// [`Error::Config`] if the folder is that of something else, or the run is to be resumed and its model leaves no checkpoints;
/// [`Error::File`] if the folder could not be made.
pub(super) fn check(config: &Config, job: &Job) -> Result<()> {
    if job.resume && !config.model.entry().resumes {
        return Err(Error::Config {
            place: "--resume".to_owned(),
            problem: format!("a fit of {} leaves no checkpoint to resume from", config.model.kind()),
            hint: "leave out --resume: the fit begins anew, and a run of the same name is moved aside".to_owned(),
        });
    }
    let found = Found::at(&job.run)?;
    let unusable = |problem: &str| Error::Config {
        place: job.run.display().to_string(),
        problem: problem.to_owned(),
        hint: "name another with --run DIR".to_owned(),
    };
    let to_move = matches!(found, Found::Run) && !job.resume;
    if matches!(found, Found::Other) {
        return Err(unusable("is not the folder of a run, and not empty"));
    }
    if to_move && job.run.file_name().is_none() {
        return Err(unusable("holds a run, and has no name under which it can be moved aside"));
    }
    // Files can be made where the folder stands, or will.
    let mut around = job.run.ancestors().skip(usize::from(to_move));
    let standing = around.find(|folder| folder.exists()).unwrap_or(Path::new("."));
    let failed = |reason| Error::file(&job.run, "write in the folder of", reason);
    tempfile::tempfile_in(standing).map(drop).map_err(failed)
}

/// The run of `job`, which makes its folder ready when there is something to write.
pub(super) fn run(config: &Config, job: &Job, data: Option<&Prepared>, reporter: Box<dyn Reporter>) -> Run {
    let (settings, dir, resume) = (config.to_toml(), job.run.clone(), job.resume);
    Run::new(&job.run, config.seed, fingerprint(config, data), reporter)
        .resuming(resume)
        .prepared_by(Box::new(move |reporter| open(&dir, &settings, resume, reporter)))
}

/// Makes the folder `dir` with `settings` in it. A run that is there and is not resumed is moved aside, whole.
fn open(dir: &Path, settings: &str, resume: bool, reporter: &mut dyn Reporter) -> Result<()> {
    let failed = |action: &'static str| move |reason| Error::file(dir, action, reason);
    if !resume && matches!(Found::at(dir)?, Found::Run) {
        let aside = free_name(dir);
        fs::rename(dir, &aside).map_err(failed("move aside"))?;
        let (from, to) = (dir.display(), aside.display());
        reporter.say(&format!("the earlier run in {from} was moved to {to} (--resume would have continued it)"));
    }
    fs::create_dir_all(dir).map_err(failed("create the folder"))?;
    // Beside its place, then renamed: without its settings a folder is no run's. Of a resumed run they may differ in what is free.
    let beside = dir.join("config.partial");
    fs::write(&beside, settings).map_err(failed("write config.toml in"))?;
    fs::rename(&beside, dir.join(SETTINGS)).map_err(failed("write config.toml in"))
}

/// What stands where a run's folder is to be.
enum Found {
    Nothing,
    Run,
    Other,
}

impl Found {
    fn at(dir: &Path) -> Result<Self> {
        if !dir.exists() {
            return Ok(Self::Nothing);
        }
        let mut entries = fs::read_dir(dir).map_err(|reason| Error::file(dir, "read", reason))?;
        Ok(match (dir.join(SETTINGS).exists(), entries.next().is_none()) {
            (true, _) => Self::Run,
            (false, true) => Self::Nothing,
            (false, false) => Self::Other,
        })
    }
}

/// `dir.1`, or the first number of which there is no file or folder.
fn free_name(dir: &Path) -> PathBuf {
    let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut candidates = (1_u64..).map(|number| dir.with_file_name(format!("{name}.{number}")));
    candidates.find(|path| path.symlink_metadata().is_err()).expect("numbers do not end")
}

/// What must be the same before and after a resumption, one line each: the settings that decide the result, by their dotted keys,
/// and a hash of the data.
pub(super) fn fingerprint(config: &Config, data: Option<&Prepared>) -> String {
    let settings = Table::try_from(config).expect("settings are numbers, words, lists and tables");
    let mut lines = Vec::new();
    flatten(&settings, "", &mut lines);
    if let Some(data) = data {
        let Prepared { data, counts } = data;
        let moments = fnv1a(data.mu.iter().chain(&data.ms).flat_map(|value| value.to_bits().to_le_bytes()));
        lines.push(format!("data = {counts}; moments of {} genes, {moments:016x}", data.n_vars()));
    }
    lines.sort();
    lines.join("\n")
}

/// Sections and settings that may differ between the parts of one run.
const FREE: [&str; 3] = ["output", "model.train.device", "model.train.checkpoint_seconds"];

fn flatten(table: &Table, prefix: &str, lines: &mut Vec<String>) {
    for (name, value) in table {
        let key = format!("{prefix}{name}");
        match value {
            _ if FREE.contains(&key.as_str()) => {}
            Value::Table(inner) => flatten(inner, &format!("{key}."), lines),
            value => lines.push(format!("{key} = {value}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fingerprint;
    use crate::config::Config;

    fn lines(kind: &str, change: impl Fn(&mut Config)) -> Vec<String> {
        let mut config = Config::default_for(kind).expect("a model");
        change(&mut config);
        fingerprint(&config, None).lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_fingerprint_has_every_decisive_setting_under_its_dotted_key_and_no_other() {
        let before = lines("soft_grid", |_| {});
        assert!(before.contains(&"model.grid = 100".to_owned()), "{before:?}");
        assert!(before.contains(&"preprocess.recipe = \"scvelo-0.3\"".to_owned()), "{before:?}");
        assert!(!before.iter().any(|line| line.starts_with("output")), "{before:?}");
        assert_eq!(before, lines("soft_grid", |config| config.output.compression = 9));
        assert_ne!(before, lines("soft_grid", |config| config.seed = 7));
        // What is called like a section is no end of the settings.
        let trap = |seed| {
            lines("soft_grid", move |config| {
                config.input.spliced = "[output]".to_owned();
                config.seed = seed;
            })
        };
        assert_ne!(trap(1), trap(2));
    }
}
