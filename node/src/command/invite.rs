//! `invite`, `invites`: tickets for others, and what became of them.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::net::SocketAddr;

use littoral::net::reached_at;
use littoral::txn::ticket::{InviteId, Ticket};
use littoral::{Error, ErrorKind, Result};
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use serde_json::json;

use super::Context;
use super::peers::may;
use crate::cli::{InviteArgs, InvitesArgs, LISTEN};
use crate::invites::{InviteShape, InvitesShape, Inviting, TicketShape};
use crate::output::{columns, moment, plain, short, table};
use crate::target::{Target, Wanted};

/// `littoral invite`
pub(super) fn invite(context: &Context, args: &InviteArgs) -> Result<()> {
    let target = context.target(Wanted::Made)?;
    let mut asked = Inviting {
        rights: rights(args),
        name: args.name.clone(),
        seconds: args.expires.0,
        uses: args.uses(),
        addresses: args.address.clone(),
    };
    let runs = target.is_shared();
    if !runs && asked.addresses.is_empty() {
        // A node that does not run yet will listen where `run` does by itself.
        let listen: SocketAddr = LISTEN.parse().expect("a legal address");
        asked.addresses = reached_at(listen).iter().map(SocketAddr::to_string).collect();
    }
    let made = target.invite(&asked)?;
    if context.output.json {
        return context.output.json(&made);
    }
    if std::io::stdout().is_terminal() || args.qr {
        match qr(&made.ticket) {
            Some(code) if args.qr || fits(&code) => context.output.line(code)?,
            _ => {}
        }
    }
    context.output.line(&made.ticket)?;
    eprintln!("{}", note(&made, args, runs));
    Ok(())
}

fn rights(args: &InviteArgs) -> BTreeMap<String, String> {
    let word = args.rights.0.word().to_owned();
    args.collections.iter().map(|name| (name.clone(), word.clone())).collect()
}

fn note(made: &TicketShape, args: &InviteArgs, runs: bool) -> String {
    let whom = match args.uses() {
        1 => "one node".to_owned(),
        uses => format!("up to {uses} nodes"),
    };
    let mut lines = vec![format!(
        "lets {whom} join until {} UTC, with '{}' in {}: `littoral join TICKET` there",
        moment(&made.expires),
        args.rights.0.word(),
        args.collections.join(", "),
    )];
    lines.push(format!("says that this node is at {}", made.addresses.join(", ")));
    let of_loopback = |at: &String| at.parse::<SocketAddr>().is_ok_and(|at| at.ip().is_loopback());
    if made.addresses.iter().all(of_loopback) {
        lines.push(
            "that is only for stores on this machine; --address HOST:PORT names another".to_owned(),
        );
    }
    if !runs {
        lines.push("no node runs on this store: start `littoral run` before it is used".to_owned());
    }
    lines.join("\n")
}

/// The ticket as a QR code, for terminals of light text on a dark ground.
fn qr(ticket: &str) -> Option<String> {
    let text = ticket.parse::<Ticket>().ok()?.to_qr_text();
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let mut renderer = code.render::<Dense1x2>();
    // A terminal draws blocks in light: those are the light modules.
    Some(renderer.dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build())
}

fn fits(code: &str) -> bool {
    let wide = code.lines().map(|line| line.chars().count()).max().unwrap_or(0);
    columns().is_some_and(|columns| wide <= columns)
}

/// `littoral invites`
pub(super) fn invites(context: &Context, args: &InvitesArgs) -> Result<()> {
    let target = context.target(Wanted::Existing)?;
    let found = InvitesShape { invites: target.invites()? };
    if let Some(text) = &args.revoke {
        return revoke(context, &*target, &found, text);
    }
    if context.output.json {
        return context.output.json(&found);
    }
    if found.invites.is_empty() {
        return context.output.line("no invitations; `littoral invite` makes one");
    }
    let header = ["invitation", "state", "rights", "expires", "left", "used by"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(found.invites.iter().map(row));
    context.output.line(plain(&table(&rows)))
}

fn row(invite: &InviteShape) -> Vec<String> {
    let users: Vec<&str> = invite.used_by.iter().map(|one| short(&one.node)).collect();
    vec![
        short(&invite.id).to_owned(),
        invite.state.clone(),
        may(&invite.rights),
        moment(&invite.expires),
        invite.uses_left.to_string(),
        users.join(" "),
    ]
}

fn revoke(context: &Context, target: &dyn Target, all: &InvitesShape, text: &str) -> Result<()> {
    let invite = all.find(text)?;
    let id: InviteId = invite.id.parse()?;
    target.revoke_invite(&id)?;
    let sentence = match invite.state.as_str() {
        "open" => format!("revoked {}: nobody joins with that ticket any more", short(&invite.id)),
        state => format!("{} let nobody in any more already: it was {state}", short(&invite.id)),
    };
    context.output.done(sentence, &json!({"id": invite.id, "was": invite.state}))
}

/// The error for a ticket that is to come from standard input and does not.
pub(super) fn no_input(err: &std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("could not read standard input: {err}"))
}

#[cfg(test)]
mod tests {
    use littoral::NodeId;
    use littoral::txn::NetworkId;
    use littoral::txn::ticket::TicketSecret;

    use super::*;

    #[test]
    fn a_ticket_with_several_addresses_fits_a_terminal_of_eighty_columns() {
        let ticket = Ticket {
            network: NetworkId::named("default"),
            inviter: NodeId::from_bytes([7; 32]),
            secret: TicketSecret::from_bytes([3; 16]),
            expires_ms: 1_795_348_800_000,
            addresses: ["192.0.2.7:4433", "198.51.100.7:4433", "[2001:db8::7]:4433"]
                .map(str::to_owned)
                .into(),
        };
        let code = qr(&ticket.to_string()).unwrap();
        let lines: Vec<&str> = code.lines().collect();
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{}", lines[0].len());
        assert!(lines[0].chars().all(|c| c == '█'), "the quiet zone is light");
        assert!(lines.len() <= 40);
    }
}
