"""Running a load test: connections, callers, arrivals, and the comparison of replies."""

from __future__ import annotations

import asyncio
import itertools
import math
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import grpc

from dcgan.serving.client.channel import ChannelOptions, channel_options
from dcgan.serving.client.replies import check_parsed
from dcgan.serving.load_test.config import (
    REFERENCE_IMAGES,
    REFERENCE_SEEDS,
    LoadTestConfig,
    LoadTestError,
)
from dcgan.serving.load_test.report import OK, CallLog, FinishedCall, LoadTestReport, summarize
from dcgan.v1 import generator_pb2 as pb
from dcgan.v1.generator_pb2_grpc import GeneratorServiceStub

_CONNECT_S = 10.0  # deadline of the first request
_REFERENCE_S = 60.0  # deadline of the images of one seed to compare with
_FAULT = grpc.StatusCode.INTERNAL.name  # of replies that do not fit their request


@dataclass(frozen=True)
class Reference:
    """What replies are compared with.

    Attributes:
        shape: height, width and channels of images of the model.
        images: the expected images by seed; empty if their bytes are not compared.
    """

    shape: tuple[int, int, int]
    images: Mapping[int, bytes] = field(default_factory=dict)


async def run_load_test(config: LoadTestConfig) -> LoadTestReport:
    """Puts load on servers, and measures throughput, latency and errors.

    Raises:
        LoadTestError: if no server answers.
    """
    reference = await fetch_reference(config)
    return summarize(await send_requests(config, reference), config)


async def fetch_reference(config: LoadTestConfig) -> Reference:
    """Fetches the size of images, and the expected ones if replies are to be compared with them.

    Raises:
        LoadTestError: if no server answers, or it sends another number of images.
    """
    channel = _open_channel(config.targets[0], config)
    try:
        stub = GeneratorServiceStub(channel)
        return await _fetch_reference(stub, config)
    finally:
        await channel.close(None)


async def send_requests(
    config: LoadTestConfig,
    reference: Reference,
    wait_for_others: Callable[[], Awaitable[None]] | None = None,
) -> CallLog:
    """Sends the requests of a load test from this process, and logs how they end.

    Args:
        config: of the test.
        reference: to compare replies with.
        wait_for_others: called when the connections are open, before the first request.
    """
    addresses = [target for target in config.targets for _ in range(config.connections)]
    channels = [_open_channel(address, config) for address in addresses]
    try:
        stubs = [GeneratorServiceStub(channel) for channel in channels]
        if wait_for_others is not None:
            await wait_for_others()

        start = time.perf_counter() + config.warmup_s
        log = CallLog(start, start + config.duration_s)
        send = _Sender(stubs, config, log, reference)
        if config.rate is None:
            await _run_closed_loop(send, config, log)
        else:
            await _run_open_loop(send, config, log, config.rate)
    finally:
        await asyncio.gather(*(channel.close(None) for channel in channels))
    return log


def _open_channel(address: str, config: LoadTestConfig) -> grpc.aio.Channel:
    # Like a client's, but each with its own connection, and without retries: they hide errors.
    options: ChannelOptions = [
        *channel_options(address),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_retries", 0),
    ]
    if not config.tls:
        return grpc.aio.insecure_channel(address, options=options)
    credentials = grpc.ssl_channel_credentials(root_certificates=config.ca)
    return grpc.aio.secure_channel(address, credentials, options=options)


