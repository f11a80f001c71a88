//! The node over HTTP: documents as JSON or MessagePack, for programs on this machine.
//!
//! | request | does |
//! | --- | --- |
//! | `GET /`, `/notes`, `/web/{file}` | the dashboard, an app of notes, and their files ([`web`]) |
//! | `GET /health`, `/health/ready` | whether it can do its work; 503 if not |
//! | `GET /health/live` | whether it is there, and who it is |
//! | `GET /status`, `/state` | figures and links; digests of what is shown |
//! | `GET /metrics` | the figures, as Prometheus reads them |
//! | `GET /openapi.json`, `/api` | all of this for programs, and as a page |
//! | `GET /doctor` | what there is to say about the store and its links |
//! | `GET /collections` | the collections |
//! | `POST /collections/{c}/leave` | drops a collection from this store; `{"force"}` |
//! | `GET /collections/{c}/docs` | a page: `prefix`, `start`, `end`, `after`, `limit`, `reverse`, `versions`, `at` a checkpoint |
//! | `POST /collections/{c}/docs` | puts `[{"id", "doc"}, ..]`, or one such object a line: all or none |
//! | `GET`, `PUT`, `PATCH`, `DELETE /collections/{c}/docs/{id}` | read, put, merge, delete (`path` for one field) |
//! | `POST /collections/{c}/docs/{id}/add`, `/remove` | `{"path", "value"}`: an element of a set |
//! | `POST /collections/{c}/docs/{id}/increment` | `{"path", "by"}`: a counter |
//! | `POST /deltas` | `{"ops", "key"}`: operations over any documents, all or none, and once for a key |
//! | `POST /sync` | syncs now with `peer`, or all; waits for it, `wait` seconds |
//! | `POST /links/pause`, `/links/resume` | cuts all links for now; takes them up again |
//! | `GET /conflicts`, `POST /conflicts/resolve` | what is in conflict; `{"collection", "id", "path", "take" or "value"}` |
//! | `GET /conflicts/log` | all that ever were: `after`, `collection`, `id`, `open`, `limit` |
//! | `POST /conflicts/log/{number}/notes` | `{"author", "text"}`: what somebody has to say of one |
//! | `GET /invites`, `POST /invites` | invitations; makes a ticket: `{"rights", "name", "seconds", "uses", "addresses"}` |
//! | `DELETE /invites/{id}` | lets nobody join with that ticket any more |
//! | `GET /changes` | `since` a position or `now`; `collections`, `prefix`; `give`; `wait` for seconds, or as events |
//! | `GET /events` | what happened: `since` a number or `now`, `kind`, `limit`; `wait` for seconds, or as events |
//! | `GET /ws` | the same, several at once, and writes, over a WebSocket ([`ws`]) |
//! | `GET /roster`, `POST /roster` | who belongs; founds a roster, `{"name"}` |
//! | `POST /roster/join` | belongs to the roster of `{"founder"}` |
//! | `PUT`, `DELETE /roster/{key}` | what a member may do, `{"name", "rights"}`; takes all rights |
//! | `GET /checkpoints`, `POST /checkpoint` | checkpoints and what they cost; makes one, `{"label"}` |
//! | `DELETE /checkpoints/{label}` | deletes one |
//! | `GET /diff` | what changed since checkpoint `from`, up to `to` or now; `collection`; line by line |
//! | `POST /undo` | takes back what this node wrote last: `{"collection", "force", "dry_run"}`; line by line |
//! | `POST /rollback` | replays the log from `{"label"}`, or the last checkpoint; line by line |
//! | `GET /holds`, `POST /hold`, `POST /resume` | what is held back to a checkpoint; holds `{"label", "collection"}` back; `{"collection"}` or all no longer |
//! | `POST /revert` | back to `{"label", "collection", "id", "path", "dry_run"}`; line by line |
//! | `GET /bundle/have` | what the store has, as a file for who makes a bundle for it |
//! | `POST /bundle/create`, `/bundle/apply` | a bundle for who has the file sent, and one sent |
//! | `GET /backup` | all that the store holds, as a file |
//!
//! Ids are percent-encoded; one that can't be a segment of a path is given as `docs?id=`. A
//! document answers with its version as ETag. `If-Match` on a put or delete overwrites only
//! what that version saw, and merges with the rest; with `strict=true`, and on all other
//! writes, the version must be the newest, or the answer is 412. `If-None-Match: *` is for
//! documents that must not exist, `If-Match: *` for those that must.
//!
//! What is JSON may be MessagePack as well, as `Content-Type` and `Accept` say ([`forms`],
//! [`msgpack`]).
//!
//! An error is `{"error": {"code", "message", "request_id"}}`; the codes are those of
//! [`crate::kinds`], and the request is named as in its `X-Request-Id` ([`request_id`]).
//! Store calls block, so they run beside the async threads ([`service`]); who may ask at
//! all is decided by [`guard`].

