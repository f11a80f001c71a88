//! What has no struct in C: figures and conflicts as JSON.

use littoral::store::{Candidate, Conflict, Stats};
use littoral::value::field_to_json;
use serde_json::{Value, json};

pub(crate) fn names(names: &[String]) -> String {
    Value::from(names.to_vec()).to_string()
}

pub(crate) fn stats(stats: &Stats) -> String {
    let collections = stats.collections.iter().map(|collection| {
        json!({
            "name": collection.name,
            "documents": collection.documents,
            "conflicts": collection.conflicts,
            "transactions": collection.transactions,
            "origins": collection.origins,
        })
    });
    json!({
        "node": stats.node.to_string(),
        "collections": collections.collect::<Vec<_>>(),
        "state_bytes": stats.state_bytes,
        "log_bytes": stats.log_bytes,
        "position": stats.position.0,
        "log_syncs": stats.log_syncs,
        "failure": stats.failure,
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