class _Sender:
    """Sends random requests, and logs how each ends."""

    def __init__(
        self,
        stubs: Sequence[GeneratorServiceStub],
        config: LoadTestConfig,
        log: CallLog,
        reference: Reference,
    ) -> None:
        self._stubs = itertools.cycle(stubs)
        self._config = config
        self._log = log
        self._reference = reference

        self._random = random.Random(config.seed)
        self._sizes = [n for n, _ in config.sizes]
        self._weights = [weight for _, weight in config.sizes]

    async def __call__(self, due: float) -> None:
        """Sends a request.

        Args:
            due: time when it was due, by `time.perf_counter`.
        """
        n = self._random.choices(self._sizes, self._weights)[0]
        seed = self._random.randrange(REFERENCE_SEEDS)
        offset = self._random.randrange(REFERENCE_IMAGES - n + 1)
        request = pb.GenerateRequest(seed=seed, n=n, offset=offset, model=self._config.model)

        try:
            reply = await next(self._stubs).Generate(
                request, timeout=self._config.timeout_s, metadata=self._config.metadata
            )
            code = self._check(request, reply)
        except grpc.aio.AioRpcError as error:
            code = error.code().name

        now = time.perf_counter()
        # An open loop counts what was due in the measured time, however late it ended.
        counted = now if self._config.rate is None else due
        if self._log.start <= counted < self._log.end:
            self._log.calls.append(FinishedCall(n, now - due, code))

    def _check(self, request: pb.GenerateRequest, reply: pb.GenerateResponse | None) -> str:
        """Returns the code under which a reply counts; compares its bytes if that was chosen.

        Args:
            request: that was sent.
            reply: to it; grpc.aio returns None for one that cannot be parsed.
        """
        if reply is None:
            return _FAULT

        size = math.prod(self._reference.shape)
        shape = (reply.height, reply.width, reply.channels)
        is_right = (
            (reply.n, reply.offset) == (request.n, request.offset)
            and shape == self._reference.shape
            and len(reply.pixels) == request.n * size
        )
        if not self._config.verify:
            return OK if is_right else _FAULT

        first = request.offset * size
        expected = self._reference.images[request.seed][first : first + request.n * size]
        self._log.mismatches += not is_right or reply.pixels != expected
        return OK


async def _run_closed_loop(
    send: Callable[[float], Awaitable[None]], config: LoadTestConfig, log: CallLog
) -> None:
    async def caller() -> None:
        while (now := time.perf_counter()) < log.end:
            await send(now)

    await asyncio.gather(*(caller() for _ in range(config.concurrency)))


async def _run_open_loop(
    send: Callable[[float], Awaitable[None]], config: LoadTestConfig, log: CallLog, rate: float
) -> None:
    gaps = random.Random(config.seed)
    tasks: set[asyncio.Task[None]] = set()
    due = time.perf_counter()

    while due < log.end:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        task = asyncio.ensure_future(send(due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        due += gaps.expovariate(rate)
    await asyncio.gather(*tasks)


async def _fetch_reference(stub: GeneratorServiceStub, config: LoadTestConfig) -> Reference:
    targets = ", ".join(config.targets)
    try:
        response = await stub.GetModel(
            pb.GetModelRequest(name=config.model), timeout=_CONNECT_S, metadata=config.metadata
        )
        model = check_parsed(response).model
        reference = Reference((model.height, model.width, model.channels))
        if not config.verify:
            return reference
        images = {
            seed: await _fetch_images(stub, seed, config, targets)
            for seed in range(REFERENCE_SEEDS)
        }
        return replace(reference, images=images)
    except grpc.aio.AioRpcError as error:
        if error.code() == grpc.StatusCode.UNAVAILABLE:
            cure = "start one with dcgan-serve, or name the right --target"
            raise LoadTestError(f"no server answers at {targets}; {cure}") from None
        raise LoadTestError(f"{targets} cannot be put under load: {error.details()}") from None


async def _fetch_images(
    stub: GeneratorServiceStub, seed: int, config: LoadTestConfig, targets: str
) -> bytes:
    request = pb.GenerateStreamRequest(seed=seed, n=REFERENCE_IMAGES, model=config.model)
    chunks = stub.GenerateStream(request, timeout=_REFERENCE_S, metadata=config.metadata)
    pixels = bytearray()
    images = 0
    async for chunk in chunks:
        images += REFERENCE_IMAGES + 1 if chunk is None else chunk.n  # None cannot be parsed
        if images > REFERENCE_IMAGES:
            chunks.cancel()
            break
        pixels += chunk.pixels

    if images != REFERENCE_IMAGES or not pixels or len(pixels) % REFERENCE_IMAGES:
        problem = f"{targets} sends something else than {REFERENCE_IMAGES} images"
        raise LoadTestError(f"{problem}; put no load on it")
    return bytes(pixels)
