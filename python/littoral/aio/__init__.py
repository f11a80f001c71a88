"""The same store for asyncio: what waits is awaited.

>>> import asyncio, tempfile
>>> from littoral import aio
>>> async def main():
...     async with await aio.open(tempfile.mkdtemp()) as store:
...         notes = store["notes"]
...         await notes.put("n1", {"title": "Tide table"})
...         async with store.write() as tx:
...             await tx["notes"].merge("n1", {"done": True})
...         async with notes.edit("n1") as note:
...             note["tags"] = {"sea"}
...         async for change in store.changes(since=0, timeout=0):
...             print(change.collection, change.id)
...         return await notes.get("n1")
>>> asyncio.run(main())
notes n1
notes n1
notes n1
Document({'done': True, 'tags': {'sea'}, 'title': 'Tide table'})

Calls run in threads of the store's own, so that the event loop goes on meanwhile. One that is
cancelled while it runs is not undone: a write that has begun is finished.
"""

import asyncio
import os

import littoral
from littoral._backup import Restored
from littoral.aio._changes import Changes
from littoral.aio._collection import Collection, PastCollection, TransactionCollection
from littoral.aio._past import Past, RevertPlan
from littoral.aio._store import Link, Store
from littoral.aio._transaction import Transaction

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

for _class in (
    Changes,
    Collection,
    Link,
    Past,
    PastCollection,
    RevertPlan,
    Store,
    Transaction,
    TransactionCollection,
):
    _class.__module__ = "littoral.aio"


async def open(
    path: str | os.PathLike[str],
    *,
    create: bool = True,
    network: str | None = None,
    cache_bytes: int | None = None,
    passphrase: str | None = None,
) -> Store:
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
    ticket: str | littoral.Ticket,
    *,
    name: str | None = None,
    timeout: float = 30.0,
    cache_bytes: int | None = None,
    passphrase: str | None = None,
) -> Store:
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
