"""Requests of one image over gRPC, beside a bare RPC and a bare ONNX Runtime session.

    python benchmarks/bench_one_image.py [--quick] [--note TEXT]
        [--out benchmarks/results/serving-one-image.json]

With 32 callers the service is compared with the bare session in its best batch, and with a ceiling:
a session each of whose images costs a bare RPC as well. With one caller, the figure is what an idle
server adds to the time of a bare RPC and of a run after a pause, and, since caches are colder after
an RPC than after a pause, to the time of both in turn. All ratios are taken within a round, in
which the things that are compared take turns; the results have the median and the quartiles over
the rounds, and the rates of the best round.

The processor time of a request is that of all threads of the server, or of the client. It depends
less than rates do on what else runs on the machine: there, a server and its client get more of the
processors than a bare session, which is one process. The ratio of processor times is the ratio of
rates to expect of an idle machine whose processors are all busy with the requests.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import grpc
from bench_serving import ON_CPU, Run, open_bare, raw_p50_ms, raw_rate, run_engine
from servers import ECHO, config, describe_machine, serving, split
from serving_models import publish_models

from dcgan.core import event_loop, noise
from dcgan.serving.engine.config import EngineConfig
from dcgan.serving.engine.factory import open_engines
from dcgan.serving.launch import LaunchedServer, launch_server
from dcgan.serving.load_test import LoadTestReport, run_load_test
from dcgan.v1 import generator_pb2 as pb
from dcgan.v1.generator_pb2_grpc import GeneratorServiceStub
from dcgan.zoo.repository import find_release

CALLERS = (1, 32)
RAW_BATCH = 64
PAUSE_S = 0.001

Row = dict[str, float]


def main() -> None:
    """Measures in rounds, prints the ratios, and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="one short round, to see that it works"
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "serving-one-image.json"
    )
    parser.add_argument(
        "--note", default="", help="what a reader of the figures should know, e.g. what else ran"
    )
    arguments = parser.parse_args()

    rounds, seconds = (1, 0.3) if arguments.quick else (arguments.rounds, 1.5)
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        publish_models(Path(folder))
        rows = measure(Path(folder), rounds, seconds)

    results = {
        "ratios": {name: quartiles([row[name] for row in rows]) for name in ratios(rows[0])},
        "cpu_us_per_request": best(rows, "cpu us", min),
        "requests_per_s": best(rows, "rate", max),
        "p50_ms": best(rows, "p50 ms", min),
    }
    document = {
        "machine": describe_machine(),
        "load_average": {"before": round(load_before, 1), "after": round(os.getloadavg()[0], 1)},
        "rounds": rounds,
        "seconds": seconds,
        "note": arguments.note,
        **results,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(document, indent=2) + "\n")
    print(json.dumps(document, indent=2))


def measure(repository: Path, rounds: int, seconds: float) -> list[Row]:
    """Returns the figures of each round."""
    path = repository / "dcgan64" / "1" / "generator.onnx"
    manifest = find_release(repository, "dcgan64").manifest
    session = open_bare(path)
    engine = partial(run_engine, open_engines(path, manifest, EngineConfig(device="cpu"))[0])
    served = serving(split(repository, "dcgan64"), *ON_CPU)
    null = serving(split(repository, "null"), *ON_CPU)
    folder = Path(__file__).parent

    with (
        launch_server(ECHO, cwd=folder) as echo_server,
        launch_server(served, cwd=folder) as served_server,
        launch_server(null, cwd=folder) as null_server,
    ):
        servers = {"echo": echo_server, "served": served_server, "null": null_server}
        for server in servers.values():
            put_load(server, max(CALLERS), seconds / 2)  # warms up

        rows = []
        for _ in range(rounds):
            row = {
                "raw rate": raw_rate([session], RAW_BATCH, seconds),
                "raw p50 ms": raw_p50_ms(engine, seconds, PAUSE_S),
                "raw cpu us": raw_cpu_us(engine, seconds),
                "echo and raw in turn p50 ms": event_loop.run(
                    in_turn_p50_ms(echo_server.address, engine, seconds)
                ),
                "served in turn p50 ms": event_loop.run(
                    in_turn_p50_ms(served_server.address, None, seconds)
                ),
            }
            for callers in CALLERS:
                for name, server in servers.items():
                    figures = measure_server(server, callers, seconds)
                    row |= {f"{name} x {callers} {key}": each for key, each in figures.items()}
            rows.append(row | ratios(row))
    return rows


