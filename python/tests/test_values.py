"""What is written is what is read, exactly; what can't be is refused with its path."""

import copy
import math
import pickle
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import littoral
from littoral import Counter

I64 = st.integers(-(2**63), 2**64 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
TIMES = st.datetimes(
    timezones=st.sampled_from(
        [timezone.utc, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-8))]
    ),
    min_value=datetime(2, 1, 1),
    max_value=datetime(9998, 12, 31),
)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | I64 | FLOATS | TEXT | st.binary(max_size=20) | TIMES
INSIDE = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4)
)
REGISTERS = SCALARS | st.lists(INSIDE, max_size=4)
COUNTERS = st.integers(-(2**63), 2**63 - 1).map(Counter)
FIELDS = st.recursive(
    REGISTERS | st.sets(SCALARS, max_size=4) | COUNTERS,
    lambda inner: st.dictionaries(TEXT, inner, max_size=4),
)
DOCUMENTS = st.dictionaries(TEXT, FIELDS, max_size=5)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[littoral.Collection]:
    with littoral.open(tmp_path_factory.mktemp("values")) as store:
        yield store["notes"]


def exact(value: Any) -> Any:
    """A value with its types, so that 1, 1.0 and True differ."""
    if isinstance(value, dict):
        return {"dict": {name: exact(inner) for name, inner in value.items()}}
    if isinstance(value, list):
        return [exact(inner) for inner in value]
    if isinstance(value, (set, frozenset)):
        return ("set", {exact(inner) for inner in value})
    return (type(value), value)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(DOCUMENTS)
def test_documents_come_back_as_they_were_written(
    shared: littoral.Collection, document: dict[str, Any]
) -> None:
    shared.delete("n")  # what was there decides what a number or a list means
    shared["n"] = document
    assert exact(dict(shared["n"])) == exact(document)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(DOCUMENTS)
def test_documents_come_back_through_put_many_and_scan(
    shared: littoral.Collection, document: dict[str, Any]
) -> None:
    shared.delete("many")
    assert shared.put_many([("many", document)]) == 1
    (found,) = shared.scan(prefix="many")
    assert exact(dict(found)) == exact(document)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(DOCUMENTS, DOCUMENTS)
def test_putting_back_what_was_read_leaves_what_was_meant(
    shared: littoral.Collection, before: dict[str, Any], after: dict[str, Any]
) -> None:
    shared.delete("n")
    shared["n"] = before
    document = shared["n"]
    document.clear()
    document.update(after)
    try:
        shared["n"] = document
    except (littoral.WrongKindError, littoral.LimitError):
        return  # a number over a counter; a counter that moves by more than 64 bits
    # A list over a set is a set difference, as it is through every door.
    if not any(isinstance(value, set) for value in walk(before)):
        assert exact(dict(shared["n"])) == exact(after)
    assert exact(dict(document)) == exact(dict(shared["n"]))


def walk(value: Any) -> Iterator[Any]:
    yield value
    if isinstance(value, dict):
        for inner in value.values():
            yield from walk(inner)


def test_kinds_keep_their_types(notes: littoral.Collection) -> None:
    zone = timezone(timedelta(hours=2))
    notes["n"] = {
        "true": True,
        "one": 1,
        "float": 1.0,
        "none": None,
        "big": 2**64 - 1,
        "small": -(2**63),
        "bytes": bytearray(b"\0\xff"),
        "view": memoryview(b"abc"),
        "time": datetime(2026, 11, 22, 18, 0, 0, 123456, zone),
        "tuple": (1, (2, 3)),
        "frozen": frozenset({"a"}),
        "counter": Counter(7),
        "map": {"empty": {}, "list": []},
        "set": set(),
    }
    assert exact(dict(notes["n"])) == exact(
        {
            "true": True,
            "one": 1,
            "float": 1.0,
            "none": None,
            "big": 2**64 - 1,
            "small": -(2**63),
            "bytes": b"\0\xff",
            "view": b"abc",
            "time": datetime(2026, 11, 22, 16, 0, 0, 123456, timezone.utc),
            "tuple": [1, [2, 3]],
            "frozen": {"a"},
            "counter": Counter(7),
            "map": {"empty": {}, "list": []},
            "set": set(),
        }
    )


class Index:
    """An integer of another library."""

    def __index__(self) -> int:
        return 42


def test_integers_of_other_libraries_are_integers(notes: littoral.Collection) -> None:
    notes["n"] = {"x": Index()}
    assert exact(notes["n"]["x"]) == (int, 42)


def test_scalars_of_numpy_are_those_of_python(notes: littoral.Collection) -> None:
    numpy = pytest.importorskip("numpy")
    pandas = pytest.importorskip("pandas")
    notes["n"] = {
        "int": numpy.int8(-3),
        "big": numpy.uint64(2**64 - 1),
        "float": numpy.float32(1.5),
        "double": numpy.float64(0.1),
        "bool": numpy.bool_(True),
        "str": numpy.str_("x"),
        "list": [numpy.int64(1), numpy.float16(0.5)],
        "set": {numpy.int32(7)},
        "time": pandas.Timestamp("2026-01-01T12:00", tz="Europe/Berlin"),
    }
    assert exact(dict(notes["n"])) == exact(
        {
            "int": -3,
            "big": 2**64 - 1,
            "float": 1.5,
            "double": 0.1,
            "bool": True,
            "str": "x",
            "list": [1, 0.5],
            "set": {7},
            "time": datetime(2026, 1, 1, 11, tzinfo=timezone.utc),
        }
    )
    for bad, why in [
        (numpy.array([1]), "tolist"),
        (numpy.datetime64("2026-01-01T00:00"), "without a zone"),
        (numpy.float32("nan"), "NaN"),
        (numpy.longdouble(1), "of type"),
        (pandas.NaT, "is no moment"),
        (pandas.NA, "write None"),
    ]:
        with pytest.raises(littoral.Error, match=why):
            notes["bad"] = {"x": bad}


