//! Long vectors, told in short. With odd seeds all other tests do that, too.

use std::collections::BTreeMap;

use super::store::{Store, node, origin, txn};
use super::world::{NETWORK, World};
use crate::id::{Dot, Head, Origin, ShortHash, Vector};
use crate::sync::ask::Question;
use crate::sync::door::{Config, Input, Offence, Output, StreamId};
use crate::sync::message::{CloseCode, Control, Hello, PROTOCOL_VERSION, Tail};
use crate::sync::outline::{Outline, pick};
use crate::sync::session::Session;

/// So many stores wrote once, long ago.
const ORIGINS: u32 = 3_000;

fn long_ago(store: &mut Store) {
    for incarnation in 0..ORIGINS {
        let origin = Origin { incarnation, ..origin(9) };
        store.apply("notes", &txn(Dot { origin, seq: 1 }, &[], b"gone"));
    }
}

/// Bytes that each side has said.
fn said(world: &World, link: usize) -> [usize; 2] {
    [0, 1].map(|end| world.links[link][end].sent[&StreamId::Control].len())
}

fn apart(seed: u64) -> World {
    let mut world = World::new(seed, 2);
    world.max_chunk = 1 << 20;
    (0..2).for_each(|at| long_ago(&mut world.stores[at]));
    // Not by `write`, whose dependencies have no room for so many.
    for at in 0..2 {
        let dot = Dot { origin: origin(at as u8 + 1), seq: 1 };
        world.stores[at].apply("notes", &txn(dot, &[], b"news"));
    }
    world
}

#[test]
fn who_differs_in_little_says_little_however_many_have_written() {
    let mut world = apart(2);
    let link = world.link(0, 1);
    world.settle();
    world.assert_converged();
    for bytes in said(&world, link) {
        assert!(bytes < 16 << 10, "{bytes} bytes said");
    }
    // In full it is ten times as much.
    let mut world = apart(2);
    world.outline_above = usize::MAX;
    let link = world.link(0, 1);
    world.settle();
    world.assert_converged();
    assert!(said(&world, link).iter().all(|bytes| *bytes > 160 << 10));
}

#[test]
fn who_holds_nothing_is_told_all() {
    let mut world = World::new(4, 2);
    world.max_chunk = 1 << 20;
    long_ago(&mut world.stores[0]);
    world.link(0, 1);
    world.settle();
    world.assert_converged();
}

#[test]
fn what_is_written_while_a_vector_is_told_arrives() {
    for seed in 0..200 {
        let mut world = World::new(2 * seed + 1, 3);
        for at in 0..3 {
            world.write(at, "notes");
        }
        let _ = (world.link(0, 1), world.link(1, 2));
        for _ in 0..40 {
            let at = world.rng.below(3);
            if world.rng.below(8) == 0 {
                world.write(at, "notes");
            }
            world.step();
        }
        world.settle();
        world.assert_converged();
    }
}

/// A session that holds one transaction of `notes`, greeted by a peer that holds none.
struct Victim {
    session: Session,
    store: Store,
    said: Vec<Control>,
    closed: Option<CloseCode>,
}

impl Victim {
    fn new() -> Victim {
        let config = Config { network: NETWORK, us: node(2), peer: node(1), wanted: None };
        let session = Session::new(config, 0).outline_above(0);
        let mut victim =
            Victim { session, store: Store::default(), said: Vec::new(), closed: None };
        victim.store.write(2, "notes", b"ours");
        let collections = BTreeMap::new();
        let version = PROTOCOL_VERSION;
        victim.hear(&Control::Hello(Hello {
            version,
            network: NETWORK,
            collections,
            wanted: None,
            unpacks: false,
        }));
        victim
    }

    fn hear(&mut self, message: &Control) {
        self.receive(StreamId::Control, message.to_frame());
    }

    fn receive(&mut self, stream: StreamId, bytes: Vec<u8>) {
        self.session.handle(Input::Received { stream, bytes: &bytes }, 0, &self.store);
        while let Some(output) = self.session.poll(&self.store) {
            match output {
                Output::Send { stream: StreamId::Control, bytes } => {
                    let mut framer = crate::sync::framing::Framer::new(1 << 20);
                    framer.push(&bytes);
                    while let Some(frame) = framer.next().unwrap() {
                        self.said.push(Control::from_frame(&frame).unwrap());
                    }
                }
                Output::Close { code, .. } => self.closed = Some(code),
                _ => {}
            }
        }
    }

    fn answers(&self) -> usize {
        let is_answer = |message: &&Control| matches!(message, Control::Picked { .. });
        self.said.iter().filter(is_answer).count()
    }

    fn asks_for_a_view(&self) -> bool {
        let asks =
            |message: &Control| matches!(message, Control::Ask { question: Question::View, .. });
        self.said.iter().any(asks)
    }

    fn picks(&self) -> Vec<u16> {
        match self.said.last() {
            Some(Control::Pick { buckets, .. }) => buckets.clone(),
            other => panic!("{other:?} instead of a pick"),
        }
    }
}

