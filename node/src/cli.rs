//! The command line: what can be typed, and what `--help` says about it.

mod backup;
mod journal;
mod links;
mod members;
mod run;
mod tape;
mod top;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use littoral::net::PeerAddress;
use littoral::store::Collections;
use littoral::{NodeId, Path};

use crate::kinds::EXIT_CODES;
use crate::tokens::{Scope, Secret};

pub(crate) use backup::{BackupArgs, RestoreArgs};
pub(crate) use journal::{ConflictsArgs, EventsArgs};
pub(crate) use links::{LinksArgs, LinksStep};
pub(crate) use members::{
    FoundArgs, GrantArgs, InviteArgs, InvitesArgs, JoinArgs, JoinRosterArgs, Lifetime, RevokeArgs,
};
pub(crate) use run::{Collector, ConfigArgs, ConfigCommand, RunArgs};
pub(crate) use tape::{
    CheckpointArgs, CheckpointsArgs, DiffArgs, GetArgs, ResumeArgs, RevertArgs, RollbackArgs,
    UndoArgs,
};
pub(crate) use top::TopArgs;

/// Where the store is, unless it is told otherwise.
pub(crate) const DATA: &str = "littoral-data";
/// Where `run` accepts links.
pub(crate) const LISTEN: &str = "0.0.0.0:4433";
/// Where it answers HTTP.
pub(crate) const HTTP: &str = "127.0.0.1:8090";
/// How much of the state it keeps in memory.
pub(crate) const CACHE_MIB: u32 = 32;

