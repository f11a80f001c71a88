//! What can be typed about what happened.

use clap::Args;

/// Of `events`.
#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// Go on as things happen; from now on, unless --since says otherwise.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// After this number; 0 is the oldest that is kept.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) since: Option<u64>,
    /// Only of these kinds, with commas between: link-up, link-down, conflict-arose, ..
    #[arg(long, value_name = "KINDS")]
    pub(crate) kind: Option<String>,
}

/// Of `conflicts`.
#[derive(Debug, Args)]
pub(crate) struct ConflictsArgs {
    /// Only of this collection.
    pub(crate) collection: Option<String>,
    /// Only of this document.
    pub(crate) id: Option<String>,
    /// All that ever arose here, with how they ended.
    #[arg(long, conflicts_with = "note")]
    pub(crate) log: bool,
    /// With --log: only those that are open.
    #[arg(long, requires = "log")]
    pub(crate) open: bool,
    /// Write something down about the conflict with this number in the log.
    #[arg(long, num_args = 2, value_names = ["NUMBER", "TEXT"], conflicts_with = "collection")]
    pub(crate) note: Option<Vec<String>>,
    /// With --note: by whom, if not by who is logged in.
    #[arg(long, requires = "note")]
    pub(crate) author: Option<String>,
}
