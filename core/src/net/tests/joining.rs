//! Strangers while somebody may join: what they can say, what they hear, and how many they are.

use super::*;
use crate::limits::{MAX_JOIN_BYTES, MAX_JOINING};
use crate::store::{InviteOptions, Store};
use crate::sync::joining::{Guest, Message};
use crate::txn::joining::JoinRequest;
use crate::txn::roster::{Right, Rights};
use crate::txn::ticket::{Ticket, TicketSecret};

/// A store with something to keep to itself, and an open invitation.
struct Hub {
    _dir: tempfile::TempDir,
    store: Store,
    network: Network,
    address: PeerAddress,
    ticket: Ticket,
}

const SECRET_NAME: &str = "not-for-strangers";

impl Hub {
    fn new() -> Hub {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.collection(SECRET_NAME).unwrap().set("n", "x", 1i64).unwrap();
        let at = NetworkOptions::listen(([127, 0, 0, 1], 0).into());
        let network = Network::start(&store, at).unwrap();
        let port = network.listening()[0].port();
        let address = PeerAddress::new("127.0.0.1", port, store.node_id()).unwrap();
        let rights = Rights::everywhere(Right::Write);
        let options = InviteOptions::new(rights, vec![format!("127.0.0.1:{port}")]);
        let ticket = store.invite(&options).unwrap();
        Hub { _dir: dir, store, network, address, ticket }
    }

    fn refused(&self, why: &str) -> u64 {
        self.network.joins().refused.get(why).copied().unwrap_or(0)
    }
}

fn request(secret: TicketSecret) -> JoinRequest {
    let network = NetworkId::named("default");
    JoinRequest { secret, network, founder: None, name: "stranger".to_owned() }
}

/// Neither does an offline node take a ticket, nor show one.
#[test]
fn nobody_joins_while_a_node_is_offline() {
    let hub = Hub::new();
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let network = Network::start(&store, NetworkOptions::default()).unwrap();
    network.set_online(false);
    let refused = network.join(&hub.ticket, "guest", LONG).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused);
    network.set_online(true);
    hub.network.set_online(false);
    let mut joining = network.begin_join(&hub.ticket, "guest", LONG).unwrap();
    assert!(joining.wait(Duration::from_millis(300)).unwrap().is_none());
    assert_eq!(hub.network.joins().joined, 0);
    hub.network.set_online(true);
    while joining.wait(LONG).unwrap().is_none() {}
    assert_eq!(hub.network.joins().joined, 1);
    network.close();
    hub.network.close();
}

const WRONG: TicketSecret = TicketSecret::from_bytes([5; 16]);

/// All bytes of all streams that a stranger hears until it is thrown out.
async fn all_heard(connection: &Connection) -> Vec<u8> {
    let mut heard = Vec::new();
    while let Ok(mut stream) = connection.accept_uni().await {
        while let Ok(Some(chunk)) = stream.read_chunk(1 << 16, true).await {
            heard.extend_from_slice(&chunk.bytes);
        }
    }
    heard
}

fn assert_keeps_quiet(hub: &Hub, heard: &[u8], reason: &str) {
    let node = hub.store.node_id();
    for secret in [SECRET_NAME.as_bytes(), node.as_bytes(), &hub.store.network().0] {
        assert!(!heard.windows(secret.len()).any(|part| part == secret));
    }
    assert!(!reason.contains(SECRET_NAME), "{reason}");
}

#[test]
fn a_stranger_that_wants_to_sync_hears_nothing_while_somebody_may_join() {
    let hub = Hub::new();
    let stranger = Stranger::new();
    let connection = stranger.dial(&hub.address);
    let heard = stranger.runtime.block_on(async {
        // A good hello, for whoever would listen to it.
        let hello = crate::sync::message::Hello {
            version: crate::sync::message::PROTOCOL_VERSION,
            network: hub.store.network().0,
            collections: Default::default(),
            wanted: None,
            unpacks: false,
        };
        if let Ok(mut control) = connection.open_uni().await {
            let _ = control.write_all(&Control::Hello(hello).to_frame()).await;
        }
        tokio::time::timeout(LONG, all_heard(&connection)).await.unwrap()
    });
    assert!(heard.is_empty(), "not one byte on any stream");
    let (code, reason) = stranger.closed(&connection);
    assert_eq!(code, CloseCode::Stranger);
    assert_keeps_quiet(&hub, &heard, &reason);
    assert_eq!(hub.network.refusals().nodes[0].node, stranger.key.id());
    assert!(hub.network.links().is_empty());
}

#[test]
fn a_stranger_without_a_ticket_hears_that_and_nothing_else() {
    let hub = Hub::new();
    let stranger = Stranger::new();
    let connection = stranger.dial_for(&hub.address, tls::Purpose::Join);
    let heard = stranger.runtime.block_on(async {
        let (join, _) = Guest::begin(request(WRONG));
        let mut control = connection.open_uni().await.unwrap();
        control.write_all(&join).await.unwrap();
        tokio::time::timeout(LONG, all_heard(&connection)).await.unwrap()
    });
    let (code, reason) = stranger.closed(&connection);
    assert_eq!(code, CloseCode::Ticket);
    let bye = Message::Bye { code, reason: crate::sync::joining::NO_TICKET.to_owned() };
    assert!(heard.is_empty() || heard == bye.to_frame(), "{heard:?}");
    assert_keeps_quiet(&hub, &heard, &reason);
    assert_eq!(hub.refused("unknown"), 1);
    assert_eq!(hub.store.statements_held().len(), 1);
    assert!(!hub.store.is_trusted(&stranger.key.id()));
}

