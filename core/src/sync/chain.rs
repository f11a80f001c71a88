//! Chains: transactions without what the one before says of them.
//!
//! In a frame of transactions that each are small, most bytes are the author, the number, the hash
//! of the author's transaction before, and the signature. Of a transaction that follows another
//! of its author in the same frame, the receiver can work out the first three; signatures don't
//! pack, and between them nothing else does. So they go first, all together, and what is left is
//! one Zstandard frame.
//!
//! | bytes of a chained frame | |
//! | --- | --- |
//! | `u8` | type 25 |
//! | `uint` | n, at least 1 |
//! | n × 64 | the signatures |
//! | `uint` | length of what is packed |
//! | rest | as one Zstandard frame: position 8, then n transactions |
//!
//! | a transaction | |
//! | --- | --- |
//! | `uint` | 0; or how many before this one in the frame the one is that it follows |
//! | | if 0: `bytes`, the transaction without its signature |
//! | | else: `int`, its time less the time of that one; `bytes`, what comes after its time |
//!
//! It stands for the frame of type 17 that it unpacks to, bit for bit: what is signed does not
//! depend on how it travelled. A receiver works out at most one hash for each transaction, and
//! takes no memory for more than a frame may hold.

use std::collections::HashMap;
use std::ops::Range;

use crate::compress::{compress, decompress};
use crate::error::Result;
use crate::id::{Dot, Hash};
use crate::limits::MAX_FRAME_BYTES;
use crate::txn::sign::{SIGNATURE_BYTES, hash_of_body};
use crate::txn::{Scope, peek_dot};
use crate::wire::{Reader, put_bytes, put_int, put_uint};

use super::message::{TXNS, frame};

/// The type of a chained frame.
pub(super) const CHAIN: u8 = 25;

/// A transaction of the version whose start is known: see [`codec`](crate::txn::encode).
const TXN_VERSION: u8 = 1;
const PREV: Range<usize> = 45..77;
const TIME: Range<usize> = 77..85;

/// A transaction of a frame: where it lies there without its signature, and its hash once somebody
/// asked for it.
struct Known {
    body: Range<usize>,
    dot: Dot,
    hash: Option<Hash>,
}

impl Known {
    fn new(frame: &[u8], body: Range<usize>) -> Result<Known> {
        let dot = peek_dot(&frame[body.clone()])?;
        Ok(Known { body, dot, hash: None })
    }

    /// Its time, if it begins as is known here.
    fn time(&self, frame: &[u8]) -> Option<u64> {
        let body = &frame[self.body.clone()];
        let time = body.get(TIME).filter(|_| body[0] == TXN_VERSION)?;
        Some(u64::from_be_bytes(time.try_into().expect("8 bytes")))
    }

    fn hash(&mut self, frame: &[u8], scope: Scope<'_>) -> Hash {
        let (body, dot) = (&frame[self.body.clone()], &self.dot);
        *self.hash.get_or_insert_with(|| hash_of_body(dot, body, scope))
    }
}

/// A frame of at least two transactions of `scope`'s collection, chained; nothing if it can't be.
pub(super) fn chain(content: &[u8], scope: Scope<'_>) -> Option<Vec<u8>> {
    let mut reader = Reader::new(content, "transactions");
    (reader.u8().ok()? == TXNS).then_some(())?;
    let mut inner = reader.array::<8>().ok()?.to_vec();
    let count = reader.count().ok()?;
    if count < 2 {
        return None;
    }
    let mut signatures = Vec::new();
    let mut txns: Vec<Known> = Vec::new();
    // Of each author the newest, as its place among them.
    let mut newest = HashMap::new();
    for at in 0..count {
        let (body, signature) = reader.bytes().ok()?.split_last_chunk::<SIGNATURE_BYTES>()?;
        signatures.extend_from_slice(signature);
        let end = content.len() - reader.rest().len() - SIGNATURE_BYTES;
        let txn = Known::new(content, end - body.len()..end).ok()?;
        let before = newest.insert(txn.dot.origin, at);
        match before.and_then(|before| since(&mut txns[before], &txn, content, scope)) {
            Some(since) => {
                put_uint(&mut inner, (at - before.unwrap_or(at)) as u64);
                put_int(&mut inner, since);
                put_bytes(&mut inner, &body[TIME.end..]);
            }
            None => {
                put_uint(&mut inner, 0);
                put_bytes(&mut inner, body);
            }
        }
        txns.push(txn);
    }
    let small = compress(&inner)?;
    Some(frame(CHAIN, |out| {
        put_uint(out, count as u64);
        out.extend_from_slice(&signatures);
        put_uint(out, inner.len() as u64);
        out.extend_from_slice(&small);
    }))
}

