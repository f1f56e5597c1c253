"""Fairness and overload: figures, and a plot of both."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import numpy as np
from servers import config, load

from dcgan.serving.client import AsyncClient
from dcgan.serving.load_test import run_load_test
from dcgan.v1 import generator_pb2 as pb
from dcgan.v1.generator_pb2_grpc import GeneratorServiceStub

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Images of a request: a refusal costs the client, on the same processors, as much as an answer.
IMAGES = 64
DEADLINE_S = 1.0
BASE = 0.5  # load between the overloads, as a share of the peak
PHASES = (BASE, 2.0, BASE, 5.0, BASE)
CALM_S = 2.0  # time after an overload until latency must be as before


@dataclass(frozen=True)
class Answer:
    """A request: when it was due, what it took, and its code."""

    due: float
    seconds: float
    code: str


def measure(target: str, seconds: float, picture: Path) -> dict[str, dict[str, float]]:
    """Measures fairness for some seconds, and overload in five phases of twice that."""
    beside = fairness(target, seconds)
    peak = load(target, n=IMAGES, callers=4, seconds=seconds).images_per_s
    phase_s = max(2 * seconds, 2 * CALM_S)
    answers = asyncio.run(ask_in_phases(target, peak, phase_s))
    draw(beside, answers, peak, phase_s, picture)

    first, second = (latency["99"] for latency in beside.values())
    p99s = {f"p99_beside_{name}_ms": round(latency["99"], 2) for name, latency in beside.items()}
    return {
        "fairness": p99s | {"ratio": round(second / first, 2)},
        "overload": overload(answers, peak, phase_s),
    }


def fairness(target: str, seconds: float) -> dict[str, dict[str, float]]:
    """Latency of single images for two callers, beside 30 callers of 1 or beside one of 1,024."""
    return {
        "n=1": asyncio.run(beside_singles(target, seconds)),
        "n=1024": asyncio.run(beside_1024(target, seconds)),
    }


async def beside_singles(target: str, seconds: float) -> dict[str, float]:
    """Measures two callers of single images while 30 others do the same."""
    others = run_load_test(config(target, n=1, callers=30, seconds=seconds))
    report, _ = await asyncio.gather(
        run_load_test(config(target, n=1, callers=2, seconds=seconds)), others
    )
    return report.latency_ms


async def beside_1024(target: str, seconds: float) -> dict[str, float]:
    """Measures two callers of single images while another streams 1,024 at a time."""

    async def ask_on() -> None:
        async with AsyncClient(target, timeout_s=1000) as client:
            while True:
                async for _ in client.stream(1, 1024):
                    pass

    hog = asyncio.ensure_future(ask_on())
    report = await run_load_test(config(target, n=1, callers=2, seconds=seconds))
    if hog.done():
        hog.result()  # raises why there was no load beside
    hog.cancel()
    await asyncio.wait([hog])
    return report.latency_ms


def overload(answers: list[Answer], peak: float, phase_s: float) -> dict[str, float]:
    """Goodput at twice and at five times the peak, and the latency before and afterwards."""
    before = p99(answers, CALM_S, phase_s)
    result = {"peak_images_per_s": round(peak, 1), "base_p99_before_ms": round(before, 2)}

    for i, factor in enumerate(PHASES):
        begin, end = i * phase_s, (i + 1) * phase_s
        if factor > 1:
            result[f"goodput_at_{factor:g}x"] = round(goodput(answers, begin, end) / peak, 3)
        elif i:
            calm = p99(answers, begin + CALM_S, end)
            result[f"base_p99_2_s_after_{PHASES[i - 1]:g}x_ms"] = round(calm, 2)
    return result


async def ask_in_phases(target: str, peak: float, phase_s: float) -> list[Answer]:
    """Sends requests in an open loop: a Poisson process with another rate in each phase."""
    answers: list[Answer] = []
    tasks: set[asyncio.Task[None]] = set()
    source = random.Random(0)
    async with grpc.aio.insecure_channel(target, options=[("grpc.enable_retries", 0)]) as channel:
        stub = GeneratorServiceStub(channel)
        await stub.Generate(pb.GenerateRequest(seed=0, n=1))
        start = time.perf_counter()

        async def ask(due: float) -> None:
            try:
                request = pb.GenerateRequest(seed=source.randrange(2**32), n=IMAGES)
                await stub.Generate(request, timeout=DEADLINE_S)
                code = "OK"
            except grpc.aio.AioRpcError as error:
                code = error.code().name
            answers.append(Answer(due, time.perf_counter() - start - due, code))

        for due in arrivals(source, peak, phase_s):
            await asyncio.sleep(max(0.0, start + due - time.perf_counter()))
            tasks.add(asyncio.create_task(ask(due)))
        await asyncio.gather(*tasks)
    return answers


def arrivals(source: random.Random, peak: float, phase_s: float) -> Iterator[float]:
    """Times when requests are due. Each phase starts a process, as these have no memory."""
    for i, factor in enumerate(PHASES):
        due = i * phase_s
        while (due := due + source.expovariate(factor * peak / IMAGES)) < (i + 1) * phase_s:
            yield due


def goodput(answers: list[Answer], begin: float, end: float) -> float:
    """Images a second whose answers came between two moments, in time."""
    came = [
        each.due + each.seconds
        for each in answers
        if each.code == "OK" and each.seconds <= DEADLINE_S
    ]
    return IMAGES * sum(begin <= moment < end for moment in came) / (end - begin)


def p99(answers: list[Answer], begin: float, end: float) -> float:
    """Milliseconds, of the good answers to requests that were due between two moments."""
    return float(
        np.percentile(
            [a.seconds * 1e3 for a in answers if a.code == "OK" and begin <= a.due < end], 99
        )
    )


def draw(
    beside: dict[str, dict[str, float]],
    answers: list[Answer],
    peak: float,
    phase_s: float,
    path: Path,
) -> None:
    """Plots the fairness; below it load, goodput and latency over time."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (top, middle, bottom) = pyplot.subplots(3, 1, figsize=(8, 7.5), layout="constrained")
    middle.sharex(bottom)
    draw_fairness(top, beside)

    # Load and goodput over time.
    step = 0.5
    times = np.arange(0, len(PHASES) * phase_s, step)
    asked = [IMAGES * sum(t <= a.due < t + step for a in answers) / step for t in times]
    middle.step(times, asked, where="post", color="0.6", label="asked for")
    came = [goodput(answers, t, t + step) for t in times]
    middle.step(times, came, where="post", color="tab:green", label="came in time")
    middle.axhline(peak, color="tab:green", linewidth=0.8, linestyle=":", label="peak, closed loop")
    middle.set_ylabel("images/s")
    middle.legend(loc="upper left", fontsize=8)

    draw_latency(bottom, answers)
    figure.savefig(path, dpi=90)
    pyplot.close(figure)


