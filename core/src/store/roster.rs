//! The roster of a store: who belongs to its network, and what each may do.
//!
//! A store has none at first: then whoever it trusts may do everything, and it takes what anyone
//! has signed. It founds one, or joins that of another node by the founder's key; from then on
//! rights decide which transactions it takes ([`Admission`](super::admission)), which it writes,
//! and with whom it links. What rights are and how they come about is in [`txn::roster`].
//!
//! Rows of the table `roster`: `00` and a number, 4 bytes, in the order in which they came, of
//! a grant; `01` and 32 bytes, a hash of issuer, origin and collection, of a vouch; `02` and 32
//! bytes, its hash, of a succession; each is a signed statement. The founder's key is under `founder` of the table `meta`.
//!
//! Invariants: the roster changes only while no batch is being committed, so that every
//! transaction is admitted by the roster that is in force when it is applied. A store that may
//! write vouches for all that it holds of those who may not.
//!
//! [`txn::roster`]: crate::txn::roster

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, WriteTransaction};

use super::journal::{self, EventKind, NewEvent};
use super::tables::{self, db};
use super::{Inner, Store};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Hash, Head, NodeId, Origin, Seq};
use crate::limits::{MAX_MEMBER_EVENTS, MAX_VOUCHES_OF_MEMBER};
use crate::txn::roster::{
    Grant, Member, Right, Rights, Roster, RosterScope, Says, Statement, Vouch,
};
use crate::txn::{Dep, NetworkId, Signed};

const GRANT: u8 = 0;
const VOUCH: u8 = 1;
const SUCCESSION: u8 = 2;

/// Reads the roster of a store, if it has one.
pub(super) fn load(database: &Database, network: NetworkId) -> Result<Option<Arc<Roster>>> {
    let read = database.begin_read().map_err(db)?;
    Ok(read_all(&read, network, Statement::trusted)?.map(Arc::new))
}

/// The same, at the moment of a read transaction.
pub(super) fn at(read: &ReadTransaction, network: NetworkId) -> Result<Option<Roster>> {
    read_all(read, network, Statement::trusted)
}

/// The same, for who does not trust what is kept: signatures are checked, too.
pub(super) fn check(read: &ReadTransaction, network: NetworkId) -> Result<Option<Roster>> {
    read_all(read, network, Statement::verify)
}

fn read_all(
    read: &ReadTransaction,
    network: NetworkId,
    read_one: impl Fn(Vec<u8>, RosterScope) -> Result<Statement>,
) -> Result<Option<Roster>> {
    let Some(founder) = tables::read(read, tables::META, tables::META_FOUNDER)? else {
        return Ok(None);
    };
    let founder =
        founder.try_into().map_err(|_| Error::corrupt("the founder's key has not 32 bytes"))?;
    let scope = RosterScope { network, founder: NodeId::from_bytes(founder) };
    let mut roster = Roster::new(scope);
    let table = read.open_table(tables::ROSTER).map_err(db)?;
    let wrong = |err: Error| Error::corrupt(format!("the roster: {}", err.message()));
    let mut rest = Vec::new();
    for row in table.iter().map_err(db)? {
        let (_, bytes) = row.map_err(db)?;
        let statement = read_one(bytes.value().to_vec(), scope).map_err(wrong)?;
        match statement.says {
            Says::Grant(_) => roster.add(statement).map(drop).map_err(wrong)?,
            Says::Vouch(_) | Says::Succession(_) => rest.push(statement),
        }
    }
    add_beside(&mut roster, rest).map_err(wrong)?;
    Ok(Some(roster))
}

/// Adds what stands beside the grants, in whatever order: a succession counts after those of whom
/// its issuer succeeds, and a vouch after that by which its issuer may speak.
fn add_beside(roster: &mut Roster, statements: Vec<Statement>) -> Result<()> {
    let is_vouch = |one: &Statement| matches!(one.says, Says::Vouch(_));
    let (vouches, mut waiting): (Vec<_>, Vec<_>) = statements.into_iter().partition(is_vouch);
    let mut before = usize::MAX;
    while waiting.len() < before {
        before = waiting.len();
        let mut left = Vec::new();
        for statement in waiting {
            if !roster.add(statement.clone())? {
                left.push(statement);
            }
        }
        waiting = left;
    }
    vouches.into_iter().try_for_each(|vouch| roster.add(vouch).map(drop))
}

fn key_of(statement: &Statement, number: usize) -> Vec<u8> {
    match &statement.says {
        Says::Grant(_) => [&[GRANT], &(number as u32).to_be_bytes()[..]].concat(),
        Says::Succession(_) => [&[SUCCESSION], &statement.hash.0[..]].concat(),
        Says::Vouch(vouch) => {
            let mut hasher = blake3::Hasher::new();
            hasher.update(statement.issuer.as_bytes());
            hasher.update(&vouch.origin.to_bytes());
            hasher.update(vouch.collection.as_bytes());
            [&[VOUCH], &hasher.finalize().as_bytes()[..]].concat()
        }
    }
}

