//! Opening a store: whose directory it is, its key, and recovery from the log.
//!
//! A store is a directory with `littoral.store` (its mark and format), its key
//! ([`key_file`]), `lock`, `state.redb` and `log/`. Opening
//! reads redb at its last durable point and applies the log after it; nothing is scanned.

use std::fs;
use std::io::{ErrorKind as IoKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, RwLock};

use redb::{Builder, Database, ReadableDatabase};

use super::admission::{Admission, From};
use super::apply::Waist;
use super::budget::{Budgets, LogBudget};
use super::commit::{Committer, Undurable, set_durability};
use super::disk::{Disk, File, Freeze, RealDisk, RedbFile, Valve, Written};
use super::export::Mark;
use super::feed::Pieces;
use super::gate::Gate;
use super::hashes::HashRule;
use super::heads::Heads;
use super::invites;
use super::journal::conflicts;
use super::key_file::{self, KEY, Passphrase};
use super::log::{Known, Log, LogRecord, RecordKind, Recovered};
use super::place::{self, Place};
use super::queue::{Pending, Queue};
use super::replication::Listeners;
use super::roster;
use super::rotation;
use super::segments::Segments;
use super::suspend::Rest;
use super::tables::{self, Tables, db};
use super::tape::Sweeping;
use super::{Inner, Store};
use crate::clock::{HybridClock, SystemClock, WallClock};
use crate::crdt::Layout;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{NodeId, Origin, Position};
use crate::limits::{LOG_SEGMENT_BYTES, MIN_LOG_SEGMENT_BYTES};
use crate::txn::roster::Roster;
use crate::txn::{NetworkId, NodeKey, Scope, Signed};

pub(super) const STATE: &str = "state.redb";
const MARK: &str = "littoral.store";
pub(super) const LOCK: &str = "lock";
const FORMAT: u32 = 1;
const DEFAULT_CACHE_BYTES: usize = 32 << 20;
pub(super) const DEFAULT_NETWORK: &str = "default";
/// Bytes of log that recovery applies in one redb transaction.
const RECOVERY_BYTES: usize = 4 << 20;

/// How to open a store.
#[derive(Clone)]
pub struct Options {
    create: bool,
    cache_bytes: usize,
    network: Option<String>,
    network_id: Option<NetworkId>,
    wall: Arc<dyn WallClock>,
    pub(super) key: Option<NodeKey>,
    former_key: Option<NodeKey>,
    pub(super) passphrase: Option<Passphrase>,
    pub(super) incarnations: Arc<dyn Fn() -> u32 + Send + Sync>,
    moved: bool,
    placeless: bool,
    log_budget: Option<LogBudget>,
    log_segment_bytes: u64,
    layout: Layout,
    hashes: HashRule,
}

/// The files of a store, opened and recovered, and what is read of them once.
pub(super) struct Opened {
    pub(super) state: Arc<dyn File>,
    pub(super) freeze: Freeze,
    pub(super) key: NodeKey,
    pub(super) former: Option<NodeKey>,
    pub(super) network: NetworkId,
    pub(super) database: Arc<Database>,
    pub(super) heads: Heads,
    pub(super) committer: Committer,
    pub(super) roster: Option<Arc<Roster>>,
    pub(super) open_until_ms: u64,
    pub(super) budgets: Budgets,
    pub(super) sweeping: Sweeping,
}

impl Options {
    /// Make a store if there is none; a cache of 32 MiB; the network "default"; the system's clock.
    pub fn new() -> Options {
        Options {
            create: true,
            cache_bytes: DEFAULT_CACHE_BYTES,
            network: None,
            network_id: None,
            wall: Arc::new(SystemClock),
            key: None,
            former_key: None,
            passphrase: None,
            incarnations: Arc::new(draw),
            moved: false,
            placeless: false,
            log_budget: None,
            log_segment_bytes: LOG_SEGMENT_BYTES,
            layout: Layout::default(),
            hashes: HashRule::default(),
        }
    }

    /// Whether to make a store where there is none.
    pub fn create(mut self, create: bool) -> Options {
        self.create = create;
        self
    }

    /// How much of the state to keep in memory, in bytes.
    pub fn cache_bytes(mut self, bytes: usize) -> Options {
        self.cache_bytes = bytes;
        self
    }

