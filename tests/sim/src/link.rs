//! A link: two sessions, and the bytes under way between them.
//!
//! It is QUIC as a session may rely on it (`littoral::sync::door`): bytes of a stream arrive
//! once and in order, in any pieces; streams are independent of each other; what was under
//! way when a link ends is lost, from any byte on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use littoral::NodeId;
use littoral::limits::MAX_LINK_QUEUE_BYTES;
use littoral::sync::door::{Input, SnapshotStep, StreamId, Wanted};
use littoral::sync::session::Session;

use crate::chance::Chance;
use crate::{Checked, ensure};

/// Two ends. One that is over is `None`.
pub(crate) struct Link {
    pub(crate) ends: [Option<End>; 2],
    pub(crate) machines: [usize; 2],
    /// The key that each end shows the other.
    pub(crate) shown: [NodeId; 2],
}

/// One end, and what it has sent that did not arrive yet.
pub(crate) struct End {
    pub(crate) session: Session,
    wires: BTreeMap<StreamId, Wire>,
    /// Streams of ours that the other end stopped reading, not yet known here.
    stops: VecDeque<StreamId>,
    /// Streams of the other end that we read no more.
    pub(crate) deaf: BTreeSet<StreamId>,
    /// What the store is to do, in order for each collection.
    pub(crate) works: Vec<Work>,
    /// Whether something is on its way already, so that an event is due.
    pub(crate) delivery_due: bool,
    pub(crate) hearing_due: bool,
    pub(crate) tick_at: Option<u64>,
    /// How many commits the session has heard of.
    pub(crate) heard: u64,
    /// What each of our streams carries.
    pub(crate) carries: BTreeMap<StreamId, String>,
    /// What its machine wants of the other.
    wanted: Wanted,
    /// Collections in which nothing goes on here, because of a fork.
    pub(crate) halted: BTreeSet<String>,
    /// Whether nothing was known of the roster when it began: then it speaks to everyone.
    pub(crate) unheard: bool,
    /// The link is cut: what is sent goes nowhere.
    severed: bool,
    /// It has said goodbye: only its control stream is still under way.
    pub(crate) parting: bool,
}

/// What a session wants done.
pub(crate) struct Work {
    pub(crate) ticket: u64,
    /// Of which collection; none for statements.
    pub(crate) collection: String,
    pub(crate) task: Task,
}

/// What there is to do.
pub(crate) enum Task {
    Apply(Vec<Vec<u8>>),
    Step(SnapshotStep),
    /// Keep statements of the roster.
    Hear(Vec<Vec<u8>>),
}

#[derive(Default)]
struct Wire {
    bytes: VecDeque<u8>,
    finish: bool,
    reset: bool,
}

/// What arrives at the other end.
#[derive(Debug)]
pub(crate) enum Arrival {
    Bytes(StreamId, Vec<u8>),
    Finished(StreamId),
    Reset(StreamId),
    Stopped(StreamId),
}

impl Arrival {
    pub(crate) fn stream(&self) -> StreamId {
        match self {
            Arrival::Bytes(stream, _)
            | Arrival::Finished(stream)
            | Arrival::Reset(stream)
            | Arrival::Stopped(stream) => *stream,
        }
    }

    pub(crate) fn input(&self) -> Input<'_> {
        match self {
            Arrival::Bytes(stream, bytes) => Input::Received { stream: *stream, bytes },
            Arrival::Finished(stream) => Input::Finished { stream: *stream },
            Arrival::Reset(stream) => Input::Reset { stream: *stream },
            Arrival::Stopped(stream) => Input::Stopped { stream: *stream },
        }
    }
}

impl Link {
    /// Whether a collection is exchanged: both ends want it.
    pub(crate) fn wants(&self, collection: &str) -> bool {
        self.ends.iter().flatten().all(|end| end.wants(collection))
    }
}

