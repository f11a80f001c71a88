//! Limits on what comes from outside, at N and N + 1; and that no part of a document or of a
//! conversation takes more memory than its bytes let expect.
//!
//! Those of ids, values, transactions, messages, frames and the log are tested beside the code.

mod common;

use common::{NOTES, Replica, fields};
use littoral::clock::{HybridClock, Timestamp};
use littoral::crdt::{Layout, Row, Stamp, key, layout};
use littoral::id::{Dot, Origin};
use littoral::limits::*;
use littoral::sync::ask::{Answer, Content, Question};
use littoral::sync::door::{Config, Input, Output, StreamId};
use littoral::sync::message::{Control, Hello, PROTOCOL_VERSION};
use littoral::sync::session::Session;
use littoral::txn::edit::{Base, Draft, Version};
use littoral::txn::snapshot::{pack, unpack};
use littoral::value::{codec, parse_fields, parse_value};
use littoral::{ErrorKind, Field, Fields, Path, Value};

fn stamp() -> Stamp {
    let origin = Origin { node: common::key(1).id(), incarnation: 0 };
    Stamp { dot: Dot { origin, seq: 1 }, time: Timestamp::from_millis(common::NOON) }
}

fn put(path: &Path, field: &Field) -> littoral::Result<Row> {
    let mut draft = Draft::new(Row::default(), stamp());
    draft.set(path, field)?;
    let mut row = Row::default();
    row.apply_all(&draft.into_ops(), &stamp());
    Ok(row)
}

#[test]
fn a_value_has_a_largest_size() {
    let text = |bytes: usize| Field::from("x".repeat(bytes - 5));
    assert!(put(&Path::from("x"), &text(MAX_VALUE_BYTES)).is_ok());
    let refused = put(&Path::from("x"), &text(MAX_VALUE_BYTES + 1)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::LimitExceeded);
}

#[test]
fn a_path_has_a_largest_depth_and_length() {
    let deep = |depth: usize| Path::from(vec!["x".to_owned(); depth]);
    assert!(put(&deep(MAX_DEPTH), &Field::from(1i64)).is_ok());
    let refused = put(&deep(MAX_DEPTH + 1), &Field::from(1i64)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::LimitExceeded);
    // A component is the name and two bytes.
    let long = |bytes: usize| Path::from("x".repeat(bytes - 2));
    let row = put(&long(MAX_KEY_BYTES), &Field::from(1i64)).unwrap();
    assert!(row.cells().iter().all(|cell| key::check(&cell.key).is_ok()));
    let refused = put(&long(MAX_KEY_BYTES + 1), &Field::from(1i64)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::LimitExceeded);
    let component = key::prefix(&long(MAX_KEY_BYTES + 1));
    assert!(key::check(&key::slot(&component, key::Slot::Register)).is_err());
}

#[test]
fn json_and_values_have_a_largest_depth() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(parse_value(nested(MAX_DEPTH).as_bytes(), &Path::root()).is_ok());
    let refused = parse_value(nested(MAX_DEPTH + 2).as_bytes(), &Path::root()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::LimitExceeded);
    // Wrapped at each level it is as deep in meaning, and twice as deep as text.
    let wrapped = |depth: usize| {
        let open = r#"{"$literal":{"$set":"#.repeat(depth);
        open + "0" + &"}}".repeat(depth)
    };
    assert!(parse_fields(wrapped(MAX_DEPTH).as_bytes()).is_ok());
    assert!(parse_fields(wrapped(MAX_DEPTH + 1).as_bytes()).is_err());
    let far = "[".repeat(1_000_000);
    assert_eq!(
        parse_value(far.as_bytes(), &Path::root()).unwrap_err().kind(),
        ErrorKind::LimitExceeded
    );
    let encoded = |depth: usize| [vec![0x91; depth], vec![0xc0]].concat();
    assert!(codec::decode(&encoded(MAX_DEPTH)).is_ok());
    assert!(codec::decode(&encoded(MAX_DEPTH + 1)).is_err());
}

#[test]
fn a_version_of_many_fields_can_be_compared_and_not_merged_from() {
    // The document's own marker is one of what it shows.
    for (count, merges) in [(MAX_VERSION_LEAVES - 1, true), (MAX_VERSION_LEAVES, false)] {
        let a = Replica::new(1);
        let many: Fields = (0..count).map(|n| (format!("f{n}"), Field::from(n as i64))).collect();
        a.notes().put("n", &many).unwrap();
        let document = a.notes().get("n").unwrap().unwrap();
        let version = Version::from_bytes(document.version().as_bytes());
        assert!(Base::from_version(&version).is_ok());
        a.notes().put("n", (&many, &version)).unwrap();
        a.notes().set("n", "other", 1i64).unwrap();
        let put = a.notes().put("n", (&fields([("f0", Field::from("new"))]), &version));
        assert_eq!(put.is_ok(), merges, "{count} fields");
    }
}

