//! Devices without operations of our own give the numbers of Flex.

use burn::tensor::Device;
use nascent::nn::fused::kinetic_nll;

use crate::nn::{Batch, STARTS, assert_same};

#[test]
#[allow(deprecated, reason = "burn keeps ndarray through 0.22; see Cargo.toml")]
fn the_likelihood_on_ndarray_is_that_on_flex() {
    let batch = Batch::new([37, 131], true);
    for start in STARTS {
        let flex = batch.differentiate_on(&Device::flex(), start, kinetic_nll, 1.0);
        let ndarray = batch.differentiate_on(&Device::ndarray(), start, kinetic_nll, 1.0);
        assert_same(&flex, &ndarray, &format!("{start:?}"));
    }
}
