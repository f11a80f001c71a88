//! Rows that were damaged without their checksum noticing, and a disk that dies while they are
//! mended.

use super::super::former::{former_key, split_key};
use super::*;
use crate::clock::WallClock;
use crate::crdt::Layout;
use crate::store::Options;
use crate::store::disk::MemDisk;
use crate::store::tables::{Definition, HeadRow};
use crate::txn::NodeKey;
use crate::value::{Field, Value};

const NOTES: &str = "notes";

#[derive(Debug)]
struct Noon;

impl WallClock for Noon {
    fn now_ms(&self) -> u64 {
        1_795_348_800_000
    }
}

fn open(disk: &Arc<MemDisk>) -> Store {
    let options = Options::new().key(NodeKey::from_seed([7; 32])).wall_clock(Arc::new(Noon));
    let layout = Layout { row_bytes: 400, run_bytes: 150 };
    options.cache_bytes(1 << 20).layout(layout).open_on(disk.clone()).unwrap()
}

/// A store whose documents were changed after the checkpoint "L": some twice, one is new, one is
/// gone, one is large, one has a counter that was reset, one is in no change.
fn written(disk: &Arc<MemDisk>) -> Store {
    let store = open(disk);
    let notes = store.collection(NOTES).unwrap();
    for n in 0..6i64 {
        notes.set(&format!("n{n}"), "x", n).unwrap();
    }
    notes.increment("n4", "hits", 3).unwrap();
    let element = |n: i64| format!("{n} {}", "long ".repeat(20));
    store
        .write(|txn| (0..20).try_for_each(|n| txn.add(NOTES, "big", "tags", element(n)).map(drop)))
        .unwrap();
    store.checkpoint("L").unwrap();
    for n in 0..3i64 {
        notes.set(&format!("n{n}"), "x", 10 + n).unwrap();
    }
    notes.set("n0", "y", 1i64).unwrap();
    notes.delete("n3").unwrap();
    notes.set("n4", "y", 4i64).unwrap();
    notes.set("n9", "x", 9i64).unwrap();
    store.write(|txn| txn.add(NOTES, "big", "tags", element(30)).map(drop)).unwrap();
    store.collection("later").unwrap().set("m", "x", 1i64).unwrap();
    store.flush().unwrap();
    store
}

/// Changes the rows behind the store's back.
fn damage(store: &Store, definition: Definition, change: impl Fn(&[u8], &[u8]) -> Option<Vec<u8>>) {
    let inner = &store.inner;
    inner
        .commit_beside(|txn| {
            let mut table = txn.open_table(definition).map_err(db)?;
            let rows: Vec<_> = table
                .iter()
                .map_err(db)?
                .map(|entry| entry.map(|(k, v)| (k.value().to_vec(), v.value().to_vec())))
                .collect::<Result<_, _>>()
                .map_err(db)?;
            for (key, row) in rows {
                match change(&key, &row) {
                    Some(row) => set(&mut table, &key, &row)?,
                    None => unset(&mut table, &key)?,
                }
            }
            Ok(())
        })
        .unwrap();
}

fn is(key: &[u8], id: &str) -> bool {
    tables::document_id(key).is_ok_and(|known| known == id)
}

fn replay(store: &Store) -> Result<Replay> {
    store.rollback_replay("L", &ReplayOptions::default())
}

/// The bytes of all tables that documents and what is beside them lie in.
fn bytes(store: &Store) -> Vec<(Vec<u8>, Vec<u8>)> {
    let read = store.inner.database().unwrap().begin_read().unwrap();
    let mut all = Vec::new();
    for definition in
        [tables::DOCUMENTS, tables::RUNS, tables::HEADS, tables::VECTORS, tables::CONFLICTS]
    {
        for entry in read.open_table(definition).unwrap().iter().unwrap() {
            let (key, row) = entry.unwrap();
            all.push((key.value().to_vec(), row.value().to_vec()));
        }
    }
    all
}

