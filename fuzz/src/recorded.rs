//! Stores with a history, and links between them, written down as scripts of [`session`].
//!
//! [`session`]: super::session

use std::collections::{BTreeMap, VecDeque};

use littoral::id::Vector;
use littoral::replica::{self, Replica};
use littoral::sync::door::{Config, Input as Told, Output, SnapshotStep, StreamId};
use littoral::sync::session::Session;
use littoral::txn::snapshot::{Span, Staged, ViewHead};
use littoral::{Field, Fields, Store, Value};

use super::input::put_chunk;
use super::session::{APPLIED, COMMITTED, CONTROL, FINISHED, RESET, STEPPED, STOPPED, TAIL, TICK};
use super::stores::{self, NOTES, scope};

/// What a store has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind(u8);

/// Documents and the log behind them.
pub(super) const FULL: Kind = Kind(0);
/// Nothing.
pub(super) const EMPTY: Kind = Kind(1);
/// Documents, and no log that goes back to them.
pub(super) const PRUNED: Kind = Kind(2);

/// A store of one kind, on our side of a link: its key is not the peer's.
pub(super) fn store(kind: Kind) -> Store {
    store_of(1, kind)
}

fn store_of(key: u8, kind: Kind) -> Store {
    let store = stores::new(key);
    match kind {
        FULL => write(&store),
        PRUNED => {
            let author = stores::new(5);
            write(&author);
            skip(&store, &author);
            store.collection(NOTES).and_then(|notes| notes.set("own", "x", 1i64)).expect("a write");
        }
        _ => {}
    }
    store
}

/// Documents of all kinds, some of them large, and conflicts with nobody.
pub(super) fn write(store: &Store) {
    let notes = store.collection(NOTES).expect("a legal name");
    for n in 0..6i64 {
        let fields: Fields = [
            ("title".to_owned(), Field::from(format!("note {n}"))),
            ("tags".to_owned(), Field::set(["sea", "moon"])),
            ("views".to_owned(), Field::Counter(n)),
            ("place".to_owned(), Field::map([("lat", Value::from(0.5)), ("lon", Value::Null)])),
            ("list".to_owned(), Field::from(Value::Array(vec![n.into(), true.into()]))),
        ]
        .into();
        notes.put(&format!("n{n}"), &fields).expect("a write");
    }
    notes.increment("n1", "views", 5).expect("a write");
    notes.remove("n2", "tags", "sea").expect("a write");
    notes.delete("n3").expect("a write");
    notes.set("n4", ["place", "lon"], Value::Bytes(vec![1, 2, 3])).expect("a write");
    let large: Fields = (0..400i64).map(|n| (format!("f{n:04}"), Field::from(n))).collect();
    notes.put("large", &large).expect("a write");
    let tasks = store.collection("tasks").expect("a legal name");
    tasks.set("t", "at", Value::Time(1_795_348_800_000_000)).expect("a write");
}

/// Makes `to` hold the notes of `from` without the transactions.
fn skip(to: &Store, from: &Store) {
    let view = from.view(NOTES).expect("a view");
    let head = ViewHead::verify(view.head(), scope(), &from.node_id()).expect("its own head");
    to.stage(NOTES).expect("staging");
    let list = view.list(&Span::default(), usize::MAX).expect("a list");
    let staged: Vec<Staged> = list
        .into_iter()
        .map(|(id, _)| Staged { packed: view.document(&id).expect("a document"), id })
        .collect();
    to.stage_documents(NOTES, &head, &staged).expect("staging");
    assert!(to.join(NOTES, &head, from.node_id()).expect("a join"));
}

/// The transactions of the notes of a full store, as they are signed, and the head and documents
/// of a view of it.
pub(super) struct Bytes {
    pub(super) txns: Vec<Vec<u8>>,
    pub(super) head: Vec<u8>,
    pub(super) documents: Vec<Vec<u8>>,
}

/// Bytes of two stores that wrote apart and met.
pub(super) fn bytes() -> Bytes {
    let (a, b) = (stores::new(0), stores::new(1));
    write(&a);
    let notes = b.collection(NOTES).expect("a legal name");
    notes.set("n1", "title", "another").expect("a write");
    notes.increment("n1", "views", -2).expect("a write");
    exchange(&a, &b);
    notes.unset("n1", "views").expect("a write");
    notes.set("n4", "title", "from b").expect("a write");
    let ours = a.collection(NOTES).expect("a legal name");
    ours.set("n4", "title", "from a").expect("a write");
    exchange(&b, &a);
    let view = a.view(NOTES).expect("a view");
    let list = view.list(&Span::default(), usize::MAX).expect("a list");
    let documents = list.iter().filter_map(|(id, _)| view.document(id).expect("a document"));
    Bytes { txns: log_of(&a), head: view.head().to_vec(), documents: documents.collect() }
}

fn exchange(from: &Store, to: &Store) {
    to.apply_remote(NOTES, log_of(from)).expect("transactions");
}

fn log_of(store: &Store) -> Vec<Vec<u8>> {
    let mut at = store.log_start(NOTES, &Vector::new()).expect("the log");
    let mut found = Vec::new();
    loop {
        let page = store.log_read(NOTES, at, 1 << 16).expect("the log");
        if page.records.is_empty() {
            return found;
        }
        at = page.next;
        found.extend(page.records.into_iter().map(|(_, bytes, _)| bytes));
    }
}

/// Scripts of our side of a link, whose first byte is the kind of our store; and all frames that
/// both sides sent, without their lengths.
pub(super) fn links() -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let (mut scripts, mut frames) = (Vec::new(), Vec::new());
    for (ours, theirs) in [
        (FULL, FULL),
        (FULL, EMPTY),
        (EMPTY, FULL),
        (EMPTY, PRUNED),
        (PRUNED, EMPTY),
        (PRUNED, FULL),
    ] {
        let (script, sent) = record(ours, theirs);
        scripts.push(script);
        frames.extend(sent);
    }
    frames.sort();
    frames.dedup();
    (scripts, frames)
}

