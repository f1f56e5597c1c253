"""What the tests of the page share: waiting, and servers that fail."""

import json
import time
from contextlib import contextmanager

PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
BUSY = {
    "status": 429,
    "headers": {"retry-after": "1", "content-type": "application/problem+json"},
    "body": json.dumps({"reason": "QUEUE_FULL", "detail": "the queue is full"}),
}

LATE = BUSY | {
    "status": 504,
    "headers": {"content-type": "application/problem+json"},
    "body": json.dumps({"reason": "DEADLINE_UNREACHABLE", "detail": "allow more time"}),
}


def wait_until(page, condition: str) -> None:
    """Waits for a condition in JavaScript; the page's policy forbids Playwright's own way."""
    deadline = time.monotonic() + 60
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        page.wait_for_timeout(30)


def wait_for_pictures(page, n: int = 1) -> None:
    wait_until(page, f"document.querySelectorAll('#pictures img.shown').length >= {n}")


@contextmanager
def failing(page, pattern: str, answer):
    page.route(pattern, answer)
    yield
    page.unroute(pattern)


def query_of(page) -> dict[str, str]:
    return page.evaluate("Object.fromEntries(new URLSearchParams(location.search))")
