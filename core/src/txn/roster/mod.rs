//! The roster: who belongs to a network, and what each may do in which collection.
//!
//! A roster is a set of [statements](statement) that only grows, so that any two replicas can
//! join theirs; all it says is a function of that set. Grants form a graph: each names the
//! newest that its issuer knew. Vouches stand beside it.
//!
//! **Who may do what** (`rights`):
//! 1. The founder is an admin everywhere, for good.
//! 2. Of the grants that speak of a member, those that count and that no other of them follows
//!    decide; if there are several, the lowest right does.
//! 3. A grant counts, for a collection, if by what its issuer knew its issuer was an admin
//!    there and the member was not an admin beside or above it; and if no admin above the
//!    issuer has taken that right from it unknown to the grant. The founder is above all;
//!    whom an admin makes one is below it. So nobody can bring down those who made it an
//!    admin, nor, after it was brought down, date anything back.
//!    What it made another say counts no more than what it said itself.
//! 4. A key that was [given up](succession) may do nothing, for good; what it is said to have
//!    granted counts only as far as its last word knew of it. Its heir may do what the member
//!    may: rule 2, of the grants that name any of the member's keys. But an heir that no grant
//!    names is no admin; and of one that a grant does name no more holds than those say that
//!    name it. If a key has two heirs only such as a grant names may do anything. So who has
//!    stolen a key that was given up can bring no rights to another; it can take them from the
//!    heir, until an admin names that one.
//!
//! **Which transactions are valid**: those of an author who may write, and of any other those
//! that somebody who may write vouches for. Whoever may write vouches for what it holds, and for
//! what something valid builds on. So two
//! replicas that know the same statements take the same transactions, and what an honest writer
//! took before it heard of a revocation is taken by all. A replica that may only read and holds
//! more than is vouched for has to fetch its collection anew from a writer.
//!
//! Invariants: a grant is admitted only after those it follows, and only of one who by what it
//! knew was an admin somewhere; whether it is admitted depends on nothing but those. Of each
//! member's vouches those are kept that come first by a hash of what they are for, up to a
//! number: which they are depends on no order of arrival, and one that has gone never comes back.
//! So all replicas come to hold the same set, and no member can use up what others need to say.
//! What is said depends on no order of arrival.
//!
//! Does not know: who is connected, what is held of a collection, where statements are kept.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Mutex;

use crate::crdt::LtHash;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Hash, NodeId, Origin, Seq};
use crate::limits::{MAX_GRANTS, MAX_SEQ, MAX_VOUCHES, MAX_VOUCHES_OF_MEMBER};

mod rights;
mod statement;
mod succession;
#[cfg(test)]
mod tests;

pub use statement::{Grant, Right, Rights, RosterScope, Says, Statement, Succession, Vouch};
pub(crate) use statement::{put_rights, read_rights};

/// Who belongs to a network, and what each may do.
#[derive(Debug)]
pub struct Roster {
    scope: RosterScope,
    /// In an order in which each follows those that it names.
    grants: Vec<Entry>,
    numbers: HashMap<Hash, u32>,
    /// The grants that no other follows.
    heads: BTreeSet<Hash>,
    /// The grants that speak of each member.
    about: BTreeMap<NodeId, Vec<u32>>,
    /// Collections that a grant names.
    named: HashSet<String>,
    successions: succession::Successions,
    vouches: BTreeMap<Subject, BTreeMap<NodeId, Statement>>,
    vouch_count: usize,
    /// What each member vouches for, in the order in which it is kept.
    subjects: BTreeMap<NodeId, BTreeSet<(Hash, Subject)>>,
    dropped: Vec<Statement>,
    digest: LtHash,
    known: Mutex<rights::Known>,
}

/// What a vouch is for.
type Subject = (String, Origin);

/// A grant in the roster.
#[derive(Debug, Clone)]
struct Entry {
    statement: Statement,
    grant: Grant,
    /// The grants with a lower number that this one does not follow, sorted.
    unseen: Vec<u32>,
}

/// A member, and what it may do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its key.
    pub node: NodeId,
    /// The key that it had before, if it was changed: see [`Succession`].
    pub was: Option<NodeId>,
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub rights: Rights,
    /// Who said so last; none of the founder.
    pub by: Option<NodeId>,
    /// When that was, by that node's clock, in Unix milliseconds.
    pub since_ms: u64,
}

