//! The permutation score of a trained run.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::config::Config;
use crate::data::{Column, Groups, Reporter, Run};
use crate::error::{Error, Result};
use crate::io::{self, OutputConfig, keys};
use crate::permutation::{self, Choice, Scores};
use crate::preprocess;
use crate::stats::{median, percentile};

/// A gene below this is not told from its shuffled self, in standard errors: neighbourhoods that were found in noise leave
/// medians of 1 to 2.
const LEAST: f64 = 3.0;

/// What the score is asked of.
#[derive(Clone, Debug)]
pub struct PermuteJob {
    /// The file that the run was trained on.
    pub input: PathBuf,
    /// The file that the run has written, to which the scores are added.
    pub output: PathBuf,
    /// The run's folder.
    pub run: PathBuf,
    /// Column of `obs` with groups of cells.
    pub groups: String,
    /// Which cells of a large group are compared.
    pub choice: Choice,
}

/// The scores, by gene and group.
#[derive(Clone, Debug)]
pub struct Permutation {
    /// Names of the genes, `[n_vars]`.
    pub genes: Vec<String>,
    /// Names of the groups.
    pub groups: Vec<String>,
    /// Shuffled against real data.
    pub scores: Scores,
    /// Shuffled against shuffled data.
    pub null: Scores,
}

impl Permutation {
    /// One line per gene, columns separated by tabs: largest score, its group, the null's, then one column per group.
    #[must_use]
    pub fn table(&self) -> String {
        let mut lines = vec![format!("gene\tscore\tgroup\tnull\t{}", self.groups.join("\t"))];
        for (gene, name) in self.genes.iter().enumerate() {
            let by_group: Vec<String> = self.scores.by_group.row(gene).iter().map(|t| format!("{t:.4}")).collect();
            let (score, null) = (self.scores.largest[gene], self.null.largest[gene]);
            let group = &self.groups[self.scores.group[gene]];
            lines.push(format!("{name}\t{score:.4}\t{group}\t{null:.4}\t{}", by_group.join("\t")));
        }
        lines.join("\n") + "\n"
    }
}

impl fmt::Display for Permutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let middle = |scores: &Scores| median(scores.largest.as_slice().expect("one row of numbers"));
        let of_null = percentile(self.null.largest.as_slice().expect("one row of numbers"), 95.0).max(LEAST);
        let above = self.scores.largest.iter().filter(|&&score| score > of_null).count();
        let (score, null) = (middle(&self.scores), middle(&self.null));
        writeln!(f, "permutation score, median over {} genes: {score:.2}; of the null: {null:.2}", self.genes.len())?;
        writeln!(f, "genes above {LEAST} standard errors and above 95 % of the null: {above}")?;
        let share = above as f64 / self.genes.len().max(1) as f64;
        let verdict = match share {
            share if share > 0.5 => {
                "most genes are explained better than their shuffled selves: there are dynamics to be seen"
            }
            share if share > 0.2 => "some genes are explained better than their shuffled selves: trust those, not all",
            _ => "few genes are explained better than their shuffled selves: velocity says little about these data",
        };
        write!(f, "{verdict}")
    }
}

/// Scores the trained run of `job` and adds the scores to its output.
///
/// # Errors
/// If the run is not finished, its settings or data are others, its model cannot be asked, or a file cannot be used.
pub fn permute(job: &PermuteJob, reporter: Box<dyn Reporter>) -> Result<Permutation> {
    let config = Config::load(Some(&job.run.join("config.toml")), &[])?;
    let model = config.model.as_model().trained().ok_or_else(|| Error::Config {
        place: job.run.display().to_string(),
        problem: "is the run of a model without a permutation score".to_owned(),
        hint: "models with one: velovi, velovae".to_owned(),
    })?;
    let counts = io::read(&job.input, &config.input)?;
    let (data, _) = preprocess::run(&counts, &config.preprocess)?;
    drop(counts);
    let groups = Groups::read(&data.obs, &job.groups, "--groups")?;
    let fingerprint = super::folder::fingerprint(&config, Some(&data));
    let mut run = Run::new(&job.run, config.seed, fingerprint, reporter)
        .resuming(true)
        .stopped_by(Arc::new(AtomicBool::new(false)));

    let cells = groups.cells();
    if cells.iter().all(|cells| cells.len() < 2) {
        return Err(Error::Data {
            problem: format!("obs[{:?}], named by --groups, has no group of two cells or more", job.groups),
            hint: "name a column of cell types or clusters".to_owned(),
        });
    }
    let real = [data.mu.clone(), data.ms.clone()];
    let [first, second] = [0, 1].map(|copy| {
        let mut rng = run.rng("permutation", copy);
        [&data.mu, &data.ms].map(|moments| permutation::shuffled(moments, &cells, &mut rng))
    });
    let seen = [real, first, second];
    let fitted = model.reconstruct(&data, &mut run, &seen)?;
    let [real, first, second] = [0, 1, 2].map(|k| permutation::errors(&seen[k], &fitted[k]));
    let compared = permutation::compared(&cells, job.choice, &mut run.rng("permutation cells", 0));
    let result = Permutation {
        genes: data.var.index.clone(),
        groups: groups.names,
        scores: permutation::scores(&first, &real, &compared),
        null: permutation::scores(&second, &first, &compared),
    };
    add(&result, job, &config.output)?;
    Ok(result)
}

/// Adds the scores to the genes of the fitted file.
fn add(found: &Permutation, job: &PermuteJob, output: &OutputConfig) -> Result<()> {
    let var = io::read_var(&job.output)?;
    let position = |gene: &String| var.index.iter().position(|known| known == gene);
    let genes: Option<Vec<usize>> = found.genes.iter().map(position).collect();
    let genes = genes.ok_or_else(|| {
        let hint = "name the file that this run has written";
        Error::input(&job.output, "var", "lacks genes of the run", hint)
    })?;
    let group = |gene: usize| found.groups[found.scores.group[gene]].clone();
    let results = io::Results {
        var: vec![
            (keys::PERMUTATION_SCORE.to_owned(), Column::Float(found.scores.largest.to_vec())),
            (keys::PERMUTATION_NULL.to_owned(), Column::Float(found.null.largest.to_vec())),
            (keys::PERMUTATION_GROUP.to_owned(), Column::Text((0..genes.len()).map(group).collect())),
        ],
        ..io::Results::default()
    };
    let kept = OutputConfig { genes: io::GenesWritten::All, ..output.clone() };
    io::write_results(&job.output, &job.output, &kept, &genes, &results).map(|_| ())
}
