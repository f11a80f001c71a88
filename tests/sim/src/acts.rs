//! Acts: what is done to stores, disks, clocks and the network, one at a time.
//!
//! Each act draws from a stream of chance of its own, so that leaving one out does not
//! change what the others do.

use std::collections::BTreeSet;

use littoral::store::Collections;
use littoral::{ErrorKind, NodeId, Store};

use crate::chance::Chance;
use crate::edits;
use crate::follower::Follower;
use crate::ledger::COLLECTIONS;
use crate::machine::Down;
use crate::plan::budget;
use crate::rights::FOUNDER;
use crate::world::{Event, World};
use crate::{Checked, ensure};

/// One commit, at most, where texts are short: it lies in one segment of the log.
const BATCH_BYTES: u64 = 64 << 10;
/// Replicas of one schedule at most, those that are gone included.
pub(crate) const MOST_REPLICAS: usize = 8;

/// A kind of act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Write,
    Flush,
    Leave,
    Trust,
    Clock,
    Slow,
    Crash,
    /// The power will go at some later call of the disk.
    Doom,
    /// The disk will fail at some later call.
    Fault,
    Block,
    Split,
    Cut,
    Goodbye,
    /// A second link of a pair that may have one.
    Double,
    Gone,
    Join,
    Inspect,
    Prune,
    Budget,
    /// Only some collections are exchanged from now on, with somebody or with everybody.
    Want,
}

impl Act {
    pub(crate) const ALL: [Act; 20] = [
        Act::Write,
        Act::Flush,
        Act::Leave,
        Act::Trust,
        Act::Clock,
        Act::Slow,
        Act::Crash,
        Act::Doom,
        Act::Fault,
        Act::Block,
        Act::Split,
        Act::Cut,
        Act::Goodbye,
        Act::Double,
        Act::Gone,
        Act::Join,
        Act::Inspect,
        Act::Prune,
        Act::Budget,
        Act::Want,
    ];

    /// How often it happens, beside 20 for writing, if its seed is fond of it a little.
    pub(crate) fn weight(self) -> u64 {
        match self {
            Act::Write => 20,
            Act::Crash | Act::Doom | Act::Fault | Act::Cut | Act::Double => 2,
            _ => 1,
        }
    }

    /// Whether it makes a disk fail or lose power.
    pub(crate) fn breaks(self) -> bool {
        matches!(self, Act::Crash | Act::Doom | Act::Fault)
    }
}

impl World {
    pub(crate) fn act(&mut self, number: usize) -> Checked {
        let mut chance = self.plan.chance_of(number);
        // The pause that follows is the first that is drawn.
        chance.next();
        let act = Act::ALL[chance.weighted(&self.plan.weights)];
        let at = chance.below(self.machines.len());
        if self.machines[at].gone {
            return Ok(());
        }
        match act {
            Act::Write => self.write(number, at, &mut chance),
            Act::Flush => self.flush(at),
            Act::Leave => self.leave(at, &mut chance),
            Act::Trust => self.trust(at, &mut chance),
            Act::Clock => {
                let far = 1 << chance.below(42);
                self.machines[at].skew_ms = chance.between(0, 2 * far) as i64 - far as i64;
                self.say(&format!("{at} has its clock off by {} ms", self.machines[at].skew_ms));
                Ok(())
            }
            Act::Slow => {
                self.machines[at].apply_ms = *chance.pick(&[0, 20, 2_000, 30_000]);
                self.say(&format!("{at} applies in {} ms", self.machines[at].apply_ms));
                Ok(())
            }
            Act::Crash => self.crash(at, &mut chance),
            Act::Doom => {
                let calls = 1 << chance.below(8);
                let calls = chance.below(calls) as u64;
                self.say(&format!("{at} will lose power after {calls} calls"));
                self.machines[at].disk.dead_after(calls);
                Ok(())
            }
            Act::Fault => self.fault(at, &mut chance),
            Act::Block => {
                let other = chance.below(self.machines.len());
                let blocked = chance.percent(70);
                self.block(at, other, blocked);
                Ok(())
            }
            Act::Split => self.split(&mut chance),
            Act::Cut => {
                let links = self.link_numbers();
                if !links.is_empty() {
                    self.cut(*chance.pick(&links));
                }
                Ok(())
            }
            Act::Goodbye => {
                let links = self.link_numbers();
                match links.is_empty() {
                    true => Ok(()),
                    false => self.leave_link(*chance.pick(&links), chance.below(2)),
                }
            }
            Act::Double => {
                let other = chance.below(self.machines.len());
                match self.can_meet(at, other) && self.may_meet(at, other) {
                    true => self.connect(at, other),
                    false => Ok(()),
                }
            }
            Act::Gone => self.gone(at),
            Act::Join => match self.machines.len() < MOST_REPLICAS {
                true => self.add_machine(),
                false => Ok(()),
            },
            Act::Inspect => self.inspect(at),
            Act::Prune => self.prune(at),
            Act::Budget if self.plan.whole_logs => Ok(()),
            Act::Budget => self.set_budget(at, &mut chance),
            Act::Want => self.want_some(at, &mut chance),
        }
    }

