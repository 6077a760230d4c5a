//! Reading and writing `.h5ad`.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use nascent::data::Column;
use nascent::data::quantities::SOFT_GRID;
use nascent::io::{self, GenesWritten, InputConfig, NewFile, OutputConfig, read, read_layer, write_new};
use nascent::{Error, Result};
use ndarray::s;
use serde_json::json;
use tempfile::TempDir;

use crate::io_samples::{counting, dataset, full_fit, opened, small, write};
use crate::shared::shared;

fn load(path: &Path) -> nascent::data::Counts {
    read(path, &InputConfig::default()).expect("the file is readable")
}

fn config(genes: GenesWritten) -> OutputConfig {
    OutputConfig { genes, ..OutputConfig::default() }
}

/// Writes `small` and a result over its genes 0 and 2.
fn written(folder: &TempDir, genes: GenesWritten) -> (std::path::PathBuf, io::Written) {
    let input = folder.path().join("in.h5ad");
    let output = folder.path().join("out.h5ad");
    write_new(&input, &OutputConfig::default(), &small()).expect("a new file");
    let data = dataset(4, &[0, 2], 3, true);
    let outcome = write(&output, &input, &config(genes), &data, &full_fit(4, 2)).expect("a result");
    (output, outcome)
}

#[test]
fn what_is_written_new_is_read_back() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("new.h5ad");
    let file = small();
    write_new(&path, &OutputConfig::default(), &file).unwrap();
    let counts = load(&path);
    assert_eq!(counts.obs, file.obs);
    assert_eq!(counts.var, file.var);
    assert_eq!(counts.x, file.x);
    assert_eq!(counts.spliced, file.sparse_layers[0].1);
    assert_eq!(counts.unspliced, file.sparse_layers[1].1);
    assert_eq!(counts.obsm, file.obsm);
    assert!(counts.moments.is_none() && counts.neighbors.is_none());
    assert_eq!(read_layer(&path, "true_velocity").unwrap(), counting(4, 3));
    let opened = opened(&path);
    assert_eq!((opened.obs(), opened.var()), (&file.obs, &file.var));
    assert!(opened.fit().is_none() && opened.mode().is_empty());
}

/// Golden: `shared/data/README.md`, and the numbers of stored entries as `anndata.read_h5ad` 0.10.9 gives them.
#[test]
fn shared_files_have_their_shapes_and_entries() {
    let golden = [
        ("pancreas.h5ad", 739, 7_192, 1_263_837, 563_203),
        ("dentategyrus_50obs_legacy_format.h5ad", 50, 13_913, 73_907, 11_915),
        ("dentategyrus_50obs.h5ad", 50, 13_913, 73_907, 11_915),
        ("dentategyrus_100obs.h5ad", 100, 13_913, 139_156, 21_353),
        ("pancreas_50obs.h5ad", 50, 27_998, 126_494, 42_367),
        ("scvelo_sim_300x30.h5ad", 300, 30, 8_321, 7_914),
        ("sim_600x200.h5ad", 600, 200, 55_034, 39_459),
    ];
    for (name, n_obs, n_vars, spliced, unspliced) in golden {
        let Some(path) = shared(&format!("data/{name}")) else { return };
        let counts = load(&path);
        let found = (counts.n_obs(), counts.n_vars(), counts.spliced.nnz(), counts.unspliced.nnz());
        assert_eq!(found, (n_obs, n_vars, spliced, unspliced), "{name}");
    }
}

#[test]
fn a_legacy_file_holds_what_its_modern_twin_holds() {
    let names = ["dentategyrus_50obs_legacy_format.h5ad", "dentategyrus_50obs.h5ad"];
    let [Some(old), Some(new)] = names.map(|name| shared(&format!("data/{name}"))) else {
        return;
    };
    let (old, new) = (load(&old), load(&new));
    assert_eq!(old.spliced, new.spliced);
    assert_eq!(old.unspliced, new.unspliced);
    assert_eq!(old.x, new.x);
    assert_eq!((old.obs, old.var), (new.obs, new.var));
}

