"""Stores and links."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Literal, overload

import littoral
from littoral._collection import Path
from littoral._document import Document
from littoral._errors import ClosedError
from littoral._records import Difference, Reverted
from littoral.aio._changes import Changes
from littoral.aio._collection import Collection
from littoral.aio._past import Past, RevertPlan
from littoral.aio._threads import Threaded, Threads, awaited, written
from littoral.aio._transaction import Transaction, check_can_write

# Calls of one store that may wait at a time.
_THREADS = 32


class Link(Threaded):
    """A link that a store keeps up, from `Store.connect`. Dropping it leaves it as it is."""

    __slots__ = ()
    _sync: littoral.Link

    def __init__(self, threads: Threads, link: littoral.Link) -> None:
        """Use `Store.connect` instead."""
        self._threads = threads
        self._sync = link

    @property
    def peer(self) -> str:
        """The key of the node at the other end."""
        return self._sync.peer

    status = awaited(littoral.Link.status)
    set_enabled = awaited(littoral.Link.set_enabled)
    wait_synced = awaited(littoral.Link.wait_synced)
    close = awaited(littoral.Link.close)

    def __repr__(self) -> str:
        return repr(self._sync).replace("littoral.", "littoral.aio.")


class Store(Threaded):
    """An open store: ``store["notes"]`` is the collection of that name.

    Any number of tasks may use it, of one event loop or of several. It has the verbs of
    `littoral.Store`, awaited; `sync` is the same store without asyncio.
    """

    __slots__ = ()
    _sync: littoral.Store

    def __init__(self, store: littoral.Store) -> None:
        """Over a store that is open; closing one closes the other."""
        self._sync = store
        self._threads = Threads(_THREADS, "littoral")

    def _check_can_write(self) -> None:
        check_can_write(self._sync)

    @property
    def sync(self) -> littoral.Store:
        """The same store without asyncio. Its calls block."""
        return self._sync

    @property
    def id(self) -> str:
        """This node's public key, which peers know it by."""
        return self._sync.id

    @property
    def path(self) -> str:
        """The directory."""
        return self._sync.path

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self._sync.closed

    @property
    def position(self) -> int:
        """The position of this moment in the change feed."""
        return self._sync.position

    @property
    def online(self) -> bool:
        """Whether the store links with its peers: see `set_online`."""
        return self._sync.online

    @property
    def founder(self) -> str | None:
        """The key of the node that founded the roster; `None` without a roster."""
        return self._sync.founder

    async def close(self) -> None:
        """Write everything out, end all links and the use of the store. Twice is harmless."""
        await asyncio.to_thread(self._sync.close)
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

    def collection(self, name: str, *, must_exist: bool = False) -> Collection:
        """Give the collection with this name; it begins with its first write.

        With ``must_exist``, `UnknownCollectionError` if there is none yet.
        """
        documents = self._sync.collection(name, must_exist=must_exist)
        return Collection(self._threads, documents, self._check_can_write, self._edit)

    def __getitem__(self, name: str) -> Collection:
        return self.collection(name)

    @asynccontextmanager
    async def _edit(self, name: str, id: str, timeout: float) -> AsyncGenerator[Document, None]:
        async with self.write(timeout=timeout) as tx, tx[name].edit(id) as document:
            yield document

    def write(self, *, timeout: float = 30.0) -> Transaction:
        """Give a transaction to use with ``async with``: all of the block, or nothing.

        Other local writes wait until it ends, this one for another at most ``timeout`` seconds.
        Sync does not wait for it.
        """
        return Transaction(self._sync, timeout)

    def changes(
        self, since: int | None = None, *, timeout: float | None = None, values: bool = False
    ) -> Changes:
        """Follow what changes, with ``async for``; see `littoral.Store.changes`."""
        return Changes(self._sync.changes(since, values=values), timeout)

    collections = awaited(littoral.Store.collections)
    conflicts = awaited(littoral.Store.conflicts)
    resolve = written(littoral.Store.resolve)
    flush = awaited(littoral.Store.flush)
    set_change_values = awaited(littoral.Store.set_change_values)
    set_log_budget = awaited(littoral.Store.set_log_budget)
    prune = awaited(littoral.Store.prune)
    stats = awaited(littoral.Store.stats)
    verify = awaited(littoral.Store.verify)
    digests = awaited(littoral.Store.digests)

    backup = awaited(littoral.Store.backup)
    bundle_have = awaited(littoral.Store.bundle_have)
    bundle_create = awaited(littoral.Store.bundle_create)
    bundle_apply = awaited(littoral.Store.bundle_apply)
    bundle_inspect = awaited(littoral.Store.bundle_inspect)

    trust = awaited(littoral.Store.trust)
    distrust = awaited(littoral.Store.distrust)
    trusted = awaited(littoral.Store.trusted)
    want = awaited(littoral.Store.want)
    found_roster = awaited(littoral.Store.found_roster)
    join_roster = awaited(littoral.Store.join_roster)
    members = awaited(littoral.Store.members)
    grant = awaited(littoral.Store.grant)
    revoke = awaited(littoral.Store.revoke)
    invite = awaited(littoral.Store.invite)
    invites = awaited(littoral.Store.invites)
    revoke_invite = awaited(littoral.Store.revoke_invite)

    listen = awaited(littoral.Store.listen)
    discover = awaited(littoral.Store.discover)
    set_online = awaited(littoral.Store.set_online)
    links = awaited(littoral.Store.links)
    standings = awaited(littoral.Store.standings)
    wait_synced = awaited(littoral.Store.wait_synced)

    async def join(
        self, ticket: str | littoral.Ticket, *, name: str | None = None, timeout: float = 30.0
    ) -> Link:
        """Become a member with a ticket, and keep up a link; see `littoral.Store.join`."""
        link = self._threads.run(self._sync.join, ticket, name=name, timeout=timeout)
        return Link(self._threads, await link)

    async def connect(self, address: str) -> Link:
        """Keep up a link to the peer at ``host:port#KEY``, and trust it. Returns at once."""
        return Link(self._threads, await self._threads.run(self._sync.connect, address))

    async def connect_known(self) -> list[Link]:
        """Keep up a link to each peer whose address is known."""
        found = await self._threads.run(self._sync.connect_known)
        return [Link(self._threads, link) for link in found]

    checkpoint = awaited(littoral.Store.checkpoint)
    checkpoints = awaited(littoral.Store.checkpoints)
    checkpoint_costs = awaited(littoral.Store.checkpoint_costs)
    delete_checkpoint = awaited(littoral.Store.delete_checkpoint)
    automatic_checkpoints = awaited(littoral.Store.automatic_checkpoints)
    set_automatic_checkpoints = awaited(littoral.Store.set_automatic_checkpoints)
    automatic_checkpoint = awaited(littoral.Store.automatic_checkpoint)
    undo = written(littoral.Store.undo)
    rollback_hold = written(littoral.Store.rollback_hold)
    resume = written(littoral.Store.resume)
    holds = awaited(littoral.Store.holds)
    rollback_replay = awaited(littoral.Store.rollback_replay)

    async def at(self, label: str) -> Past:
        """Give the store as it was at a checkpoint; see `littoral.Store.at`."""
        return Past(self._threads, await self._threads.run(self._sync.at, label))

    def diff(
        self, label: str, other: str | None = None, *, collection: str | None = None
    ) -> AsyncIterator[Difference]:
        """Give what changed, with ``async for``; see `littoral.Store.diff`."""
        return self._threads.each(self._sync.diff(label, other, collection=collection))

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
    ) -> RevertPlan: ...
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
    ) -> Reverted | RevertPlan:
        """Bring documents back to what they showed at a checkpoint; see `littoral.Store.revert`."""
        what = (label, collection, id, path)
        if dry_run:
            plan = self._threads.run(
                lambda: self._sync.revert(*what, by=by, force=force, dry_run=True)
            )
            return RevertPlan(self._threads, await plan)
        self._check_can_write()
        return await self._threads.run(lambda: self._sync.revert(*what, by=by, force=force))

    def __repr__(self) -> str:
        return f"<littoral.aio.Store {self.path!r}{', closed' if self.closed else ''}>"