def test_a_time_beyond_datetime_is_a_moment(notes: littoral.Collection) -> None:
    far = littoral.Moment(2**62)
    notes["n"] = {"x": far, "list": [far]}
    assert notes["n"] == {"x": far, "list": [far]}


REFUSED: list[tuple[Any, type[Exception], str]] = [
    ({"a": {"b": 2**64}}, OverflowError, "'/a/b' is an integer beyond 64 bits"),
    ({"a": [0, {"b": -(2**63) - 1}]}, OverflowError, "'/a/1/b' is an integer beyond 64 bits"),
    ({"c": Counter(2**63)}, OverflowError, "'/c' is a counter beyond 64 bits"),
    ({"a": {"b": math.nan}}, ValueError, "'/a/b' is NaN"),
    ({"a": [math.inf]}, ValueError, "'/a/0' is infinity"),
    ({"s": {-math.inf}}, ValueError, "'/s' is minus infinity"),
    ({"t": datetime(2026, 1, 1)}, TypeError, "'/t' is a datetime without a zone"),
    ({"t": date(2026, 1, 1)}, TypeError, "'/t' is of type date; write a datetime"),
    ({"d": Decimal(1)}, TypeError, "'/d' is of type Decimal; write its str()"),
    ({"o": object()}, TypeError, "'/o' is of type object"),
    ({"l": [{1}]}, TypeError, "'/l/0' is of type set; a list is replaced as a whole"),
    ({"l": [Counter(1)]}, TypeError, "'/l/0' is of type Counter; a list is replaced as a whole"),
    ({"s": {(1, 2)}}, TypeError, "'/s' can't hold an element of type tuple"),
    ({"a": {1: 2}}, TypeError, "'/a' has a key of type int"),
    ({1: 2}, TypeError, "the document has a key of type int"),
    ({"a": "\ud800"}, ValueError, "'/a' holds a lone surrogate"),
    ([("a", 1)], TypeError, "a document is a dict, not list"),
    ("text", TypeError, "a document is a dict, not str"),
]


@pytest.mark.parametrize(("document", "kind", "message"), REFUSED)
def test_what_cannot_be_stored_is_refused_with_its_path(
    notes: littoral.Collection, document: Any, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind) as caught:
        notes["n"] = document
    assert message in str(caught.value)
    assert isinstance(caught.value, littoral.Error)
    assert len(notes) == 0


def test_deep_and_endless_values_are_refused(notes: littoral.Collection) -> None:
    endless: list[Any] = []
    endless.append(endless)
    for bad in (endless, nested(100)):
        with pytest.raises(littoral.LimitError, match="nested deeper than 64"):
            notes["n"] = {"a": bad}
    notes["n"] = {"a": nested(60)}
    assert notes["n"]["a"] == nested(60)


def nested(depth: int) -> dict[str, Any]:
    inner: dict[str, Any] = {}
    for _ in range(depth):
        inner = {"x": inner}
    return inner


def test_bad_ids_paths_and_names(store: littoral.Store, notes: littoral.Collection) -> None:
    for bad in ("", "x" * 513):
        with pytest.raises(ValueError, match="id"):
            notes[bad] = {}
        assert bad not in notes
    notes["x" * 512] = {}
    with pytest.raises(ValueError, match="surrogate"):
        notes["\ud800"] = {}
    with pytest.raises(TypeError, match="the id of a document is a str, not int"):
        notes[1] = {}  # type: ignore[index]
    with pytest.raises(TypeError, match="a path is a str"):
        notes.set("n", 1, 2)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="path"):
        notes.set("n", (), 2)
    with pytest.raises(littoral.InvalidInputError):
        store["no/such name"]
    with pytest.raises(TypeError):
        notes.increment("n", "views", 1.5)  # type: ignore[arg-type]
    with pytest.raises(OverflowError):
        notes.increment("n", "views", 2**63)


def test_a_counter_behaves_as_its_number() -> None:
    counter = Counter(2)
    counter += 3
    assert isinstance(counter, Counter)
    assert counter == 5
    assert (counter.value, int(counter), hash(counter)) == (5, 5, hash(5))
    assert [counter - 1, 1 + counter, counter + Counter(1)] == [Counter(4), Counter(6), Counter(6)]
    assert counter > 4
    assert counter <= Counter(5)
    assert [10, 20, 30][Counter(1)] == 20
    assert (repr(counter), f"{counter:03}", bool(Counter())) == ("Counter(5)", "005", False)
    assert copy.deepcopy(counter) == pickle.loads(pickle.dumps(counter)) == counter
    with pytest.raises(TypeError):
        counter + 1.5  # type: ignore[operator]
    with pytest.raises(TypeError):
        Counter("1")  # type: ignore[arg-type]


def test_a_number_over_a_counter_is_refused_with_the_remedy(notes: littoral.Collection) -> None:
    notes["n"] = {"views": Counter(1)}
    document = notes["n"]
    document["views"] = 5
    with pytest.raises(TypeError, match="increment"):
        notes["n"] = document
    assert notes["n"]["views"] == 1


def test_equal_but_different_elements_of_a_set_survive_a_read_and_a_put(tmp_path: Path) -> None:
    with littoral.open(tmp_path) as store:
        notes = store["notes"]
        for element in (1, 1.0, True, "x"):
            notes.add("n", "s", element)
        before = store.digests("notes")
        document = notes["n"]
        assert document["s"] == {1, "x"}
        notes["n"] = document
        assert store.digests("notes") == before
        document["s"].discard(1)
        notes["n"] = document
        assert notes["n"]["s"] == {"x"}