/// An edge-replicated document store: edit offline, sync over QUIC, converge.
///
/// Commands work on the store in the data directory. While a node runs on it, they go through
/// that node over HTTP, and say so.
#[derive(Debug, Parser)]
#[command(name = "littoral", version, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Cli {
    #[arg(
        long,
        global = true,
        env = "LITTORAL_DATA",
        value_name = "DIR",
        help = format!("The store's directory [default: {DATA}]")
    )]
    pub(crate) data: Option<PathBuf>,
    /// Talk to the node at this address instead, such as http://127.0.0.1:8090.
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// The token for that node, as `littoral token create` printed it there.
    #[arg(
        long,
        global = true,
        env = "LITTORAL_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN",
        value_parser = |text: &str| Ok::<_, std::convert::Infallible>(Secret::from(text))
    )]
    pub(crate) token: Option<Secret>,
    /// Print JSON, for programs.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a node on the store: accept and keep up links to peers, answer HTTP.
    Run(RunArgs),
    /// Check a configuration file of `run`, or print one that explains itself.
    Config(ConfigArgs),
    /// Print this node's key; of a running node, also its address for --peer.
    Id,
    /// Replace a document, or make one.
    Put(PutArgs),
    /// Write some fields of a document and leave the others alone.
    Merge(MergeArgs),
    /// Change a document in $EDITOR.
    Edit(Document),
    /// Print a document, or one field of it.
    Get(GetArgs),
    /// List the documents of a collection, in the order of their ids.
    #[command(visible_alias = "ls")]
    Scan(ScanArgs),
    /// Delete a document, or one field of it.
    #[command(visible_alias = "rm")]
    Delete(DeleteArgs),
    /// Add an element to a set.
    Add(Element),
    /// Remove an element from a set.
    Remove(Element),
    /// Add to a counter.
    Increment(IncrementArgs),
    /// Put the documents of a file.
    Import(ImportArgs),
    /// Write all documents of a collection to a file.
    Export(ExportArgs),
    /// List what changed, in the order in which it came into the store.
    Changes(ChangesArgs),
    /// List what happened to the store and its node: links, conflicts, checkpoints, and so on.
    Events(EventsArgs),
    /// List what replicas wrote without having seen each other's writes.
    Conflicts(ConflictsArgs),
    /// Settle a conflict.
    Resolve(ResolveArgs),
    /// Mark this moment of the store, so that it can be read, compared with and gone back to.
    ///
    /// Takes no time, whatever the size of the store. From then on what changes is kept as it was,
    /// until `littoral checkpoints --delete LABEL`.
    Checkpoint(CheckpointArgs),
    /// List the checkpoints and what they cost, or delete one.
    Checkpoints(CheckpointsArgs),
    /// Show what changed since a checkpoint, or between two.
    Diff(DiffArgs),
    /// Go back to a checkpoint: by letting the log run again, or by holding the view back.
    ///
    /// With --replay the log runs again beside the store, and what comes out must be what the store
    /// holds. Documents that were damaged unnoticed are put right; if anything else differs it is
    /// shown, and the store stays as it was. With --hold collections show the checkpoint and what
    /// this node wrote since, and are not exchanged with peers, until `littoral resume`; nothing is
    /// undone.
    Rollback(RollbackArgs),
    /// End a `rollback --hold`: show everything again, and sync.
    Resume(ResumeArgs),
    /// Bring documents back to what they showed at a checkpoint, by new edits that replicate.
    ///
    /// Shows what it is going to write and asks. Edits of others that this store has are undone,
    /// too; those that have not arrived stay, so sync first if all is to go.
    Revert(RevertArgs),
    /// Take back what this node wrote last, by a new edit that replicates.
    ///
    /// What others have changed since is kept, and told. To undo again brings back what was undone.
    Undo(UndoArgs),
    /// Show what the store holds, whether its node is healthy, who is linked, and what is behind.
    ///
    /// Exit code 1 if the node can't do its work.
    Status(StatusArgs),
    /// List the links of a running node and what is behind, cut them all for now, or take them up again.
    Links(LinksArgs),
    /// Watch a running node: links, lag, throughput, conflicts, disk, as `top` does processes.
    ///
    /// Where standard output is no terminal, it looks twice and prints that once.
    Top(TopArgs),
    /// Make a ticket: one line that lets another machine join, with `littoral join`.
    ///
    /// Whoever has it may join, until it was used, has expired or is revoked: hand it over as you
    /// would a key. It goes to standard output alone; on a terminal it is shown as a QR code, too.
    /// The first ticket founds the network's roster.
    Invite(InviteArgs),
    /// List the tickets that were made and who joined with them, or revoke one.
    Invites(InvitesArgs),
    /// Join the network of whoever made a ticket: keys, rights, and the first sync.
    ///
    /// Makes the store if there is none. Ends when it is in sync; `littoral run` keeps it so, with
    /// whom it has joined.
    Join(JoinArgs),
    /// List who belongs to the network, what each may do, and how its link stands.
    Peers,
    /// Found the network's roster: from then on, rights decide who may do what.
    ///
    /// This node becomes its founder, and may always do everything. Peers that are trusted now may
    /// read and write everything, until they are granted something else.
    FoundRoster(FoundArgs),
    /// Belong to the roster that another node founded; what it says comes with the first link.
    JoinRoster(JoinRosterArgs),
    /// Say what a node may do from now on: none, read, write, or admin.
    Grant(GrantArgs),
    /// Take all rights from a node: every node that hears of it ends its links.
    Revoke(RevokeArgs),
    /// Give back to the disk what is free in the state's file. No node may run on the store.
    Compact(CompactArgs),
    /// Explain the state of the store and its node, and what to do; exit code 1 if there is.
    Doctor,
    /// Drop a collection from this store, and only from here. It comes back when it is synced.
    Leave(LeaveArgs),
    /// Check every invariant of the store's files, without changing them. No node may run on it.
    Verify(VerifyArgs),
    /// Make a store of the same shape and history without its content, for a bug report.
    Anonymize(AnonymizeArgs),
    /// Bring whatever is readable of a damaged store into a new one, and tell what was not.
    Rescue(RescueArgs),
    /// Sync once with a peer: connect, wait until both hold the same, report.
    Sync(SyncArgs),
    /// Carry changes in a file, by USB stick or through any storage.
    ///
    /// Where the changes are: `littoral bundle create FILE`. Where they are to go: `littoral
    /// bundle apply FILE`. What is there already is passed over, so a bundle may be applied twice,
    /// and bundles cross each other in any order that leaves none out.
    ///
    /// To carry only what is missing, begin at the receiver with `littoral bundle have NEED` and
    /// take NEED along: `littoral bundle create FILE --since NEED`. Or go on from the bundle before:
    /// `littoral bundle create NEW --since OLD` has what came after OLD.
    Bundle {
        /// What to do.
        #[command(subcommand)]
        step: BundleStep,
    },
    /// Write all that the store holds at this moment to a file, and read it back.
    ///
    /// Reading, writing and sync go on meanwhile. The node's secret key is not in the file, nor is
    /// the log, nor are checkpoints. It is not encrypted.
    Backup(BackupArgs),
    /// Make a store of a backup: another node, with the same documents.
    ///
    /// There is a whole store in DIR at the end, or none.
    Restore(RestoreArgs),
    /// Keep the store's secret key under a passphrase. No node may run on the store.
    Key {
        /// What to do.
        #[command(subcommand)]
        step: KeyStep,
    },
    /// Let programs on other machines ask this node over HTTP.
    Token {
        /// What to do.
        #[command(subcommand)]
        step: TokenStep,
    },
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Watch three nodes sync real data, lose a link, diverge and converge.
    Demo(DemoArgs),
    /// Measure this machine and its disk: writing, reading, syncing, opening, beside plain redb.
    ///
    /// Works on notes that it makes, in a directory that it removes at the end. Ratios are those of
    /// one run, and mean more than figures.
    Bench(BenchArgs),
}

