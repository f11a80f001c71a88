//! A document in tables is the same as one in memory, whatever is done to it and in what order.

use std::collections::BTreeMap;

use redb::backends::InMemoryBackend;
use redb::{Builder, Database, ReadableDatabase};

use super::*;
use crate::clock::Timestamp;
use crate::crdt::key::{self, Slot};
use crate::crdt::layout::size_of;
use crate::crdt::{Batch, Layout, LtHash, Op, Stamp, places, view};
use crate::id::{Dot, NodeId, Origin};
use crate::value::{Path, Value, codec};

const ID: &str = "d";
const LAYOUTS: [Layout; 4] = [
    Layout { row_bytes: 0, run_bytes: 1 },
    Layout { row_bytes: 64, run_bytes: 100 },
    Layout { row_bytes: 400, run_bytes: 150 },
    Layout { row_bytes: 1000, run_bytes: 1000 },
];

/// Chance from a seed: splitmix64.
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

fn origin(n: u64) -> Origin {
    Origin { node: NodeId::from_bytes([n as u8; 32]), incarnation: 0 }
}

/// A store of one document, and nothing around it.
struct Shelf {
    database: Database,
    layout: Layout,
    meter: Meter,
    cells: LtHash,
    origins: Origins,
}

impl Shelf {
    fn new(layout: Layout) -> Shelf {
        let database = Builder::new().create_with_backend(InMemoryBackend::new()).unwrap();
        let txn = database.begin_write().unwrap();
        for definition in [tables::DOCUMENTS, tables::RUNS, tables::ORIGINS] {
            txn.open_table(definition).unwrap();
        }
        txn.commit().unwrap();
        let mut origins = Origins::default();
        for n in 0..4 {
            origins.number_or_add(origin(n));
        }
        let (meter, cells) = (Meter::default(), LtHash::new());
        Shelf { database, layout, meter, cells, origins }
    }

    fn write(&mut self, change: impl FnOnce(Writer<'_, '_>) -> Result<Change>) -> Change {
        let txn = self.database.begin_write().unwrap();
        let (mut tables, mut changed) = (tables::Tables::open(&txn).unwrap(), None);
        let table = &mut tables.origins;
        let change = change(Writer {
            documents: &mut tables.documents,
            runs: &mut tables.runs,
            keeper: crate::store::tape::Keeper { table: &mut tables.former, recording: None },
            numbers: Numbers { table, known: &self.origins, changed: &mut changed },
            cells: &mut self.cells,
            layout: self.layout,
            meter: &self.meter,
            number: 7,
            id: ID,
        });
        let change = change.unwrap();
        drop(tables);
        txn.commit().unwrap();
        change
    }

    /// All that is stored.
    fn stored(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let txn = self.database.begin_read().unwrap();
        let mut all = Vec::new();
        for definition in [tables::DOCUMENTS, tables::RUNS] {
            let table = txn.open_table(definition).unwrap();
            for entry in table.range::<&[u8]>(..).unwrap() {
                let (key, value) = entry.unwrap();
                all.push((key.value().to_vec(), value.value().to_vec()));
            }
        }
        all
    }

    fn row(&self) -> Row {
        let txn = self.database.begin_read().unwrap();
        read(&txn, &self.origins, 7, ID).unwrap().unwrap_or_default()
    }

    fn parts(&self, from: &[u8], to: Option<&[u8]>) -> Vec<Cell> {
        let txn = self.database.begin_read().unwrap();
        let (origins, meter) = (Arc::new(self.origins.clone()), Arc::new(Meter::default()));
        match Reader::open(&txn, origins, meter).unwrap().parts(7, ID).unwrap() {
            Read::Parts(parts) => parts.between(from, to).unwrap(),
            Read::Whole(row) => {
                let within =
                    |cell: &&Cell| &cell.key[..] >= from && to.is_none_or(|to| &cell.key[..] < to);
                row.cells().iter().filter(within).cloned().collect()
            }
        }
    }

    /// Checks all that is kept against the document that it should be.
    fn check(&self, row: &Row, change: &Change, note: &str) {
        assert_eq!(&self.row(), row, "{note}: the cells");
        assert_eq!(change.after, view::flags(row), "{note}: the flags");
        let mut fresh = Shelf::new(self.layout);
        fresh.write(|writer| writer.replace(row));
        assert_eq!(self.stored(), fresh.stored(), "{note}: the layout is a function of the cells");
        assert_eq!(self.cells, fresh.cells, "{note}: the digest");
        let one_row = self.layout.is_one_row(size_of(row.cells()));
        let stored = self.stored();
        match (row.is_empty(), one_row) {
            (true, _) => assert!(stored.is_empty(), "{note}: nothing is left of nothing"),
            (false, true) => assert_eq!(stored.len(), 1, "{note}"),
            (false, false) => {
                let head = Head::decode(&stored[0].1).unwrap().unwrap();
                let (places, shown) = places::survey(row.cells());
                assert_eq!(head, Head { shown, size: size_of(row.cells()), places }, "{note}");
            }
        }
    }
}

