//! The driver: one connection, its streams, and the session that speaks over them.
//!
//! One task owns the session. Readers put what arrives into two bounded rooms, control and
//! tails; writers take what the session sends; what it wants applied goes to a blocking
//! thread, and the outcome comes back like everything else, as a [`Signal`].
//!
//! Invariants:
//! 1. Control arrivals are looked at before tails, and a commit before tails too: a large
//!    first sync does not delay acknowledgements or live changes.
//! 2. The driver never waits for a stream to take bytes. While [`SEND_AHEAD_BYTES`] are queued it
//!    asks the session for no more of tails and snapshots; a link whose queue exceeds
//!    [`MAX_LINK_QUEUE_BYTES`] all the same is closed, and so is one whose peer lets us open none of
//!    [`MAX_LINK_STREAMS`] streams that it asks for, and the one that holds the most if all links
//!    hold too much (see `holdings`).
//! 3. The session reads the store, so it runs where blocking is allowed.
//! 4. A panic in any task of a link ends that link and nothing else.
//! 5. A goodbye is given time to arrive before the connection is closed under it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use quinn::{Connection, ConnectionError, RecvStream};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::Instrument as _;
use tracing::field::Empty;

use super::blocking::{self, Calls};
use super::counts::Counts;
use super::ending::Ending;
use super::holdings::{Holdings, Share};
use super::link::{Entry, View, Wish};
use super::outside::Outside;
use super::standing::{Standings, Told};
use super::status::{CollectionStatus, Troubles};
use super::stream::{self, Arrival, Inbox, Openings, Priority, Queued, Writer, Written};
use super::traffic::{Added, Tally};
use super::transport;
use super::trust::unix_ms;
use crate::id::NodeId;
use crate::limits::{
    GOODBYE_TIMEOUT_MS, MAX_LINK_QUEUE_BYTES, MAX_LINK_STREAMS, MAX_TXN_BYTES, READ_QUEUE_CHUNKS,
    SEND_AHEAD_BYTES,
};
use crate::replica::{self, Replica};
use crate::sync::door::{
    Config, Event, HearOutcome, Input, Outcome, Output, Progress, SnapshotStep, StepOutcome,
    StreamId,
};
use crate::sync::message::CloseCode;
use crate::sync::session::Session;

/// Signals that are taken up together.
const BATCH: usize = 16;

/// How often, at most, the progress of a busy link is shown.
const SHOW_EVERY: Duration = Duration::from_millis(100);

/// What all links of a store have in common.
pub(super) struct Site {
    pub(super) replica: Arc<dyn Replica>,
    pub(super) us: NodeId,
    /// Counts the commits.
    pub(super) commits: watch::Sender<u64>,
    /// When time began.
    pub(super) epoch: Instant,
    pub(super) outside: Arc<dyn Outside>,
    /// What was kept off.
    pub(super) counts: Counts,
    /// Room for calls that work on the store.
    pub(super) calls: Arc<Semaphore>,
    /// What all links hold.
    pub(super) holdings: Arc<Holdings>,
    /// What went over them.
    pub(super) tally: Tally,
    /// How far each peer is behind.
    pub(super) standings: Standings,
}

/// Speaks over `connection`, with the key that it has proved there (the one before, if the peer
/// knows no other), until it is over, and closes it. `on_ready` is called when both
/// sides have said hello.
pub(super) async fn drive(
    site: Arc<Site>,
    us: NodeId,
    entry: Arc<Entry>,
    connection: Connection,
    on_ready: impl FnOnce() + Send + 'static,
) -> Ending {
    transport::welcome(&connection);
    entry.begin(&connection);
    let mut driver = Driver::new(site, us, entry, connection.clone(), Box::new(on_ready));
    let peer = driver.entry.peer.short();
    let span = tracing::info_span!(target: "littoral::trace", "sync.link", %peer, reason = Empty);
    let ending = driver.run().instrument(span.clone()).await;
    span.record("reason", ending.reason.as_str());
    driver.note_end(&ending);
    driver.part(&ending).await;
    ending.close(&connection);
    ending
}

/// What happened.
enum Signal {
    Arrived(StreamId, Arrival),
    Opened(RecvStream),
    Task(Result<TaskEnd, JoinError>),
    Committed,
    Leave,
    Tick,
    /// There is room in the queue again, or the link's share has changed.
    Room,
    Lost(ConnectionError),
}

/// How a task of the link ended.
enum TaskEnd {
    Wrote(StreamId, Written),
    Applied(u64, Outcome),
    Stepped(u64, StepOutcome),
    Heard(HearOutcome),
    Over,
}

