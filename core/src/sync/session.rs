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

use crate::id::{Position, Vector};
use crate::limits::{
    HELLO_TIMEOUT_MS, MAX_CONTROL_BYTES, MAX_LINK_COLLECTIONS, MAX_LINK_VECTOR_ENTRIES,
    OUTLINE_ABOVE, SYNC_LINK_WINDOW_BYTES, SYNC_RECEIVE_BYTES, VECTOR_ENTRY_BYTES,
};

use super::door::{Config, Event, Input, Offence, Output, Progress, StreamId, Wanted};
use super::failure::{Failure, Outcomes, breach, failure, store_failed};
use super::framing::Framer;
use super::message::{CloseCode, Control, Digests, GOODBYE};
use super::packing::pack;
use super::snapshot_in::SnapshotIn;
use super::snapshot_out::SnapshotOut;
use super::streams::{Carries, Streams};
use super::tail_in::TailIn;
use super::tail_out::TailOut;
use super::{Lease, Source, Summary};
use crate::txn::{NetworkId, Scope};

mod forks;
mod hello;
mod outlines;
mod receive;
mod roster;
mod send;
mod snapshots;

use forks::Forks;
use outlines::Outlined;
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
    peer_unpacks: bool,
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
    /// Bytes of all lanes together that may be unacknowledged.
    window: usize,
    acks: BTreeMap<String, Position>,
    /// Lanes whose peer has shown what it has.
    shown: BTreeSet<String>,
    tickets: BTreeMap<u64, String>,
    /// Those of them that take over how the peer names forked origins.
    learning: BTreeMap<u64, Vec<u8>>,
    next_ticket: u64,
    next_stream: u64,
    next_snapshot: u64,
    /// A vector with more entries is told in short.
    outline_above: usize,
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
    /// What the peer last said to hold: it holds at least that.
    told: Vector,
    /// What the peer says to hold, if it names transactions of ours that never left: until it
    /// has sent all that it can show, our own stay here.
    doubted: Option<Vector>,
    /// The snapshot that we serve.
    serving: SnapshotOut,
    /// The snapshot that we take in, and the right to.
    joining: SnapshotIn,
    lease: Option<Box<dyn Lease>>,
    forks: Forks,
    outlined: Outlined,
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
            peer_unpacks: false,
            roster: RosterTalk::default(),
            control: Framer::new(MAX_CONTROL_BYTES),
            streams: Streams::default(),
            lanes: BTreeMap::new(),
            ready: BTreeSet::new(),
            starved: BTreeSet::new(),
            turn: String::new(),
            window: SYNC_LINK_WINDOW_BYTES,
            acks: BTreeMap::new(),
            shown: BTreeSet::new(),
            tickets: BTreeMap::new(),
            learning: BTreeMap::new(),
            next_ticket: 0,
            next_stream: 0,
            next_snapshot: 0,
            outline_above: OUTLINE_ABOVE,
            output: VecDeque::new(),
        }
    }

    /// Tells vectors with more entries than this in short, for tests with few origins.
    pub fn outline_above(self, entries: usize) -> Session {
        Session { outline_above: entries, ..self }
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

    /// As [`Session::poll`], but makes nothing ready of tails, snapshots and the roster: for as long
    /// as the peer does not take what it was sent before. However much it asks for, no more is held
    /// for it then.
    pub fn poll_said(&mut self, source: &dyn Source) -> Option<Output> {
        if self.state == State::Ready && self.output.is_empty() {
            self.flush_acks();
        }
        match self.state {
            State::Fresh => self.poll(source),
            _ => self.output.pop_front(),
        }
    }

    /// How many bytes may be unacknowledged on this link from now on, at most
    /// `SYNC_LINK_WINDOW_BYTES`: where many links share what there is.
    pub fn set_window(&mut self, bytes: usize) {
        self.window = bytes.min(SYNC_LINK_WINDOW_BYTES);
        self.ready.append(&mut self.starved);
    }

    /// Bytes that are held of what the peer has sent, and for what it is to be told.
    pub fn held_bytes(&self) -> usize {
        let serving: usize = self.lanes.values().map(|lane| lane.serving.held()).sum();
        self.received() + serving + self.entries() * VECTOR_ENTRY_BYTES
    }

    /// Bytes of transactions that wait to be applied: they become less without the peer's doing.
    pub fn unapplied(&self) -> usize {
        self.lanes.values().map(|lane| lane.tail.unapplied()).sum()
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

    /// The collections that the peer wants, once it has said hello.
    pub fn peer_wants(&self) -> &Wanted {
        &self.peer_wants
    }

    /// How many of the transactions `ours` the peer lacks, as far as is known; `None` if it has not
    /// said yet what it holds. Those that are sent and not acknowledged it lacks.
    pub fn lacking(&self, name: &str, ours: &Vector) -> Option<u64> {
        self.lanes.get(name)?.out.lacking(ours)
    }

    /// Bytes of snapshots that were sent.
    pub fn served_bytes(&self) -> u64 {
        self.lanes.values().map(|lane| lane.serving.sent_bytes()).sum()
    }

    /// Whether nothing is under way: all is sent and acknowledged, received and applied, or
    /// waits for something that this link can't bring about.
    pub fn is_idle(&self) -> bool {
        let settled = self.output.is_empty() && self.acks.is_empty() && self.ready.is_empty();
        let idle = |lane: &Lane| {
            let told = lane.outlined.is_idle() || lane.tail.is_halted();
            lane.out.is_idle() && lane.tail.is_idle() && lane.is_joined() && told
        };
        settled
            && self.is_roster_settled()
            && !self.roster.is_asked()
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
            Input::Leave => return Err(failure(CloseCode::Done, GOODBYE)),
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
            (_, Control::Outline { collection, number, outline }) => {
                self.outlined(&collection, number, &outline, source)?;
            }
            (_, Control::Pick { collection, number, buckets }) => {
                self.pick(&collection, number, &buckets, source)?;
            }
            (_, Control::Picked { collection, number, vector }) => {
                self.picked(&collection, number, &vector, source)?;
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
                self.told_roster(founder, digest, source)?;
            }
            (_, Control::Known { hashes }) => self.roster.knows(hashes),
            (_, Control::Statements { statements }) => self.hear_statements(statements)?,
            (_, Control::Halt { collection, offence, reason }) => {
                self.refused(&collection, offence, reason)?;
            }
        }
        Ok(())
    }

    /// Whether it matters what the peer says of a collection; if there is no room for it, the peer
    /// hears so.
    fn listens_to(&mut self, name: &str) -> Outcomes<bool> {
        if !self.wants(name) {
            return Ok(false);
        }
        if !self.open_lane(name) {
            self.turn_down(name);
            return Ok(false);
        }
        Ok(!self.lanes.entry(name.to_owned()).or_default().tail.is_halted())
    }

    /// The peer says what it holds: it gets the rest, and our own vector if it lacks that.
    fn peer_has(&mut self, name: &str, vector: Vector, source: &dyn Source) -> Outcomes {
        if !self.listens_to(name)? {
            return Ok(());
        }
        let lane = self.lane(name)?;
        lane.outlined.heard();
        lane.told = vector.clone();
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
        if !self.open_lane(name) {
            return Ok(());
        }
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

    // Lanes, limits, time, the end.

    /// Gives a collection up on this link, in both directions.
    fn halt(&mut self, name: &str) -> Outcomes {
        let lane = self.lane(name)?;
        let (sent, received) = (lane.out.halt(), lane.tail.halt());
        lane.outlined = Outlined::default();
        self.reset(sent);
        self.stop(received)?;
        self.halt_snapshots(name)
    }

    fn lane(&mut self, name: &str) -> Outcomes<&mut Lane> {
        self.lanes.get_mut(name).ok_or_else(|| breach("an unknown collection"))
    }

    /// Whether there is a lane for a collection, or room for one.
    fn open_lane(&self, name: &str) -> bool {
        self.lanes.contains_key(name) || self.lanes.len() < MAX_LINK_COLLECTIONS
    }

    /// The link carries no more collections: the peer hears that this one is not taken. The link
    /// goes on, or whoever may write could end those of others with names.
    fn turn_down(&mut self, name: &str) {
        let reason = format!("a link carries {MAX_LINK_COLLECTIONS} collections");
        let (collection, offence) = (name.to_owned(), Offence::TooMuch);
        self.say(&Control::Halt { collection, offence, reason });
    }

    fn check_room(&self, more: usize) -> Outcomes {
        match self.received().saturating_add(more) > SYNC_RECEIVE_BYTES {
            true => Err(breach(format!(
                "more than {SYNC_RECEIVE_BYTES} bytes sent without waiting for acknowledgements"
            ))),
            false => Ok(()),
        }
    }

    /// Bytes of the peer that are held.
    fn received(&self) -> usize {
        let held = |lane: &Lane| lane.tail.unapplied() + lane.joining.held() + lane.forks.held();
        let of_lanes: usize = self.lanes.values().map(held).sum();
        of_lanes + self.streams.bytes() + self.control.len() + self.roster.held()
    }

    /// Entries of all vectors of the peer that are remembered.
    fn entries(&self) -> usize {
        self.lanes.values().map(Lane::entries).sum()
    }

    fn check_entries(&self) -> Outcomes {
        let entries = self.entries();
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

    /// Sends frames of a tail or snapshot of a collection.
    fn send_frames(&mut self, collection: &str, id: u64, frames: Vec<u8>) {
        let bytes = match self.peer_unpacks {
            true => pack(frames, self.scope(collection)),
            false => frames,
        };
        self.send(StreamId::Tail(id), bytes);
    }

    fn scope<'a>(&self, collection: &'a str) -> Scope<'a> {
        Scope { network: NetworkId(self.config.network), collection }
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
    /// Entries of all vectors of the peer that are remembered.
    fn entries(&self) -> usize {
        let doubted = self.doubted.as_ref().map_or(0, Vector::len);
        self.out.have_entries() + self.forks.entries() + self.outlined.entries() + doubted
    }

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

fn digests(summary: &Summary) -> Digests {
    Digests { vector: summary.vector.digest(), cells: summary.cells }
}
