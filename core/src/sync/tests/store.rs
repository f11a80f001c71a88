//! A store of nothing but transactions: whole, causal, in the order of arrival.
//!
//! A transaction: version u8 = 1, origin 36, seq u64, n u8, n × (origin 36, seq u64), uint
//! length and payload, and 8 bytes of hash over all before, which stand for the signature.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::Result;
use crate::id::{Dot, Hash, Head, NodeId, Origin, Position, Seq, Vector};
use crate::sync::door::{Offence, Outcome};
use crate::sync::{Lease, Page, Record, Source, Summary, View};
use crate::txn::peek_dot;
use crate::txn::roster::Rights;
use crate::txn::snapshot::{Span, SpanDigest};
use crate::wire::{Reader, put_bytes};

pub(super) fn node(n: u8) -> NodeId {
    NodeId::from_bytes([n; 32])
}

pub(super) fn origin(n: u8) -> Origin {
    Origin { node: node(n), incarnation: 0 }
}

pub(super) fn dot(n: u8, seq: Seq) -> Dot {
    Dot { origin: origin(n), seq }
}

pub(super) fn txn(dot: Dot, deps: &[Dot], payload: &[u8]) -> Vec<u8> {
    let mut out = vec![1];
    out.extend_from_slice(&dot.origin.to_bytes());
    out.extend_from_slice(&dot.seq.to_be_bytes());
    out.push(deps.len() as u8);
    for dep in deps {
        out.extend_from_slice(&dep.origin.to_bytes());
        out.extend_from_slice(&dep.seq.to_be_bytes());
    }
    put_bytes(&mut out, payload);
    let hash = blake3::hash(&out);
    out.extend_from_slice(&hash.as_bytes()[..8]);
    out
}

