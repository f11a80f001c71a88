"""Collections as mappings, and documents that remember what their reader saw."""

import copy
import pickle
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest

import littoral
from littoral import Counter


def test_the_mapping_protocol(notes: littoral.Collection) -> None:
    assert isinstance(notes, MutableMapping)
    assert not notes
    notes["b"] = {"x": 2}
    notes["a"] = {"x": 1}
    notes.update({"c": {"x": 3}}, d={"x": 4})
    assert (len(notes), list(notes), list(reversed(notes))) == (4, [*"abcd"], [*"dcba"])
    assert "a" in notes
    assert "z" not in notes
    assert 5 not in notes  # type: ignore[comparison-overlap]
    assert notes["a"] == {"x": 1}
    assert notes.get("z") is None
    assert notes.get("z", 7) == 7
    assert [*notes.keys()] == [*"abcd"]
    assert [*notes.values()] == [{"x": n} for n in (1, 2, 3, 4)]
    assert dict(notes.items()) == {"a": {"x": 1}, "b": {"x": 2}, "c": {"x": 3}, "d": {"x": 4}}
    assert [id for id, _ in reversed(notes.items())] == [*"dcba"]
    assert notes == dict(notes.items())
    assert notes.pop("a") == {"x": 1}
    assert notes.pop("a", None) is None
    assert notes.popitem() == ("d", {"x": 4})
    assert notes.setdefault("b", {"x": 9}) == {"x": 2}
    assert notes.setdefault("e") == {}
    del notes["b"]
    with pytest.raises(KeyError, match="there is no document 'b' in 'notes'"):
        del notes["b"]
    for missing in (lambda: notes["b"], lambda: notes.pop("b")):
        with pytest.raises(littoral.NotFoundError):
            missing()
    notes.clear()
    assert len(notes) == 0
    with pytest.raises(KeyError):
        notes.popitem()


def test_scans_are_ordered_and_bounded(notes: littoral.Collection) -> None:
    notes.put_many((f"{n:03}", {"n": n}) for n in range(300))
    assert [note["n"] for note in notes.scan()] == [*range(300)]
    assert [note["n"] for note in notes.scan(reverse=True)] == [*range(299, -1, -1)]
    assert [note.id for note in notes.scan(prefix="01", limit=2)] == ["010", "011"]
    assert [note["n"] for note in notes.scan(start="005", end="008")] == [5, 6, 7]
    assert [note["n"] for note in notes.scan(after="005", limit=2)] == [6, 7]
    assert [note["n"] for note in notes.scan(after="005", limit=2, reverse=True)] == [4, 3]
    assert list(notes.scan(limit=0)) == []
    with pytest.raises((TypeError, OverflowError)):
        notes.scan(limit=-1)


def test_a_scan_is_of_one_moment(notes: littoral.Collection) -> None:
    notes.put_many((f"{n:03}", {"n": n}) for n in range(200))
    scan = notes.scan()
    next(scan)
    notes.clear()
    assert len([*scan]) == 199
    assert len(notes) == 0


def test_fields_by_verb(notes: littoral.Collection) -> None:
    notes.set("n", ("place", "lat"), 53.2)
    notes.set("n", "title", "Tides")
    notes.add("n", "tags", "sea")
    notes.add("n", ["tags"], "moon")
    notes.increment("n", "views")
    notes.increment("n", "views", 4)
    notes.merge("n", {"place": {"lon": 7.1}})
    expected = {
        "place": {"lat": 53.2, "lon": 7.1},
        "title": "Tides",
        "tags": {"sea", "moon"},
        "views": Counter(5),
    }
    assert notes["n"] == expected
    assert notes.remove("n", "tags", "moon") is True
    assert notes.remove("n", "tags", "moon") is False
    assert notes.unset("n", "title") is True
    assert notes.unset("n", "title") is False
    assert notes.get_field("n", ("place", "lat")) == 53.2
    assert notes.get_field("n", "title", "none") == "none"
    assert notes.get_field("z", "title") is None
    assert notes.get_field("n", ("place", "none"), 7) == 7
    assert notes.get_field("n", ()) == notes["n"]
    assert notes.has("n", "tags", "sea")
    assert not notes.has("n", "tags", "moon")
    with pytest.raises(littoral.WrongKindError, match="not a set"):
        notes.add("n", "views", 1)
    assert notes.delete("n") is True
    assert notes.delete("n") is False


