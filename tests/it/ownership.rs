//! A file holds one fit: what an earlier one left is removed, and nothing that comes after believes it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use nascent::data::quantities::{
    FIT_LIKELIHOOD, FIT_T, LATENT_TIME, NASCENT_FIT, SOFT_GRID, Slot, VELOCITY, VELOCITY_GAMMA, VELOCITY_GRAPH, Writer,
    about,
};
use nascent::data::{Column, MomentUnits, Source};
use nascent::io::{self, FittedFile, InputConfig, NewFile, OutputConfig, Owner, Uns, write_new};
use nascent::models::ModelConfig;

use crate::io_samples::{counting, opened, small};
use crate::program::Program;

/// The dynamical model with times of genes, from which `nascent graph` makes one.
const TIMES_OF_GENES: &str = "dynamical --set model.time_scope=gene";

/// Flags that make a fit of each model short.
fn quick(kind: &str) -> String {
    let flags = match kind {
        "velovae" | "velovi" => " --set model.train.epochs=2",
        "soft_grid" => " --set model.max_rounds=4 --set model.choice_rounds=2 --set model.grid=20 --set model.pieces=4",
        _ => "",
    };
    format!("--set model.kind={kind}{flags} --set preprocess.min_shared_counts=5 --set output.layers=all")
}

fn train(program: &Program, kind: &str, from: &str, to: &str) {
    program.succeed(&format!("train --input {from} --output {to} {}", quick(kind)));
}

/// Every element of the six places and the bytes of its values, the records apart: they name the file's own history.
fn elements(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let file = io::h5_options().open(path).unwrap();
    let mut found = BTreeMap::new();
    for slot in Slot::ALL {
        let group = file.group(slot.name()).unwrap();
        for name in group.member_names().unwrap() {
            let mut bytes = Vec::new();
            values(&group, &name, &mut bytes);
            found.insert(format!("{}/{name}", slot.name()), bytes);
        }
    }
    found
}

fn values(parent: &hdf5::Group, name: &str, bytes: &mut Vec<u8>) {
    if let Ok(dataset) = parent.dataset(name) {
        if let Ok(numbers) = dataset.read_raw::<f64>() {
            bytes.extend(numbers.iter().flat_map(|number| number.to_bits().to_le_bytes()));
        } else if let Ok(words) = dataset.read_raw::<hdf5::types::VarLenUnicode>() {
            bytes.extend(words.iter().flat_map(|word| word.as_bytes().to_vec()));
        }
        return;
    }
    let group = parent.group(name).unwrap();
    let mut members = group.member_names().unwrap();
    members.sort();
    for member in &members {
        values(&group, member, bytes);
    }
}

/// The names of results in a file, ours or scVelo's.
fn results(path: &Path) -> BTreeSet<String> {
    let of = |name: &String| {
        let (slot, key) = name.split_once('/').unwrap();
        let slot = Slot::ALL.into_iter().find(|known| known.name() == slot).unwrap();
        about(slot, key).is_some_and(|about| about.writer >= Writer::Preprocess)
    };
    elements(path).into_keys().filter(of).collect()
}

#[test]
fn after_any_model_a_fit_of_any_other_is_what_it_is_on_the_bare_counts() {
    let program = Program::new();
    program.simulate("counts.h5ad", 150, 30, 2);
    for kind in ModelConfig::KINDS {
        train(&program, kind, "counts.h5ad", &format!("{kind}.h5ad"));
    }
    for first in ModelConfig::KINDS {
        // With everything that can follow from a fit.
        program.succeed(&format!(
            "graph {first}.h5ad --genes all --output {first}_graph.h5ad --set graph.transitions.write=true"
        ));
        for second in ModelConfig::KINDS {
            let (name, alone) = (format!("{first}_{second}.h5ad"), format!("{second}.h5ad"));
            train(&program, second, &format!("{first}_graph.h5ad"), &name);
            let path = program.path(&name);
            let written: BTreeSet<String> = opened(&path).fit().expect("ours").written.iter().cloned().collect();
            assert_eq!(results(&path), written, "{first}, then {second}");
            let (found, wanted) = (elements(&path), elements(&program.path(&alone)));
            assert!(found.keys().eq(wanted.keys()), "{first}, then {second}");
            for (key, bytes) in &found {
                assert!(
                    *bytes == wanted[key] || *key == NASCENT_FIT.about().path(NASCENT_FIT.key()),
                    "{first}, then {second}: {key}"
                );
            }
        }
    }
}

