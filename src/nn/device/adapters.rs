//! The GPUs of this machine, asked through the wgpu that burn uses, and opened so that a refusal is an error of ours.
//!
//! OpenGL is left out: burn's kernels want compute shaders with more storage buffers than it promises, and looking for it loads
//! libraries of the display.

use std::future::Future;
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use burn::tensor::wgpu::wgpu::{Backend, DeviceType, Instance, InstanceDescriptor};
use burn::tensor::wgpu::{WgpuBackend, WgpuInitError};
use burn::tensor::{Device, DeviceKind};

use super::{Adapter, AdapterKind, Opened, error};
use crate::error::{Error, Result};

/// A graphics API as wgpu and as burn name it.
pub(super) type Api = (Backend, WgpuBackend);

/// Vulkan alone.
pub(super) const VULKAN: &[Api] = &[(Backend::Vulkan, WgpuBackend::Vulkan)];

/// All APIs, in the order in which they are asked.
pub(super) const APIS: &[Api] = &[(Backend::Metal, WgpuBackend::Metal), VULKAN[0], (Backend::Dx12, WgpuBackend::Dx12)];

/// What burn calls an adapter: its kind with the number among those of its kind; and the API.
type Key = (DeviceKind, WgpuBackend);

/// Devices that are open: burn opens each once in a process.
static OPEN: Mutex<Vec<(Key, Device)>> = Mutex::new(Vec::new());

/// What each API said: to ask it loads drivers, which want to be loaded by one thread at a time.
static ASKED: Mutex<Vec<(Backend, Vec<Adapter>)>> = Mutex::new(Vec::new());

/// The adapters of the first of `apis` that has a GPU; if none has, of the first that has any.
pub(super) fn list(apis: &[Api]) -> Vec<Adapter> {
    settled(apis).1
}

/// Opens the adapter of that number in [`list`]; without a number, the fastest kind.
pub(super) fn open(name: &str, number: Option<usize>, apis: &[Api]) -> Result<Opened> {
    let mut open = OPEN.lock().expect("no thread panics while it opens a device");
    let (api, adapters) = settled(apis);
    if adapters.is_empty() {
        let hint =
            "install the driver of the GPU (on Linux its Vulkan driver), or leave out --device to compute on the CPU";
        return Err(error(name, "no adapter on this machine: no GPU, or no driver for it".to_owned(), hint.to_owned()));
    }
    let fastest = || (0..adapters.len()).min_by_key(|&number| adapters[number].kind).expect("not empty");
    let number = number.unwrap_or_else(fastest);
    let Some(adapter) = adapters.get(number) else {
        let known = adapters.iter().enumerate().map(|(number, adapter)| format!("{number} ({})", adapter.name));
        let known = known.collect::<Vec<_>>().join(", ");
        return Err(error(name, "no adapter of this number".to_owned(), format!("there are: {known}")));
    };
    let before = adapters[..number].iter().filter(|other| other.kind == adapter.kind).count();
    let key = (of_burn(name, adapter, before)?, api);
    let known = open.iter().find(|(known, _)| *known == key).map(|(_, device)| device.clone());
    let device = if let Some(device) = known {
        device
    } else {
        let options = Device::wgpu_options().device_kind(key.0.clone()).graphics_api(api);
        let device = options.init().map_err(|refused| refusal(name, adapter, &refused))?;
        open.push((key, device.clone()));
        device
    };
    let word = name.split(':').next().unwrap_or(name);
    let what = format!("{word}:{number}, {}, {}", adapter.name, adapter.kind.words());
    Ok(Opened { device, what, largest_buffer: Some(adapter.largest_buffer) })
}

/// As [`list`], with the API.
fn settled(apis: &[Api]) -> (WgpuBackend, Vec<Adapter>) {
    let is_gpu = |adapter: &Adapter| adapter.kind != AdapterKind::Cpu;
    let asked: Vec<_> = apis.iter().map(|&(api, of_burn)| (of_burn, ask(api))).collect();
    let first = |good: &dyn Fn(&[Adapter]) -> bool| asked.iter().find(|(_, adapters)| good(adapters)).cloned();
    first(&|adapters| adapters.iter().any(is_gpu))
        .or_else(|| first(&|adapters| !adapters.is_empty()))
        .unwrap_or((WgpuBackend::Auto, Vec::new()))
}

/// The adapters of one API, in its own order, which is the order in which burn counts them.
fn ask(api: Backend) -> Vec<Adapter> {
    let mut asked = ASKED.lock().expect("no thread panics while it asks for adapters");
    if let Some((_, known)) = asked.iter().find(|(known, _)| *known == api) {
        return known.clone();
    }
    if !Instance::enabled_backend_features().contains(api.into()) {
        return Vec::new();
    }
    let instance =
        Instance::new(InstanceDescriptor { backends: api.into(), ..InstanceDescriptor::new_without_display_handle() });
    let adapters = wait(instance.enumerate_adapters(api.into()));
    let describe = |adapter: &burn::tensor::wgpu::wgpu::Adapter| {
        let info = adapter.get_info();
        let kind = match info.device_type {
            DeviceType::DiscreteGpu => AdapterKind::Discrete,
            DeviceType::IntegratedGpu => AdapterKind::Integrated,
            DeviceType::VirtualGpu => AdapterKind::Virtual,
            DeviceType::Cpu => AdapterKind::Cpu,
            DeviceType::Other => AdapterKind::Unknown,
        };
        let driver = [info.driver.as_str(), &info.driver_info].join(" ");
        let driver = match driver.trim() {
            "" => format!("{api:?}"),
            driver => format!("{api:?}, driver {driver}"),
        };
        Adapter { name: info.name, kind, driver, largest_buffer: adapter.limits().max_buffer_size }
    };
    let adapters: Vec<Adapter> = adapters.iter().map(describe).collect();
    asked.push((api, adapters.clone()));
    adapters
}

/// The result of a future of wgpu, which outside browsers is ready at once.
fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
        std::thread::yield_now();
    }
}

/// burn's word for `adapter`, `before` which there are so many of its kind.
fn of_burn(name: &str, adapter: &Adapter, before: usize) -> Result<DeviceKind> {
    match adapter.kind {
        AdapterKind::Discrete => Ok(DeviceKind::DiscreteGpu(before)),
        AdapterKind::Integrated => Ok(DeviceKind::IntegratedGpu(before)),
        AdapterKind::Virtual => Ok(DeviceKind::VirtualGpu(before)),
        AdapterKind::Cpu if before == 0 => Ok(DeviceKind::Cpu),
        AdapterKind::Cpu | AdapterKind::Unknown => Err(error(
            name,
            format!("{}, {}: not one that burn can be told to open", adapter.name, adapter.kind.words()),
            "name another of those that `nascent devices` lists".to_owned(),
        )),
    }
}

fn refusal(name: &str, adapter: &Adapter, refused: &WgpuInitError) -> Error {
    let hint = "another program may hold it, or its driver may be too old; without --device the CPU computes";
    error(name, format!("{} ({}) cannot be opened: {refused}", adapter.name, adapter.driver), hint.to_owned())
}
