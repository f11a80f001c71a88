//! What follows when a member changes its key.

use super::*;

fn succession(by: u8, after: &Roster, heir: u8) -> Statement {
    let succession = Succession::new(after.heads().clone(), 1, scope(), id(by), &key(heir));
    Statement::sign(Says::Succession(succession), scope(), &key(by)).unwrap()
}

/// As a store does: an admin names its heir itself.
fn changed(roster: &Roster, by: u8, heir: u8) -> Roster {
    let rights = roster.check_may_succeed(&id(by)).unwrap();
    let roster = match roster.is_admin_anywhere(&id(by)) {
        true => with(roster, &[&grant_by(by, roster, heir, rights)]),
        false => roster.clone(),
    };
    with(&roster, &[&succession(by, &roster, heir)])
}

fn rights_of(roster: &Roster, nodes: &[u8]) -> Vec<Right> {
    nodes.iter().map(|node| right(roster, *node)).collect()
}

#[test]
fn an_heir_may_what_the_member_may_and_the_former_key_nothing() {
    let after = changed(&founded(), 4, 40);
    assert_eq!(rights_of(&after, &[4, 40]), [Right::None, Right::Write]);
    assert!(after.is_member(&id(40)) && !after.is_member(&id(4)));
    let member = after.member(&id(40)).unwrap();
    assert_eq!((member.was, member.name.as_str()), (Some(id(4)), "node 4"));
    assert!(after.members().iter().all(|member| member.node != id(4)));
    assert_eq!(after.last_key(&id(4)), Some(id(40)));
    let chain = changed(&changed(&after, 40, 41), 41, 42);
    assert_eq!(
        rights_of(&chain, &[4, 40, 41, 42]),
        [Right::None, Right::None, Right::None, Right::Write]
    );
    let refused = chain.check_may_grant(&id(0), &id(4), &Rights::default()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Forbidden);
    assert!(chain.check_may_grant(&id(0), &id(42), &Rights::default()).is_ok());
    assert_eq!(right(&with(&chain, &[&everywhere(0, &chain, 42, Right::Read)]), 42), Right::Read);
    assert_eq!(right(&with(&chain, &[&everywhere(0, &chain, 42, Right::Admin)]), 42), Right::Admin);
    assert!(chain.check_may_succeed(&id(4)).is_err() && chain.check_may_succeed(&id(0)).is_err());
}

#[test]
fn an_admin_goes_on_as_one_and_what_it_granted_holds() {
    let roster = founded();
    let after = changed(&roster, 1, 40);
    assert_eq!(
        rights_of(&after, &[1, 40, 3, 4]),
        [Right::None, Right::Admin, Right::Admin, Right::Write]
    );
    let anew = with(&after, &[&everywhere(40, &after, 5, Right::Write)]);
    assert_eq!(right(&anew, 5), Right::Write);
}

/// Who takes rights from a member, and does not know of its new key, takes them from that, too.
#[test]
fn what_cuts_a_key_cuts_its_heir() {
    let roster = founded();
    for (node, heir) in [(4, 40), (1, 41)] {
        let (after, cut) =
            (changed(&roster, node, heir), everywhere(0, &roster, node, Right::None));
        assert_eq!(right(&with(&after, &[&cut]), heir), Right::None, "{node}");
        let chain = changed(&after, heir, 42);
        assert_eq!(right(&with(&chain, &[&cut]), 42), Right::None, "{node}");
        let first = with(&roster, &[&cut]);
        let late = with(&first, &[&succession(node, &roster, 43)]);
        assert_eq!(right(&late, 43), Right::None, "{node}");
    }
    let after = changed(&roster, 4, 40);
    let named = with(&after, &[&everywhere(0, &after, 40, Right::None)]);
    let again = with(&named, &[&everywhere(0, &named, 4, Right::Write)]);
    assert_eq!(right(&again, 40), Right::None, "what cuts an heir by name holds");
}

#[test]
fn a_revoked_key_is_not_brought_back_as_an_heir() {
    let roster = with(&founded(), &[&everywhere(0, &founded(), 5, Right::None)]);
    let after = with(&roster, &[&succession(4, &roster, 5)]);
    assert_eq!(rights_of(&after, &[4, 5]), [Right::None, Right::None]);
}

