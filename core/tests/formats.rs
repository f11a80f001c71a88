//! Formats: golden bytes of those that have no other test, what is said about unknown versions,
//! and that the pages in `docs/` say what the code does.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path as FsPath, PathBuf};

use common::{NOTES, Replica, sign_bytes};
use data_encoding::HEXLOWER;
use littoral::clock::Timestamp;
use littoral::crdt::{Body, Cell, DocOps, Layout, LtHash, Op, Row, Stamp, key};
use littoral::id::{Dot, Hash, Head, NodeId, Origin, ShortHash, Vector};
use littoral::limits::*;
use littoral::store::disk::{Disk, MemDisk};
use littoral::sync::message::{Control, PROTOCOL_VERSION};
use littoral::txn::edit::{Draft, Version};
use littoral::txn::roster::{
    Grant, Right, Rights, RosterScope, Says, Statement, Succession, Vouch,
};
use littoral::txn::snapshot::{Newest, Past, SpanHasher, ViewHead, pack, unpack};
use littoral::txn::{Branches, NetworkId, Proof, Scope, Signed, Txn};
use littoral::value::{Path, Value};
use littoral::{ErrorKind, Field, Store};

/// Compares with a golden file, or, with `LITTORAL_UPDATE=1`, writes one that is not there yet.
/// One that is there is never written over: other bytes are another version.
fn golden(name: &str, found: &str) {
    let file = FsPath::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("LITTORAL_UPDATE").is_some() && !file.exists() {
        fs::write(&file, found).unwrap();
    }
    assert_eq!(found, fs::read_to_string(&file).unwrap_or_default(), "{}", file.display());
}

fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes) + "\n"
}

fn origin(n: u8) -> Origin {
    Origin { node: common::key(n).id(), incarnation: u32::from(n) }
}

fn stamp(n: u8, seq: u64) -> Stamp {
    let time = Timestamp::from_millis(common::NOON + seq);
    Stamp { dot: Dot { origin: origin(n), seq }, time }
}

/// A register written twice apart, a set, a map, a counter that was zeroed once.
fn sample() -> Row {
    let mut row = Row::default();
    for (n, seq, path, field) in [
        (1, 1, "tags", Field::set(["sea", "moon"])),
        (1, 2, "place", Field::map([("lat", Value::from(0.5)), ("lon", Value::Null)])),
        (2, 1, "views", Field::Counter(7)),
    ] {
        let mut draft = Draft::new(row.clone(), stamp(n, seq));
        draft.set(&Path::from(path), &field).unwrap();
        row.apply_all(&draft.into_ops(), &stamp(n, seq));
    }
    let mut draft = Draft::new(row.clone(), stamp(1, 3));
    draft.unset(&Path::from("views")).unwrap();
    row.apply_all(&draft.into_ops(), &stamp(1, 3));
    for n in [1, 2] {
        let mut draft = Draft::new(Row::default(), stamp(n, 4));
        draft.set(&Path::from("title"), &Field::from(format!("by {n}"))).unwrap();
        row.apply_all(&draft.into_ops(), &stamp(n, 4));
    }
    row
}

#[test]
fn golden_a_document_of_a_snapshot_has_these_bytes() {
    let packed = pack(&sample());
    golden("document.hex", &hex(&packed));
    assert_eq!(unpack(&packed).unwrap(), sample());
}

#[test]
fn golden_a_version_has_these_bytes_and_is_read_again() {
    let version = Version::of(&sample());
    golden("version.hex", &hex(version.as_bytes()));
    let base = littoral::txn::edit::Base::from_version(&version).unwrap();
    assert!(base.is_current(&sample()));
}

