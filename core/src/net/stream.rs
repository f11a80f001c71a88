//! The streams of a connection, and the tasks that write and read them.
//!
//! Every stream is unidirectional and carries nothing but the session's bytes. What it is
//! follows from QUIC's own number: the first that a side opens is its control stream, the
//! others are its tails 0, 1, 2.. in the order in which they are opened. No header can
//! contradict that, and a tail that is given up before its first byte arrives is still known.
//!
//! Invariants:
//! 1. Streams are opened in the order in which the session first sends on them ([`open`]).
//! 2. A writer sends what it was given in that order, and never makes the session wait: what
//!    it has yet to send is bounded by the session's windows, and counted in [`Queued`].
//! 3. A reader waits while the session is behind: nothing is read that there is no room for.
//!    Control has its own room, so that tails never keep it waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use quinn::{Connection, ReadError, RecvStream, SendStream, VarInt};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::limits::READ_CHUNK_BYTES;
use crate::sync::door::StreamId;

/// What goes before what: control before tails, tails before snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Priority {
    Snapshot = -1,
    Tail = 0,
    Control = 1,
}

/// The error code of a stream that is not wanted any more. It says nothing; the session does.
const NOT_WANTED: VarInt = VarInt::from_u32(0);

/// Bytes given to the writers of a link and not yet taken by QUIC.
#[derive(Debug, Clone, Default)]
pub(super) struct Queued(Arc<Queue>);

#[derive(Debug, Default)]
struct Queue {
    bytes: AtomicUsize,
    /// The driver waits for room.
    less: Notify,
}

impl Queued {
    /// How many there are.
    pub(super) fn bytes(&self) -> usize {
        self.0.bytes.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: usize) {
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn remove(&self, bytes: usize) {
        self.0.bytes.fetch_sub(bytes, Ordering::Relaxed);
        // Whoever asks next is told, if nobody waits just now.
        self.0.less.notify_one();
    }

    /// Returns when there are fewer.
    pub(super) async fn below(&self, bytes: usize) {
        while self.bytes() >= bytes {
            self.0.less.notified().await;
        }
    }
}

/// Streams that wait to be opened, in order. The driver ends a link on which there is no room:
/// a peer decides how many streams it lets us open, and how often it has us begin another.
pub(super) type Openings = mpsc::Sender<oneshot::Sender<SendStream>>;

/// Opens streams in the order in which they are asked for, as the peer permits.
pub(super) async fn open(
    connection: Connection,
    mut openings: mpsc::Receiver<oneshot::Sender<SendStream>>,
) {
    while let Some(opening) = openings.recv().await {
        let Ok(stream) = connection.open_uni().await else { return };
        if let Err(mut unwanted) = opening.send(stream) {
            // It was opened all the same, so that the numbers of those after it are right.
            let _ = unwanted.reset(NOT_WANTED);
        }
    }
}

/// The driver's end of a writer. Dropping it resets the stream.
#[derive(Debug)]
pub(super) struct Writer {
    queue: mpsc::UnboundedSender<Option<Vec<u8>>>,
    queued: Queued,
    _alive: oneshot::Sender<()>,
}

/// The task's end of a writer.
#[derive(Debug)]
pub(super) struct Writing {
    queue: mpsc::UnboundedReceiver<Option<Vec<u8>>>,
    queued: Queued,
    alive: oneshot::Receiver<()>,
    opened: oneshot::Receiver<SendStream>,
}

/// The two ends of a writer on the next stream.
pub(super) fn writer(openings: &Openings, queued: &Queued) -> (Writer, Writing) {
    let (sender, queue) = mpsc::unbounded_channel();
    let (_alive, alive) = oneshot::channel();
    let (opening, opened) = oneshot::channel();
    // If nobody opens streams any more, the connection is lost and the writer sees that.
    let _ = openings.try_send(opening);
    let writer = Writer { queue: sender, queued: queued.clone(), _alive };
    (writer, Writing { queue, queued: queued.clone(), alive, opened })
}

impl Writer {
    /// Sends these bytes after those before.
    pub(super) fn send(&self, bytes: Vec<u8>) {
        let length = bytes.len();
        self.queued.add(length);
        if self.queue.send(Some(bytes)).is_err() {
            self.queued.remove(length);
        }
    }

    /// Ends the stream after what was sent. The writer is to be kept until its task ends.
    pub(super) fn finish(&self) {
        // If the task is gone, so is the stream.
        let _ = self.queue.send(None);
    }
}

/// How a writer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// All of it has reached the peer, or is not needed any more, or the connection is lost.
    Over,
    /// The peer does not read it any more.
    Stopped,
}

