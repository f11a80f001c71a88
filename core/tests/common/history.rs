//! The history of a store by names that need no agreement, where origins have forked: each
//! transaction is found by hashes alone.

use std::collections::BTreeMap;

use littoral::id::{Dot, Hash, Origin, ShortHash, Vector};
use littoral::txn::{Dep, Scope, Signed, Txn};

use super::oracle::{History, Seen};
use super::{NOTES, Replica, stream};

/// What a store would send, each transaction by a name that only it has, found by hashes alone.
pub(crate) fn by_hashes(replica: &Replica) -> (History, Seen) {
    let scope = Scope { network: replica.store.network(), collection: NOTES };
    let signed: Vec<Signed> = stream(&replica.store, NOTES, &Vector::new())
        .into_iter()
        .map(|(_, bytes)| Signed::verify(bytes, scope).unwrap())
        .collect();
    let mut after: BTreeMap<(Origin, Hash), usize> = BTreeMap::new();
    for signed in &signed {
        *after.entry((signed.txn.dot.origin, signed.txn.prev)).or_default() += 1;
    }
    let mut names: BTreeMap<ShortHash, Dot> = BTreeMap::new();
    // Of each branch, the transaction that it goes on from.
    let mut from: BTreeMap<Origin, Dot> = BTreeMap::new();
    let (mut history, mut vv) = (History::default(), Seen::new());
    for Signed { txn, hash, .. } in signed {
        let before = names.get(&txn.prev.short()).copied();
        let forks = after[&(txn.dot.origin, txn.prev)] > 1;
        let dot = match before {
            _ if forks => Dot { origin: Origin::of_branch(txn.dot.origin, &hash), seq: 1 },
            Some(before) => Dot { seq: before.seq + 1, ..before },
            None => Dot { origin: txn.dot.origin, seq: 1 },
        };
        let mut seen = Seen::new();
        let mut see = |mut dot: Dot| loop {
            let newest = seen.entry(dot.origin).or_default();
            *newest = dot.seq.max(*newest);
            let Some(before) = from.get(&dot.origin) else { break };
            dot = *before;
        };
        // Whose first transaction this is has seen what those it names have seen, and what the one
        // before it has, by another name.
        let before = before.filter(|_| forks);
        for named in txn.deps.iter().map(|dep| names[&dep.hash]).chain(before) {
            see(named);
            let past = &history.txns[&named].seen;
            past.iter().for_each(|(origin, seq)| see(Dot { origin: *origin, seq: *seq }));
        }
        from.extend(before.map(|before| (dot.origin, before)));
        let known = match dot.seq {
            1 => Seen::new(),
            seq => history.txns[&Dot { seq: seq - 1, ..dot }].seen.clone(),
        };
        let news = |origin: &Origin, seq| known.get(origin).is_none_or(|known| *known < seq);
        seen.retain(|origin, seq| *origin != dot.origin && news(origin, *seq));
        let dep = |(origin, seq)| Dep { origin, seq, hash: ShortHash::default() };
        names.insert(hash.short(), dot);
        vv.insert(dot.origin, dot.seq);
        history.note(Txn { dot, deps: seen.into_iter().map(dep).collect(), ..Txn::clone(&txn) });
    }
    (history, vv)
}
