//! Opening a device by the name that users type, and saying which there are.
//!
//! `KINDS` is the whole list: a kind that this build does not hold is still named there, so that the error can say which
//! feature brings it. GPUs are looked for before burn opens them (`adapters.rs`), because burn opens late, in the first
//! operation, and panics there.

#[cfg(feature = "wgpu")]
mod adapters;
mod choice;
mod guard;
#[cfg(feature = "wgpu")]
mod traffic;

use burn::backend::DispatchDevice;
use burn::tensor::Device;

use self::choice::auto;
pub use self::guard::guarded;
use crate::data::Run;
use crate::error::{Error, Result};

/// A device that is open, and in words which it is.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Where tensors live and operations run.
    pub device: Device,
    /// Its name, with the adapter if it is a GPU, and why it was chosen if the name was `auto`.
    pub what: String,
    /// Bytes of the largest buffer that it gives; none if only the memory of the machine bounds them.
    pub largest_buffer: Option<u64>,
}

/// An adapter: a GPU, or a driver that computes on the CPU in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adapter {
    /// What its maker calls it.
    pub name: String,
    /// What it is made of.
    pub kind: AdapterKind,
    /// Graphics API, driver and version.
    pub driver: String,
    /// Bytes of the largest buffer that it gives; how much memory it has is not known to the graphics APIs.
    pub largest_buffer: u64,
}

/// What an adapter is made of, the fastest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AdapterKind {
    /// A GPU with memory of its own.
    Discrete,
    /// A GPU that shares the memory of the CPU.
    Integrated,
    /// A share of a GPU in a virtual machine.
    Virtual,
    /// A driver that computes on the CPU: for tests, many times slower than flex.
    Cpu,
    /// The driver does not say.
    Unknown,
}

/// What crosses from the host to a GPU and back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Kernels launched.
    pub launches: usize,
    /// Writes to the GPU's memory: data, and the shapes and numbers that kernels are handed.
    pub uploads: usize,
    /// Reads of the GPU's memory, each of which waits for the GPU.
    pub read_backs: usize,
}

/// What can be asked for by name.
struct Kind {
    /// As users type it, and the feature of Cargo that brings it.
    name: &'static str,
    /// Other words for it.
    aliases: &'static [&'static str],
    /// What it is.
    about: &'static str,
    /// How it is opened, if this build holds it.
    build: Option<Build>,
}

/// What a build that holds a kind knows of it.
struct Build {
    /// Opens the one called `name`, by the number after the colon.
    open: fn(name: &str, number: Option<usize>) -> Result<Opened>,
    /// The adapters that the number counts; none if it computes on the CPU, or cannot be asked.
    adapters: fn() -> Option<Vec<Adapter>>,
}

/// `Some` of the build in builds with the feature.
macro_rules! with {
    ($feature:literal, $open:expr, $adapters:expr) => {{
        #[cfg(feature = $feature)]
        let build = Some(Build { open: $open, adapters: $adapters });
        #[cfg(not(feature = $feature))]
        let build = None;
        build
    }};
}

/// All there is, the default first.
static KINDS: &[Kind] = &[
    Kind {
        name: "flex",
        aliases: &["cpu"],
        about: "CPU, burn's own backend, with fused operations of ours",
        build: with!("flex", |name, number| on_cpu(name, number, Device::flex), || None),
    },
    Kind {
        name: "ndarray",
        aliases: &[],
        about: "CPU, through ndarray; deprecated by burn",
        #[allow(deprecated, reason = "kept while burn 0.22 has it")]
        build: with!("ndarray", |name, number| on_cpu(name, number, Device::ndarray), || None),
    },
    Kind {
        name: "wgpu",
        aliases: &["gpu"],
        about: "GPU through Vulkan, Metal or DirectX 12",
        build: with!("wgpu", |name, number| adapters::open(name, number, adapters::APIS), || Some(adapters::list(
            adapters::APIS
        ))),
    },
    Kind {
        name: "vulkan",
        aliases: &[],
        about: "GPU through Vulkan, shaders in SPIR-V (in this build, those of wgpu too)",
        build: with!("vulkan", |name, number| adapters::open(name, number, adapters::VULKAN), || Some(adapters::list(
            adapters::VULKAN
        ))),
    },
    Kind {
        name: "cuda",
        aliases: &[],
        about: "NVIDIA GPU through CUDA; untested",
        build: with!("cuda", |name, number| Ok(opened(Device::cuda(number.unwrap_or(0)), name)), || None),
    },
];

