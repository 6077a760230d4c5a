//! The pictures of a report, each a function from its content to a figure.

mod embedding;
mod gene;
mod heatmap;
mod lines;
mod scatter;

pub use embedding::{Arrows, on_embedding};
pub use gene::{over_time, phase_portrait};
pub use heatmap::expression_along_time;
pub(super) use lines::settled;
pub use lines::{losses, state_along_time};

use super::axes::ColourRange;
use super::content::{Colouring, Values};
use super::palette::{self, MISSING, Rgb};

/// Colours of cells, and what they mean.
struct Paint<'a> {
    name: &'a str,
    /// One per cell.
    colours: Vec<Rgb>,
    key: Key<'a>,
}

enum Key<'a> {
    /// Position of each cell's group below 0 for none, names and colours of the groups.
    Groups {
        codes: &'a [i32],
        names: &'a [String],
        colours: Vec<Rgb>,
    },
    Numbers(ColourRange),
}

impl<'a> Paint<'a> {
    fn of(colouring: &'a Colouring) -> Self {
        let (colours, key) = match &colouring.values {
            Values::Categorical { codes, categories, colours } => {
                let palette = palette::groups(categories.len(), colours);
                let of =
                    |code: &i32| usize::try_from(*code).ok().and_then(|c| palette.get(c)).copied().unwrap_or(MISSING);
                (codes.iter().map(of).collect(), Key::Groups { codes, names: categories, colours: palette })
            }
            Values::Continuous { values, scale } => {
                let range = ColourRange::of(values, *scale);
                (values.iter().map(|&v| range.colour(v)).collect(), Key::Numbers(range))
            }
        };
        Self { name: &colouring.name, colours, key }
    }
}
