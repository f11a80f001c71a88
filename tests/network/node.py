"""A node: the real binary as a process, perhaps in a network namespace, spoken to over HTTP."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

from machines import inside

HERE = Path(__file__).resolve().parent
# Far longer than an answer takes, on a machine that is busy with other things.
ANSWER_S = 60


def build(root):
    """Builds the release binary and gives its path."""
    command = ["cargo", "build", "-q", "--release", "--locked", "-p", "littoral-node"]
    subprocess.run(command, cwd=root, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", root / "target"))
    return target / "release" / "littoral"


class Node:
    """A store's directory and the process that runs on it."""

    def __init__(self, binary, name, data, namespace=None, listen="127.0.0.1:0"):
        self.binary, self.name, self.data = str(binary), name, Path(data)
        self.namespace, self.listen = namespace, listen
        self.peers, self.options = [], []
        self.process = None
        self.http = None
        self.log = self.data.with_suffix(".log")
        self.key = subprocess.run([self.binary, "--data", str(data), "id"], check=True,
                                  capture_output=True, text=True).stdout.strip()

    def start(self):
        """Starts it and waits until it answers. After the first time, at the same address."""
        into = ["ip", "netns", "exec", self.namespace] if self.namespace else []
        peers = [word for peer in self.peers for word in ("--peer", peer)]
        told = ["--json", "--data", str(self.data), "run"]
        where = ["--listen", self.listen, "--http", "127.0.0.1:0"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*into, self.binary, *told, *where, *peers, *self.options], stdout=subprocess.PIPE,
                stderr=log, text=True, env={**os.environ, "LITTORAL_LOG": "info"})
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"node {self.name} did not start:\n{self.last_words()}")
        here = json.loads(line)
        self.http = here["http"].removeprefix("http://")
        self.listen = here["listen"]

    def address(self, at=None):
        """Where peers reach it, as for --peer."""
        return f"{at or self.listen}#{self.key}"

    def kill(self):
        """As `kill -9` does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self):
        """Asks it to end; gives its exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=ANSWER_S)
        self.process = None
        return code

    def last_words(self, lines=15):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def times_logged(self, text):
        return self.log.read_text(errors="replace").count(text)

    def client(self):
        return Client(self)

    def memory_kib(self):
        """Resident memory of the process, and the most that it ever was."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        words = dict(line.split(":", 1) for line in status.splitlines())
        return tuple(int(words[name].split()[0]) for name in ("VmRSS", "VmHWM"))

    def disk_bytes(self):
        """Bytes that the log and the state take on the disk."""
        log = sum(taken(file) for file in (self.data / "log").iterdir())
        return log, taken(self.data / "state.redb")


def taken(file):
    try:
        return file.stat().st_blocks * 512
    except FileNotFoundError:
        return 0


class Unanswered(Exception):
    """A request whose outcome nobody knows: it may have been carried out."""


class NotSent(Exception):
    """A request that has not reached the node."""


class Client:
    """A connection to a node's HTTP, for one thread. Makes a new one when the node is restarted."""

    def __init__(self, node):
        self.node = node
        self.connection = None
        self.at = None

    def ask(self, method, path, body=None):
        """Status and JSON of the answer."""
        if self.connection is None or self.at != self.node.http:
            self.connect()
        text = None if body is None else json.dumps(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            self.connection.request(method, path, text, headers)
            answer = self.connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.connection = None
            raise Unanswered(str(error)) from error
        return answer.status, json.loads(content) if content else None

    def get(self, path):
        """What a request that must succeed answers."""
        status, answer = self.ask("GET", path)
        if status != 200:
            raise RuntimeError(f"GET {path} at {self.node.name}: {status} {answer}")
        return answer

    def connect(self):
        self.at = self.node.http
        host, port = self.at.rsplit(":", 1)
        connection = http.client.HTTPConnection(host, int(port), timeout=ANSWER_S)
        try:
            with inside(self.node.namespace):
                connection.connect()
        except OSError as error:
            self.connection = None
            raise NotSent(str(error)) from error
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection = connection


def doc(collection, ident, *more):
    """The path of a document."""
    return "/".join([f"/collections/{collection}/docs", quote(ident, safe=""), *more])


def until(what, ready, timeout_s=240, every_s=0.1):
    """Asks again until something holds: another process can't be waited for otherwise."""
    end = time.monotonic() + timeout_s
    while True:
        found = ready()
        if found:
            return found
        if time.monotonic() > end:
            raise RuntimeError(f"waited {timeout_s} s for {what}")
        time.sleep(every_s)


class Stretch:
    """A proxy as a process, perhaps in a namespace: a bad stretch of network on the way to a node."""

    def __init__(self, target, namespace=None, listen="127.0.0.1:0", options=()):
        into = ["ip", "netns", "exec", namespace] if namespace else []
        self.process = subprocess.Popen(
            [*into, sys.executable, str(HERE / "proxy.py"), listen, target, *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.address = self.process.stdout.readline().split()[-1]

    def cut(self, is_cut=True):
        """Lets nothing pass, or everything again."""
        self.tell("cut" if is_cut else "heal")

    def figures(self):
        """What has passed it, in words."""
        self.tell("figures")
        return self.process.stdout.readline().strip()

    def tell(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def close(self):
        """Ends it."""
        self.process.kill()
        self.process.wait()
