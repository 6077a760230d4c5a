//! Laws of preprocessing, and what it says of odd data, on small random counts.

#![allow(clippy::float_cmp, reason = "these values are exact")]

use std::path::PathBuf;

use nascent::data::{Column, Counts, Dataset, Frame};
use nascent::preprocess::filter::{shared_counts, top, variability};
use nascent::preprocess::moments::{neighborhood_mean, second_moments};
use nascent::preprocess::normalize::{divisors, normalized_layers};
use nascent::preprocess::{CountsKind, GraphSource, MomentsSource, PreprocessConfig, Report, run};
use nascent::sparse::Csr;
use nascent::{Error, neighbors};
use ndarray::{Array2, Axis, array};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const N_OBS: usize = 120;
const N_VARS: usize = 90;

fn names(letter: &str, n: usize) -> Frame {
    let index = (0..n).map(|i| format!("{letter}{i}")).collect();
    Frame { index, columns: Vec::new() }
}

fn counts_of(spliced: &Array2<f32>, unspliced: &Array2<f32>) -> Counts {
    Counts {
        path: PathBuf::from("random.h5ad"),
        obs: names("cell", spliced.nrows()),
        var: names("gene", spliced.ncols()),
        x: Some(Csr::from_dense(spliced.view())),
        spliced: Csr::from_dense(spliced.view()),
        unspliced: Csr::from_dense(unspliced.view()),
        moments: None,
        neighbors: None,
        obsm: Vec::new(),
    }
}

/// Cells along a circle; each gene peaks at its own place. About a quarter of the counts are unspliced.
fn layers() -> (Array2<f32>, Array2<f32>) {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut draw = |scale: f64| {
        Array2::from_shape_fn((N_OBS, N_VARS), |(i, g)| {
            let angle = i as f64 / N_OBS as f64 - g as f64 / N_VARS as f64;
            let rate = scale * (1.2 + (std::f64::consts::TAU * angle).cos()) * (1.0 + g as f64 / 20.0);
            (rate * rng.random_range(0.0..2.0)).floor() as f32
        })
    };
    (draw(3.0), draw(1.2))
}

fn counts() -> Counts {
    let (spliced, unspliced) = layers();
    counts_of(&spliced, &unspliced)
}

fn config() -> PreprocessConfig {
    PreprocessConfig { n_top_genes: 60, n_pcs: 8, n_neighbors: 10, ..PreprocessConfig::default() }
}

fn permuted(counts: &Counts, order: &[usize]) -> Counts {
    Counts {
        obs: counts.obs.select(order),
        x: counts.x.as_ref().map(|x| x.select_rows(order)),
        spliced: counts.spliced.select_rows(order),
        unspliced: counts.unspliced.select_rows(order),
        ..counts.clone()
    }
}

fn status(report: &Report, gene: usize) -> String {
    report.genes.get("status").unwrap().to_labels()[gene].clone()
}

fn warned(report: &Report, words: &str) -> bool {
    report.warnings.iter().any(|warning| warning.contains(words))
}

#[test]
fn ordinary_counts_raise_no_warning() {
    let (data, report) = run(&counts(), &config()).unwrap();
    assert_eq!((data.n_obs(), data.n_vars()), (N_OBS, 60));
    assert_eq!(report.warnings, Vec::<String>::new());
    let steps: Vec<&str> = report.steps.iter().map(|step| step.name).collect();
    let wanted = ["input", "counts", "expression", "shared counts", "variable genes", "pca", "neighbors", "moments"];
    assert_eq!(steps, wanted);
}

#[test]
fn layers_of_the_dataset_are_those_of_the_file() {
    let counts = counts();
    let (data, _) = run(&counts, &config()).unwrap();
    assert_eq!(data.spliced, counts.spliced.select_columns(&data.genes));
    assert_eq!(data.unspliced, counts.unspliced.select_columns(&data.genes));
    assert_eq!(data.size_spliced, counts.spliced.row_sums());
    assert_eq!(data.var.index[3], counts.var.index[data.genes[3]]);
}

#[test]
fn means_of_a_constant_gene_are_constant() {
    let points = layers().0;
    let graph = neighbors::neighbors(points.view(), 7).unwrap();
    let constant = Array2::from_elem((N_OBS, 2), 3.7_f32);
    let means = neighborhood_mean(&Csr::from_dense(constant.view()), &graph).unwrap();
    assert_eq!(means, constant);
}

