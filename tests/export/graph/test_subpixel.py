"""A transposed convolution and its rewritten forms are the same function."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
import torch.nn.functional as F

from dcgan.core import noise
from dcgan.export.graph.fold import fold
from dcgan.export.graph.onnx_graph import PLAIN, SUBPIXEL, build_onnx
from dcgan.export.graph.subpixel import (
    PHASES,
    join_phases,
    merge_joined,
    merge_phases,
    split_phases,
)


@pytest.fixture
def layer():
    """An input [2, 3, 5, 4] and a weight [3, 2, 4, 4] of integers, so that every sum is exact."""
    rng = np.random.default_rng(0)
    return rng.integers(-9, 9, (2, 3, 5, 4)).astype(np.float32), rng.integers(
        -9, 9, (3, 2, 4, 4)
    ).astype(np.float32)


def transposed(x, weight):
    return F.conv_transpose2d(
        torch.from_numpy(x), torch.from_numpy(weight), stride=2, padding=1
    ).numpy()


def test_four_phases_are_the_transposed_convolution(layer):
    x, weight = layer
    image = np.zeros_like(transposed(x, weight))
    for (a, b), phase in zip(PHASES, split_phases(weight), strict=True):
        above, left, below, right = phase.pads
        padded = F.pad(torch.from_numpy(x), (left, right, above, below))
        image[:, :, a::2, b::2] = F.conv2d(padded, torch.from_numpy(phase.kernel)).numpy()
    assert np.array_equal(image, transposed(x, weight))


def test_one_convolution_on_a_larger_grid_is_the_transposed_convolution(layer):
    x, weight = layer
    cells = F.conv2d(
        torch.from_numpy(x), torch.from_numpy(join_phases(weight)), padding=1
    )  # [2, 4 * 2, 6, 5]
    n, _, height, width = cells.shape
    woven = cells.reshape(n, 2, 2, 2, height, width).permute(
        0, 3, 4, 1, 5, 2
    )  # [n, channel, H, a, W, b]
    image = woven.reshape(n, 2, 2 * height, 2 * width)[:, :, 1:-1, 1:-1]
    assert np.array_equal(image.numpy(), transposed(x, weight))


@pytest.mark.parametrize(
    "shape", [{}, {"image_size": 64, "width": 16}, {"channels": 1, "latent_size": 7}]
)
def test_both_forms_of_the_graph_give_the_same_images(make_generator, shape):
    network = fold(make_generator(**shape))
    z = noise.latents(0, 0, 9, network.latent_size)
    images = {}
    for form in (PLAIN, SUBPIXEL):
        model = build_onnx(network, form=form)
        onnx.checker.check_model(model, full_check=True)
        session = ort.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        images[form] = session.run(None, {"z": z})[0].astype(int)

    assert np.abs(images[PLAIN] - images[SUBPIXEL]).max() <= 1
    assert (images[PLAIN] != images[SUBPIXEL]).mean() < 1e-3


def test_the_subpixel_form_has_no_transposed_convolution(generator):
    operators = {node.op_type for node in build_onnx(fold(generator)).graph.node}
    assert "Conv" in operators
    assert "ConvTranspose" not in operators


def test_the_phases_merge_into_the_weight_they_came_from():
    weight = np.random.default_rng(0).standard_normal((3, 2, 4, 4)).astype(np.float32)
    assert np.array_equal(
        merge_phases({phase.name: phase.kernel for phase in split_phases(weight)}), weight
    )
    assert np.array_equal(merge_joined(join_phases(weight)), weight)
