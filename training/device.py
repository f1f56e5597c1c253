"""What a run computes on: the device, the precision that suits it, and how both are described."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from dcgan.core.hardware import processor_name
from dcgan.training.config import Recipe
from dcgan.training.errors import TrainingError

LIBRARIES = ("python", "dcgan-zoo", "numpy", "pillow", "safetensors", "torch", "torchvision")
"""What decides, by its version, what a run computes."""

_BF16_WIDTH = (
    32  # narrower networks spend more on casting than bf16 saves (benchmarks/bench_training.py)
)


def choose_device(wish: str) -> str:
    """Turns "auto" into what is there.

    Raises:
        TrainingError: if CUDA is asked for and there is none.
    """
    cuda = torch.cuda.is_available()
    if wish == "cuda" and not cuda:
        raise TrainingError(
            "--device cuda was asked for but there is no CUDA device; use --device cpu or auto"
        )
    return ("cuda" if cuda else "cpu") if wish == "auto" else wish


def choose_precision(wish: str, device: str, recipe: Recipe) -> str:
    """Turns "auto" into the recipe's own, or else the faster: bf16 if the device has units for it and D is wide."""
    if wish == "auto":
        wish = recipe.precision
    if wish != "auto":
        return wish
    units = (
        torch.cuda.is_bf16_supported(including_emulation=False)
        if device == "cuda"
        else _cpu_has_bf16()
    )
    return "bf16" if units and recipe.discriminator.width >= _BF16_WIDTH else "fp32"


def be_exact(*, deterministic: bool) -> None:
    """Makes float32 on a GPU be float32: by default cuDNN convolves in TF32, whose numbers have 10 bits.

    Args:
        deterministic: take only kernels that give the same bits each time. A CPU does so anyway, with as many threads.
    """
    for kind in (torch.backends.cudnn.conv, torch.backends.cuda.matmul):  # type: ignore[attr-defined]
        kind.fp32_precision = "ieee"
    if deterministic:
        os.environ.setdefault(
            "CUBLAS_WORKSPACE_CONFIG", ":4096:8"
        )  # read when the first GPU kernel runs
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.deterministic = True


def describe_hardware(device: str, processes: int = 1) -> str:
    """Names the processor that trains, for people."""
    if device == "cuda":
        return torch.cuda.get_device_name() + (f", {processes} of them" if processes > 1 else "")
    if processes > 1:
        return f"{processor_name()}, {processes} processes of {torch.get_num_threads()} threads"
    return f"{processor_name()}, {torch.get_num_threads()} threads"


def _cpu_has_bf16() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
