//! Batches do not depend on where their cells are kept: on the device, sparse in memory, in a file.

use std::path::Path;
use std::sync::Arc;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use nascent::Error;
use nascent::data::{CellSource, Counts, Frame, Run, Silent, stream};
use nascent::io::{CellStream, InputConfig, NewFile, OutputConfig, write_new};
use nascent::models::velovae::Velovae;
use nascent::nn::draws::Draws;
use nascent::sparse::Csr;
use nascent::train::{
    Batch, BatchSource, CountData, CountStream, Loss, Monitored, Objective, Pass, Split, Stage, TrainConfig, Trainer,
    TrainingData, WithColumns,
};
use rand_chacha::ChaCha8Rng;

const N_OBS: usize = 700;
const N_VARS: usize = 9;
/// The genes that are trained on.
const KEPT: [usize; 5] = [0, 2, 3, 6, 8];

/// Counts from 1 to 6 in about two of five places; some cells have none.
fn counts(layer: usize) -> Csr<f32> {
    let mix = |cell: usize, gene: usize| (cell * 37 + gene * 11 + layer * 5).wrapping_mul(2_654_435_761) >> 9;
    let row = |cell: usize| {
        let genes = (0..N_VARS).filter(|&gene| cell % 50 != 7 && mix(cell, gene) % 5 < 2);
        genes.map(|gene| (gene as u32, (1 + mix(cell, gene) % 6) as f32)).collect()
    };
    Csr::from_rows(N_VARS, &(0..N_OBS).map(row).collect::<Vec<Vec<_>>>())
}

fn frame(prefix: &str, n: usize) -> Frame {
    Frame { index: (0..n).map(|i| format!("{prefix}{i}")).collect(), columns: Vec::new() }
}

/// A file with `counts(0)` unspliced and `counts(1)` spliced.
fn file(folder: &Path) -> Arc<dyn CellSource> {
    let path = folder.join("cells.h5ad");
    let sparse_layers = [("unspliced", 0), ("spliced", 1)].map(|(name, layer)| (name.to_owned(), counts(layer)));
    let new = NewFile {
        sparse_layers: sparse_layers.into(),
        obs: frame("c", N_OBS),
        var: frame("g", N_VARS),
        ..NewFile::default()
    };
    write_new(&path, &OutputConfig::default(), &new).expect("written");
    Arc::new(CellStream::open(&path, &InputConfig::default()).expect("it can be read"))
}

fn kept(layer: usize) -> Csr<f32> {
    counts(layer).select_columns(&KEPT)
}

fn numbers() -> Vec<f64> {
    (0..N_OBS).map(|cell| cell as f64 / 8.0).collect()
}

fn names() -> Vec<String> {
    KEPT.map(|gene| format!("g{gene}")).to_vec()
}

fn dense() -> TrainingData {
    let [u, s] = [kept(0).to_dense(), kept(1).to_dense()];
    TrainingData::from_abundance(u.view(), s.view(), names(), &Device::flex()).with_numbers("number", &numbers())
}

fn sparse() -> CountData {
    CountData::new([kept(0), kept(1)], names(), &Device::flex())
        .expect("layers agree")
        .with_numbers("number", &numbers())
}

/// With room for `bytes` of cells.
fn streamed(source: &Arc<dyn CellSource>, bytes: usize) -> CountStream {
    CountStream::new(Arc::clone(source), &KEPT, bytes, &Device::flex()).with_numbers("number", &numbers())
}

fn bits(batch: &Batch) -> Vec<u32> {
    let values = [batch.u.clone(), batch.s.clone(), batch.column("number")];
    let of = |values: Tensor<2>| values.into_data_as::<f32>().try_into_vec::<f32>().expect("numbers");
    values.into_iter().flat_map(of).map(f32::to_bits).collect()
}

fn passed(source: &dyn BatchSource, batches: &[Vec<usize>]) -> Vec<Vec<u32>> {
    source.pass(batches).map(|batch| bits(&batch.expect("it can be read"))).collect()
}

