//! Discovery on a LAN: nodes of one roster find each other over the loopback's multicast.
#![cfg(feature = "net")]

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use littoral::net::{LinkState, Network, NetworkOptions};
use littoral::store::InviteOptions;
use littoral::txn::roster::{Right, Rights};
use littoral::{Options, Store};

const LONG: Duration = Duration::from_secs(60);
const NOTES: &str = "notes";

struct Node {
    dir: tempfile::TempDir,
    store: Store,
    network: Network,
}

impl Node {
    fn new() -> Node {
        Node::with(Store::options())
    }

    fn with(options: Options) -> Node {
        let dir = tempfile::tempdir().unwrap();
        let store = options.open(dir.path()).unwrap();
        let network = Network::start(&store, NetworkOptions::default()).unwrap();
        Node { dir, store, network }
    }

    fn listen(&self) -> SocketAddr {
        self.network.listen(([127, 0, 0, 1], 0).into()).unwrap()
    }

    /// The same store, with a network of its own that listens elsewhere, and finds peers.
    fn moved(self) -> Node {
        let Node { dir, store, network } = self;
        let before = network.listening();
        network.close();
        drop(network);
        let network = Network::start(&store, NetworkOptions::default().discover(true)).unwrap();
        let node = Node { dir, store, network };
        assert_ne!(vec![node.listen()], before);
        node
    }

    fn write(&self, id: &str) {
        self.store.collection(NOTES).unwrap().set(id, "x", 1i64).unwrap();
    }

    fn has(&self, id: &str) -> bool {
        self.store.collection(NOTES).unwrap().get(id).unwrap().is_some()
    }

    fn linked(&self) -> Vec<littoral::NodeId> {
        let links = self.network.links().into_iter();
        links.filter(|link| link.state == LinkState::Connected).map(|link| link.peer).collect()
    }
}

/// Whether multicast reaches this machine itself, as it does where nothing forbids it.
fn has_multicast() -> bool {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let group = Ipv4Addr::new(224, 0, 0, 251);
    let joined = socket.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST);
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let bound = socket.local_addr().unwrap().port();
    // By the loopback, whatever else there is.
    let from = socket2::SockRef::from(&socket);
    let heard = joined
        .and_then(|()| from.set_multicast_if_v4(&Ipv4Addr::LOCALHOST))
        .and_then(|()| socket.send_to(b"x", (group, bound)))
        .and_then(|_| socket.recv(&mut [0; 8]));
    if heard.is_err() {
        eprintln!("skipped discovery: there is no multicast on the loopback here");
    }
    heard.is_ok()
}

