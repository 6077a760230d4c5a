//! By MPI: the memory and the network of a cluster's nodes.

use std::sync::{Mutex, PoisonError};

use mpi::Threading;
use mpi::datatype::PartitionMut;
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives};

use super::no_mpi;
use crate::data::Exchange;
use crate::error::Result;

/// Bytes that all processes together send at a time: MPI counts them in 31 bits.
const AT_A_TIME: usize = 1 << 30;

/// MPI, from its beginning to its end.
pub(super) struct Mpi {
    rank: usize,
    size: usize,
    /// One call at a time, as MPI was told.
    turn: Mutex<()>,
    /// Ends MPI when it is dropped.
    _universe: Universe,
}

impl Mpi {
    /// Begins MPI, which a process does once.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) if it has begun before.
    pub(super) fn begin() -> Result<Self> {
        let begun = mpi::initialize_with_threading(Threading::Serialized);
        let (universe, granted) = begun.ok_or_else(|| no_mpi("MPI has begun before"))?;
        if granted < Threading::Serialized {
            return Err(no_mpi("this MPI serves one thread alone"));
        }
        let world = universe.world();
        let [rank, size] = [world.rank(), world.size()].map(|number| number as usize);
        Ok(Self { rank, size, turn: Mutex::new(()), _universe: universe })
    }
}

impl Exchange for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn all(&self, mine: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let world = SimpleCommunicator::world();
        let mut lengths = vec![0_u64; self.size];
        world.all_gather_into(&(mine.len() as u64), &mut lengths[..]);
        let mut said: Vec<Vec<u8>> = lengths.iter().map(|&length| Vec::with_capacity(length as usize)).collect();
        let chunk = AT_A_TIME / self.size;
        let longest = lengths.iter().max().map_or(0, |&length| length as usize);
        for begin in (0..longest).step_by(chunk) {
            let within = |length: usize| begin.min(length)..(begin + chunk).min(length);
            let counts: Vec<i32> = lengths.iter().map(|&length| within(length as usize).len() as i32).collect();
            let starts: Vec<i32> =
                counts.iter().scan(0, |sum, &count| Some(std::mem::replace(sum, *sum + count))).collect();
            let mut received = vec![0_u8; counts.iter().map(|&count| count as usize).sum()];
            let mut parts = PartitionMut::new(&mut received[..], &counts[..], &starts[..]);
            world.all_gather_varcount_into(&mine[within(mine.len())], &mut parts);
            for ((said, &count), &start) in said.iter_mut().zip(&counts).zip(&starts) {
                said.extend_from_slice(&received[start as usize..][..count as usize]);
            }
        }
        Ok(said)
    }
}
