//! The JSON that the node speaks: the same over HTTP and from `--json`.
//!
//! Documents and fields inside are JSON as the core defines it. Fields are added to these
//! shapes, never renamed; readers ignore what they don't know.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use littoral::clock::Timestamp;
use littoral::id::Vector;
use littoral::store::{
    Applied, BundleCollection, BundleContents, Candidate, ChangeValues, Finding,
};
use littoral::value::{field_to_json, fields_to_json};
use littoral::{Change, Conflict, Document, Fields};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use serde_json::value::RawValue;

use crate::tape::HoldShape;

/// A document in a page, a listing or a batch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Its id.
    pub(crate) id: String,
    /// Its version, opaque, if it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    /// Its fields. Raw, so that the core's parser sees every digit and every name given twice.
    pub(crate) doc: Box<RawValue>,
}

impl Entry {
    /// An entry without version.
    pub(crate) fn new(id: &str, fields: &Fields) -> Entry {
        Entry { id: id.to_owned(), version: None, doc: raw(fields) }
    }
}

/// A document's fields as JSON text.
pub(crate) fn raw(fields: &Fields) -> Box<RawValue> {
    RawValue::from_string(fields_to_json(fields).to_string()).expect("JSON is JSON")
}

/// A page of documents.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Page {
    /// The documents, in the order of their ids.
    pub(crate) documents: Vec<Entry>,
    /// What to give as `after` for the next page; none after the last.
    pub(crate) next: Option<String>,
}

/// What a batch did.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BatchWritten {
    /// How many documents were written.
    pub(crate) written: usize,
}

/// A conflict.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ConflictShape {
    /// The collection.
    pub(crate) collection: String,
    /// The document.
    pub(crate) id: String,
    /// The field, as a JSON Pointer.
    pub(crate) path: String,
    /// What was written; the first is shown.
    pub(crate) candidates: Vec<CandidateShape>,
}

/// One side of a conflict.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CandidateShape {
    /// What it would show.
    pub(crate) value: Json,
    /// The key of the node that wrote it.
    pub(crate) author: String,
    /// When, by its author's clock, RFC 3339.
    pub(crate) time: String,
}

impl From<&Conflict> for ConflictShape {
    fn from(conflict: &Conflict) -> ConflictShape {
        ConflictShape {
            collection: conflict.collection.clone(),
            id: conflict.id.clone(),
            path: conflict.path.to_string(),
            candidates: conflict.candidates.iter().map(CandidateShape::from).collect(),
        }
    }
}

impl From<&Candidate> for CandidateShape {
    fn from(candidate: &Candidate) -> CandidateShape {
        CandidateShape {
            value: field_to_json(&candidate.field),
            author: candidate.dot.origin.node.to_string(),
            time: candidate.time.to_string(),
        }
    }
}

/// All conflicts asked for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Conflicts {
    /// By collection, id and path.
    pub(crate) conflicts: Vec<ConflictShape>,
}

/// A document was written.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ChangeShape {
    /// Where to resume after this change.
    pub(crate) position: u64,
    /// The collection.
    pub(crate) collection: String,
    /// The document.
    pub(crate) id: String,
    /// The key of the node that wrote it.
    pub(crate) author: String,
    /// The number of the transaction among its author's in the collection.
    pub(crate) seq: u64,
    /// When, by its author's clock, RFC 3339.
    pub(crate) time: String,
    /// Whether this node wrote it.
    pub(crate) local: bool,
    /// What the document held before and after, if that was asked for and is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) values: Option<ValuesShape>,
}

/// What a document held before and after a change; null if it was not there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ValuesShape {
    /// Before.
    pub(crate) before: Option<Box<RawValue>>,
    /// After.
    pub(crate) after: Option<Box<RawValue>>,
}

impl ValuesShape {
    /// How long its JSON is, about.
    pub(crate) fn bytes(&self) -> usize {
        [&self.before, &self.after].into_iter().flatten().map(|doc| doc.get().len()).sum()
    }
}

