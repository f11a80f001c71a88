"""Collections: of a store, of a transaction, of the past."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar, overload

import littoral
from littoral._collection import Fields
from littoral._document import Document
from littoral._frames import ArrowSource
from littoral.aio._threads import Threaded, Threads, awaited, written

T = TypeVar("T")


class Reads(Threaded):
    """What a collection of a store, one inside a transaction and one of the past have in common."""

    __slots__ = ()

    def __init__(self, threads: Threads, documents: Any) -> None:
        """Use ``store[name]``, ``tx[name]`` or ``past[name]`` instead."""
        self._threads = threads
        self._sync = documents

    @property
    def name(self) -> str:
        """The name of the collection."""
        found: str = self._sync.name
        return found

    @overload
    async def get(self, id: str, default: None = None) -> Document | None: ...
    @overload
    async def get(self, id: str, default: T) -> Document | T: ...
    async def get(self, id: str, default: Any = None) -> Any:
        """Give the document, or ``default`` if there is none."""
        return await self._threads.run(self._sync.get, id, default)

    get_field = awaited(littoral.Collection.get_field)

    async def contains(self, id: str) -> bool:
        """Tell whether there is a document with this id."""
        found: bool = await self._threads.run(self._sync.__contains__, id)
        return found

    async def count(self) -> int:
        """Tell how many documents there are."""
        found: int = await self._threads.run(self._sync.__len__)
        return found

    def __repr__(self) -> str:
        return f"<littoral.aio.{type(self).__name__} {self.name!r}>"


class Ranges(Reads):
    """What is read of many documents of a collection of a store, or of one of the past."""

    __slots__ = ()

    def scan(
        self,
        *,
        prefix: str = "",
        start: str | None = None,
        after: str | None = None,
        end: str | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> AsyncIterator[Document]:
        """Give the documents of a range, with ``async for``; see `littoral.Collection.scan`."""
        found = self._sync.scan(
            prefix=prefix, start=start, after=after, end=end, limit=limit, reverse=reverse
        )
        return self._threads.each(found)

    def __aiter__(self) -> AsyncIterator[Document]:
        return self.scan()

    to_arrow = awaited(littoral.Collection.to_arrow)
    to_pandas = awaited(littoral.Collection.to_pandas)


class Verbs(Reads):
    """What a collection of a store and one inside a transaction have in common."""

    __slots__ = ()

    has = awaited(littoral.Collection.has)
    put = written(littoral.Collection.put)
    merge = written(littoral.Collection.merge)
    delete = written(littoral.Collection.delete)
    set = written(littoral.Collection.set)
    unset = written(littoral.Collection.unset)
    add = written(littoral.Collection.add)
    remove = written(littoral.Collection.remove)
    increment = written(littoral.Collection.increment)
    resolve = written(littoral.Collection.resolve)


class Collection(Ranges, Verbs):
    """A collection of a store. Each write is a transaction of its own, durable when it is done."""

    __slots__ = ("_check", "_edit")
    _sync: littoral.Collection

    def __init__(
        self,
        threads: Threads,
        documents: littoral.Collection,
        check: Callable[[], None],
        edit: Callable[[str, str, float], AbstractAsyncContextManager[Document]],
    ) -> None:
        """Use ``store[name]`` instead."""
        super().__init__(threads, documents)
        self._check = check
        self._edit = edit

    def _check_can_write(self) -> None:
        self._check()

    def edit(self, id: str, *, timeout: float = 30.0) -> AbstractAsyncContextManager[Document]:
        """Read, change and put a document in one; one that is not there starts empty.

        What the block leaves is committed; if it raises, or is cancelled, nothing is. Other local
        writes wait until the block ends, sync does not.
        """
        return self._edit(self.name, id, timeout)

    async def put_many(
        self,
        documents: "Mapping[str, Fields] | Iterable[tuple[str, Fields]] | ArrowSource",
        *,
        batch: int = 1000,
        id_column: str = "_id",
    ) -> int:
        """Put documents, ``batch`` to a transaction; see `littoral.Collection.put_many`."""
        self._check()
        return await self._threads.run(
            self._sync.put_many, documents, batch=batch, id_column=id_column
        )

    conflicts = awaited(littoral.Collection.conflicts)


class TransactionCollection(Verbs):
    """A collection inside a transaction: reads see what the transaction wrote."""

    __slots__ = ()

    @asynccontextmanager
    async def edit(self, id: str) -> AsyncGenerator[Document, None]:
        """Read, change and put a document in one; one that is not there starts empty."""
        document = await self.get(id, Document())
        yield document
        await self.put(id, document)


class PastCollection(Ranges):
    """A collection as it was at a checkpoint; see `littoral.PastCollection`."""

    __slots__ = ()