    fn write(&mut self, number: usize, at: usize, chance: &mut Chance) -> Checked {
        let Some(store) = self.machines[at].up() else { return Ok(()) };
        let (sound, durable) =
            (self.machines[at].is_sound(), chance.percent(self.plan.durable_percent));
        let readings = self.readings.entry(at).or_default();
        let before = COLLECTIONS.map(|name| store.held(name).0);
        let (plan, mut touched) = (&self.plan, None);
        let mut run = |store: &Store| -> littoral::Result<bool> {
            let mut txn = store.begin()?;
            let filled = edits::fill(&mut txn, chance, plan, store, readings, number as i64)?;
            let Some(names) = filled else { return Ok(false) };
            touched = Some(names);
            match durable {
                true => txn.commit().map(|()| true),
                false => txn.commit_deferred().map(|()| true),
            }
        };
        let written = run(&store);
        self.touch(at);
        let how = if durable { "durably" } else { "deferred" };
        match written {
            Ok(committed) => {
                self.say(&format!("{at} wrote {how} to {touched:?}: {committed}"));
                // A transaction that changes nothing is no write, and makes nothing durable.
                if durable && before != COLLECTIONS.map(|name| store.held(name).0) {
                    self.acknowledge(at)?;
                }
            }
            // A history has forked in a collection that is held back.
            Err(err) if err.kind() == ErrorKind::InvalidInput && !store.holds().is_empty() => {
                self.say(&format!("{at} may not write: {err}"));
            }
            Err(err) if self.is_without_right(&store, &err) => {
                self.say(&format!("{at} may not write"));
            }
            Err(err) => {
                self.say(&format!("{at} could not write {how} to {touched:?}: {err}"));
                ensure!(!sound || self.may_fail(at), "store {at} could not write: {err}");
                if let Some(touched) = touched.filter(|_| sound && !self.machines[at].is_sound()) {
                    self.ledger.in_limbo(at, touched);
                }
            }
        }
        Ok(())
    }

    pub(crate) fn flush(&mut self, at: usize) -> Checked {
        let Some(store) = self.machines[at].up() else { return Ok(()) };
        let sound = self.machines[at].is_sound();
        let flushed = store.flush();
        self.say(&format!("{at} flushed: {flushed:?}"));
        self.touch(at);
        match flushed {
            Ok(()) => self.acknowledge(at),
            Err(err) => {
                ensure!(!sound || self.may_fail(at), "store {at} could not flush: {err}");
                Ok(())
            }
        }
    }

