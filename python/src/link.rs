//! Links to peers, and the network of a store, which starts with the first call that needs it.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex};

use littoral::net::{
    Direction, LinkState, LinkStatus, Offence, PeerAddress, Standing, Trouble, reached_at,
};
use littoral::{Error, ErrorKind};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::changes::seconds_to_duration;
use crate::classes::Classes;
use crate::error::{exception, raise};
use crate::open_store::{OpenStore, Owned, detached, interruptible, lock};
use crate::value::time_to_py;

/// A link that this store keeps up.
#[pyclass(frozen, module = "littoral._native")]
pub(crate) struct Link {
    open: Arc<OpenStore>,
    link: Mutex<Owned<littoral::net::Link>>,
}

/// Listens at `address`; gives what peers connect to.
pub(crate) fn listen(py: Python<'_>, open: &OpenStore, address: &str) -> PyResult<String> {
    let network = open.network(py)?;
    let address = address.to_owned();
    // A name is looked up, which may take long.
    let bound = interruptible(py, move || network.listen(socket_address(&address)?))?;
    // Who listens everywhere is nowhere to be dialled: peers want an address of this machine.
    let reached = reached_at(bound).first().copied().unwrap_or(bound);
    Ok(format!("{reached}#{}", open.node))
}

/// Keeps up a link to the peer at `address`.
pub(crate) fn connect(py: Python<'_>, open: &Arc<OpenStore>, address: &str) -> PyResult<Link> {
    let address: PeerAddress = address.parse().map_err(|err: Error| raise(py, err.into()))?;
    let network = open.network(py)?;
    Ok(Link::new(open, detached(py, || network.connect(address))?))
}

/// Keeps up a link to each peer whose address is known and that is not dialled yet.
pub(crate) fn connect_known(py: Python<'_>, open: &Arc<OpenStore>) -> PyResult<Vec<Link>> {
    let network = open.network(py)?;
    let links = detached(py, || network.connect_known())?;
    Ok(links.into_iter().map(|link| Link::new(open, link)).collect())
}

fn socket_address(text: &str) -> littoral::Result<SocketAddr> {
    let found = text.to_socket_addrs().ok().and_then(|mut all| all.next());
    found.ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidInput,
            format!(
                "an address to listen at is host:port, such as 0.0.0.0:4433; this one is {text:?}"
            ),
        )
    })
}

impl Link {
    pub(crate) fn new(open: &Arc<OpenStore>, link: littoral::net::Link) -> Link {
        Link { open: open.clone(), link: Mutex::new(Owned::new(link)) }
    }

    fn link(&self, py: Python<'_>) -> PyResult<littoral::net::Link> {
        self.open.get(py)?;
        let link = lock(&self.link).get_mut().cloned();
        link.ok_or_else(|| exception(py, "ClosedError", "the link is closed"))
    }
}

#[pymethods]
impl Link {
    /// The key of the node at the other end.
    #[getter]
    fn peer(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.link(py)?.peer().to_string())
    }

    /// How it stands, as keywords of `littoral.LinkStatus`.
    fn status<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let link = self.link(py)?;
        let network = self.open.network(py)?;
        let (status, standings) = py.detach(|| (link.status(), network.standings()));
        status_to_py(py, &status, &standings)
    }

    /// Cuts all connections with this peer, or takes them up again.
    fn set_enabled(&self, py: Python<'_>, enabled: bool) -> PyResult<()> {
        let link = self.link(py)?;
        interruptible(py, move || {
            link.set_enabled(enabled);
            Ok(())
        })
    }

    /// Waits until this peer and we hold the same.
    fn wait_synced(&self, py: Python<'_>, timeout: f64) -> PyResult<()> {
        let timeout = seconds_to_duration(py, timeout)?;
        let link = self.link(py)?;
        interruptible(py, move || link.wait_synced(timeout))
    }

    /// Closes it for good.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.open.check_process(py)?;
        if self.open.is_closed() {
            return Ok(());
        }
        let link = self.link(py)?;
        interruptible(py, move || {
            link.close();
            Ok(())
        })
    }
}

