//! Arrows, fields and UMAP against scVelo and umap-learn, from scVelo's own moments, velocities, neighbours and embeddings.

use std::path::Path;

use nascent::embedding::{
    Displacement, FieldKind, FieldSettings, Flow, ProjectionSettings, UmapSettings, arrows, project, umap,
};
use nascent::graph::{Candidates, States, rows};
use nascent::io;
use nascent::neighbors::nearest;
use nascent::sparse::Csr;
use ndarray::{Array2, ArrayView2};
use serde_json::Value;

use crate::embedding::trustworthiness;
use crate::golden::{CASES, array, csr, golden, used};

/// scripts/golden_flow.py.
fn values() -> Value {
    serde_json::from_str(include_str!("../golden/flow.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|x| x.as_f64().expect("a number")).collect()
}

/// scVelo's own graph, both signs.
fn signed(path: &Path, key: &str, n: usize) -> Csr<f32> {
    let [towards, away] = ["graph", "graph_neg"].map(|name| csr(path, &format!("uns/{key}_{name}"), n));
    let part = |graph: &Csr<f32>, i: usize| {
        let (cells, values) = graph.row(i);
        cells.iter().zip(values).map(|(&j, &value)| (i, j as usize, value)).collect::<Vec<_>>()
    };
    let triplets: Vec<_> = (0..n).flat_map(|i| [part(&towards, i), part(&away, i)].concat()).collect();
    Csr::from_triplets(n, n, &triplets).unwrap()
}

/// Mean cosine of the arrows of each cell.
fn cosine(found: &Array2<f64>, stored: &Array2<f32>) -> f64 {
    let norm = |arrow: &[f64]| arrow.iter().map(|x| x * x).sum::<f64>().sqrt();
    let of_cell = |i: usize| {
        let (a, b) = (found.row(i).to_vec(), stored.row(i).mapv(f64::from).to_vec());
        let product: f64 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
        product / (norm(&a) * norm(&b))
    };
    (0..found.nrows()).map(of_cell).sum::<f64>() / found.nrows() as f64
}

/// Golden: scVelo 0.3.4 `tl.velocity_embedding(T=…, autoscale=False)`, scripts/golden_flow.py, on UMAP and on principal components.
/// scVelo correlates in f32, hence the tolerance.
///
/// The arrows stored with scVelo's runs are close, but not equal: there, scipy 1.13 left the diagonal in the transition matrix and
/// took out other transitions (see `transitions` in the script). With that error the same formula gives them to 10⁻⁶ of the
/// longest, up to the factor of scVelo's autoscale.
#[test]
fn arrows_agree_with_scvelo_on_any_embedding_and_for_any_velocity() {
    for name in CASES {
        let Some((path, data)) = golden(name) else { continue };
        let n = data.n_obs();
        let candidates = Candidates::new(&data.neighbors.distances).unwrap();
        for key in ["velocity", "velocity_deterministic", "velocity_stochastic"] {
            let mut graphs = vec![signed(&path, key, n)];
            // scVelo correlates roots of stochastic velocities.
            if key != "velocity_stochastic" {
                let genes = data.var.get(&format!("{key}_genes")).expect("scVelo's column");
                let (x, v) = used(&data.ms, &io::read_layer(&path, key).unwrap(), genes);
                graphs.push(rows(&States::new(x.view()), &candidates, 0..n, v.view()).unwrap());
            }
            for basis in ["umap", "pca"] {
                let coordinates = array(&path, &format!("obsm/X_{basis}"));
                let stored = array(&path, &format!("obsm/{key}_{basis}"));
                for graph in &graphs {
                    let found = project(graph, coordinates.view(), &ProjectionSettings::default()).unwrap();
                    let stored = cosine(&found.arrows, &stored);
                    print!("{name} {key} {basis}: cosine with the stored arrows {stored:.3}; ");
                    assert!(stored > 0.4);
                    same_arrows(&found.arrows, &values()["arrows"][format!("{name} {key} {basis}")]);
                }
            }
        }
    }
}

/// Golden: scVelo 0.3.4 `tl.velocity_embedding(autoscale=False)` with `retain_scale`.
#[test]
fn arrows_of_full_displacement_agree_with_scvelo() {
    let Some((path, data)) = golden("dentategyrus_100obs") else { return };
    let coordinates = array(&path, "obsm/X_pca");
    let genes = data.var.get("velocity_genes").expect("scVelo's column");
    let velocity = io::read_layer(&path, "velocity").unwrap();
    let (states, velocities) = used(&data.ms, &velocity, genes);
    let graph = signed(&path, "velocity", data.n_obs());
    let settings = ProjectionSettings { displacement: Displacement::Full, ..ProjectionSettings::default() };
    let found = arrows(&graph, coordinates.view(), [states.view(), velocities.view()], &settings).unwrap();
    same_arrows(&found.arrows, &values()["retained"]);
}

/// Some dimensions of some arrows, to 10⁻⁴ of the longest of them.
fn same_arrows(found: &Array2<f64>, wanted: &Value) {
    let (mut worst, mut longest) = (0.0_f64, 0.0_f64);
    for (cell, wanted) in wanted.as_object().expect("cells") {
        let found = found.row(cell.parse().expect("a number"));
        for (a, b) in found.iter().zip(numbers(wanted)) {
            worst = worst.max((a - b).abs());
            longest = longest.max(b.abs());
        }
    }
    println!("{worst:.1e} of {longest:.1e}");
    assert!(worst <= 1e-4 * longest && longest > 0.0);
}

/// Golden: scVelo 0.3.4 `compute_velocity_on_grid` of the stored arrows of the pancreas. The same sums in another order.
#[test]
fn fields_agree_with_scvelo() {
    let Some((path, _)) = golden("pancreas_top300") else { return };
    let coordinates = array(&path, "obsm/X_umap");
    let arrows = array(&path, "obsm/velocity_umap").mapv(f64::from);
    for grid in values()["grids"].as_array().expect("grids") {
        let stream = grid["stream"].as_bool().expect("truth");
        let kind = if stream { FieldKind::Stream } else { FieldKind::Grid };
        let density = grid["density"].as_f64().expect("a number");
        let settings = FieldSettings { kind, density, ..FieldSettings::default() };
        let flow = Flow::new(coordinates.view(), arrows.view(), &settings).unwrap();
        let kept = flow.u.iter().filter(|u| !u.is_nan()).count();
        assert_eq!(kept as u64, grid["n_kept"].as_u64().unwrap());
        assert_eq!(kept, flow.v.iter().filter(|v| !v.is_nan()).count());
        if stream {
            for (found, wanted) in [(&flow.x, &grid["x"]), (&flow.y, &grid["y"])] {
                let wanted = numbers(wanted);
                assert!(found.len() == wanted.len() && found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-9));
            }
        }
        let largest = flow.u.iter().chain(&flow.v).filter(|x| x.is_finite()).fold(0.0_f64, |most, x| most.max(x.abs()));
        let at = |axis: &[f64], value: f64| axis.iter().position(|x| (x - value).abs() < 1e-9).expect("a place");
        let mut worst = 0.0_f64;
        for arrow in grid["arrows"].as_array().expect("arrows") {
            let [first, second, u, v] = numbers(arrow).try_into().expect("four");
            let (row, column) =
                if stream { (first as usize, second as usize) } else { (at(&flow.y, second), at(&flow.x, first)) };
            worst = worst.max((flow.u[[row, column]] - u).abs()).max((flow.v[[row, column]] - v).abs());
        }
        println!("density {density}, stream {stream}: {kept} arrows, {:.1e} of the largest", worst / largest);
        assert!(worst < 1e-6 * largest);
    }
}

/// The pancreas, from scVelo's components and connectivities.
fn own_umap(path: &Path, connectivities: &Csr<f32>, seed: u64) -> (Array2<f32>, Array2<f32>) {
    let components = array(path, "obsm/X_pca");
    let places = umap(connectivities, components.view(), &UmapSettings::default(), seed).unwrap();
    (components, places)
}

/// Golden: scikit-learn's trustworthiness of umap-learn 0.5.7's embedding (scanpy's settings), 0.977. Of ours, for any seed, it
/// may be a hundredth less.
#[test]
fn umap_keeps_the_neighbours_of_the_pancreas_as_well_as_umap_learn() {
    let Some((path, data)) = golden("pancreas_top300") else { return };
    let theirs = array(&path, "obsm/X_umap");
    for seed in 0..3 {
        let (components, ours) = own_umap(&path, &data.neighbors.connectivities, seed);
        let of = |places: ArrayView2<'_, f32>| trustworthiness(components.view(), places, 15);
        let (wanted, found) = (of(theirs.view()), of(ours.view()));
        println!("seed {seed}: trustworthiness {found:.4}, umap-learn {wanted:.4}");
        assert!((wanted - values()["trustworthiness"].as_f64().unwrap()).abs() < 1e-3);
        assert!(found > wanted - 0.01);
        // How many of a cell's 15 nearest in the components are among its 15 nearest in the plane.
        let shared = |places: &Array2<f32>| {
            let (a, b) = (nearest(components.view(), 16).unwrap(), nearest(places.view(), 16).unwrap());
            let of_cell = |i| nascent::sparse::shared_entries(a.row(i), b.row(i)).count();
            (0..a.n_rows).map(of_cell).sum::<usize>() as f64 / a.nnz() as f64
        };
        println!("shared neighbours {:.3}, umap-learn {:.3}", shared(&ours), shared(&theirs));
        assert!(shared(&ours) > shared(&theirs) - 0.05);
    }
}
