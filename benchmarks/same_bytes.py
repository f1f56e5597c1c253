"""Compares every byte of many random requests to two servers that run differently.

    python benchmarks/same_bytes.py [--requests 10000]
        [--out benchmarks/results/serving-same-bytes.json]

Every reply is compared with what an engine in this process computes from the noise: on the CPU each
image alone in its batch; on CUDA (`--device cuda`), where batches have one size, the images of a
request in random order and places among others. Meanwhile a third as many requests again are
cancelled, and halfway one server is stopped and another one takes its port. Exit code 1 if a byte
differs or a request fails.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import numpy as np
from servers import SERVE, describe_machine

from dcgan.core import noise
from dcgan.core.images import decode_png, untile
from dcgan.serving.client.channel import channel_options
from dcgan.serving.client.replies import Response, read_pixels
from dcgan.serving.client.targets import TargetResolver
from dcgan.serving.engine.config import EngineConfig
from dcgan.serving.engine.factory import open_engines
from dcgan.serving.launch import LaunchedServer, NotReadyError, launch_server
from dcgan.v1 import generator_pb2 as pb
from dcgan.v1.generator_pb2_grpc import GeneratorServiceStub as Stub
from dcgan.zoo.repository import SHIPPED, list_releases

RGB, PNG, GRID = pb.IMAGE_FORMAT_RGB8, pb.IMAGE_FORMAT_PNG, pb.IMAGE_FORMAT_PNG_GRID
CALLERS = 24
TRIES = 5
SIZES = (1, 1, 1, 1, 2, 3, 5, 8, 16, 17, 33, 64)
OFFSETS = (0, 0, 1, 1000, 2**32 - 3, 2**63 - 5, 2**64 - 64)
ODD = (
    "--instances",
    "1",
    "--intra-op-threads",
    "2",
    "--max-batch-size",
    "7",
    "--quantum-images",
    "3",
)

Expected = Callable[[int, int, int], np.ndarray]


@dataclass(frozen=True)
class Serving:
    """How the servers, and the reference, run the model."""

    device: str
    precision: str
    second_workers: int = 1


@dataclass
class Findings:
    """Results of the requests."""

    replies: int = 0
    images: int = 0
    differing_replies: int = 0
    differing_bytes: int = 0
    called_off: int = 0
    by_format: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)


def main() -> None:
    """Compares two servers and exits with code 1 if a byte differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument(
        "--repository", type=Path, default=SHIPPED, help="the first model of it is asked for"
    )
    parser.add_argument(
        "--second-repository",
        type=Path,
        help="of the second server, to see that a difference is seen",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--precision", default="fp32", help="of the file that is served")
    parser.add_argument("--second-workers", type=int, default=1, help="of the second server")
    parser.add_argument("--quiet", action="store_true", help="do not print the result")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "serving-same-bytes.json"
    )
    arguments = parser.parse_args()

    began = time.perf_counter()
    repositories = arguments.repository, arguments.second_repository or arguments.repository
    serving = Serving(arguments.device, arguments.precision, arguments.second_workers)
    findings = asyncio.run(compare(*repositories, arguments.requests, arguments.seed, serving))

    document = {
        "machine": describe_machine(),
        "seconds": round(time.perf_counter() - began, 1),
        "device": serving.device,
        "precision": serving.precision,
        "requests": arguments.requests,
        "second_server": " ".join(options_of_second(serving)),
        **vars(findings),
    }
    arguments.out.write_text(json.dumps(document, indent=2) + "\n")
    if not arguments.quiet:
        print(json.dumps(document, indent=2))

    if findings.differing_bytes or findings.failures or findings.replies != arguments.requests:
        sys.exit(1)


async def compare(
    first: Path, second: Path, requests: int, seed: int, serving: Serving
) -> Findings:
    """Sends random requests to two servers, the second of which is restarted halfway."""
    findings = Findings()
    source = random.Random(seed)
    expected = reference(first, serving)
    options_of_both = ("--device", serving.device, "--precision", serving.precision)
    odd = options_of_second(serving)
    numbers = iter(range(requests))

    with ExitStack() as stack:
        one = await start(stack, first, "0", *options_of_both)
        two = await start(stack, second, "0", *options_of_both, *odd)
        target = f"{one.address},{two.address}"
        options = channel_options(target)
        async with grpc.aio.insecure_channel(
            TargetResolver(target).resolve(), options=options
        ) as channel:
            stub = Stub(channel)
            workers = [
                ask_on(stub, expected, findings, numbers, random.Random(source.random()))
                for _ in range(CALLERS)
            ]
            asking = asyncio.gather(*workers)

            # Halfway, replace the second server.
            while findings.replies < requests // 2 and not asking.done():
                await asyncio.sleep(0.01)
            two.process.terminate()
            await asyncio.to_thread(two.process.wait)
            port = two.address.rpartition(":")[2]
            await start_again(stack, second, port, *options_of_both, *odd)
            await asking
    return findings