def test_put_many_writes_whole_batches(notes: littoral.Collection) -> None:
    assert notes.put_many(((f"{n}", {"n": n}) for n in range(2500)), batch=1000) == 2500
    assert notes.put_many({}) == 0
    documents: list[tuple[str, dict[str, float]]] = [
        ("x1", {"n": 1}),
        ("x2", {"n": 2}),
        ("x3", {"n": float("nan")}),
    ]
    with pytest.raises(ValueError, match="'/n' of the document 'x3' is NaN"):
        notes.put_many(documents, batch=2)
    assert "x1" in notes
    assert "x2" in notes
    with pytest.raises(ValueError, match="x3"):
        notes.put_many([("y1", {}), *documents], batch=10)
    assert "y1" not in notes
    wrong: list[Any] = [[1], [{"id": "a", "n": 1}], [("a", {}, 1)]]
    for what in wrong:
        with pytest.raises(littoral.FieldTypeError, match="pairs of id and document"):
            notes.put_many(what)


def test_put_many_takes_whatever_goes_on_meanwhile(
    store: littoral.Store, notes: littoral.Collection
) -> None:
    def pairs(count: int) -> Iterator[tuple[str, dict[str, int]]]:
        for n in range(count):
            if n == 150:
                notes["own"] = {"from": n}  # between batches anybody may write
            yield f"{n:03}", {"n": n}

    assert notes.put_many(pairs(301), batch=50) == 301
    assert len(notes) == 302

    def broken() -> Iterator[tuple[str, dict[str, int]]]:
        yield from pairs(120)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store["broken"].put_many(broken(), batch=50)
    assert len(store["broken"]) == 100

    def holding() -> Iterator[tuple[str, dict[str, int]]]:
        with store.write():
            yield from pairs(120)

    with pytest.raises(littoral.NestedWriteError):
        store["held"].put_many(holding(), batch=50)
    assert len(store["held"]) == 0
    told: list[tuple[str, dict[str, float]]] = [(f"{n}", {"n": 1.0}) for n in range(10)]
    told[7] = ("7", {"n": float("inf")})
    with pytest.raises(ValueError, match="'/n' of the document '7' is infinity"):
        store["told"].put_many(told, batch=3)
    assert len(store["told"]) == 6

    def closing() -> Iterator[tuple[str, dict[str, int]]]:
        yield from pairs(120)
        store.close()
        yield from pairs(500)

    with pytest.raises(littoral.ClosedError):
        store["closed"].put_many(closing(), batch=50)


def test_large_documents_make_smaller_batches(notes: littoral.Collection) -> None:
    blob = bytes(1 << 19)
    assert notes.put_many((f"{n:02}", {"blob": blob}) for n in range(48)) == 48
    assert len(notes) == 48
    with pytest.raises(littoral.LimitError):
        notes["big"] = {"blob": bytes((1 << 20) + 1)}


def test_l1_putting_back_what_was_read_undoes_nothing_that_came_in_between(
    notes: littoral.Collection,
) -> None:
    notes["n"] = {"a": "old", "tags": {"x", "y"}, "views": Counter(1)}
    read = notes["n"]
    notes.set("n", "b", "new field")
    notes.set("n", "a", "newer")
    notes.add("n", "tags", "z")
    notes.increment("n", "views", 10)
    read["c"] = True
    read["tags"].discard("y")
    read["views"] += 1
    notes["n"] = read
    expected = {
        "a": "newer",
        "b": "new field",
        "c": True,
        "tags": {"x", "z"},
        "views": Counter(12),
    }
    assert notes["n"] == expected
    # What was put is brought up to what is there, so that it can be put again.
    assert read == expected
    read["c"] = False
    read["views"] += 1
    notes["n"] = read
    assert notes["n"] == {**expected, "c": False, "views": Counter(13)}
    assert notes.conflicts() == []