/// Room for one message, and not for streams or bytes without end.
#[test]
fn a_stranger_that_floods_is_thrown_out_and_takes_little() {
    let hub = Hub::new();
    let stranger = Stranger::new();
    let connection = stranger.dial_for(&hub.address, tls::Purpose::Join);
    stranger.runtime.block_on(async {
        let mut control = connection.open_uni().await.unwrap();
        let second = tokio::time::timeout(Duration::from_millis(50), connection.open_uni()).await;
        assert!(second.is_err() || second.unwrap().is_err(), "one stream, and no second");
        let _ = control.write_all(&vec![0xff; 1 << 20]).await;
    });
    assert_eq!(stranger.closed(&connection).0, CloseCode::Protocol);
    let long = stranger.dial_for(&hub.address, tls::Purpose::Join);
    stranger.runtime.block_on(async {
        let mut control = long.open_uni().await.unwrap();
        let length = (MAX_JOIN_BYTES as u32 + 1).to_be_bytes();
        let _ = control.write_all(&length).await;
    });
    assert_eq!(stranger.closed(&long).0, CloseCode::Protocol);
    assert_eq!(hub.refused("broken"), 2);
}

#[test]
fn strangers_that_say_nothing_are_few_and_keep_nobody_out_for_long() {
    let hub = Hub::new();
    let stranger = Stranger::new();
    let dial = || stranger.dial_for(&hub.address, tls::Purpose::Join);
    let mut silent: Vec<Connection> = Vec::new();
    until("there is no room for one more", || {
        silent = (0..MAX_JOINING).map(|_| dial()).collect();
        stranger.closed(&dial()).0 == CloseCode::Limit
    });
    for connection in &silent {
        let code = stranger.closed(connection).0;
        assert!([CloseCode::Timeout, CloseCode::Limit].contains(&code), "{code:?}");
    }
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let network = Network::start(&store, NetworkOptions::default()).unwrap();
    network.join(&hub.ticket, "who waits its turn", LONG).unwrap();
}

/// There are few attempts: of 128 bits nobody gets anywhere.
#[test]
fn who_comes_when_too_many_have_tried_is_turned_away_unheard() {
    let hub = Hub::new();
    let stranger = Stranger::new();
    let tries = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        // Somebody else takes every attempt as soon as there is one.
        scope.spawn(|| {
            let begun = Instant::now();
            while tries.load(Ordering::SeqCst) == 0 && begun.elapsed() < 2 * LONG {
                hub.network.shared.may_try();
            }
        });
        until("it is turned away", || {
            let connection = stranger.dial_for(&hub.address, tls::Purpose::Join);
            stranger.closed(&connection).0 == CloseCode::Limit
        });
        tries.store(1, Ordering::SeqCst);
    });
    assert!(hub.refused("busy") > 0);
    assert!(!hub.store.is_trusted(&stranger.key.id()));
}

/// The answer is lost: whoever comes again gets it, and the ticket is used once.
#[test]
fn a_guest_that_was_cut_off_before_the_answer_comes_again() {
    let hub = Hub::new();
    let stranger = Stranger::new();
    let connection = stranger.dial_for(&hub.address, tls::Purpose::Join);
    stranger.runtime.block_on(async {
        let (join, _) = Guest::begin(request(hub.ticket.secret));
        let mut control = connection.open_uni().await.unwrap();
        control.write_all(&join).await.unwrap();
    });
    until("it was let in", || hub.network.joins().joined == 1);
    connection.close(VarInt::from_u32(0), b"cut");
    assert!(hub.store.is_trusted(&stranger.key.id()));

    let dir = tempfile::tempdir().unwrap();
    let store = Store::options().key(stranger.key.clone()).open(dir.path()).unwrap();
    let network = Network::start(&store, NetworkOptions::default()).unwrap();
    let (welcome, link) = network.join(&hub.ticket, "phone", LONG).unwrap();
    assert_eq!(welcome.founder, hub.store.node_id());
    link.wait_synced(LONG).unwrap();
    assert_eq!(store.collections(), [SECRET_NAME]);
    let invite = hub.store.invites().unwrap().remove(0);
    assert_eq!((invite.uses_left, invite.used_by.len()), (0, 1));
    assert_eq!(hub.store.statements_held().len(), 2);
}

#[test]
fn a_node_that_was_distrusted_here_can_not_join() {
    let hub = Hub::new();
    let stranger = Stranger::new();
    hub.network.distrust(stranger.key.id());
    let dir = tempfile::tempdir().unwrap();
    let store = Store::options().key(stranger.key.clone()).open(dir.path()).unwrap();
    let network = Network::start(&store, NetworkOptions::default()).unwrap();
    let refused = network.join(&hub.ticket, "phone", LONG).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused);
    assert_eq!(hub.store.invites().unwrap()[0].uses_left, 1);
}
