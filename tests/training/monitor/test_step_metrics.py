"""Measures of a step."""

import pytest
import torch

from dcgan.training.distributed import SINGLE_PROCESS
from dcgan.training.monitor.step_metrics import diversity

pytestmark = pytest.mark.numerical


CPU = torch.device("cpu")


def test_diversity_is_the_spread_of_generated_images_beside_that_of_real_ones():
    real = torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert diversity(real, 0.5 * real, SINGLE_PROCESS).item() == pytest.approx(0.5, abs=0.01)
    assert diversity(real, real[:1].expand(64, -1, -1, -1), SINGLE_PROCESS).item() < 0.02
    assert diversity(real[:1], real[:1], SINGLE_PROCESS).item() == 1.0
