"""A load test counts what there is to count, and sees a wrong byte."""

import asyncio
import random

import pytest

from dcgan.serving.load_test import LoadTestConfig, run_load_test
from dcgan.serving.load_test.config import LoadTestError
from dcgan.v1 import generator_pb2 as pb


def load(server, **options):
    options = {
        "targets": (server.target,),
        "duration_s": 0.5,
        "warmup_s": 0.1,
        "concurrency": 4,
        **options,
    }
    return asyncio.run(run_load_test(LoadTestConfig(**options)))


def test_a_closed_loop_counts_images_and_requests(server):
    for duration_s in (0.5, 2, 8, 32):  # a busy machine may answer nothing in half a second
        report = load(server, sizes=((3, 1.0),), verify=True, duration_s=duration_s)
        if report.requests:
            break
    assert report.requests > 0
    assert report.codes == {"OK": report.requests}
    assert report.images_per_s == pytest.approx(3 * report.requests_per_s)
    assert report.mismatches == 0
    assert 0 < report.latency_ms["50"] <= report.latency_ms["99.9"]


def test_an_open_loop_sends_at_its_rate_whatever_the_server_does(server):
    report = load(server, rate=100.0, duration_s=1.0, sizes=((1, 0.5), (8, 0.5)))
    assert 60 < report.requests < 140  # Poisson, 100 on average: 4 standard deviations


def test_errors_are_counted_by_code(server):
    report = load(server, model="slow", sizes=((500, 1.0),), timeout_s=0.01)
    assert set(report.codes) == {"DEADLINE_EXCEEDED"}
    assert report.images_per_s == 0


async def test_a_wrong_byte_is_seen(serving):
    async def generate(request, context):
        pixels = bytes([request.n == 3] * request.n)
        return pb.GenerateResponse(
            pixels=pixels, n=request.n, offset=request.offset, height=1, width=1, channels=1
        )

    assert not await is_wrong(serving, generate, 2)
    assert await is_wrong(serving, generate, 3)


@pytest.mark.parametrize(
    "changes", [{"n": 0, "pixels": b""}, {"n": 1, "pixels": b"\0"}, {"offset": 2**40}]
)
async def test_a_reply_to_another_request_is_seen(serving, changes):
    async def generate(request, context):
        reply = pb.GenerateResponse(
            pixels=bytes(2), n=2, offset=request.offset, height=1, width=1, channels=1
        )
        for name, value in changes.items():
            setattr(reply, name, value)
        return reply

    assert await is_wrong(serving, generate, 2)


async def is_wrong(serving, generate, n: int) -> bool:
    """Whether the load tool finds fault with this server's replies for n images."""
    async with serving(generate) as target:
        config = LoadTestConfig(
            targets=(target,), sizes=((n, 1.0),), duration_s=0.2, warmup_s=0, verify=True
        )
        report = await run_load_test(config)
    assert report.codes == {"OK": report.requests}
    return report.mismatches > 0


async def test_an_open_loop_does_not_wait_for_replies_and_times_them_from_when_they_were_due(
    serving,
):
    arrived, enough = [], asyncio.Event()

    async def generate(request, context):
        arrived.append(request)
        if len(arrived) == 20:
            enough.set()
        await enough.wait()
        return pb.GenerateResponse(
            pixels=bytes(1), n=1, offset=request.offset, height=1, width=1, channels=1
        )

    async with serving(generate) as target:
        config = LoadTestConfig(targets=(target,), rate=100.0, duration_s=0.5, warmup_s=0, seed=3)
        report = await run_load_test(config)
    gaps = random.Random(config.seed)
    span_s = sum(
        gaps.expovariate(100.0) for _ in range(19)
    )  # between the first and the one that frees it
    assert report.latency_ms["99.9"] >= 900 * span_s


@pytest.mark.hostile(
    "A server under `dcgan-bench` whose replies have another number or size of images",
    "not counted as OK, also without `--verify`",
)
@pytest.mark.parametrize(
    "changes",
    [{"n": 1, "pixels": b"\0"}, {"n": 0, "pixels": b""}, {"pixels": b""}, {"width": 2}],
)
async def test_replies_of_another_number_or_size_are_not_successful(serving, changes):
    async def generate(request, context):
        fields = {"pixels": bytes(2), "n": 2, "height": 1, "width": 1, "channels": 1}
        return pb.GenerateResponse(**fields | {"offset": request.offset} | changes)

    async with serving(generate) as target:
        config = LoadTestConfig(
            targets=(target,), sizes=((2, 1.0),), duration_s=0.2, warmup_s=0.0, concurrency=2
        )
        report = await run_load_test(config)
    assert report.codes == {"INTERNAL": report.requests}
    assert report.mismatches is None


@pytest.mark.hostile("A server whose stream never ends, under `dcgan-bench --verify`", "refused")
async def test_a_reference_that_never_ends_is_refused(serving):
    async def generate(request, context):
        return pb.GenerateResponse()

    async def endless(request, context):
        while True:
            yield pb.GenerateStreamResponse(pixels=bytes(64), n=64)

    async with serving(generate, endless) as target:
        config = LoadTestConfig(targets=(target,), duration_s=0.2, warmup_s=0, verify=True)
        with pytest.raises(LoadTestError, match="something else than 512 images"):
            await run_load_test(config)


@pytest.mark.hostile(
    "A server under `dcgan-bench` whose replies cannot be parsed", "not counted as OK"
)
async def test_replies_that_cannot_be_parsed_are_not_successful(serving, monkeypatch):
    async def generate(request, context):
        return pb.GenerateResponse(pixels=bytes(request.n), n=request.n)

    monkeypatch.setattr(pb.GenerateResponse, "SerializeToString", lambda _: b"\xff\xff\xff")
    async with serving(generate) as target:
        config = LoadTestConfig(targets=(target,), duration_s=0.2, warmup_s=0.0, concurrency=2)
        report = await run_load_test(config)
    assert report.codes == {"INTERNAL": report.requests}
    assert report.images_per_s == 0
