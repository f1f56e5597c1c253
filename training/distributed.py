"""The processes that train one model together. `torchrun` starts them; each has a device and a share of every batch.

All hold the same weights. Gradients and the statistics of batch normalisation are summed over the shares, so a step of
the team is the step that one process would take with the whole batch, but for the order of some additions.
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
class Team:
    """One process's place among those that train together.

    Attributes:
        rank: its number, from 0; the first one writes the run folder.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def share(self, images: int) -> slice:
        """Which images of a batch are this process's own."""
        return slice(self.rank * images // self.size, (self.rank + 1) * images // self.size)

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all processes; a gradient passes through it."""
        return cast(Tensor, _Sum.apply(tensor)) if self.size > 1 else tensor

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replaces the gradients by their sums over all processes, in one message."""
        if self.size == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        message = torch.cat([gradient.flatten() for gradient in gradients])
        with _talking():
            dist.all_reduce(message)
        start = 0
        for gradient in gradients:
            gradient.copy_(message[start : start + gradient.numel()].view(gradient.shape))
            start += gradient.numel()

    def largest(self, number: int, device: torch.device) -> int:
        """The largest of the numbers that the processes bring; all of them wait for it."""
        if self.size == 1:
            return number
        message = torch.tensor(number, device=device)
        with _talking():
            dist.all_reduce(message, op=dist.ReduceOp.MAX)
            return int(message.item())  # for which NCCL waits only now

    def copy_first(self, tensors: Sequence[Tensor]) -> None:
        """Fills tensors with those of the first process."""
        if self.size > 1:
            for tensor in tensors:
                message = tensor.detach().contiguous()
                with _talking():
                    dist.broadcast(message, 0)
                tensor.detach().copy_(message)

    def text_of_first(self, text: str | None) -> str | None:
        """What the first process says."""
        box = [text]
        if self.size > 1:
            with _talking():
                dist.broadcast_object_list(box, 0)
        return box[0]


ALONE = Team()
"""A process that trains by itself."""


def join_team(device: str) -> Team:
    """Joins the processes that `torchrun` started beside this one, if it did.

    Args:
        device: "cpu" (they talk through gloo) or "cuda" (each takes the GPU of its number, and they talk through NCCL).

    Raises:
        TrainingError: if there are more processes than GPUs on this machine, or the others cannot be reached.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or "RANK" not in os.environ:
        return ALONE
    if device == "cuda":
        number, there = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if number >= there:
            raise TrainingError(
                f"there are {there} GPUs here for more processes; use --nproc-per-node {there}"
            )
        torch.cuda.set_device(number)
    try:
        dist.init_process_group("nccl" if device == "cuda" else "gloo")
    except (RuntimeError, ValueError) as error:
        raise TrainingError(
            f"cannot reach the other processes of torchrun ({error!s:.200})"
        ) from None
    return Team(rank=dist.get_rank(), size=dist.get_world_size())


def leave_team(team: Team) -> None:
    """Lets go of the others."""
    if team.size > 1:
        dist.destroy_process_group()


class SyncedNorm(nn.BatchNorm2d):
    """Batch normalisation over the shares of all processes, on any device (torch's own is for GPUs alone).

    In eval mode it is the plain one, and its state has the same names.
    """

    def __init__(self, norm: nn.BatchNorm2d, team: Team) -> None:
        super().__init__(norm.num_features, affine=norm.affine)
        self.load_state_dict(norm.state_dict())
        self._team = team

    def forward(self, input: Tensor) -> Tensor:
        """[b, C, H, W] of this process -> the same shape; mean and variance are those of all processes, in fp32."""
        if not self.training:
            return super().forward(input)
        x = input.float()
        count = x.new_tensor([x.numel() / x.shape[1]])
        message = self._team.sum(torch.cat([x.sum(dim=(0, 2, 3)), count]))
        n = message[-1].detach()
        mean = message[:-1] / n
        x = x - mean[:, None, None]
        variance = self._team.sum(x.square().sum(dim=(0, 2, 3))) / n
        self._remember(mean.detach(), variance.detach() * n / (n - 1.0))
        x = x * torch.rsqrt(variance + self.eps)[:, None, None]
        if self.affine:
            x = x * self.weight[:, None, None] + self.bias[:, None, None]
        return x.to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        momentum = cast(float, self.momentum)
        cast(Tensor, self.running_mean).lerp_(mean, momentum)
        cast(Tensor, self.running_var).lerp_(variance, momentum)
        cast(Tensor, self.num_batches_tracked).add_(1)


def synchronise(network: nn.Module, team: Team) -> None:
    """Makes the batch normalisation of a network that of the whole team; changes nothing for one process."""
    if team.size == 1:
        return
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, SyncedNorm(child, team))


@contextmanager
def _talking() -> Iterator[None]:
    """Makes a sentence of what torch raises when another process of the team has gone."""
    try:
        yield
    except RuntimeError as error:  # gloo has no class of its own
        raise TrainingError(
            f"one of the {dist.get_world_size()} processes of this run failed: {error!s:.200}"
        ) from None


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:  # noqa: ANN401, ARG004 - torch's signature
        total = tensor.detach().clone(memory_format=torch.contiguous_format)
        with _talking():
            dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401, ARG004
        # Each process's loss depends on the tensors of all: its own tensor's gradient is the sum over the losses.
        return cast(Tensor, _Sum.apply(gradient))
