//! The mask: other content of the same shape.
//!
//! Keyed by a secret that is thrown away: the same text becomes the same other text of as many
//! characters and bytes, wherever it stands (an id, a field's name, a value that names an id); different
//! ones stay different. Numbers become others of the same sign and encoded size, bytes others of the
//! same length; times and timestamps move by the same span, so their order stays. Left as they
//! are: null, true and false, and how much is added to counters.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::clock::Timestamp;
use crate::crdt::key::{self, Slot, Step, field_name, step};
use crate::crdt::{Addition, Body, Cell, CounterRow, Op, Row, Stamp};
use crate::id::{Dot, NodeId, Origin};
use crate::txn::NodeKey;
use crate::value::{Value, codec};

/// Texts shorter than this may by chance become the same, and are remembered so that they don't.
const SHORT_BYTES: usize = 12;
/// How often a text that was taken is drawn again before it gets longer.
const DRAWS: u32 = 64;
const LETTERS: &[u8; 62] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// Replaces content by other content.
pub(super) struct Mask {
    secret: [u8; 32],
    /// Short ones, by what they were.
    known: HashMap<Vec<u8>, Vec<u8>>,
    taken: HashSet<Vec<u8>>,
    nodes: BTreeMap<NodeId, NodeKey>,
    back_ms: u64,
}

impl Mask {
    pub(super) fn new(secret: [u8; 32]) -> Mask {
        let lot = blake3::keyed_hash(&secret, b"time");
        let lot = u32::from_be_bytes(*lot.as_bytes().first_chunk().expect("32 bytes"));
        // Some hours to some hundred days.
        let back_ms = 3_600_000 + u64::from(lot) * 8;
        let (known, taken) = (HashMap::new(), HashSet::new());
        Mask { secret, known, taken, nodes: BTreeMap::new(), back_ms }
    }

    fn stream(&self, what: u8, bytes: &[u8], draw: u32) -> blake3::OutputReader {
        let mut hasher = blake3::Hasher::new_keyed(&self.secret);
        hasher.update(&[what]);
        hasher.update(&draw.to_be_bytes());
        hasher.update(bytes);
        hasher.finalize_xof()
    }

    /// The key of the node that stands for another.
    pub(super) fn key(&mut self, node: &NodeId) -> &NodeKey {
        let mut seed = [0; 32];
        self.stream(0, node.as_bytes(), 0).fill(&mut seed);
        self.nodes.entry(*node).or_insert_with(|| NodeKey::from_seed(seed))
    }

    pub(super) fn origin(&mut self, origin: Origin) -> Origin {
        let node = self.key(&origin.node).id();
        let incarnation = match origin.incarnation {
            0 => 0,
            drawn => {
                let mut lot = [0; 4];
                self.stream(1, &drawn.to_be_bytes(), 0).fill(&mut lot);
                (u32::from_be_bytes(lot) & Origin::LAST_INCARNATION).max(1)
            }
        };
        Origin { node, incarnation }
    }

    pub(super) fn dot(&mut self, dot: Dot) -> Dot {
        Dot { origin: self.origin(dot.origin), seq: dot.seq }
    }

    pub(super) fn time(&self, time: Timestamp) -> Timestamp {
        Timestamp::from_bits(time.to_bits().saturating_sub(self.back_ms << 16))
    }

    pub(super) fn stamp(&mut self, stamp: Stamp) -> Stamp {
        Stamp { dot: self.dot(stamp.dot), time: self.time(stamp.time) }
    }

    pub(super) fn text(&mut self, text: &str) -> String {
        let draw = |mask: &Mask, draw: u32| {
            let mut stream = mask.stream(2, text.as_bytes(), draw);
            let mut lot = || {
                let mut lot = [0; 2];
                stream.fill(&mut lot);
                u32::from(u16::from_be_bytes(lot))
            };
            let mut other: String = text.chars().map(|c| other_char(c, lot())).collect();
            (0..draw / DRAWS).for_each(|_| other.push(other_char('a', lot())));
            other.into_bytes()
        };
        let other = self.distinct(2, text.as_bytes(), draw);
        String::from_utf8(other).expect("it was made of characters")
    }

    fn bytes(&mut self, bytes: &[u8]) -> Vec<u8> {
        let draw = |mask: &Mask, draw: u32| {
            let mut other = vec![0; bytes.len() + (draw / DRAWS) as usize];
            mask.stream(3, bytes, draw).fill(&mut other);
            other
        };
        self.distinct(3, bytes, draw)
    }

