"""The key of a node."""

import os
from dataclasses import dataclass

from littoral import _native

__all__ = ["KeyChange", "rotate_key"]


@dataclass(frozen=True, slots=True)
class KeyChange:
    """What became of a change of a node's key."""

    old: str
    """The key that was given up."""
    new: str
    """The key that stands for the node now."""
    untold: tuple[str, ...]
    """Those who have yet to hear of it: with a roster when they link, without one by hand."""


def rotate_key(path: str | os.PathLike[str], *, passphrase: str | None = None) -> KeyChange:
    """Give the store in a directory, which nobody may have open, a new key.

    It goes on with its history, and as the member that it was. Members of its roster hear of
    the new key when they link with it; without a roster, peers have to be told.

    Args:
        path: the directory.
        passphrase: what the key is encrypted with, the old one and the new one.

    Raises:
        ForbiddenError: the node founded its roster, or is no member of it.
        InvalidInputError: some have not heard of the last change yet.
        LockedError: the store is open, here or in another process.

    """
    old, new, untold = _native.rotate_key(path, passphrase=passphrase)
    return KeyChange(old, new, tuple(untold))


KeyChange.__module__ = "littoral"
