//! Files that cannot be used are refused in one sentence that says where and what to do, and never in a panic.

use std::fs;
use std::path::{Path, PathBuf};

use nascent::data::{Column, Frame};
use nascent::io::{self, InputConfig, NewFile, OutputConfig, read, write_new};
use nascent::{Error, Result};
use tempfile::TempDir;

use crate::io_samples::{csr, opened, small, words};
use crate::shared::shared;

fn refusal(path: &Path) -> (String, String) {
    let error = read(path, &InputConfig::default()).expect_err("the file cannot be used");
    assert!(matches!(error, Error::Input { .. }), "{error:?}");
    (error.to_string(), error.hint().expect("a hint"))
}

/// The file of `small` after `change`, and the message about it without its path.
fn refused(change: impl FnOnce(&mut NewFile)) -> (String, String) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("bad.h5ad");
    let mut file = small();
    change(&mut file);
    write_new(&path, &OutputConfig::default(), &file).unwrap();
    let (message, hint) = refusal(&path);
    let message = message.strip_prefix(&format!("{}: ", path.display())).map(str::to_owned);
    (message.expect("the message begins with the file"), hint)
}

/// The file of `small` after `edit` on the level of HDF5.
pub(crate) fn edited(edit: impl FnOnce(&hdf5::File)) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("bad.h5ad");
    write_new(&path, &OutputConfig::default(), &small()).unwrap();
    let file = io::h5_options().open_rw(&path).unwrap();
    edit(&file);
    file.close().unwrap();
    (folder, path)
}

pub(crate) fn replace<T: hdf5::H5Type>(file: &hdf5::File, at: &str, values: &[T]) {
    file.unlink(at).unwrap();
    file.new_dataset_builder().with_data(values).create(at).unwrap();
}

