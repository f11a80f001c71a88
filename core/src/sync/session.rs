//! The session: one link between two replicas, seen from one side.
//!
//! ```text
//!            greet             meet             fail, leave, part
//!   Fresh ──────────▶ Greeting ─────▶ Ready ───────────────────────▶ Ended
//!                        │      fail, leave, part                      ▲
//!                        └─────────────────────────────────────────────┘
//! ```
//!
//! - `Fresh`: nothing has been said. `greet` reads what we hold and says hello.
//! - `Greeting`: our hello is out; what we held then is kept in `greeted`. Bytes of tails may
//!   already arrive (streams are independent): they are kept and not looked at.
//! - `Ready`: both hellos are known. Each collection of their union has a lane: a tail out, a
//!   tail in.
//! - `Ended`: only what is in `output` still comes out; its last item is `Close`.
//!
//! What happens to a collection in `meet`:
//!
//! | vectors | cells | then |
//! | --- | --- | --- |
//! | equal | equal | nothing is said; each tails from where it was at its own hello |
//! | equal | unequal | `Diverged`; nothing is exchanged |
//! | unequal | any | each sends `Have`, and tails when the other's has come |
//!
//! Invariants:
//! 1. One door in (`handle`), one out (`poll`). Neither fails: whatever goes wrong ends the
//!    link with a `Close`, and nothing comes out after it.
//! 2. Bytes of a peer never panic and never take memory beyond `SYNC_RECEIVE_BYTES`.
//! 3. The same inputs give the same outputs.
//! 4. Control messages and acknowledgements go before transactions, transactions before
//!    snapshots; tails take turns, frame by frame.
//! 5. What is wrong with one collection halts that one, on both sides, and no other.
//!
//! Does not know: sockets, clocks, how a transaction is checked or applied.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::id::{Hash, Position, Vector};
use crate::limits::{
    HELLO_TIMEOUT_MS, MAX_CONTROL_BYTES, MAX_LINK_COLLECTIONS, MAX_LINK_VECTOR_ENTRIES,
    MAX_VECTOR_ENTRIES, SYNC_RECEIVE_BYTES,
};

use super::ask::SNAPSHOT;
use super::door::{Config, Event, Input, Offence, Outcome, Output, Progress, StreamId, Wanted};
use super::failure::{Failure, Outcomes, breach, failure, store_failed};
use super::framing::Framer;
use super::message::{CloseCode, Control, Digests, Tail, Txn};
use super::snapshot_in::SnapshotIn;
use super::snapshot_out::SnapshotOut;
use super::streams::{Carries, Streams};
use super::tail_in::{Bound, Missing, TailIn, Work};
use super::tail_out::{Step, TailOut};
use super::{Lease, Source, Summary};

mod forks;
mod hello;
mod roster;
mod snapshots;

use forks::Forks;
use roster::RosterTalk;

/// One link between two replicas, seen from one side.
#[derive(Debug)]
pub struct Session {
    config: Config,
    state: State,
    now_ms: u64,
    hello_by_ms: u64,
    greeted: BTreeMap<String, Summary>,
    peer_wants: Wanted,
    roster: RosterTalk,
    control: Framer,
    streams: Streams,
    lanes: BTreeMap<String, Lane>,
    /// Lanes that may have something to send.
    ready: BTreeSet<String>,
    /// Lanes that wait for room in the window.
    starved: BTreeSet<String>,
    /// The lane that sent last.
    turn: String,
    acks: BTreeMap<String, Position>,
    /// Lanes whose peer has shown what it has.
    shown: BTreeSet<String>,
    tickets: BTreeMap<u64, String>,
    /// Those of them that take over how the peer names forked origins.
    learning: BTreeMap<u64, Vec<u8>>,
    next_ticket: u64,
    next_stream: u64,
    next_snapshot: u64,
    output: VecDeque<Output>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Fresh,
    Greeting,
    Ready,
    Ended,
}

/// One collection on the link.
#[derive(Debug, Default)]
struct Lane {
    out: TailOut,
    tail: TailIn,
    /// What the peer says to hold, if it names transactions of ours that never left: until it
    /// has sent all that it can show, our own stay here.
    doubted: Option<Vector>,
    /// The snapshot that we serve.
    serving: SnapshotOut,
    /// The snapshot that we take in, and the right to.
    joining: SnapshotIn,
    lease: Option<Box<dyn Lease>>,
    forks: Forks,
}

