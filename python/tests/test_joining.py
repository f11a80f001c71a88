"""Tickets: from nothing to synced, and every way in which it does not come to that."""

import pickle
import signal
import socket
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

import littoral
from littoral import Ticket


@pytest.fixture
def hub(tmp_path: Path) -> littoral.Store:
    """A store of a network of its own that listens; closed when the interpreter exits."""
    hub = littoral.open(tmp_path / "hub", network="tides")
    hub.listen("127.0.0.1:0")
    return hub


def nowhere(hub: littoral.Store) -> Ticket:
    """A ticket that names a place where nobody is."""
    return hub.invite(addresses=["127.0.0.1:9"])


def test_a_ticket_is_all_that_a_new_store_needs(hub: littoral.Store, tmp_path: Path) -> None:
    hub["notes"]["n"] = {"title": "Tides"}
    hub["plans"]["p"] = {"title": "Harbour"}
    text = str(hub.invite({"notes": "write"}, name="phone"))
    with littoral.join(tmp_path / "phone", f" {text.upper()}\n") as phone:
        phone.wait_synced(timeout=30)
        assert phone["notes"]["n"]["title"] == "Tides"
        assert phone.collections() == ["notes"], "it does not hear of others"
        phone["notes"]["m"] = {"title": "Ebb"}
        phone.wait_synced(timeout=30)
        assert hub["notes"]["m"]["title"] == "Ebb"
        members = {member.id: member for member in phone.members()}
        assert members[phone.id].rights == {"notes": "write"}
        assert members[phone.id].name == "phone"
        (invite,) = hub.invites()
        assert (invite.state, invite.uses_left) == ("used", 0)
        (use,) = invite.used_by
        assert use.id == phone.id
        assert abs(use.time - datetime.now(timezone.utc)) < timedelta(minutes=5)
        # For who is in, twice is harmless.
        phone.join(text).wait_synced(timeout=30)
        stats = hub.stats()
        assert stats.joins == littoral.Joins(joined=2, refused={})
        assert stats.kept_off is not None
        assert stats.kept_off["breaches"] == 0
    hub["notes"]["o"] = {"title": "Flood"}
    with littoral.open(tmp_path / "phone") as phone:
        assert phone.stats().joins is None
        (link,) = phone.connect_known()
        link.wait_synced(timeout=30)
        assert phone["notes"]["o"]["title"] == "Flood"
        assert phone.connect_known() == []


def test_used_revoked_and_expired_tickets_let_nobody_in(
    hub: littoral.Store, tmp_path: Path
) -> None:
    used = hub.invite("read")
    littoral.join(tmp_path / "first", used).close()
    revoked = hub.invite(uses=2)
    assert hub.revoke_invite(revoked.id) is True
    assert hub.revoke_invite(revoked.id) is False
    expired = hub.invite(expires=0.05)
    while hub.invites()[2].state != "expired":
        time.sleep(0.01)
    states = [invite.state for invite in hub.invites()]
    assert states == ["used", "revoked", "expired"]
    for number, ticket in enumerate((used, revoked, expired)):
        with pytest.raises(littoral.RefusedError):
            littoral.join(tmp_path / str(number), ticket, timeout=30)
    # A store was made, is closed, and may try another ticket.
    good = hub.invite(expires=timedelta(days=1), uses=2)
    with littoral.join(tmp_path / "0", good) as one, littoral.join(tmp_path / "1", good) as two:
        assert one.founder == two.founder == hub.founder == hub.id
    assert [use.id for use in hub.invites()[3].used_by] == [one.id, two.id]
    with pytest.raises(KeyError, match="no invitation"):
        hub.revoke_invite(hub.id)
    with pytest.raises(ValueError, match="52 letters"):
        hub.revoke_invite("nothing")


def test_a_ticket_shows_whose_it_is_and_hides_what_lets_in(hub: littoral.Store) -> None:
    ticket = hub.invite(expires=timedelta(hours=2), addresses=["192.0.2.7:4433", "[::1]:9"])
    text = str(ticket)
    assert ticket.inviter == hub.id
    assert ticket.addresses == ("192.0.2.7:4433", "[::1]:9")
    assert timedelta(hours=1) < ticket.expires - datetime.now(timezone.utc) < timedelta(hours=2)
    assert ticket.id == hub.invites()[0].id
    assert ticket == Ticket(text) == pickle.loads(pickle.dumps(ticket))
    assert len({ticket, Ticket(text), hub.invite()}) == 2
    assert ticket != text
    shown = repr(ticket) + repr(hub.invites())
    assert text not in shown
    assert text[9:] not in shown


@pytest.mark.parametrize("garbage", ["", "littoral1", "hello", "littoral1" + "a" * 90, "x" * 9999])
def test_what_is_no_ticket_is_a_value_error(store: littoral.Store, garbage: str) -> None:
    with pytest.raises(littoral.InvalidInputError):
        Ticket(garbage)
    with pytest.raises(ValueError, match="ticket"):
        store.join(garbage)


