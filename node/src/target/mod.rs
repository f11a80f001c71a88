//! What commands talk to: a store on this disk, or a node over HTTP.
//!
//! Both answer alike, in values and in errors, so that a command neither knows nor cares
//! which one it has. The HTTP service stands on the same trait, over the local store.

mod etag;
mod local;
mod local_tape;
mod open;
mod remote;
mod remote_bundle;
mod remote_tape;
mod tape;

use std::path::Path as FilePath;
use std::time::Duration;

use littoral::store::{
    ApplyOptions, BackupOptions, BackupReport, BundleContents, BundleOptions, Have,
};
use littoral::txn::roster::Rights;
use littoral::txn::ticket::InviteId;
use littoral::value::Value;
use littoral::{Field, Fields, NodeId, Path, Position, Result, ScanRange, Version};

use crate::conflict_log::{LogPageShape, LoggedShape, Noting, OfLog};
use crate::events::{EventsPage, WantedEvents};
use crate::invites::{InviteShape, Inviting, TicketShape};
use crate::members::RosterShape;
use crate::shape::{
    AppliedShape, ChangesPage, CollectionState, ConflictShape, FindingShape, Health, Status,
};

pub(crate) use etag::{parse_version, version_text};
pub(crate) use local::{Local, collections};
pub(crate) use local_tape::{keep_checkpoints, scan_past};
pub(crate) use open::{Opening, Wanted, running_node};
pub(crate) use remote::Remote;
pub(crate) use remote_bundle::BUNDLE_TYPE;
pub(crate) use tape::Tape;

/// A document that was read.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    /// Its fields.
    pub(crate) fields: Fields,
    /// What its reader has thereby seen.
    pub(crate) version: Version,
}

/// A change of one document.
#[derive(Debug, Clone)]
pub(crate) enum Write {
    /// Replace it.
    Put(Fields),
    /// Write these fields and leave the others alone.
    Merge(Fields),
    /// Delete it, or one field of it.
    Delete(Path),
    /// Add an element to a set.
    Add(Path, Value),
    /// Remove an element from a set.
    Remove(Path, Value),
    /// Add to a counter.
    Increment(Path, i64),
}

/// What must hold for a write to happen.
#[derive(Debug, Clone, Default)]
pub(crate) enum Condition {
    /// Nothing.
    #[default]
    Always,
    /// There is no such document.
    Absent,
    /// There is one.
    Exists,
    /// Nothing; but only what a reader of this version saw is overwritten. For put and delete;
    /// other writes overwrite nothing else anyway.
    Based(Version),
    /// The document is at this version.
    Exactly(Version),
}

/// How a conflict is settled.
#[derive(Debug, Clone)]
pub(crate) enum Choice {
    /// For the candidate of this number, from 1, as they are listed.
    Take(usize),
    /// For this field.
    Value(Field),
}

/// Documents, one by one.
pub(crate) type Scan<'a> = Box<dyn Iterator<Item = Result<(String, Fields)>> + 'a>;

/// A store, near or far.
pub(crate) trait Target: Tape + Send + Sync {
    /// A document.
    ///
    /// Errors: `UnknownCollection`, `NotFound`.
    fn get(&self, collection: &str, id: &str) -> Result<Read>;

    /// The documents of a range of an existing collection.
    fn scan(&self, collection: &str, range: &ScanRange) -> Result<Scan<'_>>;

    /// Changes a document, if `condition` holds, and gives it as it then is; none if it is gone.
    ///
    /// Errors: `VersionMismatch` if the condition does not hold; `NotFound` if there is nothing
    /// to delete or remove.
    fn write(
        &self,
        collection: &str,
        id: &str,
        write: &Write,
        condition: &Condition,
    ) -> Result<Option<Read>>;

    /// Puts documents in one transaction: all of them, or none.
    fn put_all(&self, collection: &str, documents: &[(String, Fields)]) -> Result<()>;

    /// Changes after `since`, waiting up to `wait` for the first; `None` is from now on.
    fn changes(&self, since: Option<Position>, wait: Duration, values: bool)
    -> Result<ChangesPage>;

    /// What happened after the number `since`, waiting up to `wait` for the first; `None` is from
    /// now on.
    fn events(
        &self,
        since: Option<u64>,
        wanted: &WantedEvents,
        wait: Duration,
    ) -> Result<EventsPage>;

    /// The conflicts of the store, of a collection, or of a document.
    fn conflicts(&self, collection: Option<&str>, id: Option<&str>) -> Result<Vec<ConflictShape>>;

    /// What was in conflict.
    fn conflict_log(&self, asked: &OfLog) -> Result<LogPageShape>;

    /// Writes something down about a conflict of the log.
    fn note_conflict(&self, number: u64, noting: &Noting) -> Result<LoggedShape>;

    /// Settles a conflict.
    fn resolve(&self, collection: &str, id: &str, path: &Path, choice: &Choice) -> Result<()>;

    /// Figures.
    fn status(&self) -> Result<Status>;

    /// Whether the node can do its work; none of a store that no node runs on.
    fn health(&self) -> Result<Option<Health>> {
        Ok(None)
    }

    /// What is shown, by digest. Reads all documents.
    fn state(&self) -> Result<Vec<CollectionState>>;

    /// What the store has and wants, for who makes a bundle for it.
    fn have(&self) -> Result<Have>;

    /// Makes a bundle in a file here.
    fn bundle_create(&self, file: &FilePath, options: &BundleOptions) -> Result<BundleContents>;

    /// Applies a bundle that is in a file here.
    fn bundle_apply(&self, file: &FilePath, options: &ApplyOptions) -> Result<AppliedShape>;

    /// Writes all that the store holds to a file here, and checks it.
    fn backup(&self, file: &FilePath, options: &BackupOptions) -> Result<BackupReport>;

    /// What there is to say about the store, the worst first.
    fn doctor(&self) -> Result<Vec<FindingShape>>;

    /// Drops a collection from the store.
    ///
    /// Errors: `UnknownCollection`; `InvalidInput` if writes would be lost that no peer was given,
    /// and `force` does not say that they may be.
    fn leave(&self, collection: &str, force: bool) -> Result<()>;

    /// Who belongs to the network, and whom the store trusts.
    fn roster(&self) -> Result<RosterShape>;

    /// Founds a roster.
    fn found_roster(&self, name: &str) -> Result<()>;

    /// Belongs to the roster that a node founded.
    fn join_roster(&self, founder: NodeId) -> Result<()>;

    /// Says what a member may do from now on; without a name, it is called as before.
    fn grant(&self, member: NodeId, name: Option<&str>, rights: &Rights) -> Result<()>;

    /// Takes all rights from a member.
    fn revoke(&self, member: NodeId) -> Result<()>;

    /// Makes a ticket.
    fn invite(&self, asked: &Inviting) -> Result<TicketShape>;

    /// All invitations, in the order in which they were made.
    fn invites(&self) -> Result<Vec<InviteShape>>;

    /// Lets nobody join with a ticket any more.
    fn revoke_invite(&self, id: &InviteId) -> Result<()>;

    /// Whether others can write while this is open, so that waiting for changes makes sense.
    fn is_shared(&self) -> bool;
}

/// The field at `path` of a document that was read.
pub(crate) fn field_at<'a>(
    (collection, id): (&str, &str),
    fields: &'a Fields,
    path: &Path,
) -> Result<&'a Field> {
    let found = path.names().split_last().and_then(|(last, way)| {
        way.iter().try_fold(fields, |at, name| at.get(name)?.as_map())?.get(last)
    });
    found.ok_or_else(|| local::no_field(collection, id, path))
}
