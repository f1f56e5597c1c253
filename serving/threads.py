"""Daemon threads, which do not keep the process from ending."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, ParamSpec, TypeVar

from dcgan.serving.running_calls import running_call

P = ParamSpec("P")
R = TypeVar("R")


class DaemonThread:
    """Runs calls one after the other, always in the same thread.

    Unlike the threads of a ThreadPoolExecutor, a call that never returns does not keep the process
    from ending.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = (
            queue.SimpleQueue()
        )
        threading.Thread(target=self._serve, name=name, daemon=True).start()

    def submit(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Queues a call and returns the future of its result."""
        future: Future[R] = Future()
        self._calls.put((future, lambda: function(*args, **kwargs)))
        return future

    def close(self) -> None:
        """Ends the thread after the calls that are queued."""
        self._calls.put(None)

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            future, function = call
            if not future.set_running_or_notify_cancel():
                continue
            try:
                with running_call():
                    result = function()
            except BaseException as error:  # noqa: BLE001 - raised where the result is awaited
                future.set_exception(error)
            else:
                future.set_result(result)


async def run_in_daemon_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Runs a call that may hang in a daemon thread; a cancelled task does not wait for it."""
    thread = DaemonThread("daemon-call")
    try:
        return await asyncio.wrap_future(thread.submit(function, *args, **kwargs))
    finally:
        thread.close()
