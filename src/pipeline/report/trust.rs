//! Questions to ask before believing an arrow, and what the file answers. What an answer amounts to,
//! [`crate::scores::verdict`] says.

use std::path::Path;

use ndarray::ArcArray2;
use serde_json::Value;

use super::ReportJob;
use crate::data::quantities::{
    DIRECTIONAL_COSINE_SIM_MEAN, MU, PERMUTATION_NULL, PERMUTATION_SCORE, SOFT_GRID, VELOCITY_BOUNDARIES,
    VELOCITY_CONFIDENCE, VELOCITY_GENES, VELOCITY_RECONSTRUCTABILITY,
};
use crate::data::{Column, GenesUsed, GraphRecord, Groups};
use crate::error::Result;
use crate::io::{FittedFile, InputConfig};
use crate::pipeline::compare::fits;
use crate::pipeline::permute::with_score;
use crate::pipeline::samples::SamplesOfFit;
use crate::report::{Content, Overall, Trust};
use crate::scores::{self, Verdict, verdict};
use crate::stats::{count, median, percentile};

/// Share of the cells that counts as early.
const EARLY: f64 = 0.1;

/// What the questions are asked of.
pub(super) struct Subject<'a> {
    /// Where its counts are.
    pub(super) input: &'a InputConfig,
    pub(super) file: &'a FittedFile,
    pub(super) graph: &'a GraphRecord,
    /// Positions of the genes that the graph was made with.
    pub(super) genes: &'a [usize],
    pub(super) groups: Option<&'a (String, Groups)>,
}

/// What is read from whole layers, while they are in memory.
#[derive(Default)]
pub(super) struct OfLayers {
    pub(super) direction: Option<Trust>,
    pub(super) early: Option<Trust>,
}

/// What was measured before the questions are asked.
pub(super) struct Measured {
    pub(super) layers: OfLayers,
    /// The samples beside each other, if there are several.
    pub(super) samples: Option<SamplesOfFit>,
}

/// Fills in `trust` and `overall` of what is otherwise complete.
pub(super) fn fill(content: &mut Content, job: &ReportJob, asked: &Subject, measured: Measured) -> Result<()> {
    let file = asked.file;
    let Measured { layers: of_layers, samples } = measured;
    let mut lines = vec![unspliced(file, asked.input)?, genes(content, asked), permutation(file)];
    lines.extend(of_layers.direction);
    lines.extend(grid_direction(file)?);
    lines.extend(grid_shape(file)?);
    lines.extend(grid_samples(file)?);
    lines.extend(samples.as_ref().and_then(samples_agree));
    lines.extend(of_layers.early);
    lines.push(root(asked.graph));
    lines.extend(times(asked.graph));
    lines.push(reconstructability(asked)?);
    lines.push(confidence(file));
    lines.extend(certainty(file));
    lines.push(boundaries(file)?);
    lines.push(models(job, asked.groups)?);
    content.overall = overall(&lines);
    content.trust = lines;
    Ok(())
}

fn line(question: &str, value: String, verdict: Verdict, explanation: &str) -> Trust {
    Trust { question: question.to_owned(), value, verdict, explanation: explanation.to_owned() }
}

fn unspliced(file: &FittedFile, input: &InputConfig) -> Result<Trust> {
    const QUESTION: &str = "Are there enough unspliced molecules?";
    let Some(share) = file.unspliced_share(input)? else {
        let explanation = "The file does not have both layers of counts, so their balance could not be looked at.";
        return Ok(line(QUESTION, "not measured".to_owned(), Verdict::Unknown, explanation));
    };
    let (verdict, explanation) = verdict::unspliced(share);
    Ok(line(QUESTION, format!("{:.1} % of the molecules", 100.0 * share), verdict, explanation))
}

