//! The target that is a node elsewhere, over HTTP.
//!
//! Errors come back with the kind and the sentence that the node gave them, so that a
//! command ends alike whether it worked on the store or through a node.

use std::collections::VecDeque;
use std::path::Path as FilePath;
use std::time::Duration;

use littoral::id::{check_collection, check_id};
use littoral::limits::{MAX_HTTP_ANSWER_BYTES, MAX_HTTP_ANSWER_HEADER_BYTES};
use littoral::store::{
    ApplyOptions, BackupOptions, BackupReport, BundleContents, BundleOptions, Have,
};
use littoral::txn::roster::Rights;
use littoral::txn::ticket::InviteId;
use littoral::value::{field_to_json, parse_fields, value_to_json};
use littoral::{Error, ErrorKind, Fields, NodeId, Path, Position, Result, ScanRange};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use ureq::http::{Method, Request, StatusCode, request};
use ureq::{Agent, Body};

use super::{Choice, Condition, Read, Scan, Target, Write, parse_version, version_text};
use crate::conflict_log::{LogPageShape, LoggedShape, Noting, OfLog};
use crate::events::{EventsPage, WantedEvents};
use crate::invites::{InviteShape, InvitesShape, Inviting, TicketShape};
use crate::kinds;
use crate::members::{Founding, Granting, Joining, RosterShape, words};
use crate::shape::{
    AppliedShape, ChangesPage, CollectionState, ConflictShape, Conflicts, Entry, Failure,
    FindingShape, Findings, Health, Leaving, Live, Page, State, Status, why_not,
};
use crate::tokens::Secret;

/// How long a node may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a node may take to answer, beyond what it was asked to wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Documents asked for at once.
const PAGE: usize = 500;
/// What stays as it is in an id within a URL.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// A node elsewhere.
#[derive(Debug, Clone)]
pub(crate) struct Remote {
    pub(super) agent: Agent,
    url: String,
    token: Option<Secret>,
}

impl Remote {
    /// The node at `url`: `http://127.0.0.1:8090`; the scheme may be left out.
    pub(crate) fn connect(url: &str, token: Option<Secret>) -> Result<Remote> {
        if url.starts_with("https:") {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "a node speaks plain HTTP on loopback; write http://, and reach a far one through a tunnel such as ssh -L",
            ));
        }
        let bare = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .max_response_header_size(MAX_HTTP_ANSWER_HEADER_BYTES)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .build()
            .into();
        Ok(Remote { agent, url: format!("http://{bare}"), token })
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Whether it is there, and who it is.
    pub(crate) fn live(&self) -> Result<Live> {
        self.ask("/health/live", CONNECT_TIMEOUT)
    }

    /// Cuts all its links for now, or takes them up again.
    pub(crate) fn set_online(&self, online: bool) -> Result<()> {
        let path = if online { "/links/resume" } else { "/links/pause" };
        self.post(path, &serde_json::json!({})).map(drop)
    }

    /// The documents of a range, perhaps as they were at a checkpoint.
    pub(super) fn pages(
        &self,
        collection: &str,
        range: &ScanRange,
        at: Option<&str>,
    ) -> Result<Scan<'_>> {
        let mut pages = Pages {
            node: self,
            path: documents_path(collection)?,
            at: at.map(str::to_owned),
            range: range.clone(),
            ready: VecDeque::new(),
            more: true,
        };
        pages.fill()?;
        Ok(Box::new(pages))
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.ask(path, ANSWER_TIMEOUT)
    }

    fn ask<T: DeserializeOwned>(&self, path: &str, timeout: Duration) -> Result<T> {
        let answer = self.send(Method::GET, path, &[], None, timeout)?;
        answer.json()
    }

    fn post(&self, path: &str, body: &impl Serialize) -> Result<Answer> {
        self.send(Method::POST, path, &[], Some(json_text(body)), ANSWER_TIMEOUT)
    }

    pub(super) fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, String)],
        body: Option<String>,
        timeout: Duration,
    ) -> Result<Answer> {
        let mut request = self.request(method, path);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let lost = |err: ureq::Error| self.unreachable(&err);
        let answer = match body {
            None => self.run(request.body(()), timeout),
            Some(text) => {
                self.run(request.header("content-type", "application/json").body(text), timeout)
            }
        };
        Answer::read(answer.map_err(lost)?, lost)
    }

    /// A request that says who asks.
    pub(super) fn request(&self, method: Method, path: &str) -> request::Builder {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        match &self.token {
            Some(token) => request.header("authorization", format!("Bearer {}", token.reveal())),
            None => request,
        }
    }

    fn run(
        &self,
        request: Result<Request<impl ureq::AsSendBody>, ureq::http::Error>,
        timeout: Duration,
    ) -> Result<ureq::http::Response<Body>, ureq::Error> {
        let request = request?;
        let request = self.agent.configure_request(request).timeout_global(Some(timeout)).build();
        self.agent.run(request)
    }

    pub(super) fn unreachable(&self, err: &ureq::Error) -> Error {
        let sentence = |what: &str| format!("the node at {} {what}: {err}", self.url);
        match err {
            ureq::Error::Timeout(_) => {
                Error::new(ErrorKind::Timeout, sentence("did not answer in time"))
            }
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => Error::new(
                ErrorKind::InvalidInput,
                format!("{} is not the address of a node, such as http://127.0.0.1:8090", self.url),
            ),
            _ => Error::new(ErrorKind::Network, sentence("could not be reached")),
        }
    }
}

