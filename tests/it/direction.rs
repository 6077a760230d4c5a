//! A direction of time is called determined where counts hold one, and not where they hold none.

use nascent::data::quantities::{LATENT_TIME, SOFT_GRID};
use nascent::data::{Counts, Fit, stream};
use nascent::models::soft_grid::SoftGrid;
use nascent::simulate::{Process, SimulateConfig, Simulation, simulate};
use nascent::sparse::Csr;
use nascent::stats::spearman;
use ndarray::Array2;
use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Gamma, Poisson};

use crate::grid_fits::{in_memory, numbers};

const CELLS: usize = 400;
const GENES: usize = 100;

/// What the model says of `counts`: whether the direction is determined, in how many standard errors, and the times.
fn judged(counts: &Counts) -> (bool, f64, Vec<f64>) {
    let fit = fitted(counts);
    let detail = |key: &str| &fit[SOFT_GRID][key];
    let errors = detail("direction_standard_errors").as_f64().expect("it was not given");
    (detail("direction_determined") == true, errors, fit[LATENT_TIME].to_vec())
}

fn fitted(counts: &Counts) -> Fit {
    let settings = SoftGrid { max_rounds: 10, uncertainty: false, ..SoftGrid::default() };
    in_memory(&settings, counts).expect("the model can be fitted")
}

fn simulation(seed: u64) -> Simulation {
    simulate(&SimulateConfig { cells: CELLS, genes: GENES, seed, ..SimulateConfig::default() }).expect("valid settings")
}

/// The cells of a simulation with other counts, which are drawn around `[u, s]`.
fn drawn(seed: u64, mean: impl Fn(usize, usize) -> [f64; 2], rng: &mut ChaCha8Rng) -> Counts {
    let sizes: Vec<f64> = (0..CELLS).map(|_| (0.3 * rng.random_range(-1.7..1.7_f64)).exp()).collect();
    let mut dense = [(); 2].map(|()| Array2::<f32>::zeros((CELLS, GENES)));
    for cell in 0..CELLS {
        for gene in 0..GENES {
            for (counts, mean) in dense.iter_mut().zip(mean(cell, gene)) {
                let noise: f64 = Gamma::new(10.0, 0.1).expect("valid").sample(rng);
                let mean = (sizes[cell] * mean * noise).max(1e-6);
                counts[[cell, gene]] = Poisson::<f64>::new(mean).expect("above 0").sample(rng) as f32;
            }
        }
    }
    let [unspliced, spliced] = dense.map(|counts| Csr::from_dense(counts.view()));
    Counts { unspliced, spliced, x: None, obsm: Vec::new(), ..simulation(seed).counts }
}

/// Unspliced counts of a simulation shuffled over the cells, gene by gene.
fn shuffled(seed: u64) -> Counts {
    let mut rng = stream(seed, "shuffled", 0);
    let counts = simulation(seed).counts;
    let mut unspliced = counts.unspliced.to_dense();
    for mut gene in unspliced.columns_mut() {
        let mut values = gene.to_vec();
        values.shuffle(&mut rng);
        gene.iter_mut().zip(values).for_each(|(slot, value)| *slot = value);
    }
    Counts { unspliced: Csr::from_dense(unspliced.view()), x: None, ..counts }
}

/// Rates of transcription, splicing and degradation of a gene.
fn rates(rng: &mut impl Rng) -> [f64; 3] {
    [rng.random_range(2.0..20.0), rng.random_range(0.5..1.5), rng.random_range(0.2..0.8)]
}

/// Four groups of cells, each in its own steady state.
fn steady(seed: u64) -> Counts {
    let mut rng = stream(seed, "steady", 0);
    let genes: Vec<([f64; 3], [f64; 4])> =
        (0..GENES).map(|_| (rates(&mut rng), [(); 4].map(|()| rng.random_range(0.05..1.0)))).collect();
    let mean = |cell: usize, gene: usize| {
        let ([alpha, beta, gamma], levels) = genes[gene];
        let alpha = alpha * levels[cell % 4];
        [alpha / beta, alpha / gamma]
    };
    drawn(seed, mean, &mut rng)
}

/// Unspliced abundance in proportion to the spliced abundance of a simulation: change without delay.
fn undelayed(seed: u64) -> Counts {
    let mut rng = stream(seed, "undelayed", 0);
    let spliced = simulation(seed).truth.expect("the default").spliced;
    let ratios: Vec<f64> = (0..GENES).map(|_| rng.random_range(0.2..0.8)).collect();
    let mean = |cell: usize, gene: usize| {
        let s = f64::from(spliced[[cell, gene]]);
        [ratios[gene] * s, s]
    };
    drawn(seed, mean, &mut rng)
}

/// One state, in which each gene of each cell is in a burst of its own, seen in both species.
fn bursts(seed: u64) -> Counts {
    let mut rng = stream(seed, "bursts", 0);
    let genes: Vec<[f64; 3]> = (0..GENES).map(|_| rates(&mut rng)).collect();
    let burst = Gamma::new(0.7, 1.0 / 0.7).expect("valid");
    let levels = Array2::from_shape_fn((CELLS, GENES), |_| burst.sample(&mut rng));
    let mean = |cell: usize, gene: usize| {
        let [alpha, beta, gamma] = genes[gene];
        let alpha = alpha * levels[[cell, gene]];
        [alpha / beta, alpha / gamma]
    };
    drawn(seed, mean, &mut rng)
}

