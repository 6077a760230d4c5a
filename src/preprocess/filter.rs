//! Which genes are kept.
//!
//! **Shared counts** of gene g: Σ (s + u) over the cells with s > 0 and u > 0; **shared cells**: their number.
//!
//! **Variability** (flavour `seurat`), of size-normalised and not logged expression with mean m and sample variance v:
//! the dispersion d = ln(v / m) is standardised within 20 bins of equal width over ln(1 + m),
//! z = (d − mean of bin) / s.d. of bin (sample). A gene alone in its bin has z = 1; a gene without variance has no d and
//! counts as z = 0. Kept are all genes with z at least the n-th largest, so equal scores stay together.
//!
//! Source: Satija et al. 2015 (dispersion); scanpy 1.10 `pp.highly_variable_genes`; Bergen et al. 2020 (shared counts).

use std::f64::consts::FRAC_1_SQRT_2;

use super::config::PreprocessConfig;
use super::normalize::Expression;
use super::report::{Report, some_of};
use crate::data::{Bound, Column, Counts, Frame, GeneFilter, GeneNames};
use crate::error::{Error, Result};
use crate::sparse::{Csr, shared_entries};
use crate::stats::{count, mean, std_dev};

/// Bins of mean expression.
const N_BINS: usize = 20;
/// The first bin begins this share of the range below the lowest mean, so that it holds it (as `pandas.cut`).
const BIN_MARGIN: f64 = 1e-3;

/// Why a gene is in or out; the discriminant is the position in [`STATUS`].
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Status {
    Kept,
    Retained,
    SharedCounts,
    SharedCells,
    NotVariable,
    NotListed,
    NoLine,
}

const STATUS: [&str; 7] =
    ["kept", "retained", "shared_counts", "shared_cells", "not_variable", "not_listed", "no_line"];

/// Counts of each gene in the cells that have both forms, and the number of these cells; each `[n_vars]`.
///
/// # Errors
/// [`Error::Shape`] if the layers differ in shape.
pub fn shared_counts(spliced: &Csr<f32>, unspliced: &Csr<f32>) -> Result<(Vec<f64>, Vec<f64>)> {
    if (spliced.n_rows, spliced.n_cols) != (unspliced.n_rows, unspliced.n_cols) {
        return Err(Error::Shape {
            what: "unspliced".to_owned(),
            wanted: vec![spliced.n_rows, spliced.n_cols],
            found: vec![unspliced.n_rows, unspliced.n_cols],
        });
    }
    let (mut counts, mut cells) = (vec![0.0; spliced.n_cols], vec![0.0; spliced.n_cols]);
    for i in 0..spliced.n_rows {
        for (gene, s, u) in shared_entries(spliced.row(i), unspliced.row(i)) {
            if s > 0.0 && u > 0.0 {
                counts[gene as usize] += f64::from(s) + f64::from(u);
                cells[gene as usize] += 1.0;
            }
        }
    }
    Ok((counts, cells))
}

/// Scores of variability, each `[n_vars]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Variability {
    /// ln(1 + m).
    pub means: Vec<f64>,
    /// ln(v / m); NaN for a gene without variance.
    pub dispersions: Vec<f64>,
    /// Dispersion standardised within its bin; NaN for a gene without variance.
    pub dispersions_norm: Vec<f64>,
}