#[test]
fn means_are_over_the_cell_and_its_links() {
    let weights =
        Csr::from_triplets(3, 3, &[(0, 1, 0.2_f32), (1, 0, 0.2), (1, 2, 1.0), (2, 1, 1.0), (0, 2, 0.0)]).unwrap();
    let graph = nascent::data::Neighbors { connectivities: weights.clone(), distances: weights, n_neighbors: 2 };
    let values = Csr::from_dense(array![[1.0_f32], [3.0], [8.0]].view());
    assert_eq!(neighborhood_mean(&values, &graph).unwrap(), array![[2.0], [4.0], [5.5]]);
}

#[test]
fn second_moments_are_means_of_products() {
    let (data, _) = run(&counts(), &config()).unwrap();
    let (mus, mss) = second_moments(&data).unwrap();
    let (u, s) = normalized_layers(&data).unwrap();
    let (u, s) = (u.to_dense(), s.to_dense());
    let graph = &data.neighbors.connectivities;
    for (i, g) in [(0, 0), (17, 5), (119, 39)] {
        let mut cells = vec![i];
        cells.extend(graph.row(i).0.iter().map(|&j| j as usize));
        let mean = |a: &Array2<f32>, b: &Array2<f32>| {
            cells.iter().map(|&j| a[(j, g)] * b[(j, g)]).sum::<f32>() / cells.len() as f32
        };
        assert!((mus[(i, g)] - mean(&u, &s)).abs() < 1e-4);
        assert!((mss[(i, g)] - mean(&s, &s)).abs() < 1e-4 * mss[(i, g)].max(1.0));
        assert!(mss[(i, g)] >= data.ms[(i, g)].powi(2) * 0.9999, "a variance is not negative");
    }
}

#[test]
fn permuting_cells_permutes_the_result() {
    let counts = counts();
    let order: Vec<usize> = (0..N_OBS).map(|i| (i * 37 + 5) % N_OBS).collect();
    let (data, _) = run(&counts, &config()).unwrap();
    let (moved, _) = run(&permuted(&counts, &order), &config()).unwrap();
    assert_eq!(moved.genes, data.genes);
    assert_eq!(moved.obs.index, data.obs.select(&order).index);
    for (moved, still) in [(&moved.ms, &data.ms), (&moved.mu, &data.mu), (&moved.pca, &data.pca)] {
        let wanted = still.select(Axis(0), &order);
        assert!(moved.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-4));
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let counts = counts();
    let with = |n_threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| run(&counts, &config()).unwrap())
    };
    let ((a, report_a), (b, report_b)) = (with(1), with(2));
    let parts = |d: &Dataset| (d.genes.clone(), d.ms.clone(), d.mu.clone(), d.pca.clone(), d.neighbors.clone());
    assert_eq!(parts(&a), parts(&b));
    assert_eq!(report_a.steps, report_b.steps);
}

#[test]
fn scaling_a_cell_of_counts_leaves_its_normalised_counts() {
    assert_eq!(divisors(&[1.0, 2.0, 4.0]), [0.5, 1.0, 2.0]);
    assert_eq!(divisors(&[0.0, 2.0, 4.0]), [1.0, 1.0, 2.0]);
    assert_eq!(divisors(&[0.0, 0.0, 4.0]), [1.0, 1.0, 4.0]);
}

#[test]
fn shared_counts_are_those_of_cells_with_both_forms() {
    let spliced = Csr::from_dense(array![[3.0_f32, 1.0], [5.0, 0.0], [2.0, 4.0]].view());
    let unspliced = Csr::from_dense(array![[1.0_f32, 0.0], [0.0, 2.0], [2.0, 1.0]].view());
    let wanted = (vec![8.0, 5.0], vec![2.0, 1.0]);
    assert_eq!(shared_counts(&spliced, &unspliced).unwrap(), wanted);
}

#[test]
fn equally_variable_genes_stay_together() {
    assert_eq!(top(&[0.5, 2.0, 1.0, 1.0, f64::NAN], 2), [false, true, true, true, false]);
    // A gene without a score counts as 0, so it passes a negative threshold.
    assert_eq!(top(&[-0.5, -2.0, f64::NAN], 1), [true, false, true]);
}

