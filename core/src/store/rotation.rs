//! A node changes its key, and keeps its history and its membership.
//!
//! It is done while nobody has the store open: the new key is written beside the old one
//! (`node.key.next`), one durable commit of `state.redb` says that it is in force, and then the file
//! takes its place. With a roster the same commit has the [`Succession`], by which peers know the
//! new key for the member's, and vouches for all that was written with the old one; an admin
//! grants its rights to the new key by name beside that. What was not sent yet stays signed as it
//! is, and is sent as others' transactions are. Every collection goes on under a new incarnation.
//!
//! A peer that has not heard of it knows the old key only. So that one is kept, in
//! `node.key.former`, to link with such a peer once and tell it; nothing else is done with it. It
//! goes when all have linked with the new key to whom the store was linked before, or who are no
//! members any more, and the founder has: the others may have been cut off without this node's having
//! heard, and then nobody passes on what they were told. Only the founder is never cut off.
//!
//! The row `keys` of the table `meta`: the old key 32, the new one 32, count, each 32: a node that
//! has yet to link with the new key.
//!
//! Invariants: at every moment the row tells which of the files is in force; opening the store
//! finishes what was begun, or forgets it. A file goes only after the row that does without it is
//! durable.
//!
//! Does not know: how peers link.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, WriteTransaction};

use super::commit::lock;
use super::disk::Disk;
use super::key_file::{self, FORMER, KEY, NEXT, Passphrase};
use super::open::sync_directory;
use super::tables::{self, HeadRow, db, set};
use super::{Inner, Options, Store, peers};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Head, NodeId};
use crate::txn::NodeKey;
use crate::txn::roster::{Grant, Right, Rights, Roster, Says, Statement, Succession, Vouch};
use crate::wire::{Reader, put_uint};

/// What became of a change of the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyChange {
    /// The key that was given up.
    pub from: NodeId,
    /// The key that stands for this node now.
    pub to: NodeId,
    /// Those who have yet to hear of it. With a roster they do by themselves when they link with
    /// this node; without one somebody has to tell them.
    pub untold: BTreeSet<NodeId>,
}

impl KeyChange {
    fn encode(&self) -> Vec<u8> {
        let mut out = [&self.from.as_bytes()[..], self.to.as_bytes()].concat();
        put_uint(&mut out, self.untold.len() as u64);
        self.untold.iter().for_each(|node| out.extend_from_slice(node.as_bytes()));
        out
    }

    fn decode(bytes: &[u8]) -> Result<KeyChange> {
        let mut reader = Reader::new(bytes, "change of the key");
        let read = |reader: &mut Reader<'_>| -> Result<KeyChange> {
            let from = NodeId::from_bytes(reader.array()?);
            let to = NodeId::from_bytes(reader.array()?);
            let untold = (0..reader.count()?).map(|_| reader.array().map(NodeId::from_bytes));
            Ok(KeyChange { from, to, untold: untold.collect::<Result<_>>()? })
        };
        let change = read(&mut reader).and_then(|change| reader.end().map(|()| change));
        change.map_err(|err| Error::corrupt(err.message()))
    }
}

/// The last change of the key, if there was one.
pub(super) fn load(read: &ReadTransaction) -> Result<Option<KeyChange>> {
    let bytes = tables::read(read, tables::META, tables::META_KEYS)?;
    bytes.map(|bytes| KeyChange::decode(&bytes)).transpose()
}

fn keep(txn: &WriteTransaction, change: &KeyChange) -> Result<()> {
    let mut meta = txn.open_table(tables::META).map_err(db)?;
    set(&mut meta, tables::META_KEYS, &change.encode())
}

/// Finishes a change of the key that was cut short, or forgets it, as the state says; `read` is the
/// key in `node.key`. Gives the key in force, and the former one, if that is needed yet.
pub(super) fn settle(
    database: &Database,
    path: &Path,
    read: NodeKey,
    passphrase: Option<&Passphrase>,
) -> Result<(NodeKey, Option<NodeKey>)> {
    let change = load(&database.begin_read().map_err(db)?)?;
    let Some(change) = change else {
        forget(path, &[NEXT, FORMER])?;
        return Ok((read, None));
    };
    let key = match read.id() {
        id if id == change.from => take_place(path, &change, passphrase)?,
        id => {
            forget(path, &[NEXT])?;
            if id != change.to {
                // Somebody has put another key there.
                return Ok((read, None));
            }
            read
        }
    };
    if change.untold.is_empty() {
        forget(path, &[FORMER])?;
        return Ok((key, None));
    }
    let former = key_file::read_named(path, FORMER, passphrase).ok();
    Ok((key, former.filter(|former| former.id() == change.from)))
}

