//! Laws of the dynamical model.

#![allow(clippy::ref_option, reason = "parameters of a fit are options")]

use nascent::data::quantities::{
    FIT_ALPHA, FIT_BETA, FIT_GAMMA, FIT_LIKELIHOOD, FIT_LOSS, FIT_LOSS_START, FIT_PVAL_STEADY, FIT_SCALING, FIT_STATUS,
    FIT_T, FIT_TAU, LATENT_TIME, Numbers, Quantity, VELOCITY, VELOCITY_GENES, VELOCITY_U,
};
use nascent::data::{Dataset, Fit, Run, Silent};
use nascent::kinetics::{Rates, switch};
use nascent::models::dynamical::{Dynamical, Genes, Schedule, TimeScope, VelocityFrom};
use nascent::models::{ModelConfig, VelocityModel};
use nascent::preprocess::{self, PreprocessConfig};
use nascent::simulate::{SimulateConfig, simulate};
use nascent::sparse::Csr;
use nascent::stats::{mean, pearson, ranks, spearman};
use ndarray::{Array1, Array2};

const SCHEDULES: [Schedule; 2] = [Schedule::Converged, Schedule::Compat];

fn simulated() -> Dataset {
    let config = SimulateConfig { cells: 400, genes: 40, seed: 7, ..SimulateConfig::default() };
    let counts = simulate(&config).expect("valid settings").counts;
    preprocess::run(&counts, &PreprocessConfig::default()).expect("valid data").0
}

/// One time for each gene.
fn model(schedule: Schedule) -> Dynamical {
    Dynamical { schedule, time_scope: TimeScope::Gene, genes: Genes::All, ..Dynamical::default() }
}

fn fit(settings: &Dynamical, data: &Dataset) -> Fit {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut run = Run::new(folder.path(), 0, String::new(), Box::new(Silent));
    settings.fit(data, &mut run).expect("the model can be fitted")
}

/// Bits of all numbers of a fit, NaN included.
fn bits(fit: &Fit) -> Vec<u64> {
    let layers = [Some(&fit[VELOCITY]), fit.get(VELOCITY_U), fit.get(FIT_T), fit.get(FIT_TAU)];
    let cells = layers.into_iter().flatten().flatten().map(|value| u64::from(value.to_bits()));
    let genes = [&fit[FIT_ALPHA], &fit[FIT_GAMMA], &fit[FIT_LOSS], &fit[FIT_LIKELIHOOD]];
    cells.chain(genes.into_iter().flat_map(|values| values.iter().map(|value| value.to_bits()))).collect()
}

/// `simulated()` with gene 0 on a known curve at times spread evenly over [0, 20], within a few per cent (without any noise every
/// cell beside the curve would count as an outlier, and rest), and a graph that joins cells of nearly the same time.
fn with_known_gene(rates: Rates, t_switch: f64) -> (Dataset, Vec<f64>) {
    let mut data = simulated();
    let n_obs = data.n_obs();
    let times: Vec<f64> = (0..n_obs).map(|cell| 20.0 * (cell as f64 + 0.5) / n_obs as f64).collect();
    for (cell, &t) in times.iter().enumerate() {
        let state = switch(t, 0.0, t_switch, rates);
        let noise = |offset: usize| 1.0 + 0.05 * (((cell * 7 + offset) * 37 % 101) as f64 / 50.0 - 1.0);
        (data.mu[[cell, 0]], data.ms[[cell, 0]]) = ((state.u * noise(0)) as f32, (state.s * noise(3)) as f32);
    }
    let near = |cell: usize| (cell.saturating_sub(5)..n_obs.min(cell + 6)).filter(move |&other| other != cell);
    let rows: Vec<Vec<(u32, f32)>> =
        (0..n_obs).map(|cell| near(cell).map(|other| (other as u32, 1.0)).collect()).collect();
    data.neighbors.connectivities = Csr::from_rows(n_obs, &rows);
    (data, times)
}

#[test]
fn a_known_curve_is_recovered() {
    for rates in [Rates { alpha: 5.0, beta: 0.8, gamma: 0.5 }, Rates { alpha: 3.0, beta: 0.5, gamma: 0.9 }] {
        let (data, times) = with_known_gene(rates, 12.0);
        let fit = fit(&model(Schedule::Converged), &data);
        let slope = fit[FIT_GAMMA][0] / fit[FIT_BETA][0];
        assert!((slope / (rates.gamma / rates.beta) - 1.0).abs() < 0.1, "γ/β = {slope}");
        let t: Vec<f64> = fit[FIT_T].column(0).iter().map(|&t| f64::from(t)).collect();
        assert!(spearman(&t, &times) > 0.98, "{}", spearman(&t, &times));
        let truth: Vec<f64> = times
            .iter()
            .map(|&t| {
                let x = switch(t, 0.0, 12.0, rates);
                rates.beta * x.u - rates.gamma * x.s
            })
            .collect();
        let velocity: Vec<f64> = fit[VELOCITY].column(0).iter().map(|&v| f64::from(v)).collect();
        assert!(pearson(&velocity, &truth) > 0.95, "{}", pearson(&velocity, &truth));
    }
}

