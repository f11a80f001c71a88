//! The target that is a store in this process.

use std::path::Path as FilePath;
use std::time::Duration;

use data_encoding::HEXLOWER;
use littoral::clock::{SystemClock, WallClock};
use littoral::limits::MAX_HTTP_PAGE;
use littoral::store::{
    ApplyOptions, BackupOptions, BackupReport, BundleContents, BundleOptions, Have, WrittenOnce,
};
use littoral::txn::roster::Rights;
use littoral::txn::ticket::InviteId;
use littoral::{
    Document, Error, ErrorKind, Fields, NodeId, Path, Position, Result, ScanRange, Store,
    Transaction,
};

use super::local_tape::keep_checkpoints;
use super::{Choice, Condition, Read, Scan, Target, Write};
use crate::conflict_log::{LogPageShape, LoggedShape, Noting, OfLog};
use crate::disk;
use crate::events::{EventsPage, WantedEvents};
use crate::feed::{Follower, Give, Pages, Told, Wanted};
use crate::invites::{self, InviteShape, Inviting, TicketShape};
use crate::members::{MemberShape, RosterShape, TrustedShape};
use crate::ops;
use crate::shape::{
    AppliedShape, ChangesPage, CollectionState, CollectionStatus, ConflictShape, FindingShape,
    Status,
};
use crate::tape::HoldShape;

/// A store in this process.
#[derive(Debug, Clone)]
pub(crate) struct Local {
    store: Store,
}

impl Local {
    /// Over an open store.
    pub(crate) fn new(store: Store) -> Local {
        Local { store }
    }

    /// The store.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Changes several documents in one transaction: all of it, or nothing.
    pub(crate) fn write_all(&self, changes: &[ops::Change]) -> Result<()> {
        let always = Condition::Always;
        self.store.write(|txn| {
            changes.iter().try_for_each(|of| apply(txn, &of.collection, &of.id, &of.write, &always))
        })
    }

    /// The same, once for each key: see [`Store::write_once`].
    pub(crate) fn write_all_once(
        &self,
        key: &str,
        asked: &[u8],
        changes: &[ops::Change],
    ) -> Result<WrittenOnce> {
        let always = Condition::Always;
        self.store.write_once(key, asked, |txn| {
            changes.iter().try_for_each(|of| apply(txn, &of.collection, &of.id, &of.write, &always))
        })
    }

    fn read(&self, collection: &str, id: &str) -> Result<Document> {
        let found = self.store.existing_collection(collection)?.get(id)?;
        found.ok_or_else(|| no_document(collection, id))
    }
}

impl Target for Local {
    fn get(&self, collection: &str, id: &str) -> Result<Read> {
        self.read(collection, id).map(Read::from)
    }

