//! Rights: who may write, read and hear of what, over links, snapshots and bundles.

mod common;

use std::sync::Arc;

use common::link::{Link, sync};
use common::{NOTES, Replica, Rng, Small, assert_same, carry, key, pull, vector};
use littoral::id::{NodeId, Vector};
use littoral::store::LogBudget;
use littoral::sync::door::{Event, Offence, SnapshotStep, StepOutcome};
use littoral::sync::message::CloseCode;
use littoral::txn::roster::{Right, Rights};
use littoral::{ErrorKind, Options, Store};

const PLANS: &str = "plans";

fn id(seed: u8) -> NodeId {
    key(seed).id()
}

/// 0 has founded a roster; the others are in it with these rights, and have heard so.
fn members(rights: &[Rights]) -> Vec<Replica> {
    let all: Vec<Replica> = (0..=rights.len()).map(|n| Replica::new(n as u8)).collect();
    all[0].store.found_roster("zero").unwrap();
    for (member, rights) in (1..).zip(rights) {
        all[0].store.grant(id(member), format!("node {member}").as_str(), rights.clone()).unwrap();
    }
    for one in &all[1..] {
        one.store.join_roster(id(0)).unwrap();
        meet(&one.store, &all[0].store);
    }
    all
}

fn everywhere(rights: &[Right]) -> Vec<Replica> {
    members(&rights.iter().map(|right| Rights::everywhere(*right)).collect::<Vec<_>>())
}

/// Two stores meet until both have what they can have; the link may have to be made again, as
/// it is when rights change. Gives what it gave up at last.
fn meet(a: &Store, b: &Store) -> [Vec<(String, Offence)>; 2] {
    for _ in 0..4 {
        let mut link = Link::new(a, b);
        link.settle();
        match link.closed() {
            None => return [link.halted(0), link.halted(1)],
            Some((CloseCode::Rights, _)) => {}
            Some(other) => panic!("{other:?}"),
        }
    }
    panic!("the link does not last");
}

fn write(one: &Replica, n: i64) {
    one.notes().set(&format!("by {}", one.store.node_id().short()), "n", n).unwrap();
}

fn holds(one: &Replica, author: &Replica) -> u64 {
    let of = author.store.node_id();
    let vector = vector(&one.store, NOTES);
    vector.iter().filter(|(origin, _)| origin.node == of).map(|(_, head)| head.seq).sum()
}

#[test]
fn members_write_and_readers_read() {
    let all = everywhere(&[Right::Write, Right::Read]);
    write(&all[0], 1);
    write(&all[1], 2);
    let refused = all[2].notes().set("n", "x", 3i64).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Forbidden);
    assert!(refused.message().contains("'read'"), "{refused}");
    sync(&all[0].store, &all[1].store);
    sync(&all[1].store, &all[2].store);
    assert_same(&[&all[0], &all[2]]);
    assert_eq!(all[2].store.members().unwrap().len(), 3);
    assert_eq!(all[2].store.founder(), Some(id(0)));
}

/// What was written before its author belonged to the roster.
#[test]
fn what_a_reader_wrote_is_taken_by_nobody() {
    let all = everywhere(&[Right::Write, Right::Read]);
    let rogue = Replica::new(2);
    rogue.notes().set("n", "x", "mine").unwrap();
    rogue.store.join_roster(id(0)).unwrap();
    for other in &all[..2] {
        assert_eq!(meet(&rogue.store, &other.store), [vec![], vec![]]);
        assert_eq!(holds(other, &rogue), 0);
    }
    let own = rogue.store.not_valid();
    assert_eq!(own.len(), 1, "it is told so: {own:?}");
    // Nor by way of a file, nor from a program that does not ask what is valid.
    let (_, txn) = common::stream(&rogue.store, NOTES, &Vector::new()).remove(0);
    let refused = all[1].store.apply_remote(NOTES, vec![txn]).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Forbidden);
    let file = carry::bundle(&rogue.store, None);
    let refused = carry::apply(&all[1].store, &file).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Forbidden);
    assert_eq!(holds(&all[1], &rogue), 0);
    // It may write after all: then all of it comes.
    all[0].store.grant(id(2), "rogue", Rights::everywhere(Right::Write)).unwrap();
    assert_eq!(meet(&rogue.store, &all[0].store), [vec![], vec![]]);
    assert_eq!(holds(&all[0], &rogue), 1);
    meet(&all[0].store, &all[1].store);
    assert_same(&[&all[0], &all[1]]);
}

