//! Bundles: what is in them and what came of them, as keywords of the classes that people see.

use std::path::PathBuf;

use littoral::store::{Applied, BundleContents, Have};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::open_store::interruptible;

/// Says what is in the bundle in a file. Needs no store.
#[pyfunction]
pub(crate) fn bundle_inspect(py: Python<'_>, path: PathBuf) -> PyResult<Bound<'_, PyDict>> {
    let contents = interruptible(py, move || BundleContents::open(&path))?;
    contents_to_py(py, &contents, None)
}

/// What is in a bundle, and what of it is new for who has `have`, as keywords of `littoral.Bundle`.
pub(crate) fn contents_to_py<'py>(
    py: Python<'py>,
    contents: &BundleContents,
    have: Option<&Have>,
) -> PyResult<Bound<'py, PyDict>> {
    let collections = PyDict::new(py);
    for one in &contents.collections {
        let authors = PyList::empty(py);
        for (origin, authored) in &one.authors {
            let node = origin.node.to_string();
            authors.append((node, origin.incarnation, authored.first, authored.last))?;
        }
        let held = have.map(|have| have.vector(&one.name));
        let since = one.base.iter().map(|(_, head)| head.seq).fold(0, u64::saturating_add);
        let shape = PyDict::new(py);
        shape.set_item("snapshot", one.snapshot)?;
        shape.set_item("since", since)?;
        shape.set_item("transactions", one.transactions)?;
        shape.set_item("documents", one.documents)?;
        shape.set_item("bytes", one.bytes)?;
        shape.set_item("oldest_ms", one.times_ms.map(|(oldest, _)| oldest))?;
        shape.set_item("newest_ms", one.times_ms.map(|(_, newest)| newest))?;
        shape.set_item("authors", authors)?;
        shape.set_item("new", held.as_ref().map(|held| one.news(held)))?;
        shape.set_item("missing", held.as_ref().map(|held| one.missing(held)))?;
        collections.set_item(&one.name, shape)?;
    }
    let all = PyDict::new(py);
    all.set_item("maker", contents.maker.to_string())?;
    all.set_item("made_ms", contents.made_ms)?;
    all.set_item("bytes", contents.bytes)?;
    all.set_item("collections", collections)?;
    Ok(all)
}

/// What came of applying one: of each collection the keywords of `littoral.Applied`.
pub(crate) fn applied_to_py<'py>(
    py: Python<'py>,
    applied: &Applied,
) -> PyResult<Bound<'py, PyDict>> {
    let collections = PyDict::new(py);
    for one in &applied.collections {
        let shape = PyDict::new(py);
        shape.set_item("snapshot", one.snapshot)?;
        shape.set_item("wanted", one.wanted)?;
        shape.set_item("new", one.new)?;
        shape.set_item("duplicates", one.duplicates)?;
        collections.set_item(&one.name, shape)?;
    }
    Ok(collections)
}
