//! Writing once: a write under a key of its caller, which is done once however often it is asked for.
//!
//! Whoever gets no answer does not know whether a write happened, and an increment must not be sent
//! again. So a caller gives each write a key, and sends the same again until there is an answer.
//!
//! **How it is known whether it happened.** Before the write enters the log, its key is made durable
//! in the state, with the numbers and hashes of the transactions that it is about to be. Whoever asks
//! again under that key is told what the index of transactions says: if one of these is there, all are,
//! since a local write is in the log whole or not at all; if none is, the write was lost, and can't
//! come any more, since its numbers are given to the next. The log need not know of keys; the price is
//! one more sync for a write with a key. A write that fails leaves no key.
//!
//! A key is remembered for a week, and of the newest 10,000 writes with one. It is of this store alone.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | requests | BLAKE3 of the key 32 | `01`; BLAKE3 of what was asked for 32; wall time in ms 8; number 8; position after it 8, 0 if that is not known; count, each: collection as text, origin 36, number as uint, first 16 bytes of its hash |
//! | request order | number 8 | BLAKE3 of the key 32 |

use std::sync::Arc;

use redb::{ReadableDatabase, ReadableTable, ReadableTableMetadata, WriteTransaction};

use super::admission::Index;
use super::queue::Local;
use super::tables::{self, db};
use super::{Inner, Store, Transaction};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Dot, Origin, Position, ShortHash};
use crate::limits::{MAX_REQUEST_KEY_BYTES, MAX_REQUESTS, REQUEST_AGE_MS};
use crate::wire::{Reader, put_bytes, put_uint};

const VERSION: u8 = 1;

/// What came of a write with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrittenOnce {
    /// The position after it in the change feed. The same each time, unless a crash came between the
    /// write and the answer and the log no longer holds the write: then an earlier one.
    pub position: Position,
    /// Whether it had been done before, and nothing was written now.
    pub repeated: bool,
}

/// What is kept of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    /// Of what was asked for.
    print: [u8; 32],
    made_ms: u64,
    number: u64,
    position: Position,
    parts: Vec<(String, Dot, ShortHash)>,
}

impl Request {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(&self.print);
        for number in [self.made_ms, self.number, self.position.0] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        put_uint(&mut out, self.parts.len() as u64);
        for (collection, dot, hash) in &self.parts {
            put_bytes(&mut out, collection.as_bytes());
            out.extend_from_slice(&dot.origin.to_bytes());
            put_uint(&mut out, dot.seq);
            out.extend_from_slice(&hash.0);
        }
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Request> {
        let mut reader = Reader::new(bytes, "request");
        let read = |reader: &mut Reader<'_>| -> Result<Request> {
            if reader.u8()? != VERSION {
                return Err(reader.bad("it has another version"));
            }
            let print = reader.array()?;
            let made_ms = u64::from_be_bytes(reader.array()?);
            let number = u64::from_be_bytes(reader.array()?);
            let position = Position(u64::from_be_bytes(reader.array()?));
            let part = |reader: &mut Reader<'_>| -> Result<_> {
                let collection = reader.str()?.to_owned();
                let origin = Origin::from_bytes(&reader.array()?);
                let dot = Dot { origin, seq: reader.uint()? };
                Ok((collection, dot, ShortHash(reader.array()?)))
            };
            let count = reader.count()?;
            let parts = (0..count).map(|_| part(reader)).collect::<Result<_>>()?;
            Ok(Request { print, made_ms, number, position, parts })
        };
        let request = read(&mut reader).and_then(|request| reader.end().map(|()| request));
        request.map_err(|err| Error::corrupt(err.message()))
    }
}

/// A request, for fuzzing and golden bytes.
pub(super) fn sample() -> Request {
    let origin = Origin { node: crate::id::NodeId::from_bytes([3; 32]), incarnation: 1 };
    Request {
        print: [5; 32],
        made_ms: 1_795_348_800_000,
        number: 7,
        position: Position(400),
        parts: vec![("notes".to_owned(), Dot { origin, seq: 300 }, ShortHash([6; 16]))],
    }
}

/// Reads all of them, for who wants to know whether they can be read; says what is wrong.
pub(super) fn check(read: &redb::ReadTransaction, wrong: &mut Vec<String>) -> Result<()> {
    let (Some(requests), Some(order)) = (
        tables::open_if_there(read, tables::REQUESTS)?,
        tables::open_if_there(read, tables::REQUEST_ORDER)?,
    ) else {
        return Ok(());
    };
    for entry in requests.iter().map_err(db)? {
        let (key, row) = entry.map_err(db)?;
        let number = Request::decode(row.value())?.number;
        if tables::get(&order, &number.to_be_bytes())?.as_deref() != Some(key.value()) {
            wrong.push("a request is not where its number is".to_owned());
        }
    }
    if requests.len().map_err(db)? != order.len().map_err(db)? {
        wrong.push("there are not as many requests as there are numbers of them".to_owned());
    }
    Ok(())
}

