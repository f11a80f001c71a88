//! Invitations in a store: what a ticket gives, once, and to whom it gives nothing.

mod common;

use common::link::Link;
use common::{NOON, NOTES, Replica, assert_same, files, key};
use littoral::id::NodeId;
use littoral::limits::{MAX_INVITE_MS, MAX_INVITE_USES, MAX_INVITES};
use littoral::store::InviteOptions;
use littoral::store::disk::MemDisk;
use littoral::txn::NetworkId;
use littoral::txn::joining::{JoinRefusal, JoinRequest, Welcome};
use littoral::txn::roster::{Right, Rights};
use littoral::txn::ticket::{InviteId, Ticket, TicketSecret};
use littoral::{ErrorKind, Store};

const HOUR: u64 = 3_600_000;

fn id(seed: u8) -> NodeId {
    key(seed).id()
}

fn write() -> Rights {
    Rights::only(Right::Write, [NOTES])
}

fn options(rights: Rights) -> InviteOptions {
    let mut options = InviteOptions::new(rights, vec!["192.0.2.7:4433".to_owned()]);
    options.own_name = "hub".to_owned();
    options
}

fn request(secret: TicketSecret) -> JoinRequest {
    let network = NetworkId::named("default");
    JoinRequest { secret, network, founder: None, name: "phone".to_owned() }
}

fn admit(store: &Store, guest: u8, ticket: &Ticket) -> Result<Welcome, JoinRefusal> {
    store.admit(&id(guest), &request(ticket.secret)).unwrap()
}

#[test]
fn a_ticket_makes_one_member_and_no_second() {
    let hub = Replica::new(0);
    let ticket = hub.store.invite(&options(write())).unwrap();
    assert_eq!(hub.store.founder(), Some(id(0)), "the first invitation founds the roster");
    assert_eq!((ticket.inviter, ticket.network), (id(0), hub.store.network()));
    assert_eq!(ticket.expires_ms, NOON + HOUR);
    assert!(hub.store.has_open_invites());

    let welcome = admit(&hub.store, 1, &ticket).unwrap();
    assert_eq!((welcome.founder, welcome.inviter.as_str()), (id(0), "hub"));
    assert_eq!((welcome.rights, welcome.statements.len()), (write(), 2));
    assert!(!hub.store.has_open_invites());
    assert_eq!(hub.store.right(&id(1), NOTES), Right::Write);
    assert_eq!(hub.store.right(&id(1), "plans"), Right::None);
    assert!(hub.store.is_trusted(&id(1)));
    let member = hub.store.members().unwrap().into_iter().find(|m| m.node == id(1)).unwrap();
    assert_eq!((member.name.as_str(), member.by), ("phone", Some(id(0))));

    assert_eq!(admit(&hub.store, 2, &ticket), Err(JoinRefusal::Used));
    assert_eq!(hub.store.right(&id(2), NOTES), Right::None);
    let invite = hub.store.invites().unwrap().remove(0);
    assert_eq!((invite.uses_left, invite.used_by), (0, vec![(id(1), NOON)]));
    assert_eq!(hub.store.statements_held().len(), 2, "the founder and one member");
}

fn meet(a: &Store, b: &Store) {
    for _ in 0..4 {
        let mut link = Link::new(a, b);
        link.settle();
        if link.closed().is_none() {
            return;
        }
    }
}

