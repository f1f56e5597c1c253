"""Gradient penalties of the discriminator: R1 and R2 (Mescheder et al. 2018).

Both penalize the squared norm of the gradient of D's logits with respect to D's input. Their
derivative is a second derivative, which autograd computes by differentiating its backward pass. For
convolutions of stride 2 that pass is a multiple slower than the others. Without normalization,
D is piecewise linear: its gradient is a chain of transposed convolutions and of slopes that are
constant almost everywhere. `linear_gradient` computes that chain as a forward pass, whose
derivative is a first one. Values and derivatives are those of autograd.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor
from torch.nn.functional import conv_transpose2d

from dcgan.training.models.networks import NEGATIVE_SLOPE, Discriminator, Down


def squared_norm(gradient: Tensor) -> Tensor:
    """Returns the mean over the batch of the squared norm: [B, C, H, W] -> a scalar."""
    return gradient.square().sum(dim=(1, 2, 3)).mean()


def input_gradient(discriminator: Discriminator, images: Tensor, label: Tensor | None) -> Tensor:
    """Returns the gradient of D's logits by autograd; its derivative is a second one.

    Args:
        discriminator: of any normalization.
        images: [B, C, H, W].
        label: class of each image, int64 [B]; None without classes.

    Returns:
        [B, C, H, W].
    """
    images = images.detach().requires_grad_()
    logits = discriminator(images, label)
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient


def linear_gradient(discriminator: Discriminator, images: Tensor, label: Tensor | None) -> Tensor:
    """Returns what `input_gradient` returns, for a discriminator without normalization."""
    # Find the slope of each activation.
    layers = [cast(Down, layer) for layer in discriminator.hidden]
    slopes = []
    with torch.no_grad():
        x = images
        for layer in layers:
            x = layer(x)
            slopes.append(torch.where(x > 0, 1.0, NEGATIVE_SLOPE))

    # Go back from the logits, which depend on the last features linearly.
    gradient = discriminator.head.weight.expand(len(images), -1, -1, -1)
    if discriminator.projection is not None and label is not None:
        area = x.shape[2] * x.shape[3]
        gradient = gradient + discriminator.projection(label)[:, :, None, None] / area
    for layer, slope in zip(reversed(layers), reversed(slopes), strict=True):
        conv = layer.conv
        padding = cast(tuple[int, ...], conv.padding)
        gradient = conv_transpose2d(gradient * slope, conv.weight, None, conv.stride, padding)
    return gradient
