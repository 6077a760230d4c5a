//! HDF5 as AnnData uses it: opening, groups and datasets by name, attributes, words and numbers.

use std::fs;
use std::io::Read;
use std::path::Path;

use hdf5::types::{TypeDescriptor, VarLenAscii, VarLenUnicode};
use hdf5::{Container, Dataset, File, FileBuilder, Group, H5Type, Location, LocationType};

use super::foreign::{Foreign, foreign};
use super::place::{At, Place, reason};
use super::screen::screen;
use super::{raw, stuck};
use crate::error::{Error, Result};

/// A group or a dataset.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// A group.
    Group(Group),
    /// A dataset.
    Dataset(Dataset),
}

impl Node {
    /// The object under `name`; `None` if there is none, or one that is neither group nor dataset.
    pub(super) fn open(parent: &Group, name: &str) -> Option<Self> {
        match parent.loc_type_by_name(name).ok()? {
            LocationType::Group => parent.group(name).ok().map(Self::Group),
            LocationType::Dataset => parent.dataset(name).ok().map(Self::Dataset),
            // Types that stand by themselves.
            _ => None,
        }
    }

    /// The object as something with attributes.
    pub(super) fn location(&self) -> &Location {
        match self {
            Self::Group(group) => group,
            Self::Dataset(dataset) => dataset,
        }
    }

    /// AnnData's name for how the object is stored, from the attribute `encoding-type`.
    pub(super) fn encoding(&self) -> Option<String> {
        attr_text(self.location(), "encoding-type")
    }
}

/// What the values of a dataset are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Float,
    Int,
    Bool,
    Text,
    Record,
    Other,
}

/// What the values of `source` are.
pub(super) fn kind(source: &Container) -> Kind {
    let Ok(stored) = source.dtype() else {
        return Kind::Other;
    };
    match stored.to_descriptor() {
        Ok(TypeDescriptor::Float(_)) => Kind::Float,
        Ok(TypeDescriptor::Integer(_) | TypeDescriptor::Unsigned(_)) => Kind::Int,
        Ok(TypeDescriptor::Boolean) => Kind::Bool,
        Ok(
            TypeDescriptor::FixedAscii(_)
            | TypeDescriptor::FixedUnicode(_)
            | TypeDescriptor::VarLenAscii
            | TypeDescriptor::VarLenUnicode,
        ) => Kind::Text,
        Ok(TypeDescriptor::Compound(_)) => Kind::Record,
        // Half and extended precision have no descriptor, but HDF5 converts them.
        Err(_) if stored.conv_to::<f64>().is_some() => Kind::Float,
        Ok(_) | Err(_) => Kind::Other,
    }
}

/// The numpy name of the type of `source`, for showing.
pub(super) fn dtype_name(source: &Container) -> String {
    let Ok(stored) = source.dtype() else {
        return "unknown".to_owned();
    };
    match stored.to_descriptor() {
        Ok(descriptor) => descriptor.to_string(),
        Err(_) if stored.conv_to::<f64>().is_some() => format!("float{}", 8 * stored.size()),
        Err(_) => "unknown".to_owned(),
    }
}

/// Names of the members of a group, sorted.
pub(super) fn members(group: &Group) -> Vec<String> {
    let mut names = group.member_names().unwrap_or_default();
    names.sort_unstable();
    names
}

/// Opens a file to read.
///
/// # Errors
/// [`Error::File`] if it cannot be opened, [`Error::Input`] if it is no HDF5 file, is damaged, reaches beyond itself (`screen.rs`), or
/// another program has it open to write.
pub(super) fn open(path: &Path) -> Result<File> {
    open_caching(path, 0)
}

/// Opens a file to read, with memory for `bytes` of decompressed chunks of every dataset, or HDF5's own measure if
/// that is more. A file that is open already keeps its measure.
///
/// # Errors
/// As [`open`].
pub(super) fn open_caching(path: &Path, bytes: usize) -> Result<File> {
    require_file(path)?;
    screened(path, bytes)
}

/// Fails unless `path` names an HDF5 file that no other program has open to write.
fn require_file(path: &Path) -> Result<()> {
    let place = Place::root(path);
    let about = fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => place.error("no such file", "check the path"),
        _ => Error::file(path, "read", error),
    })?;
    if !about.is_file() {
        return Err(no_file(path, &place, about.is_dir()));
    }
    if !is_hdf5(path)? {
        return Err(not_hdf5(path, &place));
    }
    hold(path).map(drop)
}

