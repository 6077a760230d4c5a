//! The permutation score of a trained run.

use std::fmt;
use std::path::PathBuf;

use super::on_device;
use super::train::prepare;
use crate::config::Config;
use crate::data::quantities::{PERMUTATION_GROUP, PERMUTATION_NULL, PERMUTATION_SCORE, Values};
use crate::data::{Groups, PermutationRecord, Reporter, Run, Silent};
use crate::error::{Error, Result};
use crate::io::{self, FittedFile, OutputConfig};
use crate::models::ModelConfig;
use crate::permutation::{self, Choice, Scores};
use crate::scores::Verdict;
use crate::scores::verdict::{self, LEAST_PERMUTATION_SCORE};

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
        let largest = |scores: &Scores| scores.largest.to_vec();
        let found = verdict::dynamics(&largest(&self.scores), &largest(&self.null));
        let verdict::Dynamics { above, median, null, .. } = found;
        writeln!(f, "permutation score, median over {} genes: {median:.2}; of the null: {null:.2}", self.genes.len())?;
        writeln!(f, "genes above {LEAST_PERMUTATION_SCORE} standard errors and above 95 % of the null: {above}")?;
        let verdict = match found.verdict {
            Verdict::Good => {
                "most genes are explained better than their shuffled selves: there are dynamics to be seen"
            }
            Verdict::Caution => "some genes are explained better than their shuffled selves: trust those, not all",
            Verdict::Bad | Verdict::Unknown => {
                "few genes are explained better than their shuffled selves: velocity says little about these data"
            }
        };
        write!(f, "{verdict}")
    }
}

/// Scores the trained run of `job` and adds the scores to its output.
///
/// # Errors
/// If the run is not finished, its settings or data are others, its model cannot be asked, or a file cannot be used.
pub fn permute(job: &PermuteJob, reporter: Box<dyn Reporter>) -> Result<Permutation> {
    let settings = job.run.join("config.toml");
    if !settings.is_file() {
        return Err(Error::Config {
            place: job.run.display().to_string(),
            problem: "this folder of a run is not there, or holds no config.toml".to_owned(),
            hint: "name the run's folder with --run DIR, where the output was moved or written with --run".to_owned(),
        });
    }
    let config = Config::load(Some(&settings), &[])?;
    let read = io::Stamp::of(&job.output);
    let model = config.model.as_model().trained().ok_or_else(|| Error::Config {
        place: job.run.display().to_string(),
        problem: "is the run of a model that has no permutation score".to_owned(),
        hint: format!("models with one: {}", with_score().join(", ")),
    })?;
    let prepared = prepare(&config, &job.input, &mut Silent)?;
    let fingerprint = super::folder::fingerprint(&config, Some(&prepared));
    let data = prepared.data;
    let groups = Groups::read(&data.obs, &job.groups, "--groups")?;
    let mut run = Run::new(&job.run, config.seed, fingerprint, reporter).resuming(true);

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
    let fitted = on_device(config.model.as_model(), || model.reconstruct(&data, &mut run, &seen))?;
    let [real, first, second] = [0, 1, 2].map(|k| permutation::errors(&seen[k], &fitted[k]));
    let compared = permutation::compared(&cells, job.choice, &mut run.rng("permutation cells", 0));
    let result = Permutation {
        genes: data.var.index.clone(),
        groups: groups.names,
        scores: permutation::scores(&first, &real, &compared),
        null: permutation::scores(&second, &first, &compared),
    };
    add(&result, (job, &read?), &config.output)?;
    Ok(result)
}

/// Adds the scores to the genes of the fitted file.
fn add(found: &Permutation, (job, read): (&PermuteJob, &io::Stamp), output: &OutputConfig) -> Result<()> {
    let file = FittedFile::open(&job.output)?;
    let var = file.var();
    let position = |gene: &String| var.index.iter().position(|known| known == gene);
    let genes: Option<Vec<usize>> = found.genes.iter().map(position).collect();
    let genes = genes.ok_or_else(|| {
        let hint = "name the file that this run has written";
        Error::input(&job.output, "var", "lacks genes of the run", hint)
    })?;
    let group = |gene: usize| found.groups[found.scores.group[gene]].clone();
    let mut values = Values::default();
    values.set(PERMUTATION_SCORE, found.scores.largest.clone());
    values.set(PERMUTATION_NULL, found.null.largest.clone());
    values.set(PERMUTATION_GROUP, (0..genes.len()).map(group).collect());
    let record = PermutationRecord { of: file.stamp(), groups: job.groups.clone(), ..PermutationRecord::default() };
    drop(file);
    io::write_permutation(read, output, &genes, values, record).map(drop)
}

/// The models whose trained runs can be asked.
pub(super) fn with_score() -> Vec<&'static str> {
    ModelConfig::ENTRIES.iter().filter(|entry| entry.permutes).map(|entry| entry.kind).collect()
}
