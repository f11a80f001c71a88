//! A peer that sends anything: no panic, no large memory, nothing applied that is not genuine.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::store::{Store, dot, node, txn};
use super::world::{NETWORK, World};
use crate::id::{Position, Vector};
use crate::limits::{
    MAX_FRAME_BYTES, MAX_INVALID_ANSWERS, RETRY_MAX_MS, SYNC_RECEIVE_BYTES, SYNC_UNAPPLIED_BYTES,
};
use crate::sync::door::{Config, Event, Input, Offence, Outcome, Output, StreamId};
use crate::sync::message::{CloseCode, Control, Hello, PROTOCOL_VERSION, Tail, Txn};
use crate::sync::session::Session;
use crate::txn::roster::{Right, Rights};

/// One session and its store, at the mercy of whoever calls.
struct Victim {
    session: Session,
    store: Store,
    applies: Vec<u64>,
    events: Vec<Event>,
    closed: Option<CloseCode>,
    now_ms: u64,
}

impl Victim {
    fn new() -> Victim {
        Victim::allowing(None)
    }

    /// Whose peer may do this, if there is a roster.
    fn allowing(peer: Option<Rights>) -> Victim {
        let session =
            Session::new(Config { network: NETWORK, us: node(2), peer: node(1), wanted: None }, 0);
        let (mut store, closed) = (Store::default(), None);
        store.peer = peer;
        let (applies, events, now_ms) = (Vec::new(), Vec::new(), 0);
        let mut victim = Victim { session, store, applies, events, closed, now_ms };
        victim.store.write(2, "notes", b"ours");
        victim
    }

    /// After both hellos; the peer was asked for `notes`.
    fn ready() -> Victim {
        Victim::new().greeted()
    }

    fn greeted(mut self) -> Victim {
        let collections = BTreeMap::new();
        let hello = Hello {
            version: PROTOCOL_VERSION,
            network: NETWORK,
            collections,
            wanted: None,
            unpacks: false,
        };
        self.control(&Control::Hello(hello));
        self
    }

    /// With a tail of `notes` on stream 0.
    fn tailed() -> Victim {
        let mut victim = Victim::ready();
        victim.tail(0, &Tail::Tail { collection: "notes".to_owned() });
        victim
    }

    fn control(&mut self, message: &Control) {
        self.hear(StreamId::Control, &message.to_frame());
    }

    fn tail(&mut self, id: u64, message: &Tail) {
        self.hear(StreamId::Tail(id), &message.to_frame());
    }

    fn hear(&mut self, stream: StreamId, bytes: &[u8]) {
        self.input(Input::Received { stream, bytes });
    }

    fn input(&mut self, input: Input<'_>) {
        self.session.handle(input, self.now_ms, &self.store);
        while let Some(output) = self.session.poll(&self.store) {
            match output {
                Output::Apply { ticket, .. } => self.applies.push(ticket),
                Output::Event(event) => self.events.push(event),
                Output::Close { code, .. } => self.closed = Some(code),
                _ => {}
            }
        }
    }
}

/// A reader that writes all the same: its collection is halted, and both sides hear why.
#[test]
fn what_a_reader_wrote_halts_its_collection_alone() {
    let reader = Rights::everywhere(Right::Read);
    let mut victim = Victim::allowing(Some(reader)).greeted();
    victim.tail(0, &Tail::Tail { collection: "notes".to_owned() });
    victim.tail(0, &Tail::Txns { position: Position(1), txns: vec![big_txn(1, 8)] });
    for answer in 0..MAX_INVALID_ANSWERS as usize {
        assert!(!victim.events.iter().any(|event| matches!(event, Event::Halted { .. })));
        let outcome = Outcome::Forbidden("it may not write".to_owned());
        victim.input(Input::Applied { ticket: victim.applies[answer], outcome });
        // It is asked again after a while, and answers the same.
        victim.now_ms += RETRY_MAX_MS;
        victim.input(Input::Tick);
        let stream = 1 + answer as u64;
        victim.tail(stream, &Tail::Tail { collection: "notes".to_owned() });
        victim.tail(stream, &Tail::Txns { position: Position(1), txns: vec![big_txn(1, 8)] });
    }
    assert!(victim.closed.is_none());
    let halted = victim.events.iter().find(|event| matches!(event, Event::Halted { .. }));
    let Some(Event::Halted { offence, why, by_peer, .. }) = halted else { panic!("not halted") };
    assert_eq!((*offence, why.as_str(), *by_peer), (Offence::Forbidden, "it may not write", false));
}