/// Names of the devices in this build, the default first.
#[must_use]
pub fn names() -> Vec<&'static str> {
    KINDS.iter().filter(|kind| kind.build.is_some()).map(|kind| kind.name).collect()
}

/// Those of [`names`] that this machine has, as far as can be asked.
#[must_use]
pub fn present() -> Vec<&'static str> {
    let there = |build: &Build| (build.adapters)().is_none_or(|adapters| !adapters.is_empty());
    KINDS.iter().filter(|kind| kind.build.as_ref().is_some_and(there)).map(|kind| kind.name).collect()
}

/// The device called `name`: `auto` (a discrete GPU if the build can use one and there is one, else the CPU), `cpu`, `flex`,
/// `ndarray`, `wgpu`, `vulkan`, `cuda`, or one of several GPUs by its number in [`describe`], `wgpu:1`.
///
/// # Errors
/// [`Error::Device`] if the build does not hold it, the machine does not have it or its driver refuses.
pub fn open(name: &str) -> Result<Device> {
    open_as(name).map(|opened| opened.device)
}

/// As [`open`]; `run` says which device it is, and why if the name left the choice.
///
/// # Errors
/// As [`open`].
pub fn open_for(run: &mut Run, name: &str) -> Result<Device> {
    open_for_cells(run, name, [0, 0])
}

/// As [`open_for`], for a run that keeps abundances of `n_obs` cells and `n_vars` genes on it.
///
/// # Errors
/// As [`open`]; if the device gives no buffer that is large enough for them.
pub fn open_for_cells(run: &mut Run, name: &str, [n_obs, n_vars]: [usize; 2]) -> Result<Device> {
    let Opened { device, what, largest_buffer } = open_as(name)?;
    run.reporter().say(&format!("device: {what}"));
    let bytes = (n_obs * n_vars * size_of::<f32>()) as u64;
    match largest_buffer {
        Some(largest) if bytes > largest => Err(too_large(name, [n_obs, n_vars], bytes, largest)),
        _ => Ok(device),
    }
}

fn too_large(name: &str, [n_obs, n_vars]: [usize; 2], bytes: u64, largest: u64) -> Error {
    let gigabytes = |bytes: u64| bytes as f64 / 1e9;
    let problem = format!(
        "{n_obs} cells x {n_vars} genes take a buffer of {:.2} GB, and it gives at most {:.2} GB",
        gigabytes(bytes),
        gigabytes(largest)
    );
    let hint = "fewer genes (--set preprocess.n_top_genes=…), VeloVAE on counts with --memory, which does not keep all cells on the \
                device, or --device cpu";
    error(name, problem, hint.to_owned())
}

/// As [`open`], with words that say which device it is and why.
///
/// # Errors
/// As [`open`].
pub fn open_as(name: &str) -> Result<Opened> {
    if name == "auto" {
        return auto();
    }
    let (word, number) = match name.split_once(':') {
        Some((word, number)) => (word, Some(parse_number(name, number)?)),
        None => (name, None),
    };
    let kind = KINDS.iter().find(|kind| kind.name == word || kind.aliases.contains(&word));
    let Some(kind) = kind else {
        return Err(error(
            name,
            "no such device".to_owned(),
            format!("this build has: {}; choose with --device or model.train.device", names().join(", ")),
        ));
    };
    let Some(build) = &kind.build else {
        return Err(error(
            name,
            "not in this build".to_owned(),
            format!(
                "build with `cargo build --release --features {}`; this build has: {}",
                kind.name,
                names().join(", ")
            ),
        ));
    };
    (build.open)(name, number)
}

