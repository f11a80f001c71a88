//! The log of conflicts: each that ever arose here, whether it is over or not.
//!
//! Whoever changes a document that is in conflict before or after ([`apply`](crate::store::apply))
//! has it compared with what is noted as open of it, in the same redb transaction. So a document
//! without conflicts costs nothing. Of a large one only the fields at its top that were touched are
//! looked at: conflicts below one of them depend on nothing else.
//!
//! # Invariants
//! 1. What is open says exactly what [`Store::conflicts`] gives, at each commit, but for collections
//!    that hold no such document.
//! 2. The oldest entries go when there are too many, open or not; that a conflict is open is kept
//!    apart, so that it does not arise again.
//! 3. Values are cut ([`MAX_LOGGED_VALUE_BYTES`](crate::limits::MAX_LOGGED_VALUE_BYTES)); all else
//!    is whole.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | conflict log | number 8; nothing: the [`tally`](super::tally) | see [`conflict`](super::conflict) |
//! | open conflicts | collection number, id | count, each: path as text, its number as uint; in the order of paths |

use std::collections::{BTreeMap, BTreeSet};

use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, WriteTransaction};

use super::conflict::{
    ConflictCause, ConflictEnd, ConflictNote, ConflictOutcome, LoggedConflict, LoggedValue,
    read_path,
};
use super::tally::{Budget, Tally};
use crate::crdt::{Op, Row, key, view};
use crate::error::{Error, ErrorKind, Result};
use crate::limits::{MAX_CONFLICT_LOG_BYTES, MAX_CONFLICT_LOG_PAGE, MAX_LOGGED_CONFLICTS};
use crate::store::Store;
use crate::store::commit::set_durability;
use crate::store::documents;
use crate::store::heads::Heads;
use crate::store::tables::{self, LazyTable, Tables, Writable, db, set, unset};
use crate::value::Path;
use crate::wire::{Reader, put_bytes, put_uint};

/// Top-level fields touched by one change that are looked at one by one; of more, the whole is.
const MOST_FIELDS: usize = 64;

/// Some logged conflicts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConflictLogPage {
    /// In the order in which they arose.
    pub entries: Vec<LoggedConflict>,
    /// The number to ask after for the next ones, if there may be more.
    pub next: Option<u64>,
    /// How many are gone, since there were too many: those with the numbers up to this.
    pub gone: u64,
}

/// Which logged conflicts are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConflictLogFilter {
    /// Of this collection.
    pub collection: Option<String>,
    /// And of this document.
    pub id: Option<String>,
    /// Only those that are open, or only those that are over.
    pub open: Option<bool>,
}

/// What changed of a document.
pub(in crate::store) struct Scene<'a> {
    pub(in crate::store) collection: &'a str,
    pub(in crate::store) number: u32,
    pub(in crate::store) id: &'a str,
    pub(in crate::store) now_ms: u64,
    pub(in crate::store) cause: ConflictCause,
    /// Its cells now; of some fields alone, if `fields` says which.
    pub(in crate::store) row: &'a Row,
    pub(in crate::store) fields: Option<&'a BTreeSet<Vec<u8>>>,
}

/// The fields at the top of a document that operations touch, as the beginnings of keys; `None` if
/// that may be any.
pub(in crate::store) fn touched(ops: &[Op]) -> Option<BTreeSet<Vec<u8>>> {
    let mut fields = BTreeSet::new();
    for op in ops {
        let key = match op {
            Op::Put { key, .. }
            | Op::Add { key, .. }
            | Op::Continue { key, .. }
            | Op::Settle { key, .. } => key,
            Op::Clear { prefix, .. } => prefix,
        };
        match key::first_field(key) {
            Some(field) if !fields.contains(field) => {
                fields.insert(field.to_vec());
            }
            Some(_) => {}
            // The marker of the document alone decides no conflict; a clear of all does.
            None if matches!(op, Op::Put { .. }) => {}
            None => return None,
        }
        if fields.len() > MOST_FIELDS {
            return None;
        }
    }
    Some(fields)
}

