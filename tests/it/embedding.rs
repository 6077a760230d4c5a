//! Arrows, fields and UMAP: their laws.

use nascent::Error;
use nascent::data::stream;
use nascent::embedding::{
    DensityCorrection, Displacement, FieldKind, FieldSettings, Flow, ProjectionSettings, UmapSettings, Weighting,
    arrows, curve, project, umap,
};
use nascent::graph::{Candidates, States, confidence, rows};
use nascent::neighbors::{Neighbors, neighbors};
use nascent::pca::pca_dense;
use nascent::sparse::Csr;
use nascent::stats::percentile;
use ndarray::{Array2, ArrayView1, ArrayView2, Axis, array, concatenate, s};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

const N_OBS: usize = 200;
const N_GENES: usize = 12;

/// States along a curve in the space of genes, with noise.
fn states() -> Array2<f32> {
    let mut rng = stream(0, "states", 0);
    Array2::from_shape_fn((N_OBS, N_GENES), |(i, g)| {
        let noise: f64 = StandardNormal.sample(&mut rng);
        ((0.02 * i as f64 + g as f64).sin() + 0.1 * noise) as f32
    })
}

/// Velocities along that curve, with noise.
fn velocities() -> Array2<f32> {
    let mut rng = stream(0, "velocities", 0);
    Array2::from_shape_fn((N_OBS, N_GENES), |(i, g)| {
        let noise: f64 = StandardNormal.sample(&mut rng);
        ((0.02 * i as f64 + g as f64).cos() + 0.3 * noise) as f32
    })
}

fn graph(velocities: &Array2<f32>) -> Csr<f32> {
    let states = states();
    let candidates = Candidates::new(&neighbors(states.view(), 10).unwrap().distances).unwrap();
    rows(&States::new(states.view()), &candidates, 0..N_OBS, velocities.view()).unwrap()
}

fn plane() -> Array2<f32> {
    let states = states();
    pca_dense(states.view(), 2).unwrap().scores
}

fn norm(arrow: ArrayView1<'_, f64>) -> f64 {
    arrow.dot(&arrow).sqrt()
}

fn cosine(a: ArrayView1<'_, f64>, b: ArrayView1<'_, f64>) -> f64 {
    a.dot(&b) / (norm(a) * norm(b))
}

fn close(a: &Array2<f64>, b: &Array2<f64>, tolerance: f64) -> bool {
    a.dim() == b.dim() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < tolerance)
}

fn without_staying() -> ProjectionSettings {
    ProjectionSettings { self_transitions: false, ..ProjectionSettings::default() }
}

#[test]
fn negated_velocities_turn_every_arrow_around_and_keep_lengths_without_self_transitions() {
    let (forth, back) = (graph(&velocities()), graph(&-velocities()));
    let arrows = |graph, settings: &ProjectionSettings| project(graph, plane().view(), settings).unwrap().arrows;
    assert!(close(&arrows(&forth, &without_staying()), &-arrows(&back, &without_staying()), 1e-7));

    let staying = ProjectionSettings::default();
    let (forth, back) = (arrows(&forth, &staying), arrows(&back, &staying));
    assert!(forth.rows().into_iter().zip(back.rows()).all(|(a, b)| cosine(a, b) < -1.0 + 1e-6));
    assert!(!close(&forth, &-&back, 1e-3), "self-transitions know only of agreement");
}

#[test]
fn arrows_follow_a_course_that_the_velocities_follow() {
    // Cells are in the order of the curve, so a few cells on is where they go.
    let (plane, step) = (plane(), 20);
    let arrows = project(&graph(&velocities()), plane.view(), &ProjectionSettings::default()).unwrap().arrows;
    let ahead = |i: usize| (&plane.row(i + step) - &plane.row(i)).mapv(f64::from);
    let mean = (0..N_OBS - step).map(|i| cosine(arrows.row(i), ahead(i).view())).sum::<f64>() / (N_OBS - step) as f64;
    assert!(mean > 0.8, "{mean}");
}

