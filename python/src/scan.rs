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

/// The documents of a scan, or only their ids.
#[pyclass(frozen, module = "littoral._native")]
pub(crate) struct Scan {
    open: Arc<OpenStore>,
    collection: String,
    ids_only: bool,
    state: Mutex<Owned<State>>,
}

struct State {
    scan: Option<littoral::Scan>,
    fetched: VecDeque<Document>,
    page: usize,
}

impl Scan {
    pub(crate) fn new(
        open: Arc<OpenStore>,
        collection: &str,
        scan: littoral::Scan,
        ids_only: bool,
    ) -> Scan {
        let state = State { scan: Some(scan), fetched: VecDeque::new(), page: FIRST };
        let state = Mutex::new(Owned::new(state));
        Scan { open, collection: collection.to_owned(), ids_only, state }
    }
}

impl State {
    fn next(&mut self) -> littoral::Result<Option<Document>> {
        if self.fetched.is_empty()
            && let Some(scan) = &mut self.scan
        {
            for document in scan.by_ref().take(self.page) {
                self.fetched.push_back(document?);
            }
            if self.fetched.len() < self.page {
                self.scan = None;
            }
            self.page = (self.page * 2).min(MOST);
        }
        Ok(self.fetched.pop_front())
    }
}

#[pymethods]
impl Scan {
    fn __iter__(slf: Bound<'_, Scan>) -> Bound<'_, Scan> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.open.get(py)?;
        let document = detached(py, || lock(&self.state).get_mut().map_or(Ok(None), State::next))?;
        match document {
            None => Ok(None),
            Some(document) if self.ids_only => {
                Ok(Some(PyString::new(py, document.id()).into_any()))
            }
            Some(document) => {
                ops::hand_out(py, self.open.node, &self.collection, document, None).map(Some)
            }
        }
    }
}
