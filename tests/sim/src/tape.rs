//! The tape: checkpoints, and the ways back to them, among all else that happens.
//!
//! In schedules with a tape, before some acts a checkpoint is made or deleted, collections are held
//! back or resumed, edits are reverted or undone, or the log is replayed. What it holds a store to:
//! 1. a checkpoint shows what was shown when it was made, whatever happened since, and is there
//!    until it is deleted;
//! 2. a replay comes to what is there;
//! 3. a revert of a collection shows what the checkpoint does;
//! 4. what is held back counts what it shows, and its state is what the ledger holds every store
//!    to: as if it had never been held.

use std::collections::{BTreeMap, BTreeSet};

use littoral::replica::Replica;
use littoral::store::disk::{Disk, MemDisk};
use littoral::store::{BackupOptions, ReplayOptions, ReplayOutcome, RevertScope, UndoScope};
use littoral::{Collection, Document, ErrorKind, Store};

use crate::acts::MOST_REPLICAS;
use crate::chance::Chance;
use crate::follower::{Follower, unreadable};
use crate::ledger::{COLLECTIONS, shown_of};
use crate::machine::Machine;
use crate::oracle::Shown;
use crate::world::World;
use crate::{Checked, ensure};

/// A collection, as it was shown.
type Documents = BTreeMap<String, Shown>;
/// What was shown when a checkpoint was made, by collection.
type Marked = BTreeMap<&'static str, Documents>;

/// What a machine's checkpoints are of, by label.
#[derive(Default)]
pub(crate) struct Marks {
    known: BTreeMap<String, Marked>,
    /// Of which it is not known whether they are there.
    doubtful: BTreeSet<String>,
}

impl Marks {
    /// Those that a store has are not known any more, but for what is checked when they are read.
    pub(crate) fn forget(&mut self) {
        self.doubtful.extend(self.known.keys().cloned());
    }
}

/// How often something of the tape was done, for the report.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tapes {
    /// Checkpoints made.
    pub checkpoints: u64,
    /// How often the past was compared with what had been shown.
    pub looked: u64,
    /// Reverts and undos that wrote something.
    pub reverted: u64,
    /// Logs replayed.
    pub replayed: u64,
    /// Collections held back.
    pub held: u64,
    /// Backups of which a new replica was made.
    pub restored: u64,
}

impl Tapes {
    /// Adds what was done in another schedule.
    pub fn add(&mut self, other: &Tapes) {
        self.checkpoints += other.checkpoints;
        self.looked += other.looked;
        self.reverted += other.reverted;
        self.replayed += other.replayed;
        self.held += other.held;
        self.restored += other.restored;
    }
}

impl World {
    /// In a schedule with a tape, from time to time something of it is done.
    pub(crate) fn perhaps_tape(&mut self, number: usize) -> Checked {
        let mut chance = self.plan.tape_of(number);
        if !chance.percent(self.plan.tape_percent) {
            return Ok(());
        }
        let at = chance.below(self.machines.len());
        let Some(store) = self.machines[at].up() else { return Ok(()) };
        let labels: Vec<String> =
            store.checkpoints().into_iter().map(|known| known.label).collect();
        if labels.is_empty() || chance.percent(25) {
            return self.mark(at, &store, number);
        }
        let label = chance.pick(&labels).clone();
        match chance.below(11) {
            10 => self.back_up(at, &store),
            0 => self.unmark(at, &store, &label),
            1 | 2 => self.look_back(at, &store, &label),
            3 => self.replay(at, &store, &label),
            4 => self.undo(at, &store, &mut chance),
            5 => self.revert(at, &store, &label, &mut chance),
            6 | 7 => self.hold(at, &store, &label, &mut chance),
            _ => self.resume(at, &store, chance.percent(60).then(|| *chance.pick(&COLLECTIONS))),
        }
    }

    /// Whether an error is one that a store may have now.
    fn pardon(&self, at: usize, sound: bool, what: &str, err: &littoral::Error) -> Checked {
        ensure!(!sound || self.may_fail(at), "store {at} could not {what}: {err}");
        Ok(())
    }