/// Variability of each gene of `expression`, `[n_obs, n_vars]`: size-normalised and not logged.
#[must_use]
pub fn variability(expression: &Csr<f32>) -> Variability {
    let n = count(expression.n_rows);
    let (sums, squares) = expression.column_sums();
    let score = |(sum, square): (&f64, &f64)| {
        let m = sum / n;
        let v = ((square / n - m * m) * n / (n - 1.0)).max(0.0);
        // A silent gene: any small mean puts it into the first bin; 1e-12 is scanpy's.
        let m = if m == 0.0 { 1e-12 } else { m };
        let d = if v > 0.0 { (v / m).ln() } else { f64::NAN };
        (m.ln_1p(), d)
    };
    let (means, dispersions): (Vec<f64>, Vec<f64>) = sums.iter().zip(&squares).map(score).unzip();
    let bins = bins_of(&means);
    let mut dispersions_norm = vec![f64::NAN; means.len()];
    for bin in 0..N_BINS {
        let members: Vec<usize> = (0..means.len()).filter(|&g| bins[g] == bin && !dispersions[g].is_nan()).collect();
        let values: Vec<f64> = members.iter().map(|&g| dispersions[g]).collect();
        let (centre, spread) = (mean(&values), std_dev(&values, 1));
        for &g in &members {
            dispersions_norm[g] = match values.len() {
                1 => 1.0,
                // The same number as below, but equal in every bin to the last bit, so that ties stay ties.
                2 if spread > 0.0 => (dispersions[g] - centre).signum() * FRAC_1_SQRT_2,
                _ if spread > 0.0 => (dispersions[g] - centre) / spread,
                _ => 0.0,
            };
        }
    }
    Variability { means, dispersions, dispersions_norm }
}

/// The bin of each mean among [`N_BINS`] of equal width, closed on the right.
fn bins_of(means: &[f64]) -> Vec<usize> {
    let low = means.iter().copied().fold(f64::INFINITY, f64::min);
    let high = means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let step = (high - low) / count(N_BINS);
    let mut edges: Vec<f64> = (0..=N_BINS).map(|k| low + step * count(k)).collect();
    edges[0] -= (high - low) * BIN_MARGIN;
    edges[N_BINS] = high;
    let bin = |m: &f64| edges.partition_point(|edge| edge < m).saturating_sub(1);
    means.iter().map(bin).collect()
}

/// Whether each score is at least the `n`-th largest; NaN counts as 0 here and is not ranked. `[scores.len()]`
#[must_use]
pub fn top(scores: &[f64], n: usize) -> Vec<bool> {
    let mut ranked: Vec<f64> = scores.iter().copied().filter(|score| !score.is_nan()).collect();
    ranked.sort_unstable_by(|a, b| b.total_cmp(a));
    let Some(&cutoff) = ranked.get(n.min(ranked.len()).saturating_sub(1)) else {
        return vec![true; scores.len()];
    };
    scores.iter().map(|&score| if score.is_nan() { 0.0 } else { score }).map(|score| score >= cutoff).collect()
}

/// 1 + the number of scores that are larger, as [`top`] counts them: the `n`-th largest and its equals have ranks of at most `n`.
/// `[scores.len()]`
#[must_use]
pub fn ranks(scores: &[f64]) -> Vec<f64> {
    let mut ranked: Vec<f64> = scores.iter().copied().filter(|score| !score.is_nan()).collect();
    ranked.sort_unstable_by(f64::total_cmp);
    let larger = |score: f64| ranked.len() - ranked.partition_point(|other| *other <= score);
    scores.iter().map(|&score| count(1 + larger(if score.is_nan() { 0.0 } else { score }))).collect()
}

/// Positions of the kept genes, rising.
///
/// # Errors
/// [`Error::Data`] if they are fewer than two.
pub(super) fn choose_genes(status: &[Status], config: &PreprocessConfig) -> Result<Vec<usize>> {
    enough(status, config)?;
    Ok(kept(status))
}