impl Store {
    /// Writes, once for each key: whoever asks again under the same key is told of what the first
    /// write came to, and nothing is written, whatever happened between the two. `asked` is what the
    /// write is made from: the same key with something else is an error. A write that fails leaves
    /// no trace of its key.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// let store = littoral::Store::open(dir.path())?;
    /// let count = |txn: &mut littoral::Transaction| txn.increment("notes", "n1", "views", 1);
    /// let first = store.write_once("4711", b"views", count)?;
    /// let again = store.write_once("4711", b"views", count)?;
    /// assert_eq!((first.repeated, again.repeated), (false, true));
    /// assert_eq!(first.position, again.position);
    /// # let notes = store.collection("notes")?;
    /// assert_eq!(notes.get_field("n1", "views")?, Some(littoral::Field::Counter(1)));
    /// # Ok::<(), littoral::Error>(())
    /// ```
    ///
    /// Errors: [`InvalidInput`](ErrorKind::InvalidInput) if the key is empty, or was used for something
    /// else; [`LimitExceeded`](ErrorKind::LimitExceeded) if it has over 128 bytes; those of writing.
    pub fn write_once(
        &self,
        key: &str,
        asked: &[u8],
        write: impl FnOnce(&mut Transaction) -> Result<()>,
    ) -> Result<WrittenOnce> {
        check_key(key)?;
        let key = *blake3::hash(key.as_bytes()).as_bytes();
        let print = *blake3::hash(asked).as_bytes();
        // Whoever comes second under a key waits here, and finds what the first one kept.
        let mut txn = self.begin()?;
        if let Some(position) = self.inner.repeated(&key, &print)? {
            return Ok(WrittenOnce { position, repeated: true });
        }
        write(&mut txn)?;
        let mut kept = None;
        txn.finish_after(|items| {
            kept = Some(self.inner.keep_request(&key, print, items)?);
            Ok(())
        })?;
        let mut request = kept.expect("it is kept before a write is done");
        request.position = self.inner.position_of(&request)?.unwrap_or_else(|| self.position());
        self.inner.keep_position(&key, &request);
        Ok(WrittenOnce { position: request.position, repeated: false })
    }
}

fn check_key(key: &str) -> Result<()> {
    match key.len() {
        0 => Err(Error::invalid("the key of a write must not be empty")),
        len if len > MAX_REQUEST_KEY_BYTES => Err(Error::new(
            ErrorKind::LimitExceeded,
            format!("the key of the write has {len} bytes; {MAX_REQUEST_KEY_BYTES} are allowed"),
        )),
        _ => Ok(()),
    }
}

impl Inner {
    /// The position after a write that was done under a key, if one was. The gate is held.
    fn repeated(&self, key: &[u8; 32], print: &[u8; 32]) -> Result<Option<Position>> {
        let read = self.database()?.begin_read().map_err(db)?;
        let Some(row) = tables::read(&read, tables::REQUESTS, key)? else { return Ok(None) };
        drop(read);
        let mut request = Request::decode(&row)?;
        if self.wall.now_ms().saturating_sub(request.made_ms) > REQUEST_AGE_MS {
            return Ok(None);
        }
        if request.position == Position::default() {
            // It may still be on its way: nothing else enters the queue while the gate is held.
            self.flush()?;
            match self.position_of(&request)? {
                Some(position) => request.position = position,
                None => return Ok(None),
            }
            self.keep_position(key, &request);
        }
        match request.print == *print {
            true => Ok(Some(request.position)),
            false => Err(Error::invalid(
                "this key was used for another write; every write needs a key of its own",
            )),
        }
    }

    /// The position after a write that a request names, if it was done.
    fn position_of(&self, request: &Request) -> Result<Option<Position>> {
        let database = self.database()?;
        let mut entries = Vec::new();
        let mut is_done = false;
        {
            let heads = self.read_heads();
            let index = Index::new(&database);
            for (collection, dot, hash) in &request.parts {
                if index.hash_at(&heads, collection, dot)? == Some(*hash) {
                    is_done = true;
                    entries.extend(index.entry(&heads, collection, dot)?);
                }
            }
        }
        if !is_done {
            return Ok(None);
        }
        let mut after = self.reader.start().max(Position(1));
        for entry in entries {
            match self.reader.read(entry.position, 1) {
                Err(_) if entry.position < self.reader.start() => {}
                records => {
                    let records = records?;
                    let found = records.iter().find(|record| record.position == entry.position);
                    after = after.max(found.map_or(after, |record| record.end));
                }
            }
        }
        Ok(Some(after))
    }

