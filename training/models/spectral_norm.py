"""Spectral normalization of all layers of a discriminator at once (Miyato et al. 2018).

torch normalizes layer by layer, in about 20 small kernels each, half of which only start. Here the
singular vectors of all layers are rows of two tables, so that each operation on vectors is one
kernel. A weight is read as a matrix in the memory layout that it has, without a copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

_EPS = 1e-12  # torch's, of spectral_norm


class BatchedSpectralNorm:
    """Power iteration, singular values and gradients of all spectrally normalized layers.

    The vectors of torch's parametrization stay the state: they become views of one tensor, so that
    checkpoints read and write them as before.

    Args:
        layers: under `torch.nn.utils.parametrizations.spectral_norm`, on their device.
    """

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        self.parameters = [spectral_parameter(layer) for layer in layers]
        device = self.parameters[0].device
        matrices = self._matrices()
        heights = [matrix.shape[0] for matrix in matrices]
        widths = [matrix.shape[1] for matrix in matrices]

        # One vector for each side holds the state of all layers; its last element stays 0.
        norms = [_norm(layer) for layer in layers]
        self._u_state = _share(norms, "_u")
        self._v_state = _share(norms, "_v")

        # Tables have a row for each layer, filled up with zeros, in the order of the matrices.
        orders = [_column_order(parameter) for parameter in self.parameters]
        self._v_index = _table_index(orders, max(widths)).to(device)
        rows = [torch.arange(height) for height in heights]
        self._u_places = _places(rows, max(heights)).to(device)
        self._v_places = _places(orders, max(widths)).to(device)
        self._u = self._u_state.new_zeros(len(layers), max(heights))
        self._v = self._v_state.new_zeros(len(layers), max(widths))
        self._wv = torch.zeros_like(self._u)
        self._inner = self._u_state.new_zeros(len(layers))
        self.sigma = self._u_state.new_ones(len(layers))

    @torch.no_grad()
    def iterate(self) -> None:
        """Takes one step of the power iteration and computes `sigma`, float32 [layers]."""
        matrices = self._matrices()
        torch.take(self._v_state, self._v_index, out=self._v)

        # u = normalize(W v)
        self._multiply(matrices, self._v, self._u)
        _normalize_rows(self._u)

        # v = normalize(W^T u)
        self._multiply([matrix.t() for matrix in matrices], self._u, self._v)
        _normalize_rows(self._v)

        # sigma = u . W v
        self._multiply(matrices, self._v, self._wv)
        torch.sum(self._u * self._wv, dim=1, out=self.sigma)

        # Write the vectors back in torch's order.
        self._u_state[:-1] = torch.take(self._u, self._u_places)
        self._v_state[:-1] = torch.take(self._v, self._v_places)

    @torch.no_grad()
    def normalize(self, targets: Sequence[Tensor]) -> None:
        """Writes each weight divided by its `sigma`.

        Args:
            targets: of the shapes of the weights, in any floating-point type; parts of the channels
                of larger tensors, too.
        """
        matrices = self._matrices()
        for number, (matrix, target) in enumerate(zip(matrices, targets, strict=True)):
            if _is_matrix(target):
                torch.div(matrix, self.sigma[number], out=_as_matrix(target))
            else:
                target.copy_(self.parameters[number] / self.sigma[number])

    @torch.no_grad()
    def backward(self, gradients: Sequence[Tensor]) -> None:
        """Turns gradients of the normalized weights into those of the weights, in place.

        With W' = W / sigma and sigma = u^T W v, where u and v are constants, the gradient G of W'
        becomes (G - <G, W'> u v^T) / sigma.

        Args:
            gradients: of the shapes and the memory layout of the weights, in float32.
        """
        weights = self._matrices()
        rows = [_as_matrix(gradient) for gradient in gradients]
        for number, (gradient, weight) in enumerate(zip(rows, weights, strict=True)):
            torch.sum(gradient * weight, dim=(0, 1), out=self._inner[number])

        scaled = self._u * (self._inner / self.sigma)[:, None]
        for number, gradient in enumerate(rows):
            height, width = gradient.shape
            gradient.addr_(scaled[number, :height], self._v[number, :width], alpha=-1.0)
            gradient.div_(self.sigma[number])

    def _matrices(self) -> list[Tensor]:
        return [_as_matrix(parameter.detach()) for parameter in self.parameters]

    @staticmethod
    def _multiply(matrices: Sequence[Tensor], vectors: Tensor, results: Tensor) -> None:
        """Multiplies each matrix with its row of a table, into its row of another table."""
        for matrix, vector, result in zip(matrices, vectors, results, strict=True):
            height, width = matrix.shape
            torch.mv(matrix, vector[:width], out=result[:height])


def spectral_parameter(layer: nn.Module) -> nn.Parameter:
    """Returns the trained weight of a layer under torch's `spectral_norm`."""
    return cast(nn.Parameter, layer.parametrizations.weight.original)  # type: ignore[union-attr]


def _norm(layer: nn.Module) -> nn.Module:
    """Returns torch's module that normalizes the weight of a layer."""
    return cast(nn.Module, layer.parametrizations.weight[0])  # type: ignore[index,union-attr]


def _share(norms: Sequence[nn.Module], name: str) -> Tensor:
    """Makes the buffers of that name views of one tensor, which has a 0 after them."""
    vectors = [cast(Tensor, getattr(norm, name)) for norm in norms]
    state = torch.cat([*vectors, vectors[0].new_zeros(1)])
    start = 0
    for norm, vector in zip(norms, vectors, strict=True):
        setattr(norm, name, state[start : start + len(vector)])
        start += len(vector)
    return state


def _as_matrix(weight: Tensor) -> Tensor:
    """[O, C, h, w] -> [O, h * w * C], a view in channels-last order; [O, C] stays as it is."""
    if weight.ndim == 2:
        return weight
    matrix = weight.permute(0, 2, 3, 1)
    return matrix.view(len(weight), -1)


def _is_matrix(weight: Tensor) -> bool:
    """Returns whether `_as_matrix` is possible; not for a part of the channels."""
    return weight.ndim == 2 or weight.is_contiguous(memory_format=torch.channels_last)


def _column_order(weight: Tensor) -> Tensor:
    """Returns for each column of `_as_matrix` its column in torch's order, [O, C * h * w]."""
    shape = weight.shape[1:]
    columns = torch.arange(shape.numel()).view(1, *shape)
    return columns if columns.ndim == 2 else columns.permute(0, 2, 3, 1).reshape(1, -1)


def _table_index(orders: Sequence[Tensor], width: int) -> Tensor:
    """Returns the place in the shared state of each element of a table, int64 [layers, width]."""
    total = sum(order.numel() for order in orders)
    index = torch.full((len(orders), width), total)  # of the 0 behind the state
    start = 0
    for row, order in zip(index, orders, strict=True):
        row[: order.numel()] = start + order.flatten()
        start += order.numel()
    return index


def _places(orders: Sequence[Tensor], width: int) -> Tensor:
    """Returns the place in a flattened table of each element of the shared state, int64 [n]."""
    places = [width * row + order.flatten().argsort() for row, order in enumerate(orders)]
    return torch.cat(places)


def _normalize_rows(table: Tensor) -> None:
    """Divides each row by its norm, as `torch.nn.functional.normalize` does."""
    norms = torch.linalg.vector_norm(table, dim=1, keepdim=True).clamp_min_(_EPS)
    table.div_(norms)
