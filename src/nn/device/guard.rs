//! What a GPU that fails leads to.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};

use super::{error, is_host, open};
use crate::error::Result;

/// Does `work` on the device called `name`. If that is a GPU which fails, as when its memory is full, burn panics; here that is an
/// error.
///
/// # Errors
/// Those of `work`; [`Error::Device`](crate::Error::Device) if the device cannot be opened or fails.
pub fn guarded<R>(name: &str, work: impl FnOnce() -> Result<R>) -> Result<R> {
    // On the CPU a panic is a fault of the program, and should look like one.
    if is_host(&open(name)?) { work() } else { without_panic(name, work) }
}

fn without_panic<R>(name: &str, work: impl FnOnce() -> Result<R>) -> Result<R> {
    let said = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    panic::set_hook(said);
    done.unwrap_or_else(|cause| Err(failure(name, cause.as_ref())))
}

fn failure(name: &str, cause: &(dyn Any + Send)) -> crate::Error {
    let text = cause.downcast_ref::<String>().map(String::as_str).or_else(|| cause.downcast_ref::<&str>().copied());
    // What it is made of follows line after line, the first cause last.
    let lines = text.unwrap_or("without a word").lines().map(str::trim);
    let mut lines: Vec<&str> = lines.take_while(|line| !line.starts_with("Backtrace")).collect();
    lines.retain(|line| !line.is_empty() && *line != "Caused by:");
    let words = match lines.as_slice() {
        [] => "without a word".to_owned(),
        [one] => (*one).to_owned(),
        [first, .., last] => format!("{first} … {last}"),
    };
    let hint = "if its memory is full: fewer cells per step (--set model.train.batch_size=…), fewer genes (--set \
                preprocess.n_top_genes=…), or --device cpu. The last checkpoint is kept: --resume goes on from it";
    error(name, format!("it failed: {words}"), hint.to_owned())
}

#[cfg(test)]
mod tests {
    use super::without_panic;
    use crate::error::{Error, Result};

    #[test]
    fn a_device_that_fails_is_an_error_that_says_what_to_change() {
        let message =
            "Failed to read tensor data: An error happened\nCaused by:\n  out of memory: 8 GB\nBacktrace:\n  0: main";
        let failed: Result<()> = without_panic("wgpu:1", || panic!("{message}"));
        let Err(error @ Error::Device { .. }) = failed else { panic!("{failed:?}") };
        let hint = error.hint().unwrap_or_default();
        assert_eq!(
            error.to_string(),
            "device \"wgpu:1\": it failed: Failed to read tensor data: An error happened … out of memory: 8 GB"
        );
        assert!(hint.contains("model.train.batch_size") && hint.contains("--resume"), "{hint}");
    }

    #[test]
    fn what_does_not_fail_goes_through() {
        assert!(matches!(without_panic("wgpu", || Ok(3)), Ok(3)));
        let refused: Result<()> = without_panic("wgpu", || Err(Error::Interrupted { run: None }));
        assert!(matches!(refused, Err(Error::Interrupted { .. })));
    }
}
