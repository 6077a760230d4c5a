//! Genes along time: which are on when.

use super::super::axes::{self, Frame, MEDIUM, SMALL, draw_colour_bar, tick_label, ticks};
use super::super::content::{Colouring, Content, Scale, Values};
use super::super::palette::{self, MISSING, Rgb};
use super::super::png;
use super::super::svg::{Face, Figure, Font, INK, text_width};
use crate::error::Result;

/// Columns: neighbouring cells in time are averaged.
const COLUMNS: usize = 150;
/// Pixels of the raster per column and per row, so that viewers that smooth images keep edges sharp.
const GRAIN: [usize; 2] = [4, 16];
/// Height of a row, width of a column on the page.
const ROW: f64 = 10.5;
const WIDTH: f64 = 380.0;

/// Spliced abundance of the best velocity genes, at most `most`, in cells ordered by [`Content::time`].
///
/// Genes are ordered by when they are highest; each row runs from its own lowest to its highest value. The groups of
/// `strip` are shown above. `None` without time or genes.
///
/// # Errors
/// [`Error::Data`](crate::Error::Data) if the raster cannot be made.
pub fn expression_along_time(content: &Content, strip: Option<&Colouring>, most: usize) -> Result<Option<Figure>> {
    let Some(time) = &content.time else { return Ok(None) };
    let mut cells: Vec<usize> =
        (0..content.gene_cells.len()).filter(|&i| time[content.gene_cells[i]].is_finite()).collect();
    cells.sort_by(|&a, &b| time[content.gene_cells[a]].total_cmp(&time[content.gene_cells[b]]));
    let columns = COLUMNS.min(cells.len());
    if columns < 2 {
        return Ok(None);
    }
    let bins: Vec<&[usize]> =
        (0..columns).map(|c| &cells[c * cells.len() / columns..(c + 1) * cells.len() / columns]).collect();
    let mut rows = rows(content, &bins, most);
    if rows.is_empty() {
        return Ok(None);
    }
    rows.sort_by_key(|row| row.peak);

    let widest = rows.iter().map(|row| text_width(row.name, SMALL)).fold(0.0, f64::max);
    let top = 26.0;
    let frame =
        Frame { left: widest + 18.0, top, width: WIDTH, height: ROW * rows.len() as f64, x: (0.0, 1.0), y: (0.0, 1.0) };
    let mut figure = Figure::new(frame.left + WIDTH + 92.0, (top + frame.height + 44.0).max(190.0));
    let pixels = pixels(&rows, columns);
    let image = png::raster(columns * GRAIN[0], rows.len() * GRAIN[1], &pixels)?;
    figure.image(frame.left, top, WIDTH, frame.height, &image);
    for (i, row) in rows.iter().enumerate() {
        let y = top + (i as f64 + 0.5) * ROW + 3.0;
        figure.text([frame.left - 5.0, y], row.name, Font::new(SMALL - 0.5).end().face(Face::Italic));
    }
    if let Some(Values::Categorical { codes, categories, colours }) = strip.map(|s| &s.values) {
        let palette = palette::groups(categories.len(), colours);
        for (i, bin) in bins.iter().enumerate() {
            let colour = palette::hex(commonest(bin.iter().map(|&c| codes[content.gene_cells[c]]), &palette));
            let width = WIDTH / columns as f64;
            figure.rect(frame.left + i as f64 * width, top - 11.0, width + 0.3, 7.0, &format!("fill=\"{colour}\""));
        }
        figure.text([frame.left - 5.0, top - 4.5], strip.map_or("", |s| s.name.as_str()), Font::new(SMALL - 0.5).end());
    }
    draw_time(&mut figure, &frame, &bins, |cell| time[content.gene_cells[cell]]);
    let range = axes::ColourRange { scale: Scale::Sequential, lo: 0.0, hi: 1.0, beyond: [false; 2] };
    draw_colour_bar(&mut figure, [frame.left + WIDTH + 16.0, top + 30.0], 90.0, "Ms, scaled", &range);
    Ok(Some(figure))
}

