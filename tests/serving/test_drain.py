"""Clients with a retry policy lose nothing in a drain, however long it takes."""

import asyncio
import json
import threading
from contextlib import ExitStack

import grpc
import pytest

from dcgan.serving.api.errors import CallTimeoutError
from dcgan.serving.api.generation import Generation
from dcgan.serving.api.in_flight import InFlight
from dcgan.serving.api.service import SERVICE, GeneratorService
from dcgan.serving.observability.metrics import Metrics
from dcgan.v1 import generator_pb2 as pb
from dcgan.v1.generator_pb2_grpc import GeneratorServiceStub
from tests.serving.support import poll

ATTEMPTS = 4
CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [{"service": SERVICE}],
            "retryPolicy": {
                "maxAttempts": ATTEMPTS,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
}
RETRYING = [("grpc.service_config", json.dumps(CONFIG))]


async def test_a_call_that_comes_back_is_held_until_the_drain_is_over(answering):
    generation, metrics = Generation(), Metrics()
    in_flight = generation.in_flight
    refused = metrics.rejected.labels("DRAINING")._value
    async with answering(GeneratorService(generation, metrics), RETRYING) as stub:
        other = in_flight.begin_call("ipv4:127.0.0.1:1")
        other.admit()  # keeps the drain from ending
        generation.close()
        call = asyncio.ensure_future(stub.Generate(pb.GenerateRequest()))
        await until(lambda: in_flight.postponed == 1)
        assert (refused.get(), call.done()) == (2, False)

        other.end()
        await asyncio.wait_for(in_flight.wait_until_idle(), 30)
        assert not call.done()  # what is postponed does not count

        in_flight.end_postponed()
        with pytest.raises(grpc.aio.AioRpcError, match="is shutting down") as caught:
            await call
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert ("grpc-retry-pushback-ms", "200") in list(caught.value.trailing_metadata())
        assert refused.get() == ATTEMPTS


async def test_a_postponed_call_that_lives_too_long_is_answered(answering):
    generation = Generation()
    in_flight = generation.in_flight
    once = json.dumps(CONFIG).replace(f'"maxAttempts": {ATTEMPTS}', '"maxAttempts": 2')
    options = [("grpc.service_config", once)]
    async with answering(GeneratorService(generation, Metrics()), options) as stub:
        generation.close()
        call = asyncio.ensure_future(stub.Generate(pb.GenerateRequest()))
        await until(lambda: in_flight.postponed == 1)
        (late,) = (each for each in in_flight.timed if not each.is_committed)
        late.expire(CallTimeoutError(1))
        with pytest.raises(grpc.aio.AioRpcError, match="is shutting down"):
            await asyncio.wait_for(call, 30)


async def test_a_call_is_not_held_beyond_its_time():
    in_flight = InFlight()
    await asyncio.wait_for(in_flight.postpone(0.01), 30)
    assert in_flight.postponed == 0


@pytest.mark.slow
def test_several_callers_see_no_error_when_servers_stop_one_after_another(start_server, only):
    errors: list[grpc.RpcError] = []
    answers: list[int] = []
    is_over = threading.Event()

    def call(channel: grpc.Channel) -> None:
        while not is_over.is_set():
            try:
                answers.append(GeneratorServiceStub(channel).Generate(pb.GenerateRequest(n=100)).n)
            except grpc.RpcError as error:
                errors.append(error)

    def wait_for_answers() -> None:
        enough = len(answers) + len(errors) + 30
        poll(lambda: len(answers) + len(errors) > enough)

    with ExitStack() as stack:
        options = (only("slow"), "--drain-delay-s", "1", "--no-http", "--instances", "1")
        servers = [stack.enter_context(start_server(*options)) for _ in range(4)]
        targets = "ipv4:" + ",".join(server.target for server in servers)
        channel = stack.enter_context(grpc.insecure_channel(targets, RETRYING))
        callers = [threading.Thread(target=call, args=(channel,)) for _ in range(8)]
        for caller in callers:
            caller.start()
        for server in servers[1:]:
            wait_for_answers()
            server.process.terminate()
            assert server.process.wait(timeout=60) == 0
        wait_for_answers()
        is_over.set()
        for caller in callers:
            caller.join()
    assert [error.details() for error in errors] == []
    assert set(answers) == {100}


async def until(holds) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.01)
