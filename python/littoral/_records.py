"""What the store reports: changes, conflicts, figures."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from littoral._html import MOST_ROWS, table


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


class InviteUse(NamedTuple):
    """Somebody joined with a ticket."""

    id: str
    """The key of the new member."""
    time: datetime
    """When."""


@dataclass(frozen=True, slots=True)
class Invite:
    """An invitation, as it is kept: without its ticket."""

    id: str
    """Its name, as `Ticket.id` has it."""
    state: str
    """``open``, ``used``, ``expired`` or ``revoked``."""
    name: str
    """What the new member is to be called; empty: as it calls itself."""
    rights: Mapping[str, str]
    """What the new member may do, as `Member.rights` has it."""
    made: datetime
    """When it was made."""
    expires: datetime
    """Until when it is good."""
    uses_left: int
    """How many more may join with it."""
    used_by: tuple[InviteUse, ...]
    """Who has, in the order in which they came."""


@dataclass(frozen=True, slots=True)
class Member:
    """A node that the roster speaks of."""

    id: str
    """Its key."""
    name: str
    """What people call it; may be empty."""
    rights: Mapping[str, str]
    """By collection ``none``, ``read``, ``write`` or ``admin``; ``*`` is all not named."""
    by: str | None
    """The key of the node that said so last; `None` of the founder."""
    since: datetime | None
    """When, by that node's clock."""


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
class LinkProgress:
    """A collection on a link."""

    sent_transactions: int
    """Transactions sent on this connection."""
    received_transactions: int
    """Transactions received on this connection."""
    unacked_bytes: int
    """Bytes of transactions sent and not acknowledged."""
    unapplied_bytes: int
    """Bytes of transactions received and not applied."""
    peer_caught_up: bool
    """Whether the peer holds all that our log held when it was last read."""
    caught_up: bool
    """Whether we hold all that the peer last said to hold."""
    trouble: str | None
    """What keeps it from going on: diverged, forked, behind, peer behind, stuck."""


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """A link, at one moment."""

    peer: str
    """The key of the node at the other end."""
    address: str
    """Where it is, or where it dialled from."""
    direction: str
    """Who dialled: outgoing is us, incoming is the peer."""
    state: str
    """connecting, connected, waiting, refused, standby, paused or closed."""
    reason: str | None
    """Why it waits, is refused or closed."""
    synced: bool
    """Whether nothing was left to send or receive."""
    connected_since: datetime | None
    """Since when it is connected."""
    rtt_ms: float | None
    """The time of a round trip, in milliseconds, while there is a connection."""
    received_bytes: int
    """Bytes received, over all connections of this link."""
    sent_bytes: int
    """Bytes sent, over all connections of this link."""
    collections: Mapping[str, LinkProgress] = field(default_factory=dict)
    """How far each collection is on the present connection."""


class Links(list[LinkStatus]):
    """How links stand: a list that a notebook shows as a table."""

    __module__ = "littoral"

    def _repr_html_(self) -> str:
        heads = [
            "peer",
            "address",
            "direction",
            "state",
            "synced",
            "round trip",
            "in",
            "out",
            "why",
        ]
        rows = [
            [
                one.peer[:10],
                one.address,
                one.direction,
                one.state,
                "yes" if one.synced else "no",
                "" if one.rtt_ms is None else f"{one.rtt_ms:.1f} ms",
                f"{one.received_bytes:,}",
                f"{one.sent_bytes:,}",
                one.reason or "",
            ]
            for one in self
        ]
        return table("Links" if self else "No links", heads, rows)


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


for _class in (
    Applied,
    AutomaticCheckpoints,
    BackedUp,
    Backup,
    Bundle,
    BundleAuthor,
    BundleCollection,
    Change,
    Checkpoint,
    CheckpointCost,
    Candidate,
    Conflict,
    CollectionStats,
    Difference,
    FieldChange,
    Hold,
    Replay,
    Restored,
    Reverted,
    Undone,
    WrittenBy,
    Stats,
    Digests,
    Finding,
    Verified,
    Member,
    Invite,
    InviteUse,
    Joins,
    LinkProgress,
    LinkStatus,
):
    _class.__module__ = "littoral"
