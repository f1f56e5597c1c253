"""Conversion of float images to pixels."""

import torch

from dcgan.training.models.pixels import to_pixels


def test_pixels_are_rounded_and_clamped():
    edges = torch.tensor([-1.0, -1.1, 1.0, 1.1, 0.0, 0.001, -0.001])
    assert to_pixels(edges.view(1, 1, 1, -1)).flatten().tolist() == [0, 0, 255, 255, 128, 128, 127]


def test_pixels_have_their_channels_last():
    images = torch.tensor([[[[-1.0]], [[0.0]], [[1.0]]]])  # one pixel, [1, 3, 1, 1]
    assert to_pixels(images).tolist() == [[[[0, 128, 255]]]]