#[test]
fn the_descent_ends_below_where_it_began_and_below_scvelos_schedule() {
    let data = simulated();
    let (ours, theirs) = (fit(&model(Schedule::Converged), &data), fit(&model(Schedule::Compat), &data));
    let (loss, start) = (&ours[FIT_LOSS], &ours[FIT_LOSS_START]);
    assert!(loss.iter().zip(start).all(|(loss, start)| loss <= start));
    let lower = loss.iter().zip(&theirs[FIT_LOSS]).filter(|(ours, theirs)| ours <= theirs).count();
    assert!(lower * 20 >= loss.len() * 19, "{lower} of {}", loss.len());
}

#[test]
fn counting_in_other_units_changes_the_units_of_the_fit_and_nothing_else() {
    let data = simulated();
    let mut scaled = data.clone();
    // A power of two, so that no bit of the abundances is lost.
    scaled.mu.mapv_inplace(|u| 4.0 * u);
    scaled.ms.mapv_inplace(|s| 4.0 * s);
    for schedule in SCHEDULES {
        let (before, after) = (fit(&model(schedule), &data), fit(&model(schedule), &scaled));
        let same = |after: f64, before: f64, factor: f64| (after / (factor * before) - 1.0).abs() < 1e-6;
        for gene in 0..data.n_vars() {
            // The test for a mode at the steady state is not free of units (scVelo's; see start.rs).
            if before[FIT_PVAL_STEADY][gene] < 1e-3 || after[FIT_PVAL_STEADY][gene] < 1e-3 {
                continue;
            }
            let pair = |column: Quantity<Numbers>| (after[column][gene], before[column][gene]);
            let (after_gamma, gamma) = pair(FIT_GAMMA);
            // γ starts with a part in a million that keeps it from β; it has units too.
            assert!((after_gamma / gamma - 1.0).abs() < 1e-3, "{schedule:?}, γ of gene {gene}: {after_gamma} {gamma}");
            let (after_scaling, scaling) = pair(FIT_SCALING);
            assert!(same(after_scaling, scaling, 1.0), "{schedule:?}, scaling of gene {gene}");
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    for time_scope in [TimeScope::Gene, TimeScope::Shared] {
        let (data, settings) = (simulated(), Dynamical { time_scope, ..model(Schedule::Converged) });
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| bits(&fit(&Dynamical { branch_times: true, ..settings.clone() }, &data)))
        };
        assert_eq!(with(1), with(3), "{time_scope:?}");
    }
}

#[test]
fn a_gene_that_cannot_be_fitted_says_why_and_leaves_the_others_alone() {
    let whole = simulated();
    let mut data = whole.clone();
    let n_obs = data.n_obs();
    data.mu.column_mut(0).fill(0.0);
    data.ms.column_mut(1).fill(f32::NAN);
    data.mu.column_mut(2).fill(1.0);
    data.ms.column_mut(2).fill(2.0);
    let single = Array1::from_shape_fn(n_obs, |cell| if cell == 3 { 1.0 } else { 0.0 });
    data.mu.column_mut(3).assign(&single);
    data.ms.column_mut(4).fill(f32::INFINITY);
    // These three may or may not be fitted; what counts is that nothing worse happens.
    let three = Array1::from_shape_fn(n_obs, |cell| if cell < 3 { 1.0 + cell as f32 } else { 0.0 });
    data.mu.column_mut(5).assign(&three);
    data.ms.column_mut(6).mapv_inplace(|s| 1e30 * s);
    data.mu.column_mut(7).mapv_inplace(|u| 1e-30 * u);
    for schedule in SCHEDULES {
        let (before, after) = (fit(&model(schedule), &whole), fit(&model(schedule), &data));
        let status = &after[FIT_STATUS];
        let wanted = ["too few cells", "too few cells", "degenerate", "too few cells", "too few cells"];
        assert_eq!(&status[..5], &wanted);
        assert!(after[VELOCITY].columns().into_iter().take(5).flatten().all(|value| value.is_nan()));
        assert_eq!(&after[VELOCITY_GENES][..5], &[false; 5]);
        for gene in 8..data.n_vars() {
            assert_eq!(before[VELOCITY].column(gene), after[VELOCITY].column(gene), "{schedule:?}, gene {gene}");
        }
    }
}

#[test]
fn velocities_never_take_more_than_there_is() {
    let data = simulated();
    for schedule in SCHEDULES {
        let fit = fit(&model(schedule), &data);
        let bounded = |velocity: &Array2<f32>, abundance: &Array2<f32>| {
            velocity.iter().zip(abundance).all(|(velocity, abundance)| *velocity >= -abundance * 1.000_001)
        };
        assert!(bounded(&fit[VELOCITY], &data.ms));
        assert!(bounded(&fit[VELOCITY_U], &data.mu));
    }
}