#[test]
fn golden_statements_of_a_roster_have_these_bytes() {
    let roster = RosterScope { network: NetworkId::named("default"), founder: common::key(0).id() };
    let grant = Grant {
        after: [Hash([3; 32]), Hash([5; 32])].into(),
        time_ms: common::NOON,
        member: common::key(1).id(),
        name: "phone".to_owned(),
        rights: Rights { elsewhere: Right::Read, ..Rights::only(Right::Write, [NOTES, "plans"]) },
    };
    let head = Head { seq: 300, hash: ShortHash([7; 16]) };
    let vouch = Vouch { collection: NOTES.to_owned(), origin: origin(2), head };
    let after = [Hash([3; 32])].into();
    let succession =
        Succession::new(after, common::NOON, roster, common::key(0).id(), &common::key(3));
    for (name, says) in [
        ("grant.hex", Says::Grant(grant)),
        ("vouch.hex", Says::Vouch(vouch)),
        ("succession.hex", Says::Succession(succession)),
    ] {
        let statement = Statement::sign(says, roster, &common::key(0)).unwrap();
        golden(name, &hex(&statement.bytes));
        assert_eq!(Statement::verify(statement.bytes.clone(), roster).unwrap(), statement);
        let mut newer = statement.bytes.clone();
        newer[0] = 2;
        let refused = Statement::verify(newer, roster).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::FormatTooNew);
        assert!(refused.message().contains("upgrade"), "{refused}");
        let mut unknown = statement.bytes.clone();
        unknown[1] = 3;
        let refused = Statement::verify(unknown, roster).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::FormatTooNew, "another kind of statement");
    }
}

#[test]
fn golden_a_checkpoint_and_the_key_of_a_former_row_have_these_bytes() {
    let samples = littoral::store::door::samples();
    for (table, name) in [(13, "checkpoint.hex"), (14, "former.hex")] {
        let (_, bytes) = samples.iter().find(|sample| sample.0 == table).unwrap();
        golden(name, &hex(bytes));
        littoral::store::door::read_back(table, bytes);
    }
}

#[test]
fn golden_rows_of_the_journal_have_these_bytes() {
    let samples = littoral::store::door::samples();
    for (table, name) in [
        (16, "event.hex"),
        (17, "conflict.hex"),
        (18, "open.hex"),
        (19, "request.hex"),
        (20, "index.hex"),
    ] {
        let (_, bytes) = samples.iter().find(|sample| sample.0 == table).unwrap();
        golden(name, &hex(bytes));
        littoral::store::door::read_back(table, bytes);
    }
}

fn scope() -> Scope<'static> {
    Scope { network: NetworkId::named("default"), collection: NOTES }
}

/// The head of a view of a store with three transactions of its own and one of another.
fn head() -> (Vec<u8>, NodeId) {
    let (a, b) = (Replica::new(1), Replica::new(2));
    b.notes().set("n", "title", "by b").unwrap();
    common::pull(&a, &b);
    (0..3i64).for_each(|n| a.notes().set("n", "title", n).unwrap());
    (a.store.view(NOTES).unwrap().head().to_vec(), a.store.node_id())
}

/// A backup that was made once can be restored for ever.
#[test]
fn golden_a_backup_has_these_bytes_and_is_restored() {
    let (a, b) = (Replica::new(1), Replica::new(2));
    b.notes().set("n", "title", "by b").unwrap();
    common::pull(&a, &b);
    a.notes().set("n", "title", "by a").unwrap();
    a.notes().increment("n", "views", 7).unwrap();
    a.store.trust_at(common::key(2).id(), "host:4433").unwrap();
    a.store.set_automatic_checkpoints(Default::default()).unwrap();
    golden("backup.hex", &hex(&common::carry::backup(&a.store)));
    let file = FsPath::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/backup.hex");
    let file = HEXLOWER.decode(fs::read_to_string(file).unwrap().trim().as_bytes()).unwrap();
    let restored = Replica::restored(7, &file, &Default::default()).unwrap();
    assert_eq!(restored.store.held(NOTES), a.store.held(NOTES));
    assert_eq!(restored.store.trusted().unwrap(), a.store.trusted().unwrap());
}

#[test]
fn golden_the_head_of_a_view_has_these_bytes() {
    let (bytes, server) = head();
    golden("head.hex", &hex(&bytes));
    let head = ViewHead::verify(&bytes, scope(), &server).unwrap();
    assert_eq!(head.vector.len(), 2);
    let past: Vec<u64> = head.past.values().flat_map(|past| past.keys().copied()).collect();
    assert_eq!(past, [1, 2], "what comes before the newest");
    assert_eq!(head.sign(scope(), &common::key(1)), bytes);
}

