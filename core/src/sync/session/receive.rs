//! The part of a session that receives tails: from bytes of a stream to what is to be applied.

use super::{Outcomes, Session, State};
use crate::id::Position;
use crate::sync::Source;
use crate::sync::ask::SNAPSHOT;
use crate::sync::door::{Event, Offence, Outcome, Output, StreamId};
use crate::sync::failure::{breach, store_failed};
use crate::sync::message::{Tail, Txn};
use crate::sync::packing::unpack;
use crate::sync::streams::Carries;
use crate::sync::tail_in::{Bound, Missing, Work};

impl Session {
    pub(super) fn receive(&mut self, id: u64, bytes: &[u8], source: &dyn Source) -> Outcomes {
        self.check_room(bytes.len())?;
        self.streams.push(id, bytes)?;
        match self.state {
            State::Ready => self.drain_stream(id, source),
            _ => Ok(()),
        }
    }

    pub(super) fn finished(&mut self, id: u64, source: &dyn Source) -> Outcomes {
        self.streams.finish(id);
        match self.state {
            State::Ready => self.drain_stream(id, source),
            _ => Ok(()),
        }
    }

    /// Works off the whole frames of a stream, and its end, if it has come.
    pub(super) fn drain_stream(&mut self, id: u64, source: &dyn Source) -> Outcomes {
        while let Some(frame) = self.streams.next_frame(id)? {
            let carries = self.streams.carries(id).cloned();
            let frame = match carries {
                Some(Carries::Tail(ref name) | Carries::Snapshot(ref name)) => {
                    unpack(frame, self.scope(name))?
                }
                None => frame,
            };
            match carries {
                None if frame.first() == Some(&SNAPSHOT) => self.bind_snapshot(id, &frame)?,
                None => match Tail::from_frame(&frame)? {
                    Tail::Tail { collection } => self.bind(id, &collection)?,
                    _ => return Err(breach("a stream that does not say what it carries")),
                },
                Some(Carries::Tail(name)) => {
                    self.tail_message(id, &name, Tail::from_frame(&frame)?, source)?;
                }
                Some(Carries::Snapshot(name)) => self.answered(id, &name, &frame, source)?,
            }
        }
        if self.streams.is_finished(id) && self.end_stream(id)? > 0 {
            return Err(breach("a stream ended within a frame"));
        }
        Ok(())
    }

    fn tail_message(
        &mut self,
        id: u64,
        name: &str,
        message: Tail,
        source: &dyn Source,
    ) -> Outcomes {
        match message {
            Tail::Tail { .. } => Err(breach("a stream that says twice what it carries")),
            Tail::Txns { position, txns } => self.txns(name, position, txns, source),
            Tail::CaughtUp => {
                self.lane(name)?.tail.push_caught_up();
                self.work(name, source)
            }
            Tail::Behind => {
                self.lane(name)?.tail.push_behind();
                self.end_stream(id)?;
                self.work(name, source)
            }
        }
    }

    fn bind(&mut self, id: u64, name: &str) -> Outcomes {
        let lane = self.lanes.get_mut(name);
        let lane = lane.ok_or_else(|| breach("a tail of an unknown collection"))?;
        match lane.tail.bind(id)? {
            Bound::Current { replaced } => {
                self.streams.bind(id, Carries::Tail(name.to_owned()));
                self.stop(replaced)
            }
            Bound::Unwanted => self.stop(Some(id)),
        }
    }

    fn txns(
        &mut self,
        name: &str,
        position: Position,
        txns: Vec<Txn>,
        source: &dyn Source,
    ) -> Outcomes {
        let lane = self.lane(name)?;
        txns.iter().for_each(|txn| lane.out.heard(txn.dot));
        lane.tail.push_txns(position, txns)?;
        self.work(name, source)
    }

    /// Takes up what a tail has for us, until something has to be applied first.
    fn work(&mut self, name: &str, source: &dyn Source) -> Outcomes {
        loop {
            let (ticket, now_ms) = (self.next_ticket, self.now_ms);
            let Some(work) = self.lane(name)?.tail.next(ticket, now_ms) else { return Ok(()) };
            let collection = name.to_owned();
            match work {
                Work::Apply(txns) => {
                    self.next_ticket += 1;
                    self.tickets.insert(ticket, collection.clone());
                    self.output.push_back(Output::Apply { ticket, collection, txns });
                }
                Work::Synced => {
                    self.shown.insert(collection.clone());
                    self.event(Event::Synced { collection });
                    self.not_needed(name, source)?;
                    self.learn_at_last(name, source)?;
                }
                Work::Behind => {
                    // Who may not write can't serve a snapshot: somebody else has to help.
                    if !self.peer_may_write(name) {
                        self.event(Event::Stuck { collection });
                        continue;
                    }
                    self.event(Event::Behind { collection });
                    self.lane(name)?.joining.want();
                }
            }
        }
    }

