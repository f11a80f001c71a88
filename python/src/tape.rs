//! The tape: checkpoints, the past, what differs, and reverting.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use littoral::store::{
    self, AutomaticCheckpoints, CheckpointCost, FieldChange, Replay, ReplayOptions, ReplayOutcome,
    RevertScope, Reverted, UndoScope, WrittenBy,
};
use littoral::{NodeId, ScanRange};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::arrow::{self, ArrowStream};
use crate::classes::Classes;
use crate::error::{exception, raise};
use crate::open_store::{OpenStore, Owned, detached, interruptible, lock};
use crate::ops;
use crate::scan::{Pages, Scan};
use crate::value;

/// The checkpoints of a store, and what goes back to them.
#[pyclass(frozen, module = "littoral._native")]
pub(crate) struct Tape {
    open: Arc<OpenStore>,
}

impl Tape {
    pub(crate) fn of(open: &Arc<OpenStore>) -> Tape {
        Tape { open: open.clone() }
    }
}

#[pymethods]
impl Tape {
    /// Makes a checkpoint; gives keywords of `littoral.Checkpoint`.
    fn checkpoint<'py>(&self, py: Python<'py>, label: &str) -> PyResult<Bound<'py, PyDict>> {
        let made = self.open.run(py, |store| store.checkpoint(label))?;
        checkpoint_to_py(py, &made)
    }

    /// All checkpoints, each as keywords of `littoral.Checkpoint`.
    fn checkpoints<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let all = self.open.run(py, |store| Ok(store.checkpoints()))?;
        all.iter().map(|one| checkpoint_to_py(py, one)).collect()
    }

    /// What each checkpoint costs, as keywords of `littoral.CheckpointCost`.
    fn checkpoint_costs<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let all = self.open.run_long(py, |store| store.checkpoint_costs())?;
        all.iter().map(|one| cost_to_py(py, one)).collect()
    }

    /// Deletes a checkpoint.
    fn delete_checkpoint(&self, py: Python<'_>, label: &str) -> PyResult<()> {
        self.open.run(py, |store| store.delete_checkpoint(label))
    }

    /// How many checkpoints the store makes by itself and keeps, and for how many milliseconds;
    /// None if that was never said.
    fn automatic(&self, py: Python<'_>) -> PyResult<Option<(u32, u64)>> {
        let rule = self.open.run(py, |store| store.automatic_checkpoints())?;
        Ok(rule.map(|rule| (rule.keep, rule.age_ms)))
    }

    /// Says how many the store is to make by itself and keep, and for how many milliseconds.
    fn set_automatic(&self, py: Python<'_>, keep: u32, age_ms: u64) -> PyResult<()> {
        let rule = AutomaticCheckpoints { keep, age_ms };
        self.open.run(py, |store| store.set_automatic_checkpoints(rule))
    }

    /// Makes one as the store does by itself, if one is needed.
    fn automatic_checkpoint<'py>(
        &self,
        py: Python<'py>,
        why: &str,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        let made = self.open.run(py, |store| store.automatic_checkpoint(why))?;
        made.map(|made| checkpoint_to_py(py, &made)).transpose()
    }

    /// The store as it was at a checkpoint.
    fn at(&self, py: Python<'_>, label: &str) -> PyResult<Past> {
        Past::at(py, &self.open, label)
    }

    /// What differs between a checkpoint and another one, or now.
    #[pyo3(signature = (label, other=None, collection=None))]
    fn diff(
        &self,
        py: Python<'_>,
        label: &str,
        other: Option<&str>,
        collection: Option<&str>,
    ) -> PyResult<Diff> {
        Diff::between(py, &self.open, label, other, collection)
    }

    /// What `revert` would write.
    #[pyo3(signature = (label, collection=None, id=None, path=None, by=None, force=false))]
    #[expect(clippy::too_many_arguments, reason = "keywords of Python")]
    fn revert_plan(
        &self,
        py: Python<'_>,
        label: String,
        collection: Option<String>,
        id: Option<&Bound<'_, PyAny>>,
        path: Option<&Bound<'_, PyAny>>,
        by: Option<&str>,
        force: bool,
    ) -> PyResult<Diff> {
        let scope = scope_of(py, (collection, id, path), by, force)?;
        Diff::plan(py, &self.open, label, scope)
    }

    /// Brings documents back to what they showed; gives keywords of `littoral.Reverted`.
    #[pyo3(signature = (label, collection=None, id=None, path=None, by=None, force=false))]
    #[expect(clippy::too_many_arguments, reason = "keywords of Python")]
    fn revert<'py>(
        &self,
        py: Python<'py>,
        label: String,
        collection: Option<String>,
        id: Option<&Bound<'_, PyAny>>,
        path: Option<&Bound<'_, PyAny>>,
        by: Option<&str>,
        force: bool,
    ) -> PyResult<Bound<'py, PyDict>> {
        let scope = scope_of(py, (collection, id, path), by, force)?;
        revert(py, &self.open, label, scope)
    }

    /// Takes back what this node wrote last: when that was, and what differs by it.
    #[pyo3(signature = (collection=None, force=false, dry_run=false))]
    fn undo<'py>(
        &self,
        py: Python<'py>,
        collection: Option<String>,
        force: bool,
        dry_run: bool,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let scope = UndoScope { collection, force };
        let undone = match dry_run {
            true => self.open.run_long(py, move |store| store.undo_plan(&scope))?,
            false => {
                self.open.check_not_writing(py)?;
                self.open.run_long(py, move |store| store.undo(&scope))?
            }
        };
        let changes = undone.changes.iter().map(|found| difference_to_py(py, found));
        let changes = PyTuple::new(py, changes.collect::<PyResult<Vec<_>>>()?)?;
        Ok((millis_to_py(py, undone.time.millis())?, changes))
    }

    /// Holds collections back to a checkpoint: which, as keywords of `littoral.Hold`.
    #[pyo3(signature = (label, collection=None))]
    fn hold<'py>(
        &self,
        py: Python<'py>,
        label: String,
        collection: Option<String>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        self.open.check_not_writing(py)?;
        let held = self.open.run_long(py, move |store| {
            let one = collection.as_deref().map(|name| [name]);
            store.rollback_hold(&label, one.as_ref().map(|one| &one[..]))
        })?;
        holds_to_py(py, &held)
    }

    /// Holds collections back no longer: which were.
    #[pyo3(signature = (collection=None))]
    fn resume<'py>(
        &self,
        py: Python<'py>,
        collection: Option<String>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        self.open.check_not_writing(py)?;
        let resumed = self.open.run_long(py, move |store| store.resume(collection.as_deref()))?;
        holds_to_py(py, &resumed)
    }

    /// The collections that are held back.
    fn holds<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        holds_to_py(py, &self.open.run(py, |store| Ok(store.holds()))?)
    }

    /// Applies the log after a checkpoint again, beside the store, and compares: what came of it, as
    /// keywords of `littoral.Replay`, and the documents that differ.
    #[pyo3(signature = (label, scratch=None))]
    fn rollback_replay<'py>(
        &self,
        py: Python<'py>,
        label: String,
        scratch: Option<PathBuf>,
    ) -> PyResult<(Bound<'py, PyDict>, Diff)> {
        let how = ReplayOptions { scratch, ..ReplayOptions::default() };
        let replay = self.open.run_long(py, move |store| store.rollback_replay(&label, &how))?;
        let told = replay_to_py(py, &replay)?;
        let found = interruptible(py, move || replay.into_differences())?;
        Ok((told, Diff::new(&self.open, Vec::new(), found)))
    }
}

