//! The verbs of a collection, for a store (a transaction each) and inside a transaction alike.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use littoral::clock::Timestamp;
use littoral::{Conflict, Document, Fields, NodeId, Path};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::classes::Classes;
use crate::value;
use crate::version::Version;

/// Where verbs go: a store, or an open transaction.
pub(crate) trait Door {
    /// The node whose store it is.
    fn node(&self) -> NodeId;

    /// The transaction that is open here, as documents read in it remember it.
    fn fate(&self) -> Option<&Arc<AtomicBool>> {
        None
    }

    /// Takes note that a document is about to be written.
    fn touch(&self, _collection: &str, _id: &str) {}

    /// Runs `call` in a transaction.
    fn write<T: Send>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&mut littoral::Transaction) -> littoral::Result<T> + Send,
    ) -> PyResult<T>;
}

/// A document for the user: a dict that remembers its version.
pub(crate) fn hand_out<'py>(
    py: Python<'py>,
    node: NodeId,
    collection: &str,
    document: Document,
    fate: Option<Arc<AtomicBool>>,
) -> PyResult<Bound<'py, PyAny>> {
    let made = value::document_to_py(py, &document)?.into_any();
    made.setattr("_version", Version::of(node, collection, document, fate))?;
    Ok(made)
}

/// A document of the past for the user: one that is written whole when it is put back.
pub(crate) fn hand_out_past<'py>(
    py: Python<'py>,
    node: NodeId,
    collection: &str,
    document: Document,
) -> PyResult<Bound<'py, PyAny>> {
    let made = value::document_to_py(py, &document)?.into_any();
    made.setattr("_version", Version::of_past(node, collection, document))?;
    Ok(made)
}

/// Puts a dict; a document that was read in this place is put as the difference to what was
/// read, and is then brought up to what the store shows.
pub(crate) fn put(
    door: &impl Door,
    py: Python<'_>,
    collection: &str,
    id: &Bound<'_, PyAny>,
    content: &Bound<'_, PyAny>,
    version: Option<&Bound<'_, Version>>,
) -> PyResult<()> {
    let id = value::id_of(id)?;
    door.touch(collection, &id);
    let mut fields = value::fields_of(content).map_err(|bad| bad.raise_at(py, &Path::root()))?;
    let remembered = match version {
        Some(version) => Some(version.clone()),
        None => remembered(content)?,
    };
    let of_this = remembered.filter(|version| version.get().is_of(door.node(), collection, &id));
    let Some(known) = of_this else {
        return door.write(py, |txn| txn.put(collection, &id, &fields));
    };
    let (read, fate) = (known.get().read(), door.fate().cloned());
    let (written, after) = door.write(py, |txn| {
        read.check(fate.as_ref())?;
        read.put(txn, collection, &id, &mut fields)?;
        Ok((fields, txn.get(collection, &id)?))
    })?;
    match after {
        Some(after) => refresh(door, content, collection, written, after),
        None => Ok(()),
    }
}

/// The version that a document remembers, if it is one.
fn remembered<'py>(content: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, Version>>> {
    let classes = Classes::get(content.py())?;
    if !content.is_instance(classes.document.bind(content.py()))? {
        return Ok(None);
    }
    Ok(content.getattr("_version")?.cast_into::<Version>().ok())
}

fn refresh(
    door: &impl Door,
    content: &Bound<'_, PyAny>,
    collection: &str,
    written: Fields,
    after: Document,
) -> PyResult<()> {
    let py = content.py();
    let classes = Classes::get(py)?;
    if !content.is_instance(classes.document.bind(py))? {
        return Ok(());
    }
    if after.fields() != &written {
        let dict = content.cast::<PyDict>()?;
        dict.clear();
        value::fill(classes, dict, after.fields())?;
    }
    content.setattr("_version", Version::of(door.node(), collection, after, door.fate().cloned()))
}

pub(crate) fn merge(
    door: &impl Door,
    py: Python<'_>,
    collection: &str,
    id: &Bound<'_, PyAny>,
    fields: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let id = value::id_of(id)?;
    door.touch(collection, &id);
    let fields = value::fields_of(fields).map_err(|bad| bad.raise_at(py, &Path::root()))?;
    door.write(py, |txn| txn.merge(collection, &id, &fields))
}

pub(crate) fn delete(
    door: &impl Door,
    py: Python<'_>,
    collection: &str,
    id: &Bound<'_, PyAny>,
    version: Option<&Bound<'_, Version>>,
) -> PyResult<bool> {
    let id = value::id_of(id)?;
    door.touch(collection, &id);
    let known = version.filter(|version| version.get().is_of(door.node(), collection, &id));
    let (read, fate) = (known.map(|version| version.get().read()), door.fate().cloned());
    door.write(py, |txn| match &read {
        None => txn.delete(collection, &id),
        Some(read) => {
            read.check(fate.as_ref())?;
            read.delete(txn, collection, &id)
        }
    })
}

