//! `GET /openapi.json`: what the node answers, told for programs (OpenAPI 3.1), and `GET /api`,
//! a page on which people read the same.
//!
//! The description is put together from [`paths`] and [`schemas`], written by hand: bodies are
//! read by the core's own parser and errors come from one table, so that what annotations could
//! tell of handlers is the lesser part. Tests hold it against the router and against a running
//! node (`tests/api/run`).

mod operation;
mod paths;
mod schemas;
mod tape;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value as Json, json};

/// The description as it is sent.
static TEXT: LazyLock<String> = LazyLock::new(|| {
    let mut text = serde_json::to_string_pretty(&document()).expect("JSON is JSON");
    text.push('\n');
    text
});

/// By route and method, the kinds of the answers that are no errors.
static KINDS: LazyLock<BTreeMap<(String, String), Vec<String>>> = LazyLock::new(|| {
    let (document, mut kinds) = (document(), BTreeMap::new());
    for (path, methods) in document["paths"].as_object().expect("paths are told") {
        for (method, operation) in methods.as_object().expect("methods are told") {
            let given = operation["responses"]["200"]["content"].as_object();
            let names = given.into_iter().flat_map(|content| content.keys().cloned()).collect();
            kinds.insert((path.clone(), method.to_uppercase()), names);
        }
    }
    kinds
});

/// The kinds that a route answers in if all goes well; none if that has no body.
pub(super) fn kinds(route: &str, method: &Method) -> &'static [String] {
    let method = if method == Method::HEAD { Method::GET } else { method.clone() };
    KINDS.get(&(route.to_owned(), method.to_string())).map_or(&[], Vec::as_slice)
}

/// `GET /openapi.json`
pub(super) async fn description() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], TEXT.as_str()).into_response()
}

/// `GET /api`
pub(super) async fn page() -> Response {
    // Nothing from elsewhere, and no script but our own.
    let policy = "default-src 'none'; connect-src 'self'; script-src 'self'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, policy),
    ];
    (headers, include_str!("page/index.html")).into_response()
}

/// `GET /api/page.js`
pub(super) async fn script() -> Response {
    let kind = [(header::CONTENT_TYPE, "text/javascript; charset=utf-8")];
    (kind, include_str!("page/page.js")).into_response()
}

/// `GET /api/page.css`
pub(super) async fn style() -> Response {
    let kind = [(header::CONTENT_TYPE, "text/css; charset=utf-8")];
    (kind, include_str!("page/page.css")).into_response()
}

fn document() -> Json {
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "Littoral",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "A node of an edge-replicated document store",
            "description": "What a node answers that runs (`littoral run --http`). On loopback no token is needed, but requests of web pages of other origins are refused; on any other address every request needs a bearer token whose right is read, write or admin: each operation says which, as its scope. An error is always of one form, with a stable code for programs and a sentence for people. Every answer has an X-Request-Id, which is that of the request if it had one; errors and the log of the node carry it too. Large answers are packed with gzip for those who take it. Fields are added to answers and never renamed: readers ignore what they don't know.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": "node", "description": "How the node and its links are"},
            {"name": "documents", "description": "Reading and writing documents"},
            {"name": "conflicts", "description": "What was written concurrently, and settling it"},
            {"name": "changes", "description": "Following what is written"},
            {"name": "members", "description": "Who belongs to the network"},
            {"name": "bundles", "description": "Changes in a file, and all of a store in one"},
            {"name": "tape", "description": "Checkpoints, the past, and the way back"},
        ],
        "security": [{"token": []}, {}],
        "paths": paths::all(),
        "components": {
            "schemas": schemas::all(),
            "responses": {
                "Error": {
                    "description": "An error",
                    "content": operation::error(),
                },
                "Unauthorized": {
                    "description": "A token is needed, or this one is not known",
                    "headers": {"WWW-Authenticate": {"schema": {"type": "string", "const": "Bearer"}}},
                    "content": operation::error(),
                },
            },
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "Made by `littoral token create`"},
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::kinds;

    /// The routes of the router, read from its source: axum does not tell them.
    fn routes() -> BTreeSet<(String, String)> {
        let source = include_str!("../mod.rs");
        let (_, body) = source.split_once("pub(crate) fn router").unwrap();
        let mut named: Vec<(&str, String)> = Vec::new();
        for part in body.split("let ").skip(1) {
            let (name, rest) = part.split_once('=').unwrap();
            named.push((name.trim(), rest.split(';').next().unwrap().to_owned()));
        }
        let mut routes = BTreeSet::new();
        for call in body.split(".route(").skip(1) {
            let path = call.split('"').nth(1).unwrap();
            let handlers = &call[call.find("\",").unwrap() + 2..call.find("\n").unwrap()];
            let by_name = named.iter().find(|(name, _)| handlers.trim() == format!("{name})"));
            let handlers = by_name.map_or(handlers, |(_, text)| text.as_str());
            for method in ["get", "put", "post", "patch", "delete"] {
                let begins = [format!(" {method}("), format!(".{method}("), format!("\n{method}(")];
                if begins.iter().any(|begin| handlers.contains(begin.as_str())) {
                    routes.insert((path.to_owned(), method.to_owned()));
                }
            }
        }
        routes
    }

    #[test]
    fn what_is_described_is_what_is_routed() {
        let described: BTreeSet<(String, String)> = document()["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, methods)| {
                let methods = methods.as_object().unwrap().keys();
                methods.map(|method| (path.clone(), method.clone())).collect::<Vec<_>>()
            })
            .collect();
        let routed = routes();
        assert!(routed.len() > 30, "{routed:?}");
        assert_eq!(described, routed);
    }

    #[test]
    fn parameters_of_paths_are_described_and_references_lead_somewhere() {
        let document = document();
        let mut ids = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let parameters = operation["parameters"].as_array().unwrap();
                let named: Vec<&str> = parameters
                    .iter()
                    .filter(|parameter| parameter["in"] == "path")
                    .map(|parameter| parameter["name"].as_str().unwrap())
                    .collect();
                let wanted: Vec<&str> =
                    path.split('{').skip(1).map(|part| part.split('}').next().unwrap()).collect();
                assert_eq!(named, wanted, "{method} {path}");
                assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()));
            }
        }
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let pointer = reference.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
    }

    #[test]
    fn all_codes_of_errors_are_described() {
        let document = document();
        let codes = document["components"]["schemas"]["Error"]["properties"]["error"]["properties"]
            ["code"]["enum"]
            .as_array()
            .unwrap();
        for code in kinds::codes() {
            assert!(codes.iter().any(|known| known == code), "{code}");
        }
    }
}
