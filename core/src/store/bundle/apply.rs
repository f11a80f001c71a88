//! Applying a bundle: its transactions go the way of a peer's, its snapshots are staged and joined.
//!
//! A collection that can't be applied, for reasons of its own, is left where it is and the others
//! go on; what then is wrong is told at the end, with the kind of the first. A file that is
//! damaged, and a store that fails, end all of it. In either case what was applied stays, and is
//! passed over when the bundle is applied again.

use std::collections::BTreeSet;
use std::io::Read;

use super::file::FileReader;
use super::joining::Joining;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Head, NodeId, Vector};
use crate::store::Store;
use crate::txn::Scope;
use crate::txn::bundle::{FileKind, Part, no_bundle};
use crate::txn::snapshot::ViewHead;

/// How a bundle is applied.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ApplyOptions {
    /// Only these collections; without it, all that the store wants.
    pub collections: Option<BTreeSet<String>>,
    /// Whose snapshots are believed, besides those of nodes that the store trusts.
    pub from: Option<NodeId>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// The collections, in the order of their names.
    pub collections: Vec<AppliedCollection>,
}

/// What came of one collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedCollection {
    /// Its name.
    pub name: String,
    /// Whether it came as a snapshot.
    pub snapshot: bool,
    /// Whether the store wants it; if not, nothing of it was looked at.
    pub wanted: bool,
    /// Transactions that were new; of a snapshot, those that it brought.
    pub new: u64,
    /// Transactions that were here already; of a snapshot none are counted.
    pub duplicates: u64,
}

impl Applied {
    /// Transactions that were new.
    pub fn transactions(&self) -> u64 {
        self.collections.iter().map(|one| one.new).sum()
    }

    /// Transactions that were here already.
    pub fn duplicates(&self) -> u64 {
        self.collections.iter().map(|one| one.duplicates).sum()
    }
}

impl Store {
    /// As [`Store::bundle_apply`], from a stream of bytes.
    pub fn read_bundle(&self, input: &mut dyn Read, options: &ApplyOptions) -> Result<Applied> {
        let mut file = FileReader::new(input)?;
        let header = *file.header();
        if header.kind != FileKind::Bundle {
            return Err(no_bundle());
        }
        self.check_network(header.network, "the bundle")?;
        let mut applying = Applying {
            store: self,
            maker: header.maker,
            options,
            wanted: self.wanted(&header.maker),
            applied: Applied::default(),
            stops: Vec::new(),
            section: Section::Passed,
            marked: false,
        };
        let all = applying.all(&mut file);
        let given_up = match applying.section {
            Section::Snapshot(snapshot) => snapshot.give_up(),
            _ => Ok(()),
        };
        all.and(given_up)?;
        told(applying.applied, applying.stops)
    }
}

/// A bundle that is being applied.
struct Applying<'a> {
    store: &'a Store,
    maker: NodeId,
    options: &'a ApplyOptions,
    wanted: Option<BTreeSet<String>>,
    applied: Applied,
    /// What stopped a collection.
    stops: Vec<(String, Error)>,
    section: Section,
    /// Whether a checkpoint was made before, where such are kept.
    marked: bool,
}

/// What becomes of the parts of the collection under way.
enum Section {
    /// They are passed over: not wanted, not needed, or stopped.
    Passed,
    Transactions {
        /// How the maker names forked origins.
        branches: Vec<u8>,
    },
    Snapshot(Box<Joining>),
}

