//! veloVI recovers what it should from simulated counts, and trains through data that spoil other programs.

use nascent::data::quantities::{
    DIRECTIONAL_VARIANCE, FIT_ALPHA, FIT_ALPHA_LAST, FIT_BETA, FIT_GAMMA, FIT_LOADINGS, FIT_S, FIT_T, FIT_U,
    LATENT_TIME, STATE_INDUCTION, STATE_INDUCTION_STEADY, STATE_REPRESSION, STATE_REPRESSION_STEADY, VELOCITY,
    VELOCITY_STD, VELOCITY_U,
};
use nascent::data::{Dataset, Fit, Run, Silent};
use nascent::models::velovi::{RepressedTime, StatePosterior, VelocityStatistic, Velovi};
use nascent::models::{Trained, VelocityModel};
use nascent::nn::varying::Transcription;
use nascent::permutation;
use nascent::preprocess::{self, PreprocessConfig, Recipe};
use nascent::simulate::{SimulateConfig, Simulation, simulate};
use nascent::stats::{median, pearson, spearman};
use ndarray::Array2;

fn simulated(cells: usize, genes: usize) -> (Simulation, Dataset) {
    let config = SimulateConfig { cells, genes, seed: 5, ..SimulateConfig::default() };
    let simulation = simulate(&config).expect("valid settings");
    let recipe = PreprocessConfig { recipe: Recipe::Velovi, ..PreprocessConfig::default() };
    let (data, _) = preprocess::run(&simulation.counts, &recipe).expect("valid data");
    (simulation, data)
}

fn quick(epochs: usize) -> Velovi {
    let mut settings = Velovi { n_samples: 4, hidden: 64, ..Velovi::default() };
    settings.uncertainty.n_samples = 0;
    settings.train.epochs = epochs;
    settings
}

fn fit(settings: &Velovi, data: &Dataset) -> Fit {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut run = Run::new(folder.path(), 0, String::new(), Box::new(Silent));
    settings.fit(data, &mut run).expect("the model can be fitted")
}

fn column(matrix: &Array2<f32>, gene: usize) -> Vec<f64> {
    matrix.column(gene).iter().map(|&value| f64::from(value)).collect()
}

/// Measured: .774 and .925, over seeds 0 to 3 .774 to .797 and .912 to .953; on data of this kind scvi-tools reaches .804 and .911 at
/// least in 200 epochs (models/velovi/README.md).
#[test]
fn velovi_recovers_velocities_and_times_of_one_lineage() {
    let (simulation, data) = simulated(500, 60);
    let fit = fit(&quick(200), &data);
    let truth = &simulation.truth.as_ref().expect("the default").velocity;
    let of_gene = |gene: usize| pearson(&column(&fit[VELOCITY], gene), &column(truth, data.genes[gene]));
    let correlations: Vec<f64> = (0..data.n_vars()).map(of_gene).filter(|r| r.is_finite()).collect();
    assert!(median(&correlations) > 0.75, "{}", median(&correlations));
    let time = simulation.counts.obs.get("true_t").and_then(nascent::data::Column::to_numbers).expect("the truth");
    let found = spearman(fit[LATENT_TIME].as_slice().expect("one row"), &time);
    assert!(found > 0.9, "{found}");
}

#[test]
fn every_quantity_is_finite_and_has_the_shape_of_the_data_whatever_is_set() {
    let (_, data) = simulated(300, 40);
    let base = quick(3);
    let variants = [
        Velovi { state_posterior: StatePosterior::Analytic, joint_state: true, ..base.clone() },
        Velovi { linear_decoder: true, velocity_statistic: VelocityStatistic::Max, ..base.clone() },
        Velovi { time_dependent_transcription: true, repressed_time: RepressedTime::Exclude, ..base.clone() },
        Velovi { uncertainty: nascent::uncertainty::UncertaintyConfig { n_samples: 3, ..Default::default() }, ..base },
    ];
    for (number, settings) in variants.iter().enumerate() {
        let fit = fit(settings, &data);
        let states = [STATE_INDUCTION, STATE_INDUCTION_STEADY, STATE_REPRESSION, STATE_REPRESSION_STEADY];
        let states = states.map(|state| &fit[state]);
        let some = [VELOCITY, VELOCITY_U, FIT_U, FIT_S, FIT_T].map(|layer| &fit[layer]);
        for matrix in some.into_iter().chain(states).chain(fit.get(VELOCITY_STD)) {
            assert_eq!(matrix.dim(), (data.n_obs(), data.n_vars()));
            assert!(matrix.iter().all(|value| value.is_finite()), "variant {number}");
        }
        let total = states.iter().fold(Array2::zeros(data.ms.dim()), |sum: Array2<f32>, state| sum + *state);
        assert!(total.iter().all(|total| (total - 1.0).abs() < 1e-4), "probabilities add up to one");
        let below = fit[VELOCITY].iter().zip(&data.ms).all(|(&velocity, &s)| velocity >= -s);
        assert!(below, "no gene loses more than it has");
        assert_eq!(fit.get(FIT_LOADINGS).map(Array2::dim), (number == 1).then_some((data.n_vars(), 10)));
        assert_eq!(fit.get(FIT_ALPHA_LAST).is_some(), number == 2);
        assert_eq!(fit.get(DIRECTIONAL_VARIANCE).is_some(), number == 3);
    }
}