    /// Keeps a key, durably, before its write enters the log. What writes nothing is done by that.
    fn keep_request(
        &self,
        key: &[u8; 32],
        print: [u8; 32],
        items: &[Arc<Local>],
    ) -> Result<Request> {
        let part =
            |item: &Arc<Local>| (item.collection.to_string(), item.txn.dot, item.hash().short());
        let parts: Vec<_> = items.iter().map(part).collect();
        let position = if parts.is_empty() { self.now() } else { Position::default() };
        let made_ms = self.wall.now_ms();
        self.commit_beside(|txn| {
            let number = next_number(txn, key)?;
            let request = Request { print, made_ms, number, position, parts };
            let mut requests = txn.open_table(tables::REQUESTS).map_err(db)?;
            tables::set(&mut requests, key, &request.encode())?;
            let mut order = txn.open_table(tables::REQUEST_ORDER).map_err(db)?;
            tables::set(&mut order, &number.to_be_bytes(), key)?;
            drop((requests, order));
            forget_old(txn, made_ms)?;
            Ok(request)
        })
    }

    fn now(&self) -> Position {
        let applied = self.read_heads().applied;
        applied.min(self.reader.durable()).max(Position(1))
    }

    /// Keeps what a write came to, so that it is known when the log no longer is. That it can't be
    /// kept does no harm now.
    fn keep_position(&self, key: &[u8; 32], request: &Request) {
        let kept = self.commit_loosely(|txn| {
            let mut requests = txn.open_table(tables::REQUESTS).map_err(db)?;
            // It may have gone meanwhile, or be another one's.
            let known =
                tables::get(&requests, key)?.map(|row| Request::decode(&row)).transpose()?;
            match known.is_some_and(|known| known.number == request.number) {
                true => tables::set(&mut requests, key, &request.encode()),
                false => Ok(()),
            }
        });
        if let Err(err) = kept {
            tracing::warn!(reason = err.message(), "the position of a write was not kept");
        }
    }
}

/// A number for a request, which takes the place of one under the same key.
fn next_number(txn: &WriteTransaction, key: &[u8; 32]) -> Result<u64> {
    let requests = txn.open_table(tables::REQUESTS).map_err(db)?;
    let mut order = txn.open_table(tables::REQUEST_ORDER).map_err(db)?;
    let last = order.last().map_err(db)?.map(|(number, _)| tables::u64_of(number.value()));
    let next = last.transpose()?.unwrap_or(0) + 1;
    if let Some(row) = tables::get(&requests, key)? {
        tables::unset(&mut order, &Request::decode(&row)?.number.to_be_bytes())?;
    }
    Ok(next)
}

/// Forgets keys that are too old or too many.
fn forget_old(txn: &WriteTransaction, now_ms: u64) -> Result<()> {
    let mut requests = txn.open_table(tables::REQUESTS).map_err(db)?;
    let mut order = txn.open_table(tables::REQUEST_ORDER).map_err(db)?;
    loop {
        let first = order.first().map_err(db)?;
        let first = first.map(|(number, key)| (number.value().to_vec(), key.value().to_vec()));
        let Some((number, key)) = first else { return Ok(()) };
        let row = tables::get(&requests, &key)?;
        let made_ms = row.map(|row| Request::decode(&row)).transpose()?.map(|one| one.made_ms);
        let is_old = made_ms.is_none_or(|made| now_ms.saturating_sub(made) > REQUEST_AGE_MS);
        if !is_old && order.len().map_err(db)? <= MAX_REQUESTS {
            return Ok(());
        }
        tables::unset(&mut order, &number)?;
        tables::unset(&mut requests, &key)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Options;
    use crate::store::disk::MemDisk;
    use crate::txn::NodeKey;

    #[test]
    fn the_oldest_keys_go_when_there_are_too_many() {
        let options = Options::new().key(NodeKey::from_seed([1; 32]));
        let store = options.open_on(Arc::new(MemDisk::new())).unwrap();
        let key = |n: u64| *blake3::hash(&n.to_be_bytes()).as_bytes();
        let now_ms = sample().made_ms;
        let keep = |txn: &WriteTransaction| {
            for n in 1..=MAX_REQUESTS + 5 {
                let number = next_number(txn, &key(n))?;
                let request = Request { number, ..sample() };
                let mut requests = txn.open_table(tables::REQUESTS).map_err(db)?;
                tables::set(&mut requests, &key(n), &request.encode())?;
                let mut order = txn.open_table(tables::REQUEST_ORDER).map_err(db)?;
                tables::set(&mut order, &number.to_be_bytes(), &key(n))?;
            }
            forget_old(txn, now_ms)
        };
        store.inner.commit_beside(keep).unwrap();
        let read = store.inner.database().unwrap().begin_read().unwrap();
        let is_kept = |n| tables::read(&read, tables::REQUESTS, &key(n)).unwrap().is_some();
        assert_eq!([5, 6, MAX_REQUESTS + 5].map(is_kept), [false, true, true]);
        let mut wrong = Vec::new();
        check(&read, &mut wrong).unwrap();
        assert_eq!(wrong, [] as [&str; 0]);
        store.inner.commit_beside(|txn| forget_old(txn, now_ms + REQUEST_AGE_MS + 1)).unwrap();
        let read = store.inner.database().unwrap().begin_read().unwrap();
        assert_eq!(read.open_table(tables::REQUESTS).unwrap().len().unwrap(), 0);
    }
}
