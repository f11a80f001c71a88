//! A log that a real store wrote, read by `tests/read_log.py`: that script knows `docs/FORMAT.md`
//! and none of this code, so what it can't read or finds wrong is missing or wrong on the page.
//!
//! `LITTORAL_PYTHON` names an interpreter with the packages blake3 and cryptography, and
//! zstandard before Python 3.14; without it the test is skipped where they are missing.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use common::{NOTES, Rng, fields, key};
use littoral::id::Vector;
use littoral::{Field, Fields, Options, Store, Value};
use serde_json::Value as Json;

fn open(seed: u8, dir: &Path) -> Store {
    Options::new().key(key(seed)).log_segment_bytes(8 << 10).open(dir).unwrap()
}

/// The reader's exit and words; `None` if it can't run here.
fn read(store: &Path) -> Option<Output> {
    let named = std::env::var_os("LITTORAL_PYTHON");
    let python = named.clone().unwrap_or_else(|| "python3".into());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/read_log.py");
    let output = Command::new(python).arg(script).arg(store).arg("--json").output();
    match output {
        Ok(output) if output.status.code() != Some(3) => Some(output),
        missing if named.is_some() => panic!("the reader can't run: {missing:?}"),
        _ => {
            eprintln!("skipped: python3 with blake3, cryptography or zstandard is missing");
            None
        }
    }
}

/// A history with everything in it that a log can hold.
fn history(dir: &Path) -> Store {
    let (a, b) = (open(1, &dir.join("a")), open(2, &dir.join("b")));
    let (ours, theirs) = (a.collection(NOTES).unwrap(), b.collection(NOTES).unwrap());
    for round in 0..6i64 {
        let note = fields([
            ("title", Field::from(format!("note {round}"))),
            ("tags", Field::set(["sea", "moon", "ä\u{0}\u{1}~/"])),
            ("views", Field::Counter(round)),
            ("a\u{0}b\u{1}c/~", Field::map([("lat", Value::from(-0.25)), ("lon", Value::Null)])),
            ("at", Field::from(Value::Time(1_795_348_800_123_456 * round))),
            ("raw", Field::from(Value::Bytes(vec![round as u8; 300]))),
            ("big", Field::from(Value::UInt(u64::MAX))),
            ("list", Field::from(Value::Array((-40..300).map(Value::from).collect()))),
        ]);
        ours.put(&format!("n{round}"), &note).unwrap();
        common::pull_in(&b, &a, NOTES);
        theirs.set(&format!("n{round}"), "title", "from b").unwrap();
        theirs.increment(&format!("n{round}"), "views", -7).unwrap();
        ours.set(&format!("n{round}"), "title", "from a").unwrap();
        ours.increment("n0", "views", 1 << 40).unwrap();
        common::pull_in(&a, &b, NOTES);
        ours.unset(&format!("n{round}"), "views").unwrap();
        ours.remove(&format!("n{round}"), "tags", "sea").unwrap();
        ours.delete("n1").unwrap();
        a.write(|txn| {
            txn.set("tasks", "t", "n", round)?;
            txn.set(NOTES, "together", ["deep", "er"], round)
        })
        .unwrap();
    }
    let many: Fields = (0..500i64).map(|n| (format!("f{n:03}"), Field::from(n))).collect();
    ours.put("large", &many).unwrap();
    ours.add("large", "f001", "x").unwrap_err();
    // Left, and begun anew under another name.
    assert!(a.leave("tasks").unwrap());
    a.collection("tasks").unwrap().set("t", "again", true).unwrap();
    // Handed out: marks.
    common::stream(&a, NOTES, &Vector::new());
    ours.set("n2", "title", "after the mark").unwrap();
    a
}

#[test]
fn a_log_is_read_by_its_page_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = history(dir.path());
    let mut wanted: BTreeMap<String, Vec<(String, u64)>> = BTreeMap::new();
    for name in store.collections() {
        for (dot, _) in common::stream(&store, &name, &Vector::new()) {
            let origin = data_encoding::HEXLOWER.encode(&dot.origin.to_bytes());
            wanted.entry(name.clone()).or_default().push((origin, dot.seq));
        }
    }
    store.close().unwrap();
    let Some(output) = read(&dir.path().join("a")) else { return };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Json> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let left = lines.iter().position(|line| line["note"] == "left").expect("tasks were left");
    let mut found: BTreeMap<String, Vec<(String, u64)>> = BTreeMap::new();
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| line["note"].is_null()) {
        let name = line["collection"].as_str().unwrap().to_owned();
        if name != "tasks" || at > left {
            let origin = line["origin"].as_str().unwrap().to_owned();
            found.entry(name).or_default().push((origin, line["number"].as_u64().unwrap()));
        }
    }
    assert_eq!(found, wanted);
    let text = lines.iter().map(Json::to_string).collect::<String>();
    for part in ["put /title", "clear /", "add /views", "settle /views", "18446744073709551615"] {
        assert!(text.contains(part), "no {part}");
    }
    let files = fs::read_dir(dir.path().join("a/log")).unwrap();
    let files: Vec<Vec<u8>> = files.map(|file| fs::read(file.unwrap().path()).unwrap()).collect();
    assert!(files.len() > 2, "several segments");
    let is_packed = |file: &Vec<u8>| file.windows(4).any(|part| part == b"\x28\xb5\x2f\xfd");
    assert!(files.iter().any(is_packed), "a packed transaction");
}

#[test]
fn a_joined_log_is_read_by_its_page_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (a, c) = (history(dir.path()), open(3, &dir.path().join("c")));
    c.collection(NOTES).unwrap().set("mine", "x", 1i64).unwrap();
    common::join(&c, &a, NOTES);
    c.collection(NOTES).unwrap().set("mine", "x", 2i64).unwrap();
    c.close().unwrap();
    let Some(output) = read(&dir.path().join("c")) else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    assert!(lines.contains("joined 0 documents of ") && lines.contains("put /x"), "{lines}");
}

#[test]
fn the_reader_by_the_page_sees_every_changed_byte() {
    let dir = tempfile::tempdir().unwrap();
    history(dir.path()).close().unwrap();
    let folder = dir.path().join("a/log");
    let mut files: Vec<_> =
        fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let mut rng = Rng::new(7);
    for _ in 0..12 {
        // Not in the last segment: there a broken batch may be one that was never synced.
        let file = &files[rng.below(files.len() - 1)];
        let whole = fs::read(file).unwrap();
        let mut bytes = whole.clone();
        let at = rng.below(bytes.len());
        bytes[at] ^= 1 << rng.below(8);
        fs::write(file, &bytes).unwrap();
        let Some(output) = read(&dir.path().join("a")) else { return };
        assert!(!output.status.success(), "byte {at} of {}", file.display());
        fs::write(file, &whole).unwrap();
    }
}
