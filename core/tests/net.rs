//! Stores over real QUIC on the loopback: what the network promises.
//!
//! Nothing here depends on how long anything takes: tests wait for conditions, and give up
//! only after far longer than any of them needs.
#![cfg(feature = "net")]

#[path = "common/wait.rs"]
mod wait;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use littoral::net::{Direction, Link, LinkState, LinkStatus, Network, NetworkOptions, PeerAddress};
use littoral::store::Collections;
use littoral::txn::NodeKey;
use littoral::txn::roster::{Right, Rights};
use littoral::{ErrorKind, Field, Fields, Store};
use wait::until;

const LONG: Duration = Duration::from_secs(60);

/// A store with its network.
struct Node {
    _dir: tempfile::TempDir,
    store: Store,
    network: Network,
    address: PeerAddress,
}

impl Node {
    fn new() -> Node {
        Node::keyed(Store::options())
    }

    /// A node whose key is chosen, so that its order among the others is.
    fn numbered(n: u8) -> Node {
        Node::keyed(Store::options().key(NodeKey::from_seed([n; 32])))
    }

    fn keyed(options: littoral::Options) -> Node {
        let dir = tempfile::tempdir().unwrap();
        let store = options.open(dir.path()).unwrap();
        let (network, address) = start(&store, 0);
        Node { _dir: dir, store, network, address }
    }

    fn trusts(&self, other: &Node) -> &Node {
        self.store.trust(other.store.node_id()).unwrap();
        self
    }

    /// Dials `other`, which lets us in.
    fn joins(&self, other: &Node) -> Link {
        other.trusts(self);
        self.network.connect(other.address.clone()).unwrap()
    }

    fn put(&self, id: &str, value: i64) {
        put(&self.store, id, value);
    }

    fn get(&self, id: &str) -> Option<i64> {
        get(&self.store, id)
    }

    fn link_to(&self, other: &Node) -> Vec<LinkStatus> {
        let peer = other.store.node_id();
        self.network.links().into_iter().filter(|link| link.peer == peer).collect()
    }
}

fn start(store: &Store, port: u16) -> (Network, PeerAddress) {
    let at: SocketAddr = ([127, 0, 0, 1], port).into();
    let network = Network::start(store, NetworkOptions::listen(at)).unwrap();
    let port = network.listening()[0].port();
    let address = PeerAddress::new("127.0.0.1", port, store.node_id()).unwrap();
    (network, address)
}

fn put(store: &Store, id: &str, value: i64) {
    let fields = Fields::from([("v".to_owned(), Field::from(value))]);
    store.collection("notes").unwrap().put(id, &fields).unwrap();
}

fn get(store: &Store, id: &str) -> Option<i64> {
    let document = store.collection("notes").unwrap().get(id).unwrap()?;
    (0..100).find(|n| document["v"] == Field::from(*n))
}

fn digests(store: &Store) -> Option<littoral::store::Digests> {
    store.collections().contains(&"notes".to_owned()).then(|| store.digests("notes").unwrap())
}

fn converge(stores: &[&Store]) {
    until("all hold the same", || {
        let first = digests(stores[0]);
        first.is_some() && stores.iter().all(|store| digests(store) == first)
    });
}

#[test]
fn two_stores_converge_both_ways_and_stay_so() {
    let (a, b) = (Node::new(), Node::new());
    (0..50).for_each(|n| a.put(&format!("a{n}"), n));
    (0..50).for_each(|n| b.put(&format!("b{n}"), n));
    let link = a.joins(&b);
    link.wait_synced(LONG).unwrap();
    assert_eq!(digests(&a.store), digests(&b.store));
    assert_eq!(a.store.collection("notes").unwrap().len(), 100);

    a.put("live", 1);
    until("b shows what a wrote", || b.get("live") == Some(1));
    b.put("live", 2);
    until("a shows what b wrote", || a.get("live") == Some(2));

    let status = link.status();
    assert_eq!(status.state, LinkState::Connected);
    assert!(status.connected_since_ms.is_some() && status.rtt_ms.is_some());
    assert!(status.sent_bytes > 0 && status.received_bytes > 0);
    assert_eq!(b.link_to(&a)[0].direction, Direction::Incoming);
}

