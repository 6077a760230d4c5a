//! A copy of a file without some of its elements, and cut to some of its genes if that is asked for.

mod attributes;
mod dense;
mod sparse;

use hdf5::types::{FloatSize, TypeDescriptor, VarLenAscii, VarLenUnicode};
use hdf5::{Dataset, File, Group, H5Type};

use super::element::Sink;
use super::frame::LEGACY_CATEGORIES;
use super::h5::{self, Kind, Node};
use super::matrix::Matrix;
use super::place::Place;
use super::raw;
use crate::data::quantities::Slot;
use crate::error::Result;

/// Which axes of an element run over genes.
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
    /// Whether the copy has the `genes` only.
    pub(super) only_genes: bool,
    /// Positions of the genes that stay, rising.
    pub(super) genes: &'a [usize],
    /// Number of genes in the source.
    pub(super) n_vars: usize,
    /// Elements that are not copied.
    pub(super) skip: &'a [(Slot, String)],
    /// Elements that could not be cut and were left out, for the reader to know.
    pub(super) left_out: Vec<String>,
}

impl Cut<'_> {
    /// Copies all of `from` into the empty file `to`: what runs over genes is cut, the rest is as it was.
    ///
    /// # Errors
    /// [`Error`](crate::Error) if reading or writing fails.
    pub(super) fn file(&mut self, from: &File, to: &File, place: &Place) -> Result<()> {
        self.attributes(from, to, place)?;
        // What HDF5 copies by itself comes first, into space that is reserved: where a disk fills up during
        // `H5Ocopy`, libhdf5 1.10.8 crashes.
        let mut names = h5::members(from);
        names.sort_by_key(|name| match name.as_str() {
            "X" | "layers" => 2,
            "var" | "varm" | "varp" => 1,
            _ => 0,
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
        if !self.only_genes || matches!(name, "obs" | "obsm" | "obsp" | "uns") {
            return match (slot.filter(skips), node) {
                (Some(slot), Node::Group(group)) => self.without(slot, group, to, place),
                _ => self.whole(node, to, name),
            };
        }
        match (name, node) {
            ("X", _) => self.cut(node, to, name, Axes::Columns, place),
            ("layers", Node::Group(group)) => self.members(group, to, name, Axes::Columns, place),
            ("varm", Node::Group(group)) => self.members(group, to, name, Axes::Rows, place),
            ("varp", Node::Group(group)) => self.members(group, to, name, Axes::Both, place),
            ("var", Node::Group(group)) => self.frame(group, to, name, place),
            // Tables of records.
            ("var" | "varm", Node::Dataset(dataset)) => self.dataset(dataset, to, name, Axes::Rows, place),
            _ => self.whole(node, to, name),
        }
    }

    fn whole(&self, node: &Node, to: &Group, name: &str) -> Result<()> {
        self.sink.sure(node.location().copy_to(to, name), name)?;
        self.mend_references(node, to, name)
    }

    /// Copies the members of a group that are not to be skipped.
    fn without(&self, slot: Slot, group: &Group, to: &File, place: &Place) -> Result<()> {
        let copy = self.empty_group(group, to, slot.name(), place)?;
        for member in h5::members(group) {
            if let Some(node) = Node::open(group, &member).filter(|_| !self.skips(slot, &member)) {
                self.sink.sure(node.location().copy_to(&copy, &member), &member)?;
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
            let replaced = matches!(axes, Axes::Columns) && self.skips(Slot::Layers, &member);
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
                // The labels of legacy categorical columns; they do not run over genes.
                Some(Node::Group(labels)) if member == LEGACY_CATEGORIES => {
                    self.sink.sure(labels.copy_to(&copy, &member), &member)?;
                }
                Some(Node::Dataset(column)) => {
                    self.dataset(&column, &copy, &member, Axes::Rows, &here)?;
                }
                Some(Node::Group(column)) => self.column_group(&column, &copy, &member, &here)?,
                None => {}
            }
        }
        self.mend_frame(&copy, group)
    }

    /// A column of several parts, of which `categories` alone does not run over genes.
    fn column_group(&mut self, group: &Group, to: &Group, name: &str, place: &Place) -> Result<()> {
        let known = ["categorical", "nullable-integer", "nullable-boolean", "nullable-string-array"];
        let encoding = h5::attr_text(group, "encoding-type").unwrap_or_default();
        if !known.contains(&encoding.as_str()) {
            return self.leave_out(place);
        }
        let copy = self.empty_group(group, to, name, place)?;
        for member in h5::members(group) {
            match Node::open(group, &member) {
                Some(node) if member == "categories" => {
                    self.sink.sure(node.location().copy_to(&copy, &member), &member)?;
                }
                Some(Node::Dataset(part)) => {
                    self.dataset(&part, &copy, &member, Axes::Rows, &place.child(&member))?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn empty_group(&self, group: &Group, to: &Group, name: &str, place: &Place) -> Result<Group> {
        let copy = to.create_group_builder().obj_track_times(false).create(name);
        let copy = self.sink.sure(copy, name)?;
        self.attributes(group, &copy, place)?;
        Ok(copy)
    }

    fn dataset(&mut self, dataset: &Dataset, to: &Group, name: &str, axes: Axes, place: &Place) -> Result<()> {
        let shape = dataset.shape();
        let n_vars = |axis: usize| shape.get(axis) == Some(&self.n_vars);
        let fits = match axes {
            Axes::Rows => n_vars(0),
            Axes::Columns => shape.len() == 2 && n_vars(1),
            Axes::Both => shape.len() == 2 && n_vars(0) && n_vars(1),
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
            _ => self.plain(dataset, &descriptor, to, name, axes, place)?,
        }
        let copy = self.sink.sure(to.dataset(name), name)?;
        self.attributes(dataset, &copy, place)
    }
}
