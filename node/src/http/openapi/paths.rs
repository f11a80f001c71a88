//! What can be asked for: each method of each path, its parameters, body, answers and errors.

use littoral::limits::{
    MAX_CONFLICT_LOG_PAGE, MAX_EVENT_PAGE, MAX_HTTP_PAGE, MAX_HTTP_WAIT_S, MAX_ID_BYTES,
};
use littoral::store::EventKind;
use serde_json::{Map, Value as Json, json};

use super::operation::{
    BYTES, JSON, LINES, OPEN, Paths, at, collection, content, header, id, in_path, needs, of,
    pointer, query, text, yes,
};

/// All of them.
pub(super) fn all() -> Json {
    let mut paths = Paths(Map::new());
    node(&mut paths);
    sync(&mut paths);
    links(&mut paths);
    documents(&mut paths);
    fields(&mut paths);
    deltas(&mut paths);
    conflicts(&mut paths);
    members(&mut paths);
    bundles(&mut paths);
    backups(&mut paths);
    super::tape::all(&mut paths);
    journal(&mut paths);
    Json::Object(paths.0)
}

fn node(paths: &mut Paths) {
    let read = || needs("read");
    let failing = json!({
        "description": "It can't take writes; `checks` says why",
        "content": content(&[(JSON, json!({"anyOf": [of("Health"), of("Error")]}))]),
    });
    for (path, name) in [("/health", "health"), ("/health/ready", "ready")] {
        let mut ready = read().gives("It can; perhaps something is degraded", "Health");
        ready.good.push(("503", failing.clone()));
        paths.add(path, "get", [name, "node", "Whether it can do its work"], ready);
    }
    paths.add(
        "/health/live",
        "get",
        ["live", "node", "Whether it is there, and who it is"],
        read().gives("The node", "Live"),
    );
    paths.add(
        "/status",
        "get",
        ["status", "node", "Figures, links, and who was turned away"],
        read().gives("The figures", "Status"),
    );
    paths.add(
        "/metrics",
        "get",
        ["metrics", "node", "The figures, as Prometheus reads them"],
        read().gives_of("Text of version 0.0.4", "text/plain", text()),
    );
    paths.add(
        "/doctor",
        "get",
        ["doctor", "node", "What there is to say about the store, its links and its disk"],
        read().gives("The worst first", "Findings"),
    );
    paths.add(
        "/state",
        "get",
        ["state", "node", "Digests of what is shown. Reads all documents"],
        read().gives("By collection", "State"),
    );
    paths.add(
        "/openapi.json",
        "get",
        ["openapi", "node", "This description"],
        read().gives_of("OpenAPI 3.1", JSON, json!({"type": "object"})),
    );
    for (path, name, kind, what) in [
        ("/api", "apiPage", "text/html", "This description, as a page"),
        ("/api/page.js", "apiScript", "text/javascript", "The script of that page"),
        ("/api/page.css", "apiStyle", "text/css", "The style of that page"),
    ] {
        paths.add(path, "get", [name, "node", what], read().gives_of("A part of it", kind, text()));
    }
    for (path, name, what) in [
        ("/", "dashboard", "The dashboard, as a page"),
        ("/notes", "notes", "An app of notes, as a page"),
    ] {
        let page = needs(OPEN).gives_of("It", "text/html", text());
        paths.add(path, "get", [name, "node", what], page);
    }
    let kinds = [
        ("text/javascript", text()),
        ("text/css", text()),
        ("image/svg+xml", text()),
        ("text/html", text()),
    ];
    paths.add(
        "/web/{file}",
        "get",
        ["webFile", "node", "A file of these pages"],
        needs(OPEN)
            .with([in_path("file", "Its name", json!({"type": "string", "minLength": 1}))])
            .gives_either("It", &kinds)
            .fails(&[("404", "There is no such file")]),
    );
    paths.add(
        "/collections",
        "get",
        ["collections", "node", "The collections"],
        read().gives("In the order of names", "Collections"),
    );
    paths.add(
        "/collections/{collection}/leave",
        "post",
        ["leave", "node", "Drops the collection from this store, and only from here"],
        needs("admin")
            .with([collection()])
            .takes("Leaving")
            .gives_nothing("It is left")
            .fails(&[("404", "There is no such collection")]),
    );
}

fn sync(paths: &mut Paths) {
    paths.add(
        "/sync",
        "post",
        ["sync", "node", "Syncs now with a peer, or with all, and waits for it"],
        needs("write").takes("Syncing").gives("What came of it, by peer", "Synced").fails(&[
            ("404", "It is no peer of this node"),
            ("502", "The peer can't be reached"),
            ("504", "There is a connection, and not all is sent or received yet"),
        ]),
    );
}