struct Driver {
    site: Arc<Site>,
    us: NodeId,
    entry: Arc<Entry>,
    connection: Connection,
    session: Session,
    on_ready: Option<Box<dyn FnOnce() + Send>>,
    openings: Openings,
    queued: Queued,
    /// Whether the queue was full when the session was last asked.
    held_back: bool,
    share: Share,
    writers: BTreeMap<StreamId, Writer>,
    /// Of each stream that is read, what keeps it being read.
    readers: BTreeMap<StreamId, oneshot::Sender<()>>,
    control: (Inbox, mpsc::Receiver<(StreamId, Arrival)>),
    tails: (Inbox, mpsc::Receiver<(StreamId, Arrival)>),
    tasks: JoinSet<TaskEnd>,
    calls: Calls<TaskEnd>,
    commits: watch::Receiver<u64>,
    /// What the session was begun by: see [`Replica::terms`].
    terms: u64,
    /// How many commits the session has heard of.
    heard: u64,
    wishes: watch::Receiver<Wish>,
    leaving: bool,
    troubles: Troubles,
    /// When progress is to be shown, if it may have changed.
    show_at: Option<Instant>,
    shown_at: Instant,
    /// What the tally has of this connection.
    added: Added,
    /// What was sent of snapshots when it was last shown.
    served_bytes: u64,
    /// Since when there is something to send or receive.
    busy_since: Option<Instant>,
    ending: Option<Ending>,
}

impl Driver {
    fn new(
        site: Arc<Site>,
        us: NodeId,
        entry: Arc<Entry>,
        connection: Connection,
        on_ready: Box<dyn FnOnce() + Send>,
    ) -> Driver {
        let (network, peer) = (site.replica.network().0, entry.peer);
        // Before what is wanted: a change in between ends the session once too often, not too rarely.
        let terms = site.replica.terms();
        let config = Config { network, us, peer, wanted: site.replica.wanted(&peer) };
        let (openings, to_open) = mpsc::channel(MAX_LINK_STREAMS);
        let calls = Calls::new(Arc::clone(&site.calls));
        let mut tasks = JoinSet::new();
        let opener = stream::open(connection.clone(), to_open);
        tasks.spawn(async {
            opener.await;
            TaskEnd::Over
        });
        Driver {
            session: Session::new(config, now_ms(&site)),
            commits: site.commits.subscribe(),
            terms,
            share: site.holdings.begin(),
            heard: 0,
            wishes: entry.wishes(),
            shown_at: site.epoch,
            site,
            us,
            entry,
            connection,
            on_ready: Some(on_ready),
            openings,
            queued: Queued::default(),
            held_back: false,
            writers: BTreeMap::new(),
            readers: BTreeMap::new(),
            control: mpsc::channel(READ_QUEUE_CHUNKS),
            tails: mpsc::channel(READ_QUEUE_CHUNKS),
            tasks,
            calls,
            leaving: false,
            troubles: Troubles::default(),
            show_at: None,
            added: Added::default(),
            served_bytes: 0,
            busy_since: Some(Instant::now()),
            ending: None,
        }
    }

    async fn run(&mut self) -> Ending {
        blocking::here(|| self.begin());
        loop {
            self.account();
            self.show();
            if let Some(ending) = self.ending.take() {
                return ending;
            }
            let signal = self.next().await;
            blocking::here(|| self.take_up(signal));
        }
    }

    /// The control stream is the first to be opened, whatever the session says first.
    fn begin(&mut self) {
        self.heard = *self.commits.borrow_and_update();
        self.take_share();
        self.writer(StreamId::Control);
        self.poll();
    }

    async fn next(&mut self) -> Signal {
        let deadline = self.deadline();
        let tight = self.share.is_tight(self.session.unapplied());
        tokio::select! {
            biased;
            () = unwanted(&mut self.wishes), if !self.leaving => Signal::Leave,
            Some((id, arrival)) = self.control.1.recv() => Signal::Arrived(id, arrival),
            Some(end) = self.tasks.join_next() => Signal::Task(end),
            _ = self.commits.changed() => Signal::Committed,
            () = self.queued.below(SEND_AHEAD_BYTES), if self.held_back => Signal::Room,
            () = self.share.changed() => Signal::Room,
            opened = self.connection.accept_uni() => match opened {
                Ok(stream) => Signal::Opened(stream),
                Err(error) => Signal::Lost(error),
            },
            Some((id, arrival)) = self.tails.1.recv(), if !tight => Signal::Arrived(id, arrival),
            () = sleep_until(deadline) => Signal::Tick,
        }
    }