#[test]
fn arrows_turn_with_the_embedding_and_forget_its_place_and_size() {
    let (plane, graph) = (plane(), graph(&velocities()));
    let turn = array![[0.6, 0.8], [-0.8, 0.6]];
    let turned = (plane.mapv(f64::from).dot(&turn) * 7.0 + 3.0).mapv(|x| x as f32);
    for weighting in [Weighting::Plain, Weighting::Kernel, Weighting::Confidence] {
        let settings = ProjectionSettings { weighting, ..ProjectionSettings::default() };
        let arrows = |places: &Array2<f32>| project(&graph, places.view(), &settings).unwrap().arrows;
        assert!(close(&arrows(&plane).dot(&turn), &arrows(&turned), 1e-5), "{weighting:?}");
    }
}

#[test]
fn an_arrow_is_the_expected_direction_less_that_of_even_transitions() {
    // From (0, 0): cell 1 is at distance 5, cell 2 at distance 1; only cell 0 moves.
    let places = array![[0.0_f32, 0.0], [3.0, 4.0], [0.0, -1.0]];
    let graph = Csr::from_rows(3, &[vec![(1, 0.2_f32), (2, -0.1)], vec![], vec![]]);
    let (e, f) = (2.0_f64.exp_m1(), 1.0_f64.exp_m1());
    let (p, q) = (e / (e + f), -f / (e + f));
    let expected = |r: f64, d1: [f64; 2], d2: [f64; 2]| [0, 1].map(|axis| (p - r) * d1[axis] + (q - r) * d2[axis]);
    let arrow = |change: &dyn Fn(&mut ProjectionSettings)| {
        let mut settings = without_staying();
        change(&mut settings);
        let arrows = project(&graph, places.view(), &settings).unwrap().arrows;
        assert!(arrows.slice(s![1.., ..]).iter().all(|&x| x == 0.0), "a cell without velocity does not move");
        [arrows[[0, 0]], arrows[[0, 1]]]
    };
    let (unit1, unit2) = ([0.6, 0.8], [0.0, -1.0]);
    let mean = f64::midpoint(p, q);
    let same =
        |a: [f64; 2], b: [f64; 2]| assert!((a[0] - b[0]).abs() < 1e-6 && (a[1] - b[1]).abs() < 1e-6, "{a:?} {b:?}");
    same(arrow(&|_| {}), expected(mean, unit1, unit2));
    same(arrow(&|of| of.density_correction = DensityCorrection::OneOverK), expected(0.5, unit1, unit2));
    same(arrow(&|of| of.density_correction = DensityCorrection::None), expected(0.0, unit1, unit2));
    same(arrow(&|of| of.displacement = Displacement::Full), expected(mean, [3.0, 4.0], [0.0, -1.0]));
    same(arrow(&|of| of.weighting = Weighting::Confidence), expected(mean, unit1, unit2).map(|x| x * 0.2));
    // The median of the distances 5 and 1 is 3.
    let (near1, near2) = ((-25.0_f64 / 18.0).exp(), (-1.0_f64 / 18.0).exp());
    let wanted = expected(mean, unit1.map(|x| x * near1), unit2.map(|x| x * near2));
    same(arrow(&|of| of.weighting = Weighting::Kernel), wanted);
}

#[test]
fn the_two_density_corrections_are_one_where_transitions_are_probabilities() {
    let (plane, graph) = (plane(), graph(&velocities()));
    let arrows = |density_correction| {
        let settings = ProjectionSettings { negative_cosines: false, density_correction, ..without_staying() };
        project(&graph, plane.view(), &settings).unwrap().arrows
    };
    assert!(close(&arrows(DensityCorrection::RowMean), &arrows(DensityCorrection::OneOverK), 1e-5));
    assert!(!close(&arrows(DensityCorrection::RowMean), &arrows(DensityCorrection::None), 1e-3));
}

