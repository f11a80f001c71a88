//! Real sessions over real stores, without sockets: whatever one says arrives in order and at
//! once, and every byte is counted by who says it on which kind of stream.
//!
//! All is done by one thread in the order in which it came up, so a run is the same each time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use littoral::Store;
use littoral::replica::{self, Replica};
use littoral::sync::door::{Config, Event, Input, Output, SnapshotStep, StreamId};
use littoral::sync::session::Session;

use crate::Result;
use crate::process;

/// Stores, and links between them.
pub(crate) struct World<'a> {
    stores: Vec<&'a Store>,
    ends: Vec<End>,
    /// The ends of each store's links.
    of: Vec<Vec<usize>>,
    acts: VecDeque<(usize, Act)>,
}

/// One end of a link; its other end is beside it.
struct End {
    store: usize,
    session: Session,
    /// Heard of no commit since the last one that counts.
    dirty: bool,
    said: Said,
    joined: bool,
}

/// What one end, or several, have said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// Pieces that were handed to the transport.
    pub(crate) pieces: u64,
    /// Bytes of control streams.
    pub(crate) control: u64,
    /// Bytes of tails and snapshots.
    pub(crate) tails: u64,
}

enum Act {
    Receive(StreamId, Vec<u8>),
    Finished(StreamId),
    Reset(StreamId),
    Stopped(StreamId),
    Apply(u64, String, Vec<Vec<u8>>),
    Step(u64, String, SnapshotStep),
    Committed,
}

impl Said {
    pub(crate) fn bytes(&self) -> u64 {
        self.control + self.tails
    }

    fn add(&mut self, more: Said) {
        self.pieces += more.pieces;
        self.control += more.control;
        self.tails += more.tails;
    }

    pub(crate) fn since(&self, before: Said) -> Said {
        Said {
            pieces: self.pieces - before.pieces,
            control: self.control - before.control,
            tails: self.tails - before.tails,
        }
    }
}

impl<'a> World<'a> {
    pub(crate) fn new(stores: Vec<&'a Store>) -> World<'a> {
        let of = vec![Vec::new(); stores.len()];
        World { stores, ends: Vec::new(), of, acts: VecDeque::new() }
    }

    /// Two stores, linked.
    pub(crate) fn pair(a: &'a Store, b: &'a Store) -> World<'a> {
        let mut world = World::new(vec![a, b]);
        world.link(0, 1);
        world
    }

    pub(crate) fn link(&mut self, a: usize, b: usize) {
        for (us, peer) in [(a, b), (b, a)] {
            let (store, peer) = (self.stores[us], self.stores[peer].node_id());
            let network = store.network().0;
            let config = Config { network, us: store.node_id(), peer, wanted: None };
            self.of[us].push(self.ends.len());
            self.ends.push(End {
                store: us,
                session: Session::new(config, 0),
                dirty: false,
                said: Said::default(),
                joined: false,
            });
        }
        let first = self.ends.len() - 2;
        (first..first + 2).for_each(|end| self.drain(end));
    }

    /// Something was written to a store: its links hear of it.
    pub(crate) fn committed(&mut self, store: usize) {
        for &end in &self.of[store] {
            if !std::mem::replace(&mut self.ends[end].dirty, true) {
                self.acts.push_back((end, Act::Committed));
            }
        }
    }

    /// Runs until nothing is under way.
    pub(crate) fn run(&mut self) -> Result<()> {
        while let Some((end, act)) = self.acts.pop_front() {
            self.act(end, act);
        }
        match self.ends.iter().all(|end| end.session.is_idle()) {
            true => Ok(()),
            false => Err("a link stalls".into()),
        }
    }

    /// Runs; gives what it took: wall time, and processor time of this thread, which does the
    /// work of all.
    pub(crate) fn timed(&mut self) -> Result<(Duration, Duration)> {
        let (start, cpu) = (Instant::now(), process::thread_time());
        self.run()?;
        Ok((start.elapsed(), process::thread_time() - cpu))
    }

    /// What all have said so far.
    pub(crate) fn said(&self) -> Said {
        let mut all = Said::default();
        self.ends.iter().for_each(|end| all.add(end.said));
        all
    }

    /// What a store has said, and what it was told, over all its links.
    pub(crate) fn said_by(&self, store: usize) -> (Said, Said) {
        let (mut out, mut back) = (Said::default(), Said::default());
        for &end in &self.of[store] {
            out.add(self.ends[end].said);
            back.add(self.ends[end ^ 1].said);
        }
        (out, back)
    }

    /// Whether a snapshot was joined anywhere.
    pub(crate) fn joined(&self) -> bool {
        self.ends.iter().any(|end| end.joined)
    }

    fn act(&mut self, end: usize, act: Act) {
        let store = self.stores[self.ends[end].store];
        match act {
            Act::Receive(stream, bytes) => {
                self.handle(end, Input::Received { stream, bytes: &bytes });
            }
            Act::Finished(stream) => self.handle(end, Input::Finished { stream }),
            Act::Reset(stream) => self.handle(end, Input::Reset { stream }),
            Act::Stopped(stream) => self.handle(end, Input::Stopped { stream }),
            Act::Committed => {
                self.ends[end].dirty = false;
                self.handle(end, Input::Committed);
            }
            Act::Apply(ticket, collection, txns) => {
                let before = store.stats().map(|stats| stats.position);
                let outcome = replica::outcome(Replica::apply(store, &collection, txns));
                if store.stats().map(|stats| stats.position).ok() != before.ok() {
                    self.committed(self.ends[end].store);
                }
                self.handle(end, Input::Applied { ticket, outcome });
            }
            Act::Step(ticket, collection, step) => {
                let peer = self.stores[self.ends[end ^ 1].store].node_id();
                let outcome = replica::step_outcome(store.step(&collection, &peer, step));
                self.committed(self.ends[end].store);
                self.handle(end, Input::Stepped { ticket, outcome });
            }
        }
    }

    fn handle(&mut self, end: usize, input: Input<'_>) {
        let at = &mut self.ends[end];
        at.session.handle(input, 0, self.stores[at.store]);
        self.drain(end);
    }

    fn drain(&mut self, end: usize) {
        let store = self.stores[self.ends[end].store];
        let peer = end ^ 1;
        while let Some(output) = self.ends[end].session.poll(store) {
            let act = match output {
                Output::Send { stream, bytes } => {
                    let said = &mut self.ends[end].said;
                    said.pieces += 1;
                    match stream {
                        StreamId::Control => said.control += bytes.len() as u64,
                        StreamId::Tail(_) => said.tails += bytes.len() as u64,
                    }
                    (peer, Act::Receive(stream, bytes))
                }
                Output::Finish { stream } => (peer, Act::Finished(stream)),
                Output::Reset { stream } => (peer, Act::Reset(stream)),
                Output::StopReading { stream } => (peer, Act::Stopped(stream)),
                Output::Apply { ticket, collection, txns } => {
                    (end, Act::Apply(ticket, collection, txns))
                }
                Output::Snapshot { ticket, collection, step } => {
                    (end, Act::Step(ticket, collection, step))
                }
                Output::Event(Event::Joined { .. }) => {
                    self.ends[end].joined = true;
                    continue;
                }
                Output::Event(_) => continue,
                Output::Hear { .. } => panic!("statements, and there is no roster"),
                Output::Close { reason, .. } => panic!("the link ended: {reason}"),
            };
            self.acts.push_back(act);
        }
    }
}
