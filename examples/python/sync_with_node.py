"""A device that syncs with a running node.

sync_with_node.py DATA                   prints the device's key: littoral run --peer KEY
sync_with_node.py DATA HOST:PORT#KEY ID  connects, writes the note ID, and prints all notes
                                         once both sides have everything
"""

import sys

import littoral


def main(data: str, address: str | None = None, id: str = "from-python") -> None:
    """Print the key, or sync with the node at the address."""
    with littoral.open(data) as store:
        if address is None:
            print(store.id)
            return
        notes = store["notes"]
        with store.connect(address) as link:
            notes[id] = {"title": "from Python"}
            link.wait_synced(timeout=30)
            for note in notes.scan():
                print(note.id, dict(note))


if __name__ == "__main__":
    main(*sys.argv[1:])
