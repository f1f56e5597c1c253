"""Each row of the error table, as a client in any language sees it."""

import asyncio
import queue
import threading

import grpc
import pytest
from google.rpc import error_details_pb2 as details
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_status import rpc_status

from dcgan.core import noise
from dcgan.serving.api.call_limits import CallLimits
from dcgan.serving.api.generation import Generation
from dcgan.serving.api.in_flight import InFlight
from dcgan.serving.api.service import GeneratorService
from dcgan.serving.api.status import status_of
from dcgan.serving.config import ServerConfig
from dcgan.serving.engine.config import EngineConfig
from dcgan.serving.errors import ServingError
from dcgan.serving.models.config import ModelConfig
from dcgan.serving.models.loader import load_model
from dcgan.serving.models.registry import ModelNotFoundError, ModelRegistry
from dcgan.serving.observability.metrics import Metrics
from dcgan.serving.running_server import RunningServer
from dcgan.serving.server import run
from dcgan.serving.shutdown import ShutdownRequest
from dcgan.v1 import generator_pb2 as pb
from dcgan.v1.generator_pb2_grpc import GeneratorServiceStub
from dcgan.zoo.repository import find_release

NAN = float("nan")
SERVING, NOT_SERVING = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING
INVALID, MISSING = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND

BAD_FIELDS = [
    ("n", {"n": 0}),
    ("n", {"n": 21841}),
    ("n", {"n": 2**32 - 1}),
    ("n", {"n": 21000, "format": pb.IMAGE_FORMAT_PNG}),
    ("offset", {"n": 2, "offset": 2**64 - 1}),
    ("label", {"label": 0}),
    ("label", {"label": 3, "model": "classy"}),
    ("label", {"label": 2**32 - 1, "model": "classy"}),
    ("format", {"format": 4}),
    ("format", {"format": -1}),
    ("truncation", {"truncation": 0.0}),
    ("truncation", {"truncation": -0.5}),
    ("truncation", {"truncation": 2.0}),
    ("truncation", {"truncation": NAN}),
    ("truncation", {"truncation": float("inf")}),
]
BAD_WALKS = [
    ("steps", {"steps": 1}),
    ("steps", {}),
    ("truncation", {"steps": 2, "truncation": NAN}),
]
BAD_NAMES = ["nobody", "x" * 10_000, "../tiny", "ti\0ny", "TINY", "täny", " "]


@pytest.fixture(scope="module")
def stub(server):
    with grpc.insecure_channel(server.target) as channel:
        yield GeneratorServiceStub(channel)


def fail(call, request, **options):
    """Calls; returns the error, its reason and its details, after checks that all errors pass."""
    with pytest.raises(grpc.RpcError) as caught:
        result = call(request, **options)
        list(result) if hasattr(result, "__next__") else result
    status = rpc_status.from_call(caught.value)
    unpacked = {}
    for packed in status.details:
        kind = getattr(details, packed.TypeName().rpartition(".")[2])
        unpacked[kind.__name__] = kind()
        packed.Unpack(unpacked[kind.__name__])

    assert unpacked["ErrorInfo"].domain == "dcgan"
    assert status.code == caught.value.code().value[0]
    return caught.value, unpacked["ErrorInfo"].reason, unpacked


@pytest.mark.parametrize(("field", "values"), BAD_FIELDS)
def test_a_bad_field_is_named(stub, field, values):
    error, reason, found = fail(stub.Generate, pb.GenerateRequest(seed=1, **values))
    assert (error.code(), reason) == (INVALID, "INVALID_FIELD")
    assert [violation.field for violation in found["BadRequest"].field_violations] == [field]
    assert error.details().startswith(field)


@pytest.mark.parametrize(
    ("field", "values"), [row for row in BAD_FIELDS if row[0] != "n"] + [("n", {"n": 0})]
)
def test_a_stream_refuses_the_same_fields(stub, field, values):
    _, reason, found = fail(stub.GenerateStream, pb.GenerateStreamRequest(seed=1, **values))
    assert (reason, found["BadRequest"].field_violations[0].field) == ("INVALID_FIELD", field)


@pytest.mark.parametrize(("field", "values"), BAD_WALKS)
def test_a_walk_refuses_bad_fields(stub, field, values):
    _, reason, found = fail(stub.Interpolate, pb.InterpolateRequest(seed_a=1, seed_b=2, **values))
    assert (reason, found["BadRequest"].field_violations[0].field) == ("INVALID_FIELD", field)


