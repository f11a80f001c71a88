//! The network of a store that is suspended: nothing of it is left open, and it comes back.
#![cfg(feature = "net")]

#[path = "common/wait.rs"]
mod wait;

use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use littoral::net::{LinkState, Network, NetworkOptions, PeerAddress};
use littoral::store::InviteOptions;
use littoral::txn::roster::{Right, Rights};
use littoral::{ErrorKind, Field, Fields, Result, Store};
use wait::until;

const LONG: Duration = Duration::from_secs(60);

struct Node {
    dir: tempfile::TempDir,
    store: Store,
    network: Network,
    address: PeerAddress,
}

impl Node {
    fn new() -> Node {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let at: SocketAddr = ([127, 0, 0, 1], 0).into();
        let network = Network::start(&store, NetworkOptions::listen(at)).unwrap();
        let port = network.listening()[0].port();
        let address = PeerAddress::new("127.0.0.1", port, store.node_id()).unwrap();
        Node { dir, store, network, address }
    }

    fn put(&self, id: &str, v: i64) {
        let fields = Fields::from([("v".to_owned(), Field::from(v))]);
        self.store.collection("notes").unwrap().put(id, &fields).unwrap();
    }

    fn shows(&self, id: &str, v: i64) -> bool {
        let document = self.store.collection("notes").unwrap().get(id).unwrap();
        document.is_some_and(|document| document["v"] == Field::from(v))
    }

    fn is_connected(&self) -> bool {
        self.network.links().iter().any(|link| link.state == LinkState::Connected)
    }

    /// Nobody has the port at which it listened.
    fn port_is_free(&self) -> bool {
        UdpSocket::bind(self.address.places()).is_ok()
    }
}

fn kind<T>(result: Result<T>) -> ErrorKind {
    result.err().expect("an error").kind()
}

#[test]
fn links_are_cut_and_come_back_by_themselves_in_both_directions() {
    let (a, b, c) = (Node::new(), Node::new(), Node::new());
    b.store.trust(a.store.node_id()).unwrap();
    b.store.trust(c.store.node_id()).unwrap();
    let link = a.network.connect(b.address.clone()).unwrap();
    let other = c.network.connect(b.address.clone()).unwrap();
    a.put("first", 1);
    link.wait_synced(LONG).unwrap();
    other.wait_synced(LONG).unwrap();
    // The one that dials, the one that is dialled, and both.
    for (round, resting) in [[&a].as_slice(), &[&b], &[&a, &b]].into_iter().enumerate() {
        let round = round as i64;
        resting.iter().for_each(|node| node.store.suspend(LONG).unwrap());
        for node in resting {
            until("its port is free", || node.port_is_free());
            assert!(node.network.links().iter().all(|link| link.state != LinkState::Connected));
            assert!(node.network.listening().is_empty());
            assert_eq!(kind(node.network.connect(c.address.clone())), ErrorKind::Suspended);
            assert_eq!(kind(node.network.listen(([127, 0, 0, 1], 0).into())), ErrorKind::Suspended);
            assert_eq!(kind(node.network.discover()), ErrorKind::Suspended);
            assert_eq!(kind(node.network.wait_synced(LONG)), ErrorKind::Suspended);
        }
        for node in [&a, &b, &c].into_iter().filter(|node| !node.store.is_suspended()) {
            node.put(&format!("while{round}"), round);
        }
        resting.iter().for_each(|node| node.store.wake().unwrap());
        for node in resting {
            node.put(&format!("after{round}"), round);
            assert_eq!(node.network.listening()[0].port(), port(&node.address));
        }
        link.wait_synced(LONG).or_else(late).unwrap();
        for node in [&a, &b, &c] {
            until("all show what each has written", || {
                node.shows(&format!("while{round}"), round)
                    && node.shows(&format!("after{round}"), round)
            });
        }
        until("both links are up again", || a.is_connected() && c.is_connected());
    }
}

fn port(address: &PeerAddress) -> u16 {
    address.places().parse::<SocketAddr>().unwrap().port()
}

/// The link may not be up again when it is asked first.
fn late(err: littoral::Error) -> Result<()> {
    if err.kind() == ErrorKind::Timeout { Ok(()) } else { Err(err) }
}

