//! How a connection, or an attempt at one, ended: in words for people, and whether it is
//! worth trying again soon.

use quinn::{Connection, ConnectionError, TransportErrorCode, VarInt};

use crate::sync::message::{CloseCode, GOODBYE};

/// TLS alerts that we can tell what to do about, as QUIC numbers them (RFC 9001, 4.8).
const ACCESS_DENIED: u64 = 0x100 + 49;
const CERTIFICATE_REQUIRED: u64 = 0x100 + 116;
const NO_APPLICATION_PROTOCOL: u64 = 0x100 + 120;

/// How a connection or an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ending {
    /// What the session or the other side says, for programs.
    pub(super) code: CloseCode,
    /// Why, for people.
    pub(super) reason: String,
    /// Whether the other side said so, not we.
    pub(super) by_peer: bool,
    /// Whether one of the two does not want the other, so that somebody has to do something.
    pub(super) refused: bool,
}

/// How a goodbye of the peer is told.
const LEFT: &str = "the peer left: it was stopped, or its links were cut on purpose";

impl Ending {
    /// As a session says.
    pub(super) fn said(code: CloseCode, mut reason: String, by_peer: bool) -> Ending {
        if by_peer && code == CloseCode::Done && reason == GOODBYE {
            // Told as it is, that would be said here of this one.
            reason = LEFT.to_owned();
        }
        let refused = matches!(
            code,
            CloseCode::Version | CloseCode::Network | CloseCode::Ticket | CloseCode::Stranger
        );
        Ending { code, reason, by_peer, refused }
    }

    /// Without a word: the network, the peer's machine, or a defect.
    pub(super) fn broken(reason: impl Into<String>) -> Ending {
        Ending { code: CloseCode::Gone, reason: reason.into(), by_peer: false, refused: false }
    }

    /// Because of one of the two keys.
    pub(super) fn refused(reason: impl Into<String>, by_peer: bool) -> Ending {
        Ending { code: CloseCode::Gone, reason: reason.into(), by_peer, refused: true }
    }

    /// As the connection says.
    pub(super) fn lost(error: &ConnectionError) -> Ending {
        match error {
            ConnectionError::ApplicationClosed(close) => {
                let code = u8::try_from(close.error_code.into_inner()).unwrap_or(u8::MAX);
                let reason = String::from_utf8_lossy(&close.reason).into_owned();
                Ending::said(CloseCode::from_byte(code), reason, true)
            }
            ConnectionError::ConnectionClosed(close) => Ending::alert(close.error_code, true)
                .unwrap_or_else(|| Ending::broken(format!("the peer's QUIC closed: {close}"))),
            ConnectionError::TransportError(fault) => Ending::alert(fault.code, false)
                .unwrap_or_else(|| {
                    Ending::said(CloseCode::Protocol, format!("QUIC: {fault}"), false)
                }),
            ConnectionError::TimedOut => Ending::broken(
                "no answer: the peer is not running, not reachable, or a firewall drops UDP",
            ),
            ConnectionError::Reset => Ending::broken("the peer was restarted"),
            ConnectionError::VersionMismatch => {
                Ending::refused("the peer speaks another version of QUIC", true)
            }
            ConnectionError::LocallyClosed | ConnectionError::CidsExhausted => {
                Ending::broken(format!("the connection ended: {error}"))
            }
        }
    }

    fn alert(code: TransportErrorCode, by_peer: bool) -> Option<Ending> {
        let reason = match (u64::from(code), by_peer) {
            (ACCESS_DENIED, true) => {
                "the peer does not trust this node's key (any more): trust it there, or, with a roster, grant it rights"
            }
            (ACCESS_DENIED, false) => {
                "who answers at this address is another node: it has not the expected key"
            }
            (CERTIFICATE_REQUIRED, true) => "the peer requires a key",
            (NO_APPLICATION_PROTOCOL, _) => {
                "what answers at this address is no Littoral node, or one of another version"
            }
            _ => return None,
        };
        let mut ending = Ending::refused(reason, by_peer);
        if (u64::from(code), by_peer) == (ACCESS_DENIED, true) {
            ending.code = CloseCode::Stranger;
        }
        Some(ending)
    }

    /// Closes the connection with what the peer may know. Why our own store failed may name
    /// files and belongs to its owner.
    pub(super) fn close(&self, connection: &Connection) {
        let told = match self.code {
            CloseCode::StoreFailed => "the store of the other node failed",
            _ => &self.reason,
        };
        connection.close(VarInt::from_u32(self.code.to_byte().into()), told.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_network_or_version_is_a_refusal_and_a_goodbye_is_not() {
        let refused = |code| Ending::said(code, String::new(), true).refused;
        assert!(refused(CloseCode::Version) && refused(CloseCode::Network));
        assert!(refused(CloseCode::Ticket) && refused(CloseCode::Stranger));
        assert!(!refused(CloseCode::Done) && !refused(CloseCode::StoreFailed));
    }

    #[test]
    fn a_silent_peer_is_worth_another_attempt() {
        assert!(!Ending::lost(&ConnectionError::TimedOut).refused);
        assert!(!Ending::lost(&ConnectionError::Reset).refused);
    }
}
