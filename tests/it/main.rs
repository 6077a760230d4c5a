//! All integration tests, linked once; one module per module of the library.

mod kinetics;
mod simulate;
