"""Addresses of indexes and archives."""

from __future__ import annotations

from urllib.parse import SplitResult, urljoin, urlsplit

from dcgan.core.errors import DcganError


class UrlError(DcganError):
    """A malformed address."""


def split_url(url: str, what: str = "the address") -> SplitResult:
    """Splits an address into its parts.

    Args:
        url: the address.
        what: what to call it in errors, which do not repeat it: it may hold a password.

    Raises:
        UrlError: if it is malformed.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port  # computed on access, with an error of its own
        if parts.scheme in ("http", "https") and not parts.hostname:
            raise ValueError("no host")
    except ValueError:
        raise UrlError(f"{what} is malformed; write it as https://host/path") from None
    return parts


def join_url(base: str, url: str) -> str:
    """Returns an address that may be relative to another one as an absolute address.

    Raises:
        UrlError: if it is malformed.
    """
    split_url(url)
    try:
        joined = urljoin(base, url)
    except ValueError:
        raise UrlError("an address is malformed; write it as https://host/path") from None
    split_url(joined)
    return joined


def is_web_url(url: str) -> bool:
    """Returns whether an address begins with http: or https:.

    Raises:
        UrlError: if it is malformed.
    """
    return split_url(url).scheme in ("http", "https")
