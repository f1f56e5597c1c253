"""The 4x4 convolutions of stride 2, as matrix products where those are faster: on a CPU, in bf16, for small maps.

oneDNN finds the gradient of the weights of a small map at a third of the speed of a matrix product (measured for 4x4
maps: 295 GFLOP/s against 860). So each window of the larger map is laid out as a row: the convolution, the gradient of
its weights, and both gradients of the transposed convolution are then products with that matrix. It is the same sum of
the same products; only the order of additions differs. Layers between a map of 1x1 and one of 4x4 are products as they
are, in any precision.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

ENABLED = True
"""Whether products are taken at all; the benchmark compares both."""

MOST_SIDE = 4
"""Height and width of the smaller map up to which this pays."""


def convolve(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """What `conv(x)` gives: [B, C, H, W] -> [B, O, H/2, W/2], or [B, O, 1, 1] from 4x4."""
    if (
        ENABLED
        and x.device.type == "cpu"
        and conv.padding == (0, 0)
        and x.shape[2:] == conv.weight.shape[2:]
    ):
        rows = x.permute(0, 2, 3, 1).flatten(1)  # a view, in channels-last order
        return nn.functional.linear(rows, _matrix(conv.weight), conv.bias)[:, :, None, None]
    if _pays(x, conv, x.shape[2] // 2):
        y = cast(Tensor, _Down.apply(x.bfloat16(), conv.weight.bfloat16()))
        return y if conv.bias is None else y + conv.bias.bfloat16()[:, None, None]
    return cast(Tensor, conv(x))


def convolve_up(conv: nn.ConvTranspose2d, x: Tensor) -> Tensor:
    """What `conv(x)` gives: [B, C, H, W] -> [B, O, 2H, 2W], or [B, O, 4, 4] from 1x1."""
    if ENABLED and x.device.type == "cpu" and x.shape[2] == 1 and conv.padding == (0, 0):
        return _map(x.flatten(1) @ _matrix(conv.weight), conv.weight.shape[2], conv.out_channels)
    if _pays(x, conv, x.shape[2]):
        return cast(Tensor, _Up.apply(x.bfloat16(), conv.weight.bfloat16()))
    return cast(Tensor, conv(x))


def _pays(x: Tensor, conv: nn.Conv2d | nn.ConvTranspose2d, smaller: int) -> bool:
    """Only under bf16 autocast on a CPU; elsewhere, and in fp32, nothing changes."""
    if (
        not ENABLED
        or x.device.type != "cpu"
        or not torch.is_autocast_enabled("cpu")
        or not torch.is_grad_enabled()
    ):
        return False
    return (
        conv.stride == (2, 2)
        and conv.padding == (1, 1)
        and conv.kernel_size == (4, 4)
        and smaller <= MOST_SIDE
    )


def _rows(x: Tensor) -> Tensor:
    """The 4x4 windows, 2 apart, of a map with a margin of 1: [B, C, H, W] -> [B * H/2 * W/2, 16 * C]."""
    padded = nn.functional.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))  # [B, H + 2, W + 2, C]
    batch, height, width, channels = padded.shape
    b, h, w, c = padded.stride()
    shape = (batch, height // 2 - 1, width // 2 - 1, 4, 4, channels)
    return padded.as_strided(shape, (b, 2 * h, 2 * w, h, w, c)).reshape(-1, 16 * channels)


def _flat(x: Tensor) -> Tensor:
    """[B, C, H, W] -> [B * H * W, C]; a view, in channels-last order."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def _map(rows: Tensor, side: int, channels: int) -> Tensor:
    """[B * side * side, C] or [B, side * side * C] -> [B, C, side, side]; any batch, in a traced graph too."""
    return rows.view(-1, side, side, channels).permute(0, 3, 1, 2)


def _matrix(weight: Tensor) -> Tensor:
    """[O, C, 4, 4] -> [O, 16 * C]; a view, in channels-last order."""
    return weight.permute(0, 2, 3, 1).reshape(len(weight), -1)


def _weight(matrix: Tensor) -> Tensor:
    return matrix.view(len(matrix), 4, 4, -1).permute(0, 3, 1, 2)


class _Down(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:  # noqa: ANN401 - torch's signature
        rows = _rows(x)
        ctx.save_for_backward(x, weight, rows)
        return _map(rows @ _matrix(weight).t(), x.shape[2] // 2, len(weight))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:  # noqa: ANN401
        x, weight, rows = ctx.saved_tensors
        for_x, for_weight = None, None
        if ctx.needs_input_grad[0]:
            geometry = ([2, 2], [1, 1], [1, 1], False, [0, 0], 1)
            for_x = torch.ops.aten.convolution_backward(
                gradient, x, weight, None, *geometry, [True, False, False]
            )[0]
        if ctx.needs_input_grad[1]:
            for_weight = _weight(_flat(gradient).t() @ rows)
        return for_x, for_weight


class _Up(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:  # noqa: ANN401 - torch's signature
        ctx.save_for_backward(x, weight)
        return nn.functional.conv_transpose2d(x, weight, None, 2, 1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:  # noqa: ANN401
        x, weight = ctx.saved_tensors
        rows = _rows(gradient)
        for_x = (
            _map(rows @ _matrix(weight).t(), x.shape[2], len(weight))
            if ctx.needs_input_grad[0]
            else None
        )
        for_weight = _weight(_flat(x).t() @ rows) if ctx.needs_input_grad[1] else None
        return for_x, for_weight
