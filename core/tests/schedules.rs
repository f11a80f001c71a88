//! Schedules that break the natural first reading of each rule of the algebra, by name, and the
//! promises of the README as scenes with a few stores.

mod common;

use common::{NOTES, Replica, assert_same, fields, meet, pull, pull_one, snapshot, stream};
use littoral::clock::Timestamp;
use littoral::crdt::{Addition, DocOps, Op, key};
use littoral::id::{Dot, Hash, Origin, Seq, Vector};
use littoral::limits::MAX_SEQ;
use littoral::txn::edit::Version;
use littoral::txn::{NetworkId, NodeKey, Scope, Signed, Txn};
use littoral::{ErrorKind, Field, Fields, Options, Path, Value};

fn three() -> [Replica; 3] {
    [Replica::new(0), Replica::new(1), Replica::new(2)]
}

fn four() -> [Replica; 4] {
    [Replica::new(0), Replica::new(1), Replica::new(2), Replica::new(3)]
}

fn field(replica: &Replica, id: &str, name: &str) -> Option<Field> {
    replica.notes().get_field(id, name).unwrap()
}

fn texts(elements: &[&str]) -> Option<Field> {
    Some(Field::set(elements.iter().copied()))
}

/// Everything that `source` holds, as it would be sent to somebody who has nothing.
fn all(source: &Replica) -> Vec<Vec<u8>> {
    stream(&source.store, NOTES, &Vector::new()).into_iter().map(|(_, bytes)| bytes).collect()
}

// ---- rules of the algebra

#[test]
fn s1_what_builds_on_transactions_that_are_not_here_is_not_applied() {
    let [a, c, p] = three();
    (0..3).for_each(|n| c.notes().set("c", "n", i64::from(n)).unwrap());
    let d = Replica::new(3);
    pull(&d, &c);
    // Nothing in it names C's writes: only what D had seen does.
    d.notes().set("d", "n", 1i64).unwrap();
    a.notes().set("a", "n", 1i64).unwrap();
    pull(&a, &d);
    let of_d = stream(&a.store, NOTES, &common::vector(&c.store, NOTES));
    let refused =
        p.store.apply_remote(NOTES, of_d.iter().map(|(_, bytes)| bytes.clone()).collect());
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::MissingDependency);
    assert_eq!(field(&p, "d", "n"), None);
    // What came before it in the stream is whole and stays.
    assert_eq!(field(&p, "a", "n"), Some(Field::from(1i64)));
    pull(&p, &c);
    pull(&p, &d);
    meet(&[&a, &c, &d, &p]);
    assert_same(&[&a, &c, &d, &p]);
}

#[test]
fn s6_a_clear_of_what_its_author_has_not_seen_waits_for_it() {
    let [b, m, x] = three();
    b.notes().set("n", "x", 1i64).unwrap();
    let of_b = Origin { node: b.store.node_id(), incarnation: 0 };
    let upto = vec![Dot { origin: of_b, seq: 1 }];
    let clear = Op::Clear { prefix: key::prefix(&Path::from("x")), upto };
    let forged = forge(&m, 1, Hash::default(), vec![clear]);
    let refused = x.store.apply_remote(NOTES, vec![forged.bytes.clone()]).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::MissingDependency);
    pull(&x, &b);
    x.store.apply_remote(NOTES, vec![forged.bytes.clone()]).unwrap();
    m.store.apply_remote(NOTES, all(&b)).unwrap();
    m.store.apply_remote(NOTES, vec![forged.bytes]).unwrap();
    pull(&b, &x);
    assert_same(&[&b, &m, &x]);
    assert_eq!(field(&x, "n", "x"), None);
}

#[test]
fn s9_a_deferred_write_leaves_only_when_it_is_durable() {
    let [r, p, c] = three();
    r.notes().set("n", "x", "first").unwrap();
    // Marking what leaves for the first time is a sync, of what was deferred before it, too; and
    // so is making the state durable when its file has grown.
    pull_without_flush(&p, &r);
    r.store.trust(p.store.node_id()).unwrap();
    let before = common::vector(&r.store, NOTES);
    r.store.write_deferred(|txn| txn.set(NOTES, "n", "x", "deferred")).unwrap();
    assert_eq!(field(&r, "n", "x"), Some(Field::from("deferred")), "it is visible here");
    assert_eq!(stream(&r.store, NOTES, &before), [], "and nowhere in what peers are given");
    pull_without_flush(&p, &r);
    let r = r.after_power_cut(None);
    assert_eq!(field(&r, "n", "x"), Some(Field::from("first")));
    // The dot is signed again. Nobody has the other one.
    r.notes().set("n", "x", "second").unwrap();
    meet(&[&r, &p, &c]);
    assert_same(&[&r, &p, &c]);
    assert_eq!(field(&p, "n", "x"), Some(Field::from("second")));
    // A summary makes durable what it tells of.
    r.store.write_deferred(|txn| txn.set(NOTES, "n", "x", "third")).unwrap();
    let told = common::vector(&r.store, NOTES);
    let r = r.after_power_cut(None);
    assert_eq!(common::vector(&r.store, NOTES), told);
    assert_eq!(field(&r, "n", "x"), Some(Field::from("third")));
}

