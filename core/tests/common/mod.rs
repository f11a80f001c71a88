//! Replicas on simulated disks that exchange transactions without a session, and seeded chance.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod carry;
pub(crate) mod history;
pub(crate) mod link;
pub(crate) mod oracle;
pub(crate) mod wait;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use littoral::clock::WallClock;
use littoral::crdt::Layout;
use littoral::id::{Dot, Vector};
use littoral::store::disk::{Disk, MemDisk, SubDisk};
use littoral::store::{LogBudget, Outcome, RestoreOptions, View};
use littoral::txn::snapshot::{Span, Staged, ViewHead};
use littoral::txn::{self, NetworkId, NodeKey, Scope, Txn, sign::SIGNATURE_BYTES};
use littoral::{Collection, Field, Fields, Options, Position, Result, Store, Transaction};

/// The collection of most tests.
pub(crate) const NOTES: &str = "notes";
/// 2026-11-22, in milliseconds.
pub(crate) const NOON: u64 = 1_795_348_800_000;

/// A wall clock that a test sets.
#[derive(Debug)]
pub(crate) struct Wall(AtomicU64);

impl Wall {
    pub(crate) fn at_noon() -> Arc<Wall> {
        Arc::new(Wall(AtomicU64::new(NOON)))
    }

    pub(crate) fn set(&self, ms: u64) {
        self.0.store(ms, Ordering::Relaxed);
    }
}

impl WallClock for Wall {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A store, the disk under it, and its clock.
pub(crate) struct Replica {
    pub(crate) store: Store,
    pub(crate) disk: MemDisk,
    pub(crate) wall: Arc<Wall>,
    seed: u8,
    log: Option<Small>,
}

/// Size of segments and budget of a log that is soon pruned.
#[derive(Clone, Copy)]
pub(crate) struct Small {
    pub(crate) segment_bytes: u64,
    pub(crate) budget: LogBudget,
}

impl Replica {
    pub(crate) fn new(seed: u8) -> Replica {
        Replica::on(seed, MemDisk::new()).unwrap()
    }

    pub(crate) fn on(seed: u8, disk: MemDisk) -> Result<Replica> {
        Replica::open(seed, disk, None)
    }

    /// With a log that is soon pruned.
    pub(crate) fn small(seed: u8, log: Small) -> Replica {
        Replica::open(seed, MemDisk::new(), Some(log)).unwrap()
    }

    pub(crate) fn open(seed: u8, disk: MemDisk, log: Option<Small>) -> Result<Replica> {
        let wall = Wall::at_noon();
        let mut options = options(seed, &wall);
        if let Some(small) = log {
            options = options.log_segment_bytes(small.segment_bytes).log_budget(small.budget);
        }
        let store = options.open_on(Arc::new(disk.clone()))?;
        Ok(Replica { store, disk, wall, seed, log })
    }

    /// A store made of a backup, with a key of its own. It stands in a directory of its disk.
    pub(crate) fn restored(seed: u8, file: &[u8], how: &RestoreOptions) -> Result<Replica> {
        let (disk, wall) = (MemDisk::new(), Wall::at_noon());
        let all: Arc<dyn Disk> = Arc::new(disk.clone());
        let report = options(seed, &wall).restore_on(&mut &file[..], &all, "store", how)?;
        assert_eq!(report.node, key(seed).id());
        let store = options(seed, &wall).open_on(Arc::new(SubDisk::new(all, "store")))?;
        Ok(Replica { store, disk, wall, seed, log: None })
    }

    /// What this replica is after losing power now.
    pub(crate) fn after_power_cut(&self, fate: Option<u64>) -> Replica {
        let disk = match fate {
            Some(seed) => self.disk.power_cut(seed),
            None => self.disk.power_cut_all_lost(),
        };
        let replica = Replica::open(self.seed, disk, self.log);
        let replica = replica.expect("a store opens after a power cut");
        replica.wall.set(self.wall.now_ms());
        replica
    }

    pub(crate) fn notes(&self) -> Collection {
        self.store.collection(NOTES).unwrap()
    }