/// Checks the key that its owner gave: one that was given up is in force no more. Gives the former
/// one, if that is needed yet.
pub(super) fn check(
    database: &Database,
    given: &NodeKey,
    former: Option<NodeKey>,
) -> Result<Option<NodeKey>> {
    let Some(change) = load(&database.begin_read().map_err(db)?)? else { return Ok(None) };
    if given.id() == change.from {
        let what = format!("this key was given up for {}", change.to.short());
        return Err(Error::new(ErrorKind::Forbidden, what));
    }
    let needed = given.id() == change.to && !change.untold.is_empty();
    Ok(former.filter(|former| needed && former.id() == change.from))
}

/// The new key takes the place of the old one.
fn take_place(path: &Path, change: &KeyChange, passphrase: Option<&Passphrase>) -> Result<NodeKey> {
    let (next, key) = (path.join(NEXT), path.join(KEY));
    if !next.exists() {
        return Err(Error::corrupt(format!(
            "{} holds the key that was given up for {}, and {} is not there: put it back, or have \
             this node replaced",
            key.display(),
            change.to.short(),
            next.display()
        )));
    }
    let new = key_file::read_named(path, NEXT, passphrase)?;
    if new.id() != change.to {
        return Err(Error::corrupt(format!("{} holds another key", next.display())));
    }
    let doing = |err| Error::io(format!("replace {}", key.display()), err);
    fs::rename(&next, &key).map_err(doing)?;
    sync_directory(path).map_err(doing)?;
    Ok(new)
}

fn forget(path: &Path, names: &[&str]) -> Result<()> {
    let there = names.iter().map(|name| path.join(name)).filter(|file| file.exists());
    let mut any = false;
    for file in there {
        fs::remove_file(&file)
            .map_err(|err| Error::io(format!("remove {}", file.display()), err))?;
        any = true;
    }
    match any {
        true => sync_directory(path).map_err(|err| Error::io("sync the store's directory", err)),
        false => Ok(()),
    }
}

impl Options {
    /// Gives the store in a directory, which nobody may have open, a new key: it goes on with its
    /// history, and as the member that it was. What it has written stays as it is. Cut short at any
    /// moment, it is finished or forgotten when the store is opened next.
    ///
    /// Members of its roster hear of the new key when they link with this node. Without a roster
    /// peers go by the key alone, so somebody has to tell them the new one.
    ///
    /// Errors: [`Forbidden`](crate::ErrorKind::Forbidden) if the node founded its roster, or is no member
    /// of it; [`InvalidInput`](crate::ErrorKind::InvalidInput) if some have not heard of the last change
    /// yet, or the key was given in these options; as of opening.
    pub fn rotate_key(self, path: impl AsRef<Path>) -> Result<KeyChange> {
        let path = path.as_ref();
        if self.key.is_some() {
            return Err(Error::invalid("only a key that lies with its store can be changed"));
        }
        let passphrase = self.passphrase.clone();
        let store = self.create(false).open(path)?;
        let changed = store.inner.rotate(path, passphrase.as_ref());
        // What was committed is in force, whatever comes of closing.
        let closed = store.close();
        let change = changed?;
        closed?;
        Ok(change)
    }

    /// [`rotate_key`](Options::rotate_key) for a store on a disk of one's own, whose key its owner
    /// keeps: from [`Options::key`] to `new`. Cut short, it has happened or not: then the store
    /// opens with one of the two, and says [`Forbidden`](crate::ErrorKind::Forbidden) to the other
    /// if it was given up. The store that has changed it keeps the old one to tell peers with if
    /// it is given to [`Options::former_key`].
    ///
    /// Errors: as of [`rotate_key`](Options::rotate_key).
    pub fn rotate_key_on(self, disk: Arc<dyn Disk>, new: &NodeKey) -> Result<KeyChange> {
        let store = self.create(false).open_on(disk)?;
        let changed = store.inner.check_may_rotate().and_then(|()| store.inner.change_key(new));
        let closed = store.close();
        let change = changed?;
        closed?;
        Ok(change)
    }
}