/// Brings what is noted of a document in step with what it holds. Gives how many conflicts arose and
/// how many ended.
pub(in crate::store) fn settle(
    log: &mut LazyTable<'_>,
    open: &mut LazyTable<'_>,
    scene: &Scene<'_>,
) -> Result<(u64, u64)> {
    let place = tables::document_key(scene.number, scene.id);
    let mut known = match tables::get(open, &place)? {
        Some(bytes) => decode_open(&bytes)?,
        None => BTreeMap::new(),
    };
    let found: BTreeMap<Path, Vec<view::Candidate>> = view::conflicts(scene.row)
        .into_iter()
        .map(|conflict| (conflict.path, conflict.candidates))
        .collect();
    let over: Vec<Path> = known
        .keys()
        .filter(|path| scene.sees(path) && !found.contains_key(path))
        .cloned()
        .collect();
    let log = log.opened()?;
    let mut tally = Tally::read(log)?;
    for path in &over {
        let number = known.remove(path).expect("it is one of them");
        let (how, value) = scene.outcome(path);
        let Some(mut entry) = entry(log, number)? else { continue };
        entry.ended = Some(ConflictEnd { time_ms: scene.now_ms, how, by: scene.cause, value });
        tally.put(log, number, &entry.encode())?;
    }
    let mut arisen = 0;
    for (path, sides) in found {
        if let Some(number) = known.get(&path) {
            if let Some(mut entry) = entry(log, *number)?
                && entry.stands(&sides)
            {
                tally.put(log, *number, &entry.encode())?;
            }
            continue;
        }
        arisen += 1;
        tally.newest += 1;
        let entry = scene.arose(tally.newest, &path, &sides);
        tally.put(log, tally.newest, &entry.encode())?;
        known.insert(path, tally.newest);
    }
    tally.keep_within(log, BUDGET)?;
    match known.is_empty() {
        true => unset(open, &place)?,
        false => set(open, &place, &encode_open(&known))?,
    }
    Ok((arisen, over.len() as u64))
}

const BUDGET: Budget = Budget { rows: MAX_LOGGED_CONFLICTS, bytes: MAX_CONFLICT_LOG_BYTES };

impl Scene<'_> {
    /// Whether what is at a path is among the cells that are looked at.
    fn sees(&self, path: &Path) -> bool {
        let Some(fields) = self.fields else { return true };
        path.names().first().is_some_and(|name| {
            let mut field = Vec::new();
            key::push_field(&mut field, name);
            fields.contains(&field)
        })
    }

    fn arose(&self, number: u64, path: &Path, sides: &[view::Candidate]) -> LoggedConflict {
        let mut entry = LoggedConflict {
            number,
            collection: self.collection.to_owned(),
            id: self.id.to_owned(),
            path: path.clone(),
            arose_ms: self.now_ms,
            by: self.cause,
            candidates: Vec::new(),
            more: 0,
            ended: None,
            notes: Vec::new(),
        };
        entry.stands(sides);
        entry
    }

    /// How a conflict at a path has ended, and what is shown there.
    fn outcome(&self, path: &Path) -> (ConflictOutcome, Option<LoggedValue>) {
        if let Some(field) = view::field(self.row, path) {
            return (ConflictOutcome::Settled, Some(LoggedValue::of(&field)));
        }
        let names = path.names();
        let above = (1..names.len())
            .filter_map(|depth| view::field(self.row, &Path::from(names[..depth].to_vec())));
        let is_hidden = above.into_iter().any(|field| field.as_map().is_none());
        match is_hidden {
            true => (ConflictOutcome::Hidden, None),
            false => (ConflictOutcome::Removed, None),
        }
    }
}

fn entry(
    log: &impl ReadableTable<&'static [u8], &'static [u8]>,
    number: u64,
) -> Result<Option<LoggedConflict>> {
    let row = tables::get(log, &number.to_be_bytes())?;
    row.map(|row| LoggedConflict::decode(number, &row)).transpose()
}

fn encode_open(open: &BTreeMap<Path, u64>) -> Vec<u8> {
    let mut out = Vec::new();
    put_uint(&mut out, open.len() as u64);
    for (path, number) in open {
        put_bytes(&mut out, path.to_string().as_bytes());
        put_uint(&mut out, *number);
    }
    out
}

fn decode_open(bytes: &[u8]) -> Result<BTreeMap<Path, u64>> {
    let mut reader = Reader::new(bytes, "row of open conflicts");
    let read = |reader: &mut Reader<'_>| -> Result<BTreeMap<Path, u64>> {
        let count = reader.count()?;
        let mut open = BTreeMap::new();
        for _ in 0..count {
            let path = read_path(reader)?;
            if open.last_key_value().is_some_and(|(last, _)| *last >= path) {
                return Err(reader.bad("its paths do not ascend"));
            }
            open.insert(path, reader.uint()?);
        }
        Ok(open)
    };
    let open = read(&mut reader).and_then(|open| reader.end().map(|()| open));
    open.map_err(|err| Error::corrupt(err.message()))
}