/// S12: B hears that M is revoked before what M wrote last reaches it, C after that, and C builds
/// on it.
#[test]
fn what_an_honest_writer_built_on_before_it_heard_is_taken_by_all() {
    let all = everywhere(&[Right::Write, Right::Write, Right::Write]);
    let [a, b, c, m] = &all[..] else { unreachable!() };
    write(m, 1);
    [a, b, c].iter().for_each(|other| drop(sync(&m.store, &other.store)));
    write(m, 2);
    sync(&m.store, &c.store);
    c.notes().set("built", "on", 2i64).unwrap();
    a.store.revoke(id(3)).unwrap();
    meet(&a.store, &b.store);
    write(m, 3);
    // M does not get to B any more.
    let mut link = Link::new(&m.store, &b.store);
    link.settle();
    assert_eq!(link.closed().unwrap().0, CloseCode::Rights);
    assert_eq!(holds(b, m), 1);
    // C has not heard, and takes what M wrote last.
    meet(&m.store, &c.store);
    assert_eq!(holds(c, m), 3);
    assert_eq!(meet(&b.store, &c.store), [vec![], vec![]]);
    assert_eq!(meet(&a.store, &b.store), [vec![], vec![]]);
    [a, b].iter().for_each(|other| assert_same(&[other, c]));
    assert_eq!(holds(a, m), 3);
    // All have heard: what M writes now goes nowhere.
    write(m, 4);
    for other in [a, b, c] {
        let mut link = Link::new(&m.store, &other.store);
        link.settle();
        assert!(link.closed().is_some());
        assert_eq!(holds(other, m), 3);
    }
}

/// S12, where who built on it is gone before it could vouch, and only a reader has what it wrote.
#[test]
fn what_a_writer_that_is_gone_built_on_is_taken_by_all() {
    let all = everywhere(&[Right::Write, Right::Write, Right::Write, Right::Read]);
    let [a, c, m, other, reader] = &all[..] else { unreachable!() };
    // M builds on one who will be revoked as well.
    write(other, 1);
    sync(&other.store, &m.store);
    write(m, 1);
    sync(&m.store, &c.store);
    c.notes().set("built", "on", 2i64).unwrap();
    sync(&c.store, &reader.store);
    write(m, 2);
    sync(&m.store, &reader.store);
    a.store.revoke(id(2)).unwrap();
    a.store.revoke(id(3)).unwrap();
    assert_eq!(meet(&a.store, &reader.store), [vec![], vec![]]);
    assert_eq!([holds(a, other), holds(a, m), holds(a, c)], [1, 1, 1]);
    assert_eq!(reader.store.not_valid().len(), 1, "what nobody built on");
    assert!(reader.store.leave(NOTES).unwrap());
    meet(&a.store, &reader.store);
    assert_same(&[a, reader]);
}

