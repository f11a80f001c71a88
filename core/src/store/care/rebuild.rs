//! Rebuilding: the state that the log gives, made anew beside the one that is there.
//!
//! Where the log reaches back to the beginning of a collection, the state must be exactly what
//! recovery would make of it: the current transactions are applied, in the order of the log, by
//! the same waist, into a state of its own in a scratch directory. It takes as much disk as the
//! collections that are rebuilt.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Builder, Database, Durability, ReadableDatabase};

use super::finding::{Finding, Findings, Level};
use super::look::RESCUE;
use super::rows::Subject;
use crate::error::{Error, Result};
use crate::id::{NodeId, Position};
use crate::limits::COMMIT_BATCH_BYTES;
use crate::store::apply::Waist;
use crate::store::disk::{Disk, Freeze, RealDisk, RedbFile};
use crate::store::documents;
use crate::store::heads::{CollectionHead, Heads};
use crate::store::log::{Found, Survey};
use crate::store::tables::{self, IndexRow, Tables, db};
use crate::txn::{Scope, Signed};

/// Documents that are named of those that differ.
const NAMED: usize = 10;

/// A directory for what is needed for a while; it goes with this.
pub(in crate::store) struct Scratch(PathBuf);

impl Scratch {
    pub(in crate::store) fn new(inside: Option<&Path>) -> Result<Scratch> {
        let inside = inside.map_or_else(std::env::temp_dir, Path::to_owned);
        let mut lot = [0; 8];
        getrandom::fill(&mut lot).map_err(|err| {
            Error::new(crate::ErrorKind::Io, format!("the system gave no random bytes: {err}"))
        })?;
        let path = inside.join(format!("littoral-{:016x}", u64::from_be_bytes(lot)));
        fs::create_dir_all(&path)
            .map_err(|err| Error::io(format_args!("make {}", path.display()), err))?;
        Ok(Scratch(path))
    }

    /// A state without anything in it.
    pub(in crate::store) fn database(&self, cache_bytes: usize) -> Result<Database> {
        let disk = RealDisk::new(self.0.clone());
        let file = disk.open("scratch.redb", true).map_err(|err| Error::io("make scratch", err))?;
        let backend = RedbFile::new(file, Freeze::default());
        let database =
            Builder::new().set_cache_size(cache_bytes).create_with_backend(backend).map_err(db)?;
        let txn = database.begin_write().map_err(db)?;
        for definition in tables::ALL {
            txn.open_table(definition).map_err(db)?;
        }
        txn.commit().map_err(db)?;
        Ok(database)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The collections whose whole history the log holds.
pub(super) fn whole(subject: &Subject<'_>) -> BTreeSet<String> {
    let whole = |head: &&CollectionHead| head.floor.is_empty();
    subject.heads.iter().filter(whole).map(|head| head.name.clone()).collect()
}

/// The state that the log gives, as far as it has been applied.
pub(super) struct Rebuild<'a> {
    subject: &'a Subject<'a>,
    index: redb::ReadOnlyTable<&'static [u8], &'static [u8]>,
    database: Database,
    heads: Heads,
    batch: Vec<(String, Signed, Position)>,
    bytes: usize,
    /// Collections whose rows are not what is kept beside them says: their documents are compared
    /// one by one, others by their digest.
    suspects: &'a BTreeSet<String>,
}

impl<'a> Rebuild<'a> {
    pub(super) fn new(
        subject: &'a Subject<'a>,
        scratch: &Scratch,
        cache_bytes: usize,
        suspects: &'a BTreeSet<String>,
    ) -> Result<Rebuild<'a>> {
        let mut heads = Heads::default();
        heads.layout = subject.heads.layout;
        let index = subject.read.open_table(tables::TRANSACTIONS).map_err(db)?;
        let database = scratch.database(cache_bytes)?;
        Ok(Rebuild { subject, index, database, heads, batch: Vec::new(), bytes: 0, suspects })
    }

    /// Rebuilds these collections and compares them with what is there.
    pub(super) fn run(
        mut self,
        survey: &Survey,
        names: &BTreeSet<String>,
        findings: &mut Findings,
    ) -> Result<()> {
        survey.read(&mut |found| match found {
            Found::Record(record) if record.is_txn() && names.contains(&record.collection) => {
                let scope = Scope { network: self.subject.network, collection: &record.collection };
                let (position, name) = (record.position, record.collection.clone());
                let Ok(signed) = Signed::trusted(record.bytes, scope) else { return Ok(()) };
                self.take(name, signed, position)
            }
            _ => Ok(()),
        })?;
        self.apply()?;
        for name in names {
            if let (Some(ours), theirs) = (self.subject.heads.named(name), self.heads.named(name)) {
                self.compare(ours, theirs, findings)?;
            }
        }
        Ok(())
    }