impl From<&ChangeValues> for ValuesShape {
    fn from(values: &ChangeValues) -> ValuesShape {
        let of =
            |document: &Option<Document>| document.as_ref().map(|document| raw(document.fields()));
        ValuesShape { before: of(&values.before), after: of(&values.after) }
    }
}

impl From<&Change> for ChangeShape {
    fn from(change: &Change) -> ChangeShape {
        ChangeShape {
            position: change.position.0,
            collection: change.collection.to_string(),
            id: change.id.clone(),
            author: change.dot.origin.node.to_string(),
            seq: change.dot.seq,
            time: change.time.to_string(),
            local: change.local,
            values: change.values.as_deref().map(ValuesShape::from),
        }
    }
}

/// Changes from a position on.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ChangesPage {
    /// In the order in which they came into the store.
    pub(crate) changes: Vec<ChangeShape>,
    /// Where to resume.
    pub(crate) next: u64,
}

/// Something that was found out about a store or its node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FindingShape {
    /// `note`, `warning` or `damage`.
    pub(crate) level: String,
    /// What it is, for programs: stable.
    pub(crate) code: String,
    /// Where.
    pub(crate) place: String,
    /// What was found and what it means.
    pub(crate) what: String,
    /// What to do about it.
    pub(crate) advice: String,
}

impl From<&Finding> for FindingShape {
    fn from(finding: &Finding) -> FindingShape {
        FindingShape {
            level: finding.level.as_str().to_owned(),
            code: finding.code.to_owned(),
            place: finding.place.clone(),
            what: finding.what.clone(),
            advice: finding.advice.to_owned(),
        }
    }
}

/// What there is to say about a store and its node, the worst first.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Findings {
    /// Nothing, if all is well.
    pub(crate) findings: Vec<FindingShape>,
}

/// Whether a collection may be left although that loses writes.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Leaving {
    /// It may.
    #[serde(default)]
    pub(crate) force: bool,
}

/// What a store holds and what its node does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Status {
    /// The node's key.
    pub(crate) node: String,
    /// The version of Littoral.
    pub(crate) version: String,
    /// By collection, in the order of names.
    pub(crate) collections: Vec<CollectionStatus>,
    /// Bytes of the materialised state.
    pub(crate) state_bytes: u64,
    /// Bytes of transactions in the log.
    pub(crate) log_bytes: u64,
    /// What the budgets of all collections allow the log together, in bytes.
    pub(crate) log_budget_bytes: u64,
    /// The oldest position that the log holds: `changes` reach back to it.
    pub(crate) log_start: u64,
    /// What keeps the log from being pruned to its budget, if anything does.
    pub(crate) log_held: Option<String>,
    /// Pins that held too much of the log and have expired.
    pub(crate) log_pins_expired: u64,
    /// The end of the log: a position for `changes`.
    pub(crate) position: u64,
    /// Why the store refuses writes, if it does.
    pub(crate) failure: Option<String>,
    /// The collections that are held back to a checkpoint.
    #[serde(default)]
    pub(crate) holds: Vec<HoldShape>,
    /// The running node; none for a store that no node runs on.
    pub(crate) running: Option<Running>,
}

/// A node that runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Running {
    /// Its process.
    pub(crate) pid: u32,
    /// Seconds since its start.
    pub(crate) uptime_s: u64,
    /// The address where it accepts links, if it does.
    pub(crate) listen: Option<String>,
    /// Whether all links are cut for now, as was asked for.
    #[serde(default)]
    pub(crate) offline: bool,
    /// Since when, RFC 3339.
    #[serde(default)]
    pub(crate) offline_since: Option<String>,
    /// Its links.
    pub(crate) links: Vec<LinkShape>,
    /// How far each peer is behind, by collection, also while there is no link with it.
    #[serde(default)]
    pub(crate) standings: Vec<StandingShape>,
    /// The peers that were linked since its start and are not now.
    #[serde(default)]
    pub(crate) partings: Vec<PartingShape>,
    /// Nodes that were turned away, newest first.
    pub(crate) refused: Vec<RefusalShape>,
    /// What became of those who showed a ticket.
    #[serde(default)]
    pub(crate) joins: JoinsShape,
    /// How often somebody was kept off since its start, by kind.
    pub(crate) kept_off: BTreeMap<String, u64>,
}