#[test]
fn suspending_in_the_middle_of_a_large_sync_loses_nothing() {
    let (a, b) = (Node::new(), Node::new());
    let text = "x".repeat(2000);
    for part in 0..20 {
        a.store
            .write(|txn| {
                (0..100).try_for_each(|n| {
                    txn.set("notes", &format!("{part:02}-{n:03}"), "t", text.as_str())
                })
            })
            .unwrap();
    }
    b.store.trust(a.store.node_id()).unwrap();
    a.network.connect(b.address.clone()).unwrap();
    let mut round = 0;
    while b.store.collection("notes").unwrap().len() < 2000 && round < 30 {
        let node = if round % 2 == 0 { &b } else { &a };
        let patience = if round % 3 == 0 { Duration::ZERO } else { LONG };
        if node.store.suspend(patience).or_else(late).is_ok() && node.store.is_suspended() {
            // Who asks it meanwhile is told so.
            assert_eq!(kind(node.store.flush()), ErrorKind::Suspended);
            drop(Store::open(node.dir.path()).unwrap());
        }
        node.store.wake().unwrap();
        round += 1;
        thread::park_timeout(Duration::from_millis(2 * (round % 20)));
    }
    until("all has come", || b.store.collection("notes").unwrap().len() == 2000);
    until("both hold the same", || {
        a.store.digests("notes").unwrap() == b.store.digests("notes").unwrap()
    });
}

#[test]
fn what_was_switched_off_stays_off_and_a_network_that_is_closed_is_not_opened() {
    let (a, b) = (Node::new(), Node::new());
    b.store.trust(a.store.node_id()).unwrap();
    let link = a.network.connect(b.address.clone()).unwrap();
    until("connected", || a.is_connected());
    link.set_enabled(false);
    a.store.suspend(LONG).unwrap();
    link.set_enabled(false);
    a.store.wake().unwrap();
    assert_eq!(link.status().state, LinkState::Paused);
    a.store.suspend(LONG).unwrap();
    link.set_enabled(true);
    assert_eq!(link.status().state, LinkState::Paused, "as long as the store is suspended");
    a.store.wake().unwrap();
    until("connected", || a.is_connected());
    // Offline and suspended are two things.
    a.network.set_online(false);
    a.store.suspend(LONG).unwrap();
    a.store.wake().unwrap();
    assert!(!a.is_connected() && !a.network.is_online());
    a.network.set_online(true);
    until("connected", || a.is_connected());
    // Closed while suspended, in whatever order.
    a.store.suspend(LONG).unwrap();
    a.network.close();
    a.store.wake().unwrap();
    assert!(a.network.listening().is_empty());
    assert_eq!(kind(a.network.connect(b.address.clone())), ErrorKind::Closed);
    let again = Network::start(&a.store, NetworkOptions::default()).unwrap();
    again.connect(b.address.clone()).unwrap().wait_synced(LONG).unwrap();
    a.store.suspend(LONG).unwrap();
    // One that is started meanwhile rests until the store is woken.
    let late = Network::start(&a.store, NetworkOptions::default()).unwrap();
    assert_eq!(kind(late.connect(b.address.clone())), ErrorKind::Suspended);
    a.store.wake().unwrap();
    again.close();
    late.connect(b.address.clone()).unwrap().wait_synced(LONG).unwrap();
}

#[test]
fn another_port_is_taken_if_somebody_took_the_one_it_had() {
    let a = Node::new();
    a.store.suspend(LONG).unwrap();
    let mut taken = None;
    until("the port is free", || {
        taken = UdpSocket::bind(a.address.places()).ok();
        taken.is_some()
    });
    a.store.wake().unwrap();
    let listening = a.network.listening();
    assert_eq!(listening.len(), 1);
    assert_ne!(listening[0].port(), port(&a.address));
}

#[test]
fn who_joins_meanwhile_joins_when_the_other_is_back() {
    let (a, b) = (Node::new(), Node::new());
    a.store.found_roster("a").unwrap();
    let rights = Rights::everywhere(Right::Write);
    let invite = InviteOptions::new(rights, vec![a.address.places()]);
    let ticket = a.store.invite(&invite).unwrap();
    a.store.suspend(LONG).unwrap();
    let mut joining = b.network.begin_join(&ticket, "b", LONG).unwrap();
    b.store.suspend(LONG).unwrap();
    assert!(joining.wait(Duration::ZERO).unwrap().is_none());
    b.store.wake().unwrap();
    a.store.wake().unwrap();
    assert!(joining.wait(LONG).unwrap().is_some());
    a.put("welcome", 1);
    until("it has come", || b.shows("welcome", 1));
}
