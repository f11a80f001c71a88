//! The bytes of a transaction.
//!
//! Invariants: decoding checks everything that does not need other transactions: form,
//! limits, canonical values and keys, sorted ids, no put or clear that names its own or a
//! later transaction of its author. Anything malformed is refused whole. Memory is taken for
//! what was read, never for what a count announces.
//!
//! | part | bytes |
//! | --- | --- |
//! | version | 1: `01` |
//! | origin | 36: key, incarnation big-endian |
//! | seq | 8, big-endian |
//! | prev | 32: hash of the author's transaction before; zero for the first |
//! | time | 8, big-endian |
//! | origins | count; each 36: those named below and no others, sorted, without the author |
//! | deps | count; each: number of an origin (1 is the first of them), seq, 16 of its hash |
//! | documents | count; each: length and id, count of operations, operations |
//!
//! | operation | bytes |
//! | --- | --- |
//! | put | `00`, length and key, length and value |
//! | clear | `01`, length and prefix, count; each: number of an origin (0 is the author), seq |
//! | add | `02`, length and key, birth, total (zigzag), by (zigzag); unless it begins the row: number of the addition before, time between (zigzag) |
//! | settle | `03`, length and key, number of an origin, birth, seq, total (zigzag) |
//!
//! Version, origin and seq are the same in every version, and so are hash and signature: what
//! a version does not know it still knows the name and the author of.
//!
//! Numbers without a size are LEB128. On disk and on the wire the signature follows
//! (64 bytes). The hash of a transaction is over these bytes, without the signature, and
//! over the network and the collection it belongs to: see [`sign`](super::sign).

use std::collections::BTreeMap;

use super::{Dep, Txn};
use crate::clock::Timestamp;
use crate::crdt::key::{self, Slot};
use crate::crdt::{Addition, DocOps, Op, Stamp};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Dot, Hash, Origin, Seq, ShortHash, check_id};
use crate::limits::{MAX_SEQ, MAX_TXN_BYTES, MAX_TXN_OPS, MAX_VALUE_BYTES};
use crate::value::codec::check_bytes;
use crate::wire::{Reader, put_bytes, put_int, put_uint};

const VERSION: u8 = 1;
const PUT: u8 = 0;
const CLEAR: u8 = 1;
const ADD: u8 = 2;
const SETTLE: u8 = 3;

/// The bytes of `txn`, without signature. Larger than the limit is an error.
pub fn encode(txn: &Txn) -> Result<Vec<u8>> {
    let origins = Origins::named_in(txn);
    let mut out = Vec::with_capacity(256);
    out.push(VERSION);
    out.extend_from_slice(&txn.dot.origin.to_bytes());
    out.extend_from_slice(&txn.dot.seq.to_be_bytes());
    out.extend_from_slice(&txn.prev.0);
    out.extend_from_slice(&txn.time.to_bits().to_be_bytes());
    put_uint(&mut out, origins.others.len() as u64);
    origins.others.keys().for_each(|origin| out.extend_from_slice(&origin.to_bytes()));
    put_uint(&mut out, txn.deps.len() as u64);
    for dep in &txn.deps {
        put_uint(&mut out, origins.number(&dep.origin));
        put_uint(&mut out, dep.seq);
        out.extend_from_slice(&dep.hash.0);
    }
    put_uint(&mut out, txn.docs.len() as u64);
    check_ops(txn.docs.iter().flat_map(|doc| &doc.ops).map(weight).sum())?;
    for doc in &txn.docs {
        put_bytes(&mut out, doc.id.as_bytes());
        put_uint(&mut out, doc.ops.len() as u64);
        let time = txn.time.to_bits();
        doc.ops.iter().for_each(|op| encode_op(op, &origins, time, &mut out));
        check_size(out.len())?;
    }
    Ok(out)
}

fn check_size(len: usize) -> Result<()> {
    match len > MAX_TXN_BYTES {
        false => Ok(()),
        true => Err(Error::limit(format!(
            "the transaction has over {MAX_TXN_BYTES} bytes in one collection; commit in smaller parts"
        ))),
    }
}

/// What an operation counts: each dot that a clear names takes memory like one more.
fn weight(op: &Op) -> usize {
    match op {
        Op::Clear { upto, .. } => 1 + upto.len(),
        _ => 1,
    }
}

