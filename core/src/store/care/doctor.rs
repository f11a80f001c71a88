//! The doctor: what is going on with a store, in plain sentences, and what to do about it.
//!
//! Other than [`verify`](super::verify) it is not after damage, though it tells of what it comes
//! upon: it explains states that are legal and puzzling. What of the disk and of links it can't
//! know here, the node adds.

mod rights;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use redb::{ReadableDatabase, ReadableTable, ReadableTableMetadata};

use super::finding::{Finding, Findings, Level};
use super::history;
use super::look::{Look, RESCUE, guarded};
use super::rows::{Subject, bounds};
use crate::clock::Timestamp;
use crate::error::{ErrorKind, Result};
use crate::id::{Origin, Seq};
use crate::limits::{DEAD_SPACE_BYTES, LOG_SEGMENT_BYTES, MAX_CLOCK_LEAD_MS};
use crate::store::budget::{Budgets, LogBudget};
use crate::store::disk::Disk;
use crate::store::heads::{CollectionHead, Heads};
use crate::store::log::{Bounds, Found, Survey};
use crate::store::open::STATE;
use crate::store::place::{self, Place};
use crate::store::tables::{self, db};
use crate::store::{Options, Store, peers};

impl Options {
    /// Explains the state of the store in the directory at `path`, which nobody may have open, and
    /// changes nothing about it. The worst comes first; nothing is found if all is well.
    ///
    /// Errors: what keeps from looking: [`Locked`](ErrorKind::Locked),
    /// [`NotAStore`](ErrorKind::NotAStore), I/O.
    pub fn doctor(&self, path: impl AsRef<Path>) -> Result<Vec<Finding>> {
        match self.look(path.as_ref()) {
            Ok(look) => self.doctor_look(&look),
            Err(err) if err.kind() == ErrorKind::FormatTooNew => Ok(vec![too_new(&err)]),
            Err(err) => Err(err),
        }
    }

    /// The same, of files on a disk that may be simulated.
    pub fn doctor_on(&self, disk: Arc<dyn Disk>) -> Result<Vec<Finding>> {
        self.doctor_look(&self.look_on(disk))
    }

    fn doctor_look(&self, look: &Look) -> Result<Vec<Finding>> {
        let mut findings = Findings::default();
        let revived = match self.revive(look, &mut findings) {
            Err(err) if err.kind() == ErrorKind::FormatTooNew => return Ok(vec![too_new(&err)]),
            revived => revived?,
        };
        let Some((state, known)) = revived else { return Ok(findings.finish().0) };
        let format = guarded(|| {
            let read = state.get().begin_read().map_err(db)?;
            tables::read(&read, tables::META, tables::META_FORMAT)
        });
        if let Ok(Some(bytes)) = format
            && let Ok(format) = tables::u32_of(&bytes)
            && let Err(err) = crate::store::open::check_format(format)
        {
            return Ok(vec![too_new(&err)]);
        }
        let examined = guarded(|| {
            let read = state.get().begin_read().map_err(db)?;
            let heads = Heads::load_from(&read, look.node_or_nobody())?;
            let network = state.network()?;
            let subject = Subject { read: &read, heads: &heads, node: look.node(), network };
            let bounds = Bounds { start: Some(known.start.0), applied: known.applied.0, end: None };
            let survey = Survey::new(look.disk.clone(), bounds)?;
            let budgets = Budgets::load(state.get(), self.budget())?;
            let file = look.disk.open(STATE, false).ok();
            let mut doctor = Doctor {
                subject: &subject,
                now_ms: self.now_ms(),
                state_len: file.as_ref().and_then(|file| file.len().ok()).unwrap_or(0),
                findings: &mut findings,
            };
            if let Some(file) = &file {
                doctor.place(&Place::of(&*look.disk, &**file))?;
            }
            doctor.examine(&survey, |name| budgets.of(name), None)
        });
        if let Err(err) = examined {
            let what = format!("a part of it can't be read ({err})");
            findings.push(Finding::new(Level::Damage, "unreadable", STATE, what, RESCUE));
        }
        Ok(findings.finish().0)
    }
}

impl Store {
    /// Explains the state of this store as it is at this moment. The worst comes first; nothing is
    /// found if all is well.
    pub fn doctor(&self) -> Result<Vec<Finding>> {
        let inner = &self.inner;
        let mut findings = Findings::default();
        if let Some(reason) = inner.failure.get() {
            findings.push(Finding::new(
                Level::Warning,
                "poisoned",
                "the store",
                format!("a commit failed ({reason}), and what of it reached the disk is not known: writes are refused, reads go on"),
                "see that the disk has room and works, then close the store and open it again: what was acknowledged is there",
            ));
            return Ok(findings.finish().0);
        }
        self.flush()?;
        let (read, heads) = inner.moment()?;
        let (node, network) = (Some(inner.node), inner.network);
        let subject = Subject { read: &read, heads: &heads, node, network };
        let start = tables::read(&read, tables::META, tables::META_LOG_START)?;
        let start = start.map_or(Ok(0), |bytes| tables::u64_of(&bytes))?;
        let bounds = Bounds {
            start: Some(start.max(inner.reader.start().0)),
            applied: 0,
            end: Some(heads.applied.0),
        };
        let survey = Survey::new(inner.reader.disk(), bounds)?;
        let mut doctor = Doctor {
            subject: &subject,
            now_ms: inner.wall.now_ms(),
            state_len: inner.state_len(),
            findings: &mut findings,
        };
        doctor.examine(&survey, |name| inner.log_budget(name), inner.pruning.held())?;
        Ok(findings.finish().0)
    }
}

