"""What the store reports: changes, conflicts, figures."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from littoral._document import Document
from littoral._html import MOST_ROWS, table


def of_littoral(*classes: type) -> None:
    """Show classes where users import them from."""
    for one in classes:
        one.__module__ = "littoral"


@dataclass(frozen=True, slots=True)
class ChangeValues:
    """What a document held before and after a change."""

    before: Document | None
    """The document that the transaction found here; `None` if there was none."""
    after: Document | None
    """The document that it left; `None` if there was none any more."""


@dataclass(frozen=True, slots=True)
class Change:
    """A document was written by a transaction."""

    position: int
    """Where to resume after this change: ``store.changes(since=position)``."""
    collection: str
    """The collection."""
    id: str
    """The document; what it holds now is to be read."""
    author: str
    """The key of the node that wrote it."""
    time: datetime
    """When, by its author's clock."""
    local: bool
    """Whether this node wrote it."""
    values: ChangeValues | None = None
    """What the document held before and after, if that was asked for and is known.

    Of a snapshot, of a document of more than 256 KiB and of what came before
    `Store.set_change_values` or is beyond its budget, it is not.
    """


@dataclass(frozen=True, slots=True)
class Candidate:
    """One side of a conflict."""

    value: Any
    """What it would show."""
    author: str
    """The key of the node that wrote it."""
    time: datetime
    """When, by its author's clock."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A field that replicas wrote without having seen each other's writes."""

    collection: str
    """The collection."""
    id: str
    """The document."""
    path: tuple[str, ...]
    """The field."""
    candidates: tuple[Candidate, ...]
    """What was written, by whom and when; the first is shown, everywhere."""


class Conflicts(list[Conflict]):
    """Conflicts: a list that a notebook shows as a table."""

    __module__ = "littoral"

    def _repr_html_(self) -> str:
        rows = [
            [one.collection, one.id, "/".join(one.path), *_side(candidate)]
            for one in self[:MOST_ROWS]
            for candidate in one.candidates
        ]
        heads = ["collection", "document", "field", "value", "author", "time"]
        more = f"{len(self) - MOST_ROWS:,} more" if len(self) > MOST_ROWS else ""
        return table("Conflicts" if self else "No conflicts", heads, rows, more)


def _side(candidate: Candidate) -> list[Any]:
    return [candidate.value, candidate.author[:10], f"{candidate.time:%Y-%m-%d %H:%M:%S}"]


@dataclass(frozen=True, slots=True)
class CollectionStats:
    """What a collection holds."""

    documents: int
    """Documents."""
    conflicts: int
    """Documents in conflict."""
    transactions: int
    """Transactions applied."""
    origins: int
    """Writers, counted by incarnation."""
    exported: int
    """Own transactions above this were never handed to anyone."""
    pruned: int
    """Transactions that the log no longer holds."""
    log_bytes: int
    """Bytes of its transactions in the log."""
    log_budget_bytes: int
    """How many bytes of its transactions the log keeps."""
    log_budget_ms: int
    """And no longer than this."""


@dataclass(frozen=True, slots=True)
class Joins:
    """What became of those who wanted to join here, since the network was started."""

    joined: int
    """How many became members."""
    refused: Mapping[str, int]
    """How many did not, by why: unknown, expired, used, revoked, former, elsewhere, .."""


@dataclass(frozen=True, slots=True)
class Stats:
    """What a store holds and has done."""

    id: str
    """This node."""
    state_bytes: int
    """Bytes of the materialised state."""
    log_bytes: int
    """Bytes of transactions that the log holds."""
    log_budget_bytes: int
    """What the budgets of all collections allow the log together."""
    log_start: int
    """The oldest position that the log holds."""
    log_held: str | None
    """What keeps the log beyond its budget, if anything does."""
    log_pins_expired: int
    """Pins that held too much of the log and have expired."""
    log_syncs: int
    """Syncs of the log to disk since the store was opened."""
    position: int
    """The end of the log."""
    failure: str | None
    """Why the store refuses writes, if it does."""
    collections: Mapping[str, CollectionStats] = field(default_factory=dict)
    """By collection, in the order of names."""
    kept_off: Mapping[str, int] | None = None
    """How often somebody was kept off since the network was started, by kind; `None` as long as
    there is no network."""
    joins: Joins | None = None
    """What became of those who showed a ticket; `None` as long as there is no network."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was found out about a store."""

    level: str
    """How bad it is: ``note``, ``warning`` or ``damage``."""
    code: str
    """What it is, for programs: stable."""
    place: str
    """Where: a file, a collection."""
    document: str | None
    """The id of the document that it is about, if it is about one."""
    what: str
    """What was found and what it means."""
    advice: str
    """What to do about it."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What came of verifying a store."""

    sound: bool
    """Whether nothing is damaged. There may be notes."""
    more: int
    """Findings that are not listed, since there are many of their kind."""
    collections: int
    """Collections examined."""
    documents: int
    """Documents examined."""
    transactions: int
    """Transactions of the log examined."""
    log_bytes: int
    """Bytes of log examined."""
    rebuilt: int
    """Collections that were made anew from the log and compared."""
    findings: tuple[Finding, ...] = ()
    """What was found, the worst first."""