fn check_ops(weight: usize) -> Result<()> {
    match weight > MAX_TXN_OPS {
        false => Ok(()),
        true => Err(Error::limit(format!(
            "the transaction has over {MAX_TXN_OPS} operations in one collection; commit in smaller parts"
        ))),
    }
}

fn encode_op(op: &Op, origins: &Origins, time: u64, out: &mut Vec<u8>) {
    match op {
        Op::Put { key, value } => {
            out.push(PUT);
            put_bytes(out, key);
            put_bytes(out, value);
        }
        Op::Clear { prefix, upto } => {
            out.push(CLEAR);
            put_bytes(out, prefix);
            put_uint(out, upto.len() as u64);
            for dot in upto {
                put_uint(out, origins.number(&dot.origin));
                put_uint(out, dot.seq);
            }
        }
        Op::Add { key, birth, total, by, after } => {
            out.push(ADD);
            put_bytes(out, key);
            put_uint(out, *birth);
            put_int(out, *total);
            put_int(out, i128::from(*by));
            if let Some(after) = after {
                put_uint(out, after.seq);
                put_int(out, i128::from(time) - i128::from(after.time.to_bits()));
            }
        }
        Op::Continue { .. } => unreachable!("only the state knows of branches"),
        Op::Settle { key, row, seq, total } => {
            out.push(SETTLE);
            put_bytes(out, key);
            put_uint(out, origins.number(&row.origin));
            put_uint(out, row.seq);
            put_uint(out, *seq);
            put_int(out, *total);
        }
    }
}

/// The origins that a transaction names, numbered: 0 is the author, the others follow in order.
struct Origins {
    author: Origin,
    others: BTreeMap<Origin, u64>,
}

impl Origins {
    fn named_in(txn: &Txn) -> Origins {
        let mut origins = Origins { author: txn.dot.origin, others: BTreeMap::new() };
        txn.deps.iter().for_each(|dep| origins.name(dep.origin));
        for op in txn.docs.iter().flat_map(|doc| &doc.ops) {
            match op {
                Op::Clear { upto, .. } => upto.iter().for_each(|dot| origins.name(dot.origin)),
                Op::Settle { row, .. } => origins.name(row.origin),
                Op::Put { .. } | Op::Add { .. } | Op::Continue { .. } => {}
            }
        }
        for (number, entry) in (1..).zip(origins.others.values_mut()) {
            *entry = number;
        }
        origins
    }

    fn name(&mut self, origin: Origin) {
        if origin != self.author {
            self.others.insert(origin, 0);
        }
    }

    fn number(&self, origin: &Origin) -> u64 {
        if *origin == self.author { 0 } else { self.others[origin] }
    }
}

/// The dot of a transaction's bytes, of any version and otherwise unchecked.
pub fn peek_dot(bytes: &[u8]) -> Result<Dot> {
    let mut reader = Reader::new(bytes, "transaction");
    reader.u8()?;
    dot(&mut reader)
}

fn check_version(reader: &mut Reader<'_>) -> Result<()> {
    match reader.u8()? {
        VERSION => Ok(()),
        newer => Err(Error::new(
            ErrorKind::FormatTooNew,
            format!(
                "a transaction has format {newer}, this version knows format {VERSION}; upgrade Littoral here"
            ),
        )),
    }
}

fn dot(reader: &mut Reader<'_>) -> Result<Dot> {
    let origin = Origin::from_bytes(&reader.array()?);
    Ok(Dot { origin, seq: u64::from_be_bytes(reader.array()?) })
}

/// Reads what [`encode`] wrote, and checks it.
pub fn decode(bytes: &[u8]) -> Result<Txn> {
    read::<true>(bytes, |_| ())
}

/// Checks that `bytes` are what [`decode`] accepts.
pub(super) fn check(bytes: &[u8]) -> Result<()> {
    read::<false>(bytes, |_| ()).map(drop)
}

/// The same, and hands out the id of each document, in order; gives the transaction without them.
pub(super) fn read_ids(bytes: &[u8], each: impl FnMut(&str)) -> Result<Txn> {
    read::<false>(bytes, each)
}