    /// What stands for `bytes`: of short ones, nothing that stands for something else.
    fn distinct(
        &mut self,
        what: u8,
        bytes: &[u8],
        draw: impl Fn(&Mask, u32) -> Vec<u8>,
    ) -> Vec<u8> {
        if bytes.is_empty() {
            return Vec::new();
        }
        if bytes.len() >= SHORT_BYTES {
            return draw(self, 0);
        }
        let name = [&[what], bytes].concat();
        if let Some(known) = self.known.get(&name) {
            return known.clone();
        }
        let mut number = 0;
        loop {
            let other = draw(self, number);
            if other != bytes && self.taken.insert([&[what][..], &other].concat()) {
                self.known.insert(name, other.clone());
                return other;
            }
            number += 1;
        }
    }

    pub(super) fn value(&mut self, value: &Value) -> Value {
        match value {
            Value::Null | Value::Bool(_) => value.clone(),
            Value::Int(n) if *n >= 0 => self.unsigned(*n as u64),
            Value::UInt(n) => self.unsigned(*n),
            Value::Int(n) => Value::Int(self.negative(*n)),
            Value::Float(x) => Value::Float(self.float(*x)),
            Value::Text(text) => Value::from(self.text(text)),
            Value::Bytes(bytes) => Value::Bytes(self.bytes(bytes)),
            Value::Time(micros) => Value::Time(micros.saturating_sub((self.back_ms * 1000) as i64)),
            Value::Array(items) => {
                Value::Array(items.iter().map(|item| self.value(item)).collect())
            }
            Value::Object(members) => {
                let members =
                    members.iter().map(|(name, item)| (self.text(name), self.value(item)));
                Value::Object(members.collect())
            }
            Value::Opaque { kind, bytes } => {
                Value::Opaque { kind: *kind, bytes: self.bytes(bytes) }
            }
        }
    }

    /// A number of the same encoded size.
    fn unsigned(&self, n: u64) -> Value {
        let sizes = [(0, 0x7f), (0x80, 0xff), (0x100, 0xffff), (0x1_0000, 0xffff_ffff)];
        let size = sizes.into_iter().find(|(_, high)| n <= *high);
        let n = self.within(n, size.unwrap_or((0x1_0000_0000, u64::MAX)));
        i64::try_from(n).map_or(Value::UInt(n), Value::Int)
    }

    fn negative(&self, n: i64) -> i64 {
        let magnitude = n.unsigned_abs();
        let sizes = [(1, 0x20), (0x21, 0x80), (0x81, 0x8000), (0x8001, 0x8000_0000)];
        let size = sizes.into_iter().find(|(_, high)| magnitude <= *high);
        let magnitude = self.within(magnitude, size.unwrap_or((0x8000_0001, 1 << 63)));
        0i64.wrapping_sub_unsigned(magnitude)
    }

    fn float(&self, x: f64) -> f64 {
        let mut bits = x.to_bits();
        loop {
            bits = self.shuffle(bits, 64);
            let other = f64::from_bits(bits);
            if other.is_finite() && bits != (-0.0f64).to_bits() {
                return other;
            }
        }
    }

    /// Another number of a range; each has its own.
    fn within(&self, n: u64, (low, high): (u64, u64)) -> u64 {
        let span = high - low;
        let bits = (64 - span.leading_zeros()).max(1);
        let mut at = n - low;
        loop {
            at = self.shuffle(at, bits);
            if at <= span {
                return low + at;
            }
        }
    }