#[test]
fn residual_velocities_vanish_on_the_steady_state_line() {
    let data = simulated();
    for time_scope in [TimeScope::Gene, TimeScope::Shared] {
        let settings = Dynamical { velocity: VelocityFrom::Residuals, time_scope, ..model(Schedule::Converged) };
        let fit = fit(&settings, &data);
        let (beta, gamma) = (&fit[FIT_BETA], &fit[FIT_GAMMA]);
        for ((cell, gene), &found) in fit[VELOCITY].indexed_iter() {
            let [u, s] = [&data.mu, &data.ms].map(|moments| f64::from(moments[[cell, gene]]));
            let wanted = beta[gene] * u - gamma[gene] * s;
            assert!((f64::from(found) - wanted).abs() < 1e-4 * (1.0 + wanted.abs()), "{time_scope:?}");
        }
    }
}

#[test]
fn a_shared_time_follows_the_true_time_better_than_times_of_genes() {
    let data = simulated();
    let truth = data.obs.get("true_t").expect("the truth").to_numbers().expect("numbers");
    let settings = Dynamical { time_scope: TimeScope::Shared, ..model(Schedule::Converged) };
    let shared = fit(&settings, &data);
    let time = shared[LATENT_TIME].to_vec();
    let own = fit(&model(Schedule::Converged), &data);
    let of_genes: Vec<f64> = own[FIT_T]
        .columns()
        .into_iter()
        .map(|t| spearman(&t.iter().map(|&t| f64::from(t)).collect::<Vec<f64>>(), &truth))
        .collect();
    assert!(spearman(&time, &truth) > mean(&of_genes), "{} {}", spearman(&time, &truth), mean(&of_genes));
    assert!(spearman(&time, &truth) > 0.95, "{}", spearman(&time, &truth));
    assert!(shared[FIT_T].columns().into_iter().all(|gene| gene == shared[FIT_T].column(0)));
}

#[test]
fn on_a_shared_clock_a_gene_that_was_switched_off_before_it_falls() {
    let mut data = simulated();
    let truth = data.obs.get("true_t").expect("the truth").to_numbers().expect("numbers");
    let rates = Rates { alpha: 3.0, beta: 0.4, gamma: 0.2 };
    let n_obs = data.n_obs();
    for (cell, rank) in ranks(&truth).into_iter().enumerate() {
        let state = switch(20.0 * rank / n_obs as f64, -100.0, 0.0, rates);
        (data.mu[[cell, 0]], data.ms[[cell, 0]]) = (state.u as f32, state.s as f32);
    }
    let fit = fit(&Dynamical { genes: Genes::All, ..Dynamical::default() }, &data);
    let falling = fit[VELOCITY].column(0).iter().filter(|velocity| **velocity < 0.0).count();
    assert!(falling * 10 >= 9 * n_obs, "{falling} of {n_obs}");
}

#[test]
fn by_default_genes_share_the_time_of_a_cell() {
    let fit = fit(&Dynamical::default(), &simulated());
    assert!(fit.get(LATENT_TIME).is_some() && fit.get(FIT_TAU).is_none());
}

#[test]
fn rounds_on_a_shared_clock_never_raise_the_loss() {
    let data = simulated();
    let after = |max_rounds: usize| {
        // The start is the same: scVelo's schedule knows no rounds.
        let settings =
            Dynamical { time_scope: TimeScope::Shared, max_rounds, tolerance: 1e-9, ..model(Schedule::Compat) };
        fit(&settings, &data)[FIT_LOSS].iter().filter(|loss| loss.is_finite()).sum::<f64>()
    };
    let losses: Vec<f64> = [1, 2, 4, 8, 16].map(after).to_vec();
    // Distances of cells are compared in single precision.
    assert!(losses.windows(2).all(|pair| pair[1] <= pair[0] * (1.0 + 1e-6)), "{losses:?}");
    assert!(losses[4] < 0.99 * losses[0], "{losses:?}");
}

#[test]
fn settings_that_cannot_be_used_are_named() {
    let refused = |settings: Dynamical, key: &str| {
        let error = settings.validate().expect_err("refused");
        assert!(error.to_string().contains(key), "{error}");
    };
    refused(Dynamical { t_max: 0.0, ..Dynamical::default() }, "model.t_max");
    refused(Dynamical { max_rounds: 0, ..Dynamical::default() }, "model.max_rounds");
    refused(Dynamical { max_iter: 1, ..Dynamical::default() }, "model.max_iter");
    refused(Dynamical { tolerance: f64::NAN, ..Dynamical::default() }, "model.tolerance");
    refused(Dynamical { silence_groups: true, ..Dynamical::default() }, "model.silence_groups");
    let groups = Dynamical { groups: "clusters".to_owned(), ..Dynamical::default() };
    assert!(Dynamical { time_scope: TimeScope::Gene, ..groups.clone() }.validate().is_ok());
    refused(Dynamical { time_scope: TimeScope::Shared, ..groups }, "model.groups");
    assert!(ModelConfig::named("dynamical").expect("a model").as_model().validate().is_ok());
}
