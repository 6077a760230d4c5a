//! Scores of the velocities, for the file and for people.

use ndarray::ArrayView2;
use rand::seq::index::sample;
use serde_json::{Value, json};

use crate::data::{Column, Groups, Velocities, stream};
use crate::error::{Error, Result};
use crate::graph::{Candidates, Similarity};
use crate::io::{Uns, keys};
use crate::scores::{self, Boundary, ScoresConfig, Sweep, Whole};
use crate::sparse::Csr;

/// Columns of var that say how well a gene fits, the first that is there.
const GOODNESS: [&str; 4] = [keys::FIT_LIKELIHOOD, keys::FIT_DYNAMICS, keys::VELOCITY_R2, keys::FIT_R2];

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
pub(super) struct Asked {
    order: Vec<usize>,
    ordered_by: String,
    named: Option<Vec<usize>>,
}

impl Asked {
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
    asked: &Asked,
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
    let whole = Whole {
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
            wanted: "must be genes whose velocity is used".to_owned(),
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

/// [`Sets`] for uns.
pub(super) fn sets_for_uns(sets: &Sets) -> (String, Uns) {
    let mut members = sweep_for_uns(&sets.first);
    members.push(("order".to_owned(), Uns::Text(sets.ordered_by.clone())));
    members.extend(sets.named.as_ref().map(|named| ("named_genes".to_owned(), Uns::Dict(sweep_for_uns(named)))));
    (keys::VELOCITY_RECONSTRUCTABILITY.to_owned(), Uns::Dict(members))
}

fn sweep_for_uns(found: &Sweep) -> Vec<(String, Uns)> {
    let of = |part: fn(&scores::Reconstructability) -> f64| Uns::Floats(found.r.iter().map(part).collect());
    vec![
        ("n_genes".to_owned(), Uns::Floats(found.k.iter().map(|&k| k as f64).collect())),
        ("r".to_owned(), of(|r| r.r)),
        ("r_lower".to_owned(), of(|r| r.lower)),
        ("r_upper".to_owned(), of(|r| r.upper)),
        ("n_cells".to_owned(), of(|r| r.n_cells as f64)),
        ("null_r".to_owned(), Uns::Floats(found.null_r.clone())),
        ("null_least".to_owned(), Uns::Floats(found.null_range.iter().map(|range| range[0]).collect())),
        ("null_largest".to_owned(), Uns::Floats(found.null_range.iter().map(|range| range[1]).collect())),
    ]
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

/// Boundaries for uns, each under its words.
pub(super) fn boundaries_for_uns(found: &[Boundary], groups: &Groups) -> Option<(String, Uns)> {
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
    let some = !members.is_empty();
    some.then(|| Some((keys::VELOCITY_BOUNDARIES.to_owned(), Uns::from_json(&Value::Object(members))?))).flatten()
}

/// Genes by group for uns, and each gene's largest score, `[n_genes]`.
pub(super) fn ranking(
    velocities: ArrayView2<'_, f32>,
    names: &[&str],
    (column, groups): (&str, &Groups),
    top: usize,
) -> ((String, Uns), Vec<f64>) {
    let found = scores::rank(velocities, &groups.of, groups.names.len());
    let (mut genes, mut values) = (Vec::new(), Vec::new());
    for (name, scores) in groups.names.iter().zip(found.rows()) {
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        order.truncate(top);
        let name = name.replace('/', "|");
        genes.push((name.clone(), Uns::Texts(order.iter().map(|&gene| names[gene].to_owned()).collect())));
        values.push((name, Uns::Floats(order.iter().map(|&gene| scores[gene]).collect())));
    }
    let params = vec![
        ("groupby".to_owned(), Uns::Text(column.to_owned())),
        ("reference".to_owned(), Uns::Text("rest".to_owned())),
        ("method".to_owned(), Uns::Text("t-test_overestim_var".to_owned())),
    ];
    let members = vec![
        ("names".to_owned(), Uns::Dict(genes)),
        ("scores".to_owned(), Uns::Dict(values)),
        ("params".to_owned(), Uns::Dict(params)),
    ];
    let largest = found.columns().into_iter().map(|of_gene| of_gene.iter().copied().fold(f64::NEG_INFINITY, f64::max));
    ((keys::RANK_VELOCITY_GENES.to_owned(), Uns::Dict(members)), largest.collect())
}

/// A column of obs.
pub(super) fn numbers(key: &str, values: Vec<f64>) -> (String, Column) {
    (key.to_owned(), Column::Float(values))
}
