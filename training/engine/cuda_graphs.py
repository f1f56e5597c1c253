"""CUDA-graph capture of the training step."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dcgan.training.data.loader import TrainingBatch
from dcgan.training.engine.snapshot import undone
from dcgan.training.engine.state import TrainingState
from dcgan.training.engine.step import TrainingStep

# Steps before the capture, in which libraries choose kernels and allocate workspaces.
_WARMUP_STEPS = 3


@dataclass(frozen=True, kw_only=True)
class _Capture:
    """A captured step, and the memory that it reads from and writes to."""

    discriminator_graph: torch.cuda.CUDAGraph
    generator_graph: torch.cuda.CUDAGraph
    batch: TrainingBatch
    metrics: Tensor


class CudaGraphStep:
    """A training step that is captured at the first full batch and then replayed.

    Each phase is one graph. A graph reads and writes fixed addresses, so every batch is copied into
    the memory of the captured one. A batch of another size, such as the last one of an epoch, runs
    without the graph. Steps with and without gradient penalties are captured separately.

    Args:
        step: to capture.
        state: what the step trains.
        batch_size: images in a full batch.
    """

    def __init__(self, step: TrainingStep, state: TrainingState, batch_size: int) -> None:
        self._step = step
        self._state = state
        self._batch_size = batch_size
        self._captures: dict[bool, _Capture] = {}  # steps with and without gradient penalties

    def __call__(self, batch: TrainingBatch) -> Tensor:
        """Updates D, then G; returns the metrics (STEP_METRICS), on the device."""
        if len(batch.real) != self._batch_size:
            return self._step(batch)
        if batch.penalized not in self._captures:
            self.capture(batch)

        capture = self._captures[batch.penalized]
        for target, source in zip(capture.batch.tensors(), batch.tensors(), strict=True):
            target.copy_(source)
        capture.discriminator_graph.replay()
        capture.generator_graph.replay()
        return capture.metrics.clone()  # the next replay overwrites them

    def capture(self, batch: TrainingBatch) -> None:
        """Captures the step for batches like this one; the training state does not change."""
        static = replace(
            batch,
            real=batch.real.clone(),
            z=batch.z.clone(),
            augment=batch.augment.clone(),
            label=None if batch.label is None else batch.label.clone(),
        )
        self._warm_up(static)

        discriminator_graph = torch.cuda.CUDAGraph()
        generator_graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(discriminator_graph):
            phase = self._step.train_discriminator(static)
        with torch.cuda.graph(generator_graph, pool=discriminator_graph.pool()):
            metrics = self._step.train_generator(static, phase)

        self._captures[batch.penalized] = _Capture(
            discriminator_graph=discriminator_graph,
            generator_graph=generator_graph,
            batch=static,
            metrics=metrics,
        )

    def _warm_up(self, batch: TrainingBatch) -> None:
        """Runs a few steps on a side stream and undoes them."""
        with undone(self._state):
            stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(_WARMUP_STEPS):
                    self._step(batch)
            torch.cuda.current_stream().wait_stream(stream)
