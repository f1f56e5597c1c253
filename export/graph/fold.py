"""Folding of batch normalization into convolutions, and rounding of weights for release.

In evaluation a batch normalization is a scale and a shift for each channel, so it disappears into
the weights and bias of the convolution before it; a class-conditional one leaves a scale and a
shift of each channel for each class. Folding once, before any format is written, gives every format
the same weights; ONNX Runtime is not known to fold batch normalization into a transposed
convolution (microsoft/onnxruntime#14270).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from dcgan.export.errors import ExportError
from dcgan.training.models.networks import ConditionalNorm, Generator


class ClassAffine(nn.Module):
    """A scale and a shift of each channel for each class, from a conditional normalization."""

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(classes, channels))
        self.shift = nn.Parameter(torch.zeros(classes, channels))

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        """[B, C, H, W] and classes [B] -> [B, C, H, W]."""
        gain = self.gain[label][:, :, None, None]
        shift = self.shift[label][:, :, None, None]
        return x * gain + shift


class FoldedGenerator(nn.Module):
    """A generator without normalization.

    It has transposed convolutions with biases, ReLU between them and tanh at the end. One with
    classes has a `ClassAffine` after each hidden convolution in place of its bias.
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

    @classmethod
    def from_weights(cls, weights: Mapping[str, Tensor]) -> FoldedGenerator:
        """Builds the network that has these weights, named as in its `state_dict`.

        Raises:
            KeyError, ValueError, RuntimeError: if they are not the weights of one generator.
        """
        count = sum(name.startswith("hidden.") and name.endswith(".weight") for name in weights)
        hidden = [_empty_layer(weights, f"hidden.{i}", first=i == 0) for i in range(count)]
        head = _empty_layer(weights, "head", first=False)
        tables = [weights.get(f"affines.{i}.gain") for i in range(count)]
        affines = [ClassAffine(*table.shape) for table in tables if table is not None]

        network = cls(hidden, head, affines)
        network.load_state_dict(weights)
        return network.eval().requires_grad_(False)

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
        """Height and width of an image: 4 after the first layer, doubled by each other one."""
        return 4 << len(self.hidden)

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Standard normals [B, latent_size] -> images [B, channels, H, W] in [-1, 1].

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


def fold(generator: Generator) -> FoldedGenerator:
    """Folds each batch normalization into its convolution; the generator itself is unchanged.

    The arithmetic is done in float64, so that each folded weight is the float32 nearest to the
    exact one. Parametrizations such as spectral norm are resolved: the folded network holds the
    weight that they compute.

    Raises:
        ExportError: if the generator is in training mode, or has another normalization.
    """
    if any(module.training for module in generator.modules()):
        raise ExportError(
            "the generator, or a part of it, is in training mode; call eval() on it first"
        )

    hidden = []
    affines = []
    for i, layer in enumerate(generator.hidden):
        conv = layer.conv
        norm = layer.norm
        if not isinstance(conv, nn.ConvTranspose2d) or not isinstance(
            norm, nn.BatchNorm2d | ConditionalNorm
        ):
            raise ExportError(
                f"hidden layer {i} is not a transposed convolution with batch normalization; "
                "train it again"
            )

        conv = _without_parametrization(conv).double()
        norm = copy.deepcopy(norm).double()
        if isinstance(norm, ConditionalNorm):
            affines.append(_fold_conditional(conv, norm))
            hidden.append(conv.float())
        else:
            hidden.append(fuse_conv_bn_eval(conv, norm, transpose=True).float())

    head = _without_parametrization(generator.head)
    return FoldedGenerator(hidden, head, affines).eval().requires_grad_(False)


def round_to_float16(network: FoldedGenerator) -> FoldedGenerator:
    """Returns a copy of a network with every weight rounded to float16, kept as float32.

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


def _fold_conditional(conv: nn.ConvTranspose2d, norm: ConditionalNorm) -> ClassAffine:
    """Folds what all classes share into the convolution, in place, and returns the rest."""
    mean = cast(Tensor, norm.norm.running_mean)
    variance = cast(Tensor, norm.norm.running_var)
    factor = torch.rsqrt(variance + norm.norm.eps)  # [C]
    conv.weight = nn.Parameter(conv.weight * factor[:, None, None])  # [in, C, 4, 4]

    gain = norm.scale.weight  # [classes, C]
    shift = norm.shift.weight  # [classes, C]
    affine = ClassAffine(*gain.shape)
    affine.gain = nn.Parameter(gain.float())
    affine.shift = nn.Parameter((shift - mean * factor * gain).float())
    return affine


def _without_parametrization(conv: nn.ConvTranspose2d) -> nn.ConvTranspose2d:
    """Returns a copy that holds the effective weight as a plain parameter."""
    stride = conv.stride[0]
    padding = int(conv.padding[0])
    biased = conv.bias is not None
    plain = nn.ConvTranspose2d(
        conv.in_channels, conv.out_channels, 4, (stride, stride), (padding, padding), bias=biased
    )

    with torch.no_grad():
        plain.weight.copy_(conv.weight)
        if plain.bias is not None and conv.bias is not None:
            plain.bias.copy_(conv.bias)
    return plain.eval()


def _empty_layer(weights: Mapping[str, Tensor], name: str, *, first: bool) -> nn.ConvTranspose2d:
    channels_in, channels_out, *_ = weights[f"{name}.weight"].shape
    stride, padding = (1, 0) if first else (2, 1)
    biased = f"{name}.bias" in weights
    return nn.ConvTranspose2d(channels_in, channels_out, 4, stride, padding, bias=biased)
