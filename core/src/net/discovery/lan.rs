//! The multicast socket of mDNS, on every IPv4 interface that this machine has.
//!
//! It opens sockets itself, beside [`Outside`](crate::net::outside): only who asks for discovery
//! has it. Other programs on this machine may use the same port.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};

use if_addrs::IfAddr;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::UdpSocket;

use crate::limits::MAX_DISCOVERY_INTERFACES;

const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const PORT: u16 = 5353;

/// The socket, and the interfaces on which it listens.
pub(super) struct Lan {
    socket: UdpSocket,
    joined: Vec<Interface>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Interface {
    ip: Ipv4Addr,
    mask: Ipv4Addr,
}

impl Interface {
    /// Whether an address is on the same network, so that no router is between.
    fn reaches(&self, ip: Ipv4Addr) -> bool {
        ip & self.mask == self.ip & self.mask
    }
}

impl Lan {
    /// To be called where a runtime is entered.
    pub(super) fn open() -> io::Result<Lan> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_reuse_address(true)?;
        #[cfg(unix)]
        socket.set_reuse_port(true)?;
        socket.set_nonblocking(true)?;
        socket.set_multicast_ttl_v4(255)?;
        // Two nodes on one machine are found, too.
        socket.set_multicast_loop_v4(true)?;
        socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, PORT).into())?;
        let mut lan = Lan { socket: UdpSocket::from_std(socket.into())?, joined: Vec::new() };
        lan.refresh();
        Ok(lan)
    }

    /// The addresses of this machine on its interfaces.
    pub(super) fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.joined.iter().map(|one| one.ip)
    }

    /// Whether an address is on a network of this machine: nobody else is found by multicast.
    pub(super) fn reaches(&self, ip: Ipv4Addr) -> bool {
        self.joined.iter().any(|one| one.reaches(ip))
    }

    /// Listens on interfaces that are new. Whether anything has changed. Blocks shortly.
    pub(super) fn refresh(&mut self) -> bool {
        let there = interfaces();
        if there == self.joined {
            return false;
        }
        let socket = SockRef::from(&self.socket);
        for gone in self.joined.iter().filter(|one| !there.contains(one)) {
            // Fails if the interface has gone with its address.
            let _ = socket.leave_multicast_v4(&GROUP, &gone.ip);
        }
        for new in there.iter().filter(|one| !self.joined.contains(one)) {
            // Two addresses of one interface: it is joined by the first.
            if let Err(error) = socket.join_multicast_v4(&GROUP, &new.ip) {
                tracing::debug!(%error, at = %new.ip, "not joined for discovery");
            }
        }
        self.joined = there;
        true
    }

    /// Says something on the interface with this address.
    pub(super) async fn say(&self, from: Ipv4Addr, packet: &[u8]) {
        let sent = match SockRef::from(&self.socket).set_multicast_if_v4(&from) {
            Ok(()) => self.socket.send_to(packet, (GROUP, PORT)).await,
            Err(error) => Err(error),
        };
        if let Err(error) = sent {
            tracing::debug!(%error, %from, "discovery could not say something");
        }
    }

    /// The next packet; one that is longer than `buffer` is cut.
    pub(super) async fn hear(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.recv_from(buffer).await.map(|(len, _)| len)
    }
}

fn interfaces() -> Vec<Interface> {
    let all = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        tracing::warn!(%error, "the interfaces of this machine can't be listed");
        Vec::new()
    });
    let mut found: Vec<Interface> = all
        .iter()
        .filter(|one| one.is_oper_up() || one.is_loopback())
        .filter_map(|one| match &one.addr {
            IfAddr::V4(v4) => Some(Interface { ip: v4.ip, mask: v4.netmask }),
            IfAddr::V6(_) => None,
        })
        .collect();
    found.sort();
    found.dedup();
    found.truncate(MAX_DISCOVERY_INTERFACES);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_without_a_router_between_are_reached() {
        let ip = |text: &str| text.parse::<Ipv4Addr>().unwrap();
        let here = Interface { ip: ip("192.0.2.7"), mask: ip("255.255.255.0") };
        assert!(here.reaches(ip("192.0.2.200")) && !here.reaches(ip("192.0.3.7")));
        let alone = Interface { ip: ip("192.0.2.7"), mask: ip("255.255.255.255") };
        assert!(alone.reaches(ip("192.0.2.7")) && !alone.reaches(ip("192.0.2.8")));
    }
}
