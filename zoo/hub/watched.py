"""Minimum speed and total time of the downloads that `huggingface_hub` makes.

The library only limits pauses between two bytes, so a hub that sends one byte now and then would
never end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from dcgan.zoo.download import RetryPolicy
from dcgan.zoo.http import Watchdog
from dcgan.zoo.hub.errors import HubError

# Events of the HTTP library after which a connection has a new stream of bytes.
# Source: its documentation of the extension "trace".
_CONNECTED = "connection.connect_tcp.complete"
_ENCRYPTED = "connection.start_tls.complete"


class _Request(Protocol):
    extensions: dict[str, Any]


def make_watchdog(retry: RetryPolicy) -> Watchdog:
    """Returns the watchdog of a pull, whose total time begins now."""
    return Watchdog(
        window_s=retry.timeout_s,
        min_bytes=int(retry.min_bytes_per_s * retry.timeout_s),
        total_s=retry.total_s,
    )


@contextmanager
def watched(watchdog: Watchdog, what: str) -> Iterator[None]:
    """Watches the connections that `huggingface_hub` opens in a block.

    Args:
        watchdog: running.
        what: is downloaded, for the message.

    Raises:
        HubError: if they were closed because they were too slow.
    """
    import huggingface_hub  # noqa: PLC0415 - the extra `hub`
    from huggingface_hub import constants  # noqa: PLC0415

    def follow(event: str, info: Mapping[str, Any]) -> None:
        if event in (_CONNECTED, _ENCRYPTED):
            stream = info["return_value"]
            if event == _CONNECTED:
                watchdog.watch(stream.get_extra_info("socket"))
            _count_bytes(stream, watchdog)

    def before_request(request: _Request) -> None:
        if watchdog.reason is not None:  # the library would try again
            raise HubError(_too_slow(what, watchdog.reason))
        request.extensions["trace"] = follow

    session = huggingface_hub.get_session()
    hooks = session.event_hooks
    session.event_hooks = {**hooks, "request": [*hooks["request"], before_request]}
    xet = constants.HF_HUB_DISABLE_XET
    constants.HF_HUB_DISABLE_XET = True  # it has connections of its own
    try:
        with watchdog.attempt():
            try:
                yield
            except HubError:
                if watchdog.reason is not None:
                    raise HubError(_too_slow(what, watchdog.reason)) from None
                raise
    finally:
        constants.HF_HUB_DISABLE_XET = xet
        huggingface_hub.close_session()  # and with it the hook, and connections without a watch


def _count_bytes(stream: Any, watchdog: Watchdog) -> None:  # noqa: ANN401 - of the HTTP library
    read = stream.read

    def counting(*args: Any, **options: Any) -> bytes:  # noqa: ANN401
        data: bytes = read(*args, **options)
        watchdog.add(len(data))
        return data

    stream.read = counting


def _too_slow(what: str, reason: str) -> str:
    return f"cannot download {what}: {reason}; try again later, or set HF_ENDPOINT to another hub"
