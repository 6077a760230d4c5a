//! An output file appears whole or not at all.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use tempfile::{Builder, NamedTempFile};

use super::stamp::Stamp;
use crate::data::Unfinished;
use crate::error::{Error, Result};

/// What the names of files under construction begin and end with.
const PREFIX: &str = ".nascent-";
/// See [`PREFIX`].
const SUFFIX: &str = ".tmp";

/// A file under construction beside the place where it will stand; dropped, it vanishes.
#[derive(Debug)]
pub(super) struct AtomicFile {
    file: NamedTempFile,
    output: PathBuf,
    listed: Unfinished,
}

impl AtomicFile {
    /// Begins a file in the folder of `output`. A link is followed to the file it names, whether that is there yet or not. Files that
    /// others began in the same folder and were killed over are removed.
    ///
    /// # Errors
    /// [`Error::File`] if the folder is missing or not writable, or at `output` is anything but a file that may be written.
    pub(super) fn begin(output: &Path) -> Result<Self> {
        let output = followed(output)?;
        refuse_what_is_no_file(&output)?;
        let folder = folder_of(&output);
        remove_abandoned(&folder);
        let mut builder = Builder::new();
        builder.prefix(PREFIX).suffix(SUFFIX);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // As for any new file: what the umask leaves of this.
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let (file, listed) = Unfinished::made(|| builder.tempfile_in(&folder)).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::file(&output, "write", format!("there is no folder {}", folder.display()))
                .hinted(format!("make it first: mkdir -p '{}'", folder.display())),
            _ => Error::file(&output, "write", system(&error)),
        })?;
        // Says to others that somebody is at work here; goes with the process, however that ends.
        let _ = file.as_file().try_lock();
        Ok(Self { file, output, listed })
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

    /// Puts the file in its place, replacing what is there, and returns its size in bytes; only if what it was made from is as it was `read`.
    ///
    /// # Errors
    /// [`Error::File`], or [`Error::Input`] of what was read; then what stood at the place still stands there.
    pub(super) fn finish(self, read: Option<&Stamp>) -> Result<u64> {
        let Self { file, output, listed } = self;
        let failed = |error: std::io::Error| Error::file(&output, "write", error);
        // HDF5 wrote through its own handle; syncing any handle syncs the file.
        let bytes = file.as_file().metadata().map_err(failed)?.len();
        // Gives back what is left of reserved space.
        file.as_file().set_len(bytes).map_err(failed)?;
        if let Ok(before) = fs::metadata(&output) {
            keep_owner(file.as_file(), &before);
            file.as_file().set_permissions(before.permissions()).map_err(failed)?;
        }
        file.as_file().sync_all().map_err(failed)?;
        // Of two commands that put their results into the same file, the second waits here, and then sees that the file is another one.
        let _turn = turn(&folder_of(&output));
        read.map_or(Ok(()), Stamp::require_same)?;
        file.persist(&output).map_err(|error| failed(error.error))?;
        drop(listed);
        // The rename itself is in the folder. Some file systems cannot sync a folder; the file is safe all the same.
        if let Ok(folder) = File::open(folder_of(&output)) {
            let _ = folder.sync_all();
        }
        Ok(bytes)
    }
}

/// A lock on a folder, under which one program at a time looks at a file in it and replaces it. Where the folder cannot be locked, or somebody
/// holds it for long, there is none.
fn turn(folder: &Path) -> Option<File> {
    const TRIES: u32 = 1000;
    let opened = File::open(folder).ok()?;
    for _ in 0..TRIES {
        match opened.try_lock() {
            Ok(()) => return Some(opened),
            Err(TryLockError::WouldBlock) => sleep(Duration::from_millis(10)),
            Err(TryLockError::Error(_)) => return None,
        }
    }
    None
}

/// Where `output` leads: through links, also to what is not there yet.
fn followed(output: &Path) -> Result<PathBuf> {
    /// As many as Linux follows.
    const MOST: usize = 40;
    let mut path = output.to_path_buf();
    for _ in 0..MOST {
        match fs::read_link(&path) {
            Ok(target) => path = folder_of(&path).join(target),
            Err(_) => return Ok(path),
        }
    }
    Err(Error::file(output, "write", "the links lead in a circle"))
}

/// Fails if something is at `output` that is not to be replaced by a file: a folder, a pipe, a device, a file that is protected.
fn refuse_what_is_no_file(output: &Path) -> Result<()> {
    let Ok(there) = fs::metadata(output) else { return Ok(()) };
    let refused = |why: &str, hint: &str| Err(Error::file(output, "write", why).hinted(hint));
    if there.is_dir() {
        return refused("a folder is in the way", "give the name of a file");
    }
    if !there.is_file() {
        return refused("it is not a regular file but a pipe, a socket or a device", "give the name of a file");
    }
    if there.permissions().readonly() || !may_write(output) {
        return refused("the file is read-only", "give another --output, or allow writing: chmod u+w FILE");
    }
    Ok(())
}

#[cfg(unix)]
fn may_write(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok()
}

#[cfg(not(unix))]
fn may_write(_: &Path) -> bool {
    true
}

/// Removes files under construction whose program is gone. Nobody holds their lock, and they are not just being made.
fn remove_abandoned(folder: &Path) {
    const AGE: Duration = Duration::from_mins(1);
    let old = |file: &File| {
        file.metadata().and_then(|about| about.modified()).is_ok_and(|then| then.elapsed().is_ok_and(|age| age > AGE))
    };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with(PREFIX) || !name.ends_with(SUFFIX) || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let Ok(file) = File::open(entry.path()) else { continue };
        if old(&file) && file.try_lock().is_ok() {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Gives a file the owner and group of the one that it replaces, as far as the system lets us.
#[cfg(unix)]
fn keep_owner(file: &File, before: &fs::Metadata) {
    use std::os::unix::fs::MetadataExt;
    let Ok(now) = file.metadata() else { return };
    if (now.uid(), now.gid()) != (before.uid(), before.gid()) {
        // Both where that is allowed, else the group alone, which its members may give.
        if std::os::unix::fs::fchown(file, Some(before.uid()), Some(before.gid())).is_err() {
            let _ = std::os::unix::fs::fchown(file, None, Some(before.gid()));
        }
    }
}

#[cfg(not(unix))]
fn keep_owner(_: &File, _: &fs::Metadata) {}

/// The system's own words: `tempfile` adds the name of the file, which is not the one that was asked for.
fn system(error: &std::io::Error) -> String {
    let inner = error.get_ref().and_then(std::error::Error::source);
    inner.map_or_else(|| error.to_string(), ToString::to_string)
}

/// The folder in which a file lies.
pub(super) fn folder_of(path: &Path) -> PathBuf {
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
