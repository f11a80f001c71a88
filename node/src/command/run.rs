//! `run`: a node, until Ctrl-C.

use std::time::Duration;

use littoral::{Error, ErrorKind, Result, Store};
use serde_json::json;

use super::Context;
use crate::cli::{Peer, RunArgs};
use crate::http::Exposure;
use crate::node::{Node, NodeOptions};
use crate::signals::Signals;
use crate::target::{Wanted, keep_checkpoints, running_node};
use crate::tokens::Tokens;

/// `littoral run`
pub(super) fn run(context: &Context, args: &RunArgs) -> Result<()> {
    let data = context.opening.data.clone();
    let options = Store::options().cache_bytes((args.cache as usize) << 20);
    let store =
        context.opening.open_store_with(options, Wanted::Made).map_err(
            |err| match running_node(&data) {
                Some(node) if err.kind() == ErrorKind::Locked => Error::new(
                    err.kind(),
                    format!("a node runs on this store already, at {}", node.url()),
                ),
                _ => err,
            },
        )?;
    set_budget(&store, args)?;
    keep_checkpoints(&store)?;
    set_checkpoints(&store, args)?;
    let every = args.checkpoint_every.map(|every| Duration::from_secs(every.0.max(1)));
    let options = NodeOptions {
        data,
        listen: args.listen,
        http: args.http,
        discover: args.discover,
        checkpoint_every: every,
    };
    if let Some(wanted) = &args.collections {
        store.want(wanted.0.clone())?;
    }
    let signals = Signals::catch()?;
    let node = Node::start(store, &options)?;
    let mut peers = args.peer.len();
    for peer in &args.peer {
        match peer {
            Peer::Connect(address) => drop(node.connect(address)?),
            Peer::Accept(key) => node.accept(*key)?,
        }
    }
    peers += node.connect_known()?;
    announce(context, &node, peers)?;
    warn_without_tokens(context, args)?;
    signals.wait();
    eprintln!("littoral: stopping");
    node.stop()
}

fn set_budget(store: &Store, args: &RunArgs) -> Result<()> {
    if args.log_budget.is_some() || args.log_days.is_some() {
        let mut budget = store.default_log_budget();
        budget.bytes = args.log_budget.map_or(budget.bytes, |mib| u64::from(mib) << 20);
        budget.age_ms = args.log_days.map_or(budget.age_ms, |days| u64::from(days) * 86_400_000);
        store.set_default_log_budget(Some(budget))?;
    }
    // Writes prune as they go: what has grown too old since is pruned now.
    store.prune().map(drop)
}

fn set_checkpoints(store: &Store, args: &RunArgs) -> Result<()> {
    if args.checkpoints.is_some() || args.checkpoint_days.is_some() {
        let mut rule = store.automatic_checkpoints()?.unwrap_or_default();
        rule.keep = args.checkpoints.unwrap_or(rule.keep);
        let days = args.checkpoint_days.map(|days| u64::from(days) * 86_400_000);
        rule.age_ms = days.unwrap_or(rule.age_ms);
        store.set_automatic_checkpoints(rule)?;
    }
    Ok(())
}

/// Says it when nobody can ask at an address that is there for others.
fn warn_without_tokens(context: &Context, args: &RunArgs) -> Result<()> {
    let reached = Exposure::of(args.http) == Exposure::Network;
    if reached && Tokens::of(&context.opening.data).list()?.is_empty() {
        eprintln!(
            "littoral: HTTP at {} asks for a token and there is none yet: `littoral token create`",
            args.http
        );
    }
    Ok(())
}

fn announce(context: &Context, node: &Node, peers: usize) -> Result<()> {
    let key = node.store().node_id();
    let sentence = format!(
        "node      {key}\nlinks at  {}\nHTTP at   {} (a dashboard, in a browser)\npeers     {}\nCtrl-C ends it.",
        node.listen(),
        node.url(),
        peers
    );
    let shape =
        json!({"key": key.to_string(), "listen": node.listen().to_string(), "http": node.url()});
    context.output.done(sentence, &shape)
}