    fn scan(&self, collection: &str, range: &ScanRange) -> Result<Scan<'_>> {
        let documents = self.store.existing_collection(collection)?.scan(range)?;
        Ok(Box::new(documents.map(|document| {
            document.map(|document| (document.id().to_owned(), document.into_fields()))
        })))
    }

    fn write(
        &self,
        collection: &str,
        id: &str,
        write: &Write,
        condition: &Condition,
    ) -> Result<Option<Read>> {
        self.store.write(|txn| {
            check(txn, collection, id, condition)?;
            apply(txn, collection, id, write, condition)?;
            Ok(txn.get(collection, id)?.map(Read::from))
        })
    }

    fn put_all(&self, collection: &str, documents: &[(String, Fields)]) -> Result<()> {
        // Also where there is no document that would be refused.
        self.store.collection(collection)?;
        self.store.write(|txn| {
            documents.iter().try_for_each(|(id, fields)| txn.put(collection, id, fields))
        })
    }

    fn changes(
        &self,
        since: Option<Position>,
        wait: Duration,
        values: bool,
    ) -> Result<ChangesPage> {
        let give = if values { Give::Values } else { Give::Changes };
        let wanted = Wanted { give, ..Wanted::default() };
        let mut follower = Follower::new(&self.store, since, wanted, Pages::Whole);
        let page = follower.page(MAX_HTTP_PAGE, wait)?;
        let changes = page.changes.into_iter().filter_map(|told| match told {
            Told::Change(change) => Some(change),
            _ => None,
        });
        Ok(ChangesPage { changes: changes.collect(), next: page.next })
    }

    fn events(
        &self,
        since: Option<u64>,
        wanted: &WantedEvents,
        _wait: Duration,
    ) -> Result<EventsPage> {
        // Nothing happens to a store that is open here alone.
        let since = since.map_or_else(|| self.store.last_event(), Ok)?;
        wanted.after(&self.store, since)
    }

    fn conflicts(&self, collection: Option<&str>, id: Option<&str>) -> Result<Vec<ConflictShape>> {
        let found = match (collection, id) {
            (None, _) => self.store.conflicts()?,
            (Some(name), None) => self.store.existing_collection(name)?.conflicts()?,
            (Some(name), Some(id)) => self.read(name, id)?.conflicts(),
        };
        let mut shapes: Vec<_> = found.iter().map(ConflictShape::from).collect();
        if let (Some(name), Some(_)) = (collection, id) {
            shapes.iter_mut().for_each(|shape| name.clone_into(&mut shape.collection));
        }
        Ok(shapes)
    }

    fn conflict_log(&self, asked: &OfLog) -> Result<LogPageShape> {
        asked.read(&self.store)
    }

    fn note_conflict(&self, number: u64, noting: &Noting) -> Result<LoggedShape> {
        let noted = self.store.note_conflict(number, &noting.author, &noting.text)?;
        Ok(LoggedShape::from(&noted))
    }

    fn resolve(&self, collection: &str, id: &str, path: &Path, choice: &Choice) -> Result<()> {
        let missing = || no_document(collection, id);
        self.store.existing_collection(collection)?;
        self.store.write(|txn| {
            let document = txn.get(collection, id)?.ok_or_else(missing)?;
            let field = match choice {
                Choice::Value(field) => field.clone(),
                Choice::Take(number) => candidate(&document, path, *number)?,
            };
            txn.resolve(collection, id, path, &field)
        })
    }

    fn status(&self) -> Result<Status> {
        let stats = self.store.stats()?;
        Ok(Status {
            node: stats.node.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            collections: collections(&self.store)?,
            state_bytes: stats.state_bytes,
            log_bytes: stats.log_bytes,
            log_budget_bytes: stats.log_budget_bytes,
            log_start: stats.log_start.0,
            log_held: stats.log_held,
            log_pins_expired: stats.log_pins_expired,
            position: stats.position.0,
            failure: stats.failure,
            holds: self.store.holds().iter().map(HoldShape::from).collect(),
            running: None,
        })
    }

    fn state(&self) -> Result<Vec<CollectionState>> {
        collections(&self.store)?.into_iter().map(|known| digest(&self.store, known)).collect()
    }

    fn have(&self) -> Result<Have> {
        self.store.have()
    }

    fn bundle_create(&self, file: &FilePath, options: &BundleOptions) -> Result<BundleContents> {
        self.store.bundle_create(file, options)
    }

    fn bundle_apply(&self, file: &FilePath, options: &ApplyOptions) -> Result<AppliedShape> {
        keep_checkpoints(&self.store)?;
        self.store.bundle_apply(file, options).map(|applied| AppliedShape::from(&applied))
    }

    fn backup(&self, file: &FilePath, options: &BackupOptions) -> Result<BackupReport> {
        self.store.backup(file, options)
    }

    fn doctor(&self) -> Result<Vec<FindingShape>> {
        let mut found: Vec<FindingShape> =
            self.store.doctor()?.iter().map(FindingShape::from).collect();
        found.extend(self.store.path().and_then(disk::check));
        Ok(found)
    }

    fn leave(&self, collection: &str, force: bool) -> Result<()> {
        self.store.existing_collection(collection)?;
        let unsent = self.store.unsent(collection);
        if unsent > 0 && !force {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!(
                    "{unsent} writes to '{collection}' were never given to a peer and would be lost; sync first, or say --force"
                ),
            ));
        }
        self.store.leave(collection).map(drop)
    }

    fn roster(&self) -> Result<RosterShape> {
        let members = self.store.members().unwrap_or_default();
        Ok(RosterShape {
            node: self.store.node_id().to_string(),
            founder: self.store.founder().map(|founder| founder.to_string()),
            members: members.iter().map(MemberShape::from).collect(),
            trusted: self.store.trusted()?.iter().map(TrustedShape::from).collect(),
        })
    }

    fn found_roster(&self, name: &str) -> Result<()> {
        self.store.found_roster(name)
    }

    fn join_roster(&self, founder: NodeId) -> Result<()> {
        self.store.join_roster(founder)
    }

    fn grant(&self, member: NodeId, name: Option<&str>, rights: &Rights) -> Result<()> {
        self.store.grant(member, name, rights.clone())
    }

    fn revoke(&self, member: NodeId) -> Result<()> {
        self.store.revoke(member)
    }

    fn invite(&self, asked: &Inviting) -> Result<TicketShape> {
        invites::invite(&self.store, asked)
    }

    fn invites(&self) -> Result<Vec<InviteShape>> {
        let now_ms = SystemClock.now_ms();
        let invites = self.store.invites()?;
        Ok(invites.iter().map(|invite| InviteShape::of(invite, now_ms)).collect())
    }

    fn revoke_invite(&self, id: &InviteId) -> Result<()> {
        self.store.revoke_invite(id).map(drop)
    }

    fn is_shared(&self) -> bool {
        false
    }
}

