"""The store for asyncio."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import littoral
from littoral import aio


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(main())


def test_verbs(tmp_path: Path) -> None:
    async def main() -> None:
        async with await aio.open(tmp_path / "s") as store:
            notes = store["notes"]
            await notes.put("a", {"title": "x", "tags": {"t"}, "hits": littoral.Counter(1)})
            await notes.merge("a", {"done": True})
            await notes.add("a", "tags", "u")
            await notes.remove("a", "tags", "t")
            await notes.increment("a", "hits", 2)
            await notes.set("a", ("at", "lat"), 53.5)
            assert await notes.unset("a", "title")
            async with notes.edit("a") as note:
                note["n"] = 1
            expected = {
                "done": True,
                "tags": {"u"},
                "hits": littoral.Counter(3),
                "at": {"lat": 53.5},
                "n": 1,
            }
            assert await notes.get("a") == expected
            assert await notes.get("b") is None
            assert await notes.get_field("a", "n") == 1
            assert await notes.has("a", "tags", "u")
            assert await notes.put_many((f"n{n}", {"n": n}) for n in range(300)) == 300
            assert await notes.count() == 301
            assert [d["n"] async for d in notes.scan(prefix="n29")] == [29, *range(290, 300)]
            assert sorted([d["n"] async for d in notes.scan()]) == [0, 1, *range(1, 300)]
            assert await notes.delete("a")
            assert not await notes.contains("a")
            assert await store.collections() == ["notes"]
            assert (await store.stats()).collections["notes"].documents == 300
        assert store.closed
        with pytest.raises(littoral.ClosedError):
            await notes.get("a")

    run(main)


def test_a_transaction_is_whole_or_nothing_and_knows_its_task(tmp_path: Path) -> None:
    async def main() -> None:
        async with await aio.open(tmp_path / "s") as store:
            notes = store["notes"]
            async with store.write() as tx:
                await tx["notes"].put("a", {"n": 1})
                await tx["log"].put("1", {"about": "a"})
                assert await tx["notes"].get("a") == {"n": 1}
                assert await notes.get("a") is None
                with pytest.raises(littoral.NestedWriteError):
                    await notes.put("b", {})
                with pytest.raises(littoral.NestedWriteError):
                    async with store.write():
                        pass
            assert await notes.get("a") == {"n": 1}
            with pytest.raises(ZeroDivisionError):
                async with store.write() as tx:
                    await tx["notes"].delete("a")
                    raise ZeroDivisionError
            assert await notes.contains("a")

    run(main)


def test_tasks_share_a_store(tmp_path: Path) -> None:
    async def main() -> None:
        async with await aio.open(tmp_path / "s") as store:
            notes = store["notes"]

            async def one(n: int) -> None:
                for _ in range(5):
                    async with notes.edit("sum") as note:
                        note["n"] = note.get("n", 0) + 1
                    await notes.increment("counter", "hits")
                    await notes.put(f"n{n}", {"n": n})

            await asyncio.gather(*(one(n) for n in range(20)))
            assert await notes.get_field("sum", "n") == 100
            assert await notes.get_field("counter", "hits") == littoral.Counter(100)

    run(main)


def test_a_task_that_is_cancelled_rolls_back_and_blocks_nobody(tmp_path: Path) -> None:
    async def main() -> None:
        async with await aio.open(tmp_path / "s") as store:
            notes = store["notes"]
            begun = asyncio.Event()

            async def holds() -> None:
                async with store.write() as tx:
                    await tx["notes"].put("held", {})
                    begun.set()
                    await asyncio.sleep(3600)

            async def waits() -> None:
                async with store.write() as tx:
                    await tx["notes"].put("waited", {})

            holding = asyncio.create_task(holds())
            await begun.wait()
            waiting = asyncio.create_task(waits())
            await asyncio.sleep(0.1)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            holding.cancel()
            await asyncio.gather(holding, return_exceptions=True)
            await asyncio.wait_for(notes.put("after", {}), 10)
            assert not await notes.contains("held")
            assert not await notes.contains("waited")

    run(main)


def test_the_loop_goes_on_while_a_call_waits(tmp_path: Path) -> None:
    async def main() -> None:
        async with await aio.open(tmp_path / "s") as store:
            ticks = 0

            async def tick() -> None:
                nonlocal ticks
                while True:
                    ticks += 1
                    await asyncio.sleep(0.005)

            ticking = asyncio.create_task(tick())
            async with store.write():

                async def other() -> None:
                    async with store.write(timeout=0.3):
                        pass

                # A task of its own has no transaction open.
                with pytest.raises(littoral.TimeoutError):
                    await asyncio.create_task(other())
            ticking.cancel()
            assert ticks > 5

    run(main)


def test_changes_are_followed_and_none_is_lost_when_a_wait_is_cancelled(tmp_path: Path) -> None:
    async def main() -> None:
        async with await aio.open(tmp_path / "s") as store:
            notes = store["notes"]
            changes = store.changes()
            seen: list[str] = []

            async def write() -> None:
                for n in range(50):
                    await notes.put(f"n{n}", {"n": n})
                    await asyncio.sleep(0.002)

            writing = asyncio.create_task(write())
            until = time.monotonic() + 30
            while len(seen) < 50 and time.monotonic() < until:
                try:
                    seen.append((await asyncio.wait_for(anext(changes), 0.003)).id)
                except (asyncio.TimeoutError, TimeoutError):
                    continue
            await writing
            assert seen == [f"n{n}" for n in range(50)]
            assert await changes.next(0.01) is None
            follower = asyncio.create_task(_all(store.changes()))
            await asyncio.sleep(0.05)
            await notes.put("last", {})
            await asyncio.sleep(0.3)
        assert [change.id for change in await follower] == ["last"]

    run(main)


async def _all(changes: aio.Changes) -> list[littoral.Change]:
    return [change async for change in changes]


def test_two_stores_sync(tmp_path: Path) -> None:
    async def main() -> None:
        async with await aio.open(tmp_path / "a") as a, await aio.open(tmp_path / "b") as b:
            await a.trust(b.id)
            address = await a.listen("127.0.0.1:0")
            link = await b.connect(address)
            await b["notes"].put("n", {"x": 1})
            await link.wait_synced()
            assert await a["notes"].get("n") == {"x": 1}
            assert (await link.status()).state == "connected"
            assert len(await a.links()) == 1
            await b.set_online(False)
            assert not b.online
            assert (await link.status()).state == "paused"
            await b.set_online(True)
            await b["notes"].put("m", {"x": 2})
            await link.wait_synced()
            assert await a["notes"].get("m") == {"x": 2}

    run(main)


def test_the_verbs_are_those_without_asyncio() -> None:
    by_protocol = {"clear", "items", "keys", "pop", "popitem", "setdefault", "update", "values"}
    for name in aio.__all__:
        theirs, ours = getattr(littoral, name), getattr(aio, name)
        if not isinstance(ours, type):
            continue
        verbs = {verb for verb in dir(theirs) if not verb.startswith("_")} - by_protocol
        assert verbs - set(dir(ours)) <= {"arrow"}, name
        for verb in verbs & set(dir(ours)):
            assert getattr(ours, verb).__doc__, f"{name}.{verb}"
    assert ">>>" not in (aio.Collection.merge.__doc__ or "")


def test_a_loop_over_changes_ends_after_its_time(tmp_path: Path) -> None:
    async def main() -> None:
        async with await aio.open(tmp_path / "s") as store:
            await store["notes"].put("a", {})
            assert [change.id async for change in store.changes(since=0, timeout=0)] == ["a"]
            assert [change.id async for change in store.changes(timeout=0.05)] == []
            assert await store.changes(since=0).next(timeout=5) is not None

    run(main)


def test_a_write_beside_ones_own_transaction_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with await aio.open(tmp_path / "s") as store, store.write():
            for write in (
                store["notes"].merge("a", {}),
                store["notes"].put_many({}),
                store.resolve("notes", "a", "x", 1),
                store.undo(),
                store.resume(),
            ):
                with pytest.raises(littoral.NestedWriteError):
                    await write

    run(main)