#[test]
fn confident_cells_have_longer_arrows() {
    let (plane, graph) = (plane(), graph(&velocities()));
    let settings = |weighting| ProjectionSettings { weighting, ..ProjectionSettings::default() };
    let plain = project(&graph, plane.view(), &settings(Weighting::Plain)).unwrap().arrows;
    let weighted = project(&graph, plane.view(), &settings(Weighting::Confidence)).unwrap().arrows;
    for i in 0..N_OBS {
        let c = f64::from(confidence(graph.row(i).1));
        assert!((&plain.row(i) * c - weighted.row(i)).iter().all(|x| x.abs() < 1e-12));
    }
}

#[test]
fn nine_of_ten_scaled_arrows_are_shorter_than_three_percent_of_the_diagonal() {
    let plane = plane();
    let found = project(&graph(&velocities()), plane.view(), &ProjectionSettings::default()).unwrap();
    let lengths: Vec<f64> = found.scaled().rows().into_iter().map(norm).collect();
    let extent = |x: ArrayView1<'_, f32>| {
        f64::from(x.iter().copied().fold(f32::MIN, f32::max)) - f64::from(x.iter().copied().fold(f32::MAX, f32::min))
    };
    let diagonal = extent(plane.column(0)).hypot(extent(plane.column(1)));
    assert!((percentile(&lengths, 90.0) / diagonal - 0.03).abs() < 1e-9);
    assert!(close(&(found.scaled() * found.scale), &found.arrows, 1e-12));
}

#[test]
fn cells_in_one_place_have_arrows_and_none_is_nan() {
    let graph = graph(&velocities());
    for weighting in [Weighting::Plain, Weighting::Kernel] {
        let settings = ProjectionSettings { weighting, ..ProjectionSettings::default() };
        let all = project(&graph, Array2::<f32>::ones((N_OBS, 2)).view(), &settings).unwrap();
        assert!(all.arrows.iter().all(|&x| x == 0.0) && all.scaled().iter().all(|&x| x == 0.0));
        let mut plane = plane();
        plane.slice_mut(s![..150, ..]).fill(0.5);
        let most = project(&graph, plane.view(), &settings).unwrap();
        assert!(most.scaled().iter().all(|x| x.is_finite()) && most.arrows.iter().any(|&x| x != 0.0));
    }
    assert!(project(&Csr::empty(0, 0), Array2::zeros((0, 2)).view(), &ProjectionSettings::default()).is_ok());
}

fn message(result: Result<impl Sized, Error>) -> String {
    result.err().expect("an error").to_string()
}

#[test]
fn numbers_that_are_not_finite_are_counted_and_the_first_is_named() {
    let graph = graph(&velocities());
    let mut plane = plane();
    plane[[7, 1]] = f32::NAN;
    plane[[90, 0]] = f32::INFINITY;
    let wanted = "coordinates are not finite in 2 of 200 cells, first in cell 7 (counted from 0)";
    let settings = ProjectionSettings::default();
    assert!(message(project(&graph, plane.view(), &settings)).ends_with(wanted));
    let none = Array2::zeros((N_OBS, 2));
    assert!(message(Flow::new(plane.view(), none.view(), &FieldSettings::default())).ends_with(wanted));
    let places = Array2::zeros((N_OBS, 2));
    let mut velocities = velocities();
    velocities[[3, 3]] = f32::NAN;
    let full = ProjectionSettings { displacement: Displacement::Full, ..settings.clone() };
    let found = arrows(&graph, places.view(), [states().view(), velocities.view()], &full);
    assert!(message(found).contains("velocities are not finite in 1 of 200 cells, first in cell 3"));
    let mut broken = graph;
    broken.data[5] = f32::NAN;
    assert!(message(project(&broken, places.view(), &settings)).contains("similarities"));
    broken.data[5] = 9.0;
    assert!(message(project(&broken, places.view(), &settings)).contains("similarities up to 9 overflow"));
}

