//! The dynamical model: one gene, 100 genes of 3,000 cells, on one thread.
//!
//! One gene with one round is a start, an E-step and the velocities; each further round adds an M-step and an E-step.

use std::path::Path;

use divan::{Bencher, counter::ItemsCount};
use nascent::data::{Dataset, Run, Silent};
use nascent::models::VelocityModel;
use nascent::models::dynamical::{Dynamical, Genes, Schedule, TimeScope};
use nascent::preprocess::{self, PreprocessConfig};
use nascent::simulate::{SimulateConfig, simulate};

fn main() {
    divan::main();
}

fn data(genes: usize) -> Dataset {
    let config = SimulateConfig { cells: 3000, genes, seed: 1, ..SimulateConfig::default() };
    let counts = simulate(&config).expect("valid settings").counts;
    let settings = PreprocessConfig { n_top_genes: 0, ..PreprocessConfig::default() };
    preprocess::run(&counts, &settings).expect("valid data").0
}

/// Times fits of the first `n_genes` genes of a simulation of 3,000 cells and 100 genes.
fn bench(bencher: Bencher, n_genes: usize, settings: &Dynamical) {
    let mut data = data(100);
    let settings = Dynamical { genes: Genes::All, ..settings.clone() };
    // The graph is that of all genes; only some are fitted.
    data.mu = data.mu.slice(ndarray::s![.., ..n_genes]).to_owned();
    data.ms = data.ms.slice(ndarray::s![.., ..n_genes]).to_owned();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
    bencher.counter(ItemsCount::new(n_genes)).bench(|| {
        pool.install(|| {
            let mut run = Run::new(Path::new("unused"), 0, String::new(), Box::new(Silent));
            settings.fit(&data, &mut run).expect("the model can be fitted")
        })
    });
}

/// One time for each gene.
fn single() -> Dynamical {
    Dynamical { time_scope: TimeScope::Gene, ..Dynamical::default() }
}

#[divan::bench]
fn converged_1x3000(bencher: Bencher) {
    bench(bencher, 1, &single());
}

#[divan::bench]
fn one_round_1x3000(bencher: Bencher) {
    bench(bencher, 1, &Dynamical { max_rounds: 1, ..single() });
}

#[divan::bench]
fn converged_100x3000(bencher: Bencher) {
    bench(bencher, 100, &single());
}

#[divan::bench(sample_count = 5)]
fn compat_100x3000(bencher: Bencher) {
    bench(bencher, 100, &Dynamical { schedule: Schedule::Compat, ..single() });
}

#[divan::bench(sample_count = 5)]
fn shared_100x3000(bencher: Bencher) {
    bench(bencher, 100, &Dynamical { time_scope: TimeScope::Shared, ..single() });
}
