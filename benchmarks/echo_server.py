"""A bare grpc.aio server with replies as large as those of dcgan-serve.

python echo_server.py --ready-file FILE
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import grpc
from serving_models import IMAGE_SIZE

from dcgan.serving.ready_file import ReadyReport, write_ready_file
from dcgan.v1 import generator_pb2 as pb

SHAPE: dict[str, Any] = {"height": IMAGE_SIZE, "width": IMAGE_SIZE, "channels": 3}


async def serve(ready_file: Path) -> None:
    """Serves until SIGTERM."""

    async def generate(request: pb.GenerateRequest, _: object) -> pb.GenerateResponse:
        pixels = bytes(IMAGE_SIZE * IMAGE_SIZE * 3 * request.n)
        return pb.GenerateResponse(pixels=pixels, n=request.n, offset=request.offset, **SHAPE)

    async def get_model(_: object, __: object) -> pb.GetModelResponse:
        return pb.GetModelResponse(model=pb.Model(**SHAPE))

    unary = grpc.unary_unary_rpc_method_handler
    table = {
        "Generate": unary(
            generate, pb.GenerateRequest.FromString, pb.GenerateResponse.SerializeToString
        ),
        "GetModel": unary(
            get_model, pb.GetModelRequest.FromString, pb.GetModelResponse.SerializeToString
        ),
    }

    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("dcgan.v1.GeneratorService", table),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    report = ReadyReport(address=f"127.0.0.1:{port}", pid=os.getpid())
    write_ready_file(ready_file, report)

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await server.stop(None)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ready-file", type=Path, required=True)
    asyncio.run(serve(parser.parse_args().ready_file))
