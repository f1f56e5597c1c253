"""Which weights are copied, and how they are laid out."""

import pytest
import torch

from dcgan.training.models.network_config import DiscriminatorConfig, GeneratorConfig
from dcgan.training.models.networks import Discriminator, Generator
from dcgan.training.models.weight_copies import WeightCopies

SHAPE = {"image_size": 32, "width": 4}


def test_in_the_type_of_the_weights_nothing_is_copied():
    network = Generator(GeneratorConfig(**SHAPE)).to(memory_format=torch.channels_last)
    weights = WeightCopies(network, dtype=None, image_channels=None).weights.weights
    for weight, layer in zip(weights, network.convolutions, strict=True):
        assert weight is layer.weight


@pytest.mark.parametrize("depth", [1, 2])
def test_only_the_layer_of_images_is_padded_and_with_zeros(depth):
    generator = Generator(GeneratorConfig(**SHAPE))
    discriminator = Discriminator(DiscriminatorConfig(depth=depth, **SHAPE))

    for network, place in ((generator, -1), (discriminator, 0)):
        network.to(memory_format=torch.channels_last)
        copies = WeightCopies(network, dtype=None, image_channels=4)
        copies.refresh()
        own = [layer.weight for layer in network.convolutions]
        padded = copies.weights.weights[place]
        kernel = own[place].shape[2:]
        assert padded.shape == (own[place].shape[0], 4, *kernel)
        assert padded.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(padded[:, :3], own[place])
        assert not padded[:, 3:].any()
        copied = [a is not b for a, b in zip(copies.weights.weights, own, strict=True)]
        assert sum(copied) == 1


@pytest.mark.parametrize("depth", [1, 2])
def test_padded_networks_compute_the_same_and_pad_their_images_with_zeros(depth):
    generator = Generator(GeneratorConfig(latent_size=6, **SHAPE))
    discriminator = Discriminator(DiscriminatorConfig(depth=depth, **SHAPE))
    copies = []

    for network in (generator, discriminator):
        network.to(memory_format=torch.channels_last)
        copies.append(WeightCopies(network, dtype=None, image_channels=8))
        copies[-1].refresh()
    z = torch.randn(4, 6)
    with torch.no_grad():
        images = generator(z)
        padded = generator(z, None, copies[0].weights)
        assert padded.shape == (4, 8, 32, 32)
        assert torch.allclose(padded[:, :3], images, atol=1e-6)
        assert not padded[:, 3:].any()
        judged = discriminator(padded, None, copies[1].weights)
        assert torch.allclose(judged, discriminator(images), rtol=1e-4, atol=1e-6)


def test_copies_follow_the_weights_when_they_are_refreshed():
    network = Discriminator(DiscriminatorConfig(**SHAPE)).to(memory_format=torch.channels_last)
    copies = WeightCopies(network, dtype=torch.bfloat16, image_channels=None)
    with torch.no_grad():
        network.head.weight.fill_(1.0 + 2.0**-10)
    copies.refresh()
    assert torch.equal(copies.weights.weights[-1], torch.ones_like(network.head.weight).bfloat16())


def test_gradients_are_added_to_those_that_are_there():
    network = Generator(GeneratorConfig(**SHAPE)).to(memory_format=torch.channels_last)
    copies = WeightCopies(network, dtype=torch.bfloat16, image_channels=None)
    for _ in range(2):
        for weight in copies.weights.weights:
            weight.grad = torch.ones_like(weight)
        copies.collect_gradients()
    for layer in network.convolutions:
        assert torch.equal(layer.weight.grad, torch.full_like(layer.weight, 2.0))
        assert layer.weight.grad.stride() == layer.weight.stride()


@pytest.mark.parametrize("required", [True, False])
def test_copies_can_do_without_gradients(required):
    network = Discriminator(DiscriminatorConfig(norm="spectral", **SHAPE))
    network.to(memory_format=torch.channels_last)
    copies = WeightCopies(network, dtype=torch.bfloat16, image_channels=8)
    copies.refresh()
    copies.requires_grad_(required)
    logits = network(torch.zeros(2, 8, 32, 32).bfloat16(), None, copies.weights)
    assert logits.requires_grad == required