#[test]
fn results_with_all_genes_are_nan_where_nothing_was_fitted() {
    let folder = TempDir::new().unwrap();
    let (output, outcome) = written(&folder, GenesWritten::All);
    assert_eq!((outcome.only_fitted_genes, outcome.n_vars), (false, 3));
    assert_eq!(outcome.bytes, fs::metadata(&output).unwrap().len());
    let velocity = read_layer(&output, "velocity").unwrap();
    assert_eq!(velocity.slice(s![.., 0]), (counting(4, 2) * -0.25).slice(s![.., 0]));
    assert_eq!(velocity.slice(s![.., 2]), (counting(4, 2) * -0.25).slice(s![.., 1]));
    assert!(velocity.column(1).iter().all(|value| value.is_nan()));

    let file = opened(&output);
    let var = file.var();
    let Some(Column::Float(alpha)) = var.get("fit_alpha") else { panic!("fit_alpha") };
    assert_eq!((alpha[0], alpha[2]), (1.0, 2.0));
    assert!(alpha[1].is_nan());
    assert_eq!(var.get("velocity_genes"), Some(&Column::Bool(vec![true, false, false])));
    let counts = load(&output);
    let before = small();
    assert_eq!(counts.spliced, before.sparse_layers[0].1);
    assert_eq!(counts.obs.columns[..5], before.obs.columns);
}

#[test]
fn results_with_fitted_genes_cut_everything_else_to_them() {
    let folder = TempDir::new().unwrap();
    let (output, outcome) = written(&folder, GenesWritten::Fitted);
    assert_eq!((outcome.only_fitted_genes, outcome.n_vars), (true, 2));
    assert_eq!((outcome.uncut, outcome.left_out, outcome.removed), (Vec::new(), Vec::new(), Vec::new()));
    let counts = load(&output);
    assert_eq!(counts.var.index, ["g1", "g3"]);
    assert_eq!(counts.var.get("symbol"), small().var.select(&[0, 2]).get("symbol"));
    assert_eq!(counts.obs.columns[..5], small().obs.columns);
    let all = nascent::io::read_layer(&folder.path().join("in.h5ad"), "spliced").unwrap();
    assert_eq!(read_layer(&output, "spliced").unwrap(), all.select(ndarray::Axis(1), &[0, 2]));
    assert_eq!(read_layer(&output, "true_velocity").unwrap(), counting(4, 3).select(ndarray::Axis(1), &[0, 2]));
    assert_eq!(read_layer(&output, "fit_t").unwrap(), counting(4, 2) * 6.0);
}

#[test]
fn the_graph_and_the_settings_come_back() {
    let folder = TempDir::new().unwrap();
    let (output, _) = written(&folder, GenesWritten::All);
    let data = dataset(4, &[0, 2], 3, true);
    let file = opened(&output);
    assert_eq!(file.neighbors().unwrap(), Some(("neighbors".to_owned(), data.neighbors)));
    assert!(load(&output).neighbors.is_none(), "what a fit computed is not the user's own");
    let record = file.fit().expect("the file is ours");
    assert_eq!((record.mode.as_str(), record.seed), ("velovae", 3));
    let settings = json!({"seed": 3, "flag": true, "inner": {"rate": 0.5, "names": ["a", "b"], "none": []}});
    assert_eq!(record.settings, settings);
    assert_eq!(record.facts["future_time"], 0.125);
    let params = file.uns("velocity_params").unwrap().expect("scVelo's record");
    assert_eq!(params, json!({"mode": "velovae", "program": record.program}));
}

#[test]
fn the_same_results_give_the_same_bytes_at_any_time() {
    for genes in [GenesWritten::All, GenesWritten::Fitted] {
        let [first, second] = [TempDir::new().unwrap(), TempDir::new().unwrap()];
        let (one, _) = written(&first, genes);
        sleep(Duration::from_millis(1_100));
        let (two, _) = written(&second, genes);
        assert!(fs::read(first.path().join("in.h5ad")).unwrap() == fs::read(second.path().join("in.h5ad")).unwrap());
        assert!(fs::read(one).unwrap() == fs::read(two).unwrap(), "{genes:?}");
    }
}

#[test]
fn the_output_may_be_the_input_and_does_not_grow() {
    let folder = TempDir::new().unwrap();
    let (output, first) = written(&folder, GenesWritten::All);
    let data = dataset(4, &[0, 2], 3, true);
    let mut sizes = vec![first.bytes];
    for _ in 0..3 {
        let outcome = write(&output, &output, &config(GenesWritten::All), &data, &full_fit(4, 2));
        sizes.push(outcome.unwrap().bytes);
    }
    assert!(sizes[3] <= sizes[0] + sizes[0] / 4, "{sizes:?}");
    assert_eq!(load(&output).n_vars(), 3);
}

