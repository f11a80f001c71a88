//! Making a backup: one read transaction, and everything that it shows.

use std::io::{BufReader, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use redb::{ReadTransaction, ReadableDatabase};

use super::contents::{BackedUp, BackupReport};
use super::settings;
use super::{BUFFER_BYTES, Stream, beside, split};
use crate::error::{Error, Result};
use crate::id::{NodeId, Vector};
use crate::limits::{
    BUNDLE_FRAME_BYTES, MAX_BACKUP_COLLECTIONS, MAX_SNAPSHOT_DOCUMENT_BYTES, MAX_SNAPSHOT_LIST,
};
use crate::store::bundle::file::FileWriter;
use crate::store::disk::{Disk, RealDisk};
use crate::store::heads::{CollectionHead, Heads};
use crate::store::snapshot::documents_in;
use crate::store::tables::db;
use crate::store::{Store, roster};
use crate::txn::Scope;
use crate::txn::bundle::{Counted, FileKind, Header, Part, SettingKind};
use crate::txn::snapshot::{Newest, Span, ViewHead, pack};

/// What goes into a backup besides the documents and the roster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupOptions {
    /// Whether the peers that the store trusts go in, with their addresses and what is exchanged
    /// with each.
    pub peers: bool,
}

impl Default for BackupOptions {
    /// Everything.
    fn default() -> BackupOptions {
        BackupOptions { peers: true }
    }
}

impl Store {
    /// Writes all that this store holds at this moment to a file: of every collection the documents,
    /// their conflicts and the vector, the roster, and what the store was told. Reads, writes and
    /// sync go on meanwhile. The file is made beside its name, read back and held against that
    /// moment; then it takes the place of one of that name.
    ///
    /// The node's secret key is not in it, and neither are the log, checkpoints and invitations.
    /// [`Options::restore`](crate::Options::restore) makes a store of it.
    ///
    /// Until it is written, no page of the state is used again that is replaced: `state.redb` grows
    /// by about what is written to the store meanwhile.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let (file, a, b) = (dir.path().join("file"), dir.path().join("a"), dir.path().join("b"));
    /// use littoral::{Options, Store};
    /// let store = Store::open(&a)?;
    /// store.collection("notes")?.set("n1", "title", "Tide table")?;
    /// assert_eq!(store.backup(&file, &Default::default())?.documents(), 1);
    /// Options::new().restore(&file, &b, &Default::default())?;
    /// let restored = Store::open(&b)?;
    /// assert!(restored.collection("notes")?.get("n1")?.is_some());
    /// assert_ne!(restored.node_id(), store.node_id());
    /// # Ok::<(), littoral::Error>(())
    /// ```
    ///
    /// Errors, after which there is no new file: [`Corrupt`](crate::ErrorKind::Corrupt) if the
    /// store's documents are not those that it has counted, or the disk gives back something else
    /// than was written; [`LimitExceeded`](crate::ErrorKind::LimitExceeded) for a document that is
    /// too large to sync, or over 65,536 collections; I/O.
    pub fn backup(&self, path: impl AsRef<Path>, options: &BackupOptions) -> Result<BackupReport> {
        let (parent, name) = split(path.as_ref())?;
        self.backup_on(&RealDisk::new(parent), name, options)
    }

    /// The same, to a file in the root of a disk that may be a simulated one.
    pub fn backup_on(
        &self,
        disk: &dyn Disk,
        name: &str,
        options: &BackupOptions,
    ) -> Result<BackupReport> {
        let part = beside(name);
        let doing = |err| Error::io(format_args!("write {name}"), err);
        let written = self.backup_part(disk, &part, options).and_then(|report| {
            disk.rename(&part, name).and_then(|()| disk.sync_dir("")).map_err(doing)?;
            Ok(report)
        });
        if written.is_err() {
            // It is of no use; that it can't be removed is not worse than that it was not written.
            let _ = disk.remove(&part);
        }
        written
    }

