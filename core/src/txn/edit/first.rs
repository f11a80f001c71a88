//! The first put of a document that is not there: nothing to compare with, nothing to clear.
//!
//! Gives the operations that a [`Draft`](super::Draft) comes to for an empty document (a test
//! holds that), in one pass and without a window. What may not be put it leaves to the draft, which
//! says why.

use super::check_place;
use crate::crdt::key::{self, Slot};
use crate::crdt::{Op, Stamp};
use crate::value::{Field, Fields, codec};

/// The operations that make a document of `fields`; `None` if something in it may not be put.
pub(super) fn put(fields: &Fields, stamp: &Stamp) -> Option<Vec<Op>> {
    let mut first = First { stamp, prefix: Vec::new(), ops: Vec::with_capacity(fields.len() + 4) };
    first.map(fields, 0)?;
    Some(first.ops)
}

struct First<'a> {
    stamp: &'a Stamp,
    prefix: Vec<u8>,
    ops: Vec<Op>,
}

impl First<'_> {
    fn map(&mut self, fields: &Fields, depth: usize) -> Option<()> {
        self.put(Slot::MapMarker, Vec::new());
        for (name, field) in fields {
            let len = self.prefix.len();
            key::push_field(&mut self.prefix, name);
            self.field(field, depth + 1)?;
            self.prefix.truncate(len);
        }
        Some(())
    }

    fn field(&mut self, field: &Field, depth: usize) -> Option<()> {
        check_place(depth, self.prefix.len()).ok()?;
        match field {
            Field::Map(fields) => self.map(fields, depth)?,
            Field::Value(value) => {
                let bytes = codec::encode_at(value, depth)?;
                self.put(Slot::Register, bytes);
            }
            Field::Set(elements) => {
                self.put(Slot::SetMarker, Vec::new());
                for element in elements {
                    let bytes = codec::encode_at(element, depth).filter(|_| element.is_scalar())?;
                    let key = key::element(&self.prefix, &bytes);
                    self.ops.push(Op::Put { key, value: Vec::new() });
                }
            }
            Field::Counter(sum) => {
                let key = key::slot(&self.prefix, Slot::Counter);
                let (birth, total) = (self.stamp.dot.seq, i128::from(*sum));
                self.ops.push(Op::Add { key, birth, total, by: *sum, after: None });
            }
        }
        Some(())
    }

    fn put(&mut self, slot: Slot, value: Vec<u8>) {
        self.ops.push(Op::Put { key: key::slot(&self.prefix, slot), value });
    }
}
