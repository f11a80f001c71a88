//! Joining with a ticket: two stores from nothing to synced, and everything that goes wrong.
#![cfg(feature = "net")]

mod common;

use std::time::Duration;

use common::{NOTES, Replica, key};
use littoral::limits::MAX_MEMBER_NAME_BYTES;
use littoral::net::{Link, Network, NetworkOptions};
use littoral::store::InviteOptions;
use littoral::sync::joining::{Guest, Host, Message};
use littoral::txn::NetworkId;
use littoral::txn::joining::JoinRequest;
use littoral::txn::roster::{Right, Rights};
use littoral::txn::ticket::{Ticket, TicketSecret};
use littoral::{ErrorKind, Options, Store};

const LONG: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_millis(300);

struct Node {
    dir: tempfile::TempDir,
    store: Store,
    network: Network,
}

impl Node {
    fn new() -> Node {
        Node::with(Store::options())
    }

    fn with(options: Options) -> Node {
        let dir = tempfile::tempdir().unwrap();
        let store = options.open(dir.path()).unwrap();
        let at = NetworkOptions::listen(([127, 0, 0, 1], 0).into());
        let network = Network::start(&store, at).unwrap();
        Node { dir, store, network }
    }

    fn options(&self, rights: Rights) -> InviteOptions {
        InviteOptions::new(rights, vec![self.network.listening()[0].to_string()])
    }

    fn invite(&self, right: Right) -> Ticket {
        self.store.invite(&self.options(Rights::only(right, [NOTES]))).unwrap()
    }

    fn write(&self, id: &str) -> littoral::Result<()> {
        self.store.collection(NOTES).unwrap().set(id, "x", 1i64)
    }

    fn has(&self, id: &str) -> bool {
        let notes = self.store.collection(NOTES).unwrap();
        notes.get(id).unwrap().is_some()
    }
}

#[test]
fn two_stores_are_in_sync_after_one_call_on_each_side() {
    let (hub, phone) = (Node::new(), Node::new());
    hub.write("by hub").unwrap();
    hub.store.collection("plans").unwrap().set("p", "x", 1i64).unwrap();
    phone.write("by phone").unwrap();
    let text = hub.invite(Right::Write).to_string();

    let (welcome, link) = phone.network.join(&text.parse().unwrap(), "phone", LONG).unwrap();
    assert_eq!(welcome.rights, Rights::only(Right::Write, [NOTES]));
    link.wait_synced(LONG).unwrap();
    assert_eq!((phone.has("by hub"), hub.has("by phone")), (true, true));
    assert_eq!(phone.store.collections(), [NOTES], "it does not hear of others");
    phone.write("later").unwrap();
    link.wait_synced(LONG).unwrap();
    assert!(hub.has("later"));
    assert_eq!(hub.network.joins().joined, 1);
    let names: Vec<_> =
        phone.store.members().unwrap().into_iter().map(|member| member.name).collect();
    assert!(names.contains(&"phone".to_owned()), "{names:?}");
    let peer = phone.store.trusted().unwrap().remove(0);
    assert_eq!(peer.node, hub.store.node_id());
    assert_eq!(peer.address, Some(hub.network.listening()[0].to_string()));
    drop((link, phone.network, phone.dir));
}

#[test]
fn a_ticket_that_is_no_good_lets_nobody_in_and_all_hear_the_same() {
    let hub = Node::new();
    let used = hub.invite(Right::Write);
    Node::new().network.join(&used, "first", LONG).unwrap();
    let revoked = hub.invite(Right::Write);
    hub.store.revoke_invite(&revoked.secret.invite()).unwrap();
    let refused = |ticket: &Ticket| {
        let guest = Node::new();
        let err = guest.network.join(ticket, "guest", LONG).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Refused);
        assert_eq!(guest.store.founder(), None);
        assert!(guest.network.links().is_empty());
        err.message().to_owned()
    };
    // Nobody may join: strangers do not get through the handshake.
    let words = refused(&used);
    assert_eq!(refused(&revoked), words);
    assert!(hub.network.joins().refused.is_empty(), "{:?}", hub.network.joins());
    // Somebody may: they get as far as to show what they have.
    let open = hub.invite(Right::Write);
    let wrong = Ticket { secret: TicketSecret::from_bytes([1; 16]), ..open.clone() };
    for ticket in [&used, &revoked, &wrong] {
        assert_eq!(refused(ticket), words);
    }
    let refused = hub.network.joins().refused;
    assert_eq!(refused, [("used", 1), ("revoked", 1), ("unknown", 1)].into(), "told apart here");
    Node::new().network.join(&open, "last", LONG).unwrap();
}