#[test]
fn graph_evaluate_and_report_say_nothing_of_an_earlier_fit() {
    let program = Program::new();
    program.simulate("counts.h5ad", 200, 40, 2);
    train(&program, TIMES_OF_GENES, "counts.h5ad", "fit.h5ad");
    assert!(program.succeed("graph fit.h5ad").contains("latent time"));
    train(&program, "steady_state", "fit.h5ad", "fit.h5ad");
    let said = program.succeed("graph fit.h5ad");
    assert!(!said.contains("latent time"), "{said}");
    let scores = program.succeed("evaluate fit.h5ad --json");
    let scores: serde_json::Value = serde_json::from_str(&scores).unwrap();
    assert!(
        scores["mse_train"].is_null() && scores["ll_train"].is_null() && scores["time_spearman"].is_null(),
        "{scores}"
    );

    train(&program, "soft_grid", "fit.h5ad", "fit.h5ad");
    program.succeed("graph fit.h5ad");
    program.succeed("report fit.h5ad");
    let page = |name: &str| std::fs::read_to_string(program.path(name)).unwrap();
    assert!(page("fit.report/report.html").contains("reversed likelihood of the soft grid"));
    train(&program, "velovi", "fit.h5ad", "fit.h5ad");
    // A graph of an earlier fit is none of this one.
    let complaint = program.fail("report fit.h5ad", 2);
    assert!(complaint.contains("nascent graph fit.h5ad"), "{complaint}");
    program.succeed("graph fit.h5ad");
    program.succeed("report fit.h5ad");
    assert!(!page("fit.report/report.html").contains("reversed likelihood of the soft grid"));
}

#[test]
fn a_graph_made_anew_removes_the_earlier_one_and_keeps_what_it_had_to_compute() {
    let program = Program::new();
    program.simulate("counts.h5ad", 200, 40, 2);
    train(&program, TIMES_OF_GENES, "counts.h5ad", "fit.h5ad");
    program.succeed("graph fit.h5ad --set graph.transitions.write=true --set scores.edges=[\"L0_0>L0_1\"]");
    let first = opened(&program.path("fit.h5ad")).graph().expect("a graph").clone();
    for path in ["obsp/T_fwd", "uns/velocity_boundaries", "obs/latent_time", "obsm/X_umap"] {
        assert!(first.written.contains(&path.to_owned()), "{path}: {:?}", first.written);
    }
    program.succeed("graph fit.h5ad --set graph.transitions.write=false --set time.latent.method=median");
    let file = opened(&program.path("fit.h5ad"));
    let second = file.graph().expect("a graph").clone();
    let left: BTreeSet<String> = results(&program.path("fit.h5ad"));
    for path in ["obsp/T_fwd", "uns/velocity_boundaries", "obs/latent_time"] {
        assert!(!left.contains(path), "{path} is left");
    }
    assert!(left.contains("obs/latent_time_median") && left.contains("obsm/X_umap"));
    assert!(second.written.contains(&"obsm/X_umap".to_owned()), "the next fit would not know whose it is");
    assert_eq!(second.latent_time.map(|time| time.key).as_deref(), Some("latent_time_median"));
}

