"""The same store for asyncio: what waits is awaited.

>>> import asyncio, tempfile
>>> from littoral import aio
>>> async def main():
...     async with await aio.open(tempfile.mkdtemp()) as store:
...         notes = store["notes"]
...         await notes.put("n1", {"title": "Tide table"})
...         async with store.write() as tx:
...             await tx["notes"].merge("n1", {"done": True})
...         return await notes.get("n1")
>>> asyncio.run(main())
Document({'done': True, 'title': 'Tide table'})

Calls run in threads of the store's own, so that the event loop goes on meanwhile. One that is
cancelled while it runs is not undone: a write that has begun is finished.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from datetime import timedelta
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, overload

import littoral
from littoral._collection import Fields, Path
from littoral._document import Document, Version
from littoral._errors import ClosedError, NestedWriteError
from littoral._frames import ArrowSource
from littoral._records import (
    AutomaticCheckpoints,
    Backup,
    Change,
    Checkpoint,
    CheckpointCost,
    Conflict,
    Difference,
    Hold,
    LinkStatus,
    Replay,
    Restored,
    Reverted,
    Stats,
    Undone,
)
from littoral._store import Ticket

if TYPE_CHECKING:
    import pyarrow as _pyarrow

__all__ = [
    "Changes",
    "Collection",
    "Link",
    "Past",
    "PastCollection",
    "RevertPlan",
    "Store",
    "Transaction",
    "TransactionCollection",
    "join",
    "open",
    "restore",
]

P = ParamSpec("P")
T = TypeVar("T")

# Calls of one store that may wait at a time.
_THREADS = 32
# For how long a follower of changes waits in its thread before it looks whether it is over.
_SLICE = 0.2

# The transactions that are open, with the tasks that have them: a task inherits this from the one
# that made it, but may wait for its transaction.
_open: ContextVar[tuple[tuple["Transaction", object], ...]] = ContextVar(
    "littoral_open", default=()
)


async def open(
    path: str | os.PathLike[str],
    *,
    create: bool = True,
    network: str | None = None,
    cache_bytes: int | None = None,
    passphrase: str | None = None,
) -> "Store":
    """Open the store in the directory at ``path``, or make a new one; see `littoral.open`."""
    opened = await asyncio.to_thread(
        littoral.open,
        path,
        create=create,
        network=network,
        cache_bytes=cache_bytes,
        passphrase=passphrase,
    )
    return Store(opened)


async def join(
    path: str | os.PathLike[str],
    ticket: str | Ticket,
    *,
    name: str | None = None,
    timeout: float = 30.0,
    cache_bytes: int | None = None,
    passphrase: str | None = None,
) -> "Store":
    """Join with a ticket, and give the store; see `littoral.join`."""
    joined = await asyncio.to_thread(
        littoral.join,
        path,
        ticket,
        name=name,
        timeout=timeout,
        cache_bytes=cache_bytes,
        passphrase=passphrase,
    )
    return Store(joined)


class _Threads:
    """Where calls run, and what they run on."""

    def __init__(self, workers: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix=name)

    def submit(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        try:
            return self._pool.submit(call, *args, **kwargs)
        except RuntimeError:
            raise ClosedError("the store is closed; open it again") from None

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.wrap_future(self.submit(call, *args, **kwargs))

    async def each(self, found: Iterator[T]) -> AsyncIterator[T]:
        """Give what an iterator gives, fetched some at a time."""

        def some() -> list[T]:
            return list(islice(found, 128))

        while page := await self.run(some):
            for one in page:
                yield one

    def end(self) -> None:
        self._pool.shutdown(wait=False)


async def restore(
    path: str | os.PathLike[str],
    directory: str | os.PathLike[str],
    *,
    roster: bool = True,
    passphrase: str | None = None,
) -> Restored:
    """Make a store of a backup; see `littoral.restore`."""
    return await asyncio.to_thread(
        littoral.restore, path, directory, roster=roster, passphrase=passphrase
    )


class Store:
    """An open store: ``store["notes"]`` is the collection of that name.

    Any number of tasks may use it, of one event loop or of several. `sync` is the same store
    without asyncio, for all that is not here.
    """

    __slots__ = ("_store", "_threads")

    def __init__(self, store: littoral.Store) -> None:
        """Over a store that is open; closing one closes the other."""
        self._store = store
        self._threads = _Threads(_THREADS, "littoral")

    @property
    def sync(self) -> littoral.Store:
        """The same store without asyncio. Its calls block."""
        return self._store

    @property
    def id(self) -> str:
        """This node's public key, which peers know it by."""
        return self._store.id

    @property
    def path(self) -> str:
        """The directory."""
        return self._store.path

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self._store.closed

    async def close(self) -> None:
        """Write everything out, end all links and the use of the store. Twice is harmless."""
        await asyncio.to_thread(self._store.close)
        self._threads.end()

    async def __aenter__(self) -> "Store":
        if self.closed:
            raise ClosedError("the store is closed; open it again")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def collections(self) -> list[str]:
        """List the names of the collections, in order."""
        return await self._threads.run(self._store.collections)

    def collection(self, name: str) -> "Collection":
        """Give the collection with this name; it begins with its first write."""
        return Collection(self, self._store[name])

    def __getitem__(self, name: str) -> "Collection":
        return self.collection(name)

    def write(self, *, timeout: float = 30.0) -> "Transaction":
        """Give a transaction to use with ``async with``: all of the block, or nothing.

        Other local writes wait until it ends, this one for another at most ``timeout`` seconds.
        Sync does not wait for it.
        """
        return Transaction(self, timeout)

    def changes(self, since: int | None = None) -> "Changes":
        """Follow what changes, with ``async for``; see `littoral.Store.changes`."""
        return Changes(self._store.changes(since))

    async def conflicts(self) -> list[Conflict]:
        """List all fields that replicas wrote without having seen each other's writes."""
        return await self._threads.run(self._store.conflicts)

    async def flush(self) -> None:
        """Make everything written so far durable."""
        await self._threads.run(self._store.flush)

    async def stats(self) -> Stats:
        """Give figures for operators."""
        return await self._threads.run(self._store.stats)

    async def checkpoint(self, label: str) -> Checkpoint:
        """Make a checkpoint; see `littoral.Store.checkpoint`."""
        return await self._threads.run(self._store.checkpoint, label)

    async def checkpoints(self) -> list[Checkpoint]:
        """List the checkpoints, in the order in which they were made."""
        return await self._threads.run(self._store.checkpoints)

    async def checkpoint_costs(self) -> list[CheckpointCost]:
        """List the checkpoints with what each costs. Reads all that is kept for them."""
        return await self._threads.run(self._store.checkpoint_costs)

    async def delete_checkpoint(self, label: str) -> None:
        """Delete a checkpoint, and what was kept for it alone."""
        await self._threads.run(self._store.delete_checkpoint, label)

    async def automatic_checkpoints(self) -> AutomaticCheckpoints | None:
        """Give what is kept of checkpoints that the store makes by itself."""
        return await self._threads.run(self._store.automatic_checkpoints)

    async def set_automatic_checkpoints(
        self, keep: int = 8, age: timedelta = timedelta(days=7)
    ) -> None:
        """Say how many checkpoints the store makes by itself and keeps, and for how long."""
        await self._threads.run(self._store.set_automatic_checkpoints, keep, age)

    async def automatic_checkpoint(self, why: str) -> Checkpoint | None:
        """Make a checkpoint as the store does by itself, if one is needed."""
        return await self._threads.run(self._store.automatic_checkpoint, why)

    async def at(self, label: str) -> "Past":
        """Give the store as it was at a checkpoint; see `littoral.Store.at`."""
        return Past(self, await self._threads.run(self._store.at, label))

    def diff(
        self, label: str, other: str | None = None, *, collection: str | None = None
    ) -> AsyncIterator[Difference]:
        """Give what changed, with ``async for``; see `littoral.Store.diff`."""
        return self._threads.each(self._store.diff(label, other, collection=collection))

    @overload
    async def revert(
        self,
        label: str,
        collection: str | None = None,
        id: str | None = None,
        path: Path | None = None,
        *,
        by: str | None = None,
        force: bool = False,
        dry_run: Literal[False] = False,
    ) -> Reverted: ...
    @overload
    async def revert(
        self,
        label: str,
        collection: str | None = None,
        id: str | None = None,
        path: Path | None = None,
        *,
        by: str | None = None,
        force: bool = False,
        dry_run: Literal[True],
    ) -> "RevertPlan": ...
    async def revert(
        self,
        label: str,
        collection: str | None = None,
        id: str | None = None,
        path: Path | None = None,
        *,
        by: str | None = None,
        force: bool = False,
        dry_run: bool = False,
    ) -> "Reverted | RevertPlan":
        """Bring documents back to what they showed at a checkpoint; see `littoral.Store.revert`."""
        if dry_run:
            plan = self._threads.run(
                self._store.revert,
                label,
                collection,
                id,
                path,
                by=by,
                force=force,
                dry_run=True,
            )
            return RevertPlan(self, await plan)
        _check_not_writing(self)
        return await self._threads.run(
            self._store.revert, label, collection, id, path, by=by, force=force
        )

    async def undo(
        self, collection: str | None = None, *, force: bool = False, dry_run: bool = False
    ) -> Undone:
        """Take back what this node wrote last; see `littoral.Store.undo`."""
        if not dry_run:
            _check_not_writing(self)
        return await self._threads.run(self._store.undo, collection, force=force, dry_run=dry_run)

    async def rollback_hold(self, label: str, collection: str | None = None) -> tuple[Hold, ...]:
        """Show a collection as it was at a checkpoint; see `littoral.Store.rollback_hold`."""
        _check_not_writing(self)
        return await self._threads.run(self._store.rollback_hold, label, collection)

    async def resume(self, collection: str | None = None) -> tuple[Hold, ...]:
        """End what `rollback_hold` began; see `littoral.Store.resume`."""
        _check_not_writing(self)
        return await self._threads.run(self._store.resume, collection)

    async def holds(self) -> tuple[Hold, ...]:
        """The collections that are held back to a checkpoint."""
        return await self._threads.run(self._store.holds)

    async def rollback_replay(
        self, label: str, *, scratch: str | os.PathLike[str] | None = None
    ) -> Replay:
        """Apply the log after a checkpoint again; see `littoral.Store.rollback_replay`.

        What differs is read from the disk as it is gone through.
        """
        return await self._threads.run(self._store.rollback_replay, label, scratch=scratch)

    async def backup(self, path: str | os.PathLike[str], *, peers: bool = True) -> Backup:
        """Write all that the store holds to a file; see `littoral.Store.backup`."""
        return await self._threads.run(self._store.backup, path, peers=peers)

    async def listen(self, address: str = "0.0.0.0:0") -> str:
        """Accept links of trusted peers; give ``host:port#KEY``, which peers connect to."""
        return await self._threads.run(self._store.listen, address)

    async def connect(self, address: str) -> "Link":
        """Keep up a link to the peer at ``host:port#KEY``, and trust it. Returns at once."""
        return Link(self, await self._threads.run(self._store.connect, address))

    async def connect_known(self) -> list["Link"]:
        """Keep up a link to each peer whose address is known."""
        found = await self._threads.run(self._store.connect_known)
        return [Link(self, link) for link in found]

    async def trust(self, key: str) -> None:
        """Trust a peer from now on: its links are accepted."""
        await self._threads.run(self._store.trust, key)

    async def invite(
        self,
        rights: str | Mapping[str, str] = "write",
        *,
        expires: float | timedelta = 3600.0,
        uses: int = 1,
        name: str = "",
        addresses: Iterable[str] = (),
    ) -> Ticket:
        """Make a ticket: whoever has its text can join with it; see `littoral.Store.invite`."""
        return await self._threads.run(
            self._store.invite, rights, expires=expires, uses=uses, name=name, addresses=addresses
        )

    async def set_online(self, online: bool) -> None:
        """Go offline, or come back; see `littoral.Store.set_online`."""
        await self._threads.run(self._store.set_online, online)

    @property
    def online(self) -> bool:
        """Whether the store links with its peers."""
        return self._store.online

    async def links(self) -> list[LinkStatus]:
        """List how all links stand, also those that peers made."""
        return await self._threads.run(self._store.links)

    async def wait_synced(self, timeout: float = 30.0) -> None:
        """Wait until this store and its connected peers hold the same.

        `TimeoutError` after ``timeout`` seconds.
        """
        await self._threads.run(self._store.wait_synced, timeout)

    def __repr__(self) -> str:
        return f"<littoral.aio.Store {self.path!r}{', closed' if self.closed else ''}>"