/// A reader that holds what no writer vouches for sends on what is valid, and is not held up.
#[test]
fn a_reader_relays_what_is_valid_past_what_is_not() {
    let all = everywhere(&[Right::Write, Right::Read, Right::Write]);
    let [a, b, reader, m] = &all[..] else { unreachable!() };
    write(m, 1);
    sync(&m.store, &reader.store);
    write(b, 1);
    sync(&b.store, &reader.store);
    a.store.revoke(id(3)).unwrap();
    assert_eq!(meet(&a.store, &reader.store), [vec![], vec![]]);
    assert_eq!((holds(a, m), holds(a, b)), (0, 1));
    assert_eq!(reader.store.not_valid().len(), 1);
    // It is granted again: what was passed over comes.
    a.store.grant(id(3), "m", Rights::everywhere(Right::Write)).unwrap();
    meet(&a.store, &reader.store);
    assert_same(&[a, reader]);
}

#[test]
fn a_collection_that_may_not_be_read_is_not_heard_of() {
    let all = members(&[Rights::only(Right::Write, [NOTES]), Rights::everywhere(Right::Read)]);
    all[0].store.write(|txn| txn.set(PLANS, "secret", "x", 1i64)).unwrap();
    write(&all[0], 1);
    meet(&all[0].store, &all[1].store);
    assert_eq!(all[1].store.collections(), [NOTES]);
    meet(&all[0].store, &all[2].store);
    assert_eq!(all[2].store.collections(), [NOTES, PLANS]);
    meet(&all[2].store, &all[1].store);
    assert_eq!(all[1].store.collections(), [NOTES]);
    // A node that may not read what it has is sent nothing, and told nothing, when it asks.
    all[1].store.write(|txn| txn.set(PLANS, "p", "x", 1i64)).unwrap_err();
    all[0].store.grant(id(1), "one", Rights::everywhere(Right::Write)).unwrap();
    meet(&all[0].store, &all[1].store);
    assert_eq!(all[1].store.collections(), [NOTES, PLANS]);
}

#[test]
fn a_snapshot_is_taken_from_a_writer_only() {
    let small =
        Small { segment_bytes: 2 << 10, budget: LogBudget { bytes: 4 << 10, age_ms: u64::MAX } };
    let a = Replica::small(0, small);
    a.store.found_roster("a").unwrap();
    a.store.grant(id(1), "reader", Rights::everywhere(Right::Read)).unwrap();
    a.store.grant(id(2), "writer", Rights::everywhere(Right::Write)).unwrap();
    (0..200).for_each(|n| write(&a, n));
    assert!(!a.store.floor(NOTES).unwrap().is_empty());
    let (reader, writer) = (Replica::small(1, small), Replica::small(2, small));
    reader.store.join_roster(id(0)).unwrap();
    meet(&a.store, &reader.store);
    assert_same(&[&a, &reader]);
    writer.store.join_roster(id(0)).unwrap();
    assert_eq!(meet(&reader.store, &writer.store), [vec![], vec![]]);
    assert!(vector(&writer.store, NOTES).is_empty());
    // Their link goes on when the writer has it from somebody else.
    let mut link = Link::new(&reader.store, &writer.store);
    link.settle();
    let stuck = Event::Stuck { collection: NOTES.to_owned() };
    assert!(link.events(1).contains(&stuck), "{:?}", link.events(1));
    assert!(!link.is_in_sync());
    meet(&a.store, &writer.store);
    write(&writer, 1);
    link.later(60_000);
    link.settle();
    assert!(link.is_in_sync());
    assert_same(&[&reader, &writer]);
}

/// Who serves a snapshot may lose the right to write while it is being fetched.
#[test]
fn a_snapshot_is_not_joined_when_its_server_may_write_no_more() {
    let (a, server) = (Replica::new(0), Replica::new(1));
    write(&server, 1);
    a.store.found_roster("a").unwrap();
    a.store.grant(id(1), "server", Rights::everywhere(Right::Write)).unwrap();
    let head = server.store.view(NOTES).unwrap().head().to_vec();
    let step = |step| littoral::replica::Replica::step(&a.store, NOTES, &id(1), step);
    let StepOutcome::Begun(head) = step(SnapshotStep::Begin { head }).unwrap() else { panic!() };
    a.store.revoke(id(1)).unwrap();
    let refused = step(SnapshotStep::Join { head }).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Forbidden, "{refused}");
    assert!(vector(&a.store, NOTES).is_empty());
}