/// A file of cells with neighbours and components of their own, and velocities by `mode`.
fn foreign(
    folder: &Path,
    uns: Vec<(String, Uns)>,
    layers: &[&str],
    change: impl Fn(&mut NewFile),
) -> std::path::PathBuf {
    let mut file = small();
    let (n_obs, n_vars) = (file.obs.index.len(), file.var.index.len());
    file.dense_layers.extend(layers.iter().map(|name| ((*name).to_owned(), counting(n_obs, n_vars))));
    file.uns.extend(uns);
    let numbers = |n: usize| Column::Float(vec![0.5; n]);
    for key in ["fit_alpha", "fit_beta", "fit_gamma", "fit_likelihood", "velocity_gamma", "velocity_r2"] {
        file.var.set(key, numbers(n_vars));
    }
    file.obs.set("latent_time", numbers(n_obs));
    change(&mut file);
    let path = folder.join("foreign.h5ad");
    write_new(&path, &OutputConfig::default(), &file).unwrap();
    path
}

fn mode(word: &str) -> Vec<(String, Uns)> {
    vec![("velocity_params".to_owned(), Uns::Dict(vec![("mode".to_owned(), Uns::Text(word.to_owned()))]))]
}

#[test]
fn keys_of_other_programs_mean_what_the_one_that_made_the_velocities_means() {
    let folder = tempfile::tempdir().unwrap();
    let has = |file: &FittedFile| {
        let columns = [FIT_LIKELIHOOD, VELOCITY_GAMMA, LATENT_TIME].map(|quantity| file.numbers(quantity).is_some());
        (columns, file.has_layer(FIT_T))
    };
    let layers = ["velocity", "fit_t"];
    let dynamical = opened(&foreign(folder.path(), mode("dynamical"), &layers, |_| {}));
    assert_eq!((dynamical.owner(), has(&dynamical)), (&Owner::ScveloDynamical, ([true, false, true], true)));
    let stochastic = opened(&foreign(folder.path(), mode("stochastic"), &layers, |_| {}));
    assert_eq!((stochastic.owner(), has(&stochastic)), (&Owner::ScveloSteadyState, ([false, true, false], false)));
    // veloVI's preprocessing runs scVelo's steady-state model first.
    let velovi =
        opened(&foreign(folder.path(), mode("deterministic"), &["velocity", "fit_t", "latent_time_velovi"], |_| {}));
    assert_eq!((velovi.owner(), has(&velovi)), (&Owner::Velovi, ([false, false, false], true)));
    assert!(velovi.mode() == "velovi" && !velovi.times_on_curve());
    let velovae = opened(&foreign(folder.path(), Vec::new(), &["vae_velocity", "Ms"], |file| {
        let n_obs = file.obs.index.len();
        file.obs.set("vae_time", Column::Float(vec![3.0; n_obs]));
    }));
    assert_eq!(velovae.owner(), &Owner::Velovae("vae".to_owned()));
    assert_eq!(velovae.numbers(LATENT_TIME).map(|time| time[0]), Some(3.0));
    assert!(velovae.layer(VELOCITY).unwrap().is_some());
    let unknown = opened(&foreign(folder.path(), Vec::new(), &layers, |_| {}));
    assert_eq!((unknown.owner(), has(&unknown)), (&Owner::Unknown, ([true, true, true], true)));
}

#[test]
fn velocities_that_another_program_put_into_our_file_are_no_longer_ours() {
    let program = Program::new();
    program.simulate("counts.h5ad", 150, 30, 1);
    train(&program, "dynamical", "counts.h5ad", "fit.h5ad");
    let path = program.path("fit.h5ad");
    assert_eq!(opened(&path).owner(), &Owner::Nascent);
    // What scvelo.tl.velocity does: velocities, and its own record in place of ours.
    let file = io::h5_options().open_rw(&path).unwrap();
    let params = file.group("uns/velocity_params").unwrap();
    params.unlink("program").unwrap();
    file.close().unwrap();
    let file = opened(&path);
    assert_eq!(file.owner(), &Owner::ScveloDynamical);
    assert!(file.fit().is_none() && file.record(SOFT_GRID).unwrap().is_none());
}

