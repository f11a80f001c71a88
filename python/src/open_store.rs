//! An open store as the Python objects share it: closed once, never touched by a forked
//! child, closed at the latest when the interpreter exits.

use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use littoral::net::{Network, NetworkOptions};
use littoral::{Error, ErrorKind, NodeId, Store};
use pyo3::prelude::*;

use crate::error::{Failure, catch, exception, raise};
use crate::tape::Held;

/// How long to be away from the interpreter before looking for Ctrl-C.
pub(crate) const SLICE: Duration = Duration::from_millis(50);
/// How long a write waits for another one that is open.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The stores of this process that may be open.
static OPEN: Mutex<Vec<Weak<OpenStore>>> = Mutex::new(Vec::new());

/// What all Python objects of one store share.
pub(crate) struct OpenStore {
    store: RwLock<Option<Store>>,
    network: Mutex<Option<Arc<Network>>>,
    /// The pasts that may be held: they end with the store, else its directory would stay locked.
    pasts: Mutex<Vec<Weak<Held>>>,
    process: u32,
    pub(crate) path: PathBuf,
    pub(crate) node: NodeId,
    /// The thread that has a transaction open: it would wait for itself.
    pub(crate) writer: Mutex<Option<ThreadId>>,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl OpenStore {
    pub(crate) fn new(store: Store, path: PathBuf) -> Arc<OpenStore> {
        let node = store.node_id();
        let open = Arc::new(OpenStore {
            store: RwLock::new(Some(store)),
            network: Mutex::new(None),
            pasts: Mutex::new(Vec::new()),
            process: std::process::id(),
            path,
            node,
            writer: Mutex::new(None),
        });
        let mut all = lock(&OPEN);
        all.retain(|open| open.strong_count() > 0);
        all.push(Arc::downgrade(&open));
        open
    }

    /// Refuses to go on in a child that was forked while the store was open.
    pub(crate) fn check_process(&self, py: Python<'_>) -> PyResult<()> {
        check_process(py, self.process)
    }

    /// The store, unless it is closed.
    pub(crate) fn get(&self, py: Python<'_>) -> PyResult<Store> {
        self.check_process(py)?;
        let store = self.store.read().unwrap_or_else(PoisonError::into_inner);
        store.clone().ok_or_else(|| {
            raise(py, Error::new(ErrorKind::Closed, "the store is closed; open it again").into())
        })
    }

    /// Takes note of a past, which is let go when the store is closed.
    pub(crate) fn hold(&self, py: Python<'_>, held: &Arc<Held>) -> PyResult<()> {
        {
            let mut pasts = lock(&self.pasts);
            pasts.retain(|past| past.strong_count() > 0);
            pasts.push(Arc::downgrade(held));
        }
        // Closed meanwhile: then nobody else lets it go.
        self.get(py).inspect_err(|_| drop(lock(held).take())).map(drop)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.store.read().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Runs `call` on the store, away from the interpreter.
    pub(crate) fn run<T: Send>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&Store) -> littoral::Result<T> + Send,
    ) -> PyResult<T> {
        let store = self.get(py)?;
        detached(py, move || call(&store))
    }

    /// Runs a `call` that may take long, or wait, on the store: Ctrl-C ends the wait for it.
    pub(crate) fn run_long<T: Send + 'static>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&Store) -> littoral::Result<T> + Send + 'static,
    ) -> PyResult<T> {
        let store = self.get(py)?;
        interruptible(py, move || call(&store))
    }

    /// Opens a transaction, hands it to `call`, and waits for another one that is open for up
    /// to `patience`. Ctrl-C ends the waiting.
    pub(crate) fn begin<T: Send>(
        &self,
        py: Python<'_>,
        patience: Duration,
        call: impl FnOnce(littoral::Transaction) -> littoral::Result<T> + Send,
    ) -> PyResult<T> {
        let deadline = Instant::now() + patience;
        let mut call = Some(call);
        loop {
            let store = self.get(py)?;
            self.check_not_writing(py)?;
            let slice = SLICE.min(deadline.saturating_duration_since(Instant::now()));
            let begun = detached(py, || match store.begin_within(slice) {
                Err(err) if err.kind() == ErrorKind::Timeout => Ok(None),
                Err(err) => Err(err),
                Ok(txn) => call.take().map(|call| call(txn)).transpose(),
            })?;
            match begun {
                Some(done) => return Ok(done),
                None if Instant::now() < deadline => py.check_signals()?,
                None => return Err(raise(py, waited_in_vain(patience).into())),
            }
        }
    }

    /// Refuses to write beside a transaction that this thread has open.
    pub(crate) fn check_not_writing(&self, py: Python<'_>) -> PyResult<()> {
        match *lock(&self.writer) == Some(std::thread::current().id()) {
            false => Ok(()),
            true => Err(exception(
                py,
                "NestedWriteError",
                "this thread has a transaction open, and would wait for itself: write through \
                 that transaction (tx['notes'][id] = ...), or end it first",
            )),
        }
    }

    /// Closes the store; harmless if it is closed.
    pub(crate) fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.check_process(py)?;
        let taken = self.store.write().unwrap_or_else(PoisonError::into_inner).take();
        let Some(store) = taken else { return Ok(()) };
        detached(py, move || {
            let network = lock(&self.network).take();
            if let Some(network) = network {
                network.close();
            }
            for past in lock(&self.pasts).drain(..).filter_map(|past| past.upgrade()) {
                drop(lock(&past).take());
            }
            store.close()
        })
    }

    /// The network of the store, which starts with the first call.
    pub(crate) fn network(&self, py: Python<'_>) -> PyResult<Arc<Network>> {
        let store = self.get(py)?;
        detached(py, move || {
            let mut network = lock(&self.network);
            if self.is_closed() {
                return Err(Error::new(ErrorKind::Closed, "the store is closed; open it again"));
            }
            if network.is_none() {
                *network = Some(Arc::new(Network::start(&store, NetworkOptions::default())?));
            }
            Ok(network.as_ref().expect("just started").clone())
        })
    }

    /// The network, if it was started.
    pub(crate) fn started_network(&self, py: Python<'_>) -> PyResult<Option<Arc<Network>>> {
        self.check_process(py)?;
        Ok(py.detach(|| lock(&self.network).clone()))
    }
}

