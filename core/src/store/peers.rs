//! The peers that this store trusts: whose links it accepts.
//!
//! A row of the table `peers`: key is the node key, 32 bytes; value is the length and text of
//! an address, empty if none is known, and the collections wanted: `00` what the store wants,
//! `01` all, `02` these: count; each: length and name. What the store wants is under the key
//! `wanted` of the table `meta`, in the same form; nothing is all.

use std::collections::BTreeSet;

use redb::{ReadableDatabase, ReadableTable};

use super::Store;
use super::tables::{self, db};
use crate::error::{Error, Result};
use crate::id::{NodeId, check_collection};
use crate::wire::{Reader, put_bytes, put_uint};

/// A peer whose links are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedPeer {
    /// Its key.
    pub node: NodeId,
    /// Where it may be reached, if that is known: `host:port`, several with commas between.
    pub address: Option<String>,
    /// What is exchanged with it.
    pub collections: Collections,
}

/// The collections that are exchanged with a peer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Collections {
    /// Those that the store wants of every peer: all, if nothing was said.
    #[default]
    Default,
    /// All.
    All,
    /// These.
    Only(BTreeSet<String>),
}

impl Collections {
    /// These, after checking their names.
    pub fn only<I: IntoIterator<Item = impl Into<String>>>(names: I) -> Result<Collections> {
        let names: BTreeSet<String> = names.into_iter().map(Into::into).collect();
        names.iter().try_for_each(|name| check_collection(name))?;
        Ok(Collections::Only(names))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Collections::Default => out.push(0),
            Collections::All => out.push(1),
            Collections::Only(names) => {
                out.push(2);
                put_uint(out, names.len() as u64);
                names.iter().for_each(|name| put_bytes(out, name.as_bytes()));
            }
        }
    }

    /// Reads what the store wants, as it is kept.
    pub(super) fn decode(bytes: &[u8]) -> Result<Collections> {
        let mut reader = Reader::new(bytes, "collections");
        let read = Collections::read(&mut reader);
        read.and_then(|read| reader.end().map(|()| read))
            .map_err(|err| Error::corrupt(err.message()))
    }

    fn read(reader: &mut Reader<'_>) -> Result<Collections> {
        Ok(match reader.u8()? {
            0 => Collections::Default,
            1 => Collections::All,
            2 => {
                let count = reader.count()?;
                let names = (0..count).map(|_| reader.str().map(str::to_owned));
                Collections::Only(names.collect::<Result<_>>()?)
            }
            _ => return Err(reader.bad("unknown collections")),
        })
    }
}

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct PeerRow {
    address: String,
    collections: Collections,
}

impl PeerRow {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_bytes(&mut out, self.address.as_bytes());
        self.collections.encode(&mut out);
        out
    }

    fn decode(bytes: &[u8]) -> Result<PeerRow> {
        let mut reader = Reader::new(bytes, "peer");
        let read = |reader: &mut Reader<'_>| -> Result<PeerRow> {
            let address = reader.str()?.to_owned();
            Ok(PeerRow { address, collections: Collections::read(reader)? })
        };
        let row = read(&mut reader).and_then(|row| reader.end().map(|()| row));
        row.map_err(|err| Error::corrupt(err.message()))
    }
}

/// Reads a row of the table, and panics if it is not written again as it was: see
/// [`door`](super::door).
pub(super) fn read_back_peer(bytes: &[u8]) {
    if let Ok(row) = PeerRow::decode(bytes) {
        let again = PeerRow::decode(&row.encode());
        assert_eq!(again.expect("its own bytes"), row);
    }
}

/// Reads all rows of the table, for who wants to know whether they can be read.
pub(super) fn check(read: &redb::ReadTransaction) -> Result<()> {
    list(read).map(drop)
}

/// The peers that are trusted, with what is wanted of each.
pub(super) fn list(read: &redb::ReadTransaction) -> Result<Vec<TrustedPeer>> {
    let table = read.open_table(tables::PEERS).map_err(db)?;
    let mut peers = Vec::new();
    for entry in table.iter().map_err(db)? {
        let (key, value) = entry.map_err(db)?;
        let node =
            key.value().try_into().map_err(|_| Error::corrupt("a peer's key has not 32 bytes"))?;
        peers.push(read_row(NodeId::from_bytes(node), value.value())?);
    }
    Ok(peers)
}

/// Reads a row of the table.
pub(super) fn read_row(node: NodeId, bytes: &[u8]) -> Result<TrustedPeer> {
    let PeerRow { address, collections } = PeerRow::decode(bytes)?;
    let address = (!address.is_empty()).then_some(address);
    Ok(TrustedPeer { node, address, collections })
}

/// Trusts a peer from now on, as part of a larger change; what is kept of it stays, but for the
/// address, if one is given.
pub(super) fn note(
    txn: &redb::WriteTransaction,
    peer: &NodeId,
    address: Option<&str>,
) -> Result<()> {
    let mut peers = txn.open_table(tables::PEERS).map_err(db)?;
    let old = tables::get(&peers, peer.as_bytes())?;
    let mut row = old.map(|bytes| PeerRow::decode(&bytes)).transpose()?.unwrap_or_default();
    if let Some(address) = address {
        row.address = address.to_owned();
    }
    tables::set(&mut peers, peer.as_bytes(), &row.encode())
}

