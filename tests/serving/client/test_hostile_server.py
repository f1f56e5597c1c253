"""What a hostile server answers reaches neither the terminal nor the caller as it is."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from click.testing import CliRunner

from dcgan.serving.cli.generate import main
from dcgan.serving.client import AsyncClient, Client, FaultError, RefusedError, channel
from dcgan.v1 import generator_pb2 as pb
from dcgan.v1.generator_pb2_grpc import (
    GeneratorServiceServicer,
    add_GeneratorServiceServicer_to_server,
)

ESCAPES = "tiny\x1b]0;title\x07\nforged"
PROVENANCE = pb.Provenance(model=ESCAPES, version=1, digest="\x1b[2J")


class Hostile(GeneratorServiceServicer):
    """Names its model with terminal escapes; lists models with malformed error details."""

    image = pb.GenerateResponse(
        n=1, height=1, width=1, channels=3, pixels=b"rgb", seed=7, provenance=PROVENANCE
    )

    def GetModel(self, request, context):  # noqa: N802
        return pb.GetModelResponse(
            model=pb.Model(name=ESCAPES, version=1, digest="\x1b[2J", height=1, width=1, channels=3)
        )

    def Generate(self, request, context):  # noqa: N802
        return self.image

    def ListModels(self, request, context):  # noqa: N802
        context.set_trailing_metadata((("grpc-status-details-bin", b"\xff\xff\xff"),))
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no")


@pytest.fixture
def hostile():
    server = grpc.server(ThreadPoolExecutor(2))
    add_GeneratorServiceServicer_to_server(Hostile(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None)


@pytest.mark.hostile("A server whose model names hold terminal escapes", "shown as `\\u001b`")
def test_the_name_of_a_model_is_shown_without_controls(hostile, tmp_path):
    out = tmp_path / "a.png"
    result = CliRunner().invoke(main, ["--target", hostile, "--seed", "7", "--out", str(out)])
    assert result.exit_code == 0
    assert r"drawn by tiny\u001b]0;title\u0007\u000aforged version 1" in result.output
    assert b"\x1b" not in out.read_bytes()


@pytest.mark.hostile("A server with malformed error details", "ignored; the error keeps its status")
def test_malformed_error_details_are_ignored(hostile):
    with Client(hostile) as client, pytest.raises(RefusedError, match="no"):
        client.models()


@pytest.fixture
def answering():
    """Starts a server that answers each call with the same bytes, and returns its address."""
    servers = []

    def start(reply: bytes) -> str:
        class Handler(grpc.GenericRpcHandler):
            def service(self, details):
                if details.method.endswith("Stream"):
                    return grpc.unary_stream_rpc_method_handler(lambda *_: iter([reply]))
                return grpc.unary_unary_rpc_method_handler(lambda *_: reply)

        server = grpc.server(ThreadPoolExecutor(2), handlers=[Handler()])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        return f"127.0.0.1:{port}"

    yield start
    for server in servers:
        server.stop(None)


async def every_call(client: AsyncClient):
    """Yields the coroutine of each call that the client has."""

    async def stream():
        async for _ in client.stream(1, 1000):
            pass

    for call in (client.generate(1), stream(), client.models(), client.model()):
        yield call


@pytest.mark.hostile("A server whose replies cannot be parsed", "an error of both clients")
async def test_a_reply_that_cannot_be_parsed_is_a_fault(answering):
    target = answering(b"\xff\xff\xff")
    async with AsyncClient(target) as client:
        async for call in every_call(client):
            with pytest.raises(FaultError, match="cannot be parsed"):
                await call


def test_a_reply_that_cannot_be_parsed_is_a_fault_of_the_blocking_client_too(answering):
    with Client(answering(b"\xff\xff\xff")) as client:
        for call in (client.generate, lambda _: client.models(), lambda _: client.model()):
            with pytest.raises(FaultError, match="answers"):
                call(1)


@pytest.mark.hostile(
    "A server that sends images of 400 megapixels", "refused by both clients above 64 MiB"
)
async def test_a_message_above_the_limit_is_refused(answering, monkeypatch):
    assert channel.MAX_RESPONSE_BYTES == 2**26
    monkeypatch.setattr(channel, "MAX_RESPONSE_BYTES", 2**16)
    image = pb.GenerateResponse(n=1, height=256, width=256, channels=3, pixels=bytes(3 * 2**16))
    target = answering(image.SerializeToString())
    async with AsyncClient(target) as client:
        async for call in every_call(client):
            with pytest.raises(RefusedError, match="larger than max"):
                await call
    with Client(target) as client, pytest.raises(RefusedError, match="larger than max"):
        await asyncio.to_thread(client.generate, 1)


@pytest.mark.hostile(
    "A server whose images are larger than its model states", "refused by `dcgan-generate`"
)
def test_images_of_another_size_than_the_model_states_are_refused(hostile, monkeypatch, tmp_path):
    image = pb.GenerateResponse(
        n=1, height=4, width=4, channels=3, pixels=bytes(48), seed=7, provenance=PROVENANCE
    )
    monkeypatch.setattr(Hostile, "image", image)
    arguments = ["--target", hostile, "--seed", "7", "--out", str(tmp_path / "a.png")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "sent images of the shape (4, 4, 3), and its model states (1, 1, 3)" in result.output


@pytest.mark.hostile("A server that sends a model without a name", "an error of both clients")
async def test_a_model_without_a_name_is_refused(answering, tmp_path):
    one = pb.ListModelsResponse(models=[pb.Model()])
    for reply in (b"", one.SerializeToString()):
        target = answering(reply)
        with Client(target) as client, pytest.raises(FaultError, match="names no model"):
            await asyncio.to_thread(client.models if reply else client.model)
        async with AsyncClient(target) as aio:
            with pytest.raises(FaultError, match="names no model"):
                await (aio.models() if reply else aio.model())

    arguments = ["--target", answering(b""), "--seed", "7", "--out", str(tmp_path / "a.png")]
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, result.output) == (
        2,
        "Error: the server sent a reply that names no model\n",
    )


@pytest.mark.hostile(
    "A server that describes another model than was asked", "an error of the client"
)
@pytest.mark.parametrize(("name", "version"), [("digits", None), ("tiny", 2), ("", 2)])
def test_another_model_than_was_asked_is_refused(answering, name, version):
    reply = pb.GetModelResponse(model=pb.Model(name="tiny", version=1))
    with Client(answering(reply.SerializeToString())) as client:
        assert client.model().name == "tiny"
        assert client.model("tiny", 1).name == "tiny"
        with pytest.raises(FaultError, match="answered for the model tiny version 1, not "):
            client.model(name, version)
