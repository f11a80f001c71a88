//! The multicast socket of mDNS, on every IPv4 interface that this machine has.
//!
//! It opens sockets itself, beside [`Outside`](crate::net::outside): only who asks for discovery
//! has it. Other programs on this machine may use the same port.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::UdpSocket;

use crate::limits::MAX_DISCOVERY_INTERFACES;

const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const PORT: u16 = 5353;

/// The socket, and the addresses of the interfaces on which it listens.
pub(super) struct Lan {
    socket: UdpSocket,
    joined: Vec<Ipv4Addr>,
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
    pub(super) fn addresses(&self) -> &[Ipv4Addr] {
        &self.joined
    }

    /// Listens on interfaces that are new. Whether anything has changed. Blocks shortly.
    pub(super) fn refresh(&mut self) -> bool {
        let there = interfaces();
        if there == self.joined {
            return false;
        }
        let socket = SockRef::from(&self.socket);
        for gone in self.joined.iter().filter(|ip| !there.contains(ip)) {
            // Fails if the interface has gone with its address.
            let _ = socket.leave_multicast_v4(&GROUP, gone);
        }
        for new in there.iter().filter(|ip| !self.joined.contains(ip)) {
            // Two addresses of one interface: it is joined by the first.
            if let Err(error) = socket.join_multicast_v4(&GROUP, new) {
                tracing::debug!(%error, at = %new, "not joined for discovery");
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

fn interfaces() -> Vec<Ipv4Addr> {
    let all = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        tracing::warn!(%error, "the interfaces of this machine can't be listed");
        Vec::new()
    });
    let mut found: Vec<Ipv4Addr> = all
        .iter()
        .filter(|one| one.is_oper_up() || one.is_loopback())
        .filter_map(|one| match one.ip() {
            IpAddr::V4(ip) => Some(ip),
            IpAddr::V6(_) => None,
        })
        .collect();
    found.sort();
    found.dedup();
    found.truncate(MAX_DISCOVERY_INTERFACES);
    found
}