#[test]
fn genes_without_variance_or_counts_have_no_dispersion() {
    let x = Csr::from_dense(array![[0.0_f32, 2.0, 1.0], [0.0, 2.0, 3.0], [0.0, 2.0, 5.0]].view());
    let found = variability(&x);
    assert!(found.dispersions[0].is_nan() && found.dispersions[1].is_nan());
    assert!((found.dispersions[2] - (4.0_f64 / 3.0).ln()).abs() < 1e-12);
    assert_eq!(found.dispersions_norm[2], 1.0);
}

#[test]
fn every_gene_has_a_status_that_explains_it() {
    let (spliced, mut unspliced) = layers();
    unspliced.column_mut(2).fill(0.0);
    let (data, report) = run(&counts_of(&spliced, &unspliced), &config()).unwrap();
    assert_eq!(status(&report, 2), "shared_counts");
    assert_eq!(report.n_genes("kept"), data.n_vars());
    assert_eq!(report.n_genes("not_variable"), N_VARS - 1 - data.n_vars());
    let Some(Column::Float(shared)) = report.genes.get("shared_counts") else { panic!() };
    assert_eq!(shared[2], 0.0);
}

#[test]
fn retained_genes_pass_every_filter() {
    let (spliced, mut unspliced) = layers();
    unspliced.column_mut(2).fill(0.0);
    let counts = counts_of(&spliced, &unspliced);
    let (_, before) = run(&counts, &config()).unwrap();
    let dropped = (0..N_VARS).find(|&g| status(&before, g) == "not_variable").unwrap();
    let retain_genes = vec!["gene2".to_owned(), format!("gene{dropped}")];
    let (data, report) = run(&counts, &PreprocessConfig { retain_genes, ..config() }).unwrap();
    assert!(data.genes.contains(&2) && data.genes.contains(&dropped));
    assert_eq!(status(&report, 2), "retained");
}

#[test]
fn listed_genes_are_kept_and_no_others() {
    let genes = ["gene7", "gene1", "gene30"].map(str::to_owned).to_vec();
    let (data, report) = run(&counts(), &PreprocessConfig { genes, ..config() }).unwrap();
    assert_eq!(data.genes, [1, 7, 30]);
    assert_eq!(data.pca.ncols(), 2);
    assert_eq!(report.n_genes("not_listed"), N_VARS - 3);
}

#[test]
fn a_listed_gene_that_is_not_there_is_named() {
    let genes = ["gene7", "Gene1"].map(str::to_owned).to_vec();
    let result = run(&counts(), &PreprocessConfig { genes, ..config() });
    let Err(error) = result else { panic!("an unknown gene") };
    assert!(error.to_string().contains("\"Gene1\""), "{error}");
    assert!(error.hint().unwrap().contains("\"gene0\""));
}

#[test]
fn too_few_genes_name_the_threshold() {
    let result = run(&counts(), &PreprocessConfig { min_shared_counts: 1_000_000, ..config() });
    let Err(error) = result else { panic!("no gene has a million counts") };
    assert!(error.to_string().contains("min_shared_counts = 1000000"), "{error}");
}

#[test]
fn copies_of_cells_and_empty_cells_are_named() {
    let (mut spliced, mut unspliced) = layers();
    for layer in [&mut spliced, &mut unspliced] {
        let row = layer.row(4).to_owned();
        layer.row_mut(90).assign(&row);
        layer.row_mut(50).fill(0.0);
    }
    let (_, report) = run(&counts_of(&spliced, &unspliced), &config()).unwrap();
    assert!(warned(&report, "\"cell90\" = \"cell4\""), "{:?}", report.warnings);
    assert!(warned(&report, "1 cells have no unspliced counts: \"cell50\""), "{:?}", report.warnings);
}

#[test]
fn an_unusual_share_of_unspliced_counts_is_said() {
    let (spliced, unspliced) = layers();
    let (_, report) = run(&counts_of(&unspliced, &spliced), &config()).unwrap();
    assert!(warned(&report, "are unspliced"), "{:?}", report.warnings);
}