impl Drop for OpenStore {
    fn drop(&mut self) {
        if std::process::id() != self.process {
            // The files are our parent's.
            let store = self.store.get_mut().unwrap_or_else(PoisonError::into_inner);
            std::mem::forget(store.take());
            let network = self.network.get_mut().unwrap_or_else(PoisonError::into_inner);
            std::mem::forget(network.take());
        }
    }
}

/// What is said to who has waited so long for another transaction.
pub(crate) fn waited_in_vain(patience: Duration) -> Error {
    let message = format!(
        "another transaction of this store has been open for over {} s; end its 'with' block",
        patience.as_secs_f64()
    );
    Error::new(ErrorKind::Timeout, message)
}

/// Runs `call` away from the interpreter; its failure is an exception.
pub(crate) fn detached<T: Send>(
    py: Python<'_>,
    call: impl FnOnce() -> littoral::Result<T> + Send,
) -> PyResult<T> {
    let result: Result<T, Failure> = py.detach(|| catch(call));
    result.map_err(|failure| raise(py, failure))
}

/// Runs a `call` that may take long, or wait, on a thread of its own, so that Ctrl-C ends the wait
/// for it. What it has begun it goes on with there, to its end.
pub(crate) fn interruptible<T: Send + 'static>(
    py: Python<'_>,
    call: impl FnOnce() -> littoral::Result<T> + Send + 'static,
) -> PyResult<T> {
    let process = std::process::id();
    let (done, result) = mpsc::channel::<Result<T, Failure>>();
    std::thread::Builder::new()
        .name("littoral-call".to_owned())
        .spawn(move || drop(done.send(catch(call))))
        .map_err(|err| exception(py, "StorageError", &format!("no thread to wait on: {err}")))?;
    let result = Mutex::new(result);
    loop {
        // A handler of a signal may have forked: the thread is our parent's.
        check_process(py, process)?;
        match py.detach(|| lock(&result).recv_timeout(SLICE)) {
            Ok(result) => return result.map_err(|failure| raise(py, failure)),
            Err(RecvTimeoutError::Timeout) => py.check_signals()?,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(exception(py, "InternalError", "the thread that waited is gone"));
            }
        }
    }
}

/// Refuses to go on in a child of `process`.
fn check_process(py: Python<'_>, process: u32) -> PyResult<()> {
    match std::process::id() == process {
        true => Ok(()),
        false => Err(exception(
            py,
            "ForkError",
            "this process was forked while the store was open, and a store belongs to the \
             process that opened it; open it after the fork, or use the start method 'spawn'",
        )),
    }
}

/// Something that belongs to the process it was made in: a forked child leaves it alone.
pub(crate) struct Owned<T> {
    value: Option<T>,
    process: u32,
}

impl<T> Owned<T> {
    pub(crate) fn new(value: T) -> Owned<T> {
        Owned { value: Some(value), process: std::process::id() }
    }

    pub(crate) fn get_mut(&mut self) -> Option<&mut T> {
        self.value.as_mut()
    }

    pub(crate) fn take(&mut self) -> Option<T> {
        self.value.take()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        if std::process::id() != self.process {
            std::mem::forget(self.value.take());
        }
    }
}

/// Closes all stores of this process: called when the interpreter exits.
#[pyfunction]
pub(crate) fn close_all(py: Python<'_>) {
    // A forked child runs this too; a lock held at the fork would never be let go.
    let Ok(mut all) = OPEN.try_lock() else { return };
    let stores: Vec<Arc<OpenStore>> = all.drain(..).filter_map(|open| open.upgrade()).collect();
    drop(all);
    for store in stores {
        // Nobody is left to hear of it.
        let _ = store.close(py);
    }
}