fn links(paths: &mut Paths) {
    for (path, name, what, done) in [
        (
            "/links/pause",
            "pauseLinks",
            "Cuts all links, and makes none until they are resumed",
            "All are cut",
        ),
        ("/links/resume", "resumeLinks", "Takes up the links again", "They are being made"),
    ] {
        let nothing = json!({"type": "object", "maxProperties": 0});
        let operation = needs("admin").takes_of(&[(JSON, nothing)]).gives_nothing(done);
        paths.add(path, "post", [name, "node", what], operation);
    }
}

fn documents(paths: &mut Paths) {
    let docs = "/collections/{collection}/docs";
    let one = "/collections/{collection}/docs/{id}";
    let page = [
        collection(),
        query("id", "A document instead of a page: for ids that can't be in a path", text()),
        query("path", "With `id`: one field, by JSON Pointer", pointer()),
        query("prefix", "Ids that begin so", text()),
        query("start", "Ids from here on", text()),
        query("end", "Ids before this", text()),
        query("after", "Ids after this: `next` of the page before", text()),
        query(
            "limit",
            "Documents of a page",
            json!({"type": "integer", "minimum": 0, "default": 100, "description": format!("At most {MAX_HTTP_PAGE} are given")}),
        ),
        query("reverse", "From the last id on", yes()),
        query("versions", "With their versions", yes()),
        at(),
    ];
    let missing = [("404", "There is no such collection, document, field or checkpoint")];
    paths.add(
        docs,
        "get",
        ["page", "documents", "A page of documents, or with `id` one document"],
        needs("read")
            .with(page)
            .gives_of(
                "A page, or with `id` a document, or with `path` too a field",
                JSON,
                json!({}),
            )
            .fails(&missing)
            .fails(&[("413", "An id is too long")]),
    );
    paths.add(
        docs,
        "post",
        ["putAll", "documents", "Puts documents in one transaction: all or none"],
        needs("write")
            .with([collection()])
            .takes_of(&[(JSON, json!({"type": "array", "items": of("Entry")})), (LINES, text())])
            .gives("How many", "Written")
            .fails(&[("409", "A field is of another kind than is written")]),
    );
    paths.add(
        one,
        "get",
        ["get", "documents", "A document, or with `path` one field of it"],
        needs("read")
            .with([
                collection(),
                id(),
                query("path", "One field, by JSON Pointer", pointer()),
                at(),
            ])
            .gives_document("The document or the field", json!({}))
            .fails(&missing)
            .fails(&[("413", "The id is too long")]),
    );
    for (path, by_query) in [(one, false), (docs, true)] {
        write_one(paths, path, by_query);
    }
}

/// The conditions of a write, and where its id is.
fn conditions(by_query: bool) -> Vec<Json> {
    let mut parameters = vec![collection()];
    parameters.push(match by_query {
        false => id(),
        true => json!({
            "name": "id",
            "in": "query",
            "required": true,
            "description": "The document",
            "schema": {"type": "string", "minLength": 1, "maxLength": MAX_ID_BYTES},
        }),
    });
    parameters.extend([
        query("strict", "The version must be the newest, or the answer is 412", yes()),
        header("If-Match", "The version that its writer has seen, as an ETag; or *: it must exist"),
        header("If-None-Match", "Only *: it must not exist"),
    ]);
    parameters
}

const WRITE_FAILS: [(&str, &str); 4] = [
    ("404", "There is no such collection, document, field or element"),
    ("409", "A field is of another kind than is written"),
    ("412", "The document is not at the version required"),
    ("413", "Something is too large"),
];

fn write_one(paths: &mut Paths, path: &str, by_query: bool) {
    let name = |name: &str| if by_query { format!("{name}ById") } else { name.to_owned() };
    for (method, verb, what) in [
        ("put", "put", "Replaces a document; what its writer did not see stays"),
        ("patch", "merge", "Writes the fields given and leaves the others alone"),
    ] {
        paths.add(
            path,
            method,
            [&name(verb), "documents", what],
            needs("write")
                .with(conditions(by_query))
                .takes("Document")
                .gives_document("The document as it then is", of("Document"))
                .fails(&WRITE_FAILS),
        );
    }
    paths.add(
        path,
        "delete",
        [&name("delete"), "documents", "Deletes a document, or with `path` one field of it"],
        needs("write")
            .with(conditions(by_query))
            .with([query("path", "One field, by JSON Pointer", pointer())])
            .gives_document("What is left", of("Document"))
            .gives_nothing("Nothing is left")
            .fails(&WRITE_FAILS),
    );
}

