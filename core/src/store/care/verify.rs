//! Verification: every invariant of a store's files, looked at and not touched.
//!
//! 1. every page of `state.redb` against its sum (redb's own check; of a store that is not open);
//! 2. the log: every segment, batch and record ([`Survey`]); what recovery would do is done in memory,
//!    so a torn tail is told as what it is, and harmless;
//! 3. the tables as such ([`keys`]), what checkpoints keep included, and the vectors with their
//!    proofs, index and floor ([`vectors`]);
//! 4. the documents against counts, digests, flags, lists and their layout ([`rows`]);
//! 5. each record's signature, chain, causes, and place in the index ([`history`]);
//! 6. where the log reaches back to the beginning of a collection, the state is made anew
//!    from it and compared ([`rebuild`]).
//!
//! Memory is bounded by the cache, the largest document and a batch of the log; step 6 takes disk
//! in a scratch directory.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::ReadableDatabase;

use super::finding::{Finding, Findings, Level};
use super::look::{Look, RESCUE, State, guarded};
use super::rebuild::{self, Rebuild, Scratch};
use super::rows::{self, Subject};
use super::{history, keys, vectors};
use crate::error::{Error, ErrorKind, Result};
use crate::id::NodeId;
use crate::store::disk::{Disk, LookDisk};
use crate::store::heads::Heads;
use crate::store::journal::conflicts;
use crate::store::log::{Bounds, Found, Known, Log, Survey};
use crate::store::open::{self, STATE};
use crate::store::tables::db;
use crate::store::{Options, Store};

/// How a store is verified.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// Leave out making the state anew from the log, which takes the longest and needs disk.
    pub quick: bool,
    /// Where to make it; the system's directory for such things, if none is named.
    pub scratch: Option<PathBuf>,
}

/// How far verification has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyStep {
    /// Pages are checked.
    Pages,
    /// So many documents were examined.
    Documents(u64),
    /// So many bytes of log were examined, of so many.
    Log(u64, u64),
    /// The state is made anew from the log.
    Rebuild,
}

/// What came of verifying a store.
#[must_use = "what is wrong is in the findings"]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
    /// Findings that are not listed, since there are many of their kind.
    pub more: u64,
    /// Collections examined.
    pub collections: u64,
    /// Documents examined.
    pub documents: u64,
    /// Transactions of the log examined.
    pub transactions: u64,
    /// Bytes of log examined.
    pub log_bytes: u64,
    /// Collections that were made anew from the log and compared.
    pub rebuilt: u64,
}

impl Verified {
    /// Whether nothing is damaged. There may be notes.
    pub fn is_sound(&self) -> bool {
        self.findings.iter().all(|finding| finding.level != Level::Damage)
    }

    /// As JSON, for programs: `{"sound", "findings", "more", "collections", "documents",
    /// "transactions", "log_bytes", "rebuilt"}`; a finding is `{"level", "code", "place",
    /// "document", "what", "advice"}`.
    pub fn to_json(&self) -> String {
        let findings: Vec<_> = self.findings.iter().map(Finding::json).collect();
        serde_json::json!({
            "sound": self.is_sound(),
            "findings": findings,
            "more": self.more,
            "collections": self.collections,
            "documents": self.documents,
            "transactions": self.transactions,
            "log_bytes": self.log_bytes,
            "rebuilt": self.rebuilt,
        })
        .to_string()
    }
}

/// Hears how far verification has come.
pub type Progress<'a> = &'a mut dyn FnMut(VerifyStep);

impl Options {
    /// Verifies the store in the directory at `path`, which nobody may have open, and changes
    /// nothing about it.
    ///
    /// Errors: what keeps from looking: [`Locked`](ErrorKind::Locked),
    /// [`NotAStore`](ErrorKind::NotAStore), [`FormatTooNew`](ErrorKind::FormatTooNew), I/O. What
    /// is wrong with the store is no error, but a finding.
    pub fn verify(
        &self,
        path: impl AsRef<Path>,
        how: &VerifyOptions,
        progress: Progress<'_>,
    ) -> Result<Verified> {
        let look = self.look(path.as_ref())?;
        let mut findings = Findings::default();
        if !open::check_directory(path.as_ref())? {
            let what =
                "the file that says that this is a store is gone or not ours: it does not open";
            findings.push(Finding::new(Level::Damage, "mark", "littoral.store", what, RESCUE));
        }
        if look.key.is_none() {
            let what = "the node's key is gone or can't be read: what was written here can't be told from what others wrote";
            findings.push(Finding::new(
                Level::Damage,
                "key",
                "node.key",
                what,
                "restore the file from a copy: without it the store is another node",
            ));
        }
        self.verify_look(&look, how, findings, progress)
    }

