//! The network: QUIC links between stores. This layer alone knows quinn and tokio.
//!
//! A [`Network`] is what a store needs to sync: it listens and dials, lets in whom it trusts,
//! and gives each connection a [session](crate::sync::session::Session). What is said is the
//! session's business; here is only how it gets there, and that it does so again after every
//! cut.
//!
//! | file | noun |
//! | --- | --- |
//! | `network` | the network of a store: its public calls, its sockets |
//! | `links`, `link` | all links and which shall run; one link as others see it |
//! | `dial`, `accept` | the two ways in which a connection comes up |
//! | `discovery` | finding peers on a LAN by mDNS, for who asks for it |
//! | `joining` | connections by which a node becomes a member |
//! | `knocks` | handshakes of those who dial us, while they are under way |
//! | `driver`, `stream` | a connection's session, and its streams |
//! | `tls`, `transport` | who is at the other end; QUIC as we use it |
//! | `trust`, `counts` | whom we let in, and whom we turned away; how often, and why |
//! | `online` | going offline, and coming back |
//! | `standing`, `lag`, `traffic` | how far each peer is behind; what went over all links |
//! | `outside`, `blocking` | where sockets and chance come from; where calls that block run |
//! | `here` | where others may reach this machine |
//! | `address`, `backoff`, `bell`, `ending`, `status` | small parts |

mod accept;
mod address;
mod backoff;
mod bell;
mod blocking;
mod counts;
mod dial;
mod discovery;
mod driver;
mod ending;
mod here;
mod holdings;
mod joining;
mod knocks;
mod lag;
mod link;
mod links;
mod network;
mod online;
mod outside;
mod resting;
mod sockets;
mod standing;
mod status;
mod stream;
#[cfg(test)]
mod tests;
mod tls;
mod traffic;
mod transport;
mod trust;

pub use crate::sync::door::Offence;
pub use address::PeerAddress;
pub use counts::KeptOff;
pub use here::reached_at;
pub use joining::{Joining, Joins};
pub use link::Link;
pub use network::{Network, NetworkOptions};
pub use standing::{Parting, Standing};
pub use status::{CollectionStatus, Direction, LinkState, LinkStatus, Trouble};
pub use traffic::Traffic;
pub use trust::{Refusal, Refusals};