/// Opens a file to read that is held already, or that only we know.
///
/// # Errors
/// As [`open`].
pub(super) fn screened(path: &Path, bytes: usize) -> Result<File> {
    let file = opened(path, bytes)?;
    screen(&file, &Place::root(path))?;
    Ok(file)
}

/// Opens a file to read that may reach beyond itself: for whoever asks of each element where it lies.
///
/// # Errors
/// As [`open`], but for what `screen.rs` finds.
pub(super) fn unscreened(path: &Path) -> Result<File> {
    require_file(path)?;
    opened(path, 0)
}

fn opened(path: &Path, bytes: usize) -> Result<File> {
    stuck::reading(path);
    let place = Place::root(path);
    caching(options(), bytes).open(path).map_err(|error| {
        let (all, words) = (error.to_string(), reason(&error));
        if all.contains("truncated") {
            return place.error(
                format!("the file ends too early ({words})"),
                "it was not written or copied to its end; fetch or write it again",
            );
        }
        place.damaged(format!("HDF5 cannot open it: {words}"))
    })
}

/// Keeps other programs from opening a file to write as long as the result lives. HDF5 takes the same lock for its writers, and
/// like HDF5's it is none on a file system that knows no locks, or where `HDF5_USE_FILE_LOCKING` is `FALSE`.
///
/// # Errors
/// [`Error::File`] if the file cannot be opened, [`Error::Input`] if another program has it open to write.
pub(super) fn hold(path: &Path) -> Result<fs::File> {
    let file = fs::File::open(path).map_err(|error| Error::file(path, "read", error))?;
    let unwanted = std::env::var("HDF5_USE_FILE_LOCKING").is_ok_and(|value| value == "FALSE" || value == "0");
    match file.try_lock_shared() {
        Err(fs::TryLockError::WouldBlock) if !unwanted => Err(Place::root(path).error(
            "another program has it open to write",
            "close it there first: in a notebook, adata.file.close(), or end the kernel",
        )),
        _ => Ok(file),
    }
}

fn caching(mut builder: FileBuilder, bytes: usize) -> FileBuilder {
    /// HDF5's measure up to version 1.14.
    const USUAL: usize = 1 << 20;
    /// A prime over the number of chunks that the cache holds; HDF5 advises a hundred times that number.
    const SLOTS: usize = 12_421;
    /// HDF5's own: chunks that were read to their end give way before others.
    const READ_FIRST: f64 = 0.75;
    if bytes > USUAL {
        builder.with_fapl(|properties| properties.chunk_cache(SLOTS, bytes, READ_FIRST));
    }
    builder
}

/// How every file is opened, to read or to write: without HDF5's own locks. HDF5 refuses a second opening of a file in one
/// process where one asks for locks and the other does not; its locks fail on some network file systems and read-only folders;
/// and they outlive the closing of the file where another thread starts a process meanwhile, which inherits HDF5's files.
/// [`hold`] looks out for programs that write.
#[doc(hidden)]
#[must_use]
pub fn options() -> FileBuilder {
    let mut builder = File::with_options();
    builder.with_fapl(|properties| properties.file_locking(false));
    builder
}

/// Whether the file at `path` says of itself that it is HDF5: its signature stands at 0, 512, 1024, 2048, … .
///
/// # Errors
/// [`Error::File`] if it cannot be read.
pub fn is_hdf5(path: &Path) -> Result<bool> {
    const SIGNATURE: &[u8] = b"\x89HDF\r\n\x1a\n";
    let mut start = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(8192 + 8).read_to_end(&mut start));
    read.map_err(|error| Error::file(path, "read", error))?;
    let offsets = [0, 512, 1024, 2048, 4096, 8192];
    Ok(offsets.iter().any(|&at| start.get(at..at + 8) == Some(SIGNATURE)))
}

fn no_file(path: &Path, place: &Place, folder: bool) -> Error {
    match foreign(path) {
        Some(Foreign { what, next, .. }) => place.error(format!("this is {what}, not an .h5ad file"), next),
        None if folder => place.error("this is a folder, not an .h5ad file", "give a file"),
        None => place.error(
            "this is a pipe or a device, and an .h5ad file is not read from its start to its end",
            "write it to a file first: COMMAND > FILE.h5ad",
        ),
    }
}

