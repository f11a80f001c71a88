//! `status`: what the store holds, whether its node is healthy, and how its peers stand.

use std::collections::BTreeMap;

use littoral::Result;
use serde_json::json;

use super::Context;
use super::standing::{self, Names};
use crate::cli::StatusArgs;
use crate::kinds::{EXIT_FAILED, EXIT_OK};
use crate::output::{bytes, moment, number, table};
use crate::shape::{CollectionState, Health, JoinsShape, RefusalShape, Running, Status};
use crate::target::{Target, Wanted};

/// `littoral status`. Gives the exit code: whether the node can do its work.
pub(super) fn status(context: &Context, args: &StatusArgs) -> Result<u8> {
    let target: Box<dyn Target> = match args.running {
        true => Box::new(super::links::node(context)?),
        false => context.target(Wanted::Existing)?,
    };
    let status = target.status()?;
    let health = target.health()?;
    let fails = health.as_ref().is_some_and(|health| health.status == "failing");
    let code = if fails { EXIT_FAILED } else { EXIT_OK };
    let state = if args.digests { Some(target.state()?) } else { None };
    if context.output.json {
        let mut shape = serde_json::to_value(&status).expect("a shape is JSON");
        if let Some(state) = state {
            shape["state"] = json!(state);
        }
        if let Some(health) = health {
            shape["health"] = json!(health);
        }
        context.output.json(&shape)?;
        return Ok(code);
    }
    let mut parts = vec![about(&status, health.as_ref()), collections(&status, state.as_deref())];
    if let Some(running) = &status.running {
        parts.extend([
            standing::told(running, &Names::of(&*target)?),
            refused(&running.refused),
            kept_off(&running.kept_off),
        ]);
    }
    parts.retain(|part| !part.is_empty());
    context.output.line(parts.join("\n\n"))?;
    Ok(code)
}

/// `littoral links`: the part of it that is about links.
pub(super) fn links(context: &Context, target: &dyn Target) -> Result<()> {
    let status = target.status()?;
    let running = status.running.as_ref();
    if context.output.json {
        return context.output.json(&json!({
            "links": running.map(|running| &running.links),
            "standings": running.map(|running| &running.standings),
            "partings": running.map(|running| &running.partings),
            "offline_since": running.map(|running| &running.offline_since),
        }));
    }
    let Some(running) = running else { return context.output.line("no links") };
    let shown = standing::told(running, &Names::of(target)?);
    let parts = [online(running).unwrap_or_default(), shown];
    context.output.line(parts.join("\n\n").trim_start())
}

fn about(status: &Status, health: Option<&Health>) -> String {
    let mut rows = vec![row(["node", &status.node])];
    rows.extend(health.map(|health| row(["health", &told(health)])));
    rows.extend(status.running.as_ref().and_then(online).map(|told| row(["offline", &told])));
    rows.extend([
        row(["conflicts", &conflicts(status)]),
        row([
            "disk",
            &format!(
                "state {}, log {} of {}",
                bytes(status.state_bytes),
                bytes(status.log_bytes),
                bytes(status.log_budget_bytes)
            ),
        ]),
    ]);
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

/// In a word, and what is not as it should be.
fn told(health: &Health) -> String {
    let of = |wanted: fn(&str) -> bool| {
        let checks = health.checks.iter().filter(|check| wanted(&check.status));
        checks.map(|check| format!("{}: {}", check.check, check.what)).collect::<Vec<_>>()
    };
    let bad = of(|status| status != "ok");
    let told = if bad.is_empty() { of(|_| true) } else { bad };
    format!("{} ({})", health.status, told.join("; "))
}

/// Since when the node keeps off its peers, if it does.
fn online(running: &Running) -> Option<String> {
    let since = match &running.offline_since {
        Some(time) => format!(" since {}", moment(time)),
        None if running.offline => String::new(),
        None => return None,
    };
    Some(format!(
        "all links are cut{since}, as was asked for; `littoral links resume` takes them up again"
    ))
}

fn conflicts(status: &Status) -> String {
    match status.collections.iter().map(|one| one.conflicts).sum() {
        0 => "none".to_owned(),
        1 => "in 1 document; `littoral conflicts` shows it".to_owned(),
        count => format!("in {} documents; `littoral conflicts` shows them", number(count)),
    }
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
