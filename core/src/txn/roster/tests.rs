//! What follows from statements: by cases, and by random schedules with members that lie.

use proptest::prelude::*;

use super::*;
use crate::error::ErrorKind;
use crate::id::{Head, ShortHash};
use crate::txn::{NetworkId, NodeKey};

mod schedules;
mod successions;

fn key(n: u8) -> NodeKey {
    NodeKey::from_seed([n; 32])
}

fn id(n: u8) -> NodeId {
    key(n).id()
}

/// The roster that node 0 founded.
fn scope() -> RosterScope {
    RosterScope { network: NetworkId([7; 16]), founder: id(0) }
}

fn grant_by(by: u8, after: &Roster, member: u8, rights: Rights) -> Statement {
    let (after, name) = (after.heads().clone(), format!("node {member}"));
    let grant = Grant { after, time_ms: 1, member: id(member), name, rights };
    Statement::sign(Says::Grant(grant), scope(), &key(by)).unwrap()
}

fn everywhere(by: u8, after: &Roster, member: u8, right: Right) -> Statement {
    grant_by(by, after, member, Rights::everywhere(right))
}

fn vouch_by(by: u8, of: u8, seq: Seq) -> Statement {
    let origin = Origin { node: id(of), incarnation: 0 };
    let head = Head { seq, hash: ShortHash([seq as u8; 16]) };
    let vouch = Vouch { collection: "notes".to_owned(), origin, head };
    Statement::sign(Says::Vouch(vouch), scope(), &key(by)).unwrap()
}

fn with(roster: &Roster, statements: &[&Statement]) -> Roster {
    let mut roster = roster.clone();
    for statement in statements {
        roster.add((*statement).clone()).unwrap();
    }
    roster
}

fn right(roster: &Roster, node: u8) -> Right {
    roster.right(&id(node), "notes")
}

/// 0 has founded it and made 1 and 2 admins; 1 has made 3 an admin, and 4 a writer.
fn founded() -> Roster {
    let mut roster = Roster::new(scope());
    for (by, member, right) in
        [(0, 1, Right::Admin), (0, 2, Right::Admin), (1, 3, Right::Admin), (1, 4, Right::Write)]
    {
        let grant = everywhere(by, &roster, member, right);
        assert!(roster.add(grant).unwrap());
    }
    roster
}