/// As docs/SECURITY.md says what to do when a node is lost.
#[test]
fn a_lost_node_is_replaced_and_only_what_it_kept_to_itself_is_gone() {
    let (hub, other, lost) = (Replica::new(0), Replica::new(1), Replica::new(2));
    for (guest, one) in [(1, &other), (2, &lost)] {
        let ticket = hub.store.invite(&options(write())).unwrap();
        let welcome = admit(&hub.store, guest, &ticket).unwrap();
        one.store.enter(&welcome, id(0), "192.0.2.7:4433").unwrap();
    }
    meet(&hub.store, &lost.store);
    let put = |one: &Replica, doc: &str| one.notes().set(doc, "x", 1).unwrap();
    put(&lost, "came to the hub");
    meet(&hub.store, &lost.store);
    put(&lost, "came to another");
    meet(&other.store, &hub.store);
    meet(&other.store, &lost.store);
    put(&lost, "came to nobody");

    // On an admin's node: littoral revoke, and littoral invite with the same rights.
    hub.store.revoke(id(2)).unwrap();
    let ticket = hub.store.invite(&options(write())).unwrap();
    // On the new machine: littoral join.
    let new = Replica::new(3);
    let welcome = admit(&hub.store, 3, &ticket).unwrap();
    new.store.enter(&welcome, id(0), "192.0.2.7:4433").unwrap();
    meet(&hub.store, &new.store);
    put(&new, "goes on");
    for _ in 0..2 {
        meet(&hub.store, &other.store);
        meet(&hub.store, &new.store);
    }
    assert_same(&[&hub, &other, &new]);
    let there = |doc: &str| new.notes().get(doc).unwrap().is_some();
    assert!(there("came to the hub") && there("came to another") && there("goes on"));
    assert!(!there("came to nobody"));
    // Whoever found the old one gets nothing, and gets nothing in.
    put(&hub, "later");
    for one in [&hub, &other, &new] {
        put(&lost, "by the finder");
        meet(&one.store, &lost.store);
        assert!(lost.notes().get("later").unwrap().is_none());
        assert!(one.notes().get("by the finder").unwrap().is_none());
    }
}

#[test]
fn who_comes_again_gets_the_same_answer_and_uses_nothing_up() {
    let hub = Replica::new(0);
    let mut wanted = options(write());
    wanted.uses = 2;
    let ticket = hub.store.invite(&wanted).unwrap();
    let first = admit(&hub.store, 1, &ticket).unwrap();
    hub.wall.set(NOON + 2 * HOUR);
    assert_eq!(admit(&hub.store, 1, &ticket), Ok(first), "also when it has expired since");
    assert_eq!(hub.store.invites().unwrap()[0].uses_left, 1);
    assert_eq!(hub.store.statements_held().len(), 2);
}

#[test]
fn no_ticket_that_is_wrong_expired_or_revoked_lets_anybody_in() {
    let hub = Replica::new(0);
    let [expired, revoked] = [(); 2].map(|()| hub.store.invite(&options(write())).unwrap());
    let before = hub.disk.syncs();
    for bit in 0..128 {
        let mut secret = *expired.secret.as_bytes();
        secret[bit / 8] ^= 1 << (bit % 8);
        let wrong = request(TicketSecret::from_bytes(secret));
        assert_eq!(hub.store.admit(&id(1), &wrong).unwrap(), Err(JoinRefusal::Unknown));
    }
    assert_eq!(hub.disk.syncs(), before, "guessing writes nothing");
    assert!(hub.store.revoke_invite(&revoked.secret.invite()).unwrap());
    assert!(!hub.store.revoke_invite(&revoked.secret.invite()).unwrap());
    assert_eq!(admit(&hub.store, 1, &revoked), Err(JoinRefusal::Revoked));
    hub.wall.set(NOON + HOUR - 1);
    assert!(hub.store.has_open_invites());
    hub.wall.set(NOON + HOUR);
    assert!(!hub.store.has_open_invites());
    assert_eq!(admit(&hub.store, 1, &expired), Err(JoinRefusal::Expired));
    let unknown = hub.store.revoke_invite(&InviteId::from_bytes([1; 32])).unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
    assert!(!hub.store.is_trusted(&id(1)));
    assert_eq!(admit(&Replica::new(3).store, 1, &expired), Err(JoinRefusal::Unknown));
}

/// A key whose rights were taken may be in wrong hands: no ticket gives it anything.
#[test]
fn no_ticket_brings_back_who_was_revoked() {
    let hub = Replica::new(0);
    let mut wanted = options(write());
    wanted.uses = MAX_INVITE_USES;
    let ticket = hub.store.invite(&wanted).unwrap();
    admit(&hub.store, 1, &ticket).unwrap();
    hub.store.revoke(id(1)).unwrap();
    assert_eq!(admit(&hub.store, 1, &ticket), Err(JoinRefusal::Former));
    let other = hub.store.invite(&options(write())).unwrap();
    assert_eq!(admit(&hub.store, 1, &other), Err(JoinRefusal::Former));
    assert_eq!(hub.store.right(&id(1), NOTES), Right::None);
    assert!(admit(&hub.store, 2, &ticket).is_ok());
}