/// A bundle brings what may be taken of it, also behind what may not.
#[test]
fn what_may_not_be_taken_of_a_bundle_keeps_nothing_else_of_it_back() {
    let (a, maker) = (Replica::new(0), Replica::new(1));
    a.store.found_roster("a").unwrap();
    let rights = Rights { elsewhere: Right::Read, ..Rights::only(Right::Write, [PLANS]) };
    a.store.grant(id(1), "planner", rights).unwrap();
    write(&maker, 1);
    maker.store.collection(PLANS).unwrap().set("p", "n", 1i64).unwrap();
    let refused = carry::apply(&a.store, &carry::bundle(&maker.store, None)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Forbidden, "{refused}");
    assert!(refused.message().contains("the other collection was applied"), "{refused}");
    assert_eq!(holds(&a, &maker), 0);
    assert!(a.store.collection(PLANS).unwrap().get("p").unwrap().is_some());
}

/// What nobody takes from a reader, and what its log has no more, keeps nothing else from being
/// relayed.
#[test]
fn a_reader_relays_past_what_is_not_valid_and_not_in_its_log() {
    let small =
        Small { segment_bytes: 2 << 10, budget: LogBudget { bytes: 4 << 10, age_ms: u64::MAX } };
    let (a, b, m) = (Replica::new(0), Replica::new(1), Replica::new(3));
    let reader = Replica::small(2, small);
    a.store.found_roster("a").unwrap();
    for (member, right) in [(1, Right::Write), (2, Right::Read), (3, Right::Write)] {
        a.store.grant(id(member), None, Rights::everywhere(right)).unwrap();
    }
    for one in [&b, &reader, &m] {
        one.store.join_roster(id(0)).unwrap();
        meet(&a.store, &one.store);
    }
    for n in 0..40 {
        (0..5).for_each(|k| write(&m, 5 * n + k));
        sync(&m.store, &reader.store);
    }
    reader.store.prune().unwrap();
    assert!(!reader.store.floor(NOTES).unwrap().is_empty());
    a.store.revoke(id(3)).unwrap();
    meet(&a.store, &b.store);
    write(&b, 1);
    assert_eq!(meet(&b.store, &reader.store), [vec![], vec![]]);
    assert_eq!(meet(&a.store, &reader.store), [vec![], vec![]]);
    assert_eq!((holds(&a, &b), holds(&a, &m), holds(&b, &m)), (1, 0, 0));
    let mut link = Link::new(&a.store, &reader.store);
    link.settle();
    write(&a, 1);
    link.settle();
    assert!(link.is_in_sync());
    assert_eq!(holds(&reader, &a), 1);
    // As it is written down for who sees `not-valid`.
    assert_eq!(reader.store.not_valid().len(), 1);
    assert!(reader.store.leave(NOTES).unwrap());
    meet(&a.store, &reader.store);
    meet(&a.store, &b.store);
    assert_same(&[&a, &b, &reader]);
}

/// Who may not read any more what it still holds waits for nobody, and goes on when it may again.
#[test]
fn a_collection_that_may_be_read_no_more_is_not_waited_for() {
    let all = everywhere(&[Right::Write]);
    let [a, m] = &all[..] else { unreachable!() };
    for one in [a, m] {
        one.store.collection(PLANS).unwrap().set("p", "x", 1).unwrap();
        write(one, 1);
    }
    meet(&a.store, &m.store);
    a.store.grant(id(1), None, Rights::only(Right::Write, [PLANS])).unwrap();
    meet(&a.store, &m.store);
    write(a, 2);
    let mut link = Link::new(&a.store, &m.store);
    link.settle();
    assert!(link.is_in_sync());
    assert_eq!(holds(m, a), 1);
    // One side hears it before the other, whichever that is.
    for on in 0..2 {
        a.store.grant(id(1), None, Rights::everywhere(Right::Write)).unwrap();
        if on == 1 {
            m.store.add_statements(a.store.statements_beyond(&[])).unwrap();
        }
        link.settle();
        meet(&a.store, &m.store);
        assert_same(&[a, m]);
        a.store.grant(id(1), None, Rights::only(Right::Write, [PLANS])).unwrap();
        meet(&a.store, &m.store);
        link = Link::new(&a.store, &m.store);
        link.settle();
        write(a, 3 + on);
    }
}

