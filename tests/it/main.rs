//! One binary with all integration tests: one module per module of the library.

#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a test that skips says so")]

#[cfg(feature = "flex")]
mod adam;
#[cfg(feature = "h5ad")]
mod after_program;
mod capture;
#[cfg(all(feature = "h5ad", feature = "flex"))]
mod cli;
#[cfg(all(feature = "h5ad", feature = "flex"))]
mod config;
#[cfg(all(feature = "h5ad", feature = "flex"))]
mod damage;
#[cfg(feature = "flex")]
mod dense;
#[cfg(all(feature = "flex", feature = "ndarray"))]
mod devices;
#[cfg(feature = "h5ad")]
mod differential_golden;
mod direction;
mod dynamical;
#[cfg(feature = "h5ad")]
mod dynamical_golden;
mod embedding;
#[cfg(feature = "h5ad")]
mod embedding_golden;
#[cfg(all(feature = "h5ad", feature = "flex"))]
mod events;
#[cfg(feature = "h5ad")]
mod explain;
#[cfg(all(feature = "h5ad", feature = "flex"))]
mod folders;
#[cfg(feature = "flex")]
mod four_states;
mod fractional_counts;
#[cfg(feature = "h5ad")]
mod golden;
mod graph;
#[cfg(feature = "h5ad")]
mod graph_golden;
mod grid_fits;
#[cfg(feature = "h5ad")]
mod import;
#[cfg(feature = "h5ad")]
mod import_from_r;
#[cfg(feature = "h5ad")]
mod import_made;
#[cfg(feature = "h5ad")]
mod import_runs;
#[cfg(feature = "h5ad")]
mod import_sublibraries;
#[cfg(feature = "h5ad")]
mod inspect;
#[cfg(feature = "h5ad")]
mod io;
#[cfg(feature = "h5ad")]
mod io_bad_input;
#[cfg(feature = "h5ad")]
mod io_chunks;
#[cfg(feature = "h5ad")]
mod io_gather;
#[cfg(feature = "h5ad")]
mod io_open;
#[cfg(feature = "h5ad")]
mod io_python;
#[cfg(feature = "h5ad")]
mod io_samples;
#[cfg(feature = "h5ad")]
mod io_screen;
#[cfg(feature = "h5ad")]
mod io_stream;
mod kinetics;
#[cfg(feature = "h5ad")]
mod layer_names;
#[cfg(feature = "h5ad")]
mod merge;
#[cfg(feature = "h5ad")]
mod merge_names;
mod metrics;
mod neighbors;
mod nested_tree;
#[cfg(feature = "flex")]
mod nn;
#[cfg(feature = "h5ad")]
mod odd_values;
#[cfg(all(feature = "h5ad", unix))]
mod output_place;
#[cfg(all(feature = "h5ad", feature = "flex"))]
mod ownership;
mod pca;
mod preprocess;
#[cfg(feature = "h5ad")]
mod preprocess_golden;
#[cfg(all(unix, feature = "h5ad"))]
mod processes;
#[cfg(feature = "h5ad")]
#[cfg_attr(not(feature = "flex"), allow(dead_code, reason = "the tests that train use all of it"))]
mod program;
#[cfg(feature = "h5ad")]
mod quantities;
mod rate_scale;
#[cfg(feature = "h5ad")]
mod report;
#[cfg(feature = "h5ad")]
mod report_content;
#[cfg(all(feature = "h5ad", feature = "flex"))]
mod resume;
#[cfg(all(feature = "h5ad", feature = "flex"))]
mod runs;
mod scores;
#[cfg(any(feature = "h5ad", feature = "flex"))]
mod shared;
#[cfg(all(unix, feature = "h5ad", feature = "flex"))]
mod signals;
mod simulate;
mod simulate_gillespie;
#[cfg(feature = "h5ad")]
mod simulate_program;
mod soft_grid;
mod soft_grid_cell;
#[cfg(feature = "h5ad")]
mod soft_grid_gaussian;
mod soft_grid_samples;
mod soft_grid_stream;
mod sparse;
mod stats;
mod steady_state;
#[cfg(feature = "h5ad")]
mod steady_state_golden;
#[cfg(feature = "h5ad")]
mod terminal;
mod tidy;
mod time;
#[cfg(feature = "h5ad")]
mod time_golden;
#[cfg(feature = "flex")]
mod train;
#[cfg(all(feature = "h5ad", feature = "flex"))]
mod train_stream;
#[cfg(feature = "h5ad")]
mod truth;
mod uncertainty;
#[cfg(feature = "h5ad")]
mod units;
#[cfg(feature = "flex")]
mod velovae;
#[cfg(feature = "flex")]
mod velovi;
mod velovi_recipe;
#[cfg(feature = "h5ad")]
mod velovi_recipe_files;
