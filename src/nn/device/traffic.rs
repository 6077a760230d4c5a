//! What a GPU is asked to do: counted from the messages that the graphics library, wgpu, sends to whoever listens.

use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use log::{LevelFilter, Log, Metadata, Record};

use super::Traffic;

/// How a message of each kind begins.
const LAUNCH: &str = "ComputePass::dispatch";
const UPLOAD: &str = "Queue::write_buffer";
const READ_BACK: &str = "Buffer::map_async";

static COUNTS: [AtomicUsize; 3] = [const { AtomicUsize::new(0) }; 3];

/// Does `work` and counts what GPUs are asked meanwhile, by all threads. It takes longer for that.
pub(super) fn counted<R>(work: impl FnOnce() -> R) -> (R, Traffic) {
    static LISTEN: Once = Once::new();
    LISTEN.call_once(|| {
        // Fails only if the program logs elsewhere, and then nothing is counted.
        let _ = log::set_logger(&Listener);
    });
    let now = || COUNTS.each_ref().map(|count| count.load(Ordering::SeqCst));
    log::set_max_level(LevelFilter::Trace);
    let before = now();
    let result = work();
    let after = now();
    log::set_max_level(LevelFilter::Off);
    let [launches, uploads, read_backs] = std::array::from_fn(|kind| after[kind] - before[kind]);
    (result, Traffic { launches, uploads, read_backs })
}

struct Listener;

impl Log for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("wgpu_core")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let message = record.args().to_string();
        for (kind, count) in [LAUNCH, UPLOAD, READ_BACK].iter().zip(&COUNTS) {
            if message.starts_with(kind) {
                count.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    fn flush(&self) {}
}
