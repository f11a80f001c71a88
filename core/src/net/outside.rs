//! What a network takes from outside: sockets, and chance. Time is the runtime's.
//!
//! [`Machine`] is the machine that we run on. Tests put a network of their own under the whole
//! stack, QUIC and TLS included, on a runtime whose time they hold.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use quinn::{Endpoint, EndpointConfig, ServerConfig};

/// Where sockets and chance come from. To be called where a runtime is entered.
pub(super) trait Outside: Send + Sync {
    /// A socket at `address` that accepts.
    fn listener(
        &self,
        address: SocketAddr,
        config: EndpointConfig,
        server: ServerConfig,
    ) -> io::Result<Endpoint>;

    /// A socket to dial from, of both families if possible.
    fn dialler(&self) -> io::Result<Endpoint>;

    /// Any number.
    fn random(&self) -> u64;
}

/// This machine.
pub(super) struct Machine;

impl Outside for Machine {
    fn listener(
        &self,
        address: SocketAddr,
        config: EndpointConfig,
        server: ServerConfig,
    ) -> io::Result<Endpoint> {
        let socket = UdpSocket::bind(address)?;
        Endpoint::new(config, Some(server), socket, Arc::new(quinn::TokioRuntime))
    }

    fn dialler(&self) -> io::Result<Endpoint> {
        let v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        Endpoint::client(v6).or_else(|_| Endpoint::client(v4))
    }

    fn random(&self) -> u64 {
        getrandom::u64().unwrap_or_default()
    }
}
