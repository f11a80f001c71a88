//! Reading and writing documents.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use littoral::limits::{HTTP_PAGE_BYTES, MAX_HTTP_PAGE};
use littoral::value::{field_to_json, fields_to_json, parse_fields, parse_value};
use littoral::{Document, Path, ScanRange};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::body::JsonText;
use super::failure::{Answer, Asked, Named, Refusal};
use super::json::Json;
use super::service::Service;
use crate::shape::{Entry, Page, raw};
use crate::target::{
    Condition, Local, Read, Tape, Target, Write, field_at, parse_version, scan_past, version_text,
};

/// Documents of a page, unless the request says how many.
const PAGE: usize = 100;

/// The names in the path: `/collections/{collection}/docs/{id}`, the id perhaps in the query.
#[derive(Debug, Deserialize)]
pub(super) struct Names {
    collection: String,
    id: Option<String>,
}

/// The query of a document.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfDocument {
    id: Option<String>,
    path: Option<String>,
    at: Option<String>,
    #[serde(default)]
    strict: bool,
}

/// The query of a page, or of a document with `id`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfPage {
    id: Option<String>,
    path: Option<String>,
    #[serde(default)]
    prefix: String,
    start: Option<String>,
    end: Option<String>,
    after: Option<String>,
    limit: Option<usize>,
    #[serde(default)]
    reverse: bool,
    #[serde(default)]
    versions: bool,
    at: Option<String>,
}

impl OfPage {
    /// Whether anything is asked for that only a page has.
    fn is_of_page(&self) -> bool {
        let named = [&self.start, &self.end, &self.after].iter().any(|name| name.is_some());
        named || !self.prefix.is_empty() || self.limit.is_some() || self.reverse || self.versions
    }
}

/// The body of a write to a set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Element {
    path: String,
    value: Box<RawValue>,
}

/// The body of a write to a counter.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    path: String,
    #[serde(default = "one")]
    by: i64,
}

fn one() -> i64 {
    1
}

/// `GET /collections/{c}/docs/{id}`
pub(super) async fn read(
    State(service): State<Service>,
    Named(names): Named<Names>,
    Asked(asked): Asked<OfDocument>,
) -> Answer {
    let (collection, id) = names.with(asked.id)?;
    read_one(&service, collection, id, asked.path, asked.at).await
}

/// `GET /collections/{c}/docs`: a page, or with `id` a document.
pub(super) async fn read_or_page(
    State(service): State<Service>,
    Named(names): Named<Names>,
    Asked(asked): Asked<OfPage>,
) -> Answer {
    if asked.id.is_none() && asked.path.is_some() {
        return Err(Refusal::malformed("`path` is of one document: give its `id`"));
    }
    if asked.id.is_some() && asked.is_of_page() {
        return Err(Refusal::malformed("with `id`, only `path` and `at` are taken: it is no page"));
    }
    match &asked.id {
        Some(id) => read_one(&service, names.collection, id.clone(), asked.path, asked.at).await,
        None => service.call(move |local| page(local, &names.collection, asked)).await,
    }
}

/// `PUT /collections/{c}/docs/{id}`
pub(super) async fn put(
    State(service): State<Service>,
    Named(names): Named<Names>,
    Asked(asked): Asked<OfDocument>,
    headers: HeaderMap,
    body: JsonText,
) -> Answer {
    let write = Write::Put(parse_fields(&body.bytes)?);
    written(&service, names, asked, &headers, write).await
}

/// `PATCH /collections/{c}/docs/{id}`
pub(super) async fn merge(
    State(service): State<Service>,
    Named(names): Named<Names>,
    Asked(asked): Asked<OfDocument>,
    headers: HeaderMap,
    body: JsonText,
) -> Answer {
    let write = Write::Merge(parse_fields(&body.bytes)?);
    written(&service, names, asked, &headers, write).await
}

/// `DELETE /collections/{c}/docs/{id}`
pub(super) async fn delete(
    State(service): State<Service>,
    Named(names): Named<Names>,
    Asked(asked): Asked<OfDocument>,
    headers: HeaderMap,
) -> Answer {
    let write = Write::Delete(Path::parse_pointer(asked.path.as_deref().unwrap_or_default())?);
    written(&service, names, asked, &headers, write).await
}

/// `POST /collections/{c}/docs/{id}/add`
pub(super) async fn add(
    State(service): State<Service>,
    Named(names): Named<Names>,
    Asked(asked): Asked<OfDocument>,
    headers: HeaderMap,
    body: JsonText,
) -> Answer {
    let element: Element = body.parse()?;
    let path = Path::parse_pointer(&element.path)?;
    let write = Write::Add(path.clone(), parse_value(element.value.get().as_bytes(), &path)?);
    written(&service, names, asked, &headers, write).await
}

/// `POST /collections/{c}/docs/{id}/remove`
pub(super) async fn remove(
    State(service): State<Service>,
    Named(names): Named<Names>,
    Asked(asked): Asked<OfDocument>,
    headers: HeaderMap,
    body: JsonText,
) -> Answer {
    let element: Element = body.parse()?;
    let path = Path::parse_pointer(&element.path)?;
    let write = Write::Remove(path.clone(), parse_value(element.value.get().as_bytes(), &path)?);
    written(&service, names, asked, &headers, write).await
}