/// A log with everything that a small one has: records of each kind, two authors, an earlier life.
#[test]
fn golden_a_log_has_these_bytes_and_a_store_is_made_of_it() {
    let log = |disk: &MemDisk| {
        let file = disk.open("log/0000000000000000.log", false).unwrap();
        let mut bytes = vec![0; file.len().unwrap() as usize];
        file.read_at(0, &mut bytes).unwrap();
        bytes
    };
    let (a, b) = (Replica::new(1), Replica::new(2));
    a.notes().set("n", "title", "by a").unwrap();
    common::pull(&b, &a);
    b.notes().increment("n", "views", 5).unwrap();
    b.notes().add("n", "tags", "sea").unwrap();
    common::pull(&a, &b);
    a.notes().unset("n", "views").unwrap();
    common::stream(&a.store, NOTES, &Vector::new());
    a.store.collection("tasks").unwrap().set("t", "done", true).unwrap();
    let digests = a.store.digests(NOTES).unwrap();
    let before = common::snapshot(&a.notes());
    a.store.close().unwrap();
    let bytes = log(&a.disk);
    golden("log.hex", &hex(&bytes));
    // A state that is lost is made anew, by whoever knows that this is no copy. What was written
    // by format version 1 is read for good, too, and gone on with.
    let first = data_encoding::HEXLOWER.decode(include_bytes!("golden/log-1.hex").trim_ascii());
    for bytes in [bytes, first.unwrap()] {
        let disk = MemDisk::new();
        disk.create_dir("log").unwrap();
        let file = disk.open("log/0000000000000000.log", true).unwrap();
        file.write_at(0, &bytes).unwrap();
        let again = Replica::on(1, disk).unwrap();
        assert_eq!(again.store.digests(NOTES).unwrap(), digests);
        assert_eq!(common::snapshot(&again.notes()), before);
        assert_eq!(again.store.collections(), ["notes", "tasks"]);
        again.notes().set("n", "body", "sea and moon ".repeat(400)).unwrap();
        assert!(log(&again.disk).starts_with(&bytes));
        again.store.close().unwrap();
        let again = Replica::on(1, again.disk).unwrap();
        assert!(again.notes().get_field("n", "body").unwrap().is_some());
    }
}

/// Digests are compared between nodes: they are as much of a format as bytes are.
#[test]
fn golden_digests_are_these() {
    let head = |seq| Head { seq, hash: ShortHash([3; 16]) };
    let vector: Vector = [(origin(1), head(5)), (origin(2), head(1 << 40))].into_iter().collect();
    let (mut cells, mut span) = (LtHash::new(), SpanHasher::default());
    for n in 0..3 {
        let row = sample().digest(&format!("n{n}"));
        cells.add(&row);
        span.push(&row);
    }
    let lines = [
        ("row", hex(&sample().digest("n").0)),
        ("vector", hex(&vector.digest().0)),
        ("empty vector", hex(&Vector::new().digest().0)),
        ("cells", hex(&cells.digest().0)),
        ("no cells", hex(&LtHash::new().digest().0)),
        ("span", hex(&span.finish().digest.0)),
        ("network", hex(&NetworkId::named("default").0)),
    ];
    let text: String = lines.iter().map(|(name, hex)| format!("{name}: {hex}")).collect();
    golden("digests.txt", &text);
}

/// Where a large document is cut decides its digest.
#[test]
fn golden_a_large_document_is_cut_here() {
    let cells: Vec<Cell> = (0..600u32)
        .map(|n| {
            let path = Path::from(format!("field {n:05}"));
            let key = key::slot(&key::prefix(&path), key::Slot::Register);
            Cell { key, stamp: stamp(1, 1), body: Body::Put(vec![0xa1; 1 + n as usize % 40]) }
        })
        .collect();
    let mut at = 0;
    let starts = Layout::default().rows(&cells).into_iter().map(|run| {
        at += run.len();
        format!("{}\n", at - run.len())
    });
    golden("cuts.txt", &starts.collect::<String>());
}

// Unknown versions.

