//! Two sessions over two real stores, without a network: bytes arrive in the order of
//! their streams, and the link can be cut after any number of them.

use std::collections::BTreeMap;

use littoral::Store;
use littoral::replica::{self, Replica};
use littoral::sync::door::{Config, Event, Input, Output, StreamId};
use littoral::sync::session::Session;

/// A link, and what came over it.
pub(crate) struct Link<'a> {
    ends: [End<'a>; 2],
    /// Bytes handed over, in both directions.
    pub(crate) bytes: usize,
    /// After how many bytes the link is cut.
    pub(crate) cut: Option<usize>,
    now_ms: u64,
}

struct End<'a> {
    store: &'a Store,
    session: Session,
    /// What the peer has sent and is not handed over yet.
    arriving: Vec<Arrival>,
    events: Vec<Event>,
    /// Bytes received, by stream.
    received: BTreeMap<StreamId, usize>,
}

enum Arrival {
    Bytes(StreamId, Vec<u8>),
    Finished(StreamId),
    Reset(StreamId),
    Stopped(StreamId),
}

/// How a link came to rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Nothing is under way.
    Idle,
    /// It was cut.
    Cut,
    /// One side ended it: why.
    Closed(String),
}

impl<'a> Link<'a> {
    pub(crate) fn new(a: &'a Store, b: &'a Store) -> Link<'a> {
        let end = |store: &'a Store, peer: &Store| End {
            store,
            session: Session::new(
                Config { network: store.network().0, us: store.node_id(), peer: peer.node_id() },
                0,
            ),
            arriving: Vec::new(),
            events: Vec::new(),
            received: BTreeMap::new(),
        };
        Link { ends: [end(a, b), end(b, a)], bytes: 0, cut: None, now_ms: 0 }
    }

    /// What was worth knowing at the first (0) or second (1) store.
    pub(crate) fn events(&self, at: usize) -> &[Event] {
        &self.ends[at].events
    }

    /// Hands over what is under way until nothing is. `between` is called after each round, so
    /// that a test can do something meanwhile.
    pub(crate) fn run(&mut self, mut between: impl FnMut(usize)) -> Rest {
        for round in 0.. {
            assert!(round < 100_000, "the link never comes to rest");
            let mut moved = false;
            for at in 0..2 {
                while let Some(output) = self.ends[at].session.poll(self.ends[at].store) {
                    moved = true;
                    if let Some(reason) = self.carry_out(at, output) {
                        return Rest::Closed(reason);
                    }
                }
            }
            for at in 0..2 {
                for arrival in std::mem::take(&mut self.ends[at].arriving) {
                    moved = true;
                    if !self.hand_over(at, arrival) {
                        return Rest::Cut;
                    }
                }
            }
            between(round);
            if !moved {
                let due = |end: &End<'_>| end.session.deadline_ms();
                let idle = self.ends.iter().all(|end| end.session.is_idle());
                match self.ends.iter().filter_map(due).min() {
                    Some(at) if !idle && at < self.now_ms + 600_000 => {
                        self.now_ms = at.max(self.now_ms + 1);
                        (0..2).for_each(|at| self.handle(at, Input::Tick));
                    }
                    _ => return Rest::Idle,
                }
            }
        }
        unreachable!("the rounds don't end")
    }

    fn handle(&mut self, at: usize, input: Input<'_>) {
        let end = &mut self.ends[at];
        end.session.handle(input, self.now_ms, end.store);
    }

    fn carry_out(&mut self, at: usize, output: Output) -> Option<String> {
        let store = self.ends[at].store;
        let peer = self.ends[1 - at].store.node_id();
        let arriving = &mut self.ends[1 - at].arriving;
        match output {
            Output::Send { stream, bytes } => arriving.push(Arrival::Bytes(stream, bytes)),
            Output::Finish { stream } => arriving.push(Arrival::Finished(stream)),
            Output::Reset { stream } => arriving.push(Arrival::Reset(stream)),
            Output::StopReading { stream } => arriving.push(Arrival::Stopped(stream)),
            Output::Apply { ticket, collection, txns } => {
                let outcome = replica::outcome(Replica::apply(store, &collection, txns));
                self.handle(at, Input::Applied { ticket, outcome });
                (0..2).for_each(|at| self.handle(at, Input::Committed));
            }
            Output::Snapshot { ticket, collection, step } => {
                let outcome = replica::step_outcome(store.step(&collection, &peer, step));
                self.handle(at, Input::Stepped { ticket, outcome });
                (0..2).for_each(|at| self.handle(at, Input::Committed));
            }
            Output::Event(event) => self.ends[at].events.push(event),
            Output::Close { reason, .. } => return Some(reason),
        }
        None
    }

    fn hand_over(&mut self, at: usize, arrival: Arrival) -> bool {
        match arrival {
            Arrival::Bytes(stream, bytes) => {
                if self.cut.is_some_and(|cut| self.bytes + bytes.len() > cut) {
                    return false;
                }
                self.bytes += bytes.len();
                *self.ends[at].received.entry(stream).or_default() += bytes.len();
                for bytes in bytes.chunks(7001) {
                    self.handle(at, Input::Received { stream, bytes });
                }
            }
            Arrival::Finished(stream) => self.handle(at, Input::Finished { stream }),
            Arrival::Reset(stream) => self.handle(at, Input::Reset { stream }),
            Arrival::Stopped(stream) => self.handle(at, Input::Stopped { stream }),
        }
        true
    }
}
