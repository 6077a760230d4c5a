//! The page with every key that a file can hold: `docs/keys.md`.

use std::fmt::Write;

use crate::data::quantities::{self, About, Slot, Writer};
use crate::models::{ModelConfig, ModelEntry};

/// What stands above the tables.
const HEAD: &str = "\
# Keys

Every element that nascent reads or writes in an `.h5ad` file. This page is made by `nascent keys`, from the list that the program
itself works with (`src/data/quantities/table.rs`).

**Names.** A name without a star is scVelo's, scanpy's, CellRank's or veloVI's, and means what it means there. A name with a
star (★) is ours.

**Units of `Ms`.** Velocities and abundances of a fit are in the units of the `Ms` and `Mu` beside them. What one unit is,
`uns[\"nascent_fit\"][\"moments\"]` says:

- `size_normalised`: a molecule in a cell of median total; spliced and unspliced counts are each divided by their own totals;
- `cell_size`: a molecule in a cell of size 1, sizes being those that the soft grid infers (`obs[\"cell_size\"]`): cells that come to
  hold more molecules keep more, so `Ms` and `Mu` of such a file are not those of other models;
- `scaled`: the range of the gene over cells, from 0 to 1 (recipe `velovi`); `Ms_min`, `Ms_span` lead back.

**Time** is that of the fit: `latent_time` where there is one time per cell, else the gene's own clock, `fit_t`. It has no unit that
can be compared between fits.

**Which layers.** By default the layers marked \"needed\" are written: those that the next commands and scVelo read.
`output.layers = \"all\"` writes all that the model has, `output.layers = \"fit_u,fit_s\"` these beside the needed ones. What was left out
is said, and listed in `uns[\"nascent_fit\"][\"left_out\"]`.

**Whose keys.** `uns[\"nascent_fit\"][\"written\"]`, `uns[\"nascent_graph\"][\"written\"]` and `uns[\"nascent_permutation\"][\"written\"]` list what was
written. A new fit removes what an earlier one left, of nascent or of scVelo under these names, and all that was computed from it; a new
graph removes the earlier graph and what followed from it. Everything else in the file stays as it is. Where a file brings
neighbours or components of its own, ours stand beside them as `velocity_neighbors` and `X_pca_velocity`.

**Files of other programs** have no such lists. What their keys mean follows from who made the velocities:

| who | how it is recognised | what is taken for the fit's |
|---|---|---|
| scVelo, dynamical | `uns[\"velocity_params\"][\"mode\"]` | `velocity`, `fit_*`, `latent_time`; not `velocity_gamma` and its like, which an earlier call left |
| scVelo, deterministic or stochastic | the same | `velocity`, `velocity_*`; not `fit_*` and `latent_time`, which `recover_dynamics` left |
| veloVI | `layers[\"latent_time_velovi\"]` | `velocity`, `fit_t`, rates; not what scVelo's preprocessing left |
| VeloVAE | `layers[\"NAME_velocity\"]` and `obs[\"NAME_time\"]`, no `velocity` | these, and `NAME_uhat`, `NAME_shat`, `NAME_alpha`, … |
| anybody else | none of these | every key that has a meaning here |
";

/// What stands above the table of models.
const MODELS: &str = "
## Models

| `model.kind` | what | likelihood of counts | `--resume` | `nascent permute` | posterior draws |
|---|---|---|---|---|---|
";

/// The page.
#[must_use]
pub fn keys() -> String {
    let mut page = HEAD.to_owned();
    page.push_str(MODELS);
    for entry in ModelConfig::ENTRIES {
        let yes = |fact: bool| if fact { "yes" } else { "–" };
        let ModelEntry { kind, summary, reads_counts, resumes, permutes, draws, .. } = entry;
        let [counts, resumes, permutes, draws] = [reads_counts, resumes, permutes, draws].map(|&fact| yes(fact));
        let _ = writeln!(page, "| `{kind}` | {} | {counts} | {resumes} | {permutes} | {draws} |", summary.trim());
    }
    for slot in Slot::ALL {
        let shape = match slot {
            Slot::Layers => "cells × genes",
            Slot::Obs => "one value per cell",
            Slot::Var => "one value per gene",
            Slot::Varm => "genes × dimensions",
            Slot::Obsm => "cells × dimensions",
            Slot::Obsp => "cells × cells",
            Slot::Uns => "everything else",
        };
        let _ = writeln!(page, "\n## `{}`: {shape}\n", slot.name());
        let _ = writeln!(page, "| key | what | unit | type | written by |\n|---|---|---|---|---|");
        for about in quantities::ALL.iter().filter(|about| about.slot == slot) {
            let _ = writeln!(page, "{}", row(about));
        }
    }
    page
}

fn row(about: &'static About) -> String {
    let star = if about.known { "" } else { " ★" };
    let key = about.key.replace('*', "…");
    let needed = if about.needed { ", needed" } else { "" };
    let models: Vec<&str> =
        ModelConfig::ENTRIES.iter().filter(|entry| entry.writes.contains(&about)).map(|entry| entry.kind).collect();
    let by = match about.writer {
        Writer::Fit if !models.is_empty() => format!("train: {}", models.join(", ")),
        Writer::Fit if about.slot == Slot::Varm => "scVelo".to_owned(),
        writer => writer.name().to_owned(),
    };
    format!("| `{key}`{star} | {} | {} | {}{needed} | {by} |", about.doc.trim(), about.unit, about.kind)
}
