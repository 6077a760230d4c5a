//! Preprocessing against scVelo 0.3.4 and scanpy 1.10.4 (scikit-learn 1.5.2, umap-learn 0.5.7), run on the same files:
//! `filter_and_normalize`, `log1p`, `highly_variable_genes`, `pca`, `neighbors`, `moments`, all seeds 0.

use std::collections::HashMap;

use nascent::data::{Column, Counts, Neighbors};
use nascent::io::{self, InputConfig};
use nascent::neighbors::{connectivities, nearest};
use nascent::preprocess::normalize::normalized_layers;
use nascent::preprocess::{GraphSource, PreprocessConfig, Report, run};
use nascent::sparse::Csr;
use ndarray::{Array2, ArrayView2};

use crate::shared::shared;

const PANCREAS: &str = "data/pancreas.h5ad";
const PANCREAS_TOP300: &str = "reference/scvelo_pancreas_top300.h5ad";
const DENTATE: &str = "data/dentategyrus_100obs.h5ad";
const DENTATE_GOLDEN: &str = "reference/scvelo_dentategyrus_100obs.h5ad";
const SIM: &str = "data/scvelo_sim_300x30.h5ad";
const SIM_GOLDEN: &str = "reference/scvelo_sim_300x30.h5ad";

fn top(n_top_genes: usize) -> PreprocessConfig {
    PreprocessConfig { n_top_genes, ..PreprocessConfig::default() }
}

/// The content of a file relative to the shared folder; `None` without that folder.
fn read(name: &str) -> Option<Counts> {
    Some(io::read(&shared(name)?, &InputConfig::default()).unwrap())
}

/// A run of scVelo: its input, what it wrote, and the settings that match.
struct Case {
    name: &'static str,
    input: Counts,
    golden: Counts,
    config: PreprocessConfig,
}

fn cases() -> Vec<Case> {
    let all = [
        (PANCREAS, PANCREAS_TOP300, top(300)),
        (DENTATE, DENTATE_GOLDEN, top(0)),
        (SIM, SIM_GOLDEN, PreprocessConfig { min_shared_counts: 0, ..top(0) }),
    ];
    let open = |(name, golden, config)| Some(Case { name, input: read(name)?, golden: read(golden)?, config });
    all.into_iter().filter_map(open).collect()
}

fn stored_graph(golden: &Counts) -> &Neighbors {
    golden.neighbors.as_ref().unwrap()
}

fn stored_components(golden: &Counts) -> &Array2<f32> {
    &golden.obsm.iter().find(|(name, _)| name == "X_pca").unwrap().1
}

