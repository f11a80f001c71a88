//! Snapshot joins between real stores: exact, atomic, resumable, cheap when little differs.

mod common;

use std::time::Duration;

use common::link::Link;
use common::{NOTES, Replica, Rng, assert_same, each_seed, fields, pull};
use littoral::id::{Dot, Hash, Origin};
use littoral::sync::door::{Event, Input};
use littoral::txn::snapshot::{Newest, Span, ViewHead};
use littoral::txn::{Proof, Scope};
use littoral::{ErrorKind, Field, ScanRange};

/// Makes `to` hold what `from` holds without the transactions between, so that its own log
/// can't serve who is behind.
fn skip(to: &Replica, from: &Replica) {
    common::join(&to.store, &from.store, NOTES);
}

/// A replica with `count` documents, behind whose floor everybody is who lacks them.
fn with_documents(seed: u8, count: usize) -> Replica {
    let (author, holder) = (Replica::new(seed + 100), Replica::new(seed));
    for at in 0..count {
        let title = Field::from(format!("title {at}"));
        // What is drawn does not pack: bytes that travel are those of documents.
        let mut drawn = vec![0; 128];
        blake3::Hasher::new().update(&at.to_be_bytes()).finalize_xof().fill(&mut drawn);
        let drawn = Field::from(drawn);
        let content = fields([("title", title), ("n", Field::from(at as i64)), ("drawn", drawn)]);
        author.store.write_deferred(|txn| txn.put(NOTES, &format!("n{at:06}"), &content)).unwrap();
    }
    skip(&holder, &author);
    holder
}

fn sync(a: &Replica, b: &Replica) -> usize {
    let mut link = Link::new(&a.store, &b.store);
    assert!(!link.run(|_| ()));
    assert_eq!(link.closed(), None);
    link.bytes
}

fn joined(link: &Link<'_>, at: usize) -> bool {
    link.events(at).iter().any(|event| matches!(event, Event::Joined { .. }))
}

#[test]
fn a_new_replica_gets_what_no_log_holds_any_more() {
    let (a, b) = (with_documents(0, 300), Replica::new(1));
    let mut link = Link::new(&a.store, &b.store);
    assert!(!link.run(|_| ()));
    assert_eq!(link.closed(), None);
    assert!(joined(&link, 1) && !joined(&link, 0));
    assert_same(&[&a, &b]);
    assert_eq!(b.notes().len(), 300);
    // From here on it goes by the tail.
    a.notes().set("n000007", "title", "new").unwrap();
    b.notes().delete("n000008").unwrap();
    let mut link = Link::new(&a.store, &b.store);
    assert!(!link.run(|_| ()));
    assert_eq!(link.closed(), None);
    assert!(!joined(&link, 1) && !joined(&link, 0));
    assert_same(&[&a, &b]);
}

#[test]
fn what_is_equal_does_not_travel() {
    let (a, b) = (with_documents(0, 5000), Replica::new(1));
    let all = sync(&a, &b);
    // Both go on apart, and what they did is in nobody's log.
    let (c, d) = (Replica::new(2), Replica::new(3));
    skip(&c, &a);
    skip(&d, &b);
    for at in 0..10 {
        c.notes().set(&format!("n{:06}", at * 480), "title", "changed at c").unwrap();
        d.notes().delete(&format!("n{:06}", at * 480 + 7)).unwrap();
    }
    skip(&a, &c);
    skip(&b, &d);
    let few = sync(&a, &b);
    assert_same(&[&a, &b]);
    assert_eq!(a.notes().len(), 4990);
    assert!(few * 5 < all, "20 differences of 5000 took {few} bytes, everything {all}");
}

