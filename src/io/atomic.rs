//! An output file appears whole or not at all.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use crate::error::{Error, Result};

/// A file under construction beside the place where it will stand; dropped, it vanishes.
#[derive(Debug)]
pub(super) struct AtomicFile {
    file: NamedTempFile,
    output: PathBuf,
}

impl AtomicFile {
    /// Begins a file in the folder of `output`. A link is followed to the file it names.
    ///
    /// # Errors
    /// [`Error::File`] if the folder is missing or not writable, or `output` is a folder.
    pub(super) fn begin(output: &Path) -> Result<Self> {
        if output.is_dir() {
            return Err(Error::file(output, "write", "a folder is in the way"));
        }
        let output = fs::canonicalize(output).unwrap_or_else(|_| output.to_path_buf());
        let folder = folder_of(&output);
        let mut builder = Builder::new();
        builder.prefix(".nascent-").suffix(".tmp");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // As for any new file: what the umask leaves of this.
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let file = builder.tempfile_in(&folder).map_err(|error| Error::file(&output, "write", error))?;
        Ok(Self { file, output })
    }

    /// Where the file is while it is under construction.
    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    /// The final place, for messages.
    pub(super) fn output(&self) -> &Path {
        &self.output
    }

    /// Fills the file with a copy of another.
    ///
    /// # Errors
    /// [`Error::File`].
    pub(super) fn copy_from(&mut self, source: &Path) -> Result<()> {
        let mut reader = File::open(source).map_err(|error| Error::file(source, "read", error))?;
        std::io::copy(&mut reader, self.file.as_file_mut())
            .map_err(|error| Error::file(&self.output, "write", error))?;
        Ok(())
    }

    /// Sets disk space aside for as many bytes as `source` has, so that they can be written without fail. Does
    /// nothing where the file system cannot.
    ///
    /// # Errors
    /// [`Error::File`] if there is not enough space.
    pub(super) fn reserve_like(&self, source: &Path) -> Result<()> {
        let bytes = fs::metadata(source).map_err(|error| Error::file(source, "read", error))?.len();
        reserve(self.file.as_file(), bytes).map_err(|error| Error::file(&self.output, "write", error))
    }

    /// Puts the file in its place, replacing what is there, and returns its size in bytes.
    ///
    /// # Errors
    /// [`Error::File`]; then what stood at the place still stands there.
    pub(super) fn finish(self) -> Result<u64> {
        let Self { file, output } = self;
        let failed = |error: std::io::Error| Error::file(&output, "write", error);
        // HDF5 wrote through its own handle; syncing any handle syncs the file.
        let bytes = file.as_file().metadata().map_err(failed)?.len();
        // Gives back what is left of reserved space.
        file.as_file().set_len(bytes).map_err(failed)?;
        if let Ok(before) = fs::metadata(&output) {
            file.as_file().set_permissions(before.permissions()).map_err(failed)?;
        }
        file.as_file().sync_all().map_err(failed)?;
        file.persist(&output).map_err(|error| failed(error.error))?;
        // The rename itself is in the folder. Some file systems cannot sync a folder; the file is safe all the same.
        if let Ok(folder) = File::open(folder_of(&output)) {
            let _ = folder.sync_all();
        }
        Ok(bytes)
    }
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

#[cfg(target_os = "linux")]
fn reserve(file: &File, bytes: u64) -> std::io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;
    match fallocate(file, FallocateFlags::KEEP_SIZE, 0, bytes.max(1)) {
        Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(not(target_os = "linux"))]
#[allow(clippy::unnecessary_wraps)] // as on Linux
fn reserve(_: &File, _: u64) -> std::io::Result<()> {
    Ok(())
}