    /// How much history the log keeps of each collection that has no budget of its own, while
    /// the store is open. See [`Store::set_log_budget`].
    pub fn log_budget(mut self, budget: LogBudget) -> Options {
        self.log_budget = Some(budget);
        self
    }

    /// The size at which a segment of the log is closed: the log is pruned in such pieces.
    /// 16 MiB; smaller for tests and very small devices, 1 KiB at least.
    pub fn log_segment_bytes(mut self, bytes: u64) -> Options {
        self.log_segment_bytes = bytes.max(MIN_LOG_SEGMENT_BYTES);
        self
    }

    /// The name of the network that a new store belongs to: only stores of one network sync.
    /// A store keeps the network it was made for; asking for another one is an error.
    pub fn network(mut self, name: &str) -> Options {
        self.network = Some(name.to_owned());
        self
    }

    /// The network of a new store, where only what stands for its name is known, as in a ticket.
    pub fn network_id(mut self, network: NetworkId) -> Options {
        (self.network, self.network_id) = (None, Some(network));
        self
    }

    /// Another source of wall time, for tests.
    pub fn wall_clock(mut self, wall: Arc<dyn WallClock>) -> Options {
        self.wall = wall;
        self
    }

    /// Whether the store was moved here, or its `state.redb` replaced, by somebody who knows that no
    /// copy of it is used: else it is taken for a copy and goes on under another name.
    pub fn moved(mut self, moved: bool) -> Options {
        self.moved = moved;
        self
    }

    /// Whether to keep no trace of where the store lies.
    pub(super) fn placeless(mut self, placeless: bool) -> Options {
        self.placeless = placeless;
        self
    }

    /// Another lot that new incarnations are drawn by, for tests.
    pub fn incarnations(mut self, draw: impl Fn() -> u32 + Send + Sync + 'static) -> Options {
        self.incarnations = Arc::new(draw);
        self
    }

    /// The node's key, instead of the one in the directory's `node.key`.
    pub fn key(mut self, key: NodeKey) -> Options {
        self.key = Some(key);
        self
    }

    /// With [`Options::key`]: the key that the node had before, to tell those of the new one who
    /// know no other. It is not kept longer than that takes.
    pub fn former_key(mut self, key: NodeKey) -> Options {
        self.former_key = Some(key);
        self
    }

    /// Another layout of documents, for tests: stores that sync and a store that is opened again
    /// must have the same.
    #[doc(hidden)]
    pub fn layout(mut self, layout: Layout) -> Options {
        self.layout = layout;
        self
    }

    /// Hashes are kept of other transactions, for tests: the same each time that the store is opened.
    #[doc(hidden)]
    pub fn hashes(mut self, rule: HashRule) -> Options {
        self.hashes = rule;
        self
    }

    /// Bytes of the state that are kept in memory.
    pub(super) fn cache(&self) -> usize {
        self.cache_bytes
    }

    /// How documents are laid into rows.
    pub(super) fn row_layout(&self) -> Layout {
        self.layout
    }

    /// What the log keeps of a collection that has no budget of its own, if something was said.
    pub(super) fn budget(&self) -> Option<LogBudget> {
        self.log_budget
    }

    /// Wall time, in milliseconds since 1970.
    pub(super) fn now_ms(&self) -> u64 {
        self.wall.now_ms()
    }

    /// The size at which a segment of the log is closed.
    pub(super) fn segment_bytes(&self) -> u64 {
        self.log_segment_bytes
    }

    /// Opens the store in the directory at `path`.
    pub fn open(self, path: impl AsRef<Path>) -> Result<Store> {
        let path = path.as_ref();
        let fresh = self.claim(path)?;
        let lock = take_lock(path)?;
        if fresh {
            write_mark(path)?;
        }
        let key = match self.key.clone() {
            Some(key) => key,
            None => key_file::read_or_make(path, self.passphrase.as_ref())?,
        };
        let disk = Arc::new(RealDisk::new(path.to_owned()));
        self.start(Some(path.to_owned()), disk, key, Some(lock))
    }

