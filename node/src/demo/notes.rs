//! A few notes, so that the app of notes at `/notes` has something to show.

use littoral::{Field, Result, Store};

/// The collection of the app.
const NOTES: &str = "notes";

/// Their ids, titles, texts and tags.
const FIRST: [[&str; 4]; 3] = [
    [
        "20260104-offline",
        "Go offline, and edit",
        "Open this page on the phone and on the laptop. Switch one of them offline, change this title on both, and switch it on again: both see the two versions, and either can settle it.",
        "start",
    ],
    ["20260102-moorings", "Moorings", "Check the chain of number 4 before the equinox.", "harbour"],
    [
        "20260103-ferry",
        "Ferry timetable",
        "First boat 06:40, last 23:10. Sundays an hour later.",
        "harbour",
    ],
];

/// Writes those that are not there.
pub(super) fn write(store: &Store) -> Result<()> {
    store.write(|txn| {
        for [id, title, text, tag] in FIRST {
            if txn.get(NOTES, id)?.is_none() {
                txn.set(NOTES, id, "title", title)?;
                txn.set(NOTES, id, "text", text)?;
                txn.set(NOTES, id, "done", Field::from(false))?;
                txn.add(NOTES, id, "tags", tag)?;
            }
        }
        Ok(())
    })
}
