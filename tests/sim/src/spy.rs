//! Reads a store's log off its disk, as its format is written down: so the simulator sees
//! every record as soon as it is written, also one that is not durable yet, without
//! asking the store, and so without changing it.

use littoral::store::disk::{Disk, MemDisk};

const SEGMENT_HEADER: u64 = 32;
const BATCH_HEADER: usize = 28;
const RECORD_HEADER: usize = 10;
const BATCH_MAGIC: [u8; 4] = [0xb7, 0x4c, 0x4f, 0x47];

/// The most that a packed transaction unpacks to.
const MAX_UNPACKED_BYTES: usize = 17 << 20;

/// A transaction.
pub(crate) const TXN: u8 = 1;
/// The state changed without transactions: a snapshot was joined, or a collection left.
pub(crate) const BARRIER: u8 = 2;

/// A transaction that is packed; it is shown as one that is not.
const PACKED: u8 = 4;

/// A record of the log.
pub(crate) struct Logged {
    pub(crate) position: u64,
    pub(crate) kind: u8,
    pub(crate) collection: String,
    pub(crate) bytes: Vec<u8>,
}

/// Where the log begins.
pub(crate) fn start(disk: &MemDisk) -> u64 {
    let names = disk.list("log").unwrap_or_default();
    names.iter().filter_map(|name| base(name)).min().unwrap_or(0)
}

fn base(name: &str) -> Option<u64> {
    u64::from_str_radix(name.strip_suffix(".log")?, 16).ok()
}

/// The records in the log from `position` on, a batch's start or end, and where it ends.
pub(crate) fn read(disk: &MemDisk, mut position: u64) -> (Vec<Logged>, u64) {
    let mut found = Vec::new();
    let names = disk.list("log").unwrap_or_default();
    for (index, name) in names.iter().enumerate() {
        let next = names.get(index + 1).and_then(|name| base(name)).unwrap_or(u64::MAX);
        let Some(base) = base(name).filter(|_| next > position) else { continue };
        position = position.max(base);
        let Ok(file) = disk.open(&format!("log/{name}"), false) else { continue };
        let length = file.len().unwrap_or(0);
        let mut header = [0; BATCH_HEADER];
        loop {
            let offset = position - base + SEGMENT_HEADER;
            if offset + BATCH_HEADER as u64 > length || file.read_at(offset, &mut header).is_err() {
                break;
            }
            let records = u64::from(number(&header[4..8]));
            let here = header[8..16] == position.to_le_bytes();
            if header[..4] != BATCH_MAGIC
                || !here
                || offset + BATCH_HEADER as u64 + records > length
            {
                break;
            }
            let mut body = vec![0; records as usize];
            if file.read_at(offset + BATCH_HEADER as u64, &mut body).is_err() {
                break;
            }
            let mut crc = crc32fast::Hasher::new();
            crc.update(&header[4..24]);
            crc.update(&body);
            if crc.finalize() != number(&header[24..28]) {
                // A write that failed on its way.
                break;
            }
            split(&body, position + BATCH_HEADER as u64, &mut found);
            position += BATCH_HEADER as u64 + records;
        }
    }
    (found, position)
}

/// Takes the records out of the body of a batch, which begins at `position`.
fn split(mut body: &[u8], mut position: u64, found: &mut Vec<Logged>) {
    while body.len() >= RECORD_HEADER {
        let (header, rest) = body.split_at(RECORD_HEADER);
        let (name, length) = (usize::from(header[1]), number(&header[2..6]) as usize);
        let (name, rest) = rest.split_at(name);
        let (bytes, rest) = rest.split_at(length);
        let collection = String::from_utf8_lossy(name).into_owned();
        let (kind, bytes) = match header[0] {
            PACKED => (TXN, unpack(bytes)),
            kind => (kind, bytes.to_vec()),
        };
        found.push(Logged { position, kind, collection, bytes });
        position += (body.len() - rest.len()) as u64;
        body = rest;
    }
}

/// What a packed transaction was: its length, 4 bytes big-endian, and a Zstandard frame.
fn unpack(bytes: &[u8]) -> Vec<u8> {
    let (length, frame) = bytes.split_first_chunk::<4>().expect("a length");
    let length = u32::from_be_bytes(*length) as usize;
    assert!(length <= MAX_UNPACKED_BYTES, "a packed transaction states {length} bytes");
    let found = zstd::bulk::decompress(frame, length).expect("a frame that unpacks");
    assert_eq!(found.len(), length, "a packed transaction is as long as it states");
    found
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().expect("four bytes"))
}
