"""An engine and the thread that runs it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dcgan.core.onnx_session import run_options
from dcgan.serving.engine.base import Engine
from dcgan.serving.scheduling.batch import Batch
from dcgan.serving.scheduling.image_job import ImageJob

if TYPE_CHECKING:
    import onnxruntime as ort


@dataclass(slots=True)
class EngineRun:
    """One run of an engine.

    Attributes:
        batch: its input.
        options: options of the run, by which it can be terminated without touching any other run.
        observed_s: its duration as the watchdog has observed it.
        is_terminated: whether it was terminated.
    """

    batch: Batch[ImageJob]
    options: ort.RunOptions = field(default_factory=run_options)
    observed_s: float = 0.0
    is_terminated: bool = False

    def terminate(self) -> None:
        """Makes the run fail at its next layer."""
        self.is_terminated = True
        self.options.terminate = True


class EngineThread:
    """The thread of one engine.

    Args:
        engine: the engine.

    Attributes:
        run: the current run; None between runs. The thread replaces it at any time.
        pending: halves of a batch on which the engine failed, to run next.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.run: EngineRun | None = None
        self.pending: list[Batch[ImageJob]] = []
        self._wakeups: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    @property
    def is_alive(self) -> bool:
        """Whether the thread is running."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, target: Callable[[EngineThread], None]) -> None:
        """Starts the thread, or starts it again after it died.

        Args:
            target: the loop of the thread.
        """
        self.run = None
        self.pending = []
        self._thread = threading.Thread(target=target, args=(self,), name="engine", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Wakes the thread from `sleep`."""
        self._wakeups.put(None)

    def sleep(self) -> None:
        """Blocks the thread until `wake` is called."""
        self._wakeups.get()

    def terminate_run(self) -> None:
        """Terminates the current run at its next layer."""
        if (run := self.run) is not None:
            run.terminate()

    def join(self, timeout_s: float) -> None:
        """Waits until the thread has ended, or until the time is over."""
        if self._thread is not None:
            self._thread.join(max(0.0, timeout_s))


def gather_inputs(
    batch: Batch[ImageJob],
) -> tuple[NDArray[np.float32], NDArray[np.int64] | None]:
    """Returns the inputs of b images: z, float32 [b, latent_size], and label, int64 [b] or None."""
    z: list[NDArray[np.float32]] = []
    label: list[NDArray[np.int64]] = []

    for piece in batch.slices:
        latents = piece.item.latents
        if latents is None:
            raise RuntimeError("a job was enqueued without its latent vectors")
        rows = slice(piece.start, piece.start + piece.count)
        z.append(latents.z[rows])
        if latents.label is not None:
            label.append(latents.label[rows])

    return z[0] if len(z) == 1 else np.concatenate(z), np.concatenate(label) if label else None
