"""The native half of `littoral`: use the classes of the package, which are built on it."""

import os
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, final

from littoral._document import Document
from littoral._frames import ArrowSchema, ArrowSource
from littoral._records import Change, Conflict, Difference

__all__ = [
    "ArrowStream",
    "Changes",
    "Diff",
    "Link",
    "Past",
    "Scan",
    "Store",
    "Tape",
    "Ticket",
    "Transaction",
    "Version",
    "__version__",
    "backup_check",
    "bundle_inspect",
    "close_all",
    "open",
    "restore",
    "rotate_key",
]

__version__: str

def open(
    path: str | os.PathLike[str],
    *,
    create: bool = True,
    network: str | None = None,
    cache_bytes: int | None = None,
    passphrase: str | None = None,
    ticket: Ticket | None = None,
) -> Store:
    """Opens the store in a directory, or makes a new one there."""

def backup_check(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Says what is in the backup in a file, after checking all of it. Needs no store."""

def restore(
    path: str | os.PathLike[str],
    directory: str | os.PathLike[str],
    *,
    roster: bool = True,
    passphrase: str | None = None,
) -> dict[str, Any]:
    """Makes a store in a directory of the backup in a file."""

def bundle_inspect(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Says what is in the bundle in a file. Needs no store."""

def rotate_key(
    path: str | os.PathLike[str], *, passphrase: str | None = None
) -> tuple[str, str, list[str]]:
    """Gives the store in a directory a new key: the old one, the new one, who has yet to hear."""

def close_all() -> None:
    """Closes all stores of this process: called when the interpreter exits."""

@final
class Version:
    """What the reader of a document had seen of it. Opaque; handed back with a put or a delete."""

    def __new__(
        cls, store: str, collection: str, id: str, data: bytes, past: bool = False
    ) -> Version:
        """From the parts that pickling took it apart into."""

    @property
    def id(self) -> str:
        """The id of the document."""

    @property
    def collection(self) -> str:
        """The collection of the document."""

    def __bytes__(self) -> bytes: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __copy__(self) -> Version: ...
    def __deepcopy__(self, _memo: Any) -> Version: ...
    def __reduce__(self) -> tuple[type[Version], tuple[str, str, str, bytes, bool]]: ...

@final
class Ticket:
    """A ticket: whoever has its text can join with it. `str(ticket)` is the text."""

    def __new__(cls, text: str) -> Ticket:
        """From its text, in any case and with white space."""

    @property
    def id(self) -> str:
        """The name of the invitation, from which the ticket can't be told."""

    @property
    def inviter(self) -> str:
        """The key of the node that made it, which whoever answers must prove to hold."""

    @property
    def expires(self) -> datetime:
        """Until when it is good, by the clock of the node that made it."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where that node may be reached, `host:port`, the likeliest first."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __reduce__(self) -> tuple[type[Ticket], tuple[str]]: ...

@final
class ArrowStream:
    """Documents as a stream of Arrow batches.

    For `pyarrow.table(..)`, `polars.from_arrow(..)` and whatever else takes the Arrow C stream
    interface. It can be read once.
    """

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...
    def __arrow_c_schema__(self) -> object: ...

@final
class Scan:
    """The documents of a scan, or only their ids."""

    def __iter__(self) -> Scan: ...
    def __next__(self) -> Any: ...

@final
class Changes:
    """The changes of a store from a position on."""

    def next(self, timeout: float | None = None) -> Change | None:
        """The next change; waits for it, at most `timeout` seconds if that is given.

        None is "nothing in that time".
        """

    @property
    def position(self) -> int:
        """Where to resume: after the last change that was given."""

    def __iter__(self) -> Changes: ...
    def __next__(self) -> Change:
        """Waits for the next change; ends when the store is closed."""

@final
class Link:
    """A link that this store keeps up."""

    @property
    def peer(self) -> str:
        """The key of the node at the other end."""

    def status(self) -> dict[str, Any]:
        """How it stands, as keywords of `littoral.LinkStatus`."""

    def set_enabled(self, enabled: bool) -> None:
        """Cuts all connections with this peer, or takes them up again."""

    def wait_synced(self, timeout: float) -> None:
        """Waits until this peer and we hold the same."""

    def close(self) -> None:
        """Closes it for good."""

@final
class Tape:
    """The checkpoints of a store, and what goes back to them."""

    def checkpoint(self, label: str) -> dict[str, Any]:
        """Makes a checkpoint; gives keywords of `littoral.Checkpoint`."""

    def checkpoints(self) -> list[dict[str, Any]]:
        """All checkpoints, each as keywords of `littoral.Checkpoint`."""

    def checkpoint_costs(self) -> list[dict[str, Any]]:
        """What each checkpoint costs, as keywords of `littoral.CheckpointCost`."""

    def delete_checkpoint(self, label: str) -> None:
        """Deletes a checkpoint."""

    def automatic(self) -> tuple[int, int] | None:
        """How many checkpoints the store makes by itself and keeps, and for how many ms."""

    def set_automatic(self, keep: int, age_ms: int) -> None:
        """Says how many the store is to make by itself and keep, and for how many ms."""

    def automatic_checkpoint(self, why: str) -> dict[str, Any] | None:
        """Makes one as the store does by itself, if one is needed."""

    def at(self, label: str) -> Past:
        """The store as it was at a checkpoint."""

    def diff(self, label: str, other: str | None = None, collection: str | None = None) -> Diff:
        """What differs between a checkpoint and another one, or now."""

    def revert_plan(
        self,
        label: str,
        collection: str | None = None,
        id: str | None = None,
        path: Any | None = None,
        by: str | None = None,
        force: bool = False,
    ) -> Diff:
        """What `revert` would write."""

    def revert(
        self,
        label: str,
        collection: str | None = None,
        id: str | None = None,
        path: Any | None = None,
        by: str | None = None,
        force: bool = False,
    ) -> dict[str, Any]:
        """Brings documents back to what they showed; gives keywords of `littoral.Reverted`."""

    def undo(
        self, collection: str | None = None, force: bool = False, dry_run: bool = False
    ) -> tuple[datetime, tuple[Difference, ...]]:
        """Takes back what this node wrote last: when that was, and what differs by it."""

    def hold(self, label: str, collection: str | None = None) -> tuple[dict[str, Any], ...]:
        """Holds collections back to a checkpoint: which, as keywords of `littoral.Hold`."""

    def resume(self, collection: str | None = None) -> tuple[dict[str, Any], ...]:
        """Holds collections back no longer: which were."""

    def holds(self) -> tuple[dict[str, Any], ...]:
        """The collections that are held back."""

    def rollback_replay(
        self, label: str, scratch: str | os.PathLike[str] | None = None
    ) -> tuple[dict[str, Any], Diff]:
        """Applies the log after a checkpoint again, beside the store, and compares."""

@final
class Past:
    """The store as it was at a checkpoint."""

    @property
    def checkpoint(self) -> dict[str, Any]:
        """The checkpoint, as keywords of `littoral.Checkpoint`."""

    @property
    def closed(self) -> bool:
        """Whether it is closed, or its store is."""

    def close(self) -> None:
        """Reads it no longer."""

    def collections(self) -> list[str]:
        """The names of the collections that there were, in order."""

    def digests(self, collection: str) -> tuple[str, str]:
        """The two digests that a collection had, in hexadecimal: shown, cells."""

    def len(self, collection: str) -> int:
        """How many documents a collection had."""

    def get(self, collection: str, id: str) -> Document | None:
        """The document with this id, if there was one."""

    def get_field(self, collection: str, id: str, path: Any) -> tuple[Any] | None:
        """The field at a path, in a tuple; None if it was not there."""

    def contains(self, collection: str, id: str) -> bool:
        """Whether there was a document with this id."""

    def scan(
        self,
        collection: str,
        *,
        prefix: str = "",
        start: str | None = None,
        after: str | None = None,
        end: str | None = None,
        limit: int | None = None,
        reverse: bool = False,
        ids_only: bool = False,
    ) -> Scan:
        """The documents of a range in the order of their ids, or only the ids."""

    def arrow(
        self,
        collection: str,
        *,
        schema: ArrowSchema | None = None,
        id_column: str = "_id",
        prefix: str = "",
        start: str | None = None,
        after: str | None = None,
        end: str | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> ArrowStream:
        """The documents of a range as a stream of Arrow batches.

        In the columns of `schema`, or in those that all of them have in common. Their ids are in
        the column `id_column`.
        """

@final
class Diff:
    """Documents that differ, fetched some at a time, handed out one by one."""

    @property
    def left(self) -> list[str]:
        """Collections that a revert would leave alone, since they were left since."""

    def __iter__(self) -> Diff: ...
    def __next__(self) -> Difference: ...

@final
class Transaction:
    """A local write over any number of collections: all of it happens, or nothing."""

    @property
    def over(self) -> bool:
        """Whether it was committed or rolled back."""

    def commit(self) -> None:
        """Commits: durable and visible when this returns."""

    def rollback(self) -> None:
        """Gives up everything that was written; harmless if the transaction is over."""

    def touched(self, collection: str) -> list[str]:
        """The ids of the documents that were written here, in order."""

    def get(self, collection: str, id: str) -> Document | None:
        """The document as this transaction leaves it."""

    def get_or_absent(self, collection: str, id: str) -> Document:
        """The document, or an empty one that a put begins."""

    def get_field(self, collection: str, id: str, path: Any) -> tuple[Any] | None:
        """The field at a path, in a tuple; None if it is not there."""

    def has(self, collection: str, id: str, path: Any, element: Any) -> bool:
        """Whether the set at a path has an element."""

    def contains(self, collection: str, id: str) -> bool:
        """Whether there is a document with this id."""

    def put(
        self, collection: str, id: str, fields: dict[str, Any], version: Version | None = None
    ) -> None:
        """Replaces a document."""

    def merge(self, collection: str, id: str, fields: dict[str, Any]) -> None:
        """Writes the fields given and leaves the others alone."""

    def delete(self, collection: str, id: str, version: Version | None = None) -> bool:
        """Deletes a document; gives whether it was there."""

    def set(self, collection: str, id: str, path: Any, field: Any) -> None:
        """Writes one field."""

    def unset(self, collection: str, id: str, path: Any) -> bool:
        """Removes one field; gives whether it was there."""

    def add(self, collection: str, id: str, path: Any, element: Any) -> None:
        """Adds an element to a set."""

    def remove(self, collection: str, id: str, path: Any, element: Any) -> bool:
        """Removes an element from a set; gives whether it was there."""

    def increment(self, collection: str, id: str, path: Any, by: Any) -> None:
        """Adds to a counter."""

    def resolve(self, collection: str, id: str, path: Any, choice: Any) -> None:
        """Settles a conflict."""

@final
class Store:
    """An open store."""

    @property
    def id(self) -> str:
        """This node's public key."""

    @property
    def path(self) -> Path:
        """The directory."""

    @property
    def closed(self) -> bool:
        """Whether the store is closed."""

    @property
    def position(self) -> int:
        """The position of this moment."""

    def close(self) -> None:
        """Writes everything out and ends the use of the store."""

    def collections(self) -> list[str]:
        """The names of the collections, in order."""

    def check_collection(self, collection: str, must_exist: bool) -> None:
        """Checks the name of a collection; with `must_exist`, also that it is there."""

    def flush(self) -> None:
        """Makes everything written so far durable."""

    def set_log_budget(
        self, collection: str, *, bytes: int | None = None, ms: int | None = None
    ) -> None:
        """Sets how much of a collection's history the log keeps; without figures, the default."""

    def prune(self) -> int:
        """Removes what the log holds beyond its budget; gives the bytes."""

    def stats(self) -> dict[str, Any]:
        """Figures, as nested dicts."""

    def verify(self, quick: bool = False) -> str:
        """What verifying the store finds, as JSON."""

    def digests(self, collection: str) -> tuple[str, str]:
        """The two digests of a collection, in hexadecimal: shown, cells."""

    def conflicts(self, collection: str | None = None) -> list[Conflict]:
        """All conflicts, or those of one collection."""

    def set_change_values(self, bytes: int | None) -> None:
        """Keeps what documents held around changes, up to so many bytes; None: no more."""

    def changes(
        self, since: int | None = None, timeout: float | None = None, values: bool = False
    ) -> Changes:
        """The changes after a position; None is from now on, 0 from the oldest in the log.

        A loop over them ends after `timeout` seconds without any.
        """

    def begin(self, timeout: float) -> Transaction:
        """Opens a transaction; waits up to `timeout` seconds for another one that is open."""

    def len(self, collection: str) -> int:
        """How many documents a collection has."""

    def get(self, collection: str, id: str) -> Document | None:
        """The document with this id."""

    def get_field(self, collection: str, id: str, path: Any) -> tuple[Any] | None:
        """The field at a path, in a tuple; None if it is not there."""

    def has(self, collection: str, id: str, path: Any, element: Any) -> bool:
        """Whether the set at a path has an element."""

    def contains(self, collection: str, id: str) -> bool:
        """Whether there is a document with this id."""

    def scan(
        self,
        collection: str,
        *,
        prefix: str = "",
        start: str | None = None,
        after: str | None = None,
        end: str | None = None,
        limit: int | None = None,
        reverse: bool = False,
        ids_only: bool = False,
    ) -> Scan:
        """The documents of a range in the order of their ids, or only the ids."""

    def put(
        self, collection: str, id: str, fields: dict[str, Any], version: Version | None = None
    ) -> None:
        """Replaces a document."""

    def arrow(
        self,
        collection: str,
        *,
        schema: ArrowSchema | None = None,
        id_column: str = "_id",
        prefix: str = "",
        start: str | None = None,
        after: str | None = None,
        end: str | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> ArrowStream:
        """The documents of a range as a stream of Arrow batches.

        In the columns of `schema`, or in those that all of them have in common. Their ids are in
        the column `id_column`.
        """

    def put_arrow(
        self,
        collection: str,
        source: ArrowSource,
        *,
        id_column: str = "_id",
        batch: int = 1000,
        told: Callable[[int], object] | None = None,
    ) -> int:
        """Puts the rows of what has the Arrow C stream interface, `batch` at a time.

        Tells `told` after each how many there were, and gives how many there were in all.
        """

    def put_many(
        self,
        collection: str,
        pairs: Iterable[tuple[str, Any]],
        batch: int,
        told: Callable[[int], object] | None = None,
    ) -> int:
        """Puts pairs of id and fields, `batch` at a time; gives how many there were.

        Tells `told` after each batch how many were in it.
        """

    def merge(self, collection: str, id: str, fields: dict[str, Any]) -> None:
        """Writes the fields given and leaves the others alone."""

    def delete(self, collection: str, id: str, version: Version | None = None) -> bool:
        """Deletes a document; gives whether it was there."""

    def set(self, collection: str, id: str, path: Any, field: Any) -> None:
        """Writes one field."""

    def unset(self, collection: str, id: str, path: Any) -> bool:
        """Removes one field; gives whether it was there."""

    def add(self, collection: str, id: str, path: Any, element: Any) -> None:
        """Adds an element to a set."""

    def remove(self, collection: str, id: str, path: Any, element: Any) -> bool:
        """Removes an element from a set; gives whether it was there."""

    def increment(self, collection: str, id: str, path: Any, by: Any) -> None:
        """Adds to a counter."""

    def resolve(self, collection: str, id: str, path: Any, choice: Any) -> None:
        """Settles a conflict."""

    def tape(self) -> Tape:
        """Its checkpoints, and what goes back to them."""

    def backup(self, path: str | os.PathLike[str], *, peers: bool = True) -> dict[str, Any]:
        """Writes all that the store holds to a file; gives what is in it."""

    def trust(self, key: str) -> None:
        """Trusts a peer from now on."""

    def distrust(self, key: str) -> bool:
        """Trusts a peer no longer; gives whether it was trusted."""

    def trusted(self) -> list[str]:
        """The keys of the peers that are trusted."""

    def found_roster(self, name: str) -> None:
        """Founds a roster, of which this node is the founder."""

    def join_roster(self, founder: str) -> None:
        """Belongs to the roster that a node founded."""

    @property
    def founder(self) -> str | None:
        """The key of the node that founded the roster."""

    def members(self) -> list[dict[str, Any]]:
        """All members, each as keywords of `littoral.Member`."""

    def grant(self, member: str, rights: dict[str, str], name: str | None = None) -> None:
        """Says what a member may do from now on, in words by collection."""

    def revoke(self, member: str) -> None:
        """Takes all rights from a member."""

    def invite(
        self,
        rights: dict[str, str],
        *,
        lives_ms: int,
        uses: int,
        name: str,
        addresses: list[str],
        own_name: str,
    ) -> Ticket:
        """Makes a ticket, with rights in words by collection."""

    def invites(self) -> list[dict[str, Any]]:
        """All invitations, each as keywords of `littoral.Invite`."""

    def revoke_invite(self, id: str) -> bool:
        """Lets nobody join with a ticket any more; gives whether somebody could have."""

    def join(self, ticket: Ticket, name: str, timeout: float) -> Link:
        """Becomes a member with a ticket, and keeps up a link to whoever made it."""

    def want(self, collections: list[str] | None, peer: str | None = None) -> None:
        """Which collections to exchange with peers, or with one; `None` is all."""

    def bundle_have(self, path: str | os.PathLike[str]) -> None:
        """Writes to a file what this store has."""

    def bundle_create(
        self,
        path: str | os.PathLike[str],
        *,
        since: str | os.PathLike[str] | None = None,
        collections: frozenset[str] | None = None,
        snapshots: bool = True,
    ) -> dict[str, Any]:
        """Makes a bundle in a file; gives what is in it, as keywords of `littoral.Bundle`."""

    def bundle_apply(
        self,
        path: str | os.PathLike[str],
        *,
        maker: str | None = None,
        collections: frozenset[str] | None = None,
    ) -> dict[str, Any]:
        """Applies the bundle in a file; gives of each collection what `littoral.Applied` takes."""

    def bundle_inspect(self, path: str | os.PathLike[str]) -> dict[str, Any]:
        """Says what is in the bundle in a file, and what of it is new."""

    def listen(self, address: str) -> str:
        """Accepts links of trusted peers at `host:port`; gives `host:port#KEY` for them."""

    def connect(self, address: str) -> Link:
        """Keeps up a link to the peer at `host:port#KEY`, and trusts it."""

    def connect_known(self) -> list[Link]:
        """Keeps up a link to each peer whose address is known and that is not dialled yet."""

    def discover(self) -> None:
        """Finds peers on the LAN from now on, and is found by them."""

    def set_online(self, online: bool) -> None:
        """Cuts all links and makes none, or goes back to what it was."""

    def is_online(self) -> bool:
        """Whether it links with its peers."""

    def standings(self) -> list[dict[str, Any]]:
        """How far each peer is behind, by peer and collection: keywords of `littoral.Standing`."""

    def links(self) -> list[dict[str, Any]]:
        """How all links stand, each as keywords of `littoral.LinkStatus`."""

    def wait_synced(self, timeout: float) -> None:
        """Waits until this store and its peers hold the same."""
