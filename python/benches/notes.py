"""The notes workload from Python: littoral beside sqlite3 and lmdb, in one run.

    pip install lmdb; python python/benches/notes.py [--docs 100000] [--runs 3]

All are durable at each commit: sqlite3 in WAL mode with synchronous=FULL and a column of JSON,
lmdb with its default sync and a value of JSON. What is written are dicts that are there before,
what is read are dicts: turning them into JSON and back is part of the work, as it is in life. Each
work is done by all three in turn, several times; the table shows medians, and the ratio to sqlite3
(above 1 is faster than sqlite3).
"""

import argparse
import json
import random
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import littoral

TAGS = [f"tag-{n:02}" for n in range(50)]


Note = tuple[str, dict[str, Any]]


def make_notes(count: int, tags: Callable[[list[str]], object]) -> list[Note]:
    """Give the same notes each time, with the tags as the store is to have them."""
    chance = random.Random(7)
    letters = "abcdefghijklmnopqrstuvwxyz "
    return [
        (
            f"note-{n:08}",
            {
                "title": "".join(chance.choices(letters, k=24)),
                "body": "".join(chance.choices(letters, k=100)),
                "done": chance.random() < 0.5,
                "priority": chance.randrange(5),
                "tags": tags(chance.sample(TAGS, 3)),
            },
        )
        for n in range(count)
    ]


class Door(Protocol):
    """What each of the stores can do."""

    @staticmethod
    def tags(tags: list[str]) -> object:
        """Give a note's tags as it is to keep them."""

    def load(self, notes: Sequence[Note]) -> None:
        """Write all notes, 1,000 to a commit."""

    def put(self, id: str, note: dict[str, Any]) -> None:
        """Write a note, durably."""

    def set(self, id: str, priority: int) -> None:
        """Set one field, durably."""

    def get(self, id: str) -> dict[str, Any]:
        """Read one note."""

    def scan(self) -> int:
        """Read all notes; give how many."""

    def close(self) -> None:
        """End."""


class Littoral:
    """Sets are sets, as one would have it; everything is signed and kept for peers."""

    @staticmethod
    def tags(tags: list[str]) -> object:
        return set(tags)

    def __init__(self, path: Path) -> None:
        self.store = littoral.open(path)
        self.notes = self.store["notes"]

    def load(self, notes: Sequence[Note]) -> None:
        self.notes.put_many(notes)

    def put(self, id: str, note: dict[str, Any]) -> None:
        self.notes[id] = note

    def set(self, id: str, priority: int) -> None:
        self.notes.set(id, "priority", priority)

    def get(self, id: str) -> dict[str, Any]:
        return self.notes[id]

    def scan(self) -> int:
        return sum(1 for _ in self.notes.scan())

    def close(self) -> None:
        self.store.close()


class Sqlite:
    """A row a note: id and JSON."""

    @staticmethod
    def tags(tags: list[str]) -> object:
        return tags

    def __init__(self, path: Path) -> None:
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=FULL")
        self.db.execute("CREATE TABLE notes (id TEXT PRIMARY KEY, doc TEXT) WITHOUT ROWID")

    def load(self, notes: Sequence[Note]) -> None:
        for at in range(0, len(notes), 1000):
            self.db.execute("BEGIN IMMEDIATE")
            rows = ((id, json.dumps(note)) for id, note in notes[at : at + 1000])
            self.db.executemany("INSERT INTO notes VALUES (?, ?)", rows)
            self.db.execute("COMMIT")

    def put(self, id: str, note: dict[str, Any]) -> None:
        self.db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (id, json.dumps(note)))

    def set(self, id: str, priority: int) -> None:
        self.db.execute(
            "UPDATE notes SET doc = json_set(doc, '$.priority', ?) WHERE id = ?", (priority, id)
        )

    def get(self, id: str) -> dict[str, Any]:
        (doc,) = self.db.execute("SELECT doc FROM notes WHERE id = ?", (id,)).fetchone()
        found: dict[str, Any] = json.loads(doc)
        return found

    def scan(self) -> int:
        rows = self.db.execute("SELECT id, doc FROM notes ORDER BY id")
        return sum(1 for _, doc in rows if json.loads(doc) is not None)

    def close(self) -> None:
        self.db.close()


