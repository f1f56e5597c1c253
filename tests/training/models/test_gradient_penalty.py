"""Gradients of D at its input, with and without a second derivative."""

import pytest
import torch

from dcgan.training.models.gradient_penalty import input_gradient, linear_gradient, squared_norm
from dcgan.training.models.network_config import DiscriminatorConfig
from dcgan.training.models.networks import Discriminator

pytestmark = pytest.mark.numerical


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("depth", [1, 2])
def test_without_a_second_derivative_values_and_gradients_are_the_same(depth, size, classes):
    torch.manual_seed(0)
    network = Discriminator(
        DiscriminatorConfig(image_size=size, width=4, norm="none", depth=depth, classes=classes)
    ).to(memory_format=torch.channels_last)
    images = torch.randn(5, 3, size, size)
    label = torch.arange(5) % classes if classes else None
    found = []
    for gradient in (input_gradient, linear_gradient):
        network.zero_grad()
        slope = gradient(network, images, label)
        squared_norm(slope).backward()
        found.append((slope.detach(), {n: p.grad for n, p in network.named_parameters()}))
    (expected, expected_grads), (slope, grads) = found

    assert torch.allclose(slope, expected, rtol=1e-10, atol=1e-13)
    for name, grad in expected_grads.items():
        ours = grads[name]
        if grad is None or not grad.any():
            assert ours is None or not ours.any(), name  # biases
        else:
            assert torch.allclose(ours, grad, rtol=1e-9, atol=1e-12), name


def test_the_squared_norm_is_a_mean_over_images():
    assert squared_norm(torch.full((2, 3, 4, 4), 2.0)).item() == 3 * 4 * 4 * 4.0
