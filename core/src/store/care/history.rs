//! History: the log, record by record, against itself and against the state.
//!
//! Every transaction must be signed by its author, follow the one before it, and come after
//! everything that it builds on; and what the state says of the log (its index, its vectors, how
//! much of which collection lies in which segment) must be so. What the log lacks because it
//! was pruned, or because a snapshot brought it, is no gap: the floor says so.
//!
//! Where a history has forked, a transaction has another name here than the one that it was signed
//! under ([`branches`](crate::txn::branches)); the index says which.

use std::collections::BTreeMap;
use std::sync::Arc;

use redb::ReadOnlyTable;

use super::finding::{Finding, Findings, Level};
use super::look::RESCUE;
use super::rows::Subject;
use crate::error::{ErrorKind, Result};
use crate::id::{Dot, Hash, Origin, Position, Seq};
use crate::store::export::Mark;
use crate::store::heads::CollectionHead;
use crate::store::log::{Fault, FaultKind, Found, LogRecord, RecordKind, Survey};
use crate::store::segments::{Segments, counted};
use crate::store::snapshot::read_barrier;
use crate::store::tables::{self, IndexRow, db};
use crate::txn::{Scope, Signed, Txn};

const LOG_ADVICE: &str = "the documents are in state.redb all the same, but peers can't be sent what was there; \
     make a copy of the directory, then run `littoral rescue` from it into a new one";

/// What was found in the log.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Read {
    pub(super) transactions: u64,
    pub(super) bytes: u64,
    /// Whether all of it could be read.
    pub(super) whole: bool,
}

/// Examines the log. `each` hears of the bytes read.
pub(super) fn check(
    subject: &Subject<'_>,
    survey: &Survey,
    findings: &mut Findings,
    each: &mut dyn FnMut(u64),
) -> Result<Read> {
    let kept = Segments::load_from(subject.read)?;
    let mut history = History {
        subject,
        index: subject.read.open_table(tables::TRANSACTIONS).map_err(db)?,
        pruned: survey.start().unwrap_or(0) > 0,
        newest: BTreeMap::new(),
        joins: BTreeMap::new(),
        matched: BTreeMap::new(),
        recounted: Segments::default(),
        counted_to: kept.counted(),
        read: Read { whole: true, ..Read::default() },
        findings,
    };
    survey.read(&mut |found| {
        match found {
            Found::Fault(fault) => history.fault(&fault),
            Found::Record(record) => {
                history.read.bytes += record.end.0 - record.position.0;
                each(history.read.bytes);
                history.record(record, survey)?;
            }
        }
        Ok(())
    })?;
    history.compare_index()?;
    let start = Position(survey.start().unwrap_or(0));
    if history.read.whole {
        for base in kept.differing(&history.recounted, start) {
            history.find("segment-tally", format!("log/{:016x}.log", base.0), "what the state counts in it is not what is in it: pruning would keep too much or too little".to_owned());
        }
    }
    Ok(history.read)
}

type Name = (Arc<str>, Origin);

struct History<'a> {
    subject: &'a Subject<'a>,
    index: ReadOnlyTable<&'static [u8], &'static [u8]>,
    /// The log does not begin with the first record there was.
    pruned: bool,
    /// The newest transaction seen of each origin, and how many joins there had been.
    newest: BTreeMap<Name, (Seq, Hash, u64)>,
    /// Snapshots joined so far, by collection.
    joins: BTreeMap<Arc<str>, u64>,
    /// Records that the index names, by number of collection and origin.
    matched: BTreeMap<(u32, u32), u64>,
    recounted: Segments,
    counted_to: Position,
    read: Read,
    findings: &'a mut Findings,
}

