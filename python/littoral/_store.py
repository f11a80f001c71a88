"""Stores, transactions, changes and links."""

import json
import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from html import escape
from types import TracebackType
from typing import Any

from littoral import _native
from littoral._backup import backup_of
from littoral._bundle import bundle_of
from littoral._collection import Collection, Path, TransactionCollection
from littoral._errors import ClosedError, InvalidInputError
from littoral._html import table
from littoral._native import Changes, Ticket
from littoral._records import (
    Applied,
    Backup,
    Bundle,
    CollectionStats,
    Conflict,
    Conflicts,
    Digests,
    Finding,
    Invite,
    InviteUse,
    Joins,
    LinkProgress,
    Links,
    LinkStatus,
    Member,
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
    ticket = _ticket(ticket)
    opened = _native.open(path, cache_bytes=cache_bytes, passphrase=passphrase, ticket=ticket)
    store = Store(opened)
    try:
        store.join(ticket, name=name, timeout=timeout)
    except BaseException:
        store.close()
        raise
    return store


class Store(Tape):
    """An open store: ``store["notes"]`` is the collection of that name.

    Any thread may use it. It is closed by `close`, at the end of a ``with`` block, and at the
    latest when the interpreter exits. A process that was forked while it was open can't use it.
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

            with store.write() as tx:
                tx["notes"]["n1"] = {"title": "Low tide"}
                tx["log"]["l1"] = {"about": "n1"}

        An exception in the block rolls everything back. Only one is open at a time: other
        local writes wait, this one too, for at most ``timeout`` seconds; then it is a
        `TimeoutError`. Sync does not wait for it.
        """
        return Transaction(self._store, timeout)

    def changes(self, since: int | None = None) -> Changes:
        """Follow what changes: here and, by sync, elsewhere.

            for change in store.changes():
                print(change.collection, change.id)

        Args:
            since: the position after which to begin, as `Change.position` and `position` have
                it; None is from now on, 0 from the oldest that the log holds.

        """
        return self._store.changes(since)

    def conflicts(self) -> list[Conflict]:
        """List all fields that replicas wrote without having seen each other's writes."""
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
        """Give figures for operators."""
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
        """
        found = json.loads(self._store.verify(quick))
        findings = tuple(Finding(**one) for one in found.pop("findings"))
        return Verified(**found, findings=findings)

    def digests(self, collection: str) -> Digests:
        """Give the digests of a collection; equal ones mean equal documents. Reads them all."""
        return Digests(*self._store.digests(collection))

    def trust(self, key: str) -> None:
        """Trust a peer from now on: its links are accepted."""
        self._store.trust(key)

    def distrust(self, key: str) -> bool:
        """Trust a peer no longer, and close its links; give whether it was trusted.

        What it wrote stays.
        """
        return self._store.distrust(key)

    def want(self, collections: Iterable[str] | None, *, peer: str | None = None) -> None:
        """Exchange only these collections with peers, or with one; `None` is all.

        Others neither travel nor cost; what is here stays. Links that are up go by it when they
        are made again.
        """
        self._store.want(None if collections is None else list(collections), peer)

    def trusted(self) -> list[str]:
        """List the keys of the peers that are trusted."""
        return self._store.trusted()

    def found_roster(self, name: str = "") -> None:
        """Found a roster: from now on, rights decide who may do what.

        This node is its founder, and may always do everything; people call it ``name``. Peers
        that are trusted now may read and write everything, until they are granted something
        else.
        """
        self._store.found_roster(name)

    def join_roster(self, founder: str) -> None:
        """Belong to the roster that the node with this key founded.

        What it says comes with the first link to a member.
        """
        self._store.join_roster(founder)

    @property
    def founder(self) -> str | None:
        """The key of the node that founded the roster; `None` without a roster."""
        return self._store.founder

    def members(self) -> list[Member]:
        """List all that the roster speaks of, in the order of their keys."""
        return [Member(**one) for one in self._store.members()]

    def grant(
        self, member: str, rights: str | Mapping[str, str], *, name: str | None = None
    ) -> None:
        """Say what the node with the key ``member`` may do from now on.

        It replaces all that it could do before, and spreads like any change. A key that was
        lost to somebody else should never be granted anything again: what that one wrote with
        it would be taken, too.

        Args:
            member: its key.
            rights: ``"none"``, ``"read"``, ``"write"`` or ``"admin"``, in all collections; or
                by collection, ``"*"`` being all that are not named.
            name: what people call it; without it, as before.

        Raises:
            ForbiddenError: this node is not an admin where a right would change.
            InvalidInputError: the store has no roster, or there is no such right.

        """
        words = {"*": rights} if isinstance(rights, str) else dict(rights)
        self._store.grant(member, words, name)

    def revoke(self, member: str) -> None:
        """Take all rights from a node: every node that hears of it ends its links with it.

        What it wrote that somebody who may write holds stays.
        """
        self._store.revoke(member)

    def invite(
        self,
        rights: str | Mapping[str, str] = "write",
        *,
        expires: float | timedelta = 3600.0,
        uses: int = 1,
        name: str = "",
        addresses: Iterable[str] = (),
    ) -> Ticket:
        """Make a ticket: whoever has its text can join with it, by `littoral.join`.

        A store without a roster, that trusts nobody yet, founds one by that. Hand the text,
        ``str(ticket)``, over as you would a key: it is kept nowhere.

        Args:
            rights: what the new member may do, as `grant` has it.
            expires: for how long the ticket is good: seconds, or a `timedelta`.
            uses: how many may join with it.
            name: what people call the new member; without it, as it calls itself.
            addresses: where this node is reached, ``host:port``, the likeliest first; without
                it, where it listens, so call `listen` before.

        Raises:
            ForbiddenError: this node may not give these rights.
            InvalidInputError: no address; no such right; there are peers, and no roster.
            LimitError: there are too many open invitations.

        """
        seconds = expires.total_seconds() if isinstance(expires, timedelta) else expires
        if not (seconds >= 0 and 0 <= uses < 2**32):
            raise InvalidInputError("a ticket is good for some time, and for one node or more")
        return self._store.invite(
            {"*": rights} if isinstance(rights, str) else dict(rights),
            lives_ms=int(min(seconds * 1000, 2.0**63)),
            uses=uses,
            name=name,
            addresses=list(addresses),
            own_name=_machine(),
        )

    def invites(self) -> list[Invite]:
        """List all invitations that are remembered, in the order in which they were made."""
        return [_invite(one) for one in self._store.invites()]

    def revoke_invite(self, id: str) -> bool:
        """Let nobody join any more with the ticket of this invitation.

        Give whether somebody could have. Who has joined with it stays a member: see `revoke`.
        `NotFoundError` if there is no such invitation.
        """
        return self._store.revoke_invite(id)

    def join(
        self, ticket: str | Ticket, *, name: str | None = None, timeout: float = 30.0
    ) -> "Link":
        """Become a member with a ticket, and keep up a link to the node that made it.

        For a store that is there already and belongs to the ticket's network; `littoral.join`
        makes a new one. Joining again with the same ticket does no harm. `members` tells what
        this node may do then.

        Raises what `littoral.join` does.
        """
        name = _machine() if name is None else name
        return Link(self._store.join(_ticket(ticket), name, timeout))

    def backup(self, path: str | os.PathLike[str], *, peers: bool = True) -> Backup:
        """Write all that the store holds at this moment to a file, and read it back.

        Reads, writes and sync go on meanwhile. The file is made beside its name and takes the place
        of one of that name when it is whole. The node's secret key, the log and checkpoints are not
        in it, and it is not encrypted. `littoral.restore` makes a store of it.

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

    def listen(self, address: str = "0.0.0.0:0") -> str:
        """Accept links of trusted peers at ``host:port``; port 0 takes any.

        Give ``host:port#KEY``, which peers connect to.
        """
        return self._store.listen(address)

    def connect(self, address: str) -> "Link":
        """Keep up a link to the peer at ``host:port#KEY``, and trust it.

        Returns at once; the link is made, and made again after every cut, until it is closed.
        """
        return Link(self._store.connect(address))

    def connect_known(self) -> list["Link"]:
        """Keep up a link to each peer whose address is known and that is not dialled yet.

        As of those whom this store has joined: so it needs no more than this when it is opened
        again. Gives those links.
        """
        return [Link(link) for link in self._store.connect_known()]

    def discover(self) -> None:
        """Find peers on the LAN by mDNS from now on, and be found by them.

        Members of the same roster, or peers that are trusted where there is none, and only
        those. Links with those that it finds, up to 64, and follows peers to other addresses.
        Whoever answers has to prove the peer's key. To be found, the store has to `listen`.
        IPv4 only. `NetworkError` if this machine can't listen for it (UDP 5353).
        """
        self._store.discover()

    def set_online(self, online: bool) -> None:
        """Go offline, or come back.

        Offline, all links are cut, none is made and nobody is taken in, as when a device leaves
        its network. When it returns all is cut, after at most some seconds: what is written
        after that stays here until the store is online again. Peers that were cut by
        `Link.set_enabled` stay so. A store that is opened is online.
        """
        self._store.set_online(online)

    @property
    def online(self) -> bool:
        """Whether the store links with its peers: see `set_online`."""
        return self._store.is_online()

    def links(self) -> list[LinkStatus]:
        """List how all links stand, also those that peers made."""
        return Links(_link_status(one) for one in self._store.links())

    def wait_synced(self, timeout: float = 30.0) -> None:
        """Wait until this store and its connected peers hold the same.

        What was written here before is then durable at them, and what they told to have is
        here. `TimeoutError` after ``timeout`` seconds.
        """
        self._store.wait_synced(timeout)

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


class Link:
    """A link that a store keeps up, from `Store.connect`. Dropping it leaves it as it is."""

    __slots__ = ("_link",)
    __module__ = "littoral"

    def __init__(self, link: _native.Link) -> None:
        """Use `Store.connect` instead."""
        self._link = link

    @property
    def peer(self) -> str:
        """The key of the node at the other end."""
        return self._link.peer

    def status(self) -> LinkStatus:
        """Tell how it stands."""
        return _link_status(self._link.status())

    def set_enabled(self, enabled: bool) -> None:
        """Cut all connections with this peer for now, or take them up again."""
        self._link.set_enabled(enabled)

    def wait_synced(self, timeout: float = 30.0) -> None:
        """Wait until this peer and we hold the same; see `Store.wait_synced`."""
        self._link.wait_synced(timeout)

    def close(self) -> None:
        """Close it for good. What was not yet sent is sent by the next link."""
        self._link.close()

    def __enter__(self) -> "Link":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        try:
            status = self.status()
        except ClosedError:
            return "<littoral.Link, closed>"
        return f"<littoral.Link to {status.address!r}, {status.state}>"


def _ticket(ticket: str | Ticket) -> Ticket:
    return Ticket(ticket) if isinstance(ticket, str) else ticket


def _invite(found: dict[str, Any]) -> Invite:
    used_by = tuple(InviteUse(*use) for use in found.pop("used_by"))
    return Invite(**found, used_by=used_by)


def _machine() -> str:
    """Give what this machine is called, as a member's name."""
    name = "".join(c for c in platform.node() if c.isprintable())
    return name.encode()[:128].decode(errors="ignore")


def _link_status(found: dict[str, Any]) -> LinkStatus:
    collections = {name: LinkProgress(**one) for name, one in found.pop("collections").items()}
    since: datetime | None = found.pop("connected_since")
    return LinkStatus(**found, connected_since=since, collections=collections)