    fn mark(&mut self, at: usize, store: &Store, number: usize) -> Checked {
        let (label, sound) = (format!("{number}"), self.machines[at].is_sound());
        let disk = self.machines[at].disk.clone();
        let shown = disk.spared(|| everything(store));
        let made = store.checkpoint(&label);
        self.say(&format!("{at} made checkpoint {label}: {:?}", made.as_ref().map(|_| ())));
        self.touch(at);
        let marks = &mut self.machines[at].marks;
        if let Ok(shown) = shown {
            marks.known.insert(label.clone(), shown);
        }
        match made {
            Ok(_) => {
                self.tapes.checkpoints += 1;
                self.acknowledge(at)
            }
            Err(err) => {
                marks.doubtful.insert(label);
                self.pardon(at, sound, "make a checkpoint", &err)
            }
        }
    }

    fn unmark(&mut self, at: usize, store: &Store, label: &str) -> Checked {
        let sound = self.machines[at].is_sound();
        let holds = store.holds().iter().any(|hold| hold.label == label);
        let gone = store.delete_checkpoint(label);
        self.say(&format!("{at} deleted checkpoint {label}: {gone:?}"));
        self.touch(at);
        match gone {
            Ok(()) => {
                ensure!(!holds, "{at} deleted what a collection is held back to");
                self.machines[at].marks.known.remove(label);
                self.acknowledge(at)
            }
            Err(err) if err.kind() == ErrorKind::InvalidInput && holds => Ok(()),
            Err(err) => {
                self.machines[at].marks.doubtful.insert(label.to_owned());
                self.pardon(at, sound, "delete a checkpoint", &err)
            }
        }
    }

    /// A checkpoint shows what was shown when it was made.
    fn look_back(&mut self, at: usize, store: &Store, label: &str) -> Checked {
        let Some(marked) = self.machines[at].marks.known.get(label) else { return Ok(()) };
        let disk = self.machines[at].disk.clone();
        let past = disk.spared(|| then(store, label));
        match past {
            Ok(past) => {
                for (name, shown) in marked {
                    let now = past.get(name).cloned().unwrap_or_default();
                    ensure!(
                        now == *shown,
                        "checkpoint {label} of {at} shows {name} as {now:?}, it was {shown:?}"
                    );
                }
                self.tapes.looked += 1;
                Ok(())
            }
            Err(what) => self.excuse(at, Err(what)).map(drop),
        }
    }

    /// What is known of a store's checkpoints, when it has been opened.
    pub(crate) fn check_marks(&mut self, at: usize, store: &Store) -> Checked {
        let there: BTreeSet<String> =
            store.checkpoints().into_iter().map(|known| known.label).collect();
        let marks = &mut self.machines[at].marks;
        let doubtful = std::mem::take(&mut marks.doubtful);
        marks.known.retain(|label, _| there.contains(label) || !doubtful.contains(label));
        let lost = marks.known.keys().find(|label| !there.contains(*label));
        ensure!(lost.is_none(), "checkpoint {lost:?} of {at} is lost");
        Ok(())
    }

    fn replay(&mut self, at: usize, store: &Store, label: &str) -> Checked {
        let sound = self.machines[at].is_sound();
        let replayed = store.rollback_replay(label, &ReplayOptions::default());
        self.touch(at);
        match replayed {
            Ok(replay) => {
                self.say(&format!("{at} replayed from {label}: {:?}", replay.outcome));
                self.tapes.replayed += 1;
                let same = replay.outcome == ReplayOutcome::Same;
                ensure!(same, "the log of {at} does not give its state: {:?}", replay.collections);
                Ok(())
            }
            // It is not held in the log, or something that replay does not cross came in between.
            Err(err) if matches!(err.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput) => {
                self.say(&format!("{at} can't replay from {label}"));
                Ok(())
            }
            Err(err) => {
                self.say(&format!("{at} could not replay from {label}"));
                self.pardon(at, sound, "replay", &err)
            }
        }
    }

    /// A store is backed up, and a machine that was not there before begins with that.
    fn back_up(&mut self, at: usize, store: &Store) -> Checked {
        // What is restored has no log, so that not every fork can be named by its own.
        let spares = self.plan.rights || self.plan.whole_logs;
        if spares || self.machines.len() >= MOST_REPLICAS {
            return Ok(());
        }
        let (stick, sound) = (MemDisk::new(), self.machines[at].is_sound());
        let made = store.backup_on(&stick, "backup", &BackupOptions::default());
        self.say(&format!("{at} is backed up: {:?}", made.as_ref().map(|_| ())));
        self.touch(at);
        if let Err(err) = made {
            return self.pardon(at, sound, "be backed up", &err);
        }
        // All that is in it was durable, as what goes to a peer.
        self.acknowledge(at)?;
        let number = self.machines.len();
        let mut machine = Machine::new(number, &self.plan);
        machine.set_clock(self.now_ms);
        machine.restore(&bytes_of(&stick, "backup")).map_err(|err| format!("{at}: {err}"))?;
        self.say(&format!("{number} begins with what {at} held"));
        self.machines.push(machine);
        self.ledger.open_account();
        self.boot(number)?;
        self.tapes.restored += 1;
        if let Some(store) = self.machines[number].up() {
            self.ledger.acknowledged(number, &store)?;
        }
        self.meet_others(number);
        Ok(())
    }

