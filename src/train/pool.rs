//! Where training runs.

use crate::nn::flex::forget_memory;

/// Runs `work` as one of as many threads as the caller would use.
///
/// A step is some fifty short pieces of work. A thread that belongs to no pool hands each of them over and sleeps until it is done,
/// two switches of threads a piece; one that belongs to the pool begins at once, and the others help it. The pool is this training's own:
/// while training waits for cells that are read from a file, their reader has the process's pool, be it of a single thread.
///
/// # Panics
/// If the system has no more threads, or `work` panics.
pub(super) fn within<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    let n_threads = rayon::current_num_threads();
    let result = if n_threads == 1 || rayon::current_thread_index().is_some() {
        work()
    } else {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("the system has threads");
        pool.install(work)
    };
    forget_memory();
    result
}