#[test]
fn wait_synced_means_that_the_peer_holds_it_durably() {
    let (a, b) = (Node::new(), Node::new());
    let link = a.joins(&b);
    for n in 0..20 {
        a.put("counted", n);
        a.network.wait_synced(LONG).unwrap();
        assert_eq!(b.get("counted"), Some(n));
    }
    let progress = link.status().collections["notes"].progress;
    assert!(progress.caught_up && progress.peer_caught_up);
    assert_eq!(progress.unacked_bytes, 0);
    assert_eq!(progress.sent_txns, 20, "each change crosses the link once");
}

#[test]
fn wait_synced_without_a_link_says_so() {
    let a = Node::new();
    a.put("x", 1);
    let error = a.network.wait_synced(Duration::ZERO).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.message().contains("no link is connected"), "{error}");
}

#[test]
fn a_star_converges_through_its_hub() {
    let hub = Node::new();
    let leaves = [Node::new(), Node::new(), Node::new()];
    for (n, leaf) in (0..).zip(&leaves) {
        leaf.put(&format!("from{n}"), n);
        leaf.joins(&hub);
    }
    let all: Vec<&Store> = leaves.iter().chain([&hub]).map(|node| &node.store).collect();
    until("the hub holds all", || hub.store.collection("notes").unwrap().len() == 3);
    converge(&all);
    leaves[0].put("live", 7);
    until("the other leaf shows it", || leaves[2].get("live") == Some(7));
    converge(&all);
}

#[test]
fn a_ring_converges_and_goes_on_when_it_is_cut_open() {
    let ring = [Node::new(), Node::new(), Node::new()];
    let links: Vec<Link> = (0..3).map(|n| ring[n].joins(&ring[(n + 1) % 3])).collect();
    (0..).zip(&ring).for_each(|(n, node)| node.put(&format!("from{n}"), n));
    let all: Vec<&Store> = ring.iter().map(|node| &node.store).collect();
    until("one holds all", || ring[0].store.collection("notes").unwrap().len() == 3);
    converge(&all);
    links[0].close();
    assert_eq!(links[0].status().state, LinkState::Closed);
    ring[0].put("after", 5);
    until("it goes the other way round", || ring[1].get("after") == Some(5));
    converge(&all);
}

#[test]
fn a_link_comes_back_when_the_peer_is_restarted_on_its_port() {
    let a = Node::new();
    let dir = tempfile::tempdir().unwrap();
    let open = |path: &Path| Store::open(path).unwrap();
    let store = open(dir.path());
    store.trust(a.store.node_id()).unwrap();
    let (network, address) = start(&store, 0);
    let link = a.network.connect(address.clone()).unwrap();
    a.put("before", 1);
    link.wait_synced(LONG).unwrap();
    network.close();
    store.close().unwrap();
    drop((network, store));

    a.put("meanwhile", 2);
    let store = open(dir.path());
    let (_network, again) = start(&store, address.port());
    assert_eq!(again, address);
    until("what was written meanwhile arrives", || get(&store, "meanwhile") == Some(2));
    link.wait_synced(LONG).unwrap();
    put(&store, "after", 3);
    until("and it is live again", || a.get("after") == Some(3));
}

#[test]
fn a_disabled_link_carries_nothing_until_it_is_enabled() {
    let (a, b) = (Node::new(), Node::new());
    let link = a.joins(&b);
    a.put("x", 1);
    link.wait_synced(LONG).unwrap();
    for round in 2..5 {
        link.set_enabled(false);
        until("the link is paused", || link.status().state == LinkState::Paused);
        until("the peer sees it go", || b.network.links().is_empty());
        a.put("x", round);
        b.put("y", round);
        assert_eq!((b.get("x"), a.get("y")), (Some(round - 1), (round > 2).then_some(round - 1)));
        link.set_enabled(true);
        link.wait_synced(LONG).unwrap();
        assert_eq!((b.get("x"), a.get("y")), (Some(round), Some(round)));
    }
}

