//! The works on one store: load, set, get, scan, open, disk.

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use littoral::{Collection, Options, Result, ScanRange, Store};

use super::failed;
use super::figures::{Row, median, micros};
use super::notes::{BATCH, NOTES, Note, Random, id, note};
use super::plain::{Append, Plain};

/// Bytes of memory for the cache of each: what a node has unless told otherwise.
pub(super) const CACHE_BYTES: usize = 32 << 20;
/// How often what is quick is measured.
pub(super) const ROUNDS: u64 = 5;
/// Single durable writes that are timed, at most.
const SETS: u64 = 200;
/// Notes that are read in a turn, at most.
const GETS: u64 = 1000;
/// Threads that write at once, and the writes of each.
const WRITERS: u64 = 64;
const WRITES: u64 = 20;
/// Transactions that a crash leaves to be applied again: the next one makes the state durable.
const PENDING: u64 = 999;

/// A store and the plain rows beside it.
pub(super) struct Stores {
    pub(super) dir: PathBuf,
    pub(super) docs: u64,
    pub(super) store: Store,
    pub(super) plain: Plain,
    append: Append,
    /// Makes each value that is written another one.
    pub(super) written: u64,
}

impl Stores {
    pub(super) fn open(dir: &Path, docs: u64) -> Result<Stores> {
        Ok(Stores {
            store: options().open(dir.join("store"))?,
            plain: Plain::open(&dir.join("rows.redb"), CACHE_BYTES)?,
            append: Append::open(&dir.join("append"))?,
            dir: dir.to_owned(),
            docs,
            written: 100,
        })
    }

    pub(super) fn close(self) -> Result<()> {
        self.store.close()
    }

    pub(super) fn notes(&self) -> Result<Collection> {
        self.store.collection(NOTES)
    }

    /// Another value than all before.
    pub(super) fn next(&mut self) -> u64 {
        self.written += 1;
        self.written
    }

    pub(super) fn load(&mut self) -> Result<Vec<Row>> {
        let (mut ours, mut theirs) = (Duration::ZERO, Duration::ZERO);
        for first in (0..self.docs).step_by(BATCH as usize) {
            let numbers = first..self.docs.min(first + BATCH);
            let batch: Vec<(String, Note)> = numbers.map(|n| (id(n), note(n))).collect();
            let fields: Vec<_> = batch.iter().map(|(id, note)| (id, note.to_fields())).collect();
            ours += time(|| {
                self.store.write(|txn| {
                    fields.iter().try_for_each(|(id, fields)| txn.put(NOTES, id, fields))
                })
            })?;
            theirs += time(|| self.plain.put(&batch))?;
        }
        let rate = |spent: Duration| self.docs as f64 / spent.as_secs_f64();
        Ok(vec![Row::beside(
            ("W1", "load, 1,000 a transaction", "notes/s"),
            rate(ours),
            rate(theirs),
            "more is better; signed, logged and durable at each transaction",
        )])
    }

    pub(super) fn set(&mut self) -> Result<Vec<Row>> {
        let mut random = Random(1);
        let [mut ours, mut theirs, mut disk] = [const { Vec::new() }; 3];
        let notes = self.notes()?;
        for _ in 0..SETS.min(self.docs) {
            let (n, value) = (random.below(self.docs), self.next());
            ours.push(micros(time(|| notes.set(&id(n), "priority", value))?));
            theirs.push(micros(time(|| self.plain.set(n, value as i64))?));
            disk.push(micros(time(|| self.append.append())?));
        }
        let (one, all) = (median(ours), self.many_writers()?);
        Ok(vec![
            Row::beside(
                ("W2", "set one field", "µs"),
                one,
                median(theirs),
                "half of the writes take less; durable when it returns",
            ),
            Row::alone(
                ("W2", "the disk: append and sync 256 bytes", "µs"),
                median(disk),
                "what no durable write can be faster than here, without Littoral and without redb",
            ),
            all,
        ])
    }

