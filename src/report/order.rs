//! Orders without a pattern that are the same in every run: no random numbers, a mix of the position itself.

use crate::hash::split_mix;

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
    positions.sort_by_key(|&i| (split_mix(i as u64), i));
    positions
}
