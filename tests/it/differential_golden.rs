//! The test for differential kinetics against scVelo 0.3.4 `tl.differential_kinetic_test`, on scVelo's own fits.

use std::fs;
use std::path::Path;

use nascent::data::quantities::{FIT_ALPHA, FIT_BETA, FIT_GAMMA, FIT_SCALING, FIT_T_OFF};
use nascent::data::{Column, Dataset, Fit, Groups};
use nascent::models::dynamical::{Differential, differential_kinetics};
use ndarray::Array1;
use serde_json::Value;

use crate::golden::golden;

/// Against scVelo in double precision, with rounding kept from choosing cells: the digits that were stored.
const TOLERANCE: f64 = 1e-6;

/// A fit by scVelo, our answer and scVelo's two, one row per fitted gene.
struct Case {
    names: Vec<String>,
    found: Vec<Differential>,
    golden: Value,
}

fn case(name: &str) -> Option<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (_, data) = golden(name)?;
    let answers = fs::read_to_string(root.join("tests/golden/differential_kinetics.json")).unwrap();
    let mut answers: Value = serde_json::from_str(&answers).unwrap();
    let golden = answers[name].take();
    let names: Vec<String> = serde_json::from_value(golden["names"].clone()).unwrap();
    let codes: Vec<u32> = serde_json::from_value(golden["groups"].clone()).unwrap();
    let genes = fitted(&data);
    let groups = Groups { names: names.clone(), of: codes.into_iter().map(Some).collect() };
    let found = differential_kinetics(&data, &genes, &groups);
    let fitted = golden["as_is"]["genes"].as_array().unwrap();
    let ours = data.var.index.iter().zip(&found).filter(|(_, found)| found.is_some()).map(|(name, _)| name.as_str());
    assert!(ours.eq(fitted.iter().map(|name| name.as_str().unwrap())), "other genes were fitted");
    Some(Case { names, found: found.into_iter().flatten().collect(), golden })
}

/// scVelo's parameters.
fn fitted(data: &Dataset) -> Fit {
    let mut fit = Fit::of("dynamical");
    for quantity in [FIT_ALPHA, FIT_BETA, FIT_GAMMA, FIT_SCALING, FIT_T_OFF] {
        let column = data.var.get(quantity.key()).and_then(Column::to_numbers);
        fit.set_some(quantity, column.map(Array1::from));
    }
    fit
}

/// Pairs of p-values, ours and scVelo's; NaN for none.
fn pairs(case: &Case, run: &str) -> Vec<(f64, f64)> {
    let rows = case.golden[run]["fit_pvals_kinetics"].as_array().unwrap();
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    let row = |(found, wanted): (&Differential, &Value)| -> Vec<(f64, f64)> {
        found.pvals.iter().copied().zip(wanted.as_array().unwrap().iter().map(number)).collect()
    };
    case.found.iter().zip(rows).flat_map(row).collect()
}

fn differs((found, wanted): (f64, f64)) -> bool {
    found.is_nan() != wanted.is_nan() || (found - wanted).abs() > TOLERANCE
}

#[test]
fn p_values_are_those_of_scvelo_without_rounding() {
    for name in ["dentategyrus_100obs", "pancreas_top300"] {
        let Some(case) = case(name) else { continue };
        for run in ["as_is", "settled"] {
            let pairs = pairs(&case, run);
            let off = pairs.iter().filter(|pair| differs(**pair)).count();
            let worst = pairs.iter().map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            println!("{name}, {run}: {off} of {} p-values differ, at most by {worst:.1e}", pairs.len());
            assert!(off == 0 || run == "as_is", "{name}");
        }
    }
}

/// Genes of a file for which scVelo as it is finds other groups: p is .003 to .02 in either, or it compared no cell.
const OTHER_BY_ROUNDING: usize = 4;

#[test]
fn groups_with_kinetics_of_their_own_are_those_that_scvelo_finds() {
    for name in ["dentategyrus_100obs", "pancreas_top300"] {
        let Some(case) = case(name) else { continue };
        let list = |found: &Differential| {
            found.groups.iter().map(|&group| case.names[group].as_str()).collect::<Vec<_>>().join(",")
        };
        let differences = |run: &str| {
            let wanted = case.golden[run]["fit_diff_kinetics"].as_array().unwrap();
            case.found.iter().zip(wanted).filter(|(found, wanted)| list(found) != wanted.as_str().unwrap()).count()
        };
        assert_eq!(differences("settled"), 0, "{name}");
        assert!(differences("as_is") <= OTHER_BY_ROUNDING, "{name}: {}", differences("as_is"));
    }
}
