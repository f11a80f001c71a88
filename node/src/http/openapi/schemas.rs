//! The forms of what is sent and answered: those of `shape`, `members`, `invites` and `tape`, in the
//! words of JSON Schema.

use littoral::limits::{MAX_CONFLICT_NOTE_AUTHOR_BYTES, MAX_CONFLICT_NOTE_BYTES, MAX_HTTP_WAIT_S};
use serde_json::{Map, Value as Json, json};

use crate::kinds;

/// All of them, by name.
pub(super) fn all() -> Json {
    let mut all = Map::new();
    for part in [documents(), changes(), node(), links(), members(), bundles(), tape()] {
        let Json::Object(part) = part else { unreachable!("a part is an object") };
        all.extend(part);
    }
    all.insert("Error".to_owned(), error());
    Json::Object(all)
}

/// An object of which all fields are there.
fn object(fields: Json) -> Json {
    let names: Vec<String> =
        fields.as_object().into_iter().flatten().map(|(n, _)| n.clone()).collect();
    json!({"type": "object", "required": names, "properties": fields})
}

/// An object that is sent: no other fields are taken.
fn sent(required: &[&str], fields: Json) -> Json {
    json!({
        "type": "object",
        "required": required,
        "properties": fields,
        "additionalProperties": false,
    })
}

