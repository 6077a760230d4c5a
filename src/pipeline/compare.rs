//! Several fits of the same cells, side by side.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use ndarray::{Array2, Axis};
use serde::Serialize;

use crate::data::{Column, Frame, Groups};
use crate::error::{Error, Result};
use crate::io::{self, Fitted, keys};
use crate::metrics::{self, Evaluation};
use crate::scores;
use crate::stats::{median, percentile, spearman};

/// What is known of several fits.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Cells that all files have.
    pub n_obs: usize,
    /// Genes whose velocity all files have and use.
    pub n_genes: usize,
    /// Each fit on its own, over these cells and genes.
    pub fits: Vec<One>,
    /// Each pair of fits.
    pub pairs: Vec<Pair>,
}

/// One fit.
#[derive(Clone, Debug, Serialize)]
pub struct One {
    /// The file.
    pub file: PathBuf,
    /// What made the velocities.
    pub model: String,
    /// Genes that it would use.
    pub velocity_genes: usize,
    /// Reconstruction, and agreement with the truth where there is one.
    pub scores: Evaluation,
    /// Share of the genes that vote for its time as it runs rather than reversed; none if it has no time.
    pub forward: Option<f64>,
    /// The same in standard deviations of fair coins.
    pub forward_z: Option<f64>,
}

/// Two fits.
#[derive(Clone, Debug, Serialize)]
pub struct Pair {
    /// Positions in [`Comparison::fits`].
    pub fits: [usize; 2],
    /// Quartiles over cells of the cosine of the velocities, genes scaled alike.
    pub cell_cosine: [f64; 3],
    /// Median over genes of the correlation of the velocities.
    pub gene_pearson: f64,
    /// Share of entries of the same sign.
    pub signs: f64,
    /// Spearman correlation of the latent times; none if one has no such time.
    pub time_spearman: Option<f64>,
    /// Median over the cells of each group of the cosine.
    pub groups: Vec<(String, f64)>,
}

/// Reads the fits in `files` and compares them, by group of the column `groups` of the first where one is given.
///
/// # Errors
/// If a file cannot be read or holds no fit, or they have no cell or gene in common.
pub fn compare(files: &[PathBuf], groups: Option<&str>) -> Result<Comparison> {
    let read = files.iter().map(|path| Read::new(path)).collect::<Result<Vec<Read>>>()?;
    let [cells, genes] = [common(&read, |one| &one.obs, |_, _| true), common(&read, |one| &one.var, Read::uses)];
    for (what, found) in [("cell", &cells), ("gene", &genes)] {
        if found[0].is_empty() {
            let problem = format!("the files have no {what} in common that could be compared");
            let hint = "they are matched by name, and genes must be velocity genes of all".to_owned();
            return Err(Error::Data { problem, hint });
        }
    }
    let groups = groups.map(|column| Groups::read(&read[0].obs, column, "--groups")).transpose()?;
    let fits = (0..read.len()).map(|k| read[k].alone(&cells[k], &genes[k])).collect::<Result<Vec<One>>>()?;
    let velocities: Vec<Array2<f32>> =
        (0..read.len()).map(|k| select(read[k].fitted.velocity(), &cells[k], &genes[k])).collect();
    let times: Vec<Option<Vec<f64>>> = (0..read.len()).map(|k| read[k].time(&cells[k])).collect();
    let mut pairs = Vec::new();
    for a in 0..read.len() {
        for b in a + 1..read.len() {
            let found = scores::agreement(velocities[a].view(), velocities[b].view())?;
            let of_group = |(at, name): (usize, &String), groups: &Groups| {
                let inside = cells[0].iter().zip(&found.cells).filter(|(i, _)| groups.of[**i] == Some(at as u32));
                (name.clone(), median(&inside.map(|(_, &cosine)| cosine).collect::<Vec<f64>>()))
            };
            let by_group = groups.iter().flat_map(|g| g.names.iter().enumerate().map(|name| of_group(name, g)));
            let defined: Vec<f64> = found.genes.iter().copied().filter(|r| !r.is_nan()).collect();
            pairs.push(Pair {
                fits: [a, b],
                cell_cosine: [25.0, 50.0, 75.0].map(|q| percentile(&found.cells, q)),
                gene_pearson: median(&defined),
                signs: found.signs,
                time_spearman: times[a].as_ref().zip(times[b].as_ref()).map(|(a, b)| spearman(a, b)),
                groups: by_group.collect(),
            });
        }
    }
    Ok(Comparison { n_obs: cells[0].len(), n_genes: genes[0].len(), fits, pairs })
}

/// A fit as read.
struct Read {
    path: PathBuf,
    obs: Frame,
    var: Frame,
    fitted: Fitted,
    model: String,
}

