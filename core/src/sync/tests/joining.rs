//! The exchange by which a node joins: its bytes, and what each side hears and says.

use super::store::node;
use crate::limits::{MAX_GRANT_COLLECTIONS, MAX_JOIN_BYTES, MAX_MEMBER_NAME_BYTES};
use crate::sync::joining::{Guest, Host, Message, NO_TICKET};
use crate::sync::message::{CloseCode, PROTOCOL_VERSION};
use crate::txn::NetworkId;
use crate::txn::joining::{JoinRefusal, JoinRequest, Welcome};
use crate::txn::roster::{Right, Rights};
use crate::txn::ticket::TicketSecret;

fn request() -> JoinRequest {
    let secret = TicketSecret::from_bytes([0xab; 16]);
    let (network, name) = (NetworkId([9; 16]), "phone".to_owned());
    JoinRequest { secret, network, founder: None, name }
}

fn welcome() -> Welcome {
    let rights = Rights { elsewhere: Right::Read, ..Rights::only(Right::Write, ["notes"]) };
    let statements = vec![vec![1, 2, 3], Vec::new()];
    Welcome { founder: node(1), inviter: "hub".to_owned(), rights, statements }
}

pub(super) fn messages() -> Vec<Message> {
    let founder = JoinRequest { founder: Some(node(3)), ..request() };
    let join = |request| Message::Join { version: PROTOCOL_VERSION, request: Some(request) };
    vec![
        join(request()),
        join(founder),
        Message::Welcome(welcome()),
        Message::Bye { code: CloseCode::Ticket, reason: "why".to_owned() },
    ]
}

#[test]
fn messages_of_joining_are_read_back_and_only_whole() {
    for message in messages() {
        let frame = message.to_frame();
        assert_eq!(Message::from_frame(&frame[4..]).unwrap(), message);
        for length in 4..frame.len() {
            assert!(Message::from_frame(&frame[4..length]).is_err(), "{length} of {message:?}");
        }
        assert!(Message::from_frame(&[&frame[4..], &[0]].concat()).is_err());
    }
    for kind in (0..=255).filter(|kind| ![4, 13, 14].contains(kind)) {
        assert!(Message::from_frame(&[kind]).is_err(), "{kind}");
    }
}

/// Each side makes nothing of a message before all of it is here, however it is cut.
#[test]
fn the_exchange_survives_any_chunking() {
    for chunk in [1, 2, 3, 7, 1000] {
        let (join, mut guest) = Guest::begin(request());
        let mut host = Host::new(node(1), node(2));
        let mut heard = None;
        for part in join.chunks(chunk) {
            assert!(heard.is_none());
            heard = host.hear(part);
        }
        assert_eq!(heard, Some(Ok(request())), "chunks of {chunk}");
        let answer = Message::Welcome(host.answer(Ok(welcome())).unwrap()).to_frame();
        let mut heard = None;
        for part in answer.chunks(chunk) {
            assert!(heard.is_none());
            heard = guest.hear(part);
        }
        assert_eq!(heard, Some(Ok(welcome())));
    }
}

/// Nobody who guesses learns whether there was ever such a ticket.
#[test]
fn whatever_is_wrong_with_a_ticket_sounds_the_same() {
    let host = Host::new(node(1), node(2));
    let told = |refusal| host.answer(Err(refusal)).unwrap_err().to_frame();
    let expected = told(JoinRefusal::Unknown);
    for refusal in
        [JoinRefusal::Expired, JoinRefusal::Used, JoinRefusal::Revoked, JoinRefusal::Former]
    {
        assert_eq!(told(refusal), expected);
    }
    let (_, mut guest) = Guest::begin(request());
    let parting = guest.hear(&expected).unwrap().unwrap_err();
    assert_eq!((parting.code, parting.reason.as_str()), (CloseCode::Ticket, NO_TICKET));
    for refusal in [JoinRefusal::Elsewhere, JoinRefusal::NotAdmin] {
        assert_ne!(told(refusal), expected, "who has a good ticket is told what to do");
    }
}

#[test]
fn a_guest_of_another_version_is_told_who_is_to_be_upgraded() {
    for (version, older) in [(PROTOCOL_VERSION + 1, node(1)), (0, node(2))] {
        let mut join = Message::Join { version, request: None }.to_frame();
        join.extend([0xff; 40]);
        let length = join.len() as u32 - 4;
        join[..4].copy_from_slice(&length.to_be_bytes());
        let parting = Host::new(node(1), node(2)).hear(&join).unwrap().unwrap_err();
        assert_eq!(parting.code, CloseCode::Version);
        assert!(parting.reason.ends_with(&older.short()), "{}", parting.reason);
    }
}

#[test]
fn a_host_hears_nothing_but_a_short_join() {
    let heard = |bytes: &[u8]| Host::new(node(1), node(2)).hear(bytes);
    let code = |bytes: &[u8]| heard(bytes).unwrap().unwrap_err().code;
    let announce = |length: usize| (length as u32).to_be_bytes();
    assert_eq!(heard(&announce(MAX_JOIN_BYTES)), None);
    assert_eq!(code(&announce(MAX_JOIN_BYTES + 1)), CloseCode::Protocol);
    assert_eq!(code(&announce(0)), CloseCode::Protocol);
    assert_eq!(code(&Message::Welcome(welcome()).to_frame()), CloseCode::Protocol);
    assert_eq!(code(b"\0\0\0\x01\x01"), CloseCode::Protocol, "nor a hello");
    let (join, _) = Guest::begin(request());
    let (_, mut guest) = Guest::begin(request());
    assert_eq!(guest.hear(&join).unwrap().unwrap_err().code, CloseCode::Protocol);
}

#[test]
fn names_and_rights_have_limits() {
    let named = |name: String| {
        let (join, _) = Guest::begin(JoinRequest { name, founder: Some(node(3)), ..request() });
        Host::new(node(1), node(2)).hear(&join).unwrap().is_ok()
    };
    assert!(named("x".repeat(MAX_MEMBER_NAME_BYTES)));
    assert!(!named("x".repeat(MAX_MEMBER_NAME_BYTES + 1)));
    assert!(!named("a\nb".to_owned()));
    for (count, legal) in [(MAX_GRANT_COLLECTIONS, true), (MAX_GRANT_COLLECTIONS + 1, false)] {
        let names = (0..count).map(|n| format!("{n:0128}"));
        let rights = Rights::only(Right::Read, names);
        let (_, mut guest) = Guest::begin(request());
        let heard = guest.hear(&Message::Welcome(Welcome { rights, ..welcome() }).to_frame());
        assert_eq!(heard.unwrap().is_ok(), legal);
    }
}
