//! Cells on their embedding, and where they go.

use std::collections::BTreeMap;

use super::super::axes::{self, Frame, Mark, draw_colour_bar, draw_corner, draw_legend};
use super::super::content::{Colouring, Embedding};
use super::super::palette::{MISSING, Rgb};
use super::super::streams::{Streamline, streamlines};
use super::super::svg::{Face, Figure, Font, number, polyline, text_width};
use super::super::{order, palette};
use super::{Key, Paint, scatter};
use crate::error::Result;

/// What is drawn over the cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrows {
    /// Streamlines of the field, wider where it is faster.
    Streams,
    /// The field's own arrows.
    Grid,
    /// Arrows of single cells in the colour of their cell, as many as do not hide each other.
    Cells,
    /// Nothing.
    None,
}

/// Width of the panel.
const PANEL: f64 = 400.0;
/// Around it.
const MARGIN: f64 = 14.0;
/// More groups than this get a legend beside the picture in place of labels on it.
const MOST_LABELS: usize = 16;
/// Streams and arrows over cells.
const ARROW: &str = "#1a1a1a";

/// Cells at their places in the colours of `colouring`, with the velocities on top.
///
/// What the embedding does not have (arrows, a field) is not drawn.
///
/// # Errors
/// [`Error::Data`](crate::Error::Data) if the raster of many points cannot be made.
pub fn on_embedding(embedding: &Embedding, colouring: &Colouring, arrows: Arrows) -> Result<Figure> {
    let paint = Paint::of(colouring);
    let beside = beside(&paint);
    let columns = |axis: usize| embedding.points.column(axis).iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
    let (xs, ys) = (columns(0), columns(1));
    let (x, y) = (axes::range(xs.iter().copied(), 0.04), axes::range(ys.iter().copied(), 0.04));
    let height = (PANEL * (y.1 - y.0) / (x.1 - x.0)).clamp(0.62 * PANEL, 1.15 * PANEL);
    let frame = Frame { left: MARGIN, top: MARGIN, width: PANEL, height, x, y }.equal();
    let mut figure = Figure::new(PANEL + 2.0 * MARGIN + beside, height + 2.0 * MARGIN + 22.0);

    let places: Vec<[f64; 2]> = xs.iter().zip(&ys).map(|(&x, &y)| frame.place([x, y])).collect();
    let radius = scatter::radius(places.len(), frame.width, frame.height);
    let opacity = if arrows == Arrows::None { 0.9 } else { 0.55 };
    scatter::draw(&mut figure, &places, &paint.colours, radius, opacity)?;
    match (arrows, &embedding.flow) {
        (Arrows::Streams, Some(flow)) => draw_streams(&mut figure, &frame, &streamlines(flow, 1.0)),
        (Arrows::Grid, Some(flow)) => draw_grid(&mut figure, &frame, flow),
        (Arrows::Cells, _) => draw_cells(&mut figure, &frame, embedding, &paint.colours),
        _ => {}
    }
    draw_key(&mut figure, &frame, &paint, &places);
    let foot = figure.height() - 20.0;
    draw_corner(&mut figure, [MARGIN + 8.0, foot], &embedding.basis);
    Ok(figure)
}

/// Room that the legend takes beside the panel.
fn beside(paint: &Paint<'_>) -> f64 {
    match &paint.key {
        Key::Numbers(_) => text_width(paint.name, axes::MEDIUM).max(56.0) + 12.0,
        Key::Groups { names, .. } if names.len() > MOST_LABELS => {
            let widest = names.iter().map(|name| text_width(name, axes::SMALL)).fold(0.0, f64::max);
            // Entries do not leave the page: more columns.
            (widest + 30.0) * names.len().div_ceil(LEGEND_ROWS) as f64
        }
        Key::Groups { .. } => 0.0,
    }
}

/// Entries of a legend below each other.
const LEGEND_ROWS: usize = 20;

fn draw_key(figure: &mut Figure, frame: &Frame, paint: &Paint<'_>, places: &[[f64; 2]]) {
    let right = frame.left + frame.width + 14.0;
    match &paint.key {
        Key::Numbers(range) => {
            let height = 0.42 * frame.height;
            draw_colour_bar(figure, [right, frame.top + 18.0], height, paint.name, range);
        }
        Key::Groups { codes, names, .. } if names.len() <= MOST_LABELS => {
            draw_labels(figure, codes, names, places);
        }
        Key::Groups { names, colours, .. } => {
            let widest = names.iter().map(|name| text_width(name, axes::SMALL)).fold(0.0, f64::max);
            let entries: Vec<_> =
                names.iter().cloned().zip(colours.iter().copied()).map(|(n, c)| (n, c, Mark::Dot)).collect();
            for (column, part) in entries.chunks(LEGEND_ROWS).enumerate() {
                let x = right + column as f64 * (widest + 30.0);
                draw_legend(figure, [x, frame.top + 6.0], part, Face::Regular);
            }
        }
    }
}

