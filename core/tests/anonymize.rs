//! `anonymize`: a store of the same shape and history, without anything that was in it.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::{NOTES, Replica, Rng, Small, each_seed, fields, join, key, meet, snapshot};
use littoral::store::disk::{Disk, MemDisk};
use littoral::store::{CollectionStats, LogBudget, VerifyOptions};
use littoral::{Field, Fields, Options, Store, Value};

/// Everything that was written, to be looked for.
#[derive(Default)]
struct Words(Vec<Vec<u8>>);

impl Words {
    fn text(&mut self, rng: &mut Rng) -> String {
        let text = format!("secret-{:x}-é", rng.next());
        self.0.push(text.clone().into_bytes());
        text
    }
}

fn edit(replica: &Replica, rng: &mut Rng, words: &mut Words) {
    let id = format!("identity {}", rng.below(12));
    let notes = replica.notes();
    let text = words.text(rng);
    let field = ["heading", "particulars", "whereabouts"][rng.below(3)];
    let _ = match rng.below(9) {
        0 => notes.put(
            &id,
            &fields([
                (field, Field::from(text.as_str())),
                ("keywords", Field::set(["seaside", "moonlight"])),
                ("payload", Field::from(Value::Bytes(text.clone().into_bytes()))),
                ("measure", Field::from(-1234.5678f64)),
            ]),
        ),
        1 => notes.set(&id, field, text.as_str()),
        2 => notes.add(&id, "keywords", text.as_str()),
        3 => notes.increment(&id, "visits", rng.below(9) as i64),
        4 => notes.delete(&id).map(drop),
        5 => notes.set(&id, (field, "inner part"), rng.next() as i64),
        6 => replica.store.write(|txn| {
            (0..50i64).try_for_each(|n| txn.add(NOTES, "large identity", "keywords", n * 1000))
        }),
        7 => {
            notes.set(&id, field, Value::Array(vec![Value::from(text.clone()), Value::Bool(true)]))
        }
        _ => replica.store.write(|txn| {
            txn.set("diary-of-events", &id, field, text.as_str())?;
            txn.increment("diary-of-events", "total count", "visits", 1)
        }),
    };
}

fn anonymize(disk: &MemDisk, secret: u8) -> (MemDisk, Store) {
    let out = MemDisk::new();
    let options = || Options::new().key(key(0)).layout(common::layout());
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let key = options().anonymize_on(disk, Arc::new(out.clone()), [secret; 32]).unwrap();
    let store = Options::new().key(key).layout(common::layout()).open_on(Arc::new(out.clone()));
    (out, store.unwrap())
}

/// What is the same of a document and of what stands for it.
fn shape(field: &Field) -> String {
    match field {
        Field::Map(fields) => shape_of(fields),
        Field::Set(items) => format!("set of {}", items.len()),
        Field::Counter(value) => format!("counter {value}"),
        Field::Value(Value::Text(text)) => format!("text of {}", text.len()),
        Field::Value(Value::Bytes(bytes)) => format!("bytes of {}", bytes.len()),
        Field::Value(Value::Array(items)) => format!("array of {}", items.len()),
        Field::Value(value) => value.kind().to_owned(),
    }
}

fn shape_of(fields: &Fields) -> String {
    let mut parts: Vec<String> =
        fields.iter().map(|(name, field)| format!("{} {}", name.len(), shape(field))).collect();
    parts.sort();
    parts.join(", ")
}

fn shapes(store: &Store) -> BTreeMap<(usize, Vec<String>), CollectionStats> {
    let stats = store.stats().unwrap();
    let of = |found: CollectionStats| {
        let collection = store.collection(&found.name).unwrap();
        let mut shapes: Vec<String> = snapshot(&collection)
            .iter()
            .map(|(id, fields)| format!("{}: {}", id.len(), shape_of(fields)))
            .collect();
        shapes.sort();
        ((found.name.len(), shapes), found)
    };
    stats.collections.into_iter().map(of).collect()
}

fn bytes(disk: &MemDisk) -> Vec<u8> {
    let mut all = Vec::new();
    for (dir, names) in [("", disk.list("").unwrap()), ("log/", disk.list("log").unwrap())] {
        for name in names {
            let file = disk.open(&format!("{dir}{name}"), false).unwrap();
            let mut bytes = vec![0; file.len().unwrap() as usize];
            file.read_at(0, &mut bytes).unwrap();
            all.extend(unpacked(&bytes));
            all.extend(bytes);
        }
    }
    all
}

/// What is packed in a file of the log.
fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let frames = bytes.windows(4).enumerate().filter(|(_, part)| part == b"\x28\xb5\x2f\xfd");
    let content = frames.filter_map(|(at, _)| {
        let length = zstd::zstd_safe::find_frame_compressed_size(&bytes[at..]).ok()?;
        zstd::bulk::decompress(&bytes[at..at + length], 16 << 20).ok()
    });
    content.flatten().collect()
}