mod batch;
mod body;
mod bundle;
mod changes;
mod conflicts;
mod deltas;
mod documents;
mod events;
mod failure;
mod follow;
mod forms;
mod guard;
mod health;
mod invites;
mod json;
mod lines;
mod links;
mod metrics;
mod msgpack;
mod openapi;
mod packing;
mod request_id;
mod roster;
mod service;
mod status;
mod sync;
mod tape;
mod watching;
mod web;
mod ws;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{delete, get, post, put};

use failure::{no_method, no_route};

pub(crate) use guard::{Exposure, Guard};
pub(crate) use service::{Facts, Service};

/// The routes over a service.
pub(crate) fn router(service: Service) -> Router {
    let document =
        get(documents::read).put(documents::put).patch(documents::merge).delete(documents::delete);
    let documents = get(documents::read_or_page)
        .post(batch::put_all)
        .put(documents::put)
        .patch(documents::merge)
        .delete(documents::delete);
    Router::new()
        .route("/", get(web::dashboard))
        .route("/notes", get(web::notes))
        .route("/web/{file}", get(web::file))
        .route("/health", get(health::ready))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/status", get(status::status))
        .route("/metrics", get(metrics::metrics))
        .route("/openapi.json", get(openapi::description))
        .route("/api", get(openapi::page))
        .route("/api/page.js", get(openapi::script))
        .route("/api/page.css", get(openapi::style))
        .route("/doctor", get(status::doctor))
        .route("/state", get(status::state))
        .route("/collections", get(status::collections))
        .route("/collections/{collection}/leave", post(status::leave))
        .route("/collections/{collection}/docs", documents)
        .route("/collections/{collection}/docs/{id}", document)
        .route("/collections/{collection}/docs/{id}/add", post(documents::add))
        .route("/collections/{collection}/docs/{id}/remove", post(documents::remove))
        .route("/collections/{collection}/docs/{id}/increment", post(documents::increment))
        .route("/conflicts", get(conflicts::list))
        .route("/conflicts/resolve", post(conflicts::resolve))
        .route("/conflicts/log", get(conflicts::log))
        .route("/conflicts/log/{number}/notes", post(conflicts::note))
        .route("/deltas", post(deltas::deltas))
        .route("/sync", post(sync::sync))
        .route("/links/pause", post(links::pause))
        .route("/links/resume", post(links::resume))
        .route("/changes", get(changes::changes))
        .route("/events", get(events::events))
        .route("/ws", get(ws::open))
        .route("/roster", get(roster::roster).post(roster::found))
        .route("/roster/join", post(roster::join))
        .route("/roster/{key}", put(roster::grant).delete(roster::revoke))
        .route("/invites", get(invites::list).post(invites::invite))
        .route("/invites/{id}", delete(invites::revoke))
        .route("/bundle/have", get(bundle::have))
        .route("/bundle/create", post(bundle::create))
        .route("/bundle/apply", post(bundle::apply))
        .route("/backup", get(bundle::backup))
        .route("/checkpoints", get(tape::list))
        .route("/checkpoint", post(tape::mark))
        .route("/checkpoints/{label}", delete(tape::delete))
        .route("/diff", get(tape::diff))
        .route("/rollback", post(tape::rollback))
        .route("/holds", get(tape::holds))
        .route("/hold", post(tape::hold))
        .route("/resume", post(tape::resume))
        .route("/revert", post(tape::revert))
        .route("/undo", post(tape::undo))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(from_fn_with_state(service.guard(), guard::admit))
        .layer(from_fn(forms::answer))
        .layer(packing::layer())
        .layer(from_fn(request_id::name))
        .with_state(service)
}