/// Which document.
#[derive(Debug, Args)]
pub(crate) struct Document {
    /// The collection.
    pub(crate) collection: String,
    /// The document's id.
    pub(crate) id: String,
}

/// Which document, or which field of it.
#[derive(Debug, Args)]
pub(crate) struct DocumentField {
    #[command(flatten)]
    pub(crate) document: Document,
    /// One field, as a JSON Pointer: /address/city.
    #[arg(value_parser = Path::parse_pointer)]
    pub(crate) path: Option<Path>,
}

/// What must hold of the version.
#[derive(Debug, Args)]
pub(crate) struct VersionArgs {
    /// The version that was read (`get --json` prints it): overwrite only what it saw.
    #[arg(long, value_name = "VERSION")]
    pub(crate) version: Option<String>,
    /// With --version: fail, with exit code 4, if the document is no longer at that version.
    #[arg(long, requires = "version")]
    pub(crate) strict: bool,
}

/// Collections to exchange.
#[derive(Debug, Clone)]
pub(crate) struct WantedNames(pub(crate) Collections);

impl std::str::FromStr for WantedNames {
    type Err = littoral::Error;

    fn from_str(text: &str) -> littoral::Result<WantedNames> {
        Ok(WantedNames(match text {
            "*" => Collections::All,
            names => Collections::only(names.split(',').map(str::trim))?,
        }))
    }
}

/// A peer of `run`.
#[derive(Debug, Clone)]
pub(crate) enum Peer {
    /// Connect to it.
    Connect(PeerAddress),
    /// Accept its links.
    Accept(NodeId),
}

impl std::str::FromStr for Peer {
    type Err = littoral::Error;

    fn from_str(text: &str) -> littoral::Result<Peer> {
        match text.contains('#') {
            true => text.parse().map(Peer::Connect),
            false => text.parse().map(Peer::Accept),
        }
    }
}

/// Of `put`.
#[derive(Debug, Args)]
pub(crate) struct PutArgs {
    #[command(flatten)]
    pub(crate) document: Document,
    /// The document as JSON; `-` or nothing reads standard input.
    #[arg(default_value = "-")]
    pub(crate) json_text: String,
    /// Fail, with exit code 4, if the document exists.
    #[arg(long, conflicts_with = "version")]
    pub(crate) new: bool,
    #[command(flatten)]
    pub(crate) version: VersionArgs,
}

/// Of `merge`.
#[derive(Debug, Args)]
pub(crate) struct MergeArgs {
    #[command(flatten)]
    pub(crate) document: Document,
    /// The fields as JSON; `-` or nothing reads standard input.
    #[arg(default_value = "-")]
    pub(crate) json_text: String,
}

/// Of `delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    pub(crate) field: DocumentField,
    #[command(flatten)]
    pub(crate) version: VersionArgs,
}

/// Of `scan`.
#[derive(Debug, Args)]
pub(crate) struct ScanArgs {
    /// The collection; without one, the collections are listed.
    pub(crate) collection: Option<String>,
    /// Only ids that begin so.
    #[arg(long, default_value = "")]
    pub(crate) prefix: String,
    /// Only ids from this one on.
    #[arg(long, value_name = "ID")]
    pub(crate) start: Option<String>,
    /// Only ids before this one.
    #[arg(long, value_name = "ID")]
    pub(crate) end: Option<String>,
    /// At most so many.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// From the last to the first.
    #[arg(long)]
    pub(crate) reverse: bool,
    /// As they were at this checkpoint.
    #[arg(long, value_name = "LABEL", requires = "collection")]
    pub(crate) at: Option<String>,
}

/// An element of a set.
#[derive(Debug, Args)]
pub(crate) struct Element {
    #[command(flatten)]
    pub(crate) document: Document,
    /// The set, as a JSON Pointer: /tags.
    #[arg(value_parser = Path::parse_pointer)]
    pub(crate) path: Path,
    /// The element: what is JSON is that value, anything else is text.
    #[arg(allow_hyphen_values = true)]
    pub(crate) value: String,
}

