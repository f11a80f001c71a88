"""Changes carried in a file, between stores that never meet."""

import random
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest

import littoral

Stores = tuple[littoral.Store, littoral.Store]


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    with littoral.open(tmp_path / "a") as a, littoral.open(tmp_path / "b") as b:
        yield a, b


def test_a_file_carries_what_the_other_lacks(stores: Stores, tmp_path: Path) -> None:
    a, b = stores
    stick, need = tmp_path / "stick", tmp_path / "need"
    a["notes"]["n1"] = {"title": "Low tide", "tags": {"sea"}}
    b["notes"]["n2"] = {"title": "High tide"}
    b.bundle_have(need)
    made = a.bundle_create(stick, since=need)
    assert (made.maker, made.bytes) == (a.id, stick.stat().st_size)
    assert abs(made.made - datetime.now(timezone.utc)).total_seconds() < 3600
    notes = made.collections["notes"]
    assert (notes.snapshot, notes.since, notes.transactions, notes.new) == (False, 0, 1, None)
    assert notes.authors == (littoral.BundleAuthor(a.id, 0, 1, 1),)
    assert notes.oldest == notes.newest
    assert littoral.bundle_inspect(stick) == made
    compared = b.bundle_inspect(stick).collections["notes"]
    assert (compared.new, compared.missing) == (1, 0)
    expected = {"notes": littoral.Applied(snapshot=False, wanted=True, new=1, duplicates=0)}
    assert b.bundle_apply(stick) == expected
    assert b.bundle_apply(str(stick))["notes"].duplicates == 1
    a.bundle_apply(_made(b, tmp_path / "back"))
    assert a.digests("notes") == b.digests("notes")


def _made(store: littoral.Store, path: Path) -> Path:
    store.bundle_create(path)
    return path


def test_conflicts_that_a_bundle_brings_are_visible(stores: Stores, tmp_path: Path) -> None:
    a, b = stores
    a["notes"]["n"] = {"title": "a"}
    b["notes"]["n"] = {"title": "b"}
    b.bundle_apply(_made(a, tmp_path / "stick"))
    assert {one.value for one in b.conflicts()[0].candidates} == {"a", "b"}


def test_bundles_go_on_from_one_another(stores: Stores, tmp_path: Path) -> None:
    a, b = stores
    a["notes"]["n"] = {"x": 1}
    first, second = _made(a, tmp_path / "first"), tmp_path / "second"
    a["notes"]["n"] = {"x": 2}
    a["plans"]["p"] = {}
    assert a.bundle_create(second, since=first).collections["notes"].since == 1
    with pytest.raises(littoral.MissingDependencyError, match="littoral bundle have"):
        b.bundle_apply(second, collections=["notes"])
    assert b.collections() == []
    b.bundle_apply(first)
    b.bundle_apply(second)
    assert b["notes"]["n"] == {"x": 2}


def test_only_what_is_asked_for_and_wanted_travels(stores: Stores, tmp_path: Path) -> None:
    a, b = stores
    a["notes"]["n"] = {}
    a["plans"]["p"] = {}
    stick = tmp_path / "stick"
    assert list(a.bundle_create(stick, collections=["plans"]).collections) == ["plans"]
    with pytest.raises(littoral.UnknownCollectionError):
        a.bundle_create(stick, collections=["none"])
    b.want(["notes"])
    assert not b.bundle_apply(stick)["plans"].wanted
    assert b.collections() == []


def test_what_is_wrong_with_a_file_is_said(stores: Stores, tmp_path: Path) -> None:
    a, b = stores
    a["notes"]["n"] = {}
    stick = _made(a, tmp_path / "stick")
    torn = tmp_path / "torn"
    torn.write_bytes(stick.read_bytes()[:-1])
    for broken in (b.bundle_apply, b.bundle_inspect, littoral.bundle_inspect):
        with pytest.raises(littoral.CorruptError, match="copy it again"):
            broken(torn)
    torn.write_bytes(b"something else")
    with pytest.raises(littoral.InvalidInputError):
        b.bundle_apply(torn)
    with pytest.raises(littoral.StorageError):
        b.bundle_apply(tmp_path / "missing")
    with pytest.raises(littoral.InvalidInputError):
        b.bundle_apply(stick, maker="nobody")
    with (
        littoral.open(tmp_path / "far", network="elsewhere") as far,
        pytest.raises(littoral.RefusedError, match="network"),
    ):
        far.bundle_apply(stick)


def test_a_snapshot_is_believed_of_who_is_named(stores: Stores, tmp_path: Path) -> None:
    a, b = stores
    a.set_log_budget("notes", bytes=1, days=0)
    for n in range(40):
        # What can't be packed: else it would not fill the log.
        a["notes"]["n"] = {"n": n, "big": random.Random(n).randbytes(600_000)}
    a.prune()
    stick = tmp_path / "stick"
    with pytest.raises(littoral.NotFoundError, match="snapshot"):
        a.bundle_create(stick, snapshots=False)
    assert not stick.exists()
    assert a.bundle_create(stick).collections["notes"].snapshot
    with pytest.raises(littoral.RefusedError):
        b.bundle_apply(stick)
    assert b.bundle_apply(stick, maker=a.id)["notes"].snapshot
    assert a.digests("notes") == b.digests("notes")
