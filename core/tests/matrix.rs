//! The matrix of rights: every standing of a node, what it tries, and what carries it.
//!
//! The node is a hostile one: it has written before it took up the roster, so that nothing of its
//! own keeps it from handing on what it may not. A key that was given up is one that a thief has.

mod common;

use std::sync::Arc;

use common::link::Link;
use common::{NOTES, Replica, Small, carry, key, vector};
use littoral::store::LogBudget;
use littoral::store::disk::MemDisk;
use littoral::txn::roster::{Right, Rights};
use littoral::{ErrorKind, NodeId, Options, Store};

/// The seed of the key whose standing it is.
const NODE: u8 = 3;

/// What a node is in the roster.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Standing {
    Admin,
    Writer,
    Reader,
    Hidden,
    Stranger,
    Revoked,
    /// A writer's key, given up for another one.
    Former,
    /// The key that a writer has instead of its first one.
    Heir,
    /// The same, where the member may only read.
    ReadersHeir,
    /// The same, where the member was revoked by its first key, by one who had not heard.
    RevokedHeir,
    /// One of two that would stand for the same member.
    Contested,
}

/// What comes of it over a stream, in a bundle and as a snapshot: whether others take what it
/// wrote; and whether it is given what others wrote.
#[derive(Debug, PartialEq)]
struct Outcome {
    stream: bool,
    bundle: bool,
    snapshot: bool,
    reads: bool,
    grants: bool,
}

const fn may(writes: bool, reads: bool, grants: bool) -> Outcome {
    Outcome { stream: writes, bundle: writes, snapshot: writes, reads, grants }
}

const TABLE: [(Standing, Outcome); 11] = [
    (Standing::Admin, may(true, true, true)),
    (Standing::Writer, may(true, true, false)),
    (Standing::Reader, may(false, true, false)),
    (Standing::Hidden, may(false, false, false)),
    (Standing::Stranger, may(false, false, false)),
    (Standing::Revoked, may(false, false, false)),
    (Standing::Former, may(false, false, false)),
    (Standing::Heir, may(true, true, false)),
    (Standing::ReadersHeir, may(false, true, false)),
    (Standing::RevokedHeir, may(false, false, false)),
    (Standing::Contested, may(false, false, false)),
];

fn id(seed: u8) -> NodeId {
    key(seed).id()
}

fn tell(from: &Store, to: &Store) {
    to.add_statements(from.statements_beyond(&[])).unwrap();
}

/// A founder and a writer, to whom a node stands like this.
fn honest(standing: Standing) -> [Replica; 2] {
    let [a, b] = [Replica::new(0), Replica::new(1)];
    a.store.found_roster("a").unwrap();
    let grant = |node, right| a.store.grant(id(node), "", Rights::everywhere(right)).unwrap();
    grant(1, Right::Write);
    let first = match standing {
        Standing::Heir | Standing::ReadersHeir | Standing::RevokedHeir | Standing::Contested => {
            NODE + 1
        }
        _ => NODE,
    };
    match standing {
        Standing::Stranger => {}
        Standing::Admin => grant(first, Right::Admin),
        Standing::Reader | Standing::ReadersHeir => grant(first, Right::Read),
        Standing::Hidden => {
            a.store.grant(id(first), "", Rights::only(Right::Write, ["other"])).unwrap();
        }
        _ => grant(first, Right::Write),
    }
    match standing {
        Standing::Revoked => a.store.revoke(id(first)).unwrap(),
        Standing::Former => rotate(&a, first, &[NODE + 1]),
        Standing::Heir | Standing::ReadersHeir => rotate(&a, first, &[NODE]),
        Standing::RevokedHeir => {
            let unheard = MemDisk::new();
            drop(member(&a, first, &unheard));
            a.store.revoke(id(first)).unwrap();
            let change =
                Options::new().key(key(first)).rotate_key_on(Arc::new(unheard.clone()), &key(NODE));
            assert_eq!(change.unwrap().to, id(NODE));
            tell(&open(NODE, &unheard), &a.store);
        }
        Standing::Contested => rotate(&a, first, &[NODE, NODE + 2]),
        _ => {}
    }
    b.store.join_roster(id(0)).unwrap();
    tell(&a.store, &b.store);
    a.notes().set("a", "x", 1i64).unwrap();
    [a, b]
}

fn open(seed: u8, disk: &MemDisk) -> Store {
    Options::new().key(key(seed)).open_on(Arc::new(disk.clone())).unwrap()
}

/// An honest member with this key, that has heard what it may do.
fn member(a: &Replica, seed: u8, disk: &MemDisk) -> Store {
    let store = open(seed, disk);
    store.join_roster(id(0)).unwrap();
    tell(&a.store, &store);
    store
}

/// A member changes its key, as often as it has heirs: on so many copies of its disk.
fn rotate(a: &Replica, from: u8, heirs: &[u8]) {
    let said: Vec<Store> = heirs
        .iter()
        .map(|heir| {
            let disk = MemDisk::new();
            drop(member(a, from, &disk));
            let options = Options::new().key(key(from));
            let change = options.rotate_key_on(Arc::new(disk.clone()), &key(*heir)).unwrap();
            assert_eq!((change.from, change.to), (id(from), id(*heir)));
            let refused = Options::new().key(key(from)).open_on(Arc::new(disk.clone()));
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Forbidden, "it was given up");
            open(*heir, &disk)
        })
        .collect();
    said.iter().for_each(|store| tell(store, &a.store));
}

