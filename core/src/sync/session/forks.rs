//! The part of a session that deals with histories that have forked (rule 11).
//!
//! ```text
//!   the longer side                       the other
//!   Have ◀──────────────────────────────  Have            contradicts what is held
//!   Differs ────────────────────────────▶                 hashes, newest first
//!        ◀──────────────────────────────  Shared, Txns    its side, from where they part
//!   (the store parts: new names)
//!   Branches, Have ─────────────────────▶                 (its store parts, too)
//!        ◀────────────────────  Branches, Have
//! ```
//!
//! After that both tail on by the new names. Where it can't be told from where on they differ, or
//! the naming fails, the collection is halted on this link, and only it.

use std::collections::BTreeMap;

use super::{Outcomes, Session};
use crate::id::{Dot, Head, Origin, Seq, ShortHash, Vector};
use crate::limits::MAX_FORK_HASHES;
use crate::sync::Source;
use crate::sync::door::{Offence, SnapshotStep};
use crate::sync::message::Control;

/// How often a link asks again because of a fork before it gives the collection up.
const PATIENCE: u8 = 12;

/// How many views in a row may name forked origins otherwise. Each is asked for later than the one
/// before, and meanwhile the two sides may learn each other's names.
const MOST_UNALIKE: u8 = 12;

/// What a lane knows of forks.
#[derive(Debug, Default)]
pub(super) struct Forks {
    /// How many branches there were when the peer was last told.
    named: usize,
    /// How often something contradicted since then.
    attempts: u8,
    /// What the peer says to hold, where that contradicts what is held here.
    said: Option<Vector>,
    /// Of origins whose histories differ, the last number at which both hold the same.
    shared: BTreeMap<Origin, Seq>,
    /// How the peer names forked origins, as long as some of that can't be taken over: what
    /// leads to the forks has not come yet.
    later: Option<Vec<u8>>,
    /// How often in a row a view named forked origins otherwise than we.
    unalike: u8,
    /// What was held when that was last tried because all had come.
    tried: Vector,
    /// It is tried again, since something was missing.
    again: bool,
    /// The peer was asked what it holds, since it sent what contradicts, and has not said yet.
    asked: bool,
    /// Bytes of what is being taken over.
    learning: Option<usize>,
    /// What the peer told since: the newest, which is to be taken over next.
    next: Option<Vec<u8>>,
}

impl Forks {
    /// Bytes of what the peer told of names that are held.
    pub(super) fn held(&self) -> usize {
        let kept = [&self.later, &self.next].into_iter().flatten().map(Vec::len).sum::<usize>();
        kept + self.learning.unwrap_or(0)
    }

    /// Entries of the vector that contradicts.
    pub(super) fn entries(&self) -> usize {
        self.said.as_ref().map_or(0, Vector::len)
    }
}

impl Session {
    /// What the peer says to hold contradicts what is held here, at `dot` at least. It hears where,
    /// and gets nothing until it is known from where on.
    pub(super) fn contradicted(
        &mut self,
        name: &str,
        dot: Dot,
        vector: Vector,
        source: &dyn Source,
    ) -> Outcomes {
        // The answer to a question is not counted: the question was.
        let answers = std::mem::take(&mut self.lane(name)?.forks.asked);
        if !answers && self.lose_patience(name)? {
            let why = format!("two transactions are called {dot}");
            return self.refuse_forked(name, why);
        }
        let lane = self.lane(name)?;
        lane.forks.said = Some(vector);
        lane.forks.shared.clear();
        let old = lane.out.halt();
        let unasked = lane.tail.is_unasked();
        self.check_entries()?;
        self.reset(old);
        match unasked {
            true => self.ask(name, source),
            false => self.tell_differences(name, source),
        }
    }

    /// The peer says what it holds, and none of it contradicts.
    pub(super) fn not_contradicted(&mut self, name: &str) -> Outcomes {
        let forks = &mut self.lane(name)?.forks;
        forks.said = None;
        forks.asked = false;
        forks.shared.clear();
        Ok(())
    }

    /// Tells the peer where what it says to hold differs from what is held here, if it does. Goes
    /// after each vector of ours, since that lets it begin anew.
    pub(super) fn tell_differences(&mut self, name: &str, source: &dyn Source) -> Outcomes {
        let Some(said) = &self.lane(name)?.forks.said else { return Ok(()) };
        let differ = source.contradictions(name, said)?;
        let most = (MAX_FORK_HASHES / differ.len().max(1)).max(1);
        for from in differ {
            let hashes = source.hashes_down(name, &from, most)?;
            self.say(&Control::Differs { collection: name.to_owned(), from, hashes });
        }
        Ok(())
    }

