//! A disk in memory that loses power and fails on demand. For tests.
//!
//! Of each file it keeps the bytes that are durable and the changes since its last sync, in
//! order; of each directory likewise the names. A power cut applies to what is durable a
//! subset of the changes, drawn from a seed: one seed, one outcome. A write may survive
//! whole, not at all, or in some of its 512-byte sectors. That is more than real disks do
//! wrong: what survives here relies only on what [`super`] promises.
//!
//! A failed sync is like that of Linux: writes it did not bring to the disk are read back
//! as if they were there, but no later sync makes them durable; writing them again does.
//!
//! Faults are armed one kind at a time; each counts the calls that change something, except
//! failing reads, which have a count of their own.
//!
//! A directory that does not survive takes its files along. A file that has lost its name
//! does not outlive a power cut.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Disk, File};

const SECTOR_BYTES: u64 = 512;

/// A disk in memory, with loss of power and injected faults. Clones are the same disk.
///
/// For tests: it is public so that tests of other crates can use it.
#[derive(Clone, Default)]
pub struct MemDisk(Arc<Mutex<State>>);

impl MemDisk {
    /// An empty disk.
    pub fn new() -> MemDisk {
        MemDisk::default()
    }

    /// The disk as it may be found after losing power now; `seed` decides which changes that
    /// were not synced survive. This disk is not changed.
    pub fn power_cut(&self, seed: u64) -> MemDisk {
        self.cut(&mut Random(seed))
    }

    /// The disk after losing power now and everything that was not synced.
    pub fn power_cut_all_lost(&self) -> MemDisk {
        self.cut(&mut AllLost)
    }

    /// A copy of the disk at this moment, as one makes it while its owner runs: what was
    /// written is in it, synced or not, and none of the faults. It is in another machine.
    pub fn copy(&self) -> MemDisk {
        let state = self.state();
        let files = state.files.iter().map(|file| MemFile::holding(file.now.clone())).collect();
        let copy = MemDisk::holding(files, state.names.clone());
        copy.state().machine = state.machine + 1;
        copy
    }

    /// Lets `n` more mutating calls pass; all later ones fail, writes after half their bytes,
    /// syncs after half the writes.
    pub fn fail_after(&self, n: u64) {
        self.arm(n, Fault::Broken);
    }

    /// As [`MemDisk::fail_after`], with the error of a disk that has no room left.
    pub fn full_after(&self, n: u64) {
        self.arm(n, Fault::Full);
    }

    /// Lets `n` more mutating calls pass; then the power is gone: no later one changes
    /// anything. What is found afterwards, [`MemDisk::power_cut`] says.
    pub fn dead_after(&self, n: u64) {
        self.arm(n, Fault::Dead);
    }

    /// Lets `n` more syncs of files pass; the one after them fails once. With `kept`, what it
    /// was to make durable is durable all the same; else half of the writes are lost.
    pub fn fail_one_sync_after(&self, n: u64, kept: bool) {
        self.arm(n, if kept { Fault::SyncKept } else { Fault::SyncLost });
    }

    /// Lets `n` more reads pass; all later ones fail.
    pub fn fail_reads_after(&self, n: u64) {
        self.state().reads_left = Some(n);
    }

    /// Ends all faults.
    pub fn fail_no_more(&self) {
        let mut state = self.state();
        (state.fault, state.reads_left) = (None, None);
    }

    /// Runs `look` with all faults set aside, and puts them back.
    pub fn spared<T>(&self, look: impl FnOnce() -> T) -> T {
        let faults = {
            let mut state = self.state();
            (state.fault.take(), state.reads_left.take())
        };
        let seen = look();
        let mut state = self.state();
        (state.fault, state.reads_left) = faults;
        seen
    }

    /// How many faults have struck so far.
    pub fn struck(&self) -> u64 {
        self.state().struck
    }

    fn arm(&self, calls_left: u64, fault: Fault) {
        self.state().fault = Some((calls_left, fault));
    }

    fn holding(files: Vec<MemFile>, names: BTreeMap<String, Node>) -> MemDisk {
        let durable_names = names.clone();
        MemDisk(Arc::new(Mutex::new(State { files, durable_names, names, ..State::default() })))
    }