    fn leave(&mut self, at: usize, chance: &mut Chance) -> Checked {
        let Some(store) = self.machines[at].up() else { return Ok(()) };
        let (name, sound) = (*chance.pick(&COLLECTIONS), self.machines[at].is_sound());
        let left = store.leave(name);
        self.say(&format!("{at} left {name}: {left:?}"));
        self.machines[at].follower.iter_mut().for_each(Follower::drop_all);
        self.touch(at);
        match left {
            Ok(_) => {
                self.ledger.left(at, name)?;
                self.acknowledge(at)
            }
            Err(err) => {
                ensure!(!sound || self.may_fail(at), "store {at} could not leave: {err}");
                if sound {
                    self.ledger.may_have_left(at, name);
                    self.machines[at].leaving = true;
                }
                Ok(())
            }
        }
    }

    fn trust(&mut self, at: usize, chance: &mut Chance) -> Checked {
        let Some(store) = self.machines[at].up() else { return Ok(()) };
        let peer = self.machines[chance.below(self.machines.len())].id();
        let sound = self.machines[at].is_sound();
        let trusted = match chance.percent(70) {
            true => store.trust(peer),
            false => store.distrust(peer).map(drop),
        };
        self.say(&format!("{at} changed whom it trusts: {trusted:?}"));
        self.touch(at);
        match trusted {
            Ok(()) => Ok(()),
            Err(err) => {
                ensure!(!sound || self.may_fail(at), "store {at} could not trust: {err}");
                Ok(())
            }
        }
    }

    /// Prunes the log; it is within its budget then, unless something holds it.
    fn prune(&mut self, at: usize) -> Checked {
        let Some(store) = self.machines[at].up() else { return Ok(()) };
        let sound = self.machines[at].is_sound();
        let pruned = store.prune();
        self.say(&format!("{at} pruned its log: {pruned:?}"));
        self.touch(at);
        if let Err(err) = pruned {
            ensure!(!sound || self.may_fail(at), "store {at} could not prune: {err}");
            return Ok(());
        }
        let stats = store.stats().map_err(|err| err.to_string())?;
        let most = stats.log_budget_bytes.saturating_add(self.plan.segment_bytes + BATCH_BYTES);
        ensure!(
            self.plan.long_percent > 0 || stats.log_held.is_some() || stats.log_bytes <= most,
            "the log of {at} has {} bytes, {most} are allowed",
            stats.log_bytes
        );
        Ok(())
    }

    fn set_budget(&mut self, at: usize, chance: &mut Chance) -> Checked {
        let Some(store) = self.machines[at].up() else { return Ok(()) };
        let (name, sound) = (*chance.pick(&COLLECTIONS), self.machines[at].is_sound());
        let budget = chance.percent(80).then(|| budget(chance));
        let set = store.set_log_budget(name, budget);
        self.say(&format!("{at} has another budget for {name}: {set:?}"));
        self.touch(at);
        match set {
            Ok(()) => self.acknowledge(at),
            Err(err) => {
                ensure!(!sound || self.may_fail(at), "store {at} could not set a budget: {err}");
                Ok(())
            }
        }
    }

    fn want_some(&mut self, at: usize, chance: &mut Chance) -> Checked {
        let peer = self.machines[chance.below(self.machines.len())].id();
        let names = COLLECTIONS.into_iter().filter(|_| chance.percent(50));
        let some = Collections::only(names.collect::<Vec<_>>()).map_err(|err| err.to_string())?;
        let collections = if chance.percent(30) { Collections::All } else { some };
        let peer = chance.percent(50).then_some(peer);
        self.want_collections(at, peer, collections)
    }

    /// Everything is exchanged with everybody.
    pub(crate) fn want_all(&mut self, at: usize) -> Checked {
        let Some(store) = self.machines[at].up() else { return Ok(()) };
        for peer in store.trusted().map_err(|err| err.to_string())? {
            self.want_collections(at, Some(peer.node), Collections::Default)?;
        }
        self.want_collections(at, None, Collections::All)
    }

