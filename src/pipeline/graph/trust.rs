//! Scores of the velocities, for the file and for people.

use ndarray::ArrayView2;
use rand::seq::index::sample;
use serde_json::{Value, json};

use crate::data::quantities::{FIT_DYNAMICS, FIT_LIKELIHOOD, FIT_R2, VELOCITY_R2};
use crate::data::{Groups, Velocities, stream};
use crate::error::{Error, Result};
use crate::graph::{Candidates, Similarity};
use crate::scores::{self, Boundary, FullGraph, ScoresConfig, Sweep};
use crate::sparse::Csr;

/// Columns of var that say how well a gene fits, the first that is there.
const GOODNESS: [&str; 4] = [FIT_LIKELIHOOD.key(), FIT_DYNAMICS.key(), VELOCITY_R2.key(), FIT_R2.key()];

/// What is asked of sets of genes.
pub(super) struct Sets {
    /// Growing numbers of genes, the most telling first.
    pub(super) first: Sweep,
    /// The column that says which those are.
    pub(super) ordered_by: String,
    /// The genes that the user named, if any: a sweep of one size.
    pub(super) named: Option<Sweep>,
}

/// Sets of genes that are asked about, as positions among the genes used.
pub(super) struct GeneSets {
    order: Vec<usize>,
    ordered_by: String,
    named: Option<Vec<usize>>,
}

impl GeneSets {
    /// What the settings ask about.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is no such gene or column.
    pub(super) fn new(settings: &ScoresConfig, data: &Velocities) -> Result<Self> {
        let (scores, ordered_by) = ordering(settings, data)?;
        let score = |gene: usize| if scores[gene].is_nan() { f64::NEG_INFINITY } else { scores[gene] };
        let mut order: Vec<usize> = (0..data.genes.len()).collect();
        order.sort_by(|&a, &b| score(b).total_cmp(&score(a)));
        Ok(Self { order, ordered_by, named: named(settings, data)? })
    }
}

/// Reconstructability of sets of genes.
pub(super) fn sets(
    settings: &ScoresConfig,
    asked: &GeneSets,
    data: &Velocities,
    (graph, candidates, similarity): (&Csr<f32>, &Candidates, Similarity),
    seed: u64,
) -> Result<Sets> {
    let n_obs = data.n_obs();
    let mut cells: Vec<usize> = if settings.cells < n_obs {
        sample(&mut stream(seed, "cells of reconstructability", 0), n_obs, settings.cells).into_vec()
    } else {
        (0..n_obs).collect()
    };
    cells.sort_unstable();
    let whole = FullGraph {
        graph,
        candidates,
        similarity,
        states: data.ms.view(),
        velocities: data.velocity.view(),
        cells: &cells,
    };
    let sweep = |genes: &[usize], sizes: &[usize]| whole.sweep(genes, sizes, settings.draws, seed);
    let first = sweep(&asked.order, &settings.sizes)?;
    let named = asked.named.as_ref().map(|genes| sweep(genes, &[genes.len()])).transpose()?;
    Ok(Sets { first, ordered_by: asked.ordered_by.clone(), named })
}

/// Positions of the genes that the user named, among those used.
fn named(settings: &ScoresConfig, data: &Velocities) -> Result<Option<Vec<usize>>> {
    let position = |name: &String| {
        let found = data.genes.iter().position(|&gene| data.var.index[gene] == *name);
        found.ok_or_else(|| Error::Setting {
            key: "scores.genes".to_owned(),
            value: format!("{name:?}"),
            wanted: "must be names of genes whose velocity is used".to_owned(),
        })
    };
    let genes = settings.genes.iter().map(position).collect::<Result<Vec<usize>>>()?;
    Ok((!genes.is_empty()).then_some(genes))
}

/// What says which genes come first, `[n_genes]`, and its column. Without any such column, the genes as they stand in the file.
fn ordering(settings: &ScoresConfig, data: &Velocities) -> Result<(Vec<f64>, String)> {
    if !settings.order.is_empty() {
        let scores = data.gene_numbers(&settings.order).ok_or_else(|| Error::Setting {
            key: "scores.order".to_owned(),
            value: format!("{:?}", settings.order),
            wanted: "must be a column of numbers in var".to_owned(),
        })?;
        return Ok((scores, settings.order.clone()));
    }
    let usual = GOODNESS.into_iter().find_map(|column| Some((data.gene_numbers(column)?, column.to_owned())));
    Ok(usual.unwrap_or_else(|| (vec![0.0; data.genes.len()], "place in the file".to_owned())))
}

/// [`Sets`] as a record.
pub(super) fn sets_record(sets: &Sets) -> Value {
    let mut record = sweep_record(&sets.first);
    record["order"] = sets.ordered_by.clone().into();
    if let Some(named) = &sets.named {
        record["named_genes"] = sweep_record(named);
    }
    record
}