/// A writer that relays what is not valid here yet: nothing is wrong, the roster is waited for.
#[test]
fn what_a_writer_relays_waits_for_the_roster() {
    let mut victim = Victim::allowing(Some(Rights::everywhere(Right::Write))).greeted();
    victim.tail(0, &Tail::Tail { collection: "notes".to_owned() });
    victim.tail(0, &Tail::Txns { position: Position(1), txns: vec![big_txn(1, 8)] });
    let outcome = Outcome::Forbidden("not heard of".to_owned());
    victim.input(Input::Applied { ticket: victim.applies[0], outcome });
    assert!(victim.closed.is_none());
    assert!(!victim.events.iter().any(|event| matches!(event, Event::Halted { .. })));
}

#[test]
fn rights_that_shrink_end_the_link_and_none_begin_none() {
    let mut victim = Victim::allowing(Some(Rights::everywhere(Right::Write))).greeted();
    victim.store.peer = Some(Rights::everywhere(Right::Read));
    victim.input(Input::Committed);
    assert_eq!(victim.closed, Some(CloseCode::Rights));
    let revoked = Victim::allowing(Some(Rights::default())).greeted();
    assert_eq!(revoked.closed, Some(CloseCode::Rights));
}

/// However often a peer asks, nothing is made ready of tails and the roster for one that does not
/// take what it was sent before; and when it does, what it asked last is answered, once.
#[test]
fn who_takes_nothing_has_nothing_made_ready() {
    let mut victim = Victim::new();
    victim.store.roster = Some((node(9), crate::id::Hash([9; 32])));
    let mut victim = victim.greeted();
    let mut said = Vec::new();
    for n in 0..1000_u16 {
        let digest = crate::id::Hash([n as u8; 32]);
        for message in [
            Control::Roster { founder: node(9), digest },
            Control::Known { hashes: vec![digest] },
            Control::Have { collection: "notes".to_owned(), vector: Vector::new() },
        ] {
            let (stream, bytes) = (StreamId::Control, message.to_frame());
            victim.session.handle(Input::Received { stream, bytes: &bytes }, 0, &victim.store);
            said.extend(std::iter::from_fn(|| victim.session.poll_said(&victim.store)));
        }
    }
    assert!(!said.iter().any(|output| matches!(output, Output::Send { .. })), "{said:?}");
    assert!(victim.session.held_bytes() < 10_000 && !victim.session.is_idle());
    let all: Vec<Output> = std::iter::from_fn(|| victim.session.poll(&victim.store)).collect();
    let frames = |stream: StreamId| {
        let of = move |output: &&Output| matches!(output, Output::Send { stream: on, .. } if *on == stream);
        all.iter().filter(of).count()
    };
    // What is known here, one statement, and what is held; and the tail, with its end.
    assert_eq!((frames(StreamId::Control), frames(StreamId::Tail(0))), (3, 2), "{all:?}");
}

#[test]
fn rights_that_shrink_before_the_peers_hello_are_not_passed_over() {
    let mut victim = Victim::allowing(Some(Rights::everywhere(Right::Write)));
    victim.input(Input::Tick);
    victim.store.peer = Some(Rights::default());
    victim.input(Input::Committed);
    assert_eq!(victim.closed, None);
    assert_eq!(victim.greeted().closed, Some(CloseCode::Rights));
}

