//! Loading many documents, in three threads: the one that calls makes fields of Python's values,
//! batch by batch; a second one makes transactions of them; a third one waits for the disk.
//!
//! Invariants: batches are committed in the order in which they were filled, each whole or not at
//! all; none is there of those after one that failed; when `load` is over, by an error too, nothing
//! of it goes on in the background. What fits into one batch needs no other thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Instant;

use littoral::store::Committing;
use littoral::{ErrorKind, Fields, Store};
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;

use crate::error::{Failure, catch, exception, raise};
use crate::open_store::{OpenStore, PATIENCE, SLICE, waited_in_vain};

/// Bytes of documents, about, after which a batch is written though it has room for more.
const BATCH_BYTES: usize = 4 << 20;
/// Batches that may be on their way to the disk while the next one is filled.
const AHEAD: usize = 3;

type Batch = Vec<(String, Fields)>;

/// Takes documents, and puts them into a collection.
pub(crate) struct Loader<'py> {
    py: Python<'py>,
    open: Arc<OpenStore>,
    collection: String,
    told: Option<Bound<'py, PyAny>>,
    filling: Batch,
    bytes: usize,
    most: usize,
    written: u64,
    committer: Option<Committer>,
}

/// The threads that commit.
struct Committer {
    batches: Option<Sender<Batch>>,
    done: Receiver<Outcome>,
    given_up: Arc<AtomicBool>,
    outstanding: usize,
    threads: [JoinHandle<()>; 2],
    process: u32,
}

/// How many documents were written, or why they were not.
type Outcome = Result<u64, Failure>;

/// Puts the documents that `fill` adds into a collection, `most` to a transaction; tells `told`
/// how many more there are after each, and gives how many there were in all.
pub(crate) fn load<'py>(
    py: Python<'py>,
    open: &Arc<OpenStore>,
    collection: &str,
    most: usize,
    told: Option<Bound<'py, PyAny>>,
    fill: impl FnOnce(&mut Loader<'py>) -> PyResult<()>,
) -> PyResult<u64> {
    let mut loader = Loader {
        py,
        open: open.clone(),
        collection: collection.to_owned(),
        told,
        filling: Vec::new(),
        bytes: 0,
        most: most.max(1),
        written: 0,
        committer: None,
    };
    let mut loaded = fill(&mut loader).and_then(|()| loader.finish());
    if let Err(err) = &loaded
        && !err.is_instance_of::<PyKeyboardInterrupt>(py)
        && let Err(interrupt) = loader.wait_until(0)
        && interrupt.is_instance_of::<PyKeyboardInterrupt>(py)
    {
        // What was handed over before an error is written, unless somebody is out of patience.
        loaded = Err(interrupt);
    }
    if let Some(committer) = loader.committer {
        committer.end(py);
    }
    loaded.map(|()| loader.written)
}

impl Loader<'_> {
    /// Adds a document. Writes those before it, if they are enough.
    pub(crate) fn add(&mut self, id: String, fields: Fields) -> PyResult<()> {
        self.bytes += id.len() + fields.about_bytes();
        self.filling.push((id, fields));
        match self.filling.len() >= self.most || self.bytes >= BATCH_BYTES {
            true => self.hand_over(),
            false => Ok(()),
        }
    }

    fn hand_over(&mut self) -> PyResult<()> {
        // Another thread would wait in vain for a transaction that this one has open.
        self.open.check_not_writing(self.py)?;
        let batch = std::mem::take(&mut self.filling);
        self.bytes = 0;
        let committer = match self.committer.take() {
            Some(committer) => committer,
            None => Committer::start(self.py, &self.open, &self.collection)?,
        };
        let committer = self.committer.insert(committer);
        match committer.batches.as_ref().map(|to| to.send(batch)) {
            Some(Ok(())) => {
                committer.outstanding += 1;
                self.wait_until(AHEAD)?;
            }
            // It has ended, and has told why.
            _ => self.wait_until(0)?,
        }
        self.py.check_signals()
    }

    /// Waits until no more than so many batches are left to be committed.
    fn wait_until(&mut self, most: usize) -> PyResult<()> {
        while let Some(committer) = self.committer.as_mut()
            && committer.outstanding > most
        {
            let done = &mut committer.done;
            match self.py.detach(move || done.recv_timeout(SLICE)) {
                Ok(done) => {
                    committer.outstanding -= 1;
                    self.tell(done.map_err(|failure| raise(self.py, failure))?)?;
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.open.check_process(self.py)?;
                    self.py.check_signals()?;
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(exception(self.py, "InternalError", "the committer is gone"));
                }
            }
        }
        Ok(())
    }

    /// Writes what is left, and waits for all.
    fn finish(&mut self) -> PyResult<()> {
        if self.committer.is_some() {
            if !self.filling.is_empty() {
                self.hand_over()?;
            }
            return self.wait_until(0);
        }
        let batch = std::mem::take(&mut self.filling);
        if batch.is_empty() {
            return Ok(());
        }
        let count = batch.len() as u64;
        let (open, collection) = (self.open.clone(), self.collection.clone());
        open.begin(self.py, PATIENCE, move |txn| put_all(txn, &collection, &batch)?.wait())?;
        self.tell(count)
    }

    fn tell(&mut self, more: u64) -> PyResult<()> {
        self.written += more;
        self.told.as_ref().map_or(Ok(()), |told| told.call1((more,)).map(drop))
    }
}