/// What a session does that read its peer's vector earlier.
fn pull_without_flush(target: &Replica, source: &Replica) {
    let txns = stream(&source.store, NOTES, &Vector::new());
    let txns = txns.into_iter().map(|(_, bytes)| bytes).collect();
    target.store.apply_remote(NOTES, txns).unwrap();
}

#[test]
fn s14_a_collection_that_was_left_is_taken_up_again_without_reusing_a_dot() {
    let [a, b, c] = three();
    a.notes().set("n", "x", 1i64).unwrap();
    a.notes().increment("n", "c", 5).unwrap();
    pull(&b, &a);
    assert!(a.store.leave(NOTES).unwrap());
    assert_eq!(a.notes().len(), 0);
    a.notes().set("n", "x", 2i64).unwrap();
    a.notes().increment("n", "c", 1).unwrap();
    let dots: Vec<Dot> = stream(&a.store, NOTES, &Vector::new()).iter().map(|(d, _)| *d).collect();
    assert!(dots.iter().all(|dot| !common::vector(&b.store, NOTES).covers(dot)), "{dots:?}");
    let a = a.after_power_cut(None);
    meet(&[&a, &b, &c]);
    assert_same(&[&a, &b, &c]);
    // The two writes did not know of each other, though one node made both.
    assert_eq!(c.notes().conflicts().unwrap().len(), 1);
    assert_eq!(field(&c, "n", "c"), Some(Field::Counter(6)));
    // Leaving again, after one's own earlier writes came back.
    a.store.leave(NOTES).unwrap();
    a.notes().set("n", "x", 3i64).unwrap();
    meet(&[&a, &b, &c]);
    a.notes().set("n", "x", 4i64).unwrap();
    meet(&[&a, &b, &c]);
    assert_same(&[&a, &b, &c]);
    assert_eq!(field(&c, "n", "x"), Some(Field::from(4i64)));
    assert_eq!(c.notes().conflicts().unwrap(), []);
}

fn count(replica: &Replica) -> i64 {
    field(replica, "n", "hits").map_or(0, |field| field.as_counter().unwrap())
}

fn add(replica: &Replica, by: i64) {
    replica.notes().increment("n", "hits", by).unwrap();
}

fn reset(replica: &Replica) {
    assert!(replica.notes().unset("n", "hits").unwrap());
}

#[test]
fn c1_an_addition_that_did_not_see_the_reset_stays() {
    let [a, b, c] = three();
    add(&a, 7);
    pull(&b, &a);
    reset(&b);
    add(&a, 1);
    meet(&[&a, &b, &c]);
    assert_same(&[&a, &b, &c]);
    assert_eq!(count(&c), 1);
    // And having seen it, a new row is begun and the settled one goes.
    reset(&c);
    pull(&a, &c);
    add(&a, 3);
    meet(&[&a, &b, &c]);
    assert_same(&[&a, &b, &c]);
    assert_eq!(count(&b), 3);
}

/// A adds 5, C resets; A adds 2, B resets 7.
fn two_resets() -> [Replica; 4] {
    let [a, b, c, x] = four();
    add(&a, 5);
    pull(&c, &a);
    reset(&c);
    add(&a, 2);
    pull(&b, &a);
    reset(&b);
    [a, b, c, x]
}

#[test]
fn c2_the_older_reset_heard_second_does_not_end_the_row() {
    let [a, b, c, x] = two_resets();
    pull(&x, &b);
    pull(&x, &c);
    // A knows only of C's reset, which does not settle the row: it goes on in it.
    pull(&a, &c);
    assert_eq!(count(&a), 2);
    add(&a, 1);
    meet(&[&a, &b, &c, &x]);
    assert_same(&[&a, &b, &c, &x]);
    assert_eq!(count(&x), 1);
}

#[test]
fn c3_the_older_reset_heard_after_the_row_went_does_not_bring_it_back() {
    let [a, b, c, x] = two_resets();
    pull(&a, &b);
    a.notes().set("n", "other", 1i64).unwrap(); // the row goes with this
    pull(&a, &c);
    add(&a, 1);
    meet(&[&a, &b, &c, &x]);
    assert_same(&[&a, &b, &c, &x]);
    assert_eq!(count(&x), 1);
}

#[test]
fn t1_one_author_alone_makes_no_conflict() {
    let [a, b, _] = three();
    a.notes().set("n", "x", 1i64).unwrap();
    a.notes().set("n", ("x", "a"), 2i64).unwrap();
    pull(&b, &a);
    assert_eq!(b.notes().conflicts().unwrap(), []);
    b.notes().unset("n", ("x", "a")).unwrap();
    assert_eq!(field(&b, "n", "x"), Some(Field::Map(Fields::new())), "not the old 1");
}

