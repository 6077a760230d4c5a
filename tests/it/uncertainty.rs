//! Directional uncertainty against scvi-tools and scVelo, and its laws.

use std::ops::Range;

use nascent::Error;
use nascent::data::{Directional, Neighbors, Uncertainty};
use nascent::graph::{Candidates, Kernel, States, confidence, rows, self_transitions, transition_matrix};
use nascent::neighbors::{nearest, neighbors};
use nascent::pca::pca_dense;
use nascent::uncertainty::{
    Extrapolation, SampleSimilarity, Spread, UncertaintyConfig, directional, uncertainty, uncertainty_by_blocks,
};
use ndarray::{Array1, Array2, Axis, array, s};
use serde_json::Value;

const N_OBS: usize = 60;
const N_NEIGHBORS: usize = 6;

/// The formulas of scripts/golden_uncertainty.py.
fn noise(i: usize, g: usize, l: usize) -> f64 {
    let hash = (i * 7919 + g * 104_729 + l * 15_485_863 + i * g * 31 + g * l * 17) % 1009;
    hash as f64 / 1009.0 - 0.5
}

fn abundances(n_vars: usize) -> Array2<f32> {
    let value = |(i, g): (usize, usize)| 2.0 + (0.05 * i as f64 + g as f64).sin() + 0.3 * noise(i, g, 0);
    Array2::from_shape_fn((N_OBS, n_vars), |at| value(at) as f32)
}

fn velocities(n_vars: usize, l: usize) -> Array2<f32> {
    let value = |(i, g): (usize, usize)| 0.05 * (0.05 * i as f64 + g as f64).cos() + 0.08 * noise(i, g, l + 1);
    Array2::from_shape_fn((N_OBS, n_vars), |at| value(at) as f32)
}

fn graph(ms: &Array2<f32>) -> Neighbors {
    neighbors(ms.view(), N_NEIGHBORS).unwrap()
}

fn settings(n_samples: usize) -> UncertaintyConfig {
    UncertaintyConfig { n_samples, ..UncertaintyConfig::default() }
}

/// Uncertainties of `n_vars` genes with the velocities of the formula, after `change`.
fn found(n_vars: usize, settings: &UncertaintyConfig, change: impl Fn(&mut Array2<f32>)) -> Uncertainty {
    let ms = abundances(n_vars);
    let mut sample = |cells: Range<usize>, l| {
        let mut v = velocities(n_vars, l);
        change(&mut v);
        Ok(v.slice(s![cells, ..]).to_owned())
    };
    uncertainty(ms.view(), &graph(&ms), settings, &mut sample).unwrap().expect("samples")
}

