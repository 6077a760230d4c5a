//! What a layer holds, told from its values.
//!
//! Molecules that fit several genes, or both forms of one gene, are divided among them by some programs that count (alevin-fry with
//! `cr-like-em`, kb with `--em`, STARsolo with `EM`). Most molecules fit one place only, so a large part of these *fractional counts* is
//! still whole. Of values that were divided by the size of their cell, or logged, hardly any is: measured on simulations and on the
//! pancreas, at most 4 %, against 25 to 73 % of fractional counts.

/// What a layer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// Whole numbers only: counts.
    Whole,
    /// Counts of which some molecules were divided.
    Fractions,
    /// Something else: normalised or logged values.
    Other,
}

/// Least share of whole numbers among the positive values of fractional counts.
const LEAST_WHOLE: f64 = 0.15;

/// A value this close to a whole number is whole.
const CLOSE: f32 = 1e-3;

/// Share of the other values that become whole by undoing a transformation, from which on it is taken for done.
const TRANSFORMED: f64 = 0.9;

/// Numbers of values of some kinds. Values are finite and at least 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Whole numbers from 1 on.
    whole: u64,
    /// Not whole.
    other: u64,
    /// Of these, squares and powers of two that are whole: roots and logarithms of counts.
    squares: u64,
    powers: u64,
}

impl Tally {
    /// That of `values`.
    pub(crate) fn of(values: &[f32]) -> Self {
        let mut tally = Self::default();
        tally.add(values);
        tally
    }

    /// Adds some values.
    pub(crate) fn add(&mut self, values: &[f32]) {
        for &value in values {
            if (value - value.round()).abs() <= CLOSE {
                self.whole += u64::from(value > 0.5);
                continue;
            }
            self.other += 1;
            self.squares += u64::from(is_near_whole(value * value));
            self.powers += u64::from(is_near_whole(value.exp2()));
        }
    }

    /// Share of whole numbers among the positive values; 1 if there are none.
    pub(crate) fn whole_share(self) -> f64 {
        if self.other == 0 { 1.0 } else { self.whole as f64 / (self.whole + self.other) as f64 }
    }

    /// What the values say.
    pub(crate) fn holds(self) -> Holds {
        let transformed = self.squares.max(self.powers) as f64 >= TRANSFORMED * self.other as f64;
        match self.other {
            0 => Holds::Whole,
            _ if self.whole_share() >= LEAST_WHOLE && !transformed => Holds::Fractions,
            _ => Holds::Other,
        }
    }
}

/// Whether `value`, computed in single precision, may be a whole number.
fn is_near_whole(value: f32) -> bool {
    (value - value.round()).abs() <= CLOSE + 2e-6 * value
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2,000 counts from 1 on, small ones most often.
    fn counts() -> Vec<f32> {
        (0..2000_u32).map(|i| (1 + (i * i) % 7 * (i % 3) + u32::from(i % 50 == 0) * (i % 90)) as f32).collect()
    }

    #[test]
    fn counts_of_which_molecules_were_divided_are_told_from_transformed_ones() {
        let of = |change: &dyn Fn(usize, f32) -> f32| {
            let values: Vec<f32> = counts().into_iter().enumerate().map(|(i, x)| change(i, x)).collect();
            Tally::of(&values).holds()
        };
        // Cells of 40 values each.
        let size = |i: usize| 0.6 + 0.013 * (i / 40) as f32;
        assert_eq!(of(&|_, x| x), Holds::Whole);
        assert_eq!(of(&|i, x| if i % 4 < 3 { x - 0.11 * (i % 7) as f32 } else { x }), Holds::Fractions);
        assert_eq!(of(&|i, x| if i % 3 == 0 { x - 0.5 } else { x }), Holds::Fractions);
        assert_eq!(of(&|i, x| x / size(i)), Holds::Other);
        assert_eq!(of(&|i, x| (x / size(i)).ln_1p()), Holds::Other);
        let logarithm = |x: f32| (1.0 + x).log2();
        let share = |x: f32| 1e-3 * x;
        for transformed in [f32::ln_1p, f32::sqrt, logarithm, share] {
            assert_eq!(of(&|_, x| transformed(x)), Holds::Other);
        }
    }

    #[test]
    fn a_layer_without_counts_holds_whole_numbers() {
        assert_eq!((Tally::of(&[]).holds(), Tally::of(&[0.0]).holds()), (Holds::Whole, Holds::Whole));
    }
}
