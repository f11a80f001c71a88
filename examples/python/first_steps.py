"""First steps: documents in a store on this device.

Run it with a directory to keep the store, or without to use a temporary one.
"""

import sys
import tempfile
from datetime import datetime, timezone

import littoral


def main(directory: str) -> None:
    """Write, read, edit, follow."""
    with littoral.open(directory) as store:
        notes = store["notes"]
        changes = store.changes()  # from now on

        # A collection is a mapping from ids to documents.
        notes["low-tide"] = {
            "title": "Low tide",
            "at": datetime(2026, 11, 22, 16, 4, tzinfo=timezone.utc),
            "tags": {"sea"},
            "views": littoral.Counter(0),
            "place": {"name": "Strand", "lat": 53.2},
        }
        notes.put_many((f"day-{day:02}", {"title": f"Day {day}"}) for day in range(1, 31))
        print(f"{len(notes)} notes; {[note.id for note in notes.scan(prefix='day-', limit=3)]}")

        # Read, change and put in one.
        with notes.edit("low-tide") as note:
            note["tags"].add("moon")
            note["views"] += 1
        notes.increment("low-tide", "views", 2)
        notes.set("low-tide", ("place", "lat"), 53.25)
        print(notes["low-tide"])

        # Several collections: all of it, or nothing.
        try:
            with store.write() as tx:
                tx["log"]["1"] = {"about": "low-tide"}
                del tx["notes"]["low-tide"]
                raise RuntimeError("changed my mind")
        except RuntimeError:
            print("rolled back:", "low-tide" in notes, len(store["log"]))

        first = changes.next(timeout=1)
        assert first is not None
        print(f"the first change: {first.collection}/{first.id}, by this node: {first.local}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(temporary)
