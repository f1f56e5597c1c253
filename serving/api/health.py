"""What the server tells a load balancer through `grpc.health.v1`: the process lives, and the service is ready."""

from __future__ import annotations

from grpc_health.v1 import health
from grpc_health.v1.health_pb2 import HealthCheckResponse


class Readiness(health.aio.HealthServicer):  # type: ignore[misc,name-defined]  # the stubs lack the module
    """The health service. The empty name means the process, and a service's full name whether it can be used.

    Args:
        service: full name of the service.
    """

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    async def turn(self, *, on: bool) -> None:
        """Says whether the service can be used."""
        status = HealthCheckResponse.SERVING if on else HealthCheckResponse.NOT_SERVING
        await self.set(self._service, status)

    async def end(self) -> None:
        """Says that nothing can be used, for good."""
        await self.enter_graceful_shutdown()