impl Inner {
    /// The roster, if the store has one.
    pub(super) fn roster(&self) -> Option<Arc<Roster>> {
        self.roster.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether this node may write in a collection.
    pub(super) fn check_may_write(&self, collection: &str) -> Result<()> {
        let right = self.roster().map(|roster| roster.right(&self.node, collection));
        match right {
            Some(right) if right < Right::Write => Err(Error::new(
                ErrorKind::Forbidden,
                format!(
                    "this node may not write in collection {collection}: its right there is '{}', as \
                     far as it has heard",
                    right.word()
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Changes the roster durably: keeps the statements that `change` gives and that are new,
    /// with whatever else it changes.
    pub(super) fn change_roster(
        &self,
        change: impl FnOnce(&mut Roster, &WriteTransaction) -> Result<Vec<Statement>>,
    ) -> Result<usize> {
        let made = RefCell::new(None);
        let change = |txn: &WriteTransaction| {
            let mut roster = Roster::clone(&*self.roster().ok_or_else(no_roster)?);
            let mut table = txn.open_table(tables::ROSTER).map_err(db)?;
            let mut grants = roster.grants();
            let mut new = 0;
            let mut members = BTreeSet::new();
            for statement in change(&mut roster, txn)? {
                if roster.add(statement.clone())? {
                    tables::set(&mut table, &key_of(&statement, grants), &statement.bytes)?;
                    grants = roster.grants();
                    new += 1;
                    members.extend(whom(&statement));
                }
                for gone in roster.take_dropped() {
                    table.remove(key_of(&gone, grants).as_slice()).map_err(db)?;
                }
            }
            self.note_members(txn, &members)?;
            *made.borrow_mut() = Some(Arc::new(roster));
            Ok(new)
        };
        let publish = |_: &mut _| self.set_roster(made.take());
        self.commit_beside_heads(change, publish)
    }

    fn note_members(&self, txn: &WriteTransaction, members: &BTreeSet<NodeId>) -> Result<()> {
        let changed = NewEvent::new(EventKind::MemberChanged);
        let events: Vec<NewEvent> = match members.len() {
            // Who hears of a whole roster at once is told of it in one line.
            count if count > MAX_MEMBER_EVENTS => vec![changed.counting(count as u64)],
            _ => members.iter().map(|member| changed.clone().about(*member)).collect(),
        };
        let mut table = txn.open_table(tables::EVENTS).map_err(db)?;
        journal::add(&mut table, self.wall.now_ms(), &events)
    }

    fn set_roster(&self, roster: Option<Arc<Roster>>) {
        if let Some(roster) = roster {
            *self.roster.write().unwrap_or_else(PoisonError::into_inner) = Some(roster);
        }
    }

    /// Begins with the roster of a founder, if that was not done before, and changes something
    /// else in the same commit.
    pub(super) fn begin_roster(
        &self,
        founder: NodeId,
        beside: impl FnOnce(&WriteTransaction) -> Result<()>,
    ) -> Result<()> {
        if let Some(roster) = self.roster() {
            return match roster.scope().founder == founder {
                true => self.commit_beside(beside),
                false => Err(Error::invalid(format!(
                    "the store belongs to the roster that node {} founded; a store belongs to one",
                    roster.scope().founder
                ))),
            };
        }
        let scope = RosterScope { network: self.network, founder };
        self.commit_beside_heads(
            |txn| {
                beside(txn)?;
                txn.open_table(tables::ROSTER).map_err(db)?;
                let mut meta = txn.open_table(tables::META).map_err(db)?;
                tables::set(&mut meta, tables::META_FOUNDER, founder.as_bytes())
            },
            |_| self.set_roster(Some(Arc::new(Roster::new(scope)))),
        )
    }

    /// Vouches for what is held of those who may not write, where this node may.
    pub(super) fn vouch(&self) -> Result<()> {
        if self.owed().is_empty() {
            return Ok(());
        }
        self.change_roster(|roster, _| {
            let sign = |vouch| Statement::sign(Says::Vouch(vouch), roster.scope(), &self.key);
            self.owed().into_iter().map(sign).collect()
        })?;
        self.announce();
        Ok(())
    }

    /// Vouches for what a valid transaction builds on and is not here, if its author may not write
    /// (any more) and nobody vouches for it. Whoever built on it held it and would vouch, but may be
    /// gone; and what it wrote is to be taken by all (schedule S12).
    ///
    /// Whoever may write can say to have built on anything: such vouches take up no more than half
    /// of the room that this node has for its own.
    pub(super) fn vouch_for_past(&self, collection: &str, signed: &Signed) -> Result<()> {
        let Some(roster) = self.roster() else { return Ok(()) };
        let dot = signed.txn.dot;
        let valid = |origin: &Origin| roster.valid_through(collection, origin);
        let may = roster.right(&self.node, collection) >= Right::Write
            && roster.vouches_of(&self.node) < MAX_VOUCHES_OF_MEMBER / 2;
        if !may || valid(&dot.origin) < dot.seq {
            return Ok(());
        }
        let vouch = |dep: &Dep| {
            let head = Head { seq: dep.seq, hash: dep.hash };
            let vouch = Vouch { collection: collection.to_owned(), origin: dep.origin, head };
            Statement::sign(Says::Vouch(vouch), roster.scope(), &self.key)
        };
        let unvouched = signed.txn.deps.iter().filter(|dep| valid(&dep.origin) < dep.seq);
        let vouches: Vec<Statement> = unvouched.map(vouch).collect::<Result<_>>()?;
        if vouches.is_empty() {
            return Ok(());
        }
        self.change_roster(|_, _| Ok(vouches))?;
        self.announce();
        Ok(())
    }

    fn owed(&self) -> Vec<Vouch> {
        let Some(roster) = self.roster() else { return Vec::new() };
        let heads = self.read_heads();
        let may = |name: &str| roster.right(&self.node, name) >= Right::Write;
        let mut owed = Vec::new();
        for head in heads.iter().filter(|head| may(&head.name)) {
            for (origin, row) in &head.vector {
                if roster.valid_through(&head.name, origin) < row.seq {
                    let held = Head { seq: row.seq, hash: row.hash.short() };
                    let collection = head.name.clone();
                    owed.push(Vouch { collection, origin: *origin, head: held });
                }
            }
        }
        owed
    }

    fn grant(&self, member: NodeId, name: &str, rights: Rights) -> Result<()> {
        self.change_roster(|roster, _| {
            let grant = Grant {
                after: roster.heads().clone(),
                time_ms: self.wall.now_ms(),
                member,
                name: name.to_owned(),
                rights,
            };
            Ok(vec![Statement::sign(Says::Grant(grant), roster.scope(), &self.key)?])
        })?;
        self.vouch()?;
        self.announce();
        Ok(())
    }
}

impl Store {
    /// Founds a roster: from now on rights decide who may do what. This node is its founder and
    /// may always do everything; `name` is what people call it. The peers that are trusted now
    /// become members that may write everywhere.
    ///
    /// Errors: [`ErrorKind::InvalidInput`] if the store belongs to a roster already.
    pub fn found_roster(&self, name: &str) -> Result<()> {
        if let Some(roster) = self.inner.roster() {
            return Err(Error::invalid(format!(
                "the store belongs to a roster already, which node {} founded",
                roster.scope().founder
            )));
        }
        let peers = self.trusted()?;
        self.inner.begin_roster(self.node_id(), |_| Ok(()))?;
        self.inner.grant(self.node_id(), name, Rights::everywhere(Right::Admin))?;
        for peer in peers {
            self.inner.grant(peer.node, "", Rights::everywhere(Right::Write))?;
        }
        Ok(())
    }

    /// Belongs to the roster that `founder` founded, from now on; what it says comes from peers.
    ///
    /// Errors: [`ErrorKind::InvalidInput`] if the store belongs to another.
    pub fn join_roster(&self, founder: NodeId) -> Result<()> {
        self.inner.begin_roster(founder, |_| Ok(()))?;
        self.inner.announce();
        Ok(())
    }

    /// Says what a member may do from now on, or makes somebody one; nothing at all is to revoke
    /// it. Without a name, it is called as before. It spreads like any change. What a member wrote that somebody who may write holds stays.
    ///
    /// A key that was lost to somebody else should never be granted anything again: then what
    /// that one wrote with it would be taken, too.
    ///
    /// Errors: [`ErrorKind::Forbidden`] if this node is not an admin where a right would change,
    /// or the member is an admin beside or above it there; [`ErrorKind::InvalidInput`] if the
    /// store has no roster, or for a name of over 128 bytes.
    pub fn grant<'a>(
        &self,
        member: NodeId,
        name: impl Into<Option<&'a str>>,
        rights: Rights,
    ) -> Result<()> {
        let roster = self.inner.roster().ok_or_else(no_roster)?;
        roster.check_may_grant(&self.node_id(), &member, &rights)?;
        let before = || roster.member(&member).map(|member| member.name).unwrap_or_default();
        let name = name.into().map_or_else(before, str::to_owned);
        self.inner.grant(member, &name, rights)
    }

    /// Takes all rights from a member. As [`Store::grant`], with its name as it is.
    pub fn revoke(&self, member: NodeId) -> Result<()> {
        self.grant(member, None, Rights::default())
    }

    /// All that the roster speaks of, also those that may do nothing any more; `None` if the
    /// store has no roster.
    pub fn members(&self) -> Option<Vec<Member>> {
        self.inner.roster().map(|roster| roster.members())
    }

    /// Who founded the roster, if the store has one.
    pub fn founder(&self) -> Option<NodeId> {
        self.inner.roster().map(|roster| roster.scope().founder)
    }

    /// What a node may do in a collection; everything, if the store has no roster.
    pub fn right(&self, node: &NodeId, collection: &str) -> Right {
        self.inner.roster().map_or(Right::Admin, |roster| roster.right(node, collection))
    }

    /// What a node may do, for its links; `None` if the store has no roster, or has heard nothing
    /// of it yet.
    pub fn rights(&self, node: &NodeId) -> Option<Rights> {
        let roster = self.inner.roster().filter(|roster| roster.grants() > 0)?;
        Some(roster.member(node).map(|member| member.rights).unwrap_or_default())
    }

    /// Whether a node may serve a snapshot of a collection: it needs the right to write there.
    pub fn check_may_serve(&self, node: &NodeId, collection: &str) -> Result<()> {
        match self.right(node, collection) >= Right::Write {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::Forbidden,
                format!(
                    "node {} may not write in collection {collection}, so no snapshot of it is \
                     taken from there",
                    node.short()
                ),
            )),
        }
    }

    /// The transactions that are here and that others do not take, as far as the roster is known
    /// here: their authors may not write, and nobody who may vouches for them. Of each
    /// collection: whose, up to which they are valid, and up to which they are here.
    pub fn not_valid(&self) -> Vec<(String, Origin, Seq, Seq)> {
        let Some(roster) = self.inner.roster() else { return Vec::new() };
        let heads = self.inner.read_heads();
        let mut found = Vec::new();
        for head in heads.iter() {
            for (origin, row) in &head.vector {
                let valid = roster.valid_through(&head.name, origin);
                if valid < row.seq {
                    found.push((head.name.clone(), *origin, valid, row.seq));
                }
            }
        }
        found
    }

    /// The founder and the digest of the roster, if there is one.
    pub fn roster_digest(&self) -> Option<(NodeId, Hash)> {
        self.inner.roster().map(|roster| (roster.scope().founder, roster.digest()))
    }

    /// The hashes of all statements of the roster, sorted.
    pub fn statements_held(&self) -> Vec<Hash> {
        let Some(roster) = self.inner.roster() else { return Vec::new() };
        let mut hashes: Vec<Hash> = roster.statements().map(|statement| statement.hash).collect();
        hashes.sort_unstable();
        hashes
    }

    /// The statements that are not among `known`, which is sorted, each after those it follows.
    pub fn statements_beyond(&self, known: &[Hash]) -> Vec<Vec<u8>> {
        let Some(roster) = self.inner.roster() else { return Vec::new() };
        let new = roster.statements().filter(|one| known.binary_search(&one.hash).is_err());
        new.map(|statement| statement.bytes.clone()).collect()
    }

    /// Takes statements of a peer, each after those it follows. Durable when this returns. Gives
    /// how many were new.
    ///
    /// Errors: [`ErrorKind::InvalidTransaction`], [`ErrorKind::MissingDependency`],
    /// [`ErrorKind::LimitExceeded`]: nothing was kept.
    pub fn add_statements(&self, statements: Vec<Vec<u8>>) -> Result<usize> {
        let roster = self.inner.roster().ok_or_else(no_roster)?;
        let mut statements: Vec<Statement> = statements
            .into_iter()
            .map(|bytes| Statement::verify(bytes, roster.scope()))
            .collect::<Result<_>>()?;
        statements.retain(|statement| !roster.holds(statement));
        // What counts for nothing by what is known costs no commit.
        let mut tried = Roster::clone(&roster);
        let mut any = false;
        for statement in &statements {
            any |= tried.add(statement.clone())?;
        }
        if !any {
            return Ok(0);
        }
        let new = self.inner.change_roster(|_, _| Ok(statements))?;
        self.inner.vouch()?;
        self.inner.follow_heirs()?;
        self.inner.announce();
        Ok(new)
    }
}

/// Whom a statement is about, if it changes what that member may do or by which key it goes.
fn whom(statement: &Statement) -> Vec<NodeId> {
    match &statement.says {
        Says::Grant(grant) => vec![grant.member],
        Says::Succession(succession) => vec![statement.issuer, succession.heir],
        Says::Vouch(_) => Vec::new(),
    }
}

pub(super) fn no_roster() -> Error {
    Error::invalid("the store has no roster: found one, or join that of another node")
}
