"""Where calls run while the event loop goes on, and verbs that are awaited."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import wraps
from itertools import islice
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from littoral._errors import ClosedError

P = ParamSpec("P")
T = TypeVar("T")

# Fetched at a time of what is gone through.
_PAGE = 128


class Threads:
    """Threads that calls run in."""

    def __init__(self, workers: int, name: str) -> None:
        """Start none yet."""
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix=name)

    def submit(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Run a call; it goes on also if nobody waits for it any more."""
        try:
            return self._pool.submit(call, *args, **kwargs)
        except RuntimeError:
            raise ClosedError("the store is closed; open it again") from None

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a call, and wait for it."""
        return await asyncio.wrap_future(self.submit(call, *args, **kwargs))

    async def each(self, found: Iterator[T]) -> AsyncIterator[T]:
        """Give what an iterator gives, fetched some at a time."""
        while page := await self.run(lambda: list(islice(found, _PAGE))):
            for one in page:
                yield one

    def end(self) -> None:
        """Take no more calls; those that run are not waited for."""
        self._pool.shutdown(wait=False)


class Threaded:
    """What has the verbs of something without asyncio, and threads to run them in."""

    __slots__ = ("_sync", "_threads")
    _sync: Any
    _threads: Threads

    def _check_can_write(self) -> None:
        """Refuse what would wait for a transaction that this task has open."""


def awaited(
    verb: Callable[Concatenate[Any, P], T],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]:
    """Give a verb of what is without asyncio, with its signature and its text, to be awaited."""

    @wraps(verb)
    async def call(self: Any, *args: P.args, **kwargs: P.kwargs) -> T:
        found: T = await self._threads.run(getattr(self._sync, verb.__name__), *args, **kwargs)
        return found

    call.__doc__ = _without_examples(verb.__doc__)
    return cast("Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]", call)


def written(
    verb: Callable[Concatenate[Any, P], T],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]:
    """Give a verb that writes, as `awaited` does."""

    @wraps(verb)
    async def call(self: Any, *args: P.args, **kwargs: P.kwargs) -> T:
        self._check_can_write()
        found: T = await self._threads.run(getattr(self._sync, verb.__name__), *args, **kwargs)
        return found

    call.__doc__ = _without_examples(verb.__doc__)
    return cast("Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]", call)


def _without_examples(text: str | None) -> str:
    """Leave out what is without ``await``."""
    parts = (text or "").split("\n\n")
    return "\n\n".join(part for part in parts if not part.lstrip().startswith(">>>"))
