//! Which program made a file: from layers, columns and records that only it writes.

use std::collections::HashSet;

use crate::data::{Column, Frame};
use crate::io::{Description, Marks, MatrixDescription, Outline};

/// What is known of an `.h5ad` file's making.
pub(super) struct Origin {
    pub(super) what: String,
    /// The chemistry that a column of obs names (CELLxGENE's `assay`).
    pub(super) chemistry: Option<String>,
    pub(super) probes: bool,
    /// Whether the layers are better imported than trained on as they are: `ambiguous` would be lost, or barcodes are no cells.
    pub(super) import_first: bool,
    pub(super) import_flags: &'static str,
    /// Whether it has clusters or an embedding, which are worth keeping.
    processed: bool,
}

/// A file with more cells than this holds all barcodes of a run.
const ALL_BARCODES: usize = 500_000;

/// From what a file says of itself.
pub(super) fn of(description: &Description, marks: &Marks, names: &Outline) -> Origin {
    let has = |list: &[String], key: &str| list.iter().any(|name| name == key);
    let layer = |name: &str| description.layers.iter().any(|layer| layer.name == name);
    let column = |frame: &Frame, name: &str| frame.get(name).is_some();
    let processed = description.obsm.iter().any(|key| key.starts_with("X_") || key.to_uppercase().contains("UMAP"))
        || ["leiden", "louvain", "seurat_clusters", "clusters", "cell_type", "celltype"]
            .iter()
            .any(|key| column(&names.obs, key));
    let seurat = ["orig.ident", "nCount_RNA", "nFeature_RNA"].iter().filter(|key| column(&names.obs, key)).count() >= 2;
    let velocyto = column(&names.var, "Chromosome") && column(&names.var, "Strand");
    let cell_ranger = column(&names.var, "feature_types") && column(&names.var, "genome");
    let kb = description.count_layers.as_ref().is_some_and(|[spliced, _]| spliced == "mature");
    let what = match () {
        () if description.model.is_some() => format!("a fit ({})", description.model.as_deref().unwrap_or_default()),
        () if marks.merged.is_some() => {
            format!("a processed file with counts that nascent merge added, of {}", some(marks.merged.as_ref()))
        }
        () if marks.imported.is_some() => {
            format!("counts that nascent import read from {}", some(marks.imported.as_ref()))
        }
        () if kb => "counts of kb-python (layers mature, nascent)".to_owned(),
        () if has(&description.uns, "quant_info") => "counts of simpleaf, alevin-fry".to_owned(),
        () if layer("count") && layer("spliced") => "counts of nf-core/scrnaseq".to_owned(),
        () if velocyto && layer("spliced") => "counts of velocyto, read by scanpy or scVelo".to_owned(),
        () if has(&description.uns, "schema_version") => "a data set of CELLxGENE".to_owned(),
        () if seurat => "an object of Seurat".to_owned(),
        () if has(&description.uns, "spatial") => "spatial data, read by scanpy or squidpy".to_owned(),
        () if cell_ranger && !processed => "Cell Ranger's matrix, read by scanpy".to_owned(),
        () if cell_ranger => "a processed file, of Cell Ranger's matrix".to_owned(),
        () if processed => "a processed file".to_owned(),
        () => "an .h5ad file of unknown origin".to_owned(),
    };
    let assays = assays(&names.obs);
    let probes = assays.iter().any(|assay| {
        ["flex", "ffpe", "xenium", "merfish", "visium hd"].iter().any(|word| assay.to_lowercase().contains(word))
    });
    let raw = description.n_obs > ALL_BARCODES;
    Origin {
        what,
        chemistry: (!assays.is_empty()).then(|| assays.join(", ")),
        probes,
        import_first: (layer("ambiguous") && (kb || has(&description.uns, "quant_info"))) || raw,
        import_flags: if raw { " --min-molecules 500" } else { "" },
        processed,
    }
}

fn some(source: Option<&String>) -> &str {
    source.map_or("", String::as_str)
}

impl Origin {
    /// The commands that add what is missing to the file at `path`.
    pub(super) fn next(&self, path: &str) -> String {
        if self.processed {
            return format!(
                "nascent merge {path} COUNTS --output merged.h5ad, COUNTS being what the pipeline wrote (Cell Ranger's \
                            molecule_info.h5, velocyto's .loom, STARsolo's Solo.out, a folder of kb or alevin-fry)"
            );
        }
        "nascent import COUNTS --output counts.h5ad, COUNTS being what the pipeline wrote (Cell Ranger's molecule_info.h5, velocyto's \
         .loom, STARsolo's Solo.out, a folder of kb or alevin-fry)"
            .to_owned()
    }
}

/// Labels of the column in which CELLxGENE keeps the assay.
fn assays(obs: &Frame) -> Vec<String> {
    match obs.get("assay") {
        Some(Column::Categorical { categories, .. }) => categories.clone(),
        _ => Vec::new(),
    }
}

/// Names that occur more than once.
pub(super) fn repeated(names: &Outline) -> Vec<String> {
    let said =
        [("cell", "obs", &names.obs), ("gene", "var", &names.var)].into_iter().filter_map(|(what, axis, frame)| {
            let mut seen = HashSet::new();
            let again: Vec<&String> = frame.index.iter().filter(|name| !seen.insert(name.as_str())).collect();
            let first = again.first()?;
            let n = again.len();
            Some(format!(
                "{n} {what} names occur more than once ({first:?}, …); in Python: adata.{axis}_names_make_unique()"
            ))
        });
    said.collect()
}

/// What a matrix holds that is no count.
pub(super) fn values(matrix: &MatrixDescription) -> &'static str {
    match matrix {
        _ if matrix.n_not_finite > 0 => "values that are not finite",
        _ if matrix.fractional_counts => "fractional counts",
        _ => "normalised values",
    }
}
