//! The promises of the log: nothing synced is lost, nothing torn is kept, nothing damaged is
//! taken for torn, on a disk that loses power and fails.

mod packed;

use std::sync::Arc;
use std::time::Duration;

use super::{
    Known, Log, LogReader, LogRecord, NewRecord, RecordKind, Recovered, Sizes, batch, segment,
};
use crate::error::{ErrorKind, Result};
use crate::id::Position;
use crate::limits::{LOG_SEGMENT_BYTES, MAX_COLLECTION_BYTES, MAX_LOG_BATCH_BYTES};
use crate::store::disk::{Disk, MemDisk, RealDisk};

const SMALL: Sizes = Sizes { segment_bytes: 600, preallocate_bytes: 256 };

fn open(disk: &MemDisk, from: u64) -> Result<(Log, Recovered)> {
    Log::open_sized(Arc::new(disk.clone()), known(from), SMALL)
}

fn known(applied: u64) -> Known {
    Known { start: Position(0), applied: Position(applied), batch: None }
}

/// Opens a log that was pruned up to `start`.
fn open_pruned(disk: &MemDisk, start: u64, from: u64) -> Result<(Log, Recovered)> {
    let known = Known { start: Position(start), ..known(from) };
    Log::open_sized(Arc::new(disk.clone()), known, SMALL)
}

/// Contents that tell which batch and which record of it this is. Some are so large that they are
/// packed; on the disk these are about as long as the others.
fn contents(batch: u64, record: u64) -> Vec<u8> {
    let len = 5 + (batch * 37 + record * 11) % 120;
    let part = (0..len).map(|i| (batch * 3 + record + i) as u8);
    match (batch + record) % 3 {
        1 => part.cycle().take(batch::PACK_FROM_BYTES + len as usize).collect(),
        _ => part.collect(),
    }
}

fn append(log: &mut Log, batch: u64) -> Result<()> {
    let bytes: Vec<_> = (0..1 + batch % 3).map(|record| contents(batch, record)).collect();
    let records: Vec<_> = bytes
        .iter()
        .map(|bytes| NewRecord { kind: RecordKind::Txn, collection: "notes", bytes })
        .collect();
    let appended = log.append(&records)?;
    assert_eq!(appended.positions.last().unwrap().1, log.end());
    Ok(())
}

/// A log of `batches`, each synced, and the log's end after each.
fn filled(batches: u64) -> (MemDisk, Log, Vec<u64>) {
    let disk = MemDisk::new();
    let (mut log, _) = open(&disk, 0).unwrap();
    let ends = (0..batches).map(|batch| synced_append(&mut log, batch)).collect();
    (disk, log, ends)
}

fn synced_append(log: &mut Log, batch: u64) -> u64 {
    append(log, batch).unwrap();
    log.sync().unwrap();
    log.end().0
}

fn read_all(reader: &LogReader, from: u64, limit: usize) -> Vec<LogRecord> {
    let (mut at, mut out) = (Position(from), Vec::new());
    loop {
        let part = reader.read(at, limit).unwrap();
        let Some(last) = part.last() else { return out };
        at = last.end;
        out.extend(part);
    }
}

/// Checks that the log holds exactly the batches 0, 1, 2 and so on; answers with how many.
fn whole_batches(log: &Log) -> u64 {
    let mut records = read_all(&log.reader(), 0, 300).into_iter();
    let mut batch = 0;
    while let Some(first) = records.next() {
        assert_eq!(first.bytes, contents(batch, 0), "batch {batch}");
        for record in 1..1 + batch % 3 {
            assert_eq!(records.next().unwrap().bytes, contents(batch, record), "batch {batch}");
        }
        batch += 1;
    }
    batch
}

fn active_name(log: &Log) -> String {
    log.active.name()
}

