//! Renewals: own transactions that nobody was given, signed again under another name.
//!
//! What is held against a store that does it: they are those above what it keeps, all of them, in
//! order; nobody was given any of them, in whatever life of the store, so that nothing is there
//! twice (unless it is forked there, and so was handed out twice before); and each says under its new name what it said under the old one.

use littoral::Store;
use littoral::crdt::Op;
use littoral::id::{Dot, Head, Origin, Seq, Vector};
use littoral::txn::Txn;

use crate::book::Entry;
use crate::ledger::Ledger;
use crate::{Checked, ensure};

impl Ledger {
    /// If a store has signed own transactions again since it was last looked at, checks that, and
    /// what it owed under the old names it owes under the new ones.
    pub(crate) fn settle_renewal(
        &mut self,
        at: usize,
        name: &'static str,
        store: &Store,
    ) -> Checked {
        let now = store.held(name).0;
        let Some(before) = self.accounts[at].held.get(name).cloned() else { return Ok(()) };
        let Some(fresh) = self.fresh_origin(at, name, &before, &now) else { return Ok(()) };
        let book = &self.books[name];
        let lines = book.lines(&now).map_err(|what| format!("{name}: {what}"))?;
        let gone = |(origin, head): &(&Origin, &Head)| {
            let dot = Dot { origin: **origin, seq: head.seq };
            let there = now.covers(&dot) && book.head(&lines, &dot) == Some(**head);
            origin.node == fresh.node && !there
        };
        let gone: Vec<Origin> = before.iter().filter(gone).map(|(origin, _)| *origin).collect();
        if gone.is_empty() {
            // Its log may have what it signed again before it left the collection, or was rolled
            // back, and now it hears of that from others.
            return Ok(());
        }
        let [old] = gone[..] else {
            return Err(format!("{name}: signed again as {fresh}, and gone: {gone:?}"));
        };
        self.renewals += 1;
        let mark = self.check_words(name, &before, old, fresh)?;
        let book = &self.books[name];
        let lines = book.lines(&now).map_err(|what| format!("{name}: {what}"))?;
        let held = book.lines(&before).map_err(|what| format!("{name}: {what}"))?;
        let at_mark = book.head(&held, &Dot { origin: old, seq: mark });
        let renamed = |vector: &Vector| -> Vector {
            let above = vector.seq(&old).saturating_sub(mark);
            let others = vector.iter().filter(|(origin, _)| above == 0 || **origin != old);
            let at_mark = at_mark.filter(|_| above > 0 && mark > 0);
            let of_fresh = book.head(&lines, &Dot { origin: fresh, seq: above });
            let new = at_mark.map(|head| (old, head)).into_iter();
            others
                .map(|(origin, head)| (*origin, *head))
                .chain(new)
                .chain(of_fresh.map(|head| (fresh, head)))
                .collect()
        };
        let account = &mut self.accounts[at];
        let gone = |dot: &Dot| dot.origin == old && dot.seq > mark;
        account
            .groups
            .retain(|group| group.iter().all(|(other, dot)| *other != name || !gone(dot)));
        for vectors in [&mut account.held, &mut account.owes] {
            if let Some(vector) = vectors.get_mut(name) {
                *vector = renamed(vector);
            }
        }
        // The old records stay in its log, which nobody reads any more.
        Ok(())
    }

    /// The name under which a store has signed transactions again since it held this.
    fn fresh_origin(
        &self,
        at: usize,
        name: &'static str,
        before: &Vector,
        now: &Vector,
    ) -> Option<Origin> {
        let renewed = &self.accounts[at].renewed;
        let fresh =
            |origin: &&Origin| before.seq(origin) == 0 && renewed.contains(&(name, **origin));
        now.iter().map(|(origin, _)| origin).find(fresh).copied()
    }

    /// Each of them says what it said. Gives the number of the last that kept its name.
    fn check_words(&self, name: &str, before: &Vector, old: Origin, fresh: Origin) -> Checked<Seq> {
        let book = &self.books[name];
        let lines = book.lines(before).map_err(|what| format!("{name}: {what}"))?;
        let new = |seq| {
            let entries = book.at(&Dot { origin: fresh, seq });
            entries.iter().find(|entry| entry.renewed)
        };
        let count = (1..).take_while(|seq| new(*seq).is_some()).count() as Seq;
        let mark = before.seq(&old).checked_sub(count);
        let mark = mark.ok_or_else(|| format!("{name}: {fresh} has more than {old} had"))?;
        for seq in 1..=count {
            let was = Dot { origin: old, seq: mark + seq };
            let (Some(said), Some(new)) = (book.entry(&lines, &was), new(seq)) else {
                return Err(format!("{name} {fresh}:{seq} says what nobody wrote"));
            };
            // A copy may have handed out what this store had not; told only by another copy's other
            // transaction, it can't know.
            let handed_out = |entry: &&Entry| entry.let_go || entry.marked;
            let forked = book.at(&was).iter().filter(handed_out).count() > 1;
            ensure!(
                forked || !said.let_go,
                "{name} {was} was given away, and is {fresh}:{seq} as well"
            );
            let same = words(&said.txn) == words(&new.txn) && said.txn.time == new.txn.time;
            ensure!(same, "{name} {fresh}:{seq} does not say what {was} said");
        }
        Ok(mark)
    }
}

/// What a transaction puts, adds and takes away, whatever the names in it.
fn words(txn: &Txn) -> Vec<(&str, Vec<u8>, Vec<u8>, i64)> {
    let mut words = Vec::new();
    for doc in &txn.docs {
        for op in &doc.ops {
            match op {
                Op::Put { key, value } => {
                    words.push((&doc.id[..], key.clone(), value.clone(), 0));
                }
                Op::Add { key, by, .. } => words.push((&doc.id, key.clone(), Vec::new(), *by)),
                Op::Clear { prefix, .. } => words.push((&doc.id, prefix.clone(), b"-".to_vec(), 0)),
                // One row may be two under other names.
                Op::Settle { key, .. } => words.push((&doc.id, key.clone(), b"0".to_vec(), 0)),
            }
        }
    }
    words.dedup();
    words
}
