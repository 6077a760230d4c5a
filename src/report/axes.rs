//! From numbers to places on the page: frames, ticks, axes, colour bars and legends.

use super::content::Scale;
use super::palette::{self, Rgb, hex};
use super::svg::{Face, Figure, Font, INK, number, polygon, polyline, text_width};

/// Lines of axes.
const AXIS: &str = "fill=\"none\" stroke=\"#262626\" stroke-width=\"0.8\" stroke-linecap=\"square\"";
/// Size of tick labels and legends.
pub(super) const SMALL: f64 = 9.5;
/// Size of names of axes.
pub(super) const MEDIUM: f64 = 10.5;

/// A rectangle of the page and the numbers at its edges.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) x: (f64, f64),
    pub(super) y: (f64, f64),
}

impl Frame {
    pub(super) fn place(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let share = |v: f64, (lo, hi): (f64, f64)| (v - lo) / (hi - lo);
        [self.left + share(x, self.x) * self.width, self.top + (1.0 - share(y, self.y)) * self.height]
    }

    /// Widens the numbers of one axis until a unit is as long on both.
    pub(super) fn equal(mut self) -> Self {
        let (span_x, span_y) = (self.x.1 - self.x.0, self.y.1 - self.y.0);
        let unit = (span_x / self.width).max(span_y / self.height);
        let widen = |(lo, hi): (f64, f64), span: f64| {
            let middle = f64::midpoint(lo, hi);
            (middle - span / 2.0, middle + span / 2.0)
        };
        self.x = widen(self.x, unit * self.width);
        self.y = widen(self.y, unit * self.height);
        self
    }
}

/// Lowest and highest finite number with a margin as a share of their distance; around a single number, or none, one unit.
pub(super) fn range(values: impl IntoIterator<Item = f64>, margin: f64) -> (f64, f64) {
    let finite = values.into_iter().filter(|v| v.is_finite());
    let (lo, hi) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(v), hi.max(v)));
    if lo > hi {
        return (0.0, 1.0);
    }
    let span = hi - lo;
    if span <= 1e-12 * hi.abs().max(lo.abs()) {
        return (lo - 0.5, hi + 0.5);
    }
    (lo - margin * span, hi + margin * span)
}

/// Round numbers from `lo` to `hi`, about `about` of them, and their distance.
pub(super) fn ticks((lo, hi): (f64, f64), about: usize) -> (Vec<f64>, f64) {
    let rough = (hi - lo) / about.max(1) as f64;
    if !(rough.is_finite() && rough > 0.0) {
        return (Vec::new(), 1.0);
    }
    let power = 10f64.powf(rough.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= rough * 0.75).unwrap_or(10.0 * power);
    let (first, last) = ((lo / step - 1e-9).ceil(), (hi / step + 1e-9).floor());
    let n = (last - first).clamp(-1.0, 50.0) as i64;
    ((0..=n).map(|i| (first + i as f64) * step).collect(), step)
}

/// A tick as readers write it: as many decimals as its neighbours need, a minus that is one, powers of ten where long.
pub(super) fn tick_label(value: f64, step: f64) -> String {
    let largest = value.abs();
    let text = if largest != 0.0 && (largest >= 1e5 || step < 1e-3) {
        let power = largest.log10().floor();
        let front = value / 10f64.powf(power);
        let digits = ((power - step.log10().floor()).max(0.0) as usize).min(6);
        let raised: String = format!("{power:.0}").chars().map(superscript).collect();
        format!("{front:.digits$}·10{raised}")
    } else {
        let decimals = (-(step.log10() + 1e-9).floor()).clamp(0.0, 6.0) as usize;
        format!("{value:.decimals$}")
    };
    let text =
        if text.trim_start_matches('-').chars().all(|c| c == '0' || c == '.') { text.replace('-', "") } else { text };
    text.replace('-', "−")
}

