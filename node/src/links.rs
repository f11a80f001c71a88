//! The links of a node as JSON shapes.

use std::collections::BTreeMap;

use littoral::clock::Timestamp;
use littoral::net::{
    CollectionStatus, Direction, LinkState, LinkStatus, Network, Offence, Parting, Standing,
    Trouble,
};

use crate::shape::{
    FindingShape, JoinsShape, LinkCollection, LinkShape, PartingShape, RefusalShape, Running,
    StandingShape,
};

/// All links of a network, in the order in which they came.
pub(crate) fn shapes(network: &Network) -> Vec<LinkShape> {
    network.links().iter().map(LinkShape::from).collect()
}

/// How far each peer is behind, by peer and collection.
pub(crate) fn standings(network: &Network) -> Vec<StandingShape> {
    let shape = |standing: &Standing| StandingShape {
        peer: standing.peer.to_string(),
        collection: standing.collection.clone(),
        live: standing.live,
        lag_transactions: standing.lag_txns,
        lag_s: standing.lag.as_secs_f64(),
        stalled_s: standing.stalled.as_secs_f64(),
    };
    network.standings().iter().map(shape).collect()
}

/// Since when all links are cut for now.
pub(crate) fn offline_since(network: &Network) -> Option<String> {
    network.offline_since_ms().map(|ms| Timestamp::from_millis(ms).to_string())
}

/// The peers that were linked and are not now.
pub(crate) fn partings(network: &Network) -> Vec<PartingShape> {
    let shape = |parting: Parting| PartingShape {
        peer: parting.peer.to_string(),
        time: Timestamp::from_millis(parting.at_ms).to_string(),
        reason: parting.reason,
    };
    network.partings().into_iter().map(shape).collect()
}

/// What became of those who wanted to join.
pub(crate) fn joins(network: &Network) -> JoinsShape {
    let joins = network.joins();
    let refused = joins.refused.iter().map(|(why, count)| ((*why).to_owned(), *count));
    JoinsShape { joined: joins.joined, refused: refused.collect() }
}

/// Nodes that a network turned away, newest first.
pub(crate) fn refused(network: &Network) -> Vec<RefusalShape> {
    let shape = |refusal: &littoral::net::Refusal| RefusalShape {
        node: refusal.node.to_string(),
        time: Timestamp::from_millis(refusal.at_ms).to_string(),
    };
    network.refusals().nodes.iter().map(shape).collect()
}

/// How often somebody was kept off, by kind.
pub(crate) fn kept_off(network: &Network) -> BTreeMap<String, u64> {
    let kept = network.kept_off().by_kind();
    kept.into_iter().map(|(kind, count)| (kind.to_owned(), count)).collect()
}

impl From<&LinkStatus> for LinkShape {
    fn from(link: &LinkStatus) -> LinkShape {
        let (state, refused) = word(&link.state);
        LinkShape {
            peer: link.peer.to_string(),
            address: link.address.clone(),
            incoming: link.direction == Direction::Incoming,
            state: state.to_owned(),
            connected_since: link
                .connected_since_ms
                .map(|ms| Timestamp::from_millis(ms).to_string()),
            reason: refused.or_else(|| link.last_error.clone()),
            synced: link.synced,
            rtt_ms: link.rtt_ms,
            received_bytes: link.received_bytes,
            sent_bytes: link.sent_bytes,
            collections: link.collections.iter().map(collection).collect(),
        }
    }
}

/// What there is to say about links.
pub(crate) fn findings(running: &Running) -> Vec<FindingShape> {
    let mut found: Vec<_> = offline(running).into_iter().collect();
    found.extend(running.links.iter().flat_map(about));
    found.extend(running.partings.iter().filter_map(|parting| gone(running, parting)));
    found
}

fn offline(running: &Running) -> Option<FindingShape> {
    let since = running.offline_since.as_ref()?;
    Some(FindingShape {
        level: "warning".to_owned(),
        code: "offline".to_owned(),
        place: "this node".to_owned(),
        what: format!("all its links are cut since {since}, as was asked for"),
        advice: "`littoral links resume` takes them up again".to_owned(),
    })
}