#[test]
fn who_may_only_read_can_not_write() {
    let (hub, phone) = (Node::new(), Node::new());
    hub.write("by hub").unwrap();
    let (welcome, link) = phone.network.join(&hub.invite(Right::Read), "phone", LONG).unwrap();
    assert_eq!(welcome.rights.of(Some(NOTES)), Right::Read);
    link.wait_synced(LONG).unwrap();
    assert!(phone.has("by hub"));
    assert_eq!(phone.write("mine").unwrap_err().kind(), ErrorKind::Forbidden);
}

#[test]
fn a_store_of_another_network_or_roster_is_told_before_it_uses_up_the_ticket() {
    let hub = Node::new();
    let ticket = hub.invite(Right::Write);
    let other = Node::with(Store::options().network("another"));
    let refused = other.network.join(&ticket, "other", LONG).unwrap_err();
    assert!(refused.message().contains("another network"), "{refused}");
    let founder = Node::new();
    founder.store.found_roster("itself").unwrap();
    let refused = founder.network.join(&ticket, "founder", LONG).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused);
    assert!(refused.message().contains("another network or roster"), "{refused}");
    let own = hub.network.join(&ticket, "hub", LONG).unwrap_err();
    assert_eq!(own.kind(), ErrorKind::InvalidInput);
    assert_eq!(hub.store.invites().unwrap()[0].uses_left, 1);
    let fresh = Node::with(Store::options().network_id(ticket.network));
    fresh.network.join(&ticket, "fresh", LONG).unwrap();
}

#[test]
fn nobody_at_the_address_is_a_timeout_and_another_node_there_is_not_spoken_to() {
    let (hub, other, guest) = (Node::new(), Node::new(), Node::new());
    let ticket = hub.invite(Right::Write);
    let elsewhere = Ticket { addresses: vec!["127.0.0.1:9".to_owned()], ..ticket.clone() };
    let err = guest.network.join(&elsewhere, "guest", SOON).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Timeout);
    let at_other = other.network.listening()[0].to_string();
    let wrong = Ticket { addresses: vec![at_other.clone()], ..ticket.clone() };
    let err = guest.network.join(&wrong, "guest", SOON).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Timeout);
    assert_eq!(other.network.joins().refused.len(), 0);
    // Of several addresses one is enough.
    let addresses = [vec!["127.0.0.1:9".to_owned(), at_other], ticket.addresses.clone()].concat();
    let several = Ticket { addresses, ..ticket };
    let (_, link) = guest.network.join(&several, "guest", LONG).unwrap();
    link.wait_synced(LONG).unwrap();
}

/// By the founder's key, without a ticket: what this node may do it hears over the first link, and
/// what it wrote before it knew is waited for, too.
#[test]
fn what_was_written_before_its_author_knew_its_rights_is_waited_for() {
    for _ in 0..5 {
        let (hub, phone) = (Node::new(), Node::new());
        hub.write("by hub").unwrap();
        phone.write("by phone").unwrap();
        hub.store.found_roster("hub").unwrap();
        let phone_id = phone.store.node_id();
        hub.store.grant(phone_id, "phone", Rights::everywhere(Right::Write)).unwrap();
        phone.store.join_roster(hub.store.node_id()).unwrap();
        let place = hub.network.listening()[0];
        let address = format!("{place}#{}", hub.store.node_id()).parse().unwrap();
        phone.network.connect(address).unwrap().wait_synced(LONG).unwrap();
        assert_eq!((phone.has("by hub"), hub.has("by phone")), (true, true));
    }
}

#[test]
fn a_node_started_again_syncs_with_whom_it_joined() {
    let (hub, phone) = (Node::new(), Node::new());
    phone.network.join(&hub.invite(Right::Write), "phone", LONG).unwrap();
    let Node { dir, store, network } = phone;
    network.close();
    store.close().unwrap();
    hub.write("meanwhile").unwrap();
    let store = Store::open(dir.path()).unwrap();
    let network = Network::start(&store, NetworkOptions::default()).unwrap();
    let links = network.connect_known().unwrap();
    assert_eq!(links.iter().map(Link::peer).collect::<Vec<_>>(), [hub.store.node_id()]);
    links[0].wait_synced(LONG).unwrap();
    assert_eq!(network.connect_known().unwrap().len(), 0, "it is dialled");
    assert!(store.collection(NOTES).unwrap().get("meanwhile").unwrap().is_some());
}

