//! The first words, and the last.

use super::store::{Store, dot, node, txn};
use super::world::{NETWORK, World};
use crate::limits::{HELLO_TIMEOUT_MS, MAX_LINK_COLLECTIONS};
use crate::sync::door::{Config, Event, Input, Offence, Output, StreamId};
use crate::sync::message::{CloseCode, Control, Hello, PROTOCOL_VERSION};
use crate::sync::session::Session;

fn session() -> Session {
    Session::new(Config { network: NETWORK, us: node(1), peer: node(2), wanted: None }, 0)
}

fn hello(version: u16, network: [u8; 16]) -> Vec<u8> {
    Control::Hello(Hello {
        version,
        network,
        collections: Default::default(),
        wanted: None,
        unpacks: false,
    })
    .to_frame()
}

/// How a session ends that hears this.
fn end_after(bytes: &[u8]) -> (CloseCode, String, bool) {
    let (mut session, store) = (session(), Store::default());
    session.handle(Input::Received { stream: StreamId::Control, bytes }, 0, &store);
    last(&mut session, &store)
}

fn last(session: &mut Session, store: &Store) -> (CloseCode, String, bool) {
    match std::iter::from_fn(|| session.poll(store)).last() {
        Some(Output::Close { code, reason, by_peer }) => (code, reason, by_peer),
        other => panic!("{other:?} instead of Close"),
    }
}

#[test]
fn another_version_is_refused_with_the_side_to_upgrade() {
    // What a newer version says after the first eighteen bytes is not looked at.
    let mut newer = hello(PROTOCOL_VERSION + 1, [0; 16]);
    newer.truncate(newer.len() - 1);
    newer.extend([0xff; 40]);
    let length = newer.len() as u32 - 4;
    newer[..4].copy_from_slice(&length.to_be_bytes());
    let (code, reason, _) = end_after(&newer);
    assert_eq!(code, CloseCode::Version);
    assert!(reason.ends_with(&format!("upgrade littoral on node {}", node(1).short())), "{reason}");
    let (code, reason, _) = end_after(&hello(0, NETWORK));
    assert_eq!(code, CloseCode::Version);
    assert!(reason.ends_with(&format!("upgrade littoral on node {}", node(2).short())), "{reason}");
}

#[test]
fn another_network_is_refused() {
    let (code, reason, by_peer) = end_after(&hello(PROTOCOL_VERSION, [1; 16]));
    assert_eq!((code, by_peer), (CloseCode::Network, false));
    assert!(reason.contains("different networks"), "{reason}");
}

#[test]
fn a_node_does_not_talk_to_itself() {
    let config = Config { network: NETWORK, us: node(1), peer: node(1), wanted: None };
    let (mut session, store) = (Session::new(config, 0), Store::default());
    let bytes = &hello(PROTOCOL_VERSION, NETWORK);
    session.handle(Input::Received { stream: StreamId::Control, bytes }, 0, &store);
    assert_eq!(last(&mut session, &store).0, CloseCode::Network);
}

#[test]
fn order_of_first_words_is_kept() {
    let ack = Control::Ack { collection: "notes".to_owned(), position: Default::default() };
    assert_eq!(end_after(&ack.to_frame()).0, CloseCode::Protocol);
    let twice = [hello(PROTOCOL_VERSION, NETWORK), hello(PROTOCOL_VERSION, NETWORK)].concat();
    assert_eq!(end_after(&twice).0, CloseCode::Protocol);
}

#[test]
fn a_silent_peer_is_left_in_time() {
    let (mut session, store) = (session(), Store::default());
    while session.poll(&store).is_some() {}
    assert_eq!(session.deadline_ms(), Some(HELLO_TIMEOUT_MS));
    session.handle(Input::Tick, HELLO_TIMEOUT_MS - 1, &store);
    assert_eq!(session.poll(&store), None);
    session.handle(Input::Tick, HELLO_TIMEOUT_MS, &store);
    assert_eq!(last(&mut session, &store).0, CloseCode::Timeout);
    assert_eq!((session.poll(&store), session.deadline_ms()), (None, None));
}

#[test]
fn leaving_is_told_to_the_peer() {
    let mut world = World::new(1, 2);
    let link = world.link(0, 1);
    world.settle();
    world.handle(link, 0, Input::Leave);
    world.settle();
    let closed = |e: usize| world.links[link][e].closed.clone().unwrap();
    assert_eq!((closed(0).0, closed(0).2), (CloseCode::Done, false));
    assert_eq!((closed(1).0, closed(1).2), (CloseCode::Done, true));
}

#[test]
fn a_control_stream_that_ends_ends_the_link() {
    let mut world = World::new(1, 2);
    let link = world.link(0, 1);
    world.settle();
    world.handle(link, 0, Input::Finished { stream: StreamId::Control });
    assert_eq!(world.links[link][0].closed.as_ref().unwrap().0, CloseCode::Gone);
}

#[test]
fn equal_vectors_with_unequal_cells_are_reported_by_both_and_nothing_flows() {
    let mut world = World::new(1, 2);
    world.write(0, "notes");
    world.link(0, 1);
    world.settle();
    world.cut();
    world.stores[1].held.get_mut("notes").unwrap().rot = 1;
    let link = world.link(0, 1);
    world.settle();
    world.write(0, "notes");
    world.write(1, "tasks");
    world.settle();
    for end in 0..2 {
        let diverged = Event::Diverged { collection: "notes".to_owned() };
        assert_eq!(world.saw(link, end, &diverged), 1);
        assert!(world.links[link][end].session.is_idle());
    }
    assert_eq!(world.stores[1].held["notes"].txns.len(), 1);
    assert_eq!(world.stores[0].held["tasks"].txns.len(), 1, "other collections go on");
}

