//! Which cells are trained on, in which order, and their values on the device.

use std::collections::BTreeMap;

use burn::tensor::{Device, Int, Tensor};
use ndarray::{Array2, ArrayView2};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::TrainConfig;
use crate::data::{Dataset, Frame};
use crate::error::{Error, Result};
use crate::nn::arrays;

/// Cells for training, for early stopping and for the final evaluation; each list rises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Cells whose likelihood is maximised.
    pub train: Vec<usize>,
    /// Cells for validation: early stopping compares their loss.
    pub validation: Vec<usize>,
    /// Cells that are used for nothing but the final evaluation.
    pub test: Vec<usize>,
}

impl Split {
    /// The split that `config` names a column of `obs` for, or a random one.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is no such column or it says something else; [`Error::Data`] if fewer than two cells are
    /// left to train on.
    pub fn new(obs: &Frame, config: &TrainConfig, mut rng: ChaCha8Rng) -> Result<Self> {
        let n_obs = obs.index.len();
        if !config.split.is_empty() {
            return Self::read(obs, &config.split);
        }
        let share = |fraction: f64| (fraction * n_obs as f64).round() as usize;
        let (n_validation, n_test) = (share(config.validation_fraction), share(config.test_fraction));
        if n_validation + n_test + 2 > n_obs {
            return Err(too_few(n_obs));
        }
        let mut order: Vec<usize> = (0..n_obs).collect();
        order.shuffle(&mut rng);
        let mut take = |count: usize| {
            let mut part = order.split_off(order.len() - count);
            part.sort_unstable();
            part
        };
        let (test, validation) = (take(n_test), take(n_validation));
        order.sort_unstable();
        Ok(Self { train: order, validation, test })
    }

    fn read(obs: &Frame, column: &str) -> Result<Self> {
        let wrong = |wanted: String| Error::Setting {
            key: "model.train.split".to_owned(),
            value: format!("{column:?}"),
            wanted,
        };
        let labels = obs.get(column).ok_or_else(|| {
            let known: Vec<&str> = obs.columns.iter().map(|(name, _)| name.as_str()).collect();
            wrong(format!("must be a column of obs; there are: {}", known.join(", ")))
        })?;
        let mut split = Self { train: Vec::new(), validation: Vec::new(), test: Vec::new() };
        for (cell, label) in labels.to_labels().into_iter().enumerate() {
            match label.as_str() {
                "train" => split.train.push(cell),
                "validation" => split.validation.push(cell),
                "test" => split.test.push(cell),
                _ => return Err(wrong(format!("must say train, validation or test of every cell, found {label:?}"))),
            }
        }
        if split.train.len() < 2 { Err(too_few(split.train.len())) } else { Ok(split) }
    }

    /// The split of the cells at `rows`, which rise, by their positions among these.
    ///
    /// # Errors
    /// [`Error::Data`] if fewer than two of them are to train on.
    pub fn within(&self, rows: &[usize]) -> Result<Self> {
        let of = |part: &[usize]| -> Vec<usize> {
            (0..rows.len()).filter(|&at| part.binary_search(&rows[at]).is_ok()).collect()
        };
        let split = Self { train: of(&self.train), validation: of(&self.validation), test: of(&self.test) };
        if split.train.len() < 2 { Err(too_few(split.train.len())) } else { Ok(split) }
    }

    /// The part of each cell: 0 train, 1 validation, 2 test.
    #[must_use]
    pub fn parts(&self) -> Vec<u8> {
        let mut parts = vec![0; self.train.len() + self.validation.len() + self.test.len()];
        self.validation.iter().for_each(|&cell| parts[cell] = 1);
        self.test.iter().for_each(|&cell| parts[cell] = 2);
        parts
    }
}

/// What a model sees of all cells, on the device: abundances, and columns that the model adds.
#[derive(Clone, Debug)]
pub struct TrainingData {
    /// Device without gradients.
    pub device: Device,
    /// Unspliced abundance: `Mu` or counts, `[n_obs, n_vars]`.
    pub u: Tensor<2>,
    /// Spliced abundance: `Ms` or counts, `[n_obs, n_vars]`.
    pub s: Tensor<2>,
    /// Names of the genes, for messages.
    pub genes: Vec<String>,
    columns: Columns,
}

/// Some cells, as a module sees them.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Unspliced abundance: `Mu` or counts, `[batch, n_vars]`.
    pub u: Tensor<2>,
    /// Spliced abundance: `Ms` or counts, `[batch, n_vars]`.
    pub s: Tensor<2>,
    columns: Columns,
}