fn stored_moments(golden: &Counts) -> [(&'static str, &Array2<f32>); 2] {
    let (mu, ms) = golden.moments.as_ref().unwrap();
    [("Mu", mu), ("Ms", ms)]
}

fn largest(values: impl IntoIterator<Item = f32>) -> f32 {
    values.into_iter().fold(0.0, |most, value| most.max(value.abs()))
}

/// Largest difference over the largest value of `wanted`.
fn difference(found: &Array2<f32>, wanted: &Array2<f32>) -> f32 {
    assert_eq!(found.shape(), wanted.shape());
    largest(found - wanted) / largest(wanted.iter().copied())
}

#[test]
fn the_same_genes_are_kept_as_by_scvelo() {
    for Case { name, input, golden, config } in cases() {
        let (data, _) = run(&input, &config).unwrap();
        assert_eq!(data.var.index, golden.var.index, "{name}");
        assert_eq!(data.obs.index, golden.obs.index, "{name}");
    }
}

/// Golden: scanpy's scores of the 3,962 pancreas genes that pass the filter (tests/golden/pancreas_hvg.tsv).
/// scanpy takes them of expm1(log1p(X)) in f32, which moves the seventh digit.
#[test]
fn variable_genes_and_their_scores_agree_with_scanpy() {
    let Some(counts) = read(PANCREAS) else { return };
    let (_, report) = run(&counts, &top(2000)).unwrap();
    let top300 = run(&counts, &top(300)).unwrap().1;
    let position: HashMap<&str, usize> = counts.var.index.iter().map(String::as_str).zip(0..).collect();
    let number = |report: &Report, name: &str, at: usize| match report.genes.get(name) {
        Some(Column::Float(values)) => values[at],
        _ => panic!("no column {name}"),
    };
    let status = |report: &Report| report.genes.get("status").unwrap().to_labels();
    let (status, status300) = (status(&report), status(&top300));

    let rows: Vec<&str> = include_str!("../golden/pancreas_hvg.tsv").lines().skip(2).collect();
    assert_eq!(rows.len(), 3962);
    let mut worst = 0.0_f64;
    for row in rows {
        let fields: Vec<&str> = row.split('\t').collect();
        let at = position[fields[0]];
        for (name, wanted) in ["means", "dispersions", "dispersions_norm"].into_iter().zip(&fields[1..4]) {
            let difference = (number(&report, name, at) - wanted.parse::<f64>().unwrap()).abs();
            worst = worst.max(difference);
            assert!(difference < 1e-5, "{} {name}: {difference}", fields[0]);
        }
        assert_eq!(status300[at] == "kept", fields[4] == "1", "{} in the top 300", fields[0]);
        assert_eq!(status[at] == "kept", fields[5] == "1", "{} in the top 2000", fields[0]);
    }
    eprintln!("scores differ by at most {worst:e}");
    assert_eq!(status.iter().filter(|status| *status == "shared_counts").count(), 7192 - 3962);
}

#[test]
fn cell_sizes_agree_with_scvelo() {
    for Case { name, input, golden, config } in cases() {
        let (data, _) = run(&input, &config).unwrap();
        for (key, sizes) in [("spliced", &data.size_spliced), ("unspliced", &data.size_unspliced)] {
            let wanted = golden.obs.get(&format!("initial_size_{key}")).unwrap().to_numbers().unwrap();
            for (found, wanted) in sizes.iter().zip(&wanted) {
                // 1e-6: scVelo keeps the sums of non-integers in f32.
                assert!((found - wanted).abs() <= 1e-6 * wanted, "{name} {key}: {found} {wanted}");
            }
        }
    }
}

/// The stored layers are the size-normalised ones, except where scVelo took the values for normalised.
#[test]
fn normalised_layers_agree_with_scvelo() {
    for Case { name, input, golden, config } in cases() {
        let (data, _) = run(&input, &config).unwrap();
        assert_eq!(data.raw_counts, name != SIM);
        let (unspliced, spliced) = normalized_layers(&data).unwrap();
        let pairs = [("spliced", spliced, &golden.spliced), ("unspliced", unspliced, &golden.unspliced)];
        for (key, found, wanted) in pairs {
            let difference = difference(&found.to_dense(), &wanted.to_dense());
            assert!(difference < 1e-6, "{name} {key}: {difference}");
        }
    }
}

/// 1e-5 of the largest moment: scVelo multiplies f32 matrices.
#[test]
fn moments_over_the_stored_graph_agree_with_scvelo() {
    for Case { name, mut input, golden, config } in cases() {
        input.neighbors = Some(stored_graph(&golden).clone());
        let config = PreprocessConfig { neighbors: GraphSource::File, ..config };
        let (data, _) = run(&input, &config).unwrap();
        assert!(data.neighbors_from_file);
        for ((key, wanted), found) in stored_moments(&golden).into_iter().zip([&data.mu, &data.ms]) {
            let difference = difference(found, wanted);
            eprintln!("{name} {key}: {difference:e}");
            assert!(difference < 1e-5, "{name} {key}: {difference}");
        }
    }
}

/// Principal components as subspaces: each stored coordinate axis is found again up to its sign.
#[test]
fn principal_components_agree_with_scanpy_up_to_sign() {
    for Case { name, input, golden, config } in cases() {
        let (data, _) = run(&input, &config).unwrap();
        let wanted = stored_components(&golden);
        assert_eq!(data.pca.shape(), wanted.shape(), "{name}");
        let mut worst = 0.0_f32;
        for c in 0..wanted.ncols() {
            let (found, wanted) = (data.pca.column(c), wanted.column(c));
            let sign = found.dot(&wanted).signum();
            let scale = largest(wanted.iter().copied());
            worst = worst.max(largest(&found * sign - wanted) / scale);
        }
        eprintln!("{name}: components differ by {worst:e} of their largest coordinate");
        assert!(worst < 1e-3, "{name}: {worst}");
    }
}

fn shared_share(found: &Csr<f32>, wanted: &Csr<f32>) -> f64 {
    let common: usize =
        (0..wanted.n_rows).map(|i| wanted.row(i).0.iter().filter(|j| found.row(i).0.contains(j)).count()).sum();
    common as f64 / wanted.nnz() as f64
}

#[test]
fn neighbours_in_the_stored_components_agree_with_scanpy() {
    // With at most 50 genes scanpy seeks neighbours among the genes, so the simulation is not compared here.
    for Case { name, golden, .. } in cases().into_iter().filter(|case| case.name != SIM) {
        let wanted = &stored_graph(&golden).distances;
        let found = nearest(stored_components(&golden).view(), 30).unwrap();
        let recall = shared_share(&found, wanted);
        assert!(recall >= 0.9999, "{name}: {recall}");
        let difference = difference(&found.to_dense(), &wanted.to_dense());
        assert!(difference < 1e-5, "{name}: {difference}");
    }
}

#[test]
fn neighbours_from_the_counts_agree_with_scanpy() {
    for Case { name, input, golden, config } in cases() {
        let (data, _) = run(&input, &config).unwrap();
        let recall = shared_share(&data.neighbors.distances, &stored_graph(&golden).distances);
        eprintln!("{name}: recall {recall}");
        assert!(recall >= 0.999, "{name}: {recall}");
    }
}

/// Cells whose bandwidth is above 1, where umap-learn 0.5.7 under numba 0.62 or later finds an infinite one: the golden
/// files have 1 for all their neighbours. Its `fastmath` drops the test for infinity that doubles the bandwidth
/// (lmcinnes/umap issue 1216); without numba it agrees with us.
fn wide(distances: &Csr<f32>) -> Vec<bool> {
    let is_wide = |i| {
        let row = distances.row(i).1;
        let nearest = row.iter().copied().fold(f32::INFINITY, f32::min);
        let sum: f32 = row.iter().map(|d| (nearest - d).exp()).sum();
        sum < 30.0_f32.log2()
    };
    (0..distances.n_rows).map(is_wide).collect()
}

/// 1e-4: umap-learn works in f32 and stops its bisection at 1e-5 of log2 k.
#[test]
fn connectivities_of_the_stored_distances_agree_with_umap_where_umap_is_sound() {
    for Case { name, golden, .. } in cases() {
        let Neighbors { connectivities: wanted, distances, n_neighbors } = stored_graph(&golden);
        let found = connectivities(distances, *n_neighbors);
        assert_eq!(found.indices, wanted.indices, "{name}");
        let wide = wide(distances);
        let (mut worst, mut n_sound) = (0.0_f32, 0);
        for i in 0..found.n_rows {
            let named = |from: usize, to: usize| distances.row(from).0.contains(&u32::try_from(to).unwrap());
            for ((&j, a), b) in found.row(i).0.iter().zip(found.row(i).1).zip(wanted.row(i).1) {
                let j = j as usize;
                if (wide[i] && named(i, j)) || (wide[j] && named(j, i)) {
                    assert!(*b > 0.999_999, "{name}: not umap's infinite bandwidth, {i} {j}");
                } else {
                    worst = worst.max((a - b).abs());
                    n_sound += 1;
                }
            }
        }
        eprintln!("{name}: {n_sound} of {} weights are sound and differ by {worst:e}", found.nnz());
        assert!(worst < 1e-4, "{name}: {worst}");
    }
}

/// From counts to moments without any stored intermediate; the bound holds only while every neighbour is the same.
#[test]
fn moments_from_the_counts_alone_agree_with_scvelo() {
    for Case { name, input, golden, config } in cases() {
        let (data, _) = run(&input, &config).unwrap();
        for ((key, wanted), found) in stored_moments(&golden).into_iter().zip([&data.mu, &data.ms]) {
            let difference = difference(found, wanted);
            eprintln!("{name} {key}: {difference:e}");
            assert!(difference < 1e-5, "{name} {key}: {difference}");
        }
    }
}

#[test]
fn values_that_are_not_whole_numbers_are_not_normalised_and_this_is_said() {
    let Some(sim) = read(SIM) else { return };
    let config = PreprocessConfig { min_shared_counts: 0, ..top(0) };
    let (data, report) = run(&sim, &config).unwrap();
    assert!(!data.raw_counts);
    let said = report.warnings.iter().any(|warning| warning.contains("preprocess.counts = \"raw\""));
    assert!(said, "{:?}", report.warnings);
}

#[test]
fn the_default_settings_run_on_pancreas() {
    let Some(input) = read(PANCREAS) else { return };
    let (data, report) = run(&input, &PreprocessConfig::default()).unwrap();
    assert_eq!((data.n_obs(), data.n_vars()), (739, 2000));
    let finite = |m: ArrayView2<'_, f32>| m.iter().all(|value| value.is_finite());
    assert!(finite(data.ms.view()) && finite(data.mu.view()) && finite(data.pca.view()));
    for step in &report.steps {
        eprintln!("{}: {} genes, {}", step.name, step.n_genes, step.note);
    }
    eprintln!("{:?}", report.warnings);
}