impl Clone for Roster {
    fn clone(&self) -> Roster {
        Roster {
            scope: self.scope,
            grants: self.grants.clone(),
            numbers: self.numbers.clone(),
            heads: self.heads.clone(),
            about: self.about.clone(),
            named: self.named.clone(),
            successions: self.successions.clone(),
            vouches: self.vouches.clone(),
            vouch_count: self.vouch_count,
            subjects: self.subjects.clone(),
            dropped: Vec::new(),
            digest: self.digest.clone(),
            known: Mutex::default(),
        }
    }
}

impl Roster {
    /// A roster in which there is its founder.
    pub fn new(scope: RosterScope) -> Roster {
        Roster {
            scope,
            grants: Vec::new(),
            numbers: HashMap::new(),
            heads: BTreeSet::new(),
            about: BTreeMap::new(),
            named: HashSet::new(),
            successions: succession::Successions::default(),
            vouches: BTreeMap::new(),
            vouch_count: 0,
            subjects: BTreeMap::new(),
            dropped: Vec::new(),
            digest: LtHash::new(),
            known: Mutex::default(),
        }
    }

    /// Where its statements hold.
    pub fn scope(&self) -> RosterScope {
        self.scope
    }

    /// Equal if, and only if, the same statements are held.
    pub fn digest(&self) -> Hash {
        self.digest.digest()
    }

    /// The newest grants: what the next one follows.
    pub fn heads(&self) -> &BTreeSet<Hash> {
        &self.heads
    }

    /// All statements, each after those that it follows.
    pub fn statements(&self) -> impl Iterator<Item = &Statement> {
        let grants = self.grants.iter().map(|entry| &entry.statement);
        let successions = self.successions.in_order(|node| self.about.contains_key(node));
        grants.chain(successions).chain(self.vouches.values().flat_map(BTreeMap::values))
    }

    /// Takes a statement. Gives whether it is new and says more than was known.
    ///
    /// Errors: [`ErrorKind::MissingDependency`] if it follows one that is not here;
    /// [`ErrorKind::InvalidTransaction`] if it is a grant of one who was no admin when it said it;
    /// [`ErrorKind::LimitExceeded`].
    pub fn add(&mut self, statement: Statement) -> Result<bool> {
        let added = match &statement.says {
            Says::Grant(grant) => {
                let grant = grant.clone();
                self.add_grant(statement, grant)?
            }
            Says::Vouch(vouch) => {
                let key = (vouch.collection.clone(), vouch.origin);
                self.add_vouch(statement, key)?
            }
            Says::Succession(succession) => {
                let succession = succession.clone();
                self.add_succession(statement, &succession)?
            }
        };
        if added {
            self.known.get_mut().expect("nobody panics while holding it").forget_present();
        }
        Ok(added)
    }

    /// Whether this very statement is held.
    pub fn holds(&self, statement: &Statement) -> bool {
        match &statement.says {
            Says::Grant(_) => self.numbers.contains_key(&statement.hash),
            Says::Succession(_) => self.successions.holds(statement),
            Says::Vouch(vouch) => {
                let of_origin = self.vouches.get(&(vouch.collection.clone(), vouch.origin));
                let held = of_origin.and_then(|all| all.get(&statement.issuer));
                held.is_some_and(|held| held.hash == statement.hash)
            }
        }
    }

    /// Whether a statement says nothing that was not known, or that counts, as far as is known.
    pub fn knows(&self, statement: &Statement) -> bool {
        match &statement.says {
            Says::Grant(_) => self.numbers.contains_key(&statement.hash),
            Says::Succession(_) => {
                let is_named = |node: &NodeId| self.about.contains_key(node);
                self.successions.holds(statement) || !self.successions.has_room(statement, is_named)
            }
            Says::Vouch(_) if !self.may_speak(&statement.issuer) => true,
            Says::Vouch(vouch) => {
                let key = (vouch.collection.clone(), vouch.origin);
                let before = self.vouches.get(&key).and_then(|all| all.get(&statement.issuer));
                match before {
                    Some(before) => weight(before) >= weight(statement),
                    None => !self.has_room(&statement.issuer, &place(&key)),
                }
            }
        }
    }

