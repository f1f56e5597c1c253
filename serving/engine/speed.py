"""The throughput of freshly opened engines, from which the size of a queue follows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from dcgan.serving.engine.base import Engine
from dcgan.serving.engine.sessions import zero_inputs
from dcgan.zoo.manifest import Manifest

_MEASURED_S = 0.2


def measure_throughput(
    engines: Sequence[Engine], manifest: Manifest, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Runs full batches on all engines in parallel for a fifth of a second.

    Args:
        engines: of one model, warmed up.
        manifest: of the model.
        clock: monotonic, in seconds.

    Returns:
        Images per second of all engines together.

    Raises:
        EngineError: if an engine fails.
    """
    began = clock()

    def run_batches(engine: Engine) -> int:
        inputs = zero_inputs(manifest, engine.max_batch)
        images = 0
        while clock() - began < _MEASURED_S:
            images += len(engine.run(*inputs))
        return images

    with ThreadPoolExecutor(len(engines)) as pool:
        images = sum(pool.map(run_batches, engines))
    return images / (clock() - began)
