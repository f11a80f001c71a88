#!/usr/bin/env python3
"""A bad stretch of network: passes UDP packets on late, out of order, twice, or not at all.

    proxy.py LISTEN TARGET [--delay-ms 20..80] [--twice 2] [--lose 0] [--seed 1]

Each packet waits for a time of its own, so they overtake each other. Each sender is given a
socket of its own toward the target, as a NAT does. Lines on standard input: `cut` lets nothing
pass until `heal`; `figures` is answered with a line. Prints `ready ADDRESS` first; ends with its
standard input.
"""

import argparse
import heapq
import os
import random
import selectors
import socket
import sys
import time


class Proxy:
    def __init__(self, options):
        self.options = options
        self.chance = random.Random(options.seed)
        self.target = address(options.target)
        self.door = bound(address(options.listen))
        self.select = selectors.DefaultSelector()
        self.select.register(self.door, selectors.EVENT_READ, self.from_outside)
        self.ways = {}
        self.late = []
        self.number = 0
        self.is_cut = False
        self.figures = dict.fromkeys(("passed", "twice", "overtaken", "lost"), 0)

    def run(self):
        self.select.register(sys.stdin.fileno(), selectors.EVENT_READ, None)
        print("ready", "%s:%d" % self.door.getsockname(), flush=True)
        newest = 0
        while True:
            wait = self.late[0][0] - time.monotonic() if self.late else None
            for key, _ in self.select.select(None if wait is None else max(wait, 0)):
                if key.data is not None:
                    key.data(key.fileobj)
                elif not self.told():
                    return
            while self.late and self.late[0][0] <= time.monotonic():
                _, number, packet, sock, to = heapq.heappop(self.late)
                self.figures["overtaken"] += number < newest
                newest = max(newest, number)
                pass_on(sock, packet, to)

    def told(self):
        """Takes words from standard input; false at its end."""
        words = os.read(sys.stdin.fileno(), 4096).split()
        for word in words:
            if word == b"figures":
                print(self.told_figures(), flush=True)
            else:
                self.is_cut = word == b"cut"
        return bool(words)

    def told_figures(self):
        return ", ".join(f"{count} {name}" for name, count in self.figures.items())

    def from_outside(self, door):
        for packet, sender in received(door):
            if sender not in self.ways:
                way = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                way.setblocking(False)
                self.ways[sender] = way
                back = lambda way, sender=sender: self.from_target(way, sender)
                self.select.register(way, selectors.EVENT_READ, back)
            self.delay(packet, self.ways[sender], self.target)

    def from_target(self, way, sender):
        for packet, _ in received(way):
            self.delay(packet, self.door, sender)

    def delay(self, packet, sock, to):
        if self.is_cut or self.chance.random() * 100 < self.options.lose:
            self.figures["lost"] += 1
            return
        twice = self.chance.random() * 100 < self.options.twice
        self.figures["passed"] += 1
        self.figures["twice"] += twice
        for _ in range(1 + twice):
            self.number += 1
            due = time.monotonic() + self.chance.uniform(*self.options.delay_ms) / 1000
            heapq.heappush(self.late, (due, self.number, packet, sock, to))


def received(sock):
    """What has arrived; an unreachable target is as good as loss."""
    for _ in range(256):
        try:
            yield sock.recvfrom(65536)
        except BlockingIOError:
            return
        except ConnectionError:
            continue


def pass_on(sock, packet, to):
    try:
        sock.sendto(packet, to)
    except OSError:
        pass


def bound(place):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    sock.bind(place)
    sock.setblocking(False)
    return sock


def address(text):
    host, _, port = text.rpartition(":")
    return host, int(port)


def span(text):
    low, _, high = text.partition("..")
    return float(low), float(high or low)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("listen")
    parser.add_argument("target")
    parser.add_argument("--delay-ms", type=span, default=(20.0, 80.0))
    parser.add_argument("--twice", type=float, default=2.0)
    parser.add_argument("--lose", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=1)
    proxy = Proxy(parser.parse_args())
    proxy.run()


if __name__ == "__main__":
    main()
