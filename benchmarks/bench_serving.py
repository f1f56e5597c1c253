"""Cost of serving: the bare RPC, the service without a network, the bare session, and the service.

    python benchmarks/bench_serving.py [--quick] [--out benchmarks/results/serving.json]

The client runs on the same machine and is included. Each figure is the best of several rounds, in
which the things that are compared take turns, because other load on a machine only ever makes it
slower; the claims are ratios of these figures. What an idle server adds to the time of one image is
the median over the rounds.

There are two bare sessions: `one session` is ONNX Runtime with its defaults, with a thread on each
processor, which spin; `as served` works as the engines of the server do, with as many batches at
once, and as many threads for each.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnxruntime as ort
import overload
from numpy.typing import NDArray
from servers import ECHO, describe_machine, load, serving, split, started
from serving_models import publish_models

from dcgan.core import noise
from dcgan.core.onnx_session import CPU
from dcgan.serving.engine.base import Engine
from dcgan.serving.engine.config import EngineConfig
from dcgan.serving.engine.factory import open_engines, share_processors
from dcgan.serving.load_test import LoadTestReport
from dcgan.zoo.repository import find_release

Run: TypeAlias = Callable[[NDArray[np.float32]], None]

LOADS = ((1, 1), (1, 32), (16, 8), (64, 4))  # images of a request, callers
ON_CPU = ("--device", "cpu")  # as the bare sessions are; for a GPU there is bench_serving_gpu.py
PICTURE = "serving-overload.png"


def main() -> None:
    """Measures the server and its parts, and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="one short round, to see that it works"
    )
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "serving.json"
    )
    parser.add_argument(
        "--note", default="", help="what a reader of the figures should know, e.g. what else ran"
    )
    arguments = parser.parse_args()

    rounds, seconds = (1, 0.5) if arguments.quick else (5, 2.0)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder)
        publish_models(repository)
        results = measure(repository, rounds, seconds, arguments.out.with_name(PICTURE))

    document = {
        "machine": describe_machine(),
        "rounds": rounds,
        "seconds": seconds,
        "note": arguments.note,
        **results,
    }
    arguments.out.write_text(json.dumps(document, indent=2) + "\n")
    print(json.dumps(results, indent=2))


def measure(repository: Path, rounds: int, seconds: float, picture: Path) -> dict[str, object]:
    """Measures everything in rounds; see the module."""
    only_null = split(repository, "null")
    only_dcgan = split(repository, "dcgan64")
    pools = open_pools(repository)

    raw: dict[str, list[float]] = {}
    # Times of one image, on one of the engines.
    alone: dict[str, list[float]] = {"again and again": [], "after a pause": []}
    reports: dict[str, list[LoadTestReport]] = {}

    with (
        started(ECHO) as (bare, _),
        started(serving(only_null, *ON_CPU)) as (null, _),
        started(serving(only_dcgan, *ON_CPU)) as (served, ready_s),
    ):
        for _ in range(rounds):
            for name, runs in pools.items():
                for n in sorted({n for n, _ in LOADS}):
                    raw.setdefault(f"raw batch={n}, {name}", []).append(raw_rate(runs, n, seconds))

            engine = pools["as served"][0]
            alone["again and again"].append(raw_p50_ms(engine, seconds, pause_s=0.0))
            alone["after a pause"].append(raw_p50_ms(engine, seconds, pause_s=0.001))

            # One caller first: what is subtracted from its time was measured just before.
            for n, callers in LOADS:
                for name, target in (("echo", bare), ("served", served), ("null", null)):
                    report = load(target, n=n, callers=callers, seconds=seconds)
                    reports.setdefault(f"{name} n={n} callers={callers}", []).append(report)

        crowded = overload.measure(served, 4 * seconds, picture)

    return summarise_all(raw, alone, reports) | {"ready_s": round(ready_s, 2), **crowded}


def open_pools(repository: Path) -> dict[str, list[Run]]:
    """Opens the bare sessions; see the module."""
    path = repository / "dcgan64" / "1" / "generator.onnx"
    manifest = find_release(repository, "dcgan64").manifest
    engines = open_engines(path, manifest, EngineConfig(device="cpu"))
    return {
        "one session": [open_bare(path)],
        "as served": [partial(run_engine, engine) for engine in engines],
    }