/// Training cells: not those of every fifth place.
fn training() -> Vec<usize> {
    (0..N_OBS).filter(|cell| cell % 5 != 2).collect()
}

fn room() -> [usize; 3] {
    let folder = tempfile::tempdir().expect("a folder");
    let source = file(folder.path());
    let least = CountStream::smallest(source.as_ref(), KEPT.len());
    [least, 2 * least, 1 << 30]
}

#[test]
fn batches_of_one_order_are_the_same_bits_from_the_device_from_memory_and_from_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = file(folder.path());
    for bytes in room() {
        let streamed = streamed(&source, bytes);
        let mine = streamed.deal(&training(), 32, &mut stream(3, "order", 0));
        let theirs = dense().deal(&training(), 32, &mut stream(3, "order", 0));
        let rising: Vec<Vec<usize>> = (0..N_OBS).collect::<Vec<_>>().chunks(100).map(<[usize]>::to_vec).collect();
        let repeated = vec![vec![5, 5, 699], vec![0], vec![5]];
        for order in [mine, theirs, rising, repeated, Vec::new()] {
            let wanted = passed(&dense(), &order);
            assert_eq!(wanted, passed(&sparse(), &order));
            assert_eq!(wanted, passed(&streamed, &order));
            for rows in &order {
                let wanted = bits(&dense().batch(rows));
                // Twice: the second time it is remembered.
                assert_eq!(wanted, bits(&streamed.batch(rows).expect("readable")));
                assert_eq!(wanted, bits(&streamed.batch(rows).expect("readable")));
            }
        }
    }
}

#[test]
fn an_epoch_has_every_training_cell_once_in_an_order_that_follows_from_seed_and_budget() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = file(folder.path());
    for bytes in room() {
        let deal = |seed| streamed(&source, bytes).deal(&training(), 32, &mut stream(seed, "order", 0));
        let dealt = deal(0);
        assert_eq!(dealt, deal(0));
        assert_ne!(dealt, deal(1));
        assert_eq!(dealt.len(), dense().deal(&training(), 32, &mut stream(0, "order", 0)).len());
        let mut cells: Vec<usize> = dealt.concat();
        cells.sort_unstable();
        assert_eq!(cells, training());
    }
}

#[test]
fn every_batch_has_cells_of_all_parts_of_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = file(folder.path());
    let dealt = streamed(&source, room()[0]).deal(&training(), 40, &mut stream(0, "order", 0));
    for batch in &dealt {
        let in_part = |part: usize| batch.iter().filter(|&&cell| cell * 4 / N_OBS == part).count();
        assert!((0..4).all(|part| in_part(part) > 0), "{batch:?}");
    }
}

/// Batches in the order of a stream, from memory.
struct InOrderOf<'a> {
    order: &'a CountStream,
    cells: CountData,
}

impl BatchSource for InOrderOf<'_> {
    fn device(&self) -> &Device {
        self.cells.device()
    }
    fn genes(&self) -> &[String] {
        self.cells.genes()
    }
    fn n_obs(&self) -> usize {
        self.cells.n_obs()
    }
    fn batch(&self, rows: &[usize]) -> Result<Batch, Error> {
        self.cells.batch(rows)
    }
    fn pass<'a>(&'a self, batches: &'a [Vec<usize>]) -> Pass<'a> {
        self.cells.pass(batches)
    }
    fn deal(&self, rows: &[usize], size: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<usize>> {
        self.order.deal(rows, size, rng)
    }
}

/// One number per gene, which follows the counts of the cells that it meets.
#[derive(Module, Debug)]
struct Following {
    level: Level,
}

#[derive(Module, Debug)]
struct Level {
    value: Param<Tensor<2>>,
}

impl Following {
    fn new() -> Self {
        let start = TensorData::from([[0.5_f32; KEPT.len()]]);
        let value = Tensor::from_data(start, &Device::flex().autodiff());
        Self { level: Level { value: Param::from_tensor(value) } }
    }

    fn bits(&self) -> Vec<u32> {
        let values = self.level.value.val().into_data_as::<f32>().try_into_vec::<f32>().expect("numbers");
        values.into_iter().map(f32::to_bits).collect()
    }
}

