//! Where a store lies: told apart from a copy of it.
//!
//! A copied or restored directory goes on under the names of the original, beside it or instead
//! of it. Nothing in the files tells; what tells is where they are: the machine, and which
//! file of the file system `state.redb` is. (Not the device: its number changes when a disk is
//! plugged in elsewhere.) The store remembers that, and when it is opened and finds itself at
//! another place, it takes a new incarnation for every collection.
//!
//! It is a suspicion only, and a wrong one costs no more than a new name. What it does not
//! see, a machine that is cloned or rolled back whole, is seen by proof: [`incarnation`](super::incarnation).
//! A part that is not known, such as the machine in a container, is not compared.

use redb::{Database, ReadableTable as _};

use super::commit::set_durability;
use super::disk::{Disk, File};
use super::tables::{self, HeadRow, Tables, db, set};
use crate::error::{Error, Result};
use crate::wire::Reader;

/// Where a store lies, as far as that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    machine: Option<[u8; 16]>,
    file: Option<u64>,
}

impl Place {
    /// Nothing is known.
    pub(super) const UNKNOWN: Place = Place { machine: None, file: None };

    /// Where `state` lies.
    pub(super) fn of(disk: &dyn Disk, state: &dyn File) -> Place {
        // The name of a machine belongs to its owner: what is kept is a hash of it.
        let hash = |name: String| blake3::derive_key("littoral v1 machine", name.as_bytes());
        let machine = disk.machine().map(hash);
        let machine = machine.map(|hash| hash[..16].try_into().expect("16 of 32 bytes"));
        Place { machine, file: state.identity() }
    }

    /// Whether the same store can't have lain at both.
    fn differs(&self, other: &Place) -> bool {
        let machines = self.machine.zip(other.machine);
        let files = self.file.zip(other.file);
        machines.is_some_and(|(a, b)| a != b) || files.is_some_and(|(a, b)| a != b)
    }

    /// A byte of which parts are known (1 machine, 2 file), machine 16, file 8, big-endian.
    pub(super) fn encode(&self) -> [u8; 25] {
        let mut out = [0; 25];
        out[0] = u8::from(self.machine.is_some()) | (u8::from(self.file.is_some()) << 1);
        out[1..17].copy_from_slice(&self.machine.unwrap_or_default());
        out[17..].copy_from_slice(&self.file.unwrap_or_default().to_be_bytes());
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Place> {
        let mut reader = Reader::new(bytes, "place");
        let read = |reader: &mut Reader<'_>| -> Result<Place> {
            let known = reader.u8()?;
            let (machine, file) = (reader.array()?, u64::from_be_bytes(reader.array()?));
            let machine = (known & 1 != 0).then_some(machine);
            Ok(Place { machine, file: (known & 2 != 0).then_some(file) })
        };
        let place = read(&mut reader).and_then(|place| reader.end().map(|()| place));
        place.map_err(|err| Error::corrupt(err.message()))
    }
}

/// Compares where the store lies with where it lay. If it was copied, it writes under
/// `incarnation` from now on, everywhere. Gives whether it was.
///
/// A state that remembers no place is new. If there is a log all the same, somebody has removed
/// the old state, and what it knew of names is gone with it.
pub(super) fn settle(
    database: &Database,
    place: Place,
    has_log: bool,
    moved: bool,
    incarnation: impl FnOnce() -> u32,
    now_ms: u64,
) -> Result<bool> {
    let stored = {
        let read = redb::ReadableDatabase::begin_read(database).map_err(db)?;
        tables::read(&read, tables::META, tables::META_PLACE)?
    };
    let stored = stored.map(|bytes| Place::decode(&bytes)).transpose()?;
    let copied = match stored {
        Some(stored) if stored == place => return Ok(false),
        Some(stored) => stored.differs(&place) && !moved,
        None => has_log,
    };
    let mut txn = database.begin_write().map_err(db)?;
    set_durability(&mut txn, true)?;
    let mut tables = Tables::open(&txn)?;
    set(&mut tables.meta, tables::META_PLACE, &place.encode())?;
    if copied {
        take_incarnation(&mut tables, incarnation())?;
        set(&mut tables.meta, tables::META_COPIED, &now_ms.to_be_bytes())?;
    }
    drop(tables);
    txn.commit().map_err(db)?;
    Ok(copied)
}

/// Whether a state remembers another place than `place`.
pub(super) fn is_elsewhere(read: &redb::ReadTransaction, place: &Place) -> Result<bool> {
    let stored = tables::read(read, tables::META, tables::META_PLACE)?;
    let stored = stored.map(|bytes| Place::decode(&bytes)).transpose()?;
    Ok(stored.is_some_and(|stored| stored.differs(place)))
}

fn take_incarnation(tables: &mut Tables<'_>, incarnation: u32) -> Result<()> {
    set(&mut tables.meta, tables::META_INCARNATION, &incarnation.to_be_bytes())?;
    let keys = |table: &tables::LazyTable<'_>| -> Result<Vec<Vec<u8>>> {
        let entries = table.iter().map_err(db)?;
        entries.map(|entry| entry.map(|(key, _)| key.value().to_vec()).map_err(db)).collect()
    };
    for name in keys(&tables.left)? {
        set(&mut tables.left, &name, &incarnation.to_be_bytes())?;
    }
    for number in keys(&tables.heads)? {
        let bytes = tables::get(&tables.heads, &number)?.unwrap_or_default();
        let mut row = HeadRow::decode(&bytes)?;
        (row.incarnation, row.exported) = (incarnation, 0);
        set(&mut tables.heads, &number, &row.encode())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_not_compared() {
        let place = |machine: Option<u8>, file| Place { machine: machine.map(|m| [m; 16]), file };
        let here = place(Some(1), Some(1));
        assert!(here.differs(&place(Some(2), Some(1))));
        assert!(here.differs(&place(Some(1), Some(2))));
        assert!(here.differs(&place(None, Some(2))));
        for same in [here, place(None, Some(1)), place(Some(1), None), place(None, None)] {
            assert!(!here.differs(&same) && !same.differs(&here));
            assert_eq!(Place::decode(&same.encode()).unwrap(), same);
        }
    }
}