    /// Opens the store on `disk`, which may be a simulated one. [`Options::key`] must be given.
    pub fn open_on(self, disk: Arc<dyn Disk>) -> Result<Store> {
        let key = self.key.clone().ok_or_else(|| {
            Error::invalid("a store on a disk of one's own needs a key of one's own")
        })?;
        self.start(None, disk, key, None)
    }

    /// Checks that the directory is ours or may become so; gives whether it is new.
    fn claim(&self, path: &Path) -> Result<bool> {
        match fs::read_to_string(path.join(MARK)) {
            Ok(mark) => return check_mark(path, &mark).map(|()| false),
            Err(err) if err.kind() == IoKind::NotFound => {}
            Err(err) if err.kind() == IoKind::NotADirectory => {
                return Err(not_a_store(path, "it is a file, and a store is a directory"));
            }
            Err(err) => return Err(Error::io(format!("read {}", path.join(MARK).display()), err)),
        }
        if !self.create {
            return Err(not_a_store(path, "nothing there looks like one"));
        }
        fs::create_dir_all(path)
            .map_err(|err| Error::io(format!("make {}", path.display()), err))?;
        let entries =
            fs::read_dir(path).map_err(|err| Error::io(format!("list {}", path.display()), err))?;
        for entry in entries {
            let name = entry.map_err(|err| Error::io("list the directory", err))?.file_name();
            if name != LOCK && name != KEY {
                return Err(not_a_store(
                    path,
                    "other files are there; name an empty directory or a new one",
                ));
            }
        }
        Ok(true)
    }

    /// Opens the state and recovers it from the log.
    fn start(
        self,
        path: Option<PathBuf>,
        disk: Arc<dyn Disk>,
        key: NodeKey,
        lock: Option<fs::File>,
    ) -> Result<Store> {
        let valve = Arc::new(Valve::new(disk));
        let state_written = Written::default();
        let opened = self.open_files(
            path.as_deref(),
            valve.clone(),
            key,
            Freeze::default(),
            state_written.clone(),
        )?;
        let inner = Inner {
            path,
            valve,
            rest: Rest::new(),
            state: RwLock::new(opened.state),
            state_written,
            node: opened.key.id(),
            key: opened.key,
            network: opened.network,
            wall: self.wall.clone(),
            clock: Mutex::new(HybridClock::default()),
            database: RwLock::new(Some(opened.database)),
            reader: opened.committer.log().reader(),
            heads: RwLock::new(opened.heads),
            incarnations: self.incarnations.clone(),
            gate: Arc::new(Gate::default()),
            pending: Mutex::new(Pending::default()),
            roster: RwLock::new(opened.roster),
            former: Mutex::new(opened.former),
            open_until_ms: Mutex::new(opened.open_until_ms),
            readers: Mutex::default(),
            budgets: Mutex::new(opened.budgets),
            pins: Arc::default(),
            pruning: Arc::default(),
            tape_pins: Mutex::default(),
            sweeping: opened.sweeping,
            building: AtomicBool::new(false),
            queue: Mutex::new(Queue::default()),
            committer: Mutex::new(Some(opened.committer)),
            failure: OnceLock::new(),
            counters: Default::default(),
            freeze: RwLock::new(opened.freeze),
            listeners: Listeners::default(),
            pieces: Pieces::default(),
            leased: Arc::default(),
            lock: Mutex::new(lock),
            // What is opened again is there, and where it was.
            options: Options { create: false, moved: false, ..self },
        };
        inner.settle_in()?;
        let inner = Arc::new(inner);
        inner.build_in_background();
        Ok(Store { inner })
    }

    /// The key of a store that is there: the one given, or that in the directory.
    pub(super) fn read_key(&self, path: Option<&Path>) -> Result<NodeKey> {
        match (&self.key, path) {
            (Some(key), _) => Ok(key.clone()),
            (None, Some(path)) => key_file::read(path, self.passphrase.as_ref()),
            (None, None) => Err(Error::invalid("a store on a disk of one's own has no key file")),
        }
    }

