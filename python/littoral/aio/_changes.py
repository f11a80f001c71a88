"""Changes, as they come."""

import asyncio
from concurrent.futures import Future

import littoral
from littoral._errors import ClosedError
from littoral._records import Change
from littoral.aio._threads import Threads

# For how long a follower of changes waits in its thread before it looks whether it is over.
_SLICE = 0.2


class Changes:
    """What changes from a position on, with ``async for``. None is lost if a wait is cancelled."""

    __slots__ = ("_changes", "_closed", "_pending", "_position", "_threads", "_timeout")

    def __init__(self, changes: littoral.Changes, timeout: float | None) -> None:
        """Use `Store.changes` instead."""
        self._changes = changes
        self._timeout = timeout
        self._position = changes.position
        self._threads = Threads(1, "littoral-changes")
        self._pending: Future[Change | None] | None = None
        self._closed = False

    @property
    def position(self) -> int:
        """Where to resume: after the last change that was given."""
        return self._position

    def __aiter__(self) -> "Changes":
        return self

    async def __anext__(self) -> Change:
        found = await self._next(self._timeout)
        if found is None:
            raise StopAsyncIteration
        return found

    async def next(self, timeout: float | None = None) -> Change | None:
        """Give the next change; ``None`` if there is none within ``timeout`` seconds.

        None without a ``timeout`` is the end: the store is closed.
        """
        return await self._next(timeout)

    async def _next(self, timeout: float | None) -> Change | None:
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        while not self._closed:
            left = _SLICE if deadline is None else max(deadline - loop.time(), 0)
            if self._pending is None:
                self._pending = self._threads.submit(self._changes.next, min(left, _SLICE))
            try:
                # One that was begun by a wait that was cancelled ends within a slice.
                found = await asyncio.shield(asyncio.wrap_future(self._pending))
            except ClosedError:
                self.close()
                return None
            self._pending = None
            if found is not None:
                self._position = found.position
                return found
            if deadline is not None and loop.time() >= deadline:
                return None
        return None

    def close(self) -> None:
        """Follow no longer."""
        self._closed = True
        self._threads.end()

    def __del__(self) -> None:
        self._threads.end()
