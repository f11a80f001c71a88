//! Making a store of a backup.
//!
//! The new store is made beside its name, in a directory `NAME.part`, collection by collection as
//! snapshots are joined, and is renamed when it is whole, closed and durable. In that directory the
//! file `restoring` stands first and goes last; it holds the name that the store will have, so that
//! what an attempt has left that was cut short is told from anything else and cleared away.

use std::fs;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::contents::{BackupReport, Checked};
use super::settings;
use super::{BUFFER_BYTES, beside, split};
use crate::error::{Error, ErrorKind, Result};
use crate::id::NodeId;
use crate::store::disk::{Disk, SubDisk};
use crate::store::{Options, Store, key_file, open};
use crate::txn::NodeKey;
use crate::txn::bundle::{Counted, Part};
use crate::txn::snapshot::Staged;

/// In the directory of a store that is not whole yet.
const RESTORING: &str = "restoring";

/// How a store is made of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestoreOptions {
    /// Whether the new store belongs to the roster that the backup has. It is no member until an
    /// admin lets it in, and can't write before that. Without, it belongs to none and may write: for
    /// when nobody is left who could let it in.
    pub roster: bool,
}

impl Default for RestoreOptions {
    /// With the roster.
    fn default() -> RestoreOptions {
        RestoreOptions { roster: true }
    }
}

/// What came of restoring a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreReport {
    /// The node that the new store is.
    pub node: NodeId,
    /// Whether it belongs to the roster of the backup, and has to be let in by one of its admins.
    pub roster: bool,
    /// What was in the backup, all of which the new store holds.
    pub backup: BackupReport,
}

impl RestoreReport {
    /// As JSON, for programs.
    pub fn to_json(&self) -> String {
        serde_json::json!({
            "node": self.node.to_string(),
            "roster": self.roster,
            "backup": self.backup.json(),
        })
        .to_string()
    }
}

impl Options {
    /// Makes a store at `dir`, which is empty or absent, of a backup. It is another node than the one
    /// that the backup is of, with a key of its own, and holds the same documents, conflicts and
    /// vectors; of the log it has nothing, as after a snapshot. Where there is no roster, its peers
    /// must be told to trust it.
    ///
    /// The backup is checked as it is read ([`BackupReport::open`]), and all is durable before the
    /// store gets its name: there is a whole one at `dir`, or none.
    ///
    /// Errors, after which there is nothing new at `dir`: those of reading a backup;
    /// [`InvalidInput`](ErrorKind::InvalidInput) if `dir` is not empty, or if [`Options::key`] is
    /// that of a node which has written what is in the backup; I/O.
    pub fn restore(
        &self,
        file: impl AsRef<Path>,
        dir: impl AsRef<Path>,
        how: &RestoreOptions,
    ) -> Result<RestoreReport> {
        let file = file.as_ref();
        let input = fs::File::open(file)
            .map_err(|err| Error::io(format_args!("open {}", file.display()), err))?;
        self.read_backup(&mut BufReader::with_capacity(BUFFER_BYTES, input), dir, how)
    }

    /// The same, from a stream of bytes.
    pub fn read_backup(
        &self,
        input: &mut dyn Read,
        dir: impl AsRef<Path>,
        how: &RestoreOptions,
    ) -> Result<RestoreReport> {
        // What is no backup leaves no trace.
        let checked = Checked::new(input, self.row_layout())?;
        let place = Place::claim(dir.as_ref())?;
        let key = self.fresh_key(&checked)?;
        let make = |options: Options, key: &NodeKey| {
            open::write_mark(&place.part)?;
            key_file::write(&place.part, key, self.passphrase.as_ref())?;
            options.open(&place.part)
        };
        let restored = self.fill(checked, how, key, make).and_then(|report| {
            place.settle()?;
            Ok(report)
        });
        if restored.is_err() {
            // Nothing opens what is left, and the next attempt clears it away.
            let _ = clear(&place.part);
        }
        restored
    }

    /// The same, to a directory of a disk that may be a simulated one, where there is nothing of
    /// that name. [`Options::key`] must be given.
    pub fn restore_on(
        &self,
        input: &mut dyn Read,
        disk: &Arc<dyn Disk>,
        name: &str,
        how: &RestoreOptions,
    ) -> Result<RestoreReport> {
        let checked = Checked::new(input, self.row_layout())?;
        let key = self.fresh_key(&checked)?;
        let part = beside(name);
        let doing = |err| Error::io(format_args!("make {name}"), err);
        let is_there = |dir: &str| disk.list(dir).is_ok_and(|files| !files.is_empty());
        if is_there(name) || is_there(&part) {
            return Err(Error::invalid(format!("{name} or {part} is there already")));
        }
        disk.create_dir(&part).map_err(doing)?;
        let inside: Arc<dyn Disk> = Arc::new(SubDisk::new(Arc::clone(disk), &part));
        let report =
            self.fill(checked, how, key, |options, _| options.open_on(Arc::clone(&inside)))?;
        settle(&**disk, &part, name).map_err(doing)?;
        Ok(report)
    }

