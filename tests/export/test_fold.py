"""Folding keeps the function, and nothing else is left of batch normalisation."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import is_parametrized

from dcgan.export.errors import ExportError
from dcgan.export.graph.fold import fold, round_to_half


@pytest.mark.parametrize(
    "shape", [{}, {"image_size": 64, "width": 4}, {"channels": 1, "latent_size": 7}]
)
def test_a_folded_network_is_the_same_function(make_generator, shape):
    generator = make_generator(**shape)
    z = torch.randn(5, generator.config.latent_size, generator=torch.manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(fold(generator)(z), generator(z), rtol=0, atol=1e-5)


def test_a_folded_network_has_no_normalisation_and_knows_its_shape(generator):
    folded = fold(generator)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert (folded.latent_size, folded.channels, folded.image_size) == (10, 3, 32)


def test_spectral_norm_is_left_behind_and_its_weights_stay(make_generator, tmp_path):
    generator = make_generator()
    for layer in generator.hidden:
        spectral_norm(layer.conv)
    spectral_norm(generator.head)
    generator.eval()
    folded = fold(generator)
    assert not any(is_parametrized(module) for module in folded.modules())
    assert set(folded.state_dict()) == set(fold(make_generator()).state_dict())
    z = torch.randn(5, 10, generator=torch.manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(folded(z), generator(z), rtol=0, atol=1e-5)


def test_folding_leaves_the_generator_as_it_was(make_generator):
    generator = make_generator()
    before = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    fold(generator)
    for name, tensor in generator.state_dict().items():
        assert torch.equal(tensor, before[name]), name


@pytest.mark.parametrize("part", ["whole", "one normalisation"])
def test_a_generator_in_training_mode_is_refused(make_generator, part):
    generator = make_generator()
    (generator if part == "whole" else generator.hidden[1].norm).train()
    with pytest.raises(ExportError, match="training mode"):
        fold(generator)


def test_another_normalisation_is_refused(make_generator):
    generator = make_generator()
    generator.hidden[1].norm = nn.InstanceNorm2d(16).eval()
    with pytest.raises(ExportError, match="hidden layer 1"):
        fold(generator)


def test_rounded_weights_are_exact_in_float16_and_a_new_network(generator):
    folded = fold(generator)
    rounded = round_to_half(folded)
    for weight, original in zip(rounded.parameters(), folded.parameters(), strict=True):
        assert torch.equal(weight, weight.half().float())
        assert not torch.equal(weight, original)


def test_weights_beyond_float16_are_refused(generator):
    folded = fold(generator)
    folded.head.weight[0, 0, 0, 0] = 1e6
    with pytest.raises(ExportError, match=r"head\.weight.*--weights fp32"):
        round_to_half(folded)
