//! One gene: its phase portrait, and its abundances along time.

use super::super::axes::{self, Frame, Mark, draw_axes, draw_colour_bar, draw_legend};
use super::super::content::{Colouring, Content, Gene, Values};
use super::super::palette::{self, Rgb, hex};
use super::super::svg::{Face, Figure, Font, polyline, text_width};
use super::{Key, Paint, scatter};
use crate::error::Result;

/// Colours of the branches of a fitted curve: dark, and told apart by their dashes too.
const BRANCHES: [Rgb; 4] = [[0x1a, 0x1a, 0x1a], [0x9a, 0x1b, 0x5b], [0x00, 0x50, 0x7d], [0x6b, 0x3d, 0x00]];
/// Unspliced and spliced abundance.
const SPECIES: [Rgb; 2] = [[0xd5, 0x5e, 0x00], [0x00, 0x72, 0xb2]];

/// Unspliced against spliced abundance of the cells, with the fitted curve.
///
/// Above the curve cells are in induction, below in repression. `colouring` is over all cells of the content.
///
/// # Errors
/// [`Error::Data`](crate::Error::Data) if the raster of many points cannot be made.
pub fn phase_portrait(content: &Content, gene: &Gene, colouring: &Colouring) -> Result<Figure> {
    let paint = Paint::of(&of_cells(colouring, &content.gene_cells)).owned();
    let (s, u): (Vec<f64>, Vec<f64>) = (floats(&gene.ms), floats(&gene.mu));
    let legend = gene.course.iter().map(|c| c.name.clone()).chain(paint.groups.iter().map(|(n, _)| n.clone()));
    let beside = legend.map(|name| text_width(&name, axes::SMALL) + 34.0).fold(70.0, f64::max);
    let with_course = |own: &[f64], fitted: fn(&super::super::content::Course) -> &[f64]| {
        let cells = axes::range(own.iter().copied(), 0.0);
        // A curve that runs far beyond the cells does not shrink them to a dot.
        let most = cells.1 + 0.6 * (cells.1 - cells.0);
        let curve = gene.course.iter().flat_map(fitted).copied().filter(|v| *v <= most);
        axes::range(own.iter().copied().chain(curve), 0.04)
    };
    let frame = Frame {
        left: 54.0,
        top: 30.0,
        width: 250.0,
        height: 215.0,
        x: with_course(&s, |c| &c.s),
        y: with_course(&u, |c| &c.u),
    };
    let legend = frame.top + 15.0 * (gene.course.len() + paint.groups.len() + 2) as f64;
    let height = (frame.top + frame.height + 42.0).max(legend);
    let mut figure = Figure::new(frame.left + frame.width + beside + 22.0, height);
    let places: Vec<[f64; 2]> = s.iter().zip(&u).map(|(&s, &u)| frame.place([s, u])).collect();
    let radius = scatter::radius(places.len(), 0.5 * frame.width, 0.5 * frame.height).clamp(0.9, 2.4);
    scatter::draw(&mut figure, &places, &paint.colours, radius, 0.7)?;
    let right = frame.left + frame.width + 22.0;
    let (mut entries, mut curves) = (Vec::new(), Vec::new());
    for (i, course) in gene.course.iter().enumerate() {
        let (colour, mark) = (BRANCHES[i % BRANCHES.len()], if i % 2 == 0 { Mark::Line } else { Mark::Dashes });
        let line = course.s.iter().zip(&course.u).map(|(&s, &u)| inside(&frame, [s, u]));
        curves.push((polyline(line), colour, mark));
        entries.push((course.name.clone(), colour, mark));
    }
    draw_curves(&mut figure, &curves);
    if let (true, Some(fit_s), Some(fit_u)) = (curves.is_empty(), &gene.fit_s, &gene.fit_u) {
        let fitted: Vec<[f64; 2]> =
            fit_s.iter().zip(fit_u).map(|(&s, &u)| inside(&frame, [f64::from(s), f64::from(u)])).collect();
        scatter::draw(&mut figure, &fitted, &vec![BRANCHES[0]; fitted.len()], 0.8, 0.8)?;
        entries.push(("fit".to_owned(), BRANCHES[0], Mark::Dot));
    }
    draw_legend(&mut figure, [right, frame.top + 6.0], &entries, Face::Regular);
    let below = frame.top + 6.0 + 15.0 * entries.len() as f64 + 8.0;
    if let Some(range) = &paint.range {
        draw_colour_bar(&mut figure, [right - 4.0, below + 18.0], 84.0, &paint.name, range);
    } else {
        let groups = paint.groups.iter();
        let dots: Vec<_> = groups.map(|(name, colour)| (name.clone(), *colour, Mark::Dot)).collect();
        draw_legend(&mut figure, [right, below], &dots, Face::Regular);
    }
    draw_axes(&mut figure, &frame, "spliced (Ms)", "unspliced (Mu)");
    figure.text([frame.left, 18.0], &gene.name, Font::new(13.0).face(Face::Italic));
    Ok(figure)
}