#[test]
fn l1_a_document_put_back_undoes_nothing_that_sync_brought_in_between() {
    let [a, b, c] = three();
    a.notes()
        .put("n", &fields([("title", Field::from("tide")), ("x", Field::from(1i64))]))
        .unwrap();
    pull(&b, &a);
    let mut read = a.notes().get("n").unwrap().unwrap();
    let version = read.version();
    b.notes().set("n", "brought", true).unwrap();
    b.notes().set("n", "x", 2i64).unwrap();
    pull(&a, &b);
    read.fields_mut().insert("title", Field::from("ebb"));
    a.notes().put("n", &read).unwrap();
    let expected = fields([
        ("title", Field::from("ebb")),
        ("x", Field::from(2i64)),
        ("brought", Field::from(true)),
    ]);
    assert_eq!(a.notes().get("n").unwrap().unwrap().fields(), &expected);
    a.notes().put("n", (read.fields(), &version)).unwrap();
    meet(&[&a, &b, &c]);
    assert_same(&[&a, &b, &c]);
    assert_eq!(c.notes().get("n").unwrap().unwrap().fields(), &expected);
    assert_eq!(c.notes().conflicts().unwrap(), []);
}

/// One transaction with two clears over one place, each of what the other leaves.
#[test]
fn a_document_put_back_and_deleted_in_one_write_is_gone() {
    let [a, b, c] = three();
    a.notes().set("n", "x", "first").unwrap();
    let read = a.notes().get("n").unwrap().unwrap();
    b.notes().set("n", "x", "apart").unwrap();
    meet(&[&a, &b, &c]);
    let mut txn = a.store.begin().unwrap();
    let mut put_back = read.clone();
    put_back.fields_mut().insert("x".to_owned(), Field::from("second"));
    txn.put(NOTES, "n", &put_back).unwrap();
    assert!(txn.delete(NOTES, "n").unwrap());
    txn.commit().unwrap();
    meet(&[&a, &b, &c]);
    assert_same(&[&a, &b, &c]);
    assert_eq!(a.notes().get("n").unwrap().map(|doc| doc.into_fields()), None);
}

#[test]
fn an_element_added_twice_and_removed_twice_is_gone() {
    let [a, b, c] = three();
    a.notes().add("n", "tags", "x").unwrap();
    b.notes().add("n", "tags", "x").unwrap();
    pull(&c, &a);
    a.notes().remove("n", "tags", "x").unwrap();
    pull(&a, &b);
    assert_eq!(field(&a, "n", "tags"), texts(&["x"]), "the other addition stays");
    b.notes().remove("n", "tags", "x").unwrap();
    meet(&[&a, &b, &c]);
    assert_same(&[&a, &b, &c]);
    assert_eq!(field(&c, "n", "tags"), texts(&[]));
}

#[test]
fn a_counter_deleted_or_reset_keeps_exactly_the_concurrent_additions() {
    type Zero = fn(&Replica);
    let ways: [Zero; 4] = [
        |r| assert!(r.notes().unset("n", "hits").unwrap()),
        |r| assert!(r.notes().delete("n").unwrap()),
        |r| r.notes().put("n", &fields([("other", Field::from(1i64))])).unwrap(),
        |r| r.notes().set("n", "hits", "text").unwrap(),
    ];
    for zero in ways {
        let [a, b, c] = three();
        add(&a, 5);
        add(&b, 10);
        meet(&[&a, &b, &c]);
        zero(&c);
        add(&a, 1);
        add(&a, 2);
        add(&b, -20);
        meet(&[&a, &b, &c]);
        assert_same(&[&a, &b, &c]);
        let counted = |field: &Field| field.as_counter().is_some();
        let conflicts = c.notes().conflicts().unwrap();
        let sides = conflicts.iter().flat_map(|found| &found.candidates).map(|side| &side.field);
        let shown = field(&c, "n", "hits").filter(counted);
        let sum = shown.as_ref().or_else(|| sides.into_iter().find(|field| counted(field)));
        assert_eq!(sum, Some(&Field::Counter(-17)));
    }
}

#[test]
fn a_sum_beyond_64_bits_is_clamped_where_it_is_read_and_nowhere_else() {
    let [a, b, c] = three();
    add(&a, i64::MAX);
    add(&b, i64::MAX);
    meet(&[&a, &b, &c]);
    assert_eq!(count(&c), i64::MAX);
    add(&c, -i64::MAX);
    add(&c, -5);
    meet(&[&a, &b, &c]);
    assert_same(&[&a, &b, &c]);
    assert_eq!(count(&a), i64::MAX - 5);
}

// ---- scenes

