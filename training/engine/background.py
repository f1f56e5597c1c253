"""Writing files in a thread, while the device computes the next steps."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

# Files that may wait. With more, weights would pile up in memory while the disk is slow.
_MAX_PENDING = 8


class BackgroundWriter:
    """Runs tasks one after the other in a thread, in the order in which they were given.

    The first error of a task is raised by the next call of a method, as if the task had run there.

    Args:
        asynchronous: whether there is a thread; otherwise each task runs at once.
    """

    def __init__(self, *, asynchronous: bool) -> None:
        self._pending: deque[Future[None]] = deque()
        self._thread: ThreadPoolExecutor | None = None
        if asynchronous:
            self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="run-folder")

    def submit(self, task: Callable[[], None]) -> None:
        """Runs a task in the thread; waits if too many are pending."""
        if self._thread is None:
            task()
            return
        while self._pending and (self._pending[0].done() or len(self._pending) >= _MAX_PENDING):
            self._pending.popleft().result()
        self._pending.append(self._thread.submit(task))

    def drain(self) -> None:
        """Waits for all tasks."""
        while self._pending:
            self._pending.popleft().result()

    def close(self) -> None:
        """Waits for all tasks and ends the thread; drops their errors."""
        self._pending.clear()
        if self._thread is not None:
            self._thread.shutdown()
