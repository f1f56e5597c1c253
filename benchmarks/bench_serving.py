"""What serving costs: the bare RPC, the service without a network, the bare session, and the service, in one run.

    python benchmarks/bench_serving.py [--quick] [--out benchmarks/results/serving.json]

The client runs on the same machine and is included. Each figure is the best of several rounds, in which the things
compared take turns, because what else runs on a machine only ever makes it slower; the claims are ratios of these.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import grpc
import onnxruntime as ort
from serving_models import IMAGE_SIZE, publish_models

from dcgan.serving.engine import CPU
from dcgan.serving.load import LoadConfig, LoadReport, run_load
from dcgan.v1 import generator_pb2 as pb
from dcgan.zoo import noise
from dcgan.zoo.processor import processor_family, processor_name

LOADS = ((1, 1), (1, 32), (16, 8), (64, 4))  # images of a request, callers
LIBRARIES = ("grpcio", "numpy", "onnxruntime-gpu", "protobuf")
SERVE = "from dcgan.serving.cli import serve; serve()"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one short round, to see that it works")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "serving.json")
    parser.add_argument("--serve-options", default="", help="more options of dcgan-serve")
    parser.add_argument("--note", default="", help="what a reader of the figures should know, e.g. what else ran")
    parser.add_argument("--echo", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.echo:
        asyncio.run(echo())
        return
    rounds, seconds = (1, 0.5) if arguments.quick else (4, 1.5)
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder)
        publish_models(repository)
        results = measure(repository, arguments.serve_options.split(), rounds, seconds)
    document = {"machine": describe_machine(), "rounds": rounds, "seconds": seconds, **results}
    document |= {"serve_options": arguments.serve_options, "note": arguments.note}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(document, indent=2) + "\n")
    print(json.dumps(results, indent=2))


def measure(repository: Path, options: list[str], rounds: int, seconds: float) -> dict[str, object]:
    serve = [sys.executable, "-c", SERVE, "--port", "0", "--metrics-port", "0", "--model-repository"]
    echo_command = [sys.executable, __file__, "--echo"]
    only_null, only_dcgan = (split(repository, name) for name in ("null", "dcgan64"))
    with (
        started(echo_command) as (bare, _),
        started([*serve, str(only_null), *options]) as (null, _),
        started([*serve, str(only_dcgan), *options]) as (served, ready_s),
    ):
        reports: dict[str, list[LoadReport]] = {}
        raw: dict[int, list[float]] = {}
        for _ in range(rounds):
            for n in sorted({n for n, _ in LOADS}):
                raw.setdefault(n, []).append(raw_rate(repository, n, seconds))
            for name, target in (("echo", bare), ("null", null), ("served", served)):
                for n, callers in LOADS:
                    report = load(target, n=n, callers=callers, seconds=seconds)
                    reports.setdefault(f"{name} n={n} callers={callers}", []).append(report)
        table = {name: summarise(several) for name, several in reports.items()}
        raw_images = {f"raw batch={n}": round(max(rates), 1) for n, rates in raw.items()}
        return {
            "images_per_s": raw_images | {name: row["images_per_s"] for name, row in table.items()},
            "latency_ms": {name: row["latency_ms"] for name, row in table.items()},
            "claims": claims(table, raw_images),
            "ready_s": round(ready_s, 2),
            "fairness": fairness(served, seconds),
            "overload": overload(served, seconds * 2),
        }


def claims(table: dict[str, dict], raw: dict[str, float]) -> dict[str, float]:
    """The ratios of the design's speed targets."""
    idle = "n=1 callers=1"
    p50 = {name: table[f"{name} {idle}"]["latency_ms"]["50"] for name in ("echo", "served")}
    return {
        "served n=64 / raw batch=64": round(table["served n=64 callers=4"]["images_per_s"] / raw["raw batch=64"], 3),
        "served n=16 / raw batch=16": round(table["served n=16 callers=8"]["images_per_s"] / raw["raw batch=16"], 3),
        "served n=1 / raw batch=1": round(table["served n=1 callers=32"]["images_per_s"] / raw["raw batch=1"], 3),
        "served n=1 / raw best": round(table["served n=1 callers=32"]["images_per_s"] / max(raw.values()), 3),
        "idle p50 over echo p50 and raw, ms": round(p50["served"] - p50["echo"] - 1000 / raw["raw batch=1"], 3),
    }


