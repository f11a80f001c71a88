//! Rules 10 and 11 of the replication algebra: one key, two writers. What is told apart, what is
//! signed again, and what ends.

mod common;

use common::link::Link;
use common::{NOTES, Replica, assert_same, pull, stream};
use littoral::id::{Dot, Hash, Origin, Vector};
use littoral::sync::door::Offence;
use littoral::txn::{Dep, Scope, Signed, Txn};
use littoral::{ErrorKind, Field};

/// What a replica would be if it had been copied now, or copied back later.
fn image(replica: &Replica) -> Replica {
    replica.store.flush().unwrap();
    replica.after_power_cut(None)
}

fn field(replica: &Replica, id: &str, name: &str) -> Option<Field> {
    replica.notes().get_field(id, name).unwrap()
}

fn all(replica: &Replica) -> Vec<Vec<u8>> {
    stream(&replica.store, NOTES, &Vector::new()).into_iter().map(|(_, bytes)| bytes).collect()
}

// ---- what is held under a dot

#[test]
fn another_transaction_under_a_held_dot_is_a_fork_and_no_duplicate() {
    let (a, b) = (Replica::new(0), Replica::new(1));
    (0..20).for_each(|n| a.notes().set("n", "x", i64::from(n)).unwrap());
    let copy = image(&a);
    (20..40).for_each(|n| a.notes().set("n", "x", i64::from(n)).unwrap());
    (20..50).for_each(|n| copy.notes().set("n", "y", i64::from(n)).unwrap());
    pull(&b, &a);
    // All of it again is nothing new, however far back.
    assert_eq!(b.store.apply_remote(NOTES, all(&a)).unwrap().duplicates, 40);
    let (of_a, of_copy) = (all(&a), all(&copy));
    for (at, bytes) in of_copy.iter().enumerate().skip(20) {
        let refused = b.store.apply_remote(NOTES, vec![bytes.clone()]).unwrap_err();
        let expected = match at {
            ..41 => ErrorKind::Forked,
            _ => ErrorKind::MissingDependency,
        };
        assert_eq!(refused.kind(), expected, "{at}: {refused}");
    }
    // Also after the log was read again, and in one batch with what is new.
    let again = b.after_power_cut(None);
    assert_eq!(again.store.apply_remote(NOTES, all(&a)).unwrap().duplicates, 40);
    let fresh = Replica::new(2);
    let mixed = [&of_a[..], &of_copy[30..31]].concat();
    assert_eq!(fresh.store.apply_remote(NOTES, mixed).unwrap_err().kind(), ErrorKind::Forked);
    assert_same(&[&a, &b, &again, &fresh]);
}

#[test]
fn what_builds_on_the_other_branch_is_a_fork_also_when_that_lies_far_back() {
    let (a, b, c) = (Replica::new(0), Replica::new(1), Replica::new(2));
    a.notes().set("n", "x", "common").unwrap();
    let copy = image(&a);
    (0..30).for_each(|n| a.notes().set("n", "x", i64::from(n)).unwrap());
    copy.notes().set("n", "x", "other").unwrap();
    pull(&b, &a);
    pull(&c, &copy);
    assert!(c.notes().delete("n").unwrap());
    // It names A:2, of which B holds another: taken for its own, it would kill what C never saw.
    let of_c = all(&c).pop().unwrap();
    assert_eq!(b.store.apply_remote(NOTES, vec![of_c]).unwrap_err().kind(), ErrorKind::Forked);
    assert_eq!(field(&b, "n", "x"), Some(Field::from(29i64)));
    b.store.verify().unwrap();
}

// ---- an offence of one collection

/// A link between stores of which one holds what the other can't take, in the notes alone.
fn one_collection_halts(a: &Replica, b: &Replica, offence: Offence) {
    a.store.collection("plans").unwrap().set("p", "x", 1i64).unwrap();
    b.store.collection("tasks").unwrap().set("t", "x", 1i64).unwrap();
    for round in 0i64..3 {
        let mut link = Link::new(&a.store, &b.store);
        link.settle();
        a.store.collection("plans").unwrap().set("p", "round", round).unwrap();
        link.settle();
        assert_eq!(link.closed(), None);
        assert_eq!(link.halted(0), [(NOTES.to_owned(), offence)]);
        assert_eq!(link.halted(1), [(NOTES.to_owned(), offence)]);
        let round = Some(Field::from(round));
        let plans = b.store.collection("plans").unwrap();
        assert_eq!(plans.get_field("p", "round").unwrap(), round, "the others go on, each time");
        assert_eq!(a.store.collection("tasks").unwrap().len(), 1);
    }
}

#[test]
fn a_fork_halts_its_collection_and_the_link_goes_on() {
    for (of_a, of_copy) in [(3, 3), (1, 5), (5, 1), (20, 40)] {
        let (a, b, c) = (Replica::new(0), Replica::new(1), Replica::new(2));
        a.notes().set("n", "x", "common").unwrap();
        let copy = image(&a);
        (0..of_a).for_each(|n| a.notes().set("n", "x", i64::from(n)).unwrap());
        (0..of_copy).for_each(|n| copy.notes().set("n", "y", i64::from(n)).unwrap());
        pull(&b, &a);
        pull(&c, &copy);
        one_collection_halts(&b, &c, Offence::Forked);
        assert_eq!(field(&b, "n", "y"), None);
        assert_eq!(field(&c, "n", "y"), Some(Field::from(i64::from(of_copy - 1))));
    }
}

/// A transaction that says `bytes`, with a good signature, and the store that holds it.
fn signed_bytes(by: &Replica, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let origin = Origin { node: by.store.node_id(), incarnation: 0 };
    let time = littoral::clock::Timestamp::from_millis(1);
    let (dot, prev) = (Dot { origin, seq: 1 }, Hash::default());
    let scope = Scope { network: by.store.network(), collection: NOTES };
    let txn = Txn { dot, prev, time, deps: Vec::<Dep>::new(), docs: Vec::new() };
    let signed = Signed::sign(txn, scope, &by.key()).unwrap();
    let mut body = signed.bytes[..signed.bytes.len() - 64].to_vec();
    change(&mut body);
    common::sign_bytes(&body, by.key().seed())
}

#[test]
fn s13_what_this_version_does_not_know_stops_its_collection_and_is_never_kept() {
    let (author, b) = (Replica::new(0), Replica::new(1));
    // The same bytes of a version to come, and an operation of one: kind 9.
    let newer = signed_bytes(&author, |body| body[0] = 2);
    let operation = signed_bytes(&author, |body| {
        let count = body.pop();
        assert_eq!(count, Some(0), "no documents");
        body.extend([1, 1, b'n', 1, 9, 0]);
    });
    for bytes in [newer, operation] {
        let refused = b.store.apply_remote(NOTES, vec![bytes.clone()]).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::FormatTooNew);
        assert!(refused.message().contains("upgrade"), "{refused}");
        // What nobody signed is damage.
        let mut forged = bytes.clone();
        *forged.last_mut().unwrap() ^= 1;
        let refused = b.store.apply_remote(NOTES, vec![forged]).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidTransaction);
    }
    assert_eq!(b.store.collections(), [""; 0]);
}
