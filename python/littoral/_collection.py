"""Collections as mappings, of a store and inside a transaction."""

import heapq
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeAlias, TypeVar, overload

from littoral import _native
from littoral._document import Document, Version
from littoral._errors import FieldTypeError, InvalidInputError, NotFoundError
from littoral._frames import ArrowSource, bar, length_of
from littoral._ranges import Ranges
from littoral._records import Conflict, Conflicts

T = TypeVar("T")
Path: TypeAlias = str | tuple[str, ...] | list[str]
Fields: TypeAlias = Mapping[str, Any]

_MISSING: Any = object()


class _Documents(MutableMapping[str, Document]):
    """What a collection of a store and one inside a transaction have in common."""

    __slots__ = ("_name", "_store")
    _name: str
    _store: _native.Store

    @property
    @abstractmethod
    def _door(self) -> "_native.Store | _native.Transaction":
        """Where reads and writes go."""

    @property
    def name(self) -> str:
        """The name of the collection."""
        return self._name

    def __getitem__(self, id: str) -> Document:
        found = self._door.get(self._name, id)
        if found is None:
            raise NotFoundError(f"there is no document '{id}' in '{self._name}'")
        return found

    def __setitem__(self, id: str, fields: Fields) -> None:
        self._door.put(self._name, id, _dict(fields))

    def __delitem__(self, id: str) -> None:
        if not self._door.delete(self._name, id):
            raise NotFoundError(f"there is no document '{id}' in '{self._name}'")

    def __contains__(self, id: object) -> bool:
        try:
            return isinstance(id, str) and self._door.contains(self._name, id)
        except InvalidInputError:
            return False  # it can't be an id, so it is not one of those that are there

    @overload
    def get(self, id: str, default: None = None) -> Document | None: ...
    @overload
    def get(self, id: str, default: Document) -> Document: ...
    @overload
    def get(self, id: str, default: T) -> Document | T: ...
    def get(self, id: str, default: Any = None) -> Any:
        """Give the document, or ``default`` if there is none."""
        found = self._door.get(self._name, id)
        return default if found is None else found

    def get_field(self, id: str, path: Path, default: Any = None) -> Any:
        """Give one field of a document, or ``default`` if there is no such one.

        Of a large document, only what the field needs is read.

        >>> notes.set("n1", ("place", "lat"), 53.2)
        >>> notes.get_field("n1", ("place", "lat"))
        53.2
        """
        if not isinstance(path, str) and not path:
            return self.get(id, default)
        found = self._door.get_field(self._name, id, path)
        return default if found is None else found[0]

    def has(self, id: str, path: Path, element: Any) -> bool:
        """Tell whether the set at ``path`` has ``element``, without reading the others."""
        return self._door.has(self._name, id, path, element)

    def put(self, id: str, fields: Fields, *, version: Version | None = None) -> None:
        """Replace a document.

        A `Document` that was read here writes only its difference to what was read. So do
        other ``fields`` with the ``version`` they were read at. Any other dict replaces what
        is there now.

        >>> note = notes["n1"]
        >>> notes.set("n1", "from", "elsewhere")
        >>> note["title"] = "High tide"
        >>> notes.put("n1", note)
        >>> notes["n1"]["from"]
        'elsewhere'
        """
        self._door.put(self._name, id, _dict(fields), version)

    def merge(self, id: str, fields: Fields) -> None:
        """Write the fields given, map by map, and leave the others alone.

        >>> notes.merge("n1", {"place": {"lon": 7.1}})
        >>> notes["n1"]["title"], notes["n1"]["place"]
        ('Low tide', {'lon': 7.1})
        """
        self._door.merge(self._name, id, _dict(fields))

    def delete(self, id: str, *, version: Version | None = None) -> bool:
        """Delete a document; give whether it was there.

        With a ``version``, only what its reader had seen goes.
        """
        return self._door.delete(self._name, id, version)

    def set(self, id: str, path: Path, value: Any) -> None:
        """Write one field; maps on the way to it are created."""
        self._door.set(self._name, id, path, value)

    def unset(self, id: str, path: Path) -> bool:
        """Remove one field; give whether it was there."""
        return self._door.unset(self._name, id, path)

    def add(self, id: str, path: Path, element: Any) -> None:
        """Add an element to a set, which is created if nothing is there.

        >>> notes.add("n1", "tags", "sea")
        >>> notes["n1"]["tags"]
        {'sea'}
        """
        self._door.add(self._name, id, path, element)

    def remove(self, id: str, path: Path, element: Any) -> bool:
        """Remove an element from a set; give whether it was there."""
        return self._door.remove(self._name, id, path, element)

    def increment(self, id: str, path: Path, by: int = 1) -> None:
        """Add to a counter, which is created if nothing is there.

        >>> notes.increment("n1", "views", 2)
        >>> notes["n1"]["views"]
        Counter(2)
        """
        self._door.increment(self._name, id, path, by)

    def update(self, other: Any = (), /, **documents: Fields) -> None:
        """Put the documents given: a mapping, or pairs of id and fields."""
        for id, fields in [*_pairs(other), *documents.items()]:
            self[id] = fields

    def setdefault(self, id: str, default: Fields | None = None) -> Document:
        """Give the document; put ``default`` first if there is none."""
        if id not in self:
            self[id] = default or {}
        return self[id]

    def resolve(self, id: str, path: Path, choice: Any) -> None:
        """Settle the conflict at ``path`` for ``choice``: a `Candidate` of it, or a value."""
        self._door.resolve(self._name, id, path, choice)