#[test]
fn a_clock_ten_years_ahead_wins_over_nothing_that_saw_it() {
    let [a, b, c] = three();
    a.wall.set(common::NOON + 10 * 365 * 86_400_000);
    a.notes().put("n", &fields([("x", Field::from("future")), ("y", Field::from(1i64))])).unwrap();
    pull(&b, &a);
    b.notes().set("n", "x", "later").unwrap();
    pull(&c, &b);
    c.notes().set("n", ("y", "z"), "below").unwrap();
    meet(&[&a, &b, &c]);
    assert_same(&[&a, &b, &c]);
    assert_eq!(field(&a, "n", "x"), Some(Field::from("later")));
    assert_eq!(field(&a, "n", "y"), Some(Field::map([("z", "below")])));
    assert_eq!(a.notes().conflicts().unwrap(), []);
    // Its owner sets it right, and is not behind for ten years.
    a.wall.set(common::NOON);
    a.notes().set("n", "x", "set right").unwrap();
    meet(&[&a, &b, &c]);
    assert_eq!(field(&c, "n", "x"), Some(Field::from("set right")));
    assert_eq!(c.notes().delete("n").ok(), Some(true));
    meet(&[&a, &b, &c]);
    assert_same(&[&a, &b, &c]);
    assert_eq!(a.notes().len(), 0);
}

#[test]
fn three_stores_that_wrote_apart_show_one_snapshot_whatever_the_order_of_meetings() {
    let links = [(0, 1), (1, 2), (0, 2)];
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let mut shown = None;
    for (round, order) in orders.into_iter().enumerate() {
        let replicas = three();
        for (n, replica) in replicas.iter().enumerate() {
            let notes = replica.notes();
            notes.put(&format!("of {n}"), &fields([("by", Field::from(n as i64))])).unwrap();
            notes.add("shared", "names", format!("{n}")).unwrap();
            notes.increment("shared", "count", 1).unwrap();
            notes.set("shared", "last", n as i64).unwrap();
        }
        let late = all(&replicas[0]);
        for link in order.into_iter().map(|at| links[at]) {
            let (x, y) = (&replicas[link.0], &replicas[link.1]);
            pull(x, y);
            pull(y, x);
            // Repeated, and one direction late.
            y.store.apply_remote(NOTES, all(x)).unwrap();
        }
        replicas[2].store.apply_remote(NOTES, late).unwrap();
        // The store at the end of the chain may need one more meeting.
        pull(&replicas[0], &replicas[1 + round % 2]);
        meet(&[&replicas[0], &replicas[1], &replicas[2]]);
        assert_same(&[&replicas[0], &replicas[1], &replicas[2]]);
        let now = (snapshot(&replicas[0].notes()), replicas[0].store.digests(NOTES).unwrap());
        assert_eq!(*shown.get_or_insert_with(|| now.clone()), now, "order {order:?}");
        assert_eq!(now.0.len(), 4);
    }
}

#[test]
fn edits_of_two_notes_both_survive() {
    let [a, b, c] = three();
    a.notes().set("1", "text", "one").unwrap();
    a.notes().set("2", "text", "two").unwrap();
    meet(&[&a, &b]);
    a.notes().set("1", "text", "one, by A").unwrap();
    b.notes().set("2", "text", "two, by B").unwrap();
    meet(&[&a, &b, &c]);
    assert_same(&[&a, &b, &c]);
    assert_eq!(field(&c, "1", "text"), Some(Field::from("one, by A")));
    assert_eq!(field(&c, "2", "text"), Some(Field::from("two, by B")));
    assert_eq!(c.notes().conflicts().unwrap(), []);
}

#[test]
fn an_update_survives_a_concurrent_delete_and_nothing_else_does() {
    let [a, b, c] = three();
    a.notes().put("n", &fields([("text", Field::from("old")), ("x", Field::from(1i64))])).unwrap();
    meet(&[&a, &b, &c]);
    a.notes().set("n", "text", "new").unwrap();
    assert!(b.notes().delete("n").unwrap());
    meet(&[&a, &b, &c]);
    assert_same(&[&a, &b, &c]);
    let left = fields([("text", Field::from("new"))]);
    assert_eq!(snapshot(&c.notes()), [("n".to_owned(), left)]);
}

#[test]
fn deleted_stays_deleted_when_somebody_returns_who_was_long_away() {
    let [a, b, away] = three();
    a.notes().put("n", &fields([("x", Field::from(1i64)), ("tags", Field::set(["t"]))])).unwrap();
    a.notes().increment("n", "hits", 4).unwrap();
    meet(&[&a, &b, &away]);
    b.notes().delete("n").unwrap();
    for n in 0..40 {
        b.notes().set("other", "n", i64::from(n)).unwrap();
        pull(&a, &b);
    }
    a.notes().set("other", "n", "seen").unwrap();
    assert_eq!(pull(&b, &away).new, 0);
    pull(&away, &a);
    meet(&[&a, &b, &away]);
    assert_same(&[&a, &b, &away]);
    assert_eq!(away.notes().get("n").unwrap(), None);
}

// ---- what comes from outside