    /// The key of the new node: no other that is known.
    fn fresh_key(&self, checked: &Checked<'_>) -> Result<NodeKey> {
        match self.key.clone() {
            None => key_file::fresh(),
            Some(key) if key.id() == checked.report().node => Err(used(&key.id())),
            Some(key) => Ok(key),
        }
    }

    /// Makes a store and fills it with a backup, and closes it.
    fn fill(
        &self,
        checked: Checked<'_>,
        how: &RestoreOptions,
        key: NodeKey,
        make: impl FnOnce(Options, &NodeKey) -> Result<Store>,
    ) -> Result<RestoreReport> {
        let network = checked.report().network;
        let options = self.clone().key(key.clone()).create(true).network_id(network);
        let store = make(options, &key)?;
        let filled = Filling { store: &store, how, checked }.run();
        // Whatever came of it: nobody else has it open.
        let closed = store.close();
        let report = filled?;
        closed?;
        Ok(report)
    }
}

/// A store that is filled with a backup.
struct Filling<'a, 'f> {
    store: &'a Store,
    how: &'a RestoreOptions,
    checked: Checked<'f>,
}

impl Filling<'_, '_> {
    fn run(mut self) -> Result<RestoreReport> {
        while let Some(part) = self.checked.next()? {
            self.part(part)?;
        }
        let store = self.store;
        let backup = self.checked.finish();
        let roster = backup.founder.is_some() && self.how.roster;
        if roster && store.statements_held().len() as u64 != backup.statements {
            return Err(Error::new(
                ErrorKind::Internal,
                "the roster did not come out as it is in the backup: restore without it (`--no-roster`) and join it anew, and please report this",
            ));
        }
        Ok(RestoreReport { node: store.node_id(), roster, backup })
    }

    fn part(&self, part: Part) -> Result<()> {
        let store = self.store;
        match part {
            Part::Settings(told) => {
                told.iter().try_for_each(|setting| settings::apply(store, setting))
            }
            Part::Statements { founder, statements } if self.how.roster => {
                store.join_roster(founder)?;
                store.add_statements(statements).map(drop)
            }
            Part::Snapshot { collection, .. } => self.begin(&collection),
            Part::Documents(documents) => {
                let open = self.checked.collection().expect("documents follow a snapshot");
                let staged = |(id, packed)| Staged { id, packed: Some(packed) };
                let staged: Vec<Staged> = documents.into_iter().map(staged).collect();
                store.stage_documents(&open.name, &open.head, &staged)
            }
            Part::Counted(counted) => self.join(counted),
            _ => Ok(()),
        }
    }

    fn begin(&self, collection: &str) -> Result<()> {
        let open = self.checked.collection().expect("it has just begun");
        let own = self.store.node_id();
        if open.head.vector.keys().any(|origin| origin.node == own) {
            return Err(used(&own));
        }
        self.store.stage(collection)
    }

    /// All of a collection is staged: it becomes part of the store at once.
    fn join(&self, counted: Counted) -> Result<()> {
        let open = self.checked.collection().expect("its documents came before");
        let server = self.checked.report().node;
        if !self.store.join_now(&open.name, &open.head, server)? {
            return Err(incomplete(&format!("collection '{}'", open.name)));
        }
        let heads = self.store.inner.read_heads();
        let row = heads.named(&open.name).map(|head| &head.row);
        let held = row.map(|row| Counted {
            documents: row.documents,
            conflicts: row.conflicts,
            transactions: row.transactions,
        });
        let cells = row.map(|row| row.cells.digest());
        match held == Some(counted) && cells == Some(open.head.cells) {
            true => Ok(()),
            false => Err(incomplete(&format!("collection '{}'", open.name))),
        }
    }
}

fn used(node: &NodeId) -> Error {
    Error::invalid(format!(
        "node {node} has a part in the backup: a store that is restored needs a key that nobody else uses, so that no two write under one name"
    ))
}

fn incomplete(what: &str) -> Error {
    Error::new(
        ErrorKind::Internal,
        format!("{what} did not come out as it is in the backup; please report it"),
    )
}