/// Damages of one document or a part of it.
type Damage = (&'static str, fn(&Store));

const DAMAGES: [Damage; 6] = [
    ("another document's row", |store| {
        let read = store.inner.database().unwrap().begin_read().unwrap();
        let number = store.inner.read_heads().named(NOTES).unwrap().number;
        let key = tables::document_key(number, "n5");
        let other = tables::read(&read, tables::DOCUMENTS, &key).unwrap().unwrap();
        damage(store, tables::DOCUMENTS, |key, row| {
            Some(if is(key, "n1") { other.clone() } else { row.to_vec() })
        });
    }),
    ("what can't be read", |store| {
        damage(store, tables::DOCUMENTS, |key, row| {
            Some(if is(key, "n0") { vec![0xee; 9] } else { row.to_vec() })
        });
    }),
    ("a row that is gone", |store| {
        damage(store, tables::DOCUMENTS, |key, row| (!is(key, "n9")).then(|| row.to_vec()));
    }),
    ("a document of a collection that began later", |store| {
        damage(store, tables::DOCUMENTS, |key, row| (!is(key, "m")).then(|| row.to_vec()));
    }),
    ("a run that is gone", |store| {
        let last = std::cell::RefCell::new(Vec::new());
        damage(store, tables::RUNS, |key, row| {
            *last.borrow_mut() = key.to_vec();
            Some(row.to_vec())
        });
        damage(store, tables::RUNS, |key, row| (*key != **last.borrow()).then(|| row.to_vec()));
    }),
    ("a large document that is gone", |store| {
        damage(store, tables::DOCUMENTS, |key, row| (!is(key, "big")).then(|| row.to_vec()));
    }),
];

#[test]
fn documents_that_were_damaged_unnoticed_are_mended() {
    for (what, damage) in DAMAGES {
        let disk = Arc::new(MemDisk::new());
        let store = written(&disk);
        let right = bytes(&store);
        assert_eq!(replay(&store).unwrap().outcome, ReplayOutcome::Same, "{what}");
        assert_eq!(bytes(&store), right, "{what}");
        damage(&store);
        assert_ne!(bytes(&store), right, "{what}");
        let before = store.position();
        let replay = replay(&store).unwrap();
        assert_eq!(replay.outcome, ReplayOutcome::Mended(1), "{what}: {:?}", replay.collections);
        assert_eq!(replay.differences().unwrap().count(), 1, "{what}");
        assert_eq!(bytes(&store), right, "{what}");
        assert_eq!(store.position(), before, "no record of the log says anything of it");
        store.check_rows().unwrap();
        let verified = store.verify(&Default::default()).unwrap();
        assert!(verified.is_sound(), "{what}: {:?}", verified.findings);
        assert_eq!(self::replay(&store).unwrap().outcome, ReplayOutcome::Same, "{what}");
        store.collection(NOTES).unwrap().set("n1", "x", 77i64).unwrap();
        store.close().unwrap();
        let store = open(&disk);
        store.check_rows().unwrap();
        let shown = store.collection(NOTES).unwrap().get_field("n1", "x").unwrap();
        assert_eq!(shown, Some(Field::Value(Value::from(77i64))));
    }
}

#[test]
fn what_was_kept_is_not_believed_against_the_digest() {
    let store = written(&Arc::new(MemDisk::new()));
    let right = bytes(&store);
    // What was kept of n4 is what was kept of n2: so the replay gives another n4, with the field
    // that it got since. The digest is of whole rows: it tells.
    let kept = std::cell::RefCell::new(Vec::new());
    let of = |key: &[u8], id: &str| {
        split_key(key).is_ok_and(|(part, row, _)| part == Part::Documents && is(&row, id))
    };
    damage(&store, tables::FORMER, |key, row| {
        if of(key, "n2") {
            *kept.borrow_mut() = row.to_vec();
        }
        Some(row.to_vec())
    });
    damage(&store, tables::FORMER, |key, row| {
        Some(if of(key, "n4") { kept.borrow().clone() } else { row.to_vec() })
    });
    let replay = replay(&store).unwrap();
    assert_eq!(replay.outcome, ReplayOutcome::Differs);
    let found: Vec<_> = replay.differences().unwrap().map(Result::unwrap).collect();
    assert_eq!(found.len(), 1);
    let field =
        |fields: &Option<crate::Fields>, name: &str| fields.as_ref().unwrap().get(name).cloned();
    assert_eq!(found[0].id, "n4");
    assert_eq!(field(&found[0].before, "y"), field(&found[0].after, "y"));
    assert_ne!(field(&found[0].before, "x"), field(&found[0].after, "x"));
    assert!(replay.collections.iter().any(|known| !known.is_alike()));
    assert_eq!(bytes(&store), right, "the store stays as it was");
}

#[test]
fn a_right_document_is_not_replaced_by_one_that_the_digest_does_not_prove() {
    let store = written(&Arc::new(MemDisk::new()));
    let right = bytes(&store);
    let number = store.inner.read_heads().named(NOTES).unwrap().number;
    let read = store.inner.database().unwrap().begin_read().unwrap();
    let key = tables::document_key(number, "n0");
    let other = tables::read(&read, tables::DOCUMENTS, &key).unwrap().unwrap();
    // Something was kept of n5, which never changed: replaying it changes nothing either, so that
    // all that is said of the collection is the same.
    let stray = former_key(Part::Documents, &tables::document_key(number, "n5"), 1);
    let row = [&[1][..], &other].concat();
    store
        .inner
        .commit_beside(|txn| set(&mut txn.open_table(tables::FORMER).map_err(db)?, &stray, &row))
        .unwrap();
    let replay = replay(&store).unwrap();
    assert!(replay.collections.iter().all(ReplayedCollection::is_alike));
    assert_eq!(replay.outcome, ReplayOutcome::Differs);
    let found: Vec<_> = replay.differences().unwrap().map(Result::unwrap).collect();
    assert_eq!(found.iter().map(|found| &found.id[..]).collect::<Vec<_>>(), ["n5"]);
    assert_eq!(bytes(&store), right, "the store stays as it was");
}

#[test]
fn what_a_large_document_says_of_itself_has_to_be_right_too() {
    let store = written(&Arc::new(MemDisk::new()));
    let right = bytes(&store);
    let is_big = |key: &[u8]| {
        split_key(key).is_ok_and(|(part, row, _)| part == Part::Documents && is(&row, "big"))
    };
    damage(&store, tables::FORMER, |key, row| {
        let mut row = row.to_vec();
        if is_big(key) {
            let mut head = documents::Head::decode(&row[1..]).unwrap().unwrap();
            head.size += 1;
            row = [&[1][..], &head.encode()].concat();
        }
        Some(row)
    });
    let replay = replay(&store).unwrap();
    assert!(replay.collections.iter().all(ReplayedCollection::is_alike));
    assert_eq!(replay.outcome, ReplayOutcome::Differs);
    assert_eq!(bytes(&store), right);
}

#[test]
fn a_state_that_is_not_what_the_log_gives_is_shown_and_left() {
    let store = written(&Arc::new(MemDisk::new()));
    damage(&store, tables::HEADS, |_, row| {
        let mut head = HeadRow::decode(row).unwrap();
        head.documents += 1;
        Some(head.encode())
    });
    damage(&store, tables::DOCUMENTS, |key, row| (!is(key, "n9")).then(|| row.to_vec()));
    let before = bytes(&store);
    let replay = replay(&store).unwrap();
    assert_eq!(replay.outcome, ReplayOutcome::Differs);
    let notes = replay.collections.iter().find(|known| known.name == NOTES).unwrap();
    assert!(!notes.is_alike());
    let documents = |sum: &Option<CollectionSum>| sum.as_ref().unwrap().documents;
    assert_eq!(documents(&notes.state), documents(&notes.replayed) + 1);
    assert_eq!(notes.differing, 1);
    assert_eq!(bytes(&store), before);
}

#[test]
fn writing_goes_on_meanwhile_and_a_damaged_document_that_is_written_is_left() {
    let store = written(&Arc::new(MemDisk::new()));
    let notes = store.collection(NOTES).unwrap();
    let (replay, heads) = store.replay("L", &ReplayOptions::default()).unwrap();
    notes.set("n1", "x", 100i64).unwrap();
    notes.set("new", "x", 100i64).unwrap();
    assert_eq!(replay.settle(&heads).unwrap(), ReplayOutcome::Same);

    damage(&store, tables::DOCUMENTS, |key, row| (!is(key, "n9")).then(|| row.to_vec()));
    let (replay, heads) = store.replay("L", &ReplayOptions::default()).unwrap();
    notes.set("n1", "x", 101i64).unwrap();
    assert_eq!(replay.settle(&heads).unwrap(), ReplayOutcome::Mended(1), "n1 is another document");
    store.check_rows().unwrap();

    damage(&store, tables::DOCUMENTS, |key, row| (!is(key, "n9")).then(|| row.to_vec()));
    let (replay, heads) = store.replay("L", &ReplayOptions::default()).unwrap();
    notes.set("n9", "y", 1i64).unwrap();
    let before = bytes(&store);
    assert_eq!(replay.settle(&heads).unwrap_err().kind(), ErrorKind::Aborted);
    assert_eq!(bytes(&store), before);

    damage(&store, tables::DOCUMENTS, |key, row| (!is(key, "m")).then(|| row.to_vec()));
    let (replay, heads) = store.replay("L", &ReplayOptions::default()).unwrap();
    store.leave("later").unwrap();
    let before = bytes(&store);
    if let Ok(outcome) = replay.settle(&heads) {
        assert_eq!(outcome, ReplayOutcome::Differs);
    }
    assert_eq!(bytes(&store), before, "nothing is written into a collection that was left");
}

#[test]
fn a_disk_that_dies_while_documents_are_mended_leaves_the_old_ones_or_the_new() {
    for calls in 0.. {
        let disk = Arc::new(MemDisk::new());
        let store = written(&disk);
        let right = bytes(&store);
        for (_, damage) in &DAMAGES[..5] {
            damage(&store);
        }
        let damaged = bytes(&store);
        disk.dead_after(calls);
        let mended = replay(&store).is_ok();
        drop(store);
        let disk = Arc::new(disk.power_cut(calls));
        let store = open(&disk);
        let found = bytes(&store);
        assert!(found == right || found == damaged && !mended, "after {calls} calls");
        let expected = match found == right {
            true => ReplayOutcome::Same,
            false => ReplayOutcome::Mended(5),
        };
        assert_eq!(replay(&store).unwrap().outcome, expected, "after {calls} calls");
        assert_eq!(bytes(&store), right);
        store.check_rows().unwrap();
        if mended {
            assert!(calls > 3, "{calls}");
            return;
        }
    }
}
