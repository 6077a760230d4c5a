//! The soft grid's velocity of the cell itself, around the curve.

use nascent::Error;
use nascent::data::Fit;
use nascent::data::quantities::{FIT_DEPARTURE_S, FIT_DEPARTURE_U, VELOCITY, VELOCITY_CELL, VELOCITY_CURVE};
use nascent::metrics::velocity_scores;
use nascent::models::VelocityModel;
use nascent::models::soft_grid::{Likelihood, SoftGrid, VelocityOf};
use nascent::simulate::{SimulateConfig, Simulation, simulate};
use nascent::sparse::Csr;
use nascent::stats::{median, std_dev};
use ndarray::{Array2, Zip};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Poisson, StandardNormal};

use crate::grid_fits::in_memory;

const CELLS: usize = 500;
const GENES: usize = 80;

fn quick() -> SoftGrid {
    SoftGrid { grid: 50, pieces: 10, max_rounds: 15, choice_rounds: 6, lineages: 1, ..SoftGrid::default() }
}

fn simulation(capture: f64) -> Simulation {
    let config = SimulateConfig { cells: CELLS, genes: GENES, seed: 3, capture, ..SimulateConfig::default() };
    simulate(&config).expect("valid settings")
}

/// Replaces the abundances by ones that depart from the curve: ln u and ln s each by a weighted sum of three states of the cell that have
/// nothing to do with time, of s.d. `sd`. Counts are Poisson, of cells of one size. Returns the velocities.
fn depart(simulation: &mut Simulation, sd: f64, depth: f64) -> Array2<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let mut normal = |rows: usize| Array2::from_shape_simple_fn((rows, 3), || StandardNormal.sample(&mut rng));
    let states: Array2<f64> = normal(CELLS);
    let weights: [Array2<f64>; 2] = [normal(GENES), normal(GENES)];
    let truth = simulation.truth.as_ref().expect("with its truth");
    let [u, s] = [(&truth.unspliced, &weights[0]), (&truth.spliced, &weights[1])].map(|(mean, weights)| {
        let factors = (states.dot(&weights.t()) * (sd / 3.0_f64.sqrt())).mapv(f64::exp);
        mean.mapv(f64::from) * factors
    });
    let mut counted = |abundance: &Array2<f64>| {
        let count = |&mean: &f64| Poisson::new(depth * mean + 1e-6).expect("above 0").sample(&mut rng) as f32;
        Csr::from_dense(abundance.map(count).view())
    };
    let (unspliced, spliced) = (counted(&u), counted(&s));
    simulation.counts.unspliced = unspliced;
    simulation.counts.x = Some(spliced.clone());
    simulation.counts.spliced = spliced;
    let mut velocity = Array2::zeros((CELLS, GENES));
    for (gene, mut velocity) in velocity.columns_mut().into_iter().enumerate() {
        let rates = simulation.genes[gene].rates;
        Zip::from(&mut velocity)
            .and(u.column(gene))
            .and(s.column(gene))
            .for_each(|velocity, u, s| *velocity = (rates.beta * u - rates.gamma * s) as f32);
    }
    velocity
}

fn correlation(velocity: &Array2<f32>, truth: &Array2<f32>) -> f64 {
    velocity_scores(velocity.view(), truth.view()).expect("same shape").gene_pearson.expect("genes vary")
}

fn middle(fit: &Fit) -> [f64; 2] {
    [FIT_DEPARTURE_U, FIT_DEPARTURE_S].map(|quantity| median(&fit[quantity].to_vec()))
}

/// Median over genes of the s.d. of what the departures add, in s.d. of the curve's velocity.
fn added(fit: &Fit) -> f64 {
    let column =
        |layer: &Array2<f32>, gene: usize| layer.column(gene).iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
    let of_gene = |gene: usize| {
        let (curve, cell) = (column(&fit[VELOCITY], gene), column(&fit[VELOCITY_CELL], gene));
        let added: Vec<f64> = cell.iter().zip(&curve).map(|(cell, curve)| cell - curve).collect();
        std_dev(&added, 0) / std_dev(&curve, 0)
    };
    median(&(0..GENES).map(of_gene).collect::<Vec<f64>>())
}