fn entries(folder: &Path) -> Vec<String> {
    let all = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = all.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_failed_write_leaves_nothing_behind() {
    let folder = TempDir::new().unwrap();
    let input = folder.path().join("in.h5ad");
    write_new(&input, &OutputConfig::default(), &small()).unwrap();
    let data = dataset(4, &[0, 2], 3, false);
    let fit = full_fit(4, 2);
    let attempt = |output: &Path, fit: &_| write(output, &input, &OutputConfig::default(), &data, fit);

    let nowhere = folder.path().join("missing").join("out.h5ad");
    assert!(matches!(attempt(&nowhere, &fit), Err(Error::File { .. })));
    let folder_in_the_way = folder.path().join("folder.h5ad");
    fs::create_dir(&folder_in_the_way).unwrap();
    let error = attempt(&folder_in_the_way, &fit).unwrap_err();
    assert!(error.to_string().contains("a folder is in the way"), "{error}");

    // Fails half-way: all layers are written before the dictionary with the impossible key.
    let output = folder.path().join("out.h5ad");
    fs::write(&output, "what stood here").unwrap();
    let error = attempt(&output, &fit.with(SOFT_GRID, json!({"a/b": 1}))).unwrap_err();
    assert!(matches!(error, Error::File { .. }), "{error}");
    assert_eq!(fs::read_to_string(&output).unwrap(), "what stood here");
    assert_eq!(entries(folder.path()), ["folder.h5ad", "in.h5ad", "out.h5ad"]);
}

#[test]
fn results_of_another_shape_are_refused() -> Result<()> {
    let folder = TempDir::new().unwrap();
    let input = folder.path().join("in.h5ad");
    write_new(&input, &OutputConfig::default(), &small())?;
    let output = folder.path().join("out.h5ad");
    let attempt = |data: &_, fit: &_| write(&output, &input, &OutputConfig::default(), data, fit);
    let cases = [
        attempt(&dataset(4, &[0, 2], 3, false), &full_fit(4, 3)),
        attempt(&dataset(5, &[0, 2], 3, false), &full_fit(5, 2)),
        attempt(&dataset(4, &[0, 3], 4, false), &full_fit(4, 2)),
    ];
    for case in cases {
        assert!(matches!(case, Err(Error::Shape { .. })), "{case:?}");
    }
    assert_eq!(entries(folder.path()), ["in.h5ad"]);
    Ok(())
}

#[test]
fn a_file_without_columns_and_entries_is_written_and_read() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("bare.h5ad");
    let blank = crate::io_samples::csr(&[&[0.0, 0.0], &[0.0, 0.0]]);
    let mut file = small();
    file.obs = file.obs.select(&[0, 1]);
    file.var = file.var.select(&[0, 1]);
    file.obs.columns.clear();
    file.var.columns.clear();
    let file = NewFile {
        sparse_layers: vec![("spliced".to_owned(), blank.clone()), ("unspliced".to_owned(), blank)],
        obs: file.obs,
        var: file.var,
        ..NewFile::default()
    };
    write_new(&path, &OutputConfig::default(), &file).unwrap();
    let counts = load(&path);
    assert_eq!((counts.n_obs(), counts.n_vars(), counts.spliced.nnz()), (2, 2, 0));
    assert!(counts.x.is_none() && counts.obsm.is_empty());
}

#[test]
fn settings_are_strict_and_complete() {
    let default: OutputConfig = toml::from_str("").unwrap();
    assert_eq!(default, OutputConfig::default());
    assert!(toml::from_str::<OutputConfig>("gzip = 4").is_err());
    assert!(toml::from_str::<InputConfig>("splced = \"x\"").is_err());
    let bad = OutputConfig { compression: 10, ..default };
    let message = bad.validate().unwrap_err().to_string();
    assert_eq!(message, "output.compression = 10: must be a gzip level, 0 to 9");
}

#[test]
fn directional_uncertainties_are_columns_with_the_names_of_velovi() {
    let folder = TempDir::new().unwrap();
    let file = opened(&written(&folder, GenesWritten::All).0);
    let names = ["variance", "difference", "cosine_sim_variance", "cosine_sim_difference", "cosine_sim_mean"];
    let mut value = 2.5;
    for suffix in ["", "_extrinsic"] {
        for name in names {
            let name = format!("directional_{name}{suffix}");
            assert_eq!(file.obs().get(&name), Some(&Column::Float(vec![value; 4])), "{name}");
            value += 1.0;
        }
    }
}