#[test]
fn shapes_that_disagree_and_settings_out_of_range_are_errors() {
    let (graph, plane) = (graph(&velocities()), plane());
    let fewer = plane.slice(s![1.., ..]);
    assert!(matches!(project(&graph, fewer, &ProjectionSettings::default()), Err(Error::Shape { .. })));
    let arrows = Array2::zeros((N_OBS, 2));
    assert!(matches!(Flow::new(fewer, arrows.view(), &FieldSettings::default()), Err(Error::Shape { .. })));
    let three = Array2::<f32>::zeros((N_OBS, 3));
    assert!(matches!(Flow::new(three.view(), arrows.view(), &FieldSettings::default()), Err(Error::Shape { .. })));
    assert!(matches!(umap(&graph, fewer, &UmapSettings::default(), 0), Err(Error::Shape { .. })));
    assert!(matches!(umap(&graph, plane.slice(s![.., ..1]), &UmapSettings::default(), 0), Err(Error::Shape { .. })));
    // Similarities of both signs are no weights.
    assert!(message(umap(&graph, plane.view(), &UmapSettings::default(), 0)).contains("a weight of -"));

    let steep = ProjectionSettings { kernel_scale: 1e3, ..ProjectionSettings::default() };
    assert!(message(project(&graph, plane.view(), &steep)).contains("kernel_scale = 1000"));
    let coarse = FieldSettings { density: 0.01, ..FieldSettings::default() };
    assert!(message(Flow::new(plane.view(), arrows.view(), &coarse)).contains("density = 0.01"));
    let far = UmapSettings { min_dist: 2.0, ..UmapSettings::default() };
    assert!(message(far.validate()).contains("min_dist = 2"));
}

#[test]
fn a_field_of_equal_arrows_is_that_arrow_wherever_there_is_mass() {
    let mut rng = stream(0, "field", 0);
    // Dense enough for a mass of more than 1, a density per unit of length.
    let places = Array2::from_shape_fn((4000, 2), |_| rng.random::<f32>());
    let arrows = Array2::from_shape_fn((4000, 2), |(_, axis)| [2.0, -1.0][axis]);
    for kind in [FieldKind::Grid, FieldKind::Stream] {
        let settings = FieldSettings { kind, smooth: 1.0, ..FieldSettings::default() };
        let flow = Flow::new(places.view(), arrows.view(), &settings).unwrap();
        let inner = |component: &Array2<f64>| component.slice(s![5..45, 5..45]).to_owned();
        assert!(inner(&flow.u).iter().all(|u| (u - 2.0).abs() < 1e-9), "{kind:?}");
        assert!(inner(&flow.v).iter().all(|v| (v + 1.0).abs() < 1e-9));
        assert_eq!((flow.x.len(), flow.y.len(), flow.u.dim()), (50, 50, (50, 50)));
    }
}

#[test]
fn a_field_is_empty_where_no_cells_are_and_turns_with_the_embedding() {
    // A ring, so that corners and centre are empty; arrows around it.
    let places = Array2::from_shape_fn((2000, 2), |(i, axis)| {
        let angle = i as f32 * 0.37;
        [3.0 * angle.cos(), angle.sin()][axis] * (10.0 + 0.001 * i as f32)
    });
    let arrows = Array2::from_shape_fn((2000, 2), |(i, axis)| {
        let angle = f64::from(i as f32 * 0.37);
        [-3.0 * angle.sin(), angle.cos()][axis]
    });
    let settings = FieldSettings { kind: FieldKind::Grid, density: 0.5, ..FieldSettings::default() };
    let flow = Flow::new(places.view(), arrows.view(), &settings).unwrap();
    assert!(flow.u[[0, 0]].is_nan() && flow.v[[24, 24]].is_nan() && flow.u[[12, 12]].is_nan());
    assert!(flow.u[[12, 24]].is_finite() && flow.v[[12, 24]] > 0.0 && flow.v[[12, 0]] < 0.0);
    // (x, y) → (−y, x): rows become columns, first to last.
    let quarter =
        |of: &Array2<f64>| concatenate![Axis(1), -of.slice(s![.., 1..]).to_owned(), of.slice(s![.., ..1]).to_owned()];
    let turned_places = quarter(&places.mapv(f64::from)).mapv(|x| x as f32);
    let turned = Flow::new(turned_places.view(), quarter(&arrows).view(), &settings).unwrap();
    // scVelo's margins are 1 % at the lower ends and 1.01 % at the upper, so a turned grid is shifted by 10⁻⁴ of its extent.
    let largest = flow.u.iter().filter(|u| u.is_finite()).fold(0.0_f64, |most, u| most.max(u.abs()));
    let alike = |((row, column), &u): ((usize, usize), &f64)| {
        let there = turned.v[[column, 24 - row]];
        (u.is_nan() && there.is_nan()) || (u - there).abs() < 0.05 * largest
    };
    let share = flow.u.indexed_iter().filter(|&at| alike(at)).count() as f64 / 625.0;
    assert!(share > 0.95, "{share}");
}

