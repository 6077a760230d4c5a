//! Questions to ask before believing an arrow, and what the file answers.
//!
//! Bounds were set by hand: they sort answers for the eye, they are no tests. Each says what was measured.

use serde_json::Value;

use super::ReportJob;
use crate::data::{Column, Groups, Velocities};
use crate::error::Result;
use crate::io::{self, InputConfig, keys};
use crate::pipeline::compare;
use crate::report::{Content, Overall, Trust, Verdict};
use crate::scores;
use crate::stats::{count, median, percentile};

/// Share of the cells that counts as early.
const EARLY: f64 = 0.1;

/// Fills in `trust` and `overall` of what is otherwise complete.
pub(super) fn fill(
    content: &mut Content,
    job: &ReportJob,
    data: &Velocities,
    params: &Value,
    groups: Option<&(String, Groups)>,
) -> Result<()> {
    let time = content.time.as_deref();
    let mut lines = vec![unspliced(data)?, genes(content, data)];
    lines.push(permutation(data));
    lines.push(direction(data, time)?);
    lines.extend(grid_direction(data)?);
    lines.extend(time.map(|time| early(data, time)));
    lines.push(root(params));
    lines.extend(times(params));
    lines.push(reconstructability(data)?);
    lines.push(confidence(data));
    lines.extend(certainty(data));
    lines.push(boundaries(data)?);
    lines.push(models(job, groups)?);
    content.overall = overall(&lines);
    content.trust = lines;
    Ok(())
}

fn line(question: &str, value: String, verdict: Verdict, explanation: &str) -> Trust {
    Trust { question: question.to_owned(), value, verdict, explanation: explanation.to_owned() }
}

fn unspliced(data: &Velocities) -> Result<Trust> {
    const QUESTION: &str = "Are there enough unspliced molecules?";
    let Some(share) = io::describe(&data.path, &InputConfig::default())?.unspliced_share else {
        let explanation = "The file has no layers spliced and unspliced, so their balance could not be looked at.";
        return Ok(line(QUESTION, "not measured".to_owned(), Verdict::Unknown, explanation));
    };
    let (verdict, explanation) = match share {
        ..0.05 => (
            Verdict::Bad,
            "Below 5 % velocities rest on a handful of molecules per cell. Was the reference built with introns?",
        ),
        0.05..0.1 => {
            (Verdict::Caution, "Usual are 10 to 40 %. With few, only strongly expressed genes carry information.")
        }
        0.1..0.5 => (Verdict::Good, "A usual share."),
        _ => (
            Verdict::Caution,
            "More than half, as in nuclei: there the spliced molecules have mostly left, and the model of splicing does not hold as it stands.",
        ),
    };
    Ok(line(QUESTION, format!("{:.1} % of the molecules", 100.0 * share), verdict, explanation))
}

fn genes(content: &Content, data: &Velocities) -> Trust {
    let (used, all) = (data.genes.len(), data.var.index.len());
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
    let verdict = match used {
        ..20 => Verdict::Bad,
        20..50 => Verdict::Caution,
        _ => Verdict::Good,
    };
    let question = "Do enough genes carry the arrows?";
    Trust { question: question.to_owned(), value: format!("{used} of {all} genes"), verdict, explanation }
}

fn permutation(data: &Velocities) -> Trust {
    const QUESTION: &str = "Are there dynamics to be seen at all?";
    let column = |key: &str| data.var.get(key).and_then(Column::to_numbers);
    let scores = column(keys::PERMUTATION_SCORE).zip(column(keys::PERMUTATION_NULL));
    let Some((scores, null)) = scores else {
        let explanation =
            "Not asked yet: nascent permute compares each gene with its shuffled self (veloVI and VeloVAE).";
        return line(QUESTION, "no permutation score".to_owned(), Verdict::Unknown, explanation);
    };
    let known = |values: Vec<f64>| values.into_iter().filter(|value| value.is_finite()).collect::<Vec<f64>>();
    let (scores, null) = (known(scores), known(null));
    let bound = percentile(&null, 95.0).max(3.0);
    let share = count(scores.iter().filter(|&&score| score > bound).count()) / count(scores.len());
    let verdict = match share {
        0.5.. => Verdict::Good,
        0.2..0.5 => Verdict::Caution,
        _ => Verdict::Bad,
    };
    let value = format!(
        "{:.0} % of the genes; median score {:.1}, shuffled {:.1}",
        100.0 * share,
        median(&scores),
        median(&null)
    );
    let explanation =
        "Share of the genes that are explained better than after their values were shuffled within groups of cells.";
    line(QUESTION, value, verdict, explanation)
}

