//! Where training runs.

use burn::tensor::Device;

use crate::nn::device::is_host;
use crate::nn::flex::forget_memory;

/// Runs `work`, a training on `device`, as one of as many threads as the caller would use; on a GPU, which burn keeps a queue of work
/// for each thread for, where it is called.
///
/// A step is some fifty short pieces of work. A thread that belongs to no pool hands each of them over and sleeps until it is done,
/// two switches of threads a piece; one that belongs to the pool begins at once, and the others help it. The pool is this training's own:
/// while training waits for cells that are read from a file, their reader has the process's pool, be it of a single thread.
///
/// # Panics
/// If the system has no more threads, or `work` panics.
pub(super) fn within<R: Send>(device: &Device, work: impl FnOnce() -> R + Send) -> R {
    let n_threads = rayon::current_num_threads();
    let result = if n_threads == 1 || rayon::current_thread_index().is_some() || !is_host(device) {
        work()
    } else {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("the system has threads");
        pool.install(work)
    };
    forget_memory();
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_done_by_a_thread_of_a_pool_as_large_as_the_callers_unless_there_is_one_thread() {
        let place = || (rayon::current_thread_index().is_some(), rayon::current_num_threads());
        assert_eq!(within(&Device::flex(), place), (rayon::current_num_threads() > 1, rayon::current_num_threads()));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("threads");
        assert_eq!(pool.install(|| within(&Device::flex(), place)), (true, 3));
    }
}
