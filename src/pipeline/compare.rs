//! Several fits of the same cells, side by side; of each, its samples beside each other.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use ndarray::{ArcArray2, Array2, Axis};
use serde::Serialize;

use super::samples::{self, SamplesOfFit, Unnamed};
use crate::data::quantities::VELOCITY_GENES;
use crate::data::{Column, Frame, GenesUsed, Groups, MomentUnits};
use crate::error::{Error, Result};
use crate::io::FittedFile;
use crate::metrics::{self, Evaluation, Evidence};
use crate::scores;
use crate::stats::{median, percentile, spearman};

/// What is known of several fits.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Cells that all files have.
    pub n_obs: usize,
    /// Genes whose velocity all files have and use.
    pub n_genes: usize,
    /// Whether velocities were compared as changes of each gene's share in the cell, for the fits are in different units.
    pub as_shares: bool,
    /// Each fit on its own, over these cells and genes.
    pub fits: Vec<One>,
    /// Each pair of fits.
    pub pairs: Vec<Pair>,
    /// Of each fit that was told of samples, or whose samples were asked for, how these agree.
    pub samples: Vec<SamplesOfFit>,
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

/// Reads the fits in `files` and compares them, by group of the column `groups` of the first where one is given; and, within each, the
/// samples in the column `samples` of obs, else in the one that the fit was told of. Of a single fit, these alone are compared, and a
/// column with a usual name will do.
///
/// # Errors
/// If a file cannot be read or holds no fit, they have no cell or gene in common, or there is one fit and no column of samples.
pub fn compare(files: &[PathBuf], groups: Option<&str>, samples: Option<&str>) -> Result<Comparison> {
    let unnamed = if files.len() == 1 { Unnamed::Usual } else { Unnamed::OfTheFit };
    let mut found = Vec::new();
    for path in files {
        let file = FittedFile::open(path)?;
        match samples::column(&file, samples, unnamed) {
            Some(column) => found.push(samples::of_file(&file, &column, &GenesUsed::VelocityGenes)?),
            None if files.len() == 1 => {
                let names: Vec<&str> = file.obs().columns.iter().map(|(name, _)| name.as_str()).collect();
                let problem =
                    format!("one fit, and no column of samples to compare within it; columns: {}", names.join(", "));
                let hint =
                    "give a second fit of the same cells, or name the column that tells samples apart with --samples";
                return Err(Error::input(path, "obs", problem, hint));
            }
            None => {}
        }
    }
    Ok(Comparison { samples: found, ..fits(files, groups)? })
}

/// The fits alone, as [`compare`] compares them.
pub(super) fn fits(files: &[PathBuf], groups: Option<&str>) -> Result<Comparison> {
    let read = files.iter().map(|path| Fitted::read(path)).collect::<Result<Vec<Fitted>>>()?;
    let [cells, genes] = [common(&read, |one| &one.obs, |_, _| true), common(&read, |one| &one.var, Fitted::uses)];
    for (what, found) in [("cell", &cells), ("gene", &genes)] {
        if found[0].is_empty() {
            let problem = format!("the files have no {what} in common that could be compared");
            let hint = "they are matched by name, and genes must be velocity genes of all".to_owned();
            return Err(Error::Data { problem, hint });
        }
    }
    let groups = groups.map(|column| Groups::read(&read[0].obs, column, "--groups")).transpose()?;
    let fits = (0..read.len()).map(|k| read[k].alone(&cells[k], &genes[k])).collect::<Result<Vec<One>>>()?;
    // Velocities in different units meet as changes of the share that each gene has in the cell.
    let shares = read.iter().any(|one| one.moments != read[0].moments);
    let velocities =
        (0..read.len()).map(|k| read[k].compared(&cells[k], &genes[k], shares)).collect::<Result<Vec<_>>>()?;
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
    let samples = Vec::new();
    Ok(Comparison { n_obs: cells[0].len(), n_genes: genes[0].len(), as_shares: shares, fits, pairs, samples })
}

/// A fit as read.
struct Fitted {
    path: PathBuf,
    obs: Frame,
    var: Frame,
    /// Which genes are velocity genes, if the file says so.
    chosen: Option<Vec<bool>>,
    evidence: Evidence,
    model: String,
    moments: MomentUnits,
}

