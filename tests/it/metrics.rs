use nascent::metrics::{Evaluation, Evidence, Part, evaluate, ratio_abs_log_err, reconstruction, velocity_scores};
use ndarray::{Array1, Array2, Axis};
use serde_json::Value;

/// The arrays of `tests/golden/metrics.json`; the file says how they were made.
struct Golden {
    file: Value,
    velocity: Array2<f32>,
    true_velocity: Array2<f32>,
    moments: [Array2<f32>; 2],
    fit: [Array2<f32>; 2],
    std: [Array1<f64>; 2],
    split: Vec<u8>,
    time: Vec<f64>,
    true_time: Vec<f64>,
    capture_time: Vec<f64>,
    ratio: Vec<f64>,
    true_ratio: Vec<f64>,
}

fn list(value: &Value) -> Vec<f64> {
    let values = value.as_array().expect("a list").iter();
    values.map(|x| x.as_f64().unwrap_or(f64::NAN)).collect()
}

#[allow(clippy::cast_possible_truncation)] // the file holds f32 values in full
fn matrix(value: &Value) -> Array2<f32> {
    let rows: Vec<Vec<f64>> = value.as_array().expect("rows").iter().map(list).collect();
    let shape = (rows.len(), rows[0].len());
    Array2::from_shape_fn(shape, |(i, g)| rows[i][g] as f32)
}

impl Golden {
    fn read() -> Self {
        let file: Value =
            serde_json::from_str(include_str!("../golden/metrics.json")).expect("the golden file is valid JSON");
        let mut velocity = matrix(&file["velocity"]);
        // JSON has no infinity.
        velocity.column_mut(7).fill(f32::INFINITY);
        Self {
            velocity,
            true_velocity: matrix(&file["true_velocity"]),
            moments: ["Mu", "Ms"].map(|key| matrix(&file[key])),
            fit: ["fit_u", "fit_s"].map(|key| matrix(&file[key])),
            std: ["std_u", "std_s"].map(|key| list(&file[key]).into()),
            split: serde_json::from_value(file["split"].clone()).expect("parts"),
            time: list(&file["time"]),
            true_time: list(&file["true_time"]),
            capture_time: list(&file["capture_time"]),
            ratio: list(&file["ratio"]),
            true_ratio: list(&file["true_ratio"]),
            file,
        }
    }

    fn evidence(&self) -> Evidence {
        Evidence {
            moments: Some(self.moments.each_ref().map(Array2::to_shared)),
            reconstruction: Some(self.fit.each_ref().map(Array2::to_shared)),
            residual_std: Some(self.std.clone()),
            measured: None,
            bound: [None; 2],
            split: Some(self.split.clone()),
            velocity: Some(self.velocity.to_shared()),
            true_velocity: Some(self.true_velocity.to_shared()),
            time: Some(self.time.clone()),
            true_time: Some(self.true_time.clone()),
            capture_time: Some(self.capture_time.clone()),
            ratio: Some(self.ratio.clone()),
            true_ratio: Some(self.true_ratio.clone()),
        }
    }
}

fn scores(evidence: &Evidence) -> Evaluation {
    evaluate(evidence).expect("the shapes agree")
}

fn close(found: Option<f64>, wanted: f64) -> bool {
    found.is_some_and(|found| (found - wanted).abs() <= 1e-9 * wanted.abs())
}

/// Golden: the Python functions named in the file. 1e-9 is far above rounding in f64 and far below any other definition.
#[test]
fn scores_agree_with_those_of_the_comparison_with_other_programs() {
    let golden = Golden::read();
    let found = serde_json::to_value(scores(&golden.evidence())).expect("plain numbers");
    let found = found.as_object().expect("a flat object");
    let wanted = golden.file["expected"].as_object().expect("an object");
    // All but the bound, which is the model's own.
    assert_eq!(found.len(), wanted.len() + 2);
    for (name, value) in wanted {
        let wanted = value.as_f64().expect("a number");
        assert!(close(found[name].as_f64(), wanted), "{name}: {} {wanted}", found[name]);
    }
    let compared = velocity_scores(golden.velocity.view(), golden.true_velocity.view());
    let n_genes = golden.file["n_genes"].as_u64();
    assert_eq!(compared.expect("equal shapes").n_genes as u64, n_genes.expect("a number"));
}

