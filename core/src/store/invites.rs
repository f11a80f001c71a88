//! Invitations: who may become a member by showing the secret of a ticket.
//!
//! A row of the table `invites`: key is the invitation's name, 32 bytes, a hash of the secret,
//! which is not kept; value is version `01`, when it was made and when it expires, in Unix
//! milliseconds, 8 each, uses left, 4, whether it was revoked, 1, length and name of the new
//! member (empty: what it says), rights as in a grant, count of those who used it, each: node
//! key, 32, and when, 8. Numbers are big-endian.
//!
//! Invariants: the grant, the use of the invitation and the new peer are one durable commit, so
//! that a ticket for one never lets in two, and nobody is let in without a trace. Whoever comes
//! again, because the answer was lost, gets the same one and uses nothing up. No ticket gives
//! anything to a member whose rights were taken: that would make valid what others wrote with
//! its key.
//!
//! Does not know: how a ticket travels, and how often somebody may try.

use std::cell::RefCell;
use std::sync::{Arc, PoisonError};

use redb::{ReadTransaction, ReadableDatabase, ReadableTable};

use super::tables::{self, db};
use super::{Inner, Store, peers};
use crate::error::{Error, ErrorKind, Result};
use crate::id::NodeId;
use crate::limits::{MAX_INVITE_MS, MAX_INVITE_USES, MAX_INVITES, WELCOME_STATEMENTS_BYTES};
use crate::txn::joining::{JoinRefusal, JoinRequest, Welcome, check_member_name};
use crate::txn::roster::{
    Grant, Right, Rights, Roster, RosterScope, Says, Statement, put_rights, read_rights,
};
use crate::txn::ticket::{InviteId, Ticket, TicketSecret};
use crate::wire::{Reader, put_bytes, put_uint};

const VERSION: u8 = 1;

/// What a ticket is to give, and to how many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InviteOptions {
    /// What the new member may do.
    pub rights: Rights,
    /// What it is called; empty: as it calls itself.
    pub name: String,
    /// For how long the ticket is good, in milliseconds: at most [`MAX_INVITE_MS`].
    pub lives_ms: u64,
    /// How many may join with it: at most [`MAX_INVITE_USES`].
    pub uses: u32,
    /// Where this node may be reached, `host:port`, the likeliest first.
    pub addresses: Vec<String>,
    /// What this node is called, if it founds the roster now.
    pub own_name: String,
}

impl InviteOptions {
    /// These rights, to one node, for an hour.
    pub fn new(rights: Rights, addresses: Vec<String>) -> InviteOptions {
        let (name, own_name) = (String::new(), String::new());
        InviteOptions { rights, name, lives_ms: 3_600_000, uses: 1, addresses, own_name }
    }

    fn check(&self) -> Result<()> {
        if self.rights == Rights::default() {
            return Err(Error::invalid("an invitation that gives no right is of no use"));
        }
        if self.lives_ms == 0 || self.lives_ms > MAX_INVITE_MS {
            let days = MAX_INVITE_MS / 86_400_000;
            return Err(Error::invalid(format!("a ticket is good for up to {days} days")));
        }
        if self.uses == 0 || self.uses > MAX_INVITE_USES {
            return Err(Error::invalid(format!(
                "a ticket is for 1 to {MAX_INVITE_USES} nodes, not for {}",
                self.uses
            )));
        }
        check_member_name(&self.name)?;
        check_member_name(&self.own_name)
    }
}

/// An invitation, as it is kept: without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    /// Its name.
    pub id: InviteId,
    /// What the new member may do.
    pub rights: Rights,
    /// What it is to be called; empty: as it calls itself.
    pub name: String,
    /// When it was made, in Unix milliseconds.
    pub made_ms: u64,
    /// Until when it is good.
    pub expires_ms: u64,
    /// How many more may join with it.
    pub uses_left: u32,
    /// Whether it was revoked.
    pub revoked: bool,
    /// Who joined with it, and when.
    pub used_by: Vec<(NodeId, u64)>,
}