impl Committer {
    fn start(py: Python<'_>, open: &OpenStore, collection: &str) -> PyResult<Committer> {
        let (store, collection) = (open.get(py)?, collection.to_owned());
        let (batches, waiting) = mpsc::channel::<Batch>();
        let (begun, committing) = mpsc::channel::<(Committing, u64)>();
        let (tell, done) = mpsc::channel::<Outcome>();
        let given_up = Arc::new(AtomicBool::new(false));
        let (over, told) = (given_up.clone(), tell.clone());
        let build = move || {
            for batch in waiting {
                let count = batch.len() as u64;
                let failed = match catch(|| write(&store, &collection, batch, &over)) {
                    Ok(committing) => begun.send((committing, count)).is_err(),
                    Err(failure) => {
                        drop(told.send(Err(failure)));
                        true
                    }
                };
                if failed {
                    return;
                }
            }
        };
        let wait = move || {
            for (committing, count) in committing {
                let wrote = catch(|| committing.wait()).map(|()| count);
                let failed = wrote.is_err();
                if tell.send(wrote).is_err() || failed {
                    return;
                }
            }
        };
        let threads = [thread(py, build)?, thread(py, wait)?];
        let process = std::process::id();
        Ok(Committer { batches: Some(batches), done, given_up, outstanding: 0, threads, process })
    }

    /// Begins no more batches, and waits for the one that was begun.
    fn end(mut self, py: Python<'_>) {
        self.given_up.store(true, Ordering::Relaxed);
        drop(self.batches.take());
        if std::process::id() == self.process {
            // They have caught and told every failure of their own.
            py.detach(|| self.threads.into_iter().for_each(|thread| drop(thread.join())));
        } else {
            // The threads are our parent's.
            std::mem::forget(self.threads);
        }
    }
}

fn thread(py: Python<'_>, work: impl FnOnce() + Send + 'static) -> PyResult<JoinHandle<()>> {
    std::thread::Builder::new()
        .name("littoral-load".to_owned())
        .spawn(work)
        .map_err(|err| exception(py, "StorageError", &format!("no thread to load with: {err}")))
}

/// Begins to commit a batch, as soon as no other transaction is open.
fn write(
    store: &Store,
    collection: &str,
    batch: Batch,
    given_up: &AtomicBool,
) -> littoral::Result<Committing> {
    let deadline = Instant::now() + PATIENCE;
    while !given_up.load(Ordering::Relaxed) && Instant::now() < deadline {
        match store.begin_within(SLICE) {
            Err(err) if err.kind() == ErrorKind::Timeout => {}
            Err(err) => return Err(err),
            Ok(txn) => return put_all(txn, collection, &batch),
        }
    }
    Err(waited_in_vain(PATIENCE))
}

fn put_all(
    mut txn: littoral::Transaction,
    collection: &str,
    batch: &Batch,
) -> littoral::Result<Committing> {
    batch.iter().try_for_each(|(id, fields)| txn.put(collection, id, fields))?;
    txn.commit_begun()
}
