//! Velocities on an embedding: arrows of cells, and the field that they make.

mod flow;

pub use flow::Flow;
