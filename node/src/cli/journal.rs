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