#[test]
fn unsent_edits_of_both_sides_survive_and_nothing_comes_back() {
    let (a, b) = (with_documents(0, 40), Replica::new(1));
    sync(&a, &b);
    let c = Replica::new(2);
    skip(&c, &a);
    c.notes().delete("n000001").unwrap();
    c.notes().set("n000002", "title", "c").unwrap();
    c.notes().increment("n000003", "hits", 5).unwrap();
    skip(&a, &c);
    // Written at b, which has not seen any of it; never sent.
    b.notes().set("n000002", "title", "b").unwrap();
    b.notes().set("n000004", "title", "b").unwrap();
    b.notes().delete("n000005").unwrap();
    b.notes().increment("n000003", "hits", 2).unwrap();
    a.notes().set("n000006", "title", "a").unwrap();
    sync(&a, &b);
    assert_same(&[&a, &b]);
    let notes = a.notes();
    assert!(notes.get("n000001").unwrap().is_none() && notes.get("n000005").unwrap().is_none());
    assert_eq!(notes.get("n000003").unwrap().unwrap()["hits"], Field::Counter(7));
    assert_eq!(notes.get("n000004").unwrap().unwrap()["title"], Field::from("b"));
    assert_eq!(notes.get("n000006").unwrap().unwrap()["title"], Field::from("a"));
    assert_eq!(notes.conflicts().unwrap().len(), 1, "both titles of n000002 are kept");
}

#[test]
fn a_cut_snapshot_goes_on_where_it_was() {
    let a = with_documents(0, 4000);
    let whole = sync(&a, &Replica::new(9));
    let b = Replica::new(1);
    let mut total = 0;
    for attempt in 0.. {
        assert!(attempt < 30, "it never gets anywhere");
        let mut link = Link::new(&a.store, &b.store);
        link.cut = Some(whole / 6);
        let cut = link.run(|_| ());
        total += link.bytes;
        if !cut {
            break;
        }
        assert_eq!(b.notes().len(), 0, "nothing is shown before all of it is");
    }
    assert_same(&[&a, &b]);
    assert!(total < whole * 2, "{total} bytes where {whole} are enough without a cut");
}

#[test]
fn a_peer_that_is_stuck_in_a_snapshot_does_not_make_the_disk_grow() {
    let (a, b) = (with_documents(0, 3000), Replica::new(1));
    let mut link = Link::new(&a.store, &b.store);
    (0..20).for_each(|_| assert!(link.step(usize::MAX)));
    assert!(!joined(&link, 1), "it is in the middle of it");
    for n in 0..1000 {
        let text = Field::from(format!("{n} {}", "x".repeat(120_000)));
        a.notes().put(&format!("large {}", n % 100), &fields([("text", text)])).unwrap();
        link.handle(0, Input::Committed);
    }
    // 12 MB of it live, of 120 MB written.
    let state = a.store.stats().unwrap().state_bytes >> 20;
    assert!(state <= 100, "the state takes {state} MiB");
    link.later(1000);
    assert!(!link.run(|_| ()));
    assert_eq!(link.closed(), None);
    assert!(joined(&link, 1));
    assert_same(&[&a, &b]);
}

#[test]
fn what_is_written_and_replaced_while_a_view_is_kept_takes_no_room() {
    let a = with_documents(0, 500);
    let rewrite = |rounds: usize| {
        for n in 0..rounds {
            let id = format!("n{:06}", n * 7 % 500);
            a.notes().set(&id, "n", Field::from(n as i64)).unwrap();
        }
    };
    // Room that is free again, and some commits after the last durable one.
    for n in 0..2000 {
        let text = Field::from(format!("{n} {}", "x".repeat(1000)));
        let put = fields([("text", text)]);
        a.store.write_deferred(|txn| txn.put(NOTES, &format!("gone {n}"), &put)).unwrap();
    }
    for n in 0..2000 {
        a.store.write_deferred(|txn| txn.delete(NOTES, &format!("gone {n}")).map(drop)).unwrap();
    }
    rewrite(100);
    let view = a.store.view(NOTES).unwrap();
    let before = a.store.stats().unwrap().state_bytes;
    rewrite(850);
    let after = a.store.stats().unwrap().state_bytes;
    drop(view);
    assert_eq!(after, before, "a view holds what was there when it was taken, and no more");
}