    fn deadline(&self) -> Instant {
        const FAR: Duration = Duration::from_secs(3600);
        let session = self.session.deadline_ms();
        let session = session.map(|ms| self.site.epoch + Duration::from_millis(ms));
        let due = [session, self.show_at];
        due.into_iter().flatten().min().unwrap_or_else(|| Instant::now() + FAR)
    }

    /// Takes up a signal and what else has arrived meanwhile.
    fn take_up(&mut self, signal: Signal) {
        let mut next = Some(signal);
        for _ in 0..BATCH {
            let Some(signal) = next.take() else { return };
            self.hear(signal);
            self.poll();
            if self.ending.is_some() {
                return;
            }
            let mut arrived = self.control.1.try_recv().ok();
            if arrived.is_none() && !self.share.is_tight(self.session.unapplied()) {
                arrived = self.tails.1.try_recv().ok();
            }
            next = arrived.map(|(id, arrival)| Signal::Arrived(id, arrival));
        }
        if let Some(signal) = next {
            self.hear(signal);
            self.poll();
        }
    }

    fn hear(&mut self, signal: Signal) {
        match signal {
            Signal::Arrived(id, arrival) => self.arrived(id, arrival),
            Signal::Opened(stream) => self.read(stream),
            Signal::Task(Ok(TaskEnd::Wrote(id, written))) => self.wrote(id, written),
            Signal::Task(Ok(TaskEnd::Applied(ticket, outcome))) => {
                self.calls.came_back(&mut self.tasks);
                self.handle(Input::Applied { ticket, outcome });
            }
            Signal::Task(Ok(TaskEnd::Stepped(ticket, outcome))) => {
                self.calls.came_back(&mut self.tasks);
                self.handle(Input::Stepped { ticket, outcome });
            }
            Signal::Task(Ok(TaskEnd::Heard(outcome))) => {
                self.calls.came_back(&mut self.tasks);
                self.handle(Input::Heard { outcome });
            }
            Signal::Task(Ok(TaskEnd::Over)) => {}
            Signal::Task(Err(error)) => self.task_failed(error),
            Signal::Committed => {
                // Before the session looks: it sees all that is counted here.
                self.heard = *self.commits.borrow_and_update();
                self.handle(Input::Committed);
                // Another session goes by what is wanted now.
                if self.terms != self.site.replica.terms() && !self.leaving {
                    self.hear(Signal::Leave);
                }
            }
            Signal::Leave => {
                self.leaving = true;
                self.handle(Input::Leave);
            }
            Signal::Tick => self.handle(Input::Tick),
            Signal::Room => self.take_share(),
            Signal::Lost(error) => self.ending = Some(Ending::lost(&error)),
        }
    }

    fn handle(&mut self, input: Input<'_>) {
        let now_ms = now_ms(&self.site);
        self.session.handle(input, now_ms, &*self.site.replica);
    }

    fn arrived(&mut self, stream: StreamId, arrival: Arrival) {
        if !self.readers.contains_key(&stream) {
            // We stopped it; this was under way.
            return;
        }
        match arrival {
            Arrival::Bytes(chunk) => {
                self.handle(Input::Received { stream, bytes: &chunk.bytes });
            }
            Arrival::Finished => {
                self.readers.remove(&stream);
                self.handle(Input::Finished { stream });
            }
            Arrival::Reset => {
                self.readers.remove(&stream);
                self.handle(Input::Reset { stream });
            }
        }
    }

    fn read(&mut self, incoming: RecvStream) {
        let id = stream::id(&incoming);
        let inbox = match id {
            StreamId::Control => self.control.0.clone(),
            StreamId::Tail(_) => self.tails.0.clone(),
        };
        let (keep, wanted) = oneshot::channel();
        self.readers.insert(id, keep);
        self.tasks.spawn(async {
            stream::read(incoming, inbox, wanted).await;
            TaskEnd::Over
        });
    }

    fn wrote(&mut self, stream: StreamId, written: Written) {
        // One that we reset is not there any more, and nobody has to hear of it.
        let ours = self.writers.remove(&stream).is_some();
        if ours && written == Written::Stopped {
            self.handle(Input::Stopped { stream });
        }
    }

    /// A defect of ours. The session is in order, but something it counts on will not come.
    fn task_failed(&mut self, error: JoinError) {
        tracing::error!(peer = %self.entry.peer.short(), %error, "a task of a link failed");
        let reason = "a task of this link failed: this is a defect, please report it".to_owned();
        self.ending = Some(Ending::said(CloseCode::StoreFailed, reason, false));
    }

