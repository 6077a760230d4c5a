//! The data behind a page, as its script reads them.

use serde::Serialize;

use super::axes::ColourRange;
use super::content::{Colouring, Content, Curve, Embedding, Gene, Scale, Values};
use super::figures::settled;
use super::quantise::{packed, packed_wide};
use super::streams::streamlines;
use super::{Options, Quantised, order, palette};

/// What the page holds and what it leaves out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) cells: usize,
    pub(super) gene_cells: usize,
    pub(super) genes: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Payload<'a> {
    names: Vec<&'a str>,
    embedding: Option<Map<'a>>,
    colourings: Vec<Colours<'a>>,
    scales: Scales,
    missing: String,
    /// Positions in `names` of the cells of genes, 4 bytes each.
    gene_cells: String,
    time: Option<Quantised>,
    statistics: Vec<&'a str>,
    genes: Vec<GeneEntry<'a>>,
    losses: Vec<Line<'a>>,
    loss_range: (f64, f64),
    #[serde(skip)]
    pub(super) extent: Extent,
}

#[derive(Serialize)]
struct Scales {
    sequential: Vec<String>,
    diverging: Vec<String>,
}

#[derive(Serialize)]
struct Map<'a> {
    basis: &'a str,
    x: Quantised,
    y: Quantised,
    arrows: Option<[Quantised; 2]>,
    streams: Option<Streams>,
    grid: Option<Grid>,
}

#[derive(Serialize)]
struct Streams {
    x: Quantised,
    y: Quantised,
    speed: Quantised,
    /// Where each line begins, and one more.
    starts: Vec<usize>,
}

#[derive(Serialize)]
struct Grid {
    x: Quantised,
    y: Quantised,
    u: Quantised,
    v: Quantised,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Colours<'a> {
    Groups { name: &'a str, categories: &'a [String], colours: Vec<String>, codes: String },
    Numbers { name: &'a str, values: Quantised, scale: &'static str, lo: f64, hi: f64, beyond: [bool; 2] },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GeneEntry<'a> {
    name: &'a str,
    /// In the order of `Payload::statistics`.
    values: Vec<Option<f64>>,
    velocity_gene: Option<bool>,
    why_not: &'a str,
    data: Option<GeneData<'a>>,
}

#[derive(Serialize)]
struct GeneData<'a> {
    s: Quantised,
    u: Quantised,
    v: Option<Quantised>,
    fs: Option<Quantised>,
    fu: Option<Quantised>,
    t: Option<Quantised>,
    course: Vec<CourseLine<'a>>,
}

#[derive(Serialize)]
struct CourseLine<'a> {
    name: &'a str,
    s: Quantised,
    u: Quantised,
    t: Option<Quantised>,
}

#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    steps: Vec<Option<f64>>,
    values: Vec<Option<f64>>,
}

impl<'a> Payload<'a> {
    /// The data of a page of which `room` bytes are left for them.
    pub(super) fn new(content: &'a Content, options: &Options, room: usize) -> Self {
        let cells = page_cells(content, options);
        // Positions in content.gene_cells of the cells kept, and where these are in the page.
        let kept = order::subsample(content.gene_cells.len(), options.gene_cells);
        let at = |i: &usize| cells.binary_search(&content.gene_cells[*i]).unwrap_or_default() as u32;
        let mut payload = Self {
            names: cells.iter().map(|&c| content.cells[c].as_str()).collect(),
            embedding: content.embedding.as_ref().map(|embedding| Map::new(embedding, &cells)),
            colourings: content.colourings.iter().map(|colouring| Colours::new(colouring, &cells)).collect(),
            scales: Scales { sequential: stops(Scale::Sequential), diverging: stops(Scale::Diverging) },
            missing: palette::hex(palette::MISSING),
            gene_cells: packed_wide(kept.iter().map(at)),
            time: content.time.as_ref().map(|time| Quantised::new(cells.iter().map(|&c| time[c]))),
            statistics: statistics(content),
            genes: Vec::new(),
            losses: content.losses.iter().map(Line::new).collect(),
            loss_range: settled(&content.losses.iter().collect::<Vec<&Curve>>()),
            extent: Extent { cells: cells.len(), gene_cells: kept.len(), genes: 0 },
        };
        payload.add_genes(content, &kept, room);
        payload
    }

    /// All genes by rank with their statistics, and as many with their cells as there is room for.
    fn add_genes(&mut self, content: &'a Content, kept: &[usize], room: usize) {
        let names = self.statistics.clone();
        self.genes = content.genes_by_rank().into_iter().map(|g| GeneEntry::new(&content.genes[g], &names)).collect();
        let mut left = room.saturating_sub(json(self).len());
        for (entry, g) in self.genes.iter_mut().zip(content.genes_by_rank()) {
            let data = GeneData::new(&content.genes[g], kept);
            let bytes = data.bytes();
            if bytes > left {
                break;
            }
            left -= bytes;
            entry.data = Some(data);
            self.extent.genes += 1;
        }
    }

    /// As JSON that can stand in a script element: no `<` is left that could end it.
    pub(super) fn to_json(&self) -> String {
        json(self).replace('<', "\\u003c")
    }
}

fn json(payload: &Payload<'_>) -> String {
    serde_json::to_string(payload).expect("words, numbers and lists alone")
}

