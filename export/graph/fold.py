"""Batch normalisation folded into the transposed convolutions, and weights rounded for release.

In evaluation a batch normalisation is a scale and a shift for each channel, so it disappears into the weights and bias
of the convolution before it; one with classes leaves a scale and a shift of each channel for each class. Folding here,
once, gives every format the same network; ONNX Runtime is not known to fold it into a transposed convolution by itself
(microsoft/onnxruntime#14270).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from dcgan.export.errors import ExportError
from dcgan.training.models.networks import ConditionalNorm, Generator


class ClassAffine(nn.Module):
    """A scale and a shift of each channel for each class: what is left of a conditional batch normalisation."""

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(classes, channels))
        self.shift = nn.Parameter(torch.zeros(classes, channels))

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        """[B, C, H, W] and classes [B] -> [B, C, H, W]."""
        return x * self.gain[label][:, :, None, None] + self.shift[label][:, :, None, None]


class Folded(nn.Module):
    """A generator without normalisation: transposed convolutions with biases, ReLU between, tanh at the end.

    One with classes has a `ClassAffine` after each hidden convolution in place of its bias.
    """

    def __init__(
        self,
        hidden: Sequence[nn.ConvTranspose2d],
        head: nn.ConvTranspose2d,
        affines: Sequence[ClassAffine] = (),
    ) -> None:
        super().__init__()
        self.hidden = nn.ModuleList(hidden)
        self.head = head
        self.affines = nn.ModuleList(affines)

    @property
    def layers(self) -> list[nn.ConvTranspose2d]:
        """All transposed convolutions, in order."""
        return [
            layer for layer in [*self.hidden, self.head] if isinstance(layer, nn.ConvTranspose2d)
        ]

    @property
    def latent_size(self) -> int:
        """Length of a latent vector."""
        return self.layers[0].in_channels

    @property
    def classes(self) -> int:
        """Number of classes, 0 without labels."""
        return len(cast(ClassAffine, self.affines[0]).gain) if len(self.affines) else 0

    @property
    def channels(self) -> int:
        """3 (RGB) or 1 (grey)."""
        return self.head.out_channels

    @property
    def image_size(self) -> int:
        """Height and width of an image: 4 after the first layer, doubled by each other."""
        return 4 << len(self.hidden)

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Standard normals [B, latent_size] -> images [B, channels, image_size, image_size] in [-1, 1].

        A network with classes also takes the class of each image, int64 [B].
        """
        x = z[:, :, None, None]  # [B, latent_size, 1, 1]
        for i in range(len(self.hidden)):
            x = self.activation(i, x, label)
        return torch.tanh(self.head(x))

    def activation(self, i: int, x: Tensor, label: Tensor | None) -> Tensor:
        """Hidden layer i: [B, C, H, W] -> [B, C', 2H, 2W] (or 4x4 from 1x1), 0 or more."""
        x = self.hidden[i](x)
        if len(self.affines):
            if label is None:
                raise ValueError("a network with classes needs labels")
            x = self.affines[i](x, label)
        return torch.relu(x)


def fold(generator: Generator) -> Folded:
    """Folds each batch normalisation into its convolution; the generator itself is left as it is.

    The arithmetic is done in double precision, so that each folded weight is the float32 nearest to the true one.
    A parametrization, such as spectral norm, is left behind: the weight that it makes is the weight.

    Raises:
        ExportError: if the generator is in training mode, where there is nothing to fold, or has another normalisation.
    """
    if any(module.training for module in generator.modules()):
        raise ExportError(
            "the generator, or a part of it, is in training mode; call eval() on it before the export"
        )
    hidden, affines = [], []
    for i, layer in enumerate(generator.hidden):
        conv, norm = layer.conv, layer.norm
        if not isinstance(conv, nn.ConvTranspose2d) or not isinstance(
            norm, nn.BatchNorm2d | ConditionalNorm
        ):
            raise ExportError(
                f"hidden layer {i} is not a transposed convolution with batch normalisation; retrain it"
            )
        conv, norm = _plain(conv).double(), copy.deepcopy(norm).double()
        if isinstance(norm, ConditionalNorm):
            affines.append(_fold_conditional(conv, norm))
            hidden.append(conv.float())
        else:
            hidden.append(fuse_conv_bn_eval(conv, norm, transpose=True).float())
    return Folded(hidden, _plain(generator.head), affines).eval().requires_grad_(False)


def _fold_conditional(conv: nn.ConvTranspose2d, norm: ConditionalNorm) -> ClassAffine:
    """Folds the part that all classes share into the convolution, in place, and returns the part of each class."""
    mean, variance = cast(Tensor, norm.norm.running_mean), cast(Tensor, norm.norm.running_var)
    factor = torch.rsqrt(variance + norm.norm.eps)  # [C]
    conv.weight = nn.Parameter(conv.weight * factor[:, None, None])  # [in, C, 4, 4]
    gain, shift = norm.scale.weight, norm.shift.weight  # [classes, C]
    affine = ClassAffine(*gain.shape)
    affine.gain = nn.Parameter(gain.float())
    affine.shift = nn.Parameter((shift - mean * factor * gain).float())
    return affine


def _plain(conv: nn.ConvTranspose2d) -> nn.ConvTranspose2d:
    """A copy that holds the weight itself, whatever it is made of."""
    stride, padding = [(number, number) for number in (conv.stride[0], int(conv.padding[0]))]
    biased = conv.bias is not None
    plain = nn.ConvTranspose2d(
        conv.in_channels, conv.out_channels, 4, stride, padding, bias=biased
    ).eval()
    with torch.no_grad():
        plain.weight.copy_(conv.weight)
        if plain.bias is not None and conv.bias is not None:
            plain.bias.copy_(conv.bias)
    return plain


def round_to_half(network: Folded) -> Folded:
    """Rounds every weight to the nearest float16, kept as float32: a new network, half the size when stored.

    Raises:
        ExportError: if a weight is too large for float16.
    """
    rounded = copy.deepcopy(network)
    for name, weight in rounded.named_parameters():
        weight.copy_(weight.half().float())
        if not torch.isfinite(weight).all():
            raise ExportError(
                f"{name} has weights beyond the range of float16; export with --weights fp32"
            )
    return rounded
