"""Health of the server in `grpc.health.v1`, for load balancers and orchestrators."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health_pb2 import (
    HealthCheckRequest,
    HealthCheckResponse,
    HealthListRequest,
    HealthListResponse,
)


class Readiness(health_pb2_grpc.HealthServicer):  # type: ignore[misc]
    """The health service: the empty name reports liveness, the name of a service its readiness.

    The servicer of grpcio writes to a watcher under the lock that a change of the status needs, so
    that one client that does not read delays a shutdown. Here a change waits for no client.

    Args:
        service: full name of the service.
    """

    def __init__(self, service: str) -> None:
        self._service = service
        self._statuses = {
            "": HealthCheckResponse.SERVING,
            service: HealthCheckResponse.NOT_SERVING,
        }
        self._changed = asyncio.Event()
        self._is_shut_down = False

    @property
    def is_ready(self) -> bool:
        """Whether the service is ready."""
        return bool(self._statuses[self._service] == HealthCheckResponse.SERVING)

    def set_ready(self, *, is_ready: bool) -> None:
        """Sets whether the service is reported as ready. Does nothing after `shut_down`."""
        if not self._is_shut_down:
            self._set(self._service, is_serving=is_ready)

    def shut_down(self) -> None:
        """Reports that nothing is ready, permanently."""
        self._is_shut_down = True
        for service in self._statuses:
            self._set(service, is_serving=False)

    async def Check(  # noqa: N802 - the name in the proto
        self,
        request: HealthCheckRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> HealthCheckResponse:
        """Answers with the present status of a service."""
        status = self._statuses.get(request.service)
        if status is None:
            await context.abort(grpc.StatusCode.NOT_FOUND)
        return HealthCheckResponse(status=status)

    async def List(  # noqa: N802 - the name in the proto
        self,
        request: HealthListRequest,  # noqa: ARG002
        context: grpc.aio.ServicerContext[Any, Any],  # noqa: ARG002
    ) -> HealthListResponse:
        """Answers with the present status of all services."""
        return HealthListResponse(
            statuses={
                service: HealthCheckResponse(status=status)
                for service, status in self._statuses.items()
            }
        )

    async def Watch(  # noqa: N802 - the name in the proto
        self,
        request: HealthCheckRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> None:
        """Sends the status of a service, and again after each change, until the client leaves."""
        sent = None
        while True:
            changed = self._changed  # take it first, to notice a change during the write
            status = self._statuses.get(request.service, HealthCheckResponse.SERVICE_UNKNOWN)
            if status != sent:
                await context.write(HealthCheckResponse(status=status))
                sent = status
            await changed.wait()

    def _set(self, service: str, *, is_serving: bool) -> None:
        """Changes a status, and wakes the watchers."""
        self._statuses[service] = (
            HealthCheckResponse.SERVING if is_serving else HealthCheckResponse.NOT_SERVING
        )
        self._changed.set()
        self._changed = asyncio.Event()