/// Cut means cut when the call returns: nobody has to wait for a state before writing.
#[test]
fn what_is_written_after_a_link_was_disabled_is_written_apart() {
    let (a, b) = (Node::new(), Node::new());
    let link = a.joins(&b);
    a.put("x", 0);
    link.wait_synced(LONG).unwrap();
    for round in 1..20 {
        link.set_enabled(false);
        assert_eq!(link.status().state, LinkState::Paused, "round {round}");
        a.put("x", 2 * round);
        b.put("x", 2 * round + 1);
        link.set_enabled(true);
        link.wait_synced(LONG).unwrap();
        let conflicts = b.store.conflicts().unwrap();
        assert_eq!(conflicts.len(), 1, "round {round}: neither saw what the other wrote");
        b.put("x", 0);
        b.network.wait_synced(LONG).unwrap();
        assert!(a.store.conflicts().unwrap().is_empty());
    }
}

#[test]
fn the_side_that_was_dialled_can_cut_the_link_too() {
    let (a, b) = (Node::new(), Node::new());
    let link = a.joins(&b);
    link.wait_synced(LONG).unwrap();
    b.network.set_enabled(a.store.node_id(), false);
    until("a is turned away", || {
        link.status().last_error.is_some_and(|error| error.contains("cut this link for now"))
    });
    a.put("x", 1);
    assert_eq!(b.get("x"), None);
    b.network.set_enabled(a.store.node_id(), true);
    until("a comes back by itself", || b.get("x") == Some(1));
}

/// As a device that is switched to flight mode: it dials nobody, lets in nobody, and keeps what it
/// was told to do for when it is back.
#[test]
fn a_node_that_is_offline_links_with_nobody_until_it_is_back() {
    let (a, b, c) = (Node::new(), Node::new(), Node::new());
    let (out, into) = (a.joins(&b), c.joins(&a));
    a.put("x", 1);
    until("all have it", || b.get("x") == Some(1) && c.get("x") == Some(1));
    a.network.set_online(false);
    assert!(!a.network.is_online());
    assert_eq!(out.status().state, LinkState::Paused, "cut means cut when the call returns");
    a.put("x", 2);
    b.put("y", 2);
    c.put("z", 2);
    until("c is turned away", || {
        into.status().last_error.is_some_and(|error| error.contains("cut this link for now"))
    });
    let d = Node::new();
    let late = a.joins(&d);
    until("nor is a link made meanwhile", || late.status().state == LinkState::Paused);
    assert_eq!((b.get("x"), c.get("x"), a.get("y"), a.get("z")), (Some(1), Some(1), None, None));
    assert_eq!(d.get("x"), None);
    // A peer that is cut by itself stays so.
    a.network.set_enabled(d.store.node_id(), false);
    a.network.set_online(true);
    until("a is back", || a.get("y") == Some(2) && a.get("z") == Some(2));
    until("and the others have its writes", || b.get("x") == Some(2) && c.get("x") == Some(2));
    assert_eq!((late.status().state, d.get("x")), (LinkState::Paused, None));
}

#[test]
fn a_collection_that_begins_while_a_link_is_down_counts_as_lag_where_it_is_wanted() {
    let (a, b, c) = (Node::new(), Node::new(), Node::new());
    c.store.want(Collections::Only(["notes".to_owned()].into())).unwrap();
    b.joins(&a);
    b.put("n", 1);
    b.network.wait_synced(LONG).unwrap();
    c.joins(&a);
    until("c has it", || c.get("n") == Some(1));
    let lag = |peer: &Node, collection: &str| {
        let all = a.network.standings();
        let of = all
            .into_iter()
            .find(|one| one.peer == peer.store.node_id() && one.collection == collection);
        of.map(|one| (one.lag_txns, one.live))
    };
    until("both are told of", || [&b, &c].iter().all(|peer| lag(peer, "notes") == Some((0, true))));
    a.network.set_online(false);
    assert_eq!(lag(&b, "plans"), None);
    let plans = a.store.collection("plans").unwrap();
    for n in 1..=3 {
        plans.put("p", &Fields::from([("n".to_owned(), Field::from(n))])).unwrap();
    }
    assert_eq!((lag(&b, "plans"), lag(&b, "notes")), (Some((3, false)), Some((0, false))));
    assert_eq!(lag(&c, "plans"), None, "it said that it does not want it");
    a.network.set_online(true);
    until("it has it", || lag(&b, "plans") == Some((0, true)));
    assert_eq!(lag(&c, "plans"), None);
}

