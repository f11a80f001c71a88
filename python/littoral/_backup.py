"""Backups: all of a store in a file, and a store made of it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from littoral import _native
from littoral._bundle import moment_of
from littoral._records import of_littoral

__all__ = ["BackedUp", "Backup", "Restored", "backup_check", "backup_of", "restore"]


@dataclass(frozen=True, slots=True)
class BackedUp:
    """What a backup holds of one collection."""

    documents: int
    """Documents."""
    conflicts: int
    """Documents in conflict."""
    transactions: int
    """Transactions that went into them."""
    origins: int
    """Origins in its vector."""
    cells: str
    """The digest of the cells, in hexadecimal."""


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds."""

    node: str
    """The key of the node whose store it is of."""
    made: datetime
    """Of which moment, by that node's clock."""
    bytes: int
    """The size of the file."""
    founder: str | None
    """The key of who founded the roster, if the store has one."""
    statements: int
    """Statements of the roster."""
    peers: int
    """Peers that the store trusts."""
    collections: Mapping[str, BackedUp] = field(default_factory=dict)
    """By collection, in the order of names."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What came of restoring a backup."""

    node: str
    """The key of the node that the new store is."""
    roster: bool
    """Whether it belongs to the roster of the backup, and has to be let in by one of its admins."""
    backup: Backup
    """What was in the backup, all of which the new store holds."""


of_littoral(BackedUp, Backup, Restored)


def backup_check(path: str | os.PathLike[str]) -> Backup:
    """Say what is in the backup in a file, after checking every byte of it. Needs no store.

    Raises:
        CorruptError: the file is damaged or cut short.
        InvalidInputError: it is something else.
        FormatTooNewError: it was made by a newer version.

    """
    return backup_of(_native.backup_check(path))


def restore(
    path: str | os.PathLike[str],
    directory: str | os.PathLike[str],
    *,
    roster: bool = True,
    passphrase: str | None = None,
) -> Restored:
    """Make a store of a backup: another node, with the same documents.

    It may be done as often as one likes. At the end there is a whole store in the directory, or
    nothing new; `littoral.open` opens it.

    Args:
        path: the backup.
        directory: the new store: empty, or not there.
        roster: whether the new store belongs to the roster that the backup has. It is no member
            until an admin lets it in, and can't write before that. Without, it belongs to none and
            may write: for when nobody is left who could let it in.
        passphrase: what the new node's key is encrypted with.

    Raises:
        CorruptError: the file is damaged or cut short.
        InvalidInputError: it is no backup, or the directory is not empty.
        FormatTooNewError: it was made by a newer version.

    """
    found = _native.restore(path, directory, roster=roster, passphrase=passphrase)
    return Restored(found["node"], found["roster"], backup_of(found["backup"]))


def backup_of(found: dict[str, Any]) -> Backup:
    """Make a backup's description from the keywords of the native half."""
    collections = {name: BackedUp(**one) for name, one in found.pop("collections").items()}
    return Backup(made=moment_of(found.pop("made_ms")), collections=collections, **found)