/// A transaction signed by a real key, of what no honest store would write.
fn forge(by: &Replica, seq: Seq, prev: Hash, ops: Vec<Op>) -> Signed {
    let origin = Origin { node: by.store.node_id(), incarnation: 0 };
    let docs = vec![DocOps { id: "n".into(), ops }];
    let (dot, time) = (Dot { origin, seq }, littoral::clock::Timestamp::MAX);
    let txn = Txn { dot, prev, time, deps: Vec::new(), docs };
    Signed::sign(txn, Scope { network: by.store.network(), collection: NOTES }, &by.key()).unwrap()
}

#[test]
fn a_flipped_bit_anywhere_in_a_transaction_is_refused_and_nothing_is_applied() {
    let [a, b, _] = three();
    a.notes().put("n", &fields([("x", Field::from(1i64)), ("tags", Field::set(["t"]))])).unwrap();
    a.notes().increment("n", "hits", 4).unwrap();
    a.notes().delete("n").unwrap();
    let good = all(&a);
    for (at, txn) in good.iter().enumerate() {
        for byte in 0..txn.len() {
            let mut stream = good.clone();
            stream[at][byte] ^= 1 << (byte % 8);
            let refused = b.store.apply_remote(NOTES, stream).unwrap_err();
            // Of the version too: what its author did not sign is damage, not progress.
            let kind = refused.kind();
            assert_eq!(kind, ErrorKind::InvalidTransaction, "{at}, byte {byte}: {refused}");
        }
    }
    assert_eq!(b.store.collections(), [""; 0], "nothing of any of them");
    b.store.apply_remote(NOTES, good).unwrap();
    assert_same(&[&a, &b]);
}

#[test]
fn a_transaction_of_another_collection_or_network_is_refused() {
    let [a, b, _] = three();
    a.notes().set("n", "x", 1i64).unwrap();
    let refused = b.store.apply_remote("plans", all(&a)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidTransaction);
    let disk = std::sync::Arc::new(littoral::store::disk::MemDisk::new());
    let elsewhere = Options::new().network("elsewhere").key(NodeKey::from_seed([9; 32]));
    let elsewhere = elsewhere.open_on(disk).unwrap();
    assert_ne!(elsewhere.network(), NetworkId::named("default"));
    let refused = elsewhere.apply_remote(NOTES, all(&a)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidTransaction);
    assert!(elsewhere.collections().is_empty() && b.store.collections().is_empty());
}

#[test]
fn a_chain_that_forks_from_its_first_link_on_is_kept_on_both_sides() {
    let [a, b, _] = three();
    let twin = Replica::new(0);
    a.notes().set("n", "x", "here").unwrap();
    twin.notes().set("n", "x", "there").unwrap();
    twin.notes().set("n", "y", 1i64).unwrap();
    pull(&b, &a);
    assert_eq!(b.store.apply_remote(NOTES, all(&twin)).unwrap().new, 2);
    let conflicts = b.notes().conflicts().unwrap();
    assert_eq!(conflicts.len(), 1);
    assert_eq!(conflicts[0].candidates.len(), 2);
    assert_eq!(b.notes().get_field("n", "y").unwrap(), Some(Field::from(1i64)));
    b.store.check_rows().unwrap();
}

#[test]
fn numbers_at_their_ends_are_refused_or_counted_and_never_panic() {
    let [m, x, y] = three();
    let hits = key::slot(&key::prefix(&Path::from("hits")), key::Slot::Counter);
    let own = Origin { node: m.store.node_id(), incarnation: 0 };
    let after = |seq| Some(Addition { seq, time: Timestamp::from_millis(1) });
    let add = |birth, total, by, after| Op::Add { key: hits.clone(), birth, total, by, after };
    let txns = [
        forge(&m, 1, Hash::default(), vec![add(1, i128::MAX, i64::MAX, None)]),
        forge(&m, MAX_SEQ, Hash([1; 32]), vec![add(1, i128::MIN, i64::MIN, after(1))]),
        forge(&m, MAX_SEQ, Hash([1; 32]), vec![add(MAX_SEQ, 1, 1, None)]),
    ];
    let [first, rest @ ..] = txns;
    let second =
        forge(&m, 2, first.hash, vec![add(1, i128::MIN, 0, after(1)), add(2, i128::MIN, 0, None)]);
    let row = Dot { origin: own, seq: 1 };
    let settle = Op::Settle { key: hits.clone(), row, seq: 2, total: i128::MAX };
    let third = forge(&m, 3, second.hash, vec![settle, add(3, i128::MIN, 0, None)]);
    for target in [&x, &y] {
        for bad in &rest {
            assert!(target.store.apply_remote(NOTES, vec![bad.bytes.clone()]).is_err());
        }
        for good in [&first, &second, &third] {
            target.store.apply_remote(NOTES, vec![good.bytes.clone()]).unwrap();
            target.store.check_rows().unwrap();
        }
    }
    y.notes().increment("n", "hits", i64::MIN).unwrap();
    y.notes().increment("n", "hits", i64::MIN).unwrap();
    y.notes().delete("n").unwrap();
    meet(&[&x, &y]);
    assert_same(&[&x, &y]);
    assert_same(&[&x.after_power_cut(None), &y]);
}

