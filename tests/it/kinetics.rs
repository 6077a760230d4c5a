// Exact equality is meant where it is asked for.
#![allow(clippy::float_cmp)]

use nascent::kinetics::{
    Partials, Rates, State, explicit_time, partials, phi, psi, solve, steady_state, switch, tau_from_u, tau_from_us,
    velocity,
};
use proptest::prelude::*;
use serde_json::Value;

const EMPTY: State = State { u: 0.0, s: 0.0 };

/// The rows under `key`, each an array of numbers in the order of the file's `columns`.
///
/// Golden: exact formulas in 60 decimal digits, rounded to double (source named in the file).
fn rows(key: &str) -> Vec<Vec<f64>> {
    let file: Value =
        serde_json::from_str(include_str!("../golden/kinetics.json")).expect("the golden file is valid JSON");
    serde_json::from_value(file[key]["rows"].clone()).expect("rows are arrays of numbers")
}

/// `|found − wanted| / max(|wanted|, scale)`.
fn relative(found: f64, wanted: f64, scale: f64) -> f64 {
    (found - wanted).abs() / wanted.abs().max(scale).max(f64::MIN_POSITIVE)
}

#[test]
fn solutions_agree_with_sixty_digit_arithmetic() {
    for row in rows("kinetics") {
        let [tau, u0, s0, alpha, beta, gamma, u, s, ds] = row[..] else { panic!("nine columns") };
        let rates = Rates { alpha, beta, gamma };
        let state = solve(tau, State { u: u0, s: s0 }, rates);
        assert!(relative(state.u, u, 0.0) < 1e-12, "{row:?} {state:?}");
        assert!(relative(state.s, s, 0.0) < 1e-12, "{row:?} {state:?}");
        // β u − γ s is a difference of numbers near to each other when the gene is near its steady state:
        // the rounding of its two terms, not of the result, is the measure.
        let found = velocity(state, rates).s;
        assert!(relative(found, ds, beta * u) < 1e-12, "{row:?} {found}");
    }
}

#[test]
fn derivatives_agree_with_many_digit_arithmetic() {
    for row in rows("partials") {
        let [tau, u0, s0, alpha, beta, gamma] = row[..6] else { panic!("six arguments") };
        let found = partials(tau, State { u: u0, s: s0 }, Rates { alpha, beta, gamma });
        let order = [found.tau, found.u0, found.s0, found.alpha, found.beta, found.gamma];
        // Derivatives by tau, beta and gamma change sign: the measure is the size of their terms.
        let growth = alpha + beta * u0 + gamma * s0;
        let scales = [growth, 0.0, 0.0, 0.0, growth * tau * tau, growth * tau * tau];
        for ((found, wanted), scale) in order.iter().zip(row[6..].chunks(2)).zip(scales) {
            let off = relative(found.u, wanted[0], scale).max(relative(found.s, wanted[1], scale));
            assert!(off < 1e-12, "{row:?} {found:?} {off:e}");
        }
    }
}

#[test]
fn two_phase_genes_agree_with_sixty_digit_arithmetic() {
    for row in rows("switch") {
        let [t, t_off, alpha, beta, gamma, u, s] = row[..] else { panic!("seven columns") };
        let state = switch(t, 0.0, t_off, Rates { alpha, beta, gamma });
        assert!(relative(state.u, u, 0.0) < 1e-12, "{row:?} {state:?}");
        assert!(relative(state.s, s, 0.0) < 1e-12, "{row:?} {state:?}");
    }
}

#[test]
fn time_from_unspliced_agrees_with_sixty_digit_arithmetic() {
    for row in rows("tau_from_u") {
        let [u, u0, alpha, beta, tau] = row[..] else { panic!("five columns") };
        let found = tau_from_u(u, u0, alpha, beta);
        // The file's times belong to a u before its rounding to double. Near the steady state that rounding
        // moves the time by more than 1e-10: du/dτ = α − β u.
        let rounding = |u: f64| f64::EPSILON * (beta * u + alpha) / (alpha - beta * u).abs();
        let floor = 2.0 * (rounding(u) + rounding(u0)) / beta;
        assert!((found - tau).abs() < 1e-10 * tau + floor, "{row:?} {found}");
    }
}

#[test]
fn time_from_both_species_agrees_with_sixty_digit_arithmetic() {
    for row in rows("tau_from_us") {
        let [u, s, u0, s0, alpha, beta, gamma, tau] = row[..] else { panic!("eight columns") };
        let rates = Rates { alpha, beta, gamma };
        let found = tau_from_us(State { u, s }, State { u: u0, s: s0 }, rates);
        assert!(relative(found, tau, 0.0) < 1e-10, "{row:?} {found}");
    }
}

