//! The store as an app uses it: one device, one directory.

use std::time::Duration;

use littoral::{ErrorKind, Field, Fields, Position, ScanRange, Store, Value};

fn fields<const N: usize>(entries: [(&str, Field); N]) -> Fields {
    entries.into_iter().map(|(name, field)| (name.to_owned(), field)).collect()
}

#[test]
fn documents_come_back_as_they_were_put_also_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let note = fields([
        ("title", Field::from("Low tide")),
        ("tags", Field::set(["sea", "moon"])),
        ("views", Field::Counter(3)),
        ("place", Field::map([("lat", 32.5)])),
        ("list", Field::from(vec![Value::from(1i64), Value::from("x")])),
    ]);
    {
        let store = Store::open(dir.path()).unwrap();
        let notes = store.collection("notes").unwrap();
        notes.put("n1", &note).unwrap();
        assert_eq!(notes.get("n1").unwrap().unwrap().fields(), &note);
        assert_eq!(notes.len(), 1);
    }
    let store = Store::open(dir.path()).unwrap();
    let notes = store.collection("notes").unwrap();
    assert_eq!(notes.get("n1").unwrap().unwrap().fields(), &note);
    assert_eq!(notes.len(), 1);
    assert!(notes.delete("n1").unwrap());
    assert!(!notes.delete("n1").unwrap());
    assert_eq!(notes.get("n1").unwrap(), None);
    assert_eq!(notes.len(), 0);
}

#[test]
fn a_failed_write_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let failed = store.write(|txn| {
        txn.put("notes", "a", &fields([("x", Field::from(1i64))]))?;
        txn.set("notes", "b", "y", f64::NAN)
    });
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::InvalidInput);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        store.write(|txn| -> littoral::Result<()> {
            txn.put("notes", "a", &fields([("x", Field::from(1i64))]))?;
            panic!("in the closure")
        })
    }));
    assert!(panicked.is_err());
    assert!(store.collections().is_empty());
    store.collection("notes").unwrap().put("a", &fields([("x", Field::from(2i64))])).unwrap();
    assert_eq!(store.collection("notes").unwrap().len(), 1);
}

#[test]
fn a_commit_in_two_steps_lets_the_next_write_begin_and_keeps_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let notes = store.collection("notes").unwrap();
    let one = |n: i64| fields([("n", Field::from(n))]);
    let mut first = store.begin().unwrap();
    first.put("notes", "a", &one(1)).unwrap();
    let first = first.commit_begun().unwrap();
    // It is built over what is in line, which nobody else is shown.
    let mut second = store.begin_within(Duration::ZERO).unwrap();
    second.edit("notes", "a", |found| Ok(found.insert("m", Field::from(2i64)))).unwrap();
    assert!(second.get("notes", "a").unwrap().unwrap().fields().contains_key("n"));
    assert_eq!(notes.get("a").unwrap(), None);
    let second = second.commit_begun().unwrap();
    second.wait().unwrap();
    let both = fields([("n", Field::from(1i64)), ("m", Field::from(2i64))]);
    assert_eq!(notes.get("a").unwrap().unwrap().fields(), &both);
    first.wait().unwrap();
    // Nothing was written: nothing is waited for.
    store.begin().unwrap().commit_begun().unwrap().wait().unwrap();
    // One that nobody waits for goes with the next, or, when there is none, is lost as a whole.
    let mut third = store.begin().unwrap();
    third.put("notes", "b", &one(3)).unwrap();
    drop(third.commit_begun().unwrap());
    notes.put("c", &one(4)).unwrap();
    assert_eq!(notes.len(), 3);
    let mut fourth = store.begin().unwrap();
    fourth.put("notes", "d", &one(5)).unwrap();
    let fourth = fourth.commit_begun().unwrap();
    store.close().unwrap();
    assert_eq!(fourth.wait().unwrap_err().kind(), ErrorKind::Closed);
    drop((notes, store));
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.collection("notes").unwrap().len(), 3);
}

#[test]
fn many_writers_share_syncs_and_none_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let notes = store.collection("notes").unwrap();
            scope.spawn(move || {
                for n in 0..50 {
                    notes
                        .put(&format!("{thread}-{n}"), &fields([("n", Field::from(i64::from(n)))]))
                        .unwrap();
                    notes.increment("sum", "total", 1).unwrap();
                    notes
                        .edit("log", |fields| {
                            let next =
                                fields.get("n").and_then(|f| f.as_value()).and_then(Value::as_i64);
                            fields.insert("n", Field::from(next.unwrap_or(0) + 1));
                            Ok(())
                        })
                        .unwrap();
                }
            });
        }
    });
    let notes = store.collection("notes").unwrap();
    assert_eq!(notes.len(), 802);
    assert_eq!(notes.get_field("sum", "total").unwrap(), Some(Field::Counter(800)));
    assert_eq!(notes.get_field("log", "n").unwrap(), Some(Field::from(800i64)));
    assert!(store.conflicts().unwrap().is_empty());
    let stats = store.stats().unwrap();
    assert!(stats.log_syncs < stats.collections[0].transactions / 2, "{stats:?}");
    let shown = store.digests("notes").unwrap();
    drop((notes, store));
    assert_eq!(Store::open(dir.path()).unwrap().digests("notes").unwrap(), shown);
}

