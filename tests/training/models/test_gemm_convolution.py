"""GEMM convolutions give what convolutions give."""

import copy

import pytest
import torch
from torch import nn

from dcgan.training.models import gemm_convolution
from dcgan.training.models.gemm_convolution import gemm_conv, gemm_conv_transpose

pytestmark = pytest.mark.numerical


LAYERS = {
    "to 4x4": (nn.Conv2d(6, 10, 4, 2, 1, bias=False), (5, 6, 8, 8), gemm_conv),
    "to 16x16": (nn.Conv2d(6, 10, 4, 2, 1, bias=False), (5, 6, 32, 32), gemm_conv),
    "with a bias": (nn.Conv2d(6, 10, 4, 2, 1), (5, 6, 8, 8), gemm_conv),
    "4x4 to 1x1": (nn.Conv2d(6, 3, 4, 1, 0), (5, 6, 4, 4), gemm_conv),
    "from 4x4": (nn.ConvTranspose2d(6, 10, 4, 2, 1, bias=False), (5, 6, 4, 4), gemm_conv_transpose),
    "from 16x16": (
        nn.ConvTranspose2d(6, 10, 4, 2, 1, bias=False),
        (5, 6, 16, 16),
        gemm_conv_transpose,
    ),
    "1x1 to 4x4": (
        nn.ConvTranspose2d(6, 10, 4, 1, 0, bias=False),
        (5, 6, 1, 1),
        gemm_conv_transpose,
    ),
}


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_values_and_gradients_are_those_of_the_convolution(name, bf16):
    layer, shape, function = LAYERS[name]
    layer.to(memory_format=torch.channels_last)
    torch.manual_seed(0)
    data = torch.randn(shape).to(memory_format=torch.channels_last)
    found = []
    for compute in (layer, lambda x: function(layer, x)):
        layer.zero_grad()
        x = data.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            y = compute(x)
        (y.float() * torch.linspace(-1, 1, y.numel()).view(y.shape)).sum().backward()
        found.append([y.detach().float(), x.grad, *(p.grad.clone() for p in layer.parameters())])

    for expected, ours in zip(*found, strict=True):
        assert ours.shape == expected.shape
        assert (ours - expected).abs().max() <= (0.01 if bf16 else 1e-5) * expected.abs().max()
    assert y.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("name", "node"),
    [
        ("to 4x4", "_GemmConvBackward"),
        ("from 4x4", "_GemmConvTranspose"),
        ("to 16x16", "Convolution"),
    ],
)
def test_gemm_is_used_for_small_maps_in_bf16_only(name, node):
    layer, shape, function = LAYERS[name]
    x = torch.randn(shape)
    with torch.autocast("cpu", torch.bfloat16):
        assert function(layer, x).grad_fn.name().startswith(node)
    assert function(layer, x).grad_fn.name().startswith("Convolution")


@pytest.mark.parametrize("name", LAYERS)
def test_gemm_can_be_switched_off(name, monkeypatch):
    monkeypatch.setattr(gemm_convolution, "ENABLED", False)
    layer, shape, function = LAYERS[name]
    with torch.autocast("cpu", torch.bfloat16):
        assert function(layer, torch.randn(shape)).grad_fn.name().startswith("Convolution")


@pytest.mark.parametrize("name", ["4x4 to 1x1", "1x1 to 4x4"])
def test_layers_of_one_point_are_matrix_products_on_every_device(name):
    """torch.compile fails for the transposed convolution of a 1x1 map on CUDA."""
    layer, shape, function = LAYERS[name]
    y = function(copy.deepcopy(layer).to("meta"), torch.empty(shape, device="meta"))
    assert y.shape == layer(torch.randn(shape)).shape
    assert not y.grad_fn.name().startswith("Convolution")


@pytest.mark.parametrize("name", LAYERS)
def test_another_weight_can_take_the_place_of_the_layers_own(name):
    layer, shape, function = LAYERS[name]
    x = torch.randn(shape)
    with torch.no_grad():
        doubled = copy.deepcopy(layer)
        for parameter in doubled.parameters():
            parameter.mul_(2)
        found = function(layer, x, *doubled.parameters())
        assert torch.allclose(found, doubled(x), rtol=1e-4, atol=1e-5)