fn sweep_record(found: &Sweep) -> Value {
    let of = |part: fn(&scores::Reconstructability) -> f64| found.r.iter().map(part).collect::<Vec<f64>>();
    json!({
        "n_genes": found.k,
        "r": of(|r| r.r),
        "r_lower": of(|r| r.lower),
        "r_upper": of(|r| r.upper),
        "n_cells": of(|r| r.n_cells as f64),
        "null_r": found.null_r,
        "null_least": found.null_range.iter().map(|range| range[0]).collect::<Vec<f64>>(),
        "null_largest": found.null_range.iter().map(|range| range[1]).collect::<Vec<f64>>(),
    })
}

/// The known directions between groups, by their numbers.
///
/// # Errors
/// [`Error::Setting`] if there are no groups or none of that name.
pub(super) fn edges(settings: &ScoresConfig, groups: Option<&(String, Groups)>) -> Result<Vec<(u32, u32)>> {
    let number = |edge: &str, name: &str| {
        let known = groups.map_or(&[][..], |(_, groups)| &groups.names);
        let found = known.iter().position(|known| known == name).map(|at| at as u32);
        found.ok_or_else(|| Error::Setting {
            key: "scores.edges".to_owned(),
            value: format!("{edge:?}"),
            wanted: match groups {
                Some((column, _)) => format!("no group of {column} is called {name:?}; groups: {}", known.join(", ")),
                None => "needs groups of cells: name their column with --groups".to_owned(),
            },
        })
    };
    let edge = |edge: &String| {
        let (from, to) = edge.split_once('>').unwrap_or_default();
        Ok((number(edge, from.trim())?, number(edge, to.trim())?))
    };
    settings.edges.iter().map(edge).collect()
}

/// Boundaries as a record, each under its words; none if there are none.
pub(super) fn boundaries_record(found: &[Boundary], groups: &Groups) -> Option<Value> {
    let name = |group: u32| groups.names[group as usize].as_str();
    let members: serde_json::Map<String, Value> = found
        .iter()
        .map(|edge| {
            let values = json!({
                "score": edge.score, "n_cells": edge.n_cells, "null_mean": edge.null.mean, "null_std": edge.null.std,
            });
            // HDF5 has no slash in names.
            (format!("{} > {}", name(edge.from), name(edge.to)).replace('/', "|"), values)
        })
        .collect();
    (!members.is_empty()).then_some(Value::Object(members))
}

/// Genes by group as a record, and each gene's largest score, `[n_genes]`.
pub(super) fn ranking(
    velocities: ArrayView2<'_, f32>,
    names: &[&str],
    (column, groups): (&str, &Groups),
    top: usize,
) -> (Value, Vec<f64>) {
    let found = scores::rank(velocities, &groups.of, groups.names.len());
    let (mut genes, mut values) = (serde_json::Map::new(), serde_json::Map::new());
    for (name, scores) in element_names(&groups.names).into_iter().zip(found.rows()) {
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        order.truncate(top);
        genes.insert(name.clone(), order.iter().map(|&gene| names[gene]).collect::<Vec<_>>().into());
        values.insert(name, order.iter().map(|&gene| scores[gene]).collect::<Vec<f64>>().into());
    }
    let record = json!({
        "names": genes,
        "scores": values,
        "params": {"groupby": column, "reference": "rest", "method": "t-test_overestim_var"},
    });
    let largest = found.columns().into_iter().map(|of_gene| of_gene.iter().copied().fold(f64::NEG_INFINITY, f64::max));
    (record, largest.collect())
}

/// Names of groups as names of elements of a file, which cannot be ".", hold no slash, and differ.
fn element_names(labels: &[String]) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(labels.len());
    for label in labels {
        let plain =
            if label.chars().all(|letter| letter == '.') { "_".repeat(label.len()) } else { label.replace('/', "|") };
        let numbered = (2..).map(|number| format!("{plain} ({number})"));
        let others = |name: &String| names.contains(name) || (*name != *label && labels.contains(name));
        let free = std::iter::once(plain.clone()).chain(numbered).find(|name| !others(name));
        names.push(free.unwrap_or(plain));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::element_names;

    #[test]
    fn groups_get_names_that_a_file_can_hold_and_that_differ() {
        let names = |labels: &[&str]| element_names(&labels.iter().map(|&label| label.to_owned()).collect::<Vec<_>>());
        assert_eq!(names(&["B cell", "T/NK"]), ["B cell", "T|NK"]);
        assert_eq!(names(&["T/NK", "T|NK"]), ["T|NK (2)", "T|NK"]);
        assert_eq!(names(&[".", "..", "_"]), ["_ (2)", "__", "_"]);
    }
}
