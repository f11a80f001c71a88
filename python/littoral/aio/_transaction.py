"""Transactions of a task."""

import asyncio
from concurrent.futures import Future
from contextvars import ContextVar
from types import TracebackType
from typing import Any

import littoral
from littoral._errors import NestedWriteError
from littoral.aio._collection import TransactionCollection
from littoral.aio._threads import Threads

# The transactions that are open, with the tasks that have them: a task inherits this from the one
# that made it, but may wait for its transaction.
_open: ContextVar[tuple[tuple["Transaction", object], ...]] = ContextVar(
    "littoral_open", default=()
)


class Transaction:
    """A local write over any number of collections: all of it happens, or nothing.

    Begins with its ``async with`` block; an exception in it, being cancelled too, rolls back.
    """

    __slots__ = ("_over", "_threads", "_token", "_txn")

    def __init__(self, store: littoral.Store, timeout: float) -> None:
        """Use `Store.write` instead."""
        self._over = store
        # A thread of its own: a transaction belongs to the thread that began it.
        self._threads = Threads(1, "littoral-write")
        self._txn = store.write(timeout=timeout)

    async def __aenter__(self) -> "Transaction":
        if has_open(self._over):
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


def has_open(store: littoral.Store) -> bool:
    """Tell whether this task has a transaction of the store open."""
    task = asyncio.current_task()
    return any(txn._over is store and whose is task for txn, whose in _open.get())


def check_can_write(store: littoral.Store) -> None:
    """Refuse to write beside a transaction that this task has open."""
    if has_open(store):
        raise NestedWriteError(
            "this task has a transaction open, and would wait for itself: write through that "
            "transaction (await tx['notes'].put(...)), or end it first"
        )


def _give_up(begun: "Future[Any]", txn: littoral.Transaction) -> None:
    if begun.exception() is None:
        txn.rollback()
