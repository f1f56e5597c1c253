"""A gRPC server that goes on accepting whatever path a request has.

grpcio decodes the path of each request to a method that is not registered in the loop that accepts
requests. One path that is not UTF-8 ends this loop, and with it the server (grpcio 1.85). So all
methods are registered, and a request to any other one is answered here, without its path.

The loop has no public hook before the path is decoded, and a server whose loop has ended cannot be
started again, so this extends private classes. `dcgan.serving.grpc_release` holds the server to the
release of grpcio that has them.
"""

from __future__ import annotations

import asyncio
from typing import Any

from grpc._cython import cygrpc
from grpc.aio import _server


class TolerantServer(_server.Server):
    """A `grpc.aio.Server` for methods that are added by `add_registered_method_handlers`.

    Args:
        options: of the channel, as `grpc.aio.server` takes them.
    """

    def __init__(self, options: list[tuple[str, int]]) -> None:
        self._loop = cygrpc.get_working_loop()
        arguments = _server._augment_channel_arguments(options, None)
        self._server = _AcceptLoop(self._loop, None, (), (), arguments, None)


class _AcceptLoop(cygrpc.AioServer):  # type: ignore[misc]  # it has no types
    """The accept loop of grpcio, which gets only requests to registered methods."""

    _answers: set[asyncio.Task[Any]] = set()  # noqa: RUF012 - tasks are kept until they end

    async def _request_call(self) -> None:
        """Answers requests to methods that are not registered; never returns one to the loop."""
        loop = asyncio.get_running_loop()
        while True:
            state = await super()._request_call()
            answer = cygrpc._handle_rpc("", _NoMethods(), (), state, loop, False)
            task = loop.create_task(cygrpc._schedule_rpc_coro(answer, state, loop, ""))
            self._answers.add(task)
            task.add_done_callback(self._answers.discard)


class _NoMethods:
    """Resolves no method, so that grpcio answers UNIMPLEMENTED."""

    def resolve_handler(self, *_: object) -> None:
        """Returns nothing."""
