"""Checkpoints, the past, what differs, and reverting."""

import asyncio
import gc
import pickle
import threading
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

import littoral
from littoral import Counter, FieldChange, aio


def test_a_checkpoint_is_listed_costs_and_goes(
    store: littoral.Store, notes: littoral.Collection
) -> None:
    notes["n1"] = {"title": "Tide table"}
    position = store.position
    made = store.checkpoint("before")
    assert (made.label, made.position, made.automatic) == ("before", position, False)
    assert abs(made.made - datetime.now(timezone.utc)).total_seconds() < 3600
    later = store.checkpoint("later")
    assert store.checkpoints() == [made, later]
    notes["n1"] = {"title": "wrong"}
    first, second = store.checkpoint_costs()
    assert (first.checkpoint, first.rows, first.log_held) == (made, 0, True)
    assert second.rows > 0
    assert second.bytes > 0
    store.delete_checkpoint("before")
    (left,) = store.checkpoint_costs()
    assert left.checkpoint == later
    assert left.freed_bytes == left.bytes > 0
    store.delete_checkpoint("later")
    assert store.checkpoints() == []


def test_what_is_no_checkpoint_is_refused(store: littoral.Store) -> None:
    store.checkpoint("before")
    with pytest.raises(littoral.InvalidInputError, match="there is a checkpoint with this label"):
        store.checkpoint("before")
    with pytest.raises(littoral.InvalidInputError):
        store.checkpoint("")
    with pytest.raises(littoral.InvalidInputError):
        store.checkpoint("two\nlines")
    store.checkpoint("x" * 128)
    with pytest.raises(littoral.LimitError):
        store.checkpoint("x" * 129)
    calls: list[Any] = [
        store.delete_checkpoint,
        store.at,
        store.diff,
        store.revert,
        lambda label: store.diff("before", label),
        lambda label: store.revert(label, dry_run=True),
    ]
    for call in calls:
        with pytest.raises(littoral.NotFoundError, match="no checkpoint with this label"):
            call("no such")
    # An id without its collection, a field without its document, an empty path.
    wrong: list[tuple[Any, ...]] = [(None, "n1"), ("notes", None, "x"), ("notes", "n1", ())]
    for scope in wrong:
        with pytest.raises(littoral.InvalidInputError):
            store.revert("before", *scope)
    with pytest.raises(littoral.FieldTypeError):
        store.revert("before", "notes", 1)  # type: ignore[call-overload]


def test_the_past_is_read_like_the_present(
    store: littoral.Store, notes: littoral.Collection
) -> None:
    for number in range(300):
        notes[f"n{number:03}"] = {"number": number, "map": {"x": number}, "tags": {"sea"}}
    shown = store.digests("notes")
    before = dict(notes)
    store.checkpoint("before")
    notes.clear()
    notes["n001"] = {"number": -1}
    notes["new"] = {}
    store["later"]["l"] = {}
    with store.at("before") as past:
        assert past.checkpoint == store.checkpoints()[0]
        assert (past.collections(), list(past), "notes" in past) == (["notes"], ["notes"], True)
        then = past["notes"]
        assert (then.name, len(then), len(past["later"]), list(past["later"])) == (
            "notes",
            300,
            0,
            [],
        )
        assert dict(then) == before == dict(then.items())
        assert list(then) == sorted(before) == list(reversed(list(reversed(then))))
        assert [document["number"] for document in then.values()] == list(range(300))
        assert ("n001" in then, "new" in then, "" in then) == (True, False, False)
        assert then["n001"]["number"] == 1
        assert (then["n001"].id, then["n001"].collection) == ("n001", "notes")
        assert (then.get("new"), then.get("new", 7)) == (None, 7)
        assert then.get_field("n007", ("map", "x")) == 7
        assert (then.get_field("n007", "y", 3), then.get_field("new", "x")) == (3, None)
        assert then.get_field("n007", ()) == then["n007"]
        with pytest.raises(littoral.NotFoundError):
            then["new"]
        with pytest.raises(littoral.InvalidInputError):
            then.get("")
        with pytest.raises(littoral.InvalidInputError):
            past["/"]
        page = then.scan(prefix="n0", after="n050", limit=3, reverse=True)
        assert [document.id for document in page] == ["n049", "n048", "n047"]
        assert past.digests("notes") == shown
        with pytest.raises(TypeError):
            then["n1"] = {}  # type: ignore[index]
        assert repr(past) == "<littoral.Past 'before'>"
        assert repr(then) == "<littoral.PastCollection 'notes', 300 documents>"
        assert "notes: 300 documents" in then._repr_html_()


def test_the_past_is_a_table(store: littoral.Store, notes: littoral.Collection) -> None:
    arrow = pytest.importorskip("pyarrow")
    notes["n1"] = {"x": 1, "was": "there"}
    store.checkpoint("before")
    notes["n1"] = {"x": 2.5}
    notes["n2"] = {}
    then = store.at("before")["notes"]
    assert then.to_arrow().to_pylist() == [{"_id": "n1", "was": "there", "x": 1}]
    assert arrow.table(then).num_rows == 1
    pytest.importorskip("pandas")
    assert then.to_pandas(prefix="n").loc["n1", "x"] == 1