/// Cells of the page, rising: all, or those of genes and a subsample of the others.
fn page_cells(content: &Content, options: &Options) -> Vec<usize> {
    let n = content.cells.len();
    if n <= options.page_cells {
        return (0..n).collect();
    }
    let of_genes = order::subsample(content.gene_cells.len(), options.gene_cells);
    let mut cells: Vec<usize> = of_genes.into_iter().map(|i| content.gene_cells[i]).collect();
    let mut chosen = vec![false; n];
    for &cell in &cells {
        chosen[cell] = true;
    }
    let others = order::shuffled(n).into_iter().filter(|&cell| !chosen[cell]);
    cells.extend(others.take(options.page_cells.saturating_sub(cells.len())));
    cells.sort_unstable();
    cells
}

fn stops(scale: Scale) -> Vec<String> {
    palette::stops(scale).iter().map(|&colour| palette::hex(colour)).collect()
}

/// Names of the statistics of all genes, in the order in which they first appear.
fn statistics(content: &Content) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in content.genes.iter().flat_map(|gene| &gene.statistics) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names
}

impl<'a> Map<'a> {
    fn new(embedding: &'a Embedding, cells: &[usize]) -> Self {
        let column = |values: &ndarray::Array2<f32>, axis: usize| {
            Quantised::new(cells.iter().map(|&c| f64::from(values[[c, axis]])).collect::<Vec<f64>>())
        };
        let arrows = embedding.arrows.as_ref();
        Self {
            basis: &embedding.basis,
            x: column(&embedding.points, 0),
            y: column(&embedding.points, 1),
            arrows: arrows.map(|arrows| [column(arrows, 0), column(arrows, 1)]),
            streams: embedding.flow.as_ref().map(Streams::new),
            grid: embedding.flow.as_ref().map(|flow| Grid {
                x: Quantised::new(flow.x.iter().copied()),
                y: Quantised::new(flow.y.iter().copied()),
                u: Quantised::new(flow.u.iter().copied()),
                v: Quantised::new(flow.v.iter().copied()),
            }),
        }
    }
}

impl Streams {
    fn new(flow: &crate::embedding::Flow) -> Self {
        let lines = streamlines(flow, 1.0);
        let mut starts = vec![0];
        for line in &lines {
            starts.push(starts[starts.len() - 1] + line.points.len());
        }
        let points = || lines.iter().flat_map(|line| &line.points);
        Self {
            x: Quantised::new(points().map(|p| p[0])),
            y: Quantised::new(points().map(|p| p[1])),
            speed: Quantised::new(lines.iter().flat_map(|line| line.speeds.iter().copied())),
            starts,
        }
    }
}

impl<'a> Colours<'a> {
    fn new(colouring: &'a Colouring, cells: &[usize]) -> Self {
        let name = &colouring.name;
        match &colouring.values {
            Values::Categorical { codes, categories, colours } => Self::Groups {
                name,
                categories,
                colours: palette::groups(categories.len(), colours).into_iter().map(palette::hex).collect(),
                codes: packed(cells.iter().map(|&c| match u16::try_from(codes[c]) {
                    Ok(code) if usize::from(code) < categories.len() => code,
                    _ => u16::MAX,
                })),
            },
            Values::Continuous { values, scale } => {
                let range = ColourRange::of(values, *scale);
                let scale = match scale {
                    Scale::Sequential => "sequential",
                    Scale::Diverging => "diverging",
                };
                let values = Quantised::new(cells.iter().map(|&c| values[c]));
                Self::Numbers { name, values, scale, lo: range.lo, hi: range.hi, beyond: range.beyond }
            }
        }
    }
}

impl<'a> GeneEntry<'a> {
    fn new(gene: &'a Gene, names: &[&str]) -> Self {
        let value = |name: &&str| {
            let found = gene.statistics.iter().find(|(own, _)| own == name).map(|(_, value)| *value);
            found.filter(|v| v.is_finite()).map(short)
        };
        Self {
            name: &gene.name,
            values: names.iter().map(value).collect(),
            velocity_gene: gene.velocity_gene,
            why_not: &gene.why_not,
            data: None,
        }
    }
}

impl<'a> GeneData<'a> {
    fn new(gene: &'a Gene, kept: &[usize]) -> Self {
        let pick = |values: &Vec<f32>| Quantised::new(kept.iter().map(|&i| f64::from(values[i])));
        let course = gene.course.iter().map(|course| CourseLine {
            name: &course.name,
            s: Quantised::new(course.s.iter().copied()),
            u: Quantised::new(course.u.iter().copied()),
            t: (!course.t.is_empty()).then(|| Quantised::new(course.t.iter().copied())),
        });
        Self {
            s: pick(&gene.ms),
            u: pick(&gene.mu),
            v: gene.velocity.as_ref().map(pick),
            fs: gene.fit_s.as_ref().map(pick),
            fu: gene.fit_u.as_ref().map(pick),
            t: gene.time.as_ref().map(pick),
            course: course.collect(),
        }
    }

    /// Bytes in the page, a little more than needed.
    fn bytes(&self) -> usize {
        let optional = [&self.v, &self.fs, &self.fu, &self.t].into_iter().flatten();
        let course = self.course.iter().map(|line| {
            6 * line.name.len() + 64 + line.s.bytes() + line.u.bytes() + line.t.as_ref().map_or(4, Quantised::bytes)
        });
        96 + self.s.bytes() + self.u.bytes() + optional.map(Quantised::bytes).sum::<usize>() + course.sum::<usize>()
    }
}

impl<'a> Line<'a> {
    fn new(curve: &'a Curve) -> Self {
        let words = |values: &[f64]| values.iter().map(|v| v.is_finite().then(|| short(*v))).collect();
        Self { name: &curve.name, steps: words(&curve.steps), values: words(&curve.values) }
    }
}

/// Six significant digits.
fn short(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}