fn direction(data: &Velocities, time: Option<&[f64]>) -> Result<Trust> {
    const QUESTION: &str = "Does splicing prefer time as it runs here, or reversed?";
    let unknown = |why: &str| Ok(line(QUESTION, "not measured".to_owned(), Verdict::Unknown, why));
    let Some(time) = time else { return unknown("There is no time of the cells.") };
    if !io::has_layer(&data.path, keys::MU)? {
        return unknown("The file has no smoothed unspliced abundances (layer Mu).");
    }
    let mu = io::read_layer(&data.path, keys::MU)?.select(ndarray::Axis(1), &data.genes);
    let found = scores::direction(data.ms.view(), mu.view(), time)?;
    let (z, share) = (found.z(), found.share());
    let (verdict, explanation) = if z >= 5.0 && share >= 0.65 {
        (Verdict::Good, "Spliced molecules follow unspliced ones in this order of cells, in most genes.")
    } else if z <= -3.0 {
        (
            Verdict::Bad,
            "More genes are better explained with time reversed: look at the root, and at phase portraits, before believing any arrow.",
        )
    } else {
        (
            Verdict::Caution,
            "Genes do not agree clearly on a direction. Known biology must decide; --root sets where time starts.",
        )
    };
    let value = format!(
        "{} genes for, {} against ({:.0} %; {z:+.1} s.d. of fair coins)",
        found.forward,
        found.backward,
        100.0 * share
    );
    let value = if found.forward + found.backward == 0 { "no gene can tell".to_owned() } else { value };
    Ok(line(QUESTION, value, verdict, explanation))
}

/// What the soft grid found when it compared the likelihood of both directions.
fn grid_direction(data: &Velocities) -> Result<Option<Trust>> {
    let Some(record) = io::read_uns(&data.path, "soft_grid")? else { return Ok(None) };
    let Some(determined) = record.get("direction_determined").and_then(Value::as_bool) else { return Ok(None) };
    let number = |key: &str| record.get(key).and_then(Value::as_f64);
    let value = match (number("direction_nats"), number("direction_standard_errors")) {
        (Some(nats), Some(z)) => format!("{nats:.0} nats for it, {z:.1} standard errors over genes"),
        _ => "given by the user".to_owned(),
    };
    let (verdict, explanation) = if determined {
        (
            Verdict::Good,
            "The fit in this direction of time explains the counts clearly better than the best fit in another.",
        )
    } else {
        (Verdict::Caution, "NOT DETERMINED: fits in another direction explain the counts about as well.")
    };
    Ok(Some(line("Forward against reversed likelihood of the soft grid?", value, verdict, explanation)))
}

fn early(data: &Velocities, time: &[f64]) -> Trust {
    let bound = percentile(&time.iter().copied().filter(|t| t.is_finite()).collect::<Vec<f64>>(), 100.0 * EARLY);
    let cells: Vec<usize> = (0..time.len()).filter(|&i| time[i] <= bound).collect();
    let falls = |gene: &usize| cells.iter().map(|&i| f64::from(data.velocity[[i, *gene]])).sum::<f64>() < 0.0;
    let share = count((0..data.genes.len()).filter(falls).count()) / count(data.genes.len());
    let (verdict, explanation) = if share > 0.6 {
        (
            Verdict::Caution,
            "Most genes begin by falling. That is so where a programme is left behind, and also where time is read from the wrong end.",
        )
    } else {
        (Verdict::Good, "Genes are switched on as well as off where time begins.")
    };
    line(
        "Do cells begin by losing most genes?",
        format!("{:.0} % of the genes fall in the earliest tenth", 100.0 * share),
        verdict,
        explanation,
    )
}

