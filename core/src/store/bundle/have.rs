//! What a store holds and wants, as told to who makes a bundle for it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};

use super::contents::BundleContents;
use super::file::{FileReader, FileWriter};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{NodeId, Vector};
use crate::limits::MAX_BUNDLE_COLLECTIONS;
use crate::store::Store;
use crate::txn::NetworkId;
use crate::txn::bundle::{FileKind, Header, Part};

/// The maker of a vector file that nobody told: no key is so.
const NOBODY: NodeId = NodeId::from_bytes([0; 32]);

/// What is left out of a bundle: what its receiver said to hold, or was given before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Have {
    /// The network.
    pub network: NetworkId,
    /// Who holds it, if it was told by its holder; of an earlier bundle nobody knows.
    pub node: Option<NodeId>,
    /// When it was told, in milliseconds since 1970, by the clock of who made the file.
    pub made_ms: u64,
    /// The collections that the holder wants; `None` is all.
    pub wanted: Option<BTreeSet<String>>,
    /// What is held of each collection.
    pub vectors: BTreeMap<String, Vector>,
}

impl Have {
    /// Reads a vector file, or an earlier bundle: then what who has applied that holds.
    ///
    /// Errors: as [`Have::open`].
    pub fn read(mut input: impl Read) -> Result<Have> {
        let mut file = FileReader::new(&mut input)?;
        let header = *file.header();
        let mut have = Have {
            network: header.network,
            node: (header.kind == FileKind::Vector && header.maker != NOBODY)
                .then_some(header.maker),
            made_ms: header.made_ms,
            wanted: None,
            vectors: BTreeMap::new(),
        };
        let mut open = None;
        while let Some(part) = file.next()? {
            match part {
                Part::Wanted(names) => have.wanted = names,
                Part::Held { collection, vector } => {
                    have.vectors.insert(collection, vector);
                }
                Part::Transactions { collection, .. } | Part::Snapshot { collection, .. } => {
                    open = Some(collection);
                }
                Part::EndOfCollection { to } => have.vectors.extend(open.take().map(|c| (c, to))),
                _ => {}
            }
        }
        Ok(have)
    }

    /// Writes a vector file.
    pub fn write(&self, mut out: impl Write) -> Result<()> {
        check_collections(self.vectors.len())?;
        check_collections(self.wanted.as_ref().map_or(0, BTreeSet::len))?;
        let header = Header {
            kind: FileKind::Vector,
            network: self.network,
            maker: self.node.unwrap_or(NOBODY),
            made_ms: self.made_ms,
        };
        let mut file = FileWriter::new(&mut out, &header)?;
        file.part(&Part::Wanted(self.wanted.clone()))?;
        for (name, vector) in &self.vectors {
            file.part(&Part::Held { collection: name.clone(), vector: vector.clone() })?;
        }
        file.part(&Part::End { collections: self.vectors.len() as u64 })
    }

    /// What is held of a collection.
    pub fn vector(&self, collection: &str) -> Vector {
        self.vectors.get(collection).cloned().unwrap_or_default()
    }
}

impl Store {
    /// What this store tells to who makes a bundle for it: of each collection that it wants the
    /// vector, all of it durable. Of this node's own transactions only those that may have left.
    pub fn have(&self) -> Result<Have> {
        let wanted = self.wanted_by_default()?;
        let mut vectors = BTreeMap::new();
        for name in self.collections() {
            if wanted.as_ref().is_none_or(|wanted| wanted.contains(&name)) {
                let vector = self.told(&name)?;
                vectors.insert(name, vector);
            }
        }
        let (network, node, made_ms) =
            (self.network(), Some(self.node_id()), self.inner.wall.now_ms());
        Ok(Have { network, node, made_ms, wanted, vectors })
    }

    /// The same, to compare it with what is in a bundle.
    ///
    /// Errors: [`Refused`](ErrorKind::Refused) if the bundle belongs to another network: nothing of
    /// it could be applied.
    pub fn have_for(&self, bundle: &BundleContents) -> Result<Have> {
        self.check_network(bundle.network, "the bundle")?;
        self.have()
    }

    pub(super) fn check_network(&self, network: NetworkId, what: &str) -> Result<()> {
        match network == self.network() {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::Refused,
                format!(
                    "{what} belongs to another network than this store: only stores of one network exchange anything"
                ),
            )),
        }
    }
}

/// Whether so many collections fit into one file.
pub(super) fn check_collections(count: usize) -> Result<()> {
    match count <= MAX_BUNDLE_COLLECTIONS {
        true => Ok(()),
        false => Err(Error::limit(format!(
            "a bundle has at most {MAX_BUNDLE_COLLECTIONS} collections; this one would have {count}: name those that are to go into it"
        ))),
    }
}
