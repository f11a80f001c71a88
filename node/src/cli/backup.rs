//! What can be typed about backups.

use std::path::PathBuf;

use clap::Args;

/// Of `backup`.
#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// The file to write; one of that name is replaced when the backup is whole and was read back.
    pub(crate) file: PathBuf,
    /// Check the file instead, all of it, and say what is in it. Needs no store.
    #[arg(long)]
    pub(crate) check: bool,
    /// Leave out the peers that the store trusts, and their addresses.
    #[arg(long, conflicts_with = "check")]
    pub(crate) no_peers: bool,
}

/// Of `restore`.
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The backup.
    pub(crate) file: PathBuf,
    /// The new store: a directory that is empty or not there.
    pub(crate) dir: PathBuf,
    /// Belong to no roster, and so be able to write at once: for when no admin is left who could
    /// let the new node in.
    #[arg(long)]
    pub(crate) no_roster: bool,
}