impl Session {
    /// A link that has just come up.
    pub fn new(config: Config, now_ms: u64) -> Session {
        Session {
            config,
            state: State::Fresh,
            now_ms,
            hello_by_ms: now_ms.saturating_add(HELLO_TIMEOUT_MS),
            greeted: BTreeMap::new(),
            peer_wants: None,
            roster: RosterTalk::default(),
            control: Framer::new(MAX_CONTROL_BYTES),
            streams: Streams::default(),
            lanes: BTreeMap::new(),
            ready: BTreeSet::new(),
            starved: BTreeSet::new(),
            turn: String::new(),
            acks: BTreeMap::new(),
            shown: BTreeSet::new(),
            tickets: BTreeMap::new(),
            learning: BTreeMap::new(),
            next_ticket: 0,
            next_stream: 0,
            next_snapshot: 0,
            output: VecDeque::new(),
        }
    }

    /// The door in. Poll after it until there is nothing left.
    pub fn handle(&mut self, input: Input<'_>, now_ms: u64, source: &dyn Source) {
        self.now_ms = self.now_ms.max(now_ms);
        if self.state == State::Ended {
            return;
        }
        let outcome = self.take(input, source);
        self.settle(outcome);
    }

    /// The door out: what to do next; `None` when there is nothing until the next input.
    pub fn poll(&mut self, source: &dyn Source) -> Option<Output> {
        if self.state == State::Fresh {
            let outcome = self.greet(source);
            self.settle(outcome);
        }
        loop {
            if let Some(output) = self.output.pop_front() {
                return Some(output);
            }
            if self.state != State::Ready {
                return None;
            }
            self.flush_acks();
            let outcome = self.pump(source);
            self.settle(outcome);
            if self.output.is_empty() {
                return None;
            }
        }
    }

    /// When a [`Input::Tick`] is due, on the same clock as `now_ms`.
    pub fn deadline_ms(&self) -> Option<u64> {
        match self.state {
            State::Fresh | State::Greeting => Some(self.hello_by_ms),
            State::Ready => self.lanes.values().filter_map(Lane::deadline_ms).min(),
            State::Ended => None,
        }
    }

    /// How far each collection is.
    pub fn progress(&self) -> BTreeMap<String, Progress> {
        self.lanes.iter().map(|(name, lane)| (name.clone(), lane.progress())).collect()
    }

    /// Whether nothing is under way: all is sent and acknowledged, received and applied, or
    /// waits for something that this link can't bring about.
    pub fn is_idle(&self) -> bool {
        let settled = self.output.is_empty() && self.acks.is_empty() && self.ready.is_empty();
        let idle = |lane: &Lane| lane.out.is_idle() && lane.tail.is_idle() && lane.is_joined();
        settled
            && self.is_roster_settled()
            && self.state == State::Ready
            && self.lanes.values().all(idle)
    }

    /// Whether the link is over.
    pub fn is_ended(&self) -> bool {
        self.state == State::Ended
    }

    fn take(&mut self, input: Input<'_>, source: &dyn Source) -> Outcomes {
        if self.state == State::Fresh {
            self.greet(source)?;
        }
        match input {
            Input::Received { stream: StreamId::Control, bytes } => self.hear(bytes, source)?,
            Input::Received { stream: StreamId::Tail(id), bytes } => {
                self.receive(id, bytes, source)?;
            }
            Input::Finished { stream: StreamId::Tail(id) } => self.finished(id, source)?,
            Input::Reset { stream: StreamId::Tail(id) } => self.given_up(id)?,
            Input::Stopped { stream: StreamId::Tail(id) } => self.stopped(id),
            Input::Finished { .. } | Input::Reset { .. } | Input::Stopped { .. } => self.gone(),
            Input::Committed => self.committed(source)?,
            Input::Applied { ticket, outcome } => self.applied(ticket, outcome, source)?,
            Input::Stepped { ticket, outcome } => self.stepped(ticket, outcome, source)?,
            Input::Heard { outcome } => self.heard(outcome)?,
            Input::Tick => {}
            Input::Leave => return Err(failure(CloseCode::Done, "this node left")),
        }
        self.end_doubts(source)?;
        self.watch_time(source)
    }

    // Control messages.

    fn hear(&mut self, bytes: &[u8], source: &dyn Source) -> Outcomes {
        self.check_room(bytes.len())?;
        self.control.push(bytes);
        while self.state != State::Ended {
            let Some(frame) = self.control.next()? else { break };
            self.obey(Control::from_frame(&frame)?, source)?;
        }
        Ok(())
    }

