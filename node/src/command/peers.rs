//! `peers`, `found-roster`, `join-roster`, `grant`, `revoke`: who belongs, and what each may do.

use std::collections::BTreeMap;

use littoral::txn::roster::{Right, Rights};
use littoral::{NodeId, Result};
use serde_json::json;

use super::Context;
use crate::cli::{FoundArgs, GrantArgs, JoinRosterArgs, RevokeArgs};
use crate::members::{self, MemberShape, RosterShape};
use crate::output::{moment, plain, short, table};
use crate::shape::{LinkShape, Status};
use crate::target::{Target, Wanted};

/// `littoral peers`
pub(super) fn peers(context: &Context) -> Result<()> {
    let target = context.target(Wanted::Existing)?;
    let (roster, status) = (target.roster()?, target.status()?);
    if context.output.json {
        return context.output.json(&roster);
    }
    let shown = match &roster.founder {
        Some(_) => of_roster(&roster, &status),
        None => without_roster(&roster, &status),
    };
    context.output.line(plain(&shown))
}

/// `littoral found-roster`
pub(super) fn found_roster(context: &Context, args: &FoundArgs) -> Result<()> {
    let target = context.target(Wanted::Made)?;
    target.found_roster(&args.name)?;
    let node = target.status()?.node;
    let sentence = "founded the roster of this network: this node is its admin, and grants others \
                    what they may do (`littoral grant`)";
    context.output.done(sentence, &json!({"founder": node}))
}

/// `littoral join-roster`
pub(super) fn join_roster(context: &Context, args: &JoinRosterArgs) -> Result<()> {
    context.target(Wanted::Made)?.join_roster(args.founder)?;
    let founder = args.founder.to_string();
    let sentence = format!("belongs to the roster that node {} founded", short(&founder));
    context.output.done(sentence, &json!({"founder": founder}))
}

/// `littoral grant`
pub(super) fn grant(context: &Context, args: &GrantArgs) -> Result<()> {
    let target = context.target(Wanted::Existing)?;
    let roster = target.roster()?;
    let node = roster.find(&args.peer)?;
    let rights = granted(&roster, &node, args)?;
    target.grant(node, args.name.as_deref(), &rights)?;
    told(context, &*target, &node)
}

/// `littoral revoke`
pub(super) fn revoke(context: &Context, args: &RevokeArgs) -> Result<()> {
    let target = context.target(Wanted::Existing)?;
    let node = target.roster()?.find(&args.peer)?;
    target.revoke(node)?;
    told(context, &*target, &node)
}

/// What a grant leaves a member with: with collections, those change and no others.
fn granted(roster: &RosterShape, node: &NodeId, args: &GrantArgs) -> Result<Rights> {
    let Some(collections) = &args.collections else {
        return Ok(Rights::everywhere(args.right.0));
    };
    let before = roster.member(node).map(|member| members::rights(&member.rights));
    let mut rights = before.transpose()?.unwrap_or_default();
    for name in collections {
        rights.set(Some(name), args.right.0)?;
    }
    Ok(rights)
}

fn told(context: &Context, target: &dyn Target, node: &NodeId) -> Result<()> {
    let roster = target.roster()?;
    let Some(member) = roster.member(node) else { return Ok(()) };
    let sentence = format!("{}: {}", called(member), may(&member.rights));
    context.output.done(plain(&sentence), member)
}

fn of_roster(roster: &RosterShape, status: &Status) -> String {
    let header = ["name", "key", "rights", "since", "by", "link"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for member in &roster.members {
        let is_founder = roster.founder.as_ref() == Some(&member.node);
        let by = member.by.as_ref().map(|by| by_name(roster, by));
        rows.push(vec![
            member.name.clone(),
            member.node.clone(),
            may(&member.rights),
            member.since.as_deref().map(moment).unwrap_or_default(),
            by.unwrap_or_else(|| if is_founder { "the founder" } else { "" }.to_owned()),
            link(&member.node, roster, status),
        ]);
        if let Some(was) = &member.was {
            let key = format!("was {}", short(was));
            rows.push(["", &key, "", "", "", ""].map(str::to_owned).to_vec());
        }
    }
    table(&rows)
}

fn without_roster(roster: &RosterShape, status: &Status) -> String {
    let note = "there is no roster: whoever is trusted may read and write everything; \
                `littoral found-roster` makes one";
    if roster.trusted.is_empty() {
        return format!("no peers\n{note}");
    }
    let mut rows = vec![["key", "address", "link"].map(str::to_owned).to_vec()];
    rows.extend(roster.trusted.iter().map(|peer| {
        let address = peer.address.clone().unwrap_or_default();
        vec![peer.node.clone(), address, link(&peer.node, roster, status)]
    }));
    format!("{}\n{note}", table(&rows))
}

/// How the link to a node stands: the best one, if there are several.
fn link(node: &str, roster: &RosterShape, status: &Status) -> String {
    if node == roster.node {
        return "this node".to_owned();
    }
    let links = status.running.iter().flat_map(|running| &running.links);
    let best = links.filter(|link| link.peer == node).min_by_key(|link| link.state != "connected");
    let say = |link: &LinkShape| match link.synced {
        true => "synced".to_owned(),
        false => link.state.clone(),
    };
    best.map_or_else(|| "-".to_owned(), say)
}

/// Rights in words: `write`; `write in notes, plans; read elsewhere`.
pub(super) fn may(rights: &BTreeMap<String, String>) -> String {
    let elsewhere = rights.get("*");
    let mut by_right: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, right) in rights.iter().filter(|(name, _)| *name != "*") {
        by_right.entry(right).or_default().push(name);
    }
    if by_right.is_empty() {
        return elsewhere.map_or(Right::None.word(), String::as_str).to_owned();
    }
    let named =
        by_right.iter().rev().map(|(right, names)| format!("{right} in {}", names.join(", ")));
    named.chain(elsewhere.map(|right| format!("{right} elsewhere"))).collect::<Vec<_>>().join("; ")
}

fn called(member: &MemberShape) -> String {
    match member.name.is_empty() {
        true => member.node.clone(),
        false => format!("{} ({})", member.name, short(&member.node)),
    }
}

fn by_name(roster: &RosterShape, key: &str) -> String {
    let member = roster.members.iter().find(|member| member.node == key);
    match member.filter(|member| !member.name.is_empty()) {
        Some(member) => member.name.clone(),
        None => short(key).to_owned(),
    }
}
