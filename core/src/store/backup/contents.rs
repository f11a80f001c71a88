//! What is in a backup: read without a store, and checked down to the documents.

use std::io::Read;
use std::path::Path;

use super::settings;
use crate::clock::Timestamp;
use crate::crdt::{Layout, LtHash, Row, join, view};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Dot, Hash, NodeId};
use crate::store::bundle::file::FileReader;
use crate::txn::bundle::{Check, Counted, Header, Part, SettingKind};
use crate::txn::roster::{RosterScope, Statement};
use crate::txn::snapshot::{ViewHead, unpack};
use crate::txn::{NetworkId, Scope};

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupReport {
    /// The network that the store belongs to.
    pub network: NetworkId,
    /// The node whose store it is of. It has signed what is in it.
    pub node: NodeId,
    /// Of which moment, in milliseconds since 1970, by that node's clock.
    pub made_ms: u64,
    /// The size of the file.
    pub bytes: u64,
    /// Who founded the roster, if the store has one.
    pub founder: Option<NodeId>,
    /// Statements of the roster.
    pub statements: u64,
    /// Peers that the store trusts.
    pub peers: u64,
    /// The collections, in the order of their names.
    pub collections: Vec<BackedUp>,
    /// What all its bytes come to.
    pub(super) check: Option<Check>,
}

/// What a backup holds of one collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackedUp {
    /// Its name.
    pub name: String,
    /// Documents.
    pub documents: u64,
    /// Documents in conflict.
    pub conflicts: u64,
    /// Transactions that went into them.
    pub transactions: u64,
    /// Origins in its vector.
    pub origins: u64,
    /// The digest of the cells.
    pub cells: Hash,
}

impl BackupReport {
    /// Reads a whole backup from a file and says what is in it, after checking every byte of it:
    /// each frame, each signature, and whether the documents are those that were counted and
    /// have the digest that was signed. Needs no store.
    ///
    /// Errors: [`Corrupt`](ErrorKind::Corrupt) if it is damaged,
    /// [`InvalidInput`](ErrorKind::InvalidInput) if it is something else,
    /// [`FormatTooNew`](ErrorKind::FormatTooNew), I/O.
    pub fn open(path: impl AsRef<Path>) -> Result<BackupReport> {
        let path = path.as_ref();
        let file = std::fs::File::open(path)
            .map_err(|err| Error::io(format_args!("open {}", path.display()), err))?;
        BackupReport::read(std::io::BufReader::with_capacity(super::BUFFER_BYTES, file))
    }

    /// The same, from a stream of bytes.
    pub fn read(mut input: impl Read) -> Result<BackupReport> {
        BackupReport::read_laid(&mut input, Layout::default())
    }

    /// The same, of documents that are laid into rows in some way.
    pub(super) fn read_laid(input: &mut dyn Read, layout: Layout) -> Result<BackupReport> {
        let mut checked = Checked::new(input, layout)?;
        while checked.next()?.is_some() {}
        Ok(checked.finish())
    }

    /// Documents of all collections.
    pub fn documents(&self) -> u64 {
        self.collections.iter().map(|one| one.documents).sum()
    }

    /// Transactions of all collections.
    pub fn transactions(&self) -> u64 {
        self.collections.iter().map(|one| one.transactions).fold(0, u64::saturating_add)
    }

    /// As JSON, for programs.
    pub fn to_json(&self) -> String {
        self.json().to_string()
    }

    pub(super) fn json(&self) -> serde_json::Value {
        let collections = self.collections.iter().map(|one| {
            serde_json::json!({
                "name": one.name,
                "documents": one.documents,
                "conflicts": one.conflicts,
                "transactions": one.transactions,
                "origins": one.origins,
                "cells": data_encoding::HEXLOWER.encode(&one.cells.0),
            })
        });
        serde_json::json!({
            "network": data_encoding::HEXLOWER.encode(&self.network.0),
            "node": self.node.to_string(),
            "made": Timestamp::from_millis(self.made_ms).to_string(),
            "bytes": self.bytes,
            "founder": self.founder.map(|founder| founder.to_string()),
            "statements": self.statements,
            "peers": self.peers,
            "documents": self.documents(),
            "transactions": self.transactions(),
            "collections": collections.collect::<Vec<_>>(),
        })
    }

    pub(super) fn begin(header: &Header) -> BackupReport {
        BackupReport {
            network: header.network,
            node: header.maker,
            made_ms: header.made_ms,
            bytes: 0,
            founder: None,
            statements: 0,
            peers: 0,
            collections: Vec::new(),
            check: None,
        }
    }
}

