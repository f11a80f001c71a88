"""Stores for the tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import littoral


@pytest.fixture
def store(tmp_path: Path) -> Iterator[littoral.Store]:
    """A store of its own for each test."""
    with littoral.open(tmp_path / "store") as store:
        yield store


@pytest.fixture
def notes(store: littoral.Store) -> littoral.Collection:
    return store["notes"]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[littoral.Store, littoral.Store, littoral.Link]]:
    """Two stores with a link on loopback."""
    with littoral.open(tmp_path / "hub") as hub, littoral.open(tmp_path / "phone") as phone:
        address = hub.listen("127.0.0.1:0")
        hub.trust(phone.id)
        yield hub, phone, phone.connect(address)