#[test]
fn rights_are_the_same_after_their_words() {
    let mut rights = Rights::only(Right::Write, ["notes", "plans"]);
    rights.set(None, Right::Read).unwrap();
    assert_eq!(
        rights.words().collect::<Vec<_>>(),
        [("*", "read"), ("notes", "write"), ("plans", "write")]
    );
    for rights in [rights, Rights::default(), Rights::only(Right::None, ["notes"])] {
        assert_eq!(Rights::from_words(rights.words()).unwrap(), rights);
    }
    assert_eq!(Rights::from_words([("*", "all")]).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(Rights::from_words([("a b", "read")]).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn the_founder_is_an_admin_whatever_is_said() {
    let roster = founded();
    let coup = everywhere(1, &roster, 0, Right::None);
    let roster = with(&roster, &[&coup]);
    assert_eq!(right(&roster, 0), Right::Admin);
    assert_eq!(right(&Roster::new(scope()), 0), Right::Admin);
}

#[test]
fn only_admins_say_what_others_may() {
    let roster = founded();
    for (by, member) in [(4, 5), (9, 9)] {
        let refused =
            roster.clone().add(everywhere(by, &roster, member, Right::Admin)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidTransaction);
    }
}

#[test]
fn a_grant_replaces_those_that_its_issuer_knew() {
    let roster = founded();
    let lowered = with(&roster, &[&everywhere(2, &roster, 4, Right::Read)]);
    assert_eq!(right(&lowered, 4), Right::Read);
    let raised = with(&lowered, &[&everywhere(3, &lowered, 4, Right::Write)]);
    assert_eq!(right(&raised, 4), Right::Write);
}

#[test]
fn of_two_that_did_not_know_each_other_the_lower_right_holds() {
    let roster = founded();
    let (up, down) =
        (everywhere(1, &roster, 4, Right::Admin), everywhere(2, &roster, 4, Right::None));
    for order in [[&up, &down], [&down, &up]] {
        assert_eq!(right(&with(&roster, &order), 4), Right::None);
    }
    assert_eq!(with(&roster, &[&up, &down]).digest(), with(&roster, &[&down, &up, &up]).digest());
}

#[test]
fn nobody_brings_down_who_stands_beside_or_above() {
    let roster = founded();
    for (by, member) in [(1, 2), (3, 1), (3, 2)] {
        let after = with(&roster, &[&everywhere(by, &roster, member, Right::None)]);
        assert_eq!(right(&after, member), Right::Admin, "{by} against {member}");
    }
    let after = with(&roster, &[&everywhere(2, &roster, 3, Right::None)]);
    assert_eq!(right(&after, 3), Right::None, "2 stands above 3, whom 1 made an admin");
    let resigned = with(&roster, &[&everywhere(1, &roster, 1, Right::Read)]);
    assert_eq!(right(&resigned, 1), Right::Read);
}

/// An admin that was brought down can't make grants that look older.
#[test]
fn nothing_can_be_dated_back() {
    let roster = founded();
    let down = everywhere(0, &roster, 1, Right::None);
    let forged = [everywhere(1, &roster, 5, Right::Write), everywhere(1, &roster, 4, Right::None)];
    let after = with(&roster, &[&forged[0], &down, &forged[1]]);
    assert_eq!(right(&after, 1), Right::None);
    assert_eq!(right(&after, 5), Right::None);
    assert_eq!(right(&after, 4), Right::Write, "what 1 said before it was brought down holds");
    assert_eq!(right(&after, 3), Right::Admin);
    let again = with(&after, &[&everywhere(0, &after, 1, Right::Admin)]);
    assert_eq!(right(&again, 5), Right::None, "nor does a new grant bring it in");
    let anew = with(&again, &[&everywhere(1, &again, 5, Right::Write)]);
    assert_eq!(right(&anew, 5), Right::Write);
}

/// Nor by way of somebody whom it makes an admin by that.
#[test]
fn nothing_can_be_dated_back_through_others() {
    let roster = founded();
    let puppet = everywhere(1, &roster, 5, Right::Admin);
    let forged = everywhere(5, &with(&roster, &[&puppet]), 6, Right::Write);
    let far =
        with(&roster, &[&puppet, &everywhere(5, &with(&roster, &[&puppet]), 7, Right::Admin)]);
    let farther = everywhere(7, &far, 4, Right::None);
    let down = everywhere(0, &roster, 1, Right::None);
    let after = with(&far, &[&forged, &farther, &down]);
    assert_eq!(
        (right(&after, 5), right(&after, 6), right(&after, 7)),
        (Right::None, Right::None, Right::None)
    );
    assert_eq!(right(&after, 4), Right::Write);
}

#[test]
fn an_admin_of_a_collection_is_one_there_alone() {
    let roster = founded();
    let own = Rights::only(Right::Admin, ["notes"]);
    let roster = with(&roster, &[&grant_by(0, &roster, 5, own)]);
    assert_eq!(roster.right(&id(5), "other"), Right::None);
    let all = everywhere(5, &roster, 6, Right::Write);
    let roster = with(&roster, &[&all]);
    assert_eq!(right(&roster, 6), Right::Write);
    assert_eq!(roster.right(&id(6), "other"), Right::None);
    assert!(roster.is_member(&id(6)) && !roster.is_member(&id(7)));
    let member = roster.member(&id(6)).unwrap();
    assert_eq!(member.rights, Rights::only(Right::Write, ["notes"]));
    assert_eq!((member.by, member.name.as_str()), (Some(id(5)), "node 6"));
    let elsewhere = with(&roster, &[&everywhere(5, &roster, 4, Right::None)]);
    assert_eq!(elsewhere.right(&id(4), "other"), Right::Write, "5 has no say there");
    assert_eq!(right(&elsewhere, 4), Right::None);
}

#[test]
fn what_a_writer_vouches_for_is_valid_while_it_may_write() {
    let roster = founded();
    let of_4 = Origin { node: id(4), incarnation: 0 };
    assert_eq!(roster.valid_through("notes", &of_4), MAX_SEQ);
    let revoked = with(&roster, &[&everywhere(0, &roster, 4, Right::Read)]);
    assert_eq!(revoked.valid_through("notes", &of_4), 0);
    let own = with(&revoked, &[&vouch_by(4, 4, 9)]);
    assert_eq!(own.valid_through("notes", &of_4), 0, "it can't vouch for itself");
    let vouched = with(&own, &[&vouch_by(3, 4, 7), &vouch_by(2, 4, 5)]);
    assert_eq!(vouched.valid_through("notes", &of_4), 7);
    assert_eq!(vouched.valid_through("other", &of_4), 0);
    let older = with(&vouched, &[&vouch_by(3, 4, 6)]);
    assert_eq!(older.digest(), vouched.digest());
    let without_3 = with(&vouched, &[&everywhere(0, &vouched, 3, Right::None)]);
    assert_eq!(without_3.valid_through("notes", &of_4), 5);
}

#[test]
fn a_statement_waits_for_those_it_follows() {
    let roster = founded();
    let mut behind = Roster::new(scope());
    let statements: Vec<Statement> = roster.statements().cloned().collect();
    let waits = behind.add(statements[1].clone()).unwrap_err();
    assert_eq!(waits.kind(), ErrorKind::MissingDependency);
    assert!(!behind.add(vouch_by(1, 4, 1)).unwrap(), "a vouch of one who is no member yet");
    for statement in statements {
        assert!(behind.add(statement.clone()).unwrap());
        assert!(!behind.add(statement).unwrap());
    }
    assert_eq!(behind.digest(), roster.digest());
}

#[test]
fn statements_are_read_back_and_no_bit_of_them_can_be_changed() {
    let roster = founded();
    let mixed = Rights { elsewhere: Right::Read, ..Rights::only(Right::Write, ["a", "b"]) };
    for statement in [grant_by(0, &roster, 4, mixed), vouch_by(1, 4, 300)] {
        let read = Statement::verify(statement.bytes.clone(), scope()).unwrap();
        assert_eq!(read, statement);
        let elsewhere = RosterScope { founder: id(1), ..scope() };
        assert!(Statement::verify(statement.bytes.clone(), elsewhere).is_err());
        let elsewhere = RosterScope { network: NetworkId([8; 16]), ..scope() };
        assert!(Statement::verify(statement.bytes.clone(), elsewhere).is_err());
        for at in 0..statement.bytes.len() * 8 {
            let mut bytes = statement.bytes.clone();
            bytes[at / 8] ^= 1 << (at % 8);
            assert!(Statement::verify(bytes, scope()).is_err(), "bit {at}");
        }
        for len in 0..statement.bytes.len() {
            assert!(Statement::verify(statement.bytes[..len].to_vec(), scope()).is_err());
        }
    }
}

#[test]
fn what_no_reader_would_accept_is_not_said() {
    let grant = |name: String, rights| Grant {
        after: BTreeSet::new(),
        time_ms: 0,
        member: id(1),
        name,
        rights,
    };
    let say = |grant| Statement::sign(Says::Grant(grant), scope(), &key(0)).map(drop);
    let write = Rights::everywhere(Right::Write);
    assert!(say(grant("phone".to_owned(), write.clone())).is_ok());
    assert!(say(grant("x".repeat(200), write.clone())).is_err());
    assert!(say(grant("a\nb".to_owned(), write)).is_err());
    assert!(say(grant(String::new(), Rights::only(Right::Read, ["not a name!"]))).is_err());
}

/// So many cases, or as many as `LITTORAL_SCHEDULES` asks for.
fn cases() -> ProptestConfig {
    let asked = std::env::var("LITTORAL_SCHEDULES").ok().and_then(|n| n.parse().ok());
    ProptestConfig::with_cases(asked.unwrap_or(32))
}

proptest! {
    #![proptest_config(cases())]

    /// What is said depends on no order of arrival.
    #[test]
    fn any_order_gives_the_same_roster(seed: u64, orders in prop::collection::vec(any::<u64>(), 2)) {
        let statements = schedules::many_statements(seed);
        let all: Vec<_> = orders.iter().map(|order| schedules::in_any_order(&statements, *order)).collect();
        for roster in &all {
            prop_assert_eq!(roster.digest(), all[0].digest());
            prop_assert_eq!(roster.members().len(), all[0].members().len());
            for node in 0..=20 {
                for name in ["notes", "tasks", "other"] {
                    prop_assert_eq!(roster.right(&id(node), name), all[0].right(&id(node), name));
                }
            }
        }
    }

    /// Schedule S12, and all like it: honest replicas come to hold the same, none is stuck, and
    /// what a revoked member writes after all have heard of it is taken by nobody.
    #[test]
    fn honest_replicas_agree_whatever_members_do(seed: u64) {
        schedules::run(seed);
    }
}

fn vouch_for(by: u8, collection: &str, seq: Seq) -> Statement {
    let origin = Origin { node: id(99), incarnation: 0 };
    let head = Head { seq, hash: ShortHash([seq as u8; 16]) };
    let vouch = Vouch { collection: collection.to_owned(), origin, head };
    Statement::sign(Says::Vouch(vouch), scope(), &key(by)).unwrap()
}

/// A member that vouches without end uses up its own room, nobody else's, and all replicas keep
/// the same of it, in whatever order they hear it.
#[test]
fn what_is_kept_of_a_member_that_vouches_without_end_depends_on_no_order() {
    use crate::limits::MAX_VOUCHES_OF_MEMBER;

    let flood: Vec<Statement> =
        (0..MAX_VOUCHES_OF_MEMBER + 40).map(|n| vouch_for(4, &format!("c{n}"), 1)).collect();
    let newer: Vec<Statement> = (0..50).map(|n| vouch_for(4, &format!("c{n}"), 2)).collect();
    let all = || flood.iter().chain(&newer);
    let (mut there, mut back) = (founded(), founded());
    let mut dropped = 0;
    for statement in all() {
        there.add(statement.clone()).unwrap();
        dropped += there.take_dropped().len();
    }
    for statement in all().rev() {
        back.add(statement.clone()).unwrap();
    }
    assert_eq!(there.digest(), back.digest());
    let held = there.statements().count() - founded().statements().count();
    assert_eq!((held, there.vouch_count), (MAX_VOUCHES_OF_MEMBER, MAX_VOUCHES_OF_MEMBER));
    assert!(dropped > 0 && all().all(|statement| there.knows(statement)));
    assert!(all().all(|statement| !there.add(statement.clone()).unwrap()));
    assert!(there.add(vouch_by(2, 4, 1)).unwrap(), "another member has room of its own");
    let mut joined = back.clone();
    there.statements().for_each(|statement| {
        joined.add(statement.clone()).unwrap();
    });
    assert_eq!(joined.digest(), there.digest());
}

/// Who was never an admin can't fill the roster with grants that count nowhere; who is one of a
/// single collection is one.
#[test]
fn an_admin_of_one_collection_is_heard() {
    let mut roster = founded();
    let rights = Rights::only(Right::Admin, ["plans"]);
    roster.add(grant_by(1, &roster, 5, rights)).unwrap();
    assert!(roster.clone().add(everywhere(5, &roster, 7, Right::Write)).unwrap());
}