#[test]
fn a_missing_layer_is_named_with_those_present() {
    let (message, hint) = refused(|file| {
        file.sparse_layers.remove(1);
    });
    assert_eq!(message, r#"layers["unspliced"]: not found; layers present: "spliced", "true_velocity""#);
    assert_eq!(hint, "name the layers under [input]: --set input.unspliced=NAME");
}

#[test]
fn counts_that_are_none_are_named_by_cell_and_gene() {
    let spoil = |value: f32| refused(move |file| file.sparse_layers[1].1.data[1] = value);
    let (message, hint) = spoil(-2.0);
    assert_eq!(
        message,
        r#"layers["unspliced"]: 1 of 5 entries cannot be counts; the first, cell "c2", gene "g1", is negative (-2)"#
    );
    assert!(hint.contains("raw counts"), "{hint}");
    assert!(spoil(f32::NAN).0.ends_with("is not a number (NaN)"));
    assert!(spoil(f32::INFINITY).0.ends_with("is infinite (inf)"));
}

#[test]
fn repeated_names_are_listed() {
    let (message, hint) = refused(|file| file.var.index = words(&["g1", "g2", "g1"]));
    assert_eq!(message, r#"var: 1 gene names occur more than once: "g1""#);
    assert!(hint.contains("adata.var_names_make_unique()"), "{hint}");
    let (message, hint) = refused(|file| file.obs.index = words(&["c", "c", "d", "d"]));
    assert_eq!(message, r#"obs: 2 cell names occur more than once: "c", "d""#);
    assert!(hint.contains("adata.obs_names_make_unique()"), "{hint}");
}

#[test]
fn files_without_cells_or_genes_are_refused() {
    let empty = |n_obs: usize, n_vars: usize| {
        move |file: &mut NewFile| {
            let kept: Vec<usize> = (0..n_obs).collect();
            let genes: Vec<usize> = (0..n_vars).collect();
            let blank = csr(&vec![[0.0_f32; 3].get(..n_vars).expect("at most 3"); n_obs]);
            let blank = nascent::sparse::Csr { n_cols: n_vars, ..blank };
            *file = NewFile {
                sparse_layers: vec![("spliced".to_owned(), blank.clone()), ("unspliced".to_owned(), blank)],
                obs: file.obs.select(&kept),
                var: file.var.select(&genes),
                ..NewFile::default()
            };
        }
    };
    assert_eq!(refused(empty(0, 3)).0, "obs: there are no cells");
    assert_eq!(refused(empty(4, 0)).0, "var: there are no genes");
}

#[test]
fn files_of_other_kinds_are_told_apart() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    assert!(refusal(&at("nothing.h5ad")).0.ends_with("file: no such file"));

    // What begins a file, what it is, and what gets on.
    let kinds: [(&str, &[u8], &str, &str); 9] = [
        ("counts.csv", b"gene,c1\ng1,1\n", "a table", "nascent import"),
        ("in.h5ad.gz", b"\x1f\x8b\x08rest", "packed with gzip", "gunzip"),
        ("renamed.h5ad", b"\x1f\x8b\x08rest", "packed with gzip", "gunzip"),
        ("store.zip", b"PK\x03\x04rest", "packed with zip", "unzip"),
        ("lfs.h5ad", b"version https://git-lfs.github.com/spec/v1\noid", "a pointer of Git LFS", "git lfs pull"),
        ("page.h5ad", b"<!DOCTYPE html><html>", "a web page", "download it again"),
        ("object.rds", b"\x1f\x8b\x08rest", "an R object", "zellkonverter"),
        ("reads.bam", b"\x1f\x8b\x08rest", "aligned reads", "molecule_info.h5"),
        ("empty.h5ad", b"", "not an HDF5 file", "check its size"),
    ];
    for (name, content, what, next) in kinds {
        fs::write(at(name), content).unwrap();
        let (message, hint) = refusal(&at(name));
        assert!(message.contains("file: this is") && message.contains("not an HDF5 file"), "{message}");
        assert!(message.contains(what) && hint.contains(next), "{name}: {message}: {hint}");
    }
    fs::create_dir(at("store.zarr")).unwrap();
    assert!(refusal(&at("store.zarr")).1.contains("read_zarr"));

    let hdf5: [(&str, &[&str], &str, &str); 4] = [
        ("cells.loom", &["row_attrs", "col_attrs", "layers"], "a loom file", "nascent import"),
        ("several.h5mu", &["obs", "var", "mod"], "MuData", "mudata.read_h5mu"),
        ("object.h5seurat", &["assays", "cell.names", "meta.data"], "Seurat", "zellkonverter"),
        ("tenx.h5", &["matrix"], "a 10x matrix", "molecule_info.h5"),
    ];
    for (name, groups, what, next) in hdf5 {
        let file = io::h5_options().create(at(name)).unwrap();
        for group in groups {
            file.create_group(group).unwrap();
        }
        file.close().unwrap();
        let (message, hint) = refusal(&at(name));
        assert!(message.contains(what) && message.ends_with("not .h5ad") && hint.contains(next), "{message}: {hint}");
    }
    let other = io::h5_options().create(at("other.h5")).unwrap();
    other.create_group("weights").unwrap();
    other.close().unwrap();
    assert!(refusal(&at("other.h5")).0.ends_with(r#"at the top there are: "weights""#));
}

#[test]
fn sparse_matrices_that_contradict_themselves_are_refused() {
    let cases: [(&str, &[i64], &str); 6] = [
        ("indptr", &[0, 2, 3, 4], "one more than rows was expected"),
        ("indptr", &[0, 2, 1, 4, 5], "do not rise"),
        ("indptr", &[1, 2, 3, 4, 5], "do not rise"),
        ("indptr", &[0, 2, 3, 4, 50], "do not rise"),
        ("indices", &[0, 2, 1, 0, 3], "index 3 is out of range"),
        ("indices", &[0, -1, 1, 0, 2], "index -1 is out of range"),
    ];
    for (part, values, problem) in cases {
        let (_folder, path) = edited(|file| replace(file, &format!("layers/spliced/{part}"), values));
        let (message, _) = refusal(&path);
        assert!(message.contains(problem) && message.contains("layers[\"spliced\"]"), "{message}");
    }
    let (_folder, path) = edited(|file| replace(file, "layers/spliced/data", &[1.0_f32, 2.0]));
    assert!(refusal(&path).0.contains("2 values but 5 indices"));
    let (_folder, path) = edited(|file| file.unlink("layers/spliced/data").unwrap());
    assert!(refusal(&path).0.contains("lacks the array `data`"));
}

#[test]
fn shapes_and_lengths_must_agree() {
    let (_folder, path) = edited(|file| {
        file.unlink("layers/spliced").unwrap();
        let values = ndarray::Array2::<f32>::zeros((3, 3));
        let dataset = file.new_dataset::<f32>().shape((3, 3)).create("layers/spliced").unwrap();
        dataset.write_raw(values.as_slice().unwrap()).unwrap();
    });
    assert!(refusal(&path).0.ends_with("the shape is 3 × 3, but obs and var have 4 cells and 3 genes"));
    let (_folder, path) = edited(|file| replace(file, "obs/depth", &[1_i32, 2]));
    assert!(refusal(&path).0.ends_with("obs[\"depth\"]: 2 values for 4 rows"));
    let (_folder, path) = edited(|file| replace(file, "obs/clusters/codes", &[0_i8, 1, 2, 0]));
    assert!(refusal(&path).0.ends_with("obs[\"clusters\"]: code 2 with 2 categories"));
    let (_folder, path) = edited(|file| file.unlink("var/_index").unwrap());
    assert!(refusal(&path).0.contains("var: the names of the rows are missing"));
}

#[test]
fn a_file_cut_short_is_refused_or_read_but_never_panics() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("cut.h5ad");
    write_new(&path, &OutputConfig::default(), &small()).unwrap();
    let whole = fs::read(&path).unwrap();
    let step = whole.len().div_ceil(150);
    for length in (0..whole.len()).step_by(step) {
        fs::write(&path, &whole[..length]).unwrap();
        let outcome: Result<_> = read(&path, &InputConfig::default());
        assert!(outcome.is_err(), "{length} of {} bytes were read", whole.len());
    }
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let (message, hint) = refusal(&path);
    assert!(message.contains("ends too early") && hint.contains("fetch or write it again"), "{message}");
}

#[test]
fn bytes_of_a_matrix_can_be_anything_without_a_panic() {
    // Both layers of `small` have five entries.
    for (name, n) in [("indices", 5), ("indptr", 5), ("data", 5)] {
        for at in 0..n {
            for wrong in [i64::MIN, -1, 1, 3, 1 << 31, i64::MAX] {
                let (_folder, path) = edited(|file| {
                    let place = format!("layers/unspliced/{name}");
                    let mut values = file.dataset(&place).unwrap().read_raw::<i64>().unwrap();
                    values[at] = wrong;
                    replace(file, &place, &values);
                });
                let _ = read(&path, &InputConfig::default());
            }
        }
    }
}

#[test]
fn columns_of_unknown_types_are_left_out_in_reading() {
    let (_folder, path) = edited(|file| {
        let group = file.group("obs").unwrap();
        group.unlink("depth").unwrap();
        group.new_dataset::<f64>().shape((4, 2)).create("depth").unwrap();
    });
    let counts = read(&path, &InputConfig::default()).unwrap();
    let names: Vec<_> = counts.obs.columns.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["share", "kept", "sample", "clusters"]);
}

#[test]
fn a_description_names_everything() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("file.h5ad");
    write_new(&path, &OutputConfig::default(), &small()).unwrap();
    let found = io::describe(&path, &InputConfig::default()).unwrap();
    assert_eq!((found.n_obs, found.n_vars, found.encoding_version.as_deref()), (4, 3, Some("0.1.0")));
    let layers: Vec<_> = found.layers.iter().map(|layer| (layer.name.as_str(), layer.kind, layer.raw_counts)).collect();
    assert_eq!(layers, [("spliced", "csr", true), ("true_velocity", "dense", true), ("unspliced", "csr", true)]);
    assert!((found.layers[0].nonzero_share - 5.0 / 12.0).abs() < 1e-12);
    // 8 of the 23 molecules of `small`.
    assert!((found.unspliced_share.unwrap() - 8.0 / 23.0).abs() < 1e-12);
    let obs: Vec<_> = found.obs.iter().map(|column| (column.name.as_str(), column.kind, column.n_categories)).collect();
    assert_eq!(obs[3..], [("sample", "text", None), ("clusters", "categorical", Some(2))]);
    assert_eq!((found.model, found.raw), (None, false));
    assert!(serde_json::to_string(&io::describe(&path, &InputConfig::default()).unwrap()).is_ok());
}

#[test]
fn shared_files_look_like_raw_counts() {
    let Some(path) = shared("data/pancreas.h5ad") else {
        return;
    };
    let found = io::describe(&path, &InputConfig::default()).unwrap();
    assert!(found.layers.iter().all(|layer| layer.raw_counts));
    let clusters = found.obs.iter().find(|column| column.name == "clusters").expect("clusters");
    assert_eq!(clusters.n_categories, Some(8));
}

#[test]
fn a_frame_of_floats_and_missing_labels_survives() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("file.h5ad");
    let mut file = small();
    let n = 40_000_u32;
    let labels: Vec<String> = (0..300).map(|label| format!("L{label}")).collect();
    file = NewFile {
        obs: Frame {
            index: (0..n).map(|cell| format!("cell{cell}")).collect(),
            columns: vec![(
                "many".to_owned(),
                Column::Categorical {
                    codes: (0..n).map(|cell| (cell % 7 != 0).then_some(cell % 300)).collect(),
                    categories: labels,
                    ordered: false,
                },
            )],
        },
        var: file.var,
        ..NewFile::default()
    };
    write_new(&path, &OutputConfig::default(), &file).unwrap();
    assert_eq!(opened(&path).obs(), &file.obs);
}
