//! The works of two stores: first sync, differences, live changes, over QUIC on loopback.
//!
//! Both are in this process, each with the network that a node has.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use littoral::net::{Link, Network, NetworkOptions, PeerAddress};
use littoral::{ErrorKind, Result, Store};

use super::figures::{Row, median, micros};
use super::notes::{BATCH, NOTES, id, note};
use super::plain::Plain;
use super::stores::{CACHE_BYTES, ROUNDS, Stores, options, time};

/// How long a sync may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// Changes on each side.
const CHANGES: u64 = 100;
/// Live changes that are timed.
const LIVE: u64 = 200;

/// Two networks that are linked.
struct Linked {
    hub: Network,
    node: Network,
    link: Link,
}

impl Linked {
    /// Connects `there` to `here` and waits until both hold the same.
    fn meet(here: &Store, there: &Store) -> Result<Linked> {
        here.trust(there.node_id())?;
        let anywhere = "127.0.0.1:0".parse().expect("an address");
        let hub = Network::start(here, NetworkOptions::listen(anywhere))?;
        let node = Network::start(there, NetworkOptions::default())?;
        let address = format!("{}#{}", hub.listening()[0], here.node_id());
        let link = node.connect(address.parse::<PeerAddress>()?)?;
        link.wait_synced(PATIENCE)?;
        hub.wait_synced(PATIENCE)?;
        Ok(Linked { hub, node, link })
    }

    /// UDP bytes in both directions.
    fn bytes(&self) -> u64 {
        let status = self.link.status();
        status.received_bytes + status.sent_bytes
    }

    fn close(self) {
        self.node.close();
        self.hub.close();
    }
}

impl Stores {
    /// Another store that holds the same. Gives it, how long that took, and UDP bytes.
    fn peer(&self, name: &str) -> Result<(Store, f64, u64)> {
        let peer = options().open(self.dir.join(name))?;
        let start = Instant::now();
        let linked = Linked::meet(&self.store, &peer)?;
        let (seconds, bytes) = (start.elapsed().as_secs_f64(), linked.bytes());
        linked.close();
        Ok((peer, seconds, bytes))
    }

    pub(super) fn first_sync(&mut self) -> Result<Vec<Row>> {
        let (mut ours, mut theirs, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..3 {
            let (peer, seconds, moved) = self.peer(&format!("first-{round}"))?;
            peer.close()?;
            ours.push(seconds);
            bytes.push(moved as f64 / self.docs as f64);
            let plain = Plain::open(&self.dir.join(format!("first-{round}.redb")), CACHE_BYTES)?;
            let mut spent = Duration::ZERO;
            for first in (0..self.docs).step_by(BATCH as usize) {
                let numbers = first..self.docs.min(first + BATCH);
                let rows: Vec<_> = numbers.map(|n| (id(n), note(n))).collect();
                spent += time(|| plain.put(&rows))?;
            }
            theirs.push(spent.as_secs_f64());
        }
        Ok(vec![
            Row::beside(
                ("W5", "first sync of an empty peer", "s"),
                median(ours),
                median(theirs),
                "connecting included; beside it, writing the same rows to redb, which sends nothing",
            ),
            Row::alone(
                ("W5", "UDP bytes of it", "B/note"),
                median(bytes),
                "in both directions, with all that QUIC adds and all that was changed before",
            ),
        ])
    }

    pub(super) fn differences(&mut self) -> Result<Vec<Row>> {
        let (peer, ..) = self.peer("differences")?;
        let (mut millis, mut bytes) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            for (side, store) in [self.store.clone(), peer.clone()].iter().enumerate() {
                let (value, docs) = (self.next(), self.docs);
                store.write(|txn| {
                    (0..CHANGES).try_for_each(|n| {
                        let n = (2 * (n * 997 + round * 31) + side as u64) % docs;
                        txn.set(NOTES, &id(n), "priority", value)
                    })
                })?;
            }
            let start = Instant::now();
            let linked = Linked::meet(&self.store, &peer)?;
            millis.push(start.elapsed().as_secs_f64() * 1e3);
            bytes.push(linked.bytes() as f64 / (2 * CHANGES) as f64);
            linked.close();
        }
        peer.close()?;
        Ok(vec![
            Row::alone(
                ("W6", "100 changes on each side, then sync", "ms"),
                median(millis),
                "connecting included; it does not depend on how many notes there are",
            ),
            Row::alone(
                ("W6", "UDP bytes of it", "B/change"),
                median(bytes),
                "most of them are the handshake's and probes for the path's largest datagram",
            ),
        ])
    }

    pub(super) fn live(&mut self) -> Result<Vec<Row>> {
        let (peer, ..) = self.peer("live")?;
        let linked = Linked::meet(&self.store, &peer)?;
        let (tell, committed) = mpsc::channel();
        let _subscription = peer.on_commit(move || {
            // Nobody listens any more at the end.
            let _ = tell.send(Instant::now());
        });
        let aside = Plain::open(&self.dir.join("live.redb"), CACHE_BYTES)?;
        aside.put(&[(id(0), note(0))])?;
        let (here, there) = (self.notes()?, peer.collection(NOTES)?);
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for n in 0..LIVE {
            let (value, n) = (self.next(), n * 7919 % self.docs);
            committed.try_iter().for_each(drop);
            let start = Instant::now();
            here.set(&id(n), "priority", value)?;
            loop {
                let at = committed.recv_timeout(PATIENCE).map_err(|_| late())?;
                if there.get_field(&id(n), "priority")? == Some(value.into()) {
                    ours.push(micros(at - start));
                    break;
                }
            }
            theirs.push(micros(time(|| {
                self.plain.set(n, value as i64)?;
                aside.set(0, value as i64)
            })?));
        }
        linked.close();
        peer.close()?;
        Ok(vec![Row::beside(
            ("W7", "a change until durable on the peer", "µs"),
            median(ours),
            median(theirs),
            "from before the local write; beside it, two commits of redb, one after the other",
        )])
    }
}

fn late() -> littoral::Error {
    littoral::Error::new(ErrorKind::Timeout, "a change did not get to the peer")
}
