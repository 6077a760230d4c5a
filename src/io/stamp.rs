//! Whether a file is still the one that was read.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::{Error, Result};

/// What tells a file from another under the same name: results are put into a copy of the file whose counts were fitted, and of no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    path: PathBuf,
    of: About,
}

/// The system's number of the file, its size, and when it was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct About([u64; 2], u64, Option<SystemTime>);

impl Stamp {
    /// Of the file that now lies at `path`.
    ///
    /// # Errors
    /// [`Error::Input`] if there is none.
    pub fn of(path: &Path) -> Result<Self> {
        let about = fs::metadata(path).map_err(|_| Error::input(path, "file", "no such file", "check the path"))?;
        Ok(Self { path: path.to_path_buf(), of: About::new(&about) })
    }

    /// Where the file lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Fails unless the same file, unchanged, is still there.
    ///
    /// # Errors
    /// [`Error::Input`].
    pub fn require_same(&self) -> Result<()> {
        if fs::metadata(&self.path).is_ok_and(|about| About::new(&about) == self.of) {
            return Ok(());
        }
        Err(Error::input(
            &self.path,
            "file",
            "was changed or replaced after it was read: the results belong to what it held before, and were not written",
            "run it again; if the file is to be worked on meanwhile, give the program a copy",
        ))
    }
}

impl About {
    fn new(about: &Metadata) -> Self {
        Self(number(about), about.len(), about.modified().ok())
    }
}

/// The system's number of a file, which no other file has at the same time; systems without such numbers give all files the same.
#[cfg(unix)]
pub(crate) fn number(about: &Metadata) -> [u64; 2] {
    use std::os::unix::fs::MetadataExt;
    [about.dev(), about.ino()]
}

#[cfg(not(unix))]
pub(crate) fn number(_: &Metadata) -> [u64; 2] {
    [0, 0]
}
