//! Transactions: golden bytes, round trips, and what is refused.

use proptest::prelude::*;

use super::*;
use crate::crdt::Op;
use crate::crdt::key::{self, Slot};
use crate::error::ErrorKind;
use crate::value::Path;

const NETWORK: NetworkId = NetworkId([9; 16]);

fn scope(collection: &str) -> Scope<'_> {
    Scope { network: NETWORK, collection }
}

fn author() -> NodeKey {
    NodeKey::from_seed([1; 32])
}

fn origin(seed: u8) -> Origin {
    Origin { node: NodeKey::from_seed([seed; 32]).id(), incarnation: u32::from(seed) }
}

/// One of each operation.
fn sample() -> Txn {
    let title = key::prefix(&Path::from("title"));
    let views = key::slot(&key::prefix(&Path::from("views")), Slot::Counter);
    let other = origin(2);
    Txn {
        dot: Dot { origin: Origin { node: author().id(), incarnation: 0 }, seq: 300 },
        prev: Hash([7; 32]),
        time: Timestamp::from_millis(1_795_276_800_000),
        deps: vec![Dep { origin: other, seq: 5, hash: ShortHash([8; 16]) }],
        docs: vec![
            DocOps {
                id: "n1".into(),
                ops: vec![
                    Op::Clear { prefix: title.clone(), upto: vec![Dot { origin: other, seq: 5 }] },
                    Op::Put {
                        key: key::slot(&title, Slot::Register),
                        value: vec![0xa2, b'h', b'i'],
                    },
                ],
            },
            DocOps {
                id: "n2".into(),
                ops: vec![
                    Op::Settle {
                        key: views.clone(),
                        row: Dot { origin: other, seq: 2 },
                        seq: 4,
                        total: -3,
                    },
                    Op::Add { key: views, birth: 300, total: 12, by: 12, after: None },
                ],
            },
        ],
    }
}

#[test]
fn golden_a_transaction_has_these_bytes_and_this_hash() {
    let signed = Signed::sign(sample(), scope("notes"), &author()).unwrap();
    let hex = data_encoding::HEXLOWER.encode(&signed.bytes);
    assert_eq!(hex, include_str!("golden/transaction.hex").trim());
    let hash = data_encoding::HEXLOWER.encode(&signed.hash.0);
    assert_eq!(hash, include_str!("golden/transaction.hash").trim());
}

#[test]
fn a_proof_shows_one_number_and_one_hash() {
    let signed = Signed::sign(sample(), scope("notes"), &author()).unwrap();
    let proof = Proof::from_bytes(&signed.proof.to_bytes());
    let dot = signed.txn.dot;
    assert_eq!(proof.check(&dot, scope("notes")).unwrap(), signed.hash);
    let later = Dot { seq: dot.seq + 1, ..dot };
    let other = Dot { origin: origin(2), ..dot };
    for (dot, scope) in [(later, scope("notes")), (other, scope("notes")), (dot, scope("x"))] {
        assert!(proof.check(&dot, scope).is_err());
    }
    let forged = Proof { content: Hash([1; 32]), ..proof };
    assert!(forged.check(&dot, scope("notes")).is_err());
}

#[test]
fn a_transaction_comes_back_and_is_valid_only_where_it_belongs() {
    let signed = Signed::sign(sample(), scope("notes"), &author()).unwrap();
    let back = Signed::verify(signed.bytes.clone(), scope("notes")).unwrap();
    assert_eq!((&*back.txn, back.hash), (&sample(), signed.hash));
    assert_eq!(peek_dot(&signed.bytes).unwrap(), sample().dot);
    let elsewhere = Scope { network: NetworkId([0; 16]), collection: "notes" };
    for wrong in [scope("other"), elsewhere] {
        let err = Signed::verify(signed.bytes.clone(), wrong).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::InvalidTransaction);
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    let signed = Signed::sign(sample(), scope("notes"), &author()).unwrap();
    for at in 0..signed.bytes.len() * 8 {
        let mut bytes = signed.bytes.clone();
        bytes[at / 8] ^= 1 << (at % 8);
        assert!(Signed::verify(bytes, scope("notes")).is_err(), "bit {at}");
    }
    for len in 0..signed.bytes.len() {
        assert!(
            Signed::verify(signed.bytes[..len].to_vec(), scope("notes")).is_err(),
            "cut at {len}"
        );
    }
}

