"""Throughput of a GPU, bare and served, by precision, batch size, engines, CUDA graphs and workers.

    python benchmarks/bench_serving_gpu.py [--model-repository zoo/models] [--model dcgan64]
        [--out benchmarks/results/serving-gpu.json]

"raw" is what engines make that are called in turns, copies to and from the GPU included; "served"
is what client processes on the same machine receive, every reply compared with the same images.
Rows are written as they are measured. Without a GPU nothing is measured, except with
`--device cpu`, which runs the same code on the CPU provider.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from servers import describe_machine, serving, started

from dcgan.core import noise
from dcgan.core.cuda_driver import count_gpus
from dcgan.core.hardware import processor_family
from dcgan.core.onnx_session import CPU, CUDA
from dcgan.serving.engine.config import EngineConfig
from dcgan.serving.engine.factory import spread
from dcgan.serving.engine.fixed_batch import FixedBatchEngine, check_cuda
from dcgan.serving.load_test import LoadTestConfig, run_in_processes
from dcgan.zoo.manifest import ModelFile
from dcgan.zoo.release import Release
from dcgan.zoo.repository import SHIPPED, find_release

Row = dict[str, float | int]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is measured.

    Attributes:
        device: "cuda", or "cpu" to try the program.
        precisions: of the files; those that the model lacks are left out.
        batch_sizes: on CUDA.
        instances: engines of the bare rows.
        workers: server processes.
        loads: images of a request, and callers.
        processes: client processes.
        seconds: for each row.
    """

    device: str
    precisions: tuple[str, ...] = ("fp16", "fp32")
    batch_sizes: tuple[int, ...] = (64, 256, 512)
    instances: tuple[int, ...] = (1, 2)
    workers: tuple[int, ...] = (1, 8)
    loads: tuple[tuple[int, int], ...] = ((64, 128), (1, 128), (1, 1))
    processes: int = 4
    seconds: float = 3.0


def main() -> None:
    """Measures a model on the GPU and writes the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model-repository", type=Path, default=SHIPPED)
    parser.add_argument("--model", default="dcgan64")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--small", action="store_true", help="measure as little as possible")
    parser.add_argument("--quiet", action="store_true", help="do not print the result")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "serving-gpu.json"
    )
    arguments = parser.parse_args()
    if arguments.device == "cuda" and count_gpus() == 0:
        print("skipped: there is no NVIDIA GPU here")
        return

    plan = small_plan(arguments.device) if arguments.small else Plan(device=arguments.device)
    release = find_release(arguments.model_repository, arguments.model)
    provider = CUDA if plan.device == "cuda" else CPU
    raw: dict[str, object] = {}
    served: dict[str, object] = {}
    document = {
        "machine": describe_machine(),
        "gpu": processor_family(provider) if provider == CUDA else None,
        "model": release.manifest.name,
        "raw": raw,
        "served": served,
    }

    for table, rows in (
        (raw, measure_raw(release, plan, provider)),
        (served, measure_served(arguments.model_repository, release, plan)),
    ):
        for name, row in rows:
            table[name] = row
            arguments.out.write_text(json.dumps(document, indent=2) + "\n")
    if not arguments.quiet:
        print(json.dumps(document, indent=2))


def small_plan(device: str) -> Plan:
    """Returns a plan that shows that the program works."""
    return Plan(
        device=device,
        precisions=("fp32",),
        batch_sizes=(8,),
        instances=(2,),
        workers=(1,),
        loads=((4, 4),),
        processes=2,
        seconds=0.5,
    )


def files_of(release: Release, plan: Plan) -> Iterator[tuple[str, ModelFile]]:
    """Yields the ONNX file of each precision that the release has."""
    for precision in plan.precisions:
        file = release.manifest.file("onnx", precision)
        if file is not None:
            yield precision, file


def measure_raw(release: Release, plan: Plan, provider: str) -> Iterator[tuple[str, float]]:
    """Yields images/s of engines in one process, each with a thread that calls it."""
    if provider == CUDA:
        check_cuda((0,))
    default = EngineConfig().cuda_batch_size

    for precision, file in files_of(release, plan):
        for size in plan.batch_sizes:
            for graphs in (True, False) if size == default else (True,):
                for instances in plan.instances:
                    config = EngineConfig(cuda_batch_size=size, cuda_graphs=graphs)
                    engines = [
                        FixedBatchEngine(
                            release.path(file),
                            release.manifest,
                            config,
                            provider=provider,
                            device_id=device_id,
                            precision=precision,
                        )
                        for device_id in spread(instances, (0,))
                    ]
                    how = "CUDA graphs" if graphs else "no graphs"
                    name = f"{precision}, batch {size}, {instances} engines, {how}"
                    yield name, rate(engines, release, size, plan.seconds)


def rate(engines: list[FixedBatchEngine], release: Release, size: int, seconds: float) -> float:
    """Images/s of engines that are called at once with full batches."""
    z = noise.latents(0, 0, size, release.manifest.latent_size)
    label = np.zeros(size, np.int64) if release.manifest.classes else None
    began = time.perf_counter()

    def run_batches(engine: FixedBatchEngine) -> int:
        images = 0
        while time.perf_counter() - began < seconds:
            images += len(engine.run(z, label))
        return images

    with ThreadPoolExecutor(len(engines)) as pool:
        images = sum(pool.map(run_batches, engines))
    return round(images / (time.perf_counter() - began), 1)


def measure_served(repository: Path, release: Release, plan: Plan) -> Iterator[tuple[str, Row]]:
    """Yields what client processes receive from servers of several worker processes."""
    for precision, _ in files_of(release, plan):
        for workers in plan.workers:
            options = ("--device", plan.device, "--precision", precision)
            several = ("--workers", str(workers)) if workers > 1 else ()
            model = ("--model", release.manifest.name)
            command = serving(repository, *model, *options, *several)
            with started(command) as (target, ready_s):
                for n, callers in plan.loads:
                    name = f"{precision}, {workers} workers, n={n}, {callers} callers"
                    yield name, put_load_on(target, n, callers, workers, plan)
                yield (
                    f"{precision}, {workers} workers, start",
                    {
                        "ready_s": round(ready_s, 1),
                        "images_per_s": 0.0,
                        "wrong_replies": 0,
                    },
                )


def put_load_on(target: str, n: int, callers: int, workers: int, plan: Plan) -> Row:
    """Measures one load, every reply compared."""
    processes = min(plan.processes, callers)
    config = LoadTestConfig(
        targets=(target,),
        sizes=((n, 1.0),),
        concurrency=callers,
        connections=min(2 * workers, max(1, callers // processes)),
        duration_s=plan.seconds,
        verify=True,
    )
    report = run_in_processes(config, processes)
    return {
        "images_per_s": round(report.images_per_s, 1),
        "requests_per_s": round(report.requests_per_s, 1),
        "p50_ms": round(report.latency_ms.get("50", 0.0), 2),
        "p99_ms": round(report.latency_ms.get("99", 0.0), 2),
        "refused_or_failed": report.requests - report.codes.get("OK", 0),
        "wrong_replies": report.mismatches or 0,
    }


if __name__ == "__main__":
    main()