impl Invite {
    /// Why nobody can join with it any more, at this time; `None` if somebody can.
    pub fn closed(&self, now_ms: u64) -> Option<JoinRefusal> {
        match self {
            _ if self.revoked => Some(JoinRefusal::Revoked),
            _ if self.uses_left == 0 => Some(JoinRefusal::Used),
            _ if now_ms >= self.expires_ms => Some(JoinRefusal::Expired),
            _ => None,
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(&self.made_ms.to_be_bytes());
        out.extend_from_slice(&self.expires_ms.to_be_bytes());
        out.extend_from_slice(&self.uses_left.to_be_bytes());
        out.push(self.revoked.into());
        put_bytes(&mut out, self.name.as_bytes());
        put_rights(&mut out, &self.rights);
        put_uint(&mut out, self.used_by.len() as u64);
        for (node, at_ms) in &self.used_by {
            out.extend_from_slice(node.as_bytes());
            out.extend_from_slice(&at_ms.to_be_bytes());
        }
        out
    }

    fn decode(key: &[u8], bytes: &[u8]) -> Result<Invite> {
        let mut reader = Reader::new(bytes, "invitation");
        let read = read_row(key, &mut reader).and_then(|row| reader.end().map(|()| row));
        read.map_err(|err| Error::corrupt(err.message()))
    }
}

fn read_row(key: &[u8], reader: &mut Reader<'_>) -> Result<Invite> {
    let id = key.try_into().map_err(|_| reader.bad("its name has not 32 bytes"))?;
    if reader.u8()? != VERSION {
        return Err(reader.bad("unknown version"));
    }
    let made_ms = u64::from_be_bytes(reader.array()?);
    let expires_ms = u64::from_be_bytes(reader.array()?);
    let uses_left = u32::from_be_bytes(reader.array()?);
    let revoked = match reader.u8()? {
        0 => false,
        1 => true,
        _ => return Err(reader.bad("neither revoked nor not")),
    };
    let name = reader.str()?.to_owned();
    let rights = read_rights(reader)?;
    let count = reader.count()?;
    let user = |reader: &mut Reader<'_>| {
        Ok((NodeId::from_bytes(reader.array()?), u64::from_be_bytes(reader.array()?)))
    };
    let used_by = (0..count).map(|_| user(reader)).collect::<Result<_>>()?;
    let id = InviteId::from_bytes(id);
    Ok(Invite { id, rights, name, made_ms, expires_ms, uses_left, revoked, used_by })
}

/// Reads a row of the table, and panics if it is not written again as it was: see
/// [`door`](super::door).
pub(super) fn read_back_invite(bytes: &[u8]) {
    if let Ok(row) = Invite::decode(&[7; 32], bytes) {
        assert_eq!(row.encode(), bytes);
    }
}

/// A row, for [`door`](super::door).
pub(super) fn sample() -> Vec<u8> {
    let rights = Rights::only(Right::Write, ["notes"]);
    let used_by = vec![(NodeId::from_bytes([3; 32]), 9)];
    let (id, name) = (InviteId::from_bytes([7; 32]), "phone".to_owned());
    let (made_ms, expires_ms, uses_left, revoked) = (1, 2, 3, true);
    let invite = Invite { id, rights, name, made_ms, expires_ms, uses_left, revoked, used_by };
    invite.encode()
}

/// All rows of the table.
fn rows(table: &impl ReadableTable<&'static [u8], &'static [u8]>) -> Result<Vec<Invite>> {
    let mut found = Vec::new();
    for row in table.iter().map_err(db)? {
        let (key, value) = row.map_err(db)?;
        found.push(Invite::decode(key.value(), value.value())?);
    }
    Ok(found)
}

/// The invitations of a store; none of one that was made before there were any.
pub(super) fn list(read: &ReadTransaction) -> Result<Vec<Invite>> {
    match read.open_table(tables::INVITES) {
        Ok(table) => rows(&table),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(Vec::new()),
        Err(err) => Err(db(err)),
    }
}

