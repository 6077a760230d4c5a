//! Small files and results for the tests of `io`.

use std::path::Path;

use nascent::data::quantities::{
    CELL_CV, FIT_ALPHA, FIT_BETA, FIT_CV, FIT_DIFF_KINETICS, FIT_GAMMA, FIT_LIKELIHOOD, FIT_PVAL_KINETICS, FIT_R2,
    FIT_S, FIT_S_FUTURE, FIT_SCALING, FIT_STD_S, FIT_STD_U, FIT_T, FIT_T_OFF, FIT_T_ON, FIT_U, LATENT_TIME,
    LATENT_TIME_STD, RECOVER_DYNAMICS, VARIANCE_VELOCITY, VELOCITY, VELOCITY_GAMMA, VELOCITY_GENES, VELOCITY_OFFSET,
    VELOCITY_QREG_RATIO, VELOCITY_R2, VELOCITY_SPLIT, VELOCITY_U, X_VELOVAE, X_VELOVAE_STD,
};
use nascent::data::{
    Column, Dataset, Directional, FUTURE_TIME, Fit, FitRecord, Frame, Neighbors, Uncertainty, split_labels,
};
use nascent::io::{FittedFile, NewFile, OutputConfig, Stamp, Uns, Written, write_fit};
use nascent::sparse::Csr;
use ndarray::{Array1, Array2};
use serde_json::json;

/// Row-wise sparse form of a matrix given in full.
pub(crate) fn csr(rows: &[&[f32]]) -> Csr<f32> {
    let mut matrix = Csr {
        n_rows: rows.len(),
        n_cols: rows.first().map_or(0, |row| row.len()),
        indptr: vec![0],
        indices: Vec::new(),
        data: Vec::new(),
    };
    for row in rows {
        for (column, &value) in (0_u32..).zip(*row) {
            if value != 0.0 {
                matrix.indices.push(column);
                matrix.data.push(value);
            }
        }
        matrix.indptr.push(matrix.data.len());
    }
    matrix
}

pub(crate) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// Four cells, three genes, every kind of column.
pub(crate) fn small() -> NewFile {
    let spliced = csr(&[&[1.0, 0.0, 2.0], &[0.0, 3.0, 0.0], &[4.0, 0.0, 0.0], &[0.0, 0.0, 5.0]]);
    let unspliced = csr(&[&[0.0, 1.0, 0.0], &[2.0, 0.0, 0.0], &[0.0, 0.0, 3.0], &[1.0, 1.0, 0.0]]);
    let mut obs = Frame { index: words(&["c1", "c2", "c3", "c4"]), columns: Vec::new() };
    obs.set("depth", Column::Int(vec![3, 3, 4, -5]));
    obs.set("share", Column::Float(vec![0.5, f64::MIN_POSITIVE, -1.0, 1e300]));
    obs.set("kept", Column::Bool(vec![true, false, true, true]));
    obs.set("sample", Column::Text(words(&["a", "", "größe", "d e"])));
    obs.set(
        "clusters",
        Column::Categorical {
            codes: vec![Some(1), None, Some(0), Some(1)],
            categories: words(&["Alpha", "Beta"]),
            ordered: true,
        },
    );
    NewFile {
        x: Some(spliced.clone()),
        sparse_layers: vec![("spliced".to_owned(), spliced), ("unspliced".to_owned(), unspliced)],
        dense_layers: vec![("true_velocity".to_owned(), counting(4, 3))],
        obs,
        var: Frame {
            index: words(&["g1", "g2", "g3"]),
            columns: vec![("symbol".to_owned(), Column::Text(words(&["A", "B", "C"])))],
        },
        obsm: vec![("X_umap".to_owned(), counting(4, 2))],
        counts: Vec::new(),
        uns: vec![
            ("title".to_owned(), Uns::Text("small".to_owned())),
            ("seed".to_owned(), Uns::Int(7)),
            ("clusters_colors".to_owned(), Uns::Texts(words(&["#000000", "#ffffff"]))),
            (
                "nested".to_owned(),
                Uns::Dict(vec![
                    ("ratio".to_owned(), Uns::Float(0.25)),
                    ("flag".to_owned(), Uns::Bool(true)),
                    ("numbers".to_owned(), Uns::Floats(vec![1.0, 2.5])),
                ]),
            ),
        ],
    }
}

/// The numbers 1, 2, 3, … in C order.
pub(crate) fn counting(n_rows: usize, n_cols: usize) -> Array2<f32> {
    let mut next = 0.0;
    Array2::from_shape_simple_fn((n_rows, n_cols), || {
        next += 1.0;
        next
    })
}

