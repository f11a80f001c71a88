//! A document's state: its live puts and counter rows, in the order of their keys.
//!
//! Rule 4 of the replication algebra: a dot that the collection's vector covers and the row
//! lacks is dead; so there are no tombstones, and the row is a function of the vector.
//! Invariants: cells are sorted by key, then dot; no two share both; a row's bytes are
//! canonical but for the numbers that stand for origins. A row knows nothing of its id,
//! of other documents or of where it is stored.
//!
//! Bytes of a row:
//!
//! | part | bytes |
//! | --- | --- |
//! | flags | 1: bit 0 shown, bit 1 in conflict |
//! | stamps | count; each: origin number, seq, time (8, big-endian); sorted by origin, seq, time |
//! | cells | count; each: length shared with the key before, rest of the key, number of its stamp, body |
//! | body of a put | the value |
//! | body of a counter row | seq, time (8), total, settled seq, base, count of settlings; each: number of an origin, seq, settled seq |

use std::collections::BTreeMap;

use super::key::{self, Slot};
use super::op::{Op, Stamp};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::id::{Dot, Hash, Origin, Seq};
use crate::wire::{Reader, put_bytes, put_int, put_uint};

const SHOWN: u8 = 1;
const IN_CONFLICT: u8 = 2;

/// The cells of one document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Row {
    cells: Vec<Cell>,
}

/// One live put or one counter row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// Where in the document.
    pub key: Vec<u8>,
    /// The transaction that wrote it; of a counter row, the one that began it.
    pub stamp: Stamp,
    /// What it holds.
    pub body: Body,
}

/// What a cell holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The canonical bytes of a register's value; empty for markers and elements.
    Put(Vec<u8>),
    /// A counter row.
    Counter(CounterRow),
}

/// What one origin added to a counter since the row's birth, and what of that was zeroed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CounterRow {
    /// The origin's newest transaction that added.
    pub seq: Seq,
    /// Its time.
    pub time: Timestamp,
    /// The sum added.
    pub total: i128,
    /// Up to which transaction of the origin the row was seen when it was zeroed; 0 if never.
    pub settled_seq: Seq,
    /// The total seen then.
    pub base: i128,
    /// Who zeroed all of it, and up to which transaction of the origin. An honest author names
    /// the newest that added; who names a later one must not hide the others, or replicas
    /// would part over when the row goes.
    pub settled_by: BTreeMap<Dot, Seq>,
}

impl CounterRow {
    /// Whether everything in it was zeroed.
    pub fn is_settled(&self) -> bool {
        self.seq <= self.settled_seq
    }

    /// What it adds to the counter.
    pub fn value(&self) -> i128 {
        if self.is_settled() { 0 } else { self.total.saturating_sub(self.base) }
    }
}

impl Cell {
    /// What kind of cell it is.
    pub fn slot(&self) -> Slot {
        let mut at = 0;
        loop {
            match key::step(&self.key, at) {
                key::Step::Field(component) => at += component.len(),
                key::Step::Slot(slot, _) => return slot,
            }
        }
    }

    /// Whether it takes part in what is shown.
    pub(crate) fn is_live(&self) -> bool {
        match &self.body {
            Body::Put(_) => true,
            Body::Counter(row) => !row.is_settled(),
        }
    }
}

/// What an operation did to the counter rows, for those who keep an index of settled ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The counter's key.
    pub key: Vec<u8>,
    /// The row.
    pub row: Dot,
}

impl Row {
    /// A row of these cells, in any order; of two with one key and dot, one.
    pub fn from_cells(mut cells: Vec<Cell>) -> Row {
        cells.sort_by(|a, b| a.key.cmp(&b.key).then_with(|| a.stamp.dot.cmp(&b.stamp.dot)));
        cells.dedup_by(|a, b| a.key == b.key && a.stamp.dot == b.stamp.dot);
        Row { cells }
    }

    /// The cells, in order.
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// Whether there is nothing left, so that the row need not be stored.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// The cells at or below `prefix`.
    pub fn under(&self, prefix: &[u8]) -> &[Cell] {
        &self.cells[self.range(prefix)]
    }

    fn range(&self, prefix: &[u8]) -> std::ops::Range<usize> {
        let start = self.cells.partition_point(|cell| cell.key.as_slice() < prefix);
        let len = self.cells[start..].partition_point(|cell| cell.key.starts_with(prefix));
        start..start + len
    }