    fn backup_part(
        &self,
        disk: &dyn Disk,
        part: &str,
        options: &BackupOptions,
    ) -> Result<BackupReport> {
        let doing = |err| Error::io(format_args!("write {part}"), err);
        let file = disk.open(part, true).map_err(doing)?;
        // What an earlier one has left.
        file.set_len(0).map_err(doing)?;
        let mut out =
            BufWriter::with_capacity(BUFFER_BYTES, Stream::of(Arc::clone(&file)).map_err(doing)?);
        let report = self.write_backup(&mut out, options)?;
        drop(out);
        file.sync_data().map_err(doing)?;
        let input = Stream::of(file).map_err(doing)?;
        self.check_written(&mut BufReader::with_capacity(BUFFER_BYTES, input), &report)?;
        Ok(report)
    }

    /// As [`Store::backup`], into a stream of bytes. Who keeps them should read them again
    /// ([`BackupReport::read`]) before relying on them.
    pub fn write_backup(
        &self,
        out: &mut dyn Write,
        options: &BackupOptions,
    ) -> Result<BackupReport> {
        self.moment()?.write(out, options)
    }

    /// Reads what [`Store::write_backup`] wrote, all of it, and holds it against that moment.
    ///
    /// Errors: [`Corrupt`](crate::ErrorKind::Corrupt) if it is something else.
    pub fn check_written(
        &self,
        input: &mut dyn std::io::Read,
        report: &BackupReport,
    ) -> Result<()> {
        let layout = self.inner.read_heads().layout;
        let found = BackupReport::read_laid(input, layout).map_err(|err| {
            let why = format!(
                "the backup was read back and is not good, so there is none: {}; if it is made again and the same is said, check the store (`littoral verify`)",
                err.message()
            );
            Error::new(err.kind(), why)
        })?;
        match found == *report {
            true => Ok(()),
            false => Err(Error::corrupt(
                "the backup was read back and is not what was written: the disk is not to be relied on",
            )),
        }
    }

    /// This moment, durable in all that it shows. It may leave this store: own transactions are
    /// marked as handed out.
    fn moment(&self) -> Result<Moment<'_>> {
        let inner = &self.inner;
        let read = inner.database()?.begin_read().map_err(db)?;
        let mut heads = Heads::load_from(&read, inner.node)?;
        {
            let now = inner.read_heads();
            (heads.layout, heads.hashes) = (now.layout, now.hashes);
        }
        if heads.iter().count() > MAX_BACKUP_COLLECTIONS {
            return Err(Error::limit(format!(
                "a backup has at most {MAX_BACKUP_COLLECTIONS} collections; the store has {}",
                heads.iter().count()
            )));
        }
        if heads.applied > inner.reader.durable() {
            self.flush()?;
        }
        for head in heads.iter() {
            // What is newer than the moment is not in it, and need not be marked.
            let (newest, exported) = head.exports(inner.node);
            if newest > exported {
                inner.mark_through(&head.name, newest)?;
            }
        }
        // A reader of what is not durable holds also what is written and replaced after it, up to
        // the next durable commit: so that comes now.
        inner.commit_beside(|_| Ok(()))?;
        Ok(Moment { store: self, read, heads, made_ms: inner.wall.now_ms() })
    }
}

/// All that a store holds at one moment.
struct Moment<'a> {
    store: &'a Store,
    read: ReadTransaction,
    heads: Heads,
    made_ms: u64,
}

