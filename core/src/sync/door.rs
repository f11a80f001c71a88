//! The two doors of a session: what goes in, what comes out.
//!
//! What the driver promises: the bytes of a stream go in once each and in order; streams
//! need no order among each other. Each stream that the peer opened is reported in the end,
//! as finished or reset, unless we stopped it. `Output`s are carried out in the order in
//! which they come out, and `Applied` goes back in once for every `Apply`, when its outcome
//! is durable.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::id::{NodeId, Position};
use crate::txn::snapshot::{Staged, ViewHead};

use super::message::CloseCode;

/// A stream of the link. Each side numbers the tail streams that it sends on: in an
/// [`Input::Received`] the peer's number is meant, in an [`Output::Send`] ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamId {
    /// The control stream.
    Control,
    /// A tail stream, by number from 0 on, in the order in which they are opened.
    Tail(u64),
}

/// The collections that a node wants on a link; `None` is all.
pub type Wanted = Option<BTreeSet<String>>;

/// Who talks to whom, of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The network that our store belongs to.
    pub network: [u8; 16],
    /// Our node.
    pub us: NodeId,
    /// The node at the other end, as the transport has authenticated it.
    pub peer: NodeId,
    /// What we want of it. Others are neither told nor taken.
    pub wanted: Wanted,
}

/// What goes into a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input<'a> {
    /// Bytes of one of the peer's streams.
    Received {
        /// Which stream.
        stream: StreamId,
        /// The bytes, cut anywhere.
        bytes: &'a [u8],
    },
    /// The peer has ended a stream, and all of it was received.
    Finished {
        /// Which of the peer's streams.
        stream: StreamId,
    },
    /// The peer has given up a stream; what was not yet received is lost.
    Reset {
        /// Which of the peer's streams.
        stream: StreamId,
    },
    /// The peer does not read one of our streams any more.
    Stopped {
        /// Which of our streams.
        stream: StreamId,
    },
    /// The durable end of our log has moved, or a snapshot was joined.
    Committed,
    /// What became of an [`Output::Apply`].
    Applied {
        /// The ticket of that output.
        ticket: u64,
        /// The outcome.
        outcome: Outcome,
    },
    /// What became of an [`Output::Snapshot`].
    Stepped {
        /// The ticket of that output.
        ticket: u64,
        /// The outcome.
        outcome: StepOutcome,
    },
    /// What became of the oldest [`Output::Hear`] that was not answered.
    Heard {
        /// The outcome.
        outcome: HearOutcome,
    },
    /// Time has passed: see `Session::deadline_ms`.
    Tick,
    /// We want to end the link in an orderly way.
    Leave,
}

/// What became of an [`Output::Apply`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All of it is durably applied, or was before.
    Applied,
    /// A transaction builds on others that are not here; those before it may be applied.
    MissingDependency,
    /// The author of a transaction may not write there, as far as the roster is known here; those
    /// before it may be applied. Why, for both sides.
    Forbidden(String),
    /// A transaction can't be applied, now or later; those before it may be. Why, for both sides.
    Refused(Offence, String),
    /// Our store could not. Why, for our side only.
    StoreFailed(String),
}

/// What became of an [`Output::Hear`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HearOutcome {
    /// All of them are durably kept, or were before.
    Kept,
    /// One of them is not acceptable. Why, for both sides.
    Refused(String),
    /// Our store could not. Why, for our side only.
    StoreFailed(String),
}

/// A step of taking in a snapshot: for the store to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotStep {
    /// Check this signed head of the peer's, and begin to stage the collection.
    Begin {
        /// As the peer sent it.
        head: Vec<u8>,
    },
    /// Stage documents.
    Stage {
        /// The view that they are from.
        head: Arc<ViewHead>,
        /// The documents.
        documents: Vec<Staged>,
    },
    /// Join the view: all that differs is staged.
    Join {
        /// The view.
        head: Arc<ViewHead>,
    },
    /// Give up what is staged: it is not needed any more.
    Discard,
    /// Take over how the peer names forked origins.
    Learn {
        /// As the peer told them.
        branches: Vec<u8>,
    },
}

/// What became of a [`SnapshotStep`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepOutcome {
    /// The head is valid, and staging has begun.
    Begun(Arc<ViewHead>),
    /// It is staged, or discarded.
    Staged,
    /// Forked origins are named as the peer told, where what leads to the fork is held.
    Learnt {
        /// Whether that is so for all of them.
        all: bool,
    },
    /// The view is part of the collection now, durably.
    Joined,
    /// What is staged is not what the view holds: it has to be compared again.
    Changed,
    /// The snapshot can't be taken in. Why, for both sides.
    Refused(Offence, String),
    /// Our store could not. Why, for our side only.
    StoreFailed(String),
}

