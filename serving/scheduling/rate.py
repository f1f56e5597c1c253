"""How fast work goes: measured, with a memory that fades. Pure: the time is always passed in."""

from __future__ import annotations

_MEMORY = 0.9  # what one more measurement leaves of the weight of those before it
_MOST_SURPRISE = 4.0  # one counts for at most so many times the time that was expected
_TRUST = 0.8  # share of the time left that may be promised away: estimates err, and what is late is wasted
_SHORTEST_RETRY_S = 0.01
_UNKNOWN_RETRY_S = 1.0


class Rate:
    """Images a second, of several who work at once.

    Args:
        at_once: how many they are.
    """

    def __init__(self, at_once: int = 1) -> None:
        self._at_once = at_once
        self._images = 0.0
        self._seconds = 0.0

    @property
    def per_s(self) -> float | None:
        """Of all of them together when busy; None before the first measurement."""
        return self._at_once * self._images / self._seconds if self._seconds > 0 else None

    def measure(self, images: int, seconds: float) -> None:
        """One of them made so many images in that time."""
        if self._seconds > 0:  # one that stood still does not say that all will
            seconds = min(seconds, _MOST_SURPRISE * images * self._seconds / self._images)
        if seconds > 0:
            self._images = _MEMORY * self._images + images
            self._seconds = _MEMORY * self._seconds + seconds

    def time_for(self, images: int) -> float:
        """Seconds that so many images take; 0 as long as that is not known."""
        return images / self.per_s if self.per_s else 0.0

    def retry_s(self, excess: int) -> float:
        """Seconds until a queue has room that has so many images too many."""
        return max(excess / self.per_s, _SHORTEST_RETRY_S) if self.per_s else _UNKNOWN_RETRY_S


def can_promise(needed_s: float, left_s: float) -> bool:
    """Whether what is expected to take so long may be promised by then."""
    return needed_s <= _TRUST * left_s
