//! Small files and results for the tests of `io`.

use nascent::data::{Column, Dataset, Directional, Fit, Frame, GeneParams, Neighbors, Uncertainty};
use nascent::io::{NewFile, Uns};
use nascent::sparse::Csr;
use ndarray::{Array1, Array2};

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

/// A fit with every quantity there is.
pub(crate) fn full_fit(n_obs: usize, n_vars: usize) -> Fit {
    let matrix = |factor: f32| Some(counting(n_obs, n_vars) * factor);
    #[allow(clippy::cast_precision_loss)] // small counts
    let numbers = |n: usize, start: f64| Some(Array1::from_iter((0..n).map(|i| start + i as f64)));
    Fit {
        model: "velovae_full".to_owned(),
        velocity: counting(n_obs, n_vars) * -0.25,
        velocity_u: matrix(2.0),
        variance_velocity: matrix(7.0),
        fit_u: matrix(3.0),
        fit_s: matrix(4.0),
        future: matrix(5.0),
        future_time: Some(0.125),
        fit_t: matrix(6.0),
        latent_time: numbers(n_obs, 0.5),
        latent_time_std: numbers(n_obs, 0.25),
        latent: Some(counting(n_obs, 5)),
        latent_std: Some(counting(n_obs, 5) * 0.1),
        cell_cv: numbers(n_obs, 1.5),
        uncertainty: Some(Uncertainty { intrinsic: directional(n_obs, 2.5), extrinsic: Some(directional(n_obs, 7.5)) }),
        split: Some((0..n_obs).map(|cell| u8::try_from(cell % 3).expect("below 3")).collect()),
        diff_kinetics_groups: Some("clusters".to_owned()),
        genes: GeneParams {
            alpha: numbers(n_vars, 1.0),
            beta: numbers(n_vars, 2.0),
            gamma: numbers(n_vars, 3.0),
            t_on: numbers(n_vars, 4.0),
            t_switch: numbers(n_vars, 5.0),
            scaling: numbers(n_vars, 6.0),
            std_u: numbers(n_vars, 7.0),
            std_s: numbers(n_vars, 8.0),
            likelihood: numbers(n_vars, 9.0),
            cv: numbers(n_vars, 10.0),
            velocity_gamma: numbers(n_vars, 11.0),
            velocity_offset: numbers(n_vars, 12.0),
            velocity_qreg_ratio: numbers(n_vars, 13.0),
            velocity_r2: numbers(n_vars, 14.0),
            fit_r2: numbers(n_vars, 15.0),
            diff_kinetics: Some((0..n_vars).map(|gene| ["", "A", "A,b c"][gene % 3].to_owned()).collect()),
            pval_kinetics: numbers(n_vars, 16.0),
            velocity_genes: (0..n_vars).map(|gene| gene % 2 == 0).collect(),
            ..GeneParams::default()
        },
        ..Fit::default()
    }
}
