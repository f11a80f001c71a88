//! Replay: a checkpoint and the log after it give the state, whatever happened in between.

mod common;

use common::{NOTES, Replica, Rng, each_seed, fields, pull};
use littoral::store::{ReplayOptions, ReplayOutcome};
use littoral::{ErrorKind, Field, Store, Transaction};

fn same(store: &Store, label: &str) -> (u64, u64) {
    let replay = store.rollback_replay(label, &ReplayOptions::default()).unwrap();
    assert_eq!(replay.outcome, ReplayOutcome::Same, "{label}: {:?}", replay.collections);
    assert_eq!(replay.differences().unwrap().count(), 0);
    for known in &replay.collections {
        assert!(known.is_alike() && known.differing == 0);
        let (vector, cells) = store.held(&known.name);
        let state = known.state.as_ref().unwrap();
        assert_eq!((&state.vector, state.cells), (&vector, cells));
    }
    (replay.documents, replay.transactions)
}

/// One edit: of small documents, and of large ones that grow and shrink across the size at which
/// they are cut.
fn edit(txn: &mut Transaction, rng: &mut Rng) -> littoral::Result<()> {
    let name = *rng.pick(&[NOTES, NOTES, NOTES, "plans"]);
    let big = *rng.pick(&["big", "big\0", "c"]);
    let element = |n: usize| format!("{n:03} {}", "of some length ".repeat(12));
    match rng.below(10) {
        0 => {
            for _ in 0..rng.below(60) {
                txn.add(name, big, "tags", element(rng.below(120)))?;
            }
        }
        1 => {
            for _ in 0..rng.below(90) {
                txn.remove(name, big, "tags", element(rng.below(120)))?;
            }
        }
        2 => drop(txn.delete(name, big)?),
        3 | 4 => txn.increment(name, big, "hits", rng.below(9) as i64)?,
        5 => drop(txn.unset(name, big, "hits")?),
        6 => drop(txn.delete(name, &format!("n{}", rng.below(12)))?),
        _ => common::edit(txn, rng),
    }
    Ok(())
}

fn cross(labels: &mut Vec<String>, crossed: &mut Vec<String>, synced: &mut usize) {
    crossed.append(labels);
    *synced = 0;
}

#[test]
fn a_checkpoint_and_the_log_give_the_state_under_random_histories() {
    each_seed("replay", 24, |seed| {
        let mut rng = Rng::new(seed);
        let mut a = Replica::new(0);
        let mut others = vec![Replica::new(1), Replica::new(2)];
        // The checkpoints since the last thing that replay does not cross.
        let (mut labels, mut crossed, mut branches) = (Vec::new(), Vec::new(), 0);
        // How many of them were there when a session last ran, which may have joined a snapshot.
        let mut synced = 0;
        let forks = seed % 3 == 0;
        for step in 0..70 {
            match rng.below(16) {
                choice @ 0..=10 => {
                    let met = common::write_or_sync(choice, &mut rng, &a, &others, edit);
                    if met {
                        synced = labels.len();
                    }
                }
                11 if !forks && rng.chance(20) => {
                    let from = rng.pick(&others);
                    if from.store.collections().iter().any(|name| name == NOTES) {
                        common::join(&a.store, &from.store, NOTES);
                        cross(&mut labels, &mut crossed, &mut synced);
                    }
                }
                12 if rng.chance(15) && a.store.leave(NOTES).unwrap() => {
                    crossed.append(&mut labels)
                }
                12 if forks && others.len() == 2 => {
                    a.store.flush().unwrap();
                    others.push(a.after_power_cut(None));
                }
                13 if rng.chance(50) => {
                    a.store.flush().unwrap();
                    a = a.after_power_cut(Some(rng.next()));
                }
                14 | 15 => {
                    let label = format!("L{step}");
                    a.store.checkpoint(&label).unwrap();
                    labels.push(label);
                }
                _ => {}
            }
            let forked: usize =
                [NOTES, "plans"].iter().map(|name| a.store.branch_count(name)).sum();
            if forked > branches {
                cross(&mut labels, &mut crossed, &mut synced);
            }
            branches = forked;
            if step % 7 == 6 {
                let refused = |label: &String| {
                    let how = ReplayOptions::default();
                    a.store.rollback_replay(label, &how).is_err()
                };
                let joined = labels.iter().take(synced).rposition(refused).map_or(0, |at| at + 1);
                crossed.extend(labels.drain(..joined));
                synced = 0;
                for label in &labels {
                    same(&a.store, label);
                }
                for label in &crossed {
                    let refused = a.store.rollback_replay(label, &ReplayOptions::default());
                    let refused = refused.unwrap_err();
                    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
                    match labels.last() {
                        Some(newest) => {
                            assert!(
                                refused.message().contains(&format!("is '{newest}'")),
                                "{refused}"
                            );
                        }
                        None => assert!(refused.message().contains("no checkpoint was made since")),
                    }
                }
            }
        }
        a.store.check_rows().unwrap();
    });
}

