//! Branches: how an origin whose history has forked is named (rule 11).
//!
//! Two stores with one key have both sent a transaction under one dot. Both are kept, and all
//! that follows them, as if two origins had written: the transactions before the fork stay the
//! origin's own, and each branch is an origin of its own from the fork on, with its own numbers
//! from 1. Its name is made of the hash of its first transaction ([`Origin::of_branch`]), so that
//! all replicas call it the same, in whatever order they hear of it. Nothing is signed again:
//! the bytes that travel and are kept in logs are the author's, and name what it knew. What they
//! mean here is worked out when they are admitted and applied:
//!
//! - a transaction belongs to the branch whose newest transaction it follows by its hash;
//! - a dependency names a transaction by its hash;
//! - a dot that an operation names beyond a fork is of the branch that its author had seen, which
//!   the author's dependencies say ([`Branches::seen`]);
//! - a counter row that was begun before the fork is added to by both branches. Each goes on with
//!   a row of its own ([`Continued`]); who zeroes it in one branch zeroes both parts.
//!
//! All honest replicas must come to the same, in whatever order they hear of transactions and of
//! forks; so nothing may follow from what else a replica holds or knows:
//!
//! - the branches of a root form a tree that follows from which of them there are: each goes on
//!   from the one that holds what is before it. A fork that is found below others that are known
//!   comes between, in what is kept of authors, too;
//! - who names something beyond a fork without saying of which branch knew one side only: who
//!   knows both names them apart. Which one, its own transactions say, from the first under its
//!   name to this one, each by the difference to the one before. So the first says all that its
//!   author has seen, also under former names: nobody else's transactions are asked. What is kept
//!   of an author is only what these say; one that is kept to have seen what it has not goes on
//!   to say what it sees before it names that.
//!
//! Words: the *root* is the origin that signs; an *external* number is the one that is signed.
//! A branch may fork again; then it is the parent of two others. Pure: what is held is asked of
//! [`Held`].
//!
//! | bytes of branches | |
//! | --- | --- |
//! | branches | count; each: root 36, number before the first 8, parent 36, hash of the first 32, its proof 96, proof of the one before 96 |
//! | seen | count; each: author 36, what has forked 36, branch 36 |
//!
//! Numbers big-endian; all sorted. To peers on a link only the branches are told.

use std::collections::BTreeMap;

use super::{Dep, Proof, Scope, Signed, Txn};
use crate::crdt::{Addition, Body, Cell, Continued, DocOps, Op};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Dot, Hash, Origin, Seq, ShortHash};
use crate::limits::{MAX_BRANCHES, MAX_VECTOR_ENTRIES};
use crate::wire::{Reader, put_uint};

/// What a forked origin wrote from a fork on, on one side of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Branch {
    /// Who signs it.
    pub root: Origin,
    /// The external number of the transaction before its first.
    pub base: Seq,
    /// What it goes on from: the root, or another branch.
    pub parent: Origin,
    /// The hash of its first transaction.
    pub first: Hash,
    /// Shows that the root signed that.
    pub proof: Proof,
    /// Shows that the root signed the transaction before it; nothing if that is none.
    pub last: Proof,
}

impl Branch {
    /// What it is called.
    pub fn name(&self) -> Origin {
        Origin::of_branch(self.root, &self.first)
    }

    /// The dot under which its first transaction is signed.
    pub fn first_dot(&self) -> Dot {
        Dot { origin: self.root, seq: self.base + 1 }
    }

    /// The hash of the transaction before it.
    pub fn last_hash(&self, scope: Scope<'_>) -> Result<Hash> {
        match self.base {
            0 => Ok(Hash::default()),
            seq => self.last.check(&Dot { origin: self.root, seq }, scope),
        }
    }

