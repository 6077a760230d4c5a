//! The nouns: [`Counts`] as read, [`Dataset`] as modelled, [`Fit`] as returned, [`Run`] as recorded.

mod capture;
mod counts;
mod dataset;
mod fit;
mod frame;
mod gene_filter;
pub(crate) mod gene_names;
mod groups;
mod holds;
mod layers;
pub mod quantities;
mod record;
mod run;
mod scaling;
mod source;
mod stop;
mod team;
mod time_labels;
mod uncertainty;
mod unfinished;
mod velocities;
mod whole;

pub use crate::neighbors::Neighbors;
pub use capture::{CaptureColumn, CaptureTimes};
pub use counts::Counts;
pub use dataset::Dataset;
pub use fit::{FUTURE_TIME, Fit, SPLITS, parts, split_labels};
pub use frame::{Column, Frame};
pub use gene_filter::{Bound, GeneFilter};
pub use gene_names::{GeneNames, other_names};
pub use groups::{Groups, USUAL_SAMPLES, sample_columns, sample_rank};
pub(crate) use holds::{Holds, Tally};
pub use layers::Layers;
pub use record::{
    FORMAT, FitRecord, GraphRecord, LatentTimeRecord, MomentUnits, NeighborsRecord, PROGRAM, PermutationRecord,
    ReconstructionRecord, RootRecord, Source, is_written,
};
pub use run::{Heard, Prepare, Reporter, Run, Silent, stream};
pub use scaling::{MinMax, MomentScaling};
pub use source::CellSource;
pub use stop::{Ending, Stop};
pub use team::{Exchange, Team};
pub use uncertainty::{Directional, Uncertainty};
pub use unfinished::{Unfinished, remove_unfinished};
pub use velocities::{GenesUsed, Velocities, embedding_of};
pub use whole::write_whole;
