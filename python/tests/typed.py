"""What type checkers know: read by mypy and pyright, never run."""

from collections.abc import AsyncIterator, Iterator, MutableMapping

from typing_extensions import assert_type

import littoral
from littoral import aio


def collections(store: littoral.Store) -> None:
    notes = store["notes"]
    mapping: MutableMapping[str, littoral.Document] = notes
    assert_type(notes["n"], littoral.Document)
    assert_type(notes.get("n"), littoral.Document | None)
    assert_type(notes.get("n", 7), littoral.Document | int)
    assert_type(notes.scan(limit=1), Iterator[littoral.Document])
    assert_type(notes.delete("n"), bool)
    mapping["n"] = littoral.Document(x=1)
    notes["n"] = {"x": 1}
    notes["n"] = 1  # type: ignore[assignment]
    notes.increment("n", "views", 1.5)  # type: ignore[arg-type]
    with notes.edit("n") as note:
        assert_type(note, littoral.Document)
    with store.write() as tx:
        assert_type(tx["notes"], littoral.TransactionCollection)


def tape(store: littoral.Store) -> None:
    assert_type(store.revert("c"), littoral.Reverted)
    assert_type(store.revert("c", dry_run=True), littoral.RevertPlan)
    for change in store.changes(timeout=1):
        assert_type(change, littoral.Change)


async def awaited(store: aio.Store) -> None:
    notes = store["notes"]
    assert_type(await store.stats(), littoral.Stats)
    assert_type(await store.listen("127.0.0.1:0"), str)
    assert_type(await store.connect("a"), aio.Link)
    assert_type(await store.undo("notes", dry_run=True), littoral.Undone)
    assert_type(await store.revert("c"), littoral.Reverted)
    assert_type(await store.revert("c", dry_run=True), aio.RevertPlan)
    assert_type(await notes.get("n"), littoral.Document | None)
    assert_type(await notes.delete("n"), bool)
    assert_type(notes.scan(), AsyncIterator[littoral.Document])
    await notes.put("n", {"x": 1})
    await notes.put("n", 1)  # type: ignore[arg-type]
    await notes.increment("n", "views", by="1")  # type: ignore[arg-type]
    await store.stats(1)  # type: ignore[call-arg]
    async with store.write() as tx:
        assert_type(await tx["notes"].remove("n", "tags", "x"), bool)
    async with notes.edit("n") as note:
        assert_type(note, littoral.Document)
    async for change in store.changes():
        assert_type(change, littoral.Change)
