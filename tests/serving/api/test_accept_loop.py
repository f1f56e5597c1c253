"""The accept loop of gRPC, and requests to methods that do not exist."""

import asyncio
import struct

import grpc
import pytest

from dcgan.serving.api.accept_loop import TolerantServer

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))


@pytest.fixture
async def port():
    async def echo(request, context):
        return request

    server = TolerantServer([])
    handlers = {"Echo": grpc.unary_unary_rpc_method_handler(echo)}
    server.add_registered_method_handlers("test.Service", handlers)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield port
    await server.stop(None)


async def call(port: int, method: str) -> bytes:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        return await channel.unary_unary(f"/test.Service/{method}")(b"it", timeout=30)


@pytest.mark.hostile("A gRPC request whose path is not UTF-8", "UNIMPLEMENTED; others are served")
async def test_a_path_that_is_not_utf8_does_not_end_the_server(port):
    fields = (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/\xff\xfe"),
        (b":authority", b"server"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
    )
    block = b"".join(b"\0%c%b%c%b" % (len(k), k, len(v), v) for k, v in fields)
    head = struct.pack(">I", len(block))[1:] + struct.pack(">BBI", 1, 5, 1) + block

    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(PREFACE + head)
    await asyncio.wait_for(reader.readuntil(b"Method not found!"), 30)
    writer.close()
    assert await call(port, "Echo") == b"it"


async def test_a_method_that_does_not_exist_is_unimplemented(port):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(port, "Other")
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
