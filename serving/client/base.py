"""The base of both clients: settings, state, and everything else that does no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self, TypeVar

import grpc

from dcgan.serving.client.deadline import Deadline
from dcgan.serving.client.errors import RefusedError, UnreachableError
from dcgan.serving.client.hedging import HedgeBudget
from dcgan.serving.client.settings import (
    DEFAULT_TIMEOUT_S,
    Certificates,
    ClientSettings,
    check_settings,
)
from dcgan.serving.client.targets import DEFAULT_TARGET, TargetResolver


class ClientBase:
    """Settings and state of a client; see `Client` for the arguments."""

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        hedge_after_s: float | None = None,
        tls: bool = False,
        ca: Certificates | None = None,
        token: str | None = None,
        metadata: Mapping[str, str | bytes] | None = None,
    ) -> None:
        settings = check_settings(
            target=target,
            timeout_s=timeout_s,
            hedge_after_s=hedge_after_s,
            tls=tls,
            ca=ca,
            token=token,
            metadata=metadata,
        )
        self._set_up(settings)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.target!r})"

    def __reduce__(self) -> tuple[object, tuple[type[Self], ClientSettings]]:
        return _rebuild, (type(self), self._settings)

    @property
    def target(self) -> str:
        """Address of the server, or of several with commas between them."""
        return self._settings.target

    def _set_up(self, settings: ClientSettings) -> None:
        self._settings = settings
        self._resolver = TargetResolver(settings.target)
        self._hedge_budget = HedgeBudget()
        self._closed = False

    def _deadline(self, timeout_s: float | None) -> Deadline:
        return Deadline(self._settings.timeout_s if timeout_s is None else timeout_s)

    def _closed_error(self) -> UnreachableError:
        return UnreachableError(
            f"this client of {self.target} was closed; make another", grpc.StatusCode.UNAVAILABLE
        )


C = TypeVar("C", bound=ClientBase)


def needs_stream(error: RefusedError, n: int) -> bool:
    """Returns whether a request was refused because n images do not fit in one message."""
    return error.field == "n" and n > 1


def _rebuild(kind: type[C], settings: ClientSettings) -> C:
    client = kind.__new__(kind)
    client._set_up(settings)
    return client
