//! One file out of a file that reaches into others: what it links to, and values that lie elsewhere, are put where the links were.
//!
//! HDF5 follows links by itself, to whatever the name leads. Here every name is looked up before: it must lead to a file on disk that can be
//! held to what `screen.rs` asks of any file, and to an element in it without a further link.

use std::fs;
use std::path::{Path, PathBuf};

use hdf5::plist::dataset_create::Layout;
use hdf5::{Dataset, Group, LinkType, LocationToken};

use super::atomic::{AtomicFile, folder_of};
use super::element::Sink;
use super::h5::{self, Node};
use super::place::{At, Place};
use super::raw::{Taken, VirtualPart};
use super::stamp::Stamp;
use super::subset::{self, Cut};
use super::write::{create, finish};
use super::{OutputConfig, raw, screen};
use crate::error::{Error, Result};

/// What was put into one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gathered {
    /// Elements that lay elsewhere, as `layers["spliced"]`.
    pub elements: Vec<String>,
    /// The other files that were read, in the order in which they were met.
    pub files: Vec<PathBuf>,
    /// Size of the new file.
    pub bytes: u64,
}

/// Writes a copy of `input` in which everything lies within the file: links into other files, external values and virtual datasets are
/// replaced by what they stand for. It appears whole or not at all; `output` may be `input`.
///
/// # Errors
/// [`Error::Input`] if something that is named is not there, is not what it must be, or is linked on from there;
/// [`Error::File`] if the system refuses to write.
pub fn gather(output: &Path, input: &Path) -> Result<Gathered> {
    let stamp = Stamp::of(input)?;
    let source = h5::unscreened(input)?;
    let draft = AtomicFile::begin(output)?;
    let final_path = draft.output().to_path_buf();
    let sink = Sink::new(&final_path, OutputConfig::default().compression);
    let target = create(&draft, &sink)?;
    let place = Place::root(input);
    let mut gathering =
        Gathering { main: input, sink, above: Vec::new(), n_seen: 0, read: Vec::new(), elements: Vec::new() };
    gathering.above.push(identity(&source, &place)?);
    gathering.copy().attributes(&source, &target, &place)?;
    gathering.members(&source, &target, &place)?;
    let Gathering { read, elements, .. } = gathering;
    // Links by name can lead in a circle, in the new file as in the old one.
    sink.sure(target.flush(), "the file")?;
    screen::screen(&target, &place)?;
    read.iter().try_for_each(Stamp::require_same)?;
    let bytes = finish(draft, &sink, target, Some(&stamp))?;
    let files = read.iter().map(|stamp| stamp.path().to_path_buf()).collect();
    Ok(Gathered { elements, files, bytes })
}

struct Gathering<'a> {
    /// The file that is gathered.
    main: &'a Path,
    sink: Sink<'a>,
    /// The groups in which the walk is: HDF5's numbers of file and group.
    above: Vec<(u64, LocationToken)>,
    n_seen: usize,
    /// The other files.
    read: Vec<Stamp>,
    elements: Vec<String>,
}

