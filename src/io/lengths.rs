//! Words of any length: HDF5 sets memory aside for the length that a file declares before it looks whether there is such a word. A damaged
//! length costs up to 4 GiB.

use std::fs;
use std::io::{Read, Seek, SeekFrom};

use hdf5::Dataset;
use hdf5::filters::Filter;
use hdf5::types::TypeDescriptor;

use super::place::{At, Place};
use super::{deflate, raw};
use crate::error::Result;

/// Bytes of a word's place in a file: its length, and where in which heap it lies.
const REFERENCE: usize = 16;
/// Words may together be as many times as long as the file: a writer could let many places lead to one word, though HDF5 does not.
const SHARED: u64 = 16;

/// Fails if the words of a dataset are declared to be longer than the file. Says nothing of other values, and of words that are compressed in
/// an unusual way.
///
/// # Errors
/// [`Error::Input`](crate::Error::Input).
pub(super) fn words(dataset: &Dataset, place: &Place) -> Result<()> {
    use TypeDescriptor::{VarLenArray, VarLenAscii, VarLenUnicode};
    let Ok(VarLenAscii | VarLenUnicode | VarLenArray(_)) = dataset.dtype().at(place)?.to_descriptor() else {
        return Ok(());
    };
    let Ok(held) = fs::metadata(place.path()).map(|about| about.len()) else { return Ok(()) };
    let mut sum = 0_u64;
    for part in references(dataset, place).unwrap_or_default() {
        for length in part.chunks_exact(REFERENCE).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
        {
            sum = sum.saturating_add(length.into());
            if u64::from(length) > held || sum > held.saturating_mul(SHARED) {
                let problem =
                    format!("{length} bytes are declared for one of its words, but the file has {held} for all");
                return Err(place.damaged(problem));
            }
        }
    }
    Ok(())
}

/// The places of all words as they stand in the file, in several parts; `None` where they cannot be had without HDF5.
fn references(dataset: &Dataset, place: &Place) -> Option<Vec<Vec<u8>>> {
    let stored = usize::try_from(dataset.storage_size()).ok()?;
    if let Some(offset) = dataset.offset() {
        let mut bytes = Vec::new();
        let mut file = fs::File::open(place.path()).ok()?;
        file.seek(SeekFrom::Start(offset)).ok()?;
        file.take(stored as u64).read_to_end(&mut bytes).ok()?;
        return (stored == dataset.size() * REFERENCE).then(|| vec![bytes]);
    }
    let chunk = <[usize; 1]>::try_from(dataset.chunk()?).ok()?[0];
    let shuffled = match dataset.filters()[..] {
        [] => None,
        [Filter::Deflate(_)] => Some(false),
        [Filter::Shuffle, Filter::Deflate(_)] => Some(true),
        _ => return None,
    };
    // A chunk that is there takes a byte at least.
    let starts = (0..dataset.size()).step_by(chunk.max(1));
    if starts.len() > stored {
        return None;
    }
    let part = |start: usize| {
        let bytes = raw::read_chunk(dataset, start).ok()??;
        match shuffled {
            None => Some(bytes),
            Some(shuffled) => deflate::unpack(&bytes, chunk * REFERENCE, REFERENCE, shuffled),
        }
    };
    Some(starts.filter_map(part).collect())
}
