//! A ticket: one line of text by which another machine finds a node, knows it, and may join.
//!
//! `littoral1` and lower-case base32 (RFC 4648, without padding) of:
//!
//! | part | bytes |
//! | --- | --- |
//! | version | 1: `01` |
//! | network | 16 |
//! | inviter | 32: its node key |
//! | secret | 16 |
//! | expires | 8, big-endian: Unix milliseconds, by the inviter's clock |
//! | addresses | count; each: length and text, `host:port` |
//! | checksum | 4: of BLAKE3-derive-key("littoral v1 ticket", all before) |
//!
//! It may be typed: upper case is read too, as QR codes hold it, and so is a text that was
//! broken into lines. One that was mistyped is refused.
//!
//! Invariants: one content has one text, up to case and white space. `Debug` never shows the
//! secret; `Display` is the ticket itself and the only way out for it.
//!
//! Does not know: who may invite, what a ticket gives, how anybody is reached.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;

use super::NetworkId;
use crate::error::{Error, ErrorKind, Result};
use crate::id::NodeId;
use crate::limits::{MAX_HOST_BYTES, MAX_TICKET_ADDRESSES, MAX_TICKET_CHARS};
use crate::wire::{Reader, put_bytes, put_uint};

const PREFIX: &str = "littoral1";
const VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 4;
const CHECKSUM_CONTEXT: &str = "littoral v1 ticket";
const ID_CONTEXT: &str = "littoral v1 invite";
/// Of an address: a host, IPv6 in brackets, and a port.
const MAX_ADDRESS_BYTES: usize = MAX_HOST_BYTES + 8;

/// What whoever joins has to show. Never shown by `Debug`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TicketSecret([u8; Self::BYTES]);

impl TicketSecret {
    /// Bytes of a secret.
    pub const BYTES: usize = 16;

    /// From these bytes, which nobody can guess.
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> TicketSecret {
        TicketSecret(bytes)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// The name of the invitation that it belongs to, from which it can't be told.
    pub fn invite(&self) -> InviteId {
        InviteId(blake3::derive_key(ID_CONTEXT, &self.0))
    }
}

impl fmt::Debug for TicketSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketSecret(..)")
    }
}

/// Names an invitation: a hash of the secret of its ticket. Written as 52 lower-case base32
/// characters, of which the first some are enough for people.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InviteId([u8; 32]);

impl InviteId {
    /// From its bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> InviteId {
        InviteId(bytes)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether both are the same, in a time that does not tell how much of them is.
    pub fn is_same(&self, other: &InviteId) -> bool {
        blake3::Hash::from(self.0) == blake3::Hash::from(other.0)
    }

    /// The first ten characters, for people.
    pub fn short(&self) -> String {
        self.to_string()[..10].to_owned()
    }
}

impl fmt::Display for InviteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE32_NOPAD.encode(&self.0).to_ascii_lowercase())
    }
}

impl FromStr for InviteId {
    type Err = Error;

    fn from_str(text: &str) -> Result<InviteId> {
        let bytes = BASE32_NOPAD.decode(text.trim().to_ascii_uppercase().as_bytes()).ok();
        bytes.and_then(|bytes| bytes.try_into().ok()).map(InviteId).ok_or_else(|| {
            Error::invalid(
                "the name of an invitation has 52 letters and digits, as `littoral invites --json` \
                 prints it",
            )
        })
    }
}

impl fmt::Debug for InviteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

/// Whom to join, where it is, and what lets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The network to belong to.
    pub network: NetworkId,
    /// The key that whoever answers must prove to hold.
    pub inviter: NodeId,
    /// What lets in.
    pub secret: TicketSecret,
    /// Until when, by the inviter's clock, in Unix milliseconds.
    pub expires_ms: u64,
    /// Where the inviter may be reached, `host:port`, the likeliest first.
    pub addresses: Vec<String>,
}

impl Ticket {
    /// Checks what a ticket can't hold.
    ///
    /// Errors: [`ErrorKind::InvalidInput`] for an address that is none, or for none or too many.
    pub fn check(&self) -> Result<()> {
        match self.addresses.len() {
            0 => Err(Error::invalid(
                "a ticket names at least one address: listen before it is made, or say where this \
                 node is reached",
            )),
            n if n > MAX_TICKET_ADDRESSES => Err(Error::invalid(format!(
                "a ticket names at most {MAX_TICKET_ADDRESSES} addresses, not {n}"
            ))),
            _ => self.addresses.iter().try_for_each(|address| check_address(address)),
        }
    }