    fn want_collections(
        &mut self,
        at: usize,
        peer: Option<NodeId>,
        collections: Collections,
    ) -> Checked {
        let Some(store) = self.machines[at].up() else { return Ok(()) };
        let sound = self.machines[at].is_sound();
        let what = format!("{collections:?}");
        let (wanted, of) = match peer {
            None => (store.want(collections), "everybody".to_owned()),
            Some(peer) => (store.want_of(peer, collections), peer.short()),
        };
        self.say(&format!("{at} wants {what} of {of}: {wanted:?}"));
        self.machines[at].choosy = true;
        self.touch(at);
        match wanted {
            Ok(()) => Ok(()),
            Err(err) => {
                ensure!(!sound || self.may_fail(at), "store {at} could not want: {err}");
                Ok(())
            }
        }
    }

    fn crash(&mut self, at: usize, chance: &mut Chance) -> Checked {
        if self.machines[at].store.is_none() {
            return Ok(());
        }
        let down = Down::draw(chance);
        self.go_down(at, down)?;
        self.machines[at].restarting = true;
        let delay = *chance.pick(&[0, 10, 2_000, 30_000]);
        self.schedule(delay, Event::Restart(at, down));
        Ok(())
    }

    fn fault(&mut self, at: usize, chance: &mut Chance) -> Checked {
        let calls = 1 << chance.below(8);
        let calls = chance.below(calls) as u64;
        let disk = &self.machines[at].disk;
        let what = match chance.below(5) {
            0 => {
                disk.fail_after(calls);
                "fail"
            }
            1 => {
                disk.full_after(calls);
                "be full"
            }
            2 => {
                disk.fail_one_sync_after(calls / 4, true);
                "fail one sync"
            }
            3 => {
                disk.fail_one_sync_after(calls / 4, false);
                "fail one sync and lose writes"
            }
            _ => {
                disk.fail_reads_after(calls);
                "fail to read"
            }
        };
        self.say(&format!("the disk of {at} will {what} after {calls} calls"));
        let delay = chance.between(0, 10_000);
        self.schedule(delay, Event::Mend(at));
        Ok(())
    }

    /// The machines fall into two groups that don't hear each other; or all do again.
    fn split(&mut self, chance: &mut Chance) -> Checked {
        let sides: Vec<bool> = self.machines.iter().map(|_| chance.percent(50)).collect();
        let together = chance.percent(30);
        for (from, side) in sides.iter().enumerate() {
            for (to, other) in sides.iter().enumerate().filter(|(to, _)| *to != from) {
                self.block(from, to, side != other && !together);
            }
        }
        Ok(())
    }

    /// A replica leaves for good, with what only it held. Two stay.
    fn gone(&mut self, at: usize) -> Checked {
        // Without the founder, whoever was away long enough knows nobody any more.
        if self.plan.rights && at == FOUNDER {
            return Ok(());
        }
        // Two that can meet stay.
        let stay = self.present().into_iter().filter(|other| *other != at);
        let stay: BTreeSet<NodeId> = stay.map(|at| self.machines[at].id()).collect();
        if stay.len() < 2 {
            return Ok(());
        }
        self.go_down(at, Down::CutAllLost)?;
        self.say(&format!("{at} never comes back"));
        self.machines[at].gone = true;
        Ok(())
    }

    fn inspect(&mut self, at: usize) -> Checked {
        let Some(store) = self.machines[at].up() else { return Ok(()) };
        let disk = self.machines[at].disk.clone();
        let checked = disk.spared(|| self.ledger.check_whole(at, &store));
        if self.excuse(at, checked)? {
            return Ok(());
        }
        for name in COLLECTIONS {
            // Reads may fail with the disk; they are never wrong, and never panic.
            let digests = store.digests(name);
            let excused = digests.is_ok() || self.may_fail(at);
            ensure!(excused, "store {at} could not be read: {:?}", digests.map_err(|e| e.kind()));
            let page = store.log_start(name, &Default::default());
            match page.and_then(|from| store.log_read(name, from, 1 << 10)) {
                // Who reads the log gives it to a peer.
                Ok(page) => {
                    for (_, bytes, _) in page.records {
                        self.ledger.sent(at, name, &bytes)?;
                    }
                }
                Err(err) => {
                    ensure!(self.may_fail(at), "the log of {at} could not be read: {err}");
                }
            }
        }
        Ok(())
    }
}
