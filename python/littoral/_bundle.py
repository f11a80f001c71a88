"""What is in a bundle: changes in a file."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from littoral import _native
from littoral._records import of_littoral

__all__ = [
    "Applied",
    "Bundle",
    "BundleAuthor",
    "BundleCollection",
    "bundle_inspect",
    "bundle_of",
    "moment_of",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class BundleAuthor(NamedTuple):
    """The transactions of one author in a bundle."""

    author: str
    """The author's key."""
    incarnation: int
    """Which life of its store: 0, unless that was restored or copied."""
    first: int
    """The number of the first."""
    last: int
    """The number of the last; all between are there."""


@dataclass(frozen=True, slots=True)
class BundleCollection:
    """What a bundle carries of one collection."""

    snapshot: bool
    """All documents, not transactions: the log of its maker no longer reached back so far."""
    since: int
    """Transactions that its receiver was taken to have; they are left out."""
    transactions: int
    """Transactions in it."""
    documents: int
    """Documents that they write, one counted for each of them; or the snapshot's documents."""
    bytes: int
    """Bytes of transactions or documents."""
    oldest: datetime | None
    """The oldest transaction, by its author's clock. None of a snapshot."""
    newest: datetime | None
    """The newest."""
    authors: tuple[BundleAuthor, ...]
    """Whose transactions; of a snapshot, those that went into it."""
    new: int | None
    """Of what it brings, the transactions that the store lacks, if a store was asked."""
    missing: int | None
    """Of what it leaves out, the transactions that the store lacks, if a store was asked."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """What is in a bundle."""

    maker: str
    """The key of the node that made it."""
    made: datetime
    """When, by its maker's clock."""
    bytes: int
    """Its size."""
    collections: Mapping[str, BundleCollection] = field(default_factory=dict)
    """By collection, in the order of names."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What came of one collection of a bundle."""

    snapshot: bool
    """Whether it came as a snapshot."""
    wanted: bool
    """Whether the store wants it; if not, it was passed over."""
    new: int
    """Transactions that were new."""
    duplicates: int
    """Transactions that were here already."""


of_littoral(Applied, Bundle, BundleAuthor, BundleCollection)


def bundle_inspect(path: str | os.PathLike[str]) -> Bundle:
    """Say what is in the bundle in a file, after checking all of it. Needs no store.

    Raises:
        CorruptError: the file is damaged or cut short.
        InvalidTransactionError: something in it is not what its author signed.

    """
    return bundle_of(_native.bundle_inspect(path))


def bundle_of(found: dict[str, Any]) -> Bundle:
    """Make a bundle's description from the keywords of the native half."""
    collections = {name: _collection(one) for name, one in found["collections"].items()}
    return Bundle(found["maker"], moment_of(found["made_ms"]), found["bytes"], collections)


def _collection(found: dict[str, Any]) -> BundleCollection:
    oldest, newest = found.pop("oldest_ms"), found.pop("newest_ms")
    authors = tuple(BundleAuthor(*author) for author in found.pop("authors"))
    return BundleCollection(
        **found,
        authors=authors,
        oldest=None if oldest is None else moment_of(oldest),
        newest=None if newest is None else moment_of(newest),
    )


def moment_of(ms: int) -> datetime:
    """Give the moment; a clock that is wilder than Python's calendar ends with it."""
    try:
        return _EPOCH + timedelta(milliseconds=ms)
    except OverflowError:
        return datetime.max.replace(tzinfo=timezone.utc)