class Digests(NamedTuple):
    """Two digests of a collection, in hexadecimal."""

    shown: str
    """Of what readers see: equal where the documents are."""
    cells: str
    """Of the cells behind it, which sync compares."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A moment of the store that can be read, compared with and gone back to."""

    label: str
    """Its name."""
    made: datetime
    """When it was made, by this node's clock."""
    position: int
    """Where the change feed stood."""
    automatic: bool
    """Whether it was made by the store itself."""


@dataclass(frozen=True, slots=True)
class CheckpointCost:
    """What a checkpoint costs."""

    checkpoint: Checkpoint
    """The checkpoint."""
    rows: int
    """Rows that were kept as they were between it and the next one."""
    bytes: int
    """Bytes of those."""
    freed_bytes: int
    """Bytes of kept rows that would go if this checkpoint alone were deleted."""
    log_held: bool
    """Whether the log still holds all that came after it."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """What is different of one field."""

    path: tuple[str, ...]
    """The field."""
    change: str
    """``added``, ``removed`` or ``changed``."""
    before: Any
    """What it was; `None` also if it was added."""
    after: Any
    """What it is; `None` also if it was removed."""


@dataclass(frozen=True, slots=True)
class WrittenBy:
    """Who wrote something that differs."""

    path: tuple[str, ...]
    """The field."""
    author: str
    """The key of the node that wrote it."""
    time: datetime
    """When, by its author's clock."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What is different of one document."""

    collection: str
    """The collection."""
    id: str
    """The document."""
    before: dict[str, Any] | None
    """What it showed before; `None` if it was not there."""
    after: dict[str, Any] | None
    """What it showed after; `None` if it was not there."""
    fields: tuple[FieldChange, ...]
    """The fields that differ, in the order of their paths; none if the document came or went.

    Maps that are there on both sides are compared field by field; 1 is not 1.0 and not `True`."""
    written: tuple[WrittenBy, ...] = ()
    """Who wrote what is there now."""
    kept: tuple[WrittenBy, ...] = ()
    """What a revert or an undo keeps, since others have changed it."""


@dataclass(frozen=True, slots=True)
class Reverted:
    """What a revert brought back."""

    documents: int
    """Documents that were changed."""
    transactions: int
    """Transactions that it took."""
    left: tuple[str, ...]
    """Collections of the checkpoint that were left since, and were not written again."""
    kept: int = 0
    """Fields that were left as they are, since others have changed them."""


@dataclass(frozen=True, slots=True)
class Undone:
    """What was, or would be, undone."""

    time: datetime
    """When it had been written, by this node's clock."""
    changes: tuple[Difference, ...]
    """Of each document what it showed, and what it shows without that."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A collection that shows what it did at a checkpoint."""

    collection: str
    """The collection."""
    label: str
    """The checkpoint."""
    since: datetime
    """Since when, by this node's clock."""
    documents: int
    """How many documents it shows."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of a replay."""

    checkpoint: str
    """From where it began."""
    outcome: str
    """``same``, ``mended`` (documents that were damaged unnoticed are right now) or ``differs``."""
    mended: int
    """Documents that were put right."""
    transactions: int
    """Transactions that were applied again."""
    documents: int
    """Documents that were made anew and compared."""
    differing: Mapping[str, int]
    """Collections in which anything differs, each with how many documents do."""
    differences: Iterator[Difference] = field(repr=False, compare=False)
    """Documents that differ, or did: what the store shows, and what was replayed.

    Can be gone through once."""


@dataclass(frozen=True, slots=True)
class AutomaticCheckpoints:
    """What is kept of checkpoints that a store makes by itself."""

    keep: int
    """The newest so many; 0: none are made."""
    age: timedelta
    """Not those that were made longer ago than this."""


of_littoral(
    Change,
    ChangeValues,
    Candidate,
    Conflict,
    CollectionStats,
    Joins,
    Stats,
    Finding,
    Verified,
    Digests,
    Checkpoint,
    CheckpointCost,
    FieldChange,
    WrittenBy,
    Difference,
    Reverted,
    Undone,
    Hold,
    Replay,
    AutomaticCheckpoints,
)