#[test]
fn scans_are_ordered_and_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store
        .write(|txn| {
            for id in ["a", "ab", "abc", "b", "ba", "c"] {
                txn.put("notes", id, &fields([("x", Field::from(1i64))]))?;
            }
            txn.put("others", "zz", &fields([("x", Field::from(1i64))]))
        })
        .unwrap();
    let notes = store.collection("notes").unwrap();
    let ids = |range: ScanRange| -> Vec<String> {
        notes.scan(&range).unwrap().map(|doc| doc.unwrap().id().to_owned()).collect()
    };
    let all = ScanRange::default();
    assert_eq!(ids(all.clone()), ["a", "ab", "abc", "b", "ba", "c"]);
    assert_eq!(ids(ScanRange { reverse: true, limit: Some(2), ..all.clone() }), ["c", "ba"]);
    assert_eq!(ids(ScanRange { prefix: "ab".into(), ..all.clone() }), ["ab", "abc"]);
    assert_eq!(
        ids(ScanRange { after: Some("ab".into()), end: Some("ba".into()), ..all.clone() }),
        ["abc", "b"]
    );
    assert_eq!(ids(ScanRange { start: Some("ab".into()), limit: Some(1), ..all.clone() }), ["ab"]);
    assert_eq!(ids(ScanRange { start: Some("x".into()), ..all.clone() }), [""; 0]);
    assert_eq!(ids(ScanRange { start: Some("x".into()), end: Some("a".into()), ..all }), [""; 0]);
}

#[test]
fn changes_resume_where_they_were_left() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let notes = store.collection("notes").unwrap();
    let mut live = store.changes(None);
    notes.put("a", &fields([("x", Field::from(1i64))])).unwrap();
    notes.put("b", &fields([("x", Field::from(1i64))])).unwrap();
    let second = Duration::from_secs(10);
    let first = live.next(second).unwrap().unwrap();
    assert_eq!((&*first.collection, first.id.as_str(), first.local), ("notes", "a", true));
    let mut resumed = store.changes(Some(first.position));
    assert_eq!(resumed.next(second).unwrap().unwrap().id, "b");
    assert_eq!(resumed.next(Duration::ZERO).unwrap(), None);
    let mut all = store.changes(Some(Position::default()));
    assert_eq!(all.next(second).unwrap().unwrap().id, "a");
}

#[test]
fn l1_putting_back_what_was_read_undoes_nothing_that_came_in_between() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let notes = store.collection("notes").unwrap();
    notes.put("n", &fields([("a", Field::from("old")), ("tags", Field::set(["x", "y"]))])).unwrap();
    let mut read = notes.get("n").unwrap().unwrap();
    notes.set("n", "b", "new field").unwrap();
    notes.set("n", "a", "newer").unwrap();
    notes.add("n", "tags", "z").unwrap();
    read.fields_mut().insert("c", Field::from(true));
    read.fields_mut().insert("tags", Field::set(["x"]));
    let version = read.version();
    notes.put("n", &read).unwrap();
    let now = notes.get("n").unwrap().unwrap();
    let expected = fields([
        ("a", Field::from("newer")),
        ("b", Field::from("new field")),
        ("c", Field::from(true)),
        ("tags", Field::set(["x", "z"])),
    ]);
    assert_eq!(now.fields(), &expected);
    // The same through the opaque version.
    notes.put("n", (read.fields(), &version)).unwrap();
    assert_eq!(notes.get("n").unwrap().unwrap().fields(), &expected);
}

#[test]
fn t1_a_write_below_a_register_replaces_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let notes = store.collection("notes").unwrap();
    notes.set("n", "x", 1i64).unwrap();
    notes.set("n", ("x", "a"), 2i64).unwrap();
    assert!(notes.conflicts().unwrap().is_empty());
    notes.unset("n", ("x", "a")).unwrap();
    assert_eq!(notes.get_field("n", "x").unwrap(), Some(Field::Map(Fields::new())));
}

#[test]
fn s14_leaving_a_collection_never_reuses_a_dot() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let notes = store.collection("notes").unwrap();
    notes.set("n", "x", 1i64).unwrap();
    let first = store.changes(Some(Position::default())).next(Duration::ZERO).unwrap().unwrap().dot;
    assert!(store.leave("notes").unwrap());
    assert_eq!(notes.get("n").unwrap(), None);
    drop((notes, store));
    let store = Store::open(dir.path()).unwrap();
    assert!(store.collections().is_empty());
    let mut changes = store.changes(None);
    store.collection("notes").unwrap().set("n", "x", 2i64).unwrap();
    let again = changes.next(Duration::ZERO).unwrap().unwrap().dot;
    assert_ne!(first, again);
    assert_eq!(first.origin.node, again.origin.node);
}

#[test]
fn a_store_is_open_once_and_other_directories_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(Store::open(dir.path()).unwrap_err().kind(), ErrorKind::Locked);
    store.close().unwrap();
    let notes = store.collection("notes").unwrap();
    assert_eq!(notes.get("n").unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(notes.set("n", "x", 1i64).unwrap_err().kind(), ErrorKind::Closed);
    // A closed store gives the directory up, also while clones of it are about.
    Store::open(dir.path()).unwrap();
    drop((notes, store));

    let other = tempfile::tempdir().unwrap();
    std::fs::write(other.path().join("holiday.jpg"), "x").unwrap();
    assert_eq!(Store::open(other.path()).unwrap_err().kind(), ErrorKind::NotAStore);
    let file = other.path().join("holiday.jpg");
    assert_eq!(Store::open(file).unwrap_err().kind(), ErrorKind::NotAStore);
    std::fs::write(dir.path().join("littoral.store"), "littoral store, format 9\n").unwrap();
    assert_eq!(Store::open(dir.path()).unwrap_err().kind(), ErrorKind::FormatTooNew);
}

#[test]
fn an_unknown_collection_is_named_with_those_there_are() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.collection("notes").unwrap().set("n", "x", 1i64).unwrap();
    let err = store.existing_collection("nots").unwrap_err();
    assert_eq!(err.kind(), ErrorKind::UnknownCollection);
    assert!(err.message().contains("notes"), "{err}");
}