impl Read {
    fn new(path: &Path) -> Result<Self> {
        let params = io::read_params(path)?.unwrap_or_default();
        Ok(Self {
            path: path.to_path_buf(),
            obs: io::read_obs(path)?,
            var: io::read_var(path)?,
            fitted: io::read_fitted(path)?,
            model: params.get(keys::MODE).and_then(|mode| mode.as_str()).unwrap_or("unknown").to_owned(),
        })
    }

    /// Whether the velocity of a gene can and should be used.
    fn uses(&self, gene: usize) -> bool {
        let chosen = match self.var.get(keys::VELOCITY_GENES) {
            Some(Column::Bool(flags)) => flags[gene],
            _ => true,
        };
        chosen && self.fitted.velocity().column(gene).iter().all(|value| value.is_finite())
    }

    fn time(&self, cells: &[usize]) -> Option<Vec<f64>> {
        let time = self.obs.get(keys::LATENT_TIME).and_then(Column::to_numbers)?;
        Some(cells.iter().map(|&i| time[i]).collect())
    }

    fn alone(&self, cells: &[usize], genes: &[usize]) -> Result<One> {
        let chosen = self.fitted.select(cells, genes);
        let evidence = chosen.evidence();
        let direction = match (evidence.moments, self.time(cells)) {
            (Some([mu, ms]), Some(time)) => Some(scores::direction(ms, mu, &time)?),
            _ => None,
        };
        Ok(One {
            file: self.path.clone(),
            model: self.model.clone(),
            velocity_genes: (0..self.var.index.len()).filter(|&gene| self.uses(gene)).count(),
            scores: metrics::evaluate(&evidence)?,
            forward: direction.as_ref().map(scores::Direction::share),
            forward_z: direction.as_ref().map(scores::Direction::z),
        })
    }
}

/// Positions in each file of the rows of a frame that all files have and that are `usable` in all, in the order of the first.
fn common(read: &[Read], frame: fn(&Read) -> &Frame, usable: fn(&Read, usize) -> bool) -> Vec<Vec<usize>> {
    let known: Vec<HashMap<&str, usize>> = read
        .iter()
        .map(|one| frame(one).index.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect())
        .collect();
    let mut found = vec![Vec::new(); read.len()];
    for name in &frame(&read[0]).index {
        let places: Option<Vec<usize>> = known.iter().map(|known| known.get(name.as_str()).copied()).collect();
        let places = places.filter(|places| places.iter().zip(read).all(|(&at, one)| usable(one, at)));
        for (found, place) in found.iter_mut().zip(places.into_iter().flatten()) {
            found.push(place);
        }
    }
    found
}

fn select(matrix: &Array2<f32>, cells: &[usize], genes: &[usize]) -> Array2<f32> {
    matrix.select(Axis(1), genes).select(Axis(0), cells)
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} cells and {} velocity genes that all files have", self.n_obs, self.n_genes)?;
        let number = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"));
        writeln!(
            f,
            "\n{:4}{:28}{:>8}{:>12}{:>12}{:>14}  model",
            "", "file", "genes", "MSE test", "LL test", "time forward"
        )?;
        for (at, fit) in self.fits.iter().enumerate() {
            let name = fit.file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            let forward = fit.forward.map_or_else(|| "–".to_owned(), |share| format!("{:.0} %", 100.0 * share));
            let [mse, ll] = [fit.scores.mse_test, fit.scores.ll_test].map(number);
            writeln!(
                f,
                "{:<4}{name:28}{:>8}{mse:>12}{ll:>12}{forward:>14}  {}",
                at + 1,
                fit.velocity_genes,
                fit.model
            )?;
        }
        writeln!(f, "\n{:10}{:>22}{:>12}{:>10}{:>8}", "fits", "cosine per cell (IQR)", "per gene", "signs", "time")?;
        for pair in &self.pairs {
            let [a, b] = pair.fits.map(|at| at + 1);
            let [low, middle, high] = pair.cell_cosine;
            let cosine = format!("{middle:.3} ({low:.2}–{high:.2})");
            let (gene, signs, time) = (pair.gene_pearson, pair.signs, number(pair.time_spearman));
            writeln!(f, "{:10}{cosine:>22}{gene:>12.3}{signs:>10.3}{time:>8}", format!("{a}, {b}"))?;
            for (name, cosine) in &pair.groups {
                writeln!(f, "  {name:20}{cosine:>10.3}")?;
            }
        }
        write!(
            f,
            "\ncosines with genes scaled to s.d. 1; time forward: share of the genes that are better explained as time runs"
        )
    }
}
