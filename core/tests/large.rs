//! Large documents: an edit and the read of a field cost what they touch, counted in rows and
//! bytes, not in time.

mod common;

use std::collections::BTreeSet;

use common::{NOTES, Replica, Rng, assert_same, fields, meet, pull};
use littoral::store::RowCounts;
use littoral::{Field, Fields, Result, Store, Value};

const ELEMENTS: u64 = 100_000;
const KEYS: u64 = 50_000;

fn element(n: u64) -> Value {
    Value::from(format!("element {n}"))
}

/// What `work` reads and writes.
fn cost<T>(store: &Store, work: impl FnOnce() -> Result<T>) -> (T, RowCounts) {
    let before = store.row_counts();
    let result = work().unwrap();
    let after = store.row_counts();
    let counts = RowCounts {
        read: after.read - before.read,
        written: after.written - before.written,
        bytes_written: after.bytes_written - before.bytes_written,
    };
    (result, counts)
}

#[test]
fn an_edit_of_a_set_of_100_000_elements_rewrites_one_run_of_it() {
    let replica = Replica::new(1);
    let (store, notes) = (&replica.store, replica.notes());
    let all: BTreeSet<Value> = (0..ELEMENTS).map(element).collect();
    notes.put("n", &fields([("title", Field::from("all")), ("tags", Field::Set(all))])).unwrap();
    let mut rng = Rng::new(7);
    let mut written = 0;
    for round in 0..100 {
        let n = rng.below(ELEMENTS as usize) as u64;
        let new = Value::from(format!("element {n} of {round}"));
        let (_, add) = cost(store, || notes.add("n", "tags", new.clone()));
        let (there, has) = cost(store, || notes.has("n", "tags", new.clone()));
        let (gone, remove) = cost(store, || notes.remove("n", "tags", new.clone()));
        let (left, _) = cost(store, || notes.has("n", "tags", new.clone()));
        assert!(there && gone && !left);
        for counts in [add, remove] {
            // The head, the run, and the one that it is cut from or joined to.
            assert!(counts.written <= 3, "{counts:?}");
            assert!(counts.read <= 12, "{counts:?}");
            written += counts.bytes_written;
        }
        assert!(has.read <= 6 && has.written == 0, "{has:?}");
    }
    assert!(written / 200 < 8 << 10, "{} bytes an edit", written / 200);
    let (_, title) = cost(store, || notes.set("n", "title", "still all"));
    assert!(title.read <= 6 && title.written <= 2, "{title:?}");
    let (field, title) = cost(store, || notes.get_field("n", "title"));
    assert_eq!(field, Some(Field::from("still all")));
    assert!(title.read <= 4, "{title:?}");
    let (_, count) = cost(store, || notes.increment("n", "views", 2));
    assert!(count.read <= 8 && count.written <= 3, "{count:?}");
    store.check_rows().unwrap();

    // What is removed is paid for, once, and nothing is left.
    assert!(notes.delete("n").unwrap());
    store.check_rows().unwrap();
    assert_eq!(notes.get("n").unwrap(), None);
    assert_eq!(notes.len(), 0);
}

#[test]
fn a_field_of_a_map_of_50_000_is_read_and_written_without_the_others() {
    let replica = Replica::new(1);
    let (store, notes) = (&replica.store, replica.notes());
    let map: Fields = (0..KEYS).map(|n| (format!("k{n}"), Field::from(n))).collect();
    notes.put("n", &fields([("by", Field::Map(map))])).unwrap();
    let mut rng = Rng::new(8);
    for _ in 0..100 {
        let n = rng.below(KEYS as usize) as u64;
        let path = ("by", format!("k{n}"));
        let path = littoral::Path::from([path.0, &path.1]);
        let (field, read) = cost(store, || notes.get_field("n", path.clone()));
        assert_eq!(field, Some(Field::from(n)));
        assert!(read.read <= 5, "{read:?}");
        let (_, set) = cost(store, || notes.set("n", path.clone(), n));
        assert_eq!(set.written, 0, "nothing changed");
        let (_, set) = cost(store, || notes.set("n", path.clone(), "new"));
        assert!(set.read <= 8 && set.written <= 3, "{set:?}");
        let inner =
            Fields::from([(format!("k{n}"), Field::from(n)), ("new".to_owned(), Field::from(n))]);
        let outer = fields([("by", Field::Map(inner))]);
        let (_, merge) = cost(store, || notes.merge("n", &outer));
        assert!(merge.read <= 14 && merge.written <= 5, "{merge:?}");
        let (there, unset) = cost(store, || notes.unset("n", ["by", "new"]));
        assert!(there && unset.read <= 8 && unset.written <= 3, "{unset:?}");
    }
    store.check_rows().unwrap();
}

