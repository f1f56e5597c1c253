"""The bridge between the event loop and the engine threads of one model.

The event loop admits jobs and draws their latent vectors while the engines are busy with other
jobs. Each engine thread takes its next batch itself, so that no engine waits for the event loop,
which gets the images afterwards. The batcher is shared, behind a lock that is never held for long.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from dcgan.core.images import Pixels
from dcgan.core.text import first_line
from dcgan.serving.engine.base import Engine, EngineError
from dcgan.serving.errors import ServingError
from dcgan.serving.observability.metrics import ModelMetrics
from dcgan.serving.scheduling.batch import Batch
from dcgan.serving.scheduling.batcher import Batcher
from dcgan.serving.scheduling.demand import Demand
from dcgan.serving.scheduling.engine_thread import EngineRun, EngineThread, gather_inputs
from dcgan.serving.scheduling.errors import DeadlinePassedError, EngineStuckError
from dcgan.serving.scheduling.image_job import ImageJob, Images, Latents, fail_jobs
from dcgan.serving.scheduling.watchdog import Watchdog
from dcgan.serving.scheduling.work_item import WorkCounts, WorkState

_MAX_DRAWN_INLINE = 64  # images whose latents are drawn on the event loop; more would block it
_JOIN_TIMEOUT_S = 5.0  # the threads are daemons: the process can end without them

logger = logging.getLogger(__name__)


class Dispatcher:
    """Runs the jobs of one model on its engines.

    Args:
        engines: one thread is started for each.
        batcher: the queue.
        metrics: of the model.
        clock: monotonic, in seconds; the one that demands are stamped with.
    """

    def __init__(
        self,
        engines: Sequence[Engine],
        batcher: Batcher[ImageJob],
        metrics: ModelMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._batcher = batcher
        self._metrics = metrics
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()  # guards the batcher, `_idle` and `_stopping`
        self._idle: list[EngineThread] = []  # the last one ran last and is woken first: it is warm
        self._stopping = False
        self._threads = [EngineThread(engine) for engine in engines]
        self._watchdog = Watchdog(self._threads, clock())

        for thread in self._threads:
            thread.start(self._serve)

    def submit(self, demand: Demand, draw: Callable[[], Latents]) -> asyncio.Future[Images]:
        """Submits a job. Call it from the event loop; cancelling the future drops the job.

        Args:
            demand: what the request needs.
            draw: draws the latent vectors; called only if the job is admitted.

        Returns:
            The future of the images. It fails with EngineError if an engine failed, with
            DeadlinePassedError if the deadline passed in the queue, and with EngineStuckError if an
            engine stalled.

        Raises:
            RequestError: if the job is not admitted.
        """
        job = ImageJob(demand=demand, future=self._loop.create_future())
        with self._lock:
            self._batcher.admit(job)
        job.future.add_done_callback(
            lambda future: self._cancel(job) if future.cancelled() else None
        )

        if demand.images <= _MAX_DRAWN_INLINE:
            self._enqueue(job, draw)
        else:
            self._loop.run_in_executor(None, self._enqueue, job, draw)
        return job.future

    def counts(self) -> WorkCounts:
        """Returns a copy of the counters of jobs by outcome."""
        with self._lock:
            return replace(self._batcher.counts, settled=dict(self._batcher.counts.settled))

    def queued_images(self) -> int:
        """Returns how many images wait for an engine."""
        return self._batcher.waiting_images

    async def stop(self) -> None:
        """Terminates the current runs and ends the threads; the jobs that were running fail."""
        with self._lock:
            self._stopping = True
        for thread in self._threads:
            thread.wake()
        await asyncio.to_thread(self._join, self._clock() + _JOIN_TIMEOUT_S)

    def check(self, longest_batch_s: float) -> bool:
        """Checks the engine threads; the watchdog calls it periodically.

        A thread that died is restarted. A run that takes too long is terminated, and the jobs in
        the queue fail.

        Args:
            longest_batch_s: duration after which a run counts as stalled.

        Returns:
            Whether all engines are healthy.

        Raises:
            ServingError: if a terminated run has not ended after the same time again. Its jobs have
                failed then, but its thread cannot be recovered.
        """
        runs = [thread.run for thread in self._threads]
        found = self._watchdog.inspect(runs, self._clock(), longest_batch_s)
        if found.is_healthy:
            return True

        for thread in found.dead:
            logger.error("an engine thread died; restarting it")
            self._fail_all(thread, thread.run)
            thread.start(self._serve)
        for run in found.stalled:
            if not run.is_terminated:
                logger.error(
                    "an engine has run one batch for over %s s; terminating the run",
                    longest_batch_s,
                )
            run.terminate()
        for thread, hung in zip(self._threads, runs, strict=True):
            if hung in found.hung:
                self._fail_all(thread, hung)

        with self._lock:
            failed = self._batcher.fail_waiting()
        fail_jobs(failed, EngineStuckError())
        if found.hung:
            raise ServingError(
                f"an engine has run one batch for over {2 * longest_batch_s:g} s and cannot be "
                "terminated; restart the server and check the processor or GPU"
            )
        return False

    def _fail_all(self, thread: EngineThread, run: EngineRun | None) -> None:
        """Fails the run of a thread that has died or hangs, and the halves that would follow."""
        if run is not None:
            self._fail(run.batch)
        while thread.pending:
            self._fail(thread.pending.pop(0))

    def _join(self, ends: float) -> None:
        for thread in self._threads:
            thread.terminate_run()
        for thread in self._threads:
            thread.join(ends - self._clock())

    def _enqueue(self, job: ImageJob, draw: Callable[[], Latents]) -> None:
        if job.state is not WorkState.WAITING:  # cancelled while it waited for an executor thread
            return
        try:
            job.latents = draw()
        except Exception as error:
            logger.error("latent vectors could not be drawn", exc_info=error)
            with self._lock:
                self._batcher.fail_item(job)
            self._reject_later([job], EngineError())
            return

        with self._lock:
            self._batcher.enqueue(job)
            batches = -(-job.images // self._batcher.max_batch)
            woken = [self._idle.pop() for _ in range(min(batches, len(self._idle)))]
        for thread in woken:
            thread.wake()

    def _cancel(self, job: ImageJob) -> None:
        with self._lock:
            self._batcher.cancel(job, self._clock())

    def _serve(self, thread: EngineThread) -> None:
        """Runs batches on an engine until the dispatcher stops."""
        while (batch := self._wait_for_batch(thread)) is not None:
            self._run(thread, batch)
            while thread.pending:
                half = thread.pending.pop(0)
                self._run(thread, replace(half, started=self._clock()))

    def _run(self, thread: EngineThread, batch: Batch[ImageJob]) -> None:
        """Runs a batch; if the engine fails on it, its halves are put in front of `pending`."""
        thread.run = run = EngineRun(batch)
        # `stop` may have been called since the batch was taken, when there was no run to terminate.
        run.options.terminate = self._stopping

        try:
            images = thread.engine.run(*gather_inputs(batch), run.options)
        except Exception as error:  # noqa: BLE001 - it is logged, and the jobs fail
            thread.pending[:0] = self._retry(run, error)
        else:
            self._finish(batch, images)
        thread.run = None

    def _retry(self, run: EngineRun, error: Exception) -> list[Batch[ImageJob]]:
        """Returns the halves of a failed batch, until the job at fault is alone and fails."""
        batch = run.batch
        if self._stopping or run.is_terminated or len(batch.slices) == 1:
            if not self._stopping:
                logger.error("the engine failed on %s images", batch.images, exc_info=error)
            self._fail(batch)
            return []

        logger.warning(
            "the engine failed on a batch of %s images of %s requests; running its halves: %s",
            batch.images,
            len(batch.slices),
            first_line(error),
        )
        with self._lock:
            halves, expired = self._batcher.split(batch, self._clock())
        self._reject_later(expired, DeadlinePassedError())
        return halves

    def _wait_for_batch(self, thread: EngineThread) -> Batch[ImageJob] | None:
        """Blocks until there is a batch for an engine; returns None when the dispatcher stops."""
        was_idle = False
        while True:
            batch = None
            expired: list[ImageJob] = []
            with self._lock:
                stopping = self._stopping
                if not stopping:
                    batch, expired = self._batcher.next_batch(self._clock())
                    if batch is None:
                        self._idle.append(thread)
            if expired:
                self._reject_later(expired, DeadlinePassedError())

            if batch is not None:
                self._record_start(batch, thread.engine, was_idle=was_idle)
                return batch
            if stopping:
                return None
            thread.sleep()
            was_idle = True

    def _record_start(self, batch: Batch[ImageJob], engine: Engine, *, was_idle: bool) -> None:
        if batch.images == self._batcher.max_batch:
            reason = "full"
        else:
            reason = "idle" if was_idle else "gathered"
        self._metrics.batch_started(reason, batch.images, engine.padding(batch.images))

    def _finish(self, batch: Batch[ImageJob], images: Pixels) -> None:
        first = 0
        for piece in batch.slices:
            piece.item.parts[piece.start] = images[first : first + piece.count]
            first += piece.count

        with self._lock:
            now = self._clock()
            complete = self._batcher.finish(batch, now)
        self._metrics.batch_finished(batch.images, now - batch.started)
        if complete:
            self._call_in_loop(self._resolve, [(job.future, job.result(now)) for job in complete])

    def _resolve(self, finished: list[tuple[asyncio.Future[Images], Images]]) -> None:
        for future, images in finished:
            self._metrics.queue_wait.observe(images.queue_s)
            if not future.done():
                future.set_result(images)

    def _fail(self, batch: Batch[ImageJob]) -> None:
        with self._lock:
            failed = self._batcher.fail(batch)
        self._reject_later(failed, EngineError())

    def _reject_later(self, jobs: list[ImageJob], error: Exception) -> None:
        if jobs:
            self._call_in_loop(fail_jobs, jobs, error)

    def _call_in_loop(self, callback: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the event loop is closed
            self._loop.call_soon_threadsafe(callback, *arguments)
