"""Device, precision and backends."""

from dataclasses import replace

import pytest
import torch

from dcgan.training.config import load_recipe
from dcgan.training.device import configure_backends, resolve_precision


@pytest.mark.parametrize(
    ("units", "width", "precision"), [(True, 64, "bf16"), (False, 64, "fp32"), (True, 16, "fp32")]
)
def test_bf16_is_chosen_only_where_a_gpu_has_units_for_it(monkeypatch, units, width, precision):
    def has_units(including_emulation: bool = True) -> bool:
        return units or including_emulation  # torch would emulate it on any GPU, slowly

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", has_units)
    recipe = load_recipe("dcgan64", [f"discriminator.width={width}"])
    assert resolve_precision("auto", "cuda", recipe) == precision
    assert resolve_precision("auto", "cuda", replace(recipe, precision="fp32")) == "fp32"
    assert resolve_precision("bf16", "cuda", recipe) == "bf16"


def test_float32_is_float32_on_a_gpu_too():
    kinds = torch.backends.cudnn.conv, torch.backends.cuda.matmul
    before = [kind.fp32_precision for kind in kinds]
    try:
        for kind in kinds:
            kind.fp32_precision = "tf32"
        configure_backends(deterministic=False)
        assert [kind.fp32_precision for kind in kinds] == ["ieee", "ieee"]
    finally:
        for kind, precision in zip(kinds, before, strict=True):
            kind.fp32_precision = precision
