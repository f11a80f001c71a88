//! How a node is to run: what was typed, the environment, a file, and what holds otherwise.
//!
//! What was typed comes first, then the environment (clap takes both), then the file. Peers of all of
//! them count. A name that the file has and this does not know is an error, with the line: a typo
//! must not be a setting that is silently not there.

use std::fmt::Display;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use littoral::store::Collections;
use littoral::{Error, ErrorKind, Result};
use serde::{Deserialize, Deserializer};

use crate::cli::{CACHE_MIB, Collector, HTTP, LISTEN, Lifetime, Peer, RunArgs};

/// A file that says everything, each explained, as it is without a file.
pub(crate) const EXAMPLE: &str = include_str!("../ops/littoral.toml");

/// How a node is to run.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The store's directory, if the file names one.
    pub(crate) data: Option<PathBuf>,
    /// Where to accept links.
    pub(crate) listen: SocketAddr,
    /// Where to answer HTTP.
    pub(crate) http: SocketAddr,
    /// Peers to connect to, or to accept.
    pub(crate) peers: Vec<Peer>,
    /// Whether to find peers on the LAN.
    pub(crate) discover: bool,
    /// What to exchange, if that was said.
    pub(crate) collections: Option<Collections>,
    /// MiB of the state in memory.
    pub(crate) cache: u32,
    /// MiB of history of each collection, if that was said.
    pub(crate) log_budget: Option<u32>,
    /// And for how many days.
    pub(crate) log_days: Option<u32>,
    /// MiB of what documents held before and after changes, if that was said; 0 is none.
    pub(crate) change_values: Option<u32>,
    /// Seconds between checkpoints by schedule.
    pub(crate) checkpoint_every: Option<u64>,
    /// Automatic checkpoints to keep, if that was said.
    pub(crate) checkpoints: Option<u32>,
    /// And for how many days.
    pub(crate) checkpoint_days: Option<u32>,
    /// Where traces go.
    pub(crate) otlp: Option<Collector>,
}

/// What a file may say.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    data: Option<PathBuf>,
    listen: Option<SocketAddr>,
    http: Option<SocketAddr>,
    #[serde(default)]
    peers: Vec<Read<Peer>>,
    #[serde(default)]
    discover: bool,
    collections: Option<Names>,
    cache_mib: Option<u32>,
    #[serde(default)]
    log: LogPart,
    #[serde(default)]
    checkpoints: CheckpointPart,
    #[serde(default)]
    trace: TracePart,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct LogPart {
    budget_mib: Option<u32>,
    days: Option<u32>,
    change_values_mib: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct CheckpointPart {
    every: Option<Read<Lifetime>>,
    keep: Option<AtMost<256>>,
    days: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct TracePart {
    otlp: Option<Read<Collector>>,
}

/// Something that is read from a text.
#[derive(Debug)]
struct Read<T>(T);

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Read<T> {
    fn deserialize<D: Deserializer<'de>>(
        deserializer: D,
    ) -> std::result::Result<Read<T>, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Read).map_err(serde::de::Error::custom)
    }
}

#[derive(Debug)]
struct AtMost<const N: u32>(u32);

impl<'de, const N: u32> Deserialize<'de> for AtMost<N> {
    fn deserialize<D: Deserializer<'de>>(
        deserializer: D,
    ) -> std::result::Result<AtMost<N>, D::Error> {
        match u32::deserialize(deserializer)? {
            number if number <= N => Ok(AtMost(number)),
            number => Err(serde::de::Error::custom(format!("{number} is more than {N}"))),
        }
    }
}

/// Names of collections, or "*" for all.
#[derive(Debug)]
struct Names(Collections);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Names, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        let all = names.len() == 1 && names[0] == "*";
        let wanted = if all { Ok(Collections::All) } else { Collections::only(names) };
        wanted.map(Names).map_err(serde::de::Error::custom)
    }
}

impl Settings {
    /// What was typed, with what a file says where nothing was.
    ///
    /// Errors: `InvalidInput` that names the file and the line; I/O.
    pub(crate) fn of(args: &RunArgs) -> Result<Settings> {
        let file = args.config.as_deref().map(read).transpose()?.unwrap_or_default();
        Ok(resolve(args, file))
    }