    fn undo(&mut self, at: usize, store: &Store, chance: &mut Chance) -> Checked {
        let name = *chance.pick(&COLLECTIONS);
        let scope = UndoScope { collection: Some(name.to_owned()), force: chance.percent(30) };
        let sound = self.machines[at].is_sound();
        let undone = store.undo(&scope).map(|undone| undone.documents() > 0);
        self.say(&format!("{at} undid its last write to {name}: {undone:?}"));
        self.wrote_back(at, store, name, sound, undone)
    }

    fn revert(&mut self, at: usize, store: &Store, label: &str, chance: &mut Chance) -> Checked {
        let (name, sound) = (*chance.pick(&COLLECTIONS), self.machines[at].is_sound());
        let by = chance.percent(40).then(|| *chance.pick(&self.ids()));
        let scope = RevertScope {
            by,
            force: by.is_some() && chance.percent(30),
            ..RevertScope::collection(name)
        };
        let reverted = store.revert(label, &scope, &mut |_| ()).map(|done| done.documents > 0);
        self.say(&format!("{at} reverted {name} to {label}, by {by:?}: {reverted:?}"));
        let marked = self.machines[at].marks.known.get(label).and_then(|known| known.get(name));
        if let (Ok(_), None, Some(then)) = (&reverted, by, marked) {
            let disk = self.machines[at].disk.clone();
            let now = disk.spared(|| of_named(store, name));
            if let Ok(now) = now {
                let fields = |all: &Documents| -> Vec<_> {
                    all.iter().map(|(id, shown)| (id.clone(), shown.fields.clone())).collect()
                };
                let (now, then) = (fields(&now), fields(then));
                ensure!(now == then, "{at} reverted {name} to {then:?}; it shows {now:?}");
            }
        }
        self.wrote_back(at, store, name, sound, reverted)
    }

    /// What came of a write of one collection.
    fn wrote_back(
        &mut self,
        at: usize,
        store: &Store,
        name: &'static str,
        sound: bool,
        wrote: littoral::Result<bool>,
    ) -> Checked {
        self.touch(at);
        match wrote {
            Ok(wrote) => {
                self.tapes.reverted += u64::from(wrote);
                match wrote {
                    true => self.acknowledge(at),
                    false => Ok(()),
                }
            }
            Err(err) if self.is_without_right(store, &err) => Ok(()),
            // It is held back, the log no longer tells, or the collection was left.
            Err(err)
                if matches!(
                    err.kind(),
                    ErrorKind::InvalidInput | ErrorKind::NotFound | ErrorKind::UnknownCollection
                ) =>
            {
                Ok(())
            }
            Err(err) => {
                if sound && !self.machines[at].is_sound() {
                    self.ledger.in_limbo(at, BTreeSet::from([name]));
                }
                self.pardon(at, sound, "write back", &err)
            }
        }
    }

    fn hold(&mut self, at: usize, store: &Store, label: &str, chance: &mut Chance) -> Checked {
        let one = chance.percent(60).then(|| [*chance.pick(&COLLECTIONS)]);
        let sound = self.machines[at].is_sound();
        let held = store.rollback_hold(label, one.as_ref().map(|one| &one[..]));
        self.say(&format!("{at} holds {one:?} back to {label}: {held:?}"));
        self.changed_view(at);
        match held {
            Ok(held) => {
                self.tapes.held += held.len() as u64;
                self.check_held(at, store)?;
                self.acknowledge(at)
            }
            Err(err)
                if matches!(
                    err.kind(),
                    ErrorKind::InvalidInput | ErrorKind::NotFound | ErrorKind::UnknownCollection
                ) =>
            {
                Ok(())
            }
            Err(err) => self.pardon(at, sound, "hold back", &err),
        }
    }

