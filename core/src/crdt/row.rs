//! A document's state: its live puts and counter rows, in the order of their keys.
//!
//! Rule 4 of the replication algebra: a dot that the collection's vector covers and the row
//! lacks is dead; so there are no tombstones, and the row is a function of the vector.
//! Invariants: cells are sorted by key, then dot; no two share both; a row's bytes are
//! canonical but for the numbers that stand for origins. A row knows nothing of its id,
//! of other documents or of where it is stored. A large document is stored as several rows, the
//! runs of its [`layout`], which have these bytes each.
//!
//! Bytes of a row:
//!
//! | part | bytes |
//! | --- | --- |
//! | flags | 1: bit 0 shown, bit 1 in conflict; none in a run |
//! | stamps | count; each: origin number, seq, time (8, big-endian); sorted by origin, seq, time |
//! | cells | count; each: length shared with the key before, rest of the key, number of its stamp, body |
//! | body of a put | the value |
//! | body of a counter row | seq, time (8), total, settled seq, base, count of settlings; each: number of an origin, seq, settled seq; then `00`, or `01`, birth, sum before of the row it goes on from |

use std::collections::BTreeMap;
use std::sync::LazyLock;

use blake3::hazmat::{ContextKey, HasherExt, hash_derive_key_context};

use super::batch::{Batch, Effects};
use super::cell::{Body, Cell, CounterRow, Settled};
use super::key::{Keys, Slot};
use super::layout;
use super::op::{Continued, Op, Stamp};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::id::{Dot, Hash, Origin, Seq};
use crate::wire::{Reader, put_bytes, put_int, put_uint};

const SHOWN: u8 = 1;
const IN_CONFLICT: u8 = 2;

/// What digests of rows are derived from; worked out once.
pub(super) static CONTENT: LazyLock<ContextKey> =
    LazyLock::new(|| hash_derive_key_context("littoral v1 row"));

/// The cells of one document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Row {
    cells: Vec<Cell>,
}

impl Row {
    /// A row of these cells, in any order; of two with one key and dot, one.
    pub fn from_cells(mut cells: Vec<Cell>) -> Row {
        cells.sort_by(|a, b| a.key.cmp(&b.key).then_with(|| a.stamp.dot.cmp(&b.stamp.dot)));
        cells.dedup_by(|a, b| a.key == b.key && a.stamp.dot == b.stamp.dot);
        Row { cells }
    }

    /// A row of these cells, which are in the order of their keys, then dots.
    pub fn of_cells(cells: Vec<Cell>) -> Row {
        Row { cells }
    }