/// Of a peer that had dialled nothing else is left; and where this node is offline, that says it.
fn gone(running: &Running, parting: &PartingShape) -> Option<FindingShape> {
    let has_link = running.links.iter().any(|link| link.peer == parting.peer);
    if has_link || running.offline {
        return None;
    }
    let of = running.standings.iter().filter(|one| one.peer == parting.peer);
    let lag: u64 = of.map(|one| one.lag_transactions).sum();
    Some(FindingShape {
        level: "note".to_owned(),
        code: "peer-away".to_owned(),
        place: format!("the peer {}", parting.peer),
        what: format!(
            "its last link ended at {} ({}); it lacks up to {lag} transactions",
            parting.time, parting.reason
        ),
        advice: "nothing, if it is meant to be away: it dials again by itself".to_owned(),
    })
}

fn about(link: &LinkShape) -> Vec<FindingShape> {
    let finding = |level: &str, code: &str, what: String, advice: &str| FindingShape {
        level: level.to_owned(),
        code: code.to_owned(),
        place: format!("the link to {} at {}", link.peer, link.address),
        what,
        advice: advice.to_owned(),
    };
    let why = link.reason.as_deref().unwrap_or("no reason was given");
    let mut found = Vec::new();
    match link.state.as_str() {
        "refused" => found.push(finding(
            "warning",
            "link-refused",
            format!("one of the two does not want the other ({why})"),
            "let each of them name the other's key with --peer",
        )),
        "waiting" => found.push(finding(
            "warning",
            "link-down",
            format!("there is no connection ({why})"),
            "nothing, if the peer is away: it is tried again by itself; what is written meanwhile is kept",
        )),
        _ => {}
    }
    for part in &link.collections {
        if part.unacked_bytes > 0 {
            found.push(finding(
                "note",
                "peer-behind",
                format!(
                    "{} bytes of '{}' are on their way or not yet applied there",
                    part.unacked_bytes, part.name
                ),
                "nothing: it goes on by itself",
            ));
        }
        if let Some(trouble) = &part.trouble {
            found.push(finding(
                "warning",
                "link-trouble",
                format!("'{}' is {trouble}", part.name),
                "if it stays so: `littoral verify` on both sides tells which one is damaged; for a fork see there",
            ));
        }
    }
    found
}

fn word(state: &LinkState) -> (&'static str, Option<String>) {
    match state {
        LinkState::Connecting => ("connecting", None),
        LinkState::Connected => ("connected", None),
        LinkState::Waiting => ("waiting", None),
        LinkState::Refused(why) => ("refused", Some(why.clone())),
        LinkState::Standby => ("standby", None),
        LinkState::Paused => ("paused", None),
        LinkState::Closed => ("closed", None),
        _ => ("unknown", None),
    }
}

fn collection((name, status): (&String, &CollectionStatus)) -> LinkCollection {
    LinkCollection {
        name: name.clone(),
        sent: status.progress.sent_txns,
        received: status.progress.received_txns,
        unacked_bytes: status.progress.unacked_bytes,
        trouble: status.trouble.map(trouble),
    }
}

fn trouble(trouble: Trouble) -> String {
    match trouble {
        Trouble::Diverged => {
            "diverged: both hold the same transactions but not the same content; please report it"
                .to_owned()
        }
        Trouble::Halted(Offence::Forked) => {
            "forked: two transactions have one name; a store was copied or rolled back".to_owned()
        }
        Trouble::Halted(Offence::TooNew) => {
            "too new: one side does not know what the other writes here; upgrade Littoral on it"
                .to_owned()
        }
        Trouble::Halted(Offence::Forbidden) => {
            "forbidden: one side holds transactions of a node that may not write here".to_owned()
        }
        Trouble::Halted(Offence::TooMuch) => {
            "too much: more collections, or origins in this one, than a link carries or a store takes"
                .to_owned()
        }
        Trouble::Halted(_) => {
            "halted: a transaction of one side is invalid; its log says which".to_owned()
        }
        Trouble::Behind => {
            "behind: the peer's log no longer reaches back to what is here; a snapshot is on its way"
                .to_owned()
        }
        Trouble::PeerBehind => {
            "peer behind: the log here no longer reaches back to what the peer holds; it is sent a snapshot"
                .to_owned()
        }
        Trouble::Stuck => {
            "stuck: the peer sends what builds on transactions it does not tell".to_owned()
        }
        _ => "in trouble".to_owned(),
    }
}
