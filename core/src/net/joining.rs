//! Joining with a ticket: the connections that are for this and nothing else, on both sides.
//!
//! A stranger gets through a handshake only while there are open invitations. Then it has a
//! connection with small windows, room for one message, and a short time; how many of those
//! there are, and how many in a time, is bounded. If it is for joining, the exchange of
//! [`sync::joining`](crate::sync::joining) runs over it, and it ends; if not, it ends at once.
//! After it a new member dials as everybody does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use quinn::{Connection, VarInt};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::address::PeerAddress;
use super::backoff::Backoff;
use super::blocking;
use super::dial::{Dial, reach};
use super::ending::Ending;
use super::link::Link;
use super::network::Shared;
use super::tls::{self, Purpose};
use super::transport;
use crate::error::{Error, ErrorKind, Result};
use crate::id::NodeId;
use crate::limits::{
    GOODBYE_TIMEOUT_MS, JOIN_ATTEMPT_MS, JOIN_TIMEOUT_MS, MAX_JOIN_ATTEMPTS, READ_CHUNK_BYTES,
};
use crate::replica::Replica;
use crate::sync::joining::{Guest, Host, Message, NO_TICKET, Parting};
use crate::sync::message::CloseCode;
use crate::txn::joining::{JoinRequest, Welcome, check_member_name};
use crate::txn::ticket::Ticket;

/// What became of those who wanted to join here, since the network was started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Joins {
    /// How many became members, each as often as it was told so.
    pub joined: u64,
    /// How many did not, by why: the words of [`JoinRefusal`](crate::txn::joining::JoinRefusal), `broken` for who did not get as
    /// far as to show a ticket, `busy` for who came while too many others did.
    pub refused: BTreeMap<&'static str, u64>,
}

/// A join that is under way, as [`Network::begin_join`](super::Network::begin_join) gives it.
/// Dropping it gives it up: what was not said yet is not said, and nothing is kept.
pub struct Joining {
    shared: Arc<Shared>,
    target: PeerAddress,
    answer: Receiver<Result<Welcome>>,
    task: AbortHandle,
}

impl Joining {
    /// Dials, if this store may join with this ticket.
    pub(super) fn begin(
        shared: &Arc<Shared>,
        ticket: &Ticket,
        name: &str,
        timeout: Duration,
    ) -> Result<Joining> {
        let replica = &shared.site.replica;
        if ticket.network != replica.network() {
            return Err(Error::invalid(
                "the store belongs to another network than the ticket; join with a new store",
            ));
        }
        if ticket.inviter == shared.site.us {
            return Err(Error::invalid("this node made the ticket; join with it on another one"));
        }
        if !shared.is_online() {
            return Err(Error::new(
                ErrorKind::Refused,
                "this node has cut all its links for now; take them up again, and join then",
            ));
        }
        check_member_name(name)?;
        let request = request(&**replica, ticket, name);
        let target = PeerAddress::of_ticket(ticket)?;
        let config = transport::client(replica.node_key(), ticket.inviter, Purpose::Join)?;
        let name = tls::expecting(&ticket.inviter, shared.site.outside.random());
        // A socket that can't be had is told at once.
        shared.dialler()?;
        let dial = Dial { config, target: target.clone(), name };
        let (done, answer) = mpsc::channel();
        let theirs = Arc::clone(shared);
        let task = shared.spawn(async move {
            let deadline = Instant::now() + timeout;
            // Nobody listens any more if it was given up.
            let _ = done.send(join(theirs, dial, request, deadline).await);
        });
        Ok(Joining { shared: Arc::clone(shared), target, answer, task })
    }

    /// Waits for the answer, at most so long; `None` if there is none yet. With a good one this
    /// node is a member when it returns, and a link to the inviter is kept up.
    ///
    /// Errors: as of [`Network::join`](super::Network::join); it is over then.
    pub fn wait(&mut self, at_most: Duration) -> Result<Option<(Welcome, Link)>> {
        let welcome = match self.answer.recv_timeout(at_most) {
            Ok(answer) => answer?,
            Err(RecvTimeoutError::Timeout) => return Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::new(ErrorKind::Closed, "the network of this store was closed"));
            }
        };
        let (target, replica) = (&self.target, &self.shared.site.replica);
        replica.enter(&welcome, target.key(), &target.places())?;
        Ok(Some((welcome, self.shared.connect(target.clone())?)))
    }
}