    fn obey(&mut self, message: Control, source: &dyn Source) -> Outcomes {
        match (self.state, message) {
            (_, Control::Bye { code, reason }) => self.part(code, reason),
            (State::Greeting, Control::Hello(hello)) => self.meet(hello, source)?,
            (State::Greeting, _) => return Err(breach("the first message is not a hello")),
            (_, Control::Hello(_)) => return Err(breach("a second hello")),
            (_, Control::Have { collection, vector }) => {
                self.peer_has(&collection, vector, source)?;
            }
            (_, Control::Ack { collection, position }) => self.acked(&collection, position)?,
            (_, Control::Ask { collection, number, question }) => {
                self.asked(&collection, number, question)?;
            }
            (_, Control::Differs { collection, from, hashes }) => {
                self.differs(&collection, from, &hashes, source)?;
            }
            (_, Control::Shared { collection, last }) => self.shared(&collection, last, source)?,
            (_, Control::Branches { collection, branches }) => {
                self.told_branches(&collection, branches, source)?;
            }
            (_, Control::Roster { founder, digest }) => {
                self.told_roster(founder, digest, source)?
            }
            (_, Control::Known { hashes }) => self.send_statements(&hashes, source)?,
            (_, Control::Statements { statements }) => self.hear_statements(statements)?,
            (_, Control::Halt { collection, offence, reason }) => {
                self.refused(&collection, offence, reason)?;
            }
        }
        Ok(())
    }

    /// The peer says what it holds: it gets the rest, and our own vector if it lacks that.
    fn peer_has(&mut self, name: &str, vector: Vector, source: &dyn Source) -> Outcomes {
        if !self.wants(name) {
            return Ok(());
        }
        self.open_lane(name)?;
        if self.lanes.entry(name.to_owned()).or_default().tail.is_halted() {
            return Ok(());
        }
        if let Some(dot) = source.contradictions(name, &vector)?.first() {
            return self.contradicted(name, *dot, vector, source);
        }
        self.not_contradicted(name)?;
        let doubted = source.doubts(name, &vector)?;
        let start = source.start(name, &vector)?;
        let lane = self.lane(name)?;
        let old = lane.out.have(&vector, start);
        if doubted {
            lane.out.withhold();
        }
        let shown = doubted && lane.tail.is_caught_up();
        lane.doubted = doubted.then_some(vector);
        let unasked = lane.tail.is_unasked();
        self.reset(old);
        self.check_entries()?;
        self.ready.insert(name.to_owned());
        if shown {
            self.shown.insert(name.to_owned());
        }
        match unasked {
            true => self.ask(name, source),
            false => Ok(()),
        }
    }

    /// Whoever claimed transactions of ours has sent what it has. If there were any, we write
    /// under another name now; if there were none, it gets what it says to lack.
    fn end_doubts(&mut self, source: &dyn Source) -> Outcomes {
        for name in std::mem::take(&mut self.shown) {
            let Some(lane) = self.lanes.get_mut(&name) else { continue };
            if lane.doubted.is_none() || lane.tail.is_halted() {
                continue;
            }
            if !lane.out.is_settled() {
                self.shown.insert(name);
                continue;
            }
            let Some(claimed) = lane.doubted.take() else { continue };
            let start = source.start(&name, &claimed)?;
            self.lane(&name)?.out.release(&claimed, start);
            self.ready.insert(name);
        }
        Ok(())
    }

    /// We can't go on with this collection, and the peer hears why. The others are not touched:
    /// an offence of one collection ends that one alone.
    fn refuse(&mut self, name: &str, offence: Offence, why: String) -> Outcomes {
        if self.lane(name)?.tail.is_halted() {
            return Ok(());
        }
        let (collection, reason) = (name.to_owned(), why.clone());
        self.say(&Control::Halt { collection: collection.clone(), offence, reason });
        self.halt(name)?;
        self.event(Event::Halted { collection, offence, why, by_peer: false });
        Ok(())
    }

    /// The peer can't go on with this collection.
    fn refused(&mut self, name: &str, offence: Offence, why: String) -> Outcomes {
        if !self.wants(name) {
            return Ok(());
        }
        self.open_lane(name)?;
        if self.lanes.entry(name.to_owned()).or_default().tail.is_halted() {
            return Ok(());
        }
        self.halt(name)?;
        self.event(Event::Halted { collection: name.to_owned(), offence, why, by_peer: true });
        Ok(())
    }