    /// What a file says, with nothing typed.
    pub(crate) fn of_file(file: &Path) -> Result<Settings> {
        Ok(resolve(&RunArgs::default(), read(file)?))
    }
}

fn resolve(args: &RunArgs, file: File) -> Settings {
    let address = |text: &str| text.parse().expect("an address of this program");
    let mut peers = args.peer.clone();
    peers.extend(file.peers.into_iter().map(|peer| peer.0));
    let wanted = args.collections.as_ref().map(|names| names.0.clone());
    let every = args.checkpoint_every.as_ref().map(|every| every.0);
    Settings {
        data: file.data,
        listen: args.listen.or(file.listen).unwrap_or_else(|| address(LISTEN)),
        http: args.http.or(file.http).unwrap_or_else(|| address(HTTP)),
        peers,
        discover: args.discover || file.discover,
        collections: wanted.or(file.collections.map(|names| names.0)),
        cache: args.cache.or(file.cache_mib).unwrap_or(CACHE_MIB),
        log_budget: args.log_budget.or(file.log.budget_mib),
        log_days: args.log_days.or(file.log.days),
        change_values: args.change_values.or(file.log.change_values_mib),
        checkpoint_every: every.or(file.checkpoints.every.map(|every| every.0.0)),
        checkpoints: args.checkpoints.or(file.checkpoints.keep.map(|keep| keep.0)),
        checkpoint_days: args.checkpoint_days.or(file.checkpoints.days),
        otlp: args.otlp.clone().or(file.trace.otlp.map(|otlp| otlp.0)),
    }
}

fn read(file: &Path) -> Result<File> {
    let shown = file.display();
    let text = fs::read_to_string(file).map_err(|err| {
        Error::new(ErrorKind::Io, format!("could not read the configuration {shown}: {err}"))
    })?;
    toml::from_str(&text).map_err(|err| {
        let told = err.to_string();
        Error::new(ErrorKind::InvalidInput, format!("in {shown}: {}", told.trim_end()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> std::result::Result<Settings, String> {
        toml::from_str(text)
            .map(|file| resolve(&RunArgs::default(), file))
            .map_err(|err| err.to_string())
    }

    #[test]
    fn the_example_says_what_holds_without_it() {
        let (said, unsaid) = (parse(EXAMPLE).unwrap(), parse("").unwrap());
        assert_eq!(format!("{said:?}"), format!("{unsaid:?}"));
        // And with everything in it that it explains.
        let all: String = EXAMPLE
            .lines()
            .map(|line| match line.strip_prefix("#: ") {
                Some(said) => format!("{said}\n"),
                None => format!("{line}\n"),
            })
            .collect();
        let all = parse(&all).unwrap();
        assert_eq!((all.peers.len(), all.discover, all.cache), (2, false, 32));
        assert_eq!((all.checkpoint_every, all.checkpoints), (Some(3600), Some(8)));
        assert_eq!((all.log_budget, all.log_days), (Some(64), Some(30)));
        assert_eq!(all.change_values, Some(16));
        assert!(all.data.is_some() && all.collections.is_some() && all.otlp.is_some());
    }

    #[test]
    fn what_is_typed_comes_before_what_the_file_says() {
        let file: File = toml::from_str("http = \"127.0.0.1:1\"\ncache-mib = 8").unwrap();
        let args = RunArgs { cache: Some(9), ..RunArgs::default() };
        let settings = resolve(&args, file);
        assert_eq!((settings.cache, settings.http.port()), (9, 1));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, told) in [
            ("\nlissten = \"0.0.0.0:1\"", "lissten"),
            ("\nlisten = 4433", "listen"),
            ("\npeers = [\"nobody\"]", "peers"),
            ("\n[checkpoints]\nevery = \"1 hour\"", "is no time such as"),
            ("\n[checkpoints]\nkeep = 1000", "1000 is more than 256"),
            ("\ncollections = [\"a/b/\\u0000\"]", "collections"),
            ("\n[log]\nbudget = 3", "budget"),
            ("\n[trace]\notlp = \"https://far\"", "no TLS"),
        ] {
            let err = parse(text).unwrap_err();
            assert!(err.contains("line 2") || err.contains("line 3"), "{err}");
            assert!(err.contains(told), "{err}");
        }
    }
}
