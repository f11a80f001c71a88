"""Collections as Arrow tables, and tables as documents."""

from datetime import datetime, timezone
from typing import Any

import pytest

import littoral

pa = pytest.importorskip("pyarrow")

TIDE = datetime(2026, 11, 28, 20, 30, 1, 5, timezone.utc)
MIXED: dict[str, dict[str, Any]] = {
    "a": {"title": "Low", "n": 1, "tags": {"sea", "moon"}, "at": {"lat": 53.5, "lon": 7.1}},
    "b": {"n": 2**63, "ok": True, "when": TIDE, "raw": b"\x00\xff", "hits": littoral.Counter(3)},
    "c": {"title": None, "list": [1, 2, 3], "either": "text", "rate": 1.5},
    "d": {"either": 7, "rate": 2, "at": {"lat": 54.0}, "hits": littoral.Counter(-1)},
}


@pytest.fixture
def notes(store: littoral.Store) -> littoral.Collection:
    return store["notes"]


def test_columns_are_what_all_documents_have_in_common(notes: littoral.Collection) -> None:
    notes.put_many(MIXED)
    table = notes.to_arrow()
    types = {field.name: str(field.type) for field in table.schema}
    assert types == {
        "_id": "string",
        "at": "struct<lat: double, lon: double>",
        "either": "string",
        "hits": "int64",
        "list": "list<item: int64>",
        "n": "uint64",
        "ok": "bool",
        "rate": "double",
        "raw": "binary",
        "tags": "list<item: string>",
        "title": "string",
        "when": "timestamp[us, tz=UTC]",
    }
    rows = {row["_id"]: row for row in table.to_pylist()}
    assert rows["a"]["tags"] == ["moon", "sea"]
    assert rows["a"]["at"] == {"lat": 53.5, "lon": 7.1}
    assert rows["b"]["n"] == 2**63
    assert rows["b"]["when"] == TIDE
    assert rows["c"]["either"] == '"text"'
    assert rows["d"]["either"] == "7"
    assert rows["d"]["rate"] == 2.0
    assert rows["a"]["raw"] is None


def test_what_a_table_was_made_of_comes_back(
    notes: littoral.Collection, store: littoral.Store
) -> None:
    notes.put_many(MIXED)
    table = notes.to_arrow()
    copy = store["copy"]
    assert copy.put_many(table) == 4
    for id, fields in MIXED.items():
        expected = {name: value for name, value in fields.items() if value is not None}
        assert dict(copy[id]) == ({**expected, "rate": 2.0} if id == "d" else expected)
    assert copy["a"]["tags"] == {"sea", "moon"}
    assert isinstance(copy["b"]["hits"], littoral.Counter)
    assert isinstance(copy["d"]["either"], int)
    assert type(copy["b"]["n"]) is int


def test_many_documents_come_in_batches_of_one_moment(notes: littoral.Collection) -> None:
    count = 20_000
    notes.put_many((f"n{n:05}", {"n": n, "even": n % 2 == 0}) for n in range(count))
    reader = pa.RecordBatchReader.from_stream(notes)
    first = reader.read_next_batch()
    notes.put("zz", {"n": "another kind"})
    del notes["n19999"]
    rest = reader.read_all()
    assert first.num_rows + rest.num_rows == count
    assert rest.column("n")[-1].as_py() == count - 1
    assert notes.to_arrow(prefix="n0000", limit=3).column("_id").to_pylist() == [
        "n00000",
        "n00001",
        "n00002",
    ]


def test_an_empty_collection_is_an_empty_table(notes: littoral.Collection) -> None:
    table = notes.to_arrow()
    assert (table.num_rows, table.column_names) == (0, ["_id"])


def test_a_schema_says_which_columns(notes: littoral.Collection) -> None:
    documents: dict[str, dict[str, Any]]
    documents = {"a": {"n": 1, "title": "x", "more": 5}, "b": {"n": 300}}
    notes.put_many(documents)
    schema = pa.schema([("n", pa.int16()), ("title", pa.large_string()), ("key", pa.string())])
    table = notes.to_arrow(schema=schema, id_column="key")
    assert table.schema == schema
    assert table.to_pylist() == [
        {"n": 1, "title": "x", "key": "a"},
        {"n": 300, "title": None, "key": "b"},
    ]
    for wrong, what in [
        (pa.schema([("n", pa.int8())]), "300"),
        (pa.schema([("title", pa.int64())]), "/title' of the document 'a' is of kind text"),
    ]:
        with pytest.raises(Exception, match=what):
            notes.to_arrow(schema=wrong)
    with pytest.raises(littoral.InvalidInputError, match="zone"):
        notes.to_arrow(schema=pa.schema([("n", pa.date32())]))


def test_a_field_called_like_the_column_of_ids_is_told(notes: littoral.Collection) -> None:
    notes["a"] = {"_id": 1}
    with pytest.raises(littoral.InvalidInputError, match="id_column"):
        notes.to_arrow()
    assert notes.to_arrow(id_column="key").column_names == ["key", "_id"]


def table(**columns: Any) -> Any:
    return pa.table({"_id": ["a", "b"], **columns})