def test_a_plain_dict_replaces_what_is_there(notes: littoral.Collection) -> None:
    notes["n"] = {"a": 1}
    read = dict(notes["n"])
    notes.set("n", "b", 2)
    notes["n"] = read
    assert notes["n"] == {"a": 1}


def test_a_version_can_be_handed_back_by_itself(notes: littoral.Collection) -> None:
    notes["n"] = {"a": 1}
    version = notes["n"].version
    assert version is not None
    notes.set("n", "b", 2)
    notes.put("n", {"a": 5}, version=version)
    assert notes["n"] == {"a": 5, "b": 2}
    version = pickle.loads(pickle.dumps(notes["n"].version))
    assert version == notes["n"].version
    notes.set("n", "c", 3)
    notes.put("n", {"a": 6, "b": 2}, version=version)
    assert notes["n"] == {"a": 6, "b": 2, "c": 3}
    version = notes["n"].version
    notes.set("n", "d", 4)
    notes.delete("n", version=version)
    assert notes["n"] == {"d": 4}


def test_copies_of_a_document_remember_its_version(notes: littoral.Collection) -> None:
    notes["n"] = {"a": 1}
    read = notes["n"]
    copies = [
        read.copy(),
        copy.copy(read),
        copy.deepcopy(read),
        pickle.loads(pickle.dumps(read)),
        read | {},
    ]
    for at, same in enumerate(copies):
        assert (type(same), same.id, same.collection) == (littoral.Document, "n", "notes")
        assert same.version == read.version
        notes.set("n", f"b{at}", at)
        same[f"c{at}"] = at
        notes["n"] = same
    assert len(notes["n"]) == 11
    assert (littoral.Document(x=1).version, littoral.Document(x=1)["x"]) == (None, 1)


def test_a_document_put_elsewhere_is_a_copy(tmp_path: Path, store: littoral.Store) -> None:
    notes = store["notes"]
    notes["n"] = {"a": 1}
    read = notes["n"]
    notes["m"] = read
    store["others"]["n"] = read
    with littoral.open(tmp_path / "another") as another:
        another["notes"]["n"] = read
        assert another["notes"]["n"] == {"a": 1}
    assert notes["m"] == store["others"]["n"] == {"a": 1}
    assert read.id == "n"


def test_edit_commits_or_does_nothing(notes: littoral.Collection) -> None:
    with notes.edit("n") as note:
        note["a"] = 1
    assert notes["n"] == {"a": 1}
    with pytest.raises(RuntimeError, match="no"), notes.edit("n") as note:
        note["a"] = 2
        raise RuntimeError("no")
    assert notes["n"] == {"a": 1}
    with pytest.raises(ValueError, match="/a"), notes.edit("n") as note:
        note["a"] = float("nan")
    notes.set("n", "a", 3)  # nothing is left open
    assert notes["n"] == {"a": 3}


def test_names_and_reprs(store: littoral.Store, notes: littoral.Collection) -> None:
    notes["n"] = {"a": 1}
    assert repr(notes) == "<littoral.Collection 'notes', 1 documents>"
    assert repr(notes["n"]) == "Document({'a': 1})"
    assert "id=" + store.id[:10] in repr(store)
    assert repr(store.write()) == "<littoral.Transaction, not begun>"
    assert store.collections() == ["notes"] == list(store)
    assert "notes" in store
    with pytest.raises(KeyError, match="notes"):
        store.collection("nots", must_exist=True)
    store.close()
    assert "closed" in repr(store)
    assert "closed" in repr(notes)
