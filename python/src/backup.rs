//! Backups: what is in one, and making a store of it.

use std::path::PathBuf;

use littoral::Options;
use littoral::store::{BackupReport, RestoreOptions};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::open_store::interruptible;

/// Says what is in the backup in a file, after checking all of it. Needs no store.
#[pyfunction]
pub(crate) fn backup_check(py: Python<'_>, path: PathBuf) -> PyResult<Bound<'_, PyDict>> {
    let report = interruptible(py, move || BackupReport::open(&path))?;
    report_to_py(py, &report)
}

/// Makes a store in a directory of the backup in a file; gives keywords of `littoral.Restored`.
#[pyfunction]
#[pyo3(signature = (path, directory, *, roster=true, passphrase=None))]
pub(crate) fn restore<'py>(
    py: Python<'py>,
    path: PathBuf,
    directory: PathBuf,
    roster: bool,
    passphrase: Option<&str>,
) -> PyResult<Bound<'py, PyDict>> {
    let mut options = Options::new();
    if let Some(passphrase) = passphrase {
        options = options.passphrase(passphrase);
    }
    let how = RestoreOptions { roster };
    let restored = interruptible(py, move || options.restore(&path, &directory, &how))?;
    let all = PyDict::new(py);
    all.set_item("node", restored.node.to_string())?;
    all.set_item("roster", restored.roster)?;
    all.set_item("backup", report_to_py(py, &restored.backup)?)?;
    Ok(all)
}

/// What is in a backup, as keywords of `littoral.Backup`.
pub(crate) fn report_to_py<'py>(
    py: Python<'py>,
    report: &BackupReport,
) -> PyResult<Bound<'py, PyDict>> {
    let collections = PyDict::new(py);
    for one in &report.collections {
        let shape = PyDict::new(py);
        shape.set_item("documents", one.documents)?;
        shape.set_item("conflicts", one.conflicts)?;
        shape.set_item("transactions", one.transactions)?;
        shape.set_item("origins", one.origins)?;
        shape.set_item("cells", crate::store::hash_to_hex(one.cells))?;
        collections.set_item(&one.name, shape)?;
    }
    let all = PyDict::new(py);
    all.set_item("node", report.node.to_string())?;
    all.set_item("made_ms", report.made_ms)?;
    all.set_item("bytes", report.bytes)?;
    all.set_item("founder", report.founder.map(|founder| founder.to_string()))?;
    all.set_item("statements", report.statements)?;
    all.set_item("peers", report.peers)?;
    all.set_item("collections", collections)?;
    Ok(all)
}
