"""Stores: opening, transactions, threads, changes."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import littoral
from littoral import Counter


def test_a_closed_store_can_be_opened_again(tmp_path: Path) -> None:
    with littoral.open(tmp_path) as store:
        notes = store["notes"]
        notes["n"] = {"a": 1}
        scan, changes = notes.scan(), store.changes()
        with pytest.raises(littoral.LockedError):
            littoral.open(tmp_path)
    assert store.closed
    store.close()
    calls: list[Callable[[], Any]] = [
        lambda: notes["n"],
        lambda: notes.set("n", "a", 2),
        lambda: next(scan),
        lambda: changes.next(0),
        store.stats,
        store.__enter__,
        lambda: store.connect("127.0.0.1:1#" + "a" * 52),
    ]
    for call in calls:
        with pytest.raises(littoral.ClosedError):
            call()
    assert list(changes) == []
    with littoral.open(str(tmp_path), create=False) as again:
        assert again["notes"]["n"] == {"a": 1}
        assert again.id == store.id


def test_other_directories_are_refused(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_text("x")
    with pytest.raises(littoral.NotAStoreError):
        littoral.open(tmp_path)
    with pytest.raises(littoral.NotAStoreError):
        littoral.open(tmp_path / "none", create=False)
    with littoral.open(tmp_path / "new", network="home", cache_bytes=1 << 20):
        pass
    with pytest.raises(littoral.Error, match="network"):
        littoral.open(tmp_path / "new", network="work")


def test_a_transaction_is_all_or_nothing(store: littoral.Store) -> None:
    notes, log = store["notes"], store["log"]
    with store.write() as tx:
        tx["notes"]["n"] = {"a": 1, "views": Counter(1)}
        tx["log"]["l"] = {"about": "n"}
        tx["notes"].increment("n", "views")
        assert tx["notes"]["n"]["views"] == 2
        assert tx["notes"].get_field("n", "views") == 2
        tx["notes"].add("n", "tags", "sea")
        assert tx["notes"].has("n", "tags", "sea")
        assert not tx["notes"].has("n", "tags", "sky")
        assert "n" not in notes
    assert (notes["n"]["views"], log["l"]) == (2, {"about": "n"})
    with pytest.raises(ZeroDivisionError), store.write() as tx:
        tx["notes"]["m"] = {}
        del tx["log"]["l"]
        1 / 0
    assert ("m" in notes, "l" in log) == (False, True)
    with store.write() as tx:
        tx["notes"]["m"] = {}
        tx.rollback()
        with pytest.raises(littoral.ClosedError, match="over"):
            tx["notes"]["m"] = {}
    assert "m" not in notes
    with pytest.raises(littoral.ClosedError, match="over"):
        tx["notes"].get("n")
    with pytest.raises(littoral.ClosedError), tx:
        pass
    with pytest.raises(littoral.ClosedError, match=r"with store\.write"):
        store.write()["notes"]


def test_a_collection_in_a_transaction_is_a_mapping(store: littoral.Store) -> None:
    store["notes"].update({id: {"x": 1} for id in "bdf"})
    with store.write() as tx:
        notes = tx["notes"]
        del notes["d"]
        notes.update({"a": {"x": 2}, "f": {"x": 3}})
        with notes.edit("g") as note:
            note["x"] = 4
        assert notes.pop("b") == {"x": 1}
        notes["b"] = {"x": 5}
        assert (list(notes), len(notes)) == ([*"abfg"], 4)
        assert {id: note["x"] for id, note in notes.items()} == {"a": 2, "b": 5, "f": 3, "g": 4}
        assert notes.setdefault("h", {"x": 6}) == {"x": 6}
        with pytest.raises(KeyError):
            del notes["z"]
    assert list(store["notes"]) == [*"abfgh"]


def test_a_document_read_in_a_lost_transaction_is_not_put(store: littoral.Store) -> None:
    notes = store["notes"]
    notes["n"] = {"a": 1}
    read = notes["n"]
    with pytest.raises(RuntimeError, match="no"), store.write() as tx:
        read["b"] = 2
        tx["notes"]["n"] = read
        read["b"] = 3
        tx["notes"]["n"] = read
        raise RuntimeError("no")
    with pytest.raises(littoral.VersionMismatchError, match="read it again"):
        notes["n"] = read
    assert notes["n"] == {"a": 1}
    with store.write() as tx:
        kept = tx["notes"]["n"]
        kept["b"] = 3
        tx["notes"]["n"] = kept
    kept["b"] = 4
    notes["n"] = kept
    assert notes["n"] == {"a": 1, "b": 4}
    assert store.conflicts() == []


def test_a_thread_does_not_wait_for_itself(store: littoral.Store) -> None:
    notes = store["notes"]
    with store.write() as tx:
        tx["notes"]["a"] = {}
        for call in (lambda: notes.set("b", "x", 1), store.write().__enter__):
            with pytest.raises(littoral.NestedWriteError, match="through that transaction"):
                call()
    with notes.edit("a"), pytest.raises(littoral.NestedWriteError), notes.edit("b"):
        pass
    assert list(notes) == ["a"]


def test_others_wait_for_an_open_transaction_only_so_long(store: littoral.Store) -> None:
    opened, done = threading.Event(), threading.Event()

    def hold() -> None:
        with store.write() as tx:
            tx["notes"]["held"] = {}
            opened.set()
            done.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    assert opened.wait(10)
    try:
        with pytest.raises(TimeoutError, match="another transaction"), store.write(timeout=0.2):
            pass
        with pytest.raises(littoral.TimeoutError), store["notes"].edit("n", timeout=0):
            pass
    finally:
        done.set()
        thread.join()
    with pytest.raises(ValueError, match="timeout"), store.write(timeout=-1):
        pass
    assert list(store["notes"]) == ["held"]


def test_eight_threads_lose_nothing(store: littoral.Store) -> None:
    notes = store["notes"]
    failures: list[BaseException] = []

    def work(thread: int) -> None:
        try:
            for n in range(40):
                notes[f"{thread}-{n}"] = {"n": n}
                notes.increment("sum", "total")
                with notes.edit("log") as log:
                    log["n"] = log.get("n", 0) + 1
                with store.write() as tx:
                    tx["others"].add("all", "seen", f"{thread}-{n}")
                assert notes[f"{thread}-{n}"] == {"n": n}
                assert len([*notes.scan(prefix=f"{thread}-")]) == n + 1
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(notes) == 322
    assert (notes["sum"]["total"], notes["log"]["n"]) == (320, 320)
    assert len(store["others"]["all"]["seen"]) == 320
    assert store.conflicts() == []


def test_changes_resume_where_they_were_left(store: littoral.Store) -> None:
    notes = store["notes"]
    live = store.changes()
    notes["a"] = {"x": 1}
    notes["b"] = {"x": 1}
    first = live.next(timeout=10)
    assert first is not None
    assert (first.collection, first.id, first.local, first.author) == ("notes", "a", True, store.id)
    resumed = store.changes(since=first.position)
    second = resumed.next(timeout=10)
    assert second is not None
    assert second.id == "b"
    assert resumed.next(timeout=0) is None
    assert resumed.position == store.position
    assert next(iter(store.changes(since=0))).id == "a"
    with pytest.raises((TypeError, OverflowError)):
        store.changes(since=-1)
    with pytest.raises(ValueError, match="timeout"):
        live.next(timeout=-1)


def test_changes_tell_what_documents_held(store: littoral.Store) -> None:
    notes = store["notes"]
    notes["n1"] = {"title": "Tides", "tags": {"sea"}}
    store.set_change_values(1 << 20)
    since = store.position
    notes.merge("n1", {"title": "Spring tides"})
    del notes["n1"]
    plain = list(store.changes(since, timeout=0))
    told = list(store.changes(since, timeout=0, values=True))
    assert [change.values for change in plain] == [None, None]
    merged, deleted = (change.values for change in told)
    assert merged is not None
    assert deleted is not None
    assert merged.before == {"title": "Tides", "tags": {"sea"}}
    assert merged.after == deleted.before == {"title": "Spring tides", "tags": {"sea"}}
    assert deleted.after is None
    assert merged.before is not None
    notes["n1"] = merged.before
    assert notes["n1"] == {"title": "Tides", "tags": {"sea"}}
    store.set_change_values(None)
    assert all(change.values is None for change in store.changes(0, timeout=0, values=True))


def test_a_loop_over_changes_ends_after_its_time(store: littoral.Store) -> None:
    store["notes"].put_many((f"{n}", {}) for n in range(3))
    assert [change.id for change in store.changes(since=0, timeout=0)] == ["0", "1", "2"]
    assert list(store.changes(timeout=0.05)) == []
    with pytest.raises(ValueError, match="timeout"):
        store.changes(timeout=-1)


def test_a_waiting_loop_hears_of_changes_and_of_the_end(store: littoral.Store) -> None:
    seen: list[str] = []
    changes = store.changes()

    def follow() -> None:
        seen.extend(change.id for change in changes)

    thread = threading.Thread(target=follow)
    thread.start()
    store["notes"]["a"] = {}
    store["notes"]["b"] = {}
    deadline = time.monotonic() + 10
    while len(seen) < 2 and changes.position < store.position and time.monotonic() < deadline:
        time.sleep(0.01)
    store.close()
    thread.join(10)
    assert not thread.is_alive()
    assert seen == ["a", "b"]


def test_stats_and_digests(tmp_path: Path, store: littoral.Store) -> None:
    store["notes"]["n"] = {"a": 1}
    store.flush()
    stats = store.stats()
    assert stats.id == store.id
    assert stats.collections["notes"].documents == 1
    assert stats.failure is None
    assert stats.position == store.position
    assert stats.log_held is None
    assert stats.collections["notes"].log_budget_bytes == 64 << 20
    store.set_log_budget("notes", bytes=1 << 20, days=1)
    assert store.stats().collections["notes"].log_budget_ms == 86_400_000
    store.set_log_budget("notes")
    assert store.stats().collections["notes"].log_budget_bytes == 64 << 20
    assert store.prune() == 0
    with littoral.open(tmp_path / "other") as other:
        other["notes"]["n"] = {"a": 1}
        mine, theirs = store.digests("notes"), other.digests("notes")
    assert mine.shown == theirs.shown
    assert mine.cells != theirs.cells


def test_verify_finds_a_store_sound(store: littoral.Store) -> None:
    store["notes"]["n"] = {"a": 1, "tags": {"sea"}}
    store["notes"].increment("n", "views")
    verified = store.verify()
    assert verified.sound
    assert verified.findings == ()
    assert (verified.collections, verified.documents) == (1, 1)
    assert (verified.transactions, verified.rebuilt) == (2, 1)
    assert store.verify(quick=True).rebuilt == 0
    store.close()
    with pytest.raises(littoral.ClosedError):
        store.verify()


def test_a_key_under_a_passphrase(tmp_path: Path) -> None:
    with littoral.open(tmp_path, passphrase="low tide") as store:
        key = store.id
    with pytest.raises(littoral.PassphraseError, match="give its passphrase"):
        littoral.open(tmp_path)
    with pytest.raises(littoral.PassphraseError, match="does not open"):
        littoral.open(tmp_path, passphrase="high tide")
    with littoral.open(tmp_path, passphrase="low tide") as store:
        assert store.id == key


def test_a_store_goes_on_under_a_new_key(tmp_path: Path) -> None:
    with littoral.open(tmp_path / "s", passphrase="ebb") as store:
        store["notes"]["a"] = {"x": 1}
        node = store.id
        with pytest.raises(littoral.LockedError):
            littoral.rotate_key(tmp_path / "s", passphrase="ebb")
    change = littoral.rotate_key(tmp_path / "s", passphrase="ebb")
    assert change == littoral.KeyChange(node, change.new, ())
    with littoral.open(tmp_path / "s", passphrase="ebb") as store:
        assert (store.id, store["notes"]["a"]["x"]) == (change.new, 1)