impl Target for Remote {
    fn get(&self, collection: &str, id: &str) -> Result<Read> {
        let path = document_path(collection, id)?;
        self.send(Method::GET, &path, &[], None, ANSWER_TIMEOUT)?.document()
    }

    fn scan(&self, collection: &str, range: &ScanRange) -> Result<Scan<'_>> {
        self.pages(collection, range, None)
    }

    fn write(
        &self,
        collection: &str,
        id: &str,
        write: &Write,
        condition: &Condition,
    ) -> Result<Option<Read>> {
        let path = document_path(collection, id)?;
        let (method, path, body) = match write {
            Write::Put(fields) => (Method::PUT, path, Some(fields_text(fields))),
            Write::Merge(fields) => (Method::PATCH, path, Some(fields_text(fields))),
            Write::Delete(at) if at.depth() == 0 => (Method::DELETE, path, None),
            Write::Delete(at) => {
                (Method::DELETE, format!("{path}?path={}", encode(&at.to_string())), None)
            }
            Write::Add(at, element) => {
                let body = json!({"path": at.to_string(), "value": value_to_json(element)});
                (Method::POST, format!("{path}/add"), Some(body.to_string()))
            }
            Write::Remove(at, element) => {
                let body = json!({"path": at.to_string(), "value": value_to_json(element)});
                (Method::POST, format!("{path}/remove"), Some(body.to_string()))
            }
            Write::Increment(at, by) => {
                let body = json!({"path": at.to_string(), "by": by});
                (Method::POST, format!("{path}/increment"), Some(body.to_string()))
            }
        };
        let (path, headers) = conditional(path, condition);
        let answer = self.send(method, &path, &headers, body, ANSWER_TIMEOUT)?;
        if answer.status == 204 { Ok(None) } else { answer.document().map(Some) }
    }

    fn put_all(&self, collection: &str, documents: &[(String, Fields)]) -> Result<()> {
        let entries: Vec<Entry> =
            documents.iter().map(|(id, fields)| Entry::new(id, fields)).collect();
        self.post(&documents_path(collection)?, &entries).map(drop)
    }

    fn changes(
        &self,
        since: Option<Position>,
        wait: Duration,
        values: bool,
    ) -> Result<ChangesPage> {
        let since = since.map_or("now".to_owned(), |position| position.to_string());
        let give = if values { "values" } else { "changes" };
        let path = format!("/changes?since={since}&wait={}&give={give}", wait.as_secs());
        self.ask(&path, wait + ANSWER_TIMEOUT)
    }

    fn events(
        &self,
        since: Option<u64>,
        wanted: &WantedEvents,
        wait: Duration,
    ) -> Result<EventsPage> {
        let mut query = Query::new("/events");
        let since = since.map_or("now".to_owned(), |number| number.to_string());
        query.add("since", Some(&since));
        query.add("wait", Some(&wait.as_secs().to_string()));
        let words: Vec<&str> = wanted.kinds.iter().map(|kind| kind.word()).collect();
        query.add("kind", Some(words.join(",").as_str()).filter(|words| !words.is_empty()));
        query.add("limit", wanted.limit.map(|limit| limit.to_string()).as_deref());
        self.ask(&query.path, wait + ANSWER_TIMEOUT)
    }

    fn conflicts(&self, collection: Option<&str>, id: Option<&str>) -> Result<Vec<ConflictShape>> {
        let mut query = Query::new("/conflicts");
        query.add("collection", collection);
        query.add("id", id);
        self.get::<Conflicts>(&query.path).map(|found| found.conflicts)
    }

    fn conflict_log(&self, asked: &OfLog) -> Result<LogPageShape> {
        let mut query = Query::new("/conflicts/log");
        query.add("after", Some(&asked.after.to_string()));
        query.add("collection", asked.collection.as_deref());
        query.add("id", asked.id.as_deref());
        query.add("open", asked.open.map(|open| open.to_string()).as_deref());
        query.add("limit", asked.limit.map(|limit| limit.to_string()).as_deref());
        self.get(&query.path)
    }

    fn note_conflict(&self, number: u64, noting: &Noting) -> Result<LoggedShape> {
        self.post(&format!("/conflicts/log/{number}/notes"), noting)?.json()
    }

    fn resolve(&self, collection: &str, id: &str, path: &Path, choice: &Choice) -> Result<()> {
        let mut body = json!({"collection": collection, "id": id, "path": path.to_string()});
        match choice {
            Choice::Take(number) => body["take"] = json!(number),
            Choice::Value(field) => body["value"] = field_to_json(field),
        }
        self.post("/conflicts/resolve", &body).map(drop)
    }

    fn status(&self) -> Result<Status> {
        self.get("/status")
    }

    fn health(&self) -> Result<Option<Health>> {
        let lost = |err: ureq::Error| self.unreachable(&err);
        let request = self.request(Method::GET, "/health").body(());
        let answer = self.run(request, ANSWER_TIMEOUT).map_err(lost)?;
        // It says so by its status, too, if it can't.
        let answer = match answer.status() {
            StatusCode::SERVICE_UNAVAILABLE => Answer::whole(answer, lost)?,
            _ => Answer::read(answer, lost)?,
        };
        answer.json().map(Some)
    }

    fn state(&self) -> Result<Vec<CollectionState>> {
        self.get::<State>("/state").map(|state| state.collections)
    }

    fn have(&self) -> Result<Have> {
        Remote::have(self)
    }

    fn bundle_create(&self, file: &FilePath, options: &BundleOptions) -> Result<BundleContents> {
        Remote::bundle_create(self, file, options)
    }

    fn bundle_apply(&self, file: &FilePath, options: &ApplyOptions) -> Result<AppliedShape> {
        Remote::bundle_apply(self, file, options)
    }

    fn backup(&self, file: &FilePath, options: &BackupOptions) -> Result<BackupReport> {
        Remote::backup(self, file, options)
    }

    fn doctor(&self) -> Result<Vec<FindingShape>> {
        self.get::<Findings>("/doctor").map(|found| found.findings)
    }

    fn leave(&self, collection: &str, force: bool) -> Result<()> {
        check_collection(collection)?;
        let path = format!("/collections/{collection}/leave");
        self.post(&path, &Leaving { force }).map(drop)
    }

    fn roster(&self) -> Result<RosterShape> {
        self.get("/roster")
    }

    fn found_roster(&self, name: &str) -> Result<()> {
        self.post("/roster", &Founding { name: name.to_owned() }).map(drop)
    }

    fn join_roster(&self, founder: NodeId) -> Result<()> {
        self.post("/roster/join", &Joining { founder: founder.to_string() }).map(drop)
    }

    fn grant(&self, member: NodeId, name: Option<&str>, rights: &Rights) -> Result<()> {
        let asked = Granting { name: name.map(str::to_owned), rights: words(rights) };
        let body = Some(json_text(&asked));
        self.send(Method::PUT, &format!("/roster/{member}"), &[], body, ANSWER_TIMEOUT).map(drop)
    }

    fn revoke(&self, member: NodeId) -> Result<()> {
        let path = format!("/roster/{member}");
        self.send(Method::DELETE, &path, &[], None, ANSWER_TIMEOUT).map(drop)
    }

    fn invite(&self, asked: &Inviting) -> Result<TicketShape> {
        self.post("/invites", asked)?.json()
    }

    fn invites(&self) -> Result<Vec<InviteShape>> {
        self.get::<InvitesShape>("/invites").map(|found| found.invites)
    }

    fn revoke_invite(&self, id: &InviteId) -> Result<()> {
        let path = format!("/invites/{id}");
        self.send(Method::DELETE, &path, &[], None, ANSWER_TIMEOUT).map(drop)
    }

    fn is_shared(&self) -> bool {
        true
    }
}