#[test]
fn a_counter_that_was_reset_before_the_checkpoint_is_replayed() {
    let (a, b) = (Replica::new(0), Replica::new(1));
    a.notes().increment("n", "hits", 5).unwrap();
    a.notes().increment("m", "hits", 2).unwrap();
    pull(&b, &a);
    b.notes().unset("n", "hits").unwrap();
    b.notes().unset("m", "hits").unwrap();
    pull(&a, &b);
    a.store.checkpoint("reset").unwrap();
    // The settled rows go with what their author writes next, wherever.
    a.notes().set("elsewhere", "x", 1i64).unwrap();
    a.store.checkpoint("gone").unwrap();
    a.notes().increment("n", "hits", 1).unwrap();
    assert_eq!(same(&a.store, "reset"), (3, 2));
    assert_eq!(same(&a.store, "gone"), (1, 1));
}

#[test]
fn what_does_not_fit_into_memory_goes_to_disk_and_comes_back() {
    let a = Replica::new(0);
    for n in 0..40i64 {
        let content = fields([("n", Field::from(n)), ("text", Field::from("x".repeat(500)))]);
        a.notes().put(&format!("n{n}"), &content).unwrap();
    }
    a.store.checkpoint("L").unwrap();
    for n in 0..30i64 {
        a.notes().set(&format!("n{n}"), "n", n + 1).unwrap();
    }
    let inside = tempfile::tempdir().unwrap();
    let scratch = Some(inside.path().to_owned());
    for memory_bytes in [0, 5_000, 20_000, 1 << 20] {
        let how = ReplayOptions { memory_bytes, scratch: scratch.clone() };
        let replay = a.store.rollback_replay("L", &how).unwrap();
        assert_eq!((replay.outcome, replay.documents), (ReplayOutcome::Same, 30));
        let on_disk = std::fs::read_dir(inside.path()).unwrap().count();
        assert_eq!(on_disk, usize::from(memory_bytes < 1 << 20), "{memory_bytes}");
        drop(replay);
        assert_eq!(std::fs::read_dir(inside.path()).unwrap().count(), 0, "it is gone again");
    }
}

#[test]
fn replay_says_why_it_can_not() {
    let a = Replica::new(0);
    let how = ReplayOptions::default();
    assert_eq!(a.store.rollback_replay("L", &how).unwrap_err().kind(), ErrorKind::NotFound);
    // Of an empty store, from the very beginning of the log.
    a.store.checkpoint("empty").unwrap();
    assert_eq!(same(&a.store, "empty"), (0, 0));
    a.notes().set("n", "x", 1i64).unwrap();
    assert_eq!(same(&a.store, "empty"), (1, 1));
    a.store.leave(NOTES).unwrap();
    let refused = a.store.rollback_replay("empty", &how).unwrap_err();
    assert!(refused.message().contains("no checkpoint was made since"), "{refused}");
    a.store.checkpoint("after").unwrap();
    let refused = a.store.rollback_replay("empty", &how).unwrap_err();
    assert!(refused.message().contains("can be replayed is 'after'"), "{refused}");
    assert_eq!(same(&a.store, "after"), (0, 0));
}
