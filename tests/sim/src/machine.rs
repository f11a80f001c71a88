//! A machine: a store, the disk under it, its clock, and whether it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use littoral::clock::WallClock;
use littoral::store::KeyChange;
use littoral::store::Subscription;
use littoral::store::disk::{Disk, MemDisk};
use littoral::txn::NodeKey;
use littoral::{ErrorKind, NodeId, Options, Result, Store};

use crate::Checked;
use crate::chance::Chance;
use crate::follower::Follower;
use crate::plan::Plan;
use crate::tape::{Marks, bytes_of};

/// 2026-11-22, in milliseconds.
const NOON: u64 = 1_795_348_800_000;

/// One replica.
pub(crate) struct Machine {
    pub(crate) disk: MemDisk,
    pub(crate) store: Option<Store>,
    key: NodeKey,
    /// The keys that it had before.
    former: Vec<NodeKey>,
    /// The key that it may have by now, if a change was cut short.
    next: Option<NodeKey>,
    number: usize,
    options: Options,
    wall: Arc<Wall>,
    /// How far its wall clock is off.
    pub(crate) skew_ms: i64,
    commits: Arc<AtomicU64>,
    subscription: Option<Subscription>,
    /// How often its disk had failed when the store was opened.
    struck: u64,
    /// It never comes back.
    pub(crate) gone: bool,
    /// Whether it is down, or is to be opened again soon.
    pub(crate) restarting: bool,
    /// How long applying takes, at most.
    pub(crate) apply_ms: u64,
    /// Whether it has ever wanted less than everything.
    pub(crate) choosy: bool,
    /// Whether it may have left a collection or not, which shows when it is opened again.
    pub(crate) leaving: bool,
    /// Whether its owner says, the next time it is opened, that it was moved and not copied.
    pub(crate) moved: bool,
    /// The app that follows its changes.
    pub(crate) follower: Option<Follower>,
    /// What its checkpoints are of.
    pub(crate) marks: Marks,
    /// By what is wanted its links were made.
    pub(crate) terms: u64,
}

/// How a machine goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Down {
    /// The store is closed.
    Closed,
    /// The process ends; what was written stays, synced or not.
    Killed,
    /// The power goes: what was not synced survives by chance.
    Cut(u64),
    /// The power goes, and with it all that was not synced.
    CutAllLost,
}

impl Down {
    pub(crate) fn draw(chance: &mut Chance) -> Down {
        match chance.below(6) {
            0 => Down::Closed,
            1 => Down::Killed,
            2 => Down::CutAllLost,
            _ => Down::Cut(chance.next()),
        }
    }
}

#[derive(Debug)]
struct Wall(AtomicU64);

impl WallClock for Wall {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Machine {
    /// A machine with an empty disk, not yet started.
    pub(crate) fn new(number: usize, plan: &Plan) -> Machine {
        // No two machines draw the same, and the same seed draws the same.
        let drawn = AtomicU32::new((number as u32 + 1) << 16);
        Machine {
            disk: MemDisk::new(),
            options: Options::new()
                .layout(plan.layout)
                .log_segment_bytes(plan.segment_bytes)
                .log_budget(plan.budget)
                .incarnations(move || drawn.fetch_add(1, Ordering::Relaxed))
                .cache_bytes(1 << 20),
            store: None,
            key: NodeKey::from_seed(seed(number)),
            former: Vec::new(),
            next: None,
            number,
            wall: Arc::new(Wall(AtomicU64::new(NOON))),
            skew_ms: 0,
            commits: Arc::default(),
            subscription: None,
            struck: 0,
            gone: false,
            restarting: false,
            apply_ms: 20,
            choosy: false,
            leaving: false,
            moved: false,
            follower: None,
            marks: Marks::default(),
            terms: 0,
        }
    }

    /// A machine with a copy of this one's disk, and its key.
    pub(crate) fn twin(&self, number: usize, plan: &Plan, disk: MemDisk) -> Machine {
        let wall = Arc::new(Wall(AtomicU64::new(self.wall.now_ms())));
        let (key, skew_ms) = (self.key.clone(), self.skew_ms);
        Machine { disk, key, wall, skew_ms, ..Machine::new(number, plan) }
    }

    pub(crate) fn id(&self) -> NodeId {
        self.key.id()
    }

    /// Those that it showed before it changed its key.
    pub(crate) fn former_ids(&self) -> impl Iterator<Item = NodeId> {
        self.former.iter().map(NodeKey::id)
    }

