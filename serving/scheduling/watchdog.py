"""Detection of engine threads that died and of runs that stalled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dcgan.serving.scheduling.engine_thread import EngineRun, EngineThread


@dataclass(frozen=True)
class Inspection:
    """What the watchdog has found.

    Attributes:
        dead: threads that have ended.
        stalled: runs that take too long.
        hung: those of them that have not ended after the same time again.
    """

    dead: tuple[EngineThread, ...]
    stalled: tuple[EngineRun, ...]
    hung: tuple[EngineRun, ...]

    @property
    def is_healthy(self) -> bool:
        """Whether nothing is wrong."""
        return not self.dead and not self.stalled


class Watchdog:
    """Inspects engine threads periodically.

    Args:
        threads: to inspect.
        now: current time.
    """

    def __init__(self, threads: Sequence[EngineThread], now: float) -> None:
        self._threads = threads
        self._last_inspection = now

    def inspect(
        self, runs: Sequence[EngineRun | None], now: float, longest_batch_s: float
    ) -> Inspection:
        """Inspects all threads.

        Args:
            runs: the current run of each thread, read before `now`: a run that ends meanwhile and
                is replaced by another must not count against that one.
            now: current time.
            longest_batch_s: duration after which a run counts as stalled.
        """
        # A step that is much longer than the interval of the watchdog means that the whole process
        # was frozen, and the engines with it.
        step_s = min(now - self._last_inspection, longest_batch_s / 2)
        self._last_inspection = now

        dead = []
        stalled = []
        hung = []
        for thread, run in zip(self._threads, runs, strict=True):
            if not thread.is_alive:
                dead.append(thread)
            elif run is not None:
                run.observed_s += min(step_s, max(0.0, now - run.batch.started))
                if run.observed_s > longest_batch_s:
                    stalled.append(run)
                if run.observed_s > 2 * longest_batch_s:
                    hung.append(run)
        return Inspection(tuple(dead), tuple(stalled), tuple(hung))