#[test]
fn a_member_loses_nothing_by_a_ticket_and_may_gain() {
    let hub = Replica::new(0);
    let notes = hub.store.invite(&options(write())).unwrap();
    admit(&hub.store, 1, &notes).unwrap();
    let both = Rights::only(Right::Read, [NOTES, "plans"]);
    let ticket = hub.store.invite(&options(both)).unwrap();
    let welcome = admit(&hub.store, 1, &ticket).unwrap();
    assert_eq!(welcome.rights.of(Some(NOTES)), Right::Write);
    assert_eq!(welcome.rights.of(Some("plans")), Right::Read);
    let everything = hub.store.invite(&options(Rights::everywhere(Right::Admin))).unwrap();
    admit(&hub.store, 1, &everything).unwrap();
    assert_eq!(hub.store.right(&id(1), "other"), Right::Admin);
}

#[test]
fn only_an_admin_invites_and_only_while_it_is_one() {
    let (hub, second) = (Replica::new(0), Replica::new(1));
    let mut all = options(Rights::only(Right::Admin, [NOTES]));
    all.name = "second".to_owned();
    let ticket = hub.store.invite(&all).unwrap();
    let welcome = admit(&hub.store, 1, &ticket).unwrap();
    second.store.enter(&welcome, id(0), "192.0.2.7:4433").unwrap();
    assert_eq!(second.store.trusted().unwrap()[0].address.as_deref(), Some("192.0.2.7:4433"));
    assert_eq!(second.store.right(&id(1), NOTES), Right::Admin, "it knows so at once");
    let learn = |to: &Replica| {
        let beyond = hub.store.statements_beyond(&to.store.statements_held());
        to.store.add_statements(beyond).unwrap();
    };
    learn(&second);
    let refused = second.store.invite(&options(Rights::everywhere(Right::Read))).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Forbidden);
    let theirs = second.store.invite(&options(write())).unwrap();
    assert_eq!(admit(&second.store, 2, &theirs).unwrap().inviter, "second");
    let open = {
        let mut options = options(write());
        options.uses = 2;
        second.store.invite(&options).unwrap()
    };
    hub.store.grant(id(1), "second", write()).unwrap();
    learn(&second);
    assert_eq!(admit(&second.store, 3, &open), Err(JoinRefusal::NotAdmin));
    let refused = second.store.invite(&options(write())).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Forbidden);
}

#[test]
fn a_store_with_peers_is_told_to_found_its_roster_first() {
    let hub = Replica::new(0);
    hub.store.trust(id(1)).unwrap();
    let refused = hub.store.invite(&options(write())).unwrap_err();
    assert!(refused.message().contains("found-roster"), "{refused}");
    assert_eq!(hub.store.founder(), None);
    hub.store.found_roster("hub").unwrap();
    hub.store.invite(&options(write())).unwrap();
    assert_eq!(hub.store.right(&id(1), NOTES), Right::Write);
}

#[test]
fn other_networks_and_rosters_are_told_so_only_to_who_has_a_ticket() {
    let hub = Replica::new(0);
    let ticket = hub.store.invite(&options(write())).unwrap();
    let ask = |change: &dyn Fn(&mut JoinRequest)| {
        let mut request = request(ticket.secret);
        change(&mut request);
        hub.store.admit(&id(1), &request).unwrap()
    };
    let elsewhere = Err(JoinRefusal::Elsewhere);
    assert_eq!(ask(&|request| request.network = NetworkId([1; 16])), elsewhere);
    assert_eq!(ask(&|request| request.founder = Some(id(5))), elsewhere);
    assert_eq!(hub.store.admit(&id(0), &request(ticket.secret)).unwrap(), elsewhere);
    let blind = ask(&|request| {
        request.network = NetworkId([1; 16]);
        request.secret = TicketSecret::from_bytes([0; 16]);
    });
    assert_eq!(blind, Err(JoinRefusal::Unknown));
    assert!(ask(&|request| request.founder = Some(id(0))).is_ok());
}

