//! Hashes: which transactions were held, known for longer than the log keeps them.
//!
//! Two clones of a store write different transactions under one dot. As long as the log has
//! either, they are told apart by the index. When a segment goes, the hashes of what was in it
//! come here, packed: of each origin the newest [`HASHES_DENSE`] numbers, and every
//! [`HASHES_EVERY`]th for good. A snapshot brings those of the transactions that it stands for
//! ([`ViewHead::past`](crate::txn::snapshot::ViewHead)). So whoever is ahead of a peer can tell
//! whether the peer's newest is of the same history, and nobody joins a snapshot over a fork.
//!
//! Hashes are a chain: who has the same at one number has the same at all before it. So one
//! number that both know decides, the newest.
//!
//! | key | value |
//! | --- | --- |
//! | collection number, origin number, level 1, row 8 | each: index in the row 1, first 16 bytes of a hash; sorted |
//!
//! Level 0 has every number, level 1 every [`HASHES_EVERY`]th; a row has up to [`ROW`] of them.
//!
//! Invariant: what is here was held. It says nothing of what is held: that is the vector's to say,
//! and where the index of the log knows a hash, that counts.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use redb::{ReadTransaction, ReadableTable};

use super::Inner;
use super::heads::{CollectionHead, Heads};
use super::tables::{self, BytesTable, db, set, unset};
use crate::error::{Error, Result};
use crate::id::{Origin, Seq, ShortHash, Vector};
use crate::limits::{HASHES_DENSE, HASHES_EVERY, MAX_HASHES, MAX_VIEW_HASHES};
use crate::txn::snapshot::Past;

/// Hashes in a row of the table, at most.
const ROW: u64 = 64;
/// Bytes of one of them.
const ENTRY: usize = 17;

/// Of which transactions hashes are kept when their records go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashRule {
    /// Of each origin so many, the newest.
    pub dense: u64,
    /// And every so-manieth, for good.
    pub every: u64,
}

impl Default for HashRule {
    fn default() -> HashRule {
        HashRule { dense: HASHES_DENSE, every: HASHES_EVERY }
    }
}

impl HashRule {
    /// The same for one of so many origins: all together have a cap.
    pub(super) fn of(self, origins: usize) -> HashRule {
        let share = (MAX_HASHES / (origins as u64).max(1)).max(ROW);
        HashRule { dense: self.dense.min(share), ..self }
    }

    /// The first number of which there is a hash for certain, in a history up to `newest`.
    pub(super) fn first_dense(self, newest: Seq) -> Seq {
        newest.saturating_sub(self.dense) + 1
    }

    /// The last number up to `seq` whose hash is kept for good; 0 if there is none.
    fn last_kept(self, seq: Seq) -> Seq {
        seq - seq % self.every.max(1)
    }

    /// Whether the hash of a number is worth keeping, in a history up to `newest`.
    pub(super) fn keeps(self, seq: Seq, newest: Seq) -> bool {
        seq >= self.first_dense(newest) || seq == self.last_kept(seq)
    }
}

/// A collection and an origin, by their numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whose(pub(super) u32, pub(super) u32);

#[derive(Debug, Clone, Copy)]
enum Level {
    Dense = 0,
    Sparse = 1,
}

fn key(Whose(collection, origin): Whose, level: Level, row: u64) -> [u8; 17] {
    let mut key = [0; 17];
    key[..8].copy_from_slice(&tables::origin_key(collection, origin));
    key[8] = level as u8;
    key[9..].copy_from_slice(&row.to_be_bytes());
    key
}

type Row = BTreeMap<u8, ShortHash>;

/// The bytes of a row.
pub(super) fn encode(row: &Row) -> Vec<u8> {
    let entry = |(index, hash): (&u8, &ShortHash)| [&[*index][..], &hash.0].concat();
    row.iter().flat_map(entry).collect()
}

/// Reads what [`encode`] wrote.
pub(super) fn decode(bytes: &[u8]) -> Result<Row> {
    let malformed = || Error::corrupt("the table of hashes is malformed");
    let mut row = Row::new();
    for entry in bytes.chunks(ENTRY) {
        let (index, hash) = entry.split_first().ok_or_else(malformed)?;
        let sorted = row.last_key_value().is_none_or(|(last, _)| last < index);
        if !sorted || u64::from(*index) >= ROW {
            return Err(malformed());
        }
        row.insert(*index, ShortHash(hash.try_into().map_err(|_| malformed())?));
    }
    Ok(row)
}

fn read(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    key: &[u8; 17],
) -> Result<Option<Row>> {
    tables::get(table, key)?.map(|bytes| decode(&bytes)).transpose()
}