    pub(super) fn applied(
        &mut self,
        ticket: u64,
        outcome: Outcome,
        source: &dyn Source,
    ) -> Outcomes {
        let Some(name) = self.tickets.remove(&ticket) else { return Ok(()) };
        match outcome {
            Outcome::Applied => {
                if let Some(position) = self.lane(&name)?.tail.applied(ticket) {
                    self.acks.insert(name.clone(), position);
                }
            }
            Outcome::MissingDependency => {
                let current = self.lane(&name)?.tail.refused(ticket);
                if current && !self.learn_later(&name)? {
                    self.missing(&name, source)?;
                }
            }
            Outcome::Forbidden(why) => {
                if self.lane(&name)?.tail.refused(ticket) {
                    self.forbidden(&name, why, source)?;
                }
            }
            Outcome::Refused(Offence::Forked, why) => {
                if self.lane(&name)?.tail.refused(ticket) {
                    self.forked(&name, format!("transaction refused: {why}"), source)?;
                }
            }
            Outcome::Refused(offence, why) => {
                self.lane(&name)?.tail.refused(ticket);
                return self.refuse(&name, offence, format!("transaction refused: {why}"));
            }
            Outcome::StoreFailed(why) => return Err(store_failed(why)),
        }
        self.work(&name, source)?;
        self.retry(&name, source)
    }

    /// What the peer sends is not valid, as far as is known here. It may have sent it before it
    /// heard what we have heard, and know better by now. Who knows what we hold and all that we
    /// know, and may not vouch for anything, ought not to send it.
    fn forbidden(&mut self, name: &str, why: String, source: &dyn Source) -> Outcomes {
        match self.start_over(name, source)? {
            Missing::Stuck if self.is_roster_settled() && !self.peer_may_write(name) => {
                match self.lane(name)?.tail.invalid() {
                    true => self.refuse(name, Offence::Forbidden, why),
                    false => Ok(()),
                }
            }
            Missing::Stuck => {
                self.event(Event::Stuck { collection: name.to_owned() });
                Ok(())
            }
            Missing::Ask | Missing::Later => Ok(()),
        }
    }

    /// Dependencies are unmet: no offence.
    pub(super) fn missing(&mut self, name: &str, source: &dyn Source) -> Outcomes {
        if self.start_over(name, source)? == Missing::Stuck {
            self.event(Event::Stuck { collection: name.to_owned() });
        }
        Ok(())
    }

    /// The stream is dropped, and the peer is told again what we hold, if that is news.
    fn start_over(&mut self, name: &str, source: &dyn Source) -> Outcomes<Missing> {
        let held = self.held(name, source)?;
        let now_ms = self.now_ms;
        let lane = self.lane(name)?;
        let verdict = lane.tail.missing(held, now_ms);
        let dropped = lane.tail.abandon();
        self.stop(dropped)?;
        if verdict == Missing::Ask {
            self.ask(name, source)?;
        }
        Ok(verdict)
    }

    /// Asks again for a collection that waits, if it is time and our vector has changed.
    pub(super) fn retry(&mut self, name: &str, source: &dyn Source) -> Outcomes {
        let now_ms = self.now_ms;
        if !self.lane(name)?.tail.is_due(now_ms) {
            return Ok(());
        }
        let held = self.held(name, source)?;
        match self.lane(name)?.tail.retry(held) {
            true => self.ask(name, source),
            false => Ok(()),
        }
    }

    /// Says what we hold, which restarts the peer's tail.
    pub(super) fn ask(&mut self, name: &str, source: &dyn Source) -> Outcomes {
        self.tell_branches(name, source)?;
        // What counts as news is what we hold; what the peer is told of it may be less.
        let held = self.held(name, source)?;
        let told = source.vector(name)?;
        let old = self.lane(name)?.tail.ask(held);
        self.stop(old)?;
        self.say_have(name, told, source)
    }

    /// Reads a stream no more.
    pub(super) fn stop(&mut self, id: Option<u64>) -> Outcomes {
        if let Some(id) = id {
            self.streams.end(id)?;
            self.output.push_back(Output::StopReading { stream: StreamId::Tail(id) });
        }
        Ok(())
    }

    /// The peer gives a stream up.
    pub(super) fn given_up(&mut self, id: u64) -> Outcomes {
        if let Some(Carries::Tail(name)) = self.streams.carries(id) {
            let name = name.clone();
            self.lane(&name)?.tail.given_up(id);
        }
        self.end_stream(id).map(|_| ())
    }

    /// A stream is over. Returns how many bytes of an unfinished frame were left.
    pub(super) fn end_stream(&mut self, id: u64) -> Outcomes<usize> {
        let (carried, left) = self.streams.end(id)?;
        let now_ms = self.now_ms;
        match carried {
            None => {}
            Some(Carries::Tail(name)) => self.lane(&name)?.tail.ended(id, now_ms),
            Some(Carries::Snapshot(name)) => self.snapshot_ended(id, &name)?,
        }
        Ok(left)
    }
}
