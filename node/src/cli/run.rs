//! What can be typed about running a node.

use std::net::SocketAddr;

use clap::Args;

use super::{CACHE_MIB, HTTP, LISTEN, Lifetime, Peer, WantedNames};

/// Of `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Where to accept links (UDP). Peers prove their keys; others are turned away.
    #[arg(long, value_name = "ADDR", default_value = LISTEN)]
    pub(crate) listen: SocketAddr,
    /// A peer to keep in sync with: ADDR#KEY to connect to, or KEY to accept. Repeat for more.
    #[arg(long, value_name = "PEER")]
    pub(crate) peer: Vec<Peer>,
    /// Find peers on the LAN by mDNS, and be found by them: members of the same roster, or peers
    /// that are trusted where there is none. Needs no address, and follows when one changes.
    #[arg(long)]
    pub(crate) discover: bool,
    /// Exchange only these collections with peers, from now on: names with commas between, or
    /// `*` for all.
    #[arg(long, value_name = "NAMES")]
    pub(crate) collections: Option<WantedNames>,
    /// Where to answer HTTP. Where other machines reach it, every request needs a token (`littoral
    /// token create`).
    #[arg(long, value_name = "ADDR", default_value = HTTP)]
    pub(crate) http: SocketAddr,
    /// How much of the state to keep in memory, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = CACHE_MIB)]
    pub(crate) cache: u32,
    /// History to keep of each collection for peers that were away, in MiB: who was away for
    /// longer is sent a snapshot. Kept in the store; 64 at first.
    #[arg(long, value_name = "MIB")]
    pub(crate) log_budget: Option<u32>,
    /// And not what is older than this. Kept in the store; 30 at first.
    #[arg(long, value_name = "DAYS")]
    pub(crate) log_days: Option<u32>,
    /// Make a checkpoint each time that so much time has passed, if something has changed: 30m, 1h,
    /// 1d. They go by themselves, as those do that are made before an import, a revert, a bundle and
    /// a snapshot.
    #[arg(long, value_name = "TIME")]
    pub(crate) checkpoint_every: Option<Lifetime>,
    /// How many automatic checkpoints to keep; 0: none are made. Kept in the store; 8 at first.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=256))]
    pub(crate) checkpoints: Option<u32>,
    /// And none that is older than this. Kept in the store; 7 at first.
    #[arg(long, value_name = "DAYS")]
    pub(crate) checkpoint_days: Option<u32>,
}

impl RunArgs {
    /// At these addresses, and else as if nothing was said.
    pub(crate) fn at(listen: SocketAddr, http: SocketAddr) -> RunArgs {
        let (peer, discover, cache) = (Vec::new(), false, CACHE_MIB);
        RunArgs {
            listen,
            peer,
            discover,
            collections: None,
            http,
            cache,
            log_budget: None,
            log_days: None,
            checkpoint_every: None,
            checkpoints: None,
            checkpoint_days: None,
        }
    }
}
