//! One method of one path, put together: parameters, body, answers and errors.

use littoral::limits::{MAX_COLLECTION_BYTES, MAX_ID_BYTES};
use serde_json::{Map, Value as Json, json};

pub(super) const JSON: &str = "application/json";
pub(super) const LINES: &str = "application/x-ndjson";
pub(super) const BYTES: &str = "application/octet-stream";
const PACKED: &str = "application/msgpack";
/// The scope of what needs no token, wherever it is asked for.
pub(super) const OPEN: &str = "none";

/// All of them, as they are put together.
pub(super) struct Paths(pub(super) Map<String, Json>);

impl Paths {
    pub(super) fn add(&mut self, path: &str, method: &str, about: [&str; 3], operation: Operation) {
        let [id, tag, summary] = about;
        let mut told = json!({
            "operationId": id,
            "tags": [tag],
            "summary": summary,
            "security": operation.security(),
            "x-scope": operation.scope,
            "parameters": operation.parameters,
            "responses": operation.answers(),
        });
        if let Some(body) = operation.body {
            told["requestBody"] = json!({"required": true, "content": body});
        }
        let methods = self.0.entry(path).or_insert_with(|| json!({}));
        methods[method] = told;
    }
}

/// One method of one path.
pub(super) struct Operation {
    /// The right that a token needs.
    scope: &'static str,
    parameters: Vec<Json>,
    body: Option<Json>,
    pub(super) good: Vec<(&'static str, Json)>,
    bad: Vec<(&'static str, &'static str)>,
}

/// What needs a token for `scope`, if any is needed.
pub(super) fn needs(scope: &'static str) -> Operation {
    Operation { scope, parameters: Vec::new(), body: None, good: Vec::new(), bad: Vec::new() }
}

impl Operation {
    pub(super) fn with(mut self, parameters: impl IntoIterator<Item = Json>) -> Operation {
        self.parameters.extend(parameters);
        self
    }

    /// A body of JSON of this form.
    pub(super) fn takes(self, schema: &str) -> Operation {
        self.takes_of(&[(JSON, of(schema))])
    }

    pub(super) fn takes_of(mut self, kinds: &[(&str, Json)]) -> Operation {
        self.body = Some(content(kinds));
        let bad = [("413", "The body is too large"), ("415", "The body does not say what it is")];
        self.bad.extend(bad);
        self
    }

    /// 200 with JSON of this form.
    pub(super) fn gives(self, what: &str, schema: &str) -> Operation {
        self.gives_of(what, JSON, of(schema))
    }

    pub(super) fn gives_of(self, what: &str, kind: &str, schema: Json) -> Operation {
        self.gives_either(what, &[(kind, schema)])
    }

    /// 200 with one of these.
    pub(super) fn gives_either(mut self, what: &str, kinds: &[(&str, Json)]) -> Operation {
        self.good.push(("200", json!({"description": what, "content": content(kinds)})));
        self
    }

    /// 200 with a document and its version.
    pub(super) fn gives_document(mut self, what: &str, schema: Json) -> Operation {
        let tag =
            json!({"description": "Its version", "required": true, "schema": {"type": "string"}});
        self.good.push((
            "200",
            json!({
                "description": what,
                "headers": {"ETag": tag},
                "content": content(&[(JSON, schema)]),
            }),
        ));
        self
    }

    /// 101.
    pub(super) fn switches(mut self) -> Operation {
        self.good.push(("101", json!({"description": "It goes on as a WebSocket"})));
        self
    }

    /// 204.
    pub(super) fn gives_nothing(mut self, what: &str) -> Operation {
        self.good.push(("204", json!({"description": what})));
        self
    }

    pub(super) fn fails(mut self, bad: &[(&'static str, &'static str)]) -> Operation {
        self.bad.extend(bad);
        self
    }

    fn security(&self) -> Json {
        match self.scope {
            OPEN => json!([{}]),
            _ => json!([{"token": []}, {}]),
        }
    }

    fn answers(&self) -> Json {
        let mut all = Map::new();
        for (status, answer) in &self.good {
            all.insert((*status).to_owned(), answer.clone());
        }
        let bad = [
            ("400", "Something of the request is malformed"),
            ("403", "A page of another origin asks, or the token's right is not enough"),
            (
                "5XX",
                "Trouble of the node itself, as a full disk (507) or a store that refuses writes (503)",
            ),
        ];
        let gives_some = self.good.iter().any(|(_, answer)| answer.get("content").is_some());
        let unwanted = ("406", "`Accept` names nothing that this is answered as");
        for (status, why) in bad.iter().chain(&self.bad).chain(gives_some.then_some(&unwanted)) {
            all.insert(
                (*status).to_owned(),
                json!({
                    "description": why,
                    "content": error(),
                }),
            );
        }
        all.insert("401".to_owned(), json!({"$ref": "#/components/responses/Unauthorized"}));
        Json::Object(all)
    }
}

/// Bodies of these kinds. What is JSON may be MessagePack as well.
pub(super) fn content(kinds: &[(&str, Json)]) -> Json {
    let mut content = Map::new();
    for (kind, schema) in kinds {
        if *kind == JSON {
            content.insert(PACKED.to_owned(), json!({"schema": schema}));
        }
        content.insert((*kind).to_owned(), json!({"schema": schema}));
    }
    Json::Object(content)
}

/// That of an error.
pub(super) fn error() -> Json {
    content(&[(JSON, of("Error"))])
}

pub(super) fn of(schema: &str) -> Json {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

pub(super) fn query(name: &str, what: &str, schema: Json) -> Json {
    json!({"name": name, "in": "query", "description": what, "schema": schema})
}

pub(super) fn header(name: &str, what: &str) -> Json {
    json!({"name": name, "in": "header", "description": what, "schema": {"type": "string"}})
}

pub(super) fn in_path(name: &str, what: &str, schema: Json) -> Json {
    json!({"name": name, "in": "path", "required": true, "description": what, "schema": schema})
}

pub(super) fn text() -> Json {
    json!({"type": "string"})
}

pub(super) fn yes() -> Json {
    json!({"type": "boolean", "default": false})
}

pub(super) fn pointer() -> Json {
    json!({"type": "string", "pattern": "^(/([^/~]|~[01])*)*$"})
}

pub(super) fn collection() -> Json {
    let schema = json!({"type": "string", "minLength": 1, "maxLength": MAX_COLLECTION_BYTES, "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.-]*$"});
    in_path("collection", "The collection", schema)
}

pub(super) fn at() -> Json {
    query("at", "As it was at this checkpoint", text())
}

pub(super) fn id() -> Json {
    let schema = json!({"type": "string", "minLength": 1, "maxLength": MAX_ID_BYTES});
    in_path("id", "The document", schema)
}
