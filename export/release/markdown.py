"""Markdown of model cards: text from outside without markup, code spans and tables."""

from __future__ import annotations

from collections.abc import Sequence

from dcgan.core.text import plain_markdown, printable

_MAX_CODE = 200


def plain(text: str) -> str:
    """Returns text from outside on one line, without HTML or other markup."""
    shown = plain_markdown(text)
    # A hyphen is markup at the start of a line only.
    return shown[:2] + shown[2:].replace("\\-", "-")


def code(text: str) -> str:
    """Returns text from outside as a code span, which it cannot end."""
    shown = printable(text, _MAX_CODE).replace("`", "'").replace("|", "\\|")
    return f"`{shown}`"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a table, whose cells are Markdown already."""
    rules = ["---"] * len(header)
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, rules, *rows])
