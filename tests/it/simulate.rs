// Exact equality is meant where it is asked for.
#![allow(clippy::float_cmp)]

use nascent::data::{Column, Frame};
use nascent::simulate::{Program, SimulateConfig, Simulation, Truth, simulate};
use nascent::sparse::Csr;

pub(crate) fn simulated(config: &SimulateConfig) -> Simulation {
    simulate(config).expect("the settings are in range")
}

fn small(branches: usize) -> SimulateConfig {
    SimulateConfig { cells: 400, genes: 120, branches, seed: 7, ..SimulateConfig::default() }
}

pub(crate) fn numbers(frame: &Frame, name: &str) -> Vec<f64> {
    match frame.get(name) {
        Some(Column::Float(values)) => values.clone(),
        other => panic!("{name}: {other:?}"),
    }
}

pub(crate) fn truth(simulation: &Simulation) -> &Truth {
    simulation.truth.as_ref().expect("the settings ask for it")
}

/// Everything that was drawn, as bits (missing times are NaN, which equal nothing).
pub(crate) fn bits(simulation: &Simulation) -> String {
    let counts = &simulation.counts;
    format!(
        "{:?} {:?} {:?} {:?} {:?} {:?}",
        counts.obs,
        counts.var,
        counts.spliced,
        counts.unspliced,
        counts.obsm[0].1.iter().collect::<Vec<_>>(),
        truth(simulation).velocity.iter().collect::<Vec<_>>(),
    )
}

/// Sum over all entries, zeros included, of `f(mean, count)`; the means are `depth · abundance`.
fn total(
    simulation: &Simulation,
    capture: f64,
    counts: &Csr<f32>,
    abundance: &ndarray::Array2<f32>,
    f: impl Fn(f64, f64) -> f64,
) -> f64 {
    let sizes = numbers(&simulation.counts.obs, "true_size");
    let mut sum = 0.0;
    for (cell, size) in sizes.iter().enumerate() {
        let mut row = vec![0.0; counts.n_cols];
        let (genes, values) = counts.row(cell);
        for (&gene, &value) in genes.iter().zip(values) {
            row[gene as usize] = f64::from(value);
        }
        for (gene, count) in row.into_iter().enumerate() {
            let mean = capture * size * f64::from(abundance[[cell, gene]]);
            sum += f(mean, count);
        }
    }
    sum
}

#[test]
fn the_same_seed_gives_the_same_data_for_any_number_of_threads() {
    let config = small(3);
    let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let many = rayon::ThreadPoolBuilder::new().num_threads(5).build();
    let [alone, many] = [alone, many].map(|pool| {
        let pool = pool.expect("threads can be started");
        bits(&pool.install(|| simulated(&config)))
    });
    assert_eq!(alone, many);
    let other = SimulateConfig { seed: 8, ..config };
    assert_ne!(alone, bits(&simulated(&other)));
}

/// Golden: commit 41ca595, before there was a second process. A sum is compared to one part in 10,000, for where another
/// libm rounds the last digit of `exp` differently single counts may move.
#[test]
fn counts_around_the_ode_are_what_they_always_were() {
    for (branches, golden) in [(1, [49_542.0, 89_848.0]), (3, [52_683.0, 90_844.0])] {
        let counts = simulated(&small(branches)).counts;
        let found = [&counts.unspliced, &counts.spliced]
            .map(|counts| counts.data.iter().map(|&count| f64::from(count)).sum::<f64>());
        let is_close = found.iter().zip(golden).all(|(found, golden)| (found - golden).abs() < 1e-4 * golden);
        assert!(is_close, "{branches}: {found:?}, not {golden:?}");
    }
}

#[test]
fn more_genes_and_cells_leave_the_earlier_ones_as_they_were() {
    let config = small(2);
    let more = SimulateConfig { cells: config.cells + 50, genes: config.genes + 30, ..config.clone() };
    let (less, more) = (simulated(&config), simulated(&more));
    // Debug text because missing times are NaN.
    let genes = &more.genes[..config.genes];
    assert_eq!(format!("{:?}", less.genes), format!("{genes:?}"));
    let [t, t_more] = [&less, &more].map(|x| numbers(&x.counts.obs, "true_t"));
    assert_eq!(t, t_more[..config.cells]);
}

#[test]
fn noise_settings_leave_times_and_genes_as_they_were() {
    let noisy = SimulateConfig { dispersion: 0.8, capture: 0.1, depth_sd: 1.0, capture_noise: 2.0, ..small(2) };
    let (plain, noisy) = (simulated(&small(2)), simulated(&noisy));
    assert_eq!(plain.truth, noisy.truth);
    assert_ne!(plain.counts.spliced, noisy.counts.spliced);
}

