"""The past, and what a revert would write."""

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType

import littoral
from littoral._records import Checkpoint, Difference
from littoral.aio._collection import PastCollection
from littoral.aio._threads import Threaded, Threads, awaited


class Past(Threaded):
    """A store as it was at a checkpoint, from `Store.at`; see `littoral.Past`."""

    __slots__ = ()
    _sync: littoral.Past

    def __init__(self, threads: Threads, past: littoral.Past) -> None:
        """Use `Store.at` instead."""
        self._threads = threads
        self._sync = past

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint."""
        return self._sync.checkpoint

    @property
    def closed(self) -> bool:
        """Whether it is closed, or its store is."""
        return self._sync.closed

    async def close(self) -> None:
        """Read it no longer. Twice is harmless."""
        await asyncio.to_thread(self._sync.close)

    async def __aenter__(self) -> "Past":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    collections = awaited(littoral.Past.collections)
    digests = awaited(littoral.Past.digests)

    def collection(self, name: str) -> PastCollection:
        """Give the collection with this name as it was; without documents if it was not there."""
        return PastCollection(self._threads, self._sync[name])

    def __getitem__(self, name: str) -> PastCollection:
        return self.collection(name)

    def __repr__(self) -> str:
        return repr(self._sync).replace("littoral.", "littoral.aio.")


class RevertPlan:
    """What a revert would write, with ``async for``; see `littoral.RevertPlan`."""

    __slots__ = ("_plan", "_threads")

    def __init__(self, threads: Threads, plan: littoral.RevertPlan) -> None:
        """Use `Store.revert` instead."""
        self._threads = threads
        self._plan = plan

    @property
    def left(self) -> tuple[str, ...]:
        """Collections that were left since the checkpoint, and would not be written again."""
        return self._plan.left

    def __aiter__(self) -> AsyncIterator[Difference]:
        return self._threads.each(self._plan)
