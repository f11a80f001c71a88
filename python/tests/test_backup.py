"""Backups: all of a store in a file, and stores made of it."""

import asyncio
from pathlib import Path

import pytest

import littoral
from littoral import Counter, aio


def test_a_store_is_backed_up_checked_and_restored(
    store: littoral.Store, notes: littoral.Collection, tmp_path: Path
) -> None:
    notes["n1"] = {"title": "Tide table", "views": Counter(7), "tags": {"sea"}}
    store.trust("a" * 52)
    made = store.backup(tmp_path / "it")
    assert made.node == store.id
    assert made.bytes == (tmp_path / "it").stat().st_size
    assert (made.peers, made.founder, made.statements) == (1, None, 0)
    assert made.collections["notes"].documents == 1
    assert made.collections["notes"].cells == store.digests("notes").cells
    assert littoral.backup_check(tmp_path / "it") == made
    restored = littoral.restore(tmp_path / "it", tmp_path / "new")
    assert restored.backup == made
    assert not restored.roster
    with littoral.open(tmp_path / "new", create=False) as other:
        assert other.id == restored.node != store.id
        assert other["notes"]["n1"] == notes["n1"]
        assert other.digests("notes") == store.digests("notes")
        # Both add, and nothing is counted twice.
        other["notes"].increment("n1", "views")
        notes.increment("n1", "views", 2)
        other.bundle_create(tmp_path / "stick")
        store.bundle_apply(tmp_path / "stick", maker=other.id)
        assert notes["n1"]["views"] == Counter(10)
    assert store.backup(tmp_path / "it", peers=False).peers == 0


def test_what_is_no_backup_leaves_nothing(
    store: littoral.Store, notes: littoral.Collection, tmp_path: Path
) -> None:
    notes["n1"] = {"x": 1}
    file, new = tmp_path / "it", tmp_path / "new"
    store.backup(file)
    with pytest.raises(littoral.InvalidInputError, match="not empty"):
        littoral.restore(file, tmp_path)
    whole = file.read_bytes()
    file.write_bytes(whole[:-9])
    for call in (littoral.backup_check, lambda path: littoral.restore(path, new)):
        with pytest.raises(littoral.CorruptError, match="cut short"):
            call(file)
    file.write_text("what is this")
    with pytest.raises(littoral.InvalidInputError, match="not a backup"):
        littoral.restore(file, new)
    with pytest.raises(littoral.StorageError):
        littoral.backup_check(tmp_path / "missing")
    assert not new.exists()
    assert not list(tmp_path.glob("*.part"))


def test_a_restored_store_is_let_in_or_belongs_to_no_roster(
    store: littoral.Store, notes: littoral.Collection, tmp_path: Path
) -> None:
    store.found_roster("first")
    notes["n1"] = {"x": 1}
    made = store.backup(tmp_path / "it")
    assert made.founder == store.id
    assert littoral.restore(tmp_path / "it", tmp_path / "member").roster
    with (
        littoral.open(tmp_path / "member") as other,
        pytest.raises(littoral.ForbiddenError),
    ):
        other["notes"]["n1"] = {"x": 2}
    alone = littoral.restore(tmp_path / "it", tmp_path / "alone", roster=False, passphrase="open")
    assert not alone.roster
    with pytest.raises(littoral.PassphraseError):
        littoral.open(tmp_path / "alone")
    with littoral.open(tmp_path / "alone", passphrase="open") as other:
        other["notes"]["n1"] = {"x": 2}


def test_it_is_awaited_too(tmp_path: Path) -> None:
    async def main() -> None:
        async with await aio.open(tmp_path / "a") as store:
            await store["notes"].put("n1", {"x": 1})
            made = await store.backup(tmp_path / "it")
        restored = await aio.restore(tmp_path / "it", tmp_path / "b")
        assert restored.backup == made
        async with await aio.open(tmp_path / "b") as other:
            assert await other["notes"].get("n1") == {"x": 1}

    asyncio.run(main())