    fn add_grant(&mut self, statement: Statement, grant: Grant) -> Result<bool> {
        if self.knows(&statement) {
            return Ok(false);
        }
        if self.grants.len() >= MAX_GRANTS {
            return Err(Error::limit(format!("a roster holds at most {MAX_GRANTS} grants")));
        }
        let mut parents = Vec::with_capacity(grant.after.len());
        for hash in &grant.after {
            let number = self.numbers.get(hash).ok_or_else(|| {
                let what = "a grant follows another that is not here yet";
                Error::new(ErrorKind::MissingDependency, what)
            })?;
            parents.push(*number);
        }
        let number = u32::try_from(self.grants.len()).expect("fewer than the limit");
        let unseen = self.unseen(&parents, number);
        let (issuer, member) = (statement.issuer, grant.member);
        let (hash, named) =
            (statement.hash, grant.rights.named.keys().cloned().collect::<Vec<_>>());
        let after = grant.after.clone();
        self.grants.push(Entry { statement, grant, unseen });
        if !self.was_admin(&issuer, number) {
            self.grants.pop();
            return Err(Error::bad_txn("a grant of one who was no admin"));
        }
        self.numbers.insert(hash, number);
        self.heads.retain(|hash| !after.contains(hash));
        self.heads.insert(hash);
        self.about.entry(member).or_default().push(number);
        self.named.extend(named);
        self.digest.add(&hash);
        Ok(true)
    }

    /// Which of the grants before `number` one does not follow that names these.
    fn unseen(&self, parents: &[u32], number: u32) -> Vec<u32> {
        let newest = parents.iter().copied().max();
        let follows = |one: &u32| parents.iter().any(|p| p == one || self.follows(*p, *one));
        let (older, from) = match newest {
            Some(newest) => (self.grants[newest as usize].unseen.as_slice(), newest + 1),
            None => (&[][..], 0),
        };
        older.iter().copied().chain(from..number).filter(|one| !follows(one)).collect()
    }

    /// Whether the grant `one` was known to the issuer of `later`.
    fn follows(&self, later: u32, one: u32) -> bool {
        one < later && self.grants[later as usize].unseen.binary_search(&one).is_err()
    }

    fn add_vouch(&mut self, statement: Statement, key: (String, Origin)) -> Result<bool> {
        if self.knows(&statement) {
            return Ok(false);
        }
        let (issuer, place) = (statement.issuer, place(&key));
        let is_new = self.vouches.get(&key).is_none_or(|all| !all.contains_key(&issuer));
        if is_new && self.vouch_count >= MAX_VOUCHES {
            return Err(Error::limit(format!("a roster holds at most {MAX_VOUCHES} vouches")));
        }
        self.digest.add(&statement.hash);
        let of_origin = self.vouches.entry(key.clone()).or_default();
        match of_origin.insert(issuer, statement) {
            Some(before) => self.digest.remove(&before.hash),
            None => {
                self.vouch_count += 1;
                self.subjects.entry(issuer).or_default().insert((place, key));
                self.drop_surplus(&issuer);
            }
        }
        Ok(true)
    }

    /// Whether what a key vouches for is kept: it is the founder's, or the last one of a member.
    fn may_speak(&self, node: &NodeId) -> bool {
        let is_known = self.about.contains_key(node) || self.successions.is_heir(node);
        *node == self.scope.founder || is_known && !self.successions.is_former(node)
    }

    fn add_succession(&mut self, statement: Statement, said: &Succession) -> Result<bool> {
        let founder = self.scope.founder;
        if statement.issuer == founder || said.heir == founder || said.heir == statement.issuer {
            return Err(Error::bad_txn(
                "a succession of the founder's key, or by it, or of itself",
            ));
        }
        if said.after.iter().any(|hash| !self.numbers.contains_key(hash)) {
            let what = "a succession follows a grant that is not here yet";
            return Err(Error::new(ErrorKind::MissingDependency, what));
        }
        if self.knows(&statement) {
            return Ok(false);
        }
        self.digest.add(&statement.hash);
        let about = &self.about;
        for gone in self.successions.add(statement, |node| about.contains_key(node)) {
            self.digest.remove(&gone.hash);
            self.dropped.push(gone);
        }
        self.drop_silenced();
        Ok(true)
    }

    /// What those vouch for who may not speak any more goes.
    fn drop_silenced(&mut self) {
        let all = self.subjects.keys().copied();
        let silenced: Vec<NodeId> = all.filter(|node| !self.may_speak(node)).collect();
        for issuer in silenced {
            for (_, subject) in self.subjects.remove(&issuer).into_iter().flatten() {
                self.drop_vouch(&issuer, &subject);
            }
        }
    }