    fn node(&self) -> NodeId {
        self.subject.node.unwrap_or_else(|| NodeId::from_bytes([0; 32]))
    }

    /// Takes a record that the index names: others have another name now, or had none.
    fn take(&mut self, collection: String, signed: Signed, position: Position) -> Result<()> {
        let heads = self.subject.heads;
        let Some(head) = heads.named(&collection) else { return Ok(()) };
        let Some(origin) = heads.origins.number(&signed.txn.dot.origin) else { return Ok(()) };
        let key = tables::transaction_key(head.number, origin, signed.txn.dot.seq);
        let entry = self.index.get(&key[..]).map_err(db)?;
        let entry = entry.map(|bytes| IndexRow::decode(bytes.value())).transpose()?;
        if entry.is_none_or(|entry| entry.position != position) {
            return Ok(());
        }
        self.bytes += signed.bytes.len();
        self.batch.push((collection, signed, position));
        if self.bytes >= COMMIT_BATCH_BYTES { self.apply() } else { Ok(()) }
    }

    fn apply(&mut self) -> Result<()> {
        let Some((_, _, last)) = self.batch.last() else { return Ok(()) };
        let (last, node) = (*last, self.node());
        let mut txn = self.database.begin_write().map_err(db)?;
        let none = txn.set_durability(Durability::None);
        none.map_err(|err| Error::new(crate::ErrorKind::Internal, format!("state.redb: {err}")))?;
        let mut waist = Waist::new(Tables::open(&txn)?, &self.heads, node);
        for (collection, signed, position) in self.batch.drain(..) {
            waist.apply(&collection, &signed, position)?;
        }
        let changes = waist.finish(last, None)?;
        txn.commit().map_err(db)?;
        changes.publish(&mut self.heads, node);
        self.bytes = 0;
        Ok(())
    }

    fn compare(
        &self,
        ours: &CollectionHead,
        theirs: Option<&CollectionHead>,
        findings: &mut Findings,
    ) -> Result<()> {
        let place = || format!("collection '{}'", ours.name);
        let cells = |head: &CollectionHead| head.row.cells.digest();
        let vector = theirs.map(CollectionHead::to_vector).unwrap_or_default();
        let same = vector == ours.to_vector() && theirs.is_none_or(|it| cells(it) == cells(ours));
        if same && !self.suspects.contains(&ours.name) {
            return Ok(());
        }
        let differing = theirs.map_or(Ok(Vec::new()), |theirs| self.differing(ours, theirs))?;
        if same && differing.is_empty() {
            return Ok(());
        }
        let what = "the log reaches back to the beginning, and what it gives is not what the state holds: \
             this replica would differ from others that applied the same";
        findings.push(Finding::new(Level::Damage, "rebuild", place(), what, RESCUE));
        for (id, what) in differing {
            let finding = Finding::new(Level::Damage, "rebuild-document", place(), what, RESCUE);
            findings.push(Finding { document: Some(id), ..finding });
        }
        Ok(())
    }

    /// The first documents that differ.
    fn differing(
        &self,
        ours: &CollectionHead,
        theirs: &CollectionHead,
    ) -> Result<Vec<(String, &'static str)>> {
        let read = self.database.begin_read().map_err(db)?;
        let origins = Arc::clone(&self.subject.heads.origins);
        let mut here = documents::scan(self.subject.read, origins, ours.number, "")?;
        let origins = Arc::clone(&self.heads.origins);
        let mut there = documents::scan(&read, origins, theirs.number, "")?;
        let (mut a, mut b) = (here.next().transpose()?, there.next().transpose()?);
        let mut found = Vec::new();
        while found.len() < NAMED {
            let order = match (&a, &b) {
                (None, None) => break,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some((a, _)), Some((b, _))) => a.cmp(b),
            };
            match order {
                std::cmp::Ordering::Less => {
                    let id = a.map(|(id, _)| id).unwrap_or_default();
                    found.push((id, "is in the state, and the log does not give it"));
                    a = here.next().transpose()?;
                }
                std::cmp::Ordering::Greater => {
                    let id = b.map(|(id, _)| id).unwrap_or_default();
                    found.push((id, "is given by the log, and the state lacks it"));
                    b = there.next().transpose()?;
                }
                std::cmp::Ordering::Equal => {
                    if let (Some((id, a)), Some((_, b))) = (a, b)
                        && a != b
                    {
                        found.push((id, "holds something else than the log gives"));
                    }
                    (a, b) = (here.next().transpose()?, there.next().transpose()?);
                }
            }
        }
        Ok(found)
    }
}