class Collection(Ranges, _Documents):
    """A collection of a store: a mapping from ids to documents, in the order of ids.

    Each write is a transaction of its own, durable when it returns; for several together see
    `Store.write`. Any thread may use it.

    >>> notes["n3"] = {"title": "Spring tide", "tags": {"moon"}}
    >>> "n3" in notes, len(notes), list(notes)
    (True, 3, ['n1', 'n2', 'n3'])
    >>> del notes["n3"]
    >>> for id, note in notes.items():
    ...     print(id, note["title"])
    n1 Low tide
    n2 High tide
    """

    __slots__ = ()
    __module__ = "littoral"

    def __init__(self, store: _native.Store, name: str) -> None:
        """Use ``store[name]`` instead."""
        self._store = store
        self._name = name

    @property
    def _door(self) -> _native.Store:
        return self._store

    @property
    def _source(self) -> _native.Store:
        return self._store

    def edit(self, id: str, *, timeout: float = 30.0) -> AbstractContextManager[Document]:
        """Read, change and put a document in one; one that is not there starts empty.

        What the block leaves is committed; if it raises, nothing is. Other local writes wait
        until the block ends, sync does not.

        >>> with notes.edit("n1") as note:
        ...     note["title"] = "Ebb"
        >>> notes["n1"]["title"]
        'Ebb'
        """
        return self._edit(id, timeout)

    @contextmanager
    def _edit(self, id: str, timeout: float) -> Iterator[Document]:
        txn = self._store.begin(timeout)
        try:
            document = txn.get_or_absent(self._name, id)
            yield document
            txn.put(self._name, id, document)
        except BaseException:
            txn.rollback()
            raise
        txn.commit()

    def put_many(
        self,
        documents: "Mapping[str, Fields] | Iterable[tuple[str, Fields]] | ArrowSource",
        *,
        batch: int = 1000,
        id_column: str = "_id",
        progress: bool = False,
    ) -> int:
        """Put documents, ``batch`` to a transaction; give how many there were.

        >>> notes.put_many((f"day-{n:02}", {"n": n}) for n in range(1, 32))
        31
        >>> frame = pandas.DataFrame({"key": ["x", "y"], "level": [1.9, 2.3]})
        >>> notes.put_many(frame, id_column="key")
        2

        A batch is written whole or not at all: after an error those before it are there, and
        nothing of its own. Batches of large documents are smaller.

        Args:
            documents: a mapping, pairs of id and fields, or a table: a DataFrame of pandas or
                polars, a table of pyarrow, whatever has the Arrow C stream interface. The rows
                of a table are documents, its columns their fields; what is null is not there.
            batch: how many to a transaction.
            id_column: which column of a table has the ids.
            progress: show a progress bar (needs tqdm).

        Raises:
            InvalidInputError: a table has no column of ids, or one that is no kind of value.

        """
        if isinstance(documents, ArrowSource) and not isinstance(documents, Mapping):
            with bar(progress, length_of(documents), "documents") as tell:
                return self._store.put_arrow(
                    self._name, documents, id_column=id_column, batch=batch, told=tell
                )
        with bar(progress, length_of(documents), "documents") as tell:
            return self._store.put_many(self._name, _pairs(documents), batch, tell)

    def update(self, other: Any = (), /, **documents: Fields) -> None:
        """Put the documents given, as `put_many` does."""
        self.put_many(other)
        if documents:
            self.put_many(documents)

    def pop(self, id: str, default: Any = _MISSING) -> Any:
        """Delete a document and give it."""
        txn = self._store.begin(30.0)
        try:
            found = txn.get(self._name, id)
            if found is not None:
                txn.delete(self._name, id)
                txn.commit()
                return found
        finally:
            txn.rollback()
        if default is _MISSING:
            raise NotFoundError(f"there is no document '{id}' in '{self._name}'")
        return default

    def popitem(self) -> tuple[str, Document]:
        """Delete the last document and give its id and it."""
        while True:
            last = next(reversed(self), None)
            if last is None:
                raise NotFoundError(f"'{self._name}' has no documents")
            found = self.pop(last, None)
            if found is not None:
                return last, found

    def setdefault(self, id: str, default: Fields | None = None) -> Document:
        """Give the document; put ``default`` first if there is none."""
        txn = self._store.begin(30.0)
        try:
            found = txn.get(self._name, id)
            if found is None:
                txn.put(self._name, id, _dict(default or {}))
                found = txn.get(self._name, id)
            txn.commit()
        finally:
            txn.rollback()
        assert found is not None
        return found

    def clear(self) -> None:
        """Delete all documents, some to a transaction."""
        while ids := [id for id, _ in zip(self, range(1000), strict=False)]:
            txn = self._store.begin(30.0)
            try:
                for id in ids:
                    txn.delete(self._name, id)
                txn.commit()
            finally:
                txn.rollback()

    def conflicts(self) -> list[Conflict]:
        """List the conflicts in this collection."""
        return Conflicts(self._store.conflicts(self._name))

    def __repr__(self) -> str:
        if self._store.closed:
            return f"<littoral.Collection {self._name!r}, closed>"
        return f"<littoral.Collection {self._name!r}, {len(self)} documents>"