fn fields(of: &Directional) -> [(&'static str, Vec<f64>); 5] {
    [
        ("variance", of.variance.to_vec()),
        ("difference", of.difference.to_vec()),
        ("cosine_sim_variance", of.cos_variance.to_vec()),
        ("cosine_sim_difference", of.cos_difference.to_vec()),
        ("cosine_sim_mean", of.cos_mean.to_vec()),
    ]
}

fn golden() -> Value {
    serde_json::from_str(include_str!("../golden/uncertainty.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    serde_json::from_value(value.clone()).unwrap()
}

/// Largest difference in units of the largest value of the column.
fn worst(found: &Directional, wanted: &Value) -> Vec<f64> {
    let of = |(name, values): (&str, Vec<f64>)| {
        let wanted = numbers(&wanted[name]);
        let largest = wanted.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
        assert_eq!(values.len(), wanted.len());
        assert!(values.iter().all(|value| value.is_finite()));
        values.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / largest
    };
    fields(found).into_iter().map(of).collect()
}

/// Golden: tests/golden/uncertainty.json. The tolerance is that of scVelo's transition matrix, in f32.
#[test]
fn both_uncertainties_agree_with_scvi_tools_and_scvelo() {
    let golden = golden();
    for n_vars in [40, 120] {
        let golden = &golden[n_vars.to_string()];
        let state = found(n_vars, &settings(5), |_| ());
        let change = UncertaintyConfig { extrapolation: Extrapolation::Displacement, ..settings(5) };
        let change = found(n_vars, &change, |_| ());
        assert_eq!(state.intrinsic, change.intrinsic);
        let intrinsic = worst(&state.intrinsic, &golden["intrinsic"]);
        let state = worst(&state.extrinsic.unwrap(), &golden["state"]);
        let change = worst(&change.extrinsic.unwrap(), &golden["displacement"]);
        println!("{n_vars} genes: intrinsic {intrinsic:?}, state {state:?}, displacement {change:?}");
        assert!(intrinsic.iter().all(|worst| *worst < 1e-12));
        assert!(state.iter().chain(&change).all(|worst| *worst < 1e-4));
    }
}

/// Golden: the same file. With more than 100 genes, scVelo's graph is that of 30 principal components, which it finds in single
/// precision: its self-transitions are 7e-6 away from those in double precision.
#[test]
fn the_graph_of_components_and_its_transitions_agree_with_scvelo() {
    let golden = golden();
    for n_vars in [40, 120] {
        let golden = &golden[n_vars.to_string()];
        let (ms, v) = (abundances(n_vars), velocities(n_vars, 0));
        let (x, v) = if n_vars > 100 {
            let pca = pca_dense(ms.view(), 30).unwrap();
            let centred = &v - &v.mean_axis(Axis(0)).unwrap();
            (pca.scores, centred.dot(&pca.components.mapv(|value| value as f32)))
        } else {
            (ms.clone(), v)
        };
        let candidates = Candidates::new(&nearest(ms.view(), N_NEIGHBORS).unwrap()).unwrap();
        let graph = rows(&States::new(x.view()), &candidates, 0..N_OBS, v.view()).unwrap();
        let confidences: Vec<f32> = (0..N_OBS).map(|i| confidence(graph.row(i).1)).collect();
        let own = self_transitions(&confidences);
        for (found, wanted) in own.iter().zip(numbers(&golden["self_transition"][0])) {
            assert!((f64::from(*found) - wanted).abs() < 1e-5, "{found} {wanted}");
        }
        let t = transition_matrix(&graph, Some(&own), Kernel { negative: true, ..Kernel::default() }).unwrap();
        for row in golden["transitions"].as_array().unwrap() {
            let (to, weights) = t.row(row["cell"].as_u64().unwrap() as usize);
            assert_eq!(to.iter().map(|&j| f64::from(j)).collect::<Vec<_>>(), numbers(&row["to"]));
            for (found, wanted) in weights.iter().zip(numbers(&row["weight"])) {
                assert!((f64::from(*found) - wanted).abs() < 1e-5, "{found} {wanted}");
            }
        }
    }
}

/// numpy 1.26: `c = corrcoef(x, x.mean(0))`, `var`, `percentile`; x is `samples`.
#[test]
fn a_small_case_agrees_with_numpy() {
    let samples = array![[1.0, 2.0, 4.0], [2.0, 0.0, 1.0], [0.0, 3.0, 5.0], [1.0, 1.0, 1.5]];
    let near = |found: [f64; 5], wanted: [f64; 5]| {
        for (found, wanted) in found.iter().zip(wanted) {
            assert!((found - wanted).abs() < 1e-12, "{found} {wanted}");
        }
    };
    near(directional(samples.view(), Spread { similarity: SampleSimilarity::Correlation, ddof: 0 }), CORRELATION);
    near(directional(samples.view(), Spread { similarity: SampleSimilarity::Cosine, ddof: 1 }), COSINE_SAMPLE);
}

const CORRELATION: [f64; 5] =
    [0.488_249_281_652_6, 1.512_094_074_578_4, 0.280_481_477_264_9, 1.072_134_219_825_0, 0.658_870_698_121_4];
const COSINE_SAMPLE: [f64; 5] =
    [0.120_230_195_863_5, 0.684_697_077_765_3, 0.027_920_455_738_8, 0.304_115_490_404_7, 0.891_722_516_436_7];

#[test]
fn identical_samples_agree_wholly() {
    let fixed = velocities(120, 0);
    let found = found(120, &settings(4), |v| v.assign(&fixed));
    for of in [&found.intrinsic, found.extrinsic.as_ref().unwrap()] {
        for (name, values) in fields(of) {
            let wanted = if name == "cosine_sim_mean" { 1.0 } else { 0.0 };
            // An angle of 2·10⁻⁸ has the cosine 1 − 2·10⁻¹⁶.
            assert!(values.iter().all(|value| (value - wanted).abs() < 1e-7), "{name} {values:?}");
        }
    }
}

#[test]
fn uncertainties_do_not_depend_on_blocks_or_threads() {
    let ms = abundances(120);
    let neighbors = graph(&ms);
    let of = |threads: usize, block: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut calls = 0;
            let mut sample = |cells: Range<usize>, l| {
                calls += 1;
                Ok(velocities(120, l).slice(s![cells, ..]).to_owned())
            };
            let found = uncertainty_by_blocks(ms.view(), &neighbors, &settings(3), block, &mut sample);
            assert_eq!(calls, 3 * N_OBS.div_ceil(block), "once for every block and sample");
            found.unwrap().unwrap()
        })
    };
    let whole = of(1, N_OBS);
    assert_eq!(whole, of(1, 1));
    assert_eq!(whole, of(3, 7));
}

