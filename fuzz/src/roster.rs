//! Statements of a roster, and rosters that are made of them.

use littoral::id::NodeId;
use littoral::txn::roster::{Grant, Right, Rights, Roster, RosterScope, Says, Statement, Vouch};
use littoral::txn::sign::SIGNATURE_BYTES;

use super::input::{Input, put_chunk};
use super::stores::{key, scope};

fn roster_scope() -> RosterScope {
    RosterScope { network: scope().network, founder: key(0).id() }
}

/// Statements one after the other, each with a length: what reads is written again as it was, and
/// whatever a roster takes in, it answers.
pub fn statement(data: &[u8]) {
    let mut input = Input(data);
    let mut roster = Roster::new(roster_scope());
    let mut nodes: Vec<NodeId> = vec![key(0).id()];
    while !input.0.is_empty() {
        let bytes = input.chunk().to_vec();
        let _ = Statement::verify(bytes.clone(), roster_scope());
        // Without the check of the signature, or nothing that was changed would get any further.
        let Ok(statement) = Statement::trusted(bytes.clone(), roster_scope()) else { continue };
        let mine = (0..4).map(key).find(|key| key.id() == statement.issuer);
        if let Some(key) = mine {
            let says = statement.says.clone();
            let signed = Statement::sign(says, roster_scope(), &key).expect("it was read");
            assert_eq!(
                signed.bytes[..signed.bytes.len() - SIGNATURE_BYTES],
                bytes[..bytes.len() - SIGNATURE_BYTES]
            );
        }
        if let Says::Grant(grant) = &statement.says {
            nodes.push(grant.member);
        }
        let before = roster.digest();
        match roster.add(statement.clone()) {
            Ok(new) => assert_eq!(new, roster.digest() != before),
            Err(_) => assert_eq!(roster.digest(), before),
        }
        assert!(!roster.add(statement).is_ok_and(|new| new), "it is there already");
        ask(&roster, &nodes);
    }
}

fn ask(roster: &Roster, nodes: &[NodeId]) {
    for node in nodes {
        let member = roster.member(node).is_some_and(|member| member.rights != Rights::default());
        assert_eq!(member, roster.is_member(node));
    }
    assert_eq!(roster.right(&nodes[0], "notes"), Right::Admin, "the founder");
    let again: Vec<_> = roster.statements().cloned().collect();
    let mut other = Roster::new(roster.scope());
    for statement in again {
        other.add(statement).expect("they come in order");
    }
    assert_eq!(other.digest(), roster.digest());
    assert_eq!(other.members(), roster.members());
}

/// A founder, an admin, a writer that is revoked, and two that vouch for it.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut roster = Roster::new(roster_scope());
    let mut out = Vec::new();
    let mut say = |by: u8, says: Says, roster: &mut Roster| {
        let statement = Statement::sign(says, roster_scope(), &key(by)).expect("a statement");
        put_chunk(&mut out, &statement.bytes);
        roster.add(statement).expect("a statement that follows the others");
    };
    let grant = |member: u8, rights: Rights, roster: &Roster| {
        let (after, name) = (roster.heads().clone(), format!("node {member}"));
        Says::Grant(Grant { after, time_ms: 1, member: key(member).id(), name, rights })
    };
    for (by, member, rights) in [
        (0, 1, Rights::everywhere(Right::Admin)),
        (1, 2, Rights::only(Right::Write, ["notes"])),
        (1, 3, Rights::everywhere(Right::Read)),
        (0, 2, Rights::default()),
    ] {
        let says = grant(member, rights, &roster);
        say(by, says, &mut roster);
    }
    for (by, seq) in [(0, 3), (1, 4)] {
        let origin = littoral::id::Origin { node: key(2).id(), incarnation: 0 };
        let head = littoral::id::Head { seq, hash: littoral::id::ShortHash([seq as u8; 16]) };
        let vouch = Vouch { collection: "notes".to_owned(), origin, head };
        say(by, Says::Vouch(vouch), &mut roster);
    }
    vec![out]
}
