//! Layout: how a document's cells are laid into stored rows.
//!
//! State is a function of the vector, and so is its layout, since digests are of stored
//! rows. A document of at most `row_bytes` is one row. A larger one is cut into *runs* of
//! neighbouring cells, each a row of its own, where its content says so: a key starts a run if
//! its hash is below a threshold that grows with the size of the cells there, so that a run has
//! about `run_bytes`, and a cell of that size is always at the start of one. A cut
//! depends on nothing but the cells at it: an edit moves no cut but its own.
//!
//! Sizes are counted by one rule for all replicas, not measured in encoded bytes, which depend
//! on the local numbers of origins. Cells whose keys agree in their first
//! [`RUN_KEY_BYTES`] stay in one run, so that the key of a run has a bound.

use super::cell::{Body, Cell, CounterRow};

/// The bytes of a cell's key that take part in the layout.
pub const RUN_KEY_BYTES: usize = 1024;

/// Where documents are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// A document up to this size is one row.
    pub row_bytes: u64,
    /// About so large are the runs of a larger one.
    pub run_bytes: u64,
}

impl Default for Layout {
    fn default() -> Layout {
        Layout { row_bytes: 8 << 10, run_bytes: 2 << 10 }
    }
}

/// What a counter row counts, and once more for each who zeroed it.
pub(super) const SETTLING_BYTES: u64 = 64;

/// What a cell counts in the layout.
pub fn size(cell: &Cell) -> u64 {
    match &cell.body {
        Body::Put(value) => size_of_put(cell.key.len(), value.len()),
        Body::Counter(row) => size_of_counter(cell.key.len(), row),
    }
}

/// What a put counts, by the lengths of its key and its value.
pub(super) fn size_of_put(key_len: usize, value_len: usize) -> u64 {
    (16 + key_len + value_len) as u64
}

/// What a counter row counts, by the length of its key.
pub(super) fn size_of_counter(key_len: usize, row: &CounterRow) -> u64 {
    (16 + key_len) as u64 + (1 + row.settled_by.len() as u64) * SETTLING_BYTES
}

/// What cells count in the layout, together.
pub fn size_of(cells: &[Cell]) -> u64 {
    cells.iter().map(size).sum()
}

/// The part of a key that tells runs apart.
pub fn run_key(key: &[u8]) -> &[u8] {
    &key[..key.len().min(RUN_KEY_BYTES)]
}

impl Layout {
    /// Whether cells of this size together are one row.
    pub fn is_one_row(&self, size: u64) -> bool {
        size <= self.row_bytes
    }

    /// The rows that cells are laid into, in order.
    pub fn rows<'a>(&self, cells: &'a [Cell]) -> Vec<&'a [Cell]> {
        if self.is_one_row(size_of(cells)) {
            return if cells.is_empty() { Vec::new() } else { vec![cells] };
        }
        let (mut rows, mut rest) = (Vec::new(), cells);
        while !rest.is_empty() {
            let (row, others) = rest.split_at(self.first_run(rest));
            rows.push(row);
            rest = others;
        }
        rows
    }

    /// Whether a run starts at the first of `cells`, which begin with all of one run key.
    pub fn cuts_before(&self, cells: &[Cell]) -> bool {
        let Some(first) = cells.first() else { return false };
        let key = run_key(&first.key);
        let together = cells.iter().take_while(|cell| run_key(&cell.key) == key);
        let size: u64 = together.map(size).sum();
        size >= self.run_bytes || hash(key) < u64::MAX / self.run_bytes * size
    }

    /// How many of `cells`, which are whole runs from the start of one on, make the first of them.
    pub fn first_run(&self, cells: &[Cell]) -> usize {
        let mut at = 0;
        while at < cells.len() {
            if at > 0 && self.cuts_before(&cells[at..]) {
                break;
            }
            let key = run_key(&cells[at].key);
            at += cells[at..].iter().take_while(|cell| run_key(&cell.key) == key).count();
        }
        at
    }
}

/// FNV-1a of 64 bits, its bits then mixed. It need not resist anybody: who looks for keys that
/// are never cut makes a document of their own slow.
fn hash(key: &[u8]) -> u64 {
    let fnv = key.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    let mixed = (fnv ^ (fnv >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    mixed ^ (mixed >> 32)
}
