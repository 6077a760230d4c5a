//! The velocity graph: similarity of each cell's velocity with the displacement vectors to the cells near it.
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
//! where it is. CellRank's matrix, the softmax of λπ over all candidates, is [`softmax`].
//!
//! In place of the correlation stand, if asked for, the plain cosine of δ_ij and v_i or their product; and in place of δ and v their square
//! roots, `sign(x) √|x|`, which evens out the variances of counts. The differences are small. For one cell and one candidate:
//!
//! ```
//! use nascent::graph::{Candidates, Measure, Similarity, States, rows};
//! use nascent::sparse::Csr;
//! use ndarray::array;
//!
//! let x = array![[1.0_f32, 2.0, 1.0], [2.5, 1.0, 1.5]];
//! let v = array![[1.2_f32, -0.5, 0.3]];
//! let candidates = Candidates::connected(&Csr::from_rows(2, &[vec![(1, 1.0)], vec![(0, 1.0)]]))?;
//! let pi = |measure, square_root| -> nascent::Result<f32> {
//!     let states = States::compared_by(x.view(), Similarity { measure, square_root });
//!     Ok(rows(&states, &candidates, 0..1, v.view())?.data[0])
//! };
//! for (measure, plain, of_roots) in [(Measure::Cosine, 0.9816, 0.9945), (Measure::Correlation, 0.9889, 0.9971)] {
//!     assert!((pi(measure, false)? - plain).abs() < 5e-5);
//!     assert!((pi(measure, true)? - of_roots).abs() < 5e-5);
//! }
//! # Ok::<(), nascent::Error>(())
//! ```
//!
//! Row i needs the states of all cells but only its own velocity, so rows are made for some cells at a time and nothing dense
//! of size cells × cells ever exists.
//!
//! | file | what |
//! |---|---|
//! | `candidates.rs` | which cells j |
//! | `similarity.rs` | π |
//! | `transitions.rs` | s and T |
//!
//! Source: Bergen et al. 2020, Methods; behaviour: scVelo 0.3.4 `tl.velocity_graph`, `tl.transition_matrix`.

mod candidates;
mod settings;
mod similarity;
mod transitions;

pub use candidates::Candidates;
pub use settings::{GraphConfig, KernelKind, Reach, SquareRoot, TransitionConfig};
pub(crate) use similarity::similarities;
pub use similarity::{Measure, Similarity, States, rows, velocity_graph};
pub use transitions::{
    Kernel, along_embedding, backward, confidence, self_transitions, softmax, split, transition_matrix, weights,
};
pub(crate) use transitions::{confidence_bound, self_transition, transitions_of};
