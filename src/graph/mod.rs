//! The velocity graph: how well the way from each cell to cells near it agrees with the cell's velocity.
//!
//! With x_i the state of cell i (genes, or principal components), v_i its velocity and j a cell near it,
//!
//! ```text
//! δ_ij = x_j − x_i
//! π_ij = corr(δ_ij, v_i)                      Pearson's correlation over the dimensions; 0 if either is constant
//! c_i  = max(0, max_j π_ij)                   confidence
//! s_i  = clip(P98(c) − c_i, 0, 1)             self-transition
//! ```
//!
//! and the transition matrix, on `π_ii := s_i` if cells may stay, with λ = 10:
//!
//! ```text
//! w_ij = e^{λ π_ij}                           where π_ij ≠ 0
//! w_ij = sign(π_ij) (e^{λ |π_ij|} − 1)        if negative similarities count
//! T_ij = w_ij / Σ_k |w_ik|
//! ```
//!
//! A row of the second kind need not sum to 1. A cell without velocity has no row in π; with self-transitions it stays
//! where it is.
//!
//! Row i needs the states of all cells but only its own velocity, so rows are made for some cells at a time and nothing dense
//! of size cells × cells ever exists.
//!
//! | file | what |
//! |---|---|
//! | `candidates.rs` | which cells j |
//! | `correlation.rs` | π |
//! | `transitions.rs` | s and T |
//!
//! Source: Bergen et al. 2020, Methods; behaviour: scVelo 0.3.4 `tl.velocity_graph`, `tl.transition_matrix` without its
//! square-root transform.

mod candidates;
mod correlation;
mod transitions;

pub use candidates::Candidates;
pub(crate) use correlation::correlations;
pub use correlation::{States, rows};
pub use transitions::{Kernel, backward, confidence, self_transitions, split, transition_matrix};
pub(crate) use transitions::{confidence_bound, self_transition};