impl<'a> Gathering<'a> {
    /// Copies what needs no look.
    fn copy(&self) -> Cut<'a> {
        Cut { sink: self.sink, axis: None, kept: &[], n: 0, skip: &[], left_out: Vec::new() }
    }

    fn members(&mut self, from: &Group, to: &Group, place: &Place) -> Result<()> {
        let links = screen::links(from, place)?;
        self.n_seen += links.len();
        screen::bounded(self.n_seen, place)?;
        for (name, link) in links {
            let here = place.child(&name);
            match link {
                LinkType::Hard => {
                    if let Some(node) = Node::open(from, &name) {
                        self.element(&node, to, &name, &here)?;
                    }
                }
                // Names mean the same in the new file, which has the same elements.
                LinkType::Soft if place.path() == self.main => {
                    let path = raw::soft_link(from, &name).at(&here)?;
                    self.sink.sure(to.link_soft(&path, &name), &name)?;
                }
                LinkType::Soft => return Err(linked_on(&here)),
                LinkType::External => {
                    let [file, path] = raw::external_link(from, &name).at(&here)?;
                    let (node, there) = self.named(&folder_of(place.path()).join(file), &path, &here)?;
                    self.elements.push(here.name().to_owned());
                    self.element(&node, to, &name, &there)?;
                }
            }
        }
        Ok(())
    }

    fn element(&mut self, node: &Node, to: &Group, name: &str, place: &Place) -> Result<()> {
        match node {
            Node::Group(group) => {
                let identity = identity(group, place)?;
                if self.above.contains(&identity) {
                    return Err(place.damaged("it contains itself"));
                }
                screen::shallow(self.above.len(), place)?;
                let copy = self.copy().empty_group(group, to, name, place)?;
                self.above.push(identity);
                self.members(group, &copy, place)?;
                self.above.pop();
                self.copy().mend_frame(&copy, group)
            }
            Node::Dataset(dataset) => self.dataset(dataset, to, name, place),
        }
    }

    fn dataset(&mut self, dataset: &Dataset, to: &Group, name: &str, place: &Place) -> Result<()> {
        let made = dataset.dcpl().at(place)?;
        if made.layout() == Layout::Virtual {
            self.require_sources(dataset, &raw::virtual_parts(&made).at(place)?, place)?;
        } else if made.external().is_empty() {
            screen::values(dataset, place)?;
            return self.copy().whole(&Node::Dataset(dataset.clone()), to, name, place);
        } else {
            let pieces = made.external();
            self.require_bytes(dataset, pieces.iter().map(|piece| (&*piece.name, piece.offset, piece.size)), place)?;
        }
        self.elements.push(place.name().to_owned());
        if subset::values(self.sink, dataset, to, name, place)? {
            return Ok(());
        }
        Err(place.error(
            format!("values of this kind ({}) that lie elsewhere are not put together", h5::dtype_name(dataset)),
            "write them into the file with the program that made it",
        ))
    }

    /// What lies under `path` in the file `other`, which is named `here`, and where that is.
    fn named(&mut self, other: &Path, path: &str, here: &Place) -> Result<(Node, Place<'static>)> {
        self.remember(other, here)?;
        let open = h5::unscreened(other)?;
        let mut place = Place::root(other).into_owned();
        let mut node = Node::Group(open.as_group().at(&place)?);
        for name in path.split('/').filter(|name| !name.is_empty() && *name != ".") {
            let Node::Group(group) = &node else { return Err(nothing(here, path, other)) };
            let links = screen::links(group, &place)?;
            place = place.child(name);
            node = match links.iter().find(|(there, _)| there == name) {
                Some((_, LinkType::Hard)) => Node::open(group, name).ok_or_else(|| nothing(here, path, other))?,
                Some(_) => return Err(linked_on(&place)),
                None => return Err(nothing(here, path, other)),
            };
        }
        Ok((node, place))
    }

    /// Notes that another file is read.
    fn remember(&mut self, other: &Path, here: &Place) -> Result<()> {
        if !fs::metadata(other).is_ok_and(|about| about.is_file()) {
            return Err(here.error(
                format!("it lies in {}, which is no file", other.display()),
                "put the file there; names are looked up from the folder of the file that has the link, those of external values from the \
                 folder in which the command runs",
            ));
        }
        let stamp = Stamp::of(other)?;
        if other != self.main && !self.read.contains(&stamp) {
            self.read.push(stamp);
        }
        Ok(())
    }

    /// Fails unless all that a virtual dataset is put together from is there: HDF5 would fill what is missing.
    fn require_sources(&mut self, dataset: &Dataset, parts: &[VirtualPart], place: &Place) -> Result<()> {
        require_plain_names("HDF5_VDS_PREFIX", place)?;
        let mut stored = 0_usize;
        for part in parts {
            let file = match part.file.as_str() {
                "." => place.path().to_path_buf(),
                name => folder_of(place.path()).join(name),
            };
            let grows = |taken: &Option<Taken>| taken.as_ref().is_some_and(|taken| taken.n_values.is_none());
            if part.file.contains('%') || part.dataset.contains('%') || grows(&part.taken) || grows(&part.come) {
                return Err(place.error(
                    format!("it grows with what there is of {:?} in {}", part.dataset, file.display()),
                    "write it into the file with the program that made it",
                ));
            }
            let (node, there) = self.named(&file, &part.dataset, place)?;
            let Node::Dataset(source) = node else {
                return Err(there.damaged("a dataset was expected, found a group"));
            };
            screen::values(&source, &there)?;
            let taken = n_values(part.taken.as_ref(), &source);
            if taken.is_none() || taken != n_values(part.come.as_ref(), dataset) {
                let problem = format!("{} takes other values from it than its {:?}", place.name(), source.shape());
                return Err(there.error(problem, "one of the two files is not the one that belongs to the other"));
            }
            stored = stored.saturating_add(screen::stored(&source));
        }
        require_at_most(dataset, screen::unpacked(stored), stored, place)
    }

    /// Fails unless the files of external values have them all: HDF5 would fill what is missing.
    fn require_bytes<'p>(
        &mut self,
        dataset: &Dataset,
        pieces: impl Iterator<Item = (&'p str, usize, usize)>,
        place: &Place,
    ) -> Result<()> {
        require_plain_names("HDF5_EXTFILE_PREFIX", place)?;
        let mut there = 0_usize;
        for (name, offset, size) in pieces {
            // As HDF5 does: from the folder in which the program runs.
            let file = Path::new(name);
            self.remember(file, place)?;
            let length = fs::metadata(file).map_err(|error| Error::file(file, "read", error))?.len();
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            there = there.saturating_add(length.saturating_sub(offset).min(size));
        }
        require_at_most(dataset, there, there, place)
    }
}

