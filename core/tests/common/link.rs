//! Sessions over real stores, one link at a time: all that each says arrives, in the order of
//! its streams, unless the link is cut.

use std::collections::{BTreeMap, VecDeque};

use littoral::Store;
use littoral::id::{NodeId, Vector};
use littoral::replica::{self, Replica};
use littoral::sync::door::{Config, Event, Input, Offence, Output, SnapshotStep, StreamId};
use littoral::sync::message::{CloseCode, Control};
use littoral::sync::session::Session;

/// Two sessions, and what is under way between them.
pub(crate) struct Link<'a> {
    ends: [End<'a>; 2],
    /// Bytes that have arrived, in both directions.
    pub(crate) bytes: usize,
    /// After how many bytes the link is cut.
    pub(crate) cut: Option<usize>,
    now_ms: u64,
}

struct End<'a> {
    store: &'a Store,
    /// The key by which the other end knows it.
    us: NodeId,
    session: Session,
    /// What the other end has not read yet.
    sent: BTreeMap<StreamId, VecDeque<u8>>,
    work: VecDeque<Work>,
    events: Vec<Event>,
    closed: Option<(CloseCode, String)>,
}

/// What a session wants its store to do.
enum Work {
    Apply(u64, String, Vec<Vec<u8>>),
    Step(u64, String, SnapshotStep),
    Hear(Vec<Vec<u8>>),
}