fn fields(paths: &mut Paths) {
    let one = "/collections/{collection}/docs/{id}";
    for (verb, form, what) in [
        ("add", "Element", "Adds an element to a set"),
        ("remove", "Element", "Removes an element from a set"),
        ("increment", "Step", "Adds to a counter"),
    ] {
        paths.add(
            &format!("{one}/{verb}"),
            "post",
            [verb, "documents", what],
            needs("write")
                .with(conditions(false))
                .takes(form)
                .gives_document("The document as it then is", of("Document"))
                .gives_nothing("Nothing is left of it")
                .fails(&WRITE_FAILS),
        );
    }
}

fn deltas(paths: &mut Paths) {
    paths.add(
        "/deltas",
        "post",
        ["deltas", "documents", "Operations over any documents in one transaction, once for a key"],
        needs("write")
            .with([header("Idempotency-Key", "What this write is called, of at most 128 bytes: the same again writes nothing and gets the same answer")])
            .takes("Deltas")
            .gives("It is durable. With the header `Idempotent-Replayed` it had been before", "Position")
            .fails(&[
                ("404", "There is nothing to delete or remove"),
                ("409", "A field is of another kind than is written"),
            ]),
    );
}

fn conflicts(paths: &mut Paths) {
    paths.add(
        "/conflicts",
        "get",
        ["conflicts", "conflicts", "What is in conflict; the first candidate is shown"],
        needs("read")
            .with([
                query("collection", "Of this collection", text()),
                query("id", "And of this document", text()),
            ])
            .gives("By collection, id and path", "Conflicts")
            .fails(&[
                ("404", "There is no such collection or document"),
                ("413", "An id is too long"),
            ]),
    );
    paths.add(
        "/conflicts/resolve",
        "post",
        ["resolve", "conflicts", "Settles a conflict, for a candidate or another value"],
        needs("write").takes("Resolution").gives_nothing("It is settled").fails(&[
            ("404", "There is no such collection, document, field or candidate"),
            ("409", "A field is of another kind than is written"),
        ]),
    );
    paths.add(
        "/conflicts/log",
        "get",
        ["conflictLog", "conflicts", "All conflicts that ever arose here, and how they ended"],
        needs("read")
            .with([
                query("after", "Only those with a higher number: `next` of the page before", json!({"type": "integer", "minimum": 0, "default": 0})),
                query("collection", "Of this collection", text()),
                query("id", "And of this document", text()),
                query("open", "Only those that are open, or only those that are over", json!({"type": "boolean"})),
                query("limit", "Conflicts of a page", json!({"type": "integer", "minimum": 0, "default": 100, "description": format!("At most {MAX_CONFLICT_LOG_PAGE} are given")})),
            ])
            .gives("In the order in which they arose", "ConflictLog"),
    );
    paths.add(
        "/conflicts/log/{number}/notes",
        "post",
        ["noteConflict", "conflicts", "Writes down what somebody has to say about a conflict"],
        needs("write")
            .with([in_path("number", "Its number", json!({"type": "integer", "minimum": 1}))])
            .takes("Noting")
            .gives("The conflict, with its notes", "LoggedConflict")
            .fails(&[("404", "There is no conflict of this number, or no more")]),
    );
    paths.add(
        "/changes",
        "get",
        ["changes", "changes", "Changes after a position, in the order in which they came"],
        needs("read")
            .with([
                query("since", "A position, or `now`; without it, from the oldest that the log holds", since()),
                query("wait", "Seconds to wait for the first; not with events", wait()),
                query("collections", "Only of these, with commas between", text()),
                query("prefix", "Only of documents whose ids begin so", text()),
                query("give", "What is told of each: which document; and who wrote it, and when; and what it holds by now, or held before and after", json!({"type": "string", "enum": ["keys", "changes", "documents", "values"], "default": "changes"})),
                header("Last-Event-ID", "With events, instead of `since`: the `id` of the last one"),
            ])
            .gives_either("Changes; go on with `next`. With `Accept: text/event-stream` events that come as they happen: `change`; `resync`, if the log does not reach back: read the documents anew, it goes on from there; `error`, the last one", &[(JSON, of("Changes")), ("text/event-stream", text())])
            .fails(&[("404", "The log does not reach back to the position: read the documents anew, after asking since `now`")]),
    );
    paths.add(
        "/ws",
        "get",
        [
            "socket",
            "changes",
            "Changes and writes over a WebSocket, in messages of JSON: docs/HTTP.md has them",
        ],
        needs("read").switches().fails(&[("426", "The request does not ask for a WebSocket")]),
    );
}

/// What `since` of a feed is.
fn since() -> Json {
    json!({"type": "string", "pattern": "^(now|[0-9]{1,19})$"})
}

/// What `wait` of a feed is.
fn wait() -> Json {
    json!({"type": "integer", "minimum": 0, "default": 0, "description": format!("At most {MAX_HTTP_WAIT_S} count")})
}

