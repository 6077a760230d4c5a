//! A copy of a file without some of its elements, and cut to some of its genes or of its cells if that is asked for.

mod attributes;
mod dense;
mod sparse;

use hdf5::types::{FloatSize, TypeDescriptor, VarLenAscii, VarLenUnicode};
use hdf5::{Dataset, File, Group, H5Type, Location};

use super::element::Sink;
use super::frame::LEGACY_CATEGORIES;
use super::h5::{self, Kind, Node};
use super::matrix::Matrix;
use super::place::{At, Place};
use super::raw;
use crate::data::quantities::Slot;
use crate::error::Result;

/// What a file is cut to some of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Axis {
    Cells,
    Genes,
}

/// Which axes of an element run over what is cut.
#[derive(Clone, Copy)]
enum Axes {
    Rows,
    Columns,
    Both,
}

/// One file being copied into another.
pub(super) struct Cut<'a> {
    /// Writes the copy.
    pub(super) sink: Sink<'a>,
    /// What is cut; nothing where `None`.
    pub(super) axis: Option<Axis>,
    /// Positions of the cells or genes that stay, rising.
    pub(super) kept: &'a [usize],
    /// Number of cells or genes in the source.
    pub(super) n: usize,
    /// Elements that are not copied.
    pub(super) skip: &'a [(Slot, String)],
    /// Elements that could not be cut and were left out, for the reader to know.
    pub(super) left_out: Vec<String>,
}

/// Copies the values of a dataset with rows into one of the same name, wherever they lie. Returns whether they are of a kind that can be.
///
/// # Errors
/// [`Error`](crate::Error) if reading or writing fails.
pub(super) fn values(sink: Sink, dataset: &Dataset, to: &Group, name: &str, place: &Place) -> Result<bool> {
    let n = dataset.shape().first().copied().unwrap_or_default();
    let all: Vec<usize> = (0..n).collect();
    let mut cut = Cut { sink, axis: Some(Axis::Cells), kept: &all, n, skip: &[], left_out: Vec::new() };
    cut.dataset(dataset, to, name, Axes::Rows, place)?;
    Ok(cut.left_out.is_empty())
}

