"""Folding keeps the function and leaves no batch normalization."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import is_parametrized

from dcgan.export.errors import ExportError
from dcgan.export.graph.fold import ClassAffine, fold, round_to_float16
from dcgan.training.models.networks import ConditionalNorm


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
    rounded = round_to_float16(folded)
    for weight, original in zip(rounded.parameters(), folded.parameters(), strict=True):
        assert torch.equal(weight, weight.half().float())
        assert not torch.equal(weight, original)


def test_weights_beyond_float16_are_refused(generator):
    folded = fold(generator)
    folded.head.weight[0, 0, 0, 0] = 1e6
    with pytest.raises(ExportError, match=r"head\.weight.*--weights fp32"):
        round_to_float16(folded)


CLASSES = 3


@pytest.fixture(scope="module")
def conditional(make_module_generator):
    return make_module_generator(classes=CLASSES)


def test_a_folded_network_is_the_same_function_of_each_class(conditional):
    folded = fold(conditional)
    assert folded.classes == CLASSES
    assert not any(isinstance(module, ConditionalNorm) for module in folded.modules())
    assert sum(isinstance(module, ClassAffine) for module in folded.modules()) == len(
        conditional.hidden
    )
    z = torch.randn(1, 10, generator=torch.manual_seed(0))
    images = []
    with torch.inference_mode():
        for label in range(CLASSES):
            images.append(folded(z, torch.tensor([label])))
            torch.testing.assert_close(
                images[-1], conditional(z, torch.tensor([label])), rtol=0, atol=1e-5
            )

    assert not torch.allclose(images[0], images[1], atol=0.1)


def test_a_network_with_classes_does_not_run_without_labels(conditional):
    with pytest.raises(ValueError, match="labels"):
        fold(conditional)(torch.zeros(1, 10))