    pub(crate) fn key(&self) -> NodeKey {
        key(self.seed)
    }
}

pub(crate) fn key(seed: u8) -> NodeKey {
    NodeKey::from_seed([seed + 1; 32])
}

/// The layout of documents: in the test binary `split`, one that cuts up nearly every document.
pub(crate) fn layout() -> Layout {
    match env!("CARGO_CRATE_NAME") {
        "split" => Layout { row_bytes: 64, run_bytes: 100 },
        _ => Layout::default(),
    }
}

pub(crate) fn open(seed: u8, disk: &MemDisk, wall: &Arc<Wall>) -> Result<Store> {
    options(seed, wall).open_on(Arc::new(disk.clone()))
}

pub(crate) fn options(seed: u8, wall: &Arc<Wall>) -> Options {
    Options::new().key(key(seed)).wall_clock(wall.clone()).cache_bytes(1 << 20).layout(layout())
}

/// The transactions of a collection that `have` lacks, in the order of `source`'s log.
pub(crate) fn stream(source: &Store, collection: &str, have: &Vector) -> Vec<(Dot, Vec<u8>)> {
    let mut at = source.log_start(collection, have).unwrap();
    let mut found = Vec::new();
    loop {
        let page = source.log_read(collection, at, 8 << 10).unwrap();
        if page.records.is_empty() {
            return found;
        }
        at = page.next;
        let lacking = page.records.into_iter().filter(|(dot, ..)| !have.covers(dot));
        found.extend(lacking.map(|(dot, bytes, _)| (dot, bytes)));
    }
}

/// All that a store's log holds of a collection from a position on, and the position after it.
pub(crate) fn log_from(
    store: &Store,
    collection: &str,
    mut at: Position,
) -> (Vec<Vec<u8>>, Position) {
    let mut found = Vec::new();
    loop {
        let page = store.log_read(collection, at, 8 << 10).unwrap();
        if page.records.is_empty() {
            return (found, at.max(page.next));
        }
        at = page.next;
        found.extend(page.records.into_iter().map(|(_, bytes, _)| bytes));
    }
}

pub(crate) fn vector(store: &Store, collection: &str) -> Vector {
    store.summary(collection).unwrap().0
}

/// Brings everything of the notes that `source` holds and `target` lacks.
pub(crate) fn pull(target: &Replica, source: &Replica) -> Outcome {
    pull_in(&target.store, &source.store, NOTES)
}

pub(crate) fn pull_in(target: &Store, source: &Store, collection: &str) -> Outcome {
    let lacking = stream(source, collection, &vector(target, collection));
    let txns = lacking.into_iter().map(|(_, bytes)| bytes).collect();
    target.apply_remote(collection, txns).unwrap()
}

/// Brings one transaction, alone.
pub(crate) fn pull_one(target: &Replica, source: &Replica, seq: u64, author: &Replica) {
    let all = stream(&source.store, NOTES, &Vector::new());
    let wanted = |dot: &Dot| dot.origin.node == author.store.node_id() && dot.seq == seq;
    let (_, bytes) = all.into_iter().find(|(dot, _)| wanted(dot)).expect("the source has it");
    target.store.apply_remote(NOTES, vec![bytes]).unwrap();
}

/// Stages what differs between a view and what stands for it at the target, as far as `spans`
/// go: all of it with an empty span. Gives how many documents were staged.
pub(crate) fn stage(target: &Store, name: &str, view: &View, head: &ViewHead, all: Span) -> usize {
    target.stage(name).unwrap();
    let (mut spans, mut staged) = (vec![(all, 3)], 0);
    while let Some((span, per)) = spans.pop() {
        let mut start = span.start.clone();
        for (end, digest) in view.pieces(&span, per, usize::MAX).unwrap() {
            let piece = Span { start: start.clone(), end: end.clone() };
            start = end.unwrap_or_default();
            let ours = target.candidate_digests(name, std::slice::from_ref(&piece)).unwrap()[0];
            if ours == digest {
                continue;
            }
            if per > 1 && digest.rows > 1 {
                spans.push((piece, 1));
                continue;
            }
            let there = view.list(&piece, usize::MAX).unwrap();
            let here = target.candidate_list(name, &piece, usize::MAX).unwrap();
            let gone = here.iter().filter(|(id, _)| !there.iter().any(|(other, _)| id == other));
            let mut documents: Vec<Staged> =
                gone.map(|(id, _)| Staged { id: id.clone(), packed: None }).collect();
            for (id, digest) in there {
                if !here.contains(&(id.clone(), digest)) {
                    let packed = view.document(&id).unwrap();
                    assert!(packed.is_some());
                    documents.push(Staged { id, packed });
                }
            }
            staged += documents.len();
            target.stage_documents(name, head, &documents).unwrap();
        }
    }
    staged
}

/// The view's head, as the target reads it.
pub(crate) fn head_of(view: &View, name: &str, source: &Store) -> ViewHead {
    let scope = Scope { network: source.network(), collection: name };
    ViewHead::verify(view.head(), scope, &source.node_id()).unwrap()
}

/// Brings everything of a collection by a snapshot. Gives how many documents travelled.
pub(crate) fn join(target: &Store, source: &Store, name: &str) -> usize {
    let view = source.view(name).unwrap();
    let head = head_of(&view, name, source);
    let staged = stage(target, name, &view, &head, Span::default());
    assert!(target.join(name, &head, source.node_id()).unwrap(), "the candidates are the view");
    staged
}

/// Exchanges everything among all, until nothing is new.
pub(crate) fn meet(replicas: &[&Replica]) {
    loop {
        let mut new = 0;
        for target in replicas {
            for source in replicas.iter().filter(|source| !std::ptr::eq(**source, *target)) {
                new += pull(target, source).new;
            }
        }
        if new == 0 {
            return;
        }
    }
}

/// Asserts that all show and hold the same, and that what they keep beside it is right.
pub(crate) fn assert_same(replicas: &[&Replica]) {
    for replica in replicas {
        replica.store.check_rows().unwrap();
        let (ours, first) = (&replica.store, &replicas[0].store);
        assert_eq!(vector(ours, NOTES), vector(first, NOTES));
        assert_eq!(snapshot(&replica.notes()), snapshot(&replicas[0].notes()));
        assert_eq!(ours.digests(NOTES).unwrap(), first.digests(NOTES).unwrap());
        assert_eq!(ours.conflicts().unwrap(), first.conflicts().unwrap());
    }
}

/// All documents of a collection, as shown.
pub(crate) fn snapshot(collection: &Collection) -> Vec<(String, Fields)> {
    let scan = collection.scan(&Default::default()).unwrap();
    scan.map(|doc| doc.map(|doc| (doc.id().to_owned(), doc.into_fields())).unwrap()).collect()
}

pub(crate) fn decode(bytes: &[u8]) -> Txn {
    txn::decode(&bytes[..bytes.len() - SIGNATURE_BYTES]).unwrap()
}

/// Signs any bytes as the transaction of the notes that they name.
pub(crate) fn sign_bytes(body: &[u8], seed: [u8; 32]) -> Vec<u8> {
    use ed25519_dalek::Signer;
    let mut hasher = blake3::Hasher::new_derive_key("littoral v1 transaction");
    hasher.update(&NetworkId::named("default").0);
    hasher.update(&[NOTES.len() as u8]);
    hasher.update(NOTES.as_bytes());
    // Origin and number, right after the version.
    hasher.update(body.get(1..45).unwrap_or_default());
    hasher.update(&blake3::derive_key("littoral v1 transaction content", body));
    let key = ed25519_dalek::SigningKey::from_bytes(&seed);
    [body, &key.sign(hasher.finalize().as_bytes()).to_bytes()].concat()
}

pub(crate) fn fields<const N: usize>(entries: [(&str, Field); N]) -> Fields {
    entries.into_iter().map(|(name, field)| (name.to_owned(), field)).collect()
}

/// Chance from a seed: splitmix64.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Rng {
        Rng(seed.wrapping_mul(0x2545_f491_4f6c_dd1d))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}

