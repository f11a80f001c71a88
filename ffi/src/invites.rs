//! Tickets for others, and what became of them.

use std::collections::BTreeMap;

use littoral::clock::{SystemClock, WallClock};
use littoral::store::{Invite, InviteOptions};
use littoral::txn::NetworkId;
use littoral::txn::roster::Rights;
use littoral::txn::ticket::{InviteId, Ticket};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::error::{Fault, LIT_OK, Outcome, guard, lit_error_t, lit_status_t};
use crate::slices::{Out, lit_bytes_t, lit_slice_t};
use crate::store::{STORES, Shared, lit_store_t};

/// What a ticket is to give.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Inviting {
    rights: BTreeMap<String, String>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    own_name: String,
    seconds: Option<u64>,
    uses: Option<u32>,
    #[serde(default)]
    addresses: Vec<String>,
}

impl Inviting {
    fn options(self, shared: &Shared) -> Outcome<InviteOptions> {
        let words = self.rights.iter().map(|(name, word)| (name.as_str(), word.as_str()));
        let addresses = match self.addresses.is_empty() {
            true => shared.reached_at(),
            false => self.addresses,
        };
        let mut options = InviteOptions::new(Rights::from_words(words)?, addresses);
        options.name = self.name;
        options.own_name = self.own_name;
        if let Some(seconds) = self.seconds {
            options.lives_ms = seconds.saturating_mul(1000);
        }
        if let Some(uses) = self.uses {
            options.uses = uses;
        }
        Ok(options)
    }
}

/// Makes a ticket: one line of text, and whoever has it can join this store's network with it, by
/// lit_store_join, `littoral join` or in any other language. A store without a roster, that trusts
/// nobody yet, founds one by that.
///
/// `invitation_json` is an object of rights, as lit_store_grant_json takes them:
/// {"rights": {"notes": "write"}}, and, if you like, of name (what people call the new member; else
/// it is called as it says), seconds (for how long the ticket is good; 3600), uses (how many may
/// join with it; 1), addresses (where this node is reached, an array of "host:port", the likeliest
/// first; else where it listens, so call lit_store_listen before) and own_name (what people call
/// this node, if it founds the roster now).
///
/// `*ticket_json` is an object of what lit_ticket_inspect_json gives, and yours: free it with
/// lit_bytes_free. Hand its "ticket" over as you would a key: it is kept nowhere.
/// Thread-safe. Blocks: commit.
/// Errors: LIT_ERR_INVALID_INPUT (a member of the object; there are peers, and no roster);
/// LIT_ERR_FORBIDDEN if this node may not give these rights; LIT_ERR_LIMIT_EXCEEDED for too many
/// open invitations.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_invite_json(
    store: *mut lit_store_t,
    invitation_json: lit_slice_t,
    ticket_json: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (out, err) = unsafe { (Out::new(ticket_json), Out::new(err)) };
    guard(err, || {
        let out = out.required("ticket_json")?;
        let shared = STORES.get(store)?;
        let store = shared.open()?;
        let asked: Inviting = serde_json::from_str(invitation_json.text("invitation")?)
            .map_err(|err| Fault::invalid(format!("not an invitation: {}", what(&err))))?;
        let ticket = store.invite(&asked.options(&shared)?)?;
        out.set(shape(&ticket).to_string().into());
        Ok(LIT_OK)
    })
}

/// All invitations that are remembered, in the order in which they were made, as a JSON array of
/// objects of id, state ("open", "used", "expired", "revoked"), name, rights, made_ms, expires_ms
/// (Unix milliseconds), uses_left, and used_by, an array of objects of node (the key of who joined)
/// and time_ms. None of them has the ticket. Names are only ever added.
///
/// `*json` is yours: free it with lit_bytes_free.
/// Thread-safe. Blocks: disk.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_invites_json(
    store: *mut lit_store_t,
    json: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (out, err) = unsafe { (Out::new(json), Out::new(err)) };
    guard(err, || {
        let out = out.required("json")?;
        let invites = STORES.get(store)?.open()?.invites()?;
        let now_ms = SystemClock.now_ms();
        let shapes = invites.iter().map(|one| invite(one, now_ms));
        out.set(Value::from_iter(shapes).to_string().into());
        Ok(LIT_OK)
    })
}

/// Lets nobody join any more with the ticket of the invitation `id`. Who has joined with it stays
/// a member: see lit_store_revoke. Harmless if it let nobody in any more.
///
/// Thread-safe. Blocks: commit.
/// Errors: LIT_ERR_INVALID_INPUT (id); LIT_ERR_NOT_FOUND if there is no such invitation.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_revoke_invite(
    store: *mut lit_store_t,
    id: lit_slice_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let shared = STORES.get(store)?;
        let id: InviteId = id.text("id")?.parse()?;
        shared.open()?.revoke_invite(&id)?;
        Ok(LIT_OK)
    })
}

/// What a ticket says, as a JSON object of ticket (the text again, without white space and in
/// lower case), id (the name of the invitation), network, inviter (the key of the node that made
/// it), expires_ms (Unix milliseconds, by that node's clock) and addresses. Whether it is still
/// good, only that node knows.
///
/// `*json` is yours: free it with lit_bytes_free.
/// Thread-safe. Does not block.
/// Errors: LIT_ERR_INVALID_INPUT if it is no ticket, or was mistyped; LIT_ERR_FORMAT_TOO_NEW.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_ticket_inspect_json(
    ticket: lit_slice_t,
    json: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (out, err) = unsafe { (Out::new(json), Out::new(err)) };
    guard(err, || {
        let out = out.required("json")?;
        let ticket = self::ticket(&ticket)?;
        out.set(shape(&ticket).to_string().into());
        Ok(LIT_OK)
    })
}

/// The ticket in an argument.
pub(crate) fn ticket(text: &lit_slice_t) -> Outcome<Ticket> {
    Ok(text.text("ticket")?.parse()?)
}

/// What is wrong with JSON, without what it holds: that may be a secret.
fn what(err: &serde_json::Error) -> &'static str {
    match err.classify() {
        serde_json::error::Category::Data => {
            "an object of rights, and of name, seconds, uses, addresses and own_name is wanted"
        }
        _ => "it is no JSON",
    }
}

fn shape(ticket: &Ticket) -> Value {
    let NetworkId(network) = ticket.network;
    let network: String = network.iter().map(|byte| format!("{byte:02x}")).collect();
    json!({
        "ticket": ticket.to_string(),
        "id": ticket.secret.invite().to_string(),
        "network": network,
        "inviter": ticket.inviter.to_string(),
        "expires_ms": ticket.expires_ms,
        "addresses": ticket.addresses,
    })
}

fn invite(invite: &Invite, now_ms: u64) -> Value {
    let rights = invite.rights.words().map(|(name, word)| (name.to_owned(), word.into()));
    let used_by = invite
        .used_by
        .iter()
        .map(|(node, time_ms)| json!({"node": node.to_string(), "time_ms": time_ms}));
    json!({
        "id": invite.id.to_string(),
        "state": invite.closed(now_ms).map_or("open", |why| why.word()),
        "name": invite.name,
        "rights": rights.collect::<Map<String, Value>>(),
        "made_ms": invite.made_ms,
        "expires_ms": invite.expires_ms,
        "uses_left": invite.uses_left,
        "used_by": used_by.collect::<Vec<_>>(),
    })
}