def test_a_mistyped_ticket_makes_no_store(hub: littoral.Store, tmp_path: Path) -> None:
    text = str(hub.invite())
    wrong = text[:20] + ("b" if text[20] == "a" else "a") + text[21:]
    with pytest.raises(ValueError, match="mistyped"):
        littoral.join(tmp_path / "phone", wrong)
    assert not (tmp_path / "phone").exists()


def test_invitations_that_make_no_sense(hub: littoral.Store, store: littoral.Store) -> None:
    with pytest.raises(ValueError, match="address"):
        store.invite()
    wrong: list[Callable[[], object]] = [
        lambda: hub.invite("everything"),
        lambda: hub.invite({}),
        lambda: hub.invite(expires=0),
        lambda: hub.invite(expires=-1),
        lambda: hub.invite(expires=float("nan")),
        lambda: hub.invite(expires=float("inf")),
        lambda: hub.invite(expires=timedelta(days=10_000)),
        lambda: hub.invite(uses=0),
        lambda: hub.invite(uses=-1),
        lambda: hub.invite(uses=2**32),
        lambda: hub.invite(addresses=["boat"]),
        lambda: hub.invite(name="a\nb"),
    ]
    for call in wrong:
        with pytest.raises(littoral.InvalidInputError):
            call()
    assert hub.invites() == []


def test_a_reader_can_not_invite(hub: littoral.Store, tmp_path: Path) -> None:
    with littoral.join(tmp_path / "phone", hub.invite("read")) as phone:
        with pytest.raises(littoral.ForbiddenError):
            phone.invite("write", addresses=["127.0.0.1:9"])
        with pytest.raises(littoral.ForbiddenError):
            phone["notes"]["n"] = {}


def test_a_store_of_another_network_is_told(hub: littoral.Store, store: littoral.Store) -> None:
    with pytest.raises(ValueError, match="another network"):
        store.join(hub.invite())
    with pytest.raises(ValueError, match="this node made"):
        hub.join(hub.invite())
    assert [invite.state for invite in hub.invites()] == ["open", "open"]


def test_nobody_there_is_a_timeout_and_the_store_can_be_used(
    hub: littoral.Store, tmp_path: Path
) -> None:
    ticket = nowhere(hub)
    with pytest.raises(TimeoutError, match="can't be reached"):
        littoral.join(tmp_path / "phone", ticket, timeout=0.1)
    with littoral.open(tmp_path / "phone") as phone:
        assert phone.founder is None
        phone.join(hub.invite()).wait_synced(timeout=30)
        assert phone.founder == hub.id


def test_closing_the_store_ends_a_join(hub: littoral.Store, tmp_path: Path) -> None:
    with pytest.raises(TimeoutError):
        littoral.join(tmp_path / "phone", nowhere(hub), timeout=0)
    phone = littoral.open(tmp_path / "phone")
    ending = threading.Timer(0.2, phone.close)
    ending.start()
    with pytest.raises(littoral.ClosedError):
        phone.join(nowhere(hub), timeout=60)
    ending.join()


def test_ctrl_c_gives_a_join_up(hub: littoral.Store, tmp_path: Path) -> None:
    begun = time.monotonic()
    ending = threading.Timer(0.2, signal.raise_signal, [signal.SIGINT])
    # A shell starts what runs in the background with it ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        ending.start()
        with pytest.raises(KeyboardInterrupt):
            littoral.join(tmp_path / "phone", nowhere(hub), timeout=60)
        ending.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - begun < 30
    littoral.open(tmp_path / "phone").close()


def has_multicast() -> bool:
    """Tell whether multicast reaches this machine itself, as it does where nothing forbids it."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as to,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as by,
    ):
        to.bind(("", 0))
        to.settimeout(2)
        here = socket.inet_aton("127.0.0.1")
        try:
            member = socket.inet_aton("224.0.0.251") + here
            to.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
            by.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, here)
            by.sendto(b"x", ("224.0.0.251", to.getsockname()[1]))
            return to.recv(8) == b"x"
        except OSError:
            return False


def test_members_find_each_other_on_the_lan(hub: littoral.Store, tmp_path: Path) -> None:
    if not has_multicast():
        pytest.skip("there is no multicast on the loopback here")
    ticket = hub.invite(uses=2)
    with littoral.join(tmp_path / "phone", ticket) as phone:
        with littoral.join(tmp_path / "tablet", ticket) as tablet:
            tablet.wait_synced(timeout=30)
        # Only what it hears from the hub tells it that there is a tablet.
        while len(phone.members()) < 3:
            time.sleep(0.05)
        hub.close()
        phone.listen("127.0.0.1:0")
        phone.discover()
        phone.discover()
        with littoral.open(tmp_path / "tablet") as tablet:
            tablet.discover()
            arriving = phone.changes()
            tablet["notes"]["n"] = {"title": "Tides"}
            change = arriving.next(timeout=60)
            assert change is not None
            assert change.author == tablet.id
            assert [link.peer for link in tablet.links()] == [phone.id]
