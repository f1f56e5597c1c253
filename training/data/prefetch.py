"""Preparing the next batch on a GPU while the step of the last one runs."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from dcgan.training import host_copy
from dcgan.training.data.loader import BatchLoader, TrainingBatch


class Prefetcher:
    """Returns the batches of a loader, the next of which it prepares ahead of time.

    A batch is a pure function of its step, so one that was prepared before a rollback is dropped.
    On a CPU nothing is prepared ahead, because it would take time from the step.

    Args:
        loader: of the batches.
        device: of the batches.
    """

    def __init__(self, loader: BatchLoader, device: torch.device) -> None:
        self._loader = loader
        self._ahead: tuple[tuple[int, int], TrainingBatch] | None = None
        self._is_ahead = host_copy.is_asynchronous(device)
        self._stream: torch.cuda.Stream | None = None
        if device.type == "cuda":
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
            self._stream.wait_stream(torch.cuda.current_stream(device))

    def batch(self, step: int, rollbacks: int) -> TrainingBatch:
        """Returns the batch of a step; see `BatchLoader.batch`."""
        if self._ahead is None or self._ahead[0] != (step, rollbacks):
            self._prepare(step, rollbacks)
        assert self._ahead is not None
        batch = self._ahead[1]
        self._ahead = None

        if self._stream is not None:
            current = torch.cuda.current_stream()
            current.wait_stream(self._stream)
            for tensor in batch.tensors():
                # The allocator of the other stream must not give the memory away before.
                tensor.record_stream(current)
        return batch

    def prefetch(self, step: int, rollbacks: int) -> None:
        """Starts to prepare the batch of a step, once the step before it has been launched."""
        if self._is_ahead:
            self._prepare(step, rollbacks)

    def _prepare(self, step: int, rollbacks: int) -> None:
        with self._on_stream():
            self._ahead = (step, rollbacks), self._loader.batch(step, rollbacks)

    def _on_stream(self) -> AbstractContextManager[object]:
        if self._stream is None:
            return nullcontext()
        return torch.cuda.stream(self._stream)
