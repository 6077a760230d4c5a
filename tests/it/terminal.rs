//! Names in files are shown, and do not command the terminal.

use nascent::data::Column;
use nascent::io::{self, InputConfig, NewFile, OutputConfig};

use crate::program::Program;

/// Sets the title of a window, clears it, rings, colours.
const TITLE: &str = "\u{1b}]0;pwned\u{7}";
const CLEAR: &str = "\u{9b}2J";

/// A simulated file whose cells, genes, types, columns and layers are called by what terminals obey.
fn made(program: &Program) {
    let path = program.simulate("plain.h5ad", 200, 40, 2);
    let mut counts = io::read(&path, &InputConfig::default()).expect("it was written");
    let rename = |names: &mut Vec<String>| names.iter_mut().for_each(|name| *name = format!("{TITLE}{CLEAR}{name}"));
    rename(&mut counts.obs.index);
    rename(&mut counts.var.index);
    let codes: Vec<Option<u32>> = (0..200).map(|cell| Some(cell % 2)).collect();
    let categories = vec![format!("{TITLE}a"), format!("{CLEAR}b")];
    counts.obs.set("clusters", Column::Categorical { codes, categories, ordered: false });
    counts.obs.set(&format!("{TITLE}column"), Column::Int(vec![1; 200]));
    let file = NewFile {
        counts: vec![
            ("spliced".to_owned(), counts.spliced.clone()),
            ("unspliced".to_owned(), counts.unspliced.clone()),
        ],
        sparse_layers: vec![(format!("{TITLE}layer"), counts.spliced)],
        obs: counts.obs,
        var: counts.var,
        ..NewFile::default()
    };
    io::write_new(&program.path("counts.h5ad"), &OutputConfig::default(), &file).expect("written");
}

#[test]
fn no_command_prints_a_letter_that_a_terminal_obeys() {
    let program = Program::new();
    made(&program);
    let few = "--set preprocess.min_shared_counts=1";
    let mut shown = 0;
    for (words, succeeds) in [
        ("inspect counts.h5ad".to_owned(), true),
        ("inspect counts.h5ad --json".to_owned(), true),
        ("import counts.h5ad --output imported.h5ad".to_owned(), false),
        ("merge counts.h5ad plain.h5ad --replace --output merged.h5ad".to_owned(), false),
        (format!("train --input counts.h5ad --output fit.h5ad --set model.kind=dynamical {few}"), true),
        (format!("train --input counts.h5ad --output other.h5ad --set model.kind=steady_state {few}"), true),
        (format!("train --input counts.h5ad --output x.h5ad --genes {TITLE}nothing"), false),
        ("graph fit.h5ad".to_owned(), true),
        ("graph fit.h5ad --root nowhere".to_owned(), false),
        ("graph fit.h5ad --root clusters=nowhere".to_owned(), false),
        ("evaluate fit.h5ad".to_owned(), true),
        ("evaluate fit.h5ad --json".to_owned(), true),
        ("compare fit.h5ad other.h5ad --groups clusters".to_owned(), true),
        ("report fit.h5ad --with other.h5ad".to_owned(), true),
        ("explain fit.h5ad".to_owned(), true),
        (format!("explain fit.h5ad --genes {TITLE}nothing,{TITLE}{CLEAR}gene_1"), false),
    ] {
        let output = program.run(&words);
        let text = [output.stdout, output.stderr].map(|text| String::from_utf8(text).expect("UTF-8")).concat();
        assert!(output.status.success() || !succeeds, "{words:?}: {text}");
        let obeyed = text.chars().find(|&letter| letter.is_control() && letter != '\n' && letter != '\t');
        assert_eq!(obeyed, None, "{words:?} prints {text:?}");
        shown += usize::from(text.contains("pwned"));
    }
    assert!(shown >= 5, "names are shown, by {shown} commands");
}
