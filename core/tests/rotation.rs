//! A node changes its key: it keeps its history and its membership, whenever it is cut short, and
//! whoever was not there hears of it.
#![cfg(all(feature = "net", unix))]

mod common;

use std::fs;
use std::path::Path;

use common::link::Link;
use common::wait::until;
use common::{NOTES, Replica, Small, key};
use littoral::net::{Network, NetworkOptions, PeerAddress};
use littoral::store::{KeyChange, LogBudget, ScanRange};
use littoral::txn::roster::{Right, Rights};
use littoral::{ErrorKind, NodeId, Options, Store};

const FILES: [&str; 3] = ["node.key", "node.key.next", "node.key.former"];

/// Which of the files are there.
fn there(path: &Path) -> [bool; 3] {
    FILES.map(|name| path.join(name).exists())
}

fn open(path: &Path) -> Store {
    Store::open(path).unwrap()
}

fn rotate(path: &Path) -> littoral::Result<KeyChange> {
    Options::new().rotate_key(path)
}

fn put(store: &Store, id: &str) {
    store.collection("notes").unwrap().set(id, "by", store.node_id().short()).unwrap();
}

fn ids(store: &Store) -> Vec<String> {
    let notes = store.collection("notes").unwrap();
    let scan = notes.scan(&ScanRange::default()).unwrap();
    scan.map(|document| document.unwrap().id().to_owned()).collect()
}

/// What one store has of the roster is told to another.
fn tell(from: &Store, to: &Store) {
    to.add_statements(from.statements_beyond(&[])).unwrap();
}

/// A founder, and members with these rights; all have heard what they may do, and know each other.
fn members(rights: &[Right]) -> Vec<tempfile::TempDir> {
    let dirs: Vec<_> = (0..=rights.len()).map(|_| tempfile::tempdir().unwrap()).collect();
    let stores: Vec<Store> = dirs.iter().map(|dir| open(dir.path())).collect();
    stores[0].found_roster("founder").unwrap();
    for (n, (store, right)) in stores[1..].iter().zip(rights).enumerate() {
        store.join_roster(stores[0].node_id()).unwrap();
        let name = format!("member {n}");
        stores[0].grant(store.node_id(), &*name, Rights::everywhere(*right)).unwrap();
    }
    for store in &stores {
        tell(&stores[0], store);
        for other in stores.iter().filter(|other| other.node_id() != store.node_id()) {
            store.trust(other.node_id()).unwrap();
        }
    }
    dirs
}

#[test]
fn a_store_goes_on_with_its_history_under_a_new_key() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    put(&store, "before");
    let (from, peer) = (store.node_id(), NodeId::from_bytes([9; 32]));
    store.trust(peer).unwrap();
    assert_eq!(rotate(dir.path()).unwrap_err().kind(), ErrorKind::Locked);
    drop(store);
    let change = rotate(dir.path()).unwrap();
    assert_eq!((change.from, change.untold), (from, [peer].into()));
    assert_eq!(there(dir.path()), [true, false, false]);
    let store = open(dir.path());
    assert!(store.node_id() == change.to && change.to != from);
    put(&store, "after");
    assert_eq!(ids(&store), ["after", "before"]);
    drop(store);
    let again = rotate(dir.path()).unwrap();
    assert_eq!(again.from, change.to);
    put(&open(dir.path()), "later");
    assert_eq!(ids(&open(dir.path())).len(), 3);
}

#[test]
fn a_passphrase_stays_with_the_new_key() {
    let dir = tempfile::tempdir().unwrap();
    let with = |text| Options::new().passphrase(text);
    drop(with("ebb").open(dir.path()).unwrap());
    assert_eq!(rotate(dir.path()).unwrap_err().kind(), ErrorKind::Passphrase);
    let change = with("ebb").rotate_key(dir.path()).unwrap();
    assert!(Store::is_key_encrypted(dir.path()).unwrap());
    assert_eq!(with("ebb").open(dir.path()).unwrap().node_id(), change.to);
}

