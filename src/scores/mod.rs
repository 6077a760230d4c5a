//! How far velocities may be believed.
//!
//! | file | what |
//! |---|---|
//! | `confidence.rs` | do cells near each other agree, and does the graph say what the velocity says? |
//! | `reconstructability.rs` | would a few genes give the same graph? |

mod confidence;
mod reconstructability;

pub use confidence::{confidence, length, transition_confidence};
pub use reconstructability::{Draws, Reconstructability, Sweep, reconstructability, sweep};