/// Of `increment`.
#[derive(Debug, Args)]
pub(crate) struct IncrementArgs {
    #[command(flatten)]
    pub(crate) document: Document,
    /// The counter, as a JSON Pointer: /views.
    #[arg(value_parser = Path::parse_pointer)]
    pub(crate) path: Path,
    /// How much to add.
    #[arg(default_value_t = 1, allow_negative_numbers = true)]
    pub(crate) by: i64,
}

/// How the documents of a file are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One JSON object a line.
    Jsonl,
    /// One JSON array of objects.
    Json,
    /// Comma-separated values with a header line.
    Csv,
}

/// Of `import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The collection.
    pub(crate) collection: String,
    /// The file; `-` is standard input.
    pub(crate) file: PathBuf,
    /// How it is written down; without this, its name decides (.jsonl, .ndjson, .json, .csv).
    #[arg(long)]
    pub(crate) format: Option<Format>,
    /// The field that holds the id; without this, ids are made that sort by time.
    #[arg(long, value_name = "FIELD")]
    pub(crate) id: Option<String>,
    /// Fields to read as sets: an array, or in CSV also parts separated by ';'.
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    pub(crate) set: Vec<String>,
    /// Fields to read as counters: an integer.
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    pub(crate) counter: Vec<String>,
    /// Documents of a transaction: each is applied as a whole or not at all.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) batch: u32,
    /// CSV: take every cell as text.
    #[arg(long)]
    pub(crate) text: bool,
    /// Make no checkpoint before.
    #[arg(long)]
    pub(crate) no_checkpoint: bool,
}

/// Of `export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The collection.
    pub(crate) collection: String,
    /// The file; `-` or nothing is standard output.
    #[arg(default_value = "-")]
    pub(crate) file: PathBuf,
    /// How to write them down; without this, the file's name decides, else JSON Lines.
    #[arg(long)]
    pub(crate) format: Option<Format>,
    /// The field to write the id to.
    #[arg(long, value_name = "FIELD", default_value = "id")]
    pub(crate) id: String,
}

/// Of `changes`.
#[derive(Debug, Args)]
pub(crate) struct ChangesArgs {
    /// Go on as changes come in; from now on, unless --since says otherwise.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// After this position; 0 is the oldest that the log holds.
    #[arg(long, value_name = "POSITION")]
    pub(crate) since: Option<u64>,
    /// Show what documents held before and after, as far as the store keeps that (`littoral run
    /// --change-values`).
    #[arg(long)]
    pub(crate) values: bool,
}

/// Of `resolve`.
#[derive(Debug, Args)]
pub(crate) struct ResolveArgs {
    #[command(flatten)]
    pub(crate) document: Document,
    /// The field, as a JSON Pointer.
    #[arg(value_parser = Path::parse_pointer)]
    pub(crate) path: Path,
    #[command(flatten)]
    pub(crate) choice: ChoiceArgs,
}

/// How to settle it.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct ChoiceArgs {
    /// Take the candidate of this number, as `littoral conflicts` counts them.
    #[arg(long, value_name = "N")]
    pub(crate) take: Option<usize>,
    /// Write this: what is JSON is that field, anything else is text.
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    pub(crate) value: Option<String>,
}

/// Of `status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Also the digests of what is shown: equal digests are equal documents. Reads all documents.
    #[arg(long)]
    pub(crate) digests: bool,
    /// Ask a running node only, and fail if there is none: for who supervises it.
    #[arg(long)]
    pub(crate) running: bool,
}

/// Of `compact`.
#[derive(Debug, Args)]
pub(crate) struct CompactArgs {
    /// Only say how much is in use.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Of `anonymize`.
#[derive(Debug, Args)]
pub(crate) struct AnonymizeArgs {
    /// The store, which is not changed. No node may run on it.
    pub(crate) dir: PathBuf,
    /// The new one: a directory that is empty or not there.
    pub(crate) out: PathBuf,
}

/// Of `leave`.
#[derive(Debug, Args)]
pub(crate) struct LeaveArgs {
    /// The collection.
    pub(crate) collection: String,
    /// Also if writes are lost that no peer was given.
    #[arg(long)]
    pub(crate) force: bool,
}

/// What to do with the key.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyStep {
    /// Encrypt it, or change its passphrase: asks for the new one, or reads it from a line of
    /// standard input. The present one is taken from LITTORAL_PASSPHRASE, from the file that
    /// LITTORAL_PASSPHRASE_FILE names, or asked for.
    Encrypt,
    /// Store it in the clear again, readable by its owner only.
    Decrypt,
    /// Give this node a new key, which has the passphrase of the old one. It goes on with its
    /// history, and as the member that it was; other members hear of the new key when they link
    /// with it. The store must not be in use. The founder's key can't be changed.
    Rotate,
}

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenStep {
    /// Make a token and print it, this once.
    Create {
        /// What it is called.
        #[arg(long, value_name = "NAME", default_value = "")]
        name: String,
        /// What its holder may do: read, write, or admin (also change the roster, and drop
        /// collections). Each includes those before it.
        #[arg(long, value_name = "RIGHT", default_value = "read")]
        rights: Scope,
    },
    /// List the tokens that open something.
    List,
    /// Take a token back: it opens nothing any more, from the next request on.
    Revoke {
        /// Its id or name.
        #[arg(value_name = "TOKEN")]
        called: String,
    },
}

