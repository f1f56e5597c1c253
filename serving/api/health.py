"""Health of the server in `grpc.health.v1`, for load balancers and orchestrators."""

from __future__ import annotations

from grpc_health.v1 import health
from grpc_health.v1.health_pb2 import HealthCheckResponse


# The stubs lack the module `aio`.
class Readiness(health.aio.HealthServicer):  # type: ignore[misc,name-defined]
    """The health service: the empty name reports liveness, the name of a service its readiness.

    Args:
        service: full name of the service.

    Attributes:
        is_ready: whether the service is ready.
    """

    def __init__(self, service: str) -> None:
        super().__init__()
        self.is_ready = False
        self._service = service
        self._is_shut_down = False

    async def set_ready(self, *, is_ready: bool) -> None:
        """Sets whether the service is reported as ready."""
        self.is_ready = is_ready and not self._is_shut_down
        status = HealthCheckResponse.SERVING if is_ready else HealthCheckResponse.NOT_SERVING
        await self.set(self._service, status)

    async def shut_down(self) -> None:
        """Reports that nothing is ready, permanently."""
        self.is_ready = False
        self._is_shut_down = True
        await self.enter_graceful_shutdown()
