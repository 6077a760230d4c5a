//! Files that anndata wrote are read, and files that we wrote open in anndata. Runs with the Pythons
//! that `NASCENT_PYTHON` names, which `scripts/anndata_pythons` makes; `scripts/check_anndata.py` makes and checks the files.

use std::fs;
use std::path::Path;
use std::process::Command;

use nascent::data::{Column, Counts};
use nascent::io::{GenesWritten, InputConfig, OutputConfig, read};
use nascent::sparse::Csr;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::io_samples::{dataset, full_fit, write};
use crate::shared::pythons;

fn script(python: &str, command: &str, folder: &Path) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/check_anndata.py");
    let output = Command::new(python).arg(path).arg(command).arg(folder).output().expect("Python starts");
    let words = [output.stdout, output.stderr].concat();
    let words = String::from_utf8_lossy(&words);
    eprintln!("{words}");
    assert!(output.status.success(), "check_anndata.py {command} failed:\n{words}");
}

fn full(matrix: &Csr<f32>) -> Value {
    let rows = (0..matrix.n_rows).map(|row| {
        let mut values = vec![0.0; matrix.n_cols];
        let (columns, entries) = matrix.row(row);
        for (&column, &value) in columns.iter().zip(entries) {
            values[column as usize] = f64::from(value);
        }
        values
    });
    rows.collect::<Vec<_>>().into()
}

fn column(column: &Column) -> Value {
    match column {
        Column::Float(values) => json!({"values": values}),
        Column::Int(values) => json!({"values": values}),
        Column::Bool(values) => json!({"values": values}),
        Column::Text(values) => json!({"values": values}),
        Column::Categorical { codes, categories, .. } => {
            let labels: Vec<_> = codes.iter().map(|code| code.map(|at| &categories[at as usize])).collect();
            json!({"labels": labels, "categories": categories})
        }
    }
}

/// Words and truth values with missing ones have only the labels in common with what pandas has.
fn labels_or_values(column: &Value) -> Vec<String> {
    let list = column.get("labels").or_else(|| column.get("values")).and_then(Value::as_array);
    let word = |value: &Value| match value {
        Value::String(word) => word.clone(),
        Value::Bool(flag) => if *flag { "True" } else { "False" }.to_owned(),
        Value::Number(number) => number.as_f64().map_or_else(String::new, |number| number.to_string()),
        other => other.to_string(),
    };
    list.into_iter().flatten().map(word).collect()
}

fn compare(name: &str, counts: &Counts, expected: &Value) {
    for (key, found) in [("spliced", &counts.spliced), ("unspliced", &counts.unspliced)] {
        let wanted: Vec<Vec<Value>> = serde_json::from_value(expected[key].clone()).expect("a matrix");
        let numbers = |value: &Value| value.as_f64().or(value.as_bool().map(|flag| f64::from(u8::from(flag))));
        let wanted: Vec<Vec<Option<f64>>> = wanted.iter().map(|row| row.iter().map(numbers).collect()).collect();
        assert_eq!(full(found), json!(wanted), "{name}: {key}");
    }
    assert_eq!(counts.x.as_ref().map_or(Value::Null, full), expected["x"], "{name}: X");
    assert_eq!(json!(counts.obs.index), expected["obs_names"], "{name}: names of cells");
    for (axis, frame) in [("obs", &counts.obs), ("var", &counts.var)] {
        let wanted = expected[axis].as_object().expect("columns");
        let found: Vec<_> = frame.columns.iter().map(|(name, _)| name).collect();
        assert_eq!(found.len(), wanted.len(), "{name}: {axis} has {found:?}");
        for (key, wanted) in wanted {
            let found = column(frame.get(key).unwrap_or_else(|| panic!("{name}: {axis} lacks {key}")));
            let same = found == *wanted || labels_or_values(&found) == labels_or_values(wanted);
            assert!(same, "{name}: {axis}[{key:?}] is {found}, wanted {wanted}");
        }
    }
    let wanted = expected["obsm"].as_object().expect("arrays");
    assert_eq!(counts.obsm.len(), wanted.len(), "{name}: obsm");
    for (key, found) in &counts.obsm {
        let rows: Vec<Vec<f64>> = serde_json::from_value(wanted[key].clone()).expect("a matrix");
        let wanted: Vec<f64> = rows.concat();
        let close = found.iter().zip(&wanted).all(|(&a, b)| (f64::from(a) - b).abs() < 1e-6 * b.abs().max(1.0));
        assert!(close && found.len() == wanted.len(), "{name}: obsm[{key:?}]");
    }
    let n_neighbors = counts.neighbors.as_ref().map(|graph| graph.n_neighbors);
    assert_eq!(json!(n_neighbors), expected["n_neighbors"], "{name}: neighbours");
}

#[test]
fn files_go_to_and_from_anndata_unharmed() {
    for python in pythons() {
        there_and_back(&python);
    }
}

fn there_and_back(python: &str) {
    let folder = TempDir::new().unwrap();
    script(python, "make", folder.path());
    let expected = fs::read_to_string(folder.path().join("expected.json")).unwrap();
    let expected: serde_json::Map<String, Value> = serde_json::from_str(&expected).unwrap();
    assert!(expected.len() > 20, "{} files", expected.len());
    for (name, expected) in &expected {
        let input = folder.path().join(format!("{name}.h5ad"));
        let counts = read(&input, &InputConfig::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        compare(name, &counts, expected);
        let data = dataset(counts.n_obs(), &[1, 3, 4], counts.n_vars(), true);
        let fit = full_fit(counts.n_obs(), 3);
        for (mode, genes) in [("all", GenesWritten::All), ("fitted", GenesWritten::Fitted)] {
            let out = folder.path().join("out").join(mode);
            fs::create_dir_all(&out).unwrap();
            let output = out.join(format!("{name}.h5ad"));
            let config = OutputConfig { genes, ..OutputConfig::default() };
            let written = write(&output, &input, &config, &data, &fit);
            let written = written.unwrap_or_else(|error| panic!("{name}, {mode}: {error}"));
            if !written.uncut.is_empty() {
                eprintln!("{name}: left out {:?}", written.uncut);
            }
        }
    }
    script(python, "check", folder.path());
}
