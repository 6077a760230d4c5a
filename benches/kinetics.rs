//! Kinetics of cells and genes, one call for each pair: what an EM step or a simulation costs.

use divan::{Bencher, black_box, counter::ItemsCount};
use nascent::kinetics::{Rates, State, partials, solve, switch};
use nascent::simulate::{SimulateConfig, simulate};

fn main() {
    divan::main();
}

/// 10,000 pairs of time and rates, spread over the orders of magnitude that occur; every tenth with γ = β.
fn pairs() -> Vec<(f64, Rates)> {
    let pair = |n: u32| {
        let x = f64::from(n) / 10_000.0;
        let beta = 0.2 + 2.0 * (x * 37.0).fract();
        let gamma = if n.is_multiple_of(10) { beta } else { 0.1 + (x * 91.0).fract() };
        (20.0 * x, Rates { alpha: 2.0, beta, gamma })
    };
    (0..10_000).map(pair).collect()
}

fn each<T>(bencher: Bencher, f: impl Fn(f64, Rates) -> T + Sync) {
    let pairs = pairs();
    bencher.counter(ItemsCount::new(pairs.len())).bench(|| {
        for &(tau, rates) in &pairs {
            black_box(f(tau, rates));
        }
    });
}

#[divan::bench]
fn solve_10000(bencher: Bencher) {
    each(bencher, |tau, rates| solve(tau, State { u: 1.0, s: 2.0 }, rates));
}

#[divan::bench]
fn switch_10000(bencher: Bencher) {
    each(bencher, |t, rates| switch(t, 2.0, 9.0, rates));
}

#[divan::bench]
fn partials_10000(bencher: Bencher) {
    each(bencher, |tau, rates| partials(tau, State { u: 1.0, s: 2.0 }, rates));
}

#[divan::bench(sample_count = 5)]
fn simulate_3000_cells_1000_genes(bencher: Bencher) {
    let config = SimulateConfig { cells: 3000, genes: 1000, ..SimulateConfig::default() };
    bencher.bench(|| simulate(&config).expect("the settings are in range"));
}