#[test]
fn counts_have_the_mean_and_the_variance_of_the_model() {
    for dispersion in [0.0, 0.1, 0.5] {
        let config = SimulateConfig { cells: 3000, dispersion, ..small(1) };
        let data = simulated(&config);
        let truth = truth(&data);
        let layers = [(&data.counts.unspliced, &truth.unspliced), (&data.counts.spliced, &truth.spliced)];
        for (counts, abundance) in layers {
            let sum = |f: &dyn Fn(f64, f64) -> f64| total(&data, 0.5, counts, abundance, f);
            let mean = sum(&|_, count| count) / sum(&|mean, _| mean);
            assert!((mean - 1.0).abs() < 0.01, "mean off by {mean}");
            let variance = |mean: f64| mean + dispersion * mean * mean;
            // Each entry against its own variance, so that no entry outweighs the others. Its s.d. over
            // 360,000 entries is about 0.01 (fourth moments of small means are large).
            let scaled = |mean: f64, count: f64| {
                if mean > 0.05 { (count - mean).powi(2) / variance(mean) } else { 0.0 }
            };
            let entries = sum(&|mean, _| f64::from(u8::from(mean > 0.05)));
            let ratio = sum(&scaled) / entries;
            assert!((ratio - 1.0).abs() < 0.02, "d = {dispersion}: {ratio}");
        }
    }
}

#[test]
fn true_velocity_is_the_slope_of_the_true_curve_in_its_lineage() {
    for branches in 1..=3 {
        let data = simulated(&small(branches));
        let truth = truth(&data);
        let times = numbers(&data.counts.obs, "true_t");
        let labels = data.counts.obs.get("true_branch").expect("a column").to_labels();
        let h = 1e-5;
        let mut kinks = 0;
        for (cell, (&t, label)) in times.iter().zip(&labels).enumerate() {
            let branch: usize = label[1..].parse().expect("L and a number");
            for (g, gene) in data.genes.iter().enumerate() {
                let curve = gene.curve(branch.saturating_sub(1));
                let ((before, _), (after, _)) = (curve.at(t - h), curve.at(t + h));
                let slope = (after.s - before.s) / (2.0 * h);
                let velocity = f64::from(truth.velocity[[cell, g]]);
                let spliced = f64::from(truth.spliced[[cell, g]]);
                // ds/dt has no jump where transcription has one, but its own slope has: h · α · β.
                let close = (slope - velocity).abs() < 1e-6 * (1.0 + velocity.abs() + spliced);
                kinks += usize::from(!close);
                assert!((slope - velocity).abs() < 1e-3, "{cell} {g}: {slope} {velocity}");
            }
        }
        assert!(kinks <= 2, "{kinks}");
    }
}

#[test]
fn lineages_agree_in_the_trunk_and_part_after_it() {
    let config = small(3);
    let data = simulated(&config);
    let t_branch = config.trunk * config.t_max;
    for step in 0..=100 {
        let t = t_branch * f64::from(step) / 100.0;
        for gene in &data.genes {
            let trunk = gene.curve(0).at(t).0;
            assert_eq!(trunk, gene.curve(1).at(t).0);
            assert_eq!(trunk, gene.curve(2).at(t).0);
        }
    }
    for gene in &data.genes {
        let ends = [0, 1, 2].map(|lineage| gene.curve(lineage).at(config.t_max).0);
        let same = ends[0] == ends[1] && ends[1] == ends[2];
        assert_eq!(same, gene.program == Program::Shared, "{gene:?}");
    }
}

#[test]
fn each_program_does_what_it_says() {
    let data = simulated(&SimulateConfig { genes: 400, ..small(3) });
    let count = |program| data.genes.iter().filter(|gene| gene.program == program).count();
    assert!((160..240).contains(&count(Program::Shared)));
    for gene in &data.genes {
        let changed = gene.changes.iter().flatten().count();
        let ends = [0, 1, 2].map(|lineage| gene.curve(lineage).at(20.0).0.u);
        match gene.program {
            Program::Shared => assert_eq!(changed, 0),
            Program::Shift => assert_eq!(changed, 3),
            Program::Gain => {
                assert_eq!(changed, 1);
                assert_eq!(ends.iter().filter(|&&u| u > 0.0).count(), 1);
            }
            Program::Loss => {
                assert_eq!(changed, 1);
                let full = gene.rates.alpha / gene.rates.beta;
                assert_eq!(ends.iter().filter(|&&u| u > 0.9 * full).count(), 2);
            }
        }
        assert!(gene.changes.iter().flatten().all(|&(t, _)| (8.0..=14.0).contains(&t)));
    }
}

