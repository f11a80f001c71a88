//! Sessions over real stores, one link at a time: all that each says arrives, in order.

use std::collections::{BTreeMap, VecDeque};

use littoral::Store;
use littoral::id::Vector;
use littoral::replica::outcome;
use littoral::sync::door::{Config, Event, Input, Offence, Output, StreamId};
use littoral::sync::message::{CloseCode, Control};
use littoral::sync::session::Session;

/// Two sessions, and what is under way between them.
pub(crate) struct Link<'a> {
    ends: [End<'a>; 2],
}

struct End<'a> {
    store: &'a Store,
    session: Session,
    /// What the other end has not read yet.
    sent: BTreeMap<StreamId, VecDeque<u8>>,
    applies: VecDeque<(u64, String, Vec<Vec<u8>>)>,
    events: Vec<Event>,
    closed: Option<(CloseCode, String)>,
}

impl<'a> Link<'a> {
    pub(crate) fn new(a: &'a Store, b: &'a Store) -> Link<'a> {
        let end = |us: &'a Store, peer: &Store| {
            let network = us.network().0;
            let config = Config { network, us: us.node_id(), peer: peer.node_id() };
            End {
                store: us,
                session: Session::new(config, 0),
                sent: BTreeMap::new(),
                applies: VecDeque::new(),
                events: Vec::new(),
                closed: None,
            }
        };
        let mut link = Link { ends: [end(a, b), end(b, a)] };
        link.drain(0);
        link.drain(1);
        link
    }

    /// Runs until nothing is under way; each side hears of commits as they happen.
    pub(crate) fn settle(&mut self) {
        (0..2).for_each(|end| self.handle(end, Input::Committed));
        while self.step(usize::MAX) {}
    }

    /// Some bytes of one stream arrive, or something is applied. Whether anything could.
    pub(crate) fn step(&mut self, most: usize) -> bool {
        for from in 0..2 {
            if let Some((ticket, collection, txns)) = self.ends[from].applies.pop_front() {
                let applied = self.ends[from].store.apply_remote(&collection, txns).map(drop);
                self.handle(from, Input::Applied { ticket, outcome: outcome(applied) });
                (0..2).for_each(|end| self.handle(end, Input::Committed));
                return true;
            }
            let waiting = self.ends[from].sent.iter_mut().find(|(_, bytes)| !bytes.is_empty());
            if let Some((&stream, bytes)) = waiting {
                let count = bytes.len().min(most);
                let bytes: Vec<u8> = bytes.drain(..count).collect();
                self.handle(1 - from, Input::Received { stream, bytes: &bytes });
                return true;
            }
        }
        false
    }

    fn handle(&mut self, end: usize, input: Input<'_>) {
        let at = &mut self.ends[end];
        at.session.handle(input, 0, at.store);
        self.drain(end);
    }

    fn drain(&mut self, end: usize) {
        let store = self.ends[end].store;
        while let Some(output) = self.ends[end].session.poll(store) {
            let at = &mut self.ends[end];
            match output {
                Output::Send { stream, bytes } => at.sent.entry(stream).or_default().extend(bytes),
                Output::Apply { ticket, collection, txns } => {
                    at.applies.push_back((ticket, collection, txns));
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
