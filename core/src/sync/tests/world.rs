//! Replicas and links, driven by a seed: which bytes arrive when, in which pieces, when a
//! store gets round to applying, when a session hears of a commit.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::store::{Store, node};
use crate::id::Dot;
use crate::limits::OUTLINE_ABOVE;
use crate::sync::door::{Config, Event, Input, Outcome, Output, StreamId};
use crate::sync::framing::Framer;
use crate::sync::message::{CloseCode, Tail};
use crate::sync::packing::unpack;
use crate::sync::session::Session;
use crate::txn::{NetworkId, Scope};

pub(super) const NETWORK: [u8; 16] = [9; 16];

/// SplitMix64.
#[derive(Debug, Clone)]
pub(super) struct Rng(pub(super) u64);

impl Rng {
    pub(super) fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
}

/// One end of a link, and what it has sent that did not arrive yet.
#[derive(Debug)]
pub(super) struct End {
    pub(super) node: usize,
    pub(super) session: Session,
    wires: BTreeMap<StreamId, Wire>,
    /// Streams of ours that the other end stopped reading, not yet known here.
    stops: VecDeque<StreamId>,
    /// Streams of the other end that we read no more.
    deaf: BTreeSet<StreamId>,
    pub(super) applies: VecDeque<(u64, String, Vec<Vec<u8>>)>,
    dirty: bool,
    pub(super) events: Vec<Event>,
    pub(super) closed: Option<(CloseCode, String, bool)>,
    /// All bytes sent, by stream.
    pub(super) sent: BTreeMap<StreamId, Vec<u8>>,
    /// How often each transaction was sent.
    pub(super) crossed: BTreeMap<(String, Dot), usize>,
}

#[derive(Debug, Default)]
struct Wire {
    bytes: VecDeque<u8>,
    finish: bool,
    reset: bool,
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Deliver(usize, usize, StreamId),
    Stopped(usize, usize),
    Apply(usize, usize),
    Committed(usize, usize),
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) rng: Rng,
    pub(super) stores: Vec<Store>,
    pub(super) links: Vec<[End; 2]>,
    pub(super) now_ms: u64,
    pub(super) max_chunk: usize,
    /// Bytes that may still be delivered; then nothing moves any more.
    pub(super) budget: usize,
    /// Nodes that don't apply for now.
    pub(super) lazy: BTreeSet<usize>,
    pub(super) trace: blake3::Hasher,
    /// Entries of a vector above which it is told in short. With odd seeds all are.
    pub(super) outline_above: usize,
}

impl World {
    pub(super) fn new(seed: u64, nodes: usize) -> World {
        World {
            rng: Rng(seed),
            stores: vec![Store::default(); nodes],
            links: Vec::new(),
            now_ms: 0,
            max_chunk: 400,
            budget: usize::MAX,
            lazy: BTreeSet::new(),
            trace: blake3::Hasher::new(),
            outline_above: if seed.is_multiple_of(2) { OUTLINE_ABOVE } else { 0 },
        }
    }

    pub(super) fn link(&mut self, a: usize, b: usize) -> usize {
        let ends = [self.end(a, b), self.end(b, a)];
        self.links.push(ends);
        let link = self.links.len() - 1;
        self.drain(link, 0);
        self.drain(link, 1);
        link
    }

    fn end(&self, us: usize, peer: usize) -> End {
        let config = Config {
            network: NETWORK,
            us: node(us as u8 + 1),
            peer: node(peer as u8 + 1),
            wanted: None,
        };
        End {
            node: us,
            session: Session::new(config, self.now_ms).outline_above(self.outline_above),
            wires: BTreeMap::new(),
            stops: VecDeque::new(),
            deaf: BTreeSet::new(),
            applies: VecDeque::new(),
            dirty: false,
            events: Vec::new(),
            closed: None,
            sent: BTreeMap::new(),
            crossed: BTreeMap::new(),
        }
    }

    /// All links are cut; what was under way is lost, also what was being applied, of which
    /// some may have been.
    pub(super) fn cut(&mut self) {
        for end in std::mem::take(&mut self.links).into_iter().flatten() {
            for (_, collection, txns) in end.applies {
                let some = self.rng.below(txns.len() + 1);
                self.stores[end.node].apply_all(&collection, &txns[..some]);
            }
        }
        self.budget = usize::MAX;
    }

    pub(super) fn write(&mut self, at: usize, collection: &str) -> Dot {
        let payload = vec![at as u8; 1 + self.rng.below(40)];
        self.write_bytes(at, collection, &payload)
    }

