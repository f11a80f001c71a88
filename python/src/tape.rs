//! The tape: checkpoints, the past, what differs, and reverting.

use std::sync::{Arc, Mutex};

use littoral::ScanRange;
use littoral::store::{self, CheckpointCost, FieldChange, RevertScope, Reverted};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::arrow::{self, ArrowStream};
use crate::classes::Classes;
use crate::error::exception;
use crate::open_store::{OpenStore, Owned, detached, lock};
use crate::ops;
use crate::scan::{Pages, Scan};
use crate::value;

/// What a `Past` reads, until it is closed or its store is.
pub(crate) type Held = Mutex<Owned<Arc<store::Past>>>;

/// The store as it was at a checkpoint.
#[pyclass(frozen, module = "littoral._native")]
pub(crate) struct Past {
    open: Arc<OpenStore>,
    held: Arc<Held>,
    checkpoint: store::Checkpoint,
}

impl Past {
    pub(crate) fn at(py: Python<'_>, open: &Arc<OpenStore>, label: &str) -> PyResult<Past> {
        let past = open.run(py, |store| store.at(label))?;
        let checkpoint = past.checkpoint().clone();
        let held = Arc::new(Mutex::new(Owned::new(Arc::new(past))));
        open.hold(py, &held)?;
        Ok(Past { open: open.clone(), held, checkpoint })
    }

    fn held(&self, py: Python<'_>) -> PyResult<Arc<store::Past>> {
        self.open.get(py)?;
        lock(&self.held).get_mut().cloned().ok_or_else(|| {
            exception(py, "ClosedError", "this past is closed; open it again with store.at()")
        })
    }

    fn run<T: Send>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&store::Past) -> littoral::Result<T> + Send,
    ) -> PyResult<T> {
        let past = self.held(py)?;
        detached(py, move || call(&past))
    }
}

#[pymethods]
impl Past {
    /// The checkpoint, as keywords of `littoral.Checkpoint`.
    #[getter]
    fn checkpoint<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        checkpoint_to_py(py, &self.checkpoint)
    }

    /// Whether it is closed, or its store is.
    #[getter]
    fn closed(&self, py: Python<'_>) -> PyResult<bool> {
        self.open.check_process(py)?;
        Ok(self.open.is_closed() || lock(&self.held).get_mut().is_none())
    }

    /// Reads it no longer.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.open.check_process(py)?;
        let held = lock(&self.held).take();
        detached(py, move || {
            drop(held);
            Ok(())
        })
    }

    /// The names of the collections that there were, in order.
    fn collections(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.run(py, |past| past.collections())
    }

    /// The two digests that a collection had, in hexadecimal: shown, cells.
    fn digests(&self, py: Python<'_>, collection: &str) -> PyResult<(String, String)> {
        let digests = self.run(py, |past| past.digests(collection))?;
        Ok(crate::store::digests_to_hex(&digests))
    }

    /// How many documents a collection had.
    fn len(&self, py: Python<'_>, collection: &str) -> PyResult<u64> {
        self.run(py, |past| past.len(collection))
    }

    fn get<'py>(
        &self,
        py: Python<'py>,
        collection: &str,
        id: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let id = value::id_of(id)?;
        let found = self.run(py, |past| past.get(collection, &id))?;
        found
            .map(|document| ops::hand_out_past(py, self.open.node, collection, document))
            .transpose()
    }

    /// The field at a path, in a tuple; None if it was not there.
    fn get_field<'py>(
        &self,
        py: Python<'py>,
        collection: &str,
        id: &Bound<'py, PyAny>,
        path: &Bound<'py, PyAny>,
    ) -> PyResult<Option<(Bound<'py, PyAny>,)>> {
        let (id, path) = (value::id_of(id)?, value::path_of(path)?);
        let found = self.run(py, |past| {
            let document = past.get(collection, &id)?;
            Ok(document.and_then(|document| document.get(path).cloned()))
        })?;
        found.map(|field| Ok((value::field_to_py(py, &field)?,))).transpose()
    }

    /// Whether there was a document with this id.
    fn contains(&self, py: Python<'_>, collection: &str, id: &Bound<'_, PyAny>) -> PyResult<bool> {
        let id = value::id_of(id)?;
        self.run(py, |past| Ok(past.get(collection, &id)?.is_some()))
    }

    /// The documents of a range in the order of their ids, or only the ids.
    #[pyo3(signature = (collection, *, prefix="", start=None, after=None, end=None, limit=None, reverse=false, ids_only=false))]
    #[expect(clippy::too_many_arguments, reason = "keywords of Python")]
    fn scan(
        &self,
        py: Python<'_>,
        collection: &str,
        prefix: &str,
        start: Option<String>,
        after: Option<String>,
        end: Option<String>,
        limit: Option<usize>,
        reverse: bool,
        ids_only: bool,
    ) -> PyResult<Scan> {
        let range = ScanRange { prefix: prefix.to_owned(), start, after, end, limit, reverse };
        let scan = self.run(py, |past| past.scan(collection, &range))?;
        Ok(Scan::new(self.open.clone(), collection, scan, ids_only, true))
    }

    /// The documents of a range as a stream of Arrow batches, as `Store.arrow` gives it.
    #[pyo3(signature = (collection, *, schema=None, id_column="_id", prefix="", start=None, after=None, end=None, limit=None, reverse=false))]
    #[expect(clippy::too_many_arguments, reason = "keywords of Python")]
    fn arrow(
        &self,
        py: Python<'_>,
        collection: &str,
        schema: Option<pyo3_arrow::PySchema>,
        id_column: &str,
        prefix: &str,
        start: Option<String>,
        after: Option<String>,
        end: Option<String>,
        limit: Option<usize>,
        reverse: bool,
    ) -> PyResult<ArrowStream> {
        let range = ScanRange { prefix: prefix.to_owned(), start, after, end, limit, reverse };
        let scans = self
            .run(py, |past| Ok([past.scan(collection, &range)?, past.scan(collection, &range)?]))?;
        arrow::stream(py, &self.open, scans, schema, id_column)
    }
}