#[test]
fn cells_on_a_line_span_no_field() {
    let places = Array2::from_shape_fn((30, 2), |(i, axis)| if axis == 0 { i as f32 } else { 4.0 });
    let found = Flow::new(places.view(), Array2::ones((30, 2)).view(), &FieldSettings::default());
    assert!(message(found).contains("30 cells with the same coordinate 2"));
    let none = Flow::new(Array2::zeros((0, 2)).view(), Array2::zeros((0, 2)).view(), &FieldSettings::default());
    assert!(matches!(none, Err(Error::Data { .. })));
}

#[test]
fn nothing_here_depends_on_the_number_of_threads() {
    let all = || {
        let (plane, graph) = (plane(), graph(&velocities()));
        let arrows = project(&graph, plane.view(), &ProjectionSettings::default()).unwrap();
        let flow = Flow::new(plane.view(), arrows.arrows.view(), &FieldSettings::default()).unwrap();
        let linked = neighbors(states().view(), 10).unwrap();
        let places = umap(&linked.connectivities, plane.view(), &UmapSettings::default(), 3).unwrap();
        let bits = |values: &Array2<f64>| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        (bits(&arrows.arrows), arrows.scale.to_bits(), bits(&flow.u), bits(&flow.v), bits(&places.mapv(f64::from)))
    };
    let with = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap().install(all);
    assert!(with(1) == with(3));
}

// ---- UMAP ----

/// How far cells that are near in the plane are among the near ones in the space (Venna & Kaski 2001): 1 if each cell's k
/// nearest in the plane are its k nearest in the space.
pub(crate) fn trustworthiness(space: ArrayView2<'_, f32>, plane: ArrayView2<'_, f32>, k: usize) -> f64 {
    let n = space.nrows();
    let order = |points: ArrayView2<'_, f32>, i: usize| {
        let distance = |j: usize| (&points.row(j) - &points.row(i)).mapv(|x| f64::from(x).powi(2)).sum();
        let mut others: Vec<(f64, usize)> = (0..n).filter(|&j| j != i).map(|j| (distance(j), j)).collect();
        others.sort_by(|a, b| a.partial_cmp(b).unwrap());
        others.into_iter().map(|other| other.1).collect::<Vec<_>>()
    };
    let intruders = |i: usize| {
        let mut rank = vec![0; n];
        order(space, i).into_iter().enumerate().for_each(|(at, j)| rank[j] = at + 1);
        order(plane, i)[..k].iter().map(|&j| rank[j].saturating_sub(k)).sum::<usize>()
    };
    let all: usize = (0..n).map(intruders).sum();
    1.0 - 2.0 * all as f64 / (n * k * (2 * n - 3 * k - 1)) as f64
}

/// Three arms that meet, in ten dimensions with noise; `[600, 10]`.
fn branches() -> Array2<f32> {
    let mut rng = stream(0, "branches", 0);
    Array2::from_shape_fn((600, 10), |(i, g)| {
        let (arm, t) = (i % 3, (i / 3) as f64 / 200.0);
        let noise: f64 = StandardNormal.sample(&mut rng);
        (if g == arm { 10.0 * t } else { 0.0 } + 0.3 * noise) as f32
    })
}