    pub(super) fn write_bytes(&mut self, at: usize, collection: &str, payload: &[u8]) -> Dot {
        let dot = self.stores[at].write(at as u8 + 1, collection, payload);
        self.committed(at);
        dot
    }

    pub(super) fn committed(&mut self, at: usize) {
        self.links.iter_mut().flatten().filter(|end| end.node == at).for_each(|e| e.dirty = true);
    }

    /// Runs until nothing is under way; time stands still.
    pub(super) fn settle(&mut self) {
        for _ in 0..2_000_000 {
            if !self.step() {
                return;
            }
        }
        panic!("it goes on for ever");
    }

    /// Lets time pass, `Tick` by `Tick`.
    pub(super) fn pass(&mut self, ms: u64) {
        let until = self.now_ms + ms;
        loop {
            self.settle();
            let ends = self.links.iter().flatten();
            let next = ends.filter_map(|end| end.session.deadline_ms()).min();
            let Some(next) = next.filter(|time| *time <= until) else { break };
            self.now_ms = self.now_ms.max(next);
            self.tick();
        }
        self.now_ms = until;
        self.tick();
        self.settle();
    }

    fn tick(&mut self) {
        for (link, end) in self.all_ends() {
            self.handle(link, end, Input::Tick);
        }
    }

    pub(super) fn all_ends(&self) -> Vec<(usize, usize)> {
        (0..self.links.len()).flat_map(|link| [(link, 0), (link, 1)]).collect()
    }

    /// One thing happens, anywhere. Whether anything could.
    pub(super) fn step(&mut self) -> bool {
        let acts = self.acts();
        if acts.is_empty() {
            return false;
        }
        let act = acts[self.rng.below(acts.len())];
        self.act(act);
        true
    }

