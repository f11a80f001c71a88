//! What is in a bundle: read without a store, and added up while one is written.

use std::collections::BTreeMap;
use std::io::Read;

use super::file::{FileReader, malformed};
use crate::error::Result;
use crate::id::{NodeId, Origin, Seq, Vector};
use crate::limits::MAX_BUNDLE_VECTOR_ENTRIES;
use crate::txn::bundle::{FileKind, Header, Part, no_bundle};
use crate::txn::snapshot::ViewHead;
use crate::txn::{NetworkId, Scope, Signed};

/// What a bundle carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleContents {
    /// The network that it is for.
    pub network: NetworkId,
    /// Who made it. Nothing but the snapshots in it shows that this is true.
    pub maker: NodeId,
    /// When, in milliseconds since 1970, by its maker's clock.
    pub made_ms: u64,
    /// Its size.
    pub bytes: u64,
    /// The collections, in the order of their names.
    pub collections: Vec<BundleCollection>,
}

/// What it carries of one collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleCollection {
    /// Its name.
    pub name: String,
    /// A snapshot, not transactions: the log of its maker no longer reached back so far.
    pub snapshot: bool,
    /// What its receiver was taken to hold. Empty if it is complete by itself.
    pub base: Vector,
    /// What who has applied it holds at least.
    pub to: Vector,
    /// Transactions in it; none in a snapshot.
    pub transactions: u64,
    /// Documents that they write, one counted for each of them; or the snapshot's documents.
    pub documents: u64,
    /// Bytes of transactions or documents.
    pub bytes: u64,
    /// Whose transactions; of a snapshot, those that went into it.
    pub authors: BTreeMap<Origin, Authored>,
    /// The oldest and the newest transaction, in milliseconds since 1970 by their authors'
    /// clocks. Unknown of a snapshot.
    pub times_ms: Option<(u64, u64)>,
}

/// The transactions of one author in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authored {
    /// The number of the first.
    pub first: Seq,
    /// The number of the last; all between are there.
    pub last: Seq,
}

impl BundleContents {
    /// Reads a whole bundle and says what is in it.
    ///
    /// Errors: as [`BundleContents::open`].
    pub fn read(mut input: impl Read) -> Result<BundleContents> {
        let mut file = FileReader::new(&mut input)?;
        let header = *file.header();
        if header.kind != FileKind::Bundle {
            return Err(no_bundle());
        }
        let mut tally = Tally::new(header, true);
        while let Some(part) = file.next()? {
            tally.note(&part)?;
        }
        Ok(BundleContents { bytes: file.bytes(), ..tally.contents })
    }
}

impl BundleCollection {
    /// How many of the transactions that it brings a store lacks that holds this of the
    /// collection.
    pub fn news(&self, held: &Vector) -> u64 {
        let lacked = |(origin, authored): (&Origin, &Authored)| {
            authored.last.saturating_sub(held.seq(origin).max(authored.first - 1))
        };
        self.authors.iter().map(lacked).fold(0, u64::saturating_add)
    }

    /// How many transactions a store lacks that holds this of the collection, of those that the
    /// receiver was taken to hold: what is in the bundle may build on them.
    pub fn missing(&self, held: &Vector) -> u64 {
        let lacked = self.base.iter().map(|(origin, head)| {
            let before = self.authors.get(origin).map_or(head.seq, |authored| authored.first - 1);
            before.min(head.seq).saturating_sub(held.seq(origin))
        });
        lacked.fold(0, u64::saturating_add)
    }

    fn of(name: &str, snapshot: bool, base: Vector) -> BundleCollection {
        BundleCollection {
            name: name.to_owned(),
            snapshot,
            base,
            to: Vector::new(),
            transactions: 0,
            documents: 0,
            bytes: 0,
            authors: BTreeMap::new(),
            times_ms: None,
        }
    }

    fn transaction(&mut self, signed: &Signed) {
        let (dot, ms) = (signed.txn.dot, signed.txn.time.millis());
        self.transactions += 1;
        self.documents += signed.txn.docs.len() as u64;
        self.bytes += signed.bytes.len() as u64;
        let (oldest, newest) = self.times_ms.unwrap_or((ms, ms));
        self.times_ms = Some((oldest.min(ms), newest.max(ms)));
        // Where a history has forked, both sides are here, one after the other.
        let fresh = Authored { first: dot.seq, last: dot.seq };
        let authored = self.authors.entry(dot.origin).or_insert(fresh);
        (authored.first, authored.last) = (authored.first.min(dot.seq), authored.last.max(dot.seq));
    }
}

/// Adds up the parts of a bundle.
pub(super) struct Tally {
    contents: BundleContents,
    /// Whether signatures are checked: not of what comes from our own log.
    verifies: bool,
    /// Authors of the collections before.
    authors: usize,
}

impl Tally {
    pub(super) fn new(header: Header, verifies: bool) -> Tally {
        let Header { network, maker, made_ms, .. } = header;
        let contents = BundleContents { network, maker, made_ms, bytes: 0, collections: vec![] };
        Tally { contents, verifies, authors: 0 }
    }

    /// The next part; they come in order.
    pub(super) fn note(&mut self, part: &Part) -> Result<()> {
        let BundleContents { network, maker, collections, .. } = &mut self.contents;
        if let Part::Transactions { collection, base, .. } = part {
            collections.push(BundleCollection::of(collection, false, base.clone()));
        }
        if let Part::Snapshot { collection, head } = part {
            let scope = Scope { network: *network, collection };
            let head = ViewHead::verify(head, scope, maker)?;
            let mut one = BundleCollection::of(collection, true, Vector::new());
            let all = |newest: u64| Authored { first: 1, last: newest };
            one.authors = head.vector.iter().map(|(o, newest)| (*o, all(newest.seq))).collect();
            collections.push(one);
        }
        let Some(one) = collections.last_mut() else { return Ok(()) };
        match part {
            Part::Txns(txns) => {
                for bytes in txns {
                    let scope = Scope { network: *network, collection: &one.name };
                    let signed = match self.verifies {
                        true => Signed::verify(bytes.clone(), scope)?,
                        false => Signed::trusted(bytes.clone(), scope)?,
                    };
                    one.transaction(&signed);
                }
            }
            Part::Documents(documents) => {
                one.documents += documents.len() as u64;
                one.bytes += documents.iter().map(|(_, row)| row.len() as u64).sum::<u64>();
            }
            Part::EndOfCollection { to } => {
                self.authors += one.authors.len();
                one.to = to.clone();
                return Ok(());
            }
            _ => {}
        }
        match self.authors + one.authors.len() <= MAX_BUNDLE_VECTOR_ENTRIES {
            true => Ok(()),
            false => Err(malformed("more authors than a bundle may have")),
        }
    }

    pub(super) fn finish(self) -> BundleContents {
        self.contents
    }
}