/// Documents of a range, page after page.
struct Pages<'a> {
    node: &'a Remote,
    path: String,
    at: Option<String>,
    range: ScanRange,
    ready: VecDeque<Entry>,
    more: bool,
}

impl Pages<'_> {
    fn fill(&mut self) -> Result<()> {
        let limit = self.range.limit.map_or(PAGE, |left| left.min(PAGE));
        if limit == 0 {
            self.more = false;
            return Ok(());
        }
        let page: Page = self.node.get(&self.page_path(limit))?;
        if let Some(left) = &mut self.range.limit {
            *left -= page.documents.len().min(*left);
        }
        self.more = page.next.is_some() && self.range.limit != Some(0);
        self.range.after = page.next;
        self.ready = page.documents.into();
        Ok(())
    }

    fn page_path(&self, limit: usize) -> String {
        let range = &self.range;
        let mut query = Query::new(&self.path);
        query.add("prefix", Some(range.prefix.as_str()).filter(|prefix| !prefix.is_empty()));
        query.add("start", range.start.as_deref());
        query.add("end", range.end.as_deref());
        query.add("after", range.after.as_deref());
        query.add("limit", Some(&limit.to_string()));
        query.add("reverse", range.reverse.then_some("true"));
        query.add("at", self.at.as_deref());
        query.path
    }

    fn step(&mut self) -> Result<Option<(String, Fields)>> {
        while self.ready.is_empty() && self.more {
            self.fill()?;
        }
        let Some(entry) = self.ready.pop_front() else { return Ok(None) };
        Ok(Some((entry.id, parse_fields(entry.doc.get().as_bytes())?)))
    }
}