fn journal(paths: &mut Paths) {
    let words: Vec<&str> = EventKind::all().map(EventKind::word).collect();
    let kinds = format!("^({0})(,({0}))*$", words.join("|"));
    paths.add(
        "/events",
        "get",
        ["events", "events", "What happened to the store and its node, after a number"],
        needs("read")
            .with([
                query("since", "A number, or `now`; without it, from the oldest that is kept", since()),
                query("wait", "Seconds to wait for the first; not with events", wait()),
                query("kind", "Only of these kinds, with commas between", json!({"type": "string", "pattern": kinds})),
                query("limit", "Events of a page", json!({"type": "integer", "minimum": 0, "default": MAX_EVENT_PAGE, "description": format!("At most {MAX_EVENT_PAGE} are given")})),
                header("Last-Event-ID", "With events, instead of `since`: the `id` of the last one"),
            ])
            .gives_either("Events; go on with `next`. With `Accept: text/event-stream` as they happen: `event`; `missed`, if some are gone that were not read yet", &[(JSON, of("Events")), ("text/event-stream", text())]),
    );
}

fn members(paths: &mut Paths) {
    let key = || in_path("key", "A node", of("Key"));
    paths.add(
        "/roster",
        "get",
        ["roster", "members", "Who belongs, and what each may do"],
        needs("read").gives("The roster", "Roster"),
    );
    paths.add(
        "/roster",
        "post",
        ["found", "members", "Founds a roster"],
        needs("admin").takes("Founding").gives_nothing("It is founded"),
    );
    paths.add(
        "/roster/join",
        "post",
        ["joinRoster", "members", "Belongs to the roster that a node founded"],
        needs("admin").takes("JoinRoster").gives_nothing("It belongs there"),
    );
    paths.add(
        "/roster/{key}",
        "put",
        ["grant", "members", "What a member may do from now on"],
        needs("admin").with([key()]).takes("Granting").gives_nothing("It is granted"),
    );
    paths.add(
        "/roster/{key}",
        "delete",
        ["revoke", "members", "Takes all rights from a member"],
        needs("admin")
            .with([key()])
            .gives_nothing("It may do nothing more")
            .fails(&[("404", "There is no such member")]),
    );
    paths.add(
        "/invites",
        "get",
        ["invites", "members", "Invitations"],
        needs("read").gives("In the order in which they were made", "Invites"),
    );
    paths.add(
        "/invites",
        "post",
        ["invite", "members", "Makes a ticket; whoever has it can join"],
        needs("admin").takes("Inviting").gives("The ticket", "Ticket"),
    );
    let id = in_path("id", "The name of the invitation", json!({"type": "string"}));
    paths.add(
        "/invites/{id}",
        "delete",
        ["revokeInvite", "members", "Lets nobody join with that ticket any more"],
        needs("admin")
            .with([id])
            .gives_nothing("It is closed")
            .fails(&[("404", "There is no such invitation")]),
    );
}

fn bundles(paths: &mut Paths) {
    let bytes = || json!({"type": "string", "contentMediaType": BYTES});
    let names = || query("collections", "Only these, with commas between", text());
    paths.add(
        "/bundle/have",
        "get",
        ["have", "bundles", "What the store has, as a file for who makes a bundle for it"],
        needs("read").gives_of("The file", BYTES, bytes()),
    );
    paths.add(
        "/bundle/create",
        "post",
        [
            "createBundle",
            "bundles",
            "A bundle for who has what the body says; an empty one is nothing",
        ],
        needs("read")
            .with([
                names(),
                query(
                    "snapshots",
                    "Whether snapshots may be in it",
                    json!({"type": "boolean", "default": true}),
                ),
            ])
            .takes_of(&[(BYTES, bytes())])
            .gives_of("The bundle", BYTES, bytes())
            .fails(&[("404", "There is no such collection")]),
    );
    paths.add(
        "/bundle/apply",
        "post",
        ["applyBundle", "bundles", "Applies a bundle"],
        needs("write")
            .with([
                names(),
                query("from", "The key of its maker, whose snapshots then are believed", of("Key")),
            ])
            .takes_of(&[(BYTES, bytes())])
            .gives("What came of it", "Applied")
            .fails(&[
                ("404", "There is no such collection"),
                ("409", "Something that it builds on is missing, or a history has forked"),
                ("422", "A transaction in it is not valid"),
            ]),
    );
}

fn backups(paths: &mut Paths) {
    let bytes = json!({"type": "string", "contentMediaType": BYTES});
    paths.add(
        "/backup",
        "get",
        ["backup", "bundles", "All that the store holds at this moment, checked"],
        needs("admin")
            .with([query(
                "peers",
                "Whether the peers that the store trusts are in it",
                json!({"type": "boolean", "default": true}),
            )])
            .gives_of("The backup, for `littoral restore`", BYTES, bytes),
    );
}