impl Cut<'_> {
    /// Copies all of `from` into the empty file `to`: what runs over the cut axis is cut, the rest is as it was.
    ///
    /// # Errors
    /// [`Error`](crate::Error) if reading or writing fails.
    pub(super) fn file(&mut self, from: &File, to: &File, place: &Place) -> Result<()> {
        self.attributes(from, to, place)?;
        // What HDF5 copies by itself comes first, into space that is reserved: where a disk fills up during
        // `H5Ocopy`, libhdf5 1.10.8 crashes.
        let mut names = h5::members(from);
        names.sort_by_key(|name| match (name.as_str(), self.axes(name)) {
            ("X" | "layers", _) => 2,
            (_, Some(_)) => 1,
            (_, None) => 0,
        });
        for name in names {
            if let Some(node) = Node::open(from, &name) {
                self.top(&node, to, &name, &place.child(&name))?;
            }
        }
        Ok(())
    }

    /// Copies one of the elements at the top of the file.
    fn top(&mut self, node: &Node, to: &File, name: &str, place: &Place) -> Result<()> {
        let slot = Slot::ALL.into_iter().find(|slot| slot.name() == name);
        let skips = |slot: &Slot| self.skip.iter().any(|(at, _)| at == slot);
        let Some(axes) = self.axes(name) else {
            return match (slot.filter(skips), node) {
                (Some(slot), Node::Group(group)) => self.without(slot, group, to, place),
                _ => self.whole(node, to, name, place),
            };
        };
        match (name, node) {
            ("X" | "raw.X", _) => self.cut(node, to, name, axes, place),
            ("obs" | "var", Node::Group(group)) => self.frame(group, to, name, place),
            ("raw", Node::Group(group)) => self.raw(group, to, axes, place),
            (_, Node::Group(group)) => self.members(group, to, name, axes, place),
            // Tables of records.
            (_, Node::Dataset(dataset)) => self.dataset(dataset, to, name, axes, place),
        }
    }

    /// Which axes of the element `name` at the top of the file are cut; `None` if it stays whole.
    fn axes(&self, name: &str) -> Option<Axes> {
        match (self.axis?, name) {
            (Axis::Genes, "X" | "layers") => Some(Axes::Columns),
            (Axis::Genes, "var" | "varm") | (Axis::Cells, "X" | "layers" | "obs" | "obsm" | "raw" | "raw.X") => {
                Some(Axes::Rows)
            }
            (Axis::Genes, "varp") | (Axis::Cells, "obsp") => Some(Axes::Both),
            _ => None,
        }
    }

    /// `raw` has the cells of the file and genes of its own.
    fn raw(&mut self, group: &Group, to: &Group, axes: Axes, place: &Place) -> Result<()> {
        let copy = self.empty_group(group, to, "raw", place)?;
        for member in h5::members(group) {
            match Node::open(group, &member) {
                Some(node) if member == "X" => self.cut(&node, &copy, &member, axes, &place.child(&member))?,
                Some(node) => self.whole(&node, &copy, &member, &place.child(&member))?,
                None => {}
            }
        }
        Ok(())
    }

    /// Copies an element as HDF5 does it.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if it cannot be read, [`Error::File`](crate::Error::File) if the copy cannot be written.
    fn copied(&self, from: &Location, to: &Group, name: &str, place: &Place) -> Result<()> {
        match from.copy_to(to, name) {
            Err(error) if !raw::a_write_failed() => Err(error).at(place),
            outcome => self.sink.sure(outcome, name),
        }
    }

    /// Copies an element with all that is in it.
    ///
    /// # Errors
    /// As [`Cut::copied`].
    pub(super) fn whole(&self, node: &Node, to: &Group, name: &str, place: &Place) -> Result<()> {
        self.copied(node.location(), to, name, place)?;
        self.mend_references(node, to, name)
    }

    /// Copies the members of a group that are not to be skipped.
    fn without(&self, slot: Slot, group: &Group, to: &File, place: &Place) -> Result<()> {
        let copy = self.empty_group(group, to, slot.name(), place)?;
        for member in h5::members(group) {
            if let Some(node) = Node::open(group, &member).filter(|_| !self.skips(slot, &member)) {
                self.copied(node.location(), &copy, &member, &place.child(&member))?;
            }
        }
        self.mend_frame(&copy, group)
    }

    fn skips(&self, slot: Slot, key: &str) -> bool {
        self.skip.iter().any(|(at, name)| *at == slot && name == key)
    }

    fn members(&mut self, group: &Group, to: &Group, name: &str, axes: Axes, place: &Place) -> Result<()> {
        let copy = self.empty_group(group, to, name, place)?;
        for member in h5::members(group) {
            let replaced = name == Slot::Layers.name() && self.skips(Slot::Layers, &member);
            if let Some(node) = Node::open(group, &member).filter(|_| !replaced) {
                self.cut(&node, &copy, &member, axes, &place.child(&member))?;
            }
        }
        Ok(())
    }

    fn cut(&mut self, node: &Node, to: &Group, name: &str, axes: Axes, place: &Place) -> Result<()> {
        match node {
            Node::Dataset(dataset) => self.dataset(dataset, to, name, axes, place),
            Node::Group(group) => match (node.encoding().as_deref(), axes) {
                (Some("dataframe"), Axes::Rows) => self.frame(group, to, name, place),
                (Some("dataframe"), _) => self.leave_out(place),
                _ => match Matrix::open(node, place.clone()) {
                    Ok(matrix) => self.sparse(group, &matrix, to, name, axes),
                    Err(_) => self.leave_out(place),
                },
            },
        }
    }

    #[allow(clippy::unnecessary_wraps)] // stands where the other ways of cutting stand
    fn leave_out(&mut self, place: &Place) -> Result<()> {
        self.left_out.push(place.name().to_owned());
        Ok(())
    }

    fn frame(&mut self, group: &Group, to: &Group, name: &str, place: &Place) -> Result<()> {
        let copy = self.empty_group(group, to, name, place)?;
        for member in h5::members(group) {
            let here = place.child(&member);
            match Node::open(group, &member) {
                // The labels of legacy categorical columns; they run over neither axis.
                Some(Node::Group(labels)) if member == LEGACY_CATEGORIES => {
                    self.copied(&labels, &copy, &member, &here)?;
                }
                Some(Node::Dataset(column)) => {
                    self.dataset(&column, &copy, &member, Axes::Rows, &here)?;
                }
                Some(Node::Group(column)) => self.column_group(&column, &copy, &member, &here)?,
                None => {}
            }
        }
        self.order_of_those_that_stay(group, &copy)?;
        self.mend_frame(&copy, group)
    }

    /// anndata asks for every column that the order names.
    fn order_of_those_that_stay(&self, frame: &Group, copy: &Group) -> Result<()> {
        let Some(order) = h5::attr_texts(frame, "column-order") else { return Ok(()) };
        let stay: Vec<String> = order.iter().filter(|name| copy.link_exists(name)).cloned().collect();
        if stay.len() < order.len() { self.sink.attr_texts(copy, "column-order", &stay) } else { Ok(()) }
    }

    /// A column of several parts, of which `categories` alone runs over neither axis.
    fn column_group(&mut self, group: &Group, to: &Group, name: &str, place: &Place) -> Result<()> {
        let known = ["categorical", "nullable-integer", "nullable-boolean", "nullable-string-array"];
        match h5::attr_text(group, "encoding-type") {
            Some(encoding) if known.contains(&encoding.as_str()) => {}
            // A slash in the name of a column makes a group of the first half.
            None => return self.frame(group, to, name, place),
            Some(_) => return self.leave_out(place),
        }
        let copy = self.empty_group(group, to, name, place)?;
        for member in h5::members(group) {
            match Node::open(group, &member) {
                Some(node) if member == "categories" => {
                    self.copied(node.location(), &copy, &member, &place.child(&member))?;
                }
                Some(Node::Dataset(part)) => {
                    self.dataset(&part, &copy, &member, Axes::Rows, &place.child(&member))?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A group with the attributes of another.
    ///
    /// # Errors
    /// As [`Cut::file`].
    pub(super) fn empty_group(&self, group: &Group, to: &Group, name: &str, place: &Place) -> Result<Group> {
        let copy = to.create_group_builder().obj_track_times(false).create(name);
        let copy = self.sink.sure(copy, name)?;
        self.attributes(group, &copy, place)?;
        Ok(copy)
    }

    fn dataset(&mut self, dataset: &Dataset, to: &Group, name: &str, axes: Axes, place: &Place) -> Result<()> {
        let shape = dataset.shape();
        let whole = |axis: usize| shape.get(axis) == Some(&self.n);
        let fits = match axes {
            Axes::Rows => whole(0),
            Axes::Columns => shape.len() == 2 && whole(1),
            Axes::Both => shape.len() == 2 && whole(0) && whole(1),
        };
        let descriptor = dataset.dtype().and_then(|stored| stored.to_descriptor());
        let descriptor = descriptor.ok().or_else(|| {
            // Half precision has no descriptor; HDF5 converts it.
            (h5::kind(dataset) == Kind::Float).then(f32::type_descriptor)
        });
        let Some(descriptor) = descriptor.filter(|_| fits) else {
            return self.leave_out(place);
        };
        match (&descriptor, axes) {
            (TypeDescriptor::VarLenUnicode, Axes::Rows) => {
                self.words::<VarLenUnicode>(dataset, to, name, place)?;
            }
            (TypeDescriptor::VarLenAscii, Axes::Rows) => {
                self.words::<VarLenAscii>(dataset, to, name, place)?;
            }
            (kind, _) if raw::holds_addresses(kind) => return self.leave_out(place),
            (TypeDescriptor::Float(FloatSize::U4), Axes::Columns) => {
                self.columns(dataset, to, name, place)?;
            }
            (TypeDescriptor::Float(FloatSize::U4), Axes::Rows)
                if shape.len() == 2 && self.axis == Some(Axis::Cells) =>
            {
                self.rows(dataset, to, name, place)?;
            }
            _ => self.plain(dataset, &descriptor, to, name, axes, place)?,
        }
        let copy = self.sink.sure(to.dataset(name), name)?;
        self.attributes(dataset, &copy, place)
    }
}
