//! `GET /ws`: the change feed and writes over one WebSocket, in JSON texts.
//!
//! | the client says | and is answered |
//! | --- | --- |
//! | `{"subscribe": {"id": 1, "since", "collections": [..], "prefix", "give"}}` | `{"subscribed": {"id": 1}}`, then `{"change": {"subscription": 1, ..}}` for each, and `{"resync": {"subscription": 1, "from"}}` where the log does not reach back |
//! | `{"follow": {"id": 2, "since", "kinds": [..]}}` | `{"followed": {"id": 2}}`, then `{"event": {"subscription": 2, ..}}` for each thing that happens, and `{"missed": {"subscription": 2}}` where some are gone |
//! | `{"watch": {"id": 3, "every_ms": 1000}}` | `{"watched": {"id": 3}}`, then `{"status": {"subscription": 3, ..}}` now and when it has changed, at most so often ([`watching`](super::watching)) |
//! | `{"unsubscribe": {"id": 1}}` | `{"unsubscribed": {"id": 1}}` |
//! | `{"write": {"id": 7, "ops": [..], "key"}}` | `{"written": {"id": 7, "position"}}` when it is durable, all of it or nothing; once for a key |
//!
//! What fails is told as `{"failed": {"id", "code", "message"}}`, and the socket goes on. Ids are
//! numbers of the client's choice.
//!
//! One task serves a socket: while it sends, it reads nothing. So a client that does not read
//! what it is sent is not listened to either, and is cut off after a while; nothing is kept for it
//! but one piece of changes ([`crate::feed`]). Rights are looked up again for each message.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::http::StatusCode;
use littoral::limits::{
    FEED_PIECE_CHANGES, HTTP_HEARTBEAT_S, MAX_HTTP_BODY_BYTES, MAX_HTTP_STALL_S,
    MAX_WS_SUBSCRIPTIONS,
};
use littoral::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::batch::Nothing;
use super::changes::{position, read};
use super::deltas;
use super::events::Reader;
use super::failure::{Answer, Asked, Refusal};
use super::guard::{Asker, WS_PROTOCOL};
use super::service::Service;
use super::watching::Watch;
use crate::events::{EventShape, WantedEvents};
use crate::feed::{Follower, Give, Pages, Told, Wanted};
use crate::shape::{Status, why_not};
use crate::tokens::Scope;