def test_a_document_of_the_past_is_put_back_whole(
    store: littoral.Store, notes: littoral.Collection
) -> None:
    mixed = {"seen": {1}, "views": Counter(3), "same": "same", "gone": 1}
    notes["n1"] = mixed
    notes.add("n1", "seen", True)
    shown = store.digests("notes").shown
    store.checkpoint("before")
    with store.at("before") as past:
        was, scanned = past["notes"]["n1"], next(past["notes"].scan())
    assert was.version == scanned.version
    restored = pickle.loads(pickle.dumps(was))
    version = restored.version
    assert version == was.version != notes["n1"].version
    for put in (was, scanned):
        notes.delete("n1")
        notes["n1"] = put
        assert store.digests("notes").shown == shown
        assert not store.conflicts()
    # Put, it is a document of the present: what is changed next is a difference.
    notes.set("n1", "other", 1)
    was["same"] = "new"
    notes["n1"] = was
    assert notes["n1"]["other"] == 1
    # What pickling took apart, and any other fields with the version, are written whole, too.
    notes.delete("n1")
    notes["n1"] = restored
    assert notes["n1"] == mixed
    notes.set("n1", "other", 1)
    notes.put("n1", {"gone": 2}, version=version)
    assert notes["n1"] == {"gone": 2}


def test_the_past_stays_and_ends_with_its_store(tmp_path: Path) -> None:
    with littoral.open(tmp_path) as store:
        store["notes"]["n1"] = {"x": 1}
        store.checkpoint("before")
        closed, past, dropped = store.at("before"), store.at("before"), store.at("before")
        store["notes"]["n1"] = {"x": 2}
        store.delete_checkpoint("before")
        assert past["notes"]["n1"] == {"x": 1}
        closed.close()
        closed.close()
        assert (closed.closed, past.closed) == (True, False)
        for call in (lambda: closed["notes"], closed.collections, lambda: closed.digests("notes")):
            with pytest.raises(littoral.ClosedError, match="past is closed"):
                call()
        assert repr(closed) == "<littoral.Past 'before', closed>"
        del dropped
        gc.collect()
    assert past.closed
    with pytest.raises(littoral.ClosedError, match="store is closed"):
        past["notes"]
    # Nothing that is still held keeps the directory.
    littoral.open(tmp_path, create=False).close()


def test_a_diff_tells_what_changed(store: littoral.Store, notes: littoral.Collection) -> None:
    notes["changed"] = {"x": 1, "map": {"a": 1, "b": 2}, "gone": None, "same": 1}
    notes["gone"] = {"x": 1}
    notes["same"] = {"x": 1}
    store.checkpoint("a")
    notes["changed"] = {"x": True, "map": {"a": 1, "b": 3}, "came": None, "same": 1}
    del notes["gone"]
    notes["new"] = {"tags": {"sea"}}
    notes["same"] = {"x": 2}
    notes["same"] = {"x": 1}
    store.checkpoint("b")
    store["plans"]["p"] = {}
    changed, gone, new, plan = store.diff("a")
    assert (changed.collection, changed.id) == ("notes", "changed")
    assert changed.before is not None
    assert changed.before["map"] == {"a": 1, "b": 2}
    assert changed.fields == (
        FieldChange(("came",), "added", None, None),
        FieldChange(("gone",), "removed", None, None),
        FieldChange(("map", "b"), "changed", 2, 3),
        FieldChange(("x",), "changed", 1, True),
    )
    assert (gone.id, gone.before, gone.after, gone.fields) == ("gone", {"x": 1}, None, ())
    assert (new.id, new.before, new.after) == ("new", None, {"tags": {"sea"}})
    assert (plan.collection, plan.id) == ("plans", "p")
    assert list(store.diff("a", "b")) == [changed, gone, new]
    backwards = list(store.diff("b", "a"))
    assert [(one.id, one.before, one.after) for one in backwards] == [
        (one.id, one.after, one.before) for one in (changed, gone, new)
    ]
    assert list(store.diff("a", collection="plans")) == [plan]
    assert list(store.diff("a", "a")) == []
    with pytest.raises(littoral.InvalidInputError):
        store.diff("a", collection="/")


def test_many_differences_are_of_one_moment(
    store: littoral.Store, notes: littoral.Collection
) -> None:
    store.checkpoint("before")
    notes.put_many((f"n{number:04}", {"x": number}) for number in range(1000))
    found = store.diff("before")
    assert next(found).id == "n0000"
    notes.clear()
    assert [one.after for one in found] == [{"x": number} for number in range(1, 1000)]