def raw_cpu_us(run: Run, seconds: float) -> float:
    """Returns the processor time of one image in the best batch, its noise included."""
    before_s = time.process_time()
    began = time.perf_counter()
    rate = raw_rate([run], RAW_BATCH, seconds)
    images = rate * (time.perf_counter() - began)
    return 1e6 * (time.process_time() - before_s) / images


async def in_turn_p50_ms(address: str, run: Run | None, seconds: float) -> float:
    """Returns the median time of an RPC of one image and, if there is one, a run after it."""
    times: list[float] = []
    ends = time.perf_counter() + seconds
    async with grpc.aio.insecure_channel(address) as channel:
        stub = GeneratorServiceStub(channel)
        while (began := time.perf_counter()) < ends:
            await stub.Generate(pb.GenerateRequest(seed=len(times), n=1))
            if run is not None:
                run(noise.latents(0, len(times), 1, 100))
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


def measure_server(server: LaunchedServer, callers: int, seconds: float) -> Row:
    """Returns rate, median latency and processor time of requests of one image."""
    server_s = processor_s(server.process.pid)
    client_s = time.process_time()
    report = put_load(server, callers, seconds)
    client_s = time.process_time() - client_s
    server_s = processor_s(server.process.pid) - server_s

    sent = report.requests + callers  # the last one of each caller ends too late to count
    return {
        "rate": report.requests_per_s,
        "p50 ms": report.latency_ms["50"],
        "cpu us": 1e6 * server_s / sent,
        "client cpu us": 1e6 * client_s / sent,
    }


def put_load(server: LaunchedServer, callers: int, seconds: float) -> LoadTestReport:
    """Sends requests of one image, and counts from the first one on."""
    test = config(server.address, n=1, callers=callers, seconds=seconds)
    return event_loop.run(run_load_test(replace(test, warmup_s=0.0)))


def processor_s(pid: int) -> float:
    """Returns the processor time of a process so far, of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ratios(row: Row) -> Row:
    """Returns what is claimed, from the figures of one round."""
    raw = row["raw rate"]
    echo = row["echo x 32 rate"]
    cpu_us = row["served x 32 cpu us"] + row["served x 32 client cpu us"]
    beside_ms = row["echo x 1 p50 ms"] + row["raw p50 ms"]
    return {
        "served x 32 / raw": row["served x 32 rate"] / raw,
        "ceiling x 32 / raw": echo / (echo + raw),
        "null x 32 / echo x 32": row["null x 32 rate"] / echo,
        "cpu of raw / cpu of served x 32 and client": row["raw cpu us"] / cpu_us,
        "cpu of null x 32 / echo x 32": row["null x 32 cpu us"] / row["echo x 32 cpu us"],
        "idle p50 over echo and raw, ms": row["served x 1 p50 ms"] - beside_ms,
        "idle p50 over echo and raw in turn, ms": row["served in turn p50 ms"]
        - row["echo and raw in turn p50 ms"],
        "idle null p50 over echo, ms": row["null x 1 p50 ms"] - row["echo x 1 p50 ms"],
    }


def quartiles(values: list[float]) -> list[float]:
    """Returns the lower quartile, the median and the upper quartile."""
    if len(values) == 1:
        values *= 2
    return [round(value, 3) for value in statistics.quantiles(values, n=4, method="inclusive")]


def best(rows: list[Row], suffix: str, choose: Callable[[Iterable[float]], float]) -> Row:
    """Returns the best round of each figure whose name ends in `suffix`."""
    names = [name for name in rows[0] if name.endswith(f" {suffix}")]
    return {
        name.removesuffix(f" {suffix}"): round(choose(row[name] for row in rows), 2)
        for name in names
    }


if __name__ == "__main__":
    main()
