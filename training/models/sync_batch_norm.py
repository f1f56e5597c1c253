"""Batch normalization over the batch of all processes, on CPUs and GPUs."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from dcgan.training.distributed import DistributedContext


class SyncBatchNorm(nn.BatchNorm2d):
    """Batch normalization whose mean and variance are those of the batch of all processes.

    Unlike torch's class of this name it also works on CPUs. In eval mode it is plain batch
    normalization, and its state has the same names.

    Args:
        norm: the layer that it replaces.
        context: the processes of the run.
    """

    def __init__(self, norm: nn.BatchNorm2d, context: DistributedContext) -> None:
        super().__init__(norm.num_features, affine=norm.affine)
        self.load_state_dict(norm.state_dict())
        self._context = context

    def forward(self, input: Tensor) -> Tensor:
        """[b, C, H, W] of this process -> the same shape; statistics are computed in float32."""
        if not self.training:
            return super().forward(input)
        x = input.float()

        # Center by the mean over all processes.
        count = x.new_tensor([x.numel() / x.shape[1]])
        sums = self._context.all_reduce_sum(torch.cat([x.sum(dim=(0, 2, 3)), count]))
        n = sums[-1].detach()
        mean = sums[:-1] / n
        x = x - mean[:, None, None]

        # Scale by the standard deviation over all processes.
        variance = self._context.all_reduce_sum(x.square().sum(dim=(0, 2, 3))) / n
        self._update_running_statistics(mean.detach(), variance.detach() * n / (n - 1.0))
        x = x * torch.rsqrt(variance + self.eps)[:, None, None]
        if self.affine:
            x = x * self.weight[:, None, None] + self.bias[:, None, None]
        return x.to(input.dtype)

    @torch.no_grad()
    def _update_running_statistics(self, mean: Tensor, variance: Tensor) -> None:
        momentum = cast(float, self.momentum)
        cast(Tensor, self.running_mean).lerp_(mean, momentum)
        cast(Tensor, self.running_var).lerp_(variance, momentum)
        cast(Tensor, self.num_batches_tracked).add_(1)


def convert_sync_batch_norm(network: nn.Module, context: DistributedContext) -> None:
    """Replaces every batch norm of a network, in place; does nothing for a single process."""
    if context.world_size == 1:
        return
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, SyncBatchNorm(child, context))