/// What becomes of each gene, `[n_vars]`. Writes the table of genes and the filters into `report`.
pub(super) fn judge(
    counts: &Counts,
    expression: &Expression<'_>,
    config: &PreprocessConfig,
    report: &mut Report,
) -> Result<Vec<Status>> {
    let (n_counts, n_cells) = shared_counts(&counts.spliced, &counts.unspliced)?;
    report.genes.set("shared_counts", Column::Float(n_counts.clone()));
    report.genes.set("shared_cells", Column::Float(n_cells.clone()));
    let mut status = vec![Status::Kept; counts.n_vars()];

    if let Some(listed) = listed(counts, config)? {
        for (status, _) in status.iter_mut().zip(&listed).filter(|gene| !gene.1) {
            *status = Status::NotListed;
        }
        let setting = if config.genes.is_empty() { "preprocess.genes_from" } else { "preprocess.genes" };
        report.filters.push(GeneFilter::flags("listed", "listed", &listed).set_by(setting));
        report.step("genes", kept(&status).len(), "as listed; no filter is used".to_owned());
    } else {
        let retained = find(&counts.var, &config.retain_genes, "preprocess.retain_genes")?;
        let at_least = |setting: u32| Bound::AtLeast(setting.into());
        let filters = [
            GeneFilter::new("shared counts", "shared_counts", at_least(config.min_shared_counts), n_counts)
                .set_by("preprocess.min_shared_counts"),
            GeneFilter::new("shared cells", "shared_cells", at_least(config.min_shared_cells), n_cells)
                .set_by("preprocess.min_shared_cells"),
        ];
        for (filter, reason) in filters.iter().zip([Status::SharedCounts, Status::SharedCells]) {
            let taken = |(gene, status): &(usize, &mut Status)| **status == Status::Kept && filter.takes(*gene);
            status.iter_mut().enumerate().filter(taken).for_each(|(_, status)| *status = reason);
        }
        report.filters.extend(filters);
        retain(&mut status, &retained);
        let note = format!(
            "at least {} counts in cells with both forms, at least {} such cells",
            config.min_shared_counts, config.min_shared_cells
        );
        report.step("shared counts", kept(&status).len(), note);
        keep_variable(&mut status, expression, config, report)?;
        retain(&mut status, &retained);
    }
    report.genes.set(
        "status",
        Column::Categorical {
            codes: status.iter().map(|&status| Some(status as u32)).collect(),
            categories: STATUS.map(str::to_owned).to_vec(),
            ordered: false,
        },
    );
    Ok(status)
}

/// Which genes are listed by name, column or the word `all`; `None` if filters are to choose.
fn listed(counts: &Counts, config: &PreprocessConfig) -> Result<Option<Vec<bool>>> {
    const ALL: &str = "all";
    let var = &counts.var;
    if !config.genes.is_empty() {
        return find(var, &config.genes, "preprocess.genes").map(Some);
    }
    let column = config.genes_from.as_str();
    if column.is_empty() {
        return Ok(None);
    }
    if column == ALL {
        return Ok(Some(vec![true; var.index.len()]));
    }
    if let Some(flags) = var.get(column).and_then(Column::truths) {
        return Ok(Some(flags));
    }
    let known = var.columns.iter().filter(|(_, values)| values.truths().is_some());
    let known: Vec<&str> = known.map(|(name, _)| name.as_str()).collect();
    let known = if known.is_empty() { "none".to_owned() } else { some_of(known.into_iter()) };
    Err(Error::input(
        &counts.path,
        "var",
        format!("preprocess.genes_from = {column:?}: no such column; columns of truth values: {known}"),
        "wanted is all, or a true/false column of var; names of genes go into preprocess.genes, or a file after --genes",
    ))
}

/// Positions among `genes` of those to keep: they have a line that `explains` them, or are retained by name. `genes` are
/// positions in the file. The others get their status in the table of genes of `report`.
pub(super) fn keep_explained(
    genes: &[usize],
    explains: &[bool],
    config: &PreprocessConfig,
    report: &mut Report,
) -> Result<Vec<usize>> {
    let retained = find(&report.genes, &config.retain_genes, "preprocess.retain_genes")?;
    let table = report.genes.columns.iter_mut().find(|(name, _)| name == "status");
    if let Some((_, Column::Categorical { codes, .. })) = table {
        for (&gene, _) in genes.iter().zip(explains).filter(|(_, explains)| !**explains) {
            let status = if retained[gene] { Status::Retained } else { Status::NoLine };
            codes[gene] = Some(status as u32);
        }
    }
    Ok((0..genes.len()).filter(|&at| explains[at] || retained[genes[at]]).collect())
}

