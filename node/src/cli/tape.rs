//! What can be typed about the tape: checkpoints, the past, replay and revert.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use littoral::Path;

use super::DocumentField;

/// Of `get`.
#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    #[command(flatten)]
    pub(crate) field: DocumentField,
    /// As it was at this checkpoint.
    #[arg(long, value_name = "LABEL")]
    pub(crate) at: Option<String>,
}

/// Of `checkpoint`.
#[derive(Debug, Args)]
pub(crate) struct CheckpointArgs {
    /// What to call it.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(crate) label: String,
}

/// Of `checkpoints`.
#[derive(Debug, Args)]
pub(crate) struct CheckpointsArgs {
    /// Delete this one: the past at it can't be read any more, and its disk comes back.
    #[arg(long, value_name = "LABEL", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) delete: Option<String>,
}

/// Of `diff`.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The checkpoint.
    #[arg(value_name = "LABEL")]
    pub(crate) from: String,
    /// Another checkpoint; without one, now.
    #[arg(value_name = "OTHER")]
    pub(crate) to: Option<String>,
    /// Only this collection.
    #[arg(long, value_name = "NAME")]
    pub(crate) collection: Option<String>,
}

/// Of `undo`.
#[derive(Debug, Args)]
pub(crate) struct UndoArgs {
    /// What was written last to this collection, and there alone.
    #[arg(long, value_name = "NAME")]
    pub(crate) collection: Option<String>,
    /// Also what others have changed since.
    #[arg(long)]
    pub(crate) force: bool,
    /// Only show what would be written.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Of `rollback`.
#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    /// The checkpoint; without one, the last.
    pub(crate) label: Option<String>,
    /// Apply the log after the checkpoint again, and compare.
    #[arg(long, required_unless_present = "hold")]
    pub(crate) replay: bool,
    /// Show the checkpoint and what this node wrote since, until `littoral resume`.
    #[arg(long, conflicts_with = "replay", requires = "label")]
    pub(crate) hold: bool,
    /// With --hold: only this collection.
    #[arg(long, value_name = "NAME", requires = "hold")]
    pub(crate) collection: Option<String>,
}

/// Of `resume`.
#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    /// Only this collection.
    #[arg(long, value_name = "NAME")]
    pub(crate) collection: Option<String>,
}

/// Of `revert`.
#[derive(Debug, Args)]
pub(crate) struct RevertArgs {
    /// The checkpoint.
    pub(crate) label: String,
    /// Only this collection.
    #[arg(long, value_name = "NAME")]
    pub(crate) collection: Option<String>,
    /// Only this document of it.
    #[arg(long, value_name = "ID", requires = "collection")]
    pub(crate) id: Option<String>,
    /// Only this field of it, as a JSON Pointer.
    #[arg(long, value_name = "PATH", requires = "id", value_parser = Path::parse_pointer)]
    pub(crate) path: Option<Path>,
    /// Only what this node did since: its key, the name of a member, or the beginning of a key that
    /// is known here. What others have changed since is kept, and told.
    #[arg(long, value_name = "NODE", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) by: Option<String>,
    /// With --by: also what others have changed since.
    #[arg(long, requires = "by")]
    pub(crate) force: bool,
    /// Only show what would be written.
    #[arg(long, conflicts_with = "yes")]
    pub(crate) dry_run: bool,
    /// Don't ask.
    #[arg(long)]
    pub(crate) yes: bool,
}