class _Reads:
    """What a collection of a store, one inside a transaction and one of the past have in common."""

    __slots__ = ("_documents", "_threads")
    _documents: "littoral.Collection | littoral.TransactionCollection | littoral.PastCollection"
    _threads: _Threads

    @property
    def name(self) -> str:
        """The name of the collection."""
        return self._documents.name

    @overload
    async def get(self, id: str) -> Document | None: ...
    @overload
    async def get(self, id: str, default: T) -> Document | T: ...
    async def get(self, id: str, default: Any = None) -> Any:
        """Give the document, or ``default`` if there is none."""
        return await self._threads.run(self._documents.get, id, default)

    async def get_field(self, id: str, path: Path, default: Any = None) -> Any:
        """Give one field of a document, or ``default`` if there is no such one."""
        return await self._threads.run(self._documents.get_field, id, path, default)

    async def contains(self, id: str) -> bool:
        """Tell whether there is a document with this id."""
        return await self._threads.run(self._documents.__contains__, id)

    async def count(self) -> int:
        """Tell how many documents there are."""
        return await self._threads.run(self._documents.__len__)


class _Ranges(_Reads):
    """What is read of many documents of a collection of a store, or of one of the past."""

    __slots__ = ()
    _documents: "littoral.Collection | littoral.PastCollection"

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
        found = self._documents.scan(
            prefix=prefix, start=start, after=after, end=end, limit=limit, reverse=reverse
        )
        return self._threads.each(found)

    def __aiter__(self) -> AsyncIterator[Document]:
        return self.scan()

    async def to_arrow(self, **how: Any) -> "_pyarrow.Table":
        """Give the documents as a table of pyarrow; see `littoral.Collection.to_arrow`."""
        return await self._threads.run(self._documents.to_arrow, **how)


