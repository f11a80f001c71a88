"""Every example and every docstring runs."""

import doctest
import re
import subprocess
import sys
from pathlib import Path

import pytest

import littoral
import littoral.aio

HERE = Path(__file__).parent
FOLDER = HERE.parent.parent / "examples" / "python"
# sync_with_node needs a node: tests/peers/run runs it.
EXAMPLES = sorted(path for path in FOLDER.glob("*.py") if path.stem != "sync_with_node")


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
    assert any("days: 1,461 documents" in data.get("text/html", "") for data in shown)


def test_docstrings_run() -> None:
    assert doctest.testmod(littoral) == (0, 3)
    assert doctest.testmod(littoral.aio) == (0, 4)


def test_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(
        r"```python\n(import littoral.*?)```",
        (HERE.parent / "README.md").read_text(encoding="utf-8"),
        re.DOTALL,
    )
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})


def test_help_names_everything() -> None:
    for name in littoral.__all__:
        thing = getattr(littoral, name)
        assert thing.__doc__, name
        if isinstance(thing, type) and name not in ("Changes", "Version"):
            assert thing.__module__ == "littoral", name