#[test]
fn a_snapshot_survives_a_crash_of_its_receiver() {
    each_seed("snapshot crash", 8, |seed| {
        let mut rng = Rng::new(seed);
        let (a, mut b) = (with_documents(0, 600), Replica::new(1));
        b.notes().put("mine", &fields([("x", Field::from("b"))])).unwrap();
        for _ in 0..6 {
            let mut link = Link::new(&a.store, &b.store);
            link.cut = Some(2000 + rng.below(120_000));
            link.run(|_| ());
            b.notes().increment("mine", "hits", 1).unwrap();
            b = b.after_power_cut(rng.chance(50).then_some(seed));
            b.store.check_rows().unwrap();
        }
        sync(&a, &b);
        assert_same(&[&a, &b]);
        assert_eq!(b.notes().get("mine").unwrap().unwrap()["hits"], Field::Counter(6));
    });
}

#[test]
fn local_writes_and_other_peers_go_on_while_it_is_staged() {
    let (a, b, c) = (with_documents(0, 900), Replica::new(1), Replica::new(2));
    sync(&a, &b);
    skip(&c, &a);
    for at in 0..50 {
        c.notes().set(&format!("n{:06}", at * 17), "title", "c").unwrap();
    }
    skip(&a, &c);
    let e = Replica::new(4);
    skip(&e, &b);
    let mut link = Link::new(&a.store, &b.store);
    let cut = link.run(|round| {
        if round < 12 {
            let id = format!("n{:06}", round * 34);
            b.notes().set(&id, "title", format!("b {round}")).unwrap();
            b.notes().delete(&format!("n{:06}", round * 34 + 1)).unwrap();
            e.notes().set(&id, "more", "e").unwrap();
            pull(&b, &e);
            a.notes().set(&id, "last", "a").unwrap();
        }
    });
    assert!(!cut);
    assert!(joined(&link, 1));
    sync(&a, &b);
    assert_same(&[&a, &b]);
}

#[test]
fn everything_deleted_at_the_source_goes_at_the_receiver() {
    let (a, b) = (with_documents(0, 120), Replica::new(1));
    sync(&a, &b);
    let c = Replica::new(2);
    skip(&c, &a);
    let ids: Vec<String> = c
        .notes()
        .scan(&ScanRange::default())
        .unwrap()
        .map(|document| document.unwrap().id().to_owned())
        .collect();
    ids.iter().for_each(|id| assert!(c.notes().delete(id).unwrap()));
    skip(&a, &c);
    b.notes().set("n000005", "title", "kept").unwrap();
    sync(&a, &b);
    assert_same(&[&a, &b]);
    assert_eq!(a.notes().len(), 1, "a concurrent edit keeps its document alive");
}

#[test]
fn a_document_larger_than_an_answer_travels_in_parts() {
    let (author, a, b) = (Replica::new(100), Replica::new(0), Replica::new(1));
    for at in 0..9 {
        let text = format!("{at}").repeat(200 << 10);
        author.notes().set("large", format!("part{at}").as_str(), text).unwrap();
    }
    author.notes().set("small", "x", 1).unwrap();
    skip(&a, &author);
    sync(&a, &b);
    assert_same(&[&a, &b]);
    assert_eq!(b.notes().len(), 2);
}

#[test]
fn two_that_are_behind_each_other_join_each_other() {
    let (a, b) = (with_documents(0, 50), with_documents(1, 60));
    sync(&a, &b);
    assert_same(&[&a, &b]);
}

/// Rule 10: own transactions that a snapshot covers have left, though not as records. Else they
/// would be signed again under another name if this store were taken for a rolled back one.
#[test]
fn what_a_view_covers_counts_as_handed_out() {
    let a = Replica::new(0);
    a.notes().put("n1", &fields([("x", Field::from(1))])).unwrap();
    let exported = |a: &Replica| a.store.stats().unwrap().collections[0].exported;
    assert_eq!(exported(&a), 0);
    let view = a.store.view(NOTES).unwrap();
    let head = common::head_of(&view, NOTES, &a.store);
    let origin = Origin { node: a.store.node_id(), incarnation: 0 };
    assert_eq!(exported(&a), head.vector[&origin].seq);
    let a = a.after_power_cut(None);
    assert_eq!(exported(&a), 1);
}

