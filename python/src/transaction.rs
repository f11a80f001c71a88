//! An open transaction: reads see what it wrote; it ends by commit or rollback, once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use littoral::{Document, Error, ErrorKind, NodeId};
use pyo3::prelude::*;

use crate::open_store::{OpenStore, Owned, detached, lock};
use crate::ops::{self, Door};
use crate::value;
use crate::version::Version;

/// A local write over any number of collections: all of it happens, or nothing.
#[pyclass(frozen, module = "littoral._native")]
pub(crate) struct Transaction {
    open: Arc<OpenStore>,
    txn: Mutex<Owned<littoral::Transaction>>,
    committed: Arc<AtomicBool>,
    /// The documents written, by collection.
    touched: Mutex<BTreeMap<String, BTreeSet<String>>>,
}

impl Transaction {
    pub(crate) fn begin(
        py: Python<'_>,
        open: &Arc<OpenStore>,
        patience: Duration,
    ) -> PyResult<Transaction> {
        let txn = open.begin(py, patience, Ok)?;
        *lock(&open.writer) = Some(std::thread::current().id());
        Ok(Transaction {
            open: open.clone(),
            txn: Mutex::new(Owned::new(txn)),
            committed: Arc::new(AtomicBool::new(false)),
            touched: Mutex::default(),
        })
    }

    fn end(&self, py: Python<'_>) -> PyResult<Option<littoral::Transaction>> {
        self.open.check_process(py)?;
        let txn = py.detach(|| lock(&self.txn).take());
        if txn.is_some() {
            *lock(&self.open.writer) = None;
        }
        Ok(txn)
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let txn = self.txn.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        if txn.get_mut().is_some() {
            // In a forked child the lock may be held for ever.
            if let Ok(mut writer) = self.open.writer.try_lock() {
                *writer = None;
            }
        }
    }
}

impl Door for Transaction {
    fn node(&self) -> NodeId {
        self.open.node
    }

    fn fate(&self) -> Option<&Arc<AtomicBool>> {
        Some(&self.committed)
    }

    fn touch(&self, collection: &str, id: &str) {
        let mut touched = lock(&self.touched);
        if !touched.contains_key(collection) {
            touched.insert(collection.to_owned(), BTreeSet::new());
        }
        if let Some(ids) = touched.get_mut(collection)
            && !ids.contains(id)
        {
            ids.insert(id.to_owned());
        }
    }

    fn write<T: Send>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&mut littoral::Transaction) -> littoral::Result<T> + Send,
    ) -> PyResult<T> {
        self.open.get(py)?;
        detached(py, || match lock(&self.txn).get_mut() {
            Some(txn) => call(txn),
            None => Err(Error::new(
                ErrorKind::Closed,
                "the transaction is over; open another one with store.write()",
            )),
        })
    }
}

#[pymethods]
impl Transaction {
    /// Commits: durable and visible when this returns.
    fn commit(&self, py: Python<'_>) -> PyResult<()> {
        let Some(txn) = self.end(py)? else {
            let over = Error::new(ErrorKind::Closed, "the transaction is over already");
            return Err(crate::error::raise(py, over.into()));
        };
        detached(py, || txn.commit())?;
        self.committed.store(true, Ordering::Release);
        Ok(())
    }

    /// Gives up everything that was written; harmless if the transaction is over.
    fn rollback(&self, py: Python<'_>) -> PyResult<()> {
        let txn = self.end(py)?;
        py.detach(|| drop(txn));
        Ok(())
    }

