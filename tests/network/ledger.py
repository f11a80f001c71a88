"""The ledger: what one writer has written at its node, what was acknowledged, what is in doubt.

A place is a document, a field or an element of a set that nobody else writes. It must show what
was acknowledged last, or something later whose outcome nobody knows, because the node was killed
before it answered. `None` stands for nothing there. A field that all write ("last") may show of
each writer only what it wrote there last, since a writer has seen what it wrote before. Counters
hold what was acknowledged and at most what is in doubt besides.
"""


class Ledger:
    def __init__(self, name):
        self.name = name
        self.acknowledged = {}
        self.in_doubt = {}
        self.counted = 0
        self.perhaps_counted = 0
        self.writes = 0
        self.unanswered = 0
        self.bytes = 0
        self.errors = []

    def attempt(self, place, value):
        """Before a write is sent."""
        self.in_doubt.setdefault(place, []).append(value)

    def done(self, place, value):
        """It was acknowledged: what was written before is overwritten."""
        self.acknowledged[place] = value
        self.in_doubt.pop(place, None)

    def never_sent(self, place):
        """The attempt did not get to the node."""
        self.in_doubt[place].pop()

    def may_show(self, place):
        """What a place may show."""
        return [self.acknowledged.get(place), *self.in_doubt.get(place, [])]

    def places(self, *kind):
        """The places of a kind, as the first words of their names tell."""
        every = self.acknowledged.keys() | self.in_doubt.keys()
        return sorted(place for place in every if place[:len(kind)] == kind)

    def wrong(self, sentence):
        self.errors.append(f"{self.name}: {sentence}")


class Shown:
    """All that one node shows, read over HTTP."""

    def __init__(self, client):
        self.documents = {}
        for collection in client.get("/collections")["collections"]:
            self.documents[collection["name"]] = dict(read_all(client, collection["name"]))
        self.conflicts = client.get("/conflicts")["conflicts"]

    def at(self, place):
        """What a place shows; None if nothing is there."""
        kind, collection, ident, *rest = place
        doc = self.documents.get(collection, {}).get(ident)
        if doc is None or kind == "document":
            return doc
        if kind == "element":
            return rest[1] if rest[1] in doc[rest[0]]["$set"] else None
        return doc.get(rest[0])

    def candidates(self, collection, ident, field):
        """All that stands in a field: what is shown, and in a conflict what is not."""
        shown = self.documents[collection][ident].get(field)
        kept = [candidate["value"] for conflict in self.conflicts
                if (conflict["collection"], conflict["id"], conflict["path"])
                == (collection, ident, f"/{field}") for candidate in conflict["candidates"]]
        return [shown, *kept]


def read_all(client, collection):
    """Each document of a collection, by pages."""
    after = ""
    while True:
        page = client.get(f"/collections/{collection}/docs?limit=1000{after}")
        for entry in page["documents"]:
            yield entry["id"], entry["doc"]
        if page["next"] is None:
            return
        after = f"&after={page['next']}"


def missing(ledgers, shown):
    """Sentences about places that show what they may not: something lost, or never written."""
    wrong = []
    for ledger in ledgers:
        for place in [*ledger.places("document"), *ledger.places("field"), *ledger.places("element")]:
            found, allowed = shown.at(place), ledger.may_show(place)
            if found not in allowed:
                wrong.append(f"{place} of {ledger.name} shows {found}, not {allowed}")
    return wrong


def invented(ledgers, shown):
    """Sentences about what is shown that nobody wrote."""
    written = {place[1:3] for ledger in ledgers for place in ledger.places("document")}
    wrong = [f"nobody wrote {collection}/{ident}" for collection in ("notes", "pairs")
             for ident in shown.documents.get(collection, {}) if (collection, ident) not in written]
    names = {place[4] for ledger in ledgers for place in ledger.places("element")}
    crew = set(shown.documents["shared"]["crew"]["names"]["$set"])
    return wrong + [f"nobody added {name}" for name in crew - names]


def contended(ledgers, shown):
    """Sentences about fields that all write."""
    wrong = []
    for place in sorted({place for ledger in ledgers for place in ledger.places("contended")}):
        allowed = [value for ledger in ledgers for value in ledger.may_show(place)]
        for found in shown.candidates(*place[1:]):
            if found not in allowed:
                wrong.append(f"{place} holds {found}, not one of {allowed}")
    return wrong


def miscounted(ledgers, shown):
    """A sentence if the counter is not what was added to it."""
    count = shown.documents["shared"]["tally"]["count"]["$counter"]
    low = sum(ledger.counted for ledger in ledgers)
    high = low + sum(ledger.perhaps_counted for ledger in ledgers)
    return [] if low <= count <= high else [f"the counter shows {count}, not {low} to {high}"]
