"""Two stores on loopback: what one writes the other shows; conflicts stay visible."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

import littoral
from littoral import Counter

Pair = tuple[littoral.Store, littoral.Store, littoral.Link]


def meet(hub: littoral.Store, phone: littoral.Store) -> None:
    """Wait until both show the same."""
    changes = [hub.changes(), phone.changes()]
    for _ in range(300):
        if hub.digests("notes") == phone.digests("notes"):
            return
        for arriving in changes:
            arriving.next(timeout=0.1)
    raise AssertionError("they did not meet")


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_documents_of_every_kind_arrive(pair: Pair) -> None:
    hub, phone, link = pair
    document = {
        "title": "Tides",
        "time": datetime(2026, 11, 22, tzinfo=timezone.utc),
        "bytes": b"\0",
        "tags": {"sea", 1, None},
        "views": Counter(3),
        "place": {"lat": 53.2, "list": [1, 1.5, True, {"x": 2**64 - 1}]},
    }
    arriving = phone.changes()
    hub["notes"]["n"] = document
    hub.wait_synced(timeout=30)
    assert phone["notes"]["n"] == document
    change = arriving.next(timeout=10)
    assert change is not None
    assert (change.id, change.local, change.author) == ("n", False, hub.id)
    phone["notes"].put_many((f"{n}", {"n": n}) for n in range(1000))
    link.wait_synced(timeout=30)
    assert len(hub["notes"]) == 1001
    assert hub.digests("notes") == phone.digests("notes")
    status = link.status()
    assert (status.state, status.direction, status.peer) == ("connected", "outgoing", hub.id)
    assert status.connected_since is not None
    assert status.collections["notes"].received_transactions >= 1
    assert [(one.peer, one.direction) for one in hub.links()] == [(phone.id, "incoming")]
    assert "connected" in repr(link)


def test_a_store_that_is_offline_keeps_to_itself_until_it_is_back(pair: Pair) -> None:
    hub, phone, link = pair
    assert phone.online
    phone.set_online(False)
    assert (phone.online, link.status().state) == (False, "paused")
    phone["notes"]["n"] = {"title": "Low tide"}
    hub["notes"]["m"] = {"title": "High tide"}
    assert "n" not in hub["notes"]
    phone.set_online(True)
    meet(hub, phone)
    assert phone.online
    assert hub["notes"]["n"] == {"title": "Low tide"}
    assert phone["notes"]["m"] == {"title": "High tide"}


def test_a_conflict_stays_visible_until_it_is_resolved(pair: Pair) -> None:
    hub, phone, link = pair
    hub["notes"]["n"] = {"title": "Tides", "tags": {"sea"}, "views": Counter(1), "map": {"a": 1}}
    hub.wait_synced(timeout=30)
    link.set_enabled(False)
    for store, word in ((hub, "low"), (phone, "high")):
        with store["notes"].edit("n") as note:
            note["title"] = word
            note["tags"].add(word)
            note["views"] += 5
            note["map"][word] = word
    link.set_enabled(True)
    meet(hub, phone)
    for store in (hub, phone):
        note = store["notes"]["n"]
        assert note["tags"] == {"sea", "low", "high"}
        assert note["views"] == 11
        assert note["map"] == {"a": 1, "low": "low", "high": "high"}
        (conflict,) = store.conflicts()
        assert store["notes"].conflicts() == [conflict]
        assert (conflict.collection, conflict.id, conflict.path) == ("notes", "n", ("title",))
        assert {c.value: c.author for c in conflict.candidates} == {
            "low": hub.id,
            "high": phone.id,
        }
        assert conflict.candidates[0].value == note["title"]
        assert all(c.time.tzinfo is not None for c in conflict.candidates)
    phone["notes"].resolve("n", conflict.path, conflict.candidates[1])
    meet(hub, phone)
    assert hub["notes"]["n"]["title"] == conflict.candidates[1].value
    assert hub.conflicts() == phone.conflicts() == []


def test_a_document_read_before_sync_is_put_back_after_it(pair: Pair) -> None:
    hub, phone, _ = pair
    hub["notes"]["n"] = {"a": 1, "tags": {"x"}}
    hub.wait_synced(timeout=30)
    read = phone["notes"]["n"]
    with hub["notes"].edit("n") as note:
        note["b"] = 2
        note["tags"].add("y")
    hub.wait_synced(timeout=30)
    read["c"] = 3
    read["tags"].add("z")
    phone["notes"]["n"] = read
    phone.wait_synced(timeout=30)
    expected = {"a": 1, "b": 2, "c": 3, "tags": {"x", "y", "z"}}
    assert hub["notes"]["n"] == phone["notes"]["n"] == read == expected


def test_a_concurrent_edit_outlives_a_delete(pair: Pair) -> None:
    hub, phone, link = pair
    hub["notes"]["n"] = {"a": 1, "b": 1}
    hub.wait_synced(timeout=30)
    link.set_enabled(False)
    del hub["notes"]["n"]
    phone["notes"].set("n", "a", 2)
    link.set_enabled(True)
    meet(hub, phone)
    assert hub["notes"]["n"] == phone["notes"]["n"] == {"a": 2}


def test_how_far_a_peer_is_behind_is_told(pair: Pair) -> None:
    hub, phone, link = pair
    assert hub.standings() == []
    phone["notes"]["n"] = {"x": 1}
    link.wait_synced(timeout=30)
    until(lambda: [one.lag_transactions for one in phone.standings()] == [0])
    link.set_enabled(False)
    for n in range(5):
        phone["notes"][f"{n}"] = {"x": n}
    until(lambda: not phone.standings()[0].live)
    (standing,) = phone.standings()
    assert (standing.peer, standing.collection) == (hub.id, "notes")
    assert standing.lag_transactions == 5
    assert standing.lag > timedelta()
    assert hub.id[:10] in phone.standings()._repr_html_()  # type: ignore[attr-defined]
    link.set_enabled(True)
    link.wait_synced(timeout=30)
    until(lambda: link.status().lag_transactions == 0 and link.status().synced)
    assert link.status().lag == timedelta()
    assert "yes" in link._repr_html_()
    assert hub.id[:10] in phone.links()._repr_html_()  # type: ignore[attr-defined]


def test_an_open_transaction_does_not_hold_up_sync(pair: Pair) -> None:
    hub, phone, _ = pair
    with phone.write() as tx:
        tx["notes"]["mine"] = {}
        hub["notes"]["theirs"] = {}
        hub.wait_synced(timeout=30)
        assert "theirs" in phone["notes"]
    phone.wait_synced(timeout=30)
    assert sorted(hub["notes"]) == ["mine", "theirs"]


def test_links_end_and_strangers_stay_out(tmp_path: Path, pair: Pair) -> None:
    hub, phone, link = pair
    link.wait_synced(timeout=30)
    with littoral.open(tmp_path / "stranger") as stranger:
        refused = stranger.connect(hub.listen("127.0.0.1:0"))
        with pytest.raises(TimeoutError):
            refused.wait_synced(timeout=1)
        assert refused.status().state in ("refused", "waiting", "connecting")
        assert hub.trusted() == [phone.id]
    with link:
        pass
    assert link.status().state == "closed"
    assert hub.distrust(phone.id) is True
    assert hub.distrust(phone.id) is False
    phone.close()
    assert repr(link) == "<littoral.Link, closed>"
    link.close()


def test_only_what_is_wanted_travels(tmp_path: Path) -> None:
    with littoral.open(tmp_path / "hub") as hub, littoral.open(tmp_path / "phone") as phone:
        hub["notes"]["n"] = {"x": 1}
        hub["photos"]["p"] = {"x": 1}
        hub.trust(phone.id)
        phone.want(["notes", "tasks"])
        address = hub.listen("127.0.0.1:0")
        with phone.connect(address) as link:
            link.wait_synced(timeout=30)
        assert phone.collections() == ["notes"]
        phone.want(None, peer=hub.id)
        with phone.connect(address) as link:
            link.wait_synced(timeout=30)
        assert phone.collections() == ["notes", "photos"]
        with pytest.raises(littoral.InvalidInputError):
            phone.want(["a b"])


def test_who_listens_everywhere_is_told_where_it_is_reached(
    store: littoral.Store, tmp_path: Path
) -> None:
    address = store.listen("0.0.0.0:0")
    assert not address.startswith("0.0.0.0")
    with littoral.open(tmp_path / "phone") as phone:
        store.trust(phone.id)
        phone.connect(address).wait_synced(timeout=30)


def test_bad_addresses(store: littoral.Store) -> None:
    for bad in ("boat:4433", "boat#" + store.id, "boat:4433#key", "127.0.0.1:1#" + store.id):
        with pytest.raises(ValueError, match=r"key|port"):
            store.connect(bad)
    for bad in ("nowhere", "127.0.0.1"):
        with pytest.raises(ValueError, match="host:port"):
            store.listen(bad)
    with pytest.raises((OSError, ValueError)):
        store.listen("203.0.113.7:4433")
    with pytest.raises(littoral.InvalidInputError):
        store.trust("key")
    with pytest.raises(TimeoutError):
        store.wait_synced(timeout=0)


def test_the_roster_says_who_may_do_what(tmp_path: Path) -> None:
    with littoral.open(tmp_path / "hub") as hub, littoral.open(tmp_path / "phone") as phone:
        assert (hub.founder, hub.members()) == (None, [])
        with pytest.raises(littoral.InvalidInputError, match="no roster"):
            hub.grant(phone.id, "read")
        hub.found_roster("hub")
        hub.grant(phone.id, {"notes": "write", "*": "read"}, name="phone")
        phone.join_roster(hub.id)
        hub["notes"]["n"] = {"title": "Tides"}
        hub["plans"]["p"] = {"title": "Harbour"}
        link = phone.connect(hub.listen("127.0.0.1:0"))
        link.wait_synced(timeout=30)
        assert phone["plans"]["p"]["title"] == "Harbour"
        members = {member.name: member for member in phone.members()}
        assert members["phone"].rights == {"*": "read", "notes": "write"}
        assert (members["phone"].by, members["hub"].by) == (hub.id, None)
        phone["notes"]["m"] = {"title": "Ebb"}
        with pytest.raises(littoral.ForbiddenError, match="may not write"):
            phone["plans"]["q"] = {}
        with pytest.raises(littoral.ForbiddenError, match="no admin"):
            phone.grant(phone.id, "admin")
        with pytest.raises(littoral.InvalidInputError, match="no right"):
            hub.grant(phone.id, "everything")
        phone.wait_synced(timeout=30)
        hub.revoke(phone.id)
        assert [one.rights for one in hub.members() if one.id == phone.id] == [{"*": "none"}]
        assert "m" in hub["notes"]