/// Two replicas at one vector must hold one state, also when an author breaks the rules of counters.
#[test]
fn an_author_who_breaks_the_rules_of_counters_divides_nobody() {
    let [m, b, c] = three();
    let hits = key::slot(&key::prefix(&Path::from("hits")), key::Slot::Counter);
    let [of_m, of_b] = [&m, &b].map(|r| Origin { node: r.store.node_id(), incarnation: 0 });
    let row = Dot { origin: of_m, seq: 1 };
    m.notes().increment("n", "hits", 7).unwrap();
    m.notes().set("n", "other", 1i64).unwrap();
    pull(&b, &m);
    pull(&c, &m);
    // C resets honestly. B settles more of the row than there is of it.
    c.notes().unset("n", "hits").unwrap();
    let too_far = Op::Settle { key: hits.clone(), row, seq: 2, total: 99 };
    let too_far = forge(&b, 1, Hash::default(), vec![too_far]);
    let [x, y] = [Replica::new(4), Replica::new(5)];
    pull(&x, &c);
    pull(&y, &m);
    y.store.apply_remote(NOTES, vec![too_far.bytes.clone()]).unwrap();
    pull(&y, &c);
    // M goes on, having seen C's reset only; then it adds to the row that went with that.
    pull(&m, &c);
    m.notes().set("n", "other", 2i64).unwrap();
    let head = common::stream(&m.store, NOTES, &common::vector(&c.store, NOTES));
    let scope = Scope { network: m.store.network(), collection: NOTES };
    let last = Signed::verify(head.last().unwrap().1.clone(), scope).unwrap();
    let after = Some(Addition { seq: 1, time: Timestamp::from_millis(1) });
    let again = Op::Add { key: hits, birth: 1, total: 50, by: 43, after };
    let again = forge(&m, last.txn.dot.seq + 1, last.hash, vec![again]);
    for target in [&x, &y] {
        pull(target, &m);
        target.store.apply_remote(NOTES, vec![again.bytes.clone()]).unwrap();
    }
    x.store.apply_remote(NOTES, vec![too_far.bytes]).unwrap();
    assert!(common::vector(&x.store, NOTES).head(&of_b).is_some());
    assert_same(&[&x, &y]);
}

// ---- what must be refused before it is signed

/// Whatever the caller asks for, what a store signs is what every other store accepts.
#[test]
fn no_call_makes_a_transaction_that_others_refuse() {
    let deep = |depth: usize| Path::from(vec!["p".to_owned(); depth]);
    let long = || Path::from("k".repeat(70_000));
    let opaque = || Value::Opaque { kind: 1, bytes: vec![0; 3] };
    let nested =
        |leaf: Field, depth: usize| (0..depth).fold(leaf, |inner, _| Field::map([("p", inner)]));
    type Call<'a> = Box<dyn Fn(&Replica) -> littoral::Result<()> + 'a>;
    let calls: Vec<(&str, Call<'_>)> = vec![
        ("resolve the root", Box::new(|r| r.notes().resolve("n", Path::root(), &1i64.into()))),
        ("resolve too deep", Box::new(|r| r.notes().resolve("n", deep(65), &1i64.into()))),
        ("resolve too long", Box::new(|r| r.notes().resolve("n", long(), &1i64.into()))),
        ("increment too long", Box::new(|r| r.notes().increment("n", long(), 1))),
        ("increment too deep", Box::new(|r| r.notes().increment("n", deep(65), 1))),
        ("add too long", Box::new(|r| r.notes().add("n", long(), 1i64))),
        ("add too deep", Box::new(|r| r.notes().add("n", deep(65), 1i64))),
        ("set too long", Box::new(|r| r.notes().set("n", long(), 1i64))),
        ("set the root", Box::new(|r| r.notes().set("n", Path::root(), 1i64))),
        ("set a time of 3 bytes", Box::new(|r| r.notes().set("n", "x", opaque()))),
        ("set an array of it", Box::new(|r| r.notes().set("n", "x", vec![opaque()]))),
        (
            "put an empty set too deep",
            Box::new(|r| {
                let Field::Map(fields) = nested(Field::Set(Default::default()), 65) else {
                    unreachable!()
                };
                r.notes().put("n", &fields)
            }),
        ),
        (
            "put a counter too deep",
            Box::new(|r| {
                let Field::Map(fields) = nested(Field::Counter(1), 65) else { unreachable!() };
                r.notes().put("n", &fields)
            }),
        ),
    ];
    for (name, call) in calls {
        let [a, b, _] = three();
        a.notes().set("n", "before", 1i64).unwrap();
        match call(&a) {
            Err(err) => assert!(
                matches!(err.kind(), ErrorKind::InvalidInput | ErrorKind::LimitExceeded),
                "{name}: {err}"
            ),
            Ok(()) => panic!("{name} was not refused"),
        }
        a.notes().set("n", "after", 1i64).unwrap();
        pull(&b, &a);
        assert_same(&[&a.after_power_cut(None), &b]);
    }
}

