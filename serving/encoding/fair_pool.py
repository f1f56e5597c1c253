"""A pool of threads at which clients take turns."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

from dcgan.serving.peer import Peer
from dcgan.serving.running_calls import running_call
from dcgan.serving.scheduling.fair_queue import FairQueue

T = TypeVar("T")


@dataclass(eq=False)
class _Task:
    function: Callable[[], Any]
    is_long: bool
    future: Future[Any] = field(default_factory=Future)

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            with running_call():
                result = self.function()
        except BaseException as error:  # noqa: BLE001 - the caller gets it
            self.future.set_exception(error)
        else:
            self.future.set_result(result)


class FairPool:
    """Runs functions on threads; addresses take turns, and so do the connections of each.

    Long functions do not keep short ones waiting, nor the other way round: if both wait, each kind
    has a thread. When long ones occupy all threads, short ones get another one. The threads are
    daemons: what still runs when the server ends does not keep the process.

    Args:
        threads: number of threads.
        name: of the threads.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._threads = threads
        self._name = name
        self._started = 0  # threads
        self._ready: queue.SimpleQueue[_Task] = queue.SimpleQueue()
        self._lock = threading.Lock()  # guards what follows
        self._short = FairQueue[_Task]()
        self._long = FairQueue[_Task]()
        self._running_short = 0
        self._running_long = 0

    async def run(self, peer: Peer, function: Callable[[], T], *, is_long: bool = False) -> T:
        """Runs a function on a thread, and returns its result.

        Args:
            peer: client for which it runs.
            function: to be run; it is not if the caller is cancelled before its turn.
            is_long: whether it may take long.
        """
        task = _Task(function, is_long)
        with self._lock:
            (self._long if is_long else self._short).push(peer, task)
            self._start()
        result: T = await asyncio.wrap_future(task.future)
        return result

    def _start(self) -> None:
        """Starts tasks for which there is a thread. Call it with the lock."""
        while (task := self._next()) is not None:
            self._count(task, 1)
            self._ready.put(task)
            if self._started < self._running_short + self._running_long:
                self._started += 1
                threading.Thread(target=self._serve, name=self._name, daemon=True).start()

    def _next(self) -> _Task | None:
        running = self._running_short + self._running_long
        is_free = running < self._threads
        if self._long and is_free and not self._running_long:
            return self._long.pop()
        if self._short and (is_free or running == self._running_long):
            return self._short.pop()
        if self._long and is_free:
            return self._long.pop()
        return None

    def _serve(self) -> None:
        """Runs in each thread."""
        while True:
            task = self._ready.get()
            task.run()
            with self._lock:
                self._count(task, -1)
                self._start()
            del task  # and with it the result, while the thread waits

    def _count(self, task: _Task, number: int) -> None:
        if task.is_long:
            self._running_long += number
        else:
            self._running_short += number
