#!/usr/bin/env python3
"""Executable model of the replication algebra: what every replica must show,
in the fewest lines that can be checked. It says nothing about how to store or send it.

One collection on one replica:
    vv     {origin: seq}            transactions (origin, 1..seq) are applied, no gaps
    live   {(key, dot): value}      puts that nothing has cleared; key = (doc, *path)
    rows   {(key, dot): Row}        counter rows; the dot is the Txn that began the row
    log    [Txn]                    in the order applied here; a prefix may be pruned
    floor  {origin: seq}            the log holds every transaction above this

There are no tombstones: a dot that vv covers and live (or rows) lacks is dead. The
whole state is a function of vv alone, and run() checks it. A Txn is immutable and
carries its dot, its author's vv (deps) and its ops:
    Put(key, value)                 lives under the Txn's dot
    Clear(prefix, upto)             kills the puts at or below prefix that upto covers
    Add(key, birth, total, by)      the author's counter row from its birth on, whole
    Settle(key, dot, seq, total)    the author saw row (key, dot) at this total and zeroed it
A dot that an op names is one that deps cover. A row goes when its origin writes
anything after it has seen the row's last settling: it will never add to it again.

Run `python3 model.py [SEEDS]`: random schedules with partitions, streams cut at
any point, pruned logs, lost and cloned replicas, checked against an oracle that
is computed from history alone. With `-` for SEEDS it replays schedules that real stores
went through, one JSON a line, and prints what the model shows: core/tests/model_py.rs
compares the two.
"""
import json
import random
import sys
from collections import namedtuple

Txn = namedtuple("Txn", "origin seq deps ops")
Put = namedtuple("Put", "key value")
Clear = namedtuple("Clear", "prefix upto")
Add = namedtuple("Add", "key birth total by")
Settle = namedtuple("Settle", "key dot seq total")
Row = namedtuple("Row", "seq total bseq base settled")  # value = total - base; settled when seq <= bseq, by these dots


def covers(vv, origin, seq):
    return vv.get(origin, 0) >= seq


def join_vv(a, b):
    return {o: max(a.get(o, 0), b.get(o, 0)) for o in a.keys() | b.keys()}


def under(key, prefix):
    return key[: len(prefix)] == prefix


def join_row(a, b):
    seq, total = max(a[:2], b[:2])
    bseq, base = max(a[2:4], b[2:4])
    return Row(seq, total, bseq, base, frozenset().union(*(r.settled for r in (a, b) if r.bseq == bseq)))