impl Writing {
    /// Writes until the stream is finished, reset or stopped.
    pub(super) async fn run(mut self, priority: Priority) -> Written {
        let written = tokio::select! {
            biased;
            written = write(priority, &mut self.opened, &mut self.queue, &self.queued) => written,
            _ = &mut self.alive => Written::Over,
        };
        self.discard();
        written
    }

    /// What was given and will not be sent is not queued any more.
    fn discard(&mut self) {
        self.queue.close();
        while let Ok(bytes) = self.queue.try_recv() {
            self.queued.remove(bytes.map_or(0, |bytes| bytes.len()));
        }
    }
}

async fn write(
    priority: Priority,
    opened: &mut oneshot::Receiver<SendStream>,
    queue: &mut mpsc::UnboundedReceiver<Option<Vec<u8>>>,
    queued: &Queued,
) -> Written {
    let Ok(stream) = opened.await else { return Written::Over };
    let mut stream = ResetOnDrop(stream);
    // Fails only on a stream that is over.
    let _ = stream.0.set_priority(priority as i32);
    let stopped = stream.0.stopped();
    tokio::pin!(stopped);
    tokio::select! {
        biased;
        stop = &mut stopped => return ended(stop),
        () = write_all(&mut stream.0, queue, queued) => (),
    }
    ended(stopped.await)
}

/// Writes until told to finish. An error is one that `stopped` tells as well; a driver that
/// is gone does not mean that the stream is complete.
async fn write_all(
    stream: &mut SendStream,
    queue: &mut mpsc::UnboundedReceiver<Option<Vec<u8>>>,
    queued: &Queued,
) {
    while let Some(next) = queue.recv().await {
        let Some(bytes) = next else {
            let _ = stream.finish();
            return;
        };
        let taken = Taken { queued, bytes: bytes.len() };
        if stream.write_chunk(bytes.into()).await.is_err() {
            return;
        }
        drop(taken);
    }
}

fn ended(stop: Result<Option<VarInt>, quinn::StoppedError>) -> Written {
    match stop {
        Ok(Some(_)) => Written::Stopped,
        Ok(None) | Err(_) => Written::Over,
    }
}

/// A stream that is reset when it is dropped: QUIC itself would end it as if it were complete.
struct ResetOnDrop(SendStream);

impl Drop for ResetOnDrop {
    fn drop(&mut self) {
        // Of a stream that is over this has no effect.
        let _ = self.0.reset(NOT_WANTED);
    }
}

/// Bytes on their way from the queue into QUIC.
struct Taken<'a> {
    queued: &'a Queued,
    bytes: usize,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.queued.remove(self.bytes);
    }
}

/// What a reader tells of a stream.
#[derive(Debug)]
pub(super) enum Arrival {
    /// More of its bytes.
    Bytes(quinn::Chunk),
    /// It has ended, and all of it has been told.
    Finished,
    /// The peer gave it up.
    Reset,
}

/// Where readers put what arrives.
pub(super) type Inbox = mpsc::Sender<(StreamId, Arrival)>;

/// Reads a stream to its end, or until the other end of `wanted` is dropped.
pub(super) async fn read(mut stream: RecvStream, inbox: Inbox, wanted: oneshot::Receiver<()>) {
    let id = id(&stream);
    tokio::select! {
        biased;
        () = pass_on(&mut stream, id, &inbox) => (),
        _ = wanted => (),
    }
    // Of a stream that is over this has no effect.
    let _ = stream.stop(NOT_WANTED);
}

/// What a stream of the peer is, by its number.
pub(super) fn id(stream: &RecvStream) -> StreamId {
    match stream.id().index() {
        0 => StreamId::Control,
        n => StreamId::Tail(n - 1),
    }
}

/// Ends when the stream or the driver does. A lost connection is told by the connection.
async fn pass_on(stream: &mut RecvStream, id: StreamId, inbox: &Inbox) {
    loop {
        let arrival = match stream.read_chunk(READ_CHUNK_BYTES, true).await {
            Ok(Some(chunk)) => Arrival::Bytes(chunk),
            Ok(None) => Arrival::Finished,
            Err(ReadError::Reset(_)) => Arrival::Reset,
            Err(_) => return,
        };
        let last = !matches!(arrival, Arrival::Bytes(_));
        if inbox.send((id, arrival)).await.is_err() || last {
            return;
        }
    }
}