#[test]
fn a_version_that_was_tampered_with_makes_nothing_that_others_refuse() {
    let [a, b, c] = three();
    // The origin's numbers are small, so that flipping a bit names earlier and later ones.
    a.notes().set("n", "x", 1i64).unwrap();
    let mut taken = 0;
    let len = |version: &Version| version.as_bytes().len();
    for byte in 0.. {
        let id = format!("{byte}");
        for (name, by) in [("hits", 3), ("hits", 4), ("more", 1)] {
            a.notes().increment(&id, name, by).unwrap();
        }
        a.notes().set(&id, "x", 1i64).unwrap();
        let version = a.notes().get(&id).unwrap().unwrap().version();
        a.notes().increment(&id, "hits", 1).unwrap();
        if byte == len(&version) {
            break;
        }
        for flip in [1, 2, 4, 0x80, 0xff] {
            let mut bytes = version.as_bytes().to_vec();
            bytes[byte] ^= flip;
            let version = Version::from_bytes(&bytes);
            match a.notes().put(&id, (&fields([("x", Field::from(2i64))]), &version)) {
                Ok(()) => taken += 1,
                Err(err) => assert!(
                    matches!(err.kind(), ErrorKind::InvalidInput | ErrorKind::VersionMismatch),
                    "{err}"
                ),
            }
        }
    }
    assert!(taken > 0);
    meet(&[&a, &b, &c]);
    assert_same(&[&a.after_power_cut(None), &b, &c]);
}

#[test]
fn a_document_put_under_another_id_or_into_another_collection_is_a_copy() {
    let [a, _, _] = three();
    let note = fields([("x", Field::from(1i64)), ("m", Field::map([("y", 2i64)]))]);
    a.notes().put("n", &note).unwrap();
    let read = a.notes().get("n").unwrap().unwrap();
    a.notes().put("copy", &read).unwrap();
    assert_eq!(a.notes().get("copy").unwrap().map(|doc| doc.into_fields()), Some(note.clone()));
    let archive = a.store.collection("archive").unwrap();
    archive.put("n", &read).unwrap();
    assert_eq!(archive.get("n").unwrap().map(|doc| doc.into_fields()), Some(note));
}

#[test]
fn what_was_written_apart_is_all_kept_until_somebody_overwrites_what_he_saw() {
    let [a, b, c] = three();
    b.wall.set(common::NOON + 1000);
    c.wall.set(common::NOON + 2000);
    for (replica, value) in [(&a, "a"), (&b, "b"), (&c, "c")] {
        replica.notes().set("n", "x", value).unwrap();
    }
    meet(&[&a, &b, &c]);
    let sides = |replica: &Replica| -> Vec<Vec<Field>> {
        let conflicts = replica.notes().conflicts().unwrap().into_iter();
        conflicts.map(|c| c.candidates.into_iter().map(|side| side.field).collect()).collect()
    };
    for replica in [&a, &b, &c] {
        assert_eq!(sides(replica), [["c", "b", "a"].map(Field::from)], "newest first, none lost");
        assert_eq!(field(replica, "n", "x"), Some(Field::from("c")));
    }
    a.notes().set("n", "x", "settled").unwrap();
    meet(&[&a, &b, &c]);
    assert_same(&[&a, &b, &c]);
    assert_eq!(sides(&c), [[]; 0]);
    assert_eq!(field(&c, "n", "x"), Some(Field::from("settled")));
}

#[test]
fn a_conflict_is_resolved_for_a_candidate_or_for_something_new_of_any_kind() {
    let choices = [
        Field::from("a"),
        Field::from("new"),
        Field::set(["t"]),
        Field::Counter(4),
        Field::map([("y", 2i64)]),
        Field::Map(Fields::new()),
    ];
    for choice in choices {
        let [a, b, c] = three();
        a.notes().set("n", "x", "a").unwrap();
        b.notes().set("n", "x", "b").unwrap();
        meet(&[&a, &b, &c]);
        a.notes().resolve("n", "x", &choice).unwrap();
        meet(&[&a, &b, &c]);
        assert_same(&[&a, &b, &c]);
        assert_eq!(field(&c, "n", "x"), Some(choice));
        assert_eq!(c.notes().conflicts().unwrap(), []);
    }
}

