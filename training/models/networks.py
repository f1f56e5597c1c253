"""The generator and the discriminator of DCGAN (Radford, Metz and Chintala 2016).

All recipes use these two classes and differ in `GeneratorConfig` and `DiscriminatorConfig`. Each
layer doubles or halves the image with a 4x4 kernel of stride 2 and has no bias where a
normalization follows. A 64x64 image takes five layers, a 32x32 image four. A discriminator of depth
2 has a 3x3 layer of stride 1 at each size of the feature map, too.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from dcgan.training.models.gemm_convolution import gemm_conv, gemm_conv_transpose
from dcgan.training.models.network_config import (
    DiscriminatorConfig,
    GeneratorConfig,
    discriminator_layers,
    halvings,
)

NEGATIVE_SLOPE = 0.2
"""Of the discriminator's leaky ReLU."""


class LayerWeights(NamedTuple):
    """Weights that a network reads in place of its parameters, such as copies in bf16.

    Attributes:
        weights: of the convolutions, from the first to the last.
        biases: of the same convolutions, None where one has none.
        projection: embedding of the classes in a discriminator, or None.
    """

    weights: tuple[Tensor, ...]
    biases: tuple[Tensor | None, ...]
    projection: Tensor | None = None


class ConditionalNorm(nn.Module):
    """Batch normalization with a scale and a shift for each class (de Vries et al. 2017)."""

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.scale = nn.Embedding(classes, channels)
        self.shift = nn.Embedding(classes, channels)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        """[B, C, H, W] and classes [B] -> [B, C, H, W]."""
        scale = self.scale(label)[:, :, None, None]
        shift = self.shift(label)[:, :, None, None]
        return cast(Tensor, self.norm(x) * scale + shift)


class Up(nn.Module):
    """Hidden layer of the generator: transposed convolution, (conditional) batch norm, ReLU."""

    def __init__(
        self, channels_in: int, channels_out: int, *, stride: int, padding: int, classes: int
    ) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(channels_in, channels_out, 4, stride, padding, bias=False)
        self.norm: nn.Module = (
            ConditionalNorm(classes, channels_out) if classes else nn.BatchNorm2d(channels_out)
        )

    def forward(
        self, x: Tensor, label: Tensor | None = None, weight: Tensor | None = None
    ) -> Tensor:
        """[B, channels_in, H, W] -> [B, channels_out, 2H, 2W]; from 1x1 to 4x4 in the first."""
        x = gemm_conv_transpose(self.conv, x, weight)
        return torch.relu(self.norm(x) if label is None else self.norm(x, label))