#[test]
fn two_transactions_under_one_name_are_reported_by_both() {
    for seed in 0..30 {
        let mut world = World::new(seed, 2);
        world.stores[0].apply("notes", &txn(dot(7, 1), &[], b"one"));
        world.stores[1].apply("notes", &txn(dot(7, 1), &[], b"other"));
        world.write(1, "tasks");
        let link = world.link(0, 1);
        world.settle();
        assert_eq!(halts(&world, link, 0), [("notes".to_owned(), Offence::Forked)]);
        assert_eq!(halts(&world, link, 1), [("notes".to_owned(), Offence::Forked)]);
        assert!(world.links[link].iter().all(|end| end.closed.is_none()));
        assert_eq!(world.stores[0].held["tasks"].txns.len(), 1);
    }
}

#[test]
fn a_fork_behind_the_newest_transaction_is_seen_by_either_side() {
    for (seed, longer) in (0..30).map(|seed| (seed, seed as usize % 2)) {
        let mut world = World::new(seed, 2);
        world.write(longer, "notes");
        world.stores[0].apply("notes", &txn(dot(7, 1), &[], b"one"));
        world.stores[1].apply("notes", &txn(dot(7, 1), &[], b"other"));
        world.stores[longer].apply("notes", &txn(dot(7, 2), &[], b"more"));
        let link = world.link(0, 1);
        world.settle();
        for end in 0..2 {
            assert_eq!(halts(&world, link, end), [("notes".to_owned(), Offence::Forked)]);
        }
        assert_eq!(world.stores[1 - longer].held["notes"].vector.seq(&dot(7, 1).origin), 1);
    }
}

/// The collections that one end was told not to go on with.
fn halts(world: &World, link: usize, end: usize) -> Vec<(String, Offence)> {
    let halted = |event: &Event| match event {
        Event::Halted { collection, offence, .. } => Some((collection.clone(), *offence)),
        _ => None,
    };
    world.links[link][end].events.iter().filter_map(halted).collect()
}

#[test]
fn an_invalid_transaction_ends_its_collection_alone_and_both_know_why() {
    let mut world = World::new(1, 2);
    world.write(0, "notes");
    world.write(0, "tasks");
    let link = world.link(0, 1);
    world.lazy.insert(1);
    world.settle();
    let of = |(_, name, _): &(u64, String, Vec<Vec<u8>>)| name == "notes";
    let at = world.links[link][1].applies.iter().position(of).unwrap();
    let (ticket, ..) = world.links[link][1].applies.remove(at).unwrap();
    let why = "its signature is wrong".to_owned();
    let outcome = crate::sync::door::Outcome::Refused(Offence::Invalid, why);
    world.handle(link, 1, Input::Applied { ticket, outcome });
    world.lazy.clear();
    world.settle();
    for (end, by_peer) in [(0, true), (1, false)] {
        let end = &world.links[link][end];
        assert_eq!(end.closed, None);
        let halted = |event: &Event| match event {
            Event::Halted { collection, offence, why, by_peer } => {
                Some((collection.clone(), *offence, why.clone(), *by_peer))
            }
            _ => None,
        };
        let (collection, offence, why, said_by_peer) =
            end.events.iter().find_map(halted).expect("it is told");
        assert_eq!((collection.as_str(), offence), ("notes", Offence::Invalid));
        assert_eq!(said_by_peer, by_peer);
        assert!(why.contains("its signature is wrong"), "{why}");
        assert!(end.session.is_idle());
    }
    // The collection stays where it is, and the other one goes on.
    world.write(0, "notes");
    world.write(1, "notes");
    world.write(0, "tasks");
    world.settle();
    assert_eq!(world.stores[1].held["tasks"].txns.len(), 2);
    assert_eq!(world.stores[1].held["notes"].txns.len(), 1);
    assert_eq!(world.stores[0].held["notes"].txns.len(), 2);
}

#[test]
fn a_failed_store_ends_the_link_and_its_paths_stay_at_home() {
    let mut world = World::new(1, 2);
    world.write(0, "notes");
    let link = world.link(0, 1);
    world.stores[1].failing = true;
    world.settle();
    let (code, reason, _) = world.links[link][1].closed.clone().unwrap();
    assert_eq!(code, CloseCode::StoreFailed);
    assert!(reason.contains("/secret/path"));
    let (code, reason, by_peer) = world.links[link][0].closed.clone().unwrap();
    assert_eq!((code, by_peer), (CloseCode::StoreFailed, true));
    assert!(!reason.contains("/secret/path"), "{reason}");
}

/// Whoever holds too many collections does not lose its links for that: those that both hold go
/// on, and what is too much is left out.
#[test]
fn collections_beyond_the_limit_of_a_link_are_left_out() {
    let mut world = World::new(1, 2);
    for n in 0..MAX_LINK_COLLECTIONS {
        world.stores[0].held.insert(format!("a{n}"), Default::default());
    }
    world.write(1, "notes");
    world.write(1, "tasks");
    let link = world.link(0, 1);
    world.max_chunk = 1 << 20;
    world.settle();
    assert!(world.links[link].iter().all(|side| side.closed.is_none()));
    let held = &world.stores[0].held;
    assert!(!held.contains_key("notes") && !held.contains_key("tasks"));
    world.write(0, "a7");
    world.write(1, "born-later");
    world.settle();
    assert_eq!(world.stores[1].held["a7"].txns.len(), 1);
    assert!(world.links[link].iter().all(|side| side.closed.is_none()));
}
