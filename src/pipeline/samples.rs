//! Agreement of the samples of one fit: which column tells them apart, where their cells are near each other, and what was corrected.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use ndarray::{Array2, ArrayView2};
use serde::Serialize;

use crate::config::Config;
use crate::data::quantities::{LATENT_TIME, LATENT_TIME_GENES, VELOCITY_PSEUDOTIME, X_PCA, X_PCA_VELOCITY};
use crate::data::{GenesUsed, Groups, Velocities, sample_columns, sample_rank};
use crate::error::Result;
use crate::io::FittedFile;
use crate::pca::pca_dense;
use crate::report::Table;
use crate::scores::{self, Neighborly, SampleAgreement, Sampled, verdict};

/// A column with more labels tells no samples apart.
const MOST: usize = 100;
/// Principal components in which neighbours are sought where the file says nothing of its own.
const N_COMPONENTS: usize = 30;

/// How the samples of one fit agree.
#[derive(Clone, Debug, Serialize)]
pub struct SamplesOfFit {
    /// The file.
    pub file: PathBuf,
    /// Column of obs that tells samples apart.
    pub column: String,
    /// Where neighbours were sought.
    pub space: String,
    /// The time that was compared, a column of obs; none if there is none.
    pub time: Option<String>,
    /// What the fit has corrected of the differences between samples, and what it has not, in words.
    pub corrected: String,
    /// The samples.
    pub rows: Vec<SampleAgreement>,
}

/// Which column tells samples apart, if nobody names one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unnamed {
    /// The one that the fit was told of.
    OfTheFit,
    /// That, else one with a usual name.
    Usual,
}

/// The column of samples of `file`: the one `asked` for, else as `unnamed` says; `None` if there is none.
pub(super) fn column(file: &FittedFile, asked: Option<&str>, unnamed: Unnamed) -> Option<String> {
    let there = |name: &String| file.obs().get(name).is_some();
    let usual = || {
        let columns = sample_columns(&file.obs().columns, 2..=MOST);
        columns.into_iter().find(|name| sample_rank(name).is_some()).map(str::to_owned)
    };
    asked.map(str::to_owned).or_else(|| {
        let told = ["model", "preprocess"].into_iter().find_map(|table| told(file, table, "batch"));
        told.filter(there).or_else(|| if unnamed == Unnamed::Usual { usual() } else { None })
    })
}

/// Compares the samples in `column` of obs, over the genes `used`.
///
/// # Errors
/// If there is no such column, or the file has no velocities or moments.
pub(super) fn of_file(file: &FittedFile, column: &str, used: &GenesUsed) -> Result<SamplesOfFit> {
    let samples = Groups::read(file.obs(), column, "--samples")?;
    let times = [LATENT_TIME, LATENT_TIME_GENES, VELOCITY_PSEUDOTIME];
    let time = times.into_iter().find_map(|quantity| Some((quantity.key().to_owned(), file.numbers(quantity)?)));
    let rep = file.neighbors_space()?;
    let data = file.velocities(used)?;
    let (space, points) = space(&data, rep.as_deref())?;
    let rows = scores::samples(&Sampled {
        samples: &samples,
        points: points.as_ref().map_or_else(|| known(&data, &space), Array2::view),
        velocities: data.velocity.view(),
        time: time.as_ref().map(|(_, time)| time.as_slice()),
    })?;
    Ok(SamplesOfFit {
        file: file.path().to_path_buf(),
        column: column.to_owned(),
        space,
        time: time.map(|(key, _)| key),
        corrected: corrected(file, column),
        rows,
    })
}

/// Where neighbours are sought: where those of the fit were, if the file says so; else its principal components, else those of `Ms`,
/// which are the second part of what is returned.
fn space(data: &Velocities, rep: Option<&str>) -> Result<(String, Option<Array2<f32>>)> {
    let there = |name: &str| data.obsm.iter().any(|(known, _)| known == name);
    let names = rep.into_iter().chain([X_PCA_VELOCITY.key(), X_PCA.key()]);
    if let Some(name) = names.into_iter().find(|name| there(name)) {
        return Ok((name.to_owned(), None));
    }
    let most = N_COMPONENTS.min(data.n_obs().saturating_sub(1)).min(data.genes.len().saturating_sub(1)).max(1);
    Ok(("principal components of Ms".to_owned(), Some(pca_dense(data.ms.view(), most)?.scores)))
}

fn known<'a>(data: &'a Velocities, name: &str) -> ArrayView2<'a, f32> {
    let found = data.obsm.iter().find(|(known, _)| known == name);
    found.expect("looked up by its name").1.view()
}

/// A setting of the fit in the file that names something; `None` if it is empty, or the fit is another program's.
fn told(file: &FittedFile, table: &str, key: &str) -> Option<String> {
    let value = file.fit()?.settings.get(table)?.get(key)?.as_str()?;
    (!value.is_empty()).then(|| value.to_owned())
}

