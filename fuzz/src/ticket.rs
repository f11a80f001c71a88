//! Tickets, as somebody pastes or types them.

use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use littoral::id::NodeId;
use littoral::txn::NetworkId;
use littoral::txn::ticket::{Ticket, TicketSecret};

/// A text: as it is, and as the bytes of a ticket with the checksum that belongs to them.
///
/// What is read has one text, up to case and white space, and does not show its secret.
pub fn ticket(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        read(text);
    }
    let sum = blake3::derive_key("littoral v1 ticket", data);
    let bytes = [data, &sum[..4]].concat();
    read(&format!("littoral1{}", BASE32_NOPAD.encode(&bytes)));
}

fn read(text: &str) {
    let Ok(ticket) = Ticket::from_str(text) else { return };
    let plain: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    assert_eq!(ticket.to_string(), plain.to_ascii_lowercase());
    assert_eq!(Ticket::from_str(&ticket.to_qr_text()).expect("its own text"), ticket);
    let secret = BASE32_NOPAD.encode(ticket.secret.as_bytes()).to_ascii_lowercase();
    assert!(!format!("{:?} {}", ticket.secret, ticket.secret.invite()).contains(&secret));
}

/// A short one and a long one as text, and the bytes of one without its checksum.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let ticket = |addresses: &[&str]| Ticket {
        network: NetworkId::named("default"),
        inviter: NodeId::from_bytes([7; 32]),
        secret: TicketSecret::from_bytes([3; 16]),
        expires_ms: 1_795_348_800_000,
        addresses: addresses.iter().map(|address| (*address).to_owned()).collect(),
    };
    let short = ticket(&["192.0.2.7:4433"]).to_string();
    let long = ticket(&["192.0.2.7:4433", "[2001:db8::7]:4433", "boat.example:1"]).to_string();
    let body = BASE32_NOPAD.decode(short["littoral1".len()..].to_ascii_uppercase().as_bytes());
    let mut body = body.expect("its own text");
    body.truncate(body.len() - 4);
    vec![short.into_bytes(), long.into_bytes(), body]
}