impl End {
    pub(crate) fn new(session: Session, heard: u64, wanted: Wanted, unheard: bool) -> End {
        End {
            session,
            wires: BTreeMap::new(),
            stops: VecDeque::new(),
            deaf: BTreeSet::new(),
            works: Vec::new(),
            delivery_due: false,
            hearing_due: false,
            tick_at: None,
            heard,
            carries: BTreeMap::new(),
            wanted,
            halted: BTreeSet::new(),
            unheard,
            severed: false,
            parting: false,
        }
    }

    /// Whether its machine wants this collection.
    pub(crate) fn wants(&self, collection: &str) -> bool {
        self.wanted.as_ref().is_none_or(|names| names.contains(collection))
    }

    pub(crate) fn send(&mut self, stream: StreamId, bytes: &[u8]) -> Checked {
        if self.severed {
            return Ok(());
        }
        self.wires.entry(stream).or_default().bytes.extend(bytes);
        let queued: usize = self.wires.values().map(|wire| wire.bytes.len()).sum();
        ensure!(queued <= MAX_LINK_QUEUE_BYTES, "{queued} bytes wait on a link");
        Ok(())
    }

    pub(crate) fn finish(&mut self, stream: StreamId) {
        if let Some(wire) = self.wires.get_mut(&stream) {
            wire.finish = true;
        }
    }

    pub(crate) fn reset(&mut self, stream: StreamId) {
        if let Some(wire) = self.wires.get_mut(&stream) {
            wire.reset = true;
        }
    }

    /// The other end does not read this stream of ours any more.
    pub(crate) fn stopped(&mut self, stream: StreamId) {
        self.stops.push_back(stream);
    }

    /// Nothing arrives any more.
    pub(crate) fn cut(&mut self) {
        self.wires.clear();
        self.stops.clear();
        self.severed = true;
    }

    /// Only what the control stream still carries will arrive.
    pub(crate) fn part(&mut self) {
        self.wires.retain(|stream, _| *stream == StreamId::Control);
        self.stops.clear();
        self.parting = true;
    }

    /// Takes something to do: the first of any collection.
    pub(crate) fn take_work(&mut self, chance: &mut Chance) -> Option<Work> {
        let mut first = BTreeMap::new();
        for (index, work) in self.works.iter().enumerate() {
            first.entry(&work.collection).or_insert(index);
        }
        let first: Vec<usize> = first.into_values().collect();
        (!first.is_empty()).then(|| self.works.remove(*chance.pick(&first)))
    }

    /// Whether something is under way to the other end.
    pub(crate) fn has_mail(&self) -> bool {
        !self.stops.is_empty() || self.wires.values().any(Wire::moves)
    }

    /// Takes something that arrives at the other end, from any stream, cut anywhere.
    pub(crate) fn take(&mut self, chance: &mut Chance, most: usize) -> Option<Arrival> {
        let streams: Vec<StreamId> =
            self.wires.iter().filter(|(_, wire)| wire.moves()).map(|(stream, _)| *stream).collect();
        let at = chance.below((streams.len() + usize::from(!self.stops.is_empty())).max(1));
        let Some(stream) = streams.get(at) else {
            let stopped = self.stops.pop_front()?;
            self.wires.remove(&stopped);
            return Some(Arrival::Stopped(stopped));
        };
        let wire = self.wires.get_mut(stream)?;
        if wire.reset || wire.bytes.is_empty() {
            let reset = wire.reset;
            self.wires.remove(stream);
            let arrival = if reset { Arrival::Reset } else { Arrival::Finished };
            return Some(arrival(*stream));
        }
        let most = most.min(wire.bytes.len());
        let length = if chance.percent(50) { most } else { 1 + chance.below(most) };
        Some(Arrival::Bytes(*stream, wire.bytes.drain(..length).collect()))
    }
}

impl Wire {
    fn moves(&self) -> bool {
        self.reset || self.finish || !self.bytes.is_empty()
    }
}
