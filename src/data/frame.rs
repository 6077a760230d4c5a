//! Annotation tables: one row per cell (`obs`) or gene (`var`).

/// A table with named rows and named columns, as AnnData's `obs` and `var`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Frame {
    /// Names of the rows.
    pub index: Vec<String>,
    /// Name of each column and its values, `[index.len()]`, in file order.
    pub columns: Vec<(String, Column)>,
}

/// One column of a [`Frame`].
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// Numbers; missing ones are NaN (nullable integers arrive here).
    Float(Vec<f64>),
    /// Whole numbers.
    Int(Vec<i64>),
    /// Truth values.
    Bool(Vec<bool>),
    /// Words.
    Text(Vec<String>),
    /// Labels from a fixed list.
    Categorical {
        /// Position in `categories`; `None` is a missing value.
        codes: Vec<Option<u32>>,
        /// The labels.
        categories: Vec<String>,
        /// Whether the labels have an order.
        ordered: bool,
    },
}

impl Frame {
    /// The column called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Column> {
        let found = self.columns.iter().find(|(column, _)| column == name);
        found.map(|(_, column)| column)
    }

    /// Adds a column, or replaces the one of the same name.
    pub fn set(&mut self, name: &str, column: Column) {
        debug_assert_eq!(column.len(), self.index.len(), "{name}");
        match self.columns.iter_mut().find(|(known, _)| known == name) {
            Some(slot) => slot.1 = column,
            None => self.columns.push((name.to_owned(), column)),
        }
    }

    /// The rows at `positions`, in that order.
    #[must_use]
    pub fn select(&self, positions: &[usize]) -> Self {
        Self {
            index: pick(&self.index, positions),
            columns: self.columns.iter().map(|(name, column)| (name.clone(), column.select(positions))).collect(),
        }
    }
}

impl Column {
    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Float(values) => values.len(),
            Self::Int(values) => values.len(),
            Self::Bool(values) => values.len(),
            Self::Text(values) => values.len(),
            Self::Categorical { codes, .. } => codes.len(),
        }
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows at `positions`, in that order.
    #[must_use]
    pub fn select(&self, positions: &[usize]) -> Self {
        match self {
            Self::Float(values) => Self::Float(pick(values, positions)),
            Self::Int(values) => Self::Int(pick(values, positions)),
            Self::Bool(values) => Self::Bool(pick(values, positions)),
            Self::Text(values) => Self::Text(pick(values, positions)),
            Self::Categorical { codes, categories, ordered } => {
                Self::Categorical { codes: pick(codes, positions), categories: categories.clone(), ordered: *ordered }
            }
        }
    }

    /// The values as numbers: numbers as they are, truth values as 0 and 1, words and labels by the number
    /// they hold after leading letters are dropped (`E8.5`, `day 3`); `None` if one holds no number.
    #[must_use]
    pub fn to_numbers(&self) -> Option<Vec<f64>> {
        match self {
            Self::Float(values) => Some(values.clone()),
            Self::Int(values) => Some(values.iter().map(|&value| value as f64).collect()),
            Self::Bool(values) => Some(values.iter().map(|&value| f64::from(value)).collect()),
            Self::Text(values) => values.iter().map(|word| number_in(word)).collect(),
            Self::Categorical { codes, categories, .. } => {
                let numbers: Option<Vec<f64>> = categories.iter().map(|c| number_in(c)).collect();
                let numbers = numbers?;
                let value = |code: &Option<u32>| code.map_or(f64::NAN, |at| numbers[at as usize]);
                Some(codes.iter().map(value).collect())
            }
        }
    }

    /// The values as truth values, as Python and R write them: truth values themselves, numbers that are 0 or 1, words such as `True`,
    /// `TRUE`, `1`, `yes` and their opposites; a missing one is false. `None` if any value is something else.
    #[must_use]
    pub fn truths(&self) -> Option<Vec<bool>> {
        let of_number = |number: f64| match number {
            1.0 => Some(true),
            0.0 => Some(false),
            _ => number.is_nan().then_some(false),
        };
        let of_word = |word: &String| match word.to_lowercase().as_str() {
            "true" | "1" | "yes" | "t" => Some(true),
            "false" | "0" | "no" | "f" | "" | "nan" | "na" => Some(false),
            _ => None,
        };
        match self {
            Self::Bool(marks) => Some(marks.clone()),
            Self::Float(numbers) => numbers.iter().map(|&number| of_number(number)).collect(),
            Self::Int(numbers) => numbers.iter().map(|&number| of_number(number as f64)).collect(),
            Self::Text(_) | Self::Categorical { .. } => self.to_labels().iter().map(of_word).collect(),
        }
    }

    /// The values as labels; numbers are printed, missing values are `nan`.
    #[must_use]
    pub fn to_labels(&self) -> Vec<String> {
        match self {
            Self::Float(values) => values.iter().map(ToString::to_string).collect(),
            Self::Int(values) => values.iter().map(ToString::to_string).collect(),
            Self::Bool(values) => values.iter().map(ToString::to_string).collect(),
            Self::Text(values) => values.clone(),
            Self::Categorical { codes, categories, .. } => codes
                .iter()
                .map(|code| code.map_or_else(|| "nan".to_owned(), |at| categories[at as usize].clone()))
                .collect(),
        }
    }
}

fn pick<T: Clone>(values: &[T], positions: &[usize]) -> Vec<T> {
    positions.iter().map(|&at| values[at].clone()).collect()
}

fn number_in(word: &str) -> Option<f64> {
    let digits = word.trim_start_matches(|c: char| c.is_alphabetic() || c.is_whitespace() || c == '_');
    digits.trim().parse().ok()
}