#[test]
fn what_is_put_over_a_conflict_replaces_also_the_side_that_was_not_shown() {
    let kinds = [
        Field::from("text"),
        Field::set(["t"]),
        Field::Counter(4),
        Field::map([("y", Field::from(2i64)), ("c", Field::Counter(1))]),
    ];
    let news = [Field::set(["u"]), Field::Counter(7), Field::map([("z", 3i64)])];
    for (hidden, new) in kinds.iter().flat_map(|kind| news.iter().map(move |new| (kind, new))) {
        for whole in [true, false] {
            let [a, b, c] = three();
            a.notes().set("n", "x", hidden.clone()).unwrap();
            b.wall.set(common::NOON + 1000);
            b.notes().set("n", "x", "shown").unwrap();
            meet(&[&a, &b, &c]);
            match whole {
                true => a.notes().put("n", &fields([("x", new.clone())])).unwrap(),
                false => a.notes().set("n", "x", new.clone()).unwrap(),
            }
            meet(&[&a, &b, &c]);
            assert_same(&[&a, &b, &c]);
            assert_eq!(field(&c, "n", "x").as_ref(), Some(new), "over {hidden:?}");
            assert_eq!(c.notes().conflicts().unwrap(), []);
        }
    }
}

#[test]
fn taking_something_out_does_not_bring_up_the_other_side_of_a_conflict() {
    type Take = fn(&Replica);
    let ways: [(Field, Field, Take); 4] = [
        (Field::set(["old", "t"]), Field::set(["old"]), |r| {
            r.notes().remove("n", "x", "t").map(drop).unwrap();
        }),
        (Field::set(["old", "t"]), Field::set(["old"]), |r| {
            r.notes().put("n", &fields([("x", Field::set(["old"]))])).unwrap();
        }),
        (Field::map([("old", 1i64), ("t", 1)]), Field::map([("old", 1i64)]), |r| {
            r.notes().unset("n", ("x", "t")).map(drop).unwrap();
        }),
        (Field::map([("old", 1i64), ("t", 1)]), Field::map([("old", 1i64)]), |r| {
            r.notes().put("n", &fields([("x", Field::map([("old", 1i64)]))])).unwrap();
        }),
    ];
    for (shown, left, take) in ways {
        let [a, b, c] = three();
        // A's is shown only for what it holds newest: B's lies between that and the rest.
        a.notes().set("n", "x", left.clone()).unwrap();
        b.wall.set(common::NOON + 1000);
        b.notes().set("n", "x", "between").unwrap();
        a.wall.set(common::NOON + 2000);
        match shown {
            Field::Set(_) => a.notes().add("n", "x", "t").unwrap(),
            _ => a.notes().set("n", ("x", "t"), 1i64).unwrap(),
        }
        meet(&[&a, &b, &c]);
        assert_eq!(field(&c, "n", "x"), Some(shown));
        c.wall.set(0);
        take(&c);
        meet(&[&a, &b, &c]);
        assert_same(&[&a, &b, &c]);
        assert_eq!(field(&a, "n", "x"), Some(left));
        assert_eq!(a.notes().conflicts().unwrap(), []);
    }
}

#[test]
fn leaving_a_collection_leaves_the_others_alone() {
    let names = ["first", "second", "third"];
    for left in names {
        let a = Replica::new(0);
        for name in names {
            let collection = a.store.collection(name).unwrap();
            (0..5i64).for_each(|n| collection.set(&format!("d{n}"), "x", n).unwrap());
        }
        let others = || names.into_iter().filter(|name| *name != left);
        let held = |a: &Replica| -> Vec<_> {
            others().map(|name| (a.store.held(name), a.store.digests(name).unwrap())).collect()
        };
        let before = held(&a);
        assert!(a.store.leave(left).unwrap());
        for a in [&a, &a.after_power_cut(None)] {
            assert_eq!(held(a), before);
            assert_eq!(a.store.collections(), others().collect::<Vec<_>>());
            others().for_each(|name| assert_eq!(a.store.collection(name).unwrap().len(), 5));
            a.store.check_rows().unwrap();
        }
    }
}

#[test]
fn leaving_while_others_write_refuses_nobody() {
    let replica = Replica::new(0);
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let notes = replica.notes();
            scope.spawn(move || {
                (0..60).for_each(|n| notes.set(&format!("{thread}"), "n", i64::from(n)).unwrap());
            });
        }
        for _ in 0..60 {
            replica.store.leave(NOTES).unwrap();
        }
    });
    replica.store.check_rows().unwrap();
    assert_eq!(replica.store.stats().unwrap().failure, None);
    let again = replica.after_power_cut(None);
    again.store.check_rows().unwrap();
    assert_eq!(snapshot(&again.notes()), snapshot(&replica.notes()));
}

#[test]
fn a_transaction_delivered_alone_in_any_order_waits_only_for_what_it_builds_on() {
    let [a, b, c] = three();
    a.notes().set("n", "x", 1i64).unwrap();
    b.notes().set("m", "x", 1i64).unwrap();
    pull(&b, &a);
    b.notes().set("n", "x", 2i64).unwrap();
    pull_one(&c, &b, 1, &b);
    assert_eq!(field(&c, "m", "x"), Some(Field::from(1i64)));
    pull_one(&c, &b, 1, &a);
    pull_one(&c, &b, 2, &b);
    assert_same(&[&b, &c]);
}