/// Until when somebody may join, as long as nothing changes.
pub(super) fn open_until_ms(read: &ReadTransaction) -> Result<u64> {
    let open = list(read)?.into_iter().filter(|invite| invite.closed(0).is_none());
    Ok(open.map(|invite| invite.expires_ms).max().unwrap_or(0))
}

/// What is to be done about somebody who wants to join.
enum Verdict {
    Refuse(JoinRefusal),
    /// It is a member by this very ticket: it was not told.
    Again,
    /// It gets these rights by this invitation.
    Admit(Invite, Rights),
}

impl Inner {
    /// Decides, in a time that does not tell how much of a secret is right.
    fn judge(
        &self,
        invites: &[Invite],
        guest: &NodeId,
        request: &JoinRequest,
        roster: &Roster,
    ) -> Verdict {
        let wanted = request.secret.invite();
        let mut found = None;
        for invite in invites {
            if invite.id.is_same(&wanted) {
                found = Some(invite);
            }
        }
        let Some(invite) = found else { return Verdict::Refuse(JoinRefusal::Unknown) };
        let member = roster.member(guest);
        let former = member.as_ref().is_some_and(|member| member.rights == Rights::default());
        if invite.used_by.iter().any(|(node, _)| node == guest) && !former {
            return Verdict::Again;
        }
        if let Some(why) = invite.closed(self.wall.now_ms()) {
            return Verdict::Refuse(why);
        }
        let elsewhere = request.network != self.network
            || request.founder.is_some_and(|founder| founder != roster.scope().founder);
        if elsewhere || *guest == self.node {
            return Verdict::Refuse(JoinRefusal::Elsewhere);
        }
        if former {
            return Verdict::Refuse(JoinRefusal::Former);
        }
        let held = member.map(|member| member.rights).unwrap_or_default();
        let rights = held.or_higher(&invite.rights);
        match rights != held && roster.check_may_grant(&self.node, guest, &rights).is_err() {
            true => Verdict::Refuse(JoinRefusal::NotAdmin),
            false => Verdict::Admit(invite.clone(), rights),
        }
    }