#[test]
fn what_is_the_users_own_stays_and_our_neighbours_never_stand_beside_foreign_components() {
    let program = Program::new();
    program.simulate("counts.h5ad", 150, 30, 1);
    let path = program.path("counts.h5ad");
    let counts = io::read(&path, &InputConfig::default()).unwrap();
    let mine = counting(150, 5);
    let file = NewFile {
        x: counts.x,
        sparse_layers: vec![("spliced".to_owned(), counts.spliced), ("unspliced".to_owned(), counts.unspliced)],
        obs: counts.obs,
        var: counts.var,
        obsm: ["X_pca", "X_umap", "velocity_of_my_car"].map(|name| (name.to_owned(), mine.clone())).into(),
        uns: vec![("velocity_notes".to_owned(), Uns::Text("mine".to_owned()))],
        ..NewFile::default()
    };
    write_new(&path, &OutputConfig::default(), &file).unwrap();
    let before = elements(&path);
    train(&program, "steady_state", "counts.h5ad", "fit.h5ad");
    let fitted = opened(&program.path("fit.h5ad"));
    let embeddings = fitted.embeddings().unwrap();
    let names: Vec<&str> = embeddings.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["X_pca", "X_pca_velocity", "X_umap", "velocity_of_my_car"]);
    assert_eq!(fitted.fit().map(|fit| fit.neighbors.source), Some(Source::Computed));
    let after = elements(&program.path("fit.h5ad"));
    assert!(before.iter().all(|(key, bytes)| after[key] == *bytes));
    // And again after another fit and a graph.
    program.succeed("graph fit.h5ad");
    train(&program, "dynamical", "fit.h5ad", "again.h5ad");
    let again = elements(&program.path("again.h5ad"));
    assert!(before.iter().all(|(key, bytes)| again.get(key) == Some(bytes)));
    assert!(!again.contains_key(&VELOCITY_GRAPH.about().path(VELOCITY_GRAPH.key())));
}

#[test]
fn layers_that_nobody_asked_for_are_left_out_and_named() {
    let program = Program::new();
    program.simulate("counts.h5ad", 150, 30, 1);
    let words = "train --input counts.h5ad --output fit.h5ad --set model.kind=soft_grid --set model.max_rounds=4";
    let output = program.run(words);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("not written") && said.contains("fit_s_future"), "{said}");
    let file = opened(&program.path("fit.h5ad"));
    let record = file.fit().expect("ours");
    let layers =
        |paths: &[String]| paths.iter().filter(|path| path.starts_with("layers/")).cloned().collect::<BTreeSet<_>>();
    let needed = ["layers/Ms", "layers/Mu", "layers/velocity", "layers/velocity_cell"];
    assert_eq!(layers(&record.written), needed.map(str::to_owned).into());
    assert!(layers(&record.left_out).contains("layers/fit_s"));
    assert_eq!(record.moments, MomentUnits::CellSize);
    // What was measured of the layers that were left out is kept.
    let scores: serde_json::Value = serde_json::from_str(&program.succeed("evaluate fit.h5ad --json")).unwrap();
    assert!(scores["mse_train"].as_f64().is_some_and(|mse| mse > 0.0), "{scores}");
    program.succeed(&format!("{words} --set output.layers=fit_u,fit_s"));
    let both = opened(&program.path("fit.h5ad"));
    assert!(both.fit().expect("ours").written.contains(&"layers/fit_s".to_owned()));
    let again: serde_json::Value = serde_json::from_str(&program.succeed("evaluate fit.h5ad --json")).unwrap();
    assert_eq!(scores, again, "as measured when the fit was made");
    let complaint = program.fail(&format!("{words} --set output.layers=fit_x"), 2);
    assert!(complaint.contains("output.layers") && complaint.contains("fit_s_future"), "{complaint}");
}