def test_too_many_images_are_told_the_cap_and_the_way_round_it(stub):
    error, _, _ = fail(stub.Generate, pb.GenerateRequest(n=30_000))
    assert "21840" in error.details()
    assert "GenerateStream" in error.details()


@pytest.mark.parametrize("name", BAD_NAMES)
def test_an_unknown_model_is_told_those_that_exist(stub, name):
    for call, request in (
        (stub.Generate, pb.GenerateRequest(model=name)),
        (stub.GenerateStream, pb.GenerateStreamRequest(model=name)),
        (stub.Interpolate, pb.InterpolateRequest(steps=2, model=name)),
        (stub.GetModel, pb.GetModelRequest(name=name)),
    ):
        error, reason, found = fail(call, request)
        assert (error.code(), reason) == (MISSING, "MODEL_NOT_FOUND")
        assert found["ResourceInfo"].resource_name == name[:80]
        assert "tiny version 2" in error.details()
        assert len(error.details()) < 300


@pytest.mark.parametrize("version", [0, 1, 3, 2**32 - 1])
def test_a_version_that_is_not_served_is_not_found(stub, version):
    for name in ("tiny", ""):
        error, reason, _ = fail(stub.Generate, pb.GenerateRequest(model=name, version=version))
        assert (error.code(), reason) == (MISSING, "MODEL_NOT_FOUND")


def test_a_full_queue_says_when_to_come_back(stub):
    calls = [
        stub.Generate.future(pb.GenerateRequest(model="slow", n=2000, seed=seed))
        for seed in range(4)
    ]
    refused: queue.Queue[grpc.RpcError] = queue.Queue()
    for call in calls:
        call.add_done_callback(
            lambda call: None if call.cancelled() else refused.put(call.exception())
        )
    error = refused.get(timeout=60)
    for call in calls:
        call.cancel()

    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert int(dict(error.trailing_metadata())["grpc-retry-pushback-ms"]) > 0
    reason, retry = (packed for packed in rpc_status.from_call(error).details)
    assert details.ErrorInfo.FromString(reason.value).reason == "QUEUE_FULL"
    assert details.RetryInfo.FromString(retry.value).retry_delay.ToMilliseconds() > 0


def test_a_deadline_that_cannot_be_met_is_refused_before_any_work(stub):
    stub.Generate(pb.GenerateRequest(model="slow", n=16))
    ages = pb.GenerateStreamRequest(model="slow", n=2**32 - 1)  # years of work, on any machine
    error, reason, _ = fail(stub.GenerateStream, ages, timeout=30.0)
    assert (error.code(), reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_UNREACHABLE")


@pytest.mark.slow
def test_a_fault_of_the_engine_takes_its_own_batch_only_and_shows_no_trace(start_server, only):
    poison, healthy = poisoned_seed(True), poisoned_seed(False)
    with (
        start_server(only("poisoned"), noisy=True) as server,
        grpc.insecure_channel(server.target) as channel,
    ):
        stub = GeneratorServiceStub(channel)
        for _ in range(3):
            error, reason, found = fail(
                stub.Generate,
                pb.GenerateRequest(seed=poison),
                metadata=(("x-request-id", "the-42nd"),),
            )
            assert (error.code(), reason) == (grpc.StatusCode.INTERNAL, "ENGINE_FAULT")
            assert found["RequestInfo"].request_id == "the-42nd"
            assert "Gather" not in error.details()
            assert stub.Generate(pb.GenerateRequest(seed=healthy)).n == 1

    assert "the-42nd" in server.log[0]
    assert "Gather" in server.log[0]


@pytest.mark.slow
def test_an_engine_that_hangs_is_noticed_and_brought_back(start_server, endless):
    options = ("--longest-batch-s", "2", "--max-batch-size", "4")
    with (
        start_server(endless, *options, noisy=True, unchecked=True) as server,
        grpc.insecure_channel(server.target) as channel,
    ):
        stub, health = GeneratorServiceStub(channel), HealthStub(channel)
        watch = health.Watch(HealthCheckRequest(service="dcgan.v1.GeneratorService"))
        assert next(watch).status == SERVING
        hanging = stub.Generate.future(pb.GenerateRequest(seed=poisoned_seed(True)))
        behind = [
            stub.Generate.future(pb.GenerateRequest(seed=poisoned_seed(False))) for _ in range(5)
        ]
        assert next(watch).status == NOT_SERVING
        assert hanging.exception().code() is grpc.StatusCode.INTERNAL
        lost = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE}  # in its batch, or behind it
        for call in behind:
            assert call.exception() is None or call.exception().code() in lost
        assert next(watch).status == SERVING
        assert stub.Generate(pb.GenerateRequest(seed=poisoned_seed(False))).n == 1
        watch.cancel()

    assert "terminating the run" in server.log[0]
    assert "healthy again" in server.log[0]


