"""What a hostile server answers reaches neither the terminal nor the caller as it is."""

from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from click.testing import CliRunner

from dcgan.serving.cli.generate import main
from dcgan.serving.client import Client, RefusedError
from dcgan.v1 import generator_pb2 as pb
from dcgan.v1.generator_pb2_grpc import (
    GeneratorServiceServicer,
    add_GeneratorServiceServicer_to_server,
)

ESCAPES = "tiny\x1b]0;title\x07\nforged"


class Hostile(GeneratorServiceServicer):
    """Names its model with terminal escapes; lists models with malformed error details."""

    def GetModel(self, request, context):  # noqa: N802
        return pb.GetModelResponse(model=pb.Model(name=ESCAPES, version=1, digest="\x1b[2J"))

    def Generate(self, request, context):  # noqa: N802
        return pb.GenerateResponse(n=1, height=1, width=1, channels=3, pixels=b"rgb")

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