/// What became of those who wanted to join, since the node was started.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct JoinsShape {
    /// How many became members.
    pub(crate) joined: u64,
    /// How many did not, by why: unknown, expired, used, revoked, former, elsewhere, not-admin,
    /// broken, busy.
    pub(crate) refused: BTreeMap<String, u64>,
}

/// A link to a peer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LinkShape {
    /// The peer's key.
    pub(crate) peer: String,
    /// Where it is: as told to `--peer`, or where it dialled from.
    pub(crate) address: String,
    /// Whether the peer dialled.
    pub(crate) incoming: bool,
    /// How it stands, in a word: connecting, connected, waiting, refused, standby, paused, closed.
    pub(crate) state: String,
    /// Since when it is connected, RFC 3339.
    #[serde(default)]
    pub(crate) connected_since: Option<String>,
    /// Why it was refused, or why the last connection or attempt ended.
    pub(crate) reason: Option<String>,
    /// Whether nothing was left to send or receive when it was last looked at.
    pub(crate) synced: bool,
    /// The time of a round trip, in milliseconds, while there is a connection.
    pub(crate) rtt_ms: Option<f64>,
    /// UDP bytes received.
    pub(crate) received_bytes: u64,
    /// UDP bytes sent.
    pub(crate) sent_bytes: u64,
    /// By collection, in the order of names, on the present connection.
    pub(crate) collections: Vec<LinkCollection>,
}

/// A collection on a link.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LinkCollection {
    /// Its name.
    pub(crate) name: String,
    /// Transactions sent.
    pub(crate) sent: u64,
    /// Transactions received.
    pub(crate) received: u64,
    /// Bytes sent that the peer has yet to acknowledge.
    pub(crate) unacked_bytes: u64,
    /// What keeps it from going on, if something does.
    pub(crate) trouble: Option<String>,
}

/// How far a peer is behind in a collection.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StandingShape {
    /// The peer's key.
    pub(crate) peer: String,
    /// The collection.
    pub(crate) collection: String,
    /// Whether a link with it tells this now; else it is what was told last, and what came since.
    pub(crate) live: bool,
    /// Transactions that are here and not there, as far as is known.
    pub(crate) lag_transactions: u64,
    /// For how long there was always something that it lacked.
    pub(crate) lag_s: f64,
    /// For how long nothing has moved although there is something to do and a link to do it on.
    pub(crate) stalled_s: f64,
}

/// How a peer was lost with which there is no link now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PartingShape {
    /// The peer's key.
    pub(crate) peer: String,
    /// When the last link with it ended, RFC 3339.
    pub(crate) time: String,
    /// Why.
    pub(crate) reason: String,
}

/// What a sync that was asked for did.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SyncShape {
    /// By peer, in the order of keys.
    pub(crate) peers: Vec<SyncedShape>,
    /// How long it took.
    pub(crate) seconds: f64,
}

/// What it did with one peer.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct SyncedShape {
    /// The peer's key.
    pub(crate) peer: String,
    /// Whether nothing is left to send or receive.
    pub(crate) synced: bool,
    /// Transactions sent meanwhile.
    pub(crate) sent: u64,
    /// Transactions received meanwhile.
    pub(crate) received: u64,
    /// UDP bytes sent meanwhile.
    pub(crate) sent_bytes: u64,
    /// UDP bytes received meanwhile.
    pub(crate) received_bytes: u64,
    /// What keeps a collection from going on, by collection: in these nothing is in sync.
    pub(crate) troubles: BTreeMap<String, String>,
    /// Why it is not in sync, if it was waited for.
    pub(crate) error: Option<ErrorShape>,
}

