//! A peer that speaks the protocol by hand: any bytes on any stream, and transactions that are
//! genuine, forged or worse. It waits for what the node says, and never for a time.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use littoral::clock::Timestamp;
use littoral::crdt::{DocOps, Op, key};
use littoral::id::{Dot, Hash, Head, Origin, Position, Seq, ShortHash, Vector};
use littoral::sync::door::Offence;
use littoral::sync::message::{CloseCode, Control, Hello, PROTOCOL_VERSION, Tail};
use littoral::txn::{NetworkId, NodeKey, Scope, Signed, Txn};
use littoral::{NodeId, Path};
use quinn::{Connection, ConnectionError, Endpoint, RecvStream, SendStream, VarInt};
use tokio::sync::watch;
use tokio::time::timeout;

use super::quic::{LONG, Manner, dial, endpoint};

/// The network of stores that were told no other.
pub(crate) fn network() -> NetworkId {
    NetworkId::named("default")
}

pub(crate) fn origin(node: NodeId) -> Origin {
    Origin { node, incarnation: 0 }
}

/// A link of an attacker. Dropping it ends it.
pub(crate) struct Speaker {
    pub(crate) connection: Connection,
    pub(crate) control: SendStream,
    said: watch::Sender<Said>,
    _endpoint: Endpoint,
}

impl Drop for Speaker {
    fn drop(&mut self) {
        self.connection.close(VarInt::from_u32(0), b"");
    }
}

/// What the node has said on a link.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// The collections of which it has said what it holds.
    pub(crate) haves: BTreeMap<String, Vector>,
    /// How often it has said so.
    pub(crate) asked: BTreeMap<String, usize>,
    /// The positions that it has acknowledged last.
    pub(crate) acked: BTreeMap<String, u64>,
    /// The collections that it has halted, and why.
    pub(crate) halts: BTreeMap<String, Offence>,
    /// Where histories differ, by collection.
    pub(crate) differs: BTreeMap<String, Vec<Dot>>,
    /// The digest of its roster.
    pub(crate) roster: Option<Hash>,
    /// How many statements it said to know, each time.
    pub(crate) known: Vec<usize>,
    /// How often it told statements.
    pub(crate) told: u64,
}

impl Said {
    fn hear(&mut self, message: Control) {
        match message {
            Control::Have { collection, vector } => {
                *self.asked.entry(collection.clone()).or_default() += 1;
                self.haves.insert(collection, vector);
            }
            Control::Ack { collection, position } => {
                self.acked.insert(collection, position.0);
            }
            Control::Halt { collection, offence, .. } => {
                self.halts.insert(collection, offence);
            }
            Control::Differs { collection, from, .. } => {
                self.differs.entry(collection).or_default().push(from);
            }
            Control::Roster { digest, .. } => self.roster = Some(digest),
            Control::Known { hashes } => self.known.push(hashes.len()),
            Control::Statements { .. } => self.told += 1,
            _ => {}
        }
    }
}

impl Speaker {
    /// Connects, and says nothing yet.
    pub(crate) async fn silent(to: SocketAddr, manner: Manner) -> Speaker {
        let endpoint = endpoint();
        let connection = dial(&endpoint, to, &manner).await.expect("a member is let in");
        let control = connection.open_uni().await.unwrap();
        Speaker { connection, control, said: watch::Sender::default(), _endpoint: endpoint }
    }

    /// Connects and says hello.
    pub(crate) async fn greet(to: SocketAddr, manner: Manner) -> Speaker {
        let mut speaker = Speaker::silent(to, manner).await;
        speaker.say(&hello()).await;
        speaker
    }

    /// The same, and reads all that the node says, to no end.
    pub(crate) async fn listen(to: SocketAddr, manner: Manner) -> Speaker {
        let speaker = Speaker::greet(to, manner).await;
        let (connection, said) = (speaker.connection.clone(), speaker.said.clone());
        tokio::spawn(async move {
            while let Ok(mut stream) = connection.accept_uni().await {
                let said = said.clone();
                tokio::spawn(async move {
                    if stream.id().index() == 0 {
                        return read(stream, &said).await;
                    }
                    while let Ok(Some(_)) = stream.read_chunk(1 << 20, true).await {}
                });
            }
        });
        speaker
    }

