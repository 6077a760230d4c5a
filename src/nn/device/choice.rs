//! Which device `auto` is.

use super::{AdapterKind, Build, KINDS, Kind, Opened, error};
use crate::error::Result;

/// A discrete GPU if this build can use one and there is one that opens, else the CPU.
///
/// Integrated GPUs and software drivers are left to those who name them: whether an integrated one is faster than flex on the
/// same machine was not measured, and a software driver is slower.
pub(super) fn auto() -> Result<Opened> {
    let mut found = Vec::new();
    let mut asked = false;
    for kind in KINDS {
        let Some((build, adapters)) = kind.build.as_ref().and_then(|build| Some((build, (build.adapters)()?))) else {
            continue;
        };
        asked = true;
        if let Some(number) = adapters.iter().position(|adapter| adapter.kind == AdapterKind::Discrete) {
            match (build.open)(&format!("{}:{number}", kind.name), Some(number)) {
                Ok(opened) => return Ok(because(opened, "auto: the first discrete GPU")),
                Err(problem) => found.push(problem.to_string()),
            }
        }
        found.extend(adapters.iter().map(|adapter| format!("{}, {}", adapter.name, adapter.kind.words())));
    }
    let why = match (asked, found.is_empty()) {
        (false, _) => "auto: a build without GPU".to_owned(),
        (true, true) => "auto: no GPU found".to_owned(),
        (true, false) => format!("auto: no discrete GPU; found {}", found.join("; ")),
    };
    let (kind, build) = fallback().ok_or_else(|| {
        error("auto", "this build holds no device".to_owned(), "build with `--features flex`".to_owned())
    })?;
    (build.open)(kind.name, None).map(|opened| because(opened, &why))
}

/// The first kind of this build on the CPU; if it has none, the first.
fn fallback() -> Option<(&'static Kind, &'static Build)> {
    let mut kinds = KINDS.iter().filter_map(|kind| Some((kind, kind.build.as_ref()?)));
    let first = kinds.clone().next();
    kinds.find(|(_, build)| (build.adapters)().is_none()).or(first)
}

fn because(opened: Opened, why: &str) -> Opened {
    Opened { what: format!("{} ({why})", opened.what), ..opened }
}
