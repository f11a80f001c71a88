//! Indexes: what they find is what is there, however the documents came there, and they are never
//! used before they are whole.

mod common;

use std::collections::BTreeSet;

use common::link::sync;
use common::{NOTES, Replica, Rng, Small, each_seed, fields, join, meet, write_or_sync};
use littoral::query::{Direction, Filter, Operand, Order, Query, field, id};
use littoral::store::{LogBudget, VerifyOptions};
use littoral::{ErrorKind, Field, Path, Store, Transaction};

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

fn paths(list: &[&str]) -> Vec<Path> {
    list.iter().map(|text| path(text)).collect()
}

fn index(store: &Store, list: &[&str]) {
    store.create_index(NOTES, &paths(list)).unwrap();
    store.build_indexes(|_| true).unwrap();
    // What the thread in the background had begun, it ends.
    while store.indexes().iter().any(|index| !index.is_ready) {
        std::thread::yield_now();
    }
}

fn assert_sound(store: &Store) {
    let verified = store.verify(&VerifyOptions::default()).unwrap();
    assert!(verified.is_sound(), "{:#?}", verified.findings);
}

fn ids(store: &Store, query: &Query) -> Vec<String> {
    let page = store.collection(NOTES).unwrap().find(query).unwrap();
    page.documents.iter().map(|found| found.id().to_owned()).collect()
}

/// One edit of one of a few documents, of all kinds.
fn edit(txn: &mut Transaction, rng: &mut Rng) -> littoral::Result<()> {
    let id = format!("d{}", rng.below(12));
    let n = rng.below(5) as i64 - 2;
    match rng.below(10) {
        0 => txn.set(NOTES, &id, "x", n),
        1 => txn.set(NOTES, &id, "x", *rng.pick(&["", "a", "ab", "b"])),
        2 => txn.set(NOTES, &id, ("m", "y"), n as f64 + 0.5),
        3 => txn.add(NOTES, &id, "tags", n),
        4 => txn.remove(NOTES, &id, "tags", n).map(drop),
        5 => txn.unset(NOTES, &id, *rng.pick(&["x", "tags", "m"])).map(drop),
        6 => txn.delete(NOTES, &id).map(drop),
        7 => txn.increment(NOTES, &id, "hits", n),
        8 => txn.set(NOTES, &id, "tags", n),
        _ => txn.set(NOTES, &id, ("m", "y"), n),
    }
    // What has become of another kind is no mistake of this test.
    .or(Ok(()))
}

fn random_query(rng: &mut Rng) -> Query {
    let n = rng.below(5) as i64 - 2;
    let condition = |rng: &mut Rng| match rng.below(11) {
        0 => field("x").eq(n),
        1 => field("x").at_least(n),
        2 => field("x").less(n) & field("x").greater(n - 2),
        3 => field("x").starts_with("a"),
        4 => field("tags").contains(n),
        5 => field("hits").greater(n),
        6 => field(["m", "y"]).at_most(n as f64 + 0.5),
        7 => field("x").is_in([n, n + 1]),
        8 => !field("x").eq(n),
        9 => field("x").eq("") | field("tags").contains(n),
        _ => field("tags").eq(n),
    };
    let mut filter = Filter::all();
    for _ in 0..rng.below(3) {
        filter = filter & condition(rng);
    }
    let mut query = Query::new(filter);
    for _ in 0..rng.below(3) {
        let by = match rng.below(4) {
            0 => Operand::Id,
            1 => Operand::At("x".into()),
            2 => Operand::At("tags".into()),
            _ => Operand::At(["m", "y"].into()),
        };
        query = query.ordered(Order {
            by,
            direction: *rng.pick(&[Direction::Ascending, Direction::Descending]),
        });
    }
    query.siblings = rng.chance(20);
    query
}

/// All pages of a query.
fn paged(store: &Store, query: &Query, size: usize) -> Vec<String> {
    let notes = store.collection(NOTES).unwrap();
    let (mut found, mut query) = (Vec::new(), query.clone().limit(size));
    loop {
        let page = notes.find(&query).unwrap();
        found.extend(page.documents.iter().map(|document| document.id().to_owned()));
        match page.next {
            Some(next) => query = query.after(next),
            None => return found,
        }
    }
}

