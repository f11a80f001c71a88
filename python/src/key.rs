//! The key of a node.

use std::path::PathBuf;

use littoral::Options;
use pyo3::prelude::*;

use crate::open_store::interruptible;

/// Gives the store in a directory a new key: the old one, the new one, who has yet to hear of it.
#[pyfunction]
#[pyo3(signature = (path, *, passphrase=None))]
pub(crate) fn rotate_key(
    py: Python<'_>,
    path: PathBuf,
    passphrase: Option<String>,
) -> PyResult<(String, String, Vec<String>)> {
    let options = match &passphrase {
        Some(passphrase) => Options::new().passphrase(passphrase),
        None => Options::new(),
    };
    let change = interruptible(py, move || options.rotate_key(&path))?;
    let untold = change.untold.iter().map(ToString::to_string).collect();
    Ok((change.from.to_string(), change.to.to_string(), untold))
}
