//! Files that this process has under construction, to be removed if it ends without coming back to them.

use std::fs;
use std::io::Result;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

static LIST: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Removes the files under construction, as the program is about to end. None can be begun any more: whoever tries waits for the end.
pub fn remove_unfinished() {
    let unfinished = list();
    for path in unfinished.iter() {
        let _ = fs::remove_file(path);
    }
    std::mem::forget(unfinished);
}

/// The list, also where somebody panicked who held it: each change to it is one call.
fn list() -> MutexGuard<'static, Vec<PathBuf>> {
    LIST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// As long as it lives, a file is under construction.
#[derive(Debug)]
pub struct Unfinished(PathBuf);

impl Unfinished {
    /// What `make` makes, which is under construction from its first moment on.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn made<T: AsRef<Path>>(make: impl FnOnce() -> Result<T>) -> Result<(T, Self)> {
        let mut unfinished = list();
        let file = make()?;
        let path = file.as_ref().to_path_buf();
        unfinished.push(path.clone());
        Ok((file, Self(path)))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        list().retain(|path| *path != self.0);
    }
}