/// Why a collection is not exchanged on a link any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Offence {
    /// A transaction is malformed, or its author did not sign it.
    Invalid,
    /// Two transactions have one name: their author's store was copied or rolled back.
    Forked,
    /// A transaction is of a format, or has an operation, that one side does not know.
    TooNew,
    /// The author of a transaction may not write there, or the peer may not serve a snapshot.
    Forbidden,
    /// More collections than a link carries or a store takes from others, or more origins in one.
    TooMuch,
    /// A reason of a newer version.
    Other(u8),
}

/// What comes out of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send bytes. The first on a stream opens it.
    Send {
        /// On which of our streams.
        stream: StreamId,
        /// The bytes: whole frames.
        bytes: Vec<u8>,
    },
    /// End a stream when all of it has been sent.
    Finish {
        /// Which of our streams.
        stream: StreamId,
    },
    /// Give up a stream; what is still to be sent is not needed.
    Reset {
        /// Which of our streams.
        stream: StreamId,
    },
    /// Tell the peer that we don't read a stream any more.
    StopReading {
        /// Which of the peer's streams.
        stream: StreamId,
    },
    /// Apply these transactions, in this order, and say what came of it.
    Apply {
        /// To be given back with the outcome.
        ticket: u64,
        /// To which collection.
        collection: String,
        /// The transactions, as their authors made them.
        txns: Vec<Vec<u8>>,
    },
    /// Keep these statements of the roster, in this order, and say what came of it.
    Hear {
        /// As their issuers made them.
        statements: Vec<Vec<u8>>,
    },
    /// Take a step with a snapshot of the peer's, and say what came of it.
    Snapshot {
        /// To be given back with the outcome.
        ticket: u64,
        /// Of which collection.
        collection: String,
        /// What to do.
        step: SnapshotStep,
    },
    /// Something worth knowing.
    Event(Event),
    /// The link is over: send what was to be sent before this, and close. Nothing follows.
    Close {
        /// Why, for programs.
        code: CloseCode,
        /// Why, for people.
        reason: String,
        /// Whether the peer said so, not we.
        by_peer: bool,
    },
}

/// Something worth knowing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Both have said hello and belong together.
    Ready,
    /// Everything that the peer held is applied here.
    Synced {
        /// Of which collection.
        collection: String,
    },
    /// Everything that we hold is durably applied at the peer.
    PeerCaughtUp {
        /// Of which collection.
        collection: String,
    },
    /// The peer has durably applied our log through `position`.
    Acked {
        /// Of which collection.
        collection: String,
        /// A position in our log.
        position: Position,
    },
    /// Both hold the same transactions but not the same content: one of the two stores is
    /// damaged or has a defect. Nothing is exchanged for this collection on this link.
    Diverged {
        /// Which collection.
        collection: String,
    },
    /// One side can't apply what the other holds. Nothing is exchanged for this collection on
    /// this link; the others go on.
    Halted {
        /// Which collection.
        collection: String,
        /// Why, for programs.
        offence: Offence,
        /// Why, for people.
        why: String,
        /// Whether the peer said so, not we.
        by_peer: bool,
    },
    /// The peer's log no longer reaches back to what we hold.
    Behind {
        /// Of which collection.
        collection: String,
    },
    /// Our log no longer reaches back to what the peer holds.
    PeerBehind {
        /// Of which collection.
        collection: String,
    },
    /// A snapshot of the peer's is part of what we hold now.
    Joined {
        /// Of which collection.
        collection: String,
    },
    /// The peer knows what we hold and sends what builds on more. The collection waits until
    /// something else changes what we hold.
    Stuck {
        /// Which collection.
        collection: String,
    },
}

/// How far one collection is on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Transactions sent.
    pub sent_txns: u64,
    /// Bytes of transactions sent.
    pub sent_bytes: u64,
    /// Transactions received.
    pub received_txns: u64,
    /// Bytes of transactions received.
    pub received_bytes: u64,
    /// Bytes of transactions sent and not acknowledged.
    pub unacked_bytes: u64,
    /// Bytes of transactions received and not applied.
    pub unapplied_bytes: u64,
    /// Documents of snapshots received.
    pub snapshot_documents: u64,
    /// Bytes of them.
    pub snapshot_bytes: u64,
    /// Everything in our log before this is durably at the peer.
    pub acked: Position,
    /// Whether the peer holds all that our log held when it was last read.
    pub peer_caught_up: bool,
    /// Whether we hold all that the peer last said to hold.
    pub caught_up: bool,
}
