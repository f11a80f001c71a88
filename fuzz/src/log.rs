//! The log's files: whatever they hold, opening the log ends with a log or with an error that
//! leaves them as they are.

use std::sync::{Arc, LazyLock};

use littoral::id::Position;
use littoral::store::disk::Disk;
use littoral::store::log::{Known, Log, NewRecord, RecordKind};
use littoral::{ErrorKind, Result};

use super::input::Input;
use super::ram::RamDisk;

const HEADER_BYTES: usize = 32;
const BATCH_HEADER_BYTES: usize = 28;
const SEGMENT_BYTES: u64 = 4096;

/// The header of the first segment.
static HEADER: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let disk = RamDisk::default();
    drop(open(&disk, Known { start: Position(0), applied: Position(0), batch: None }));
    disk.log()[0].1[..HEADER_BYTES].to_vec()
});

/// One segment, or two. The first byte says: 1 the header is right, 2 checksums and positions of
/// what looks like a batch are made right, 4 a second segment follows. Then comes what the state
/// knows: the position applied, and that of its last batch, 2 bytes each; with a second segment,
/// where it begins.
pub fn log(data: &[u8]) {
    let mut input = Input(data);
    let mode = input.byte();
    let (applied, batch) = (u64::from(input.short()), u64::from(input.short()));
    let cut = if mode & 4 != 0 { usize::from(input.short()) } else { usize::MAX };
    let mut first = if mode & 1 != 0 { HEADER.clone() } else { Vec::new() };
    let (head, tail) = input.0.split_at(cut.min(input.0.len()));
    first.extend_from_slice(head);
    let disk = RamDisk::default();
    if mode & 2 != 0 {
        seal(&mut first);
    }
    let base = first.len().saturating_sub(HEADER_BYTES) as u64;
    write(&disk, 0, &first);
    if mode & 4 != 0 {
        let mut second = [&segment_header(base)[..], tail].concat();
        if mode & 2 != 0 {
            seal_at(&mut second, base);
        }
        write(&disk, base, &second);
    }
    let batch = batch.checked_sub(1).map(Position);
    let known = Known { start: Position(0), applied: Position(applied), batch };
    let before = disk.log();
    match open(&disk, known) {
        Ok(log) => use_log(log, &disk, known),
        Err(err) => {
            let refused = [ErrorKind::Corrupt, ErrorKind::FormatTooNew];
            assert!(refused.contains(&err.kind()), "{err}");
            assert_eq!(disk.log(), before, "a log that is refused is not changed");
        }
    }
}

/// Reads all of a log, goes on writing it, and opens it again.
fn use_log(mut log: Log, disk: &RamDisk, known: Known) {
    let records = read(&log);
    let before = records.as_ref().map_or(0, Vec::len);
    let record = NewRecord { kind: RecordKind::Txn, collection: "notes", bytes: b"after" };
    log.append(&[record]).expect("a log that opened takes records");
    log.sync().expect("the disk is well");
    let end = log.end();
    assert!(end >= known.applied);
    log.close().expect("the disk is well");
    let log = open(disk, known).expect("it opened before");
    assert_eq!(log.end(), end);
    if let (Ok(_), Ok(after)) = (&records, read(&log)) {
        assert_eq!(after.len(), before + 1);
        assert_eq!(after.last().map(|bytes| &bytes[..]), Some(&b"after"[..]));
    }
}

fn read(log: &Log) -> Result<Vec<Vec<u8>>> {
    let (reader, mut at, mut out) = (log.reader(), log.start(), Vec::new());
    loop {
        let records = reader.read(at, 1000)?;
        let Some(last) = records.last() else { return Ok(out) };
        assert!(last.end > at, "it goes on");
        at = last.end;
        out.extend(records.into_iter().map(|record| record.bytes));
    }
}

fn open(disk: &RamDisk, known: Known) -> Result<Log> {
    Log::open(Arc::new(disk.clone()), known, SEGMENT_BYTES).map(|(log, _)| log)
}

fn name(base: u64) -> String {
    format!("log/{base:016x}.log")
}

fn write(disk: &RamDisk, base: u64, bytes: &[u8]) {
    let file = disk.open(&name(base), true).expect("a file");
    file.write_at(0, bytes).expect("the disk is well");
}

fn segment_header(base: u64) -> Vec<u8> {
    let mut header = HEADER.clone();
    header[16..24].copy_from_slice(&base.to_le_bytes());
    let crc = crc32fast::hash(&header[..28]);
    header[28..32].copy_from_slice(&crc.to_le_bytes());
    header
}

fn seal(segment: &mut [u8]) {
    seal_at(segment, 0);
}

/// Gives every batch the position where it lies, a length that fits and its checksum, so that
/// what is tried is what lies behind them.
fn seal_at(segment: &mut [u8], base: u64) {
    let mut at = HEADER_BYTES;
    while segment.len() > at + BATCH_HEADER_BYTES {
        let position = base + (at - HEADER_BYTES) as u64;
        let batch = &mut segment[at..];
        if !batch.starts_with(b"\xb7LOG") {
            return;
        }
        let len = u32::from_le_bytes(batch[4..8].try_into().expect("4 bytes")) as usize;
        let len = len.clamp(1, batch.len() - BATCH_HEADER_BYTES);
        batch[4..8].copy_from_slice(&(len as u32).to_le_bytes());
        batch[8..16].copy_from_slice(&position.to_le_bytes());
        let mut crc = crc32fast::Hasher::new();
        crc.update(&batch[4..24]);
        crc.update(&batch[BATCH_HEADER_BYTES..BATCH_HEADER_BYTES + len]);
        batch[24..28].copy_from_slice(&crc.finalize().to_le_bytes());
        at += BATCH_HEADER_BYTES + len;
    }
}
