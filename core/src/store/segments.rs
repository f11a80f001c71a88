//! Segments: what each segment of the log holds, counted by collection.
//!
//! Pruning asks how much of a segment is whose, when it was written, and which own transactions
//! are in it, without reading it. The counts are kept in memory as records are appended, and
//! written to redb with its durable commits only, with the position up to which they go
//! (`counted`): after a crash, or a durable commit that did not bring them along, the records
//! after that position are counted again.
//!
//! A row of the table `segments`: key is the position where the segment begins, big-endian;
//! value is the wall time of the newest record in ms 8, then for each collection the length of
//! its name 1, its name, bytes 8, and of the newest own transaction incarnation 4 and number 8
//! (0 if there is none).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, WriteTransaction};

use super::heads::Heads;
use super::log::{LogReader, LogRecord, RecordKind};
use super::tables::{self, db};
use crate::error::{Error, Result};
use crate::id::{Dot, NodeId, Position, Seq};
use crate::wire::Reader;

/// Bytes of log counted again at a time.
const READ_BYTES: usize = 1 << 20;

/// The segments of the log and what is in them.
#[derive(Debug, Default)]
pub(super) struct Segments {
    tallies: BTreeMap<u64, Tally>,
    totals: BTreeMap<Arc<str>, u64>,
    counted: Position,
}

/// What is in a segment.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Tally {
    /// Wall time of its newest record.
    pub(super) written_ms: u64,
    pub(super) shares: BTreeMap<Arc<str>, Share>,
    changed: bool,
}

/// What of a segment belongs to a collection.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) bytes: u64,
    /// The newest own transaction: incarnation and number.
    pub(super) own: Option<(u32, Seq)>,
}

/// A record as it is counted.
pub(super) struct Counted<'a> {
    pub(super) collection: &'a str,
    pub(super) bytes: u64,
    pub(super) dot: Dot,
}

impl Segments {
    /// Reads what was counted.
    pub(super) fn load(database: &Database) -> Result<Segments> {
        Segments::load_from(&database.begin_read().map_err(db)?)
    }

    /// Reads what was counted, as it is at the moment of a read transaction.
    pub(super) fn load_from(txn: &ReadTransaction) -> Result<Segments> {
        let mut segments = Segments::default();
        for entry in txn.open_table(tables::SEGMENTS).map_err(db)?.iter().map_err(db)? {
            let (base, row) = entry.map_err(db)?;
            let tally = Tally::decode(row.value())?;
            for (collection, share) in &tally.shares {
                *segments.totals.entry(collection.clone()).or_default() += share.bytes;
            }
            segments.tallies.insert(tables::u64_of(base.value())?, tally);
        }
        if let Some(counted) = tables::read(txn, tables::META, tables::META_COUNTED)? {
            segments.counted = Position(tables::u64_of(&counted)?);
        }
        Ok(segments)
    }

    /// Counts the records of the log that have not been counted, up to its end.
    pub(super) fn catch_up(
        &mut self,
        reader: &LogReader,
        heads: &Heads,
        node: NodeId,
        now_ms: u64,
    ) -> Result<()> {
        self.tallies = self.tallies.split_off(&reader.start().0);
        self.sum();
        let mut at = self.counted.max(reader.start());
        while at < reader.durable() {
            let records = reader.read(at, READ_BYTES)?;
            let Some(last) = records.last() else { break };
            at = last.end;
            for record in &records {
                if let Some(counted) = counted(record, heads)? {
                    let base = reader.segment_of(record.position).unwrap_or(record.position);
                    self.count(base, now_ms, node, counted);
                }
            }
        }
        self.counted = at;
        Ok(())
    }

    /// Counts a record of the segment that begins at `base`.
    pub(super) fn count(&mut self, base: Position, now_ms: u64, node: NodeId, record: Counted<'_>) {
        let name = match self.totals.get_key_value(record.collection) {
            Some((name, _)) => name.clone(),
            None => Arc::from(record.collection),
        };
        *self.totals.entry(name.clone()).or_default() += record.bytes;
        let tally = self.tallies.entry(base.0).or_default();
        tally.written_ms = tally.written_ms.max(now_ms);
        tally.changed = true;
        let share = tally.shares.entry(name).or_default();
        share.bytes += record.bytes;
        if record.dot.origin.node == node {
            share.own = share.own.max(Some((record.dot.origin.incarnation, record.dot.seq)));
        }
    }

    /// Up to where the records of the log are counted.
    pub(super) fn counted(&self) -> Position {
        self.counted
    }