    /// The text for a QR code, which holds upper case in less room.
    pub fn to_qr_text(&self) -> String {
        self.to_string().to_ascii_uppercase()
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(&self.network.0);
        out.extend_from_slice(self.inviter.as_bytes());
        out.extend_from_slice(&self.secret.0);
        out.extend_from_slice(&self.expires_ms.to_be_bytes());
        put_uint(&mut out, self.addresses.len() as u64);
        self.addresses.iter().for_each(|address| put_bytes(&mut out, address.as_bytes()));
        let sum = checksum(&out);
        out.extend_from_slice(&sum);
        out
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", BASE32_NOPAD.encode(&self.encode()).to_ascii_lowercase())
    }
}

impl FromStr for Ticket {
    type Err = Error;

    fn from_str(text: &str) -> Result<Ticket> {
        let text = tidied(text)?;
        let body = text.strip_prefix(&PREFIX.to_ascii_uppercase()).ok_or_else(|| {
            Error::invalid(format!(
                "this is no ticket: one begins with {PREFIX}, as `littoral invite` prints it"
            ))
        })?;
        let bytes = BASE32_NOPAD.decode(body.as_bytes()).map_err(|_| mistyped())?;
        let (content, sum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or_else(mistyped)?;
        if checksum(content) != *sum {
            return Err(mistyped());
        }
        decode(content)
    }
}

/// Upper case, without white space, and not longer than any ticket.
fn tidied(text: &str) -> Result<String> {
    let mut tidied = String::new();
    for c in text.chars().filter(|c| !c.is_whitespace()) {
        if tidied.len() >= MAX_TICKET_CHARS {
            return Err(Error::invalid(format!(
                "this is no ticket: one has at most {MAX_TICKET_CHARS} characters"
            )));
        }
        tidied.push(c.to_ascii_uppercase());
    }
    Ok(tidied)
}

fn decode(content: &[u8]) -> Result<Ticket> {
    let mut reader = Reader::new(content, "ticket");
    let version = reader.u8().map_err(malformed)?;
    if version != VERSION {
        return Err(Error::new(
            ErrorKind::FormatTooNew,
            format!(
                "the ticket has version {version}, this build knows {VERSION}: upgrade littoral \
                 on the node with the lower one"
            ),
        ));
    }
    let ticket = read(&mut reader).map_err(malformed)?;
    reader.end().map_err(malformed)?;
    ticket.check()?;
    Ok(ticket)
}

fn read(reader: &mut Reader<'_>) -> Result<Ticket> {
    let network = NetworkId(reader.array()?);
    let inviter = NodeId::from_bytes(reader.array()?);
    let secret = TicketSecret(reader.array()?);
    let expires_ms = u64::from_be_bytes(reader.array()?);
    let count = reader.count()?;
    if count > MAX_TICKET_ADDRESSES {
        return Err(reader.bad("too many addresses"));
    }
    let addresses = (0..count).map(|_| reader.str().map(str::to_owned)).collect::<Result<_>>()?;
    Ok(Ticket { network, inviter, secret, expires_ms, addresses })
}

/// Whether it looks like an address; whoever dials knows better.
fn check_address(address: &str) -> Result<()> {
    let legal =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    let long = address.len() > MAX_ADDRESS_BYTES;
    match port.is_some_and(|port| port > 0) && !long && address.chars().all(legal) {
        true => Ok(()),
        false => Err(Error::invalid(
            "an address in a ticket is host:port, such as boat.example:4433 or [2001:db8::7]:4433",
        )),
    }
}

fn checksum(content: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let hash = blake3::derive_key(CHECKSUM_CONTEXT, content);
    hash[..CHECKSUM_BYTES].try_into().expect("4 of 32 bytes")
}

fn mistyped() -> Error {
    Error::invalid(
        "the ticket was not copied as a whole, or mistyped: its checksum is wrong; copy it again",
    )
}

fn malformed(err: Error) -> Error {
    Error::invalid(err.message())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(addresses: &[&str]) -> Ticket {
        Ticket {
            network: NetworkId::named("default"),
            inviter: NodeId::from_bytes([7; 32]),
            secret: TicketSecret::from_bytes([0xab; 16]),
            expires_ms: 1_795_348_800_000,
            addresses: addresses.iter().map(|address| (*address).to_owned()).collect(),
        }
    }

    fn refused(text: &str) -> String {
        let err = text.parse::<Ticket>().unwrap_err();
        assert_eq!(err.kind(), ErrorKind::InvalidInput);
        err.message().to_owned()
    }

    #[test]
    fn tickets_are_read_back_in_any_case_and_broken_into_lines() {
        let ticket = ticket(&["192.0.2.7:4433", "[2001:db8::7]:4433", "boat.example:65535"]);
        let text = ticket.to_string();
        assert!(text.starts_with("littoral1"));
        let broken = format!("  {}\n{}\r\n", &text[..40], &text[40..]);
        for text in [&text, &ticket.to_qr_text(), &broken] {
            assert_eq!(text.parse::<Ticket>().unwrap(), ticket);
        }
        let qr = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
        assert!(ticket.to_qr_text().chars().all(qr), "the small alphabet of QR codes");
    }

    #[test]
    fn a_mistyped_ticket_is_refused_whatever_letter_is_wrong() {
        let text = ticket(&["192.0.2.7:4433"]).to_string();
        for at in PREFIX.len()..text.len() {
            for other in ["a", "b", "7", "z"] {
                let mut wrong = text.clone();
                wrong.replace_range(at..=at, other);
                if wrong != text {
                    assert!(refused(&wrong).contains("mistyped"), "letter {at}");
                }
            }
            let mut swapped: Vec<char> = text.chars().collect();
            if at + 1 < swapped.len() && swapped[at] != swapped[at + 1] {
                swapped.swap(at, at + 1);
                assert!(refused(&swapped.iter().collect::<String>()).contains("mistyped"));
            }
        }
        for len in PREFIX.len()..text.len() {
            assert!(refused(&text[..len]).contains("mistyped"), "{len} characters");
        }
        assert!(refused("").contains("begins with littoral1"));
        assert!(refused("hello").contains("begins with littoral1"));
    }

    #[test]
    fn a_ticket_of_another_version_says_what_to_do() {
        let mut bytes = ticket(&["a:1"]).encode();
        bytes.truncate(bytes.len() - CHECKSUM_BYTES);
        bytes[0] = 2;
        bytes.extend(checksum(&bytes));
        let text = format!("{PREFIX}{}", BASE32_NOPAD.encode(&bytes));
        let err = text.parse::<Ticket>().unwrap_err();
        assert_eq!(err.kind(), ErrorKind::FormatTooNew);
        assert!(err.message().contains("upgrade"), "{err}");
    }

    #[test]
    fn addresses_have_limits() {
        let many = vec!["a:1"; MAX_TICKET_ADDRESSES];
        assert!(ticket(&many).to_string().parse::<Ticket>().is_ok());
        assert!(ticket(&[&many[..], &["a:1"]].concat()).to_string().parse::<Ticket>().is_err());
        assert!(ticket(&[]).to_string().parse::<Ticket>().is_err());
        let longest = format!("{}:65535", "x".repeat(MAX_HOST_BYTES + 2));
        assert!(ticket(&[&longest]).check().is_ok());
        for wrong in
            ["a", "a:", "a:0", "a:65536", "a b:1", "a:1#k", "a,b:1", &format!("x{longest}")]
        {
            assert!(ticket(&[wrong]).check().is_err(), "{wrong}");
        }
        let largest = vec![&longest[..]; MAX_TICKET_ADDRESSES];
        assert!(ticket(&largest).to_string().len() <= MAX_TICKET_CHARS);
        assert!(ticket(&largest).to_string().parse::<Ticket>().is_ok());
        assert!(refused(&"x".repeat(MAX_TICKET_CHARS + 1)).contains("at most"));
    }

    #[test]
    fn the_secret_is_shown_by_nothing_but_the_ticket() {
        let ticket = ticket(&["a:1"]);
        let shown = format!("{ticket:?} {:?} {}", ticket.secret, ticket.secret.invite());
        assert!(shown.contains("TicketSecret(..)"));
        assert!(!shown.contains("171") && !shown.contains("abab"), "{shown}");
        let secret = BASE32_NOPAD.encode(ticket.secret.as_bytes()).to_ascii_lowercase();
        assert!(!shown.contains(&secret));
    }

    /// Whoever changes this text changes the format of tickets: its version goes up with it.
    #[test]
    fn golden_a_ticket_has_this_text() {
        let ticket = ticket(&["192.0.2.7:4433", "[2001:db8::7]:4433"]);
        assert_eq!(ticket.to_string() + "\n", include_str!("../../tests/golden/ticket.txt"));
        let id = ticket.secret.invite().to_string() + "\n";
        assert_eq!(id, include_str!("../../tests/golden/invite.txt"));
    }
}
