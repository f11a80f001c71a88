"""Whom a store syncs with: trust, the roster, tickets, links."""

import platform
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from html import escape
from types import TracebackType
from typing import Any

from littoral import _native
from littoral._errors import ClosedError, InvalidInputError
from littoral._native import Ticket
from littoral._peer_records import (
    Invite,
    InviteUse,
    LinkProgress,
    Links,
    LinkStatus,
    Member,
    Standing,
    Standings,
)

__all__ = ["Link", "Peers", "Ticket", "ticket_of"]


class Peers:
    """A part of `littoral.Store`."""

    __slots__ = ()

    _store: _native.Store

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

        >>> address = store.listen("127.0.0.1:0")
        >>> str(store.invite("read", uses=3))
        'littoral1...'
        >>> [invite.state for invite in store.invites()]
        ['open']

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
        return Link(self._store.join(ticket_of(ticket), name, timeout))

    def listen(self, address: str = "0.0.0.0:0") -> str:
        """Accept links of trusted peers at ``host:port``; port 0 takes any.

        Give ``host:port#KEY``, which peers connect to; of one that listens everywhere, with the
        likeliest address of this machine.
        """
        return self._store.listen(address)

    def connect(self, address: str) -> "Link":
        """Keep up a link to the peer at ``host:port#KEY``, and trust it.

        Returns at once; the link is made, and made again after every cut, until it is closed.

        >>> store.trust(other.id)
        >>> link = other.connect(store.listen("127.0.0.1:0"))
        >>> link.wait_synced()
        >>> len(other["notes"])
        2
        >>> link.status().state, link.status().lag_transactions
        ('connected', 0)
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

    def standings(self) -> list[Standing]:
        """List how far each peer is behind in each collection, also while there is no link.

        Of peers that a link has told of since the store was opened.
        """
        return Standings(Standing(**one) for one in self._store.standings())

    def wait_synced(self, timeout: float = 30.0) -> None:
        """Wait until this store and its connected peers hold the same.

        What was written here before is then durable at them, and what they told to have is
        here. `TimeoutError` after ``timeout`` seconds.
        """
        self._store.wait_synced(timeout)


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
        behind = status.lag_transactions
        lag = f", the peer is {behind:,} transactions behind" if behind else ""
        return f"<littoral.Link to {status.address!r}, {status.state}{lag}>"

    def _repr_html_(self) -> str:
        try:
            return Links([self.status()])._repr_html_()
        except ClosedError:
            return f"<p>{escape(repr(self))}</p>"


def ticket_of(ticket: str | Ticket) -> Ticket:
    """Give a ticket, of which there may be only the text."""
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
