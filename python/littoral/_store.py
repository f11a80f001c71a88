"""Stores, transactions, changes and links."""

import json
import os
from collections.abc import Iterable, Iterator
from html import escape
from types import TracebackType
from typing import Any

from littoral import _native
from littoral._backup import Backup, backup_of
from littoral._bundle import Applied, Bundle, bundle_of
from littoral._collection import Collection, Path, TransactionCollection
from littoral._errors import ClosedError
from littoral._html import table
from littoral._native import Changes
from littoral._peers import Link, Peers, Ticket, ticket_of
from littoral._records import (
    CollectionStats,
    Conflict,
    Conflicts,
    Digests,
    Finding,
    Joins,
    Stats,
    Verified,
)
from littoral._rewind import Tape

__all__ = ["Changes", "Link", "Store", "Ticket", "Transaction", "join", "open"]


def open(
    path: str | os.PathLike[str],
    *,
    create: bool = True,
    network: str | None = None,
    cache_bytes: int | None = None,
    passphrase: str | None = None,
) -> "Store":
    """Open the store in the directory at ``path``, or make a new one there.

    >>> with littoral.open(directory / "new") as new:
    ...     new["notes"]["n1"] = {"title": "Low tide"}
    ...     new
    <littoral.Store '...new', id=..., ['notes']>

    Args:
        path: the directory.
        create: whether to make a store where there is none.
        network: the name of the network that a new store belongs to; only stores of one
            network sync. A store keeps the network it was made for.
        cache_bytes: how much of the store to keep in memory; 32 MiB if not given.
        passphrase: what the node's key is encrypted with; a new store encrypts its key with it.

    Raises:
        LockedError: it is open already, here or in another process.
        NotAStoreError: something else is in the directory.
        PassphraseError: the passphrase is missing or wrong.

    """
    opened = _native.open(
        path, create=create, network=network, cache_bytes=cache_bytes, passphrase=passphrase
    )
    return Store(opened)


def join(
    path: str | os.PathLike[str],
    ticket: str | Ticket,
    *,
    name: str | None = None,
    timeout: float = 30.0,
    cache_bytes: int | None = None,
    passphrase: str | None = None,
) -> "Store":
    """Join with a ticket: make a store at ``path``, and become a member of the ticket's network.

    What `Store.invite` or ``littoral invite`` gave is all that it needs. The store is open when
    it returns, and syncs from then on; ``store.wait_synced()`` waits for the first time. When it
    is opened again, `Store.connect_known` goes on with it.

    >>> address = store.listen("127.0.0.1:0")
    >>> ticket = store.invite({"notes": "write"})
    >>> with littoral.join(directory / "phone", str(ticket)) as phone:
    ...     phone.wait_synced()
    ...     phone["notes"]["n1"]["title"]
    'Low tide'

    Args:
        path: the directory. A store that is there must be of the ticket's network.
        ticket: the ticket, or its text.
        name: what people call this node, if the ticket does not say; without it, the name of
            this machine.
        timeout: for how many seconds to try.
        cache_bytes: as `littoral.open` has it.
        passphrase: as `littoral.open` has it.

    Raises:
        RefusedError: the ticket was used, revoked, has expired or never was, or does not let
            this node in.
        InvalidInputError: it is no ticket; the store belongs to another network or roster.
        TimeoutError: nobody answered in time. Nothing has changed, but that there is a store.

    """
    ticket = ticket_of(ticket)
    opened = _native.open(path, cache_bytes=cache_bytes, passphrase=passphrase, ticket=ticket)
    store = Store(opened)
    try:
        store.join(ticket, name=name, timeout=timeout)
    except BaseException:
        store.close()
        raise
    return store