/// A version is a header of HTTP: it stays short also if a document has very many counters.
#[test]
fn a_version_of_many_counters_is_short_and_can_be_compared() {
    let a = Replica::new(1);
    let many: Fields =
        (0..=MAX_VERSION_LEAVES).map(|n| (format!("f{n}"), Field::Counter(1))).collect();
    a.notes().put("n", &many).unwrap();
    let document = a.notes().get("n").unwrap().unwrap();
    let version = Version::from_bytes(document.version().as_bytes());
    assert!(version.as_bytes().len() < 100);
    a.notes().set("n", "other", 1i64).unwrap();
    let stale = a.notes().put("n", (&many, &version)).unwrap_err();
    assert_eq!(stale.kind(), ErrorKind::VersionMismatch);
    let base = Base::from_version(&version).unwrap();
    let row = put(&Path::from("x"), &Field::Counter(1)).unwrap();
    let mut draft = Draft::new(row, stamp());
    assert_eq!(draft.delete(Some(&base)).unwrap_err().kind(), ErrorKind::VersionMismatch);
    a.notes().unset("n", "other").unwrap();
    let document = a.notes().get("n").unwrap().unwrap();
    let version = Version::from_bytes(document.version().as_bytes());
    a.notes().put("n", (&fields([("only", Field::from(1i64))]), &version)).unwrap();
    assert_eq!(a.notes().get("n").unwrap().unwrap().fields().len(), 1);
}

#[test]
fn a_peers_clock_moves_ours_by_so_much_and_no_more() {
    for (ahead, followed) in [(MAX_CLOCK_LEAD_MS, true), (MAX_CLOCK_LEAD_MS + 1, false)] {
        let mut clock = HybridClock::default();
        clock.observe(Timestamp::from_millis(1000 + ahead), 1000);
        assert_eq!(clock.tick(1000).millis() > 1000, followed);
    }
}

/// What a document of a snapshot says in few bytes may be large: keys share what they begin with.
/// Found by reading, while fuzzing: 4 bytes a cell could ask for 64 KiB of memory each.
#[test]
fn a_document_of_a_snapshot_counts_with_its_keys_written_out() {
    let name = Path::from("x".repeat(60_000));
    let cell_bytes = 16 + 60_002 + 1 + 1;
    let with = |count: u64| {
        let mut packed = vec![1];
        packed.extend(stamp().dot.origin.to_bytes());
        packed.extend([0]);
        uint(&mut packed, count);
        for seq in 1..=count {
            packed.push(0);
            uint(&mut packed, seq);
            packed.extend([0; 8]);
        }
        uint(&mut packed, count);
        let key = key::slot(&key::prefix(&name), key::Slot::Register);
        for at in 0..count {
            // The first key in full, and then the same again under another dot.
            let shared = if at == 0 { 0 } else { key.len() };
            uint(&mut packed, shared as u64);
            uint(&mut packed, (key.len() - shared) as u64);
            packed.extend_from_slice(&key[shared..]);
            uint(&mut packed, at);
            packed.extend([1, 0xc0]);
        }
        packed
    };
    let few = unpack(&with(3)).unwrap();
    assert_eq!(layout::size_of(few.cells()), 3 * cell_bytes);
    assert_eq!(unpack(&pack(&few)).unwrap(), few);
    let most = MAX_SNAPSHOT_CELLS_BYTES / cell_bytes;
    let bomb = with(most + 1);
    assert!(bomb.len() < 150_000);
    let refused = unpack(&bomb).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidTransaction);
    assert!(refused.message().contains("larger than is allowed"), "{refused}");
}

fn uint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Who zeroed a counter row is counted before it is read.
#[test]
fn a_counter_row_of_a_snapshot_names_so_many_and_no_more() {
    let counter = key::slot(&key::prefix(&Path::from("n")), key::Slot::Counter);
    let with = |settlers: u64, most: u64| {
        let mut row = vec![0, 1, 0, 1];
        row.extend([0; 8]);
        row.extend([1, 0, counter.len() as u8]);
        row.extend_from_slice(&counter);
        row.extend([0, 1]);
        row.extend([0; 8]);
        row.extend([2, 1, 2]);
        uint(&mut row, settlers);
        for seq in 1..=settlers {
            row.push(0);
            uint(&mut row, seq);
            row.push(1);
        }
        row.push(0);
        Row::decode_at_most(&row, most, |_| Some(stamp().dot.origin))
    };
    let size = layout::size_of(with(10, u64::MAX).unwrap().cells());
    assert_eq!(size, 16 + counter.len() as u64 + 11 * 64);
    assert!(with(10, size).is_ok());
    assert!(with(10, size - 1).is_err());
    assert!(with(11, size).is_err());
    assert!(with(1 << 16, 64 << 10).is_err());
}

/// The limit itself, on cells that take little memory in a test.
#[test]
fn cells_of_a_row_from_elsewhere_have_a_largest_size() {
    let row = put(&Path::from("x"), &Field::from("text")).unwrap();
    let size = layout::size_of(row.cells());
    let bytes = row.encode(Default::default(), |_| 0);
    let origin = |_| Some(stamp().dot.origin);
    assert_eq!(Row::decode_at_most(&bytes, size, origin).unwrap(), row);
    assert!(Row::decode_at_most(&bytes, size - 1, origin).is_err());
    assert!(Layout::default().is_one_row(size));
}