/// Reads a row of open conflicts and writes it again, for fuzzing.
pub(in crate::store) fn read_back_open(bytes: &[u8]) {
    if let Ok(open) = decode_open(bytes) {
        assert_eq!(encode_open(&open), bytes, "open conflicts");
    }
}

/// A row of open conflicts, for fuzzing and golden bytes.
pub(in crate::store) fn sample_open() -> Vec<u8> {
    encode_open(&BTreeMap::from([(Path::from("a/b"), 7), (Path::from(["x", "y"]), 300)]))
}

/// Ends what is open of a collection that is dropped.
pub(in crate::store) fn leave(tables: &mut Tables<'_>, number: u32, now_ms: u64) -> Result<()> {
    let (start, stop) = (number.to_be_bytes(), (number + 1).to_be_bytes());
    let mut ended = Vec::new();
    for row in tables.open_conflicts.range(&start[..]..&stop[..]).map_err(db)? {
        let (_, bytes) = row.map_err(db)?;
        ended.extend(decode_open(bytes.value())?.into_values());
    }
    if ended.is_empty() {
        return Ok(());
    }
    let log = tables.conflict_log.opened()?;
    let mut tally = Tally::read(log)?;
    for number in ended {
        let Some(mut entry) = entry(log, number)? else { continue };
        let (how, by) = (ConflictOutcome::Left, ConflictCause::Unknown);
        entry.ended = Some(ConflictEnd { time_ms: now_ms, how, by, value: None });
        tally.put(log, number, &entry.encode())?;
    }
    tally.keep_within(log, BUDGET)?;
    let open = tables.open_conflicts.opened()?;
    open.retain_in::<&[u8], _>(&start[..]..&stop[..], |_, _| false).map_err(db)
}

/// Notes what a document holds that was changed past the waist.
pub(in crate::store) fn reconcile(
    tables: &mut Tables<'_>,
    heads: &Heads,
    (collection, number): (&str, u32),
    id: &str,
    now_ms: u64,
) -> Result<()> {
    let row = documents::read_in(&tables.documents, &tables.runs, &heads.origins, number, id)?;
    let cause = ConflictCause::Unknown;
    let scene = Scene { collection, number, id, now_ms, cause, row: &row, fields: None };
    settle(&mut tables.conflict_log, &mut tables.open_conflicts, &scene).map(drop)
}

/// Makes the tables that the version which made the store did not know, with what they say of the
/// documents that are there.
pub(in crate::store) fn begin(database: &Database, heads: &Heads, now_ms: u64) -> Result<()> {
    let read = database.begin_read().map_err(db)?;
    let mut lacking = Vec::new();
    for definition in tables::LATER {
        if tables::open_if_there(&read, definition)?.is_none() {
            lacking.push(definition);
        }
    }
    if lacking.is_empty() {
        return Ok(());
    }
    let mut txn = database.begin_write().map_err(db)?;
    set_durability(&mut txn, true)?;
    for definition in &lacking {
        txn.open_table(*definition).map_err(db)?;
    }
    if tables::open_if_there(&read, tables::OPEN_CONFLICTS)?.is_none() {
        note_present(&read, &txn, heads, now_ms)?;
    }
    drop(read);
    txn.commit().map_err(db)
}

/// Notes the conflicts that are there already.
fn note_present(
    read: &ReadTransaction,
    txn: &WriteTransaction,
    heads: &Heads,
    now_ms: u64,
) -> Result<()> {
    let mut tables = Tables::open(txn)?;
    let listed = read.open_table(tables::CONFLICTS).map_err(db)?;
    for head in heads.iter() {
        let (start, stop) = (head.number.to_be_bytes(), (head.number + 1).to_be_bytes());
        for entry in listed.range(&start[..]..&stop[..]).map_err(db)? {
            let (key, _) = entry.map_err(db)?;
            let id = tables::document_id(key.value())?;
            reconcile(&mut tables, heads, (&head.name, head.number), id, now_ms)?;
        }
    }
    Ok(())
}