/// Of `verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Leave out making the state anew from the log, which takes the longest.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Where to make it, which takes as much room as the state; else where the system keeps such
    /// files.
    #[arg(long, value_name = "DIR")]
    pub(crate) scratch: Option<PathBuf>,
}

/// Of `rescue`.
#[derive(Debug, Args)]
pub(crate) struct RescueArgs {
    /// The damaged store, which is not changed. No node may run on it.
    pub(crate) damaged: PathBuf,
    /// The new one: a directory that is empty or not there.
    pub(crate) new: PathBuf,
    /// No other store has what this one has: also write counters anew whose history is gone. At
    /// a peer that has them they would count twice.
    #[arg(long)]
    pub(crate) alone: bool,
    /// The network that the store was made for, if its state no longer says so.
    #[arg(long, value_name = "NAME")]
    pub(crate) network: Option<String>,
}

/// Of `sync`.
#[derive(Debug, Args)]
pub(crate) struct SyncArgs {
    /// The peer.
    #[arg(value_name = "ADDR#KEY")]
    pub(crate) peer: PeerAddress,
    /// Exchange only these collections with this peer, from now on: names with commas between,
    /// or `*` for all.
    #[arg(long, value_name = "NAMES")]
    pub(crate) collections: Option<WantedNames>,
    /// Give up after so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) timeout: u64,
}

/// What to do with a bundle.
#[derive(Debug, Subcommand)]
pub(crate) enum BundleStep {
    /// Write to a small file what this store has, so that others can leave that out.
    Have {
        /// The file to write: for `bundle create --since` elsewhere.
        file: PathBuf,
    },
    /// Make a bundle: a file with the changes that its receiver lacks.
    Create(BundleCreateArgs),
    /// Apply a bundle to this store, as if its maker were connected.
    Apply(BundleApplyArgs),
    /// Say what is in a bundle, after checking all of it. Needs no store.
    Inspect {
        /// The bundle.
        file: PathBuf,
        /// Also how much of it this store lacks.
        #[arg(long)]
        new: bool,
    },
}

/// Of `bundle create`.
#[derive(Debug, Args)]
pub(crate) struct BundleCreateArgs {
    /// The file to write; one of that name is replaced when the bundle is whole.
    pub(crate) file: PathBuf,
    /// What to leave out: the file of `littoral bundle have` at the receiver, or an earlier
    /// bundle that was given to it. Without this, everything goes in.
    #[arg(long, value_name = "FILE")]
    pub(crate) since: Option<PathBuf>,
    /// Only these collections: names with commas between.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) collections: Option<Vec<String>>,
    /// Fail rather than carry all documents of a collection whose log no longer reaches back.
    #[arg(long)]
    pub(crate) no_snapshots: bool,
}

/// Of `bundle apply`.
#[derive(Debug, Args)]
pub(crate) struct BundleApplyArgs {
    /// The bundle.
    pub(crate) file: PathBuf,
    /// The key of the node that made it, as `littoral id` prints it there: believe the snapshots
    /// in it although that node is not trusted. Transactions need no such word: their authors
    /// have signed them.
    #[arg(long, value_name = "KEY")]
    pub(crate) from: Option<NodeId>,
    /// Only these collections: names with commas between.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) collections: Option<Vec<String>>,
}

/// Of `demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// End after the show: with exit code 0 only if every replica shows the same documents.
    #[arg(long)]
    pub(crate) once: bool,
    /// Keep the stores in this directory; without it, they are removed at the end.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

/// Of `bench`.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// How many notes.
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) docs: u64,
    /// Only these: W1 load, W2 set, W3 get, W4 scan, W5 first sync, W6 differences, W7 live
    /// changes, W8 open, D1 disk; with commas between.
    #[arg(long, value_name = "WORKS", value_delimiter = ',')]
    pub(crate) work: Vec<String>,
    /// The directory to make files in: on the disk that is to be measured.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) dir: PathBuf,
}
