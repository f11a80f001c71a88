//! What can be typed about running a node.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{CACHE_MIB, HTTP, LISTEN, Lifetime, Peer, WantedNames};

/// Of `run`. What is not said here is said by the configuration file, if there is one, or else as
/// the help says.
#[derive(Debug, Default, Args)]
pub(crate) struct RunArgs {
    /// Read all of this from a TOML file; what is said here comes before what it says. `littoral
    /// config example` prints one. SIGHUP reads it again, for peers, collections and budgets.
    #[arg(long, env = "LITTORAL_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[arg(long, env = "LITTORAL_LISTEN", value_name = "ADDR", help = format!("Where to accept links (UDP). Peers prove their keys; others are turned away [default: {LISTEN}]"))]
    pub(crate) listen: Option<SocketAddr>,
    /// A peer to keep in sync with: ADDR#KEY to connect to, or KEY to accept. Repeat for more; in
    /// the environment with spaces between.
    #[arg(long, env = "LITTORAL_PEERS", value_name = "PEER", value_delimiter = ' ')]
    pub(crate) peer: Vec<Peer>,
    /// Find peers on the LAN by mDNS, and be found by them: members of the same roster, or peers
    /// that are trusted where there is none. Needs no address, and follows when one changes.
    #[arg(long, env = "LITTORAL_DISCOVER")]
    pub(crate) discover: bool,
    /// Exchange only these collections with peers, from now on: names with commas between, or
    /// `*` for all.
    #[arg(long, env = "LITTORAL_COLLECTIONS", value_name = "NAMES")]
    pub(crate) collections: Option<WantedNames>,
    #[arg(long, env = "LITTORAL_HTTP", value_name = "ADDR", help = format!("Where to answer HTTP. Where other machines reach it, every request needs a token (`littoral token create`) [default: {HTTP}]"))]
    pub(crate) http: Option<SocketAddr>,
    #[arg(long, env = "LITTORAL_CACHE", value_name = "MIB", help = format!("How much of the state to keep in memory, in MiB [default: {CACHE_MIB}]"))]
    pub(crate) cache: Option<u32>,
    /// History to keep of each collection for peers that were away, in MiB: who was away for
    /// longer is sent a snapshot. Kept in the store; 64 at first.
    #[arg(long, env = "LITTORAL_LOG_BUDGET", value_name = "MIB")]
    pub(crate) log_budget: Option<u32>,
    /// And not what is older than this. Kept in the store; 30 at first.
    #[arg(long, env = "LITTORAL_LOG_DAYS", value_name = "DAYS")]
    pub(crate) log_days: Option<u32>,
    /// Keep what documents held before and after each change, for followers who ask for it, up to so
    /// many MiB; 0: not any more. Kept in the store; not kept at first.
    #[arg(long, env = "LITTORAL_CHANGE_VALUES", value_name = "MIB")]
    pub(crate) change_values: Option<u32>,
    /// Make a checkpoint each time that so much time has passed, if something has changed: 30m, 1h,
    /// 1d. They go by themselves, as those do that are made before an import, a revert, a bundle and
    /// a snapshot.
    #[arg(long, env = "LITTORAL_CHECKPOINT_EVERY", value_name = "TIME")]
    pub(crate) checkpoint_every: Option<Lifetime>,
    /// How many automatic checkpoints to keep; 0: none are made. Kept in the store; 8 at first.
    #[arg(long, env = "LITTORAL_CHECKPOINTS", value_name = "N", value_parser = clap::value_parser!(u32).range(..=256))]
    pub(crate) checkpoints: Option<u32>,
    /// And none that is older than this. Kept in the store; 7 at first.
    #[arg(long, env = "LITTORAL_CHECKPOINT_DAYS", value_name = "DAYS")]
    pub(crate) checkpoint_days: Option<u32>,
    /// Send traces of requests, commits and syncs to this collector, by OTLP over HTTP (protobuf):
    /// http://127.0.0.1:4318. Without TLS, so have one near. What else OpenTelemetry's variables say
    /// holds, too (OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER, ..). Without this,
    /// OTEL_EXPORTER_OTLP_ENDPOINT says where.
    #[arg(long, env = "LITTORAL_OTLP", value_name = "URL")]
    pub(crate) otlp: Option<Collector>,
}

/// Where traces go: the root of a collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Collector(pub(crate) String);

impl std::str::FromStr for Collector {
    type Err = String;

    fn from_str(text: &str) -> Result<Collector, String> {
        let told = || format!("'{text}' is no collector such as http://127.0.0.1:4318 (no TLS)");
        let rest = text.strip_prefix("http://").ok_or_else(told)?;
        let fits = !rest.is_empty() && text.parse::<ureq::http::Uri>().is_ok();
        fits.then(|| Collector(text.trim_end_matches('/').to_owned())).ok_or_else(told)
    }
}

impl RunArgs {
    /// At these addresses, and else as if nothing was said.
    pub(crate) fn at(listen: SocketAddr, http: SocketAddr) -> RunArgs {
        RunArgs { listen: Some(listen), http: Some(http), ..RunArgs::default() }
    }
}

/// Of `config`.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
}

/// What can be done about a configuration file.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Read a file as `run` does, say what is wrong with it, or what a node would run as.
    Check {
        /// The file.
        file: PathBuf,
    },
    /// Print a file with everything in it, each explained, as it is without one.
    Example,
}