class _Verbs(_Reads):
    """What a collection of a store and one inside a transaction have in common."""

    __slots__ = ()
    _documents: "littoral.Collection | littoral.TransactionCollection"

    async def _write(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._threads.run(call, *args, **kwargs)

    async def has(self, id: str, path: Path, element: Any) -> bool:
        """Tell whether the set at ``path`` has ``element``."""
        return await self._threads.run(self._documents.has, id, path, element)

    async def put(self, id: str, fields: Fields, *, version: Version | None = None) -> None:
        """Replace a document; see `littoral.Collection.put`."""
        await self._write(self._documents.put, id, fields, version=version)

    async def merge(self, id: str, fields: Fields) -> None:
        """Write the fields given, map by map, and leave the others alone."""
        await self._write(self._documents.merge, id, fields)

    async def delete(self, id: str, *, version: Version | None = None) -> bool:
        """Delete a document; give whether it was there."""
        return await self._write(self._documents.delete, id, version=version)

    async def set(self, id: str, path: Path, value: Any) -> None:
        """Write one field; maps on the way to it are created."""
        await self._write(self._documents.set, id, path, value)

    async def unset(self, id: str, path: Path) -> bool:
        """Remove one field; give whether it was there."""
        return await self._write(self._documents.unset, id, path)

    async def add(self, id: str, path: Path, element: Any) -> None:
        """Add an element to a set, which is created if nothing is there."""
        await self._write(self._documents.add, id, path, element)

    async def remove(self, id: str, path: Path, element: Any) -> bool:
        """Remove an element from a set; give whether it was there."""
        return await self._write(self._documents.remove, id, path, element)

    async def increment(self, id: str, path: Path, by: int = 1) -> None:
        """Add to a counter, which is created if nothing is there."""
        await self._write(self._documents.increment, id, path, by)

    async def resolve(self, id: str, path: Path, choice: Any) -> None:
        """Settle the conflict at ``path`` for ``choice``: a `Candidate` of it, or a value."""
        await self._write(self._documents.resolve, id, path, choice)


class Collection(_Ranges, _Verbs):
    """A collection of a store. Each write is a transaction of its own, durable when it is done."""

    __slots__ = ("_store",)
    _documents: littoral.Collection

    def __init__(self, store: Store, collection: littoral.Collection) -> None:
        """Use ``store[name]`` instead."""
        self._store = store
        self._threads = store._threads
        self._documents = collection

    async def _write(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        _check_not_writing(self._store)
        return await self._threads.run(call, *args, **kwargs)

    def edit(self, id: str, *, timeout: float = 30.0) -> AbstractAsyncContextManager[Document]:
        """Read, change and put a document in one; one that is not there starts empty.

        async with notes.edit("n1") as note:
            note["title"] = "High tide"
        """
        return self._edit(id, timeout)

    @asynccontextmanager
    async def _edit(self, id: str, timeout: float) -> AsyncIterator[Document]:
        async with self._store.write(timeout=timeout) as tx:
            documents = tx[self.name]
            document = await documents.get(id)
            if document is None:
                document = Document()
            yield document
            await documents.put(id, document)

    async def put_many(
        self,
        documents: "Mapping[str, Fields] | Iterable[tuple[str, Fields]] | ArrowSource",
        *,
        batch: int = 1000,
        id_column: str = "_id",
    ) -> int:
        """Put documents, ``batch`` to a transaction; see `littoral.Collection.put_many`."""
        return await self._write(
            self._documents.put_many, documents, batch=batch, id_column=id_column
        )

    async def conflicts(self) -> list[Conflict]:
        """List the conflicts in this collection."""
        return await self._threads.run(self._documents.conflicts)

    def __repr__(self) -> str:
        return f"<littoral.aio.Collection {self.name!r}>"


class TransactionCollection(_Verbs):
    """A collection inside a transaction: reads see what the transaction wrote."""

    __slots__ = ()

    def __init__(self, threads: _Threads, documents: littoral.TransactionCollection) -> None:
        """Use ``tx[name]`` instead."""
        self._threads = threads
        self._documents = documents

    def __repr__(self) -> str:
        return f"<littoral.aio.TransactionCollection {self.name!r}>"


class Transaction:
    """A local write over any number of collections: all of it happens, or nothing.

    Begins with its ``async with`` block; an exception in it, being cancelled too, rolls back.
    """

    __slots__ = ("_over", "_threads", "_timeout", "_token", "_txn")

    def __init__(self, store: Store, timeout: float) -> None:
        """Use `Store.write` instead."""
        self._over = store
        self._timeout = timeout
        # A thread of its own: a transaction belongs to the thread that began it.
        self._threads = _Threads(1, "littoral-write")
        self._txn = store.sync.write(timeout=timeout)

    async def __aenter__(self) -> "Transaction":
        if _has_open(self._over):
            raise NestedWriteError("this task has a transaction of this store open already")
        begun = self._threads.submit(self._txn.__enter__)
        try:
            await asyncio.shield(asyncio.wrap_future(begun))
        except BaseException:
            # Cancelled while it waited: if it still begins, it ends at once.
            self._threads.submit(_give_up, begun, self._txn)
            self._threads.end()
            raise
        self._token = _open.set((*_open.get(), (self, asyncio.current_task())))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _open.reset(self._token)
        ended = self._threads.submit(self._txn.__exit__, kind, value, traceback)
        self._threads.end()
        await asyncio.shield(asyncio.wrap_future(ended))

    def collection(self, name: str) -> TransactionCollection:
        """Give the collection with this name, as this transaction leaves it."""
        return TransactionCollection(self._threads, self._txn[name])

    def __getitem__(self, name: str) -> TransactionCollection:
        return self.collection(name)

    async def rollback(self) -> None:
        """Give up everything that was written; what is left of the block can't write."""
        await self._threads.run(self._txn.rollback)

    def __repr__(self) -> str:
        return repr(self._txn).replace("littoral.", "littoral.aio.")


def _has_open(store: Store) -> bool:
    task = asyncio.current_task()
    return any(txn._over is store and whose is task for txn, whose in _open.get())


def _check_not_writing(store: Store) -> None:
    if _has_open(store):
        raise NestedWriteError(
            "this task has a transaction open, and would wait for itself: write through that "
            "transaction (await tx['notes'].put(...)), or end it first"
        )


def _give_up(begun: "Future[Any]", txn: littoral.Transaction) -> None:
    if begun.exception() is None:
        txn.rollback()


class Past:
    """A store as it was at a checkpoint, from `Store.at`; see `littoral.Past`."""

    __slots__ = ("_past", "_threads")

    def __init__(self, store: Store, past: littoral.Past) -> None:
        """Use `Store.at` instead."""
        self._threads = store._threads
        self._past = past

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint."""
        return self._past.checkpoint

    @property
    def closed(self) -> bool:
        """Whether it is closed, or its store is."""
        return self._past.closed

    async def close(self) -> None:
        """Read it no longer. Twice is harmless."""
        await asyncio.to_thread(self._past.close)

    async def __aenter__(self) -> "Past":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def collections(self) -> list[str]:
        """List the names of the collections that there were, in order."""
        return await self._threads.run(self._past.collections)

    def collection(self, name: str) -> "PastCollection":
        """Give the collection with this name as it was; without documents if it was not there."""
        return PastCollection(self._threads, self._past[name])

    def __getitem__(self, name: str) -> "PastCollection":
        return self.collection(name)

    def __repr__(self) -> str:
        return repr(self._past).replace("littoral.", "littoral.aio.")


class PastCollection(_Ranges):
    """A collection as it was at a checkpoint; see `littoral.PastCollection`."""

    __slots__ = ()

    def __init__(self, threads: _Threads, documents: littoral.PastCollection) -> None:
        """Use ``past[name]`` instead."""
        self._threads = threads
        self._documents = documents

    def __repr__(self) -> str:
        return f"<littoral.aio.PastCollection {self.name!r}>"


class RevertPlan:
    """What a revert would write, with ``async for``; see `littoral.RevertPlan`."""

    __slots__ = ("_plan", "_threads")

    def __init__(self, store: Store, plan: littoral.RevertPlan) -> None:
        """Use `Store.revert` instead."""
        self._threads = store._threads
        self._plan = plan

    @property
    def left(self) -> tuple[str, ...]:
        """Collections that were left since the checkpoint, and would not be written again."""
        return self._plan.left

    def __aiter__(self) -> AsyncIterator[Difference]:
        return self._threads.each(self._plan)


class Changes:
    """What changes from a position on, with ``async for``. None is lost if a wait is cancelled."""

    __slots__ = ("_changes", "_closed", "_pending", "_position", "_threads")

    def __init__(self, changes: littoral.Changes) -> None:
        """Use `Store.changes` instead."""
        self._changes = changes
        self._position = changes.position
        self._threads = _Threads(1, "littoral-changes")
        self._pending: Future[Change | None] | None = None
        self._closed = False

    @property
    def position(self) -> int:
        """Where to resume: after the last change that was given."""
        return self._position

    def __aiter__(self) -> "Changes":
        return self

    async def __anext__(self) -> Change:
        while not self._closed:
            if self._pending is None:
                self._pending = self._threads.submit(self._changes.next, _SLICE)
            try:
                found = await asyncio.shield(asyncio.wrap_future(self._pending))
            except ClosedError:
                self.close()
                break
            self._pending = None
            if found is not None:
                self._position = found.position
                return found
        raise StopAsyncIteration

    async def next(self, timeout: float | None = None) -> Change | None:
        """Give the next change; ``None`` if there is none within ``timeout`` seconds.

        None without a ``timeout`` is the end: the store is closed.
        """
        try:
            return await asyncio.wait_for(self.__anext__(), timeout)
        except (TimeoutError, asyncio.TimeoutError, StopAsyncIteration):
            return None

    def close(self) -> None:
        """Follow no longer."""
        self._closed = True
        self._threads.end()

    def __del__(self) -> None:
        self._threads.end()


class Link:
    """A link that a store keeps up, from `Store.connect`. Dropping it leaves it as it is."""

    __slots__ = ("_link", "_threads")

    def __init__(self, store: Store, link: littoral.Link) -> None:
        """Use `Store.connect` instead."""
        self._threads = store._threads
        self._link = link

    @property
    def peer(self) -> str:
        """The key of the node at the other end."""
        return self._link.peer

    async def status(self) -> LinkStatus:
        """Tell how it stands."""
        return await self._threads.run(self._link.status)

    async def wait_synced(self, timeout: float = 30.0) -> None:
        """Wait until this peer and we hold the same; see `Store.wait_synced`."""
        await self._threads.run(self._link.wait_synced, timeout)

    async def close(self) -> None:
        """Close it for good. What was not yet sent is sent by the next link."""
        await self._threads.run(self._link.close)

    def __repr__(self) -> str:
        return repr(self._link).replace("littoral.", "littoral.aio.")
