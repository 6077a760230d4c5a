//! How far velocities may be believed.
//!
//! | file | what |
//! |---|---|
//! | `agreement.rs` | do two models say the same? |
//! | `boundaries.rs` | do they point from where to where they should? |
//! | `confidence.rs` | do cells near each other agree, and does the graph say what the velocity says? |
//! | `direction.rs` | is time better read forward or backward? |
//! | `ranking.rs` | in which genes do groups differ? |
//! | `reconstructability.rs` | would a few genes give the same graph? |
//! | `samples.rs` | do samples that were fitted together say the same? |
//! | `verdict.rs` | what do the answers amount to? every bound, with its source |

mod agreement;
mod boundaries;
mod confidence;
mod direction;
mod ranking;
mod reconstructability;
mod samples;
mod settings;
pub mod verdict;

pub use agreement::{Agreement, agreement};
pub use boundaries::{Boundary, Null, VelocityField};
pub use confidence::{confidence, length, transition_confidence};
pub use direction::{DirectionVotes, direction};
pub use ranking::rank;
pub use reconstructability::{FullGraph, Reconstructability, Sweep};
pub use samples::{Neighborly, SampleAgreement, Sampled, samples};
pub use settings::ScoresConfig;
pub use verdict::Verdict;
