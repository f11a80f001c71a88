//! Packed transactions: they come back as they were, take the room they save, and what doesn't
//! unpack is damage. That crashes treat them like others the tests beside this hold, which mix both.

use super::*;
use crate::compress::compress;
use crate::store::log::{Bounds, FaultKind, Found, Survey};

const PACKED: u8 = 4;
const NAME: &str = "notes";

/// A segment of format version 1, with a transaction of 3 bytes and a barrier.
const VERSION_1: &str = concat!(
    "4c49544c4f470d0a0100000000000000000000000000000000000000b4307c20",
    "b74c4f471d000000000000000000000000000000000000001fd15826",
    "0105030000001c0000006e6f7465730102030201000000002e0000006e",
);

/// A segment as it was first written with a packed transaction.
const GOLDEN: &str = include_str!("golden/packed.hex");

fn hex(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text.trim().as_bytes()).unwrap()
}

fn text(len: usize) -> Vec<u8> {
    b"all work and no play ".iter().copied().cycle().take(len).collect()
}

fn noise(len: usize) -> Vec<u8> {
    let mut noise = vec![0; len];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    noise
}

fn txn(bytes: &[u8]) -> NewRecord<'_> {
    NewRecord { kind: RecordKind::Txn, collection: NAME, bytes }
}