/// Of two heirs none stands, until an admin names one.
#[test]
fn two_heirs_are_none() {
    let roster = founded();
    let (one, other) = (succession(4, &roster, 40), succession(4, &roster, 41));
    for order in [[&one, &other], [&other, &one]] {
        let after = with(&roster, &order);
        assert_eq!(rights_of(&after, &[4, 40, 41]), [Right::None; 3]);
        let further = with(&after, &[&succession(40, &roster, 44), &succession(41, &roster, 45)]);
        assert_eq!(further.digest(), after.digest(), "nor do theirs");
        let named = with(&after, &[&everywhere(0, &after, 40, Right::Write)]);
        assert_eq!(rights_of(&named, &[4, 40, 41]), [Right::None, Right::Write, Right::None]);
    }
    let before = with(&roster, &[&one]);
    let named = with(&before, &[&everywhere(0, &before, 40, Right::Write)]);
    assert_eq!(right(&with(&named, &[&other]), 40), Right::Write, "nor takes it from who is named");
    let revoked = with(&named, &[&everywhere(2, &roster, 4, Right::None)]);
    assert_eq!(right(&revoked, 40), Right::None);
    assert_eq!(right(&with(&revoked, &[&other]), 40), Right::None, "two heirs bring nothing back");
}

/// Who has stolen a key that was given up can date nothing back, nor make an admin.
#[test]
fn a_key_that_was_given_up_grants_nothing() {
    let roster = founded();
    let forged = everywhere(1, &roster, 5, Right::Admin);
    let through = everywhere(5, &with(&roster, &[&forged]), 6, Right::Admin);
    let down = everywhere(1, &roster, 4, Right::None);
    let after = with(&changed(&roster, 1, 40), &[&forged, &through, &down]);
    assert_eq!(
        rights_of(&after, &[5, 6, 4, 40]),
        [Right::None, Right::None, Right::Write, Right::Admin]
    );
    let contested = with(&after, &[&succession(1, &with(&roster, &[&forged]), 5)]);
    assert_eq!(rights_of(&contested, &[5, 6, 40]), [Right::None; 3]);
}

#[test]
fn nobody_names_a_key_that_is_not_its_own() {
    let roster = founded();
    let mut succession = Succession::new(roster.heads().clone(), 1, scope(), id(4), &key(40));
    succession.heir = id(5);
    assert!(Statement::sign(Says::Succession(succession.clone()), scope(), &key(4)).is_err());
    succession.heir = id(40);
    assert!(Statement::sign(Says::Succession(succession.clone()), scope(), &key(3)).is_err());
    let said = Statement::sign(Says::Succession(succession), scope(), &key(4)).unwrap();
    assert_eq!(Statement::verify(said.bytes.clone(), scope()).unwrap(), said);
    for at in 0..said.bytes.len() {
        let mut bytes = said.bytes.clone();
        bytes[at] ^= 4;
        assert!(Statement::verify(bytes, scope()).is_err(), "byte {at}");
    }
    for (by, heir) in [(0, 40), (4, 0)] {
        let said = super::successions::succession(by, &roster, heir);
        assert!(roster.clone().add(said).is_err());
    }
}

/// The new key vouches for what the old one wrote; what the old one vouched for goes.
#[test]
fn what_was_written_before_stays_valid() {
    let mut roster = changed(&with(&founded(), &[&vouch_by(4, 5, 3)]), 4, 40);
    let of = |node| Origin { node: id(node), incarnation: 0 };
    assert_eq!(roster.valid_through("notes", &of(4)), 0);
    assert_eq!((roster.vouches_of(&id(4)), roster.take_dropped().len()), (0, 1));
    assert!(!roster.add(vouch_by(4, 5, 9)).unwrap(), "a key that was given up does not speak");
    let roster = with(&roster, &[&vouch_by(40, 4, 7), &vouch_by(40, 5, 3)]);
    assert_eq!(roster.valid_through("notes", &of(4)), 7);
    assert_eq!(roster.valid_through("notes", &of(40)), MAX_SEQ);
    let further = changed(&roster, 40, 41);
    let vouched = with(&further, &[&vouch_by(41, 4, 7)]);
    assert_eq!(vouched.valid_through("notes", &of(4)), 7);
}

/// What a member says of its own keys takes nobody's room.
#[test]
fn a_member_that_changes_its_key_without_end_is_bounded() {
    use crate::limits::MAX_SUCCESSIONS;

    let mut roster = founded();
    for heir in 50..90 {
        roster.add(succession(4, &roster, heir)).unwrap();
    }
    assert_eq!(roster.statements().count(), founded().statements().count() + 2);
    let mut chain = founded();
    let said = |n: u8| succession(if n == 0 { 4 } else { 99 + n }, &founded(), 100 + n);
    let kept = (0..80).filter(|n| chain.add(said(*n)).unwrap()).count();
    assert_eq!(kept, MAX_SUCCESSIONS);
}

#[test]
fn keys_that_succeed_each_other_in_a_circle_stand_for_nobody() {
    let roster = founded();
    let circle =
        [succession(4, &roster, 40), succession(40, &roster, 41), succession(41, &roster, 4)];
    let after = with(&roster, &[&circle[0], &circle[1], &circle[2]]);
    assert_eq!(rights_of(&after, &[4, 40, 41]), [Right::None; 3]);
    assert_eq!(after.last_key(&id(4)), None);
}