    /// Waits until the node has said something.
    pub(crate) async fn until(&self, what: &str, holds: impl FnMut(&Said) -> bool) {
        assert!(self.hears(what, holds).await, "{what}: {:?}", self.connection.close_reason());
    }

    /// The same, or until the link ends; whether the node has said it.
    pub(crate) async fn hears(&self, what: &str, mut holds: impl FnMut(&Said) -> bool) -> bool {
        let mut said = self.said.subscribe();
        tokio::select! {
            biased;
            heard = timeout(LONG, said.wait_for(|said| holds(said))) => {
                heard.unwrap_or_else(|_| panic!("still not said: {what}")).is_ok()
            }
            _ = self.connection.closed() => false,
        }
    }

    /// Something that the node has said.
    pub(crate) fn heard<T>(&self, look: impl FnOnce(&Said) -> T) -> T {
        look(&self.said.borrow())
    }

    /// Waits until the node has applied, durably, what came before a position.
    pub(crate) async fn acked(&self, collection: &str, position: u64) {
        let acked = |said: &Said| said.acked.get(collection).is_some_and(|at| *at >= position);
        self.until("the node acknowledges", acked).await;
    }

    /// Asks the node something that it answers: whether it is still there for this link.
    pub(crate) async fn is_answered(&mut self) -> bool {
        let told = self.heard(|said| said.told);
        self.say(&Control::Known { hashes: Vec::new() }).await
            && self.hears("the node answers", |said| said.told > told).await
    }

    /// How a link ends on which nothing was a breach: the node still answers.
    pub(crate) async fn stays(&mut self, how: &str) -> String {
        assert!(self.is_answered().await, "{how}: {:?}", self.connection.close_reason());
        how.to_owned()
    }

    /// Says it; whether the node still listens.
    pub(crate) async fn say(&mut self, message: &Control) -> bool {
        self.shout(&message.to_frame()).await
    }

    pub(crate) async fn shout(&mut self, bytes: &[u8]) -> bool {
        write(&mut self.control, bytes).await
    }

    /// One more stream, if the link is up.
    pub(crate) async fn stream(&self) -> Option<SendStream> {
        timeout(LONG, self.connection.open_uni()).await.expect("room for a stream").ok()
    }

    /// A tail of a collection, once the node has said what it holds of that: before it has, a tail
    /// is a breach. It says so unasked if it holds something, and else when it hears what we hold.
    pub(crate) async fn tail(&mut self, collection: &str) -> SendStream {
        self.say(&have(collection, Vector::new())).await;
        self.begin(collection).await
    }

    /// The same, by who has said already what it holds.
    pub(crate) async fn begin(&mut self, collection: &str) -> SendStream {
        let has_said = |said: &Said| said.haves.contains_key(collection);
        self.until("the node says what it holds", has_said).await;
        let mut stream = self.stream().await.expect("the node is there");
        write(&mut stream, &Tail::Tail { collection: collection.to_owned() }.to_frame()).await;
        stream
    }

    /// How the node ends the link, in words, and that it does.
    pub(crate) async fn ended(&self) -> (CloseCode, String) {
        match timeout(LONG, self.connection.closed()).await.expect("the node ends the link") {
            ConnectionError::ApplicationClosed(close) => {
                let code = u8::try_from(close.error_code.into_inner()).unwrap();
                let reason = String::from_utf8_lossy(&close.reason).into_owned();
                (CloseCode::from_byte(code), reason)
            }
            other => panic!("the link ended otherwise: {other}"),
        }
    }

    /// Whether the node has not ended the link.
    pub(crate) fn is_up(&self) -> bool {
        self.connection.close_reason().is_none()
    }
}