fn genes(content: &Content, asked: &Subject) -> Trust {
    const QUESTION: &str = "Do enough genes carry the arrows?";
    let (used, all) = (asked.genes.len(), asked.file.var().index.len());
    let value = format!("{used} of {all} genes");
    if let Some(chosen) = chosen_otherwise(asked.file, asked.graph) {
        let explanation = format!(
            "The graph was told which genes to use; the model itself chose {chosen} as velocity genes, and the answer is about these."
        );
        return line(QUESTION, value, verdict::velocity_genes(chosen), &explanation);
    }
    let mut reasons: Vec<(&str, usize)> = Vec::new();
    for gene in content.genes.iter().filter(|gene| !gene.why_not.is_empty()) {
        match reasons.iter_mut().find(|(why, _)| *why == gene.why_not) {
            Some((_, n)) => *n += 1,
            None => reasons.push((&gene.why_not, 1)),
        }
    }
    reasons.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    // Without unspliced moments there are no genes to show, and nothing to say of why.
    let before = if content.genes.is_empty() { 0 } else { all - content.genes.len() };
    let filtered = "filtered before the fit: too few counts, not variable enough, or without a steady-state line";
    let before = (before > 0).then_some((filtered, before));
    let list: Vec<String> = before.into_iter().chain(reasons).map(|(why, n)| format!("{n} {why}")).collect();
    let mut explanation = "Only velocity genes move the arrows.".to_owned();
    if !list.is_empty() {
        explanation = format!("{explanation} The others fell out: {}.", list.join("; "));
    }
    line(QUESTION, value, verdict::velocity_genes(used), &explanation)
}

/// How many genes the model chose as velocity genes, if the graph was told to use others.
pub(super) fn chosen_otherwise(file: &FittedFile, graph: &GraphRecord) -> Option<usize> {
    if graph.genes == GenesUsed::default() {
        return None;
    }
    let chosen = file.column(VELOCITY_GENES).and_then(Column::truths)?;
    Some(chosen.into_iter().filter(|&chosen| chosen).count())
}

fn permutation(file: &FittedFile) -> Trust {
    const QUESTION: &str = "Are there dynamics to be seen at all?";
    let Some((scores, null)) = file.numbers(PERMUTATION_SCORE).zip(file.numbers(PERMUTATION_NULL)) else {
        let models = with_score().join(", ");
        let explanation =
            format!("Not asked yet: nascent permute compares each gene with its shuffled self (models {models}).");
        return line(QUESTION, "no permutation score".to_owned(), Verdict::Unknown, &explanation);
    };
    let found = verdict::dynamics(&scores, &null);
    let value = format!(
        "{:.0} % of the genes; median score {:.1}, shuffled {:.1}",
        100.0 * found.share,
        found.median,
        found.null
    );
    let explanation =
        "Share of the genes that are explained better than after their values were shuffled within groups of cells.";
    line(QUESTION, value, found.verdict, explanation)
}

/// Do the genes that the graph was made with vote for `time`? `ms` is read already, `[n_obs, n_vars]`.
pub(super) fn direction(
    file: &FittedFile,
    genes: &[usize],
    ms: &ArcArray2<f32>,
    time: Option<&[f64]>,
) -> Result<Trust> {
    const QUESTION: &str = "Does splicing prefer time as it runs here, or reversed?";
    let unknown = |why: &str| Ok(line(QUESTION, "not measured".to_owned(), Verdict::Unknown, why));
    let Some(time) = time else { return unknown("There is no time of the cells.") };
    let Some(mu) = file.layer(MU)? else {
        return unknown("The file has no smoothed unspliced abundances (layer Mu).");
    };
    let [ms, mu] = [ms, &mu].map(|moments| moments.select(ndarray::Axis(1), genes));
    let found = scores::direction(ms.view(), mu.view(), time)?;
    let (verdict, explanation) = verdict::direction(&found);
    let value = format!(
        "{} genes for, {} against ({:.0} %; {:+.1} s.d. of fair coins)",
        found.forward,
        found.backward,
        100.0 * found.share(),
        found.z()
    );
    let value = if found.forward + found.backward == 0 { "no gene can tell".to_owned() } else { value };
    Ok(line(QUESTION, value, verdict, explanation))
}

