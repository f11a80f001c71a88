//! The floor: what the log no longer holds of each collection.
//!
//! "The log holds every transaction of this origin that is held here and above this number."
//! It rises when segments are pruned and when a snapshot brings transactions without their
//! records; it never falls. It may be higher than need be, never lower.
//!
//! Invariant: it is raised in the same redb commit as what raises it, published with the heads,
//! and durable before a record below it goes from the disk. So whoever reads the log and *then*
//! the floor never takes a gap for the end (schedule S1).

use std::sync::Arc;

use super::Store;
use super::heads::{CollectionHead, Origins};
use super::tables::{self, Tables, set};
use crate::error::{Error, Result};
use crate::id::{Head, Origin, ShortHash, Vector};
use crate::txn::Proof;

/// What to raise of one collection's floor.
pub(super) struct Rise {
    number: u32,
    heads: Vector,
}

impl Rise {
    /// Raises the floor of a collection to these transactions, where it is lower. The origins
    /// have numbers already. Merge it into the heads when the commit becomes visible.
    pub(super) fn write(
        tables: &mut Tables<'_>,
        origins: &Origins,
        collection: &CollectionHead,
        heads: impl IntoIterator<Item = (Origin, Head, Proof)>,
    ) -> Result<Rise> {
        let mut raised = Vector::new();
        for (origin, head, proof) in heads {
            if collection.floor.seq(&origin) >= head.seq {
                continue;
            }
            let number = origins.number(&origin).ok_or_else(|| {
                Error::corrupt("the log holds transactions of an origin that the state lacks")
            })?;
            let key = tables::origin_key(collection.number, number);
            set(&mut tables.floor, &key, &tables::encode_floor(&head, &proof))?;
            raised.advance(origin, head);
        }
        Ok(Rise { number: collection.number, heads: raised })
    }

    /// The collection's number.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// Makes the head say what the table now says.
    pub(super) fn publish(self, head: &mut CollectionHead) {
        // One entry or more: a rise of nothing leaves the floor in its place.
        for (origin, newest) in self.heads.iter() {
            Arc::make_mut(&mut head.floor).advance(*origin, *newest);
        }
    }
}

impl Store {
    /// The log holds every transaction of the collection that is held and above this.
    pub fn floor(&self, collection: &str) -> Result<Arc<Vector>> {
        let heads = self.inner.read_heads();
        Ok(heads.named(collection).map_or_else(Arc::default, |head| head.floor.clone()))
    }

    /// As [`Store::floor`], without what is not valid as far as the roster is known here: nobody
    /// takes it, so that whoever lacks it lacks nothing. Of what it leaves out in part the hash is
    /// not known.
    pub fn floor_for_peers(&self, collection: &str) -> Result<Arc<Vector>> {
        let floor = self.floor(collection)?;
        let Some(roster) = self.inner.roster() else { return Ok(floor) };
        let valid = |origin: &Origin| roster.valid_through(collection, origin);
        if floor.iter().all(|(origin, head)| head.seq <= valid(origin)) {
            return Ok(floor);
        }
        let cut = |(origin, head): (&Origin, &Head)| match valid(origin) {
            valid if valid < head.seq => (*origin, Head { seq: valid, hash: ShortHash::default() }),
            _ => (*origin, *head),
        };
        Ok(Arc::new(floor.iter().map(cut).filter(|(_, head)| head.seq > 0).collect()))
    }
}