fn not_hdf5(path: &Path, place: &Place) -> Error {
    match foreign(path) {
        Some(Foreign { what, wanted, next }) => {
            place.error(format!("this is {what}, not an HDF5 file; wanted is {wanted}"), next)
        }
        None => place.error(
            "this is not an HDF5 file",
            "give an .h5ad file as written by anndata's write_h5ad; if it was downloaded, check its size",
        ),
    }
}

/// The words of an attribute; `None` if it is absent or holds no words.
pub(super) fn attr_texts(at: &Location, name: &str) -> Option<Vec<String>> {
    let attribute = at.attr(name).ok()?;
    texts(&attribute).ok()
}

/// The one word of an attribute; `None` if it is absent or no word.
pub(super) fn attr_text(at: &Location, name: &str) -> Option<String> {
    attr_texts(at, name)?.into_iter().next()
}

/// The whole numbers of an attribute; `None` if it is absent or holds none.
pub(super) fn attr_ints(at: &Location, name: &str) -> Option<Vec<i64>> {
    let attribute = at.attr(name).ok()?;
    matches!(kind(&attribute), Kind::Int | Kind::Bool).then(|| attribute.read_raw::<i64>().ok()).flatten()
}

/// A scalar number under `name`, if there is one.
pub(super) fn scalar(parent: &Group, name: &str) -> Option<f64> {
    let Node::Dataset(dataset) = Node::open(parent, name)? else {
        return None;
    };
    (dataset.size() == 1 && matches!(kind(&dataset), Kind::Int | Kind::Float))
        .then(|| dataset.read_raw::<f64>().ok()?.first().copied())
        .flatten()
}

/// A word under `name`, if there is one.
pub(super) fn word(parent: &Group, name: &str) -> Option<String> {
    let Node::Dataset(dataset) = Node::open(parent, name)? else {
        return None;
    };
    (dataset.size() == 1).then(|| texts(&dataset).ok()?.into_iter().next()).flatten()
}

/// All words of a dataset or attribute of any string type, in C order; bytes that are not UTF-8 become `�`.
pub(super) fn texts(source: &Container) -> hdf5::Result<Vec<String>> {
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let descriptor = source.dtype()?.to_descriptor()?;
    match descriptor {
        TypeDescriptor::VarLenUnicode => {
            let words = values::<VarLenUnicode>(source)?;
            Ok(words.iter().map(|word| lossy(word.as_bytes())).collect())
        }
        TypeDescriptor::VarLenAscii => {
            let words = values::<VarLenAscii>(source)?;
            Ok(words.iter().map(|word| lossy(word.as_bytes())).collect())
        }
        TypeDescriptor::FixedAscii(width) | TypeDescriptor::FixedUnicode(width) => {
            let bytes = raw::read_bytes(source, &descriptor)?;
            Ok(split_fixed(&bytes, width))
        }
        other => Err(format!("found {other} where words were expected").into()),
    }
}

/// Words of a fixed number of bytes, padded with zeros.
pub(super) fn split_fixed(bytes: &[u8], width: usize) -> Vec<String> {
    let trim = |word: &[u8]| {
        let end = word.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        String::from_utf8_lossy(&word[..end]).into_owned()
    };
    bytes.chunks_exact(width.max(1)).map(trim).collect()
}

/// All values of a dataset or attribute, in C order, as type `T`; HDF5 converts.
pub(super) fn values<T: H5Type>(source: &Container) -> hdf5::Result<Vec<T>> {
    let n_values = source.space()?.size();
    // Damaged files can claim any size; asking first turns an abort into an error.
    Vec::<T>::new().try_reserve_exact(n_values).map_err(|error| hdf5::Error::from(error.to_string()))?;
    if n_values == 0 {
        return Ok(Vec::new());
    }
    source.read_raw()
}

/// All numbers of a dataset as type `T`.
pub(super) fn numbers<T: H5Type>(dataset: &Dataset, place: &Place) -> Result<Vec<T>> {
    match kind(dataset) {
        Kind::Float | Kind::Int | Kind::Bool => values(dataset).at(place),
        _ => Err(place.damaged(format!("numbers were expected, found {}", dtype_name(dataset)))),
    }
}