fn own_umap(points: &Array2<f32>, seed: u64) -> (Neighbors, Array2<f32>) {
    let linked = neighbors(points.view(), 15).unwrap();
    let components = pca_dense(points.view(), 2).unwrap().scores;
    let places = umap(&linked.connectivities, components.view(), &UmapSettings::default(), seed).unwrap();
    (linked, places)
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_another_embedding() {
    let points = branches();
    assert_eq!(own_umap(&points, 1).1, own_umap(&points, 1).1);
    assert_ne!(own_umap(&points, 1).1, own_umap(&points, 2).1);
}

#[test]
fn neighbours_in_a_branching_manifold_stay_neighbours() {
    let points = branches();
    let (_, places) = own_umap(&points, 0);
    let found = trustworthiness(points.view(), places.view(), 15);
    println!("trustworthiness {found:.4}");
    assert!(found > 0.95);
    // Away from where the arms meet, the five nearest cells are of the same arm and from near by.
    let near = nascent::neighbors::nearest(places.view(), 6).unwrap();
    let pairs = (0..600).flat_map(|i| near.row(i).0.iter().map(move |&j| (i, j as usize)));
    let far: Vec<(usize, usize)> = pairs.filter(|&(i, _)| i / 3 > 60).collect();
    let same = far.iter().filter(|(i, j)| i % 3 == j % 3).count() as f64 / far.len() as f64;
    let apart = far.iter().map(|&(i, j)| (i / 3).abs_diff(j / 3) as f64 / 200.0).sum::<f64>() / far.len() as f64;
    assert!(same > 0.98 && apart < 0.1, "{same} {apart}");
}

#[test]
fn clusters_that_are_not_linked_stay_apart() {
    let mut rng = stream(0, "clusters", 0);
    let points = Array2::from_shape_fn((450, 8), |(i, g)| {
        let noise: f64 = StandardNormal.sample(&mut rng);
        (if g == i % 3 { 30.0 } else { 0.0 } + noise) as f32
    });
    let (linked, places) = own_umap(&points, 0);
    assert!((0..450).all(|i| linked.connectivities.row(i).0.iter().all(|&j| j as usize % 3 == i % 3)));
    let apart = |i: usize, j: usize| norm((&places.row(i) - &places.row(j)).mapv(f64::from).view());
    for i in 0..450 {
        let nearest_of = |own: bool| {
            (0..450).filter(|&j| j != i && (j % 3 == i % 3) == own).map(|j| apart(i, j)).fold(f64::INFINITY, f64::min)
        };
        assert!(nearest_of(true) < nearest_of(false), "cell {i}");
    }
}

#[test]
fn cells_without_links_stay_where_they_begin() {
    let points = branches();
    let begin = points.slice(s![.., ..2]);
    let places = umap(&Csr::empty(600, 600), begin, &UmapSettings::default(), 0).unwrap();
    let widest = places.columns().into_iter().map(|column| {
        column.iter().copied().fold(f32::MIN, f32::max) - column.iter().copied().fold(f32::MAX, f32::min)
    });
    assert!((widest.fold(0.0, f32::max) - 10.0).abs() < 1e-2);
    assert_eq!(
        umap(&Csr::empty(0, 0), Array2::zeros((0, 2)).view(), &UmapSettings::default(), 0).unwrap().dim(),
        (0, 2)
    );
}

/// Golden: umap-learn 0.5.7 `find_ab_params`, scripts/golden_flow.py. Both minimise to their own last digits.
#[test]
fn the_curve_of_similarity_is_that_of_umap_learn() {
    let golden: serde_json::Value = serde_json::from_str(include_str!("../golden/flow.json")).unwrap();
    for row in golden["curves"].as_array().expect("curves") {
        let number = |at: usize| row[at].as_f64().expect("a number");
        let (a, b) = curve(number(0), number(1));
        assert!((a / number(2) - 1.0).abs() < 1e-5 && (b / number(3) - 1.0).abs() < 1e-5, "{a} {b} {row}");
    }
}
