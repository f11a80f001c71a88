"""What one node did is taken back, undo, replay, and checkpoints that a store makes by itself."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

import littoral
from littoral import AutomaticCheckpoints, Counter, aio


def carry(source: littoral.Store, target: littoral.Store, stick: Path) -> None:
    source.bundle_create(stick)
    target.bundle_apply(stick, maker=source.id)


def test_what_one_node_did_is_taken_back(
    store: littoral.Store, notes: littoral.Collection, tmp_path: Path
) -> None:
    stick = tmp_path / "stick"
    notes["n1"] = {"title": "Tide table", "views": Counter(1)}
    notes["n2"] = {"title": "Moon"}
    store.checkpoint("before")
    with littoral.open(tmp_path / "bad") as bad:
        carry(store, bad, stick)
        for id in ("n1", "n2", "n3"):
            bad["notes"].merge(id, {"title": "wrong"})
        bad["notes"].increment("n1", "views", 5)
        carry(bad, store, stick)
        by = bad.id
    notes.merge("n2", {"title": "mine"})
    notes.increment("n1", "views")
    plan = list(store.revert("before", by=by, dry_run=True))
    assert [(found.id, bool(found.kept)) for found in plan] == [
        ("n1", False),
        ("n2", True),
        ("n3", False),
    ]
    (kept,) = plan[1].kept
    assert (kept.path, kept.author) == (("title",), store.id)
    done = store.revert("before", "notes", by=by)
    assert (done.documents, done.kept) == (2, 1)
    assert notes["n1"] == {"title": "Tide table", "views": Counter(2)}
    assert notes["n2"]["title"] == "mine"
    assert "n3" not in notes
    assert store.revert("before", "notes", "n2", "title", by=by, force=True).documents == 1
    assert notes["n2"]["title"] == "Moon"
    with pytest.raises(littoral.InvalidInputError):
        store.revert("before", by="nobody")
    with pytest.raises(littoral.NotFoundError):
        store.revert("none", by=by)


def test_a_collection_is_held_back_and_resumed(
    store: littoral.Store, notes: littoral.Collection, tmp_path: Path
) -> None:
    stick = tmp_path / "stick"
    notes["n1"] = {"title": "Tide table"}
    store.checkpoint("before")
    with littoral.open(tmp_path / "bad") as bad:
        carry(store, bad, stick)
        bad["notes"].merge("n1", {"title": "wrong"})
        bad["notes"]["n2"] = {"title": "wrong"}
        carry(bad, store, stick)
    assert len(notes) == 2
    (held,) = store.rollback_hold("before", "notes")
    assert (held.collection, held.label, held.documents) == ("notes", "before", 1)
    assert store.holds() == (held,)
    assert dict(notes.items()) == {"n1": {"title": "Tide table"}}
    notes["n1"] = {"title": "mine"}
    assert (notes["n1"]["title"], store.conflicts()) == ("mine", [])
    with pytest.raises(littoral.InvalidInputError):
        store.undo()
    with pytest.raises(littoral.InvalidInputError):
        store.rollback_hold("before", "notes")
    assert [hold.collection for hold in store.resume()] == ["notes"]
    assert (store.holds(), store.resume("notes"), len(notes)) == ((), (), 2)
    (conflict,) = store.conflicts()
    assert {side.value for side in conflict.candidates} == {"mine", "wrong"}

    async def again() -> None:
        async with await aio.open(tmp_path / "other") as other:
            await other.checkpoint("empty")
            await other["notes"].put("n1", {})
            (held,) = await other.rollback_hold("empty")
            assert (held.documents, await other.holds()) == (1, (held,))
            assert await other.resume() == (held,)

    asyncio.run(again())


def test_who_wrote_what_differs_is_told(store: littoral.Store, notes: littoral.Collection) -> None:
    notes["n1"] = {"title": "Tide table"}
    store.checkpoint("before")
    notes["n1"] = {"title": "wrong"}
    (found,) = store.diff("before")
    (written,) = found.written
    assert (written.path, written.author) == (("title",), store.id)
    assert found.kept == ()


def test_what_was_written_last_is_undone(store: littoral.Store, notes: littoral.Collection) -> None:
    with pytest.raises(littoral.NotFoundError):
        store.undo()
    notes["n1"] = {"title": "Tide table", "x": 1}
    notes["n1"] = {"title": "mistaken"}
    plan = store.undo(dry_run=True)
    assert notes["n1"] == {"title": "mistaken"}
    undone = store.undo("notes")
    assert undone == plan
    (found,) = undone.changes
    assert (found.before, found.after) == (
        {"title": "mistaken"},
        {"title": "Tide table", "x": 1},
    )
    assert notes["n1"] == {"title": "Tide table", "x": 1}
    store.undo(force=True)
    assert notes["n1"] == {"title": "mistaken"}
    with pytest.raises(littoral.NotFoundError):
        store.undo("none")
    with store.write() as tx:
        tx["notes"]["n2"] = {}
        with pytest.raises(littoral.NestedWriteError):
            store.undo()


def test_replay_says_that_all_is_the_same(
    store: littoral.Store, notes: littoral.Collection, tmp_path: Path
) -> None:
    store.checkpoint("before")
    for n in range(10):
        notes[f"n{n}"] = {"n": n}
    replay = store.rollback_replay("before")
    assert (replay.checkpoint, replay.outcome, replay.mended) == ("before", "same", 0)
    assert (replay.transactions, replay.documents) == (10, 10)
    assert replay.differing == {}
    assert list(replay.differences) == []
    assert store.rollback_replay("before", scratch=tmp_path).outcome == "same"
    with pytest.raises(littoral.NotFoundError):
        store.rollback_replay("none")


def test_checkpoints_are_made_by_the_store(
    store: littoral.Store, notes: littoral.Collection
) -> None:
    assert store.automatic_checkpoints() is None
    assert store.automatic_checkpoint("early") is None
    store.set_automatic_checkpoints(2, timedelta(hours=1))
    assert store.automatic_checkpoints() == AutomaticCheckpoints(2, timedelta(hours=1))
    for n in range(3):
        notes["n1"] = {"n": n}
        made = store.automatic_checkpoint("before the test")
        assert made is not None
        assert made.label.startswith("auto: before the test ")
        assert made.automatic
    assert store.automatic_checkpoint("again") is None
    assert len(store.checkpoints()) == 2
    store.set_automatic_checkpoints()
    assert store.automatic_checkpoints() == AutomaticCheckpoints(8, timedelta(days=7))
    store.set_automatic_checkpoints(0)
    assert store.checkpoints() == []
    with pytest.raises(littoral.LimitError):
        store.set_automatic_checkpoints(257)


def test_it_is_awaited_too(tmp_path: Path) -> None:
    async def main() -> None:
        async with await aio.open(tmp_path / "a") as store:
            await store.set_automatic_checkpoints(1)
            await store["notes"].put("n1", {"x": 1})
            made = await store.automatic_checkpoint("now")
            assert made is not None
            assert (await store.automatic_checkpoints()) == AutomaticCheckpoints(
                1, timedelta(days=7)
            )
            await store["notes"].put("n1", {"x": 2})
            assert len((await store.undo(dry_run=True)).changes) == 1
            await store.undo()
            assert await store["notes"].get("n1") == {"x": 1}
            assert (await store.rollback_replay(made.label)).outcome == "same"
            assert (await store.revert(made.label, by=store.id)).documents == 0

    asyncio.run(main())