impl Drop for Joining {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl std::fmt::Debug for Joining {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Joining({})", self.target)
    }
}

/// How many may try: a number at once, and then one at a time.
#[derive(Debug)]
pub(super) struct Attempts {
    left: u32,
    since: Instant,
}

impl Attempts {
    pub(super) fn new() -> Attempts {
        Attempts { left: MAX_JOIN_ATTEMPTS, since: Instant::now() }
    }

    /// Whether one more may try at this time.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let every = Duration::from_millis(JOIN_ATTEMPT_MS);
        let passed = now.saturating_duration_since(self.since).as_millis() / every.as_millis();
        let passed = u32::try_from(passed).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(passed).min(MAX_JOIN_ATTEMPTS);
        // What has passed of the next one is kept, unless there are as many as there can be.
        self.since = match self.left == MAX_JOIN_ATTEMPTS {
            true => now,
            false => self.since + every * passed,
        };
        let may = self.left > 0;
        self.left -= u32::from(may);
        may
    }
}

/// Hears who wants to join, and answers.
pub(super) async fn host(shared: Arc<Shared>, connection: Connection, guest: NodeId) {
    if !shared.is_online() {
        let offline = "the other node has cut all its links for now".to_owned();
        return Ending::said(CloseCode::Limit, offline, false).close(&connection);
    }
    let room = Arc::clone(&shared.joining).try_acquire_owned();
    let (Ok(_room), true) = (room, shared.may_try()) else {
        shared.note_join(&guest, "busy");
        let busy = "too many want to join at this moment; try again soon".to_owned();
        return Ending::said(CloseCode::Limit, busy, false).close(&connection);
    };
    let limit = Duration::from_millis(JOIN_TIMEOUT_MS);
    let told = timeout(limit, hear_and_answer(&shared, &connection, guest)).await;
    let parting = match told {
        Ok(Ok(())) => Parting { code: CloseCode::Done, reason: "joined".to_owned() },
        Ok(Err(parting)) => parting,
        Err(_) => {
            shared.note_join(&guest, "broken");
            Parting { code: CloseCode::Timeout, reason: "no ticket in time".to_owned() }
        }
    };
    Ending::said(parting.code, parting.reason, false).close(&connection);
}

async fn hear_and_answer(
    shared: &Arc<Shared>,
    connection: &Connection,
    guest: NodeId,
) -> Result<(), Parting> {
    let mut host = Host::new(shared.site.us, guest);
    let request = match listen(connection, |bytes| host.hear(bytes)).await {
        Ok(request) => request,
        Err(parting) => {
            shared.note_join(&guest, "broken");
            return Err(parting);
        }
    };
    let decided = blocking::here(|| shared.site.replica.admit(&guest, &request));
    let decided = decided.map_err(|error| {
        tracing::error!(%error, "a node could not be made a member");
        let reason = "the store of the other node failed".to_owned();
        Parting { code: CloseCode::StoreFailed, reason }
    })?;
    match &decided {
        Ok(_) => shared.note_joined(&guest),
        Err(refusal) => shared.note_join(&guest, refusal.word()),
    }
    let answer = host.answer(decided);
    let frame = match &answer {
        Ok(welcome) => Message::Welcome(welcome.clone()).to_frame(),
        Err(parting) => parting.to_frame(),
    };
    // If it is lost, the guest comes again and hears the same.
    let _ = say(connection, &frame).await;
    // The guest ends the connection when it has heard.
    let _ = timeout(Duration::from_millis(GOODBYE_TIMEOUT_MS), connection.closed()).await;
    answer.map(drop)
}

/// Sends one message on a control stream, and ends it.
async fn say(connection: &Connection, frame: &[u8]) -> Result<(), quinn::WriteError> {
    let mut stream = connection.open_uni().await?;
    stream.write_all(frame).await?;
    // Fails only on a stream that is over.
    let _ = stream.finish();
    Ok(())
}

