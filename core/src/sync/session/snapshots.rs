//! The part of a session that serves snapshots and takes them in, lane by lane.
//!
//! Questions go over the control stream; answers come over a stream of their own, after all
//! tails that have something to send. The streams are the session's like those of tails.

use super::{Carries, Lane, Outcomes, Session, breach, store_failed};
use crate::sync::Source;
use crate::sync::ask::{Answer, Question};
use crate::sync::door::{Event, Offence, Output, SnapshotStep, StepOutcome, StreamId};
use crate::sync::message::Control;
use crate::sync::snapshot_in::Stepped;
use crate::sync::snapshot_out::Reply;

impl Session {
    /// Whether one of our streams carries a snapshot: its bytes may wait for those of tails.
    pub fn is_snapshot(&self, stream: StreamId) -> bool {
        let StreamId::Tail(id) = stream else { return false };
        self.lanes.values().any(|lane| lane.serving.stream() == Some(id))
    }

    // Snapshots that we serve.

    /// The peer asks about a snapshot of ours.
    pub(super) fn asked(&mut self, name: &str, number: u64, question: Question) -> Outcomes {
        let now_ms = self.now_ms;
        let lane = self.lanes.get_mut(name);
        let lane = lane.ok_or_else(|| breach("a question about an unknown collection"))?;
        // A view has own transactions in it, and those stay here until the peer has shown what it
        // claims to hold of ours. Where each waits for the other's view, one has to begin.
        let begins = !lane.joining.is_idle() && self.config.us < self.config.peer;
        match question {
            Question::View if lane.doubted.is_some() && !begins => {
                let old = lane.serving.close();
                let stream = self.next_stream;
                self.next_stream += 1;
                self.give_up(old);
                self.reply(name, Reply::gone(name, number, stream, "it can't be given yet"));
            }
            Question::View => {
                let old = lane.serving.want(number, now_ms);
                self.give_up(old);
            }
            Question::Done => {
                if let Some(stream) = lane.serving.done(number) {
                    self.output.push_back(Output::Finish { stream: StreamId::Tail(stream) });
                }
            }
            question => lane.serving.ask(number, question, now_ms)?,
        }
        Ok(())
    }

    /// Answers one question of the peer, if there is one.
    pub(super) fn answer_next(&mut self, source: &dyn Source) -> Outcomes {
        let asked = self.lanes.iter_mut().find(|(_, lane)| lane.serving.is_asked());
        let Some((name, lane)) = asked else { return Ok(()) };
        let (us, have, next) = (&self.config.us, &lane.told, &mut self.next_stream);
        if let Some(reply) = lane.serving.answer(name, us, have, next, source)? {
            let name = name.clone();
            self.reply(&name, reply);
        }
        Ok(())
    }

    fn reply(&mut self, collection: &str, reply: Reply) {
        self.send_frames(collection, reply.stream, reply.bytes);
        if reply.last {
            self.output.push_back(Output::Finish { stream: StreamId::Tail(reply.stream) });
        }
    }

    fn give_up(&mut self, stream: Option<u64>) {
        if let Some(id) = stream {
            self.output.push_back(Output::Reset { stream: StreamId::Tail(id) });
        }
    }

    // Snapshots that we take in.

    /// A stream says that it carries a snapshot.
    pub(super) fn bind_snapshot(&mut self, id: u64, frame: &[u8]) -> Outcomes {
        let Answer::Snapshot { collection, number } = Answer::from_frame(frame)? else {
            return Err(breach("a stream that does not say what it carries"));
        };
        match self.lane(&collection)?.joining.bind(id, number) {
            true => {
                self.streams.bind(id, Carries::Snapshot(collection));
                Ok(())
            }
            false => self.stop(Some(id)),
        }
    }

    /// A frame of a snapshot arrived.
    pub(super) fn answered(
        &mut self,
        id: u64,
        name: &str,
        frame: &[u8],
        source: &dyn Source,
    ) -> Outcomes {
        match Answer::from_frame(frame)? {
            Answer::Gone(_) => {
                self.end_stream(id)?;
            }
            answer => self.lane(name)?.joining.answer(answer, name, source)?,
        }
        self.advance(name, source)
    }

    /// The stream of a snapshot is over. If answers were still to come, it is tried again.
    pub(super) fn snapshot_ended(&mut self, id: u64, name: &str) -> Outcomes {
        let now_ms = self.now_ms;
        let lane = self.lane(name)?;
        if lane.joining.ended(id) {
            lane.lease = None;
            lane.joining.again(now_ms);
        }
        Ok(())
    }