impl Fitted {
    fn read(path: &Path) -> Result<Self> {
        let file = FittedFile::open(path)?;
        let mode = file.mode();
        Ok(Self {
            path: path.to_path_buf(),
            obs: file.obs().clone(),
            var: file.var().clone(),
            chosen: file.column(VELOCITY_GENES).and_then(Column::truths),
            evidence: file.evidence()?,
            model: if mode.is_empty() { "unknown".to_owned() } else { mode.to_owned() },
            // Evidence of scaled moments is in counts.
            moments: file.fit().map(|fit| fit.moments).filter(|of| *of == MomentUnits::CellSize).unwrap_or_default(),
        })
    }

    /// Whether the velocity of a gene can and should be used.
    fn uses(&self, gene: usize) -> bool {
        self.chosen.as_ref().is_none_or(|chosen| chosen[gene])
            && self.velocity().column(gene).iter().all(|value| value.is_finite())
    }

    fn velocity(&self) -> &ArcArray2<f32> {
        self.evidence.velocity.as_ref().expect("only files with velocities give evidence")
    }

    fn time(&self, cells: &[usize]) -> Option<Vec<f64>> {
        let time = self.evidence.time.as_ref()?;
        Some(cells.iter().map(|&i| time[i]).collect())
    }

    /// Velocities of some cells and genes, `[cells, genes]`; as changes of shares, if so asked: with `p = s / Σ s` over the genes,
    /// `dp/dt = (v − p Σ v) / Σ s`, whatever the abundances of a cell were divided by.
    fn compared(&self, cells: &[usize], genes: &[usize], shares: bool) -> Result<Array2<f32>> {
        let chosen = |matrix: &ArcArray2<f32>| matrix.select(Axis(1), genes).select(Axis(0), cells);
        let mut velocity = chosen(self.velocity());
        if !shares {
            return Ok(velocity);
        }
        let Some([_, ms]) = &self.evidence.moments else {
            let hint = "moments are made by nascent train, or scvelo.pp.moments in Python";
            return Err(Error::input(
                &self.path,
                "layers",
                "Ms is needed to compare velocities in different units",
                hint,
            ));
        };
        for (mut velocity, s) in velocity.rows_mut().into_iter().zip(chosen(ms).rows()) {
            let (sum, change) = (s.sum(), velocity.sum());
            // A cell without any of these genes has no shares.
            let scale = if sum > 0.0 { sum.recip() } else { 0.0 };
            velocity.zip_mut_with(&s, |v, s| *v = (*v - s * scale * change) * scale);
        }
        Ok(velocity)
    }

    fn alone(&self, cells: &[usize], genes: &[usize]) -> Result<One> {
        let evidence = self.evidence.select(cells, genes);
        let direction = match (&evidence.moments, &evidence.time) {
            (Some([mu, ms]), Some(time)) => Some(scores::direction(ms.view(), mu.view(), time)?),
            _ => None,
        };
        Ok(One {
            file: self.path.clone(),
            model: self.model.clone(),
            velocity_genes: (0..self.var.index.len()).filter(|&gene| self.uses(gene)).count(),
            scores: metrics::evaluate(&evidence)?,
            forward: direction.as_ref().map(scores::DirectionVotes::share),
            forward_z: direction.as_ref().map(scores::DirectionVotes::z),
        })
    }
}

/// Positions in each file of the rows of a frame that all files have and that are `usable` in all, in the order of the first.
fn common(read: &[Fitted], frame: fn(&Fitted) -> &Frame, usable: fn(&Fitted, usize) -> bool) -> Vec<Vec<usize>> {
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

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = if self.fits.len() == 1 { "" } else { " that all files have" };
        writeln!(f, "{} cells and {} velocity genes{whose}", self.n_obs, self.n_genes)?;
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
        if !self.pairs.is_empty() {
            self.write_pairs(f)?;
        }
        f.write_str("\ntime forward: fraction of genes that fit better with time as it is than with time reversed")?;
        for samples in &self.samples {
            write!(f, "\n\n{samples}")?;
        }
        Ok(())
    }
}

/// A number, or that there is none.
fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"))
}

impl Comparison {
    fn write_pairs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
        if self.as_shares {
            writeln!(
                f,
                "\nthe fits are in different units (counts per total, counts per inferred size): velocities are compared as changes of each gene's fraction of all counts"
            )?;
        }
        write!(f, "\ncosines: genes scaled to s.d. 1")
    }
}
