//! Seeds: real encodings, so that fuzzing begins behind the first checks.
//!
//! `LITTORAL_UPDATE=1 cargo test -p littoral --test fuzz_corpus` writes them into `corpus/` again.

use std::collections::BTreeMap;
use std::sync::Arc;

use littoral::crdt::view;
use littoral::id::Position;
use littoral::store::log::{Known, Log, NewRecord, RecordKind};
use littoral::txn::sign::SIGNATURE_BYTES;
use littoral::txn::snapshot::unpack;
use littoral::value::{codec, fields_to_msgpack, parse_fields};
use littoral::{Field, Path, Value};

use super::formats::sample_version;
use super::input::put_chunk;
use super::ram::RamDisk;
use super::recorded;
use super::stores::number_of;

/// Inputs by target.
pub fn all() -> BTreeMap<&'static str, Vec<Vec<u8>>> {
    let recorded::Bytes { txns, head, documents } = recorded::bytes();
    let (scripts, frames) = recorded::links();
    let bodies: Vec<Vec<u8>> =
        txns.iter().map(|bytes| bytes[..bytes.len() - SIGNATURE_BYTES].to_vec()).collect();
    let small = |list: &[Vec<u8>]| -> Vec<Vec<u8>> {
        list.iter().filter(|bytes| bytes.len() < 1500).cloned().collect()
    };
    let head_body = head[..head.len() - SIGNATURE_BYTES].to_vec();
    let mut signed = small(&bodies);
    signed.extend(txns.first().cloned());
    BTreeMap::from([
        ("transaction", signed),
        (
            "message",
            [small(&frames), super::message::joining_seeds(), super::message::outline_seeds()]
                .concat(),
        ),
        ("session", scripts),
        ("head", vec![head, head_body]),
        ("document", small(&documents)),
        ("join", joins(&documents)),
        ("log", logs(&txns)),
        ("recover", recoveries(&bodies)),
        ("apply", vec![applies(&bodies), applies(&bodies[..3])]),
        ("row", rows(&documents)),
        ("value", values()),
        ("json", jsons()),
        ("msgpack", msgpacks()),
        ("text", texts()),
        ("version", vec![[&[0][..], &sample_version()].concat(), vec![0], vec![31]]),
        ("state", states()),
        ("statement", super::roster::seeds()),
        ("ticket", super::ticket::seeds()),
        ("carried", super::carried::seeds()),
    ])
}

fn joins(documents: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let some = |local: u8, documents: &[Vec<u8>]| {
        let mut out = vec![local];
        for (n, document) in documents.iter().enumerate() {
            out.push(n as u8);
            put_chunk(&mut out, document);
        }
        out
    };
    let small: Vec<Vec<u8>> = documents.iter().filter(|d| d.len() < 1500).cloned().collect();
    vec![some(0, documents), some(3, &small)]
}

fn applies(bodies: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for (n, body) in bodies.iter().filter(|body| body.len() < 1500).enumerate() {
        out.push((n % 2) as u8);
        put_chunk(&mut out, body);
    }
    out
}