/// Keywords of `littoral.Hold`, of each.
fn holds_to_py<'py>(py: Python<'py>, holds: &[store::Hold]) -> PyResult<Bound<'py, PyTuple>> {
    let told = holds.iter().map(|hold| {
        let told = PyDict::new(py);
        told.set_item("collection", &hold.collection)?;
        told.set_item("label", &hold.label)?;
        told.set_item("since", millis_to_py(py, hold.since_ms)?)?;
        told.set_item("documents", hold.documents)?;
        Ok(told)
    });
    PyTuple::new(py, told.collect::<PyResult<Vec<_>>>()?)
}

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
    fn digests(&self, py: Python<'_>, collection: String) -> PyResult<(String, String)> {
        let past = self.held(py)?;
        let digests = interruptible(py, move || past.digests(&collection))?;
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
        label: String,
        scope: RevertScope,
    ) -> PyResult<Diff> {
        let plan = open.run_long(py, move |store| store.revert_plan(&label, &scope))?;
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

/// What is to be brought back, of the arguments that Python gives: collection, id and path; who did
/// it, and whether that counts against others.
fn scope_of(
    py: Python<'_>,
    (collection, id, path): (Option<String>, Option<&Bound<'_, PyAny>>, Option<&Bound<'_, PyAny>>),
    by: Option<&str>,
    force: bool,
) -> PyResult<RevertScope> {
    let by = by.map(str::parse::<NodeId>).transpose().map_err(|err| raise(py, err.into()))?;
    Ok(RevertScope {
        collection,
        id: id.map(value::id_of).transpose()?,
        path: path.map(value::path_of).transpose()?,
        by,
        force,
    })
}

/// Brings documents back; gives keywords of `littoral.Reverted`.
fn revert<'py>(
    py: Python<'py>,
    open: &OpenStore,
    label: String,
    scope: RevertScope,
) -> PyResult<Bound<'py, PyDict>> {
    open.check_not_writing(py)?;
    let Reverted { documents, transactions, left, kept } =
        open.run_long(py, move |store| store.revert(&label, &scope, &mut |_| ()))?;
    let all = PyDict::new(py);
    all.set_item("documents", documents)?;
    all.set_item("transactions", transactions)?;
    all.set_item("left", PyTuple::new(py, left)?)?;
    all.set_item("kept", kept)?;
    Ok(all)
}