/// Two meet until both have what they can have.
fn meet(a: &Store, b: &Store) {
    for _ in 0..4 {
        let mut link = Link::new(a, b);
        link.settle();
        if link.closed().is_none() {
            return;
        }
    }
}

fn holds(one: &Store, author: NodeId) -> bool {
    vector(one, NOTES).iter().any(|(origin, head)| origin.node == author && head.seq > 0)
}

/// The node that has written, and takes up the roster then.
fn rogue(log: Option<Small>, writes: i64) -> Replica {
    let one = Replica::open(NODE, MemDisk::new(), log).unwrap();
    (0..writes).for_each(|n| one.notes().set("mine", "x", n).unwrap());
    one.store.prune().unwrap();
    one.store.join_roster(id(0)).unwrap();
    one
}

fn outcome(standing: Standing) -> Outcome {
    let stream = {
        let ([a, b], node) = (honest(standing), rogue(None, 1));
        meet(&node.store, &a.store);
        meet(&a.store, &b.store);
        let (_, txn) = common::stream(&node.store, NOTES, &Default::default()).remove(0);
        let past_sessions = b.store.apply_remote(NOTES, vec![txn]).is_ok();
        assert_eq!(holds(&a.store, id(NODE)), past_sessions, "{standing:?}");
        past_sessions && holds(&b.store, id(NODE))
    };
    let bundle = {
        let ([a, b], node) = (honest(standing), rogue(None, 1));
        let file = carry::bundle(&node.store, None);
        let there = carry::apply(&a.store, &file).is_ok();
        assert_eq!(there, holds(&a.store, id(NODE)));
        // By way of another one's bundle.
        if there {
            carry::apply(&b.store, &carry::bundle(&a.store, None)).unwrap();
        }
        there && holds(&b.store, id(NODE))
    };
    let snapshot = {
        let budget = LogBudget { bytes: 4 << 10, age_ms: u64::MAX };
        let small = Small { segment_bytes: 2 << 10, budget };
        let ([_a, b], node) = (honest(standing), rogue(Some(small), 200));
        assert!(!node.store.floor(NOTES).unwrap().is_empty(), "its log is short");
        meet(&node.store, &b.store);
        let file = carry::bundle(&node.store, None);
        let by_bundle = carry::apply(&b.store, &file).is_ok();
        let served = b.store.check_may_serve(&id(NODE), NOTES).is_ok();
        assert_eq!((by_bundle, served), (holds(&b.store, id(NODE)), by_bundle), "{standing:?}");
        served
    };
    let reads = {
        let ([a, _], node) = (honest(standing), rogue(None, 0));
        meet(&node.store, &a.store);
        holds(&node.store, id(0))
    };
    let grants = {
        let ([a, _], node) = (honest(standing), rogue(None, 0));
        tell(&a.store, &node.store);
        // Its own store would refuse it; others go by what follows from all that was said.
        let said = node.store.grant(id(9), "friend", Rights::everywhere(Right::Write)).is_ok();
        tell(&node.store, &a.store);
        assert_eq!(said, a.store.right(&id(9), NOTES) == Right::Write);
        said
    };
    Outcome { stream, bundle, snapshot, reads, grants }
}

#[test]
fn every_standing_may_what_the_table_says_by_every_carrier() {
    for (standing, expected) in TABLE {
        assert_eq!(outcome(standing), expected, "{standing:?}");
    }
}

/// Who has given its key up is still itself: what it wrote before is taken by all, by every
/// carrier, from the heir and from the thief.
#[test]
fn what_was_written_before_a_key_was_given_up_is_taken_by_every_carrier() {
    let a = Replica::new(0);
    a.store.found_roster("a").unwrap();
    for node in [1, NODE] {
        a.store.grant(id(node), "", Rights::everywhere(Right::Write)).unwrap();
    }
    let disk = MemDisk::new();
    let node = member(&a, NODE, &disk);
    node.write(|txn| txn.set(NOTES, "before", "x", 1i64)).unwrap();
    let before = carry::bundle(&node, None);
    node.close().unwrap();
    drop(node);
    let options = Options::new().key(key(NODE));
    options.rotate_key_on(Arc::new(disk.clone()), &key(NODE + 1)).unwrap();
    let heir = open(NODE + 1, &disk);
    tell(&heir, &a.store);
    let fresh = || {
        let one = Replica::new(1);
        one.store.join_roster(id(0)).unwrap();
        tell(&a.store, &one.store);
        one
    };
    let [stream, bundle, old] = [fresh(), fresh(), fresh()];
    meet(&heir, &stream.store);
    carry::apply(&bundle.store, &carry::bundle(&heir, None)).unwrap();
    carry::apply(&old.store, &before).unwrap();
    for one in [&stream, &bundle, &old] {
        assert!(holds(&one.store, id(NODE)) && one.store.not_valid().is_empty());
    }
}