    /// The same, of files on a disk that may be simulated.
    pub fn verify_on(&self, disk: Arc<dyn Disk>, how: &VerifyOptions) -> Result<Verified> {
        self.verify_look(&self.look_on(disk), how, Findings::default(), &mut |_| ())
    }

    fn verify_look(
        &self,
        look: &Look,
        how: &VerifyOptions,
        mut findings: Findings,
        progress: Progress<'_>,
    ) -> Result<Verified> {
        progress(VerifyStep::Pages);
        let Some((state, known)) = self.revive(look, &mut findings)? else {
            let mut verified = Verified::new(Findings::default());
            log_alone(look, &mut findings, &mut verified)?;
            return Ok(verified.with(findings));
        };
        let node = look.node_or_nobody();
        let read = state.get().begin_read().map_err(db)?;
        let mut heads = Heads::load_from(&read, node)?;
        heads.layout = self.row_layout();
        let network = state.network()?;
        let bounds = Bounds { start: Some(known.start.0), applied: known.applied.0, end: None };
        let survey = Survey::new(look.disk.clone(), bounds)?;
        let subject = Subject { read: &read, heads: &heads, node: look.node(), network };
        let verification = Verification { subject, survey, how, cache_bytes: self.cache() };
        verification.run(findings, progress)
    }

    /// The state as opening the store would leave it, in memory, and what it knew of the log before;
    /// none if it can't be read. What keeps it from that is found.
    pub(super) fn revive(
        &self,
        look: &Look,
        findings: &mut Findings,
    ) -> Result<Option<(State, Known)>> {
        let Some((state, _)) = look.state(self.cache(), findings)? else { return Ok(None) };
        let node = look.node_or_nobody();
        let known = guarded(|| {
            let heads = Heads::load(state.get(), node)?;
            open::known_of_log(state.get(), heads.applied)
        });
        let known = match known {
            Ok(known) => known,
            Err(err) => {
                let what = format!("what it says of its collections can't be read ({err})");
                findings.push(Finding::new(Level::Damage, "state-heads", STATE, what, RESCUE));
                return Ok(None);
            }
        };
        match guarded(|| self.recover(look, &state, known, node)) {
            Err(err) if err.kind() == ErrorKind::FormatTooNew => return Err(err),
            Err(err) => findings.push(history::does_not_continue(&err)),
            Ok(()) => {}
        }
        Ok(Some((state, known)))
    }

    /// What opening the store would do to its files, in memory. A torn tail of the log is left for
    /// who reads it.
    fn recover(&self, look: &Look, state: &State, known: Known, node: NodeId) -> Result<()> {
        let mut heads = Heads::load(state.get(), node)?;
        heads.layout = self.row_layout();
        conflicts::begin(state.get(), &heads, self.now_ms())?;
        let disk = Arc::new(LookDisk::new(look.disk.clone()));
        let (log, found) = Log::open(disk, known, self.segment_bytes())?;
        let scope = open::Replaying { network: state.network()?, node, now_ms: self.now_ms() };
        open::replay(state.get(), heads, &log, &found, scope).map(drop)
    }
}

impl Store {
    /// Verifies this store as it is at this moment, while it goes on being used: everything but
    /// the sums of the state's pages, which only [`Options::verify`] can check.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// let store = littoral::Store::open(dir.path())?;
    /// store.collection("notes")?.set("n1", "title", "Tide table")?;
    /// assert!(store.verify(&Default::default())?.is_sound());
    /// # Ok::<(), littoral::Error>(())
    /// ```
    ///
    /// Errors: what keeps from looking: [`Closed`](ErrorKind::Closed), I/O;
    /// [`Aborted`](ErrorKind::Aborted) if so much is written meanwhile that the log is pruned while
    /// it is read. What is wrong with the store is no error, but a finding.
    pub fn verify(&self, how: &VerifyOptions) -> Result<Verified> {
        self.flush()?;
        let inner = &self.inner;
        // As long as it is held, no segment goes. It is refused while one is going.
        let pin = loop {
            match self.pin_log("the store", inner.reader.start(), "verification") {
                Ok(pin) => break pin,
                Err(err) if err.kind() == ErrorKind::NotFound => std::thread::yield_now(),
                Err(err) => return Err(err),
            }
        };
        let start = pin.from();
        let (read, heads) = inner.moment()?;
        let bounds = Bounds { start: Some(start.0), applied: 0, end: Some(heads.applied.0) };
        let survey = Survey::new(inner.reader.disk(), bounds)?;
        let (node, network) = (Some(inner.node), inner.network);
        let subject = Subject { read: &read, heads: &heads, node, network };
        let verification = Verification { subject, survey, how, cache_bytes: 8 << 20 };
        let verified = verification.run(Findings::default(), &mut |_| ())?;
        // Once the pin has expired, what is missing may just have been pruned.
        match pin.is_held() || verified.is_sound() {
            true => Ok(verified),
            false => Err(Error::new(
                ErrorKind::Aborted,
                "so much was written meanwhile that the log was pruned while it was read; verify again when less is written, or verify the store when it is closed",
            )),
        }
    }
}