impl Moment<'_> {
    fn write(&self, out: &mut dyn Write, options: &BackupOptions) -> Result<BackupReport> {
        let (network, maker): (_, NodeId) = (self.store.network(), self.store.node_id());
        let header = Header { kind: FileKind::Backup, network, maker, made_ms: self.made_ms };
        let mut file = FileWriter::new(out, &header)?;
        let mut report = BackupReport::begin(&header);
        self.settings(&mut file, &mut report, options)?;
        self.roster(&mut file, &mut report)?;
        for head in self.heads.iter() {
            report.collections.push(self.collection(&mut file, head)?);
        }
        file.part(&Part::End { collections: report.collections.len() as u64 })?;
        let (check, bytes) = file.finish()?;
        Ok(BackupReport { bytes, check: Some(check), ..report })
    }

    fn settings(
        &self,
        file: &mut FileWriter<'_>,
        report: &mut BackupReport,
        options: &BackupOptions,
    ) -> Result<()> {
        let mut settings = settings::of(&self.read)?;
        settings.retain(|one| options.peers || one.kind != SettingKind::Peer);
        let peers = settings.iter().filter(|one| one.kind == SettingKind::Peer);
        report.peers = peers.count() as u64;
        for some in settings.chunks(MAX_SNAPSHOT_LIST) {
            file.part(&Part::Settings(some.to_vec()))?;
        }
        Ok(())
    }

    fn roster(&self, file: &mut FileWriter<'_>, report: &mut BackupReport) -> Result<()> {
        let Some(roster) = roster::at(&self.read, self.store.network())? else { return Ok(()) };
        let founder = roster.scope().founder;
        report.founder = Some(founder);
        let (mut statements, mut bytes) = (Vec::new(), 0);
        for statement in roster.statements() {
            if bytes >= BUNDLE_FRAME_BYTES {
                let statements = std::mem::take(&mut statements);
                file.part(&Part::Statements { founder, statements })?;
                bytes = 0;
            }
            bytes += statement.bytes.len();
            statements.push(statement.bytes.clone());
            report.statements += 1;
        }
        file.part(&Part::Statements { founder, statements })
    }

    fn collection(&self, file: &mut FileWriter<'_>, head: &CollectionHead) -> Result<BackedUp> {
        let inner = &self.store.inner;
        let newest = |row: &crate::store::tables::VectorRow| Newest {
            seq: row.seq,
            hash: row.hash,
            proof: row.proof,
        };
        let view = ViewHead {
            branches: (*head.branches).clone(),
            vector: head.vector.iter().map(|(origin, row)| (*origin, newest(row))).collect(),
            past: inner.past(&self.read, &self.heads, head, &Vector::new())?,
            cells: head.row.cells.digest(),
            documents: head.row.documents,
        };
        let scope = Scope { network: self.store.network(), collection: &head.name };
        let signed = view.sign(scope, self.store.node_key());
        file.part(&Part::Snapshot { collection: head.name.clone(), head: signed })?;
        self.documents(file, head)?;
        let counted = Counted {
            documents: head.row.documents,
            conflicts: head.row.conflicts,
            transactions: head.row.transactions,
        };
        file.part(&Part::Counted(counted))?;
        Ok(BackedUp {
            name: head.name.clone(),
            documents: counted.documents,
            conflicts: counted.conflicts,
            transactions: counted.transactions,
            origins: head.vector.len() as u64,
            cells: view.cells,
        })
    }

    fn documents(&self, file: &mut FileWriter<'_>, head: &CollectionHead) -> Result<()> {
        let (mut documents, mut bytes) = (Vec::new(), 0);
        let inner = &self.store.inner;
        for entry in documents_in(inner, &self.read, head.number, &Span::default())? {
            let (id, row) = entry?;
            let packed = pack(&row);
            if packed.len() > MAX_SNAPSHOT_DOCUMENT_BYTES {
                return Err(Error::limit(format!(
                    "a document of '{}' has {} bytes; a backup, like a snapshot, carries at most {MAX_SNAPSHOT_DOCUMENT_BYTES}",
                    head.name,
                    packed.len()
                )));
            }
            bytes += id.len() + packed.len();
            documents.push((id, packed));
            if bytes >= BUNDLE_FRAME_BYTES || documents.len() >= MAX_SNAPSHOT_LIST {
                file.part(&Part::Documents(std::mem::take(&mut documents)))?;
                bytes = 0;
            }
        }
        match documents.is_empty() {
            true => Ok(()),
            false => file.part(&Part::Documents(documents)),
        }
    }
}