/// The exchange, cut anywhere, within frames and between them: it is done again, and the ticket was used once.
#[test]
fn who_gives_up_or_closes_while_joining_is_no_member_and_may_try_again() {
    let (hub, phone) = (Node::new(), Node::new());
    let ticket = hub.invite(Right::Write);
    let nowhere = Ticket { addresses: vec!["127.0.0.1:9".to_owned()], ..ticket.clone() };
    let mut joining = phone.network.begin_join(&nowhere, "phone", LONG).unwrap();
    assert_eq!(joining.wait(Duration::ZERO).unwrap().map(drop), None);
    drop(joining);
    let mut joining = phone.network.begin_join(&nowhere, "phone", LONG).unwrap();
    phone.network.close();
    assert_eq!(joining.wait(LONG).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(phone.store.founder(), None);
    let again = Network::start(&phone.store, NetworkOptions::default()).unwrap();
    let name = "x".repeat(MAX_MEMBER_NAME_BYTES + 1);
    for wrong in [name.as_str(), "a\nb"] {
        let err = again.join(&ticket, wrong, LONG).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::InvalidInput, "{err}");
    }
    assert_eq!(hub.store.invites().unwrap()[0].used_by, []);
    again.join(&ticket, &name[1..], LONG).unwrap().1.wait_synced(LONG).unwrap();
}

#[test]
fn a_ticket_may_name_where_the_network_listens() {
    let hub = Node::new();
    assert_eq!(hub.network.reached_at(), hub.network.listening());
    hub.network.listen(([0, 0, 0, 0], 0).into()).unwrap();
    let reached = hub.network.reached_at();
    assert!(reached.len() > 1 && reached.iter().all(|at| !at.ip().is_unspecified()));
    let silent = Network::start(&hub.store, NetworkOptions::default()).unwrap();
    assert_eq!(silent.reached_at(), []);
}

#[test]
fn an_exchange_cut_anywhere_is_done_again_and_uses_the_ticket_once() {
    let guest_id = key(1).id();
    let (join, welcome_length) = {
        let hub = Replica::new(0);
        let ticket = invite(&hub);
        let (join, _) = Guest::begin(request(&ticket));
        (join.len(), run(&hub, &ticket, usize::MAX).1)
    };
    let all = join + welcome_length;
    for cut in (0..=join).chain((join..all).step_by(7)).chain([all - 1, all]) {
        let hub = Replica::new(0);
        let ticket = invite(&hub);
        let (first, _) = run(&hub, &ticket, cut);
        assert_eq!(first, cut == all, "after {cut} bytes");
        let used = hub.store.invites().unwrap()[0].used_by.len();
        assert_eq!(used, usize::from(cut >= join), "after {cut} bytes");
        assert!(run(&hub, &ticket, usize::MAX).0);
        let invite = hub.store.invites().unwrap().remove(0);
        assert_eq!(invite.used_by.iter().map(|(node, _)| *node).collect::<Vec<_>>(), [guest_id]);
        assert_eq!(hub.store.statements_held().len(), 2);
    }
}

fn invite(hub: &Replica) -> Ticket {
    let rights = Rights::only(Right::Write, [NOTES]);
    hub.store.invite(&InviteOptions::new(rights, vec!["a:1".to_owned()])).unwrap()
}

fn request(ticket: &Ticket) -> JoinRequest {
    let network = NetworkId::named("default");
    JoinRequest { secret: ticket.secret, network, founder: None, name: "phone".to_owned() }
}

/// Runs it until so many bytes have passed. Whether the guest heard that it is in, and how many
/// bytes the answer has.
fn run(hub: &Replica, ticket: &Ticket, bytes: usize) -> (bool, usize) {
    let (join, mut guest) = Guest::begin(request(ticket));
    let mut host = Host::new(hub.store.node_id(), key(1).id());
    let Some(request) = host.hear(&join[..join.len().min(bytes)]) else { return (false, 0) };
    let decided = hub.store.admit(&key(1).id(), &request.unwrap()).unwrap();
    let answer = Message::Welcome(host.answer(decided).unwrap()).to_frame();
    let passed = answer.len().min(bytes.saturating_sub(join.len()));
    let heard = guest.hear(&answer[..passed]);
    (heard.is_some_and(|heard| heard.is_ok()), answer.len())
}
