//! `verify`: a store that is sound is found so whatever has happened to it, and each kind of
//! damage is named. Looking changes nothing.

mod common;

use std::sync::Arc;

use common::{NOTES, Replica, Rng, Small, each_seed, fields, files, join, key, meet, pull};
use littoral::store::disk::{Disk, Freeze, MemDisk, RedbFile};
use littoral::store::{Level, LogBudget, Verified, VerifyOptions};
use littoral::{ErrorKind, Field, Options, Value};
use redb::{Database, ReadableTable, TableDefinition};

type Bytes = &'static [u8];
/// The code of a finding, and what brings it about.
type Case = (&'static str, fn(&MemDisk));
/// Verifies what lies on a disk, and holds that nothing of it was changed.
fn look(seed: u8, disk: &MemDisk) -> Verified {
    let before = files(disk);
    let options = Options::new().key(key(seed)).layout(common::layout());
    let verified = options.verify_on(Arc::new(disk.clone()), &VerifyOptions::default()).unwrap();
    assert!(files(disk) == before, "looking changed something");
    verified
}

fn assert_sound(seed: u8, replica: &Replica, what: &str) -> Verified {
    let open = replica.store.verify(&VerifyOptions::default()).unwrap();
    assert!(open.is_sound(), "{what}, open: {:#?}", open.findings);
    let cold = look(seed, &replica.disk.copy());
    assert!(cold.is_sound(), "{what}, cold: {:#?}", cold.findings);
    cold
}

fn edit(replica: &Replica, rng: &mut Rng) {
    let id = format!("d{}", rng.below(12));
    let notes = replica.notes();
    let done = match rng.below(9) {
        0 => notes
            .put(&id, &fields([("title", Field::from("low tide")), ("tags", Field::set(["a"]))])),
        1 => notes.set(&id, "title", rng.next() as i64),
        2 => notes.add(&id, "tags", rng.below(30) as i64),
        3 => notes.increment(&id, "views", rng.below(9) as i64),
        4 => notes.delete(&id).map(drop),
        5 => notes.set(&id, ("map", "inner"), "x".repeat(rng.below(300))),
        6 => notes.set(&id, "title", Value::Null),
        7 => replica.store.write(|txn| {
            (0..40).try_for_each(|n| txn.add(NOTES, "large", "set", format!("{id} {n}").as_str()))
        }),
        _ => replica.store.write(|txn| {
            txn.increment("counts", "edits", "all", 1)?;
            txn.set(NOTES, &id, "seen", true)
        }),
    };
    // A counter where there is text, and the like.
    let _ = done;
}

#[test]
fn a_store_is_sound_after_varied_edits_prunes_joins_forks_and_crashes() {
    each_seed("verify", 6, |seed| {
        let mut rng = Rng::new(seed);
        let budget = LogBudget { bytes: 6 << 10, ..LogBudget::UNLIMITED };
        let small = Small { segment_bytes: 2 << 10, budget };
        let mut replicas: Vec<Replica> = (0..3).map(|at| Replica::small(at, small)).collect();
        for replica in &replicas {
            for other in &replicas {
                replica.store.trust(other.store.node_id()).unwrap();
            }
        }
        for step in 0..200 {
            let at = rng.below(3);
            match rng.below(20) {
                0 => {
                    let cut = replicas[at].after_power_cut(Some(rng.next()));
                    replicas[at] = cut;
                }
                1 => {
                    // Goes on elsewhere: under another name.
                    let disk = replicas[at].disk.copy();
                    let moved = Replica::open(at as u8, disk, Some(small)).unwrap();
                    replicas[at] = moved;
                }
                2 => drop(replicas[at].store.prune().unwrap()),
                3 => drop(replicas[at].store.leave(NOTES).unwrap()),
                4 | 5 => {
                    let from = rng.below(3);
                    if from != at && replicas[from].store.collections().contains(&NOTES.to_owned())
                    {
                        join(&replicas[at].store, &replicas[from].store, NOTES);
                    }
                }
                6 => {
                    let from = (at + 1) % 3;
                    if replicas[from].store.floor(NOTES).unwrap().is_empty() {
                        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                            pull(&replicas[at], &replicas[from])
                        }));
                    }
                }
                _ => edit(&replicas[at], &mut rng),
            }
            if step % 25 == 24 {
                let _ = assert_sound(at as u8, &replicas[at], &format!("seed {seed} step {step}"));
            }
        }
        for (at, replica) in replicas.iter().enumerate() {
            let _ = assert_sound(at as u8, replica, &format!("seed {seed} at the end"));
        }
    });
}