/// Cut short before the commit it has not happened; after it, it is finished.
#[test]
fn a_change_that_is_cut_short_is_forgotten_or_finished() {
    let dirs = members(&[Right::Write]);
    let path = dirs[1].path();
    put(&open(path), "before");
    let old = open(path).node_id();
    for torn in ["", "mfrgg", "no key at all"] {
        for name in &FILES[1..] {
            fs::write(path.join(name), torn).unwrap();
        }
        assert_eq!(open(path).node_id(), old, "nothing was committed");
        assert_eq!(there(path), [true, false, false]);
    }
    let change = rotate(path).unwrap();
    assert_eq!(there(path), [true, false, true], "the founder has yet to hear of it");
    // As it was before the new key took its place.
    let cut = || {
        fs::rename(path.join(FILES[0]), path.join(FILES[1])).unwrap();
        fs::copy(path.join(FILES[2]), path.join(FILES[0])).unwrap();
    };
    cut();
    assert_eq!(open(path).node_id(), change.to);
    assert_eq!(there(path), [true, false, true]);
    cut();
    fs::rename(path.join(FILES[1]), path.join("aside")).unwrap();
    let refused = Store::open(path).unwrap_err();
    assert!(refused.message().contains("node.key.next"), "{refused}");
    fs::rename(path.join("aside"), path.join(FILES[1])).unwrap();
    let store = open(path);
    assert_eq!((store.node_id(), ids(&store)), (change.to, vec!["before".to_owned()]));
    assert_eq!(store.former_key().unwrap().id(), old);
    put(&store, "after");
    drop(store);
    assert_eq!(rotate(path).unwrap_err().kind(), ErrorKind::InvalidInput, "half known");
}

/// What was written with the old key is vouched for, and taken by all; with it no more is.
#[test]
fn what_was_written_stays_valid_and_the_old_key_writes_no_more() {
    let dirs = members(&[Right::Write, Right::Read]);
    put(&open(dirs[1].path()), "unsent");
    let old = fs::read(dirs[1].path().join(FILES[0])).unwrap();
    let change = rotate(dirs[1].path()).unwrap();
    let (writer, reader) = (open(dirs[1].path()), open(dirs[2].path()));
    put(&writer, "after");
    tell(&writer, &reader);
    assert_eq!(reader.right(&change.from, "notes"), Right::None);
    assert_eq!(reader.right(&change.to, "notes"), Right::Write);
    let records = writer.log_read("notes", Default::default(), 1 << 20).unwrap().records;
    let bytes = records.into_iter().map(|(_, bytes, _)| bytes).collect();
    reader.apply_remote("notes", bytes).unwrap();
    assert_eq!(ids(&reader), ["after", "unsent"]);
    assert!(reader.not_valid().is_empty() && reader.heir_of(&change.from) == Some(change.to));
    // A thief of the old key: nobody takes what it writes.
    let thief = tempfile::tempdir().unwrap();
    fs::write(thief.path().join(FILES[0]), old).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(thief.path().join(FILES[0]), mode).unwrap();
    let thief = open(thief.path());
    assert_eq!(thief.node_id(), change.from);
    put(&thief, "forged");
    let records = thief.log_read("notes", Default::default(), 1 << 20).unwrap().records;
    let bytes: Vec<Vec<u8>> = records.into_iter().map(|(_, bytes, _)| bytes).collect();
    assert!(reader.apply_remote("notes", bytes).is_err());
    assert_eq!(ids(&reader), ["after", "unsent"]);
    assert!(!reader.is_trusted(&change.from) && reader.is_trusted(&change.to));
    let peers = reader.trusted().unwrap();
    assert!(peers.iter().any(|peer| peer.node == change.to));
    assert!(peers.iter().all(|peer| peer.node != change.from), "what was kept of it is the heir's");
}

#[test]
fn who_may_not_change_its_key_is_told_why_and_keeps_it() {
    let dirs = members(&[Right::Write]);
    let founder = rotate(dirs[0].path()).unwrap_err();
    assert_eq!(founder.kind(), ErrorKind::Forbidden);
    assert!(founder.message().contains("littoral grant"), "{founder}");
    let (a, b) = (open(dirs[0].path()), open(dirs[1].path()));
    a.revoke(b.node_id()).unwrap();
    tell(&a, &b);
    let node = b.node_id();
    drop(b);
    assert_eq!(rotate(dirs[1].path()).unwrap_err().kind(), ErrorKind::Forbidden);
    assert_eq!(
        (open(dirs[1].path()).node_id(), there(dirs[1].path())),
        (node, [true, false, false])
    );
}

fn network(store: &Store) -> (Network, u16) {
    let network =
        Network::start(store, NetworkOptions::listen(([127, 0, 0, 1], 0).into())).unwrap();
    let port = network.listening()[0].port();
    (network, port)
}

fn at(port: u16, node: NodeId) -> PeerAddress {
    PeerAddress::new("127.0.0.1", port, node).unwrap()
}