impl Applying<'_> {
    fn all(&mut self, file: &mut FileReader<'_>) -> Result<()> {
        while let Some(part) = file.next()? {
            let Err(err) = self.part(part) else { continue };
            if !concerns_a_collection(err.kind()) {
                return Err(err);
            }
            if let Section::Snapshot(snapshot) =
                std::mem::replace(&mut self.section, Section::Passed)
            {
                snapshot.give_up()?;
            }
            let name = self.applied.collections.last().map(|one| one.name.clone());
            self.stops.push((name.unwrap_or_default(), err));
        }
        Ok(())
    }

    fn part(&mut self, part: Part) -> Result<()> {
        match part {
            Part::Transactions { collection, branches, .. } => {
                if self.begin(&collection, false) {
                    self.mark()?;
                    self.section = Section::Transactions { branches };
                }
                Ok(())
            }
            Part::Snapshot { collection, head } => match self.begin(&collection, true) {
                true => self.mark().and_then(|()| self.snapshot(&collection, &head)),
                false => Ok(()),
            },
            Part::Txns(txns) => self.txns(txns),
            Part::Documents(documents) => match &mut self.section {
                Section::Snapshot(snapshot) => snapshot.documents(documents),
                _ => Ok(()),
            },
            Part::EndOfCollection { .. } => self.end(),
            _ => Ok(()),
        }
    }

    /// Begins a collection. Whether it is wanted.
    fn begin(&mut self, name: &str, snapshot: bool) -> bool {
        self.section = Section::Passed;
        let sets = [self.wanted.as_ref(), self.options.collections.as_ref()];
        let wanted = sets.iter().flatten().all(|set| set.contains(name));
        let name = name.to_owned();
        let one = AppliedCollection { name, snapshot, wanted, new: 0, duplicates: 0 };
        self.applied.collections.push(one);
        wanted
    }

    /// Makes an automatic checkpoint before the first part that is applied.
    fn mark(&mut self) -> Result<()> {
        if !std::mem::replace(&mut self.marked, true) {
            self.store.automatic_checkpoint("before a bundle")?;
        }
        Ok(())
    }

    fn txns(&mut self, txns: Vec<Vec<u8>>) -> Result<()> {
        let (Section::Transactions { branches }, Some(one)) =
            (&self.section, self.applied.collections.last_mut())
        else {
            return Ok(());
        };
        let outcome = match self.store.apply_remote(&one.name, txns.clone()) {
            // What it builds on may be here by another name.
            Err(err) if err.kind() == ErrorKind::MissingDependency && !branches.is_empty() => {
                self.store.learn_branches(&one.name, branches)?;
                self.store.apply_remote(&one.name, txns)?
            }
            outcome => outcome?,
        };
        one.new += outcome.new as u64;
        one.duplicates += outcome.duplicates as u64;
        Ok(())
    }

    /// Begins to join a snapshot, if it brings anything.
    fn snapshot(&mut self, name: &str, head: &[u8]) -> Result<()> {
        let store = self.store;
        let scope = Scope { network: store.network(), collection: name };
        let head = ViewHead::verify(head, scope, &self.maker)?;
        let theirs = vector_of(&head);
        let (ours, ..) = store.summary(name)?;
        let needed = !ours.covers_all(&theirs);
        if !needed {
            return match store.contradictions(name, &theirs)?.first() {
                None => Joining::not_needed(store, name),
                Some(dot) => Err(Error::new(
                    ErrorKind::Forked,
                    format!(
                        "the snapshot holds another transaction {dot} than this store: the history of its author has forked"
                    ),
                )),
            };
        }
        self.check_server(name)?;
        if !store.learn_view(name, &head)? {
            return Err(Error::new(
                ErrorKind::Forked,
                format!(
                    "a history in '{name}' has forked, of which the maker of the snapshot did not know: make the bundle anew when it does"
                ),
            ));
        }
        let lacked = theirs.iter().map(|(origin, head)| head.seq.saturating_sub(ours.seq(origin)));
        let brings = lacked.fold(0, u64::saturating_add);
        let snapshot = Joining::begin(store, name, head, self.maker, brings)?;
        self.section = Section::Snapshot(Box::new(snapshot));
        Ok(())
    }

    /// A snapshot has no signatures of its authors: it is believed for the one who made it. With
    /// a roster that one needs the right to write there, whoever is told to believe it: who takes
    /// it vouches for what is in it.
    fn check_server(&self, name: &str) -> Result<()> {
        let maker = self.maker;
        if maker != self.store.node_id() {
            self.store.check_may_serve(&maker, name)?;
        }
        let believed = self.options.from == Some(maker)
            || maker == self.store.node_id()
            || self.store.is_trusted(&maker);
        match believed {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::Refused,
                format!(
                    "it comes as a snapshot, which is believed only from a node that is trusted, and {maker} is not: name that key as the one that the bundle is from, if it is (`littoral bundle apply --from KEY`)"
                ),
            )),
        }
    }

    fn end(&mut self) -> Result<()> {
        let Section::Snapshot(snapshot) = std::mem::replace(&mut self.section, Section::Passed)
        else {
            return Ok(());
        };
        let brings = snapshot.brings;
        snapshot.join()?;
        if let Some(one) = self.applied.collections.last_mut() {
            one.new += brings;
        }
        Ok(())
    }
}

fn vector_of(head: &ViewHead) -> Vector {
    let entries = head.vector.iter();
    entries.map(|(o, newest)| (*o, Head { seq: newest.seq, hash: newest.hash.short() })).collect()
}

/// Whether an error keeps one collection from being applied, and none else.
pub(super) fn concerns_a_collection(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::MissingDependency
            | ErrorKind::InvalidTransaction
            | ErrorKind::Forked
            | ErrorKind::FormatTooNew
            | ErrorKind::Refused
            | ErrorKind::Forbidden
            | ErrorKind::LimitExceeded
            | ErrorKind::Locked
    )
}

/// What came of it, or the error that says what did not.
fn told(applied: Applied, stops: Vec<(String, Error)>) -> Result<Applied> {
    let Some((_, first)) = stops.first() else { return Ok(applied) };
    let kind = first.kind();
    let sentences: Vec<String> =
        stops.iter().map(|(name, err)| format!("'{name}': {}", err.message())).collect();
    let missing = stops.iter().any(|(_, err)| err.kind() == ErrorKind::MissingDependency);
    let remedy = match missing {
        true => {
            "; apply the bundles that were made before this one first, or have one made for what this store holds (`littoral bundle have`)"
        }
        false => "",
    };
    let rest = match applied.collections.iter().filter(|one| one.wanted).count() - stops.len() {
        0 => String::new(),
        1 => "; the other collection was applied".to_owned(),
        count => format!("; the other {count} collections were applied"),
    };
    Err(Error::new(kind, format!("{}{remedy}{rest}", sentences.join("; "))))
}