#[test]
fn opposite_velocities_are_as_certain() {
    let of = |factor: f32| found(40, &settings(5), |v| v.mapv_inplace(|value| value * factor));
    let (ahead, back, faster) = (of(1.0), of(-1.0), of(4.0));
    assert_eq!(ahead.intrinsic, back.intrinsic);
    assert_eq!(ahead.intrinsic, faster.intrinsic);
    assert_ne!(ahead.extrinsic, back.extrinsic);
}

#[test]
fn cells_that_do_not_move_have_similarity_zero_and_never_nan() {
    for n_vars in [40, 120] {
        for extrapolation in [Extrapolation::State, Extrapolation::Displacement] {
            let settings = UncertaintyConfig { extrapolation, ..settings(5) };
            let found = found(n_vars, &settings, |v| v.row_mut(7).fill(0.0));
            let extrinsic = found.extrinsic.unwrap();
            for of in [&found.intrinsic, &extrinsic] {
                assert!(fields(of).iter().all(|(_, values)| values.iter().all(|value| value.is_finite())));
                assert!(of.variance[7] < 1e-14 && of.difference[7] < 1e-7, "{of:?}");
            }
            assert!(found.intrinsic.cos_mean[7].abs() < 1e-15);
            // It stays where it is: always the same state, and no displacement.
            let wanted = if extrapolation == Extrapolation::State { 1.0 } else { 0.0 };
            assert!((extrinsic.cos_mean[7] - wanted).abs() < 1e-12);
        }
    }
}

#[test]
fn displacements_do_not_depend_on_what_all_cells_share_and_states_do() {
    let ms = abundances(40);
    let neighbors = graph(&ms);
    let shared = Array1::from_shape_fn(40, |g| 0.25 * (g % 7) as f32);
    let of = |ms: &Array2<f32>, extrapolation| {
        let settings = UncertaintyConfig { extrapolation, ..settings(5) };
        let mut sample = |cells: Range<usize>, l| Ok(velocities(40, l).slice(s![cells, ..]).to_owned());
        let found = uncertainty(ms.view(), &neighbors, &settings, &mut sample).unwrap();
        found.and_then(|found| found.extrinsic).unwrap().cos_mean
    };
    let change = |extrapolation| {
        let difference = of(&ms, extrapolation) - of(&(&ms + &shared), extrapolation);
        difference.iter().fold(0.0_f64, |most, next| most.max(next.abs()))
    };
    assert!(change(Extrapolation::Displacement) < 1e-5);
    assert!(change(Extrapolation::State) > 0.01);
}

#[test]
fn no_samples_are_no_uncertainty_and_one_is_refused() {
    let ms = abundances(40);
    let mut never = |_, _| -> nascent::Result<Array2<f32>> { panic!("no sample is wanted") };
    assert_eq!(uncertainty(ms.view(), &graph(&ms), &settings(0), &mut never).unwrap(), None);
    let error = uncertainty(ms.view(), &graph(&ms), &settings(1), &mut never).unwrap_err();
    assert!(error.to_string().starts_with("model.uncertainty.n_samples = 1: must be 0 (off), or from 2 to"), "{error}");
    let without = found(40, &UncertaintyConfig { extrinsic: false, ..settings(3) }, |_| ());
    assert_eq!(without.extrinsic, None);
}

#[test]
fn samples_that_cannot_be_used_are_refused() {
    let ms = abundances(40);
    let of = |sample: &Array2<f32>| {
        let mut sample = |_, _| Ok(sample.clone());
        uncertainty(ms.view(), &graph(&ms), &settings(2), &mut sample).unwrap_err()
    };
    assert!(matches!(of(&velocities(39, 0)), Error::Shape { .. }));
    let mut missing = velocities(40, 0);
    missing[[3, 5]] = f32::NAN;
    let message = "uncertainty: the velocity of gene 5 in cell 3 (counted from 0) is not finite";
    assert_eq!(of(&missing).to_string(), message);
}

#[test]
fn settings_are_read_strictly() {
    let read: UncertaintyConfig = toml::from_str(&toml::to_string(&UncertaintyConfig::default()).unwrap()).unwrap();
    assert_eq!(read, UncertaintyConfig::default());
    let unknown =
        "n_samples = 3\ncentred = true\npopulation = true\nextrinsic = true\nextrapolation = \"state\"\nn = 1";
    assert!(toml::from_str::<UncertaintyConfig>(unknown).is_err());
}