pub(crate) fn set(
    door: &impl Door,
    py: Python<'_>,
    collection: &str,
    id: &Bound<'_, PyAny>,
    path: &Bound<'_, PyAny>,
    field: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let (id, path) = (value::id_of(id)?, value::path_of(path)?);
    door.touch(collection, &id);
    let field = value::field_of(field).map_err(|bad| bad.raise_at(py, &path))?;
    door.write(py, |txn| txn.set(collection, &id, path, field))
}

pub(crate) fn unset(
    door: &impl Door,
    py: Python<'_>,
    collection: &str,
    id: &Bound<'_, PyAny>,
    path: &Bound<'_, PyAny>,
) -> PyResult<bool> {
    let (id, path) = (value::id_of(id)?, value::path_of(path)?);
    door.touch(collection, &id);
    door.write(py, |txn| txn.unset(collection, &id, path))
}

pub(crate) fn add(
    door: &impl Door,
    py: Python<'_>,
    collection: &str,
    id: &Bound<'_, PyAny>,
    path: &Bound<'_, PyAny>,
    element: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let (id, path) = (value::id_of(id)?, value::path_of(path)?);
    door.touch(collection, &id);
    let element = value::element_of(element).map_err(|bad| bad.raise_at(py, &path))?;
    door.write(py, |txn| txn.add(collection, &id, path, element))
}

pub(crate) fn remove(
    door: &impl Door,
    py: Python<'_>,
    collection: &str,
    id: &Bound<'_, PyAny>,
    path: &Bound<'_, PyAny>,
    element: &Bound<'_, PyAny>,
) -> PyResult<bool> {
    let (id, path) = (value::id_of(id)?, value::path_of(path)?);
    door.touch(collection, &id);
    let element = value::element_of(element).map_err(|bad| bad.raise_at(py, &path))?;
    door.write(py, |txn| txn.remove(collection, &id, path, element))
}

pub(crate) fn increment(
    door: &impl Door,
    py: Python<'_>,
    collection: &str,
    id: &Bound<'_, PyAny>,
    path: &Bound<'_, PyAny>,
    by: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let (id, path) = (value::id_of(id)?, value::path_of(path)?);
    door.touch(collection, &id);
    let by = by_of(by, &path)?;
    door.write(py, |txn| txn.increment(collection, &id, path, by))
}

fn by_of(by: &Bound<'_, PyAny>, path: &Path) -> PyResult<i64> {
    let py = by.py();
    let value = value::element_of(by).map_err(|bad| bad.raise_at(py, path))?;
    let wrong = |class, what: &str| {
        crate::error::exception(py, class, &format!("the counter at '{path}' {what}"))
    };
    match value {
        littoral::Value::Int(by) => Ok(by),
        littoral::Value::UInt(_) => {
            Err(wrong("OverflowError", "can't change by more than 64 bits"))
        }
        value => Err(wrong(
            "FieldTypeError",
            &format!("is incremented by an int, not by a value of kind {}", value.kind()),
        )),
    }
}

pub(crate) fn resolve(
    door: &impl Door,
    py: Python<'_>,
    collection: &str,
    id: &Bound<'_, PyAny>,
    path: &Bound<'_, PyAny>,
    choice: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let (id, path) = (value::id_of(id)?, value::path_of(path)?);
    door.touch(collection, &id);
    let choice = match choice.is_instance(Classes::get(py)?.candidate.bind(py))? {
        true => choice.getattr("value")?,
        false => choice.clone(),
    };
    let choice = value::field_of(&choice).map_err(|bad| bad.raise_at(py, &path))?;
    door.write(py, |txn| txn.resolve(collection, &id, path, &choice))
}

/// Conflicts as `littoral.Conflict`.
pub(crate) fn conflicts_to_py<'py>(
    py: Python<'py>,
    conflicts: Vec<Conflict>,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let classes = Classes::get(py)?;
    let one = |conflict: Conflict| {
        let candidates = conflict.candidates.iter().map(|side| {
            classes.candidate.bind(py).call1((
                value::field_to_py(py, &side.field)?,
                side.dot.origin.node.to_string(),
                timestamp_to_py(py, side.time)?,
            ))
        });
        let candidates = PyTuple::new(py, candidates.collect::<PyResult<Vec<_>>>()?)?;
        let path = PyTuple::new(py, conflict.path.names())?;
        classes.conflict.bind(py).call1((&conflict.collection, &conflict.id, path, candidates))
    };
    conflicts.into_iter().map(one).collect()
}

/// A writer's time as a datetime; a clock beyond the years that one has is the last moment.
pub(crate) fn timestamp_to_py<'py>(
    py: Python<'py>,
    time: Timestamp,
) -> PyResult<Bound<'py, PyAny>> {
    const LAST_MS: u64 = 253_402_300_799_999;
    let micros = time.millis().min(LAST_MS) as i64 * 1000;
    value::time_to_py(Classes::get(py)?, py, micros)
}
