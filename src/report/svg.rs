//! A small writer of SVG: what the figures need, and no more.

use std::borrow::Cow;
use std::fmt::Write as _;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// A picture while it is drawn, and when it is done. Lengths are in CSS pixels (96 to the inch).
///
/// `style` arguments are attributes as they stand in the file (`fill="#222"`); they come from this module, never from data.
/// Words and names from data pass through [`escape`].
#[derive(Clone, Debug)]
pub struct Figure {
    width: f64,
    height: f64,
    body: String,
}

/// How a text is set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Font {
    pub(super) size: f64,
    /// `start`, `middle` or `end`.
    pub(super) anchor: &'static str,
    pub(super) fill: &'static str,
    pub(super) face: Face,
    /// A white outline, to be read on top of points.
    pub(super) halo: f64,
    /// Degrees, clockwise.
    pub(super) turn: f64,
}

/// Cut of the typeface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Face {
    Regular,
    Bold,
    /// Symbols of genes, as journals set them.
    Italic,
}

/// Colour of words and axes.
pub(super) const INK: &str = "#262626";

/// Our face first, as in the PNG; on other screens its metric twins.
const FAMILY: &str = "Arimo, Arial, Helvetica, 'Liberation Sans', sans-serif";

impl Font {
    pub(super) const fn new(size: f64) -> Self {
        Self { size, anchor: "start", fill: INK, face: Face::Regular, halo: 0.0, turn: 0.0 }
    }

    pub(super) const fn middle(self) -> Self {
        Self { anchor: "middle", ..self }
    }

    pub(super) const fn end(self) -> Self {
        Self { anchor: "end", ..self }
    }

    pub(super) const fn face(self, face: Face) -> Self {
        Self { face, ..self }
    }
}

impl Figure {
    pub(super) fn new(width: f64, height: f64) -> Self {
        Self { width, height, body: String::new() }
    }

    /// Width in CSS pixels.
    #[must_use]
    pub fn width(&self) -> f64 {
        self.width
    }

    /// Height in CSS pixels.
    #[must_use]
    pub fn height(&self) -> f64 {
        self.height
    }

    /// The picture as a file, on white.
    #[must_use]
    pub fn to_svg(&self) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" {}>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{}</svg>\n",
            self.head(),
            self.body
        )
    }

    /// The picture as an element of an HTML page, on what is behind it; `label` is read to those who cannot see it.
    #[must_use]
    pub fn inline(&self, label: &str) -> String {
        format!("<svg {} role=\"img\" aria-label=\"{}\">\n{}</svg>", self.head(), escape(label), self.body)
    }

    /// Without a background, to be drawn into a raster.
    pub(super) fn transparent(&self) -> String {
        format!("<svg xmlns=\"http://www.w3.org/2000/svg\" {}>{}</svg>", self.head(), self.body)
    }

    fn head(&self) -> String {
        let (w, h) = (number(self.width), number(self.height));
        format!("width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\" font-family=\"{FAMILY}\"")
    }

    pub(super) fn group(&mut self, style: &str) {
        let _ = writeln!(self.body, "<g {style}>");
    }

    pub(super) fn end_group(&mut self) {
        self.body.push_str("</g>\n");
    }

    pub(super) fn rect(&mut self, x: f64, y: f64, width: f64, height: f64, style: &str) {
        let [x, y, w, h] = [x, y, width, height].map(number);
        let _ = writeln!(self.body, "<rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" {style}/>");
    }

    pub(super) fn circle(&mut self, [x, y]: [f64; 2], radius: f64, style: &str) {
        let [x, y, r] = [x, y, radius].map(number);
        let _ = writeln!(self.body, "<circle cx=\"{x}\" cy=\"{y}\" r=\"{r}\" {style}/>");
    }

    pub(super) fn line(&mut self, from: [f64; 2], to: [f64; 2], style: &str) {
        self.path(&polyline([from, to]), style);
    }

    /// Nothing is written for an empty path.
    pub(super) fn path(&mut self, data: &str, style: &str) {
        if !data.is_empty() {
            let _ = writeln!(self.body, "<path d=\"{data}\" {style}/>");
        }
    }

    pub(super) fn text(&mut self, [x, y]: [f64; 2], words: &str, font: Font) {
        let [x, y, size, turn, halo] = [x, y, font.size, font.turn, font.halo].map(number);
        let mut style = format!("x=\"{x}\" y=\"{y}\" font-size=\"{size}\" fill=\"{}\"", font.fill);
        if font.anchor != "start" {
            let _ = write!(style, " text-anchor=\"{}\"", font.anchor);
        }
        match font.face {
            Face::Regular => {}
            Face::Bold => style.push_str(" font-weight=\"700\""),
            Face::Italic => style.push_str(" font-style=\"italic\""),
        }
        if font.turn != 0.0 {
            let _ = write!(style, " transform=\"rotate({turn} {x} {y})\"");
        }
        if font.halo > 0.0 {
            let _ = write!(
                style,
                " paint-order=\"stroke\" stroke=\"#ffffff\" stroke-opacity=\"0.9\" stroke-width=\"{halo}\" stroke-linejoin=\"round\""
            );
        }
        let _ = writeln!(self.body, "<text {style}>{}</text>", escape(&shown(words)));
    }

    /// A PNG, stretched over the rectangle.
    pub(super) fn image(&mut self, x: f64, y: f64, width: f64, height: f64, png: &[u8]) {
        let [x, y, w, h] = [x, y, width, height].map(number);
        let data = BASE64_STANDARD.encode(png);
        let _ = writeln!(
            self.body,
            "<image x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" preserveAspectRatio=\"none\" href=\"data:image/png;base64,{data}\"/>"
        );
    }
}