class Replica:
    def __init__(self, name):
        self.name, self.vv, self.live, self.rows, self.log, self.floor = name, {}, {}, {}, [], {}

    # ---- local writes: each is one transaction of one or more ops
    def commit(self, *ops):
        txn = Txn(self.name, self.vv.get(self.name, 0) + 1, dict(self.vv), ops)
        self.apply(txn)
        return txn

    def observed(self, prefix):
        """Of each origin with a live put there, the newest this replica has seen: vv has no gaps, so this names them all."""
        upto = {}
        for (k, (o, s)) in self.live:
            if under(k, prefix):
                upto[o] = max(upto.get(o, 0), s)
        return upto

    def put(self, key, value):
        """Register write or set-element add: replaces what this replica sees at key."""
        return [Clear(key, self.observed(key)), Put(key, value)]

    def remove(self, prefix):
        """Element, field, subtree or whole document: what this replica sees goes."""
        settled = [Settle(k, dot, r.seq, r.total) for (k, dot), r in self.rows.items()
                   if under(k, prefix) and r.seq > r.bseq]
        return [Clear(prefix, self.observed(prefix)), *settled]

    def add(self, key, by):
        for (k, (o, birth)), r in self.rows.items():
            if k == key and o == self.name and r.seq > r.bseq:
                return [Add(key, birth, r.total + by, by)]
        return [Add(key, self.vv.get(self.name, 0) + 1, by, by)]   # none, or settled: a new row

    # ---- applying
    def apply(self, txn):
        if covers(self.vv, txn.origin, txn.seq):
            return False                                    # a duplicate changes nothing
        assert txn.seq == self.vv.get(txn.origin, 0) + 1, "gap in an origin's transactions"
        assert all(covers(self.vv, o, s) for o, s in txn.deps.items()), "not in causal order"
        for kd, r in list(self.rows.items()):
            if kd[1][0] == txn.origin and r.seq <= r.bseq and any(covers(txn.deps, *d) for d in r.settled):
                del self.rows[kd]
        for op in txn.ops:
            if isinstance(op, Clear):
                for kd in [kd for kd in self.live if under(kd[0], op.prefix) and covers(op.upto, *kd[1])]:
                    del self.live[kd]
            elif isinstance(op, Put):
                self.live[op.key, (txn.origin, txn.seq)] = op.value
            elif isinstance(op, Add):
                kd = op.key, (txn.origin, op.birth)
                old = self.rows.get(kd, Row(0, 0, 0, 0, frozenset()))
                self.rows[kd] = old._replace(seq=txn.seq, total=op.total)
            elif (op.key, op.dot) in self.rows:             # covered and absent: settled and gone already
                kd = op.key, op.dot
                self.rows[kd] = join_row(self.rows[kd], Row(0, 0, op.seq, op.total, frozenset([(txn.origin, txn.seq)])))
        self.vv[txn.origin] = txn.seq
        self.log.append(txn)
        return True

    # ---- anti-entropy
    def can_stream_to(self, vv):
        return all(covers(vv, o, s) for o, s in self.floor.items())

    def stream(self, vv):
        """What a replica at vv lacks, in this replica's order of arrival: any prefix is causally closed."""
        return [t for t in self.log if not covers(vv, t.origin, t.seq)]

    def join_snapshot(self, vv, live, rows):
        """Merge one view of another replica, whole and at once: the path for a peer behind the log's floor."""
        kept = {kd: v for kd, v in self.live.items() if kd in live or not covers(vv, *kd[1])}
        kept.update({kd: v for kd, v in live.items() if not covers(self.vv, *kd[1])})
        both = {kd: join_row(self.rows[kd], rows[kd]) for kd in self.rows.keys() & rows.keys()}
        mine = {kd: r for kd, r in self.rows.items() if kd not in rows and not covers(vv, *kd[1])}
        theirs = {kd: r for kd, r in rows.items() if kd not in self.rows and not covers(self.vv, *kd[1])}
        for origin, seq in vv.items():                      # the log knows nothing of what was skipped
            if seq > self.vv.get(origin, 0):
                self.floor[origin] = seq
        self.live, self.rows, self.vv = kept, {**both, **mine, **theirs}, join_vv(self.vv, vv)
        self.log = [t for t in self.log if t.seq > self.floor.get(t.origin, 0)]

    def prune(self, keep):
        for t in self.log[: max(0, len(self.log) - keep)]:
            self.floor[t.origin] = max(self.floor.get(t.origin, 0), t.seq)
        self.log = self.log[max(0, len(self.log) - keep):]

    def view(self):
        out = {}
        for (key, _), value in self.live.items():
            out.setdefault(key, []).append(value)
        view = {k: sorted(v) for k, v in out.items()}
        for (key, _), r in self.rows.items():
            if r.seq > r.bseq:
                view[key, "+"] = view.get((key, "+"), 0) + r.total - r.base
        return view

    def state(self):
        return frozenset((k, d, str(v)) for (k, d), v in self.live.items()), frozenset(self.rows.items())


def oracle(history, vv):
    """The view of a replica at vv, from nothing but the transactions and who had seen what."""
    known = [t for t in history if covers(vv, t.origin, t.seq)]
    removals = [(op.prefix, t) for t in known for op in t.ops if isinstance(op, Clear)]

    def dead(key, origin, seq):                             # a removal kills exactly what its author had seen
        return any(under(key, p) and covers(r.deps, origin, seq) for p, r in removals)

    view, sums = {}, {}
    for t in known:
        for op in t.ops:
            if isinstance(op, Put) and not dead(op.key, t.origin, t.seq):
                view.setdefault(op.key, []).append(op.value)
            if isinstance(op, Add) and not dead(op.key, t.origin, t.seq):
                sums[op.key, "+"] = sums.get((op.key, "+"), 0) + op.by
    return {**{k: sorted(v) for k, v in view.items()}, **sums}