def test_a_revert_brings_back_what_was_shown(
    store: littoral.Store, notes: littoral.Collection
) -> None:
    notes["n1"] = {"title": "Tide table", "views": Counter(2), "tags": {"sea"}}
    notes["n2"] = {"title": "Low tide"}
    shown = store.digests("notes").shown
    store.checkpoint("before")
    notes.merge("n1", {"title": "wrong", "views": Counter(5), "tags": {"moon"}, "more": 1})
    del notes["n2"]
    notes["n3"] = {}
    store["plans"]["p"] = {}
    plan = store.revert("before", dry_run=True)
    assert plan.left == ()
    assert repr(plan) == "<littoral.RevertPlan>"
    would = list(plan)
    assert [(one.id, one.after is None) for one in would] == [
        ("n1", False),
        ("n2", False),
        ("n3", True),
        ("p", True),
    ]
    assert "n3" in notes  # nothing was written
    field = list(store.revert("before", "notes", "n1", "title", dry_run=True))
    assert [(one.before, one.after) for one in field] == [
        ({"title": "wrong"}, {"title": "Tide table"})
    ]
    done = store.revert("before", "notes", "n1", ("title",))
    assert done == littoral.Reverted(documents=1, transactions=1, left=())
    assert (notes["n1"]["title"], notes["n1"]["more"]) == ("Tide table", 1)
    assert store.revert("before", "notes", "n2").documents == 1
    assert store.revert("before", "notes").documents == 2
    assert store.digests("notes").shown == shown
    assert "p" in store["plans"]
    assert store.revert("before") == littoral.Reverted(documents=1, transactions=1, left=())
    assert store.revert("before").documents == 0
    assert not list(store.diff("before"))


def test_a_revert_replicates(
    pair: tuple[littoral.Store, littoral.Store, littoral.Link],
) -> None:
    hub, phone, _ = pair
    hub["notes"].put_many((f"n{number:03}", {"x": 1}) for number in range(300))
    hub.checkpoint("before")
    phone.wait_synced()
    phone["notes"].put_many((f"n{number:03}", {"x": 2}) for number in range(300))
    phone.wait_synced()
    done = hub.revert("before")
    assert (done.documents, done.transactions) == (300, 2)
    hub.wait_synced()
    assert phone["notes"]["n299"] == {"x": 1}
    assert hub.digests("notes") == phone.digests("notes")


def test_a_revert_does_not_wait_for_itself(
    store: littoral.Store, notes: littoral.Collection
) -> None:
    notes["n1"] = {"x": 1}
    store.checkpoint("before")
    with store.write() as tx:
        tx["notes"]["n1"] = {"x": 2}
        with pytest.raises(littoral.NestedWriteError):
            store.revert("before")
        # What only reads, and a checkpoint, wait for no transaction.
        store.checkpoint("in between")
        assert not list(store.diff("before"))
        assert not list(store.revert("before", dry_run=True))
    assert store.at("in between")["notes"]["n1"] == {"x": 1}
    assert len(list(store.diff("in between"))) == 1


def test_reading_the_past_beside_writers(store: littoral.Store, notes: littoral.Collection) -> None:
    notes.put_many((f"n{number:03}", {"x": 0}) for number in range(200))
    store.checkpoint("before")
    over = threading.Event()

    def write() -> None:
        turn = 0
        while not over.is_set():
            turn += 1
            notes.put_many((f"n{number:03}", {"x": turn}) for number in range(200))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(20):
            with store.at("before") as past:
                assert {document["x"] for document in past["notes"].values()} == {0}
    finally:
        over.set()
        writer.join()


def test_the_tape_with_asyncio(tmp_path: Path) -> None:
    async def main() -> None:
        async with await aio.open(tmp_path) as store:
            notes = store["notes"]
            await notes.put_many((f"n{number:03}", {"x": 1}) for number in range(200))
            made = await store.checkpoint("before")
            assert await store.checkpoints() == [made]
            assert [one.checkpoint for one in await store.checkpoint_costs()] == [made]
            await notes.put_many((f"n{number:03}", {"x": 2}) for number in range(200))
            await notes.put("new", {})
            async with await store.at("before") as past:
                assert (past.checkpoint, await past.collections()) == (made, ["notes"])
                then = past["notes"]
                assert (then.name, await then.count()) == ("notes", 200)
                assert await then.get("n001") == {"x": 1}
                assert await then.get_field("n001", "x") == 1
                assert (await then.contains("new"), await then.get("new", 7)) == (False, 7)
                found = [document["x"] async for document in then]
                assert found == [1] * 200
                assert [one.id async for one in then.scan(limit=1, reverse=True)] == ["n199"]
                assert (await then.to_arrow()).num_rows == 200
                assert repr(past) == "<littoral.aio.Past 'before'>"
                assert repr(then) == "<littoral.aio.PastCollection 'notes'>"
            assert past.closed
            assert len([one async for one in store.diff("before", collection="notes")]) == 201
            plan = await store.revert("before", "notes", dry_run=True)
            assert (plan.left, len([one async for one in plan])) == ((), 201)
            async with store.write() as tx:
                await tx["notes"].put("n", {})
                with pytest.raises(littoral.NestedWriteError):
                    await store.revert("before")
                await tx.rollback()
            assert (await store.revert("before")).documents == 201
            await store.delete_checkpoint("before")
            with pytest.raises(littoral.NotFoundError):
                await store.at("before")

    asyncio.run(main())
