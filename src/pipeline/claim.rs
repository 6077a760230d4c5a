//! By what the folder of a run is known, and the lock that one process at a time holds on it.

use std::fs::{self, File, TryLockError};
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};

use crate::data::Reporter;
use crate::error::{Error, Result};
use crate::io::file_number;

/// The file in the folder of every run: what the folder is, and, while a process works there, which one. It is locked that long.
pub const MARK: &str = ".nascent-run";

/// How the mark of a folder begins that a run has been made in. `config.toml` is a name that others use, too.
const WORDS: &str = "A run of nascent: nascent train makes, replaces and moves what is here.\n";

/// Whether a run of ours has been made in the folder `dir`.
pub(super) fn is_marked(dir: &Path) -> bool {
    fs::read_to_string(dir.join(MARK)).is_ok_and(|text| text.starts_with(WORDS))
}

/// The right to work in a folder, as long as it lives. Folders that were made for it and in which no run was made go with it.
#[derive(Debug)]
pub(super) struct Claim {
    mark: PathBuf,
    file: File,
    is_run: bool,
    made: Vec<PathBuf>,
}

impl Claim {
    /// Claims the folder `dir`, which is made if it is not there.
    ///
    /// # Errors
    /// [`Error::Config`] naming the process that works there; [`Error::File`] if the system refuses.
    pub(super) fn take(dir: &Path, reporter: &mut dyn Reporter) -> Result<Self> {
        let mark = dir.join(MARK);
        let failed = |reason| Error::file(dir, "write in the folder of", reason);
        let absent = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
        let mut made: Vec<PathBuf> = dir.ancestors().take_while(absent).map(Path::to_path_buf).collect();
        loop {
            fs::create_dir_all(dir).map_err(failed)?;
            let is_new = !mark.exists();
            let mut options = File::options();
            let file = options.read(true).write(true).create(true).truncate(false).open(&mark).map_err(failed)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(taken(dir, &mark)),
                Err(TryLockError::Error(reason)) => reporter.warn(&format!(
                    "{}: cannot be locked ({reason}): take care that no other run is given this folder",
                    dir.display()
                )),
            }
            // Whoever held the lock may have removed the file, which then is locked for nobody, or moved the folder aside.
            if !is_at(&file, &mark) {
                continue;
            }
            if is_new {
                made.insert(0, mark.clone());
            }
            let mut claim = Self { is_run: is_marked(dir), mark, file, made };
            claim.sign(&owner()).map_err(failed)?;
            return Ok(claim);
        }
    }

    /// The same for the folder that is made where the claimed one, which was moved aside, has been.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub(super) fn renew(&mut self, dir: &Path, reporter: &mut dyn Reporter) -> Result<()> {
        self.is_run = true;
        *self = Self::take(dir, reporter)?;
        Ok(())
    }

    /// Marks the folder as that of a run.
    ///
    /// # Errors
    /// If the system refuses.
    pub(super) fn mark(&mut self) -> std::io::Result<()> {
        self.is_run = true;
        self.sign(&owner())
    }

    fn sign(&mut self, owner: &str) -> std::io::Result<()> {
        let words = if self.is_run { WORDS } else { "" };
        self.file.rewind()?;
        self.file.set_len(0)?;
        self.file.write_all(format!("{words}{owner}").as_bytes())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // What cannot be tidied up does no harm: the lock is what counts, and it ends with the file.
        let _ = self.sign("");
        if !self.is_run {
            for path in &self.made {
                let _ = if *path == self.mark { fs::remove_file(path) } else { fs::remove_dir(path) };
            }
        }
    }
}

/// This process, in words.
fn owner() -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { String::new() } else { format!(" on {}", host.trim()) };
    format!("process {}{host}\n", std::process::id())
}

fn taken(dir: &Path, mark: &Path) -> Error {
    let text = fs::read_to_string(mark).unwrap_or_default();
    let owner = text.lines().find(|line| line.starts_with("process ")).unwrap_or("another process");
    Error::Config {
        place: dir.display().to_string(),
        problem: format!("another run works in this folder: {owner}"),
        hint: "wait until it has ended, or name another folder with --run DIR".to_owned(),
    }
}

/// Whether the open `file` is the one at `path`.
fn is_at(file: &File, path: &Path) -> bool {
    let numbers = [file.metadata(), fs::metadata(path)].map(|about| about.ok().as_ref().map(file_number));
    numbers[0].is_some() && numbers[0] == numbers[1]
}

#[cfg(test)]
mod tests {
    use super::{Claim, MARK, is_marked};
    use crate::data::Silent;

    #[test]
    fn a_folder_is_claimed_once_at_a_time_and_one_that_no_run_was_made_in_goes_with_the_claim() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let dir = folder.path().join("deep/fit.run");
        let first = Claim::take(&dir, &mut Silent).expect("nobody is there");
        let refused = Claim::take(&dir, &mut Silent).expect_err("somebody is there").to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        drop(first);
        assert!(!folder.path().join("deep").exists());

        let mut second = Claim::take(&dir, &mut Silent).expect("nobody is there any more");
        assert!(!is_marked(&dir));
        second.mark().expect("written");
        drop(second);
        assert!(is_marked(&dir) && !std::fs::read_to_string(dir.join(MARK)).expect("text").contains("process"));
    }
}
