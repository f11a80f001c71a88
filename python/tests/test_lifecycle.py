"""Beginnings and ends: a thousand openings, forks, exits, signals, kills."""

import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import littoral

linux = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counted by /proc")


def run(code: str, *args: object, timeout: float = 120) -> "subprocess.CompletedProcess[str]":
    """Run Python code in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, args)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


OPENED = """
import gc, os, sys, littoral
from pathlib import Path

def cycle():
    with littoral.open(sys.argv[1], cache_bytes=1 << 20) as store:
        notes = store["notes"]
        notes["n"] = {"a": 1}
        scan, changes, stream = notes.scan(), store.changes(), notes.arrow()
        next(scan)
        with store.write() as tx:
            tx["notes"]["m"] = notes["n"]
    store = tx = None

def held():
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    threads = len(os.listdir("/proc/self/task"))
    return pages * os.sysconf("SC_PAGE_SIZE"), len(os.listdir("/proc/self/fd")), threads

for _ in range(200):
    cycle()
before = held()
for _ in range(1000):
    cycle()
after = held()
print(after[0] - before[0], after[1] - before[1], after[2] - before[2])
"""


@linux
def test_a_thousand_openings_leave_nothing_behind(tmp_path: Path) -> None:
    done = run(OPENED, tmp_path / "store", timeout=600)
    assert done.returncode == 0, done.stderr
    memory, descriptors, threads = map(int, done.stdout.split())
    assert (descriptors, threads) == (0, 0)
    # A leak of 4 KiB a time would be 4 MiB.
    assert memory < 4 << 20


@linux
def test_stores_with_networks_leave_nothing_behind(tmp_path: Path) -> None:
    def cycle() -> None:
        with littoral.open(tmp_path / "hub") as hub, littoral.open(tmp_path / "phone") as phone:
            hub.trust(phone.id)
            phone.connect(hub.listen("127.0.0.1:0")).wait_synced()

    def held() -> tuple[int, int]:
        gc.collect()
        return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))

    cycle()
    before = held()
    for _ in range(10):
        cycle()
    assert held() == before


FORK = """
import os, sys, littoral
store = littoral.open(sys.argv[1])
notes = store["notes"]
notes["n"] = {"a": 1}
store.checkpoint("c")
scan, changes, past, stream = notes.scan(), store.changes(), store.at("c"), notes.arrow()
tx = store.write().__enter__()
store.listen("127.0.0.1:0")
link = store.connect("127.0.0.1:9#" + littoral.open(sys.argv[1] + "-peer").id)
child = os.fork()
if child == 0:
    wrong = []
    for name, call in {
        "get": lambda: notes["n"],
        "set": lambda: notes.set("n", "a", 2),
        "len": lambda: len(notes),
        "close": store.close,
        "scan": lambda: next(scan),
        "changes": lambda: changes.next(1),
        "position": lambda: changes.position,
        "tx": lambda: tx["notes"]["n"],
        "rollback": tx.rollback,
        "past": lambda: past["notes"]["n"],
        "past.close": past.close,
        "links": store.links,
        "link": link.status,
        "link.close": link.close,
        "listen": store.listen,
        "wait": store.wait_synced,
        "verify": store.verify,
        "backup": lambda: store.backup("b"),
        "put_many": lambda: notes.put_many({"x": {}}),
        "stats": store.stats,
        "checkpoint": lambda: store.checkpoint("d"),
        "arrow": notes.arrow,
        "closed": lambda: store.closed,
    }.items():
        try:
            call()
            wrong.append(name)
        except littoral.ForkError as error:
            assert "forked" in str(error) and isinstance(error, RuntimeError)
    # A store of one's own is fine.
    with littoral.open(sys.argv[1] + "-child") as own:
        own["notes"]["n"] = {"a": 2}
    print(wrong, flush=True)
    sys.exit(len(wrong))