/// Reads and checks a transaction. Without `KEEP` nothing is copied that need not be: what comes
/// out has no documents.
fn read<const KEEP: bool>(bytes: &[u8], mut each: impl FnMut(&str)) -> Result<Txn> {
    if bytes.len() > MAX_TXN_BYTES {
        return Err(Error::bad_txn("a transaction is larger than the limit"));
    }
    let mut reader = Reader::new(bytes, "transaction");
    check_version(&mut reader)?;
    let dot = dot(&mut reader)?;
    let prev = Hash(reader.array()?);
    if dot.seq > MAX_SEQ {
        return Err(reader.bad("its number is higher than there are"));
    }
    if dot.seq == 0 || (dot.seq == 1) != (prev == Hash::default()) {
        return Err(reader.bad("its number and the hash before it contradict each other"));
    }
    let time = Timestamp::from_bits(u64::from_be_bytes(reader.array()?));
    let mut origins = Named::read(&mut reader, dot.origin)?;
    let deps = deps(&mut reader, &mut origins)?;
    let count = reader.count()?;
    let (mut docs, mut room): (Vec<DocOps>, usize) = (Vec::new(), MAX_TXN_OPS);
    let mut last: Option<&str> = None;
    for _ in 0..count {
        let own = Stamp { dot, time };
        let (id, ops) = document::<KEEP>(&mut reader, &mut origins, &own, &mut room)?;
        if last.is_some_and(|last| last >= id) {
            return Err(reader.bad("its documents are not sorted and unique"));
        }
        last = Some(id);
        each(id);
        if KEEP {
            docs.push(DocOps { id: id.to_owned(), ops });
        }
    }
    if !origins.all_are_used() {
        return Err(reader.bad("it lists an origin that it does not name"));
    }
    reader.end()?;
    Ok(Txn { dot, prev, time, deps, docs })
}

/// The origins that are named by number; 0 is the author.
struct Named {
    origins: Vec<Origin>,
    used: Vec<bool>,
}

impl Named {
    fn read(reader: &mut Reader<'_>, author: Origin) -> Result<Named> {
        let count = reader.count()?;
        let mut origins = vec![author];
        for _ in 0..count {
            let origin = Origin::from_bytes(&reader.array()?);
            let sorted = origins.len() == 1 || origins[origins.len() - 1] < origin;
            if origin == author || !sorted {
                return Err(reader.bad("its origins are not sorted and unique"));
            }
            origins.push(origin);
        }
        Ok(Named { used: vec![false; origins.len()], origins })
    }

    fn author(&self) -> Origin {
        self.origins[0]
    }

    fn origin(&mut self, reader: &mut Reader<'_>) -> Result<Origin> {
        let number = usize::try_from(reader.uint()?).unwrap_or(usize::MAX);
        let used = self.used.get_mut(number);
        *used.ok_or_else(|| reader.bad("it names an origin that is not there"))? = true;
        Ok(self.origins[number])
    }

    /// Else one content would have several forms.
    fn all_are_used(&self) -> bool {
        self.used.iter().skip(1).all(|used| *used)
    }
}

fn deps(reader: &mut Reader<'_>, origins: &mut Named) -> Result<Vec<Dep>> {
    let count = reader.count()?;
    let mut deps: Vec<Dep> = Vec::with_capacity(count.min(origins.origins.len()));
    for _ in 0..count {
        let origin = origins.origin(reader)?;
        let (seq, hash) = (reader.uint()?, ShortHash(reader.array()?));
        let sorted = deps.last().is_none_or(|last| last.origin < origin);
        if origin == origins.author() || seq == 0 || !sorted {
            return Err(reader.bad("its dependencies are not sorted, unique and of others"));
        }
        deps.push(Dep { origin, seq, hash });
    }
    Ok(deps)
}

fn document<'a, const KEEP: bool>(
    reader: &mut Reader<'a>,
    origins: &mut Named,
    own: &Stamp,
    room: &mut usize,
) -> Result<(&'a str, Vec<Op>)> {
    let id = reader.str()?;
    check_id(id).map_err(|err| reader.bad(err.message()))?;
    let count = reader.count()?;
    if count == 0 {
        return Err(reader.bad("a document without operations"));
    }
    // Most documents have few: no room is taken for more than was read.
    let mut ops = Vec::with_capacity(if KEEP { count.min(4) } else { 0 });
    for _ in 0..count {
        let op = op::<KEEP>(reader, origins, own)?;
        let left = room.checked_sub(weight(&op));
        *room = left.ok_or_else(|| reader.bad("more operations than a transaction may have"))?;
        if KEEP {
            ops.push(op);
        }
    }
    Ok((id, ops))
}

