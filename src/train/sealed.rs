//! Files of a run's folder that are whole and unchanged, or refused.
//!
//! ```text
//! "nascent3" | FNV-1a of all that follows, u64 | contents
//! ```
//!
//! A disk that flips a bit or loses a block says nothing of it, and parameters are numbers of which any is possible: without the
//! sum a run would go on from them to another result.

use std::fs;
use std::path::Path;

use crate::data::write_whole;
use crate::error::{Error, Result};
use crate::hash::fnv1a;

const MAGIC: &[u8; 8] = b"nascent3";
/// How files of earlier versions begin, which have no sum.
const EARLIER: [&[u8; 8]; 2] = [b"nascent1", b"nascent2"];

/// Writes `parts`, one behind the other, to a file beside `path` and renames it into its place.
///
/// # Errors
/// [`Error::File`] if the system refuses.
pub(super) fn write(path: &Path, parts: &[&[u8]]) -> Result<()> {
    let failed = |action: &'static str| move |reason: std::io::Error| Error::file(path, action, reason);
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(failed("create the folder of"))?;
    let sum = fnv1a(parts.iter().flat_map(|part| part.iter().copied())).to_le_bytes();
    let all: Vec<&[u8]> = [MAGIC.as_slice(), &sum].into_iter().chain(parts.iter().copied()).collect();
    write_whole(path, &all).map_err(failed("write"))
}

/// The contents of the file at `path`; what is wrong with it, in words, if it is not as it was written.
///
/// # Errors
/// [`Error::File`] if the system refuses.
pub(super) fn read(path: &Path) -> Result<std::result::Result<Vec<u8>, &'static str>> {
    let bytes = fs::read(path).map_err(|reason| Error::file(path, "read", reason))?;
    Ok(opened(&bytes).map(<[u8]>::to_vec))
}

fn opened(bytes: &[u8]) -> std::result::Result<&[u8], &'static str> {
    let whole = bytes.strip_prefix(MAGIC).and_then(|rest| rest.split_first_chunk::<8>());
    match whole {
        Some((sum, contents)) if u64::from_le_bytes(*sum) == fnv1a(contents.iter().copied()) => Ok(contents),
        _ if EARLIER.iter().any(|magic| bytes.starts_with(*magic)) => {
            Err("of an earlier version of nascent, without the checksum that says whether it is as it was written")
        }
        _ => Err("damaged: it is not as it was written (its checksum is another)"),
    }
}

#[cfg(test)]
mod tests {
    use super::{opened, read, write};

    #[test]
    fn a_sealed_file_is_read_as_written_and_refused_with_any_bit_flipped_or_block_zeroed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("deep/file.ckpt");
        let contents: Vec<u8> = (0..3000_u32).map(|at| (at * 7 % 251) as u8 | 1).collect();
        write(&path, &[&contents[..1000], &contents[1000..]]).expect("written");
        assert_eq!(read(&path).expect("readable").expect("whole"), contents);
        let mut bytes = std::fs::read(&path).expect("readable");
        for bit in 0..8 * bytes.len() {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(opened(&bytes).is_err(), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        for first in 0..bytes.len() - 512 {
            let mut zeroed = bytes.clone();
            zeroed[first..first + 512].fill(0);
            assert!(opened(&zeroed).is_err(), "zeros from {first}");
        }
        for length in 0..bytes.len() {
            assert!(opened(&bytes[..length]).is_err(), "{length} bytes");
        }
        bytes.push(0);
        assert!(opened(&bytes).is_err(), "a byte too many");
    }
}
