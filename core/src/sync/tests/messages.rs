//! The bytes of messages.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::store::{dot, origin, txn};
use crate::id::{Hash, Head, Position, ShortHash, Vector};
use crate::limits::{MAX_LINK_COLLECTIONS, MAX_REASON_BYTES, MAX_VECTOR_ENTRIES};
use crate::sync::ask::{Answer, Content, Question};
use crate::sync::door::{Offence, Wanted};
use crate::sync::joining::Message;
use crate::sync::message::{CloseCode, Control, Digests, Hello, PROTOCOL_VERSION, Tail, Txn};
use crate::sync::outline::Outline;
use crate::txn::snapshot::{Span, SpanDigest};

fn controls() -> Vec<Control> {
    let notes = || "notes".to_owned();
    let digests = Digests { vector: Hash([1; 32]), cells: Hash([2; 32]) };
    let collections = [(notes(), digests), ("tasks".to_owned(), digests)].into();
    let head = |seq| Head { seq, hash: ShortHash([3; 16]) };
    let vector: Vector = [(origin(1), head(5)), (origin(2), head(u64::MAX))].into_iter().collect();
    vec![
        hello(collections, None),
        hello([].into(), Some([notes(), "tasks".to_owned()].into())),
        Control::Have { collection: notes(), vector: vector.clone() },
        Control::Have { collection: notes(), vector: Vector::new() },
        Control::Ack { collection: notes(), position: Position(258) },
        Control::Halt { collection: notes(), offence: Offence::Forked, reason: "why".to_owned() },
        Control::Differs {
            collection: notes(),
            from: dot(1, 300),
            hashes: vec![ShortHash([4; 16]), ShortHash([5; 16])],
        },
        Control::Shared { collection: notes(), last: dot(2, 7) },
        Control::Branches { collection: notes(), branches: vec![1, 2, 3] },
        Control::Roster { founder: super::store::node(1), digest: Hash([6; 32]) },
        Control::Known { hashes: Vec::new() },
        Control::Known { hashes: vec![Hash([6; 32]), Hash([7; 32])] },
        Control::Statements { statements: vec![vec![1, 2, 3], Vec::new()] },
        Control::Outline {
            collection: notes(),
            number: 1,
            outline: Outline { vector: Hash([8; 32]), buckets: vec![ShortHash([9; 16]); 4] },
        },
        Control::Pick { collection: notes(), number: 258, buckets: vec![1, 258] },
        Control::Picked { collection: notes(), number: 258, vector: vector.clone() },
        ask(Question::View),
        ask(Question::Pieces { span: span("a", Some("b\0")), per: 300 }),
        ask(Question::List { span: span("", None) }),
        ask(Question::Documents { span: span("b", None) }),
        ask(Question::Fetch { ids: vec!["a".to_owned(), "b".to_owned()] }),
        ask(Question::Part { id: "a".to_owned(), offset: 70_000 }),
        ask(Question::Done),
        Control::Bye { code: CloseCode::Other(77), reason: "söme reason".to_owned() },
    ]
}

fn hello(collections: BTreeMap<String, Digests>, wanted: Wanted) -> Control {
    Control::Hello(Hello {
        version: PROTOCOL_VERSION,
        network: [9; 16],
        collections,
        wanted,
        unpacks: true,
    })
}

fn tails() -> Vec<Tail> {
    let txns = [1, 2].map(|seq| Txn { dot: dot(1, seq), bytes: txn(dot(1, seq), &[], b"x") });
    vec![
        Tail::Tail { collection: "notes".to_owned() },
        Tail::Txns { position: Position(77), txns: txns.into() },
        Tail::CaughtUp,
        Tail::Behind,
    ]
}

fn ask(question: Question) -> Control {
    Control::Ask { collection: "notes".to_owned(), number: 7, question }
}

fn span(start: &str, end: Option<&str>) -> Span {
    Span { start: start.to_owned(), end: end.map(str::to_owned) }
}