/// A ring around which transcription goes up and down once, and the phase of each cell on it.
fn ring(seed: u64) -> (Counts, Vec<f64>) {
    let mut rng = stream(seed, "ring", 0);
    let genes: Vec<([f64; 3], f64)> =
        (0..GENES).map(|_| (rates(&mut rng), rng.random_range(0.0..std::f64::consts::TAU))).collect();
    let phases: Vec<f64> = (0..CELLS).map(|_| rng.random_range(0.0..std::f64::consts::TAU)).collect();
    // α (1 + .9 cos(t − φ)) at an angular speed of .4: amplitudes fall and phases lag by the two rates.
    let speed = 0.4_f64;
    let mean = |cell: usize, gene: usize| {
        let ([alpha, beta, gamma], phase) = genes[gene];
        let (lag_u, lag_s) = ((speed / beta).atan(), (speed / gamma).atan());
        let angle = phases[cell] - phase;
        let (fall_u, fall_s) = (lag_u.cos(), lag_s.cos());
        [
            alpha / beta * (1.0 + 0.9 * fall_u * (angle - lag_u).cos()),
            alpha / gamma * (1.0 + 0.9 * fall_u * fall_s * (angle - lag_u - lag_s).cos()),
        ]
    };
    (drawn(seed, mean, &mut rng), phases)
}

/// A kind of data without a direction.
type Kind = (&'static str, fn(u64) -> Counts);

const KINDS: [Kind; 4] = [("shuffled", shuffled), ("steady", steady), ("undelayed", undelayed), ("bursts", bursts)];

/// How well times that run once around agree with `phases`, but for where they begin: the length of the mean of `exp(i (phase ∓ time))`
/// forward and backward, 1 if they agree in every cell.
fn around(fit: &Fit, phases: &[f64]) -> [f64; 2] {
    let turn = std::f64::consts::TAU / SoftGrid::default().t_max;
    [1.0, -1.0].map(|way| {
        let angles = fit[LATENT_TIME].iter().zip(phases).map(|(time, phase)| phase - way * turn * time);
        let (cos, sin) = angles.fold((0.0, 0.0), |(cos, sin), angle| (cos + angle.cos(), sin + angle.sin()));
        (cos * cos + sin * sin).sqrt() / phases.len() as f64
    })
}

#[test]
fn cells_on_a_ring_are_put_in_order_around_it_in_the_direction_of_their_kinetics() {
    let (counts, phases) = ring(0);
    let fit = fitted(&counts);
    let [forward, backward] = around(&fit, &phases);
    let record = &fit[SOFT_GRID];
    assert!(record["shape"] == "ring" && forward > 0.9, "{}: {forward} forward, {backward} backward", record["shape"]);
    assert_eq!(record["direction_determined"], true);
    let tree = fitted(&simulation(3).counts);
    assert_eq!(tree[SOFT_GRID]["shape"], "tree");
}

#[test]
fn counts_that_hold_no_direction_of_time_do_not_determine_one() {
    for (name, make) in KINDS {
        let (determined, errors, _) = judged(&make(3));
        assert!(!determined, "{name}: {errors} standard errors");
    }
}

/// A simulation of number `at`: one, two and three lineages in turn, of either process, at every depth.
fn with_direction(at: u64) -> Simulation {
    let config = SimulateConfig {
        cells: CELLS,
        genes: GENES,
        seed: 100 + at,
        branches: 1 + (at % 3) as usize,
        process: if at % 4 == 3 { Process::Gillespie } else { Process::Ode },
        repressed: if at.is_multiple_of(2) { 0.4 } else { 0.0 },
        ..SimulateConfig::default()
    };
    simulate(&config).expect("valid settings")
}

#[test]
fn simulated_counts_determine_the_direction_that_they_have() {
    for at in 0..3 {
        let simulation = with_direction(at);
        let (determined, errors, time) = judged(&simulation.counts);
        let truth = numbers(&simulation.counts, "true_t");
        let agreement = spearman(&time, &truth);
        assert!(determined && agreement > 0.95, "{at}: {errors} standard errors, agreement {agreement}");
    }
}

/// The table of models/soft_grid/README.md: `cargo test --release --test it how_often_a_direction -- --ignored --nocapture`.
#[test]
#[ignore = "takes minutes; prints a table"]
fn how_often_a_direction_is_called_determined() {
    for (name, make) in KINDS {
        let errors: Vec<(bool, f64)> = (0..8).map(|seed| judged(&make(seed))).map(|(yes, z, _)| (yes, z)).collect();
        print(name, &errors);
    }
    let found: Vec<(bool, f64)> = (0..20)
        .map(|at| {
            let simulation = with_direction(at);
            let (determined, errors, time) = judged(&simulation.counts);
            let truth = numbers(&simulation.counts, "true_t");
            (determined && spearman(&time, &truth) > 0.9, errors)
        })
        .collect();
    print("with a direction, right and determined", &found);
    let rings: Vec<(bool, f64)> = (0..8)
        .map(|seed| {
            let (counts, phases) = ring(seed);
            let fit = fitted(&counts);
            let [forward, backward] = around(&fit, &phases);
            let record = &fit[SOFT_GRID];
            println!("ring {seed}: {} {forward:.2} forward {backward:.2} backward", record["shape"]);
            let determined = record["direction_determined"] == true;
            (determined && forward > backward, record["direction_standard_errors"].as_f64().expect("not given"))
        })
        .collect();
    print("rings, right and determined", &rings);
}

fn print(name: &str, found: &[(bool, f64)]) {
    let yes = found.iter().filter(|(determined, _)| *determined).count();
    let errors: Vec<String> = found.iter().map(|(_, errors)| format!("{errors:.1}")).collect();
    println!("{name}: {yes} of {} determined; standard errors {}", found.len(), errors.join(" "));
}
