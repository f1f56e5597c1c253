"""The device of a run, its precision, and their description."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from dcgan.core.hardware import processor_name
from dcgan.training.config import Recipe
from dcgan.training.errors import TrainingError
from dcgan.training.switches import StepSwitches

LIBRARIES = ("python", "dcgan-zoo", "numpy", "pillow", "safetensors", "torch", "torchvision")
"""Libraries whose versions influence what a run computes."""

# So many steps of 64 images save 9 to 20 s on an H100. Compiling took less than a minute there, but
# was not measured alone.
_MIN_COMPILED_STEPS = 30_000

# Narrower networks spend more time on casts than bf16 saves (benchmarks/bench_training.py).
_MIN_BF16_WIDTH = 32


def resolve_device(requested: str) -> str:
    """Returns "cuda" or "cpu"; "auto" becomes "cuda" if there is a CUDA device.

    Raises:
        TrainingError: if CUDA is requested and there is none.
    """
    available = torch.cuda.is_available()
    if requested == "cuda" and not available:
        raise TrainingError(
            "--device cuda was given but there is no CUDA device; use --device cpu or auto"
        )
    if requested == "auto":
        return "cuda" if available else "cpu"
    return requested


def resolve_precision(requested: str, device: str, recipe: Recipe) -> str:
    """Returns "fp32" or "bf16".

    "auto" becomes the precision of the recipe or, if that is "auto" too, the faster one: bf16 if
    the device computes in it natively and the discriminator is wide enough.
    """
    if requested == "auto":
        requested = recipe.precision
    if requested != "auto":
        return requested

    native = _cpu_has_bf16()
    if device == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16" if native and recipe.discriminator.width >= _MIN_BF16_WIDTH else "fp32"


def resolve_switches(
    recipe: Recipe,
    device: str,
    precision: str,
    *,
    steps: int,
    deterministic: bool = False,
    processes: int = 1,
) -> StepSwitches:
    """Decides how steps are computed.

    "auto" is "on" on a GPU, `compile` only in long runs that need not be deterministic. On a CPU it
    is "off", where these save no time, except for `linear_penalties`. A step that several processes
    share is computed plainly. `one_pass` needs a discriminator without batch normalization, and
    `linear_penalties` one without any. `weight_copies` has nothing to do in fp32 without spectral
    normalization, and `compile` needs it, because torch's spectral normalization cannot be
    compiled.

    Args:
        recipe: its `engine` and its discriminator.
        device: "cpu" or "cuda".
        precision: "fp32" or "bf16".
        steps: of the run.
        deterministic: whether the run must have the same bits each time, which has not been shown
            for compiled steps.
        processes: that train together.
    """
    gpu = device == "cuda"
    engine = recipe.engine
    norm = recipe.discriminator.norm
    if processes > 1:
        return StepSwitches()

    is_worth_compiling = gpu and steps >= _MIN_COMPILED_STEPS and not deterministic
    compile_step = _is_on(engine.compile, auto=is_worth_compiling)
    copies = compile_step or _is_on(engine.weight_copies, auto=gpu)
    spectral_or_bf16 = norm == "spectral" or precision == "bf16"
    return StepSwitches(
        compile=compile_step,
        weight_copies=copies and spectral_or_bf16,
        one_pass=_is_on(engine.one_pass, auto=gpu) and norm != "batch",
        padded_channels=_is_on(engine.padded_channels, auto=gpu),
        linear_penalties=_is_on(engine.linear_penalties, auto=True) and norm == "none",
    )


def _is_on(value: str, *, auto: bool) -> bool:
    return auto if value == "auto" else value == "on"


def configure_backends(*, deterministic: bool) -> None:
    """Turns TF32 off, so that float32 on a GPU has its 24 bits, and selects kernels.

    Args:
        deterministic: use only kernels that give the same bits each time. On a CPU with a fixed
            number of threads all kernels do.
    """
    # Both interfaces of PyTorch, and all operators: where they differ, its getters raise an error,
    # and torch.export calls them in the same process.
    cudnn = torch.backends.cudnn
    matmul = torch.backends.cuda.matmul
    cudnn.allow_tf32 = False
    matmul.allow_tf32 = False
    for backend in (cudnn.conv, cudnn.rnn, matmul):  # type: ignore[attr-defined]
        backend.fp32_precision = "ieee"  # type: ignore[union-attr]

    if deterministic:
        # cuBLAS reads the variable when the first kernel runs.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.deterministic = True


def describe_hardware(device: str, processes: int = 1) -> str:
    """Returns the name of the processor and how much of it is used."""
    if device == "cuda":
        name = torch.cuda.get_device_name()
        return f"{name}, {processes} of them" if processes > 1 else name

    number = torch.get_num_threads()
    threads = "1 thread" if number == 1 else f"{number} threads"
    if processes > 1:
        return f"{processor_name()}, {processes} processes of {threads}"
    return f"{processor_name()}, {threads}"


def _cpu_has_bf16() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
