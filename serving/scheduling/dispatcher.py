"""The threads between the event loop and the engines of one model.

The loop admits work and draws its noise while the engines are busy with other work. Each engine's thread takes its
next batch itself, so that no engine waits for the loop; the loop hears of finished images afterwards. What is shared
is the batcher, behind one lock that nobody holds for long.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dcgan.core.images import Pixels
from dcgan.core.onnx_session import run_options
from dcgan.serving.api import errors
from dcgan.serving.engine.cpu import Engine, EngineError
from dcgan.serving.observability.metrics import ModelMetrics
from dcgan.serving.scheduling.batcher import Batch, Batcher, Counts, State
from dcgan.serving.scheduling.job import Images, Job, Latents

if TYPE_CHECKING:
    import onnxruntime as ort

_DRAWN_AT_ONCE = 64  # images whose noise is drawn on the event loop; more would hold it up
_LONGEST_BATCH_S = 5.0  # that the end of the process waits for; the threads are daemons

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Run:
    """A batch on an engine.

    Attributes:
        batch: what it makes.
        options: by which this run and no other can be told to give up.
        told: when it was.
    """

    batch: Batch[Job]
    options: ort.RunOptions = field(default_factory=run_options)
    told: float | None = None


@dataclass(eq=False, slots=True)
class _Worker:
    """An engine and its thread.

    Attributes:
        engine: runs batches.
        thread: calls it.
        run: what it is at.
        calls: wake the thread when it is idle.
    """

    engine: Engine
    calls: queue.SimpleQueue[None] = field(default_factory=queue.SimpleQueue)
    thread: threading.Thread | None = None
    run: _Run | None = None


class Dispatcher:
    """Runs the work of one model on its engines.

    Args:
        engines: one thread is started for each.
        batcher: decides what runs next.
        metrics: hears of every batch.
        clock: monotonic, in seconds.
    """

    def __init__(
        self,
        engines: Sequence[Engine],
        batcher: Batcher[Job],
        metrics: ModelMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._batcher = batcher
        self._metrics = metrics
        self._clock = clock
        self._lock = threading.Lock()  # of the batcher and of the two that follow
        self._idle: list[
            _Worker
        ] = []  # the one that worked last is the last, and the first to be called: it is warm
        self._stopping = False
        self._loop = asyncio.get_running_loop()
        self._workers = [_Worker(engine) for engine in engines]
        for worker in self._workers:
            self._start(worker)

    def submit(
        self,
        n: int,
        draw: Callable[[], Latents],
        *,
        timeout_s: float | None = None,
        reserve_s: float = 0.0,
        more: bool = False,
        whole: int = 0,
    ) -> asyncio.Future[Images]:
        """Starts on n images. Cancelling the future drops the work. Call it from the event loop.

        Args:
            n: number of images.
            draw: makes their latent vectors; called only if the work is accepted.
            timeout_s: time until nobody wants them any more.
            reserve_s: time that must be left of it when they are made.
            more: whether they belong to a request that was accepted before.
            whole: images of the whole request, if it has more than these.

        Returns:
            The images; or EngineError, or a Refusal if the deadline passed in the queue.

        Raises:
            Refusal: if the work is not accepted.
        """
        now = self._clock()
        deadline = math.inf if timeout_s is None else now + timeout_s - reserve_s
        future = self._loop.create_future()
        job = Job(
            n=n,
            arrived=now,
            deadline=deadline,
            reserve=reserve_s,
            more=more,
            whole=whole,
            future=future,
        )
        with self._lock:
            self._batcher.admit(job)
        job.future.add_done_callback(
            lambda future: self._forget(job) if future.cancelled() else None
        )
        if n <= _DRAWN_AT_ONCE:
            self._enqueue(job, draw)
        else:
            self._loop.run_in_executor(None, self._enqueue, job, draw)
        return job.future

    def counts(self) -> Counts:
        """What became of all work so far."""
        with self._lock:
            return replace(self._batcher.counts, settled=dict(self._batcher.counts.settled))

    def queued_images(self) -> int:
        """Images that wait for an engine."""
        return self._batcher.waiting_images

    async def stop(self) -> None:
        """Ends the threads. What they are at is given up: whoever wanted it has gone, or is about to."""
        with self._lock:
            self._stopping = True
        for worker in self._workers:
            worker.calls.put(None)
        await asyncio.to_thread(self._join, self._clock() + _LONGEST_BATCH_S)

    def _join(self, ends: float) -> None:
        for worker in self._workers:
            if (run := worker.run) is not None:
                run.options.terminate = True
        for worker in self._workers:
            if worker.thread is not None:
                worker.thread.join(max(0.0, ends - self._clock()))

    def check(self, longest_batch_s: float) -> bool:
        """Looks after the engines: the watchdog calls it again and again.

        A thread that died is started anew. A batch that takes too long is told to give up, and what waits behind it
        fails.

        Returns:
            Whether all was well.

        Raises:
            ServingError: if a batch has not given up after as long again. Its requests have failed then, but its thread
                cannot be had back.
        """
        well, hung = True, False
        for worker in self._workers:
            run = worker.run  # the thread may put another there meanwhile
            if worker.thread is None or not worker.thread.is_alive():
                logger.error("an engine's thread has died; it is started anew")
                if run is not None:
                    self._fail(run.batch)
                self._start(worker)
                well = False
            elif run is not None and self._clock() - run.batch.started > longest_batch_s:
                logger.error(
                    "an engine has been at one batch for over %s s; it is told to give up",
                    longest_batch_s,
                )
                run.options.terminate = True
                well, now = False, self._clock()
                run.told = now if run.told is None else run.told
                if now - run.told > longest_batch_s:
                    self._fail(run.batch)
                    hung = True
        if not well:
            with self._lock:
                failed = self._batcher.fail_line()
            _refuse([job.future for job in failed], errors.engine_stuck())
        if hung:
            raise errors.ServingError(
                f"an engine has been at one batch for over {2 * longest_batch_s:g} s and does not give up; "
                "start the server again, and see whether its processor or GPU is well"
            )
        return well

    def _start(self, worker: _Worker) -> None:
        worker.run = None
        worker.thread = threading.Thread(
            target=self._serve, args=(worker,), name="engine", daemon=True
        )
        worker.thread.start()

    def _enqueue(self, job: Job, draw: Callable[[], Latents]) -> None:
        if job.state is not State.WAITING:  # it was called off while it waited for a thread
            return
        try:
            job.latents = draw()
        except Exception as error:
            logger.error("latent vectors could not be drawn", exc_info=error)
            with self._lock:
                self._batcher.fail_ticket(job)
            self._tell([job], EngineError())
            return
        with self._lock:
            self._batcher.enqueue(job)
            batches = -(-job.n // self._batcher.max_batch)
            called = [self._idle.pop() for _ in range(min(batches, len(self._idle)))]
        for worker in called:
            worker.calls.put(None)

    def _forget(self, job: Job) -> None:
        with self._lock:
            self._batcher.cancel(job, self._clock())

    def _serve(self, worker: _Worker) -> None:
        while (batch := self._next_batch(worker)) is not None:
            worker.run = run = _Run(batch)
            run.options.terminate = (
                self._stopping
            )  # `stop` may have come between the two lines before
            try:
                images = worker.engine.run(*_gather(batch), run.options)
            except Exception:
                if not self._stopping:  # which tells it to fail
                    logger.exception("the engine failed on a batch of %s images", batch.images)
                self._fail(batch)
            else:
                self._finish(batch, images)
            worker.run = None

    def _next_batch(self, worker: _Worker) -> Batch[Job] | None:
        """Waits for work; None when there will be no more."""
        idle = False
        while True:
            with self._lock:
                batch, expired = (None, []) if self._stopping else self._batcher.take(self._clock())
                if batch is None and not self._stopping:
                    self._idle.append(worker)
                stopping = self._stopping
            self._tell(expired, errors.deadline_passed())
            if batch is not None:
                reason = (
                    "full"
                    if batch.images == self._batcher.max_batch
                    else "idle"
                    if idle
                    else "gathered"
                )
                self._metrics.batch_started(
                    reason, batch.images, worker.engine.padding(batch.images)
                )
            if batch is not None or stopping:
                return batch
            worker.calls.get()
            idle = True

    def _finish(self, batch: Batch[Job], images: Pixels) -> None:
        first = 0
        for piece in batch.slices:
            piece.ticket.parts[piece.start] = images[first : first + piece.count]
            first += piece.count
        with self._lock:
            now = self._clock()
            complete = self._batcher.finish(batch, now)
        self._metrics.batch_finished(batch.images, now - batch.started)
        if complete:
            self._call(self._deliver, [(job.future, job.images(now)) for job in complete])

    def _deliver(self, finished: list[tuple[asyncio.Future[Images], Images]]) -> None:
        for future, images in finished:
            self._metrics.queue_wait.observe(images.queue_s)
            if not future.done():
                future.set_result(images)

    def _fail(self, batch: Batch[Job]) -> None:
        with self._lock:
            failed = self._batcher.fail(batch)
        self._tell(failed, EngineError())

    def _tell(self, jobs: list[Job], error: Exception) -> None:
        if jobs:
            self._call(_refuse, [job.future for job in jobs], error)

    def _call(self, callback: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and everyone with it
            self._loop.call_soon_threadsafe(callback, *arguments)


def _gather(batch: Batch[Job]) -> tuple[NDArray[np.float32], NDArray[np.int64] | None]:
    """Puts the latent vectors of a batch together: z [b, d] and label [b]."""
    z, label = [], []
    for piece in batch.slices:
        latents, rows = piece.ticket.latents, slice(piece.start, piece.start + piece.count)
        if latents is None:
            raise RuntimeError("a ticket was put in line without its latent vectors")
        z.append(latents.z[rows])
        if latents.label is not None:
            label.append(latents.label[rows])
    return z[0] if len(z) == 1 else np.concatenate(z), np.concatenate(label) if label else None


def _refuse(futures: list[asyncio.Future[Images]], error: Exception) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(error)