/// HDF5's number of the file, and of the group in it.
fn identity(group: &Group, place: &Place) -> Result<(u64, LocationToken)> {
    let about = group.loc_info().at(place)?;
    Ok((about.fileno, about.token))
}

/// The number of values of `dataset` that are `taken`; `None` if it does not have them.
fn n_values(taken: Option<&Taken>, dataset: &Dataset) -> Option<usize> {
    let shape = dataset.shape();
    let Some(Taken { n_values, last }) = taken else { return Some(shape.iter().product()) };
    let there = last.len() == shape.len() && last.iter().zip(&shape).all(|(last, length)| last < length);
    n_values.filter(|&n| there || n == 0)
}

/// Fails where HDF5 would look for other files elsewhere than they were looked at.
fn require_plain_names(variable: &str, place: &Place) -> Result<()> {
    match std::env::var_os(variable) {
        Some(value) if !value.is_empty() => Err(place.error(
            format!("the environment variable {variable} says where the other files are, and it is not heeded here"),
            format!("unset {variable}, and run the command where the names lead to the files"),
        )),
        _ => Ok(()),
    }
}

/// Fails if more values are declared than `limit` bytes.
fn require_at_most(dataset: &Dataset, limit: usize, stored: usize, place: &Place) -> Result<()> {
    let width = dataset.dtype().at(place)?.size();
    let shape = dataset.shape();
    if screen::takes_at_most(limit, width, &shape) {
        return Ok(());
    }
    Err(place.error(
        format!("{shape:?} values are declared, but the files that it names hold {stored} bytes for them"),
        "one of the files is not the one that belongs to the other, or was cut short",
    ))
}

fn nothing(here: &Place, path: &str, other: &Path) -> Error {
    here.error(
        format!("it is a link to {path:?} in {}, and there is no such element", other.display()),
        "see what is in there: nascent inspect FILE; then write the link anew",
    )
}

fn linked_on(place: &Place) -> Error {
    place.error(
        "it is a link itself, and links that lead to links are not followed",
        "gather that file first: nascent gather FILE --output FILE",
    )
}
