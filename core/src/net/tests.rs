//! The network over a store of nothing but transactions: what happens when something fails.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use quinn::{Connection, Endpoint, VarInt};
use tokio::runtime::Runtime;

use super::*;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Dot, Hash, NodeId, Position, Vector};
use crate::replica::{Replica, Watching};
use crate::sync::door::{Outcome, SnapshotStep, StepOutcome, Wanted};
use crate::sync::message::{CloseCode, Control};
use crate::sync::{Lease, Page, Source, Summary, View as Served};
use crate::txn::joining::Welcome;
use crate::txn::snapshot::{Span, SpanDigest};
use crate::txn::{NetworkId, NodeKey};

#[allow(
    dead_code,
    clippy::duplicate_mod,
    reason = "the tests of sessions use it too, and more of it"
)]
#[path = "../sync/tests/store.rs"]
mod fake;
mod joining;
mod virtual_time;
mod wire;

const LONG: Duration = Duration::from_secs(60);

type Callback = Box<dyn Fn() + Send + Sync>;

/// A store in memory that lets everybody in.
struct Fake {
    author: u8,
    key: NodeKey,
    store: Mutex<fake::Store>,
    callbacks: Mutex<Vec<Callback>>,
    /// So many times more, applying panics.
    panics: AtomicUsize,
}

impl Fake {
    fn new(author: u8) -> Arc<Fake> {
        Arc::new(Fake {
            author,
            key: NodeKey::from_seed([author; 32]),
            store: Mutex::default(),
            callbacks: Mutex::default(),
            panics: AtomicUsize::new(0),
        })
    }

    fn with<T>(&self, look: impl FnOnce(&mut fake::Store) -> T) -> T {
        look(&mut self.store.lock().unwrap())
    }

    fn write(&self, payload: &[u8]) {
        self.with(|store| store.write(self.author, "notes", payload));
        self.announce();
    }

    fn announce(&self) {
        self.callbacks.lock().unwrap().iter().for_each(|callback| callback());
    }

    fn count(&self) -> usize {
        self.with(|store| store.held.get("notes").map_or(0, |held| held.txns.len()))
    }
}

impl Source for Fake {
    fn collections(&self) -> Result<Vec<String>> {
        self.with(|store| store.collections())
    }

    fn summary(&self, collection: &str) -> Result<Summary> {
        self.with(|store| store.summary(collection))
    }

    fn vector(&self, collection: &str) -> Result<Vector> {
        self.with(|store| store.vector(collection))
    }

    fn contradictions(&self, collection: &str, theirs: &Vector) -> Result<Vec<Dot>> {
        self.with(|store| store.contradictions(collection, theirs))
    }

    fn floor(&self, collection: &str) -> Result<Arc<Vector>> {
        self.with(|store| store.floor(collection))
    }

    fn start(&self, collection: &str, have: &Vector) -> Result<Position> {
        self.with(|store| store.start(collection, have))
    }

    fn read(&self, collection: &str, from: Position, max_bytes: usize) -> Result<Page> {
        self.with(|store| store.read(collection, from, max_bytes))
    }
    fn view(&self, _: &str, _: &Vector) -> Result<Option<Box<dyn Served>>> {
        Ok(None)
    }

    fn is_staged(&self, _: &str) -> bool {
        false
    }

    fn lease(&self, _: &str) -> Option<Box<dyn Lease>> {
        None
    }

    fn candidate_digests(&self, _: &str, _: &[Span]) -> Result<Vec<SpanDigest>> {
        Ok(Vec::new())
    }

    fn candidate_list(&self, _: &str, _: &Span, _: usize) -> Result<Vec<(String, Hash)>> {
        Ok(Vec::new())
    }
}

impl Replica for Fake {
    fn node_key(&self) -> &NodeKey {
        &self.key
    }

    fn network(&self) -> NetworkId {
        NetworkId::named("test")
    }

    fn is_trusted(&self, _: &NodeId) -> bool {
        true
    }

    fn on_commit(&self, callback: Callback) -> Watching {
        self.callbacks.lock().unwrap().push(callback);
        Box::new(())
    }

    fn apply(&self, collection: &str, txns: Vec<Vec<u8>>) -> Result<()> {
        let left =
            self.panics.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        assert!(left.is_err(), "this panic is part of a test");
        let outcome = self.with(|store| store.apply_all(collection, &txns));
        self.announce();
        match outcome {
            Outcome::Applied => Ok(()),
            Outcome::MissingDependency => Err(Error::new(ErrorKind::MissingDependency, "missing")),
            Outcome::Forbidden(why) => Err(Error::new(ErrorKind::Forbidden, why)),
            Outcome::Refused(_, why) => Err(Error::bad_txn(why)),
            Outcome::StoreFailed(why) => Err(Error::corrupt(why)),
        }
    }