def run(seed, counters=0.3):
    rng = random.Random(seed)
    states = {}
    replicas, history, born = [Replica(f"r{i}") for i in range(rng.randint(2, 5))], [], 5
    for step in range(rng.randint(10, 120)):
        r = rng.choice(replicas)
        act = rng.random()
        if act < 0.5:
            ops, doc = [], f"d{rng.randint(0, 2)}"
            kinds = ["add", "zero"] if rng.random() < counters else ["put", "tag", "untag", "field", "doc", "add", "zero"]
            for kind in rng.sample(kinds, rng.randint(1, 2)):
                n = rng.randint(0, 2)
                ops += {"put": lambda: r.put((doc, f"f{n}"), f"v{step}"),
                        "tag": lambda: r.put((doc, "tags", f"t{n}"), True),
                        "untag": lambda: r.remove((doc, "tags", f"t{n}")),
                        "field": lambda: r.remove((doc, rng.choice([f"f{n}", "tags"]))),
                        "doc": lambda: r.remove((doc,)),
                        "add": lambda: r.add((doc, "hits"), rng.choice([-2, 1, 5])),
                        "zero": lambda: r.remove((doc, "hits"))}[kind]()
            if not (any(isinstance(o, Add) for o in ops) and any(isinstance(o, (Clear, Settle)) for o in ops)):
                history.append(r.commit(*ops))              # one counter op and one removal do not mix in a Txn here
        elif act < 0.9 and len(replicas) > 1:
            sync(rng, r, rng.choice([p for p in replicas if p is not r]))
        elif act < 0.96:
            r.prune(rng.randint(0, 5))
        elif len(replicas) > 2:
            replicas.remove(r)                              # lost for ever, with what only it held
            replicas.append(Replica(f"r{born}"))
            born += 1
        for p in replicas:
            assert p.view() == oracle(history, p.vv), (seed, step, p.name, p.view(), oracle(history, p.vv))
            assert states.setdefault(frozenset(p.vv.items()), p.state()) == p.state(), (seed, step, "not a function of vv")
    for finale in range(2):
        for _ in range(2 * len(replicas)):
            for a in replicas:
                for b in replicas:
                    if a is not b:
                        sync(None, a, b)
        if not finale:
            history += [r.commit() for r in replicas]       # everyone has now seen everything, and says so
    assert all(p.vv == replicas[0].vv and p.state() == replicas[0].state() for p in replicas), seed
    names = {r.name for r in replicas}
    assert all(r.seq > r.bseq for (_, dot), r in replicas[0].rows.items() if dot[0] in names), (seed, "a settled row stayed")
    return len(history)


def sync(rng, source, target):
    if source.can_stream_to(target.vv):
        txns = source.stream(target.vv)
        for t in txns[: rng.randint(0, len(txns)) if rng else None]:   # the link may drop anywhere
            target.apply(t)
            target.apply(t)
    else:
        target.join_snapshot(dict(source.vv), dict(source.live), dict(source.rows))


def replay(schedule):
    """The view of every replica at the end: [[[key, values or sum], ..], ..]. A step is what one wrote,
    {"at", "ops": [[kind, key, value]]}, or what one was given, {"to", "steps": numbers of such steps}."""
    replicas, written = [Replica(n) for n in range(schedule["replicas"])], {}
    for number, step in enumerate(schedule["steps"]):
        if "at" in step:
            r, ops = replicas[step["at"]], []
            for kind, key, value in step["ops"]:
                ops += {"put": r.put, "add": r.add}[kind](tuple(key), value) if kind != "remove" else r.remove(tuple(key))
            written[number] = r.commit(*ops)
        else:
            for number in step["steps"]:
                replicas[step["to"]].apply(written[number])
    return [sorted([list(k[0]) + ["+"] if k[-1] == "+" and isinstance(k[0], tuple) else list(k), v]
                   for k, v in r.view().items()) for r in replicas]


if __name__ == "__main__" and sys.argv[1:] == ["-"]:
    for line in sys.stdin:
        print(json.dumps(replay(json.loads(line))))
elif __name__ == "__main__":
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    print(f"{seeds} schedules, {sum(run(s) for s in range(seeds))} transactions: every replica agrees with the oracle")
