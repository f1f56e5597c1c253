"""Shapes and parameters of the networks."""

import pytest
import torch

from dcgan.training.models.network_config import DiscriminatorConfig, GeneratorConfig
from dcgan.training.models.networks import Discriminator, Generator, cyclic_labels


def parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_default_networks_are_those_of_the_seed():
    assert parameters(Generator(GeneratorConfig())) == 3_576_704
    assert parameters(Discriminator(DiscriminatorConfig())) == 2_765_568


@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("classes", [0, 3])
def test_images_have_the_shape_of_the_config(size, channels, classes):
    shape = {"image_size": size, "channels": channels, "width": 4, "classes": classes}
    generator = Generator(GeneratorConfig(latent_size=7, **shape))
    discriminator = Discriminator(DiscriminatorConfig(**shape))
    label = cyclic_labels(5, classes, torch.device("cpu"))
    images = generator(torch.randn(5, 7), label)
    assert images.shape == (5, channels, size, size)
    assert images.abs().max() <= 1
    assert discriminator(images, label).shape == (5,)


def test_labels_repeat_the_classes():
    assert cyclic_labels(5, 3, torch.device("cpu")).tolist() == [0, 1, 2, 0, 1]
    assert cyclic_labels(5, 0, torch.device("cpu")) is None