impl History<'_> {
    fn find(&mut self, code: &'static str, place: String, what: String) {
        self.findings.push(Finding::new(Level::Damage, code, place, what, LOG_ADVICE));
    }

    fn find_at(&mut self, code: &'static str, record: &LogRecord, what: String) {
        let place = format!("collection '{}', log position {}", record.collection, record.position);
        self.find(code, place, what);
    }

    fn fault(&mut self, fault: &Fault) {
        if fault.kind != FaultKind::Torn {
            // From here on nothing is known of what came before.
            self.newest.clear();
            (self.read.whole, self.pruned) = (false, true);
        }
        self.findings.push(finding_of(fault));
    }

    fn record(&mut self, record: LogRecord, survey: &Survey) -> Result<()> {
        if record.position < self.counted_to
            && let Ok(Some(counted)) = counted(&record, self.subject.heads)
        {
            let base = Position(survey.segment_of(record.position.0));
            let node = self.subject.node.unwrap_or_else(|| crate::id::NodeId::from_bytes([0; 32]));
            self.recounted.count(base, 0, node, counted);
        }
        match record.kind {
            RecordKind::Barrier => self.barrier(&record),
            RecordKind::Mark => {
                if let Err(err) = Mark::decode(&record.collection, &record.bytes) {
                    self.find_at("mark", &record, format!("an export mark can't be read ({err})"));
                }
            }
            RecordKind::Txn => self.transaction(&record)?,
        }
        Ok(())
    }

    fn barrier(&mut self, record: &LogRecord) {
        let name: Arc<str> = Arc::from(record.collection.as_str());
        match read_barrier(&record.bytes) {
            Ok(Some(_)) => *self.joins.entry(name).or_default() += 1,
            // Left: what comes is another life of the collection.
            Ok(None) => self.newest.retain(|(collection, _), _| *collection != name),
            Err(err) => {
                self.find_at("barrier", record, format!("a barrier can't be read ({err})"));
            }
        }
    }

    fn transaction(&mut self, record: &LogRecord) -> Result<()> {
        self.read.transactions += 1;
        let scope = Scope { network: self.subject.network, collection: &record.collection };
        let signed = match Signed::verify(record.bytes.clone(), scope) {
            Ok(signed) => signed,
            Err(err) if err.kind() == ErrorKind::FormatTooNew => {
                self.find_at("too-new", record, format!("{err}"));
                return Ok(());
            }
            Err(err) => {
                let what = format!("a transaction is not as its author signed it ({err})");
                self.find_at("signature", record, what);
                return Ok(());
            }
        };
        let heads = self.subject.heads;
        let head = heads.named(&record.collection);
        let current = head.filter(|head| record.position >= head.row.since);
        let name = match current {
            Some(head) => self.name(head, record, &signed)?,
            None => signed.txn.dot,
        };
        if let Some(head) = current {
            self.against_index(head, record, &signed, &name)?;
        }
        self.chain(record, &signed, &name);
        if let Some(head) = current {
            self.against_vector(head, record, &signed, &name)?;
        }
        Ok(())
    }

    /// What a transaction is called here.
    fn name(&self, head: &CollectionHead, record: &LogRecord, signed: &Signed) -> Result<Dot> {
        let dot = signed.txn.dot;
        if head.branches.cut(&dot.origin).is_none() {
            return Ok(dot);
        }
        for origin in head.branches.all_of(&dot.origin) {
            let seq = dot.seq.saturating_sub(head.branches.base(&origin));
            let name = Dot { origin, seq };
            let entry = self.entry(head, &name)?;
            if entry.is_some_and(|entry| entry.position == record.position) {
                return Ok(name);
            }
        }
        Ok(dot)
    }

    /// Whether what a transaction builds on can't be found by the name that it gives it: its author
    /// did not know of a fork.
    fn is_beyond_fork(&self, collection: &str, dot: &Dot) -> bool {
        let head = self.subject.heads.named(collection);
        let cut = head.and_then(|head| head.branches.cut(&dot.origin));
        cut.is_some_and(|cut| dot.seq > cut)
    }

    /// A record is what the index says lies there.
    fn against_index(
        &mut self,
        head: &CollectionHead,
        record: &LogRecord,
        signed: &Signed,
        name: &Dot,
    ) -> Result<()> {
        match self.entry(head, name)? {
            Some(entry) if entry.position == record.position => {
                if entry.hash != signed.hash.short() {
                    self.find_at("index-hash", record, format!("the index has another hash of {name} than its record: it would be taken for a fork"));
                }
                let origin = self.subject.heads.origins.number(&name.origin).unwrap_or(u32::MAX);
                *self.matched.entry((head.number, origin)).or_default() += 1;
            }
            Some(entry) => {
                self.find_at("index-position", record, format!("the index says that {name} lies at {}: peers would be sent something else, or nothing", entry.position));
            }
            None if name.seq <= head.floor.seq(&name.origin) => {}
            None => {
                self.find_at("index-missing", record, format!("the index of transactions lacks {name}: peers would be sent a gap, and a fork would go unnoticed"));
            }
        }
        Ok(())
    }

    fn entry(&self, head: &CollectionHead, dot: &Dot) -> Result<Option<IndexRow>> {
        let Some(origin) = self.subject.heads.origins.number(&dot.origin) else { return Ok(None) };
        let key = tables::transaction_key(head.number, origin, dot.seq);
        let entry = self.index.get(&key[..]).map_err(db)?;
        entry.map(|bytes| IndexRow::decode(bytes.value())).transpose()
    }

    /// A transaction follows its author's one before, and comes after what it builds on.
    fn chain(&mut self, record: &LogRecord, signed: &Signed, dot: &Dot) {
        let Txn { prev, deps, .. } = &*signed.txn;
        let name: Arc<str> = Arc::from(record.collection.as_str());
        let joins = self.joins.get(&name).copied().unwrap_or(0);
        match self.newest.get(&(name.clone(), dot.origin)) {
            Some((seq, hash, _)) if dot.seq == seq + 1 && prev != hash => {
                self.find_at("chain", record, format!("{dot} does not follow the one before it in the log: one of them is of another history"));
            }
            Some((seq, _, before)) if dot.seq > *seq + 1 && *before == joins => {
                let what = format!(
                    "{dot} comes right after number {seq} of its author: the log has a gap that nothing explains"
                );
                self.find_at("gap", record, what);
            }
            Some((seq, ..)) if dot.seq <= *seq => {
                let what = format!(
                    "{dot} comes after number {seq} of its author: the log is out of order"
                );
                self.find_at("order", record, what);
            }
            None if dot.seq > 1 && !self.pruned && joins == 0 => {
                let what = format!(
                    "{dot} is the first of its author, and the log reaches back to the beginning: it has a gap that nothing explains"
                );
                self.find_at("gap", record, what);
            }
            _ => {}
        }
        for dep in deps {
            let here = self.newest.get(&(name.clone(), dep.origin)).map_or(0, |(seq, ..)| *seq);
            let missing = Dot { origin: dep.origin, seq: dep.seq };
            let findable = !self.is_beyond_fork(&record.collection, &missing);
            if here < dep.seq && !self.pruned && joins == 0 && findable {
                let what = format!(
                    "{dot} builds on {missing}, which the log does not have before it: effects would be sent before their cause"
                );
                self.find_at("causality", record, what);
            }
        }
        self.newest.insert((name, dot.origin), (dot.seq, signed.hash, joins));
    }

    /// What is in the log and current is held, and so is what it builds on.
    fn against_vector(
        &mut self,
        head: &CollectionHead,
        record: &LogRecord,
        signed: &Signed,
        dot: &Dot,
    ) -> Result<()> {
        let Txn { deps, .. } = &*signed.txn;
        let held = |origin: &Origin| head.vector.get(origin).map_or(0, |row| row.seq);
        if held(&dot.origin) < dot.seq {
            let what = format!(
                "the log has {dot}, and the vector ends at {}: what it did would count as never seen",
                held(&dot.origin)
            );
            self.find_at("vector-behind", record, what);
        }
        if let Some(row) = head.vector.get(&dot.origin).filter(|row| row.seq == dot.seq)
            && row.hash != signed.hash
        {
            let what = format!(
                "the vector has another hash of {dot} than its record: it would be taken for a fork"
            );
            self.find_at("vector-hash", record, what);
        }
        for dep in deps {
            let named = Dot { origin: dep.origin, seq: dep.seq };
            if self.is_beyond_fork(&record.collection, &named) {
                continue;
            }
            let known = self.entry(head, &named)?;
            if held(&dep.origin) < dep.seq || known.is_some_and(|entry| entry.hash != dep.hash) {
                let what = format!("{dot} builds on a {named} that is not held, or not that one");
                self.find_at("causality", record, what);
            }
        }
        Ok(())
    }

    /// The index names no transactions that the log does not hold.
    fn compare_index(&mut self) -> Result<()> {
        if !self.read.whole {
            return Ok(());
        }
        for head in self.subject.heads.iter() {
            for origin in head.vector.keys() {
                let number = self.subject.heads.origins.number(origin).unwrap_or(u32::MAX);
                let first = tables::transaction_key(head.number, number, 0);
                let last = tables::transaction_key(head.number, number, Seq::MAX);
                let named = self.index.range(&first[..]..=&last[..]).map_err(db)?.count() as u64;
                let there = self.matched.get(&(head.number, number)).copied().unwrap_or(0);
                if named > there {
                    let what = format!(
                        "the index names {} transactions of {origin} that the log does not hold where it says",
                        named - there
                    );
                    self.find("index-stray", format!("collection '{}'", head.name), what);
                }
            }
        }
        Ok(())
    }
}

