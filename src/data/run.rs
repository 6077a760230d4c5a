//! The record of one run.

/// Placeholder until training lands.
#[derive(Debug)]
pub struct Run;