/// What a model knows of each cell that is not learned by gradients, `[n_obs, any]` or `[batch, any]` under each name.
#[derive(Clone, Debug, Default)]
pub struct Columns(BTreeMap<&'static str, Tensor<2>>);

impl Columns {
    pub(super) fn set(&mut self, name: &'static str, values: Tensor<2>) {
        self.0.insert(name, values);
    }

    /// The cells at `rows`.
    pub(super) fn of(&self, rows: &[usize], device: &Device) -> Self {
        self.at(&arrays::positions(rows, device))
    }

    /// The cells at positions that are on the device.
    fn at(&self, cells: &Tensor<1, Int>) -> Self {
        Self(self.0.iter().map(|(name, values)| (*name, values.clone().select(0, cells.clone()))).collect())
    }
}

impl TrainingData {
    /// Moves the moments of `data` to `device`.
    #[must_use]
    pub fn new(data: &Dataset, device: &Device) -> Self {
        Self::from_abundance(data.mu.view(), data.ms.view(), data.var.index.clone(), device)
    }

    /// Moves unspliced and spliced abundances, `[n_obs, n_vars]`, of `genes` to `device`.
    #[must_use]
    pub fn from_abundance(u: ArrayView2<'_, f32>, s: ArrayView2<'_, f32>, genes: Vec<String>, device: &Device) -> Self {
        let device = device.clone().inner();
        let (u, s) = (arrays::matrix(u, &device), arrays::matrix(s, &device));
        Self { u, s, genes, device, columns: Columns::default() }
    }

    /// The same cells, genes and columns with other abundances `[u, s]`, on the same device.
    #[must_use]
    pub fn with_abundance(&self, [u, s]: &[Array2<f32>; 2]) -> Self {
        let (u, s) = (arrays::matrix(u.view(), &self.device), arrays::matrix(s.view(), &self.device));
        Self { u, s, ..self.clone() }
    }

    pub(super) fn columns_mut(&mut self) -> (&mut Columns, &Device) {
        (&mut self.columns, &self.device)
    }

    /// Number of cells.
    #[must_use]
    pub fn n_obs(&self) -> usize {
        self.s.dims()[0]
    }

    /// Number of genes.
    #[must_use]
    pub fn n_vars(&self) -> usize {
        self.genes.len()
    }

    /// The cells at `rows`, outside any gradient.
    #[must_use]
    pub fn batch(&self, rows: &[usize]) -> Batch {
        self.at(&arrays::positions(rows, &self.device))
    }

    /// The cells at positions that are on the device.
    fn at(&self, cells: &Tensor<1, Int>) -> Batch {
        let of_cells = |values: &Tensor<2>| values.clone().select(0, cells.clone());
        Batch { u: of_cells(&self.u), s: of_cells(&self.s), columns: self.columns.at(cells) }
    }

    /// The cells of each of `batches`: their positions go to the device once for all.
    pub(super) fn all_of<'a>(&'a self, batches: &'a [Vec<usize>]) -> impl Iterator<Item = Batch> + 'a {
        let all = arrays::positions(&batches.concat(), &self.device);
        let mut end = 0;
        batches.iter().map(move |rows| {
            let begin = end;
            end += rows.len();
            self.at(&all.clone().narrow(0, begin, rows.len()))
        })
    }
}

impl Batch {
    pub(super) fn new([u, s]: [Tensor<2>; 2], columns: Columns) -> Self {
        Self { u, s, columns }
    }

    /// Cells with these moments and no columns.
    #[cfg(test)]
    pub(crate) fn of_moments(u: Tensor<2>, s: Tensor<2>) -> Self {
        Self::new([u, s], Columns::default())
    }

    /// The same cells on `device`, in its way of keeping what gradients need.
    pub(crate) fn on(self, device: &Device) -> Self {
        let columns = self.columns.0.into_iter().map(|(name, values)| (name, values.to_device(device))).collect();
        Self { u: self.u.to_device(device), s: self.s.to_device(device), columns: Columns(columns) }
    }

    /// The same cells for a module that is being trained.
    #[must_use]
    pub fn autodiff(self) -> Self {
        let columns = self.columns.0.into_iter().map(|(name, values)| (name, values.autodiff())).collect();
        Self { u: self.u.autodiff(), s: self.s.autodiff(), columns: Columns(columns) }
    }

    /// The column `name` of [`with_column`](super::WithColumns::with_column), `[batch, any]`.
    ///
    /// # Panics
    /// If the data have none of that name.
    #[must_use]
    pub fn column(&self, name: &str) -> Tensor<2> {
        self.columns.0.get(name).unwrap_or_else(|| panic!("the data have a column {name:?}")).clone()
    }

    /// Whether there is a column `name`.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.columns.0.contains_key(name)
    }
}

/// `rows` in random order, dealt into batches of at most `size` whose lengths differ by at most one: a last
/// batch of one or two cells would spoil batch normalisation.
pub(super) fn deal(rows: &[usize], size: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<usize>> {
    let mut order = rows.to_vec();
    order.shuffle(rng);
    even_chunks(&order, size)
}

/// `rows` in order, in chunks of at most `size` whose lengths differ by at most one; none has a single row unless there is
/// only one.
pub(super) fn even_chunks(rows: &[usize], size: usize) -> Vec<Vec<usize>> {
    let count = rows.len().div_ceil(size).min((rows.len() / 2).max(1));
    if rows.is_empty() {
        return Vec::new();
    }
    let bound = |part: usize| part * rows.len() / count;
    (0..count).map(|part| rows[bound(part)..bound(part + 1)].to_vec()).collect()
}

fn too_few(n_obs: usize) -> Error {
    Error::Data {
        problem: format!("{n_obs} cells are too few to train on"),
        hint: "a network needs at least two training cells, and some hundreds to learn anything".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::even_chunks;

    #[test]
    fn no_batch_is_much_smaller_than_the_others() {
        let rows: Vec<usize> = (0..129).collect();
        let lengths: Vec<usize> = even_chunks(&rows, 128).iter().map(Vec::len).collect();
        assert_eq!(lengths, [64, 65]);
        assert!(even_chunks(&[], 128).is_empty());
        assert_eq!(even_chunks(&[1, 2, 3], 2), [[1, 2, 3]]);
    }
}