/// What the soft grid found when it compared the likelihood of both directions.
fn grid_direction(file: &FittedFile) -> Result<Option<Trust>> {
    Ok(file.record(SOFT_GRID)?.and_then(|record| told_by_grid(&record)))
}

/// The same of a `record`: of the soft grid's own fit, or of one whose times started from it.
fn told_by_grid(record: &Value) -> Option<Trust> {
    let determined = record.get("direction_determined").and_then(Value::as_bool)?;
    let number = |key: &str| record.get(key).and_then(Value::as_f64);
    let of_grid = match (number("direction_nats"), number("direction_standard_errors")) {
        (Some(nats), Some(z)) => format!(
            "log-likelihood ratio {nats:.0} nats; {z:.1} standard errors over genes above that on counts without a direction"
        ),
        _ => "given by the user".to_owned(),
    };
    // Where the times of another model start from the grid, what was measured of its own fit.
    let fitted = number("direction_flow").zip(number("direction_flow_share")).map(|(flow, share)| {
        let order = number("direction_order").map_or_else(String::new, |order| {
            format!("; correlation of its times with those of the grid {order:.2}")
        });
        format!(
            "; velocities of this fit: mean cosine with where its time grows {flow:.2}, above 0 in {:.0} % of the cells{order}",
            100.0 * share
        )
    });
    let value = of_grid + &fitted.unwrap_or_default();
    let of_start = record.get("direction_determined_at_start").and_then(Value::as_bool);
    let (verdict, explanation) = match (determined, of_start) {
        (true, None) => (
            Verdict::Good,
            "The soft grid that runs this way, which is the fit itself, explains the counts clearly better than the best in another direction.",
        ),
        (true, Some(_)) => (
            Verdict::Good,
            "The soft grid that runs this way explains the counts clearly better than the best in another direction; the times of this fit start \
             from it, and its velocities run along them.",
        ),
        (false, Some(true)) => (
            Verdict::Bad,
            "NOT DETERMINED for these velocities: the times that they start from have a direction that explains the counts clearly better, but \
             after training the velocities do not run along them. Take the soft grid's own.",
        ),
        (false, _) => (Verdict::Caution, "NOT DETERMINED: fits in another direction explain the counts about as well."),
    };
    Some(line("Forward against reversed likelihood of the soft grid?", value, verdict, explanation))
}

/// Which shape of the trajectory the soft grid found, and how much less likely the next best is for cells that it was not fitted to.
fn grid_shape(file: &FittedFile) -> Result<Option<Trust>> {
    let Some(record) = file.record(SOFT_GRID)? else { return Ok(None) };
    let list = |key: &str| record.get(key).and_then(Value::as_array);
    let Some((names, held_out)) = list("shapes_tried").zip(list("held_out_by_shape")) else { return Ok(None) };
    let named = names.iter().filter_map(Value::as_str).zip(held_out.iter().filter_map(Value::as_f64));
    let mut shapes: Vec<(&str, f64)> = named.collect();
    shapes.sort_by(|a, b| b.1.total_cmp(&a.1));
    let [best, next, ..] = shapes[..] else { return Ok(None) };
    let ring = record.get("shape").and_then(Value::as_str) == Some("ring");
    let lineages = record.get("lineages").and_then(Value::as_u64).unwrap_or(1);
    let found = match (ring, lineages) {
        (true, _) => "ring".to_owned(),
        (false, 1) => "a line".to_owned(),
        (false, lineages) => format!("{lineages} lineages"),
    };
    let verdict = if best.0.starts_with(&found) { Verdict::Good } else { Verdict::Caution };
    let value = format!(
        "{found}; log-likelihood of left-out cells, nats per cell: {} {:.2}, next best {} {:.2}",
        best.0, best.1, next.0, next.1
    );
    let explanation = "The simplest shape that is within one standard error of the best is taken. Where the two differ by little, look at both: \
                       model.lineages and model.shape set the shape.";
    Ok(Some(line("Which shape does the trajectory have?", value, verdict, explanation)))
}

