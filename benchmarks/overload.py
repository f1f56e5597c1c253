"""One small request beside large ones, and more requests than the server can answer: figures, and a picture of both."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
from servers import config, load

from dcgan.serving.aio import AsyncClient
from dcgan.serving.load import run_load
from dcgan.v1 import generator_pb2 as pb
from dcgan.v1.generator_pb2_grpc import GeneratorServiceStub

IMAGES = 64  # of a request; a refusal costs the client, on the same processors, as much as an answer
DEADLINE_S = 1.0
BASE = 0.5  # share of the peak that is asked for between the overloads
PHASES = (BASE, 2.0, BASE, 5.0, BASE)
CALM_S = 2.0  # after an overload, until everything must be as before


@dataclass(frozen=True)
class Answer:
    """A request: when it was due, what it took, and its code."""

    due: float
    seconds: float
    code: str


def fairness(target: str, seconds: float) -> dict[str, float]:
    """p99 of single images, two callers: beside 30 that ask for one too, and beside one that asks for 1,024."""
    alone = asyncio.run(beside_singles(target, seconds))
    crowd = asyncio.run(beside_1024(target, seconds))
    names = {"p99_beside_n=1_ms": alone, "p99_beside_n=1024_ms": crowd, "ratio": crowd / alone}
    return {name: round(value, 2) for name, value in names.items()}


async def beside_singles(target: str, seconds: float) -> float:
    others = run_load(config(target, n=1, callers=30, seconds=seconds))
    report, _ = await asyncio.gather(run_load(config(target, n=1, callers=2, seconds=seconds)), others)
    return report.latency_ms["99"]


async def beside_1024(target: str, seconds: float) -> float:
    async def ask_on() -> None:
        async with AsyncClient(target, timeout_s=1000) as client:
            while True:
                async for _ in client.stream(1, 1024):
                    pass

    hog = asyncio.ensure_future(ask_on())
    report = await run_load(config(target, n=1, callers=2, seconds=seconds))
    hog.cancel()
    await asyncio.wait([hog])
    return report.latency_ms["99"]


def overload(target: str, seconds: float, picture: Path | None) -> dict[str, float]:
    """Images that came within their deadline at twice and five times the peak, and what it is like afterwards."""
    peak = load(target, n=IMAGES, callers=4, seconds=seconds).images_per_s
    answers = asyncio.run(ask_in_phases(target, peak, seconds))
    before = p99(answers, 0.5, seconds)
    result = {"peak_images_per_s": round(peak, 1), "base_p99_before_ms": round(before, 2)}
    for i, factor in enumerate(PHASES):
        begin, end = i * seconds, (i + 1) * seconds
        if factor > 1:
            result[f"goodput_at_{factor:g}x"] = round(goodput(answers, begin, end) / peak, 3)
        elif i:
            calm = p99(answers, begin + CALM_S, end)
            result[f"base_p99_2_s_after_{PHASES[i - 1]:g}x_ms"] = round(calm, 2)
    if picture is not None:
        draw(answers, peak, seconds, picture)
    return result


async def ask_in_phases(target: str, peak: float, seconds: float) -> list[Answer]:
    """Sends requests by a Poisson process whose rate changes with the phases; nobody waits for an answer."""
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

        due = 0.0
        while due < len(PHASES) * seconds:
            await asyncio.sleep(max(0.0, start + due - time.perf_counter()))
            tasks.add(asyncio.create_task(ask(due)))
            due += source.expovariate(PHASES[int(due / seconds)] * peak / IMAGES)
        await asyncio.gather(*tasks)
    return answers


def goodput(answers: list[Answer], begin: float, end: float) -> float:
    """Images a second whose answers came between two moments, in time."""
    came = [each.due + each.seconds for each in answers if each.code == "OK" and each.seconds <= DEADLINE_S]
    return IMAGES * sum(begin <= moment < end for moment in came) / (end - begin)


def p99(answers: list[Answer], begin: float, end: float) -> float:
    """Milliseconds, of the good answers to requests that were due between two moments."""
    return float(np.percentile([a.seconds * 1e3 for a in answers if a.code == "OK" and begin <= a.due < end], 99))


def draw(answers: list[Answer], peak: float, seconds: float, path: Path) -> None:
    """What was asked for and what came, and how long the answers took, over time."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (above, below) = pyplot.subplots(2, 1, figsize=(8, 5), sharex=True, layout="constrained")
    step = 0.5
    times = np.arange(0, len(PHASES) * seconds, step)
    asked = [IMAGES * sum(t <= a.due < t + step for a in answers) / step for t in times]
    above.step(times, asked, where="post", color="0.6", label="asked for")
    came = [goodput(answers, t, t + step) for t in times]
    above.step(times, came, where="post", color="tab:green", label="came in time")
    above.axhline(peak, color="tab:green", linewidth=0.8, linestyle=":", label="peak, closed loop")
    above.set_ylabel("images/s")
    above.legend(loc="upper left", fontsize=8)
    for code, colour in (("OK", "tab:green"), ("RESOURCE_EXHAUSTED", "tab:orange"), ("DEADLINE_EXCEEDED", "tab:red")):
        some = [each for each in answers if each.code == code]
        milliseconds = [1000 * each.seconds for each in some]
        below.plot([a.due for a in some], milliseconds, ".", markersize=2, color=colour, label=f"{code}, {len(some)}")
    below.set_yscale("log")
    below.set_ylabel("answer after, ms")
    below.set_xlabel("s")
    below.legend(loc="upper left", fontsize=8, markerscale=4)
    figure.savefig(path, dpi=90)
    pyplot.close(figure)
