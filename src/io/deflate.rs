//! One chunk of numbers as HDF5 keeps it: bytes sorted by their position within a number ("shuffled"), then deflated.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::chunks::Number;

/// The numbers shuffled and deflated at a level of 0 to 9. The same numbers give the same bytes.
pub(super) fn pack<T: Number>(numbers: &[T], level: u8) -> Vec<u8> {
    deflate(&shuffle(numbers), level)
}

/// The `length` bytes that were packed, of numbers of `size` bytes; `None` if it was another number of bytes, or their
/// checksum differs.
pub(super) fn unpack(bytes: &[u8], length: usize, size: usize, shuffled: bool) -> Option<Vec<u8>> {
    let plain = inflate(bytes, length)?;
    Some(if shuffled { unshuffle(&plain, size) } else { plain })
}

fn deflate(plain: &[u8], level: u8) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(plain.len() / 2);
    let mut stream = Compress::new(Compression::new(u32::from(level)), true);
    loop {
        let from = stream.total_in() as usize;
        let status = stream.compress_vec(&plain[from..], &mut bytes, FlushCompress::Finish);
        match status.expect("a stream that has not ended takes more") {
            Status::StreamEnd => return bytes,
            Status::Ok | Status::BufError => bytes.reserve(plain.len() / 2 + 64),
        }
    }
}

fn inflate(bytes: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    plain.try_reserve_exact(length).ok()?;
    plain.resize(length, 0);
    let mut stream = Decompress::new(true);
    let status = stream.decompress(bytes, &mut plain, FlushDecompress::Finish).ok()?;
    (status == Status::StreamEnd && stream.total_out() == length as u64).then_some(plain)
}

/// The bytes of the numbers, sorted by their position within a number.
fn shuffle<T: Number>(numbers: &[T]) -> Vec<u8> {
    let mut bytes = vec![0; size_of_val(numbers)];
    for (position, plane) in bytes.chunks_exact_mut(numbers.len().max(1)).enumerate() {
        for (byte, &number) in plane.iter_mut().zip(numbers) {
            *byte = number.byte(position);
        }
    }
    bytes
}

/// Bytes that stand sorted by their position within a number, back in their numbers.
fn unshuffle(bytes: &[u8], size: usize) -> Vec<u8> {
    let mut plain = vec![0; bytes.len()];
    for (position, plane) in bytes.chunks_exact(bytes.len() / size).enumerate() {
        for (number, &byte) in plain.chunks_exact_mut(size).zip(plane) {
            number[position] = byte;
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::{pack, unpack};

    #[test]
    fn packed_numbers_are_unpacked_at_every_level() {
        let numbers: Vec<f64> = (0..10_000).map(|i| f64::from(i % 700).sqrt()).collect();
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_ne_bytes()).collect();
        for level in 1..=9 {
            assert_eq!(unpack(&pack(&numbers, level), bytes.len(), 8, true), Some(bytes.clone()), "level {level}");
        }
    }

    #[test]
    fn what_cannot_be_compressed_is_packed_all_the_same() {
        let mut state = 1_u64;
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        let numbers: Vec<u8> = (0..100_000).map(|_| noise()).collect();
        for level in 1..=9 {
            assert_eq!(unpack(&pack(&numbers, level), numbers.len(), 1, true), Some(numbers.clone()), "level {level}");
        }
    }
}
