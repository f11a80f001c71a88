//! Who belongs to the network, and what each may do.

use std::collections::BTreeMap;

use littoral::NodeId;
use littoral::txn::roster::{Member, Rights};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::classes::Classes;
use crate::error::raise;
use crate::open_store::OpenStore;
use crate::value::time_to_py;

pub(crate) fn key(py: Python<'_>, text: &str) -> PyResult<NodeId> {
    text.parse().map_err(|err: littoral::Error| raise(py, err.into()))
}

/// All members, each as keywords of `littoral.Member`.
pub(crate) fn members<'py>(py: Python<'py>, open: &OpenStore) -> PyResult<Vec<Bound<'py, PyDict>>> {
    let members = open.run(py, |store| Ok(store.members().unwrap_or_default()))?;
    members.iter().map(|member| to_py(py, member)).collect()
}

/// Says what a member may do from now on; without a name, it is called as before.
pub(crate) fn grant(
    py: Python<'_>,
    open: &OpenStore,
    member: &str,
    rights: &BTreeMap<String, String>,
    name: Option<&str>,
) -> PyResult<()> {
    let node = key(py, member)?;
    open.run(py, |store| {
        let words = rights.iter().map(|(name, word)| (name.as_str(), word.as_str()));
        let rights = Rights::from_words(words)?;
        store.grant(node, name, rights)
    })
}

fn to_py<'py>(py: Python<'py>, member: &Member) -> PyResult<Bound<'py, PyDict>> {
    let rights = PyDict::new(py);
    for (name, word) in member.rights.words() {
        rights.set_item(name, word)?;
    }
    let micros = i64::try_from(member.since_ms).unwrap_or(0).saturating_mul(1000);
    let classes = Classes::get(py)?;
    let since = member.by.map(|_| time_to_py(classes, py, micros)).transpose()?;
    let all = PyDict::new(py);
    all.set_item("id", member.node.to_string())?;
    all.set_item("name", &member.name)?;
    all.set_item("rights", rights)?;
    all.set_item("by", member.by.map(|node| node.to_string()))?;
    all.set_item("since", since)?;
    Ok(all)
}