    fn get<'py>(
        &self,
        py: Python<'py>,
        collection: &str,
        id: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let id = value::id_of(id)?;
        let found = self.write(py, |txn| txn.get(collection, &id))?;
        found.map(|document| self.hand_out(py, collection, document)).transpose()
    }

    /// Whether it was committed or rolled back.
    #[getter]
    fn over(&self, py: Python<'_>) -> PyResult<bool> {
        self.open.check_process(py)?;
        Ok(py.detach(|| lock(&self.txn).get_mut().is_none()))
    }

    /// The ids of the documents that were written here, in order.
    fn touched(&self, collection: &str) -> Vec<String> {
        lock(&self.touched).get(collection).into_iter().flatten().cloned().collect()
    }

    /// The document, or an empty one that a put begins.
    fn get_or_absent<'py>(
        &self,
        py: Python<'py>,
        collection: &str,
        id: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let id = value::id_of(id)?;
        let found = self.write(py, |txn| txn.get(collection, &id))?;
        self.hand_out(py, collection, found.unwrap_or_else(|| Document::absent(&id)))
    }

    /// The field at a path, in a tuple; None if it is not there.
    fn get_field<'py>(
        &self,
        py: Python<'py>,
        collection: &str,
        id: &Bound<'py, PyAny>,
        path: &Bound<'py, PyAny>,
    ) -> PyResult<Option<(Bound<'py, PyAny>,)>> {
        let (id, path) = (value::id_of(id)?, value::path_of(path)?);
        let found = self.write(py, |txn| txn.get_field(collection, &id, &path))?;
        found.map(|field| Ok((value::field_to_py(py, &field)?,))).transpose()
    }

    /// Whether the set at a path has an element.
    fn has(
        &self,
        py: Python<'_>,
        collection: &str,
        id: &Bound<'_, PyAny>,
        path: &Bound<'_, PyAny>,
        element: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let (id, path) = (value::id_of(id)?, value::path_of(path)?);
        let element = value::element_of(element).map_err(|bad| bad.raise_at(py, &path))?;
        self.write(py, |txn| txn.has(collection, &id, &path, element))
    }

    fn contains(&self, py: Python<'_>, collection: &str, id: &Bound<'_, PyAny>) -> PyResult<bool> {
        let id = value::id_of(id)?;
        self.write(py, |txn| Ok(txn.get(collection, &id)?.is_some()))
    }

    #[pyo3(signature = (collection, id, fields, version=None))]
    fn put(
        &self,
        py: Python<'_>,
        collection: &str,
        id: &Bound<'_, PyAny>,
        fields: &Bound<'_, PyAny>,
        version: Option<&Bound<'_, Version>>,
    ) -> PyResult<()> {
        ops::put(self, py, collection, id, fields, version)
    }

    fn merge(
        &self,
        py: Python<'_>,
        collection: &str,
        id: &Bound<'_, PyAny>,
        fields: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        ops::merge(self, py, collection, id, fields)
    }

    #[pyo3(signature = (collection, id, version=None))]
    fn delete(
        &self,
        py: Python<'_>,
        collection: &str,
        id: &Bound<'_, PyAny>,
        version: Option<&Bound<'_, Version>>,
    ) -> PyResult<bool> {
        ops::delete(self, py, collection, id, version)
    }

    fn set(
        &self,
        py: Python<'_>,
        collection: &str,
        id: &Bound<'_, PyAny>,
        path: &Bound<'_, PyAny>,
        field: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        ops::set(self, py, collection, id, path, field)
    }

    fn unset(
        &self,
        py: Python<'_>,
        collection: &str,
        id: &Bound<'_, PyAny>,
        path: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        ops::unset(self, py, collection, id, path)
    }

    fn add(
        &self,
        py: Python<'_>,
        collection: &str,
        id: &Bound<'_, PyAny>,
        path: &Bound<'_, PyAny>,
        element: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        ops::add(self, py, collection, id, path, element)
    }

    fn remove(
        &self,
        py: Python<'_>,
        collection: &str,
        id: &Bound<'_, PyAny>,
        path: &Bound<'_, PyAny>,
        element: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        ops::remove(self, py, collection, id, path, element)
    }

    fn increment(
        &self,
        py: Python<'_>,
        collection: &str,
        id: &Bound<'_, PyAny>,
        path: &Bound<'_, PyAny>,
        by: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        ops::increment(self, py, collection, id, path, by)
    }

    fn resolve(
        &self,
        py: Python<'_>,
        collection: &str,
        id: &Bound<'_, PyAny>,
        path: &Bound<'_, PyAny>,
        choice: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        ops::resolve(self, py, collection, id, path, choice)
    }
}

impl Transaction {
    /// What is read here may build upon what was written here, so it depends on the commit.
    fn hand_out<'py>(
        &self,
        py: Python<'py>,
        collection: &str,
        document: Document,
    ) -> PyResult<Bound<'py, PyAny>> {
        ops::hand_out(py, self.open.node, collection, document, Some(self.committed.clone()))
    }
}