#[test]
fn an_unknown_key_is_refused_at_the_handshake_and_named() {
    let (a, b) = (Node::new(), Node::new());
    a.put("secret", 1);
    b.put("secret", 2);
    let link = a.network.connect(b.address.clone()).unwrap();
    until("a is refused", || matches!(link.status().state, LinkState::Refused(_)));
    let LinkState::Refused(reason) = link.status().state else { return };
    assert!(reason.contains("does not trust this node's key"), "{reason}");
    let refusals = b.network.refusals();
    assert!(refusals.total >= 1);
    assert_eq!(refusals.nodes.len(), 1);
    assert_eq!(refusals.nodes[0].node, a.store.node_id());
    assert!(b.network.links().is_empty());
    assert_eq!((a.get("secret"), b.get("secret")), (Some(1), Some(2)));

    b.network.trust(a.store.node_id());
    until("once trusted, it is let in", || link.status().state == LinkState::Connected);
}

#[test]
fn a_peer_with_another_key_is_not_spoken_to() {
    let (a, b) = (Node::new(), Node::new());
    b.trusts(&a);
    let port = b.address.port();
    let wrong = PeerAddress::new("127.0.0.1", port, NodeKey::from_seed([9; 32]).id()).unwrap();
    let link = a.network.connect(wrong).unwrap();
    until("it is refused", || matches!(link.status().state, LinkState::Refused(_)));
    assert!(link.status().last_error.unwrap().contains("has not the expected key"));
    assert_eq!(b.network.refusals().total, 0);
}

#[test]
fn a_node_distrusted_is_cut_and_does_not_come_back() {
    let (a, b) = (Node::new(), Node::new());
    let link = a.joins(&b);
    link.wait_synced(LONG).unwrap();
    b.network.distrust(a.store.node_id());
    until("a is refused", || matches!(link.status().state, LinkState::Refused(_)));
    a.put("x", 1);
    assert!(b.network.links().is_empty());
    assert_eq!(b.get("x"), None);
}

/// A roster over real links: who joins hears of it, and who is revoked is cut and told why.
#[test]
fn a_revoked_member_is_cut_by_whoever_hears_of_it() {
    let (hub, writer, reader) = (Node::new(), Node::new(), Node::new());
    hub.put("h", 1);
    hub.store.found_roster("hub").unwrap();
    hub.store
        .grant(writer.store.node_id(), "writer", Rights::only(Right::Write, ["notes"]))
        .unwrap();
    hub.store.grant(reader.store.node_id(), "reader", Rights::everywhere(Right::Read)).unwrap();
    for member in [&writer, &reader] {
        member.store.join_roster(hub.store.node_id()).unwrap();
        member.store.trust(hub.store.node_id()).unwrap();
    }
    writer.network.connect(hub.address.clone()).unwrap();
    reader.network.connect(hub.address.clone()).unwrap();
    until("the writer has heard that it may write", || {
        writer.store.right(&writer.store.node_id(), "notes") == Right::Write
    });
    writer.put("w", 2);
    converge(&[&hub.store, &writer.store, &reader.store]);
    let refused = reader.store.collection("notes").unwrap().set("r", "v", 3i64).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Forbidden);

    hub.store.revoke(writer.store.node_id()).unwrap();
    until("the writer is cut and knows why", || {
        let links = writer.link_to(&hub);
        let why = links.iter().filter_map(|link| link.last_error.as_deref());
        let cut = links.iter().all(|link| link.state != LinkState::Connected);
        cut && why.clone().any(|why| why.contains("member") || why.contains("trust"))
    });
    until("the reader has heard of it", || {
        reader.store.right(&writer.store.node_id(), "notes") == Right::None
    });
    assert!(!reader.store.is_trusted(&writer.store.node_id()));
    assert_eq!(reader.get("w"), Some(2), "the hub vouches for what it held");
    hub.put("h2", 4);
    converge(&[&hub.store, &reader.store]);
    assert_eq!(writer.get("h2"), None);
}