/// A checkpoint, as keywords of `littoral.Checkpoint`.
fn checkpoint_to_py<'py>(
    py: Python<'py>,
    checkpoint: &store::Checkpoint,
) -> PyResult<Bound<'py, PyDict>> {
    let all = PyDict::new(py);
    all.set_item("label", &checkpoint.label)?;
    all.set_item("made", millis_to_py(py, checkpoint.made_ms)?)?;
    all.set_item("position", checkpoint.position.0)?;
    all.set_item("automatic", checkpoint.automatic)?;
    Ok(all)
}

/// A moment, of milliseconds since 1970.
fn millis_to_py(py: Python<'_>, ms: u64) -> PyResult<Bound<'_, PyAny>> {
    let micros = i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1000);
    value::time_to_py(Classes::get(py)?, py, micros)
}

/// What came of a replay, as keywords of `littoral.Replay`.
fn replay_to_py<'py>(py: Python<'py>, replay: &Replay) -> PyResult<Bound<'py, PyDict>> {
    let (outcome, mended) = match replay.outcome {
        ReplayOutcome::Same => ("same", 0),
        ReplayOutcome::Mended(documents) => ("mended", documents),
        ReplayOutcome::Differs => ("differs", 0),
    };
    let differing = PyDict::new(py);
    for one in replay.collections.iter().filter(|one| one.differing > 0 || !one.is_alike()) {
        differing.set_item(&one.name, one.differing)?;
    }
    let all = PyDict::new(py);
    all.set_item("checkpoint", &replay.checkpoint.label)?;
    all.set_item("outcome", outcome)?;
    all.set_item("mended", mended)?;
    all.set_item("transactions", replay.transactions)?;
    all.set_item("documents", replay.documents)?;
    all.set_item("differing", differing)?;
    Ok(all)
}

/// What a checkpoint costs, as keywords of `littoral.CheckpointCost`.
fn cost_to_py<'py>(py: Python<'py>, cost: &CheckpointCost) -> PyResult<Bound<'py, PyDict>> {
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
    let writer = |written: &WrittenBy| {
        let path = PyTuple::new(py, written.path.names())?;
        let author = written.dot.origin.node.to_string();
        let time = millis_to_py(py, written.time.millis())?;
        classes.written_by.bind(py).call1((path, author, time))
    };
    let writers = |all: &[WrittenBy]| -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, all.iter().map(writer).collect::<PyResult<Vec<_>>>()?)
    };
    let fields = found.fields().into_iter().map(change).collect::<PyResult<Vec<_>>>()?;
    classes.difference.bind(py).call1((
        &found.collection,
        &found.id,
        shown(&found.before)?,
        shown(&found.after)?,
        PyTuple::new(py, fields)?,
        writers(&found.written)?,
        writers(&found.kept)?,
    ))
}