struct End {
    store: Store,
    session: Session,
    sent: BTreeMap<StreamId, VecDeque<Vec<u8>>>,
    applies: VecDeque<(u64, String, Vec<Vec<u8>>)>,
    steps: VecDeque<(u64, String, SnapshotStep)>,
}

struct Recording {
    ends: [End; 2],
    script: Vec<u8>,
    frames: Vec<Vec<u8>>,
    now_ms: u64,
}

/// A link between two stores, until nothing is under way.
fn record(ours: Kind, theirs: Kind) -> (Vec<u8>, Vec<Vec<u8>>) {
    let stores = [store_of(1, ours), store_of(0, theirs)];
    let ids = [stores[0].node_id(), stores[1].node_id()];
    let mut peers = [ids[1], ids[0]].into_iter();
    let ends = stores.map(|store| {
        let (us, peer) = (store.node_id(), peers.next().expect("two"));
        let config = Config { network: scope().network.0, us, peer, wanted: None };
        let session = Session::new(config, 0);
        let (sent, applies, steps) = Default::default();
        End { store, session, sent, applies, steps }
    });
    let mut link = Recording { ends, script: vec![ours.0], frames: Vec::new(), now_ms: 0 };
    (0..2).for_each(|end| link.drain(end));
    while link.step() {}
    (link.script, link.frames)
}

impl Recording {
    /// One thing happens. Whether anything could.
    fn step(&mut self) -> bool {
        for end in 0..2 {
            if let Some((ticket, name, txns)) = self.ends[end].applies.pop_front() {
                let outcome = replica::outcome(Replica::apply(&self.ends[end].store, &name, txns));
                self.handle(end, &[APPLIED, 0], Told::Applied { ticket, outcome });
                self.handle(end, &[COMMITTED], Told::Committed);
                return true;
            }
            if let Some((ticket, name, step)) = self.ends[end].steps.pop_front() {
                let peer = self.ends[1 - end].store.node_id();
                let step = Replica::step(&self.ends[end].store, &name, &peer, step);
                let outcome = replica::step_outcome(step);
                self.handle(end, &[STEPPED, 0], Told::Stepped { ticket, outcome });
                return true;
            }
        }
        for from in 0..2 {
            let waiting = self.ends[from].sent.iter_mut().find(|(_, sent)| !sent.is_empty());
            if let Some((&stream, sent)) = waiting {
                let bytes = sent.pop_front().expect("it is not empty");
                let mut action = match stream {
                    StreamId::Control => vec![CONTROL],
                    StreamId::Tail(id) => vec![TAIL, id as u8],
                };
                put_chunk(&mut action, &bytes);
                self.handle(1 - from, &action, Told::Received { stream, bytes: &bytes });
                return true;
            }
        }
        let busy = self.ends.iter().any(|end| !end.session.is_idle() && !end.session.is_ended());
        let due = self.ends.iter().filter_map(|end| end.session.deadline_ms()).min();
        let Some(due) = due.filter(|due| busy && *due < self.now_ms + 60_000) else { return false };
        let ms = due.saturating_sub(self.now_ms).next_multiple_of(16).max(16);
        self.now_ms += ms;
        for end in 0..2 {
            let [a, b] = ((ms / 16) as u16).to_be_bytes();
            self.handle(end, &[TICK, a, b], Told::Tick);
        }
        true
    }

    fn handle(&mut self, end: usize, action: &[u8], told: Told<'_>) {
        if end == 0 {
            self.script.extend_from_slice(action);
        }
        let at = &mut self.ends[end];
        at.session.handle(told, self.now_ms, &at.store);
        self.drain(end);
    }

    fn drain(&mut self, end: usize) {
        loop {
            let at = &mut self.ends[end];
            let Some(output) = at.session.poll(&at.store) else { return };
            match output {
                Output::Send { stream, bytes } => {
                    self.frames.extend(frames_of(&bytes));
                    at.sent.entry(stream).or_default().push_back(bytes);
                }
                Output::Apply { ticket, collection, txns } => {
                    at.applies.push_back((ticket, collection, txns));
                }
                Output::Hear { .. } => panic!("statements, and there is no roster"),
                Output::Snapshot { ticket, collection, step } => {
                    at.steps.push_back((ticket, collection, step));
                }
                Output::Reset { stream } => {
                    at.sent.remove(&stream);
                    self.handle(1 - end, &[RESET, number(stream)], Told::Reset { stream });
                }
                Output::StopReading { stream } => {
                    self.ends[1 - end].sent.remove(&stream);
                    self.handle(1 - end, &[STOPPED, number(stream)], Told::Stopped { stream });
                }
                Output::Finish { stream } => {
                    for bytes in at.sent.remove(&stream).unwrap_or_default() {
                        let mut action = vec![TAIL, number(stream)];
                        put_chunk(&mut action, &bytes);
                        let told = Told::Received { stream, bytes: &bytes };
                        self.handle(1 - end, &action, told);
                    }
                    self.handle(1 - end, &[FINISHED, number(stream)], Told::Finished { stream });
                }
                Output::Event(_) => {}
                Output::Close { reason, .. } => panic!("a recorded link ended: {reason}"),
            }
        }
    }
}

fn number(stream: StreamId) -> u8 {
    match stream {
        StreamId::Control => 255,
        StreamId::Tail(id) => id as u8,
    }
}

/// Whole frames, without their lengths.
fn frames_of(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let (frame, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        frames.push(frame.to_vec());
        bytes = rest;
    }
    frames
}
