"""Text from outside (files, servers, requests), made safe for messages, logs and documents."""

from __future__ import annotations

import html
import re
from urllib.parse import SplitResult, urlsplit

_LONG_NUMBER = re.compile(r"[0-9]{41,}")  # 2^128 has 39 digits
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|~>-])")


def printable(text: object, limit: int = 200) -> str:
    r"""Returns text from outside on one line, for a message or a log.

    Control characters, terminal escapes, line breaks, invisible characters and those that change
    the direction of writing appear as `\u001b` and the like.

    Args:
        text: what to show; other objects are converted with `str`.
        limit: longest result in characters; what is cut off is replaced by "...".
    """
    shown = escape_unprintable(str(text)[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 3] + "..."


def is_utf8(text: str) -> bool:
    """Returns whether text can be encoded in UTF-8.

    Lone surrogates cannot be encoded. They come from JSON, and from command lines and file names
    with bytes that are not valid UTF-8.
    """
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def escape_unprintable(text: str, keep: str = "") -> str:
    r"""Replaces every character that is not printable by its JSON escape, such as `\u001b`.

    Args:
        text: any text.
        keep: characters that stay, such as a line break in a document that has several lines.
    """
    if text.isprintable():
        return text

    return "".join(
        character if character.isprintable() or character in keep else _escape(character)
        for character in text
    )


def shorten_numbers(text: str) -> str:
    """Cuts numbers of thousands of digits, which JSON from outside may hold, to 20 digits."""
    return _LONG_NUMBER.sub(lambda number: f"{number[0][:20]}...", text)


def plain_markdown(text: str, limit: int = 2000) -> str:
    """Returns text from outside for a Markdown document, without HTML or other markup."""
    return _MARKDOWN.sub(r"\\\1", html.escape(printable(text, limit), quote=False))


def public_url(url: str) -> str:
    """Returns an address without its possible secrets: user name, password, query and fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address that is malformed"

    host = parts.netloc.rpartition("@")[2]
    shown = SplitResult(parts.scheme, host, parts.path, "", "").geturl()
    return printable(shown + ("?..." if parts.query else ""))


def first_line(error: BaseException) -> str:
    """Returns the first line of an error's message, at most 200 characters of it."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return printable(lines[0])


def _escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