/// Some place of a small document, at times a very deep or a very long one.
fn place(rng: &mut Rng) -> Path {
    let mut names = Vec::new();
    for _ in 0..rng.below(3) {
        names.push(["a", "b", "m", "\u{1}\0"][rng.below(4) as usize].to_owned());
    }
    match rng.below(12) {
        0 => names.push("n".repeat(1500)),
        1 => names.insert(0, "l".repeat(1023)),
        _ => names.push(format!("k{}", rng.below(30))),
    }
    Path::from(names)
}

fn bytes(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    codec::encode(value, &mut out);
    out
}

fn element(rng: &mut Rng, prefix: &[u8]) -> Vec<u8> {
    let value = match rng.below(10) {
        0 => Value::from("e".repeat(1200) + &rng.below(5).to_string()),
        _ => Value::from(rng.below(40)),
    };
    key::element(prefix, &bytes(&value))
}

/// One transaction: whatever an author may write, sensible or not.
fn ops(rng: &mut Rng, row: &Row, stamp: &Stamp) -> Vec<Op> {
    let mut ops = Vec::new();
    for _ in 0..1 + rng.below(6) {
        let prefix = key::prefix(&place(rng));
        let slot = |slot| key::slot(&prefix, slot);
        let op = match rng.below(12) {
            0..=2 => Op::Put {
                key: slot(Slot::Register),
                value: bytes(&Value::from("v".repeat(rng.below(60) as usize))),
            },
            3 => Op::Put { key: slot(Slot::MapMarker), value: Vec::new() },
            4 => Op::Put { key: slot(Slot::SetMarker), value: Vec::new() },
            5 | 6 => {
                let set = key::prefix(&Path::from("s"));
                let within = if rng.below(4) == 0 { &prefix } else { &set };
                Op::Put { key: element(rng, within), value: Vec::new() }
            }
            7 => {
                Op::Put { key: [&prefix[..], &[0x0a, rng.below(3) as u8]].concat(), value: vec![1] }
            }
            8 => {
                let birth =
                    if rng.below(2) == 0 { stamp.dot.seq } else { 1 + rng.below(stamp.dot.seq) };
                Op::Add { key: slot(Slot::Counter), birth, total: 5, by: 5, after: None }
            }
            9 => match row.cells().get(rng.below(row.cells().len().max(1) as u64) as usize) {
                Some(cell)
                    if cell.slot() == Slot::Counter && cell.stamp.dot.seq < stamp.dot.seq =>
                {
                    let seq = cell.stamp.dot.seq + rng.below(20);
                    Op::Settle { key: cell.key.clone(), row: cell.stamp.dot, seq, total: 3 }
                }
                _ => continue,
            },
            _ => {
                let prefix = match rng.below(8) {
                    0 => Vec::new(),
                    1 => key::slot(&key::prefix(&Path::from("s")), Slot::Element),
                    2 => match row.cells().first() {
                        Some(cell) => cell.key.clone(),
                        None => continue,
                    },
                    3 | 4 => {
                        match row.cells().get(rng.below(row.cells().len().max(1) as u64) as usize) {
                            Some(cell) => cell.key.clone(),
                            None => continue,
                        }
                    }
                    _ => prefix,
                };
                let all = rng.below(2) == 0;
                let upto = (0..3).map(|n| {
                    let back = if all { 1 } else { 1 + rng.below(8) };
                    Dot { origin: origin(n), seq: stamp.dot.seq.saturating_sub(back) }
                });
                Op::Clear { prefix, upto: upto.collect() }
            }
        };
        ops.push(op);
    }
    ops
}

/// Of these the puts, as a transaction has them that begins a document.
fn beginning(ops: Vec<Op>) -> Vec<Op> {
    let puts = ops.into_iter().filter_map(|op| match op {
        Op::Put { key, value } => Some((key, value)),
        _ => None,
    });
    let mut puts: BTreeMap<Vec<u8>, Vec<u8>> = puts.collect();
    puts.insert(key::slot(&[], Slot::MapMarker), Vec::new());
    puts.into_iter().map(|(key, value)| Op::Put { key, value }).collect()
}