#[test]
fn stores_of_different_rosters_do_not_sync() {
    let a = Replica::new(0);
    a.store.found_roster("a").unwrap();
    let (none, other) = (Replica::new(1), Replica::new(2));
    other.store.found_roster("other").unwrap();
    for node in [1, 2] {
        a.store.grant(id(node), "", Rights::everywhere(Right::Write)).unwrap();
    }
    write(&a, 1);
    for stranger in [&none, &other] {
        let mut link = Link::new(&a.store, &stranger.store);
        link.settle();
        let (code, why) = link.closed().unwrap();
        assert!(matches!(code, CloseCode::Network | CloseCode::Rights), "{why}");
        assert!(why.contains("roster") || why.contains("member"), "{why}");
        assert!(stranger.store.collections().is_empty());
    }
    let refused = other.store.join_roster(id(0)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
}

#[test]
fn who_founds_a_roster_vouches_for_what_there_is() {
    let (a, gone, peer) = (Replica::new(0), Replica::new(1), Replica::new(2));
    write(&gone, 1);
    pull(&a, &gone);
    a.store.trust(id(2)).unwrap();
    a.store.found_roster("a").unwrap();
    write(&gone, 2);
    peer.store.join_roster(id(0)).unwrap();
    assert_eq!(meet(&a.store, &peer.store), [vec![], vec![]]);
    assert_eq!(holds(&peer, &gone), 1);
    write(&peer, 1);
    assert!(carry::apply(&peer.store, &carry::bundle(&gone.store, None)).is_err());
    assert_eq!(holds(&peer, &gone), 1);
}

#[test]
fn rights_are_there_again_after_a_power_cut() {
    let all = everywhere(&[Right::Write]);
    write(&all[1], 1);
    sync(&all[0].store, &all[1].store);
    all[0].store.revoke(id(1)).unwrap();
    let (members, digest) = (all[0].store.members(), all[0].store.roster_digest());
    let again = all[0].after_power_cut(None);
    assert_eq!(again.store.members(), members);
    assert_eq!(again.store.roster_digest(), digest);
    assert_eq!(again.store.right(&id(1), NOTES), Right::None);
    assert!(!again.store.is_trusted(&id(1)));
}

#[test]
fn only_an_admin_changes_rights_and_the_error_says_so() {
    let all = everywhere(&[Right::Write, Right::Admin]);
    let [founder, writer, admin] = &all[..] else { unreachable!() };
    meet(&founder.store, &writer.store);
    let refused = |done: littoral::Result<()>| {
        let error = done.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Forbidden, "{error}");
    };
    refused(writer.store.grant(id(9), "x", Rights::everywhere(Right::Read)));
    refused(admin.store.revoke(id(0)));
    admin.store.revoke(id(1)).unwrap();
    meet(&admin.store, &founder.store);
    assert_eq!(founder.store.right(&id(1), NOTES), Right::None);
    let none = Options::new().key(key(7)).open_on(Arc::new(littoral::store::disk::MemDisk::new()));
    let no_roster = none.unwrap().grant(id(1), "", Rights::default()).unwrap_err();
    assert_eq!(no_roster.kind(), ErrorKind::InvalidInput);
}