fn root(params: &Value) -> Trust {
    let root = params.get("root").and_then(Value::as_str).unwrap_or("unknown");
    let parts = params.get("n_components").and_then(Value::as_f64).unwrap_or(1.0);
    let given = root.ends_with("as given");
    let mut explanation = if given {
        "Time starts where it was told to start, whatever the velocities say.".to_owned()
    } else {
        "Roots are where transitions run backward end. Isolated cells and cycles can look like roots; --root CELL, LABEL or COLUMN overrides this."
            .to_owned()
    };
    if parts > 1.0 {
        explanation =
            format!("{explanation} The velocity graph falls into {parts:.0} parts, whose times cannot be compared.");
    }
    let verdict = if given && parts <= 1.0 { Verdict::Good } else { Verdict::Caution };
    line("Where does time start, and who says so?", root.to_owned(), verdict, &explanation)
}

fn times(params: &Value) -> Option<Trust> {
    let found = params.get("time_spearman").and_then(Value::as_f64)?;
    let verdict = match found {
        0.7.. => Verdict::Good,
        0.3..0.7 => Verdict::Caution,
        _ => Verdict::Bad,
    };
    let explanation = "Latent time comes from the kinetics of the genes; velocity pseudotime from the graph, where only root and end know a direction. Two ways, one order?";
    Some(line("Do latent time and velocity pseudotime agree?", format!("{found:.2} (Spearman)"), verdict, explanation))
}

fn reconstructability(data: &Velocities) -> Result<Trust> {
    const QUESTION: &str = "Do the genes that fit best drive the arrows?";
    let record = io::read_uns(&data.path, keys::VELOCITY_RECONSTRUCTABILITY)?;
    let numbers =
        |key: &str| -> Option<Vec<f64>> { record.as_ref()?.get(key)?.as_array()?.iter().map(Value::as_f64).collect() };
    let found = numbers("n_genes").zip(numbers("r")).zip(numbers("null_least")).zip(numbers("null_largest"));
    let middle = found.filter(|(((k, _), _), _)| !k.is_empty()).map(|(((k, r), low), high)| {
        // Of half the genes any set gives the graph of all.
        let most = 100.0_f64.min(count(data.genes.len()) / 4.0);
        let at = k.iter().rposition(|&k| k <= most).unwrap_or(0);
        (k[at], r[at], low[at], high[at])
    });
    let Some((k, r, low, high)) = middle else {
        return Ok(line(QUESTION, "not measured".to_owned(), Verdict::Unknown, "There are too few genes."));
    };
    let (verdict, explanation) = if r > high {
        (Verdict::Good, "They give the graph of all genes better than random genes do.")
    } else if r >= low {
        (Verdict::Caution, "No better than as many random genes: the flow is shared by all genes, or by chance.")
    } else {
        (
            Verdict::Caution,
            "Worse than as many random genes: what the arrows show comes from genes that the model explains less well.",
        )
    };
    let value = format!("r = {r:.2} with the first {k:.0} genes; random ones {low:.2} to {high:.2}");
    Ok(line(QUESTION, value, verdict, explanation))
}

fn confidence(data: &Velocities) -> Trust {
    const QUESTION: &str = "Do neighbouring cells agree?";
    let Some(values) = data.obs.get(keys::VELOCITY_CONFIDENCE).and_then(Column::to_numbers) else {
        return line(QUESTION, "not measured".to_owned(), Verdict::Unknown, "");
    };
    let middle = median(&values);
    let verdict = match middle {
        0.75.. => Verdict::Good,
        0.5..0.75 => Verdict::Caution,
        _ => Verdict::Bad,
    };
    let explanation = "Low confidence means noise. High confidence means little: neighbours share their data, and agree on wrong arrows too.";
    line(QUESTION, format!("velocity_confidence {middle:.2}, median over cells"), verdict, explanation)
}

fn certainty(data: &Velocities) -> Option<Trust> {
    let values = data.obs.get(keys::DIRECTIONAL_COSINE_SIM_MEAN).and_then(Column::to_numbers)?;
    let middle = median(&values);
    let verdict = match middle {
        0.7.. => Verdict::Good,
        0.4..0.7 => Verdict::Caution,
        _ => Verdict::Bad,
    };
    let explanation = "Similarity of samples of a cell's velocity with their mean: what the model itself is unsure of. What it is wrong about, it does not know.";
    Some(line("Is the model sure of its directions?", format!("{middle:.2}, median over cells"), verdict, explanation))
}