    /// Carries out all that the session has to say.
    fn poll(&mut self) {
        while self.ending.is_none() {
            let replica = &*self.site.replica;
            self.held_back = self.queued.bytes() >= SEND_AHEAD_BYTES;
            let output = match self.held_back {
                true => self.session.poll_said(replica),
                false => self.session.poll(replica),
            };
            let Some(output) = output else { return };
            self.carry_out(output);
        }
    }

    /// Takes as much of what all links may hold as is this one's by now. Of QUIC's window half is
    /// for tails, so that control and snapshots find room beside them; a largest transaction is let
    /// through alone.
    fn take_share(&mut self) {
        let window = self.share.window();
        transport::set_windows(&self.connection, window);
        self.session.set_window(window.saturating_sub(MAX_TXN_BYTES).max(window / 2));
    }

    /// Tells what the link holds, and ends it if all hold too much and it the most.
    fn account(&mut self) {
        self.share.holds(self.session.held_bytes() + self.queued.bytes());
        if self.share.is_over() && self.ending.is_none() {
            let reason = "all links together hold too much, and this one the most".to_owned();
            self.ending = Some(Ending::said(CloseCode::Limit, reason, false));
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Send { stream, bytes } => self.send(stream, bytes),
            Output::Finish { stream } => {
                if let Some(writer) = self.writers.get(&stream) {
                    writer.finish();
                }
            }
            Output::Reset { stream } => drop(self.writers.remove(&stream)),
            Output::StopReading { stream } => drop(self.readers.remove(&stream)),
            Output::Apply { ticket, collection, txns } => self.apply(ticket, collection, txns),
            Output::Hear { statements } => self.keep(statements),
            Output::Snapshot { ticket, collection, step } => self.step(ticket, collection, step),
            Output::Event(event) => self.event(&event),
            Output::Close { code, reason, by_peer } => {
                self.ending = Some(Ending::said(code, reason, by_peer));
            }
        }
    }

    fn send(&mut self, stream: StreamId, bytes: Vec<u8>) {
        self.writer(stream).send(bytes);
        let no_streams = self.openings.capacity() == 0;
        if no_streams || self.queued.bytes() > MAX_LINK_QUEUE_BYTES {
            let reason = "the peer does not take what it asks for".to_owned();
            self.ending = Some(Ending::said(CloseCode::Limit, reason, false));
        }
    }

    fn writer(&mut self, id: StreamId) -> &Writer {
        let priority = match id {
            StreamId::Control => Priority::Control,
            id if self.session.is_snapshot(id) => Priority::Snapshot,
            StreamId::Tail(_) => Priority::Tail,
        };
        self.writers.entry(id).or_insert_with(|| {
            let (writer, writing) = stream::writer(&self.openings, &self.queued);
            self.tasks.spawn(async move { TaskEnd::Wrote(id, writing.run(priority).await) });
            writer
        })
    }

    fn apply(&mut self, ticket: u64, collection: String, txns: Vec<Vec<u8>>) {
        let replica = Arc::clone(&self.site.replica);
        self.calls.make(&mut self.tasks, move || {
            let outcome = replica::outcome(replica.apply(&collection, txns));
            TaskEnd::Applied(ticket, outcome)
        });
    }

    fn keep(&mut self, statements: Vec<Vec<u8>>) {
        let replica = Arc::clone(&self.site.replica);
        self.calls.make(&mut self.tasks, move || {
            TaskEnd::Heard(replica::hear_outcome(replica.hear(statements)))
        });
    }

    fn step(&mut self, ticket: u64, collection: String, step: SnapshotStep) {
        let (replica, peer) = (Arc::clone(&self.site.replica), self.entry.peer);
        self.calls.make(&mut self.tasks, move || {
            let outcome = replica::step_outcome(replica.step(&collection, &peer, step));
            TaskEnd::Stepped(ticket, outcome)
        });
    }

    fn event(&mut self, event: &Event) {
        self.troubles.note(event);
        if let Event::Halted { offence, by_peer: false, .. } = event {
            self.site.counts.halted(*offence);
        }
        if *event == Event::Ready {
            self.site.tally.connected();
            self.entry.ready();
            self.note_told();
            if let Some(tell) = self.on_ready.take() {
                tell();
            }
        }
    }

    /// The peer has let us in with our present key: it need not be told of it.
    fn note_told(&self) {
        if self.us != self.site.us || self.site.replica.former_key().is_none() {
            return;
        }
        if let Err(error) = self.site.replica.note_told(&self.entry.peer) {
            tracing::warn!(%error, "the former key could not be given up yet");
        }
    }