    fn acked(&mut self, name: &str, position: Position) -> Outcomes {
        let lane = self.lanes.get_mut(name);
        let lane = lane.ok_or_else(|| breach("an acknowledgement of an unknown collection"))?;
        lane.out.ack(position)?;
        let position = lane.out.acked();
        self.event(Event::Acked { collection: name.to_owned(), position });
        self.note_caught_up(name);
        self.ready.append(&mut self.starved);
        Ok(())
    }

    /// The peer said goodbye.
    fn part(&mut self, code: CloseCode, reason: String) {
        self.end(code, reason, true);
    }

    /// The peer ended its control stream without a word.
    fn gone(&mut self) {
        let reason = format!("node {} ended the link", self.config.peer.short());
        self.end(CloseCode::Gone, reason, true);
    }

    // Tails that we receive.

    fn receive(&mut self, id: u64, bytes: &[u8], source: &dyn Source) -> Outcomes {
        self.check_room(bytes.len())?;
        self.streams.push(id, bytes)?;
        match self.state {
            State::Ready => self.drain_stream(id, source),
            _ => Ok(()),
        }
    }

    fn finished(&mut self, id: u64, source: &dyn Source) -> Outcomes {
        self.streams.finish(id);
        match self.state {
            State::Ready => self.drain_stream(id, source),
            _ => Ok(()),
        }
    }

