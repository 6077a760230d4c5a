//! Quantities with their values.

use super::{About, Kind, Quantity, Slot, Value};

/// Quantities with their values, each at most once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values {
    entries: Vec<Entry>,
}

/// One quantity with its values.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    about: &'static About,
    key: String,
    value: Value,
}

impl Values {
    /// Sets a quantity.
    pub fn set<T: Kind>(&mut self, quantity: Quantity<T>, value: T) {
        self.set_named(quantity, quantity.key().to_owned(), value);
    }

    /// Sets a quantity that has no name of its own before it is written, under `key`.
    pub fn set_named<T: Kind>(&mut self, quantity: Quantity<T>, key: String, value: T) {
        let entry = Entry { about: quantity.about(), key, value: value.into_value() };
        match self.at(entry.about.slot, &entry.key) {
            Some(at) => self.entries[at] = entry,
            None => self.entries.push(entry),
        }
    }

    /// The values of a quantity.
    #[must_use]
    pub fn get<T: Kind>(&self, quantity: Quantity<T>) -> Option<&T> {
        self.at(quantity.about().slot, quantity.key()).and_then(|at| T::of(&self.entries[at].value))
    }

    /// The values of a quantity, to change them.
    pub fn get_mut<T: Kind>(&mut self, quantity: Quantity<T>) -> Option<&mut T> {
        let at = self.at(quantity.about().slot, quantity.key())?;
        T::of_mut(&mut self.entries[at].value)
    }

    /// Takes a quantity out.
    pub fn take<T: Kind>(&mut self, quantity: Quantity<T>) -> Option<T> {
        let at = self.at(quantity.about().slot, quantity.key())?;
        T::from_value(self.entries.remove(at).value)
    }

    /// Takes out all quantities of which `keep` is false, and returns their places and names.
    pub fn retain(&mut self, keep: impl Fn(&'static About, &str) -> bool) -> Vec<(Slot, String)> {
        let (kept, dropped) =
            std::mem::take(&mut self.entries).into_iter().partition(|entry| keep(entry.about, &entry.key));
        self.entries = kept;
        dropped.into_iter().map(|entry: Entry| (entry.about.slot, entry.key)).collect()
    }

    /// What there is, in the order in which it was set: what is known of it, its name in the file, its values.
    pub fn iter(&self) -> impl Iterator<Item = (&'static About, &str, &Value)> {
        self.entries.iter().map(|entry| (entry.about, entry.key.as_str(), &entry.value))
    }

    fn at(&self, slot: Slot, key: &str) -> Option<usize> {
        self.entries.iter().position(|entry| entry.about.slot == slot && entry.key == key)
    }
}