/// Scores the genes still in, and drops those that are not variable enough.
fn keep_variable(
    status: &mut [Status],
    expression: &Expression<'_>,
    config: &PreprocessConfig,
    report: &mut Report,
) -> Result<()> {
    let candidates = kept(status);
    if config.n_top_genes == 0 || config.n_top_genes >= candidates.len() {
        let note = format!("all are kept: n_top_genes = {}", config.n_top_genes);
        report.step("variable genes", candidates.len(), note);
        return Ok(());
    }
    let scores = variability(&expression.normalized(&candidates)?);
    let in_file_order = |values: &[f64]| {
        let mut column = vec![f64::NAN; status.len()];
        candidates.iter().zip(values).for_each(|(&g, &value)| column[g] = value);
        Column::Float(column)
    };
    report.genes.set("means", in_file_order(&scores.means));
    report.genes.set("dispersions", in_file_order(&scores.dispersions));
    report.genes.set("dispersions_norm", in_file_order(&scores.dispersions_norm));
    for (&g, variable) in candidates.iter().zip(top(&scores.dispersions_norm, config.n_top_genes)) {
        if !variable {
            status[g] = Status::NotVariable;
        }
    }
    let ranks = ranks(&scores.dispersions_norm);
    let filter =
        GeneFilter::new("rank of variability", "variability_rank", Bound::AtMost(count(config.n_top_genes)), ranks)
            .set_by("preprocess.n_top_genes");
    report.filters.push(filter.placed(&candidates, status.len()));
    let note = format!("the {} most variable of {}, flavour seurat", config.n_top_genes, expression.name);
    report.step("variable genes", kept(status).len(), note);
    Ok(())
}

fn kept(status: &[Status]) -> Vec<usize> {
    let is_in = |&g: &usize| matches!(status[g], Status::Kept | Status::Retained);
    (0..status.len()).filter(is_in).collect()
}

fn retain(status: &mut [Status], retained: &[bool]) {
    for (status, _) in status.iter_mut().zip(retained).filter(|gene| *gene.1) {
        if *status != Status::Kept {
            *status = Status::Retained;
        }
    }
}

/// Whether each gene of the file is among `wanted`: names of rows, ids or symbols.
fn find(var: &Frame, wanted: &[String], key: &str) -> Result<Vec<bool>> {
    let mut found = vec![false; var.index.len()];
    if wanted.is_empty() {
        return Ok(found);
    }
    let names = GeneNames::of(var);
    let mut unknown = Vec::new();
    for name in wanted {
        let genes = names.find(name);
        if genes.is_empty() {
            unknown.push(name.as_str());
        }
        for &gene in genes {
            found[gene] = true;
        }
    }
    if unknown.is_empty() {
        return Ok(found);
    }
    Err(Error::Data {
        problem: format!("{key}: {} genes are not in the file: {}", unknown.len(), some_of(unknown.into_iter())),
        hint: format!("the file's names look like {}", some_of(var.index.iter().take(3).map(String::as_str))),
    })
}

fn enough(status: &[Status], config: &PreprocessConfig) -> Result<()> {
    let n_kept = kept(status).len();
    if n_kept >= 2 {
        return Ok(());
    }
    let n_below = |wanted: Status| status.iter().filter(|&&status| status == wanted).count();
    let (problem, hint) = if config.lists_genes() {
        let by = if config.genes.is_empty() { "preprocess.genes_from" } else { "preprocess.genes" };
        (format!("{by} names {n_kept} genes, wanted at least 2"), "list more genes".to_owned())
    } else {
        (
            format!(
                "{n_kept} of {} genes are left, wanted at least 2: {} have fewer than preprocess.min_shared_counts = {} counts \
                 in cells with both forms, {} fewer than preprocess.min_shared_cells = {} such cells",
                status.len(),
                n_below(Status::SharedCounts),
                config.min_shared_counts,
                n_below(Status::SharedCells),
                config.min_shared_cells
            ),
            "lower the thresholds, or check that both layers hold counts".to_owned(),
        )
    };
    Err(Error::Data { problem, hint })
}
