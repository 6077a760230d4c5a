//! One device against flex: the same losses, gradients, functions and fits, to tolerances that each test states.
//!
//! `NASCENT_TEST_DEVICE` names the device (`nascent devices` lists them); without it, it is flex itself, whose fused operations
//! are then compared with the tensor operations that all other devices run. Shapes are small: on a software driver each shape
//! costs seconds of compilation.

#![allow(clippy::print_stderr, reason = "what was measured is shown by --nocapture")]

mod first_steps;
mod functions;
mod names;
mod one_operation;
#[allow(dead_code, reason = "the other tests need all of it")]
#[path = "../it/shared.rs"]
mod shared;
mod training;

use burn::tensor::Device;
use nascent::nn::device::open;

/// The name of the device under test.
fn name() -> String {
    std::env::var("NASCENT_TEST_DEVICE").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "flex".to_owned())
}

/// Whether the device under test is flex, which then is its own twin.
fn is_flex() -> bool {
    ["flex", "cpu"].contains(&name().as_str())
}

/// The device under test, on the path that is not flex's own: where it is flex, gradients are kept by checkpointing, for which the
/// fused operations do not serve, so that the tensor operations run.
fn under_test() -> Device {
    let device = open(&name()).expect("NASCENT_TEST_DEVICE names a device of this build and machine");
    if is_flex() { device.autodiff().gradient_checkpointing() } else { device.autodiff() }
}

/// Largest difference as a share of the largest number of `wanted`, or of `floor` if that is more.
fn apart(found: &[f32], wanted: &[f32], floor: f64) -> f64 {
    assert_eq!(found.len(), wanted.len());
    let scale = wanted.iter().fold(floor, |most, value| most.max(f64::from(value.abs())));
    let largest = found.iter().zip(wanted).map(|(&found, &wanted)| f64::from(found) - f64::from(wanted));
    // NaN is no smaller than anything.
    largest.fold(0.0, |most: f64, apart| if apart.abs() <= most { most } else { apart.abs() }) / scale
}