/// The time between two transactions, if the second one follows the first.
fn since(before: &mut Known, txn: &Known, frame: &[u8], scope: Scope<'_>) -> Option<i128> {
    let times = (before.time(frame)?, txn.time(frame)?);
    let follows = txn.dot.seq.checked_sub(1) == Some(before.dot.seq)
        && frame[txn.body.clone()][PREV] == before.hash(frame, scope).0;
    follows.then(|| i128::from(times.1) - i128::from(times.0))
}

/// The frame of transactions that a chained one stands for, type first.
pub(super) fn unchain(content: &[u8], scope: Scope<'_>) -> Result<Vec<u8>> {
    let mut reader = Reader::new(content, "chained frame");
    reader.u8()?;
    let count = reader.count()?;
    let signatures = reader.take(count.saturating_mul(SIGNATURE_BYTES))?;
    let length = usize::try_from(reader.uint()?).unwrap_or(usize::MAX);
    if count == 0 || length > MAX_FRAME_BYTES {
        return Err(reader.bad("it has no transactions, or is larger than a frame may be"));
    }
    let inner = decompress(reader.take_rest(), length);
    let inner = inner.ok_or_else(|| reader.bad("it can't be unpacked"))?;
    let mut reader = Reader::new(&inner, "chained frame");
    let mut out = Vec::with_capacity(inner.len() + signatures.len());
    out.push(TXNS);
    out.extend_from_slice(&reader.array::<8>()?);
    put_uint(&mut out, count as u64);
    let mut txns: Vec<Known> = Vec::new();
    for signature in signatures.chunks_exact(SIGNATURE_BYTES) {
        let start = match reader.uint()? {
            0 => whole(&mut out, &mut reader)?,
            back => follow(&mut out, &mut txns, back, &mut reader, scope)?,
        };
        txns.push(Known::new(&out, start..out.len())?);
        out.extend_from_slice(signature);
        if out.len() > MAX_FRAME_BYTES {
            return Err(reader.bad("it is larger than a frame may be"));
        }
    }
    reader.end()?;
    Ok(out)
}

/// Puts a transaction that is given in full, and gives where it begins.
fn whole(out: &mut Vec<u8>, reader: &mut Reader<'_>) -> Result<usize> {
    let body = reader.bytes()?;
    put_uint(out, (body.len() + SIGNATURE_BYTES) as u64);
    out.extend_from_slice(body);
    Ok(out.len() - body.len())
}