def summarise_all(
    raw: dict[str, list[float]],
    alone: dict[str, list[float]],
    reports: dict[str, list[LoadTestReport]],
) -> dict[str, object]:
    """Summarises the figures of all rounds."""
    shared = share_processors(EngineConfig(), CPU, len(os.sched_getaffinity(0)))
    raw_images = {name: round(max(rates), 1) for name, rates in raw.items()}
    table = {name: summarise(several) for name, several in reports.items()}
    added = idle(reports, alone)

    return {
        "engines": {"instances": shared.instances, "intra_op_threads": shared.intra_op_threads},
        "images_per_s": raw_images | {name: row["images_per_s"] for name, row in table.items()},
        "latency_ms": {name: row["latency_ms"] for name, row in table.items()},
        "raw_one_image_p50_ms": {name: round(min(values), 2) for name, values in alone.items()},
        "claims": claims(table, raw_images)
        | {f"{name}, ms": statistics.median(ms) for name, ms in added.items()},
        "claims_by_round_ms": added,
    }


def claims(table: dict[str, dict[str, Any]], raw: dict[str, float]) -> dict[str, float]:
    """Ratios of the speed targets; the ceiling is a bare session whose images each cost an echo."""
    result = {}
    for pool in ("one session", "as served"):
        best = max(rate for name, rate in raw.items() if name.endswith(pool))
        for n, callers in LOADS[1:]:
            # Requests of one image are served in batches.
            beside = best if n == 1 else raw[f"raw batch={n}, {pool}"]
            name = "best batch" if n == 1 else f"batch={n}"
            rate = table[f"served n={n} callers={callers}"]["images_per_s"]
            result[f"served n={n} / raw {name}, {pool}"] = round(rate / beside, 3)

        echo = table["echo n=1 callers=32"]["images_per_s"]
        result[f"ceiling of n=1 / raw best batch, {pool}"] = round(echo / (echo + best), 3)
    return result


def idle(
    reports: dict[str, list[LoadTestReport]], alone: dict[str, list[float]]
) -> dict[str, list[float]]:
    """Time that an idle server adds to a bare RPC and a bare run, by round, as all three drift."""
    p50 = {
        name: [each.latency_ms["50"] for each in reports[f"{name} n=1 callers=1"]]
        for name in ("echo", "served")
    }
    rounds = zip(p50["served"], p50["echo"], strict=True)
    beside = [served - echo for served, echo in rounds]
    return {
        f"idle p50 over echo p50 and raw {name}": [
            round(a - b, 3) for a, b in zip(beside, times, strict=True)
        ]
        for name, times in alone.items()
    }


def open_bare(path: Path) -> Run:
    """Opens an ONNX Runtime session with its defaults."""
    session = ort.InferenceSession(str(path), providers=[CPU])

    def run(z: NDArray[np.float32]) -> None:
        session.run(None, {"z": z})

    run(noise.latents(0, 0, 1, 100))
    return run


def run_engine(engine: Engine, z: NDArray[np.float32]) -> None:
    """Runs latent vectors on an engine, in batches of its size."""
    for start in range(0, len(z), engine.max_batch):
        engine.run(z[start : start + engine.max_batch], None)


def raw_rate(runs: list[Run], n: int, seconds: float) -> float:
    """Images/s of ONNX Runtime and the noise, in batches of n, with a thread for each of `runs`."""
    done = [0] * len(runs)
    began = time.perf_counter()

    def work(i: int) -> None:
        while time.perf_counter() - began < seconds:
            runs[i](noise.latents(i, done[i], n, 100))
            done[i] += n

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(runs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.perf_counter() - began)


def raw_p50_ms(run: Run, seconds: float, pause_s: float) -> float:
    """Median time of one image; after a pause, as in an idle server, caches are colder."""
    times: list[float] = []
    ends = time.perf_counter() + seconds
    while (began := time.perf_counter()) < ends:
        run(noise.latents(0, len(times), 1, 100))
        times.append(time.perf_counter() - began)
        if pause_s:
            time.sleep(pause_s)
    return statistics.median(times) * 1000


def summarise(reports: list[LoadTestReport]) -> dict[str, Any]:
    """Returns the best throughput and latency of several reports."""
    percentiles = reports[0].latency_ms
    return {
        "images_per_s": round(max(report.images_per_s for report in reports), 1),
        "latency_ms": {
            name: round(min(report.latency_ms[name] for report in reports), 2)
            for name in percentiles
        },
    }


if __name__ == "__main__":
    main()
