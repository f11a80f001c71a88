//! Invitations as JSON: what a ticket is to give, the ticket, and what became of it.

use std::collections::BTreeMap;

use littoral::clock::Timestamp;
use littoral::store::{Invite, InviteOptions};
use littoral::txn::ticket::Ticket;
use littoral::{Error, ErrorKind, Result, Store};
use serde::{Deserialize, Serialize};

use crate::here;
use crate::members::{rights, words};

/// Fewer characters of a name of an invitation name none.
const MIN_PREFIX: usize = 4;

/// What a ticket is to give.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Inviting {
    /// By collection, `*` being all that are not named: read, write, admin.
    pub(crate) rights: BTreeMap<String, String>,
    /// What people call the new member; without it, as it calls itself.
    #[serde(default)]
    pub(crate) name: String,
    /// For how many seconds it is good.
    #[serde(default = "an_hour")]
    pub(crate) seconds: u64,
    /// How many may join with it.
    #[serde(default = "one")]
    pub(crate) uses: u32,
    /// Where this node may be reached, `host:port`; without any, where it listens.
    #[serde(default)]
    pub(crate) addresses: Vec<String>,
}

fn an_hour() -> u64 {
    3600
}

fn one() -> u32 {
    1
}

/// A ticket that was made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TicketShape {
    /// Its text: whoever has it can join.
    pub(crate) ticket: String,
    /// The name of the invitation, from which the ticket can't be told.
    pub(crate) id: String,
    /// Until when it is good, RFC 3339.
    pub(crate) expires: String,
    /// Where it says that this node may be reached.
    pub(crate) addresses: Vec<String>,
}

/// An invitation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct InviteShape {
    /// Its name.
    pub(crate) id: String,
    /// In a word: open, used, expired, revoked.
    pub(crate) state: String,
    /// What the new member is called; may be empty.
    pub(crate) name: String,
    /// By collection: read, write, admin.
    pub(crate) rights: BTreeMap<String, String>,
    /// When it was made, RFC 3339.
    pub(crate) made: String,
    /// Until when it is good.
    pub(crate) expires: String,
    /// How many more may join with it.
    pub(crate) uses_left: u32,
    /// Who has, in the order in which they came.
    pub(crate) used_by: Vec<UseShape>,
}

/// Somebody joined.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct UseShape {
    /// Its key.
    pub(crate) node: String,
    /// When, RFC 3339.
    pub(crate) time: String,
}

/// All invitations.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct InvitesShape {
    /// In the order in which they were made.
    pub(crate) invites: Vec<InviteShape>,
}

/// Makes a ticket.
pub(crate) fn invite(store: &Store, asked: &Inviting) -> Result<TicketShape> {
    let mut options = InviteOptions::new(rights(&asked.rights)?, asked.addresses.clone());
    options.name = asked.name.clone();
    options.lives_ms = asked.seconds.saturating_mul(1000);
    options.uses = asked.uses;
    options.own_name = here::name();
    store.invite(&options).map(|ticket| TicketShape::from(&ticket))
}

impl From<&Ticket> for TicketShape {
    fn from(ticket: &Ticket) -> TicketShape {
        TicketShape {
            ticket: ticket.to_string(),
            id: ticket.secret.invite().to_string(),
            expires: Timestamp::from_millis(ticket.expires_ms).to_string(),
            addresses: ticket.addresses.clone(),
        }
    }
}

impl InviteShape {
    /// As it stands at this time, in Unix milliseconds.
    pub(crate) fn of(invite: &Invite, now_ms: u64) -> InviteShape {
        let time = |ms: u64| Timestamp::from_millis(ms).to_string();
        let used = invite
            .used_by
            .iter()
            .map(|(node, at_ms)| UseShape { node: node.to_string(), time: time(*at_ms) });
        InviteShape {
            id: invite.id.to_string(),
            state: invite.closed(now_ms).map_or("open", |why| why.word()).to_owned(),
            name: invite.name.clone(),
            rights: words(&invite.rights),
            made: time(invite.made_ms),
            expires: time(invite.expires_ms),
            uses_left: invite.uses_left,
            used_by: used.collect(),
        }
    }
}

impl InvitesShape {
    /// The invitation whose name begins so.
    pub(crate) fn find(&self, text: &str) -> Result<&InviteShape> {
        let named = |invite: &&InviteShape| text.len() >= MIN_PREFIX && invite.id.starts_with(text);
        let mut found = self.invites.iter().filter(named);
        match (found.next(), found.next()) {
            (Some(invite), None) => Ok(invite),
            (None, _) => Err(Error::new(
                ErrorKind::NotFound,
                format!("no invitation's name begins with '{text}'; see `littoral invites`"),
            )),
            (Some(_), Some(_)) => Err(Error::new(
                ErrorKind::InvalidInput,
                format!("'{text}' begins the names of several invitations; give more of it"),
            )),
        }
    }
}
