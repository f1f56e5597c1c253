"""Copies of a network's weights in the form in which its layers read them.

Autocast casts a weight at each use, and spectral normalization is computed layer by layer. The
copies are made for all layers at once when a phase of a step begins, in bf16, normalized, and with
channels of zeros where images are padded. They are leaves of the autograd graph; their gradients
are handed to the trained weights in one operation, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from dcgan.training.models.networks import Discriminator, Generator, LayerWeights
from dcgan.training.models.spectral_norm import BatchedSpectralNorm, spectral_parameter


@dataclass(frozen=True, kw_only=True)
class _Copy:
    """A trained weight, and what the network reads in its place.

    Attributes:
        parameter: the trained weight.
        value: a leaf with the parameter's values, or the parameter itself where no copy is needed.
        channels: size of the second dimension of the parameter; the rest of `value` is zero.
    """

    parameter: nn.Parameter
    value: Tensor
    channels: int | None = None

    @property
    def target(self) -> Tensor:
        """The part of the copy that has the parameter's values."""
        return self._part(self.value.detach())

    @property
    def gradient(self) -> Tensor:
        """The gradient of that part."""
        return self._part(cast(Tensor, self.value.grad))

    def _part(self, tensor: Tensor) -> Tensor:
        return tensor if self.channels is None else tensor[:, : self.channels]


class WeightCopies:
    """The copies of one network.

    Args:
        network: on its device, in channels-last order.
        dtype: of the copies, or None for that of the weights.
        image_channels: channels of images after padding, or None if they are not padded.

    Attributes:
        weights: to pass to the network.
        spectral_norm: of all its layers, or None.
    """

    def __init__(
        self,
        network: Generator | Discriminator,
        *,
        dtype: torch.dtype | None,
        image_channels: int | None,
    ) -> None:
        layers: list[nn.Module] = [*network.convolutions]
        is_spectral = isinstance(network, Discriminator) and network.config.norm == "spectral"
        image_side = 0 if isinstance(network, Discriminator) else len(layers) - 1

        # Copy the weights of the convolutions.
        weights = []
        for number, layer in enumerate(layers):
            channels = image_channels if number == image_side else None
            parameter = _trained_weight(layer, is_spectral=is_spectral)
            weights.append(_copy(parameter, dtype, channels, always=is_spectral))

        # Copy biases in the type of the weights, and the projection in its own: autocast leaves
        # embeddings as they are.
        biases = [None if bias is None else _copy(bias, dtype) for bias in map(_bias, layers)]
        projections = []
        projection = network.projection if isinstance(network, Discriminator) else None
        if projection is not None:
            parameter = _trained_weight(projection, is_spectral=is_spectral)
            projections.append(_copy(parameter, None, always=is_spectral))

        # Sort them by how they are made.
        matrices = [*weights, *projections]
        others = [bias for bias in biases if bias is not None]
        self.spectral_norm: BatchedSpectralNorm | None = None
        self._normalized: list[_Copy] = []
        if is_spectral:
            self.spectral_norm = BatchedSpectralNorm(
                [*layers, *([projection] if projection else [])]
            )
            self._normalized = matrices
        else:
            others = [*matrices, *others]
        self._plain = [copy for copy in others if copy.value is not copy.parameter]

        self.weights = LayerWeights(
            tuple(copy.value for copy in weights),
            tuple(None if bias is None else bias.value for bias in biases),
            projections[0].value if projections else None,
        )

    @torch.no_grad()
    def refresh(self) -> None:
        """Makes the copies from the weights; advances the power iteration of spectral norms."""
        if self.spectral_norm is not None:
            self.spectral_norm.iterate()
            self.spectral_norm.normalize([copy.target for copy in self._normalized])

        _copy_all(
            [copy.target for copy in self._plain],
            [copy.parameter.detach() for copy in self._plain],
        )

    def requires_grad_(self, requires_grad: bool) -> None:
        """Says whether the copies get gradients."""
        for copy in (*self._normalized, *self._plain):
            copy.value.requires_grad_(requires_grad)

    def zero_grad(self) -> None:
        """Drops the gradients of the copies."""
        for copy in (*self._normalized, *self._plain):
            copy.value.grad = None

    @torch.no_grad()
    def collect_gradients(self) -> None:
        """Adds the gradients of the copies to those of the trained weights."""
        copies = [*self._normalized, *self._plain]
        gradients = [torch.empty_like(copy.parameter) for copy in copies]
        _copy_all(gradients, [copy.gradient for copy in copies])
        if self.spectral_norm is not None:
            self.spectral_norm.backward(gradients[: len(self._normalized)])

        for copy, gradient in zip(copies, gradients, strict=True):
            if copy.parameter.grad is None:
                copy.parameter.grad = gradient
            else:
                copy.parameter.grad.add_(gradient)


def _trained_weight(layer: nn.Module, *, is_spectral: bool) -> nn.Parameter:
    if is_spectral:
        return spectral_parameter(layer)
    return cast(nn.Parameter, layer.weight)


def _bias(layer: nn.Module) -> nn.Parameter | None:
    return cast(nn.Parameter | None, layer.bias)


def _copy(
    parameter: nn.Parameter,
    dtype: torch.dtype | None,
    channels: int | None = None,
    *,
    always: bool = False,
) -> _Copy:
    """Allocates a copy with zeros, or takes the parameter itself where that serves as well."""
    dtype = parameter.dtype if dtype is None else dtype
    padded = channels is not None and channels > parameter.shape[1]
    if dtype == parameter.dtype and not padded and not always:
        return _Copy(parameter=parameter, value=parameter)

    if channels is None or not padded:
        value = torch.zeros_like(parameter.detach(), dtype=dtype)
        return _Copy(parameter=parameter, value=value.requires_grad_())

    shape = (parameter.shape[0], channels, *parameter.shape[2:])
    value = torch.zeros(shape, dtype=dtype, device=parameter.device)
    value = value.to(memory_format=torch.channels_last).requires_grad_()
    return _Copy(parameter=parameter, value=value, channels=parameter.shape[1])


def _copy_all(targets: list[Tensor], sources: list[Tensor]) -> None:
    """Copies tensors into others, those that fill their memory in one operation."""
    pairs = list(zip(targets, sources, strict=True))
    dense = [pair for pair in pairs if all(map(_is_dense, pair))]
    if dense:
        torch._foreach_copy_([target for target, _ in dense], [source for _, source in dense])
    for target, source in pairs:
        if not (_is_dense(target) and _is_dense(source)):
            target.copy_(source)


def _is_dense(tensor: Tensor) -> bool:
    """Returns whether a tensor fills its memory, in plain or in channels-last order."""
    return tensor.is_contiguous() or (
        tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    )
