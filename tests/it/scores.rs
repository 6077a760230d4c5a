//! How far velocities may be believed, on data where it is known.

use nascent::data::{Groups, Silent};
use nascent::graph::{Candidates, Similarity, States, velocity_graph};
use nascent::neighbors::nearest;
use nascent::scores::{self, FullGraph, SampleAgreement, Sampled, VelocityField};
use nascent::sparse::Csr;
use ndarray::{Array2, Axis};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Cells along a line in 60 genes that turn on and off at different times, with noise, and their derivatives; `[n, 60]` each.
fn line(n: usize) -> (Array2<f32>, Array2<f32>) {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let (mut x, mut v) = (Array2::zeros((n, 60)), Array2::zeros((n, 60)));
    for i in 0..n {
        let t = i as f32 / n as f32;
        for gene in 0..60 {
            let (rate, phase) = (2.0 + (gene % 7) as f32, gene as f32);
            x[[i, gene]] = (rate * t + phase).sin() + rng.random_range(-0.05..0.05);
            v[[i, gene]] = rate * (rate * t + phase).cos();
        }
    }
    (x, v)
}

fn graph(x: &Array2<f32>, v: &Array2<f32>) -> (Csr<f32>, Candidates) {
    let candidates = Candidates::new(&nearest(x.view(), 15).unwrap()).unwrap();
    (velocity_graph(&States::new(x.view()), &candidates, v.view(), &mut Silent).unwrap(), candidates)
}

/// The whole over all of its 300 cells.
fn whole<'a>(graph: &'a Csr<f32>, candidates: &'a Candidates, [x, v]: [&'a Array2<f32>; 2]) -> FullGraph<'a> {
    const CELLS: [usize; 300] = {
        let mut cells = [0; 300];
        let mut i = 0;
        while i < 300 {
            cells[i] = i;
            i += 1;
        }
        cells
    };
    let similarity = Similarity::default();
    FullGraph { graph, candidates, similarity, states: x.view(), velocities: v.view(), cells: &CELLS }
}

#[test]
fn all_genes_reconstruct_the_graph_and_velocities_of_other_cells_do_not() {
    // Not along a line: there all ways are parallel, and any velocity gives the same row or its opposite.
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let [x, v] = [(); 2].map(|()| Array2::from_shape_simple_fn((300, 60), || rng.random_range(-1.0..1.0)));
    let (full, candidates) = graph(&x, &v);
    let all: Vec<usize> = (0..60).collect();
    assert!(whole(&full, &candidates, [&x, &v]).reconstructability(&all).unwrap().r > 1.0 - 1e-12);
    let mut order: Vec<usize> = (0..300).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(4));
    let permuted = Array2::from_shape_fn(v.dim(), |(i, gene)| v[[order[(i + 31 * gene) % 300], gene]]);
    let found = whole(&full, &candidates, [&x, &permuted]).reconstructability(&all).unwrap().r;
    assert!(found.abs() < 0.1, "{found}");
}

