//! One side of a link, told anything by a peer whose key is right.
//!
//! An input is a script: the first byte chooses the store on our side, then come actions. Bytes
//! of the peer's streams are part of it, in pieces of any size, so a recorded link is an input.
//! Our store is only read; what becomes of what the session wants done is part of the script.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use littoral::Store;
use littoral::crdt::join;
use littoral::limits::SYNC_RECEIVE_BYTES;
use littoral::sync::door::{
    Config, Input as Told, Offence, Outcome, Output, SnapshotStep, StepOutcome, StreamId,
};
use littoral::sync::session::Session;
use littoral::txn::Branches;
use littoral::txn::snapshot::{ViewHead, unpack};

use super::input::Input;
use super::recorded::{self, EMPTY, FULL, PRUNED};
use super::stores::{NOTES, key, scope};

/// The numbers of the actions; `recorded` writes some of them down.
pub(super) const CONTROL: u8 = 0;
pub(super) const TAIL: u8 = 1;
pub(super) const FINISHED: u8 = 2;
pub(super) const RESET: u8 = 3;
pub(super) const STOPPED: u8 = 4;
pub(super) const COMMITTED: u8 = 5;
pub(super) const TICK: u8 = 6;
pub(super) const APPLIED: u8 = 7;
pub(super) const STEPPED: u8 = 8;
const LEAVE: u8 = 9;
const CONTROL_FRAME: u8 = 10;
const TAIL_FRAME: u8 = 11;
const ACTIONS: u8 = 12;

/// A script.
pub fn session(data: &[u8]) {
    let mut input = Input(data);
    let source = source(input.byte());
    let mut link = Link::new(source);
    while !input.is_empty() && !link.closed {
        link.act(&mut input);
    }
    // Whatever happened, time goes on.
    for _ in 0..3 {
        let due = link.session.deadline_ms().unwrap_or(link.now_ms);
        link.now_ms = link.now_ms.max(due);
        link.tell(Told::Tick);
    }
    link.tell(Told::Leave);
    assert!(link.closed && link.session.is_ended());
}

fn source(choice: u8) -> &'static Store {
    static SOURCES: OnceLock<[Store; 3]> = OnceLock::new();
    let sources = SOURCES.get_or_init(|| {
        let sources = [FULL, EMPTY, PRUNED].map(recorded::store);
        // Reading own transactions for the first time writes: let that be over.
        for store in &sources {
            store.mark_exported(NOTES).expect("the disk is well");
        }
        sources
    });
    &sources[usize::from(choice % 3)]
}

struct Link {
    store: &'static Store,
    session: Session,
    now_ms: u64,
    applies: VecDeque<u64>,
    steps: VecDeque<(u64, SnapshotStep)>,
    closed: bool,
}

impl Link {
    fn new(store: &'static Store) -> Link {
        let config = Config {
            network: scope().network.0,
            us: store.node_id(),
            peer: key(0).id(),
            wanted: None,
        };
        let session = Session::new(config, 0);
        let (applies, steps) = (VecDeque::new(), VecDeque::new());
        Link { store, session, now_ms: 0, applies, steps, closed: false }
    }

    fn act(&mut self, input: &mut Input<'_>) {
        let action = input.byte() % ACTIONS;
        match action {
            CONTROL => {
                self.tell(Told::Received { stream: StreamId::Control, bytes: input.chunk() })
            }
            TAIL => {
                let stream = tail(input);
                self.tell(Told::Received { stream, bytes: input.chunk() });
            }
            FINISHED => self.tell(Told::Finished { stream: tail(input) }),
            RESET => self.tell(Told::Reset { stream: tail(input) }),
            STOPPED => self.tell(Told::Stopped { stream: tail(input) }),
            COMMITTED => self.tell(Told::Committed),
            TICK => {
                self.now_ms += u64::from(input.short()) * 16;
                self.tell(Told::Tick);
            }
            APPLIED => {
                let outcome = outcome(input.byte());
                if let Some(ticket) = self.applies.pop_front() {
                    self.tell(Told::Applied { ticket, outcome });
                }
            }
            STEPPED => {
                let choice = input.byte();
                if let Some((ticket, step)) = self.steps.pop_front() {
                    let outcome = step_outcome(choice, step);
                    self.tell(Told::Stepped { ticket, outcome });
                }
            }
            LEAVE => self.tell(Told::Leave),
            CONTROL_FRAME => {
                let bytes = framed(input.chunk());
                self.tell(Told::Received { stream: StreamId::Control, bytes: &bytes });
            }
            TAIL_FRAME => {
                let stream = tail(input);
                let bytes = framed(input.chunk());
                self.tell(Told::Received { stream, bytes: &bytes });
            }
            _ => unreachable!("there are no more actions"),
        }
    }

    fn tell(&mut self, told: Told<'_>) {
        self.session.handle(told, self.now_ms, self.store);
        while let Some(output) = self.session.poll(self.store) {
            assert!(!self.closed, "{output:?} after the end");
            match output {
                Output::Apply { ticket, .. } => self.applies.push_back(ticket),
                Output::Snapshot { ticket, step, .. } => self.steps.push_back((ticket, step)),
                Output::Close { .. } => self.closed = true,
                _ => {}
            }
        }
        let progress = self.session.progress();
        let held: u64 = progress.values().map(|one| one.unapplied_bytes).sum();
        assert!(held <= SYNC_RECEIVE_BYTES as u64);
        self.session.is_idle();
    }
}

fn tail(input: &mut Input<'_>) -> StreamId {
    match input.byte() {
        // Far from the others, to make gaps.
        255 => StreamId::Tail(u64::MAX),
        n => StreamId::Tail(u64::from(n)),
    }
}

fn framed(frame: &[u8]) -> Vec<u8> {
    [&(frame.len() as u32).to_be_bytes()[..], frame].concat()
}

fn outcome(choice: u8) -> Outcome {
    match choice % 8 {
        0..=3 => Outcome::Applied,
        4 | 5 => Outcome::MissingDependency,
        6 => Outcome::Refused(Offence::Invalid, "why".to_owned()),
        7 if choice < 128 => Outcome::Forbidden("why".to_owned()),
        _ => Outcome::StoreFailed("why".to_owned()),
    }
}

/// What a store would say, or, by choice, something else.
fn step_outcome(choice: u8, step: SnapshotStep) -> StepOutcome {
    let refused = || StepOutcome::Refused(Offence::Invalid, "why".to_owned());
    match (choice % 8, step) {
        (6, _) => refused(),
        (7, _) => StepOutcome::StoreFailed("why".to_owned()),
        (_, SnapshotStep::Begin { head }) => match ViewHead::verify(&head, scope(), &key(0).id()) {
            Ok(head) => StepOutcome::Begun(Arc::new(head)),
            Err(_) => refused(),
        },
        (_, SnapshotStep::Stage { head, documents }) => {
            let fits =
                documents.iter().filter_map(|document| document.packed.as_ref()).all(|packed| {
                    unpack(packed)
                        .is_ok_and(|row| join::check(&row, |dot| head.covers(dot)).is_ok())
                });
            if fits { StepOutcome::Staged } else { refused() }
        }
        (5, SnapshotStep::Join { .. }) => StepOutcome::Changed,
        (_, SnapshotStep::Join { .. }) => StepOutcome::Joined,
        (choice, SnapshotStep::Learn { branches }) => {
            match Branches::decode(&branches, Some(scope())) {
                Ok(_) => StepOutcome::Learnt { all: choice != 5 },
                Err(_) => refused(),
            }
        }
        (_, SnapshotStep::Discard) => StepOutcome::Staged,
    }
}