    fn many_writers(&mut self) -> Result<Row> {
        let (first, docs, store) = (self.written, self.docs, self.store.clone());
        self.written += WRITERS * WRITES;
        let number = |writer: u64, n: u64| (writer * 7919 + n * 64) % docs;
        let write = |writer: u64| {
            (0..WRITES).try_for_each(|n| {
                let value = first + 1 + writer * WRITES + n;
                store.write(|txn| txn.set(NOTES, &id(number(writer, n)), "priority", value))
            })
        };
        let ours = time(|| {
            std::thread::scope(|scope| {
                let writers: Vec<_> =
                    (0..WRITERS).map(|writer| scope.spawn(move || write(writer))).collect();
                let ended = |writer: std::thread::ScopedJoinHandle<'_, Result<()>>| {
                    writer.join().unwrap_or_else(|_| Err(failed("write", "a writer panicked")))
                };
                writers.into_iter().try_for_each(ended)
            })
        })?;
        let mut theirs = Duration::ZERO;
        for n in 0..WRITES {
            let rows = (0..WRITERS).map(|writer| number(writer, n)).map(|n| (id(n), note(n)));
            let rows: Vec<_> = rows.collect();
            theirs += time(|| self.plain.put(&rows))?;
        }
        let rate = |spent: Duration| (WRITERS * WRITES) as f64 / spent.as_secs_f64();
        Ok(Row::beside(
            ("W2", "64 threads set one field", "writes/s"),
            rate(ours),
            rate(theirs),
            "more is better; redb writes 64 rows a commit, from one thread",
        ))
    }

    pub(super) fn get(&mut self) -> Result<Vec<Row>> {
        let mut random = Random(2);
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let notes = self.notes()?;
        for _ in 0..ROUNDS {
            let mut numbers = || (0..GETS).map(|_| random.below(self.docs)).collect::<Vec<u64>>();
            let (these, those) = (numbers(), numbers());
            let read = |n: &u64| notes.get(&id(*n)).map(|read| drop(black_box(read)));
            ours.push(micros(time(|| these.iter().try_for_each(read))?) / GETS as f64);
            theirs.push(micros(time(|| self.plain.get_many(&those))?) / GETS as f64);
        }
        Ok(vec![Row::beside(
            ("W3", "get a random note", "µs"),
            median(ours),
            median(theirs),
            "found, read and decoded",
        )])
    }

    pub(super) fn scan(&mut self) -> Result<Vec<Row>> {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let rate = |spent: Duration| self.docs as f64 / spent.as_secs_f64();
        for _ in 0..ROUNDS {
            ours.push(rate(time(|| {
                let all = self.notes()?.scan(&ScanRange::default())?;
                all.into_iter().try_for_each(|read| read.map(|read| drop(black_box(read))))
            })?));
            theirs.push(rate(time(|| self.plain.scan().map(drop))?));
        }
        Ok(vec![Row::beside(
            ("W4", "scan all notes", "notes/s"),
            median(ours),
            median(theirs),
            "more is better; in the order of their ids, decoded",
        )])
    }

    pub(super) fn open_again(&mut self) -> Result<Vec<Row>> {
        let (mut clean, mut theirs, mut crashed) = (Vec::new(), Vec::new(), Vec::new());
        let (dir, rows) = (self.dir.join("store"), self.dir.join("rows.redb"));
        for round in 0..ROUNDS {
            let read = (self.docs / 3 + round) % self.docs;
            let image = self.crash(round)?;
            crashed.push(open(&image, read)?.1);
            fs::remove_dir_all(&image).map_err(|err| failed("remove a copy", err))?;
            self.store.close()?;
            let (store, millis) = open(&dir, read)?;
            self.store = store;
            clean.push(millis);
            // A file can't be opened twice: another one takes its place for a moment.
            self.plain = Plain::open(&self.dir.join("spare.redb"), CACHE_BYTES)?;
            let start = Instant::now();
            self.plain = Plain::open(&rows, CACHE_BYTES)?;
            self.plain.get(read)?;
            theirs.push(start.elapsed().as_secs_f64() * 1e3);
        }
        Ok(vec![
            Row::beside(
                ("W8", "open and read a note", "ms"),
                median(clean),
                median(theirs),
                "after it was closed",
            ),
            Row::alone(
                ("W8", "the same after a crash", "ms"),
                median(crashed),
                "as kill -9 leaves it, with 999 transactions to apply again",
            ),
        ])
    }

    /// A copy of the store's files as a crash would leave them now.
    fn crash(&mut self, round: u64) -> Result<PathBuf> {
        for _ in 0..2 * PENDING {
            let (value, docs) = (self.next(), self.docs);
            let name = id(value * 7919 % docs);
            self.store.write_deferred(|txn| txn.set(NOTES, &name, "priority", value))?;
        }
        self.store.flush()?;
        let (from, to) = (self.dir.join("store"), self.dir.join(format!("crashed-{round}")));
        copy(&from, &to).map_err(|err| failed("copy the store", err))?;
        Ok(to)
    }

    pub(super) fn disk(&mut self) -> Result<Vec<Row>> {
        let log = self.store.stats()?.log_bytes;
        self.store.compact()?;
        let state = length(&self.dir.join("store/state.redb"))?;
        self.store = options().open(self.dir.join("store"))?;
        self.plain.compact()?;
        let plain = length(&self.dir.join("rows.redb"))? as f64 / self.docs as f64;
        let each = |bytes: u64| bytes as f64 / self.docs as f64;
        Ok(vec![
            Row::beside(
                ("D1", "disk, without the log", "B/note"),
                each(state),
                plain,
                "compacted; the log shrinks to its budget as it is written",
            ),
            Row::beside(
                ("D1", "disk, with the log", "B/note"),
                each(state + log),
                plain,
                "the history that peers are sent, with all that was measured before",
            ),
        ])
    }
}

/// As a node opens its store.
pub(super) fn options() -> Options {
    Options::new().cache_bytes(CACHE_BYTES)
}

/// Opens a store and reads a note; gives it, and milliseconds.
fn open(dir: &Path, read: u64) -> Result<(Store, f64)> {
    let start = Instant::now();
    // A copy that stands for the store after a crash is no second machine.
    let store = options().moved(true).open(dir)?;
    black_box(store.collection(NOTES)?.get(&id(read))?);
    Ok((store, start.elapsed().as_secs_f64() * 1e3))
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &target)?,
            false => fs::copy(entry.path(), target).map(drop)?,
        }
    }
    Ok(())
}

fn length(file: &Path) -> Result<u64> {
    let meta = fs::metadata(file).map_err(|err| failed("look at a file", err))?;
    Ok(meta.len())
}

pub(super) fn time(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed())
}