/// A node that was turned away, because its key is not trusted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RefusalShape {
    /// Its key, which it proved to hold.
    pub(crate) node: String,
    /// When it knocked last, RFC 3339.
    pub(crate) time: String,
}

/// What a collection holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CollectionStatus {
    /// Its name.
    pub(crate) name: String,
    /// Documents.
    pub(crate) documents: u64,
    /// Documents in conflict.
    pub(crate) conflicts: u64,
    /// Transactions applied.
    pub(crate) transactions: u64,
    /// Origins in its vector.
    pub(crate) origins: u64,
    /// Transactions that the log no longer holds.
    pub(crate) pruned: u64,
    /// Bytes of its transactions in the log.
    pub(crate) log_bytes: u64,
}

/// What a store shows, by digest: equal digests are equal documents.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct State {
    /// The node's key.
    pub(crate) node: String,
    /// By collection, in the order of names.
    pub(crate) collections: Vec<CollectionState>,
}

/// What a collection shows.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CollectionState {
    /// Its name.
    pub(crate) name: String,
    /// Documents.
    pub(crate) documents: u64,
    /// Digest of ids and shown values, hexadecimal.
    pub(crate) shown: String,
    /// Digest of the cells behind them, hexadecimal.
    pub(crate) cells: String,
}

/// The collections of a store.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Collections {
    /// In the order of names.
    pub(crate) collections: Vec<CollectionStatus>,
}

/// What a node says about itself to whoever asks whether it is there.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Live {
    /// `ok`.
    pub(crate) status: String,
    /// The node's key.
    pub(crate) node: String,
    /// The version of Littoral.
    pub(crate) version: String,
}

/// One thing that a node's health depends on.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CheckShape {
    /// Which: `store`, `disk`, `links`, `clock`.
    pub(crate) check: String,
    /// `ok`, `degraded` or `failing`.
    pub(crate) status: String,
    /// What was found.
    pub(crate) what: String,
}

/// Whether a node can do its work, and why not.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Health {
    /// The worst of the checks; with `failing` the node can't take writes.
    pub(crate) status: String,
    /// What that is made of.
    pub(crate) checks: Vec<CheckShape>,
    /// The node's key.
    pub(crate) node: String,
    /// The version of Littoral.
    pub(crate) version: String,
}

/// What a bundle carries.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BundleShape {
    /// The network that it is for, hexadecimal.
    pub(crate) network: String,
    /// The key of the node that made it.
    pub(crate) maker: String,
    /// When, by its maker's clock, RFC 3339.
    pub(crate) made: String,
    /// Its size.
    pub(crate) bytes: u64,
    /// By collection, in the order of names.
    pub(crate) collections: Vec<BundleCollectionShape>,
}

/// What a bundle carries of a collection.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BundleCollectionShape {
    /// Its name.
    pub(crate) name: String,
    /// All documents, not transactions.
    pub(crate) snapshot: bool,
    /// Transactions that its receiver was taken to have; they are left out.
    pub(crate) since: u64,
    /// Transactions in it.
    pub(crate) transactions: u64,
    /// Documents that they write, one counted for each of them; or the snapshot's documents.
    pub(crate) documents: u64,
    /// Bytes of transactions or documents.
    pub(crate) bytes: u64,
    /// The oldest transaction, by its author's clock, RFC 3339. None of a snapshot.
    pub(crate) oldest: Option<String>,
    /// The newest.
    pub(crate) newest: Option<String>,
    /// Whose transactions; of a snapshot, those that went into it.
    pub(crate) authors: Vec<AuthorShape>,
    /// Of what it brings, the transactions that the store lacks, if a store was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) new: Option<u64>,
    /// Of what it leaves out, the transactions that the store lacks, if a store was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) missing: Option<u64>,
}

