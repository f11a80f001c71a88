"""The past: what a store showed at a checkpoint, and what a revert would write."""

from collections.abc import Iterator
from types import TracebackType
from typing import Any, TypeVar, overload

from littoral import _native
from littoral._collection import Path
from littoral._document import Document
from littoral._errors import InvalidInputError, NotFoundError
from littoral._ranges import Ranges
from littoral._records import Checkpoint, Difference, Digests

T = TypeVar("T")


class Past:
    """A store as it was at a checkpoint, from `Store.at`: ``past["notes"]`` is a collection then.

    It can't be written to. It stays what it is, whatever is written, and also if the checkpoint is
    deleted. As long as it is open the disk uses no page again that is replaced, so close it: by
    `close`, at the end of a ``with`` block, or with its store. Any thread may use it.
    """

    __slots__ = ("_past",)
    __module__ = "littoral"

    def __init__(self, past: _native.Past) -> None:
        """Use `Store.at` instead."""
        self._past = past

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint."""
        return Checkpoint(**self._past.checkpoint)

    @property
    def closed(self) -> bool:
        """Whether it is closed, or its store is."""
        return self._past.closed

    def close(self) -> None:
        """Read it no longer. Twice is harmless; scans that have begun go on."""
        self._past.close()

    def __enter__(self) -> "Past":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def collections(self) -> list[str]:
        """List the names of the collections that there were, in order."""
        return self._past.collections()

    def collection(self, name: str) -> "PastCollection":
        """Give the collection with this name as it was; without documents if it was not there."""
        self._past.len(name)
        return PastCollection(self._past, name)

    def __getitem__(self, name: str) -> "PastCollection":
        return self.collection(name)

    def __contains__(self, name: object) -> bool:
        return name in self.collections()

    def __iter__(self) -> Iterator[str]:
        return iter(self.collections())

    def digests(self, collection: str) -> Digests:
        """Give the digests that a collection had, as `Store.digests` does. Reads all of it."""
        return Digests(*self._past.digests(collection))

    def __repr__(self) -> str:
        label = self.checkpoint.label
        return f"<littoral.Past {label!r}{', closed' if self.closed else ''}>"


class PastCollection(Ranges):
    """A collection as it was at a checkpoint: a mapping that can't be written to.

    A document that is read here and put into the store is written whole, as it was:
    ``notes["n1"] = past["notes"]["n1"]``.
    """

    __slots__ = ("_name", "_past")
    __module__ = "littoral"

    def __init__(self, past: _native.Past, name: str) -> None:
        """Use ``past[name]`` instead."""
        self._past = past
        self._name = name

    @property
    def _source(self) -> _native.Past:
        return self._past

    @property
    def name(self) -> str:
        """The name of the collection."""
        return self._name

    def __getitem__(self, id: str) -> Document:
        found = self._past.get(self._name, id)
        if found is None:
            raise NotFoundError(f"there was no document '{id}' in '{self._name}'")
        return found

    def __contains__(self, id: object) -> bool:
        try:
            return isinstance(id, str) and self._past.contains(self._name, id)
        except InvalidInputError:
            return False  # it can't be an id, so it is not one of those that were there

    @overload
    def get(self, id: str, default: None = None) -> Document | None: ...
    @overload
    def get(self, id: str, default: Document) -> Document: ...
    @overload
    def get(self, id: str, default: T) -> Document | T: ...
    def get(self, id: str, default: Any = None) -> Any:
        """Give the document, or ``default`` if there was none."""
        found = self._past.get(self._name, id)
        return default if found is None else found

    def get_field(self, id: str, path: Path, default: Any = None) -> Any:
        """Give one field of a document, or ``default`` if there was no such one."""
        if not isinstance(path, str) and not path:
            return self.get(id, default)
        found = self._past.get_field(self._name, id, path)
        return default if found is None else found[0]

    def __repr__(self) -> str:
        if self._past.closed:
            return f"<littoral.PastCollection {self._name!r}, closed>"
        return f"<littoral.PastCollection {self._name!r}, {len(self)} documents>"


class RevertPlan(Iterator[Difference]):
    """What a revert would write, from `Store.revert` with ``dry_run``. It can be gone through once.

    Of each document what it shows now, ``before``, and what it would show, ``after``; of a field
    alone, nothing else is in either.
    """

    __slots__ = ("_found",)
    __module__ = "littoral"

    def __init__(self, found: _native.Diff) -> None:
        """Use `Store.revert` instead."""
        self._found = found

    @property
    def left(self) -> tuple[str, ...]:
        """Collections that were left since the checkpoint, and would not be written again."""
        return tuple(self._found.left)

    def __iter__(self) -> "RevertPlan":
        return self

    def __next__(self) -> Difference:
        return next(self._found)

    def __repr__(self) -> str:
        return f"<littoral.RevertPlan{f', without {self.left}' if self.left else ''}>"
