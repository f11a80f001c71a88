//! Joining: the exchange by which a node with a ticket becomes a member, before it may say or
//! hear anything else.
//!
//! It has a connection of its own, which both sides know for what it is from the start, and that
//! ends with it: no session ever runs over one. Each side sends one control stream and on it one
//! message, framed as all control messages are:
//!
//! | type | message | body |
//! | --- | --- | --- |
//! | 13 | `Join` | u16 protocol version, 16 network, 16 secret, founder of the guest's roster: `00`, or `01` and 32, bytes name (UTF-8) |
//! | 14 | `Welcome` | 32 founder, bytes name of the inviter (UTF-8), rights as in a grant, uint n, n × bytes (a statement of the roster) |
//! | 4 | `Bye` | as ever |
//!
//! ```text
//!   guest                         host
//!     Join ──────────────────────▶ decides, durably
//!     ◀─────────────── Welcome or Bye
//! ```
//!
//! Invariants: the host says nothing before it has heard a whole `Join`, and then one message.
//! Whoever shows no valid secret hears the same, whatever is wrong with it. Bytes of a peer never
//! panic and take no memory beyond [`MAX_JOIN_BYTES`] or [`MAX_WELCOME_BYTES`].
//!
//! Does not know: sockets, clocks, who may join.

use super::framing::Framer;
use super::message::{CloseCode, PROTOCOL_VERSION, frame, protocol, read_reason, shorten, unknown};
use crate::error::{Error, Result};
use crate::id::NodeId;
use crate::limits::{MAX_JOIN_BYTES, MAX_MEMBER_NAME_BYTES, MAX_WELCOME_BYTES};
use crate::txn::NetworkId;
use crate::txn::joining::{JoinRefusal, JoinRequest, Welcome};
use crate::txn::roster::{put_rights, read_rights};
use crate::txn::ticket::TicketSecret;
use crate::wire::{Reader, put_bytes, put_uint};

const BYE: u8 = 4;
const JOIN: u8 = 13;
const WELCOME: u8 = 14;

/// What everybody hears who shows no valid secret.
pub const NO_TICKET: &str = "the ticket lets this node in no more, or never did: it is wrong, \
     used, expired or revoked; ask for a new one";

/// A message of the exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// "Let me in": the only one of the guest.
    Join {
        /// The version of the protocol that it speaks. Of another nothing else is read.
        version: u16,
        /// What it shows; `None` of another version.
        request: Option<JoinRequest>,
    },
    /// "You are in."
    Welcome(Welcome),
    /// "You are not."
    Bye {
        /// Why, for programs.
        code: CloseCode,
        /// Why, for people.
        reason: String,
    },
}

impl Message {
    /// The frame of this message.
    pub fn to_frame(&self) -> Vec<u8> {
        match self {
            Message::Join { version, request } => frame(JOIN, |out| {
                out.extend_from_slice(&version.to_be_bytes());
                if let Some(request) = request {
                    put_request(out, request);
                }
            }),
            Message::Welcome(welcome) => frame(WELCOME, |out| {
                out.extend_from_slice(welcome.founder.as_bytes());
                put_bytes(out, welcome.inviter.as_bytes());
                put_rights(out, &welcome.rights);
                put_uint(out, welcome.statements.len() as u64);
                welcome.statements.iter().for_each(|statement| put_bytes(out, statement));
            }),
            Message::Bye { code, reason } => frame(BYE, |out| {
                out.push(code.to_byte());
                put_bytes(out, shorten(reason).as_bytes());
            }),
        }
    }

    /// The message of a frame, type first.
    pub fn from_frame(bytes: &[u8]) -> Result<Message> {
        let mut reader = Reader::new(bytes, "message of joining");
        let message = read(&mut reader).map_err(protocol)?;
        match message {
            Message::Join { request: None, .. } => {}
            _ => reader.end().map_err(protocol)?,
        }
        Ok(message)
    }
}

fn put_request(out: &mut Vec<u8>, request: &JoinRequest) {
    out.extend_from_slice(&request.network.0);
    out.extend_from_slice(request.secret.as_bytes());
    match &request.founder {
        None => out.push(0),
        Some(founder) => {
            out.push(1);
            out.extend_from_slice(founder.as_bytes());
        }
    }
    put_bytes(out, request.name.as_bytes());
}

fn read(reader: &mut Reader<'_>) -> Result<Message> {
    Ok(match reader.u8()? {
        JOIN => {
            let version = u16::from_be_bytes(reader.array()?);
            let known = version == PROTOCOL_VERSION;
            Message::Join { version, request: known.then(|| read_request(reader)).transpose()? }
        }
        WELCOME => Message::Welcome(Welcome {
            founder: NodeId::from_bytes(reader.array()?),
            inviter: read_member_name(reader)?,
            rights: read_rights(reader)?,
            statements: read_statements(reader)?,
        }),
        BYE => {
            let code = CloseCode::from_byte(reader.u8()?);
            Message::Bye { code, reason: read_reason(reader)? }
        }
        kind => return Err(unknown(kind, "control")),
    })
}

fn read_statements(reader: &mut Reader<'_>) -> Result<Vec<Vec<u8>>> {
    let count = reader.count()?;
    (0..count).map(|_| reader.bytes().map(<[u8]>::to_vec)).collect()
}

