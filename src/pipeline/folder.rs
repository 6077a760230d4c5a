//! The folder of a run: whose it is, when it is made ready, and what must be the same when a run is resumed.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use toml::{Table, Value};

use super::Job;
use super::claim::{self, Claim};
use super::train::Prepared;
use crate::config::Config;
use crate::data::{Reporter, Run, write_whole};
use crate::error::{Error, Result};
use crate::hash::fnv1a;

/// The settings of a run, in its folder.
const SETTINGS: &str = "config.toml";

/// The claim on a run's folder, which the run and whoever began it hold.
pub(super) type Claimed = Arc<Mutex<Claim>>;

/// Checks, before any work, that `job` may use its folder, and claims it. What is there stays as it is.
///
/// # Errors
/// [`Error::Config`] if the folder is that of something else, another process works there, or the run is to be resumed and its model
/// leaves no checkpoints; [`Error::File`] if the folder could not be made.
pub(super) fn claim(config: &Config, job: &Job, reporter: &mut dyn Reporter) -> Result<Claimed> {
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
        hint: "name another with --run DIR; what is there is not touched".to_owned(),
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
    tempfile::tempfile_in(standing).map(drop).map_err(failed)?;
    if !config.model.entry().resumes {
        let kind = config.model.kind();
        reporter.say(&format!("a fit of {kind} keeps no checkpoint: if it is interrupted, it begins anew"));
    }
    Claim::take(&job.run, reporter).map(|claim| Arc::new(Mutex::new(claim)))
}

/// The run of `job`, which makes its folder ready when there is something to write, if it has claimed it.
pub(super) fn run(
    config: &Config,
    job: &Job,
    data: Option<&Prepared>,
    claimed: Option<&Claimed>,
    reporter: Box<dyn Reporter>,
) -> Run {
    let run = Run::new(&job.run, config.seed, fingerprint(config, data), reporter).resuming(job.resume);
    let Some(claimed) = claimed.map(Arc::clone) else { return run };
    let (settings, dir, resume) = (config.to_toml(), job.run.clone(), job.resume);
    run.prepared_by(Box::new(move |reporter| {
        let mut claim = claimed.lock().unwrap_or_else(PoisonError::into_inner);
        open(&dir, &settings, resume, &mut claim, reporter)
    }))
}

/// Makes the folder `dir` with `settings` in it. A run that is there and is not resumed is moved aside, whole.
fn open(dir: &Path, settings: &str, resume: bool, claim: &mut Claim, reporter: &mut dyn Reporter) -> Result<()> {
    let failed = |action: &'static str| move |reason| Error::file(dir, action, reason);
    if !resume && matches!(Found::at(dir)?, Found::Run) {
        let aside = free_name(dir);
        fs::rename(dir, &aside).map_err(failed("move aside"))?;
        let (from, to) = (dir.display(), aside.display());
        reporter.say(&format!("the earlier run in {from} was moved to {to} (--resume would have continued it)"));
        claim.renew(dir, reporter)?;
    }
    claim.mark().map_err(failed("write in the folder of"))?;
    // Beside its place, then renamed: a kill leaves whole settings. Of a resumed run they may differ in what is free.
    write_whole(&dir.join(SETTINGS), &[settings.as_bytes()]).map_err(failed("write config.toml in"))
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
        let failed = |reason| Error::file(dir, "read", reason);
        let names = fs::read_dir(dir).map_err(failed)?.map(|entry| entry.map(|entry| entry.file_name()));
        let names = names.collect::<std::io::Result<Vec<_>>>().map_err(failed)?;
        Ok(match names.iter().all(|name| name == claim::MARK) {
            true => Self::Nothing,
            false if claim::is_marked(dir) || is_of_earlier_version(dir) => Self::Run,
            false => Self::Other,
        })
    }
}

/// Whether a run without a mark is there: of what earlier versions left, only a checkpoint is certain to be ours.
fn is_of_earlier_version(dir: &Path) -> bool {
    let mut begins = [0; 7];
    let read = File::open(dir.join("checkpoints/last.ckpt")).and_then(|mut file| file.read_exact(&mut begins));
    read.is_ok() && begins == *b"nascent" && dir.join(SETTINGS).exists()
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