    /// Opens the files on `disk` and recovers the state from the log.
    pub(super) fn open_files(
        &self,
        path: Option<&Path>,
        disk: Arc<dyn Disk>,
        key: NodeKey,
        freeze: Freeze,
        written: Written,
    ) -> Result<Opened> {
        // A directory was claimed before; a state that is missing there is made from the log.
        let create = self.create || path.is_some();
        let state = disk.open(STATE, create).map_err(|err| Error::io("open state.redb", err))?;
        disk.sync_dir("").map_err(|err| Error::io("sync the store's directory", err))?;
        forget_unfinished(&*disk, &*state).map_err(|err| Error::io("make state.redb", err))?;
        let database = Builder::new()
            .set_cache_size(self.cache_bytes)
            .create_with_backend(RedbFile::new(state.clone(), freeze.clone()).counting(written))
            .map_err(db)?;
        let network = self.check_state(&database)?;
        let (key, former) = match path {
            Some(path) if self.key.is_none() => {
                rotation::settle(&database, path, key, self.passphrase.as_ref())?
            }
            _ => {
                let former = rotation::check(&database, &key, self.former_key.clone())?;
                (key, former)
            }
        };
        let node = key.id();
        let mut heads = Heads::load(&database, node)?;
        (heads.layout, heads.hashes) = (self.layout, self.hashes);
        conflicts::begin(&database, &heads, self.wall.now_ms())?;
        disk.create_dir("log").map_err(|err| Error::io("make the log directory", err))?;
        disk.sync_dir("").map_err(|err| Error::io("sync the store's directory", err))?;
        let known = known_of_log(&database, heads.applied)?;
        let (log, found) = Log::open(disk.clone(), known, self.log_segment_bytes)?;
        let length = || state.len().map_err(|err| Error::io("look at state.redb", err));
        let durable_len = length()?;
        let scope = Replaying { network, node, now_ms: self.wall.now_ms() };
        let (heads, undurable) = replay(&database, heads, &log, &found, scope)?;
        let durable_len = if undurable.is_nothing() { length()? } else { durable_len };
        let place = if self.placeless { Place::UNKNOWN } else { Place::of(&*disk, &*state) };
        let heads = self.settle(&database, heads, &place, found.end, node)?;
        let now_ms = self.wall.now_ms();
        let mut segments = Segments::load(&database)?;
        segments.catch_up(&log.reader(), &heads, node, now_ms)?;
        let roster = roster::load(&database, network)?;
        let open_until_ms = invites::open_until_ms(&database.begin_read().map_err(db)?)?;
        let budgets = Budgets::load(&database, self.log_budget)?;
        let sweeping = Sweeping::load(&database)?;
        let committer = Committer::new(log, segments, undurable, durable_len, now_ms);
        Ok(Opened {
            state,
            freeze,
            key,
            former,
            network,
            database: Arc::new(database),
            heads,
            committer,
            roster,
            open_until_ms,
            budgets,
            sweeping,
        })
    }

    /// Takes another name if the store was copied.
    fn settle(
        &self,
        database: &Database,
        heads: Heads,
        place: &Place,
        log_end: Position,
        node: NodeId,
    ) -> Result<Heads> {
        let unused = || loop {
            let incarnation = (self.incarnations)() & Origin::LAST_INCARNATION;
            let drawn = Origin { node, incarnation };
            if incarnation != 0 && heads.origins.number(&drawn).is_none() {
                return incarnation;
            }
        };
        let has_log = log_end > Position::default();
        let now_ms = self.wall.now_ms();
        if !place::settle(database, *place, has_log, self.moved, unused, now_ms)? {
            return Ok(heads);
        }
        tracing::warn!("the store was copied or restored: it goes on under another name");
        let mut heads = Heads::load(database, node)?;
        (heads.layout, heads.hashes) = (self.layout, self.hashes);
        Ok(heads)
    }

    /// Makes the tables of a new state, or checks the format and network of one that is there.
    fn check_state(&self, database: &Database) -> Result<NetworkId> {
        let named = || NetworkId::named(self.network.as_deref().unwrap_or(DEFAULT_NETWORK));
        let wanted = self.network_id.unwrap_or_else(named);
        if let Some((format, network)) = stored_identity(database)? {
            check_format(format)?;
            if self.network.is_some() && network != wanted {
                return Err(Error::invalid(
                    "the store belongs to another network than the one named; open it without naming one",
                ));
            }
            return Ok(network);
        }
        let mut txn = database.begin_write().map_err(db)?;
        set_durability(&mut txn, true)?;
        for definition in tables::ALL {
            txn.open_table(definition).map_err(db)?;
        }
        let mut meta = txn.open_table(tables::META).map_err(db)?;
        tables::set(&mut meta, tables::META_FORMAT, &FORMAT.to_be_bytes())?;
        tables::set(&mut meta, tables::META_NETWORK, &wanted.0)?;
        drop(meta);
        txn.commit().map_err(db)?;
        Ok(wanted)
    }
}