    /// How many bytes have been read from the files whose names begin so.
    pub fn bytes_read(&self, prefix: &str) -> u64 {
        let state = self.state();
        let names = state.names.iter().filter(|(name, _)| name.starts_with(prefix));
        let read = |(_, node): (_, &Node)| match node {
            Node::File(id) => state.files[*id].bytes_read,
            Node::Dir => 0,
        };
        names.map(read).sum()
    }

    /// How many syncs of files and directories have succeeded.
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no call on a MemDisk panics")
    }

    fn cut(&self, fate: &mut dyn Fate) -> MemDisk {
        let state = self.state();
        let mut names = state.durable_names.clone();
        for op in &state.name_ops {
            if fate.survives() {
                op.apply(&mut names);
            }
        }
        // A directory comes before what is in it.
        let mut there = BTreeMap::new();
        for (name, node) in names {
            let dir = parent(&name);
            if dir.is_empty() || there.contains_key(dir) {
                there.insert(name, node);
            }
        }
        let names = there;
        let named = |id: usize| names.values().any(|n| matches!(n, Node::File(i) if *i == id));
        let after = |(id, file): (usize, &MemFile)| match named(id) {
            true => file.after_cut(fate),
            false => MemFile::default(),
        };
        let files = state.files.iter().enumerate().map(after).collect();
        let after = MemDisk::holding(files, names);
        after.state().machine = state.machine;
        after
    }
}

impl std::fmt::Debug for MemDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MemDisk")
    }
}