    /// Its cells.
    pub fn into_cells(self) -> Vec<Cell> {
        self.cells
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

    /// Applies one operation of the transaction at `stamp`. Applying it again changes nothing.
    /// Gives the counter row that it settled in full, if it did.
    pub fn apply(&mut self, op: &Op, stamp: &Stamp) -> Option<Settled> {
        self.apply_all(std::slice::from_ref(op), stamp).pop()
    }

    /// Applies the operations of one transaction. Gives the counter rows that it settled in full.
    pub fn apply_all(&mut self, ops: &[Op], stamp: &Stamp) -> Vec<Settled> {
        self.change(&Batch::of_ops(ops, stamp)).settled
    }

    /// Applies a batch.
    pub fn change(&mut self, batch: &Batch<'_>) -> Effects {
        let mut effects = Effects::default();
        self.cells = batch.apply(std::mem::take(&mut self.cells), &[], None, &mut effects, None);
        effects
    }

    /// The counter rows here with everything in them zeroed.
    pub fn settled(&self) -> Vec<Settled> {
        let settled = |cell: &&Cell| matches!(&cell.body, Body::Counter(row) if row.is_settled());
        let name = |cell: &Cell| Settled { key: cell.key.clone(), row: cell.stamp.dot };
        self.cells.iter().filter(settled).map(name).collect()
    }

    /// The origins that `cells` name, in no order and perhaps more than once.
    pub fn origins_of(cells: &[Cell]) -> impl Iterator<Item = Origin> {
        let settlers = |cell: &Cell| match &cell.body {
            Body::Counter(row) => row.settled_by.keys().map(|dot| dot.origin).collect(),
            Body::Put(_) => Vec::new(),
        };
        cells
            .iter()
            .flat_map(move |cell| std::iter::once(cell.stamp.dot.origin).chain(settlers(cell)))
    }

    /// Of each origin the newest transaction with a cell here.
    pub fn seen(&self) -> BTreeMap<Origin, Seq> {
        Row::seen_in(self.cells.iter())
    }

    /// As [`Row::seen`], of these cells.
    pub fn seen_in<'a>(cells: impl Iterator<Item = &'a Cell>) -> BTreeMap<Origin, Seq> {
        let mut seen = BTreeMap::new();
        for cell in cells {
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
    pub fn encode(&self, flags: Flags, number_of: impl FnMut(&Origin) -> u32) -> Vec<u8> {
        Row::encode_cells(&self.cells, flags, number_of)
    }

    /// The bytes of a row of these cells.
    pub fn encode_cells(
        cells: &[Cell],
        flags: Flags,
        mut number_of: impl FnMut(&Origin) -> u32,
    ) -> Vec<u8> {
        let stamps = stamps(cells);
        let mut out = Vec::with_capacity(64 + 24 * cells.len());
        out.push(flags.to_byte());
        put_uint(&mut out, stamps.len() as u64);
        for stamp in &stamps {
            put_uint(&mut out, u64::from(number_of(&stamp.dot.origin)));
            put_uint(&mut out, stamp.dot.seq);
            out.extend_from_slice(&stamp.time.to_bits().to_be_bytes());
        }
        encode(cells, &stamps, &mut out, |origin, out| {
            put_uint(out, u64::from(number_of(origin)));
        });
        out
    }

    /// A hash of the row's content that is the same on every replica: key, dot, time, kind,
    /// value and counter rows of each cell, and the document's id.
    pub fn digest(&self, id: &str) -> Hash {
        Row::digest_of(&self.cells, id)
    }

    /// As [`Row::digest`], of a row of these cells.
    pub fn digest_of(cells: &[Cell], id: &str) -> Hash {
        let stamps = stamps(cells);
        let mut out = Vec::with_capacity(128 + 24 * cells.len());
        put_bytes(&mut out, id.as_bytes());
        put_uint(&mut out, stamps.len() as u64);
        for stamp in &stamps {
            out.extend_from_slice(&stamp.dot.origin.to_bytes());
            put_uint(&mut out, stamp.dot.seq);
            out.extend_from_slice(&stamp.time.to_bits().to_be_bytes());
        }
        encode(cells, &stamps, &mut out, |origin, out| out.extend(origin.to_bytes()));
        Hash(*blake3::Hasher::new_from_context_key(&CONTENT).update(&out).finalize().as_bytes())
    }

    /// Reads what [`Row::encode`] wrote. Malformed bytes are corruption.
    pub fn decode(bytes: &[u8], origin_of: impl Fn(u32) -> Option<Origin>) -> Result<Row> {
        let cells = Row::decode_between(bytes, &[], None, origin_of)?;
        Ok(Row { cells })
    }

    /// As [`Row::decode`], of bytes from elsewhere: cells that count more than `most` in the
    /// layout are refused before they take memory.
    pub fn decode_at_most(
        bytes: &[u8],
        most: u64,
        origin_of: impl Fn(u32) -> Option<Origin>,
    ) -> Result<Row> {
        let part = Part { from: &[], to: None, most };
        decode(Reader::new(bytes, "row"), &part, origin_of).map(|cells| Row { cells })
    }

    /// As [`Row::decode`], of the cells from the key `from` on and before `to` alone.
    pub fn decode_between(
        bytes: &[u8],
        from: &[u8],
        to: Option<&[u8]>,
        origin_of: impl Fn(u32) -> Option<Origin>,
    ) -> Result<Vec<Cell>> {
        decode(Reader::new(bytes, "row"), &Part { from, to, most: u64::MAX }, origin_of)
            .map_err(|err| Error::corrupt(err.message()))
    }
}

/// The distinct stamps of `cells`, sorted by dot and time.
fn stamps(cells: &[Cell]) -> Vec<Stamp> {
    let Some(first) = cells.first() else { return Vec::new() };
    if cells.iter().all(|cell| cell.stamp == first.stamp) {
        return vec![first.stamp];
    }
    let mut stamps: Vec<Stamp> = cells.iter().map(|cell| cell.stamp).collect();
    stamps.sort_unstable_by_key(|stamp| (stamp.dot, stamp.time));
    stamps.dedup();
    stamps
}

fn encode(
    cells: &[Cell],
    stamps: &[Stamp],
    out: &mut Vec<u8>,
    mut put_origin: impl FnMut(&Origin, &mut Vec<u8>),
) {
    put_uint(out, cells.len() as u64);
    let mut before: &[u8] = &[];
    for cell in cells {
        put_key(out, before, &cell.key);
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
                out.push(u8::from(row.continues.is_some()));
                if let Some(Continued { birth, before }) = row.continues {
                    put_uint(out, birth);
                    put_int(out, before);
                }
            }
        }
    }
}

/// Appends a key, by what it shares with the one before.
#[inline]
pub(super) fn put_key(out: &mut Vec<u8>, before: &[u8], key: &[u8]) {
    let shared = before.iter().zip(key).take_while(|(a, b)| a == b).count();
    put_uint(out, shared as u64);
    put_bytes(out, &key[shared..]);
}

/// What is to be read of a row.
struct Part<'a> {
    from: &'a [u8],
    to: Option<&'a [u8]>,
    /// What its cells may count in the layout.
    most: u64,
}

/// Memory is taken for what was read: a count is only a hint, up to this.
const LIKELY_CELLS: usize = 256;