class Generator(nn.Module):
    """Maps latent vectors to images.

    For image size 64 and width 64: 100 -> 512 x 4 x 4 -> 256 x 8 x 8 -> 128 x 16 x 16 -> 64 x 32 x
        32 -> 3 x 64 x 64.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config

        doublings = halvings(config.image_size)  # from 4x4 to the full size
        widths = [config.width * 2**i for i in reversed(range(doublings))]
        first = Up(config.latent_size, widths[0], stride=1, padding=0, classes=config.classes)
        others = [
            Up(a, b, stride=2, padding=1, classes=config.classes) for a, b in pairwise(widths)
        ]

        self.hidden = nn.ModuleList([first, *others])
        self.head = nn.ConvTranspose2d(widths[-1], config.channels, 4, 2, 1, bias=False)

    def forward(
        self, z: Tensor, label: Tensor | None = None, weights: LayerWeights | None = None
    ) -> Tensor:
        """Generates images.

        Args:
            z: standard normals, [B, latent_size].
            label: class of each image, int64 [B]; None without classes.
            weights: used in place of those of the convolutions.

        Returns:
            Images in [-1, 1], [B, channels, image_size, image_size]; with more channels if the last
            of the weights has more.
        """
        x = z[:, :, None, None]  # [B, latent_size, 1, 1]
        if weights is None:
            for layer in self.hidden:
                x = layer(x, label)
            return torch.tanh(self.head(x))

        for layer, weight in zip(self.hidden, weights.weights, strict=False):
            x = layer(x, label, weight)
        return torch.tanh(gemm_conv_transpose(self.head, x, weights.weights[-1]))

    @property
    def convolutions(self) -> list[nn.ConvTranspose2d]:
        """The transposed convolutions, from the first to the last."""
        return [*(cast(Up, layer).conv for layer in self.hidden), self.head]


class Down(nn.Module):
    """Hidden layer of the discriminator: convolution, optional batch norm, leaky ReLU."""

    def __init__(self, conv: nn.Conv2d, norm: nn.Module) -> None:
        super().__init__()
        self.conv = conv
        self.norm = norm

    def forward(
        self, x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None
    ) -> Tensor:
        """[B, channels_in, H, W] -> [B, channels_out, H/stride, W/stride]."""
        x = self.norm(gemm_conv(self.conv, x, weight, bias))
        return nn.functional.leaky_relu(x, NEGATIVE_SLOPE, inplace=True)


class Discriminator(nn.Module):
    """Maps each image to a logit; its sigmoid is the probability that the image is real.

    For image size 64 and width 64: 3 x 64 x 64 -> 64 x 32 x 32 -> 128 x 16 x 16 -> 256 x 8 x 8 ->
    512 x 4 x 4 -> 1; at depth 2, a 3x3 layer makes 64 x 64 x 64 of the image, and another follows
    each 4x4 layer. With classes, the inner product of the last features and an embedding of the
    class is added to the logit (projection discriminator, Miyato and Koyama 2018).
    """

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        batch = config.norm == "batch"

        shapes = discriminator_layers(config)
        norms = [
            nn.BatchNorm2d(shape.channels_out) if batch and i > 0 else nn.Identity()
            for i, shape in enumerate(shapes)
        ]
        convs = [
            nn.Conv2d(
                shape.channels_in,
                shape.channels_out,
                shape.kernel,
                shape.stride,
                padding=1,
                bias=not batch,
            )
            for shape in shapes
        ]
        layers = [Down(conv, norm) for conv, norm in zip(convs, norms, strict=True)]
        self.hidden = nn.ModuleList(layers)
        features = shapes[-1].channels_out
        self.head = nn.Conv2d(features, 1, 4, 1, 0, bias=not batch)
        self.projection = nn.Embedding(config.classes, features) if config.classes else None

        if config.norm == "spectral":
            projections = [self.projection] if self.projection is not None else []
            for layer in [*convs, self.head, *projections]:
                spectral_norm(layer)

    def forward(
        self, x: Tensor, label: Tensor | None = None, weights: LayerWeights | None = None
    ) -> Tensor:
        """Computes the logits of images.

        Args:
            x: images in [-1, 1], [B, channels, image_size, image_size].
            label: class of each image, int64 [B]; None without classes.
            weights: used in place of those of the convolutions and of the projection.

        Returns:
            Logits, [B].
        """
        if weights is None:
            for layer in self.hidden:
                x = layer(x)
            logits = gemm_conv(self.head, x).flatten()  # [B, 1, 1, 1] -> [B]
        else:
            pairs = zip(self.hidden, weights.weights, weights.biases, strict=False)
            for layer, weight, bias in pairs:
                x = layer(x, weight, bias)
            logits = gemm_conv(self.head, x, weights.weights[-1], weights.biases[-1]).flatten()

        if self.projection is not None and label is not None:
            if weights is None:
                embedding = self.projection(label)
            else:
                embedding = nn.functional.embedding(label, cast(Tensor, weights.projection))
            logits = logits + (embedding * x.mean(dim=(2, 3))).sum(dim=1)
        return logits

    @property
    def convolutions(self) -> list[nn.Conv2d]:
        """The convolutions, from the first to the last."""
        return [*(cast(Down, layer).conv for layer in self.hidden), self.head]


def cyclic_labels(n: int, classes: int, device: torch.device) -> Tensor | None:
    """Returns class i mod `classes` for image i, as the service labels images.

    Returns:
        int64 [n], or None without classes.
    """
    return torch.arange(n, device=device) % classes if classes else None


def init_weights(network: nn.Module) -> None:
    """Initializes a network from torch's global generator, as section 4 of the DCGAN paper says.

    Convolutions: weights N(0, 0.02), biases 0. Batch norm: weights N(1, 0.02), biases 0, the same
        for every class.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(_trained_weight(module), 0.0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d) and module.affine:
            nn.init.normal_(module.weight, 1.0, 0.02)
            nn.init.zeros_(module.bias)
        elif isinstance(module, ConditionalNorm):
            nn.init.normal_(module.scale.weight, 1.0, 0.02)
            nn.init.zeros_(module.shift.weight)
        elif isinstance(module, Discriminator) and module.projection is not None:
            nn.init.normal_(_trained_weight(module.projection), 0.0, 0.02)


def _trained_weight(module: nn.Module) -> Tensor:
    """Returns the parameter that is trained, which spectral normalization divides by its norm."""
    return next(weight for name, weight in module.named_parameters() if name != "bias")