class TransactionCollection(_Documents):
    """A collection inside a transaction: reads see what the transaction wrote.

    Iterating and counting read the store as it is, with the transaction's writes laid over it.
    """

    __slots__ = ("_txn",)
    __module__ = "littoral"

    def __init__(self, store: _native.Store, txn: _native.Transaction, name: str) -> None:
        """Use ``tx[name]`` instead."""
        self._store = store
        self._txn = txn
        self._name = name

    @property
    def _door(self) -> _native.Transaction:
        return self._txn

    def __iter__(self) -> Iterator[str]:
        written = self._txn.touched(self._name)
        stored = self._store.scan(self._name, ids_only=True)
        last = None
        for id in heapq.merge(stored, written):
            if id != last and (id not in written or self._txn.contains(self._name, id)):
                yield id
            last = id

    def __len__(self) -> int:
        count = self._store.len(self._name)
        for id in self._txn.touched(self._name):
            there = self._txn.contains(self._name, id)
            count += int(there) - int(self._store.contains(self._name, id))
        return count

    @contextmanager
    def edit(self, id: str) -> Iterator[Document]:
        """Read, change and put a document in one; one that is not there starts empty."""
        document = self._txn.get_or_absent(self._name, id)
        yield document
        self._txn.put(self._name, id, document)

    def __repr__(self) -> str:
        return f"<littoral.TransactionCollection {self._name!r}>"


def _dict(fields: Any) -> dict[str, Any]:
    """What the native half takes: dicts, and other mappings as dicts."""
    if isinstance(fields, dict):
        return fields
    if isinstance(fields, Mapping):
        return dict(fields)
    raise FieldTypeError(f"a document is a dict, not {type(fields).__name__}")


def _pairs(documents: Any) -> "Iterable[tuple[str, Fields]]":
    pairs: Iterable[tuple[str, Fields]] = (
        documents.items() if hasattr(documents, "items") else documents
    )
    return pairs