fn wait_until(what: &str, mut look: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !look() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A phone that has joined a hub, and has forgotten where that is.
fn members() -> (Node, Node) {
    let (hub, phone) = (Node::new(), Node::new());
    let at = hub.listen();
    let rights = Rights::only(Right::Write, [NOTES]);
    let ticket = hub.store.invite(&InviteOptions::new(rights, vec![at.to_string()])).unwrap();
    let (_, link) = phone.network.join(&ticket, "phone", LONG).unwrap();
    link.wait_synced(LONG).unwrap();
    link.close();
    phone.store.trust_at(hub.store.node_id(), "").unwrap();
    assert_eq!(phone.network.connect_known().unwrap().len(), 0);
    (hub, phone)
}

#[test]
fn members_find_each_other_and_follow_to_another_address() {
    if !has_multicast() {
        return;
    }
    let (hub, phone) = members();
    hub.write("by hub");
    hub.network.discover().unwrap();
    hub.network.discover().unwrap();
    phone.network.discover().unwrap();
    wait_until("the phone finds the hub", || phone.has("by hub"));
    assert_eq!(phone.linked(), [hub.store.node_id()]);

    let hub = hub.moved();
    hub.write("from elsewhere");
    wait_until("the phone follows", || phone.has("from elsewhere"));
    phone.write("by phone");
    wait_until("and writes", || hub.has("by phone"));
    assert_eq!(phone.network.links().len(), 1, "it is the same link");

    hub.store.revoke(phone.store.node_id()).unwrap();
    wait_until("who is revoked is linked no more", || hub.linked().is_empty());
    drop((hub.dir, phone.dir));
}

#[test]
fn a_link_that_was_told_an_address_follows_to_the_one_where_its_peer_was_seen() {
    if !has_multicast() {
        return;
    }
    let (hub, phone) = members();
    let at = hub.network.listening()[0];
    let link = phone.network.connect(format!("{at}#{}", hub.store.node_id()).parse().unwrap());
    link.unwrap().wait_synced(LONG).unwrap();
    phone.network.discover().unwrap();
    let hub = hub.moved();
    hub.write("from elsewhere");
    wait_until("the phone follows", || phone.has("from elsewhere"));
    assert_eq!(phone.network.links().len(), 1);
}

#[test]
fn peers_without_a_roster_find_each_other_and_strangers_and_other_networks_do_not() {
    if !has_multicast() {
        return;
    }
    let (one, two) = (Node::new(), Node::new());
    let stranger = Node::new();
    let elsewhere = Node::with(Store::options().network("elsewhere"));
    let all = [&one, &two, &stranger, &elsewhere];
    for (node, peer) in [(&one, &two), (&two, &one), (&elsewhere, &one), (&one, &elsewhere)] {
        node.store.trust(peer.store.node_id()).unwrap();
    }
    // It knows whom to look for, and they do not trust it: nor does it dial.
    for node in all {
        node.listen();
        node.network.discover().unwrap();
    }
    wait_until("they find each other", || !one.linked().is_empty() && !two.linked().is_empty());
    // Each has said where it is some times by now.
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(one.linked(), [two.store.node_id()]);
    assert_eq!(two.linked(), [one.store.node_id()]);
    for node in [&stranger, &elsewhere] {
        assert!(node.network.links().is_empty(), "{:?}", node.network.links());
    }
    let peers: Vec<_> = one.network.links().iter().map(|link| link.peer).collect();
    assert!(peers.iter().all(|peer| *peer == two.store.node_id()), "nobody else was dialled");
}

/// Thousands of packets, of all that is wrong and of announcements of nobody.
#[test]
fn a_flood_on_the_lan_leaves_no_trace_and_keeps_nobody_from_syncing() {
    if !has_multicast() {
        return;
    }
    let (hub, phone) = members();
    hub.network.discover().unwrap();
    phone.network.discover().unwrap();
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let from = socket2::SockRef::from(&socket);
    from.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
    let flooded = Instant::now();
    let mut sent = 0u32;
    while flooded.elapsed() < Duration::from_secs(3) {
        for packet in [forged(sent), vec![0xff; 1400], forged(sent)[..40].to_vec()] {
            // A full queue is as good.
            let _ = socket.send_to(&packet, (Ipv4Addr::new(224, 0, 0, 251), 5353));
            sent += 1;
        }
    }
    hub.write("after the flood");
    wait_until("they find each other", || phone.has("after the flood"));
    println!("{sent} packets in {} s", flooded.elapsed().as_secs_f32());
    for node in [&hub, &phone] {
        assert!(node.network.links().len() <= 2, "{:?}", node.network.links());
    }
}

/// An announcement of nobody, by hand: SRV, TXT and A of an instance.
fn forged(number: u32) -> Vec<u8> {
    let tag = data_encoding::BASE32_NOPAD.encode(&[number.to_be_bytes(); 4].concat());
    let name = |labels: &[&str]| {
        let mut out = Vec::new();
        for label in labels {
            out.push(label.len() as u8);
            out.extend(label.as_bytes());
        }
        out.push(0);
        out
    };
    let instance = name(&[&tag, "_littoral", "_udp", "local"]);
    let host = name(&[&tag, "local"]);
    let srv = [&[0, 0, 0, 0, 0x11, 0x51][..], &host].concat();
    let text = format!("p={tag}");
    let txt = [&[text.len() as u8][..], text.as_bytes()].concat();
    let mut packet = vec![0, 0, 0x84, 0, 0, 0, 0, 3, 0, 0, 0, 0];
    for (of, kind, data) in [(&instance, 33, srv), (&instance, 16, txt), (&host, 1, vec![10; 4])] {
        packet.extend(of);
        packet.extend([0, kind, 0, 1, 0, 0, 0, 120]);
        packet.extend((data.len() as u16).to_be_bytes());
        packet.extend(data);
    }
    packet
}
