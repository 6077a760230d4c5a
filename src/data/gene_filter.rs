//! Filters of genes, with what they looked at: the code that filters makes them, and whoever explains its outcome reads them.

/// What a value has to fulfil.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// Nothing: a score that is told and decides nothing.
    None,
    /// ≥.
    AtLeast(f64),
    /// ≤.
    AtMost(f64),
    /// >.
    Above(f64),
    /// <.
    Below(f64),
    /// The value is 1, of truth values as numbers.
    IsTrue,
}

impl Bound {
    /// Whether `value` fulfils it; NaN fulfils [`Bound::None`] alone.
    #[must_use]
    pub fn holds(self, value: f64) -> bool {
        match self {
            Self::None => true,
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
            Self::Above(bound) => value > bound,
            Self::Below(bound) => value < bound,
            Self::IsTrue => value > 0.0,
        }
    }

    /// The number to compare with, if there is one.
    #[must_use]
    pub fn number(self) -> Option<f64> {
        match self {
            Self::AtLeast(bound) | Self::AtMost(bound) | Self::Above(bound) | Self::Below(bound) => Some(bound),
            Self::None | Self::IsTrue => None,
        }
    }
}

/// One filter over all genes of a file, `[n_vars]`.
#[derive(Clone, Debug, PartialEq)]
pub struct GeneFilter {
    /// What it looks at, in words: `shared counts`.
    pub name: &'static str,
    /// The same as the name of a column: `shared_counts`.
    pub key: &'static str,
    /// The setting that holds the bound; empty if none does.
    pub setting: &'static str,
    /// What the values have to fulfil.
    pub bound: Bound,
    /// What it looked at; NaN where it did not look.
    pub values: Vec<f64>,
    /// Whether it looked at the gene: earlier filters spare later ones.
    pub looked: Vec<bool>,
}

impl GeneFilter {
    /// A filter that looks at all genes.
    #[must_use]
    pub fn new(name: &'static str, key: &'static str, bound: Bound, values: Vec<f64>) -> Self {
        let looked = vec![true; values.len()];
        Self { name, key, setting: "", bound, values, looked }
    }

    /// A filter of truth values, which have to be true.
    #[must_use]
    pub fn flags(name: &'static str, key: &'static str, flags: &[bool]) -> Self {
        Self::new(name, key, Bound::IsTrue, flags.iter().map(|&flag| f64::from(flag)).collect())
    }

    /// The same, its bound being that of a setting.
    #[must_use]
    pub fn set_by(self, setting: &'static str) -> Self {
        Self { setting, ..self }
    }

    /// The same over `n_vars` genes, of which it looked at those at `positions`, in this order.
    #[must_use]
    pub fn placed(self, positions: &[usize], n_vars: usize) -> Self {
        let (mut values, mut looked) = (vec![f64::NAN; n_vars], vec![false; n_vars]);
        for (at, &gene) in positions.iter().enumerate() {
            (values[gene], looked[gene]) = (self.values[at], self.looked[at]);
        }
        Self { values, looked, ..self }
    }

    /// Whether the gene passes; `None` if the filter did not look at it.
    #[must_use]
    pub fn passes(&self, gene: usize) -> Option<bool> {
        self.looked[gene].then(|| self.bound.holds(self.values[gene]))
    }

    /// Whether it takes the gene.
    #[must_use]
    pub fn takes(&self, gene: usize) -> bool {
        self.passes(gene) == Some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_takes_only_genes_that_it_looked_at() {
        let filter = GeneFilter::new("counts", "counts", Bound::AtLeast(20.0), vec![20.0, 12.0, f64::NAN]);
        assert_eq!([0, 1, 2].map(|gene| filter.takes(gene)), [false, true, true]);
        let placed = filter.placed(&[3, 1, 0], 4);
        assert_eq!([0, 1, 2, 3].map(|gene| placed.passes(gene)), [Some(false), Some(false), None, Some(true)]);
    }
}
