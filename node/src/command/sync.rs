//! `sync`: one session with a peer, and no more.

use std::time::{Duration, Instant};

use littoral::net::{Link, LinkState, LinkStatus, Network, NetworkOptions};
use littoral::{Error, ErrorKind, Result};
use serde_json::json;

use super::Context;
use crate::cli::SyncArgs;
use crate::output::number;
use crate::target::Wanted;

/// How often to look whether the peer has refused us.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// `littoral sync`
pub(super) fn sync(context: &Context, args: &SyncArgs) -> Result<()> {
    let store = context.opening.open_store(Wanted::Made).map_err(|err| match err.kind() {
        ErrorKind::Locked => Error::new(
            err.kind(),
            format!("{err}; a node that runs syncs by itself: give its `littoral run` a --peer"),
        ),
        _ => err,
    })?;
    if let Some(wanted) = &args.collections {
        store.want_of(args.peer.key(), wanted.0.clone())?;
    }
    let started = Instant::now();
    let network = Network::start(&store, NetworkOptions::default())?;
    let link = network.connect(args.peer.clone())?;
    let synced = wait(&link, Duration::from_secs(args.timeout), |_| ());
    let status = link.status();
    network.close();
    synced.map_err(|err| explain(err, args, &status))?;
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

/// Waits until both hold the same; not for a peer that does not want us. Has somebody look at how
/// far it is, now and then.
pub(super) fn wait(
    link: &Link,
    timeout: Duration,
    mut look: impl FnMut(&LinkStatus),
) -> Result<()> {
    let deadline = Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match link.wait_synced(left.min(LOOK_EVERY)) {
            Err(err) if err.kind() == ErrorKind::Timeout => {
                let status = link.status();
                look(&status);
                let refused = matches!(status.state, LinkState::Refused(_));
                if refused || left <= LOOK_EVERY {
                    return Err(err);
                }
            }
            ended => return ended,
        }
    }
}

/// Says why it took too long, if the link knows.
fn explain(err: Error, args: &SyncArgs, status: &LinkStatus) -> Error {
    let (peer, seconds) = (args.peer.key().short(), args.timeout);
    match (&status.state, &status.last_error) {
        (LinkState::Refused(why), _) => Error::new(ErrorKind::Refused, why.clone()),
        (_, why) if err.kind() == ErrorKind::Timeout => {
            let why = why.as_deref().unwrap_or("no answer so far");
            let sentence = format!("not in sync with {peer} after {seconds} s: {why}");
            Error::new(ErrorKind::Timeout, sentence)
        }
        _ => err,
    }
}