    fn resume(&mut self, at: usize, store: &Store, name: Option<&str>) -> Checked {
        self.check_held(at, store)?;
        let sound = self.machines[at].is_sound();
        let resumed = store.resume(name);
        self.say(&format!("{at} resumed {name:?}: {resumed:?}"));
        self.changed_view(at);
        match resumed {
            Ok(_) => self.acknowledge(at),
            Err(err) => self.pardon(at, sound, "resume", &err),
        }
    }

    /// What all of a collection shows may have changed.
    fn changed_view(&mut self, at: usize) {
        self.machines[at].follower.iter_mut().for_each(Follower::may_be_cut);
        self.readings.remove(&at);
        self.touch(at);
    }

    fn check_held(&mut self, at: usize, store: &Store) -> Checked {
        let disk = self.machines[at].disk.clone();
        for hold in store.holds() {
            let name = COLLECTIONS.into_iter().find(|name| *name == hold.collection);
            let name = name.ok_or_else(|| format!("{at} holds {}", hold.collection))?;
            let shown = disk.spared(|| of_named(store, name));
            match shown {
                Ok(shown) => {
                    let (count, shown) = (hold.documents, shown.len());
                    ensure!(count == shown as u64, "{at} shows {shown} of {name}, counted {count}");
                }
                Err(what) => drop(self.excuse(at, Err(what))?),
            }
        }
        Ok(())
    }

    /// Links go by what is wanted now.
    pub(crate) fn check_terms(&mut self, at: usize, store: &Store) {
        let terms = store.terms();
        if std::mem::replace(&mut self.machines[at].terms, terms) != terms {
            let ends: Vec<(u64, usize)> = self.ends_of(at).collect();
            for (link, end) in ends {
                self.lose(link, end);
            }
        }
    }

    /// Nothing is held back any more.
    pub(crate) fn resume_all(&mut self) -> Checked {
        let held =
            |at: &usize| self.machines[*at].up().is_none_or(|store| !store.holds().is_empty());
        if self.plan.tape_percent == 0 || !self.present().iter().any(held) {
            return Ok(());
        }
        self.wait_for_all()?;
        for at in self.present() {
            let Some(store) = self.machines[at].up() else { continue };
            self.resume(at, &store, None)?;
            let labels = store.checkpoints().into_iter().map(|known| known.label);
            for label in labels.collect::<Vec<_>>() {
                self.look_back(at, &store, &label)?;
            }
        }
        self.look()
    }

    fn ids(&self) -> Vec<littoral::NodeId> {
        self.machines.iter().map(|machine| machine.id()).collect()
    }
}

/// Documents that are read one by one.
fn shown_in(scan: impl Iterator<Item = littoral::Result<Document>>) -> Checked<Documents> {
    scan.map(|document| {
        let document = document.map_err(unreadable)?;
        Ok((document.id().to_owned(), shown_of(&document)))
    })
    .collect()
}

fn of_collection(collection: &Collection) -> Checked<Documents> {
    shown_in(collection.scan(&Default::default()).map_err(unreadable)?)
}

fn of_named(store: &Store, name: &str) -> Checked<Documents> {
    of_collection(&store.collection(name).map_err(unreadable)?)
}

/// What the state of a store shows.
fn everything(store: &Store) -> Checked<Marked> {
    let of = |name| {
        let collection = store.collection(name).map_err(unreadable)?;
        Ok((name, of_collection(&collection.behind())?))
    };
    COLLECTIONS.into_iter().map(of).collect()
}

fn then(store: &Store, label: &str) -> Checked<Marked> {
    let past = store.at(label).map_err(unreadable)?;
    let of = |name| {
        let shown = shown_in(past.scan(name, &Default::default()).map_err(unreadable)?)?;
        ensure!(
            past.len(name).map_err(unreadable)? == shown.len() as u64,
            "checkpoint {label} counts other documents of {name} than it shows"
        );
        Ok((name, shown))
    };
    COLLECTIONS.into_iter().map(of).collect()
}

/// A file of a disk.
pub(crate) fn bytes_of(disk: &dyn Disk, name: &str) -> Vec<u8> {
    let read = || -> std::io::Result<Vec<u8>> {
        let file = disk.open(name, false)?;
        let mut bytes = vec![0; usize::try_from(file.len()?).unwrap_or(0)];
        file.read_at(0, &mut bytes)?;
        Ok(bytes)
    };
    read().unwrap_or_default()
}
