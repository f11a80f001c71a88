//! Bundles and backups over HTTP: bytes, not JSON, and as many as there are.
//!
//! One that is asked for is made in a file without a name in the store's directory first, so that
//! what goes wrong is told before anything is sent, a backup is read back, and its moment is held no
//! longer than the disk takes, however slow the line is. A bundle that is sent is applied as it comes.

use std::collections::BTreeSet;
use std::fs::File;
use std::future::poll_fn;
use std::io::{self, Read, Seek};
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequest, Request, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use futures_core::Stream;
use littoral::limits::MAX_CONTROL_BYTES;
use littoral::store::{ApplyOptions, BackupOptions, BundleOptions, Have};
use littoral::{Error, ErrorKind, NodeId, Store};
use serde::Deserialize;
use tokio::sync::mpsc;

use super::batch::Nothing;
use super::failure::{Answer, Asked, Refusal};
use super::json::Json;
use super::service::Service;
use crate::shape::AppliedShape;
use crate::target::BUNDLE_TYPE;

/// The largest file that says what its maker has: some vectors of the largest size.
const MAX_HAVE_BYTES: usize = 4 * MAX_CONTROL_BYTES;
/// Pieces of a bundle on their way between a file and HTTP.
const PIECES: usize = 8;
/// Bytes of a piece.
const PIECE_BYTES: usize = 64 << 10;

/// What goes into a bundle.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateQuery {
    collections: Option<String>,
    snapshots: Option<bool>,
}

/// How a bundle is applied.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ApplyQuery {
    collections: Option<String>,
    from: Option<String>,
}

/// What goes into a backup.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BackupQuery {
    peers: Option<bool>,
}

/// A body that says that it is bytes. A page of a browser can't send that without being allowed
/// to, and nobody allows it.
pub(super) struct FileBody(Body);

impl<S: Send + Sync> FromRequest<S> for FileBody {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Answer<FileBody> {
        let kind = request.headers().get(header::CONTENT_TYPE);
        match kind.is_some_and(|kind| kind == BUNDLE_TYPE) {
            true => Ok(FileBody(request.into_body())),
            false => Err(Refusal::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "not-bytes",
                format!("a bundle is bytes and says so: Content-Type: {BUNDLE_TYPE}"),
            )),
        }
    }
}

/// `GET /bundle/have`
pub(super) async fn have(
    State(service): State<Service>,
    Asked(Nothing {}): Asked<Nothing>,
) -> Answer {
    service
        .call(|local| {
            let mut file = Vec::new();
            local.store().have()?.write(&mut file)?;
            Ok(([(header::CONTENT_TYPE, BUNDLE_TYPE)], file).into_response())
        })
        .await
}

/// `POST /bundle/create`: for who has what the body says, or nothing.
pub(super) async fn create(
    State(service): State<Service>,
    Asked(asked): Asked<CreateQuery>,
    FileBody(body): FileBody,
) -> Answer {
    let have = to_bytes(body, MAX_HAVE_BYTES).await.map_err(|_| {
        Refusal::from(Error::new(
            ErrorKind::LimitExceeded,
            format!("the body has over {MAX_HAVE_BYTES} bytes, or its sender broke off"),
        ))
    })?;
    let file = service
        .call(move |local| {
            let options = BundleOptions {
                since: (!have.is_empty()).then(|| Have::read(&have[..])).transpose()?,
                collections: names(asked.collections.as_deref()),
                snapshots: asked.snapshots.unwrap_or(true),
            };
            let store = local.store();
            let mut file = nameless(store)?;
            store.write_bundle(&mut io::BufWriter::new(&mut file), &options)?;
            file.rewind().map_err(unwritable)?;
            Ok(file)
        })
        .await?;
    let body = Body::from_stream(Pieces::of(file));
    Ok(([(header::CONTENT_TYPE, BUNDLE_TYPE)], body).into_response())
}

/// `GET /backup`
pub(super) async fn backup(
    State(service): State<Service>,
    Asked(asked): Asked<BackupQuery>,
) -> Answer {
    let file = service
        .call(move |local| {
            let options = BackupOptions { peers: asked.peers.unwrap_or(true) };
            let store = local.store();
            let mut file = nameless(store)?;
            let mut out = io::BufWriter::with_capacity(PIECE_BYTES, &mut file);
            let report = store.write_backup(&mut out, &options)?;
            drop(out);
            file.rewind().map_err(unwritable)?;
            let mut input = io::BufReader::with_capacity(PIECE_BYTES, &mut file);
            store.check_written(&mut input, &report)?;
            file.rewind().map_err(unwritable)?;
            Ok(file)
        })
        .await?;
    let body = Body::from_stream(Pieces::of(file));
    Ok(([(header::CONTENT_TYPE, BUNDLE_TYPE)], body).into_response())
}

/// `POST /bundle/apply`
pub(super) async fn apply(
    State(service): State<Service>,
    Asked(asked): Asked<ApplyQuery>,
    FileBody(body): FileBody,
) -> Answer {
    let from = asked.from.map(|key| key.parse::<NodeId>()).transpose()?;
    let options = ApplyOptions { collections: names(asked.collections.as_deref()), from };
    let (sender, receiver) = mpsc::channel(PIECES);
    let mut arriving = Arriving { receiver, piece: Bytes::new() };
    let applied = service.call(move |local| local.store().read_bundle(&mut arriving, &options));
    let (applied, ()) = tokio::join!(applied, pour(body, sender));
    Ok(Json(AppliedShape::from(&applied?)).into_response())
}

/// Hands on what comes. When nobody wants it any more the rest is read all the same: who still
/// sends would not read the answer.
async fn pour(body: Body, sender: mpsc::Sender<io::Result<Bytes>>) {
    let mut stream = body.into_data_stream();
    let mut sender = Some(sender);
    while let Some(piece) = poll_fn(|context| Pin::new(&mut stream).poll_next(context)).await {
        let piece = piece.map_err(io::Error::other);
        let broken = piece.is_err();
        if let Some(open) = &sender
            && open.send(piece).await.is_err()
        {
            sender = None;
        }
        if broken {
            break;
        }
    }
}

/// The pieces of a file on their way out.
struct Pieces(mpsc::Receiver<io::Result<Bytes>>);

impl Pieces {
    fn of(mut file: File) -> Pieces {
        let (sender, receiver) = mpsc::channel(PIECES);
        tokio::task::spawn_blocking(move || {
            loop {
                let mut piece = vec![0; PIECE_BYTES];
                let read = file.read(&mut piece);
                let ends = !matches!(read, Ok(1..));
                if let Ok(0) = read {
                    break;
                }
                let piece = read.map(|length| {
                    piece.truncate(length);
                    Bytes::from(piece)
                });
                if sender.blocking_send(piece).is_err() || ends {
                    break;
                }
            }
        });
        Pieces(receiver)
    }
}

impl Stream for Pieces {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}

/// A body as it arrives, for a thread that blocks.
struct Arriving {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

impl Read for Arriving {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let length = out.len().min(self.piece.len());
        out[..length].copy_from_slice(&self.piece.split_to(length));
        Ok(length)
    }
}

fn names(given: Option<&str>) -> Option<BTreeSet<String>> {
    given.map(|names| names.split(',').map(|name| name.trim().to_owned()).collect())
}

/// A file that goes when nobody has it open any more.
fn nameless(store: &Store) -> Result<File, Error> {
    match store.path() {
        Some(path) => tempfile::tempfile_in(path),
        None => tempfile::tempfile(),
    }
    .map_err(unwritable)
}

fn unwritable(err: io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("could not write the file: {err}"))
}
