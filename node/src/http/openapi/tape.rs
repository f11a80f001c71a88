//! What can be asked of the tape: checkpoints, the past, and the way back.

use serde_json::json;

use super::operation::{LINES, Paths, in_path, needs, query, text};

/// All of it.
pub(super) fn all(paths: &mut Paths) {
    let missing = [("404", "There is no such checkpoint")];
    paths.add(
        "/checkpoints",
        "get",
        ["checkpoints", "tape", "The checkpoints and what they cost. Reads all that is kept"],
        needs("read").gives("In the order in which they were made", "Checkpoints"),
    );
    paths.add(
        "/checkpoint",
        "post",
        ["checkpoint", "tape", "Makes a checkpoint: marks this moment of the store"],
        needs("admin")
            .takes("Marking")
            .gives("The checkpoint", "Checkpoint")
            .gives_nothing("Of an automatic one: none was needed"),
    );
    paths.add(
        "/checkpoints/{label}",
        "delete",
        ["deleteCheckpoint", "tape", "Deletes a checkpoint"],
        needs("admin")
            .with([in_path("label", "The checkpoint", json!({"type": "string", "minLength": 1}))])
            .gives_nothing("It is gone")
            .fails(&missing),
    );
    let lines = |what: &str| json!({"type": "string", "contentMediaType": LINES, "description": format!("{what}, as {{\"change\": {{\"collection\", \"id\", \"before\", \"after\", \"written\", \"kept\"}}}}; the last line is {{\"done\": {{\"documents\", \"transactions\", \"left\", \"kept\"}}}}, or {{\"error\": {{\"code\", \"message\"}}}}. Without it, the answer was cut off")});
    paths.add(
        "/diff",
        "get",
        ["diff", "tape", "What changed between a checkpoint and another one, or now"],
        needs("read")
            .with([
                json!({"name": "from", "in": "query", "required": true, "description": "The checkpoint", "schema": text()}),
                query("to", "Another one; without it, now", text()),
                query("collection", "Only this collection", text()),
            ])
            .gives_of("A line for each document", LINES, lines("A line for each document that differs"))
            .fails(&missing)
            .fails(&[("413", "A name is too long")]),
    );
    paths.add(
        "/rollback",
        "post",
        ["rollback", "tape", "Goes back to a checkpoint and applies the log after it again, beside the store, and compares"],
        needs("admin")
            .takes("RollingBack")
            .gives_of(
                "What came of it, and what differs",
                LINES,
                lines("First {\"replay\": {\"checkpoint\", \"through\", \"transactions\", \"documents\", \"ms\", \"outcome\", \"mended\", \"differing\"}}, then a line for each document that differs, or did before it was mended"),
            )
            .fails(&[
                ("404", "There is no such checkpoint, or the log no longer reaches back to it"),
                ("409", "A damaged document was written meanwhile: replay again"),
            ]),
    );
    paths.add(
        "/holds",
        "get",
        ["holds", "tape", "The collections that are held back to a checkpoint"],
        needs("read").gives("In the order of names", "Holds"),
    );
    paths.add(
        "/hold",
        "post",
        ["hold", "tape", "Holds collections back: they show what they did at a checkpoint and what this node wrote since, and are not exchanged with peers. Nothing is undone"],
        needs("admin")
            .takes("Holding")
            .gives("What is held back by this", "Holds")
            .fails(&[("404", "There is no such checkpoint or collection, or the log no longer holds what was written here since")]),
    );
    paths.add(
        "/resume",
        "post",
        [
            "resume",
            "tape",
            "Shows all of a collection again that was held back, and exchanges it with peers",
        ],
        needs("admin")
            .takes("Resuming")
            .gives("What was held back", "Holds")
            .fails(&[("404", "The collection is not held back")]),
    );
    paths.add(
        "/revert",
        "post",
        ["revert", "tape", "Brings documents back to what they showed at a checkpoint, by new transactions"],
        needs("admin")
            .takes("Reverting")
            .gives_of(
                "Progress, or with `dry_run` the plan",
                LINES,
                lines("Now and then {\"progress\": documents}; with `dry_run` a line for each document that would be written"),
            )
            .fails(&[
                ("404", "There is no such checkpoint, or the collection was left since"),
                ("409", "A field is of another kind by now"),
            ]),
    );
    paths.add(
        "/undo",
        "post",
        ["undo", "tape", "Takes back what this node wrote last, by one new transaction"],
        needs("admin")
            .takes("Undoing")
            .gives_of(
                "What was undone, or with `dry_run` would be",
                LINES,
                lines("A line for each document"),
            )
            .fails(&[
                ("404", "There is nothing to undo, or the log no longer has what it takes"),
                ("409", "A field is of another kind by now"),
            ]),
    );
}