#[test]
fn statements_to_one_without_a_roster_are_a_breach() {
    let mut victim = Victim::ready();
    victim.control(&Control::Statements { statements: vec![vec![1]] });
    assert_eq!(victim.closed, Some(CloseCode::Protocol));
    let mut victim = Victim::ready();
    victim.control(&Control::Roster { founder: node(1), digest: crate::id::Hash([0; 32]) });
    assert_eq!(victim.closed, Some(CloseCode::Network));
}

fn big_txn(seq: u64, bytes: usize) -> Txn {
    let dot = dot(1, seq);
    Txn { dot, bytes: txn(dot, &[], &vec![0; bytes]) }
}

#[test]
fn giant_lengths_are_refused_at_once() {
    for length in [0, MAX_FRAME_BYTES as u32 + 1, u32::MAX] {
        for stream in [StreamId::Control, StreamId::Tail(0)] {
            let mut victim = Victim::tailed();
            victim.hear(stream, &length.to_be_bytes());
            assert_eq!(victim.closed, Some(CloseCode::Protocol));
        }
    }
    // A stream that has not said what it carries has no use for more than a name and a number.
    let mut victim = Victim::ready();
    victim.hear(StreamId::Tail(0), &140u32.to_be_bytes());
    assert_eq!(victim.closed, Some(CloseCode::Protocol));
}

#[test]
fn what_is_not_applied_is_bounded_per_collection() {
    let mut victim = Victim::tailed();
    let mut sent = 0;
    for seq in 1.. {
        let txn = big_txn(seq, 1 << 20);
        sent += txn.bytes.len();
        victim.tail(0, &Tail::Txns { position: Position(seq), txns: vec![txn] });
        assert_eq!(victim.closed.is_some(), sent > SYNC_UNAPPLIED_BYTES);
        if victim.closed.is_some() {
            return;
        }
        assert_eq!(victim.applies.len(), 1, "one frame at a time");
    }
}

#[test]
fn what_is_held_of_a_link_is_bounded() {
    let chunk = vec![0; 4 << 20];
    let mut victim = Victim::new();
    let mut sent = 0;
    // Before the hellos nothing is looked at: it is only held.
    for id in 0.. {
        sent += chunk.len();
        victim.hear(StreamId::Tail(id), &chunk);
        assert_eq!(victim.closed.is_some(), sent > SYNC_RECEIVE_BYTES);
        if victim.closed.is_some() {
            return;
        }
    }
}

#[test]
fn claims_that_cannot_be_are_refused() {
    let notes = || "notes".to_owned();
    let ack = |collection, position| Control::Ack { collection, position: Position(position) };
    for message in [ack(notes(), u64::MAX), ack("other".to_owned(), 0)] {
        let mut victim = Victim::ready();
        victim.control(&message);
        assert_eq!(victim.closed, Some(CloseCode::Protocol), "{message:?}");
    }
    let mut victim = Victim::ready();
    victim.tail(0, &Tail::Tail { collection: "other".to_owned() });
    assert_eq!(victim.closed, Some(CloseCode::Protocol));
    let mut victim = Victim::ready();
    victim.tail(0, &Tail::CaughtUp);
    assert_eq!(victim.closed, Some(CloseCode::Protocol));
    let mut victim = Victim::tailed();
    victim.tail(0, &Tail::Tail { collection: notes() });
    assert_eq!(victim.closed, Some(CloseCode::Protocol));
}

/// A vector that claims what nobody wrote mutes nobody but the one who claims it (S8).
#[test]
fn a_lie_in_a_vector_hurts_only_the_liar() {
    let mut victim = Victim::ready();
    let head = crate::id::Head { seq: 1 << 63, hash: Default::default() };
    let vector: Vector = [(super::store::origin(2), head)].into_iter().collect();
    victim.control(&Control::Have { collection: "notes".to_owned(), vector });
    assert_eq!(victim.closed, None);
    victim.store.write(2, "notes", b"more");
    victim.input(Input::Committed);
    assert_eq!(victim.session.progress()["notes"].sent_txns, 0);
    assert_eq!(victim.store.held["notes"].vector.seq(&super::store::origin(2)), 2);
}

