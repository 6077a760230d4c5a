//! What can go wrong, said so that the reader can mend it: where, what was wanted, what was found, what to do.

use std::fmt::{Debug, Display};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// `Result` with [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Every failure that leaves this library.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file holds something that cannot be used, or lacks something that is needed.
    #[error("{}: {place}: {problem}", path.display())]
    Input {
        /// The file.
        path: PathBuf,
        /// The place in the file, as AnnData spells it (`layers["unspliced"]`), or `file`.
        place: String,
        /// What was wanted and what was found.
        problem: String,
        /// What to do about it.
        hint: String,
    },
    /// A setting has a value that it cannot have.
    #[error("{key} = {value}: {wanted}")]
    Setting {
        /// Dotted key as in the TOML file: `model.train.epochs`.
        key: String,
        /// The value found.
        value: String,
        /// What is allowed, as a clause: `must be at least 1`.
        wanted: String,
    },
    /// A configuration cannot be read.
    #[error("{place}: {problem}")]
    Config {
        /// The file or flag.
        place: String,
        /// What is wrong with it.
        problem: String,
        /// What to do about it.
        hint: String,
    },
    /// Arrays that should fit together do not.
    #[error("{what}: wanted shape {wanted:?}, found {found:?}")]
    Shape {
        /// The array.
        what: String,
        /// The shape wanted.
        wanted: Vec<usize>,
        /// The shape found.
        found: Vec<usize>,
    },
    /// The data are well formed but cannot be analysed.
    #[error("{problem}")]
    Data {
        /// What stands in the way.
        problem: String,
        /// What to do about it.
        hint: String,
    },
    /// The operating system refused to read or write.
    #[error("{}: cannot {action}: {reason}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What was attempted: `read`, `create the folder`.
        action: String,
        /// The system's or HDF5's own words.
        reason: String,
        /// What to do about it, where there is more to say than the reason.
        hint: String,
    },
    /// A device is not in this build or not on this machine.
    #[error("device {name:?}: {problem}")]
    Device {
        /// The name given.
        name: String,
        /// Why it cannot be used.
        problem: String,
        /// What to do about it.
        hint: String,
    },
    /// A loss or a parameter became NaN or infinite during training.
    #[error("{stage}, epoch {epoch}: {culprit} is not finite (NaN or infinite)")]
    NonFinite {
        /// The training stage.
        stage: String,
        /// The epoch in that stage, from 1.
        epoch: usize,
        /// The loss terms and genes involved.
        culprit: String,
        /// What to do about it.
        hint: String,
    },
    /// The user pressed Ctrl-C.
    #[error("interrupted; {}", run.as_ref().map_or("nothing was written".to_owned(), |run| format!("the run is saved in {}", run.display())))]
    Interrupted {
        /// The run's folder, if it can be continued.
        run: Option<PathBuf>,
    },
}

impl Error {
    /// [`Error::Input`] from its parts.
    pub fn input(path: &Path, place: impl Into<String>, problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Input { path: path.to_path_buf(), place: place.into(), problem: problem.into(), hint: hint.into() }
    }

    /// [`Error::File`] from its parts.
    pub fn file(path: &Path, action: impl Into<String>, reason: impl Display) -> Self {
        let (path, action, reason, hint) = (path.to_path_buf(), action.into(), reason.to_string(), String::new());
        Self::File { path, action, reason, hint }
    }

    /// The same, with a hint for an [`Error::File`].
    #[must_use]
    pub fn hinted(mut self, remedy: impl Into<String>) -> Self {
        if let Self::File { hint, .. } = &mut self {
            *hint = remedy.into();
        }
        self
    }

    /// What the reader can do, if there is more to say than the message itself.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Input { hint, .. }
            | Self::Config { hint, .. }
            | Self::File { hint, .. }
            | Self::Data { hint, .. }
            | Self::Device { hint, .. }
            | Self::NonFinite { hint, .. } => (!hint.is_empty()).then(|| hint.clone()),
            // Flags, and simulations, which have no config file.
            Self::Setting { key, .. } => Some(match key.strip_prefix("simulate.").or_else(|| key.strip_prefix("--")) {
                Some(flag) => format!("give another with --{flag}"),
                None => format!("change it in the config file, or with --set {key}=VALUE"),
            }),
            Self::Interrupted { run: Some(_) } => Some("continue with the same command and --resume".to_owned()),
            Self::Interrupted { run: None } | Self::Shape { .. } => None,
        }
    }

    /// Exit code of the program: 2 for something the user gave, 130 for Ctrl-C, 1 for the rest.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Input { .. }
            | Self::Setting { .. }
            | Self::Config { .. }
            | Self::Data { .. }
            | Self::Device { .. } => 2,
            Self::Interrupted { .. } => 130,
            Self::Shape { .. } | Self::File { .. } | Self::NonFinite { .. } => 1,
        }
    }
}

/// Fails with [`Error::Setting`] unless `condition` holds.
///
/// # Errors
/// [`Error::Setting`] naming `key`, `value` and what was `wanted`.
pub fn require(condition: bool, key: &str, value: impl Display, wanted: &str) -> Result<()> {
    if condition {
        return Ok(());
    }
    Err(Error::Setting { key: key.to_owned(), value: value.to_string(), wanted: wanted.to_owned() })
}

/// Fails with [`Error::Setting`] unless `value` is in `range`; `why` gives the reason of the bounds, as a clause.
///
/// # Errors
/// [`Error::Setting`] naming `key`, `value`, the range and the reason.
pub fn within<T: Copy + PartialOrd + Debug>(key: &str, value: T, range: RangeInclusive<T>, why: &str) -> Result<()> {
    let (least, most) = (range.start(), range.end());
    // Debug, for decimals: 1e300 rather than 301 digits.
    require(range.contains(&value), key, format!("{value:?}"), &format!("must be from {least:?} to {most:?}: {why}"))
}

/// The same, or 0, which means `off`.
///
/// # Errors
/// As [`within`].
pub fn within_or_0<T: Copy + PartialOrd + Debug + Default>(
    key: &str,
    value: T,
    range: RangeInclusive<T>,
    (off, why): (&str, &str),
) -> Result<()> {
    let (least, most) = (range.start(), range.end());
    let wanted = format!("must be 0 ({off}), or from {least:?} to {most:?}: {why}");
    require(value == T::default() || range.contains(&value), key, format!("{value:?}"), &wanted)
}
