//! Pieces of work, on as many threads as there are.

use rayon::prelude::*;

/// What `block` returns of each of `blocks`, in their order; on the thread pool if it has more than one thread.
pub(super) fn in_order<B: Send, R: Send>(blocks: Vec<B>, block: impl Fn(B) -> R + Send + Sync) -> Vec<R> {
    if blocks.len() == 1 || rayon::current_num_threads() == 1 {
        blocks.into_iter().map(block).collect()
    } else {
        blocks.into_par_iter().map(block).collect()
    }
}

/// What both return; at the same time, if there are threads for it.
pub(super) fn both<A: Send, B: Send>(a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B + Send) -> (A, B) {
    if rayon::current_num_threads() == 1 { (a(), b()) } else { rayon::join(a, b) }
}
