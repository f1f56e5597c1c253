"""Speed of the int8 file compared with the float32 one, on this processor."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from dcgan.core.hardware import processor_family
from dcgan.core.onnx_session import CPU
from dcgan.export.verify.backends import Backend, OnnxBackend
from dcgan.export.verify.inputs import ModelInputs, seed_inputs

_BATCH = 64
_ROUNDS = 5
_MIN_DIFFERENCE = 1.05  # below this factor neither is called faster


def compare_speed(backends: Sequence[Backend], *, latent_size: int, classes: int) -> str | None:
    """Measures the int8 and the float32 file side by side on the CPU, and says which is faster.

    Int8 needs 8-bit dot products (VNNI, AMX and their like); without them it can be slower.

    Returns:
        One line for the user; None if there are not both files.
    """
    on_cpu = {
        backend.precision: backend
        for backend in backends
        if isinstance(backend, OnnxBackend) and backend.provider == CPU
    }
    if "fp32" not in on_cpu or "int8" not in on_cpu:
        return None

    inputs = seed_inputs(0, 0, _BATCH, latent_size=latent_size, classes=classes)
    fp32, int8 = images_per_second([on_cpu["fp32"].images, on_cpu["int8"].images], inputs)
    return describe_speed(fp32, int8)


def images_per_second(
    functions: Sequence[Callable[[ModelInputs], object]],
    inputs: ModelInputs,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Runs functions in turns, and returns the best speed of each in images/s.

    Turns spread a disturbance of the machine over all of them.
    """
    best = [float("inf")] * len(functions)
    for _ in range(_ROUNDS):
        for i, function in enumerate(functions):
            start = clock()
            function(inputs)
            best[i] = min(best[i], clock() - start)
    return [len(inputs.z) / seconds for seconds in best]


def describe_speed(fp32: float, int8: float) -> str:
    """Returns what two speeds in images/s mean for the user."""
    family = processor_family(CPU)
    figures = f"int8 makes {int8:,.0f} images/s on this processor ({family}), float32 {fp32:,.0f}"
    if int8 >= _MIN_DIFFERENCE * fp32:
        return f"{figures}: int8 is {int8 / fp32:.1f} times as fast here"
    if fp32 >= _MIN_DIFFERENCE * int8:
        return (
            f"{figures}: float32 is faster here; "
            "serve int8 only on processors with 8-bit dot products (VNNI, AMX)"
        )
    return f"{figures}: both are equally fast here"