class Store(Peers, Tape):
    """An open store: ``store["notes"]`` is the collection of that name.

    Any thread may use it. It is closed by `close`, at the end of a ``with`` block, and at the
    latest when the interpreter exits. A process that was forked while it was open can't use it.

    >>> store.collections()
    ['notes']
    >>> store["notes"]["n1"]["title"]
    'Low tide'
    """

    __slots__ = ("__weakref__", "_store")
    __module__ = "littoral"

    def __init__(self, store: _native.Store) -> None:
        """Use `littoral.open` instead."""
        self._store = store

    @property
    def id(self) -> str:
        """This node's public key, which peers know it by."""
        return self._store.id

    @property
    def path(self) -> str:
        """The directory."""
        return os.fspath(self._store.path)

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self._store.closed

    @property
    def position(self) -> int:
        """The position of this moment in the change feed."""
        return self._store.position

    def close(self) -> None:
        """Write everything out, end all links and the use of the store. Twice is harmless."""
        self._store.close()

    def __enter__(self) -> "Store":
        if self.closed:
            raise ClosedError("the store is closed; open it again")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def collections(self) -> list[str]:
        """List the names of the collections, in order."""
        return self._store.collections()

    def collection(self, name: str, *, must_exist: bool = False) -> Collection:
        """Give the collection with this name; it begins with its first write.

        With ``must_exist``, `UnknownCollectionError` if there is none yet.
        """
        self._store.check_collection(name, must_exist)
        return Collection(self._store, name)

    def __getitem__(self, name: str) -> Collection:
        return self.collection(name)

    def __contains__(self, name: object) -> bool:
        return name in self.collections()

    def __iter__(self) -> Iterator[str]:
        return iter(self.collections())

    def write(self, *, timeout: float = 30.0) -> "Transaction":
        """Give a transaction to use with ``with``: all of the block is committed, or nothing.

        >>> with store.write() as tx:
        ...     tx["notes"]["n3"] = {"title": "Spring tide"}
        ...     tx["log"]["l1"] = {"about": "n3"}
        >>> store["log"]["l1"]
        Document({'about': 'n3'})

        An exception in the block rolls everything back. Only one is open at a time: other
        local writes wait, this one too, for at most ``timeout`` seconds; then it is a
        `TimeoutError`. Sync does not wait for it.
        """
        return Transaction(self._store, timeout)

    def changes(
        self, since: int | None = None, *, timeout: float | None = None, values: bool = False
    ) -> Changes:
        """Follow what changes: here and, by sync, elsewhere.

        >>> for change in store.changes(since=0, timeout=0):
        ...     print(change.collection, change.id)
        notes n1
        notes n2

        Without a ``timeout`` such a loop goes on until the store is closed; ``next(timeout)`` of
        what this gives waits for one change.

        Args:
            since: the position after which to begin, as `Change.position` and `position` have
                it; None is from now on, 0 from the oldest that the log holds.
            timeout: for how many seconds a loop waits for the next change; then it ends.
            values: tell in `Change.values` what documents held before and after, as far as the
                store keeps that: see `set_change_values`.

        """
        return self._store.changes(since, timeout, values)

    def set_change_values(self, bytes: int | None) -> None:
        """Keep what documents held before and after each change from now on.

        For those who ask for it by ``changes(values=True)``, up to so many bytes, the oldest go
        first; `None`, as in a new store, keeps nothing. It costs each change a reading of the
        document, and is kept in the store.

        >>> store.set_change_values(16 << 20)
        >>> since = store.position
        >>> store["notes"].merge("n1", {"title": "Spring tides"})
        >>> for change in store.changes(since, timeout=0, values=True):
        ...     print(change.values.after["title"])
        Spring tides
        >>> store.set_change_values(None)
        """
        self._store.set_change_values(bytes)

    def conflicts(self) -> list[Conflict]:
        """List all fields that replicas wrote without having seen each other's writes.

        >>> for conflict in store.conflicts():
        ...     print(conflict.id, conflict.path, [side.value for side in conflict.candidates])
        """
        return Conflicts(self._store.conflicts())

    def resolve(self, collection: str, id: str, path: Path, choice: Any) -> None:
        """Settle the conflict at ``path`` for ``choice``: a `Candidate` of it, or a value."""
        self._store.resolve(collection, id, path, choice)

    def flush(self) -> None:
        """Make everything written so far durable."""
        self._store.flush()

    def set_log_budget(
        self, collection: str, *, bytes: int | None = None, days: float | None = None
    ) -> None:
        """Set how much of a collection's history is kept for peers that were away.

        Who was away for longer is sent a snapshot. Without figures: the store's default,
        which is 64 MiB and 30 days.
        """
        ms = None if days is None else int(days * 86_400_000)
        self._store.set_log_budget(collection, bytes=bytes, ms=ms)

    def prune(self) -> int:
        """Remove what the log holds beyond its budget, and give the bytes of it.

        Writing does this as it goes; this is for a store that is seldom written to.
        """
        return self._store.prune()

    def stats(self) -> Stats:
        """Give figures for operators.

        >>> store.stats().collections["notes"].documents
        2
        """
        found = self._store.stats()
        collections = {
            name: CollectionStats(**one) for name, one in found.pop("collections").items()
        }
        joins = found.pop("joins")
        return Stats(
            **found, collections=collections, joins=None if joins is None else Joins(*joins)
        )

    def verify(self, *, quick: bool = False) -> Verified:
        """Verify every invariant of the store while it is in use. Reads all of it.

        What is wrong is no exception, but a finding. The sums of the state's pages are left to
        ``littoral verify``, which looks at a store that is closed. With `quick` the state is not
        made anew from the log for comparison, which takes the longest and needs disk.

        >>> store.verify().sound
        True
        """
        found = json.loads(self._store.verify(quick))
        findings = tuple(Finding(**one) for one in found.pop("findings"))
        return Verified(**found, findings=findings)

    def digests(self, collection: str) -> Digests:
        """Give the digests of a collection; equal ones mean equal documents. Reads them all."""
        return Digests(*self._store.digests(collection))

    def backup(self, path: str | os.PathLike[str], *, peers: bool = True) -> Backup:
        """Write all that the store holds at this moment to a file, and read it back.

        Reads, writes and sync go on meanwhile. The file is made beside its name and takes the place
        of one of that name when it is whole. The node's secret key, the log and checkpoints are not
        in it, and it is not encrypted. `littoral.restore` makes a store of it.

        >>> store.backup(directory / "monday").collections["notes"].documents
        2
        >>> littoral.restore(directory / "monday", directory / "restored").backup.bytes > 0
        True

        Args:
            path: the file.
            peers: whether the peers that the store trusts go in, with their addresses.

        Raises:
            CorruptError: the documents are not those that the store has counted, or the disk gives
                back something else than was written. There is no new file then.
            LimitError: a document is too large to sync.

        """
        return backup_of(self._store.backup(path, peers=peers))

    def bundle_have(self, path: str | os.PathLike[str]) -> None:
        """Write to a small file what this store has, for `bundle_create` elsewhere."""
        self._store.bundle_have(path)

    def bundle_create(
        self,
        path: str | os.PathLike[str],
        *,
        since: str | os.PathLike[str] | None = None,
        collections: Iterable[str] | None = None,
        snapshots: bool = True,
    ) -> Bundle:
        """Make a bundle: a file with the changes that its receiver lacks.

        >>> other.bundle_have(directory / "have")
        >>> made = store.bundle_create(directory / "stick", since=directory / "have")
        >>> made.collections["notes"].transactions
        2
        >>> other.bundle_apply(directory / "stick")["notes"].new
        2

        Args:
            path: the file; one of that name is replaced when the bundle is whole.
            since: the file of `bundle_have` at the receiver, or an earlier bundle that was given
                to it; without it, everything goes in.
            collections: only these; without it, all that the store wants.
            snapshots: whether a collection may go as a snapshot of all its documents where the
                log no longer reaches back.

        Raises:
            NotFoundError: the log does not reach back, and snapshots are not allowed.
            HistoryForkedError: the receiver has other transactions under the same names.
            RefusedError: it belongs to another network.
            CorruptError: the file of ``since`` is damaged.

        """
        names = None if collections is None else frozenset(collections)
        return bundle_of(
            self._store.bundle_create(path, since=since, collections=names, snapshots=snapshots)
        )

    def bundle_apply(
        self,
        path: str | os.PathLike[str],
        *,
        maker: str | None = None,
        collections: Iterable[str] | None = None,
    ) -> dict[str, Applied]:
        """Apply a bundle, as what a peer sends is applied. Twice is harmless.

        Gives what came of each collection. What was applied before an error stays.

        Args:
            path: the bundle.
            maker: the key of the node that made it: believe its snapshots although that node is
                not trusted. Transactions need no such word: their authors have signed them.
            collections: only these; without it, all that the store wants.

        Raises:
            CorruptError: the file is damaged or cut short.
            MissingDependencyError: it builds on what is not here.
            RefusedError: another network, or a snapshot of a node that is not trusted.

        """
        names = None if collections is None else frozenset(collections)
        applied = self._store.bundle_apply(path, maker=maker, collections=names)
        return {name: Applied(**one) for name, one in applied.items()}

    def bundle_inspect(self, path: str | os.PathLike[str]) -> Bundle:
        """Say what is in a bundle, and how much of it this store lacks.

        `littoral.bundle_inspect` does so without a store.
        """
        return bundle_of(self._store.bundle_inspect(path))

    def _repr_html_(self) -> str:
        if self.closed:
            return f"<p>{escape(repr(self))}</p>"
        stats = self.stats()
        rows = [
            [name, f"{one.documents:,}", f"{one.conflicts:,}", f"{one.log_bytes:,}"]
            for name, one in stats.collections.items()
        ]
        more = f"node {self.id}; state {stats.state_bytes:,} bytes, log {stats.log_bytes:,} bytes"
        heads = ["collection", "documents", "in conflict", "bytes in the log"]
        return table(f"Store {self.path}", heads, rows, more)

    def __repr__(self) -> str:
        if self.closed:
            return f"<littoral.Store {self.path!r}, closed>"
        return f"<littoral.Store {self.path!r}, id={self.id[:10]}, {self.collections()}>"