    fn acts(&self) -> Vec<Act> {
        let mut acts = Vec::new();
        for (link, e) in self.all_ends() {
            let end = &self.links[link][e];
            let moves = |wire: &Wire| {
                (wire.bytes.is_empty() && wire.finish)
                    || wire.reset
                    || (!wire.bytes.is_empty() && self.budget > 0)
            };
            let wires = end.wires.iter().filter(|(_, wire)| moves(wire));
            acts.extend(wires.map(|(stream, _)| Act::Deliver(link, e, *stream)));
            if !end.stops.is_empty() {
                acts.push(Act::Stopped(link, e));
            }
            if !end.applies.is_empty() && !self.lazy.contains(&end.node) {
                acts.push(Act::Apply(link, e));
            }
            if end.dirty {
                acts.push(Act::Committed(link, e));
            }
        }
        acts
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Deliver(link, e, stream) => self.deliver(link, e, stream),
            Act::Stopped(link, e) => {
                let stream = self.links[link][e].stops.pop_front().unwrap();
                self.handle(link, e, Input::Stopped { stream });
            }
            Act::Apply(link, e) => self.apply(link, e),
            Act::Committed(link, e) => {
                self.links[link][e].dirty = false;
                self.handle(link, e, Input::Committed);
            }
        }
    }

    fn deliver(&mut self, link: usize, from: usize, stream: StreamId) {
        let deaf = self.links[link][1 - from].deaf.contains(&stream);
        let wire = self.links[link][from].wires.get_mut(&stream).unwrap();
        if wire.reset || (wire.bytes.is_empty() && wire.finish) {
            let reset = wire.reset;
            self.links[link][from].wires.remove(&stream);
            let input = if reset { Input::Reset { stream } } else { Input::Finished { stream } };
            if !deaf {
                self.handle(link, 1 - from, input);
            }
            return;
        }
        let most = self.max_chunk.min(wire.bytes.len()).min(self.budget);
        let chunk = if most == 1 { 1 } else { 1 + self.rng.below(most) };
        self.budget -= chunk;
        let bytes: Vec<u8> = wire.bytes.drain(..chunk).collect();
        // What was under way when the reader stopped may still arrive.
        if !deaf || self.rng.below(2) == 0 {
            self.handle(link, 1 - from, Input::Received { stream, bytes: &bytes });
        }
    }

    fn apply(&mut self, link: usize, e: usize) {
        let end = &mut self.links[link][e];
        let (ticket, collection, txns) = end.applies.pop_front().unwrap();
        let node = end.node;
        let before = self.stores[node].content();
        let outcome = self.stores[node].apply_all(&collection, &txns);
        if self.stores[node].content() != before {
            self.committed(node);
        }
        self.handle(link, e, Input::Applied { ticket, outcome });
    }

    pub(super) fn handle(&mut self, link: usize, e: usize, input: Input<'_>) {
        let node = self.links[link][e].node;
        self.links[link][e].session.handle(input, self.now_ms, &self.stores[node]);
        self.drain(link, e);
    }

    fn drain(&mut self, link: usize, e: usize) {
        let node = self.links[link][e].node;
        while let Some(output) = self.links[link][e].session.poll(&self.stores[node]) {
            self.trace.update(format!("{link} {e} {output:?}\n").as_bytes());
            assert!(self.links[link][e].closed.is_none(), "{output:?} after Close");
            self.carry_out(link, e, output);
        }
    }

    fn carry_out(&mut self, link: usize, e: usize, output: Output) {
        let end = &mut self.links[link][e];
        match output {
            Output::Send { stream, bytes } => {
                end.wires.entry(stream).or_default().bytes.extend(&bytes);
                end.sent.entry(stream).or_default().extend(&bytes);
                end.count(stream, &bytes);
            }
            Output::Finish { stream } => end.wires.entry(stream).or_default().finish = true,
            Output::Reset { stream } => end.wires.entry(stream).or_default().reset = true,
            Output::StopReading { stream } => {
                assert!(end.deaf.insert(stream), "stopped twice");
                self.links[link][1 - e].stops.push_back(stream);
            }
            Output::Apply { ticket, collection, txns } => {
                let busy = end.applies.iter().any(|(_, name, _)| *name == collection);
                assert!(!busy, "two frames of one collection at once");
                end.applies.push_back((ticket, collection, txns));
            }
            // These stores give no lease, so nothing is ever staged.
            Output::Snapshot { .. } => panic!("a step of a snapshot"),
            Output::Hear { .. } => panic!("statements, and there is no roster"),
            Output::Event(event) => end.events.push(event),
            Output::Close { code, reason, by_peer } => end.closed = Some((code, reason, by_peer)),
        }
    }

    pub(super) fn converged(&self) -> bool {
        self.stores.iter().all(|store| store.content() == self.stores[0].content())
    }

    /// All is quiet, all hold the same, nobody complained.
    pub(super) fn assert_converged(&self) {
        self.stores.iter().for_each(Store::check);
        for (link, ends) in self.links.iter().enumerate() {
            for end in ends {
                assert_eq!(end.closed, None, "link {link}");
                assert!(end.session.is_idle(), "link {link}: {:?}", end.session);
                let progress = end.session.progress();
                assert!(progress.values().all(|p| p.unapplied_bytes + p.unacked_bytes == 0));
                assert!(progress.values().all(|p| p.caught_up && p.peer_caught_up), "{progress:?}");
            }
        }
        assert!(self.converged());
    }

    pub(super) fn crossings(&self, link: usize) -> usize {
        self.links[link].iter().flat_map(|end| end.crossed.values()).sum()
    }

    pub(super) fn saw(&self, link: usize, e: usize, event: &Event) -> usize {
        self.links[link][e].events.iter().filter(|seen| *seen == event).count()
    }
}

impl End {
    fn count(&mut self, stream: StreamId, bytes: &[u8]) {
        if stream == StreamId::Control {
            return;
        }
        // The name is in the first frame of the stream, which is never packed.
        let Some(Tail::Tail { collection }) = tail_messages(&self.sent[&stream], "").next() else {
            panic!("a stream that does not begin with its name")
        };
        for message in tail_messages(bytes, &collection) {
            if let Tail::Txns { txns, .. } = message {
                for txn in txns {
                    *self.crossed.entry((collection.clone(), txn.dot)).or_default() += 1;
                }
            }
        }
    }
}

/// The messages of some whole frames of a collection's tail.
pub(super) fn tail_messages(bytes: &[u8], collection: &str) -> impl Iterator<Item = Tail> {
    let mut framer = Framer::new(crate::limits::MAX_FRAME_BYTES);
    framer.push(bytes);
    let frames = std::iter::from_fn(move || framer.next().unwrap());
    let scope = Scope { network: NetworkId(NETWORK), collection };
    frames.map(move |frame| Tail::from_frame(&unpack(frame, scope).unwrap()).unwrap())
}

/// An outcome that a test hands back itself.
pub(super) fn applied(ticket: u64) -> Input<'static> {
    Input::Applied { ticket, outcome: Outcome::Applied }
}