fn assert_absent(disk: &MemDisk, words: &Words, nodes: &[&Replica]) {
    let all = bytes(disk);
    let holds = |part: &[u8]| all.windows(part.len()).any(|window| window == part);
    // The log and the state hold things in the open: else this would prove nothing.
    assert!(holds(b"\xb7LOG") && holds(b"documents"));
    for word in words.0.iter().take(60) {
        assert!(!holds(word), "{}", String::from_utf8_lossy(word));
    }
    for word in [
        "secret-",
        "identity",
        "heading",
        "particulars",
        "whereabouts",
        "keywords",
        "seaside",
        "moonlight",
        "visits",
        "inner part",
        "diary",
        NOTES,
        "total count",
    ] {
        assert!(!holds(word.as_bytes()), "{word}");
    }
    for replica in nodes {
        assert!(!holds(replica.store.node_id().as_bytes()));
        assert!(!holds(&replica.key().seed()));
    }
    assert!(!holds(&(-1234.5678f64).to_be_bytes()));
}

#[test]
fn a_history_is_rewritten_with_its_shape_and_without_its_content() {
    each_seed("anonymize", 6, |seed| {
        let mut rng = Rng::new(seed);
        let mut words = Words::default();
        let replicas = [Replica::new(0), Replica::new(1), Replica::new(2)];
        for step in 0..90 {
            let at = rng.below(3);
            edit(&replicas[at], &mut rng, &mut words);
            if step % 25 == 24 {
                meet(&[&replicas[0], &replicas[1], &replicas[2]]);
            }
            if step % 40 == 30 {
                // What is kept for it is content, too.
                replicas[0].store.checkpoint(&format!("secret-{step}")).unwrap();
            }
        }
        let a = &replicas[0];
        a.store.flush().unwrap();
        let (out, store) = anonymize(&a.disk.copy(), seed as u8);
        let verified = store.verify(&VerifyOptions::default()).unwrap();
        assert!(verified.is_sound(), "{:#?}", verified.findings);
        let (ours, theirs) = (shapes(&a.store), shapes(&store));
        assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
        for (ours, theirs) in ours.values().zip(theirs.values()) {
            let counts =
                |s: &CollectionStats| (s.documents, s.conflicts, s.transactions, s.origins);
            assert_eq!(counts(ours), counts(theirs));
            assert!(theirs.pruned == 0 && theirs.log_bytes > 0);
        }
        assert!(store.checkpoints().is_empty() && a.store.checkpoints().len() == 2);
        assert_eq!(store.conflicts().unwrap().len(), a.store.conflicts().unwrap().len());
        assert_absent(&out, &words, &[&replicas[0], &replicas[1], &replicas[2]]);
        // It is a store like any other.
        let name = &store.collections()[0];
        store.collection(name).unwrap().set("more", "x", 1i64).unwrap();
        // Another secret is another content.
        let (other, _) = anonymize(&a.disk.copy(), seed as u8 + 100);
        assert!(bytes(&other) != bytes(&out));
    });
}

#[test]
fn where_the_log_does_not_reach_back_the_documents_are_rewritten() {
    let mut rng = Rng::new(5);
    let mut words = Words::default();
    let budget = LogBudget { bytes: 2 << 10, ..LogBudget::UNLIMITED };
    let a = Replica::small(0, Small { segment_bytes: 1 << 10, budget });
    let b = Replica::new(1);
    for _ in 0..60 {
        edit(&b, &mut rng, &mut words);
    }
    join(&a.store, &b.store, NOTES);
    a.store.checkpoint("secret-label").unwrap();
    for _ in 0..60 {
        edit(&a, &mut rng, &mut words);
    }
    a.store.flush().unwrap();
    let (out, store) = anonymize(&a.disk.copy(), 7);
    let verified = store.verify(&VerifyOptions::default()).unwrap();
    assert!(verified.is_sound(), "{:#?}", verified.findings);
    let (ours, theirs) = (shapes(&a.store), shapes(&store));
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (ours, theirs) in ours.values().zip(theirs.values()) {
        assert_eq!((ours.conflicts, ours.transactions), (theirs.conflicts, theirs.transactions));
    }
    assert_absent(&out, &words, &[&a, &b]);
}

#[test]
fn the_same_text_stands_for_the_same_wherever_it_is() {
    let a = Replica::new(0);
    a.notes().put("a person", &fields([("friend", Field::from("another one"))])).unwrap();
    a.notes().put("another one", &fields([("friend", Field::from("a person"))])).unwrap();
    let (_, store) = anonymize(&a.disk.copy(), 1);
    let all = snapshot(&store.collection(&store.collections()[0]).unwrap());
    let friend = |fields: &Fields| match fields.values().next() {
        Some(Field::Value(Value::Text(text))) => text.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(friend(&all[0].1), all[1].0);
    assert_eq!(friend(&all[1].1), all[0].0);
    assert_eq!(all[0].1.keys().next(), all[1].1.keys().next());
}

#[test]
fn a_damaged_store_is_refused() {
    let a = Replica::new(0);
    a.notes().set("n", "x", 1i64).unwrap();
    a.store.close().unwrap();
    a.disk.open("state.redb", false).unwrap().set_len(100).unwrap();
    let (disk, out) = (Arc::new(a.disk.clone()), Arc::new(MemDisk::new()));
    let refused = Options::new().key(key(0)).anonymize_on(disk, out, [1; 32]).unwrap_err();
    assert_eq!(refused.kind(), littoral::ErrorKind::Corrupt);
}