#[test]
fn one_lineage_has_the_distributions_of_the_reference_simulation() {
    let data = simulated(&SimulateConfig { cells: 2000, genes: 4000, dispersion: 0.0, ..small(1) });
    let var = |name: &str| numbers(&data.counts.var, name);
    let logs = |name: &str, median: f64| -> (f64, f64) {
        let logs: Vec<f64> = var(name).iter().map(|x| (x / median).ln()).collect();
        let n = f64::from(4000_u16);
        let mean = logs.iter().sum::<f64>() / n;
        let square = logs.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        (mean, square.sqrt())
    };
    // Six standard errors of a mean and of an s.d. at 4000 genes.
    for (name, median, sd) in [("true_alpha", 2.0, 0.8), ("true_beta", 0.8, 0.4), ("true_gamma", 0.4, 0.4)] {
        let (mean, spread) = logs(name, median);
        assert!(mean.abs() < 0.095 * sd, "{name}: {mean}");
        assert!((spread / sd - 1.0).abs() < 0.067, "{name}: {spread}");
    }
    let (on, off) = (var("true_t_on"), var("true_t_off"));
    let from_start = on.iter().filter(|&&t| t == 0.0).count();
    assert!((1420..1780).contains(&from_start), "{from_start} of 4000");
    assert!(on.iter().all(|t| (0.0..12.0).contains(t)));
    assert!(on.iter().zip(&off).all(|(on, off)| (4.0..14.0).contains(&(off - on))));
    let t = numbers(&data.counts.obs, "true_t");
    assert!(t.iter().all(|t| (0.0..20.0).contains(t)));
    let sizes = numbers(&data.counts.obs, "true_size");
    let mean = sizes.iter().sum::<f64>() / 2000.0;
    assert!((mean - 1.0).abs() < 0.045, "{mean}");
    let clusters = data.counts.obs.get("clusters").expect("a column").to_labels();
    for (t, label) in t.iter().zip(clusters) {
        assert_eq!(label, format!("L0_{}", (t / 5.0).floor()));
    }
}

#[test]
fn capture_days_are_coarse_and_noisy_but_follow_time() {
    let data = simulated(&small(2));
    let column = data.counts.obs.get("capture_time").expect("a column");
    let Column::Categorical { categories, .. } = column else { panic!("{column:?}") };
    assert_eq!(categories, &["D0", "D1", "D2", "D3", "D4"]);
    let days = column.to_numbers().expect("labels with numbers");
    let t = numbers(&data.counts.obs, "true_t");
    let right = t.iter().zip(&days).filter(|(t, day)| (*t / 4.0).floor() == **day).count();
    assert!((180..320).contains(&right), "{right} of 400 cells on their day");
    assert!(t.iter().zip(&days).all(|(t, day)| (t / 4.0 - 0.5 - day).abs() < 3.0));
}

#[test]
fn branched_cells_are_labelled_and_drawn_by_lineage() {
    let data = simulated(&small(2));
    let obs = &data.counts.obs;
    let t = numbers(obs, "true_t");
    let branch = obs.get("true_branch").expect("a column").to_labels();
    let clusters = obs.get("clusters").expect("a column").to_labels();
    let (name, drawing) = &data.counts.obsm[0];
    assert_eq!((name.as_str(), drawing.dim()), ("X_true", (400, 2)));
    for cell in 0..400 {
        assert_eq!(branch[cell] == "L0", t[cell] < 8.0);
        assert!(clusters[cell].starts_with(&branch[cell]));
        if t[cell] > 17.0 {
            assert_eq!(drawing[[cell, 1]] > 0.0, branch[cell] == "L2");
        }
    }
    let Some(Column::Categorical { categories, .. }) = obs.get("clusters") else { panic!("labels") };
    assert_eq!(categories, &["L0_0", "L0_1", "L1_0", "L1_1", "L1_2", "L2_0", "L2_1", "L2_2"]);
}

#[test]
fn settings_out_of_range_are_named() {
    let wrong = |change: fn(&mut SimulateConfig)| {
        let mut config = small(1);
        change(&mut config);
        simulate(&config).expect_err("out of range").to_string()
    };
    assert_eq!(wrong(|c| c.branches = 4), "simulate.branches = 4: must be 1, 2 or 3");
    assert!(wrong(|c| c.cells = 0).starts_with("simulate.cells = 0"));
    assert!(wrong(|c| c.cells = 1 << 31).contains("the true layers are dense"));
    assert!(wrong(|c| c.genes = 0).starts_with("simulate.genes = 0"));
    assert!(wrong(|c| c.t_max = f64::NAN).starts_with("simulate.t_max"));
    assert!(wrong(|c| c.trunk = 1.0).starts_with("simulate.trunk"));
    assert!(wrong(|c| c.lineage_genes = -0.1).starts_with("simulate.lineage_genes"));
    assert!(wrong(|c| c.dispersion = f64::INFINITY).starts_with("simulate.dispersion"));
    assert!(wrong(|c| c.capture = 0.0).starts_with("simulate.capture"));
    assert!(wrong(|c| c.depth_sd = -1.0).starts_with("simulate.depth_sd"));
    assert!(wrong(|c| c.capture_days = 0).starts_with("simulate.capture_days"));
    assert!(wrong(|c| c.capture_noise = -1.0).starts_with("simulate.capture_noise"));
}