def fairness(target: str, seconds: float) -> dict[str, float]:
    """p99 of single images, two callers: alone among single images, and beside one that asks for 341 at a time."""
    alone = asyncio.run(beside(target, seconds, n=1, callers=30))
    crowd = asyncio.run(beside(target, seconds, n=341, callers=3))
    names = {"p99_beside_n=1_ms": alone.latency_ms["99"], "p99_beside_n=341_ms": crowd.latency_ms["99"]}
    return {name: round(value, 2) for name, value in names.items()} | {
        "ratio": round(crowd.latency_ms["99"] / alone.latency_ms["99"], 2)
    }


async def beside(target: str, seconds: float, *, n: int, callers: int) -> LoadReport:
    others = config(target, n=n, callers=callers, seconds=2 * seconds)
    singles = config(target, n=1, callers=2, seconds=2 * seconds)
    report, _ = await asyncio.gather(run_load(singles), run_load(others))
    return report


def overload(target: str, seconds: float) -> dict[str, float]:
    """Images that came within their deadline of a second, at twice and five times what the server can do."""
    peak = load(target, n=16, callers=8, seconds=seconds).images_per_s
    result = {"peak_images_per_s": round(peak, 1)}
    for factor in (2, 5):
        asked = LoadConfig(
            targets=(target,), sizes=((16, 1.0),), rate=factor * peak / 16, duration_s=seconds, timeout_s=1.0
        )
        report = asyncio.run(run_load(asked))
        result[f"goodput_at_{factor}x"] = round(report.images_per_s / peak, 3)
    calm = load(target, n=1, callers=1, seconds=seconds / 2)
    result["p99_two_seconds_later_ms"] = round(calm.latency_ms["99"], 2)
    return result


def raw_rate(repository: Path, n: int, seconds: float) -> float:
    """Images a second of ONNX Runtime alone, noise included, in batches of n, with the server's threads."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    path = repository / "dcgan64" / "1" / "generator.onnx"
    session = ort.InferenceSession(str(path), options, providers=[CPU])
    session.run(None, {"z": noise.latents(0, 0, n, 100)})
    done, began = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds:
        session.run(None, {"z": noise.latents(0, done, n, 100)})
        done += n
    return done / elapsed


def load(target: str, *, n: int, callers: int, seconds: float) -> LoadReport:
    return asyncio.run(run_load(config(target, n=n, callers=callers, seconds=seconds)))


def config(target: str, *, n: int, callers: int, seconds: float) -> LoadConfig:
    return LoadConfig(targets=(target,), sizes=((n, 1.0),), concurrency=callers, duration_s=seconds, warmup_s=0.5)


def summarise(reports: list[LoadReport]) -> dict:
    percentiles = reports[0].latency_ms
    return {
        "images_per_s": round(max(report.images_per_s for report in reports), 1),
        "latency_ms": {name: round(min(report.latency_ms[name] for report in reports), 2) for name in percentiles},
    }


def split(repository: Path, name: str) -> Path:
    """A repository with one of the models."""
    alone = repository / f"only-{name}"
    alone.mkdir()
    (alone / name).symlink_to(repository / name)
    return alone


@contextmanager
def started(command: list[str]) -> Iterator[tuple[str, float]]:
    """A server: its address, and the seconds it took to be ready."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        ready_s = time.perf_counter() - began
        yield line.partition(" at ")[2].partition(",")[0], ready_s
    finally:
        process.terminate()
        process.wait()


async def echo() -> None:
    """A bare grpc.aio server with replies of the same size."""

    async def generate(request: pb.GenerateRequest, _: object) -> pb.GenerateResponse:
        return pb.GenerateResponse(pixels=bytes(IMAGE_SIZE * IMAGE_SIZE * 3 * request.n), n=request.n)

    async def get_model(_: object, __: object) -> pb.GetModelResponse:
        return pb.GetModelResponse()

    unary = grpc.unary_unary_rpc_method_handler
    table = {
        "Generate": unary(generate, pb.GenerateRequest.FromString, pb.GenerateResponse.SerializeToString),
        "GetModel": unary(get_model, pb.GetModelRequest.FromString, pb.GetModelResponse.SerializeToString),
    }
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("dcgan.v1.GeneratorService", table),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"echo ready at 127.0.0.1:{port},", flush=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await server.stop(None)


def describe_machine() -> dict[str, object]:
    return {
        "processor": processor_name(),
        "family": processor_family(CPU),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


if __name__ == "__main__":
    main()