def draw_latency(axes: Axes, answers: list[Answer]) -> None:
    """Points of latency over time, by status."""
    for code, colour in (
        ("OK", "tab:green"),
        ("RESOURCE_EXHAUSTED", "tab:orange"),
        ("DEADLINE_EXCEEDED", "tab:red"),
    ):
        some = [each for each in answers if each.code == code]
        milliseconds = [1000 * each.seconds for each in some]
        axes.plot(
            [a.due for a in some],
            milliseconds,
            ".",
            markersize=2,
            color=colour,
            label=f"{code}, {len(some)}",
        )
    axes.set_yscale("log")
    axes.set_ylabel("answer after, ms")
    axes.set_xlabel("s")
    axes.legend(loc="upper left", fontsize=8, markerscale=4)


def draw_fairness(axes: Axes, beside: dict[str, dict[str, float]]) -> None:
    """Bars of latency by percentile."""
    for i, (name, latency) in enumerate(beside.items()):
        places = np.arange(len(latency)) + 0.4 * (i - 0.5)
        label = "beside 30 callers of 1" if name == "n=1" else "beside a caller of 1,024"
        bars = axes.bar(
            places, list(latency.values()), width=0.38, color=("0.6", "tab:green")[i], label=label
        )
        axes.bar_label(bars, fmt="%.0f", fontsize=8)

    axes.set_xticks(range(len(latency)), [f"p{share}" for share in latency])
    axes.set_ylabel("one image after, ms")
    axes.margins(y=0.15)
    axes.legend(loc="upper left", fontsize=8)
