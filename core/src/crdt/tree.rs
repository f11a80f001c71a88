//! The fields of a document that is in no conflict, built as its cells are read.
//!
//! Where nothing is in conflict there is nothing to choose: each place holds one kind, each
//! register one value. So the fields follow from one pass over the cells in the order of keys, and
//! nobody needs the stamps. Says the same as [`view`] (a test holds that), which
//! knows how to choose. Knows nothing of bytes of rows.

use std::collections::BTreeSet;

use super::cell::CounterRow;
use super::key::{self, Slot, Step};
use super::view;
use crate::value::{Field, Fields};

/// Fields, as far as the cells so far make them.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// The fields on the way to the last cell, as in keys.
    path: Vec<u8>,
    /// What the places on it hold so far, that of the last cell innermost.
    open: Vec<Place>,
    root: Option<Fields>,
}

/// A place that more cells may come to.
#[derive(Debug)]
struct Place {
    /// Where in the path its own part begins.
    start: usize,
    field: Option<Field>,
    /// Of a counter the sum; a field of it is made at the end.
    sum: Option<i128>,
}

impl Tree {
    /// Goes on to a put.
    pub(super) fn put(&mut self, key: &[u8], slot: Slot, value: &[u8]) {
        if slot == Slot::Unknown {
            return;
        }
        let content = self.go_to(key);
        match slot {
            Slot::MapMarker => drop(self.map()),
            Slot::Register => {
                // Siblings have the same value, or there would be a conflict.
                self.field_or(|| Field::Value(view::value(value)));
            }
            Slot::SetMarker => drop(self.set()),
            Slot::Element => {
                if let Some(elements) = self.set() {
                    elements.insert(key::element_value(content));
                }
            }
            Slot::Counter | Slot::Unknown => {}
        }
    }

    /// Goes on to a counter row.
    pub(super) fn count(&mut self, key: &[u8], row: &CounterRow) {
        if row.is_settled() {
            return;
        }
        self.go_to(key);
        if let Some(place) = self.open.last_mut() {
            place.sum = Some(place.sum.unwrap_or(0).saturating_add(row.value()));
        }
    }

    /// The document, if it shows anything.
    pub(super) fn finish(mut self) -> Option<Fields> {
        while !self.open.is_empty() {
            self.close();
        }
        self.root
    }

    /// Leaves the places that the key is not in, and opens those on the way to it. Gives the
    /// content of its slot.
    fn go_to<'k>(&mut self, key: &'k [u8]) -> &'k [u8] {
        while !key.starts_with(&self.path) {
            self.close();
        }
        loop {
            match key::step(key, self.path.len()) {
                Step::Slot(_, content) => return content,
                Step::Field(component) => {
                    self.open.push(Place { start: self.path.len(), field: None, sum: None });
                    self.path.extend_from_slice(component);
                }
            }
        }
    }

    /// Ends the innermost place: it becomes a field of the map around it.
    fn close(&mut self) {
        let Some(Place { start, field, sum }) = self.open.pop() else { return };
        let name = key::field_name(&self.path[start..]);
        self.path.truncate(start);
        if let Some(field) = field.or(sum.map(view::sum)) {
            self.map().map(|fields| fields.insert(name, field));
        }
    }

    /// The field of the innermost place, made by `new` if there is none.
    fn field_or(&mut self, new: impl FnOnce() -> Field) -> Option<&mut Field> {
        self.open.last_mut().map(|place| place.field.get_or_insert_with(new))
    }

    fn map(&mut self) -> Option<&mut Fields> {
        if self.open.is_empty() {
            return Some(self.root.get_or_insert_with(Fields::new));
        }
        match self.field_or(|| Field::Map(Fields::new())) {
            Some(Field::Map(fields)) => Some(fields),
            _ => None,
        }
    }

    fn set(&mut self) -> Option<&mut BTreeSet<crate::value::Value>> {
        match self.field_or(|| Field::Set(BTreeSet::new())) {
            Some(Field::Set(elements)) => Some(elements),
            _ => None,
        }
    }
}
