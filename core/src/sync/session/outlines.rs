//! The part of a session that tells long vectors in short, and hears them: see
//! [`outline`](crate::sync::outline).
//!
//! To all else it is as if a `Have` had been said or heard. What has to follow a vector follows
//! `Picked`. Only the newest outline of each side counts: a `Have` or another outline takes its
//! place, and a `Pick` of an older one is passed over, since its own is under way. They are told
//! apart by numbers: the same vector may be told twice, and what it is compared with has changed.

use super::{Outcomes, Session};
use crate::id::{Hash, Vector};
use crate::limits::MAX_VECTOR_ENTRIES;
use crate::sync::Source;
use crate::sync::door::Offence;
use crate::sync::failure::breach;
use crate::sync::message::Control;
use crate::sync::outline::{Outline, compose, pick};

/// What a lane knows of outlines.
#[derive(Debug, Default)]
pub(super) struct Outlined {
    /// How often we told one.
    count: u64,
    /// Ours, of which the peer has not picked yet.
    ours: Option<Ours>,
    /// The peer's, of which we have picked.
    theirs: Option<Theirs>,
}

#[derive(Debug)]
struct Ours {
    number: u64,
    vector: Vector,
    buckets: usize,
}

#[derive(Debug)]
struct Theirs {
    number: u64,
    digest: Hash,
    buckets: usize,
    picks: Vec<u16>,
    /// What we held when we picked.
    base: Vector,
}

impl Outlined {
    /// Entries of vectors that are remembered because of the peer.
    pub(super) fn entries(&self) -> usize {
        self.theirs.as_ref().map_or(0, |theirs| theirs.base.len())
    }

    /// The peer has said what it holds; an outline from before says no more.
    pub(super) fn heard(&mut self) {
        self.theirs = None;
    }

    /// Whether the peer knows all that we have said: nothing of ours is told in short only.
    pub(super) fn is_said(&self) -> bool {
        self.ours.is_none()
    }

    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.ours.is_none() && self.theirs.is_none()
    }
}

impl Session {
    /// Says what is held: in short, if that is long.
    pub(super) fn say_have(&mut self, name: &str, vector: Vector, source: &dyn Source) -> Outcomes {
        if vector.len() > MAX_VECTOR_ENTRIES {
            let why =
                format!("it has {} origins; a link carries {MAX_VECTOR_ENTRIES}", vector.len());
            return self.refuse(name, Offence::TooMuch, why);
        }
        let collection = name.to_owned();
        if vector.len() <= self.outline_above {
            self.lane(name)?.outlined.ours = None;
            self.say(&Control::Have { collection, vector });
            return self.tell_differences(name, source);
        }
        let outline = Outline::of(&vector);
        let buckets = outline.buckets.len();
        let outlined = &mut self.lane(name)?.outlined;
        outlined.count += 1;
        let number = outlined.count;
        outlined.ours = Some(Ours { number, vector, buckets });
        self.say(&Control::Outline { collection, number, outline });
        Ok(())
    }

    /// The peer says in short what it holds: it is asked for where that differs.
    pub(super) fn outlined(
        &mut self,
        name: &str,
        number: u64,
        outline: &Outline,
        source: &dyn Source,
    ) -> Outcomes {
        if !self.listens_to(name)? {
            return Ok(());
        }
        let base = source.vector(name)?;
        let picks = outline.differing(&base);
        let (digest, buckets) = (outline.vector, outline.buckets.len());
        let collection = name.to_owned();
        self.say(&Control::Pick { collection, number, buckets: picks.clone() });
        self.lane(name)?.outlined.theirs = Some(Theirs { number, digest, buckets, picks, base });
        self.check_entries()
    }

    /// The peer asks for a part of what we said in short.
    pub(super) fn pick(
        &mut self,
        name: &str,
        number: u64,
        picks: &[u16],
        source: &dyn Source,
    ) -> Outcomes {
        let Some(lane) = self.lanes.get_mut(name) else { return Ok(()) };
        let Some(ours) = lane.outlined.ours.take_if(|ours| ours.number == number) else {
            return Ok(());
        };
        if picks.last().is_some_and(|last| usize::from(*last) >= ours.buckets) {
            return Err(breach("a bucket that the outline does not have"));
        }
        // It may have been left or renamed since: nothing is said to be held that is not.
        if !source.vector(name)?.covers_all(&ours.vector) {
            return self.ask(name, source);
        }
        let vector = pick(&ours.vector, ours.buckets, picks);
        self.say(&Control::Picked { collection: name.to_owned(), number, vector });
        self.tell_differences(name, source)
    }

    /// The peer tells what was picked: with that, all that it holds is known.
    pub(super) fn picked(
        &mut self,
        name: &str,
        number: u64,
        picked: &Vector,
        source: &dyn Source,
    ) -> Outcomes {
        let Some(lane) = self.lanes.get_mut(name) else { return Ok(()) };
        let Some(theirs) = lane.outlined.theirs.take_if(|theirs| theirs.number == number) else {
            return Ok(());
        };
        let Theirs { digest, buckets, picks, base, .. } = theirs;
        let vector = compose(&base, buckets, &picks, picked);
        if vector.len() > MAX_VECTOR_ENTRIES || vector.digest() != digest {
            return Err(breach("a vector that is not the one of its outline"));
        }
        self.peer_has(name, vector, source)
    }
}