class Lmdb:
    """A value of JSON under each id."""

    @staticmethod
    def tags(tags: list[str]) -> object:
        return tags

    def __init__(self, path: Path) -> None:
        import lmdb

        self.env: Any = lmdb.open(str(path), map_size=4 << 30)

    def load(self, notes: Sequence[Note]) -> None:
        for at in range(0, len(notes), 1000):
            with self.env.begin(write=True) as txn:
                for id, note in notes[at : at + 1000]:
                    txn.put(id.encode(), json.dumps(note).encode())

    def put(self, id: str, note: dict[str, Any]) -> None:
        with self.env.begin(write=True) as txn:
            txn.put(id.encode(), json.dumps(note).encode())

    def set(self, id: str, priority: int) -> None:
        with self.env.begin(write=True) as txn:
            note = json.loads(txn.get(id.encode()))
            note["priority"] = priority
            txn.put(id.encode(), json.dumps(note).encode())

    def get(self, id: str) -> dict[str, Any]:
        with self.env.begin() as txn:
            found: dict[str, Any] = json.loads(txn.get(id.encode()))
            return found

    def scan(self) -> int:
        with self.env.begin() as txn:
            return sum(1 for _, note in txn.cursor() if json.loads(note) is not None)

    def close(self) -> None:
        self.env.close()


def timed(call: Callable[[], object]) -> float:
    """Give how many seconds a call takes."""
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def measure(door: Door, docs: int) -> dict[str, float]:
    """Do all works once; give what each took, in seconds for one of it."""
    chance = random.Random(11)
    ids = [f"note-{chance.randrange(docs):08}" for _ in range(min(docs, 10_000))]
    writes = ids[:300]
    notes = make_notes(docs, door.tags)
    took = {"load a note": timed(lambda: door.load(notes)) / docs}
    fresh = [(f"{id}-more", note) for id, (_, note) in zip(writes, notes, strict=False)]
    each = [timed(partial(door.put, id, note)) for id, note in fresh]
    took["put a note, durable"] = statistics.median(each)
    each = [timed(partial(door.set, id, 10 + n)) for n, id in enumerate(writes)]
    took["set one field, durable"] = statistics.median(each)
    took["get a note"] = timed(lambda: [door.get(id) for id in ids]) / len(ids)
    took["scan a note"] = timed(door.scan) / docs
    return took


def main() -> None:
    """Measure, and print the table."""
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--docs", type=int, default=100_000)
    args.add_argument("--runs", type=int, default=3)
    given = args.parse_args()
    kinds: dict[str, Callable[[Path], Door]] = {"littoral": Littoral, "sqlite3": Sqlite}
    try:
        import lmdb  # noqa: F401

        kinds["lmdb"] = Lmdb
    except ImportError:
        print("lmdb is not installed: left out")
    found: dict[str, list[dict[str, float]]] = {name: [] for name in kinds}
    for _ in range(given.runs):
        for name, make in kinds.items():
            directory = Path(tempfile.mkdtemp(prefix="bench-", dir="."))
            try:
                door = make(directory / "store")
                found[name].append(measure(door, given.docs))
                door.close()
            finally:
                shutil.rmtree(directory)
    works = list(found["littoral"][0])
    print(f"{given.docs:,} notes, medians of {given.runs} runs, microseconds")
    print(f"{'':24}" + "".join(f"{name:>12}" for name in kinds) + f"{'to sqlite3':>12}")
    for work in works:
        medians = {name: statistics.median(run[work] for run in found[name]) for name in kinds}
        ratio = medians["sqlite3"] / medians["littoral"]
        row = "".join(f"{medians[name] * 1e6:12.1f}" for name in kinds)
        print(f"{work:24}{row}{ratio:12.2f}")


if __name__ == "__main__":
    main()
