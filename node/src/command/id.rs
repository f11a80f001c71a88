//! `id`: who this node is, and where.

use littoral::Result;
use littoral::net::reached_at;
use serde_json::json;

use super::Context;
use crate::target::Wanted;

/// `littoral id`
pub(super) fn id(context: &Context) -> Result<()> {
    let status = context.target(Wanted::Made)?.status()?;
    let listen = status.running.and_then(|running| running.listen);
    let key = status.node;
    let address = listen.map(|listen| format!("{}#{key}", reachable(&listen)));
    let sentence = address.clone().unwrap_or_else(|| key.clone());
    context.output.done(sentence, &json!({"key": key, "address": address}))
}

/// Where a node that listens there is reached from other machines.
fn reachable(listen: &str) -> String {
    let reached = listen.parse().map(reached_at).unwrap_or_default();
    reached.first().map_or_else(|| listen.to_owned(), ToString::to_string)
}