#[test]
fn a_stream_that_ends_within_a_frame_is_a_breach_and_a_reset_is_not() {
    let frame = Tail::CaughtUp.to_frame();
    let mut victim = Victim::tailed();
    victim.hear(StreamId::Tail(0), &frame[..3]);
    victim.input(Input::Finished { stream: StreamId::Tail(0) });
    assert_eq!(victim.closed, Some(CloseCode::Protocol));
    let mut victim = Victim::tailed();
    victim.hear(StreamId::Tail(0), &frame[..3]);
    victim.input(Input::Reset { stream: StreamId::Tail(0) });
    assert_eq!(victim.closed, None);
    victim.hear(StreamId::Tail(0), &frame[3..]);
    assert_eq!(victim.closed, None, "late bytes of a stream that is over");
}

#[test]
fn an_older_tail_does_not_come_back() {
    let mut victim = Victim::ready();
    victim.tail(5, &Tail::Tail { collection: "notes".to_owned() });
    victim.tail(3, &Tail::Tail { collection: "notes".to_owned() });
    victim.tail(3, &Tail::CaughtUp);
    assert!(!victim.events.contains(&Event::Synced { collection: "notes".to_owned() }));
    victim.tail(5, &Tail::CaughtUp);
    assert!(victim.events.contains(&Event::Synced { collection: "notes".to_owned() }));
    assert_eq!(victim.closed, None);
}

#[test]
fn an_outcome_of_a_replaced_tail_leaves_the_new_one_alone() {
    let synced = Event::Synced { collection: "notes".to_owned() };
    let mut victim = Victim::tailed();
    victim.tail(0, &Tail::Txns { position: Position(1), txns: vec![big_txn(1, 1)] });
    victim.tail(1, &Tail::Tail { collection: "notes".to_owned() });
    let (ticket, outcome) = (victim.applies[0], Outcome::MissingDependency);
    victim.input(Input::Applied { ticket, outcome });
    victim.tail(1, &Tail::CaughtUp);
    assert!(victim.events.contains(&synced));
}

#[test]
fn outcomes_that_nobody_waits_for_are_ignored() {
    let mut victim = Victim::tailed();
    victim.input(super::world::applied(77));
    victim.tail(0, &Tail::Txns { position: Position(1), txns: vec![big_txn(1, 1)] });
    let ticket = victim.applies[0];
    let outcome = Outcome::MissingDependency;
    victim.input(Input::Applied { ticket, outcome: outcome.clone() });
    victim.input(Input::Applied { ticket, outcome });
    assert_eq!(victim.closed, None);
}

/// All that one side said in a small exchange, by stream, and the store it came from.
fn recording() -> (Vec<(StreamId, Vec<u8>)>, Store, Store) {
    let mut world = World::new(6, 2);
    (0..3).for_each(|_| {
        world.write(0, "notes");
        world.write(1, "notes");
    });
    world.write(0, "tasks");
    let before = world.stores[1].clone();
    let link = world.link(0, 1);
    world.settle();
    world.assert_converged();
    let sent = world.links[link][0].sent.clone();
    (sent.into_iter().collect(), before, world.stores[0].clone())
}

/// Plays a recording to a fresh session; what is held in the end is genuine.
fn replay(streams: &[(StreamId, Vec<u8>)], store: &Store, genuine: &Store) -> Option<CloseCode> {
    let mut victim = Victim::new();
    victim.store = store.clone();
    victim.session =
        Session::new(Config { network: NETWORK, us: node(2), peer: node(1), wanted: None }, 0);
    let mut closed = None;
    // In small pieces, so that no acknowledgement comes before what it acknowledges was sent.
    for (stream, bytes) in streams.iter().flat_map(|(s, all)| all.chunks(8).map(move |b| (s, b))) {
        victim.session.handle(Input::Received { stream: *stream, bytes }, 0, &victim.store);
        while let Some(output) = victim.session.poll(&victim.store) {
            match output {
                Output::Apply { ticket, collection, txns } => {
                    let outcome = victim.store.apply_all(&collection, &txns);
                    victim.session.handle(Input::Applied { ticket, outcome }, 0, &victim.store);
                }
                Output::Close { code, .. } => closed = Some(code),
                _ => {}
            }
        }
    }
    victim.store.check();
    let content = victim.store.content();
    let genuine: Vec<&Vec<u8>> = genuine.held.values().flat_map(|h| h.txns.values()).collect();
    assert!(content.values().flat_map(|txns| txns.values()).all(|txn| genuine.contains(&txn)));
    closed
}

