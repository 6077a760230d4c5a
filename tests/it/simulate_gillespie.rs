//! Counts of single molecules: their law against theory, against the ODE, and against a simulation event by event.

// Exact equality is meant where it is asked for.
#![allow(clippy::float_cmp)]

use nascent::simulate::{Gene, Process, SimulateConfig, Simulation, simulate};
use nascent::sparse::Csr;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha12Rng;
use rand_distr::{Distribution, Exp1};

use crate::simulate::{bits, numbers, simulated, truth};

fn molecules(branches: usize) -> SimulateConfig {
    SimulateConfig {
        cells: 400,
        genes: 120,
        branches,
        seed: 7,
        process: Process::Gillespie,
        ..SimulateConfig::default()
    }
}

/// All entries of a row, zeros included.
fn dense(counts: &Csr<f32>, cell: usize) -> Vec<f64> {
    let mut row = vec![0.0; counts.n_cols];
    let (genes, values) = counts.row(cell);
    for (&gene, &value) in genes.iter().zip(values) {
        row[gene as usize] = f64::from(value);
    }
    row
}

/// Fails if the mean of `differences` is five standard errors from zero.
fn assert_centred(differences: &[f64], what: &str) {
    let n = differences.len() as f64;
    let mean = differences.iter().sum::<f64>() / n;
    let variance = differences.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    let error = (variance / n).sqrt();
    assert!(n > 10_000.0 && mean.abs() < 5.0 * error, "{what}: {mean} ± {error} over {n}");
}

#[test]
fn mean_counts_follow_the_ode_at_every_time_in_every_lineage() {
    let config = SimulateConfig { cells: 4000, capture: 0.6, depth_sd: 0.5, ..molecules(3) };
    let data = simulated(&config);
    let times = numbers(&data.counts.obs, "true_t");
    // One cell in eight is so large that it counts every molecule.
    let shares: Vec<f64> = numbers(&data.counts.obs, "true_size").iter().map(|size| (0.6 * size).min(1.0)).collect();
    assert!((200..800).contains(&shares.iter().filter(|&&share| share == 1.0).count()));
    let truth = truth(&data);
    let species = [(&data.counts.unspliced, &truth.unspliced), (&data.counts.spliced, &truth.spliced)];
    for (counts, abundance) in species {
        for from in [0.0, 2.0, 6.0, 10.0, 14.0] {
            let window = (0..config.cells).filter(|&cell| (from..from + 6.0).contains(&times[cell]));
            let differences: Vec<f64> = window
                .flat_map(|cell| {
                    let means = abundance.row(cell).to_owned();
                    let share = shares[cell];
                    dense(counts, cell).into_iter().zip(means).map(move |(count, mean)| count - share * f64::from(mean))
                })
                .collect();
            assert_centred(&differences, &format!("from time {from}"));
        }
    }
}

/// With bursts of mean b, λ = α/b and E[n(n − 1)] = 2b(b − 1), molecules counted with probability c have at steady state
/// Var u / E u = 1 + c (b − 1), Var s / E s = 1 + c (b − 1) β/(β + γ) and Cov(u, s) = c² α (b − 1)/(β + γ)
/// (derived in src/simulate/molecules.rs; without capture as in Singh and Bokes 2012).
#[test]
fn bursts_and_capture_set_the_variance_at_steady_state() {
    for (burst, capture) in [(1.0, 1.0), (5.0, 1.0), (5.0, 0.3)] {
        let base = SimulateConfig { cells: 1500, genes: 150, depth_sd: 0.0, t_max: 400.0, ..molecules(1) };
        let data = simulated(&SimulateConfig { burst, capture, ..base });
        let times = numbers(&data.counts.obs, "true_t");
        let mut differences = [const { Vec::new() }; 3];
        for (cell, &t) in times.iter().enumerate() {
            let (u, s) = (dense(&data.counts.unspliced, cell), dense(&data.counts.spliced, cell));
            for (g, gene) in data.genes.iter().enumerate() {
                let (alpha, beta, gamma) = (gene.rates.alpha, gene.rates.beta, gene.rates.gamma);
                let is_steady = t > gene.t_on + 15.0 / beta.min(gamma) && t < gene.t_off;
                if is_steady {
                    let (mean_u, mean_s) = (capture * alpha / beta, capture * alpha / gamma);
                    let (du, ds) = (u[g] - mean_u, s[g] - mean_s);
                    let excess = capture * (burst - 1.0);
                    let covariance = capture * capture * alpha * (burst - 1.0) / (beta + gamma);
                    differences[0].push(du * du / mean_u - (1.0 + excess));
                    differences[1].push(ds * ds / mean_s - (1.0 + excess * beta / (beta + gamma)));
                    differences[2].push((du * ds - covariance) / (mean_u * mean_s).sqrt());
                }
            }
        }
        for (what, differences) in ["variance of u", "variance of s", "covariance"].iter().zip(&differences) {
            assert_centred(differences, &format!("{what}, burst {burst}, capture {capture}"));
        }
    }
}

/// Steps through the events of one gene until `t`: Gillespie's direct method, begun anew wherever transcription changes.
fn event_by_event(rng: &mut ChaCha12Rng, gene: &Gene, burst: f64, t: f64) -> [u32; 2] {
    let [mut u, mut s] = [0_u32; 2];
    for (from, to, alpha) in [(gene.t_on, gene.t_off.min(t), gene.rates.alpha), (gene.t_off, t, 0.0)] {
        let mut now = from;
        loop {
            let birth = alpha / burst;
            let splicing = gene.rates.beta * f64::from(u);
            let total = birth + splicing + gene.rates.gamma * f64::from(s);
            let wait: f64 = Exp1.sample(rng);
            now += wait / total;
            if now >= to {
                break;
            }
            let event = total * rng.random::<f64>();
            if event < birth {
                u += 1;
                while rng.random::<f64>() > 1.0 / burst {
                    u += 1;
                }
            } else if event < birth + splicing {
                (u, s) = (u - 1, s + 1);
            } else {
                s -= 1;
            }
        }
    }
    [u, s]
}

