//! Processes that share the work of one fit, on one machine or on many.
//!
//! Every process runs the same program on the same file. Where work falls apart, by cells or by genes, each does its part, and all are then told
//! the parts of all: what they go on with is the same everywhere, bit for bit. Whatever is summed over processes is summed in their order.

use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::hash::fnv1a;

/// A way to tell each other: through the memory of a cluster's nodes, or through files.
pub trait Exchange: Send + Sync {
    /// The number of this process, from 0.
    fn rank(&self) -> usize;

    /// How many processes there are.
    fn size(&self) -> usize;

    /// Waits until all processes are here, and tells through `say` for which it waits.
    ///
    /// # Errors
    /// If they cannot come together.
    fn meet(&self, _say: &mut dyn FnMut(&str)) -> Result<()> {
        Ok(())
    }

    /// What every process says, in their order; `mine` is what this one says. All processes call this equally often, and each call waits for
    /// the others.
    ///
    /// # Errors
    /// If another process has ended, or the way between them fails.
    fn all(&self, mine: Vec<u8>) -> Result<Vec<Vec<u8>>>;
}

/// The processes of a fit; most often it is one.
#[derive(Clone, Default)]
pub struct Team(Option<Arc<dyn Exchange>>);

impl Team {
    /// The processes that `exchange` is between.
    #[must_use]
    pub fn new(exchange: Arc<dyn Exchange>) -> Self {
        Self((exchange.size() > 1).then_some(exchange))
    }

    /// Whether there is no other process.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.0.is_none()
    }

    /// Whether this process is the one that talks and writes.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.rank() == 0
    }

    /// How many processes there are.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.as_ref().map_or(1, |exchange| exchange.size())
    }

    /// Waits until all processes are here, and tells through `say` for which it waits.
    ///
    /// # Errors
    /// If they cannot come together.
    pub fn meet(&self, say: &mut dyn FnMut(&str)) -> Result<()> {
        self.0.as_ref().map_or(Ok(()), |exchange| exchange.meet(say))
    }

    fn rank(&self) -> usize {
        self.0.as_ref().map_or(0, |exchange| exchange.rank())
    }

    /// Which of `n` things are this process's: a stretch of them, as long as those of the others but for one.
    #[must_use]
    pub fn part(&self, n: usize) -> Range<usize> {
        let at = |rank: usize| (n as u128 * rank as u128 / self.size() as u128) as usize;
        at(self.rank())..at(self.rank() + 1)
    }

    /// The results of all, in the order of the things they are of; `mine` are those of this process's [`part`](Self::part).
    ///
    /// # Errors
    /// If another process has ended, or the way between them fails.
    pub fn joined<T: Serialize + DeserializeOwned>(&self, mine: Vec<T>) -> Result<Vec<T>> {
        let Some(exchange) = &self.0 else { return Ok(mine) };
        let said = exchange.all(postcard::to_stdvec(&mine).map_err(garbled)?)?;
        let read = |said: &Vec<u8>| postcard::from_bytes::<Vec<T>>(said).map_err(garbled);
        Ok(said.iter().map(read).collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    /// Adds the `sums` of all processes, in their order.
    ///
    /// # Errors
    /// As [`joined`](Self::joined).
    pub fn add(&self, sums: &mut [f64]) -> Result<()> {
        let Some(exchange) = &self.0 else { return Ok(()) };
        let mine = sums.iter().flat_map(|sum| sum.to_le_bytes()).collect();
        sums.fill(0.0);
        for said in exchange.all(mine)? {
            let values = said.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes));
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        }
        Ok(())
    }

    /// Makes sure that all have come to the same `state`.
    ///
    /// # Errors
    /// [`Error::Data`] if they have not; and as [`joined`](Self::joined).
    pub fn agree(&self, state: &impl Serialize) -> Result<()> {
        if self.is_alone() {
            return Ok(());
        }
        let hash = fnv1a(postcard::to_stdvec(state).map_err(garbled)?);
        match self.joined(vec![hash])?.iter().any(|other| *other != hash) {
            true => Err(Error::Data {
                problem: "the processes that share this fit do not begin alike".to_owned(),
                hint: "give all of them the same settings, file and version of nascent, on processors of one kind"
                    .to_owned(),
            }),
            false => Ok(()),
        }
    }
}

#[allow(clippy::needless_pass_by_value, reason = "as map_err hands it on")]
fn garbled(reason: postcard::Error) -> Error {
    Error::Data {
        problem: format!("what the processes that share this fit tell each other cannot be read: {reason}"),
        hint: "run the same version of nascent in all of them".to_owned(),
    }
}
