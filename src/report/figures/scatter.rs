//! Many points: circles where few, one embedded raster where a file of circles would be too large.

use super::super::palette::{Rgb, hex};
use super::super::svg::Figure;
use super::super::{order, svg};
use crate::error::Result;

/// More points than this are embedded as a raster.
const MOST_CIRCLES: usize = 5_000;
/// Dots to the inch of that raster.
const RASTER_DPI: f64 = 300.0;

/// Radius that lets `n` points cover a fair share of a panel, in pixels.
pub(super) fn radius(n: usize, width: f64, height: f64) -> f64 {
    (0.42 * width * height / (n.max(1) as f64 * std::f64::consts::PI)).sqrt().clamp(0.8, 2.6)
}

/// Draws the points in an order that no group and no value decides, so that none hides the others by rule.
/// Places are on the page; a point that is not finite is left out.
pub(super) fn draw(figure: &mut Figure, places: &[[f64; 2]], colours: &[Rgb], radius: f64, opacity: f64) -> Result<()> {
    if places.len() <= MOST_CIRCLES {
        circles(figure, places, colours, radius, opacity);
        return Ok(());
    }
    let mut raster = Figure::new(figure.width(), figure.height());
    circles(&mut raster, places, colours, radius, opacity);
    let png = raster.to_transparent_png(RASTER_DPI)?;
    figure.image(0.0, 0.0, figure.width(), figure.height(), &png);
    Ok(())
}

fn circles(figure: &mut Figure, places: &[[f64; 2]], colours: &[Rgb], radius: f64, opacity: f64) {
    figure.group(&format!("fill-opacity=\"{}\"", svg::number(opacity)));
    for i in order::shuffled(places.len()) {
        if places[i].iter().all(|v| v.is_finite()) {
            figure.circle(places[i], radius, &format!("fill=\"{}\"", hex(colours[i])));
        }
    }
    figure.end_group();
}
