//! Claims about fits, on cells drawn from the model itself.

use ndarray::Array2;
use rand::Rng;
use rand_distr::StandardNormal;

use super::curve::Curve;
use super::gene::Noise;
use super::mixture::{self, Mixture};
use super::model::Model;
use super::*;
use crate::data::quantities::{
    FIT_ALPHA, FIT_BETA, FIT_GAMMA, FIT_S, FIT_STATUS, FIT_STD_U, FIT_T, FIT_T_OFF, FIT_U, LATENT_TIME,
    LATENT_TIME_STD, VELOCITY, VELOCITY_GENES, VELOCITY_U,
};
use crate::data::{CaptureColumn, Column, Frame, Silent, stream};
use crate::kinetics::Rates;
use crate::models::soft_grid::settings::{Likelihood, TimePrior};
use crate::neighbors::Neighbors;
use crate::sparse::Csr;
use crate::stats;

const CELLS: usize = 300;
const GENES: usize = 12;

fn truth(gene: usize) -> Curve {
    let part = gene as f64 / GENES as f64;
    Curve {
        rates: Rates { alpha: 2.0 + 6.0 * part, beta: 0.5 + 0.5 * part, gamma: 0.8 - 0.5 * part },
        t_on: 8.0 * part - 1.0,
        t_off: 9.0 + 8.0 * (part * 7.0).fract(),
    }
}

/// Cells at even times, their moments within a tenth of the truth, and their times.
fn drawn() -> (Dataset, Vec<f64>) {
    let mut rng = stream(5, "gaussian", 0);
    let times: Vec<f64> = (0..CELLS).map(|i| 20.0 * (i as f64 + 0.5) / CELLS as f64).collect();
    let mut moments = [Array2::zeros((CELLS, GENES)), Array2::zeros((CELLS, GENES))];
    for gene in 0..GENES {
        for (i, state) in truth(gene).states(&times).into_iter().enumerate() {
            for (matrix, (value, scale)) in moments.iter_mut().zip([(state.u, 0.3), (state.s, 0.6)]) {
                let z: f64 = rng.sample(StandardNormal);
                matrix[[i, gene]] = (value + scale * z).max(0.0) as f32;
            }
        }
    }
    let [mu, ms] = moments;
    let names = |n: usize| (0..n).map(|k| k.to_string()).collect();
    let mut obs = Frame { index: names(CELLS), columns: Vec::new() };
    obs.set("day", Column::Float(times.iter().map(|t| (t / 5.0).floor()).collect()));
    let data = Dataset {
        obs,
        var: Frame { index: names(GENES), columns: Vec::new() },
        genes: (0..GENES).collect(),
        n_vars_input: GENES,
        spliced: Csr::empty(CELLS, GENES),
        unspliced: Csr::empty(CELLS, GENES),
        size_spliced: vec![1.0; CELLS],
        size_unspliced: vec![1.0; CELLS],
        raw_counts: true,
        mu,
        ms,
        scaling: None,
        neighbors: Neighbors {
            connectivities: Csr::empty(CELLS, CELLS),
            distances: Csr::empty(CELLS, CELLS),
            n_neighbors: 1,
        },
        neighbors_from_file: false,
        pca: Array2::zeros((CELLS, 0)),
    };
    (data, times)
}

fn settings(likelihood: Likelihood, time_scope: TimeScope) -> SoftGrid {
    SoftGrid { likelihood, time_scope, grid: 60, max_rounds: 30, tolerance: 1e-9, ..SoftGrid::default() }
}

const FORMS: [(Likelihood, TimeScope); 4] = [
    (Likelihood::Gaussian, TimeScope::Shared),
    (Likelihood::Gaussian, TimeScope::Gene),
    (Likelihood::Seed, TimeScope::Shared),
    (Likelihood::Seed, TimeScope::Gene),
];

fn fitted(settings: &SoftGrid, data: &Dataset) -> Fit {
    let mut run = Run::new(std::path::Path::new("unused"), 0, String::new(), Box::new(Silent));
    fit(settings, data, &mut run).expect("the data can be fitted")
}

