//! Tickets, making and using them, and what became of invitations.

use std::collections::BTreeMap;
use std::sync::Arc;

use littoral::clock::{SystemClock, WallClock};
use littoral::store::{Invite, InviteOptions};
use littoral::txn::roster::Rights;
use littoral::txn::ticket::InviteId;
use littoral::{Error, Result};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use crate::changes::seconds_to_duration;
use crate::classes::Classes;
use crate::error::raise;
use crate::link::Link;
use crate::open_store::{OpenStore, SLICE, detached};
use crate::value::time_to_py;

/// The last millisecond that `datetime` knows: a ticket may claim any.
const LAST_MS: u64 = 253_402_300_799_999;

/// A ticket: whoever has its text can join with it. `str(ticket)` is the text.
#[pyclass(frozen, module = "littoral")]
pub(crate) struct Ticket(pub(crate) littoral::txn::ticket::Ticket);

#[pymethods]
impl Ticket {
    /// From its text, in any case and with white space.
    #[new]
    fn new(py: Python<'_>, text: &str) -> PyResult<Ticket> {
        text.parse().map(Ticket).map_err(|err: Error| raise(py, err.into()))
    }

    /// The name of the invitation, from which the ticket can't be told.
    #[getter]
    fn id(&self) -> String {
        self.0.secret.invite().to_string()
    }

    /// The key of the node that made it, which whoever answers must prove to hold.
    #[getter]
    fn inviter(&self) -> String {
        self.0.inviter.to_string()
    }

    /// Until when it is good, by the clock of the node that made it.
    #[getter]
    fn expires<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        time(py, self.0.expires_ms)
    }

    /// Where that node may be reached, `host:port`, the likeliest first.
    #[getter]
    fn addresses<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.0.addresses)
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        let addresses = self.0.addresses.join(", ");
        format!("<littoral.Ticket of {} at {addresses}>", self.0.inviter.short())
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Ticket>().is_ok_and(|other| other.get().0 == self.0)
    }

    fn __hash__(&self) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        self.0.secret.invite().hash(&mut hasher);
        hasher.finish()
    }

    fn __reduce__<'py>(slf: &Bound<'py, Ticket>) -> PyResult<Bound<'py, PyTuple>> {
        let py = slf.py();
        (py.get_type::<Ticket>(), (slf.get().__str__(),)).into_pyobject(py)
    }
}

/// What a ticket is to give, as Python says it.
pub(crate) struct Inviting {
    pub(crate) rights: BTreeMap<String, String>,
    pub(crate) lives_ms: u64,
    pub(crate) uses: u32,
    pub(crate) name: String,
    pub(crate) addresses: Vec<String>,
    pub(crate) own_name: String,
}

/// Makes a ticket; without addresses it says where the store listens.
pub(crate) fn invite(py: Python<'_>, open: &OpenStore, asked: Inviting) -> PyResult<Ticket> {
    let network = open.started_network(py)?;
    open.run(py, |store| {
        let addresses = match (asked.addresses.is_empty(), network) {
            (true, Some(network)) => network.reached_at().iter().map(ToString::to_string).collect(),
            _ => asked.addresses,
        };
        let mut options = InviteOptions::new(rights(&asked.rights)?, addresses);
        options.name = asked.name;
        options.lives_ms = asked.lives_ms;
        options.uses = asked.uses;
        options.own_name = asked.own_name;
        store.invite(&options).map(Ticket)
    })
}

fn rights(words: &BTreeMap<String, String>) -> Result<Rights> {
    Rights::from_words(words.iter().map(|(name, word)| (name.as_str(), word.as_str())))
}

/// All invitations, each as keywords of `littoral.Invite`.
pub(crate) fn invites<'py>(py: Python<'py>, open: &OpenStore) -> PyResult<Vec<Bound<'py, PyDict>>> {
    let invites = open.run(py, |store| store.invites())?;
    let now_ms = SystemClock.now_ms();
    invites.iter().map(|invite| to_py(py, invite, now_ms)).collect()
}

/// Lets nobody join with a ticket any more; gives whether somebody could have.
pub(crate) fn revoke(py: Python<'_>, open: &OpenStore, id: &str) -> PyResult<bool> {
    let id: InviteId = id.parse().map_err(|err: Error| raise(py, err.into()))?;
    open.run(py, |store| store.revoke_invite(&id))
}

/// Becomes a member with a ticket. Ctrl-C gives it up.
pub(crate) fn join(
    py: Python<'_>,
    open: &Arc<OpenStore>,
    ticket: &Ticket,
    name: &str,
    timeout: f64,
) -> PyResult<Link> {
    let timeout = seconds_to_duration(py, timeout)?;
    let network = open.network(py)?;
    let mut joining = detached(py, || network.begin_join(&ticket.0, name, timeout))?;
    loop {
        if let Some((_, link)) = detached(py, || joining.wait(SLICE))? {
            return Ok(Link::new(open, link));
        }
        py.check_signals()?;
    }
}

fn time(py: Python<'_>, ms: u64) -> PyResult<Bound<'_, PyAny>> {
    let micros = i64::try_from(ms.min(LAST_MS)).unwrap_or(0).saturating_mul(1000);
    time_to_py(Classes::get(py)?, py, micros)
}

fn to_py<'py>(py: Python<'py>, invite: &Invite, now_ms: u64) -> PyResult<Bound<'py, PyDict>> {
    let rights = PyDict::new(py);
    for (name, word) in invite.rights.words() {
        rights.set_item(name, word)?;
    }
    let used_by = PyList::empty(py);
    for (node, at_ms) in &invite.used_by {
        used_by.append((node.to_string(), time(py, *at_ms)?))?;
    }
    let all = PyDict::new(py);
    all.set_item("id", invite.id.to_string())?;
    all.set_item("state", invite.closed(now_ms).map_or("open", |why| why.word()))?;
    all.set_item("name", &invite.name)?;
    all.set_item("rights", rights)?;
    all.set_item("made", time(py, invite.made_ms)?)?;
    all.set_item("expires", time(py, invite.expires_ms)?)?;
    all.set_item("uses_left", invite.uses_left)?;
    all.set_item("used_by", used_by)?;
    Ok(all)
}
