//! What a file must satisfy before anything in it is believed: all of it lies within the file, it ends somewhere, and it declares no
//! more than it can hold. Everything that reads, copies or writes goes through here, so that no other place need ask.

use hdf5::plist::dataset_create::Layout;
use hdf5::{Dataset, File, Group, LinkType, LocationType};

use super::h5::Node;
use super::lengths;
use super::place::{At, Place};
use crate::error::{Error, Result};

/// Groups within groups. Real files have five or so; every reader of a group within a group is recursive.
const DEEPEST: usize = 64;
/// Elements in a file, those below a group with several links counted as often as it has links.
const MOST: usize = 250_000;
/// Values may take so many bytes though the file holds nothing for them: filled with one value, as HDF5 does by itself.
const UNSTORED: usize = 64 << 20;
/// deflate makes values at most 1,032 times shorter; the others that are read do less.
const MOST_PACKED: usize = 1_100;

/// Chunks that a dataset may be cut into though the file holds nothing for them: to read it, HDF5 takes 4 KiB for each.
const UNWRITTEN: usize = 1 << 14;

/// What to do about a file whose values lie elsewhere.
const GATHER: &str =
    "if you trust the file, put all that it reaches into one: nascent gather FILE.h5ad --output WHOLE.h5ad";

/// Fails unless all that can be reached from the top of `file` lies within it, without circles, and can be held by it.
///
/// # Errors
/// [`Error::Input`] naming the first element that does not satisfy this.
pub(super) fn screen(file: &File, place: &Place) -> Result<()> {
    let top = file.loc_info().at(place)?;
    // A link by name can lead through a link into another file, which HDF5 would open to look: those are found first.
    let mut soft_too = false;
    loop {
        let mut walk =
            Walk { file_number: top.fileno, above: vec![top.token], n_seen: 0, soft_too, met_soft_links: false };
        walk.members(file, place)?;
        if soft_too || !walk.met_soft_links {
            return Ok(());
        }
        soft_too = true;
    }
}

struct Walk<T> {
    /// Of the file, as HDF5 tells files apart.
    file_number: u64,
    /// The groups in which the walk is.
    above: Vec<T>,
    n_seen: usize,
    /// Whether links by name are followed.
    soft_too: bool,
    met_soft_links: bool,
}

/// The links of a group: their names, and what they are.
///
/// # Errors
/// [`Error::Input`] if HDF5 cannot read them.
pub(super) fn links(group: &Group, place: &Place) -> Result<Vec<(String, LinkType)>> {
    let mut links = Vec::new();
    let listed = group.iter_visit_default(|name, link| {
        links.push((name.to_owned(), link.link_type));
        Ok(())
    });
    listed.at(place)?;
    Ok(links)
}

/// Fails if so many elements were seen that there is no end to them.
///
/// # Errors
/// [`Error::Input`].
pub(super) fn bounded(n_seen: usize, place: &Place) -> Result<()> {
    if n_seen > MOST {
        return Err(place.damaged(format!("the file has more than {MOST} elements")));
    }
    Ok(())
}

impl Walk<hdf5::LocationToken> {
    fn members(&mut self, group: &Group, place: &Place) -> Result<()> {
        let links = links(group, place)?;
        self.n_seen += links.len();
        bounded(self.n_seen, place)?;
        for (name, link) in links {
            let here = place.child(&name);
            match link {
                LinkType::Soft if !self.soft_too => self.met_soft_links = true,
                LinkType::Hard | LinkType::Soft => self.element(group, &name, &here)?,
                LinkType::External => return Err(elsewhere(&here, "it is a link into another file")),
            }
        }
        Ok(())
    }

    fn element(&mut self, parent: &Group, name: &str, place: &Place) -> Result<()> {
        // A link may lead to nothing; who needs the element says that it is missing.
        let Ok(about) = parent.loc_info_by_name(name) else { return Ok(()) };
        if about.fileno != self.file_number {
            return Err(elsewhere(place, "it lies in another file"));
        }
        if about.loc_type == LocationType::Group && self.above.contains(&about.token) {
            return Err(place.damaged("it contains itself"));
        }
        match Node::open(parent, name) {
            Some(Node::Group(group)) => {
                shallow(self.above.len(), place)?;
                self.above.push(about.token);
                self.members(&group, place)?;
                self.above.pop();
                Ok(())
            }
            Some(Node::Dataset(dataset)) => values(&dataset, place),
            None => Ok(()),
        }
    }
}

/// Fails if so many groups are within each other that there is no end to them.
///
/// # Errors
/// [`Error::Input`].
pub(super) fn shallow(n_above: usize, place: &Place) -> Result<()> {
    if n_above > DEEPEST {
        return Err(place.damaged(format!("there are more than {DEEPEST} groups within each other")));
    }
    Ok(())
}

/// Fails unless the values of a dataset lie in its file, and are no more than it can hold.
///
/// # Errors
/// [`Error::Input`].
pub(super) fn values(dataset: &Dataset, place: &Place) -> Result<()> {
    let made = dataset.dcpl().at(place)?;
    if made.layout() == Layout::Virtual {
        return Err(elsewhere(place, "it is put together from other datasets (a virtual dataset)"));
    }
    if let Some(file) = made.external().first() {
        return Err(elsewhere(place, &format!("its values lie in another file, {:?}", file.name)));
    }
    let width = dataset.dtype().at(place)?.size();
    let stored = stored(dataset);
    let fits = |shape: &[usize]| takes_at_most(unpacked(stored), width, shape);
    if !fits(&dataset.shape()) || !made.chunk().is_none_or(|chunk| fits(&chunk)) {
        return Err(place.damaged(format!(
            "{:?} values are declared, but the file holds {stored} bytes for them",
            dataset.shape()
        )));
    }
    let pieces = |chunk: Vec<usize>| {
        let along = dataset.shape().into_iter().zip(chunk).map(|(length, chunk)| length.div_ceil(chunk.max(1)));
        along.fold(1_usize, usize::saturating_mul)
    };
    let n_chunks = made.chunk().map_or(1, pieces);
    if n_chunks > stored.max(UNWRITTEN) {
        return Err(
            place.damaged(format!("it is cut into {n_chunks} pieces, but the file holds {stored} bytes for them"))
        );
    }
    lengths::words(dataset, place)
}

/// Bytes that the file holds for a dataset.
pub(super) fn stored(dataset: &Dataset) -> usize {
    usize::try_from(dataset.storage_size()).unwrap_or(usize::MAX)
}

/// Bytes that values may take of which so many are stored.
pub(super) fn unpacked(stored: usize) -> usize {
    stored.saturating_mul(MOST_PACKED).max(UNSTORED)
}

/// Whether so many values, of `width` bytes each, take no more than `limit` bytes.
pub(super) fn takes_at_most(limit: usize, width: usize, shape: &[usize]) -> bool {
    let bytes = shape.iter().try_fold(width, |bytes, &length| bytes.checked_mul(length));
    bytes.is_some_and(|bytes| bytes <= limit)
}

fn elsewhere(place: &Place, what: &str) -> Error {
    place.error(format!("{what}, and only what lies in the file itself is read"), GATHER)
}
