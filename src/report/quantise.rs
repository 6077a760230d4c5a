//! Numbers in two bytes each: 65,535 steps are finer than any screen.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;

/// Code of a missing value.
const MISSING: u16 = u16::MAX;

/// Numbers between `lo` and `hi` in steps of 1/65534 of their distance, little-endian, as base64.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Quantised {
    /// The lowest number.
    pub lo: f64,
    /// The highest number.
    pub hi: f64,
    /// The codes: 0 is `lo`, 65534 `hi`, 65535 a missing value.
    pub data: String,
}

impl Quantised {
    /// Packs numbers; those that are not finite count as missing.
    #[must_use]
    pub fn new(values: impl IntoIterator<Item = f64> + Clone) -> Self {
        let finite = values.clone().into_iter().filter(|v| v.is_finite());
        let (lo, hi) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(v), hi.max(v)));
        let (lo, hi) = if lo <= hi { (lo, hi) } else { (0.0, 0.0) };
        let code = |v: f64| match v.is_finite() {
            true if hi > lo => ((v - lo) / (hi - lo) * f64::from(MISSING - 1)).round() as u16,
            true => 0,
            false => MISSING,
        };
        Self { lo, hi, data: packed(values.into_iter().map(code)) }
    }

    /// The numbers again, to within half a step; NaN where missing. `None` if the data are no codes.
    #[must_use]
    pub fn unpack(&self) -> Option<Vec<f64>> {
        let bytes = BASE64_STANDARD.decode(&self.data).ok()?;
        let codes = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
        let step = (self.hi - self.lo) / f64::from(MISSING - 1);
        Some(codes.map(|c| if c == MISSING { f64::NAN } else { self.lo + f64::from(c) * step }).collect())
    }

    /// Bytes that it takes in a page.
    pub(super) fn bytes(&self) -> usize {
        self.data.len() + 64
    }
}

/// Codes as base64, little-endian.
pub(super) fn packed(codes: impl IntoIterator<Item = u16>) -> String {
    BASE64_STANDARD.encode(codes.into_iter().flat_map(u16::to_le_bytes).collect::<Vec<u8>>())
}

/// The same in four bytes each.
pub(super) fn packed_wide(codes: impl IntoIterator<Item = u32>) -> String {
    BASE64_STANDARD.encode(codes.into_iter().flat_map(u32::to_le_bytes).collect::<Vec<u8>>())
}