    fn check(&self, scope: Scope<'_>) -> Result<()> {
        self.last_hash(scope)?;
        let sound = !self.root.is_branch()
            && self.base < Seq::MAX
            && (self.parent == self.root || self.parent.is_branch())
            && self.parent.node == self.root.node
            && self.proof.check(&self.first_dot(), scope)? == self.first;
        match sound {
            true => Ok(()),
            false => Err(Error::bad_txn("a branch that its author did not write")),
        }
    }
}

/// What is held, by the names used here.
pub trait Held {
    /// The newest transaction of an origin or branch; number 0 if there is none.
    fn newest(&self, origin: &Origin) -> (Seq, Hash);

    /// The hash of the transaction at `dot`, if it is held and known.
    fn hash_at(&self, dot: &Dot) -> Result<Option<ShortHash>>;
}

/// Gives the cells of a document at a key.
pub type CellsOf<'a> = dyn FnMut(&str, &[u8]) -> Result<Vec<Cell>> + 'a;

/// Where a transaction belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It is here already.
    Held,
    /// It is the next one of an origin or branch, and this its name here.
    Next(Dot),
    /// It forks from what is held: the first transaction of a branch that is not known.
    Fork {
        /// What it goes on from.
        parent: Origin,
        /// The external number of the transaction before it.
        base: Seq,
        /// What is held in its place, by the names used here, if anything is.
        instead: Dot,
    },
    /// It contradicts what is held at this dot; where the two parted can't be told from it alone.
    Apart(Dot),
    /// What it follows is not here.
    Missing,
}

/// A transaction by the names used here.
#[derive(Debug)]
pub struct Translated {
    /// What it says.
    pub txn: Txn,
    /// What its dependencies show its author to have taken for the rest of what has forked.
    pub seen: BTreeMap<Origin, Origin>,
    /// The dots that its operations name.
    pub named: Vec<Dot>,
}

/// The branches of one collection, and which of them each author had seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Branches {
    by_name: BTreeMap<Origin, Branch>,
    /// By author and what has forked: the branch that the author took for the rest of it.
    seen: BTreeMap<(Origin, Origin), Origin>,
}