#[test]
fn options_have_limits() {
    let hub = Replica::new(0);
    let with = |change: &dyn Fn(&mut InviteOptions)| {
        let mut options = options(write());
        change(&mut options);
        hub.store.invite(&options).map(drop).map_err(|err| err.kind())
    };
    let invalid = Err(ErrorKind::InvalidInput);
    assert_eq!(with(&|o| o.uses = 0), invalid);
    assert_eq!(with(&|o| o.uses = MAX_INVITE_USES), Ok(()));
    assert_eq!(with(&|o| o.uses = MAX_INVITE_USES + 1), invalid);
    assert_eq!(with(&|o| o.lives_ms = 0), invalid);
    assert_eq!(with(&|o| o.lives_ms = MAX_INVITE_MS), Ok(()));
    assert_eq!(with(&|o| o.lives_ms = MAX_INVITE_MS + 1), invalid);
    assert_eq!(with(&|o| o.name = "x".repeat(128)), Ok(()));
    assert_eq!(with(&|o| o.name = "x".repeat(129)), invalid);
    assert_eq!(with(&|o| o.name = "a\nb".to_owned()), invalid);
    assert_eq!(with(&|o| o.rights = Rights::default()), invalid);
    assert_eq!(with(&|o| o.addresses.clear()), invalid);
    assert_eq!(with(&|o| o.addresses = vec!["nowhere".to_owned()]), invalid);
}

#[test]
fn invitations_are_bounded_and_those_that_are_closed_go_first() {
    let hub = Replica::new(0);
    let first = hub.store.invite(&options(write())).unwrap();
    for _ in 1..MAX_INVITES {
        hub.store.invite(&options(write())).unwrap();
    }
    let refused = hub.store.invite(&options(write())).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::LimitExceeded);
    admit(&hub.store, 1, &first).unwrap();
    hub.store.invite(&options(write())).unwrap();
    let invites = hub.store.invites().unwrap();
    assert_eq!(invites.len(), MAX_INVITES);
    assert!(invites.iter().all(|invite| invite.id != first.secret.invite()));
}

/// At whatever call the power goes: the ticket was used and there is one member, or neither.
#[test]
fn a_power_cut_leaves_the_grant_and_the_use_of_a_ticket_together() {
    let mut outcomes = [0, 0];
    for calls in 0..200 {
        let hub = Replica::new(0);
        let ticket = hub.store.invite(&options(write())).unwrap();
        hub.disk.dead_after(calls);
        let answered = hub.store.admit(&id(1), &request(ticket.secret));
        let died = hub.disk.struck() > 0;
        for fate in [None, Some(calls), Some(calls + 1000)] {
            let hub = hub.after_power_cut(fate);
            let member = hub.store.right(&id(1), NOTES) == Right::Write;
            let invite = hub.store.invites().unwrap().remove(0);
            let peer = hub.store.trusted().unwrap().iter().any(|peer| peer.node == id(1));
            let used = invite.used_by.iter().any(|(node, _)| *node == id(1));
            assert_eq!([used, invite.uses_left == 0, peer], [member; 3], "after {calls} calls");
            assert!(member || !matches!(answered, Ok(Ok(_))), "what was answered is so");
            assert_eq!(hub.store.has_open_invites(), !member);
            outcomes[usize::from(member)] += 1;
            assert!(admit(&hub.store, 1, &ticket).is_ok(), "it comes again");
            assert_eq!(admit(&hub.store, 2, &ticket), Err(JoinRefusal::Used));
        }
        if !died {
            assert!(outcomes.iter().all(|count| *count > 0), "{outcomes:?}");
            return;
        }
    }
    panic!("it never ends");
}

#[test]
fn the_secret_is_in_no_file() {
    let hub = Replica::new(0);
    let ticket = hub.store.invite(&options(write())).unwrap();
    admit(&hub.store, 1, &ticket).unwrap();
    hub.store.close().unwrap();
    let disk: &MemDisk = &hub.disk;
    for (name, bytes) in files(disk) {
        let secret = ticket.secret.as_bytes();
        assert!(!bytes.windows(secret.len()).any(|part| part == secret), "in {name}");
    }
    let again = Replica::on(0, hub.disk.copy());
    assert_eq!(again.unwrap().store.invites().unwrap()[0].id, ticket.secret.invite());
}