#[test]
fn capture_time_stands_in_for_an_unknown_true_time() {
    let golden = Golden::read();
    let evidence = Evidence { true_time: None, ..golden.evidence() };
    let wanted = golden.file["time_spearman_capture"].as_f64().expect("a number");
    assert!(close(scores(&evidence).time_spearman, wanted));
}

#[test]
fn what_cannot_be_compared_is_null() {
    let nothing = serde_json::to_value(scores(&Evidence::default())).expect("plain numbers");
    let nothing = nothing.as_object().expect("a flat object");
    assert!(nothing.values().all(Value::is_null), "{nothing:?}");

    let golden = Golden::read();
    let unsplit = scores(&Evidence { split: None, residual_std: None, ..golden.evidence() });
    assert!(unsplit.mse_train.is_some() && unsplit.mae_train.is_some());
    assert_eq!((unsplit.mse_test, unsplit.mae_test), (None, None));
    assert_eq!((unsplit.ll_train, unsplit.ll_test), (None, None));
}

#[test]
fn a_perfect_fit_scores_perfectly() {
    let golden = Golden::read();
    let evidence = Evidence {
        reconstruction: golden.evidence().moments,
        velocity: Some(golden.true_velocity.to_shared()),
        time: Some(golden.true_time.clone()),
        ratio: Some(golden.true_ratio.clone()),
        ..golden.evidence()
    };
    let found = scores(&evidence);
    assert_eq!((found.mse_train, found.mse_test), (Some(0.0), Some(0.0)));
    assert_eq!((found.mae_train, found.mae_test), (Some(0.0), Some(0.0)));
    assert_eq!(found.velocity_sign_agreement, Some(1.0));
    assert_eq!(found.ratio_abs_log_err, Some(0.0));
    for one in [
        found.time_spearman,
        found.velocity_cell_cosine,
        found.velocity_cell_cosine_scaled,
        found.velocity_gene_pearson,
    ] {
        assert!(close(one, 1.0), "{one:?}");
    }
    // The density of a residual of zero.
    let [std_u, std_s] = &golden.std;
    let peak = |std: &f64| -(std * (2.0 * std::f64::consts::PI).sqrt()).ln();
    let wanted: f64 = std_u.iter().chain(std_s).map(peak).sum();
    assert!(close(found.ll_train, wanted) && close(found.ll_test, wanted));
}

#[test]
fn units_of_a_gene_change_only_the_plain_cosine() {
    let golden = Golden::read();
    let before = scores(&golden.evidence());
    let mut velocity = golden.velocity.clone();
    for (g, mut column) in velocity.columns_mut().into_iter().enumerate() {
        column *= [0.25, 1.0, 64.0][g % 3];
    }
    let after = scores(&Evidence { velocity: Some(velocity.to_shared()), ..golden.evidence() });
    assert_ne!(after.velocity_cell_cosine, before.velocity_cell_cosine);
    let pairs = [
        (after.velocity_cell_cosine_scaled, before.velocity_cell_cosine_scaled),
        (after.velocity_gene_pearson, before.velocity_gene_pearson),
        (after.velocity_sign_agreement, before.velocity_sign_agreement),
    ];
    for (after, before) in pairs {
        assert!(close(after, before.expect("a score")), "{after:?} {before:?}");
    }
}