    fn find(&self, key: &[u8], dot: &Dot) -> Result<usize, usize> {
        self.cells.binary_search_by(|cell| {
            cell.key.as_slice().cmp(key).then_with(|| cell.stamp.dot.cmp(dot))
        })
    }

    /// Applies one operation of the transaction at `stamp`. Applying it again changes nothing.
    /// Gives the counter row that it settled in full, if it did.
    pub fn apply(&mut self, op: &Op, stamp: &Stamp) -> Option<Settled> {
        match op {
            Op::Put { key, value } => {
                let cell = Cell { key: key.clone(), stamp: *stamp, body: Body::Put(value.clone()) };
                match self.find(key, &stamp.dot) {
                    Ok(at) => self.cells[at] = cell,
                    Err(at) => self.cells.insert(at, cell),
                }
                None
            }
            Op::Clear { prefix, upto } => {
                self.clear(prefix, upto);
                None
            }
            Op::Add { key, birth, total, .. } => {
                self.add(key, *birth, *total, stamp);
                None
            }
            Op::Settle { key, row, seq, total } => self.settle(key, row, *seq, *total, stamp.dot),
        }
    }

    fn clear(&mut self, prefix: &[u8], upto: &[Dot]) {
        let range = self.range(prefix);
        let killed = |cell: &Cell| {
            matches!(cell.body, Body::Put(_))
                && upto.iter().any(|seen| {
                    seen.origin == cell.stamp.dot.origin && cell.stamp.dot.seq <= seen.seq
                })
        };
        if self.cells[range.clone()].iter().any(killed) {
            let mut tail = self.cells.split_off(range.start);
            let rest = tail.split_off(range.len());
            self.cells.extend(tail.into_iter().filter(|cell| !killed(cell)));
            self.cells.extend(rest);
        }
    }

    fn add(&mut self, key: &[u8], birth: Seq, total: i128, stamp: &Stamp) {
        let born = Dot { origin: stamp.dot.origin, seq: birth };
        match self.find(key, &born) {
            Ok(at) => {
                if let Body::Counter(row) = &mut self.cells[at].body {
                    (row.seq, row.time, row.total) = (stamp.dot.seq, stamp.time, total);
                    row.settled_by.retain(|_, upto| *upto >= row.seq);
                }
            }
            // Its author adds to a row that it has seen settled, and that so is gone everywhere.
            Err(_) if birth != stamp.dot.seq => {}
            Err(at) => {
                let row = CounterRow {
                    seq: stamp.dot.seq,
                    time: stamp.time,
                    total,
                    settled_seq: 0,
                    base: 0,
                    settled_by: BTreeMap::new(),
                };
                let stamp = Stamp { dot: born, time: stamp.time };
                self.cells.insert(at, Cell { key: key.to_vec(), stamp, body: Body::Counter(row) });
            }
        }
    }

    /// A row that is covered and absent was settled and is gone already.
    fn settle(
        &mut self,
        key: &[u8],
        born: &Dot,
        seq: Seq,
        total: i128,
        by: Dot,
    ) -> Option<Settled> {
        let at = self.find(key, born).ok()?;
        let Body::Counter(row) = &mut self.cells[at].body else { return None };
        (row.settled_seq, row.base) = (row.settled_seq, row.base).max((seq, total));
        if seq >= row.seq {
            let upto = row.settled_by.entry(by).or_insert(seq);
            *upto = seq.max(*upto);
        }
        row.is_settled().then(|| Settled { key: key.to_vec(), row: *born })
    }

    /// Removes a counter row if it is settled by a transaction that `seen` knows.
    pub fn drop_settled(&mut self, key: &[u8], born: &Dot, seen: impl Fn(&Dot) -> bool) {
        let row = self.counter_row(key, born);
        if row.is_some_and(|row| row.is_settled() && row.settled_by.keys().any(seen)) {
            self.cells.retain(|cell| cell.key != key || cell.stamp.dot != *born);
        }
    }

    /// Whether the counter row is here, with everything in it zeroed.
    pub fn is_settled(&self, key: &[u8], born: &Dot) -> bool {
        self.counter_row(key, born).is_some_and(CounterRow::is_settled)
    }

    /// The counter rows here with everything in them zeroed.
    pub fn settled(&self) -> Vec<Settled> {
        let settled = |cell: &&Cell| matches!(&cell.body, Body::Counter(row) if row.is_settled());
        let name = |cell: &Cell| Settled { key: cell.key.clone(), row: cell.stamp.dot };
        self.cells.iter().filter(settled).map(name).collect()
    }

