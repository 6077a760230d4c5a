//! Orders without a pattern that are the same in every run: no random numbers, a mix of the position itself.

/// `n` of `n_obs` cells, rising, chosen without regard to their order in the file; all of them if there are no more.
///
/// The choice depends on the two numbers alone.
#[must_use]
pub fn subsample(n_obs: usize, n: usize) -> Vec<usize> {
    let mut chosen = shuffled(n_obs);
    chosen.truncate(n);
    chosen.sort_unstable();
    chosen
}

/// All positions below `n`, mixed.
pub(super) fn shuffled(n: usize) -> Vec<usize> {
    let mut positions: Vec<usize> = (0..n).collect();
    positions.sort_by_key(|&i| (mixed(i as u64), i));
    positions
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014).
fn mixed(i: u64) -> u64 {
    let z = (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
