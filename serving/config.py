"""Configuration of the server."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from dcgan.serving.api.call_limits import CallLimits
from dcgan.serving.engine.config import EngineConfig
from dcgan.serving.http.config import HttpConfig
from dcgan.serving.models.config import ModelConfig


@dataclass(frozen=True, kw_only=True)
class ConnectionConfig:
    """How gRPC connections are handled.

    Attributes:
        limits: what clients may hold, and for how long.
        max_connection_streams: calls at once on a connection, above which gRPC refuses streams.
        max_age_s: age at which a client is asked to reconnect, so that the load spreads to new
            servers; 0 for none.
        keepalive_s: idle time after which the server pings a client.
        min_ping_interval_s: interval of keepalive pings that clients may use, during a call or not.
        max_request_bytes: maximum size of a request; a valid one has less than 200 bytes.
    """

    limits: CallLimits = field(default_factory=CallLimits)
    max_connection_streams: int = 4096
    max_age_s: float = 0.0
    keepalive_s: float = 7200.0
    min_ping_interval_s: float = 10.0
    max_request_bytes: int = 64 * 2**10


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """What to serve, and where.

    Attributes:
        model_repository: serve the newest version of every model in this folder; None for the model
            that ships.
        model: name of the default model; None if there is only one.
        fetch_from: index of models, from which `model` is fetched if it is not here; None to fetch
            nothing.
        fetch_key: public key, or its file, that must have signed that index; None for no check.
        host: address to listen on.
        port: of gRPC; 0 for any free port.
        reuse_port: whether other workers listen on the same port.
        metrics_host: address to listen on for metrics and health over HTTP; None for `host`.
        metrics_port: of metrics and health over HTTP; 0 for any free port.
        start_timeout_s: time that each model has to get ready.
        drain_delay_s: time between the end of readiness and the refusal of requests, for load
            balancers to notice.
        exit_timeout_s: time that admitted requests have to finish after that.
        longest_batch_s: duration after which a run of an engine counts as stalled.
        engine: how engines run.
        models: how each model is served.
        connection: how gRPC connections are handled.
        event_loop: one of EVENT_LOOPS.
        cache_bytes: size of the cache of encoded images; 0 for none.
        http: how HTTP is served; None to leave it out.
    """

    model_repository: Path | None = None
    model: str | None = None
    fetch_from: str | None = None
    fetch_key: str | None = None
    host: str = "127.0.0.1"
    port: int = 8001
    reuse_port: bool = False
    metrics_host: str | None = None
    metrics_port: int = 8002
    start_timeout_s: float = 300.0
    drain_delay_s: float = 0.0
    exit_timeout_s: float = 30.0
    longest_batch_s: float = 60.0
    engine: EngineConfig = field(default_factory=EngineConfig)
    models: ModelConfig = field(default_factory=ModelConfig)
    connection: ConnectionConfig = field(default_factory=ConnectionConfig)
    event_loop: str = "auto"
    cache_bytes: int = 0
    http: HttpConfig | None = None