async def start(stack: ExitStack, repository: Path, port: str, *options: str) -> LaunchedServer:
    """Starts a server, which ends with the stack, and waits until it is ready.

    Raises:
        NotReadyError: if it ends before.
    """
    model = list_releases(repository)[0].manifest.name
    command = [*SERVE, "--model-repository", str(repository), "--model", model, "--port", port]
    launch = launch_server([*command, "--log-level", "warning", *options])
    return await asyncio.to_thread(stack.enter_context, launch)


async def start_again(stack: ExitStack, repository: Path, port: str, *options: str) -> None:
    """Starts a server on a port that another has just left, which may be in use for a moment."""
    for _ in range(TRIES):
        with suppress(NotReadyError):
            await start(stack, repository, port, *options)
            return
        await asyncio.sleep(1)
    await start(stack, repository, port, *options)


async def ask_on(
    stub: Stub,
    expected: Expected,
    findings: Findings,
    numbers: Iterator[int],
    source: random.Random,
) -> None:
    """Sends requests and compares the replies, as long as there are numbers left."""
    for _ in numbers:
        n = source.choice(SIZES)
        image_format = source.choice([RGB, RGB, PNG, GRID])
        offset = min(source.choice([*OFFSETS, source.randrange(2**64)]), 2**64 - n)
        request = pb.GenerateRequest(
            seed=source.choice([0, 7, 2**64 - 1, source.randrange(2**64)]), n=n, offset=offset
        )
        request.format = image_format

        if source.random() < 1 / 3:
            await call_off(stub, source, findings)
        try:
            reply = await ask(stub, request, stream=source.random() < 0.2)
        except grpc.aio.AioRpcError as error:
            findings.failures[f"{error.code().name}: {error.details()}"] += 1
            continue

        wanted = await asyncio.to_thread(expected, request.seed, offset, n)
        findings.replies += 1
        findings.images += n
        findings.by_format[pb.ImageFormat.Name(image_format)] += 1
        differing = int((reply != wanted).sum()) if reply.shape == wanted.shape else wanted.size
        findings.differing_bytes += differing
        findings.differing_replies += differing > 0


async def ask(stub: Stub, request: pb.GenerateRequest, *, stream: bool) -> np.ndarray:
    """Returns the pixels of a request, in whichever format it asks for them."""
    if not stream:
        return read(await stub.Generate(request, timeout=120), request.format)
    same = pb.GenerateStreamRequest(
        seed=request.seed, n=request.n, offset=request.offset, format=request.format
    )
    return np.concatenate(
        [read(chunk, request.format) async for chunk in stub.GenerateStream(same, timeout=120)]
    )


def read(reply: Response, image_format: int) -> np.ndarray:
    """Returns the pixels of a reply in any format."""
    if image_format == RGB:
        return read_pixels(reply)
    if image_format == PNG:
        return np.stack([decode_png(png) for png in reply.png])
    return untile(decode_png(reply.png[0]), reply.n, columns=int(np.ceil(np.sqrt(reply.n))))


async def call_off(stub: Stub, source: random.Random, findings: Findings) -> None:
    """Sends a request and cancels it."""
    call = stub.Generate(
        pb.GenerateRequest(seed=source.randrange(2**64), n=source.choice(SIZES)), timeout=120
    )
    await asyncio.sleep(source.random() * 0.02)
    findings.called_off += call.cancel()
    with suppress(asyncio.CancelledError, grpc.aio.AioRpcError):
        await call


def options_of_second(serving: Serving) -> tuple[str, ...]:
    """Returns the options of the second server that differ from those of the first."""
    workers = serving.second_workers
    return (*ODD, "--workers", str(workers)) if workers > 1 else ODD


def reference(repository: Path, serving: Serving) -> Expected:
    """Makes the images of the first model of a repository, in other batches than the servers."""
    release = list_releases(repository)[0]
    manifest = release.manifest
    file = manifest.file("onnx", serving.precision)
    if file is None:
        raise SystemExit(f"{manifest.name} has no ONNX file in {serving.precision}")
    config = EngineConfig(device=serving.device, instances=1, intra_op_threads=1)
    (engine,) = open_engines(release.path(file), manifest, config, serving.precision)

    def draw(seed: int, offset: int, n: int) -> tuple[np.ndarray, np.ndarray | None]:
        z = noise.latents(seed, offset, n, manifest.latent_size)
        return z, noise.labels(offset, n, manifest.classes) if manifest.classes else None

    def make_alone(seed: int, offset: int, n: int) -> np.ndarray:
        return np.concatenate([engine.run(*draw(seed, offset + i, 1)) for i in range(n)])

    def make_among_others(seed: int, offset: int, n: int) -> np.ndarray:
        rng = np.random.default_rng([seed, offset, n])
        z, label = draw(int(rng.integers(2**63)), 0, engine.max_batch)
        places = rng.permutation(engine.max_batch)[:n]
        z[places], wanted = draw(seed, offset, n)
        if label is not None and wanted is not None:
            label[places] = wanted
        return engine.run(z, label)[places]

    return make_alone if engine.batch_size is None else make_among_others


if __name__ == "__main__":
    main()
