//! A document that is begun by one transaction, from its operations straight to its row.
//!
//! Most documents of a load and of a first sync are new, and nothing but put. Then the operations
//! are the cells, and nobody needs to copy them. Says the same as the way over
//! [`Batch`](super::Batch) and [`Row`](super::Row); a test holds that.

use blake3::hazmat::HasherExt;

use super::layout;
use super::op::{Op, Stamp};
use super::places::{self, Kinds};
use super::row::{self, Flags};
use crate::id::{Hash, Origin};
use crate::wire::{put_bytes, put_uint};

/// The operations of the transaction at a stamp on one document, if they are those of a first put.
pub struct Fresh<'a> {
    ops: &'a [Op],
    stamp: &'a Stamp,
}

impl<'a> Fresh<'a> {
    /// `None` unless the first of them makes the document and all are puts, in the order of keys
    /// and one a key.
    pub fn of(ops: &'a [Op], stamp: &'a Stamp) -> Option<Fresh<'a>> {
        let mut last: &[u8] = &[];
        for op in ops {
            match op {
                Op::Put { key, .. } if last < &key[..] => last = key,
                _ => return None,
            }
        }
        let fresh = Fresh { ops, stamp };
        let (first, _) = fresh.puts().next()?;
        super::key::is_marker_of_document(first).then_some(fresh)
    }

    /// Who makes it.
    pub fn origin(&self) -> Origin {
        self.stamp.dot.origin
    }

    fn puts(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.ops.iter().filter_map(|op| match op {
            Op::Put { key, value } => Some((&key[..], &value[..])),
            _ => None,
        })
    }

    /// The size of its cells in the layout.
    pub fn size(&self) -> u64 {
        self.puts().map(|(key, value)| layout::size_of_put(key.len(), value.len())).sum()
    }

    /// What is worth knowing of it.
    pub fn flags(&self) -> Flags {
        places::flags_of(self.puts().map(|(key, _)| (key, Kinds::of_put(key))))
    }

    /// Its row's bytes, as [`Row::encode`](super::Row::encode) gives them, and the row's digest.
    pub fn row(&self, id: &str, flags: Flags, number: u32) -> (Vec<u8>, Hash) {
        let Stamp { dot, time } = self.stamp;
        let bytes: usize = self.puts().map(|(key, value)| key.len() + value.len() + 6).sum();
        let mut out = Vec::with_capacity(32 + bytes);
        out.push(flags.to_byte());
        put_uint(&mut out, 1);
        put_uint(&mut out, u64::from(number));
        put_uint(&mut out, dot.seq);
        out.extend_from_slice(&time.to_bits().to_be_bytes());
        let cells = out.len();
        put_uint(&mut out, self.ops.len() as u64);
        let mut before: &[u8] = &[];
        for (key, value) in self.puts() {
            row::put_key(&mut out, before, key);
            put_uint(&mut out, 0);
            put_bytes(&mut out, value);
            before = key;
        }
        let mut head = Vec::with_capacity(64 + id.len());
        put_bytes(&mut head, id.as_bytes());
        put_uint(&mut head, 1);
        head.extend_from_slice(&dot.origin.to_bytes());
        put_uint(&mut head, dot.seq);
        head.extend_from_slice(&time.to_bits().to_be_bytes());
        let mut hasher = blake3::Hasher::new_from_context_key(&row::CONTENT);
        let digest = hasher.update(&head).update(&out[cells..]).finalize();
        (out, Hash(*digest.as_bytes()))
    }
}