impl Inner {
    fn rotate(&self, path: &Path, passphrase: Option<&Passphrase>) -> Result<KeyChange> {
        self.check_may_rotate()?;
        let new = key_file::fresh()?;
        forget(path, &[NEXT, FORMER])?;
        key_file::write_named(path, NEXT, &new, passphrase)?;
        key_file::write_named(path, FORMER, &self.key, passphrase)?;
        sync_directory(path).map_err(|err| Error::io("sync the store's directory", err))?;
        let change = self.change_key(&new)?;
        take_place(path, &change, passphrase)?;
        if change.untold.is_empty() || self.roster().is_none() {
            forget(path, &[FORMER])?;
        }
        Ok(change)
    }

    /// One durable commit: from then on the new key is in force.
    fn change_key(&self, new: &NodeKey) -> Result<KeyChange> {
        let change = KeyChange { from: self.node, to: new.id(), untold: self.to_be_told()? };
        self.flush()?;
        match self.roster() {
            None => self.commit_beside(|txn| self.renew(txn, &change))?,
            Some(_) => {
                self.change_roster(|roster, txn| {
                    self.renew(txn, &change)?;
                    self.succession(roster, new)
                })?;
            }
        }
        Ok(change)
    }

    fn check_may_rotate(&self) -> Result<()> {
        if let Some(roster) = self.roster() {
            roster.check_may_succeed(&self.node)?;
        }
        let read = self.database()?.begin_read().map_err(db)?;
        let (Some(last), Some(roster)) = (load(&read)?, self.roster()) else { return Ok(()) };
        let (mut untold, founder) = (last.untold, roster.scope().founder);
        let linked = self.linked_before(&read, &roster)?;
        if !linked.is_empty() && !linked.contains(&founder) {
            // It hears from others, who were told; only they hold a further change up.
            untold.remove(&founder);
        }
        match untold.is_empty() {
            true => Ok(()),
            false => Err(Error::invalid(format!(
                "the key was changed before, and {} have not heard of that yet: link with them, or \
                 revoke those that are gone, and change it again then",
                names(&untold)
            ))),
        }
    }

    /// Those who are to be told of a new key: with whom this store was linked, as far as it knows,
    /// or else all members, and the founder.
    fn to_be_told(&self) -> Result<BTreeSet<NodeId>> {
        let read = self.database()?.begin_read().map_err(db)?;
        let Some(roster) = self.roster() else {
            return Ok(peers::list(&read)?.into_iter().map(|peer| peer.node).collect());
        };
        let mut told = self.linked_before(&read, &roster)?;
        if told.is_empty() {
            told = roster.members().into_iter().map(|member| member.node).collect();
        }
        told.insert(roster.scope().founder);
        told.retain(|node| *node != self.node && roster.is_member(node));
        Ok(told)
    }

    /// The other members with whom this store was linked, as far as it knows.
    fn linked_before(&self, read: &ReadTransaction, roster: &Roster) -> Result<BTreeSet<NodeId>> {
        let named = peers::list(read)?.into_iter().map(|peer| peer.node);
        Ok(named.filter(|node| *node != self.node && roster.is_member(node)).collect())
    }

    /// The state as it is for the new key.
    fn renew(&self, txn: &WriteTransaction, change: &KeyChange) -> Result<()> {
        let incarnation = self.unused_incarnation();
        let mut heads = txn.open_table(tables::HEADS).map_err(db)?;
        let mut rows = Vec::new();
        for entry in heads.iter().map_err(db)? {
            let (key, value) = entry.map_err(db)?;
            rows.push((key.value().to_vec(), HeadRow::decode(value.value())?));
        }
        for (key, mut row) in rows {
            (row.incarnation, row.exported) = (incarnation, 0);
            set(&mut heads, &key, &row.encode())?;
        }
        let mut left = txn.open_table(tables::LEFT).map_err(db)?;
        let mut names = Vec::new();
        for entry in left.iter().map_err(db)? {
            names.push(entry.map_err(db)?.0.value().to_vec());
        }
        for name in names {
            set(&mut left, &name, &incarnation.to_be_bytes())?;
        }
        let mut meta = txn.open_table(tables::META).map_err(db)?;
        set(&mut meta, tables::META_INCARNATION, &incarnation.to_be_bytes())?;
        drop(meta);
        keep(txn, change)
    }