/// The same of one that follows one of those before it.
fn follow(
    out: &mut Vec<u8>,
    txns: &mut [Known],
    back: u64,
    reader: &mut Reader<'_>,
    scope: Scope<'_>,
) -> Result<usize> {
    let at = usize::try_from(back).ok().and_then(|back| txns.len().checked_sub(back));
    let before = at.map(|at| &mut txns[at]).and_then(|txn| Some((txn.time(out)?, txn)));
    let (time, before) = before.ok_or_else(|| reader.bad("a transaction follows none"))?;
    let time = i128::from(time).checked_add(reader.int()?);
    let time = time.and_then(|time| u64::try_from(time).ok());
    let (Some(time), Some(seq)) = (time, before.dot.seq.checked_add(1)) else {
        return Err(reader.bad("a time or a number is out of range"));
    };
    let (prev, rest) = (before.hash(out, scope), reader.bytes()?);
    put_uint(out, (TIME.end + rest.len() + SIGNATURE_BYTES) as u64);
    let start = out.len();
    out.push(TXN_VERSION);
    out.extend_from_slice(&before.dot.origin.to_bytes());
    out.extend_from_slice(&seq.to_be_bytes());
    out.extend_from_slice(&prev.0);
    out.extend_from_slice(&time.to_be_bytes());
    out.extend_from_slice(rest);
    Ok(start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::crdt::key::{Slot, prefix, slot};
    use crate::crdt::{DocOps, Op};
    use crate::id::Origin;
    use crate::sync::framing::LENGTH_BYTES;
    use crate::sync::message::Tail;
    use crate::txn::{NetworkId, NodeKey, Signed, Txn};

    const SCOPE: Scope<'_> = Scope { network: NetworkId([9; 16]), collection: "notes" };

    /// An author, who writes one transaction after the other.
    struct Author {
        key: NodeKey,
        seq: u64,
        prev: Hash,
    }

    impl Author {
        fn new(seed: u8) -> Author {
            Author { key: NodeKey::from_seed([seed; 32]), seq: 0, prev: Hash::default() }
        }

        fn write(&mut self, time: u64, value: &[u8]) -> Vec<u8> {
            self.seq += 1;
            let key = slot(&prefix(&crate::value::Path::from("title")), Slot::Register);
            let mut text = Vec::new();
            crate::value::codec::encode(
                &crate::value::Value::from(String::from_utf8_lossy(value).into_owned()),
                &mut text,
            );
            let txn = Txn {
                dot: Dot { origin: Origin { node: self.key.id(), incarnation: 0 }, seq: self.seq },
                prev: self.prev,
                time: Timestamp::from_bits(time),
                deps: Vec::new(),
                docs: vec![DocOps { id: "n1".to_owned(), ops: vec![Op::Put { key, value: text }] }],
            };
            let signed = Signed::sign(txn, SCOPE, &self.key).unwrap();
            self.prev = signed.hash;
            signed.bytes
        }
    }

    fn content(txns: &[Vec<u8>]) -> Vec<u8> {
        let txn = |bytes: &Vec<u8>| crate::sync::message::Txn {
            dot: peek_dot(bytes).unwrap(),
            bytes: bytes.clone(),
        };
        let txns = txns.iter().map(txn).collect();
        Tail::Txns { position: crate::id::Position(7), txns }.to_frame().split_off(LENGTH_BYTES)
    }

    fn chained(content: &[u8]) -> Vec<u8> {
        chain(content, SCOPE).unwrap().split_off(LENGTH_BYTES)
    }

    #[test]
    fn a_chain_is_the_frame_it_was_made_of() {
        let (mut ann, mut ben, mut cid) = (Author::new(1), Author::new(2), Author::new(3));
        let first = ann.write(1000, b"first");
        let mut txns = vec![first];
        for n in 0..20u64 {
            txns.push(ann.write(2000 - n, b"x"));
            if n % 3 == 0 {
                txns.push(ben.write(u64::MAX - n, b"of another"));
            }
        }
        // One that was copied, and so has two transactions after the same one; and a gap.
        let mut copy = Author { key: ann.key.clone(), ..ann };
        txns.push(ann.write(3000, b"here"));
        txns.push(copy.write(3000, b"there"));
        txns.push(copy.write(3001, b"there again"));
        // Its number is the next, and what it follows is another.
        txns.push(ann.write(3002, b"here again"));
        txns.push(copy.write(3003, b"there once more"));
        txns.push(ann.write(3004, b"here once more"));
        drop(cid.write(0, b"skipped"));
        cid.prev = Hash([1; 32]);
        txns.push(cid.write(1, b"after a gap"));
        txns.push(cid.write(0, b"back in time"));
        let content = content(&txns);
        let chained = chained(&content);
        assert_eq!(unchain(&chained, SCOPE).unwrap(), content);
        assert!(chained.len() < txns.len() * 64 + 600, "{} of {}", chained.len(), content.len());
        // In another collection the hashes are others, so that no signature fits.
        let elsewhere = Scope { collection: "other", ..SCOPE };
        assert_ne!(unchain(&chained, elsewhere).unwrap(), content);
    }

    #[test]
    fn what_is_of_another_version_or_alone_is_not_chained() {
        let mut ann = Author::new(1);
        let (one, two) = (ann.write(1, b"a"), ann.write(2, b"b"));
        assert!(chain(&content(std::slice::from_ref(&one)), SCOPE).is_none());
        let later = |mut bytes: Vec<u8>| {
            bytes[0] = 2;
            bytes
        };
        let both = content(&[later(one), later(two)]);
        assert_eq!(unchain(&chained(&both), SCOPE).unwrap(), both);
        assert!(chain(&[18, 0, 0], SCOPE).is_none());
    }

    fn frame_of(count: u64, signatures: usize, inner: &[u8], length: u64) -> Vec<u8> {
        let mut out = vec![CHAIN];
        put_uint(&mut out, count);
        out.extend(std::iter::repeat_n(0, signatures * SIGNATURE_BYTES));
        put_uint(&mut out, length);
        out.extend(compress(inner).unwrap());
        out
    }

    #[test]
    fn a_chain_that_lies_is_refused() {
        let mut ann = Author::new(1);
        let txns: Vec<Vec<u8>> = (0..5).map(|n| ann.write(n, b"text")).collect();
        let honest = chained(&content(&txns));
        for at in 0..honest.len() {
            assert!(unchain(&honest[..at], SCOPE).is_err() || at == 0, "{at}");
            for bit in 0..8 {
                let mut changed = honest.clone();
                changed[at] ^= 1 << bit;
                // Whatever comes of it, it is no larger than a frame, and the signatures decide.
                drop(unchain(&changed, SCOPE));
            }
        }
        let body = &txns[0][..txns[0].len() - SIGNATURE_BYTES];
        let whole = |backs: &[u64]| {
            let mut inner = vec![0; 8];
            put_uint(&mut inner, 0);
            put_bytes(&mut inner, body);
            for back in backs {
                put_uint(&mut inner, *back);
                put_int(&mut inner, 1);
                put_bytes(&mut inner, b"rest");
            }
            inner
        };
        let ask = |count: u64, inner: &[u8]| {
            unchain(&frame_of(count, count as usize, inner, inner.len() as u64), SCOPE)
        };
        assert!(ask(3, &whole(&[1, 2])).is_ok());
        for (count, backs) in [(2, &[2][..]), (2, &[u64::MAX]), (3, &[1, 3]), (2, &[]), (1, &[1])] {
            assert!(ask(count, &whole(backs)).is_err(), "{count} {backs:?}");
        }
        let inner = whole(&[]);
        let length = inner.len() as u64;
        for (count, signatures, stated) in [
            (0, 0, length),
            (1, 0, length),
            (1, 1, length + 1),
            (1, 1, length - 1),
            (1, 1, u64::MAX),
        ] {
            assert!(unchain(&frame_of(count, signatures, &inner, stated), SCOPE).is_err());
        }
        // A time before 1970, or after all times.
        for since in [-1i128 << 100, i128::MAX, i128::MIN, i128::from(u64::MAX)] {
            let mut inner = whole(&[]);
            put_uint(&mut inner, 1);
            put_int(&mut inner, since);
            put_bytes(&mut inner, b"");
            assert!(ask(2, &inner).is_err() || since == i128::from(u64::MAX), "{since}");
        }
    }

    /// A frame of which each entry makes more than it has, and one that asks for the hash of
    /// something large over and over.
    #[test]
    fn a_bomb_takes_no_more_than_a_frame() {
        let mut ann = Author::new(1);
        let large = vec![b'x'; 60_000];
        let body = ann.write(1, &large);
        let body = &body[..body.len() - SIGNATURE_BYTES];
        let count = 100_000u64;
        let mut inner = vec![0; 8];
        put_uint(&mut inner, 0);
        put_bytes(&mut inner, body);
        for back in 1..count {
            put_uint(&mut inner, back);
            put_int(&mut inner, 0);
            put_bytes(&mut inner, b"");
        }
        let bomb = frame_of(count, count as usize, &inner, inner.len() as u64);
        match unchain(&bomb, SCOPE) {
            Ok(frame) => assert!(frame.len() <= MAX_FRAME_BYTES),
            Err(err) => assert!(err.message().contains("larger"), "{err}"),
        }
        let zeros = frame_of(1, 1, &vec![0; 2 * MAX_FRAME_BYTES], MAX_FRAME_BYTES as u64);
        assert!(unchain(&zeros, SCOPE).is_err());
    }

    /// These bytes are unpacked for good.
    #[test]
    fn golden_chained_frame() {
        let mut ann = Author::new(1);
        let txns: Vec<Vec<u8>> = (0..3).map(|n| ann.write(n, b"Tide table")).collect();
        let golden = include_str!("tests/golden/chained.hex");
        let bytes = data_encoding::HEXLOWER.decode(golden.trim().as_bytes()).unwrap();
        assert_eq!(unchain(&bytes, SCOPE).unwrap(), content(&txns));
    }
}
