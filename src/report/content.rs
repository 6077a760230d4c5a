//! What a report shows, as plain data: filled from a file or from a fit, without knowing either.

use ndarray::Array2;

use crate::data::quantities::{FIT_S, FIT_U, VELOCITY};
use crate::embedding::Flow;
use crate::error::{Error, Result, require};
use crate::scores::Verdict;

/// All that one report says. Fields left empty leave out what they would show.
#[derive(Clone, Debug, Default)]
pub struct Content {
    /// What the reader sees first: the data set, or the run's folder.
    pub title: String,
    /// Version of the program that fitted, as `nascent 0.1.0`.
    pub version: String,
    /// Lines of the header in this order: cells, genes, velocity genes, model, seed, input.
    pub summary: Vec<(String, String)>,
    /// The settings in force, as TOML.
    pub settings: String,
    /// What the answers in `trust` amount to.
    pub overall: Overall,
    /// Questions that the reader should ask before believing an arrow, with their answers; shown before any arrow.
    pub trust: Vec<Trust>,
    /// Names of the cells, `[n_obs]`.
    pub cells: Vec<String>,
    /// Where cells lie in the picture, and where they go.
    pub embedding: Option<Embedding>,
    /// What cells can be coloured by; the first is shown first.
    pub colourings: Vec<Colouring>,
    /// One time per cell, in the units of the model, `[n_obs]`; NaN where unknown. Used wherever a gene has none of its own.
    pub time: Option<Vec<f64>>,
    /// Cell state, `[n_obs, n_latent]`.
    pub latent: Option<Array2<f32>>,
    /// Cells that values of `genes` belong to: rising positions below `n_obs`. All of them, or the deterministic subsample
    /// [`subsample`](super::subsample)`(n_obs, n)`.
    pub gene_cells: Vec<usize>,
    /// Genes, in the order of the file.
    pub genes: Vec<Gene>,
    /// Losses of a training, one curve per term and stage.
    pub losses: Vec<Curve>,
    /// Measurements of the fit: reconstruction, agreement with truth, consistency of velocities.
    pub metrics: Table,
    /// Further tables, each under a heading of its own, in this order.
    pub sections: Vec<Section>,
}

/// A table with what is to be said of it.
#[derive(Clone, Debug, Default)]
pub struct Section {
    /// The heading.
    pub title: String,
    /// Paragraphs above the table.
    pub text: Vec<String>,
    /// The table; one without rows is not shown.
    pub table: Table,
    /// Longer tables, each under a line that unfolds it.
    pub folded: Vec<(String, Table)>,
}

/// The judgement of the whole run.
#[derive(Clone, Debug, Default)]
pub struct Overall {
    /// In one word.
    pub verdict: Verdict,
    /// In one or two sentences.
    pub text: String,
}

/// One question of the trust section.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// The question: `Do the genes agree on a direction?`
    pub question: String,
    /// What was measured, with its unit: `0.83 (median over cells)`.
    pub value: String,
    /// What it means for the arrows.
    pub verdict: Verdict,
    /// Why, in plain words, and what to do.
    pub explanation: String,
}

/// An embedding in two dimensions with its velocities.
#[derive(Clone, Debug)]
pub struct Embedding {
    /// Name as readers know it: `UMAP`, `t-SNE`, `PCA`. Axes are named `UMAP 1` and `UMAP 2`.
    pub basis: String,
    /// Coordinates, `[n_obs, 2]`; a cell with NaN is not drawn.
    pub points: Array2<f32>,
    /// Velocities of the cells in the units of `points`, `[n_obs, 2]`; NaN where there is none.
    pub arrows: Option<Array2<f32>>,
    /// The velocities on a grid, for streamlines and arrows of the grid.
    pub flow: Option<Flow>,
}

/// Something to colour cells by.
#[derive(Clone, Debug)]
pub struct Colouring {
    /// Its name: `clusters`, `latent_time`.
    pub name: String,
    /// Its values.
    pub values: Values,
}

/// Values of a [`Colouring`].
#[derive(Clone, Debug)]
pub enum Values {
    /// Groups.
    Categorical {
        /// Position in `categories` of each cell, `[n_obs]`; below 0: in none.
        codes: Vec<i32>,
        /// Names of the groups.
        categories: Vec<String>,
        /// Their colours as `#rrggbb`, one per group. Where one is missing or malformed, ours is used.
        colours: Vec<String>,
    },
    /// Numbers.
    Continuous {
        /// One per cell, `[n_obs]`; NaN where unknown.
        values: Vec<f64>,
        /// Which colours.
        scale: Scale,
    },
}

/// How numbers become colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    /// From dark (low) to bright (high).
    #[default]
    Sequential,
    /// Blue below 0, grey at 0, red above 0, as far to either side.
    Diverging,
}

/// One gene. Values per cell are those of [`Content::gene_cells`], in its order.
#[derive(Clone, Debug, Default)]
pub struct Gene {
    /// Its name.
    pub name: String,
    /// Spliced abundance.
    pub ms: Vec<f32>,
    /// Unspliced abundance.
    pub mu: Vec<f32>,
    /// `ds/dt`, in units of `ms` per time.
    pub velocity: Option<Vec<f32>>,
    /// What the model has in place of `ms`.
    pub fit_s: Option<Vec<f32>>,
    /// What the model has in place of `mu`.
    pub fit_u: Option<Vec<f32>>,
    /// Time of the cells by this gene; if there is none, [`Content::time`] is used.
    pub time: Option<Vec<f32>>,
    /// The fitted course, one line per branch.
    pub course: Vec<Course>,
    /// Statistics in the order of the table: likelihood, alpha, beta, gamma, r2, permutation score. NaN is shown as a dash.
    pub statistics: Vec<(String, f64)>,
    /// What orders genes, highest first, and decides which are kept where not all fit: the likelihood. NaN comes last.
    pub rank: f64,
    /// Whether arrows were drawn from it.
    pub velocity_gene: Option<bool>,
    /// If not, why not; else empty.
    pub why_not: String,
}