    /// What is said in the roster: the succession, and what the new key vouches for.
    fn succession(&self, roster: &Roster, new: &NodeKey) -> Result<Vec<Statement>> {
        let (scope, time_ms) = (roster.scope(), self.wall.now_ms());
        let mut roster = roster.clone();
        let mut said = Vec::new();
        let member = roster.member(&self.node);
        if let Some(member) = member.filter(|_| roster.is_admin_anywhere(&self.node)) {
            let after = roster.heads().clone();
            let (name, rights): (String, Rights) = (member.name, member.rights);
            let grant = Grant { after, time_ms, member: new.id(), name, rights };
            said.push(Statement::sign(Says::Grant(grant), scope, &self.key)?);
            roster.add(said[0].clone())?;
        }
        let after = roster.heads().clone();
        let succession = Succession::new(after, time_ms, scope, self.node, new);
        let succession = Statement::sign(Says::Succession(succession), scope, &self.key)?;
        roster.add(succession.clone())?;
        said.push(succession);
        for head in self.read_heads().iter() {
            if roster.right(&new.id(), &head.name) < Right::Write {
                continue;
            }
            for (origin, row) in &head.vector {
                if roster.valid_through(&head.name, origin) < row.seq {
                    let held = Head { seq: row.seq, hash: row.hash.short() };
                    let collection = head.name.clone();
                    let vouch = Vouch { collection, origin: *origin, head: held };
                    let vouch = Statement::sign(Says::Vouch(vouch), scope, new)?;
                    roster.add(vouch.clone())?;
                    said.push(vouch);
                }
            }
        }
        Ok(said)
    }

    /// What is kept of peers whose keys were changed is kept of their new ones.
    pub(super) fn follow_heirs(&self) -> Result<()> {
        let Some(roster) = self.roster() else { return Ok(()) };
        let named = peers::list(&self.database()?.begin_read().map_err(db)?)?;
        let heir = |node: NodeId| {
            roster.last_key(&node).filter(|last| *last != node).map(|last| (node, last))
        };
        let moved: Vec<_> = named.into_iter().filter_map(|peer| heir(peer.node)).collect();
        if moved.is_empty() {
            return Ok(());
        }
        self.commit_beside(|txn| {
            moved.iter().try_for_each(|(from, to)| peers::rename(txn, from, to))
        })
    }
}

impl Store {
    /// The last change of this node's key, if there was one; those who have yet to hear of it are
    /// such as may still link.
    pub fn key_change(&self) -> Result<Option<KeyChange>> {
        let mut change = load(&self.inner.database()?.begin_read().map_err(db)?)?;
        if let (Some(change), Some(roster)) = (&mut change, self.inner.roster()) {
            change.untold.retain(|node| roster.is_member(node));
        }
        Ok(change.filter(|change| change.to == self.node_id()))
    }

    /// The key that this node had before, as long as somebody knows no other: with it the node
    /// shows who it was to those, and does nothing else.
    pub fn former_key(&self) -> Option<NodeKey> {
        lock(&self.inner.former).clone()
    }

    /// The key that stands now for the member whose key this was, if it was changed.
    pub fn heir_of(&self, node: &NodeId) -> Option<NodeId> {
        let last = self.inner.roster()?.last_key(node)?;
        (last != *node).then_some(last)
    }

    /// Notes that a node has linked with the present key, so that it need not be told of it.
    pub fn note_told(&self, node: &NodeId) -> Result<()> {
        if lock(&self.inner.former).is_none() {
            return Ok(());
        }
        let Some(mut change) = self.key_change()? else { return Ok(()) };
        let known = !change.untold.remove(node);
        if known && !change.untold.is_empty() {
            return Ok(());
        }
        self.inner.commit_beside(|txn| keep(txn, &change))?;
        if !change.untold.is_empty() {
            return Ok(());
        }
        lock(&self.inner.former).take();
        match &self.inner.path {
            Some(path) => forget(path, &[FORMER]),
            None => Ok(()),
        }
    }
}

/// Nodes, for people.
fn names(nodes: &BTreeSet<NodeId>) -> String {
    nodes.iter().map(|node| node.short()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_reads_as_it_was_written() {
        let node = |n| NodeId::from_bytes([n; 32]);
        let change = KeyChange { from: node(1), to: node(2), untold: [node(3), node(4)].into() };
        assert_eq!(KeyChange::decode(&change.encode()).unwrap(), change);
        let cut = |len: usize| KeyChange::decode(&change.encode()[..len]).unwrap_err().kind();
        assert!((0..change.encode().len()).all(|len| cut(len) == ErrorKind::Corrupt));
    }
}