/// A store with indexes and one that has the same documents and none find the same, whatever is
/// asked and however the documents came: written here, by peers, in conflict, by recovery.
#[test]
fn an_index_changes_nothing_but_the_time_it_takes() {
    each_seed("an_index_changes_nothing_but_the_time_it_takes", 15, |seed| {
        let mut rng = Rng::new(seed);
        let (mut a, others) = (Replica::new(1), [Replica::new(2), Replica::new(3)]);
        let mut used = BTreeSet::new();
        for round in 0..6 {
            for _ in 0..15 {
                let choice = rng.below(11);
                write_or_sync(choice, &mut rng, &a, &others, edit);
            }
            match round {
                1 => index(&a.store, &["/x"]),
                2 => index(&a.store, &["/tags", "/x"]),
                3 => index(&a.store, &["/x", "/m/y"]),
                _ => {}
            }
            if rng.chance(30) {
                a.store.flush().unwrap();
                a = a.after_power_cut(Some(seed));
                a.store.build_indexes(|_| true).unwrap();
            }
            drop(sync(&a.store, &others[0].store));
            // The other holds the same, and no index.
            let (bare, digests) = (&others[0].store, others[0].store.digests(NOTES).unwrap());
            assert_eq!(a.store.digests(NOTES).unwrap(), digests);
            for _ in 0..25 {
                let query = random_query(&mut rng);
                let what = format!("{} by {:?}", query.filter, query.order);
                let expected = ids(bare, &query);
                assert_eq!(ids(&a.store, &query), expected, "{what}");
                let size = 1 + rng.below(4);
                assert_eq!(paged(&a.store, &query, size), expected, "{what}, in pages of {size}");
                let count = a.notes().count(&query.filter).unwrap();
                assert!(query.siblings || count == expected.len() as u64, "{what}");
                let page = a.notes().find(&query.limit(size)).unwrap();
                used.extend(page.index.map(|index| (index, page.in_order)));
            }
            assert_sound(&a.store);
        }
        assert!(used.len() >= 3, "indexes are used: {used:?}");
    });
}

#[test]
fn no_more_documents_are_read_than_are_meant() {
    let a = Replica::new(1);
    for n in 0..200i64 {
        let content = fields([
            ("n", n.into()),
            ("kind", (if n % 10 == 0 { "rare" } else { "usual" }).into()),
            ("tags", Field::set([format!("t{}", n % 50), "all".to_owned()])),
        ]);
        a.notes().put(&format!("d{n:03}"), &content).unwrap();
    }
    index(&a.store, &["/n"]);
    index(&a.store, &["/kind", "/n"]);
    index(&a.store, &["/tags"]);
    let looked = |query: &Query| {
        let page = a.notes().find(query).unwrap();
        (page.documents.len(), page.examined, page.in_order, page.index.map(|paths| paths.len()))
    };
    let rare = field("kind").eq("rare");
    assert_eq!(looked(&Query::new(field("n").eq(7))), (1, 1, true, Some(1)));
    assert_eq!(looked(&Query::new(field("n").greater(195))), (4, 4, false, Some(1)));
    assert_eq!(looked(&Query::new(field("n").eq(7.0))), (1, 1, true, Some(1)));
    assert_eq!(looked(&Query::new(field("n").at_least(190))), (10, 10, false, Some(1)));
    assert_eq!(
        looked(&Query::new(field("n").at_least(100)).descending("n").limit(5)),
        (5, 6, true, Some(1))
    );
    assert_eq!(looked(&Query::default().ascending("n").limit(5)), (5, 6, true, Some(1)));
    assert_eq!(looked(&Query::new(rare.clone()).ascending("n").limit(3)), (3, 4, true, Some(2)));
    assert_eq!(
        looked(&Query::new(rare.clone() & field("n").less(50)).descending("n")),
        (5, 5, true, Some(2))
    );
    assert_eq!(looked(&Query::new(field("tags").contains("t7"))), (4, 4, true, Some(1)));
    assert_eq!(
        looked(&Query::new(field("kind").is_in(["rare", "none"]))),
        (20, 20, false, Some(2))
    );
    assert_eq!(looked(&Query::new(id().eq("d007") & rare)), (0, 1, true, None));
    assert_eq!(looked(&Query::new(field("other").eq(1))), (0, 200, true, None));
    // The whole of a page, from where it goes on.
    let query = Query::default().descending("n").limit(5);
    let next = a.notes().find(&query).unwrap().next.unwrap();
    assert_eq!(looked(&query.after(next)), (5, 6, true, Some(1)));
}