class Transaction:
    """A local write over any number of collections: all of it happens, or nothing.

    Begins with its ``with`` block. Reads see what it wrote.
    """

    __slots__ = ("_store", "_timeout", "_txn")
    __module__ = "littoral"

    def __init__(self, store: _native.Store, timeout: float) -> None:
        """Use `Store.write` instead."""
        self._store = store
        self._timeout = timeout
        self._txn: _native.Transaction | None = None

    def __enter__(self) -> "Transaction":
        if self._txn is not None:
            raise ClosedError("the transaction was used; open another one with store.write()")
        self._txn = self._store.begin(self._timeout)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        txn = self._begun()
        if kind is None:
            if not txn.over:
                txn.commit()
        else:
            txn.rollback()

    def _begun(self) -> _native.Transaction:
        if self._txn is None:
            raise ClosedError("the transaction begins with a block: with store.write() as tx")
        return self._txn

    def collection(self, name: str) -> TransactionCollection:
        """Give the collection with this name, as this transaction leaves it."""
        txn = self._begun()
        self._store.check_collection(name, False)
        return TransactionCollection(self._store, txn, name)

    def __getitem__(self, name: str) -> TransactionCollection:
        return self.collection(name)

    def rollback(self) -> None:
        """Give up everything that was written; what is left of the block can't write."""
        self._begun().rollback()

    def __repr__(self) -> str:
        state = "not begun" if self._txn is None else "over" if self._txn.over else "open"
        return f"<littoral.Transaction, {state}>"
