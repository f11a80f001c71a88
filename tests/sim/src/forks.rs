//! Forks: what may come of stores that were copied.
//!
//! Both sides of a fork are kept everywhere, so a link goes on over it, and at the end all hold the
//! same. Where logs are whole that is all. Where they are short, a link may end a collection, and
//! says so and what the way out is, and it is checked that it had to: one of the two holds one side
//! of a fork and has in its log no longer all that it holds from the fork on, so that it can't give
//! it another name. Nobody ever joins a snapshot of one side over the other.
//!
//! Who leaves the collection and takes it anew is healed.

use littoral::id::Vector;
use littoral::sync::door::Offence;
use littoral::txn::peek_dot;

use crate::ledger::COLLECTIONS;
use crate::link::End;
use crate::plan::WHOLE;
use crate::spy;
use crate::world::World;

use crate::{Checked, ensure};

impl World {
    /// Whether a store holds one side of a fork, and lacks in its log some of what it holds from
    /// there on.
    fn is_beyond_log(&self, at: usize, name: &str) -> bool {
        let Some(book) = self.ledger.books.get(name) else { return false };
        let Some(held) = self.ledger.accounts[at].held.get(name) else { return false };
        let logged = self.logged(at, name);
        let short = |side| book.from(held, side).iter().any(|hash| !logged.contains(hash));
        book.sides(held).iter().any(short)
    }

    /// What the log of a store has of a collection. What is from before it was left is of another
    /// life: the store does not know it any more.
    fn logged(&self, at: usize, name: &str) -> Vec<littoral::id::ShortHash> {
        let disk = &self.machines[at].disk;
        let records = disk.spared(|| spy::read(disk, spy::start(disk)).0);
        let mut of_it: Vec<spy::Logged> =
            records.into_iter().filter(|record| record.collection == name).collect();
        let left = |record: &spy::Logged| record.kind == spy::BARRIER && record.bytes == b"left";
        if let Some(last) = of_it.iter().rposition(left) {
            of_it.drain(..last);
        }
        let of_it = of_it.into_iter().filter(|record| record.kind == spy::TXN);
        let find = |record: spy::Logged| {
            let dot = peek_dot(&record.bytes).ok()?;
            self.ledger.books[name].find(&dot, &record.bytes)
        };
        of_it.filter_map(find).collect()
    }

    /// A snapshot was joined: under the names in it, the store has held the same.
    pub(crate) fn check_join(&self, at: usize, name: &str, view: &Vector) -> Checked {
        let Some(book) = self.ledger.books.get(name) else { return Ok(()) };
        let mixed = book.mixed(self.ledger.accounts[at].vectors.get(name), view)?;
        let Some(dot) = mixed else { return Ok(()) };
        let ours = self.ledger.accounts[at].vectors.get(name);
        Err(format!("store {at} joined a view of {name} with another {dot}: {ours:?} and {view:?}"))
    }

    /// A link has ended a collection: there must be a fork that can't be named.
    pub(crate) fn check_halt(
        &mut self,
        number: u64,
        name: &str,
        (offence, why): (Offence, &str),
        by_peer: bool,
    ) -> Checked {
        let Some(link) = self.links.get(&number) else { return Ok(()) };
        let machines = link.machines;
        if self.plan.rights && offence == Offence::Forbidden {
            // Nobody is halted at the end: see `rights`.
            self.halts += u64::from(!by_peer);
            return Ok(());
        }
        let other = |end: &End| end.halted.contains(name);
        let told = link.ends.iter().flatten().any(other) || link.ends.iter().any(Option::is_none);
        ensure!(!by_peer || told, "link {number} of {machines:?}: nobody ended {name}: {why}");
        ensure!(why.contains("sync it anew"), "{machines:?}: {name}: no way out: {why}");
        ensure!(
            offence == Offence::Forked && self.ledger.has_copies() && !self.plan.whole_logs,
            "link {number} of {machines:?} ended {name}: {offence:?}: {why}"
        );
        // Whoever says it first knows; what the other one holds may have changed on the way.
        let beyond = || machines.iter().any(|at| self.is_beyond_log(*at, name));
        ensure!(
            by_peer || beyond(),
            "link {number} of {machines:?} ended {name}, which can be named: {why}"
        );
        self.halts += u64::from(!by_peer);
        Ok(())
    }

    /// Collections that some link has ended.
    pub(crate) fn halted(&self) -> Vec<&'static str> {
        let ends = || self.links.values().flat_map(|link| link.ends.iter().flatten());
        let is_halted = |name: &&str| ends().any(|end| end.halted.contains(*name));
        COLLECTIONS.into_iter().filter(is_halted).collect()
    }

    /// A store leaves a collection; it comes back with the next link.
    pub(crate) fn take_anew(&mut self, at: usize, name: &str) -> Checked {
        let Some(store) = self.machines[at].up() else { return Ok(()) };
        let left = store.leave(name);
        self.say(&format!("{at} left {name} to take it anew: {left:?}"));
        left.map_err(|err| format!("store {at} could not leave {name}: {err}"))?;
        self.machines[at].follower.iter_mut().for_each(|follower| follower.drop_all());
        self.touch(at);
        self.ledger.left(at, name)?;
        self.acknowledge(at)
    }

    /// Whoever is apart from the first leaves the collection, and takes it anew. If that was to no
    /// avail it has room for all of it in its log: one that keeps less than lies between the sides of
    /// a fork has none of the one when the other comes.
    pub(crate) fn heal(&mut self, whole: bool) -> Checked<bool> {
        let halted = self.halted();
        if !halted.is_empty() {
            // What is under way from others must not come after the leaving.
            for link in self.link_numbers() {
                self.lose(link, 0);
                self.lose(link, 1);
            }
        }
        for name in &halted {
            for at in self.present().into_iter().skip(1) {
                if let Some(store) = self.machines[at].up().filter(|_| whole) {
                    let room = store.set_log_budget(name, Some(WHOLE));
                    room.map_err(|err| format!("store {at} keeps no more of {name}: {err}"))?;
                }
                self.take_anew(at, name)?;
            }
        }
        if !halted.is_empty() {
            self.healed += 1;
            self.look()?;
            self.settle()?;
        }
        Ok(!halted.is_empty())
    }
}
