#!/usr/bin/env python3
"""plot.py TABLE.json OUT.svg: what `littoral-bench --json TABLE.json` measured, as ratios to the goals.

A bar is a figure divided by its goal: what ends left of the line is reached. The axis is logarithmic.
"""
import json
import math
import sys
from html import escape

WIDTH, LEFT, RIGHT, ROW, TOP = 960, 470, 90, 22, 46


def bars(rows):
    """Each row that has a goal: its label, and its figure as a part of the goal."""
    work = head = ""
    for row in rows:
        own = row["what"].startswith("   ")
        if row["work"]:
            work = row["work"]
        if not own:
            head = row["what"].split(":")[0]
        goal = row["goal"]
        if goal == "None":
            continue
        (kind, most), = goal.items()
        figure = row["ratio"] if kind == "Ratio" else row["littoral"]
        if figure is None:
            continue
        what = f"{head}: {row['what'].strip()}" if own else row["what"]
        unit = "×" if kind == "Ratio" else ""
        yield f"{work}  {what}", figure / most, f"{figure:.3g}{unit} of {most:g}{unit}"


def svg(rows):
    shown = list(bars(rows))
    low, high = -2.0, max(1.0, *(math.log10(part) for _, part, _ in shown if part > 0))
    scale = (WIDTH - LEFT - RIGHT) / (high - low)
    at = lambda part: LEFT + (max(math.log10(max(part, 1e-9)), low) - low) * scale
    height = TOP + ROW * len(shown) + 20
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        '<text x="12" y="20" font-size="14">Figures as parts of their goals (logarithmic; left of the line: reached)</text>',
    ]
    for number, (label, part, told) in enumerate(shown):
        y = TOP + ROW * number
        colour = "#2f7d5b" if part <= 1 else "#c0603a"
        out.append(f'<text x="{LEFT - 8}" y="{y + 12}" text-anchor="end">{escape(label[:78])}</text>')
        out.append(f'<rect x="{LEFT}" y="{y + 2}" width="{max(at(part) - LEFT, 1):.1f}" height="13" fill="{colour}"/>')
        out.append(f'<text x="{max(at(part), LEFT) + 5:.1f}" y="{y + 12}" fill="#444">{escape(told)}</text>')
    out.append(f'<line x1="{at(1):.1f}" y1="{TOP - 8}" x2="{at(1):.1f}" y2="{height - 14}" stroke="#333" stroke-dasharray="4 3"/>')
    out.append("</svg>")
    return "\n".join(out) + "\n"


if __name__ == "__main__":
    source, target = sys.argv[1:3]
    with open(source, encoding="utf-8") as file:
        table = json.load(file)
    with open(target, "w", encoding="utf-8") as file:
        file.write(svg(table))
