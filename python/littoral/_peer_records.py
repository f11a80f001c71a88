"""What a store reports of its peers: members, invitations, links."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from littoral._html import table
from littoral._records import of_littoral


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
    lag_transactions: int | None
    """Transactions that the peer lacks, as far as it has told; `None` before it has."""
    lag: timedelta | None
    """For how long there was always something that it lacked."""
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

    @property
    def lag_transactions(self) -> int:
        """Transactions that the peer lacks, of all collections, as far as it has told."""
        return sum(one.lag_transactions or 0 for one in self.collections.values())

    @property
    def lag(self) -> timedelta:
        """For how long the peer has lacked something: of the collection that is behind longest."""
        return max((one.lag for one in self.collections.values() if one.lag), default=timedelta())


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
            "behind",
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
                f"{one.lag_transactions:,} transactions" if one.lag_transactions else "",
                "" if one.rtt_ms is None else f"{one.rtt_ms:.1f} ms",
                f"{one.received_bytes:,}",
                f"{one.sent_bytes:,}",
                one.reason or "",
            ]
            for one in self
        ]
        return table("Links" if self else "No links", heads, rows)


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a peer is behind in one collection, also while there is no link with it."""

    peer: str
    """The peer's key."""
    collection: str
    """The collection."""
    live: bool
    """Whether a link tells this now. If not, it is what one told last, and what came since."""
    lag_transactions: int
    """Transactions that are here and not there, as far as is known."""
    lag: timedelta
    """For how long there was always something that it lacked."""
    stalled: timedelta
    """For how long nothing has moved although there is something to do and a link for it."""


class Standings(list[Standing]):
    """How far peers are behind: a list that a notebook shows as a table."""

    __module__ = "littoral"

    def _repr_html_(self) -> str:
        heads = ["peer", "collection", "link", "transactions behind", "for", "stalled for"]
        rows = [
            [
                one.peer[:10],
                one.collection,
                "yes" if one.live else "no",
                f"{one.lag_transactions:,}",
                f"{one.lag.total_seconds():.1f} s",
                f"{one.stalled.total_seconds():.1f} s",
            ]
            for one in self
        ]
        return table("Standings" if self else "No standings", heads, rows)


of_littoral(InviteUse, Invite, Member, LinkProgress, LinkStatus, Standing)