/// Unspliced and spliced abundance along time, cells as dots, the fit as lines. `None` if no time is known.
///
/// Each species is shown as a share of the largest value among its cells, so that both can be read on one axis.
///
/// # Errors
/// [`Error::Data`](crate::Error::Data) if the raster of many points cannot be made.
pub fn over_time(content: &Content, gene: &Gene) -> Result<Option<Figure>> {
    let Some(time) = content.times(gene) else { return Ok(None) };
    let species = [("unspliced (Mu)", floats(&gene.mu)), ("spliced (Ms)", floats(&gene.ms))];
    let largest = species.each_ref().map(|(_, values)| values.iter().copied().fold(f64::MIN_POSITIVE, f64::max));
    let frame = Frame {
        left: 54.0,
        top: 30.0,
        width: 300.0,
        height: 195.0,
        x: axes::range(time.iter().copied(), 0.02),
        y: (-0.02, 1.06),
    };
    let mut figure = Figure::new(frame.left + frame.width + 120.0, frame.top + frame.height + 42.0);
    let (mut places, mut colours) = (Vec::new(), Vec::new());
    for (which, (_, values)) in species.iter().enumerate() {
        places.extend(time.iter().zip(values).map(|(&t, &v)| frame.place([t, v / largest[which]])));
        colours.extend(std::iter::repeat_n(SPECIES[which], values.len()));
    }
    scatter::draw(&mut figure, &places, &colours, 1.3, 0.35)?;
    let mut curves = Vec::new();
    for course in gene.course.iter().filter(|course| !course.t.is_empty()) {
        for (which, values) in [&course.u, &course.s].into_iter().enumerate() {
            let line = course.t.iter().zip(values).map(|(&t, &v)| inside(&frame, [t, v / largest[which]]));
            let dark = SPECIES[which].map(|c| (f64::from(c) * 0.7) as u8);
            curves.push((polyline(line), dark, Mark::Line));
        }
    }
    draw_curves(&mut figure, &curves);
    let entries: Vec<_> =
        species.iter().zip(SPECIES).map(|((name, _), c)| ((*name).to_owned(), c, Mark::Dot)).collect();
    draw_legend(&mut figure, [frame.left + frame.width + 18.0, frame.top + 6.0], &entries, Face::Regular);
    draw_axes(&mut figure, &frame, "time", "share of the largest value");
    figure.text([frame.left, 18.0], &gene.name, Font::new(13.0).face(Face::Italic));
    Ok(Some(figure))
}

/// Lines on points: first the white edges of all, which would else cut through lines that cross.
fn draw_curves(figure: &mut Figure, curves: &[(String, Rgb, Mark)]) {
    let round = "fill=\"none\" stroke-linejoin=\"round\"";
    for (data, _, _) in curves {
        figure.path(data, &format!("{round} stroke=\"#ffffff\" stroke-opacity=\"0.7\" stroke-width=\"4\""));
    }
    for (data, colour, mark) in curves {
        let dashes = if *mark == Mark::Dashes { " stroke-dasharray=\"6 3\"" } else { "" };
        figure.path(data, &format!("{round} stroke=\"{}\" stroke-width=\"1.8\"{dashes}", hex(*colour)));
    }
}

/// The place of a point, or none outside the frame.
fn inside(frame: &Frame, point: [f64; 2]) -> [f64; 2] {
    let within = |v: f64, (lo, hi): (f64, f64)| v >= lo && v <= hi;
    if within(point[0], frame.x) && within(point[1], frame.y) { frame.place(point) } else { [f64::NAN; 2] }
}

fn floats(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

/// The colouring of some of the cells.
fn of_cells(colouring: &Colouring, cells: &[usize]) -> Colouring {
    let values = match &colouring.values {
        Values::Categorical { codes, categories, colours } => Values::Categorical {
            codes: cells.iter().map(|&c| codes[c]).collect(),
            categories: categories.clone(),
            colours: colours.clone(),
        },
        Values::Continuous { values, scale } => {
            Values::Continuous { values: cells.iter().map(|&c| values[c]).collect(), scale: *scale }
        }
    };
    Colouring { name: colouring.name.clone(), values }
}

/// [`Paint`] that owns what its legend says.
struct Owned {
    name: String,
    colours: Vec<palette::Rgb>,
    groups: Vec<(String, Rgb)>,
    range: Option<axes::ColourRange>,
}

impl Paint<'_> {
    fn owned(self) -> Owned {
        let (groups, range) = match self.key {
            Key::Groups { names, colours, .. } => (names.iter().cloned().zip(colours).collect(), None),
            Key::Numbers(range) => (Vec::new(), Some(range)),
        };
        Owned { name: self.name.to_owned(), colours: self.colours, groups, range }
    }
}