    /// What became of a step that our store took.
    pub(super) fn stepped(
        &mut self,
        ticket: u64,
        outcome: StepOutcome,
        source: &dyn Source,
    ) -> Outcomes {
        let Some(name) = self.tickets.remove(&ticket) else { return Ok(()) };
        if let Some(branches) = self.learning.remove(&ticket) {
            match outcome {
                StepOutcome::Refused(Offence::Forked, why) => self.refuse_forked(&name, why)?,
                StepOutcome::Refused(offence, why) => self.refuse(&name, offence, why)?,
                StepOutcome::StoreFailed(why) => return Err(store_failed(why)),
                StepOutcome::Learnt { all: false } => self.learnt(&name, Some(branches), source)?,
                _ => self.learnt(&name, None, source)?,
            }
            return self.learn_next(&name);
        }
        let began = !matches!(outcome, StepOutcome::Changed);
        let unalike = self.is_named_otherwise(&name, began)?;
        match self.lane(&name)?.joining.stepped(ticket, outcome) {
            Stepped::On => {}
            Stepped::Joined => {
                self.done(&name)?;
                self.lane(&name)?.joining.reset();
                self.event(Event::Joined { collection: name.clone() });
                self.ask(&name, source)?;
            }
            Stepped::Again if unalike => {
                self.done(&name)?;
                let why =
                    "histories that have forked are named otherwise in the snapshot than here";
                return self.refuse_forked(&name, why.to_owned());
            }
            Stepped::Again => {
                self.done(&name)?;
                let now_ms = self.now_ms;
                let stream = self.lane(&name)?.joining.again(now_ms);
                self.stop(stream)?;
            }
            // Both sides of a fork are held by now: it is named, and that is done, or it can't be.
            Stepped::Refused(Offence::Forked, why) => {
                self.done(&name)?;
                let stream = self.lane(&name)?.joining.reset();
                self.stop(stream)?;
                return self.forked(&name, format!("snapshot refused: {why}"), source);
            }
            // We have not heard yet that the peer may write, or it has not heard that it may not.
            Stepped::Refused(Offence::Forbidden, _) => {
                self.done(&name)?;
                let now_ms = self.now_ms;
                let stream = match self.peer_may_write(&name) {
                    true => self.lane(&name)?.joining.again(now_ms),
                    false => self.lane(&name)?.joining.reset(),
                };
                self.stop(stream)?;
            }
            Stepped::Refused(offence, why) => {
                self.done(&name)?;
                return self.refuse(&name, offence, format!("snapshot refused: {why}"));
            }
            Stepped::StoreFailed(why) => return Err(store_failed(why)),
        }
        self.advance(&name, source)
    }

    /// Everything came by the tail after all: what is staged is of no use.
    pub(super) fn not_needed(&mut self, name: &str, source: &dyn Source) -> Outcomes {
        if !self.lane(name)?.joining.is_idle() {
            self.done(name)?;
            let stream = self.lane(name)?.joining.reset();
            self.stop(stream)?;
        }
        // Another link may be staging it: then it is that one's.
        if source.is_staged(name) && source.lease(name).is_some() {
            self.step(name, SnapshotStep::Discard);
        }
        Ok(())
    }

    /// Lets others stage, and tells the peer that its view is not needed any more, if it made one.
    fn done(&mut self, name: &str) -> Outcomes {
        let lane = self.lane(name)?;
        lane.lease = None;
        if !lane.joining.is_asked() {
            return Ok(());
        }
        let (collection, number) = (name.to_owned(), lane.joining.number());
        self.say(&Control::Ask { collection, number, question: Question::Done });
        Ok(())
    }

    /// Begins the snapshots that are due, and lets go of views that nobody asks about.
    pub(super) fn advance_snapshots(&mut self, source: &dyn Source) -> Outcomes {
        let now_ms = self.now_ms;
        let expire = |(name, lane): (&String, &mut Lane)| {
            lane.serving.expire(now_ms).map(|reply| (name.clone(), reply))
        };
        let expired: Vec<(String, Reply)> = self.lanes.iter_mut().filter_map(expire).collect();
        for (name, reply) in expired {
            self.reply(&name, reply);
        }
        // A view is made for who has said what it holds: only then it shows what contradicts.
        let due = |lane: &Lane| lane.joining.is_due(now_ms) && lane.outlined.is_said();
        let due = self.lanes.iter().filter(|(_, lane)| due(lane));
        let due: Vec<String> = due.map(|(name, _)| name.clone()).collect();
        for name in due {
            let number = self.next_snapshot;
            let lane = self.lane(&name)?;
            match source.lease(&name) {
                None => lane.joining.put_off(now_ms),
                lease => {
                    lane.lease = lease;
                    let question = lane.joining.start(number);
                    self.next_snapshot += 1;
                    self.say(&Control::Ask { collection: name, number, question });
                }
            }
        }
        Ok(())
    }

    /// Asks what is to be asked next, and has the store do what is to be done next.
    fn advance(&mut self, name: &str, source: &dyn Source) -> Outcomes {
        let ticket = self.next_ticket;
        let joining = &mut self.lane(name)?.joining;
        let number = joining.number();
        let questions = joining.questions(name, source)?;
        let step = joining.next_step(ticket);
        for question in questions {
            self.say(&Control::Ask { collection: name.to_owned(), number, question });
        }
        if let Some(step) = step {
            self.step(name, step);
        }
        Ok(())
    }

    pub(super) fn step(&mut self, name: &str, step: SnapshotStep) -> u64 {
        let (ticket, collection) = (self.next_ticket, name.to_owned());
        self.next_ticket += 1;
        self.tickets.insert(ticket, collection.clone());
        self.output.push_back(Output::Snapshot { ticket, collection, step });
        ticket
    }

    /// Gives up the snapshots of a collection, in both directions.
    pub(super) fn halt_snapshots(&mut self, name: &str) -> Outcomes {
        let lane = self.lane(name)?;
        lane.lease = None;
        let (sent, received) = (lane.serving.close(), lane.joining.reset());
        self.give_up(sent);
        self.stop(received)
    }
}

impl Lane {
    /// Whether no snapshot is under way that we need.
    pub(super) fn is_joined(&self) -> bool {
        self.joining.is_waiting() && !self.serving.is_asked()
    }

    /// When to look again, if that is a matter of time.
    pub(super) fn deadline_ms(&self) -> Option<u64> {
        let joining = self.joining.deadline_ms().filter(|_| self.outlined.is_said());
        let deadlines = [self.tail.deadline_ms(), joining, self.serving.deadline_ms()];
        deadlines.into_iter().flatten().min()
    }
}