impl Iterator for Pages<'_> {
    type Item = Result<(String, Fields)>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            (self.more, self.ready) = (false, VecDeque::new());
        }
        step.transpose()
    }
}

/// What a node answered, if it was no error.
pub(super) struct Answer {
    status: u16,
    etag: Option<String>,
    body: Vec<u8>,
}

impl Answer {
    /// Of a request that must succeed.
    pub(super) fn read(
        answer: ureq::http::Response<Body>,
        lost: impl Fn(ureq::Error) -> Error,
    ) -> Result<Answer> {
        let answer = Answer::whole(answer, lost)?;
        match (200..300).contains(&answer.status) {
            true => Ok(answer),
            false => Err(failure(answer.status, &answer.body)),
        }
    }

    /// Whatever it says.
    fn whole(
        mut answer: ureq::http::Response<Body>,
        lost: impl Fn(ureq::Error) -> Error,
    ) -> Result<Answer> {
        let status = answer.status().as_u16();
        let etag = answer.headers().get("etag").and_then(|tag| tag.to_str().ok());
        let etag = etag.map(str::to_owned);
        let body = answer.body_mut().with_config().limit(MAX_HTTP_ANSWER_BYTES).read_to_vec();
        Ok(Answer { status, etag, body: body.map_err(lost)? })
    }

