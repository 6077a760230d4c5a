//! Where time starts: cells that the user names, or scores that say how likely a cell is a root.

use crate::error::{Error, Result};

/// Cells at which time starts (or, for end points, ends).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Root<'a> {
    /// These cells: whatever the velocities say.
    Cells(&'a [usize]),
    /// Scores in [0, 1], `[n_obs]`, such as [`Terminal::scores`](super::Terminal::scores).
    Inferred(&'a [f64]),
}

impl Root<'_> {
    /// Checks the root against the number of cells.
    ///
    /// # Errors
    /// [`Error::Data`] if no cell is named, one does not exist, or there are no scores above 0; [`Error::Shape`] if there is not
    /// one score per cell.
    pub fn check(&self, n_obs: usize) -> Result<()> {
        let unusable = |problem: String| {
            Err(Error::Data { problem, hint: "name cells that are in the data after filtering".to_owned() })
        };
        match self {
            Self::Cells([]) => unusable("root: no cell is named".to_owned()),
            Self::Cells(cells) => match cells.iter().find(|&&cell| cell >= n_obs) {
                Some(cell) => unusable(format!("root: cell number {cell} (from 0) of {n_obs} cells")),
                None => Ok(()),
            },
            Self::Inferred(scores) if scores.len() != n_obs => {
                Err(Error::Shape { what: "root scores".to_owned(), wanted: vec![n_obs], found: vec![scores.len()] })
            }
            Self::Inferred(_) => Ok(()),
        }
    }
}

/// The end that counts beside `root`: beside cells that the user named, what the velocities suggest does not.
pub(super) fn beside<'a>(root: Root<'_>, end: Option<Root<'a>>) -> Option<Root<'a>> {
    end.filter(|end| !matches!((root, end), (Root::Cells(_), Root::Inferred(_))))
}