    /// Changes the table durably; gives what `change` does.
    fn change_invites<T>(
        &self,
        change: impl FnOnce(&mut tables::BytesTable<'_>) -> Result<T>,
    ) -> Result<T> {
        let done =
            self.commit_beside(|txn| change(&mut txn.open_table(tables::INVITES).map_err(db)?))?;
        self.note_open()?;
        Ok(done)
    }

    /// Notes until when somebody may join. Whoever comes last has seen all that was committed.
    fn note_open(&self) -> Result<()> {
        let mut until = self.open_until_ms.lock().unwrap_or_else(PoisonError::into_inner);
        *until = open_until_ms(&self.database()?.begin_read().map_err(db)?)?;
        Ok(())
    }

    fn welcome(&self, guest: &NodeId, roster: &Roster) -> Welcome {
        let named = |node: &NodeId| roster.member(node);
        let bytes: usize = roster.statements().map(|statement| statement.bytes.len()).sum();
        let statements = roster.statements().map(|statement| statement.bytes.clone());
        Welcome {
            statements: match bytes <= WELCOME_STATEMENTS_BYTES {
                true => statements.collect(),
                false => Vec::new(),
            },
            founder: roster.scope().founder,
            inviter: named(&self.node).map(|member| member.name).unwrap_or_default(),
            rights: named(guest).map(|member| member.rights).unwrap_or_default(),
        }
    }

    /// Makes a member, if it may still become one: grant, use and peer in one commit.
    fn take_in(&self, guest: &NodeId, request: &JoinRequest) -> Result<Result<(), JoinRefusal>> {
        let refused = RefCell::new(None);
        self.change_roster(|roster, txn| {
            let mut table = txn.open_table(tables::INVITES).map_err(db)?;
            let invites = rows(&table)?;
            let (mut invite, rights) = match self.judge(&invites, guest, request, roster) {
                Verdict::Admit(invite, rights) => (invite, rights),
                Verdict::Again => return Ok(Vec::new()),
                Verdict::Refuse(why) => {
                    *refused.borrow_mut() = Some(why);
                    return Ok(Vec::new());
                }
            };
            let now_ms = self.wall.now_ms();
            let name = [&invite.name, &request.name].into_iter().find(|name| !name.is_empty());
            let known = roster.member(guest).filter(|member| !member.name.is_empty());
            let name = known.map(|member| member.name).or(name.cloned()).unwrap_or_default();
            let grant = Grant {
                after: roster.heads().clone(),
                time_ms: now_ms,
                member: *guest,
                name,
                rights,
            };
            let grant = Statement::sign(Says::Grant(grant), roster.scope(), &self.key)?;
            invite.uses_left -= 1;
            invite.used_by.push((*guest, now_ms));
            tables::set(&mut table, invite.id.as_bytes(), &invite.encode())?;
            peers::note(txn, guest, None)?;
            Ok(vec![grant])
        })?;
        self.note_open()?;
        match refused.take() {
            Some(why) => Ok(Err(why)),
            None => Ok(Ok(())),
        }
    }
}

impl Store {
    /// Makes a ticket: whoever shows it becomes a member. A store without a roster, that trusts
    /// nobody yet, founds one by that.
    ///
    /// Errors: [`ErrorKind::Forbidden`] if this node may not give these rights;
    /// [`ErrorKind::InvalidInput`] for options that make no sense, and if there are peers but no
    /// roster: [`Store::found_roster`] makes them members; [`ErrorKind::LimitExceeded`] for too
    /// many open invitations.
    pub fn invite(&self, options: &InviteOptions) -> Result<Ticket> {
        options.check()?;
        let now_ms = self.inner.wall.now_ms();
        let ticket = Ticket {
            network: self.network(),
            inviter: self.node_id(),
            secret: draw()?,
            expires_ms: now_ms.saturating_add(options.lives_ms),
            addresses: options.addresses.clone(),
        };
        ticket.check()?;
        let roster = match self.inner.roster() {
            Some(roster) => roster,
            None => self.found_for_first(&options.own_name)?,
        };
        // Whoever comes is nobody yet: so is the node with a key that nobody has.
        let nobody = NodeId::from_bytes(*ticket.secret.invite().as_bytes());
        roster.check_may_grant(&self.node_id(), &nobody, &options.rights)?;
        let invite = Invite {
            id: ticket.secret.invite(),
            rights: options.rights.clone(),
            name: options.name.clone(),
            made_ms: now_ms,
            expires_ms: ticket.expires_ms,
            uses_left: options.uses,
            revoked: false,
            used_by: Vec::new(),
        };
        self.inner.change_invites(|table| {
            make_room(table, now_ms)?;
            tables::set(table, invite.id.as_bytes(), &invite.encode())
        })?;
        Ok(ticket)
    }

    fn found_for_first(&self, name: &str) -> Result<Arc<Roster>> {
        if !self.trusted()?.is_empty() {
            return Err(Error::invalid(
                "this store has peers and no roster yet; found one first, which makes those peers \
                 members that may write everywhere: `littoral found-roster`. They join it with a \
                 ticket each, and sync again when they have",
            ));
        }
        self.found_roster(name)?;
        self.inner.roster().ok_or_else(|| Error::new(ErrorKind::Internal, "no roster was founded"))
    }

    /// All invitations that are remembered, also those that let nobody in any more, in the order
    /// in which they were made.
    pub fn invites(&self) -> Result<Vec<Invite>> {
        let mut invites = list(&self.inner.database()?.begin_read().map_err(db)?)?;
        invites.sort_by_key(|invite| (invite.made_ms, invite.id));
        Ok(invites)
    }