    /// If the log does not reach back to what the peer holds, no transaction will show it the
    /// fork, and no snapshot can be joined over it: then it is told what it would see.
    fn tell_side(
        &mut self,
        name: &str,
        origin: Origin,
        shared: Seq,
        source: &dyn Source,
    ) -> Outcomes {
        let lane = self.lane(name)?;
        let said = lane.forks.said.clone().unwrap_or_else(|| lane.out.peer_has());
        let held = lowered(said, &BTreeMap::from([(origin, shared)]));
        if !held.covers_all(&*source.floor(name)?)
            && let Some(branches) = source.side(name, origin, shared)?
        {
            self.say(&Control::Branches { collection: name.to_owned(), branches });
        }
        Ok(())
    }

    /// Counts a contradiction; gives whether there were too many.
    fn lose_patience(&mut self, name: &str) -> Outcomes<bool> {
        let forks = &mut self.lane(name)?.forks;
        forks.attempts = forks.attempts.saturating_add(1);
        Ok(forks.attempts > PATIENCE)
    }

    /// The peer holds something else under a name: it gets ours from where the two part.
    pub(super) fn differs(
        &mut self,
        name: &str,
        from: Dot,
        hashes: &[ShortHash],
        source: &dyn Source,
    ) -> Outcomes {
        if !self.wants(name) || self.lane(name)?.tail.is_halted() {
            return Ok(());
        }
        let Some(shared) = source.last_shared(name, &from, hashes)? else {
            let why = format!(
                "two transactions are called {from}, and the log no longer reaches back to where \
                 the histories part"
            );
            return self.refuse_forked(name, why);
        };
        let collection = name.to_owned();
        self.say(&Control::Shared { collection, last: Dot { seq: shared, ..from } });
        self.part_at(name, from.origin, shared, source)
    }

    /// The peer has found where the histories of an origin part.
    pub(super) fn shared(&mut self, name: &str, last: Dot, source: &dyn Source) -> Outcomes {
        if !self.wants(name) || self.lane(name)?.tail.is_halted() {
            return Ok(());
        }
        self.part_at(name, last.origin, last.seq, source)
    }

    /// The peer gets what is held of an origin after what both share. If something else in what it
    /// says to hold is still open, it gets nothing yet.
    fn part_at(
        &mut self,
        name: &str,
        origin: Origin,
        shared: Seq,
        source: &dyn Source,
    ) -> Outcomes {
        let lane = self.lane(name)?;
        lane.forks.shared.insert(origin, shared);
        self.tell_side(name, origin, shared, source)?;
        let lane = self.lane(name)?;
        if let Some(said) = &lane.forks.said {
            let open = source.contradictions(name, said)?;
            if open.iter().any(|dot| !lane.forks.shared.contains_key(&dot.origin)) {
                return Ok(());
            }
        }
        let said = lane.forks.said.clone();
        let vector = lowered(said.unwrap_or_else(|| lane.out.peer_has()), &lane.forks.shared);
        let start = source.start(name, &vector)?;
        let old = self.lane(name)?.out.have(&vector, start);
        self.reset(old);
        self.ready.insert(name.to_owned());
        Ok(())
    }

    /// What the peer sent contradicts what is held, itself or in what it builds on. One of the two
    /// sees in the other's vector where, and it may be the one that holds more: so the peer hears
    /// what is held here, and is asked what it holds. It says so when it is told of names.
    pub(super) fn forked(&mut self, name: &str, why: String, source: &dyn Source) -> Outcomes {
        if self.lose_patience(name)? {
            return self.refuse_forked(name, why);
        }
        let dropped = self.lane(name)?.tail.abandon();
        self.stop(dropped)?;
        if !std::mem::replace(&mut self.lane(name)?.forks.asked, true) {
            let branches = source.branches(name);
            self.say(&Control::Branches { collection: name.to_owned(), branches });
        }
        self.ask(name, source)
    }

    /// The two sides can't be named on this link: there is a way out, and who reads why is told.
    pub(super) fn refuse_forked(&mut self, name: &str, why: String) -> Outcomes {
        let way_out = "sync it anew";
        let why = match why.contains(way_out) {
            true => why,
            false => format!(
                "{why}: the history of an author has forked, since its store was copied or rolled \
                 back; leave collection '{name}' on one of the two and {way_out}"
            ),
        };
        self.refuse(name, Offence::Forked, why)
    }

    /// The peer says how it names forked origins.
    pub(super) fn told_branches(
        &mut self,
        name: &str,
        branches: Vec<u8>,
        source: &dyn Source,
    ) -> Outcomes {
        if !self.listens_to(name)? {
            return Ok(());
        }
        if source.branches(name) == branches {
            return self.ask(name, source);
        }
        self.learn(name, branches)?;
        self.check_room(0)
    }

