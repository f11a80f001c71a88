//! `sync`: one session with a peer, and no more.

use std::time::{Duration, Instant};

use littoral::net::{LinkState, Network, NetworkOptions};
use littoral::{Error, ErrorKind, Result};
use serde_json::json;

use super::Context;
use crate::cli::SyncArgs;
use crate::output::number;
use crate::target::Wanted;

/// `littoral sync`
pub(super) fn sync(context: &Context, args: &SyncArgs) -> Result<()> {
    let store = context.opening.open_store(Wanted::Made).map_err(|err| match err.kind() {
        ErrorKind::Locked => Error::new(
            err.kind(),
            format!("{err}; a node that runs syncs by itself: give its `littoral run` a --peer"),
        ),
        _ => err,
    })?;
    let started = Instant::now();
    let network = Network::start(&store, NetworkOptions::default())?;
    let link = network.connect(args.peer.clone())?;
    let synced = link.wait_synced(Duration::from_secs(args.timeout));
    let status = link.status();
    network.close();
    synced.map_err(|err| explain(err, &status.state, status.last_error.as_deref()))?;
    store.close()?;
    let counts = status
        .collections
        .values()
        .map(|part| (part.progress.sent_txns, part.progress.received_txns));
    let (sent, received) = counts.fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
    let seconds = started.elapsed().as_secs_f64();
    let sentence = format!(
        "in sync with {} after {seconds:.1} s: sent {} transactions, received {}",
        args.peer.key().short(),
        number(sent),
        number(received)
    );
    let shape = json!({"peer": args.peer.key().to_string(), "sent": sent, "received": received});
    context.output.done(sentence, &shape)
}

/// Says why it took too long, if the link knows.
fn explain(err: Error, state: &LinkState, last_error: Option<&str>) -> Error {
    match (state, last_error) {
        (LinkState::Refused(why), _) => Error::new(ErrorKind::Refused, why.clone()),
        (_, Some(why)) => Error::new(err.kind(), format!("{err}; {why}")),
        _ => err,
    }
}