#[test]
fn an_index_is_built_beside_writers_and_goes_on_after_a_crash() {
    each_seed("an_index_is_built_beside_writers_and_goes_on_after_a_crash", 8, |seed| {
        let mut rng = Rng::new(seed);
        let mut a = Replica::new(1);
        for n in 0..1500i64 {
            a.store.write_deferred(|txn| txn.set(NOTES, &format!("d{n:04}"), "x", n)).unwrap();
        }
        a.store.create_index(NOTES, &paths(&["/x"])).unwrap();
        assert!(!a.store.create_index(NOTES, &paths(&["/x"])).unwrap(), "it is there");
        for _ in 0..40 {
            let id = format!("d{:04}", rng.below(1600));
            match rng.chance(30) {
                true => drop(a.notes().delete(&id).unwrap()),
                false => a.notes().set(&id, "x", rng.below(9) as i64).unwrap(),
            }
            // Used or not, the answer is the same.
            let found = ids(&a.store, &Query::new(field("x").less(9)));
            let all = ids(&a.store, &Query::default());
            let expected: Vec<String> = all
                .into_iter()
                .filter(|id| {
                    let x = a.notes().get(id).unwrap().unwrap()["x"].as_value().unwrap().as_i64();
                    x.unwrap() < 9
                })
                .collect();
            assert_eq!(found, expected);
            if rng.chance(5) {
                a = a.after_power_cut(Some(seed));
            }
            if rng.chance(50) {
                a.store.build_indexes(|_| false).unwrap();
            }
        }
        a.store.build_indexes(|_| true).unwrap();
        while a.store.indexes().iter().any(|index| !index.is_ready) {
            std::thread::yield_now();
        }
        let status = &a.store.indexes()[0];
        assert_eq!((status.built, status.paths.len()), (a.notes().len(), 1));
        assert_sound(&a.store);
    });
}

#[test]
fn a_dropped_index_leaves_nothing() {
    let a = Replica::new(1);
    a.notes().set("n", "x", 1).unwrap();
    index(&a.store, &["/x"]);
    assert!(a.store.drop_index(NOTES, &paths(&["/x"])).unwrap());
    assert!(!a.store.drop_index(NOTES, &paths(&["/x"])).unwrap());
    assert!(a.store.indexes().is_empty());
    a.notes().set("n", "x", 2).unwrap();
    assert_sound(&a.store);
    index(&a.store, &["/x"]);
    assert_eq!(ids(&a.store, &Query::new(field("x").eq(2))), ["n"]);
    assert_sound(&a.store.clone());
    let again = a.after_power_cut(None);
    assert_eq!(again.store.indexes().len(), 1);
}

#[test]
fn snapshots_and_leaving_keep_indexes_in_step() {
    let small =
        Small { segment_bytes: 4 << 10, budget: LogBudget { bytes: 16 << 10, age_ms: u64::MAX } };
    let (a, b) = (Replica::small(1, small), Replica::new(2));
    index(&b.store, &["/x"]);
    for n in 0..300i64 {
        a.notes().set(&format!("d{n}"), "x", n % 7).unwrap();
    }
    b.notes().set("d1", "x", 99).unwrap();
    join(&b.store, &a.store, NOTES);
    let found = ids(&b.store, &Query::new(field("x").eq(3)));
    assert_eq!(found, ids(&a.store, &Query::new(field("x").eq(3))));
    assert_sound(&b.store);
    b.store.leave(NOTES).unwrap();
    assert_sound(&b.store);
    assert!(ids(&b.store, &Query::new(field("x").eq(3))).is_empty());
    b.notes().set("new", "x", 3).unwrap();
    b.store.build_indexes(|_| true).unwrap();
    assert_eq!(ids(&b.store, &Query::new(field("x").eq(3))), ["new"]);
    assert_sound(&b.store);
}

#[test]
fn what_is_held_back_is_not_looked_up_in_the_state() {
    let a = Replica::new(1);
    let b = Replica::new(2);
    a.notes().set("n", "x", 1).unwrap();
    index(&a.store, &["/x"]);
    a.store.checkpoint("before").unwrap();
    b.notes().set("n", "x", 5).unwrap();
    b.notes().set("m", "x", 1).unwrap();
    meet(&[&a, &b]);
    a.store.rollback_hold("before", None).unwrap();
    assert_eq!(ids(&a.store, &Query::new(field("x").eq(1))), ["n"]);
    a.notes().set("o", "x", 1).unwrap();
    assert_eq!(ids(&a.store, &Query::new(field("x").eq(1))), ["n", "o"]);
    assert_sound(&a.store);
    a.store.resume(None).unwrap();
    meet(&[&a, &b]);
    let query = Query::new(field("x").eq(1));
    assert_eq!(ids(&a.store, &query), ids(&b.store, &query));
    assert_sound(&a.store);
}

#[test]
fn what_cannot_be_an_index_is_refused() {
    let a = Replica::new(1);
    let refused = |list: &[Path]| a.store.create_index(NOTES, list).unwrap_err().kind();
    assert_eq!(refused(&[]), ErrorKind::InvalidInput);
    assert_eq!(refused(&[Path::root()]), ErrorKind::InvalidInput);
    assert_eq!(refused(&paths(&["/x", "/x"])), ErrorKind::InvalidInput);
    let many: Vec<Path> = (0..9).map(|n| Path::from(format!("p{n}"))).collect();
    assert_eq!(refused(&many), ErrorKind::LimitExceeded);
    for n in 0..64 {
        a.store.create_index(NOTES, &[Path::from(format!("p{n}"))]).unwrap();
    }
    assert_eq!(refused(&paths(&["/one-more"])), ErrorKind::LimitExceeded);
}