/// A branch of the curve that a model fitted to a gene.
#[derive(Clone, Debug, Default)]
pub struct Course {
    /// `induction`, `repression`, or the lineage.
    pub name: String,
    /// Spliced abundance along it.
    pub s: Vec<f64>,
    /// Unspliced abundance along it, of the same length.
    pub u: Vec<f64>,
    /// Time along it, of the same length; empty if unknown.
    pub t: Vec<f64>,
}

/// A curve over training steps.
#[derive(Clone, Debug, Default)]
pub struct Curve {
    /// `train`, `validation`, with the stage if there are several.
    pub name: String,
    /// Epochs or rounds, rising.
    pub steps: Vec<f64>,
    /// The loss at each; NaN where unknown.
    pub values: Vec<f64>,
}

/// A table of words.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Heads of the columns.
    pub columns: Vec<String>,
    /// Rows of as many cells.
    pub rows: Vec<Vec<String>>,
}

impl Content {
    /// Checks that all arrays are as long as the cells they speak of.
    ///
    /// # Errors
    /// [`Error::Shape`] names the array that is not; [`Error::Setting`] if `gene_cells` is not rising or leaves the cells.
    pub fn check(&self) -> Result<()> {
        let n = self.cells.len();
        if let Some(embedding) = &self.embedding {
            embedding.check(n)?;
        }
        for colouring in &self.colourings {
            let found = match &colouring.values {
                Values::Categorical { codes, .. } => codes.len(),
                Values::Continuous { values, .. } => values.len(),
            };
            same(&format!("colouring {:?}", colouring.name), &[n], &[found])?;
        }
        if let Some(time) = &self.time {
            same("time", &[n], &[time.len()])?;
        }
        if let Some(latent) = &self.latent {
            same("latent", &[n], &[latent.nrows()])?;
        }
        let rising = self.gene_cells.windows(2).all(|pair| pair[0] < pair[1]);
        let inside = self.gene_cells.last().is_none_or(|&last| last < n);
        require(
            rising && inside,
            "report.gene_cells",
            self.gene_cells.len(),
            "must rise, and stay below the number of cells",
        )?;
        self.genes.iter().try_for_each(|gene| gene.check(self.gene_cells.len()))?;
        for curve in &self.losses {
            same(&format!("loss {:?}", curve.name), &[curve.steps.len()], &[curve.values.len()])?;
        }
        let of_sections = self.sections.iter().flat_map(Section::tables);
        for table in std::iter::once(&self.metrics).chain(of_sections) {
            for row in &table.rows {
                same("row of a table", &[table.columns.len()], &[row.len()])?;
            }
        }
        Ok(())
    }

    /// Times of `gene_cells` by one gene: its own, else those of the cells.
    pub(super) fn times(&self, gene: &Gene) -> Option<Vec<f64>> {
        match (&gene.time, &self.time) {
            (Some(time), _) => Some(time.iter().copied().map(f64::from).collect()),
            (None, Some(time)) => Some(self.gene_cells.iter().map(|&c| time[c]).collect()),
            (None, None) => None,
        }
    }

    /// Positions of the genes, the highest rank first, equals in their order.
    #[must_use]
    pub fn genes_by_rank(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.genes.len()).collect();
        let key = |g: usize| if self.genes[g].rank.is_nan() { f64::NEG_INFINITY } else { self.genes[g].rank };
        order.sort_by(|&a, &b| key(b).total_cmp(&key(a)));
        order
    }
}

impl Section {
    fn tables(&self) -> impl Iterator<Item = &Table> {
        std::iter::once(&self.table).chain(self.folded.iter().map(|(_, table)| table))
    }
}

impl Embedding {
    fn check(&self, n: usize) -> Result<()> {
        same("embedding", &[n, 2], self.points.shape())?;
        if let Some(arrows) = &self.arrows {
            same("arrows of the embedding", &[n, 2], arrows.shape())?;
        }
        if let Some(flow) = &self.flow {
            let grid = [flow.y.len(), flow.x.len()];
            same("flow.u", &grid, flow.u.shape())?;
            same("flow.v", &grid, flow.v.shape())?;
        }
        Ok(())
    }
}

impl Gene {
    fn check(&self, n: usize) -> Result<()> {
        let of = |what: &str| format!("{what} of gene {:?}", self.name);
        same(&of("Ms"), &[n], &[self.ms.len()])?;
        same(&of("Mu"), &[n], &[self.mu.len()])?;
        let optional = [
            (VELOCITY.key(), &self.velocity),
            (FIT_S.key(), &self.fit_s),
            (FIT_U.key(), &self.fit_u),
            ("time", &self.time),
        ];
        for (what, values) in optional {
            if let Some(values) = values {
                same(&of(what), &[n], &[values.len()])?;
            }
        }
        for course in &self.course {
            same(&of("u of a course"), &[course.s.len()], &[course.u.len()])?;
            if !course.t.is_empty() {
                same(&of("t of a course"), &[course.s.len()], &[course.t.len()])?;
            }
        }
        Ok(())
    }
}

fn same(what: &str, wanted: &[usize], found: &[usize]) -> Result<()> {
    if wanted == found {
        return Ok(());
    }
    Err(Error::Shape { what: what.to_owned(), wanted: wanted.to_vec(), found: found.to_vec() })
}
