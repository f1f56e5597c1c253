"""Conditional requests (RFC 9110, section 13)."""

from __future__ import annotations

import re

_TAG = re.compile(r'\s*(W/)?("[\x21\x23-\x7e\x80-\xff]*")\s*(?:,|$)')


def none_match(field: str | None, etag: str) -> bool:
    """Returns whether an If-None-Match precondition holds.

    A field that is malformed is ignored.

    Args:
        field: value of the header field; None if there is none.
        etag: strong entity tag of the resource, with its quotes.
    """
    if field is None:
        return True
    if field.strip() == "*":
        return False
    return all(tag != etag for _, tag in _read_tags(field))


def any_match(field: str | None, etag: str) -> bool:
    """Returns whether an If-Match precondition holds; see `none_match`.

    The comparison is strong: a weak tag matches nothing. A malformed field is ignored.
    """
    if field is None or field.strip() == "*":
        return True
    tags = _read_tags(field)
    return not tags or any(tag == etag and not is_weak for is_weak, tag in tags)


def _read_tags(field: str) -> list[tuple[bool, str]]:
    """Returns the tags with whether each is weak; an empty list if the field is malformed."""
    tags = []
    position = 0
    while position < len(field):
        match = _TAG.match(field, position)
        if match is None:
            return []
        tags.append((match[1] is not None, match[2]))
        position = match.end()
    return tags
