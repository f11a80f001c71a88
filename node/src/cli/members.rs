//! Who belongs, and how one comes to: `invite`, `join`, `grant` and what goes with them.

use std::net::SocketAddr;

use clap::Args;
use littoral::NodeId;
use littoral::limits::MAX_INVITE_USES;
use littoral::txn::roster::Right;

use super::{HTTP, LISTEN};

/// Of `invite`.
#[derive(Debug, Args)]
pub(crate) struct InviteArgs {
    /// In which collections: names with commas between, or `*` for all.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "*")]
    pub(crate) collections: Vec<String>,
    /// What whoever joins may do there: read, write, admin. Each includes those before it.
    #[arg(long, value_name = "RIGHT", default_value = "write")]
    pub(crate) rights: GivenRight,
    /// For how long the ticket is good: 90s, 30m, 1h, 7d.
    #[arg(long, value_name = "TIME", default_value = "1h")]
    pub(crate) expires: Lifetime,
    /// What people call the new member; without this, as it calls itself.
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(crate) name: String,
    /// Let so many nodes join with it.
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "reusable")]
    uses: u32,
    /// Let any number of nodes join with it (up to 1000).
    #[arg(long)]
    reusable: bool,
    /// Where this node is reached, such as boat.example:4433, instead of where it listens. Repeat
    /// for more.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) address: Vec<String>,
    /// Show the QR code wherever the output goes.
    #[arg(long)]
    pub(crate) qr: bool,
}

impl InviteArgs {
    /// How many may join.
    pub(crate) fn uses(&self) -> u32 {
        if self.reusable { MAX_INVITE_USES } else { self.uses }
    }
}

/// Seconds, as people write them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lifetime(pub(crate) u64);

impl std::str::FromStr for Lifetime {
    type Err = String;

    fn from_str(text: &str) -> Result<Lifetime, String> {
        let wrong = || format!("'{text}' is no time such as 90s, 30m, 1h or 7d");
        let unit = text.chars().last().ok_or_else(wrong)?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return Err(wrong()),
        };
        let count: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
        count.checked_mul(seconds).map(Lifetime).ok_or_else(wrong)
    }
}

/// Of `invites`.
#[derive(Debug, Args)]
pub(crate) struct InvitesArgs {
    /// Let nobody join with this ticket any more: its name, or how that begins.
    #[arg(long, value_name = "ID")]
    pub(crate) revoke: Option<String>,
}

/// Of `join`.
#[derive(Debug, Args)]
pub(crate) struct JoinArgs {
    /// The ticket, as `littoral invite` printed it; `-` reads standard input.
    pub(crate) ticket: String,
    /// What this node is called, if the ticket does not say; without this, as the machine.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Give up after so many seconds. Who has joined by then has joined.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub(crate) timeout: u64,
    /// Then go on as `littoral run` does.
    #[arg(long)]
    pub(crate) run: bool,
    /// With --run: where to accept links.
    #[arg(long, value_name = "ADDR", default_value = LISTEN, requires = "run")]
    pub(crate) listen: SocketAddr,
    /// With --run: where to answer HTTP.
    #[arg(long, value_name = "ADDR", default_value = HTTP, requires = "run")]
    pub(crate) http: SocketAddr,
}

/// Of `found-roster`.
#[derive(Debug, Args)]
pub(crate) struct FoundArgs {
    /// What people call this node.
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(crate) name: String,
}

/// Of `join-roster`.
#[derive(Debug, Args)]
pub(crate) struct JoinRosterArgs {
    /// The key of the node that founded the roster, as `littoral peers` shows it there.
    pub(crate) founder: NodeId,
}

/// Of `grant`.
#[derive(Debug, Args)]
pub(crate) struct GrantArgs {
    /// The node: its key, as `littoral id` prints it there; of a member also its name, or how its
    /// key begins.
    pub(crate) peer: String,
    /// What it may do: none, read, write, admin. Each includes those before it.
    pub(crate) right: GivenRight,
    /// In these collections, names with commas between, and nothing changes elsewhere. Without
    /// this, in all.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) collections: Option<Vec<String>>,
    /// What people call it; without this, as before.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
}

/// A right, by its word.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GivenRight(pub(crate) Right);

impl std::str::FromStr for GivenRight {
    type Err = littoral::Error;

    fn from_str(word: &str) -> littoral::Result<GivenRight> {
        word.parse().map(GivenRight)
    }
}

/// Of `revoke`.
#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// The node: its key, its name, or how its key begins.
    pub(crate) peer: String,
}