/// Documents that differ, fetched some at a time, handed out one by one.
#[pyclass(frozen, module = "littoral._native")]
pub(crate) struct Diff {
    open: Arc<OpenStore>,
    left: Vec<String>,
    pages: Mutex<Owned<Pages<store::Difference>>>,
}

impl Diff {
    /// What is different between a checkpoint and another one, or now.
    pub(crate) fn between(
        py: Python<'_>,
        open: &Arc<OpenStore>,
        from: &str,
        to: Option<&str>,
        collection: Option<&str>,
    ) -> PyResult<Diff> {
        let diff = open.run(py, |store| {
            collection.map_or(Ok(()), |name| store.collection(name).map(drop))?;
            let diff = store.diff(from, to)?;
            Ok(match collection {
                Some(name) => diff.of_collection(name),
                None => diff,
            })
        })?;
        Ok(Diff::new(open, Vec::new(), diff))
    }

    /// What a revert would write.
    pub(crate) fn plan(
        py: Python<'_>,
        open: &Arc<OpenStore>,
        label: &str,
        scope: &RevertScope,
    ) -> PyResult<Diff> {
        let plan = open.run(py, |store| store.revert_plan(label, scope))?;
        Ok(Diff::new(open, plan.left().to_vec(), plan))
    }

    fn new(
        open: &Arc<OpenStore>,
        left: Vec<String>,
        found: impl Iterator<Item = littoral::Result<store::Difference>> + Send + 'static,
    ) -> Diff {
        let pages = Mutex::new(Owned::new(Pages::new(found)));
        Diff { open: open.clone(), left, pages }
    }
}

#[pymethods]
impl Diff {
    /// Collections that a revert would leave alone, since they were left since.
    #[getter]
    fn left(&self) -> Vec<String> {
        self.left.clone()
    }