#[test]
fn counts_have_the_law_of_a_simulation_event_by_event() {
    for (burst, capture) in [(4.0, 1.0), (2.0, 0.4)] {
        let config = SimulateConfig { cells: 4000, genes: 8, depth_sd: 0.0, burst, capture, ..molecules(1) };
        let data = simulated(&config);
        let times = numbers(&data.counts.obs, "true_t");
        let mut rng = ChaCha12Rng::seed_from_u64(1);
        for (g, gene) in data.genes.iter().enumerate() {
            // How often each pair of counts was seen, large ones taken together: ours, theirs.
            let mut table = [[0.0_f64; 2]; 7 * 9];
            for (cell, &t) in times.iter().enumerate() {
                let ours = [&data.counts.unspliced, &data.counts.spliced].map(|counts| dense(counts, cell)[g] as u32);
                let theirs = event_by_event(&mut rng, gene, burst, t)
                    .map(|n| (0..n).map(|_| u32::from(rng.random::<f64>() < capture)).sum());
                for (column, [u, s]) in [ours, theirs].into_iter().enumerate() {
                    table[(u.min(6) * 9 + s.min(8)) as usize][column] += 1.0;
                }
            }
            let seen = table.iter().filter(|[ours, theirs]| ours + theirs >= 10.0);
            let terms: Vec<f64> = seen.map(|[ours, theirs]| (ours - theirs).powi(2) / (ours + theirs)).collect();
            // χ² of two samples of one size: mean and half the variance are the number of classes.
            let (classes, sum) = (terms.len() as f64, terms.iter().sum::<f64>());
            assert!(
                classes > 5.0 && sum < classes + 5.0 * (2.0 * classes).sqrt(),
                "gene {g}: {sum} in {classes} classes"
            );
        }
    }
}

#[test]
fn molecules_are_the_same_for_any_number_of_threads() {
    let config = molecules(3);
    let [alone, two] = [1, 2].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can be started");
        bits(&pool.install(|| simulated(&config)))
    });
    assert_eq!(alone, two);
}

#[test]
fn both_processes_share_genes_cells_and_truth() {
    let of = |process| simulated(&SimulateConfig { process, ..molecules(2) });
    let (ode, gillespie) = (of(Process::Ode), of(Process::Gillespie));
    assert_eq!(ode.truth, gillespie.truth);
    assert_eq!(ode.counts.obs, gillespie.counts.obs);
    // Debug text because missing times are NaN.
    assert_eq!(format!("{:?}", ode.counts.var), format!("{:?}", gillespie.counts.var));
    assert_ne!(ode.counts.spliced, gillespie.counts.spliced);
}

#[test]
fn each_process_ignores_the_noise_of_the_other() {
    let molecules = molecules(2);
    let spread = SimulateConfig { dispersion: 2.0, ..molecules.clone() };
    assert_eq!(bits(&simulated(&molecules)), bits(&simulated(&spread)));
    let ode = SimulateConfig { process: Process::Ode, ..molecules };
    let bursting = SimulateConfig { burst: 50.0, ..ode.clone() };
    assert_eq!(bits(&simulated(&ode)), bits(&simulated(&bursting)));
}

#[test]
fn counts_do_not_depend_on_whether_the_true_layers_are_kept() {
    for process in [Process::Ode, Process::Gillespie] {
        // More cells than one block of them, at this number of genes.
        let with = SimulateConfig { process, cells: 40_000, ..molecules(2) };
        let without = SimulateConfig { truth_layers: false, ..with.clone() };
        let (with, without) = (simulated(&with), simulated(&without));
        let layers = |data: &Simulation| (data.counts.spliced.clone(), data.counts.unspliced.clone());
        assert_eq!(layers(&with), layers(&without));
        assert_eq!(with.counts.obs, without.counts.obs);
        assert_eq!(with.counts.x.as_ref(), Some(&with.counts.spliced));
        assert!(without.counts.x.is_none() && without.truth.is_none());
    }
}

#[test]
fn settings_of_the_process_out_of_range_are_named() {
    for burst in [0.5, f64::NAN, f64::INFINITY] {
        let wrong = simulate(&SimulateConfig { burst, ..molecules(1) }).expect_err("out of range").to_string();
        assert_eq!(wrong, format!("simulate.burst = {burst}: must be from 1 to 10^6"));
    }
    let wrong = "sde".parse::<Process>().expect_err("no such process");
    assert_eq!(wrong.to_string(), r#"simulate.process = "sde": must be ode or gillespie"#);
    assert_eq!(wrong.hint().as_deref(), Some("give another with --process"));
    let many = SimulateConfig { cells: 1 << 31, truth_layers: false, ..molecules(1) };
    let wrong = simulate(&many).expect_err("too large").to_string();
    assert!(
        wrong.starts_with("simulate.cells") && wrong.ends_with("must be at most 10^11 / simulate.genes"),
        "{wrong}"
    );
}

#[test]
fn words_of_the_settings_are_those_of_the_file() {
    for (process, word) in [(Process::Ode, "ode"), (Process::Gillespie, "gillespie")] {
        assert_eq!(word.parse::<Process>().expect("a process"), process);
        assert_eq!(serde_json::to_value(process).expect("a word"), word);
    }
}