impl<'a> Link<'a> {
    pub(crate) fn new(a: &'a Store, b: &'a Store) -> Link<'a> {
        Link::known_as([a, b], [a, b].map(Store::node_id))
    }

    /// A link on which the stores know each other by these keys.
    pub(crate) fn known_as([a, b]: [&'a Store; 2], [as_a, as_b]: [NodeId; 2]) -> Link<'a> {
        let end = |store: &'a Store, us: NodeId, peer: NodeId| {
            let (network, wanted) = (store.network().0, store.wanted(&peer));
            let config = Config { network, us, peer, wanted };
            End {
                store,
                us,
                session: Session::new(config, 0),
                sent: BTreeMap::new(),
                work: VecDeque::new(),
                events: Vec::new(),
                closed: None,
            }
        };
        let ends = [end(a, as_a, as_b), end(b, as_b, as_a)];
        let mut link = Link { ends, bytes: 0, cut: None, now_ms: 0 };
        link.drain(0);
        link.drain(1);
        link
    }

    /// Runs until nothing is under way; each side hears of commits as they happen.
    pub(crate) fn settle(&mut self) {
        (0..2).for_each(|end| self.handle(end, Input::Committed));
        self.run(|_| ());
    }

    /// Runs until nothing is under way, or the link is cut; `between` is called before each
    /// step, with its number. Gives whether it was cut.
    pub(crate) fn run(&mut self, mut between: impl FnMut(usize)) -> bool {
        for round in 0.. {
            assert!(round < 1_000_000, "the link never comes to rest");
            if self.cut.is_some_and(|cut| self.bytes >= cut) {
                // What a store was given to do it does, whatever becomes of the link.
                for end in 0..2 {
                    while let Some(work) = self.ends[end].work.pop_front() {
                        self.work(end, work);
                    }
                }
                return true;
            }
            between(round);
            let most = self.cut.map_or(usize::MAX, |cut| cut - self.bytes);
            if !self.step(most) && !self.pass_time() {
                break;
            }
        }
        false
    }

    /// Lets so much time pass, and no more.
    pub(crate) fn later(&mut self, ms: u64) {
        self.now_ms += ms;
        (0..2).for_each(|end| self.handle(end, Input::Tick));
    }

    /// Lets time pass up to what a session waits for, if one does and not for long.
    fn pass_time(&mut self) -> bool {
        let busy = self.ends.iter().any(|end| end.closed.is_none() && !end.session.is_idle());
        let due = self.ends.iter().filter_map(|end| end.session.deadline_ms()).min();
        let due = due.filter(|due| busy && *due < self.now_ms + 100_000);
        if let Some(due) = due {
            self.now_ms = due.max(self.now_ms + 1);
            (0..2).for_each(|end| self.handle(end, Input::Tick));
        }
        due.is_some()
    }

    /// Some bytes of one stream arrive, or something is applied. Whether anything could.
    pub(crate) fn step(&mut self, most: usize) -> bool {
        for from in 0..2 {
            if let Some(work) = self.ends[from].work.pop_front() {
                self.work(from, work);
                (0..2).for_each(|end| self.handle(end, Input::Committed));
                return true;
            }
        }
        for from in 0..2 {
            let waiting = self.ends[from].sent.iter_mut().find(|(_, bytes)| !bytes.is_empty());
            if let Some((&stream, bytes)) = waiting {
                let count = bytes.len().min(most);
                let bytes: Vec<u8> = bytes.drain(..count).collect();
                self.bytes += bytes.len();
                self.handle(1 - from, Input::Received { stream, bytes: &bytes });
                return true;
            }
        }
        false
    }

    fn work(&mut self, end: usize, work: Work) {
        let store = self.ends[end].store;
        match work {
            Work::Apply(ticket, collection, txns) => {
                let outcome = replica::outcome(Replica::apply(store, &collection, txns));
                self.handle(end, Input::Applied { ticket, outcome });
            }
            Work::Hear(statements) => {
                let outcome = replica::hear_outcome(Replica::hear(store, statements));
                self.handle(end, Input::Heard { outcome });
            }
            Work::Step(ticket, collection, step) => {
                let peer = self.ends[1 - end].us;
                let outcome = replica::step_outcome(Replica::step(store, &collection, &peer, step));
                self.handle(end, Input::Stepped { ticket, outcome });
            }
        }
    }

    pub(crate) fn handle(&mut self, end: usize, input: Input<'_>) {
        let at = &mut self.ends[end];
        at.session.handle(input, self.now_ms, at.store);
        self.drain(end);
    }

    fn drain(&mut self, end: usize) {
        let store = self.ends[end].store;
        while let Some(output) = self.ends[end].session.poll(store) {
            let at = &mut self.ends[end];
            match output {
                Output::Send { stream, bytes } => at.sent.entry(stream).or_default().extend(bytes),
                Output::Apply { ticket, collection, txns } => {
                    at.work.push_back(Work::Apply(ticket, collection, txns));
                }
                Output::Hear { statements } => at.work.push_back(Work::Hear(statements)),
                Output::Snapshot { ticket, collection, step } => {
                    at.work.push_back(Work::Step(ticket, collection, step));
                }
                Output::Event(event) => at.events.push(event),
                Output::Close { code, reason, .. } => at.closed = Some((code, reason)),
                Output::Reset { stream } => {
                    at.sent.remove(&stream);
                    self.handle(1 - end, Input::Reset { stream });
                }
                Output::StopReading { stream } => {
                    self.ends[1 - end].sent.remove(&stream);
                    self.handle(1 - end, Input::Stopped { stream });
                }
                Output::Finish { stream } => {
                    let rest: Vec<u8> =
                        self.ends[end].sent.remove(&stream).unwrap_or_default().into();
                    self.bytes += rest.len();
                    self.handle(1 - end, Input::Received { stream, bytes: &rest });
                    self.handle(1 - end, Input::Finished { stream });
                }
            }
        }
    }

    /// One end says that it holds this.
    pub(crate) fn claim(&mut self, end: usize, collection: &str, vector: Vector) {
        let bytes = Control::Have { collection: collection.to_owned(), vector }.to_frame();
        self.ends[end].sent.entry(StreamId::Control).or_default().extend(bytes);
    }

    pub(crate) fn events(&self, end: usize) -> &[Event] {
        &self.ends[end].events
    }

    /// Whether neither end waits for anything, and both have all that they can have.
    pub(crate) fn is_in_sync(&self) -> bool {
        let done = |end: &End<'_>| {
            let progress = end.session.progress();
            end.session.is_idle() && progress.values().all(|p| p.caught_up && p.peer_caught_up)
        };
        self.ends.iter().all(done)
    }

    /// Why the link is over, if it is.
    pub(crate) fn closed(&self) -> Option<(CloseCode, String)> {
        self.ends.iter().find_map(|end| end.closed.clone())
    }

    /// The collections that one end gave up, and why.
    pub(crate) fn halted(&self, end: usize) -> Vec<(String, Offence)> {
        let halted = |event: &Event| match event {
            Event::Halted { collection, offence, .. } => Some((collection.clone(), *offence)),
            _ => None,
        };
        self.ends[end].events.iter().filter_map(halted).collect()
    }
}

/// Two stores meet, and part when there is nothing left to do.
pub(crate) fn sync(a: &Store, b: &Store) -> [Vec<(String, Offence)>; 2] {
    let mut link = Link::new(a, b);
    link.settle();
    assert_eq!(link.closed(), None);
    [link.halted(0), link.halted(1)]
}
