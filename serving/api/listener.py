"""The gRPC server object: its options, its services and its port."""

from __future__ import annotations

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from dcgan.serving.address import join_address
from dcgan.serving.api.health import Readiness
from dcgan.serving.api.service import SERVICE, GeneratorService
from dcgan.serving.api.strict_parsing import StrictParsing
from dcgan.serving.config import ConnectionConfig
from dcgan.serving.errors import ServingError


def create_grpc_server(
    config: ConnectionConfig, service: GeneratorService, readiness: Readiness, *, reuse_port: bool
) -> grpc.aio.Server:
    """Creates a gRPC server with the generator, health and reflection services.

    Args:
        config: how connections are handled.
        service: the generator service.
        readiness: the health service.
        reuse_port: whether other processes listen on the same port. Without it, a second server
            would silently take half of the clients.
    """
    options = [
        ("grpc.so_reuseport", int(reuse_port)),
        ("grpc.max_receive_message_length", config.max_request_bytes),
        ("grpc.max_send_message_length", -1),  # `ReplyEncoder.max_images` limits the replies
        ("grpc.keepalive_time_ms", round(config.keepalive_s * 1000)),
        # Pings of clients: gRPC disconnects a client after its third ping that comes too early.
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", _ping_tolerance_ms(config)),
    ]
    if config.max_age_s:
        options.append(("grpc.max_connection_age_ms", round(config.max_age_s * 1000)))

    server = grpc.aio.server(options=options, maximum_concurrent_rpcs=config.max_rpcs or None)
    server.add_generic_rpc_handlers((service.handlers(),))
    strict = StrictParsing(server)
    health_pb2_grpc.add_HealthServicer_to_server(readiness, strict)
    names = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
    servicer = reflection.aio.ReflectionServicer(names)  # type: ignore[attr-defined]  # not in the stubs
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, strict)
    return server


def _ping_tolerance_ms(config: ConnectionConfig) -> int:
    """Returns the interval below which a ping counts as too early: timers of clients jitter."""
    return round(0.9 * config.min_ping_interval_s * 1000)


def bind(server: grpc.aio.Server, host: str, port: int) -> int:
    """Binds a gRPC server to a port.

    Returns:
        The port, which differs from `port` if that is 0.

    Raises:
        ServingError: if the port is taken, or the address is not one of this machine.
    """
    address = join_address(host, port)
    try:
        return server.add_insecure_port(address)
    except RuntimeError:
        raise ServingError(
            f"cannot listen on {address}: the port is taken, or this machine has no such address; "
            "choose another --port or --host"
        ) from None
