"""Markdown: paragraphs, tables and escaping."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence

_NUMBER = re.compile(r"[\d., ()/]+( ms| dB| MiB)?")


def paragraph(text: str) -> str:
    """Returns text in lines of at most 128 columns, as all pages have."""
    return textwrap.fill(text, 128, break_long_words=False, break_on_hyphens=False) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a table of Markdown cells in pipe syntax; columns of numbers are aligned right."""
    rows = list(rows)
    columns = zip(*rows, strict=True)
    rules = ["---:" if all(map(_NUMBER.fullmatch, column)) else "---" for column in columns]
    lines = [head, rules, *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def cell(text: str) -> str:
    """Returns text as one table cell: on one line, with pipes and angle brackets escaped."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def code(text: str) -> str:
    """Returns text as inline code, which may stand in a table."""
    return f"`{text}`" if text else ""
