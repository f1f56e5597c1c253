"""A cache of encoded images, keyed by entity tags, that all protocols share."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge


class ResponseCache:
    """Keeps the files that were used last, up to a number of bytes. Call it from the event loop.

    An entity tag names the exact bytes, so nothing in the cache becomes outdated.

    Args:
        max_bytes: size of all files together; 0 to keep nothing.
        registry: in which the metrics are registered; None for no metrics.
    """

    def __init__(self, max_bytes: int = 0, registry: CollectorRegistry | None = None) -> None:
        self._max_bytes = max_bytes
        self._files: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0
        self._hits = Counter(
            "dcgan_cache_hits", "Files found in the response cache.", registry=registry
        )
        self._misses = Counter(
            "dcgan_cache_misses", "Files not found in the response cache.", registry=registry
        )
        self._evictions = Counter(
            "dcgan_cache_evictions", "Files that the response cache let go.", registry=registry
        )
        size = Gauge("dcgan_cache_bytes", "Size of the response cache.", registry=registry)
        size.set_function(lambda: self._bytes)

    @property
    def is_enabled(self) -> bool:
        """Whether the cache keeps anything."""
        return self._max_bytes > 0

    def find(self, tag: str) -> bytes | None:
        """Returns a file, or None if it is not in the cache."""
        if not self.is_enabled:
            return None
        file = self._files.get(tag)
        if file is None:
            self._misses.inc()
            return None
        self._hits.inc()
        self._files.move_to_end(tag)
        return file

    def find_all(self, tags: Sequence[str]) -> list[bytes] | None:
        """Returns all of several files, or None if one of them is not in the cache."""
        if not self.is_enabled or not all(tag in self._files for tag in tags):
            self._misses.inc(len(tags) if self.is_enabled else 0)
            return None
        return [file for tag in tags if (file := self.find(tag)) is not None]

    def add_all(self, tags: Sequence[str], files: Sequence[bytes] | None) -> None:
        """Keeps one file for each tag; nothing if there are no tags."""
        for tag, file in zip(tags, files or (), strict=False):
            self.add(tag, file)

    def add(self, tag: str, file: bytes) -> None:
        """Keeps a file, and evicts those that were used least recently."""
        if len(file) > self._max_bytes or tag in self._files:
            return
        self._files[tag] = file
        self._bytes += len(file)
        while self._bytes > self._max_bytes:
            _, oldest = self._files.popitem(last=False)
            self._bytes -= len(oldest)
            self._evictions.inc()
