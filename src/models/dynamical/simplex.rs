//! The downhill simplex of Nelder & Mead (1965), as scVelo's schedule uses it: stopped after its first step.

/// Relative step to the other corners of the first simplex, and the absolute one from 0 (as scipy's).
const STEP: (f64, f64) = (0.05, 0.00025);

/// The best corner after `steps` steps downhill from `start`.
///
/// Stops earlier once corners are within `tolerance` of each other, both in place and in value. A value that is not a
/// number counts as the worst.
pub(super) fn descend<const N: usize>(
    start: [f64; N],
    steps: usize,
    tolerance: f64,
    mut value: impl FnMut(&[f64; N]) -> f64,
) -> [f64; N] {
    let mut corners: Vec<(f64, [f64; N])> = Vec::with_capacity(N + 1);
    corners.push((value(&start), start));
    for axis in 0..N {
        let mut corner = start;
        corner[axis] = if start[axis] == 0.0 { STEP.1 } else { (1.0 + STEP.0) * start[axis] };
        corners.push((value(&corner), corner));
    }
    order(&mut corners);
    for _ in 0..steps {
        if is_small(&corners, tolerance) {
            break;
        }
        step(&mut corners, &mut value);
        order(&mut corners);
    }
    corners[0].1
}

/// Best first; what is no number last.
fn order<const N: usize>(corners: &mut [(f64, [f64; N])]) {
    corners.sort_by(|a, b| a.0.is_nan().cmp(&b.0.is_nan()).then(a.0.total_cmp(&b.0)));
}

fn is_small<const N: usize>(corners: &[(f64, [f64; N])], tolerance: f64) -> bool {
    let (best, others) = (corners[0], &corners[1..]);
    let near = |other: &[f64; N]| other.iter().zip(&best.1).all(|(a, b)| (a - b).abs() <= tolerance);
    others.iter().all(|(value, corner)| (value - best.0).abs() <= tolerance && near(corner))
}

/// Reflects the worst corner through the others; stretches, contracts or shrinks as the values suggest.
fn step<const N: usize>(corners: &mut [(f64, [f64; N])], value: &mut impl FnMut(&[f64; N]) -> f64) {
    let (worst, others) = corners.split_last().expect("a simplex has corners");
    let (worst, best, second_worst) = (*worst, others[0].0, others[N - 1].0);
    let mut centre = [0.0; N];
    for (_, corner) in others {
        centre.iter_mut().zip(corner).for_each(|(sum, x)| *sum += x / N as f64);
    }
    // The point `by` times as far beyond the centre as the worst corner is before it.
    let mut at = |by: f64| {
        let mut point = centre;
        point.iter_mut().zip(&worst.1).for_each(|(x, w)| *x = (1.0 + by) * *x - by * w);
        (value(&point), point)
    };
    let reflected = at(1.0);
    let replacement = if reflected.0 < best {
        let expanded = at(2.0);
        Some(if expanded.0 < reflected.0 { expanded } else { reflected })
    } else if reflected.0 < second_worst {
        Some(reflected)
    } else if reflected.0 < worst.0 {
        let contracted = at(0.5);
        (contracted.0 <= reflected.0).then_some(contracted)
    } else {
        let contracted = at(-0.5);
        (contracted.0 < worst.0).then_some(contracted)
    };
    if let Some(corner) = replacement {
        corners[N] = corner;
        return;
    }
    let (best, others) = corners.split_first_mut().expect("a simplex has corners");
    for (shrunk_value, corner) in others {
        corner.iter_mut().zip(&best.1).for_each(|(x, b)| *x = b + 0.5 * (*x - b));
        *shrunk_value = value(corner);
    }
}
