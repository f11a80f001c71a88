//! The part of a session that sends tails: whose turn it is, and what became of an attempt.

use super::{Lane, Outcomes, Session, State};
use crate::sync::Source;
use crate::sync::door::{Event, Output, StreamId};
use crate::sync::tail_out::Step;

impl Session {
    pub(super) fn committed(&mut self, source: &dyn Source) -> Outcomes {
        if self.state != State::Ready {
            // `meet` looks what has changed.
            return Ok(());
        }
        self.roster_changed(source)?;
        self.discover(source)?;
        let names: Vec<String> = self.lanes.keys().cloned().collect();
        for name in names {
            self.renamed(&name, source)?;
        }
        let open = self.lanes.iter().filter(|(_, lane)| lane.out.is_open());
        self.ready.extend(open.map(|(name, _)| name.clone()));
        self.starved.clear();
        Ok(())
    }

    /// Announces collections that have come up since hello, as long as there is room.
    pub(super) fn discover(&mut self, source: &dyn Source) -> Outcomes {
        for name in source.collections()? {
            if !self.lanes.contains_key(&name) && self.wants(&name) && self.open_lane(&name) {
                self.lanes.insert(name.clone(), Lane::default());
                self.ask(&name, source)?;
            }
        }
        Ok(())
    }

    /// Sends one frame of the next lane that has one.
    pub(super) fn pump(&mut self, source: &dyn Source) -> Outcomes {
        self.say_what_is_known(source)?;
        while self.output.is_empty() {
            let Some(name) = self.next_ready() else { return self.answer_next(source) };
            let unacked: usize = self.lanes.values().map(|lane| lane.out.unacked()).sum();
            let Some(lane) = self.lanes.get_mut(&name) else { return Ok(()) };
            let room = self.window.saturating_sub(unacked);
            let step = lane.out.step(&name, unacked, room, &mut self.next_stream, source)?;
            self.carry_out(step, &name);
            self.turn = name;
        }
        Ok(())
    }

    fn next_ready(&self) -> Option<String> {
        let after = (std::ops::Bound::Excluded(&self.turn), std::ops::Bound::Unbounded);
        self.ready.range::<String, _>(after).next().or(self.ready.first()).cloned()
    }

    fn carry_out(&mut self, step: Step, name: &str) {
        match step {
            Step::Send { stream, bytes } => self.send_frames(name, stream, bytes),
            Step::Drained => {
                self.ready.remove(name);
                self.note_caught_up(name);
            }
            Step::Full => {
                self.ready.remove(name);
                self.starved.insert(name.to_owned());
            }
            Step::Behind { stream, bytes } => {
                self.ready.remove(name);
                self.send_frames(name, stream, bytes);
                self.output.push_back(Output::Finish { stream: StreamId::Tail(stream) });
                self.event(Event::PeerBehind { collection: name.to_owned() });
                self.ready.append(&mut self.starved);
            }
        }
    }

    /// The peer reads one of our tails no more: it will ask again.
    pub(super) fn stopped(&mut self, id: u64) {
        let tail = self.lanes.values_mut().find(|lane| lane.out.stream() == Some(id));
        if tail.is_some_and(|lane| lane.out.stopped(id)) {
            self.reset(Some(id));
        }
    }

    /// Gives up one of our streams, which makes room in the window.
    pub(super) fn reset(&mut self, id: Option<u64>) {
        if let Some(id) = id {
            self.output.push_back(Output::Reset { stream: StreamId::Tail(id) });
        }
        self.ready.append(&mut self.starved);
    }

    pub(super) fn note_caught_up(&mut self, name: &str) {
        let lane = self.lanes.get_mut(name);
        if lane.is_some_and(|lane| lane.out.newly_caught_up()) {
            self.event(Event::PeerCaughtUp { collection: name.to_owned() });
        }
    }
}
