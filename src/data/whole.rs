//! Files of a run's folder appear whole or not at all.

use std::fs::{self, File};
use std::io::{Result, Write};
use std::path::Path;

/// Writes `parts`, one behind the other, to a file beside `path` and renames it into its place: a kill leaves what was there, or all of
/// it. The folder must be there.
///
/// # Errors
/// If the system refuses, as when the disk is full; then what was at `path` still is, and what was written beside it is gone.
pub fn write_whole(path: &Path, parts: &[&[u8]]) -> Result<()> {
    let beside = path.with_extension("partial");
    let written = File::create(&beside).and_then(|mut file| {
        parts.iter().try_for_each(|part| file.write_all(part))?;
        file.sync_all()
    });
    let placed = written.and_then(|()| fs::rename(&beside, path));
    if placed.is_err() {
        // Part of a file is of no use to anybody, and takes space where there may be none left.
        let _ = fs::remove_file(&beside);
    }
    placed
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::write_whole;

    #[test]
    fn a_file_is_replaced_whole_and_what_cannot_be_placed_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("kept.json");
        write_whole(&path, &[b"first"]).expect("written");
        write_whole(&path, &[b"sec", b"ond"]).expect("written");
        assert_eq!(fs::read(&path).expect("readable"), b"second");
        // A folder with something in it cannot be replaced by a file.
        let full = folder.path().join("full.json");
        fs::create_dir_all(full.join("inner")).expect("created");
        write_whole(&full, &[b"text"]).expect_err("a folder is in the way");
        let mut left: Vec<_> =
            fs::read_dir(folder.path()).expect("readable").flatten().map(|entry| entry.file_name()).collect();
        left.sort();
        assert_eq!(left, ["full.json", "kept.json"]);
    }
}