#[test]
fn more_random_genes_reconstruct_more() {
    let (x, v) = line(300);
    let (full, candidates) = graph(&x, &v);
    let order: Vec<usize> = (0..60).collect();
    let found = whole(&full, &candidates, [&x, &v]).sweep(&order, &[3, 10, 30, 60, 90], 10, 0).unwrap();
    assert_eq!(found.k, [3, 10, 30, 60]);
    assert!(found.null_r.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", found.null_r);
    assert!((found.null_r[3] - 1.0).abs() < 1e-12 && (found.r[3].r - 1.0).abs() < 1e-12);
    assert!(found.null_range.iter().zip(&found.null_r).all(|([low, high], middle)| low <= middle && middle <= high));
}

#[test]
fn velocities_along_the_line_cross_its_middle_and_reversed_ones_turn_back() {
    let (x, v) = line(200);
    let candidates = Candidates::nearest(&nearest(x.view(), 10).unwrap(), 10).unwrap();
    let groups: Vec<Option<u32>> = (0..200).map(|i| if i < 100 { Some(0) } else { Some(1) }).collect();
    let reversed = -&v;
    let moving = |velocities: &Array2<f32>| {
        let moving =
            VelocityField { states: x.view(), velocities: velocities.view(), candidates: &candidates, groups: &groups };
        (moving.boundaries(&[(0, 1)], 20, 0).remove(0), moving.coherence())
    };
    let (forward, coherence) = moving(&v);
    let (backward, _) = moving(&reversed);
    assert!(forward.score > 0.5 && forward.n_cells > 1, "{forward:?}");
    assert!((forward.score + backward.score).abs() < 1e-6);
    assert!(forward.score - forward.null.mean > 2.0 * forward.null.std, "{forward:?}");
    let mean = scores_mean(&coherence);
    assert!(mean > 0.95, "{mean}");
}

#[test]
fn velocities_along_the_line_flow_along_its_time_and_reversed_ones_against_it() {
    let (x, v) = line(200);
    let candidates = Candidates::nearest(&nearest(x.view(), 10).unwrap(), 10).unwrap();
    let groups = vec![None; 200];
    let flow = |velocities: &Array2<f32>, time: &dyn Fn(usize) -> f64, period: Option<f64>| {
        let moving =
            VelocityField { states: x.view(), velocities: velocities.view(), candidates: &candidates, groups: &groups };
        moving.along(&(0..200).map(time).collect::<Vec<f64>>(), period)
    };
    let forward = flow(&v, &|i| i as f64, None);
    let backward = flow(&-&v, &|i| i as f64, None);
    assert!(scores_mean(&forward) > 0.9, "{}", scores_mean(&forward));
    assert!(forward.iter().zip(&backward).all(|(f, b)| (f + b).abs() < 1e-6));
    // On a circle the time may begin anywhere.
    let begun_later = flow(&v, &|i| ((i + 50) % 400) as f64, Some(400.0));
    let across_the_seam = flow(&v, &|i| ((i + 300) % 400) as f64, Some(400.0));
    assert_eq!(forward, begun_later);
    assert_eq!(forward, across_the_seam);
    // Without a time there is no direction, and what does not move has none.
    assert!(flow(&v, &|_| 1.0, None).iter().all(|flow| flow.is_nan()));
    assert!(flow(&Array2::zeros(v.dim()), &|i| i as f64, None).iter().all(|&flow| flow == 0.0));
}

fn scores_mean(values: &[f64]) -> f64 {
    nascent::stats::mean(values)
}

#[test]
fn cells_without_neighbours_in_the_other_group_make_no_boundary() {
    let (x, v) = line(40);
    let candidates = Candidates::nearest(&nearest(x.view(), 4).unwrap(), 4).unwrap();
    let groups: Vec<Option<u32>> = vec![Some(0); 40];
    let moving = VelocityField { states: x.view(), velocities: v.view(), candidates: &candidates, groups: &groups };
    let found = moving.boundaries(&[(0, 7)], 3, 0);
    assert!(found[0].n_cells == 0 && found[0].score.is_nan());
}

/// Welch's t with the group's size twice, from its definition.
#[test]
fn ranks_are_those_of_the_formula() {
    let (_, v) = line(50);
    let groups: Vec<Option<u32>> = (0..50).map(|i| (i % 5 != 4).then_some((i % 2) as u32)).collect();
    let found = scores::rank(v.view(), &groups, 2);
    for group in 0..2_u32 {
        let split =
            |inside: bool| -> Vec<usize> { (0..50).filter(|&i| (groups[i] == Some(group)) == inside).collect() };
        let (inside, outside) = (split(true), split(false));
        for gene in 0..60 {
            let of = |cells: &[usize]| cells.iter().map(|&i| f64::from(v[[i, gene]])).collect::<Vec<f64>>();
            let (a, b) = (of(&inside), of(&outside));
            let variance = nascent::stats::variance(&a, 1) + nascent::stats::variance(&b, 1);
            let wanted = (scores_mean(&a) - scores_mean(&b)) / (variance / inside.len() as f64).sqrt();
            assert!((found[[group as usize, gene]] - wanted).abs() < 1e-6 * (1.0 + wanted.abs()));
        }
    }
}

/// u follows α(t), s follows u: on, then off.
fn spliced_after_unspliced(n: usize) -> (Array2<f32>, Array2<f32>, Vec<f64>) {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let time: Vec<f64> = (0..n).map(|i| i as f64 / n as f64 * 10.0).collect();
    let (mut mu, mut ms) = (Array2::zeros((n, 30)), Array2::zeros((n, 30)));
    for gene in 0..30 {
        let off = rng.random_range(2.0..12.0);
        let (beta, gamma) = (rng.random_range(0.5..2.0), rng.random_range(0.2..1.0));
        let (mut u, mut s, mut t) = (0.0_f64, 0.0, 0.0);
        for (i, &at) in time.iter().enumerate() {
            while t < at {
                let alpha = if t < off { 5.0 } else { 0.0 };
                (u, s) = (u + 1e-3 * (alpha - beta * u), s + 1e-3 * (beta * u - gamma * s));
                t += 1e-3;
            }
            mu[[i, gene]] = (u * rng.random_range(0.8..1.2)) as f32;
            ms[[i, gene]] = (s * rng.random_range(0.8..1.2)) as f32;
        }
    }
    (ms, mu, time)
}

#[test]
fn the_direction_of_time_is_found_and_of_noise_it_is_not() {
    let (ms, mu, time) = spliced_after_unspliced(400);
    let forward = scores::direction(ms.view(), mu.view(), &time).unwrap();
    assert!(forward.z() > 4.0 && forward.share() > 0.9, "{forward:?}");
    let reversed: Vec<f64> = time.iter().map(|t| 10.0 - t).collect();
    let backward = scores::direction(ms.view(), mu.view(), &reversed).unwrap();
    assert!((backward.forward, backward.backward) == (forward.backward, forward.forward), "{backward:?}");

    let mut order: Vec<usize> = (0..400).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(6));
    let (ms, mu) = (ms.select(Axis(0), &order), mu.select(Axis(0), &order));
    let none = scores::direction(ms.view(), mu.view(), &time).unwrap();
    assert!(none.z().abs() < 3.0, "{none:?}");
}