    /// The error that an answer without success says.
    pub(super) fn error(
        mut answer: ureq::http::Response<Body>,
        lost: impl Fn(ureq::Error) -> Error,
    ) -> Error {
        let status = answer.status().as_u16();
        match answer.body_mut().with_config().limit(MAX_HTTP_ANSWER_BYTES).read_to_vec() {
            Ok(body) => failure(status, &body),
            Err(err) => lost(err),
        }
    }

    /// Whether it says nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.body.is_empty()
    }

    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|err| not_a_node(&why_not(&err)))
    }

    pub(super) fn document(&self) -> Result<Read> {
        let etag = self.etag.as_deref().ok_or_else(|| not_a_node("a document without an ETag"))?;
        Ok(Read { fields: parse_fields(&self.body)?, version: parse_version(etag)? })
    }
}

/// The error that an answer says.
fn failure(status: u16, body: &[u8]) -> Error {
    match serde_json::from_slice::<Failure>(body) {
        Ok(failure) => Error::new(kinds::of_code(&failure.error.code), failure.error.message),
        Err(_) => not_a_node(&format!("status {status} and no reason")),
    }
}

pub(super) fn not_a_node(found: &str) -> Error {
    Error::new(
        ErrorKind::Protocol,
        format!("what answered does not speak as a Littoral node of this version: {found}"),
    )
}

/// The path and headers that carry a condition.
fn conditional(path: String, condition: &Condition) -> (String, Vec<(&'static str, String)>) {
    let quoted = |version| format!("\"{}\"", version_text(version));
    match condition {
        Condition::Always => (path, vec![]),
        Condition::Absent => (path, vec![("if-none-match", "*".to_owned())]),
        Condition::Exists => (path, vec![("if-match", "*".to_owned())]),
        Condition::Based(version) => (path, vec![("if-match", quoted(version))]),
        Condition::Exactly(version) => {
            let joint = if path.contains('?') { '&' } else { '?' };
            (format!("{path}{joint}strict=true"), vec![("if-match", quoted(version))])
        }
    }
}

/// A path with a query.
pub(super) struct Query {
    pub(super) path: String,
    joint: char,
}

impl Query {
    pub(super) fn new(path: &str) -> Query {
        Query { path: path.to_owned(), joint: '?' }
    }

    pub(super) fn add(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.path.push_str(&format!("{}{name}={}", self.joint, encode(value)));
            self.joint = '&';
        }
    }
}

/// Checked here, since an empty name is no segment of a path.
pub(super) fn document_path(collection: &str, id: &str) -> Result<String> {
    check_id(id)?;
    Ok(format!("{}/{}", documents_path(collection)?, encode(id)))
}

pub(super) fn documents_path(collection: &str) -> Result<String> {
    check_collection(collection)?;
    Ok(format!("/collections/{}/docs", encode(collection)))
}

pub(super) fn encode(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

fn fields_text(fields: &Fields) -> String {
    littoral::value::fields_to_json(fields).to_string()
}

pub(super) fn json_text(body: &impl Serialize) -> String {
    serde_json::to_string(body).expect("a shape is JSON")
}
