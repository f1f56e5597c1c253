"""The Python client of the service.

It needs neither ONNX Runtime nor anything else of the server. Its public names are those in
`__all__`; everything else in this package may change.
"""

from dcgan.serving.client.aio import AsyncClient
from dcgan.serving.client.errors import (
    AccessDeniedError,
    BusyError,
    ClientError,
    DeadlineError,
    FaultError,
    RefusedError,
    UnreachableError,
)
from dcgan.serving.client.images import Images
from dcgan.serving.client.requests import ImageOptions
from dcgan.serving.client.sync import Client

__all__ = [
    "AccessDeniedError",
    "AsyncClient",
    "BusyError",
    "Client",
    "ClientError",
    "DeadlineError",
    "FaultError",
    "ImageOptions",
    "Images",
    "RefusedError",
    "UnreachableError",
]