/// Both others are away when a node changes its key. One dials it by the old key; it dials the
/// other, which knows that one only. Nobody does anything by hand, and in the end the old key is
/// gone.
#[test]
fn peers_that_were_away_follow_by_themselves_and_the_old_key_goes() {
    let dirs = members(&[Right::Write, Right::Write]);
    put(&open(dirs[1].path()), "unsent");
    let change = rotate(dirs[1].path()).unwrap();
    assert_eq!(change.untold.len(), 2);
    let [a, b, c] = [0, 1, 2].map(|n| open(dirs[n].path()));
    let (net_b, port_b) = network(&b);
    put(&b, "after");

    let (net_a, _) = network(&a);
    put(&a, "by a");
    let link = net_a.connect(at(port_b, change.from)).unwrap();
    until("the founder follows", || ids(&a).len() == 3 && ids(&b).len() == 3);
    assert!(net_a.links().iter().any(|link| link.peer == change.to));
    until("the link with the old key ends", || net_a.links().iter().all(|l| l.peer == change.to));
    drop(link);
    let member = a.members().unwrap().into_iter().find(|member| member.node == change.to).unwrap();
    assert_eq!((member.was, &*member.name), (Some(change.from), "member 0"));
    until("it is known who has heard", || b.key_change().unwrap().unwrap().untold.len() == 1);
    assert!(there(dirs[1].path())[2] && b.former_key().is_some());
    net_a.close();

    let (net_c, port_c) = network(&c);
    put(&c, "by c");
    net_b.connect(at(port_c, c.node_id())).unwrap();
    until("the other follows", || ids(&c).len() == 4 && ids(&b).len() == 4);
    until("the old key is gone", || !there(dirs[1].path())[2]);
    assert!(b.former_key().is_none());
    net_b.close();
    net_c.close();
    drop((net_b, b));
    let again = rotate(dirs[1].path()).unwrap();
    assert_eq!(again.from, change.to, "and it can be changed again");
}

/// The only peer of a node was cut off without the node's having heard, and is all whom it tells of
/// its new key. That one passes it on to nobody: so the old key stays, and the founder follows by it.
#[test]
fn the_old_key_stays_while_those_who_were_told_may_be_cut_off_themselves() {
    let dirs = members(&[Right::Write, Right::Write]);
    let [a, b, c] = [0, 1, 2].map(|n| open(dirs[n].path()));
    a.revoke(c.node_id()).unwrap();
    b.distrust(a.node_id()).unwrap();
    drop(b);
    let change = rotate(dirs[1].path()).unwrap();
    assert_eq!(change.untold, [a.node_id(), c.node_id()].into());
    let b = open(dirs[1].path());
    let (net_b, port_b) = network(&b);
    let (net_c, port_c) = network(&c);
    put(&b, "by b");
    net_b.connect(at(port_c, c.node_id())).unwrap();
    until("the one that is cut off follows", || ids(&c).len() == 1);
    until("it is known who has heard", || b.key_change().unwrap().unwrap().untold.len() == 1);
    assert!(there(dirs[1].path())[2] && b.former_key().is_some());
    net_c.close();

    let (net_a, _) = network(&a);
    net_a.connect(at(port_b, change.from)).unwrap();
    until("the founder follows", || ids(&a).len() == 1);
    until("the old key is gone", || !there(dirs[1].path())[2]);
    net_a.close();
    net_b.close();
}

/// A founder that a node is never linked with does not keep it from changing its key again.
#[test]
fn a_founder_that_is_told_by_others_holds_no_further_change_up() {
    let dirs = members(&[Right::Write, Right::Write]);
    let [a, b, c] = [0, 1, 2].map(|n| open(dirs[n].path()));
    b.distrust(a.node_id()).unwrap();
    drop(b);
    rotate(dirs[1].path()).unwrap();
    let refused = rotate(dirs[1].path()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    let b = open(dirs[1].path());
    let (net_b, _) = network(&b);
    let (net_c, port_c) = network(&c);
    net_b.connect(at(port_c, c.node_id())).unwrap();
    until("it is known who has heard", || b.key_change().unwrap().unwrap().untold.len() == 1);
    assert!(b.former_key().is_some());
    net_c.close();
    net_b.close();
    drop((net_b, b));
    rotate(dirs[1].path()).unwrap();
}

/// The head of a snapshot is signed with the present key. Who knows the node by the former one
/// would have to refuse it; it is asked to wait, until it knows the present one.
#[test]
fn who_knows_a_node_by_its_former_key_is_given_no_snapshot_yet() {
    let budget = LogBudget { bytes: 4 << 10, age_ms: u64::MAX };
    let small = Small { segment_bytes: 2 << 10, budget };
    let [a, b] = [0, 1].map(|n| Replica::small(n, small));
    a.store.trust(b.store.node_id()).unwrap();
    (0..200i64).for_each(|n| b.notes().set("n", "x", n).unwrap());
    assert!(!b.store.floor(NOTES).unwrap().is_empty(), "its log is short");
    let [as_a, as_b] = [a.store.node_id(), b.store.node_id()];
    let former = key(7).id();
    let mut link = Link::known_as([&a.store, &b.store], [as_a, former]);
    link.settle();
    assert_eq!((link.halted(0), link.halted(1), link.closed()), (vec![], vec![], None));
    assert_eq!(a.notes().len(), 0);
    let mut link = Link::known_as([&a.store, &b.store], [as_a, as_b]);
    link.settle();
    assert!(link.is_in_sync() && a.notes().len() == 1);
}