impl Disk for MemDisk {
    fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn File>> {
        let mut state = self.state();
        let id = match state.names.get(name) {
            Some(Node::File(id)) => *id,
            Some(Node::Dir) => return Err(io::ErrorKind::IsADirectory.into()),
            None if !create || !state.is_dir(parent(name)) => {
                return Err(io::ErrorKind::NotFound.into());
            }
            None => {
                state.mutate()?;
                let id = state.files.len();
                state.files.push(MemFile::default());
                state.change_name(name, Some(Node::File(id)));
                id
            }
        };
        state.handles += 1;
        Ok(Arc::new(Handle { disk: self.clone(), id, handle: state.handles }))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let state = self.state();
        if !state.is_dir(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let files = state
            .names
            .iter()
            .filter(|(name, node)| matches!(node, Node::File(_)) && parent(name) == dir);
        let bare = |name: &String| name.rsplit('/').next().unwrap_or_default().to_owned();
        Ok(files.map(|(name, _)| bare(name)).collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        match state.names.get(name) {
            Some(Node::File(_)) => {}
            _ => return Err(io::ErrorKind::NotFound.into()),
        }
        state.mutate()?;
        state.change_name(name, None);
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        let Some(node) = state.names.get(from).copied() else {
            return Err(io::ErrorKind::NotFound.into());
        };
        match (node, state.names.get(to)) {
            (Node::File(_), None | Some(Node::File(_))) | (Node::Dir, None) => {}
            _ => return Err(io::ErrorKind::AlreadyExists.into()),
        }
        state.mutate()?;
        let op = NameOp { name: to.to_owned(), node: Some(node), from: Some(from.to_owned()) };
        op.apply(&mut state.names);
        state.name_ops.push(op);
        Ok(())
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        let mut state = self.state();
        if state.is_dir(dir) {
            return Ok(());
        }
        if !state.is_dir(parent(dir)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.mutate()?;
        state.change_name(dir, Some(Node::Dir));
        Ok(())
    }

    fn machine(&self) -> Option<String> {
        Some(format!("memory {}", self.state().machine))
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let mut state = self.state();
        if !state.is_dir(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.mutate()?;
        let ops = std::mem::take(&mut state.name_ops);
        let (done, left) = ops.into_iter().partition::<Vec<_>, _>(|op| parent(&op.name) == dir);
        done.iter().for_each(|op| op.apply(&mut state.durable_names));
        state.name_ops = left;
        state.syncs += 1;
        Ok(())
    }
}

#[derive(Default)]
struct State {
    /// Every file ever made; names point into it, and handles keep a removed one alive.
    files: Vec<MemFile>,
    names: BTreeMap<String, Node>,
    durable_names: BTreeMap<String, Node>,
    name_ops: Vec<NameOp>,
    handles: u64,
    /// What fails, after so many more calls.
    fault: Option<(u64, Fault)>,
    reads_left: Option<u64>,
    struck: u64,
    syncs: u64,
    /// Which machine it is in: a copy is taken to another one.
    machine: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Broken,
    Full,
    Dead,
    SyncKept,
    SyncLost,
}

impl Fault {
    fn error(self) -> io::Error {
        match self {
            Fault::Full => io::ErrorKind::StorageFull.into(),
            _ => io::Error::other("injected fault"),
        }
    }
}

impl State {
    /// Counts a call that changes something; the fault that strikes it, if one does.
    fn strike(&mut self, is_sync: bool) -> Option<Fault> {
        let (calls_left, fault) = self.fault.as_mut()?;
        let once = matches!(fault, Fault::SyncKept | Fault::SyncLost);
        if once && !is_sync {
            return None;
        }
        if *calls_left > 0 {
            *calls_left -= 1;
            return None;
        }
        self.struck += 1;
        let fault = *fault;
        if once {
            self.fault = None;
        }
        Some(fault)
    }

    /// Counts a change of names.
    fn mutate(&mut self) -> io::Result<()> {
        self.strike(false).map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn read(&mut self) -> io::Result<()> {
        match &mut self.reads_left {
            Some(0) => {
                self.struck += 1;
                Err(io::Error::other("injected fault"))
            }
            Some(n) => {
                *n -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn is_dir(&self, dir: &str) -> bool {
        dir.is_empty() || matches!(self.names.get(dir), Some(Node::Dir))
    }

    fn change_name(&mut self, name: &str, node: Option<Node>) {
        let op = NameOp { name: name.to_owned(), node, from: None };
        op.apply(&mut self.names);
        self.name_ops.push(op);
    }
}

#[derive(Clone, Copy)]
enum Node {
    File(usize),
    Dir,
}

/// A name that came to be (or, with `None`, went) and is not synced yet.
struct NameOp {
    name: String,
    node: Option<Node>,
    /// What it was called before. What is in a directory goes with it, as far as its names are there.
    from: Option<String>,
}

impl NameOp {
    fn apply(&self, names: &mut BTreeMap<String, Node>) {
        if let Some(from) = &self.from {
            names.remove(from);
            let inside = format!("{from}/");
            let moved: Vec<String> =
                names.keys().filter(|name| name.starts_with(&inside)).cloned().collect();
            for old in moved {
                if let Some(node) = names.remove(&old) {
                    names.insert(format!("{}/{}", self.name, &old[inside.len()..]), node);
                }
            }
        }
        match self.node {
            Some(node) => names.insert(self.name.clone(), node),
            None => names.remove(&self.name),
        };
    }
}

#[derive(Default)]
struct MemFile {
    now: Vec<u8>,
    durable: Vec<u8>,
    changes: Vec<Change>,
    bytes_read: u64,
    locked_by: Option<u64>,
}

impl MemFile {
    /// A file with these bytes, all of them durable.
    fn holding(bytes: Vec<u8>) -> MemFile {
        MemFile { now: bytes.clone(), durable: bytes, ..MemFile::default() }
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.now);
        self.changes.push(change);
    }

    fn sync(&mut self) {
        for change in std::mem::take(&mut self.changes) {
            change.apply(&mut self.durable);
        }
    }

    /// A failed sync: every second write is on the disk, the others never will be, though
    /// they can still be read.
    fn sync_in_part(&mut self) {
        for (i, change) in std::mem::take(&mut self.changes).into_iter().enumerate() {
            if i % 2 == 1 || matches!(change, Change::SetLen(_)) {
                change.apply(&mut self.durable);
            }
        }
    }

    fn after_cut(&self, fate: &mut dyn Fate) -> MemFile {
        let mut bytes = self.durable.clone();
        for change in &self.changes {
            change.apply_in_part(&mut bytes, fate);
        }
        MemFile::holding(bytes)
    }
}

enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    SetLen(usize),
}

impl Change {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Change::SetLen(len) => file.resize(*len, 0),
            Change::Write { offset, bytes } => put(file, *offset, bytes),
        }
    }

    fn apply_in_part(&self, file: &mut Vec<u8>, fate: &mut dyn Fate) {
        match self {
            Change::Write { offset, bytes } if fate.tears() => tear(file, *offset, bytes, fate),
            change if fate.survives() => change.apply(file),
            _ => {}
        }
    }
}

fn put(file: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[offset..end].copy_from_slice(bytes);
}

/// Writes those sectors of `bytes` that survive.
fn tear(file: &mut Vec<u8>, mut offset: usize, mut bytes: &[u8], fate: &mut dyn Fate) {
    while !bytes.is_empty() {
        let room = SECTOR_BYTES as usize - offset % SECTOR_BYTES as usize;
        let (sector, rest) = bytes.split_at(room.min(bytes.len()));
        if fate.survives() {
            put(file, offset, sector);
        }
        (offset, bytes) = (offset + sector.len(), rest);
    }
}

/// What a power cut does to the next change.
trait Fate {
    fn survives(&mut self) -> bool;
    fn tears(&mut self) -> bool;
}

struct AllLost;

impl Fate for AllLost {
    fn survives(&mut self) -> bool {
        false
    }

    fn tears(&mut self) -> bool {
        false
    }
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Fate for Random {
    fn survives(&mut self) -> bool {
        self.next().is_multiple_of(2)
    }

    fn tears(&mut self) -> bool {
        self.next().is_multiple_of(3)
    }
}

/// An open file of a [`MemDisk`].
struct Handle {
    disk: MemDisk,
    id: usize,
    handle: u64,
}

impl Handle {
    fn with<T>(&self, f: impl FnOnce(&mut MemFile) -> T) -> T {
        f(&mut self.disk.state().files[self.id])
    }

    fn change(&self, change: Change) -> io::Result<()> {
        let mut state = self.disk.state();
        let struck = state.strike(false);
        let file = &mut state.files[self.id];
        let Some(fault) = struck else {
            file.change(change);
            return Ok(());
        };
        if let (Change::Write { offset, mut bytes }, true) = (change, fault != Fault::Dead) {
            bytes.truncate(bytes.len() / 2);
            file.change(Change::Write { offset, bytes });
        }
        Err(fault.error())
    }
}

impl File for Handle {
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = as_index(offset)?;
        let mut state = self.disk.state();
        state.read()?;
        let file = &mut state.files[self.id];
        let Some(bytes) = file.now.get(start..start.saturating_add(out.len())) else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        out.copy_from_slice(bytes);
        file.bytes_read += out.len() as u64;
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.change(Change::Write { offset: as_index(offset)?, bytes: bytes.to_vec() })
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.with(|file| file.now.len() as u64))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(Change::SetLen(as_index(len)?))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let struck = state.strike(true);
        let file = &mut state.files[self.id];
        match struck {
            None | Some(Fault::SyncKept) => file.sync(),
            Some(Fault::Dead) => {}
            Some(_) => file.sync_in_part(),
        }
        state.syncs += u64::from(struck.is_none());
        struck.map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn try_lock(&self) -> io::Result<bool> {
        Ok(self.with(|file| *file.locked_by.get_or_insert(self.handle) == self.handle))
    }

    fn unlock(&self) -> io::Result<()> {
        self.with(|file| {
            if file.locked_by == Some(self.handle) {
                file.locked_by = None;
            }
        });
        Ok(())
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MemFile({})", self.id)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let _ = self.unlock();
    }
}

fn parent(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(dir, _)| dir)
}

fn as_index(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(disk: &MemDisk, name: &str) -> Option<Vec<u8>> {
        let file = disk.open(name, false).ok()?;
        let mut out = vec![0; file.len().unwrap() as usize];
        file.read_at(0, &mut out).unwrap();
        Some(out)
    }

    #[test]
    fn what_is_synced_survives_every_power_cut() {
        let disk = MemDisk::new();
        disk.create_dir("d").unwrap();
        disk.sync_dir("").unwrap();
        let file = disk.open("d/f", true).unwrap();
        file.write_at(2, b"abc").unwrap();
        file.sync_data().unwrap();
        disk.sync_dir("d").unwrap();
        assert_eq!(disk.syncs(), 3);
        for seed in 0..50 {
            assert_eq!(content(&disk.power_cut(seed), "d/f").unwrap(), b"\0\0abc");
        }
    }

    #[test]
    fn what_is_not_synced_survives_whole_torn_or_not_at_all() {
        let disk = MemDisk::new();
        let file = disk.open("f", true).unwrap();
        disk.sync_dir("").unwrap();
        file.set_len(2048).unwrap();
        file.sync_data().unwrap();
        file.write_at(256, &[1; 1024]).unwrap();
        let outcomes: std::collections::BTreeSet<Vec<u8>> =
            (0..200).map(|seed| content(&disk.power_cut(seed), "f").unwrap()).collect();
        // Three sectors are touched: each is there or not, and no other boundary shows.
        assert_eq!(outcomes.len(), 8);
        assert_eq!(content(&disk.power_cut_all_lost(), "f").unwrap(), [0; 2048]);
        assert_eq!(content(&disk.power_cut(7), "f"), content(&disk.power_cut(7), "f"));
        assert_eq!(&content(&disk, "f").unwrap()[256..1280], [1; 1024]);
    }

    #[test]
    fn names_survive_only_when_their_directory_is_synced() {
        let disk = MemDisk::new();
        disk.create_dir("d").unwrap();
        disk.open("d/old", true).unwrap();
        disk.sync_dir("d").unwrap();
        // The directory's own name is not synced.
        assert!(disk.power_cut_all_lost().list("d").is_err());
        disk.sync_dir("").unwrap();
        disk.open("d/new", true).unwrap().sync_data().unwrap();
        disk.remove("d/old").unwrap();
        assert_eq!(disk.list("d").unwrap(), ["new"]);
        let listings: std::collections::BTreeSet<Vec<String>> =
            (0..100).map(|seed| disk.power_cut(seed).list("d").unwrap()).collect();
        assert_eq!(listings.len(), 4);
        assert_eq!(disk.power_cut_all_lost().list("d").unwrap(), ["old"]);
    }

    #[test]
    fn a_rename_survives_whole_or_not_at_all() {
        let disk = MemDisk::new();
        disk.create_dir("part").unwrap();
        disk.open("part/f", true).unwrap();
        disk.open("new", true).unwrap().write_at(0, b"new").unwrap();
        disk.open("old", true).unwrap().write_at(0, b"old").unwrap();
        for name in ["new", "old"] {
            disk.open(name, false).unwrap().sync_data().unwrap();
        }
        ["part", ""].iter().for_each(|dir| disk.sync_dir(dir).unwrap());
        disk.rename("new", "old").unwrap();
        disk.rename("part", "whole").unwrap();
        assert_eq!(disk.list("").unwrap(), ["old"]);
        assert_eq!(
            (content(&disk, "old").unwrap(), content(&disk, "part/f")),
            (b"new".into(), None)
        );
        for seed in 0..100 {
            let cut = disk.power_cut(seed);
            let is_renamed = content(&cut, "new").is_none();
            let expected: &[u8] = if is_renamed { b"new" } else { b"old" };
            assert_eq!(content(&cut, "old").unwrap(), expected);
            let at = ["part/f", "whole/f"].map(|name| content(&cut, name).is_some());
            assert!(at == [true, false] || at == [false, true], "{at:?}");
        }
        disk.sync_dir("").unwrap();
        let cut = disk.power_cut_all_lost();
        assert_eq!(
            (content(&cut, "old").unwrap(), content(&cut, "whole/f").is_some()),
            (b"new".into(), true)
        );
        assert!(disk.rename("whole", "old").is_err() && disk.rename("none", "some").is_err());
    }

    #[test]
    fn faults_begin_at_the_chosen_call_and_half_write() {
        let disk = MemDisk::new();
        let file = disk.open("f", true).unwrap();
        disk.fail_after(1);
        file.write_at(0, b"whole").unwrap();
        assert!(file.write_at(5, b"half").is_err());
        assert!(file.sync_data().is_err());
        assert!(disk.open("g", true).is_err());
        assert_eq!(content(&disk, "f").unwrap(), b"wholeha");
        disk.fail_no_more();
        file.sync_data().unwrap();
        assert_eq!(disk.syncs(), 1);
    }

    #[test]
    fn what_a_failed_sync_lost_is_lost_until_it_is_written_again() {
        let disk = MemDisk::new();
        let file = disk.open("f", true).unwrap();
        disk.sync_dir("").unwrap();
        file.write_at(0, b"a").unwrap();
        file.write_at(1, b"b").unwrap();
        disk.fail_after(0);
        assert!(file.sync_data().is_err());
        disk.fail_no_more();
        file.sync_data().unwrap();
        assert_eq!(content(&disk, "f").unwrap(), b"ab");
        assert_eq!(content(&disk.power_cut_all_lost(), "f").unwrap(), b"\0b");
        file.write_at(0, b"a").unwrap();
        file.sync_data().unwrap();
        assert_eq!(content(&disk.power_cut_all_lost(), "f").unwrap(), b"ab");
    }

    #[test]
    fn a_dead_disk_changes_no_more_and_a_copy_is_a_disk_of_its_own() {
        let disk = MemDisk::new();
        let file = disk.open("f", true).unwrap();
        disk.sync_dir("").unwrap();
        file.write_at(0, b"a").unwrap();
        let copy = disk.copy();
        disk.dead_after(0);
        assert!(file.write_at(0, b"b").is_err() && file.sync_data().is_err());
        assert_eq!(content(&disk, "f").unwrap(), b"a");
        assert_eq!(disk.struck(), 2);
        assert_eq!(content(&disk.power_cut_all_lost(), "f").unwrap(), b"");
        copy.open("f", false).unwrap().write_at(1, b"c").unwrap();
        assert_eq!(content(&copy, "f").unwrap(), b"ac");
        assert_eq!(content(&disk, "f").unwrap(), b"a");
    }

    #[test]
    fn one_sync_fails_and_keeps_or_loses_what_it_was_given() {
        for (kept, found) in [(true, b"ab".as_slice()), (false, b"\0b")] {
            let disk = MemDisk::new();
            let file = disk.open("f", true).unwrap();
            disk.sync_dir("").unwrap();
            disk.fail_one_sync_after(1, kept);
            file.sync_data().unwrap();
            file.write_at(0, b"a").unwrap();
            file.write_at(1, b"b").unwrap();
            assert!(file.sync_data().is_err());
            file.sync_data().unwrap();
            assert_eq!(content(&disk.power_cut_all_lost(), "f").unwrap(), found);
        }
    }

    #[test]
    fn reads_fail_until_they_fail_no_more() {
        let disk = MemDisk::new();
        let file = disk.open("f", true).unwrap();
        file.write_at(0, b"a").unwrap();
        disk.fail_reads_after(1);
        assert!(file.read_at(0, &mut [0]).is_ok() && file.read_at(0, &mut [0]).is_err());
        file.write_at(1, b"b").unwrap();
        assert!(disk.spared(|| file.read_at(0, &mut [0])).is_ok());
        assert!(file.read_at(0, &mut [0]).is_err());
        disk.fail_no_more();
        assert!(file.read_at(0, &mut [0; 2]).is_ok());
    }

    #[test]
    fn a_removed_file_stays_readable_and_a_dropped_handle_unlocks() {
        let disk = MemDisk::new();
        let file = disk.open("f", true).unwrap();
        file.write_at(0, b"x").unwrap();
        assert!(file.try_lock().unwrap());
        let second = disk.open("f", false).unwrap();
        assert!(!second.try_lock().unwrap());
        disk.remove("f").unwrap();
        let mut out = [0];
        second.read_at(0, &mut out).unwrap();
        assert_eq!(&out, b"x");
        drop(file);
        assert!(second.try_lock().unwrap());
    }
}
