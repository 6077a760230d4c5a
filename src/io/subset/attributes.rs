//! Attributes in a copy, and the references that HDF5 blanks when it copies between files.

use hdf5::types::TypeDescriptor;
use hdf5::{Group, Location, ObjectReference1};

use super::Cut;
use crate::error::Result;
use crate::io::frame::{self, LEGACY_CATEGORIES};
use crate::io::h5::{self, Node};
use crate::io::place::{At, Place};
use crate::io::raw;

impl Cut<'_> {
    pub(in crate::io) fn attributes(&self, from: &Location, to: &Location, place: &Place) -> Result<()> {
        self.attributes_except(from, to, &[], place)
    }

    /// Copies attributes that are words or numbers; references are mended elsewhere.
    pub(in crate::io) fn attributes_except(
        &self,
        from: &Location,
        to: &Location,
        skip: &[&str],
        place: &Place,
    ) -> Result<()> {
        for name in from.attr_names().at(place)? {
            if skip.contains(&name.as_str()) || to.attr(&name).is_ok() {
                continue;
            }
            let source = from.attr(&name).at(place)?;
            let Ok(kind) = source.dtype().and_then(|stored| stored.to_descriptor()) else {
                continue;
            };
            if let TypeDescriptor::VarLenAscii | TypeDescriptor::VarLenUnicode = kind {
                let words = h5::texts(&source).at(place)?;
                match (source.ndim(), words.first()) {
                    (0, Some(word)) => self.sink.attr_text(to, &name, word)?,
                    (0, None) => {}
                    _ => self.sink.attr_texts(to, &name, &words)?,
                }
            } else if !raw::holds_addresses(&kind) {
                let bytes = raw::read_bytes(&source, &kind).at(place)?;
                // Of an attribute without a value, too, which has no shape.
                let extents = source.space().and_then(|space| space.extents()).at(place)?;
                let copy = to.new_attr_builder().empty_as(kind.clone()).shape(extents).create(name.as_str());
                let copy = self.sink.sure(copy, &name)?;
                self.sink.sure(raw::write_bytes(&copy, &kind, &bytes), &name)?;
            }
        }
        Ok(())
    }

    /// HDF5 blanks object references when it copies between files: points legacy columns at their labels again.
    pub(super) fn mend_references(&self, from: &Node, to: &Group, name: &str) -> Result<()> {
        match (from, to.group(name)) {
            (Node::Group(source), Ok(copy)) if source.link_exists(LEGACY_CATEGORIES) => self.mend_frame(&copy, source),
            _ => Ok(()),
        }
    }

    pub(in crate::io) fn mend_frame(&self, copy: &Group, source: &Group) -> Result<()> {
        if !source.link_exists(LEGACY_CATEGORIES) {
            return Ok(());
        }
        // Columns that were not copied have nothing to mend.
        for name in h5::members(source).into_iter().filter(|name| copy.link_exists(name)) {
            let Some(Node::Dataset(column)) = Node::open(source, &name) else {
                continue;
            };
            let Some(labels) = frame::legacy_categories(source, &name, &column) else {
                continue;
            };
            let labels_name = labels.name();
            let own_name = labels_name.rsplit('/').next().unwrap_or(&name);
            let place = format!("{LEGACY_CATEGORIES}/{own_name}");
            let outcome = copy.dataset(&name).and_then(|column| {
                if column.attr("categories").is_ok() {
                    column.delete_attr("categories")?;
                }
                let reference: ObjectReference1 = copy.reference(&place)?;
                column.new_attr::<ObjectReference1>().create("categories")?.write_scalar(&reference)
            });
            self.sink.sure(outcome, &name)?;
        }
        Ok(())
    }
}