    /// Whether a vouch of a member for something else than before would be kept.
    fn has_room(&self, issuer: &NodeId, place: &Hash) -> bool {
        let Some(subjects) = self.subjects.get(issuer) else { return true };
        let last = subjects.last().map(|(place, _)| place);
        subjects.len() < MAX_VOUCHES_OF_MEMBER || last.is_none_or(|last| place < last)
    }

    /// Of a member that vouches for more than is kept, the last goes.
    fn drop_surplus(&mut self, issuer: &NodeId) {
        let Some(subjects) = self.subjects.get_mut(issuer) else { return };
        if subjects.len() <= MAX_VOUCHES_OF_MEMBER {
            return;
        }
        let Some((_, subject)) = subjects.pop_last() else { return };
        self.drop_vouch(issuer, &subject);
    }

    fn drop_vouch(&mut self, issuer: &NodeId, subject: &Subject) {
        let Some(of_origin) = self.vouches.get_mut(subject) else { return };
        if let Some(gone) = of_origin.remove(issuer) {
            self.digest.remove(&gone.hash);
            self.vouch_count -= 1;
            self.dropped.push(gone);
        }
        if of_origin.is_empty() {
            self.vouches.remove(subject);
        }
    }

    /// The vouches that were held and have made room for others since this was asked last.
    pub fn take_dropped(&mut self) -> Vec<Statement> {
        std::mem::take(&mut self.dropped)
    }

    /// For how many origins a member vouches.
    pub fn vouches_of(&self, member: &NodeId) -> usize {
        self.subjects.get(member).map_or(0, BTreeSet::len)
    }

    /// How many grants there are.
    pub fn grants(&self) -> usize {
        self.grants.len()
    }

    /// Whether a key could be given up for another, which is new here, and what it may do for it.
    ///
    /// Errors: [`ErrorKind::Forbidden`] if it is the founder's, was given up before, or is no
    /// member's.
    pub fn check_may_succeed(&self, issuer: &NodeId) -> Result<Rights> {
        let forbidden = |why: &str| Err(Error::new(ErrorKind::Forbidden, why.to_owned()));
        if *issuer == self.scope.founder {
            return forbidden(
                "the founder's key names its roster and can't be changed: make another node an \
                 admin (`littoral grant NAME admin`), and go on with a new node (`littoral invite`)",
            );
        }
        if self.successions.is_former(issuer) {
            return forbidden("this key was given up for another before; ask an admin for help");
        }
        match self.member(issuer).filter(|_| self.is_member(issuer)) {
            Some(member) => Ok(member.rights),
            None => forbidden("this node is no member of its roster, as far as it has heard"),
        }
    }

    /// Whether a node is an admin anywhere, and can grant there.
    pub fn is_admin_anywhere(&self, node: &NodeId) -> bool {
        let mut scopes = self.named.iter().map(|name| Some(name.as_str())).chain([None]);
        scopes.any(|scope| self.may_say(node, scope))
    }

    /// The key that stands now for the member whose key this is or was; none if nobody knows.
    pub fn last_key(&self, node: &NodeId) -> Option<NodeId> {
        self.successions.last(node)
    }

    /// Whether a grant by `issuer` would count wherever it changes anything.
    pub fn check_may_grant(&self, issuer: &NodeId, member: &NodeId, rights: &Rights) -> Result<()> {
        if self.successions.is_former(member) {
            let heirs: Vec<_> = self.successions.of(member).map(|one| one.heir.short()).collect();
            return Err(Error::new(
                ErrorKind::Forbidden,
                format!(
                    "the right can't be changed: that key was given up for {}: name that one",
                    heirs.join(" and for ")
                ),
            ));
        }
        let names = self.named.iter().chain(rights.named.keys()).map(String::as_str);
        let scopes = names.map(Some).chain([None]);
        if !scopes.clone().any(|scope| self.may_say(issuer, scope)) {
            return Err(Error::new(
                ErrorKind::Forbidden,
                "the right can't be changed: this node is no admin, as far as it has heard",
            ));
        }
        for scope in scopes {
            let by = self.standing_now(issuer, scope);
            let of = self.standing_now(member, scope);
            if of.right == rights.of(scope) {
                continue;
            }
            let place =
                scope.map_or("everywhere".to_owned(), |name| format!("in collection {name}"));
            let why = match (by.right, of.right) {
                _ if *member == self.scope.founder => {
                    "the founder of a roster is an admin for good".to_owned()
                }
                (Right::Admin, Right::Admin) if of.level <= by.level && issuer != member => {
                    format!("that node is an admin {place}, beside or above this one")
                }
                (Right::Admin, _) if self.may_say(issuer, scope) => continue,
                (Right::Admin, _) => format!(
                    "this node is an admin {place} only since a key was given up that had said \
                     otherwise; another admin has to grant it that by name"
                ),
                (right, _) => format!("this node's right {place} is '{}'", right.word()),
            };
            return Err(Error::new(
                ErrorKind::Forbidden,
                format!("the right can't be changed: {why}"),
            ));
        }
        Ok(())
    }