/// What a client says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Said {
    Subscribe(Subscribing),
    Follow(Following),
    Watch(Watching),
    Unsubscribe(Named),
    Write(Writing),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subscribing {
    id: u64,
    since: Option<Since>,
    collections: Option<Vec<String>>,
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    give: Give,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Following {
    id: u64,
    since: Option<Since>,
    kinds: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Watching {
    id: u64,
    every_ms: Option<u64>,
}

/// A position, or `"now"`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Since {
    Position(u64),
    Word(String),
}

impl Since {
    fn into_text(self) -> String {
        match self {
            Since::Position(at) => at.to_string(),
            Since::Word(word) => word,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    id: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Writing {
    id: u64,
    ops: Box<RawValue>,
    key: Option<String>,
}

/// What it is told.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Say {
    Subscribed(Named),
    Followed(Named),
    Watched(Named),
    Unsubscribed(Named),
    Event {
        subscription: u64,
        #[serde(flatten)]
        event: EventShape,
    },
    Missed {
        subscription: u64,
    },
    Status {
        subscription: u64,
        #[serde(flatten)]
        status: Box<Status>,
    },
    Change {
        subscription: u64,
        #[serde(flatten)]
        told: Told,
    },
    Resync {
        subscription: u64,
        from: u64,
    },
    Written {
        id: u64,
        position: u64,
    },
    Failed {
        id: Option<u64>,
        code: &'static str,
        message: String,
    },
}

impl Say {
    fn failed(id: Option<u64>, refusal: &Refusal) -> Say {
        Say::Failed { id, code: refusal.code(), message: refusal.message().to_owned() }
    }
}

/// `GET /ws`
pub(super) async fn open(
    State(service): State<Service>,
    Extension(asker): Extension<Asker>,
    Asked(Nothing {}): Asked<Nothing>,
    upgrade: std::result::Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Answer {
    let upgrade = upgrade.map_err(|why| {
        let sentence = format!("this is for WebSockets: {}", why.body_text());
        match why {
            WebSocketUpgradeRejection::MethodNotGet(_) => Refusal::malformed(sentence),
            _ => Refusal::new(StatusCode::UPGRADE_REQUIRED, "no-websocket", sentence),
        }
    })?;
    let room = service.follower_room()?;
    let upgrade = upgrade.protocols([WS_PROTOCOL]);
    let upgrade = upgrade.max_message_size(MAX_HTTP_BODY_BYTES).max_frame_size(MAX_HTTP_BODY_BYTES);
    Ok(upgrade.on_upgrade(move |socket| async move {
        let (commits, stopping) = (service.commits(), service.stopping());
        let (subscriptions, events, watches) = Default::default();
        let spoke = Instant::now();
        let mut talk =
            Talk { service, asker, socket, subscriptions, events, watches, spoke, _room: room };
        // Whoever has gone need not be told.
        let _ = talk.run(commits, stopping).await;
    }))
}

/// A socket, and who follows through it.
struct Talk {
    service: Service,
    asker: Asker,
    socket: WebSocket,
    subscriptions: BTreeMap<u64, Option<Follower>>,
    /// Those to what happens.
    events: BTreeMap<u64, Reader>,
    /// Those to how the node is.
    watches: BTreeMap<u64, Watch>,
    /// When something was sent last.
    spoke: Instant,
    _room: OwnedSemaphorePermit,
}

/// The client has gone, or takes nothing.
#[derive(Debug)]
struct Gone;

impl Talk {
    async fn run(
        &mut self,
        mut commits: watch::Receiver<()>,
        mut stopping: watch::Receiver<bool>,
    ) -> std::result::Result<(), Gone> {
        loop {
            if *stopping.borrow() {
                return self.close(close_code::AWAY, "the node stops").await;
            }
            commits.borrow_and_update();
            let more = self.feed().await?;
            let ping = self.spoke + Duration::from_secs(HTTP_HEARTBEAT_S);
            let look = self.watches.values().map(Watch::look_at).min();
            let wake = if more { Instant::now() } else { look.map_or(ping, |look| look.min(ping)) };
            tokio::select! {
                biased;
                said = self.socket.recv() => match said {
                    Some(Ok(said)) => self.hear(said).await?,
                    Some(Err(_)) | None => return Ok(()),
                },
                _ = stopping.changed() => {}
                _ = commits.changed() => {}
                () = sleep_until(wake) => {
                    if !more && Instant::now() >= ping {
                        self.send(Message::Ping(Vec::new().into())).await?;
                    }
                }
            }
        }
    }

    /// Tells each subscription a piece of what there is for it. Whether there may be more.
    async fn feed(&mut self) -> std::result::Result<bool, Gone> {
        let mut more = false;
        if self.count() > 0
            && let Err(refusal) = self.asker.may(Scope::Read)
        {
            self.subscriptions.clear();
            self.events.clear();
            self.watches.clear();
            self.say(&Say::failed(None, &refusal)).await?;
        }
        let ids: Vec<u64> = self.subscriptions.keys().copied().collect();
        for id in ids {
            let taken = self.subscriptions.get_mut(&id).and_then(Option::take);
            let Some(follower) = taken else { continue };
            let (mut follower, page) = read(&self.service, follower, FEED_PIECE_CHANGES).await;
            match page {
                Ok(page) => {
                    more |= page.more;
                    for told in page.changes {
                        self.say(&Say::Change { subscription: id, told }).await?;
                    }
                }
                Err(err) if err.kind() == ErrorKind::NotFound => {
                    follower.restart();
                    let from = follower.position().0;
                    self.say(&Say::Resync { subscription: id, from }).await?;
                }
                Err(err) => {
                    self.subscriptions.remove(&id);
                    self.say(&Say::failed(Some(id), &Refusal::from(err))).await?;
                    continue;
                }
            }
            self.subscriptions.insert(id, Some(follower));
        }
        let more = self.feed_events().await? || more;
        self.feed_watches().await?;
        Ok(more)
    }

    /// Tells how the node is, to those that have not been told that yet.
    async fn feed_watches(&mut self) -> std::result::Result<(), Gone> {
        for (id, mut watch) in std::mem::take(&mut self.watches) {
            match watch.look(&self.service).await {
                Ok(None) => {}
                Ok(Some(status)) => self.say(&Say::Status { subscription: id, status }).await?,
                Err(refusal) => {
                    self.say(&Say::failed(Some(id), &refusal)).await?;
                    continue;
                }
            }
            self.watches.insert(id, watch);
        }
        Ok(())
    }

    /// The same, of what happens.
    async fn feed_events(&mut self) -> std::result::Result<bool, Gone> {
        let mut more = false;
        for (id, reader) in std::mem::take(&mut self.events) {
            let (reader, page) = reader.read(&self.service).await;
            match page {
                Ok(page) => {
                    more |= page.more;
                    if page.missed {
                        self.say(&Say::Missed { subscription: id }).await?;
                    }
                    for event in page.events {
                        self.say(&Say::Event { subscription: id, event }).await?;
                    }
                    self.events.insert(id, reader);
                }
                Err(err) => self.say(&Say::failed(Some(id), &Refusal::from(err))).await?,
            }
        }
        Ok(more)
    }

    async fn hear(&mut self, said: Message) -> std::result::Result<(), Gone> {
        let text = match &said {
            Message::Text(text) => text.as_str(),
            Message::Binary(_) => {
                let refusal = Refusal::malformed("messages are texts of JSON");
                return self.say(&Say::failed(None, &refusal)).await;
            }
            // Pongs are sent by themselves; a close ends the socket.
            _ => return Ok(()),
        };
        let (id, answer) = match serde_json::from_str(text) {
            Err(err) => {
                let why = format!("the message is not of a form that is known: {}", why_not(&err));
                (None, Err(Refusal::malformed(why)))
            }
            Ok(Said::Subscribe(asked)) => (Some(asked.id), self.subscribe(asked)),
            Ok(Said::Follow(asked)) => (Some(asked.id), self.follow(asked).await),
            Ok(Said::Watch(asked)) => (Some(asked.id), self.watch(&asked)),
            Ok(Said::Unsubscribe(Named { id })) => (Some(id), self.unsubscribe(id)),
            Ok(Said::Write(asked)) => (Some(asked.id), self.write(asked).await),
        };
        let say = answer.unwrap_or_else(|refusal| Say::failed(id, &refusal));
        self.say(&say).await
    }

    fn subscribe(&mut self, asked: Subscribing) -> Answer<Say> {
        self.asker.may(Scope::Read)?;
        let Subscribing { id, since, collections, prefix, give } = asked;
        self.check_room(id)?;
        let since = position(since.map(Since::into_text).as_deref())?;
        let collections = collections.map(|names| names.into_iter().collect());
        let wanted = Wanted { collections, prefix, give };
        let follower = Follower::new(self.service.store(), since, wanted, Pages::Parts);
        self.subscriptions.insert(id, Some(follower));
        Ok(Say::Subscribed(Named { id }))
    }

    async fn follow(&mut self, asked: Following) -> Answer<Say> {
        self.asker.may(Scope::Read)?;
        let Following { id, since, kinds } = asked;
        self.check_room(id)?;
        let kinds = kinds.filter(|kinds| !kinds.is_empty()).map(|kinds| kinds.join(","));
        let wanted = WantedEvents::of(kinds.as_deref())?;
        let since = since.map(Since::into_text);
        let reader = Reader::begin(&self.service, since.as_deref(), wanted).await?;
        self.events.insert(id, reader);
        Ok(Say::Followed(Named { id }))
    }

    fn watch(&mut self, asked: &Watching) -> Answer<Say> {
        self.asker.may(Scope::Read)?;
        self.check_room(asked.id)?;
        self.watches.insert(asked.id, Watch::new(asked.every_ms));
        Ok(Say::Watched(Named { id: asked.id }))
    }

    fn count(&self) -> usize {
        self.subscriptions.len() + self.events.len() + self.watches.len()
    }

    fn has(&self, id: u64) -> bool {
        self.subscriptions.contains_key(&id)
            || self.events.contains_key(&id)
            || self.watches.contains_key(&id)
    }

    /// That there is room for one more subscription, and its id is free.
    fn check_room(&self, id: u64) -> Answer<()> {
        if self.has(id) {
            return Err(Refusal::malformed("there is a subscription of this id already"));
        }
        if self.count() >= MAX_WS_SUBSCRIPTIONS {
            let why = format!("a socket has at most {MAX_WS_SUBSCRIPTIONS} subscriptions");
            return Err(Error::new(ErrorKind::LimitExceeded, why).into());
        }
        Ok(())
    }

    fn unsubscribe(&mut self, id: u64) -> Answer<Say> {
        if !self.has(id) {
            let why = "there is no subscription of this id";
            return Err(Error::new(ErrorKind::NotFound, why).into());
        }
        self.subscriptions.remove(&id);
        self.events.remove(&id);
        self.watches.remove(&id);
        Ok(Say::Unsubscribed(Named { id }))
    }

    async fn write(&mut self, asked: Writing) -> Answer<Say> {
        self.asker.may(Scope::Write)?;
        let Writing { id, ops, key } = asked;
        let written =
            self.service.call(move |local| deltas::write(local, key.as_deref(), &ops)).await?;
        let position = written.position.0;
        Ok(Say::Written { id, position })
    }

    async fn say(&mut self, say: &Say) -> std::result::Result<(), Gone> {
        let text = serde_json::to_string(say).expect("a shape is JSON");
        self.send(Message::Text(text.into())).await
    }

    async fn close(&mut self, code: u16, reason: &'static str) -> std::result::Result<(), Gone> {
        self.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await
    }

    /// Sends it, if it is taken in reasonable time.
    async fn send(&mut self, message: Message) -> std::result::Result<(), Gone> {
        let patience = Duration::from_secs(MAX_HTTP_STALL_S);
        match timeout(patience, self.socket.send(message)).await {
            Ok(Ok(())) => self.spoke = Instant::now(),
            _ => return Err(Gone),
        }
        Ok(())
    }
}