#[test]
fn followers_hear_which_documents_a_snapshot_changed() {
    let (a, b) = (with_documents(0, 30), Replica::new(1));
    sync(&a, &b);
    let c = Replica::new(2);
    skip(&c, &a);
    c.notes().set("n000003", "title", "c").unwrap();
    c.notes().delete("n000004").unwrap();
    c.notes().put("new", &fields([("x", Field::from(1))])).unwrap();
    skip(&a, &c);
    let mut changes = b.store.changes(None);
    sync(&a, &b);
    let mut heard = Vec::new();
    while let Some(change) = changes.next(Duration::ZERO).unwrap() {
        assert_eq!((change.dot.origin.node, change.dot.seq), (a.store.node_id(), 0));
        assert!(!change.local);
        heard.push(change.id);
    }
    assert_eq!(heard, ["n000003", "n000004", "new"]);
}

fn span(start: &str, end: Option<&str>) -> Span {
    Span { start: start.to_owned(), end: end.map(str::to_owned) }
}

/// S2: equal values are not equal cells; only what is equal in its cells is skipped.
#[test]
fn s2_the_same_value_written_apart_is_not_the_same() {
    let (a, b) = (Replica::new(0), Replica::new(1));
    for replica in [&a, &b] {
        replica.notes().put("n1", &fields([("x", Field::from(1))])).unwrap();
        // So that neither's log serves the other.
        let scratch = Replica::new(9);
        skip(&scratch, replica);
    }
    assert_eq!(common::join(&b.store, &a.store, NOTES), 1, "the document travels");
    assert_eq!(common::join(&a.store, &b.store, NOTES), 1);
    assert_same(&[&a, &b]);
    a.notes().delete("n1").unwrap();
    common::join(&b.store, &a.store, NOTES);
    assert_same(&[&a, &b]);
    assert!(b.notes().is_empty());
    // The other way about: a later join must not kill what nobody deleted.
    a.notes().put("n2", &fields([("x", Field::from(1))])).unwrap();
    b.notes().put("n2", &fields([("x", Field::from(1))])).unwrap();
    common::join(&a.store, &b.store, NOTES);
    common::join(&b.store, &a.store, NOTES);
    assert_same(&[&a, &b]);
    assert_eq!(a.notes().len(), 1);
}

/// S3: two counters that show nothing are not equal if one of them was reset.
#[test]
fn s3_a_reset_counter_is_not_an_absent_one() {
    let (o, c, d) = (Replica::new(0), Replica::new(1), Replica::new(2));
    o.notes().increment("n1", "hits", 7).unwrap();
    pull(&c, &o);
    c.notes().unset("n1", "hits").unwrap();
    common::join(&d.store, &c.store, NOTES);
    o.notes().increment("n1", "hits", 1).unwrap();
    for replica in [&c, &d] {
        pull(replica, &o);
        assert_eq!(replica.notes().get("n1").unwrap().unwrap()["hits"], Field::Counter(1));
    }
    pull(&o, &c);
    assert_same(&[&o, &c, &d]);
}

/// Of two states of a row the newer one counts, whichever is greater.
#[test]
fn a_counter_that_went_down_is_joined_as_it_is() {
    let (a, b) = (Replica::new(0), Replica::new(1));
    a.notes().increment("n1", "hits", 10).unwrap();
    pull(&b, &a);
    for by in [-4, 1, -9] {
        a.notes().increment("n1", "hits", by).unwrap();
        common::join(&b.store, &a.store, NOTES);
        common::join(&a.store, &b.store, NOTES);
        assert_same(&[&a, &b]);
    }
    assert_eq!(b.notes().get("n1").unwrap().unwrap()["hits"], Field::Counter(-2));
}

