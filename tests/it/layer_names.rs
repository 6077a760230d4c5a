//! Layers of counts under the field's other names.

use nascent::io;

use crate::program::Program;
use crate::shared::shared;

const STEADY_STATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/configs/steady_state.toml");

#[test]
fn layers_called_mature_and_nascent_are_trained_on_like_spliced_and_unspliced() {
    let program = Program::new();
    let usual = program.simulate("usual.h5ad", 120, 20, 1);
    std::fs::copy(&usual, program.path("kb.h5ad")).unwrap();
    let file = io::h5_options().open_rw(program.path("kb.h5ad")).unwrap();
    file.relink("layers/spliced", "layers/mature").unwrap();
    file.relink("layers/unspliced", "layers/nascent").unwrap();
    file.close().unwrap();
    for name in ["usual", "kb"] {
        program.succeed(&format!("train {STEADY_STATE} --input {name}.h5ad --output {name}_fit.h5ad"));
    }
    let velocity = |name: &str| io::read_layer(&program.path(name), "velocity").expect("velocities");
    let (usual, kb) = (velocity("usual_fit.h5ad"), velocity("kb_fit.h5ad"));
    assert!(usual.iter().zip(&kb).all(|(a, b)| a.to_bits() == b.to_bits()));
    let said = program.run(&format!("train {STEADY_STATE} --input kb.h5ad --output again.h5ad"));
    let said = crate::program::errors(&said);
    assert!(said.contains("layers \"mature\" and \"nascent\" are taken as spliced and unspliced counts"), "{said}");
    // What the user names wins.
    let wrong =
        program.fail(&format!("train {STEADY_STATE} --input kb.h5ad --output x.h5ad --set input.spliced=\"exons\""), 2);
    assert!(wrong.contains("layers[\"exons\"]: not found"), "{wrong}");
}

#[test]
fn inspect_says_which_layers_hold_counts_and_what_is_left_out() {
    let Some(file) = shared("data/pipelines/kb_0.30.2_nac/counts_unfiltered/adata.h5ad") else { return };
    let program = Program::new();
    let said = program.succeed(&format!("inspect {}", file.display()));
    assert!(said.contains("taken are layers \"mature\" and \"nascent\""), "{said}");
    assert!(said.contains("layer \"ambiguous\" is left out: nascent import counts it"), "{said}");
}