/// Samples of cells along the line: cell `i` is of sample `of(i)`.
fn in_samples(n: usize, names: usize, of: impl Fn(usize) -> usize) -> Groups {
    Groups {
        names: (0..names).map(|at| format!("S{at}")).collect(),
        of: (0..n).map(|i| Some(u32::try_from(of(i)).unwrap())).collect(),
    }
}

fn beside(samples: &Groups, [x, v]: [&Array2<f32>; 2], time: &[f64]) -> Vec<SampleAgreement> {
    scores::samples(&Sampled { samples, points: x.view(), velocities: v.view(), time: Some(time) }).unwrap()
}

#[test]
fn copies_of_a_sample_agree_as_well_as_cells_of_one() {
    let (x, v) = line(200);
    let twice = |matrix: &Array2<f32>| ndarray::concatenate![Axis(0), matrix.view(), matrix.view()];
    let time: Vec<f64> = (0..400).map(|i| f64::from(i % 200)).collect();
    let found = beside(&in_samples(400, 2, |i| i / 200), [&twice(&x), &twice(&v)], &time);
    assert_eq!(found.len(), 2);
    for (row, [own, other]) in found.iter().zip([["S0", "S1"], ["S1", "S0"]]) {
        assert_eq!((&row.sample[..], row.other.as_deref(), row.n_cells), (own, Some(other), 200));
        // A cell's copy is one of its 15 neighbours in the other sample, and not of those in its own.
        assert!((0.0..0.05).contains(&(row.between.cosine - row.within.cosine)), "{row:?}");
        assert!(row.distance > 0.8 && row.distance < 1.0, "{row:?}");
        assert!(
            row.between.time_correlation.unwrap() > 0.999 && row.between.time_shift.unwrap().abs() < 0.01,
            "{row:?}"
        );
    }
    assert_eq!(found[0].between, found[1].between);
}

/// Labels that are drawn say nothing of the cells.
#[test]
fn parts_of_a_sample_agree_as_well_as_cells_of_one() {
    let (x, v) = line(600);
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let of: Vec<usize> = (0..600).map(|_| rng.random_range(0..2)).collect();
    let time: Vec<f64> = (0..600).map(f64::from).collect();
    for row in beside(&in_samples(600, 2, |i| of[i]), [&x, &v], &time) {
        assert!((row.between.cosine - row.within.cosine).abs() < 0.01, "{row:?}");
        assert!((row.distance - 1.0).abs() < 0.1, "{row:?}");
        assert!(row.between.time_shift.unwrap().abs() < 0.01, "{row:?}");
    }
}

#[test]
fn a_sample_whose_velocities_are_reversed_is_seen_and_noise_is_told_from_it() {
    let (x, v) = line(600);
    let samples = in_samples(600, 2, |i| i % 2);
    let time: Vec<f64> = (0..600).map(f64::from).collect();
    let mut reversed = v.clone();
    let mut backward = time.clone();
    for i in (1..600).step_by(2) {
        reversed.row_mut(i).mapv_inplace(|v| -v);
        backward[i] = 599.0 - time[i];
    }
    for row in beside(&samples, [&x, &reversed], &backward) {
        assert!(row.within.cosine > 0.9 && row.between.cosine < -0.9, "{row:?}");
        assert!(
            row.within.time_correlation.unwrap() > 0.99 && row.between.time_correlation.unwrap() < -0.99,
            "{row:?}"
        );
    }
    // Times that run late in one sample are seen as a shift, by its size.
    let late: Vec<f64> = (0..600).map(|i| if i % 2 == 1 { time[i] + 100.0 } else { time[i] }).collect();
    let found = beside(&samples, [&x, &v], &late);
    for (row, wanted) in found.iter().zip([-100.0 / 699.0, 100.0 / 699.0]) {
        assert!((row.between.time_shift.unwrap() - wanted).abs() < 0.01, "{row:?}");
        assert!(row.between.time_correlation.unwrap() > 0.99, "{row:?}");
    }
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let noise = Array2::from_shape_simple_fn((600, 60), || rng.random_range(-1.0..1.0));
    for row in beside(&samples, [&x, &noise], &time) {
        assert!(row.within.cosine.abs() < 0.05 && row.between.cosine.abs() < 0.05, "{row:?}");
    }
}

#[test]
fn of_many_samples_each_is_compared_with_all_others_and_small_ones_with_none() {
    let (x, v) = line(400);
    let time: Vec<f64> = (0..400).map(f64::from).collect();
    let found = beside(&in_samples(400, 6, |i| if i < 10 { 5 } else { i % 5 }), [&x, &v], &time);
    let names: Vec<(&str, Option<&str>)> = found.iter().map(|row| (&row.sample[..], row.other.as_deref())).collect();
    assert_eq!(names, ["S0", "S1", "S2", "S3", "S4"].map(|name| (name, None)));
    let one = in_samples(400, 2, |i| usize::from(i < 10));
    assert!(beside(&one, [&x, &v], &time).is_empty());
}