    /// Takes over what the peer told of names, one thing after the other: what comes meanwhile
    /// waits, and only the newest of it, which has all that those before had.
    fn learn(&mut self, name: &str, branches: Vec<u8>) -> Outcomes {
        let forks = &mut self.lane(name)?.forks;
        if forks.learning.is_some() {
            forks.next = Some(branches);
            return Ok(());
        }
        // It goes to the store, and is kept in case that something is missing.
        forks.learning = Some(2 * branches.len());
        let ticket = self.step(name, SnapshotStep::Learn { branches: branches.clone() });
        self.learning.insert(ticket, branches);
        Ok(())
    }

    /// Something that the peer told was taken over, or could not be: on with what it told since.
    pub(super) fn learn_next(&mut self, name: &str) -> Outcomes {
        let lane = self.lane(name)?;
        lane.forks.learning = None;
        match lane.forks.next.take().filter(|_| !lane.tail.is_halted()) {
            Some(branches) => self.learn(name, branches),
            None => Ok(()),
        }
    }

    /// Something is missing that the peer holds. Perhaps it has another name here, as long as not
    /// all that the peer told of names was taken over: gives whether that is tried again.
    pub(super) fn learn_later(&mut self, name: &str) -> Outcomes<bool> {
        let forks = &mut self.lane(name)?.forks;
        let Some(branches) = forks.later.take() else { return Ok(false) };
        forks.again = true;
        self.learn(name, branches)?;
        Ok(true)
    }

    /// A view came to nothing, or not. Gives whether that was too often, since what has forked is
    /// named otherwise in it than here, and neither side can take over the other's names.
    pub(super) fn is_named_otherwise(&mut self, name: &str, began: bool) -> Outcomes<bool> {
        let forks = &mut self.lane(name)?.forks;
        forks.unalike = if began { 0 } else { forks.unalike.saturating_add(1) };
        Ok(forks.unalike > MOST_UNALIKE)
    }

    /// All that the peer holds has come. What it told of names may fit now.
    pub(super) fn learn_at_last(&mut self, name: &str, source: &dyn Source) -> Outcomes {
        if self.lane(name)?.forks.later.is_none() {
            return Ok(());
        }
        let held = source.vector(name)?;
        let forks = &mut self.lane(name)?.forks;
        if forks.tried != held
            && let Some(branches) = forks.later.take()
        {
            forks.tried = held;
            self.learn(name, branches)?;
        }
        Ok(())
    }

    /// What the peer told is taken over: it hears under which names we hold what.
    pub(super) fn learnt(
        &mut self,
        name: &str,
        later: Option<Vec<u8>>,
        source: &dyn Source,
    ) -> Outcomes {
        if self.lane(name)?.tail.is_halted() {
            return Ok(());
        }
        let forks = &mut self.lane(name)?.forks;
        forks.later = later;
        let again = std::mem::take(&mut forks.again);
        match self.renamed(name, source)? {
            true => Ok(()),
            false if again => self.missing(name, source),
            false => self.ask(name, source),
        }
    }

    /// Where origins were renamed since the peer was told, it is told, and both tails start anew.
    pub(super) fn renamed(&mut self, name: &str, source: &dyn Source) -> Outcomes<bool> {
        let lane = self.lane(name)?;
        if lane.tail.is_halted() || lane.forks.named == source.branch_count(name) {
            return Ok(false);
        }
        let old = lane.out.halt();
        self.reset(old);
        self.ask(name, source).map(|()| true)
    }

    /// Tells the peer how forked origins are named, if it was not told. Goes before our vector.
    pub(super) fn tell_branches(&mut self, name: &str, source: &dyn Source) -> Outcomes {
        let count = source.branch_count(name);
        let forks = &mut self.lane(name)?.forks;
        if forks.named != count {
            (forks.named, forks.attempts, forks.unalike) = (count, 0, 0);
            let branches = source.branches(name);
            self.say(&Control::Branches { collection: name.to_owned(), branches });
        }
        Ok(())
    }

    /// Both sides hold the same, by the same names.
    pub(super) fn named_alike(&mut self, name: &str, source: &dyn Source) -> Outcomes {
        self.lane(name)?.forks.named = source.branch_count(name);
        Ok(())
    }
}

/// A vector in which some origins end earlier.
fn lowered(vector: Vector, to: &BTreeMap<Origin, Seq>) -> Vector {
    let lower = |(origin, head): (&Origin, &Head)| match to.get(origin) {
        Some(0) => None,
        Some(to) => Some((*origin, Head { seq: head.seq.min(*to), ..*head })),
        None => Some((*origin, *head)),
    };
    vector.iter().filter_map(lower).collect()
}
