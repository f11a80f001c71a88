//! The Python classes that the native half makes or tells apart, looked up once.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

/// Classes of `littoral`, `datetime` and `operator`.
pub(crate) struct Classes {
    pub(crate) document: Py<PyType>,
    pub(crate) counter: Py<PyType>,
    pub(crate) moment: Py<PyType>,
    pub(crate) opaque: Py<PyType>,
    pub(crate) change: Py<PyType>,
    pub(crate) change_values: Py<PyType>,
    pub(crate) conflict: Py<PyType>,
    pub(crate) candidate: Py<PyType>,
    pub(crate) difference: Py<PyType>,
    pub(crate) field_change: Py<PyType>,
    pub(crate) written_by: Py<PyType>,
    pub(crate) datetime: Py<PyType>,
    pub(crate) timedelta: Py<PyType>,
    /// 1970-01-01 in UTC.
    pub(crate) epoch: Py<PyAny>,
    /// `operator.index`.
    pub(crate) index: Py<PyAny>,
}

static CLASSES: PyOnceLock<Classes> = PyOnceLock::new();

impl Classes {
    /// The classes; imported at first use, when the package is complete.
    pub(crate) fn get(py: Python<'_>) -> PyResult<&Classes> {
        CLASSES.get_or_try_init(py, || Classes::load(py))
    }

    fn load(py: Python<'_>) -> PyResult<Classes> {
        let class = |module: &str, name: &str| -> PyResult<Py<PyType>> {
            Ok(py.import(module)?.getattr(name)?.cast_into::<PyType>()?.unbind())
        };
        let datetime = class("datetime", "datetime")?;
        let utc = py.import("datetime")?.getattr("timezone")?.getattr("utc")?;
        let epoch = datetime.bind(py).call1((1970, 1, 1, 0, 0, 0, 0, utc))?.unbind();
        Ok(Classes {
            document: class("littoral._document", "Document")?,
            counter: class("littoral._values", "Counter")?,
            moment: class("littoral._values", "Moment")?,
            opaque: class("littoral._values", "Opaque")?,
            change: class("littoral._records", "Change")?,
            change_values: class("littoral._records", "ChangeValues")?,
            conflict: class("littoral._records", "Conflict")?,
            candidate: class("littoral._records", "Candidate")?,
            difference: class("littoral._records", "Difference")?,
            field_change: class("littoral._records", "FieldChange")?,
            written_by: class("littoral._records", "WrittenBy")?,
            datetime,
            timedelta: class("datetime", "timedelta")?,
            epoch,
            index: py.import("operator")?.getattr("index")?.unbind(),
        })
    }
}