#[test]
fn a_newer_store_is_refused_with_a_sentence_and_not_changed() {
    let dir = tempfile::tempdir().unwrap();
    Store::open(dir.path()).unwrap().collection(NOTES).unwrap().set("n", "x", 1i64).unwrap();
    let state = dir.path().join("state.redb");
    {
        let meta: redb::TableDefinition<'_, &[u8], &[u8]> = redb::TableDefinition::new("meta");
        let database = redb::Database::open(&state).unwrap();
        let txn = database.begin_write().unwrap();
        txn.open_table(meta).unwrap().insert(&b"format"[..], &2u32.to_be_bytes()[..]).unwrap();
        txn.commit().unwrap();
    }
    let logs = || fs::read_dir(dir.path().join("log")).unwrap().count();
    let before = logs();
    let refused = Store::open(dir.path()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::FormatTooNew);
    assert!(refused.message().contains("open it with a newer Littoral"), "{refused}");
    assert_eq!(logs(), before);
    // The mark speaks first, so that nobody opens files of a form that is not known.
    fs::write(dir.path().join("littoral.store"), "littoral store, format 2\n").unwrap();
    fs::write(&state, "of another kind").unwrap();
    let refused = Store::open(dir.path()).unwrap_err();
    assert!(refused.message().contains("format 2"), "{refused}");
    assert!(refused.message().contains("open it with a newer Littoral"), "{refused}");
}

#[test]
fn newer_transactions_and_operations_are_refused_by_who_must_upgrade() {
    let (a, b) = (Replica::new(1), Replica::new(2));
    a.notes().set("n", "x", 1i64).unwrap();
    let (_, bytes) = common::stream(&a.store, NOTES, &Vector::new()).remove(0);
    let body = &bytes[..bytes.len() - 64];
    let mut version = body.to_vec();
    version[0] = 2;
    // No origins, no dependencies, one document: length and text of its id, count, operation.
    assert_eq!(body[85..90], [0, 0, 1, 1, b'n']);
    let mut operation = body.to_vec();
    operation[91] = 9;
    for newer in [version, operation] {
        let signed = sign_bytes(&newer, common::key(1).seed());
        let refused = b.store.apply_remote(NOTES, vec![signed]).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::FormatTooNew, "{refused}");
        assert!(refused.message().contains("upgrade Littoral here"), "{refused}");
        // One that nobody signed is not taken for something newer.
        let forged = [&newer[..], &[0; 64]].concat();
        let refused = b.store.apply_remote(NOTES, vec![forged]).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidTransaction);
    }
    assert!(b.store.collections().is_empty());
}

#[test]
fn a_newer_head_of_a_view_is_refused_by_who_must_upgrade() {
    let (bytes, server) = head();
    let mut body = bytes[..bytes.len() - 64].to_vec();
    body[0] = 3;
    let signed = sign_head(&body, 1);
    let refused = ViewHead::verify(&signed, scope(), &server).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::FormatTooNew);
    assert!(refused.message().contains("upgrade Littoral here"), "{refused}");
    body[0] = 1;
    let refused = ViewHead::verify(&sign_head(&body, 1), scope(), &server).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidTransaction);
    assert!(refused.message().contains("upgrade Littoral on the node"), "{refused}");
    body[0] = 2;
    assert_eq!(sign_head(&body, 1), bytes, "signed as the page says");
}

fn sign_head(body: &[u8], seed: u8) -> Vec<u8> {
    use ed25519_dalek::Signer;
    let mut hasher = blake3::Hasher::new_derive_key("littoral v1 snapshot");
    hasher.update(&NetworkId::named("default").0);
    hasher.update(&[NOTES.len() as u8]);
    hasher.update(NOTES.as_bytes());
    hasher.update(body);
    let key = ed25519_dalek::SigningKey::from_bytes(&common::key(seed).seed());
    [body, &key.sign(hasher.finalize().as_bytes()).to_bytes()].concat()
}