#[test]
fn fractions_are_taken_for_normalised_unless_the_settings_say_counts() {
    let (spliced, unspliced) = layers();
    let fractions = counts_of(&(spliced * 0.7), &(unspliced * 0.7));
    let (data, report) = run(&fractions, &config()).unwrap();
    assert!(!data.raw_counts && warned(&report, "are NOT divided by the cells' total counts"));
    let (data, report) = run(&fractions, &PreprocessConfig { counts: CountsKind::Raw, ..config() }).unwrap();
    assert!(data.raw_counts && report.warnings.is_empty(), "{:?}", report.warnings);
}

#[test]
fn layers_of_different_kinds_are_an_error() {
    let (spliced, unspliced) = layers();
    let result = run(&counts_of(&spliced, &(unspliced * 0.7)), &config());
    assert!(matches!(result, Err(Error::Input { .. })));
}

#[test]
fn a_logged_or_scaled_x_gives_way_to_spliced_counts() {
    let plain = run(&counts(), &config()).unwrap().0;
    for change in [|v: f32| v.ln_1p(), |v: f32| v - 1.5] {
        let mut counts = counts();
        counts.x = counts.x.map(|x| x.map(change));
        let (data, report) = run(&counts, &config()).unwrap();
        assert!(warned(&report, "spliced counts are used"), "{:?}", report.warnings);
        assert_eq!(data.pca, plain.pca);
    }
    let (data, report) = run(&Counts { x: None, ..counts() }, &config()).unwrap();
    assert_eq!((data.pca, report.warnings.len()), (plain.pca, 0));
}

#[test]
fn a_value_that_cannot_be_a_count_is_located() {
    let (spliced, mut unspliced) = layers();
    unspliced[(8, 5)] = -1.0;
    let Err(error) = run(&counts_of(&spliced, &unspliced), &config()) else { panic!("a negative count") };
    let wanted = "random.h5ad: layers[\"unspliced\"]: cell \"cell8\", gene \"gene5\" holds -1: wanted counts";
    assert_eq!(error.to_string(), wanted);
}

#[test]
fn where_all_cells_would_be_neighbours_half_of_them_are() {
    let (data, report) = run(&counts(), &PreprocessConfig { n_neighbors: 500, ..config() }).unwrap();
    assert_eq!(data.neighbors.n_neighbors, 1 + N_OBS / 2);
    assert!(warned(&report, "n_neighbors = 500"), "{:?}", report.warnings);
}

#[test]
fn the_graph_of_the_file_is_used_as_the_settings_say() {
    let plain = run(&counts(), &config()).unwrap().0;
    let mut counts = counts();
    counts.neighbors = Some(neighbors::neighbors(layers().1.view(), 10).unwrap());
    let with =
        |neighbors, n_neighbors| run(&counts, &PreprocessConfig { neighbors, n_neighbors, ..config() }).unwrap().0;
    assert!(with(GraphSource::Auto, 10).neighbors_from_file);
    assert!(!with(GraphSource::Auto, 11).neighbors_from_file);
    assert!(with(GraphSource::File, 11).neighbors_from_file);
    assert_eq!(with(GraphSource::Compute, 10).neighbors, plain.neighbors);
    counts.neighbors = None;
    let missing = run(&counts, &PreprocessConfig { neighbors: GraphSource::File, ..config() });
    assert!(matches!(missing, Err(Error::Input { .. })));
}

#[test]
fn neighbours_are_those_of_the_embedding_that_is_named() {
    let mut counts = counts();
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let points = Array2::from_shape_simple_fn((N_OBS, 4), || rng.random_range(-1.0_f32..1.0));
    let wanted = neighbors::neighbors(points.view(), 10).unwrap();
    counts.obsm = vec![
        ("X_umap".to_owned(), points.slice(ndarray::s![.., ..2]).to_owned()),
        ("X_pca_harmony".to_owned(), points),
    ];
    // A graph of the file does not stand in its way.
    counts.neighbors = Some(neighbors::neighbors(layers().1.view(), 10).unwrap());
    let with =
        |name: &str, neighbors| run(&counts, &PreprocessConfig { use_rep: name.to_owned(), neighbors, ..config() });
    let (data, report) = with("X_pca_harmony", GraphSource::Auto).unwrap();
    assert_eq!(data.neighbors, wanted);
    assert!(!data.neighbors_from_file && data.pca.is_empty());
    assert!(report.steps.iter().any(|step| step.name == "neighbors" && step.note.contains("X_pca_harmony")));
    let plain = run(&counts, &PreprocessConfig { neighbors: GraphSource::Compute, ..config() }).unwrap().0;
    assert_eq!((data.genes, data.spliced), (plain.genes, plain.spliced));
    assert!(data.ms != plain.ms);
    let Err(error) = with("X_harmony", GraphSource::Auto) else { panic!("no such embedding") };
    let said = error.to_string();
    assert!(said.contains("preprocess.use_rep") && said.contains("\"X_umap\", \"X_pca_harmony\""), "{said}");
    let Err(error) = with("X_umap", GraphSource::File) else { panic!("two graphs at once") };
    assert!(error.to_string().contains("preprocess.neighbors"), "{error}");
}