fn of(name: &str) -> Json {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn or_null(name: &str) -> Json {
    json!({"oneOf": [of(name), {"type": "null"}]})
}

fn list(of: Json) -> Json {
    json!({"type": "array", "items": of})
}

fn text(what: &str) -> Json {
    json!({"type": "string", "description": what})
}

fn maybe(what: &str) -> Json {
    json!({"type": ["string", "null"], "description": what})
}

fn count(what: &str) -> Json {
    json!({"type": "integer", "minimum": 0, "description": what})
}

fn time(what: &str) -> Json {
    json!({"type": "string", "format": "date-time", "description": what})
}

fn yes(what: &str) -> Json {
    json!({"type": "boolean", "description": what})
}

fn error() -> Json {
    let codes: Vec<&str> = kinds::codes().collect();
    let mut error = object(json!({
        "code": {"type": "string", "enum": codes, "description": "For programs: stable"},
        "message": text("For people"),
    }));
    error["properties"]["request_id"] = text("What the request is called in the log of the node");
    object(json!({"error": error}))
}

fn documents() -> Json {
    let doc = json!({
        "type": "object",
        "description": "The fields of a document. An object whose only name is $bytes, $time, $set, $counter, $opaque or $literal is special: {\"$bytes\": base64}, {\"$time\": RFC 3339}, {\"$set\": [..]} of scalars, {\"$counter\": integer}; data of that form goes into {\"$literal\": ..}. Integers are from -2^63 to 2^64-1, names are not given twice, and nothing is deeper than 64.",
        "examples": [{"title": "Low tide", "tags": {"$set": ["sea"]}, "views": {"$counter": 0}}],
    });
    json!({
        "Document": doc,
        "Key": {"type": "string", "description": "The key of a node", "pattern": "^[a-z2-7]{52}$"},
        "Entry": object(json!({"id": text("The document"), "doc": of("Document")})),
        "EntryRead": {
            "type": "object",
            "required": ["id", "doc"],
            "properties": {
                "id": text("The document"),
                "doc": of("Document"),
                "version": text("Its version, if it was asked for: an ETag without its quotes"),
            },
        },
        "Page": object(json!({
            "documents": list(of("EntryRead")),
            "next": maybe("What to give as `after` for the next page; null after the last"),
        })),
        "Written": object(json!({"written": count("Documents written")})),
        "Element": sent(&["path", "value"], json!({
            "path": {"type": "string", "description": "A JSON Pointer to the set"},
            "value": {"description": "A scalar"},
        })),
        "Step": sent(&["path"], json!({
            "path": {"type": "string", "description": "A JSON Pointer to the counter"},
            "by": {"type": "integer", "format": "int64", "default": 1},
        })),
        "Conflicts": object(json!({"conflicts": list(object(json!({
            "collection": text("The collection"),
            "id": text("The document"),
            "path": text("The field, as a JSON Pointer"),
            "candidates": list(object(json!({
                "value": {"description": "What it would show"},
                "author": of("Key"),
                "time": time("When, by its author's clock"),
            }))),
        })))})),
        "Position": object(json!({"position": count("Changes from there on are those that came after")})),
        "Deltas": sent(&["ops"], json!({
            "ops": list(json!({"oneOf": [
                sent(&["put"], json!({"put": of("OpContent")})),
                sent(&["merge"], json!({"merge": of("OpContent")})),
                sent(&["delete"], json!({"delete": sent(&["collection", "id"], json!({
                    "collection": text("The collection"), "id": text("The document"),
                    "path": text("A JSON Pointer; without it, all of the document"),
                }))})),
                sent(&["add"], json!({"add": of("OpElement")})),
                sent(&["remove"], json!({"remove": of("OpElement")})),
                sent(&["increment"], json!({"increment": sent(&["collection", "id", "path"], json!({
                    "collection": text("The collection"), "id": text("The document"),
                    "path": text("A JSON Pointer to the counter"),
                    "by": {"type": "integer", "format": "int64", "default": 1},
                }))})),
            ]})),
            "key": {"type": ["string", "null"], "description": "As the header Idempotency-Key"},
        })),
        "OpContent": sent(&["collection", "id", "doc"], json!({
            "collection": text("The collection"), "id": text("The document"), "doc": of("Document"),
        })),
        "OpElement": sent(&["collection", "id", "path", "value"], json!({
            "collection": text("The collection"), "id": text("The document"),
            "path": text("A JSON Pointer to the set"), "value": {"description": "A scalar"},
        })),
        "Cause": object(json!({
            "kind": {"type": "string", "enum": ["written", "joined", "unknown"], "description": "A transaction, a snapshot, or nobody can tell"},
            "node": {"description": "Who wrote it, or served it", "oneOf": [of("Key"), {"type": "null"}]},
            "seq": {"type": ["integer", "null"], "minimum": 0, "description": "The number of the transaction among its author's"},
            "time": {"type": ["string", "null"], "format": "date-time", "description": "When, by its author's clock"},
        })),
        "LoggedValue": {
            "type": "object",
            "required": ["bytes"],
            "properties": {
                "value": {"description": "The value, if all of it is kept"},
                "beginning": text("Else the beginning of its JSON"),
                "bytes": count("How many bytes its JSON has"),
            },
        },
        "LoggedConflict": object(json!({
            "number": count("Its number"),
            "collection": text("The collection"),
            "id": text("The document"),
            "path": text("The field, as a JSON Pointer"),
            "arose": time("When it was noted, by the node's clock"),
            "cause": of("Cause"),
            "candidates": list(json!({
                "type": "object",
                "required": ["bytes", "author", "time"],
                "properties": {
                    "value": {"description": "The value, if all of it is kept"},
                    "beginning": text("Else the beginning of its JSON"),
                    "bytes": count("How many bytes its JSON has"),
                    "author": of("Key"),
                    "time": time("When, by its author's clock"),
                },
            })),
            "more": count("How many more candidates there were"),
            "ended": {"description": "Null while it is open", "oneOf": [{"type": "null"}, object(json!({
                "time": time("When that was noted, by the node's clock"),
                "how": {"type": "string", "enum": ["settled", "removed", "hidden", "left"]},
                "cause": of("Cause"),
                "shown": {"description": "What was shown there then", "oneOf": [{"type": "null"}, of("LoggedValue")]},
            }))]},
            "notes": list(object(json!({
                "author": text("Who, as given"),
                "time": time("When, by the node's clock"),
                "text": text("What"),
            }))),
        })),
        "ConflictLog": object(json!({
            "conflicts": list(of("LoggedConflict")),
            "next": {"type": ["integer", "null"], "minimum": 0, "description": "What to give as `after` for the next page; null after the last"},
            "gone": count("Those with the numbers up to this are gone"),
        })),
        "Noting": sent(&["text"], json!({
            "author": {"type": "string", "maxLength": MAX_CONFLICT_NOTE_AUTHOR_BYTES, "description": "By whom"},
            "text": {"type": "string", "minLength": 1, "maxLength": MAX_CONFLICT_NOTE_BYTES, "description": "What"},
        })),
        "Resolution": {
            "type": "object",
            "required": ["collection", "id", "path"],
            "properties": {
                "collection": text("The collection"),
                "id": text("The document"),
                "path": text("The field, as a JSON Pointer"),
                "take": {"type": "integer", "minimum": 1, "description": "The candidate of this number, from 1"},
                "value": {"description": "Another value"},
            },
            "additionalProperties": false,
            "oneOf": [{"required": ["take"]}, {"required": ["value"]}],
        },
        "Events": object(json!({
            "events": list(json!({
                "type": "object",
                "required": ["number", "time", "kind"],
                "properties": {
                    "number": count("Where to go on after it"),
                    "time": time("When it was noted, by the node's clock"),
                    "kind": text("What kind of thing happened"),
                    "collection": text("In which collection"),
                    "node": of("Key"),
                    "count": count("How many"),
                    "seconds": {"type": "number", "minimum": 0, "description": "How long"},
                    "what": text("What there is to say about it"),
                },
            })),
            "next": count("The number to go on after"),
            "missed": yes("Whether some after `since` are gone"),
        })),
    })
}

fn changes() -> Json {
    json!({
        "ChangeValues": object(json!({
            "before": or_null("Document"),
            "after": or_null("Document"),
        })),
        "Changes": object(json!({
            "changes": list(json!({
                "type": "object",
                "required": ["position", "collection", "id"],
                "properties": {
                    "position": count("Where to resume after this change"),
                    "collection": text("The collection"),
                    "id": text("The document"),
                    "author": of("Key"),
                    "seq": count("The number of the transaction among its author's; 0 of a snapshot"),
                    "time": time("When, by its author's clock"),
                    "local": yes("Whether this node wrote it"),
                    "values": of("ChangeValues"),
                    "doc": {"description": "What it holds by now; null if it is gone. Not there if the page is full: read it", "oneOf": [of("Document"), {"type": "null"}]},
                },
            })),
            "next": count("Where to resume"),
        })),
    })
}

fn node() -> Json {
    let collection = object(json!({
        "name": text("The collection"),
        "documents": count("Documents"),
        "conflicts": count("Documents in conflict"),
        "transactions": count("Transactions applied"),
        "origins": count("Origins in its vector"),
        "pruned": count("Transactions that the log no longer holds"),
        "log_bytes": count("Bytes of its transactions in the log"),
    }));
    json!({
        "Live": object(json!({
            "status": {"type": "string", "const": "ok"},
            "node": of("Key"),
            "version": text("The version of Littoral"),
        })),
        "Health": object(json!({
            "status": {"type": "string", "enum": ["ok", "degraded", "failing"], "description": "The worst of the checks"},
            "checks": list(object(json!({
                "check": {"type": "string", "enum": ["store", "disk", "links", "clock"]},
                "status": {"type": "string", "enum": ["ok", "degraded", "failing"]},
                "what": text("What was found"),
            }))),
            "node": of("Key"),
            "version": text("The version of Littoral"),
        })),
        "Collection": collection,
        "Collections": object(json!({"collections": list(of("Collection"))})),
        "Findings": object(json!({"findings": list(object(json!({
            "level": {"type": "string", "enum": ["note", "warning", "damage"]},
            "code": text("For programs: stable"),
            "place": text("Where"),
            "what": text("What was found and what it means"),
            "advice": text("What to do about it"),
        })))})),
        "State": object(json!({
            "node": of("Key"),
            "collections": list(object(json!({
                "name": text("The collection"),
                "documents": count("Documents"),
                "shown": text("Digest of ids and shown values: equal digests are equal documents"),
                "cells": text("Digest of the cells behind them"),
            }))),
        })),
        "Leaving": {
            "type": "object",
            "properties": {"force": {"type": "boolean", "default": false}},
        },
        "Status": object(json!({
            "node": of("Key"),
            "version": text("The version of Littoral"),
            "collections": list(of("Collection")),
            "state_bytes": count("The materialised state"),
            "log_bytes": count("Transactions in the log"),
            "log_budget_bytes": count("What budgets allow the log"),
            "log_start": count("The oldest position that the log holds"),
            "log_held": maybe("What keeps the log from being pruned to its budget"),
            "log_pins_expired": count("Pins that held too much and have expired"),
            "position": count("The end of the log: a position for changes"),
            "failure": maybe("Why the store refuses writes"),
            "holds": list(of("Hold")),
            "running": of("Running"),
        })),
    })
}

fn links() -> Json {
    let failure = object(json!({"code": text("For programs"), "message": text("For people")}));
    json!({
        "Syncing": sent(&[], json!({
            "peer": {"oneOf": [of("Key"), {"type": "null"}], "description": "Without it, all"},
            "wait": {"type": "integer", "minimum": 0, "default": 10, "description": format!("Seconds to wait until it is in sync; at most {MAX_HTTP_WAIT_S} count. With 0 it is only begun")},
        })),
        "Synced": object(json!({
            "peers": list(object(json!({
                "peer": of("Key"),
                "synced": yes("Whether nothing is left to send or receive"),
                "sent": count("Transactions sent meanwhile"),
                "received": count("Transactions received meanwhile"),
                "sent_bytes": count("UDP bytes sent meanwhile"),
                "received_bytes": count("UDP bytes received meanwhile"),
                "troubles": {"type": "object", "description": "What keeps a collection from going on, by collection", "additionalProperties": {"type": "string"}},
                "error": {"oneOf": [failure, {"type": "null"}], "description": "Why it is not in sync, if it was waited for"},
            }))),
            "seconds": {"type": "number", "description": "How long it took"},
        })),
        "Running": object(json!({
            "pid": count("Its process"),
            "uptime_s": count("Seconds since its start"),
            "listen": maybe("Where it accepts links"),
            "offline": yes("Whether all links are cut for now, by `POST /links/pause`"),
            "offline_since": maybe("Since when, RFC 3339"),
            "links": list(of("Link")),
            "standings": list(object(json!({
                "peer": of("Key"),
                "collection": text("The collection"),
                "live": yes("Whether a link tells this now; else it is what was told last, and what came since"),
                "lag_transactions": count("Transactions that are here and not there, as far as is known"),
                "lag_s": {"type": "number", "description": "For how long there was always something that it lacked, in seconds"},
                "stalled_s": {"type": "number", "description": "For how long nothing has moved although there is something to do, in seconds"},
            }))),
            "partings": list(object(json!({
                "peer": of("Key"),
                "time": time("When the last link with it ended; there is none now"),
                "reason": text("Why"),
            }))),
            "refused": list(object(json!({"node": of("Key"), "time": time("When it knocked last")}))),
            "joins": object(json!({
                "joined": count("How many became members"),
                "refused": {"type": "object", "additionalProperties": {"type": "integer"}},
            })),
            "kept_off": {"type": "object", "additionalProperties": {"type": "integer"}},
        })),
        "Link": object(json!({
            "peer": of("Key"),
            "address": text("Where it is"),
            "incoming": yes("Whether the peer dialled"),
            "state": {"type": "string", "enum": ["connecting", "connected", "waiting", "refused", "standby", "paused", "closed", "unknown"]},
            "connected_since": maybe("Since when it is connected"),
            "reason": maybe("Why it was refused, or why the last attempt ended"),
            "synced": yes("Whether nothing was left to send or receive"),
            "rtt_ms": {"type": ["number", "null"], "description": "A round trip"},
            "received_bytes": count("UDP bytes"),
            "sent_bytes": count("UDP bytes"),
            "collections": list(object(json!({
                "name": text("The collection"),
                "sent": count("Transactions sent"),
                "received": count("Transactions received"),
                "unacked_bytes": count("Bytes sent and not acknowledged"),
                "trouble": maybe("What keeps it from going on"),
            }))),
        })),
    })
}

fn members() -> Json {
    let rights = |words: &[&str]| {
        json!({
            "type": "object",
            "description": "By collection, * being all that are not named",
            "additionalProperties": {"type": "string", "enum": words},
        })
    };
    let invite = object(json!({
        "id": text("The name of the invitation"),
        "state": {"type": "string", "enum": ["open", "used", "expired", "revoked"]},
        "name": text("What the new member is called; may be empty"),
        "rights": rights(&["none", "read", "write", "admin"]),
        "made": time("When it was made"),
        "expires": time("Until when it is good"),
        "uses_left": count("How many more may join with it"),
        "used_by": list(object(json!({"node": of("Key"), "time": time("When")}))),
    }));
    json!({
        "Roster": object(json!({
            "node": of("Key"),
            "founder": {"oneOf": [of("Key"), {"type": "null"}]},
            "members": list(object(json!({
                "node": of("Key"),
                "name": text("What people call it; may be empty"),
                "rights": rights(&["none", "read", "write", "admin"]),
                "by": {"oneOf": [of("Key"), {"type": "null"}]},
                "since": {"type": ["string", "null"], "format": "date-time"},
            }))),
            "trusted": list(object(json!({
                "node": of("Key"),
                "address": maybe("Where it was last reached"),
            }))),
        })),
        "Founding": sent(&[], json!({"name": text("What people call this node")})),
        "JoinRoster": sent(&["founder"], json!({"founder": of("Key")})),
        "Granting": sent(&["rights"], json!({
            "name": {"type": ["string", "null"], "description": "Without it, as before"},
            "rights": rights(&["none", "read", "write", "admin"]),
        })),
        "Inviting": sent(&["rights"], json!({
            "rights": rights(&["read", "write", "admin"]),
            "name": text("What people call the new member; without it, as it calls itself"),
            "seconds": {"type": "integer", "minimum": 0, "default": 3600},
            "uses": {"type": "integer", "minimum": 0, "default": 1},
            "addresses": list(text("host:port")),
        })),
        "Ticket": object(json!({
            "ticket": text("Its text: whoever has it can join"),
            "id": text("The name of the invitation"),
            "expires": time("Until when it is good"),
            "addresses": list(text("Where it says that this node may be reached")),
        })),
        "Invites": object(json!({"invites": list(invite)})),
    })
}

fn bundles() -> Json {
    json!({
        "Applied": object(json!({"collections": list(object(json!({
            "name": text("The collection"),
            "snapshot": yes("Whether it came as a snapshot"),
            "wanted": yes("Whether the store wants it; if not, it was passed over"),
            "new": count("Transactions that were new"),
            "duplicates": count("Transactions that were here already"),
        })))})),
    })
}

fn tape() -> Json {
    let checkpoint = json!({
        "label": text("Its name"),
        "made": time("When it was made"),
        "position": count("Where the change feed stood: a position for changes"),
        "automatic": yes("Whether the store made it by itself"),
    });
    let mut cost = checkpoint.clone();
    cost["rows"] = count("Rows that were kept between it and the next one");
    cost["bytes"] = count("Bytes of those");
    cost["freed_bytes"] = count("Bytes that deleting it alone would free");
    cost["log_held"] = yes("Whether the log still holds all that came after it");
    json!({
        "Checkpoint": object(checkpoint),
        "Checkpoints": object(json!({"checkpoints": list(object(cost))})),
        "Marking": sent(&["label"], json!({
            "label": text("What to call it: 1 to 128 bytes; of an automatic one, what it is made before"),
            "automatic": {"type": "boolean", "default": false, "description": "Made as the store does by itself: if none is needed, none is made, and it goes by itself"},
        })),
        "Undoing": sent(&[], json!({
            "collection": maybe("What was written last to this collection, and there alone"),
            "force": {"type": "boolean", "default": false, "description": "Also what others have changed since"},
            "dry_run": {"type": "boolean", "default": false, "description": "Only say what would be written"},
        })),
        "Holds": object(json!({"holds": list(of("Hold"))})),
        "Hold": object(json!({
            "collection": text("The collection"),
            "label": text("The checkpoint that it is held back to"),
            "since": time("Since when"),
            "documents": count("Documents that it shows"),
        })),
        "Holding": sent(&["label"], json!({
            "label": text("The checkpoint"),
            "collection": maybe("Only this collection; without it, all that are not held back yet"),
        })),
        "Resuming": sent(&[], json!({"collection": maybe("Only this collection; without it, all")})),
        "RollingBack": sent(&[], json!({"label": maybe("The checkpoint; without one, the last")})),
        "Reverting": sent(&["label"], json!({
            "label": text("The checkpoint"),
            "collection": maybe("Only this collection"),
            "id": maybe("Only this document of it"),
            "path": maybe("Only this field of that, as a JSON Pointer"),
            "by": maybe("Only what the node with this key did since; what others have changed since is kept"),
            "force": {"type": "boolean", "default": false, "description": "With `by`: also what others have changed since"},
            "dry_run": {"type": "boolean", "default": false, "description": "Only say what would be written"},
        })),
    })
}