/// A standing as keywords of `littoral.Standing`.
pub(crate) fn standing_to_py<'py>(
    py: Python<'py>,
    standing: &Standing,
) -> PyResult<Bound<'py, PyDict>> {
    let all = PyDict::new(py);
    all.set_item("peer", standing.peer.to_string())?;
    all.set_item("collection", &standing.collection)?;
    all.set_item("live", standing.live)?;
    all.set_item("lag_transactions", standing.lag_txns)?;
    all.set_item("lag", standing.lag)?;
    all.set_item("stalled", standing.stalled)?;
    Ok(all)
}

/// A status as keywords of `littoral.LinkStatus`, with what is known of how far the peer is behind.
pub(crate) fn status_to_py<'py>(
    py: Python<'py>,
    status: &LinkStatus,
    standings: &[Standing],
) -> PyResult<Bound<'py, PyDict>> {
    let (state, reason) = match &status.state {
        LinkState::Connecting => ("connecting", None),
        LinkState::Connected => ("connected", None),
        LinkState::Waiting => ("waiting", status.last_error.as_deref()),
        LinkState::Refused(why) => ("refused", Some(why.as_str())),
        LinkState::Standby => ("standby", None),
        LinkState::Paused => ("paused", None),
        LinkState::Closed => ("closed", status.last_error.as_deref()),
        _ => ("unknown", None),
    };
    let direction = match status.direction {
        Direction::Outgoing => "outgoing",
        Direction::Incoming => "incoming",
    };
    let classes = Classes::get(py)?;
    let since = status
        .connected_since_ms
        .map(|ms| time_to_py(classes, py, i64::try_from(ms).unwrap_or(0).saturating_mul(1000)))
        .transpose()?;
    let collections = PyDict::new(py);
    for (name, collection) in &status.collections {
        let (one, progress) = (PyDict::new(py), &collection.progress);
        let standing = standings.iter().find(|of| of.peer == status.peer && of.collection == *name);
        one.set_item("lag_transactions", standing.map(|of| of.lag_txns))?;
        one.set_item("lag", standing.map(|of| of.lag))?;
        one.set_item("sent_transactions", progress.sent_txns)?;
        one.set_item("received_transactions", progress.received_txns)?;
        one.set_item("unacked_bytes", progress.unacked_bytes)?;
        one.set_item("unapplied_bytes", progress.unapplied_bytes)?;
        one.set_item("peer_caught_up", progress.peer_caught_up)?;
        one.set_item("caught_up", progress.caught_up)?;
        one.set_item("trouble", collection.trouble.map(trouble_name))?;
        collections.set_item(name, one)?;
    }
    let all = PyDict::new(py);
    all.set_item("peer", status.peer.to_string())?;
    all.set_item("address", &status.address)?;
    all.set_item("direction", direction)?;
    all.set_item("state", state)?;
    all.set_item("reason", reason)?;
    all.set_item("synced", status.synced)?;
    all.set_item("connected_since", since)?;
    all.set_item("rtt_ms", status.rtt_ms)?;
    all.set_item("received_bytes", status.received_bytes)?;
    all.set_item("sent_bytes", status.sent_bytes)?;
    all.set_item("collections", collections)?;
    Ok(all)
}

fn trouble_name(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::Diverged => "diverged",
        Trouble::Halted(Offence::Forked) => "forked",
        Trouble::Halted(Offence::TooNew) => "too new",
        Trouble::Halted(Offence::Forbidden) => "forbidden",
        Trouble::Halted(Offence::TooMuch) => "too much",
        Trouble::Halted(_) => "invalid",
        Trouble::Behind => "behind",
        Trouble::PeerBehind => "peer behind",
        Trouble::Stuck => "stuck",
        _ => "unknown",
    }
}
