//! Vectors: what a collection says that it holds, against its proofs, its index and its floor.
//!
//! Each entry of a vector must be one that its author signed; the index of transactions must
//! name, of each author, exactly those above the floor and up to the vector; hashes that outlive
//! the log are of what is held.

use super::finding::{Finding, Findings, Level};
use super::look::RESCUE;
use super::rows::Subject;
use crate::error::Result;
use crate::id::{Dot, Origin, Seq};
use crate::store::hashes::{self, Whose};
use crate::store::heads::CollectionHead;
use crate::store::tables::{self, IndexRow, VectorRow, db};
use crate::txn::Scope;

/// Examines one collection.
pub(super) fn check(
    subject: &Subject<'_>,
    head: &CollectionHead,
    findings: &mut Findings,
) -> Result<()> {
    let mut check = Check { subject, head, findings };
    for (origin, row) in &head.vector {
        check.entry(*origin, row);
        check.index(*origin, row.seq)?;
        check.hashes(*origin, row)?;
    }
    let floor: Vec<_> = head.floor.iter().map(|(origin, floor)| (*origin, *floor)).collect();
    for (origin, floor) in floor {
        let newest = head.vector.get(&origin);
        let seq = newest.map_or(0, |row| row.seq);
        let same = newest.is_some_and(|row| floor.seq != seq || floor.hash == row.hash.short());
        if floor.seq > seq || !same {
            check.find(
                "floor",
                format!("the floor of {origin} is at {}, and the vector at {seq}, or they differ in the transaction there: what is missing would be taken for pruned", floor.seq),
            );
        }
    }
    check.strangers()
}

struct Check<'a> {
    subject: &'a Subject<'a>,
    head: &'a CollectionHead,
    findings: &'a mut Findings,
}

impl Check<'_> {
    fn find(&mut self, code: &'static str, what: String) {
        let place = format!("collection '{}'", self.head.name);
        self.findings.push(Finding::new(Level::Damage, code, place, what, RESCUE));
    }

    fn entry(&mut self, origin: Origin, row: &VectorRow) {
        let scope = Scope { network: self.subject.network, collection: &self.head.name };
        let dot = Dot { origin, seq: row.seq };
        let signed = self.head.branches.signed(&dot).unwrap_or(dot);
        match row.proof.check(&signed, scope) {
            Ok(hash) if hash == row.hash => {}
            _ => self.find(
                "vector-proof",
                format!("the vector names {dot}, and the proof beside it is not its author's: a peer would refuse it"),
            ),
        }
        if row.acked > row.seq {
            self.find(
                "vector-acked",
                format!("own transactions count as having seen {origin} up to {}, and the vector ends at {}", row.acked, row.seq),
            );
        }
    }

    /// The index names the transactions of an origin above the floor, each once, up to `newest`.
    fn index(&mut self, origin: Origin, newest: Seq) -> Result<()> {
        let Some(number) = self.subject.heads.origins.number(&origin) else { return Ok(()) };
        let floor = self.head.floor.seq(&origin).min(newest);
        let key = |seq| tables::transaction_key(self.head.number, number, seq);
        let table = self.subject.read.open_table(tables::TRANSACTIONS).map_err(db)?;
        let (mut above, mut beyond, mut hash_differs) = (0, 0, false);
        let (first, last) = (key(floor + 1), key(Seq::MAX));
        for entry in table.range(&first[..]..=&last[..]).map_err(db)? {
            let (key, value) = entry.map_err(db)?;
            let seq = tables::u64_of(&key.value()[8..])?;
            let row = IndexRow::decode(value.value())?;
            match seq > newest {
                true => beyond += 1,
                false => above += 1,
            }
            let held = self.head.vector.get(&origin).filter(|held| held.seq == seq);
            hash_differs |= held.is_some_and(|held| held.hash.short() != row.hash);
        }
        if above < newest - floor {
            let missing = newest - floor - above;
            self.find("index-missing", format!("the index of transactions lacks {missing} of {origin} between {floor} and {newest}: peers would be sent a gap, and forks go unnoticed"));
        }
        if beyond > 0 {
            self.find("vector-behind", format!("the index of transactions names {beyond} of {origin} after {newest}, where the vector ends: what they did would count as never seen"));
        }
        if hash_differs {
            self.find("vector-hash", format!("the vector and the index name different transactions as number {newest} of {origin}"));
        }
        Ok(())
    }

    /// The hashes that outlive the log are of what is held, and no others than the index has.
    fn hashes(&mut self, origin: Origin, row: &VectorRow) -> Result<()> {
        let Subject { read, heads, .. } = self.subject;
        let Some(number) = heads.origins.number(&origin) else { return Ok(()) };
        let whose = Whose(self.head.number, number);
        let table = read.open_table(tables::HASHES).map_err(db)?;
        let mut wrong = 0;
        for (seq, hash) in hashes::all(&table, whose, heads.hashes)? {
            let key = tables::transaction_key(whose.0, whose.1, seq);
            let index = tables::read(read, tables::TRANSACTIONS, &key)?;
            let index = index.map(|entry| IndexRow::decode(&entry)).transpose()?;
            let known = match seq == row.seq {
                true => Some(row.hash.short()),
                false => index.map(|entry| entry.hash),
            };
            wrong += u64::from(seq > row.seq || known.is_some_and(|known| known != hash));
        }
        if wrong > 0 {
            self.find("hashes", format!("{wrong} of the hashes kept of {origin} are of other transactions than are held: peers would be taken for other sides of a fork"));
        }
        Ok(())
    }

    /// The index names no origins that the vector lacks.
    fn strangers(&mut self) -> Result<()> {
        let table = self.subject.read.open_table(tables::TRANSACTIONS).map_err(db)?;
        let mut number = 0;
        let mut strangers = 0;
        loop {
            let first = tables::transaction_key(self.head.number, number, 0);
            let last = tables::transaction_key(self.head.number, u32::MAX, Seq::MAX);
            let next = table.range(&first[..]..=&last[..]).map_err(db)?.next();
            let Some((key, _)) = next.transpose().map_err(db)? else { break };
            number = tables::u32_of(&key.value()[4..8])?;
            let origin = self.subject.heads.origins.find(number);
            let known = origin.is_some_and(|origin| self.head.vector.contains_key(&origin));
            strangers += u64::from(!known);
            let Some(next) = number.checked_add(1) else { break };
            number = next;
        }
        if strangers > 0 {
            self.find("vector-entry-missing", format!("the index of transactions names {strangers} authors that the vector lacks: what they wrote would count as never seen"));
        }
        Ok(())
    }
}
