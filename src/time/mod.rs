//! Time from a velocity graph: where cells begin and end, and how far along each is.
//!
//! | file | what |
//! |---|---|
//! | `terminal.rs` | root cells and end points from stationary distributions; `classes.rs`: of which cells |
//! | `root.rs` | a root given by the user, which overrides what is inferred |
//! | `pseudotime.rs` | distance from the root in a diffusion |
//! | `latent.rs` | one time per cell from the times of its genes |
//! | `stationary.rs` | where a walk is in the long run |
//! | `eigen.rs` | leading eigenpairs of sparse matrices; `operator.rs`: products with them |
//! | `average.rs` | means over neighbourhoods |
//! | `settings.rs` | what can be set |
//!
//! The two times answer different questions. Velocity pseudotime knows directions only through its root and end; latent
//! time comes from the kinetics of each gene, wrapped around at the root. They need not agree.

mod average;
mod classes;
mod eigen;
mod latent;
mod operator;
mod pseudotime;
mod root;
mod settings;
mod stationary;
mod terminal;

pub use latent::{Latent, latent_time};
pub use pseudotime::{Pseudotime, pseudotime};
pub use root::Root;
pub use settings::{LatentConfig, LatentMethod, PseudotimeConfig, Rerooting, TerminalConfig, TimeConfig};
pub use terminal::{Terminal, TerminalState, terminal_states};
