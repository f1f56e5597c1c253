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
@pytest.mark.parametrize("depth", [1, 2])
def test_images_have_the_shape_of_the_config(size, channels, classes, depth):
    shape = {"image_size": size, "channels": channels, "width": 4, "classes": classes}
    generator = Generator(GeneratorConfig(latent_size=7, **shape))
    discriminator = Discriminator(DiscriminatorConfig(depth=depth, **shape))
    label = cyclic_labels(5, classes, torch.device("cpu"))
    images = generator(torch.randn(5, 7), label)
    assert images.shape == (5, channels, size, size)
    assert images.abs().max() <= 1
    assert discriminator(images, label).shape == (5,)


def kernels(network: Discriminator) -> list[tuple[int, int, int, int]]:
    """Channels of the input and the output, kernel size and stride of each convolution."""
    return [
        (conv.in_channels, conv.out_channels, conv.kernel_size[0], conv.stride[0])
        for conv in network.convolutions
    ]


def test_depth_two_has_the_layers_of_the_discriminator_of_sn_gan():
    """Table 3 b of Miyato et al. 2018: seven convolutions, and a linear layer over 4x4."""
    assert kernels(Discriminator(DiscriminatorConfig(image_size=32, depth=2))) == [
        (3, 64, 3, 1),
        (64, 128, 4, 2),
        (128, 128, 3, 1),
        (128, 256, 4, 2),
        (256, 256, 3, 1),
        (256, 512, 4, 2),
        (512, 512, 3, 1),
        (512, 1, 4, 1),
    ]


def test_at_64x64_depth_two_adds_layers_and_keeps_the_widths():
    deep = kernels(Discriminator(DiscriminatorConfig(depth=2)))
    assert deep == [
        (3, 64, 3, 1),
        (64, 64, 4, 2),
        (64, 64, 3, 1),
        (64, 128, 4, 2),
        (128, 128, 3, 1),
        (128, 256, 4, 2),
        (256, 256, 3, 1),
        (256, 512, 4, 2),
        (512, 512, 3, 1),
        (512, 1, 4, 1),
    ]
    plain = kernels(Discriminator(DiscriminatorConfig(depth=1)))
    assert [layer[1:] for layer in deep if layer[2] == 4] == [layer[1:] for layer in plain]


def test_the_tensors_of_depth_one_are_those_of_earlier_releases():
    config = DiscriminatorConfig(image_size=32, width=4)
    shapes = {
        name: tuple(tensor.shape)
        for name, tensor in Discriminator(config).state_dict().items()
        if name.endswith("conv.weight") or "head" in name
    }
    assert shapes == {
        "hidden.0.conv.weight": (4, 3, 4, 4),
        "hidden.1.conv.weight": (8, 4, 4, 4),
        "hidden.2.conv.weight": (16, 8, 4, 4),
        "head.weight": (1, 16, 4, 4),
    }


def test_at_depth_two_all_hidden_layers_but_the_first_have_batch_norm():
    network = Discriminator(DiscriminatorConfig(image_size=32, width=4, depth=2))
    norms = [isinstance(layer.norm, torch.nn.BatchNorm2d) for layer in network.hidden]
    assert norms == [False, True, True, True, True, True, True]


def test_labels_repeat_the_classes():
    assert cyclic_labels(5, 3, torch.device("cpu")).tolist() == [0, 1, 2, 0, 1]
    assert cyclic_labels(5, 0, torch.device("cpu")) is None
