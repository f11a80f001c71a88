//! `join`: becomes a member with a ticket, and syncs for the first time.

use std::io::{IsTerminal, Read as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use littoral::net::{LinkStatus, Network, NetworkOptions};
use littoral::txn::joining::Welcome;
use littoral::txn::ticket::Ticket;
use littoral::{Error, ErrorKind, Result, Store};
use serde_json::json;

use super::invite::no_input;
use super::peers::may;
use super::{Context, run, sync};
use crate::cli::{JoinArgs, RunArgs};
use crate::here;
use crate::members::words;
use crate::output::{bytes, number, plain};
use crate::target::Wanted;

/// `littoral join`
pub(super) fn join(context: &Context, args: &JoinArgs) -> Result<()> {
    let ticket = read_ticket(&args.ticket)?;
    let store = open(context, &ticket)?;
    let name = args.name.clone().unwrap_or_else(here::name);
    let deadline = Instant::now() + Duration::from_secs(args.timeout);
    let network = Network::start(&store, NetworkOptions::default())?;
    let left = || deadline.saturating_duration_since(Instant::now());
    let (welcome, link) = network.join(&ticket, &name, left())?;
    let quiet = context.output.json;
    if !quiet {
        eprintln!("littoral: {}", plain(&joined(&ticket, &welcome)));
    }
    let started = Instant::now();
    let bar = bar(quiet);
    let synced = sync::wait(&link, left(), |status| bar.set_message(progress(status)));
    bar.finish_and_clear();
    let status = link.status();
    network.close();
    store.close()?;
    synced.map_err(|err| late(err, &status))?;
    told(context, &ticket, &welcome, &status, started.elapsed())?;
    match &args.run {
        true => run::run(context.clone(), &RunArgs::at(args.listen, args.http), true),
        false => Ok(()),
    }
}

/// The ticket that was given, or is on standard input.
fn read_ticket(argument: &str) -> Result<Ticket> {
    if argument != "-" {
        return argument.parse();
    }
    let mut text = String::new();
    let limit = littoral::limits::MAX_TICKET_CHARS as u64 * 2;
    std::io::stdin().lock().take(limit).read_to_string(&mut text).map_err(|err| no_input(&err))?;
    text.parse()
}

/// The store that is to join: a new one, if there is none, of the ticket's network.
fn open(context: &Context, ticket: &Ticket) -> Result<Store> {
    let options = Store::options().network_id(ticket.network);
    context.opening.open_store_with(options, Wanted::Made).map_err(|err| match err.kind() {
        ErrorKind::Locked => Error::new(
            err.kind(),
            format!("{err}; if a node runs on it, stop that, join, and start it again"),
        ),
        _ => err,
    })
}

fn joined(ticket: &Ticket, welcome: &Welcome) -> String {
    let inviter = match welcome.inviter.is_empty() {
        true => ticket.inviter.short(),
        false => format!("{} ({})", welcome.inviter, ticket.inviter.short()),
    };
    format!("joined {inviter}: {}", may(&words(&welcome.rights)))
}

/// On a terminal, how far it is; how far it will be, nobody knows.
fn bar(quiet: bool) -> ProgressBar {
    if quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {elapsed} {msg}");
    let bar = ProgressBar::new_spinner().with_style(style.expect("a legal template"));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn progress(status: &LinkStatus) -> String {
    let (transactions, documents) = received(status);
    let mut parts = vec![status_word(status), bytes(status.received_bytes)];
    if documents > 0 {
        parts.push(format!("{} documents of snapshots", number(documents)));
    }
    parts.push(format!("{} transactions", number(transactions)));
    parts.join(", ")
}

fn status_word(status: &LinkStatus) -> String {
    match status.connected_since_ms {
        Some(_) => "syncing".to_owned(),
        None => "connecting".to_owned(),
    }
}

/// Transactions, and documents of snapshots.
fn received(status: &LinkStatus) -> (u64, u64) {
    let counts = status
        .collections
        .values()
        .map(|part| (part.progress.received_txns, part.progress.snapshot_documents));
    counts.fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1))
}

fn told(
    context: &Context,
    ticket: &Ticket,
    welcome: &Welcome,
    status: &LinkStatus,
    took: Duration,
) -> Result<()> {
    let (transactions, documents) = received(status);
    let sentence = format!(
        "in sync with {} after {:.1} s: received {} transactions and {} documents of snapshots; \
         `littoral run` keeps it so",
        ticket.inviter.short(),
        took.as_secs_f64(),
        number(transactions),
        number(documents)
    );
    let shape = json!({
        "inviter": ticket.inviter.to_string(),
        "founder": welcome.founder.to_string(),
        "name": welcome.inviter,
        "rights": words(&welcome.rights),
        "transactions": transactions,
        "documents": documents,
    });
    context.output.done(sentence, &shape)
}

/// It has joined, and that stays so.
fn late(err: Error, status: &LinkStatus) -> Error {
    if err.kind() != ErrorKind::Timeout {
        return err;
    }
    let why = status.last_error.as_deref().unwrap_or("it takes longer than --timeout");
    Error::new(
        ErrorKind::Timeout,
        format!("joined, but not in sync yet: {why}; `littoral run` goes on with it"),
    )
}