    /// A permutation of the numbers of `bits` bits.
    fn shuffle(&self, mut n: u64, bits: u32) -> u64 {
        let all = u64::MAX >> (64 - bits);
        for round in 0..4u8 {
            let mut lots = [0; 16];
            self.stream(4, &[round, bits as u8], 0).fill(&mut lots);
            let (odd, more) = lots.split_at(8);
            let number = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().expect("8 bytes"));
            n = n.wrapping_mul(number(odd) | 1).wrapping_add(number(more)) & all;
            n ^= n >> (bits / 2).max(1);
        }
        n
    }

    /// The canonical bytes of another value. What can't be read is of a later version: other bytes.
    fn value_bytes(&mut self, bytes: &[u8]) -> Vec<u8> {
        match codec::decode(bytes) {
            Ok(value) => {
                let mut other = Vec::new();
                codec::encode(&self.value(&value), &mut other);
                other
            }
            Err(_) => self.bytes(bytes),
        }
    }

    /// A key, or the prefix of some.
    fn key_bytes(&mut self, key: &[u8]) -> Vec<u8> {
        let (mut other, mut at) = (Vec::with_capacity(key.len()), 0);
        while at < key.len() {
            match step(key, at) {
                Step::Field(component) => {
                    let name = self.text(&field_name(component));
                    key::push_field(&mut other, &name);
                    at += component.len();
                }
                Step::Slot(slot, content) => {
                    other.push(key[at]);
                    match slot {
                        Slot::Element if !content.is_empty() => {
                            other.extend(self.value_bytes(content));
                        }
                        Slot::Unknown => other.extend(self.bytes(content)),
                        _ => {}
                    }
                    break;
                }
            }
        }
        other
    }

    pub(super) fn op(&mut self, op: &Op) -> Op {
        match op {
            Op::Put { key, value } => {
                let value = if value.is_empty() { Vec::new() } else { self.value_bytes(value) };
                Op::Put { key: self.key_bytes(key), value }
            }
            Op::Clear { prefix, upto } => {
                let mut upto: Vec<Dot> = upto.iter().map(|dot| self.dot(*dot)).collect();
                upto.sort_unstable();
                Op::Clear { prefix: self.key_bytes(prefix), upto }
            }
            Op::Add { key, birth, total, by, after } => {
                let key = self.key_bytes(key);
                let after = after.map(|after| Addition { time: self.time(after.time), ..after });
                Op::Add { key, birth: *birth, total: *total, by: *by, after }
            }
            Op::Continue { .. } => op.clone(),
            Op::Settle { key, row, seq, total } => {
                let row = self.dot(*row);
                Op::Settle { key: self.key_bytes(key), row, seq: *seq, total: *total }
            }
        }
    }

    pub(super) fn row(&mut self, row: &Row) -> Row {
        let cells = row.cells().iter().map(|cell| {
            let body = match &cell.body {
                Body::Put(value) if value.is_empty() => Body::Put(Vec::new()),
                Body::Put(value) => Body::Put(self.value_bytes(value)),
                Body::Counter(row) => {
                    let by = row.settled_by.iter();
                    let settled_by = by.map(|(dot, upto)| (self.dot(*dot), *upto)).collect();
                    let time = self.time(row.time);
                    Body::Counter(Box::new(CounterRow { time, settled_by, ..(**row).clone() }))
                }
            };
            Cell { key: self.key_bytes(&cell.key), stamp: self.stamp(cell.stamp), body }
        });
        Row::from_cells(cells.collect())
    }
}

/// Another character of as many bytes.
fn other_char(c: char, lot: u32) -> char {
    let other = match c.len_utf8() {
        1 => return char::from(LETTERS[lot as usize % LETTERS.len()]),
        2 => 0x0410 + lot % 64,
        3 => 0x4e00 + lot % 0x4000,
        _ => 0x1f300 + lot % 0x100,
    };
    char::from_u32(other).unwrap_or('?')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_keep_their_size_and_stay_different() {
        let mask = Mask::new([1; 32]);
        for (low, high) in [(0u64, 127), (128, 255), (256, 4000), (65_536, 70_000)] {
            let others: HashSet<u64> = (low..=high)
                .map(|n| match mask.unsigned(n) {
                    Value::Int(n) => n as u64,
                    other => panic!("{other:?}"),
                })
                .collect();
            assert_eq!(others.len() as u64, high - low + 1);
            assert!(others.iter().all(|n| *n >= low && *n >> 7 <= high >> 7 || *n > 255));
        }
        let others: HashSet<i64> = (-128..0).map(|n| mask.negative(n)).collect();
        assert!(others.len() == 128 && others.iter().all(|n| (-128..0).contains(n)));
        assert!(mask.negative(i64::MIN) < -(1 << 31));
    }

    #[test]
    fn short_texts_stay_different_however_many_there_are() {
        let mut mask = Mask::new([2; 32]);
        let texts: Vec<String> = (0u8..128).map(|byte| char::from(byte).to_string()).collect();
        let others: HashSet<String> = texts.iter().map(|text| mask.text(text)).collect();
        assert_eq!(others.len(), texts.len());
    }

    proptest! {
        #[test]
        fn texts_keep_characters_and_bytes_and_are_others(text in ".{0,20}") {
            let mut mask = Mask::new([3; 32]);
            let other = mask.text(&text);
            prop_assert_eq!(other.len(), text.len());
            prop_assert_eq!(other.chars().count(), text.chars().count());
            prop_assert!(text.is_empty() || other != text);
            prop_assert_eq!(mask.text(&text), other);
        }

        #[test]
        fn floats_stay_finite(x in any::<f64>()) {
            prop_assume!(x.is_finite());
            let other = Mask::new([4; 32]).float(x);
            prop_assert!(other.is_finite());
        }
    }
}
