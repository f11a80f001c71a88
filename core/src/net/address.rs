//! Where a peer is, and who it must be: `host:port#KEY`.
//!
//! It may be at several places, `host:port,host:port#KEY`: those are tried one after the other,
//! each with a head start over the next, and the first that answers is taken.
//!
//! The host is a name or an IP address, IPv6 in brackets: `[::1]:4433#KEY`. A name is
//! looked up at each attempt to connect, never once and for all: peers move. The key is
//! what is trusted; whoever answers at the address without it is not the peer.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::id::NodeId;
use crate::limits::{MAX_HOST_BYTES, MAX_PEER_PLACES};
use crate::txn::ticket::Ticket;

/// Where a peer is, and the key that it must prove to hold.
///
/// ```
/// use littoral::net::PeerAddress;
///
/// let key = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
/// let address: PeerAddress = format!("boat.example:4433#{key}").parse()?;
/// assert_eq!((address.host(), address.port()), ("boat.example", 4433));
/// assert_eq!(address.to_string(), format!("boat.example:4433#{key}"));
/// # Ok::<(), littoral::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerAddress {
    host: String,
    port: u16,
    /// Where else it may be.
    also: Vec<(String, u16)>,
    key: NodeId,
}

impl PeerAddress {
    /// A host name or an IP address (IPv6 without brackets), a UDP port, and the peer's key.
    pub fn new(host: impl Into<String>, port: u16, key: NodeId) -> Result<PeerAddress> {
        let host = host.into();
        check_host(&host)?;
        match port {
            0 => Err(Error::invalid("port 0 can't be connected to; ports are 1 to 65535")),
            _ => Ok(PeerAddress { host, port, also: Vec::new(), key }),
        }
    }

    /// At one more place, to be tried after those before.
    pub fn or_at(mut self, host: impl Into<String>, port: u16) -> Result<PeerAddress> {
        let place = PeerAddress::new(host, port, self.key)?;
        if self.also.len() + 1 >= MAX_PEER_PLACES {
            return Err(Error::invalid(format!(
                "a peer's address has at most {MAX_PEER_PLACES} places"
            )));
        }
        self.also.push((place.host, place.port));
        Ok(self)
    }

    /// The same places, with another key.
    pub(super) fn with_key(&self, key: NodeId) -> PeerAddress {
        PeerAddress { key, ..self.clone() }
    }

    /// Where a ticket says that its maker is.
    pub(super) fn of_ticket(ticket: &Ticket) -> Result<PeerAddress> {
        format!("{}#{}", ticket.addresses.join(","), ticket.inviter).parse()
    }

    /// All places, in the order in which they are tried: hosts, IPv6 without brackets, and ports.
    pub fn all(&self) -> impl Iterator<Item = (&str, u16)> {
        let also = self.also.iter().map(|(host, port)| (host.as_str(), *port));
        std::iter::once((self.host.as_str(), self.port)).chain(also)
    }

    /// All places as text, without the key: `host:port,host:port`.
    pub fn places(&self) -> String {
        let place = |(host, port): (&str, u16)| match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        };
        self.all().map(place).collect::<Vec<_>>().join(",")
    }

    /// The host, of several places the first: a name or an IP address, IPv6 without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The UDP port, of several places that of the first.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The key that the peer must prove to hold.
    pub fn key(&self) -> NodeId {
        self.key
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.places(), self.key)
    }
}

impl FromStr for PeerAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<PeerAddress> {
        let text = text.trim();
        let (places, key) = text.split_once('#').ok_or_else(|| {
            Error::invalid(
                "a peer's address is host:port#KEY; this one has no '#': append the peer's key, \
                 as `littoral id` prints it there",
            )
        })?;
        let mut places = places.split(',');
        let (host, port) = read_place(places.next().unwrap_or_default())?;
        let first = PeerAddress::new(host, port, key.parse()?)?;
        places.try_fold(first, |address, place| {
            let (host, port) = read_place(place)?;
            address.or_at(host, port)
        })
    }
}

fn read_place(place: &str) -> Result<(&str, u16)> {
    let (host, port) = split_place(place)?;
    let port = port.parse().map_err(|_| {
        Error::invalid(format!(
            "a port is a number from 1 to 65535; the one in {place:?} is {port:?}"
        ))
    })?;
    Ok((host, port))
}