#[test]
fn where_the_log_reaches_back_the_state_is_made_anew_from_it() {
    let (a, b) = (Replica::new(0), Replica::new(1));
    let mut rng = Rng::new(7);
    for _ in 0..60 {
        edit(&a, &mut rng);
        edit(&b, &mut rng);
    }
    meet(&[&a, &b]);
    let verified = assert_sound(0, &a, "whole history");
    assert_eq!(verified.rebuilt, 2);
    assert!(verified.transactions > 60 && verified.documents > 3 && verified.collections == 2);
}

#[test]
fn own_transactions_signed_again_are_no_damage() {
    // A copy writes on under the same name and meets the original's peer first.
    let (a, peer) = (Replica::new(0), Replica::new(1));
    a.notes().increment("n", "views", 3).unwrap();
    pull(&peer, &a);
    let backup = a.disk.copy();
    a.notes().set("n", "title", "original").unwrap();
    pull(&peer, &a);
    let options = Options::new().key(key(0)).moved(true).layout(common::layout());
    let copy = options.open_on(Arc::new(backup.clone())).unwrap();
    for n in 0..3i64 {
        copy.collection(NOTES).unwrap().increment("n", "views", n + 1).unwrap();
        copy.collection(NOTES).unwrap().set("m", "n", n).unwrap();
    }
    common::pull_in(&copy, &peer.store, NOTES);
    let open = copy.verify(&VerifyOptions::default()).unwrap();
    assert!(open.is_sound(), "{:#?}", open.findings);
    assert_eq!(open.rebuilt, 1);
    copy.close().unwrap();
    let cold = look(0, &backup);
    assert!(cold.is_sound(), "{:#?}", cold.findings);
}

// ---- planted damage

/// A store on disk with something of everything, closed.
fn patient() -> MemDisk {
    let budget = LogBudget::UNLIMITED;
    let small = Small { segment_bytes: 2 << 10, budget };
    let (a, b) = (Replica::small(0, small), Replica::small(1, small));
    for n in 0..40i64 {
        let doc =
            fields([("title", Field::from(format!("note {n}").as_str())), ("n", Field::from(n))]);
        a.notes().put(&format!("n{n:02}"), &doc).unwrap();
    }
    pull(&b, &a);
    a.notes().set("n07", "title", "here").unwrap();
    b.notes().set("n07", "title", "there").unwrap();
    a.store.write(|txn| (0..900i64).try_for_each(|n| txn.add(NOTES, "large", "set", n))).unwrap();
    a.notes().increment("n08", "views", 5).unwrap();
    meet(&[&a, &b]);
    a.notes().delete("n09").unwrap();
    let _ = assert_sound(0, &a, "before anything is planted");
    assert!(a.disk.list("log").unwrap().len() > 3);
    a.store.close().unwrap();
    a.disk
}

