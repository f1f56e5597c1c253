"""The family and the name of the processor; images are equal byte for byte within one family."""

from __future__ import annotations

import platform
from pathlib import Path

from dcgan.core.onnx_session import CUDA
from dcgan.core.processors import processor_limits

# Flags of /proc/cpuinfo that each x86-64 level adds to the one below. ONNX Runtime chooses its
# kernels, and with them the order of sums, by these instruction sets. Source: the x86-64 psABI,
# "Micro-Architecture Levels".
_X86_64_LEVELS = (
    ("x86-64-v4", {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}),
    ("x86-64-v3", {"avx2", "bmi1", "bmi2", "fma", "f16c"}),
)


def processor_family(provider: str) -> str:
    """Returns the family of the processor that an execution provider of ONNX Runtime uses here.

    Args:
        provider: e.g. "CPUExecutionProvider" or "CUDAExecutionProvider".

    Returns:
        For the CPU, its instruction-set level or architecture, e.g. "x86-64-v4" or "aarch64". For
        CUDA, the name of the first GPU, e.g. "NVIDIA H100 80GB HBM3", or "cuda" if the driver does
        not report it.
    """
    return _gpu_name() if provider == CUDA else _cpu_family()


def processor_name() -> str:
    """Returns the product name of this machine's processor, or "unknown processor"."""
    lines = _read_lines(Path("/proc/cpuinfo"))
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown processor")


def describe_host() -> str:
    """Returns how many processors this process may use, and their name, for measurements."""
    return f"{processor_limits().usable} cores of {processor_name()}"


def _cpu_family() -> str:
    machine = platform.machine().lower()
    if machine not in ("x86_64", "amd64"):
        return machine

    flags = next(
        (line.split() for line in _read_lines(Path("/proc/cpuinfo")) if line.startswith("flags")),
        [],
    )
    return next((name for name, needed in _X86_64_LEVELS if needed.issubset(flags)), "x86-64")


def _gpu_name() -> str:
    for information in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        for line in _read_lines(information):
            if line.startswith("Model:"):
                return line.partition(":")[2].strip()
    return "cuda"


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []
