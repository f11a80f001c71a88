//! `id`: who this node is, and where.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use littoral::Result;
use serde_json::json;

use super::Context;
use crate::target::Wanted;

/// `littoral id`
pub(super) fn id(context: &Context) -> Result<()> {
    let status = context.target(Wanted::Made)?.status()?;
    let listen = status.running.and_then(|running| running.listen);
    let key = status.node;
    let address = listen.map(|listen| format!("{}#{key}", reachable(&listen)));
    let sentence = address.clone().unwrap_or_else(|| key.clone());
    context.output.done(sentence, &json!({"key": key, "address": address}))
}

/// A node that listens everywhere is reached at the address that this machine has.
fn reachable(listen: &str) -> String {
    match listen.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_unspecified() => {
            let ip = own_address().unwrap_or(IpAddr::from([127, 0, 0, 1]));
            SocketAddr::new(ip, address.port()).to_string()
        }
        _ => listen.to_owned(),
    }
}

/// The address that packets of this machine leave from. Nothing is sent: connecting a UDP
/// socket only looks up the route (to an address that documentation may use).
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}