    /// Shows how far the link is: whether it is synced at once, the rest at intervals.
    fn show(&mut self) {
        let idle = self.session.is_idle();
        let now = Instant::now();
        let due = idle || now >= self.shown_at + SHOW_EVERY;
        self.show_at = (!due).then_some(self.shown_at + SHOW_EVERY);
        let heard = self.heard;
        if !due {
            return self.entry.view(View { synced: false, heard, collections: None });
        }
        self.shown_at = now;
        let progress = self.session.progress();
        let synced = idle && progress.values().all(|p| p.caught_up && p.peer_caught_up);
        let collections = self.troubles.with(progress);
        self.tell(synced, &collections, now);
        let collections = Some(collections);
        self.entry.view(View { synced, heard, collections });
    }

    /// Tells what is known of the peer, and counts.
    fn tell(&mut self, synced: bool, all: &BTreeMap<String, CollectionStatus>, now: Instant) {
        match synced {
            true => {
                let took = self.busy_since.take().map(|since| now.duration_since(since));
                took.iter().for_each(|took| self.site.tally.syncs.note(*took));
            }
            false => drop(self.busy_since.get_or_insert(now)),
        }
        let stats = self.connection.stats();
        let udp = (stats.udp_rx.bytes, stats.udp_tx.bytes);
        self.site.tally.add(&mut self.added, all.values(), udp);
        if self.on_ready.is_some() {
            return;
        }
        // The store may be at work, so what asks it runs where blocking is allowed.
        blocking::here(|| self.note_standings(all, now));
    }

    fn note_standings(&mut self, all: &BTreeMap<String, CollectionStatus>, now: Instant) {
        let served = self.session.served_bytes();
        let moved = std::mem::replace(&mut self.served_bytes, served) != served;
        let (peer, link) = (self.entry.peer, self.entry.id);
        self.site.standings.up(peer, link, self.session.peer_wants(), now);
        for (name, CollectionStatus { progress, .. }) in all {
            let (of, lacks) = (self.site.replica.applied_count(name), self.lacks(name, progress));
            let (Some(of), Some(lacks)) = (of, lacks) else { continue };
            let told = Told { progress: *progress, lacks, of, moved };
            self.site.standings.note(peer, link, name, told, now);
        }
    }

    /// How many of our transactions of a collection the peer lacks, if that is known.
    fn lacks(&self, name: &str, progress: &Progress) -> Option<u64> {
        if progress.peer_caught_up {
            return Some(0);
        }
        // What can't be read now is told another time.
        let ours = self.site.replica.vector(name).ok()?;
        self.session.lacking(name, &ours)
    }

    fn note_end(&mut self, ending: &Ending) {
        self.site.counts.ended(ending);
        let collections = self.troubles.with(self.session.progress());
        let now = Instant::now();
        self.tell(false, &collections, now);
        let ended = (unix_ms(), ending.reason.as_str());
        self.site.standings.cut(self.entry.peer, self.entry.id, ended, now);
        let was_connected = self.on_ready.is_none();
        if was_connected && !self.leaving && !ending.by_peer && ending.code == CloseCode::Gone {
            self.site.tally.lost();
        }
    }

    /// Lets the last words of ours reach the peer, for a while.
    async fn part(&mut self, ending: &Ending) {
        let over = ending.by_peer || self.connection.close_reason().is_some();
        let Some(control) = self.writers.remove(&StreamId::Control).filter(|_| !over) else {
            return;
        };
        self.writers.clear();
        control.finish();
        let said = async {
            while let Some(end) = self.tasks.join_next().await {
                if matches!(end, Ok(TaskEnd::Wrote(StreamId::Control, _))) {
                    return;
                }
            }
        };
        // If it takes longer than that, the closing frame tells the same.
        let _ = timeout(Duration::from_millis(GOODBYE_TIMEOUT_MS), said).await;
    }
}

/// Returns when the link shall not run any more.
async fn unwanted(wishes: &mut watch::Receiver<Wish>) {
    // An error means that the entry is gone, and the link with it.
    let _ = wishes.wait_for(|wish| *wish != Wish::Run).await;
}

fn now_ms(site: &Site) -> u64 {
    u64::try_from(site.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// What came of a link's task: a panic is an ending like any other.
pub(super) fn ending_of(driven: Result<Ending, JoinError>) -> Ending {
    driven.unwrap_or_else(|error| {
        tracing::error!(%error, "a link failed");
        Ending::broken("this link failed: this is a defect, please report it")
    })
}
