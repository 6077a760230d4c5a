//! From SVG to PNG, with our own face of type: the same picture on every machine.

use std::sync::{Arc, OnceLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

use super::palette::Rgb;
use super::svg::Figure;
use crate::error::{Error, Result};

/// Subsets of Arimo; `fonts/README.md` says which letters.
const FACES: [&[u8]; 3] = [
    include_bytes!("fonts/Arimo-Regular.ttf"),
    include_bytes!("fonts/Arimo-Bold.ttf"),
    include_bytes!("fonts/Arimo-Italic.ttf"),
];

/// Pixels to the inch in a CSS pixel.
const CSS: f64 = 96.0;

impl Figure {
    /// The picture as a PNG with `dpi` pixels to the inch, on white.
    ///
    /// # Errors
    /// [`Error::Data`] if it has no size, or more pixels than fit into memory.
    pub fn to_png(&self, dpi: f64) -> Result<Vec<u8>> {
        draw(&self.to_svg(), dpi)
    }

    /// Without a background.
    pub(super) fn to_transparent_png(&self, dpi: f64) -> Result<Vec<u8>> {
        draw(&self.transparent(), dpi)
    }
}

/// Draws an SVG file with the embedded face.
fn draw(svg: &str, dpi: f64) -> Result<Vec<u8>> {
    let options = Options { fontdb: faces(), font_family: "Arimo".to_owned(), ..Options::default() };
    let tree = Tree::from_str(svg, &options).map_err(|error| failed(&error.to_string()))?;
    let scale = (dpi / CSS) as f32;
    let pixels = |length: f32| (length * scale).round() as u32;
    let mut pixmap = Pixmap::new(pixels(tree.size().width()), pixels(tree.size().height()))
        .ok_or_else(|| failed(&format!("no image of {:?} at {dpi} dpi", tree.size())))?;
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixmap.as_mut());
    pixmap.encode_png().map_err(|error| failed(&error.to_string()))
}

/// A PNG of opaque pixels, row after row from the top; `pixels.len()` is `width · height`.
pub(super) fn raster(width: usize, height: usize, pixels: &[Rgb]) -> Result<Vec<u8>> {
    let mut pixmap = Pixmap::new(width as u32, height as u32)
        .filter(|_| pixels.len() == width * height)
        .ok_or_else(|| failed(&format!("no image of {width} by {height} pixels")))?;
    for (place, [r, g, b]) in pixmap.data_mut().chunks_exact_mut(4).zip(pixels) {
        place.copy_from_slice(&[*r, *g, *b, 255]);
    }
    pixmap.encode_png().map_err(|error| failed(&error.to_string()))
}

/// The embedded face, read once.
fn faces() -> Arc<fontdb::Database> {
    static LOADED: OnceLock<Arc<fontdb::Database>> = OnceLock::new();
    let load = || {
        let mut database = fontdb::Database::new();
        for face in FACES {
            database.load_font_data(face.to_vec());
        }
        database.set_sans_serif_family("Arimo");
        Arc::new(database)
    };
    LOADED.get_or_init(load).clone()
}

fn failed(reason: &str) -> Error {
    Error::Data {
        problem: format!("a picture cannot be drawn: {reason}"),
        hint: "ask for fewer dots per inch or smaller pictures".to_owned(),
    }
}
