"""Addresses of indexes and archives."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from dcgan.core.errors import DcganError


class UrlError(DcganError):
    """A malformed address."""


def split_url(url: str) -> SplitResult:
    """Splits an address into its parts.

    Raises:
        UrlError: if it is malformed. The address is not repeated, because it may hold a password.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port  # computed on access, with an error of its own
    except ValueError:
        raise UrlError("the address is malformed; write it as https://host/path") from None
    return parts


def is_web_url(url: str) -> bool:
    """Returns whether an address begins with http: or https:.

    Raises:
        UrlError: if it is malformed.
    """
    return split_url(url).scheme in ("http", "https")