fn run(seed: u64, layout: Layout) {
    let mut rng = Rng(seed);
    let (mut shelf, mut row) = (Shelf::new(layout), Row::default());
    for seq in 2..30 + rng.below(60) {
        let stamp = Stamp {
            dot: Dot { origin: origin(rng.below(3)), seq },
            time: Timestamp::from_millis(rng.below(5)),
        };
        let note = format!("seed {seed}, {layout:?}, {seq}");
        let before = view::flags(&row);
        let change = match rng.below(20) {
            0 => {
                let settled = row.settled();
                let odd = seq % 2 == 0;
                let seen = move |_: &Dot| odd;
                let batch = Batch::of_drops(&settled, &stamp, &seen);
                let effects = row.change(&batch);
                let change = shelf.write(|writer| writer.change(&batch));
                assert_eq!(change.effects.waiting, effects.waiting, "{note}");
                change
            }
            1 => {
                let mut other = Row::default();
                for _ in 0..rng.below(20) {
                    other.apply_all(&ops(&mut rng, &other, &stamp), &stamp);
                }
                row = other;
                shelf.write(|writer| writer.replace(&row))
            }
            _ => {
                let mut ops = ops(&mut rng, &row, &stamp);
                if rng.below(if row.is_empty() { 2 } else { 20 }) == 0 {
                    ops = beginning(ops);
                }
                let settled = row.apply_all(&ops, &stamp);
                let change = shelf.write(|writer| writer.apply(&ops, &stamp));
                assert_eq!(change.effects.settled, settled, "{note}");
                change
            }
        };
        assert_eq!(change.before, before, "{note}");
        shelf.check(&row, &change, &note);
        let prefix = key::prefix(&place(&mut rng));
        let end = [&prefix[..prefix.len() - 1], &[1]].concat();
        let within: Vec<Cell> = row.under(&prefix).to_vec();
        assert_eq!(shelf.parts(&prefix, Some(&end)), within, "{note}: a part");
    }
}

#[test]
fn a_document_in_tables_is_the_same_as_one_in_memory() {
    let seeds = std::env::var("LITTORAL_SCHEDULES").ok().and_then(|n| n.parse().ok());
    for seed in 0..seeds.unwrap_or(6) {
        LAYOUTS.into_iter().for_each(|layout| run(seed, layout));
    }
}

/// One by one and in any order, each operation as `Row::apply` says, is what a batch does.
#[test]
fn a_batch_is_its_operations_one_by_one() {
    for seed in 0..100 {
        let mut rng = Rng(seed);
        let (mut at_once, mut singly) = (Row::default(), Row::default());
        for seq in 2..40 {
            let time = Timestamp::from_millis(seq);
            let stamp = Stamp { dot: Dot { origin: origin(rng.below(3)), seq }, time };
            let ops = ops(&mut rng, &at_once, &stamp);
            at_once.apply_all(&ops, &stamp);
            let (clears, others): (Vec<&Op>, Vec<&Op>) =
                ops.iter().partition(|op| matches!(op, Op::Clear { .. }));
            for op in clears.into_iter().chain(others) {
                singly.apply(op, &stamp);
            }
            assert_eq!(at_once, singly, "seed {seed}");
        }
    }
}

/// What is shown and whether it is in conflict, by walking all of it.
#[test]
fn places_are_those_that_a_reader_finds() {
    for seed in 0..100 {
        let mut rng = Rng(seed);
        let mut row = Row::default();
        for seq in 2..30 {
            let time = Timestamp::from_millis(rng.below(9));
            let stamp = Stamp { dot: Dot { origin: origin(rng.below(3)), seq }, time };
            let ops = ops(&mut rng, &row, &stamp);
            row.apply_all(&ops, &stamp);
            let flags = view::flags(&row);
            assert_eq!(flags.shown, view::fields(&row).is_some(), "seed {seed}");
            assert_eq!(flags.in_conflict, !view::conflicts(&row).is_empty(), "seed {seed}");
        }
    }
}

#[test]
fn the_head_of_a_large_document_comes_back_and_what_is_malformed_is_corrupt() {
    let head = Head { shown: true, size: 70_000, places: 3 };
    let bytes = head.encode();
    assert_eq!(bytes, [7, 0xf0, 0xa2, 4, 3]);
    assert_eq!(Head::decode(&bytes).unwrap(), Some(head));
    for len in 1..bytes.len() {
        assert!(Head::decode(&bytes[..len]).is_err());
    }
    assert!(Head::decode(&[5, 0xf0, 0xa2, 4, 3]).is_err(), "in conflict at no place");
    assert!(Head::decode(&[bytes.as_slice(), &[0]].concat()).is_err());
    assert!(decode(&bytes, &Origins::default()).is_err(), "a head is no row");
}
