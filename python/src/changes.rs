//! The change feed, waited for in slices so that Ctrl-C works.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use littoral::{Change, Document, Error, ErrorKind, Position};
use pyo3::prelude::*;

use crate::classes::Classes;
use crate::error::{Failure, catch, raise};
use crate::open_store::{OpenStore, Owned, SLICE, lock};
use crate::ops::timestamp_to_py;
use crate::value::document_to_py;

/// The changes of a store from a position on.
#[pyclass(frozen, module = "littoral._native")]
pub(crate) struct Changes {
    open: Arc<OpenStore>,
    changes: Mutex<Owned<littoral::Changes>>,
    /// For how long a loop waits for the next one; without it, for ever.
    patience: Option<Duration>,
}

impl Changes {
    pub(crate) fn new(
        py: Python<'_>,
        open: &Arc<OpenStore>,
        since: Option<u64>,
        timeout: Option<f64>,
        values: bool,
    ) -> PyResult<Changes> {
        let patience = timeout.map(|seconds| seconds_to_duration(py, seconds)).transpose()?;
        let changes = open.get(py)?.changes(since.map(Position));
        let changes = if values { changes.with_values() } else { changes };
        Ok(Changes { open: open.clone(), changes: Mutex::new(Owned::new(changes)), patience })
    }

    fn wait(
        &self,
        py: Python<'_>,
        timeout: Option<Duration>,
    ) -> PyResult<Result<Option<Change>, Failure>> {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        loop {
            self.open.check_process(py)?;
            if self.open.is_closed() {
                return Ok(Err(Error::new(ErrorKind::Closed, "the store is closed").into()));
            }
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            let slice = left.map_or(SLICE, |left| left.min(SLICE));
            let found = py.detach(|| {
                catch(|| match lock(&self.changes).get_mut() {
                    Some(changes) => changes.next(slice),
                    None => Ok(None),
                })
            });
            match found {
                Ok(None) if left.is_none_or(|left| left > slice) => py.check_signals()?,
                found => return Ok(found),
            }
        }
    }
}

#[pymethods]
impl Changes {
    /// The next change; waits for it, at most `timeout` seconds if that is given.
    ///
    /// None is "nothing in that time".
    #[pyo3(signature = (timeout=None))]
    fn next<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<f64>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let timeout = timeout.map(|seconds| seconds_to_duration(py, seconds)).transpose()?;
        match self.wait(py, timeout)? {
            Ok(change) => change.map(|change| change_to_py(py, &change)).transpose(),
            Err(failure) => Err(raise(py, failure)),
        }
    }

    /// Where to resume: after the last change that was given.
    #[getter]
    fn position(&self, py: Python<'_>) -> PyResult<u64> {
        self.open.check_process(py)?;
        let position =
            py.detach(|| lock(&self.changes).get_mut().map(|changes| changes.position()));
        Ok(position.unwrap_or_default().0)
    }

    fn __iter__(slf: Bound<'_, Changes>) -> Bound<'_, Changes> {
        slf
    }

    /// Waits for the next change; ends when the store is closed, or its patience does.
    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.wait(py, self.patience)? {
            Ok(change) => change.map(|change| change_to_py(py, &change)).transpose(),
            Err(Failure::Error(err)) if err.kind() == ErrorKind::Closed => Ok(None),
            Err(failure) => Err(raise(py, failure)),
        }
    }

    fn __repr__(&self) -> String {
        format!("<littoral.Changes of {:?}>", self.open.path)
    }
}

fn change_to_py<'py>(py: Python<'py>, change: &Change) -> PyResult<Bound<'py, PyAny>> {
    // Without a version: put back, it replaces what is there.
    let document = |document: &Option<Document>| {
        document.as_ref().map(|found| document_to_py(py, found)).transpose()
    };
    let values = match &change.values {
        None => None,
        Some(values) => {
            let held = (document(&values.before)?, document(&values.after)?);
            Some(Classes::get(py)?.change_values.bind(py).call1(held)?)
        }
    };
    Classes::get(py)?.change.bind(py).call1((
        change.position.0,
        &*change.collection,
        &change.id,
        change.dot.origin.node.to_string(),
        timestamp_to_py(py, change.time)?,
        change.local,
        values,
    ))
}

/// A duration that a user gave in seconds.
pub(crate) fn seconds_to_duration(py: Python<'_>, seconds: f64) -> PyResult<Duration> {
    // A year is for ever.
    Duration::try_from_secs_f64(seconds.min(365.0 * 86_400.0)).map_err(|_| {
        crate::error::exception(
            py,
            "InvalidInputError",
            &format!("a timeout is a number of seconds from 0 on, or None; this one is {seconds}"),
        )
    })
}