/// Reads the other side's control stream until it makes sense.
async fn listen<T>(
    connection: &Connection,
    mut hear: impl FnMut(&[u8]) -> Option<Result<T, Parting>>,
) -> Result<T, Parting> {
    let lost = |error: &quinn::ConnectionError| {
        let Ending { code, reason, .. } = Ending::lost(error);
        Parting { code, reason }
    };
    let mut stream = connection.accept_uni().await.map_err(|error| lost(&error))?;
    loop {
        match stream.read_chunk(READ_CHUNK_BYTES, true).await {
            Ok(Some(chunk)) => {
                if let Some(heard) = hear(&chunk.bytes) {
                    return heard;
                }
            }
            Err(quinn::ReadError::ConnectionLost(error)) => return Err(lost(&error)),
            Ok(None) | Err(_) => {
                let reason = "the other side ended in the middle of a message".to_owned();
                return Err(Parting { code: CloseCode::Gone, reason });
            }
        }
    }
}

/// Dials until it is let in, refused, or the time is over.
async fn join(
    shared: Arc<Shared>,
    dial: Dial,
    request: JoinRequest,
    deadline: Instant,
) -> Result<Welcome> {
    let mut backoff = Backoff::default();
    let mut last = "no answer yet".to_owned();
    loop {
        match timeout_at(deadline, attempt(&shared, &dial, &request)).await {
            Ok(Ok(welcome)) => return Ok(welcome),
            Ok(Err(ending)) if is_final(&ending) => return Err(refused(ending)),
            Ok(Err(ending)) => last = ending.reason,
            Err(_) => {}
        }
        let wait = backoff.next(shared.site.outside.random());
        if Instant::now() + wait >= deadline {
            let reason = format!("the node that made the ticket can't be reached: {last}");
            return Err(Error::new(ErrorKind::Timeout, reason));
        }
        tracing::debug!(reason = last, "could not join yet");
        sleep(wait).await;
    }
}

async fn attempt(shared: &Shared, dial: &Dial, request: &JoinRequest) -> Result<Welcome, Ending> {
    let connection = reach(shared, dial, &[]).await?;
    let (frame, mut guest) = Guest::begin(request.clone());
    let limit = Duration::from_millis(JOIN_TIMEOUT_MS);
    let asked = timeout(limit, async {
        if let Err(error) = say(&connection, &frame).await {
            tracing::debug!(%error, "asking was cut off");
        }
        listen(&connection, |bytes| guest.hear(bytes)).await
    });
    let answer = match asked.await {
        Ok(answer) => answer,
        Err(_) => {
            let reason = "no answer in time".to_owned();
            Err(Parting { code: CloseCode::Timeout, reason })
        }
    };
    connection.close(VarInt::from_u32(0), b"");
    answer.map_err(|parting| Ending::said(parting.code, parting.reason, true))
}

/// Whether another attempt would end in the same way.
fn is_final(ending: &Ending) -> bool {
    (ending.refused && ending.by_peer) || ending.code == CloseCode::Protocol
}

fn refused(ending: Ending) -> Error {
    // A node without open invitations refuses strangers in the handshake, whatever they hold.
    let reason = match ending.code {
        CloseCode::Stranger => NO_TICKET.to_owned(),
        _ => ending.reason,
    };
    Error::new(ErrorKind::Refused, reason)
}

/// What a guest shows.
fn request(replica: &dyn Replica, ticket: &Ticket, name: &str) -> JoinRequest {
    JoinRequest {
        secret: ticket.secret,
        network: replica.network(),
        founder: replica.roster().map(|(founder, _)| founder),
        name: name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_limited_at_once_and_in_a_time() {
        let start = Instant::now();
        let mut attempts = Attempts { left: MAX_JOIN_ATTEMPTS, since: start };
        let at = |ms: u64| start + Duration::from_millis(ms);
        for _ in 0..MAX_JOIN_ATTEMPTS {
            assert!(attempts.take(at(0)));
        }
        assert!(!attempts.take(at(JOIN_ATTEMPT_MS - 1)));
        assert!(attempts.take(at(JOIN_ATTEMPT_MS)));
        assert!(!attempts.take(at(2 * JOIN_ATTEMPT_MS - 1)));
        let tried = (0..100_000).filter(|ms| attempts.take(at(2 * JOIN_ATTEMPT_MS + ms))).count();
        assert!(tried as u64 <= 100_000 / JOIN_ATTEMPT_MS + 1, "{tried}");
        let all = (0..2 * MAX_JOIN_ATTEMPTS).filter(|_| attempts.take(at(10_000_000))).count();
        assert_eq!(all, MAX_JOIN_ATTEMPTS as usize);
    }
}
