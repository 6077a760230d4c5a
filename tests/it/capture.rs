//! Capture times: what columns of obs tell of when cells were collected.

use nascent::Error;
use nascent::data::{CaptureColumn, CaptureTimes, Column, Frame};

fn frame(column: Column) -> Frame {
    let index = (0..column.len()).map(|cell| format!("c{cell}")).collect();
    let mut obs = Frame { index, columns: Vec::new() };
    obs.set("day", column);
    obs
}

fn labels(labels: &[&str]) -> Frame {
    frame(Column::Text(labels.iter().map(|&label| label.to_owned()).collect()))
}

fn read(obs: &Frame, order: &[&str]) -> Result<CaptureTimes, Error> {
    let order: Vec<String> = order.iter().map(|&label| label.to_owned()).collect();
    CaptureTimes::read(obs, CaptureColumn { column: "day", order: &order })
}

/// Message and hint of a refusal.
fn refused(obs: &Frame, order: &[&str]) -> String {
    let error = read(obs, order).expect_err("refused");
    assert_eq!(error.exit_code(), 2);
    format!("{error} {}", error.hint().unwrap_or_default())
}

#[test]
fn a_hyphen_before_a_number_does_not_turn_time_around() {
    let times = read(&labels(&["day-3", "day-0", "day-10", "day-3"]), &[]).expect("days");
    assert_eq!(times.of_cells(), [3.0, 0.0, 10.0, 3.0]);
    assert_eq!(times.told(), "capture times of obs[\"day\"], first to last: day-0 = 0, day-3 = 3, day-10 = 10");
}

#[test]
fn hours_days_and_weeks_are_one_clock() {
    let times = read(&labels(&["24h", "2d", "1w", "1 day", "0"]), &[]).expect("times");
    assert_eq!(times.of_cells(), [24.0, 48.0, 168.0, 24.0, 0.0]);
    assert!(times.told().ends_with("0 = 0, 1 day and 24h = 24, 2d = 48, 1w = 168 (in hours)"), "{}", times.told());
}

#[test]
fn labels_that_cannot_be_compared_are_refused_until_their_order_is_said() {
    let obs = labels(&["P2", "E16.5", "P0"]);
    let said = refused(&obs, &[]);
    assert!(said.contains("\"E16.5\" beside \"P0\"") && said.contains("[\"E16.5\", \"P0\", \"P2\"]"), "{said}");
    let times = read(&obs, &["E12", "E16.5", "P0", "P2"]).expect("an order");
    assert_eq!(times.of_cells(), [3.0, 1.0, 2.0]);
    assert!(times.told().contains("evenly spaced"), "{}", times.told());
    let said = refused(&obs, &["E16.5", "P0"]);
    assert!(said.contains("model.capture_order lacks: \"P2\""), "{said}");
    let said = refused(&labels(&["early", "late"]), &[]);
    assert!(said.contains("no number") && said.contains("model.capture_order"), "{said}");
}

#[test]
fn labels_that_no_cell_has_do_not_count() {
    let categories = ["day 0", "day 1", "doublet"].map(str::to_owned).to_vec();
    let column = Column::Categorical { codes: vec![Some(1), Some(0), Some(1)], categories, ordered: false };
    assert_eq!(read(&frame(column), &[]).expect("days").of_cells(), [1.0, 0.0, 1.0]);
}

#[test]
fn cells_without_a_label_are_named() {
    let categories = ["day 0", "day 1"].map(str::to_owned).to_vec();
    let column = Column::Categorical { codes: vec![Some(1), None, Some(0)], categories, ordered: false };
    for obs in [frame(column), labels(&["day 1", "NA", "day 0"]), frame(Column::Float(vec![1.0, f64::NAN, 0.0]))] {
        let said = refused(&obs, &[]);
        assert!(said.contains("no value in 1 of 3 cells: \"c1\""), "{said}");
    }
}

#[test]
fn numbers_are_taken_as_they_are() {
    assert_eq!(
        read(&frame(Column::Float(vec![-1.5, -0.0, 0.0, 2.0])), &[]).expect("numbers").of_cells(),
        [-1.5, 0.0, 0.0, 2.0]
    );
    let many = Column::Float((0..200).map(f64::from).collect());
    assert!(refused(&frame(many), &[]).contains("200 different values"));
    assert!(refused(&frame(Column::Int(vec![3, 3])), &[]).contains("same value in all cells"));
}

#[test]
fn groups_lie_on_the_time_axis_as_far_apart_as_their_times() {
    let times = read(&frame(Column::Int(vec![0, 1, 4])), &[]).expect("numbers");
    let [first, second, third] = times.on_axis(20.0)[..] else { panic!("three groups") };
    assert_eq!([first.0, second.0, third.0].to_vec(), [0.0, 5.0, 20.0]);
    // 0.525 of the mean distance to the neighbouring times, as VeloVAE's program has it
    assert!((second.1 - 0.525 * 10.0).abs() < 1e-12 && (third.1 - 0.525 * 15.0).abs() < 1e-12);
}

#[cfg(all(feature = "h5ad", feature = "flex"))]
#[test]
fn a_run_says_how_each_label_was_understood() {
    let program = crate::program::Program::new();
    program.simulate("counts.h5ad", 120, 30, 1);
    let quick =
        "--set model.kind=soft_grid --set model.max_rounds=2 --set model.choice_rounds=1 --set model.uncertainty=false";
    let train = |more: &str| {
        program.run(&format!(
            "train --input counts.h5ad --output out.h5ad {quick} --set model.capture_time=capture_time {more}"
        ))
    };
    let said = crate::program::errors(&train(""));
    assert!(said.contains("first to last: D0 = 0, D1 = 1, D2 = 2, D3 = 3, D4 = 4"), "{said}");
    let said = crate::program::errors(&train("--set model.capture_order=[\"D4\",\"D3\",\"D2\",\"D1\",\"D0\"]"));
    assert!(said.contains("first to last: D4 = 0, D3 = 1"), "{said}");
    let said = crate::program::errors(&train("--set model.capture_order=[\"D4\",\"D4\"]"));
    assert!(said.contains("model.capture_order") && said.contains("each label once"), "{said}");
}
