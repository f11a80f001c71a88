//! The peers that this store trusts: whose links it accepts.
//!
//! A row of the table `peers`: key is the node key, 32 bytes; value is the length and text of
//! an address, empty if none is known.

use redb::{ReadableDatabase, ReadableTable};

use super::Store;
use super::tables::{self, db};
use crate::error::{Error, Result};
use crate::id::NodeId;
use crate::wire::{Reader, put_bytes};

/// A peer whose links are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedPeer {
    /// Its key.
    pub node: NodeId,
    /// Where it was last reached by us, if it was.
    pub address: Option<String>,
}

impl Store {
    /// Trusts a peer from now on: its links are accepted, and what it relays is checked and applied.
    pub fn trust(&self, peer: NodeId) -> Result<()> {
        self.note_peer(peer, None)
    }

    /// Trusts a peer and remembers where it is reached.
    pub fn trust_at(&self, peer: NodeId, address: &str) -> Result<()> {
        self.note_peer(peer, Some(address))
    }

    /// Trusts a peer no longer. Gives whether it was trusted. Documents it wrote stay.
    pub fn distrust(&self, peer: NodeId) -> Result<bool> {
        self.inner.commit_beside(|txn| {
            let mut peers = txn.open_table(tables::PEERS).map_err(db)?;
            let there = peers.remove(&peer.as_bytes()[..]).map_err(db)?.is_some();
            Ok(there)
        })
    }

    /// Whether the links of a peer are accepted.
    pub fn is_trusted(&self, peer: &NodeId) -> bool {
        self.stored_peer(peer).is_ok_and(|row| row.is_some())
    }

    /// The peers that are trusted, in the order of their keys.
    pub fn trusted(&self) -> Result<Vec<TrustedPeer>> {
        let read = self.inner.database()?.begin_read().map_err(db)?;
        let table = read.open_table(tables::PEERS).map_err(db)?;
        let mut peers = Vec::new();
        for entry in table.iter().map_err(db)? {
            let (key, value) = entry.map_err(db)?;
            let node = key
                .value()
                .try_into()
                .map_err(|_| Error::corrupt("a peer's key has not 32 bytes"))?;
            let address = Reader::new(value.value(), "peer").str().unwrap_or_default().to_owned();
            let address = (!address.is_empty()).then_some(address);
            peers.push(TrustedPeer { node: NodeId::from_bytes(node), address });
        }
        Ok(peers)
    }

    fn note_peer(&self, peer: NodeId, address: Option<&str>) -> Result<()> {
        let mut value = Vec::new();
        put_bytes(&mut value, address.unwrap_or_default().as_bytes());
        let same = |old: Vec<u8>| old == value || address.is_none();
        if self.stored_peer(&peer)?.is_some_and(same) {
            return Ok(());
        }
        self.inner.commit_beside(|txn| {
            let mut peers = txn.open_table(tables::PEERS).map_err(db)?;
            match tables::get(&peers, peer.as_bytes())?.is_some_and(same) {
                true => Ok(()),
                false => tables::set(&mut peers, peer.as_bytes(), &value),
            }
        })
    }

    fn stored_peer(&self, peer: &NodeId) -> Result<Option<Vec<u8>>> {
        let read = self.inner.database()?.begin_read().map_err(db)?;
        tables::read(&read, tables::PEERS, peer.as_bytes())
    }
}
