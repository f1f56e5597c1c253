"""Profiles of a piece of work."""

import json

import torch

from dcgan.training.profiling import profile_kernels


def test_operators_are_counted_for_one_run_of_the_work():
    x = torch.randn(64, 64)
    found = profile_kernels(lambda: x @ x, torch.device("cpu"), 4)
    (product,) = [name for name in found["top"] if name.startswith("aten::mm ")]
    assert product == "aten::mm (1 launches)"
    assert found["kernels"] >= 1
    assert found["microseconds"] >= found["top"][product] > 0
    json.dumps(found)
