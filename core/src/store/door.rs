//! A door for fuzzing: what lies in the tables of the state, read and written again.
//!
//! Nobody else needs the bytes of these rows outside of the store, and nobody else has any
//! business here. What is in it is no part of the interface.

use super::documents::Head;
use super::export::Mark;
use super::hashes;
use super::index;
use super::invites::{self, read_back_invite};
use super::journal::conflicts::{read_back_open, sample_open};
use super::journal::{self, Event, LoggedConflict};
use super::once::{self, Request};
use super::peers::read_back_peer;
use super::place::Place;
use super::segments::Tally;
use super::snapshot::read_barrier;
use super::tables::{self, HeadRow, IndexRow, VectorRow};
use super::tape::{self, Checkpoint, HeldRow};
use crate::crdt::LtHash;
use crate::id::{Hash, Position, ShortHash};

/// Reads a row of a table, by number, and panics if it is read and not written again as it was.
/// Rows of other forms than ours are errors, never panics.
pub fn read_back(table: u8, bytes: &[u8]) {
    let same = |written: &[u8], what: &str| assert_eq!(written, bytes, "{what}");
    match table % 20 {
        0 => drop(HeadRow::decode(bytes).map(|row| same(&row.encode(), "head"))),
        1 => drop(VectorRow::decode(bytes).map(|row| same(&row.encode(), "vector"))),
        2 => drop(IndexRow::decode(bytes).map(|row| same(&row.encode(), "index"))),
        3 => drop(tables::decode_floor(bytes).map(|(head, proof)| {
            same(&tables::encode_floor(&head, &proof), "floor");
        })),
        4 => drop(Head::decode(bytes).map(|head| {
            if let Some(head) = head {
                same(&head.encode(), "large document");
            }
        })),
        5 => drop(Tally::decode(bytes).map(|tally| tally.encode())),
        6 => drop(Place::decode(bytes).map(|place| place.encode())),
        7 => drop(Mark::decode("notes", bytes).map(|mark| same(&mark.encode(), "mark"))),
        8 => read_back_peer(bytes),
        9 => drop(read_barrier(bytes)),
        11 => drop(hashes::decode(bytes).map(|row| same(&hashes::encode(&row), "hashes"))),
        12 => read_back_invite(bytes),
        13 => drop(Checkpoint::decode(3, bytes).map(|row| same(&row.encode(), "checkpoint"))),
        14 => tape::read_back_key(bytes),
        15 => drop(HeldRow::decode(bytes).map(|row| same(&row.encode(), "held"))),
        16 => drop(Event::decode(7, bytes).map(|row| same(&row.encode(), "event"))),
        17 => drop(LoggedConflict::decode(7, bytes).map(|row| same(&row.encode(), "conflict"))),
        18 => read_back_open(bytes),
        19 => drop(Request::decode(bytes).map(|row| same(&row.encode(), "request"))),
        20 => index::read_back(bytes),
        _ => drop(tables::split_settled_key(bytes)),
    }
}

/// One row of each table, with its number.
pub fn samples() -> Vec<(u8, Vec<u8>)> {
    let head = HeadRow {
        documents: 3,
        conflicts: 1,
        transactions: 9,
        incarnation: 2,
        since: Position(400),
        exported: 7,
        cells: LtHash::new(),
    };
    let vector = VectorRow { seq: 9, hash: Hash([4; 32]), acked: 8, ..VectorRow::NOTHING };
    let index = IndexRow { position: Position(28), hash: ShortHash([5; 16]) };
    let floor = crate::id::Head { seq: 3, hash: ShortHash([5; 16]) };
    let floor = tables::encode_floor(&floor, &crate::txn::Proof::NONE);
    let large = Head { shown: true, size: 70_000, places: 2 };
    let mark = Mark { collection: "notes".into(), incarnation: 2, seq: 7 };
    let tally = [&[0; 8][..], b"\x05notes", &[1; 20]].concat();
    let barrier = [&b"joined"[..], &[6; 32], b"\x02\x02n1\x02n2"].concat();
    let settled = tables::settled_key(1, 2, "n1", b"\x10n\x00\x05", 7);
    vec![
        (0, head.encode()),
        (1, vector.encode().to_vec()),
        (2, index.encode().to_vec()),
        (3, floor.to_vec()),
        (4, large.encode()),
        (5, tally),
        (6, [&[3][..], &[8; 24]].concat()),
        (7, mark.encode().to_vec()),
        (8, b"\x09host:4433\x02\x02\x01a\x01b".to_vec()),
        (9, barrier),
        (10, settled),
        (11, [&[1][..], &[5; 16], &[9], &[6; 16]].concat()),
        (12, invites::sample()),
        (13, tape::sample().encode()),
        (14, tape::sample_key()),
        (15, tape::sample_held().encode()),
        (16, journal::sample().encode()),
        (17, journal::sample_conflict().encode()),
        (18, sample_open()),
        (19, once::sample().encode()),
        (20, index::sample()),
    ]
}