#[test]
fn stores_of_two_networks_do_not_sync_and_say_why() {
    let (a, b) = (Node::new(), Node::keyed(Store::options().network("another")));
    let link = a.joins(&b);
    a.put("x", 1);
    until("it is refused", || matches!(link.status().state, LinkState::Refused(_)));
    assert!(link.status().last_error.unwrap().contains("different networks"));
    assert_eq!(b.get("x"), None);
}

#[test]
fn two_that_dial_each_other_keep_what_the_smaller_dialled() {
    let (one, other) = (Node::numbered(1), Node::numbered(2));
    let mut nodes = [one, other];
    nodes.sort_by_key(|node| node.store.node_id());
    let [small, large] = &nodes;
    let from_large = large.joins(small);
    large.put("early", 1);
    from_large.wait_synced(LONG).unwrap();
    let from_small = small.joins(large);
    until("the larger gives way", || from_large.status().state == LinkState::Standby);
    until("the smaller's link is up", || from_small.status().state == LinkState::Connected);
    until("and is the only one", || small.link_to(large).len() == 1);
    large.put("live", 2);
    until("which carries", || small.get("live") == Some(2));
    assert_eq!(from_large.status().state, LinkState::Standby);
    from_large.wait_synced(LONG).unwrap();

    from_small.close();
    until("when it ends, the larger dials", || from_large.status().state == LinkState::Connected);
    small.put("later", 3);
    until("and that one carries", || large.get("later") == Some(3));
}

#[test]
fn a_clean_close_loses_nothing() {
    let (a, b) = (Node::new(), Node::new());
    a.joins(&b);
    for n in 0..100 {
        a.put(&format!("n{n}"), n);
        if n % 25 == 24 {
            a.network.close();
            assert_eq!(
                a.network.listen(([127, 0, 0, 1], 0).into()).unwrap_err().kind(),
                ErrorKind::Closed
            );
        }
    }
    let (network, _) = start(&a.store, 0);
    network.connect(b.address.clone()).unwrap().wait_synced(LONG).unwrap();
    assert_eq!(b.store.collection("notes").unwrap().len(), 100);
    assert_eq!(digests(&a.store), digests(&b.store));
}

/// How a goodbye of the other side is told.
const LEFT: &str = "the peer left: it was stopped, or its links were cut on purpose";

#[test]
fn closing_is_bounded_and_says_goodbye() {
    let (a, b) = (Node::new(), Node::new());
    let link = a.joins(&b);
    link.wait_synced(LONG).unwrap();
    let begun = Instant::now();
    b.network.close();
    b.network.close();
    assert!(begun.elapsed() < Duration::from_secs(10));
    until("a hears it", || link.status().last_error.is_some());
    assert_eq!(link.status().last_error.unwrap(), LEFT);
}