impl Branches {
    /// Those of a collection in which no origin has forked.
    pub fn none() -> &'static Branches {
        static NONE: Branches = Branches { by_name: BTreeMap::new(), seen: BTreeMap::new() };
        &NONE
    }

    /// Whether no origin has forked.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// How many branches there are. They only become more.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// All of them, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = &Branch> {
        self.by_name.values()
    }

    /// Whether there is a branch with this name.
    pub fn contains(&self, name: &Origin) -> bool {
        self.by_name.contains_key(name)
    }

    /// The branch with this name.
    pub fn get(&self, name: &Origin) -> Option<&Branch> {
        self.by_name.get(name)
    }

    /// Who signs what is called so.
    pub fn root(&self, origin: &Origin) -> Origin {
        self.by_name.get(origin).map_or(*origin, |branch| branch.root)
    }

    /// The external number before the first of what is called so.
    pub fn base(&self, origin: &Origin) -> Seq {
        self.by_name.get(origin).map_or(0, |branch| branch.base)
    }

    /// The dot under which a transaction is signed.
    pub fn signed(&self, dot: &Dot) -> Option<Dot> {
        if dot.origin.is_branch() && !self.contains(&dot.origin) {
            return None;
        }
        let seq = self.base(&dot.origin).checked_add(dot.seq)?;
        Some(Dot { origin: self.root(&dot.origin), seq })
    }

    /// What forks from an origin or branch directly.
    pub fn children(&self, of: &Origin) -> impl Iterator<Item = (&Origin, &Branch)> {
        self.by_name.iter().filter(move |(_, branch)| branch.parent == *of)
    }

    /// The number after which an origin or branch has forked: it ends there.
    pub fn cut(&self, origin: &Origin) -> Option<Seq> {
        let base = self.base(origin);
        self.children(origin).map(|(_, child)| child.base.saturating_sub(base)).min()
    }

    /// The root and all its branches.
    pub fn all_of(&self, root: &Origin) -> Vec<Origin> {
        let branches = self.by_name.iter().filter(|(_, branch)| branch.root == *root);
        std::iter::once(*root).chain(branches.map(|(name, _)| *name)).collect()
    }

    /// From the root to what is called so.
    fn path(&self, to: &Origin) -> Vec<Origin> {
        let mut path = vec![*to];
        while let Some(branch) = self.by_name.get(path.last().expect("never empty")) {
            // A cycle can't be made by honest replicas; who was told of one stops here.
            if path.contains(&branch.parent) {
                break;
            }
            path.push(branch.parent);
        }
        path.reverse();
        path
    }

    /// The branch that an author took for what followed where `forked` has forked.
    pub fn seen(&self, author: &Origin, forked: &Origin) -> Option<Origin> {
        let path = self.path(author);
        if let Some(at) = path.iter().position(|node| node == forked) {
            return path.get(at + 1).copied();
        }
        path.iter().rev().find_map(|author| self.seen.get(&(*author, *forked)).copied())
    }

    /// Notes what an author has seen. Gives whether that is news.
    pub fn note_seen(&mut self, author: Origin, forked: Origin, branch: Origin) -> bool {
        self.seen.insert((author, forked), branch) != Some(branch)
    }

    /// Takes over the branches of another replica, which knows all that are known here, and what
    /// it knows of authors of whom it holds more.
    pub fn join(&mut self, other: &Branches, of: impl Fn(&Origin) -> bool) {
        self.by_name.clone_from(&other.by_name);
        for ((author, forked), branch) in &other.seen {
            if of(author) {
                self.seen.insert((*author, *forked), *branch);
            }
        }
    }

    /// Adds a branch. What forks later from the same parent goes on from it, if it is what the
    /// parent was called there.
    pub fn add(&mut self, branch: Branch, remainder: bool) {
        let name = branch.name();
        let later = |other: &Branch| {
            remainder
                && other.parent == branch.parent
                && other.root == branch.root
                && other.base > branch.base
        };
        let later = self.by_name.iter().filter(|(_, other)| later(other));
        let later: Vec<Origin> = later.map(|(other, _)| *other).collect();
        later.into_iter().for_each(|later| self.put_between(name, later));
        self.by_name.insert(name, branch);
    }

    /// `later` goes on from `name`, which goes on from where `later` did. Who has seen of the one
    /// has seen the other.
    fn put_between(&mut self, name: Origin, later: Origin) {
        let Some(branch) = self.by_name.get_mut(&later) else { return };
        let parent = std::mem::replace(&mut branch.parent, name);
        let took =
            self.seen.iter().filter(|((_, forked), taken)| *forked == parent && **taken == later);
        let authors: Vec<Origin> = took.map(|((author, _), _)| *author).collect();
        for author in authors {
            self.seen.insert((author, parent), name);
            self.seen.insert((author, name), later);
        }
    }

    // ---- names

    /// Where a transaction belongs.
    pub fn place(&self, signed: &Signed, held: &impl Held) -> Result<Place> {
        let Dot { origin: root, seq } = signed.txn.dot;
        let (mut unknown, mut fork, mut apart) = (false, None, None);
        for node in self.all_of(&root) {
            let Some(at) = seq.checked_sub(self.base(&node)).filter(|at| *at > 0) else { continue };
            let at = Dot { origin: node, seq: at };
            let branch = self.by_name.get(&node);
            if at.seq == 1 && branch.is_some_and(|branch| branch.first != signed.hash) {
                continue;
            }
            let (newest, hash) = held.newest(&node);
            let cut = self.cut(&node);
            if at.seq <= newest {
                match held.hash_at(&at)? {
                    Some(ours) if ours == signed.hash.short() => return Ok(Place::Held),
                    Some(_) if self.follows(signed, &at, held)? => {
                        fork = Some(Place::Fork { parent: node, base: seq - 1, instead: at });
                    }
                    Some(_) => apart = Some(Place::Apart(at)),
                    None => unknown = true,
                }
                continue;
            }
            if cut.is_some_and(|cut| at.seq > cut) {
                if cut == Some(at.seq - 1) && newest + 1 == at.seq {
                    let known = self.children(&node).any(|(_, child)| child.first == signed.hash);
                    if !known && self.follows(signed, &at, held)? {
                        fork = Some(Place::Fork { parent: node, base: seq - 1, instead: at });
                    }
                }
                continue;
            }
            if at.seq != newest + 1 {
                continue;
            }
            match branch.filter(|_| newest == 0) {
                Some(branch) => {
                    let (whole, _) = held.newest(&branch.parent);
                    if whole + self.base(&branch.parent) == branch.base {
                        return Ok(Place::Next(at));
                    }
                }
                None if signed.txn.prev == hash => return Ok(Place::Next(at)),
                None => apart = Some(Place::Apart(Dot { origin: node, seq: newest })),
            }
        }
        // What is older than what is known counts as the same.
        let otherwise = if unknown { Place::Held } else { Place::Missing };
        Ok(fork.or(if unknown { None } else { apart }).unwrap_or(otherwise))
    }

    /// Whether a transaction follows the one before `at` that is held.
    fn follows(&self, signed: &Signed, at: &Dot, held: &impl Held) -> Result<bool> {
        if at.seq > 1 {
            let before = Dot { seq: at.seq - 1, ..*at };
            return Ok(held.hash_at(&before)? == Some(signed.txn.prev.short()));
        }
        // The first of a branch that is held is told by its hash.
        Ok(!at.origin.is_branch())
    }

    /// The name here of what a dependency names.
    fn resolve(&self, dep: &Dep, held: &impl Held) -> Result<Option<Dot>> {
        let dot = Dot { origin: dep.origin, seq: dep.seq };
        if self.cut(&dep.origin).is_none_or(|cut| dep.seq <= cut) {
            return Ok(Some(dot));
        }
        let Some(signed) = self.signed(&dot) else { return Ok(None) };
        let mut unknown = Vec::new();
        for node in self.all_of(&signed.origin) {
            if !self.path(&node).contains(&dep.origin) || self.base(&node) >= signed.seq {
                continue;
            }
            let at = Dot { origin: node, seq: signed.seq - self.base(&node) };
            if held.newest(&node).0 < at.seq {
                continue;
            }
            match held.hash_at(&at)? {
                Some(hash) if hash == dep.hash => return Ok(Some(at)),
                Some(_) => {}
                None => unknown.push(at),
            }
        }
        Ok(match unknown[..] {
            [only] => Some(only),
            _ => None,
        })
    }

    /// A transaction by the names used here, its own being `dot`. `cells` gives the cells of a
    /// document at a key, as they are before it.
    pub fn translate(
        &self,
        txn: &Txn,
        dot: Dot,
        held: &impl Held,
        cells: &mut CellsOf<'_>,
    ) -> Result<Translated> {
        let mut deps: BTreeMap<Origin, Dep> = BTreeMap::new();
        let mut seen = BTreeMap::new();
        for dep in &txn.deps {
            let found = self.resolve(dep, held)?.ok_or_else(|| {
                Error::new(
                    ErrorKind::MissingDependency,
                    format!(
                        "transaction {} builds on {}:{}, which is not here yet",
                        txn.dot, dep.origin, dep.seq
                    ),
                )
            })?;
            let path = self.path(&found.origin);
            let from = path.iter().position(|node| *node == dep.origin).unwrap_or(path.len());
            // Who has seen a branch has seen what it goes on from, to its end.
            for step in path[from.min(path.len())..].windows(2) {
                seen.insert(step[0], step[1]);
                let seq = self.base(&step[1]) - self.base(&step[0]);
                let end = Dot { origin: step[0], seq };
                if seq > 0 {
                    let hash = held.hash_at(&end)?.unwrap_or_default();
                    note(&mut deps, Dep { origin: step[0], seq, hash });
                }
            }
            note(&mut deps, Dep { origin: found.origin, seq: found.seq, hash: dep.hash });
        }
        if let (1, Some(branch)) = (dot.seq, self.by_name.get(&dot.origin)) {
            let seq = branch.base - self.base(&branch.parent);
            if seq > 0 {
                let dep = Dep { origin: branch.parent, seq, hash: txn.prev.short() };
                deps.entry(branch.parent).or_insert(dep);
            }
        }
        let author = Author { branches: self, dot, seen: &seen };
        let mut docs = Vec::with_capacity(txn.docs.len());
        let mut named = Vec::new();
        for doc in &txn.docs {
            let mut ops = Vec::with_capacity(doc.ops.len());
            for op in &doc.ops {
                author.op(op, &mut |key| cells(&doc.id, key), &mut ops)?;
                author.name(op, &mut named)?;
            }
            docs.push(DocOps { id: doc.id.clone(), ops });
        }
        let deps = deps.into_values().collect();
        let txn = Txn { dot, prev: txn.prev, time: txn.time, deps, docs };
        Ok(Translated { txn, seen, named })
    }

    // ---- bytes

    /// The bytes of the branches, and with `seen` of what authors had seen.
    pub fn encode(&self, seen: bool) -> Vec<u8> {
        let mut out = Vec::new();
        put_uint(&mut out, self.by_name.len() as u64);
        for branch in self.by_name.values() {
            out.extend_from_slice(&branch.root.to_bytes());
            out.extend_from_slice(&branch.base.to_be_bytes());
            out.extend_from_slice(&branch.parent.to_bytes());
            out.extend_from_slice(&branch.first.0);
            out.extend_from_slice(&branch.proof.to_bytes());
            out.extend_from_slice(&branch.last.to_bytes());
        }
        let seen = if seen { Some(&self.seen) } else { None };
        put_uint(&mut out, seen.map_or(0, BTreeMap::len) as u64);
        for ((author, root), branch) in seen.into_iter().flatten() {
            for origin in [author, root, branch] {
                out.extend_from_slice(&origin.to_bytes());
            }
        }
        out
    }

    /// Reads what [`Branches::encode`] wrote, and checks each branch's proof if it is from
    /// elsewhere: then `scope` says of which collection.
    pub fn decode(bytes: &[u8], scope: Option<Scope<'_>>) -> Result<Branches> {
        let mut reader = Reader::new(bytes, "branches");
        let branches = Branches::read(&mut reader, scope)?;
        reader.end().map(|()| branches)
    }

    /// As [`Branches::decode`], of what comes next.
    pub(super) fn read(reader: &mut Reader<'_>, scope: Option<Scope<'_>>) -> Result<Branches> {
        let mut branches = Branches::default();
        let count = reader.count()?;
        if count > MAX_BRANCHES {
            return Err(reader.bad("more branches than there may be"));
        }
        for _ in 0..count {
            let branch = Branch {
                root: Origin::from_bytes(&reader.array()?),
                base: u64::from_be_bytes(reader.array()?),
                parent: Origin::from_bytes(&reader.array()?),
                first: Hash(reader.array()?),
                proof: Proof::from_bytes(&reader.array()?),
                last: Proof::from_bytes(&reader.array()?),
            };
            if let Some(scope) = scope {
                branch.check(scope)?;
            }
            branches.by_name.insert(branch.name(), branch);
        }
        let count = reader.count()?;
        if count > MAX_VECTOR_ENTRIES {
            return Err(reader.bad("more authors than a vector may have"));
        }
        for _ in 0..count {
            let [author, root, branch] =
                [reader.array()?, reader.array()?, reader.array()?].map(|b| Origin::from_bytes(&b));
            branches.seen.insert((author, root), branch);
        }
        branches.check_shape(reader).map(|()| branches)
    }

    /// Every branch hangs together with its root, and lies after what it goes on from.
    fn check_shape(&self, reader: &Reader<'_>) -> Result<()> {
        for branch in self.by_name.values() {
            let parent = self.by_name.get(&branch.parent);
            let sound = match parent {
                Some(parent) => parent.root == branch.root && parent.base < branch.base,
                None => branch.parent == branch.root,
            };
            if !sound {
                return Err(reader.bad("a branch that goes on from nothing"));
            }
        }
        Ok(())
    }
}