#[test]
fn another_version_of_a_document_version_asks_to_read_again() {
    let a = Replica::new(1);
    a.notes().set("n", "x", 1i64).unwrap();
    let document = a.notes().get("n").unwrap().unwrap();
    let mut bytes = document.version().as_bytes().to_vec();
    bytes[0] = 2;
    let version = Version::from_bytes(&bytes);
    let refused = a.notes().put("n", (document.fields(), &version)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    assert!(refused.message().contains("read the document again"), "{refused}");
}

/// What another version says after its first eighteen bytes is nobody's business here.
#[test]
fn of_a_hello_of_another_version_only_the_beginning_is_read() {
    let mut frame = vec![1];
    frame.extend((PROTOCOL_VERSION + 1).to_be_bytes());
    frame.extend([9; 16]);
    frame.extend(b"whatever follows");
    let Control::Hello(hello) = Control::from_frame(&frame).unwrap() else { panic!("a hello") };
    assert_eq!((hello.version, hello.network), (PROTOCOL_VERSION + 1, [9; 16]));
    assert!(hello.collections.is_empty());
}

// Limits of what heads say.

fn head_with(vector: BTreeMap<Origin, Newest>, past: BTreeMap<Origin, Past>) -> ViewHead {
    let branches = Branches::default();
    ViewHead { branches, vector, past, cells: Hash([0; 32]), documents: 0 }
}

#[test]
fn the_head_of_a_view_tells_hashes_of_what_came_before_and_no_more_than_there_may_be() {
    let (key, origin) = (common::key(1), origin(1));
    let doc = DocOps { id: "n".to_owned(), ops: vec![Op::Put { key: vec![2], value: Vec::new() }] };
    let mut txn = Txn {
        dot: Dot { origin, seq: 2 + MAX_VIEW_HASHES as u64 },
        prev: Hash([1; 32]),
        time: Timestamp::from_millis(common::NOON),
        deps: Vec::new(),
        docs: vec![doc],
    };
    let mut read = |newest: u64, of: Origin, past: &mut dyn Iterator<Item = u64>| {
        txn.dot.seq = newest;
        txn.prev = if newest == 1 { Hash::default() } else { Hash([1; 32]) };
        let signed = Signed::sign(txn.clone(), scope(), &key).unwrap();
        let newest = Newest { seq: newest, hash: signed.hash, proof: signed.proof };
        let past: Past = past.map(|seq| (seq, ShortHash([3; 16]))).collect();
        let head = head_with([(origin, newest)].into(), [(of, past)].into());
        let read = ViewHead::verify(&head.sign(scope(), &key), scope(), &key.id());
        read.map(|read| assert_eq!(read, head))
    };
    let most = MAX_VIEW_HASHES as u64;
    for past in [&[1][..], &[1, 2, 3], &[9], &[1, 3, 4, 9], &[300, 302]] {
        let newest = past[past.len() - 1] + 1;
        read(newest, origin, &mut past.iter().copied()).unwrap();
        let refused = read(newest - 1, origin, &mut past.iter().copied());
        assert!(newest == 2 || refused.is_err(), "what is not before the newest: {past:?}");
    }
    read(most + 2, origin, &mut (2..=most + 1)).unwrap();
    assert!(read(most + 2, origin, &mut (1..=most + 1)).is_err(), "one more than there may be");
    assert!(read(9, origin, &mut (0..3)).is_err(), "nothing is numbered 0");
    assert!(read(9, origin, &mut (0..0)).is_err(), "none at all");
    assert!(read(9, self::origin(2), &mut (1..3)).is_err(), "of an origin that is not there");
}

#[test]
fn the_head_of_a_view_names_no_transaction_0_and_no_more_origins_than_a_vector() {
    let key = common::key(1);
    let proof = Proof { content: Hash([1; 32]), signature: [2; 64] };
    // Of the numbers that there are, it is the proof that is wrong.
    for (seq, why) in
        [(0, "numbered 0"), (1, "signature"), (MAX_SEQ, "signature"), (MAX_SEQ + 1, "higher")]
    {
        let newest = Newest { seq, hash: Hash([0; 32]), proof };
        let vector = [(origin(1), newest)].into();
        let head = head_with(vector, Default::default());
        let refused = ViewHead::verify(&head.sign(scope(), &key), scope(), &key.id()).unwrap_err();
        assert!(refused.message().contains(why), "{seq}: {refused}");
    }
    // Format, no branches, and nothing that anyone has seen of them.
    let mut body = vec![2, 0, 0];
    let mut count = MAX_VECTOR_ENTRIES + 1;
    while count >= 0x80 {
        body.push(count as u8 | 0x80);
        count >>= 7;
    }
    body.push(count as u8);
    body.resize(body.len() + 140 * (MAX_VECTOR_ENTRIES + 1), 0);
    let refused = ViewHead::verify(&sign_head(&body, 1), scope(), &key.id()).unwrap_err();
    assert!(refused.message().contains("more origins than a vector may have"), "{refused}");
}

// The pages say what the code does.

fn page(name: &str) -> String {
    let file = FsPath::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    fs::read_to_string(file).unwrap()
}

fn source(name: &str) -> String {
    fs::read_to_string(FsPath::new(env!("CARGO_MANIFEST_DIR")).join("src").join(name)).unwrap()
}

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![FsPath::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => found.push(path),
            }
        }
    }
    found.into_iter().filter(|file| file.extension().is_some_and(|kind| kind == "rs")).collect()
}

