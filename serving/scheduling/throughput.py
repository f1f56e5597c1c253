"""Estimate of the throughput from recent measurements. It has no clock: callers pass durations."""

from __future__ import annotations

_DECAY = 0.9  # factor on the weight of older measurements at each new one
_MAX_SLOWDOWN = 4.0  # a measurement counts as at most this many times the expected duration
_DOUBT = 0.9  # factor on estimated times at each refusal that nothing but the estimate explains
_SAFETY = 0.8  # fraction of the time left that an estimate may use; late images are wasted work
_MIN_RETRY_S = 0.01
_DEFAULT_RETRY_S = 1.0


class ThroughputEstimate:
    """Images per second of several workers together, as an exponentially decaying average.

    Args:
        workers: number of workers that run in parallel.
    """

    def __init__(self, workers: int = 1) -> None:
        self._workers = workers
        self._images = 0.0
        self._seconds = 0.0
        self._trust = 1.0  # factor on estimated times

    @property
    def images_per_s(self) -> float | None:
        """Throughput of all workers when busy; None before the first measurement."""
        return self._workers * self._images / self._seconds if self._seconds > 0 else None

    def measure(self, images: int, seconds: float) -> None:
        """Adds a measurement: one worker made `images` images in `seconds` seconds."""
        self._trust = 1.0

        # Limit the weight of one stall, so that it does not predict that all will stall.
        if self._seconds > 0:
            seconds = min(seconds, _MAX_SLOWDOWN * images * self._seconds / self._images)

        if seconds > 0:
            self._images = _DECAY * self._images + images
            self._seconds = _DECAY * self._seconds + seconds

    def doubt(self) -> None:
        """Lowers estimated times by a tenth, until the next measurement.

        Call it when a request is refused because of the estimate alone, while there is no other
        work. Otherwise nothing would be measured, and an estimate that is too high, e.g. after a
        stall, would refuse such requests for ever.
        """
        self._trust *= _DOUBT

    def time_for(self, images: int) -> float:
        """Returns the estimated time to make images, in seconds; 0 while it is unknown."""
        return self._trust * images / self.images_per_s if self.images_per_s else 0.0

    def retry_after_s(self, excess_images: int) -> float:
        """Returns the estimated time until a queue has worked off an excess, in seconds."""
        if not self.images_per_s:
            return _DEFAULT_RETRY_S
        return max(excess_images / self.images_per_s, _MIN_RETRY_S)


def fits_deadline(needed_s: float, left_s: float) -> bool:
    """Returns whether work of an estimated duration may be promised within the time left."""
    return needed_s <= _SAFETY * left_s
