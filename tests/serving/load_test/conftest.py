"""A server that replies as a test tells it to."""

from contextlib import asynccontextmanager

import grpc
import pytest

from dcgan.v1 import generator_pb2 as pb


@pytest.fixture
def serving():
    """Starts a server of one RPC, whose replies a test makes up, and yields its address."""

    @asynccontextmanager
    async def serve(generate, stream=None):
        """Serves what `generate` replies; a stream, and so the reference, is of zeros."""

        async def zeros(request, context):
            yield pb.GenerateStreamResponse(pixels=bytes(request.n), n=request.n)

        async def get_model(request, context):
            return pb.GetModelResponse(model=pb.Model(height=1, width=1, channels=1))

        unary = grpc.unary_unary_rpc_method_handler
        table = {
            "Generate": unary(
                generate, pb.GenerateRequest.FromString, pb.GenerateResponse.SerializeToString
            ),
            "GetModel": unary(
                get_model, pb.GetModelRequest.FromString, pb.GetModelResponse.SerializeToString
            ),
            "GenerateStream": grpc.unary_stream_rpc_method_handler(
                stream or zeros,
                pb.GenerateStreamRequest.FromString,
                pb.GenerateStreamResponse.SerializeToString,
            ),
        }
        server = grpc.aio.server()
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("dcgan.v1.GeneratorService", table),)
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        yield f"127.0.0.1:{port}"
        await server.stop(None)

    return serve
