//! Forks: what is expected where the stores of one node have used a dot twice.
//!
//! Two ways of a schedule with copies and roll-backs (`plan.forks`):
//! - **proof arrives in time**: a store with more than one life meets only peers that hold what its
//!   other lives have handed out under the name that it uses. So mostly only one life hands out a
//!   dot, the others learn that it is taken, and all converge. (Not always: a store counts what it
//!   writes shortly after it was read as handed out, and then a real fork it is.)
//! - **real forks**: nothing keeps two lives from handing out different transactions of one name.
//!   Each store then stays on the line that it holds (the ledger sees to that), nothing is lost on
//!   either, and a link between stores of different lines ends that collection and says so; all
//!   others go on.
//!
//! Whichever it is, a link may end a collection only where the two stores do hold different
//! transactions under one name, and stores whose links end nothing must hold the same.
//!
//! What a fork ends is said here and nowhere else: once both lines are kept everywhere, nothing is
//! to end any more, and `may_end` is `false`.

use littoral::ErrorKind;
use littoral::id::{Dot, Hash, Head, Origin, ShortHash, Vector};
use littoral::sync::door::Offence;

use crate::ledger::COLLECTIONS;
use crate::machine::Down;
use crate::world::{Event, World};
use crate::{Checked, ensure};

impl World {
    /// Whether two stores may be unable to exchange a collection, as things are.
    fn may_end(&self, [a, b]: [usize; 2], name: &str, why: &str) -> bool {
        let [ours, theirs] = [a, b].map(|at| self.vector(at, name));
        if self.ledger.books[name].contradiction(&ours, &theirs).is_some() {
            return true;
        }
        // Where logs are short, own transactions that were not handed out can't always be signed
        // again: a view has no chain, so it can't be told whether it goes on from them; and what
        // was pruned can't be read.
        let lives = |at: usize| self.ledger.has_lives(&self.machines[at].id());
        let too_short = ["the snapshot holds another", "the log no longer holds what it takes"];
        too_short.into_iter().any(|reason| why.contains(reason)) && (lives(a) || lives(b))
    }

    /// A link has ended a collection, because of a fork: there must be one.
    pub(crate) fn check_halt(
        &mut self,
        number: u64,
        name: &str,
        (offence, why): (Offence, &str),
        by_peer: bool,
    ) -> Checked {
        let Some(link) = self.links.get(&number) else { return Ok(()) };
        let [a, b] = link.machines;
        let fork = offence == Offence::Forked && self.ledger.has_copies();
        ensure!(fork, "link {number} of {a} and {b} ended {name}: {offence:?}");
        // Whoever says it first knows; what the other one holds may have changed on the way.
        ensure!(
            by_peer || self.may_end([a, b], name, why),
            "link {number} of {a} and {b} ended {name}: they hold the same lines, {:?} and {:?}",
            self.vector(a, name),
            self.vector(b, name)
        );
        Ok(())
    }

    /// Whether a store may refuse what another one holds.
    pub(crate) fn may_refuse(&self, kind: ErrorKind) -> bool {
        kind == ErrorKind::Forked && self.ledger.has_copies()
    }

    /// Whether two machines may have a link: always, if forks may happen; else if neither of them
    /// can hand out, under a name that another life of its store has used, what the other one
    /// would take.
    pub(crate) fn may_meet(&mut self, a: usize, b: usize) -> bool {
        if self.machines[a].id() == self.machines[b].id() {
            return false;
        }
        self.plan.forks || (self.may_tell(a, b) && self.may_tell(b, a))
    }

    fn may_tell(&self, at: usize, peer: usize) -> bool {
        let wants = |at: usize, of: usize, name: &str| {
            let wanted = self.machines[at].up().and_then(|s| s.wanted(&self.machines[of].id()));
            wanted.is_none_or(|names| names.contains(name))
        };
        let exchanged = |name: &&str| wants(at, peer, name) && wants(peer, at, name);
        let mut names = COLLECTIONS.into_iter().filter(exchanged);
        names.all(|name| {
            let mut taken = self.taken(at, name).into_iter();
            taken.all(|(dot, hash)| self.ledger.is_held(name, &dot, hash, &[peer]))
        })
    }