/// What a fault of the log means.
pub(super) fn finding_of(fault: &Fault) -> Finding {
    let bytes = fault.to.saturating_sub(fault.from);
    let place = match fault.offset {
        0 => fault.segment.clone(),
        offset => format!("{} at offset {offset}", fault.segment),
    };
    let damage =
        |code, what: String| Finding::new(Level::Damage, code, place.clone(), what, LOG_ADVICE);
    match &fault.kind {
        FaultKind::Torn => Finding::new(
            Level::Note,
            "log-torn",
            place,
            format!(
                "the log ends in {bytes} bytes of a write that was never finished: nothing in it was acknowledged"
            ),
            "nothing: the next opening cuts it off",
        ),
        FaultKind::Missing => damage(
            "log-missing",
            format!(
                "positions {} to {} of the log are in no file: a segment was removed or cut",
                fault.from, fault.to
            ),
        ),
        FaultKind::Header => damage("log-header", "its header is not as it was written".to_owned()),
        FaultKind::Bytes => damage(
            "log-bytes",
            format!(
                "{bytes} bytes of the log (positions {} to {}) are not as they were written",
                fault.from, fault.to
            ),
        ),
        FaultKind::Short => damage(
            "log-short",
            format!(
                "the log ends at {}, and the state was durable up to {}: its end is gone, and with it what other stores may have been sent",
                fault.from, fault.to
            ),
        ),
        FaultKind::TooNew(what) => {
            Finding::new(Level::Damage, "too-new", place, what.clone(), "use a newer Littoral")
        }
    }
}

/// Where nothing but a rescue helps.
pub(super) fn does_not_continue(err: &crate::error::Error) -> Finding {
    let what = format!(
        "what the log has after the state can't be applied to it ({err}): the store does not open"
    );
    Finding::new(Level::Damage, "log-state", "log", what, RESCUE)
}
