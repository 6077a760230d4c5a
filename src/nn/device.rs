//! Opening a device by the name that users type.

use burn::tensor::Device;

use crate::error::{Error, Result};

/// Names of the devices in this build, the default first.
#[must_use]
pub fn names() -> Vec<&'static str> {
    vec![
        #[cfg(feature = "flex")]
        "flex",
        #[cfg(feature = "ndarray")]
        "ndarray",
        #[cfg(feature = "wgpu")]
        "wgpu",
        #[cfg(feature = "cuda")]
        "cuda",
    ]
}

/// The device called `name`: `auto` (the first of [`names`]), `flex`, `ndarray`, `wgpu`, `cuda`, or one of
/// several GPUs by number, `cuda:1`.
///
/// # Errors
/// [`Error::Device`] if the build does not hold it or the number is not one.
pub fn open(name: &str) -> Result<Device> {
    let (kind, index) = match name.split_once(':') {
        Some((kind, index)) => (kind, Some(parse_index(name, index)?)),
        None => (name, None),
    };
    match (kind, index) {
        ("auto", None) => default_device(),
        #[cfg(feature = "flex")]
        ("flex" | "cpu", None) => Ok(Device::flex()),
        #[cfg(feature = "ndarray")]
        #[allow(deprecated)] // kept while burn 0.22 has it
        ("ndarray", None) => Ok(Device::ndarray()),
        #[cfg(feature = "wgpu")]
        ("wgpu" | "gpu", None) => Ok(Device::wgpu(burn::tensor::DeviceKind::default())),
        #[cfg(feature = "wgpu")]
        ("wgpu" | "gpu", Some(index)) => Ok(Device::wgpu(burn::tensor::DeviceKind::DiscreteGpu(index))),
        #[cfg(feature = "cuda")]
        ("cuda", index) => Ok(Device::cuda(index.unwrap_or(0))),
        _ => Err(unknown(name)),
    }
}

fn default_device() -> Result<Device> {
    names().first().map_or_else(|| Err(unknown("auto")), |name| open(name))
}

fn parse_index(name: &str, index: &str) -> Result<usize> {
    index.parse().map_err(|_| Error::Device {
        name: name.to_owned(),
        problem: "what follows the colon must be a device number".to_owned(),
        hint: "`nascent devices` lists what this build can use".to_owned(),
    })
}

fn unknown(name: &str) -> Error {
    let known = ["ndarray", "wgpu", "cuda", "flex"].contains(&name);
    Error::Device {
        name: name.to_owned(),
        problem: if known { "not in this build" } else { "no such device" }.to_owned(),
        hint: if known {
            format!("build with `cargo build --release --features {name}`; this build has: {}", names().join(", "))
        } else {
            format!("this build has: {}", names().join(", "))
        },
    }
}

/// One line per device of this build: its name and what it is.
#[must_use]
pub fn describe() -> Vec<String> {
    let about = |name: &str| match name {
        "flex" => "CPU, burn's own backend",
        "ndarray" => "CPU, through ndarray; deprecated by burn",
        "wgpu" => "GPU through Vulkan, Metal or DirectX",
        "cuda" => "NVIDIA GPU through CUDA",
        _ => "",
    };
    let line = |(at, name): (usize, &str)| {
        let default = if at == 0 { " (auto)" } else { "" };
        format!("{name:8} {}{default}", about(name))
    };
    names().into_iter().enumerate().map(line).collect()
}