/// The transactions of an author in a bundle.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AuthorShape {
    /// The author's key.
    pub(crate) author: String,
    /// Which life of its store: 0, unless that was restored or copied.
    pub(crate) incarnation: u32,
    /// The number of the first.
    pub(crate) first: u64,
    /// The number of the last.
    pub(crate) last: u64,
}

impl From<&BundleContents> for BundleShape {
    fn from(contents: &BundleContents) -> BundleShape {
        BundleShape {
            network: HEXLOWER.encode(&contents.network.0),
            maker: contents.maker.to_string(),
            made: Timestamp::from_millis(contents.made_ms).to_string(),
            bytes: contents.bytes,
            collections: contents.collections.iter().map(BundleCollectionShape::from).collect(),
        }
    }
}

impl From<&BundleCollection> for BundleCollectionShape {
    fn from(one: &BundleCollection) -> BundleCollectionShape {
        let time = |ms: u64| Timestamp::from_millis(ms).to_string();
        let authors = one.authors.iter().map(|(origin, authored)| AuthorShape {
            author: origin.node.to_string(),
            incarnation: origin.incarnation,
            first: authored.first,
            last: authored.last,
        });
        BundleCollectionShape {
            name: one.name.clone(),
            snapshot: one.snapshot,
            since: one.base.iter().map(|(_, head)| head.seq).fold(0, u64::saturating_add),
            transactions: one.transactions,
            documents: one.documents,
            bytes: one.bytes,
            oldest: one.times_ms.map(|(oldest, _)| time(oldest)),
            newest: one.times_ms.map(|(_, newest)| time(newest)),
            authors: authors.collect(),
            new: None,
            missing: None,
        }
    }
}

impl BundleCollectionShape {
    /// The same, for a store that holds this of the collection.
    pub(crate) fn compared(one: &BundleCollection, held: &Vector) -> BundleCollectionShape {
        let (new, missing) = (Some(one.news(held)), Some(one.missing(held)));
        BundleCollectionShape { new, missing, ..BundleCollectionShape::from(one) }
    }
}

/// What came of applying a bundle.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AppliedShape {
    /// By collection, in the order of names.
    pub(crate) collections: Vec<AppliedCollectionShape>,
}

/// What came of one collection.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AppliedCollectionShape {
    /// Its name.
    pub(crate) name: String,
    /// Whether it came as a snapshot.
    pub(crate) snapshot: bool,
    /// Whether the store wants it; if not, it was passed over.
    pub(crate) wanted: bool,
    /// Transactions that were new.
    pub(crate) new: u64,
    /// Transactions that were here already.
    pub(crate) duplicates: u64,
}

impl From<&Applied> for AppliedShape {
    fn from(applied: &Applied) -> AppliedShape {
        let one = |one: &littoral::store::AppliedCollection| AppliedCollectionShape {
            name: one.name.clone(),
            snapshot: one.snapshot,
            wanted: one.wanted,
            new: one.new,
            duplicates: one.duplicates,
        };
        AppliedShape { collections: applied.collections.iter().map(one).collect() }
    }
}

/// An error.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// What went wrong.
    pub(crate) error: ErrorShape,
}

/// A stable code and a sentence.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ErrorShape {
    /// For programs.
    pub(crate) code: String,
    /// For people.
    pub(crate) message: String,
    /// What the request is called in the log of the node; none where there was no request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) request_id: Option<String>,
}

/// Why a text is not JSON, or not of a shape: without what is in it, which serde's own words show.
pub(crate) fn why_not(err: &serde_json::Error) -> String {
    let place = format!("at line {} column {}", err.line(), err.column());
    let said = err.to_string();
    match err.classify() {
        serde_json::error::Category::Data if said.starts_with("missing field") => said,
        serde_json::error::Category::Data => {
            format!("a value of another kind than is asked for, {place}")
        }
        _ => said,
    }
}
