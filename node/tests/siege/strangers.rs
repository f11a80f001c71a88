//! What anybody can try who can send packets.

use std::net::Ipv4Addr;

use littoral::txn::NodeKey;
use quinn::Connection;
use tokio::net::UdpSocket;

use super::Attack;
use super::quic::{Manner, begin_handshake, dial, endpoint};

/// Packets that are no QUIC.
pub(crate) async fn noise(attack: Attack) -> String {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let mut packet = vec![0; 1200];
    while attack.goes_on(20_000) {
        let n = attack.tried();
        packet[0] = n as u8;
        packet[1..9].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        let _ = socket.send_to(&packet, attack.at).await;
    }
    "dropped".to_owned()
}

/// Handshakes that are begun and left: some show that the address is theirs, some do not.
pub(crate) async fn unfinished(attack: Attack) -> String {
    let from = endpoint();
    let mut left = Vec::new();
    while attack.goes_on(160) {
        let n = attack.tried();
        let key = NodeKey::from_seed([7; 32]);
        left.push(begin_handshake(&from, attack.at, Manner::with(key), n.is_multiple_of(2)).await);
        if left.len() > 400 {
            left.drain(..200);
        }
    }
    "made room".to_owned()
}

/// Whole handshakes with keys that nobody knows.
pub(crate) async fn unknown(attack: Attack) -> String {
    let from = endpoint();
    while attack.goes_on(100) {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&attack.tried().to_be_bytes());
        seed[8] = 1;
        let refused = dial(&from, attack.at, &Manner::with(NodeKey::from_seed(seed))).await;
        told(refused).await;
    }
    "refused by TLS".to_owned()
}

/// No key at all, and another protocol.
pub(crate) async fn other_protocols(attack: Attack) -> String {
    let from = endpoint();
    while attack.goes_on(20) {
        let mut manner = Manner::with(NodeKey::from_seed([8; 32]));
        match attack.tried() % 2 {
            0 => manner.key = None,
            _ => manner.protocol = b"h3",
        }
        told(dial(&from, attack.at, &manner).await).await;
    }
    "refused by TLS".to_owned()
}

/// The client's side of TLS may be through before the node's answer is here.
async fn told(dialled: Result<Connection, quinn::ConnectionError>) {
    if let Ok(connection) = dialled {
        let ended = tokio::time::timeout(super::quic::LONG, connection.closed()).await;
        ended.expect("a stranger is not let in");
    }
}
