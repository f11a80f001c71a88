//! Checking the signatures of many transactions, which costs more than all else that is done with
//! small ones: on several cores at once.
//!
//! What comes out is what one core alone would give, in order, and of several that are bad the
//! first: nobody can tell how many there were. Threads live as long as one call. How much is at
//! work at once is bounded by who calls: a link hands in one batch at a time.
//!
//! It does not know the store.

use std::num::NonZero;
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::error::Result;
use crate::limits::MAX_CHECKING_THREADS;
use crate::txn::{Scope, Signed, Verifier};

/// Transactions that are worth a thread's beginning: to check one takes about as long.
const PIECE: usize = 32;

/// Reads transactions from outside as [`Signed::verify`] does; all of them, or the first error.
pub(super) fn verify_all(txns: Vec<Vec<u8>>, scope: Scope<'_>) -> Result<Vec<Signed>> {
    let worth = (txns.len() / PIECE).min(MAX_CHECKING_THREADS);
    // How many cores there are the system looks up in files: not for a few transactions.
    let cores = || thread::available_parallelism().map_or(1, NonZero::get);
    let threads = if worth < 2 { 1 } else { worth.min(cores()) };
    verify_on(threads, txns, scope)
}

fn verify_on(threads: usize, txns: Vec<Vec<u8>>, scope: Scope<'_>) -> Result<Vec<Signed>> {
    let verify = |txns: Vec<Vec<u8>>| -> Result<Vec<Signed>> {
        let mut verifier = Verifier::new(scope);
        txns.into_iter().map(|bytes| verifier.verify(bytes)).collect()
    };
    if threads < 2 {
        return verify(txns);
    }
    let todo = Mutex::new(pieces(txns).into_iter().enumerate());
    let done: Mutex<Vec<(usize, Result<Vec<Signed>>)>> = Mutex::default();
    let next = || todo.lock().unwrap_or_else(PoisonError::into_inner).next();
    let run = || {
        while let Some((number, piece)) = next() {
            let verified = verify(piece);
            done.lock().unwrap_or_else(PoisonError::into_inner).push((number, verified));
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            // Where no more threads are to be had, those that are here do it all.
            let _ = thread::Builder::new().name("littoral-check".into()).spawn_scoped(scope, run);
        }
        run();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(number, _)| *number);
    let mut all = Vec::new();
    for (_, verified) in done {
        all.extend(verified?);
    }
    Ok(all)
}

fn pieces(mut txns: Vec<Vec<u8>>) -> Vec<Vec<Vec<u8>>> {
    let mut pieces = Vec::with_capacity(txns.len().div_ceil(PIECE));
    while txns.len() > PIECE {
        let rest = txns.split_off(PIECE);
        pieces.push(std::mem::replace(&mut txns, rest));
    }
    pieces.push(txns);
    pieces
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::id::Position;
    use crate::store::disk::MemDisk;
    use crate::txn::{NetworkId, NodeKey};
    use crate::{Options, Store};

    const SCOPE: Scope<'_> = Scope { network: NetworkId([7; 16]), collection: "notes" };

    fn txns(count: usize) -> Vec<Vec<u8>> {
        let key = NodeKey::from_seed([3; 32]);
        let options = Options::new().key(key).network_id(SCOPE.network);
        let store: Store = options.open_on(Arc::new(MemDisk::new())).unwrap();
        for n in 0..count {
            store.write_deferred(|txn| txn.set("notes", "n", "x", n as u64)).unwrap();
        }
        store.flush().unwrap();
        let page = store.log_read("notes", Position(0), usize::MAX).unwrap();
        page.records.into_iter().map(|(_, bytes, _)| bytes).collect()
    }

    #[test]
    fn many_threads_give_what_one_gives() {
        for count in [0, 1, PIECE - 1, PIECE, PIECE + 1, 5 * PIECE + 3] {
            let txns = txns(count);
            assert_eq!(txns.len(), count);
            for threads in [0, 1, 2, 8] {
                let all = verify_on(threads, txns.clone(), SCOPE).unwrap();
                let bytes: Vec<_> = all.into_iter().map(|signed| signed.bytes).collect();
                assert_eq!(bytes, txns, "{threads} threads");
            }
        }
    }

    #[test]
    fn of_several_that_are_bad_the_first_is_told_however_many_threads_look() {
        let mut bad = txns(6 * PIECE);
        // A signature that is not its author's, and bytes that are no transaction.
        *bad[5 * PIECE].last_mut().unwrap() ^= 1;
        bad[PIECE + 3].truncate(10);
        bad[4 * PIECE].clear();
        let first = verify_on(1, bad.clone(), SCOPE).unwrap_err();
        for _ in 0..20 {
            let err = verify_on(4, bad.clone(), SCOPE).unwrap_err();
            assert_eq!((err.kind(), err.message()), (first.kind(), first.message()));
        }
    }
}
