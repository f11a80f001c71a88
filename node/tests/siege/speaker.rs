//! A peer that speaks the protocol by hand: any bytes on any stream, and transactions that are
//! genuine, forged or worse.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use littoral::clock::Timestamp;
use littoral::crdt::{DocOps, Op, key};
use littoral::id::{Dot, Hash, Head, Origin, Position, Seq, ShortHash, Vector};
use littoral::sync::message::{CloseCode, Control, Hello, PROTOCOL_VERSION, Tail};
use littoral::txn::{NetworkId, NodeKey, Scope, Signed, Txn};
use littoral::{NodeId, Path};
use quinn::{Connection, ConnectionError, Endpoint, RecvStream, SendStream};
use tokio::time::timeout;

use super::quic::{LONG, Manner, dial, endpoint};

/// The network of stores that were told no other.
pub(crate) fn network() -> NetworkId {
    NetworkId::named("default")
}

pub(crate) fn origin(node: NodeId) -> Origin {
    Origin { node, incarnation: 0 }
}

/// A link of an attacker.
pub(crate) struct Speaker {
    pub(crate) connection: Connection,
    pub(crate) control: SendStream,
    pub(crate) heard: Arc<Heard>,
    _endpoint: Endpoint,
}

impl Speaker {
    /// Connects, and says nothing yet.
    pub(crate) async fn silent(to: SocketAddr, manner: Manner) -> Speaker {
        let endpoint = endpoint();
        let connection = dial(&endpoint, to, &manner).await.expect("a member is let in");
        let control = connection.open_uni().await.unwrap();
        Speaker { connection, control, heard: Arc::default(), _endpoint: endpoint }
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
        let (connection, heard) = (speaker.connection.clone(), Arc::clone(&speaker.heard));
        tokio::spawn(async move {
            while let Ok(mut stream) = connection.accept_uni().await {
                let heard = Arc::clone(&heard);
                tokio::spawn(async move {
                    if stream.id().index() == 0 {
                        return heard.read(stream).await;
                    }
                    while let Ok(Some(_)) = stream.read_chunk(1 << 20, true).await {}
                });
            }
        });
        speaker
    }

    /// Says it; whether the node still listens.
    pub(crate) async fn say(&mut self, message: &Control) -> bool {
        self.shout(&message.to_frame()).await
    }

    pub(crate) async fn shout(&mut self, bytes: &[u8]) -> bool {
        write(&mut self.control, bytes).await
    }

    /// A stream that the node asked for by its own `Have`, or did not.
    pub(crate) async fn stream(&self) -> Option<SendStream> {
        timeout(LONG, self.connection.open_uni()).await.expect("room for a stream").ok()
    }

    /// A tail of a collection: the node has to say what it holds first, so it hears ours before.
    pub(crate) async fn tail(&mut self, collection: &str) -> SendStream {
        self.say(&have(collection, Vector::new())).await;
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

/// What an attacker takes note of.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// The position that the node has acknowledged last.
    pub(crate) acked: AtomicU64,
    /// The digest of its roster.
    pub(crate) roster: Mutex<Option<Hash>>,
}

impl Heard {
    async fn read(&self, mut control: RecvStream) {
        let mut length = [0; 4];
        while control.read_exact(&mut length).await.is_ok() {
            let mut frame = vec![0; u32::from_be_bytes(length) as usize];
            if control.read_exact(&mut frame).await.is_err() {
                return;
            }
            match Control::from_frame(&frame).expect("the node speaks the protocol") {
                Control::Ack { position, .. } => self.acked.store(position.0, Ordering::Relaxed),
                Control::Roster { digest, .. } => *self.roster.lock().unwrap() = Some(digest),
                _ => {}
            }
        }
    }
}

/// Writes; whether the other side still takes it.
pub(crate) async fn write(stream: &mut SendStream, bytes: &[u8]) -> bool {
    timeout(LONG, stream.write_all(bytes)).await.is_ok_and(|written| written.is_ok())
}

pub(crate) fn hello() -> Control {
    Control::Hello(Hello {
        version: PROTOCOL_VERSION,
        network: network().0,
        collections: BTreeMap::new(),
        wanted: None,
        unpacks: false,
    })
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
        let docs = vec![DocOps { id: format!("d{seq}"), ops }];
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
