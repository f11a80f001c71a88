//! Scans: the documents of a range, fetched some at a time, handed out one by one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use littoral::Document;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::open_store::{OpenStore, Owned, detached, lock};
use crate::ops;

/// Documents fetched at a time: few at first, for those who want only the first.
const FIRST: usize = 4;
const MOST: usize = 128;

/// What an iterator of the store gives, fetched some at a time.
pub(crate) struct Pages<T> {
    source: Option<Box<dyn Iterator<Item = littoral::Result<T>> + Send>>,
    fetched: VecDeque<T>,
    page: usize,
}

impl<T> Pages<T> {
    pub(crate) fn new(
        source: impl Iterator<Item = littoral::Result<T>> + Send + 'static,
    ) -> Pages<T> {
        Pages { source: Some(Box::new(source)), fetched: VecDeque::new(), page: FIRST }
    }

    pub(crate) fn next(&mut self) -> littoral::Result<Option<T>> {
        if self.fetched.is_empty()
            && let Some(source) = &mut self.source
        {
            for one in source.by_ref().take(self.page) {
                self.fetched.push_back(one?);
            }
            if self.fetched.len() < self.page {
                self.source = None;
            }
            self.page = (self.page * 2).min(MOST);
        }
        Ok(self.fetched.pop_front())
    }
}

/// The documents of a scan, or only their ids.
#[pyclass(frozen, module = "littoral._native")]
pub(crate) struct Scan {
    open: Arc<OpenStore>,
    collection: String,
    ids_only: bool,
    of_past: bool,
    pages: Mutex<Owned<Pages<Document>>>,
}

impl Scan {
    pub(crate) fn new(
        open: Arc<OpenStore>,
        collection: &str,
        scan: impl Iterator<Item = littoral::Result<Document>> + Send + 'static,
        ids_only: bool,
        of_past: bool,
    ) -> Scan {
        let pages = Mutex::new(Owned::new(Pages::new(scan)));
        Scan { open, collection: collection.to_owned(), ids_only, of_past, pages }
    }
}

#[pymethods]
impl Scan {
    fn __iter__(slf: Bound<'_, Scan>) -> Bound<'_, Scan> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.open.get(py)?;
        let document = detached(py, || lock(&self.pages).get_mut().map_or(Ok(None), Pages::next))?;
        let Some(document) = document else { return Ok(None) };
        match (self.ids_only, self.of_past) {
            (true, _) => Ok(PyString::new(py, document.id()).into_any()),
            (_, true) => ops::hand_out_past(py, self.open.node, &self.collection, document),
            _ => ops::hand_out(py, self.open.node, &self.collection, document, None),
        }
        .map(Some)
    }
}