fn decode(
    reader: Reader<'_>,
    part: &Part<'_>,
    origin_of: impl Fn(u32) -> Option<Origin>,
) -> Result<Vec<Cell>> {
    let mut cells: Vec<Cell> = Vec::new();
    walk(reader, part, origin_of, |left, key, stamp, body| {
        if cells.capacity() == 0 && part.to.is_none() {
            cells.reserve(left.min(LIKELY_CELLS));
        }
        let body = match body {
            RawBody::Put(value) => Body::Put(value.to_vec()),
            RawBody::Counter(row) => Body::Counter(row),
        };
        cells.push(Cell { key: key.to_vec(), stamp: *stamp, body });
    })?;
    Ok(cells)
}

/// What a cell holds, where it lies.
enum RawBody<'a> {
    Put(&'a [u8]),
    Counter(Box<CounterRow>),
}

/// Reads the cells of a part, and checks all that it passes. Calls `take` with how many cells are
/// left, this one included, and the cell.
fn walk<'a>(
    mut reader: Reader<'a>,
    part: &Part<'_>,
    origin_of: impl Fn(u32) -> Option<Origin>,
    mut take: impl FnMut(usize, &[u8], &Stamp, RawBody<'a>),
) -> Result<()> {
    let Part { from, to, most } = *part;
    check_flags(&mut reader)?;
    let count = reader.count()?;
    let mut stamps = Vec::with_capacity(count.min(LIKELY_CELLS));
    for _ in 0..count {
        let dot = Dot { origin: origin(&mut reader, &origin_of)?, seq: reader.uint()? };
        stamps.push(Stamp { dot, time: timestamp(&mut reader)? });
    }
    let count = reader.count()?;
    let (mut keys, mut total) = (Keys::new(), 0);
    for left in (1..=count).rev() {
        let (shared, rest) = next_key(&mut reader, keys.key().len())?;
        keys.go_on(shared, rest);
        let key = keys.key();
        if to.is_some_and(|to| key >= to) {
            return Ok(());
        }
        let slot = keys.check()?;
        let key = keys.key();
        let number = reader.uint()? as usize;
        let stamp =
            stamps.get(number).ok_or_else(|| reader.bad("it names a stamp that is not there"))?;
        let wanted = key >= from;
        let (body, size) = match slot {
            Slot::Counter => {
                let room = most.saturating_sub(total);
                let row = counter_row(&mut reader, room, &origin_of)?;
                let size = layout::size_of_counter(key.len(), &row);
                (RawBody::Counter(Box::new(row)), size)
            }
            _ => {
                let value = reader.bytes()?;
                (RawBody::Put(value), layout::size_of_put(key.len(), value.len()))
            }
        };
        if wanted {
            total += size;
            if total > most {
                return Err(reader.bad("its cells are larger than is allowed"));
            }
            take(left, key, stamp, body);
        }
    }
    reader.end()
}

/// How much of the key before, of so many bytes, the next one begins with, and what follows.
#[inline]
pub(super) fn next_key<'a>(reader: &mut Reader<'a>, before: usize) -> Result<(usize, &'a [u8])> {
    let shared = reader.uint()?;
    let rest = reader.bytes()?;
    match shared > before as u64 {
        true => Err(reader.bad("a key shares more than there is")),
        false => Ok((shared as usize, rest)),
    }
}

/// Refuses flags that are not known.
pub(super) fn check_flags(reader: &mut Reader<'_>) -> Result<()> {
    match reader.u8()? & !(SHOWN | IN_CONFLICT) {
        0 => Ok(()),
        _ => Err(reader.bad("it has flags of a later version")),
    }
}

/// The origin whose number is read.
#[inline]
pub(super) fn origin(
    reader: &mut Reader<'_>,
    origin_of: &impl Fn(u32) -> Option<Origin>,
) -> Result<Origin> {
    let number = reader.uint()?;
    u32::try_from(number)
        .ok()
        .and_then(origin_of)
        .ok_or_else(|| reader.bad("it names an origin that is not there"))
}

fn timestamp(reader: &mut Reader<'_>) -> Result<Timestamp> {
    Ok(Timestamp::from_bits(u64::from_be_bytes(reader.array()?)))
}

pub(super) fn counter_row(
    reader: &mut Reader<'_>,
    room: u64,
    origin_of: &impl Fn(u32) -> Option<Origin>,
) -> Result<CounterRow> {
    let (seq, time, total) = (reader.uint()?, timestamp(reader)?, reader.int()?);
    let (settled_seq, base) = (reader.uint()?, reader.int()?);
    let count = reader.count()?;
    if count as u64 > room / layout::SETTLING_BYTES {
        return Err(reader.bad("its cells are larger than is allowed"));
    }
    let settled_by = (0..count)
        .map(|_| {
            Ok((Dot { origin: origin(reader, origin_of)?, seq: reader.uint()? }, reader.uint()?))
        })
        .collect::<Result<_>>()?;
    let continues = match reader.u8()? {
        0 => None,
        1 => Some(Continued { birth: reader.uint()?, before: reader.int()? }),
        _ => return Err(reader.bad("a counter row of a later version")),
    };
    Ok(CounterRow { seq, time, total, settled_seq, base, settled_by, continues })
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

    /// The first byte of an encoded row.
    pub fn to_byte(self) -> u8 {
        (u8::from(self.shown) * SHOWN) | (u8::from(self.in_conflict) * IN_CONFLICT)
    }
}