struct Row<'a> {
    name: &'a str,
    /// Between 0 and 1, one per column.
    shares: Vec<f64>,
    /// Column of the highest.
    peak: usize,
}

fn rows<'a>(content: &'a Content, bins: &[&[usize]], most: usize) -> Vec<Row<'a>> {
    let ranked = content.genes_by_rank().into_iter().map(|g| &content.genes[g]);
    let row = |gene: &'a super::super::content::Gene| {
        let means: Vec<f64> =
            bins.iter().map(|bin| bin.iter().map(|&c| f64::from(gene.ms[c])).sum::<f64>() / bin.len() as f64).collect();
        let smooth = smoothed(&means);
        let (lo, hi) = smooth.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), &v| (lo.min(v), hi.max(v)));
        let varies = hi > lo && hi.is_finite();
        let shares: Vec<f64> = smooth.iter().map(|v| (v - lo) / (hi - lo)).collect();
        let peak = (0..shares.len()).max_by(|&a, &b| shares[a].total_cmp(&shares[b]).then(b.cmp(&a)))?;
        varies.then_some(Row { name: &gene.name, shares, peak })
    };
    ranked.filter(|gene| gene.velocity_gene != Some(false)).filter_map(row).take(most).collect()
}

/// Means over a window of 7 columns.
fn smoothed(values: &[f64]) -> Vec<f64> {
    let window = |i: usize| &values[i.saturating_sub(3)..(i + 4).min(values.len())];
    (0..values.len()).map(|i| window(i).iter().sum::<f64>() / window(i).len() as f64).collect()
}

fn pixels(rows: &[Row<'_>], columns: usize) -> Vec<Rgb> {
    let mut pixels = Vec::with_capacity(rows.len() * columns * GRAIN[0] * GRAIN[1]);
    for row in rows {
        let line: Vec<Rgb> = row
            .shares
            .iter()
            .flat_map(|&share| std::iter::repeat_n(palette::at(Scale::Sequential, share), GRAIN[0]))
            .collect();
        for _ in 0..GRAIN[1] {
            pixels.extend_from_slice(&line);
        }
    }
    pixels
}

/// Colour of the group that most cells are in, the first of equals.
fn commonest(codes: impl Iterator<Item = i32>, palette: &[Rgb]) -> Rgb {
    let mut counts = vec![0usize; palette.len()];
    for code in codes {
        if let Some(count) = usize::try_from(code).ok().and_then(|c| counts.get_mut(c)) {
            *count += 1;
        }
    }
    let best = (0..counts.len()).max_by_key(|&g| (counts[g], std::cmp::Reverse(g)));
    best.filter(|&g| counts[g] > 0).map_or(MISSING, |g| palette[g])
}

/// Cells are spread evenly, time is not: ticks stand at the first column that has reached their time.
fn draw_time(figure: &mut Figure, frame: &Frame, bins: &[&[usize]], time: impl Fn(usize) -> f64) {
    let starts: Vec<f64> = bins.iter().map(|bin| bin.first().map_or(f64::NAN, |&c| time(c))).collect();
    let bottom = frame.top + frame.height;
    let (values, step) = ticks(axes::range(starts.iter().copied(), 0.0), 6);
    let mut last = f64::NEG_INFINITY;
    for value in values {
        let Some(column) = starts.iter().position(|&start| start >= value) else { continue };
        let x = frame.left + frame.width * column as f64 / bins.len() as f64;
        if x - last < 26.0 {
            continue;
        }
        last = x;
        figure.line([x, bottom], [x, bottom + 3.5], &format!("stroke=\"{INK}\" stroke-width=\"0.8\""));
        figure.text([x, bottom + 14.0], &tick_label(value, step), Font::new(SMALL).middle());
    }
    let name = "cells in the order of their time";
    figure.text([frame.left + frame.width / 2.0, bottom + 30.0], name, Font::new(MEDIUM).middle());
}