struct Verification<'a> {
    subject: Subject<'a>,
    survey: Survey,
    how: &'a VerifyOptions,
    cache_bytes: usize,
}

impl Verification<'_> {
    fn run(&self, mut findings: Findings, progress: Progress<'_>) -> Result<Verified> {
        let subject = &self.subject;
        let mut verified = Verified::new(Findings::default());
        keys::check(subject, self.how.quick, &mut findings);
        let mut suspects = BTreeSet::new();
        for head in subject.heads.iter() {
            verified.collections += 1;
            let found = findings.count();
            self.part(&head.name, &mut findings, |findings| {
                vectors::check(subject, head, findings)
            });
            let before = verified.documents;
            self.part(&head.name, &mut findings, |findings| {
                let each = &mut |count| progress(VerifyStep::Documents(before + count));
                let counted = rows::check(subject, head, findings, each)?;
                verified.documents += counted.documents;
                Ok(())
            });
            if findings.count() > found {
                suspects.insert(head.name.clone());
            }
        }
        let all = self.survey.bytes();
        let mut read = history::Read::default();
        self.part("", &mut findings, |findings| {
            let each = &mut |bytes| progress(VerifyStep::Log(bytes, all));
            read = history::check(subject, &self.survey, findings, each)?;
            Ok(())
        });
        (verified.transactions, verified.log_bytes) = (read.transactions, read.bytes);
        let whole = rebuild::whole(subject);
        if read.whole && !self.how.quick && !whole.is_empty() {
            progress(VerifyStep::Rebuild);
            let scratch = Scratch::new(self.how.scratch.as_deref())?;
            verified.rebuilt = whole.len() as u64;
            self.part("", &mut findings, |findings| {
                let cache_bytes = self.cache_bytes;
                let rebuild = Rebuild::new(subject, &scratch, cache_bytes, &suspects)?;
                rebuild.run(&self.survey, &whole, findings)
            });
        }
        Ok(verified.with(findings))
    }

    /// A part of it; that it can't be read is a finding, too.
    fn part(
        &self,
        collection: &str,
        findings: &mut Findings,
        examine: impl FnOnce(&mut Findings) -> Result<()>,
    ) {
        if let Err(err) = guarded(|| examine(findings)) {
            let place = match collection {
                "" => STATE.to_owned(),
                name => format!("collection '{name}'"),
            };
            let what = format!("a part of it can't be read ({err})");
            findings.push(Finding::new(Level::Damage, "unreadable", place, what, RESCUE));
        }
    }
}

/// What can be said of the log without a state.
fn log_alone(look: &Look, findings: &mut Findings, verified: &mut Verified) -> Result<()> {
    let survey = Survey::new(look.disk.clone(), Bounds::default())?;
    survey.read(&mut |found| {
        match found {
            Found::Fault(fault) => findings.push(history::finding_of(&fault)),
            Found::Record(record) => {
                verified.transactions += u64::from(record.is_txn());
                verified.log_bytes += record.end.0 - record.position.0;
            }
        }
        Ok(())
    })
}

impl Verified {
    fn new(findings: Findings) -> Verified {
        let (findings, more) = findings.finish();
        Verified {
            findings,
            more,
            collections: 0,
            documents: 0,
            transactions: 0,
            log_bytes: 0,
            rebuilt: 0,
        }
    }

    fn with(self, findings: Findings) -> Verified {
        let (findings, more) = findings.finish();
        Verified { findings, more, ..self }
    }
}
