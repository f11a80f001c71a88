"""What is in a bundle: changes in a file."""

import os
from datetime import datetime, timedelta, timezone
from typing import Any

from littoral import _native
from littoral._records import Bundle, BundleAuthor, BundleCollection

__all__ = ["bundle_inspect", "bundle_of", "moment_of"]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


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