/// Whether tensors on `device` are in the memory of the host.
pub(crate) fn is_host(device: &Device) -> bool {
    match device.clone().inner().as_dispatch() {
        DispatchDevice::Flex(_) => true,
        #[cfg(feature = "ndarray")]
        DispatchDevice::NdArray(_) => true,
        #[allow(unreachable_patterns, reason = "in builds for the CPU there is no other")]
        _ => false,
    }
}

/// Does `work` on `device`, and says what crossed meanwhile if it is a GPU that is opened through wgpu. It takes longer for that.
pub(crate) fn counted<R>(device: &Device, work: impl FnOnce() -> R) -> (R, Option<Traffic>) {
    #[cfg(feature = "wgpu")]
    if !is_host(device) {
        let (result, traffic) = traffic::counted(work);
        return (result, Some(traffic));
    }
    let _ = device;
    (work(), None)
}

/// One line per device of this build and per adapter of this machine, each beginning with what `--device` takes.
#[must_use]
pub fn describe() -> Vec<String> {
    let mut lines = Vec::new();
    for kind in KINDS {
        let Some(build) = &kind.build else { continue };
        lines.push(format!("{:9} {}", kind.name, kind.about));
        let Some(adapters) = (build.adapters)() else { continue };
        if adapters.is_empty() {
            lines.push(format!("{:9} no adapter: no GPU, or no driver for it", ""));
        }
        lines.extend(adapters.iter().enumerate().map(|(number, adapter)| {
            let name = format!("{}:{number}", kind.name);
            format!("{name:9} {}", adapter.describe())
        }));
    }
    let auto = auto().map_or_else(|error| error.to_string(), |opened| opened.what);
    lines.push(format!("{:9} {auto}", "auto"));
    lines
}

impl Adapter {
    fn describe(&self) -> String {
        let Self { name, kind, driver, largest_buffer } = self;
        let gigabytes = *largest_buffer as f64 / 1e9;
        format!("{name}; {}; {driver}; buffers up to {gigabytes:.1} GB", kind.words())
    }
}

impl AdapterKind {
    /// As it is printed.
    fn words(self) -> &'static str {
        match self {
            Self::Discrete => "discrete GPU",
            Self::Integrated => "integrated GPU",
            Self::Virtual => "virtual GPU",
            Self::Cpu => "CPU (software driver)",
            Self::Unknown => "unknown kind",
        }
    }
}

/// A device on the CPU, of which there is one.
fn on_cpu(name: &str, number: Option<usize>, device: fn() -> Device) -> Result<Opened> {
    match number {
        None => Ok(opened(device(), name)),
        Some(_) => {
            Err(error(name, "the CPU has no number".to_owned(), "leave out the colon and the number".to_owned()))
        }
    }
}

fn opened(device: Device, what: &str) -> Opened {
    Opened { device, what: what.to_owned(), largest_buffer: None }
}

fn parse_number(name: &str, number: &str) -> Result<usize> {
    number.parse().map_err(|_| {
        let problem = "what follows the colon must be the number of a device".to_owned();
        error(name, problem, "`nascent devices` lists what this build can use".to_owned())
    })
}

fn error(name: &str, problem: String, hint: String) -> Error {
    Error::Device { name: name.to_owned(), problem, hint }
}

#[cfg(test)]
mod tests {
    use super::too_large;

    #[test]
    fn what_a_device_cannot_hold_is_said_with_what_to_change() {
        let error = too_large("wgpu:0", [1_000_000, 2_000], 8_000_000_000, 4_294_967_296);
        assert_eq!(
            error.to_string(),
            "device \"wgpu:0\": 1000000 cells x 2000 genes take a buffer of 8.00 GB, and it gives at most 4.29 GB"
        );
        assert!(error.hint().is_some_and(|hint| hint.contains("n_top_genes") && hint.contains("--device cpu")));
    }
}
