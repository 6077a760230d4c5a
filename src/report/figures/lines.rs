//! Losses over training, and the cell state over time.

use super::super::axes::{self, Frame, Mark, draw_axes, draw_colour_bar, draw_legend};
use super::super::content::{Colouring, Content, Curve};
use super::super::palette::{self, hex};
use super::super::svg::{Face, Figure, Font, polyline, text_width};
use super::{Key, Paint, scatter};
use crate::error::Result;

/// Losses over steps, one line each. `None` if there are none.
#[must_use]
pub fn losses(curves: &[Curve]) -> Option<Figure> {
    let known = |curve: &&Curve| curve.values.iter().any(|v| v.is_finite());
    let curves: Vec<&Curve> = curves.iter().filter(known).collect();
    if curves.is_empty() {
        return None;
    }
    let beside = curves.iter().map(|c| text_width(&c.name, axes::SMALL)).fold(0.0, f64::max) + 46.0;
    let frame = Frame {
        left: 66.0,
        top: 14.0,
        width: 330.0,
        height: 200.0,
        x: axes::range(curves.iter().flat_map(|c| &c.steps).copied(), 0.0),
        y: settled(&curves),
    };
    let mut figure = Figure::new(frame.left + frame.width + beside, frame.top + frame.height + 42.0);
    let mut entries = Vec::new();
    for (i, curve) in curves.iter().enumerate() {
        let mark = if curve.name.contains("valid") { Mark::Dashes } else { Mark::Line };
        let colour = palette::group(i);
        let dashes = if mark == Mark::Dashes { " stroke-dasharray=\"5 3\"" } else { "" };
        let points = curve
            .steps
            .iter()
            .zip(&curve.values)
            .map(|(&x, &y)| frame.place([x, if y <= frame.y.1 { y } else { f64::NAN }]));
        let style =
            format!("fill=\"none\" stroke=\"{}\" stroke-width=\"1.6\" stroke-linejoin=\"round\"{dashes}", hex(colour));
        figure.path(&polyline(points), &style);
        entries.push((curve.name.clone(), colour, mark));
    }
    draw_axes(&mut figure, &frame, "step", "loss");
    draw_legend(&mut figure, [frame.left + frame.width + 18.0, frame.top + 6.0], &entries, Face::Regular);
    Some(figure)
}

/// Range of losses: all of them, unless the heights of the first steps would press the rest into a flat line.
pub(in super::super) fn settled(curves: &[&Curve]) -> (f64, f64) {
    let mut all: Vec<f64> = curves.iter().flat_map(|c| &c.values).copied().filter(|v| v.is_finite()).collect();
    all.sort_by(f64::total_cmp);
    let Some(&lowest) = all.first() else { return (0.0, 1.0) };
    let most = crate::stats::percentile_of_sorted(&all, 97.0);
    let last = all[all.len() - 1];
    let most = if last - lowest <= 3.0 * (most - lowest) { last } else { most };
    axes::range([lowest, most], 0.05)
}

/// Panels beside each other.
const COLUMNS: usize = 3;

/// Each dimension of the cell state against time, one small panel per dimension, at most `most`. `None` without state or time.
///
/// # Errors
/// [`Error::Data`](crate::Error::Data) if the raster of many points cannot be made.
pub fn state_along_time(content: &Content, colouring: &Colouring, most: usize) -> Result<Option<Figure>> {
    let (Some(latent), Some(time)) = (&content.latent, &content.time) else { return Ok(None) };
    let paint = Paint::of(colouring);
    let panels = latent.ncols().min(most);
    if panels == 0 || time.is_empty() {
        return Ok(None);
    }
    let (wide, tall) = (205.0, 180.0);
    let beside = match &paint.key {
        Key::Numbers(_) => text_width(paint.name, axes::MEDIUM).max(60.0) + 16.0,
        Key::Groups { names, .. } => names.iter().map(|n| text_width(n, axes::SMALL)).fold(0.0, f64::max) + 34.0,
    };
    let legend = match &paint.key {
        Key::Numbers(_) => 150.0,
        Key::Groups { names, .. } => 40.0 + 15.0 * names.len() as f64,
    };
    let across = panels.min(COLUMNS) as f64 * wide;
    let mut figure = Figure::new(across + beside, (tall * panels.div_ceil(COLUMNS) as f64).max(legend));
    let x = axes::range(time.iter().copied(), 0.03);
    let (mut places, mut colours) = (Vec::new(), Vec::new());
    let mut frames = Vec::new();
    for k in 0..panels {
        let values: Vec<f64> = latent.column(k).iter().map(|&v| f64::from(v)).collect();
        let frame = Frame {
            left: (k % COLUMNS) as f64 * wide + 50.0,
            top: (k / COLUMNS) as f64 * tall + 12.0,
            width: wide - 62.0,
            height: tall - 56.0,
            x,
            y: axes::range(values.iter().copied(), 0.05),
        };
        places.extend(time.iter().zip(&values).map(|(&t, &z)| frame.place([t, z])));
        colours.extend_from_slice(&paint.colours);
        frames.push(frame);
    }
    scatter::draw(&mut figure, &places, &colours, 1.2, 0.5)?;
    for (k, frame) in frames.iter().enumerate() {
        draw_axes(&mut figure, frame, "time", &format!("z{}", subscript(k + 1)));
    }
    match &paint.key {
        Key::Numbers(range) => {
            draw_colour_bar(&mut figure, [across + 6.0, 36.0], 90.0, paint.name, range);
        }
        Key::Groups { names, colours, .. } => {
            figure.text([across + 6.0, 16.0], paint.name, Font::new(axes::MEDIUM));
            let entries: Vec<_> =
                names.iter().cloned().zip(colours.iter().copied()).map(|(n, c)| (n, c, Mark::Dot)).collect();
            draw_legend(&mut figure, [across + 6.0, 32.0], &entries, Face::Regular);
        }
    }
    Ok(Some(figure))
}

fn subscript(number: usize) -> String {
    number.to_string().chars().map(|d| char::from_u32(0x2080 + d.to_digit(10).unwrap_or(0)).unwrap_or(d)).collect()
}
