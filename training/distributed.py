"""Distributed training: the processes that `torchrun` starts, each with a share of every batch.

All processes hold the same weights. Gradients and batch-norm statistics are summed over the
processes, so a distributed step is the step that one process takes with the whole batch, except for
the order of additions.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch import distributed as dist

from dcgan.training.errors import TrainingError


@dataclass(frozen=True, kw_only=True)
class DistributedContext:
    """The place of this process among those that train one model, and the operations across them.

    Every operation is collective: all processes have to call it, in the same order. With a single
    process each of them returns its input.

    Attributes:
        rank: number of this process, from 0.
        world_size: number of processes.
    """

    rank: int = 0
    world_size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is process 0, the only one that writes the run folder."""
        return self.rank == 0

    def shard(self, batch_size: int) -> slice:
        """Returns which images of a batch belong to this process."""
        start = self.rank * batch_size // self.world_size
        end = (self.rank + 1) * batch_size // self.world_size
        return slice(start, end)

    def all_reduce_sum(self, tensor: Tensor) -> Tensor:
        """Returns the sum over all processes; gradients flow through it."""
        return cast(Tensor, _AllReduceSum.apply(tensor)) if self.world_size > 1 else tensor

    def all_reduce_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replaces gradients by their sums over all processes, in one message."""
        if self.world_size == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        message = torch.cat([gradient.flatten() for gradient in gradients])
        with _communication():
            dist.all_reduce(message)

        start = 0
        for gradient in gradients:
            end = start + gradient.numel()
            gradient.copy_(message[start:end].view(gradient.shape))
            start = end

    def all_reduce_max(self, number: int, device: torch.device) -> int:
        """Returns the largest of the numbers that the processes pass."""
        if self.world_size == 1:
            return number
        message = torch.tensor(number, device=device)
        with _communication():
            dist.all_reduce(message, op=dist.ReduceOp.MAX)
            return int(message.item())  # NCCL reports a failure only here

    def broadcast(self, tensors: Sequence[Tensor]) -> None:
        """Copies the tensors of process 0 into those of the other processes, in place."""
        if self.world_size == 1:
            return
        for tensor in tensors:
            message = tensor.detach().contiguous()
            with _communication():
                dist.broadcast(message, 0)
            tensor.detach().copy_(message)

    def broadcast_text(self, text: str | None) -> str | None:
        """Returns the text that process 0 passes."""
        if self.world_size == 1:
            return text
        objects = [text]
        with _communication():
            dist.broadcast_object_list(objects, 0)
        return objects[0]


SINGLE_PROCESS = DistributedContext()
"""The context of a run with one process."""


def init_distributed(device: str) -> DistributedContext:
    """Connects to the other processes that `torchrun` started, if there are any.

    Args:
        device: "cpu" for gloo, or "cuda" for NCCL, where each process takes the GPU of its local
            rank.

    Raises:
        TrainingError: if there are more processes than GPUs, or the other processes cannot be
            reached.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or "RANK" not in os.environ:
        return SINGLE_PROCESS

    if device == "cuda":
        local_rank = int(os.environ["LOCAL_RANK"])
        gpus = torch.cuda.device_count()
        if local_rank >= gpus:
            raise TrainingError(
                f"there are more processes than GPUs ({gpus}); use --nproc-per-node {gpus}"
            )
        torch.cuda.set_device(local_rank)

    try:
        dist.init_process_group("nccl" if device == "cuda" else "gloo")
    except (RuntimeError, ValueError) as error:
        raise TrainingError(
            f"cannot reach the other processes of torchrun ({error!s:.200})"
        ) from None
    return DistributedContext(rank=dist.get_rank(), world_size=dist.get_world_size())


def shutdown_distributed(context: DistributedContext) -> None:
    """Disconnects from the other processes."""
    if context.world_size > 1:
        dist.destroy_process_group()


@contextmanager
def _communication() -> Iterator[None]:
    """Turns torch's errors about a lost process into a TrainingError."""
    try:
        yield
    except RuntimeError as error:  # gloo has no exception class of its own
        raise TrainingError(
            f"one of the {dist.get_world_size()} processes of this run failed: {error!s:.200}"
        ) from None


class _AllReduceSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:  # noqa: ANN401, ARG004 - torch's signature
        total = tensor.detach().clone(memory_format=torch.contiguous_format)
        with _communication():
            dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401, ARG004
        # The loss of each process depends on the tensors of all of them, so the gradient of one
        # tensor is the sum over the losses.
        return cast(Tensor, _AllReduceSum.apply(gradient))
