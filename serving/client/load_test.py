"""Load on a server, measured honestly: `dcgan-bench`.

Closed loop: so many callers, each with one request at a time; it finds the most that the server can do. Open loop:
requests arrive when a Poisson process says, whether or not the server keeps up, and latency counts from the moment a
request was meant to be sent, so that a stall is not hidden by the requests it held back ("coordinated omission").
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import grpc
import numpy as np

from dcgan.serving.errors import ServingError
from dcgan.serving.client.calls import channel_options
from dcgan.v1 import generator_pb2 as pb
from dcgan.v1.generator_pb2_grpc import GeneratorServiceStub

PERCENTILES = (50.0, 90.0, 99.0, 99.9)

_OK = grpc.StatusCode.OK.name
_CONNECT_S = 10.0  # that the first answer may take
_REFERENCE_SEEDS = 4
_REFERENCE_IMAGES = 512  # of each seed, known before the load starts


@dataclass(frozen=True, kw_only=True)
class LoadConfig:
    """What to ask of a server.

    Attributes:
        targets: addresses of servers; requests go to each in turn.
        sizes: numbers of images of a request, with the weight of each.
        concurrency: callers in a closed loop.
        rate: requests a second in an open loop; None for a closed loop.
        duration_s: time that is measured.
        warmup_s: time before that.
        timeout_s: deadline of each request.
        connections: HTTP/2 connections to each target.
        model: name of a model; empty for the default.
        verify: whether every reply is compared with images that were fetched before.
        seed: of sizes, seeds, offsets and arrival times.
    """

    targets: tuple[str, ...] = ("127.0.0.1:8001",)
    sizes: tuple[tuple[int, float], ...] = ((1, 1.0),)
    concurrency: int = 32
    rate: float | None = None
    duration_s: float = 10.0
    warmup_s: float = 1.0
    timeout_s: float = 30.0
    connections: int = 1
    model: str = ""
    verify: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """One request that has ended: its size, its time in seconds, and its code."""

    n: int
    seconds: float
    code: str


@dataclass(frozen=True, kw_only=True)
class LoadReport:
    """What came of it.

    Attributes:
        seconds: measured time.
        requests: requests that ended in it; of an open loop, those that were due in it.
        images_per_s: images of good replies a second.
        requests_per_s: good replies a second.
        latency_ms: by percentile, of good replies; empty if there was none.
        codes: requests by gRPC code.
        mismatches: replies whose bytes were wrong; None if they were not compared.
    """

    seconds: float
    requests: int
    images_per_s: float
    requests_per_s: float
    latency_ms: dict[str, float]
    codes: dict[str, int]
    mismatches: int | None

    def table(self) -> str:
        """The report for people."""
        rows = [
            ("images/s", f"{self.images_per_s:,.1f}"),
            ("requests/s", f"{self.requests_per_s:,.1f}"),
            *((f"latency p{name}", f"{value:,.2f} ms") for name, value in self.latency_ms.items()),
            *((f"code {code}", f"{count:,}") for code, count in sorted(self.codes.items())),
        ]
        if self.mismatches is not None:
            rows.append(("wrong replies", f"{self.mismatches:,}"))
        return "\n".join(f"{name:<16} {value:>16}" for name, value in rows)


@dataclass
class _Log:
    start: float
    end: float
    calls: list[Call] = field(default_factory=list)
    mismatches: int = 0


async def run_load(config: LoadConfig) -> LoadReport:
    """Puts load on servers and measures what comes back.

    Raises:
        ServingError: if no server answers.
    """
    addresses = [target for target in config.targets for _ in range(config.connections)]
    channels = [
        grpc.aio.insecure_channel(address, options=_channel_options(address))
        for address in addresses
    ]
    try:
        stubs = [GeneratorServiceStub(channel) for channel in channels]  # type: ignore[no-untyped-call]
        reference = await _fetch_reference(stubs[0], config)
        start = time.perf_counter() + config.warmup_s
        log = _Log(start, start + config.duration_s)
        send = _Sender(stubs, config, log, reference)
        await (
            _closed_loop(send, config, log)
            if config.rate is None
            else _open_loop(send, config, log, config.rate)
        )
    finally:
        await asyncio.gather(*(channel.close(None) for channel in channels))
    return _report(log, config)


def _channel_options(address: str) -> list[tuple[str, str | int]]:
    """As clients connect, but each by itself and without retries, which would hide what the server says."""
    apart: list[tuple[str, str | int]] = [
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_retries", 0),
    ]
    return [*channel_options(address), *apart]


class _Sender:
    """Sends one random request and puts what came of it in the log."""

    def __init__(
        self,
        stubs: Sequence[GeneratorServiceStub],
        config: LoadConfig,
        log: _Log,
        reference: dict[int, bytes],
    ) -> None:
        self._stubs = itertools.cycle(stubs)
        self._config = config
        self._log = log
        self._reference = reference
        self._random = random.Random(config.seed)
        self._sizes = [n for n, _ in config.sizes]
        self._weights = [weight for _, weight in config.sizes]

    async def __call__(self, due: float) -> None:
        n = self._random.choices(self._sizes, self._weights)[0]
        seed, offset = (
            self._random.randrange(_REFERENCE_SEEDS),
            self._random.randrange(_REFERENCE_IMAGES - n + 1),
        )
        request = pb.GenerateRequest(seed=seed, n=n, offset=offset, model=self._config.model)
        try:
            reply = await next(self._stubs).Generate(request, timeout=self._config.timeout_s)
            code = _OK
            self._check(seed, n, offset, reply)
        except grpc.aio.AioRpcError as error:
            code = error.code().name
        now = time.perf_counter()
        counted = (
            now if self._config.rate is None else due
        )  # an open loop also answers for what came late
        if self._log.start <= counted < self._log.end:
            self._log.calls.append(Call(n, now - due, code))

    def _check(self, seed: int, n: int, offset: int, reply: pb.GenerateResponse) -> None:
        if self._reference:
            size = len(self._reference[seed]) // _REFERENCE_IMAGES
            wanted = self._reference[seed][offset * size : (offset + n) * size]
            self._log.mismatches += (reply.n, reply.offset, reply.pixels) != (n, offset, wanted)


async def _closed_loop(
    send: Callable[[float], Awaitable[None]], config: LoadConfig, log: _Log
) -> None:
    async def caller() -> None:
        while (now := time.perf_counter()) < log.end:
            await send(now)

    await asyncio.gather(*(caller() for _ in range(config.concurrency)))


async def _open_loop(
    send: Callable[[float], Awaitable[None]], config: LoadConfig, log: _Log, rate: float
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


async def _fetch_reference(stub: GeneratorServiceStub, config: LoadConfig) -> dict[int, bytes]:
    """The images that requests ask for, by seed, if they are to be compared. In any case the server must answer."""
    targets = ", ".join(config.targets)
    try:
        await stub.GetModel(pb.GetModelRequest(name=config.model), timeout=_CONNECT_S)
        reference: dict[int, bytes] = {}
        for seed in range(_REFERENCE_SEEDS if config.verify else 0):
            request = pb.GenerateStreamRequest(seed=seed, n=_REFERENCE_IMAGES, model=config.model)
            reference[seed] = b"".join(
                [chunk.pixels async for chunk in stub.GenerateStream(request)]
            )
            if not reference[seed] or len(reference[seed]) % _REFERENCE_IMAGES:
                raise ServingError(
                    f"{targets} sends something else than {_REFERENCE_IMAGES} images; put no load on it"
                )
    except grpc.aio.AioRpcError as error:
        cure = "start one with dcgan-serve, or name the right --target"
        if error.code() == grpc.StatusCode.UNAVAILABLE:
            raise ServingError(f"no server answers at {targets}; {cure}") from None
        raise ServingError(f"{targets} cannot be put under load: {error.details()}") from None
    return reference


def _report(log: _Log, config: LoadConfig) -> LoadReport:
    good = [call for call in log.calls if call.code == _OK]
    milliseconds = [call.seconds * 1000 for call in good]
    latency = (
        {f"{share:g}": float(np.percentile(milliseconds, share)) for share in PERCENTILES}
        if good
        else {}
    )
    return LoadReport(
        seconds=config.duration_s,
        requests=len(log.calls),
        images_per_s=sum(call.n for call in good) / config.duration_s,
        requests_per_s=len(good) / config.duration_s,
        latency_ms=latency,
        codes=dict(Counter(call.code for call in log.calls)),
        mismatches=log.mismatches if config.verify else None,
    )
