//! Blocks of cells, on as many threads as there are.

use rayon::prelude::*;

/// What `block` returns of each of `blocks`, in their order; on the thread pool if it has more than one thread.
pub(super) fn in_order<B: Send, R: Send>(blocks: Vec<B>, block: impl Fn(B) -> R + Send + Sync) -> Vec<R> {
    if rayon::current_num_threads() == 1 {
        blocks.into_iter().map(block).collect()
    } else {
        blocks.into_par_iter().map(block).collect()
    }
}