    fn __iter__(slf: Bound<'_, Diff>) -> Bound<'_, Diff> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.open.get(py)?;
        let found = detached(py, || lock(&self.pages).get_mut().map_or(Ok(None), Pages::next))?;
        found.map(|found| difference_to_py(py, &found)).transpose()
    }
}

/// What is to be brought back, of the arguments that Python gives.
pub(crate) fn scope_of(
    collection: Option<String>,
    id: Option<&Bound<'_, PyAny>>,
    path: Option<&Bound<'_, PyAny>>,
) -> PyResult<RevertScope> {
    Ok(RevertScope {
        collection,
        id: id.map(value::id_of).transpose()?,
        path: path.map(value::path_of).transpose()?,
        ..RevertScope::default()
    })
}

/// Brings documents back; gives keywords of `littoral.Reverted`.
pub(crate) fn revert<'py>(
    py: Python<'py>,
    open: &OpenStore,
    label: &str,
    scope: &RevertScope,
) -> PyResult<Bound<'py, PyDict>> {
    open.check_not_writing(py)?;
    let Reverted { documents, transactions, left, .. } =
        open.run(py, |store| store.revert(label, scope, &mut |_| ()))?;
    let all = PyDict::new(py);
    all.set_item("documents", documents)?;
    all.set_item("transactions", transactions)?;
    all.set_item("left", PyTuple::new(py, left)?)?;
    Ok(all)
}

/// A checkpoint, as keywords of `littoral.Checkpoint`.
pub(crate) fn checkpoint_to_py<'py>(
    py: Python<'py>,
    checkpoint: &store::Checkpoint,
) -> PyResult<Bound<'py, PyDict>> {
    let micros = i64::try_from(checkpoint.made_ms).unwrap_or(i64::MAX).saturating_mul(1000);
    let all = PyDict::new(py);
    all.set_item("label", &checkpoint.label)?;
    all.set_item("made", value::time_to_py(Classes::get(py)?, py, micros)?)?;
    all.set_item("position", checkpoint.position.0)?;
    all.set_item("automatic", checkpoint.automatic)?;
    Ok(all)
}

/// What a checkpoint costs, as keywords of `littoral.CheckpointCost`.
pub(crate) fn cost_to_py<'py>(
    py: Python<'py>,
    cost: &CheckpointCost,
) -> PyResult<Bound<'py, PyDict>> {
    let all = PyDict::new(py);
    all.set_item("checkpoint", checkpoint_to_py(py, &cost.checkpoint)?)?;
    all.set_item("rows", cost.rows)?;
    all.set_item("bytes", cost.bytes)?;
    all.set_item("freed_bytes", cost.freed_bytes)?;
    all.set_item("log_held", cost.log_held)?;
    Ok(all)
}

/// What differs, as a `littoral.Difference`. Which fields do is told here, where 1 is not True.
fn difference_to_py<'py>(
    py: Python<'py>,
    found: &store::Difference,
) -> PyResult<Bound<'py, PyAny>> {
    let classes = Classes::get(py)?;
    let shown = |fields: &Option<littoral::Fields>| -> PyResult<Option<Bound<'py, PyDict>>> {
        let Some(fields) = fields else { return Ok(None) };
        let dict = PyDict::new(py);
        value::fill(classes, &dict, fields)?;
        Ok(Some(dict))
    };
    let side = |field: &Option<littoral::Field>| {
        field.as_ref().map(|field| value::field_to_py(py, field)).transpose()
    };
    let change = |FieldChange { path, before, after }: FieldChange| {
        let kind = match (&before, &after) {
            (None, _) => "added",
            (_, None) => "removed",
            _ => "changed",
        };
        let path = PyTuple::new(py, path.names())?;
        classes.field_change.bind(py).call1((path, kind, side(&before)?, side(&after)?))
    };
    let fields = found.fields().into_iter().map(change).collect::<PyResult<Vec<_>>>()?;
    classes.difference.bind(py).call1((
        &found.collection,
        &found.id,
        shown(&found.before)?,
        shown(&found.after)?,
        PyTuple::new(py, fields)?,
    ))
}