#[test]
fn connecting_twice_is_one_link_and_to_oneself_is_an_error() {
    let (a, b) = (Node::new(), Node::new());
    let (first, second) = (a.joins(&b), a.joins(&b));
    assert_eq!(first.status().id, second.status().id);
    assert_eq!(a.network.links().len(), 1);
    let error = a.network.connect(a.address.clone()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_large_first_sync_crosses_many_windows() {
    let (a, b) = (Node::new(), Node::new());
    let notes = a.store.collection("notes").unwrap();
    for n in 0..40 {
        let text = "tide ".repeat(100_000);
        let fields = Fields::from([("text".to_owned(), Field::from(text.as_str()))]);
        notes.put(&format!("big{n}"), &fields).unwrap();
    }
    a.put("small", 1);
    a.joins(&b).wait_synced(LONG).unwrap();
    assert_eq!(b.store.collection("notes").unwrap().len(), 41);
    assert_eq!(digests(&a.store), digests(&b.store));
}

#[test]
fn many_collections_share_a_link() {
    let (a, b) = (Node::new(), Node::new());
    let fields = Fields::from([("v".to_owned(), Field::from(1i64))]);
    for n in 0..200 {
        let writer = if n % 2 == 0 { &a } else { &b };
        writer.store.collection(&format!("c{n}")).unwrap().put("x", &fields).unwrap();
    }
    let link = a.joins(&b);
    link.wait_synced(LONG).unwrap();
    assert_eq!(b.store.collections().len(), 200);
    until("both hold all", || a.store.collections().len() == 200);
    a.store.collection("born-later").unwrap().put("x", &fields).unwrap();
    link.wait_synced(LONG).unwrap();
    assert!(b.store.collections().contains(&"born-later".to_owned()));
}

/// The calls block, and yet may be made where an async runtime runs.
#[test]
fn the_api_can_be_used_on_a_thread_of_another_runtime() {
    let (a, b) = (Node::new(), Node::new());
    b.trusts(&a);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        a.put("x", 1);
        a.network.connect(b.address.clone()).unwrap().wait_synced(LONG).unwrap();
        drop(a);
    });
    assert_eq!(b.get("x"), Some(1));
}

/// A session looks at its store whenever it hears of a commit. If looking were heard of as
/// well, a collection that waits would keep a thread busy for ever.
#[test]
fn looking_at_a_store_is_not_announced_like_a_commit() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use littoral::sync::Source;

    let a = Node::new();
    let heard = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&heard);
    let count = move || {
        counter.fetch_add(1, Ordering::SeqCst);
    };
    let _watching = a.store.on_commit(count);
    a.put("x", 1);
    let after_the_write = heard.load(Ordering::SeqCst);
    assert!(after_the_write > 0);
    let source: &dyn Source = &a.store;
    source.summary("notes").unwrap();
    let vector = source.vector("notes").unwrap();
    source.start("notes", &vector).unwrap();
    source.read("notes", source.summary("notes").unwrap().position, 1).unwrap();
    assert_eq!(heard.load(Ordering::SeqCst), after_the_write);
}

/// What is held back is exchanged neither way, whoever dialled, and everything else is.
#[test]
fn a_collection_that_is_held_back_is_not_exchanged_until_it_is_resumed() {
    for dialled in [false, true] {
        let (a, b) = (Node::new(), Node::new());
        let link = if dialled { b.joins(&a) } else { a.joins(&b) };
        let other = |node: &Node, id: &str, value: i64| {
            node.store.collection("other").unwrap().set(id, "v", value).unwrap();
        };
        let others = |node: &Node| node.store.collection("other").unwrap().len();
        a.put("x", 1);
        other(&a, "o1", 1);
        a.store.checkpoint("before").unwrap();
        link.wait_synced(LONG).unwrap();
        b.put("x", 2);
        until("it has arrived", || a.get("x") == Some(2));
        a.store.rollback_hold("before", Some(&["notes"])).unwrap();
        assert_eq!(a.get("x"), Some(1));
        a.put("y", 3);
        b.put("z", 4);
        other(&a, "o2", 2);
        other(&b, "o3", 3);
        until("the rest is exchanged", || others(&a) == 3 && others(&b) == 3);
        assert_eq!((b.get("y"), a.get("z")), (None, None));
        let vector = b.store.summary("notes").unwrap().0;
        assert!(
            !vector.iter().any(|(origin, head)| origin.node == a.store.node_id() && head.seq > 1)
        );
        a.store.resume(None).unwrap();
        until("all is exchanged", || b.get("y") == Some(3) && a.get("z") == Some(4));
        converge(&[&a.store, &b.store]);
        assert_eq!(a.get("x"), Some(2));
    }
}
