"""The configuration of a server from the options of `dcgan-serve`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dcgan.serving.api.call_limits import CallLimits
from dcgan.serving.config import ConnectionConfig, ServerConfig
from dcgan.serving.engine.config import EngineConfig
from dcgan.serving.http.config import HttpConfig
from dcgan.serving.models.config import DEFAULT_QUEUE_IMAGES, ModelConfig


def build_server_config(options: Mapping[str, Any]) -> ServerConfig:
    """Returns the configuration of a server.

    Args:
        options: values of the command's options, by the names that click gives them.
    """
    return ServerConfig(
        model_repository=options["model_repository"],
        model=options["model"],
        fetch_from=options["fetch_from"],
        fetch_key=options["fetch_key"],
        host=options["host"],
        port=options["port"],
        metrics_host=options["metrics_host"],
        metrics_port=options["metrics_port"],
        start_timeout_s=options["start_timeout_s"],
        drain_delay_s=options["drain_delay_s"],
        exit_timeout_s=options["exit_timeout_s"],
        longest_batch_s=options["longest_batch_s"],
        engine=_engine_config(options),
        models=_model_config(options),
        connection=_connection_config(options),
        event_loop=options["event_loop"],
        cache_bytes=options["cache_bytes"],
        http=None if options["no_http"] else _http_config(options),
    )


def _engine_config(options: Mapping[str, Any]) -> EngineConfig:
    return EngineConfig(
        device=options["device"],
        instances=options["instances"],
        intra_op_threads=options["intra_op_threads"],
        spinning=options["spinning"],
        max_batch=options["max_batch_size"],
        cuda_batch_size=options["cuda_batch_size"],
        cuda_graphs=options["cuda_graphs"],
        devices=options["devices"],
    )


def _model_config(options: Mapping[str, Any]) -> ModelConfig:
    return ModelConfig(
        precision=options["precision"],
        queue_images=options["max_queue_images"],
        png_queue_images=options["max_queue_images"] or DEFAULT_QUEUE_IMAGES,
        quantum=options["quantum_images"],
        reply_bytes=options["max_reply_bytes"],
    )


def _connection_config(options: Mapping[str, Any]) -> ConnectionConfig:
    return ConnectionConfig(
        limits=_call_limits(options),
        max_connection_streams=options["max_connection_streams"],
        max_age_s=options["max_connection_age_s"],
        keepalive_s=options["keepalive_s"],
        min_ping_interval_s=options["min_ping_interval_s"],
        max_request_bytes=options["max_request_bytes"],
    )


def _call_limits(options: Mapping[str, Any]) -> CallLimits:
    return CallLimits(
        max_calls=options["max_concurrent_rpcs"],
        max_streams=options["max_streams"],
        max_unread_bytes=options["max_unread_bytes"],
        arrival_timeout_s=options["arrival_timeout_s"],
        read_timeout_s=options["read_timeout_s"],
        max_call_s=options["max_call_s"],
    )


def _http_config(options: Mapping[str, Any]) -> HttpConfig:
    return HttpConfig(
        port=options["http_port"],
        cors_origins=options["http_cors_origins"],
        access_log=options["http_access_log"],
    )