/// Reads all of it, for who wants to know whether it can be read; says what is wrong.
pub(in crate::store) fn check(read: &ReadTransaction, wrong: &mut Vec<String>) -> Result<()> {
    let (Some(log), Some(open)) = (
        tables::open_if_there(read, tables::CONFLICT_LOG)?,
        tables::open_if_there(read, tables::OPEN_CONFLICTS)?,
    ) else {
        return Ok(());
    };
    let mut going_on = BTreeSet::new();
    let tally = Tally::check(&log, "a logged conflict", wrong, |number, row| {
        if LoggedConflict::decode(number, row)?.ended.is_none() {
            going_on.insert(number);
        }
        Ok(())
    })?;
    let listed = read.open_table(tables::CONFLICTS).map_err(db)?;
    let mut keys = BTreeSet::new();
    for entry in open.iter().map_err(db)? {
        let (key, row) = entry.map_err(db)?;
        for (_, number) in decode_open(row.value())? {
            if !going_on.remove(&number) && number > tally.dropped {
                wrong.push("a conflict is open and its entry in the log is not".to_owned());
            }
        }
        keys.insert(key.value().to_vec());
    }
    if !going_on.is_empty() {
        wrong.push("an entry of the log of conflicts is open and its conflict is not".to_owned());
    }
    for entry in listed.iter().map_err(db)? {
        let (key, _) = entry.map_err(db)?;
        if !keys.remove(key.value()) {
            wrong.push("a document is in conflict of which none is open".to_owned());
        }
    }
    if !keys.is_empty() {
        wrong.push("a conflict is open of a document that is in none".to_owned());
    }
    Ok(())
}

impl Store {
    /// The conflicts that ever arose here, after the number `after` (0: from the oldest that is
    /// kept), at most `limit` of them and at most 1,000.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// let store = littoral::Store::open(dir.path())?;
    /// let page = store.conflict_log(0, &Default::default(), 100)?;
    /// assert!(page.entries.is_empty() && page.next.is_none());
    /// # Ok::<(), littoral::Error>(())
    /// ```
    ///
    /// Errors: [`Closed`](ErrorKind::Closed), I/O.
    pub fn conflict_log(
        &self,
        after: u64,
        wanted: &ConflictLogFilter,
        limit: usize,
    ) -> Result<ConflictLogPage> {
        let limit = limit.min(MAX_CONFLICT_LOG_PAGE);
        let read = self.inner.database()?.begin_read().map_err(db)?;
        let log = read.open_table(tables::CONFLICT_LOG).map_err(db)?;
        let gone = Tally::read(&log)?.dropped;
        let mut page = ConflictLogPage { gone, ..ConflictLogPage::default() };
        let Some(first) = after.checked_add(1) else { return Ok(page) };
        for row in log.range(&first.to_be_bytes()[..]..).map_err(db)? {
            let (key, row) = row.map_err(db)?;
            let entry = LoggedConflict::decode(tables::u64_of(key.value())?, row.value())?;
            if !wanted.takes(&entry) {
                continue;
            }
            if page.entries.len() >= limit {
                page.next = Some(page.entries.last().map_or(after, |last| last.number));
                break;
            }
            page.entries.push(entry);
        }
        Ok(page)
    }

    /// One conflict of the log.
    ///
    /// Errors: [`NotFound`](ErrorKind::NotFound) if there is none of this number, or it is gone.
    pub fn logged_conflict(&self, number: u64) -> Result<LoggedConflict> {
        let read = self.inner.database()?.begin_read().map_err(db)?;
        let log = read.open_table(tables::CONFLICT_LOG).map_err(db)?;
        entry(&log, number)?.ok_or_else(|| no_entry(number))
    }

    /// Writes down what somebody has to say about a conflict, open or over: durable when this
    /// returns. Gives the conflict as it is now.
    ///
    /// Errors: [`NotFound`](ErrorKind::NotFound) if there is none of this number, or it is gone;
    /// [`LimitExceeded`](ErrorKind::LimitExceeded) if it has 32 notes, the text over 2,048 bytes or
    /// the author over 128.
    pub fn note_conflict(&self, number: u64, author: &str, text: &str) -> Result<LoggedConflict> {
        let time_ms = self.inner.wall.now_ms();
        let note = ConflictNote { author: author.to_owned(), time_ms, text: text.to_owned() };
        self.inner.commit_beside(|txn| {
            let mut log = txn.open_table(tables::CONFLICT_LOG).map_err(db)?;
            let mut entry = entry(&log, number)?.ok_or_else(|| no_entry(number))?;
            entry.annotate(note)?;
            let mut tally = Tally::read(&log)?;
            tally.put(&mut log, number, &entry.encode())?;
            tally.keep_within(&mut log, BUDGET)?;
            Ok(entry)
        })
    }
}

fn no_entry(number: u64) -> Error {
    let sentence = format!("there is no conflict number {number} in the log, or no more");
    Error::new(ErrorKind::NotFound, sentence)
}

impl ConflictLogFilter {
    fn takes(&self, entry: &LoggedConflict) -> bool {
        let is = |wanted: &Option<String>, it: &str| wanted.as_deref().is_none_or(|one| one == it);
        is(&self.collection, &entry.collection)
            && is(&self.id, &entry.id)
            && self.open.is_none_or(|open| open == entry.ended.is_none())
    }
}