/// Splits `host:port` and `[v6]:port`.
fn split_place(place: &str) -> Result<(&str, &str)> {
    let no_port = || {
        Error::invalid(format!(
            "a peer's address is host:port#KEY; {place:?} has no port, for instance {place}:4433"
        ))
    };
    if let Some(rest) = place.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or_else(|| {
            Error::invalid(format!("the '[' in {place:?} is not closed; write [::1]:4433"))
        })?;
        host.parse::<Ipv6Addr>().map_err(|_| {
            Error::invalid(format!("{host:?} is not an IPv6 address, as brackets announce"))
        })?;
        return Ok((host, after.strip_prefix(':').ok_or_else(no_port)?));
    }
    let (host, port) = place.rsplit_once(':').ok_or_else(no_port)?;
    match host.contains(':') {
        true => Err(Error::invalid(format!(
            "{place:?} looks like an IPv6 address: put it in brackets, [::1]:4433"
        ))),
        false => Ok((host, port)),
    }
}

fn check_host(host: &str) -> Result<()> {
    if host.is_empty() || host.len() > MAX_HOST_BYTES {
        return Err(Error::invalid(format!(
            "a host has 1 to {MAX_HOST_BYTES} bytes; this one has {}",
            host.len()
        )));
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    match host.parse::<Ipv6Addr>().is_ok() || host.chars().all(legal) {
        true => Ok(()),
        false => Err(Error::invalid(format!("{host:?} is neither a host name nor an IP address"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> NodeId {
        NodeId::from_bytes([7; 32])
    }

    #[test]
    fn addresses_round_trip_as_text() {
        for place in ["localhost:1", "192.0.2.7:4433", "[::1]:4433", "[2001:db8::7]:65535"] {
            let text = format!("{place}#{}", key());
            let address: PeerAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
            assert_eq!(address.key(), key());
        }
        assert_eq!(format!("[::1]:9#{}", key()).parse::<PeerAddress>().unwrap().host(), "::1");
    }

    #[test]
    fn a_wrong_address_is_refused_with_the_remedy() {
        let key = key();
        let long = "x".repeat(254);
        for (text, remedy) in [
            ("boat:4433".to_owned(), "append the peer's key"),
            (format!("boat#{key}"), "has no port"),
            (format!("[::1]#{key}"), "has no port"),
            (format!("[::1:4433#{key}"), "is not closed"),
            (format!("[boat]:4433#{key}"), "not an IPv6 address"),
            (format!("::1:4433#{key}"), "in brackets"),
            (format!("boat:65536#{key}"), "1 to 65535"),
            (format!("boat:0#{key}"), "1 to 65535"),
            (format!("boat:#{key}"), "1 to 65535"),
            (format!(":4433#{key}"), "1 to 253"),
            (format!("{long}:4433#{key}"), "1 to 253"),
            (format!("a boat:4433#{key}"), "neither a host name"),
            ("boat:4433#key".to_owned(), "52 letters"),
        ] {
            let error = text.parse::<PeerAddress>().unwrap_err();
            assert!(error.message().contains(remedy), "{text}: {error}");
        }
    }

    #[test]
    fn a_peer_may_be_at_several_places() {
        let text = format!("192.0.2.7:1,[2001:db8::7]:2,boat:3#{}", key());
        let address: PeerAddress = text.parse().unwrap();
        assert_eq!(address.to_string(), text);
        assert_eq!((address.host(), address.port()), ("192.0.2.7", 1));
        let all: Vec<_> = address.all().collect();
        assert_eq!(all, [("192.0.2.7", 1), ("2001:db8::7", 2), ("boat", 3)]);
        for wrong in ["a:1,#", "a:1,b#", ",a:1#", "a:1,b:0#", "a:1, b:2#"] {
            assert!(format!("{wrong}{}", key()).parse::<PeerAddress>().is_err(), "{wrong}");
        }
        for (count, legal) in [(MAX_PEER_PLACES, true), (MAX_PEER_PLACES + 1, false)] {
            let many = format!("{}#{}", vec!["a:1"; count].join(","), key());
            assert_eq!(many.parse::<PeerAddress>().is_ok(), legal);
        }
    }

    #[test]
    fn host_limit_is_inclusive() {
        assert!(PeerAddress::new("x".repeat(253), 1, key()).is_ok());
        assert!(PeerAddress::new("x".repeat(254), 1, key()).is_err());
    }
}