    /// What other lives of a store have handed out under the name that it uses, and it lacks.
    fn taken(&self, at: usize, name: &str) -> Vec<(Dot, Hash)> {
        let node = self.machines[at].id();
        if !self.ledger.has_lives(&node) {
            return Vec::new();
        }
        let others: Vec<usize> = self.present().into_iter().filter(|other| *other != at).collect();
        let given = self.ledger.books[name].handed_out(&node);
        let given = given.map(|(dot, entry)| (*dot, entry.hash)).filter(|(dot, hash)| {
            !self.ledger.is_held(name, dot, *hash, &[at])
                && (self.ledger.is_held(name, dot, *hash, &others)
                    || (!self.peace && self.ledger.is_kept(name, dot, *hash)))
                && self.is_present(at, name, &dot.origin)
        });
        given.collect()
    }

    /// Whether a store writes under this name now: nobody else may claim to hold more of it.
    fn is_present(&self, at: usize, name: &str, origin: &Origin) -> bool {
        let Some(store) = self.machines[at].up() else { return true };
        let claim = Head { seq: u64::MAX, hash: ShortHash([7; 16]) };
        let claim: Vector = [(*origin, claim)].into_iter().collect();
        self.machines[at].disk.spared(|| store.doubts(name, &claim)).unwrap_or(true)
    }

    /// Ends the links of stores that must not meet any more. A store starts again if another life
    /// of it was first to hand out a number: else it would count what it writes next as handed
    /// out, since it has been read a moment ago.
    pub(crate) fn keep_apart(&mut self) -> Checked {
        if self.plan.forks || self.seen_handed_out == self.ledger.handed_out {
            return Ok(());
        }
        self.seen_handed_out = self.ledger.handed_out;
        for number in self.link_numbers() {
            let Some([a, b]) = self.links.get(&number).map(|link| link.machines) else { continue };
            if !self.may_meet(a, b) {
                self.say(&format!("{a} and {b} must not meet now"));
                self.lose(number, 0);
                self.lose(number, 1);
            }
        }
        for at in self.present() {
            let late = COLLECTIONS.into_iter().any(|name| !self.taken(at, name).is_empty());
            let was_late = std::mem::replace(&mut self.machines[at].late, late);
            if late && !was_late && self.machines[at].store.is_some() {
                self.go_down(at, Down::Killed)?;
                self.machines[at].restarting = true;
                self.schedule(0, Event::Restart(at, Down::Killed));
            }
        }
        Ok(())
    }

    /// In the end, stores with a link on which a collection goes on hold the same of it; and if it
    /// goes on everywhere, all do.
    pub(crate) fn compare_pairs(&mut self) -> Checked {
        for name in COLLECTIONS {
            let halted = |link: &crate::link::Link| {
                link.ends.iter().flatten().any(|end| end.halted.contains(name))
            };
            let links = self.links.values().map(|link| (link.machines, halted(link)));
            let links: Vec<([usize; 2], bool)> = links.collect();
            let apart = links.iter().any(|(_, halted)| *halted);
            let present = self.present();
            let pairs: Vec<[usize; 2]> = match apart {
                false => present[1..].iter().map(|at| [present[0], *at]).collect(),
                true => links.iter().filter(|(_, halted)| !halted).map(|(pair, _)| *pair).collect(),
            };
            self.forked += u64::from(apart);
            for [a, b] in pairs {
                let [ours, theirs] = [a, b].map(|at| self.vector(at, name));
                ensure!(ours == theirs, "{name}: {a} holds {ours:?}, {b} holds {theirs:?}");
                let digests = |at: usize| {
                    let store = self.machines[at].up().ok_or_else(|| format!("{at} is down"))?;
                    store.digests(name).map_err(|err| err.to_string())
                };
                let [ours, theirs] = [digests(a)?, digests(b)?];
                ensure!(ours == theirs, "{name}: {a} has {ours:?}, {b} has {theirs:?}");
            }
        }
        Ok(())
    }
}