fn notes() -> String {
    "notes".to_owned()
}

fn theirs() -> Vector {
    let head = Head { seq: 7, hash: ShortHash([7; 16]) };
    [(origin(1), head), (origin(77), head)].into_iter().collect()
}

#[test]
fn an_outline_is_answered_once_and_an_older_one_not_at_all() {
    let mut victim = Victim::new();
    let pick = |number, buckets| Control::Pick { collection: notes(), number, buckets };
    victim.hear(&pick(0, vec![0]));
    assert_eq!(victim.answers(), 0);
    victim.hear(&pick(1, vec![0, 1, 2, 3]));
    assert_eq!(victim.answers(), 1);
    victim.hear(&pick(1, vec![0, 1, 2, 3]));
    assert_eq!((victim.answers(), victim.closed), (1, None));
    victim.hear(&pick(1, vec![4]));
    assert_eq!(victim.closed, None);
}

/// The simulator found it: what was picked of the first answers nothing that is asked of the
/// second, since what they were compared with is not the same.
#[test]
fn one_vector_told_twice_is_two_outlines() {
    let outline = Outline::of(&theirs());
    let buckets = outline.buckets.len();
    let mut victim = Victim::new();
    let say = |number| Control::Outline { collection: notes(), number, outline: outline.clone() };
    victim.hear(&say(1));
    let before = victim.picks();
    let apart = Dot { origin: origin(77), seq: 1 };
    victim.store.apply("notes", &txn(apart, &[], b"come another way"));
    victim.hear(&say(2));
    let picked = |number, picks: &[u16]| Control::Picked {
        collection: notes(),
        number,
        vector: pick(&theirs(), buckets, picks),
    };
    let after = victim.picks();
    victim.hear(&picked(1, &before));
    victim.hear(&picked(2, &after));
    assert_eq!(victim.closed, None);
}

/// The simulator found it: an answer that was under way let a collection go on.
#[test]
fn a_collection_that_was_halted_stays_so() {
    let mut victim = Victim::new();
    let (offence, reason) = (Offence::Forked, "why".to_owned());
    victim.hear(&Control::Halt { collection: notes(), offence, reason });
    victim.store.held.clear();
    let said = victim.said.len();
    victim.hear(&Control::Pick { collection: notes(), number: 1, buckets: vec![0, 1, 2, 3] });
    assert_eq!((victim.said.len(), victim.closed), (said, None));
}

/// The simulator found it.
#[test]
fn what_was_left_meanwhile_is_not_said_to_be_held() {
    let mut victim = Victim::new();
    victim.store.held.clear();
    victim.hear(&Control::Pick { collection: notes(), number: 1, buckets: vec![0, 1, 2, 3] });
    assert_eq!(victim.answers(), 0);
    let empty = Control::Have { collection: notes(), vector: Vector::new() };
    assert_eq!(victim.said.last(), Some(&empty));
}

/// The simulator found it: a view that is made for who has not said yet what it holds does not show
/// what contradicts that, and was joined over another side of a fork.
#[test]
fn a_view_is_asked_for_when_all_is_said_and_not_before() {
    let mut victim = Victim::new();
    victim.store.leases = true;
    let tail = [Tail::Tail { collection: notes() }, Tail::Behind];
    victim.receive(StreamId::Tail(0), tail.iter().flat_map(Tail::to_frame).collect());
    assert!(!victim.asks_for_a_view());
    victim.hear(&Control::Pick { collection: notes(), number: 1, buckets: vec![0, 1, 2, 3] });
    assert!(victim.asks_for_a_view());
    let at = |asked: fn(&Control) -> bool| victim.said.iter().position(asked).unwrap();
    let told = at(|message| matches!(message, Control::Picked { .. }));
    assert!(told < at(|message| matches!(message, Control::Ask { .. })));
}

#[test]
fn a_bucket_that_is_not_there_ends_the_link() {
    let mut victim = Victim::new();
    victim.hear(&Control::Pick { collection: notes(), number: 1, buckets: vec![4] });
    assert_eq!(victim.closed, Some(CloseCode::Protocol));
}

#[test]
fn a_vector_that_is_not_the_one_of_its_outline_ends_the_link() {
    let outline = Outline::of(&theirs());
    for honest in [true, false] {
        let mut victim = Victim::new();
        let outline = outline.clone();
        let buckets = outline.buckets.len();
        victim.hear(&Control::Outline { collection: notes(), number: 5, outline });
        let picks = victim.picks();
        let mut vector = pick(&theirs(), buckets, &picks);
        if !honest {
            vector.advance(origin(78), Head { seq: 1, hash: ShortHash([1; 16]) });
        }
        victim.hear(&Control::Picked { collection: notes(), number: 5, vector });
        let expected = (!honest).then_some(CloseCode::Protocol);
        assert_eq!(victim.closed, expected);
        if honest {
            // Once more it is nobody's answer.
            victim.hear(&Control::Picked { collection: notes(), number: 5, vector: Vector::new() });
            assert_eq!(victim.closed, None);
        }
    }
}
