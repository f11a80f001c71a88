//! Versions: what the reader of a document had seen, and of which document.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use littoral::txn::edit::Base;
use littoral::{Document, Error, ErrorKind, Field, Fields, NodeId};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::error::raise;

/// What the reader of a document had seen of it. Opaque; handed back with a put or a delete.
#[pyclass(frozen, module = "littoral._native")]
pub(crate) struct Version {
    store: NodeId,
    collection: String,
    id: String,
    seen: Seen,
    /// Of a document read in a transaction after it wrote it: whether that was committed.
    committed: Option<Arc<AtomicBool>>,
    /// Of a document of the past: put back, all of it is written.
    past: bool,
}

enum Seen {
    Document(Arc<Document>),
    Bytes(littoral::Version),
}

/// What a put needs of a version, in a form that can leave the interpreter.
pub(crate) struct Read {
    seen: Seen,
    committed: Option<Arc<AtomicBool>>,
    past: bool,
}

impl Version {
    pub(crate) fn of(
        store: NodeId,
        collection: &str,
        document: Document,
        committed: Option<Arc<AtomicBool>>,
    ) -> Version {
        Version {
            store,
            collection: collection.to_owned(),
            id: document.id().to_owned(),
            seen: Seen::Document(Arc::new(document)),
            committed,
            past: false,
        }
    }

    pub(crate) fn of_past(store: NodeId, collection: &str, document: Document) -> Version {
        Version { past: true, ..Version::of(store, collection, document, None) }
    }

    /// Whether it is a version of this very document, not of one that it is copied to.
    pub(crate) fn is_of(&self, store: NodeId, collection: &str, id: &str) -> bool {
        self.store == store && self.collection == collection && self.id == id
    }

    pub(crate) fn read(&self) -> Read {
        let seen = match &self.seen {
            Seen::Document(document) => Seen::Document(document.clone()),
            Seen::Bytes(version) => Seen::Bytes(version.clone()),
        };
        Read { seen, committed: self.committed.clone(), past: self.past }
    }

    fn bytes(&self) -> littoral::Version {
        match &self.seen {
            Seen::Document(document) => document.version(),
            Seen::Bytes(version) => version.clone(),
        }
    }
}

impl Read {
    /// The version for the core, if what was seen has come about. `current` is the
    /// transaction that asks: what it wrote itself it may build upon.
    pub(crate) fn check(&self, current: Option<&Arc<AtomicBool>>) -> littoral::Result<()> {
        let Some(committed) = &self.committed else { return Ok(()) };
        let own = current.is_some_and(|current| Arc::ptr_eq(current, committed));
        match own || committed.load(Ordering::Acquire) {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::VersionMismatch,
                "the document was read in a transaction that was not committed; read it again",
            )),
        }
    }

    /// Puts `fields` as the difference to what was read.
    pub(crate) fn put(
        &self,
        txn: &mut littoral::Transaction,
        collection: &str,
        id: &str,
        fields: &mut Fields,
    ) -> littoral::Result<()> {
        match &self.seen {
            // A document of the past knows itself that it is one.
            Seen::Bytes(_) if self.past => txn.put(collection, id, &*fields),
            Seen::Bytes(version) => txn.put(collection, id, (&*fields, version)),
            Seen::Document(seen) => {
                keep_equals(seen.fields(), fields);
                let mut document = (**seen).clone();
                document.fields_mut().clone_from(fields);
                txn.put(collection, id, &document)
            }
        }
    }

    /// Deletes what was read.
    pub(crate) fn delete(
        &self,
        txn: &mut littoral::Transaction,
        collection: &str,
        id: &str,
    ) -> littoral::Result<bool> {
        let version = match &self.seen {
            Seen::Document(document) => document.version(),
            Seen::Bytes(version) => version.clone(),
        };
        txn.delete_version(collection, id, &version)
    }
}

/// In Python `1 == 1.0 == True`, so a set shows one of them where the store holds several. In
/// `fields`, which build on `seen`, such an element stands for all those that it hid.
fn keep_equals(seen: &Fields, fields: &mut Fields) {
    for (name, field) in fields {
        match (seen.get(name), field) {
            (Some(Field::Map(seen)), Field::Map(fields)) => keep_equals(seen, fields),
            (Some(Field::Set(seen)), Field::Set(elements)) => {
                let hidden: Vec<_> = seen
                    .iter()
                    .filter(|was| elements.iter().any(|is| python_equal(was, is)))
                    .cloned()
                    .collect();
                elements.retain(|is| !seen.iter().any(|was| python_equal(was, is)));
                elements.extend(hidden);
            }
            _ => {}
        }
    }
}

fn python_equal(a: &littoral::Value, b: &littoral::Value) -> bool {
    use littoral::Value::{Bool, Float, Int, UInt};
    let whole = |value: &littoral::Value| match value {
        Bool(b) => Some(i128::from(*b)),
        Int(n) => Some(i128::from(*n)),
        UInt(n) => Some(i128::from(*n)),
        Float(x) if x.fract() == 0.0 && x.abs() < 2f64.powi(65) => Some(*x as i128),
        _ => None,
    };
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

#[pymethods]
impl Version {
    /// From the parts that pickling took it apart into.
    #[new]
    #[pyo3(signature = (store, collection, id, data, past=false))]
    fn new(
        py: Python<'_>,
        store: &str,
        collection: String,
        id: String,
        data: &[u8],
        past: bool,
    ) -> PyResult<Version> {
        let version = littoral::Version::from_bytes(data);
        let store = store.parse().map_err(|err: Error| raise(py, err.into()))?;
        Base::from_version(&version).map_err(|err| raise(py, err.into()))?;
        Ok(Version { store, collection, id, seen: Seen::Bytes(version), committed: None, past })
    }

    /// The id of the document.
    #[getter]
    fn id(&self) -> &str {
        &self.id
    }

    /// The collection of the document.
    #[getter]
    fn collection(&self) -> &str {
        &self.collection
    }

    fn __bytes__<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.bytes().as_bytes())
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Version>().is_ok_and(|other| {
            let other = other.get();
            self.is_of(other.store, &other.collection, &other.id)
                && self.past == other.past
                && self.bytes() == other.bytes()
        })
    }

    fn __hash__(&self) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        (&self.collection, &self.id, self.bytes().as_bytes()).hash(&mut hasher);
        hasher.finish()
    }

    fn __copy__(slf: Bound<'_, Version>) -> Bound<'_, Version> {
        slf
    }

    fn __deepcopy__<'py>(
        slf: Bound<'py, Version>,
        _memo: &Bound<'py, PyAny>,
    ) -> Bound<'py, Version> {
        slf
    }

    fn __reduce__<'py>(slf: &Bound<'py, Version>) -> PyResult<Bound<'py, PyTuple>> {
        let (py, this) = (slf.py(), slf.get());
        let data = PyBytes::new(py, this.bytes().as_bytes());
        let store = this.store.to_string();
        let parts = (store, &this.collection, &this.id, data, this.past).into_pyobject(py)?;
        (py.get_type::<Version>(), parts).into_pyobject(py)
    }

    fn __repr__(&self) -> String {
        format!("<littoral.Version of {:?} in {:?}>", self.id, self.collection)
    }
}