_, status = os.waitpid(child, 0)
tx.rollback()
notes.set("n", "a", 3)
print(os.waitstatus_to_exitcode(status), notes["n"])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_is_told_so_and_harms_nothing(tmp_path: Path) -> None:
    done = run(FORK, tmp_path / "store")
    assert (done.returncode, done.stdout) == (0, "[]\n0 Document({'a': 3})\n"), done.stderr
    with littoral.open(tmp_path / "store") as store:
        assert store["notes"]["n"] == {"a": 3}


POOL = """
import multiprocessing, sys, littoral

def work(n):
    try:
        return store["notes"]["n"]
    except littoral.ForkError:
        return "forked"

if __name__ == "__main__":
    store = littoral.open(sys.argv[1])
    store["notes"]["n"] = {"a": 1}
    with multiprocessing.get_context("fork").Pool(2) as pool:
        print(set(pool.map(work, range(4))))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_pool_of_forked_processes_is_told_so_too(tmp_path: Path) -> None:
    done = run("import warnings; warnings.simplefilter('ignore')\n" + POOL, tmp_path / "store")
    assert (done.returncode, done.stdout) == (0, "{'forked'}\n"), done.stderr


EXIT = """
import asyncio, contextlib, sys, threading, littoral
from littoral import aio
hub, phone = littoral.open(sys.argv[1]), littoral.open(sys.argv[2])
address = hub.listen("127.0.0.1:0")
hub.trust(phone.id)
link = phone.connect(address)
hub["notes"]["n"] = {"a": 1}
hub.wait_synced(30)
lost = phone.connect("127.0.0.1:9#" + hub.id)
scan, changes, tx = hub["notes"].scan(), hub.changes(), hub.write().__enter__()
stream = hub["notes"].arrow()
followed = aio.Store(hub).changes()
threading.Thread(target=lambda: [*changes], daemon=True).start()
def wait():
    with contextlib.suppress(littoral.ClosedError):
        phone.changes().next()
threading.Thread(target=wait, daemon=True).start()
def write():
    with contextlib.suppress(littoral.ClosedError):
        while True:
            phone["notes"].increment("n", "views")
threading.Thread(target=write, daemon=True).start()
print(phone["notes"]["n"]["a"])
"""


def test_the_interpreter_exits_with_live_objects_fifty_times(tmp_path: Path) -> None:
    def one(turn: int) -> tuple[int, str, str]:
        done = run(EXIT, tmp_path / f"hub{turn % 10}", tmp_path / f"phone{turn % 10}")
        return done.returncode, done.stdout, done.stderr

    # They mostly wait for a peer that is not there, so ten at a time.
    with ThreadPoolExecutor(10) as pool:
        for turns in range(0, 50, 10):
            assert {*pool.map(one, range(turns, turns + 10))} == {(0, "1\n", "")}
    with littoral.open(tmp_path / "hub0") as store:
        assert store.verify(quick=True).sound


# What each blocks on, until Ctrl-C: another transaction, a pipe that nobody writes to, a peer that
# is not there, changes that don't come.
WAITS = {
    "changes": "for change in store.changes(): pass",
    "next": "store.changes().next(timeout=600)",
    "put": "hold(); notes['n'] = {}",
    "write": "hold(); store.write(timeout=600).__enter__()",
    "edit": "hold(); notes.edit('n', timeout=600).__enter__()",
    "pop": "hold(); notes.pop('n', None)",
    "put_many": "notes.put_many((f'{n}', {'n': n}) for n in itertools.count())",
    "put_many waiting": "hold(); notes.put_many([('n', {})] * 3000)",
    "scan": "while True: [*notes.scan()]",
    "revert": "hold(); store.revert('before')",
    "undo": "hold(); store.undo()",
    "synced": "store.connect('127.0.0.1:9#' + key); store.wait_synced(600)",
    "link": "store.connect('127.0.0.1:9#' + key).wait_synced(600)",
    "bundle_apply": "store.bundle_apply(pipe)",
    "bundle_inspect": "store.bundle_inspect(pipe)",
    "bundle_create": "store.bundle_create(directory + '/bundle', since=pipe)",
    "inspect": "littoral.bundle_inspect(pipe)",
    "backup_check": "littoral.backup_check(pipe)",
    "restore": "littoral.restore(pipe, directory + '/restored')",
    "aio": "asyncio.run(follow())",
}

WAITER = """
import asyncio, itertools, os, signal, sys, threading, littoral
from littoral import aio
signal.signal(signal.SIGINT, signal.default_int_handler)
directory, key, wait = sys.argv[1:]
pipe = directory + "/pipe"
os.mkfifo(pipe)
store = littoral.open(directory + "/store")
notes = store["notes"]
notes["n"] = {"n": 1}
store.checkpoint("before")
notes["n"] = {"n": 2}