/// A gene that is zero in the top percent, a constant gene, a gene without spliced counts, a cell with nothing, and a number of
/// cells that leaves a last batch of one.
#[test]
fn odd_genes_cells_and_batches_are_trained_through() {
    let (_, mut data) = simulated(300, 40);
    data.mu.column_mut(0).fill(0.0);
    data.mu.column_mut(1).fill(0.5);
    data.ms.column_mut(1).fill(0.5);
    data.ms.column_mut(2).fill(0.0);
    data.mu.row_mut(7).fill(0.0);
    data.ms.row_mut(7).fill(0.0);
    data.ms[[7, 5]] = 1e-3;
    for posterior in [StatePosterior::Sampled, StatePosterior::Analytic] {
        let mut settings = Velovi { state_posterior: posterior, ..quick(4) };
        // 270 cells to train on: ten batches of 26 and one of ten; then 269 of 270 in one batch.
        for batch_size in [26, 269] {
            settings.train.batch_size = batch_size;
            let fit = fit(&settings, &data);
            assert!(fit[VELOCITY].iter().all(|value| value.is_finite()));
            let rates = [FIT_ALPHA, FIT_BETA, FIT_GAMMA].map(|rate| &fit[rate]);
            assert!(rates.into_iter().flatten().all(|rate| rate.is_finite() && *rate > 0.0));
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_fit_and_another_seed_another() {
    let (_, data) = simulated(200, 20);
    let with_seed = |seed: u64| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut run = Run::new(folder.path(), seed, String::new(), Box::new(Silent));
        quick(3).fit(&data, &mut run).expect("the model can be fitted")[VELOCITY].clone()
    };
    assert_eq!(with_seed(0), with_seed(0));
    assert_ne!(with_seed(0), with_seed(1));
}

#[test]
fn dynamics_are_told_from_shuffled_data() {
    let (_, data) = simulated(400, 40);
    let score = |data: &Dataset| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let settings = quick(120);
        let mut run = Run::new(folder.path(), 0, String::new(), Box::new(Silent));
        settings.fit(data, &mut run).expect("the model can be fitted");
        let mut run = run.resuming(true);
        let groups = vec![(0..data.n_obs()).collect::<Vec<_>>()];
        let copy = [&data.mu, &data.ms].map(|m| permutation::shuffled(m, &groups, &mut run.rng("shuffle", 0)));
        let real = [data.mu.clone(), data.ms.clone()];
        let fitted = settings.reconstruct(data, &mut run, &[real.clone(), copy.clone()]).expect("a finished run");
        let scores = permutation::scores(
            &permutation::errors(&copy, &fitted[1]),
            &permutation::errors(&real, &fitted[0]),
            &groups,
        );
        median(scores.largest.as_slice().expect("one row"))
    };
    let mut shuffled = data.clone();
    let groups = vec![(0..data.n_obs()).collect::<Vec<_>>()];
    let mut rng = nascent::data::stream(0, "shuffled", 0);
    shuffled.mu = permutation::shuffled(&data.mu, &groups, &mut rng);
    shuffled.ms = permutation::shuffled(&data.ms, &groups, &mut rng);
    let (of_dynamics, of_noise) = (score(&data), score(&shuffled));
    assert!(of_dynamics > 5.0 && of_noise.abs() < 2.0, "{of_dynamics} {of_noise}");
}

/// Source: numerical integration of the equations, 20 000 midpoint steps.
#[test]
fn transcription_that_varies_solves_the_equations_for_every_order_of_the_rates() {
    use burn::tensor::{Device, Tensor};
    let row = |values: &[f32]| Tensor::<1>::from_data(values, &Device::flex()).unsqueeze::<2>();
    let rates = [
        (0.5, 1.0, 2.0),
        (2.0, 1.0, 0.5),
        (1.0, 1.0, 1.0),
        (1.0, 1.02, 0.99),
        (1.0, 1.0, 3.0),
        (3.0, 0.2, 0.2),
        (0.001, 0.7, 0.7),
    ];
    for t in [0.02, 0.5, 3.0, 15.0] {
        for (lambda, beta, gamma) in rates {
            let transcription = Transcription { first: row(&[0.3]), last: row(&[2.0]), approach: row(&[lambda]) };
            let (u, s) = transcription.solve(&row(&[t]), &row(&[beta]), &row(&[gamma]));
            let (want_u, want_s) = integrated(f64::from(t), [lambda, beta, gamma].map(f64::from));
            for (found, want) in [(u, want_u), (s, want_s)] {
                let found = f64::from(found.into_scalar::<f32>());
                assert!(
                    (found - want).abs() < 2e-5 * want.abs().max(0.01),
                    "{found} {want} at {t}, {lambda} {beta} {gamma}"
                );
            }
        }
    }
}

fn integrated(t: f64, [lambda, beta, gamma]: [f64; 3]) -> (f64, f64) {
    const STEPS: usize = 20_000;
    let h = t / STEPS as f64;
    let flow = |t: f64, u: f64, s: f64| {
        let alpha = 2.0 - (2.0 - 0.3) * (-lambda * t).exp();
        (alpha - beta * u, beta * u - gamma * s)
    };
    let (mut u, mut s) = (0.0, 0.0);
    for step in 0..STEPS {
        let now = step as f64 * h;
        let (du, ds) = flow(now, u, s);
        let (du, ds) = flow(now + h / 2.0, u + h / 2.0 * du, s + h / 2.0 * ds);
        (u, s) = (u + h * du, s + h * ds);
    }
    (u, s)
}
