//! Numbers that look drawn and follow from their input alone, on every platform and in every release, which the standard
//! hashers do not promise.

/// FNV-1a of `bytes`, 64 bits (Fowler, Noll & Vo).
pub(crate) fn fnv1a(bytes: impl IntoIterator<Item = u8>) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// Number `index`, from 0, of the sequence SplitMix64 that begins at 0 (Steele, Lea & Flood 2014).
pub(crate) fn split_mix(index: u64) -> u64 {
    let z = index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::{fnv1a, split_mix};

    /// Values of the authors' programs: draft-eastlake-fnv-21, appendix C; `splitmix64.c` from state 0.
    #[test]
    fn both_are_those_of_their_definitions() {
        assert_eq!(fnv1a(*b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(*b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(*b"foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(split_mix(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(split_mix(1), 0x6e78_9e6a_a1b9_65f4);
    }
}