#[test]
fn batches_have_as_many_neighbours_each_and_those_that_cannot_are_named() {
    let mut counts = counts();
    let labels = |of: &dyn Fn(usize) -> &'static str| Column::Text((0..N_OBS).map(|i| of(i).to_owned()).collect());
    let of = |i: usize| if i.is_multiple_of(4) { "old" } else { "new" };
    counts.obs.set("run", labels(&of));
    counts.obs.set("few", labels(&|i| if i < 4 { "tiny" } else { "rest" }));
    counts.obs.set("one", labels(&|_| "all"));
    counts.obs.set("gaps", labels(&|i| if i < 3 { "" } else { of(i) }));
    let with =
        |name: &str, n_neighbors| run(&counts, &PreprocessConfig { batch: name.to_owned(), n_neighbors, ..config() });
    let (data, report) = with("run", 11).unwrap();
    assert_eq!(data.neighbors.n_neighbors, 10);
    for i in 0..N_OBS {
        let (cells, _) = data.neighbors.distances.row(i);
        let same = cells.iter().filter(|&&j| of(j as usize) == of(i)).count();
        assert_eq!((same, cells.len()), (4, 9), "cell {i}: itself and four in its batch, five in the other");
    }
    assert!(report.steps.iter().any(|step| step.note.contains("5 in each of 2 run")), "{:?}", report.steps);
    let (data, report) = with("one", 10).unwrap();
    assert_eq!(data.neighbors, run(&counts, &config()).unwrap().0.neighbors);
    assert!(warned(&report, "preprocess.batch"), "{:?}", report.warnings);
    for (name, n_neighbors, wanted) in [
        ("donor", 10, "its columns are: run, few, one, gaps"),
        ("few", 10, "\"tiny\" has 4 cells"),
        ("gaps", 10, "no value in 3 cells"),
        ("run", 3, "at least 4"),
    ] {
        let Err(error) = with(name, n_neighbors) else { panic!("{name}") };
        assert!(error.to_string().contains(wanted) && error.to_string().contains("preprocess."), "{error}");
    }
}

#[test]
fn moments_of_the_file_are_used_where_asked() {
    let mut counts = counts();
    let config = PreprocessConfig { moments: MomentsSource::File, ..config() };
    assert!(matches!(run(&counts, &config), Err(Error::Input { .. })));
    let (ms, mu) = layers();
    counts.moments = Some((mu.clone(), ms.clone()));
    let (data, _) = run(&counts, &config).unwrap();
    assert_eq!(data.ms, ms.select(Axis(1), &data.genes));
    assert_eq!(data.mu, mu.select(Axis(1), &data.genes));
}

#[test]
fn settings_survive_toml_and_unknown_ones_are_refused() {
    let text = toml::to_string(&PreprocessConfig::default()).unwrap();
    assert!(text.contains("recipe = \"scvelo-0.3\"") && text.contains("counts = \"auto\""), "{text}");
    assert_eq!(toml::from_str::<PreprocessConfig>(&text).unwrap(), PreprocessConfig::default());
    let wrong = text.replace("n_pcs", "n_pc");
    assert!(toml::from_str::<PreprocessConfig>(&wrong).unwrap_err().to_string().contains("n_pc"));
    let none = PreprocessConfig { n_neighbors: 1, ..config() };
    assert!(matches!(none.validate(), Err(Error::Setting { .. })));
}
