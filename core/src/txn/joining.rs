//! What is asked and answered when somebody joins with a ticket.
//!
//! Does not know: how it travels, who keeps invitations.

use super::NetworkId;
use super::roster::Rights;
use super::ticket::TicketSecret;
use crate::error::{Error, Result};
use crate::id::NodeId;
use crate::limits::MAX_MEMBER_NAME_BYTES;

/// What a node that wants to join shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinRequest {
    /// The secret of its ticket.
    pub secret: TicketSecret,
    /// The network that its store belongs to.
    pub network: NetworkId,
    /// Who founded the roster that its store belongs to, if it belongs to one.
    pub founder: Option<NodeId>,
    /// What it is called, if whoever invited it has not said so.
    pub name: String,
}

/// What a node that has become a member is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// Who founded the roster.
    pub founder: NodeId,
    /// What the inviter is called.
    pub inviter: String,
    /// What the new member may do.
    pub rights: Rights,
    /// The statements of the roster, each after those it follows, so that the new member knows
    /// who may do what before it says or hears anything; none if they are too large for this,
    /// then they come over the first link.
    pub statements: Vec<Vec<u8>>,
}

/// Why somebody does not become a member.
///
/// Who shows no valid ticket is told nothing but that: the first five look alike from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JoinRefusal {
    /// Nobody was given such a ticket, or it was so long ago that it is forgotten.
    Unknown,
    /// The ticket has expired.
    Expired,
    /// The ticket was used by as many as it was made for.
    Used,
    /// The ticket was revoked.
    Revoked,
    /// The node was a member, and its rights were taken from it: no ticket gives them back.
    Former,
    /// The two belong to different networks or rosters, or are one and the same node.
    Elsewhere,
    /// Whoever made the ticket may not give these rights any more, or not to this member.
    NotAdmin,
}

impl JoinRefusal {
    /// A word for counts and logs.
    pub fn word(&self) -> &'static str {
        match self {
            JoinRefusal::Unknown => "unknown",
            JoinRefusal::Expired => "expired",
            JoinRefusal::Used => "used",
            JoinRefusal::Revoked => "revoked",
            JoinRefusal::Former => "former",
            JoinRefusal::Elsewhere => "elsewhere",
            JoinRefusal::NotAdmin => "not-admin",
        }
    }
}

/// Checks what a member is to be called.
pub(crate) fn check_member_name(name: &str) -> Result<()> {
    match name.len() > MAX_MEMBER_NAME_BYTES || name.chars().any(char::is_control) {
        true => Err(Error::invalid(format!(
            "a member's name has up to {MAX_MEMBER_NAME_BYTES} bytes, all printable"
        ))),
        false => Ok(()),
    }
}