/// Path through the points; a point that is not finite breaks the line, and a single point draws nothing.
pub(super) fn polyline(points: impl IntoIterator<Item = [f64; 2]>) -> String {
    let mut data = String::new();
    let mut start: Option<[f64; 2]> = None;
    let mut drawing = false;
    for point in points {
        if !point.iter().all(|v| v.is_finite()) {
            (start, drawing) = (None, false);
            continue;
        }
        if let Some(from) = start.take() {
            let _ = write!(data, "M{} {}", number(from[0]), number(from[1]));
            drawing = true;
        }
        if drawing {
            let _ = write!(data, "L{} {}", number(point[0]), number(point[1]));
        } else {
            start = Some(point);
        }
    }
    data
}

/// A closed path through the points; none if one of them is not finite.
pub(super) fn polygon(points: &[[f64; 2]]) -> String {
    if points.iter().flatten().any(|v| !v.is_finite()) {
        return String::new();
    }
    let mut data = polyline(points.iter().copied());
    if !data.is_empty() {
        data.push('Z');
    }
    data
}

/// A length to a hundredth of a pixel. What is not finite is written as 0, for no reader of SVG accepts it.
pub(super) fn number(value: f64) -> String {
    if !value.is_finite() {
        return "0".to_owned();
    }
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// Text for XML and HTML, in elements and in attributes. Characters that XML does not allow are replaced.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' | '\r' => escaped.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// What of a text is drawn: a label can be longer than any picture is wide.
fn shown(text: &str) -> Cow<'_, str> {
    /// Letters; the longest names of cell types have half of that.
    const MOST: usize = 120;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

/// Width of a text in our face, to a few per cent: enough to lay out a legend.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    let em: f64 = shown(text)
        .chars()
        .map(|c| match c {
            'i' | 'j' | 'l' | '\'' | '|' | '.' | ',' | ':' | ';' | '!' | ' ' | 'f' | 't' | 'I' | '/' | '(' | ')' => {
                0.29
            }
            'm' | 'M' | 'W' | '@' | '%' => 0.86,
            'w' | 'A'..='Z' => 0.70,
            'r' | '-' | '*' => 0.36,
            'a'..='z' | '0'..='9' | '_' => 0.55,
            _ => 0.60,
        })
        .sum();
    em * size
}