def hold():
    held = threading.Event()
    def other():
        with store.write():
            held.set()
            threading.Event().wait()
    threading.Thread(target=other, daemon=True).start()
    held.wait()

async def follow():
    async with aio.Store(store) as same:
        async for change in same.changes():
            pass

# The signal comes while the call blocks: this thread is in it as soon as it leaves Python.
def interrupt():
    interrupted.wait(0.4)
    os.kill(os.getpid(), signal.SIGINT)
interrupted = threading.Event()
threading.Thread(target=interrupt, daemon=True).start()
try:
    exec(compile(wait, "wait", "exec"))
except KeyboardInterrupt:
    print("interrupted", flush=True)
# What goes on in the background does not keep the process.
"""


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with littoral.open(tmp_path_factory.mktemp("stranger") / "store") as other:
        yield other.id


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS.keys())
def test_ctrl_c_ends_every_wait(tmp_path: Path, stranger: str, wait: str) -> None:
    done = run(WAITER, tmp_path, stranger, wait)
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr


def test_what_ctrl_c_left_alone_is_finished(tmp_path: Path) -> None:
    with littoral.open(tmp_path / "store") as store:
        store["notes"].put_many((f"{n:05}", {"n": n}) for n in range(3000))
        store.checkpoint("before")
        store["notes"].put_many((f"{n:05}", {"n": -n}) for n in range(3000))
        held, over = threading.Event(), threading.Event()

        def hold() -> None:
            with store.write():
                held.set()
                over.wait()

        other = threading.Thread(target=hold)
        other.start()
        held.wait()
        threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            store.revert("before")
        over.set()
        other.join()
        # It waited for the other, and went on when that ended.
        for _ in store.changes(timeout=30):
            if store["notes"]["02999"]["n"] == 2999:
                break
        assert store["notes"]["02999"] == {"n": 2999}


KILLED = """
import itertools, sys, littoral
notes = littoral.open(sys.argv[1])["notes"]
for n in itertools.count():
    if sys.argv[2] == "one":
        notes[f"{n:06}"] = {"n": n}
    elif sys.argv[2] == "edit":
        with notes.edit("all") as all:
            all[f"{n:06}"] = n
    else:
        notes.put_many((f"{n:06}-{m:03}", {"n": m}) for m in range(100))
    print(n, flush=True)
"""


@pytest.mark.parametrize("how", ["one", "edit", "batch"])
def test_acknowledged_writes_survive_kill(tmp_path: Path, how: str) -> None:
    for turn in range(3):
        path = tmp_path / f"{turn}"
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path), how], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for _ in range(30 + 7 * turn):
                process.stdout.readline()
            process.kill()
            acknowledged = 29 + 7 * turn + len([*process.stdout])
        with littoral.open(path) as store:
            notes = store["notes"]
            if how == "edit":
                found = len(notes["all"])
            elif how == "batch":
                found, rest = divmod(len(notes), 100)
                assert rest == 0
            else:
                found = len(notes)
            assert found >= acknowledged
            assert store.verify().sound
            if how == "one":
                assert [note["n"] for note in notes.values()] == [*range(found)]