/// A number by lot. Two copies of a store must not draw the same one.
fn draw() -> u32 {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).expect("the system gives random bytes, as it did for the key");
    u32::from_be_bytes(bytes)
}

impl Default for Options {
    fn default() -> Options {
        Options::new()
    }
}

/// Empties a `state.redb` that lost power while it was made. redb writes its magic number last
/// and takes a file without it for something else; there is no log before the state is whole.
fn forget_unfinished(disk: &dyn Disk, state: &dyn File) -> std::io::Result<()> {
    let mut magic = [0; 9];
    let len = state.len()?;
    if len >= magic.len() as u64 {
        state.read_at(0, &mut magic)?;
    }
    let has_log = disk.list("log").is_ok_and(|segments| !segments.is_empty());
    match len > 0 && magic == [0; 9] && !has_log {
        true => state.set_len(0),
        false => Ok(()),
    }
}

fn stored_identity(database: &Database) -> Result<Option<(u32, NetworkId)>> {
    let txn = database.begin_read().map_err(db)?;
    let meta = match txn.open_table(tables::META) {
        Ok(meta) => meta,
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
        Err(err) => return Err(db(err)),
    };
    let Some(format) = tables::get(&meta, tables::META_FORMAT)? else { return Ok(None) };
    let network = tables::get(&meta, tables::META_NETWORK)?
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| Error::corrupt("state.redb does not say which network it belongs to"))?;
    Ok(Some((tables::u32_of(&format)?, NetworkId(network))))
}

/// What the state knows of the log.
pub(super) fn known_of_log(database: &Database, applied: Position) -> Result<Known> {
    let txn = database.begin_read().map_err(db)?;
    let position = |key| -> Result<Option<Position>> {
        let bytes = tables::read(&txn, tables::META, key)?;
        bytes.map(|bytes| tables::u64_of(&bytes).map(Position)).transpose()
    };
    let start = position(tables::META_LOG_START)?.unwrap_or_default();
    Ok(Known { start, applied, batch: position(tables::META_BATCH)? })
}

/// For whom recovery applies the log, and when.
pub(super) struct Replaying {
    pub(super) network: NetworkId,
    pub(super) node: NodeId,
    /// Wall time: what is noted of it is noted now.
    pub(super) now_ms: u64,
}

/// Applies what the log has and redb has not. The end of that is durable only with the next
/// commit that is: until then it is applied again, as often as it takes.
pub(super) fn replay(
    database: &Database,
    mut heads: Heads,
    log: &Log,
    found: &Recovered,
    scope: Replaying,
) -> Result<(Heads, Undurable)> {
    let Replaying { network, node, now_ms } = scope;
    let reader = log.reader();
    let mut undurable = Undurable::default();
    while heads.applied < found.end {
        let records = reader.read(heads.applied, RECOVERY_BYTES)?;
        let Some(last) = records.last() else { break };
        let applied = last.end;
        let txns = records.iter().filter(|record| record.kind == RecordKind::Txn);
        undurable.note(txns.map(|record| record.bytes.len()));
        let mut txn = database.begin_write().map_err(db)?;
        set_durability(&mut txn, undurable.is_much())?;
        let mut waist =
            Waist::new(Tables::open(&txn)?, &heads, node).noting(now_ms).keeping_values();
        let mut admission = Admission::new(&heads, node, None, database);
        for record in &records {
            match record.kind {
                RecordKind::Txn => replay_record(&mut admission, &mut waist, record, network)?,
                RecordKind::Mark => {
                    waist.mark(&Mark::decode(&record.collection, &record.bytes)?)?
                }
                RecordKind::Barrier => {}
            }
        }
        drop(admission);
        let changes = waist.finish(applied, found.batch.filter(|_| applied == found.end))?;
        txn.commit().map_err(db)?;
        changes.publish(&mut heads, node);
        if undurable.is_much() {
            undurable = Undurable::default();
        }
    }
    Ok((heads, undurable))
}