async def test_a_server_whose_engine_hangs_for_good_ends(only):
    config = ServerConfig(
        model_repository=only("tiny"),
        port=0,
        metrics_port=0,
        longest_batch_s=0.5,
        engine=EngineConfig(instances=1),
    )
    ready: asyncio.Future[RunningServer] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(run(config, ready.set_result, ShutdownRequest()))
    server = await ready
    released = threading.Event()
    for thread in server.registry.default.dispatcher._threads:
        original = thread.engine.run
        thread.engine.run = lambda *given, original=original: (released.wait(60), original(*given))[
            1
        ]
    async with grpc.aio.insecure_channel(server.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await GeneratorServiceStub(channel).Generate(pb.GenerateRequest())

    assert caught.value.code() is grpc.StatusCode.INTERNAL
    released.set()
    with pytest.raises(ServingError, match="cannot be terminated; restart the server"):
        await serving


@pytest.mark.slow
def test_how_a_call_ended_is_counted_as_its_caller_saw_it(start_server, endless, read_metrics):
    options = ("--longest-batch-s", "3")
    with (
        start_server(endless, *options, noisy=True, unchecked=True) as server,
        grpc.insecure_channel(server.target) as channel,
    ):
        grpc.channel_ready_future(channel).result(30)
        with pytest.raises(grpc.RpcError) as caught:
            GeneratorServiceStub(channel).Generate(
                pb.GenerateRequest(seed=poisoned_seed(True)), timeout=0.5
            )
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        name = (
            'grpc_server_handled_total{grpc_code="%s",grpc_method="Generate",'
            'grpc_service="dcgan.v1.GeneratorService",grpc_type="unary"}'
        )
        while not (series := read_metrics(server))[name % "DEADLINE_EXCEEDED"]:
            assert not series[name % "CANCELLED"]

        assert not series['dcgan_images_total{model="endless"}']


async def test_only_so_many_streams_are_taken_on(only, answering):
    generation = Generation(InFlight(CallLimits(max_streams=3)))  # two of them on a connection
    model = await load_model(
        find_release(only("slow"), "slow"), EngineConfig(device="cpu"), ModelConfig(), Metrics()
    )
    generation.open(ModelRegistry([model]))

    async with answering(GeneratorService(generation, Metrics())) as stub:
        streams = [stub.GenerateStream(pb.GenerateStreamRequest(n=2**32 - 1)) for _ in range(2)]
        for stream in streams:
            assert (await stream.read()).n == 64
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GenerateStream(pb.GenerateStreamRequest(n=1)).read()
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert (await stub.Generate(pb.GenerateRequest(n=1))).n == 1
        for stream in streams:
            stream.cancel()
    await model.dispatcher.stop()


def test_a_server_of_many_models_lists_some_of_them():
    status = status_of(ModelNotFoundError("nobody", None, [f"model-{i}" for i in range(300)]))
    assert "model-19, and 280 more" in status.message
    assert sum(len(key) + len(value) for key, value in status.trailers) < 4096


async def test_before_it_has_loaded_and_after_it_drains_a_server_is_unavailable(answering):
    generation = Generation()
    async with answering(GeneratorService(generation, Metrics())) as stub:
        for wanted in ("LOADING", "DRAINING"):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.Generate(pb.GenerateRequest())
            status = rpc_status.from_call(caught.value)
            info, retry = details.ErrorInfo(), details.RetryInfo()
            assert status.details[0].Unpack(info)
            assert status.details[1].Unpack(retry)
            assert (caught.value.code(), info.reason) == (grpc.StatusCode.UNAVAILABLE, wanted)
            generation.close()


def poisoned_seed(poisoned: bool) -> int:
    return next(
        seed for seed in range(1000) if (noise.latents(seed, 0, 1, 8)[0, 0] > 1.5) == poisoned
    )