/// Golden: a worked example with α = 0.85, β = 0.1, γ = 0.05, eight time units into induction from nothing.
/// It holds in the plain parametrisation: times in the units of 1/β, no scaling of u, the gene on from t = 0.
#[test]
fn the_worked_example_of_induction_holds() {
    let rates = Rates { alpha: 0.85, beta: 0.1, gamma: 0.05 };
    let state = switch(8.0, 0.0, 20.0, rates);
    assert!((state.u - 4.6807).abs() < 5e-5, "{state:?}");
    assert!((state.s - 1.8477).abs() < 5e-5, "{state:?}");
}

#[test]
fn nothing_happens_before_the_gene_is_switched_on() {
    let rates = Rates { alpha: 2.0, beta: 0.8, gamma: 0.4 };
    assert_eq!(switch(3.0, 3.5, 9.0, rates), EMPTY);
    assert_eq!(switch(3.5, 3.5, 9.0, rates), EMPTY);
    assert_eq!(switch(12.0, 9.0, 3.5, rates), EMPTY, "off before on");
}

#[test]
fn rates_of_zero_leave_a_straight_line() {
    let still = Rates { alpha: 2.0, beta: 0.0, gamma: 0.0 };
    let state = solve(3.0, State { u: 1.0, s: 5.0 }, still);
    assert_eq!(state, State { u: 7.0, s: 5.0 });
}

#[test]
fn a_state_out_of_reach_gets_the_nearest_end_of_the_curve() {
    assert_eq!(tau_from_u(1.0, 2.0, 4.0, 0.5), 0.0, "before the start");
    assert_eq!(tau_from_u(9.0, 2.0, 4.0, 0.5), f64::INFINITY, "past steady");
    assert_eq!(tau_from_u(8.0, 8.0, 4.0, 0.5), 0.0, "nothing moves");
}

prop_compose! {
    /// γ is drawn freely, or at a gap of 1e-14 to 1e-1 (relative) from β, or equal to it.
    fn any_rates()(
        alpha in 0.0..20.0f64,
        beta in 1e-2..10.0f64,
        free in 1e-2..10.0f64,
        exponent in -14.0..-1.0f64,
        kind in 0..4,
    ) -> Rates {
        let gamma = match kind {
            0 => beta,
            1 => beta * (1.0 + 10f64.powf(exponent)),
            2 => beta * (1.0 - 10f64.powf(exponent)),
            _ => free,
        };
        Rates { alpha, beta, gamma }
    }
}

fn any_state() -> impl Strategy<Value = State> {
    (0.0..50.0f64, 0.0..50.0f64).prop_map(|(u, s)| State { u, s })
}

/// Solution at arguments `[tau, alpha, beta, gamma, u0, s0]`.
fn solve_at([tau, alpha, beta, gamma, u, s]: [f64; 6]) -> State {
    solve(tau, State { u, s }, Rates { alpha, beta, gamma })
}

/// Difference quotient of fourth order in argument `which`.
fn difference(at: [f64; 6], which: usize) -> State {
    let h = 2e-3 * at[which].abs().max(1e-2);
    let shifted = |steps: f64| {
        let mut moved = at;
        moved[which] += steps * h;
        solve_at(moved)
    };
    let (far, near) = ((shifted(-2.0), shifted(2.0)), (shifted(-1.0), shifted(1.0)));
    let quotient = |a: f64, b: f64, c: f64, d: f64| (a - 8.0 * b + 8.0 * c - d) / (12.0 * h);
    State { u: quotient(far.0.u, near.0.u, near.1.u, far.1.u), s: quotient(far.0.s, near.0.s, near.1.s, far.1.s) }
}

