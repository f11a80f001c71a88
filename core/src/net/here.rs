//! Where others may reach a socket of this machine.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use crate::limits::MAX_TICKET_ADDRESSES;

/// Where a socket that listens at `listen` is reached from other machines, the likeliest first. A
/// socket that listens everywhere is reached at every address that this machine has.
///
/// Loopback alone is for a machine that has nothing else, or a socket that is bound to it.
pub fn reached_at(listen: SocketAddr) -> Vec<SocketAddr> {
    if !listen.ip().is_unspecified() {
        return vec![listen];
    }
    let fits = |ip: &IpAddr| listen.is_ipv6() || ip.is_ipv4();
    let mut found: Vec<IpAddr> = own_address().into_iter().collect();
    for ip in interfaces() {
        if !found.contains(&ip) {
            found.push(ip);
        }
    }
    found.retain(|ip| fits(ip) && !ip.is_loopback());
    if found.is_empty() {
        found.push(match listen.is_ipv6() {
            true => IpAddr::from(std::net::Ipv6Addr::LOCALHOST),
            false => IpAddr::from([127, 0, 0, 1]),
        });
    }
    found.truncate(MAX_TICKET_ADDRESSES);
    found.into_iter().map(|ip| SocketAddr::new(ip, listen.port())).collect()
}

/// Those of the machine's interfaces that are up; IPv4 before IPv6.
fn interfaces() -> Vec<IpAddr> {
    let all = if_addrs::get_if_addrs().unwrap_or_else(|err| {
        tracing::warn!(%err, "the interfaces of this machine can't be listed");
        Vec::new()
    });
    let usable = |one: &if_addrs::Interface| one.is_oper_up() && !one.is_link_local();
    let mut found: Vec<IpAddr> = all.iter().filter(|one| usable(one)).map(|one| one.ip()).collect();
    found.sort_by_key(IpAddr::is_ipv6);
    found
}

/// The address that packets of this machine leave from. Nothing is sent: connecting a UDP
/// socket only looks up the route (to an address that documentation may use).
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_listens_everywhere_is_not_reached_at_no_address() {
        let found = reached_at("0.0.0.0:7".parse().unwrap());
        assert!(!found.is_empty() && found.len() <= MAX_TICKET_ADDRESSES);
        assert!(found.iter().all(|at| at.is_ipv4() && !at.ip().is_unspecified()));
        assert!(found.iter().all(|at| at.port() == 7));
        let found = reached_at("[::]:7".parse().unwrap());
        assert!(!found.is_empty() && found.iter().all(|at| !at.ip().is_unspecified()));
        for bound in ["127.0.0.1:9", "[::1]:9", "192.0.2.7:1"] {
            assert_eq!(reached_at(bound.parse().unwrap()), [bound.parse().unwrap()]);
        }
    }
}