    /// Works off the whole frames of a stream, and its end, if it has come.
    fn drain_stream(&mut self, id: u64, source: &dyn Source) -> Outcomes {
        while let Some(frame) = self.streams.next_frame(id)? {
            match self.streams.carries(id).cloned() {
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
                }
                Work::Behind => {
                    self.event(Event::Behind { collection });
                    self.lane(name)?.joining.want();
                }
            }
        }
    }

    fn applied(&mut self, ticket: u64, outcome: Outcome, source: &dyn Source) -> Outcomes {
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
                let current = self.lane(&name)?.tail.refused(ticket);
                if !self.peer_may_write(&name) {
                    return self.refuse(&name, Offence::Forbidden, why);
                }
                if current {
                    self.missing(&name, source)?;
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

    /// Dependencies are unmet: no offence. The stream is dropped, and the peer is told again
    /// what we hold, if that is news.
    fn missing(&mut self, name: &str, source: &dyn Source) -> Outcomes {
        let held = held(name, source)?;
        let now_ms = self.now_ms;
        let lane = self.lane(name)?;
        let verdict = lane.tail.missing(held, now_ms);
        let dropped = lane.tail.abandon();
        self.stop(dropped)?;
        match verdict {
            Missing::Ask => self.ask(name, source)?,
            Missing::Later => {}
            Missing::Stuck => self.event(Event::Stuck { collection: name.to_owned() }),
        }
        Ok(())
    }

    /// Asks again for a collection that waits, if it is time and our vector has changed.
    fn retry(&mut self, name: &str, source: &dyn Source) -> Outcomes {
        let now_ms = self.now_ms;
        let lane = self.lane(name)?;
        if !lane.tail.is_due(now_ms) {
            return Ok(());
        }
        let held = held(name, source)?;
        match lane.tail.retry(held) {
            true => self.ask(name, source),
            false => Ok(()),
        }
    }

    /// Says what we hold, which restarts the peer's tail.
    fn ask(&mut self, name: &str, source: &dyn Source) -> Outcomes {
        self.tell_branches(name, source)?;
        // What counts as news is what we hold; what the peer is told of it may be less.
        let held = held(name, source)?;
        let told = source.vector(name)?;
        let old = self.lane(name)?.tail.ask(held);
        self.stop(old)?;
        self.say_have(name, told)?;
        self.tell_differences(name, source)
    }

    fn say_have(&mut self, name: &str, vector: Vector) -> Outcomes {
        if vector.len() > MAX_VECTOR_ENTRIES {
            return Err(failure(
                CloseCode::Limit,
                format!(
                    "collection {name} has {} origins; a link carries {MAX_VECTOR_ENTRIES}",
                    vector.len()
                ),
            ));
        }
        self.say(&Control::Have { collection: name.to_owned(), vector });
        Ok(())
    }

    /// Reads a stream no more.
    fn stop(&mut self, id: Option<u64>) -> Outcomes {
        if let Some(id) = id {
            self.streams.end(id)?;
            self.output.push_back(Output::StopReading { stream: StreamId::Tail(id) });
        }
        Ok(())
    }

    /// The peer gives a stream up.
    fn given_up(&mut self, id: u64) -> Outcomes {
        if let Some(Carries::Tail(name)) = self.streams.carries(id) {
            let name = name.clone();
            self.lane(&name)?.tail.given_up(id);
        }
        self.end_stream(id).map(|_| ())
    }

    /// A stream is over. Returns how many bytes of an unfinished frame were left.
    fn end_stream(&mut self, id: u64) -> Outcomes<usize> {
        let (carried, left) = self.streams.end(id)?;
        let now_ms = self.now_ms;
        match carried {
            None => {}
            Some(Carries::Tail(name)) => self.lane(&name)?.tail.ended(id, now_ms),
            Some(Carries::Snapshot(name)) => self.snapshot_ended(id, &name)?,
        }
        Ok(left)
    }

    // Tails that we send.

    fn committed(&mut self, source: &dyn Source) -> Outcomes {
        if self.state != State::Ready {
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

    /// Announces collections that have come up since hello.
    fn discover(&mut self, source: &dyn Source) -> Outcomes {
        for name in source.collections()? {
            if !self.lanes.contains_key(&name) && self.wants(&name) {
                check_count(self.lanes.len() + 1)?;
                self.lanes.insert(name.clone(), Lane::default());
                self.ask(&name, source)?;
            }
        }
        Ok(())
    }

    /// Sends one frame of the next lane that has one.
    fn pump(&mut self, source: &dyn Source) -> Outcomes {
        while self.output.is_empty() {
            let Some(name) = self.next_ready() else { return self.answer_next(source) };
            let unacked = self.lanes.values().map(|lane| lane.out.unacked()).sum();
            let Some(lane) = self.lanes.get_mut(&name) else { return Ok(()) };
            let step = lane.out.step(&name, unacked, &mut self.next_stream, source)?;
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
            Step::Send { stream, bytes } => self.send(StreamId::Tail(stream), bytes),
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
                self.send(StreamId::Tail(stream), bytes);
                self.output.push_back(Output::Finish { stream: StreamId::Tail(stream) });
                self.event(Event::PeerBehind { collection: name.to_owned() });
                self.ready.append(&mut self.starved);
            }
        }
    }

    /// The peer reads one of our tails no more: it will ask again.
    fn stopped(&mut self, id: u64) {
        let tail = self.lanes.values_mut().find(|lane| lane.out.stream() == Some(id));
        if tail.is_some_and(|lane| lane.out.stopped(id)) {
            self.reset(Some(id));
        }
    }

    /// Gives up one of our streams, which makes room in the window.
    fn reset(&mut self, id: Option<u64>) {
        if let Some(id) = id {
            self.output.push_back(Output::Reset { stream: StreamId::Tail(id) });
        }
        self.ready.append(&mut self.starved);
    }

    fn note_caught_up(&mut self, name: &str) {
        let lane = self.lanes.get_mut(name);
        if lane.is_some_and(|lane| lane.out.newly_caught_up()) {
            self.event(Event::PeerCaughtUp { collection: name.to_owned() });
        }
    }

    // Lanes, limits, time, the end.

    /// Gives a collection up on this link, in both directions.
    fn halt(&mut self, name: &str) -> Outcomes {
        let lane = self.lane(name)?;
        let (sent, received) = (lane.out.halt(), lane.tail.halt());
        self.reset(sent);
        self.stop(received)?;
        self.halt_snapshots(name)
    }

    fn lane(&mut self, name: &str) -> Outcomes<&mut Lane> {
        self.lanes.get_mut(name).ok_or_else(|| breach("an unknown collection"))
    }

    fn open_lane(&self, name: &str) -> Outcomes {
        match self.lanes.contains_key(name) {
            true => Ok(()),
            false => check_count(self.lanes.len() + 1),
        }
    }

    fn check_room(&self, more: usize) -> Outcomes {
        let held = |lane: &Lane| lane.tail.unapplied() + lane.joining.held();
        let unapplied: usize = self.lanes.values().map(held).sum();
        let held = unapplied + self.streams.bytes() + self.control.len();
        match held.saturating_add(more) > SYNC_RECEIVE_BYTES {
            true => Err(breach(format!(
                "more than {SYNC_RECEIVE_BYTES} bytes sent without waiting for acknowledgements"
            ))),
            false => Ok(()),
        }
    }

    fn check_entries(&self) -> Outcomes {
        let entries: usize = self.lanes.values().map(|lane| lane.out.have_entries()).sum();
        match entries > MAX_LINK_VECTOR_ENTRIES {
            true => Err(failure(
                CloseCode::Limit,
                format!("vectors with {entries} entries; a link carries {MAX_LINK_VECTOR_ENTRIES}"),
            )),
            false => Ok(()),
        }
    }

    fn watch_time(&mut self, source: &dyn Source) -> Outcomes {
        match self.state {
            State::Greeting if self.now_ms >= self.hello_by_ms => {
                Err(failure(CloseCode::Timeout, "no hello in time"))
            }
            State::Ready => {
                self.retry_due(source)?;
                self.advance_snapshots(source)
            }
            _ => Ok(()),
        }
    }

    fn retry_due(&mut self, source: &dyn Source) -> Outcomes {
        let due = self.lanes.iter().filter(|(_, lane)| lane.tail.is_due(self.now_ms));
        let due: Vec<String> = due.map(|(name, _)| name.clone()).collect();
        due.iter().try_for_each(|name| self.retry(name, source))
    }

    fn flush_acks(&mut self) {
        let acks = std::mem::take(&mut self.acks);
        let frames = acks
            .into_iter()
            .map(|(collection, position)| Control::Ack { collection, position }.to_frame());
        let bytes: Vec<u8> = frames.flatten().collect();
        if !bytes.is_empty() {
            self.send(StreamId::Control, bytes);
        }
    }

    fn say(&mut self, message: &Control) {
        self.send(StreamId::Control, message.to_frame());
    }

    fn send(&mut self, stream: StreamId, bytes: Vec<u8>) {
        self.output.push_back(Output::Send { stream, bytes });
    }

    fn event(&mut self, event: Event) {
        self.output.push_back(Output::Event(event));
    }

    fn settle(&mut self, outcome: Outcomes) {
        if let Err(failure) = outcome {
            self.fail(failure);
        }
    }

    /// Ends the link from our side, with a goodbye.
    fn fail(&mut self, failure: Failure) {
        let Failure { code, reason, detail } = failure;
        let bye = Control::Bye { code, reason: reason.clone() };
        self.end(code, detail.unwrap_or(reason), false);
        self.output.push_front(Output::Send { stream: StreamId::Control, bytes: bye.to_frame() });
    }

    /// Nothing more is said or applied; what was learnt before is still told.
    fn end(&mut self, code: CloseCode, reason: String, by_peer: bool) {
        self.state = State::Ended;
        self.output.retain(|output| matches!(output, Output::Event(_)));
        self.output.push_back(Output::Close { code, reason, by_peer });
        self.lanes.clear();
        self.streams = Streams::default();
        self.control = Framer::new(MAX_CONTROL_BYTES);
    }
}

impl Lane {
    fn progress(&self) -> Progress {
        Progress {
            sent_txns: self.out.txns(),
            sent_bytes: self.out.bytes(),
            received_txns: self.tail.txns(),
            received_bytes: self.tail.bytes(),
            unacked_bytes: self.out.unacked() as u64,
            unapplied_bytes: self.tail.unapplied() as u64,
            snapshot_documents: self.joining.received_documents(),
            snapshot_bytes: self.joining.received_bytes(),
            acked: self.out.acked(),
            peer_caught_up: self.out.is_caught_up(),
            caught_up: self.tail.is_caught_up(),
        }
    }
}

/// A digest of what decides which transactions can be applied: what is held, and the roster.
fn held(name: &str, source: &dyn Source) -> Outcomes<Hash> {
    let vector = source.summary(name)?.vector.digest();
    Ok(match source.roster() {
        None => vector,
        Some((_, roster)) => {
            Hash(blake3::derive_key("littoral held", &[vector.0, roster.0].concat()))
        }
    })
}

fn digests(summary: &Summary) -> Digests {
    Digests { vector: summary.vector.digest(), cells: summary.cells }
}

fn check_count(collections: usize) -> Outcomes {
    match collections > MAX_LINK_COLLECTIONS {
        true => Err(failure(
            CloseCode::Limit,
            format!("{collections} collections; a link carries {MAX_LINK_COLLECTIONS}"),
        )),
        false => Ok(()),
    }
}
