//! Three nodes in one process: a phone and a laptop, each linked with a hub.
//!
//! Each has its own directory, key, QUIC endpoint and HTTP address, and runs as `littoral run`
//! would run it; they share nothing but the process.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use littoral::net::Link;
use littoral::store::Subscription;
use littoral::txn::roster::{Right, Rights};
use littoral::{Error, ErrorKind, Result, Store};

use crate::node::{Node, NodeOptions};
use crate::signals::Signals;
use crate::target::Local;

/// How long convergence may take before something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often to look whether the process is to end, while nothing happens.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// One of the three.
pub(super) struct Member {
    /// What it is called.
    pub(super) name: &'static str,
    /// The node.
    pub(super) node: Node,
    /// Its store, as commands see it.
    pub(super) local: Local,
    _subscription: Subscription,
}

/// The three.
pub(super) struct Cluster {
    /// Linked with the hub; the link that is cut.
    pub(super) phone: Member,
    /// Linked with the hub.
    pub(super) laptop: Member,
    /// Linked with both.
    pub(super) hub: Member,
    link: Link,
    signals: Arc<Signals>,
}

impl Cluster {
    /// Starts the three on directories in `dir`.
    pub(super) fn start(dir: &Path, signals: &Arc<Signals>) -> Result<Cluster> {
        let phone = Member::start("phone", dir, signals)?;
        let laptop = Member::start("laptop", dir, signals)?;
        let hub = Member::start("hub", dir, signals)?;
        for member in [&phone, &laptop] {
            hub.node.accept(member.store().node_id())?;
        }
        name_all(&hub, &[&phone, &laptop])?;
        let link = phone.node.connect(&hub.node.address()?)?;
        laptop.node.connect(&hub.node.address()?)?;
        Ok(Cluster { phone, laptop, hub, link, signals: Arc::clone(signals) })
    }

    /// All of them.
    pub(super) fn members(&self) -> [&Member; 3] {
        [&self.phone, &self.hub, &self.laptop]
    }

    /// Cuts the link between phone and hub.
    pub(super) fn cut(&self) {
        self.link.set_enabled(false);
    }

    /// Heals it.
    pub(super) fn heal(&self) {
        self.link.set_enabled(true);
    }

    /// Waits until these hold the same in all collections; gives how long that took. `look` is
    /// called after each commit.
    pub(super) fn converge(&self, these: &[&Member], mut look: impl FnMut()) -> Result<Duration> {
        let started = Instant::now();
        loop {
            let heard = self.signals.rings();
            look();
            if agree(these)? {
                return Ok(started.elapsed());
            }
            if started.elapsed() > PATIENCE {
                return Err(Error::new(
                    ErrorKind::Timeout,
                    format!("the nodes did not converge within {} s", PATIENCE.as_secs()),
                ));
            }
            self.signals.wait_for_ring(heard, LOOK_EVERY)?;
        }
    }

    /// What a node with this key is called.
    pub(super) fn name(&self, key: &str) -> String {
        let found =
            self.members().into_iter().find(|member| member.store().node_id().to_string() == key);
        found.map_or_else(|| key.to_owned(), |member| member.name.to_owned())
    }

    /// Stops all three.
    pub(super) fn stop(self) -> Result<()> {
        self.phone.node.stop()?;
        self.laptop.node.stop()?;
        self.hub.node.stop()
    }
}

impl Member {
    fn start(name: &'static str, dir: &Path, signals: &Arc<Signals>) -> Result<Member> {
        let data = dir.join(name);
        let store = Store::open(&data)?;
        let anywhere = "127.0.0.1:0".parse().expect("an address");
        let options = NodeOptions {
            data,
            listen: anywhere,
            http: anywhere,
            discover: false,
            checkpoint_every: None,
        };
        let bell = Arc::clone(signals);
        let _subscription = store.on_commit(move || bell.ring());
        let node = Node::start(store.clone(), &options)?;
        Ok(Member { name, node, local: Local::new(store), _subscription })
    }

    /// Its store.
    pub(super) fn store(&self) -> &Store {
        self.node.store()
    }

    /// How many documents a collection has here.
    pub(super) fn documents(&self, collection: &str) -> u64 {
        self.store().collection(collection).map_or(0, |collection| collection.len())
    }

    /// The digest of what a collection shows here, in short.
    pub(super) fn digest(&self, collection: &str) -> Result<String> {
        let digests = self.store().digests(collection)?;
        Ok(data_encoding::HEXLOWER.encode(&digests.shown.0[..8]))
    }
}

/// Makes them members of one network, so that people read names where nodes know keys.
fn name_all(hub: &Member, others: &[&Member]) -> Result<()> {
    let founded = hub.store().founder().is_some();
    if !founded {
        hub.store().found_roster(hub.name)?;
    }
    for member in others {
        let rights = Rights::everywhere(Right::Write);
        if !founded {
            hub.store().grant(member.store().node_id(), Some(member.name), rights)?;
        }
        member.store().join_roster(hub.store().node_id())?;
        // By the links it would hear of it, too, but who writes at once must know.
        let held = member.store().statements_held();
        member.store().add_statements(hub.store().statements_beyond(&held))?;
    }
    Ok(())
}

/// Whether these hold the same, by the digests of all cells.
fn agree(these: &[&Member]) -> Result<bool> {
    let cells = |member: &&Member| -> Result<Vec<_>> {
        let store = member.store();
        let of = |name: String| store.summary(&name).map(|summary| (name, summary.1));
        store.collections().into_iter().map(of).collect()
    };
    let all = these.iter().map(cells).collect::<Result<Vec<_>>>()?;
    Ok(all.windows(2).all(|pair| pair[0] == pair[1]))
}
