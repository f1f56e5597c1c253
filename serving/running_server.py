"""A server that is ready: its report, its watchdog and its graceful drain."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from dataclasses import dataclass

import grpc

from dcgan.core.text import first_line
from dcgan.serving.api.generation import Generation
from dcgan.serving.api.health import Readiness
from dcgan.serving.errors import ServingError
from dcgan.serving.models.registry import ModelRegistry
from dcgan.serving.models.served_model import ServedModel
from dcgan.serving.ready_file import ReadyModel, ReadyReport
from dcgan.serving.scheduling.errors import EngineStuckError

_WATCH_INTERVAL_S = 1.0
_QUIET_S = 0.02  # without a new request, after which no more are expected in a drain
_QUIET_TIMEOUT_S = 0.1  # each refusal uses up a retry of a client

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunningServer:
    """A server that is ready.

    Attributes:
        address: "host:port" of gRPC.
        http_address: "host:port" of HTTP; None if it is left out.
        port: of gRPC.
        metrics_address: "host:port" of the metrics.
        registry: the models.
        generation: makes the images.
        readiness: the health service.
        grpc_server: the gRPC server.
    """

    address: str
    http_address: str | None
    port: int
    metrics_address: str
    registry: ModelRegistry
    generation: Generation
    readiness: Readiness
    grpc_server: grpc.aio.Server

    def report(self) -> ReadyReport:
        """Returns where it listens and what it serves."""
        return ReadyReport(
            address=self.address,
            http_address=self.http_address,
            pid=os.getpid(),
            metrics_addresses=(self.metrics_address,),
            models=tuple(self._describe(model) for model in self.registry.models),
        )

    async def watch_engines(self, longest_batch_s: float) -> None:
        """Checks the engines periodically.

        While one is stuck, readiness is off and requests are refused.

        Args:
            longest_batch_s: duration after which a run of an engine counts as stalled.

        Raises:
            ServingError: if an engine is stuck permanently.
        """
        is_healthy = True
        while True:
            await asyncio.sleep(min(longest_batch_s / 4, _WATCH_INTERVAL_S))
            was_healthy = is_healthy
            is_healthy = self.registry.check(longest_batch_s)

            if is_healthy and not was_healthy:
                logger.warning("all engines are healthy again: readiness is on")
                self.generation.open(self.registry)
            elif was_healthy and not is_healthy:
                self.generation.close(EngineStuckError)

            self.readiness.set_ready(is_ready=is_healthy)

    async def watch_grpc(self) -> None:
        """Waits until gRPC ends by itself, and nothing answers on its port any more.

        A request whose path is not UTF-8 ends the accept loop of grpcio.

        Raises:
            ServingError: in any case.
        """
        reason = "it was stopped"
        try:
            # Without the shield, to cancel this would cancel the future that a shutdown completes.
            await asyncio.shield(self.grpc_server.wait_for_termination())
        except Exception as error:  # noqa: BLE001 - whatever ended it
            reason = first_line(error)
        raise ServingError(f"gRPC has ended by itself: {reason}; start the server again")

    async def drain(self, delay_s: float, timeout_s: float) -> None:
        """Turns readiness off, refuses new requests after a delay, and finishes the others.

        Args:
            delay_s: time in which requests are still admitted, for load balancers to notice.
            timeout_s: time that admitted requests have to finish.
        """
        self.readiness.shut_down()
        await asyncio.sleep(delay_s)
        self.generation.close()

        in_flight = self.generation.in_flight
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(in_flight.wait_until_idle(), timeout_s)
        in_flight.end_postponed()

        # Answer the requests that are on the way, so that their clients know when to retry.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(in_flight.wait_until_quiet(_QUIET_S), _QUIET_TIMEOUT_S)

    def _describe(self, model: ServedModel) -> ReadyModel:
        return ReadyModel(
            name=model.name,
            version=model.version,
            digest=model.file.sha256,
            default=model is self.registry.default,
            precision=model.file.precision,
            provider=model.provider,
            agreement=model.agreement.value,
        )
