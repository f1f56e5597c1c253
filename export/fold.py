"""Batch normalisation folded into the transposed convolutions, and weights rounded for release.

In evaluation a batch normalisation is a scale and a shift for each channel, so it disappears into the weights and bias
of the convolution before it. Folding here, once, gives TorchScript and ONNX the same network; ONNX Runtime is not known
to fold it into a transposed convolution by itself (microsoft/onnxruntime#14270).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from dcgan.export.errors import ExportError
from dcgan.training.networks import Generator


class Folded(nn.Module):
    """A generator without normalisation: transposed convolutions with biases, ReLU between, tanh at the end."""

    def __init__(self, hidden: Sequence[nn.ConvTranspose2d], head: nn.ConvTranspose2d) -> None:
        super().__init__()
        self.hidden = nn.ModuleList(hidden)
        self.head = head

    @property
    def layers(self) -> list[nn.ConvTranspose2d]:
        """All transposed convolutions, in order."""
        return [layer for layer in [*self.hidden, self.head] if isinstance(layer, nn.ConvTranspose2d)]

    @property
    def latent_size(self) -> int:
        """Length of a latent vector."""
        return self.layers[0].in_channels

    @property
    def channels(self) -> int:
        """3 (RGB) or 1 (grey)."""
        return self.head.out_channels

    @property
    def image_size(self) -> int:
        """Height and width of an image: 4 after the first layer, doubled by each other."""
        return 4 << len(self.hidden)

    def forward(self, z: Tensor) -> Tensor:
        """Standard normals [B, latent_size] -> images [B, channels, image_size, image_size] in [-1, 1]."""
        x = z[:, :, None, None]  # [B, latent_size, 1, 1]
        for layer in self.hidden:
            x = torch.relu(layer(x))
        return torch.tanh(self.head(x))


def fold(generator: Generator) -> Folded:
    """Folds each batch normalisation into its convolution; the generator itself is left as it is.

    The arithmetic is done in double precision, so that each folded weight is the float32 nearest to the true one.

    Raises:
        ExportError: if the generator is in training mode, where there is nothing to fold, or has another normalisation.
    """
    if any(module.training for module in generator.modules()):
        raise ExportError("the generator, or a part of it, is in training mode; call eval() on it before the export")
    hidden = []
    for i, layer in enumerate(generator.hidden):
        conv, norm = layer.conv, layer.norm
        if not isinstance(conv, nn.ConvTranspose2d) or not isinstance(norm, nn.BatchNorm2d):
            raise ExportError(f"hidden layer {i} is not a transposed convolution with batch normalisation; retrain it")
        conv, norm = copy.deepcopy(conv).double(), copy.deepcopy(norm).double()
        hidden.append(fuse_conv_bn_eval(conv, norm, transpose=True).float())
    return Folded(hidden, copy.deepcopy(generator.head)).eval().requires_grad_(False)


def round_to_half(network: Folded) -> Folded:
    """Rounds every weight to the nearest float16, kept as float32: a new network, half the size when stored.

    Raises:
        ExportError: if a weight is too large for float16.
    """
    rounded = copy.deepcopy(network)
    for name, weight in rounded.named_parameters():
        weight.copy_(weight.half().float())
        if not torch.isfinite(weight).all():
            raise ExportError(f"{name} has weights beyond the range of float16; export with --weights fp32")
    return rounded
