"""The step on a GPU without the cost of launching its hundreds of kernels: both phases are recorded as CUDA graphs."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from dcgan.training.data.loader import Batch
from dcgan.training.engine.step import Players, Step

_WARM_UP = (
    3  # steps before the recording, in which libraries choose kernels and make their workspaces
)


class RecordedStep:
    """A `Step` that is recorded at the first full batch, one graph for each phase, and then replayed.

    A graph reads and writes fixed places of memory: each batch is copied to where the recorded one lay. A batch of
    another size, as at the end of an epoch, takes the step as it is.

    Args:
        step: to record.
        players: whom it trains.
        batch_size: images in a full batch.
    """

    def __init__(self, step: Step, players: Players, batch_size: int) -> None:
        self._step = step
        self._players = players
        self._batch_size = batch_size
        self._graphs: tuple[torch.cuda.CUDAGraph, torch.cuda.CUDAGraph] | None = None
        self._batch: Batch | None = None
        self._measures: Tensor | None = None

    def __call__(self, batch: Batch) -> Tensor:
        """Updates D, then G; returns MEASURES, on the device."""
        if len(batch.real) != self._batch_size:
            return self._step(batch)
        if self._batch is None:
            self._record(batch)
        if self._batch is None or self._graphs is None or self._measures is None:
            raise RuntimeError("a step was recorded and is not there")
        for ours, theirs in zip(_tensors(self._batch), _tensors(batch), strict=True):
            ours.copy_(theirs)
        for graph in self._graphs:
            graph.replay()
        return self._measures.clone()  # the next replay writes to the same place

    def _record(self, batch: Batch) -> None:
        label = None if batch.label is None else batch.label.clone()
        still = replace(
            batch,
            real=batch.real.clone(),
            z=batch.z.clone(),
            augment=batch.augment.clone(),
            label=label,
        )
        self._warm_up(still)
        graphs = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
        with torch.cuda.graph(graphs[0]):
            fake, of_discriminator = self._step.train_discriminator(still)
        with torch.cuda.graph(graphs[1], pool=graphs[0].pool()):
            self._measures = self._step.train_generator(still, fake, of_discriminator)
        self._batch, self._graphs = still, graphs

    def _warm_up(self, batch: Batch) -> None:
        """Takes a few steps on a stream of their own, and takes them back."""
        state = list(self._players.state().values())
        before = [tensor.detach().clone() for tensor in state]
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                self._step(batch)
        torch.cuda.current_stream().wait_stream(stream)
        with torch.no_grad():
            for tensor, old in zip(state, before, strict=True):
                tensor.detach().copy_(old)
        for adam in (self._players.generator_adam, self._players.discriminator_adam):
            adam.zero_grad()  # so that the recording makes gradients in its own memory


def _tensors(batch: Batch) -> list[Tensor]:
    tensors = (batch.real, batch.z, batch.augment, batch.label)
    return [tensor for tensor in tensors if tensor is not None]
