//! `status`: what the store holds and how its links are doing.

use std::collections::BTreeMap;

use littoral::Result;
use serde_json::json;

use super::Context;
use crate::cli::StatusArgs;
use crate::output::{bytes, moment, number, plain, short, table};
use crate::shape::{CollectionState, JoinsShape, LinkShape, RefusalShape, Running, Status};
use crate::target::Wanted;

/// `littoral status`
pub(super) fn status(context: &Context, args: &StatusArgs) -> Result<()> {
    let target = context.target(Wanted::Existing)?;
    let status = target.status()?;
    let state = if args.digests { Some(target.state()?) } else { None };
    if context.output.json {
        let mut shape = serde_json::to_value(&status).expect("a shape is JSON");
        if let Some(state) = state {
            shape["state"] = json!(state);
        }
        return context.output.json(&shape);
    }
    let mut parts = vec![about(&status), collections(&status, state.as_deref())];
    if let Some(running) = &status.running {
        parts.extend([
            told(&running.links),
            refused(&running.refused),
            kept_off(&running.kept_off),
        ]);
    }
    parts.retain(|part| !part.is_empty());
    context.output.line(parts.join("\n\n"))
}

/// `littoral links`: the part of it that is about links.
pub(super) fn links(context: &Context, status: &Status) -> Result<()> {
    let shape = status.running.as_ref().map(|running| &running.links);
    if context.output.json {
        return context.output.json(&json!({"links": shape}));
    }
    context.output.line(shape.map_or_else(|| "no links".to_owned(), |all| told(all)))
}

fn about(status: &Status) -> String {
    let mut rows = vec![
        row(["node", &status.node]),
        row([
            "disk",
            &format!(
                "state {}, log {} of {}",
                bytes(status.state_bytes),
                bytes(status.log_bytes),
                bytes(status.log_budget_bytes)
            ),
        ]),
    ];
    if let Some(held) = &status.log_held {
        rows.push(row(["log", &format!("kept beyond its budget for: {held}")]));
    }

    for hold in &status.holds {
        let since = moment(&hold.since);
        let what = format!("{} shows checkpoint '{}' since {since}", hold.collection, hold.label);
        rows.push(row(["held", &format!("{what}; `littoral resume` ends that")]));
    }
    match &status.running {
        Some(running) => {
            rows.push(row(["runs", &how(running)]));
            rows.extend(joins(&running.joins));
        }
        None => rows.push(row(["runs", "no; start it with `littoral run`"])),
    }
    if let Some(failure) = &status.failure {
        rows.push(row(["fails", failure]));
    }
    table(&rows)
}

/// Who came with a ticket, if anybody did.
fn joins(joins: &JoinsShape) -> Option<Vec<String>> {
    let refused = joins.refused.iter().map(|(why, count)| format!("{count} {why}"));
    let refused: Vec<String> = refused.collect();
    let told = match (joins.joined, refused.is_empty()) {
        (0, true) => return None,
        (joined, true) => number(joined),
        (joined, false) => format!("{}, refused: {}", number(joined), refused.join(", ")),
    };
    Some(row(["joined", &told]))
}

fn how(running: &Running) -> String {
    let since = indicatif::HumanDuration(std::time::Duration::from_secs(running.uptime_s));
    let listen = running.listen.as_deref().unwrap_or("nowhere");
    format!("for {since}, process {}, accepts links at {listen}", running.pid)
}

fn collections(status: &Status, state: Option<&[CollectionState]>) -> String {
    if status.collections.is_empty() {
        return "no documents yet".to_owned();
    }
    let mut head = row(["collection", "documents", "conflicts", "transactions", "authors"]);
    head.extend(state.map(|_| "shown".to_owned()));
    let mut rows = vec![head];
    for found in &status.collections {
        let counts = [found.documents, found.conflicts, found.transactions, found.origins];
        let digest = state.and_then(|all| all.iter().find(|state| state.name == found.name));
        let mut cells = vec![found.name.clone()];
        cells.extend(counts.map(number));
        cells.extend(digest.map(|state| state.shown[..16].to_owned()));
        rows.push(cells);
    }
    table(&rows)
}

fn told(links: &[LinkShape]) -> String {
    if links.is_empty() {
        return "no links".to_owned();
    }
    let mut rows = vec![row(["link", "address", "state", "round trip", "received", "sent"])];
    let mut notes = Vec::new();
    for link in links {
        let place = link.address.split('#').next().unwrap_or_default();
        let synced = if link.synced { ", synced" } else { "" };
        rows.push(vec![
            format!("{} {}", if link.incoming { "from" } else { "to" }, short(&link.peer)),
            place.to_owned(),
            format!("{}{synced}", link.state),
            link.rtt_ms.map_or("-".to_owned(), |ms| format!("{ms:.1} ms")),
            bytes(link.received_bytes),
            bytes(link.sent_bytes),
        ]);
        notes.extend(link.reason.iter().map(|why| format!("  {}: {why}", short(&link.peer))));
        notes.extend(link.collections.iter().filter_map(|part| {
            let trouble = part.trouble.as_ref()?;
            Some(format!("  {}: {} is {trouble}", short(&link.peer), part.name))
        }));
    }
    std::iter::once(table(&rows))
        .chain(notes.iter().map(|note| plain(note)))
        .collect::<Vec<_>>()
        .join("\n")
}

fn kept_off(kept_off: &BTreeMap<String, u64>) -> String {
    let some = kept_off.iter().filter(|(_, count)| **count > 0);
    let some: Vec<String> = some
        .map(|(kind, count)| format!("{} {}", number(*count), kind.replace('_', " ")))
        .collect();
    match some.is_empty() {
        true => String::new(),
        false => format!("kept off: {}", some.join(", ")),
    }
}

fn refused(refused: &[RefusalShape]) -> String {
    if refused.is_empty() {
        return String::new();
    }
    let lines = refused.iter().map(|refusal| format!("  {}  {}", refusal.node, refusal.time));
    let head = "turned away, since their keys are not trusted (--peer KEY lets one in):".to_owned();
    std::iter::once(head).chain(lines).collect::<Vec<_>>().join("\n")
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}