/// Data over `n_obs` cells and the genes at `genes` of `n_vars`, with a graph computed here if `with_graph`.
pub(crate) fn dataset(n_obs: usize, genes: &[usize], n_vars: usize, with_graph: bool) -> Dataset {
    let n = genes.len();
    let names = |prefix: &str, count: usize| (0..count).map(|i| format!("{prefix}{i}")).collect();
    let frame = |index: Vec<String>| Frame { index, columns: Vec::new() };
    let empty = |n_rows: usize, n_cols: usize| Csr { n_rows, n_cols, indptr: vec![0; n_rows + 1], ..Csr::default() };
    let ring = |weight: f32| {
        let mut graph = empty(n_obs, n_obs);
        for cell in 0..n_obs {
            graph.indices.push(u32::try_from((cell + 1) % n_obs).expect("few cells"));
            graph.data.push(weight);
            graph.indptr[cell + 1] = cell + 1;
        }
        graph
    };
    Dataset {
        obs: frame(names("c", n_obs)),
        var: frame(names("g", n)),
        genes: genes.to_vec(),
        n_vars_input: n_vars,
        spliced: empty(n_obs, n),
        unspliced: empty(n_obs, n),
        size_spliced: vec![1.0; n_obs],
        size_unspliced: vec![1.0; n_obs],
        raw_counts: true,
        neighbors_from_file: !with_graph,
        mu: counting(n_obs, n) * 0.5,
        ms: counting(n_obs, n),
        scaling: None,
        neighbors: Neighbors { connectivities: ring(1.0), distances: ring(0.5), n_neighbors: 2 },
        pca: if with_graph { counting(n_obs, 2) } else { Array2::zeros((0, 0)) },
    }
}

fn directional(n_obs: usize, start: f64) -> Directional {
    let column = |k: f64| Array1::from_elem(n_obs, start + k);
    Directional {
        variance: column(0.0),
        difference: column(1.0),
        cos_variance: column(2.0),
        cos_difference: column(3.0),
        cos_mean: column(4.0),
    }
}

/// A fit with quantities of every kind.
pub(crate) fn full_fit(n_obs: usize, n_vars: usize) -> Fit {
    let matrix = |factor: f32| counting(n_obs, n_vars) * factor;
    #[allow(clippy::cast_precision_loss)] // small counts
    let numbers = |n: usize, start: f64| Array1::from_iter((0..n).map(|i| start + i as f64));
    let mut fit = Fit::of("velovae");
    let layers = [VELOCITY_U, VARIANCE_VELOCITY, FIT_U, FIT_S, FIT_S_FUTURE, FIT_T].into_iter();
    layers.zip([2.0, 7.0, 3.0, 4.0, 5.0, 6.0]).for_each(|(layer, factor)| fit.set(layer, matrix(factor)));
    fit.set(VELOCITY, matrix(-0.25));
    fit.facts.insert(FUTURE_TIME.to_owned(), 0.125.into());
    fit.set(LATENT_TIME, numbers(n_obs, 0.5));
    fit.set(LATENT_TIME_STD, numbers(n_obs, 0.25));
    fit.set(X_VELOVAE, counting(n_obs, 5));
    fit.set(X_VELOVAE_STD, counting(n_obs, 5) * 0.1);
    fit.set(CELL_CV, numbers(n_obs, 1.5));
    Uncertainty { intrinsic: directional(n_obs, 2.5), extrinsic: Some(directional(n_obs, 7.5)) }.add_to(&mut fit);
    let parts: Vec<u8> = (0..n_obs).map(|cell| u8::try_from(cell % 3).expect("below 3")).collect();
    fit.set(VELOCITY_SPLIT, split_labels(&parts));
    let columns = [
        FIT_ALPHA,
        FIT_BETA,
        FIT_GAMMA,
        FIT_T_ON,
        FIT_T_OFF,
        FIT_SCALING,
        FIT_STD_U,
        FIT_STD_S,
        FIT_LIKELIHOOD,
        FIT_CV,
        VELOCITY_GAMMA,
        VELOCITY_OFFSET,
        VELOCITY_QREG_RATIO,
        VELOCITY_R2,
        FIT_R2,
        FIT_PVAL_KINETICS,
    ];
    for (start, column) in (1_u8..).zip(columns) {
        fit.set(column, numbers(n_vars, f64::from(start)));
    }
    fit.set(FIT_DIFF_KINETICS, (0..n_vars).map(|gene| ["", "A", "A,b c"][gene % 3].to_owned()).collect());
    fit.set(RECOVER_DYNAMICS, json!({"fit_connected_states": true, "use_raw": false, "fit_diff_kinetics": "clusters"}));
    fit.set(VELOCITY_GENES, (0..n_vars).map(|gene| gene % 2 == 0).collect());
    fit
}

/// Writes a fit with a record that says something of every kind, all layers.
pub(crate) fn write(
    output: &Path,
    input: &Path,
    config: &OutputConfig,
    data: &Dataset,
    fit: &Fit,
) -> nascent::Result<Written> {
    let record = FitRecord {
        model: "velovae".to_owned(),
        mode: fit.mode.clone(),
        seed: 3,
        settings: json!({"seed": 3, "flag": true, "inner": {"rate": 0.5, "names": ["a", "b"], "none": []}}),
        facts: fit.facts.clone(),
        ..FitRecord::default()
    };
    let config = OutputConfig { layers: "all".to_owned(), ..config.clone() };
    write_fit(output, &Stamp::of(input)?, &config, data.clone(), fit.clone(), record)
}

/// The file at `path` as what comes after a fit sees it.
pub(crate) fn opened(path: &Path) -> FittedFile {
    FittedFile::open(path).unwrap_or_else(|error| panic!("{error}"))
}