/// How the samples that the soft grid was told of differ in what is captured.
fn grid_samples(file: &FittedFile) -> Result<Option<Trust>> {
    let Some(record) = file.record(SOFT_GRID)? else { return Ok(None) };
    let list = |key: &str| record.get(key).and_then(Value::as_array);
    let Some((names, capture)) = list("samples").zip(list("sample_capture")) else { return Ok(None) };
    let named = names.iter().filter_map(Value::as_str).zip(capture.iter().filter_map(Value::as_f64));
    let value = named.map(|(name, capture)| format!("{name}: {capture:.2}")).collect::<Vec<_>>().join(", ");
    let explanation = "Relative capture of unspliced molecules, in parts of the mean over cells. The fit takes it into account, for all genes alike: not \
                       ambient molecules, nor genes that only some samples express or capture differently.";
    Ok(Some(line("How do the samples differ in what is captured?", value, Verdict::Good, explanation)))
}

/// Do samples that were fitted together say the same?
fn samples_agree(samples: &SamplesOfFit) -> Option<Trust> {
    let row = samples.worst()?;
    let times = row.between.time_correlation.zip(row.within.time_correlation);
    let times =
        times.map_or_else(String::new, |(between, within)| format!("; of times {between:.2}, within {within:.2}"));
    let beside = row.other.as_deref().unwrap_or("all others");
    let value = format!(
        "{} beside {beside}: cosine of the velocities of neighbours {:.2}, within {} {:.2}{times}",
        row.sample, row.between.cosine, row.sample, row.within.cosine
    );
    let (verdict, explanation) = verdict::samples(row.between.cosine, row.within.cosine, row.distance);
    let explanation = format!("{explanation} The table of the samples is below.");
    Some(line("Do the samples say the same?", value, verdict, &explanation))
}

/// Do most of the genes that the graph was made with fall at first? `velocity` is read already, `[n_obs, n_vars]`.
pub(super) fn early(velocity: &ArcArray2<f32>, genes: &[usize], time: &[f64]) -> Trust {
    let bound = percentile(&time.iter().copied().filter(|t| t.is_finite()).collect::<Vec<f64>>(), 100.0 * EARLY);
    let cells: Vec<usize> = (0..time.len()).filter(|&i| time[i] <= bound).collect();
    let falls = |gene: &&usize| cells.iter().map(|&i| f64::from(velocity[[i, **gene]])).sum::<f64>() < 0.0;
    let share = count(genes.iter().filter(falls).count()) / count(genes.len());
    let (verdict, explanation) = verdict::falling_at_first(share);
    let value = format!("{:.0} % of the genes fall in the earliest tenth", 100.0 * share);
    line("Do cells begin by losing most genes?", value, verdict, explanation)
}

fn root(graph: &GraphRecord) -> Trust {
    let (given, parts) = (graph.root.is_given(), graph.n_components);
    let mut explanation = if given {
        "Time starts where it was told to start, whatever the velocities say.".to_owned()
    } else {
        "Roots are where transitions run backward end. Isolated cells and cycles can look like roots; --root CELL, LABEL or COLUMN overrides this."
            .to_owned()
    };
    if parts > 1 {
        explanation =
            format!("{explanation} The velocity graph falls into {parts} parts, whose times cannot be compared.");
    }
    let verdict = if given && parts <= 1 { Verdict::Good } else { Verdict::Caution };
    let value = graph.root.in_words(graph.n_root_cells);
    line("Where does time start, and who says so?", value, verdict, &explanation)
}

fn times(graph: &GraphRecord) -> Option<Trust> {
    let found = graph.time_spearman?;
    let explanation = "Latent time comes from the kinetics of the genes; velocity pseudotime from the graph, where only root and end know a direction. Two ways, one order?";
    let value = format!("{found:.2} (Spearman)");
    Some(line("Do latent time and velocity pseudotime agree?", value, verdict::times(found), explanation))
}