/// S4: after a lost view, what was staged or skipped must fit the new one.
#[test]
fn s4_ranges_of_two_views_do_not_make_one() {
    let (s, r) = (Replica::new(0), Replica::new(1));
    for id in ["a", "b", "m", "n"] {
        s.notes().put(id, &fields([("x", Field::from(1))])).unwrap();
    }
    let first = s.store.view(NOTES).unwrap();
    let head = common::head_of(&first, NOTES, &s.store);
    common::stage(&r.store, NOTES, &first, &head, span("", Some("k")));
    s.notes().set("a", "x", 2).unwrap();
    s.notes().put("c", &fields([("x", Field::from(1))])).unwrap();
    s.notes().delete("b").unwrap();
    let s = s.after_power_cut(None);
    let second = s.store.view(NOTES).unwrap();
    let head = common::head_of(&second, NOTES, &s.store);
    common::stage(&r.store, NOTES, &second, &head, span("k", None));
    assert!(!r.store.join(NOTES, &head, s.store.node_id()).unwrap(), "half of each view");
    assert!(r.notes().is_empty());
    let again = common::stage(&r.store, NOTES, &second, &head, Span::default());
    assert_eq!(again, 3, "only what the first view held otherwise");
    assert!(r.store.join(NOTES, &head, s.store.node_id()).unwrap());
    assert_same(&[&s, &r]);
}

/// S5: what is applied here while the rest travels is joined against the source's vector, not
/// taken for news.
#[test]
fn s5_a_deleted_document_that_comes_in_between_stays_deleted() {
    let (w, s, p, r) = (Replica::new(0), Replica::new(1), Replica::new(2), Replica::new(3));
    w.notes().put("d", &fields([("x", Field::from(1))])).unwrap();
    pull(&p, &w);
    pull(&s, &w);
    s.notes().delete("d").unwrap();
    s.notes().put("z", &fields([("x", Field::from(1))])).unwrap();
    let view = s.store.view(NOTES).unwrap();
    let head = common::head_of(&view, NOTES, &s.store);
    common::stage(&r.store, NOTES, &view, &head, span("", Some("k")));
    pull(&r, &p);
    assert_eq!(r.notes().len(), 1);
    common::stage(&r.store, NOTES, &view, &head, span("k", None));
    assert!(r.store.join(NOTES, &head, s.store.node_id()).unwrap());
    assert_same(&[&s, &r]);
    assert!(r.notes().get("d").unwrap().is_none());
}

/// S8: a vector that its origins have not signed is not believed.
#[test]
fn s8_a_snapshot_that_claims_what_nobody_signed_is_refused() {
    let (a, s) = (Replica::new(0), Replica::new(1));
    a.notes().put("n1", &fields([("x", Field::from(1))])).unwrap();
    pull(&s, &a);
    let view = s.store.view(NOTES).unwrap();
    let honest = common::head_of(&view, NOTES, &s.store);
    let scope = Scope { network: s.store.network(), collection: NOTES };
    let origin = Origin { node: a.store.node_id(), incarnation: 0 };
    let proof = honest.vector[&origin].proof;
    let hash = honest.vector[&origin].hash;
    let claim = |origin: Origin, seq: u64, proof: Proof| {
        let mut head = honest.clone();
        head.vector.insert(origin, Newest { seq, hash, proof });
        ViewHead::verify(&head.sign(scope, &s.key()), scope, &s.store.node_id())
    };
    assert!(claim(origin, 1, proof).is_ok());
    let other = Origin { incarnation: 5, ..origin };
    let forged = Proof { content: Hash([7; 32]), ..proof };
    for (origin, seq, proof) in
        [(origin, 1 << 63, proof), (origin, 2, proof), (other, 1, proof), (origin, 1, forged)]
    {
        let refused = claim(origin, seq, proof).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidTransaction, "{}", Dot { origin, seq });
    }
    // And only the one who serves it signs it.
    let refused = ViewHead::verify(view.head(), scope, &a.store.node_id()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidTransaction);
}
