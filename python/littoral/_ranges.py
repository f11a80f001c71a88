"""Ranges of documents, in the order of ids: of a collection as it is, or as it was."""

from abc import abstractmethod
from collections.abc import ItemsView, Iterator, Mapping, ValuesView
from typing import TYPE_CHECKING

from littoral import _native
from littoral._document import Document
from littoral._frames import ArrowSchema, frame_of, table_of
from littoral._html import MOST_COLUMNS, MOST_ROWS, table

if TYPE_CHECKING:
    import pandas as _pandas
    import pyarrow as _pyarrow


class Ranges(Mapping[str, Document]):
    """What a collection of a store and one of its past have in common: reading in order."""

    __slots__ = ()
    _name: str

    @property
    @abstractmethod
    def _source(self) -> "_native.Store | _native.Past":
        """Where ranges are read."""

    def __iter__(self) -> Iterator[str]:
        return self._source.scan(self._name, ids_only=True)

    def __reversed__(self) -> Iterator[str]:
        return self._source.scan(self._name, ids_only=True, reverse=True)

    def __len__(self) -> int:
        return self._source.len(self._name)

    def items(self) -> "Items":
        """Give a view of the ids and documents, in the order of ids."""
        return Items(self)

    def values(self) -> "Values":
        """Give a view of the documents, in the order of their ids."""
        return Values(self)

    def scan(
        self,
        *,
        prefix: str = "",
        start: str | None = None,
        after: str | None = None,
        end: str | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> Iterator[Document]:
        """Give the documents of a range in the order of their ids, as they are at this moment.

        >>> [note.id for note in notes.scan(prefix="n", limit=1)]
        ['n1']

        Args:
            prefix: only ids that begin so.
            start: only ids from this one on.
            after: only ids beyond this one, in the direction of the scan: where a page ended.
            end: only ids before this one.
            limit: at most so many documents.
            reverse: from the last to the first.

        """
        return self._source.scan(
            self._name,
            prefix=prefix,
            start=start,
            after=after,
            end=end,
            limit=limit,
            reverse=reverse,
        )

    def arrow(
        self,
        *,
        schema: ArrowSchema | None = None,
        id_column: str = "_id",
        prefix: str = "",
        start: str | None = None,
        after: str | None = None,
        end: str | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> _native.ArrowStream:
        """Give the documents as a stream of Arrow batches, for whatever reads those.

        As `to_arrow`, but nothing is read yet, and no more than a batch at a time will be:
        `polars.DataFrame`, `pyarrow.table`, `duckdb.from_arrow`.

        >>> polars.DataFrame(notes.arrow())["title"].to_list()
        ['Low tide', 'High tide']
        """
        return self._source.arrow(
            self._name,
            schema=schema,
            id_column=id_column,
            prefix=prefix,
            start=start,
            after=after,
            end=end,
            limit=limit,
            reverse=reverse,
        )

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Give all documents, to whatever takes the Arrow C stream interface."""
        return self.arrow().__arrow_c_stream__(requested_schema)

    def to_arrow(
        self,
        *,
        schema: ArrowSchema | None = None,
        id_column: str = "_id",
        prefix: str = "",
        start: str | None = None,
        after: str | None = None,
        end: str | None = None,
        limit: int | None = None,
        reverse: bool = False,
        progress: bool = False,
    ) -> "_pyarrow.Table":
        """Give the documents as a table of pyarrow, as they are at this moment.

        A column for each field that a document has; maps are structs, sets and arrays lists,
        counters integers, times in UTC with microseconds. Where the documents differ in kind,
        the column is their JSON, and says so in its metadata; integers and floats together are
        floats, unless one would not be exact. A field that is not there is null.

        Args:
            schema: which columns, of which types, instead of those that the documents have. A
                value that is no such thing is an error, not a guess.
            id_column: what the column of ids is called; with a ``schema`` that has none of that
                name there is none.
            prefix: only ids that begin so; ``start``, ``after``, ``end``, ``limit`` and
                ``reverse`` are those of `scan`.
            start: only ids from this one on.
            after: only ids beyond this one.
            end: only ids before this one.
            limit: at most so many documents.
            reverse: from the last to the first.
            progress: show a progress bar (needs tqdm).

        """
        stream = self.arrow(
            schema=schema,
            id_column=id_column,
            prefix=prefix,
            start=start,
            after=after,
            end=end,
            limit=limit,
            reverse=reverse,
        )
        rows = len(self) if progress else 0
        return table_of(stream, rows, progress)

    def to_pandas(
        self,
        *,
        schema: ArrowSchema | None = None,
        id_column: str = "_id",
        prefix: str = "",
        start: str | None = None,
        after: str | None = None,
        end: str | None = None,
        limit: int | None = None,
        reverse: bool = False,
        progress: bool = False,
    ) -> "_pandas.DataFrame":
        """Give the documents as a DataFrame of pandas, indexed by id; see `to_arrow`.

        >>> notes.to_pandas()
                title
        _id
        n1   Low tide
        n2  High tide
        """
        found = self.to_arrow(
            schema=schema,
            id_column=id_column,
            prefix=prefix,
            start=start,
            after=after,
            end=end,
            limit=limit,
            reverse=reverse,
            progress=progress,
        )
        return frame_of(found, id_column)

    def _repr_html_(self) -> str:
        found = list(self.scan(limit=MOST_ROWS))
        names = list(dict.fromkeys(name for document in found for name in document))
        shown = names[:MOST_COLUMNS]
        rows = [[document.id, *(document.get(name, "") for name in shown)] for document in found]
        count = len(self)
        more = [f"{count - len(found):,} more documents"] if count > len(found) else []
        more += [f"{len(names) - len(shown)} more fields"] if len(names) > len(shown) else []
        title = f"{self._name}: {count:,} documents"
        return table(title, ["_id", *shown], rows, ", ".join(more))


class Items(ItemsView[str, Document]):
    """Ids and documents, read in one scan."""

    _mapping: Ranges

    def __iter__(self) -> Iterator[tuple[str, Document]]:
        for document in self._mapping.scan():
            assert document.id is not None
            yield document.id, document

    def __reversed__(self) -> Iterator[tuple[str, Document]]:
        for document in self._mapping.scan(reverse=True):
            assert document.id is not None
            yield document.id, document


class Values(ValuesView[Document]):
    """Documents, read in one scan."""

    _mapping: Ranges

    def __iter__(self) -> Iterator[Document]:
        return self._mapping.scan()

    def __reversed__(self) -> Iterator[Document]:
        return self._mapping.scan(reverse=True)
