//! How the processes of one fit find and tell each other: through files in a folder that all see (`--shard`), or by MPI (`mpirun`).

mod files;
#[cfg(feature = "mpi")]
mod mpi;

use std::env;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use self::files::Files;
use crate::data::{Stop, Team};
use crate::error::{Error, Result};

/// Which of several processes this is: `2/4` is the second of four.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// From 0.
    pub rank: usize,
    /// How many there are.
    pub size: usize,
}

/// Most processes of one fit.
const MOST: usize = 4096;

impl FromStr for Shard {
    type Err = String;

    fn from_str(words: &str) -> std::result::Result<Self, String> {
        let pair = words.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match pair {
            Some((i, n)) if (1..=n).contains(&i) && n <= MOST => Ok(Self { rank: i - 1, size: n }),
            _ => Err(format!("wanted the number of this process and how many there are, as 2/4, at most {MOST}")),
        }
    }
}

/// The processes of this fit: those that `shard` says, which meet in the folder `dir`; else those that mpirun started; else this one alone.
///
/// # Errors
/// [`Error::Config`] if several processes were started by mpirun and this build has no MPI, or MPI refuses.
pub fn team(shard: Option<Shard>, dir: &Path, stop: &Stop) -> Result<Team> {
    match shard {
        Some(shard) => Ok(Team::new(Arc::new(Files::new(dir, shard, stop.clone())))),
        None if started_by_mpi() => by_mpi(),
        None => Ok(Team::default()),
    }
}

/// Whether mpirun started this process, as one of several.
fn started_by_mpi() -> bool {
    // Of Open MPI; of MPICH, Intel MPI and srun --mpi=pmi2.
    let told = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"].into_iter().find_map(|name| env::var(name).ok());
    told.and_then(|size| size.parse::<usize>().ok()).is_some_and(|size| size > 1)
}

#[cfg(feature = "mpi")]
fn by_mpi() -> Result<Team> {
    Ok(Team::new(Arc::new(mpi::Mpi::begin()?)))
}

#[cfg(not(feature = "mpi"))]
fn by_mpi() -> Result<Team> {
    Err(no_mpi("this build of nascent has no MPI: each of the processes would do all of the work"))
}

fn no_mpi(problem: &str) -> Error {
    Error::Config {
        place: "mpirun".to_owned(),
        problem: problem.to_owned(),
        hint: "build with --features mpi; or start each process with --shard, as --shard 1/2 and --shard 2/2"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::Shard;

    #[test]
    fn a_shard_is_one_of_several() {
        assert_eq!("2/4".parse(), Ok(Shard { rank: 1, size: 4 }));
        assert_eq!("1/1".parse(), Ok(Shard { rank: 0, size: 1 }));
        for wrong in ["0/4", "5/4", "2", "2/", "a/b", "-1/2", "1/100000", "1/0"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