fn answers() -> Vec<Answer> {
    let digest = |rows| SpanDigest { rows, digest: ShortHash([4; 16]) };
    let document = |id: &str, content| (id.to_owned(), content);
    vec![
        Answer::Snapshot { collection: "notes".to_owned(), number: 7 },
        Answer::Head(vec![1, 2, 3]),
        Answer::Pieces(vec![(Some("k".to_owned()), digest(2048)), (None, digest(3))]),
        Answer::List(vec![("a".to_owned(), Hash([5; 32]))]),
        Answer::Documents {
            documents: vec![
                document("a", Content::Whole(vec![1, 2])),
                document("b", Content::Large(1 << 21)),
            ],
            rest: Some("c".to_owned()),
        },
        Answer::Documents { documents: Vec::new(), rest: None },
        Answer::Part(vec![9; 3]),
        Answer::Gone("why".to_owned()),
    ]
}

#[test]
fn answers_round_trip_and_only_whole() {
    for answer in answers() {
        let frame = answer.to_frame();
        assert_eq!(Answer::from_frame(&frame[4..]).unwrap(), answer);
        for length in 4..frame.len() {
            assert!(Answer::from_frame(&frame[4..length]).is_err(), "{length} of {answer:?}");
        }
        assert!(Answer::from_frame(&[&frame[4..], &[0]].concat()).is_err());
    }
}

/// Whoever changes these bytes changes the protocol: its version goes up with them.
#[test]
fn golden_messages_have_these_bytes() {
    let (controls, tails, answers) = (controls(), tails(), answers());
    let frames = controls.iter().map(Control::to_frame);
    let frames = frames.chain(tails.iter().map(Tail::to_frame));
    let frames = frames.chain(answers.iter().map(Answer::to_frame));
    let joining = super::joining::messages();
    let frames = frames.chain(joining.iter().map(Message::to_frame));
    let hex: String = frames.map(|frame| data_encoding::HEXLOWER.encode(&frame) + "\n").collect();
    assert_eq!(hex, include_str!("golden/messages.hex"));
}

#[test]
fn messages_round_trip() {
    for message in controls() {
        assert_eq!(Control::from_frame(&message.to_frame()[4..]).unwrap(), message);
    }
    for message in tails() {
        assert_eq!(Tail::from_frame(&message.to_frame()[4..]).unwrap(), message);
    }
}

#[test]
fn a_transaction_of_a_later_version_is_carried_to_where_its_signature_is_checked() {
    let mut bytes = txn(dot(1, 1), &[], b"x");
    bytes[0] = 9;
    let tail = Tail::Txns { position: Position(1), txns: vec![Txn { dot: dot(1, 1), bytes }] };
    assert_eq!(Tail::from_frame(&tail.to_frame()[4..]).unwrap(), tail);
}

#[test]
fn a_frame_is_length_type_body() {
    let ack = Control::Ack { collection: "notes".to_owned(), position: Position(258) };
    assert_eq!(ack.to_frame(), b"\0\0\0\x0f\x03\x05notes\0\0\0\0\0\0\x01\x02");
    assert_eq!(Tail::CaughtUp.to_frame(), b"\0\0\0\x01\x12");
    let bye = Control::Bye { code: CloseCode::Network, reason: "no".to_owned() };
    assert_eq!(bye.to_frame(), b"\0\0\0\x05\x04\x03\x02no");
}

#[test]
fn every_shortened_or_lengthened_frame_is_refused() {
    let (controls, tails) = (controls(), tails());
    let frames = controls.iter().map(Control::to_frame).chain(tails.iter().map(Tail::to_frame));
    for frame in frames {
        let body = &frame[4..];
        for length in 0..body.len() {
            assert!(Control::from_frame(&body[..length]).is_err(), "{length} of {body:?}");
            assert!(Tail::from_frame(&body[..length]).is_err(), "{length} of {body:?}");
        }
        let longer = [body, &[0]].concat();
        assert!(Control::from_frame(&longer).is_err() && Tail::from_frame(&longer).is_err());
    }
}

#[test]
fn unknown_types_name_the_version() {
    let version = format!("version {PROTOCOL_VERSION}");
    for kind in (0..=255).filter(|kind| !matches!(kind, 1..=12 | 20..=22)) {
        let error = Control::from_frame(&[kind]).unwrap_err();
        assert!(error.message().contains(&version), "{error}");
    }
    for kind in (0..=255).filter(|kind| !(16..=19).contains(kind)) {
        assert!(Tail::from_frame(&[kind]).unwrap_err().message().contains(&version));
    }
}

#[test]
fn codes_round_trip() {
    (0..=255).for_each(|byte| assert_eq!(CloseCode::from_byte(byte).to_byte(), byte));
}

