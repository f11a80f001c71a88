"""What is said runs: every docstring, the README, every example, the notebook; help() helps."""

import ast
import asyncio
import doctest
import inspect
import pydoc
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import littoral
from littoral import aio

HERE = Path(__file__).parent
FOLDER = HERE.parent.parent / "examples" / "python"
# sync_with_node needs a node: tests/peers/run runs it.
EXAMPLES = sorted(path for path in FOLDER.glob("*.py") if path.stem != "sync_with_node")
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def docstrings() -> Iterator[doctest.DocTest]:
    """Find the examples of all that users can get at, inherited verbs too."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    seen = set()
    for module in (littoral, aio):
        yield from finder.find(module.__doc__, module.__name__, module=False)
        for name in module.__all__:
            thing = getattr(module, name)
            parts = [thing, *inspect.getmro(thing)] if inspect.isclass(thing) else [thing]
            for part in parts:
                where = f"{module.__name__}.{getattr(part, '__name__', name)}"
                for found in finder.find(part, where, module=False, globs={}):
                    if found.examples and found.docstring not in seen:
                        seen.add(found.docstring)
                        yield found


@pytest.mark.parametrize("found", [*docstrings()], ids=lambda found: found.name)
def test_docstrings_run(found: doctest.DocTest, tmp_path: Path) -> None:
    with littoral.open(tmp_path / "store") as store, littoral.open(tmp_path / "other") as other:
        notes = store["notes"]
        notes["n1"] = {"title": "Low tide"}
        notes["n2"] = {"title": "High tide"}
        found.globs = {
            "littoral": littoral,
            "store": store,
            "notes": notes,
            "other": other,
            "directory": tmp_path,
        }
        for name in ("pandas", "polars"):
            if name in (found.docstring or ""):
                found.globs[name] = pytest.importorskip(name)
        said: list[str] = []
        runner = doctest.DocTestRunner(optionflags=FLAGS)
        runner.run(found, out=said.append)
    assert runner.failures == 0, "".join(said)


def test_the_verbs_that_people_begin_with_show_how() -> None:
    with_examples = {found.name for found in docstrings()}
    for name in (
        "littoral",
        "littoral.aio",
        "littoral.open",
        "littoral.join",
        "littoral.Counter",
        "littoral.Document",
        "littoral.Store",
        "littoral.Store.write",
        "littoral.Store.changes",
        "littoral.Store.conflicts",
        "littoral.Store.backup",
        "littoral.Store.bundle_create",
        "littoral.Collection",
        "littoral.Collection.edit",
        "littoral.Collection.put_many",
        "littoral.Tape.at",
        "littoral.Tape.revert",
        "littoral.Peers.invite",
        "littoral.Peers.connect",
        "littoral.Ranges.scan",
        "littoral.Ranges.to_pandas",
    ):
        assert name in with_examples


README = (HERE.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.splitlines()[0])
def test_the_readme_runs(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    stores = {name: littoral.open(tmp_path / name) for name in ("store", "hub", "phone", "peer")}
    store = stores["store"]
    notes = store["notes"]
    notes["n1"] = {"title": "Low tide"}
    frame = pandas.DataFrame({"key": ["n2"], "_id": ["n2"], "title": ["High tide"]})
    if "before the import" in block and "store.checkpoint(" not in block:
        store.checkpoint("before the import")
    if "littoral1" in block:
        peer = stores["peer"]
        peer.listen("127.0.0.1:0")
        block = block.replace("littoral1afcw2z...", str(peer.invite()))
    known: dict[str, Any] = {**stores, "notes": notes, "littoral": littoral}
    known.update(pandas=pandas, polars=polars, frame=frame)
    code = compile(
        block.replace(":4433", ":0"), "README.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    )
    awaitable = eval(code, known)
    if awaitable is not None:
        asyncio.run(awaitable)
    for one in stores.values():
        one.close()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_examples_run(example: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(example)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_the_examples_are_there() -> None:
    assert {path.stem for path in EXAMPLES} >= {
        "async_service",
        "first_steps",
        "join",
        "sensor_gateway",
        "two_stores",
    }


def test_the_notebook_runs() -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("matplotlib")
    folder = FOLDER.parent / "notebook"
    notebook = nbformat.read(folder / "weather.ipynb", as_version=4)
    nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(folder)}}
    ).execute()
    shown = [
        output["data"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "data" in output
    ]
    assert sum("image/png" in data for data in shown) == 3
    tables = [data.get("text/html", "") for data in shown]
    for told in ("days: 1,461 documents", "Store /", "Conflicts", "Standings"):
        assert any(told in one for one in tables), told


def public(thing: Any) -> Iterator[tuple[str, Any]]:
    for name in dir(thing):
        if not name.startswith("_") and not hasattr(dict, name):
            yield name, inspect.getattr_static(thing, name)


def test_help_is_useful() -> None:
    for module in (littoral, aio):
        for name in module.__all__:
            thing = getattr(module, name)
            assert thing.__doc__, name
            if isinstance(thing, type) and name not in ("Changes", "Version", "Ticket"):
                assert thing.__module__ == module.__name__, name
            if isinstance(thing, type) and not issubclass(thing, Exception):
                for verb, found in public(thing):
                    # The fields of records are described beside them, where editors show it.
                    if callable(found) or isinstance(found, property):
                        assert inspect.getdoc(getattr(thing, verb)), f"{name}.{verb}"
    text = pydoc.plain(pydoc.render_doc(littoral.Store))
    for word in ("write(self, *, timeout: float = 30.0)", "rolls everything back", "checkpoint("):
        assert word in text
    text = pydoc.plain(pydoc.render_doc(aio.Store))
    assert "async stats(self) -> " in text or "stats(self) -> " in text