#[test]
fn where_cells_depart_from_the_curve_their_own_velocity_is_nearer_to_the_truth() {
    let mut simulation = simulation(0.5);
    let truth = depart(&mut simulation, 0.4, 1.0);
    let fit = in_memory(&quick(), &simulation.counts).expect("the model can be fitted");
    let [curve, cell] = [VELOCITY, VELOCITY_CELL].map(|quantity| correlation(&fit[quantity], &truth));
    assert!(cell > curve + 0.1, "cell {cell}, curve {curve}");
    // The s.d. of the factors put in is .42; what neighbours tell of them is less.
    let [u, s] = middle(&fit);
    assert!((0.2..0.5).contains(&u) && (0.2..0.5).contains(&s), "{u} {s}");
}

#[test]
fn without_departures_the_cells_velocity_is_the_curves_at_any_depth() {
    for capture in [0.5, 0.05] {
        let simulation = simulation(capture);
        let fit = in_memory(&quick(), &simulation.counts).expect("the model can be fitted");
        let truth = &simulation.truth.as_ref().expect("with its truth").velocity;
        let [curve, cell] = [VELOCITY, VELOCITY_CELL].map(|quantity| correlation(&fit[quantity], truth));
        assert!((cell - curve).abs() < 0.01, "capture {capture}: cell {cell}, curve {curve}");
        assert!(added(&fit) < 0.15, "capture {capture}: {}", added(&fit));
    }
}

#[test]
fn shallow_counts_of_the_same_departures_are_believed_less() {
    let gained = |depth: f64| {
        let mut simulation = simulation(0.5);
        let truth = depart(&mut simulation, 0.4, depth);
        let fit = in_memory(&quick(), &simulation.counts).expect("the model can be fitted");
        let [curve, cell] = [VELOCITY, VELOCITY_CELL].map(|quantity| correlation(&fit[quantity], &truth));
        (cell - curve, added(&fit))
    };
    let (deep, shallow) = (gained(1.0), gained(0.03));
    assert!(shallow.1 < 0.5 * deep.1, "{deep:?} {shallow:?}");
    assert!(shallow.0 > -0.01, "{deep:?} {shallow:?}");
}

#[test]
fn either_velocity_can_be_the_one_that_is_read_and_the_other_is_kept() {
    let mut simulation = simulation(0.5);
    depart(&mut simulation, 0.4, 1.0);
    let fit = |velocity: VelocityOf, threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        let settings = SoftGrid { velocity, ..quick() };
        pool.install(|| in_memory(&settings, &simulation.counts)).expect("the model can be fitted")
    };
    let (curve, cell) = (fit(VelocityOf::Curve, 1), fit(VelocityOf::Cell, 3));
    assert!(curve.get(VELOCITY_CURVE).is_none() && cell.get(VELOCITY_CELL).is_none());
    // The same bits, on other threads.
    assert_eq!(curve[VELOCITY], cell[VELOCITY_CURVE]);
    assert_eq!(curve[VELOCITY_CELL], cell[VELOCITY]);
}

#[test]
fn the_cells_velocity_needs_counts_and_layers() {
    let refused = |settings: SoftGrid| match settings.validate() {
        Err(Error::Setting { .. }) => {}
        other => panic!("{other:?}"),
    };
    let cell = SoftGrid { velocity: VelocityOf::Cell, ..SoftGrid::default() };
    cell.validate().expect("the default is of counts, in memory");
    refused(SoftGrid { stream: true, ..cell.clone() });
    refused(SoftGrid { likelihood: Likelihood::Gaussian, ..cell });
}