fn reconstructability(asked: &Subject) -> Result<Trust> {
    const QUESTION: &str = "Do the genes that fit best drive the arrows?";
    let record = asked.file.record(VELOCITY_RECONSTRUCTABILITY)?;
    let numbers =
        |key: &str| -> Option<Vec<f64>> { record.as_ref()?.get(key)?.as_array()?.iter().map(Value::as_f64).collect() };
    let found = numbers("n_genes").zip(numbers("r")).zip(numbers("null_least")).zip(numbers("null_largest"));
    let middle = found.filter(|(((k, _), _), _)| !k.is_empty()).map(|(((k, r), low), high)| {
        // Of half the genes any set gives the graph of all.
        let most = 100.0_f64.min(count(asked.genes.len()) / 4.0);
        let at = k.iter().rposition(|&k| k <= most).unwrap_or(0);
        (k[at], r[at], low[at], high[at])
    });
    let Some((k, r, low, high)) = middle else {
        return Ok(line(QUESTION, "not measured".to_owned(), Verdict::Unknown, "There are too few genes."));
    };
    let (verdict, explanation) = verdict::reconstructability(r, [low, high]);
    let value = format!("r = {r:.2} with the first {k:.0} genes; random ones {low:.2} to {high:.2}");
    Ok(line(QUESTION, value, verdict, explanation))
}

fn confidence(file: &FittedFile) -> Trust {
    const QUESTION: &str = "Do neighbouring cells agree?";
    let Some(values) = file.numbers(VELOCITY_CONFIDENCE) else {
        return line(QUESTION, "not measured".to_owned(), Verdict::Unknown, "");
    };
    let middle = median(&values);
    let explanation = "Low confidence means noise. High confidence means little: neighbours share their data, and agree on wrong arrows too.";
    let value = format!("velocity_confidence {middle:.2}, median over cells");
    line(QUESTION, value, verdict::confidence(middle), explanation)
}

fn certainty(file: &FittedFile) -> Option<Trust> {
    let middle = median(&file.numbers(DIRECTIONAL_COSINE_SIM_MEAN)?);
    let explanation = "Similarity of samples of a cell's velocity with their mean: what the model itself is unsure of. What it is wrong about, it does not know.";
    let value = format!("{middle:.2}, median over cells");
    Some(line("Is the model sure of its directions?", value, verdict::certainty(middle), explanation))
}

fn boundaries(file: &FittedFile) -> Result<Trust> {
    const QUESTION: &str = "Do arrows point where they are known to point?";
    let Some(Value::Object(edges)) = file.record(VELOCITY_BOUNDARIES)? else {
        let explanation = "No direction was given to compare with: name some under scores.edges, as \"Ductal > Beta\".";
        return Ok(line(QUESTION, "not asked".to_owned(), Verdict::Unknown, explanation));
    };
    let number = |edge: &Value, key: &str| edge.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN);
    let (mut right, mut wrong, mut words) = (0, 0, Vec::new());
    for (name, edge) in &edges {
        let (score, null, std) = (number(edge, "score"), number(edge, "null_mean"), number(edge, "null_std"));
        let crossed = verdict::boundary(score, null, std);
        right += usize::from(crossed == Some(true));
        wrong += usize::from(crossed == Some(false));
        words.push(format!("{name} {score:+.2} (shuffled {null:+.2})"));
    }
    let explanation = format!(
        "{}: mean cosine on the embedding between arrows at a boundary and the way across it, and that of arrows handed to other cells.",
        words.join("; ")
    );
    let value = format!("{right} of {} boundaries, {wrong} reversed", edges.len());
    Ok(line(QUESTION, value, verdict::boundaries(right, wrong, edges.len()), &explanation))
}

