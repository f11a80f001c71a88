"""Machines: network namespaces on one bridge, and what can go wrong between them.

The bridge has a namespace of its own, so nothing of the real machine's network is touched.
Names carry this process's id; `Wire.close` removes all of them. Cuts and loss are rules of the
bridge, so a machine can't tell them from a bad network; a rate limit is a token bucket on both
ends of a machine's cable.
"""

import contextlib
import ctypes
import json
import os
import subprocess
from pathlib import Path

CLONE_NEWNET = 0x40000000
NAMESPACES = Path("/run/netns")
PREFIX = "10.77.0."

RULES = """
table bridge wire {
  set cuts { type ipv4_addr . ipv4_addr; }
  chain loss { }
  chain pass {
    type filter hook forward priority 0; policy accept;
    ip saddr . ip daddr @cuts counter drop
    meta l4proto udp jump loss
  }
}
"""

libc = ctypes.CDLL(None, use_errno=True)


def why_not():
    """Why machines can't be made here; None if they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    name = f"lit{os.getpid()}-try"
    try:
        run("ip", "netns", "add", name)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"network namespaces can't be made here: {said(error)}"
    try:
        run("ip", "netns", "exec", name, "nft", "-f", "-", text=RULES)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"packet filters can't be made here: {said(error)}"
    finally:
        run("ip", "netns", "del", name)
    return None


def said(error):
    """What a command that failed has said."""
    return (getattr(error, "stderr", None) or str(error)).strip().replace("\n", "; ")


def run(*command, text=None):
    """Runs a command that must succeed, and gives what it prints."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    return done.stdout


@contextlib.contextmanager
def inside(namespace):
    """This thread is in a machine's network for a while; sockets made meanwhile stay there."""
    if namespace is None:
        yield
        return
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(NAMESPACES / namespace, os.O_RDONLY)
    try:
        enter(there)
        yield
    finally:
        enter(here)
        os.close(here)
        os.close(there)


def enter(descriptor):
    if libc.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "could not enter a network namespace")


class Wire:
    """A bridge and the machines on it."""

    def __init__(self):
        self.stem = f"lit{os.getpid()}"
        self.made = []
        self.addresses = {}
        self.cut_pairs = set()
        self.hub = self.namespace("hub")
        run("ip", "-n", self.hub, "link", "add", "br0", "type", "bridge")
        run("ip", "-n", self.hub, "link", "set", "br0", "up")
        self.rules(RULES)

    def namespace(self, name):
        """Makes a namespace and gives its full name."""
        full = f"{self.stem}-{name}"
        run("ip", "netns", "add", full)
        self.made.append(full)
        return full

    def add(self, name, number):
        """Adds a machine with address 10.77.0.NUMBER; gives the name of its namespace."""
        there = self.namespace(name)
        port = f"to-{name}"
        run("ip", "-n", self.hub, "link", "add", port, "type", "veth",
            "peer", "name", "eth0", "netns", there)
        run("ip", "-n", self.hub, "link", "set", port, "master", "br0", "up")
        for device in ("lo", "eth0"):
            run("ip", "-n", there, "link", "set", device, "up")
        self.address(name, number)
        return there

    def address(self, name, number):
        """Gives a machine this address, and takes away the one it had."""
        there = f"{self.stem}-{name}"
        run("ip", "-n", there, "addr", "flush", "dev", "eth0")
        run("ip", "-n", there, "addr", "add", f"{PREFIX}{number}/24", "dev", "eth0")
        self.addresses[name] = f"{PREFIX}{number}"

    def cut(self, one, other, both=True):
        """Lets nothing pass from one machine to another, and back."""
        pair = (self.addresses[one], self.addresses[other])
        self.cut_pairs.add(pair)
        if both:
            self.cut_pairs.add(pair[::-1])
        self.show_cuts()

    def heal(self, one, other):
        """Takes a cut back."""
        pair = (self.addresses[one], self.addresses[other])
        self.cut_pairs -= {pair, pair[::-1]}
        self.show_cuts()

    def heal_all(self):
        """Takes back all cuts and all loss."""
        self.cut_pairs.clear()
        self.show_cuts()
        self.rules("flush chain bridge wire loss")

    def show_cuts(self):
        pairs = ", ".join(f"{source} . {target}" for source, target in sorted(self.cut_pairs))
        add = f"add element bridge wire cuts {{ {pairs} }}" if pairs else ""
        self.rules(f"flush set bridge wire cuts\n{add}\n")

    def lose(self, name, percent):
        """Loses so many of the UDP packets to and from a machine."""
        for end in ("saddr", "daddr"):
            self.rules(f"add rule bridge wire loss ip {end} {self.addresses[name]} "
                       f"numgen random mod 100 < {percent} counter drop")

    def limit(self, name, rate):
        """Limits what goes to and comes from a machine, as in "8mbit"."""
        bucket = ["root", "tbf", "rate", rate, "burst", "16kbit", "latency", "200ms"]
        run("tc", "-n", self.hub, "qdisc", "replace", "dev", f"to-{name}", *bucket)
        run("tc", "-n", f"{self.stem}-{name}", "qdisc", "replace", "dev", "eth0", *bucket)

    def unlimit(self, name):
        """Takes the limit back."""
        run("tc", "-n", self.hub, "qdisc", "del", "dev", f"to-{name}", "root")
        run("tc", "-n", f"{self.stem}-{name}", "qdisc", "del", "dev", "eth0", "root")

    def rules(self, text):
        run("ip", "netns", "exec", self.hub, "nft", "-f", "-", text=text)

    def dropped(self):
        """Packets that the rules have dropped: those of cuts, and those lost."""
        listed = json.loads(run("ip", "netns", "exec", self.hub, "nft", "-j", "list", "ruleset"))
        counts = {"pass": 0, "loss": 0}
        for item in listed["nftables"]:
            rule = item.get("rule", {})
            for part in rule.get("expr", []):
                counts[rule["chain"]] += part.get("counter", {}).get("packets", 0)
        return counts["pass"], counts["loss"]

    def sent_bytes(self, name):
        """Bytes that a machine has put on the wire."""
        shown = run("ip", "-n", self.hub, "-s", "-j", "link", "show", f"to-{name}")
        return json.loads(shown)[0]["stats64"]["rx"]["bytes"]

    def close(self):
        """Removes everything."""
        for namespace in reversed(self.made):
            subprocess.run(["ip", "netns", "del", namespace], check=False, capture_output=True)
        self.made.clear()
