"""A server in this process for tests of the limits on calls."""

from contextlib import asynccontextmanager

import pytest

from dcgan.serving.api.call_limits import CallLimits
from dcgan.serving.api.generation import Generation
from dcgan.serving.api.health import Readiness
from dcgan.serving.api.in_flight import InFlight
from dcgan.serving.api.listener import bind, create_grpc_server
from dcgan.serving.api.service import SERVICE, GeneratorService
from dcgan.serving.config import ConnectionConfig
from dcgan.serving.engine.config import EngineConfig
from dcgan.serving.models.config import ModelConfig
from dcgan.serving.models.loader import load_model
from dcgan.serving.models.registry import ModelRegistry
from dcgan.serving.observability.metrics import Metrics
from dcgan.zoo.repository import find_release
from tests.serving.api.hosting import Host


@pytest.fixture
def hosting(only):
    """Starts a server with limits: an asynchronous context manager."""

    @asynccontextmanager
    async def host(model: str = "tiny", **limits):
        metrics = Metrics()
        release = find_release(only(model), model)
        engine = EngineConfig(device="cpu")
        served = await load_model(release, engine, ModelConfig(), metrics)
        in_flight = InFlight(CallLimits(**limits), clock=lambda: hosted.now)
        generation = Generation(in_flight)
        generation.open(ModelRegistry([served]))

        service = GeneratorService(generation, metrics)
        readiness = Readiness(SERVICE)
        server = create_grpc_server(ConnectionConfig(), service, readiness, reuse_port=False)
        hosted = Host(bind(server, "127.0.0.1", 0), in_flight, metrics)
        await server.start()
        try:
            yield hosted
        finally:
            await server.stop(None)
            await served.dispatcher.stop()

    return host