fn models(job: &ReportJob, groups: Option<&(String, Groups)>) -> Result<Trust> {
    const QUESTION: &str = "Do other models say the same?";
    if job.others.is_empty() {
        let explanation = "Only one fit was looked at: nascent report FILE --with OTHER.h5ad compares with others.";
        return Ok(line(QUESTION, "not asked".to_owned(), Verdict::Unknown, explanation));
    }
    let files: Vec<_> = std::iter::once(&job.input).chain(&job.others).cloned().collect();
    let found = fits(&files, groups.map(|(column, _)| column.as_str()))?;
    let with: Vec<_> = found.pairs.iter().filter(|pair| pair.fits[0] == 0).collect();
    let least = with.iter().map(|pair| pair.cell_cosine[1]).fold(f64::INFINITY, f64::min);
    let name = |path: &Path| path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let words = with.iter().map(|pair| {
        let other = &found.fits[pair.fits[1]];
        format!("{:.2} with {} ({})", pair.cell_cosine[1], other.model, name(&other.file))
    });
    let mut apart: Vec<&(String, f64)> =
        with.iter().flat_map(|pair| &pair.groups).filter(|group| group.1 < verdict::APART).collect();
    apart.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut explanation = format!(
        "Median over cells of the cosine of the velocities, in the {} velocity genes that all have.",
        found.n_genes
    );
    if !apart.is_empty() {
        let names: Vec<String> = apart.iter().take(5).map(|(name, cosine)| format!("{name} {cosine:.2}")).collect();
        explanation = format!("{explanation} They disagree most in: {}.", names.join(", "));
    }
    Ok(line(QUESTION, words.collect::<Vec<String>>().join("; "), verdict::agreement(least), &explanation))
}

/// What the lines amount to.
fn overall(lines: &[Trust]) -> Overall {
    let of = |verdict: Verdict| -> Vec<&str> {
        lines.iter().filter(|line| line.verdict == verdict).map(|line| line.question.as_str()).collect()
    };
    let verdict = verdict::overall(&lines.iter().map(|line| line.verdict).collect::<Vec<_>>());
    let mut text = match verdict {
        Verdict::Bad => {
            format!("Do not believe these arrows as they stand. Against them: {}", of(Verdict::Bad).join(" "))
        }
        Verdict::Caution => format!("Believe these arrows with care. Open: {}", of(Verdict::Caution).join(" ")),
        Verdict::Good | Verdict::Unknown => "Nothing that was measured speaks against these arrows.".to_owned(),
    };
    let unknown = of(Verdict::Unknown).len();
    if unknown > 0 {
        text = format!("{text} Not asked: {unknown} of {} questions.", lines.len());
    }
    Overall { verdict, text }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Verdict, told_by_grid};

    #[test]
    fn a_direction_of_the_start_that_the_velocities_do_not_keep_is_called_bad_and_not_determined() {
        let told = |determined: bool, at_start: Option<bool>, flow: f64| {
            let mut record =
                json!({"direction_determined": determined, "direction_nats": 9705.0, "direction_standard_errors": 5.8});
            if let Some(at_start) = at_start {
                record["direction_determined_at_start"] = at_start.into();
                (record["direction_flow"], record["direction_flow_share"]) = (flow.into(), 0.52.into());
            }
            told_by_grid(&record).expect("there is a verdict")
        };
        let contradicted = told(false, Some(true), -0.08);
        assert_eq!(contradicted.verdict, Verdict::Bad);
        assert!(contradicted.explanation.starts_with("NOT DETERMINED for these velocities"), "{contradicted:?}");
        assert!(contradicted.value.contains("grows -0.08, above 0 in 52 % of the cells"), "{contradicted:?}");
        assert_eq!(told(true, Some(true), 0.7).verdict, Verdict::Good);
        assert_eq!(told(false, Some(false), 0.7).verdict, Verdict::Caution);
        let own = told(true, None, f64::NAN);
        assert!(own.verdict == Verdict::Good && own.explanation.contains("which is the fit itself"), "{own:?}");
    }
}
