"""`dcgan-serve --open`: shows the page in the user's browser."""

from __future__ import annotations

import logging
import threading
import webbrowser

logger = logging.getLogger(__name__)

_WILDCARDS = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}


def page_url(http_address: str) -> str:
    """Returns the address of the page for a browser on this machine.

    Args:
        http_address: `host:port` on which HTTP listens; the host may mean all interfaces.
    """
    host, _, port = http_address.rpartition(":")
    return f"http://{_WILDCARDS.get(host, host)}:{port}/"


def open_page(http_address: str) -> threading.Thread:
    """Opens the page in the default browser, and logs a warning if there is none.

    Some browsers run in the terminal until they are closed, so a daemon thread starts it.
    """
    thread = threading.Thread(
        target=_open, args=(page_url(http_address),), name="open-page", daemon=True
    )
    thread.start()
    return thread


def _open(url: str) -> None:
    try:
        opened = webbrowser.open(url)
    except (webbrowser.Error, OSError):
        opened = False
    if not opened:
        logger.warning("there is no browser to open; the page is at %s", url)