#[test]
fn an_answer_lists_so_many_documents_and_no_more() {
    let answer = |count: usize| {
        let document = |n| (format!("{n:06}"), Content::Large(1 << 20));
        Answer::Documents { documents: (0..count).map(document).collect(), rest: None }
    };
    let list = |count: usize| {
        Answer::List((0..count).map(|n| (format!("{n:06}"), littoral::id::Hash([1; 32]))).collect())
    };
    for (count, legal) in [(MAX_SNAPSHOT_LIST, true), (MAX_SNAPSHOT_LIST + 1, false)] {
        assert_eq!(Answer::from_frame(&answer(count).to_frame()[4..]).is_ok(), legal);
        assert_eq!(Answer::from_frame(&list(count).to_frame()[4..]).is_ok(), legal);
        let ids = (0..count).map(|n| format!("{n:06}")).collect();
        let fetch = ask(Question::Fetch { ids });
        assert_eq!(Control::from_frame(&fetch[4..]).is_ok(), legal);
    }
}

fn ask(question: Question) -> Vec<u8> {
    Control::Ask { collection: NOTES.to_owned(), number: 1, question }.to_frame()
}

/// A session after both hellos, whose peer wants snapshots.
fn session(store: &littoral::Store) -> Session {
    let (us, peer) = (store.node_id(), common::key(7).id());
    let config = Config { network: store.network().0, us, peer, wanted: None };
    let mut session = Session::new(config, 0);
    let hello = Hello {
        version: PROTOCOL_VERSION,
        network: store.network().0,
        collections: Default::default(),
        wanted: None,
        unpacks: false,
    };
    hear(&mut session, store, &Control::Hello(hello).to_frame());
    session
}

/// How many bytes go out on streams of snapshots and tails, and whether the link is over.
fn hear(session: &mut Session, store: &littoral::Store, bytes: &[u8]) -> (usize, bool) {
    session.handle(Input::Received { stream: StreamId::Control, bytes }, 0, store);
    let (mut sent, mut closed) = (0, false);
    while let Some(output) = session.poll(store) {
        match output {
            Output::Send { stream: StreamId::Tail(_), bytes } => sent += bytes.len(),
            Output::Close { .. } => closed = true,
            _ => {}
        }
    }
    (sent, closed)
}

/// Few bytes of questions must not make many of answers. Found by reading, while fuzzing: each
/// question for a view was answered at once, with all of a head, before anything was sent.
#[test]
fn who_asks_for_a_view_again_and_again_at_once_gets_the_last() {
    let a = Replica::new(1);
    a.notes().set("n", "x", 1i64).unwrap();
    let mut once = session(&a.store);
    let (one, closed) = hear(&mut once, &a.store, &ask(Question::View));
    assert!(one > 100 && !closed);
    let mut often = session(&a.store);
    let (many, closed) = hear(&mut often, &a.store, &ask(Question::View).repeat(3000));
    assert!(!closed);
    assert_eq!(many, one);
}

#[test]
fn questions_that_are_open_at_once_are_counted() {
    for (count, legal) in [(MAX_SNAPSHOT_QUESTIONS, true), (MAX_SNAPSHOT_QUESTIONS + 1, false)] {
        let a = Replica::new(1);
        a.notes().set("n", "x", 1i64).unwrap();
        let mut session = session(&a.store);
        let list = ask(Question::List { span: Default::default() });
        let bytes = [ask(Question::View), list.repeat(count)].concat();
        let (sent, closed) = hear(&mut session, &a.store, &bytes);
        assert_eq!(closed, !legal);
        assert_eq!(sent > 0, legal);
    }
}

/// One answer reads a bounded number of bytes, also if all that is asked for is large.
#[test]
fn large_documents_are_not_all_read_for_one_answer() {
    let a = Replica::new(1);
    let large = fields([("x", Field::from("y".repeat(SNAPSHOT_ANSWER_BYTES)))]);
    let ids: Vec<String> = (0..20).map(|n| format!("n{n:02}")).collect();
    ids.iter().for_each(|id| a.notes().put(id, &large).unwrap());
    let mut session = session(&a.store);
    hear(&mut session, &a.store, &ask(Question::View));
    session.handle(
        Input::Received { stream: StreamId::Control, bytes: &ask(Question::Fetch { ids }) },
        0,
        &a.store,
    );
    while let Some(output) = session.poll(&a.store) {
        let Output::Send { bytes, .. } = output else { continue };
        let Ok(Answer::Documents { documents, rest }) = Answer::from_frame(&bytes[4..]) else {
            continue;
        };
        assert_eq!(documents.len(), 1);
        assert_eq!(rest.as_deref(), Some("n01"));
        return;
    }
    panic!("no answer");
}

#[test]
fn a_value_that_is_too_large_for_a_set_is_refused() {
    let element = Value::from("x".repeat(MAX_VALUE_BYTES - 5));
    let a = Replica::new(1);
    a.notes().add("n", "tags", element).unwrap();
    let element = Value::from("x".repeat(MAX_VALUE_BYTES - 4));
    let refused = a.notes().add("n", "tags", element).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::LimitExceeded);
}