#[test]
fn reasons_are_cut_at_a_character_and_cleaned() {
    let reason = format!("{}{}", "x".repeat(MAX_REASON_BYTES - 1), "ä");
    let bye = |reason: &str| Control::Bye { code: CloseCode::Done, reason: reason.to_owned() };
    let frame = bye(&reason).to_frame();
    let expected = bye(&"x".repeat(MAX_REASON_BYTES - 1));
    assert_eq!(Control::from_frame(&frame[4..]).unwrap(), expected);
    let frame = bye("\x1b[2Jgone\n").to_frame();
    assert_eq!(Control::from_frame(&frame[4..]).unwrap(), bye(" [2Jgone "));
    let long = [&[4, 0, 0x81, 0x04][..], &[b'x'; MAX_REASON_BYTES + 1]].concat();
    assert!(Control::from_frame(&long).is_err());
    let longest = [&[4, 0, 0x80, 0x04][..], &[b'x'; MAX_REASON_BYTES]].concat();
    assert!(Control::from_frame(&longest).is_ok());
}

#[test]
fn counts_have_limits() {
    let digests = Digests { vector: Hash([1; 32]), cells: Hash([2; 32]) };
    for (count, legal) in [(MAX_LINK_COLLECTIONS, true), (MAX_LINK_COLLECTIONS + 1, false)] {
        let collections = (0..count).map(|n| (format!("c{n}"), digests)).collect();
        let Control::Hello(hello) = hello(collections, None) else { unreachable!() };
        assert_eq!(Control::from_frame(&Control::Hello(hello).to_frame()[4..]).is_ok(), legal);
    }
    for (count, legal) in [(MAX_VECTOR_ENTRIES, true), (MAX_VECTOR_ENTRIES + 1, false)] {
        let head = Head { seq: 1, hash: ShortHash([3; 16]) };
        let origins = (0..count as u32).map(|n| {
            let incarnation = n;
            (crate::id::Origin { incarnation, ..origin(1) }, head)
        });
        let have = Control::Have { collection: "c".repeat(128), vector: origins.collect() };
        assert_eq!(Control::from_frame(&have.to_frame()[4..]).is_ok(), legal);
    }
}

#[test]
fn lists_out_of_order_and_zeros_are_refused() {
    let have = |entries: &[(u8, u64)]| {
        let mut body = vec![2, 1, b'n', entries.len() as u8];
        for (node, seq) in entries {
            body.extend(origin(*node).to_bytes());
            body.extend(seq.to_be_bytes());
            body.extend([0; 16]);
        }
        Control::from_frame(&body).is_ok()
    };
    assert!(have(&[(1, 1), (2, 1)]));
    assert!(!have(&[(2, 1), (1, 1)]));
    assert!(!have(&[(1, 1), (1, 2)]));
    assert!(!have(&[(1, 0)]));
    let pick = |buckets: &[u16]| {
        let mut body = vec![21, 1, b'n'];
        body.extend([0; 8]);
        body.push(buckets.len() as u8);
        buckets.iter().for_each(|bucket| body.extend(bucket.to_be_bytes()));
        Control::from_frame(&body).is_ok()
    };
    assert!(pick(&[]) && pick(&[0, 7]));
    assert!(!pick(&[7, 0]) && !pick(&[7, 7]));
    let outline = |buckets: usize| {
        let outline = Outline { vector: Hash([0; 32]), buckets: vec![ShortHash([0; 16]); buckets] };
        let message = Control::Outline { collection: "n".to_owned(), number: 1, outline };
        Control::from_frame(&message.to_frame()[4..]).is_ok()
    };
    assert!([4, 8, 4096].into_iter().all(outline));
    assert!(![0, 1, 2, 5, 8192].into_iter().any(outline));
}

proptest! {
    #[test]
    fn what_decodes_is_canonical(kind in 0u8..24, body in prop::collection::vec(any::<u8>(), 0..80)) {
        let frame = [&[kind][..], &body].concat();
        if let Ok(message) = Tail::from_frame(&frame) {
            prop_assert_eq!(&message.to_frame()[4..], &frame[..]);
        }
        match Control::from_frame(&frame) {
            Ok(Control::Bye { .. } | Control::Hello(_)) | Err(_) => {}
            Ok(message) => prop_assert_eq!(&message.to_frame()[4..], &frame[..]),
        }
    }
}