macro_rules! values {
    ($($name:ident)*) => { [$((stringify!($name), $name as u64)),*] };
}

/// Limits that the pages name, as `NAME` (number).
#[test]
fn numbers_on_the_pages_are_those_of_the_code() {
    let known = values! {
        MAX_SEQ MAX_COLLECTION_BYTES MAX_ID_BYTES MAX_VALUE_BYTES MAX_TXN_BYTES MAX_TXN_OPS MAX_DEPTH
        MAX_KEY_BYTES MAX_FRAME_BYTES MAX_CONTROL_BYTES SYNC_WINDOW_BYTES SYNC_BATCH_BYTES
        MAX_LINK_COLLECTIONS MAX_INVALID_ANSWERS MAX_VECTOR_ENTRIES MAX_LINK_VECTOR_ENTRIES SYNC_LINK_WINDOW_BYTES
        SYNC_SMALL_BYTES MAX_LINK_STREAMS MAX_SNAPSHOT_LIST MAX_SNAPSHOT_QUESTIONS
        SNAPSHOT_ANSWER_BYTES MAX_SNAPSHOT_DOCUMENT_BYTES MAX_SNAPSHOT_CELLS_BYTES
        SNAPSHOT_IDLE_MS MAX_REASON_BYTES HELLO_TIMEOUT_MS LOG_SEGMENT_BYTES MAX_LOG_BATCH_BYTES
        MAX_VERSION_LEAVES MAX_BRANCHES MAX_FORK_HASHES MAX_GRANTS MAX_VOUCHES
        MAX_VOUCHES_OF_MEMBER MAX_GRANT_COLLECTIONS MAX_SUCCESSIONS HASHES_DENSE MAX_VIEW_HASHES
        MAX_MEMBER_NAME_BYTES MAX_STATEMENT_BYTES MAX_TICKET_CHARS MAX_TICKET_ADDRESSES
        STRANGER_WINDOW_BYTES MAX_JOIN_BYTES MAX_WELCOME_BYTES WELCOME_STATEMENTS_BYTES MAX_JOINING
        JOIN_TIMEOUT_MS MAX_JOIN_ATTEMPTS JOIN_ATTEMPT_MS OUTLINE_ABOVE MAX_OUTLINE_BUCKETS
        MAX_NETWORK_HELD_BYTES MAX_NETWORK_WINDOW_BYTES MIN_LINK_WINDOW_BYTES SEND_AHEAD_BYTES
        MAX_LINK_QUEUE_BYTES
        MAX_CHECKPOINTS MAX_CHECKPOINT_LABEL_BYTES DISCOVERY_TTL_S DISCOVERY_TAG_MS
        DISCOVERY_ANNOUNCE_MS DISCOVERY_FORGET_MS MAX_DISCOVERY_PACKET_BYTES MAX_DISCOVERY_RECORDS
        MAX_REQUESTS REQUEST_AGE_MS MAX_EVENTS MAX_EVENTS_BYTES MAX_EVENT_TEXT_BYTES MAX_LOGGED_CONFLICTS
        MAX_CONFLICT_LOG_BYTES MAX_LOGGED_CANDIDATES MAX_LOGGED_VALUE_BYTES MAX_CONFLICT_NOTES
        MAX_CONFLICT_NOTE_BYTES MAX_CONFLICT_NOTE_AUTHOR_BYTES MAX_CHANGE_VALUE_BYTES MAX_SORT_BYTES
        MAX_DISCOVERY_PACKETS MAX_DISCOVERY_ADDRESSES MAX_DISCOVERED_PEERS MAX_DISCOVERED_LINKS
    };
    let mut named = BTreeSet::new();
    for text in [page("FORMAT.md"), page("PROTOCOL.md"), page("SECURITY.md")] {
        for (at, _) in text.match_indices("` (") {
            let name = text[..at].rsplit('`').next().unwrap();
            let number: String = text[at + 3..].chars().take_while(|c| *c != ')').collect();
            let Ok(number) = number.replace(',', "").parse::<u64>() else { continue };
            let value = known.iter().find(|(known, _)| *known == name);
            let (_, value) = value.unwrap_or_else(|| panic!("`{name}` is not in this test"));
            assert_eq!(number, *value, "`{name}`");
            named.insert(name.to_owned());
        }
    }
    for (name, _) in known {
        assert!(named.contains(name), "no page names `{name}`");
    }
    assert!(
        page("PROTOCOL.md").contains("Version 2 (`PROTOCOL_VERSION`)") && PROTOCOL_VERSION == 2
    );
}