fn boundaries(data: &Velocities) -> Result<Trust> {
    const QUESTION: &str = "Do arrows point where they are known to point?";
    let record = io::read_uns(&data.path, keys::VELOCITY_BOUNDARIES)?;
    let Some(Value::Object(edges)) = record else {
        let explanation = "No direction was given to compare with: name some under scores.edges, as \"Ductal > Beta\".";
        return Ok(line(QUESTION, "not asked".to_owned(), Verdict::Unknown, explanation));
    };
    let number = |edge: &Value, key: &str| edge.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN);
    let (mut right, mut wrong, mut words) = (0, 0, Vec::new());
    for (name, edge) in &edges {
        let (score, null, std) = (number(edge, "score"), number(edge, "null_mean"), number(edge, "null_std"));
        right += usize::from(score > (null + 2.0 * std).max(0.0));
        wrong += usize::from(score < (null - 2.0 * std).min(0.0));
        words.push(format!("{name} {score:+.2} (shuffled {null:+.2})"));
    }
    let verdict = match edges.len() {
        n if right == n => Verdict::Good,
        n if 2 * wrong < n => Verdict::Caution,
        _ => Verdict::Bad,
    };
    let explanation = format!(
        "{}: mean cosine on the embedding between arrows at a boundary and the way across it, and that of arrows handed to other cells.",
        words.join("; ")
    );
    Ok(line(QUESTION, format!("{right} of {} boundaries, {wrong} reversed", edges.len()), verdict, &explanation))
}

fn models(job: &ReportJob, groups: Option<&(String, Groups)>) -> Result<Trust> {
    const QUESTION: &str = "Do other models say the same?";
    if job.others.is_empty() {
        let explanation = "Only one fit was looked at: nascent report FILE --with OTHER.h5ad compares with others.";
        return Ok(line(QUESTION, "not asked".to_owned(), Verdict::Unknown, explanation));
    }
    let files: Vec<_> = std::iter::once(&job.input).chain(&job.others).cloned().collect();
    let found = compare(&files, groups.map(|(column, _)| column.as_str()))?;
    let with: Vec<_> = found.pairs.iter().filter(|pair| pair.fits[0] == 0).collect();
    let least = with.iter().map(|pair| pair.cell_cosine[1]).fold(f64::INFINITY, f64::min);
    let verdict = match least {
        0.7.. => Verdict::Good,
        0.4..0.7 => Verdict::Caution,
        _ => Verdict::Bad,
    };
    let words = with.iter().map(|pair| {
        let other = &found.fits[pair.fits[1]];
        let name = other.file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        format!("{:.2} with {} ({name})", pair.cell_cosine[1], other.model)
    });
    let mut apart: Vec<&(String, f64)> =
        with.iter().flat_map(|pair| &pair.groups).filter(|group| group.1 < 0.3).collect();
    apart.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut explanation = format!(
        "Median over cells of the cosine of the velocities, in the {} velocity genes that all have.",
        found.n_genes
    );
    if !apart.is_empty() {
        let names: Vec<String> = apart.iter().take(5).map(|(name, cosine)| format!("{name} {cosine:.2}")).collect();
        explanation = format!("{explanation} They disagree most in: {}.", names.join(", "));
    }
    Ok(line(QUESTION, words.collect::<Vec<String>>().join("; "), verdict, &explanation))
}

/// What the lines amount to.
fn overall(lines: &[Trust]) -> Overall {
    let of = |verdict: Verdict| -> Vec<&str> {
        lines.iter().filter(|line| line.verdict == verdict).map(|line| line.question.as_str()).collect()
    };
    let (bad, caution, unknown) = (of(Verdict::Bad), of(Verdict::Caution), of(Verdict::Unknown));
    let (verdict, mut text) = if !bad.is_empty() {
        (Verdict::Bad, format!("Do not believe these arrows as they stand. Against them: {}", bad.join(" ")))
    } else if caution.len() >= 2 {
        (Verdict::Caution, format!("Believe these arrows with care. Open: {}", caution.join(" ")))
    } else {
        (Verdict::Good, "Nothing that was measured speaks against these arrows.".to_owned())
    };
    if !unknown.is_empty() {
        text = format!("{text} Not asked: {} of {} questions.", unknown.len(), lines.len());
    }
    Overall { verdict, text }
}
