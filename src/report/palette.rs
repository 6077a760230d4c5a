//! Colours that readers with any colour vision can tell apart, and that keep their order in grey.

use super::content::Scale;

/// Red, green, blue.
pub(super) type Rgb = [u8; 3];

/// Cells without a value.
pub(super) const MISSING: Rgb = [0xc9, 0xc9, 0xc9];

/// Groups: Okabe and Ito's colours (2008) but for black and the yellow that vanishes on white, then those of Tol's
/// schemes "muted" and "light" (2021) that differ from them.
const GROUPS: [Rgb; 20] = [
    [0x00, 0x72, 0xb2],
    [0xe6, 0x9f, 0x00],
    [0x00, 0x9e, 0x73],
    [0xd5, 0x5e, 0x00],
    [0x56, 0xb4, 0xe9],
    [0xcc, 0x79, 0xa7],
    [0x33, 0x22, 0x88],
    [0xdd, 0xcc, 0x77],
    [0x88, 0x22, 0x55],
    [0x44, 0xbb, 0x99],
    [0x99, 0x99, 0x33],
    [0xcc, 0x66, 0x77],
    [0x11, 0x77, 0x33],
    [0xaa, 0x44, 0x99],
    [0xbb, 0xcc, 0x33],
    [0x66, 0x11, 0x00],
    [0x77, 0xaa, 0xdd],
    [0xff, 0xaa, 0xbb],
    [0x66, 0x66, 0x66],
    [0xee, 0x88, 0x66],
];

/// Every sixteenth colour of viridis (van der Walt and Smith 2015, CC0).
pub(super) const SEQUENTIAL: [Rgb; 17] = [
    [68, 1, 84],
    [72, 24, 106],
    [71, 45, 123],
    [66, 64, 134],
    [59, 82, 139],
    [51, 99, 141],
    [44, 114, 142],
    [38, 130, 142],
    [33, 145, 140],
    [31, 160, 136],
    [40, 174, 128],
    [63, 188, 115],
    [94, 201, 98],
    [132, 212, 75],
    [173, 220, 48],
    [216, 226, 25],
    [253, 231, 37],
];

/// Moreland's cool to warm (2009): its middle is grey, so that cells near 0 are seen on white and on dark paper.
pub(super) const DIVERGING: [Rgb; 9] = [
    [59, 76, 192],
    [98, 130, 234],
    [141, 176, 254],
    [184, 208, 249],
    [221, 221, 221],
    [245, 196, 173],
    [244, 154, 123],
    [222, 96, 77],
    [180, 4, 38],
];

/// Colour of the group at a position. After twenty they return, darker.
pub(super) fn group(position: usize) -> Rgb {
    let round = (position / GROUPS.len()).min(3) as f64;
    GROUPS[position % GROUPS.len()].map(|c| (f64::from(c) * 0.75f64.powf(round)) as u8)
}

/// Colours of a scale, lowest first.
pub(super) fn stops(scale: Scale) -> &'static [Rgb] {
    match scale {
        Scale::Sequential => &SEQUENTIAL,
        Scale::Diverging => &DIVERGING,
    }
}

/// Colour at `share` of a scale, 0 to 1; beyond, that of the end.
pub(super) fn at(scale: Scale, share: f64) -> Rgb {
    if share.is_nan() {
        return MISSING;
    }
    let stops = stops(scale);
    let place = share.clamp(0.0, 1.0) * (stops.len() - 1) as f64;
    let below = (place as usize).min(stops.len() - 2);
    let part = place - below as f64;
    let mix = |i: usize| f64::from(stops[below][i]) * (1.0 - part) + f64::from(stops[below + 1][i]) * part;
    [mix(0).round() as u8, mix(1).round() as u8, mix(2).round() as u8]
}

/// `#rrggbb`.
pub(super) fn hex([r, g, b]: Rgb) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// The colour behind `#rrggbb`; `None` if it is anything else.
pub(super) fn parse(text: &str) -> Option<Rgb> {
    let digits = text.strip_prefix('#').filter(|d| d.len() == 6 && d.bytes().all(|b| b.is_ascii_hexdigit()))?;
    let part = |i: usize| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).ok();
    Some([part(0)?, part(1)?, part(2)?])
}

/// Colours of all groups: the given ones where they are colours, else ours.
pub(super) fn groups(n: usize, given: &[String]) -> Vec<Rgb> {
    (0..n).map(|i| given.get(i).and_then(|text| parse(text)).unwrap_or_else(|| group(i))).collect()
}