proptest! {
    #[test]
    fn solving_in_two_steps_equals_solving_in_one(
        rates in any_rates(), x0 in any_state(), t1 in 0.0..10.0f64, t2 in 0.0..10.0f64,
    ) {
        let once = solve(t1 + t2, x0, rates);
        let twice = solve(t2, solve(t1, x0, rates), rates);
        prop_assert!(relative(twice.u, once.u, 0.0) < 1e-11, "{once:?} {twice:?}");
        prop_assert!(relative(twice.s, once.s, 0.0) < 1e-11, "{once:?} {twice:?}");
    }

    #[test]
    fn derivatives_agree_with_finite_differences(
        rates in any_rates(), x0 in any_state(), relaxations in 0.01..3.0f64,
    ) {
        let Rates { alpha, beta, gamma } = rates;
        let tau = relaxations / beta.max(gamma);
        let at = [tau, alpha, beta, gamma, x0.u, x0.s];
        let Partials { tau: by_tau, alpha: by_alpha, beta: by_beta, gamma: by_gamma, u0, s0 } =
            partials(tau, x0, rates);
        // The quotient's own error: rounding of the state over the step, and h⁴ of its fifth derivative.
        let state = solve_at(at);
        let reach = 1.0 + (beta + gamma) * tau;
        for (which, found) in [by_tau, by_alpha, by_beta, by_gamma, u0, s0].into_iter().enumerate() {
            let wanted = difference(at, which);
            let size = (alpha * tau + x0.u + x0.s + state.s) / at[which].abs().max(1e-2);
            let allowed = 1e-12 * size * reach.powi(5);
            prop_assert!((found.u - wanted.u).abs() <= allowed, "u by {which}: {found:?} {wanted:?}");
            prop_assert!((found.s - wanted.s).abs() <= allowed, "s by {which}: {found:?} {wanted:?}");
        }
    }

    #[test]
    fn the_derivative_along_time_is_the_velocity(
        rates in any_rates(), x0 in any_state(), tau in 0.0..10.0f64,
    ) {
        let state = solve(tau, x0, rates);
        prop_assert_eq!(partials(tau, x0, rates).tau, velocity(state, rates));
    }

    #[test]
    fn phi_is_symmetric_and_smooth_through_equal_rates(
        beta in 1e-2..10.0f64, gamma in 1e-2..10.0f64, tau in 0.0..10.0f64, gap in 1e-15..1e-6f64,
    ) {
        prop_assert_eq!(phi(tau, beta, gamma), phi(tau, gamma, beta));
        let equal = phi(tau, beta, beta);
        prop_assert!(relative(equal, tau * (-beta * tau).exp(), 0.0) < 1e-14);
        let near = phi(tau, beta, beta * (1.0 + gap));
        prop_assert!(relative(near, equal, 0.0) <= beta * gap * tau + 1e-14);
    }

    #[test]
    fn abundances_and_their_parts_are_never_negative(
        rates in any_rates(), x0 in any_state(), exponent in -12.0..3.0f64,
    ) {
        let tau = 10f64.powf(exponent);
        let state = solve(tau, x0, rates);
        prop_assert!(state.u >= 0.0 && state.s >= 0.0, "{state:?}");
        prop_assert!(phi(tau, rates.beta, rates.gamma) >= 0.0);
        prop_assert!(psi(tau, rates.beta, rates.gamma) >= 0.0);
    }

    #[test]
    fn psi_keeps_its_digits_early_in_induction(
        beta in 1e-2..10.0f64, gamma in 1e-2..10.0f64, exponent in -12.0..-6.0f64,
    ) {
        let tau = 10f64.powf(exponent);
        let leading = beta * tau * tau / 2.0 * (1.0 - (beta + gamma) * tau / 3.0);
        let rest = ((beta + gamma) * tau).powi(2);
        prop_assert!(relative(psi(tau, beta, gamma), leading, 0.0) <= rest + 1e-14);
    }

    #[test]
    fn the_steady_state_does_not_move(rates in any_rates(), tau in 0.0..20.0f64) {
        let steady = steady_state(rates);
        let still = velocity(steady, rates);
        prop_assert!(still.u.abs() + still.s.abs() <= 1e-14 * rates.alpha);
        let later = solve(tau, steady, rates);
        prop_assert!(relative(later.u, steady.u, 0.0) < 1e-13);
        prop_assert!(relative(later.s, steady.s, 0.0) < 1e-13);
    }

    #[test]
    fn inverse_times_undo_the_solution(
        rates in any_rates(), x0 in any_state(), relaxations in 1e-3..3.0f64,
    ) {
        let Rates { alpha, beta, gamma } = rates;
        let tau = relaxations / beta.max(gamma);
        let state = solve(tau, x0, rates);
        let distance = (beta * x0.u - alpha).abs();
        prop_assume!(distance > 1e-2 * (alpha + beta * x0.u));
        prop_assert!(relative(tau_from_u(state.u, x0.u, alpha, beta), tau, 0.0) < 1e-7);
        let combined = gamma * (gamma - beta) * x0.s - gamma * beta * x0.u + alpha * beta;
        let terms = gamma * (gamma + beta) * x0.s + gamma * beta * x0.u + alpha * beta;
        prop_assume!(combined.abs() > 1e-2 * terms);
        prop_assert!(relative(tau_from_us(state, x0, rates), tau, 0.0) < 1e-7);
    }
}

#[test]
fn the_explicit_time_is_the_time_that_has_passed() {
    for rates in [Rates { alpha: 2.0, beta: 0.7, gamma: 1.1 }, Rates { alpha: 2.0, beta: 1.1, gamma: 0.7 }] {
        for tau in [0.01, 0.4, 3.0] {
            for x0 in [State::default(), State { u: 0.5, s: 0.1 }] {
                let found = explicit_time(solve(tau, x0, rates), x0, rates);
                assert!((found / tau - 1.0).abs() < 1e-6, "{found} {tau}");
            }
        }
        let steady = steady_state(rates);
        let late = explicit_time(steady, State::default(), rates);
        assert!(late.is_finite() && late > 10.0, "{late}");
    }
}
