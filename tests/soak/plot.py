#!/usr/bin/env python3
"""Draws the samples of a soak: one panel for each figure, one line for each node, as SVG.

    plot.py SAMPLES.csv PLOT.svg
"""

import csv
import math
import sys
from xml.sax.saxutils import escape

WIDTH, PANEL, GAP, LEFT, RIGHT, TOP = 860, 150, 46, 70, 20, 78
MIB = 1 << 20
PANELS = [
    ("log_bytes", "Log on disk, MiB", MIB),
    ("state_bytes", "State on disk, MiB", MIB),
    ("resident_bytes", "Resident memory, MiB", MIB),
    ("documents", "Documents", 1),
    ("transactions", "Transactions so far, thousands", 1000),
]
LINES = {"a": ("#1b6ca8", ""), "b": ("#c8553d", "7 3"), "c": ("#3f7f4f", "2 3")}


def draw(samples, warm_up_s):
    """The plot, as text."""
    seconds = max(sample["seconds"] for sample in samples)
    height = TOP + len(PANELS) * (PANEL + GAP)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
             'font-family="sans-serif" font-size="12" fill="#222">',
             f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
             f'<text x="{LEFT}" y="22" font-size="15">Three nodes under mixed writes, deletes and '
             'cuts</text>', *legend()]
    for number, (name, title, unit) in enumerate(PANELS):
        top = TOP + number * (PANEL + GAP)
        parts += panel(samples, name, title, unit, top, seconds, warm_up_s)
    return "\n".join([*parts, "</svg>", ""])


def legend():
    for number, (node, (color, dash)) in enumerate(LINES.items()):
        x = LEFT + number * 90
        yield (f'<line x1="{x}" y1="40" x2="{x + 30}" y2="40" stroke="{color}" stroke-width="2" '
               f'stroke-dasharray="{dash}"/><text x="{x + 36}" y="44">node {node}</text>')
    yield (f'<rect x="{LEFT + 280}" y="34" width="30" height="12" fill="#eee"/>'
           f'<text x="{LEFT + 316}" y="44">warm-up</text>')


def panel(samples, name, title, unit, top, seconds, warm_up_s):
    values = [sample[name] / unit for sample in samples]
    step = nice(max(values) / 4 or 1)
    most = max(step, math.ceil(max(values) / step) * step)
    wide = WIDTH - LEFT - RIGHT
    x = lambda at: LEFT + wide * at / seconds
    y = lambda value: top + PANEL * (1 - value / most)
    yield (f'<rect x="{LEFT}" y="{top}" width="{x(warm_up_s) - LEFT:.1f}" height="{PANEL}" '
           'fill="#eee"/>')
    for mark in range(round(most / step) + 1):
        value = mark * step
        yield (f'<line x1="{LEFT}" y1="{y(value):.1f}" x2="{WIDTH - RIGHT}" y2="{y(value):.1f}" '
               f'stroke="#ccc"/><text x="{LEFT - 6}" y="{y(value) + 4:.1f}" '
               f'text-anchor="end">{value:g}</text>')
    minute = nice(seconds / 60 / 8)
    for mark in range(int(seconds / 60 / minute) + 1):
        yield (f'<text x="{x(mark * minute * 60):.1f}" y="{top + PANEL + 16}" '
               f'text-anchor="middle">{mark * minute:g} min</text>')
    yield f'<text x="{LEFT}" y="{top - 6}" font-weight="bold">{escape(title)}</text>'
    for node, (color, dash) in LINES.items():
        points = " ".join(f'{x(sample["seconds"]):.1f},{y(sample[name] / unit):.1f}'
                          for sample in samples if sample["node"] == node)
        yield (f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="1.5" '
               f'stroke-dasharray="{dash}"/>')


def nice(least):
    """The least of 1, 2, 5, 10, 20.. (or tenths of these) that is not below `least`."""
    power = 10 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * 0.999)


def read(path):
    """The samples of a file."""
    with open(path, newline="", encoding="utf-8") as file:
        return [{name: value if name == "node" else float(value) for name, value in row.items()}
                for row in csv.DictReader(file)]


def main():
    samples = read(sys.argv[1])
    warm_up_s = max(sample["seconds"] for sample in samples) / 3
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        file.write(draw(samples, warm_up_s))


if __name__ == "__main__":
    main()