/// Two meet once, for so many bytes at most; rights may end that early.
fn meet_for(a: &Store, b: &Store, bytes: Option<usize>) {
    let mut link = Link::new(a, b);
    link.cut = bytes;
    link.run(|_| ());
    if let Some((code, why)) = link.closed() {
        assert_eq!(code, CloseCode::Rights, "{why}");
    }
}

fn change_rights(all: &[Replica], rng: &mut Rng) {
    let (by, of) = (rng.below(2), 2 + rng.below(3) as u8);
    let right = *rng.pick(&[Right::None, Right::Read, Right::Write, Right::Write, Right::Write]);
    let rights = match rng.chance(30) {
        true => Rights { elsewhere: Right::Read, ..Rights::only(right, [NOTES]) },
        false => Rights::everywhere(right),
    };
    if let Err(err) = all[by].store.grant(id(of), "changed", rights) {
        assert_eq!(err.kind(), ErrorKind::Forbidden, "it has not heard that it may: {err}");
    }
}

/// Honest stores whose rights come and go while they write, meet, lose power and are cut off:
/// whoever may write ends with the same, and the others with the same and what is known to be
/// theirs alone.
#[test]
fn stores_agree_while_rights_come_and_go() {
    common::each_seed("stores_agree_while_rights_come_and_go", 40, |seed| {
        let mut rng = Rng::new(seed);
        let small = Small {
            segment_bytes: 2 << 10,
            budget: LogBudget { bytes: 4 << 10, age_ms: u64::MAX },
        };
        let new = |n| match seed % 2 {
            0 => Replica::new(n),
            _ => Replica::small(n, small),
        };
        let mut all: Vec<Replica> = (0..5).map(new).collect();
        all[0].store.found_roster("zero").unwrap();
        for (member, right) in (1..5).zip([Right::Admin, Right::Write, Right::Write, Right::Read]) {
            all[0].store.grant(id(member), "", Rights::everywhere(right)).unwrap();
            all[usize::from(member)].store.join_roster(id(0)).unwrap();
        }
        for _ in 0..60 {
            let (at, other) = (rng.below(5), rng.below(5));
            match rng.below(12) {
                0 => change_rights(&all, &mut rng),
                1 => all[at] = all[at].after_power_cut(Some(rng.next())),
                2..=5 if all[at].store.right(&id(at as u8), NOTES) >= Right::Write => {
                    let doc = format!("n{}", rng.below(6));
                    all[at].notes().set(&doc, "x", rng.below(1000) as i64).unwrap();
                    all[at].notes().add(&doc, "tags", rng.below(5) as i64).unwrap();
                }
                _ if at != other => {
                    let cut = rng.chance(30).then(|| rng.below(6000));
                    meet_for(&all[at].store, &all[other].store, cut);
                }
                _ => {}
            }
        }
        for _ in 0..4 {
            for at in 0..5 {
                (0..at).for_each(|other| meet_for(&all[at].store, &all[other].store, None));
            }
        }
        // Who was revoked may not have heard, and write on for itself.
        let may = |one: &&Replica, right| all[0].store.right(&one.store.node_id(), NOTES) >= right;
        let writers: Vec<&Replica> = all.iter().filter(|one| may(one, Right::Write)).collect();
        assert!(writers.iter().all(|one| one.store.not_valid().is_empty()));
        assert_same(&writers);
        let held = vector(&writers[0].store, NOTES);
        for reader in all.iter().filter(|one| may(one, Right::Read)) {
            assert_eq!(reader.store.roster_digest(), writers[0].store.roster_digest());
            let own = reader.store.not_valid();
            if own.is_empty() {
                assert_same(&[writers[0], reader]);
            }
            for (origin, head) in vector(&reader.store, NOTES).iter() {
                let beyond = own.iter().find(|(_, of, ..)| of == origin);
                let valid = beyond.map_or(head.seq, |(_, _, valid, _)| *valid);
                assert_eq!(valid, held.seq(origin), "of {origin}");
            }
        }
    });
}