fn deps(bytes: &[u8]) -> Result<Vec<Dot>> {
    let mut reader = Reader::new(bytes, "fake transaction");
    reader.take(45)?;
    let count = reader.u8()?;
    let deps = (0..count)
        .map(|_| {
            let origin = Origin::from_bytes(&reader.array()?);
            Ok(Dot { origin, seq: u64::from_be_bytes(reader.array()?) })
        })
        .collect::<Result<_>>()?;
    reader.bytes()?;
    let signed = bytes.len() - reader.rest().len();
    let seal: [u8; 8] = reader.array()?;
    reader.end()?;
    match seal == blake3::hash(&bytes[..signed]).as_bytes()[..8] {
        true => Ok(deps),
        false => Err(crate::Error::bad_txn("bad signature")),
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Store {
    pub(super) held: BTreeMap<String, Held>,
    log: Vec<(String, Record)>,
    end: u64,
    pub(super) failing: bool,
    /// Whether snapshots may be staged here.
    pub(super) leases: bool,
    /// What the peer may do; everything, if nothing is said.
    pub(super) peer: Option<Rights>,
    /// Its founder, if there is a roster, and the digest and the only one of its statements.
    pub(super) roster: Option<(NodeId, Hash)>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Held {
    pub(super) txns: BTreeMap<Dot, Vec<u8>>,
    pub(super) vector: Vector,
    floor: Arc<Vector>,
    pub(super) rot: u8,
}

impl Store {
    /// A local write that has seen everything held.
    pub(super) fn write(&mut self, author: u8, collection: &str, payload: &[u8]) -> Dot {
        let held = self.held.entry(collection.to_owned()).or_default();
        let dot = dot(author, held.vector.seq(&origin(author)) + 1);
        let deps: Vec<Dot> = held
            .vector
            .iter()
            .filter(|(o, _)| **o != dot.origin)
            .map(|(o, head)| Dot { origin: *o, seq: head.seq })
            .collect();
        let outcome = self.apply(collection, &txn(dot, &deps, payload));
        assert_eq!(outcome, Outcome::Applied);
        dot
    }

    pub(super) fn apply_all(&mut self, collection: &str, txns: &[Vec<u8>]) -> Outcome {
        let outcomes = txns.iter().map(|bytes| self.apply(collection, bytes));
        let mut failed = outcomes.skip_while(|outcome| *outcome == Outcome::Applied);
        failed.next().unwrap_or(Outcome::Applied)
    }

    pub(super) fn apply(&mut self, collection: &str, bytes: &[u8]) -> Outcome {
        if self.failing {
            return Outcome::StoreFailed("/secret/path is full".to_owned());
        }
        let held = self.held.entry(collection.to_owned()).or_default();
        let (Ok(dot), Ok(deps)) = (peek_dot(bytes), deps(bytes)) else {
            return Outcome::Refused(Offence::Invalid, "bad signature".to_owned());
        };
        if held.vector.covers(&dot) {
            return match held.txns.get(&dot).is_some_and(|ours| ours != bytes) {
                true => Outcome::Refused(Offence::Forked, format!("{dot} is another")),
                false => Outcome::Applied,
            };
        }
        let next = held.vector.seq(&dot.origin) + 1 == dot.seq;
        if !next || !deps.iter().all(|dep| held.vector.covers(dep)) {
            return Outcome::MissingDependency;
        }
        held.include(dot, bytes.to_vec());
        self.end += bytes.len() as u64;
        let record = Record { dot, bytes: bytes.to_vec(), end: Position(self.end) };
        self.log.push((collection.to_owned(), record));
        Outcome::Applied
    }

    /// Forgets the log of a collection so far.
    pub(super) fn prune(&mut self, collection: &str) {
        self.log.retain(|(name, _)| name != collection);
        let held = self.held.get_mut(collection).unwrap();
        held.floor = Arc::new(held.vector.clone());
    }

    /// A store with a defect: its log lacks what it holds, and it does not know.
    pub(super) fn forget_floor(&mut self, collection: &str) {
        self.held.get_mut(collection).unwrap().floor = Arc::default();
    }

    /// The end of the log.
    pub(super) fn log_end(&self) -> u64 {
        self.end
    }

    /// Takes all that another holds, without log records.
    pub(super) fn join(&mut self, collection: &str, other: &Store) {
        let theirs = &other.held[collection];
        let held = self.held.entry(collection.to_owned()).or_default();
        for (dot, bytes) in &theirs.txns {
            held.include(*dot, bytes.clone());
        }
        for (origin, head) in theirs.vector.iter() {
            Arc::make_mut(&mut held.floor).advance(*origin, *head);
        }
    }

    /// What is held is whole, without gaps, causally closed, and the vector tells it exactly.
    pub(super) fn check(&self) {
        for held in self.held.values() {
            let heads = held.txns.iter().map(|(dot, bytes)| (dot.origin, head(dot, bytes)));
            assert_eq!(heads.collect::<Vector>(), held.vector);
            for (dot, bytes) in &held.txns {
                assert!(dot.seq == 1 || held.txns.contains_key(&Dot { seq: dot.seq - 1, ..*dot }));
                assert!(deps(bytes).unwrap().iter().all(|dep| held.txns.contains_key(dep)));
            }
        }
    }

    pub(super) fn content(&self) -> BTreeMap<String, BTreeMap<Dot, Vec<u8>>> {
        let full = self.held.iter().filter(|(_, held)| !held.txns.is_empty());
        full.map(|(name, held)| (name.clone(), held.txns.clone())).collect()
    }
}

impl Held {
    fn include(&mut self, dot: Dot, bytes: Vec<u8>) {
        self.vector.advance(dot.origin, head(&dot, &bytes));
        self.txns.insert(dot, bytes);
    }

    fn cells(&self) -> Hash {
        let mut hasher = blake3::Hasher::new();
        self.txns.values().for_each(|bytes| {
            hasher.update(bytes);
        });
        hasher.update(&[self.rot]);
        Hash(*hasher.finalize().as_bytes())
    }
}

fn head(dot: &Dot, bytes: &[u8]) -> Head {
    Head { seq: dot.seq, hash: Hash(*blake3::hash(bytes).as_bytes()).short() }
}

#[derive(Debug)]
struct Leased;

impl Lease for Leased {}

impl Source for Store {
    fn collections(&self) -> Result<Vec<String>> {
        match self.failing {
            true => Err(crate::Error::corrupt("/secret/path is damaged")),
            false => Ok(self.held.keys().cloned().collect()),
        }
    }

    fn summary(&self, collection: &str) -> Result<Summary> {
        let held = self.held.get(collection).cloned().unwrap_or_default();
        let cells = held.cells();
        Ok(Summary { vector: held.vector, cells, position: Position(self.end) })
    }

    fn vector(&self, collection: &str) -> Result<Vector> {
        Ok(self.held.get(collection).map(|held| held.vector.clone()).unwrap_or_default())
    }

    fn contradictions(&self, collection: &str, theirs: &Vector) -> Result<Vec<Dot>> {
        let held = self.held.get(collection).cloned().unwrap_or_default();
        let differs = |(origin, theirs): (&Origin, &Head)| {
            let dot = Dot { origin: *origin, seq: theirs.seq };
            let ours = held.txns.get(&dot)?;
            (head(&dot, ours).hash != theirs.hash).then_some(dot)
        };
        Ok(theirs.iter().filter_map(differs).collect())
    }

    fn roster(&self) -> Option<(NodeId, Hash)> {
        self.roster
    }

    fn statements_held(&self) -> Vec<Hash> {
        self.roster.iter().map(|(_, digest)| *digest).collect()
    }

    fn statements_beyond(&self, known: &[Hash]) -> Vec<Vec<u8>> {
        let held = self.statements_held().into_iter();
        held.filter(|hash| !known.contains(hash)).map(|hash| hash.0.to_vec()).collect()
    }

    fn rights(&self, _: &NodeId) -> Option<Rights> {
        self.peer.clone()
    }

    fn floor(&self, collection: &str) -> Result<Arc<Vector>> {
        Ok(self.held.get(collection).map(|held| held.floor.clone()).unwrap_or_default())
    }

    fn start(&self, collection: &str, have: &Vector) -> Result<Position> {
        let mut before = Position(0);
        for (name, record) in &self.log {
            if name == collection && !have.covers(&record.dot) {
                return Ok(before);
            }
            before = record.end;
        }
        Ok(Position(self.end))
    }

    fn read(&self, collection: &str, from: Position, max_bytes: usize) -> Result<Page> {
        let (mut records, mut bytes, mut next) = (Vec::new(), 0, Position(self.end));
        for (name, record) in &self.log {
            if name != collection || record.end <= from {
                continue;
            }
            if bytes >= max_bytes {
                break;
            }
            bytes += record.bytes.len();
            records.push(record.clone());
        }
        if let Some(last) = records.last() {
            next = last.end;
        }
        Ok(Page { records, next })
    }
    fn view(&self, _: &str, _: &Vector) -> Result<Option<Box<dyn View>>> {
        Ok(None)
    }

    fn is_staged(&self, _: &str) -> bool {
        false
    }

    fn lease(&self, _: &str) -> Option<Box<dyn Lease>> {
        self.leases.then(|| Box::new(Leased) as Box<dyn Lease>)
    }

    fn candidate_digests(&self, _: &str, _: &[Span]) -> Result<Vec<SpanDigest>> {
        Ok(Vec::new())
    }

    fn candidate_list(&self, _: &str, _: &Span, _: usize) -> Result<Vec<(String, Hash)>> {
        Ok(Vec::new())
    }
}