impl From<Document> for Read {
    fn from(document: Document) -> Read {
        Read { version: document.version(), fields: document.into_fields() }
    }
}

/// The collections of a store.
pub(crate) fn collections(store: &Store) -> Result<Vec<CollectionStatus>> {
    let of = |stats: &littoral::store::CollectionStats| CollectionStatus {
        name: stats.name.clone(),
        documents: stats.documents,
        conflicts: stats.conflicts,
        transactions: stats.transactions,
        origins: stats.origins,
        pruned: stats.pruned,
        log_bytes: stats.log_bytes,
    };
    Ok(store.stats()?.collections.iter().map(of).collect())
}

fn digest(store: &Store, known: CollectionStatus) -> Result<CollectionState> {
    let digests = store.digests(&known.name)?;
    Ok(CollectionState {
        documents: known.documents,
        shown: HEXLOWER.encode(&digests.shown.0),
        cells: HEXLOWER.encode(&digests.cells.0),
        name: known.name,
    })
}

/// Whether `condition` lets a write happen.
fn check(txn: &mut Transaction, collection: &str, id: &str, condition: &Condition) -> Result<()> {
    let mismatch = |sentence: &str| {
        let place = format!("the document '{id}' of '{collection}' {sentence}");
        Err(Error::new(ErrorKind::VersionMismatch, place))
    };
    let there = match condition {
        Condition::Always | Condition::Based(_) => return Ok(()),
        _ => txn.get(collection, id)?,
    };
    match (condition, there) {
        (Condition::Absent, Some(_)) => mismatch("exists already"),
        (Condition::Exists, None) => mismatch("does not exist"),
        (Condition::Exactly(wanted), there)
            if there.as_ref().map(Document::version).as_ref() != Some(wanted) =>
        {
            mismatch("is no longer at the version required; read it again")
        }
        _ => Ok(()),
    }
}

fn apply(
    txn: &mut Transaction,
    collection: &str,
    id: &str,
    write: &Write,
    condition: &Condition,
) -> Result<()> {
    match (write, condition) {
        (Write::Put(fields), Condition::Based(version)) => {
            txn.put(collection, id, (fields, version))
        }
        (Write::Put(fields), _) => txn.put(collection, id, fields),
        (Write::Merge(fields), _) => txn.merge(collection, id, fields),
        (Write::Delete(path), Condition::Based(version)) if path.depth() == 0 => {
            must(txn.delete_version(collection, id, version)?, || no_document(collection, id))
        }
        (Write::Delete(path), _) if path.depth() == 0 => {
            must(txn.delete(collection, id)?, || no_document(collection, id))
        }
        (Write::Delete(path), _) => {
            must(txn.unset(collection, id, path)?, || no_field(collection, id, path))
        }
        (Write::Add(path, element), _) => txn.add(collection, id, path, element.clone()),
        (Write::Remove(path, element), _) => {
            must(txn.remove(collection, id, path, element.clone())?, || {
                not_found(format!(
                    "the set '{path}' of '{id}' in '{collection}' has no such element"
                ))
            })
        }
        (Write::Increment(path, by), _) => txn.increment(collection, id, path, *by),
    }
}

fn must(there: bool, missing: impl FnOnce() -> Error) -> Result<()> {
    if there { Ok(()) } else { Err(missing()) }
}

fn candidate(document: &Document, path: &Path, number: usize) -> Result<littoral::Field> {
    let conflicts = document.conflicts();
    let conflict = conflicts.iter().find(|conflict| conflict.path == *path).ok_or_else(|| {
        not_found(format!(
            "the field '{path}' of '{}' is not in conflict; `littoral conflicts` lists those that are",
            document.id()
        ))
    })?;
    let sides = &conflict.candidates;
    let side = number.checked_sub(1).and_then(|at| sides.get(at)).ok_or_else(|| {
        not_found(format!(
            "the conflict at '{path}' has {} candidates, counted from 1; there is no number {number}",
            sides.len()
        ))
    })?;
    Ok(side.field.clone())
}

/// The error for a document that is not there.
fn no_document(collection: &str, id: &str) -> Error {
    not_found(format!("there is no document '{id}' in '{collection}'"))
}

/// The error for a field that is not there.
pub(super) fn no_field(collection: &str, id: &str, path: &Path) -> Error {
    not_found(format!("the document '{id}' of '{collection}' has no field '{path}'"))
}

pub(super) fn not_found(sentence: String) -> Error {
    Error::new(ErrorKind::NotFound, sentence)
}