fn too_new(err: &crate::error::Error) -> Finding {
    let advice = "use a newer Littoral; this one has changed nothing";
    Finding::new(Level::Warning, "format-too-new", "the store", err.message(), advice)
}

struct Doctor<'a> {
    subject: &'a Subject<'a>,
    now_ms: u64,
    state_len: u64,
    findings: &'a mut Findings,
}

impl Doctor<'_> {
    fn tell(
        &mut self,
        level: Level,
        code: &'static str,
        place: &str,
        what: String,
        advice: &'static str,
    ) {
        self.findings.push(Finding::new(level, code, place, what, advice));
    }

    fn examine(
        &mut self,
        survey: &Survey,
        budget: impl Fn(&str) -> LogBudget,
        held: Option<String>,
    ) -> Result<()> {
        self.copied()?;
        let trusted = peers::list(self.subject.read)?.len();
        let heads: Vec<&CollectionHead> = self.subject.heads.iter().collect();
        for head in &heads {
            self.incarnations(head);
            self.conflicts(head);
            self.forks(head)?;
            self.unsent(head, trusted);
        }
        self.rights(&heads)?;
        self.staged()?;
        self.log(survey, &heads, budget, held)?;
        self.space()
    }

    /// Whether the store lies elsewhere than when it was last open.
    fn place(&mut self, place: &Place) -> Result<()> {
        if place::is_elsewhere(self.subject.read, place)? {
            self.tell(
                Level::Note,
                "elsewhere",
                "the store",
                "it lies elsewhere than when it was last open: it will be taken for a copy, and go on under another incarnation".to_owned(),
                "nothing: a new incarnation costs a few bytes, and is right if the original is still used",
            );
        }
        Ok(())
    }

    fn copied(&mut self) -> Result<()> {
        let copied = tables::read(self.subject.read, tables::META, tables::META_COPIED)?;
        if let Some(bytes) = copied {
            let when = Timestamp::from_millis(tables::u64_of(&bytes)?);
            self.tell(
                Level::Note,
                "copied",
                "the store",
                format!("it was found to be a copy, or restored from one, at {when}: since then it writes under another incarnation than the original"),
                "nothing: both may be used; they are two writers now",
            );
        }
        Ok(())
    }

    fn incarnations(&mut self, head: &CollectionHead) {
        let Some(node) = self.subject.node else { return };
        let own = head.vector.keys().filter(|origin| origin.node == node).count();
        let written = head.vector.contains_key(&head.own_origin(node));
        if own > 1 || (own == 1 && !written) {
            self.tell(
                Level::Note,
                "incarnations",
                &head.name,
                format!("this node has written here under {own} incarnations and goes on under number {}: it could not be sure that an earlier one was its alone (a copy, a rollback, a rescue, or the collection was left)", head.row.incarnation),
                "nothing: nothing is lost by it",
            );
        }
    }

    fn conflicts(&mut self, head: &CollectionHead) {
        if head.row.conflicts > 0 {
            self.tell(
                Level::Note,
                "conflicts",
                &head.name,
                format!("{} documents hold what replicas wrote without having seen each other's writes; one value is shown, the others are kept", head.row.conflicts),
                "see them with `littoral conflicts`, settle them with `littoral resolve`",
            );
        }
    }

    fn forks(&mut self, head: &CollectionHead) -> Result<()> {
        let points: BTreeSet<(Origin, Seq)> =
            head.branches.iter().map(|branch| (branch.root, branch.base)).collect();
        for (root, base) in points {
            self.tell(
                Level::Note,
                "branches",
                &head.name,
                format!("the history of {root} ({}) has forked after its number {base}: its store was copied or rolled back, and both went on; what both wrote is kept, each side as a branch", root.node),
                "there is nothing to do; if two machines run with one key, give one of them a store of its own",
            );
        }
        let table = self.subject.read.open_table(tables::FORKS).map_err(db)?;
        let (start, end) = bounds(head.number);
        for entry in table.range(&start[..]..&end[..]).map_err(db)? {
            let (key, value) = entry.map_err(db)?;
            let (Some(origin), Some(seq)) = (key.value().get(4..8), key.value().get(8..)) else {
                continue;
            };
            let origin = self.subject.heads.origins.get(tables::u32_of(origin)?)?;
            let seq = tables::u64_of(seq)?;
            if head.branches.iter().any(|one| one.root == origin && one.base + 1 == seq) {
                // Both sides are kept.
                continue;
            }
            let (ours, theirs) = value.value().split_at(value.value().len().min(16));
            let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
            self.findings.push(Finding::new(
                Level::Warning,
                "fork",
                head.name.clone(),
                format!("{origin} ({}) has signed two transactions as its number {seq}: {} is held here, {} elsewhere: its store was copied or rolled back, and the collection does not sync between those who hold one and those who hold the other", origin.node, hex(ours), hex(theirs)),
                "the logs of the two no longer reach back to where they part, or they have not met since; if it stays so, decide which side is to stay; on the other, `littoral export` what is only there, `littoral leave` the collection, and sync again",
            ));
        }
        Ok(())
    }

    fn unsent(&mut self, head: &CollectionHead, trusted: usize) {
        let Some(node) = self.subject.node else { return };
        let (newest, exported) = head.exports(node);
        if trusted > 0 && newest > exported {
            self.tell(
                Level::Note,
                "unsent",
                &head.name,
                format!("{} transactions written here were never given to a peer: this store is the only one that has them, and its log keeps them however long that takes", newest - exported),
                "connect to a peer",
            );
        }
    }

    fn staged(&mut self) -> Result<()> {
        let joins = self.subject.read.open_table(tables::JOINS).map_err(db)?;
        for entry in joins.iter().map_err(db)? {
            let (name, since) = entry.map_err(db)?;
            let name = String::from_utf8_lossy(name.value()).into_owned();
            let since = Timestamp::from_millis(tables::u64_of(since.value())?);
            self.tell(
                Level::Note,
                "snapshot",
                &name,
                format!("a snapshot is being taken in since {since}; until it is whole, what is shown is what was there before"),
                "connect to a peer that has the collection: it goes on where it was",
            );
        }
        Ok(())
    }

    /// The log as it is: damage, its size, and clocks that were wrong.
    fn log(
        &mut self,
        survey: &Survey,
        heads: &[&CollectionHead],
        budget: impl Fn(&str) -> LogBudget,
        held: Option<String>,
    ) -> Result<()> {
        let mut bytes = 0;
        let mut newest: BTreeMap<Origin, Timestamp> = BTreeMap::new();
        survey.read(&mut |found| {
            match found {
                Found::Fault(fault) => self.findings.push(history::finding_of(&fault)),
                Found::Record(record) => {
                    bytes += record.end.0 - record.position.0;
                    if let Some((origin, time)) =
                        record.is_txn().then(|| peek(&record.bytes)).flatten()
                    {
                        let known = newest.entry(origin).or_default();
                        *known = time.max(*known);
                    }
                }
            }
            Ok(())
        })?;
        let allowed = heads.iter().map(|head| budget(&head.name).bytes);
        let allowed = allowed.fold(0, u64::saturating_add).saturating_add(2 * LOG_SEGMENT_BYTES);
        if let Some(why) = held {
            let what = format!("the log keeps more than its budget, for: {why}");
            self.tell(
                Level::Note,
                "log-held",
                "log",
                what,
                "it is pruned as soon as nothing holds it",
            );
        } else if bytes > allowed {
            let what =
                format!("the log holds {bytes} bytes, more than its budgets allow ({allowed})");
            let advice =
                "it is pruned with the next writes; own writes that no peer was given are kept";
            self.tell(Level::Note, "log-held", "log", what, advice);
        }
        self.clocks(&newest);
        Ok(())
    }

    fn clocks(&mut self, newest: &BTreeMap<Origin, Timestamp>) {
        for (origin, time) in newest {
            let ahead_ms = time.millis().saturating_sub(self.now_ms);
            if ahead_ms <= MAX_CLOCK_LEAD_MS {
                continue;
            }
            let whose = match Some(origin.node) == self.subject.node {
                true => "this node".to_owned(),
                false => format!("node {}", origin.node),
            };
            self.tell(
                Level::Warning,
                "clock",
                "the store",
                format!("{whose} has written at {time}, {} seconds after what the clock here says: one of the two clocks is wrong", ahead_ms / 1000),
                "set it right; nothing is overwritten by a wrong clock, but of truly concurrent values its own are shown first",
            );
        }
    }

    fn space(&mut self) -> Result<()> {
        let mut live = 0;
        for definition in tables::ALL {
            let Some(table) = tables::open_if_there(self.subject.read, definition)? else {
                continue;
            };
            let stats = table.stats().map_err(db)?;
            live += stats.stored_bytes() + stats.metadata_bytes() + stats.fragmented_bytes();
        }
        let dead = self.state_len.saturating_sub(live);
        if dead > DEAD_SPACE_BYTES && dead > live {
            let what = format!(
                "of {} bytes {dead} are free: they are used as the store grows",
                self.state_len
            );
            self.tell(
                Level::Note,
                "dead-space",
                STATE,
                what,
                "`littoral compact` gives them back to the disk",
            );
        }
        Ok(())
    }
}

/// Author and time of a transaction's bytes: version 1, origin 36, seq 8, prev 32, time 8.
fn peek(bytes: &[u8]) -> Option<(Origin, Timestamp)> {
    let origin = Origin::from_bytes(bytes.get(1..37)?.try_into().ok()?);
    let time = u64::from_be_bytes(bytes.get(77..85)?.try_into().ok()?);
    Some((origin, Timestamp::from_bits(time)))
}
