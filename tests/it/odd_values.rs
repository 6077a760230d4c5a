//! Values that are not what their place suggests: flags as numbers or words, one layer for both species, an X that holds nothing.

use std::fs;

use hdf5::types::VarLenUnicode;
use nascent::data::{Column, Frame, Groups};
use nascent::io;

use crate::program::{Program, errors};

/// A steady-state fit called `fit.h5ad`.
fn fitted() -> Program {
    let program = Program::new();
    program.simulate("in.h5ad", 80, 30, 1);
    fs::write(program.path("steady.toml"), "[model]\nkind = \"steady_state\"\n").unwrap();
    program.succeed("train steady.toml --input in.h5ad --output fit.h5ad");
    program
}

/// `fit.h5ad` with `values` for its velocity genes, called `name`.
fn with_flags<T: hdf5::H5Type>(program: &Program, name: &str, values: &[T]) {
    fs::copy(program.path("fit.h5ad"), program.path(name)).unwrap();
    let file = io::h5_options().open_rw(program.path(name)).unwrap();
    file.unlink("var/velocity_genes").unwrap();
    file.new_dataset_builder().with_data(values).create("var/velocity_genes").unwrap();
    file.close().unwrap();
}

#[test]
fn velocity_genes_are_the_same_as_truth_values_numbers_and_words() {
    let program = fitted();
    let file = io::FittedFile::open(&program.path("fit.h5ad")).unwrap();
    let flags = file.var().get("velocity_genes").and_then(Column::truths).expect("flags");
    assert!(flags.contains(&true) && flags.contains(&false), "some genes, not all: {flags:?}");
    drop(file);
    let words: Vec<VarLenUnicode> =
        flags.iter().map(|&flag| if flag { "TRUE" } else { "FALSE" }.parse().unwrap()).collect();
    with_flags(&program, "numbers.h5ad", &flags.iter().map(|&flag| i64::from(flag)).collect::<Vec<_>>());
    with_flags(&program, "floats.h5ad", &flags.iter().map(|&flag| f64::from(u8::from(flag))).collect::<Vec<_>>());
    with_flags(&program, "words.h5ad", &words);
    let graph = |name: &str| {
        program.succeed(&format!("graph {name}"));
        let file = io::FittedFile::open(&program.path(name)).unwrap();
        (file.graph().unwrap().n_genes, file.numbers(nascent::data::quantities::VELOCITY_PSEUDOTIME).unwrap())
    };
    let wanted = graph("fit.h5ad");
    assert_eq!(wanted.0, flags.iter().filter(|&&flag| flag).count());
    for name in ["numbers.h5ad", "floats.h5ad", "words.h5ad"] {
        assert_eq!(graph(name), wanted, "{name}");
    }
    with_flags(&program, "scores.h5ad", &(0..flags.len()).map(|at| at as f64).collect::<Vec<_>>());
    let said = program.fail("graph scores.h5ad", 2);
    assert!(said.contains("no column \"velocity_genes\" of truth values"), "{said}");
}

#[test]
fn one_layer_for_both_species_is_refused() {
    let program = fitted();
    let said = program.fail("train steady.toml --input in.h5ad --output out.h5ad --set input.unspliced=spliced", 2);
    assert!(said.contains("input.unspliced = \"spliced\": must be another layer than input.spliced"), "{said}");
}

#[test]
fn an_x_of_zeros_is_no_expression() {
    let program = fitted();
    let zero = |matrix: &str| {
        let file = io::h5_options().open_rw(program.path("in.h5ad")).unwrap();
        let data = file.dataset(&format!("{matrix}/data")).unwrap();
        data.write_raw(&vec![0.0_f32; data.size()]).unwrap();
        file.close().unwrap();
    };
    zero("X");
    let output = program.run("train steady.toml --input in.h5ad --output out.h5ad");
    assert!(output.status.success(), "{}", errors(&output));
    let said = errors(&output);
    assert!(said.contains("X holds zeros alone") && said.contains("spliced counts are used"), "{said}");
}

/// As h5py writes `h5py.Empty`.
#[test]
fn attributes_without_a_value_stay_in_a_file_that_is_cut_to_the_fitted_genes() {
    let program = Program::new();
    let path = program.simulate("in.h5ad", 60, 20, 1);
    let file = io::h5_options().open_rw(&path).unwrap();
    let var = file.group("var").unwrap();
    var.new_attr::<f64>().shape(hdf5::Extents::Null).create("nothing").unwrap();
    drop(var);
    file.close().unwrap();
    program.succeed("train steady_state --input in.h5ad --output out.h5ad --set output.genes=fitted");
    let out = io::h5_options().open(program.path("out.h5ad")).unwrap();
    assert!(out.group("var").unwrap().attr("nothing").unwrap().space().unwrap().is_null());
}

#[test]
fn empty_labels_are_no_group_and_labels_of_one_name_are_one_however_often_a_file_lists_them() {
    let categories = ["b", "", "a", "", "b"].map(str::to_owned).to_vec();
    let codes = [0, 1, 2, 3, 4].map(Some).into_iter().chain([None]).collect();
    let column = Column::Categorical { codes, categories, ordered: false };
    let cells = (0..6).map(|cell| cell.to_string()).collect();
    let obs = Frame { index: cells, columns: vec![("clusters".to_owned(), column)] };
    let groups = Groups::read(&obs, "clusters", "--groups").unwrap();
    assert_eq!(groups.names, ["b", "a"]);
    assert_eq!(groups.of, [Some(0), None, Some(1), None, Some(0), None]);
}