impl Objective for Following {
    fn loss(&self, batch: &Batch, _: usize, draws: &mut Draws<'_>) -> Loss {
        let noise = match draws {
            Draws::Mean => Tensor::zeros_like(&batch.s),
            Draws::Sampled(_) => draws.normal(batch.s.dims(), &batch.s.device()),
        };
        let seen = batch.u.clone() * 0.3 + batch.s.clone() + noise * 0.1 + batch.column("number") * 0.01;
        Loss { total: (self.level.value.val() - seen).square().mean(), terms: Vec::new() }
    }

    fn monitored(&self, batch: &Batch) -> Vec<Monitored> {
        let values = batch.s.clone().into_data_as::<f32>().try_into_vec().expect("numbers");
        vec![Monitored { name: "spliced", per_gene: false, values }]
    }

    fn gene_loss(&self, _: &Batch) -> Tensor<2> {
        self.level.value.val()
    }
}

/// The module after three epochs on `data`, and the losses that were logged.
fn trained(data: &dyn BatchSource) -> Result<(Vec<u32>, String), Error> {
    let folder = tempfile::tempdir().expect("a folder");
    let config = TrainConfig {
        batch_size: 32,
        learning_rate: 0.05,
        weight_decay: 0.0,
        check_every: 1,
        ..Velovae::default().train
    };
    let held_out: Vec<usize> = (0..N_OBS).filter(|cell| cell % 5 == 2).collect();
    let split = Split { train: training(), validation: held_out, test: Vec::new() };
    let mut run = Run::new(folder.path(), 0, String::new(), Box::new(Silent));
    let mut trainer = Trainer::new(&config, &split, &mut run)?;
    let stage = Stage {
        index: 0,
        name: "following".to_owned(),
        epochs: 3,
        groups: vec![config.group("level")],
        clip_norm: 0.0,
    };
    let module = trainer.train(Following::new(), &stage, data)?;
    let log = std::fs::read_to_string(folder.path().join("metrics.jsonl")).expect("a log");
    let losses = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        format!("{} {}\n", line["train/loss"], line["validation/loss"])
    };
    Ok((module.bits(), log.lines().map(losses).collect()))
}

#[test]
fn training_from_a_file_and_from_memory_in_the_same_order_gives_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = file(folder.path());
    for bytes in room() {
        let order = streamed(&source, bytes);
        let from_file = trained(&order).expect("it can be trained");
        let from_memory = trained(&InOrderOf { order: &order, cells: sparse() }).expect("it can be trained");
        assert_eq!(from_file, from_memory);
        assert_ne!(from_file.0, Following::new().bits());
    }
    assert_eq!(trained(&dense()).expect("it can be trained"), trained(&sparse()).expect("it can be trained"));
}

/// A file whose cells from `first_bad` on cannot be read.
struct Damaged {
    counts: Counts,
    first_bad: usize,
}

impl CellSource for Damaged {
    fn obs(&self) -> &Frame {
        &self.counts.obs
    }
    fn var(&self) -> &Frame {
        &self.counts.var
    }
    fn path(&self) -> &Path {
        &self.counts.path
    }
    fn cells(&self, rows: std::ops::Range<usize>) -> Result<[Csr<f32>; 2], Error> {
        if rows.end > self.first_bad {
            return Err(Error::file(self.path(), "read", "the disk is on fire"));
        }
        self.counts.cells(rows)
    }
}

#[test]
fn what_cannot_be_read_ends_training_with_the_error_of_the_file() {
    let counts = Counts {
        path: "cells.h5ad".into(),
        obs: frame("c", N_OBS),
        var: frame("g", N_VARS),
        x: None,
        unspliced: counts(0),
        spliced: counts(1),
        moments: None,
        neighbors: None,
        obsm: Vec::new(),
    };
    let source: Arc<dyn CellSource> = Arc::new(Damaged { counts, first_bad: 600 });
    let error = trained(&streamed(&source, 0)).expect_err("the file is damaged");
    assert_eq!(error.to_string(), "cells.h5ad: cannot read: the disk is on fire");
}