/// Who wrote a transaction, for the names in its operations.
struct Author<'a> {
    branches: &'a Branches,
    dot: Dot,
    /// What this transaction's dependencies show to be seen.
    seen: &'a BTreeMap<Origin, Origin>,
}

impl Author<'_> {
    fn op(
        &self,
        op: &Op,
        cells: &mut dyn FnMut(&[u8]) -> Result<Vec<Cell>>,
        out: &mut Vec<Op>,
    ) -> Result<()> {
        match op {
            Op::Put { .. } | Op::Continue { .. } => out.push(op.clone()),
            Op::Clear { prefix, upto } => {
                let mut seen: BTreeMap<Origin, Seq> = BTreeMap::new();
                for dot in upto {
                    for Dot { origin, seq } in self.dots(dot)? {
                        let newest = seen.entry(origin).or_default();
                        *newest = seq.max(*newest);
                    }
                }
                let upto = seen.into_iter().map(|(origin, seq)| Dot { origin, seq }).collect();
                out.push(Op::Clear { prefix: prefix.clone(), upto });
            }
            Op::Add { key, birth, total, by, after } => {
                out.push(self.add(key, *birth, *total, *by, *after, cells)?);
            }
            Op::Settle { key, row, seq, total } => {
                self.settle(key, *row, *seq, *total, cells, out)?;
            }
        }
        Ok(())
    }

    /// The dots that an operation names.
    fn name(&self, op: &Op, out: &mut Vec<Dot>) -> Result<()> {
        match op {
            Op::Clear { upto, .. } => {
                for dot in upto {
                    out.extend(self.dots(dot)?);
                }
            }
            Op::Settle { row, seq, .. } => out.extend(self.dots(&Dot { seq: *seq, ..*row })?),
            Op::Put { .. } | Op::Add { .. } | Op::Continue { .. } => {}
        }
        Ok(())
    }

    /// From what is called so to the branch that holds its external number `last`, as the author
    /// has seen it.
    fn way(&self, from: &Origin, last: Seq) -> Result<Vec<Origin>> {
        let mut way = vec![*from];
        loop {
            let node = way[way.len() - 1];
            let cut = self.branches.cut(&node).map(|cut| cut + self.branches.base(&node));
            if cut.is_none_or(|cut| last <= cut) {
                return Ok(way);
            }
            let seen = self.seen.get(&node).copied();
            match seen.or_else(|| self.branches.seen(&self.dot.origin, &node)) {
                Some(next) if !way.contains(&next) => way.push(next),
                _ => {
                    return Err(Error::bad_txn(format!(
                        "transaction {} names what its author had not seen",
                        self.dot
                    )));
                }
            }
        }
    }

    /// Whether a number is beyond the fork of what is called so.
    fn is_beyond(&self, dot: &Dot) -> bool {
        self.branches.cut(&dot.origin).is_some_and(|cut| dot.seq > cut)
    }

    /// All that is included when an author has seen up to `dot`.
    fn dots(&self, dot: &Dot) -> Result<Vec<Dot>> {
        if !self.is_beyond(dot) {
            return Ok(vec![*dot]);
        }
        let last = self.branches.base(&dot.origin).saturating_add(dot.seq);
        let way = self.way(&dot.origin, last)?;
        let mut dots = Vec::new();
        for (at, node) in way.iter().enumerate() {
            let base = self.branches.base(node);
            let end = way.get(at + 1).map(|next| self.branches.base(next));
            let until = end.map_or(last, |end| end.min(last));
            if until > base {
                dots.push(Dot { origin: *node, seq: until - base });
            }
        }
        Ok(dots)
    }

    fn add(
        &self,
        key: &[u8],
        birth: Seq,
        total: i128,
        by: i64,
        after: Option<Addition>,
        cells: &mut dyn FnMut(&[u8]) -> Result<Vec<Cell>>,
    ) -> Result<Op> {
        let (key, base) = (key.to_vec(), self.branches.base(&self.dot.origin));
        let after = after.map(|after| Addition { seq: after.seq.saturating_sub(base), ..after });
        if birth > base {
            return Ok(Op::Add { key, birth: birth - base, total, by, after });
        }
        let goes_on = |cell: &Cell| match &cell.body {
            Body::Counter(row) if cell.stamp.dot.origin == self.dot.origin => {
                row.continues.filter(|from| from.birth == birth).map(|from| (cell.stamp.dot, from))
            }
            _ => None,
        };
        Ok(match cells(&key)?.iter().find_map(goes_on) {
            Some((row, from)) => {
                let total = total.saturating_sub(from.before);
                Op::Add { key, birth: row.seq, total, by, after }
            }
            None => {
                let before = total.saturating_sub(i128::from(by));
                Op::Continue { key, from: Continued { birth, before }, by }
            }
        })
    }

    /// Who zeroes a row that goes on beyond a fork zeroes what was added before it, and what was
    /// added after it on the side that it has seen.
    fn settle(
        &self,
        key: &[u8],
        row: Dot,
        seq: Seq,
        total: i128,
        cells: &mut dyn FnMut(&[u8]) -> Result<Vec<Cell>>,
        out: &mut Vec<Op>,
    ) -> Result<()> {
        let settle = |row, seq, total| Op::Settle { key: key.to_vec(), row, seq, total };
        if !self.is_beyond(&Dot { seq, ..row }) {
            out.push(settle(row, seq, total));
            return Ok(());
        }
        let base = self.branches.base(&row.origin);
        let (mut birth, mut total) = (base.saturating_add(row.seq), total);
        let last = base.saturating_add(seq);
        let way = self.way(&row.origin, last)?;
        let cells = cells(key)?;
        for cell in cells.iter().filter(|cell| cell.stamp.dot == row) {
            if let Body::Counter(named) = &cell.body
                && let Some(from) = named.continues
            {
                (birth, total) = (from.birth, total.saturating_add(from.before));
            }
        }
        for (at, node) in way.iter().enumerate() {
            let base = self.branches.base(node);
            let ends = way.get(at + 1).map(|next| self.branches.base(next));
            let is_last = ends.is_none_or(|end| last <= end);
            for cell in cells.iter().filter(|cell| cell.stamp.dot.origin == *node) {
                let Body::Counter(part) = &cell.body else { continue };
                let (of, before) = match part.continues {
                    Some(from) => (from.birth, from.before),
                    None => (base + cell.stamp.dot.seq, 0),
                };
                if of != birth {
                    continue;
                }
                out.push(match is_last {
                    true => settle(cell.stamp.dot, last - base, total.saturating_sub(before)),
                    false => settle(cell.stamp.dot, part.seq, part.total),
                });
            }
            if is_last {
                break;
            }
        }
        Ok(())
    }
}

/// Keeps the newest of each origin.
fn note(deps: &mut BTreeMap<Origin, Dep>, dep: Dep) {
    let newest = deps.entry(dep.origin).or_insert(dep);
    if newest.seq < dep.seq {
        *newest = dep;
    }
}

/// The dots that a transaction's operations name.
pub fn named(txn: &Txn) -> Vec<Dot> {
    let dots = |op: &Op| match op {
        Op::Clear { upto, .. } => upto.clone(),
        Op::Settle { row, seq, .. } => vec![Dot { seq: *seq, ..*row }],
        Op::Put { .. } | Op::Add { .. } | Op::Continue { .. } => Vec::new(),
    };
    txn.docs.iter().flat_map(|doc| &doc.ops).flat_map(dots).collect()
}