/// Runs `schedule` for as many seeds as `LITTORAL_SCHEDULES` asks for, else `usually`; says which
/// seed failed. `LITTORAL_SEED` runs one alone.
pub(crate) fn each_seed(name: &str, usually: u64, schedule: impl Fn(u64)) {
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let seeds = match number("LITTORAL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("LITTORAL_SCHEDULES").unwrap_or(usually),
    };
    for seed in seeds {
        let run = std::panic::AssertUnwindSafe(|| schedule(seed));
        if let Err(panic) = std::panic::catch_unwind(run) {
            eprintln!("{name}: seed {seed} failed; run it alone with LITTORAL_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

/// A step of a random history, by a choice from 0 to 10: `a` or one of the others writes, or two of
/// them sync, but never one with its own clone. Gives whether `a` has had a session.
pub(crate) fn write_or_sync(
    choice: usize,
    rng: &mut Rng,
    a: &Replica,
    others: &[Replica],
    edit: impl Fn(&mut Transaction, &mut Rng) -> Result<()>,
) -> bool {
    match choice {
        0..=4 => a.store.write(|txn| edit(txn, rng)).unwrap(),
        5..=7 => {
            let other = rng.below(others.len());
            others[other].store.write(|txn| edit(txn, rng)).unwrap();
        }
        8 => a.store.write_deferred(|txn| edit(txn, rng)).unwrap(),
        _ => {
            let other = &others[rng.below(others.len())];
            if other.store.node_id() != a.store.node_id() {
                drop(link::sync(&a.store, &other.store));
                return true;
            }
            drop(link::sync(&others[1].store, &others[0].store));
        }
    }
    false
}

/// One edit of one of two documents, of any kind that a fork has to keep apart.
pub(crate) fn edit(txn: &mut Transaction, rng: &mut Rng) {
    let id = *rng.pick(&["d0", "d1"]);
    let by = rng.below(9) as i64 - 3;
    let edited = match rng.below(9) {
        0 => txn.set(NOTES, id, "x", by),
        1 => txn.set(NOTES, id, ("m", "y"), by),
        2 => txn.add(NOTES, id, "tags", by),
        3 => txn.remove(NOTES, id, "tags", by).map(drop),
        4 => txn.unset(NOTES, id, "hits").map(drop),
        5 if rng.chance(30) => txn.delete(NOTES, id).map(drop),
        _ => txn.increment(NOTES, id, "hits", by),
    };
    edited.unwrap();
}

/// All files of a store, with their bytes.
pub(crate) fn files(disk: &MemDisk) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for (dir, names) in
        [("", disk.list("").unwrap()), ("log/", disk.list("log").unwrap_or_default())]
    {
        for name in names {
            let name = format!("{dir}{name}");
            let file = disk.open(&name, false).unwrap();
            let mut bytes = vec![0; file.len().unwrap() as usize];
            file.read_at(0, &mut bytes).unwrap();
            files.insert(name, bytes);
        }
    }
    files
}