fn op<const KEEP: bool>(reader: &mut Reader<'_>, origins: &mut Named, own: &Stamp) -> Result<Op> {
    match reader.u8()? {
        PUT => put::<KEEP>(reader),
        CLEAR => clear(reader, origins, own.dot.seq),
        ADD => add(reader, own),
        SETTLE => settle(reader, origins, own.dot.seq),
        unknown => Err(Error::new(
            ErrorKind::FormatTooNew,
            format!(
                "a transaction has an operation {unknown} that this version does not know; upgrade Littoral here"
            ),
        )),
    }
}

fn put<const KEEP: bool>(reader: &mut Reader<'_>) -> Result<Op> {
    let key = reader.bytes()?;
    let value = reader.bytes()?;
    if value.len() > MAX_VALUE_BYTES {
        return Err(reader.bad("a value over the limit"));
    }
    match key::check(key)? {
        Slot::Register => drop(check_bytes(value)?),
        Slot::Unknown => {}
        Slot::Counter => return Err(reader.bad("a put on a counter")),
        _ if !value.is_empty() => return Err(reader.bad("a marker or element with a value")),
        _ => {}
    }
    let kept = |bytes: &[u8]| if KEEP { bytes.to_vec() } else { Vec::new() };
    Ok(Op::Put { key: kept(key), value: kept(value) })
}

/// A dot that an operation names: never the transaction itself or a later one of its author.
fn seen(reader: &mut Reader<'_>, origins: &mut Named, own: Seq) -> Result<Dot> {
    let dot = Dot { origin: origins.origin(reader)?, seq: reader.uint()? };
    if dot.seq == 0 || (dot.origin == origins.author() && dot.seq >= own) {
        return Err(reader.bad("it names a transaction that its author can't have seen"));
    }
    Ok(dot)
}

fn clear(reader: &mut Reader<'_>, origins: &mut Named, own: Seq) -> Result<Op> {
    let prefix = reader.bytes()?.to_vec();
    key::check_prefix(&prefix)?;
    let count = reader.count()?;
    let mut upto: Vec<Dot> = Vec::with_capacity(count.min(origins.origins.len()));
    for _ in 0..count {
        let dot = seen(reader, origins, own)?;
        if upto.last().is_some_and(|last| last.origin >= dot.origin) {
            return Err(reader.bad("what a clear has seen is not sorted and unique"));
        }
        upto.push(dot);
    }
    Ok(Op::Clear { prefix, upto })
}

fn counter_key(reader: &mut Reader<'_>) -> Result<Vec<u8>> {
    let key = reader.bytes()?.to_vec();
    match key::check(&key)? {
        Slot::Counter => Ok(key),
        _ => Err(reader.bad("a counter operation on something else")),
    }
}

fn add(reader: &mut Reader<'_>, own: &Stamp) -> Result<Op> {
    let key = counter_key(reader)?;
    let (birth, total, by) = (reader.uint()?, reader.int()?, reader.int()?);
    let by = i64::try_from(by).map_err(|_| reader.bad("an increment over 64 bits"))?;
    if birth == 0 || birth > own.dot.seq {
        return Err(reader.bad("a counter row born after its transaction"));
    }
    let after = match birth == own.dot.seq {
        true => None,
        false => Some(addition_before(reader, birth, own)?),
    };
    Ok(Op::Add { key, birth, total, by, after })
}

fn addition_before(reader: &mut Reader<'_>, birth: Seq, own: &Stamp) -> Result<Addition> {
    let seq = reader.uint()?;
    let since = reader.int()?;
    let time = i128::from(own.time.to_bits()).checked_sub(since);
    let time = time.and_then(|bits| u64::try_from(bits).ok());
    match time.filter(|_| seq >= birth && seq < own.dot.seq) {
        Some(bits) => Ok(Addition { seq, time: Timestamp::from_bits(bits) }),
        None => Err(reader.bad("an addition to a counter after one that can't be")),
    }
}

fn settle(reader: &mut Reader<'_>, origins: &mut Named, own: Seq) -> Result<Op> {
    let key = counter_key(reader)?;
    let row = seen(reader, origins, own)?;
    let (seq, total) = (reader.uint()?, reader.int()?);
    let known = if row.origin == origins.author() { seq < own } else { true };
    match seq < row.seq || !known {
        true => Err(reader.bad("it settles what its author can't have seen")),
        false => Ok(Op::Settle { key, row, seq, total }),
    }
}
