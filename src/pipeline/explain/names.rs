//! Genes that are asked for.

use strsim::levenshtein;

use super::ExplainJob;
use crate::data::{Frame, GeneNames, Reporter};
use crate::error::{Error, Result};

/// Names that are told as near, at most.
const NEAREST: usize = 3;

/// Positions of the genes of `job` in `var`, in the order in which they are asked for. A name that is not there is said, with near ones.
pub(super) fn asked(job: &ExplainJob, var: &Frame, cut: bool, reporter: &mut dyn Reporter) -> Result<Vec<usize>> {
    if job.genes.is_empty() {
        return Ok(Vec::new());
    }
    let names = GeneNames::of(var);
    let (mut asked, mut missing): (Vec<usize>, Vec<String>) = (Vec::new(), Vec::new());
    for name in &job.genes {
        let found = names.find(name);
        if found.is_empty() {
            missing.push(match near(name, &names).as_slice() {
                [] => format!("{name:?} is not in the file, nor any name like it"),
                near => format!("{name:?} is not in the file; near are {}", near.join(", ")),
            });
        }
        for gene in found {
            if !asked.contains(gene) {
                asked.push(*gene);
            }
        }
    }
    if asked.is_empty() {
        let looks = var.index.iter().take(3).map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
        let hint = if cut {
            "the file was cut to the fitted genes: ask the file that it was made from".to_owned()
        } else {
            format!("the file's names look like {looks}")
        };
        return Err(Error::input(&job.input, "var", missing.join("; "), hint));
    }
    for said in &missing {
        reporter.warn(said);
    }
    Ok(asked)
}

/// Names that differ in case, or in a letter or two of several; the nearest first.
fn near(name: &str, names: &GeneNames) -> Vec<String> {
    let wanted = name.to_lowercase();
    let most = 1 + wanted.chars().count() / 5;
    // Ids differ in a digit from hundreds of others: of them, nothing is near.
    let is_id = wanted.starts_with("ens") && wanted.len() > 10;
    let mut found: Vec<(usize, &str)> = names
        .all()
        .filter_map(|other| {
            let lower = other.to_lowercase();
            let far = if lower == wanted {
                0
            } else if is_id {
                usize::MAX
            } else {
                levenshtein(&lower, &wanted)
            };
            (far <= most).then_some((far, other))
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    // One that differs in case alone leaves no doubt.
    let doubtless = found.first().is_some_and(|(far, _)| *far == 0);
    let kept = found.into_iter().filter(|(far, _)| !doubtless || *far == 0);
    kept.take(NEAREST).map(|(_, name)| name.to_owned()).collect()
}