    /// What a node may do in a collection.
    pub fn right(&self, node: &NodeId, collection: &str) -> Right {
        self.standing_now(node, Some(collection)).right
    }

    /// Whether a node may do anything anywhere.
    pub fn is_member(&self, node: &NodeId) -> bool {
        let scopes = self.named.iter().map(|name| Some(name.as_str())).chain([None]);
        scopes.into_iter().any(|scope| self.standing_now(node, scope).right > Right::None)
    }

    /// Up to which number transactions of an origin are valid.
    pub fn valid_through(&self, collection: &str, origin: &Origin) -> Seq {
        match self.right(&origin.node, collection) >= Right::Write {
            true => MAX_SEQ,
            false => self.vouched(collection, origin),
        }
    }

    /// Up to which number those who may write vouch for an origin.
    fn vouched(&self, collection: &str, origin: &Origin) -> Seq {
        let Some(vouches) = self.vouches.get(&(collection.to_owned(), *origin)) else { return 0 };
        let counting =
            vouches.iter().filter(|(issuer, _)| self.right(issuer, collection) >= Right::Write);
        counting.map(|(_, vouch)| weight(vouch).0).max().unwrap_or(0)
    }

    /// What is known of a node, also if it may do nothing any more.
    pub fn member(&self, node: &NodeId) -> Option<Member> {
        let was = self.successions.issuers(node).next().copied();
        let of = self.successions.lineage(node).into_iter().chain([*node]);
        let mut about: Vec<u32> = of.flat_map(|key| self.about(&key).collect::<Vec<_>>()).collect();
        about.sort_unstable();
        let decides = |number: &&u32| self.decides_anything(**number);
        let newest = about.iter().rev().find(decides).or(about.last());
        let newest = newest.map(|number| &self.grants[*number as usize]);
        if *node == self.scope.founder {
            let name = newest.map(|entry| entry.grant.name.clone()).unwrap_or_default();
            let rights = Rights::everywhere(Right::Admin);
            return Some(Member { node: *node, was: None, name, rights, by: None, since_ms: 0 });
        }
        let newest = newest?;
        let elsewhere = self.standing_now(node, None).right;
        let right = |name: &String| (name.clone(), self.right(node, name));
        let mut named: Vec<_> = self.named.iter().map(right).collect();
        named.retain(|(_, right)| *right != elsewhere);
        Some(Member {
            node: *node,
            was,
            name: newest.grant.name.clone(),
            rights: Rights { elsewhere, named: named.into_iter().collect() },
            by: Some(newest.statement.issuer),
            since_ms: newest.grant.time_ms,
        })
    }

    /// All that the roster speaks of, in the order of their keys, the founder among them; of a
    /// member whose key was changed the last one.
    pub fn members(&self) -> Vec<Member> {
        let mut nodes: BTreeSet<NodeId> = self.about.keys().copied().collect();
        nodes.extend(self.successions.heirs());
        nodes.retain(|node| self.last_key(node).is_none_or(|last| last == *node));
        nodes.insert(self.scope.founder);
        nodes.iter().filter_map(|node| self.member(node)).collect()
    }
}

/// Where what a vouch is for stands among all that its issuer vouches for.
fn place((collection, origin): &Subject) -> Hash {
    Hash(*blake3::hash(&[&origin.to_bytes()[..], collection.as_bytes()].concat()).as_bytes())
}

/// Which of two vouches of one issuer for one origin stands.
fn weight(statement: &Statement) -> (Seq, Hash) {
    match &statement.says {
        Says::Vouch(vouch) => (vouch.head.seq, statement.hash),
        Says::Grant(_) | Says::Succession(_) => (0, statement.hash),
    }
}
