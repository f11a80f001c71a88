//! How the peers of a node stand, for people: who is linked, since when, who is not and why, and
//! what is behind, by peer and collection.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use indicatif::HumanDuration;
use littoral::Result;

use crate::output::{bytes, moment, number, plain, short, table};
use crate::shape::{LinkShape, PartingShape, Running};
use crate::target::Target;

/// So many of those that were never linked are named.
const MANY: usize = 8;

/// What people call the members of the network.
#[derive(Debug, Default)]
pub(super) struct Names {
    names: BTreeMap<String, String>,
    /// Who may be linked with this node: those whom it trusts, members or named.
    peers: BTreeSet<String>,
}

impl Names {
    /// As the roster says.
    pub(super) fn of(target: &dyn Target) -> Result<Names> {
        let roster = target.roster()?;
        let in_it = roster.members.iter().filter(|one| one.rights.values().any(|of| of != "none"));
        let members = in_it.map(|one| one.node.clone());
        let mut peers: BTreeSet<String> =
            members.chain(roster.trusted.iter().map(|one| one.node.clone())).collect();
        peers.remove(&roster.node);
        let named = roster.members.into_iter().filter(|one| !one.name.is_empty());
        Ok(Names { names: named.map(|one| (one.node, one.name)).collect(), peers })
    }

    /// The name of a node, or the beginning of its key.
    pub(super) fn name<'a>(&'a self, key: &'a str) -> &'a str {
        self.names.get(key).map_or_else(|| short(key), String::as_str)
    }
}

/// All of it.
pub(super) fn told(running: &Running, names: &Names) -> String {
    let mut parts = vec![peers(running, names), behind(running, names), never(running, names)];
    parts.retain(|part| !part.is_empty());
    plain(&parts.join("\n\n"))
}

/// The links, and the peers that are gone without leaving one; below, why.
fn peers(running: &Running, names: &Names) -> String {
    let gone = running.partings.iter().filter(|one| links(running, &one.peer).next().is_none());
    let gone: Vec<&PartingShape> = gone.collect();
    if running.links.is_empty() && gone.is_empty() {
        return "no links".to_owned();
    }
    let head = ["link", "address", "state", "since", "behind", "round trip", "received", "sent"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let mut notes = Vec::new();
    for link in &running.links {
        rows.push(row_of(running, link, names));
        let name = names.name(&link.peer);
        let why = link.reason.iter().filter(|_| link.state != "connected");
        notes.extend(why.map(|why| format!("  {name}, why: {why}")));
        notes.extend(link.collections.iter().filter_map(|part| {
            let trouble = part.trouble.as_ref()?;
            Some(format!("  {name}, trouble: {} is {trouble}", part.name))
        }));
    }
    for parting in gone {
        let name = names.name(&parting.peer);
        let place = if running.offline { "-" } else { "dials this node" };
        let dash = || "-".to_owned();
        rows.push(vec![
            name.to_owned(),
            place.to_owned(),
            "away".to_owned(),
            moment(&parting.time),
            lag(running, &parting.peer),
            dash(),
            dash(),
            dash(),
        ]);
        notes.push(format!("  {name}, why: {}", parting.reason));
    }
    std::iter::once(table(&rows)).chain(notes).collect::<Vec<_>>().join("\n")
}

fn row_of(running: &Running, link: &LinkShape, names: &Names) -> Vec<String> {
    let parted = running.partings.iter().find(|one| one.peer == link.peer);
    let since = link.connected_since.as_ref().or_else(|| parted.map(|one| &one.time));
    let synced = if link.synced { ", synced" } else { "" };
    vec![
        format!("{} {}", if link.incoming { "from" } else { "to" }, names.name(&link.peer)),
        link.address.split('#').next().unwrap_or_default().to_owned(),
        format!("{}{synced}", link.state),
        since.map_or_else(|| "-".to_owned(), |time| moment(time)),
        lag(running, &link.peer),
        link.rtt_ms.map_or("-".to_owned(), |ms| format!("{ms:.1} ms")),
        bytes(link.received_bytes),
        bytes(link.sent_bytes),
    ]
}

/// How many transactions a peer lacks, if that is known.
fn lag(running: &Running, peer: &str) -> String {
    let mut of = running.standings.iter().filter(|one| one.peer == peer).peekable();
    match of.peek() {
        None => "-".to_owned(),
        Some(_) => number(of.map(|one| one.lag_transactions).sum()),
    }
}

/// What each peer lacks, by collection, and for how long.
fn behind(running: &Running, names: &Names) -> String {
    if running.standings.is_empty() {
        return String::new();
    }
    let late = running.standings.iter().filter(|one| one.lag_transactions > 0);
    let rows = late.map(|one| {
        let most = if one.live { "" } else { "up to " };
        let mut lasting = HumanDuration(Duration::from_secs_f64(one.lag_s)).to_string();
        if one.stalled_s >= 1.0 {
            let stalled = HumanDuration(Duration::from_secs_f64(one.stalled_s));
            lasting = format!("{lasting}; nothing has moved for {stalled}");
        }
        vec![
            names.name(&one.peer).to_owned(),
            one.collection.clone(),
            format!("{most}{}", number(one.lag_transactions)),
            lasting,
        ]
    });
    let head = ["behind", "collection", "transactions", "for"].map(str::to_owned).to_vec();
    let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
    match rows.len() {
        1 => {
            "nobody is behind, as far as is known: each peer above has all that is here".to_owned()
        }
        _ => table(&rows),
    }
}

/// Peers of which nothing is known since the node was started.
fn never(running: &Running, names: &Names) -> String {
    let known = |peer: &str| {
        links(running, peer).next().is_some() || running.partings.iter().any(|one| one.peer == peer)
    };
    let never: Vec<&str> =
        names.peers.iter().filter(|peer| !known(peer)).map(|peer| names.name(peer)).collect();
    match never.len() {
        0 => String::new(),
        count => {
            let named = never[..count.min(MANY)].join(", ");
            let more = count.saturating_sub(MANY);
            let more = if more == 0 {
                String::new()
            } else {
                format!(" and {} more", number(more as u64))
            };
            format!("not linked with this node since its start: {named}{more}")
        }
    }
}

fn links<'a>(running: &'a Running, peer: &'a str) -> impl Iterator<Item = &'a LinkShape> {
    running.links.iter().filter(move |link| link.peer == peer)
}
