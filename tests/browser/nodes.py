"""Nodes to look at in a browser: the real binary, three of them in one network."""

import json
import signal
import subprocess
import urllib.request


class Node:
    """A node that runs."""

    def __init__(self, program, work, name, http="127.0.0.1:0"):
        self.program, self.data, self.name = program, str(work / name), name
        command = [program, "--json", "--data", self.data, "run"]
        command += ["--listen", "127.0.0.1:0", "--http", http]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        told = json.loads(self.process.stdout.readline())
        self.key, self.listen, self.url = told["key"], told["listen"], told["http"]

    def command(self, *arguments):
        """What a command says, of a store or of the node that runs on it."""
        return command(self.program, self.data, *arguments)

    def ask(self, method, path, body=None):
        """Asks over HTTP; gives the answer as text."""
        headers = {"content-type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read().decode()

    def get(self, path):
        return json.loads(self.ask("GET", path))

    def put(self, id, doc, collection="notes"):
        self.ask("PUT", f"/collections/{collection}/docs/{id}", doc)

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def command(program, data, *arguments):
    done = subprocess.run(
        [program, "--json", "--data", data, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{arguments}: {done.stderr}")
    return json.loads(done.stdout) if done.stdout.strip() else None


def network(program, work, nodes):
    """A hub, and a phone and a laptop that have joined it. They are added to `nodes`."""
    command(program, str(work / "hub"), "found-roster", "--name", "hub")
    hub = Node(program, work, "hub")
    nodes.append(hub)
    for name in ("phone", "laptop"):
        ticket = hub.command("invite", "--rights", "admin")["ticket"]
        command(program, str(work / name), "join", "--name", name, ticket)
        nodes.append(Node(program, work, name))
    return nodes