/// A backup that is read: whatever it gives out was checked, as far as it can be by then.
pub(super) struct Checked<'a> {
    file: FileReader<'a>,
    layout: Layout,
    report: BackupReport,
    open: Option<Open>,
}

/// The collection under way.
pub(super) struct Open {
    pub(super) name: String,
    pub(super) head: ViewHead,
    cells: LtHash,
    counted: Counted,
    last: Option<String>,
}

impl<'a> Checked<'a> {
    pub(super) fn new(input: &'a mut dyn Read, layout: Layout) -> Result<Checked<'a>> {
        let file = FileReader::backup(input)?;
        let report = BackupReport::begin(file.header());
        Ok(Checked { file, layout, report, open: None })
    }

    /// What was read so far.
    pub(super) fn report(&self) -> &BackupReport {
        &self.report
    }

    /// The collection that the last part belongs to.
    pub(super) fn collection(&self) -> Option<&Open> {
        self.open.as_ref()
    }

    /// The next part; `None` after the last one.
    pub(super) fn next(&mut self) -> Result<Option<Part>> {
        let part = self.file.next().map_err(unsound)?;
        if let Some(part) = &part {
            self.note(part).map_err(unsound)?;
        }
        Ok(part)
    }

    /// All of it, once there is no next part.
    pub(super) fn finish(self) -> BackupReport {
        let (bytes, check) = (self.file.bytes(), Some(self.file.check()));
        BackupReport { bytes, check, ..self.report }
    }

    fn note(&mut self, part: &Part) -> Result<()> {
        let report = &mut self.report;
        match part {
            Part::Settings(settings) => {
                settings.iter().try_for_each(settings::check)?;
                let peers = settings.iter().filter(|one| one.kind == SettingKind::Peer);
                report.peers += peers.count() as u64;
            }
            Part::Statements { founder, statements } => {
                if report.founder.is_some_and(|known| known != *founder) {
                    return Err(Error::corrupt("it has the rosters of two founders"));
                }
                report.founder = Some(*founder);
                report.statements += statements.len() as u64;
                let scope = RosterScope { network: report.network, founder: *founder };
                for statement in statements {
                    Statement::verify(statement.clone(), scope)?;
                }
            }
            Part::Snapshot { collection, head } => {
                let scope = Scope { network: report.network, collection };
                self.open = Some(Open {
                    name: collection.clone(),
                    head: ViewHead::verify(head, scope, &report.node)?,
                    cells: LtHash::new(),
                    counted: Counted::default(),
                    last: None,
                });
            }
            Part::Documents(documents) => {
                let open = self.open.as_mut().expect("documents follow a snapshot");
                for (id, packed) in documents {
                    open.document(id, &unpack(packed)?, self.layout)?;
                }
            }
            Part::Counted(counted) => {
                let open = self.open.as_ref().expect("they follow a snapshot");
                report.collections.push(open.finish(counted)?);
            }
            _ => {}
        }
        Ok(())
    }
}

impl Open {
    fn document(&mut self, id: &str, row: &Row, layout: Layout) -> Result<()> {
        if self.last.as_deref().is_some_and(|last| last >= id) {
            return Err(self.other("has documents out of order"));
        }
        self.last = Some(id.to_owned());
        join::check(row, |dot: &Dot| self.head.covers(dot))?;
        for part in layout.rows(row.cells()) {
            self.cells.add(&Row::digest_of(part, id));
        }
        let flags = view::flags(row);
        self.counted.documents += u64::from(flags.shown);
        self.counted.conflicts += u64::from(flags.in_conflict);
        Ok(())
    }

    /// All documents have come: they must be those that were counted, and have the digest that was
    /// signed.
    fn finish(&self, counted: &Counted) -> Result<BackedUp> {
        let transactions = self.head.vector.values().map(|newest| newest.seq);
        let found = Counted { transactions: transactions.sum(), ..self.counted };
        if found != *counted || found.documents != self.head.documents {
            return Err(self.other("does not hold as much as was counted of it"));
        }
        if self.cells.digest() != self.head.cells {
            return Err(self.other("does not have the digest that its node signed"));
        }
        Ok(BackedUp {
            name: self.name.clone(),
            documents: found.documents,
            conflicts: found.conflicts,
            transactions: found.transactions,
            origins: self.head.vector.len() as u64,
            cells: self.head.cells,
        })
    }

    fn other(&self, what: &str) -> Error {
        Error::corrupt(format!("collection '{}' in it {what}", self.name))
    }
}

/// What is wrong with a file whose frames fit: it was made by something else, or of a store that
/// was damaged.
fn unsound(err: Error) -> Error {
    match err.kind() {
        ErrorKind::InvalidTransaction => {
            Error::corrupt(format!("the backup is not sound: {}", err.message()))
        }
        _ => err,
    }
}
