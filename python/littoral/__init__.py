"""Littoral: an edge-replicated document store.

Edit offline, sync over QUIC, converge without losing a write.

>>> import littoral, tempfile
>>> directory = tempfile.mkdtemp()
>>> with littoral.open(directory) as store:
...     notes = store["notes"]
...     notes["n1"] = {"title": "Tide table", "tags": {"sea"}, "views": littoral.Counter(1)}
...     with notes.edit("n1") as note:
...         note["tags"].add("moon")
...         note["views"] += 1
...     notes["n1"]["views"], sorted(notes["n1"]["tags"])
(Counter(2), ['moon', 'sea'])
"""

import atexit as _atexit

from littoral import _native
from littoral._backup import BackedUp, Backup, Restored, backup_check, restore
from littoral._bundle import Applied, Bundle, BundleAuthor, BundleCollection, bundle_inspect
from littoral._collection import Collection, TransactionCollection
from littoral._document import Document, Version
from littoral._errors import (
    AbortedError,
    ClosedError,
    CorruptError,
    DiskFullError,
    Error,
    FieldTypeError,
    ForbiddenError,
    ForkError,
    FormatTooNewError,
    HistoryForkedError,
    InternalError,
    InvalidInputError,
    InvalidTransactionError,
    LimitError,
    LockedError,
    MissingDependencyError,
    NestedWriteError,
    NetworkError,
    NotAStoreError,
    NotFoundError,
    OverflowError,
    PassphraseError,
    PoisonedError,
    ProtocolError,
    RefusedError,
    StorageError,
    TimeoutError,
    UnknownCollectionError,
    VersionMismatchError,
    WrongKindError,
)
from littoral._key import KeyChange, rotate_key
from littoral._peer_records import (
    Invite,
    InviteUse,
    LinkProgress,
    LinkStatus,
    Member,
    Standing,
)
from littoral._records import (
    AutomaticCheckpoints,
    Candidate,
    Change,
    ChangeValues,
    Checkpoint,
    CheckpointCost,
    CollectionStats,
    Conflict,
    Difference,
    Digests,
    FieldChange,
    Finding,
    Hold,
    Joins,
    Replay,
    Reverted,
    Stats,
    Undone,
    Verified,
    WrittenBy,
)
from littoral._store import Changes, Link, Store, Ticket, Transaction, join, open
from littoral._tape import Past, PastCollection, RevertPlan
from littoral._values import Counter, Moment, Opaque

__version__ = _native.__version__

__all__ = [
    "AbortedError",
    "Applied",
    "AutomaticCheckpoints",
    "BackedUp",
    "Backup",
    "Bundle",
    "BundleAuthor",
    "BundleCollection",
    "Candidate",
    "Change",
    "ChangeValues",
    "Changes",
    "Checkpoint",
    "CheckpointCost",
    "ClosedError",
    "Collection",
    "CollectionStats",
    "Conflict",
    "CorruptError",
    "Counter",
    "Difference",
    "Digests",
    "DiskFullError",
    "Document",
    "Error",
    "FieldChange",
    "FieldTypeError",
    "Finding",
    "ForbiddenError",
    "ForkError",
    "FormatTooNewError",
    "HistoryForkedError",
    "Hold",
    "InternalError",
    "InvalidInputError",
    "InvalidTransactionError",
    "Invite",
    "InviteUse",
    "Joins",
    "KeyChange",
    "LimitError",
    "Link",
    "LinkProgress",
    "LinkStatus",
    "LockedError",
    "Member",
    "MissingDependencyError",
    "Moment",
    "NestedWriteError",
    "NetworkError",
    "NotAStoreError",
    "NotFoundError",
    "Opaque",
    "OverflowError",
    "PassphraseError",
    "Past",
    "PastCollection",
    "PoisonedError",
    "ProtocolError",
    "RefusedError",
    "Replay",
    "Restored",
    "RevertPlan",
    "Reverted",
    "Standing",
    "Stats",
    "StorageError",
    "Store",
    "Ticket",
    "TimeoutError",
    "Transaction",
    "TransactionCollection",
    "Undone",
    "UnknownCollectionError",
    "Verified",
    "Version",
    "VersionMismatchError",
    "WrittenBy",
    "WrongKindError",
    "backup_check",
    "bundle_inspect",
    "join",
    "open",
    "restore",
    "rotate_key",
]

# Whatever is still open when the interpreter exits is closed then, in order.
_atexit.register(_native.close_all)
