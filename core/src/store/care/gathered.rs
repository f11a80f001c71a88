//! What a rescue gathers from the log before it begins: what counts there, how far it reaches
//! without anything else, and what can't be read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::finding::{Finding, Findings, Level};
use super::history;
use super::lives::Lives;
use super::remains::{Collection, Remains};
use super::rescue::RescueOptions;
use super::salvage::Reach;
use crate::error::{Error, ErrorKind, Result};
use crate::id::Origin;
use crate::store::Options;
use crate::store::log::{FaultKind, Found, Survey};
use crate::txn::{NetworkId, NodeKey, Scope, Signed};

/// What the log holds that counts, and how far it reaches without anything else.
pub(super) struct Gathered {
    /// By collection: how many transactions, and of which origins.
    pub(super) collections: BTreeMap<String, u64>,
    origins: BTreeSet<Origin>,
    /// What can be applied from the log alone.
    pub(super) reach: Reach,
    /// Whether a signature was right.
    signed: u64,
    wrong: u64,
    marks: u64,
    pub(super) whole: bool,
    /// Whether something that is after the state can't be read.
    pub(super) newest_unknown: bool,
}

impl Gathered {
    pub(super) fn new(
        survey: &Survey,
        lives: &Lives,
        network: NetworkId,
        applied: u64,
        findings: &mut Findings,
    ) -> Result<Gathered> {
        let mut gathered = Gathered {
            collections: BTreeMap::new(),
            origins: BTreeSet::new(),
            reach: Reach::default(),
            signed: 0,
            wrong: 0,
            marks: 0,
            whole: true,
            newest_unknown: false,
        };
        survey.read(&mut |found| {
            match found {
                Found::Fault(fault) => {
                    gathered.whole = false;
                    gathered.newest_unknown |= match fault.kind {
                        FaultKind::Torn => false,
                        FaultKind::Bytes | FaultKind::TooNew(_) => fault.to > applied,
                        // Of a log that ends there, nobody knows how it went on.
                        FaultKind::Header | FaultKind::Short | FaultKind::Missing => {
                            fault.to >= applied
                        }
                    };
                    findings.push(history::finding_of(&fault));
                }
                Found::Record(record) if !record.is_txn() => gathered.marks += 1,
                Found::Record(record) => {
                    let scope = Scope { network, collection: &record.collection };
                    if let Ok(dot) = crate::txn::peek_dot(&record.bytes) {
                        gathered.origins.insert(dot.origin);
                    }
                    match Signed::verify(record.bytes.clone(), scope) {
                        Ok(signed) => {
                            gathered.signed += 1;
                            if lives.counts(&record) {
                                let name: Arc<str> = Arc::from(record.collection.as_str());
                                *gathered.collections.entry(record.collection).or_default() += 1;
                                gathered.reach.take(&name, &signed);
                            }
                        }
                        Err(err) => {
                            gathered.wrong += 1;
                            let what =
                                format!("a transaction is not as its author signed it ({err})");
                            let place = format!("log position {}", record.position);
                            findings.push(Finding::new(
                                Level::Damage,
                                "signature",
                                place,
                                what,
                                "it was left out",
                            ));
                        }
                    }
                }
            }
            Ok(())
        })?;
        Ok(gathered)
    }

    /// If no signature fits, it is the network that is wrong.
    pub(super) fn check_network(&self, how: &RescueOptions) -> Result<()> {
        if self.signed > 0 || self.wrong == 0 {
            return Ok(());
        }
        let what = match how.network {
            Some(_) => "no signature in the log fits the network that was named",
            None => {
                "the state does not say which network the store belongs to, and no signature in the log fits the default one: name it"
            }
        };
        Err(Error::new(ErrorKind::InvalidInput, what))
    }

    pub(super) fn name_origins(&mut self, remains: Option<&Remains>) {
        self.origins.extend(remains.iter().flat_map(|remains| remains.origins()));
    }

    /// Two incarnations that nothing was ever written under, as far as is known.
    pub(super) fn unused_incarnations(&self, options: &Options, key: &NodeKey) -> [u32; 2] {
        let mut drawn = BTreeSet::new();
        while drawn.len() < 2 {
            let incarnation = (options.incarnations)() & Origin::LAST_INCARNATION;
            let origin = Origin { node: key.id(), incarnation };
            if incarnation != 0 && !self.origins.contains(&origin) {
                drawn.insert(incarnation);
            }
        }
        let mut drawn = drawn.into_iter();
        [drawn.next().unwrap_or(1), drawn.next().unwrap_or(2)]
    }

    /// Whether nobody else can have what is here: no peer is trusted, nothing is of another node,
    /// nothing was ever handed out.
    pub(super) fn is_alone(&self, remains: Option<&Remains>, key: &NodeKey) -> bool {
        let Some(remains) = remains else { return false };
        let nobody = remains.peers.as_ref().is_some_and(Vec::is_empty);
        let sent =
            |collection: &Collection| collection.head.as_ref().is_none_or(|head| head.exported > 0);
        nobody
            && self.marks == 0
            && self.origins.iter().all(|origin| origin.node == key.id())
            && !remains.collections.values().any(sent)
    }
}