/// What the fit has corrected, and what it has not.
fn corrected(file: &FittedFile, column: &str) -> String {
    const NEVER: &str = "Not corrected: ambient molecules, and genes that samples express or capture differently.";
    let Some(record) = file.fit() else {
        return "What the program that made this fit has corrected is not in the file.".to_owned();
    };
    let config = Config::recorded(&record.settings, &[]);
    let of_counts = config.is_ok_and(|config| config.model.as_model().in_counts());
    let mut words = match told(file, "model", "batch") {
        Some(batch) => format!(
            "Corrected by the fit: the share of unspliced molecules that each sample captures, alike for all genes (model.batch = \
             {batch:?}{}). {NEVER}",
            if batch == column { "" } else { ", another column" }
        ),
        None if of_counts => "Corrected by sample: nothing. The fit is of counts and was not told of samples (soft_grid: model.batch), so that \
             samples which capture other shares of unspliced molecules have other rates, times and velocities for that alone."
            .to_owned(),
        None => format!(
            "Corrected where counts are divided by the totals of each cell, spliced and unspliced ones by their own: how much a sample captures \
             of either, alike for all genes. {NEVER}"
        ),
    };
    if let Some(rep) = told(file, "preprocess", "use_rep") {
        let _ = write!(words, " Neighbours, over which moments are means, were sought in {rep}.");
    }
    if let Some(batch) = told(file, "preprocess", "batch") {
        let _ = write!(
            words,
            " Each cell has as many neighbours in every {batch}, so that moments are means over samples."
        );
    }
    words
}

impl SamplesOfFit {
    /// What the numbers are, and how they are to be read.
    pub(super) const LEGEND: &str = "Cells of each sample beside their 15 nearest cells in the other; in brackets, beside their nearest in the \
        sample itself. Cosine: mean cosine of the velocities, genes scaled alike. Time: correlation of a cell's time with the mean of its \
        neighbours', and the mean difference in percent of the range. Distance: how many times as far the neighbours in the other sample \
        are. Lower between samples than within one, with a distance near 1: an effect of the sample. Low in both: noise. A distance far \
        above 1: the other sample lacks such cells, or its expression is shifted. Samples that are wrong alike agree, \
        and what a sample captures alike of all genes hardly shows here.";

    /// The row where the cosine falls the most from within a sample to between two: of those whose neighbours are near, if there are any.
    pub(super) fn worst(&self) -> Option<&SampleAgreement> {
        let gap = |row: &SampleAgreement| row.within.cosine - row.between.cosine;
        let near = |row: &SampleAgreement| row.distance <= verdict::FAR;
        self.rows.iter().max_by(|a, b| near(a).cmp(&near(b)).then(gap(a).total_cmp(&gap(b))))
    }

    /// A row for each sample beside another.
    pub(super) fn table(&self) -> Table {
        let both = |row: &SampleAgreement, text: &dyn Fn(&Neighborly) -> Option<String>| match (
            text(&row.between),
            text(&row.within),
        ) {
            (Some(between), Some(within)) => format!("{between} ({within})"),
            _ => "–".to_owned(),
        };
        let rows = self.rows.iter().map(|row| {
            vec![
                row.sample.clone(),
                row.other.clone().unwrap_or_else(|| "all others".to_owned()),
                row.n_cells.to_string(),
                format!("{:.2}", row.distance),
                both(row, &|of| Some(format!("{:.2}", of.cosine))),
                both(row, &|of| Some(format!("{:.2}", of.time_correlation?))),
                both(row, &|of| Some(format!("{:+.1} %", 100.0 * of.time_shift?))),
            ]
        });
        let columns = ["sample", "beside", "cells", "distance", "cosine", "time", "time, difference"];
        Table { columns: columns.map(str::to_owned).into(), rows: rows.collect() }
    }

    /// In one line: what is compared, and where.
    pub(super) fn heading(&self) -> String {
        let time = self.time.as_ref().map_or_else(String::new, |time| format!("; time: {time}"));
        format!("samples in obs[{:?}]; neighbours in {}{time}", self.column, self.space)
    }
}

impl fmt::Display for SamplesOfFit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |path: &Path| path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        writeln!(f, "{}: {}", name(&self.file), self.heading())?;
        if self.rows.is_empty() {
            return write!(f, "fewer than two samples have cells enough to be compared");
        }
        let Table { columns, rows } = self.table();
        for row in std::iter::once(&columns).chain(&rows) {
            let [sample, beside, cells, distance, cosine, time, shift] = &row[..] else { continue };
            writeln!(f, "{sample:16}{beside:16}{cells:>8}{distance:>10}{cosine:>14}{time:>14}{shift:>20}")?;
        }
        writeln!(f, "{}", Self::LEGEND)?;
        write!(f, "{}", self.corrected)
    }
}