/// Contexts of hashes that other nodes or other readers must know.
#[test]
fn contexts_of_hashes_are_on_the_pages() {
    let pages = page("FORMAT.md") + &page("PROTOCOL.md");
    // Of no use to anybody but the node itself.
    let own = ["littoral v1 stateless reset", "littoral v1 connection ids"];
    let contexts = |text: &str| -> BTreeSet<String> {
        text.match_indices("\"littoral v1 ")
            .map(|(at, _)| text[at + 1..].split('"').next().unwrap().to_owned())
            .collect()
    };
    let mut used = BTreeSet::new();
    for file in sources() {
        used.extend(contexts(&fs::read_to_string(file).unwrap()));
    }
    used.retain(|context| !own.contains(&context.as_str()));
    assert_eq!(contexts(&pages), used);
}

#[test]
fn tables_of_the_state_are_on_the_page() {
    let (tables, page) = (source("store/tables.rs"), page("FORMAT.md"));
    let quoted = |line: &str| line.split('"').nth(1).map(str::to_owned);
    let state = page.split("## The state").nth(1).unwrap();
    let defined = tables.lines().filter(|line| line.contains("TableDefinition::new("));
    for name in defined.filter_map(quoted) {
        assert!(state.contains(&format!("\n| `{name}` | ")), "table {name} is not in FORMAT.md");
    }
    let meta = tables.lines().filter(|line| line.contains("const META_"));
    for name in meta.filter_map(quoted) {
        assert!(state.contains(&format!("\n| `{name}` | ")), "meta {name} is not in FORMAT.md");
    }
}

#[test]
fn types_of_messages_are_on_the_page() {
    let page = page("PROTOCOL.md");
    for text in [source("sync/message.rs"), source("sync/ask.rs"), source("sync/joining.rs")] {
        for line in text.lines().filter(|line| line.contains("const ") && line.contains(": u8 =")) {
            let mut words = line.split("const ").nth(1).unwrap().split([':', '=', ';']);
            let name = words.next().unwrap().to_lowercase().replace('_', "");
            let number = words.nth(1).unwrap().trim().to_owned();
            let row = page.lines().find(|row| row.starts_with(&format!("| {number} | `")));
            let rows = page.lines().filter(|row| row.starts_with(&format!("| {number} | `")));
            let named = rows.filter_map(|row| row.split('`').nth(1)).map(str::to_lowercase);
            assert!(row.is_some() && named.into_iter().any(|n| n == name), "{name} {number}");
        }
    }
}
