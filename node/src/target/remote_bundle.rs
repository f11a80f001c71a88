//! Bundles and backups through a node elsewhere: files here, over HTTP.
//!
//! They are as large as they are, so they go from and to files piece by piece, without a limit of
//! time. One that was received is checked as a whole before it gets its name.

use std::fs::{self, File};
use std::io;
use std::path::Path as FilePath;

use littoral::store::{
    ApplyOptions, BackupOptions, BackupReport, BundleContents, BundleOptions, Have,
};
use littoral::{Error, ErrorKind, Result};
use ureq::http::{Method, Response};
use ureq::{AsSendBody, Body};

use super::remote::{Answer, Query, Remote};
use crate::shape::AppliedShape;

/// What bundles are in HTTP: a page of a browser can't send it without being allowed to.
pub(crate) const BUNDLE_TYPE: &str = "application/octet-stream";

impl Remote {
    pub(super) fn have(&self) -> Result<Have> {
        let mut answer = self.exchange(Method::GET, "/bundle/have", BUNDLE_TYPE, ())?;
        Have::read(answer.body_mut().as_reader())
    }

    pub(super) fn bundle_create(
        &self,
        file: &FilePath,
        options: &BundleOptions,
    ) -> Result<BundleContents> {
        let mut have = Vec::new();
        if let Some(since) = &options.since {
            since.write(&mut have)?;
        }
        let mut query = Query::new("/bundle/create");
        query.add("collections", joined(options.collections.as_ref()).as_deref());
        query.add("snapshots", (!options.snapshots).then_some("false"));
        let mut answer = self.exchange(Method::POST, &query.path, BUNDLE_TYPE, &have[..])?;
        receive(file, &mut answer.body_mut().as_reader(), |part| BundleContents::open(part))
    }

    pub(super) fn backup(&self, file: &FilePath, options: &BackupOptions) -> Result<BackupReport> {
        let mut query = Query::new("/backup");
        query.add("peers", (!options.peers).then_some("false"));
        let mut answer = self.exchange(Method::GET, &query.path, BUNDLE_TYPE, ())?;
        receive(file, &mut answer.body_mut().as_reader(), |part| BackupReport::open(part))
    }

    pub(super) fn bundle_apply(
        &self,
        file: &FilePath,
        options: &ApplyOptions,
    ) -> Result<AppliedShape> {
        let content = File::open(file).map_err(|err| {
            Error::new(ErrorKind::Io, format!("could not read {}: {err}", file.display()))
        })?;
        let mut query = Query::new("/bundle/apply");
        query.add("collections", joined(options.collections.as_ref()).as_deref());
        query.add("from", options.from.map(|key| key.to_string()).as_deref());
        let answer = self.exchange(Method::POST, &query.path, BUNDLE_TYPE, content)?;
        Answer::read(answer, |err| self.unreachable(&err))?.json()
    }

    /// Sends a body of a kind and gives the answer, if that is no error.
    pub(super) fn exchange(
        &self,
        method: Method,
        path: &str,
        kind: &str,
        body: impl AsSendBody,
    ) -> Result<Response<Body>> {
        let request = self.request(method, path).header("content-type", kind);
        let lost = |err: ureq::Error| self.unreachable(&err);
        let request = request.body(body).map_err(|err| lost(err.into()))?;
        let answer = self.agent.run(request).map_err(lost)?;
        match answer.status().is_success() {
            true => Ok(answer),
            false => Err(Answer::error(answer, lost)),
        }
    }
}

/// Writes what comes beside a file, looks at all of it, and gives it that name.
fn receive<T>(
    file: &FilePath,
    from: &mut dyn io::Read,
    check: impl FnOnce(&FilePath) -> Result<T>,
) -> Result<T> {
    let mut part = file.as_os_str().to_owned();
    part.push(".part");
    let part = FilePath::new(&part);
    let received = receive_part(part, from).and_then(|()| check(part)).and_then(|found| {
        fs::rename(part, file).map_err(|err| unwritable(file, &err))?;
        sync_parent(file).map_err(|err| unwritable(file, &err))?;
        Ok(found)
    });
    if received.is_err() {
        // It is of no use; that it can't be removed is not worse than that.
        let _ = fs::remove_file(part);
    }
    received
}

/// The name is on the disk as well. On Windows a directory can't be synced.
fn sync_parent(file: &FilePath) -> io::Result<()> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    match cfg!(unix) {
        true => File::open(parent.unwrap_or(FilePath::new(".")))?.sync_all(),
        false => Ok(()),
    }
}

fn receive_part(part: &FilePath, from: &mut dyn io::Read) -> Result<()> {
    let failed = |err: io::Error| unwritable(part, &err);
    let mut out = File::create(part).map_err(failed)?;
    io::copy(from, &mut out).map_err(failed)?;
    out.sync_all().map_err(failed)
}

fn unwritable(path: &FilePath, err: &io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("could not write {}: {err}", path.display()))
}

fn joined(names: Option<&std::collections::BTreeSet<String>>) -> Option<String> {
    names.map(|names| names.iter().map(String::as_str).collect::<Vec<_>>().join(","))
}
