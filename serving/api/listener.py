"""The gRPC server object: its options, its services and its port."""

from __future__ import annotations

import math
from typing import cast

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from dcgan.serving.address import join_address
from dcgan.serving.api.accept_loop import TolerantServer
from dcgan.serving.api.health import Readiness
from dcgan.serving.api.service import SERVICE, GeneratorService
from dcgan.serving.api.strict_parsing import StrictParsing
from dcgan.serving.config import ConnectionConfig
from dcgan.serving.errors import ServingError
from dcgan.serving.file_limit import raise_file_limit

_MAX_PENDING_CALLS = 8192  # each may delay the calls behind it, even if its client has left
_OTHER_FILES = 256  # connections to the metrics port, models, pipes
_HANDSHAKE_TIMEOUT_MS = 10_000  # for the preface and the settings of a connection


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
        ("grpc.http2.min_ping_interval_without_data_ms", _ping_tolerance_ms(config)),
        # gRPC itself refuses streams above this, with REFUSED_STREAM, before any limit of ours.
        ("grpc.max_concurrent_streams", config.max_connection_streams),
        # Calls that wait for the event loop: above the limit gRPC ends them with CANCELLED.
        ("grpc.server.max_pending_requests", _MAX_PENDING_CALLS),
        ("grpc.server.max_pending_requests_hard_limit", _MAX_PENDING_CALLS),
        # Those that wait for longer than this, too; our limits answer them with a status.
        ("grpc.server_max_unrequested_time_in_server", math.ceil(config.limits.max_call_s)),
        ("grpc.server_handshake_timeout_ms", _HANDSHAKE_TIMEOUT_MS),
        ("grpc.max_allowed_incoming_connections", max_connections(raise_file_limit())),
    ]
    if config.max_age_s:
        options.append(("grpc.max_connection_age_ms", round(config.max_age_s * 1000)))

    server = TolerantServer(options)
    server.add_registered_method_handlers(SERVICE, service.handlers())
    methods = service.rpc_methods
    strict = StrictParsing(server, methods.in_flight, methods.count_refusal)
    health_pb2_grpc.add_HealthServicer_to_server(readiness, strict)
    names = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
    # The stubs lack the module `aio`.
    servicer = reflection.aio.ReflectionServicer(names)  # type: ignore[attr-defined]
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, strict)
    return cast("grpc.aio.Server", server)  # the stubs do not know its base class


def max_connections(files: int) -> int:
    """Returns the number of gRPC connections that leave files for HTTP, metrics and models.

    Args:
        files: number of files that the process may open.
    """
    return max(files // 2 - _OTHER_FILES, files // 4)


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