#[test]
fn reversed_velocity_and_time_reverse_the_scores() {
    let golden = Golden::read();
    let before = scores(&golden.evidence());
    let velocity = golden.velocity.mapv(|v| -v);
    let time: Vec<f64> = golden.time.iter().map(|t| 20.0 - t).collect();
    let after = scores(&Evidence { velocity: Some(velocity.to_shared()), time: Some(time), ..golden.evidence() });
    let reversed = |after: Option<f64>, before: Option<f64>| close(after, -before.expect("a score"));
    assert!(reversed(after.velocity_cell_cosine, before.velocity_cell_cosine));
    assert!(reversed(after.velocity_cell_cosine_scaled, before.velocity_cell_cosine_scaled));
    assert!(reversed(after.velocity_gene_pearson, before.velocity_gene_pearson));
    assert!(reversed(after.time_spearman, before.time_spearman));
}

#[test]
fn any_rising_function_of_time_scores_alike() {
    let golden = Golden::read();
    let time: Vec<f64> = golden.time.iter().map(|t| (t / 7.0).exp()).collect();
    let warped = Evidence { time: Some(time), ..golden.evidence() };
    assert_eq!(scores(&warped).time_spearman, scores(&golden.evidence()).time_spearman);
}

#[test]
fn genes_that_are_not_finite_are_as_if_absent() {
    let golden = Golden::read();
    let kept: Vec<usize> = (0..9).filter(|g| ![5, 7].contains(g)).collect();
    let [velocity, truth] = [&golden.velocity, &golden.true_velocity];
    let whole = velocity_scores(velocity.view(), truth.view()).expect("equal shapes");
    let [velocity, truth] = [velocity, truth].map(|x| x.select(Axis(1), &kept));
    let without = velocity_scores(velocity.view(), truth.view()).expect("equal shapes");
    assert_eq!((whole, whole.n_genes), (without, 7));

    let kept: Vec<usize> = (0..9).filter(|&g| g != 6).collect();
    let cells = Some((golden.split.as_slice(), Part::Train));
    let score = |moments: &[Array2<f32>; 2], fit: &[Array2<f32>; 2], std: &[Array1<f64>; 2]| {
        let [moments, fit] = [moments, fit].map(|pair| pair.each_ref().map(Array2::view));
        let std = std.each_ref().map(Array1::view);
        reconstruction(moments, fit, Some(std), cells).expect("equal shapes")
    };
    let whole = score(&golden.moments, &golden.fit, &golden.std);
    let pick = |x: &Array2<f32>| x.select(Axis(1), &kept);
    let [moments, fit] = [&golden.moments, &golden.fit].map(|pair| pair.each_ref().map(pick));
    let std = golden.std.each_ref().map(|x| x.select(Axis(0), &kept));
    assert_eq!(whole, score(&moments, &fit, &std));
}

#[test]
fn a_fit_without_any_finite_gene_has_no_score() {
    let golden = Golden::read();
    let nothing = golden.velocity.mapv(|_| f32::NAN);
    let found = scores(&Evidence {
        reconstruction: Some([nothing.to_shared(), nothing.to_shared()]),
        velocity: Some(nothing.to_shared()),
        time: Some(vec![f64::NAN; 23]),
        ratio: Some(vec![f64::NAN; 9]),
        ..golden.evidence()
    });
    assert_eq!(found, Evaluation::default());
    assert_eq!(ratio_abs_log_err(&[], &[]), None);
}

#[test]
fn shapes_that_disagree_are_named() {
    let golden = Golden::read();
    let narrow = Array2::zeros((23, 8));
    let evidence = Evidence { velocity: Some(narrow.to_shared()), ..golden.evidence() };
    let message = evaluate(&evidence).expect_err("one gene is missing").to_string();
    assert_eq!(message, "velocity: wanted shape [23, 9], found [23, 8]");
    let evidence = Evidence { split: Some(vec![0, 1]), ..golden.evidence() };
    let message = evaluate(&evidence).expect_err("too few cells").to_string();
    assert_eq!(message, "split: wanted shape [23], found [2]");
}
