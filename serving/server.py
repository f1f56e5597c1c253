"""The process: ports, start, readiness, end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from dcgan.serving.address import check_host, join_address
from dcgan.serving.api import errors
from dcgan.serving.api.errors import ServingError
from dcgan.serving.api.health import Readiness
from dcgan.serving.api.service import SERVICE, GeneratorService
from dcgan.serving.engine.cpu import EngineConfig
from dcgan.serving.models.served_model import (
    Catalogue,
    ModelConfig,
    ServedModel,
    find_releases,
    load_model,
)
from dcgan.serving.observability.metrics import Metrics, MetricsServer
from dcgan.serving.ready_file import ReadyModel, ReadyReport
from dcgan.serving.threads import call_aside

_WATCH_INTERVAL_S = 1.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ConnectionConfig:
    """How connections are kept.

    Attributes:
        most_rpcs: RPCs under way at once, above which gRPC answers RESOURCE_EXHAUSTED; 0 for no limit.
        longest_age_s: age at which a client is asked to connect anew, so that load spreads over new servers; 0 for
            none.
        keepalive_s: time without traffic after which a client is asked whether it is still there.
        request_bytes: size of the largest request; an honest one has less than 200.
        unread_bytes: of finished replies that may wait for clients that do not read.
    """

    most_rpcs: int = 0
    longest_age_s: float = 0.0
    keepalive_s: float = 7200.0
    request_bytes: int = 64 * 2**10
    unread_bytes: int = 2**28


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """What to serve, and where.

    Attributes:
        model_repository: serve the newest version of every model in it; None for the model that ships.
        model: name of the default model; None for the first.
        fetch_from: index of models, to fetch `model` from if it is not here; None to fetch nothing.
        host: address to listen on.
        port: of gRPC; 0 for any that is free.
        reuse_port: whether other processes of ours listen on the same port.
        metrics_port: of Prometheus; 0 for any that is free.
        drain_delay_s: time between turning readiness off and refusing requests, for load balancers to notice.
        exit_timeout_s: time that accepted requests have to finish after that.
        longest_batch_s: time at one batch after which an engine counts as stuck.
        engine: how engines run.
        models: how each model is served.
        connection: how connections are kept.
    """

    model_repository: Path | None = None
    model: str | None = None
    fetch_from: str | None = None
    host: str = "127.0.0.1"
    port: int = 8001
    reuse_port: bool = False
    metrics_port: int = 8002
    drain_delay_s: float = 0.0
    exit_timeout_s: float = 30.0
    longest_batch_s: float = 60.0
    engine: EngineConfig = field(default_factory=EngineConfig)
    models: ModelConfig = field(default_factory=ModelConfig)
    connection: ConnectionConfig = field(default_factory=ConnectionConfig)


async def run(
    config: ServerConfig,
    announce: Callable[[RunningServer], None],
    ends: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGINT),
) -> None:
    """Serves until it is told to stop, then finishes what was accepted; a second signal cuts that short.

    Args:
        config: what to serve, and where.
        announce: gets the server when it is ready.
        ends: signals that tell it to stop.

    Raises:
        DcganError: if a port is taken, a model cannot be served, or an engine is stuck for good.
    """
    check_host(config.host)
    signals: asyncio.Queue[None] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in ends:
        loop.add_signal_handler(number, signals.put_nowait, None)
    async with contextlib.AsyncExitStack() as stack:
        metrics = Metrics()
        loading = asyncio.create_task(start(config, metrics, stack))
        told = asyncio.create_task(signals.get())
        await asyncio.wait((loading, told), return_when=asyncio.FIRST_COMPLETED)
        if told.done():
            loading.cancel()
            await asyncio.wait((loading,))
            if not loading.cancelled() and (error := loading.exception()) is not None:
                raise error  # it had failed before it was told
            return
        server = await loading
        announce(server)
        lag, engines = (
            asyncio.create_task(metrics.watch_loop()),
            asyncio.create_task(server.watch_engines(config)),
        )
        stack.callback(lag.cancel)
        await asyncio.wait((told, engines), return_when=asyncio.FIRST_COMPLETED)
        engines.cancel()  # from here on nothing may turn readiness on again
        why = "told to stop" if told.done() else "the server cannot go on"
        logger.info(
            "%s: readiness is off, accepted requests have %s s to finish",
            why,
            config.exit_timeout_s,
        )
        drain = asyncio.create_task(server.drain(config))
        again = asyncio.create_task(signals.get()) if told.done() else told
        await asyncio.wait((drain, again), return_when=asyncio.FIRST_COMPLETED)
        if not drain.done():
            logger.warning("told to stop again: dropping what has not finished")
        await server.grpc_server.stop(None)
        with contextlib.suppress(asyncio.CancelledError):
            await engines


@dataclass(frozen=True)
class RunningServer:
    """A server that is ready."""

    address: str
    metrics_address: str
    catalogue: Catalogue
    service: GeneratorService
    readiness: Readiness
    grpc_server: grpc.aio.Server

    def report(self) -> ReadyReport:
        """Returns where it listens and what it serves."""
        return ReadyReport(
            address=self.address,
            pid=os.getpid(),
            metrics_addresses=(self.metrics_address,),
            models=tuple(
                ReadyModel(
                    name=model.manifest.name,
                    version=model.manifest.version,
                    digest=model.file.sha256,
                    default=model is self.catalogue.default,
                    precision=model.file.precision,
                    provider=model.provider,
                    agreement=model.agreement.value,
                )
                for model in self.catalogue.models
            ),
        )

    async def watch_engines(self, config: ServerConfig) -> None:
        """Looks after the engines for ever: while one is stuck, readiness is off and requests are refused.

        Raises:
            ServingError: if one is stuck for good.
        """
        well = True
        while True:
            await asyncio.sleep(min(config.longest_batch_s / 4, _WATCH_INTERVAL_S))
            before, well = well, self.catalogue.check(config.longest_batch_s)
            if well and not before:
                logger.warning("the engines are well again: readiness is on")
                self.service.open(self.catalogue)
            elif before and not well:
                self.service.close(errors.engine_stuck)
            await self.readiness.turn(on=well)

    async def drain(self, config: ServerConfig) -> None:
        """Turns readiness off, goes on for a while, refuses new requests, and finishes those that were accepted."""
        await self.readiness.end()
        await asyncio.sleep(config.drain_delay_s)
        self.service.close()
        with contextlib.suppress(
            TimeoutError
        ):  # `stop` waits for RPCs too, but cancels those that have just arrived
            await asyncio.wait_for(self.service.finish(), config.exit_timeout_s)


async def start(
    config: ServerConfig, metrics: Metrics, stack: contextlib.AsyncExitStack
) -> RunningServer:
    """Opens the ports, then loads the models, then turns readiness on.

    Args:
        config: what to serve, and where.
        metrics: of this server.
        stack: closes what was opened.

    Raises:
        DcganError: if a port is taken, or a model cannot be served.
    """
    metrics_server = MetricsServer(metrics, config.host, config.metrics_port)
    metrics_server.start()
    stack.callback(metrics_server.stop)
    service, readiness = (
        GeneratorService(metrics, most_unread_bytes=config.connection.unread_bytes),
        Readiness(SERVICE),
    )
    await readiness.turn(on=False)
    server, port = await _listen(config, service, readiness)
    stack.push_async_callback(server.stop, None)
    catalogue = Catalogue(await _load(config, metrics, stack))
    service.open(catalogue)
    await readiness.turn(on=True)
    addresses = join_address(config.host, port), join_address(config.host, metrics_server.port)
    return RunningServer(*addresses, catalogue, service, readiness, server)


async def _listen(
    config: ServerConfig, service: GeneratorService, readiness: Readiness
) -> tuple[grpc.aio.Server, int]:
    options = [
        # Unless it is meant, a second server on the port would silently take half of the clients.
        ("grpc.so_reuseport", int(config.reuse_port)),
        ("grpc.max_receive_message_length", config.connection.request_bytes),
        (
            "grpc.max_send_message_length",
            -1,
        ),  # how many images fit is for `Codec.most_images` to say
        ("grpc.keepalive_time_ms", round(config.connection.keepalive_s * 1000)),
    ]
    if config.connection.longest_age_s:
        options.append(
            ("grpc.max_connection_age_ms", round(config.connection.longest_age_s * 1000))
        )
    server = grpc.aio.server(
        options=options, maximum_concurrent_rpcs=config.connection.most_rpcs or None
    )
    server.add_generic_rpc_handlers((service.handlers(),))
    health_pb2_grpc.add_HealthServicer_to_server(readiness, server)
    reflection.enable_server_reflection(
        (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), server
    )
    try:
        port = server.add_insecure_port(join_address(config.host, config.port))
    except RuntimeError:
        address = join_address(config.host, config.port)
        problem = "the port is taken, or the address is not of this machine"
        raise ServingError(
            f"cannot listen on {address}: {problem}; choose another --port or --host"
        ) from None
    await server.start()
    return server, port


async def _load(
    config: ServerConfig, metrics: Metrics, stack: contextlib.AsyncExitStack
) -> list[ServedModel]:
    models: list[ServedModel] = []

    async def stop() -> None:
        await asyncio.gather(*(model.dispatcher.stop() for model in models))

    stack.push_async_callback(stop)
    # A download may take long.
    for release in await call_aside(
        find_releases, config.model_repository, config.model, config.fetch_from
    ):
        models.append(await load_model(release, config.engine, config.models, metrics))
    return models
