//! What has no struct in C: figures, conflicts and links as JSON.

use littoral::clock::Timestamp;
#[cfg(feature = "net")]
use littoral::net::{CollectionStatus, Direction, LinkState, LinkStatus, Offence, Trouble};
use littoral::store::{
    Applied, BundleCollection, BundleContents, Candidate, CheckpointCost, Conflict, Difference,
    Finding, Have, Hold, Replay, ReplayOutcome, ReplayedCollection, Reverted, Stats, Undone,
    WrittenBy,
};
use littoral::value::{field_to_json, fields_to_json};
use serde_json::{Value, json};

pub(crate) fn names(names: &[String]) -> String {
    Value::from(names.to_vec()).to_string()
}

pub(crate) fn findings(findings: &[Finding]) -> String {
    Value::from_iter(findings.iter().map(Finding::json)).to_string()
}

pub(crate) fn stats(stats: &Stats) -> Value {
    let collections = stats.collections.iter().map(|collection| {
        json!({
            "name": collection.name,
            "documents": collection.documents,
            "conflicts": collection.conflicts,
            "transactions": collection.transactions,
            "origins": collection.origins,
            "exported": collection.exported,
            "pruned": collection.pruned,
            "log_bytes": collection.log_bytes,
            "log_budget_bytes": collection.log_budget.bytes,
            "log_budget_ms": collection.log_budget.age_ms,
        })
    });
    json!({
        "node": stats.node.to_string(),
        "collections": collections.collect::<Vec<_>>(),
        "state_bytes": stats.state_bytes,
        "log_bytes": stats.log_bytes,
        "log_budget_bytes": stats.log_budget_bytes,
        "log_start": stats.log_start.0,
        "log_held": stats.log_held,
        "log_pins_expired": stats.log_pins_expired,
        "position": stats.position.0,
        "log_syncs": stats.log_syncs,
        "failure": stats.failure,
        "kept_off": null,
        "joins": null,
    })
}

/// What is in a bundle, and what of it is new for who has `have`.
pub(crate) fn bundle(contents: &BundleContents, have: Option<&Have>) -> String {
    let collections = contents.collections.iter().map(|one| {
        let mut shape = bundle_collection(one);
        if let Some(have) = have {
            let held = have.vector(&one.name);
            shape["new"] = one.news(&held).into();
            shape["missing"] = one.missing(&held).into();
        }
        shape
    });
    let network: String = contents.network.0.iter().map(|byte| format!("{byte:02x}")).collect();
    json!({
        "network": network,
        "maker": contents.maker.to_string(),
        "made": Timestamp::from_millis(contents.made_ms).to_string(),
        "bytes": contents.bytes,
        "collections": collections.collect::<Vec<_>>(),
    })
    .to_string()
}

fn bundle_collection(one: &BundleCollection) -> Value {
    let time = |ms: u64| Timestamp::from_millis(ms).to_string();
    let authors = one.authors.iter().map(|(origin, authored)| {
        json!({
            "author": origin.node.to_string(),
            "incarnation": origin.incarnation,
            "first": authored.first,
            "last": authored.last,
        })
    });
    json!({
        "name": one.name,
        "snapshot": one.snapshot,
        "since": one.base.iter().map(|(_, head)| head.seq).fold(0, u64::saturating_add),
        "transactions": one.transactions,
        "documents": one.documents,
        "bytes": one.bytes,
        "oldest": one.times_ms.map(|(oldest, _)| time(oldest)),
        "newest": one.times_ms.map(|(_, newest)| time(newest)),
        "authors": authors.collect::<Vec<_>>(),
    })
}

pub(crate) fn applied(applied: &Applied) -> String {
    let collections = applied.collections.iter().map(|one| {
        json!({
            "name": one.name,
            "snapshot": one.snapshot,
            "wanted": one.wanted,
            "new": one.new,
            "duplicates": one.duplicates,
        })
    });
    json!({ "collections": collections.collect::<Vec<_>>() }).to_string()
}

pub(crate) fn checkpoints(costs: &[CheckpointCost]) -> String {
    let checkpoint = |cost: &CheckpointCost| {
        json!({
            "label": cost.checkpoint.label,
            "made": Timestamp::from_millis(cost.checkpoint.made_ms).to_string(),
            "position": cost.checkpoint.position.0,
            "automatic": cost.checkpoint.automatic,
            "rows": cost.rows,
            "bytes": cost.bytes,
            "freed_bytes": cost.freed_bytes,
            "log_held": cost.log_held,
        })
    };
    Value::from_iter(costs.iter().map(checkpoint)).to_string()
}

pub(crate) fn difference(found: &Difference) -> String {
    differing(found).to_string()
}

fn differing(found: &Difference) -> Value {
    json!({
        "collection": found.collection,
        "id": found.id,
        "before": found.before.as_ref().map(fields_to_json),
        "after": found.after.as_ref().map(fields_to_json),
        "written": Value::from_iter(found.written.iter().map(written)),
        "kept": Value::from_iter(found.kept.iter().map(written)),
    })
}

pub(crate) fn undone(undone: &Undone) -> String {
    json!({
        "time": undone.time.to_string(),
        "documents": undone.documents(),
        "changes": Value::from_iter(undone.changes.iter().map(differing)),
    })
    .to_string()
}