/// Takes note of what the node says, to the end of the link.
async fn read(mut control: RecvStream, said: &watch::Sender<Said>) {
    let mut length = [0; 4];
    while control.read_exact(&mut length).await.is_ok() {
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        if control.read_exact(&mut frame).await.is_err() {
            return;
        }
        let message = Control::from_frame(&frame).expect("the node speaks the protocol");
        said.send_modify(|said| said.hear(message));
    }
}

/// Writes; whether the other side still takes it.
pub(crate) async fn write(stream: &mut SendStream, bytes: &[u8]) -> bool {
    timeout(LONG, stream.write_all(bytes)).await.is_ok_and(|written| written.is_ok())
}

pub(crate) fn hello() -> Control {
    Control::Hello(said_hello())
}

/// The hello of who holds nothing and wants all.
pub(crate) fn said_hello() -> Hello {
    Hello {
        version: PROTOCOL_VERSION,
        network: network().0,
        collections: BTreeMap::new(),
        wanted: None,
        unpacks: false,
    }
}

pub(crate) fn have(collection: &str, vector: Vector) -> Control {
    Control::Have { collection: collection.to_owned(), vector }
}

/// A vector that names so many origins that nobody ever heard of.
pub(crate) fn invented(origins: u32) -> Vector {
    let head = Head { seq: 1, hash: ShortHash([7; 16]) };
    (0..origins)
        .map(|n| (Origin { node: NodeId::from_bytes([9; 32]), incarnation: n }, head))
        .collect()
}

/// A frame of transactions.
pub(crate) fn txns(position: u64, txns: &[&Signed]) -> Vec<u8> {
    let txn = |signed: &&Signed| littoral::sync::message::Txn {
        dot: signed.txn.dot,
        bytes: signed.bytes.to_vec(),
    };
    let txns = txns.iter().map(txn).collect();
    Tail::Txns { position: Position(position), txns }.to_frame()
}

/// An author who writes what it likes.
pub(crate) struct Author {
    pub(crate) key: NodeKey,
    pub(crate) as_origin: Origin,
    collection: String,
    newest: (Seq, Hash),
}

impl Author {
    pub(crate) fn new(key: &NodeKey, collection: &str) -> Author {
        let (as_origin, collection) = (origin(key.id()), collection.to_owned());
        Author { key: key.clone(), as_origin, collection, newest: (0, Hash::default()) }
    }

    /// The document that a transaction of this number writes: no other author does.
    pub(crate) fn document(&self, seq: Seq) -> String {
        format!("{}-{seq}", self.key.id().short())
    }

    /// The next transaction, which puts so many bytes.
    pub(crate) fn write(&mut self, bytes: usize) -> Signed {
        self.write_at(Timestamp::from_millis(1_700_000_000_000), bytes)
    }

    pub(crate) fn write_at(&mut self, time: Timestamp, bytes: usize) -> Signed {
        let signed = self.alternative(time, bytes);
        self.newest = (signed.txn.dot.seq, signed.hash);
        signed
    }

    /// A transaction under the same number as the next one.
    pub(crate) fn alternative(&self, time: Timestamp, bytes: usize) -> Signed {
        let seq = self.newest.0 + 1;
        let field = key::slot(&key::prefix(&Path::root().child("v")), key::Slot::Register);
        let ops = vec![Op::Put { key: field, value: text(bytes) }];
        let docs = vec![DocOps { id: self.document(seq), ops }];
        let dot = Dot { origin: self.as_origin, seq };
        let txn = Txn { dot, prev: self.newest.1, time, deps: Vec::new(), docs };
        let scope = Scope { network: network(), collection: &self.collection };
        Signed::sign(txn, scope, &self.key).unwrap()
    }
}

/// The canonical bytes of a text.
fn text(bytes: usize) -> Vec<u8> {
    let header = match bytes {
        0..=31 => vec![0xa0 | bytes as u8],
        32..=255 => vec![0xd9, bytes as u8],
        256..=65_535 => [&[0xda][..], &(bytes as u16).to_be_bytes()].concat(),
        _ => [&[0xdb][..], &(bytes as u32).to_be_bytes()].concat(),
    };
    [header, vec![b'x'; bytes]].concat()
}