fn superscript(digit: char) -> char {
    match digit {
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        '-' => '⁻',
        '0' => '⁰',
        other => char::from_u32(0x2070 + other.to_digit(10).unwrap_or(0)).unwrap_or(other),
    }
}

/// Axes left and below, with ticks and names.
pub(super) fn draw_axes(figure: &mut Figure, frame: &Frame, x_name: &str, y_name: &str) {
    let (right, bottom) = (frame.left + frame.width, frame.top + frame.height);
    figure.path(&polyline([[frame.left, frame.top], [frame.left, bottom], [right, bottom]]), AXIS);
    let (x_ticks, step) = ticks(frame.x, (frame.width / 55.0).round().max(2.0) as usize);
    for value in x_ticks {
        let [x, _] = frame.place([value, frame.y.0]);
        figure.line([x, bottom], [x, bottom + 3.5], AXIS);
        figure.text([x, bottom + 14.0], &tick_label(value, step), Font::new(SMALL).middle());
    }
    let (y_ticks, step) = ticks(frame.y, (frame.height / 40.0).round().max(2.0) as usize);
    let mut widest = 0.0f64;
    for value in y_ticks {
        let [_, y] = frame.place([frame.x.0, value]);
        figure.line([frame.left - 3.5, y], [frame.left, y], AXIS);
        let label = tick_label(value, step);
        widest = widest.max(text_width(&label, SMALL));
        figure.text([frame.left - 6.0, y + 3.3], &label, Font::new(SMALL).end());
    }
    figure.text([frame.left + frame.width / 2.0, bottom + 29.0], x_name, Font::new(MEDIUM).middle());
    let turned = Font { turn: -90.0, ..Font::new(MEDIUM).middle() };
    figure.text([frame.left - widest - 13.0, frame.top + frame.height / 2.0], y_name, turned);
}

/// What an embedding has in place of axes: its coordinates mean directions, not amounts.
pub(super) fn draw_corner(figure: &mut Figure, [x, y]: [f64; 2], basis: &str) {
    const LENGTH: f64 = 42.0;
    figure.path(&polyline([[x, y - LENGTH], [x, y], [x + LENGTH, y]]), AXIS);
    for (tip, [dx, dy]) in [([x + LENGTH + 4.0, y], [1.0, 0.0]), ([x, y - LENGTH - 4.0], [0.0, -1.0])] {
        figure.path(&arrow_head(tip, [dx, dy], 6.0), &format!("fill=\"{INK}\""));
    }
    figure.text([x, y + 12.0], &format!("{basis} 1"), Font::new(SMALL));
    figure.text([x - 5.0, y], &format!("{basis} 2"), Font { turn: -90.0, ..Font::new(SMALL) });
}

/// A triangle with its tip at `tip`, pointing along the unit vector `direction`, notched at its back.
pub(super) fn arrow_head(tip: [f64; 2], [dx, dy]: [f64; 2], length: f64) -> String {
    let half = 0.42 * length;
    let back = [tip[0] - length * dx, tip[1] - length * dy];
    let notch = [tip[0] - 0.75 * length * dx, tip[1] - 0.75 * length * dy];
    polygon(&[tip, [back[0] - half * dy, back[1] + half * dx], notch, [back[0] + half * dy, back[1] - half * dx]])
}

/// Numbers and the colours they have.
#[derive(Clone, Copy, Debug)]
pub(super) struct ColourRange {
    pub(super) scale: Scale,
    pub(super) lo: f64,
    pub(super) hi: f64,
    /// Whether there are values below and above, drawn in the colour of the end.
    pub(super) beyond: [bool; 2],
}