/// The fits of which `fit` is made, with their histories: one, or one per gene.
fn with_history<T>(settings: &SoftGrid, data: &Dataset, look: impl Fn(&Fitted<'_>) -> T) -> Vec<T> {
    let capture = (!settings.capture_time.is_empty())
        .then(|| Capture::read(data, settings.captured(), settings.t_max).expect("a column of days"));
    let grid = grid(settings);
    let setting = Setting { settings, grid: &grid, capture: capture.as_ref() };
    let (_, known) = known(&setting, data);
    let moments = [data.mu.view(), data.ms.view()];
    let mut run = Run::new(std::path::Path::new("unused"), 0, String::new(), Box::new(Silent));
    if settings.time_scope == TimeScope::Shared {
        return vec![look(&shared::fit(&setting, moments, known, &mut run).expect("not interrupted"))];
    }
    let one = |known: &Known| {
        let columns = single::columns(moments, known.index);
        look(&single::own_fit(&setting, columns.each_ref().map(Array2::view), known).expect("not interrupted"))
    };
    known.iter().map(one).collect()
}

#[test]
fn the_objective_of_no_fit_ever_falls() {
    let (data, _) = drawn();
    for (likelihood, time_scope) in FORMS {
        for (smoothing, capture_time) in [(0.0, ""), (0.01, ""), (5.0, "day")] {
            let settings =
                SoftGrid { smoothing, capture_time: capture_time.to_owned(), ..settings(likelihood, time_scope) };
            for history in with_history(&settings, &data, |fitted| fitted.history.objective.clone()) {
                assert!(history.len() > 2);
                for pair in history.windows(2) {
                    let allowed = 1e-10 * pair[0].abs();
                    assert!(pair[1] >= pair[0] - allowed, "{pair:?} with {likelihood:?}, {time_scope:?}, {smoothing}");
                }
            }
        }
    }
}

/// Bit by bit: the sums in the same order.
#[test]
fn without_smoothing_the_spread_over_the_grid_is_the_mean_responsibility() {
    let (data, _) = drawn();
    for (likelihood, time_scope) in FORMS {
        let settings = SoftGrid { smoothing: 0.0, max_rounds: 3, ..settings(likelihood, time_scope) };
        let agree = with_history(&settings, &data, |fitted| {
            let respond = |rows| mixture::posterior(&fitted.model, &fitted.spread, rows);
            let shares = mixture::collect(&fitted.model, &fitted.spread, respond).shares;
            let mut next = fitted.clone();
            next.advance(4, 0.0, |_, _| Ok(())).expect("nobody interrupts");
            let total = shares.sum();
            assert!((total - CELLS as f64).abs() < 1e-9);
            next.spread
                .log_of(0)
                .iter()
                .zip(&shares)
                .all(|(log, share)| log.to_bits() == (share / total).ln().to_bits())
        });
        assert!(agree.into_iter().all(|agrees| agrees), "{likelihood:?}, {time_scope:?}");
    }
}

/// The sums that the M-step is given are those over cells and states.
#[test]
fn the_learned_variance_is_the_mean_expected_squared_distance() {
    let (data, _) = drawn();
    let settings = SoftGrid { max_rounds: 3, ..settings(Likelihood::Gaussian, TimeScope::Shared) };
    with_history(&settings, &data, |fitted| {
        let (q, _) = mixture::posterior(&fitted.model, &fitted.spread, 0..CELLS);
        let mut next = fitted.clone();
        next.advance(4, 0.0, |_, _| Ok(())).expect("nobody interrupts");
        for gene in &next.model.genes {
            let states = gene.curve.states(&next.model.grid);
            let squares = q.indexed_iter().map(|((i, j), q)| {
                let off_u = f64::from(data.mu[[i, gene.index]]) / gene.scaling - states[j].u;
                let off_s = f64::from(data.ms[[i, gene.index]]) - states[j].s;
                [q * off_u.powi(2), q * off_s.powi(2)]
            });
            let sums = squares.fold([0.0; 2], |sums, more| [sums[0] + more[0], sums[1] + more[1]]);
            for (sum, learned) in sums.into_iter().zip(gene.residual) {
                assert!((sum / CELLS as f64 / learned - 1.0).abs() < 1e-9, "gene {}", gene.index);
            }
        }
    });
}

#[test]
fn the_seed_form_is_the_normal_one_where_all_variances_are_half_its_sigma() {
    let (data, _) = drawn();
    let settings = settings(Likelihood::Gaussian, TimeScope::Shared);
    let grid = grid(&settings);
    let setting = Setting { settings: &settings, grid: &grid, capture: None };
    let (_, known) = known(&setting, &data);
    let moments = [data.mu.view(), data.ms.view()];
    let sigma = 0.8;
    let mut genes: Vec<Gene> = known.iter().map(|known| known.gene.clone()).collect();
    for gene in &mut genes {
        gene.residual = [sigma / 2.0; 2];
    }
    let columns: Vec<usize> = (0..genes.len()).collect();
    let of = |noise: Noise| Model::new(moments, columns.clone(), grid.clone(), genes.clone(), noise);
    let (normal, seed) = (of(Noise::Learned), of(Noise::Scalar(sigma)));
    let spread = setting.spread();
    let found =
        [&normal, &seed].map(|model| mixture::collect(model, &spread, |rows| mixture::posterior(model, &spread, rows)));
    for (a, b) in found[0].sums.iter().zip(&found[1].sums) {
        assert!((a - b).abs() < 1e-9, "{a} {b}");
    }
    // What the seed form leaves out is a constant.
    let left_out = -0.5 * (2 * GENES * CELLS) as f64 * (std::f64::consts::PI * sigma).ln();
    let difference = found[0].evidence - found[1].evidence;
    assert!((difference - left_out).abs() < 1e-7 * left_out.abs(), "{difference} {left_out}");
    // And the M-step of the curves is the same.
    let shares = found[0].shares.row(0).to_vec();
    let moved = [normal, seed].map(|mut model| {
        model.maximize(&shares, &found[0].sums);
        model.genes.iter().map(|gene| gene.curve).collect::<Vec<Curve>>()
    });
    for (a, b) in moved[0].iter().zip(&moved[1]) {
        assert!((a.rates.gamma / b.rates.gamma - 1.0).abs() < 1e-9 && (a.t_off - b.t_off).abs() < 1e-8, "{a:?} {b:?}");
    }
}

#[test]
fn a_shared_time_and_velocities_are_found() {
    let (data, times) = drawn();
    for likelihood in [Likelihood::Gaussian, Likelihood::Seed] {
        let fit = fitted(&settings(likelihood, TimeScope::Shared), &data);
        let time = fit[LATENT_TIME].to_vec();
        let correlation = stats::spearman(&time, &times);
        assert!(correlation > 0.98, "{likelihood:?}: {correlation}");
        let sd = &fit[LATENT_TIME_STD];
        assert!(sd.iter().all(|sd| *sd >= 0.0 && *sd < 5.0));
        for gene in 0..GENES {
            let curve = truth(gene);
            let true_velocity: Vec<f64> =
                curve.states(&times).into_iter().zip(&times).map(|(x, &t)| curve.velocity(t, x).s).collect();
            let velocity: Vec<f64> = fit[VELOCITY].column(gene).iter().map(|&v| f64::from(v)).collect();
            let correlation = stats::pearson(&velocity, &true_velocity);
            assert!(correlation > 0.8, "{likelihood:?}, gene {gene}: {correlation}");
        }
    }
}

#[test]
fn capture_times_decide_the_direction() {
    let (mut data, times) = drawn();
    for reversed in [false, true] {
        let day = |t: &f64| if reversed { 4.0 - (t / 5.0).floor() } else { (t / 5.0).floor() };
        data.obs.set("day", Column::Float(times.iter().map(day).collect()));
        let settings = SoftGrid { capture_time: "day".to_owned(), ..settings(Likelihood::Gaussian, TimeScope::Shared) };
        let time = fitted(&settings, &data)[LATENT_TIME].to_vec();
        let correlation = stats::spearman(&time, &times);
        assert!(if reversed { correlation < -0.9 } else { correlation > 0.9 }, "{correlation}");
    }
    for (name, column) in [("other", None), ("day", Some(Column::Float(vec![1.0; CELLS])))] {
        if let Some(column) = column {
            data.obs.set("day", column);
        }
        assert!(Capture::read(&data, CaptureColumn { column: name, order: &[] }, 20.0).is_err());
    }
}

#[test]
fn genes_without_a_curve_have_no_numbers_and_a_reason() {
    let (mut data, _) = drawn();
    data.mu.column_mut(2).fill(0.0);
    data.ms.column_mut(4).fill(3.0);
    data.mu[[7, 5]] = f32::NAN;
    for (likelihood, time_scope) in FORMS {
        let fit = fitted(&settings(likelihood, time_scope), &data);
        let status = &fit[FIT_STATUS];
        assert_eq!([&status[2], &status[4], &status[5]], ["too few cells", "degenerate", "too few cells"]);
        for gene in 0..GENES {
            let without = [2, 4, 5].contains(&gene);
            let layers = [VELOCITY, VELOCITY_U, FIT_U, FIT_S].map(|layer| fit.get(layer));
            for layer in layers.into_iter().flatten().chain(fit.get(FIT_T)) {
                assert!(layer.column(gene).iter().all(|x| x.is_finite() != without), "{time_scope:?}, gene {gene}");
            }
            let numbers = [FIT_ALPHA, FIT_BETA, FIT_GAMMA, FIT_T_OFF, FIT_STD_U].map(|column| fit.get(column));
            assert!(numbers.into_iter().flatten().all(|column| column[gene].is_finite() != without));
            assert!(!(without && fit[VELOCITY_GENES][gene]));
        }
        let falls = fit[VELOCITY].iter().zip(&data.ms).all(|(v, s)| v.is_nan() || *v >= -s);
        assert!(falls, "no cell can lose more than it has");
        assert_eq!(fit.get(LATENT_TIME).is_some(), time_scope == TimeScope::Shared);
        assert_eq!(fit.get(FIT_T).is_some(), time_scope == TimeScope::Gene);
    }
    data.mu.fill(0.0);
    let fit = fitted(&settings(Likelihood::Gaussian, TimeScope::Shared), &data);
    assert!(fit[VELOCITY].iter().all(|v| v.is_nan()) && fit.get(LATENT_TIME).is_none());
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let (data, _) = drawn();
    for (likelihood, time_scope) in FORMS {
        let settings = SoftGrid { max_rounds: 5, ..settings(likelihood, time_scope) };
        let with_threads = |n: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("threads");
            let fit = pool.install(|| fitted(&settings, &data));
            fit[VELOCITY].iter().map(|v| v.to_bits()).collect::<Vec<u32>>()
        };
        assert_eq!(with_threads(1), with_threads(3));
    }
}

#[test]
fn an_even_spread_that_is_not_learned_stays_even() {
    let (data, _) = drawn();
    let settings = SoftGrid { time_prior: TimePrior::Uniform, ..settings(Likelihood::Gaussian, TimeScope::Shared) };
    with_history(&settings, &data, |fitted| {
        let even = -(fitted.model.grid.len() as f64).ln();
        assert!(fitted.spread.log_of(3).iter().all(|log| (log - even).abs() < 1e-15));
        assert!(fitted.spread.penalty().abs() < f64::MIN_POSITIVE);
    });
}

#[test]
fn an_interrupted_fit_ends_with_that_error() {
    let (data, _) = drawn();
    for (likelihood, time_scope) in FORMS {
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
        let run = Run::new(std::path::Path::new("unused"), 0, String::new(), Box::new(Silent));
        let ended = fit(&settings(likelihood, time_scope), &data, &mut run.stopped_by(stop));
        assert!(matches!(ended, Err(Error::Interrupted { run: None })));
    }
}