fn read_request(reader: &mut Reader<'_>) -> Result<JoinRequest> {
    let network = NetworkId(reader.array()?);
    let secret = TicketSecret::from_bytes(reader.array()?);
    let founder = match reader.u8()? {
        0 => None,
        1 => Some(NodeId::from_bytes(reader.array()?)),
        _ => return Err(reader.bad("neither a founder nor none")),
    };
    Ok(JoinRequest { secret, network, founder, name: read_member_name(reader)? })
}

fn read_member_name(reader: &mut Reader<'_>) -> Result<String> {
    let name = reader.str()?;
    match name.len() > MAX_MEMBER_NAME_BYTES || name.chars().any(char::is_control) {
        true => Err(reader.bad("a name that is too long or not of printable characters")),
        false => Ok(name.to_owned()),
    }
}

/// Why the exchange is over without anybody having joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parting {
    /// Why, for programs.
    pub code: CloseCode,
    /// Why, for people, on both sides.
    pub reason: String,
}

impl Parting {
    fn new(code: CloseCode, reason: impl Into<String>) -> Parting {
        Parting { code, reason: reason.into() }
    }

    /// What the other side is told.
    pub fn to_frame(&self) -> Vec<u8> {
        Message::Bye { code: self.code, reason: self.reason.clone() }.to_frame()
    }
}

impl From<Error> for Parting {
    fn from(error: Error) -> Parting {
        Parting::new(CloseCode::Protocol, error.message())
    }
}

/// The side that wants to join.
#[derive(Debug)]
pub struct Guest {
    framer: Framer,
}

impl Guest {
    /// What it says, and who listens for the answer.
    pub fn begin(request: JoinRequest) -> (Vec<u8>, Guest) {
        let join = Message::Join { version: PROTOCOL_VERSION, request: Some(request) };
        (join.to_frame(), Guest { framer: Framer::new(MAX_WELCOME_BYTES) })
    }

    /// Bytes of the host: its answer, when all of it is here.
    pub fn hear(&mut self, bytes: &[u8]) -> Option<std::result::Result<Welcome, Parting>> {
        Some(match next(&mut self.framer, bytes) {
            Ok(None) => return None,
            Ok(Some(Message::Welcome(welcome))) => Ok(welcome),
            Ok(Some(Message::Bye { code, reason })) => Err(Parting::new(code, reason)),
            Ok(Some(Message::Join { .. })) => {
                Err(Parting::new(CloseCode::Protocol, "the other side wants to join, too"))
            }
            Err(parting) => Err(parting),
        })
    }
}

/// The side that has made the ticket.
#[derive(Debug)]
pub struct Host {
    us: NodeId,
    guest: NodeId,
    framer: Framer,
}

impl Host {
    /// For a guest that has proved this key.
    pub fn new(us: NodeId, guest: NodeId) -> Host {
        Host { us, guest, framer: Framer::new(MAX_JOIN_BYTES) }
    }

    /// Bytes of the guest: what it shows, when all of it is here.
    pub fn hear(&mut self, bytes: &[u8]) -> Option<std::result::Result<JoinRequest, Parting>> {
        Some(match next(&mut self.framer, bytes) {
            Ok(None) => return None,
            Ok(Some(Message::Join { request: Some(request), .. })) => Ok(request),
            Ok(Some(Message::Join { version, .. })) => Err(self.other_version(version)),
            Ok(Some(Message::Bye { code, reason })) => Err(Parting::new(code, reason)),
            Ok(Some(Message::Welcome(_))) => {
                Err(Parting::new(CloseCode::Protocol, "the first message is not a join"))
            }
            Err(parting) => Err(parting),
        })
    }

    /// What the guest is told: of all that is wrong with a ticket the same.
    pub fn answer(
        &self,
        decided: std::result::Result<Welcome, JoinRefusal>,
    ) -> std::result::Result<Welcome, Parting> {
        decided.map_err(|refusal| match refusal {
            JoinRefusal::Unknown
            | JoinRefusal::Expired
            | JoinRefusal::Used
            | JoinRefusal::Revoked
            | JoinRefusal::Former => Parting::new(CloseCode::Ticket, NO_TICKET),
            JoinRefusal::Elsewhere => Parting::new(
                CloseCode::Network,
                "the store belongs to another network or roster, or is that of the inviter \
                 itself: join with a new store",
            ),
            JoinRefusal::NotAdmin => Parting::new(
                CloseCode::Ticket,
                "whoever made the ticket may not give these rights any more; ask another admin",
            ),
        })
    }

    fn other_version(&self, theirs: u16) -> Parting {
        let ours = PROTOCOL_VERSION;
        let older = if theirs > ours { self.us } else { self.guest };
        Parting::new(
            CloseCode::Version,
            format!(
                "node {} speaks version {theirs} of the sync protocol and node {} version {ours}: \
                 upgrade littoral on node {}",
                self.guest.short(),
                self.us.short(),
                older.short()
            ),
        )
    }
}

/// The first message, when all of it is here; what comes after it is not looked at.
fn next(framer: &mut Framer, bytes: &[u8]) -> std::result::Result<Option<Message>, Parting> {
    framer.push(bytes);
    let Some(frame) = framer.next()? else { return Ok(None) };
    Ok(Some(Message::from_frame(&frame)?))
}
