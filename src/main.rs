//! The program: parses the command line, runs one command, turns an error into a message and an exit code.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use nascent::cli::{Cli, complain};

// Worth a quarter of a training step: tensors come and go with every operation.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::from(error.exit_code())
        }
    }
}
