"""The batched spectral norm gives what torch's gives layer by layer."""

import copy

import pytest
import torch

from dcgan.training.models.network_config import DiscriminatorConfig
from dcgan.training.models.networks import Discriminator, init_weights
from dcgan.training.models.spectral_norm import BatchedSpectralNorm, spectral_parameter

pytestmark = pytest.mark.numerical


@pytest.fixture(
    params=[(3, 0, 1), (1, 0, 1), (3, 5, 1), (3, 5, 2)],
    ids=["colour", "grey", "classes", "depth 2"],
)
def discriminator(request, in_float64) -> Discriminator:
    channels, classes, depth = request.param
    torch.manual_seed(0)
    network = Discriminator(
        DiscriminatorConfig(
            image_size=32,
            channels=channels,
            width=4,
            norm="spectral",
            depth=depth,
            classes=classes,
        )
    )
    init_weights(network)
    return network.to(memory_format=torch.channels_last)


def layers_of(network: Discriminator) -> list[torch.nn.Module]:
    projections = [] if network.projection is None else [network.projection]
    return [*network.convolutions, *projections]


def test_values_and_vectors_are_those_of_torch(discriminator):
    twin = copy.deepcopy(discriminator)
    batched = BatchedSpectralNorm(layers_of(twin))
    for _ in range(3):
        expected = [layer.weight.detach() for layer in layers_of(discriminator)]
        batched.iterate()
        found = [torch.empty_like(weight) for weight in expected]
        batched.normalize(found)
        for ours, theirs in zip(found, expected, strict=True):
            assert torch.allclose(ours, theirs, rtol=1e-12, atol=1e-14)

    for (name, ours), theirs in zip(
        twin.state_dict().items(), discriminator.state_dict().values(), strict=True
    ):
        assert torch.allclose(ours, theirs, rtol=1e-12, atol=1e-14), name


def test_gradients_are_those_of_torch(discriminator):
    layers = layers_of(discriminator)
    batched = BatchedSpectralNorm(layers_of(copy.deepcopy(discriminator)))
    batched.iterate()
    weights = [layer.weight for layer in layers]
    gradients = [torch.randn_like(weight) for weight in weights]
    torch.autograd.backward(weights, gradients)
    batched.backward(gradients)
    for layer, found in zip(layers, gradients, strict=True):
        assert torch.allclose(found, spectral_parameter(layer).grad, rtol=1e-11, atol=1e-13)


def test_vectors_that_are_loaded_are_used(discriminator):
    """A checkpoint is copied into the tensors that are there."""
    twin = copy.deepcopy(discriminator)
    first, second = (BatchedSpectralNorm(layers_of(network)) for network in (discriminator, twin))
    for _ in range(5):
        first.iterate()
    with torch.no_grad():
        for tensor, saved in zip(
            twin.state_dict().values(), discriminator.state_dict().values(), strict=True
        ):
            tensor.copy_(saved)
    first.iterate()
    second.iterate()

    assert torch.equal(first.sigma, second.sigma)
