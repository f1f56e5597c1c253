"""The options and credentials of a client's channel."""

from __future__ import annotations

import json

import grpc

from dcgan.serving.client.retry import SERVICE_CONFIG
from dcgan.serving.client.settings import ClientSettings
from dcgan.serving.client.targets import is_local, parse_target

MAX_RESPONSE_BYTES = 2**26
"""Largest message that a client accepts: 64 images of 512x512, or one of 4096x4096."""

ChannelOptions = list[tuple[str, str | int]]


def channel_options(target: str) -> ChannelOptions:
    """Returns the channel options of a client: round robin over the servers, and retries.

    Args:
        target: address of the server, or of several with commas between them.
    """
    options: ChannelOptions = [
        ("grpc.max_receive_message_length", MAX_RESPONSE_BYTES),
        ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
    ]

    if is_local(target):
        options.append(("grpc.enable_http_proxy", 0))  # a proxy cannot lead to this machine
    return options


def channel_targets(resolved: str, settings: ClientSettings) -> list[str]:
    """Returns the target of each channel of a client.

    One channel is enough, unless several servers are reached over TLS: each certificate is checked
    against the name of its own server.

    Args:
        resolved: target, with names resolved if it is a list.
        settings: of the client.
    """
    servers = parse_target(settings.target) if settings.tls else ()
    return list(dict.fromkeys(server.address for server in servers)) or [resolved]


def channel_credentials(settings: ClientSettings) -> grpc.ChannelCredentials | None:
    """Returns the credentials of an encrypted channel; None if it is not to be encrypted."""
    if not settings.tls:
        return None
    return grpc.ssl_channel_credentials(root_certificates=settings.ca)