fn snapshot(disk: &MemDisk) -> Vec<(String, Vec<u8>)> {
    let names = disk.list("log").unwrap();
    names.into_iter().map(|name| (name.clone(), file_bytes(disk, &format!("log/{name}")))).collect()
}

fn file_bytes(disk: &MemDisk, name: &str) -> Vec<u8> {
    let file = disk.open(name, false).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

/// A copy of the disk in which one byte is another.
fn flipped(disk: &MemDisk, name: &str, offset: u64, mask: u8) -> MemDisk {
    let copy = disk.power_cut_all_lost();
    let file = copy.open(name, false).unwrap();
    let mut byte = [0];
    file.read_at(offset, &mut byte).unwrap();
    file.write_at(offset, &[byte[0] ^ mask]).unwrap();
    file.sync_data().unwrap();
    copy
}

fn assert_refused(disk: &MemDisk, from: u64, kind: ErrorKind) -> String {
    let before = snapshot(disk);
    let error = open(disk, from).map(|(log, found)| (log.end(), found)).unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert_eq!(snapshot(disk), before, "a refused log is not changed");
    error.to_string()
}

#[test]
fn records_come_back_as_appended_over_segments_and_reopening() {
    let disk = MemDisk::new();
    let mut end = 0;
    for round in 0..6 {
        let (mut log, recovered) = open(&disk, end).unwrap();
        let found = (recovered.start, recovered.end, recovered.cut_bytes);
        assert_eq!(found, (Position(0), Position(end), 0));
        for batch in round * 5..round * 5 + 5 {
            end = synced_append(&mut log, batch);
        }
        assert_eq!(whole_batches(&log), round * 5 + 5);
        if round % 2 == 0 {
            log.close().unwrap();
        }
    }
    assert!(disk.list("log").unwrap().len() > 4);
    let (log, _) = open(&disk, 0).unwrap();
    let records = read_all(&log.reader(), 0, usize::MAX);
    for limit in [1, 50, 1000] {
        assert_eq!(read_all(&log.reader(), 0, limit), records);
    }
    for record in &records {
        let from = |at| log.reader().read(at, 1).unwrap().into_iter().next();
        assert_eq!(from(record.position).as_ref(), Some(record));
        assert_eq!(from(record.end), records.iter().find(|r| r.position >= record.end).cloned());
    }
}

#[test]
fn kinds_names_and_empty_contents_come_back() {
    let (_, mut log, _) = filled(0);
    let new = [
        NewRecord { kind: RecordKind::Barrier, collection: "", bytes: b"" },
        NewRecord { kind: RecordKind::Txn, collection: &"x".repeat(128), bytes: b"y" },
    ];
    assert_eq!(log.append(&[]).unwrap().positions, []);
    let appended = log.append(&new).unwrap();
    log.sync().unwrap();
    let read = log.reader().read(Position(0), usize::MAX).unwrap();
    assert_eq!(read.len(), 2);
    for ((new, read), (position, end)) in new.iter().zip(&read).zip(appended.positions) {
        assert_eq!(
            (new.kind, new.collection, new.bytes),
            (read.kind, &*read.collection, &*read.bytes)
        );
        assert_eq!((position, end), (read.position, read.end));
    }
}

#[test]
fn limits_hold_at_n_and_refuse_n_plus_1() {
    let (disk, mut log, _) = filled(0);
    let mut try_append = |name: usize, len: usize| {
        let (collection, bytes) = ("x".repeat(name), vec![1; len]);
        let new = NewRecord { kind: RecordKind::Txn, collection: &collection, bytes: &bytes };
        log.append(&[new]).map(drop).map_err(|e| e.kind())
    };
    let most = MAX_LOG_BATCH_BYTES - batch::RECORD_HEADER_BYTES - 1;
    assert_eq!(try_append(1, most + 1), Err(ErrorKind::LimitExceeded));
    assert_eq!(try_append(MAX_COLLECTION_BYTES + 1, 1), Err(ErrorKind::LimitExceeded));
    // A refusal changes nothing: the log goes on.
    assert_eq!(try_append(MAX_COLLECTION_BYTES, 1), Ok(()));
    assert_eq!(try_append(1, most), Ok(()));
    log.sync().unwrap();
    let (log, found) = open(&disk, 0).unwrap();
    assert_eq!(found.cut_bytes, 0);
    assert_eq!(read_all(&log.reader(), 0, usize::MAX).len(), 2);
}

#[test]
fn bytes_are_as_documented() {
    let (disk, mut log, _) = filled(0);
    let new = [
        NewRecord { kind: RecordKind::Txn, collection: "notes", bytes: &[1, 2, 3] },
        NewRecord { kind: RecordKind::Barrier, collection: "n", bytes: &[] },
    ];
    log.append(&new).unwrap();
    log.close().unwrap();
    let hex = data_encoding::HEXLOWER.encode(&file_bytes(&disk, "log/0000000000000000.log"));
    let golden = concat!(
        "4c49544c4f470d0a",
        "02000000",
        "00000000",
        "0000000000000000",
        "00000000",
        "7e7dd58f",
        "b74c4f47",
        "1d000000",
        "0000000000000000",
        "0000000000000000",
        "1fd15826",
        "01",
        "05",
        "03000000",
        "1c000000",
        "6e6f746573",
        "010203",
        "02",
        "01",
        "00000000",
        "2e000000",
        "6e",
    );
    assert_eq!(hex, golden);
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_to_the_batches_before() {
    let (disk, log, ends) = filled(11);
    let (name, base) = (active_name(&log), log.active.base);
    let (start, end) = (ends[9], ends[10]);
    assert!(start > base, "the last two batches lie in one segment");
    let at = |position: u64| segment::HEADER_BYTES + position - base;
    let check = |torn: MemDisk, cut: bool| {
        let (mut log, found) = open(&torn, ends[4]).unwrap();
        assert_eq!(found.end, Position(start));
        assert_eq!(found.cut_bytes > 0, cut);
        assert_eq!(whole_batches(&log), 10);
        // What comes next takes the place of the tail, and survives.
        synced_append(&mut log, 10);
        let (log, found) = open(&torn.power_cut_all_lost(), start).unwrap();
        assert_eq!((found.end, found.cut_bytes), (Position(end), 0));
        assert_eq!(whole_batches(&log), 11);
    };
    for position in start..end {
        let torn = disk.power_cut_all_lost();
        let file = torn.open(&name, false).unwrap();
        file.set_len(at(position)).unwrap();
        check(torn, position > start);
        for mask in [0x01, 0x80, 0xff] {
            check(flipped(&disk, &name, at(position), mask), true);
        }
    }
    // Zeros, as a write that was lost in a file that had its length.
    let torn = disk.power_cut_all_lost();
    torn.open(&name, false).unwrap().write_at(at(start), &vec![0; (end - start) as usize]).unwrap();
    check(torn, false);
}

#[test]
fn damage_at_any_byte_of_what_was_synced_is_refused() {
    let (disk, log, ends) = filled(11);
    let (name, base) = (active_name(&log), log.active.base);
    // The batch before the last, in the active segment; from before and after it.
    for offset in ends[8].max(base) - base..ends[9] - base {
        for mask in [0x01, 0x80, 0xff] {
            let bad = flipped(&disk, &name, segment::HEADER_BYTES + offset, mask);
            let error = assert_refused(&bad, ends[2], ErrorKind::Corrupt);
            assert!(error.contains(&name) && error.contains("offset"), "{error}");
        }
    }
    // Every byte of a segment that another follows, and of the active one's header.
    let first = segment::name(0);
    for offset in 0..file_bytes(&disk, &first).len() as u64 {
        let error = assert_refused(&flipped(&disk, &first, offset, 0x10), 0, ErrorKind::Corrupt);
        assert!(error.contains(&first), "{error}");
    }
    for offset in 0..segment::HEADER_BYTES {
        assert_refused(&flipped(&disk, &name, offset, 0x10), ends[9], ErrorKind::Corrupt);
    }
    // The last batch alone can't be told from a torn one, unless the state is beyond it.
    let last = flipped(&disk, &name, segment::HEADER_BYTES + ends[10] - base - 1, 1);
    let error = assert_refused(&last, ends[10], ErrorKind::Corrupt);
    assert!(error.contains("the log ends before the state"), "{error}");
}

#[test]
fn only_segments_from_the_state_on_are_read() {
    let (disk, log, ends) = filled(11);
    assert!(log.active.base > 0);
    let bad = flipped(&disk, &segment::name(0), segment::HEADER_BYTES + 40, 1);
    let (log, _) = open(&bad, ends[10]).unwrap();
    // A reader that gets there finds it.
    let error = log.reader().read(Position(0), 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

#[test]
fn a_known_batch_spares_reading_what_lies_before_it() {
    let sizes = Sizes { segment_bytes: 1 << 20, preallocate_bytes: 4096 };
    let disk = MemDisk::new();
    let open = |disk: &MemDisk, known| Log::open_sized(Arc::new(disk.clone()), known, sizes);
    let (mut log, _) = open(&disk, known(0)).unwrap();
    for n in 0..2000 {
        synced_append(&mut log, n);
    }
    let (applied, batch) = (log.end(), log.batch());
    let close_by = Known { applied, batch, ..known(0) };
    for more in 0..3 {
        let before = disk.bytes_read("log/");
        let (_, found) = open(&disk, close_by).unwrap();
        assert_eq!((found.end, found.batch), (log.end(), log.batch()));
        assert!(disk.bytes_read("log/") - before < 8 << 10, "{}", disk.bytes_read("log/") - before);
        synced_append(&mut log, more);
    }
    // A batch that is not known, or not that one, is no worse than reading all.
    for batch in [None, Some(Position(0)), Some(Position(applied.0 - 1)), Some(applied)] {
        let (_, found) = open(&disk, Known { batch, ..close_by }).unwrap();
        assert_eq!((found.end, found.batch), (log.end(), log.batch()));
    }
    // That very batch is checked: a log that lost it does not fit the state.
    let cut = flipped(&disk, &active_name(&log), log.active.offset(batch.unwrap().0) + 30, 1);
    assert_eq!(open(&cut, close_by).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn a_later_write_that_survived_an_earlier_unsynced_one_is_no_damage() {
    let disk = MemDisk::new();
    let (mut log, _) = open(&disk, 0).unwrap();
    let start = synced_append(&mut log, 0);
    append(&mut log, 1).unwrap();
    let offset = log.active.offset(start);
    append(&mut log, 2).unwrap();
    disk.open(&active_name(&log), false).unwrap().write_at(offset, &[0; 30]).unwrap();
    let (log, found) = open(&disk, start).unwrap();
    assert_eq!(found.end, Position(start));
    assert_eq!(whole_batches(&log), 1);
}

#[test]
fn what_was_cut_never_comes_back() {
    let append_filled = |log: &mut Log, byte: u8| {
        let bytes = [byte; 100];
        let new = NewRecord { kind: RecordKind::Txn, collection: "notes", bytes: &bytes };
        log.append(&[new]).unwrap();
    };
    for before in [0, 1] {
        let (disk, mut log, _) = filled(before);
        let start = log.end();
        // The power goes while two batches are written: only the second reaches the disk.
        append_filled(&mut log, 1);
        append_filled(&mut log, 2);
        let file = disk.open(&active_name(&log), false).unwrap();
        file.write_at(log.active.offset(start.0), &[0; 100]).unwrap();
        file.sync_data().unwrap();
        drop(log);
        // The next batch ends where the stale one begins, and brings no zeros to wipe it out.
        let sizes = Sizes { preallocate_bytes: 1, ..SMALL };
        let (mut log, found) =
            Log::open_sized(Arc::new(disk.clone()), known(start.0), sizes).unwrap();
        assert!(found.end == start && found.cut_bytes > 0);
        append_filled(&mut log, 3);
        for seed in 0..50 {
            let (log, _) = open(&disk.power_cut(seed), start.0).unwrap();
            let read = read_all(&log.reader(), start.0, usize::MAX);
            assert!(read.is_empty() || read.len() == 1 && read[0].bytes == [3; 100], "{seed}");
        }
    }
}

#[test]
fn missing_segments_are_refused() {
    let (disk, log, ends) = filled(20);
    let names = disk.list("log").unwrap();
    assert!(names.len() > 3);
    let without = |name: &str| {
        let copy = disk.power_cut_all_lost();
        let _ = copy.remove(&format!("log/{name}"));
        copy
    };
    assert_refused(&without(&names[1]), 0, ErrorKind::Corrupt);
    assert_refused(&without(&names[1]), ends[19], ErrorKind::Corrupt);
    assert_refused(&without(&names[0]), 0, ErrorKind::Corrupt);
    assert_refused(&without(names.last().unwrap()), ends[19], ErrorKind::Corrupt);
    assert_refused(&disk, ends[19] + 1, ErrorKind::Corrupt);
    assert_eq!(open(&MemDisk::new(), 1).unwrap_err().kind(), ErrorKind::Corrupt);
    drop(log);
    // Without its first segments it is a log that was pruned, if that is known.
    let bases = segment::list(&disk).unwrap();
    assert_refused(&without(&names[0]), ends[19], ErrorKind::Corrupt);
    let (log, found) = open_pruned(&without(&names[0]), bases[1], ends[19]).unwrap();
    assert_eq!((found.start, log.start()), (Position(bases[1]), Position(bases[1])));
    // What is left of pruned ones, with or without gaps, goes.
    for left in [without("none"), without(&names[1])] {
        let (log, found) = open_pruned(&left, bases[2], ends[19]).unwrap();
        assert_eq!((found.start, log.start()), (Position(bases[2]), Position(bases[2])));
        assert_eq!(segment::list(&left).unwrap(), bases[2..]);
    }
}

#[test]
fn newer_formats_are_refused_and_not_changed() {
    let (disk, _, ends) = filled(11);
    let names = disk.list("log").unwrap();
    for name in [names.first().unwrap(), names.last().unwrap()] {
        let newer = disk.power_cut_all_lost();
        let file = newer.open(&format!("log/{name}"), false).unwrap();
        let mut header = [0; 32];
        file.read_at(0, &mut header).unwrap();
        header[8] = 3;
        let crc = crc32fast::hash(&header[..28]);
        header[28..].copy_from_slice(&crc.to_le_bytes());
        file.write_at(0, &header).unwrap();
        let error = assert_refused(&newer, ends[10], ErrorKind::FormatTooNew);
        assert!(error.contains("format version 3") && error.contains("newer littoral"), "{error}");
    }
}

#[test]
fn records_of_unknown_kind_are_refused() {
    let (disk, log, ends) = filled(1);
    let mut bytes =
        file_bytes(&disk, &active_name(&log))[segment::HEADER_BYTES as usize..].to_vec();
    bytes.truncate(ends[0] as usize);
    bytes[batch::HEADER_BYTES] = 77;
    let mut crc = crc32fast::Hasher::new();
    crc.update(&bytes[4..24]);
    crc.update(&bytes[28..]);
    bytes[24..28].copy_from_slice(&crc.finalize().to_le_bytes());
    disk.open(&active_name(&log), false).unwrap().write_at(segment::HEADER_BYTES, &bytes).unwrap();
    let error = assert_refused(&disk, 0, ErrorKind::FormatTooNew);
    assert!(error.contains("kind 77"), "{error}");
}

/// A small generator, so that a failing run is named by its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// What a writer was told: how many batches are durable, and where they end.
#[derive(Default, Clone, Copy)]
struct Acknowledged {
    batches: u64,
    end: u64,
}

/// Opens, checks against what was acknowledged, and appends with few syncs until something
/// fails or `steps` are over.
fn work(disk: &MemDisk, known: &mut Acknowledged, steps: u64, random: &mut Random) -> Result<()> {
    let (mut log, found) = open(disk, known.end * random.below(2))?;
    assert!(found.end >= Position(known.end), "acknowledged batches are there");
    let mut batches = whole_batches(&log);
    assert!(batches >= known.batches);
    *known = Acknowledged { batches, end: found.end.0 };
    for _ in 0..steps {
        match random.below(3) {
            0 => {
                log.sync()?;
                *known = Acknowledged { batches, end: log.end().0 };
            }
            _ => {
                append(&mut log, batches)?;
                batches += 1;
            }
        }
    }
    match random.below(3) {
        0 => {
            let end = log.end().0;
            log.close()?;
            *known = Acknowledged { batches, end };
        }
        _ => drop(log),
    }
    Ok(())
}

#[test]
fn acknowledged_batches_survive_any_power_cut() {
    for seed in 1..400 {
        let (mut disk, mut known) = (MemDisk::new(), Acknowledged::default());
        let random = &mut Random(seed);
        for round in 0..6 {
            let steps = random.below(25);
            if let Err(e) = work(&disk, &mut known, steps, random) {
                panic!("seed {seed} round {round}: {e}");
            }
            disk = disk.power_cut(seed * 100 + round);
        }
    }
}

#[test]
fn acknowledged_batches_survive_faults_at_any_call_and_then_a_power_cut() {
    for seed in 1..400 {
        let (mut disk, mut known) = (MemDisk::new(), Acknowledged::default());
        let random = &mut Random(seed);
        for round in 0..8 {
            disk.fail_after(random.below(60));
            if let Err(e) = work(&disk, &mut known, 40, random) {
                assert_eq!(e.kind(), ErrorKind::Io, "seed {seed} round {round}: {e}");
            }
            disk.fail_no_more();
            // Now and then only the process dies, and the disk keeps what was written.
            if random.below(3) > 0 {
                disk = disk.power_cut(seed * 100 + round);
            }
        }
        work(&disk, &mut known, 1, random).unwrap();
    }
}

#[test]
fn what_a_killed_process_wrote_is_durable_once_it_was_found() {
    let disk = MemDisk::new();
    let (mut log, _) = open(&disk, 0).unwrap();
    append(&mut log, 0).unwrap();
    append(&mut log, 1).unwrap();
    drop(log);
    let (_, found) = open(&disk, 0).unwrap();
    let (log, again) = open(&disk.power_cut_all_lost(), found.end.0).unwrap();
    assert_eq!(again, found);
    assert_eq!(whole_batches(&log), 2);
}

#[test]
fn opening_a_log_that_the_state_includes_writes_nothing() {
    let (disk, log, ends) = filled(11);
    drop(log);
    disk.fail_after(0);
    let (log, _) = open(&disk, ends[10]).unwrap();
    assert_eq!(log.durable(), Position(ends[10]));
}

#[test]
fn a_failed_write_or_sync_refuses_all_later_ones() {
    for failing in ["append", "sync", "roll"] {
        let (disk, mut log, _) = filled(1);
        let reader = log.reader();
        let durable = log.durable();
        let first = match failing {
            "append" => {
                disk.fail_after(0);
                append(&mut log, 1)
            }
            "sync" => {
                append(&mut log, 1).unwrap();
                disk.fail_after(0);
                log.sync()
            }
            _ => {
                disk.fail_after(20);
                (1..50).try_for_each(|batch| append(&mut log, batch))
            }
        };
        assert_eq!(first.unwrap_err().kind(), ErrorKind::Io, "{failing}");
        disk.fail_no_more();
        assert_eq!(append(&mut log, 1).unwrap_err().kind(), ErrorKind::Poisoned, "{failing}");
        assert_eq!(log.sync().unwrap_err().kind(), ErrorKind::Poisoned, "{failing}");
        let error = log.unlink_before(Position(u64::MAX)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Poisoned, "{failing}");
        assert!(error.message().contains("open it again"));
        // What was durable can still be read.
        assert!(reader.durable() >= durable && !reader.read(Position(0), 1).unwrap().is_empty());
        assert_eq!(log.close().unwrap_err().kind(), ErrorKind::Poisoned, "{failing}");
    }
}

#[test]
fn readers_see_only_what_is_durable() {
    let (_, mut log, ends) = filled(1);
    let reader = log.reader();
    append(&mut log, 1).unwrap();
    assert_eq!(read_all(&reader, 0, 1).last().unwrap().end, Position(ends[0]));
    assert_eq!(reader.read(Position(ends[0]), 1).unwrap(), []);
    assert_eq!(reader.read(log.end(), 1).unwrap(), []);
    assert_eq!(reader.durable(), Position(ends[0]));
    log.sync().unwrap();
    assert_eq!(read_all(&reader, 0, 1).last().unwrap().end, log.end());
    let beyond = reader.read(Position(log.end().0 + 1), 1).unwrap_err();
    assert_eq!(beyond.kind(), ErrorKind::InvalidInput);
}

#[test]
fn positions_that_the_log_never_gave_are_refused() {
    let (_, log, ends) = filled(9);
    let records = read_all(&log.reader(), 0, usize::MAX);
    for at in 0..ends[8] {
        let known = ends.contains(&at)
            || at == 0
            || records.iter().any(|r| r.position.0 == at || r.end.0 == at);
        match log.reader().read(Position(at), usize::MAX) {
            Ok(read) => {
                assert!(known, "position {at}");
                assert!(records.ends_with(&read));
            }
            Err(e) => assert!(!known && e.kind() == ErrorKind::InvalidInput, "{at}: {e}"),
        }
    }
}

#[test]
fn a_reader_follows_a_writer_in_another_thread() {
    let (_, mut log, _) = filled(0);
    let reader = log.reader();
    let writer = std::thread::spawn(move || {
        for batch in 0..300 {
            append(&mut log, batch).unwrap();
            if batch % 3 == 0 {
                log.sync().unwrap();
            }
        }
        log.close().unwrap();
    });
    let (mut at, mut read) = (Position(0), Vec::new());
    loop {
        let closed = reader.is_closed();
        let part = reader.read(at, 500).unwrap();
        if part.is_empty() && closed {
            break;
        }
        at = part.last().map_or(at, |record| record.end);
        read.extend(part);
        reader.wait(at, Duration::from_secs(60));
    }
    writer.join().unwrap();
    let expected = (0..300).flat_map(|batch| (0..1 + batch % 3).map(move |r| contents(batch, r)));
    assert!(read.into_iter().map(|record| record.bytes).eq(expected));
}

#[test]
fn waiting_ends_with_new_records_time_or_closing() {
    let (_, mut log, ends) = filled(1);
    let reader = log.reader();
    let long = Duration::from_secs(600);
    assert_eq!(reader.wait(Position(0), long), Position(ends[0]));
    assert_eq!(reader.wait(Position(ends[0]), Duration::ZERO), Position(ends[0]));
    let waiting = {
        let reader = reader.clone();
        std::thread::spawn(move || reader.wait(Position(ends[0]), long))
    };
    let end = synced_append(&mut log, 1);
    assert_eq!(waiting.join().unwrap(), Position(end));
    drop(log);
    assert_eq!(reader.wait(Position(end), long), Position(end));
    assert!(reader.is_closed());
}

#[test]
fn pruning_unlinks_whole_segments_before_a_position() {
    let (disk, mut log, ends) = filled(20);
    let reader = log.reader();
    let bases = segment::list(&disk).unwrap();
    assert_eq!(log.unlink_before(Position(bases[2] - 1)).unwrap(), bases[1]);
    assert_eq!(log.unlink_before(Position(bases[2])).unwrap(), bases[2] - bases[1]);
    assert_eq!(segment::list(&disk).unwrap(), bases[2..]);
    assert_eq!((log.start(), reader.start()), (Position(bases[2]), Position(bases[2])));
    let gone = reader.read(Position(bases[2] - 1), 1).unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    assert!(gone.message().contains("no longer holds"));
    assert_eq!(read_all(&reader, bases[2], 1).last().unwrap().end, Position(ends[19]));
    // Whatever a power cut brings back goes when the log is opened.
    for seed in 0..20 {
        let cut = disk.power_cut(seed);
        let (_, found) = open_pruned(&cut, bases[2], ends[19]).unwrap();
        assert_eq!(found.start, Position(bases[2]));
        assert_eq!(segment::list(&cut).unwrap(), bases[2..]);
    }
    log.unlink_before(Position(u64::MAX)).unwrap();
    assert_eq!(segment::list(&disk).unwrap(), bases[bases.len() - 1..]);
    synced_append(&mut log, 20);
}

#[test]
fn a_failed_unlink_leaves_a_log_that_opens() {
    for n in 0..3 {
        let (disk, mut log, ends) = filled(20);
        let bases = segment::list(&disk).unwrap();
        disk.fail_after(n);
        assert!(log.unlink_before(Position(bases[3])).is_err());
        disk.fail_no_more();
        assert_eq!(log.start(), Position(bases[3]), "nobody reads there any more");
        for seed in 0..10 {
            let (_, found) = open_pruned(&disk.power_cut(seed), bases[3], ends[19]).unwrap();
            assert_eq!(found.start, Position(bases[3]));
        }
        // It goes on, and the next call removes what is left.
        synced_append(&mut log, 20);
        log.unlink_before(Position(0)).unwrap();
        assert_eq!(segment::list(&disk).unwrap()[0], bases[3]);
    }
}

#[test]
fn one_batch_is_one_sync_and_closing_gives_back_the_room() {
    let disk = MemDisk::new();
    let (mut log, _) = Log::open(Arc::new(disk.clone()), known(0), LOG_SEGMENT_BYTES).unwrap();
    let before = disk.syncs();
    for batch in 0..10 {
        synced_append(&mut log, batch);
    }
    log.sync().unwrap();
    assert_eq!((disk.syncs() - before, log.syncs(), log.bytes()), (10, 10, log.end().0));
    let (name, end) = (active_name(&log), log.end().0);
    assert_eq!(file_bytes(&disk, &name).len(), 1 << 20);
    log.close().unwrap();
    assert_eq!(file_bytes(&disk, &name).len() as u64, segment::HEADER_BYTES + end);
}

#[test]
fn it_works_on_a_real_disk() {
    let dir = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(dir.path().to_owned()));
    let mut end = 0;
    for round in 0..4 {
        let (mut log, found) = Log::open_sized(disk.clone(), known(0), SMALL).unwrap();
        assert_eq!(found.end, Position(end));
        for batch in round * 10..round * 10 + 10 {
            end = synced_append(&mut log, batch);
        }
        assert_eq!(whole_batches(&log), round * 10 + 10);
        if round % 2 == 0 {
            log.close().unwrap();
        }
    }
    let (mut log, _) = Log::open_sized(disk, known(end), SMALL).unwrap();
    assert!(log.unlink_before(Position(end)).unwrap() > 0);
    assert_eq!(read_all(&log.reader(), log.start().0, 1).last().unwrap().end, Position(end));
}