/// `POST /collections/{c}/docs/{id}/increment`
pub(super) async fn increment(
    State(service): State<Service>,
    Named(names): Named<Names>,
    Asked(asked): Asked<OfDocument>,
    headers: HeaderMap,
    body: JsonText,
) -> Answer {
    let step: Step = body.parse()?;
    let write = Write::Increment(Path::parse_pointer(&step.path)?, step.by);
    written(&service, names, asked, &headers, write).await
}

impl Names {
    /// The collection and the id, from the path or from the query.
    fn with(self, asked: Option<String>) -> Answer<(String, String)> {
        match (self.id, asked) {
            (Some(id), None) | (None, Some(id)) => Ok((self.collection, id)),
            (Some(_), Some(_)) => Err(Refusal::malformed("the id is in the path and in the query")),
            (None, None) => Err(Refusal::malformed("an id is wanted: docs/ID, or docs?id=ID")),
        }
    }
}

async fn read_one(
    service: &Service,
    collection: String,
    id: String,
    path: Option<String>,
    at: Option<String>,
) -> Answer {
    let path = path.map(|path| Path::parse_pointer(&path)).transpose()?;
    service
        .call(move |local| {
            let read = match at {
                Some(label) => local.get_at(&label, &collection, &id)?,
                None => local.get(&collection, &id)?,
            };
            let Some(path) = path.filter(|path| path.depth() > 0) else {
                return Ok(document(&read));
            };
            let field = field_at((&collection, &id), &read.fields, &path)?;
            Ok((tag(&read), Json(field_to_json(field))).into_response())
        })
        .await
}

async fn written(
    service: &Service,
    names: Names,
    asked: OfDocument,
    headers: &HeaderMap,
    write: Write,
) -> Answer {
    let condition = condition(headers, asked.strict, &write)?;
    if asked.path.is_some() && !matches!(write, Write::Delete(_)) {
        return Err(Refusal::malformed("`path` in the query is for reading and deleting"));
    }
    if asked.at.is_some() {
        return Err(Refusal::malformed("`at` is for reading: the past is not written"));
    }
    let (collection, id) = names.with(asked.id)?;
    service
        .call(move |local| {
            let left = local.write(&collection, &id, &write, &condition)?;
            Ok(left.map_or_else(|| StatusCode::NO_CONTENT.into_response(), |read| document(&read)))
        })
        .await
}

fn condition(headers: &HeaderMap, strict: bool, write: &Write) -> Answer<Condition> {
    let text = |name| match headers.get(name).map(|value| value.to_str()) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(text.trim())),
        Some(Err(_)) => {
            Err(Refusal::malformed("a version in a header is an ETag that a read gave"))
        }
    };
    let merges = match write {
        Write::Put(_) => true,
        Write::Delete(path) => path.depth() == 0,
        _ => false,
    };
    match (text(header::IF_MATCH)?, text(header::IF_NONE_MATCH)?) {
        (None, None) => Ok(Condition::Always),
        (None, Some("*")) => Ok(Condition::Absent),
        (Some("*"), None) => Ok(Condition::Exists),
        (Some(version), None) if merges && !strict => Ok(Condition::Based(parse_version(version)?)),
        (Some(version), None) => Ok(Condition::Exactly(parse_version(version)?)),
        _ => Err(Refusal::malformed(
            "a write takes `If-Match` with one version or *, or `If-None-Match: *`, not both",
        )),
    }
}

/// Documents that are or were there.
type Found = Box<dyn Iterator<Item = littoral::Result<Document>>>;

/// The next documents of a range.
fn page(local: &Local, collection: &str, asked: OfPage) -> littoral::Result<Response> {
    let limit = asked.limit.unwrap_or(PAGE).min(MAX_HTTP_PAGE);
    let range = ScanRange {
        prefix: asked.prefix,
        start: asked.start,
        after: asked.after,
        end: asked.end,
        limit: Some(limit.saturating_add(1)),
        reverse: asked.reverse,
    };
    let mut documents: Vec<Entry> = Vec::new();
    let (mut bytes, mut more) = (0, false);
    let found: Found = match asked.at {
        Some(label) => Box::new(scan_past(local.store(), &label, collection, &range)?),
        None => Box::new(local.store().existing_collection(collection)?.scan(&range)?),
    };
    for document in found {
        let document = document?;
        if documents.len() == limit || bytes > HTTP_PAGE_BYTES {
            more = true;
            break;
        }
        let doc = raw(document.fields());
        bytes += doc.get().len();
        let version = asked.versions.then(|| version_text(&document.version()));
        documents.push(Entry { id: document.id().to_owned(), version, doc });
    }
    let next = documents.last().filter(|_| more).map(|last| last.id.clone());
    Ok(Json(Page { documents, next }).into_response())
}

fn document(read: &Read) -> Response {
    (tag(read), Json(fields_to_json(&read.fields))).into_response()
}

fn tag(read: &Read) -> [(header::HeaderName, String); 1] {
    [(header::ETAG, format!("\"{}\"", version_text(&read.version)))]
}