def test_what_is_no_value_is_refused_and_named(notes: littoral.Collection) -> None:
    naive = pa.array([datetime(2026, 1, 1), None], pa.timestamp("us"))
    fine = pa.array([1, 1000], pa.timestamp("ns", "UTC"))
    for bad, what in [
        (table(x=pa.array([1.0, float("nan")])), "'x' of 'b' is NaN"),
        (table(x=naive), "'x' of type .* zone"),
        (table(x=fine), "'x' has times finer than microseconds"),
        (table(x=pa.array([1, 2], pa.decimal128(5))), "write it as text"),
        (pa.table({"x": [1]}), "no column '_id'"),
        (pa.table({"_id": ["a", None]}), "row 1 .* null"),
        (pa.table({"_id": [["a"]], "x": [1]}), "ids are text"),
    ]:
        with pytest.raises(littoral.InvalidInputError, match=what):
            notes.put_many(bad)
    assert len(notes) == 0


def test_dictionaries_and_narrow_types_are_read(notes: littoral.Collection) -> None:
    wide = table(
        kind=pa.array(["x", "y"]).dictionary_encode(),
        small=pa.array([1, None], pa.int8()),
        short=pa.array([0.5, 1.5], pa.float32()),
        view=pa.array(["p", "q"], pa.string_view()),
        nested=pa.array([{"a": [1, 2], "b": None}, None]),
        nothing=pa.nulls(2),
    )
    notes.put_many(wide)
    first = {"kind": "x", "small": 1, "short": 0.5, "view": "p", "nested": {"a": [1, 2]}}
    assert dict(notes["a"]) == first
    assert dict(notes["b"]) == {"kind": "y", "short": 1.5, "view": "q"}


def test_a_stream_is_read_once_and_not_after_closing(store: littoral.Store) -> None:
    notes = store["notes"]
    notes["a"] = {"n": 1}
    stream = notes.arrow()
    assert pa.table(stream).num_rows == 1
    with pytest.raises(littoral.ClosedError):
        pa.table(stream)
    late = notes.arrow()
    store.close()
    with pytest.raises(Exception, match="closed"):
        pa.table(late)


def test_numbers_that_would_not_stay_exact_are_json(notes: littoral.Collection) -> None:
    notes["a"] = {"x": 2**53 + 1, "y": -1}
    notes["b"] = {"x": 0.5, "y": 2**64 - 1}
    table = notes.to_arrow()
    assert table.column("x").to_pylist() == ["9007199254740993", "0.5"]
    assert table.column("y").to_pylist() == ["-1", "18446744073709551615"]


def test_a_map_of_very_many_names_is_json(notes: littoral.Collection) -> None:
    notes["a"] = {"big": {f"k{n}": n for n in range(2_000)}}
    (text,) = notes.to_arrow().column("big").to_pylist()
    assert text.startswith('{"k0":0')


def test_pandas_both_ways(notes: littoral.Collection, store: littoral.Store) -> None:
    pandas = pytest.importorskip("pandas")
    documents: dict[str, dict[str, Any]] = {"a": {"n": 1, "t": "x"}, "b": {"n": 2}}
    notes.put_many(documents)
    frame = notes.to_pandas()
    assert list(frame.index) == ["a", "b"]
    assert frame["n"].tolist() == [1, 2]
    given = pandas.DataFrame({"key": ["p", "q"], "x": [1.5, float("nan")], "y": [1, 2]})
    assert store["other"].put_many(given, id_column="key") == 2
    assert dict(store["other"]["p"]) == {"x": 1.5, "y": 1}
    assert dict(store["other"]["q"]) == {"y": 2}


def test_polars_and_duckdb_read_a_collection(notes: littoral.Collection) -> None:
    polars = pytest.importorskip("polars")
    notes.put_many((f"n{n}", {"n": n, "group": n % 3}) for n in range(10))
    frame = polars.DataFrame(notes.arrow())
    assert frame.filter(polars.col("group") == 1)["n"].sum() == 1 + 4 + 7
    assert notes.put_many(frame.select("_id", doubled=polars.col("n") * 2)) == 10
    assert dict(notes["n4"]) == {"doubled": 8}
    duckdb = pytest.importorskip("duckdb")
    found = duckdb.from_arrow(pa.table(notes)).aggregate("sum(doubled)").fetchall()
    assert found == [(90,)]


def test_a_notebook_shows_tables(notes: littoral.Collection, store: littoral.Store) -> None:
    notes.put_many({f"n{n:02}": {"title": "<b>not bold</b>", "n": n} for n in range(12)})
    shown = notes._repr_html_()
    assert "notes: 12 documents" in shown
    assert "2 more documents" in shown
    assert "<b>not bold" not in shown
    assert "&lt;b&gt;not bold" in shown
    assert "<td>notes</td><td>12</td>" in store._repr_html_()
    assert "No conflicts" in store.conflicts()._repr_html_()  # type: ignore[attr-defined]
    assert "No links" in store.links()._repr_html_()  # type: ignore[attr-defined]


def test_progress_bars_are_drawn_if_wanted(
    notes: littoral.Collection, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tqdm")
    notes.put_many({"a": {"n": 1}}, progress=True)
    notes.put_many(notes.to_arrow(progress=True), progress=True)
    assert "documents" in capsys.readouterr().err
