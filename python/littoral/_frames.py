"""Collections as tables, and tables as documents: Arrow, pandas, progress bars."""

from collections.abc import Callable, Sized
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from littoral._errors import Error

if TYPE_CHECKING:
    import pandas as _pandas
    import pyarrow as _pyarrow

    from littoral._native import ArrowStream


@runtime_checkable
class ArrowSource(Protocol):
    """A table: whatever has the Arrow C stream interface.

    A DataFrame of pandas or polars, a table of pyarrow, a relation of duckdb.
    """

    def __arrow_c_stream__(self, requested_schema: object | None = None, /) -> object:
        """Give the stream."""


@runtime_checkable
class ArrowSchema(Protocol):
    """A schema: whatever has the Arrow C schema interface, such as one of pyarrow."""

    def __arrow_c_schema__(self) -> object:
        """Give the schema."""


def table_of(stream: "ArrowStream", rows: int, progress: bool) -> "_pyarrow.Table":
    """Read a stream to its end, a batch at a time, so that Ctrl-C is heard."""
    arrow = _module("pyarrow", "to_arrow")
    reader = arrow.RecordBatchReader.from_stream(stream)
    batches = []
    with bar(progress, rows, "documents") as tell:
        for batch in reader:
            batches.append(batch)
            tell(batch.num_rows)
    return cast("_pyarrow.Table", arrow.Table.from_batches(batches, reader.schema))


def frame_of(table: "_pyarrow.Table", id_column: str) -> "_pandas.DataFrame":
    """Give a table as a DataFrame with the ids as its index."""
    _module("pandas", "to_pandas")
    frame = table.to_pandas()
    return frame.set_index(id_column) if id_column in frame.columns else frame


def _module(name: str, who: str) -> Any:
    try:
        return __import__(name)
    except ImportError as err:
        raise Error(f"{who} needs {name}: pip install {name}") from err


class bar:  # noqa: N801 - used like a function
    """A progress bar for a block, if it is wanted and tqdm is installed.

    Gives what to call with how many more are done.
    """

    def __init__(self, wanted: bool, total: int | None, unit: str) -> None:
        """Open nothing yet."""
        self._wanted, self._total, self._unit = wanted, total, unit
        self._bar: Any = None

    def __enter__(self) -> Callable[[int], object]:
        if self._wanted:
            tqdm = _module("tqdm.auto", "progress").auto.tqdm
            self._bar = tqdm(total=self._total, unit=f" {self._unit}", unit_scale=True)
            return cast("Callable[[int], object]", self._bar.update)
        return lambda _: None

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


def length_of(documents: object) -> int | None:
    """Tell how many there will be, if that can be known."""
    return len(documents) if isinstance(documents, Sized) else None