impl ColourRange {
    /// From the first to the last percentile, so that a few extreme cells do not take all colours; around 0 if diverging.
    pub(super) fn of(values: &[f64], scale: Scale) -> Self {
        let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let (Some(&first), Some(&last)) = (sorted.first(), sorted.last()) else {
            return Self { scale, lo: 0.0, hi: 1.0, beyond: [false; 2] };
        };
        let at = |q| crate::stats::percentile_of_sorted(&sorted, q);
        let (mut lo, mut hi) = (at(1.0), at(99.0));
        // Without a tail worth the words, the whole range is shown.
        let slack = 0.15 * (hi - lo);
        if first >= lo - slack {
            lo = first;
        }
        if last <= hi + slack {
            hi = last;
        }
        if scale == Scale::Diverging {
            hi = hi.abs().max(lo.abs());
            lo = -hi;
        }
        if hi - lo <= 1e-12 * hi.abs().max(lo.abs()) {
            (lo, hi) = (lo - 0.5, hi + 0.5);
        }
        Self { scale, lo, hi, beyond: [first < lo, last > hi] }
    }

    pub(super) fn colour(&self, value: f64) -> Rgb {
        palette::at(self.scale, (value - self.lo) / (self.hi - self.lo))
    }
}

/// A colour bar with its name above, ends pointed where values go on. Returns the x right of its labels.
pub(super) fn draw_colour_bar(
    figure: &mut Figure,
    [x, y]: [f64; 2],
    height: f64,
    name: &str,
    range: &ColourRange,
) -> f64 {
    const WIDTH: f64 = 11.0;
    const PARTS: usize = 128;
    figure.text([x, y - 12.0], name, Font::new(MEDIUM));
    let part = height / PARTS as f64;
    for i in 0..PARTS {
        let share = (i as f64 + 0.5) / PARTS as f64;
        // From the foot up, each reaching under the next: no seams.
        let top = y + height - (i + 1) as f64 * part;
        let colour = hex(palette::at(range.scale, share));
        figure.rect(x, top, WIDTH, if i == 0 { part } else { 2.0 * part }, &format!("fill=\"{colour}\""));
    }
    let ends = [(range.beyond[1], y, -7.0, 1.0), (range.beyond[0], y + height, 7.0, 0.0)];
    for (beyond, at, out, share) in ends {
        if beyond {
            let colour = hex(palette::at(range.scale, share));
            let tip = polygon(&[[x, at], [x + WIDTH, at], [x + WIDTH / 2.0, at + out]]);
            figure.path(&tip, &format!("fill=\"{colour}\""));
        }
    }
    let (values, step) = ticks((range.lo, range.hi), 4);
    let mut right = x + text_width(name, MEDIUM);
    for value in values {
        let at = y + height * (1.0 - (value - range.lo) / (range.hi - range.lo));
        figure.line([x + WIDTH, at], [x + WIDTH + 3.0, at], AXIS);
        let label = tick_label(value, step);
        figure.text([x + WIDTH + 6.0, at + 3.3], &label, Font::new(SMALL));
        right = right.max(x + WIDTH + 6.0 + text_width(&label, SMALL));
    }
    right
}

/// What a line of a legend shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Dot,
    Line,
    Dashes,
}

/// A legend below `y`, one entry per line.
pub(super) fn draw_legend(figure: &mut Figure, [x, y]: [f64; 2], entries: &[(String, Rgb, Mark)], face: Face) {
    for (i, (name, colour, mark)) in entries.iter().enumerate() {
        let middle = y + i as f64 * 15.0;
        let colour = hex(*colour);
        match mark {
            Mark::Dot => figure.circle([x + 4.0, middle], 4.0, &format!("fill=\"{colour}\"")),
            Mark::Line | Mark::Dashes => {
                let dashes = if *mark == Mark::Dashes { " stroke-dasharray=\"4 2.5\"" } else { "" };
                let style = format!("stroke=\"{colour}\" stroke-width=\"{}\"{dashes}", number(1.8));
                figure.line([x - 4.0, middle], [x + 11.0, middle], &style);
            }
        }
        figure.text([x + 15.0, middle + 3.3], name, Font::new(SMALL).face(face));
    }
}