    fn hear(&self, _: Vec<Vec<u8>>) -> Result<()> {
        Ok(())
    }

    fn enter(&self, _: &Welcome, _: NodeId, _: &str) -> Result<()> {
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        Ok(())
    }

    fn wanted(&self, _: &NodeId) -> Wanted {
        None
    }

    fn step(&self, _: &str, _: &NodeId, _: SnapshotStep) -> Result<StepOutcome> {
        Ok(StepOutcome::Staged)
    }
}

fn start(fake: &Arc<Fake>) -> (Network, PeerAddress) {
    start_at(fake, 0)
}

fn start_at(fake: &Arc<Fake>, port: u16) -> (Network, PeerAddress) {
    let network = Network::over(Arc::clone(fake) as Arc<dyn Replica>, NetworkOptions::default());
    let network = network.unwrap();
    let bound = network.listen(([127, 0, 0, 1], port).into()).unwrap();
    (network, PeerAddress::new("127.0.0.1", bound.port(), fake.key.id()).unwrap())
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < deadline, "still not so: {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

#[test]
fn a_panic_while_applying_ends_the_link_and_nothing_else() {
    let (a, b) = (Fake::new(1), Fake::new(2));
    let ((dialling, _), (_listening, address)) = (start(&a), start(&b));
    b.panics.store(2, Ordering::SeqCst);
    a.write(b"x");
    let link = dialling.connect(address).unwrap();
    until("the link comes back and carries", || b.count() == 1);
    assert_eq!(b.panics.load(Ordering::SeqCst), 0);
    link.wait_synced(LONG).unwrap();
}

#[test]
fn a_store_that_fails_ends_the_link_which_comes_back() {
    let (a, b) = (Fake::new(1), Fake::new(2));
    let ((dialling, _), (_listening, address)) = (start(&a), start(&b));
    b.with(|store| store.failing = true);
    a.write(b"x");
    let link = dialling.connect(address).unwrap();
    until("the link fails", || link.status().last_error.is_some());
    let told = link.status().last_error.unwrap();
    assert_eq!(told, "the store of the other node failed", "and nothing of its files");
    b.with(|store| store.failing = false);
    link.wait_synced(LONG).unwrap();
    assert_eq!(b.count(), 1);
}

#[test]
fn a_collection_that_can_not_go_on_says_so_and_the_link_goes_on() {
    let (a, b) = (Fake::new(1), Fake::new(2));
    a.write(b"x");
    a.write(b"y");
    // Its log lacks what it says to hold, so b can't apply what it gets.
    a.with(|store| {
        store.prune("notes");
        store.forget_floor("notes");
    });
    a.write(b"z");
    let ((dialling, _), (_listening, address)) = (start(&a), start(&b));
    let link = dialling.connect(address).unwrap();
    until("there is trouble", || {
        link.status().collections.get("notes").is_some_and(|notes| notes.trouble.is_some())
    });
    let error = link.wait_synced(Duration::ZERO).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(link.status().state, LinkState::Connected, "the link itself goes on");
}

/// A node that speaks QUIC as we do, and on it whatever a test wants.
struct Stranger {
    runtime: Runtime,
    key: NodeKey,
}

impl Stranger {
    fn new() -> Stranger {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().unwrap();
        Stranger { runtime, key: NodeKey::from_seed([77; 32]) }
    }

    fn dial(&self, address: &PeerAddress) -> Connection {
        self.dial_for(address, tls::Purpose::Sync)
    }

    fn dial_for(&self, address: &PeerAddress, purpose: tls::Purpose) -> Connection {
        self.runtime.block_on(async {
            let endpoint = transport::dialler(&outside::Machine::default()).unwrap();
            let config = transport::client(&self.key, address.key(), purpose).unwrap();
            let at: SocketAddr = ([127, 0, 0, 1], address.port()).into();
            endpoint
                .connect_with(config, at, &tls::expecting(&address.key(), 1))
                .unwrap()
                .await
                .unwrap()
        })
    }

    fn listen(&self) -> Endpoint {
        let _entered = self.runtime.enter();
        let at = ([127, 0, 0, 1], 0).into();
        let (former, all) = (Arc::new(|| None), Arc::new(|_: &NodeId| true));
        transport::listen(&outside::Machine::default(), &self.key, former, all, at).unwrap()
    }

    /// How the other side ends the connection.
    fn closed(&self, connection: &Connection) -> (CloseCode, String) {
        let closed = async { tokio::time::timeout(LONG, connection.closed()).await };
        let closed = self.runtime.block_on(closed);
        let ending = ending::Ending::lost(&closed.unwrap());
        (ending.code, ending.reason)
    }
}

/// The goodbye and the closing frame are two ways for a reason to reach the peer.
#[test]
fn why_a_store_fails_stays_at_home_however_the_link_ends() {
    let b = Fake::new(2);
    let (_listening, address) = start(&b);
    b.with(|store| store.failing = true);
    let stranger = Stranger::new();
    let connection = stranger.dial(&address);
    let (code, told) = stranger.closed(&connection);
    assert_eq!(code, CloseCode::StoreFailed);
    assert_eq!(told, "the store of the other node failed");
}

#[test]
fn nonsense_on_the_control_stream_ends_the_link_and_nothing_else() {
    let (a, b) = (Fake::new(1), Fake::new(2));
    let ((dialling, _), (_listening, address)) = (start(&a), start(&b));
    let link = dialling.connect(address.clone()).unwrap();
    let stranger = Stranger::new();
    let connection = stranger.dial(&address);
    stranger.runtime.block_on(async {
        let mut control = connection.open_uni().await.unwrap();
        control.write_all(&[0xff; 64]).await.unwrap();
        assert_eq!(stranger_reads(&connection).await, Some(CloseCode::Protocol));
    });
    assert_eq!(stranger.closed(&connection).0, CloseCode::Protocol);
    a.write(b"x");
    link.wait_synced(LONG).unwrap();
    assert_eq!(b.count(), 1);
}

/// The code of the goodbye on the peer's control stream.
async fn stranger_reads(connection: &Connection) -> Option<CloseCode> {
    let mut control = connection.accept_uni().await.unwrap();
    let bytes = control.read_to_end(1 << 20).await.unwrap();
    let mut rest = bytes.as_slice();
    let mut code = None;
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (frame, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        rest = after;
        if let Control::Bye { code: said, .. } = Control::from_frame(frame).unwrap() {
            code = Some(said);
        }
    }
    code
}

#[test]
fn a_peer_that_ends_its_control_stream_is_gone() {
    let b = Fake::new(2);
    let (_listening, address) = start(&b);
    let stranger = Stranger::new();
    let connection = stranger.dial(&address);
    stranger.runtime.block_on(async {
        let mut control = connection.open_uni().await.unwrap();
        control.finish().unwrap();
    });
    assert_eq!(stranger.closed(&connection).0, CloseCode::Gone);
}

#[test]
fn a_newer_connection_of_a_peer_replaces_the_older() {
    let b = Fake::new(2);
    let (listening, address) = start(&b);
    let stranger = Stranger::new();
    let older = stranger.dial(&address);
    until("the first is there", || listening.links().len() == 1);
    let newer = stranger.dial(&address);
    assert_eq!(stranger.closed(&older).0, CloseCode::Done);
    until("the second is alone", || listening.links().len() == 1);
    assert_eq!(newer.close_reason(), None);
    newer.close(VarInt::from_u32(0), b"");
    until("and goes", || listening.links().is_empty());
}

/// A node that is killed says no goodbye; when it is back at its address, its peers notice by
/// the reset that their next packet brings, not by waiting.
#[test]
fn a_peer_that_was_killed_and_is_back_is_noticed_by_its_reset() {
    let a = Fake::new(1);
    let (dialling, _) = start(&a);
    let stranger = Stranger::new();
    let endpoint = stranger.listen();
    let port = endpoint.local_addr().unwrap().port();
    let address = PeerAddress::new("127.0.0.1", port, stranger.key.id()).unwrap();
    let link = dialling.connect(address).unwrap();
    let connection = stranger.runtime.block_on(async {
        let connection = endpoint.accept().await.unwrap().await.unwrap();
        let control = connection.accept_uni().await.unwrap();
        (connection, control)
    });
    // Its tasks are gone before its handles are, so that nobody can say goodbye.
    stranger.runtime.shutdown_timeout(LONG);
    drop((connection, endpoint));

    let mut back = Fake::new(2);
    Arc::get_mut(&mut back).unwrap().key = stranger.key;
    let mut listening = None;
    until("the port is free", || {
        let network = Network::over(
            Arc::clone(&back) as Arc<dyn Replica>,
            NetworkOptions::listen(([127, 0, 0, 1], port).into()),
        );
        listening = network.ok();
        listening.is_some()
    });
    until("it is noticed", || link.status().last_error.is_some());
    assert_eq!(link.status().last_error.unwrap(), "the peer was restarted");
    a.write(b"x");
    until("and spoken to again", || back.count() == 1);
}