/// Makes durable what is in a directory, and gives it its name.
fn settle(disk: &dyn Disk, part: &str, name: &str) -> std::io::Result<()> {
    disk.sync_dir(&format!("{part}/log"))?;
    disk.sync_dir(part)?;
    disk.rename(part, name)?;
    disk.sync_dir("")
}

/// Where a store is made, and where it will be.
struct Place {
    dir: PathBuf,
    parent: PathBuf,
    name: String,
    part: PathBuf,
}

impl Place {
    /// Checks that the directory is absent or empty, and begins to make the one beside it.
    fn claim(dir: &Path) -> Result<Place> {
        let dir = match dir.exists() {
            true => {
                check_empty(dir)?;
                fs::canonicalize(dir)
                    .map_err(|err| Error::io(format_args!("look at {}", dir.display()), err))?
            }
            false => dir.to_owned(),
        };
        let (parent, name) = split(&dir)?;
        let name = name.to_owned();
        fs::create_dir_all(&parent)
            .map_err(|err| Error::io(format_args!("make {}", parent.display()), err))?;
        check_renameable(&dir, &parent)?;
        let part = parent.join(beside(&name));
        clear_leftover(&part, &name)?;
        let doing = |err| Error::io(format_args!("make {}", part.display()), err);
        fs::create_dir_all(&part).map_err(doing)?;
        fs::write(part.join(RESTORING), &name).map_err(doing)?;
        open::sync_directory(&part).map_err(doing)?;
        Ok(Place { dir, parent, name, part })
    }

    /// Gives the store its name.
    fn settle(&self) -> Result<()> {
        let doing = |err| Error::io(format_args!("make {}", self.dir.display()), err);
        for dir in [&self.part.join("log"), &self.part] {
            open::sync_directory(dir).map_err(doing)?;
        }
        if self.dir.exists() {
            // It is empty; not everywhere can it be renamed over.
            fs::remove_dir(&self.dir).map_err(doing)?;
        }
        fs::rename(&self.part, self.parent.join(&self.name)).map_err(doing)?;
        open::sync_directory(&self.parent).map_err(doing)?;
        // From here on it is whole; what is left of the mark says nothing any more.
        let _ = fs::remove_file(self.dir.join(RESTORING));
        let _ = open::sync_directory(&self.dir);
        Ok(())
    }
}

fn check_empty(dir: &Path) -> Result<()> {
    let listed = fs::read_dir(dir);
    let mut entries =
        listed.map_err(|err| Error::io(format_args!("list {}", dir.display()), err))?;
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(Error::invalid(format!(
            "{} is not empty; name a new directory to restore to",
            dir.display()
        ))),
    }
}

/// A directory on which something is mounted can't be replaced.
#[cfg(unix)]
fn check_renameable(dir: &Path, parent: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let device = |path: &Path| fs::metadata(path).map(|found| found.dev()).ok();
    match dir.exists() && device(dir) != device(parent) {
        true => Err(Error::invalid(format!(
            "something is mounted on {}: name a new directory below it to restore to",
            dir.display()
        ))),
        false => Ok(()),
    }
}

#[cfg(not(unix))]
fn check_renameable(_: &Path, _: &Path) -> Result<()> {
    Ok(())
}

/// Clears away what an attempt has left that was cut short, and nothing else.
fn clear_leftover(part: &Path, name: &str) -> Result<()> {
    if !part.exists() {
        return Ok(());
    }
    let is_ours = fs::read(part.join(RESTORING)).is_ok_and(|of| of == name.as_bytes());
    let is_empty = || check_empty(part).is_ok();
    if !is_ours && !is_empty() {
        return Err(Error::invalid(format!(
            "{} is in the way: the store is made there before it gets its name; move it away",
            part.display()
        )));
    }
    if part.join(open::LOCK).exists() {
        // Somebody may be restoring right now.
        drop(open::take_lock(part)?);
    }
    clear(part).map_err(|err| Error::io(format_args!("clear {}", part.display()), err))
}

/// Removes a directory, what says that it is ours last.
fn clear(part: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(part)? {
        let entry = entry?;
        if entry.file_name() == RESTORING {
            continue;
        }
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(entry.path())?,
            false => fs::remove_file(entry.path())?,
        }
    }
    match fs::remove_file(part.join(RESTORING)) {
        Err(err) if err.kind() != std::io::ErrorKind::NotFound => return Err(err),
        _ => {}
    }
    fs::remove_dir(part)
}
