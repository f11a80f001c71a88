"""How a notebook shows things: small tables, whatever a document holds escaped."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

MOST_ROWS = 10
MOST_COLUMNS = 12
MOST_TEXT = 60


def cell(value: Any) -> str:
    """Give a value in short, as text."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= MOST_TEXT else text[: MOST_TEXT - 1] + "…"


def table(title: str, heads: Sequence[str], rows: Iterable[Sequence[Any]], more: str = "") -> str:
    """Give a table in HTML. What is in it is escaped."""
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell(value))}</td>" for value in row) + "</tr>"
        for row in rows
    )
    note = f"<p><small>{escape(more)}</small></p>" if more else ""
    return (
        f"<div><p><b>{escape(title)}</b></p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{note}</div>"
    )