    /// The segments, from `start` on, of which something else is counted than `other` has.
    pub(super) fn differing(&self, other: &Segments, start: Position) -> Vec<Position> {
        let shares = |segments: &Segments, base| {
            let tally: Option<&Tally> = segments.tallies.get(&base);
            tally.map_or_else(BTreeMap::new, |tally| tally.shares.clone())
        };
        let bases: BTreeSet<u64> = [self, other]
            .iter()
            .flat_map(|s| s.tallies.range(start.0..))
            .map(|(b, _)| *b)
            .collect();
        let differ = |base: &u64| shares(self, *base) != shares(other, *base);
        bases.into_iter().filter(differ).map(Position).collect()
    }

    /// Forgets the records of a collection: they belong to a life of it that is over.
    pub(super) fn forget(&mut self, collection: &str) {
        self.totals.remove(collection);
        for tally in self.tallies.values_mut() {
            tally.changed |= tally.shares.remove(collection).is_some();
        }
    }

    /// Forgets what lies before `start`.
    pub(super) fn prune(&mut self, start: Position) {
        self.tallies = self.tallies.split_off(&start.0);
        self.sum();
    }

    /// What is in the segment that begins at `base`; of one that nobody counted, nothing.
    pub(super) fn tally(&self, base: Position) -> Tally {
        self.tallies.get(&base.0).cloned().unwrap_or_default()
    }

    /// Bytes of a collection in the whole log.
    pub(super) fn total(&self, collection: &str) -> u64 {
        self.totals.get(collection).copied().unwrap_or(0)
    }

    /// Writes what has changed, in a durable commit at a moment when the log ends at `end`.
    pub(super) fn save(
        &mut self,
        txn: &WriteTransaction,
        start: Position,
        end: Position,
    ) -> Result<()> {
        let mut table = txn.open_table(tables::SEGMENTS).map_err(db)?;
        let pruned = ..&start.0.to_be_bytes()[..];
        table.retain_in::<&[u8], _>(pruned, |_, _| false).map_err(db)?;
        for (base, tally) in self.tallies.range_mut(start.0..).filter(|(_, tally)| tally.changed) {
            tables::set(&mut table, &base.to_be_bytes(), &tally.encode())?;
            tally.changed = false;
        }
        let mut meta = txn.open_table(tables::META).map_err(db)?;
        tables::set(&mut meta, tables::META_COUNTED, &end.0.to_be_bytes())?;
        self.counted = end;
        Ok(())
    }

    fn sum(&mut self) {
        self.totals.clear();
        for (collection, share) in self.tallies.values().flat_map(|tally| &tally.shares) {
            *self.totals.entry(collection.clone()).or_default() += share.bytes;
        }
    }
}

/// A record as it is counted, if it belongs to a collection that is held.
pub(super) fn counted<'a>(record: &'a LogRecord, heads: &Heads) -> Result<Option<Counted<'a>>> {
    let head = heads.named(&record.collection);
    let is_txn = record.kind == RecordKind::Txn;
    if !is_txn || head.is_none_or(|head| record.position < head.row.since) {
        return Ok(None);
    }
    let (dot, bytes) = (record.dot()?, record.end.0 - record.position.0);
    Ok(Some(Counted { collection: &record.collection, bytes, dot }))
}

impl Tally {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = self.written_ms.to_be_bytes().to_vec();
        for (collection, share) in &self.shares {
            let (incarnation, seq) = share.own.unwrap_or_default();
            out.push(collection.len() as u8);
            out.extend_from_slice(collection.as_bytes());
            out.extend_from_slice(&share.bytes.to_be_bytes());
            out.extend_from_slice(&incarnation.to_be_bytes());
            out.extend_from_slice(&seq.to_be_bytes());
        }
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Tally> {
        let mut reader = Reader::new(bytes, "row of a segment");
        let mut tally = Tally::default();
        let mut read = || -> Result<()> {
            tally.written_ms = u64::from_be_bytes(reader.array()?);
            while !reader.rest().is_empty() {
                let len = reader.u8()?;
                let name = std::str::from_utf8(reader.take(len.into())?)
                    .map_err(|_| Error::corrupt("a collection's name is not UTF-8"))?;
                let bytes = u64::from_be_bytes(reader.array()?);
                let incarnation = u32::from_be_bytes(reader.array()?);
                let seq = u64::from_be_bytes(reader.array()?);
                let own = (seq > 0).then_some((incarnation, seq));
                tally.shares.insert(Arc::from(name), Share { bytes, own });
            }
            Ok(())
        };
        read().map_err(|err| Error::corrupt(err.message()))?;
        Ok(tally)
    }
}