    fn counter_row(&self, key: &[u8], born: &Dot) -> Option<&CounterRow> {
        match &self.cells[self.find(key, born).ok()?].body {
            Body::Counter(row) => Some(row),
            Body::Put(_) => None,
        }
    }

    /// The origins that the row names, in no order and perhaps more than once.
    pub fn origins(&self) -> impl Iterator<Item = Origin> {
        let settlers = |cell: &Cell| match &cell.body {
            Body::Counter(row) => row.settled_by.keys().map(|dot| dot.origin).collect(),
            Body::Put(_) => Vec::new(),
        };
        self.cells
            .iter()
            .flat_map(move |cell| std::iter::once(cell.stamp.dot.origin).chain(settlers(cell)))
    }

    /// Of each origin the newest transaction with a cell here.
    pub fn seen(&self) -> BTreeMap<Origin, Seq> {
        let mut seen = BTreeMap::new();
        for cell in &self.cells {
            let newest = match &cell.body {
                Body::Put(_) => cell.stamp.dot.seq,
                Body::Counter(row) => row.seq.max(cell.stamp.dot.seq),
            };
            let entry = seen.entry(cell.stamp.dot.origin).or_insert(newest);
            *entry = newest.max(*entry);
        }
        seen
    }

    /// The bytes of this row, with `number_of` giving the number that stands for an origin.
    pub fn encode(&self, flags: Flags, mut number_of: impl FnMut(&Origin) -> u32) -> Vec<u8> {
        let stamps = self.stamps();
        let mut out = Vec::with_capacity(64 + 24 * self.cells.len());
        out.push(flags.to_byte());
        put_uint(&mut out, stamps.len() as u64);
        for stamp in &stamps {
            put_uint(&mut out, u64::from(number_of(&stamp.dot.origin)));
            put_uint(&mut out, stamp.dot.seq);
            out.extend_from_slice(&stamp.time.to_bits().to_be_bytes());
        }
        self.encode_cells(&stamps, &mut out, |origin, out| {
            put_uint(out, u64::from(number_of(origin)));
        });
        out
    }

    /// A hash of the row's content that is the same on every replica: key, dot, time, kind,
    /// value and counter rows of each cell, and the document's id.
    pub fn digest(&self, id: &str) -> Hash {
        let stamps = self.stamps();
        let mut out = Vec::with_capacity(128 + 24 * self.cells.len());
        put_bytes(&mut out, id.as_bytes());
        put_uint(&mut out, stamps.len() as u64);
        for stamp in &stamps {
            out.extend_from_slice(&stamp.dot.origin.to_bytes());
            put_uint(&mut out, stamp.dot.seq);
            out.extend_from_slice(&stamp.time.to_bits().to_be_bytes());
        }
        self.encode_cells(&stamps, &mut out, |origin, out| out.extend(origin.to_bytes()));
        Hash(blake3::derive_key("littoral v1 row", &out))
    }

    /// The distinct stamps, sorted by dot and time.
    fn stamps(&self) -> Vec<Stamp> {
        let Some(first) = self.cells.first() else { return Vec::new() };
        if self.cells.iter().all(|cell| cell.stamp == first.stamp) {
            return vec![first.stamp];
        }
        let mut stamps: Vec<Stamp> = self.cells.iter().map(|cell| cell.stamp).collect();
        stamps.sort_unstable_by_key(|stamp| (stamp.dot, stamp.time));
        stamps.dedup();
        stamps
    }

    fn encode_cells(
        &self,
        stamps: &[Stamp],
        out: &mut Vec<u8>,
        mut put_origin: impl FnMut(&Origin, &mut Vec<u8>),
    ) {
        put_uint(out, self.cells.len() as u64);
        let mut before: &[u8] = &[];
        for cell in &self.cells {
            let shared = before.iter().zip(&cell.key).take_while(|(a, b)| a == b).count();
            put_uint(out, shared as u64);
            put_bytes(out, &cell.key[shared..]);
            before = &cell.key;
            let number = match stamps.len() {
                1 => 0,
                _ => stamps
                    .binary_search_by_key(&(cell.stamp.dot, cell.stamp.time), |s| (s.dot, s.time))
                    .expect("every cell's stamp was collected"),
            };
            put_uint(out, number as u64);
            match &cell.body {
                Body::Put(value) => put_bytes(out, value),
                Body::Counter(row) => {
                    put_uint(out, row.seq);
                    out.extend_from_slice(&row.time.to_bits().to_be_bytes());
                    put_int(out, row.total);
                    put_uint(out, row.settled_seq);
                    put_int(out, row.base);
                    put_uint(out, row.settled_by.len() as u64);
                    for (dot, upto) in &row.settled_by {
                        put_origin(&dot.origin, out);
                        put_uint(out, dot.seq);
                        put_uint(out, *upto);
                    }
                }
            }
        }
    }

