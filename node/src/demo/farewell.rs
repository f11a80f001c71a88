//! The end of the demo: whether all agree, and how to talk to the nodes.

use std::path::{Path, PathBuf};

use console::style;
use littoral::{Error, ErrorKind, Result};
use serde_json::json;

use super::COLLECTION;
use super::cluster::{Cluster, Member};
use crate::output::Output;

/// Says how to go on, or for programs how it ended.
///
/// Errors: `Internal` if the replicas don't show the same documents.
pub(super) fn tell(cluster: &Cluster, output: Output, once: bool) -> Result<()> {
    let digests = cluster.members().map(|member| member.digest(COLLECTION));
    let [phone, hub, laptop] = digests;
    let (phone, hub, laptop) = (phone?, hub?, laptop?);
    if phone != hub || hub != laptop {
        return Err(Error::new(
            ErrorKind::Internal,
            "the nodes show different documents; please report it",
        ));
    }
    match (output.json, once) {
        (true, _) => output.json(&json!({
            "digest": phone,
            "nodes": cluster.members().map(facts),
        })),
        (false, true) => Ok(()),
        (false, false) => output.line(commands(cluster)),
    }
}

fn facts(member: &Member) -> serde_json::Value {
    json!({
        "name": member.name,
        "key": member.store().node_id().to_string(),
        "listen": member.node.listen().to_string(),
        "http": member.node.url(),
        "data": member.store().path(),
        "documents": member.documents(COLLECTION),
    })
}

fn commands(cluster: &Cluster) -> String {
    let program = program();
    let littoral = |member: &Member, rest: &str| {
        let data = member.store().path().unwrap_or(Path::new(""));
        format!("  {program} --data {} {rest}", quoted(data))
    };
    let url = |member: &Member| format!("{}/collections", member.node.url());
    let (phone, laptop, hub) = (&cluster.phone, &cluster.laptop, &cluster.hub);
    let page = |what: &str, member: &Member, path: &str| {
        format!("  {what:<20} {}{path}", style(member.node.url()).cyan())
    };
    [
        format!("\n{}", style("The nodes stay up until Ctrl-C. Open these in a browser:").bold()),
        page("notes on the phone", phone, "/notes"),
        page("notes on the laptop", laptop, "/notes"),
        page("dashboard of the hub", hub, "/"),
        format!("\n{}", style("Or paste these into another terminal:").bold()),
        littoral(phone, "put notes hello '{\"title\": \"from the phone\"}'"),
        littoral(laptop, "get notes hello"),
        littoral(laptop, "ls stations --prefix san- --limit 5"),
        littoral(hub, "status"),
        littoral(hub, "changes --follow"),
        format!("  curl {}/stations/docs/boston-ma", url(hub)),
        format!(
            "  curl -X PUT -H 'Content-Type: application/json' -d '{{\"title\": \"over HTTP\"}}' {}/notes/docs/h1",
            url(laptop)
        ),
        format!("  curl {}/notes/docs", url(phone)),
    ]
    .join("\n")
}

/// How to call this program from a shell.
fn program() -> String {
    let here = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("littoral"));
    let in_path = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join("littoral") == here));
    if in_path { "littoral".to_owned() } else { quoted(&here) }
}

/// A path as one word of a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
