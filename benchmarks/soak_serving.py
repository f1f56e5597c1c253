"""Growth of a server under constant load: memory, files, threads and tasks over half an hour.

    python benchmarks/soak_serving.py [--minutes 30] [--out benchmarks/results/serving-soak.json]

The load is a mix: single images and batches from callers without a pause, streams that are left in
the middle, cancelled requests, and refused requests.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from servers import SERVE, describe_machine

from dcgan.serving.client import AsyncClient, ClientError
from dcgan.serving.launch import launch_server

SAMPLE_S = 10.0
SERIES = {
    "rss_mb": "process_resident_memory_bytes",
    "files": "process_open_fds",
    "tasks": "dcgan_event_loop_tasks",
    "queue": 'dcgan_queue_images{model="dcgan64-tiny"}',
    "images": 'dcgan_images_total{model="dcgan64-tiny"}',
}


@dataclass(frozen=True)
class Server:
    """A server under load: its process, its address, and its page of metrics."""

    pid: int
    target: str
    metrics: str


def main() -> None:
    """Loads a server for a long time and writes its use of memory, files and threads."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0, help="after the warm-up")
    parser.add_argument("--warmup-minutes", type=float, default=3.0)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "serving-soak.json"
    )
    arguments = parser.parse_args()

    samples, counts = asyncio.run(soak(arguments.warmup_minutes * 60, arguments.minutes * 60))
    document = {
        "machine": describe_machine(),
        **describe(samples, arguments.minutes),
        "requests": counts,
    }
    arguments.out.write_text(json.dumps(document, indent=2) + "\n")
    print(json.dumps(document, indent=2))


def describe(samples: list[dict[str, float]], minutes: float) -> dict[str, object]:
    """Slopes by least squares, and first and last values as the mean of a tenth of the samples."""
    tenth = max(1, len(samples) // 10)
    times = [sample["minute"] for sample in samples]
    slope = np.polyfit(times, [sample["rss_mb"] for sample in samples], 1)[0]
    ends = {
        name: [
            round(float(np.mean([sample[name] for sample in part])), 1)
            for part in (samples[:tenth], samples[-tenth:])
        ]
        for name in ("rss_mb", "files", "threads", "tasks", "queue")
    }
    images = samples[-1]["images"] - samples[0]["images"]

    return {
        "minutes": minutes,
        "samples": len(samples),
        "images_per_s": round(images / (times[-1] - times[0]) / 60, 1),
        "rss_slope_mb_per_min": round(float(slope), 3),
        "first_and_last_tenth": ends,
        "rss_mb": [round(sample["rss_mb"], 1) for sample in samples],
    }


async def soak(warmup_s: float, seconds: float) -> tuple[list[dict[str, float]], dict[str, int]]:
    """Loads a server; returns samples of its metrics and the number of calls of each kind."""
    with launch_server([*SERVE, "--instances", "2"]) as launched:
        report = launched.report
        server = Server(report.pid, report.address, f"http://{report.metrics_addresses[0]}/metrics")
        counts: dict[str, int] = {}

        async with AsyncClient(server.target) as client:
            callers = [asyncio.create_task(call_on(client, i, counts)) for i in range(48)]
            await asyncio.sleep(warmup_s)

            samples = []
            began = time.monotonic()
            while (now := time.monotonic() - began) < seconds:
                samples.append({"minute": now / 60, **await asyncio.to_thread(sample, server)})
                await asyncio.sleep(SAMPLE_S)

            for caller in callers:
                caller.cancel()
            await asyncio.gather(*callers, return_exceptions=True)

    if launched.process.returncode != 0:
        sys.exit("the server did not end as it should")
    return samples, counts


async def call_on(client: AsyncClient, number: int, counts: dict[str, int]) -> None:
    """Sends one request of a random kind after the other, until it is cancelled."""
    source = random.Random(number)
    kinds = [single, single, single, batch, leave_stream, cancel, be_refused]

    while True:
        kind = source.choice(kinds)
        try:
            await kind(client, source)
            counts[kind.__name__] = counts.get(kind.__name__, 0) + 1
        except ClientError as error:
            name = error.reason or error.code.name
            counts[name] = counts.get(name, 0) + 1


async def single(client: AsyncClient, source: random.Random) -> None:
    """Requests one image."""
    await client.generate(source.randrange(2**64))


async def batch(client: AsyncClient, source: random.Random) -> None:
    """Requests several images."""
    await client.generate(source.randrange(2**64), source.choice([8, 16, 64]))


async def leave_stream(client: AsyncClient, source: random.Random) -> None:
    """Starts a long stream and leaves after the first chunk."""
    stream = client.stream(source.randrange(2**64), 10_000)
    await anext(stream)
    await stream.aclose()


async def cancel(client: AsyncClient, source: random.Random) -> None:
    """Cancels a request after a random time."""
    task = asyncio.ensure_future(client.generate(source.randrange(2**64), 64))
    await asyncio.sleep(source.random() * 0.05)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def be_refused(client: AsyncClient, source: random.Random) -> None:
    """Sends a request that the server refuses."""
    await client.generate(source.randrange(2**64), label=1)


def sample(server: Server) -> dict[str, float]:
    """Reads the metrics of the server and counts its threads."""
    with urllib.request.urlopen(server.metrics) as page:
        lines = dict(
            line.rsplit(" ", 1)
            for line in page.read().decode().splitlines()
            if not line.startswith("#")
        )

    values = {name: float(lines[series]) for name, series in SERIES.items()}
    return {
        **values,
        "rss_mb": values["rss_mb"] / 2**20,
        "threads": len(os.listdir(f"/proc/{server.pid}/task")),
    }


if __name__ == "__main__":
    main()