    /// Reads what [`Row::encode`] wrote. Malformed bytes are corruption.
    pub fn decode(bytes: &[u8], origin_of: impl Fn(u32) -> Option<Origin>) -> Result<Row> {
        let mut reader = Reader::new(bytes, "row");
        decode(&mut reader, origin_of)
            .and_then(|row| reader.end().map(|()| row))
            .map_err(|err| Error::corrupt(err.message()))
    }
}

fn decode(reader: &mut Reader<'_>, origin_of: impl Fn(u32) -> Option<Origin>) -> Result<Row> {
    let origin = |reader: &mut Reader<'_>| -> Result<Origin> {
        let number = reader.uint()?;
        u32::try_from(number)
            .ok()
            .and_then(&origin_of)
            .ok_or_else(|| reader.bad("it names an origin that is not there"))
    };
    reader.u8()?;
    let count = reader.count()?;
    let mut stamps = Vec::with_capacity(count);
    for _ in 0..count {
        let dot = Dot { origin: origin(reader)?, seq: reader.uint()? };
        stamps.push(Stamp { dot, time: timestamp(reader)? });
    }
    let count = reader.count()?;
    let mut cells: Vec<Cell> = Vec::with_capacity(count);
    for _ in 0..count {
        let before = cells.last().map_or(&[][..], |cell| cell.key.as_slice());
        let key = shared_key(reader, before)?;
        let slot = key::check(&key)?;
        let number = reader.uint()? as usize;
        let stamp =
            *stamps.get(number).ok_or_else(|| reader.bad("it names a stamp that is not there"))?;
        let body = match slot {
            Slot::Counter => Body::Counter(counter_row(reader, &origin)?),
            _ => Body::Put(reader.bytes()?.to_vec()),
        };
        cells.push(Cell { key, stamp, body });
    }
    Ok(Row { cells })
}

fn shared_key(reader: &mut Reader<'_>, before: &[u8]) -> Result<Vec<u8>> {
    let shared = reader.uint()? as usize;
    let rest = reader.bytes()?;
    let shared =
        before.get(..shared).ok_or_else(|| reader.bad("a key shares more than there is"))?;
    Ok([shared, rest].concat())
}

fn timestamp(reader: &mut Reader<'_>) -> Result<Timestamp> {
    Ok(Timestamp::from_bits(u64::from_be_bytes(reader.array()?)))
}

fn counter_row<'a>(
    reader: &mut Reader<'a>,
    origin: &impl Fn(&mut Reader<'a>) -> Result<Origin>,
) -> Result<CounterRow> {
    let (seq, time, total) = (reader.uint()?, timestamp(reader)?, reader.int()?);
    let (settled_seq, base) = (reader.uint()?, reader.int()?);
    let count = reader.count()?;
    let settled_by = (0..count)
        .map(|_| Ok((Dot { origin: origin(reader)?, seq: reader.uint()? }, reader.uint()?)))
        .collect::<Result<_>>()?;
    Ok(CounterRow { seq, time, total, settled_seq, base, settled_by })
}

/// What is kept beside a row's cells, so that it need not be worked out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags {
    /// The document is shown: it has live content.
    pub shown: bool,
    /// At least one of its fields is in conflict.
    pub in_conflict: bool,
}

impl Flags {
    /// The flags of an encoded row; of no row, none.
    pub fn of(bytes: Option<&[u8]>) -> Flags {
        let byte = bytes.and_then(|bytes| bytes.first().copied()).unwrap_or(0);
        Flags { shown: byte & SHOWN != 0, in_conflict: byte & IN_CONFLICT != 0 }
    }

    fn to_byte(self) -> u8 {
        (u8::from(self.shown) * SHOWN) | (u8::from(self.in_conflict) * IN_CONFLICT)
    }
}
