//! Of `links`.

use clap::{Args, Subcommand};

/// Of `links`.
#[derive(Debug, Args)]
pub(crate) struct LinksArgs {
    /// What to do; without it, they are listed.
    #[command(subcommand)]
    pub(crate) step: Option<LinksStep>,
}

/// What to do with all links of a node.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum LinksStep {
    /// Cut all links, and make none until `links resume` or the next start. Reading and writing go on.
    Pause,
    /// Take up the links again.
    Resume,
}