fn recoveries(bodies: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    for (n, body) in bodies.iter().filter(|body| body.len() < 1500).enumerate() {
        out.extend([0x41, (n % 2) as u8]);
        put_chunk(&mut out, body);
        if n == 2 {
            out.extend([3, 0]);
            put_chunk(&mut out, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
            out.extend([2, 0]);
            put_chunk(&mut out, b"joined");
        }
    }
    vec![out]
}

/// A segment, as it is and with what is made right for it.
fn logs(txns: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let disk = RamDisk::default();
    let known = Known { start: Position(0), applied: Position(0), batch: None };
    let (mut log, _) = Log::open(Arc::new(disk.clone()), known, 1 << 16).expect("a new log");
    // Two of each, and the largest, which is packed.
    let largest = txns.iter().max_by_key(|bytes| bytes.len()).cloned().into_iter();
    let txns: Vec<Vec<u8>> = txns[..5].iter().cloned().chain(largest).collect();
    for pair in txns.chunks(2) {
        let records: Vec<NewRecord<'_>> = pair
            .iter()
            .map(|bytes| NewRecord { kind: RecordKind::Txn, collection: "notes", bytes })
            .collect();
        log.append(&records).expect("the disk is well");
        log.sync().expect("the disk is well");
    }
    let (batch, end) = (log.batch().expect("three batches").0, log.end().0);
    log.close().expect("the disk is well");
    let (_, bytes) = disk.log().remove(0);
    let with = |mode: u8, applied: u64, batch: u64, bytes: &[u8]| {
        let numbers = [applied as u16, batch as u16].map(u16::to_be_bytes).concat();
        [&[mode][..], &numbers, bytes].concat()
    };
    let zeros = [&bytes[32..], &[0; 64][..]].concat();
    let mut two = with(7, 0, 0, &[]);
    two.extend((batch as u16).to_be_bytes());
    two.extend_from_slice(&bytes[32..]);
    vec![with(0, 0, 0, &bytes), with(1, end, batch + 1, &zeros), with(3, 0, 0, &bytes[32..]), two]
}

fn rows(documents: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let rows = documents.iter().filter(|bytes| bytes.len() < 1500);
    rows.map(|bytes| {
        let row = unpack(bytes).expect("its own bytes");
        // Any numbers will do: the target makes origins of them.
        let encoded = row.encode(view::flags(&row), |origin| number_of(origin) % 250);
        [&[0x05][..], &encoded].concat()
    })
    .collect()
}

fn values() -> Vec<Vec<u8>> {
    let values = [
        Value::Null,
        Value::from(-200i64),
        Value::UInt(u64::MAX),
        Value::from(0.25),
        Value::from("text"),
        Value::from("x".repeat(300)),
        Value::Bytes(vec![7; 40]),
        Value::Time(1_795_348_800_000_000),
        Value::Opaque { kind: 7, bytes: vec![1, 2, 3] },
        Value::Array(vec![Value::Null, Value::Array(vec![Value::from(1i64)])]),
        Value::Object([("a".to_owned(), Value::from(true)), ("b".to_owned(), Value::Null)].into()),
    ];
    let encode = |value: &Value| codec::encode_checked(value, &Path::root()).expect("a value");
    let mut found: Vec<Vec<u8>> = values.iter().map(encode).collect();
    // Keys of cells.
    let keys: [&[u8]; 5] = [
        b"\x10title\x00\x01",
        b"\x10a\x01\x01b\x01\x02\x00\x10deep\x00\x05",
        b"\x02",
        b"\x10tags\x00\x04\xa1x",
        b"\x10future\x00\x0a\x01\x02",
    ];
    found.extend(keys.map(<[u8]>::to_vec));
    found
}

fn jsons() -> Vec<Vec<u8>> {
    let lines = [
        r#"{"title": "Tides", "tags": {"$set": ["sea", 3, {"$time": "2026-11-22T16:00:00Z"}]}}"#,
        r#"{"views": {"$counter": -3}, "a": {"b": {"c": [1, 2.5, 1e20, null, {"x": true}]}}}"#,
        r#"{"$literal": {"$set": 1}}"#,
        r#"{"b": {"$bytes": "aGk="}, "o": {"$opaque": {"kind": 7, "bytes": "aGk="}}}"#,
        r#"{"n": 18446744073709551615, "m": -9223372036854775808, "z": -0, "u": "\u00e4\ud83c\udf0a"}"#,
        r#"{"t": {"$time": "9999-12-31T23:59:59.999999-23:59"}, "us": {"$time": "-5us"}}"#,
        "{}\n{\"a\":1}\n[1,2]\n3\n",
    ];
    for line in &lines[..3] {
        let fields = parse_fields(line.as_bytes()).expect("a document");
        assert!(fields.values().all(|field| !matches!(field, Field::Value(Value::Null))));
    }
    lines.map(|line| line.as_bytes().to_vec()).to_vec()
}

fn msgpacks() -> Vec<Vec<u8>> {
    let documents = jsons().into_iter().filter_map(|text| parse_fields(&text).ok());
    let mut found: Vec<Vec<u8>> = documents.map(|fields| fields_to_msgpack(&fields)).collect();
    // Forms that are read and not written: wide numbers, a short float, a timestamp with nanoseconds.
    found
        .push(b"\x83\xa1a\xd3\0\0\0\0\0\0\0\x07\xa1b\xca\x3f\xc0\0\0\xa1c\xdb\0\0\0\x01x".to_vec());
    found.push(b"\x81\xa1t\xc7\x0c\xff\0\0\x07\xcf\xff\xff\xff\xff\xff\xff\xff\xff".to_vec());
    found
}

fn texts() -> Vec<Vec<u8>> {
    let key = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let texts = [
        "done = false and (priority >= 3 or not tags contains \"urgent\") and a.`b c` in [1, null]"
            .to_owned(),
        "/a~1b starts with bytes(\"AAE=\") and exists $id and due < time(\"2026-11-22T16:00:00Z\")"
            .to_owned(),
        "/address/city".to_owned(),
        "/a~0b/c~1d//".to_owned(),
        key.to_owned(),
        format!("boat.example:4433#{key}"),
        format!("[2001:db8::7]:65535#{key}"),
        "notes-2.old_1".to_owned(),
    ];
    texts.map(String::into_bytes).to_vec()
}

/// One of each table that has a form: see `store::door`.
fn states() -> Vec<Vec<u8>> {
    let samples = littoral::store::door::samples();
    samples.into_iter().map(|(table, bytes)| [&[table][..], &bytes].concat()).collect()
}