/// The bytes of the disk that records take, header of the batch included.
fn appended(log: &mut Log, records: &[NewRecord<'_>]) -> usize {
    let start = log.end().0;
    log.append(records).unwrap();
    log.sync().unwrap();
    (log.end().0 - start) as usize
}

/// A disk with one segment of these bytes.
fn disk_of(bytes: &[u8]) -> MemDisk {
    let disk = MemDisk::new();
    disk.create_dir("log").unwrap();
    let file = disk.open(&segment::name(0), true).unwrap();
    file.write_at(0, bytes).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir("").unwrap();
    disk.sync_dir("log").unwrap();
    disk
}

/// A segment with one batch of records that are written down as they are: kind and contents.
fn planted(records: &[(u8, Vec<u8>)]) -> MemDisk {
    let (disk, log, _) = filled(0);
    let mut bytes = file_bytes(&disk, &active_name(&log))[..32].to_vec();
    let mut body = Vec::new();
    for (kind, contents) in records {
        let back = (batch::HEADER_BYTES + body.len()) as u32;
        body.extend([*kind, NAME.len() as u8]);
        body.extend((contents.len() as u32).to_le_bytes());
        body.extend(back.to_le_bytes());
        body.extend(NAME.as_bytes());
        body.extend(contents);
    }
    let mut head = [0; batch::HEADER_BYTES];
    head[..4].copy_from_slice(&batch::MAGIC);
    head[4..8].copy_from_slice(&(body.len() as u32).to_le_bytes());
    let mut crc = crc32fast::Hasher::new();
    crc.update(&head[4..24]);
    crc.update(&body);
    head[24..].copy_from_slice(&crc.finalize().to_le_bytes());
    bytes.extend(head);
    bytes.extend(body);
    disk_of(&bytes)
}

fn packed(length: usize, frame: &[u8]) -> (u8, Vec<u8>) {
    (PACKED, [&(length as u32).to_be_bytes()[..], frame].concat())
}

#[test]
fn what_is_large_and_shrinks_is_packed() {
    let sizes = Sizes { segment_bytes: 64 << 20, preallocate_bytes: 4096 };
    let disk = MemDisk::new();
    let (mut log, _) = Log::open_sized(Arc::new(disk.clone()), known(0), sizes).unwrap();
    let frame = batch::HEADER_BYTES + batch::RECORD_HEADER_BYTES + NAME.len();
    let threshold = batch::PACK_FROM_BYTES;
    let kept = [text(threshold - 1), noise(threshold), noise(1 << 20)];
    for bytes in &kept {
        assert_eq!(appended(&mut log, &[txn(bytes)]), frame + bytes.len());
    }
    let shrunk = [text(threshold), text(1 << 20), text(16 << 20)];
    for bytes in &shrunk {
        assert!(appended(&mut log, &[txn(bytes)]) < frame + bytes.len() / 10);
    }
    // What shrinks by less than an eighth is not worth the work; other kinds are small anyway.
    let barely = [noise(9 * 1024), text(1024)].concat();
    assert_eq!(appended(&mut log, &[txn(&barely)]), frame + barely.len());
    let barrier = NewRecord { kind: RecordKind::Barrier, ..txn(&shrunk[0]) };
    assert_eq!(appended(&mut log, &[barrier]), frame + threshold);
    let expected: Vec<Vec<u8>> =
        kept.into_iter().chain(shrunk.clone()).chain([barely, shrunk[0].clone()]).collect();
    let check = |log: &Log| {
        let read = read_all(&log.reader(), 0, 1000);
        assert!(read.iter().map(|record| &record.bytes).eq(&expected));
        assert_eq!(read.last().unwrap().kind, RecordKind::Barrier);
        assert!(read[..7].iter().all(|record| record.is_txn()));
    };
    check(&log);
    let end = log.end();
    log.close().unwrap();
    let (log, found) = Log::open_sized(Arc::new(disk), known(0), sizes).unwrap();
    assert_eq!((found.end, found.cut_bytes), (end, 0));
    check(&log);
}

#[test]
fn a_read_is_limited_by_what_it_unpacks() {
    let (_, mut log, _) = filled(0);
    let bytes: Vec<_> = (0..8).map(|n| text(100_000 + n)).collect();
    let records: Vec<_> = bytes.iter().map(|bytes| txn(bytes)).collect();
    assert!(appended(&mut log, &records) < 20_000);
    for (limit, count) in [(1, 1), (100_000, 1), (150_000, 2), (250_000, 3), (usize::MAX, 8)] {
        assert_eq!(log.reader().read(Position(0), limit).unwrap().len(), count, "{limit}");
    }
}

#[test]
fn a_batch_is_limited_by_what_it_holds_unpacked() {
    let (disk, mut log, _) = filled(0);
    let half = text(MAX_LOG_BATCH_BYTES / 2);
    let error = log.append(&[txn(&half), txn(&half)]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded, "however small it would be packed");
    let fits = &half[..half.len() - batch::RECORD_HEADER_BYTES - NAME.len()];
    appended(&mut log, &[txn(fits), txn(fits)]);
    drop(log);
    assert_eq!(open(&disk, 0).unwrap().1.cut_bytes, 0);
    // The same, planted: as much as a batch may hold, and a byte more.
    let frame = compress(fits).unwrap();
    let most = (0..2).map(|_| packed(fits.len(), &frame));
    let (log, _) = open(&planted(&most.clone().collect::<Vec<_>>()), 0).unwrap();
    assert_eq!(read_all(&log.reader(), 0, usize::MAX).len(), 2);
    let more = [fits, b"!"].concat();
    let over: Vec<_> =
        most.take(1).chain([packed(more.len(), &compress(&more).unwrap())]).collect();
    assert_refused(&planted(&over), 0, ErrorKind::Corrupt);
}

#[test]
fn a_packed_record_that_lies_is_damage() {
    let content = text(5_000);
    let frame = compress(&content).unwrap();
    open(&planted(&[packed(5_000, &frame)]), 0).unwrap();
    let mut bad: Vec<(u8, Vec<u8>)> = [0, 1, 4_999, 5_001, MAX_LOG_BATCH_BYTES, u32::MAX as usize]
        .map(|lie| packed(lie, &frame))
        .into();
    bad.extend((0..4 + frame.len()).map(|len| {
        let (kind, contents) = packed(5_000, &frame);
        (kind, contents[..len].to_vec())
    }));
    bad.push(packed(5_000, &[&frame[..], &[0]].concat()));
    bad.push(packed(10_000, &[&frame[..], &frame].concat()));
    bad.push(packed(5_000, &content));
    for record in bad {
        let shown = format!("{} bytes", record.1.len());
        let disk = planted(&[(1, b"before".to_vec()), record.clone(), (1, b"after".to_vec())]);
        let error = assert_refused(&disk, 0, ErrorKind::Corrupt);
        let offset = 32 + batch::HEADER_BYTES + batch::RECORD_HEADER_BYTES + NAME.len() + 6;
        assert!(error.contains(&format!("0000.log is damaged at offset {offset}")), "{error}");
        // Who surveys it reports what can't be unpacked, and goes on behind it.
        let (mut records, mut faults) = (Vec::new(), Vec::new());
        let survey = Survey::new(Arc::new(disk.clone()), Bounds::default()).unwrap();
        survey
            .read(&mut |found| {
                match found {
                    Found::Record(record) => records.push(record.bytes),
                    Found::Fault(fault) => faults.push(fault),
                }
                Ok(())
            })
            .unwrap();
        assert_eq!(faults.len(), 1, "{shown}");
        assert_eq!(faults[0].kind, FaultKind::Bytes);
        assert_eq!(records[0], b"before");
        let stated = record.1.first_chunk().map_or(usize::MAX, |l| u32::from_be_bytes(*l) as usize);
        let goes_on = stated < MAX_LOG_BATCH_BYTES;
        assert_eq!(records.get(1).is_some_and(|bytes| bytes == b"after"), goes_on, "{shown}");
    }
}

#[test]
fn a_reader_finds_a_packed_record_that_lies_in_a_segment_before_the_state() {
    let disk = planted(&[packed(5_001, &compress(&text(5_000)).unwrap())]);
    let end = file_bytes(&disk, &segment::name(0)).len() as u64 - 32;
    // Another segment follows, and the state is there.
    let (other, log, _) = filled(0);
    let mut header = file_bytes(&other, &active_name(&log))[..32].to_vec();
    header[16..24].copy_from_slice(&end.to_le_bytes());
    let crc = crc32fast::hash(&header[..28]);
    header[28..].copy_from_slice(&crc.to_le_bytes());
    disk.open(&segment::name(end), true).unwrap().write_at(0, &header).unwrap();
    let (log, _) = open(&disk, end).unwrap();
    let error = log.reader().read(Position(0), 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.message().contains("states"), "{error}");
}

/// What another version of Zstandard has packed is unpacked for good.
#[test]
fn golden_packed_record() {
    if std::env::var_os("LITTORAL_UPDATE").is_some() {
        let (disk, mut log, _) = filled(0);
        appended(&mut log, &[txn(&text(2048)), txn(b"plain")]);
        log.close().unwrap();
        let bytes = file_bytes(&disk, &segment::name(0));
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/log/tests/golden/packed.hex");
        std::fs::write(file, data_encoding::HEXLOWER.encode(&bytes) + "\n").unwrap();
        return;
    }
    let bytes = hex(GOLDEN);
    assert_eq!(bytes[8], 2);
    assert_eq!(bytes[32 + batch::HEADER_BYTES], PACKED);
    let (log, _) = open(&disk_of(&bytes), 0).unwrap();
    let read: Vec<_> = read_all(&log.reader(), 0, 1).into_iter().map(|r| r.bytes).collect();
    assert_eq!(read, [text(2048), b"plain".to_vec()]);
}

#[test]
fn a_segment_of_version_1_is_read_and_finished_without_packing() {
    let disk = disk_of(&hex(VERSION_1));
    let large = text(5_000);
    let sizes = Sizes { segment_bytes: 8_000, preallocate_bytes: 256 };
    let open = |disk: &MemDisk| Log::open_sized(Arc::new(disk.clone()), known(0), sizes);
    let mut expected = vec![vec![1, 2, 3], Vec::new()];
    for round in 0..2 {
        let (mut log, found) = open(&disk).unwrap();
        assert_eq!(found.cut_bytes, 0);
        assert!(appended(&mut log, &[txn(&large)]) > 5_000, "round {round}");
        expected.push(large.clone());
        assert!(read_all(&log.reader(), 0, 1).iter().map(|r| &r.bytes).eq(&expected));
        let first = file_bytes(&disk, &segment::name(0));
        assert_eq!((first[8], first[60]), (1, 1));
    }
    // Now it is full: what follows is of version 2.
    let (mut log, _) = open(&disk).unwrap();
    assert!(appended(&mut log, &[txn(&large)]) < 500);
    expected.push(large);
    let second = file_bytes(&disk, &active_name(&log));
    assert_eq!((second[8], second[60]), (2, PACKED));
    assert_eq!(file_bytes(&disk, &segment::name(0))[8], 1);
    drop(log);
    let (log, _) = open(&disk.power_cut_all_lost()).unwrap();
    assert!(read_all(&log.reader(), 0, 1).iter().map(|r| &r.bytes).eq(&expected));
}

#[test]
fn an_empty_segment_of_version_1_becomes_one_of_version_2() {
    let disk = disk_of(&hex(VERSION_1)[..32]);
    let (mut log, _) = open(&disk, 0).unwrap();
    assert!(appended(&mut log, &[txn(&text(5_000))]) < 500);
    let bytes = file_bytes(&disk, &active_name(&log));
    assert_eq!((bytes[8], bytes[60]), (2, PACKED));
    let (log, _) = open(&disk.power_cut_all_lost(), log.end().0).unwrap();
    assert_eq!(read_all(&log.reader(), 0, 1)[0].bytes, text(5_000));
}

#[test]
fn there_is_no_version_0() {
    let mut bytes = hex(VERSION_1);
    bytes[8] = 0;
    let crc = crc32fast::hash(&bytes[..28]);
    bytes[28..32].copy_from_slice(&crc.to_le_bytes());
    assert_refused(&disk_of(&bytes), 0, ErrorKind::Corrupt);
}
