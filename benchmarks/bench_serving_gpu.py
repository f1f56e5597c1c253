"""Throughput of a GPU, bare and served, by batch size, precision, CUDA graphs, sizes and workers.

    python benchmarks/bench_serving_gpu.py [--model-repository models]
        [--out benchmarks/results/serving-gpu.json]

Without a GPU nothing is measured. The first model of the repository is measured, in each precision
that it has an ONNX file for; by default the network of the seed recipe with random weights, in
fp32.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from servers import describe_machine, serving, started
from serving_models import publish_models

from dcgan.core import noise
from dcgan.core.cuda_driver import count_gpus
from dcgan.serving.engine.base import Engine
from dcgan.serving.engine.config import EngineConfig
from dcgan.serving.engine.factory import open_engines
from dcgan.serving.load_test import LoadTestConfig, run_load_test
from dcgan.zoo.repository import Release, list_releases

BATCH_SIZES = (64, 128, 256)
MIXED = ((1, 1.0), (7, 1.0), (32, 1.0), (100, 1.0), (256, 1.0))
SECONDS = 3.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model-repository", type=Path)
    parser.add_argument("--workers", default="1,2,4", help="numbers of server processes to try")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "serving-gpu.json"
    )
    arguments = parser.parse_args()
    if count_gpus() == 0:
        print("skipped: there is no NVIDIA GPU here")
        return

    with tempfile.TemporaryDirectory() as folder:
        repository = arguments.model_repository or Path(folder)
        if arguments.model_repository is None:
            publish_models(repository)
        workers = [int(number) for number in arguments.workers.split(",")]
        results = {
            "raw": measure_raw(list_releases(repository)[0]),
            "served": measure_served(repository, workers),
        }

    document = {"machine": describe_machine(), "gpus": count_gpus(), "seconds": SECONDS, **results}
    arguments.out.write_text(json.dumps(document, indent=2) + "\n")
    print(json.dumps(document, indent=2))


def measure_raw(release: Release) -> dict[str, float]:
    """Images/s of one engine, including copies to and from the GPU."""
    found = {}

    for file in release.manifest.files:
        if file.role != "onnx":
            continue
        for size, graphs in itertools.product(BATCH_SIZES, (False, True)):
            config = EngineConfig(
                device="cuda", instances=1, cuda_batch_size=size, cuda_graphs=graphs
            )
            (engine,) = open_engines(
                release.path(file), release.manifest, config, file.precision or "fp32"
            )
            name = f"{file.precision}, batch={size}{', CUDA graphs' if graphs else ''}"
            found[name] = rate(engine, release, [size])
            found[f"{name}, mixed sizes"] = rate(engine, release, list(range(1, size + 1, 15)))
    return found


def rate(engine: Engine, release: Release, sizes: list[int]) -> float:
    z = noise.latents(0, 0, max(sizes), release.manifest.latent_size)
    label = np.zeros(max(sizes), np.int64) if release.manifest.classes else None
    order = np.random.default_rng(0).permutation(sizes)
    done, began = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - began) < SECONDS:
        for n in order:
            engine.run(z[:n], None if label is None else label[:n])
            done += int(n)
    return round(done / elapsed, 1)


def measure_served(repository: Path, workers: list[int]) -> dict[str, float]:
    """Images/s through the service, with the client on the same machine."""
    model = list_releases(repository)[0].manifest.name
    found = {}

    for number in workers:
        for graphs in ("--no-cuda-graphs", "--cuda-graphs"):
            options = ("--model", model, "--device", "cuda", "--workers", str(number), graphs)
            command = serving(repository, *options)
            with started(command) as (target, _):
                name = f"{number} workers, {graphs.removeprefix('--')}"
                for sizes in (((1, 1.0),), ((64, 1.0),), ((256, 1.0),), MIXED):
                    config = LoadTestConfig(
                        targets=(target,),
                        sizes=sizes,
                        concurrency=64,
                        connections=8 * number,
                        duration_s=SECONDS,
                    )
                    label = f"n={sizes[0][0]}" if len(sizes) == 1 else "n mixed"
                    found[f"{name}, {label}"] = round(
                        asyncio.run(run_load_test(config)).images_per_s, 1
                    )
    return found


if __name__ == "__main__":
    main()