/// Names of the groups on their cells: at the median, moved apart where they would cover each other.
fn draw_labels(figure: &mut Figure, codes: &[i32], names: &[String], places: &[[f64; 2]]) {
    const SIZE: f64 = 11.0;
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let mut labels: Vec<(usize, [f64; 2])> = Vec::new();
    for group in 0..names.len() {
        let inside = |code: &i32| usize::try_from(*code) == Ok(group);
        let cells = codes.iter().zip(places).filter(|(code, at)| inside(code) && at.iter().all(|v| v.is_finite()));
        let of: Vec<[f64; 2]> = cells.map(|(_, at)| *at).collect();
        if !of.is_empty() {
            let middle = [0, 1].map(|axis| median(of.iter().map(|at| at[axis]).collect()));
            labels.push((group, middle));
        }
    }
    for _ in 0..60 {
        push_apart(&mut labels, names, SIZE);
    }
    for (group, [x, y]) in labels {
        let half = text_width(&names[group], SIZE) / 2.0;
        let x = x.clamp(half + 2.0, (figure.width() - half - 2.0).max(half + 2.0));
        let font = Font { halo: 3.2, ..Font::new(SIZE).middle().face(Face::Bold) };
        figure.text([x, y + 4.0], &names[group], font);
    }
}

/// One step away from each other for every pair of labels that overlap.
fn push_apart(labels: &mut [(usize, [f64; 2])], names: &[String], size: f64) {
    for a in 0..labels.len() {
        for b in 0..a {
            let ([ax, ay], [bx, by]) = (labels[a].1, labels[b].1);
            let [width_a, width_b] = [a, b].map(|i| text_width(&names[labels[i].0], size));
            let wide = f64::midpoint(width_a, width_b) + 4.0;
            let tall = size + 3.0;
            if (ax - bx).abs() < wide && (ay - by).abs() < tall {
                let step = (tall - (ay - by).abs()) / 2.0 + 0.1;
                let sign = if ay >= by { 1.0 } else { -1.0 };
                labels[a].1[1] += sign * step;
                labels[b].1[1] -= sign * step;
            }
        }
    }
}

/// Lines in a few widths, each with a faint white edge, and their arrowheads.
fn draw_streams(figure: &mut Figure, frame: &Frame, lines: &[Streamline]) {
    let fastest = lines.iter().flat_map(|line| &line.speeds).copied().fold(f64::MIN_POSITIVE, f64::max);
    let width = |speed: f64| 0.6 + 1.0 * ((speed / fastest).sqrt() * 5.0).round() / 5.0;
    let mut by_width: BTreeMap<String, String> = BTreeMap::new();
    let mut outline = String::new();
    let mut heads = String::new();
    let unit = frame.width / (frame.x.1 - frame.x.0);
    for line in lines {
        let places: Vec<[f64; 2]> = line.points.iter().map(|&p| frame.place(p)).collect();
        outline.push_str(&polyline(places.iter().copied()));
        let mut from = 0;
        for at in 1..places.len() {
            let ends = at + 1 == places.len() || (width(line.speeds[at]) - width(line.speeds[at - 1])).abs() > 1e-9;
            if ends {
                let part = polyline(places[from..=at].iter().copied());
                by_width.entry(number(width(line.speeds[from]))).or_default().push_str(&part);
                from = at;
            }
        }
        for head in line.heads(130.0 / unit) {
            let [dx, dy] = [head.direction[0], -head.direction[1]];
            let length = 5.6 + 1.6 * width(head.speed);
            let at = frame.place(head.at);
            heads.push_str(&axes::arrow_head([at[0] + 0.5 * length * dx, at[1] + 0.5 * length * dy], [dx, dy], length));
        }
    }
    let round = "fill=\"none\" stroke-linecap=\"round\" stroke-linejoin=\"round\"";
    figure.path(&outline, &format!("{round} stroke=\"#ffffff\" stroke-opacity=\"0.5\" stroke-width=\"2.8\""));
    for (width, data) in by_width {
        figure.path(&data, &format!("{round} stroke=\"{ARROW}\" stroke-width=\"{width}\""));
    }
    figure.path(&heads, &format!("fill=\"{ARROW}\""));
}