pub(crate) fn holds(holds: &[Hold]) -> String {
    let hold = |hold: &Hold| {
        json!({
            "collection": hold.collection,
            "label": hold.label,
            "since": Timestamp::from_millis(hold.since_ms).to_string(),
            "documents": hold.documents,
        })
    };
    json!({"holds": Value::from_iter(holds.iter().map(hold))}).to_string()
}

pub(crate) fn replay(replay: &Replay) -> String {
    let (outcome, mended) = match replay.outcome {
        ReplayOutcome::Same => ("same", 0),
        ReplayOutcome::Mended(documents) => ("mended", documents),
        ReplayOutcome::Differs => ("differs", 0),
    };
    let differs = |one: &&ReplayedCollection| one.differing > 0 || !one.is_alike();
    let differing = replay.collections.iter().filter(differs).map(
        |one| json!({"collection": one.name, "documents": one.differing, "alike": one.is_alike()}),
    );
    json!({
        "checkpoint": replay.checkpoint.label,
        "through": replay.through.0,
        "transactions": replay.transactions,
        "documents": replay.documents,
        "ms": u64::try_from(replay.took.as_millis()).unwrap_or(u64::MAX),
        "outcome": outcome,
        "mended": mended,
        "differing": Value::from_iter(differing),
    })
    .to_string()
}

fn written(written: &WrittenBy) -> Value {
    json!({
        "path": written.path.to_string(),
        "author": written.dot.origin.node.to_string(),
        "incarnation": written.dot.origin.incarnation,
        "seq": written.dot.seq,
        "time": written.time.to_string(),
    })
}

pub(crate) fn reverted(done: &Reverted) -> String {
    json!({
        "documents": done.documents,
        "transactions": done.transactions,
        "left": done.left,
        "kept": done.kept,
    })
    .to_string()
}

pub(crate) fn conflicts(conflicts: &[Conflict]) -> String {
    Value::from_iter(conflicts.iter().map(conflict)).to_string()
}

fn conflict(conflict: &Conflict) -> Value {
    json!({
        "collection": conflict.collection,
        "id": conflict.id,
        "path": conflict.path.to_string(),
        "candidates": conflict.candidates.iter().map(candidate).collect::<Vec<_>>(),
    })
}

fn candidate(candidate: &Candidate) -> Value {
    json!({
        "value": field_to_json(&candidate.field),
        "author": candidate.dot.origin.node.to_string(),
        "time": candidate.time.to_string(),
    })
}

#[cfg(feature = "net")]
pub(crate) fn links(links: &[LinkStatus]) -> String {
    Value::from_iter(links.iter().map(link)).to_string()
}

#[cfg(feature = "net")]
pub(crate) fn link(status: &LinkStatus) -> Value {
    let (state, reason) = match &status.state {
        LinkState::Connecting => ("connecting", None),
        LinkState::Connected => ("connected", None),
        LinkState::Waiting => ("waiting", None),
        LinkState::Refused(reason) => ("refused", Some(reason)),
        LinkState::Standby => ("standby", None),
        LinkState::Paused => ("paused", None),
        LinkState::Closed => ("closed", None),
        _ => ("unknown", None),
    };
    let direction = match status.direction {
        Direction::Outgoing => "outgoing",
        Direction::Incoming => "incoming",
    };
    let collections: serde_json::Map<String, Value> = status
        .collections
        .iter()
        .map(|(name, collection)| (name.clone(), link_collection(collection)))
        .collect();
    json!({
        "id": status.id,
        "peer": status.peer.to_string(),
        "address": status.address,
        "direction": direction,
        "state": state,
        "reason": reason,
        "last_error": status.last_error,
        "connected_since_ms": status.connected_since_ms,
        "rtt_ms": status.rtt_ms,
        "received_bytes": status.received_bytes,
        "sent_bytes": status.sent_bytes,
        "synced": status.synced,
        "collections": collections,
    })
}

#[cfg(feature = "net")]
fn link_collection(status: &CollectionStatus) -> Value {
    let trouble = status.trouble.map(|trouble| match trouble {
        Trouble::Diverged => "diverged",
        Trouble::Halted(Offence::Forked) => "forked",
        Trouble::Halted(Offence::TooNew) => "too_new",
        Trouble::Halted(Offence::Forbidden) => "forbidden",
        Trouble::Halted(Offence::TooMuch) => "too_much",
        Trouble::Halted(_) => "invalid",
        Trouble::Behind => "behind",
        Trouble::PeerBehind => "peer_behind",
        Trouble::Stuck => "stuck",
        _ => "unknown",
    });
    let progress = &status.progress;
    json!({
        "sent_txns": progress.sent_txns,
        "sent_bytes": progress.sent_bytes,
        "received_txns": progress.received_txns,
        "received_bytes": progress.received_bytes,
        "unacked_bytes": progress.unacked_bytes,
        "unapplied_bytes": progress.unapplied_bytes,
        "caught_up": progress.caught_up,
        "peer_caught_up": progress.peer_caught_up,
        "trouble": trouble,
    })
}
