"""A writer: writes at one node over HTTP without a pause, as long as it is told to, and keeps a
ledger of it. When its node is killed it goes on as soon as the node answers again, and first
looks whether what was acknowledged before is there."""

import random
import threading

from ledger import Ledger
from node import NotSent, Unanswered, doc

BOARDS = 8
# Of the places written last, so many are read after a restart.
LOOK_BACK = 30


class Writer(threading.Thread):
    def __init__(self, node, seed, pause_s):
        super().__init__(name=f"writer-{node.name}", daemon=True)
        self.node = node
        self.client = node.client()
        self.ledger = Ledger(node.name)
        self.chance = random.Random(f"{seed} {node.name}")
        self.pause_s = pause_s
        self.over = threading.Event()
        self.number = 0
        self.recent = []
        self.broke_off = False

    def run(self):
        acts = [self.note] * 8 + [self.drop] * 2 + [self.pair] * 2 + [self.own_field] * 3
        acts += [self.contended] * 2 + [self.count] * 2 + [self.add_name] * 2 + [self.remove_name]
        while not self.over.wait(self.chance.uniform(0, 2 * self.pause_s)):
            self.number += 1
            try:
                if self.broke_off:
                    self.look_back()
                    self.broke_off = False
                self.chance.choice(acts)()
            except (NotSent, Unanswered):
                self.broke_off = True
            except Exception as error:  # a thread that ends in silence would look like success
                self.ledger.wrong(f"{type(error).__name__}: {error}")
                return

    def stop(self):
        self.over.set()
        self.join()

    def write(self, method, path, body, places, ok=(200, 201, 204)):
        """A write that makes these places show these values."""
        for place, value in places.items():
            self.ledger.attempt(place, value)
        try:
            status, answer = self.client.ask(method, path, body)
        except NotSent:
            for place in places:
                self.ledger.never_sent(place)
            raise
        except Unanswered:
            self.ledger.unanswered += 1
            raise
        if status not in ok:
            self.ledger.wrong(f"{method} {path}: {status} {answer}")
            return
        self.acknowledged(places, body)

    def acknowledged(self, places, body):
        for place, value in places.items():
            self.ledger.done(place, value)
        self.ledger.writes += 1
        self.ledger.bytes += len(str(body))
        self.recent = [*self.recent, *places][-LOOK_BACK:]

    def note(self):
        """Puts a new document, or one of its own again."""
        n = self.chance.randrange(max(1, self.number // 3), self.number + 1)
        ident = f"{self.node.name}-{n:06}"
        body = {"by": self.node.name, "n": self.number, "text": "x" * self.chance.randrange(200)}
        self.write("PUT", doc("notes", ident), body, {("document", "notes", ident): body})

    def drop(self):
        """Deletes one of its documents. If its last write is in doubt it need not be there."""
        mine = self.ledger.places("document", "notes")
        if mine:
            place = self.chance.choice(mine)
            gone = [404] if None in self.ledger.may_show(place) else []
            self.write("DELETE", doc(*place[1:]), None, {place: None}, (200, 204, *gone))

    def pair(self):
        """Two documents in one transaction: nobody may ever see one without the other."""
        idents = [f"{self.node.name}-{side}" for side in ("left", "right")]
        body = {"n": self.number}
        batch = [{"id": ident, "doc": body} for ident in idents]
        places = {("document", "pairs", ident): body for ident in idents}
        self.write("POST", "/collections/pairs/docs", batch, places)

    def own_field(self):
        """A field of a document of which the others write other fields."""
        board = f"board-{self.chance.randrange(BOARDS)}"
        place = ("field", "shared", board, self.node.name)
        self.write("PATCH", doc("shared", board), {self.node.name: self.number}, {place: self.number})

    def contended(self):
        """A field that all write."""
        board = f"board-{self.chance.randrange(BOARDS)}"
        value = f"{self.node.name} {self.number}"
        place = ("contended", "shared", board, "last")
        self.write("PATCH", doc("shared", board), {"last": value}, {place: value})

    def count(self):
        """Adds to a counter that all add to."""
        by = self.chance.randrange(1, 4)
        self.ledger.perhaps_counted += by
        try:
            self.write("POST", doc("shared", "tally", "increment"), {"path": "/count", "by": by}, {})
        except NotSent:
            self.ledger.perhaps_counted -= by
            raise
        self.ledger.perhaps_counted -= by
        self.ledger.counted += by

    def add_name(self):
        """Adds an element of its own to a set that all add to."""
        name = f"{self.node.name} {self.number}"
        self.element("add", name, name)

    def remove_name(self):
        """Removes one of its elements."""
        mine = [p for p in self.ledger.places("element") if self.ledger.acknowledged.get(p)]
        if mine:
            self.element("remove", self.chance.choice(mine)[4], None)

    def element(self, verb, name, value):
        body = {"path": "/names", "value": name}
        place = ("element", "shared", "crew", "names", name)
        self.write("POST", doc("shared", "crew", verb), body, {place: value})

    def look_back(self):
        """After its node was killed: what was acknowledged before is there."""
        for place in dict.fromkeys(self.recent):
            if place[0] != "document":
                continue
            status, found = self.client.ask("GET", doc(*place[1:]))
            found = None if status == 404 else found
            if found not in self.ledger.may_show(place):
                self.ledger.wrong(f"after a kill {place} shows {found}, "
                                  f"not {self.ledger.may_show(place)}")


def prepare(client):
    """The documents that all write."""
    boards = {f"board-{n}": {"last": None} for n in range(BOARDS)}
    shared = {**boards, "tally": {"count": {"$counter": 0}}, "crew": {"names": {"$set": []}}}
    batch = [{"id": ident, "doc": body} for ident, body in shared.items()]
    status, answer = client.ask("POST", "/collections/shared/docs", batch)
    if status != 200:
        raise RuntimeError(f"the shared documents could not be written: {status} {answer}")