#[test]
fn what_its_author_cannot_have_seen_is_refused() {
    let own = Dot { origin: sample().dot.origin, seq: 300 };
    let clear = |upto| Op::Clear { prefix: Vec::new(), upto };
    let views = key::slot(&key::prefix(&Path::from("views")), Slot::Counter);
    let refused = [
        clear(vec![own]),
        clear(vec![Dot { seq: 0, ..own }]),
        Op::Settle { key: views.clone(), row: own, seq: 300, total: 0 },
        Op::Settle { key: views.clone(), row: Dot { seq: 3, ..own }, seq: 2, total: 0 },
        Op::Add { key: views.clone(), birth: 301, total: 0, by: 0, after: None },
        Op::Put { key: views, value: Vec::new() },
        Op::Put { key: vec![0x01], value: vec![0xc0] },
    ];
    for op in refused {
        let mut txn = sample();
        txn.docs = vec![DocOps { id: "n".into(), ops: vec![op.clone()] }];
        assert!(decode(&encode(&txn).unwrap()).is_err(), "{op:?}");
    }
}

/// What is listed and not named would be a second form of the same transaction.
#[test]
fn an_origin_that_is_listed_and_not_named_is_refused() {
    let bytes = encode(&sample()).unwrap();
    let at = 1 + 36 + 8 + 32 + 8;
    assert_eq!(bytes[at], 1, "one origin is named");
    let mut first = [0; 36];
    first[35] = 1;
    let mut more = bytes.clone();
    more[at] = 2;
    more.splice(at + 1..at + 1, first);
    // What follows names the first now, and nothing the second.
    assert!(decode(&more).is_err());
    assert!(decode(&bytes).is_ok());
}

#[test]
fn numbers_of_transactions_have_a_limit() {
    for (seq, legal) in [(crate::limits::MAX_SEQ, true), (crate::limits::MAX_SEQ + 1, false)] {
        let dot = Dot { seq, ..sample().dot };
        let txn = Txn { dot, docs: Vec::new(), ..sample() };
        assert_eq!(decode(&encode(&txn).unwrap()).is_ok(), legal);
    }
}

#[test]
fn operations_of_a_transaction_have_a_limit() {
    let op = Op::Clear { prefix: Vec::new(), upto: Vec::new() };
    let with = |count: usize| {
        let docs = vec![DocOps { id: "n".into(), ops: vec![op.clone(); count] }];
        Txn { deps: Vec::new(), docs, ..sample() }
    };
    let most = encode(&with(crate::limits::MAX_TXN_OPS)).unwrap();
    assert!(decode(&most).is_ok());
    let more = with(crate::limits::MAX_TXN_OPS + 1);
    assert_eq!(encode(&more).unwrap_err().kind(), ErrorKind::LimitExceeded);
    // Each dot that a clear names counts, too.
    let clear = |dots: u8| {
        let mut upto: Vec<Dot> = (0..dots).map(|n| Dot { origin: origin(3 + n), seq: 1 }).collect();
        upto.sort();
        Op::Clear { prefix: Vec::new(), upto }
    };
    for (dots, legal) in [(3, true), (4, false)] {
        let mut ops = vec![op.clone(); crate::limits::MAX_TXN_OPS - 4];
        ops.push(clear(dots));
        let docs = vec![DocOps { id: "n".into(), ops }];
        assert_eq!(encode(&Txn { deps: Vec::new(), docs, ..sample() }).is_ok(), legal);
    }
    // The same on the way in: three bytes an operation, and the count before them.
    let at = most.len() - 3 * crate::limits::MAX_TXN_OPS - 3;
    let count = [0x81, 0x80, 0x40];
    assert_eq!(most[at..at + 3], [0x80, 0x80, 0x40]);
    let forged = [&most[..at], &count, &most[at + 3..], &[1, 0, 0]].concat();
    assert_eq!(decode(&forged).unwrap_err().kind(), ErrorKind::InvalidTransaction);
}

#[test]
fn a_newer_format_says_who_must_upgrade() {
    let mut bytes = encode(&sample()).unwrap();
    bytes[0] = 2;
    assert_eq!(decode(&bytes).unwrap_err().kind(), ErrorKind::FormatTooNew);
}

proptest! {
    #[test]
    fn decoding_never_panics_and_what_decodes_is_canonical(
        at in 0usize..200, garbage in prop::collection::vec(any::<u8>(), 0..40)
    ) {
        let mut bytes = encode(&sample()).unwrap();
        let at = at.min(bytes.len());
        bytes.splice(at..(at + garbage.len()).min(bytes.len()), garbage);
        if let Ok(txn) = decode(&bytes) {
            prop_assert_eq!(encode(&txn).unwrap(), bytes);
        }
    }
}