/// What is kept of a peer is kept of its new key from now on, as far as nothing is kept of that.
pub(super) fn rename(txn: &redb::WriteTransaction, from: &NodeId, to: &NodeId) -> Result<()> {
    let mut peers = txn.open_table(tables::PEERS).map_err(db)?;
    let Some(old) = tables::get(&peers, from.as_bytes())? else { return Ok(()) };
    peers.remove(&from.as_bytes()[..]).map_err(db)?;
    let old = PeerRow::decode(&old)?;
    let row = match tables::get(&peers, to.as_bytes())? {
        None => old,
        Some(bytes) => {
            let mut row = PeerRow::decode(&bytes)?;
            if row.address.is_empty() {
                row.address = old.address;
            }
            row
        }
    };
    tables::set(&mut peers, to.as_bytes(), &row.encode())
}

/// What the store wants of peers for which nothing else was said.
pub(super) fn wanted(read: &redb::ReadTransaction) -> Result<Collections> {
    match tables::read(read, tables::META, tables::META_WANTED)? {
        None => Ok(Collections::All),
        Some(bytes) => Collections::read(&mut Reader::new(&bytes, "collections")),
    }
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

    /// Whether the links of a peer are accepted: with a roster, those of its members; while
    /// nothing is known of the roster, or without one, those of the peers that were named.
    pub fn is_trusted(&self, peer: &NodeId) -> bool {
        if let Some(roster) = self.inner.roster().filter(|roster| roster.grants() > 0) {
            return roster.is_member(peer);
        }
        self.stored_peer(peer).is_ok_and(|row| row.is_some())
    }

    /// The peers that are trusted, in the order of their keys.
    pub fn trusted(&self) -> Result<Vec<TrustedPeer>> {
        list(&self.inner.database()?.begin_read().map_err(db)?)
    }

    /// Which collections to exchange with every peer for which nothing else was said; others
    /// neither travel nor cost. What is here stays. Links that are up go by it when they are made
    /// again.
    pub fn want(&self, collections: Collections) -> Result<()> {
        let mut bytes = Vec::new();
        collections.encode(&mut bytes);
        self.inner.commit_beside(|txn| {
            let mut meta = txn.open_table(tables::META).map_err(db)?;
            tables::set(&mut meta, tables::META_WANTED, &bytes)
        })
    }

    /// Which collections to exchange with this peer, which is trusted from now on.
    pub fn want_of(&self, peer: NodeId, collections: Collections) -> Result<()> {
        self.change_peer(peer, |row| row.collections = collections.clone())
    }

    /// The collections to exchange with a peer; `None` is all. Those that are held back
    /// ([`Store::rollback_hold`]) are not among them.
    pub fn wanted(&self, peer: &NodeId) -> Option<BTreeSet<String>> {
        // What can't be read is not exchanged.
        let wanted = self.wanted_of(peer).unwrap_or_else(|_| Some(BTreeSet::new()));
        let holds = self.holds();
        if holds.is_empty() {
            return wanted;
        }
        // What begins elsewhere meanwhile comes when all is resumed.
        let mut wanted = wanted.unwrap_or_else(|| self.collections().into_iter().collect());
        wanted.retain(|name| holds.iter().all(|hold| hold.collection != *name));
        Some(wanted)
    }

    /// Counts how often what is exchanged with peers has changed as a whole.
    pub(crate) fn terms(&self) -> u64 {
        self.inner.read_heads().terms
    }

    fn wanted_of(&self, peer: &NodeId) -> Result<Option<BTreeSet<String>>> {
        match self.stored_peer(peer)?.unwrap_or_default().collections {
            Collections::Default => self.wanted_by_default(),
            Collections::All => Ok(None),
            Collections::Only(names) => Ok(Some(names)),
        }
    }

    /// The collections to exchange with those for whom nothing else was said; `None` is all.
    pub fn wanted_by_default(&self) -> Result<Option<BTreeSet<String>>> {
        let read = self.inner.database()?.begin_read().map_err(db)?;
        let Some(bytes) = tables::read(&read, tables::META, tables::META_WANTED)? else {
            return Ok(None);
        };
        Ok(match Collections::read(&mut Reader::new(&bytes, "collections"))? {
            Collections::Only(names) => Some(names),
            Collections::All | Collections::Default => None,
        })
    }

    fn note_peer(&self, peer: NodeId, address: Option<&str>) -> Result<()> {
        self.change_peer(peer, |row| {
            if let Some(address) = address {
                row.address = address.to_owned();
            }
        })
    }

    fn change_peer(&self, peer: NodeId, change: impl Fn(&mut PeerRow)) -> Result<()> {
        let changed = |old: Option<&PeerRow>| {
            let mut row = old.cloned().unwrap_or_default();
            change(&mut row);
            row
        };
        let old = self.stored_peer(&peer)?;
        if old.as_ref() == Some(&changed(old.as_ref())) {
            return Ok(());
        }
        self.inner.commit_beside(|txn| {
            let mut peers = txn.open_table(tables::PEERS).map_err(db)?;
            let old = tables::get(&peers, peer.as_bytes())?;
            let old = old.map(|bytes| PeerRow::decode(&bytes)).transpose()?;
            tables::set(&mut peers, peer.as_bytes(), &changed(old.as_ref()).encode())
        })
    }

    fn stored_peer(&self, peer: &NodeId) -> Result<Option<PeerRow>> {
        let read = self.inner.database()?.begin_read().map_err(db)?;
        let bytes = tables::read(&read, tables::PEERS, peer.as_bytes())?;
        bytes.map(|bytes| PeerRow::decode(&bytes)).transpose()
    }
}
