"""4x4 stride-2 convolutions as matrix products (GEMM), where a CPU computes those faster.

oneDNN computes the weight gradient of a small feature map at a third of the speed of a matrix
product (measured for 4x4 maps in bf16: 295 against 860 GFLOP/s). Each 4x4 window of the larger map
becomes a row of a matrix (im2col). The convolution, its weight gradient, and both gradients of the
transposed convolution are products with that matrix. The result is the same sum of the same
products in another order of additions. Layers between a 1x1 and a 4x4 map are matrix products
without any rearrangement, in every precision and on every device. (Compiled for a GPU, the
transposed convolution of a 1x1 map fails, because Inductor expects another memory layout.)
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

ENABLED = True
"""Whether matrix products are used at all; the benchmark compares both."""

MAX_SIDE = 4
"""Height and width of the smaller feature map up to which matrix products are faster."""


def gemm_conv(
    conv: nn.Conv2d, x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None
) -> Tensor:
    """Returns `conv(x)`: [B, C, H, W] -> [B, O, H/stride, W/stride]; 1x1 from a 4x4 map.

    Args:
        conv: the layer.
        x: its input.
        weight: used in place of the layer's weight, together with `bias`.
        bias: used in place of the layer's bias.
    """
    covers_map = conv.padding == (0, 0) and x.shape[2:] == conv.kernel_size
    faster = _is_faster(x, conv, x.shape[2] // 2)
    if weight is None and not (ENABLED and covers_map) and not faster:
        return cast(Tensor, conv(x))
    if weight is None:
        weight, bias = conv.weight, conv.bias

    if ENABLED and covers_map:
        rows = x.permute(0, 2, 3, 1).flatten(1)  # a view, in channels-last order
        return nn.functional.linear(rows, _as_matrix(weight), bias)[:, :, None, None]
    if faster:
        y = cast(Tensor, _GemmConv.apply(x.bfloat16(), weight.bfloat16()))
        return y if bias is None else y + bias.bfloat16()[:, None, None]
    return nn.functional.conv2d(x, weight, bias, conv.stride, _padding(conv))


def gemm_conv_transpose(
    conv: nn.ConvTranspose2d, x: Tensor, weight: Tensor | None = None
) -> Tensor:
    """Returns `conv(x)`: [B, C, H, W] -> [B, O, 2H, 2W], or [B, O, 4, 4] from a 1x1 map.

    Args:
        conv: the layer, which has no bias.
        x: its input.
        weight: used in place of the layer's weight.
    """
    from_point = x.shape[2] == 1 and conv.padding == (0, 0)
    faster = _is_faster(x, conv, x.shape[2])
    if weight is None and not (ENABLED and from_point) and not faster:
        return cast(Tensor, conv(x))
    if weight is None:
        weight = conv.weight

    if ENABLED and from_point:
        rows = x.flatten(1) @ _as_matrix(weight)
        return _as_map(rows, weight.shape[2], weight.shape[1])
    if faster:
        return cast(Tensor, _GemmConvTranspose.apply(x.bfloat16(), weight.bfloat16()))
    return nn.functional.conv_transpose2d(x, weight, None, conv.stride, _padding(conv))


def _padding(conv: nn.Conv2d | nn.ConvTranspose2d) -> tuple[int, ...]:
    return cast(tuple[int, ...], conv.padding)  # never a word such as "same" here


def _is_faster(x: Tensor, conv: nn.Conv2d | nn.ConvTranspose2d, smaller_side: int) -> bool:
    """Returns whether the matrix product is faster: in training under bf16 autocast on a CPU."""
    if not ENABLED or x.device.type != "cpu" or not torch.is_grad_enabled():
        return False
    if torch.compiler.is_compiling():
        return False  # Inductor has kernels of its own
    if not torch.is_autocast_enabled("cpu"):
        return False

    halves_the_map = conv.kernel_size == (4, 4) and conv.stride == (2, 2) and conv.padding == (1, 1)
    return halves_the_map and smaller_side <= MAX_SIDE


def _windows(x: Tensor) -> Tensor:
    """Lays out all 4x4 windows, stride 2, padding 1: [B, C, H, W] -> [B * H/2 * W/2, 16 * C]."""
    padded = nn.functional.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))  # [B, H + 2, W + 2, C]
    batch, height, width, channels = padded.shape
    b, h, w, c = padded.stride()
    shape = (batch, height // 2 - 1, width // 2 - 1, 4, 4, channels)
    return padded.as_strided(shape, (b, 2 * h, 2 * w, h, w, c)).reshape(-1, 16 * channels)


def _as_rows(x: Tensor) -> Tensor:
    """[B, C, H, W] -> [B * H * W, C]; a view, in channels-last order."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def _as_map(rows: Tensor, side: int, channels: int) -> Tensor:
    """[B * side * side, C] or [B, side * side * C] -> [B, C, side, side], also when traced."""
    return rows.view(-1, side, side, channels).permute(0, 3, 1, 2)


def _as_matrix(weight: Tensor) -> Tensor:
    """[O, C, 4, 4] -> [O, 16 * C]; a view, in channels-last order."""
    return weight.permute(0, 2, 3, 1).reshape(len(weight), -1)


def _as_weight(matrix: Tensor) -> Tensor:
    """[O, 16 * C] -> [O, C, 4, 4]."""
    return matrix.view(len(matrix), 4, 4, -1).permute(0, 3, 1, 2)


class _GemmConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:  # noqa: ANN401 - torch's signature
        windows = _windows(x)
        ctx.save_for_backward(x, weight, windows)
        return _as_map(windows @ _as_matrix(weight).t(), x.shape[2] // 2, len(weight))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:  # noqa: ANN401
        x, weight, windows = ctx.saved_tensors
        grad_x = None
        grad_weight = None
        if ctx.needs_input_grad[0]:
            geometry = ([2, 2], [1, 1], [1, 1], False, [0, 0], 1)
            grad_x = torch.ops.aten.convolution_backward(
                grad, x, weight, None, *geometry, [True, False, False]
            )[0]
        if ctx.needs_input_grad[1]:
            grad_weight = _as_weight(_as_rows(grad).t() @ windows)
        return grad_x, grad_weight


class _GemmConvTranspose(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:  # noqa: ANN401 - torch's signature
        ctx.save_for_backward(x, weight)
        return nn.functional.conv_transpose2d(x, weight, None, 2, 1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:  # noqa: ANN401
        x, weight = ctx.saved_tensors
        windows = _windows(grad)
        grad_x = None
        grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_x = _as_map(windows @ _as_matrix(weight).t(), x.shape[2], len(weight))
        if ctx.needs_input_grad[1]:
            grad_weight = _as_weight(_as_rows(x).t() @ windows)
        return grad_x, grad_weight