/// Changes rows of the state behind the store's back.
fn plant(
    disk: &MemDisk,
    table: &'static str,
    change: impl FnOnce(&mut redb::Table<'_, Bytes, Bytes>),
) {
    let file = RedbFile::new(disk.open("state.redb", false).unwrap(), Freeze::default());
    let database = Database::builder().create_with_backend(file).unwrap();
    let txn = database.begin_write().unwrap();
    let definition: TableDefinition<'static, Bytes, Bytes> = TableDefinition::new(table);
    change(&mut txn.open_table(definition).unwrap());
    txn.commit().unwrap();
}

fn first(
    table: &redb::Table<'_, Bytes, Bytes>,
    with: impl Fn(&[u8]) -> bool,
) -> (Vec<u8>, Vec<u8>) {
    let found = table.iter().unwrap().map(|entry| {
        let (key, value) = entry.unwrap();
        (key.value().to_vec(), value.value().to_vec())
    });
    found.into_iter().find(|(key, _)| with(key)).expect("there is one")
}

fn change_row(
    disk: &MemDisk,
    table: &'static str,
    with: impl Fn(&[u8]) -> bool,
    change: impl Fn(&mut Vec<u8>),
) {
    plant(disk, table, |table| {
        let (key, mut value) = first(table, with);
        change(&mut value);
        table.insert(&key[..], &value[..]).unwrap();
    });
}

fn remove_row(disk: &MemDisk, table: &'static str, with: impl Fn(&[u8]) -> bool) {
    plant(disk, table, |table| {
        let (key, _) = first(table, with);
        table.remove(&key[..]).unwrap();
    });
}

/// What verify finds has this code, and tells what to do.
fn assert_names(disk: &MemDisk, code: &str) {
    let verified = look(0, disk);
    let codes: Vec<&str> = verified.findings.iter().map(|finding| finding.code).collect();
    assert!(codes.contains(&code), "wanted {code}: {:#?}", verified.findings);
    assert!(!verified.is_sound());
    assert!(verified.findings.iter().all(|finding| !finding.advice.is_empty()));
}

fn ends_with(suffix: &'static str) -> impl Fn(&[u8]) -> bool {
    move |key| key.ends_with(suffix.as_bytes())
}

fn any(_: &[u8]) -> bool {
    true
}

#[test]
fn damage_to_documents_and_what_is_kept_beside_them_is_named() {
    let cases: &[Case] = &[
        // A deleted row: the digest, the count, and what the log gives.
        ("digest", |disk| remove_row(disk, "documents", ends_with("n03"))),
        ("count-documents", |disk| remove_row(disk, "documents", ends_with("n03"))),
        ("rebuild-document", |disk| remove_row(disk, "documents", ends_with("n03"))),
        // A row that says something else: one byte of its text.
        ("rebuild-document", |disk| {
            change_row(disk, "documents", ends_with("n04"), |row| {
                let at = row.windows(4).position(|part| part == b"note").unwrap();
                row[at] = b'N';
            });
        }),
        ("document-unreadable", |disk| {
            change_row(disk, "documents", ends_with("n05"), |row| row.truncate(9));
        }),
        ("flag-conflict", |disk| {
            change_row(disk, "documents", ends_with("n06"), |row| row[0] ^= 2)
        }),
        ("flag-shown", |disk| change_row(disk, "documents", ends_with("n06"), |row| row[0] ^= 1)),
        ("conflict-missing", |disk| remove_row(disk, "conflicts", any)),
        ("conflict-stray", |disk| {
            plant(disk, "conflicts", |table| {
                table.insert(&[&[0; 4][..], b"n10"].concat()[..], &[][..]).unwrap();
            });
        }),
        // Counts: documents, conflicts, transactions.
        ("count-documents", |disk| change_row(disk, "heads", any, |row| row[7] ^= 1)),
        ("count-conflicts", |disk| change_row(disk, "heads", any, |row| row[15] ^= 1)),
        ("count-transactions", |disk| change_row(disk, "heads", any, |row| row[23] ^= 1)),
        ("digest", |disk| change_row(disk, "heads", any, |row| row[100] ^= 1)),
        // A large document: a run gone, its head wrong, a run of nobody.
        ("layout", |disk| remove_row(disk, "runs", |key| key.len() > 11)),
        ("layout", |disk| change_row(disk, "documents", ends_with("large"), |row| row[1] ^= 1)),
        ("run-stray", |disk| {
            plant(disk, "runs", |table| {
                table
                    .insert(&[&[0, 0, 0, 0, 0, 3][..], b"xyz"].concat()[..], &[0, 0, 0][..])
                    .unwrap();
            });
        }),
    ];
    let patient = patient();
    for (code, damage) in cases {
        let disk = patient.copy();
        damage(&disk);
        assert_names(&disk, code);
    }
}

#[test]
fn damage_to_vectors_and_indexes_is_named() {
    let cases: &[Case] = &[
        ("index-missing", |disk| remove_row(disk, "transactions", any)),
        ("index-position", |disk| change_row(disk, "transactions", any, |row| row[7] ^= 8)),
        ("index-stray", |disk| change_row(disk, "transactions", any, |row| row[7] ^= 8)),
        ("index-hash", |disk| change_row(disk, "transactions", any, |row| row[9] ^= 1)),
        // A vector that says less, another hash, or whose proof is nobody's.
        ("vector-proof", |disk| change_row(disk, "vectors", any, |row| row[7] -= 1)),
        ("vector-behind", |disk| change_row(disk, "vectors", any, |row| row[7] -= 1)),
        ("vector-short", |disk| remove_row(disk, "vectors", any)),
        ("vector-entry-missing", |disk| remove_row(disk, "vectors", any)),
        ("vector-hash", |disk| change_row(disk, "vectors", any, |row| row[9] ^= 1)),
        ("vector-proof", |disk| change_row(disk, "vectors", any, |row| row[60] ^= 1)),
        ("vector-acked", |disk| change_row(disk, "vectors", any, |row| row[40] = 1)),
        // A floor above the vector.
        ("floor", |disk| {
            plant(disk, "floor", |table| {
                let row = [&1_000u64.to_be_bytes()[..], &[7; 16 + 96]].concat();
                table.insert(&[0; 8][..], &row[..]).unwrap();
            });
        }),
        // A hash of what is not held.
        ("hashes", |disk| {
            plant(disk, "hashes", |table| {
                let key = [&[0; 8][..], &[0], &1_000u64.to_be_bytes()].concat();
                table.insert(&key[..], &[&[3][..], &[7; 16]].concat()[..]).unwrap();
            });
        }),
        // Another hash than the index has.
        ("hashes", |disk| {
            plant(disk, "hashes", |table| {
                let row = [&[0][..], &[7; 16]].concat();
                table.insert(&[0; 17][..], &row[..]).unwrap();
            });
        }),
        ("segment-tally", |disk| {
            change_row(disk, "segments", any, |row| *row.last_mut().unwrap() ^= 1)
        }),
        ("state-heads", |disk| remove_row(disk, "origins", any)),
        ("table", |disk| {
            plant(disk, "meta", |table| {
                table.insert(&b"founder"[..], &key(0).id().as_bytes()[..]).unwrap();
            });
            plant(disk, "roster", |table| {
                table.insert(&[0, 0, 0, 0, 0][..], &[1; 200][..]).unwrap();
            });
        }),
        ("table", |disk| {
            plant(disk, "documents", |table| {
                table.insert(&[0, 0, 0, 9, b'x'][..], &[0, 0, 0][..]).unwrap();
            });
        }),
        ("table", |disk| {
            plant(disk, "staged", |table| drop(table.insert(&b"other\0x"[..], &[0][..]).unwrap()));
        }),
        ("table", |disk| {
            plant(disk, "peers", |table| drop(table.insert(&[1; 32][..], &[9][..]).unwrap()));
        }),
    ];
    let patient = patient();
    for (code, damage) in cases {
        let disk = patient.copy();
        damage(&disk);
        assert_names(&disk, code);
    }
}

fn flip(disk: &MemDisk, name: &str, offset: u64) {
    let file = disk.open(name, false).unwrap();
    let mut byte = [0];
    file.read_at(offset, &mut byte).unwrap();
    file.write_at(offset, &[byte[0] ^ 0x10]).unwrap();
}

#[test]
fn damage_to_the_log_is_named() {
    let patient = patient();
    let names = patient.list("log").unwrap();
    let name = |at: usize| format!("log/{}", names[at]);
    for (at, offset) in [(0, 40), (0, 300), (1, 500), (2, 60), (names.len() - 1, 70)] {
        let disk = patient.copy();
        flip(&disk, &name(at), offset);
        assert_names(&disk, "log-bytes");
    }
    for at in 0..names.len() {
        let disk = patient.copy();
        flip(&disk, &name(at), 20);
        assert_names(&disk, "log-header");
        let disk = patient.copy();
        disk.remove(&name(at)).unwrap();
        let last = at == names.len() - 1;
        let code = if last { "log-short" } else { "log-missing" };
        assert_names(&disk, code);
    }
    let disk = patient.copy();
    disk.open(&name(1), false).unwrap().set_len(700).unwrap();
    assert_names(&disk, "log-bytes");
    // Two segments swapped: each names its place.
    let disk = patient.copy();
    let all = files(&disk);
    for (to, from) in [(1, 2), (2, 1)] {
        let file = disk.open(&name(to), false).unwrap();
        file.set_len(0).unwrap();
        file.write_at(0, &all[&name(from)]).unwrap();
    }
    assert_names(&disk, "log-header");
}

#[test]
fn a_record_whose_checksum_was_made_to_fit_is_caught_by_its_signature() {
    let disk = patient();
    let name = format!("log/{}", disk.list("log").unwrap()[0]);
    let file = disk.open(&name, false).unwrap();
    let mut head = [0; 28];
    file.read_at(32, &mut head).unwrap();
    let len = u32::from_le_bytes(head[4..8].try_into().unwrap()) as usize;
    let mut body = vec![0; len];
    file.read_at(60, &mut body).unwrap();
    let at = body.windows(6).position(|part| part == b"note 0").unwrap();
    body[at] = b'N';
    let mut crc = crc32fast::Hasher::new();
    crc.update(&head[4..24]);
    crc.update(&body);
    head[24..].copy_from_slice(&crc.finalize().to_le_bytes());
    file.write_at(32, &head).unwrap();
    file.write_at(60, &body).unwrap();
    assert_names(&disk, "signature");
}

#[test]
fn damaged_pages_of_the_state_are_named() {
    let patient = patient();
    let len = patient.open("state.redb", false).unwrap().len().unwrap();
    let mut rng = Rng::new(3);
    let (mut named, mut silent) = (0, 0);
    for _ in 0..150 {
        let disk = patient.copy();
        let (offset, bytes) = (rng.next() % len, vec![rng.next() as u8 | 1; 64]);
        disk.open("state.redb", false).unwrap().write_at(offset, &bytes).unwrap();
        let verified = look(0, &disk);
        match verified.is_sound() {
            false => named += 1,
            // A free page, or the copy of the header that is not in use.
            true => silent += 1,
        }
    }
    assert!(named > 5, "{named} named, {silent} without effect");
    let disk = patient.copy();
    disk.open("state.redb", false).unwrap().set_len(0).unwrap();
    assert_names(&disk, "state-unreadable");
    let disk = patient.copy();
    disk.remove("state.redb").unwrap();
    assert_names(&disk, "state-unreadable");
}

#[test]
fn a_torn_tail_is_told_as_harmless() {
    let replica = Replica::new(0);
    (0..20i64).for_each(|n| replica.notes().set("n", "n", n).unwrap());
    let disk = replica.disk.copy();
    let name = format!("log/{}", disk.list("log").unwrap()[0]);
    let file = disk.open(&name, false).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(0, &mut bytes).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64;
    file.write_at(used - 30, &[0; 31]).unwrap();
    let verified = look(0, &disk);
    assert!(verified.is_sound(), "{:#?}", verified.findings);
    assert!(verified.findings.iter().any(|f| f.code == "log-torn" && f.level == Level::Note));
    // As it says: the next opening cuts it off, and all is well.
    let again = Replica::on(0, disk.clone()).unwrap();
    assert!(again.store.verify(&VerifyOptions::default()).unwrap().findings.is_empty());
}

#[test]
fn a_store_that_is_written_to_is_sound_at_every_moment() {
    let replica = Replica::small(
        0,
        Small {
            segment_bytes: 2 << 10,
            budget: LogBudget { bytes: 4 << 10, ..LogBudget::UNLIMITED },
        },
    );
    std::thread::scope(|threads| {
        let writer = threads.spawn(|| {
            let mut rng = Rng::new(1);
            (0..400).for_each(|_| edit(&replica, &mut rng));
        });
        while !writer.is_finished() {
            match replica.store.verify(&VerifyOptions::default()) {
                Ok(verified) => assert!(verified.is_sound(), "{:#?}", verified.findings),
                // The log is so small that it may be pruned while it is read.
                Err(err) => assert_eq!(err.kind(), ErrorKind::Aborted, "{err}"),
            }
        }
    });
}

#[test]
fn findings_do_not_pile_up() {
    let disk = patient();
    plant(&disk, "transactions", |table| {
        table.retain(|_, _| false).unwrap();
    });
    let verified = look(0, &disk);
    assert!(verified.more == 0 || verified.findings.len() >= 50);
    assert!(!verified.is_sound());
}