/// A shaft and a head from `tail`, `along` pixels long; too short an arrow is a short line.
fn arrow(tail: [f64; 2], along: [f64; 2], head: f64) -> (String, String) {
    let length = along[0].hypot(along[1]);
    if !(length.is_finite() && length > 0.3) {
        return (String::new(), String::new());
    }
    let direction = [along[0] / length, along[1] / length];
    let head = head.min(0.7 * length);
    let tip = [tail[0] + along[0], tail[1] + along[1]];
    let neck = [tip[0] - 0.7 * head * direction[0], tip[1] - 0.7 * head * direction[1]];
    (polyline([tail, neck]), axes::arrow_head(tip, direction, head))
}

fn draw_grid(figure: &mut Figure, frame: &Frame, flow: &crate::embedding::Flow) {
    let unit = frame.width / (frame.x.1 - frame.x.0);
    let step = |values: &[f64]| match values {
        [first, second, ..] => (second - first).abs() * unit,
        _ => 0.0,
    };
    // Of a fine grid every second place or fewer: arrows need room to be read.
    let stride = |step: f64| ((12.0 / step).round() as usize).clamp(1, 1 << 16);
    let (dx, dy) = (step(&flow.x), step(&flow.y));
    let (across, up) = (stride(dx), stride(dy));
    let spacing = (dx * across as f64).min(dy * up as f64);
    let speeds: Vec<f64> = flow.u.iter().zip(&flow.v).map(|(u, v)| u.hypot(*v)).filter(|s| s.is_finite()).collect();
    let longest = speeds.into_iter().fold(f64::MIN_POSITIVE, f64::max);
    // The longest arrow covers a little more than its place of the grid.
    let scale = 1.35 * spacing.max(6.0) / longest;
    let (mut shafts, mut heads) = (String::new(), String::new());
    for (j, &y) in flow.y.iter().enumerate().step_by(up) {
        for (i, &x) in flow.x.iter().enumerate().step_by(across) {
            let along = [flow.u[[j, i]] * scale, -flow.v[[j, i]] * scale];
            let (shaft, head) = arrow(frame.place([x, y]), along, 4.6);
            shafts.push_str(&shaft);
            heads.push_str(&head);
        }
    }
    figure.path(&shafts, &format!("fill=\"none\" stroke=\"{ARROW}\" stroke-width=\"0.9\" stroke-linecap=\"round\""));
    figure.path(&heads, &format!("fill=\"{ARROW}\""));
}

fn draw_cells(figure: &mut Figure, frame: &Frame, embedding: &Embedding, colours: &[Rgb]) {
    const SIDE: f64 = 13.0;
    let Some(arrows) = &embedding.arrows else { return };
    let lengths: Vec<f64> = arrows.rows().into_iter().map(|a| f64::from(a[0]).hypot(f64::from(a[1]))).collect();
    let mut sorted: Vec<f64> = lengths.iter().copied().filter(|v| v.is_finite()).collect();
    if sorted.is_empty() {
        return;
    }
    sorted.sort_by(f64::total_cmp);
    let long = crate::stats::percentile_of_sorted(&sorted, 95.0).max(f64::MIN_POSITIVE);
    let scale = 20.0 / long;
    let mut shown = std::collections::BTreeSet::new();
    let mut shafts: BTreeMap<Rgb, (String, String)> = BTreeMap::new();
    for cell in order::shuffled(lengths.len()) {
        let place = frame.place([f64::from(embedding.points[[cell, 0]]), f64::from(embedding.points[[cell, 1]])]);
        let known = lengths[cell].is_finite() && place.iter().all(|v| v.is_finite());
        if !known || !shown.insert(((place[0] / SIDE) as i64, (place[1] / SIDE) as i64)) {
            continue;
        }
        let along = [f64::from(arrows[[cell, 0]]) * scale, -f64::from(arrows[[cell, 1]]) * scale];
        let (shaft, head) = arrow(place, along, 5.5);
        let colour =
            if colours[cell] == MISSING { MISSING } else { colours[cell].map(|c| (f64::from(c) * 0.62) as u8) };
        let entry = shafts.entry(colour).or_default();
        entry.0.push_str(&shaft);
        entry.1.push_str(&head);
    }
    for (colour, (shaft, head)) in shafts {
        let colour = palette::hex(colour);
        figure.path(&shaft, &format!("fill=\"none\" stroke=\"{colour}\" stroke-width=\"1\" stroke-linecap=\"round\""));
        figure.path(&head, &format!("fill=\"{colour}\""));
    }
}
