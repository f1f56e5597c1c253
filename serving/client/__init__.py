"""The client of the service."""

from dcgan.serving.client.aio import AsyncClient
from dcgan.serving.client.client import Client
from dcgan.serving.client.errors import (
    BusyError,
    ClientError,
    DeadlineError,
    FaultError,
    RefusedError,
    UnreachableError,
)

__all__ = [
    "AsyncClient",
    "BusyError",
    "Client",
    "ClientError",
    "DeadlineError",
    "FaultError",
    "RefusedError",
    "UnreachableError",
]