fn replay_record(
    admission: &mut Admission<'_>,
    waist: &mut Waist<'_, '_>,
    record: &LogRecord,
    network: NetworkId,
) -> Result<()> {
    let scope = Scope { network, collection: &record.collection };
    let broken = |err: Error| {
        Error::corrupt(format!(
            "the log at position {} does not continue the state: {err}",
            record.position
        ))
    };
    let signed = Signed::trusted(record.bytes.clone(), scope).map_err(broken)?;
    let admitted = admission.admit(&record.collection, &signed, From::Here);
    match admitted.map_err(|stop| broken(stop.into_error()))? {
        true => waist.apply(&record.collection, &signed, record.position),
        false => Err(broken(Error::corrupt("it is in the state already"))),
    }
}

fn check_mark(path: &Path, mark: &str) -> Result<()> {
    let format =
        mark.strip_prefix("littoral store, format ").and_then(|rest| rest.trim().parse().ok());
    match format {
        Some(FORMAT) => Ok(()),
        Some(newer) if newer > FORMAT => Err(too_new(newer)),
        _ => Err(not_a_store(path, "its file littoral.store is not ours")),
    }
}

/// Makes the directory of a new store, which must be empty if it is there.
pub(super) fn claim_new(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|err| Error::io(format!("make {}", path.display()), err))?;
    let listed = fs::read_dir(path);
    let mut entries = listed.map_err(|err| Error::io(format!("list {}", path.display()), err))?;
    match entries.next() {
        None => Ok(()),
        Some(_) => {
            Err(Error::invalid(format!("{} is not empty; name a new directory", path.display())))
        }
    }
}

/// Whether a directory is a store's, without changing anything; gives whether it says so itself.
pub(super) fn check_directory(path: &Path) -> Result<bool> {
    match fs::read_to_string(path.join(MARK)) {
        Ok(mark) => match check_mark(path, &mark) {
            Err(err) if err.kind() == ErrorKind::FormatTooNew => Err(err),
            checked => Ok(checked.is_ok()),
        },
        Err(err) if err.kind() == IoKind::NotADirectory => {
            Err(not_a_store(path, "it is a file, and a store is a directory"))
        }
        Err(_) if path.join(STATE).exists() || path.join("log").exists() => Ok(false),
        Err(_) => Err(not_a_store(path, "nothing there looks like one")),
    }
}

/// Whether this version knows a format of the state.
pub(super) fn check_format(format: u32) -> Result<()> {
    if format > FORMAT { Err(too_new(format)) } else { Ok(()) }
}

fn too_new(format: u32) -> Error {
    Error::new(
        ErrorKind::FormatTooNew,
        format!(
            "the store has format {format}, this version knows format {FORMAT}; open it with a newer Littoral"
        ),
    )
}

fn not_a_store(path: &Path, why: &str) -> Error {
    Error::new(ErrorKind::NotAStore, format!("{} is not a Littoral store: {why}", path.display()))
}

pub(super) fn write_mark(path: &Path) -> Result<()> {
    let doing = |err| Error::io(format!("make a store in {}", path.display()), err);
    let mut file = fs::File::create(path.join(MARK)).map_err(doing)?;
    file.write_all(format!("littoral store, format {FORMAT}\n").as_bytes()).map_err(doing)?;
    file.sync_all().map_err(doing)?;
    sync_directory(path).map_err(doing)
}

pub(super) fn sync_directory(path: &Path) -> std::io::Result<()> {
    match cfg!(unix) {
        true => fs::File::open(path)?.sync_all(),
        false => Ok(()),
    }
}

pub(super) fn take_lock(path: &Path) -> Result<fs::File> {
    let file = path.join(LOCK);
    let doing = |err| Error::io(format!("open {}", file.display()), err);
    let lock = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&file)
        .map_err(doing)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(fs::TryLockError::WouldBlock) => Err(Error::new(
            ErrorKind::Locked,
            format!(
                "the store in {} is open in another process; close that one, or talk to the node that runs on it",
                path.display()
            ),
        )),
        Err(fs::TryLockError::Error(err)) => {
            Err(Error::io(format!("lock {}", file.display()), err))
        }
    }
}
