//! `run`: a node, until Ctrl-C.

use std::collections::BTreeSet;
use std::time::Duration;

use littoral::{Error, ErrorKind, NodeId, Result, Store};
use serde_json::json;

use super::Context;
use crate::cli::{Peer, RunArgs};
use crate::config::Settings;
use crate::http::Exposure;
use crate::node::{Node, NodeOptions};
use crate::service;
use crate::signals::Signals;
use crate::target::{Wanted, keep_checkpoints, running_node};
use crate::tokens::Tokens;

/// `littoral run`. `is_named` says whether somebody named the store's directory, who then comes
/// before a configuration file.
pub(super) fn run(mut context: Context, args: &RunArgs, is_named: bool) -> Result<()> {
    raise_descriptors();
    let settings = Settings::of(args)?;
    if let (false, Some(data)) = (is_named, &settings.data) {
        context.opening.data.clone_from(data);
    }
    let data = context.opening.data.clone();
    let options = Store::options().cache_bytes((settings.cache as usize) << 20);
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
    keep_checkpoints(&store)?;
    set_up(&store, &settings)?;
    let every = settings.checkpoint_every.map(|every| Duration::from_secs(every.max(1)));
    let options = NodeOptions {
        data,
        listen: settings.listen,
        http: settings.http,
        discover: settings.discover,
        checkpoint_every: every,
    };
    let signals = Signals::catch(args.config.is_some())?;
    let node = Node::start(store, &options)?;
    let mut peers = settings.peers.len();
    let mut dialled = dial(&node, &settings.peers)?;
    peers += node.connect_known()?;
    announce(&context, &node, peers)?;
    warn_without_tokens(&context, &settings)?;
    let _watchdog = service::ready(node.store());
    while signals.wait() {
        service::reloading();
        match reload(&node, args, &mut dialled) {
            Ok(()) => tracing::info!("the configuration was read again"),
            // It goes on as it was.
            Err(err) => eprintln!("littoral: nothing was changed: {err}"),
        }
        service::ready_again();
    }
    service::stopping();
    eprintln!("littoral: stopping");
    node.stop()
}

/// Followers of changes, links and requests each take a descriptor, and most systems begin with
/// 1,024: so as many as are allowed.
fn raise_descriptors() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = limit.maximum;
        if let Err(err) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%err, "the number of descriptors could not be raised");
        }
    }
}

/// What of the settings is kept in the store.
fn set_up(store: &Store, settings: &Settings) -> Result<()> {
    if settings.log_budget.is_some() || settings.log_days.is_some() {
        let mut budget = store.default_log_budget();
        budget.bytes = settings.log_budget.map_or(budget.bytes, |mib| u64::from(mib) << 20);
        budget.age_ms =
            settings.log_days.map_or(budget.age_ms, |days| u64::from(days) * 86_400_000);
        store.set_default_log_budget(Some(budget))?;
    }
    if let Some(mib) = settings.change_values {
        store.set_change_values((mib > 0).then(|| u64::from(mib) << 20))?;
    }
    if settings.checkpoints.is_some() || settings.checkpoint_days.is_some() {
        let mut rule = store.automatic_checkpoints()?.unwrap_or_default();
        rule.keep = settings.checkpoints.unwrap_or(rule.keep);
        let days = settings.checkpoint_days.map(|days| u64::from(days) * 86_400_000);
        rule.age_ms = days.unwrap_or(rule.age_ms);
        store.set_automatic_checkpoints(rule)?;
    }
    if let Some(wanted) = &settings.collections {
        store.want(wanted.clone())?;
    }
    // Writes prune as they go: what has grown too old since is pruned now.
    store.prune().map(drop)
}

/// Connects to peers, or lets them in. Gives those that are dialled.
fn dial(node: &Node, peers: &[Peer]) -> Result<BTreeSet<NodeId>> {
    let mut dialled = BTreeSet::new();
    for peer in peers {
        match peer {
            Peer::Connect(address) => {
                drop(node.connect(address)?);
                dialled.insert(address.key());
            }
            Peer::Accept(key) => node.accept(*key)?,
        }
    }
    Ok(dialled)
}

/// Goes by what the file says now: as to peers, what is exchanged, and budgets. Links to peers that
/// are no longer named are cut and not made again; they are still let in, until they are distrusted.
fn reload(node: &Node, args: &RunArgs, dialled: &mut BTreeSet<NodeId>) -> Result<()> {
    let settings = Settings::of(args)?;
    set_up(node.store(), &settings)?;
    let now = dial(node, &settings.peers)?;
    for gone in dialled.difference(&now) {
        node.set_enabled(*gone, false);
    }
    for named in &now {
        node.set_enabled(*named, true);
    }
    *dialled = now;
    Ok(())
}

/// Says it when nobody can ask at an address that is there for others.
fn warn_without_tokens(context: &Context, settings: &Settings) -> Result<()> {
    let reached = Exposure::of(settings.http) == Exposure::Network;
    if reached && Tokens::of(&context.opening.data).list()?.is_empty() {
        eprintln!(
            "littoral: HTTP at {} asks for a token and there is none yet: `littoral token create`",
            settings.http
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