/// The hash of a transaction, if it is kept here.
pub(super) fn hash_at(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    whose: Whose,
    rule: HashRule,
    seq: Seq,
) -> Result<Option<ShortHash>> {
    let Some(at) = seq.checked_sub(1) else { return Ok(None) };
    let find = |level: Level, at: u64| -> Result<Option<ShortHash>> {
        let row = read(table, &key(whose, level, at / ROW))?;
        Ok(row.and_then(|row| row.get(&((at % ROW) as u8)).copied()))
    };
    match find(Level::Dense, at)? {
        None if seq == rule.last_kept(seq) => find(Level::Sparse, seq / rule.every.max(1) - 1),
        found => Ok(found),
    }
}

/// Keeps hashes of an origin whose newest transaction is `newest`, and forgets those that are too
/// old for that.
pub(super) fn keep(
    table: &mut BytesTable<'_>,
    whose: Whose,
    rule: HashRule,
    newest: Seq,
    hashes: &BTreeMap<Seq, ShortHash>,
) -> Result<()> {
    let first = rule.first_dense(newest);
    let dense = hashes.range(first..).map(|(seq, hash)| (seq - 1, *hash));
    put(table, whose, Level::Dense, dense)?;
    let every = rule.every.max(1);
    let sparse = hashes.iter().filter(|(seq, _)| **seq == rule.last_kept(**seq));
    put(table, whose, Level::Sparse, sparse.map(|(seq, hash)| (seq / every - 1, *hash)))?;
    let (start, end) =
        (key(whose, Level::Dense, 0), key(whose, Level::Dense, first.saturating_sub(1) / ROW));
    table.retain_in::<&[u8], _>(&start[..]..&end[..], |_, _| false).map_err(db)
}

fn put(
    table: &mut BytesTable<'_>,
    whose: Whose,
    level: Level,
    hashes: impl Iterator<Item = (u64, ShortHash)>,
) -> Result<()> {
    let mut rows: BTreeMap<u64, Row> = BTreeMap::new();
    for (at, hash) in hashes {
        rows.entry(at / ROW).or_default().insert((at % ROW) as u8, hash);
    }
    for (number, news) in rows {
        let key = key(whose, level, number);
        let mut row = read(table, &key)?.unwrap_or_default();
        row.extend(news);
        set(table, &key, &encode(&row))?;
    }
    Ok(())
}

/// Forgets what is beyond a number: it has another name now.
pub(super) fn cut(
    table: &mut BytesTable<'_>,
    whose: Whose,
    rule: HashRule,
    end: Seq,
) -> Result<()> {
    for (level, end) in [(Level::Dense, end), (Level::Sparse, end / rule.every.max(1))] {
        let (first, last) = (key(whose, level, end / ROW), key(whose, level, u64::MAX));
        if let Some(mut row) = read(table, &first)? {
            row.retain(|index, _| u64::from(*index) < end % ROW);
            match row.is_empty() {
                true => unset(table, &first)?,
                false => set(table, &first, &encode(&row))?,
            }
        }
        let beyond = key(whose, level, end / ROW + 1);
        table.retain_in::<&[u8], _>(&beyond[..]..=&last[..], |_, _| false).map_err(db)?;
    }
    Ok(())
}

/// All that is kept here of an origin.
pub(super) fn all(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    whose: Whose,
    rule: HashRule,
) -> Result<BTreeMap<Seq, ShortHash>> {
    kept(table, whose, rule, &(1..=Seq::MAX))
}

/// What is kept here of some numbers.
fn kept(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    whose: Whose,
    rule: HashRule,
    numbers: &RangeInclusive<Seq>,
) -> Result<BTreeMap<Seq, ShortHash>> {
    let mut found = BTreeMap::new();
    for (level, every) in [(Level::Sparse, rule.every.max(1)), (Level::Dense, 1)] {
        let row = |seq: &Seq| (seq / every).saturating_sub(1) / ROW;
        let (first, last) =
            (key(whose, level, row(numbers.start())), key(whose, level, row(numbers.end())));
        for entry in table.range(&first[..]..=&last[..]).map_err(db)? {
            let (key, value) = entry.map_err(db)?;
            let number = tables::u64_of(&key.value()[9..])?;
            for (index, hash) in decode(value.value())? {
                let at = number.saturating_mul(ROW) + u64::from(index) + 1;
                found.insert(at.saturating_mul(every), hash);
            }
        }
    }
    found.retain(|seq, _| numbers.contains(seq));
    Ok(found)
}

