//! What training leaves on disk, whatever happens, on a module whose every number is known.

use std::path::Path;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use nascent::Error;
use nascent::data::{Run, Silent};
use nascent::models::velovae::Velovae;
use nascent::nn::draws::Draws;
use nascent::train::{Batch, Checkpoint, Loss, Monitored, Objective, Split, Stage, TrainConfig, Trainer, TrainingData};
use ndarray::Array2;

/// One number per gene, which each epoch makes smaller by the learning rate.
#[derive(Module, Debug)]
struct Falling {
    level: Level,
    /// Epoch in which the loss is finite and its gradient is not.
    poisoned: usize,
    /// The held-out loss is the logarithm of what the number lies above this; at 0 it is always the same.
    floor: f64,
}

#[derive(Module, Debug)]
struct Level {
    value: Param<Tensor<2>>,
}

impl Falling {
    fn new(poisoned: usize, floor: f64) -> Self {
        let value = Tensor::from_data(TensorData::from([[1.0_f32, 1.0]]), &Device::flex().autodiff());
        Self { level: Level { value: Param::from_tensor(value) }, poisoned, floor }
    }

    fn values(&self) -> Vec<f32> {
        self.level.value.val().into_data_as::<f32>().try_into_vec().expect("numbers")
    }
}

impl Objective for Falling {
    fn loss(&self, _: &Batch, epoch: usize, _: &mut Draws<'_>) -> Loss {
        let value = self.level.value.val();
        let total = if epoch == self.poisoned { (value * 0.0).sqrt() } else { value };
        Loss { total: total.sum(), terms: Vec::new() }
    }

    fn held_out_loss(&self, _: &Batch) -> Loss {
        let value = self.level.value.val();
        let total = if self.floor > 0.0 { (value - self.floor).log() } else { value.ones_like() };
        Loss { total: total.sum(), terms: Vec::new() }
    }

    fn monitored(&self, _: &Batch) -> Vec<Monitored> {
        vec![Monitored { name: "level", per_gene: true, values: self.values() }]
    }

    fn gene_loss(&self, _: &Batch) -> Tensor<2> {
        self.level.value.val()
    }
}

const NEVER: usize = usize::MAX;
const EPOCHS: usize = 6;

fn settings() -> TrainConfig {
    TrainConfig {
        batch_size: 100,
        learning_rate: 0.1,
        weight_decay: 0.0,
        check_every: 1,
        patience: 100,
        checkpoint_seconds: 0.0,
        ..Velovae::default().train
    }
}

/// Trains in `folder`, resuming if there is a checkpoint.
fn train(folder: &Path, module: Falling) -> Result<Falling, Error> {
    let config = settings();
    let moments = Array2::ones((10, 2));
    let genes = vec!["Actb".to_owned(), "Sox2".to_owned()];
    let data = TrainingData::from_abundance(moments.view(), moments.view(), genes, &Device::flex());
    let split = Split { train: (0..8).collect(), validation: vec![8, 9], test: vec![8, 9] };
    let mut run = run(folder);
    let mut trainer = Trainer::new(&config, &split, &mut run)?;
    let groups = vec![config.group("level")];
    let stage = Stage { index: 0, name: "falling".to_owned(), epochs: EPOCHS, groups, clip_norm: 0.0 };
    let module = trainer.restore(module)?;
    let module = trainer.train(module, &stage, &data)?;
    trainer.finish(&module, 0)?;
    Ok(module)
}

fn run(folder: &Path) -> Run {
    Run::new(folder, 0, String::new(), Box::new(Silent)).resuming(true)
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn last(folder: &Path) -> Option<Checkpoint> {
    Checkpoint::load(&run(folder)).expect("what is there can be read")
}

fn epochs_logged(folder: &Path) -> usize {
    std::fs::read_to_string(folder.join("metrics.jsonl")).map_or(0, |text| text.lines().count())
}

#[test]
fn parameters_that_are_not_finite_are_not_saved_and_the_last_good_ones_stay() {
    let folder = folder();
    let error = train(folder.path(), Falling::new(3, 0.0)).expect_err("the gradient is no number").to_string();
    assert!(error.contains("falling, epoch 4") && error.contains("is not finite"), "{error}");
    assert!(error.contains("level.value") && error.contains("level of Actb, Sox2"), "{error}");
    let checkpoint = last(folder.path()).expect("three epochs were good");
    assert_eq!(checkpoint.position.epoch, 3);
    let module = checkpoint.restore(folder.path(), Falling::new(NEVER, 0.0)).expect("it loads");
    assert!(module.values().iter().all(|value| (value - 0.7).abs() < 1e-4), "{:?}", module.values());
}

#[test]
fn parameters_that_were_never_good_leave_no_checkpoint() {
    let folder = folder();
    let error = train(folder.path(), Falling::new(0, 0.0)).expect_err("the gradient is no number");
    assert!(error.hint().expect("a hint").contains("there was no good checkpoint yet"), "{error:?}");
    assert!(last(folder.path()).is_none());
}

#[test]
fn a_held_out_loss_that_is_not_finite_is_never_the_best_and_ends_the_run() {
    // The first look is not finite; a later one is not.
    for (floor, good) in [(5.0, 0), (0.75, 2)] {
        let folder = folder();
        let error = train(folder.path(), Falling::new(NEVER, floor)).expect_err("no logarithm");
        let text = error.to_string();
        assert!(text.contains(&format!("epoch {}", good + 1)) && text.contains("held-out loss"), "{text}");
        assert_eq!(last(folder.path()).map_or(0, |checkpoint| checkpoint.position.epoch), good);
        assert_eq!(epochs_logged(folder.path()), good);
    }
}

#[test]
fn a_run_is_finished_when_no_stage_is_left_and_not_when_one_is_over() {
    let folder = folder();
    train(folder.path(), Falling::new(NEVER, 0.0)).expect("it can be trained");
    let mut checkpoint = Checkpoint::finished(&run(folder.path())).expect("training is over");
    assert!(checkpoint.program_finished && checkpoint.position.finished);
    // As it is on disk between the end of the last stage and the end of the program.
    checkpoint.program_finished = false;
    checkpoint.save(folder.path()).expect("written");
    let error = Checkpoint::finished(&run(folder.path())).err().expect("not finished");
    assert!(error.to_string().contains("epoch 6 of stage 1"), "{error}");
    assert!(error.hint().expect("a hint").contains("--resume"), "{error:?}");
}

#[test]
fn a_run_that_does_nothing_leaves_its_folder_as_it_was() {
    let folder = folder();
    train(folder.path(), Falling::new(NEVER, 0.0)).expect("it can be trained");
    let before = contents(folder.path());
    train(folder.path(), Falling::new(NEVER, 0.0)).expect("there is nothing left to train");
    assert!(before == contents(folder.path()));
}

fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("readable").path();
        if path.is_file() {
            found.push((path.display().to_string(), std::fs::read(&path).expect("readable")));
        }
    }
    found.sort();
    found
}