    /// The store, if it runs.
    pub(crate) fn up(&self) -> Option<Store> {
        self.store.clone()
    }

    /// Whether the store runs and takes writes.
    pub(crate) fn is_sound(&self) -> bool {
        let sound = |store: &Store| store.stats().is_ok_and(|stats| stats.failure.is_none());
        self.store.as_ref().is_some_and(sound)
    }

    /// Whether its disk has failed since the store was opened, so that it may have failed too.
    pub(crate) fn has_excuse(&self) -> bool {
        self.disk.struck() > self.struck
    }

    /// How many commits its store has announced since it was opened.
    pub(crate) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Sets its wall clock by the world's.
    pub(crate) fn set_clock(&self, now_ms: u64) {
        let wall = NOON.saturating_add(now_ms).saturating_add_signed(self.skew_ms);
        self.wall.0.store(wall, Ordering::Relaxed);
    }

    /// Opens the store.
    pub(crate) fn start(&mut self) -> Result<()> {
        let store = match self.open() {
            // The change that was cut short has happened.
            Err(err) if err.kind() == ErrorKind::Forbidden && self.next.is_some() => {
                self.take_on_next();
                self.open()?
            }
            opened => opened?,
        };
        self.moved = false;
        self.commits = Arc::default();
        let commits = Arc::clone(&self.commits);
        self.subscription = Some(store.on_commit(move || {
            commits.fetch_add(1, Ordering::Relaxed);
        }));
        (self.store, self.struck) = (Some(store), self.disk.struck());
        Ok(())
    }

    fn options(&self) -> Options {
        let options = self.options.clone();
        let options = options.key(self.key.clone()).wall_clock(self.wall.clone());
        let options = options.moved(self.moved);
        match self.former.last() {
            Some(former) => options.former_key(former.clone()),
            None => options,
        }
    }

    fn open(&self) -> Result<Store> {
        self.options().open_on(Arc::new(self.disk.clone()))
    }

    /// Begins with a backup, on an empty disk.
    pub(crate) fn restore(&mut self, backup: &[u8]) -> Checked {
        let disk = MemDisk::new();
        let there: Arc<dyn Disk> = Arc::new(disk.clone());
        let restored =
            self.options().restore_on(&mut &*backup, &there, "restored", &Default::default());
        restored.map_err(|err| format!("a backup can't be restored: {err}"))?;
        // Its directory becomes the root of a disk of its own.
        let moved = || -> std::io::Result<()> {
            self.disk.create_dir("log")?;
            for (from, to) in [("restored", ""), ("restored/log", "log/")] {
                for name in disk.list(from)? {
                    let file = self.disk.open(&format!("{to}{name}"), true)?;
                    file.write_at(0, &bytes_of(&disk, &format!("{from}/{name}")))?;
                    file.sync_data()?;
                }
                self.disk.sync_dir(to.trim_end_matches('/'))?;
            }
            Ok(())
        };
        moved().map_err(|err| err.to_string())?;
        self.moved = true;
        Ok(())
    }

    /// Changes the key, while the store is closed.
    pub(crate) fn change_key(&mut self) -> Result<KeyChange> {
        let mut seed = seed(self.number);
        seed[8..16].copy_from_slice(&(self.former.len() as u64 + 1).to_le_bytes());
        let next = self.next.insert(NodeKey::from_seed(seed)).clone();
        let change = self.options().rotate_key_on(Arc::new(self.disk.clone()), &next)?;
        self.take_on_next();
        Ok(change)
    }

    fn take_on_next(&mut self) {
        if let Some(next) = self.next.take() {
            self.former.push(std::mem::replace(&mut self.key, next));
        }
    }

    /// Goes down. Gives what closing said, if it was closed.
    pub(crate) fn stop(&mut self, down: Down) -> Result<()> {
        self.subscription = None;
        let Some(store) = self.store.take() else { return Ok(()) };
        let closed = match down {
            Down::Closed => store.close(),
            _ => {
                self.disk.dead_after(0);
                Ok(())
            }
        };
        drop(store);
        match down {
            Down::Closed => {}
            Down::Killed => self.disk.fail_no_more(),
            Down::Cut(seed) => self.disk = self.disk.power_cut(seed),
            Down::CutAllLost => self.disk = self.disk.power_cut_all_lost(),
        }
        closed
    }
}

/// Of the key that a machine begins with.
fn seed(number: usize) -> [u8; 32] {
    let mut seed = [0x5e; 32];
    seed[..8].copy_from_slice(&(number as u64 + 1).to_le_bytes());
    seed
}