impl Inner {
    /// The hashes that go with a view for a peer that holds `have`: of what it lacks, and one at
    /// or before its newest. `read` is of the same moment as the heads.
    pub(super) fn past(
        &self,
        read: &ReadTransaction,
        heads: &Heads,
        head: &CollectionHead,
        have: &Vector,
    ) -> Result<BTreeMap<Origin, Past>> {
        let log = read.open_table(tables::TRANSACTIONS).map_err(db)?;
        let table = read.open_table(tables::HASHES).map_err(db)?;
        let rule = heads.hashes.of(head.vector.len());
        let differ = head.vector.iter().filter(|(origin, row)| have.seq(origin) != row.seq);
        let mut origins = differ.clone().count();
        let mut room = MAX_VIEW_HASHES;
        let mut all = BTreeMap::new();
        for (origin, row) in differ {
            let share = (room / origins).max(1);
            origins -= 1;
            let Some(number) = heads.origins.number(origin) else { continue };
            let whose = Whose(head.number, number);
            // Who is ahead knows what is here, unless that is long ago.
            let (begin, dense) = match have.seq(origin) {
                ahead if ahead > row.seq => (rule.last_kept(row.seq), row.seq),
                seq => (rule.last_kept(seq), rule.first_dense(row.seq).max(seq)),
            };
            let numbers = begin.max(1)..=row.seq - 1;
            if numbers.is_empty() {
                continue;
            }
            let wanted = |seq: Seq| seq >= dense || seq == rule.last_kept(seq);
            let mut past = kept(&table, whose, rule, &numbers)?;
            past.retain(|seq, _| wanted(*seq));
            let (first, last) = (
                tables::transaction_key(whose.0, whose.1, *numbers.start()),
                tables::transaction_key(whose.0, whose.1, *numbers.end()),
            );
            for entry in log.range(&first[..]..=&last[..]).map_err(db)? {
                let (key, value) = entry.map_err(db)?;
                let seq = tables::u64_of(&key.value()[8..])?;
                if wanted(seq) {
                    past.insert(seq, tables::IndexRow::decode(value.value())?.hash);
                }
            }
            // The oldest is what the peer compares, the newest what it will be asked for.
            let oldest = past.first_key_value().map(|(seq, hash)| (*seq, *hash));
            while past.len() > share {
                past.pop_first();
            }
            if let Some((seq, hash)) = oldest.filter(|(seq, _)| !past.contains_key(seq)) {
                past.pop_first();
                past.insert(seq, hash);
            }
            room = room.saturating_sub(past.len());
            if !past.is_empty() {
                all.insert(*origin, past);
            }
            if room == 0 {
                break;
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use redb::{Database, ReadableDatabase, backends::InMemoryBackend};

    use super::*;

    const WHOSE: Whose = Whose(3, 7);
    const RULE: HashRule = HashRule { dense: 100, every: 10 };

    fn hash(seq: Seq) -> ShortHash {
        ShortHash([seq as u8 ^ (seq >> 8) as u8; 16])
    }

    fn database() -> Database {
        Database::builder().create_with_backend(InMemoryBackend::new()).unwrap()
    }

    fn write(database: &Database, change: impl FnOnce(&mut BytesTable<'_>)) {
        let txn = database.begin_write().unwrap();
        change(&mut txn.open_table(tables::HASHES).unwrap());
        txn.commit().unwrap();
    }

    /// What is known of an origin, and that both ways of asking agree.
    fn known(database: &Database, whose: Whose) -> Vec<Seq> {
        let read = database.begin_read().unwrap();
        let table = read.open_table(tables::HASHES).unwrap();
        let all = kept(&table, whose, RULE, &(1..=2_000)).unwrap();
        for seq in 0..=2_000 {
            let found = hash_at(&table, whose, RULE, seq).unwrap();
            assert_eq!(found, all.get(&seq).copied(), "{seq}");
            assert!(found.is_none_or(|found| found == hash(seq)), "{seq}");
        }
        all.into_keys().collect()
    }

    #[test]
    fn the_newest_are_all_kept_and_of_the_older_ones_some_for_good() {
        let database = database();
        write(&database, |table| {
            let other = BTreeMap::from([(5, hash(5)), (10, hash(10))]);
            keep(table, Whose(3, 8), RULE, 10, &other).unwrap();
            let mut seq = 0;
            for step in [1, 30, 64, 5, 400, 500] {
                let news = (seq + 1..=seq + step).map(|seq| (seq, hash(seq))).collect();
                seq += step;
                keep(table, WHOSE, RULE, seq, &news).unwrap();
            }
            assert_eq!(seq, 1_000);
        });
        let found = known(&database, WHOSE);
        let sparse: Vec<Seq> = found.iter().copied().filter(|seq| *seq <= 896).collect();
        assert_eq!(sparse, (1..=89).map(|n| n * 10).collect::<Vec<_>>());
        assert!(found.ends_with(&(901..=1_000).collect::<Vec<_>>()));
        assert_eq!(known(&database, Whose(3, 8)), [5, 10], "another origin's are its own");
    }

    #[test]
    fn what_is_cut_is_forgotten_and_nothing_before_it() {
        for end in [0, 1, 9, 10, 63, 64, 65, 640, 901, 950, 1_000] {
            let database = database();
            let news = (1..=1_000).map(|seq| (seq, hash(seq))).collect();
            write(&database, |table| keep(table, WHOSE, RULE, 1_000, &news).unwrap());
            let before = known(&database, WHOSE);
            write(&database, |table| cut(table, WHOSE, RULE, end).unwrap());
            let left: Vec<Seq> = before.into_iter().filter(|seq| *seq <= end).collect();
            assert_eq!(known(&database, WHOSE), left, "cut at {end}");
        }
    }
}