    /// Lets nobody join with a ticket any more. Who has joined with it stays a member. Gives
    /// whether somebody could have.
    ///
    /// Errors: [`ErrorKind::NotFound`] if there is no such invitation.
    pub fn revoke_invite(&self, id: &InviteId) -> Result<bool> {
        let now_ms = self.inner.wall.now_ms();
        self.inner.change_invites(|table| {
            let bytes = tables::get(table, id.as_bytes())?.ok_or_else(|| {
                Error::new(ErrorKind::NotFound, "there is no invitation of that name")
            })?;
            let mut invite = Invite::decode(id.as_bytes(), &bytes)?;
            let open = invite.closed(now_ms).is_none();
            invite.revoked = true;
            tables::set(table, id.as_bytes(), &invite.encode())?;
            Ok(open)
        })
    }

    /// Whether somebody might join now. Does not block.
    pub fn has_open_invites(&self) -> bool {
        let until = self.inner.open_until_ms.lock().unwrap_or_else(PoisonError::into_inner);
        *until > self.inner.wall.now_ms()
    }

    /// A node that has proved its key shows a secret: it becomes a member, or is refused. Durable
    /// when this returns.
    pub fn admit(
        &self,
        guest: &NodeId,
        request: &JoinRequest,
    ) -> Result<std::result::Result<Welcome, JoinRefusal>> {
        // What is refused costs no commit.
        let invites = list(&self.inner.database()?.begin_read().map_err(db)?)?;
        let Some(roster) = self.inner.roster() else { return Ok(Err(JoinRefusal::Unknown)) };
        match self.inner.judge(&invites, guest, request, &roster) {
            Verdict::Refuse(why) => return Ok(Err(why)),
            Verdict::Again => return Ok(Ok(self.inner.welcome(guest, &roster))),
            Verdict::Admit(..) => {}
        }
        if let Err(why) = self.inner.take_in(guest, request)? {
            return Ok(Err(why));
        }
        self.inner.vouch()?;
        self.inner.announce();
        let roster = self.inner.roster().ok_or_else(super::roster::no_roster)?;
        Ok(Ok(self.inner.welcome(guest, &roster)))
    }

    /// Belongs to the roster of whoever invited this node and keeps where that one is, in one
    /// commit; and takes the statements that came with the welcome.
    ///
    /// Errors: as of [`Store::join_roster`] and [`Store::add_statements`].
    pub fn enter(&self, welcome: &Welcome, inviter: NodeId, addresses: &str) -> Result<()> {
        let scope = RosterScope { network: self.network(), founder: welcome.founder };
        for statement in &welcome.statements {
            Statement::verify(statement.clone(), scope)?;
        }
        self.inner
            .begin_roster(welcome.founder, |txn| peers::note(txn, &inviter, Some(addresses)))?;
        self.inner.announce();
        // What is cut off here comes over the first link.
        self.add_statements(welcome.statements.clone()).map(drop)
    }
}

/// Forgets the invitation that was closed first, if there are too many.
fn make_room(table: &mut tables::BytesTable<'_>, now_ms: u64) -> Result<()> {
    let invites = rows(table)?;
    if invites.len() < MAX_INVITES {
        return Ok(());
    }
    let closed = invites.iter().filter(|invite| invite.closed(now_ms).is_some());
    let oldest = closed.min_by_key(|invite| (invite.expires_ms, invite.id));
    let oldest = oldest.ok_or_else(|| {
        Error::limit(format!(
            "there are {MAX_INVITES} open invitations already; revoke some of them"
        ))
    })?;
    tables::unset(table, oldest.id.as_bytes())
}

fn draw() -> Result<TicketSecret> {
    let mut bytes = [0; TicketSecret::BYTES];
    getrandom::fill(&mut bytes).map_err(|err| {
        Error::new(ErrorKind::Io, format!("the system gave no random bytes: {err}"))
    })?;
    Ok(TicketSecret::from_bytes(bytes))
}