#[test]
fn a_transaction_of_100_000_edits_of_one_document_is_applied_at_once() {
    let replica = Replica::new(1);
    let notes = replica.notes();
    replica
        .store
        .write(|txn| {
            (0..ELEMENTS).try_for_each(|n| txn.add(NOTES, "n", "tags", element(n * 7 % ELEMENTS)))
        })
        .unwrap();
    let all: BTreeSet<Value> = (0..ELEMENTS).map(element).collect();
    assert_eq!(notes.get_field("n", "tags").unwrap(), Some(Field::Set(all)));
    replica.store.check_rows().unwrap();
}

#[test]
fn a_document_that_grows_and_shrinks_is_the_same_everywhere_in_any_order() {
    common::each_seed("large", 3, |seed| {
        let mut rng = Rng::new(seed);
        let replicas = [Replica::new(1), Replica::new(2), Replica::new(3)];
        for round in 0..60 {
            let replica = &replicas[rng.below(3)];
            let notes = replica.notes();
            let word = |rng: &mut Rng| format!("{} {}", "w".repeat(rng.below(40)), rng.below(400));
            match rng.below(10) {
                0..=3 => {
                    let words: Vec<String> = (0..rng.below(200)).map(|_| word(&mut rng)).collect();
                    let add = |txn: &mut littoral::Transaction| {
                        words.iter().try_for_each(|word| txn.add(NOTES, "n", "tags", word.clone()))
                    };
                    replica.store.write(add).unwrap();
                }
                4 => {
                    let long = "x".repeat(rng.below(30_000));
                    notes.set("n", ["map", &word(&mut rng)], long).unwrap();
                }
                5 => notes.increment("n", ["counts", &word(&mut rng)], 1).unwrap(),
                6 => drop(notes.unset("n", *rng.pick(&["map", "tags", "counts"])).unwrap()),
                7 if round % 3 == 0 => drop(notes.delete("n").unwrap()),
                8 => {
                    let from = &replicas[rng.below(3)];
                    if !std::ptr::eq(from, replica) {
                        pull(replica, from);
                    }
                }
                _ => {
                    let mut document = notes.get("n").unwrap();
                    if let Some(document) = &mut document {
                        document.fields_mut().insert("title", Field::from(round as i64));
                        notes.put("n", &*document).unwrap();
                    }
                }
            }
            replica.store.check_rows().unwrap();
        }
        meet(&[&replicas[0], &replicas[1], &replicas[2]]);
        assert_same(&[&replicas[0], &replicas[1], &replicas[2]]);
    });
}

#[test]
fn a_large_document_survives_loss_of_power() {
    let mut replica = Replica::new(1);
    let notes = replica.notes();
    let all: BTreeSet<Value> = (0..2000).map(element).collect();
    notes.put("n", &fields([("tags", Field::Set(all))])).unwrap();
    for round in 0..12 {
        for n in 0..50 {
            let notes = replica.notes();
            notes.add("n", "tags", format!("{n} of {round}")).unwrap();
            notes.remove("n", "tags", element(round * 50 + n)).unwrap();
        }
        replica = replica.after_power_cut(Some(round));
        replica.store.check_rows().unwrap();
        let tags = replica.notes().get_field("n", "tags").unwrap();
        assert_eq!(tags.unwrap().as_set().unwrap().len(), 2000);
    }
}