#[test]
fn a_recording_replays() {
    let (streams, before, after) = recording();
    assert_eq!(replay(&streams, &before, &after), None);
}

#[test]
fn a_flipped_bit_anywhere_never_panics_and_brings_nothing_false() {
    let (mut streams, before, after) = recording();
    for stream in 0..streams.len() {
        for bit in 0..streams[stream].1.len() * 8 {
            streams[stream].1[bit / 8] ^= 1 << (bit % 8);
            replay(&streams, &before, &after);
            streams[stream].1[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn a_recording_cut_anywhere_never_panics() {
    let (streams, before, after) = recording();
    for stream in 0..streams.len() {
        for length in 0..streams[stream].1.len() {
            let mut cut = streams.clone();
            cut[stream].1.truncate(length);
            assert_eq!(replay(&cut, &before, &after), None);
        }
    }
}

fn any_stream() -> impl Strategy<Value = StreamId> {
    prop_oneof![Just(StreamId::Control), (0u64..4).prop_map(StreamId::Tail)]
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let body = prop::collection::vec(any::<u8>(), 0..60);
    let random = (any::<u8>(), body).prop_map(|(kind, body)| {
        let length = body.len() as u32 + 1;
        [&length.to_be_bytes()[..], &[kind % 22], &body].concat()
    });
    let collection = || "notes".to_owned();
    let genuine = (0u8..8, 1u64..5).prop_map(move |(kind, n)| match kind {
        0 => Tail::Tail { collection: collection() }.to_frame(),
        1 => Tail::CaughtUp.to_frame(),
        2 => Tail::Behind.to_frame(),
        3 => Tail::Txns { position: Position(n), txns: vec![big_txn(n, 3)] }.to_frame(),
        4 => Control::Have { collection: collection(), vector: Vector::new() }.to_frame(),
        5 => Control::Have { collection: format!("c{n}"), vector: Vector::new() }.to_frame(),
        6 => Control::Ack { collection: collection(), position: Position(n) }.to_frame(),
        _ => Tail::Tail { collection: format!("c{n}") }.to_frame(),
    });
    prop_oneof![1 => random, 6 => genuine]
}

fn any_input() -> impl Strategy<Value = (u8, StreamId, Vec<u8>)> {
    (0u8..12, any_stream(), any_frame())
}

proptest! {
    #[test]
    fn garbage_never_panics(
        ready: bool,
        parts in prop::collection::vec((any_stream(), prop::collection::vec(any::<u8>(), 0..200)), 1..10),
    ) {
        let mut victim = if ready { Victim::tailed() } else { Victim::new() };
        for (stream, bytes) in parts {
            victim.hear(stream, &bytes);
        }
    }

    #[test]
    fn well_formed_nonsense_never_panics(inputs in prop::collection::vec(any_input(), 1..60)) {
        let mut victim = Victim::tailed();
        for (kind, stream, frame) in inputs {
            let ticket = victim.applies.pop();
            let outcome = [Outcome::Applied, Outcome::MissingDependency][usize::from(kind % 2)].clone();
            match (kind, ticket) {
                (0, _) => victim.input(Input::Finished { stream }),
                (1, _) => victim.input(Input::Reset { stream }),
                (2, _) => victim.input(Input::Stopped { stream }),
                (3, _) => {
                    victim.store.write(2, "notes", b"more");
                    victim.input(Input::Committed);
                }
                (4 | 5, Some(ticket)) => victim.input(Input::Applied { ticket, outcome }),
                (_, ticket) => {
                    victim.applies.extend(ticket);
                    victim.hear(stream, &frame);
                }
            }
        }
        victim.store.check();
    }
}
